//! Deliveries that were given up: people see them, have them tried again, or end them,
//! while the host goes on.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use portreeve_pipeline::dead_letter::{DeadLetterAction, DeadLetterError};
use portreeve_store::StoreError;
use portreeve_store::contract::DeadLetter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::access::Person;
use crate::operator::{next_page, page_rows, rows};
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
    /// The host's id of the order.
    pub order: String,
    /// The sender's number of the order.
    pub order_number: String,
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

/// What became of a dead letter.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// Its exception's number.
    pub number: u64,
    /// The delivery.
    pub outbox: String,
    /// `pending` or `abandoned`.
    pub state: String,
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
        Self {
            number: letter.exception,
            outbox: letter.outbox.0,
            order: letter.order.to_string(),
            order_number: letter.number,
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

/// The state of a delivery after a person's decision.
#[must_use]
pub fn state_after(action: DeadLetterAction) -> &'static str {
    match action {
        DeadLetterAction::Replay => "pending",
        DeadLetterAction::Abandon => "abandoned",
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

/// Has a delivery tried again, after asking the target about earlier attempts.
#[utoipa::path(
    post, path = "/v1/dead-letters/{exception}/replay", tag = "operators",
    params(("exception" = u64, Path, description = "The number of its exception")),
    responses(
        (status = 200, description = "It is pending, and this is on record", body = Resolved),
        (status = 400, description = "No number", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No open dead letter", body = Problem),
        (status = 409, description = "Tried again as often as it may be", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn replay(
    state: State<Arc<Door>>,
    person: Person,
    exception: Result<Path<u64>, PathRejection>,
) -> Result<Json<Resolved>, Problem> {
    resolve(state, person, exception, DeadLetterAction::Replay).await
}

/// Gives a delivery up for good; later ones of its order no longer wait for it.
#[utoipa::path(
    post, path = "/v1/dead-letters/{exception}/abandon", tag = "operators",
    params(("exception" = u64, Path, description = "The number of its exception")),
    responses(
        (status = 200, description = "It is abandoned, and this is on record", body = Resolved),
        (status = 400, description = "No number", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No open dead letter", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn abandon(
    state: State<Arc<Door>>,
    person: Person,
    exception: Result<Path<u64>, PathRejection>,
) -> Result<Json<Resolved>, Problem> {
    resolve(state, person, exception, DeadLetterAction::Abandon).await
}

async fn resolve(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
    action: DeadLetterAction,
) -> Result<Json<Resolved>, Problem> {
    let Path(number) = exception?;
    let outbox = door.front.pipeline.resolve_dead_letter(number, action, &who).await.map_err(refusal)?;
    Ok(Json(Resolved { number, outbox: outbox.0, state: state_after(action).to_owned() }))
}

fn refusal(error: DeadLetterError) -> Problem {
    match error {
        DeadLetterError::Store(error @ StoreError::NotDead { .. }) => Problem::not_found(error.to_string()),
        DeadLetterError::Store(error @ StoreError::ReplaysSpent { .. }) => {
            Problem::new(StatusCode::CONFLICT, "replays-spent", "Tried again too often", error.to_string())
        }
        DeadLetterError::Store(error) => error.into(),
        DeadLetterError::Denied(denied) => Problem::forbidden(denied.to_string()),
        DeadLetterError::Record(error) => Problem::internal(&error, "nothing was changed; try again later"),
    }
}
