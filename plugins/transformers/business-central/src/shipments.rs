//! What the ERP posted as shipped, out of a page of its list: `shipment.confirmed`.
//!
//! ```json
//! [{"number":"PS-SHPT103001","externalDocumentNumber":"6fa459ea…","postingDate":"2026-03-02",
//!   "lastModifiedDateTime":"2026-03-02T08:00:12.467Z",
//!   "salesShipmentLines":[{"sequence":1,"lineType":"Comment","description":"Order 4711"},
//!    {"sequence":2,"lineType":"Comment","description":"Shipment no. S-1"},
//!    {"sequence":10,"lineType":"Item","lineObjectNumber":"SKU-1","quantity":5,"unitOfMeasureCode":"EA"}]}]
//! ```
//!
//! The shipment's number is the warehouse's, which the last comment names that begins like that; what a
//! clerk shipped names none, and has the ERP's own. What names no order of a host is somebody else's and
//! left out, and so are lines that are no items. Where the comment with sequence 1 says so, a line's
//! number is the order's own, a tenth of its sequence; otherwise the extension `line-numbers` says that
//! it is not.

use portreeve_guest_json::row::{self, ListRow};
use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::COMMENT_SEQUENCE;
use crate::line::Line;
use crate::listing::events;
use crate::posted::{SHIPMENT, changed_at, digits, hyphened};

/// A page of posted shipments.
pub(crate) const SALES_SHIPMENTS: &str = "business-central/sales-shipments";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SalesShipment<'a> {
    number: String,
    external_document_number: String,
    posting_date: Option<String>,
    last_modified_date_time: Option<String>,
    #[serde(borrow)]
    sales_shipment_lines: Vec<Line<'a>>,
}

type Read<T> = Result<T, Box<Problem>>;

/// The shipments of a page.
///
/// # Errors
/// Everything that is wrong with rows that cannot be named.
pub(crate) fn shipments(body: &[u8]) -> Result<Vec<Event>, Failure> {
    events("shipments", body, name, |row, path| Ok(shipment(row, path)?.map(Event::ShipmentConfirmed)))
}

/// What names a shipment that cannot be read.
fn name(row: &str) -> Option<ListRow> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        number: String,
        external_document_number: String,
        #[serde(borrow)]
        last_modified_date_time: Option<&'a RawValue>,
        sales_shipment_lines: Vec<Said>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        line_type: Option<String>,
        description: Option<String>,
    }
    let Named { number, external_document_number, last_modified_date_time, sales_shipment_lines } =
        serde_json::from_str(row).ok()?;
    let comments = sales_shipment_lines.iter().filter(|line| line.line_type.as_deref() == Some("Comment"));
    let named = comments.filter_map(|line| line.description.as_deref()?.strip_prefix(SHIPMENT)).next_back();
    let number = named.map_or(number, str::to_owned);
    let order = Some(hyphened(&external_document_number)?);
    let changed_at = row::changed_at(last_modified_date_time);
    Some(ListRow { of: "shipment.confirmed", number, order, changed_at, ..ListRow::default() })
}

/// A shipment; none where it is somebody else's.
fn shipment(row: &str, path: &str) -> Read<Option<Shipment>> {
    let posted: SalesShipment<'_> = serde_json::from_str(row).map_err(|_| {
        let message = "found no shipment with its numbers and lines; expected `number`, `externalDocumentNumber` and \
                       `salesShipmentLines`";
        Box::new(Problem::new("sales-shipment-malformed", message, path))
    })?;
    let Some(order_number) = hyphened(&posted.external_document_number) else { return Ok(None) };
    let comments = || posted.sales_shipment_lines.iter().filter(|line| line.line_type == "Comment");
    let is_numbered = comments().any(|line| line.sequence == COMMENT_SEQUENCE);
    let named = comments().filter_map(|line| line.says(SHIPMENT)).next_back();
    let mut lines = vec![];
    for (index, line) in posted.sales_shipment_lines.iter().enumerate().filter(|(_, line)| line.line_type == "Item") {
        lines.push(shipped(line, &format!("{path}.salesShipmentLines[{index}]"), is_numbered)?);
    }
    let at = |member: &str| format!("{path}.{member}");
    let mut extensions = vec![];
    extensions.extend(changed_at(posted.last_modified_date_time.as_deref(), &at("lastModifiedDateTime"))?);
    extensions
        .extend((!is_numbered).then(|| Extension { name: "line-numbers".to_owned(), value: "others".to_owned() }));
    extensions.push(Extension { name: "document".to_owned(), value: posted.number.clone() });
    Ok(Some(Shipment {
        order_number,
        shipment_number: named.unwrap_or(&posted.number).to_owned(),
        node: None,
        carrier: None,
        tracking: vec![],
        at: posted_at(posted.posting_date.as_deref(), &at("postingDate"))?,
        lines,
        ship_to: None,
        extensions,
    }))
}

/// The beginning of the day of its posting.
fn posted_at(text: Option<&str>, path: &str) -> Read<Option<InstantMs>> {
    let Some(text) = text else { return Ok(None) };
    let midnight = date::parse(text).and_then(|_| portreeve_guest_json::moment::parse(&format!("{text}T00:00:00Z")));
    let message = "found no day; expected one such as 2026-03-02";
    midnight.map(Some).ok_or_else(|| Box::new(Problem::new("bad-date", message, path)))
}

fn shipped(line: &Line<'_>, path: &str, is_numbered: bool) -> Read<ShipmentLine> {
    let unit = line.unit_of_measure_code.as_str();
    if line.line_object_number.is_empty() || unit.is_empty() {
        let message = "found an item without its number or unit; expected both";
        return Err(Box::new(Problem::new("sales-shipment-malformed", message, path)));
    }
    let at = format!("{path}.quantity");
    let quantity = money::quantity(digits(line.quantity, &at)?, unit)
        .map_err(|error| Box::new(Problem::new("bad-number", error.to_string(), at)))?;
    Ok(ShipmentLine {
        line_number: line.number(is_numbered).to_string(),
        sku: line.line_object_number.clone(),
        ordered: None,
        shipped: quantity,
        short: ShortReason::None,
        lot: None,
        serials: vec![],
    })
}
