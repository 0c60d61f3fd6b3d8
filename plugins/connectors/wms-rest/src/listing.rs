//! All that the WMS has, page by page, for whoever compares it with another system.
//!
//! ```text
//! GET /stock?limit=500[&after=…]   200 {"stock":[{"sku","node","onHand","available","unit","changedAt"?}],"next":"…"}
//! ```
//!
//! `next` goes into the next page's `after`; the last page has none. A page is one document, its
//! rows as they came: what they say is the transformer's to read.
//!
//! Setting: `list`, what is listed: `stock`.

use portreeve_guest_rest::patient;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::WMS;

pub(crate) const STOCK: &str = "wms-rest/stock";

/// Rows of a page.
const LIMIT: u32 = 500;

/// Bytes of a place in the list. It is the WMS's own, and goes back to it in an address.
const NEXT_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    stock: &'a RawValue,
    next: Option<String>,
}

/// The page behind a place.
///
/// # Errors
/// When there is none that can be read.
pub(crate) fn page(request: PollRequest) -> Result<Polled, Failure> {
    match setting(&request.settings, "list") {
        Some("stock") => {}
        Some(_) | None => {
            return Err(Failure::permanent("setting `list` is not what this connector lists; expected `stock`"));
        }
    }
    let after = request.cursor.map(String::from_utf8).transpose();
    let after =
        after.map_err(|_| Failure::permanent("found a place in the list that is no text; expected the WMS's own"))?;
    let base = WMS.base_url(&request.settings)?;
    let url = match &after {
        Some(after) => format!("{base}/stock?limit={LIMIT}&after={}", http::escaped(after)),
        None => format!("{base}/stock?limit={LIMIT}"),
    };
    let response = http::send(patient(http::Request::get_json(&url), &request.settings)?)?;
    WMS.told(&response)?;
    let Page { stock, next } = serde_json::from_slice(&response.body)
        .map_err(|_| Failure::permanent("the WMS's stock is not the JSON that was expected"))?;
    if next.as_ref().is_some_and(|next| !(1..=NEXT_BYTES_MAX).contains(&next.len())) {
        let message =
            format!("the WMS names a next page in no or more than {NEXT_BYTES_MAX} bytes; expected a short text");
        return Err(Failure::permanent(message));
    }
    let document = Document {
        key: format!("stock/{}", after.unwrap_or_default()),
        partner: String::new(),
        kind: STOCK.to_owned(),
        position: Position { offset_bytes: None, segment: None, path: "stock".to_owned() },
        envelope: None,
        body: stock.get().as_bytes().to_vec(),
    };
    Ok(Polled { documents: vec![document], problems: vec![], cursor: next.map(String::into_bytes) })
}
