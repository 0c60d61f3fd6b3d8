//! A sales order becomes the one that people agreed on.
//!
//! ```text
//! GET    salesOrders?$filter=…&$expand=salesOrderLines   which lines, what was shipped of them, ETags
//! PATCH  salesOrderLines(ID)               quantity and unitPrice, where they are others
//! POST   salesOrders(ID)/salesOrderLines   a line more
//! DELETE salesOrderLines(ID)               a line less; one of another item is deleted and made anew
//! GET    salesOrders…                      is all of it so?
//! ```
//!
//! The message says what is to be, so what is so already is done, and whoever sends again after a lost
//! answer changes nothing twice. `find` knows no quantities, and so of no change whether it happened: it
//! says no, and the delivery looks. Each change names the ETag
//! of the line that was looked at; where somebody changed it since, it is looked at again, later.
//!
//! ```text
//! the line in the ERP                     what is done
//! another quantity or price               PATCH; of one that was shipped in part the price has to stay
//! wanted, and not there                   POST with the order's own number
//! not wanted, nothing of it was shipped   DELETE
//! not wanted, some of it was shipped      PATCH: as much as was shipped
//! ```
//!
//! The ERP takes one line at a time, and may refuse the third, as a line of an item that it has blocked: whoever
//! hears of that hears how many were changed before.
//!
//! Before anything is changed all of it has to fit: a person gets less than was shipped, another item or
//! price of what was shipped in part, and an order with discounts, since what becomes of those nobody
//! said. A line of which all was shipped, as many and at the price that are wanted, is left as it is whatever its
//! item: another one took its place (`substitute`), which a change of other lines does not ask about. Freight and whatever else is no item stays as it is. An order that is gone, or that a clerk
//! released so that the ERP refuses changes, is a person's as well.
//!
//! Sources: pages 30028 "APIV2 - Sales Orders" and 30044 "APIV2 - Sales Order Lines"; resource type
//! salesOrderLine.

use std::collections::BTreeMap;

use portreeve_sdk::connector::*;
use portreeve_sdk::failure::RETRY_MS;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::document::{Amount, Document, Documents, Line, one_order};
use crate::posted::posted;
use crate::ship::{CHANGES_MAX, add_line, change_line, delete_line};

/// The kind of message.
pub(crate) const KIND: &str = "business-central/change";

/// How often one call changes lines and looks again: a line of another item is deleted, and when that is
/// seen it is made anew.
const ROUNDS: usize = 2;

/// Lines that are changed each time: with the looks they stay below the requests that a call may send.
const LINES_MAX: usize = CHANGES_MAX / ROUNDS;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agreed {
    sales_order_lines: Vec<AgreedLine>,
}

/// A line as it is to be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgreedLine {
    line_number: String,
    sequence: u32,
    line_object_number: String,
    quantity: Box<RawValue>,
    unit_price: Box<RawValue>,
    unit_of_measure_code: String,
}

struct Wanted {
    line: AgreedLine,
    quantity: Amount,
    price: Amount,
}

/// What is to be ordered, by the sequence of its line; nothing of it is nothing.
type Lines = BTreeMap<u32, Wanted>;

