//! Canonical events as CloudEvents 1.0: what a warehouse, an ERP, a finance or a payment
//! system says about an order, posted in structured or batched mode.
//!
//! ```text
//! content-type: application/cloudevents+json          {"specversion":"1.0","id":…,"source":…,"type":…,"data":{…}}
//! content-type: application/cloudevents-batch+json    [{…},{…}]
//! no content type, as a file has it                   an object or a list, by its first byte
//! ```
//!
//! Binary mode is refused: there a header says which event it is, and the host knows an
//! input by its method, path and body, so two events with equal data would be one.
//!
//! Each event is a document. Its bytes go on as they came: a number that passes through
//! a parser and back is another number. Source and id together say which event it is, so
//! they are its key. There are no envelopes: whether an event came before, with these
//! bytes or others, is judged event by event, and one stops none of its neighbours.
//!
//! The answer is 202, or 422 when nothing was taken, with what is wrong and where:
//! `{"accepted":2,"problems":[{"code":…,"message":…,"path":"events[3].id"}]}`.

mod event;

use portreeve_guest_json::listed::{self, Events, Words, Wrong, media_type, wrong};
use portreeve_sdk::connector::*;

const KIND: &str = "cloudevents/event";

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// Headers of binary mode. In structured mode, too, a sender may write them, beside an
/// event that says the same (HTTP binding 1.0.2, 3.2.3).
const BINARY: [&str; 3] = ["ce-specversion", "ce-id", "ce-type"];

const WORDS: Words = Words { one: "a CloudEvent as one JSON object", many: "CloudEvents as one JSON list" };

struct CloudEvents;

impl Connector for CloudEvents {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        Ok(listed::received(KIND, &input, events(&input), event::key))
    }
}

/// The events of an input, each with its place.
///
/// # Errors
/// What is wrong with the input as a whole.
fn events(input: &Inbound) -> Result<Events<'_>, Wrong> {
    let text = listed::text(input)?;
    listed::events(text, is_batch(input, text)?, &WORDS)
}

/// Whether an input is a list of events, by its media type, or one event.
fn is_batch(input: &Inbound, text: &[u8]) -> Result<bool, Wrong> {
    if input.method != "POST" {
        return wrong("not-posted", "found a request that posts nothing; expected a POST with CloudEvents", "");
    }
    let media_type = header(&input.headers, "content-type").map(media_type);
    let binary = BINARY.into_iter().find(|name| header(&input.headers, name).is_some());
    match (media_type.as_deref(), binary) {
        (Some(STRUCTURED), _) => Ok(false),
        (Some(BATCH), _) => Ok(true),
        (_, Some(name)) => {
            let found = format!("found the header `{name}`, an event in binary mode");
            let message = format!("{found}; expected structured or batched mode, `{STRUCTURED}` or `{BATCH}`");
            wrong("binary-mode", message, name)
        }
        (None, None) => Ok(listed::is_list(text)),
        (Some(_), None) => {
            let message = format!("found another media type; expected `{STRUCTURED}` or `{BATCH}`");
            wrong("media-type", message, "content-type")
        }
    }
}

portreeve_sdk::connector!(CloudEvents);
