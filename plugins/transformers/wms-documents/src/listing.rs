//! What the warehouse has of each item at each node, out of a page of its list: `inventory.level`.
//!
//! ```text
//! [{"sku","node","onHand","available","unit","changedAt"?}]
//! ```
//!
//! `onHand` is what lies there, what is set aside for orders with it; `available` is without that.
//! `changedAt` (RFC 3339) is when one of the two changed last: the extension `changed-at`, in
//! milliseconds since 1970, for the contract's level has no time of that.

use portreeve_guest_json::object;
use portreeve_guest_json::value::{Amount, Canonical, Identifier, Moment, UnitCode};
use portreeve_sdk::transformer::{Event, Extension, Failure, InventoryLevel, Problem};

/// A page of the stock.
pub(crate) const STOCK: &str = "wms-rest/stock";

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
    let text = std::str::from_utf8(body).map_err(|_| {
        Failure::invalid(Problem::new("malformed-document", "found a list that is no text; expected JSON", ""))
    })?;
    let rows: Vec<Stocked> = portreeve_guest_json::read(text, "stock").map_err(|problem| Failure::invalid(*problem))?;
    Ok(rows.into_iter().map(|row| Event::InventoryLevel(row.canonical())).collect())
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
