//! Posted invoices and credit memos, as `erp-rest` fetches them, as `invoice.posted`.
//!
//! ```json
//! {"number":"PS-INV103001","externalDocumentNumber":"6fa459eaee8a3ca4894edb77e160355e",
//!  "currencyCode":"USD","postingDate":"2026-03-02","pricesIncludeTax":false,
//!  "totalTaxAmount":0,"totalAmountIncludingTax":58.95,
//!  "lines":[{"sequence":1,"lineType":"Comment","description":"Order 4711"},
//!   {"sequence":10,"lineType":"Item","lineObjectNumber":"SKU-1","quantity":5,"unitOfMeasureCode":"EA",
//!    "unitPrice":11.79,"amountExcludingTax":58.95,"invoiceDiscountAllocation":0}]}
//! ```
//!
//! A line says what it charges without tax and without its share of the invoice's discount, which
//! is a line of its own, by the name that the setting `discount-line` has. All lines and the tax
//! are the total; where they are not, the document is refused. Of a credit memo, the amounts are
//! below nothing, and the quantities are not.
//!
//! An item's line is the order's own by its sequence, ten times the order's number of it, where
//! the comment with sequence 1 says so. What is charged on an account is a line by the name of
//! that account, such as freight: the process lists it among what is never shipped. Its unit is
//! the setting `account-unit`, since the ERP has none.
//!
//! Nothing is guessed: a currency that is not there, an amount finer than its smallest unit, a
//! quantity without a unit, and prices that include tax are problems, each with its place.
//!
//! In a list that is compared with another one a document with a problem is told as one that cannot be
//! read, and the others as what they are.
//!
//! Who is charged and where the goods went goes along as extensions, by which a tax service is
//! asked (`avatax:…`, see the transformer `avatax-transactions`); where the setting `tax-code` is
//! there, it is the code of each line. Of a credit memo, so does the day of the invoice that it
//! corrects, where the ERP told it (`invoicePostingDate`): at its rates the tax comes back.

use portreeve_guest_json::moment;
use portreeve_guest_json::row::{self, ListRow};
use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::line::Line;

/// The kinds of documents, and whether they take back.
const KINDS: [(&str, bool); 2] =
    [("business-central/sales-invoice", false), ("business-central/sales-credit-memo", true)];

/// How the ERP writes a day that is none.
const NO_DAY: &str = "0001-01-01";

/// What stands in a comment in front of the number of a shipment.
pub(crate) const SHIPMENT: &str = "Shipment no. ";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    number: String,
    external_document_number: String,
    #[serde(default)]
    customer_number: String,
    #[serde(default)]
    currency_code: String,
    invoice_number: Option<String>,
    invoice_posting_date: Option<String>,
    posting_date: Option<String>,
    due_date: Option<String>,
    /// Where a list says how the document is now.
    last_modified_date_time: Option<String>,
    prices_include_tax: Option<bool>,
    #[serde(default)]
    ship_to_address_line1: String,
    #[serde(default)]
    ship_to_address_line2: String,
    #[serde(default)]
    ship_to_city: String,
    #[serde(default)]
    ship_to_state: String,
    #[serde(default)]
    ship_to_post_code: String,
    #[serde(default)]
    ship_to_country: String,
    #[serde(borrow)]
    total_tax_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    total_amount_including_tax: Option<&'a RawValue>,
    #[serde(borrow)]
    lines: Vec<Line<'a>>,
}

type Read<T> = Result<T, Box<Problem>>;

/// Whether a document of this kind is read here.
pub(crate) fn reads(kind: &str) -> bool {
    KINDS.iter().any(|(known, _)| *known == kind)
}

/// The event of a document.
pub(crate) fn event(request: &MappingRequest) -> Result<Event, Failure> {
    let takes_back = KINDS.iter().any(|(kind, takes_back)| *kind == request.kind && *takes_back);
    read(request, takes_back).map(Event::InvoicePosted).or_else(|problems| {
        let told = name(&request.body)
            .zip(problems.first())
            .and_then(|(name, problem)| name.unreadable(Box::new(problem.clone()), "").ok());
        told.ok_or(Failure::Invalid(problems))
    })
}

/// The invoice, or everything that is wrong with it.
fn read(request: &MappingRequest, takes_back: bool) -> Result<Invoice, Vec<Problem>> {
    let posted: Posted<'_> = serde_json::from_slice(&request.body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = format!(
            "found a document that cannot be read at line {line}, column {column}; expected an invoice or a credit memo with its lines"
        );
        vec![Problem::new("malformed-document", message, "")]
    })?;
    let mut problems = Vec::new();
    let invoice = invoice(&posted, takes_back, &request.settings, &mut problems);
    match invoice {
        Ok(invoice) if problems.is_empty() => return Ok(invoice),
        Ok(_) => {}
        Err(problem) => problems.push(*problem),
    }
    Err(problems)
}

