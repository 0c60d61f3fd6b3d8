//! Refunds that the host decides on: what is paid and kept above what is owed goes back by
//! itself, where the routes say so.
//!
//! The danger is money that goes back twice, or of which nobody knows why. So the amount is
//! no scorer's and no system's: it follows from what was counted (`Progress::owed_back`). It is
//! reserved in the record of the event that made it owed, and said in an input of the host's
//! own that commits with that event. When the host decides on its own word, the refund counts
//! and is sent, once; where the routes do not let it be paid any more by then, it does neither, and
//! the money is owed as before. What the routes do not name stays a concern, for people.

use portreeve_model::event::Refund;
use portreeve_model::{Currency, Digest, Event, Instant, Money, OrderId};
use portreeve_store::contract::{Content, JournalEntry, NewOutbox};

use super::following::Moved;
use crate::Pipeline;
use crate::own_word::{OwnWord, Unsaid};
use crate::process::{Progress, RefundRecord};
use crate::route::{OwnChannel, Refunds, Routes};

impl Refunds {
    /// The refund that the host decides on of an order that is so far; none where it does not
    /// owe one, or may not decide on it.
    pub(crate) fn decide(&self, progress: &Progress) -> Option<RefundRecord> {
        progress.owed_back().filter(|owed| self.pay(owed, progress.money.currency))
    }

    /// Whether a refund is within what the host may pay.
    pub(crate) fn pay(&self, refund: &RefundRecord, currency: Currency) -> bool {
        let within = |amount_max: &i64| refund.amount_minor <= *amount_max;
        self.causes.contains(&refund.cause) && self.amount_max_minor.get(&currency).is_some_and(within)
    }
}

impl Routes {
    /// The deliveries of refunds that the host decided on, among what moved the order.
    pub(super) fn refunds_of<'a>(&'a self, moved: &'a [Moved]) -> impl Iterator<Item = NewOutbox> + 'a {
        let refunds = self.refunds.iter();
        refunds.flat_map(|refunds| {
            let decided = moved.iter().filter(|moved| moved.is_own_refund);
            decided.filter_map(|moved| {
                let kind = refunds.kind.as_ref().or_else(|| Some(&self.target(&refunds.target)?.kind))?;
                let content = Content::Said(moved.position);
                Some(NewOutbox { target: refunds.target.clone(), kind: kind.clone(), content })
            })
        })
    }
}

impl Pipeline {
    /// The host's own word on a refund, as an input that commits with what made it owed.
    pub(super) fn refund_said(
        &self,
        order: OrderId,
        progress: &Progress,
        refund: &RefundRecord,
        now: Instant,
    ) -> Result<JournalEntry, Unsaid> {
        let event = Event::RefundIssued(Refund {
            refund_number: refund.number.clone(),
            order_number: order.to_string(),
            cause: refund.cause,
            return_number: refund.return_number.clone(),
            amount: Money { minor: refund.amount_minor, currency: progress.money.currency },
            issued_at: Some(now),
            extensions: Vec::new(),
        });
        let key = Digest::of(format!("{order}/{}", refund.number).as_bytes()).to_string();
        // Whoever pays it back answers for it: his queue gets what cannot be decided.
        let by = self.routes.refunds.as_ref().map_or("refunds", |refunds| refunds.target.as_str());
        OwnWord { channel: OwnChannel::Refunds, by, key }.of(&event, &self.host, now)
    }
}
