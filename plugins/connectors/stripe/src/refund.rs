//! What Stripe says of a refund: that it is made, that it refuses it, or which there are.

use portreeve_guest_rest::{shortened, wait};
use portreeve_sdk::connector::*;
use serde::Deserialize;

use crate::{STRIPE, send, url};

/// Objects of one page, the most that the API gives.
const PAGE: usize = 100;

/// Pages of refunds that one look-up reads: of as many charges, or of fewer that were
/// refunded very often. An order that has more is looked at by a person.
const PAGES_MAX: usize = 20;

/// When a payment is looked for again that was not found. It can be searched in less than a
/// minute, they say, and after an hour when something is wrong (docs.stripe.com/search).
const SEARCH_AGAIN_MS: u32 = 60_000;

/// A refund, as far as it is looked at.
#[derive(Deserialize)]
struct Refund {
    id: String,
    status: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    refund_number: Option<String>,
}

impl Refund {
    /// Whether it moved no money, and never will.
    fn is_dead(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }

    fn has_number(&self, number: &str) -> bool {
        self.metadata.as_ref().and_then(|metadata| metadata.refund_number.as_deref()) == Some(number)
    }

    fn receipt(self) -> Receipt {
        Receipt { external_id: self.id, detail: self.status.map(|status| format!("status {status}")) }
    }
}

