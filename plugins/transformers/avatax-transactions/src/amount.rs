//! Amounts and quantities as AvaTax takes them: JSON numbers, written digit by digit.
//!
//! A float would turn 0.29 into another amount, and AvaTax works the tax out of what it gets.
//! So the lines have to be all of the invoice's total but its tax: what is in the total and on
//! no line would go untaxed.

use portreeve_sdk::transformer::*;
use serde_json::value::RawValue;

/// A JSON number with exactly these digits.
pub(crate) fn number(units: i64, scale: u8, path: &str, problems: &mut Vec<Problem>) -> Option<Box<RawValue>> {
    let written = RawValue::from_string(money::to_text(units, scale));
    written.map_err(|error| problems.push(Problem::new("bad-number", error.to_string(), path))).ok()
}

/// How many pieces: above nothing also on a return, where the amount alone is below
/// ("Product Returns").
pub(crate) fn quantity(quantity: &Quantity, path: &str, problems: &mut Vec<Problem>) -> Option<Box<RawValue>> {
    let Some(units) = quantity.value.checked_abs() else {
        problems.push(Problem::new("bad-number", "found a quantity beyond 64 bits; expected a smaller one", path));
        return None;
    };
    number(units, quantity.scale, path, problems)
}

/// Refuses an invoice whose lines and tax are not its total.
pub(crate) fn adds_up(invoice: &Invoice, problems: &mut Vec<Problem>) {
    let currency = &invoice.total.currency;
    for (index, line) in invoice.lines.iter().enumerate() {
        if line.extended.currency != *currency {
            let message = "found another currency than the total's; expected one for the whole invoice";
            problems.push(Problem::new("wrong-currency", message, format!("lines[{index}].extended")));
        }
    }
    let (lines, tax) = (of_lines(invoice), tax(invoice));
    if lines.checked_add(tax) != Some(i128::from(invoice.total.minor)) {
        let message =
            "found a total that lines and tax do not add up to; expected each charge, freight as well, as a line";
        problems.push(Problem::new("wrong-total", message, "total"));
    }
}

/// What a transaction is of, see the crate's page.
pub(crate) fn description(invoice: &Invoice, order_id: &str, problems: &mut Vec<Problem>) -> String {
    let (currency, digits) = (&invoice.total.currency, money::minor_digits(&invoice.total.currency));
    let mut text = |minor: i128| match i64::try_from(minor) {
        Ok(minor) => money::to_text(minor, digits),
        Err(_) => {
            let message = "found a sum beyond 64 bits; expected a smaller one";
            problems.push(Problem::new("bad-number", message, "total"));
            String::new()
        }
    };
    format!("order {order_id}: {} {currency} and {} tax", text(of_lines(invoice)), text(tax(invoice)))
}

fn of_lines(invoice: &Invoice) -> i128 {
    invoice.lines.iter().map(|line| i128::from(line.extended.minor)).sum()
}

/// The invoice's tax; that of its lines, where it names none.
fn tax(invoice: &Invoice) -> i128 {
    let of_lines = || invoice.lines.iter().filter_map(|line| line.tax.as_ref()).map(minor).sum();
    invoice.tax.as_ref().map_or_else(of_lines, minor)
}

fn minor(money: &Money) -> i128 {
    i128::from(money.minor)
}
