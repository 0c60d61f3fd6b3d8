//! What is paid and advised of each invoice, and what is wrong with a payment that is too small.
//!
//! A payment that names an invoice is for that one; any other is on account, and covers one invoice
//! after the other, as credit memos do that correct nothing. An order may be paid in parts, so one that
//! is too small closes nothing: the order stays where it is and shows what is open. Whether people hear
//! of it is the process's to say (`part_payments`): where parts are not agreed, whoever looks after
//! receivables asks the payer at once, while he still knows why. Nothing is written off, however little
//! it is.
//!
//! An advice moves no money. It is compared with what was invoiced, and people hear where it differs,
//! which is before the money comes: then there is still time to agree on a deduction.
//!
//! Sums only ever grow by what is said, by invoice, so it does not matter which of the two is heard
//! first: the payment or the invoice that it is for.

use std::collections::BTreeSet;

use portreeve_model::event::{Invoice, Remittance, RemittanceLine, Settlement};
use portreeve_model::value::{text, text_option};
use portreeve_model::{Money, ProcessState};
use serde::{Deserialize, Serialize};

use super::{Concern, LineProgress, MoneyProgress, Moved, Progress, Trouble, is_nothing, more};

/// The code of what people hear of an advice that differs from what was invoiced.
pub(crate) const ADVISED_OTHERWISE: &str = "advised-otherwise";

/// What was asked for and paid by one invoice, in minor units of the order's currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvoiceProgress {
    /// Its total, below nothing where it is a credit memo; none while it is not here.
    #[serde(default, with = "text_option", skip_serializing_if = "Option::is_none")]
    pub total_minor: Option<i64>,
    /// What credit memos that correct it took off that.
    #[serde(default, with = "text", skip_serializing_if = "is_nothing")]
    pub credited_minor: i64,
    /// Settled payments that name it.
    #[serde(default, with = "text", skip_serializing_if = "is_nothing")]
    pub paid_minor: i64,
    /// What advices say that is to be paid of it.
    #[serde(default, with = "text", skip_serializing_if = "is_nothing")]
    pub advised_minor: i64,
}

impl InvoiceProgress {
    /// Whether what is advised is what it asks for, with or without what credit memos took off that:
    /// a payer may name those by themselves.
    fn is_advised(&self) -> bool {
        let of_total =
            |total: i64| self.advised_minor == total || self.advised_minor == total.saturating_sub(self.credited_minor);
        self.total_minor.is_some_and(of_total)
    }

    /// What payments that name it leave open of it; nothing of a credit memo, or of one that is not here.
    fn open_minor(&self) -> i64 {
        let Some(total) = self.total_minor.filter(|total| *total > 0) else { return 0 };
        let owed = total.saturating_sub(self.credited_minor).max(0);
        owed.saturating_sub(self.paid_minor).max(0)
    }
}

/// An invoice that payments name and do not make up.
struct PaidInPart<'a> {
    number: &'a str,
    paid_minor: i64,
    open_minor: i64,
}

impl MoneyProgress {
    /// What is invoiced, and not paid or paid back again; nothing where more is paid than that.
    #[must_use]
    pub fn open_minor(&self) -> i64 {
        self.invoiced_minor.saturating_sub(self.kept_minor()).max(0)
    }

    /// The first invoice that payments name and do not make up, and whether what names none covers
    /// another one in part.
    ///
    /// What names none (payments on account, credit memos that correct nothing, what is paid above an
    /// invoice) is taken for the rest of those that are named first: who pays a part by name pays the
    /// rest of it before anything else. Then it is for one invoice after the other, by their numbers.
    fn paid_in_part(&self) -> (Option<PaidInPart<'_>>, bool) {
        let here = self.invoices.values().filter_map(|invoice| invoice.total_minor);
        let earlier = self.invoiced_minor.saturating_sub(here.fold(0, i64::saturating_add));
        // Those that an earlier version counted, as one, which is the oldest.
        let earlier = InvoiceProgress { total_minor: Some(earlier), ..InvoiceProgress::default() };
        let mut invoices: Vec<(&str, &InvoiceProgress)> = vec![("", &earlier)];
        invoices.extend(self.invoices.iter().map(|(number, invoice)| (number.as_str(), invoice)));
        // Nine comes before ten.
        invoices.sort_by_key(|(number, invoice)| (invoice.paid_minor == 0, number.len(), *number));
        let by_name = invoices.iter().map(|(_, invoice)| invoice.open_minor()).fold(0, i64::saturating_add);
        let open = self.invoiced_minor.saturating_sub(self.paid_minor);
        let mut on_account = by_name.saturating_sub(open).max(0);
        let (mut first, mut covers_a_part) = (None, false);
        for (number, invoice) in invoices {
            let covered = on_account.min(invoice.open_minor());
            on_account = on_account.saturating_sub(covered);
            let open_minor = invoice.open_minor().saturating_sub(covered);
            if open_minor > 0 && invoice.paid_minor != 0 {
                let paid_minor = invoice.paid_minor.saturating_add(covered);
                first = first.or(Some(PaidInPart { number, paid_minor, open_minor }));
            } else if open_minor > 0 {
                covers_a_part |= covered > 0;
            }
        }
        (first, covers_a_part)
    }

    /// Whether what is open had been paid, and was taken back.
    fn is_taken_back(&self) -> bool {
        let before = self.paid_minor.saturating_add(self.taken_back_minor);
        self.paid_minor <= 0 || (self.taken_back_minor > 0 && before >= self.invoiced_minor)
    }
}

