//! An order or a return of Adobe Commerce as a document: by webhook, in a search result, or fetched.
//!
//! The danger is one thing that comes twice as two. So what names it is made in one place: the store
//! and the number that its customer knows, with what would look like another one escaped. Its bytes
//! go on as they came, but for a cancellation: the shop changes a cancelled order time and again, and a
//! list has other words than a webhook, so of that only the wish goes on, which is the same each time.
//!
//! ```text
//! STORE/NUMBER            an order
//! STORE/NUMBER/canceled   that it is cancelled: news of an order that came before
//! STORE/NUMBER/return     a return, by its own number
//! ```
//!
//! A return names the order that it is of (`order_increment_id`), and is told from invoices,
//! shipments and credit memos by that: they have an `order_id` alone.

use portreeve_sdk::connector::{Document, Position, Problem, escaped_part};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The kind of an order's document.
pub const KIND: &str = "adobe/order";

/// The kind of a return's document.
pub const RETURN: &str = "adobe/return";

/// What an order is in that its customer or the shop cancelled, in its `state` and at the end of
/// the key.
pub const CANCELED: &str = "canceled";

/// Bytes of a number in a key. Commerce itself has 50 characters. With
/// [`STORE_BYTES_MAX`] and what stands behind it it stays within the 256 of the contract: the host
/// refuses a result with a longer key whole, and with it every other order of the input.
const NUMBER_BYTES_MAX: usize = 160;

/// Bytes of a store's number in a key. Commerce itself counts stores.
const STORE_BYTES_MAX: usize = 64;

/// What is needed here: what it is, and which one. Invoices, shipments and credit
/// memos have an `increment_id` too, and name the order that they belong to.
#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow)]
    increment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    order_id: Option<&'a RawValue>,
    #[serde(borrow)]
    order_increment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    store_id: Option<&'a RawValue>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

/// What goes on of a cancelled order.
#[derive(Serialize)]
struct Wish {
    increment_id: Option<String>,
    state: &'static str,
    status: Option<String>,
}

/// An order or a return as a document, with the bytes that it has in its body, or the wish that a
/// cancelled order is: its number of those in the body, and the envelope that it came in.
///
/// # Errors
/// When it is neither, or nothing names it.
pub fn document(found: &RawValue, index: usize, body: &[u8], envelope: Option<u32>) -> Result<Document, Box<Problem>> {
    let path = format!("orders[{index}]");
    let identity: Identity<'_> =
        serde_json::from_str(found.get()).map_err(|error| malformed(&error, found.get().as_bytes(), body, &path))?;
    let number = identity.increment_id.and_then(|number| key_part(number, NUMBER_BYTES_MAX));
    let mut bytes = found.get().as_bytes().to_vec();
    let (kind, number, rest, path) = match (identity.order_increment_id, identity.order_id) {
        (Some(_), _) => {
            let path = format!("returns[{index}]");
            let number = number.ok_or_else(|| unnamed("return", &path))?;
            (RETURN, number, "/return", path)
        }
        (None, Some(_)) => {
            let message = "found a document with an `order_id`, such as an invoice; expected an order";
            return Err(Box::new(Problem::new("not-an-order", message, path)));
        }
        (None, None) => {
            let number = number.ok_or_else(|| unnamed("order", &path))?;
            match is_canceled(identity.state).then(|| wish(&identity)).flatten() {
                Some(wish) => {
                    bytes = wish;
                    (KIND, number, "/canceled", path)
                }
                None => (KIND, number, "", path),
            }
        }
    };
    let partner = store(identity.store_id, &path)?;
    let position = Position { offset_bytes: offset(found.get().as_bytes(), body), segment: None, path };
    let key = format!("{partner}/{number}{rest}");
    Ok(Document { key, partner, kind: kind.to_owned(), position, envelope, body: bytes })
}

fn unnamed(what: &str, path: &str) -> Box<Problem> {
    let message = format!(
        "the {what} has no `increment_id` that names it: a text of 1 to 160 bytes without control characters, or a \
         whole number"
    );
    Box::new(Problem::new(format!("{what}-number-missing"), message, format!("{path}.increment_id")))
}

/// The wish to cancel that a cancelled order is.
fn wish(identity: &Identity<'_>) -> Option<Vec<u8>> {
    let (increment_id, status) = (identity.increment_id.and_then(plain), identity.status.and_then(plain));
    serde_json::to_vec(&Wish { increment_id, state: CANCELED, status }).ok()
}

/// Whether a state says that nobody wants the order any more, as the transformer reads it.
fn is_canceled(state: Option<&RawValue>) -> bool {
    let state = state.and_then(|state| serde_json::from_str::<String>(state.get()).ok());
    state.is_some_and(|state| state.trim() == CANCELED)
}

/// The store in a key, which is empty where the shop names none. One that names
/// nothing is no empty one: orders of two stores would share their numbers.
fn store(found: Option<&RawValue>, path: &str) -> Result<String, Box<Problem>> {
    let Some(found) = found.filter(|found| found.get() != "\"\"") else { return Ok(String::new()) };
    key_part(found, STORE_BYTES_MAX).ok_or_else(|| {
        let message = "its `store_id` names no store; expected a text of 1 to 64 bytes without control \
                       characters, a whole number, or none";
        Box::new(Problem::new("store-malformed", message, format!("{path}.store_id")))
    })
}

/// A string or whole number as text.
fn plain(value: &RawValue) -> Option<String> {
    let raw = value.get();
    let text: String = if raw.starts_with('"') {
        serde_json::from_str(raw).ok()?
    } else {
        // `1e9` is a number to JSON and none to a shop.
        raw.bytes().all(|byte| byte.is_ascii_digit()).then(|| raw.to_owned())?
    };
    Some(text.trim().to_owned())
}

/// The same as part of a key; nothing for what names nothing, or would look like another.
fn key_part(value: &RawValue, bytes_max: usize) -> Option<String> {
    let part = escaped_part(&plain(value)?);
    let names_one = !part.is_empty() && part.len() <= bytes_max && !part.chars().any(char::is_control);
    names_one.then_some(part)
}

/// Where a borrowed part starts in the body it was borrowed from.
fn offset(part: &[u8], body: &[u8]) -> Option<u64> {
    let start = part.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    u64::try_from(start).ok()
}

/// A syntax error in a part of the body: its place, without the text around it,
/// which is the customer's.
#[must_use]
pub fn malformed(error: &serde_json::Error, part: &[u8], body: &[u8], path: &str) -> Box<Problem> {
    let before: usize =
        part.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let in_part = before + error.column().saturating_sub(1);
    let start = offset(part, body).and_then(|start| usize::try_from(start).ok()).unwrap_or_default();
    let at = (start + in_part).min(body.len());
    let read = body.get(..at).unwrap_or_default();
    let line = 1 + read.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + read.iter().rev().take_while(|byte| **byte != b'\n').count();
    let message =
        format!("the JSON cannot be read at line {line}, column {column}; expected an order or a return of Commerce");
    let problem = Problem::new("malformed-json", message, path).at_offset(u64::try_from(at).unwrap_or(u64::MAX));
    Box::new(problem.at_segment(u32::try_from(line).unwrap_or(u32::MAX)))
}
