//! 855, the purchase order acknowledgement: what becomes of each line.
//!
//! ```text
//! BAK*00*AC*PO-1*20260302****S-1*20260303~ REF*ZZ*PORTREEVE-ORDER*id~
//! PO1*1***12.5*PE~ ACK*IQ*3*EA*067*20260310~
//! CTT*1~
//! ```
//!
//! The answer knows what was accepted, not what was ordered, so PO102 stays empty: the
//! accepted quantity is ACK02, and BAK03 and PO101 say which line it answers.
//!
//! That an order is held is no answer to it yet (`BAK*00*AH*PO-1*20260302~`): it has no lines, and
//! another 855 follows, of its acceptance or its rejection.

use portreeve_guest_x12::set::{Element, optional, value};
use portreeve_sdk::transformer::*;

use crate::sheet::{About, ITEM_MAX, LINE_NUMBER_MAX, ORDER_NUMBER_MAX, REFERENCE_MAX, Sheet, cut, unit};

/// Characters of ACK29.
const REASON_CHARS_MAX: usize = 30;

/// BAK02 AH: acknowledged, and held.
pub(crate) fn held(order: &Order, about: &About<'_>) -> Sheet {
    let mut sheet = Sheet::open("855", about);
    let number = sheet.customers_number(&order.number);
    let placed = sheet.placed(order.placed_at, "BAK04");
    let number = value(&number, ORDER_NUMBER_MAX, "number");
    sheet.segment("BAK", &[Element::Code("00"), Element::Code("AH"), number, Element::Code(&placed)]);
    sheet.our_order("REF");
    sheet
}

pub(crate) fn accepted(answer: &OrderAnswer, about: &About<'_>) -> Sheet {
    let as_ordered = answer.lines.iter().all(|line| matches!(line.status, LineStatus::Accepted));
    let kind = match (answer.lines.is_empty(), as_ordered) {
        (true, _) => "AK",
        (false, true) => "AD",
        (false, false) => "AC",
    };
    acknowledgement(answer, kind, about)
}

pub(crate) fn rejected(answer: &OrderAnswer, about: &About<'_>) -> Sheet {
    acknowledgement(answer, if answer.lines.is_empty() { "RJ" } else { "RD" }, about)
}

/// BAK02 (element 587): AK without detail, AD with detail, AC with detail and change, RJ
/// rejected without detail, RD rejected with detail.
fn acknowledgement(answer: &OrderAnswer, kind: &str, about: &About<'_>) -> Sheet {
    let mut sheet = Sheet::open("855", about);
    let number = sheet.customers_number(&answer.order_number);
    let placed = sheet.placed(None, "BAK04");
    let answered = answer.answered_at.and_then(date::of_instant).map(date::to_compact);
    sheet.segment(
        "BAK",
        &[
            Element::Code("00"),
            Element::Code(kind),
            value(&number, ORDER_NUMBER_MAX, "order-number"),
            Element::Code(&placed),
            Element::Empty,
            Element::Empty,
            Element::Empty,
            optional(answer.external_id.as_deref(), REFERENCE_MAX, "external-id"),
            answered.as_deref().map_or(Element::Empty, Element::Code),
        ],
    );
    sheet.our_order("REF");
    for (index, line) in sheet.bounded(&answer.lines).iter().enumerate() {
        answered_line(&mut sheet, line, index);
    }
    let count = answer.lines.len().to_string();
    if !answer.lines.is_empty() {
        sheet.segment("CTT", &[Element::Code(&count)]);
    }
    sheet
}

fn answered_line(sheet: &mut Sheet, line: &LineAnswer, index: usize) {
    let at = |field: &str| format!("lines[{index}].{field}");
    let (number_at, unit_at, substitute_at) = (at("line-number"), at("quantity.unit"), at("substitute-sku"));
    let price = line.unit_price.as_ref().map(|price| sheet.price(price, &at("unit-price")));
    let mut elements = vec![value(&line.line_number, LINE_NUMBER_MAX, &number_at), Element::Empty, Element::Empty];
    if let Some((price, basis)) = &price {
        elements.extend([Element::Code(price), Element::Code(basis)]);
    }
    sheet.segment("PO1", &elements);

    let quantity = line.quantity.as_ref().map(|quantity| sheet.quantity(quantity, &at("quantity")));
    let promised = line.promised.map(date::to_compact);
    let reason = cut(line.reason.as_deref().unwrap_or_default(), REASON_CHARS_MAX);
    let mut elements = vec![Element::Code(code(line.status))];
    elements.push(quantity.as_deref().map_or(Element::Empty, Element::Code));
    elements.push(line.quantity.as_ref().map_or(Element::Empty, |quantity| unit(quantity, &unit_at)));
    // 067: current schedule delivery.
    elements.extend(match &promised {
        Some(day) => [Element::Code("067"), Element::Code(day)],
        None => [Element::Empty, Element::Empty],
    });
    elements.push(Element::Empty);
    elements.extend(match line.substitute_sku.as_deref() {
        Some(sku) => [Element::Code("VN"), value(sku, ITEM_MAX, &substitute_at)],
        None => [Element::Empty, Element::Empty],
    });
    if !reason.is_empty() {
        // ACK27 and ACK29: a code of a list that both sides agreed on.
        elements.resize(26, Element::Empty);
        elements.extend([Element::Code("ZZ"), Element::Empty, Element::Code(&reason)]);
    }
    sheet.segment("ACK", &elements);
}

/// Element 668.
fn code(status: LineStatus) -> &'static str {
    match status {
        LineStatus::Accepted => "IA",
        LineStatus::Backordered => "IB",
        LineStatus::QuantityChanged => "IQ",
        LineStatus::PriceChanged => "IP",
        LineStatus::DateChanged => "DR",
        LineStatus::Substituted => "IS",
        LineStatus::Rejected => "IR",
    }
}
