//! The advice around its items: amount, reference, payer, day of payment.

use portreeve_guest_x12::clock;
use portreeve_guest_x12_document::{Segment, TransactionSet, keep, listed};
use portreeve_sdk::transformer::*;

use crate::open_item::{self, Amounts, OpenItem, Unclear};

/// Items of one advice. The host takes no event of more than 20,000 elements in its lists
/// and counts it as this plugin's failure; each item has up to three extensions.
const ITEMS_MAX: usize = 4_000;

/// Extensions of one advice.
const EXTENSIONS_MAX: usize = 12_000;

/// BPR01 (element 305) of what tells of a payment: with advice, payment only, information only,
/// split, or as the handling party chooses. The rest announces, reverses or cancels one.
const PAYMENTS: [&str; 5] = ["C", "D", "I", "U", "X"];

/// Reads a whole advice.
///
/// # Errors
/// `invalid` with every problem that was found.
pub(crate) fn read(set: &TransactionSet, currency: String) -> Result<Remittance, Failure> {
    let amounts = Amounts { currency: &currency, problems: vec![] };
    let mut reader = Reader { amounts, items: vec![], extensions: vec![], under: Under::Nothing, paid: 0, adjusted: 0 };
    let (payment, payer) = (reader.payment(set), reader.payer(set));
    for segment in &set.segments {
        reader.take(segment);
    }
    reader.finish(payment, payer, &currency)
}

/// What BPR and TRN say.
struct Payment {
    total: Option<i64>,
    reference: Option<String>,
    pays_on: Option<Date>,
}

/// Which part of the set an ADX is of.
#[derive(Clone, Copy, PartialEq)]
enum Under {
    /// The payer's account, or nothing yet.
    Nothing,
    /// An RMR that was read.
    Item,
    /// An RMR that could not be.
    Unread,
}

struct Reader<'a> {
    amounts: Amounts<'a>,
    items: Vec<OpenItem>,
    extensions: Vec<Extension>,
    under: Under,
    /// RMR so far.
    paid: usize,
    /// ADX so far.
    adjusted: usize,
}

