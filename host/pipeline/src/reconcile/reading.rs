//! What an event of a list says of its row.
//!
//! The contract's events have no places for all that is compared, so what has none is an extension:
//!
//! ```text
//! changed-at         of a row: when it changed last, milliseconds since 1970
//! document           of an order or a shipment: what the system itself calls it
//! stage              of an order: `open`, `shipped` or `cancelled`
//! left               of a line of an order: how much of it has left, in its unit
//! line-numbers       of an order or a shipment: `others`, where its lines have other numbers than the order's own
//! ```
//!
//! What a transformer could name and not read is an event of its own, [`UnreadableRow`].

use portreeve_model::event::{InventoryLevel, Invoice, Order, OrderLine, Refund, Settlement, Shipment};
use portreeve_model::value::{Decimal, Extension, Instant};
use portreeve_model::{Event, Money, OrderId, UnreadableRow};

use super::row::{CHANGED_AT, Figure, Line, Measure, Number, Of, Part, RowName, Stage, Unusable};

/// What the system itself calls what it lists: two of one order are two, and add up.
const DOCUMENT: &str = "document";
/// How far an order is.
const STAGE: &str = "stage";
/// How much of a line has left.
const LEFT: &str = "left";
/// Whose numbers lines have.
const LINE_NUMBERS: &str = "line-numbers";

/// The row that an event is. `order` is which order it is about, where the host knows better than the
/// event, which may have the number that its sender gave it.
///
/// # Errors
/// When it is another event, or nobody can read it.
pub(super) fn row(of: Of, event: &Event, order: Option<OrderId>) -> Result<(RowName, Part), Unusable> {
    match (of, event) {
        (Of::Stock | Of::StockByNode, Event::InventoryLevel(level)) => stocked(of, level),
        (Of::Orders, Event::OrderCreated(order)) => ordered(order),
        (Of::Invoices, Event::InvoicePosted(invoice)) => invoiced(invoice, order),
        (Of::Shipments, Event::ShipmentConfirmed(shipment)) => shipped(shipment, order),
        (Of::Payments, Event::PaymentSettled(settlement)) => paid(settlement, order),
        (Of::Payments, Event::RefundIssued(refund)) => refunded(refund, order),
        (of, Event::Other(other)) if other.kind == UnreadableRow::KIND => unreadable(of, &told(&other.body)?, order),
        (of, other) => Err(Unusable::OtherEvent { found: other.name().to_owned(), of }),
    }
}

fn told(body: &[u8]) -> Result<UnreadableRow, Unusable> {
    UnreadableRow::from_json(body).map_err(|error| Unusable::Untold(error.to_string()))
}

/// A row of which its transformer only says which it is, and what is wrong with it.
fn unreadable(of: Of, row: &UnreadableRow, known: Option<OrderId>) -> Result<(RowName, Part), Unusable> {
    let UnreadableRow { of: event, number, order, node, changed_at, code, why } = row;
    let (name, order) = match of {
        Of::Orders => named(number, None),
        _ => named(order.as_deref().unwrap_or_default(), known),
    };
    let key = match (of, event.as_str()) {
        (Of::Stock, "inventory.level") => number.clone(),
        (Of::StockByNode, "inventory.level") => at_node(number, node.as_deref().unwrap_or_default()),
        (Of::Orders, "order.created") => name,
        (Of::Invoices, "invoice.posted") => number.clone(),
        (Of::Shipments, "shipment.confirmed") => of_order(&name, number),
        (Of::Payments, "payment.settled") => payment(number),
        (Of::Payments, "refund.issued") => refund(&name, number),
        _ => return Err(Unusable::OtherEvent { found: event.clone(), of }),
    };
    let (changed_at, unreadable) = (changed_at.map(Instant), Some(why.clone()));
    let part = Part { key: key.clone(), changed_at, order, unreadable, ..Part::default() };
    // Two rows of one key may be wrong in two ways.
    Ok(((key, format!("{code}: {why}")), part))
}

fn at_node(sku: &str, node: &str) -> String {
    format!("{sku} at {node}")
}

fn of_order(order: &str, number: &str) -> String {
    format!("{order}/{number}")
}

fn payment(reference: &str) -> String {
    format!("payment {reference}")
}

fn refund(order: &str, number: &str) -> String {
    format!("refund {}", of_order(order, number))
}

