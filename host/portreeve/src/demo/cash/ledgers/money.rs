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
        let is_here = |refund: &Refund| {
            let (order, number) = (self.order_of(refund), refund.metadata.get("return_number"));
            let of_order = self.returns.iter().filter(|back| back.order_id == order && Some(&back.number) == number);
            of_order.filter_map(|back| back.received_at).any(|received_at| received_at < refund.at)
        };
        let for_goods = |refund: &&Refund| cause(refund) == "goods-return";
        let broken = self.refunds.iter().filter(for_goods).filter(|refund| !is_here(refund));
        broken
            .map(|refund| (self.order_of(refund), format!("refund {} of goods that were not here", refund.id)))
            .collect()
    }

    /// For one cause, and of returned goods for one return, money goes back once.
    pub(super) fn refunded_twice(&self) -> Vec<Broken> {
        let mut counted: BTreeMap<(String, &str, &str), usize> = BTreeMap::new();
        for refund in &self.refunds {
            let return_number = refund.metadata.get("return_number").map_or("", String::as_str);
            *counted.entry((self.order_of(refund), cause(refund), return_number)).or_default() += 1;
        }
        let broken = counted.into_iter().filter(|(_, count)| *count > 1);
        broken
            .map(|((order, cause, number), count)| {
                let which = if number.is_empty() { String::new() } else { format!(" {number}") };
                (order, format!("{count} refunds for {cause}{which}"))
            })
            .collect()
    }

    pub(super) fn overpaid(&self) -> Vec<Broken> {
        let mut kept: BTreeMap<String, i64> = BTreeMap::new();
        for payment in &self.payments {
            let kept = kept.entry(payment.order_id.clone()).or_default();
            *kept = kept.saturating_add(payment.amount);
        }
        for refund in &self.refunds {
            let kept = kept.entry(self.order_of(refund)).or_default();
            *kept = kept.saturating_sub(refund.amount);
        }
        let broken = kept.into_iter().filter(|(_, kept)| *kept < 0);
        broken
            .map(|(order, kept)| (order, format!("refunds that are {} above what was paid", kept.saturating_neg())))
            .collect()
    }

    /// After a refund and in the end, no less is kept than is invoiced and not credited. Of orders
    /// of which the other rules speak, this one is silent.
    pub(super) fn refunded_and_owed(&self) -> Vec<Broken> {
        let others = [Self::before_receipt, Self::refunded_twice, Self::overpaid];
        let told: BTreeSet<String> = others.iter().flat_map(|rule| rule(self)).map(|(order, _)| order).collect();
        let refunded: BTreeSet<String> = self.refunds.iter().map(|refund| self.order_of(refund)).collect();
        refunded.difference(&told).filter_map(|order| Some((order.clone(), self.owed(order)?))).collect()
    }

    /// What is wrong with the refunds of an order, by what was owed then.
    fn owed(&self, order: &str) -> Option<String> {
        let minor = |amount: i64| Amount::of(&Decimal { units: amount, scale: 2 });
        let nothing = Amount::ZERO;
        let paid = self.payments.iter().filter(|payment| payment.order_id == order);
        let mut entries: Vec<(u64, Amount, Amount, bool)> =
            paid.map(|payment| (payment.at, minor(payment.amount), nothing, false)).collect();
        let back = self.refunds.iter().filter(|refund| self.order_of(refund) == order);
        entries.extend(back.map(|refund| (refund.at, nothing.less(minor(refund.amount)), nothing, true)));
        let invoices = self.invoices.iter().filter(|invoice| invoice.external_document_number == bare(order));
        entries.extend(invoices.map(|invoice| (invoice.at, nothing, Amount::of(&invoice.total), false)));
        let memos = self.credit_memos.iter().filter(|memo| memo.external_document_number == bare(order));
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

    /// The order of the payment that a refund is of; none of what nobody paid.
    pub(super) fn order_of(&self, refund: &Refund) -> String {
        let paid = self.payments.iter().find(|payment| payment.charge == refund.charge);
        paid.map(|payment| payment.order_id.clone()).unwrap_or_default()
    }
}

fn cause(refund: &Refund) -> &str {
    refund.metadata.get("cause").map_or("no cause", String::as_str)
}
