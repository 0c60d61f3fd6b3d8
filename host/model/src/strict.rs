//! Strict reading of configuration: unknown keys are errors, and everything that is
//! wrong is told at once.
//!
//! A ceiling with a misspelt key is no ceiling, so nothing is skipped and nothing
//! has a silent default. Serde stops at the first error and knows no line for a
//! missing key; grants are written by people who are not programmers, hence this
//! small reader over the TOML tree. It is among the nouns because the rooms that read
//! such files (what advice may cause, whom packages are taken from) know nothing of
//! each other.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file of configuration that the caller has read.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text is not in the file's language.
    #[error("{file}:{line}: {}", on_one_line(message))]
    Syntax {
        /// The file.
        file: String,
        /// One-based.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key has a wrong value, is missing, or does not exist.
    #[error("{file}:{line}: `{}` is {}; expected {allowed}", on_one_line(key), on_one_line(found))]
    Value {
        /// The file.
        file: String,
        /// One-based.
        line: usize,
        /// The path of the key, for example `grant[0].queues`.
        key: String,
        /// What the file has.
        found: String,
        /// What it may have.
        allowed: String,
    },
    /// A policy does not validate.
    #[error("{file}:{line}: policy `{}`: {}", on_one_line(id), on_one_line(message))]
    Policy {
        /// The file.
        file: String,
        /// One-based.
        line: usize,
        /// The policy's `@id`, or its position where it has none.
        id: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Everything that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// The errors, file by file.
    #[must_use]
    pub fn errors(&self) -> &[LoadError] {
        &self.0
    }

    /// These problems.
    #[must_use]
    pub fn new(problems: Vec<LoadError>) -> Self {
        Self(problems)
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// Where problems are collected.
pub type Problems = Vec<LoadError>;

/// A table that is being read. Each key is taken once; [`Table::finish`] reports
/// what nobody asked for.
pub struct Table<'a> {
    source: SourceFile<'a>,
    path: String,
    line: usize,
    entries: BTreeMap<String, Spanned<DeValue<'a>>>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Parses a file; every syntax error becomes a problem.
    pub fn parse(source: SourceFile<'a>, problems: &mut Problems) -> Option<Self> {
        let (root, errors) = DeTable::parse_recoverable(source.text);
        for error in &errors {
            problems.push(LoadError::Syntax {
                file: source.name.to_owned(),
                line: error.span().map_or(1, |span| line_of(source.text, span.start)),
                message: error.message().to_owned(),
            });
        }
        errors.is_empty().then(|| Self::new(source, String::new(), 1, root.into_inner()))
    }

    fn new(source: SourceFile<'a>, path: String, line: usize, table: DeTable<'a>) -> Self {
        let entries = table.into_iter().map(|(key, value)| (key.into_inner().into_owned(), value)).collect();
        Self { source, path, line, entries, asked: Vec::new() }
    }

    /// Takes a key that may be missing.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        problems: &mut Problems,
        read: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let result = read(value.get_ref());
        if result.is_none() {
            let line = line_of(self.source.text, value.span().start);
            let found = describe(value.get_ref());
            problems.push(self.problem(line, key, &found, allowed));
        }
        result
    }

    /// Takes a key that has to be there.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        problems: &mut Problems,
        read: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.asked.push(key);
            problems.push(self.problem(self.line, key, "missing", allowed));
            return None;
        }
        self.optional(key, allowed, problems, read)
    }

    /// Takes a list; a missing one is empty, each wrong item is a problem.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        problems: &mut Problems,
        mut read: impl FnMut(&DeValue<'a>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let line = line_of(self.source.text, value.span().start);
        let DeValue::Array(items) = value.get_ref() else {
            let found = describe(value.get_ref());
            problems.push(self.problem(line, key, &found, &format!("a list of {allowed}")));
            return Vec::new();
        };
        let mut result = Vec::new();
        for item in items.iter() {
            match read(item.get_ref()) {
                Some(item) => result.push(item),
                None => {
                    let line = line_of(self.source.text, item.span().start);
                    problems.push(self.problem(line, key, &describe(item.get_ref()), allowed));
                }
            }
        }
        result
    }

    /// Takes an array of tables (`[[key]]`).
    pub fn tables(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Self> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let mut result = Vec::new();
        let line = line_of(self.source.text, value.span().start);
        let DeValue::Array(items) = value.into_inner() else {
            let allowed = format!("one or more `[[{key}]]`");
            problems.push(self.problem(line, key, "something else", &allowed));
            return result;
        };
        for (index, item) in items.into_iter().enumerate() {
            let line = line_of(self.source.text, item.span().start);
            let path = format!("{}{key}[{index}].", self.path);
            match item.into_inner() {
                DeValue::Table(table) => result.push(Self::new(self.source, path, line, table)),
                other => problems.push(self.problem(line, key, &describe(&other), "a table")),
            }
        }
        result
    }

    /// Takes a table that has to be there.
    pub fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let Some(value) = self.take(key) else {
            problems.push(self.problem(self.line, key, "missing", "a table"));
            return None;
        };
        let line = line_of(self.source.text, value.span().start);
        match value.into_inner() {
            DeValue::Table(table) => {
                let path = format!("{}{key}.", self.path);
                Some(Self::new(self.source, path, line, table))
            }
            other => {
                problems.push(self.problem(line, key, &describe(&other), "a table"));
                None
            }
        }
    }

    /// Whether the key is there and was not taken yet.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reports a problem of the whole table.
    pub fn wrong(&self, key: &str, found: &str, allowed: &str, problems: &mut Problems) {
        problems.push(self.problem(self.line, key, found, allowed));
    }

    /// Reports a key that is there although nothing would read it: a knob without
    /// an effect makes its author believe in a limit that is not there.
    pub fn no_effect(&mut self, key: &'static str, because: &str, problems: &mut Problems) {
        if let Some(value) = self.take(key) {
            let line = line_of(self.source.text, value.span().start);
            let allowed = format!("no such key, because {because}");
            problems.push(self.problem(line, key, &describe(value.get_ref()), &allowed));
        }
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        let names: Vec<String> = self.asked.iter().map(|key| format!("`{key}`")).collect();
        let allowed = format!("one of {}", names.join(", "));
        for (key, value) in &self.entries {
            let line = line_of(self.source.text, value.span().start);
            problems.push(self.problem(line, &clip(key), "an unknown key", &allowed));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.remove(key)
    }

    fn problem(&self, line: usize, key: &str, found: &str, allowed: &str) -> LoadError {
        LoadError::Value {
            file: self.source.name.to_owned(),
            line,
            key: format!("{}{key}", self.path),
            found: found.to_owned(),
            allowed: allowed.to_owned(),
        }
    }
}

