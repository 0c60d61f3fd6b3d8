//! 856, the ship notice: shipment, order, items (hierarchical structure 0004).
//!
//! ```text
//! BSN*00*SH-1*20260303*0930*0004~
//! HL*1**S*1~ TD5**2*UPSN~ REF*CN*1Z999~ DTM*011*20260303~ N1*SF**92*DC-EAST~ N1*ST …~
//! HL*2*1*O*1~ PRF*PO-1~ REF*ZZ*PORTREEVE-ORDER*id~
//! HL*3*2*I*0~ LIN*1*VN*PUMP-40~ SN1*1*3*EA**5*EA**BP~ REF*LT*L-77~ REF*SE*S-1~
//! CTT*3~
//! ```
//!
//! BSN03 and BSN04 are meant as the time of the notice. A transformer has no clock, so they are
//! the shipment's, which DTM*011 states as what it is.
//!
//! Packages are not told apart: the event says what left, not in which carton. Customers
//! who want S/O/P/I with an SSCC on each carton need an event that knows it.

use portreeve_guest_x12::clock::Stamp;
use portreeve_guest_x12::set::{Element, value};
use portreeve_sdk::transformer::*;

use crate::sheet::{About, ITEM_MAX, LINE_NUMBER_MAX, ORDER_NUMBER_MAX, REFERENCE_MAX, Sheet, unit};

/// HL segments before the first item.
const LEVELS_ABOVE: usize = 2;

pub(crate) fn of(shipment: &Shipment, about: &About<'_>) -> Sheet {
    let mut sheet = Sheet::open("856", about);
    let number = sheet.customers_number(&shipment.order_number);
    let stamp = shipment.at.map(Stamp::at);
    if stamp.is_none() {
        sheet.problem("shipped-at-missing", "BSN03 and DTM02 are mandatory here; expected when it was shipped", "at");
    }
    let (day, time) = stamp.map_or_else(Default::default, |stamp| (stamp.date(), stamp.time()));
    let shipment_number = Element::Value(&shipment.shipment_number, 2, REFERENCE_MAX, "shipment-number");
    sheet.segment(
        "BSN",
        &[Element::Code("00"), shipment_number, Element::Code(&day), Element::Code(&time), Element::Code("0004")],
    );
    level_of_shipment(&mut sheet, shipment, &day);
    sheet.segment("HL", &[Element::Code("2"), Element::Code("1"), Element::Code("O"), Element::Code("1")]);
    sheet.segment("PRF", &[value(&number, ORDER_NUMBER_MAX, "order-number")]);
    sheet.our_order("REF");
    for (index, line) in sheet.bounded(&shipment.lines).iter().enumerate() {
        item(&mut sheet, line, index);
    }
    let levels = (LEVELS_ABOVE + shipment.lines.len()).to_string();
    sheet.segment("CTT", &[Element::Code(&levels)]);
    sheet
}

fn level_of_shipment(sheet: &mut Sheet, shipment: &Shipment, day: &str) {
    sheet.segment("HL", &[Element::Code("1"), Element::Empty, Element::Code("S"), Element::Code("1")]);
    if let Some(carrier) = shipment.carrier.as_deref() {
        let carrier = Element::Value(carrier, 2, 80, "carrier");
        sheet.segment("TD5", &[Element::Empty, Element::Code("2"), carrier]);
    }
    for (index, tracking) in shipment.tracking.iter().enumerate() {
        let path = format!("tracking[{index}]");
        sheet.segment("REF", &[Element::Code("CN"), value(tracking, REFERENCE_MAX, &path)]);
    }
    // 011: shipped.
    sheet.segment("DTM", &[Element::Code("011"), Element::Code(day)]);
    if let Some(node) = shipment.node.as_deref() {
        let node = Element::Value(node, 2, 80, "node");
        sheet.segment("N1", &[Element::Code("SF"), Element::Empty, Element::Code("92"), node]);
    }
    if let Some(place) = &shipment.ship_to {
        sheet.place("ST", place, "ship-to");
    }
}

fn item(sheet: &mut Sheet, line: &ShipmentLine, index: usize) {
    let at = |field: &str| format!("lines[{index}].{field}");
    let level = (LEVELS_ABOVE + index + 1).to_string();
    sheet.segment("HL", &[Element::Code(&level), Element::Code("2"), Element::Code("I"), Element::Code("0")]);
    let (number_at, sku_at) = (at("line-number"), at("sku"));
    let number = value(&line.line_number, LINE_NUMBER_MAX, &number_at);
    sheet.segment("LIN", &[number, Element::Code("VN"), value(&line.sku, ITEM_MAX, &sku_at)]);

    let (shipped_at, ordered_at) = (at("shipped.unit"), at("ordered.unit"));
    let shipped = sheet.quantity(&line.shipped, &at("shipped"));
    let ordered =
        line.ordered.as_ref().map(|ordered| (sheet.quantity(ordered, &at("ordered")), unit(ordered, &ordered_at)));
    let of_ordered = match &ordered {
        Some((quantity, unit)) => [Element::Code(quantity), *unit],
        None => [Element::Empty, Element::Empty],
    };
    let mut elements = vec![number, Element::Code(&shipped), unit(&line.shipped, &shipped_at), Element::Empty];
    elements.extend(of_ordered);
    elements.extend([Element::Empty, status(line.short)]);
    sheet.segment("SN1", &elements);

    let lot_at = at("lot");
    if let Some(lot) = line.lot.as_deref() {
        sheet.segment("REF", &[Element::Code("LT"), value(lot, REFERENCE_MAX, &lot_at)]);
    }
    for (place, serial) in line.serials.iter().enumerate() {
        let path = format!("lines[{index}].serials[{place}]");
        sheet.segment("REF", &[Element::Code("SE"), value(serial, REFERENCE_MAX, &path)]);
    }
}

/// Element 668, where it has a code for it: accepted and shipped; partial shipment with the
/// balance backordered; substitution. It has none for a balance that does not come.
fn status(short: ShortReason) -> Element<'static> {
    match short {
        ShortReason::None => Element::Code("AC"),
        ShortReason::Backorder => Element::Code("BP"),
        ShortReason::Substitution => Element::Code("IS"),
        ShortReason::NoBackorder | ShortReason::Damaged | ShortReason::Unknown => Element::Empty,
    }
}
