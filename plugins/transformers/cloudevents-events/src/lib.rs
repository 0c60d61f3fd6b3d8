//! CloudEvents as the canonical events that they carry.
//!
//! The `type` is the canonical event's name, and `data` is its JSON: camel case, 64-bit
//! integers as text, amounts in minor units, words in kebab case. What may be missing may
//! be left out or null. Nothing is guessed: an amount, a quantity or a unit that is not
//! there, a number where a text has to be and a field that nobody knows are all refused,
//! with the place in the data.
//!
//! Orders themselves are not among the types: they come in by the channels of their
//! formats. Here is what other systems say about orders that the host knows, and how much there is
//! of an item (`inventory.level`), which is about no order.

mod event;
mod shape;
mod value;

use std::borrow::Cow;

use portreeve_guest_json::place;
use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::TYPES;

const KIND: &str = "cloudevents/event";

struct CloudEventsEvents;

/// What is read of a CloudEvent in structured mode.
#[derive(Deserialize)]
struct CloudEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Transformer for CloudEventsEvents {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind != KIND {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        let cloud_event: CloudEvent<'_> = serde_json::from_slice(&request.body).map_err(|error| {
            let message = format!("the event cannot be read at line {}, column {}", error.line(), error.column());
            Failure::invalid(Problem::new("malformed-document", message, ""))
        })?;
        let known = TYPES.iter().find(|(name, _)| *name == cloud_event.kind);
        let (_, read) = known.ok_or_else(|| Failure::invalid(unsupported(&cloud_event.kind)))?;
        read(cloud_event.data).map(|event| vec![event]).map_err(|problem| Failure::invalid(*problem))
    }
}

fn unsupported(kind: &str) -> Problem {
    let supported: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
    let message = format!("found the type `{}`; expected one of {}", place::visible(kind), supported.join(", "));
    Problem::new("unsupported-type", message, "type")
}

portreeve_sdk::transformer!(CloudEventsEvents);
