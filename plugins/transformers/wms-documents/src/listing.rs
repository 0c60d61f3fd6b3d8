//! What the warehouse has of each item at each node, out of a page of its list: `inventory.level`. And
//! what left, out of a page of that: `shipment.confirmed`.
//!
//! ```text
//! [{"sku","node","onHand","available","unit","changedAt"?}]
//! [{"orderId","shipmentNumber","node","at","carrier"?,"tracking"?,"lines"}]   lines as in the event
//! ```
//!
//! `onHand` is what lies there, what is set aside for orders with it; `available` is without that.
//! `changedAt` (RFC 3339) is when one of the two changed last: the extension `changed-at`, in
//! milliseconds since 1970, for the contract's level has no time of that. What left changed last when it
//! left (`at`).

use portreeve_guest_json::object;
use portreeve_guest_json::value::{Amount, Canonical, Identifier, Moment, UnitCode};
use portreeve_sdk::transformer::{Event, Extension, Failure, InventoryLevel, Problem};

use crate::event::Left;

/// A page of the stock.
pub(crate) const STOCK: &str = "wms-rest/stock";
/// A page of what left.
pub(crate) const SHIPMENTS: &str = "wms-rest/shipments";

object!(pub(crate) Stocked, "a row of the stock: an object" {
    sku: Identifier,
    node: Identifier,
    on_hand: Amount,
    available: Amount,
    unit: UnitCode,
    changed_at: Option<Moment>,
});

/// The levels of a page.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn levels(body: &[u8]) -> Result<Vec<Event>, Failure> {
    let rows: Vec<Stocked> =
        portreeve_guest_json::read(text(body)?, "stock").map_err(|problem| Failure::invalid(*problem))?;
    Ok(rows.into_iter().map(|row| Event::InventoryLevel(row.canonical())).collect())
}

/// What left by a page.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn shipments(body: &[u8]) -> Result<Vec<Event>, Failure> {
    let rows: Vec<Left> =
        portreeve_guest_json::read(text(body)?, "shipments").map_err(|problem| Failure::invalid(*problem))?;
    let (mut events, mut problems) = (vec![], vec![]);
    for row in rows {
        match row.listed() {
            Ok(shipment) => events.push(Event::ShipmentConfirmed(shipment)),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(events) } else { Err(Failure::Invalid(problems)) }
}

fn text(body: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(body).map_err(|_| {
        Failure::invalid(Problem::new("malformed-document", "found a list that is no text; expected JSON", ""))
    })
}

impl Stocked {
    fn canonical(self) -> InventoryLevel {
        let unit = self.unit.canonical();
        let changed_at = self.changed_at.canonical();
        InventoryLevel {
            sku: self.sku.canonical(),
            node: self.node.canonical(),
            on_hand: self.on_hand.of(&unit),
            available: self.available.of(&unit),
            as_of: None,
            extensions: changed_at
                .into_iter()
                .map(|at| Extension { name: "changed-at".to_owned(), value: at.to_string() })
                .collect(),
        }
    }
}
