//! Strict reading of configuration: unknown keys are errors, and everything that is
//! wrong is told at once.
//!
//! A ceiling with a misspelt key is no ceiling, so nothing is skipped and nothing
//! has a silent default. Serde stops at the first error and knows no line for a
//! missing key; grants are written by people who are not programmers, hence this
//! small reader over the TOML tree. It is among the nouns because the rooms that read
//! such files (what advice may cause, whom packages are taken from) know nothing of
//! each other.
//!
//! Danger: a file with a slip on every line. Finding a line's number takes no second look
//! at the text ([`Lines`]), and so many problems are told, the others counted ([`Problems`]).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Problems that are told. Nobody mends more at a time, and a file that is of another kind
/// altogether has one on every line.
pub const PROBLEMS_MAX: usize = 100;

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
    /// There is more than can be told.
    #[error("{file}: {more} more problem(s) were found and are not listed; mend these first")]
    More {
        /// The file of the first one that is not listed.
        file: String,
        /// How many.
        more: usize,
    },
}

impl LoadError {
    /// The file that it is about.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Syntax { file, .. }
            | Self::Value { file, .. }
            | Self::Policy { file, .. }
            | Self::More { file, .. } => file,
        }
    }
}

/// Everything that is wrong, up to [`PROBLEMS_MAX`] and how many more; never empty.
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
    pub fn new(problems: Problems) -> Self {
        let Problems { mut kept, more } = problems;
        kept.extend(more.map(|(file, more)| LoadError::More { file, more }));
        Self(kept)
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

/// Where problems are collected: the first [`PROBLEMS_MAX`] are kept, the others counted.
#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<LoadError>,
    /// The file of the first one that is not kept, and how many are not.
    more: Option<(String, usize)>,
}

impl Problems {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are, those that are only counted included.
    #[must_use]
    pub fn len(&self) -> usize {
        let more = self.more.as_ref().map_or(0, |(_, more)| *more);
        self.kept.len().saturating_add(more)
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, problem: LoadError) {
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(problem);
        } else {
            self.count(problem.file());
        }
    }

    /// Adds one of a file that takes work to put into words; it is done only for those
    /// that are kept.
    pub fn push_with(&mut self, file: &str, problem: impl FnOnce() -> LoadError) {
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(problem());
        } else {
            self.count(file);
        }
    }

    fn count(&mut self, file: &str) {
        let (_, more) = self.more.get_or_insert_with(|| (file.to_owned(), 0));
        *more = more.saturating_add(1);
    }
}

impl Extend<LoadError> for Problems {
    fn extend<T: IntoIterator<Item = LoadError>>(&mut self, problems: T) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }
}

/// Where the lines of a text end. The text is read once, however many lines are asked for.
#[derive(Debug, Clone)]
pub struct Lines(Arc<[usize]>);

impl Lines {
    /// Those of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at).collect())
    }

    /// The one-based line of a byte offset.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset).saturating_add(1)
    }
}

