//! Destinations, and what waits for each of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use portreeve_model::Instant;
use portreeve_pipeline::Pipeline;
use portreeve_pipeline::waiting::Waiting;
use portreeve_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Door;
use crate::problem::Problem;

/// Every destination.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Targets {
    /// In the order of the configuration; then those that it does not have and for which something
    /// waits all the same.
    pub targets: Vec<TargetStanding>,
}

/// What waits for a destination.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStanding {
    /// The target or subscriber.
    pub target: String,
    /// Whether the configuration has it.
    pub is_configured: bool,
    /// Deliveries that are still to be made, those under way among them.
    pub pending: u64,
    /// Those of them that wait for an earlier one about the same order.
    pub behind: u64,
    /// Since when the oldest waits: since it was made, or since it was first tried, or since people
    /// had it tried again. None where nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<String>,
    /// Whole seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_seconds: Option<u64>,
}

impl Targets {
    /// All of them, as they are now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(pipeline: &Pipeline) -> Result<Self, StoreError> {
        let (waiting, now) = (pipeline.waiting().await?, pipeline.clock.now());
        Ok(Self { targets: waiting.into_iter().map(|waiting| TargetStanding::of(waiting, now)).collect() })
    }
}

impl TargetStanding {
    fn of(waiting: Waiting, now: Instant) -> Self {
        Self {
            is_configured: waiting.is_configured,
            pending: waiting.pending,
            behind: waiting.behind,
            waiting_since: waiting.since.map(|since| since.to_string()),
            waiting_seconds: waiting.seconds(now),
            target: waiting.target,
        }
    }
}

/// Lists targets and subscribers with what waits for each: how many deliveries, and since when the
/// oldest.
#[utoipa::path(
    get, path = "/v1/targets", tag = "operators",
    responses(
        (status = 200, description = "All of them", body = Targets),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(State(door): State<Arc<Door>>) -> Result<Json<Targets>, Problem> {
    Ok(Json(Targets::read(&door.front.pipeline).await?))
}