impl Reader<'_> {
    fn payment(&mut self, set: &TransactionSet) -> Payment {
        let (begin, trace) = (set.first("BPR"), set.first("TRN"));
        if begin.is_none_or(|begin| !PAYMENTS.contains(&begin.element(1))) {
            let message = "BPR01 does not tell of a payment; expected C, D, I, U or X";
            self.amounts.add("payment-handling", message, "BPR/01");
        }
        if begin.is_none_or(|begin| begin.element(3) != "C") {
            let message = "BPR03 does not say that the payee is credited; expected C";
            self.amounts.add("not-a-credit", message, "BPR/03");
        }
        let day = begin.map_or("", |begin| begin.element(16));
        let pays_on = clock::date(day).map(|(year, month, day)| Date { year, month, day });
        if pays_on.is_none() && !day.is_empty() {
            self.amounts.add("bad-date", "BPR16 is not a date of the calendar; expected CCYYMMDD", "BPR/16");
        }
        let total = begin.and_then(|begin| self.amounts.minor(begin, 2, "BPR"));
        if total.is_none() {
            self.amounts.add("amount-missing", "BPR02 is no amount; expected what is paid", "BPR/02");
        }
        let reference = trace.and_then(|trace| trace.identifier(2, "TRN", &mut self.amounts.problems));
        if reference.is_none() {
            self.amounts.add("reference-missing", "TRN02 is empty; expected the payment's reference", "TRN/02");
        }
        Payment { total, reference, pays_on }
    }

    /// The payer as it names itself, else the interchange's sender.
    fn payer(&mut self, set: &TransactionSet) -> Customer {
        let named = set.segments.iter().find(|segment| segment.tag() == "N1" && segment.element(1) == "PR");
        let id = named.and_then(|payer| payer.identifier(4, "N1", &mut self.amounts.problems));
        Customer {
            id: id.unwrap_or_else(|| set.sender_id().to_owned()),
            name: named.and_then(|payer| payer.filled(2)),
            email: None,
            phone: None,
        }
    }

    fn take(&mut self, segment: &Segment) {
        match segment.tag() {
            "ENT" => self.under = Under::Nothing,
            "RMR" => self.item(segment),
            "ADX" => self.adjustment(segment),
            // The vendor's number with the payer, before any item.
            "REF" if self.paid + self.adjusted == 0 => self.keep("x12:REF", &segment.elements(), "REF"),
            _ => {}
        }
    }

    fn item(&mut self, segment: &Segment) {
        self.paid += 1;
        let at = format!("RMR[{}]", self.paid);
        let item = OpenItem::paid(segment, &at, &mut self.amounts);
        self.under = if item.is_some() { Under::Item } else { Under::Unread };
        let Some(item) = item else { return };
        if let Some(discount) = self.amounts.minor(segment, 6, &at).filter(|discount| *discount != 0) {
            let text = money::to_text(discount, money::minor_digits(self.amounts.currency));
            self.keep(&format!("x12:RMR06:{}", item.invoice), &text, &at);
        }
        self.items.push(item);
    }

    fn adjustment(&mut self, segment: &Segment) {
        self.adjusted += 1;
        let at = format!("ADX[{}]", self.adjusted);
        match (self.under, self.items.last_mut()) {
            (Under::Unread, _) => {}
            (Under::Item, Some(item)) => {
                item.adjust(segment, &at, &mut self.amounts);
                let invoice = item.invoice.clone();
                if !segment.element(4).is_empty() && segment.element(4) != invoice {
                    self.keep(&format!("x12:ADX:{invoice}"), &segment.elements(), &at);
                }
            }
            _ => self.items.extend(OpenItem::adjusted(segment, &at, &mut self.amounts)),
        }
    }

    fn keep(&mut self, name: &str, value: &str, path: &str) {
        self.amounts.problems.extend(keep(&mut self.extensions, EXTENSIONS_MAX, name, value, path));
    }

    fn finish(mut self, payment: Payment, payer: Customer, currency: &str) -> Result<Remittance, Failure> {
        if self.items.len() > ITEMS_MAX {
            let message =
                format!("found {} items; expected at most {ITEMS_MAX}, send several advices", self.items.len());
            self.amounts.add("too-many-lines", &message, "RMR");
        }
        let (Some(total), Some(reference), true) = (payment.total, payment.reference, self.amounts.problems.is_empty())
        else {
            return Err(Failure::Invalid(listed(self.amounts.problems)));
        };
        let reading = open_item::reading(&self.items, total)
            .map_err(|unclear| Failure::invalid(unclear_problem(&unclear, total, currency)))?;
        let lines = self.items.into_iter().map(|item| item.line(reading, currency)).collect::<Option<Vec<_>>>();
        let Some(lines) = lines else {
            return Err(Failure::invalid(Problem::new("bad-amount", "an amount does not fit 64 bits", "RMR/04")));
        };
        let total = Money { minor: total, currency: currency.to_owned() };
        Ok(Remittance { reference, payer, total, lines, pays_on: payment.pays_on, extensions: self.extensions })
    }
}

fn unclear_problem(unclear: &Unclear, total: i64, currency: &str) -> Problem {
    let text = |minor: i128| match i64::try_from(minor) {
        Ok(minor) => money::to_text(minor, money::minor_digits(currency)),
        Err(_) => "more than fits".to_owned(),
    };
    let total = text(i128::from(total));
    let (code, message) = match unclear {
        Unclear::Neither { within, after } => (
            "sum-mismatch",
            format!(
                "BPR02 says {total}; the lines sum to {}, and with their adjustments taken off to {}: ask the payer",
                text(*within),
                text(*after)
            ),
        ),
        Unclear::Both => (
            "adjustments-unclear",
            format!(
                "BPR02 says {total}, which is the sum of the lines as they are and with their adjustments taken off: \
                 ask the payer whether RMR04 is what is paid or what was invoiced"
            ),
        ),
    };
    Problem::new(code, message, "BPR/02")
}