fn stocked(of: Of, level: &InventoryLevel) -> Result<(RowName, Part), Unusable> {
    let InventoryLevel { sku, node, on_hand, extensions, .. } = level;
    let key = match of {
        Of::StockByNode => at_node(sku, node),
        _ => sku.clone(),
    };
    let changed_at = changed_at(extensions, &key)?;
    let on_hand = Number { figure: Figure::All, measure: Measure::of(on_hand), unit: on_hand.unit.clone() };
    Ok(((sku.clone(), node.clone()), Part { key, numbers: vec![on_hand], changed_at, ..Part::default() }))
}

fn ordered(order: &Order) -> Result<(RowName, Part), Unusable> {
    let word =
        |name: &'static str, expected: &'static str| Unusable::Word { name, row: order.number.clone(), expected };
    let mut numbers = Vec::new();
    for line in &order.lines {
        let left = said(&line.extensions, LEFT).map(Decimal::parse).transpose();
        let left = left.map_err(|_| word(LEFT, "a number in digits"))?;
        numbers.extend(line_numbers(line, Measure::of(&line.quantity), left.map(|left| Measure::of_decimal(&left))));
    }
    numbers.extend(net(order.totals.grand, order.totals.tax).as_ref().map(amount));
    let stage = said(&order.extensions, STAGE).map(|text| Stage::of(text).ok_or(text)).transpose();
    let (key, id) = named(&order.number, None);
    let part = Part {
        key: key.clone(),
        numbers,
        stage: stage.map_err(|_| word(STAGE, "`open`, `shipped` or `cancelled`"))?,
        changed_at: changed_at(&order.extensions, &order.number)?,
        order: id,
        by_item: said(&order.extensions, LINE_NUMBERS).is_some(),
        ..Part::default()
    };
    let document = said(&order.extensions, DOCUMENT).unwrap_or_default().to_owned();
    Ok(((key, document), part))
}

/// Which order an event of a list is about, in the words of whoever lists it, with what the event is.
pub(super) fn order_named(event: &Event) -> Option<(String, String)> {
    let order = match event {
        Event::InvoicePosted(invoice) => invoice.order_number.clone(),
        Event::ShipmentConfirmed(shipment) => Some(shipment.order_number.clone()),
        Event::PaymentSettled(settlement) => settlement.order_number.clone(),
        Event::RefundIssued(refund) => Some(refund.order_number.clone()),
        Event::Other(other) if other.kind == UnreadableRow::KIND => {
            // What is none is told where the row is taken.
            let row = UnreadableRow::from_json(&other.body).ok()?;
            // An order is about itself, whatever else its row names.
            return Some((row.of, row.order?)).filter(|(of, _)| of != Of::Orders.event());
        }
        _ => None,
    };
    Some((event.name().to_owned(), order?))
}

/// The order as rows name it: by the host's id where that is known.
fn named(number: &str, known: Option<OrderId>) -> (String, Option<OrderId>) {
    let order = known.or_else(|| OrderId::parse(number).ok());
    (order.map_or_else(|| number.to_owned(), |order| order.to_string()), order)
}

fn invoiced(invoice: &Invoice, known: Option<OrderId>) -> Result<(RowName, Part), Unusable> {
    let (name, order) = named(invoice.order_number.as_deref().unwrap_or_default(), known);
    let key = invoice.invoice_number.clone();
    let numbers = [Some((Figure::Total, invoice.total)), invoice.tax.map(|tax| (Figure::Tax, tax))];
    let part = Part {
        numbers: numbers.into_iter().flatten().map(|(figure, money)| money_of(figure, &money)).collect(),
        changed_at: changed_at(&invoice.extensions, &key)?,
        at: invoice.posted_on.and_then(|day| day.midnight()),
        order,
        ..Part::default()
    };
    Ok(((key.clone(), name), Part { key, ..part }))
}

