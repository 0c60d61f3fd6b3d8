//! The host's own replies, where a connector's protocol has none: the connector
//! failed, or its sender wants no more than to know that the input is kept.
//!
//! They are stored with the input like any reply, so a duplicate gets the same.

use portreeve_model::document::Header;
use portreeve_model::{Problem, Reply};
use portreeve_record::canonical_json;
use serde::Serialize;

/// Problems in one reply; the rest is counted. An input of 4 MiB may have more
/// than anybody reads.
const PROBLEMS_MAX: usize = 100;

const PROBLEM_TYPE: &str = "application/problem+json";

/// The input is kept. A connector that says just this (202 without headers and
/// body) leaves it to the transport to name the input's id.
pub(crate) fn kept() -> Reply {
    Reply { status: 202, headers: Vec::new(), body: Vec::new() }
}

/// Whether a reply leaves the words to the transport.
#[must_use]
pub fn is_hosts(reply: &Reply) -> bool {
    reply.status == 202 && reply.headers.is_empty() && reply.body.is_empty()
}

/// Whether a reply is the host's own problem details and no word of the protocol.
#[must_use]
pub fn is_problem(reply: &Reply) -> bool {
    reply.headers.iter().any(|header| header.name == "content-type" && header.value == PROBLEM_TYPE)
}

/// Problem details (RFC 9457) with every position.
#[derive(Serialize)]
struct Rejection<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    problems: &'a [Problem],
}

/// The input is wrong and stays wrong.
pub(crate) fn rejected(problems: &[Problem]) -> Reply {
    let shown = problems.get(..PROBLEMS_MAX).unwrap_or(problems);
    let rejection = Rejection {
        r#type: "urn:portreeve:problem:invalid",
        title: "The input cannot be read",
        status: 422,
        detail: format!(
            "{} problem(s) were found, {} are listed; correct them and send it again",
            problems.len(),
            shown.len()
        ),
        problems: shown,
    };
    let header = Header { name: "content-type".to_owned(), value: PROBLEM_TYPE.to_owned() };
    // Texts and numbers have a canonical form; without one the status still says it.
    let body = canonical_json(&rejection).unwrap_or_default();
    Reply { status: 422, headers: vec![header], body }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::document::Position;

    use super::*;

    #[test]
    fn a_rejection_is_problem_details_with_every_place() {
        let position = Position { offset_bytes: Some(105), segment: Some(3), path: "BEG/03".to_owned() };
        let problem = Problem { code: "number-missing".to_owned(), message: "found nothing".to_owned(), position };
        let reply = rejected(&[problem.clone(), problem]);
        assert_eq!(reply.status, 422);
        assert!(!is_hosts(&reply) && is_hosts(&kept()));
        assert!(is_problem(&reply) && !is_problem(&kept()));
        let body = String::from_utf8(reply.body).unwrap();
        assert!(body.contains(r#""type":"urn:portreeve:problem:invalid""#), "{body}");
        assert!(body.contains(r#""position":{"offsetBytes":"105","path":"BEG/03","segment":3}"#), "{body}");
        assert!(body.contains("2 problem(s)"), "{body}");
    }

    #[test]
    fn of_a_thousand_problems_the_first_hundred_are_told() {
        let position = Position { offset_bytes: None, segment: None, path: String::new() };
        let problem = Problem { code: "x".to_owned(), message: "y".to_owned(), position };
        let body = String::from_utf8(rejected(&vec![problem; 1_000]).body).unwrap();
        assert_eq!(body.matches(r#""code":"x""#).count(), PROBLEMS_MAX);
        assert!(body.contains("1000 problem(s) were found, 100 are listed"), "{body}");
    }
}
