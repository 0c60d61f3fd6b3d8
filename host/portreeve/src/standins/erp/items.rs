//! The ERP's lists by number: items with what is in stock of each, open sales orders, and what was
//! posted, in the original's words.
//!
//! ```text
//! GET …/salesOrders?$expand=salesOrderLines&$orderby=number&$top=N[&$filter=number gt '…']
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use portreeve_model::Instant;
use portreeve_model::value::Decimal;
use serde::Serialize;

use super::answer::{DocumentAnswer, List, Refusal, SalesOrderAnswer, ShipmentAnswer};
use super::asked::LineType;
use super::posting::Document;
use super::{Erp, Ledger, books, known_company, option, throttled};
use crate::standins::amount::Amount;
use crate::standins::mischief::Trick;

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
    let top = top(&query)?;
    let books = ledger.lock();
    let found = books.stock.iter().filter(|(number, _)| **number > behind).take(top);
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

/// A page of open sales orders. What is asked for may meet mischief, as whatever is tried.
pub(super) fn sales_orders(ledger: &Ledger, company: &'static str, query: &str) -> Result<Response, Refusal> {
    let unknown = || Refusal::bad("BadRequest", "expected $filter=number gt '…', or none".to_owned());
    let behind = match option(query, "filter") {
        None => String::new(),
        Some(filter) => filter.strip_prefix("number gt ").and_then(unquoted).ok_or_else(unknown)?,
    };
    if option(query, "expand").as_deref() != Some("salesOrderLines") {
        return Err(Refusal::bad("BadRequest", "expected $expand=salesOrderLines".to_owned()));
    }
    let top = top(query)?;
    let mut books = ledger.lock();
    match ledger.trick(company, (&format!("list salesOrders {query}"), None), &mut books)? {
        Some(Trick::Throttle) => return Ok(throttled()),
        Some(Trick::FailBefore | Trick::Reject | Trick::DropAfter | Trick::SlowAfter) => {
            return Err(Refusal::failed());
        }
        None => {}
    }
    let top = books.rows_max.map_or(top, |most| top.min(most));
    let mut found: Vec<_> =
        books.orders.values().filter(|order| order.company == company && order.number > behind).collect();
    found.sort_by(|one, other| one.number.cmp(&other.number));
    let value: Vec<_> = found.into_iter().take(top).map(|order| SalesOrderAnswer::of(order, true)).collect();
    Ok(Json(List { value }).into_response())
}

/// Whether a list is asked for by number.
pub(super) fn is_by_number(query: Option<&str>) -> bool {
    query.and_then(|query| option(query, "orderby")).as_deref() == Some("number")
}

/// A list of what was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Posted {
    Invoices,
    CreditMemos,
    /// Every posting ships what it invoices.
    Shipments,
}

impl Posted {
    /// Under which number a list has it.
    fn number(self, document: &Document) -> Cow<'_, str> {
        match self {
            Self::Invoices | Self::CreditMemos => Cow::Borrowed(&document.number),
            Self::Shipments => Cow::Owned(document.shipment_number()),
        }
    }
}

/// A page of documents that changed since a time, in the order of their numbers. What is asked for
/// may meet mischief, as whatever is tried.
pub(super) fn posted(ledger: &Ledger, company: &'static str, query: &str, which: Posted) -> Result<Response, Refusal> {
    let lines = match which {
        Posted::Invoices => "salesInvoiceLines",
        Posted::CreditMemos => "salesCreditMemoLines",
        Posted::Shipments => "salesShipmentLines",
    };
    if option(query, "expand").as_deref() != Some(lines) {
        return Err(Refusal::bad("BadRequest", format!("expected $expand={lines}")));
    }
    let ((since, behind), top) = (since_and_behind(query)?, top(query)?);
    let mut books = ledger.lock();
    match ledger.trick(company, (&format!("list {lines} {query}"), None), &mut books)? {
        Some(Trick::Throttle) => return Ok(throttled()),
        Some(Trick::FailBefore | Trick::Reject | Trick::DropAfter | Trick::SlowAfter) => {
            return Err(Refusal::failed());
        }
        None => {}
    }
    let top = books.rows_max.map_or(top, |most| top.min(most));
    let documents = if which == Posted::CreditMemos { &books.memos } else { &books.invoices };
    let mut found: Vec<_> = documents
        .iter()
        .filter(|document| document.company == company && document.modified >= since)
        .filter(|document| !books.late.contains(&document.external_document_number))
        .map(|document| (which.number(document), document))
        .filter(|(number, _)| **number > *behind)
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let found = found.into_iter().map(|(_, document)| document).take(top);
    Ok(match which {
        Posted::Shipments => {
            let value: Vec<_> = found.map(|document| ShipmentAnswer::listed(document, true)).collect();
            Json(List { value }).into_response()
        }
        Posted::Invoices | Posted::CreditMemos => {
            let value: Vec<_> = found.map(|document| DocumentAnswer::of(document, true)).collect();
            Json(List { value }).into_response()
        }
    })
}

