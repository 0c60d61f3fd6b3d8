//! The manifest inside a component. The grammar and the section's name are
//! specified in `wit/README.md`; the build tool reads the same before it compiles, and
//! a test runs one table of manifests through both.

use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_sandbox::inspect::MANIFEST_BYTES_MAX;
use portreeve_sandbox::{CONTRACT, Declared, Inspection, LimitChoices};
use serde::{Deserialize, Serialize};

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
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

/// Limits that stop connectors only: a clock, the network, numbers.
const CONNECTOR_LIMITS: [&str; 12] = [
    "cpu_ms",
    "numbers",
    "kv_keys",
    "kv_value_bytes",
    "kv_bytes",
    "http_requests",
    "http_request_bytes",
    "http_response_bytes",
    "http_header_bytes",
    "http_connect_ms",
    "http_total_ms",
    "http_bytes",
];

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
    /// When it cannot be understood or used by this host.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge { found: text.len() });
        }
        let manifest: Self =
            toml::from_str(text).map_err(|error| ManifestError::Syntax(one_line(&error.to_string())))?;
        if manifest.plugin.contract != CONTRACT {
            return Err(ManifestError::Contract { found: manifest.plugin.contract.chars().take(64).collect() });
        }
        manifest.check_plugin()?;
        manifest.check_imports()?;
        manifest.check_limits()?;
        manifest.check_handles()?;
        Ok(manifest)
    }

    fn check_plugin(&self) -> Result<(), ManifestError> {
        let plugin = &self.plugin;
        expect("plugin.publisher", &plugin.publisher, is_name, NAME)?;
        let is_version = |text: &str| semver::Version::parse(text).is_ok();
        expect("plugin.version", &plugin.version, is_version, "a semantic version such as 0.1.0")?;
        let sentence = "1 to 1024 bytes without control characters";
        expect("plugin.description", &plugin.description, is_sentence, sentence)?;
        expect("plugin.license", &plugin.license, is_sentence, sentence)
    }

    fn check_imports(&self) -> Result<(), ManifestError> {
        let imports = &self.imports;
        let connector = self.plugin.kind == PluginKind::Connector;
        self.only("imports.numbers", !imports.numbers.is_empty(), connector, "connector")?;
        self.only("imports.kv", imports.kv, connector, "connector")?;
        self.only("imports.http", !imports.http.is_empty(), connector, "connector")?;
        self.only("imports.artifact", !imports.artifact.is_empty(), !connector, "transformer or scorer")?;

        expect_each("imports.lookup", &imports.lookup, is_name, NAME)?;
        expect_each("imports.numbers", &imports.numbers, is_name, NAME)?;
        let is_method = |text: &str| METHODS.contains(&text);
        expect_each("imports.http", &imports.http, is_method, "one of GET, HEAD, POST, PUT, PATCH, DELETE")
    }

    fn check_limits(&self) -> Result<(), ManifestError> {
        let connector = self.plugin.kind == PluginKind::Connector;
        for (name, limit) in self.limits.named().filter_map(|(name, limit)| Some((name, limit?))) {
            let key = format!("limits.{name}");
            self.only(&key, ["fuel", "artifact_bytes"].contains(&name), !connector, "transformer or scorer")?;
            self.only(&key, CONNECTOR_LIMITS.contains(&name), connector, "connector")?;
            expect(&key, &limit.to_string(), |text| text != "0", "1 or more")?;
        }
        Ok(())
    }

    fn check_handles(&self) -> Result<(), ManifestError> {
        let handles = &self.handles;
        let connector = self.plugin.kind == PluginKind::Connector;
        let transformer = self.plugin.kind == PluginKind::Transformer;
        for (key, kinds, may, only) in [
            ("handles.receives", &handles.receives, connector, "connector"),
            ("handles.delivers", &handles.delivers, connector, "connector"),
            ("handles.maps", &handles.maps, transformer, "transformer"),
            ("handles.renders", &handles.renders, transformer, "transformer"),
        ] {
            self.only(key, !kinds.is_empty(), may, only)?;
            let kind = "1 to 64 lower-case letters, digits, dashes, dots and slashes";
            expect_each(key, kinds, is_document_kind, kind)?;
        }
        Ok(())
    }

    fn only(&self, key: &str, asked: bool, may: bool, only: &'static str) -> Result<(), ManifestError> {
        if asked && !may {
            return Err(ManifestError::NotForKind { kind: self.plugin.kind, key: key.to_owned(), only });
        }
        Ok(())
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
) -> Result<(), ManifestError> {
    found.iter().try_for_each(|one| expect(key, one, &fits, expected))
}

fn expect(key: &str, found: &str, fits: impl Fn(&str) -> bool, expected: &'static str) -> Result<(), ManifestError> {
    if fits(found) {
        return Ok(());
    }
    Err(ManifestError::Value { key: key.to_owned(), found: found.chars().take(80).collect(), expected })
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
