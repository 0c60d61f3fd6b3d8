//! Taking the rest off a sales order that was shipped and invoiced in part: no more of it leaves.
//!
//! ```text
//! GET    salesOrders?$filter=…&$expand=salesOrderLines   what was shipped of each line, ETags
//! PATCH  salesOrderLines(ID)   quantity: what was shipped of it
//! DELETE salesOrderLines(ID)   a line of which nothing was
//! GET    salesOrders…          is nothing outstanding any more?
//! ```
//!
//! Deleting the order would do it in one request, and nobody could tell afterwards whether that
//! happened or a clerk posted the rest: in both cases there is an invoice and no order. An order
//! of which nothing is outstanding says it itself. It stays in the ERP, which has a batch job of
//! its own for invoiced orders. Whatever becomes of an answer, the order is read again.
//!
//! Lines that are no items stay as they are: they went with the first invoice, see `ship`. An order
//! that is gone, or of which nothing was shipped, is another one than this is about: a person's.

use portreeve_sdk::connector::*;
use portreeve_sdk::failure::RETRY_MS;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::document::{Amount, Document, Documents, Line, one_order};
use crate::posted::posted;
use crate::ship::{CHANGES_MAX, change_line, delete_line};

/// The kind of message.
pub(crate) const KIND: &str = "business-central/close";

#[derive(Serialize)]
struct Shipped {
    quantity: Box<RawValue>,
}

/// Takes the rest off.
pub(crate) fn deliver(delivery: &Delivery) -> Result<Receipt, Failure> {
    let (key, settings) = (delivery.natural_key.as_str(), delivery.settings.as_slice());
    let order = order(key, settings)?;
    let open = outstanding(&order)?;
    if open.is_empty() {
        return Ok(order.receipt());
    }
    for (line, shipped) in open.iter().take(CHANGES_MAX) {
        if *shipped == Amount::ZERO {
            delete_line(line, settings)?;
        } else {
            change_line(line, &Shipped { quantity: shipped.json()? }, settings)?;
        }
    }
    let order = self::order(key, settings)?;
    if outstanding(&order)?.is_empty() { Ok(order.receipt()) } else { Err(Failure::Retry(RETRY_MS)) }
}

/// Whether nothing is outstanding.
pub(crate) fn find(query: &FindQuery) -> Result<Option<Receipt>, Failure> {
    let order = order(&query.natural_key, &query.settings)?;
    Ok(outstanding(&order)?.is_empty().then(|| order.receipt()))
}

fn order(natural_key: &str, settings: &[Setting]) -> Result<Document, Failure> {
    if let Some(order) = one_order(Documents::Orders.of(natural_key, settings)?)? {
        return Ok(order);
    }
    Err(Failure::permanent(match posted(natural_key, settings)? {
        Some(posted) => format!(
            "sales-order-gone: the ERP has {} of it and no sales order any more; expected one with what was not \
             shipped: see whether more was invoiced than left, and credit that there",
            posted.name
        ),
        None => {
            "sales-order-gone: the ERP has no sales order of it and nothing that was posted; see what became of it \
                 there"
                .to_owned()
        }
    }))
}

/// Lines of which something is outstanding, each with what was shipped of it.
fn outstanding(order: &Document) -> Result<Vec<(&Line, Amount)>, Failure> {
    let (mut open, mut is_shipped) = (Vec::new(), false);
    for line in order.items() {
        let shipped = Amount::of(line.shipped_quantity.as_deref(), "shippedQuantity")?;
        is_shipped |= shipped > Amount::ZERO;
        if Amount::of(line.quantity.as_deref(), "quantity")? > shipped {
            open.push((line, shipped));
        }
    }
    if is_shipped {
        return Ok(open);
    }
    Err(Failure::permanent(
        "nothing-shipped: the ERP has shipped nothing of the sales order; expected a part of it, of one of which nothing \
         left all is cancelled: `business-central/cancel`",
    ))
}
