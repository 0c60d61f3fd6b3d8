//! All money that moved since a time, page by page, for whoever compares it with what the host heard.
//!
//! ```text
//! GET /v1/balance_transactions?limit=100&expand[]=data.source[&created[gte]=…][&starting_after=txn_…]
//!                                  200 {"object":"list","data":[…],"has_more":true}
//! ```
//!
//! Charges, refunds and disputes are listed by when they were made, which says nothing of when their
//! money moved: a charge is captured days later, and a dispute that is won gives its money back after
//! months. A balance transaction is made when money moves, so a time of them has all that moved in it.
//! What moved (the charge, the refund, the dispute) is asked for in its place, as it is now.
//!
//! The place in the list is the last movement's id. They come newest first, so what moves meanwhile is in
//! front of what is read and displaces nothing. A page is one document, its rows as they came: which of
//! them are payments is the transformer's to read.
//!
//! Settings: `list`, what is listed: `payments`; `list-since`, from when on money moved (the host sets
//! it).
//!
//! Sources: docs.stripe.com/api, "Pagination", "Expanding responses", "List all balance transactions";
//! docs.stripe.com/reports/balance-transaction-types.

use portreeve_guest_json::moment;
use portreeve_guest_rest::wait;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{STRIPE, send, url};

/// A page of movements.
const KIND: &str = "stripe/list";

/// Bytes of a movement's id. It goes back to Stripe in an address.
const ID_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    has_more: bool,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// The page behind a place.
///
/// # Errors
/// When there is none that can be read.
pub(crate) fn page(request: PollRequest) -> Result<Polled, Failure> {
    if setting(&request.settings, "list") != Some("payments") {
        return Err(Failure::permanent("setting `list` is not what this connector lists; expected `payments`"));
    }
    let after = request.cursor.map(String::from_utf8).transpose();
    let after = after.map_err(|_| {
        Failure::permanent("found a place in the list of payments that is no text; expected a movement's id")
    })?;
    let since = created_since(&request.settings)?;
    let behind = after.as_deref().map(|id| format!("&starting_after={}", http::escaped(id))).unwrap_or_default();
    let below = format!("balance_transactions?limit=100&expand%5B%5D=data.source{since}{behind}");
    let response = send(http::Request::get_json(&url(&request.settings, &below)?), &request.settings)?;
    match response.status {
        200 => {}
        408 | 409 | 424 | 429 | 500..=599 => return Err(Failure::Retry(wait(&response))),
        status => return Err(STRIPE.unusable(status)),
    }
    let unreadable = || Failure::permanent("Stripe's list of movements is not the JSON that was expected");
    let Page { data, has_more } = serde_json::from_slice(&response.body).map_err(|_| unreadable())?;
    let rows: Vec<Named> = serde_json::from_str(data.get()).map_err(|_| unreadable())?;
    let next = match rows.last().filter(|_| has_more) {
        Some(Named { id }) if (1..=ID_BYTES_MAX).contains(&id.len()) => Some(id.clone().into_bytes()),
        Some(_) => return Err(Failure::permanent("Stripe lists a movement whose id is empty or too long for one")),
        None => None,
    };
    let document = Document {
        key: format!("balance_transactions/{}", after.unwrap_or_default()),
        partner: String::new(),
        kind: KIND.to_owned(),
        position: Position { offset_bytes: None, segment: None, path: "data".to_owned() },
        envelope: None,
        body: data.get().as_bytes().to_vec(),
    };
    let documents = if rows.is_empty() { vec![] } else { vec![document] };
    Ok(Polled { documents, problems: vec![], cursor: next })
}

/// From when on, in seconds.
fn created_since(settings: &[Setting]) -> Result<String, Failure> {
    let Some(since) = setting(settings, "list-since") else { return Ok(String::new()) };
    let since =
        moment::parse(since).ok_or_else(|| Failure::permanent("setting `list-since` is no time of RFC 3339"))?;
    Ok(format!("&created%5Bgte%5D={}", since.div_euclid(1_000)))
}
