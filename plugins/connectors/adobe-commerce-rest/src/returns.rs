//! Returns that customers asked for since the shop was asked last.
//!
//! ```text
//! GET V1/returns?searchCriteria…    date_requested gteq FROM, in that order
//! GET V1/orders?searchCriteria…     entity_id in ORDERS: what was bought, and when
//! ```
//!
//! The API does not say when a return last changed, so one is told when it was asked for, and what
//! the shop makes of it later by its webhook alone. One that is over by then is told no more: nobody
//! ever heard of it. One of an order that was placed before `poll-since` is none of the host's, as the
//! order is not.
//!
//! A listed item names the item of the order and not what it is. That is added from the order, as
//! `product_sku`, which is what the webhook calls it; everything else is as it was written.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_guest_adobe::document;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::order::Id;
use crate::pulled::{Cursor, Found, seconds};
use crate::shop::{Shop, search, unreadable};

/// Statuses of a return that needs nobody any more.
const OVER: [&str; 3] = ["denied", "closed", "processed_closed"];

/// What is asked of the orders: nothing of anybody.
const FIELDS: &str = "items[entity_id,created_at,items[item_id,sku]]";

/// The member that says what an item is.
const SKU: &str = "product_sku";

/// What is looked at of a return here.
#[derive(Deserialize)]
struct Looked {
    entity_id: Option<u64>,
    order_id: Option<u64>,
    date_requested: Option<String>,
    status: Option<String>,
}

/// A return that was not told yet.
struct New<'a> {
    index: usize,
    found: &'a RawValue,
    order: u64,
}

#[derive(Deserialize)]
struct Orders {
    items: Option<Vec<Order>>,
}

/// What was bought.
#[derive(Deserialize)]
struct Order {
    entity_id: u64,
    created_at: Option<String>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    item_id: Id,
    sku: Option<String>,
}

/// The members of an object, each as it was written.
type Members = BTreeMap<String, Box<RawValue>>;

/// Takes what is new of a page.
///
/// # Errors
/// When the list goes back, or the shop does not tell what was bought.
pub(crate) fn take(
    shop: &Shop<'_>,
    page: &[&RawValue],
    body: &[u8],
    since_s: i64,
    cursor: &mut Cursor,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut new = Vec::new();
    for (index, item) in page.iter().copied().enumerate() {
        let looked: Option<Looked> = serde_json::from_str(item.get()).ok();
        let known = looked.and_then(|looked| {
            let at_s = looked.date_requested.as_deref().and_then(seconds)?;
            Some((looked.entity_id?, looked.order_id?, at_s, looked.status))
        });
        let Some((id, order, at_s, status)) = known else {
            found.tell_unnamed(item, index, cursor, "`entity_id` or `order_id`, or no time in `date_requested`");
            continue;
        };
        found.goes_on(at_s)?;
        let is_over = status.as_deref().is_some_and(|status| OVER.contains(&status));
        if !is_over && cursor.tell(id, at_s) != Some(at_s) {
            new.push(New { index, found: item, order });
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let bought = bought(shop, &new.iter().map(|new| new.order).collect())?;
    for New { index, found: item, order } in new {
        let order = bought.get(&order);
        let placed_s = order.and_then(|order| order.created_at.as_deref()).and_then(seconds);
        if placed_s.is_some_and(|placed_s| placed_s < since_s) {
            continue;
        }
        match document(item, index, body, None) {
            Ok(mut document) => {
                // What cannot be read of it the transformer says, of the bytes as they came.
                if let Some(named) = order.and_then(|order| named(item, order)) {
                    document.body = named;
                }
                found.documents.push(document);
            }
            Err(problem) => found.problems.push(*problem),
        }
    }
    Ok(())
}

/// These orders, by the shop's numbers of them; one that it does not have is not among them.
fn bought(shop: &Shop<'_>, orders: &BTreeSet<u64>) -> Result<BTreeMap<u64, Order>, Failure> {
    let ids: Vec<String> = orders.iter().map(u64::to_string).collect();
    let (ids, size) = (ids.join(","), orders.len().to_string());
    let criteria = [
        ("[filter_groups][0][filters][0][field]", "entity_id"),
        ("[filter_groups][0][filters][0][condition_type]", "in"),
        ("[filter_groups][0][filters][0][value]", ids.as_str()),
        ("[pageSize]", size.as_str()),
    ];
    let body = shop.get(&format!("orders?{}&fields={}", search(&criteria), http::escaped(FIELDS)))?;
    let found: Orders = serde_json::from_slice(&body).map_err(|_| unreadable("list of orders"))?;
    Ok(found.items.into_iter().flatten().map(|order| (order.entity_id, order)).collect())
}

/// The return with what each of its items is.
fn named(found: &RawValue, order: &Order) -> Option<Vec<u8>> {
    let mut members: Members = serde_json::from_str(found.get()).ok()?;
    let mut items: Vec<Members> = serde_json::from_str(members.get("items")?.get()).ok()?;
    for item in &mut items {
        let id = item.get("order_item_id").and_then(|id| Id::read(id.get()));
        let bought = order.items.iter().find(|bought| Some(&bought.item_id) == id.as_ref());
        let is_named = item.get(SKU).is_some_and(|sku| sku.get() != "null");
        if let Some(sku) = bought.and_then(|bought| bought.sku.as_ref()).filter(|_| !is_named) {
            item.insert(SKU.to_owned(), serde_json::value::to_raw_value(sku).ok()?);
        }
    }
    members.insert("items".to_owned(), serde_json::value::to_raw_value(&items).ok()?);
    serde_json::to_vec(&members).ok()
}
