//! What the ERP is asked for: documents, their lines and changes to them, checked when they
//! are read. Numbers are taken digit by digit.

use std::collections::BTreeSet;

use portreeve_model::value::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::Refusal;

/// Lines of one document; as many lines as there may be documents × 1000 would not fit, hence
/// the total in `books`.
const LINES_MAX: usize = 1_000;

/// Widths of the original's fields, in characters.
const DOCUMENT_NUMBER_CHARS_MAX: usize = 35;
const CODE_CHARS_MAX: usize = 20;
const UNIT_CHARS_MAX: usize = 10;
const TEXT_CHARS_MAX: usize = 100;

/// What the original adds to the last line's number where a line comes without one.
pub(super) const SEQUENCE_STEP: u32 = 10_000;

/// What a line is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineType {
    Comment,
    Item,
    Account,
}

impl LineType {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Comment => "Comment",
            Self::Item => "Item",
            Self::Account => "Account",
        }
    }
}

/// A line of a document. A comment has a description and nothing else; of the others none
/// is kept.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its place in the document; posted documents keep it.
    pub(super) sequence: u32,
    pub(super) line_type: LineType,
    pub(super) object: String,
    pub(super) description: String,
    pub(super) quantity: Decimal,
    pub(super) unit_price: Decimal,
    pub(super) unit: String,
}

/// A document that the ERP could take.
pub(super) struct Checked {
    pub(super) external_document_number: String,
    pub(super) customer_number: String,
    pub(super) currency_code: String,
    /// Of a credit memo, what it is applied to.
    pub(super) invoice_number: String,
    pub(super) lines: Vec<Line>,
    /// Hundredths.
    pub(super) discount: i128,
    pub(super) total: Decimal,
}

/// A change to a line of a sales order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewChange {
    description: Option<String>,
    line_object_number: Option<String>,
    unit_of_measure_code: Option<String>,
    quantity: Option<Box<RawValue>>,
    unit_price: Option<Box<RawValue>>,
    ship_quantity: Option<Box<RawValue>>,
}

/// The same, as far as it can be understood.
pub(super) struct Change {
    pub(super) description: Option<String>,
    pub(super) object: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) quantity: Option<Decimal>,
    pub(super) price: Option<Decimal>,
    pub(super) ship: Option<Decimal>,
}

/// The part of a request's body that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewDocument {
    #[serde(default)]
    external_document_number: String,
    #[serde(default)]
    customer_number: String,
    #[serde(default)]
    currency_code: String,
    #[serde(default)]
    invoice_number: String,
    discount_amount: Option<Box<RawValue>>,
    #[serde(default, alias = "salesCreditMemoLines")]
    sales_order_lines: Vec<NewLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewLine {
    sequence: Option<u32>,
    #[serde(default)]
    line_type: String,
    #[serde(default)]
    line_object_number: String,
    #[serde(default)]
    description: String,
    quantity: Option<Box<RawValue>>,
    unit_price: Option<Box<RawValue>>,
    #[serde(default)]
    unit_of_measure_code: String,
}

impl Checked {
    pub(super) fn sales_order(body: &[u8]) -> Result<Self, Refusal> {
        let checked = checked(body, "sales order")?;
        if !checked.lines.iter().any(|line| line.line_type == LineType::Item) {
            return Err(Refusal::invalid("salesOrderLines has no line of type Item".to_owned()));
        }
        Ok(checked)
    }

    pub(super) fn credit_memo(body: &[u8]) -> Result<Self, Refusal> {
        checked(body, "sales credit memo")
    }
}

impl Line {
    /// A line that is added behind one with this sequence.
    pub(super) fn read(body: &[u8], last: u32) -> Result<Self, Refusal> {
        let line: NewLine = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad("BadRequest", format!("the body is no line: {error}")))?;
        checked_line(line, last)
    }
}

impl Change {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let asked: NewChange = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad("BadRequest", format!("the body is no change of a line: {error}")))?;
        let number = |field, raw: Option<_>| raw.map(|raw| decimal(field, Some(raw))).transpose();
        Ok(Self {
            description: asked.description.map(described).transpose()?,
            object: filled("lineObjectNumber", asked.line_object_number, CODE_CHARS_MAX)?,
            unit: filled("unitOfMeasureCode", asked.unit_of_measure_code, UNIT_CHARS_MAX)?,
            quantity: number("quantity", asked.quantity)?,
            price: number("unitPrice", asked.unit_price)?,
            ship: number("shipQuantity", asked.ship_quantity)?,
        })
    }
}

fn checked(body: &[u8], what: &str) -> Result<Checked, Refusal> {
    let asked: NewDocument = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad("BadRequest", format!("the body is no {what}: {error}")))?;
    within("externalDocumentNumber", &asked.external_document_number, DOCUMENT_NUMBER_CHARS_MAX)?;
    within("customerNumber", &asked.customer_number, CODE_CHARS_MAX)?;
    if asked.sales_order_lines.len() > LINES_MAX {
        let found = asked.sales_order_lines.len();
        return Err(Refusal::invalid(format!("salesOrderLines has {found} lines; at most {LINES_MAX} are allowed")));
    }
    let lines = checked_lines(asked.sales_order_lines)?;
    let sum = lines.iter().try_fold(0_i128, |sum, line| sum.checked_add(charged(&line.quantity, &line.unit_price)?));
    let sum = sum.ok_or_else(|| Refusal::invalid("the lines' sum is too large".to_owned()))?;
    let discount = asked.discount_amount.map(|raw| decimal("discountAmount", Some(raw))).transpose()?;
    let (discount, total) = discounted(sum, discount)?;
    Ok(Checked {
        external_document_number: asked.external_document_number,
        customer_number: asked.customer_number,
        currency_code: asked.currency_code,
        invoice_number: asked.invoice_number,
        lines,
        discount,
        total,
    })
}

