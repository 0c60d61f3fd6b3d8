//! One order's whole story: where it came from, how it was decided, what keeps it, who
//! looked at it again, every attempt to deliver it, and where each step stands in the audit
//! log.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use portreeve_model::OrderId;
use portreeve_pipeline::decision::DecisionRecord;
use portreeve_pipeline::review::ReviewRecord;
use portreeve_record::RecordError;
use portreeve_store::contract::{OrderView, PayloadRef};
use portreeve_store::{Store, StoreError};

use crate::Door;
use crate::problem::Problem;
use crate::view::{REVIEWS_SHOWN_MAX, Story, Told};

/// Tells an order's story.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "operators",
    params(("id" = String, Path, description = "The host's order id, or the sender's number where one order has it")),
    responses(
        (status = 200, description = "The story", body = Story),
        (status = 400, description = "A path that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 404, description = "No such order", body = Problem),
        (status = 409, description = "Several orders have this number", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn order(
    State(door): State<Arc<Door>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Path(id) = id?;
    let store = door.front.pipeline.store.as_ref();
    let order = find(store, &id).await?;
    let mut trail = store.order_trail(order.id).await?.ok_or_else(unknown)?;
    trail.reviews.drain(..trail.reviews.len().saturating_sub(REVIEWS_SHOWN_MAX));
    let mut told =
        Told { decision: opened(store, order.decision, "decision", DecisionRecord::parse).await?, ..Told::default() };
    for review in &trail.reviews {
        told.reviews.push(opened(store, review.record, "review", ReviewRecord::parse).await?);
    }
    for event in &trail.events {
        told.events.push(data(store, event.event).await?);
    }
    if let Some(found) = &trail.progress {
        let record = opened(store, found.record, "progress", DecisionRecord::parse).await?;
        told.progress = record.and_then(DecisionRecord::into_progress);
    }
    Ok(Json(Story::of(order, trail, told, &door.front.pipeline.routes)))
}

/// By id, or by the sender's number where only one order has it.
pub(crate) async fn find(store: &dyn Store, id: &str) -> Result<OrderView, Problem> {
    let order = match OrderId::parse(id) {
        Ok(id) => store.order(id).await?,
        Err(_) => numbered(store, id).await?,
    };
    order.ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("there is no order with this id or number; list them at /v1/orders")
}

/// What a sealed event says, unless it was erased.
async fn data(store: &dyn Store, event: PayloadRef) -> Result<Option<serde_json::Value>, Problem> {
    let damaged = |error: serde_json::Error| -> Problem {
        StoreError::Damaged(format!("event {} cannot be read: {error}", event.commitment)).into()
    };
    match store.payload(event).await {
        Ok(bytes) => {
            let mut event: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
            Ok(event.get_mut("data").map(serde_json::Value::take))
        }
        Err(StoreError::Erased(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The only order with the sender's number.
async fn numbered(store: &dyn Store, number: &str) -> Result<Option<OrderView>, Problem> {
    let mut found = store.orders_numbered(number, 2).await?;
    if found.len() > 1 {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "ambiguous",
            "Several orders have this number",
            "name one by its id; /v1/orders?number=… lists them",
        ));
    }
    Ok(found.pop())
}

/// A sealed record, unless it was erased.
async fn opened<T>(
    store: &dyn Store,
    record: PayloadRef,
    what: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> Result<Option<T>, Problem> {
    match store.payload(record).await {
        Ok(bytes) => parse(&bytes).map(Some).map_err(|error| {
            StoreError::Damaged(format!("{what} {} cannot be read: {error}", record.commitment)).into()
        }),
        Err(StoreError::Erased(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
