//! What must not be in the ledger of the payment processor.
//!
//! Whose a refund is, its charge says. What it carries in its metadata is the host's own word,
//! and checked against what the goods and the invoices say.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::value::Decimal;

use super::{Broken, Ledgers, bare};
use crate::standins::amount::Amount;
use crate::standins::payment::Refund;

impl Ledgers {
    /// A refund for goods comes after they are here, in a return of that order.
    pub(super) fn before_receipt(&self) -> Vec<Broken> {
        let is_here = |(order, refund): &(&str, &Refund)| {
            let number = refund.metadata.get("return_number");
            let of_order = self.returns.iter().filter(|back| back.order_id == *order && Some(&back.number) == number);
            of_order.filter_map(|back| back.received_at).any(|received_at| received_at < refund.at)
        };
        let for_goods = |(_, refund): &(&str, &Refund)| cause(refund) == "goods-return";
        let broken = self.refunds_of_orders().into_iter().filter(for_goods).filter(|refund| !is_here(refund));
        broken
            .map(|(order, refund)| (order.to_owned(), format!("refund {} of goods that were not here", refund.id)))
            .collect()
    }

    /// For one cause, and of returned goods for one return, money goes back once.
    pub(super) fn refunded_twice(&self) -> Vec<Broken> {
        let mut counted: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for (order, refund) in self.refunds_of_orders() {
            let return_number = refund.metadata.get("return_number").map_or("", String::as_str);
            *counted.entry((order, cause(refund), return_number)).or_default() += 1;
        }
        let broken = counted.into_iter().filter(|(_, count)| *count > 1);
        broken
            .map(|((order, cause, number), count)| {
                let which = if number.is_empty() { String::new() } else { format!(" {number}") };
                (order.to_owned(), format!("{count} refunds for {cause}{which}"))
            })
            .collect()
    }

    pub(super) fn overpaid(&self) -> Vec<Broken> {
        let mut kept: BTreeMap<&str, i64> = BTreeMap::new();
        for payment in &self.payments {
            let kept = kept.entry(&payment.order_id).or_default();
            *kept = kept.saturating_add(payment.amount);
        }
        for (order, refund) in self.refunds_of_orders() {
            let kept = kept.entry(order).or_default();
            *kept = kept.saturating_sub(refund.amount);
        }
        let broken = kept.into_iter().filter(|(_, kept)| *kept < 0);
        broken
            .map(|(order, kept)| {
                (order.to_owned(), format!("refunds that are {} above what was paid", kept.saturating_neg()))
            })
            .collect()
    }

    /// After a refund and in the end, no less is kept than is invoiced and not credited. Of orders
    /// of which the other rules speak, this one is silent.
    pub(super) fn refunded_and_owed(&self) -> Vec<Broken> {
        let others = [Self::before_receipt, Self::refunded_twice, Self::overpaid];
        let told: BTreeSet<String> = others.iter().flat_map(|rule| rule(self)).map(|(order, _)| order).collect();
        let mut refunded: BTreeMap<&str, Vec<&Refund>> = BTreeMap::new();
        for (order, refund) in self.refunds_of_orders() {
            refunded.entry(order).or_default().push(refund);
        }
        let silent = refunded.into_iter().filter(|(order, _)| !told.contains(*order));
        silent.filter_map(|(order, refunds)| Some((order.to_owned(), self.owed(order, &refunds)?))).collect()
    }

    /// What is wrong with these refunds of an order, by what was owed then.
    fn owed(&self, order: &str, refunds: &[&Refund]) -> Option<String> {
        let minor = |amount: i64| Amount::of(&Decimal { units: amount, scale: 2 });
        let nothing = Amount::ZERO;
        let paid = self.payments.iter().filter(|payment| payment.order_id == order);
        let mut entries: Vec<(u64, Amount, Amount, bool)> =
            paid.map(|payment| (payment.at, minor(payment.amount), nothing, false)).collect();
        entries.extend(refunds.iter().map(|refund| (refund.at, nothing.less(minor(refund.amount)), nothing, true)));
        let document = bare(order);
        let invoices = self.invoices.iter().filter(|invoice| invoice.external_document_number == document);
        entries.extend(invoices.map(|invoice| (invoice.at, nothing, Amount::of(&invoice.total), false)));
        let memos = self.credit_memos.iter().filter(|memo| memo.external_document_number == document);
        entries.extend(memos.map(|memo| (memo.at, nothing, nothing.less(Amount::of(&memo.total)), false)));
        entries.sort();
        let (mut kept, mut owed) = (nothing, nothing);
        for (_, paid, invoiced, is_refund) in entries {
            (kept, owed) = (kept.plus(paid), owed.plus(invoiced));
            if is_refund && kept < owed {
                break;
            }
        }
        let wrong = || format!("{} kept after a refund, and {} owed", kept.decimal(), owed.decimal());
        (kept < owed).then(wrong)
    }

    /// Each refund with the order of the payment that it is of; with none where nobody paid it.
    pub(super) fn refunds_of_orders(&self) -> Vec<(&str, &Refund)> {
        let charges: BTreeMap<&str, &str> =
            self.payments.iter().map(|payment| (payment.charge.as_str(), payment.order_id.as_str())).collect();
        let order = |refund: &Refund| charges.get(refund.charge.as_str()).copied().unwrap_or_default();
        self.refunds.iter().map(|refund| (order(refund), refund)).collect()
    }
}

fn cause(refund: &Refund) -> &str {
    refund.metadata.get("cause").map_or("no cause", String::as_str)
}
