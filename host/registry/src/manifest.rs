//! The manifest inside a component. The grammar and the section's name are
//! specified in `wit/README.md`; the build tool reads the same before it compiles, and
//! a test runs one table of manifests through both.

use portreeve_model::strict::on_one_line;
use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_sandbox::inspect::MANIFEST_BYTES_MAX;
use portreeve_sandbox::{CONTRACT, Declared, Inspection, LimitChoices};
use serde::{Deserialize, Serialize};

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is too long.
    #[error("its manifest has {found} bytes; expected at most {MANIFEST_BYTES_MAX}")]
    TooLarge {
        /// Bytes.
        found: usize,
    },
    /// It is not the TOML that the grammar asks for.
    #[error("its manifest cannot be understood: {0}")]
    Syntax(String),
    /// A key that is unknown or missing, or has another type.
    #[error("its manifest has `{key}` wrong: {message}")]
    Key {
        /// The key's path.
        key: String,
        /// In the reader's words.
        message: String,
    },
    /// It was written for another contract.
    #[error("it was built for contract `{found}`; this host runs `{CONTRACT}`")]
    Contract {
        /// What the manifest says.
        found: String,
    },
    /// A value that its key does not take.
    #[error("its manifest has `{key}` as `{found}`; expected {expected}")]
    Value {
        /// The key's path.
        key: String,
        /// What was found, at most 80 characters of it.
        found: String,
        /// What is taken.
        expected: &'static str,
    },
    /// It asks for something that its kind never has.
    #[error("it is a {kind} and its manifest has `{key}`, which only a {only} has; remove the line")]
    NotForKind {
        /// Its kind.
        kind: PluginKind,
        /// The key's path.
        key: String,
        /// Who has it.
        only: &'static str,
    },
}

const NAME_BYTES_MAX: usize = 64;
const SENTENCE_BYTES_MAX: usize = 1_024;
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Who it is.
    pub plugin: About,
    /// What it asks for.
    #[serde(default)]
    pub imports: Imports,
    /// Limits it asks for: less than the default counts by itself, more only when it
    /// is granted as well.
    #[serde(default)]
    pub limits: LimitChoices,
    /// What it takes and makes.
    #[serde(default)]
    pub handles: Handles,
}

/// Who a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Its name.
    pub name: PluginName,
    /// Semantic version.
    pub version: String,
    /// Its kind.
    pub kind: PluginKind,
    /// The contract it was built for.
    pub contract: String,
    /// One sentence.
    pub description: String,
    /// Who publishes it.
    pub publisher: String,
    /// SPDX expression.
    pub license: String,
}

/// What a plugin asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imports {
    /// Log lines.
    #[serde(default)]
    pub log: bool,
    /// Reference tables.
    #[serde(default)]
    pub lookup: Vec<String>,
    /// Number ranges.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Model files.
    #[serde(default)]
    pub artifact: Vec<Digest>,
    /// Small state.
    #[serde(default)]
    pub kv: bool,
    /// HTTP methods.
    #[serde(default)]
    pub http: Vec<String>,
}

/// What a plugin takes and makes, by kind of document or message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handles {
    /// Documents that a connector makes of inputs.
    #[serde(default)]
    pub receives: Vec<String>,
    /// Messages that a connector delivers.
    #[serde(default)]
    pub delivers: Vec<String>,
    /// Documents that a transformer makes events of.
    #[serde(default)]
    pub maps: Vec<String>,
    /// Messages that a transformer makes of events.
    #[serde(default)]
    pub renders: Vec<String>,
}

impl Imports {
    /// The keys of `[imports]`, whichever there are.
    #[must_use]
    pub fn keys() -> Vec<String> {
        Self::default().table().into_iter().map(|(key, _)| key).collect()
    }

    /// The keys that ask for something.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let nothing = Self::default().table();
        let asked = self.table().into_iter().filter(|(key, value)| nothing.get(key) != Some(value));
        asked.map(|(key, _)| key).collect()
    }

    fn table(&self) -> toml::Table {
        // Texts, lists and flags always have a TOML.
        toml::Table::try_from(self).unwrap_or_default()
    }
}

