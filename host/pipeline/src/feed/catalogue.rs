//! The catalogue of events: what each says, whose word it is, and who hears it.
//!
//! It is made of the routes that are active and of one table, so it cannot promise what the host
//! does not do. Whose word an event is decides whom people ask about it: the senders of a channel
//! of their own orders, a system of what it does with them, a target by taking a message, the
//! host of what it decides.

use std::collections::BTreeSet;

use portreeve_model::ChannelId;
use portreeve_store::contract::OrderEventKind;

use super::{ORDER_CREATED, told};
use crate::route::{
    CHANGE_ACCEPTED, CHANGE_REFUSED, Channel, Effect, HeldOrders, ORDER_HELD, ORDER_RELEASED, OwnChannel, Routes,
    Target,
};

/// What each canonical event says.
const EVENTS: [(&str, &str); 19] = [
    ("order.created", "An order was released: nothing keeps it back any more, and it is on its way to the ERP."),
    ("order.changed", "A sender wants its order otherwise. It counts for nothing until a person accepts it."),
    (
        "order.cancel-requested",
        "A sender does not want its order any more, and what systems have of it is being undone.",
    ),
    ("order.accepted", "The system of record has taken the order."),
    (
        "order.rejected",
        "The system of record will not carry the order out, or not any more, or people rejected it before any had it.",
    ),
    ("inventory.level", "How much of an item lies at a node, and how much of that is free."),
    ("inventory.allocated", "Stock was set aside for the order's lines."),
    ("shipment.picked", "Goods of the order were taken from their shelves."),
    ("shipment.packed", "Goods of the order were packed."),
    ("shipment.dispatched", "Goods of the order were given to a carrier."),
    ("shipment.confirmed", "What has left: ordered and shipped quantity of each line, and why one is short."),
    ("shipment.delayed", "Goods of the order come later than was expected."),
    ("invoice.posted", "The order, or a part of it, was invoiced; a credit memo has amounts below zero."),
    ("payment.settled", "Money for the order arrived; an authorisation is none."),
    ("return.requested", "The customer wants to send goods back."),
    ("return.received", "Goods came back."),
    ("refund.issued", "Money goes back, and why."),
    ("remittance.received", "A payer's advice of what it pays; settlement comes from the bank."),
    ("supplier.delay-predicted", "A supplier is expected to be late."),
];

/// What the host knows of one type of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name, the `type` of the CloudEvent.
    pub event: &'static str,
    /// What it says, one sentence.
    pub meaning: &'static str,
    /// Whether it can be told of an order, so that somebody may subscribe to it.
    pub is_told: bool,
    /// Whose word it is.
    pub said_by: Vec<Owner<'a>>,
    /// Who gets what because of it.
    pub consumers: Vec<Consumer<'a>>,
}

