//! Cancelling a sales order. The API has no action for it: the order is deleted, and one that
//! the ERP does not let go, or that is not there any more since it was posted, is a person's.
//!
//! ```text
//! GET    salesOrders?$filter=externalDocumentNumber eq '…'   which one, and its ETag
//! DELETE salesOrders(ID)   If-Match: ETag
//! 204            it is gone
//! 404            it went since it was looked at: posted, a refusal; else unknown, and `find` looks
//! 409 412        somebody changed it since: look again, later
//! 400 422        the ERP refuses: invalid, and stays so
//! ```
//!
//! The danger is an order that the warehouse or a clerk is just working on. `If-Match` has
//! the ERP refuse where it is not the one that was looked at. One that is not there any more was
//! deleted or posted whole, and only what was posted of it tells which (`posted`).

use portreeve_guest_rest::{Answer, patient};
use portreeve_sdk::connector::*;
use portreeve_sdk::failure::RETRY_MS;

use crate::posted::{Posted, posted};
use crate::{ERP, SalesOrder, company_url, refused, sales_order};

/// The kind of message.
pub(crate) const KIND: &str = "business-central/cancel";

/// Deletes the order's sales order.
pub(crate) fn deliver(delivery: &Delivery) -> Result<Receipt, Failure> {
    // An earlier attempt's deletion is `find`'s to see; here it may be gone since it was posted.
    let order = sales_order(&delivery.natural_key, &delivery.settings)?.ok_or_else(|| {
        Failure::permanent(
            "sales-order-gone: the ERP has no sales order of it; see whether it was shipped and invoiced, and credit \
             it there",
        )
    })?;
    let (Some(id), Some(etag)) = (order.id.as_deref(), order.etag.as_deref()) else {
        return Err(Failure::permanent("the ERP lists a sales order without id or ETag"));
    };
    let url = format!("{}/salesOrders({})", company_url(&delivery.settings)?, http::escaped(id));
    let request = http::Request { method: http::Method::Delete, ..http::Request::get_json(&url) };
    let request = request.with_header("if-match", etag);
    let response = http::send(patient(request, &delivery.settings)?)?;
    match response.status {
        204 => Ok(deleted(order, &delivery.natural_key)),
        404 => match posted(&delivery.natural_key, &delivery.settings) {
            Ok(Some(posted)) => Err(credit_it(&posted)),
            Ok(None) | Err(_) => Err(Failure::unknown("the sales order was gone when it was to be deleted")),
        },
        409 | 412 => Err(Failure::Retry(RETRY_MS)),
        _ => match ERP.answered(&response, "the deletion")? {
            Answer::Done => Ok(deleted(order, &delivery.natural_key)),
            Answer::Refused => Err(refused("to delete the sales order", &response)),
        },
    }
}

/// Whether an earlier attempt deleted it.
pub(crate) fn find(query: &FindQuery) -> Result<Option<Receipt>, Failure> {
    if sales_order(&query.natural_key, &query.settings)?.is_some() {
        return Ok(None);
    }
    // One that was posted whole is not there any more either, and nothing of it was undone.
    match posted(&query.natural_key, &query.settings)? {
        Some(posted) => Err(credit_it(&posted)),
        None => Ok(Some(gone(&query.natural_key))),
    }
}

fn credit_it(posted: &Posted) -> Failure {
    Failure::permanent(format!(
        "sales-order-posted: the ERP has {} of it and no sales order, so nothing was cancelled; credit it there",
        posted.name
    ))
}

fn deleted(order: SalesOrder, natural_key: &str) -> Receipt {
    order.receipt().unwrap_or_else(|| gone(natural_key))
}

/// It was not there, or is not any more.
fn gone(natural_key: &str) -> Receipt {
    let detail = "the ERP has no sales order of it".to_owned();
    Receipt { external_id: crate::document_number(natural_key), detail: Some(detail) }
}