/// What makes the ERP's order the one that is wanted.
enum Change<'a> {
    To(&'a Line, NewNumbers),
    Add(&'a Wanted),
    Delete(&'a Line),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewNumbers {
    quantity: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewLine<'a> {
    line_type: &'static str,
    sequence: u32,
    line_object_number: &'a str,
    quantity: &'a RawValue,
    unit_price: &'a RawValue,
    unit_of_measure_code: &'a str,
}

/// Changes what is not so yet.
pub(crate) fn deliver(delivery: &Delivery) -> Result<Receipt, Failure> {
    let (key, settings) = (delivery.natural_key.as_str(), delivery.settings.as_slice());
    let wanted = read(&delivery.message.body)?;
    let mut made = 0_usize;
    // Whatever became of an answer, and whoever else was at it: what counts is what is there.
    for _ in 0..ROUNDS {
        let order = order(key, settings)?;
        let changes = changes(&order, &wanted).map_err(|failure| after(failure, made))?;
        if changes.is_empty() {
            return Ok(order.receipt());
        }
        for change in changes.iter().take(LINES_MAX) {
            change.make(&order, settings).map_err(|failure| after(failure, made))?;
            made = made.saturating_add(1);
        }
    }
    let order = order(key, settings)?;
    if changes(&order, &wanted)?.is_empty() { Ok(order.receipt()) } else { Err(Failure::Retry(RETRY_MS)) }
}

/// What a person hears of a change that came only so far.
fn after(failure: Failure, made: usize) -> Failure {
    if made == 0 {
        return failure;
    }
    let told = |why: &str| format!("{made} change(s) of its lines were made before, so look at the sales order: {why}");
    match failure {
        Failure::Invalid(problems) => {
            let problem = |Problem { code, message, position }| Problem::new(code, told(&message), position.path);
            Failure::Invalid(problems.into_iter().map(problem).collect())
        }
        Failure::Permanent(why) => Failure::permanent(told(&why)),
        other => other,
    }
}

fn read(body: &[u8]) -> Result<Lines, Failure> {
    let foreign =
        || Failure::permanent("the message is no changed order as the transformer `business-central` renders it");
    let agreed: Agreed = serde_json::from_slice(body).map_err(|_| foreign())?;
    let mut lines = Lines::new();
    for line in agreed.sales_order_lines {
        let quantity = Amount::read(line.quantity.get()).filter(|quantity| *quantity >= Amount::ZERO);
        let (quantity, price) =
            (quantity.ok_or_else(foreign)?, Amount::read(line.unit_price.get()).ok_or_else(foreign)?);
        if lines.insert(line.sequence, Wanted { line, quantity, price }).is_some() {
            return Err(foreign());
        }
    }
    Ok(lines)
}

fn order(natural_key: &str, settings: &[Setting]) -> Result<Document, Failure> {
    if let Some(order) = one_order(Documents::Orders.of(natural_key, settings)?)? {
        return Ok(order);
    }
    Err(Failure::permanent(match posted(natural_key, settings)? {
        Some(posted) => format!(
            "sales-order-gone: the ERP has {} of it and no sales order any more; expected one to be changed: see what \
             was invoiced, and credit or enter the difference there",
            posted.name
        ),
        None => {
            "sales-order-gone: the ERP has no sales order of it and nothing that was posted; see what became of it \
                 there"
                .to_owned()
        }
    }))
}

/// What is still to be changed, or everything that does not fit.
fn changes<'a>(order: &'a Document, wanted: &'a Lines) -> Result<Vec<Change<'a>>, Failure> {
    let (mut changes, mut problems) = (Vec::new(), Vec::new());
    let wanted_of = |sequence: u32| wanted.get(&sequence).filter(|wanted| wanted.quantity > Amount::ZERO);
    for line in order.items() {
        let shipped = Amount::of(line.shipped_quantity.as_deref(), "shippedQuantity")?;
        match wanted_of(line.sequence) {
            None => changes.extend(without(line, shipped)?),
            Some(wanted) if is_of_same(line, wanted) => changes.extend(to(line, wanted, shipped, &mut problems)?),
            Some(_) if shipped == Amount::ZERO => changes.push(Change::Delete(line)),
            Some(wanted) if is_shipped_so(line, wanted, shipped)? => {}
            Some(wanted) => problems.push(other_item(line, wanted, shipped)),
        }
    }
    let is_there = |sequence: u32| order.items().any(|line| line.sequence == sequence);
    let new = wanted.values().filter(|wanted| wanted.quantity > Amount::ZERO && !is_there(wanted.line.sequence));
    changes.extend(new.map(Change::Add));
    // What goes does so last: an order that has no line left may be gone.
    changes.sort_by_key(|change| matches!(change, Change::Delete(_)));
    if !changes.is_empty() {
        problems.extend(of_the_order(order)?);
    }
    if problems.is_empty() { Ok(changes) } else { Err(Failure::Invalid(problems)) }
}

/// What of the order as a whole keeps its lines from being changed.
pub(crate) fn of_the_order(order: &Document) -> Result<Option<Problem>, Failure> {
    if !order.is_numbered() {
        let message = "the lines of the ERP's sales order do not have the order's numbers; expected a sales order as \
                       the host makes it: change it in the ERP by hand";
        return Ok(Some(Problem::new("lines-not-numbered", message, "")));
    }
    if order.discount()? != Amount::ZERO || !order.has_no_line_discount()? {
        let message = "the ERP's sales order has a discount, and nobody said what becomes of it; expected none: change \
                       the order in the ERP by hand";
        return Ok(Some(Problem::new("discount-on-order", message, "")));
    }
    Ok(None)
}

/// What becomes of a line that is not wanted any more.
fn without(line: &Line, shipped: Amount) -> Result<Option<Change<'_>>, Failure> {
    if shipped == Amount::ZERO {
        return Ok(Some(Change::Delete(line)));
    }
    let is_so = Amount::of(line.quantity.as_deref(), "quantity")? == shipped;
    let numbers = NewNumbers { quantity: shipped.json()?, unit_price: None };
    Ok((!is_so).then_some(Change::To(line, numbers)))
}

/// What makes a line the one that is wanted; none where it is that already, or cannot be.
fn to<'a>(
    line: &'a Line,
    wanted: &Wanted,
    shipped: Amount,
    problems: &mut Vec<Problem>,
) -> Result<Option<Change<'a>>, Failure> {
    let path = format!("lines[{}]", wanted.line.line_number);
    let is = Amount::of(line.quantity.as_deref(), "quantity")?;
    let is_priced = Amount::of(line.unit_price.as_deref(), "unitPrice")?;
    if wanted.quantity < shipped {
        let (found, shipped) = (wanted.quantity.text(), shipped.text());
        let message = format!("found a change to {found}; expected at least {shipped}, which the ERP has shipped");
        problems.push(Problem::new("less-than-shipped", message, path));
        return Ok(None);
    }
    if is_priced != wanted.price && shipped > Amount::ZERO {
        let (found, before, shipped) = (wanted.price.text(), is_priced.text(), shipped.text());
        let message = format!(
            "found a change to the price {found}; expected {before}, at which {shipped} was invoiced: change it in the \
             ERP by hand"
        );
        problems.push(Problem::new("price-of-shipped", message, path));
        return Ok(None);
    }
    if (is, is_priced) == (wanted.quantity, wanted.price) {
        return Ok(None);
    }
    let unit_price = if is_priced == wanted.price { None } else { Some(wanted.price.json()?) };
    Ok(Some(Change::To(line, NewNumbers { quantity: wanted.quantity.json()?, unit_price })))
}