/// Whose word an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The senders of this channel, of their own orders.
    Senders(&'a ChannelId),
    /// The system behind this channel, of any order.
    System(&'a ChannelId),
    /// This target, by taking a message.
    Target(&'a str),
    /// The host itself.
    Host,
}

/// Who gets something because of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consumer<'a> {
    /// Somebody who subscribed to it.
    Subscriber {
        /// Its name.
        id: &'a str,
        /// Of orders of these channels; empty means all.
        channels: &'a BTreeSet<ChannelId>,
        /// What it sees beyond what points at nobody.
        sees: &'a [String],
    },
    /// A target that gets a message.
    Target {
        /// Its name.
        id: &'a str,
        /// The kind of message.
        kind: &'a str,
        /// Of orders of these channels; empty means all.
        channels: BTreeSet<&'a ChannelId>,
    },
}

impl Routes {
    /// Every canonical event, in the order in which an order meets them.
    #[must_use]
    pub fn catalogue(&self) -> Vec<Entry<'_>> {
        let told = told();
        let entry = |(event, meaning): (&'static str, &'static str)| Entry {
            event,
            meaning,
            is_told: told.contains(&event),
            said_by: self.owners(event),
            consumers: self.consumers(event),
        };
        EVENTS.map(entry).into()
    }

    fn owners(&self, event: &str) -> Vec<Owner<'_>> {
        let of_senders = [ORDER_CREATED, OrderEventKind::Changed.as_str(), OrderEventKind::CancelRequested.as_str()];
        if of_senders.contains(&event) {
            return self.channels.iter().map(|channel| Owner::Senders(&channel.id)).collect();
        }
        let systems = self.channels.iter().filter(|channel| channel.says.iter().any(|says| says == event));
        let mut owners: Vec<Owner<'_>> = systems.map(|channel| Owner::System(&channel.id)).collect();
        let of_effects = self.effects.iter().filter_map(|effect| Some((effect.target.as_str(), effect.receipt?)));
        let of_targets = self.targets.iter().filter_map(|target| Some((target.id.as_str(), target.receipt?)));
        let by_taking = of_effects.chain(of_targets).filter(|(_, says)| says.as_str() == event);
        let targets: BTreeSet<&str> = by_taking.map(|(target, _)| target).collect();
        owners.extend(targets.into_iter().map(Owner::Target));
        let pays = self.refunds.is_some() && event == OrderEventKind::RefundIssued.as_str();
        // People may reject any order that is kept back, where there is one.
        let rejects = event == OrderEventKind::Rejected.as_str() && !self.channels.is_empty();
        owners.extend((pays || rejects).then_some(Owner::Host));
        owners
    }

    fn consumers(&self, event: &str) -> Vec<Consumer<'_>> {
        let mut consumers = Vec::new();
        if event == ORDER_CREATED {
            let with_orders = self.targets.iter().filter_map(|target| {
                let channels = self.going_to(target, |_| true);
                (!channels.is_empty()).then_some(Consumer::Target { id: &target.id, kind: &target.kind, channels })
            });
            consumers.extend(with_orders);
        }
        consumers.extend(self.by_blocks(event));
        let answers = |effect: &Effect| [CHANGE_ACCEPTED, CHANGE_REFUSED].contains(&effect.on.as_str());
        let is_change = event == OrderEventKind::Changed.as_str();
        let of_hold = |effect: &Effect| [ORDER_HELD, ORDER_RELEASED].contains(&effect.on.as_str());
        let is_order = event == ORDER_CREATED;
        let effects = self
            .effects
            .iter()
            .filter(|effect| effect.on == event || (is_change && answers(effect)) || (is_order && of_hold(effect)));
        consumers.extend(effects.filter_map(|effect| {
            let channels = effect.channels.iter().collect();
            Some(Consumer::Target { id: &effect.target, kind: self.kind_of(effect)?, channels })
        }));
        let refunds = self.refunds.as_ref().filter(|_| event == OrderEventKind::RefundIssued.as_str());
        consumers.extend(refunds.and_then(|refunds| {
            let target = self.target(&refunds.target)?;
            let kind = refunds.kind.as_deref().unwrap_or(&target.kind);
            Some(Consumer::Target { id: &target.id, kind, channels: BTreeSet::new() })
        }));
        let hear = self.subscribers.iter().filter(|subscriber| {
            told().contains(&event) && (subscriber.events.is_empty() || subscriber.events.contains(event))
        });
        consumers.extend(hear.map(|subscriber| Consumer::Subscriber {
            id: &subscriber.id,
            channels: &subscriber.channels,
            sees: &subscriber.fields,
        }));
        consumers
    }
}

