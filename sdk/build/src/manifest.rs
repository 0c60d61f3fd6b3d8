//! `plugin.toml` as an author writes it; the grammar is in `wit/README.md`.
//!
//! The host reads the manifest again, from the component, and believes only
//! what it read itself. This reader is here so that an author hears of a slip
//! before the compiler runs, and with its line.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The contract that this version builds for.
pub const CONTRACT: &str = "portreeve:plugin@0.1.0";

/// The host refuses longer ones: a manifest is read before anything is trusted.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;

const NAME_BYTES_MAX: usize = 64;
const NAME: &str = "1 to 64 lower-case letters, digits and dashes, a letter first";
const KIND: &str = "a kind such as x12/850: lower-case letters, digits, dashes, dots and slashes";
const SENTENCE_BYTES_MAX: usize = 1_024;
const SENTENCE: &str = "text of 1 to 1024 bytes without control characters";
const CHOICE_BYTES_MAX: usize = 64;
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Why a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Too long.
    #[error("found {found} bytes, at most {MANIFEST_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// No UTF-8.
    #[error("it is not UTF-8 text; save it as UTF-8")]
    NotText,
    /// No TOML, a missing or an unknown key, a wrong type; with line and column.
    #[error("{0}")]
    Syntax(String),
    /// A value that its key doesn't take.
    #[error("`{key}` is `{found}`; expected {expected}")]
    Value {
        /// The key's path.
        key: String,
        /// What was found.
        found: String,
        /// What is taken.
        expected: String,
    },
    /// An import or limit that plugins of this kind don't have.
    #[error("`{key}` is not for a {kind}; only a {only} has it, so remove the line")]
    NotForKind {
        /// The key's path.
        key: &'static str,
        /// The plugin's kind.
        kind: Kind,
        /// The kinds that have it.
        only: &'static str,
    },
}

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Who it is.
    pub plugin: PluginTable,
    /// What it asks to import.
    #[serde(default)]
    pub imports: Imports,
    /// What it asks for at most.
    #[serde(default)]
    pub limits: Limits,
    /// Which documents and messages it is for.
    #[serde(default)]
    pub handles: Handles,
    /// What more it says of kinds of messages that it is asked for.
    #[serde(default)]
    pub messages: BTreeMap<String, Message>,
    /// The settings that it reads; where nothing is said it may read any.
    #[serde(default)]
    pub settings: Option<BTreeMap<String, Setting>>,
}

/// Who a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginTable {
    /// 1 to 64 lower-case letters, digits and dashes, a letter first.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Its kind.
    pub kind: Kind,
    /// [`CONTRACT`].
    pub contract: String,
    /// One sentence.
    pub description: String,
    /// Who publishes it; by the same rule as the name.
    pub publisher: String,
    /// SPDX expression.
    pub license: String,
}

/// The kinds of plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Speaks a protocol.
    Connector,
    /// Maps documents and events.
    Transformer,
    /// Assesses orders.
    Scorer,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connector => "connector",
            Self::Transformer => "transformer",
            Self::Scorer => "scorer",
        })
    }
}

/// What a plugin asks to import; absent means not imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imports {
    /// Lines in the operator's log.
    #[serde(default)]
    pub log: bool,
    /// Reference tables.
    #[serde(default)]
    pub lookup: Vec<String>,
    /// Number ranges; connectors.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Model files by digest (`sha256:…`); transformers and scorers.
    #[serde(default)]
    pub artifact: Vec<String>,
    /// State per order or poll; connectors.
    #[serde(default)]
    pub kv: bool,
    /// HTTP methods; connectors.
    #[serde(default)]
    pub http: Vec<String>,
}