impl Manifest {
    /// Reads the manifest of an inspected component.
    ///
    /// # Errors
    /// When it cannot be used by this host.
    pub fn parse_embedded(inspection: &Inspection) -> Result<Self, ManifestError> {
        Self::parse(&inspection.manifest)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The first thing that is wrong with it; [`Manifest::read`] has all.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        Self::read(text).map_err(|problems| {
            let none = || ManifestError::Syntax("it is refused without a reason".to_owned());
            problems.into_iter().next().unwrap_or_else(none)
        })
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// Everything that keeps this host from using it.
    pub fn read(text: &str) -> Result<Self, Vec<ManifestError>> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(vec![ManifestError::TooLarge { found: text.len() }]);
        }
        let table: toml::Table =
            toml::from_str(text).map_err(|error| vec![ManifestError::Syntax(one_line(&error.to_string()))])?;
        let (manifest, mut problems) = Self::salvaged(table)?;
        manifest.check_plugin(&mut problems);
        manifest.check_imports(&mut problems);
        manifest.check_limits(&mut problems);
        manifest.check_handles(&mut problems);
        if problems.is_empty() { Ok(manifest) } else { Err(problems) }
    }

    /// What can be read of a manifest, with what cannot. Serde stops at the first slip, so
    /// each key is tried by itself in a manifest that is otherwise right; one that is wrong
    /// or missing keeps the value that it has there, which nobody gets to see.
    fn salvaged(table: toml::Table) -> Result<(Self, Vec<ManifestError>), Vec<ManifestError>> {
        let mut good = Self::otherwise_right();
        let mut problems = Vec::new();
        let required: Vec<String> = section(&good, "plugin").map(|(key, _)| key.clone()).collect();
        let given = table.get("plugin").and_then(toml::Value::as_table);
        for key in required.iter().filter(|key| given.is_none_or(|given| !given.contains_key(*key))) {
            let message = "it is missing; wit/README.md says what it holds".to_owned();
            problems.push(ManifestError::Key { key: format!("plugin.{key}"), message });
        }
        for (name, value) in table {
            let toml::Value::Table(keys) = value else {
                let mut tried = good.clone();
                tried.insert(name.clone(), value);
                problems.extend(refused(&tried, &name));
                continue;
            };
            if keys.is_empty() {
                let mut tried = good.clone();
                tried.entry(name.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                problems.extend(refused(&tried, &name));
            }
            for (key, value) in keys {
                let mut tried = good.clone();
                let entry = tried.entry(name.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let Some(section) = entry.as_table_mut() {
                    section.insert(key.clone(), value);
                }
                match refused(&tried, &format!("{name}.{key}")) {
                    Some(problem) => problems.push(problem),
                    None => good = tried,
                }
            }
        }
        match Self::deserialize(toml::Value::Table(good)) {
            Ok(manifest) => Ok((manifest, problems)),
            Err(error) => {
                problems.push(ManifestError::Syntax(one_line(error.message())));
                Err(problems)
            }
        }
    }

    /// A manifest that nothing is wrong with.
    fn otherwise_right() -> toml::Table {
        let about = [
            ("name", "some"),
            ("version", "0.1.0"),
            ("kind", "scorer"),
            ("contract", CONTRACT),
            ("description", "some"),
            ("publisher", "some"),
            ("license", "some"),
        ];
        let about = about.map(|(key, value)| (key.to_owned(), toml::Value::String(value.to_owned())));
        toml::Table::from_iter([("plugin".to_owned(), toml::Value::Table(toml::Table::from_iter(about)))])
    }

    fn check_plugin(&self, problems: &mut Vec<ManifestError>) {
        let plugin = &self.plugin;
        if plugin.contract != CONTRACT {
            problems.push(ManifestError::Contract { found: shown(&plugin.contract) });
        }
        expect("plugin.publisher", &plugin.publisher, is_name, NAME, problems);
        let is_version = |text: &str| semver::Version::parse(text).is_ok();
        expect("plugin.version", &plugin.version, is_version, "a semantic version such as 0.1.0", problems);
        let sentence = "1 to 1024 bytes without control characters";
        expect("plugin.description", &plugin.description, is_sentence, sentence, problems);
        expect("plugin.license", &plugin.license, is_sentence, sentence, problems);
    }

    fn check_imports(&self, problems: &mut Vec<ManifestError>) {
        let imports = &self.imports;
        let connector = self.plugin.kind == PluginKind::Connector;
        self.only("imports.numbers", !imports.numbers.is_empty(), connector, "connector", problems);
        self.only("imports.kv", imports.kv, connector, "connector", problems);
        self.only("imports.http", !imports.http.is_empty(), connector, "connector", problems);
        self.only("imports.artifact", !imports.artifact.is_empty(), !connector, "transformer or scorer", problems);

        expect_each("imports.lookup", &imports.lookup, is_name, NAME, problems);
        expect_each("imports.numbers", &imports.numbers, is_name, NAME, problems);
        let is_method = |text: &str| METHODS.contains(&text);
        let methods = "one of GET, HEAD, POST, PUT, PATCH, DELETE";
        expect_each("imports.http", &imports.http, is_method, methods, problems);
    }

    fn check_limits(&self, problems: &mut Vec<ManifestError>) {
        for (limit, asked) in self.limits.named().filter_map(|(limit, asked)| Some((limit, asked?))) {
            let key = format!("limits.{}", limit.name);
            self.only(&key, true, limit.binds.binds(self.plugin.kind), limit.binds.who(), problems);
            expect(&key, &asked.to_string(), |text| text != "0", "1 or more", problems);
        }
    }

    fn check_handles(&self, problems: &mut Vec<ManifestError>) {
        let handles = &self.handles;
        let connector = self.plugin.kind == PluginKind::Connector;
        let transformer = self.plugin.kind == PluginKind::Transformer;
        for (key, kinds, may, only) in [
            ("handles.receives", &handles.receives, connector, "connector"),
            ("handles.delivers", &handles.delivers, connector, "connector"),
            ("handles.maps", &handles.maps, transformer, "transformer"),
            ("handles.renders", &handles.renders, transformer, "transformer"),
        ] {
            self.only(key, !kinds.is_empty(), may, only, problems);
            let kind = "1 to 64 lower-case letters, digits, dashes, dots and slashes";
            expect_each(key, kinds, is_document_kind, kind, problems);
        }
    }

    fn only(&self, key: &str, asked: bool, may: bool, only: &'static str, problems: &mut Vec<ManifestError>) {
        if asked && !may {
            problems.push(ManifestError::NotForKind { kind: self.plugin.kind, key: key.to_owned(), only });
        }
    }

    /// What it declares in the sandbox's terms.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let (imports, handles) = (self.imports.clone(), self.handles.clone());
        Declared {
            log: imports.log,
            lookup: imports.lookup,
            numbers: imports.numbers,
            artifacts: imports.artifact,
            kv: imports.kv,
            http: imports.http,
            receives: handles.receives,
            delivers: handles.delivers,
            maps: handles.maps,
            renders: handles.renders,
        }
    }
}

