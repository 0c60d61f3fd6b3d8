//! Orders of Adobe Commerce, in each of the shapes in which it sends them:
//!
//! ```text
//! {"increment_id": …}               GET V1/orders/{id}, or a webhook's payload
//! {"order": {…}}                    a synchronous webhook
//! {"items": [{"increment_id": …}]}  a search, GET V1/orders?searchCriteria…
//! {"event": {"data": {"value": …}}} a delivery of Adobe I/O Events
//! ```
//!
//! The order's bytes go on as they came: Commerce writes `"price":200` beside
//! `"base_price":"200.0000"`, and a number that passes through a parser and back
//! is another number. A synchronous webhook holds up the shopper's checkout until
//! it gets an operation document, so the answer is the shortest one there is: always
//! 200, with `success`, or with `exception` and what is wrong. Any other status
//! counts as a failed call there, and Commerce then goes by its own fallback.
//!
//! Adobe I/O Events register an address by a GET whose `challenge` is echoed.

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

const KIND: &str = "adobe/order";

/// Orders of one input. A search can be asked for any page size; one input is
/// one commit.
const ORDERS_MAX: usize = 500;

/// Bytes of an order's number in a key. Commerce itself has 50 characters. With
/// [`STORE_BYTES_MAX`] it stays within the 256 of the contract: the host refuses a
/// result with a longer key whole, and with it every other order of the input.
const NUMBER_BYTES_MAX: usize = 160;

/// Bytes of a store's number in a key. Commerce itself counts stores.
const STORE_BYTES_MAX: usize = 64;

/// Bytes of a challenge that is echoed; Adobe sends a UUID.
const CHALLENGE_BYTES_MAX: usize = 128;

/// Headers that name a delivery, in the order in which they are asked for.
const DELIVERY_HEADERS: [&str; 4] =
    ["x-adobe-commerce-event-id", "x-adobe-commerce-webhook-id", "x-adobe-event-id", "webhook-id"];

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

struct AdobeCommerce;

impl Connector for AdobeCommerce {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        if input.method == "GET" {
            return Ok(registration(&input.path));
        }
        let id = DELIVERY_HEADERS.iter().find_map(|name| header(&input.headers, name));
        let id = id.filter(|id| !id.trim().is_empty() && !id.chars().any(char::is_control));
        let (documents, problems) = match orders(&input.body) {
            Ok(orders) => read_orders(&orders, &input.body, id.as_ref().map(|_| 0)),
            Err(problem) => (vec![], vec![*problem]),
        };
        // A call of which nothing was taken may come again mended, with the same id.
        let taken = !documents.is_empty() || problems.is_empty();
        let envelopes = id.filter(|_| taken).map(Envelope::of_input).into_iter().collect();
        let reply = answer(&documents, &problems);
        Ok(Received { envelopes, documents, problems, reply })
    }
}

/// The answer to the GET by which Adobe I/O Events register an address.
fn registration(path: &str) -> Received {
    let (problems, reply) = match challenge(path) {
        Some(challenge) => (vec![], reply(200, "text/plain", challenge.into_bytes())),
        None => {
            let message =
                "found a GET without a plain `challenge`; expected one of Adobe I/O Events, orders are posted";
            let answer = reply(400, "text/plain; charset=utf-8", format!("{message}\n").into_bytes());
            (vec![Problem::new("challenge-missing", message, "challenge")], answer)
        }
    };
    Received { envelopes: vec![], documents: vec![], problems, reply }
}

fn challenge(path: &str) -> Option<String> {
    let query = path.split_once('?')?.1;
    let challenge = query.split('&').find_map(|pair| pair.strip_prefix("challenge="))?;
    // Only what needs no escape is echoed, so that the answer is never a page.
    let plain = (1..=CHALLENGE_BYTES_MAX).contains(&challenge.len())
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    plain.then(|| challenge.to_owned())
}

/// The wrappings of an order; which of them is there tells the shape.
#[derive(Deserialize)]
struct Wrapping<'a> {
    #[serde(borrow)]
    increment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    order: Option<&'a RawValue>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    event: Option<EventWrapping<'a>>,
}

#[derive(Deserialize)]
struct EventWrapping<'a> {
    #[serde(borrow)]
    data: Option<DataWrapping<'a>>,
}

#[derive(Deserialize)]
struct DataWrapping<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// The orders in a body, each as it was written.
fn orders(body: &[u8]) -> Result<Vec<&RawValue>, Box<Problem>> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let whole: &RawValue = serde_json::from_slice(text).map_err(|error| malformed(&error, text, body, ""))?;
    let wrapping: Wrapping<'_> =
        serde_json::from_str(whole.get()).map_err(|error| malformed(&error, whole.get().as_bytes(), body, ""))?;
    let event = wrapping.event.and_then(|event| event.data).and_then(|data| data.value);
    match (wrapping.increment_id, wrapping.order.or(event), wrapping.items) {
        // A bare order has items of its own, so its number is asked for first.
        (Some(_), ..) => Ok(vec![whole]),
        (None, Some(order), _) => Ok(vec![order]),
        (None, None, Some(items)) => Ok(items),
        (None, None, None) => {
            let message = "found no order; expected `increment_id`, `order`, `items` or `event.data.value`";
            Err(Box::new(Problem::new("order-missing", message, "")))
        }
    }
}