/// What a plugin asks for. Less than the host's default counts by itself; more only
/// when the platform team grants it as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Elements of tables.
    pub table_elements: Option<u64>,
    /// Core instances of the component.
    pub instances: Option<u64>,
    /// Fuel per call; transformers and scorers.
    pub fuel: Option<u64>,
    /// CPU per call in milliseconds; connectors.
    pub cpu_ms: Option<u64>,
    /// Time per call in milliseconds.
    pub wall_ms: Option<u64>,
    /// Calls at the same time.
    pub calls_at_once: Option<u64>,
    /// Calls in a second.
    pub calls_per_second: Option<u64>,
    /// Calls of host functions.
    pub host_calls: Option<u64>,
    /// Bytes of arguments and answers of host functions.
    pub host_call_bytes: Option<u64>,
    /// Log lines that are kept.
    pub log_lines: Option<u64>,
    /// Bytes of kept log lines.
    pub log_bytes: Option<u64>,
    /// Bytes that a call returns.
    pub output_bytes: Option<u64>,
    /// Elements of all lists that a call returns.
    pub output_items: Option<u64>,
    /// Handles to host resources.
    pub handles: Option<u64>,
    /// Numbers drawn from ranges; connectors.
    pub numbers: Option<u64>,
    /// Keys of state about an order; connectors.
    pub kv_keys: Option<u64>,
    /// Bytes of one value of state; connectors.
    pub kv_value_bytes: Option<u64>,
    /// Bytes of all state about an order; connectors.
    pub kv_bytes: Option<u64>,
    /// Bytes of all model files; transformers and scorers.
    pub artifact_bytes: Option<u64>,
    /// HTTP requests; connectors.
    pub http_requests: Option<u64>,
    /// Bytes of one request's body; connectors.
    pub http_request_bytes: Option<u64>,
    /// Bytes of one response's body; connectors.
    pub http_response_bytes: Option<u64>,
    /// Bytes of the headers of one request or answer; connectors.
    pub http_header_bytes: Option<u64>,
    /// Time until a target is resolved, and until a connection stands; connectors.
    pub http_connect_ms: Option<u64>,
    /// Time of one exchange; connectors.
    pub http_total_ms: Option<u64>,
    /// Bytes of all requests and answers together; connectors.
    pub http_bytes: Option<u64>,
}

/// Which documents and messages a plugin is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handles {
    /// Kinds of documents that a connector makes.
    #[serde(default)]
    pub receives: Vec<String>,
    /// Kinds of messages that a connector takes.
    #[serde(default)]
    pub delivers: Vec<String>,
    /// Kinds of documents that a transformer maps.
    #[serde(default)]
    pub maps: Vec<String>,
    /// Kinds of messages that a transformer renders.
    #[serde(default)]
    pub renders: Vec<String>,
}

/// A kind of message that a transformer is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The canonical events that it is made of; any, where nothing is said.
    #[serde(default)]
    pub of: Vec<String>,
    /// The kind that the message has, where it is another one.
    pub renders: Option<String>,
}

/// A setting that a plugin reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What it is for, one line for people.
    pub about: String,
    /// What it may hold.
    pub kind: SettingKind,
    /// Whether the calls that read it fail without it.
    #[serde(default)]
    pub required: bool,
    /// What the plugin takes where nothing is set.
    pub default: Option<String>,
    /// The values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The smallest integer.
    pub min: Option<i64>,
    /// The largest.
    pub max: Option<i64>,
    /// Characters of a text.
    pub chars_max: Option<u32>,
    /// Parts of a text, apart by colons and none of them empty: the fewest.
    pub parts_min: Option<u32>,
    /// The most.
    pub parts_max: Option<u32>,
    /// Characters of each part, the first one's first: the fewest.
    #[serde(default)]
    pub part_chars_min: Vec<u32>,
    /// The most.
    #[serde(default)]
    pub part_chars_max: Vec<u32>,
    /// The calls that read it; all, where nothing is said.
    #[serde(default)]
    pub on: Vec<String>,
    /// Whether it may be one partner's alone, who stands behind an `@`.
    #[serde(default)]
    pub per_partner: bool,
}

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number in decimal digits.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// One of some words.
    Choice,
    /// One or more of some words, apart by commas or blanks.
    Choices,
}

