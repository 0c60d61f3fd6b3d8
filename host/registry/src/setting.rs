//! What a plugin says of its settings, the `[settings]` of its manifest, and whether a value is
//! one that it takes. The grammar is in `wit/README.md`.
//!
//! Settings are texts that people write beside a plugin's name. A misspelt one has no effect and
//! a wrong one fails the first call, hours after whoever wrote it went home. So a plugin says
//! which it reads, on which calls, and what they may hold; who gives them is the host's to compare.

use std::collections::BTreeMap;

use portreeve_model::PluginKind;
use portreeve_sandbox::Call;
use serde::{Deserialize, Serialize};

/// The settings of a plugin, by name.
pub type DeclaredSettings = BTreeMap<String, DeclaredSetting>;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredSetting {
    /// What it is for, one line for people.
    pub about: String,
    /// What it may hold.
    pub kind: SettingKind,
    /// Whether the calls that read it fail without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// What the plugin takes where nothing is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The values of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The smallest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Characters of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chars_max: Option<u32>,
    /// Parts of a text, apart by colons and none of them empty: the fewest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts_min: Option<u32>,
    /// The most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts_max: Option<u32>,
    /// Characters of each part, the first one's first: the fewest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_chars_min: Vec<u32>,
    /// The most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_chars_max: Vec<u32>,
    /// The calls that read it; all, where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// Whether it may be one partner's alone, who stands behind an `@`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_partner: bool,
}

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What is wrong with a declared setting: the key, what was found, what is taken.
pub(crate) type Slip = (&'static str, String, &'static str);

/// Bytes of a word that is chosen.
const CHOICE_BYTES_MAX: usize = 64;

/// What stands in a part for one character, which would end the part, or the key that it is in.
const ESCAPED: [&str; 4] = ["%25", "%2F", "%3A", "%3E"];

impl DeclaredSetting {
    /// Whether this call reads it.
    #[must_use]
    pub fn is_read_on(&self, call: Call) -> bool {
        self.on.is_empty() || self.on.iter().any(|on| on == call.as_str())
    }

    /// Whether a name that somebody wrote is that of this setting, or of a partner's own.
    #[must_use]
    pub fn is_called(&self, name: &str, written: &str) -> bool {
        let of_partner = || written.split_once('@').is_some_and(|(own, of)| own == name && !of.is_empty());
        written == name || (self.per_partner && of_partner())
    }