impl Progress {
    /// Keeps what an invoice or a credit memo asks for.
    pub(super) fn bills(&mut self, invoice: &Invoice, total: i64) -> Result<(), Trouble> {
        let invoices = &mut self.money.invoices;
        invoices.entry(invoice.invoice_number.clone()).or_default().total_minor = Some(total);
        if let Some(corrected) = invoice.corrects.as_ref().filter(|_| total < 0) {
            let corrected = invoices.entry(corrected.clone()).or_default();
            corrected.credited_minor = more(corrected.credited_minor, total.saturating_neg())?;
        }
        Ok(())
    }

    /// Keeps which invoice a payment is for, where it says so, and what is taken back.
    pub(super) fn pays(&mut self, settlement: &Settlement, amount: i64) -> Result<(), Trouble> {
        let taken_back = amount.min(0).saturating_neg();
        self.money.taken_back_minor = more(self.money.taken_back_minor, taken_back)?;
        let Some(number) = &settlement.invoice_number else { return Ok(()) };
        let invoice = self.money.invoices.entry(number.clone()).or_default();
        invoice.paid_minor = more(invoice.paid_minor, amount)?;
        Ok(())
    }

    /// Keeps what a payer says that it pays of invoices. One that does not count yet may still come.
    pub(super) fn advised(&mut self, advice: &Remittance) -> Moved {
        for RemittanceLine { invoice_number, paid, .. } in &advice.lines {
            let amount = self.amount(*paid)?;
            let invoice = self.money.invoices.get_mut(invoice_number);
            let Some(invoice) = invoice.filter(|invoice| invoice.total_minor.is_some()) else {
                return Err(Trouble::Early(format!("invoice.posted `{invoice_number}`, which the advice is of")));
            };
            invoice.advised_minor = more(invoice.advised_minor, amount)?;
        }
        let numbers: BTreeSet<&str> = advice.lines.iter().map(|line| line.invoice_number.as_str()).collect();
        Ok(numbers.into_iter().filter_map(|number| self.advised_otherwise(number, advice)).collect())
    }

    /// Whether payers said of any of it for what they pay, be it that they pay nothing.
    pub(crate) fn has_advices(&self) -> bool {
        !self.numbers("remittance.received").is_empty()
    }

    /// Forgets what an earlier version of the host did not count, where its record has none of that: who
    /// follows an order again goes on as it did.
    pub(crate) fn as_counted_in(&mut self, then: &Self) {
        if then.money.invoices.is_empty() {
            self.money.invoices.clear();
        }
        if then.money.taken_back_minor == 0 {
            self.money.taken_back_minor = 0;
        }
    }

    /// An invoice of which something else is advised than it asks for, or something is taken off.
    fn advised_otherwise(&self, number: &str, advice: &Remittance) -> Option<Concern> {
        let invoice = self.money.invoices.get(number)?;
        let taken_off = advice.lines.iter().filter(|line| line.invoice_number == number).find_map(|line| {
            // One that stands by itself is of a memo, whose amount it is.
            let of_more = |adjustment: &Money| adjustment.minor != 0 && *adjustment != line.paid;
            let adjustment = line.adjustment.filter(of_more)?;
            let reason = line.adjustment_reason.as_deref().unwrap_or("no reason");
            Some(format!(", with an adjustment of {adjustment} ({reason})"))
        });
        if invoice.is_advised() && taken_off.is_none() {
            return None;
        }
        let shown = |minor| Money { minor, currency: self.money.currency }.to_string();
        // The bank may be faster than the advice.
        let what_to_do = if self.state == ProcessState::Settled {
            ", and all of it is paid already: ask the payer what the advice is of"
        } else {
            ": agree with the payer on the difference, or credit it; the money itself is compared when it comes"
        };
        let credited = match invoice.credited_minor {
            0 => String::new(),
            credited => format!(" and of which credit memos took {}", shown(credited)),
        };
        Some(Concern {
            code: ADVISED_OTHERWISE,
            found: format!(
                "{} of invoice `{number}` advised by `{}`{}",
                shown(invoice.advised_minor),
                advice.reference,
                taken_off.unwrap_or_default()
            ),
            expected: format!("{}, which is invoiced{credited}{what_to_do}", shown(invoice.total_minor?)),
        })
    }

    /// A payment that is too small: of an invoice that it names or, once all that left is invoiced,
    /// of the order. What was refunded is no payment that is missing. Goods that come back change
    /// nothing of it: what they are worth is credited, and the rest is owed as before.
    pub(in crate::process) fn paid_short(&self) -> Option<Concern> {
        let MoneyProgress { currency, invoiced_minor, paid_minor, .. } = self.money;
        let is_paid = !self.numbers("payment.settled").is_empty();
        let all_left = match self.state {
            ProcessState::PartShipped | ProcessState::Shipped => false,
            ProcessState::Invoiced | ProcessState::Returning | ProcessState::Returned | ProcessState::Credited => true,
            _ => return None,
        };
        if !is_paid || paid_minor >= invoiced_minor {
            return None;
        }
        let shown = |minor| Money { minor, currency }.to_string();
        let concern = |of: &str, paid: i64, open: i64| Concern {
            code: "paid-too-little",
            found: format!("{} paid of {of} and {} open", shown(paid), shown(open)),
            expected: format!(
                "{}, which is invoiced: ask the payer whether the rest is still to come, which closes this; where parts are agreed, `part_payments` of the process says so",
                shown(paid.saturating_add(open))
            ),
        };
        let (short, covers_a_part) = self.money.paid_in_part();
        if let Some(PaidInPart { number, paid_minor, open_minor }) = short {
            return Some(concern(&format!("invoice `{number}`"), paid_minor, open_minor));
        }
        let is_invoiced = all_left && self.lines.values().all(LineProgress::is_invoiced);
        let of_order = is_invoiced && (covers_a_part || self.money.is_taken_back());
        of_order.then(|| concern("the order", paid_minor, invoiced_minor.saturating_sub(paid_minor)))
    }
}
