//! X12 997 and TA1 as what a partner says of an interchange that it was sent.
//!
//! ```text
//! AK1*IN*17~                     group 17, which is interchange 17: one group to each
//! AK2*810*0001~                  its set, of which there is one
//! AK3*BIG*2**8~ AK4*2*373*8~     what is wrong, where
//! AK5*R*5~                       the set: A accepted, E with errors, R rejected (M W X for security)
//! AK9*R*1*1*0~                   the group, in the same letters, and P for a part of it
//!
//! TA1*000000017*260302*0915*R*024~   the interchange: A received, E with errors, R rejected
//! ```
//!
//! The worse of set and group counts. A TA1 that rejects nothing says no more than that the
//! interchange came: the 997 is still to come. What a 997 is about that the host cannot have
//! sent (several sets, another set's number) is `invalid`, and so a person's.
//!
//! Of what is wrong, codes and places go on. AK404 is a copy of the value and stays behind.

use portreeve_guest_x12_document::{Segment, TransactionSet};
use portreeve_sdk::transformer::*;
use serde::Serialize;

/// The kind of the event.
const KIND: &str = "interchange.acknowledged";

/// ST02 of every set that the host sends.
const CONTROL: &str = "0001";

/// Faults that are told.
const FAULTS_MAX: usize = 32;

/// The body of the event.
#[derive(Serialize)]
struct Acknowledgement {
    partner: String,
    number: String,
    said: &'static str,
    faults: Vec<String>,
}

/// From what is best to what is worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Accepted,
    WithErrors,
    Rejected,
}

struct X12Acknowledgements;

impl Transformer for X12Acknowledgements {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        let set = TransactionSet::read(&request.body)?;
        let acknowledgement = match request.kind.as_str() {
            "x12/997" => functional(&set)?,
            "x12/ta1" => technical(&set)?,
            other => {
                return Err(Failure::permanent(format!("this transformer does not map documents of kind `{other}`")));
            }
        };
        let body = serde_json::to_vec(&acknowledgement).map_err(|error| Failure::permanent(error.to_string()))?;
        Ok(vec![Event::Other(OtherEvent { kind: KIND.to_owned(), body })])
    }
}

fn functional(set: &TransactionSet) -> Result<Acknowledgement, Failure> {
    let group = segment(set, "AK1")?;
    let mut status = status_of(segment(set, "AK9")?, "AK9")?;
    let sets: Vec<&Segment> = set.segments.iter().filter(|segment| segment.tag() == "AK2").collect();
    match sets.as_slice() {
        [] => {}
        [only] if only.element(2) == CONTROL => status = status.max(status_of(segment(set, "AK5")?, "AK5")?),
        [_] => {
            return Err(invalid(
                "other-set",
                "AK2/02",
                "found another set than 0001, which is the only one of a group of ours",
            ));
        }
        _ => return Err(invalid("several-sets", "AK2", "found several sets of a group; each of ours has one")),
    }
    let mut faults: Vec<String> = set.segments.iter().filter_map(fault).collect();
    faults.truncate(FAULTS_MAX);
    Ok(Acknowledgement {
        partner: partner(set),
        number: number(group.element(2), "AK1/02")?,
        said: match status {
            Status::Accepted => "accepted",
            Status::WithErrors => "accepted-with-errors",
            Status::Rejected => "rejected",
        },
        faults,
    })
}

fn technical(set: &TransactionSet) -> Result<Acknowledgement, Failure> {
    let segment = segment(set, "TA1")?;
    let rejects = match segment.element(4) {
        "A" | "E" => false,
        "R" => true,
        _ => return Err(invalid("unknown-status", "TA1/04", "found another status than A, E or R")),
    };
    Ok(Acknowledgement {
        partner: partner(set),
        number: number(segment.element(1), "TA1/01")?,
        said: if rejects { "rejected" } else { "received" },
        faults: fault(segment).into_iter().collect(),
    })
}

/// Who says it, as keys write parties.
fn partner(set: &TransactionSet) -> String {
    let escaped = |part: &str| part.replace('%', "%25").replace('/', "%2F").replace(':', "%3A").replace('>', "%3E");
    match set.sender.split_once(':') {
        Some((qualifier, id)) => format!("{}:{}", escaped(qualifier), escaped(id)),
        None => escaped(&set.sender),
    }
}

/// AK501 or AK901. Of a group of one set a part is none.
fn status_of(segment: &Segment, tag: &str) -> Result<Status, Failure> {
    match segment.element(1) {
        "A" => Ok(Status::Accepted),
        "E" => Ok(Status::WithErrors),
        "R" | "M" | "W" | "X" | "P" => Ok(Status::Rejected),
        _ => Err(invalid("unknown-status", &format!("{tag}/01"), "found another status than A, E, R, M, W, X or P")),
    }
}

/// What is wrong, in codes and places; none where the segment says nothing of it.
fn fault(segment: &Segment) -> Option<String> {
    let elements: &[usize] = match segment.tag() {
        "AK3" => &[1, 2, 4],
        // The fourth is a copy of what was wrong.
        "AK4" => &[1, 2, 3],
        "AK5" => &[2, 3, 4, 5, 6],
        "AK9" => &[5, 6, 7, 8, 9],
        "TA1" => &[5],
        _ => return None,
    };
    let told: Vec<&str> = elements.iter().map(|number| segment.element(*number)).filter(|text| is_code(text)).collect();
    let says = !told.is_empty() && told != ["000"];
    says.then(|| format!("{} {}", segment.tag(), told.join(" ")))
}

/// A code, a place or a tag, and no text that somebody wrote.
fn is_code(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn segment<'a>(set: &'a TransactionSet, tag: &str) -> Result<&'a Segment, Failure> {
    set.first(tag).ok_or_else(|| invalid("segment-missing", tag, "the segment is not there; expected it once"))
}

/// A control number without zeros before it.
fn number(text: &str, path: &str) -> Result<String, Failure> {
    let number = text.parse::<u64>().ok().filter(|number| *number > 0);
    let message = "found no control number of ours; expected a whole number from 1";
    number.map(|number| number.to_string()).ok_or_else(|| invalid("control-number", path, message))
}

fn invalid(code: &str, path: &str, message: &str) -> Failure {
    Failure::invalid(Problem::new(code, message, path))
}

portreeve_sdk::transformer!(X12Acknowledgements);
