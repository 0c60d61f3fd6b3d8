//! Canonical events as CloudEvents 1.0 in structured mode, for whoever subscribes to them.
//!
//! ```text
//! specversion       1.0
//! id, source, time  the host's word: which event it is, by which channel it came, and when
//! type              the canonical event's name, `shipment.confirmed`
//! subject           the host's id of the order
//! datacontenttype   application/json
//! dataschema        portreeve:plugin@0.1.0, the contract whose record the data is
//! data              the record: camel case, 64-bit integers as text, amounts in minor units,
//!                   words in kebab case; what is not there is left out
//! ```
//!
//! It is what `cloudevents-events` reads, so that one host can listen to another. What says which
//! event it is stands in no event: the host gives it as the settings `event-id`, `event-source`
//! and `event-time`, and without them nothing is rendered, for a made-up id would make two
//! events of one.

mod written;

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::Value;

const KIND: &str = "cloudevents/event";

/// The media type of structured mode.
const STRUCTURED: &str = "application/cloudevents+json";

/// A change of a record is another version of the contract.
const SCHEMA: &str = "portreeve:plugin@0.1.0";

struct CloudEventsDocuments;

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: &'a str,
    datacontenttype: &'static str,
    dataschema: &'static str,
    data: Value,
}

impl Transformer for CloudEventsDocuments {
    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        if request.kind != KIND {
            return Err(Failure::permanent(format!(
                "this transformer does not render messages of kind `{}`",
                request.kind
            )));
        }
        let (kind, data) = written::event(&request.event).ok_or_else(|| {
            Failure::permanent("found an event that the contract has no name for; expected one of its own")
        })?;
        let given = |name: &str| {
            setting(&request.settings, name).ok_or_else(|| {
                Failure::permanent(format!(
                    "setting `{name}` is missing; the host gives it to the target of a subscriber"
                ))
            })
        };
        let event = CloudEvent {
            specversion: "1.0",
            id: given("event-id")?,
            source: given("event-source")?,
            kind,
            subject: &request.order_id,
            time: given("event-time")?,
            datacontenttype: "application/json",
            dataschema: SCHEMA,
            data,
        };
        let body = serde_json::to_vec(&event)
            .map_err(|error| Failure::permanent(format!("the event cannot be written: {error}")))?;
        Ok(Message { kind: request.kind, content_type: STRUCTURED.to_owned(), body })
    }
}

portreeve_sdk::transformer!(CloudEventsDocuments);
