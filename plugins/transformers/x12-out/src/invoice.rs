//! 810, the invoice.
//!
//! ```text
//! BIG*20260304*INV-1**PO-1***DI~ CUR*SE*USD~ REF*SI*SH-1~ REF*ZZ*PORTREEVE-ORDER*id~
//! ITD*05*3****20260403~
//! IT1*1*3*EA*12.5*PE*VN*PUMP-40~
//! TDS*4034~ TXI*TX*2.84~ CTT*1~
//! ```
//!
//! The danger: customers pay by program, and what does not add up is not paid at all, months
//! later. So quantity × price has to be the line's amount, and the lines with the tax the
//! total, before anything is sent. TDS01 has two implied places whatever the currency.
//!
//! **A credit memo** is an invoice whose total is below nothing. Customers read one in several
//! ways: BIG07 is CR with some and CN with others, and amounts that take something off are below
//! zero with some, while with others the code says it alone. Whoever guesses has a customer pay
//! twice what he should get back. So it is agreed with each, in settings that may be of one
//! customer alone (see `lib.rs`), and without them a credit memo is refused:
//!
//! ```text
//! credit-memo          CR or CN, which is BIG07
//! credit-memo-amounts  below-zero (IT102, TDS01 and TXI02 as they are) or above-zero
//! BIG*20260305*CM-1**PO-1***CR~ REF*OI*INV-1~ IT1*1*-1*EA*12.5*PE~ TDS*-1345~ TXI*TX*-0.95~
//! ```

use portreeve_guest_x12::set::{Element, value};
use portreeve_sdk::transformer::*;

use crate::sheet::{About, ITEM_MAX, LINE_NUMBER_MAX, ORDER_NUMBER_MAX, REFERENCE_MAX, Sheet, plain, unit};

/// Places that TDS01 implies.
const IMPLIED_PLACES: u8 = 2;

pub(crate) fn of(invoice: &Invoice, about: &About<'_>) -> Sheet {
    let mut sheet = Sheet::open("810", about);
    let posted = invoice.posted_on.map(date::to_compact);
    if posted.is_none() {
        sheet.problem("posted-on-missing", "BIG01 is the invoice's date; expected when it was posted", "posted-on");
    }
    let memo = memo(&mut sheet, invoice);
    let number = invoice.order_number.as_deref().map(|own| sheet.customers_number(own));
    sheet.segment(
        "BIG",
        &[
            Element::Code(posted.as_deref().unwrap_or_default()),
            value(&invoice.invoice_number, 22, "invoice-number"),
            Element::Empty,
            number.as_deref().map_or(Element::Empty, |number| value(number, ORDER_NUMBER_MAX, "order-number")),
            Element::Empty,
            Element::Empty,
            Element::Code(memo.map_or("DI", |memo| memo.code)),
        ],
    );
    sheet.segment("CUR", &[Element::Code("SE"), Element::Value(&invoice.total.currency, 3, 3, "total.currency")]);
    if let Some(original) = invoice.corrects.as_deref() {
        // OI: the number of the original invoice.
        sheet.segment("REF", &[Element::Code("OI"), value(original, REFERENCE_MAX, "corrects")]);
    }
    if let Some(shipment) = invoice.shipment_number.as_deref() {
        sheet.segment("REF", &[Element::Code("SI"), value(shipment, REFERENCE_MAX, "shipment-number")]);
    }
    if invoice.order_number.is_some() {
        sheet.our_order("REF");
    }
    // What goes back is due to nobody.
    if let Some(due) = invoice.due_on.filter(|_| memo.is_none()).map(date::to_compact) {
        // 05: no discount; 3: counted from the invoice's date.
        let none = Element::Empty;
        sheet.segment("ITD", &[Element::Code("05"), Element::Code("3"), none, none, none, Element::Code(&due)]);
    }
    for (index, line) in sheet.bounded(&invoice.lines).iter().enumerate() {
        item(&mut sheet, line, index, memo, &invoice.total.currency);
    }
    totals(&mut sheet, invoice, memo);
    sheet
}

/// How a credit memo is written to this customer.
#[derive(Clone, Copy)]
struct Memo {
    /// BIG07.
    code: &'static str,
    /// By what its amounts are multiplied: 1 or -1.
    sign: i64,
}

/// None of an invoice.
fn memo(sheet: &mut Sheet, invoice: &Invoice) -> Option<Memo> {
    if invoice.total.minor >= 0 {
        if invoice.corrects.is_some() {
            let message = "this corrects an invoice and takes nothing off; no set says so, send it by hand";
            sheet.problem("correction", message, "corrects");
        }
        return None;
    }
    let code = match sheet.agreed("credit-memo") {
        Some("CR") => Some("CR"),
        Some("CN") => Some("CN"),
        _ => None,
    };
    let sign = match sheet.agreed("credit-memo-amounts") {
        Some("below-zero") => Some(1),
        Some("above-zero") => Some(-1),
        _ => None,
    };
    let memo = code.zip(sign).map(|(code, sign)| Memo { code, sign });
    if memo.is_none() {
        let message = "this is a credit memo, and how it is written is agreed with each customer; expected the settings \
                       `credit-memo` (CR or CN) and `credit-memo-amounts` (below-zero or above-zero), or send it by hand";
        sheet.problem("credit-memo", message, "total");
    }
    memo
}