const NAME: &str = "1 to 64 lower-case letters, digits and dashes, a letter first";

fn expect_each(
    key: &str,
    found: &[String],
    fits: impl Fn(&str) -> bool,
    expected: &'static str,
    problems: &mut Vec<ManifestError>,
) {
    found.iter().for_each(|one| expect(key, one, &fits, expected, problems));
}

fn expect(
    key: &str,
    found: &str,
    fits: impl Fn(&str) -> bool,
    expected: &'static str,
    problems: &mut Vec<ManifestError>,
) {
    if !fits(found) {
        problems.push(ManifestError::Value { key: key.to_owned(), found: shown(found), expected });
    }
}

/// A value as a sentence may quote it: short, and on one line whatever is in it.
fn shown(found: &str) -> String {
    on_one_line(&found.chars().take(80).collect::<String>())
}

/// The keys of a section.
fn section<'a>(table: &'a toml::Table, name: &str) -> impl Iterator<Item = (&'a String, &'a toml::Value)> {
    table.get(name).and_then(toml::Value::as_table).into_iter().flatten()
}

/// What is wrong with a manifest that is right but for this key.
fn refused(tried: &toml::Table, key: &str) -> Option<ManifestError> {
    let error = Manifest::deserialize(toml::Value::Table(tried.clone())).err()?;
    Some(ManifestError::Key { key: shown(key), message: one_line(error.message()) })
}

fn is_name(text: &str) -> bool {
    PluginName::parse(text).is_ok()
}

fn is_document_kind(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_sentence(text: &str) -> bool {
    (1..=SENTENCE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// TOML's errors draw a picture over several lines; a log line holds one.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
