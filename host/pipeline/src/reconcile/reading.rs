//! What an event of a list says of its row.
//!
//! The contract's events have no places for all that is compared, so what has none is an extension:
//!
//! ```text
//! changed-at         of a row: when it changed last, milliseconds since 1970
//! document           of an order: what the system itself calls it
//! stage              of an order: `open`, `shipped` or `cancelled`
//! left               of a line of an order: how much of it has left, in its unit
//! line-numbers       of an order: `others`, where its lines have other numbers than the order's own
//! ```

use portreeve_model::event::{InventoryLevel, Order, OrderLine};
use portreeve_model::value::{Decimal, Extension, Instant};
use portreeve_model::{Event, Money, OrderId};

use super::row::{CHANGED_AT, Figure, Line, Measure, Number, Of, Part, RowName, Stage, Unusable};

/// What the system itself calls what it lists: two of one order are two, and add up.
const DOCUMENT: &str = "document";
/// How far an order is.
const STAGE: &str = "stage";
/// How much of a line has left.
const LEFT: &str = "left";
/// Whose numbers lines have.
const LINE_NUMBERS: &str = "line-numbers";

/// The row that an event is.
///
/// # Errors
/// When it is another event, or nobody can read it.
pub(super) fn row(of: Of, event: &Event) -> Result<(RowName, Part), Unusable> {
    match (of, event) {
        (Of::Stock | Of::StockByNode, Event::InventoryLevel(level)) => stocked(of, level),
        (Of::Orders, Event::OrderCreated(order)) => ordered(order),
        (of, other) => Err(Unusable::OtherEvent { found: other.name().to_owned(), of }),
    }
}

fn stocked(of: Of, level: &InventoryLevel) -> Result<(RowName, Part), Unusable> {
    let InventoryLevel { sku, node, on_hand, extensions, .. } = level;
    let key = match of {
        Of::StockByNode => format!("{sku} at {node}"),
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
    let part = Part {
        key: order.number.clone(),
        numbers,
        stage: stage.map_err(|_| word(STAGE, "`open`, `shipped` or `cancelled`"))?,
        changed_at: changed_at(&order.extensions, &order.number)?,
        order: OrderId::parse(&order.number).ok(),
        called: None,
        by_item: said(&order.extensions, LINE_NUMBERS).is_some(),
    };
    let document = said(&order.extensions, DOCUMENT).unwrap_or_default().to_owned();
    Ok(((order.number.clone(), document), part))
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
    Number { figure: Figure::Net, measure: Measure::of_money(net), unit: net.currency.to_string() }
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
