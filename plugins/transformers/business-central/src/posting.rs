//! What the ERP posts of a shipment that left and of a return that arrived.
//!
//! ```json
//! {"externalDocumentNumber":"6fa459eaee8a3ca4894edb77e160355e","shipmentNumber":"SH-1",
//!  "salesOrderLines":[{"lineNumber":"1","sequence":10,"lineObjectNumber":"SKU-1","shipQuantity":5,"unitOfMeasureCode":"EA"}]}
//!
//! {"externalDocumentNumber":"6fa459eaee8a3ca4894edb77e160355e","returnNumber":"R-1",
//!  "salesCreditMemoLines":[{"lineNumber":"1","sequence":10,"lineObjectNumber":"SKU-1","quantity":2,"unitOfMeasureCode":"EA"}]}
//! ```
//!
//! The names are the API's; documents of it they are not: which lines of the ERP's sales order
//! or invoices they mean, and at which price, the connector `erp-rest` sees there. A line is
//! known by its sequence, which the sales order got with it; one of another item that the warehouse sent
//! in the place of what was ordered says so (`substitutes`). A line of a return that names
//! none is looked for by its item.

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{ITEM_NUMBER_CHARS_MAX, TEXT_CHARS_MAX, UNIT_CHARS_MAX, number, sequence_of, within};

/// What posts a shipment.
pub(crate) const SHIP: &str = "business-central/ship-and-invoice";

/// What posts a credit memo.
pub(crate) const CREDIT: &str = "business-central/credit-memo";

/// Characters of a shipment's or a return's number: behind `Shipment no. ` it has to fit a comment.
const NUMBER_CHARS_MAX: usize = TEXT_CHARS_MAX - 13;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shipped<'a> {
    external_document_number: String,
    shipment_number: &'a str,
    sales_order_lines: Vec<ShippedLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShippedLine<'a> {
    #[serde(flatten)]
    line: Named<'a>,
    ship_quantity: Box<RawValue>,
    /// Whether it left in the place of what was ordered; nothing is said where it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    substitutes: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Returned<'a> {
    external_document_number: String,
    return_number: &'a str,
    sales_credit_memo_lines: Vec<ReturnedLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReturnedLine<'a> {
    #[serde(flatten)]
    line: Named<'a>,
    quantity: Box<RawValue>,
}

/// Which line it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Named<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u32>,
    line_object_number: &'a str,
    unit_of_measure_code: &'a str,
}

/// A shipment; lines of which nothing left are on it as well.
pub(crate) fn shipped<'a>(shipment: &'a Shipment, order_id: &str) -> Result<Shipped<'a>, Vec<Problem>> {
    let mut problems = Vec::new();
    within(&shipment.shipment_number, NUMBER_CHARS_MAX, "shipment-number", &mut problems);
    some(shipment.lines.len(), &mut problems);
    let mut lines = Vec::new();
    for (index, line) in shipment.lines.iter().enumerate() {
        let path = format!("lines[{index}]");
        if line.shipped.value < 0 {
            let message = format!("found {}; expected 0 or more", text(&line.shipped));
            problems.push(Problem::new("negative-quantity", message, format!("{path}.shipped")));
        }
        let named = named(Some(&line.line_number), &line.sku, &line.shipped.unit, &path, &mut problems);
        match number(line.shipped.value, line.shipped.scale, &format!("{path}.shipped")) {
            Ok(ship_quantity) => {
                let substitutes = (line.short == ShortReason::Substitution).then_some(true);
                lines.push(ShippedLine { line: named, ship_quantity, substitutes });
            }
            Err(problem) => problems.push(*problem),
        }
    }
    let (external_document_number, shipment_number) = (order_id.replace('-', ""), shipment.shipment_number.as_str());
    none_of(problems, Shipped { external_document_number, shipment_number, sales_order_lines: lines })
}

/// A return.
pub(crate) fn returned<'a>(goods: &'a GoodsReturn, order_id: &str) -> Result<Returned<'a>, Vec<Problem>> {
    let mut problems = Vec::new();
    within(&goods.return_number, NUMBER_CHARS_MAX, "return-number", &mut problems);
    some(goods.lines.len(), &mut problems);
    let mut lines = Vec::new();
    for (index, line) in goods.lines.iter().enumerate() {
        let path = format!("lines[{index}]");
        if line.quantity.value <= 0 {
            let message = format!("found {}; expected more than 0", text(&line.quantity));
            problems.push(Problem::new("quantity-not-positive", message, format!("{path}.quantity")));
        }
        let named = named(line.line_number.as_deref(), &line.sku, &line.quantity.unit, &path, &mut problems);
        match number(line.quantity.value, line.quantity.scale, &format!("{path}.quantity")) {
            Ok(quantity) => lines.push(ReturnedLine { line: named, quantity }),
            Err(problem) => problems.push(*problem),
        }
    }
    let (external_document_number, return_number) = (order_id.replace('-', ""), goods.return_number.as_str());
    none_of(problems, Returned { external_document_number, return_number, sales_credit_memo_lines: lines })
}

pub(crate) fn named<'a>(
    line_number: Option<&'a str>,
    item: &'a str,
    unit: &'a str,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Named<'a> {
    within(item, ITEM_NUMBER_CHARS_MAX, &format!("{path}.sku"), problems);
    within(unit, UNIT_CHARS_MAX, &format!("{path}.quantity.unit"), problems);
    let sequence = line_number.and_then(sequence_of);
    if line_number.is_some() && sequence.is_none() {
        let message = "found a line number that no line of a sales order has; expected a whole number above 0: see to \
                       it in the ERP by hand";
        problems.push(Problem::new("line-number", message, format!("{path}.line-number")));
    }
    Named { line_number, sequence, line_object_number: item, unit_of_measure_code: unit }
}

pub(crate) fn some(lines: usize, problems: &mut Vec<Problem>) {
    if lines == 0 {
        problems.push(Problem::new("lines-missing", "found no lines; expected one or more", "lines"));
    }
}

fn text(quantity: &Quantity) -> String {
    money::to_text(quantity.value, quantity.scale)
}

pub(crate) fn none_of<T>(problems: Vec<Problem>, made: T) -> Result<T, Vec<Problem>> {
    if problems.is_empty() { Ok(made) } else { Err(problems) }
}
