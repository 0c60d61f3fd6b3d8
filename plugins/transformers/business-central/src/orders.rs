//! The ERP's open sales orders, out of a page of its list: `order.created`.
//!
//! ```json
//! [{"number":"S-ORD101001","externalDocumentNumber":"6fa459ea…","customerNumber":"C-1","currencyCode":"USD",
//!   "totalTaxAmount":0,"totalAmountIncludingTax":62.5,"lastModifiedDateTime":"2026-03-02T08:00:12.467Z",
//!   "salesOrderLines":[{"sequence":10,"lineType":"Item","lineObjectNumber":"SKU-1","quantity":5,
//!                       "shippedQuantity":2,"unitPrice":12.5,"unitOfMeasureCode":"EA"}]}]
//! ```
//!
//! The order's number is what the ERP has as `externalDocumentNumber`: the host's id with its hyphens
//! where it is one, and otherwise whatever a clerk wrote, or the ERP's own number. Comments and
//! accounts are no items and left out, and so is a sales order without any item.
//!
//! What the contract's order has no place for are extensions: of a line `left`, how much of it was
//! shipped; of the order `stage`, `changed-at`, `document` (the
//! ERP's own number), and `line-numbers` where its lines do not
//! have the order's own (those of this host do, see the crate's page).
//!
//! The ERP's own currency has no code there; it is the setting `local-currency`, and without one such
//! an order is refused. Numbers are read digit by digit.

use portreeve_guest_json::row::{self, ListRow};
use portreeve_sdk::transformer::*;
use portreeve_sdk::types::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::COMMENT_SEQUENCE;
use crate::line::Line;
use crate::listing::events;
use crate::posted::{changed_at, digits, hyphened, money_of};

/// A page of sales orders.
pub(crate) const SALES_ORDERS: &str = "business-central/sales-orders";

/// Bytes of an identifier and of a unit, the contract's limits.
const IDENTIFIER_BYTES_MAX: usize = 256;
const UNIT_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SalesOrder<'a> {
    number: String,
    external_document_number: String,
    customer_number: String,
    #[serde(default)]
    currency_code: String,
    last_modified_date_time: Option<String>,
    #[serde(borrow)]
    total_tax_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    total_amount_including_tax: Option<&'a RawValue>,
    #[serde(borrow)]
    sales_order_lines: Vec<Line<'a>>,
}

type Read<T> = Result<T, Box<Problem>>;

/// The orders of a page.
///
/// # Errors
/// Everything that is wrong with rows that cannot be named.
pub(crate) fn orders(body: &[u8], settings: &[Setting]) -> Result<Vec<Event>, Failure> {
    let local = setting(settings, "local-currency");
    events("orders", body, name, |row, path| Ok(order(row, path, local)?.map(Event::OrderCreated)))
}

/// What names an order that cannot be read.
fn name(row: &str) -> Option<ListRow> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        number: String,
        external_document_number: String,
        #[serde(borrow)]
        last_modified_date_time: Option<&'a RawValue>,
    }
    let Named { number, external_document_number, last_modified_date_time } = serde_json::from_str(row).ok()?;
    let number = order_number(&number, &external_document_number);
    let changed_at = row::changed_at(last_modified_date_time);
    Some(ListRow { of: "order.created", number, changed_at, ..ListRow::default() })
}

/// The host's id of the order, where the ERP has it, and otherwise what it says itself.
fn order_number(number: &str, external: &str) -> String {
    hyphened(external).unwrap_or_else(|| if external.is_empty() { number } else { external }.to_owned())
}

