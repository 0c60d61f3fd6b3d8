//! What operators read: orders, exceptions, counts, the checkpoint, metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_model::{Digest, OrderId};
use portreeve_pipeline::metrics::CONTENT_TYPE;
use portreeve_store::contract::{DocumentPosition, ExceptionView, OrderView, Summary};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::Front;
use crate::problem::Problem;

/// Rows in one answer, however many were asked for.
const ROWS_MAX: u32 = 500;

/// Which rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    after: u64,
    #[serde(default = "page_rows")]
    limit: u32,
}

fn page_rows() -> u32 {
    100
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    id: String,
    position: u64,
    number: String,
    channel: String,
    state: &'static str,
    queue: Option<String>,
    value_minor: String,
    currency: String,
    recommended: bool,
    why: String,
    configuration: u64,
    deliveries: Vec<Delivery>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    target: String,
    state: String,
    attempts: u32,
    external_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exception {
    id: u64,
    order: Option<String>,
    stage: String,
    code: String,
    detail: String,
    queue: String,
    opened_at: String,
}

pub(crate) async fn orders(
    State(front): State<Arc<Front>>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    authorize(&front, &headers)?;
    let orders = front.pipeline.store.orders(DocumentPosition(page.after), page.limit.min(ROWS_MAX)).await?;
    Ok(Json(orders.into_iter().map(order_json).collect::<Vec<_>>()).into_response())
}

pub(crate) async fn order(
    State(front): State<Arc<Front>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    authorize(&front, &headers)?;
    let id = OrderId::parse(&id).map_err(|error| Problem::bad_request(error.to_string()))?;
    let order = front.pipeline.store.order(id).await?;
    let order =
        order.ok_or_else(|| Problem::not_found(format!("there is no order `{id}`; list them at /v1/orders")))?;
    Ok(Json(order_json(order)).into_response())
}

pub(crate) async fn exceptions(State(front): State<Arc<Front>>, headers: HeaderMap) -> Result<Response, Problem> {
    authorize(&front, &headers)?;
    let exceptions = front.pipeline.store.exceptions(ROWS_MAX).await?;
    Ok(Json(exceptions.into_iter().map(exception_json).collect::<Vec<_>>()).into_response())
}

pub(crate) async fn summary(State(front): State<Arc<Front>>, headers: HeaderMap) -> Result<Response, Problem> {
    authorize(&front, &headers)?;
    let summary = front.pipeline.store.summary().await?;
    let counts: std::collections::BTreeMap<&str, u64> = counts(&summary).into_iter().collect();
    Ok(Json(counts).into_response())
}

pub(crate) async fn checkpoint(State(front): State<Arc<Front>>, headers: HeaderMap) -> Result<Response, Problem> {
    authorize(&front, &headers)?;
    match front.pipeline.store.tree_head().await? {
        Some(head) => Ok(head.checkpoint.into_response()),
        None => Err(Problem::not_found("the log has no checkpoint yet; one follows the first entry within a second")),
    }
}

/// OpenMetrics text: what happened since the start, and what the store holds.
pub(crate) async fn metrics(State(front): State<Arc<Front>>, headers: HeaderMap) -> Result<Response, Problem> {
    authorize(&front, &headers)?;
    let summary = front.pipeline.store.summary().await?;
    let text = front.pipeline.metrics.text(&counts(&summary));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

pub(crate) async fn healthz() -> &'static str {
    "alive\n"
}

pub(crate) async fn readyz(State(front): State<Arc<Front>>) -> Response {
    if front.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

fn authorize(front: &Front, headers: &HeaderMap) -> Result<(), Problem> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let same = front
        .operator_token
        .is_some_and(|expected| Digest::of(shown.as_bytes()).as_bytes().ct_eq(expected.as_bytes()).into());
    if same { Ok(()) } else { Err(Problem::unauthorized("this needs the operator token as a bearer token")) }
}

fn counts(summary: &Summary) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(&'static str, u64)> =
        summary.orders.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    counts.extend([
        ("inputs", summary.inputs),
        ("unmapped", summary.unmapped),
        ("duplicates", summary.duplicates),
        ("rejected-inputs", summary.rejected_inputs),
        ("unparsed-inputs", summary.unparsed_inputs),
        ("recommended", summary.recommended),
        ("undecided", summary.undecided),
        ("delivered", summary.delivered),
        ("retried", summary.retried),
        ("dead", summary.dead),
        ("pending", summary.pending),
        ("unsequenced", summary.unsequenced),
    ]);
    counts
}

fn order_json(order: OrderView) -> Order {
    Order {
        id: order.id.to_string(),
        position: order.position.0,
        number: order.number,
        channel: order.channel.to_string(),
        state: order.state.as_str(),
        queue: order.queue,
        value_minor: order.value.minor.to_string(),
        currency: order.value.currency.to_string(),
        recommended: order.recommended,
        why: order.why,
        configuration: order.configuration,
        deliveries: order
            .deliveries
            .into_iter()
            .map(|delivery| Delivery {
                target: delivery.target,
                state: delivery.state,
                attempts: delivery.attempts,
                external_id: delivery.external_id,
            })
            .collect(),
    }
}

fn exception_json(exception: ExceptionView) -> Exception {
    Exception {
        id: exception.id,
        order: exception.order.map(|order| order.to_string()),
        stage: exception.stage,
        code: exception.code,
        detail: exception.detail,
        queue: exception.queue,
        opened_at: exception.opened_at.to_string(),
    }
}
