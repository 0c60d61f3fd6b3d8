//! Another item that the warehouse sent in the place of a whole line, as people agreed that it may.
//!
//! ```text
//! PATCH salesOrderLines(ID)   lineObjectNumber, with quantity, unit and unitPrice as they were
//! ```
//!
//! The danger is the price. Whoever gives a line another item gets that item's own price with it, and the
//! customer agreed to that of what he ordered. So one request says both, and the ERP has both or
//! neither: no attempt finds a line whose price it would have to guess. The line keeps its sequence, by which
//! its invoice, its credit memo and what is charged for it are found as those of any other.
//!
//! What is done is what the setting `substitutes` says; without it such a shipment is a person's. So is, in
//! any case, what is not a whole line, as where some of the line left before: two items have no place in one.
//! So is another unit, of which nobody said how many make one, and an order with discounts.
//!
//! Source: page 30044 "APIV2 - Sales Order Lines", which applies `lineObjectNumber` before `unitPrice`, and
//! takes no other item of a line of which some was shipped.

use portreeve_sdk::connector::*;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::change::of_the_order;
use crate::document::{Amount, Document, Line};
use crate::ship::{self, CHANGES_MAX, Lines, Wanted, change_line};

/// The one word of the setting.
const AT_ORDERED_PRICE: &str = "at-ordered-price";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OtherItem<'a> {
    line_object_number: &'a str,
    quantity: Box<RawValue>,
    unit_of_measure_code: &'a str,
    unit_price: Box<RawValue>,
}

/// Puts what left into the place of what was ordered. Says whether there was anything to put.
pub(crate) fn put(order: &Document, lines: &Lines, settings: &[Setting]) -> Result<bool, Failure> {
    if setting(settings, "substitutes") != Some(AT_ORDERED_PRICE) {
        return Ok(false);
    }
    let (mut places, mut problems, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for (sequence, wanted) in lines.iter().filter(|(_, wanted)| wanted.quantity > Amount::ZERO) {
        let line = order.items().find(|line| line.sequence == *sequence);
        match line.filter(|line| wanted.substitutes && line.line_object_number != wanted.item) {
            Some(line) => match unfit(line, wanted)? {
                Some(problem) => problems.push(problem),
                None => places.push((line, wanted)),
            },
            None => others.extend(ship::unfit(line, wanted)?),
        }
    }
    if places.is_empty() && problems.is_empty() {
        // What else does not fit, whoever ships it says.
        return Ok(false);
    }
    // No line gets another item where the shipment cannot be posted after it.
    problems.extend(others);
    if !places.is_empty() {
        problems.extend(of_the_order(order)?);
    }
    if !problems.is_empty() {
        return Err(Failure::Invalid(problems));
    }
    for (line, wanted) in places.iter().take(CHANGES_MAX) {
        let other = OtherItem {
            line_object_number: &wanted.item,
            quantity: wanted.quantity.json()?,
            unit_of_measure_code: &wanted.unit,
            unit_price: Amount::of(line.unit_price.as_deref(), "unitPrice")?.json()?,
        };
        change_line(line, &other, settings)?;
    }
    Ok(!places.is_empty())
}

/// Why an item cannot take the place of the one that was ordered.
fn unfit(line: &Line, wanted: &Wanted) -> Result<Option<Problem>, Failure> {
    let path = format!("lines[{}]", wanted.line_number);
    if line.unit_of_measure_code != wanted.unit {
        let found = &line.unit_of_measure_code;
        let message = format!(
            "the ERP's line is in `{found}`; expected `{}`, in which another item left in its place: post it in the ERP \
             by hand",
            wanted.unit
        );
        return Ok(Some(Problem::new("unit-differs", message, path)));
    }
    let ordered = Amount::of(line.quantity.as_deref(), "quantity")?;
    let shipped = Amount::of(line.shipped_quantity.as_deref(), "shippedQuantity")?;
    if shipped != Amount::ZERO || wanted.quantity != ordered {
        let message = format!(
            "{} of `{}` left in the place of `{}`, of which {} was ordered and {} shipped before; expected all of the \
             line: post it in the ERP by hand",
            wanted.quantity.text(),
            wanted.item,
            line.line_object_number,
            ordered.text(),
            shipped.text()
        );
        return Ok(Some(Problem::new("substitute-in-part", message, path)));
    }
    Ok(None)
}
