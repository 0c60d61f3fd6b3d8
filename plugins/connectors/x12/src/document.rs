//! One transaction set as a document that needs no delimiters any more.
//!
//! ```json
//! {"version":"004010","usage":"P","sender":"ZZ:ACME","receiver":"ZZ:PORTREEVE",
//!  "groupSender":"ACME","groupReceiver":"PORTREEVE",
//!  "segments":[["BEG","00","SA","4711","","20260302"],["PO1","1","5","EA","12.50"]]}
//! ```
//!
//! INVARIANT: no control number, date or time of an envelope is in the body.
//! The same set in another envelope has the same key and the same bytes, so
//! the host knows it as a duplicate; with other bytes it would be refused.

use portreeve_guest_x12::key::{NUMBER_BYTES_MAX, unfit};
use portreeve_guest_x12::{Group, Interchange, Kind, Segment, Set, key};
use portreeve_sdk::connector::{Document, Position, Problem, escaped_part};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    version: &'a str,
    usage: &'a str,
    sender: String,
    receiver: String,
    group_sender: &'a str,
    group_receiver: &'a str,
    segments: Vec<Vec<&'a str>>,
}

/// What a set came in.
pub(crate) struct Taking<'a> {
    pub(crate) interchange: &'a Interchange,
    pub(crate) group: &'a Group,
    /// The index of its envelope; none when the interchange has none.
    pub(crate) envelope: Option<u32>,
}

/// Makes the document of a set.
pub(crate) fn of(taking: &Taking<'_>, kind: Kind, set: &Set) -> Result<Document, Problem> {
    let Taking { interchange, group, envelope } = *taking;
    let body = Body {
        version: group.version(),
        usage: interchange.isa.usage(),
        sender: interchange.isa.sender().unwrap_or_default(),
        receiver: interchange.isa.receiver().unwrap_or_default(),
        group_sender: group.sender(),
        group_receiver: group.receiver(),
        segments: set.segments.iter().map(row).collect(),
    };
    let body = serde_json::to_vec(&body)
        .map_err(|error| Problem::new("document-unwritable", error.to_string(), set.path.clone()))?;
    let position = Position {
        offset_bytes: u64::try_from(set.header.offset).ok(),
        segment: Some(set.header.number),
        path: set.path.clone(),
    };
    let partner = key::of_partner(interchange, group);
    let key = key::of_set(kind, &partner, set);
    Ok(Document { key, partner, kind: format!("x12/{}", kind.code()), position, envelope, body })
}

/// Makes the document of a TA1, which is in no group. Its key has all that tells it from another.
pub(crate) fn technical(
    interchange: &Interchange,
    envelope: Option<u32>,
    segment: &Segment,
) -> Result<Document, Problem> {
    let path = format!("ISA/TA1[{}]", segment.number);
    let parts = [1, 2, 3, 4, 5].map(|number| segment.trimmed(number));
    if let Some(unfit) = parts.iter().find_map(|part| unfit(part, NUMBER_BYTES_MAX)) {
        return Err(Problem::new("ta1-unusable", unfit.sentence("an element of the TA1", NUMBER_BYTES_MAX), path));
    }
    let partner = interchange.isa.sender().unwrap_or_default();
    let body = Body {
        version: interchange.isa.element(12),
        usage: interchange.isa.usage(),
        sender: partner.clone(),
        receiver: interchange.isa.receiver().unwrap_or_default(),
        group_sender: "",
        group_receiver: "",
        segments: vec![row(segment)],
    };
    let body = serde_json::to_vec(&body)
        .map_err(|error| Problem::new("document-unwritable", error.to_string(), path.clone()))?;
    let position = Position { offset_bytes: u64::try_from(segment.offset).ok(), segment: Some(segment.number), path };
    let key = format!("{partner}//TA1/{}", parts.map(escaped_part).join("/"));
    Ok(Document { key, partner, kind: "x12/ta1".to_owned(), position, envelope, body })
}

fn row(segment: &Segment) -> Vec<&str> {
    std::iter::once(segment.tag.as_str()).chain(segment.elements.iter().map(String::as_str)).collect()
}
