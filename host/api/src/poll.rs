//! Polls: where each one is in its source, how it goes, and when it is due.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use portreeve_model::Instant;
use portreeve_pipeline::{Pipeline, Poll};
use portreeve_store::StoreError;
use portreeve_store::contract::PollView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Door;
use crate::problem::Problem;

/// Every poll.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Polls {
    /// In the order of the configuration.
    pub polls: Vec<PollStanding>,
}

/// How a poll goes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollStanding {
    /// Its name.
    pub id: String,
    /// The channel that its documents come in by.
    pub channel: String,
    /// Whom it asks.
    pub origin: String,
    /// Seconds from one poll to the next, where nothing wakes it.
    pub every_seconds: u32,
    /// When it is due; none of one that was never made, which is due now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// Whether it is being made.
    pub is_under_way: bool,
    /// When it last worked; none of one that never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worked_at: Option<String>,
    /// When its place in the source last moved; none where its source has no such place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_moved_at: Option<String>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_age_seconds: Option<u64>,
    /// How often in a row it failed.
    pub failures: u32,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// Why, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Polls {
    /// How each goes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(pipeline: &Pipeline) -> Result<Self, StoreError> {
        let now = pipeline.clock.now();
        let found = pipeline.polls().await?;
        Ok(Self { polls: found.into_iter().map(|(poll, view)| PollStanding::of(poll, view, now)).collect() })
    }
}

impl PollStanding {
    fn of(poll: &Poll, view: Option<PollView>, now: Instant) -> Self {
        let at = |found: fn(&PollView) -> Option<Instant>| view.as_ref().and_then(found);
        let moved_at = at(|view| view.moved_at);
        let age_ms = moved_at.map(|moved_at| now.0.saturating_sub(moved_at.0));
        Self {
            id: poll.id.clone(),
            channel: poll.channel.as_str().to_owned(),
            origin: poll.origin.to_string(),
            every_seconds: poll.every_seconds,
            due_at: at(|view| Some(view.due_at)).map(|at| at.to_string()),
            is_under_way: view.as_ref().is_some_and(|view| view.leased_until > now),
            worked_at: at(|view| view.worked_at).map(|at| at.to_string()),
            cursor_moved_at: moved_at.map(|at| at.to_string()),
            cursor_age_seconds: age_ms.map(|age_ms| u64::try_from(age_ms / 1_000).unwrap_or_default()),
            failures: view.as_ref().map_or(0, |view| view.failures),
            failing_since: at(|view| view.failing_since).map(|at| at.to_string()),
            code: view.and_then(|view| view.code),
        }
    }
}

/// Lists polls: when each last worked, how old its place in the source is, how often it failed, and
/// when it is due.
#[utoipa::path(
    get, path = "/v1/polls", tag = "operators",
    responses(
        (status = 200, description = "All of them", body = Polls),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(State(door): State<Arc<Door>>) -> Result<Json<Polls>, Problem> {
    Ok(Json(Polls::read(&door.front.pipeline).await?))
}
