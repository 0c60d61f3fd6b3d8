//! One webhook event: what says that it is one, and which.
//!
//! What it is about is the transformer's to read: its bytes go on as they came.

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

const KIND: &str = "stripe/event";

/// Bytes of an event; Stripe's have some thousand. The transformer reads what nests three
/// deep as often, and runs out of fuel over a megabyte of the smallest values: it would
/// count as broken instead of the event.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of an event's id, the host's limit for a key: it refuses a result with a longer one
/// and counts it as this plugin's failure.
const ID_BYTES_MAX: usize = 256;

/// The members that are looked at, each as it was written.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

/// The document that an input is.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn document(input: &Inbound) -> Result<Document, Box<Problem>> {
    if input.method != "POST" {
        return wrong("not-posted", "found a request that posts nothing; expected a POST with an event", "");
    }
    if header(&input.headers, "content-type").is_some_and(|stated| !is_json(stated)) {
        return wrong("media-type", "found another media type; expected `application/json`", "content-type");
    }
    let found = input.body.len();
    if found > EVENT_BYTES_MAX {
        let message = format!("found an event of {found} bytes; expected {EVENT_BYTES_MAX} at most");
        return wrong("event-too-large", message, "");
    }
    let text: &RawValue = serde_json::from_slice(&input.body).or_else(|error| {
        let (line, column) = (error.line(), error.column());
        let message = format!("the JSON cannot be read at line {line}, column {column}; expected an event");
        wrong("malformed-json", message, "")
    })?;
    let (key, kind, body) = (key(text)?, KIND.to_owned(), text.get().as_bytes().to_vec());
    let position = Position { offset_bytes: Some(0), segment: None, path: String::new() };
    Ok(Document { key, partner: String::new(), kind, position, envelope: None, body })
}

/// The id of an event, which is right as far as it is looked at here.
fn key(text: &RawValue) -> Result<String, Box<Problem>> {
    let Some(event) = event(text) else {
        let message = "found no event, but perhaps an object of the API by itself; expected an object with `object` \
                       `event`, as an endpoint gets it";
        return wrong("not-an-event", message, "object");
    };
    let id = word(event.id, "id")?;
    word(event.kind, "type")?;
    let data: Option<Data<'_>> = event.data.filter(|data| is_object(data)).and_then(read);
    match data.and_then(|data| data.object) {
        Some(object) if is_object(object) => Ok(id),
        Some(_) => wrong("field-malformed", "found something else; expected the object of the event", "data.object"),
        None => wrong("field-missing", "found no object; expected what the event is about", "data.object"),
    }
}

/// An object that has each member once and says that it is an event. Of a list serde would
/// take the elements for members, in the order of the code.
fn event(text: &RawValue) -> Option<Event<'_>> {
    let event: Event<'_> = Some(text).filter(|text| is_object(text)).and_then(read)?;
    (read::<String>(event.object?)? == "event").then_some(event)
}

fn word(found: Option<&RawValue>, name: &str) -> Result<String, Box<Problem>> {
    let Some(found) = found else {
        return wrong("field-missing", format!("found no `{name}`; expected it as a text"), name);
    };
    let is_word = |word: &String| (1..=ID_BYTES_MAX).contains(&word.len()) && !word.chars().any(char::is_control);
    read(found).filter(is_word).map_or_else(
        || {
            let expected = format!("expected `{name}` as a text of 1 to {ID_BYTES_MAX} bytes, all of them visible");
            wrong("field-malformed", format!("found another value; {expected}"), name)
        },
        Ok,
    )
}

fn read<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Option<T> {
    serde_json::from_str(text.get()).ok()
}

fn is_object(text: &RawValue) -> bool {
    text.get().starts_with('{')
}

/// Whether a content type is JSON's, whatever its parameters.
fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|stated| stated.trim().eq_ignore_ascii_case("application/json"))
}

fn wrong<T>(code: &str, message: impl Into<String>, path: &str) -> Result<T, Box<Problem>> {
    Err(Box::new(Problem::new(code, message, path)))
}