    /// What was expected in the place of this value; none where the plugin takes it.
    #[must_use]
    pub fn expected(&self, value: &str) -> Option<String> {
        let (takes, expected) = match self.kind {
            SettingKind::Text => (self.is_as_long(value) && self.is_parted(value), self.text()?),
            SettingKind::Integer => {
                let (min, max) = (self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX));
                (
                    value.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number)),
                    format!("a {}", self.numbers()),
                )
            }
            SettingKind::Boolean => (["true", "false"].contains(&value), "`true` or `false`".to_owned()),
            SettingKind::Choice => (self.offers(value), format!("one of {}", self.words())),
            SettingKind::Choices => {
                let mut named = value.split([',', ' ']).filter(|word| !word.is_empty()).peekable();
                (named.peek().is_some() && named.all(|word| self.offers(word)), format!("some of {}", self.words()))
            }
        };
        (!takes).then_some(expected)
    }

    /// What it may hold and when, for people: `whole number from 1 to 200, 50 unless set; read on poll`.
    #[must_use]
    pub fn described(&self) -> String {
        let holds = match self.kind {
            SettingKind::Text => self.text().map_or("text".to_owned(), |bounds| format!("text of {bounds}")),
            SettingKind::Integer => self.numbers(),
            SettingKind::Boolean => "`true` or `false`".to_owned(),
            SettingKind::Choice => format!("one of {}", self.words()),
            SettingKind::Choices => format!("some of {}", self.words()),
        };
        let need = match (&self.default, self.required) {
            (Some(default), _) => format!(", `{default}` unless set"),
            (None, true) => ", required".to_owned(),
            (None, false) => String::new(),
        };
        let partner = if self.per_partner { ", also per partner" } else { "" };
        let on = if self.on.is_empty() { String::new() } else { format!("; read on {}", self.on.join(", ")) };
        format!("{holds}{need}{partner}{on}")
    }

    fn offers(&self, word: &str) -> bool {
        self.choices.iter().any(|choice| choice == word)
    }

    fn words(&self) -> String {
        self.choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
    }

    /// What binds a text; none where nothing does.
    fn text(&self) -> Option<String> {
        let parts = match (self.parts_min, self.parts_max) {
            (None, None) => None,
            (Some(min), Some(max)) if min == max => Some(format!("{min} parts between colons")),
            (Some(min), Some(max)) => Some(format!("{min} to {max} parts between colons")),
            (Some(min), None) => Some(format!("{min} parts between colons or more")),
            (None, Some(max)) => Some(format!("at most {max} parts between colons")),
        };
        let parts = parts.map(|parts| format!("{parts}{}", self.lengths()));
        let chars = self.chars_max.map(|most| format!("at most {most} characters"));
        let bounds: Vec<String> = parts.into_iter().chain(chars).collect();
        (!bounds.is_empty()).then(|| bounds.join(" and "))
    }

    /// How long its parts may be, behind how many there are; nothing, where nothing is said.
    fn lengths(&self) -> String {
        let bounded = self.part_chars_min.len().max(self.part_chars_max.len());
        let length = |nth: usize| match (self.part_chars_min.get(nth), self.part_chars_max.get(nth)) {
            (Some(min), Some(max)) if min == max => min.to_string(),
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "any".to_owned(),
        };
        let lengths: Vec<String> = (0..bounded).map(length).collect();
        match lengths.split_last() {
            None => String::new(),
            Some((only, [])) => format!(", of {only} characters"),
            Some((last, others)) => format!(", of {} and {last} characters", others.join(", ")),
        }
    }

    fn is_as_long(&self, text: &str) -> bool {
        let fits = |most: u32| u32::try_from(text.chars().count()).is_ok_and(|chars| chars <= most);
        self.chars_max.is_none_or(fits)
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
        let chars = part_chars(part);
        let is_long = self.part_chars_min.get(nth).is_none_or(|least| *least <= chars);
        is_long && self.part_chars_max.get(nth).is_none_or(|most| chars <= *most)
    }

    fn numbers(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("whole number from {min} to {max}"),
            (Some(min), None) => format!("whole number from {min} on"),
            (None, Some(max)) => format!("whole number up to {max}"),
            (None, None) => "whole number".to_owned(),
        }
    }

    /// Everything that is wrong with how a plugin of this kind declares it. Of what kind it is
    /// may be what is wrong; nothing that follows from it is asked then.
    pub(crate) fn slips(&self, of: Option<PluginKind>) -> Vec<Slip> {
        let mut slips = Vec::new();
        let is_choice = matches!(self.kind, SettingKind::Choice | SettingKind::Choices);
        if is_choice && self.choices.is_empty() {
            slips.push(("choices", "nothing".to_owned(), "one word or more, for a choice"));
        }
        if !is_choice && !self.choices.is_empty() {
            slips.push(("choices", self.choices.join(", "), "nothing, for only a choice has them"));
        }
        for choice in self.choices.iter().filter(|choice| !is_choice_word(choice)) {
            slips.push(("choices", choice.clone(), "words of 1 to 64 letters, digits, dashes and dots"));
        }
        let is_integer = self.kind == SettingKind::Integer;
        for (key, bound) in [("min", self.min), ("max", self.max)] {
            let stray = bound.filter(|_| !is_integer);
            slips.extend(stray.map(|bound| (key, bound.to_string(), "nothing, for only an integer has bounds")));
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            slips.push(("min", min.to_string(), "no more than `max`"));
        }
        match self.chars_max {
            Some(most) if self.kind != SettingKind::Text => {
                slips.push(("chars_max", most.to_string(), "nothing, for only a text has characters"));
            }
            Some(0) => slips.push(("chars_max", "0".to_owned(), "1 or more")),
            Some(_) | None => {}
        }
        for (key, parts) in [("parts_min", self.parts_min), ("parts_max", self.parts_max)] {
            match parts {
                Some(parts) if self.kind != SettingKind::Text => {
                    slips.push((key, parts.to_string(), "nothing, for only a text has parts"));
                }
                Some(0) => slips.push((key, "0".to_owned(), "1 or more")),
                Some(_) | None => {}
            }
        }
        if let (Some(min), Some(max)) = (self.parts_min, self.parts_max)
            && min > max
        {
            slips.push(("parts_min", min.to_string(), "no more than `parts_max`"));
        }
        slips.extend(self.part_slips());
        if let Some(default) = &self.default {
            if self.required {
                slips.push(("default", default.clone(), "nothing, since the setting is required"));
            } else if self.expected(default).is_some() {
                slips.push(("default", default.clone(), "a value that the setting takes"));
            }
        }
        if let Some(of) = of {
            let (calls, expected) = calls_of(of);
            for on in self.on.iter().filter(|on| !calls.contains(&on.as_str())) {
                slips.push(("on", on.clone(), expected));
            }
        }
        slips
    }

    /// What is wrong with how long its parts are said to be.
    fn part_slips(&self) -> Vec<Slip> {
        let (least, most) = (&self.part_chars_min, &self.part_chars_max);
        let has_parts = self.parts_min.or(self.parts_max).is_some();
        let mut slips = Vec::new();
        for (key, lengths) in [("part_chars_min", least), ("part_chars_max", most)] {
            if let Some(first) = lengths.first().filter(|_| !has_parts) {
                slips.push((key, first.to_string(), "nothing, for only a text of so many parts has them"));
            }
            let parts = self.parts_max.and_then(|most| usize::try_from(most).ok());
            if parts.is_some_and(|parts| lengths.len() > parts) {
                slips.push((key, lengths.len().to_string(), "no more entries than `parts_max`"));
            }
            if lengths.contains(&0) {
                slips.push((key, "0".to_owned(), "1 or more for each part"));
            }
        }
        if let Some((min, _)) = least.iter().zip(most).find(|(min, max)| min > max) {
            slips.push(("part_chars_min", min.to_string(), "no more than `part_chars_max` has for the same part"));
        }
        slips
    }
}

