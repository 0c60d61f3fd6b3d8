//! What is paid of each invoice, and what is wrong with a payment that is too small.
//!
//! A payment that names an invoice is for that one; any other is on account of the whole order. An
//! order may be paid in parts, so one that is too small closes nothing: the order stays where it is
//! and shows what is open. Whether people hear of it is the process's to say (`part_payments`):
//! where parts are not agreed, whoever looks after receivables asks the payer at once, while he
//! still knows why. Nothing is written off, however little it is.
//!
//! Sums only ever grow by what is said, by invoice, so it does not matter which of the two is heard
//! first: the payment or the invoice that it is for.

use portreeve_model::event::{Invoice, Settlement};
use portreeve_model::value::{text, text_option};
use portreeve_model::{Money, ProcessState};
use serde::{Deserialize, Serialize};

use super::{Concern, MoneyProgress, Progress, Trouble, is_nothing, more};

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
}

impl InvoiceProgress {
    /// What is still to be paid of it where payments name it and do not make it up.
    fn short_minor(&self) -> Option<i64> {
        let owed = self.total_minor?.saturating_sub(self.credited_minor);
        (self.paid_minor != 0 && self.paid_minor < owed).then(|| owed.saturating_sub(self.paid_minor))
    }
}

impl MoneyProgress {
    /// What is invoiced, and not paid or paid back again; nothing where more is paid than that.
    #[must_use]
    pub fn open_minor(&self) -> i64 {
        self.invoiced_minor.saturating_sub(self.kept_minor()).max(0)
    }

    /// Whether each payment names an invoice that is here.
    fn is_paid_by_invoice(&self) -> bool {
        let known = self.invoices.values().filter(|invoice| invoice.total_minor.is_some());
        let paid = known.fold(0_i64, |sum, invoice| sum.saturating_add(invoice.paid_minor));
        paid != 0 && paid == self.paid_minor
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

    /// Keeps which invoice a payment is for, where it says so.
    pub(super) fn pays(&mut self, settlement: &Settlement, amount: i64) -> Result<(), Trouble> {
        let Some(number) = &settlement.invoice_number else { return Ok(()) };
        let invoice = self.money.invoices.entry(number.clone()).or_default();
        invoice.paid_minor = more(invoice.paid_minor, amount)?;
        Ok(())
    }

    /// A payment that is too small: of an invoice that it names or, once all that left is invoiced,
    /// of the order. What was refunded is no payment that is missing.
    pub(in crate::process) fn paid_short(&self) -> Option<Concern> {
        let MoneyProgress { currency, invoiced_minor, paid_minor, .. } = self.money;
        let states = [ProcessState::PartShipped, ProcessState::Shipped, ProcessState::Invoiced];
        let is_paid = !self.numbers("payment.settled").is_empty();
        if !states.contains(&self.state) || !is_paid || paid_minor >= invoiced_minor {
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
        let short = self.money.invoices.iter().find_map(|(number, invoice)| {
            Some(concern(&format!("invoice `{number}`"), invoice.paid_minor, invoice.short_minor()?))
        });
        let of_order = (self.state == ProcessState::Invoiced && !self.money.is_paid_by_invoice())
            .then(|| concern("the order", paid_minor, invoiced_minor.saturating_sub(paid_minor)));
        short.or(of_order)
    }
}
