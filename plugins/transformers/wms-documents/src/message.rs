//! What the warehouse is told to do.
//!
//! ```json
//! {"orderId":"6fa459ea-ee8a-5ca4-894e-db77e160355e","orderNumber":"4711","requestedDelivery":"2026-03-06",
//!  "shipTo":{"name":"…","lines":["1 Quay Road"],"city":"Portland","postalCode":"04101","country":"US"},
//!  "lines":[{"lineNumber":"1","sku":"FST-1007","quantity":2.50,"unit":"BX"}]}
//! {"orderId":"…","lines":[{"lineNumber":"1","sku":"FST-1007","quantity":2,"unit":"BX"}]}
//! {"orderId":"…","reason":"ordered twice","lines":["1"]}
//! {"orderId":"…","returnNumber":"RMA-1","lines":[{"lineNumber":"1","sku":"FST-1007","quantity":1,"unit":"BX","reason":"…"}]}
//! ```
//!
//! A date of a line, and the day after which nothing may leave (`cancelAfter`), go along
//! where they are: a warehouse that does not know them ships too early or too late. Prices,
//! payment and the sender's notes are not the warehouse's. A change has all lines as they are to be, but
//! those of nothing; place and dates stay as they were released. No lines mean the whole order in a
//! stop and a return, so a list that is only empty by mistake is refused.

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) const RELEASE: &str = "wms-rest/release";
pub(crate) const CHANGE: &str = "wms-rest/change";
pub(crate) const STOP: &str = "wms-rest/stop";
pub(crate) const EXPECT_RETURN: &str = "wms-rest/expect-return";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Release<'a> {
    order_id: &'a str,
    order_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_delivery: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_after: Option<String>,
    ship_to: Option<ShipTo<'a>>,
    lines: Vec<ReleaseLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShipTo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    lines: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseLine<'a> {
    line_number: &'a str,
    sku: &'a str,
    quantity: Box<RawValue>,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_delivery: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    order_id: &'a str,
    lines: Vec<ReleaseLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stop<'a> {
    order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    lines: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Return<'a> {
    order_id: &'a str,
    return_number: String,
    lines: Vec<ReturnedLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReturnedLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line_number: Option<&'a str>,
    sku: &'a str,
    quantity: Box<RawValue>,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Goods may leave.
///
/// # Errors
/// Everything that the warehouse would have to guess.
pub(crate) fn release(order: &Order, order_id: &str) -> Result<Vec<u8>, Failure> {
    let mut problems = vec![];
    let ship_to = order.ship_to.as_ref().filter(|address| names_a_place(address)).map(ship_to);
    if ship_to.is_none() {
        let message = "found no place to ship to; expected an address with an id, street lines or a city";
        problems.push(Problem::new("ship-to-missing", message, "ship-to"));
    }
    let lines = release_lines(order.lines.iter().enumerate(), &mut problems);
    let release = Release {
        order_id,
        order_number: &order.number,
        requested_delivery: order.requested_delivery.map(date::to_text),
        cancel_after: order.cancel_after.map(date::to_text),
        ship_to,
        lines,
    };
    written(&release, problems)
}

/// What is to leave is this.
///
/// # Errors
/// Everything that the warehouse would have to guess.
pub(crate) fn change(order: &Order, order_id: &str) -> Result<Vec<u8>, Failure> {
    let mut problems = vec![];
    let wanted = order.lines.iter().enumerate().filter(|(_, line)| line.quantity.value != 0);
    let lines = release_lines(wanted, &mut problems);
    written(&Change { order_id, lines }, problems)
}

/// No more goods are to leave.
pub(crate) fn stop(cancel: &CancelRequest, order_id: &str) -> Result<Vec<u8>, Failure> {
    written(&Stop { order_id, reason: cancel.reason.as_deref(), lines: &cancel.line_numbers }, vec![])
}

/// Nothing of an order is to leave: it was cancelled before the ERP had it.
///
/// # Errors
/// None but that it cannot be written.
pub(crate) fn stop_all(order_id: &str) -> Result<Vec<u8>, Failure> {
    written(&Stop { order_id, reason: None, lines: &[] }, vec![])
}

