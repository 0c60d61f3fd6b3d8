//! What became of an input, for whoever brings files by hand: how it was taken,
//! what it says, what the sender is answered, what is wrong with it.
//!
//! It costs one more call of the transformer, so a sender gets it only when the
//! request's `accept` header asks for [`MEDIA_TYPE`].

use portreeve_model::{Event, Problem, Reply};
use portreeve_pipeline::accept::{AcceptError, Accepted, Finding};
use portreeve_pipeline::preview::Preview;
use portreeve_pipeline::{Pipeline, reply};
use portreeve_store::StoreError;
use portreeve_store::contract::Disposition;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type by which a sender asks for an [`Outcome`] instead of the reply.
pub const MEDIA_TYPE: &str = "application/vnd.portreeve.outcome+json";

/// What became of an input.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// `accepted`, `accepted-with-exception`, `rejected`, `duplicate` or `unparsed`.
    pub disposition: String,
    /// What its documents say, as CloudEvents 1.0.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<serde_json::Value>,
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
    /// The place: a path in the format's notation, or else a segment or an offset.
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
        let Accepted { input, reply, duplicate, finding } = accepted;
        let mut problems: Vec<OutcomeProblem> =
            finding.iter().flat_map(|finding| &finding.problems).map(OutcomeProblem::of).collect();
        let mut events = Vec::new();
        let previews = match pipeline.preview(input).await {
            // A duplicate is one also when what the first said is gone.
            Err(StoreError::Erased(_)) if duplicate => Vec::new(),
            previews => previews?,
        };
        for (index, preview) in previews.into_iter().enumerate() {
            let Preview { document, outcome } = preview;
            match outcome {
                Ok(said) => {
                    for (number, event) in said.iter().enumerate() {
                        let id = format!("{}/{index}/{number}", input.0);
                        events.push(cloud_event(id, event, &document));
                    }
                }
                Err(unmapped) => problems.push(OutcomeProblem {
                    code: unmapped.code,
                    r#where: unmapped.place,
                    detail: unmapped.detail,
                }),
            }
        }
        let disposition = match finding {
            _ if duplicate => "duplicate",
            Some(Finding { disposition: Disposition::Rejected, .. }) => "rejected",
            Some(Finding { disposition: Disposition::Unparsed, .. }) => "unparsed",
            _ if problems.is_empty() => "accepted",
            _ => "accepted-with-exception",
        };
        let acknowledgement = acknowledgement(reply);
        Ok(Self { disposition: disposition.to_owned(), events, acknowledgement, problems })
    }

    /// An input that the pipeline refused.
    #[must_use]
    pub fn refused(error: AcceptError) -> Self {
        let outcome = Self::not_taken(error.code(), error.to_string());
        let reply = match error {
            AcceptError::Conflict { reply, .. } => reply,
            _ => None,
        };
        Self { acknowledgement: reply.and_then(acknowledgement), ..outcome }
    }

    /// An input that was not taken.
    #[must_use]
    pub fn not_taken(code: &str, detail: String) -> Self {
        let problem = OutcomeProblem { code: code.to_owned(), r#where: String::new(), detail };
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
        let position = &problem.position;
        let place = match (position.path.as_str(), position.segment, position.offset_bytes) {
            ("", Some(segment), _) => format!("segment {segment}"),
            ("", None, Some(offset)) => format!("byte {offset}"),
            (path, ..) => path.to_owned(),
        };
        Self { code: problem.code.clone(), r#where: place, detail: problem.message.clone() }
    }
}

/// The event in its envelope: the source is the channel, which no guest can claim.
fn cloud_event(id: String, event: &Event, document: &portreeve_store::contract::DocumentView) -> serde_json::Value {
    // The model writes its own JSON; here it only gets its envelope.
    let json = event.to_json().ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let data = json.and_then(|mut json| json.get_mut("data").map(serde_json::Value::take));
    serde_json::json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/v1/channels/{}", document.channel),
        "type": event.name(),
        "subject": document.key,
        "time": document.received_at.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}