/// An order; none without any item.
fn order(row: &str, path: &str, local: Option<&str>) -> Read<Option<Order>> {
    let order: SalesOrder<'_> = serde_json::from_str(row).map_err(|_| {
        let message = "found no sales order with its numbers and lines; expected `number`, `externalDocumentNumber`, \
                       `customerNumber` and `salesOrderLines`";
        wrong(message, path.to_owned())
    })?;
    let at = |member: &str| format!("{path}.{member}");
    let currency = match (order.currency_code.as_str(), local) {
        ("", None) => {
            let message = "found no currency, by which the ERP means its own; expected the setting `local-currency` to \
                           say which that is";
            return Err(wrong(message, at("currencyCode")));
        }
        ("", Some(local)) => local,
        (code, _) => code,
    };
    // The ERP's codes are its users' to make; of one that is not known nobody can say how many places it has.
    if iso_currency::Currency::from_code(currency).is_none() {
        let message = "found another currency; expected a code of ISO 4217 such as USD, also in the setting \
                       `local-currency`";
        return Err(wrong(message, at("currencyCode")));
    }
    let is_numbered =
        order.sales_order_lines.iter().any(|line| line.line_type == "Comment" && line.sequence == COMMENT_SEQUENCE);
    let (mut lines, mut is_open) = (vec![], false);
    for (index, line) in order.sales_order_lines.iter().enumerate().filter(|(_, line)| line.line_type == "Item") {
        let (line, rests) = item(line, &at(&format!("salesOrderLines[{index}]")), currency, is_numbered)?;
        is_open |= rests;
        lines.push(line);
    }
    let number = order_number(&order.number, &order.external_document_number);
    if !names(&number, IDENTIFIER_BYTES_MAX) || !names(&order.customer_number, IDENTIFIER_BYTES_MAX) {
        return Err(wrong("found no number of the order or its customer; expected both", path.to_owned()));
    }
    let tax = money_of(order.total_tax_amount, currency, &at("totalTaxAmount"))?;
    let grand = money_of(order.total_amount_including_tax, currency, &at("totalAmountIncludingTax"))?;
    let extension = |name: &str, value: String| Extension { name: name.to_owned(), value };
    let mut extensions = vec![
        extension("stage", if is_open { "open" } else { "shipped" }.to_owned()),
        extension("document", order.number),
    ];
    extensions.extend(changed_at(order.last_modified_date_time.as_deref(), &at("lastModifiedDateTime"))?);
    extensions.extend((!is_numbered).then(|| extension("line-numbers", "others".to_owned())));
    let customer = Customer { id: order.customer_number, name: None, email: None, phone: None };
    Ok((!lines.is_empty()).then(|| Order {
        number,
        release: None,
        customer,
        bill_to: None,
        ship_to: None,
        placed_at: None,
        requested_delivery: None,
        cancel_after: None,
        currency: currency.to_owned(),
        lines,
        totals: OrderTotals { lines: None, shipping: None, tax: Some(tax), discount: None, grand: Some(grand) },
        payment: None,
        sender_state: None,
        notes: vec![],
        extensions,
    }))
}

/// An item's line, and whether some of it is still to leave.
fn item(line: &Line<'_>, path: &str, currency: &str, is_numbered: bool) -> Read<(OrderLine, bool)> {
    if !names(&line.line_object_number, IDENTIFIER_BYTES_MAX) || !names(&line.unit_of_measure_code, UNIT_BYTES_MAX) {
        return Err(wrong("found an item without its number or unit; expected both", path.to_owned()));
    }
    let number = |raw: Option<&RawValue>, member: &str| {
        let at = format!("{path}.{member}");
        money::decimal(digits(raw, &at)?).map_err(|error| Box::new(Problem::new("bad-number", error.to_string(), at)))
    };
    let quantity = number(line.quantity, "quantity")?;
    let shipped = number(line.shipped_quantity, "shippedQuantity")?;
    let price = number(line.unit_price, "unitPrice")?;
    let left = line.shipped_quantity.map(|raw| raw.get().to_owned()).unwrap_or_default();
    let order_line = OrderLine {
        number: line.number(is_numbered).to_string(),
        sku: line.line_object_number.clone(),
        buyer_sku: None,
        description: None,
        quantity: Quantity { value: quantity.units, scale: quantity.scale, unit: line.unit_of_measure_code.clone() },
        unit_price: UnitPrice {
            amount: price.units,
            scale: price.scale,
            currency: currency.to_owned(),
            per_quantity: 1,
        },
        extended: None,
        requested_delivery: None,
        extensions: vec![Extension { name: "left".to_owned(), value: left }],
    };
    Ok((order_line, is_more(&quantity, &shipped)))
}

fn is_more(one: &Decimal, other: &Decimal) -> bool {
    let billionths = |decimal: &Decimal| {
        i128::from(decimal.units) * 10_i128.pow(u32::from(money::SCALE_MAX.saturating_sub(decimal.scale)))
    };
    billionths(one) > billionths(other)
}

fn wrong(message: &str, path: String) -> Box<Problem> {
    Box::new(Problem::new("sales-order-malformed", message, path))
}

fn names(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
}
