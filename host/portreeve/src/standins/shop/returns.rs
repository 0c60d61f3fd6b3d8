//! What customers ask to send back: the request, in the words of the shop's webhook and of its list.
//!
//! The list names the item of the order and not what it is, as the original's does; the webhook has
//! that among its fields. Unlike the original it takes a return of what was ordered, shipped or not,
//! and does nothing with it: it stays `pending`.

use portreeve_model::Instant;
use portreeve_model::value::Decimal;
use serde_json::{Value, json};

use super::answer::time;
use super::books::{Books, Fixed, KEPT_MAX};

/// A return that a customer asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopReturn {
    /// Its id.
    pub entity_id: u64,
    /// Its order.
    pub order_id: u64,
    /// The order's number, which its customer knows.
    pub order_increment_id: String,
    /// Where that was placed.
    pub store_id: u64,
    /// The item of the order.
    pub item_id: u64,
    /// What that is.
    pub sku: String,
    /// How much of it.
    pub quantity: u32,
    /// When it was asked for.
    pub requested_at: Instant,
}

impl ShopReturn {
    /// Its number, which its customer knows.
    #[must_use]
    pub fn increment_id(&self) -> String {
        format!("{:09}", self.entity_id)
    }

    /// As the shop's webhook tells it: all as texts, and the item by its name.
    #[must_use]
    pub fn webhook(&self) -> Vec<u8> {
        let item = json!({
            "entity_id": self.entity_id.to_string(), "rma_entity_id": self.entity_id.to_string(),
            "order_item_id": self.item_id.to_string(), "product_sku": self.sku,
            "qty_requested": format!("{}.0000", self.quantity), "qty_authorized": null, "qty_approved": null,
            "qty_returned": null, "reason": "23", "condition": "7", "resolution": "4", "status": "pending",
        });
        let rma = json!({
            "entity_id": self.entity_id.to_string(), "increment_id": self.increment_id(),
            "order_id": self.order_id.to_string(), "order_increment_id": self.order_increment_id,
            "store_id": self.store_id.to_string(), "date_requested": time(self.requested_at), "status": "pending",
            "items": [item],
        });
        json!({"rma": rma}).to_string().into_bytes()
    }

    /// As a list tells it.
    pub(super) fn listed(&self) -> Value {
        let item = json!({
            "entity_id": self.entity_id, "rma_entity_id": self.entity_id, "order_item_id": self.item_id,
            "qty_requested": self.quantity, "qty_authorized": 0, "qty_approved": 0, "qty_returned": 0,
            "reason": "23", "condition": "7", "resolution": "4", "status": "pending",
        });
        json!({
            "entity_id": self.entity_id, "increment_id": self.increment_id(), "order_id": self.order_id,
            "order_increment_id": self.order_increment_id, "store_id": self.store_id,
            "date_requested": time(self.requested_at), "status": "pending", "items": [item], "comments": [],
            "tracks": [],
        })
    }
}

impl Books {
    /// A customer asks to send so much of an item back.
    pub(super) fn ask_back(&mut self, order: u64, item: u64, quantity: u32) -> Result<ShopReturn, String> {
        let requested_at = self.now();
        let number = u64::try_from(self.returns.len()).unwrap_or(u64::MAX).saturating_add(1);
        let order = self.orders.get(&order).ok_or("there is no order of this id")?;
        let item = order.items.iter().find(|found| found.item_id == item).ok_or("the order has no such item")?;
        let wanted = Fixed::of(&Decimal { units: i64::from(quantity), scale: 0 });
        if quantity == 0 || wanted > item.ordered {
            return Err("expected more than nothing to come back, and no more than was ordered".to_owned());
        }
        if self.returns.len() >= KEPT_MAX {
            return Err("the stand-in keeps no more".to_owned());
        }
        let asked = ShopReturn {
            entity_id: number,
            order_id: order.entity_id,
            order_increment_id: order.increment_id.clone(),
            store_id: order.store_id,
            item_id: item.item_id,
            sku: item.sku.clone(),
            quantity,
            requested_at,
        };
        self.returns.push(asked.clone());
        Ok(asked)
    }
}
