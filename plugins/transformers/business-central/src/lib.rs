//! A created order as a sales order of Business Central v2.0; what changes it (`changed`), and what
//! cancels, ships or credits it there (`posting`). The other way round, what it posted (`posted`), what it has of
//! each item (`listing`), its open sales orders (`orders`), and what it shipped (`shipments`).
//!
//! ```json
//! {"externalDocumentNumber":"6fa459eaee8a3ca4894edb77e160355e","customerNumber":"C-1001",
//!  "orderDate":"2026-03-02","currencyCode":"USD","shipToName":"…",
//!  "discountAmount":10.00,
//!  "salesOrderLines":[{"lineType":"Comment","sequence":1,"description":"Order 4711"},
//!   {"lineType":"Item","sequence":10,"lineObjectNumber":"SKU-1","quantity":5,"unitPrice":12.50,"unitOfMeasureCode":"EA"},
//!   {"lineType":"Account","lineObjectNumber":"6130","description":"Freight","quantity":1,"unitPrice":9.90}]}
//! ```
//!
//! `externalDocumentNumber` is the host's order id without hyphens: the ERP
//! allows 35 characters, and by it an earlier attempt is found again. The
//! customer's own order number goes into a comment line. Decimals are written
//! from integers digit by digit; a float would turn 1.179 into another price.
//!
//! A line keeps its `sequence` through posting, and it cannot be changed (Microsoft's page 30044
//! "APIV2 - Sales Order Lines"), so it is what a shipment finds a line by: ten times the order's
//! own number of the line. The ERP counts in ten thousands where it numbers lines itself; the
//! comment's sequence, 1, which it never gives, says that the numbers are ours. An order with
//! a line number that is no whole number, or one twice, has none of them, and its shipments are
//! posted by people.
//!
//! The order's discount goes into the header and its freight onto a line of the
//! account that the setting `freight-account` names: left out, the customer would
//! be charged too much or too little. An order with freight is `invalid` where
//! there is no such setting. Taxes are the ERP's own to work out.

mod changed;
mod line;
mod listing;
mod orders;
mod posted;
mod posting;
mod shipments;

use std::collections::BTreeSet;

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::value::RawValue;

const KIND: &str = "business-central/sales-order";
/// What has a sales order deleted: whatever was said of the order, it is known by its number.
const CANCEL: &str = "business-central/cancel";
/// The same of what has its rest taken off it.
const CLOSE: &str = "business-central/close";

/// The sequence of the comment with the order's number.
pub(crate) const COMMENT_SEQUENCE: u32 = 1;
/// Line numbers beyond it would not fit the ERP's numbers, and be no lines of an order.
const LINE_NUMBER_MAX: u32 = 200_000_000;

/// Widths of the ERP's fields, in characters. It refuses longer values.
const CUSTOMER_NUMBER_CHARS_MAX: usize = 20;
const ITEM_NUMBER_CHARS_MAX: usize = 20;
const DOCUMENT_NUMBER_CHARS_MAX: usize = 35;
const UNIT_CHARS_MAX: usize = 10;
/// A G/L account's number.
const ACCOUNT_NUMBER_CHARS_MAX: usize = 20;
/// Free text is cut to this instead of refused.
const TEXT_CHARS_MAX: usize = 100;
const CITY_CHARS_MAX: usize = 30;
const POST_CODE_CHARS_MAX: usize = 20;

struct BusinessCentral;

impl Transformer for BusinessCentral {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind == listing::ITEMS {
            return listing::levels(&request.body);
        }
        if request.kind == shipments::SALES_SHIPMENTS {
            return shipments::shipments(&request.body);
        }
        if request.kind == orders::SALES_ORDERS {
            return orders::orders(&request.body, &request.settings);
        }
        if !posted::reads(&request.kind) {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        posted::event(&request).map(|event| vec![event])
    }

    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        if [CANCEL, CLOSE].contains(&request.kind.as_str()) {
            return message(&request.kind, &Cancelled { external_document_number: request.order_id.replace('-', "") });
        }
        match (request.kind.as_str(), &request.event) {
            (posting::SHIP, Event::ShipmentConfirmed(shipment)) => {
                let shipped = posting::shipped(shipment, &request.order_id).map_err(Failure::Invalid)?;
                message(posting::SHIP, &shipped)
            }
            (posting::CREDIT, Event::ReturnReceived(goods)) => {
                let returned = posting::returned(goods, &request.order_id).map_err(Failure::Invalid)?;
                message(posting::CREDIT, &returned)
            }
            (changed::CHANGE, Event::OrderChanged(change)) => {
                let changed = changed::changed(&change.order, &request.order_id).map_err(Failure::Invalid)?;
                message(changed::CHANGE, &changed)
            }
            (KIND, Event::OrderCreated(order)) => {
                let freight_account = setting(&request.settings, "freight-account");
                message(KIND, &sales_order(order, &request.order_id, freight_account)?)
            }
            (KIND, _) => Err(Failure::permanent("a sales order is made of a created order; found another event")),
            (changed::CHANGE, _) => {
                Err(Failure::permanent("a sales order is changed by a changed order; found another event"))
            }
            (posting::SHIP, _) => {
                Err(Failure::permanent("an invoice is posted of a confirmed shipment; found another event"))
            }
            (posting::CREDIT, _) => {
                Err(Failure::permanent("a credit memo is made of a received return; found another event"))
            }
            (other, _) => {
                Err(Failure::permanent(format!("this transformer does not render messages of kind `{other}`")))
            }
        }
    }
}

