//! The ERP's list of items with what is in stock of each, in the original's words.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::{List, Refusal};
use super::{Ledger, known_company, option};
use crate::standins::amount::Amount;

/// Rows of a page at most, whatever is asked for.
const TOP_MAX: usize = 20_000;

/// The unit of an item of which nothing is said.
const EACH: &str = "EA";

/// Of what the list consists; services are counted nowhere.
const INVENTORY: &str = "type eq 'Inventory'";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemAnswer<'a> {
    #[serde(rename = "@odata.etag")]
    etag: String,
    number: &'a str,
    inventory: Amount,
    base_unit_of_measure_code: &'a str,
}

pub(super) async fn list(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    known_company(&company)?;
    let query = query.unwrap_or_default();
    let behind = behind(&query)?;
    let top = option(&query, "top").map_or(Some(TOP_MAX), |top| top.parse().ok());
    let top = top.ok_or_else(|| Refusal::bad("BadRequest", "expected a whole number in $top".to_owned()))?;
    if option(&query, "orderby").as_deref() != Some("number") {
        return Err(Refusal::bad("BadRequest", "expected $orderby=number".to_owned()));
    }
    let books = ledger.lock();
    let found = books.stock.iter().filter(|(number, _)| **number > behind).take(top.min(TOP_MAX));
    let value: Vec<_> = found
        .map(|(number, inventory)| ItemAnswer {
            etag: format!("W/\"{number}\""),
            number,
            inventory: *inventory,
            base_unit_of_measure_code: books.units.get(number).map_or(EACH, String::as_str),
        })
        .collect();
    Ok(Json(List { value }).into_response())
}

/// The number behind which the page begins; the empty one is before all.
fn behind(query: &str) -> Result<String, Refusal> {
    let unknown =
        || Refusal::bad("BadRequest", "expected $filter=type eq 'Inventory', or it and number gt '…'".to_owned());
    let filter = option(query, "filter").ok_or_else(unknown)?;
    let rest = filter.strip_prefix(INVENTORY).ok_or_else(unknown)?;
    if rest.is_empty() {
        return Ok(String::new());
    }
    let quoted = rest.strip_prefix(" and number gt '").and_then(|rest| rest.strip_suffix('\'')).ok_or_else(unknown)?;
    if quoted.replace("''", "").contains('\'') {
        return Err(unknown());
    }
    Ok(quoted.replace("''", "'"))
}
