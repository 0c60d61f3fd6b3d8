//! What is wrong with a request that cannot be understood, in one sentence for people: what was found,
//! what was expected, and where.
//!
//! The words of the libraries that read it name types of this program, and quote what was sent, which may
//! be a password. So of a value in a body its kind alone is told; names of fields and parameters that
//! nobody knows are told, for without them a person would look for long.

use std::error::Error;

use axum::extract::path::ErrorKind;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Characters of a sender's word that are told.
const WORD_CHARS_MAX: usize = 64;

/// A body that is no JSON, or another one than is expected.
pub(crate) fn body(rejection: &JsonRejection) -> String {
    let said = match rejection {
        JsonRejection::JsonDataError(error) => read(error),
        JsonRejection::JsonSyntaxError(error) => read(error),
        JsonRejection::MissingJsonContentType(_) => {
            "found a body that does not call itself JSON, expected `content-type: application/json`".to_owned()
        }
        _ => "found a body that ends early or is too long, expected a whole and shorter one".to_owned(),
    };
    described(&said)
}

/// Reads a whole body of JSON; what is wrong with it, in the same words.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut reading = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reading).map_err(|error| described(&traced(&error)))?;
    reading.end().map_err(|error| described(&told(&error, "")))?;
    Ok(value)
}

/// A query with a parameter that is none.
pub(crate) fn query(rejection: &QueryRejection) -> String {
    let cause = match rejection {
        QueryRejection::FailedToDeserializeQueryString(error) => cause(error),
        _ => None,
    };
    let traced = cause.and_then(|cause| cause.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>());
    let said = traced.map_or_else(
        || "found parameters that cannot be read, expected `name=value` joined by `&`".to_owned(),
        |traced| parameter(&traced.inner().to_string(), &traced.path().to_string()),
    );
    format!("{said}; /v1/openapi.json lists the parameters")
}

/// An address with a part that is none.
pub(crate) fn path(rejection: &PathRejection) -> String {
    let kind = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => Some(error.kind()),
        _ => None,
    };
    let said = match kind {
        Some(
            ErrorKind::ParseError { value, expected_type }
            | ErrorKind::ParseErrorAtKey { value, expected_type, .. }
            | ErrorKind::ParseErrorAtIndex { value, expected_type, .. },
        ) => format!("found `{}` in the address, expected {}", word(value), expected_kind(expected_type)),
        Some(ErrorKind::InvalidUtf8InPathParam { key }) => {
            format!("found bytes that are no text as `{}` in the address, expected percent-encoded UTF-8", word(key))
        }
        _ => "found an address of which a part cannot be read, expected another one".to_owned(),
    };
    format!("{said}; /v1/openapi.json lists the addresses")
}

fn described(said: &str) -> String {
    format!("{said}; /v1/openapi.json shows what is expected")
}

/// What the error of an extractor is about.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    error.source().and_then(|wrapped| wrapped.source())
}

fn read(error: &(dyn Error + 'static)) -> String {
    let Some(cause) = cause(error) else { return "found a body that cannot be read, expected JSON".to_owned() };
    if let Some(error) = cause.downcast_ref::<serde_path_to_error::Error<serde_json::Error>>() {
        return traced(error);
    }
    let error = cause.downcast_ref::<serde_json::Error>();
    error.map_or_else(|| "found a body that cannot be read, expected JSON".to_owned(), |error| told(error, ""))
}

/// What is wrong with JSON, and in which field.
fn traced(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let is_inside = error.path().iter().next().is_some();
    let at = if is_inside { format!(" in `{}`", word(&error.path().to_string())) } else { String::new() };
    told(error.inner(), &at)
}

/// What is wrong with JSON, and where: ` in …`, or empty.
fn told(error: &serde_json::Error, at: &str) -> String {
    let (line, column) = (error.line(), error.column());
    if error.classify() != Category::Data {
        return format!("found what is no JSON at line {line} column {column}, expected one whole JSON value");
    }
    let message = error.to_string();
    let place = format!(" at line {line} column {column}");
    let message = message.strip_suffix(&place).unwrap_or(&message);
    if let Some(field) = quoted(message, "missing field `") {
        return format!("found no `{}`{at}, expected it there", word(field));
    }
    if let Some(field) = quoted(message, "duplicate field `") {
        return format!("found `{}` twice{at}, expected it once", word(field));
    }
    match message.rsplit_once(", expected ") {
        Some((found, expected)) => match quoted(found, "unknown field `") {
            Some(field) => {
                let field = word(field);
                format!("found `{field}`{}, which is not known, expected {expected}", around(at, &field))
            }
            None => format!("found {}{at}, expected {}", kind(found), expected_kind(expected)),
        },
        None => format!("found a value{at} that is none, expected another one{place}"),
    }
}

/// The place that a field is in, of a place that may name the field.
fn around(at: &str, field: &str) -> String {
    match at.strip_suffix(&format!("{field}`")).map(|outer| outer.trim_end_matches('.')) {
        Some(" in `") => String::new(),
        Some(outer) => format!("{outer}`"),
        None => at.to_owned(),
    }
}

/// What is wrong with a query, of serde's words for it and the name of the parameter.
fn parameter(message: &str, name: &str) -> String {
    if let Some(field) = quoted(message, "missing field `") {
        return format!("found no parameter `{}`, expected it", word(field));
    }
    if let Some(field) = quoted(message, "duplicate field `") {
        return format!("found the parameter `{}` twice, expected it once", word(field));
    }
    if let Some((found, expected)) = message.rsplit_once(", expected ")
        && let Some(field) = quoted(found, "unknown field `")
    {
        return format!("found the parameter `{}`, which is not known, expected {expected}", word(field));
    }
    let expected = match message {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => "a whole number in its range",
        "provided string was not `true` or `false`" => "`true` or `false`",
        _ => "another one",
    };
    format!("found another value for the parameter `{}`, expected {expected}", word(name))
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.strip_suffix('`')
}

/// The kind of a value, of serde's words for the value itself.
fn kind(found: &str) -> &'static str {
    let value = found.split_once(": ").map_or(found, |(_, value)| value);
    let kinds = [
        ("string", "text"),
        ("integer", "a number"),
        ("floating point", "a number"),
        ("boolean", "true or false"),
        ("null", "null"),
        ("map", "an object"),
        ("sequence", "a list"),
        ("invalid length", "a list of another length"),
        ("unknown variant", "another word"),
    ];
    kinds.iter().find(|(word, _)| value.starts_with(word)).map_or("something else", |(_, kind)| *kind)
}

