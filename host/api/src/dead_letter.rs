//! Deliveries that were given up. Each is an exception, and is decided about as such; those of
//! one target are tried again together.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use portreeve_model::{Digest, Matter};
use portreeve_pipeline::Pipeline;
use portreeve_pipeline::exception::{ExceptionError, LETTERS_MAX, LettersWanted, Outcome, Retried};
use portreeve_store::contract::DeadLetter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::access::Person;
use crate::exception::{CUT_SHORT, refusal};
use crate::operator::{next_page, page_rows, rows, to_its_end};
use crate::package::no_json;
use crate::problem::Problem;

/// A page of dead letters.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Letters {
    /// Oldest first.
    pub dead_letters: Vec<Letter>,
    /// The `after` of the next page; none on the last one.
    pub next: Option<u64>,
}

/// A delivery that waits for a person.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its exception's number, by which it is named.
    pub number: u64,
    /// The delivery.
    pub outbox: String,
    /// The host's id of the order, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The sender's number of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_number: Option<String>,
    /// The item and its node, where it is about how much there is of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The target system.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// Attempts so far.
    pub attempts: u32,
    /// How often it was tried again by a person's decision.
    pub replays: u32,
    /// Whether later deliveries of the order wait for it.
    pub blocks: bool,
    /// Stable code of why.
    pub code: String,
    /// One sentence.
    pub detail: String,
    /// Who works on it.
    pub queue: String,
    /// When it was given up.
    pub since: String,
}

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LetterPage {
    /// Only those with a higher number.
    #[serde(default)]
    after: u64,
    /// At most so many, and at most 500.
    #[serde(default = "page_rows")]
    limit: u32,
}

impl Letter {
    /// As operators read it.
    #[must_use]
    pub fn of(letter: DeadLetter) -> Self {
        let (order_number, item) = match letter.matter {
            Matter::Order(_) => (Some(letter.number), None),
            Matter::Item(_) => (None, Some(letter.number)),
        };
        Self {
            number: letter.exception,
            outbox: letter.outbox.0,
            order: letter.matter.order().map(|order| order.to_string()),
            order_number,
            item,
            target: letter.target,
            kind: letter.kind,
            attempts: letter.attempts,
            replays: letter.replays,
            blocks: letter.blocks,
            code: letter.code,
            detail: letter.detail,
            queue: letter.queue,
            since: letter.since.to_string(),
        }
    }
}

/// Lists deliveries that were given up.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = "operators",
    params(LetterPage),
    responses(
        (status = 200, description = "A page", body = Letters),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    page: Result<Query<LetterPage>, QueryRejection>,
) -> Result<Json<Letters>, Problem> {
    let Query(page) = page?;
    let limit = rows(page.limit)?;
    let letters = door.front.pipeline.store.dead_letters(page.after, limit).await?;
    let next = next_page(&letters, limit, |letter| letter.exception);
    Ok(Json(Letters { dead_letters: letters.into_iter().map(Letter::of).collect(), next }))
}

/// Deliveries to one target that would be tried again together.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LettersTogether {
    /// By number.
    pub dead_letters: Vec<Letter>,
    /// Whether there are more of them.
    pub more: bool,
    /// The digest of what is shown: whoever has them tried again names it.
    pub shown: String,
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The target.
    target: String,
    /// The code with which they were given up; every one without it.
    code: Option<String>,
    /// At most so many, and at most 500.
    most: u32,
}

/// What is tried again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The target.
    pub target: String,
    /// The code with which they were given up; every one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// At most so many, and at most 500.
    pub most: u32,
    /// The digest of what was shown.
    pub shown: String,
    /// Why: 1 to 1000 bytes.
    pub reason: String,
}

/// What became of each.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RetriedTogether {
    /// By number.
    pub letters: Vec<RetriedLetter>,
}

