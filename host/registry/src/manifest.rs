//! The manifest inside a component. The grammar and the section's name are
//! specified in `wit/README.md`; the build tool writes it, this reads it.

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
    /// It asks for something that its kind never has.
    #[error("it is a {kind} and asks for `{asked}`, which only {allowed} may have; remove it from [imports]")]
    BeyondKind {
        /// Its kind.
        kind: PluginKind,
        /// The ask.
        asked: &'static str,
        /// Who may have it.
        allowed: &'static str,
    },
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Who it is.
    pub plugin: About,
    /// What it asks for.
    #[serde(default)]
    pub imports: Imports,
    /// Limits it asks for; the smallest of default, ask and grant wins.
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
        manifest.within_kind()?;
        Ok(manifest)
    }

    fn within_kind(&self) -> Result<(), ManifestError> {
        let kind = self.plugin.kind;
        let connector = kind == PluginKind::Connector;
        let asks = [
            ("numbers", !self.imports.numbers.is_empty(), connector, "connectors"),
            ("kv", self.imports.kv, connector, "connectors"),
            ("http", !self.imports.http.is_empty(), connector, "connectors"),
            ("artifact", !self.imports.artifact.is_empty(), !connector, "transformers and scorers"),
        ];
        match asks.into_iter().find(|(_, asked, may, _)| *asked && !may) {
            None => Ok(()),
            Some((asked, _, _, allowed)) => Err(ManifestError::BeyondKind { kind, asked, allowed }),
        }
    }
}

impl Imports {
    /// The asks in the sandbox's terms.
    #[must_use]
    pub fn declared(&self) -> Declared {
        Declared {
            log: self.log,
            lookup: self.lookup.clone(),
            numbers: self.numbers.clone(),
            artifacts: self.artifact.clone(),
            kv: self.kv,
            http: self.http.clone(),
        }
    }
}

/// TOML's errors draw a picture over several lines; a log line holds one.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
