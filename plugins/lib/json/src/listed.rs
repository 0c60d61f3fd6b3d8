//! Inputs that are one event or a list of events, taken apart.
//!
//! Each event is a document, and its bytes go on as they came: a number that passes
//! through a parser and back is another number. Whether an event came before, with these
//! bytes or others, is judged event by event, and one stops none of its neighbours.
//!
//! The answer is 202, or 422 when nothing was taken, with what is wrong and where:
//! `{"accepted":2,"problems":[{"code":…,"message":…,"path":"events[3].id"}]}`.

use std::fmt;

use portreeve_sdk::types::{Document, Header, Inbound, Position, Problem, Received, Reply};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

/// Bytes of an input, of which nearly all come back as documents: the host refuses a
/// result of more than 4 MiB, keys and places included, and counts it as the plugin's
/// failure. A sender of large batches would have the plugin stopped for everybody.
const INPUT_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Events of one batch: one input is one commit. A list of millions of tiny elements
/// would be many times its own size in memory.
const EVENTS_MAX: usize = 500;

/// Bytes of an event. A transformer holds several copies of a text that it refuses, and
/// one that runs out of memory would count as broken instead of the event. CloudEvents
/// promise a way through for 64 KiB.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a key, the host's limit for one: it refuses a result with a longer key whole,
/// and with it every other event of the batch.
pub const KEY_BYTES_MAX: usize = 256;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What is wrong with an input or an event, on the heap: it is rare and large.
pub type Wrong = Box<Problem>;

/// Events with their places; none where one is the whole input.
pub type Events<'a> = Vec<(&'a RawValue, String)>;

/// What is expected, for whoever sent something else.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// An input that is one event.
    pub one: &'static str,
    /// An input that is a list of them.
    pub many: &'static str,
}

/// The text of an input.
///
/// # Errors
/// When it is larger than is taken at once.
pub fn text(input: &Inbound) -> Result<&[u8], Wrong> {
    let found = input.body.len();
    if found > INPUT_BYTES_MAX {
        let message = format!("found {found} bytes; expected {INPUT_BYTES_MAX} at most, send smaller batches");
        return wrong("input-too-large", message, "");
    }
    Ok(input.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&input.body))
}

/// Whether a text looks like a list, by its first byte.
#[must_use]
pub fn is_list(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"[")
}

/// The events of a text.
///
/// # Errors
/// What is wrong with it as a whole.
pub fn events<'a>(text: &'a [u8], is_list: bool, words: &Words) -> Result<Events<'a>, Wrong> {
    if !is_list {
        return Ok(vec![(json_of(text, words.one)?, String::new())]);
    }
    let First::<EVENTS_MAX> { elements: events, found } = json_of(text, words.many)?;
    if found > EVENTS_MAX {
        let message = format!("found {found} events; expected {EVENTS_MAX} at most, send smaller batches");
        return wrong("too-many-events", message, "events");
    }
    Ok(events.into_iter().enumerate().map(|(index, event)| (event, format!("events[{index}]"))).collect())
}

/// The members of an event that are looked at: `expected` is what it should have been.
///
/// # Errors
/// When it is too large, or no object of such members.
pub fn members<'a, T: Deserialize<'a>>(event: &'a RawValue, expected: &str) -> Result<T, Wrong> {
    let found = event.get().len();
    if found > EVENT_BYTES_MAX {
        let message = format!("found an event of {found} bytes; expected {EVENT_BYTES_MAX} at most");
        return wrong("event-too-large", message, "");
    }
    // Of a list serde would take the elements for attributes, in the order of the code.
    let object = Some(event.get()).filter(|text| text.starts_with('{'));
    object.and_then(|text| serde_json::from_str(text).ok()).map_or_else(
        || wrong("not-an-event", format!("found no JSON object that has each attribute once; expected {expected}"), ""),
        Ok,
    )
}

