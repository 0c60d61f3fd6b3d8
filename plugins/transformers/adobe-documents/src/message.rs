//! The bodies of Adobe's requests, out of what was said of an order.
//!
//! ```json
//! {"order":{"increment_id":"000000003","store_id":"1"},
//!  "request":{"statusHistory":{"comment":"The order was accepted.","is_customer_notified":0,"is_visible_on_front":1}}}
//! {"request":{"items":[{"order_item_id":3,"qty":1}],"notify":true,
//!             "tracks":[{"track_number":"1Y-9876543210","title":"United Parcel Service","carrier_code":"ups"}]}}
//! {"request":{"capture":true,"items":[…],"notify":true},"total":{"amount":165.00,"currency":"USD"}}
//! {"request":{"notify":true,"arguments":{"shipping_amount":0,"adjustment_positive":22.00,"adjustment_negative":0}},
//!  "total":{…}}
//! ```
//!
//! A refund has an amount and no lines, so it is an adjustment; its freight is in it.

use std::collections::BTreeSet;

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::value::RawValue;

/// The carriers that Commerce knows, with the titles that it gives them. Any other one has the
/// code of a tracking number without a carrier's page.
const CARRIERS: [(&str, &str); 4] = [
    ("ups", "United Parcel Service"),
    ("usps", "United States Postal Service"),
    ("fedex", "Federal Express"),
    ("dhl", "DHL"),
];
const OTHER_CARRIER: &str = "custom";

/// Characters of a tracking number and of its title: Commerce's columns would cut them.
const TRACK_CHARS_MAX: usize = 255;

/// Decimal places of a quantity: Commerce's columns would round what is finer.
pub(crate) const QUANTITY_PLACES_MAX: u8 = 4;

/// The largest id of an item: Commerce's column is an unsigned number of 32 bits.
const ITEM_ID_MAX: u64 = 4_294_967_295;

#[derive(Serialize)]
struct Written<'a, R> {
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Named<'a>>,
    request: R,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Total<'a>>,
}

/// What the shop calls an order. Numbers are counted by store there.
#[derive(Serialize)]
pub(crate) struct Named<'a> {
    increment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_id: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Total<'a> {
    amount: Box<RawValue>,
    currency: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Comment<'a> {
    status_history: StatusHistory<'a>,
}

#[derive(Serialize)]
struct StatusHistory<'a> {
    comment: &'a str,
    is_customer_notified: u8,
    is_visible_on_front: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
}

#[derive(Serialize)]
struct Ship<'a> {
    items: Vec<Item>,
    notify: bool,
    tracks: Vec<Track<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<ShipArguments<'a>>,
}

/// Where goods left from, for a shop whose stock lies in several places.
#[derive(Serialize)]
struct ShipArguments<'a> {
    extension_attributes: Source<'a>,
}

#[derive(Serialize)]
struct Source<'a> {
    source_code: &'a str,
}

#[derive(Serialize)]
struct Invoiced {
    capture: bool,
    items: Vec<Item>,
    notify: bool,
}

#[derive(Serialize)]
struct Item {
    order_item_id: u64,
    qty: Box<RawValue>,
}

#[derive(Serialize)]
struct Track<'a> {
    track_number: &'a str,
    title: &'a str,
    carrier_code: &'static str,
}

#[derive(Serialize)]
struct Refunded {
    notify: bool,
    arguments: Arguments,
}

#[derive(Serialize)]
struct Arguments {
    shipping_amount: u8,
    adjustment_positive: Box<RawValue>,
    adjustment_negative: u8,
}

/// Nothing is said but that it is to be.
#[derive(Serialize)]
struct Nothing {}

/// The system of record has the order.
///
/// # Errors
/// When a setting is none.
pub(crate) fn accepted(order: &Order, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    comment("The order was accepted.", "accepted-status", Some(order), settings)
}

/// The host keeps it back: somebody looks at it first.
///
/// # Errors
/// When a setting is none.
pub(crate) fn held(order: &Order, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    comment("The order is being reviewed.", "held-status", Some(order), settings)
}

/// It goes on.
///
/// # Errors
/// When a setting is none.
pub(crate) fn released(order: &Order, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    comment("The order was reviewed and goes on.", "released-status", Some(order), settings)
}

/// The system of record does not take it, or not any more.
///
/// # Errors
/// When a setting is none.
pub(crate) fn rejected(order: Option<&Order>, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    comment("The order was rejected.", "rejected-status", order, settings)
}

/// The same of an order that the shop may never have heard of: people rejected it before any
/// system had it. So the shop finds it by its own number, where the host tells that.
///
/// # Errors
/// When a setting is none.
pub(crate) fn rejected_later(settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    let order = setting(settings, "order-number").map(|increment_id| Named { increment_id, store_id: None });
    named_comment("The order was rejected.", "rejected-status", order, settings)
}

fn comment(text: &str, status: &str, order: Option<&Order>, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    named_comment(text, status, order.map(named), settings)
}

