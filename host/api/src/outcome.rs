//! What became of an input, for whoever brings files by hand: how it was taken,
//! what it says, what the sender is answered, what is wrong with it.
//!
//! It costs one more call of the transformer for each document, so a sender gets it
//! only when the request's `accept` header asks for [`MEDIA_TYPE`].

use portreeve_model::{Event, Problem, Reply};
use portreeve_pipeline::accept::{AcceptError, Accepted, Finding};
use portreeve_pipeline::preview::{Preview, Unmapped};
use portreeve_pipeline::{Pipeline, reply};
use portreeve_store::StoreError;
use portreeve_store::contract::{Disposition, DocumentView};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The media type by which a sender asks for an [`Outcome`] instead of the reply.
pub const MEDIA_TYPE: &str = "application/vnd.portreeve.outcome+json";

/// Bytes of events and of documents' problems in one outcome. A file of many small
/// orders says several times its own bytes, and all of it is in memory until it is
/// sent; whatever is beyond this is decided as well and only not shown.
pub const SAID_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of a problem beside its words, as JSON.
const PROBLEM_BYTES: usize = 48;

/// The place of a problem that is about all of the input.
const WHOLE: &str = "whole input";

/// What became of an input.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// `accepted`, `accepted-with-exception`, `rejected`, `duplicate` or `unparsed`.
    pub disposition: String,
    /// What its documents say, as CloudEvents 1.0. A document that came before with
    /// the same content says nothing.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Box<RawValue>>,
    /// The channel's own reply as text; none where it has none.
    pub acknowledgement: Option<String>,
    /// What is wrong.
    pub problems: Vec<OutcomeProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutcomeProblem {
    /// Stable code.
    pub code: String,
    /// The place: a path in the format's notation, or else a segment, an offset, a
    /// document, an envelope, or the whole input.
    pub r#where: String,
    /// One sentence.
    pub detail: String,
}

impl Outcome {
    /// Tells what became of an input that was just taken.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of(pipeline: &Pipeline, accepted: Accepted) -> Result<Self, StoreError> {
        Self::at_most(SAID_BYTES_MAX, pipeline, accepted).await
    }

    /// The same with so many bytes of events at most; where there is more, a problem
    /// `more-documents` says so.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn at_most(bytes_max: usize, pipeline: &Pipeline, accepted: Accepted) -> Result<Self, StoreError> {
        let Accepted { input, reply, duplicate, finding } = accepted;
        let mut problems: Vec<OutcomeProblem> =
            finding.iter().flat_map(|finding| &finding.problems).map(OutcomeProblem::of).collect();
        let mut events = Vec::new();
        // All at once: a connector's result is bounded, so its documents are.
        let documents = match pipeline.store.input_documents(input, u32::MAX).await {
            // A duplicate is one also when what the first said is gone.
            Err(StoreError::Erased(_)) if duplicate => Vec::new(),
            documents => documents?,
        };
        let (mut said_bytes, mut repeated) = (0_usize, 0_usize);
        for (index, document) in documents.iter().enumerate() {
            if said_bytes > bytes_max {
                problems.push(OutcomeProblem::more_documents(index, documents.len()));
                break;
            }
            match pipeline.preview(document).await {
                Preview::Says(said) => {
                    for (number, event) in said.iter().enumerate() {
                        match cloud_event(format!("{}/{index}/{number}", input.0), event, document) {
                            Ok(event) => {
                                said_bytes = said_bytes.saturating_add(event.get().len());
                                events.push(event);
                            }
                            Err(error) => problems.push(OutcomeProblem::unwritten(index, &error)),
                        }
                    }
                }
                Preview::Repeats => repeated += 1,
                Preview::Unmapped(found) => {
                    for unmapped in found {
                        let problem = OutcomeProblem::in_document(index, unmapped);
                        said_bytes = said_bytes.saturating_add(problem.bytes());
                        problems.push(problem);
                    }
                }
            }
        }
        let nothing_new = !documents.is_empty() && repeated == documents.len();
        let disposition = match finding {
            _ if duplicate => "duplicate",
            Some(Finding { disposition: Disposition::Rejected, .. }) => "rejected",
            Some(Finding { disposition: Disposition::Unparsed, .. }) => "unparsed",
            _ if !problems.is_empty() => "accepted-with-exception",
            _ if nothing_new => "duplicate",
            _ => "accepted",
        };
        let acknowledgement = acknowledgement(reply);
        Ok(Self { disposition: disposition.to_owned(), events, acknowledgement, problems })
    }

    /// An input that the pipeline refused.
    #[must_use]
    pub fn refused(error: AcceptError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        let (place, reply) = match error {
            AcceptError::Conflict { envelope, reply } => (format!("envelope {envelope}"), reply),
            AcceptError::UnknownChannel(_)
            | AcceptError::Later { .. }
            | AcceptError::Store(_)
            | AcceptError::Record(_)
            | AcceptError::Seal(_) => (WHOLE.to_owned(), None),
        };
        Self { acknowledgement: reply.and_then(acknowledgement), ..Self::because(code, place, detail) }
    }

    /// An input that was not taken because of something that is wrong with all of it.
    #[must_use]
    pub fn not_taken(code: &str, detail: String) -> Self {
        Self::because(code, WHOLE.to_owned(), detail)
    }

    fn because(code: &str, r#where: String, detail: String) -> Self {
        let problem = OutcomeProblem { code: code.to_owned(), r#where, detail };
        let disposition = "rejected".to_owned();
        Self { disposition, events: Vec::new(), acknowledgement: None, problems: vec![problem] }
    }
}