/// Text that is not empty.
#[must_use]
pub fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// An integer within a range.
#[must_use]
pub fn whole(value: &DeValue<'_>, range: &RangeInclusive<i64>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number))
}

/// A date without a time.
#[must_use]
pub fn date(value: &DeValue<'_>) -> Option<Date> {
    let moment = value.as_datetime()?;
    let date = moment.date?;
    (moment.time.is_none() && moment.offset.is_none())
        .then(|| Date::new(date.year, date.month, date.day).ok())
        .flatten()
}

/// One word of a closed list.
#[must_use]
pub fn choice<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Option<T> {
    let text = value.as_str()?;
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
}

/// The one-based line of a byte offset.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    let breaks = text.bytes().take(offset).filter(|byte| *byte == b'\n');
    breaks.count() + 1
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        // In C2SP's form, as `keygen` writes it: what was pasted into the wrong file must not
        // get into the log as well.
        DeValue::String(text) if text.contains("PRIVATE+KEY+") => "a private key, which is not shown here".to_owned(),
        DeValue::String(text) => format!("`{}`", clip(text)),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(items) => format!("a list of {}", items.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A text that somebody else wrote, as a line of a log may hold it: a line break in a file's
/// value must not look like one more error.
#[must_use]
pub fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The beginning of a long text, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_private_key_in_the_wrong_file_is_not_repeated() {
        let text = "key = \"PRIVATE+KEY+acme+0123abcd+AXNlY3JldHNlY3JldA==\"";
        let mut problems = Problems::new();
        let mut table = Table::parse(SourceFile { name: "trust.toml", text }, &mut problems).unwrap();
        table.optional("key", "a verifying key", &mut problems, |value| whole(value, &(0..=1)));
        let said = problems.first().unwrap().to_string();
        assert_eq!(said, "trust.toml:1: `key` is a private key, which is not shown here; expected a verifying key");
    }

    #[test]
    fn a_line_break_in_a_file_makes_no_second_line_of_an_error() {
        let text = "a = \"one\\nERROR two\"\nb = [\"\\u001b[2J\"]\n\"c\\nERROR three\" = 1\n";
        let mut problems = Problems::new();
        let mut table = Table::parse(SourceFile { name: "some.toml", text }, &mut problems).unwrap();
        table.optional("a", "a number", &mut problems, |value| whole(value, &(0..=1)));
        table.list("b", "a number", &mut problems, |value| whole(value, &(0..=1)));
        table.wrong("d\n", "e\n", "something else", &mut problems);
        table.finish(&mut problems);
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        for line in lines {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.starts_with("some.toml:"), "{line:?}");
        }
    }
}