fn named_comment(text: &str, status: &str, order: Option<Named<'_>>, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    let status_history = StatusHistory {
        comment: text,
        is_customer_notified: u8::from(flag(settings, "notify")?),
        is_visible_on_front: u8::from(flag(settings, "visible")?),
        status: setting(settings, status),
    };
    written(order, Comment { status_history }, None)
}

/// It is cancelled in the shop.
///
/// # Errors
/// None but that it cannot be written.
pub(crate) fn cancel(order: Option<&Order>) -> Result<Vec<u8>, Failure> {
    written(order.map(named), Nothing {}, None)
}

/// Its sender wants it cancelled.
///
/// # Errors
/// When he wants that of some lines only: Commerce cancels an order whole.
pub(crate) fn cancel_wanted(wish: &CancelRequest) -> Result<Vec<u8>, Failure> {
    if wish.line_numbers.is_empty() {
        return cancel(None);
    }
    let message = "found a cancellation of single lines; expected one of the whole order, the shop cancels no less";
    Err(Failure::invalid(Problem::new("lines-of-a-cancellation", message, "line-numbers")))
}

/// Goods have left.
///
/// # Errors
/// Everything that the shop would have to guess.
pub(crate) fn shipment(shipment: &Shipment, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    let mut problems = vec![];
    let mut items = Items::default();
    for (index, line) in shipment.lines.iter().enumerate() {
        let path = format!("lines[{index}]");
        problems.extend(other_goods(line, &path));
        // Of a line of which nothing left there is nothing to tell.
        if line.shipped.value != 0 {
            items.add(&line.line_number, &line.shipped, &path, &mut problems);
        }
    }
    let items = items.some("nothing-shipped", "nothing that left", &mut problems);
    let tracks = tracks(shipment, &mut problems);
    let arguments = if flag(settings, "source-is-node")? { source(shipment, &mut problems) } else { None };
    stopped(problems)?;
    written(None, Ship { items, notify: flag(settings, "notify")?, tracks, arguments }, None)
}

fn source<'a>(shipment: &'a Shipment, problems: &mut Vec<Problem>) -> Option<ShipArguments<'a>> {
    let Some(source_code) = shipment.node.as_deref().filter(|node| !node.is_empty()) else {
        let message = "found no node; expected the one that the goods left, whose name is the shop's source";
        problems.push(Problem::new("node-missing", message, "node"));
        return None;
    };
    Some(ShipArguments { extension_attributes: Source { source_code } })
}

/// What left in the place of what was ordered is no item of the order.
fn other_goods(line: &ShipmentLine, path: &str) -> Vec<Problem> {
    let mut problems = vec![];
    if line.short == ShortReason::Substitution {
        let message = "found another item in the place of the ordered one; expected the ordered one, the shop would \
                       tell its customer that this one comes";
        problems.push(Problem::new("substituted", message, path));
    }
    if line.ordered.as_ref().is_some_and(|ordered| ordered.unit != line.shipped.unit) {
        let message = "found another unit than that of the order; expected the same, the shop counts in that";
        problems.push(Problem::new("other-unit", message, format!("{path}.shipped.unit")));
    }
    problems
}

fn tracks<'a>(shipment: &'a Shipment, problems: &mut Vec<Problem>) -> Vec<Track<'a>> {
    let carrier = shipment.carrier.as_deref().map(str::trim).filter(|carrier| !carrier.is_empty());
    let known = CARRIERS.iter().find(|(code, _)| carrier.is_some_and(|carrier| carrier.eq_ignore_ascii_case(code)));
    let (carrier_code, title) = match known {
        Some((code, title)) => (*code, *title),
        None => (OTHER_CARRIER, carrier.unwrap_or("Tracking")),
    };
    let fits = |text: &str| text.chars().count() <= TRACK_CHARS_MAX;
    for (index, _) in shipment.tracking.iter().enumerate().filter(|(_, number)| !fits(number) || !fits(title)) {
        let message = format!(
            "found a tracking number or a carrier of more than {TRACK_CHARS_MAX} characters; expected one that the \
             shop keeps whole"
        );
        problems.push(Problem::new("track-too-long", message, format!("tracking[{index}]")));
    }
    shipment.tracking.iter().map(|number| Track { track_number: number, title, carrier_code }).collect()
}

/// Goods were invoiced.
///
/// # Errors
/// Everything that the shop would have to guess.
pub(crate) fn invoice(invoice: &Invoice, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    let mut problems = vec![];
    if invoice.total.minor < 0 || invoice.corrects.is_some() {
        let message = "found a credit memo; expected an invoice, money that goes back is told as a refund";
        problems.push(Problem::new("credit-memo", message, "total"));
    }
    let mut items = Items::default();
    for (index, line) in invoice.lines.iter().enumerate() {
        if is_beside(line, settings) {
            continue;
        }
        items.add(&line.line_number, &line.quantity, &format!("lines[{index}]"), &mut problems);
    }
    let items = items.some("lines-missing", "no lines", &mut problems);
    stopped(problems)?;
    let request = Invoiced { capture: flag(settings, "capture")?, items, notify: flag(settings, "notify")? };
    written(None, request, Some(total(&invoice.total)?))
}

