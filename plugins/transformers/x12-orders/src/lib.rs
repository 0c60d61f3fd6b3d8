//! X12 850 purchase orders and their changes (860) as canonical events.
//!
//! ```text
//! BEG01  00 → order created   05 → order changed   01 → cancel requested
//! BCH01  05 → order changed, where every line is whole   01 → cancel requested
//! header BEG CUR REF PER ITD DTM … N1 loops (BY buyer, BT bill-to, ST ship-to)
//! lines  PO1 loops: quantity, price, item numbers, PID, DTM
//! end    CTT, AMT
//! ```
//!
//! Numbers go from their digits into integers, never through a float. What the
//! canonical order has no field for is kept as an extension under its tag
//! (`x12:FOB` → `DF*EXW`). What would be lost or would change what is delivered,
//! charged or sent where (more than the contract's extensions hold, a price basis
//! that is not known, allowances, a line's own ship-to) makes the document a
//! person's. Every problem of a document is reported, not only the first.
//!
//! `x12:usage` is ISA15 where it is not `P`: a test's order says so itself.
//!
//! Settings: `currency`, the one that is agreed with the partners of the channel: what an order
//! without CUR is in. Without it such an order is refused, since nothing tells whether its prices
//! are dollars. A line with a CUR of its own that says another currency is a person's.

mod change;
mod form;
mod item;
mod order;

use portreeve_sdk::transformer::*;

use crate::form::{CHANGE, ORDER, PurchaseOrder};

const ORDER_KIND: &str = "x12/850";
const CHANGE_KIND: &str = "x12/860";

struct X12Orders;

impl Transformer for X12Orders {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        let currency = setting(&request.settings, "currency");
        let event = match request.kind.as_str() {
            ORDER_KIND => ordered(&PurchaseOrder::read(&request.body, &ORDER)?, currency)?,
            CHANGE_KIND => changed(PurchaseOrder::read(&request.body, &CHANGE)?, currency)?,
            kind => {
                return Err(Failure::permanent(format!("this transformer does not map documents of kind `{kind}`")));
            }
        };
        Ok(vec![event])
    }
}

fn ordered(document: &PurchaseOrder, currency: Option<&str>) -> Result<Event, Failure> {
    match document.purpose() {
        "00" => Ok(Event::OrderCreated(order::read(document, currency)?)),
        "05" => replaced(document, currency),
        "01" => Ok(Event::OrderCancelRequested(cancellation(document)?)),
        _ => {
            let message = "the purpose is not handled; expected 00 (original), 05 (replace) or 01 (cancellation)";
            Err(Failure::invalid(Problem::new("unsupported-purpose", message, "BEG/01")))
        }
    }
}

fn changed(mut document: PurchaseOrder, currency: Option<&str>) -> Result<Event, Failure> {
    match document.purpose() {
        "01" => Ok(Event::OrderCancelRequested(cancellation(&document)?)),
        "05" => {
            change::whole(&mut document)?;
            replaced(&document, currency)
        }
        _ => Err(change::needs_the_order_before()),
    }
}

fn replaced(document: &PurchaseOrder, currency: Option<&str>) -> Result<Event, Failure> {
    let order = order::read(document, currency)?;
    Ok(Event::OrderChanged(OrderChange { order, revision: document.revision() }))
}

fn cancellation(document: &PurchaseOrder) -> Result<CancelRequest, Failure> {
    let order_number = document.order_number()?;
    let release = document.begin().and_then(|begin| begin.filled(4));
    let extensions = release.map(|value| Extension { name: "x12:release".to_owned(), value });
    Ok(CancelRequest {
        order_number,
        reason: Some(format!("{}01 is 01 (cancellation)", document.form.begin)),
        line_numbers: vec![],
        extensions: extensions.into_iter().collect(),
    })
}

portreeve_sdk::transformer!(X12Orders);
