//! What the shop may sell: so much of an item at a source, as it was told last.
//!
//! Nothing else changes it: no order reserves any, and no shipment takes any away, as they would in
//! the original. So what it may sell is what it was told, and nothing that it reckoned.

use std::collections::BTreeMap;

use portreeve_model::value::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::books::{Fixed, parsed};

/// Items that one request sets. A longer list would hold everybody else up.
const ITEMS_MAX: usize = 500;

/// How much of an item lies at a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceItem {
    /// The item.
    pub sku: String,
    /// The source.
    pub source_code: String,
    /// How much of it.
    pub quantity: Fixed,
    /// Whether it is sold.
    pub is_in_stock: bool,
    /// How often it was set.
    pub times: u32,
}

/// By source and item.
#[derive(Debug, Default)]
pub(super) struct Stock(BTreeMap<(String, String), SourceItem>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    #[serde(borrow)]
    source_items: Vec<AskedItem<'a>>,
}

#[derive(Deserialize)]
struct AskedItem<'a> {
    sku: String,
    source_code: String,
    #[serde(borrow)]
    quantity: &'a RawValue,
    status: u8,
}

impl Stock {
    /// Has the shop sell an item from a source.
    pub(super) fn put(&mut self, source: &str, sku: &str, quantity: &Decimal) {
        let quantity = Fixed::of(quantity);
        let (sku, source_code) = (sku.to_owned(), source.to_owned());
        let item = SourceItem {
            sku: sku.clone(),
            source_code: source_code.clone(),
            is_in_stock: quantity > Fixed::default(),
            quantity,
            times: 0,
        };
        self.0.insert((source_code, sku), item);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &SourceItem> {
        self.0.values()
    }

    pub(super) fn quantity(&self, source: &str, sku: &str) -> Fixed {
        let item = self.0.get(&(source.to_owned(), sku.to_owned()));
        item.map(|item| item.quantity).unwrap_or_default()
    }

    /// Sets all of what is asked for, or nothing where something of it is wrong.
    pub(super) fn set(&mut self, body: &[u8]) -> Result<Value, Refusal> {
        let Asked { source_items } = parsed(body)?;
        if source_items.is_empty() || source_items.len() > ITEMS_MAX {
            return Err(Refusal::bad("Input data is empty", &[]));
        }
        let mut set = Vec::new();
        for asked in source_items {
            let errors = |message: &str, parameters: &[&str]| Err(Refusal::of_items(message, parameters));
            if !self.0.keys().any(|(source, _)| *source == asked.source_code) {
                return errors("Source with code \"%1\" does not exist", &[&asked.source_code]);
            }
            let Some(known) = self.0.get(&(asked.source_code.clone(), asked.sku.clone())) else {
                return errors("Product with SKU \"%1\" does not exist", &[&asked.sku]);
            };
            let Some(quantity) = Fixed::read(asked.quantity) else {
                return errors("\"%field\" should be numeric", &["quantity"]);
            };
            if asked.status > 1 {
                return errors("\"%field\" should a known status.", &["status"]);
            }
            let times = known.times.saturating_add(1);
            set.push(SourceItem { quantity, is_in_stock: asked.status == 1, times, ..known.clone() });
        }
        for item in set {
            self.0.insert((item.source_code.clone(), item.sku.clone()), item);
        }
        Ok(json!([]))
    }
}

impl SourceItem {
    pub(super) fn json(&self) -> Value {
        json!({
            "sku": self.sku, "source_code": self.source_code, "quantity": self.quantity.to_string(),
            "status": u8::from(self.is_in_stock),
        })
    }
}
