//! Inputs of authenticated senders of which nothing was taken: what came, why nothing came of it,
//! and, for whoever works on it, its bytes. Those of any other input are shown as well.
//!
//! A sender who was refused says later that it sent something else. Everybody who reads sees when
//! it came and what was wrong, in the words that are on record; what it said is a sender's matter,
//! and is shown to nobody but those who work on its channel's queue or approve in it.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use portreeve_model::document::Position;
use portreeve_model::{ChannelId, Digest, Instant};
use portreeve_pipeline::accept::ContentError;
use portreeve_record::leaf::{AcceptLeaf, AcceptOutcome, ProblemRecord, REDACTED};
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::contract::{InputContent, InputId, Untaken, UntakenInput as Found, UntakenWanted};
use portreeve_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::access::Person;
use crate::operator::{next_page, page_rows, rows};
use crate::problem::Problem;

/// What a record that cannot be read asks for.
const UNREADABLE: &str = "the record of an input cannot be read; run `portreeve audit verify`";

/// A page of inputs of which nothing was taken.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UntakenInputs {
    /// Oldest first.
    pub inputs: Vec<UntakenInput>,
    /// The `after` of the next page; none on the last one.
    pub next: Option<u64>,
}

/// An input of which nothing was taken.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UntakenInput {
    /// Its number, by which it is named.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// The authenticated sender.
    pub sender: String,
    /// When it was received.
    pub received_at: String,
    /// `rejected` by its connector, `unparsed` since that failed, or `refused` by the host.
    pub outcome: String,
    /// Why, in one sentence.
    pub why: String,
    /// What was found wrong with it: the first of it, as it is on record.
    pub problems: Vec<UntakenProblem>,
    /// How much there was.
    pub problem_count: u32,
    /// As what the audit log knows its bytes. The same bytes that come again have a record of their
    /// own, and are not kept again.
    pub content: String,
    /// The exception about it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<u64>,
    /// When its bytes were removed; none where they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<String>,
}

/// Something that was wrong with an input.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UntakenProblem {
    /// Its code; none where it is a word of the connector's that the host does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The place in the format's own notation, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The segment, line or element, from 1, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// Bytes from the start, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_bytes: Option<u64>,
}

/// Which inputs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UntakenPage {
    /// Only those with this outcome: `rejected`, `unparsed` or `refused`.
    outcome: Option<String>,
    /// Only those of this channel.
    channel: Option<String>,
    /// Only those that were received from then on, such as 2026-03-02T18:00:00Z.
    since: Option<String>,
    /// Only those with a higher number.
    #[serde(default)]
    after: u64,
    /// At most so many, and at most 500.
    #[serde(default = "page_rows")]
    limit: u32,
}

impl UntakenInputs {
    /// A page of at most so many, as people read it.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn of(found: Vec<Found>, limit: u32) -> Result<Self, RecordError> {
        let next = next_page(&found, limit, |input| input.number);
        Ok(Self { inputs: found.into_iter().map(UntakenInput::of).collect::<Result<_, _>>()?, next })
    }
}

impl UntakenInput {
    /// As people read it.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn of(found: Found) -> Result<Self, RecordError> {
        let record = match Leaf::parse(&found.leaf)?.body {
            LeafBody::Accept(record) => Some(record),
            _ => None,
        };
        let problems = record.iter().flat_map(|record| record.problems.shown());
        Ok(Self {
            number: found.number,
            id: found.id.0.to_string(),
            channel: found.channel.to_string(),
            why: why(&found, record.as_ref()),
            problems: problems.map(UntakenProblem::of).collect(),
            problem_count: record.as_ref().map_or(0, |record| record.problems.count()),
            sender: found.sender,
            received_at: found.received_at.to_string(),
            outcome: found.how.as_str().to_owned(),
            content: found.content.commitment.to_string(),
            exception: found.exception.map(|(number, _)| number),
            removed_at: found.forgotten_at.map(|at| at.to_string()),
        })
    }
}

impl UntakenProblem {
    fn of(record: &ProblemRecord) -> Self {
        let code = record.code.as_str();
        Self {
            // What stands in its place is a digest that says nothing to anybody.
            code: Digest::parse(code).is_err().then(|| code.to_owned()),
            path: Some(record.path.as_str()).filter(|path| *path != REDACTED).map(str::to_owned),
            segment: record.segment,
            offset_bytes: record.offset_bytes,
        }
    }

    /// Which it is and where, in words.
    #[must_use]
    pub fn told(&self) -> String {
        let code = self.code.as_ref().map_or_else(|| "a word of its connector".to_owned(), |code| format!("`{code}`"));
        let path = self.path.clone().unwrap_or_default();
        let position = Position { offset_bytes: self.offset_bytes, segment: self.segment, path };
        match position.place() {
            Some(place) => format!("{code} at {place}"),
            None => code,
        }
    }
}

