//! 940, the warehouse shipping order.
//!
//! ```text
//! W05*N*PO-1*PO-1~   N1*ST … N3 … N4~   N9*ZZ*PORTREEVE-ORDER*id~   G62*02*date~   NTE*WHI*note~
//! LX*1~ W01*5*EA**VN*PUMP-40~ G69*Pump~ N9*LI*1~
//! W76*5~
//! ```
//!
//! A cancellation is W05 F with the same numbers and no lines: a warehouse stops the whole
//! order or nothing, so one of single lines is refused.

use portreeve_guest_x12::set::{Element, value};
use portreeve_sdk::transformer::*;

use crate::sheet::{About, ITEM_MAX, ORDER_NUMBER_MAX, REFERENCE_MAX, Sheet, cut, sum, unit};

/// Characters of one NTE02, and how many of them there may be.
const NOTE_CHARS_MAX: usize = 80;
const NOTES_MAX: usize = 50;

/// Characters of G6901.
const DESCRIPTION_CHARS_MAX: usize = 45;

pub(crate) fn of_order(order: &Order, about: &About<'_>) -> Sheet {
    let mut sheet = Sheet::open("940", about);
    let number = value(&order.number, ORDER_NUMBER_MAX, "number");
    sheet.segment("W05", &[Element::Code("N"), number, number]);
    match &order.ship_to {
        Some(place) => sheet.place("ST", place, "ship-to"),
        None => sheet.problem("ship-to-missing", "the order has no ship-to; expected where the goods go", "ship-to"),
    }
    sheet.our_order("N9");
    let dates = [("02", order.requested_delivery), ("01", order.cancel_after)];
    for (code, day) in dates.into_iter().filter_map(|(code, day)| day.map(|day| (code, day))) {
        sheet.segment("G62", &[Element::Code(code), Element::Code(&date::to_compact(day))]);
    }
    notes(&mut sheet, &order.notes);
    for (index, line) in sheet.bounded(&order.lines).iter().enumerate() {
        item(&mut sheet, line, index);
    }
    match sum(order.lines.iter().map(|line| &line.quantity)) {
        Some(total) => sheet.segment("W76", &[value(&total, 10, "lines")]),
        None => sheet.problem("quantity", "the quantities of all lines together do not fit 64 bits", "lines"),
    }
    sheet
}

pub(crate) fn of_cancellation(cancel: &CancelRequest, about: &About<'_>) -> Sheet {
    let mut sheet = Sheet::open("940", about);
    let number = sheet.customers_number(&cancel.order_number);
    let number = value(&number, ORDER_NUMBER_MAX, "order-number");
    sheet.segment("W05", &[Element::Code("F"), number, number]);
    sheet.our_order("N9");
    if !cancel.line_numbers.is_empty() {
        let message =
            "single lines are to be cancelled, which a 940 does not say; stop the order or tell the warehouse";
        sheet.problem("partial-cancellation", message, "line-numbers");
    }
    sheet
}

/// Notes come in lines and pieces: nothing of them is cut.
fn notes(sheet: &mut Sheet, notes: &[String]) {
    let mut pieces = Vec::new();
    for (index, note) in notes.iter().enumerate() {
        for line in note.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let characters: Vec<char> = line.chars().collect();
            let path = format!("notes[{index}]");
            pieces.extend(
                characters.chunks(NOTE_CHARS_MAX).map(|piece| (path.clone(), piece.iter().collect::<String>())),
            );
        }
    }
    if pieces.len() > NOTES_MAX {
        let message = format!("the notes make {} segments; expected at most {NOTES_MAX}", pieces.len());
        return sheet.problem("too-many-notes", &message, "notes");
    }
    for (path, piece) in pieces.iter().filter(|(_, piece)| !piece.trim().is_empty()) {
        sheet.segment("NTE", &[Element::Code("WHI"), value(piece, NOTE_CHARS_MAX, path)]);
    }
}

fn item(sheet: &mut Sheet, line: &OrderLine, index: usize) {
    let at = |field: &str| format!("lines[{index}].{field}");
    let (quantity_at, unit_at, sku_at) = (at("quantity"), at("quantity.unit"), at("sku"));
    let quantity = sheet.quantity(&line.quantity, &quantity_at);
    let buyer_at = at("buyer-sku");
    let assigned = (index + 1).to_string();
    sheet.segment("LX", &[Element::Code(&assigned)]);
    let mut elements = vec![
        Element::Code(&quantity),
        unit(&line.quantity, &unit_at),
        Element::Empty,
        Element::Code("VN"),
        value(&line.sku, ITEM_MAX, &sku_at),
    ];
    if let Some(buyer) = line.buyer_sku.as_deref() {
        elements.extend([Element::Code("BP"), value(buyer, ITEM_MAX, &buyer_at)]);
    }
    sheet.segment("W01", &elements);
    // What the item is called helps whoever picks it, and decides nothing.
    let description = cut(line.description.as_deref().unwrap_or_default(), DESCRIPTION_CHARS_MAX);
    if !description.is_empty() {
        sheet.segment("G69", &[Element::Code(&description)]);
    }
    let number_at = at("number");
    sheet.segment("N9", &[Element::Code("LI"), value(&line.number, REFERENCE_MAX, &number_at)]);
}
