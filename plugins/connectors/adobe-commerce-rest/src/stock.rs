//! How much there is of an item, set at its source.

use std::collections::BTreeMap;

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::shop::Shop;

pub(crate) const KIND: &str = "adobe/stock";

/// What the transformer makes; the request is sent as it was written.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    request: BTreeMap<&'a str, &'a RawValue>,
}

#[derive(Deserialize)]
struct SourceItem {
    sku: String,
    source_code: String,
}

/// Sets it. The shop answers with an empty list, whatever it had before.
///
/// # Errors
/// Whatever is not done.
pub(crate) fn set(shop: &Shop<'_>, body: &[u8]) -> Result<Receipt, Failure> {
    let none = || Failure::permanent("the message is none of `adobe-documents`; see the target's transformer");
    let Message { request } = serde_json::from_slice(body).map_err(|_| none())?;
    let items = request.get("sourceItems").and_then(|items| serde_json::from_str::<Vec<SourceItem>>(items.get()).ok());
    let [SourceItem { sku, source_code }] = items.as_deref().unwrap_or_default() else { return Err(none()) };
    let external_id = format!("{sku}@{source_code}");
    let body = serde_json::to_vec(&request).map_err(|error| Failure::permanent(error.to_string()))?;
    shop.post("inventory/source-items", body, "the level of the item")?;
    Ok(Receipt { external_id, detail: None })
}