/// What was expected, without names of types.
fn expected_kind(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number in its range",
        "a string" | "a borrowed string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

/// The beginning of a sender's word, without what a terminal would obey.
fn word(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(WORD_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use axum::Json;
    use axum::extract::Query;
    use axum::http::Uri;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Request {
        shown: String,
        #[serde(default)]
        holds: Vec<u64>,
        #[serde(default)]
        sure: bool,
    }

    fn of_body(text: &str) -> String {
        body(&Json::<Request>::from_bytes(text.as_bytes()).unwrap_err())
    }

    #[test]
    fn a_body_that_is_another_one_is_told_with_what_was_found_and_expected_and_where() {
        for (text, said) in [
            (r#"{"holds": []}"#, "found no `shown`, expected it there; "),
            (r#"{"shown": "a", "shown": "b"}"#, "found `shown` twice, expected it once; "),
            (r#"{"shown": 7}"#, "found a number in `shown`, expected text; "),
            (r#"{"shown": "a", "holds": [1, -2]}"#, "found a number in `holds[1]`, expected a whole number in"),
            (r#"{"shown": "a", "sure": "secret"}"#, "found text in `sure`, expected true or false; "),
            ("[]", "found a list of another length, expected an object; "),
            ("7", "found a number, expected an object; "),
            ("{", "found what is no JSON at line 1 column "),
            (r#"{"shown": "a"} x"#, "found what is no JSON at line 1 column "),
        ] {
            let told = of_body(text);
            assert_eq!(json::<Request>(text.as_bytes()).unwrap_err(), told, "the same, whoever reads it");
            assert!(told.starts_with(said) && told.ends_with("/v1/openapi.json shows what is expected"), "{told}");
            assert!(!told.contains("secret") && !told.contains("struct"), "{told}");
        }
        let told = of_body(r#"{"shown": "a", "colour": 1}"#);
        assert!(told.starts_with("found `colour`, which is not known, expected one of `shown`, "), "{told}");
        assert_eq!(around(" in `range.colour`", "colour"), " in `range`");
        assert_eq!(around(" in `range`", "colour"), " in `range`");
    }

    #[test]
    fn what_was_sent_is_told_without_what_a_terminal_would_obey_and_not_at_length() {
        let long = "x".repeat(1_000);
        let told = of_body(&format!("{{\"shown\": \"a\", \"\\u001b[2J{long}\": 1}}"));
        assert!(!told.contains('\u{1b}') && told.len() < 400, "{told}");
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Page {
        target: String,
        limit: Option<u32>,
    }

    #[test]
    fn a_query_that_is_another_one_is_told_by_its_parameter() {
        for (asked, said) in [
            ("limit=1", "found no parameter `target`, expected it; "),
            ("target=a&target=b", "found the parameter `target` twice, expected it once; "),
            ("target=a&colour=red", "found the parameter `colour`, which is not known, expected "),
            ("target=a&limit=few", "found another value for the parameter `limit`, expected "),
        ] {
            let uri: Uri = format!("/v1/replays?{asked}").parse().unwrap();
            let told = query(&Query::<Page>::try_from_uri(&uri).unwrap_err());
            assert!(told.starts_with(said) && told.ends_with("/v1/openapi.json lists the parameters"), "{told}");
            assert!(!told.contains("string"), "{told}");
        }
    }
}
