//! Returns, GET `V1/returns/{id}`: what a customer asked to send back of an order.
//!
//! How far the shop is with a return (`pending`, `authorized`, `received`, …) is no other request, so
//! it is no part of the event: what the shop says of one return at each step is one event, and whoever
//! asks for other goods, or of what is left where the shop denied an item, asks for something else,
//! which people hear. Of a return that the shop denied or closed as a whole nothing comes, and
//! somebody may be waiting for it: that is a person's.
//!
//! A line is the order's by `order_item_id`, which is the number that the order's line has. The API
//! names no item there; the webhook's fields do (`product_sku`), and whoever fetches returns adds it
//! from the order. It says the unit, as of an order: Commerce names none. A part of a bundle is no
//! line of the order, which the host says.
//!
//! Notes, addresses and whose the return is are left out: the order has them.

use portreeve_sdk::transformer::*;
use serde::Deserialize;

use crate::order::{extension, instant, text};
use crate::source::Field;

pub(crate) const KIND: &str = "adobe/return";

/// Statuses of a return, as a whole, of which nothing comes.
const OVER: [&str; 2] = ["denied", "closed"];

/// The status of an item that is not to come.
const DENIED: &str = "denied";

#[derive(Default, Deserialize)]
#[serde(default)]
struct SourceReturn<'a> {
    #[serde(borrow)]
    increment_id: Field<'a>,
    order_increment_id: Field<'a>,
    date_requested: Field<'a>,
    status: Field<'a>,
    items: Option<Vec<SourceReturned<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SourceReturned<'a> {
    #[serde(borrow)]
    order_item_id: Field<'a>,
    product_sku: Field<'a>,
    qty_requested: Field<'a>,
    reason: Field<'a>,
    condition: Field<'a>,
    resolution: Field<'a>,
    status: Field<'a>,
}

/// Reads a return.
///
/// # Errors
/// `invalid` with every problem that was found.
pub(crate) fn event(request: &MappingRequest) -> Result<Event, Failure> {
    let source: SourceReturn<'_> = serde_json::from_slice(&request.body).map_err(|error| {
        let message = format!(
            "the return cannot be read at line {}, column {}; expected one of Commerce's `V1/returns`",
            error.line(),
            error.column()
        );
        Failure::invalid(Problem::new("malformed-document", message, ""))
    })?;
    if let Some(status) = text(source.status).filter(|status| OVER.contains(&status.as_str())) {
        return Err(over(&format!("a return that is `{status}` in the shop"), "status"));
    }
    let mut reader = Reader::default();
    let return_number = reader.required(source.increment_id, "increment_id", "the return's number");
    let order_number = reader.required(source.order_increment_id, "order_increment_id", "the number of its order");
    let at = reader.instant(source.date_requested, "date_requested");
    let items = source.items.unwrap_or_default();
    let comes = items.iter().enumerate().filter(|(_, item)| text(item.status).as_deref() != Some(DENIED));
    let (mut lines, mut denied) = (Vec::new(), !items.is_empty());
    for (index, item) in comes {
        denied = false;
        lines.extend(reader.line(item, index, setting(&request.settings, "unit"))?);
    }
    if denied {
        return Err(over("a return whose items are all `denied` in the shop", "items"));
    }
    if items.is_empty() {
        reader.problem("lines-missing", "found a return without `items`; expected one at least", "items");
    }
    match (return_number, order_number, reader.problems.is_empty()) {
        (Some(return_number), Some(order_number), true) => Ok(Event::ReturnRequested(GoodsReturn {
            return_number,
            order_number,
            lines,
            at,
            extensions: reader.extensions,
        })),
        _ => Err(Failure::Invalid(reader.problems)),
    }
}

/// Nothing comes of it, and whoever was told of it does not know that.
fn over(found: &str, path: &str) -> Failure {
    let message = format!(
        "found {found}; expected one of which goods come: see whether the warehouse waits for them, and tell it"
    );
    Failure::invalid(Problem::new("return-over", message, path))
}

/// Reads fields and collects what is wrong with them.
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    extensions: Vec<Extension>,
}

impl Reader {
    fn problem(&mut self, code: &str, message: impl Into<String>, path: &str) {
        self.problems.push(Problem::new(code, message, path));
    }

    fn required(&mut self, field: Field<'_>, path: &str, expected: &str) -> Option<String> {
        let found = text(field);
        if found.is_none() {
            self.problem("field-missing", format!("found no `{path}`; expected {expected}"), path);
        }
        found
    }

    /// `2026-03-10 09:15:00`, UTC as Commerce stores it.
    fn instant(&mut self, field: Field<'_>, path: &str) -> Option<InstantMs> {
        let written = text(field)?;
        let read = instant(&written);
        if read.is_none() {
            let message = format!("found another `{path}`; expected a time such as 2026-03-10 09:15:00");
            self.problem("bad-time", message, path);
        }
        read
    }

    fn line(
        &mut self,
        item: &SourceReturned<'_>,
        index: usize,
        unit_set: Option<&str>,
    ) -> Result<Option<ReturnLine>, Failure> {
        let path = |field: &str| format!("items[{index}].{field}");
        let number = self.required(item.order_item_id, &path("order_item_id"), "the `item_id` of the order's item");
        let sku = self.required(
            item.product_sku,
            &path("product_sku"),
            "what the item is: add it to the fields of the webhook, or have returns fetched",
        );
        let written = self.required(item.qty_requested, &path("qty_requested"), "how much of it is to come back");
        let (Some(number), Some(sku), Some(written)) = (number, sku, written) else { return Ok(None) };
        let row = lookup("item", &sku)?;
        let Some(unit) = row.as_ref().and_then(|row| row.text("unit")).or(unit_set) else {
            let message = "found no unit that the item is sold in; expected it in the table `item`, or in the setting \
                           `unit` of the channel";
            self.problem("unit-missing", message, &path("product_sku"));
            return Ok(None);
        };
        let quantity = match money::quantity(&written, unit) {
            Ok(quantity) if quantity.value > 0 => quantity,
            Ok(_) => {
                let message = format!("found {written}; expected more than 0");
                self.problem("quantity-not-positive", message, &path("qty_requested"));
                return Ok(None);
            }
            Err(error) => {
                let message =
                    format!("found what is no quantity ({error}); expected a decimal number such as 2 or 1.5");
                self.problem("bad-number", message, &path("qty_requested"));
                return Ok(None);
            }
        };
        if let Some(resolution) = text(item.resolution) {
            self.extensions.push(extension(&path("resolution"), resolution));
        }
        let (reason, condition) = (text(item.reason), text(item.condition));
        Ok(Some(ReturnLine { line_number: Some(number), sku, quantity, reason, condition }))
    }
}
