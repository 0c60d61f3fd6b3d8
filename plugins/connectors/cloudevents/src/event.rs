//! One event: the attributes that it has to have, and the key that they make.
//!
//! Only what says which event it is and what it is about is looked at here; whether its
//! data is right is the transformer's to say. Extension attributes go on unread.

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{media_type, wrong};

const SPEC_VERSION: &str = "1.0";

/// Bytes of an event. A transformer holds several copies of a text that it refuses, and
/// one that runs out of memory would count as broken instead of the event. The
/// specification promises a way through for 64 KiB.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a key, the host's limit for one: it refuses a result with a longer key whole,
/// and with it every other event of the batch.
const KEY_BYTES_MAX: usize = 256;

/// The attributes that are looked at, each as it was written.
#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    specversion: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    datacontenttype: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'a RawValue>,
}

/// The key of an event, which is right as far as it is looked at here. Paths are within
/// the event.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn key(event: &RawValue) -> Result<String, Box<Problem>> {
    let found = event.get().len();
    if found > EVENT_BYTES_MAX {
        let message = format!("found an event of {found} bytes; expected {EVENT_BYTES_MAX} at most");
        return wrong("event-too-large", message, "");
    }
    // Of a list serde would take the elements for attributes, in the order of the code.
    let object = Some(event.get()).filter(|text| text.starts_with('{'));
    let Some(attributes) = object.and_then(|text| serde_json::from_str::<Attributes<'_>>(text).ok()) else {
        let message = "found no JSON object that has each attribute once; expected a CloudEvent";
        return wrong("not-an-event", message, "");
    };
    if text(attributes.specversion, "specversion")? != SPEC_VERSION {
        let message = format!("found another version of CloudEvents; expected `specversion` {SPEC_VERSION}");
        return wrong("specversion-unsupported", message, "specversion");
    }
    let (id, source) = (text(attributes.id, "id")?, text(attributes.source, "source")?);
    text(attributes.kind, "type")?;
    has_json(&attributes)?;

    let key = format!("{}/{}", escaped_part(&source), escaped_part(&id));
    let found = key.len();
    if found > KEY_BYTES_MAX {
        let message = format!(
            "found `source` and `id` of {found} bytes together, `/` and `%` escaped; expected {KEY_BYTES_MAX} at most"
        );
        return wrong("key-too-long", message, "id");
    }
    Ok(key)
}

fn text(found: Option<&RawValue>, name: &str) -> Result<String, Box<Problem>> {
    let Some(found) = found else {
        return wrong("attribute-missing", format!("found no `{name}`; expected a text that is not blank"), name);
    };
    match serde_json::from_str::<String>(found.get()) {
        Ok(text) if !text.trim().is_empty() && !text.chars().any(char::is_control) => Ok(text),
        _ => {
            let message =
                format!("found another value; expected `{name}` as a text, not blank and without control characters");
            wrong("attribute-malformed", message, name)
        }
    }
}

/// The data has to be JSON, as JSON: other bytes could be anything.
fn has_json(attributes: &Attributes<'_>) -> Result<(), Box<Problem>> {
    if let Some(stated) = attributes.datacontenttype {
        let stated = media_type(&text(Some(stated), "datacontenttype")?);
        if stated != "application/json" && !stated.ends_with("+json") {
            let message = "found data of another media type; expected `application/json`";
            return wrong("data-not-json", message, "datacontenttype");
        }
    }
    match (attributes.data, attributes.data_base64) {
        (Some(_), None) => Ok(()),
        (None, None) => wrong("data-missing", "found no `data`; expected the event's JSON", "data"),
        (_, Some(_)) => wrong("data-base64", "found bytes; expected the event's JSON in `data`", "data_base64"),
    }
}