/// Goods come back.
///
/// # Errors
/// Everything that the warehouse would have to guess.
pub(crate) fn expect_return(goods: &GoodsReturn, order_id: &str) -> Result<Vec<u8>, Failure> {
    let mut problems = vec![];
    some_lines(goods.lines.len(), &mut problems);
    let mut lines = vec![];
    for (index, line) in goods.lines.iter().enumerate() {
        lines.extend(quantity(&line.quantity, index, &mut problems).map(|quantity| ReturnedLine {
            line_number: line.line_number.as_deref(),
            sku: &line.sku,
            quantity,
            unit: &line.quantity.unit,
            reason: line.reason.as_deref(),
        }));
    }
    written(&Return { order_id, return_number: goods.return_number.clone(), lines }, problems)
}

/// All goods of an order come back, since it was cancelled when they had left.
///
/// # Errors
/// When only some lines were cancelled: how much of which item comes back is not said.
pub(crate) fn expect_all(cancel: &CancelRequest, order_id: &str) -> Result<Vec<u8>, Failure> {
    if !cancel.line_numbers.is_empty() {
        let message = "found a cancellation of single lines, which says not how much of which item comes back; \
                       expected one of the whole order, or a return that names them";
        return Err(Failure::invalid(Problem::new("lines-of-a-return-unknown", message, "line-numbers")));
    }
    written(&Return { order_id, return_number: format!("cancel-{order_id}"), lines: vec![] }, vec![])
}

fn written(message: &impl Serialize, problems: Vec<Problem>) -> Result<Vec<u8>, Failure> {
    if !problems.is_empty() {
        return Err(Failure::Invalid(problems));
    }
    serde_json::to_vec(message).map_err(|error| Failure::permanent(error.to_string()))
}

/// Lines that are to leave, each with its place in the order.
fn release_lines<'a>(
    wanted: impl Iterator<Item = (usize, &'a OrderLine)>,
    problems: &mut Vec<Problem>,
) -> Vec<ReleaseLine<'a>> {
    let wanted: Vec<_> = wanted.collect();
    some_lines(wanted.len(), problems);
    let mut lines = vec![];
    for (index, line) in wanted {
        lines.extend(quantity(&line.quantity, index, problems).map(|quantity| ReleaseLine {
            line_number: &line.number,
            sku: &line.sku,
            quantity,
            unit: &line.quantity.unit,
            requested_delivery: line.requested_delivery.map(date::to_text),
        }));
    }
    lines
}

fn some_lines(count: usize, problems: &mut Vec<Problem>) {
    if count == 0 {
        let message = "found no lines; expected at least one, nothing would be handled";
        problems.push(Problem::new("lines-missing", message, "lines"));
    }
}

/// A JSON number with exactly the quantity's digits.
fn quantity(quantity: &Quantity, index: usize, problems: &mut Vec<Problem>) -> Option<Box<RawValue>> {
    let path = format!("lines[{index}].quantity");
    if quantity.value <= 0 {
        let message = "found a quantity of nothing or below; expected one above 0";
        problems.push(Problem::new("quantity-not-positive", message, path));
        return None;
    }
    let number = RawValue::from_string(money::to_text(quantity.value, quantity.scale));
    number.map_err(|error| problems.push(Problem::new("bad-number", error.to_string(), path))).ok()
}

fn names_a_place(address: &Address) -> bool {
    let named = |text: &String| !text.trim().is_empty();
    address.id.as_ref().is_some_and(named)
        || address.lines.iter().any(named)
        || address.city.as_ref().is_some_and(named)
}

fn ship_to(address: &Address) -> ShipTo<'_> {
    ShipTo {
        id: address.id.as_deref(),
        name: address.name.as_deref(),
        lines: &address.lines,
        city: address.city.as_deref(),
        region: address.region.as_deref(),
        postal_code: address.postal_code.as_deref(),
        country: address.country.as_deref(),
    }
}
