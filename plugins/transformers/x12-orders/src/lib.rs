//! X12 850 purchase orders as canonical events.
//!
//! ```text
//! BEG01  00 → order created   05 → order changed   01 → cancel requested
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
//! Settings: `currency`, where CUR is missing; `USD` without it.

mod item;
mod order;
mod segments;

use portreeve_sdk::transformer::*;

use crate::segments::PurchaseOrder;

const KIND: &str = "x12/850";
const CURRENCY_DEFAULT: &str = "USD";

struct X12Orders;

impl Transformer for X12Orders {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind != KIND {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        let document = PurchaseOrder::read(&request.body)?;
        let currency = setting(&request.settings, "currency").unwrap_or(CURRENCY_DEFAULT);
        match document.purpose() {
            "00" => Ok(vec![Event::OrderCreated(order::read(&document, currency)?)]),
            "05" => {
                let order = order::read(&document, currency)?;
                Ok(vec![Event::OrderChanged(OrderChange { order, revision: document.revision() })])
            }
            "01" => Ok(vec![Event::OrderCancelRequested(cancellation(&document)?)]),
            _ => {
                let message = "the purpose is not handled; expected 00 (original), 05 (replace) or 01 (cancellation)";
                Err(Failure::invalid(Problem::new("unsupported-purpose", message, "BEG/01")))
            }
        }
    }
}

fn cancellation(document: &PurchaseOrder) -> Result<CancelRequest, Failure> {
    let order_number = document.order_number()?;
    let release = document.begin().map(|begin| begin.element(4)).filter(|release| !release.is_empty());
    let extensions = release.map(|release| Extension { name: "x12:release".to_owned(), value: release.to_owned() });
    Ok(CancelRequest {
        order_number,
        reason: Some("BEG01 is 01 (cancellation)".to_owned()),
        line_numbers: vec![],
        extensions: extensions.into_iter().collect(),
    })
}

portreeve_sdk::transformer!(X12Orders);