/// The time and the number in `$filter=lastModifiedDateTime ge …[ and number gt '…']`.
fn since_and_behind(query: &str) -> Result<(Instant, String), Refusal> {
    let unknown =
        || Refusal::bad("BadRequest", "expected $filter=lastModifiedDateTime ge …, or it and number gt '…'".to_owned());
    let filter = option(query, "filter").ok_or_else(unknown)?;
    let (time, behind) = match filter.split_once(" and number gt ") {
        Some((time, number)) => (time, unquoted(number).ok_or_else(unknown)?),
        None => (filter.as_str(), String::new()),
    };
    let time = time.strip_prefix("lastModifiedDateTime ge ").and_then(|time| Instant::parse(time).ok());
    Ok((time.ok_or_else(unknown)?, behind))
}

/// How many rows at most, of a list in the order of its numbers.
fn top(query: &str) -> Result<usize, Refusal> {
    if option(query, "orderby").as_deref() != Some("number") {
        return Err(Refusal::bad("BadRequest", "expected $orderby=number".to_owned()));
    }
    let top = option(query, "top").map_or(Some(TOP_MAX), |top| top.parse().ok());
    let top = top.ok_or_else(|| Refusal::bad("BadRequest", "expected a whole number in $top".to_owned()))?;
    Ok(top.min(TOP_MAX))
}

/// A text between quotes, in which a quote is doubled.
fn unquoted(text: &str) -> Option<String> {
    let quoted = text.strip_prefix('\'')?.strip_suffix('\'')?;
    (!quoted.replace("''", "").contains('\'')).then(|| quoted.replace("''", "'"))
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
    rest.strip_prefix(" and number gt ").and_then(unquoted).ok_or_else(unknown)
}

impl Erp {
    /// Loses the sales orders of a document without a word; how many there were.
    pub fn lose_order(&self, document: &str) -> usize {
        let mut books = self.ledger.lock();
        let (lost, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut books.orders)
            .into_iter()
            .partition(|(_, order)| order.external_document_number == document);
        books.orders = kept;
        let count = lost.len();
        books.lost.extend(lost);
        count
    }

    /// Loses a posted invoice without a word, and what was shipped by it; false where there is none.
    pub fn lose_invoice(&self, number: &str) -> bool {
        self.ledger.lock().lose_invoice(number)
    }

    /// A posted invoice has another quantity of a line, and charges so many hundredths more for it, as a
    /// wrong import makes it.
    pub fn post_otherwise(&self, number: &str, line_number: &str, quantity: Decimal, more: i64) {
        let mut books = self.ledger.lock();
        for invoice in books.invoices.iter_mut().filter(|invoice| invoice.number == number) {
            invoice.total.units = invoice.total.units.saturating_add(more);
            let rows = invoice.rows.iter_mut().filter(|row| row.line.line_type != LineType::Comment);
            for row in rows.filter(|row| books::line_number(row.line.sequence) == line_number) {
                row.line.quantity = quantity;
                row.amount = row.amount.saturating_add(i128::from(more));
            }
        }
    }

    /// Finds again what it lost.
    pub fn find_lost_orders(&self) {
        let mut books = self.ledger.lock();
        let lost = std::mem::take(&mut books.lost);
        books.orders.extend(lost);
    }

    /// A clerk enters other numbers for a line of a document, by the order's own number of it, and
    /// tells nobody.
    pub fn enter_otherwise(&self, document: &str, line_number: &str, quantity: Decimal, unit_price: Decimal) {
        let mut books = self.ledger.lock();
        let now = books.now;
        for order in books.orders.values_mut().filter(|order| order.external_document_number == document) {
            let lines = order.lines.iter_mut().filter(|line| line.line.line_type != LineType::Comment);
            for line in lines.filter(|line| books::line_number(line.line.sequence) == line_number) {
                (line.line.quantity, line.line.unit_price) = (quantity, unit_price);
            }
            order.changed(now);
        }
    }

    /// Has a page of sales orders have so many rows at most, whatever is asked for.
    pub fn page_orders_by(&self, rows_max: usize) {
        self.ledger.lock().rows_max = Some(rows_max);
    }
}