/// Why nothing was taken, in one sentence.
fn why(found: &Found, record: Option<&AcceptLeaf>) -> String {
    let is_changed = record.is_some_and(|record| record.outcome == AcceptOutcome::DuplicateRefused);
    match found.how {
        Untaken::Refused if is_changed => {
            "an envelope of it came before with other content; what is meant needs a new control number or event id"
                .to_owned()
        }
        Untaken::Refused => format!("channel `{}` does not take its media type", found.channel),
        Untaken::Unparsed => {
            let said = found.exception.as_ref().map(|(_, said)| said.clone());
            said.unwrap_or_else(|| "its connector failed".to_owned())
        }
        Untaken::Rejected => match record.and_then(|record| record.problems.shown().first().zip(Some(record))) {
            Some((first, record)) => {
                let (count, first) = (record.problems.count(), UntakenProblem::of(first).told());
                format!("its connector found {count} problem(s), the first is {first}")
            }
            None => "its connector refused it".to_owned(),
        },
    }
}

/// Which inputs are meant, all of them from the beginning; what is wrong with it, in a sentence.
///
/// # Errors
/// When there is no such outcome, or the channel or the time is none.
pub fn wanted(outcome: Option<&str>, channel: Option<&str>, since: Option<&str>) -> Result<UntakenWanted, String> {
    let shown = |text: &str| text.escape_debug().take(40).collect::<String>();
    let how = outcome.map(|outcome| {
        let all = Untaken::ALL.map(Untaken::as_str).join(", ");
        Untaken::parse(outcome)
            .ok_or_else(|| format!("found `{}` as the outcome, expected one of {all}", shown(outcome)))
    });
    let since = since.map(|since| {
        let expected = "expected a time such as 2026-03-02T18:00:00Z";
        Instant::parse(since).map_err(|_| format!("found `{}` as the beginning, {expected}", shown(since)))
    });
    let channel = channel.map(|channel| {
        ChannelId::parse(channel)
            .map_err(|_| format!("found `{}` as the channel, expected the id of a [[channel]]", shown(channel)))
    });
    let (how, channel, since) = (how.transpose()?, channel.transpose()?, since.transpose()?);
    Ok(UntakenWanted { how, channel, since, after: 0, limit: page_rows() })
}

/// One of them by its number or id; none, where there is no such input or something of it was taken.
///
/// # Errors
/// When the store cannot be read.
pub async fn find(store: &dyn Store, named: &str) -> Result<Option<Found>, StoreError> {
    if let Ok(number) = named.parse::<u64>() {
        let wanted = UntakenWanted { after: number.saturating_sub(1), limit: 1, ..UntakenWanted::default() };
        let found = store.untaken_inputs(wanted).await?.pop();
        return Ok(found.filter(|found| found.number == number));
    }
    match Digest::parse(named) {
        Ok(id) => store.untaken_input(InputId(id)).await,
        Err(_) => Ok(None),
    }
}

/// Where the bytes of an input are: of any by its id, and by its number where nothing of it was taken.
///
/// # Errors
/// When the store cannot be read.
pub async fn find_content(store: &dyn Store, named: &str) -> Result<Option<InputContent>, StoreError> {
    let id = match Digest::parse(named) {
        Ok(id) => Some(InputId(id)),
        Err(_) => find(store, named).await?.map(|found| found.id),
    };
    match id {
        Some(id) => store.input_content(id).await,
        None => Ok(None),
    }
}

/// The sentence where there are none.
#[must_use]
pub fn missing_content(named: &str) -> String {
    let named: String = named.escape_debug().take(80).collect();
    format!(
        "there is no input `{named}`; expected its id, as `GET /v1/exceptions/{{exception}}` and `portreeve exception show` tell it, or the number of one of which nothing was taken, as `GET /v1/inputs` and `portreeve input list` do"
    )
}

/// The sentence where there is none; of an input that was taken what tells more.
///
/// # Errors
/// When the store cannot be read.
pub async fn missing(store: &dyn Store, named: &str) -> Result<String, StoreError> {
    let taken = match Digest::parse(named) {
        Ok(id) => store.input_sender(InputId(id)).await?,
        Err(_) => None,
    };
    let named: String = named.escape_debug().take(80).collect();
    Ok(match taken {
        Some((channel, sender)) => format!(
            "input `{named}`, which came by `{channel}` from `{sender}`, was taken, and only those are shown of which nothing was; what came of it, if anything, is among the orders and exceptions, and its bytes, while they are kept, at `GET /v1/inputs/{{input}}/content` and by `portreeve input content`"
        ),
        None => format!(
            "there is no input `{named}` of which nothing was taken; `GET /v1/inputs` and `portreeve input list` show all"
        ),
    })
}

