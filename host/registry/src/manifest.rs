//! The manifest inside a component. The grammar and the section's name are
//! specified in `wit/README.md`; the build tool reads the same before it compiles, and
//! a test runs one table of manifests through both.
//!
//! Danger: it is read before anything is trusted. So each key is looked at once and by
//! itself, however many there are, and so many slips are told, the others counted.

use std::collections::BTreeSet;

use portreeve_model::strict::{Lines, on_one_line};
use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_sandbox::inspect::MANIFEST_BYTES_MAX;
use portreeve_sandbox::{CONTRACT, Declared, Inspection, LimitChoices};
use serde::{Deserialize, Serialize};

use crate::message::DeclaredMessages;
use crate::setting::DeclaredSettings;

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
    /// There is more than can be told.
    #[error("its manifest has {0} more slip(s), which are not listed; mend these first")]
    More(usize),
}

/// Characters of what TOML's reader says. The longest that it says by itself lists the
/// limits.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Slips that are told. Nobody mends more at a time, and 64 KiB have room for thousands.
pub const SLIPS_MAX: usize = 50;

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
    /// What more it says of kinds of messages that it is asked for.
    #[serde(default, skip_serializing_if = "DeclaredMessages::is_empty")]
    pub messages: DeclaredMessages,
    /// The settings that it reads; where nothing is said it may read any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<DeclaredSettings>,
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
    /// Everything that keeps this host from using it, up to [`SLIPS_MAX`] and how many more.
    pub fn read(text: &str) -> Result<Self, Vec<ManifestError>> {
        let draft = Draft::read(text).map_err(|error| vec![error])?;
        if draft.slips.is_empty() { Ok(draft.manifest) } else { Err(draft.slips) }
    }

    /// A manifest that nothing is wrong with.
    fn otherwise_right() -> toml::Table {
        let about = [
            // Sentences about a package whose own name is none have this one.
            ("name", "this-plugin"),
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

    fn check(&self, problems: &mut Slips) {
        self.check_plugin(problems);
        self.check_imports(problems);
        self.check_limits(problems);
        self.check_handles(problems);
        self.check_messages(problems);
        self.check_settings(problems);
    }

    fn check_plugin(&self, problems: &mut Slips) {
        let plugin = &self.plugin;
        if plugin.contract != CONTRACT {
            problems.push("plugin.contract", || ManifestError::Contract { found: shown(&plugin.contract) });
        }
        expect("plugin.publisher", &plugin.publisher, is_name, NAME, problems);
        let is_version = |text: &str| semver::Version::parse(text).is_ok();
        expect("plugin.version", &plugin.version, is_version, "a semantic version such as 0.1.0", problems);
        expect("plugin.description", &plugin.description, is_sentence, SENTENCE, problems);
        expect("plugin.license", &plugin.license, is_sentence, SENTENCE, problems);
    }

    fn check_imports(&self, problems: &mut Slips) {
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

    fn check_limits(&self, problems: &mut Slips) {
        for (limit, asked) in self.limits.named().filter_map(|(limit, asked)| Some((limit, asked?))) {
            let key = format!("limits.{}", limit.name);
            self.only(&key, true, limit.binds.binds(self.plugin.kind), limit.binds.who(), problems);
            expect(&key, &asked.to_string(), |text| text != "0", "1 or more", problems);
        }
    }

    fn check_handles(&self, problems: &mut Slips) {
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
            expect_each(key, kinds, is_document_kind, KIND, problems);
        }
    }

    fn check_messages(&self, problems: &mut Slips) {
        let transformer = self.plugin.kind == PluginKind::Transformer;
        self.only("messages", !self.messages.is_empty(), transformer, "transformer", problems);
        let may_render = transformer && knows(&problems.wrong, "handles.renders");
        for (kind, message) in &self.messages {
            let key = format!("messages.{kind}");
            let mut wrong = |part: &str, found: &str, expected| {
                let key_of_part = format!("{}{part}", shown(&key));
                problems.push(&key, || ManifestError::Value { key: key_of_part, found: shown(found), expected });
            };
            if !is_document_kind(kind) {
                wrong("", kind, KIND);
            }
            for event in message.of.iter().filter(|event| !is_document_kind(event)) {
                wrong(".of", event, EVENT);
            }
            let renders = message.renders.as_ref().unwrap_or(kind);
            if may_render && !self.handles.renders.contains(renders) {
                wrong(".renders", renders, "a kind that `handles.renders` has");
            }
        }
    }

    fn check_settings(&self, problems: &mut Slips) {
        let Some(settings) = &self.settings else { return };
        let gets_some = self.plugin.kind != PluginKind::Scorer;
        self.only("settings", !settings.is_empty(), gets_some, "connector or transformer", problems);
        let kind = knows(&problems.wrong, "plugin.kind").then_some(self.plugin.kind).filter(|_| gets_some);
        for (name, setting) in settings {
            let key = format!("settings.{name}");
            if !is_name(name) {
                problems.push(&key, || ManifestError::Value { key: shown(&key), found: shown(name), expected: NAME });
            }
            if !is_sentence(&setting.about) {
                let (key_of_about, found) = (format!("{}.about", shown(&key)), shown(&setting.about));
                problems.push(&key, || ManifestError::Value { key: key_of_about, found, expected: SENTENCE });
            }
            for (part, found, expected) in setting.slips(kind) {
                let key_of_part = format!("{}.{part}", shown(&key));
                problems.push(&key, || ManifestError::Value { key: key_of_part, found: shown(&found), expected });
            }
        }
    }

    fn only(&self, key: &str, asked: bool, may: bool, only: &'static str, problems: &mut Slips) {
        // Of what kind it is may be what is wrong.
        if asked && !may && knows(&problems.wrong, "plugin.kind") {
            let kind = self.plugin.kind;
            problems.push(key, || ManifestError::NotForKind { kind, key: key.to_owned(), only });
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

/// What can be read of a manifest, with what cannot: whoever looks further says more than
/// one thing a day.
#[derive(Debug, Clone)]
pub struct Draft {
    manifest: Manifest,
    slips: Vec<ManifestError>,
    wrong: BTreeSet<String>,
}

impl Draft {
    /// Reads what can be read. Serde stops at the first slip, so each key is tried by
    /// itself in a manifest that is otherwise right.
    ///
    /// # Errors
    /// When there is nothing to read: it is too long or no TOML.
    pub fn read(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge { found: text.len() });
        }
        let table: toml::Table = toml::from_str(text).map_err(|error| {
            // Its picture of the place repeats a line, however long that is.
            let line = Lines::of(text).line(error.span().map_or(0, |span| span.start));
            ManifestError::Syntax(format!("line {line}: {}", one_line(error.message())))
        })?;
        let right = Manifest::otherwise_right();
        let mut slips = Slips::default();
        let mut good = right.clone();
        for key in missing(&right, &table) {
            let message = "it is missing; wit/README.md says what it holds".to_owned();
            slips.push(&key, || ManifestError::Key { key: key.clone(), message });
        }
        for (name, value) in table {
            match value {
                toml::Value::Table(keys) if !keys.is_empty() => {
                    for (key, value) in keys {
                        let path = format!("{name}.{key}");
                        let one = toml::Table::from_iter([(key.clone(), value)]);
                        if let Some(one) = tried(&right, &name, toml::Value::Table(one), &path, &mut slips) {
                            put(&mut good, &name, one);
                        }
                    }
                }
                // An empty section, which may say something all the same, or none at all.
                value => {
                    if let Some(empty) = tried(&right, &name, value, &name, &mut slips) {
                        put(&mut good, &name, empty);
                    }
                }
            }
        }
        let mut manifest = of_table(&good)?;
        manifest.check(&mut slips);
        if !slips.wrong.is_empty() {
            // What a key has that does not take it is nothing to go on with.
            manifest = of_table(&without(&good, &right, &slips.wrong))?;
        }
        let (slips, wrong) = slips.told();
        Ok(Self { manifest, slips, wrong })
    }

    /// The manifest; a key that is wrong has a value that nobody wrote.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Everything that is wrong, up to [`SLIPS_MAX`] and how many more.
    #[must_use]
    pub fn slips(&self) -> &[ManifestError] {
        &self.slips
    }

    /// Whether the author wrote what the manifest has at this key, or rightly left it out.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        knows(&self.wrong, key)
    }
}

fn knows(wrong: &BTreeSet<String>, key: &str) -> bool {
    let section = key.split('.').next().unwrap_or(key);
    !wrong.contains(key) && !wrong.contains(section)
}

/// Slips as they are found, and the keys that have them.
#[derive(Default)]
struct Slips {
    told: Vec<ManifestError>,
    more: usize,
    wrong: BTreeSet<String>,
}

impl Slips {
    /// Adds one; it is put into words only if it is told.
    fn push(&mut self, key: &str, slip: impl FnOnce() -> ManifestError) {
        self.wrong.insert(key.to_owned());
        if self.told.len() < SLIPS_MAX {
            self.told.push(slip());
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    fn told(mut self) -> (Vec<ManifestError>, BTreeSet<String>) {
        if self.more > 0 {
            self.told.push(ManifestError::More(self.more));
        }
        (self.told, self.wrong)
    }
}

/// The keys of `[plugin]`, which are all required, that are not there.
fn missing(right: &toml::Table, table: &toml::Table) -> Vec<String> {
    let section =
        |table: &toml::Table| table.get("plugin").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let given = section(table);
    let required = section(right).into_iter().map(|(key, _)| key);
    required.filter(|key| !given.contains_key(key)).map(|key| format!("plugin.{key}")).collect()
}

/// Tries one key, or a whole section, in a manifest that is otherwise right; gives the value
/// back when it is right as well.
fn tried(right: &toml::Table, name: &str, value: toml::Value, path: &str, slips: &mut Slips) -> Option<toml::Value> {
    let mut tried = right.clone();
    let is_section = value.is_table();
    if is_section {
        put(&mut tried, name, value.clone());
    } else {
        tried.insert(name.to_owned(), value.clone());
    }
    match Manifest::deserialize(toml::Value::Table(tried)) {
        Ok(_) => Some(value),
        Err(error) => {
            slips.push(path, || ManifestError::Key { key: shown(path), message: one_line(error.message()) });
            None
        }
    }
}

/// Puts keys into a section.
fn put(table: &mut toml::Table, name: &str, keys: toml::Value) {
    let section = table.entry(name.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let (Some(section), toml::Value::Table(keys)) = (section.as_table_mut(), keys) {
        section.extend(keys);
    }
}

/// The same without the keys that are wrong; those that are required are as they should be.
fn without(good: &toml::Table, right: &toml::Table, wrong: &BTreeSet<String>) -> toml::Table {
    let mut mended = good.clone();
    for path in wrong {
        let Some((name, key)) = path.split_once('.') else { continue };
        let Some(section) = mended.get_mut(name).and_then(toml::Value::as_table_mut) else { continue };
        let required = right.get(name).and_then(toml::Value::as_table).and_then(|keys| keys.get(key));
        match required {
            Some(required) => section.insert(key.to_owned(), required.clone()),
            None => section.remove(key),
        };
    }
    mended
}

fn of_table(table: &toml::Table) -> Result<Manifest, ManifestError> {
    Manifest::deserialize(toml::Value::Table(table.clone()))
        .map_err(|error| ManifestError::Syntax(one_line(error.message())))
}

const NAME: &str = "1 to 64 lower-case letters, digits and dashes, a letter first";
const SENTENCE: &str = "1 to 1024 bytes without control characters";
const KIND: &str = "1 to 64 lower-case letters, digits, dashes, dots and slashes";
const EVENT: &str = "the name of a canonical event such as order.accepted";

fn expect_each(key: &str, found: &[String], fits: impl Fn(&str) -> bool, expected: &'static str, problems: &mut Slips) {
    found.iter().for_each(|one| expect(key, one, &fits, expected, problems));
}

fn expect(key: &str, found: &str, fits: impl Fn(&str) -> bool, expected: &'static str, problems: &mut Slips) {
    if !fits(found) {
        problems.push(key, || ManifestError::Value { key: key.to_owned(), found: shown(found), expected });
    }
}

/// A value as a sentence may quote it: short, and on one line whatever is in it.
fn shown(found: &str) -> String {
    on_one_line(&found.chars().take(80).collect::<String>())
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

/// What TOML's reader says, on one line: it names what it did not expect, which may be as
/// long as the manifest.
fn one_line(text: &str) -> String {
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    on_one_line(&text.chars().take(MESSAGE_CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const PLUGIN: [(&str, &str); 7] = [
        ("name", "\"large-order\""),
        ("version", "\"1.2.3\""),
        ("kind", "\"transformer\""),
        ("contract", "\"portreeve:plugin@0.1.0\""),
        ("description", "\"Says something.\""),
        ("publisher", "\"acme\""),
        ("license", "\"MIT\""),
    ];

    fn plugin() -> String {
        let lines: Vec<String> = PLUGIN.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("[plugin]\n{}", lines.concat())
    }

    #[test]
    fn so_many_slips_are_told_as_anybody_mends_and_the_others_are_counted_in_one_sentence() {
        let unknown = |count: usize| (0..count).map(|number| format!("k{number} = 1\n")).collect::<String>();
        for count in [1, SLIPS_MAX, SLIPS_MAX + 1, 5_000] {
            let items = "\"A\",".repeat(count);
            for text in [
                format!("{}{}", plugin(), unknown(count)),
                format!("{}{}", unknown(count), plugin()),
                format!("{}[imports]\n{}", plugin(), unknown(count)),
                format!("{}[limits]\n{}", plugin(), unknown(count)),
                format!("{}[wishes]\n{}", plugin(), unknown(count)),
                format!("{}[imports]\nlookup = [{items}]\n", plugin()),
                format!("{}[handles]\nmaps = [{items}]\n", plugin()),
            ] {
                let slips = Manifest::read(&text).unwrap_err();
                assert_eq!(slips.len(), count.min(SLIPS_MAX + 1), "{count} of {}", text.get(..300).unwrap_or(&text));
                let more = slips.last().filter(|_| count > SLIPS_MAX);
                assert_eq!(more, (count > SLIPS_MAX).then(|| ManifestError::More(count - SLIPS_MAX)).as_ref());
                assert!(slips.iter().all(|slip| slip.to_string().len() < 2_000));
            }
        }
    }

    #[test]
    fn what_a_slip_quotes_is_short_however_long_its_line_is() {
        let long = "k".repeat(60_000);
        for text in [
            format!("{}{long} = 1\n", plugin()),
            format!("{}[{long}]\n", plugin()),
            format!("{}{long}\n", plugin()),
            format!("{} = = {long}\n", plugin()),
            plugin().replace("transformer", &long),
            plugin().replace("large-order", &long),
        ] {
            for slip in Manifest::read(&text).unwrap_err() {
                let slip = slip.to_string();
                assert!(
                    slip.len() < 4_096 && !slip.contains('\n'),
                    "{} bytes: {}",
                    slip.len(),
                    slip.get(..200).unwrap()
                );
            }
        }
        let syntax = Manifest::parse(&format!("{}a = \n", plugin())).unwrap_err().to_string();
        assert!(syntax.starts_with("its manifest cannot be understood: line 9: "), "{syntax}");
    }

    #[test]
    fn a_draft_keeps_what_is_right_whichever_keys_are_wrong() {
        // Each key with what is right, and whether a value that is wrong has its type.
        let keys: Vec<(&str, &str, &str, &str)> = vec![
            ("plugin", "name", "\"large-order\"", "\"Large Order\""),
            ("plugin", "version", "\"1.2.3\"", "\"latest\""),
            ("plugin", "kind", "\"transformer\"", "\"plugin\""),
            ("plugin", "publisher", "\"acme\"", "7"),
            ("imports", "log", "true", "1"),
            ("imports", "lookup", "[\"item\"]", "[\"Item\"]"),
            ("limits", "memory_bytes", "5", "0"),
            ("handles", "maps", "[\"x12/850\"]", "\"x12/850\""),
            (
                "settings",
                "unit",
                "{ about = \"A unit\", kind = \"text\" }",
                "{ about = \"A unit\", kind = \"text\", min = 1 }",
            ),
        ];
        let right = Manifest::otherwise_right();
        for wrong in 0_u32..1 << keys.len() {
            let is_wrong = |at: usize| wrong >> at & 1 == 1;
            let mut text = String::new();
            for section in ["plugin", "imports", "limits", "handles", "settings"] {
                text.push_str(&format!("[{section}]\n"));
                for (at, (_, key, good, bad)) in keys.iter().enumerate().filter(|(_, key)| key.0 == section) {
                    text.push_str(&format!("{key} = {}\n", if is_wrong(at) { bad } else { good }));
                }
                for (key, value) in
                    PLUGIN.iter().filter(|(key, _)| section == "plugin" && !keys.iter().any(|one| one.1 == *key))
                {
                    text.push_str(&format!("{key} = {value}\n"));
                }
            }
            let draft = Draft::read(&text).unwrap();
            assert_eq!(
                draft.slips().len(),
                usize::try_from(wrong.count_ones()).unwrap(),
                "{text}\n{:?}",
                draft.slips()
            );
            let read = toml::Table::try_from(draft.manifest()).unwrap();
            let written: toml::Table = toml::from_str(&text).unwrap();
            for (at, (section, key, ..)) in keys.iter().enumerate() {
                assert_eq!(draft.knows(&format!("{section}.{key}")), !is_wrong(at), "{text}");
                let of = |table: &toml::Table| table.get(*section).and_then(|keys| keys.get(*key)).cloned();
                if !is_wrong(at) {
                    assert_eq!(of(&read), of(&written), "{section}.{key} of {text}");
                } else if *section == "plugin" {
                    assert_eq!(of(&read), of(&right), "nothing to go on with: {section}.{key}");
                }
            }
        }
    }
}