/// The channel's own reply as text, where it has one.
#[must_use]
pub fn acknowledgement(reply: Reply) -> Option<String> {
    let own = Some(reply).filter(|reply| !reply::is_hosts(reply) && !reply::is_problem(reply))?;
    String::from_utf8(own.body).ok().filter(|text| !text.is_empty())
}

impl OutcomeProblem {
    fn of(problem: &Problem) -> Self {
        let place = problem.position.place().unwrap_or_else(|| WHOLE.to_owned());
        Self { code: problem.code.clone(), r#where: place, detail: problem.message.clone() }
    }

    /// How much it is of an outcome. Each word counts: a plugin makes all of them long.
    fn bytes(&self) -> usize {
        [self.code.len(), self.r#where.len(), self.detail.len()].into_iter().fold(PROBLEM_BYTES, usize::saturating_add)
    }

    /// Documents are counted from 1, as people count them.
    fn in_document(index: usize, unmapped: Unmapped) -> Self {
        let Unmapped { code, place, detail } = unmapped;
        let place = if place.is_empty() { format!("document {}", index.saturating_add(1)) } else { place };
        Self { code, r#where: place, detail }
    }

    fn unwritten(index: usize, error: &serde_json::Error) -> Self {
        let detail = format!("the event cannot be written as JSON ({error}); report it with the input's id");
        let unmapped = Unmapped { code: "event".to_owned(), place: String::new(), detail };
        Self::in_document(index, unmapped)
    }

    fn more_documents(shown: usize, found: usize) -> Self {
        Self {
            code: "more-documents".to_owned(),
            r#where: format!("document {}", shown.saturating_add(1)),
            detail: format!(
                "found {found} documents, expected fewer in one outcome: what the first {shown} say is shown, the rest is kept and decided all the same; see `order list`, or send fewer at once"
            ),
        }
    }
}

/// The event in its envelope: the source is the channel, which no guest can claim.
fn cloud_event(id: String, event: &Event, document: &DocumentView) -> Result<Box<RawValue>, serde_json::Error> {
    // The model writes its own JSON; here it only gets its envelope.
    let mut json: serde_json::Value = serde_json::from_slice(&event.to_json()?)?;
    let data = json.get_mut("data").map(serde_json::Value::take);
    let event = serde_json::json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/v1/channels/{}", document.channel),
        "type": event.name(),
        "subject": document.key,
        "time": document.received_at.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    });
    serde_json::value::to_raw_value(&event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_counts_with_all_its_words_and_what_stands_around_them() {
        let words = [3, 1_024, 20].map(|bytes| "x".repeat(bytes));
        let [code, place, detail] = words;
        let problem = OutcomeProblem::in_document(0, Unmapped { code, place, detail });
        let json = serde_json::to_string(&problem).map(|json| json.len());
        assert!(json.is_ok_and(|written| written <= problem.bytes()), "{} bytes", problem.bytes());
        let short = OutcomeProblem { r#where: "x".to_owned(), ..problem.clone() };
        assert_eq!(problem.bytes() - short.bytes(), 1_023);
    }
}