/// A member that has to be a text.
///
/// # Errors
/// When it is missing or something else.
pub fn attribute(found: Option<&RawValue>, name: &str) -> Result<String, Wrong> {
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

/// What a connector made of an input: each event a document of this kind, under its key.
pub fn received(
    kind: &str,
    input: &Inbound,
    events: Result<Events<'_>, Wrong>,
    key: fn(&RawValue) -> Result<String, Wrong>,
) -> Received {
    let (mut documents, mut problems) = (vec![], vec![]);
    let events = events.unwrap_or_else(|problem| {
        problems.push(*problem);
        vec![]
    });
    for (event, place) in events {
        match document(kind, event, place, &input.body, key) {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(*problem),
        }
    }
    let reply = reply(&documents, &problems);
    Received { envelopes: vec![], documents, problems, reply }
}

/// The media type of a content type, without its parameters.
#[must_use]
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A problem instead of a value.
///
/// # Errors
/// Always.
pub fn wrong<T>(code: &str, message: impl Into<String>, path: &str) -> Result<T, Wrong> {
    Err(Box::new(Problem::new(code, message, path)))
}

fn document(
    kind: &str,
    event: &RawValue,
    place: String,
    body: &[u8],
    key: fn(&RawValue) -> Result<String, Wrong>,
) -> Result<Document, Wrong> {
    let start = event.get().as_ptr().addr().checked_sub(body.as_ptr().addr());
    let offset_bytes = start.and_then(|start| u64::try_from(start).ok());
    let position = |path| Position { offset_bytes, segment: None, path };
    let key = key(event).map_err(|problem| {
        let path = format!("{place}.{}", problem.position.path).trim_matches('.').to_owned();
        Box::new(Problem { position: position(path), ..*problem })
    })?;
    let (kind, body) = (kind.to_owned(), event.get().as_bytes().to_vec());
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

/// Reads a body. Of one that cannot be read its place is told, without the text around
/// it, which may be about somebody.
fn json_of<'a, T: Deserialize<'a>>(text: &'a [u8], expected: &str) -> Result<T, Wrong> {
    serde_json::from_slice(text).or_else(|error| {
        let (line, column) = (error.line(), error.column());
        let message = format!("the JSON cannot be read at line {line}, column {column}; expected {expected}");
        wrong("malformed-json", message, "")
    })
}

/// The first `MAX` elements of a list, each as it was written, and how many there are: a list of
/// millions of tiny ones would be many times its own size in memory.
#[derive(Debug, Default)]
pub struct First<'a, const MAX: usize> {
    /// The elements.
    pub elements: Vec<&'a RawValue>,
    /// How many the list has.
    pub found: usize,
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for First<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de: 'a, 'a, const MAX: usize> Visitor<'de> for First<'a, MAX> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(element) = list.next_element()? {
            self.found = self.found.saturating_add(1);
            if self.found <= MAX {
                self.elements.push(element);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn posted(body: &[u8]) -> Received {
        let input = Inbound {
            method: "POST".to_owned(),
            path: String::new(),
            headers: vec![],
            body: body.to_vec(),
            received_at: 0,
            sender: String::new(),
            settings: vec![],
        };
        let words = Words { one: "an event", many: "a list of events" };
        let events = text(&input).and_then(|text| events(text, is_list(text), &words));
        received("test/event", &input, events, |event| match event.get() {
            "{}" => wrong("id-missing", "found no id", "id"),
            event => Ok(event.to_owned()),
        })
    }

    #[test]
    fn one_event_that_is_wrong_stops_none_of_its_neighbours_and_is_told_with_its_place() {
        let received = posted(b"\xEF\xBB\xBF [1.10, {}, 2]");
        let bodies: Vec<_> = received.documents.iter().map(|document| document.body.as_slice()).collect();
        assert_eq!(bodies, [b"1.10".as_slice(), b"2"]);
        let position = &received.problems[0].position;
        assert_eq!((position.path.as_str(), position.offset_bytes), ("events[1].id", Some(11)));
        let answer =
            r#"{"accepted":2,"problems":[{"code":"id-missing","message":"found no id","path":"events[1].id"}]}"#;
        assert_eq!((received.reply.status, received.reply.body.as_slice()), (202, answer.as_bytes()));
        assert_eq!(posted(b"{}").reply.status, 422);
    }

    #[test]
    fn a_list_of_more_events_than_are_taken_is_refused_whole() {
        let list = |events: usize| format!("[{}]", vec!["1"; events].join(","));
        assert_eq!(posted(list(EVENTS_MAX).as_bytes()).documents.len(), EVENTS_MAX);
        let refused = posted(list(EVENTS_MAX + 1).as_bytes());
        assert_eq!((refused.documents.len(), refused.problems[0].code.as_str()), (0, "too-many-events"));
        assert_eq!(posted(&vec![b' '; INPUT_BYTES_MAX + 1]).problems[0].code, "input-too-large");
    }
}