/// What finance charges beside the order's items, such as freight, is no item of the shop's, which
/// has it in the order's total; the connector compares that.
fn is_beside(line: &InvoiceLine, settings: &[Setting]) -> bool {
    let beside = setting(settings, "beside").unwrap_or_default();
    line.sku.as_deref().is_some_and(|sku| beside.split_whitespace().any(|beside| beside == sku))
}

/// Money went back.
///
/// # Errors
/// When it is none.
pub(crate) fn refund(refund: &Refund, settings: &[Setting]) -> Result<Vec<u8>, Failure> {
    if refund.amount.minor <= 0 {
        let message = "found an amount of nothing or below; expected what went back, above 0";
        return Err(Failure::invalid(Problem::new("amount-not-positive", message, "amount")));
    }
    let total = total(&refund.amount)?;
    let arguments = Arguments { shipping_amount: 0, adjustment_positive: total.amount.clone(), adjustment_negative: 0 };
    written(None, Refunded { notify: flag(settings, "notify")?, arguments }, Some(total))
}

/// Items of the shop, each once.
#[derive(Default)]
struct Items {
    items: Vec<Item>,
    seen: BTreeSet<u64>,
}

impl Items {
    fn add(&mut self, line_number: &str, quantity: &Quantity, path: &str, problems: &mut Vec<Problem>) {
        let Some(order_item_id) = item_id(line_number) else {
            let message = "found a line that is no item of the shop; expected its `item_id`, as the order's lines are \
                           numbered";
            problems.push(Problem::new("line-unknown", message, format!("{path}.line-number")));
            return;
        };
        if quantity.value <= 0 {
            let message = "found a quantity of nothing or below; expected one above 0";
            problems.push(Problem::new("quantity-not-positive", message, format!("{path}.quantity")));
            return;
        }
        if is_finer(quantity) {
            let message = format!(
                "found a quantity of more than {QUANTITY_PLACES_MAX} places; expected one that the shop does not round"
            );
            problems.push(Problem::new("quantity-too-fine", message, format!("{path}.quantity")));
            return;
        }
        if !self.seen.insert(order_item_id) {
            let message = "found a line twice; expected each line once, with all of it";
            problems.push(Problem::new("line-repeated", message, format!("{path}.line-number")));
            return;
        }
        match RawValue::from_string(money::to_text(quantity.value, quantity.scale)) {
            Ok(qty) => self.items.push(Item { order_item_id, qty }),
            Err(error) => problems.push(Problem::new("bad-number", error.to_string(), format!("{path}.quantity"))),
        }
    }

    /// The items, of which there has to be one: without any the shop takes all that is left.
    fn some(self, code: &str, found: &str, problems: &mut Vec<Problem>) -> Vec<Item> {
        if self.items.is_empty() && problems.is_empty() {
            let message = format!("found {found}; expected a line at least, the shop would take everything for meant");
            problems.push(Problem::new(code, message, "lines"));
        }
        self.items
    }
}

/// An id in the digits that the shop writes: `3`, and neither `+3` nor `03`.
fn item_id(line_number: &str) -> Option<u64> {
    let id: u64 = line_number.parse().ok().filter(|id| (1..=ITEM_ID_MAX).contains(id))?;
    (id.to_string() == line_number).then_some(id)
}

/// Whether a quantity has a digit behind the places that the shop keeps.
pub(crate) fn is_finer(quantity: &Quantity) -> bool {
    let places = u32::from(quantity.scale.saturating_sub(QUANTITY_PLACES_MAX));
    10_i64.checked_pow(places).is_none_or(|factor| quantity.value % factor != 0)
}

/// What the shop calls the order: `adobe-orders` keeps the store beside it.
fn named(order: &Order) -> Named<'_> {
    let store = order.extensions.iter().find(|extension| extension.name == "adobe:store_id");
    Named { increment_id: &order.number, store_id: store.map(|extension| extension.value.as_str()) }
}

fn total(amount: &Money) -> Result<Total<'_>, Failure> {
    let digits = RawValue::from_string(money::major_text(amount));
    let amount_digits = digits.map_err(|error| Failure::permanent(error.to_string()))?;
    Ok(Total { amount: amount_digits, currency: &amount.currency })
}

fn flag(settings: &[Setting], name: &str) -> Result<bool, Failure> {
    match setting(settings, name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Failure::permanent(format!("setting `{name}` is neither `true` nor `false`"))),
    }
}

pub(crate) fn stopped(problems: Vec<Problem>) -> Result<(), Failure> {
    if problems.is_empty() { Ok(()) } else { Err(Failure::Invalid(problems)) }
}

pub(crate) fn written(
    order: Option<Named<'_>>,
    request: impl Serialize,
    total: Option<Total<'_>>,
) -> Result<Vec<u8>, Failure> {
    let message = Written { order, request, total };
    serde_json::to_vec(&message).map_err(|error| Failure::permanent(error.to_string()))
}
