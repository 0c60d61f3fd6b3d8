//! All that the ERP has, page by page, for whoever compares it with another system.
//!
//! ```text
//! GET items?$select=number,inventory,baseUnitOfMeasureCode&$orderby=number&$top=500
//!          &$filter=type eq 'Inventory'[ and number gt 'LAST']
//! ```
//!
//! The place in the list is the last number, and a page begins behind it: what is entered
//! meanwhile moves no item from one page into another, as it does where pages are counted. So an
//! empty page is the end, and a shorter one is none. A page is one document, its rows as they came.
//!
//! Setting: `list`, what is listed: `stock`.
//!
//! Source: resource type item, page 30008 "APIV2 - Items".

use portreeve_guest_rest::patient;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ERP, company_url};

pub(crate) const ITEMS: &str = "business-central/items";

/// Rows of a page.
const TOP: u32 = 500;

/// Characters of an item's number in the ERP, each of four bytes at most.
const NUMBER_BYTES_MAX: usize = 80;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct Numbered {
    number: String,
}

/// Whether all that there is is wanted, and not what was posted.
pub(crate) fn is_wanted(settings: &[Setting]) -> bool {
    setting(settings, "list").is_some()
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
    let last = request.cursor.map(String::from_utf8).transpose();
    let last =
        last.map_err(|_| Failure::permanent("found a place in the list that is no text; expected an item's number"))?;
    let behind =
        last.as_ref().map_or_else(String::new, |last| format!(" and number gt '{}'", last.replace('\'', "''")));
    let filter = http::escaped(&format!("type eq 'Inventory'{behind}"));
    let url = format!(
        "{}/items?$select=number,inventory,baseUnitOfMeasureCode&$orderby=number&$top={TOP}&$filter={filter}",
        company_url(&request.settings)?
    );
    let response = http::send(patient(http::Request::get_json(&url), &request.settings)?)?;
    ERP.told(&response)?;
    let unreadable = || Failure::permanent("the ERP's list of items is not the JSON that was expected");
    let Page { value } = serde_json::from_slice(&response.body).map_err(|_| unreadable())?;
    let items: Vec<Numbered> = serde_json::from_str(value.get()).map_err(|_| unreadable())?;
    let Some(Numbered { number }) = items.last() else {
        return Ok(Polled { documents: vec![], problems: vec![], cursor: None });
    };
    if !(1..=NUMBER_BYTES_MAX).contains(&number.len()) {
        return Err(Failure::permanent(
            "the ERP lists an item whose number is empty or too long for one; see to it there",
        ));
    }
    let document = Document {
        key: format!("items/{}", last.unwrap_or_default()),
        partner: String::new(),
        kind: ITEMS.to_owned(),
        position: Position { offset_bytes: None, segment: None, path: "value".to_owned() },
        envelope: None,
        body: value.get().as_bytes().to_vec(),
    };
    Ok(Polled { documents: vec![document], problems: vec![], cursor: Some(number.clone().into_bytes()) })
}
