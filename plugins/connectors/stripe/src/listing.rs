//! All payments, refunds and disputes since a time, page by page, for whoever compares them with what the
//! host heard.
//!
//! ```text
//! GET /v1/charges?limit=100&expand[]=data.balance_transaction[&created[gte]=…][&starting_after=ch_…]
//! GET /v1/refunds?limit=100[&created[gte]=…][&starting_after=re_…]
//! GET /v1/disputes?limit=100[&created[gte]=…][&starting_after=dp_…]
//!                                  200 {"object":"list","data":[…],"has_more":true}
//! ```
//!
//! One after the other; the place in the list is which of them and the last object's id. They come
//! newest first, so what is made meanwhile is in front of what is read and moves nothing. A page is one
//! document, its objects as they came: which of them moved money is the transformer's to read.
//!
//! Settings: `list`, what is listed: `payments`; `list-since`, from when on they were made (the host sets
//! it).
//!
//! Sources: docs.stripe.com/api, "Pagination", "List all charges", "List all refunds", "List all disputes".

use portreeve_guest_json::moment;
use portreeve_guest_rest::wait;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{STRIPE, send, url};

/// A page of objects.
const KIND: &str = "stripe/list";

/// What is listed, in this order, with what is asked for of each.
const LISTS: [(&str, &str); 3] =
    [("charges", "&expand%5B%5D=data.balance_transaction"), ("refunds", ""), ("disputes", "")];

/// Bytes of an object's id. It goes back to Stripe in an address.
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
    let place = request.cursor.map(String::from_utf8).transpose();
    let place = place.map_err(|_| unknown_place())?.unwrap_or_else(|| "charges/".to_owned());
    let (name, after) = place.split_once('/').ok_or_else(unknown_place)?;
    let index = LISTS.iter().position(|(list, _)| *list == name).ok_or_else(unknown_place)?;
    let (_, expand) = LISTS.get(index).ok_or_else(unknown_place)?;

    let since = created_since(&request.settings)?;
    let after_it = if after.is_empty() { String::new() } else { format!("&starting_after={}", http::escaped(after)) };
    let below = format!("{name}?limit=100{expand}{since}{after_it}");
    let response = send(http::Request::get_json(&url(&request.settings, &below)?), &request.settings)?;
    match response.status {
        200 => {}
        408 | 409 | 424 | 429 | 500..=599 => return Err(Failure::Retry(wait(&response))),
        status => return Err(STRIPE.unusable(status)),
    }
    let unreadable = || Failure::permanent(format!("Stripe's list of {name} is not the JSON that was expected"));
    let Page { data, has_more } = serde_json::from_slice(&response.body).map_err(|_| unreadable())?;
    let rows: Vec<Named> = serde_json::from_str(data.get()).map_err(|_| unreadable())?;
    let next = match rows.last().filter(|_| has_more) {
        Some(Named { id }) if (1..=ID_BYTES_MAX).contains(&id.len()) => Some(format!("{name}/{id}")),
        Some(_) => return Err(Failure::permanent("Stripe lists an object whose id is empty or too long for one")),
        None => LISTS.get(index.saturating_add(1)).map(|(next, _)| format!("{next}/")),
    };
    let document = Document {
        key: place.clone(),
        partner: String::new(),
        kind: KIND.to_owned(),
        position: Position { offset_bytes: None, segment: None, path: "data".to_owned() },
        envelope: None,
        body: data.get().as_bytes().to_vec(),
    };
    let documents = if rows.is_empty() { vec![] } else { vec![document] };
    Ok(Polled { documents, problems: vec![], cursor: next.map(String::into_bytes) })
}

/// From when on, in seconds.
fn created_since(settings: &[Setting]) -> Result<String, Failure> {
    let Some(since) = setting(settings, "list-since") else { return Ok(String::new()) };
    let since =
        moment::parse(since).ok_or_else(|| Failure::permanent("setting `list-since` is no time of RFC 3339"))?;
    Ok(format!("&created%5Bgte%5D={}", since.div_euclid(1_000)))
}

fn unknown_place() -> Failure {
    Failure::permanent("found a place in the list of payments that is none of this connector's")
}