/// Characters of a part, as they are when it is written without colons beside it.
fn part_chars(part: &str) -> u32 {
    let escaped: usize = ESCAPED.iter().map(|escape| part.matches(*escape).count()).sum();
    let chars = part.chars().count().saturating_sub(escaped.saturating_mul(2));
    u32::try_from(chars).unwrap_or(u32::MAX)
}

/// The calls of a plugin that a host makes with settings, and how a sentence says that. The contract
/// has `check` as well, which no host makes: what that alone reads would be set and never read.
fn calls_of(kind: PluginKind) -> (&'static [&'static str], &'static str) {
    match kind {
        PluginKind::Connector => (
            &["receive", "deliver", "find", "poll"],
            "calls that a host makes of a connector: receive, deliver, find, poll",
        ),
        PluginKind::Transformer => (
            &["to-canonical", "from-canonical"],
            "calls that a host makes of a transformer: to-canonical, from-canonical",
        ),
        PluginKind::Scorer => (&[], "nothing, for a scorer gets no settings"),
    }
}

fn is_choice_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    (1..=CHOICE_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn setting(rest: &str) -> DeclaredSetting {
        toml::from_str(&format!("about = \"Something\"\n{rest}")).unwrap()
    }

    fn check(declared: &str, takes: &[&str], refuses: &[&str], expected: &str) {
        let setting = setting(declared);
        assert!(setting.slips(Some(PluginKind::Connector)).is_empty(), "{declared}");
        for value in takes {
            assert_eq!(setting.expected(value), None, "{value:?} for {declared}");
        }
        for value in refuses {
            assert_eq!(setting.expected(value).as_deref(), Some(expected), "{value:?} for {declared}");
        }
    }

    #[test]
    fn a_setting_takes_what_its_kind_says_and_nothing_else() {
        check("kind = \"text\"", &["", "anything at all"], &[], "");
        check("kind = \"text\"\nchars_max = 3", &["", "USD", "äöü"], &["EURO"], "at most 3 characters");
        let party = "kind = \"text\"\nparts_min = 2\nparts_max = 3";
        check(
            party,
            &["ZZ:ACME", "ZZ:ACME:A"],
            &["", "ACME", "ZZ:", ":ACME", "Z:A:B:C"],
            "2 to 3 parts between colons",
        );
        check(
            &format!("{party}\npart_chars_min = [2, 1, 2]\npart_chars_max = [2, 15, 15]"),
            &["ZZ:A", "ZZ:ACME-OF-15-CHAR", "ZZ:ACME:AC", "ZZ:ACME-OF-15-CHA%2F"],
            &["", "ACME", "Z:ACME", "ZZZ:ACME", "ZZ:ACME-OF-16-CHARS", "ZZ:ACME:A", "ZZ:ACME:"],
            "2 to 3 parts between colons, of 2, 1 to 15 and 2 to 15 characters",
        );
        let first = "kind = \"text\"\nparts_min = 2\npart_chars_min = [2]";
        check(first, &["ZZZ:A"], &["Z:A"], "2 parts between colons or more, of 2 or more characters");
        check("kind = \"text\"\nparts_max = 1", &["ACME"], &["", "ZZ:ACME"], "at most 1 parts between colons");
        check(
            "kind = \"integer\"",
            &["-1", "0", "7"],
            &["", "x", "1.0", " 1", "9223372036854775808"],
            "a whole number",
        );
        let bounded = "kind = \"integer\"\nmin = 1\nmax = 25000";
        check(bounded, &["1", "25000"], &["0", "25001", "soon"], "a whole number from 1 to 25000");
        check("kind = \"boolean\"", &["true", "false"], &["", "True", "yes", "1"], "`true` or `false`");
        let choice = "kind = \"choice\"\nchoices = [\"CR\", \"CN\"]";
        check(choice, &["CR", "CN"], &["", "cr", "CR CN"], "one of `CR`, `CN`");
        let choices = "kind = \"choices\"\nchoices = [\"850\", \"860\"]";
        check(choices, &["850", "850,860", "860 850", " 850, 860 "], &["", " , ", "850,997"], "some of `850`, `860`");
    }

    #[test]
    fn a_partners_own_setting_is_one_only_where_the_plugin_says_so() {
        let (own, same) = (setting("kind = \"text\"\nper_partner = true"), setting("kind = \"text\""));
        assert!(own.is_called("usage", "usage@ZZ:ACME") && own.is_called("usage", "usage"));
        assert!(!own.is_called("usage", "usage@") && !own.is_called("usage", "usages@ZZ:ACME"));
        assert!(same.is_called("usage", "usage") && !same.is_called("usage", "usage@ZZ:ACME"));
    }

    #[test]
    fn a_setting_is_described_by_all_that_binds_it() {
        for (declared, said) in [
            ("kind = \"text\"\nrequired = true\nper_partner = true", "text, required, also per partner"),
            (
                "kind = \"integer\"\nmin = 1\nmax = 200\ndefault = \"50\"\non = [\"poll\"]",
                "whole number from 1 to 200, `50` unless set; read on poll",
            ),
            ("kind = \"choices\"\nchoices = [\"850\", \"860\"]", "some of `850`, `860`"),
            ("kind = \"text\"\nchars_max = 3\ndefault = \"*>~\"", "text of at most 3 characters, `*>~` unless set"),
            (
                "kind = \"text\"\nchars_max = 35\nparts_min = 2\nparts_max = 2",
                "text of 2 parts between colons and at most 35 characters",
            ),
        ] {
            assert_eq!(setting(declared).described(), said);
        }
    }

    #[test]
    fn how_long_parts_are_is_said_of_a_text_that_has_some() {
        let slips = |rest: &str| setting(&format!("kind = \"text\"\n{rest}")).slips(Some(PluginKind::Connector)).len();
        assert_eq!(slips("parts_min = 2\npart_chars_min = [1, 1]\npart_chars_max = [2, 1]"), 0);
        for wrong in [
            "part_chars_min = [1]",
            "part_chars_max = [1]",
            "parts_min = 2\npart_chars_min = [1, 0]",
            "parts_max = 2\npart_chars_max = [2, 15, 15]",
            "parts_min = 2\npart_chars_min = [1, 3]\npart_chars_max = [2, 2]",
        ] {
            assert_eq!(slips(wrong), 1, "{wrong}");
        }
    }

    #[test]
    fn a_call_that_no_host_makes_reads_no_setting() {
        let slips = |on: &str, of| setting(&format!("kind = \"text\"\non = [{on}]")).slips(Some(of));
        let expected = "calls that a host makes of a connector: receive, deliver, find, poll";
        for on in ["\"check\"", "\"deliver\", \"check\""] {
            assert_eq!(slips(on, PluginKind::Connector), [("on", "check".to_owned(), expected)], "{on}");
        }
        assert!(slips("\"deliver\", \"find\"", PluginKind::Connector).is_empty());
        assert_eq!(slips("\"deliver\"", PluginKind::Transformer).len(), 1);
        assert_eq!(slips("\"deliver\"", PluginKind::Scorer).len(), 1);
    }

    #[test]
    fn a_setting_that_names_no_call_is_read_on_each() {
        let (all, one) = (setting("kind = \"text\""), setting("kind = \"text\"\non = [\"to-canonical\"]"));
        assert!(all.is_read_on(Call::Poll) && all.is_read_on(Call::ToCanonical));
        assert!(one.is_read_on(Call::ToCanonical) && !one.is_read_on(Call::FromCanonical));
    }
}
