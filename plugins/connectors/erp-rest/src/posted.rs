//! What of an order the ERP posted, whoever had it do so.
//!
//! ```text
//! GET salesInvoices?$filter=externalDocumentNumber eq '…'    orderNumber: that of its sales order
//! GET salesShipments?$filter=externalDocumentNumber eq '…'   the same
//! ```
//!
//! A clerk may post a sales order whole between two requests of ours. Then it is in no list of
//! sales orders any more, as if nobody had ever made it: whoever takes that for a no makes it a
//! second time, or calls it cancelled. Shipments are looked at as well, since goods that are
//! charged on an invoice of several orders have none with this order's number.
//!
//! Sources: resource types salesInvoice and salesShipment; pages 30028 and 30062.

use std::collections::BTreeSet;

use portreeve_guest_rest::patient;
use portreeve_sdk::connector::*;
use serde::Deserialize;

use crate::document::is_posted;
use crate::{ERP, company_url, filter_of};

/// Posted documents of an order; one at least.
pub(crate) struct Posted {
    /// The first of them, for people.
    pub(crate) name: String,
    /// What the ERP calls the sales orders that they are of.
    sales_orders: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Listed {
    value: Vec<Head>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    number: String,
    order_number: Option<String>,
    /// Of an invoice; a shipment has none, and is posted.
    status: Option<String>,
}

/// What was posted of an order; none where nothing was. Whoever looks for its sales order as well
/// does that first: what is posted between the two is here then.
pub(crate) fn posted(natural_key: &str, settings: &[Setting]) -> Result<Option<Posted>, Failure> {
    let (mut name, mut sales_orders) = (None, BTreeSet::new());
    for (documents, what) in [("salesInvoices", "invoice"), ("salesShipments", "shipment")] {
        for head in list(documents, natural_key, settings)? {
            if !head.status.as_deref().is_none_or(is_posted) {
                continue;
            }
            name.get_or_insert_with(|| format!("{what} {}", head.number));
            sales_orders.extend(head.order_number.filter(|number| !number.is_empty()));
        }
    }
    Ok(name.map(|name| Posted { name, sales_orders }))
}

fn list(documents: &str, natural_key: &str, settings: &[Setting]) -> Result<Vec<Head>, Failure> {
    let url = format!("{}/{documents}?{}", company_url(settings)?, filter_of(natural_key));
    let response = http::send(patient(http::Request::get_json(&url), settings)?)?;
    ERP.told(&response)?;
    let listed: Listed = serde_json::from_slice(&response.body)
        .map_err(|_| Failure::permanent(format!("the ERP's list of {documents} is not the JSON that was expected")))?;
    Ok(listed.value)
}

impl Posted {
    /// The receipt of the one sales order that all of it is of.
    ///
    /// # Errors
    /// When it is of none, or of several: whether the order was made is a person's to see.
    pub(crate) fn sales_order(self) -> Result<Receipt, Failure> {
        let Self { name, sales_orders } = self;
        let mut numbers = sales_orders.into_iter();
        match (numbers.next(), numbers.next()) {
            (Some(number), None) => Ok(Receipt { external_id: number, detail: Some(format!("posted since: {name}")) }),
            (Some(first), Some(second)) => Err(Failure::permanent(format!(
                "sales-order-twice: the ERP posted sales orders {first} and {second} of this external document number; \
                 expected one: see which is right, and credit the other there"
            ))),
            (None, _) => Err(Failure::permanent(format!(
                "posted-otherwise: the ERP has {name} with this external document number and names no sales order of \
                 it; expected a sales order: see there whether the order was entered"
            ))),
        }
    }
}