#[derive(Deserialize)]
struct Charge {
    id: String,
    status: Option<String>,
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

/// Reads the answer to a refund that was made. An answer that cannot be read leaves its id
/// unknown, which [`find`] then tells.
pub(crate) fn made(body: &[u8]) -> Result<Receipt, Failure> {
    let refund: Refund = serde_json::from_slice(body)
        .map_err(|_| Failure::unknown("Stripe took the refund, but its answer does not name it"))?;
    if refund.is_dead() {
        let message = "found a refund that failed at once; expected one that succeeds or is pending";
        return Err(Failure::invalid(Problem::new("refund-failed", message, "")));
    }
    Ok(refund.receipt())
}

/// Stripe's refusal in its own words; it will refuse the same refund again. A 404 without them
/// is somebody else's: there is no such API.
pub(crate) fn refused(response: &http::Response) -> Failure {
    let body: Option<ErrorAnswer> = serde_json::from_slice(&response.body).ok();
    let Some(ErrorBody { kind, code, message }) = body.map(|answer| answer.error) else {
        return STRIPE.unusable(response.status);
    };
    let said = message.as_deref().unwrap_or("no reason given");
    let message = format!("Stripe refused the refund ({}): {}", response.status, shortened(said));
    let code = code.or(kind).map(|code| code.replace('_', "-")).filter(|code| is_code(code));
    Failure::invalid(Problem::new(code.as_deref().unwrap_or("refused-by-stripe"), message, ""))
}

fn is_code(text: &str) -> bool {
    let of_code = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(of_code)
}

/// The refund of a natural key `ORDER/REFUND-NUMBER`, where Stripe has it.
///
/// # Errors
/// When Stripe cannot be asked, does not know the payment yet, or has more than is read here,
/// a refund that failed, or two.
pub(crate) fn find(query: &FindQuery) -> Result<Option<Receipt>, Failure> {
    let (order, number) = parts(&query.natural_key)?;
    let mut found = Vec::new();
    let mut pages = PAGES_MAX;
    for charge in charges(order, &query.settings)? {
        let refunds = refunds_of(&charge.id, &query.settings, &mut pages)?;
        found.extend(refunds.into_iter().filter(|refund| refund.has_number(number)));
    }
    let (dead, mut alive): (Vec<_>, Vec<_>) = found.into_iter().partition(Refund::is_dead);
    match (alive.pop(), alive.pop(), dead.first()) {
        (Some(refund), None, _) => Ok(Some(refund.receipt())),
        (None, _, None) => Ok(None),
        (None, _, Some(dead)) => Err(Failure::permanent(format!(
            "refund-failed: Stripe has the refund as {}, and its money did not reach the customer; pay it in another \
             way, or make it there",
            dead.id
        ))),
        // Taking one would hide that the customer gets the money twice.
        (Some(first), Some(second), _) => Err(Failure::permanent(format!(
            "refund-twice: Stripe has {} refunds with this number, {} and {} among them; settle with the customer",
            2 + alive.len(),
            first.id,
            second.id
        ))),
    }
}

/// The form with what it refunds. One that names no payment is of the order's only one: which of
/// two the money is to go back to is not guessed.
///
/// # Errors
/// When Stripe cannot be asked, does not know the payment yet, or has two.
pub(crate) fn with_payment(form: Vec<u8>, natural_key: &str, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    let names_it = |field: &[u8]| field.starts_with(b"payment_intent=") || field.starts_with(b"charge=");
    if form.split(|byte| *byte == b'&').any(names_it) {
        return Ok(form);
    }
    let (order, _) = parts(natural_key)?;
    let mut charges = charges(order, settings)?;
    charges.retain(|charge| charge.status.as_deref() == Some("succeeded"));
    match (charges.pop(), charges.pop()) {
        (Some(charge), None) => Ok([form, format!("&charge={}", http::escaped(&charge.id)).into_bytes()].concat()),
        (None, _) => Err(Failure::Retry(SEARCH_AGAIN_MS)),
        (Some(_), Some(_)) => Err(Failure::permanent(
            "payments-several: the order was paid more than once, and the refund does not say which payment is to go \
             back; make it at Stripe",
        )),
    }
}

/// The order and the refund's number. What is put into a search must not be able to end it.
fn parts(natural_key: &str) -> Result<(&str, &str), Failure> {
    let is_id =
        |order: &str| !order.is_empty() && order.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    natural_key.split_once('/').filter(|(order, number)| is_id(order) && !number.is_empty()).ok_or_else(|| {
        Failure::permanent("the natural key names no refund; expected the order's id, a slash and the refund's number")
    })
}

/// The charges that say to be of an order.
fn charges(order: &str, settings: &[Setting]) -> Result<Vec<Charge>, Failure> {
    let search = http::escaped(&format!("metadata[\"order_id\"]:\"{order}\""));
    let found: List<Charge> = list(&format!("charges/search?query={search}&limit={PAGE}"), settings)?;
    if found.has_more {
        return Err(too_many(&format!("charges of order {order}")));
    }
    // None yet, or one without the order's id: whether there is a refund cannot be told.
    if found.data.is_empty() {
        return Err(Failure::Retry(SEARCH_AGAIN_MS));
    }
    Ok(found.data)
}

/// The refunds of a charge, as long as there are pages left.
fn refunds_of(charge: &str, settings: &[Setting], pages: &mut usize) -> Result<Vec<Refund>, Failure> {
    let mut refunds: Vec<Refund> = Vec::new();
    loop {
        *pages = pages.checked_sub(1).ok_or_else(|| too_many("refunds of the order"))?;
        let after = refunds.last().map(|last| format!("&starting_after={}", http::escaped(&last.id)));
        let below = format!("refunds?charge={}&limit={PAGE}{}", http::escaped(charge), after.unwrap_or_default());
        let page: List<Refund> = list(&below, settings)?;
        let goes_on = page.has_more && !page.data.is_empty();
        refunds.extend(page.data);
        if !goes_on {
            return Ok(refunds);
        }
    }
}

fn list<T: for<'a> Deserialize<'a>>(below: &str, settings: &[Setting]) -> Result<List<T>, Failure> {
    let response = send(http::Request::get_json(&url(settings, below)?), settings)?;
    match response.status {
        200 => serde_json::from_slice(&response.body)
            .map_err(|_| Failure::permanent("Stripe's list is not the JSON that was expected")),
        408 | 409 | 424 | 429 | 500..=599 => Err(Failure::Retry(wait(&response))),
        status => Err(STRIPE.unusable(status)),
    }
}

fn too_many(what: &str) -> Failure {
    Failure::permanent(format!("too-many: Stripe has more {what} than are read here; look for the refund there"))
}
