//! All that the ERP has, page by page, for whoever compares it with another system.
//!
//! ```text
//! list = "stock"
//! GET items?$select=number,inventory,baseUnitOfMeasureCode&$orderby=number&$top=500
//!          &$filter=type eq 'Inventory'[ and number gt 'LAST']
//! list = "orders"
//! GET salesOrders?$expand=salesOrderLines&$orderby=number&$top=100[&$filter=number gt 'LAST']
//! list = "shipments"
//! GET salesShipments?$expand=salesShipmentLines&$orderby=number&$top=100
//!          &$filter=lastModifiedDateTime ge SINCE[ and number gt 'LAST']
//! list = "invoices"
//! GET salesInvoices?$expand=salesInvoiceLines&…, then salesCreditMemos the same way
//! ```
//!
//! The place in the list is the last number, and a page begins behind it: what is entered
//! meanwhile moves nothing from one page into another, as it does where pages are counted. So an
//! empty page is the end, and a shorter one is none. A page is one document, its rows as they came.
//! A document whose lines go on elsewhere ends the call: half of its lines would say that the other
//! half is not there.
//!
//! Of invoices and credit memos each that was posted and names an order of a host is a document, as
//! `listed` tells it, with the time of its last change; drafts and what is somebody else's are none. A
//! page of nothing else is a page all the same. The place in that list is `i` or `m` and the number.
//!
//! Settings: `list`, what is listed: `stock`, `orders` (those that are not posted whole), `shipments`
//! or `invoices`; `list-since`, from when on, where that grows (the host sets it).
//!
//! Sources: resource types item, salesOrder, salesOrderLine, salesShipment, salesShipmentLine,
//! salesInvoice and salesCreditMemo; pages 30008 "APIV2 - Items" and 30028 "APIV2 - Sales Orders".

use portreeve_guest_rest::patient;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{ERP, company_url, listed};

/// Characters of a number in the ERP, each of four bytes at most.
const NUMBER_BYTES_MAX: usize = 80;