/// Lists inputs of authenticated senders of which nothing was taken, and why.
#[utoipa::path(
    get, path = "/v1/inputs", tag = "operators",
    operation_id = "list_inputs",
    params(UntakenPage),
    responses(
        (status = 200, description = "A page", body = UntakenInputs),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "A record cannot be read", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    page: Result<Query<UntakenPage>, QueryRejection>,
) -> Result<Json<UntakenInputs>, Problem> {
    let Query(UntakenPage { outcome, channel, since, after, limit }) = page?;
    let limit = rows(limit)?;
    let wanted = wanted(outcome.as_deref(), channel.as_deref(), since.as_deref()).map_err(Problem::bad_request)?;
    let found = door.front.pipeline.store.untaken_inputs(UntakenWanted { after, limit, ..wanted }).await?;
    UntakenInputs::of(found, limit).map(Json).map_err(unreadable)
}

/// Shows an input of which nothing was taken, and why.
#[utoipa::path(
    get, path = "/v1/inputs/{input}", tag = "operators",
    operation_id = "show_input",
    params(("input" = String, Path, description = "Its number or its id")),
    responses(
        (status = 200, description = "The input", body = UntakenInput),
        (status = 400, description = "A path that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 404, description = "No such input, or something of it was taken", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Its record cannot be read", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    input: Result<Path<String>, PathRejection>,
) -> Result<Json<UntakenInput>, Problem> {
    let Path(named) = input?;
    Ok(Json(UntakenInput::of(found(&door, &named).await?).map_err(unreadable)?))
}

/// The bytes of an input, for whoever works on its channel's queue or approves in it: they are what
/// its sender sent.
#[utoipa::path(
    get, path = "/v1/inputs/{input}/content", tag = "people",
    operation_id = "input_content",
    params(("input" = String, Path, description = "Its id, or its number where nothing of it was taken")),
    responses(
        (status = 200, description = "Its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 400, description = "A path that is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "No role for its channel's queue", body = Problem),
        (status = 404, description = "No such input", body = Problem),
        (status = 410, description = "Its bytes were removed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn content(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    input: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(named) = input?;
    let pipeline = &door.front.pipeline;
    let found = find_content(pipeline.store.as_ref(), &named).await?;
    let found = found.ok_or_else(|| Problem::not_found(missing_content(&named)))?;
    let bytes = pipeline.content_of_input(&who, &found).await.map_err(not_shown)?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    // A browser saves what a stranger sent, and opens none of it.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

async fn found(door: &Door, named: &str) -> Result<Found, Problem> {
    let store = door.front.pipeline.store.as_ref();
    match find(store, named).await? {
        Some(found) => Ok(found),
        None => Err(Problem::not_found(missing(store, named).await?)),
    }
}

fn unreadable(error: RecordError) -> Problem {
    Problem::internal(&error, UNREADABLE)
}

fn not_shown(error: ContentError) -> Problem {
    let gone = |said: String| Problem::new(StatusCode::GONE, "erased", "What it says was removed", said);
    match error {
        ContentError::Denied(denied) => Problem::forbidden(denied.to_string()),
        ContentError::Removed { .. } => gone(error.to_string()),
        ContentError::Store(StoreError::Erased(_)) => gone(
            "found the bytes of the input erased, expected what can be shown; what remains is its record".to_owned(),
        ),
        ContentError::Store(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn problem(code: Option<&str>, path: Option<&str>, segment: Option<u32>, offset_bytes: Option<u64>) -> String {
        let (code, path) = (code.map(str::to_owned), path.map(str::to_owned));
        UntakenProblem { code, path, segment, offset_bytes }.told()
    }

    #[test]
    fn a_problem_is_told_with_the_nearest_place_that_is_known() {
        assert_eq!(problem(Some("bad-date"), Some("BEG/05"), Some(3), Some(105)), "`bad-date` at BEG/05");
        assert_eq!(problem(Some("bad-date"), None, Some(3), Some(105)), "`bad-date` at segment 3");
        assert_eq!(problem(Some("bad-date"), None, None, Some(105)), "`bad-date` at byte 105");
        assert_eq!(problem(None, None, None, None), "a word of its connector");
    }

    #[test]
    fn what_is_no_outcome_channel_or_time_is_told_as_such() {
        let since = Instant::parse("2026-03-02T18:00:00Z").unwrap();
        let all = wanted(Some("refused"), Some("edi"), Some("2026-03-02T18:00:00Z")).unwrap();
        assert_eq!((all.how, all.since, all.after), (Some(Untaken::Refused), Some(since), 0));
        assert_eq!(all.channel.unwrap().as_str(), "edi");
        for (outcome, channel, time, said) in [
            (
                Some("documents"),
                None,
                None,
                "found `documents` as the outcome, expected one of rejected, unparsed, refused",
            ),
            (None, Some("a.b"), None, "found `a.b` as the channel"),
            (None, None, Some("yesterday"), "found `yesterday` as the beginning, expected a time such as"),
        ] {
            let told = wanted(outcome, channel, time).unwrap_err();
            assert!(told.starts_with(said), "{told}");
        }
    }
}