fn checked_lines(asked: Vec<NewLine>) -> Result<Vec<Line>, Refusal> {
    let (mut lines, mut last, mut used) = (Vec::new(), 0, BTreeSet::new());
    for line in asked {
        let line = checked_line(line, last)?;
        if !used.insert(line.sequence) {
            return Err(Refusal::invalid(format!("sequence {} is there twice", line.sequence)));
        }
        last = last.max(line.sequence);
        lines.push(line);
    }
    Ok(lines)
}

fn checked_line(line: NewLine, last: u32) -> Result<Line, Refusal> {
    let sequence = line.sequence.unwrap_or_else(|| last.saturating_add(SEQUENCE_STEP));
    let line_type = match line.line_type.as_str() {
        "Comment" => {
            let nothing = Decimal { units: 0, scale: 0 };
            return Ok(Line {
                sequence,
                line_type: LineType::Comment,
                object: String::new(),
                description: described(line.description)?,
                quantity: nothing,
                unit_price: nothing,
                unit: String::new(),
            });
        }
        "Item" => LineType::Item,
        "Account" => LineType::Account,
        other => {
            let other: String = other.chars().take(CODE_CHARS_MAX).collect();
            return Err(Refusal::invalid(format!("lineType is `{other}`; it must be Item, Account or Comment")));
        }
    };
    within("lineObjectNumber", &line.line_object_number, CODE_CHARS_MAX)?;
    if line_type == LineType::Item {
        within("unitOfMeasureCode", &line.unit_of_measure_code, UNIT_CHARS_MAX)?;
    }
    let (quantity, unit_price) = amounts(line.quantity, line.unit_price)?;
    let (object, unit) = (line.line_object_number, line.unit_of_measure_code);
    Ok(Line { sequence, line_type, object, description: String::new(), quantity, unit_price, unit })
}

/// What so much is charged in hundredths, rounded as the original does.
pub(super) fn charged(quantity: &Decimal, price: &Decimal) -> Option<i128> {
    // Two products of 64 bits and the hundred may not fit; nobody orders that much.
    let divisor = 10_i128.pow(u32::from(quantity.scale) + u32::from(price.scale));
    let product = i128::from(quantity.units).checked_mul(i128::from(price.units))?;
    Some(product.checked_mul(100)?.checked_add(divisor / 2)? / divisor)
}

/// A discount, which is at most the sum, and the sum without it.
fn discounted(sum: i128, discount: Option<Decimal>) -> Result<(i128, Decimal), Refusal> {
    let discount = discount.unwrap_or(Decimal { units: 0, scale: 0 });
    let places = 10_i128.pow(u32::from(discount.scale));
    let taken = i128::from(discount.units) * 100 / places;
    if taken < 0 || taken > sum {
        return Err(Refusal::invalid(format!("discountAmount is {discount}; it must be 0 up to the lines' sum")));
    }
    let units = i64::try_from(sum - taken).map_err(|_| Refusal::invalid("the lines' sum is too large".to_owned()))?;
    Ok((taken, Decimal { units, scale: 2 }))
}

/// Quantity and price of a line.
fn amounts(quantity: Option<Box<RawValue>>, price: Option<Box<RawValue>>) -> Result<(Decimal, Decimal), Refusal> {
    let quantity = decimal("quantity", quantity)?;
    if quantity.units <= 0 {
        return Err(Refusal::invalid(format!("quantity is {quantity}; it must be more than 0")));
    }
    let unit_price = decimal("unitPrice", price)?;
    if unit_price.units < 0 {
        return Err(Refusal::invalid(format!("unitPrice is {unit_price}; it must be 0 or more")));
    }
    Ok((quantity, unit_price))
}

/// Reads the digits that were sent; through a float 1.179 would be another price.
fn decimal(field: &str, raw: Option<Box<RawValue>>) -> Result<Decimal, Refusal> {
    let raw = raw.ok_or_else(|| Refusal::invalid(format!("{field} is missing")))?;
    Decimal::parse(raw.get()).map_err(|error| Refusal::bad("BadRequest", format!("{field}: {error}")))
}

/// A text, which may also be empty.
fn described(text: String) -> Result<String, Refusal> {
    if !text.is_empty() {
        within("description", &text, TEXT_CHARS_MAX)?;
    }
    Ok(text)
}

/// A value that has to be there where it is set.
fn filled(field: &str, value: Option<String>, chars_max: usize) -> Result<Option<String>, Refusal> {
    value.map(|value| within(field, &value, chars_max).map(|()| value)).transpose()
}

fn within(field: &str, value: &str, chars_max: usize) -> Result<(), Refusal> {
    match value.chars().count() {
        0 => Err(Refusal::invalid(format!("{field} must be filled in"))),
        found if found > chars_max => Err(Refusal::bad(
            "Application_StringExceededLength",
            format!("{field} has {found} characters; at most {chars_max} are allowed"),
        )),
        _ => Ok(()),
    }
}
