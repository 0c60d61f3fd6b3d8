//! What is wrong with an event, in words for people, and where.
//!
//! Serde's own message quotes the value that it found. A problem goes into records that
//! outlive the event, and the value may be a name or an address: so what was found is
//! named by its kind alone. Names of fields that nobody knows are the sender's words too,
//! but without them a person would look for long.

use portreeve_sdk::types::Problem;

/// The problem that an error of serde is, within `root`.
pub fn problem(error: &serde_path_to_error::Error<serde_json::Error>, root: &str) -> Problem {
    let path = match error.path().iter().next() {
        None => root.to_owned(),
        Some(_) => within(root, &error.path().to_string()),
    };
    let (code, message, field) = words(&message(error.inner()));
    let path = field.map_or_else(|| path.clone(), |field| within(&path, &field));
    Problem::new(code, visible(&message), visible(&path))
}

/// A path within another one, which is empty for the event itself.
#[must_use]
pub fn within(root: &str, path: &str) -> String {
    if root.is_empty() { path.to_owned() } else { format!("{root}.{path}") }
}

/// Serde's message without the line and column, which count from where the data begins.
fn message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).map_or_else(|| message.clone(), str::to_owned)
}

/// Serde's message in our words: a code, what was found and expected, and the field that
/// the path lacks, where one is missing.
fn words(message: &str) -> (&'static str, String, Option<String>) {
    if let Some(field) = quoted(message, "missing field `") {
        return ("field-missing", format!("found no `{field}`; expected it here"), Some(field.to_owned()));
    }
    if let Some(field) = quoted(message, "duplicate field `") {
        return ("field-repeated", format!("found `{field}` twice; expected it once"), None);
    }
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        let message = "found JSON that has no meaning, such as half of an escaped character; expected a value";
        return ("malformed-value", message.to_owned(), None);
    };
    if let Some(field) = quoted(found, "unknown field `") {
        return ("unknown-field", format!("found the field `{field}`; expected {expected}"), None);
    }
    ("wrong-value", format!("found {}; expected {expected}", kind(found)), None)
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.strip_suffix('`')
}

/// The kind of a value, of serde's words for the value itself.
fn kind(found: &str) -> &'static str {
    let value = found.split_once(": ").map_or(found, |(_, value)| value);
    let kinds = [
        ("another text", "another text"),
        ("another number", "another number"),
        ("string", "a text"),
        ("integer", "a number"),
        ("floating point", "a number"),
        ("boolean", "true or false"),
        ("null", "null"),
        ("map", "an object"),
        ("sequence", "a list"),
    ];
    kinds.iter().find(|(word, _)| value.starts_with(word)).map_or("something else", |(_, kind)| *kind)
}

/// A sender's word on one line.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
