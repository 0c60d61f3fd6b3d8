//! 865, the answer to a purchase order change: what becomes of it, line by line.
//!
//! ```text
//! BCA*00*RD*PO-1**2*20260302~ REF*ZZ*PORTREEVE-ORDER*id~
//! POC*1*RZ*7**EA*12.5*PE*VN*PUMP-40~ ACK*IR*7*EA~
//! CTT*1~
//! ```
//!
//! People take a change as a whole or not at all, so each of its lines has one answer: IA where
//! it was carried out (BCA02 AD), IR where the order stays as it came (RD). A change is the whole
//! order as it is to be, and so is what is answered: POC02 is RZ, all values. Lines that were to
//! be left out are in none of both.

use portreeve_guest_x12::set::{Element, optional, value};
use portreeve_sdk::transformer::*;

use crate::sheet::{About, ITEM_MAX, LINE_NUMBER_MAX, ORDER_NUMBER_MAX, REFERENCE_MAX, Sheet, unit};

/// Characters of BCA05.
const SEQUENCE_CHARS_MAX: usize = 8;

/// What people made of the change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused,
}

impl Verdict {
    /// BCA02 (element 587) and ACK01 (element 668).
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::Accepted => ("AD", "IA"),
            Self::Refused => ("RD", "IR"),
        }
    }
}

pub(crate) fn of(change: &OrderChange, verdict: Verdict, about: &About<'_>) -> Sheet {
    let mut sheet = Sheet::open("865", about);
    let (kind, status) = verdict.codes();
    let order = &change.order;
    let number = sheet.customers_number(&order.number);
    let placed = sheet.placed(order.placed_at, "BCA06");
    // A revision that is no sequence number is the time of the change, which has no place here.
    let sequence = change.revision.as_deref().filter(|revision| revision.chars().count() < SEQUENCE_CHARS_MAX);
    sheet.segment(
        "BCA",
        &[
            Element::Code("00"),
            Element::Code(kind),
            value(&number, ORDER_NUMBER_MAX, "order.number"),
            optional(order.release.as_deref(), REFERENCE_MAX, "order.release"),
            optional(sequence, SEQUENCE_CHARS_MAX, "revision"),
            Element::Code(&placed),
        ],
    );
    sheet.our_order("REF");
    for (index, line) in sheet.bounded(&order.lines).iter().enumerate() {
        answered_line(&mut sheet, line, index, status);
    }
    let count = order.lines.len().to_string();
    sheet.segment("CTT", &[Element::Code(&count)]);
    sheet
}

fn answered_line(sheet: &mut Sheet, line: &OrderLine, index: usize, status: &'static str) {
    let at = |field: &str| format!("order.lines[{index}].{field}");
    let (number_at, unit_at, sku_at, own_at) = (at("number"), at("quantity.unit"), at("sku"), at("buyer-sku"));
    let quantity = sheet.quantity(&line.quantity, &at("quantity"));
    let (price, basis) = sheet.price(&line.unit_price, &at("unit-price"));
    let mut elements = vec![
        value(&line.number, LINE_NUMBER_MAX, &number_at),
        Element::Code("RZ"),
        Element::Code(&quantity),
        Element::Empty,
        unit(&line.quantity, &unit_at),
        Element::Code(&price),
        Element::Code(basis),
        Element::Code("VN"),
        value(&line.sku, ITEM_MAX, &sku_at),
    ];
    if let Some(own) = line.buyer_sku.as_deref() {
        elements.extend([Element::Code("BP"), value(own, ITEM_MAX, &own_at)]);
    }
    sheet.segment("POC", &elements);
    sheet.segment("ACK", &[Element::Code(status), Element::Code(&quantity), unit(&line.quantity, &unit_at)]);
}