/// What can be listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Stock,
    Orders,
    Shipments,
    Invoices,
    /// Behind the invoices, in one list with them.
    CreditMemos,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct Numbered {
    number: String,
    #[serde(rename = "salesOrderLines@odata.nextLink", alias = "salesShipmentLines@odata.nextLink")]
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
    let cursor = request.cursor.map(String::from_utf8).transpose();
    let cursor =
        cursor.map_err(|_| Failure::permanent("found a place in the list that is no text; expected a number"))?;
    let (list, last) = List::of(&request.settings)?.at(cursor)?;
    let since = setting(&request.settings, "list-since");
    let url = format!("{}/{}", company_url(&request.settings)?, list.below(last.as_deref(), since));
    let response = http::send(patient(http::Request::get_json(&url), &request.settings)?)?;
    ERP.told(&response)?;
    let unreadable =
        || Failure::permanent(format!("the ERP's list of {} is not the JSON that was expected", list.name()));
    let Page { value } = serde_json::from_slice(&response.body).map_err(|_| unreadable())?;
    let rows: Vec<Numbered> = serde_json::from_str(value.get()).map_err(|_| unreadable())?;
    let Some(Numbered { number, .. }) = rows.last() else {
        return Ok(Polled { documents: vec![], problems: vec![], cursor: list.behind_its_end() });
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
    let cursor = Some(list.place(number).into_bytes());
    if let Some(documents) = list.documents() {
        let (documents, problems) = listed::posted_in(value, documents).ok_or_else(unreadable)?;
        return Ok(Polled { documents, problems, cursor });
    }
    let document = Document {
        key: format!("{}/{}", list.name(), last.unwrap_or_default()),
        partner: String::new(),
        kind: list.kind().to_owned(),
        position: Position { offset_bytes: None, segment: None, path: "value".to_owned() },
        envelope: None,
        body: value.get().as_bytes().to_vec(),
    };
    Ok(Polled { documents: vec![document], problems: vec![], cursor })
}

impl List {
    fn of(settings: &[Setting]) -> Result<Self, Failure> {
        match setting(settings, "list") {
            Some("stock") => Ok(Self::Stock),
            Some("orders") => Ok(Self::Orders),
            Some("shipments") => Ok(Self::Shipments),
            Some("invoices") => Ok(Self::Invoices),
            Some(_) | None => Err(Failure::permanent(
                "setting `list` is not what this connector lists; expected `stock`, `orders`, `shipments` or `invoices`",
            )),
        }
    }

    /// The list at a place, with the last number before it.
    fn at(self, cursor: Option<String>) -> Result<(Self, Option<String>), Failure> {
        let Some(place) = cursor.as_deref().filter(|_| self == Self::Invoices) else { return Ok((self, cursor)) };
        let unknown = || Failure::permanent("found a place in the list of invoices that is none of this connector's");
        match place.split_at_checked(1).ok_or_else(unknown)? {
            ("i", number) => Ok((Self::Invoices, Some(number.to_owned()))),
            ("m", "") => Ok((Self::CreditMemos, None)),
            ("m", number) => Ok((Self::CreditMemos, Some(number.to_owned()))),
            _ => Err(unknown()),
        }
    }

    /// The place behind a number.
    fn place(self, number: &str) -> String {
        match self {
            Self::Invoices => format!("i{number}"),
            Self::CreditMemos => format!("m{number}"),
            Self::Stock | Self::Orders | Self::Shipments => number.to_owned(),
        }
    }

    fn behind_its_end(self) -> Option<Vec<u8>> {
        (self == Self::Invoices).then(|| b"m".to_vec())
    }

    /// What is asked for behind a number, below the company.
    fn below(self, last: Option<&str>, since: Option<&str>) -> String {
        let (list, rest) = match self {
            Self::Stock => ("items", "$select=number,inventory,baseUnitOfMeasureCode&$orderby=number&$top=500"),
            Self::Orders => ("salesOrders", "$expand=salesOrderLines&$orderby=number&$top=100"),
            Self::Shipments => ("salesShipments", "$expand=salesShipmentLines&$orderby=number&$top=100"),
            Self::Invoices => ("salesInvoices", "$expand=salesInvoiceLines&$orderby=number&$top=100"),
            Self::CreditMemos => ("salesCreditMemos", "$expand=salesCreditMemoLines&$orderby=number&$top=100"),
        };
        let of_this = match self {
            Self::Stock => Some("type eq 'Inventory'".to_owned()),
            Self::Orders => None,
            Self::Shipments | Self::Invoices | Self::CreditMemos => {
                since.map(|since| format!("lastModifiedDateTime ge {since}"))
            }
        };
        let behind = last.map(|last| format!("number gt '{}'", last.replace('\'', "''")));
        let filter: Vec<String> = of_this.into_iter().chain(behind).collect();
        if filter.is_empty() {
            return format!("{list}?{rest}");
        }
        format!("{list}?{rest}&$filter={}", http::escaped(&filter.join(" and ")))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stock => "items",
            Self::Orders => "sales orders",
            Self::Shipments => "shipments",
            Self::Invoices => "invoices",
            Self::CreditMemos => "credit memos",
        }
    }

    /// The kind of a page that is one document.
    fn kind(self) -> &'static str {
        match self {
            Self::Stock => "business-central/items",
            Self::Orders => "business-central/sales-orders",
            Self::Shipments => "business-central/sales-shipments",
            // Each of them is a document of its own kind.
            Self::Invoices | Self::CreditMemos => "",
        }
    }

    /// The documents that a page has one by one.
    fn documents(self) -> Option<&'static str> {
        match self {
            Self::Invoices => Some("salesInvoices"),
            Self::CreditMemos => Some("salesCreditMemos"),
            Self::Stock | Self::Orders | Self::Shipments => None,
        }
    }
}
