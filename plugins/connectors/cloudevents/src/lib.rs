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

mod batch;
mod event;

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::batch::{Batch, EVENTS_MAX};

const KIND: &str = "cloudevents/event";

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// Headers of binary mode. In structured mode, too, a sender may write them, beside an
/// event that says the same (HTTP binding 1.0.2, 3.2.3).
const BINARY: [&str; 3] = ["ce-specversion", "ce-id", "ce-type"];

/// Bytes of an input, of which nearly all come back as documents: the host refuses a
/// result of more than 4 MiB, keys and places included, and counts it as this plugin's
/// failure. A sender of large batches would have the plugin stopped for everybody.
const INPUT_BYTES_MAX: usize = 3 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

struct CloudEvents;

impl Connector for CloudEvents {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        let (mut documents, mut problems) = (vec![], vec![]);
        let events = events(&input).unwrap_or_else(|problem| {
            problems.push(*problem);
            vec![]
        });
        for (event, place) in events {
            match document(event, place, &input.body) {
                Ok(document) => documents.push(document),
                Err(problem) => problems.push(*problem),
            }
        }
        let reply = reply(&documents, &problems);
        Ok(Received { envelopes: vec![], documents, problems, reply })
    }
}

/// The events of an input, each with its place: none where it is the whole input.
///
/// # Errors
/// What is wrong with the input as a whole.
fn events(input: &Inbound) -> Result<Vec<(&RawValue, String)>, Box<Problem>> {
    let found = input.body.len();
    if found > INPUT_BYTES_MAX {
        let message = format!("found {found} bytes; expected {INPUT_BYTES_MAX} at most, send smaller batches");
        return wrong("input-too-large", message, "");
    }
    let text = input.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&input.body);
    if !is_batch(input, text)? {
        return Ok(vec![(read(text, "a CloudEvent as one JSON object")?, String::new())]);
    }
    let Batch { events, found } = read(text, "CloudEvents as one JSON list")?;
    if found > EVENTS_MAX {
        let message = format!("found {found} events; expected {EVENTS_MAX} at most, send smaller batches");
        return wrong("too-many-events", message, "events");
    }
    Ok(events.into_iter().enumerate().map(|(index, event)| (event, format!("events[{index}]"))).collect())
}

/// Whether an input is a list of events, by its media type, or one event.
fn is_batch(input: &Inbound, text: &[u8]) -> Result<bool, Box<Problem>> {
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
        (None, None) => Ok(text.trim_ascii_start().starts_with(b"[")),
        (Some(_), None) => {
            let message = format!("found another media type; expected `{STRUCTURED}` or `{BATCH}`");
            wrong("media-type", message, "content-type")
        }
    }
}

/// Reads a body. Of one that cannot be read its place is told, without the text around
/// it, which may be about somebody.
fn read<'a, T: Deserialize<'a>>(text: &'a [u8], expected: &str) -> Result<T, Box<Problem>> {
    serde_json::from_slice(text).or_else(|error| {
        let (line, column) = (error.line(), error.column());
        let message = format!("the JSON cannot be read at line {line}, column {column}; expected {expected}");
        wrong("malformed-json", message, "")
    })
}

fn document(event: &RawValue, place: String, body: &[u8]) -> Result<Document, Box<Problem>> {
    let start = event.get().as_ptr().addr().checked_sub(body.as_ptr().addr());
    let offset_bytes = start.and_then(|start| u64::try_from(start).ok());
    let position = |path| Position { offset_bytes, segment: None, path };
    let key = event::key(event).map_err(|problem| {
        let path = format!("{place}.{}", problem.position.path).trim_matches('.').to_owned();
        Box::new(Problem { position: position(path), ..*problem })
    })?;
    let (kind, body) = (KIND.to_owned(), event.get().as_bytes().to_vec());
    Ok(Document { key, partner: String::new(), kind, position: position(place), envelope: None, body })
}

fn reply(documents: &[Document], problems: &[Problem]) -> Reply {
    let told = problems.iter().map(|problem| {
        let Problem { code, message, position } = problem;
        json!({"code": code, "message": message, "path": position.path})
    });
    let answer = json!({"accepted": documents.len(), "problems": told.collect::<Vec<_>>()});
    let headers = vec![Header { name: "content-type".to_owned(), value: "application/json".to_owned() }];
    let taken = !documents.is_empty() || problems.is_empty();
    Reply { status: if taken { 202 } else { 422 }, headers, body: answer.to_string().into_bytes() }
}

/// The media type of a content type, without its parameters.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn wrong<T>(code: &str, message: impl Into<String>, path: &str) -> Result<T, Box<Problem>> {
    Err(Box::new(Problem::new(code, message, path)))
}

portreeve_sdk::connector!(CloudEvents);
