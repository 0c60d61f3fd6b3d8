//! All that the WMS has, page by page, for whoever compares it with another system.
//!
//! ```text
//! list = "stock"
//! GET /stock?limit=500[&after=…]   200 {"stock":[{"sku","node","onHand","available","unit","changedAt"?}],"next":"…"}
//! list = "shipments"
//! GET /shipments?limit=200&since=…[&after=…]   200 {"shipments":[{"orderId","shipmentNumber","node","at","lines":[…]}],"next":"…"}
//! ```
//!
//! `next` goes into the next page's `after`; the last page has none. A page is one document, its
//! rows as they came: what they say is the transformer's to read.
//!
//! Settings: `list`, what is listed: `stock` or `shipments`; `list-since`, from when on, where that
//! grows (the host sets it).

use portreeve_guest_rest::patient;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::WMS;

/// A list, by the setting that names it.
struct List {
    name: &'static str,
    /// The kind of a page.
    kind: &'static str,
    /// Rows of a page.
    limit: u32,
    /// Whether only what happened since a time is asked for.
    grows: bool,
}

const LISTS: [List; 2] = [
    List { name: "stock", kind: "wms-rest/stock", limit: 500, grows: false },
    List { name: "shipments", kind: "wms-rest/shipments", limit: 200, grows: true },
];

/// Bytes of a place in the list. It is the WMS's own, and goes back to it in an address.
const NEXT_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, alias = "shipments")]
    stock: &'a RawValue,
    next: Option<String>,
}

/// The page behind a place.
///
/// # Errors
/// When there is none that can be read.
pub(crate) fn page(request: PollRequest) -> Result<Polled, Failure> {
    let wanted = setting(&request.settings, "list");
    let list = LISTS.iter().find(|list| Some(list.name) == wanted).ok_or_else(|| {
        Failure::permanent("setting `list` is not what this connector lists; expected `stock` or `shipments`")
    })?;
    let after = request.cursor.map(String::from_utf8).transpose();
    let after =
        after.map_err(|_| Failure::permanent("found a place in the list that is no text; expected the WMS's own"))?;
    let base = WMS.base_url(&request.settings)?;
    let List { name, kind, limit, grows } = list;
    let mut url = format!("{base}/{name}?limit={limit}");
    let since = setting(&request.settings, "list-since").filter(|_| *grows);
    for (option, value) in [("since", since), ("after", after.as_deref())] {
        url.push_str(&value.map_or_else(String::new, |value| format!("&{option}={}", http::escaped(value))));
    }
    let response = http::send(patient(http::Request::get_json(&url), &request.settings)?)?;
    WMS.told(&response)?;
    let Page { stock: rows, next } = serde_json::from_slice(&response.body)
        .map_err(|_| Failure::permanent(format!("the WMS's {name} are not the JSON that was expected")))?;
    if next.as_ref().is_some_and(|next| !(1..=NEXT_BYTES_MAX).contains(&next.len())) {
        let message =
            format!("the WMS names a next page in no or more than {NEXT_BYTES_MAX} bytes; expected a short text");
        return Err(Failure::permanent(message));
    }
    let document = Document {
        key: format!("{name}/{}", after.unwrap_or_default()),
        partner: String::new(),
        kind: (*kind).to_owned(),
        position: Position { offset_bytes: None, segment: None, path: (*name).to_owned() },
        envelope: None,
        body: rows.get().as_bytes().to_vec(),
    };
    Ok(Polled { documents: vec![document], problems: vec![], cursor: next.map(String::into_bytes) })
}
