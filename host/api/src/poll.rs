//! Polls: where each one is in its source, how it goes, and when it is due; and what their sources
//! are asked to tell of by themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use portreeve_model::Instant;
use portreeve_pipeline::{Pipeline, Poll, Subscription};
use portreeve_store::StoreError;
use portreeve_store::contract::{PollView, SubscriptionView};
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
    /// What its source is asked to tell of by itself; none where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionStanding>,
}

/// How a subscription stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStanding {
    /// The channel that its notifications come in by.
    pub channel: String,
    /// What is subscribed to, as the source names it.
    pub resource: String,
    /// What the source calls it; none where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Until when it holds, by the source's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whether it holds now.
    pub holds: bool,
    /// When it was last given or renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<String>,
    /// When it is renewed; none of one that was never asked for, which is due now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// How often in a row that failed.
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
        let mut polls = Vec::new();
        for (poll, view) in pipeline.polls().await? {
            let mut standing = PollStanding::of(poll, view, now);
            if let Some(subscription) = &poll.subscription {
                let view = pipeline.subscription(poll).await?;
                standing.subscription = Some(SubscriptionStanding::of(subscription, view, now));
            }
            polls.push(standing);
        }
        Ok(Self { polls })
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
            subscription: None,
        }
    }
}

impl SubscriptionStanding {
    fn of(subscription: &Subscription, view: Option<SubscriptionView>, now: Instant) -> Self {
        let held = view.as_ref().and_then(|view| view.held.as_ref());
        let at = |found: fn(&SubscriptionView) -> Option<Instant>| view.as_ref().and_then(found);
        Self {
            channel: subscription.channel.as_str().to_owned(),
            resource: subscription.resource.clone(),
            external_id: held.map(|held| held.external_id.clone()),
            until: held.map(|held| held.until.to_string()),
            holds: held.is_some_and(|held| now < held.until),
            renewed_at: at(|view| view.renewed_at).map(|at| at.to_string()),
            due_at: at(|view| Some(view.due_at)).map(|at| at.to_string()),
            failures: view.as_ref().map_or(0, |view| view.failures),
            failing_since: at(|view| view.failing_since).map(|at| at.to_string()),
            code: view.as_ref().and_then(|view| view.code.clone()),
        }
    }
}

/// Lists polls: when each last worked, how old its place in the source is, how often it failed, and
/// when it is due; and until when its source tells by itself what is new.
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