fn message(kind: &str, content: &impl Serialize) -> Result<Message, Failure> {
    let body = serde_json::to_vec(content).map_err(|error| Failure::permanent(error.to_string()))?;
    Ok(Message { kind: kind.to_owned(), content_type: "application/json".to_owned(), body })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    external_document_number: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SalesOrder {
    external_document_number: String,
    customer_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_delivery_date: Option<String>,
    currency_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount_amount: Option<Box<RawValue>>,
    #[serde(flatten)]
    ship_to: Option<ShipTo>,
    sales_order_lines: Vec<SalesOrderLine>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShipTo {
    ship_to_name: String,
    ship_to_address_line1: String,
    ship_to_address_line2: String,
    ship_to_city: String,
    ship_to_state: String,
    ship_to_post_code: String,
    ship_to_country: String,
}

#[derive(Serialize)]
#[serde(tag = "lineType")]
enum SalesOrderLine {
    Comment {
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u32>,
        description: String,
    },
    #[serde(rename_all = "camelCase")]
    Item {
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u32>,
        line_object_number: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        quantity: Box<RawValue>,
        unit_price: Box<RawValue>,
        unit_of_measure_code: String,
    },
    #[serde(rename_all = "camelCase")]
    Account { line_object_number: String, description: &'static str, quantity: u32, unit_price: Box<RawValue> },
}

fn sales_order(order: &Order, order_id: &str, freight_account: Option<&str>) -> Result<SalesOrder, Failure> {
    let mut problems = Vec::new();
    let document = order_id.replace('-', "");
    within(&document, DOCUMENT_NUMBER_CHARS_MAX, "order-id", &mut problems);
    within(&order.customer.id, CUSTOMER_NUMBER_CHARS_MAX, "customer.id", &mut problems);
    let sequences = sequences(&order.lines);
    let description = cut(&format!("Order {}", order.number), TEXT_CHARS_MAX);
    let mut lines =
        vec![SalesOrderLine::Comment { sequence: sequences.as_ref().map(|_| COMMENT_SEQUENCE), description }];
    for (index, line) in order.lines.iter().enumerate() {
        let sequence = sequences.as_ref().and_then(|sequences| sequences.get(index).copied());
        match item_line(line, sequence, &format!("lines[{index}]"), &mut problems) {
            Ok(line) => lines.push(line),
            Err(problem) => problems.push(*problem),
        }
    }
    let discount = stated(order.totals.discount.as_ref(), "totals.discount", &mut problems);
    if let Some(freight) = stated(order.totals.shipping.as_ref(), "totals.shipping", &mut problems) {
        match freight_account {
            Some(account) => {
                within(account, ACCOUNT_NUMBER_CHARS_MAX, "settings.freight-account", &mut problems);
                lines.push(freight_line(account, freight));
            }
            None => {
                let message = "the order has freight; expected the setting `freight-account` with the account for it";
                problems.push(Problem::new("freight-account-missing", message, "totals.shipping"));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Invalid(problems));
    }
    Ok(SalesOrder {
        external_document_number: document,
        customer_number: order.customer.id.clone(),
        order_date: order.placed_at.and_then(date::of_instant).map(date::to_text),
        requested_delivery_date: requested(order).map(date::to_text),
        currency_code: order.currency.clone(),
        discount_amount: discount,
        ship_to: order.ship_to.as_ref().map(ship_to),
        sales_order_lines: lines,
    })
}

/// A stated amount in major units; none where it is nothing. A negative one would
/// turn a discount into a charge.
fn stated(amount: Option<&Money>, path: &str, problems: &mut Vec<Problem>) -> Option<Box<RawValue>> {
    let amount = amount.filter(|amount| amount.minor != 0)?;
    if amount.minor < 0 {
        let message = "found an amount below zero; expected zero or more";
        problems.push(Problem::new("negative-amount", message, path));
        return None;
    }
    let written = number(amount.minor, money::minor_digits(&amount.currency), path);
    written.map_err(|problem| problems.push(*problem)).ok()
}

fn freight_line(account: &str, amount: Box<RawValue>) -> SalesOrderLine {
    SalesOrderLine::Account {
        line_object_number: account.to_owned(),
        description: "Freight",
        quantity: 1,
        unit_price: amount,
    }
}

/// A sales order has one requested date, its lines have none: the earliest counts.
fn requested(order: &Order) -> Option<Date> {
    let of_lines = || order.lines.iter().filter_map(|line| line.requested_delivery);
    order.requested_delivery.or_else(|| of_lines().min_by_key(|date| (date.year, date.month, date.day)))
}

/// The sequence of each line, where all of them have one of their own.
fn sequences(lines: &[OrderLine]) -> Option<Vec<u32>> {
    let sequences: Vec<u32> = lines.iter().map(|line| sequence_of(&line.number)).collect::<Option<_>>()?;
    let distinct: BTreeSet<&u32> = sequences.iter().collect();
    (distinct.len() == sequences.len()).then_some(sequences)
}

/// Ten times the order's own number of a line.
pub(crate) fn sequence_of(line_number: &str) -> Option<u32> {
    let is_whole = line_number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = line_number.parse().ok().filter(|number| is_whole && (1..=LINE_NUMBER_MAX).contains(number))?;
    number.checked_mul(10)
}

fn item_line(
    line: &OrderLine,
    sequence: Option<u32>,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Result<SalesOrderLine, Box<Problem>> {
    within(&line.sku, ITEM_NUMBER_CHARS_MAX, &format!("{path}.sku"), problems);
    within(&line.quantity.unit, UNIT_CHARS_MAX, &format!("{path}.quantity.unit"), problems);
    Ok(SalesOrderLine::Item {
        sequence,
        line_object_number: line.sku.clone(),
        description: line.description.as_deref().map(|text| cut(text, TEXT_CHARS_MAX)),
        quantity: number(line.quantity.value, line.quantity.scale, &format!("{path}.quantity"))?,
        unit_price: price(&line.unit_price, &format!("{path}.unit-price"))?,
        unit_of_measure_code: line.quantity.unit.clone(),
    })
}

/// The price of one unit. A price per ten, hundred or thousand moves the point;
/// anything else might not end.
fn price(price: &UnitPrice, path: &str) -> Result<Box<RawValue>, Box<Problem>> {
    let places = match price.per_quantity {
        1 => 0,
        10 => 1,
        100 => 2,
        1_000 => 3,
        other => {
            let message = format!("the price is for {other} units; expected 1, 10, 100 or 1000");
            return Err(Box::new(Problem::new("price-per-quantity", message, path)));
        }
    };
    number(price.amount, price.scale.saturating_add(places), path)
}

/// A JSON number with exactly these digits.
fn number(units: i64, scale: u8, path: &str) -> Result<Box<RawValue>, Box<Problem>> {
    RawValue::from_string(money::to_text(units, scale))
        .map_err(|error| Box::new(Problem::new("bad-number", error.to_string(), path)))
}

fn ship_to(address: &Address) -> ShipTo {
    let line = |index: usize| address.lines.get(index).map(String::as_str);
    // The ERP has two lines; what is beyond them joins the second.
    let rest: Vec<&str> = address.lines.iter().skip(1).map(String::as_str).collect();
    let text = |value: Option<&str>, chars| cut(value.unwrap_or_default(), chars);
    ShipTo {
        ship_to_name: text(address.name.as_deref(), TEXT_CHARS_MAX),
        ship_to_address_line1: text(line(0), TEXT_CHARS_MAX),
        ship_to_address_line2: text(Some(&rest.join(", ")), TEXT_CHARS_MAX),
        ship_to_city: text(address.city.as_deref(), CITY_CHARS_MAX),
        ship_to_state: text(address.region.as_deref(), CITY_CHARS_MAX),
        ship_to_post_code: text(address.postal_code.as_deref(), POST_CODE_CHARS_MAX),
        ship_to_country: text(address.country.as_deref(), UNIT_CHARS_MAX),
    }
}

fn within(value: &str, chars_max: usize, path: &str, problems: &mut Vec<Problem>) {
    let found = value.chars().count();
    if found == 0 || found > chars_max {
        let message = format!("found {found} characters; Business Central takes 1 to {chars_max}");
        problems.push(Problem::new("length", message, path));
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

portreeve_sdk::transformer!(BusinessCentral);