impl Setting {
    /// What is wrong with it: the key, what was found, what is taken.
    fn slip(&self, of: Kind) -> Option<(&'static str, String, &'static str)> {
        let is_choice = matches!(self.kind, SettingKind::Choice | SettingKind::Choices);
        if is_choice == self.choices.is_empty() {
            return Some(("choices", self.choices.join(", "), "one word or more for a choice, and none for all else"));
        }
        if let Some(choice) = self.choices.iter().find(|choice| !is_choice_word(choice)) {
            return Some(("choices", choice.clone(), "words of 1 to 64 letters, digits, dashes and dots"));
        }
        if self.kind != SettingKind::Integer
            && let Some(bound) = self.min.or(self.max)
        {
            return Some(("min", bound.to_string(), "no bounds, for only an integer has them"));
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Some(("min", min.to_string(), "no more than `max`"));
        }
        match self.chars_max {
            Some(most) if self.kind != SettingKind::Text || most == 0 => {
                return Some(("chars_max", most.to_string(), "1 or more, for a text alone"));
            }
            Some(_) | None => {}
        }
        for (key, parts) in [("parts_min", self.parts_min), ("parts_max", self.parts_max)] {
            if let Some(parts) = parts.filter(|parts| self.kind != SettingKind::Text || *parts == 0) {
                return Some((key, parts.to_string(), "1 or more, for a text alone"));
            }
        }
        if let (Some(min), Some(max)) = (self.parts_min, self.parts_max)
            && min > max
        {
            return Some(("parts_min", min.to_string(), "no more than `parts_max`"));
        }
        if let Some(slip) = self.part_slip() {
            return Some(slip);
        }
        if let Some(default) = &self.default
            && (self.required || !self.takes(default))
        {
            return Some(("default", default.clone(), "a value that the setting takes, unless it is required"));
        }
        let (calls, expected) = calls_of(of);
        let stray = self.on.iter().find(|on| !calls.contains(&on.as_str()));
        stray.map(|on| ("on", on.clone(), expected))
    }

    fn takes(&self, value: &str) -> bool {
        let offers = |word: &str| self.choices.iter().any(|choice| choice == word);
        match self.kind {
            SettingKind::Text => {
                let chars = u32::try_from(value.chars().count()).unwrap_or(u32::MAX);
                self.chars_max.is_none_or(|most| chars <= most) && self.is_parted(value)
            }
            SettingKind::Integer => {
                let (min, max) = (self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX));
                value.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number))
            }
            SettingKind::Boolean => ["true", "false"].contains(&value),
            SettingKind::Choice => offers(value),
            SettingKind::Choices => {
                let mut named = value.split([',', ' ']).filter(|word| !word.is_empty()).peekable();
                named.peek().is_some() && named.all(offers)
            }
        }
    }

    fn is_parted(&self, text: &str) -> bool {
        if self.parts_min.or(self.parts_max).is_none() {
            return true;
        }
        let count = u32::try_from(text.split(':').count()).unwrap_or(u32::MAX);
        let is_whole = text.split(':').all(|part| !part.is_empty());
        is_whole
            && (self.parts_min.unwrap_or(1)..=self.parts_max.unwrap_or(u32::MAX)).contains(&count)
            && text.split(':').enumerate().all(|(nth, part)| self.is_part(nth, part))
    }

    fn is_part(&self, nth: usize, part: &str) -> bool {
        // What stands for a character that would end the part, or the key that it is in, is one.
        let escaped: usize = ["%25", "%2F", "%3A", "%3E"].iter().map(|escape| part.matches(*escape).count()).sum();
        let chars = part.chars().count().saturating_sub(escaped.saturating_mul(2));
        let chars = u32::try_from(chars).unwrap_or(u32::MAX);
        let is_long = self.part_chars_min.get(nth).is_none_or(|least| *least <= chars);
        is_long && self.part_chars_max.get(nth).is_none_or(|most| chars <= *most)
    }

    /// What is wrong with how long its parts are said to be.
    fn part_slip(&self) -> Option<(&'static str, String, &'static str)> {
        let (least, most) = (&self.part_chars_min, &self.part_chars_max);
        let has_parts = self.parts_min.or(self.parts_max).is_some();
        for (key, lengths) in [("part_chars_min", least), ("part_chars_max", most)] {
            if let Some(length) = lengths.iter().find(|length| !has_parts || **length == 0) {
                return Some((key, length.to_string(), "1 or more for each part, of a text of so many parts alone"));
            }
            let parts = self.parts_max.and_then(|most| usize::try_from(most).ok());
            if parts.is_some_and(|parts| lengths.len() > parts) {
                return Some((key, lengths.len().to_string(), "no more entries than `parts_max`"));
            }
        }
        let (min, _) = least.iter().zip(most).find(|(min, max)| min > max)?;
        Some(("part_chars_min", min.to_string(), "no more than `part_chars_max` has for the same part"))
    }
}

