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
//! it gets an operation document, so the answer is the shortest one there is.

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

const KIND: &str = "adobe/order";

/// Orders of one input. A search can be asked for any page size; one input is
/// one commit.
const ORDERS_MAX: usize = 500;

/// Bytes of a challenge that is echoed; Adobe sends a UUID.
const CHALLENGE_BYTES_MAX: usize = 128;

/// Headers that name a delivery, in the order in which they are asked for.
const DELIVERY_HEADERS: [&str; 4] =
    ["x-adobe-commerce-event-id", "x-adobe-commerce-webhook-id", "x-adobe-event-id", "webhook-id"];

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

struct AdobeCommerce;

impl Connector for AdobeCommerce {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        if let Some(challenge) = challenge(&input) {
            let reply = reply(200, "text/plain", challenge.into_bytes());
            return Ok(Received { envelopes: vec![], documents: vec![], problems: vec![], reply });
        }
        let envelopes = DELIVERY_HEADERS.iter().find_map(|name| header(&input.headers, name));
        let (documents, problems) = match orders(&input.body) {
            Ok(orders) => read_orders(&orders, &input.body),
            Err(problem) => (vec![], vec![*problem]),
        };
        let reply = answer(&documents, &problems);
        Ok(Received { envelopes: envelopes.map(str::to_owned).into_iter().collect(), documents, problems, reply })
    }
}

/// The challenge of Adobe I/O Events, which registers an address by a GET.
fn challenge(input: &Inbound) -> Option<String> {
    let query = input.path.split_once('?')?.1;
    let challenge = query.split('&').find_map(|pair| pair.strip_prefix("challenge="))?;
    // Only what needs no escape is echoed, so that the answer is never a page.
    let plain = challenge.len() <= CHALLENGE_BYTES_MAX
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    (input.method == "GET" && plain).then(|| challenge.to_owned())
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
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let whole: &RawValue = serde_json::from_slice(body).map_err(|error| malformed(&error, ""))?;
    let wrapping: Wrapping<'_> = serde_json::from_str(whole.get()).map_err(|error| malformed(&error, ""))?;
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

fn read_orders(orders: &[&RawValue], body: &[u8]) -> (Vec<Document>, Vec<Problem>) {
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    if orders.len() > ORDERS_MAX {
        let message = format!("found {} orders; expected {ORDERS_MAX} at most, ask for smaller pages", orders.len());
        problems.push(Problem::new("too-many-orders", message, "items"));
        return (documents, problems);
    }
    for (index, order) in orders.iter().enumerate() {
        match document(order, index, body) {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(*problem),
        }
    }
    (documents, problems)
}

fn document(order: &RawValue, index: usize, body: &[u8]) -> Result<Document, Box<Problem>> {
    let path = format!("orders[{index}]");
    let identity: Identity<'_> = serde_json::from_str(order.get()).map_err(|error| malformed(&error, &path))?;
    if identity.order_id.is_some() {
        let message = "found a document with an `order_id`, such as an invoice; expected an order";
        return Err(Box::new(Problem::new("not-an-order", message, path)));
    }
    let number = identity.increment_id.and_then(scalar).ok_or_else(|| {
        Box::new(Problem::new(
            "order-number-missing",
            "the order has no `increment_id`",
            format!("{path}.increment_id"),
        ))
    })?;
    let store = identity.store_id.and_then(scalar).unwrap_or_default();
    let position = Position { offset_bytes: offset(order, body), segment: None, path };
    let partner = escaped(&store);
    let key = format!("{partner}/{}", escaped(&number));
    Ok(Document { key, partner, kind: KIND.to_owned(), position, body: order.get().as_bytes().to_vec() })
}

/// A string or number as text; nothing for the rest.
fn scalar(value: &RawValue) -> Option<String> {
    let raw = value.get();
    let text = if raw.starts_with('"') { serde_json::from_str(raw).ok()? } else { raw.to_owned() };
    let number = raw.starts_with(|first: char| first.is_ascii_digit());
    ((raw.starts_with('"') || number) && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// A part of a key in which the key's own separator cannot occur.
fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

/// Where a borrowed order starts in the body it was borrowed from.
fn offset(order: &RawValue, body: &[u8]) -> Option<u64> {
    let start = order.get().as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    u64::try_from(start).ok()
}

/// A syntax error without the text around it, which is the customer's.
fn malformed(error: &serde_json::Error, path: &str) -> Box<Problem> {
    let message = format!("the JSON cannot be read at line {}, column {}", error.line(), error.column());
    Box::new(Problem::new("malformed-json", message, path))
}

fn answer(documents: &[Document], problems: &[Problem]) -> Reply {
    match problems.first() {
        Some(problem) if documents.is_empty() => {
            let message = serde_json::json!([{"op": "exception", "message": problem.message}]);
            reply(400, "application/json", message.to_string().into_bytes())
        }
        _ => reply(200, "application/json", br#"[{"op":"success"}]"#.to_vec()),
    }
}

fn reply(status: u16, content_type: &str, body: Vec<u8>) -> Reply {
    let headers = vec![Header { name: "content-type".to_owned(), value: content_type.to_owned() }];
    Reply { status, headers, body }
}

portreeve_sdk::connector!(AdobeCommerce);