/// A table that is being read. Each key is taken once; [`Table::finish`] reports
/// what nobody asked for.
pub struct Table<'a> {
    source: SourceFile<'a>,
    lines: Lines,
    path: String,
    line: usize,
    entries: BTreeMap<String, Spanned<DeValue<'a>>>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Parses a file; every syntax error becomes a problem.
    pub fn parse(source: SourceFile<'a>, problems: &mut Problems) -> Option<Self> {
        let (root, errors) = DeTable::parse_recoverable(source.text);
        let lines = Lines::of(source.text);
        for error in &errors {
            problems.push_with(source.name, || LoadError::Syntax {
                file: source.name.to_owned(),
                line: error.span().map_or(1, |span| lines.line(span.start)),
                message: error.message().to_owned(),
            });
        }
        errors.is_empty().then(|| Self::new(source, lines, String::new(), 1, root.into_inner()))
    }

    fn new(source: SourceFile<'a>, lines: Lines, path: String, line: usize, table: DeTable<'a>) -> Self {
        let entries = table.into_iter().map(|(key, value)| (key.into_inner().into_owned(), value)).collect();
        Self { source, lines, path, line, entries, asked: Vec::new() }
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
            self.refuse(&value, key, allowed, problems);
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
        let DeValue::Array(items) = value.get_ref() else {
            self.refuse(&value, key, &format!("a list of {allowed}"), problems);
            return Vec::new();
        };
        let mut result = Vec::new();
        for item in items.iter() {
            match read(item.get_ref()) {
                Some(item) => result.push(item),
                None => self.refuse(item, key, allowed, problems),
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
        let line = self.lines.line(value.span().start);
        let DeValue::Array(items) = value.into_inner() else {
            let allowed = format!("one or more `[[{key}]]`");
            problems.push(self.problem(line, key, "something else", &allowed));
            return result;
        };
        for (index, item) in items.into_iter().enumerate() {
            let line = self.lines.line(item.span().start);
            let path = format!("{}{key}[{index}].", self.path);
            match item.into_inner() {
                DeValue::Table(table) => {
                    result.push(Self::new(self.source, self.lines.clone(), path, line, table));
                }
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
        let line = self.lines.line(value.span().start);
        match value.into_inner() {
            DeValue::Table(table) => {
                let path = format!("{}{key}.", self.path);
                Some(Self::new(self.source, self.lines.clone(), path, line, table))
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
            self.refuse(&value, key, &format!("no such key, because {because}"), problems);
        }
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        let names: Vec<String> = self.asked.iter().map(|key| format!("`{key}`")).collect();
        let allowed = format!("one of {}", names.join(", "));
        for (key, value) in &self.entries {
            let line = self.lines.line(value.span().start);
            problems.push_with(self.source.name, || self.problem(line, &clip(key), "an unknown key", &allowed));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.remove(key)
    }

    /// Reports a value that its key does not take.
    fn refuse(&self, value: &Spanned<DeValue<'a>>, key: &str, allowed: &str, problems: &mut Problems) {
        problems.push_with(self.source.name, || {
            self.problem(self.lines.line(value.span().start), key, &describe(value.get_ref()), allowed)
        });
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

/// "one of `a`, `b`", for messages.
#[must_use]
pub fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    if quoted.is_empty() {
        "a name that the configuration knows; it knows none".to_owned()
    } else {
        format!("one of {}", quoted.join(", "))
    }
}

/// One word of a closed list.
#[must_use]
pub fn choice<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Option<T> {
    let text = value.as_str()?;
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
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

    /// What a reader says that knows no key but `known`.
    fn told(text: &str) -> Vec<String> {
        let mut problems = Problems::new();
        if let Some(mut table) = Table::parse(SourceFile { name: "some.toml", text }, &mut problems) {
            table.list("known", "a number", &mut problems, |value| whole(value, &(0..=1)));
            for mut inner in table.tables("inner", &mut problems) {
                inner.required("known", "a number", &mut problems, |value| whole(value, &(0..=1)));
                inner.finish(&mut problems);
            }
            table.finish(&mut problems);
        }
        LoadErrors::new(problems).errors().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_line_of_a_byte_is_one_more_than_the_line_breaks_before_it() {
        for text in ["", "a", "\n", "\n\n", "ab\ncd\n\r\nef", "é\né\n\u{2028}x"] {
            let lines = Lines::of(text);
            for offset in 0..text.len() + 3 {
                let before = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
                assert_eq!(lines.line(offset), before + 1, "{offset} of {text:?}");
            }
        }
    }

    #[test]
    fn so_many_problems_are_told_as_anybody_mends_and_the_others_are_counted_in_one_sentence() {
        for found in [1, PROBLEMS_MAX, PROBLEMS_MAX + 1, 40_000] {
            let unknown: String = (0..found).map(|number| format!("key{number} = 1\n")).collect();
            let items = format!("known = [{}]\n", "2,\n".repeat(found));
            let empty = "[[inner]]\n".repeat(found);
            for text in [unknown, items, empty] {
                let told = told(&text);
                assert_eq!(told.len(), found.min(PROBLEMS_MAX + 1), "{found}");
                let last = told.last().unwrap();
                if found > PROBLEMS_MAX {
                    let more = format!("some.toml: {} more problem(s) were found", found - PROBLEMS_MAX);
                    assert!(last.starts_with(&more), "{last}");
                } else {
                    assert!(last.starts_with("some.toml:"), "{last}");
                }
            }
        }
    }

    #[test]
    fn a_problem_that_is_only_counted_is_not_put_into_words() {
        let (mut problems, said) = (Problems::new(), std::cell::Cell::new(0));
        for _ in 0..3 * PROBLEMS_MAX {
            problems.push_with("some.toml", || {
                said.set(said.get() + 1);
                LoadError::Syntax { file: "some.toml".to_owned(), line: 1, message: String::new() }
            });
        }
        assert_eq!((said.get(), problems.len()), (PROBLEMS_MAX, 3 * PROBLEMS_MAX));
    }

    #[test]
    fn lines_and_tables_far_down_are_named_as_they_are_counted() {
        let text = format!("{}known = 2\n[[inner]]\nknown = 1\n[[inner]]\n", "# nothing\n".repeat(9));
        let told = told(&text);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().any(|line| line.starts_with("some.toml:10: `known` is 2; expected a list of a number")));
        assert!(told.iter().any(|line| line.starts_with("some.toml:13: `inner[1].known` is missing")), "{told:?}");
    }

    #[test]
    fn a_private_key_in_the_wrong_file_is_not_repeated() {
        let text = "key = \"PRIVATE+KEY+acme+0123abcd+AXNlY3JldHNlY3JldA==\"";
        let mut problems = Problems::new();
        let mut table = Table::parse(SourceFile { name: "trust.toml", text }, &mut problems).unwrap();
        table.optional("key", "a verifying key", &mut problems, |value| whole(value, &(0..=1)));
        let said = LoadErrors::new(problems).to_string();
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
        let lines: Vec<String> = LoadErrors::new(problems).errors().iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        for line in lines {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.starts_with("some.toml:"), "{line:?}");
        }
    }
}