/// The calls of a plugin that a host makes with settings, and how a sentence says that. `check` is
/// none of them: the contract has it, and no host makes it.
fn calls_of(kind: Kind) -> (&'static [&'static str], &'static str) {
    match kind {
        Kind::Connector => (
            &["receive", "deliver", "find", "poll"],
            "calls that a host makes of a connector: receive, deliver, find, poll",
        ),
        Kind::Transformer => (
            &["to-canonical", "from-canonical"],
            "calls that a host makes of a transformer: to-canonical, from-canonical",
        ),
        Kind::Scorer => (&[], "nothing, for a scorer gets no settings"),
    }
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// At the first thing that is wrong; see [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong { found: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotText)?;
        let manifest: Self =
            toml::from_str(text).map_err(|error| ManifestError::Syntax(error.to_string().trim_end().to_owned()))?;
        manifest.check_plugin()?;
        manifest.check_imports()?;
        manifest.check_limits()?;
        manifest.check_handles()?;
        manifest.check_messages()?;
        manifest.check_settings()?;
        Ok(manifest)
    }

    fn check_plugin(&self) -> Result<(), ManifestError> {
        let plugin = &self.plugin;
        expect("plugin.name", &plugin.name, is_name, NAME)?;
        expect("plugin.publisher", &plugin.publisher, is_name, NAME)?;
        let is_version = |text: &str| semver::Version::parse(text).is_ok();
        let version = "a semantic version such as 0.1.0";
        expect("plugin.version", &plugin.version, is_version, version)?;
        let is_contract = |text: &str| text == CONTRACT;
        expect("plugin.contract", &plugin.contract, is_contract, CONTRACT)?;
        expect("plugin.description", &plugin.description, is_sentence, SENTENCE)?;
        expect("plugin.license", &plugin.license, is_sentence, SENTENCE)
    }

    fn check_imports(&self) -> Result<(), ManifestError> {
        let imports = &self.imports;
        let connector = self.plugin.kind == Kind::Connector;
        let only = "connector";
        self.check_kind("imports.numbers", !imports.numbers.is_empty(), connector, only)?;
        self.check_kind("imports.kv", imports.kv, connector, only)?;
        self.check_kind("imports.http", !imports.http.is_empty(), connector, only)?;
        let only = "transformer or scorer";
        self.check_kind("imports.artifact", !imports.artifact.is_empty(), !connector, only)?;

        expect_each("imports.lookup", &imports.lookup, is_name, NAME)?;
        expect_each("imports.numbers", &imports.numbers, is_name, NAME)?;
        let digest = "`sha256:` and 64 lower-case hexadecimal digits";
        expect_each("imports.artifact", &imports.artifact, is_digest, digest)?;
        let is_method = |text: &str| METHODS.contains(&text);
        let method = "one of GET, HEAD, POST, PUT, PATCH, DELETE";
        expect_each("imports.http", &imports.http, is_method, method)
    }

    fn check_limits(&self) -> Result<(), ManifestError> {
        let limits = &self.limits;
        let connector = self.plugin.kind == Kind::Connector;
        for (key, limit, allowed, only) in [
            ("limits.memory_bytes", limits.memory_bytes, true, ""),
            ("limits.table_elements", limits.table_elements, true, ""),
            ("limits.instances", limits.instances, true, ""),
            ("limits.fuel", limits.fuel, !connector, "transformer or scorer"),
            ("limits.cpu_ms", limits.cpu_ms, connector, "connector"),
            ("limits.wall_ms", limits.wall_ms, true, ""),
            ("limits.calls_at_once", limits.calls_at_once, true, ""),
            ("limits.calls_per_second", limits.calls_per_second, true, ""),
            ("limits.host_calls", limits.host_calls, true, ""),
            ("limits.host_call_bytes", limits.host_call_bytes, true, ""),
            ("limits.log_lines", limits.log_lines, true, ""),
            ("limits.log_bytes", limits.log_bytes, true, ""),
            ("limits.output_bytes", limits.output_bytes, true, ""),
            ("limits.output_items", limits.output_items, true, ""),
            ("limits.handles", limits.handles, true, ""),
            ("limits.numbers", limits.numbers, connector, "connector"),
            ("limits.kv_keys", limits.kv_keys, connector, "connector"),
            ("limits.kv_value_bytes", limits.kv_value_bytes, connector, "connector"),
            ("limits.kv_bytes", limits.kv_bytes, connector, "connector"),
            ("limits.artifact_bytes", limits.artifact_bytes, !connector, "transformer or scorer"),
            ("limits.http_requests", limits.http_requests, connector, "connector"),
            ("limits.http_request_bytes", limits.http_request_bytes, connector, "connector"),
            ("limits.http_response_bytes", limits.http_response_bytes, connector, "connector"),
            ("limits.http_header_bytes", limits.http_header_bytes, connector, "connector"),
            ("limits.http_connect_ms", limits.http_connect_ms, connector, "connector"),
            ("limits.http_total_ms", limits.http_total_ms, connector, "connector"),
            ("limits.http_bytes", limits.http_bytes, connector, "connector"),
        ] {
            self.check_kind(key, limit.is_some(), allowed, only)?;
            let text = limit.unwrap_or(1).to_string();
            expect(key, &text, |text| text != "0", "1 or more")?;
        }
        Ok(())
    }

    fn check_handles(&self) -> Result<(), ManifestError> {
        let handles = &self.handles;
        let connector = self.plugin.kind == Kind::Connector;
        let transformer = self.plugin.kind == Kind::Transformer;
        for (key, kinds, allowed, only) in [
            ("handles.receives", &handles.receives, connector, "connector"),
            ("handles.delivers", &handles.delivers, connector, "connector"),
            ("handles.maps", &handles.maps, transformer, "transformer"),
            ("handles.renders", &handles.renders, transformer, "transformer"),
        ] {
            self.check_kind(key, !kinds.is_empty(), allowed, only)?;
            expect_each(key, kinds, is_document_kind, KIND)?;
        }
        Ok(())
    }

    fn check_messages(&self) -> Result<(), ManifestError> {
        let transformer = self.plugin.kind == Kind::Transformer;
        self.check_kind("messages", !self.messages.is_empty(), transformer, "transformer")?;
        for (kind, message) in &self.messages {
            let key = format!("messages.{}", shown(kind));
            expect(&key, kind, is_document_kind, KIND)?;
            let event = "the name of a canonical event such as order.accepted";
            expect_each(&format!("{key}.of"), &message.of, is_document_kind, event)?;
            let is_rendered = |kind: &str| self.handles.renders.iter().any(|rendered| rendered == kind);
            let renders = message.renders.as_ref().unwrap_or(kind);
            expect(&format!("{key}.renders"), renders, is_rendered, "a kind that `handles.renders` has")?;
        }
        Ok(())
    }

    fn check_settings(&self) -> Result<(), ManifestError> {
        let Some(settings) = &self.settings else { return Ok(()) };
        let gets_some = self.plugin.kind != Kind::Scorer;
        self.check_kind("settings", !settings.is_empty(), gets_some, "connector or transformer")?;
        for (name, setting) in settings {
            let key = format!("settings.{}", shown(name));
            expect(&key, name, is_name, NAME)?;
            expect(&format!("{key}.about"), &setting.about, is_sentence, SENTENCE)?;
            if let Some((part, found, expected)) = setting.slip(self.plugin.kind) {
                let (key, expected) = (format!("{key}.{part}"), expected.to_owned());
                return Err(ManifestError::Value { key, found: shown(&found), expected });
            }
        }
        Ok(())
    }

    fn check_kind(
        &self,
        key: &'static str,
        present: bool,
        allowed: bool,
        only: &'static str,
    ) -> Result<(), ManifestError> {
        if present && !allowed {
            let kind = self.plugin.kind;
            return Err(ManifestError::NotForKind { key, kind, only });
        }
        Ok(())
    }
}

