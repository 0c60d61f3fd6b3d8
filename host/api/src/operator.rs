//! What operators and people read: orders, counts, the checkpoint, metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_pipeline::metrics::CONTENT_TYPE;
use portreeve_store::contract::{DocumentPosition, OrderState};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Door;
use crate::problem::Problem;
use crate::view::{Order, Orders, counts};

/// Rows in one answer, however many were asked for.
const ROWS_MAX: u32 = 500;

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderPage {
    /// Only those in this state: `released`, `held`, `routed`, `refused` or `exception`.
    state: Option<String>,
    /// Only those with this number of the sender's, and at most 500 of them; alone.
    number: Option<String>,
    /// Only those after this position of the journal.
    #[serde(default)]
    after: u64,
    /// At most so many, and at most 500.
    #[serde(default = "page_rows")]
    limit: u32,
}

pub(crate) fn page_rows() -> u32 {
    100
}

/// Lists orders.
#[utoipa::path(
    get, path = "/v1/orders", tag = "operators",
    params(OrderPage),
    responses(
        (status = 200, description = "A page", body = Orders),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn orders(
    State(door): State<Arc<Door>>,
    page: Result<Query<OrderPage>, QueryRejection>,
) -> Result<Json<Orders>, Problem> {
    let Query(page) = page?;
    let (after, limit) = (DocumentPosition(page.after), rows(page.limit)?);
    let store = &door.front.pipeline.store;
    let orders = match (page.state.as_deref(), page.number) {
        (None, None) => store.orders(after, limit).await?,
        (Some(state), None) => store.orders_in(order_state(state)?, after, limit).await?,
        (None, Some(number)) if page.after == 0 => {
            let orders = store.orders_numbered(&number, limit).await?;
            return Ok(Json(Orders { orders: orders.into_iter().map(Order::of).collect(), next: None }));
        }
        (_, Some(_)) => return Err(Problem::bad_request("`number` goes with `limit` alone")),
    };
    let next = next_page(&orders, limit, |order| order.position.0);
    Ok(Json(Orders { orders: orders.into_iter().map(Order::of).collect(), next }))
}

/// Counts what the store holds.
#[utoipa::path(
    get, path = "/v1/summary", tag = "operators",
    responses(
        (status = 200, description = "Counts by name", body = BTreeMap<String, u64>),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn summary(State(door): State<Arc<Door>>) -> Result<Json<BTreeMap<&'static str, u64>>, Problem> {
    let summary = door.front.pipeline.store.summary().await?;
    Ok(Json(counts(&summary).into_iter().collect()))
}

/// The last signed checkpoint of the audit log.
#[utoipa::path(
    get, path = "/v1/audit/checkpoint", tag = "operators",
    responses(
        (status = 200, description = "A signed note", body = String, content_type = "text/plain"),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 404, description = "There is none yet", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn checkpoint(State(door): State<Arc<Door>>) -> Result<Response, Problem> {
    match door.front.pipeline.store.tree_head().await? {
        Some(head) => Ok(head.checkpoint.into_response()),
        None => Err(Problem::not_found("the log has no checkpoint yet; one follows the first entry within a second")),
    }
}

/// `OpenMetrics` text: what happened since the start, and what the store holds.
#[utoipa::path(
    get, path = "/metrics", tag = "operators",
    responses(
        (status = 200, description = "OpenMetrics", body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn metrics(State(door): State<Arc<Door>>) -> Result<Response, Problem> {
    let pipeline = &door.front.pipeline;
    let summary = pipeline.store.summary().await?;
    let (in_use, waiting) = (pipeline.in_use().await?, pipeline.waiting().await?);
    let oversight = pipeline.recent_oversight().await?;
    let (measures, now) = (pipeline.recent_measures().await?, pipeline.clock.now());
    // They show what the store knows of the last runs, whoever made them.
    pipeline.reconciliations().await?;
    let text = pipeline.metrics.text_with(&counts(&summary), &in_use, &waiting, &oversight, measures.as_deref(), now);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "monitors", responses((status = 200, body = String, description = "It does")))]
pub(crate) async fn healthz() -> &'static str {
    "alive\n"
}

/// Whether the host may be sent work.
#[utoipa::path(
    get, path = "/readyz", tag = "monitors",
    responses(
        (status = 200, description = "It may", body = String),
        (status = 503, description = "It is starting, stopping or damaged", body = String),
    )
)]
pub(crate) async fn readyz(State(door): State<Arc<Door>>) -> Response {
    if door.front.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

pub(crate) fn rows(limit: u32) -> Result<u32, Problem> {
    if limit == 0 {
        return Err(Problem::bad_request("`limit` is 0, expected 1 to 500"));
    }
    Ok(limit.min(ROWS_MAX))
}

/// The `after` of the next page. A page that is not full is the last one.
pub(crate) fn next_page<T>(page: &[T], limit: u32, place: impl FnOnce(&T) -> u64) -> Option<u64> {
    let full = page.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    page.last().filter(|_| full).map(place)
}

fn order_state(text: &str) -> Result<OrderState, Problem> {
    let known = OrderState::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| {
        let all: Vec<&str> = OrderState::ALL.into_iter().map(OrderState::as_str).collect();
        Problem::bad_request(format!("`state` is not one of {}", all.join(", ")))
    })
}

/// Does what an operator asked for to its end, also when whoever asked hangs up; `cut_short`
/// says what to look at where it panicked on the way.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    cut_short: &'static str,
) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|error| Problem::internal(&error, cut_short))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_was_asked_for_goes_to_its_end_when_whoever_asked_hangs_up() {
        let (begin, begun) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        let work = async move {
            begun.await.unwrap();
            done.send("put").unwrap();
        };
        let mut asked = Box::pin(to_its_end(work, "look at it"));
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(asked.as_mut().poll(cx))).await.is_pending());
        drop(asked);
        begin.send(()).unwrap();
        assert_eq!(ended.await.unwrap(), "put");
    }

    #[tokio::test]
    async fn what_was_cut_short_says_what_to_look_at() {
        let work = async { std::future::ready(None::<u8>).await.unwrap() };
        let problem = serde_json::to_value(to_its_end(work, "look at the orders").await.unwrap_err()).unwrap();
        assert_eq!(problem.get("status").unwrap(), 500);
        assert!(problem.get("detail").unwrap().as_str().unwrap().contains("look at the orders"), "{problem}");
    }
}
