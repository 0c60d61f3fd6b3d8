//! Orders and returns of Adobe Commerce, in each of the shapes in which it sends them:
//!
//! ```text
//! {"increment_id": …}                     GET V1/orders/{id}, V1/returns/{id}, or a webhook's payload
//! {"order": {…}}                          a synchronous webhook
//! {"rma": {…}}, {"rmaDataObject": {…}}    the same of a return
//! {"items": [{"increment_id": …}]}        a search, GET V1/orders?searchCriteria…, V1/returns?…
//! {"event": {"data": {"value": …}}}       a delivery of Adobe I/O Events
//! ```
//!
//! A return is what names an order by `order_increment_id`. Its webhook is one of after it was saved,
//! since it has no number before, and has its items with `product_sku` among its fields.
//!
//! The bytes go on as they came: Commerce writes `"price":200` beside
//! `"base_price":"200.0000"`, and a number that passes through a parser and back
//! is another number. A synchronous webhook holds up the shopper's checkout until
//! it gets an operation document, so the answer is the shortest one there is: always
//! 200, with `success`, or with `exception` and what is wrong. Any other status
//! counts as a failed call there, and Commerce then goes by its own fallback.
//!
//! Adobe I/O Events register an address by a GET whose `challenge` is echoed.

use portreeve_guest_adobe::{document, malformed};
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Orders and returns of one input. A search can be asked for any page size; one input is
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

/// The wrappings of an order or a return; which of them is there tells the shape.
#[derive(Deserialize)]
struct Wrapping<'a> {
    #[serde(borrow)]
    increment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    order: Option<&'a RawValue>,
    #[serde(borrow)]
    rma: Option<&'a RawValue>,
    #[serde(borrow, rename = "rmaDataObject")]
    rma_data_object: Option<&'a RawValue>,
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

/// The orders and returns in a body, each as it was written.
fn orders(body: &[u8]) -> Result<Vec<&RawValue>, Box<Problem>> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let whole: &RawValue = serde_json::from_slice(text).map_err(|error| malformed(&error, text, body, ""))?;
    let wrapping: Wrapping<'_> =
        serde_json::from_str(whole.get()).map_err(|error| malformed(&error, whole.get().as_bytes(), body, ""))?;
    let event = wrapping.event.and_then(|event| event.data).and_then(|data| data.value);
    let one = wrapping.order.or(wrapping.rma).or(wrapping.rma_data_object).or(event);
    match (wrapping.increment_id, one, wrapping.items) {
        // A bare order has items of its own, so its number is asked for first.
        (Some(_), ..) => Ok(vec![whole]),
        (None, Some(one), _) => Ok(vec![one]),
        (None, None, Some(items)) => Ok(items),
        (None, None, None) => {
            let message =
                "found no order and no return; expected `increment_id`, `order`, `rma`, `items` or `event.data.value`";
            Err(Box::new(Problem::new("order-missing", message, "")))
        }
    }
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
