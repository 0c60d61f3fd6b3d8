//! An invoice as the model that `POST /api/v2/transactions/create` takes.

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::place::Addresses;
use crate::{DocumentType, Rendered, amount, code_within, extension, is_no_void, place, place_of, within};

/// Characters of a tax code and of a line's description.
const TAX_CODE_CHARS_MAX: usize = 25;
const DESCRIPTION_CHARS_MAX: usize = 255;

/// The transaction (`CreateTransactionModel`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transaction<'a> {
    #[serde(rename = "type")]
    document_type: DocumentType,
    code: &'a str,
    company_code: &'a str,
    date: String,
    customer_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchase_order_no: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_code: Option<&'a str>,
    currency_code: &'a str,
    description: String,
    commit: bool,
    addresses: Addresses<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_override: Option<TaxOverride>,
    lines: Vec<Line<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

/// At the rates of which day the tax is worked out, where it is not the document's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaxOverride {
    #[serde(rename = "type")]
    kind: &'static str,
    tax_date: String,
    reason: &'static str,
}

/// The transaction of an invoice or a credit memo.
///
/// # Errors
/// Everything that is wrong with it or missing.
pub(crate) fn transaction<'a>(invoice: &'a Invoice, request: &'a RenderingRequest) -> Rendered<Transaction<'a>> {
    let settings = request.settings.as_slice();
    let mut found = Vec::new();
    let problems = &mut found;
    is_no_void(invoice, problems);
    amount::adds_up(invoice, problems);
    let single = flag(settings, "single-location", false, problems);
    let transaction = Transaction {
        document_type: DocumentType::of(invoice),
        code: coded(&invoice.invoice_number, "invoice-number", problems),
        company_code: company(settings, problems),
        date: posted_on(invoice, problems),
        customer_code: customer(invoice, problems),
        purchase_order_no: invoice.order_number.as_deref().map(|order| coded(order, "order-number", problems)),
        reference_code: invoice.corrects.as_deref().map(|corrects| coded(corrects, "corrects", problems)),
        currency_code: &invoice.total.currency,
        description: amount::description(invoice, &request.order_id, problems),
        commit: flag(settings, "commit", true, problems),
        addresses: place::addresses(invoice, settings, single, problems),
        tax_override: tax_date(invoice, problems),
        lines: lines(invoice, problems),
    };
    if found.is_empty() { Ok(transaction) } else { Err(found) }
}

fn lines<'a>(invoice: &'a Invoice, problems: &mut Vec<Problem>) -> Vec<Line<'a>> {
    if invoice.lines.is_empty() {
        problems.push(Problem::new("lines-missing", "found no line; expected one or more", "lines"));
    }
    let lines = invoice.lines.iter().enumerate();
    lines.map(|(index, line)| rendered(invoice, line, &format!("lines[{index}]"), problems)).collect()
}

fn rendered<'a>(invoice: &'a Invoice, line: &'a InvoiceLine, path: &str, problems: &mut Vec<Problem>) -> Line<'a> {
    let (digits, extended) = (money::minor_digits(&line.extended.currency), format!("{path}.extended"));
    Line {
        number: coded(&line.line_number, &format!("{path}.line-number"), problems),
        quantity: amount::quantity(&line.quantity, &format!("{path}.quantity"), problems),
        amount: amount::number(line.extended.minor, digits, &extended, problems),
        item_code: line.sku.as_deref().map(|sku| coded(sku, &format!("{path}.sku"), problems)),
        tax_code: of_line(invoice, "tax-code", &line.line_number, TAX_CODE_CHARS_MAX, problems),
        description: of_line(invoice, "description", &line.line_number, DESCRIPTION_CHARS_MAX, problems),
    }
}

/// What an extension says about the line of a number.
fn of_line<'a>(
    invoice: &'a Invoice,
    what: &str,
    line_number: &str,
    chars_max: usize,
    problems: &mut Vec<Problem>,
) -> Option<&'a str> {
    let name = format!("avatax:{what}/{line_number}");
    let value = extension(invoice, &name)?;
    within(value, chars_max, &place_of(&name), problems);
    Some(value)
}

fn coded<'a>(code: &'a str, path: &str, problems: &mut Vec<Problem>) -> &'a str {
    code_within(code, path, problems);
    code
}

fn company<'a>(settings: &'a [Setting], problems: &mut Vec<Problem>) -> &'a str {
    coded(setting(settings, "company-code").unwrap_or_default(), "settings.company-code", problems)
}

fn customer<'a>(invoice: &'a Invoice, problems: &mut Vec<Problem>) -> &'a str {
    let place = place_of("avatax:customer-code");
    let Some(customer) = extension(invoice, "avatax:customer-code") else {
        let message = "found none; expected the extension `avatax:customer-code` with who buys";
        problems.push(Problem::new("customer-missing", message, place));
        return "";
    };
    coded(customer, &place, problems)
}

fn posted_on(invoice: &Invoice, problems: &mut Vec<Problem>) -> String {
    let Some(date) = invoice.posted_on else {
        let message = "found none; expected the day on which the invoice was posted";
        problems.push(Problem::new("date-missing", message, "posted-on"));
        return String::new();
    };
    date::to_text(date)
}

/// A return is told today and taxed as on the day of the sale: rates may have changed between.
/// A memo that corrects no invoice has no such day.
fn tax_date(invoice: &Invoice, problems: &mut Vec<Problem>) -> Option<TaxOverride> {
    if invoice.total.minor >= 0 {
        return None;
    }
    let found = extension(invoice, "avatax:tax-date");
    let place = place_of("avatax:tax-date");
    match (found.and_then(date::parse), found, &invoice.corrects) {
        (Some(date), _, _) => {
            Some(TaxOverride { kind: "TaxDate", tax_date: date::to_text(date), reason: "Tax of the corrected invoice" })
        }
        (None, Some(_), _) => {
            problems.push(Problem::new(
                "wrong-value",
                "found something else; expected a day such as 2026-03-02",
                place,
            ));
            None
        }
        (None, None, Some(_)) => {
            let message = "found none; expected the extension `avatax:tax-date` with the day of the corrected invoice";
            problems.push(Problem::new("tax-date-missing", message, place));
            None
        }
        (None, None, None) => None,
    }
}

fn flag(settings: &[Setting], name: &str, unless_set: bool, problems: &mut Vec<Problem>) -> bool {
    match setting(settings, name) {
        None => unless_set,
        Some("true") => true,
        Some("false") => false,
        Some(_) => {
            let message = "found another word; expected `true` or `false`";
            problems.push(Problem::new("wrong-setting", message, format!("settings.{name}")));
            unless_set
        }
    }
}
