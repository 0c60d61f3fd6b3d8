//! A customer who buys in the shop: orders as `GET V1/orders/ID` tells them, for whoever plays the
//! shop to place and to post. He sends nothing by himself.

use serde_json::{Value, json};

/// An order of one item that nothing is wrong with, at list price, of a customer of good standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket {
    /// The order's id in the shop.
    pub entity_id: u64,
    /// What it is of.
    pub sku: &'static str,
    /// How much of it.
    pub quantity: u32,
    /// What one costs, in hundredths.
    pub price_minor: u32,
}

impl Basket {
    /// The order's number, which its customer knows.
    #[must_use]
    pub fn increment_id(&self) -> String {
        format!("{:09}", 900_000_u64.saturating_add(self.entity_id))
    }

    /// The id of its item.
    #[must_use]
    pub fn item_id(&self) -> u64 {
        90_000_u64.saturating_add(self.entity_id)
    }

    /// The order as it is placed.
    #[must_use]
    pub fn placed(&self) -> Vec<u8> {
        self.json("new", "pending")
    }

    /// The same when its customer cancelled it in the shop.
    #[must_use]
    pub fn canceled(&self) -> Vec<u8> {
        self.json("canceled", "canceled")
    }

    fn json(&self, state: &str, status: &str) -> Vec<u8> {
        let total = money(u64::from(self.quantity).saturating_mul(u64::from(self.price_minor)));
        let price = money(u64::from(self.price_minor));
        let address = |kind: &str| {
            json!({
                "address_type": kind, "customer_address_id": 6448, "company": "Farley Contractors",
                "firstname": "Lee", "lastname": "Ortega", "street": ["477 Commerce Ave"], "city": "Macon",
                "region_code": "GA", "postcode": "31201", "country_id": "US", "telephone": "555-0135",
            })
        };
        let item = json!({
            "item_id": self.item_id(), "product_type": "simple", "sku": self.sku, "qty_ordered": self.quantity,
            "price": price, "base_price": price, "row_total": total, "base_row_total": total,
            "tax_amount": 0, "discount_amount": 0,
        });
        let order: Value = json!({
            "entity_id": self.entity_id, "increment_id": self.increment_id(), "state": state, "status": status,
            "store_id": 1, "created_at": "2026-03-02 08:30:00",
            "order_currency_code": "USD", "base_currency_code": "USD",
            "customer_id": 2001, "customer_is_guest": 0, "customer_group_id": 2,
            "customer_email": "lee.ortega@farley.example", "customer_firstname": "Lee", "customer_lastname": "Ortega",
            "subtotal": total, "base_subtotal": total, "shipping_amount": 0, "tax_amount": 0, "discount_amount": 0,
            "grand_total": total, "base_grand_total": total, "total_item_count": 1, "items": [item],
            "billing_address": address("billing"),
            "payment": {"method": "purchaseorder", "amount_ordered": total, "po_number": self.increment_id()},
            "extension_attributes": {"shipping_assignments": [
                {"shipping": {"address": address("shipping"), "method": "flatrate_flatrate"}}
            ]},
        });
        order.to_string().into_bytes()
    }
}

/// Major units with the four places of the shop's columns, as text.
fn money(minor: u64) -> String {
    format!("{}.{:02}00", minor / 100, minor % 100)
}
