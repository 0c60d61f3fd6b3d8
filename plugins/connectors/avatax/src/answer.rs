//! What AvaTax says: a transaction and how far it is, or a refusal.

use portreeve_guest_rest::shortened;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Effect;

/// Letters of a word such as a status or a type.
const WORD_CHARS_MAX: usize = 32;

/// A transaction, as far as it is looked at. Numbers are taken as they were written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transaction {
    code: String,
    status: String,
    #[serde(rename = "type")]
    document_type: Option<String>,
    currency_code: Option<String>,
    description: Option<String>,
    total_amount: Option<Box<RawValue>>,
    total_tax: Option<Box<RawValue>>,
    version: Option<Box<RawValue>>,
    id: Option<Box<RawValue>>,
}

/// How far a transaction is, seen from what was to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has happened.
    Done,
    /// It has not happened and still may.
    Open,
    /// Somebody voided it. Taken for done its tax would be missing, made again it would be back.
    Cancelled,
    /// A status that says neither, such as `Temporary`: AvaTax keeps no record of that one.
    Strange,
}

impl Transaction {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let read: Option<Self> = serde_json::from_slice(body).ok();
        read.filter(|found| !found.code.is_empty())
    }

    /// How far it is. The amounts say nothing about that: those of a void stand still.
    pub(crate) fn state(&self, effect: Effect, commits: bool) -> State {
        match (effect, self.status.as_str()) {
            (Effect::Void, "Cancelled") => State::Done,
            (_, "Cancelled") => State::Cancelled,
            (Effect::Void, "Saved" | "Posted" | "Committed" | "Adjusted") => State::Open,
            (_, "Committed") => State::Done,
            (Effect::Create, "Saved" | "Posted") if !commits => State::Done,
            (_, "Saved" | "Posted") => State::Open,
            _ => State::Strange,
        }
    }

    pub(crate) fn document_type(&self) -> Option<&str> {
        self.document_type.as_deref()
    }

    /// What it was said to be of when it was made; none where somebody else made it.
    pub(crate) fn stated(&self) -> Option<Stated> {
        Stated::read(self.description.as_deref()?)
    }

    /// Whether it is of what was stated. A change that says nothing has nothing to compare.
    ///
    /// # Errors
    /// How it is another one.
    pub(crate) fn compared(self, stated: Option<&Stated>) -> Result<Self, Failure> {
        let Some(stated) = stated else { return Ok(self) };
        let is = |found: &Option<Box<RawValue>>, stated: &Decimal| {
            found.as_deref().and_then(decimal).is_some_and(|found| exact(&found) == exact(stated))
        };
        match self.currency_code.as_deref() == Some(stated.currency.as_str()) && is(&self.total_amount, &stated.amount)
        {
            false => Err(self.another()),
            true if !is(&self.total_tax, &stated.tax) => Err(self.other_tax(&stated.tax_said)),
            true => Ok(self),
        }
    }

    /// The code, and not the id: an adjustment has another one.
    pub(crate) fn receipt(&self) -> Receipt {
        let parts = [
            self.document_type.as_deref().map(|kind| word(kind).to_owned()),
            self.amounts(),
            Some(word(&self.status).to_owned()),
            self.version.as_deref().and_then(digits).map(|version| format!("version {version}")),
            self.id.as_deref().and_then(digits).map(|id| format!("id {id}")),
        ];
        let detail = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Receipt { external_id: self.code.clone(), detail: Some(detail) }
    }

    /// What it is worth and its tax, by the digits that AvaTax wrote.
    fn amounts(&self) -> Option<String> {
        let currency = word(self.currency_code.as_deref()?);
        let told = |found: &Option<Box<RawValue>>| money::in_words(found.as_deref()?.get(), currency).ok();
        Some(format!("{} {currency} and {} tax", told(&self.total_amount)?, told(&self.total_tax)?))
    }

    /// It was answered with a success and is as before: whether it happens later nobody says.
    pub(crate) fn not_yet(&self) -> Failure {
        Failure::unknown(format!("AvaTax took the message, and the transaction is still {}", word(&self.status)))
    }

    /// What a person has to look at.
    pub(crate) fn a_persons(&self) -> Failure {
        match self.status.as_str() {
            "Cancelled" => Failure::permanent(
                "transaction-cancelled: AvaTax has the transaction as Cancelled; see there who voided it, and tell the \
                 invoice under another number if its tax is owed",
            ),
            other => Failure::permanent(format!(
                "transaction-status: AvaTax has the transaction as {}; expected Saved, Posted, Committed or Cancelled",
                word(other)
            )),
        }
    }

    /// There is one of this code, with another type, currency or amount.
    pub(crate) fn another(&self) -> Failure {
        let message = "AvaTax has another transaction under this number, of another type, currency or amount; expected \
                       none or the same: adjust or void it there, or correct the invoice's number";
        Failure::invalid(Problem::new("transaction-differs", message, "code"))
    }

    /// AvaTax owes an authority another tax than the customer was asked for.
    fn other_tax(&self, stated: &str) -> Failure {
        let currency = self.currency_code.as_deref().unwrap_or_default();
        let found = self.total_tax.as_deref().and_then(|found| money::in_words(found.get(), currency).ok());
        let found = found.as_deref().unwrap_or("none");
        let message = format!(
            "AvaTax has the transaction with {found} of tax; expected {stated}, as the invoice has it: adjust it there \
             and replay, or credit the invoice and post another one, and abandon this"
        );
        Failure::invalid(Problem::new("tax-differs", message, "tax"))
    }
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: Refusal,
}