/// What became of one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetriedLetter {
    /// Its exception's number.
    pub number: u64,
    /// Whether it is tried again.
    pub retried: bool,
    /// Why not, or whose agreement it waits for; none where it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl LettersTogether {
    /// What would be tried again, as it is now.
    ///
    /// # Errors
    /// As [`Pipeline::show_letters`].
    pub async fn read(pipeline: &Pipeline, wanted: LettersWanted<'_>) -> Result<Self, ExceptionError> {
        let found = pipeline.show_letters(wanted).await?;
        let dead_letters = found.letters.into_iter().map(Letter::of).collect();
        Ok(Self { dead_letters, more: found.more, shown: found.digest.to_string() })
    }
}

impl RetryRequest {
    /// What is wanted, and the digest of what was shown; what is wrong with it, in a sentence.
    ///
    /// # Errors
    /// When the number is none that goes together, or the digest is none.
    pub fn read(&self) -> Result<(LettersWanted<'_>, Digest), String> {
        let shown = Digest::parse(&self.shown).map_err(|error| format!("`shown`: {error}"))?;
        Ok((wanted(&self.target, self.code.as_deref(), self.most)?, shown))
    }
}

impl RetriedTogether {
    /// As people read it.
    #[must_use]
    pub fn of(retried: Vec<Retried>) -> Self {
        Self { letters: retried.into_iter().map(RetriedLetter::of).collect() }
    }
}

impl RetriedLetter {
    fn of(Retried { exception, outcome }: Retried) -> Self {
        let why = match outcome {
            Ok(Outcome::Done { .. } | Outcome::Together { .. }) => None,
            Ok(Outcome::Waits { proposal, approvals_missing, .. }) => {
                Some(format!("it waits for {approvals_missing} more to agree to proposal {proposal}"))
            }
            // In words that whoever hears it may know.
            Err(error) => Some(refusal(error).detail().to_owned()),
        };
        Self { number: exception, retried: why.is_none(), why }
    }
}

/// Which deliveries are meant; what is wrong with it, in a sentence.
///
/// # Errors
/// When it is no number that goes together.
pub fn wanted<'a>(target: &'a str, code: Option<&'a str>, most: u32) -> Result<LettersWanted<'a>, String> {
    if !(1..=LETTERS_MAX).contains(&most) {
        return Err(format!("found {most} as the most that are tried again together, expected 1 to {LETTERS_MAX}"));
    }
    Ok(LettersWanted { target, code, most })
}

/// Shows deliveries to one target that would be tried again together, those first that were
/// given up first.
#[utoipa::path(
    get, path = "/v1/dead-letters/together", tag = "operators",
    operation_id = "show_letters",
    params(Wanted),
    responses(
        (status = 200, description = "What would go", body = LettersTogether),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn together(
    State(door): State<Arc<Door>>,
    asked: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<LettersTogether>, Problem> {
    let Query(Wanted { target, code, most }) = asked?;
    let wanted = wanted(&target, code.as_deref(), most).map_err(Problem::bad_request)?;
    Ok(Json(LettersTogether::read(&door.front.pipeline, wanted).await.map_err(refusal)?))
}

/// Has exactly those that were shown tried again, each by a decision of its own, and says what
/// became of each.
#[utoipa::path(
    post, path = "/v1/dead-letters/together", tag = "people",
    operation_id = "retry_letters",
    request_body = RetryRequest,
    responses(
        (status = 200, description = "What became of each", body = RetriedTogether),
        (status = 400, description = "Something is missing, or is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "Not this person", body = Problem),
        (status = 409, description = "Others than those that were shown would go", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn retry(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    request: Result<Json<RetryRequest>, JsonRejection>,
) -> Result<Json<RetriedTogether>, Problem> {
    let Json(request) = request.map_err(no_json)?;
    let done = async move {
        let (wanted, shown) = request.read().map_err(Problem::bad_request)?;
        let retried = door.front.pipeline.retry_letters(&who, wanted, shown, &request.reason).await;
        door.wake();
        retried.map(RetriedTogether::of).map_err(refusal)
    };
    Ok(Json(to_its_end(done, CUT_SHORT).await??))
}
