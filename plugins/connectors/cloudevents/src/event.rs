//! One event: the attributes that it has to have, and the key that they make.
//!
//! Only what says which event it is and what it is about is looked at here; whether its
//! data is right is the transformer's to say. Extension attributes go on unread.

use portreeve_guest_json::listed::{self, KEY_BYTES_MAX, Wrong, attribute, media_type, wrong};
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

const SPEC_VERSION: &str = "1.0";

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
pub(crate) fn key(event: &RawValue) -> Result<String, Wrong> {
    let attributes: Attributes<'_> = listed::members(event, "a CloudEvent")?;
    if attribute(attributes.specversion, "specversion")? != SPEC_VERSION {
        let message = format!("found another version of CloudEvents; expected `specversion` {SPEC_VERSION}");
        return wrong("specversion-unsupported", message, "specversion");
    }
    let (id, source) = (attribute(attributes.id, "id")?, attribute(attributes.source, "source")?);
    attribute(attributes.kind, "type")?;
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

/// The data has to be JSON, as JSON: other bytes could be anything.
fn has_json(attributes: &Attributes<'_>) -> Result<(), Wrong> {
    if let Some(stated) = attributes.datacontenttype {
        let stated = media_type(&attribute(Some(stated), "datacontenttype")?);
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
