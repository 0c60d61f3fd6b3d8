//! How much the shop has of each item at each source, page by page, for whoever compares it with another
//! system.
//!
//! ```text
//! GET V1/inventory/source-items?searchCriteria[sortOrders]   sku, source_code ascending
//!                              &searchCriteria[pageSize]=200&searchCriteria[currentPage]=1
//! ```
//!
//! Pages are counted from the beginning, so an item that comes or goes meanwhile moves others over a
//! page's end, and one would be missing that is there. Each page says how many there are in all: where
//! that changes on the way, nothing is judged by the list, and the next run reads it anew. A page is one document, its rows as they came.
//!
//! Setting: `list = "stock"`. Sources: Adobe's "Manage source items" and "Search using REST endpoints".

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::shop::{Shop, search};

/// The kind of a page.
const KIND: &str = "adobe/source-items";

/// Items of a page; each is looked up by the transformer.
const PAGE: u64 = 200;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    total_count: u64,
}

/// Where a list goes on: the next page, and how many items there were.
struct Place {
    page: u64,
    total: Option<u64>,
}

/// The page behind a place.
///
/// # Errors
/// When there is none that can be read, or the list changed since its first page.
pub(crate) fn page(request: &PollRequest, list: &str) -> Result<Polled, Failure> {
    if list != "stock" {
        return Err(Failure::permanent("setting `list` is not what this connector lists; expected `stock`"));
    }
    let place = Place::read(request.cursor.as_deref())?;
    let (size, number) = (PAGE.to_string(), place.page.to_string());
    let criteria = [
        ("[sortOrders][0][field]", "sku"),
        ("[sortOrders][0][direction]", "ASC"),
        ("[sortOrders][1][field]", "source_code"),
        ("[sortOrders][1][direction]", "ASC"),
        ("[pageSize]", size.as_str()),
        ("[currentPage]", number.as_str()),
    ];
    let body = Shop::of(&request.settings)?.get(&format!("inventory/source-items?{}", search(&criteria)))?;
    let Page { items, total_count } = serde_json::from_slice(&body)
        .map_err(|_| Failure::permanent("the shop's list of source items is not the JSON that was asked for"))?;
    if let Some(total) = place.total.filter(|total| *total != total_count) {
        return Err(Failure::permanent(format!(
            "the shop's list changed while it was read: found {total_count} source items, where its first page had {total}; nothing is judged by it, and the next run reads it anew"
        )));
    }
    let document = Document {
        key: format!("stock/{number}"),
        partner: String::new(),
        kind: KIND.to_owned(),
        position: Position { offset_bytes: None, segment: None, path: "items".to_owned() },
        envelope: None,
        // Some versions write `null` where there is none.
        body: items.map_or("[]", RawValue::get).as_bytes().to_vec(),
    };
    // Behind the last page the shop tells the last one again.
    let is_end = place.page.saturating_mul(PAGE) >= total_count;
    let next = (!is_end).then(|| format!("{} {total_count}", place.page.saturating_add(1)).into_bytes());
    Ok(Polled { documents: vec![document], problems: vec![], cursor: next })
}

impl Place {
    fn read(cursor: Option<&[u8]>) -> Result<Self, Failure> {
        let Some(cursor) = cursor else { return Ok(Self { page: 1, total: None }) };
        let read = |bytes| -> Option<Self> {
            let (page, total) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
            Some(Self { page: page.parse().ok()?, total: Some(total.parse().ok()?) })
        };
        read(cursor).ok_or_else(|| {
            Failure::permanent("found a place in the shop's list that is none; expected a page and a count")
        })
    }
}