/// A line of a credit memo as it is written: systems tell a quantity or a price below nothing, or
/// neither, beside the amount. What is taken off is the quantity's to say.
fn taken_off(line: &InvoiceLine) -> (InvoiceLine, bool) {
    let mut line = line.clone();
    let below = line.extended.minor < 0;
    line.quantity.value = line.quantity.value.saturating_abs();
    line.unit_price.amount = line.unit_price.amount.saturating_abs();
    line.extended.minor = line.extended.minor.saturating_abs();
    (line, below)
}

fn item(sheet: &mut Sheet, said: &InvoiceLine, index: usize, memo: Option<Memo>, currency: &str) {
    let (line, below) = match memo {
        Some(memo) => {
            let (line, below) = taken_off(said);
            (line, below == (memo.sign > 0))
        }
        None => (said.clone(), false),
    };
    let at = |field: &str| format!("lines[{index}].{field}");
    let (number_at, unit_at, sku_at) = (at("line-number"), at("quantity.unit"), at("sku"));
    let (price_at, extended_at) = (at("unit-price"), at("extended"));
    let computed = money::extended(&line.unit_price, &line.quantity, money::minor_digits(currency)).ok();
    let amounts = [line.extended.currency.as_str(), line.unit_price.currency.as_str()];
    if amounts.iter().any(|found| *found != currency) {
        sheet.problem("currency-differs", "the line has another currency than the total; expected one", &extended_at);
    } else if computed.is_none_or(|computed| computed.minor != line.extended.minor) {
        let message = format!(
            "the line's amount is {}; quantity and price make another one, and the customer computes it so",
            money::major_text(&said.extended)
        );
        sheet.problem("line-amount-mismatch", &message, &extended_at);
    }
    let mut quantity = sheet.quantity(&line.quantity, &at("quantity"));
    if below && line.quantity.value != 0 {
        quantity.insert(0, '-');
    }
    let (price, basis) = sheet.price(&line.unit_price, &price_at);
    let mut elements = vec![
        value(&line.line_number, LINE_NUMBER_MAX, &number_at),
        Element::Code(&quantity),
        unit(&line.quantity, &unit_at),
        Element::Code(&price),
        Element::Code(basis),
    ];
    if let Some(sku) = line.sku.as_deref() {
        elements.extend([Element::Code("VN"), value(sku, ITEM_MAX, &sku_at)]);
    }
    sheet.segment("IT1", &elements);
}

fn totals(sheet: &mut Sheet, invoice: &Invoice, memo: Option<Memo>) {
    let (tax, sign) = (tax(invoice), memo.map_or(1, |memo| memo.sign));
    let lines = invoice.lines.iter().map(|line| i128::from(line.extended.minor));
    let sum: i128 = lines.sum::<i128>().saturating_add(i128::from(tax.unwrap_or_default()));
    if sum != i128::from(invoice.total.minor) {
        let message = format!(
            "the total is {}; lines and tax make another one: freight and charges have to be lines",
            money::major_text(&invoice.total)
        );
        sheet.problem("sum-mismatch", &message, "total");
    }
    let places = money::minor_digits(&invoice.total.currency);
    let factor = IMPLIED_PLACES.checked_sub(places).and_then(|more| 10_i64.checked_pow(u32::from(more)));
    match factor.and_then(|factor| invoice.total.minor.checked_mul(factor)?.checked_mul(sign)) {
        Some(total) => sheet.segment("TDS", &[value(&total.to_string(), 15, "total")]),
        None => {
            let message = "the currency has more than the two places that TDS01 implies, or the total does not fit";
            sheet.problem("currency-places", message, "total");
        }
    }
    if let Some(tax) = tax.filter(|tax| *tax != 0) {
        // TX: all taxes.
        let text = plain(tax.saturating_mul(sign), places);
        sheet.segment("TXI", &[Element::Code("TX"), Element::Code(&text)]);
    }
    let count = invoice.lines.len().to_string();
    sheet.segment("CTT", &[Element::Code(&count)]);
}

/// The invoice's tax, else that of its lines.
fn tax(invoice: &Invoice) -> Option<i64> {
    let of_lines = || {
        let mut taxes = invoice.lines.iter().filter_map(|line| line.tax.as_ref()).map(|tax| tax.minor).peekable();
        taxes.peek()?;
        taxes.try_fold(0_i64, i64::checked_add)
    };
    invoice.tax.as_ref().map(|tax| tax.minor).or_else(of_lines)
}
