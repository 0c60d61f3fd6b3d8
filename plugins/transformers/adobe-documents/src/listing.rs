//! What the shop has of each item at each source, out of a page of its list: `inventory.level`.
//!
//! ```json
//! [{"sku":"FST-1007","source_code":"DC-EAST","quantity":"4980.0000","status":1}]
//! ```
//!
//! The shop has one quantity, which is what it was told: on hand or available, by the setting `stock`. It
//! stands in both places of the level, so a comparison of what is on hand is one with a shop that is told
//! what is on hand. The unit is that in which the shop sells the item, as where it is told a level.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use portreeve_guest_json::row::{self, ListRow};
use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A page of the shop's source items.
pub(crate) const SOURCE_ITEMS: &str = "adobe/source-items";

#[derive(Deserialize)]
struct SourceItem<'a> {
    sku: String,
    source_code: String,
    #[serde(borrow)]
    quantity: &'a RawValue,
}

/// What names a row, whatever is wrong with the rest.
#[derive(Deserialize)]
struct Named {
    sku: String,
    source_code: String,
}

/// The levels of a page.
///
/// # Errors
/// What is wrong with rows that cannot be named, and look-ups that fail.
pub(crate) fn levels(body: &[u8], settings: &[Setting]) -> Result<Vec<Event>, Failure> {
    let rows: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the list cannot be read at line {}, column {}", error.line(), error.column());
        Failure::invalid(Problem::new("malformed-document", message, "items"))
    })?;
    let nodes = Nodes::of(settings)?;
    let mut units: BTreeMap<String, Option<String>> = BTreeMap::new();
    for Named { sku, .. } in rows.iter().filter_map(|row| named(row)) {
        if let Entry::Vacant(of_item) = units.entry(sku) {
            let row = lookup("item", of_item.key())?;
            let unit = row.as_ref().and_then(|row| row.text("unit")).or_else(|| setting(settings, "unit"));
            of_item.insert(unit.map(str::to_owned));
        }
    }
    let name = |row: &RawValue| {
        let Named { sku, source_code } = named(row)?;
        let node = nodes.of_source(&source_code).unwrap_or(&source_code).to_owned();
        Some(ListRow { of: "inventory.level", number: sku, node: Some(node), ..ListRow::default() })
    };
    row::events(&rows, "items", name, |row, path| level(row, path, &units, &nodes).map(Some)).map_err(Failure::Invalid)
}

fn named(row: &RawValue) -> Option<Named> {
    serde_json::from_str(row.get()).ok()
}

fn level(
    row: &RawValue,
    path: &str,
    units: &BTreeMap<String, Option<String>>,
    nodes: &Nodes<'_>,
) -> Result<Event, Box<Problem>> {
    let at = |member: &str| format!("{path}.{member}");
    let item: SourceItem<'_> = serde_json::from_str(row.get()).map_err(|_| {
        let message = "found a row without `sku`, `source_code` or `quantity`; expected all of them";
        Box::new(Problem::new("malformed-row", message, path))
    })?;
    let Some(unit) = units.get(&item.sku).and_then(Option::as_deref) else {
        let message = "found an item of which nobody says in which unit the shop sells it; expected it in the table \
                       `item`, or the setting `unit`";
        return Err(Box::new(Problem::new("unit-unknown", message, at("sku"))));
    };
    let Some(node) = nodes.of_source(&item.source_code) else {
        let message = "found a source that `sources` does not name; expected the node of each source";
        return Err(Box::new(Problem::new("source-unknown", message, at("source_code"))));
    };
    // The shop writes numbers as numbers or as texts; their digits are the same.
    let Ok(decimal) = money::decimal(item.quantity.get().trim_matches('"')) else {
        let message = "found a quantity that is no number; expected one in digits, such as `4980.0000`";
        return Err(Box::new(Problem::new("quantity-malformed", message, at("quantity"))));
    };
    let quantity = Quantity { value: decimal.units, scale: decimal.scale, unit: unit.to_owned() };
    Ok(Event::InventoryLevel(InventoryLevel {
        sku: item.sku,
        node: node.to_owned(),
        on_hand: quantity.clone(),
        available: quantity,
        as_of: None,
        extensions: vec![],
    }))
}

/// Nodes by the shop's sources.
struct Nodes<'a>(Option<Vec<(&'a str, &'a str)>>);

impl<'a> Nodes<'a> {
    fn of(settings: &'a [Setting]) -> Result<Self, Failure> {
        Ok(Self(crate::stock::sources(settings)?))
    }

    /// The node of a source; what nothing is said of is called alike in both.
    fn of_source<'b>(&'b self, source: &'b str) -> Option<&'b str> {
        let Some(pairs) = &self.0 else { return Some(source) };
        pairs.iter().find(|(_, of)| *of == source).map(|(node, _)| *node)
    }
}
