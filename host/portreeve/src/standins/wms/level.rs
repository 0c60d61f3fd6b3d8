//! What the warehouse says of its stock: how much there is of an item at a node, each time that
//! this is another amount than it said last.
//!
//! It says so of items that were put there with their unit, and of no others: a quantity without a
//! unit says nothing. What is set aside lies there still, and is nobody else's.

use std::collections::BTreeMap;

use portreeve_model::Instant;
use serde::Serialize;

use super::books::{OPENS_AT, Release};
use crate::standins::amount::Amount;

/// What an item's level is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) on_hand: Amount,
    pub(super) available: Amount,
}

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Of which items, in which unit.
    units: BTreeMap<String, String>,
    /// By node and item.
    last: BTreeMap<(String, String), Standing>,
    unsaid: Vec<Event>,
    counted: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: String,
    r#type: &'static str,
    at: String,
    sku: String,
    node: String,
    on_hand: Amount,
    available: Amount,
    unit: String,
}

impl Levels {
    /// From now on it says how much there is of an item, which everybody knows up to here.
    pub(super) fn begin(&mut self, node: &str, sku: &str, unit: &str, standing: Standing) {
        self.units.insert(sku.to_owned(), unit.to_owned());
        self.last.insert((node.to_owned(), sku.to_owned()), standing);
    }

    /// Looks at every item of which it says something.
    pub(super) fn look(&mut self, stock: &BTreeMap<String, BTreeMap<String, Amount>>, releases: &[Release]) {
        for (node, items) in stock {
            for (sku, unit) in &self.units {
                let Some(available) = items.get(sku).copied() else { continue };
                let standing = Standing { on_hand: available.plus(set_aside(releases, node, sku)), available };
                let last = self.last.insert((node.clone(), sku.clone()), standing);
                if last != Some(standing) {
                    self.counted = self.counted.saturating_add(1);
                    self.unsaid.push(Event {
                        id: format!("LV-{}", self.counted),
                        r#type: "level",
                        // By a count of its own: no two levels are of one time.
                        at: at(self.counted).to_string(),
                        sku: sku.clone(),
                        node: node.clone(),
                        on_hand: standing.on_hand,
                        available,
                        unit: unit.clone(),
                    });
                }
            }
        }
    }

    /// What it has to say since the last time, in the order in which it counted.
    pub(super) fn told(&mut self) -> Result<Vec<String>, serde_json::Error> {
        std::mem::take(&mut self.unsaid).iter().map(serde_json::to_string).collect()
    }
}

fn at(counted: u32) -> Instant {
    OPENS_AT.plus_ms(i64::from(counted))
}

/// What of an item is set aside at a node.
pub(super) fn set_aside(releases: &[Release], node: &str, sku: &str) -> Amount {
    let lines = releases.iter().filter(|release| release.node == node).flat_map(|release| &release.lines);
    lines.filter(|line| line.sku == sku).fold(Amount::ZERO, |sum, line| sum.plus(line.set_aside))
}
