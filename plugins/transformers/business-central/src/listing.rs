//! What the ERP has of each item, out of a page of its list: `inventory.level`.
//!
//! ```json
//! [{"number":"1896-S","inventory":12.5,"baseUnitOfMeasureCode":"PCS"}]
//! ```
//!
//! The ERP's number is of all its locations together, so they are one node, `all`. It may be below
//! nothing, where more was shipped than was entered. What of it is still free the API does not
//! say: `available` repeats what is on hand, and the extension `available` says that it is not told.
//! Numbers are read digit by digit, and of a row without its unit nobody knows how much there is: it is
//! told as one that cannot be read.

use portreeve_guest_json::row::{self, ListRow};
use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A page of items.
pub(crate) const ITEMS: &str = "business-central/items";

/// All locations.
const NODE: &str = "all";

/// Bytes of an identifier and of a unit, the contract's limits.
const IDENTIFIER_BYTES_MAX: usize = 256;
const UNIT_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    number: String,
    #[serde(borrow)]
    inventory: &'a RawValue,
    base_unit_of_measure_code: String,
}

/// The levels of a page.
///
/// # Errors
/// Everything that is wrong with rows that cannot be named.
pub(crate) fn levels(body: &[u8]) -> Result<Vec<Event>, Failure> {
    events("items", body, name, |row, path| level(row, path).map(|level| Some(Event::InventoryLevel(level))))
}

/// The events of the rows of a page; a row may be none. One that cannot be read is told by its name.
///
/// # Errors
/// Everything that is wrong with rows that have no name.
pub(crate) fn events(
    of: &str,
    body: &[u8],
    name: impl Fn(&str) -> Option<ListRow>,
    read: impl Fn(&str, &str) -> Result<Option<Event>, Box<Problem>>,
) -> Result<Vec<Event>, Failure> {
    let rows: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the list of {of} cannot be read at line {}, column {}", error.line(), error.column());
        Failure::invalid(Problem::new("malformed-document", message, ""))
    })?;
    row::events(&rows, "value", |row| name(row.get()), |row, path| read(row.get(), path)).map_err(Failure::Invalid)
}

/// What names an item that cannot be read.
fn name(row: &str) -> Option<ListRow> {
    #[derive(Deserialize)]
    struct Named {
        number: String,
    }
    let Named { number } = serde_json::from_str(row).ok()?;
    Some(ListRow { of: "inventory.level", number, node: Some(NODE.to_owned()), ..ListRow::default() })
}

fn level(row: &str, path: &str) -> Result<InventoryLevel, Box<Problem>> {
    let wrong =
        |message: &str, member: &str| Box::new(Problem::new("item-malformed", message, format!("{path}{member}")));
    let item: Item<'_> = serde_json::from_str(row).map_err(|_| {
        wrong("found no item with `number`, `inventory` and `baseUnitOfMeasureCode`; expected all three", "")
    })?;
    let inventory = money::decimal(item.inventory.get()).map_err(|_| {
        wrong(
            "found another value; expected a number in digits, such as `12.5`, of at most 9 decimal places",
            ".inventory",
        )
    })?;
    let names = |text: &str, most| (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
    if !names(&item.number, IDENTIFIER_BYTES_MAX) {
        return Err(wrong("found no item's number; expected a text without control characters", ".number"));
    }
    if !names(&item.base_unit_of_measure_code, UNIT_BYTES_MAX) {
        let message =
            "found no unit; expected the code of the item's base unit, for without one its number says nothing";
        return Err(wrong(message, ".baseUnitOfMeasureCode"));
    }
    let on_hand = Quantity { value: inventory.units, scale: inventory.scale, unit: item.base_unit_of_measure_code };
    Ok(InventoryLevel {
        sku: item.number,
        node: NODE.to_owned(),
        available: on_hand.clone(),
        on_hand,
        as_of: None,
        extensions: vec![Extension { name: "available".to_owned(), value: "not told".to_owned() }],
    })
}
