//! Deliveries that were given up. Each is an exception, and is decided about as such.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use portreeve_store::contract::DeadLetter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
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