/// What is needed of an order here: who it is. Invoices, shipments and credit
/// memos have an `increment_id` too, and name the order that they belong to.
#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow)]
    increment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    order_id: Option<&'a RawValue>,
    #[serde(borrow)]
    store_id: Option<&'a RawValue>,
}

fn read_orders(orders: &[&RawValue], body: &[u8], envelope: Option<u32>) -> (Vec<Document>, Vec<Problem>) {
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    if orders.len() > ORDERS_MAX {
        let message = format!("found {} orders; expected {ORDERS_MAX} at most, ask for smaller pages", orders.len());
        problems.push(Problem::new("too-many-orders", message, "items"));
        return (documents, problems);
    }
    for (index, order) in orders.iter().enumerate() {
        match document(order, index, body, envelope) {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(*problem),
        }
    }
    (documents, problems)
}

fn document(order: &RawValue, index: usize, body: &[u8], envelope: Option<u32>) -> Result<Document, Box<Problem>> {
    let path = format!("orders[{index}]");
    let identity: Identity<'_> =
        serde_json::from_str(order.get()).map_err(|error| malformed(&error, order.get().as_bytes(), body, &path))?;
    if identity.order_id.is_some() {
        let message = "found a document with an `order_id`, such as an invoice; expected an order";
        return Err(Box::new(Problem::new("not-an-order", message, path)));
    }
    let number = identity.increment_id.and_then(|number| key_part(number, NUMBER_BYTES_MAX)).ok_or_else(|| {
        let message = "the order has no `increment_id` that names it: a text of 1 to 160 bytes without control \
                       characters, or a whole number";
        Box::new(Problem::new("order-number-missing", message, format!("{path}.increment_id")))
    })?;
    let partner = store(identity.store_id, &path)?;
    let position = Position { offset_bytes: offset(order.get().as_bytes(), body), segment: None, path };
    let key = format!("{partner}/{number}");
    Ok(Document { key, partner, kind: KIND.to_owned(), position, envelope, body: order.get().as_bytes().to_vec() })
}

/// The store in a key, which is empty where the shop names none. One that names
/// nothing is no empty one: orders of two stores would share their numbers.
fn store(found: Option<&RawValue>, path: &str) -> Result<String, Box<Problem>> {
    let Some(found) = found.filter(|found| found.get() != "\"\"") else { return Ok(String::new()) };
    key_part(found, STORE_BYTES_MAX).ok_or_else(|| {
        let message = "the order's `store_id` names no store; expected a text of 1 to 64 bytes without control \
                       characters, a whole number, or none";
        Box::new(Problem::new("store-malformed", message, format!("{path}.store_id")))
    })
}

/// A string or whole number as part of a key; nothing for what names nothing, or
/// would look like another.
fn key_part(value: &RawValue, bytes_max: usize) -> Option<String> {
    let raw = value.get();
    let text = if raw.starts_with('"') {
        serde_json::from_str(raw).ok()?
    } else {
        // `1e9` is a number to JSON and none to a shop.
        raw.bytes().all(|byte| byte.is_ascii_digit()).then(|| raw.to_owned())?
    };
    let part = escaped_part(text.trim());
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
fn malformed(error: &serde_json::Error, part: &[u8], body: &[u8], path: &str) -> Box<Problem> {
    let before: usize =
        part.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let in_part = before + error.column().saturating_sub(1);
    let start = offset(part, body).and_then(|start| usize::try_from(start).ok()).unwrap_or_default();
    let at = (start + in_part).min(body.len());
    let read = body.get(..at).unwrap_or_default();
    let line = 1 + read.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + read.iter().rev().take_while(|byte| **byte != b'\n').count();
    let message = format!("the JSON cannot be read at line {line}, column {column}; expected an order of Commerce");
    let problem = Problem::new("malformed-json", message, path).at_offset(u64::try_from(at).unwrap_or(u64::MAX));
    Box::new(problem.at_segment(u32::try_from(line).unwrap_or(u32::MAX)))
}

/// The operation document. A search result with one bad order is no exception: its
/// other orders are taken, and the host tells people of the bad one.
fn answer(documents: &[Document], problems: &[Problem]) -> Reply {
    match problems.first() {
        Some(problem) if documents.is_empty() => {
            let message = serde_json::json!([{"op": "exception", "message": problem.message}]);
            reply(200, "application/json", message.to_string().into_bytes())
        }
        _ => reply(200, "application/json", br#"[{"op":"success"}]"#.to_vec()),
    }
}

fn reply(status: u16, content_type: &str, body: Vec<u8>) -> Reply {
    let headers = vec![Header { name: "content-type".to_owned(), value: content_type.to_owned() }];
    Reply { status, headers, body }
}

portreeve_sdk::connector!(AdobeCommerce);
