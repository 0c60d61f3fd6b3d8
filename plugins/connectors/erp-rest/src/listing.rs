//! All that the ERP has, page by page, for whoever compares it with another system.
//!
//! ```text
//! list = "stock"
//! GET items?$select=number,inventory,baseUnitOfMeasureCode&$orderby=number&$top=500
//!          &$filter=type eq 'Inventory'[ and number gt 'LAST']
//! list = "orders"
//! GET salesOrders?$expand=salesOrderLines&$orderby=number&$top=100[&$filter=number gt 'LAST']
//! ```
//!
//! The place in the list is the last number, and a page begins behind it: what is entered
//! meanwhile moves nothing from one page into another, as it does where pages are counted. So an
//! empty page is the end, and a shorter one is none. A page is one document, its rows as they came.
//! A document whose lines go on elsewhere ends the call: half of its lines would say that the other
//! half is not there.
//!
//! Setting: `list`, what is listed: `stock` or `orders`, which are those that are not posted whole.
//!
//! Sources: resource types item, salesOrder and salesOrderLine; pages 30008 "APIV2 - Items" and 30028
//! "APIV2 - Sales Orders".

use portreeve_guest_rest::patient;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{ERP, company_url};

/// Characters of a number in the ERP, each of four bytes at most.
const NUMBER_BYTES_MAX: usize = 80;

/// What can be listed.
#[derive(Clone, Copy)]
enum List {
    Stock,
    Orders,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct Numbered {
    number: String,
    #[serde(rename = "salesOrderLines@odata.nextLink")]
    next: Option<IgnoredAny>,
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
    let list = List::of(&request.settings)?;
    let last = request.cursor.map(String::from_utf8).transpose();
    let last = last.map_err(|_| Failure::permanent("found a place in the list that is no text; expected a number"))?;
    let url = format!("{}/{}", company_url(&request.settings)?, list.below(last.as_deref()));
    let response = http::send(patient(http::Request::get_json(&url), &request.settings)?)?;
    ERP.told(&response)?;
    let unreadable =
        || Failure::permanent(format!("the ERP's list of {} is not the JSON that was expected", list.name()));
    let Page { value } = serde_json::from_slice(&response.body).map_err(|_| unreadable())?;
    let rows: Vec<Numbered> = serde_json::from_str(value.get()).map_err(|_| unreadable())?;
    let Some(Numbered { number, .. }) = rows.last() else {
        return Ok(Polled { documents: vec![], problems: vec![], cursor: None });
    };
    if let Some(long) = rows.iter().find(|row| row.next.is_some()) {
        return Err(Failure::permanent(format!(
            "too-many-lines: the ERP has more lines of {} than it tells at once; see to it there",
            long.number
        )));
    }
    if !(1..=NUMBER_BYTES_MAX).contains(&number.len()) {
        return Err(Failure::permanent(
            "the ERP lists something whose number is empty or too long for one; see to it there",
        ));
    }
    let document = Document {
        key: format!("{}/{}", list.name(), last.unwrap_or_default()),
        partner: String::new(),
        kind: list.kind().to_owned(),
        position: Position { offset_bytes: None, segment: None, path: "value".to_owned() },
        envelope: None,
        body: value.get().as_bytes().to_vec(),
    };
    Ok(Polled { documents: vec![document], problems: vec![], cursor: Some(number.clone().into_bytes()) })
}

impl List {
    fn of(settings: &[Setting]) -> Result<Self, Failure> {
        match setting(settings, "list") {
            Some("stock") => Ok(Self::Stock),
            Some("orders") => Ok(Self::Orders),
            Some(_) | None => {
                Err(Failure::permanent("setting `list` is not what this connector lists; expected `stock` or `orders`"))
            }
        }
    }

    /// What is asked for behind a number, below the company.
    fn below(self, last: Option<&str>) -> String {
        let behind = last.map(|last| format!("number gt '{}'", last.replace('\'', "''")));
        match self {
            Self::Stock => {
                let behind = behind.map_or_else(String::new, |behind| format!(" and {behind}"));
                let filter = http::escaped(&format!("type eq 'Inventory'{behind}"));
                format!(
                    "items?$select=number,inventory,baseUnitOfMeasureCode&$orderby=number&$top=500&$filter={filter}"
                )
            }
            Self::Orders => {
                let filter = behind.map_or_else(String::new, |behind| format!("&$filter={}", http::escaped(&behind)));
                format!("salesOrders?$expand=salesOrderLines&$orderby=number&$top=100{filter}")
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stock => "items",
            Self::Orders => "sales orders",
        }
    }

    /// The kind of a page.
    fn kind(self) -> &'static str {
        match self {
            Self::Stock => "business-central/items",
            Self::Orders => "business-central/sales-orders",
        }
    }
}