/// Orders with a block.
impl Routes {
    /// Who makes, clears and undoes them because of an event. What was made so is cleared or undone
    /// also where the channel withholds its orders by now.
    fn by_blocks(&self, event: &str) -> Vec<Consumer<'_>> {
        let mut consumers = Vec::new();
        for (target, blocked) in self.targets.iter().filter_map(|target| Some((target, target.blocked.as_ref()?))) {
            let id = target.id.as_str();
            if event == ORDER_CREATED {
                let created = self.going_to(target, |channel| channel.held == HeldOrders::CreateBlocked);
                let cleared = self.going_to(target, |_| true);
                for (kind, channels) in [(&blocked.create, created), (&blocked.clear, cleared)] {
                    if !channels.is_empty() {
                        consumers.push(Consumer::Target { id, kind, channels });
                    }
                }
            }
            if event == OrderEventKind::Rejected.as_str() {
                consumers.push(Consumer::Target { id, kind: &blocked.cancel, channels: BTreeSet::new() });
            }
        }
        consumers
    }

    /// The channels, of those that are asked for, whose orders go to a target.
    fn going_to(&self, target: &Target, which: impl Fn(&Channel) -> bool) -> BTreeSet<&ChannelId> {
        let own = self.channels.iter().filter(|channel| channel.target == target.id && which(channel));
        own.map(|channel| &channel.id).collect()
    }
}

impl std::fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Senders(channel) => write!(f, "senders of {channel}"),
            Self::System(channel) => write!(f, "system of {channel}"),
            Self::Target(target) => write!(f, "{target} ({})", OwnChannel::Receipts.as_str()),
            Self::Host => f.write_str("the host"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_event_that_can_be_told_stands_in_the_table_once() {
        let names: BTreeSet<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), EVENTS.len());
        assert!(told().iter().all(|event| names.contains(event)), "{names:?}");
        assert!(EVENTS.iter().all(|(_, meaning)| meaning.ends_with('.') && !meaning.contains('\n')));
    }

    #[test]
    fn a_payers_advice_is_one_that_nobody_can_subscribe_to() {
        let routes = Routes::default();
        let is_told = |event: &str| routes.catalogue().into_iter().find(|entry| entry.event == event).unwrap().is_told;
        assert!(is_told("payment.settled") && !is_told("remittance.received"));
    }

    /// Who gets what because of an event: target, kind and channels.
    fn gets(routes: &Routes, event: &str) -> Vec<(String, String, Vec<String>)> {
        let entry = routes.catalogue().into_iter().find(|entry| entry.event == event).unwrap();
        let targets = entry.consumers.into_iter().filter_map(|consumer| match consumer {
            Consumer::Target { id, kind, channels } => {
                Some((id.to_owned(), kind.to_owned(), channels.into_iter().map(ToString::to_string).collect()))
            }
            Consumer::Subscriber { .. } => None,
        });
        targets.collect()
    }

    #[test]
    fn who_has_orders_with_a_block_gets_what_makes_clears_and_undoes_one() {
        let routes = |held: &str| -> Routes {
            let channel = |id: &str, held: &str| {
                format!(
                    r#"{{"id": "{id}", "connector": "a", "documents": {{}}, "target": "erp", "held": "{held}", "exception_queue": "q"}}"#
                )
            };
            let text = format!(
                r#"{{"channel": [{}, {}],
                     "target": [{{"id": "erp", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                                  "exception_queue": "q", "find": true,
                                  "blocked": {{"create": "b", "clear": "f", "cancel": "u"}}}}]}}"#,
                channel("edi", held),
                channel("shop", "withhold")
            );
            serde_json::from_str(&text).unwrap()
        };
        let row = |kind: &str, channels: &[&str]| {
            ("erp".to_owned(), kind.to_owned(), channels.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
        };
        let both = ["edi", "shop"];
        let creates = routes("create-blocked");
        assert_eq!(gets(&creates, ORDER_CREATED), [row("order", &both), row("b", &["edi"]), row("f", &both)]);
        assert_eq!(gets(&creates, "order.rejected"), [row("u", &[])]);
        // What was made before is cleared and undone all the same.
        let withholds = routes("withhold");
        assert_eq!(gets(&withholds, ORDER_CREATED), [row("order", &both), row("f", &both)]);
        assert_eq!(gets(&withholds, "order.rejected"), [row("u", &[])]);
        assert!(gets(&creates, "order.accepted").is_empty());
    }

    #[test]
    fn without_routes_nobody_says_or_hears_anything() {
        for entry in Routes::default().catalogue() {
            assert!(entry.said_by.is_empty() && entry.consumers.is_empty(), "{entry:?}");
        }
    }
}
