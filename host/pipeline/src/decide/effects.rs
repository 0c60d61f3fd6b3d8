//! Effects: what the routes say is to follow from what was said of an order.
//!
//! Only what counts has effects, and each its own: an event that waited for its turn has
//! them with the event that it waited for, in the order in which both count. Pure: routes
//! and what moved the order give deliveries, which commit with the event or not at all.

use portreeve_model::{ChannelId, ProcessState};
use portreeve_store::contract::{Content, DocumentPosition, NewOutbox, OrderEventKind};

use super::following::{Moved, Worry};
use crate::process::{Concern, Process};
use crate::route::{CHANGE_ACCEPTED, CHANGE_REFUSED, Effect, Invoices, Rest, Routes, Sends};

impl Routes {
    /// The deliveries that follow, in the order of what moved the order and of the routes. An
    /// order that its sender does not want any more, or that was refused, goes nowhere: what was
    /// said of it does.
    /// `channel` is that which the order came by.
    pub(crate) fn effects_of(&self, moved: &[Moved], is_wanted: bool, channel: Option<&ChannelId>) -> Vec<NewOutbox> {
        let all = moved.iter().flat_map(|moved| self.effects.iter().map(move |effect| (moved, effect)));
        all.filter(|(moved, effect)| effect.follows(moved) && effect.is_of(channel))
            .filter(|(moved, effect)| effect.sends == Sends::Event || (is_wanted && !moved.is_of_refused()))
            .filter_map(|(moved, effect)| self.delivery(effect, moved))
            .chain(self.refunds_of(moved))
            .collect()
    }

    /// The same, and what subscribers hear of it.
    pub(crate) fn deliveries_of(
        &self,
        moved: &[Moved],
        is_wanted: bool,
        channel: Option<&ChannelId>,
    ) -> Vec<NewOutbox> {
        let mut deliveries = self.effects_of(moved, is_wanted, channel);
        // Of a change that people accepted hear those whom an effect names, and nobody else.
        let told = moved.iter().filter(|moved| moved.event != OrderEventKind::Changed.as_str());
        deliveries.extend(told.flat_map(|moved| self.word_of(&moved.event, moved.position, channel)));
        deliveries
    }

    /// What people have to know where a change that they accepted led an order on: an event would have led it
    /// there as well, and what the routes have follow from that follows from nothing now. `deciding` is the
    /// document that is decided.
    pub(super) fn passed_over(
        &self,
        process: &Process,
        moved: &[Moved],
        (deciding, is_wanted): (DocumentPosition, bool),
        channel: Option<&ChannelId>,
    ) -> Vec<Worry> {
        let by_change = moved.iter().filter(|moved| moved.event == OrderEventKind::Changed.as_str());
        let worry = |moved: &Moved| {
            let effects = self.effects.iter().filter(|effect| effect.is_of(channel) && effect.misses(moved, process));
            let effects = effects.filter(|effect| effect.sends == Sends::Event || is_wanted);
            let named = |effect: &Effect| {
                let kind = self.kind_of(effect).unwrap_or("a message");
                format!("`{}`, by which target `{}` gets `{kind}`", effect.on, effect.target)
            };
            let named: Vec<String> = effects.map(named).collect();
            let concern = Concern {
                code: "effect-passed-over",
                found: format!("an accepted change by which the order went from {} to {}", moved.from, moved.to),
                expected: format!("{}: nothing is sent of that, so see to it yourself", named.join(" and ")),
            };
            let waited = (moved.position != deciding).then_some(moved.position);
            (!named.is_empty()).then(|| Worry { event: moved.event.clone(), waited, counts: true, concern })
        };
        by_change.filter_map(worry).collect()
    }

    /// What follows when people have carried a change out, or refused it, that stands in this
    /// document: who asked for it hears that.
    pub(crate) fn answers(&self, is_accepted: bool, change: DocumentPosition, channel: &ChannelId) -> Vec<NewOutbox> {
        let on = if is_accepted { CHANGE_ACCEPTED } else { CHANGE_REFUSED };
        let effects = self.effects.iter().filter(|effect| effect.on == on && effect.is_of(Some(channel)));
        let answer = |effect: &Effect| {
            let (target, kind) = (effect.target.clone(), self.kind_of(effect)?.to_owned());
            Some(NewOutbox { target, kind, content: Content::Said(change) })
        };
        effects.filter_map(answer).collect()
    }

    /// Whether something follows when people reject an order of this channel, which no system had.
    pub(crate) fn hear_rejections(&self, channel: &ChannelId) -> bool {
        let rejected = Moved {
            event: OrderEventKind::Rejected.as_str().to_owned(),
            position: DocumentPosition(0),
            from: ProcessState::Cancelled,
            to: ProcessState::Cancelled,
            is_own_refund: false,
            is_credit_memo: false,
            is_cut_short: false,
        };
        !self.deliveries_of(&[rejected], false, Some(channel)).is_empty()
    }

    /// Whether what follows differs by the channel that an order came by.
    pub(crate) fn looks_at_channels(&self) -> bool {
        self.hears_by_channel() || self.effects.iter().any(|effect| !effect.channels.is_empty())
    }

    fn delivery(&self, effect: &Effect, moved: &Moved) -> Option<NewOutbox> {
        let content = match effect.sends {
            Sends::Event => Content::Said(moved.position),
            Sends::Order => Content::Order,
        };
        Some(NewOutbox { target: effect.target.clone(), kind: self.kind_of(effect)?.to_owned(), content })
    }
}

impl Moved {
    /// Whether people rejected the order before any system had it.
    fn is_of_refused(&self) -> bool {
        self.event == OrderEventKind::Rejected.as_str() && self.from == ProcessState::Cancelled
    }
}

impl Effect {
    pub(super) fn is_of(&self, channel: Option<&ChannelId>) -> bool {
        self.channels.is_empty() || channel.is_some_and(|channel| self.channels.contains(channel))
    }

    /// Whether it would have followed, had its event led the order where this did.
    fn misses(&self, moved: &Moved, process: &Process) -> bool {
        let is_from = self.from.is_empty() || self.from.contains(&moved.from);
        let is_to = self.to.contains(&moved.to) && !self.to.contains(&moved.from);
        is_from && is_to && process.leads(&self.on, moved.from, moved.to)
    }

    pub(super) fn follows(&self, moved: &Moved) -> bool {
        let among = |states: &std::collections::BTreeSet<_>, state| states.is_empty() || states.contains(state);
        let is_wanted = match self.invoices {
            None => true,
            Some(Invoices::Invoice) => !moved.is_credit_memo,
            Some(Invoices::CreditMemo) => moved.is_credit_memo,
        };
        let is_wanted = is_wanted && self.rest.is_none_or(|Rest::Cancelled| moved.is_cut_short);
        self.on == moved.event && among(&self.from, &moved.from) && among(&self.to, &moved.to) && is_wanted
    }
}