fn shipped(shipment: &Shipment, known: Option<OrderId>) -> Result<(RowName, Part), Unusable> {
    let (name, order) = named(&shipment.order_number, known);
    let key = of_order(&name, &shipment.shipment_number);
    let left = shipment.lines.iter().map(|line| Number {
        figure: Figure::Left(Line { number: Some(line.line_number.clone()), sku: line.sku.clone() }),
        measure: Measure::of(&line.shipped),
        unit: line.shipped.unit.clone(),
    });
    let part = Part {
        numbers: left.collect(),
        changed_at: changed_at(&shipment.extensions, &key)?,
        at: shipment.at,
        order,
        by_item: said(&shipment.extensions, LINE_NUMBERS).is_some(),
        ..Part::default()
    };
    let document = said(&shipment.extensions, DOCUMENT).unwrap_or_default();
    Ok(((key.clone(), document.to_owned()), Part { key, ..part }))
}

/// A transfer that pays several orders is a row of each, and one key: together they are what moved.
fn paid(settlement: &Settlement, known: Option<OrderId>) -> Result<(RowName, Part), Unusable> {
    let Settlement { payment_reference, order_number, amount, settled_at, extensions, .. } = settlement;
    let (name, order) = named(order_number.as_deref().unwrap_or_default(), known);
    let key = payment(payment_reference);
    let part = Part {
        numbers: vec![money_of(Figure::Moved, amount)],
        changed_at: changed_at(extensions, &key)?,
        at: *settled_at,
        order,
        ..Part::default()
    };
    Ok(((key.clone(), name), Part { key, ..part }))
}

/// A refund's number is the order's: the host's own ones are `host-1` of each.
fn refunded(refund: &Refund, known: Option<OrderId>) -> Result<(RowName, Part), Unusable> {
    let Refund { refund_number, order_number, amount, issued_at, extensions, .. } = refund;
    let (name, order) = named(order_number, known);
    let key = self::refund(&name, refund_number);
    let part = Part {
        numbers: vec![money_of(Figure::Moved, amount)],
        changed_at: changed_at(extensions, &key)?,
        at: *issued_at,
        order,
        ..Part::default()
    };
    Ok(((name, refund_number.clone()), Part { key, ..part }))
}

/// By what the host remembers what a key is of, so that it is known whatever time is looked at.
pub(super) fn remembered_as(of: Of, key: &str) -> Option<String> {
    let behind_the_order = |key: &str| key.split_once('/').map(|(_, number)| number.to_owned());
    match of {
        Of::Invoices => Some(format!("invoice.posted/{key}")),
        Of::Shipments => Some(format!("shipment.confirmed/{}", behind_the_order(key)?)),
        Of::Payments => match key.split_once(' ')? {
            ("payment", reference) => Some(format!("payment.settled/{reference}")),
            (_, refund) => Some(format!("refund.issued/{}", behind_the_order(refund)?)),
        },
        Of::Stock | Of::StockByNode | Of::Orders => None,
    }
}

fn money_of(figure: Figure, money: &Money) -> Number {
    Number { figure, measure: Measure::of_money(money), unit: money.currency.to_string() }
}

/// How much of a line is ordered, and how much has left where that is known.
pub(super) fn line_numbers(line: &OrderLine, ordered: Measure, left: Option<Measure>) -> Vec<Number> {
    let of = Line { number: Some(line.number.clone()), sku: line.sku.clone() };
    let number = |figure, measure| Number { figure, measure, unit: line.quantity.unit.clone() };
    let left = left.map(|left| number(Figure::Left(of.clone()), left));
    [number(Figure::Ordered(of.clone()), ordered)].into_iter().chain(left).collect()
}

/// What is charged without tax, as a number.
pub(super) fn amount(net: &Money) -> Number {
    money_of(Figure::Net, net)
}

/// A total without its tax, where both are known and of one currency.
fn net(grand: Option<Money>, tax: Option<Money>) -> Option<Money> {
    let (grand, tax) = grand.zip(tax).filter(|(grand, tax)| grand.currency == tax.currency)?;
    Some(Money { minor: grand.minor.checked_sub(tax.minor)?, ..grand })
}

fn said<'a>(extensions: &'a [Extension], name: &str) -> Option<&'a str> {
    extensions.iter().find(|extension| extension.name == name).map(|extension| extension.value.as_str())
}

fn changed_at(extensions: &[Extension], row: &str) -> Result<Option<Instant>, Unusable> {
    let found = said(extensions, CHANGED_AT).map(|text| text.parse().map(Instant)).transpose();
    let expected = "milliseconds since 1970";
    found.map_err(|_| Unusable::Word { name: CHANGED_AT, row: row.to_owned(), expected })
}