fn is_of_same(line: &Line, wanted: &Wanted) -> bool {
    line.line_object_number == wanted.line.line_object_number
        && line.unit_of_measure_code == wanted.line.unit_of_measure_code
}

/// Whether all of a line was shipped, as much of it and at the price that are wanted.
fn is_shipped_so(line: &Line, wanted: &Wanted, shipped: Amount) -> Result<bool, Failure> {
    let is = Amount::of(line.quantity.as_deref(), "quantity")?;
    let is_priced = Amount::of(line.unit_price.as_deref(), "unitPrice")?;
    let is_in_unit = line.unit_of_measure_code == wanted.line.unit_of_measure_code;
    Ok(shipped == is && (is, is_priced) == (wanted.quantity, wanted.price) && is_in_unit)
}

fn other_item(line: &Line, wanted: &Wanted, shipped: Amount) -> Problem {
    let message = format!(
        "found a change to item `{}` in `{}`; expected item `{}` in `{}`, of which the ERP has shipped {}: change it in \
         the ERP by hand",
        wanted.line.line_object_number,
        wanted.line.unit_of_measure_code,
        line.line_object_number,
        line.unit_of_measure_code,
        shipped.text()
    );
    Problem::new("item-differs", message, format!("lines[{}]", wanted.line.line_number))
}

impl Change<'_> {
    fn make(&self, order: &Document, settings: &[Setting]) -> Result<(), Failure> {
        match self {
            Self::To(line, numbers) => change_line(line, numbers, settings),
            Self::Add(wanted) => wanted.add(order, settings),
            Self::Delete(line) => delete_line(line, settings),
        }
    }
}

impl Wanted {
    fn add(&self, order: &Document, settings: &[Setting]) -> Result<(), Failure> {
        let AgreedLine { sequence, line_object_number, quantity, unit_price, unit_of_measure_code, .. } = &self.line;
        let line = NewLine {
            line_type: "Item",
            sequence: *sequence,
            line_object_number,
            quantity,
            unit_price,
            unit_of_measure_code,
        };
        add_line(order, &line, "a new line", settings)
    }
}