fn expect_each(key: &str, found: &[String], fits: impl Fn(&str) -> bool, expected: &str) -> Result<(), ManifestError> {
    found.iter().try_for_each(|one| expect(key, one, &fits, expected))
}

fn expect(key: &str, found: &str, fits: impl Fn(&str) -> bool, expected: &str) -> Result<(), ManifestError> {
    if fits(found) {
        return Ok(());
    }
    Err(ManifestError::Value { key: key.to_owned(), found: shown(found), expected: expected.to_owned() })
}

/// Short, and on one line whatever is in it.
fn shown(found: &str) -> String {
    found.chars().take(80).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(allowed)
}

fn is_document_kind(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_sentence(text: &str) -> bool {
    (1..=SENTENCE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_choice_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    (1..=CHOICE_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_digest(text: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hexadecimal))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SCORER: &str = r#"
[plugin]
name = "fraud"
version = "0.1.0"
kind = "scorer"
contract = "portreeve:plugin@0.1.0"
description = "Scores."
publisher = "portreeve"
license = "Apache-2.0"
"#;

    fn check(added: &str, expected: &str) {
        let text = format!("{SCORER}{added}");
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{added:?} gave {error:?}");
    }

    #[test]
    fn reads_a_manifest_without_imports() {
        let manifest = Manifest::parse(SCORER.as_bytes()).unwrap();
        assert_eq!(manifest.plugin.kind, Kind::Scorer);
        assert_eq!(manifest.imports, Imports::default());
    }

    #[test]
    fn refuses_unknown_keys_with_their_line() {
        check("[imports]\nnetwork = true", "line 11");
        check("[imports]\nnetwork = true", "network");
        check("[wishes]\n", "wishes");
    }

    #[test]
    fn refuses_what_the_kind_does_not_have() {
        check("[imports]\nhttp = [\"GET\"]", "`imports.http` is not for a scorer");
        check("[imports]\nkv = true", "only a connector");
        check("[limits]\ncpu_ms = 5", "`limits.cpu_ms`");
        check("[handles]\nmaps = [\"x12/850\"]", "only a transformer");
    }

    #[test]
    fn refuses_a_setting_that_means_nothing_with_its_key() {
        let setting = |rest: &str| format!("[settings.unit]\nabout = \"A unit\"\n{rest}");
        let (scorer, transformer) = ("kind = \"scorer\"", "kind = \"transformer\"");
        let check = |rest: &str, expected: &str| {
            let text = format!("{}{}", SCORER.replace(scorer, transformer), setting(rest));
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{rest:?} gave {error:?}");
        };
        check("kind = \"number\"", "number");
        check("kind = \"choice\"", "`settings.unit.choices`");
        check("kind = \"text\"\ndefault = \"EA\"\nrequired = true", "`settings.unit.default` is `EA`");
        check("kind = \"text\"\non = [\"poll\"]", "`settings.unit.on` is `poll`");
        let text = format!("{SCORER}{}", setting("kind = \"text\""));
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`settings` is not for a scorer; only a connector or transformer has it"), "{error}");
    }

    #[test]
    fn refuses_values_that_a_key_does_not_take() {
        check("[imports]\nartifact = [\"sha256:ABC\"]", "64 lower-case");
        check("[imports]\nlookup = [\"Customer\"]", "`imports.lookup` is `Customer`");
        check("[limits]\nfuel = 0", "1 or more");
        let wrong_contract = SCORER.replace("plugin@0.1.0", "plugin@9.0.0");
        let error = Manifest::parse(wrong_contract.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(CONTRACT), "{error}");
    }

    #[test]
    fn refuses_a_manifest_over_the_limit_before_reading_it() {
        let long = vec![b'#'; MANIFEST_BYTES_MAX + 1];
        assert!(matches!(Manifest::parse(&long), Err(ManifestError::TooLong { .. })));
    }
}
