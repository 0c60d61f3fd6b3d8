//! One order's whole story: where it came from, how it was decided, what keeps it,
//! every attempt to deliver it, and where each step stands in the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use portreeve_model::{Digest, OrderId};
use portreeve_pipeline::decision::DecisionRecord;
use portreeve_store::{Store, StoreError};

use crate::Door;
use crate::operator::Operator;
use crate::problem::Problem;
use crate::view::Story;

/// Tells an order's story.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "operators",
    params(("id" = String, Path, description = "The host's order id")),
    responses(
        (status = 200, description = "The story", body = Story),
        (status = 400, description = "No order id", body = Problem),
        (status = 401, description = "Not the operator token", body = Problem),
        (status = 404, description = "No such order", body = Problem),
    ),
    security(("operator" = []))
)]
pub(crate) async fn order(
    State(door): State<Arc<Door>>,
    _operator: Operator,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Path(id) = id?;
    let id = OrderId::parse(&id).map_err(|error| Problem::bad_request(error.to_string()))?;
    let store = &door.front.pipeline.store;
    let unknown = || Problem::not_found(format!("there is no order `{id}`; list them at /v1/orders"));
    let order = store.order(id).await?.ok_or_else(unknown)?;
    let trail = store.order_trail(id).await?.ok_or_else(unknown)?;
    let record = decision(store.as_ref(), order.decision).await?;
    let mut said = Vec::with_capacity(trail.events.len());
    for event in &trail.events {
        said.push(data(store.as_ref(), event.event).await?);
    }
    Ok(Json(Story::of(order, trail, record, said)))
}

/// What a sealed event says, unless it was erased.
async fn data(store: &dyn Store, commitment: Digest) -> Result<Option<serde_json::Value>, Problem> {
    let damaged = |error: serde_json::Error| -> Problem {
        StoreError::Damaged(format!("event {commitment} cannot be read: {error}")).into()
    };
    match store.payload(commitment).await {
        Ok(bytes) => {
            let mut event: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
            Ok(event.get_mut("data").map(serde_json::Value::take))
        }
        Err(StoreError::Erased(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The sealed record, unless it was erased.
async fn decision(store: &dyn Store, commitment: Digest) -> Result<Option<DecisionRecord>, Problem> {
    match store.payload(commitment).await {
        Ok(bytes) => DecisionRecord::parse(&bytes)
            .map(Some)
            .map_err(|error| StoreError::Damaged(format!("decision {commitment} cannot be read: {error}")).into()),
        Err(StoreError::Erased(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