/// What names a document of a list that cannot be read, whatever is wrong with the rest of it: what is
/// fetched to be counted is somebody's to mend instead.
fn name(body: &[u8]) -> Option<ListRow> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        number: String,
        external_document_number: String,
        #[serde(borrow)]
        last_modified_date_time: Option<&'a RawValue>,
    }
    let Named { number, external_document_number, last_modified_date_time } = serde_json::from_slice(body).ok()?;
    let changed_at = row::changed_at(Some(last_modified_date_time?));
    let order = Some(hyphened(&external_document_number)?);
    Some(ListRow { of: "invoice.posted", number, order, changed_at, ..ListRow::default() })
}

fn invoice(posted: &Posted<'_>, takes_back: bool, settings: &[Setting], problems: &mut Vec<Problem>) -> Read<Invoice> {
    let currency = posted.currency_code.as_str();
    if iso_currency::Currency::from_code(currency).is_none() {
        return wrong("currency-missing", "found no currency; expected a code of ISO 4217 such as USD", "currencyCode");
    }
    if posted.prices_include_tax != Some(false) {
        let message =
            "found prices that include tax, or no word of it; expected prices without: enter the invoice by hand";
        return wrong("prices-include-tax", message, "pricesIncludeTax");
    }
    let order_number = hyphened(&posted.external_document_number).map_or_else(
        || wrong("order-missing", "found no order's id; expected 32 hexadecimal digits", "externalDocumentNumber"),
        Ok,
    )?;
    let is_numbered = posted.lines.iter().any(|line| line.line_type == "Comment" && line.sequence == 1);
    let (mut lines, mut discount) = (Vec::new(), 0_i64);
    for (index, line) in posted.lines.iter().enumerate().filter(|(_, line)| line.line_type != "Comment") {
        match invoice_line(line, &format!("lines[{index}]"), currency, is_numbered, settings) {
            Ok(line) => lines.push(line),
            Err(problem) => problems.push(*problem),
        }
        if let Some(share) = line.invoice_discount_allocation {
            let path = format!("lines[{index}].invoiceDiscountAllocation");
            let share = money_of(Some(share), currency, &path)?.minor;
            discount =
                discount.checked_add(share).map_or_else(|| wrong("too-large", "found more than 64 bits", &path), Ok)?;
        }
    }
    if discount != 0 {
        lines.push(discount_line(discount, currency, settings)?);
    }
    let tax = money_of(posted.total_tax_amount, currency, "totalTaxAmount")?;
    let total = money_of(posted.total_amount_including_tax, currency, "totalAmountIncludingTax")?;
    let sum = lines.iter().try_fold(tax.minor, |sum, line| sum.checked_add(line.extended.minor));
    if problems.is_empty() && sum != Some(total.minor) {
        let message = "found another total than its lines and its tax together; expected the same";
        return wrong("total-differs", message, "totalAmountIncludingTax");
    }
    let signed = |minor: i64| if takes_back { minor.saturating_neg() } else { minor };
    for line in &mut lines {
        line.extended.minor = signed(line.extended.minor);
    }
    let shipments = posted.lines.iter().filter(|line| line.line_type == "Comment");
    let shipment = shipments.filter_map(|line| line.says(SHIPMENT)).next_back();
    Ok(Invoice {
        invoice_number: posted.number.clone(),
        order_number: Some(order_number),
        shipment_number: shipment.map(str::to_owned),
        corrects: posted.invoice_number.clone().filter(|number| takes_back && !number.is_empty()),
        posted_on: day(posted.posting_date.as_deref(), "postingDate")?,
        due_on: day(posted.due_date.as_deref(), "dueDate")?,
        extensions: extensions(posted, &lines, corrected_on(posted, takes_back)?, settings)?,
        lines,
        tax: Some(Money { minor: signed(tax.minor), ..tax }),
        total: Money { minor: signed(total.minor), ..total },
    })
}

fn invoice_line(
    line: &Line<'_>,
    path: &str,
    currency: &str,
    is_numbered: bool,
    settings: &[Setting],
) -> Read<InvoiceLine> {
    let at = |member: &str| format!("{path}.{member}");
    if line.line_object_number.is_empty() {
        return wrong(
            "item-missing",
            "found a line of nothing; expected an item or an account",
            &at("lineObjectNumber"),
        );
    }
    let is_item = line.line_type == "Item";
    let line_number = match (is_item, is_numbered && line.sequence.is_multiple_of(10)) {
        (true, true) => (line.sequence / 10).to_string(),
        (true, false) => {
            let message = "found lines that do not have the order's own numbers; expected a sales order of this host";
            return wrong("line-not-numbered", message, &at("sequence"));
        }
        (false, _) => line.line_object_number.clone(),
    };
    let unit = match (line.unit_of_measure_code.as_str(), is_item) {
        ("", false) => setting(settings, "account-unit").unwrap_or_default(),
        (unit, _) => unit,
    };
    if unit.is_empty() {
        let message = "found no unit; expected one, or for what is no item the setting `account-unit`";
        return wrong("unit-missing", message, &at("unitOfMeasureCode"));
    }
    let quantity = digits(line.quantity, &at("quantity"))?;
    let price = digits(line.unit_price, &at("unitPrice"))?;
    let bad =
        |error: money::NumberError, member: &str| Box::new(Problem::new("bad-number", error.to_string(), at(member)));
    Ok(InvoiceLine {
        line_number,
        sku: Some(line.line_object_number.clone()),
        quantity: money::quantity(quantity, unit).map_err(|error| bad(error, "quantity"))?,
        unit_price: money::unit_price(price, currency, 1).map_err(|error| bad(error, "unitPrice"))?,
        extended: money_of(line.amount_excluding_tax, currency, &at("amountExcludingTax"))?,
        tax: None,
    })
}

