//! The ERP's documents with their lines: sales orders, invoices and credit memos of an order.
//!
//! Nothing of a document that does not matter is read, and nothing that matters is guessed: a
//! list that goes on elsewhere, a line without its numbers or a number that is none ends the
//! call. Numbers are taken as they are written, in billionths; a float would ship or credit
//! something else.

use portreeve_guest_rest::{only, patient};
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ERP, company_url, filter_of};

/// Billionths in one.
const ONE: u128 = 1_000_000_000;

/// The sequence that the transformer gives the comment with the order's number. The ERP never
/// gives it, so it says that the lines' sequences are the order's own numbers.
const COMMENT_SEQUENCE: u32 = 1;

/// What stands in front of the number of a shipment or a return in a comment. No clerk begins one
/// like that by chance: an earlier one of ours is rewritten.
pub(crate) const SHIPMENT: &str = "Shipment no. ";
pub(crate) const RETURN: &str = "Return no. ";

/// The lists that are read, each with the name of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Documents {
    Orders,
    Invoices,
    CreditMemos,
}

impl Documents {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Orders => ("salesOrders", "salesOrderLines"),
            Self::Invoices => ("salesInvoices", "salesInvoiceLines"),
            Self::CreditMemos => ("salesCreditMemos", "salesCreditMemoLines"),
        }
    }

    /// Those of an order, with their lines.
    pub(crate) fn of(self, natural_key: &str, settings: &[Setting]) -> Result<Vec<Document>, Failure> {
        let (documents, lines) = self.names();
        let url = format!("{}/{documents}?{}&$expand={lines}", company_url(settings)?, filter_of(natural_key));
        let response = http::send(patient(http::Request::get_json(&url), settings)?)?;
        ERP.told(&response)?;
        let listed: Listed = serde_json::from_slice(&response.body).map_err(|_| {
            Failure::permanent(format!("the ERP's list of {documents} with {lines} is not the JSON that was expected"))
        })?;
        let goes_on = listed.next.is_some() || listed.value.iter().any(|document| document.next.is_some());
        if goes_on {
            return Err(Failure::permanent(format!(
                "too-many-documents: the ERP has more {documents} or {lines} of the order than it tells at once; see to \
                 it there"
            )));
        }
        Ok(listed.value)
    }
}

/// The one sales order among those of an order, where the ERP has any.
pub(crate) fn one_order(orders: Vec<Document>) -> Result<Option<Document>, Failure> {
    only(orders, |count, first, second| {
        Failure::permanent(format!(
            "sales-order-twice: the ERP has {count} sales orders of the order, {} and {} among them; see which one is \
             right, delete the others there, then replay",
            first.number, second.number
        ))
    })
}

#[derive(Deserialize)]
struct Listed {
    value: Vec<Document>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<serde::de::IgnoredAny>,
}

/// A document, as far as it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) number: String,
    #[serde(default)]
    pub(crate) customer_number: String,
    #[serde(default)]
    pub(crate) currency_code: String,
    /// Of a credit memo: the invoice that it is applied to.
    pub(crate) invoice_number: Option<String>,
    #[serde(default)]
    status: String,
    discount_amount: Option<Box<RawValue>>,
    #[serde(alias = "salesInvoiceLines", alias = "salesCreditMemoLines", rename = "salesOrderLines")]
    pub(crate) lines: Vec<Line>,
    #[serde(
        alias = "salesInvoiceLines@odata.nextLink",
        alias = "salesCreditMemoLines@odata.nextLink",
        rename = "salesOrderLines@odata.nextLink"
    )]
    next: Option<serde::de::IgnoredAny>,
}

/// A line of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    #[serde(rename = "@odata.etag")]
    pub(crate) etag: Option<String>,
    pub(crate) id: String,
    pub(crate) sequence: u32,
    line_type: String,
    #[serde(default)]
    pub(crate) line_object_number: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) unit_of_measure_code: String,
    pub(crate) quantity: Option<Box<RawValue>>,
    pub(crate) unit_price: Option<Box<RawValue>>,
    pub(crate) ship_quantity: Option<Box<RawValue>>,
    pub(crate) shipped_quantity: Option<Box<RawValue>>,
    discount_amount: Option<Box<RawValue>>,
    pub(crate) invoice_discount_allocation: Option<Box<RawValue>>,
}

