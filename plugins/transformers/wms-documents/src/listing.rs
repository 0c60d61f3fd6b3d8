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
use portreeve_guest_json::row::{self, ListRow};
use portreeve_guest_json::value::{Amount, Canonical, Identifier, Moment, UnitCode};
use portreeve_sdk::transformer::{Event, Extension, Failure, InventoryLevel, Problem};
use serde::Deserialize;
use serde_json::value::RawValue;

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
/// What is wrong with rows that cannot be named.
pub(crate) fn levels(body: &[u8]) -> Result<Vec<Event>, Failure> {
    events(body, "stock", stocked, |row, path| {
        let row: Stocked = portreeve_guest_json::read(row, path)?;
        Ok(Event::InventoryLevel(row.canonical()))
    })
}

/// What left by a page.
///
/// # Errors
/// What is wrong with rows that cannot be named.
pub(crate) fn shipments(body: &[u8]) -> Result<Vec<Event>, Failure> {
    events(body, "shipments", left, |row, path| {
        let row: Left = portreeve_guest_json::read(row, path)?;
        let shipment = row.listed().map_err(|wrong| first(wrong, path))?;
        Ok(Event::ShipmentConfirmed(shipment))
    })
}

/// The events of the rows of a page. One that cannot be read is told by its name.
fn events(
    body: &[u8],
    root: &str,
    name: impl Fn(&str) -> Option<ListRow>,
    read: impl Fn(&str, &str) -> Result<Event, Box<Problem>>,
) -> Result<Vec<Event>, Failure> {
    let rows: Vec<&RawValue> = serde_json::from_str(text(body)?).map_err(|error| {
        let message = format!("the list cannot be read at line {}, column {}", error.line(), error.column());
        Failure::invalid(Problem::new("malformed-document", message, root))
    })?;
    let read = |row: &RawValue, path: &str| read(row.get(), path).map(Some);
    row::events(&rows, root, |row| name(row.get()), read).map_err(Failure::Invalid)
}

/// What names a row of the stock that cannot be read.
fn stocked(row: &str) -> Option<ListRow> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        sku: String,
        node: String,
        #[serde(borrow)]
        changed_at: Option<&'a RawValue>,
    }
    let Named { sku, node, changed_at } = serde_json::from_str(row).ok()?;
    let changed_at = row::changed_at(changed_at);
    Some(ListRow { of: "inventory.level", number: sku, node: Some(node), changed_at, ..ListRow::default() })
}

/// What names a shipment that cannot be read.
fn left(row: &str) -> Option<ListRow> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        order_id: String,
        shipment_number: String,
        #[serde(borrow)]
        at: Option<&'a RawValue>,
    }
    let Named { order_id, shipment_number, at } = serde_json::from_str(row).ok()?;
    let changed_at = row::changed_at(at);
    Some(ListRow {
        of: "shipment.confirmed",
        number: shipment_number,
        order: Some(order_id),
        changed_at,
        ..ListRow::default()
    })
}

/// The first of what is wrong with a row, with its place in the list.
fn first(wrong: Vec<Problem>, path: &str) -> Box<Problem> {
    let first = wrong.into_iter().next();
    let mut problem =
        first.unwrap_or_else(|| Problem::new("malformed-document", "found a row that cannot be read", ""));
    problem.position.path = format!("{path}.{}", problem.position.path);
    Box::new(problem)
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
