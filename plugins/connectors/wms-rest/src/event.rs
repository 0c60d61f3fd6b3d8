//! The WMS's webhook: which event one is, and the key that it has.
//!
//! Only what tells one event from another is looked at here; whether it makes sense is the
//! transformer's to say.

use portreeve_guest_json::listed::{self, Events, KEY_BYTES_MAX, Words, Wrong, attribute, media_type, wrong};
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) const KIND: &str = "wms-rest/event";

const WORDS: Words =
    Words { one: "an event of the WMS as one JSON object", many: "events of the WMS as one JSON list" };

/// The members that are looked at, each as it was written.
#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    at: Option<&'a RawValue>,
}

/// The events of an input, each with its place.
///
/// # Errors
/// What is wrong with the input as a whole.
pub(crate) fn events(input: &Inbound) -> Result<Events<'_>, Wrong> {
    let text = listed::text(input)?;
    if input.method != "POST" {
        return wrong("not-posted", "found a request that posts nothing; expected a POST with events", "");
    }
    // A file of a watched folder has no media type.
    let stated = header(&input.headers, "content-type").map(media_type);
    if stated.is_some_and(|stated| stated != "application/json") {
        let message = "found another media type; expected `application/json`";
        return wrong("media-type", message, "content-type");
    }
    listed::events(text, listed::is_list(text), &WORDS)
}

/// The key of an event: its id. Paths are within the event.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn key(event: &RawValue) -> Result<String, Wrong> {
    let attributes: Attributes<'_> = listed::members(event, "an event of the WMS")?;
    let id = attribute(attributes.id, "id")?;
    attribute(attributes.kind, "type")?;
    attribute(attributes.at, "at")?;
    let found = id.len();
    if found > KEY_BYTES_MAX {
        let message = format!("found an `id` of {found} bytes; expected {KEY_BYTES_MAX} at most");
        return wrong("key-too-long", message, "id");
    }
    Ok(id)
}