/// AvaTax's refusal (`ErrorResult`).
#[derive(Deserialize)]
pub(crate) struct Refusal {
    code: Option<String>,
    message: Option<String>,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    code: Option<String>,
    message: Option<String>,
    fault_sub_code: Option<String>,
    refers_to: Option<String>,
}

impl Refusal {
    /// AvaTax's words; none where somebody else answered, a gateway or another server.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let answer: Option<ErrorAnswer> = serde_json::from_slice(body).ok();
        answer.map(|answer| answer.error)
    }

    fn says(&self, code: &str) -> bool {
        let of_details = self.details.iter().flat_map(|detail| [&detail.code, &detail.fault_sub_code]);
        std::iter::once(&self.code).chain(of_details).any(|found| found.as_deref() == Some(code))
    }

    /// Whether it was refused for what it is already. A status that forbids it is told as a
    /// failed calculation that refers to the status ("What's a DocStatusError?").
    pub(crate) fn is_there_already(&self) -> bool {
        let conflicts =
            ["DocumentCodeConflict", "TransactionAlreadyExists", "TransactionIsCommitted", "DocStatusError"];
        let refers_to_status = |detail: &Detail| detail.refers_to.as_deref() == Some("DocStatus");
        conflicts.iter().any(|code| self.says(code)) || self.details.iter().any(refers_to_status)
    }

    /// Whether there is no such transaction. A 404 for any other reason says nothing about one.
    pub(crate) fn is_of_none(&self) -> bool {
        self.says("EntityNotFoundError")
    }

    pub(crate) fn is_cancelled_already(&self) -> bool {
        self.says("TransactionAlreadyCancelled")
    }

    /// The refusal in AvaTax's own words; it will refuse the same message again.
    pub(crate) fn failure(&self, status: u16) -> Failure {
        let of_details = self.details.iter().find_map(|detail| detail.message.as_deref());
        let said = self.message.as_deref().or(of_details).unwrap_or("no reason given");
        let message = format!("AvaTax refused the transaction ({status}): {}", shortened(said));
        let code = self.code.as_deref().and_then(dashed);
        Failure::invalid(Problem::new(code.as_deref().unwrap_or("refused-by-avatax"), message, ""))
    }
}

/// `DocumentCodeConflict` as `document-code-conflict`.
fn dashed(code: &str) -> Option<String> {
    if !(1..=48).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let mut dashed = String::with_capacity(64);
    for letter in code.chars() {
        if letter.is_ascii_uppercase() && !dashed.is_empty() && dashed.len() < 63 {
            dashed.push('-');
        }
        dashed.push(letter.to_ascii_lowercase());
    }
    Some(dashed).filter(|dashed| dashed.len() <= 64)
}

/// What a transaction is of, by its description: `order ID: 62.79 USD and 4.87 tax`, as the
/// transformer writes it.
pub(crate) struct Stated {
    pub(crate) order: String,
    currency: String,
    amount: Decimal,
    tax: Decimal,
    /// The same by its digits.
    tax_said: String,
}

impl Stated {
    pub(crate) fn read(description: &str) -> Option<Self> {
        let (order, rest) = description.strip_prefix("order ")?.split_once(": ")?;
        let (amount, rest) = rest.split_once(' ')?;
        let (currency, tax) = rest.strip_suffix(" tax")?.split_once(" and ")?;
        Some(Self {
            order: order.to_owned(),
            currency: currency.to_owned(),
            amount: money::decimal(amount).ok()?,
            tax: money::decimal(tax).ok()?,
            tax_said: tax.to_owned(),
        })
    }

    /// Whether it is the sum of these lines. A message's lines are far too few for that not to fit.
    pub(crate) fn is_of(&self, lines: &[Decimal]) -> bool {
        let sum = lines.iter().try_fold(0_i128, |sum, amount| sum.checked_add(exact(amount)?));
        sum.is_some() && sum == exact(&self.amount)
    }
}

/// An amount in billionths of a major unit, the finest that a decimal has.
fn exact(amount: &Decimal) -> Option<i128> {
    let places = money::SCALE_MAX.checked_sub(amount.scale)?;
    i128::from(amount.units).checked_mul(10_i128.checked_pow(u32::from(places))?)
}

fn decimal(found: &RawValue) -> Option<Decimal> {
    money::decimal(found.get()).ok()
}

/// A number's own digits, where it is one.
fn digits(found: &RawValue) -> Option<&str> {
    decimal(found).map(|_| found.get())
}

/// A word of AvaTax's vocabulary; whatever else is in its place is not repeated.
fn word(text: &str) -> &str {
    let is_word = (1..=WORD_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { text } else { "something else" }
}
