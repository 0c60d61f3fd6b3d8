//! The warehouse's lists of what lies where and of what left, page by page, and the ways in which such
//! lists go wrong.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portreeve_model::Instant;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Ledger, Refusal, Wms, throttled};
use crate::standins::amount::Amount;

/// Rows of a page at most, whatever is asked for.
const LIMIT_MAX: usize = 500;

/// The unit of an item of which nothing is said.
const EACH: &str = "EA";

/// How a list goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadList {
    /// From the second page on nobody answers.
    EndsHalfWay,
    /// Each page says that the first one is next.
    GoesInACircle,
    /// Each page names another one behind it, and the rows are always the same.
    HasNoEnd,
    /// A row has no unit.
    MissesAUnit,
}

/// What lists say beside the numbers.
#[derive(Debug, Default)]
pub(super) struct Listed {
    units: BTreeMap<String, String>,
    changed: BTreeMap<String, String>,
    /// Rows of a page at most; as many as are asked for, where nothing is said.
    pub(super) rows_max: Option<usize>,
    pub(super) bad: Option<BadList>,
}

impl Listed {
    pub(super) fn count_in(&mut self, sku: &str, unit: &str) {
        self.units.insert(sku.to_owned(), unit.to_owned());
    }

    pub(super) fn changed(&mut self, sku: &str, at: &str) {
        self.changed.insert(sku.to_owned(), at.to_owned());
    }
}

/// What is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    limit: Option<usize>,
    /// A row's number: of it and those behind it the page consists.
    after: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    sku: &'a str,
    node: &'a str,
    on_hand: Amount,
    available: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_at: Option<&'a str>,
}

pub(super) async fn list(State(ledger): State<Ledger>, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let books = ledger.lock();
    let (after, bad) = (asked.after.unwrap_or(0), books.listed.bad);
    let limit = asked.limit.unwrap_or(LIMIT_MAX).min(books.listed.rows_max.unwrap_or(LIMIT_MAX));
    if limit == 0 {
        return Err(Refusal::invalid("limit is 0; expected 1 or more".to_owned()));
    }
    if bad == Some(BadList::EndsHalfWay) && after > 0 {
        return Ok(throttled());
    }
    let (levels, first) = (books.levels(), if bad == Some(BadList::HasNoEnd) { 0 } else { after });
    let rows: Vec<Row<'_>> = levels
        .iter()
        .skip(first)
        .take(limit)
        .map(|((sku, node), (available, on_hand))| Row {
            sku,
            node,
            on_hand: *on_hand,
            available: *available,
            unit: (bad != Some(BadList::MissesAUnit)).then(|| books.listed.units.get(sku).map_or(EACH, String::as_str)),
            changed_at: books.listed.changed.get(sku).map(String::as_str),
        })
        .collect();
    let behind = after.saturating_add(limit);
    let next = match bad {
        Some(BadList::GoesInACircle) => Some(limit),
        Some(BadList::HasNoEnd) => Some(behind),
        _ => Some(behind).filter(|behind| *behind < levels.len()),
    };
    let page = json!({"stock": rows, "next": next.map(|next| next.to_string())});
    Ok((StatusCode::OK, Json(page)).into_response())
}

/// What is asked for of shipments.
#[derive(Deserialize)]
pub(super) struct AskedShipments {
    limit: Option<usize>,
    after: Option<usize>,
    /// RFC 3339: what left before then is not listed.
    since: Option<String>,
}

/// What left since a time, in the order in which it left.
pub(super) async fn shipments(
    State(ledger): State<Ledger>,
    Query(asked): Query<AskedShipments>,
) -> Result<Response, Refusal> {
    let books = ledger.lock();
    let limit = asked.limit.unwrap_or(LIMIT_MAX).min(books.listed.rows_max.unwrap_or(LIMIT_MAX)).max(1);
    let since = asked.since.as_deref().map(Instant::parse).transpose();
    let since = since.map_err(|_| Refusal::invalid("since is no time of RFC 3339".to_owned()))?;
    let left: Vec<_> =
        books.shipments.iter().filter(|shipment| since.is_none_or(|since| shipment.left_at >= since)).collect();
    let after = asked.after.unwrap_or(0);
    let rows = left.iter().skip(after).take(limit).map(|shipment| {
        let lines = shipment.lines.iter().map(|line| {
            json!({"lineNumber": line.line_number, "sku": line.sku, "ordered": Amount::of(&line.ordered),
                   "shipped": Amount::of(&line.shipped), "unit": line.unit, "reason": line.reason})
        });
        json!({"orderId": shipment.order_id, "shipmentNumber": shipment.number, "node": shipment.node,
               "at": shipment.left_at.to_string(), "lines": lines.collect::<Vec<_>>()})
    });
    let next = after.saturating_add(limit);
    let next = (next < left.len()).then(|| next.to_string());
    let page = json!({"shipments": rows.collect::<Vec<_>>(), "next": next});
    Ok((StatusCode::OK, Json(page)).into_response())
}

impl Wms {
    /// Forgets that a shipment left, as after a backup was restored.
    pub fn forget_shipment(&self, number: &str) {
        self.ledger.lock().shipments.retain(|shipment| shipment.number != number);
    }
}