/// What is taken off all lines, as a line.
fn discount_line(minor: i64, currency: &str, settings: &[Setting]) -> Read<InvoiceLine> {
    let named = setting(settings, "discount-line").zip(setting(settings, "account-unit"));
    let Some((name, unit)) = named else {
        let message = "found a discount of the whole invoice; expected the settings `discount-line` and `account-unit`, which name its line";
        return wrong("discount-unnamed", message, "lines");
    };
    let taken = minor.saturating_neg();
    Ok(InvoiceLine {
        line_number: name.to_owned(),
        sku: Some(name.to_owned()),
        quantity: Quantity { value: 1, scale: 0, unit: unit.to_owned() },
        unit_price: UnitPrice {
            amount: taken,
            scale: money::minor_digits(currency),
            currency: currency.to_owned(),
            per_quantity: 1,
        },
        extended: Money { minor: taken, currency: currency.to_owned() },
        tax: None,
    })
}

/// The day of the invoice that a credit memo corrects.
fn corrected_on(posted: &Posted<'_>, takes_back: bool) -> Read<Option<String>> {
    let day = day(posted.invoice_posting_date.as_deref().filter(|_| takes_back), "invoicePostingDate")?;
    Ok(day.map(date::to_text))
}

fn extensions(
    posted: &Posted<'_>,
    lines: &[InvoiceLine],
    corrected_on: Option<String>,
    settings: &[Setting],
) -> Read<Vec<Extension>> {
    let named = |name: &str, value: &str| Extension { name: format!("avatax:{name}"), value: value.to_owned() };
    let facts = [
        ("customer-code", posted.customer_number.as_str()),
        ("ship-to-line1", &posted.ship_to_address_line1),
        ("ship-to-line2", &posted.ship_to_address_line2),
        ("ship-to-city", &posted.ship_to_city),
        ("ship-to-region", &posted.ship_to_state),
        ("ship-to-postal-code", &posted.ship_to_post_code),
        ("ship-to-country", &posted.ship_to_country),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| named(name, value));
    let code = setting(settings, "tax-code");
    let codes = lines.iter().filter_map(|line| Some(named(&format!("tax-code/{}", line.line_number), code?)));
    let corrected_on = corrected_on.iter().map(|day| named("tax-date", day));
    let changed_at = changed_at(posted.last_modified_date_time.as_deref(), "lastModifiedDateTime")?;
    Ok(facts.chain(codes).chain(corrected_on).chain(changed_at).collect())
}

pub(crate) fn money_of(raw: Option<&RawValue>, currency: &str, path: &str) -> Read<Money> {
    let text = digits(raw, path)?;
    money::from_major(text, currency, money::minor_digits(currency))
        .map_err(|error| Box::new(Problem::new("bad-amount", error.to_string(), path)))
}

/// A number as it was written: a text that looks like one is none.
pub(crate) fn digits<'a>(raw: Option<&'a RawValue>, path: &str) -> Read<&'a str> {
    let found =
        raw.map(RawValue::get).filter(|text| text.starts_with(|sign: char| sign == '-' || sign.is_ascii_digit()));
    found.map_or_else(|| wrong("number-missing", "found no number; expected one", path), Ok)
}

fn day(text: Option<&str>, path: &str) -> Read<Option<Date>> {
    let Some(text) = text.filter(|text| !text.is_empty() && *text != NO_DAY) else { return Ok(None) };
    date::parse(text)
        .map_or_else(|| wrong("bad-date", "found no day; expected one such as 2026-03-02", path), |day| Ok(Some(day)))
}

/// The extension that says when a row of a list changed last, in milliseconds since 1970.
pub(crate) fn changed_at(text: Option<&str>, path: &str) -> Read<Option<Extension>> {
    let Some(text) = text else { return Ok(None) };
    let Some(at) = moment::parse(text) else {
        return wrong("bad-time", "found no time; expected one such as 2026-03-02T08:00:00Z", path);
    };
    Ok(Some(Extension { name: "changed-at".to_owned(), value: at.to_string() }))
}

/// The host's id of an order, of which the ERP has the digits.
pub(crate) fn hyphened(digits: &str) -> Option<String> {
    let whole = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let part = |from: usize, to: usize| digits.get(from..to).filter(|_| whole);
    let parts = [part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?];
    Some(parts.join("-").to_ascii_lowercase())
}

fn wrong<T>(code: &str, message: &str, path: &str) -> Read<T> {
    Err(Box::new(Problem::new(code, message, path)))
}
