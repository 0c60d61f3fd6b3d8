//! One open item that is paid or adjusted, and how the items make up the payment.

use portreeve_guest_x12_document::Segment;
use portreeve_sdk::transformer::*;

/// Qualifiers of RMR01 and ADX03 whose number is an invoice's or a memo's: seller's invoice,
/// original invoice, credit memo, debit memo. Of another number (an order's, a contract's) the
/// invoices that are meant would have to be guessed.
const INVOICE_NUMBERS: [&str; 4] = ["IV", "OI", "CM", "DM"];

/// Bytes of an invoice's number: X12 has 30 (50 from 004030 on), and it becomes part of an
/// extension's name.
const INVOICE_BYTES_MAX: usize = 80;

/// Reasons of one line that are told.
const REASONS_MAX: usize = 8;

/// What is paid of one invoice.
pub(crate) struct OpenItem {
    pub(crate) invoice: String,
    /// RMR04; of an adjustment by itself, its amount.
    pub(crate) paid: i64,
    /// The sum of its ADX, where it has any.
    pub(crate) adjustment: Option<i64>,
    pub(crate) reasons: Vec<String>,
    /// Whether it is an ADX under no RMR.
    pub(crate) alone: bool,
}

/// Reads amounts, and says of each that is none where it is.
pub(crate) struct Amounts<'a> {
    pub(crate) currency: &'a str,
    pub(crate) problems: Vec<Problem>,
}

impl Amounts<'_> {
    /// Minor units of an element; none when it is empty or no amount.
    pub(crate) fn minor(&mut self, segment: &Segment, element: usize, at: &str) -> Option<i64> {
        let text = Some(segment.element(element)).filter(|text| !text.is_empty())?;
        match money::from_major(text, self.currency, money::minor_digits(self.currency)) {
            Ok(amount) => Some(amount.minor),
            Err(error) => {
                self.add("bad-amount", &error.to_string(), &format!("{at}/{element:02}"));
                None
            }
        }
    }

    pub(crate) fn add(&mut self, code: &str, message: &str, path: &str) {
        self.problems.push(Problem::new(code, message, path));
    }

    fn number(&mut self, segment: &Segment, qualifier: usize, at: &str) -> Option<String> {
        let number = qualifier.saturating_add(1);
        if !INVOICE_NUMBERS.contains(&segment.element(qualifier)) {
            let message = "the line does not name an invoice; expected its number with IV, OI, CM or DM before it";
            self.add("invoice-missing", message, &format!("{at}/{qualifier:02}"));
            return None;
        }
        let found = segment.identifier(number, at, &mut self.problems);
        if found.as_ref().is_none_or(|number| number.len() > INVOICE_BYTES_MAX) {
            let message =
                format!("the invoice's number is empty or too long; expected at most {INVOICE_BYTES_MAX} bytes");
            self.add("invoice-missing", &message, &format!("{at}/{number:02}"));
            return None;
        }
        found
    }
}

impl OpenItem {
    /// Reads an RMR.
    pub(crate) fn paid(segment: &Segment, at: &str, amounts: &mut Amounts<'_>) -> Option<Self> {
        let invoice = amounts.number(segment, 1, at);
        let paid = amounts.minor(segment, 4, at);
        if segment.element(4).is_empty() {
            amounts.add("amount-missing", "RMR04 is empty; expected what is paid", &format!("{at}/04"));
        }
        if amounts.minor(segment, 8, at).is_some_and(|interest| interest != 0) {
            let message = "RMR08 has interest or an anticipation, of which there is no field; expected it as ADX";
            amounts.add("interest", message, &format!("{at}/08"));
        }
        Some(Self { invoice: invoice?, paid: paid?, adjustment: None, reasons: vec![], alone: false })
    }

    /// Reads an ADX that stands under no RMR.
    pub(crate) fn adjusted(segment: &Segment, at: &str, amounts: &mut Amounts<'_>) -> Option<Self> {
        let invoice = amounts.number(segment, 3, at)?;
        let mut item = Self { invoice, paid: 0, adjustment: None, reasons: vec![], alone: true };
        item.adjust(segment, at, amounts);
        item.paid = item.adjustment?;
        Some(item)
    }

    /// Adds an ADX.
    pub(crate) fn adjust(&mut self, segment: &Segment, at: &str, amounts: &mut Amounts<'_>) {
        if segment.element(1).is_empty() {
            amounts.add("amount-missing", "ADX01 is empty; expected the amount", &format!("{at}/01"));
        }
        let Some(amount) = amounts.minor(segment, 1, at) else { return };
        self.adjustment = self.adjustment.unwrap_or_default().checked_add(amount);
        if self.adjustment.is_none() {
            amounts.add("bad-amount", "the adjustments of the line do not fit 64 bits", &format!("{at}/01"));
        }
        let reason = segment.element(2);
        if !reason.is_empty() && self.reasons.len() < REASONS_MAX && !self.reasons.iter().any(|known| known == reason) {
            self.reasons.push(reason.to_owned());
        }
    }

    /// What the payment has of this item, with its adjustments within RMR04 or after it.
    fn share(&self, reading: Reading) -> i128 {
        let after = self.adjustment.filter(|_| reading == Reading::After && !self.alone);
        i128::from(self.paid).saturating_add(i128::from(after.unwrap_or_default()))
    }

    /// The line of the event.
    pub(crate) fn line(self, reading: Reading, currency: &str) -> Option<RemittanceLine> {
        let money = |minor| Money { minor, currency: currency.to_owned() };
        Some(RemittanceLine {
            paid: money(i64::try_from(self.share(reading)).ok()?),
            invoice_number: self.invoice,
            adjustment: self.adjustment.map(money),
            adjustment_reason: Some(self.reasons.join(",")).filter(|reasons| !reasons.is_empty()),
        })
    }
}

/// Where the adjustments of an RMR are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Within RMR04, as X12 has it.
    Within,
    /// To be taken off RMR04.
    After,
}

/// Why nobody can say how the items make up the payment.
pub(crate) enum Unclear {
    /// Neither the items as they are nor with their adjustments taken off are the payment.
    Neither { within: i128, after: i128 },
    /// Both are, since the adjustments of some items undo those of others, and what is paid of
    /// each of these invoices depends on which is meant.
    Both,
}

/// How the items make up the payment.
///
/// # Errors
/// When it cannot be told.
pub(crate) fn reading(items: &[OpenItem], total: i64) -> Result<Reading, Unclear> {
    let sum = |reading| items.iter().fold(0_i128, |sum, item| sum.saturating_add(item.share(reading)));
    let (within, after) = (sum(Reading::Within), sum(Reading::After));
    let is_one = items.iter().all(|item| item.share(Reading::Within) == item.share(Reading::After));
    let total = i128::from(total);
    match (total == within, total == after) {
        (true, true) if !is_one => Err(Unclear::Both),
        (true, _) => Ok(Reading::Within),
        (false, true) => Ok(Reading::After),
        (false, false) => Err(Unclear::Neither { within, after }),
    }
}
