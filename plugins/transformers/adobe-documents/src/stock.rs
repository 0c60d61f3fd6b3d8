//! How much there is of an item: the request that sets it at its source (REST reference, "Manage
//! source items").
//!
//! ```json
//! {"request":{"sourceItems":[{"sku":"FST-1007","source_code":"DC-EAST","quantity":4980,"status":1}]}}
//! ```

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::{QUANTITY_PLACES_MAX, is_finer, stopped, written};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceItems<'a> {
    source_items: [SourceItem<'a>; 1],
}

#[derive(Serialize)]
struct SourceItem<'a> {
    sku: &'a str,
    source_code: &'a str,
    quantity: Box<RawValue>,
    status: u8,
}

/// How much there is of an item, which the shop counts in `unit`.
///
/// # Errors
/// Everything that the shop would have to guess.
pub(crate) fn level(level: &InventoryLevel, unit: Option<&str>, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    let (quantity, path) = match setting(settings, "stock") {
        None | Some("available") => (&level.available, "available"),
        Some("on-hand") => (&level.on_hand, "on-hand"),
        Some(_) => return Err(Failure::permanent("setting `stock` is neither `available` nor `on-hand`")),
    };
    let mut problems = vec![];
    match unit.or_else(|| setting(settings, "unit")) {
        Some(unit) if unit == quantity.unit => {}
        Some(unit) => {
            let found = format!("found a level in `{}`; expected `{unit}`", quantity.unit);
            let message = format!("{found}, in which the shop sells the item: nothing is converted");
            problems.push(Problem::new("other-unit", message, format!("{path}.unit")));
        }
        None => {
            let message = "found an item of which nobody says in which unit the shop sells it; expected it in the \
                           table `item`, or the setting `unit`";
            problems.push(Problem::new("unit-unknown", message, "sku"));
        }
    }
    if quantity.value < 0 {
        let message = "found a level below nothing; expected nothing or more, the shop cannot sell what is missing";
        problems.push(Problem::new("level-negative", message, path));
    }
    if is_finer(quantity) {
        let message = format!(
            "found a quantity of more than {QUANTITY_PLACES_MAX} places; expected one that the shop does not round"
        );
        problems.push(Problem::new("quantity-too-fine", message, path));
    }
    let source_code = source(&level.node, settings)?;
    if source_code.is_none() {
        let message = "found a node that `sources` does not name; expected the shop's source of each node";
        problems.push(Problem::new("source-unknown", message, "node"));
    }
    stopped(problems)?;
    let digits = RawValue::from_string(money::to_text(quantity.value, quantity.scale));
    let quantity_digits = digits.map_err(|error| Failure::permanent(error.to_string()))?;
    let item = SourceItem {
        sku: &level.sku,
        source_code: source_code.unwrap_or_default(),
        quantity: quantity_digits,
        status: u8::from(quantity.value > 0),
    };
    written(None, SourceItems { source_items: [item] }, None)
}

/// The shop's source of a node.
fn source<'a>(node: &'a str, settings: &'a [Setting]) -> Result<Option<&'a str>, Failure> {
    let Some(sources) = sources(settings)? else { return Ok(Some(node)) };
    Ok(sources.into_iter().rev().find(|(of, _)| *of == node).map(|(_, source)| source))
}

/// Nodes and their sources, where the setting `sources` names any.
///
/// # Errors
/// When it has something else.
pub(crate) fn sources(settings: &[Setting]) -> Result<Option<Vec<(&str, &str)>>, Failure> {
    let Some(sources) = setting(settings, "sources") else { return Ok(None) };
    let pairs = sources.split_whitespace().map(|pair| {
        pair.split_once('=')
            .filter(|(node, source)| !node.is_empty() && !source.is_empty())
            .ok_or_else(|| Failure::permanent("setting `sources` has something else than `NODE=SOURCE`"))
    });
    pairs.collect::<Result<_, _>>().map(Some)
}