impl Line {
    /// What is taken off it alone.
    pub(crate) fn discount(&self) -> Result<Amount, Failure> {
        Amount::or_zero(self.discount_amount.as_deref(), "discountAmount")
    }
}

impl Document {
    /// Whether it was posted: until then it may still be changed, or thrown away.
    pub(crate) fn is_posted(&self) -> bool {
        is_posted(&self.status)
    }

    pub(crate) fn comments(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.line_type == "Comment")
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.line_type == "Item")
    }

    /// What is neither an item nor a comment: an account, a charge, a resource.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !["Comment", "Item"].contains(&line.line_type.as_str()))
    }

    /// What is taken off all of its lines.
    pub(crate) fn discount(&self) -> Result<Amount, Failure> {
        Amount::or_zero(self.discount_amount.as_deref(), "discountAmount")
    }

    /// Whether nothing is taken off any line alone.
    pub(crate) fn has_no_line_discount(&self) -> Result<bool, Failure> {
        for line in self.items() {
            if line.discount()? != Amount::ZERO {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn says(&self, comment: &str) -> bool {
        self.comments().any(|line| line.description == comment)
    }

    /// Whether its lines have the order's own numbers.
    pub(crate) fn is_numbered(&self) -> bool {
        self.comments().any(|line| line.sequence == COMMENT_SEQUENCE)
    }

    pub(crate) fn receipt(&self) -> Receipt {
        Receipt { external_id: self.number.clone(), detail: Some(format!("id {}", self.id)) }
    }
}

/// Whether an invoice or a credit memo of this status was posted.
pub(crate) fn is_posted(status: &str) -> bool {
    !matches!(status, "" | " " | "Draft" | "In Review")
}

/// How much of something, or how many major units of a currency, in billionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(pub(crate) i128);

impl Amount {
    pub(crate) const ZERO: Self = Self(0);

    /// A number of the ERP's, which has to be there.
    pub(crate) fn of(raw: Option<&RawValue>, what: &str) -> Result<Self, Failure> {
        raw.and_then(|raw| Self::read(raw.get())).ok_or_else(|| {
            Failure::permanent(format!("the ERP tells a line without {what}, or with one that is no decimal number"))
        })
    }

    /// A number that stands for nothing where it is not there.
    pub(crate) fn or_zero(raw: Option<&RawValue>, what: &str) -> Result<Self, Failure> {
        if raw.is_none() { Ok(Self::ZERO) } else { Self::of(raw, what) }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let decimal = money::decimal(text).ok()?;
        let places = money::SCALE_MAX.checked_sub(decimal.scale)?;
        i128::from(decimal.units).checked_mul(10_i128.checked_pow(u32::from(places))?).map(Self)
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Its digits, without zeros behind the point.
    pub(crate) fn text(self) -> String {
        let (whole, rest) = (self.0.unsigned_abs() / ONE, self.0.unsigned_abs() % ONE);
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = format!("{sign}{whole}.{rest:09}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// The same as a JSON number.
    pub(crate) fn json(self) -> Result<Box<RawValue>, Failure> {
        RawValue::from_string(self.text()).map_err(|error| Failure::permanent(error.to_string()))
    }
}

/// What the host's key says behind the order: the number of the shipment or the return.
pub(crate) fn said_number(natural_key: &str) -> Result<&str, Failure> {
    let number = natural_key.split_once('/').map(|(_, number)| number).filter(|number| !number.is_empty());
    number.ok_or_else(|| {
        Failure::permanent("the message is about no shipment and no return; expected a key such as ORDER/NUMBER")
    })
}

/// What the ERP did is in a document that a lost answer or another error keeps from being
/// read: whether it is there, `find` tells.
pub(crate) fn after_posting<T>(found: Result<Option<T>, Failure>) -> Result<T, Failure> {
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) | Err(_) => {
            Err(Failure::unknown("the ERP took the posting, and the posted document was not to be read yet"))
        }
    }
}
