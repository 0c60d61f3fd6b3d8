//! Orders that are kept back are not invisible: who hears that one is and that it goes on, and who
//! has it with a block meanwhile.
//!
//! ```text
//! decided, kept back ─▶ effects of `order.held`       and `create` to the channel's target
//! released           ─▶ effects of `order.released`   and `clear` in the place of the order
//! rejected           ─▶ (effects of `order.rejected`) and `cancel`
//! ```
//!
//! All of it is made of the order's own document, in the transaction of what it follows from, and
//! once: the store has one row of each kind for a target. It is in order with everything else that
//! a target gets of the order, so a block is cleared after it was made, however soon the hold ends.
//! Holds that take each other's place are one time that the order waits, of which nobody hears twice.
//! Who wants an order cancelled is told what becomes of that, and hears of no hold.
//!
//! INVARIANT: which order has a block is read from its deliveries and not from what is configured:
//! what was created so is cleared or undone, and nothing else is. Where the routes do not know any
//! more what a target was told of an order, the order does not go there: it may be there already.

use portreeve_model::ChannelId;
use portreeve_store::contract::{Content, DeliveryView, DocumentPosition, NewOutbox, OrderState};

use crate::route::{Blocked, HeldOrders, ORDER_HELD, ORDER_RELEASED, Routes, Target};

impl Routes {
    /// What follows when an order of this channel is decided and kept back.
    pub(super) fn of_held(&self, channel: &ChannelId, document: DocumentPosition) -> Vec<NewOutbox> {
        let creates = self.channel(channel).filter(|channel| channel.held == HeldOrders::CreateBlocked);
        let target = creates.and_then(|channel| self.target(&channel.target));
        let create = target.and_then(|target| Some(word(&target.id, &target.blocked.as_ref()?.create, document)));
        create.into_iter().chain(self.told_of(ORDER_HELD, channel, document)).collect()
    }

    /// What follows when one that was kept back is released: `released` is where orders of its
    /// channel go, and these are the deliveries that it has. Whoever has it with a block clears
    /// that instead of getting the order a second time; whom it is not for any more undoes it.
    ///
    /// # Errors
    /// Where it would go to a target that was told of it already by what the routes do not know:
    /// that may have made it there.
    pub(crate) fn of_released(
        &self,
        released: Vec<NewOutbox>,
        deliveries: &[DeliveryView],
        channel: &ChannelId,
        document: DocumentPosition,
    ) -> Result<Vec<NewOutbox>, UnknownWord> {
        let mut orders = released.iter().filter(|row| row.content == Content::Order);
        if let Some(unknown) = orders.find_map(|row| self.unknown_word(&row.target, deliveries, document)) {
            return Err(unknown);
        }
        let mut outbox = released;
        for (target, blocked) in self.blocks(deliveries, document) {
            let goes_there = |row: &&mut NewOutbox| row.target == target.id && row.content == Content::Order;
            match outbox.iter_mut().find(goes_there) {
                Some(row) => row.kind.clone_from(&blocked.clear),
                None => outbox.push(word(&target.id, &blocked.cancel, document)),
            }
        }
        outbox.extend(self.told_of(ORDER_RELEASED, channel, document));
        Ok(outbox)
    }

    /// What undoes an order that people reject, where somebody has it with a block.
    pub(crate) fn of_rejected(&self, deliveries: &[DeliveryView], document: DocumentPosition) -> Vec<NewOutbox> {
        let blocks = self.blocks(deliveries, document);
        blocks.map(|(target, blocked)| word(&target.id, &blocked.cancel, document)).collect()
    }

    /// Whether any target has orders with a block.
    #[must_use]
    pub fn blocks_orders(&self) -> bool {
        self.targets.iter().any(|target| target.blocked.is_some())
    }

    /// Who has an order of this document with a block, or gets it so.
    fn blocks<'a>(
        &'a self,
        deliveries: &'a [DeliveryView],
        document: DocumentPosition,
    ) -> impl Iterator<Item = (&'a Target, &'a Blocked)> {
        let blocking = self.targets.iter().filter_map(|target| Some((target, target.blocked.as_ref()?)));
        blocking.filter(move |(target, blocked)| {
            deliveries.iter().any(|delivery| {
                delivery.target == target.id && delivery.kind == blocked.create && delivery.said == Some(document)
            })
        })
    }

    /// Word of an order that its target got, or gets, and that is neither a block nor of a hold by
    /// these routes: by those of before it may have made the order there.
    fn unknown_word(
        &self,
        target: &str,
        deliveries: &[DeliveryView],
        document: DocumentPosition,
    ) -> Option<UnknownWord> {
        let blocked = self.target(target).and_then(|target| target.blocked.as_ref());
        let is_known =
            |kind: &str| blocked.is_some_and(|blocked| blocked.create == kind) || self.is_word_of_hold(target, kind);
        let mut own = deliveries.iter().filter(|row| row.target == target && row.said == Some(document));
        let unknown = own.find(|row| !is_known(&row.kind))?;
        Some(UnknownWord { target: target.to_owned(), kind: unknown.kind.clone() })
    }

    /// The messages of effects of a hold, in the order of the configuration.
    fn told_of(&self, on: &str, channel: &ChannelId, document: DocumentPosition) -> Vec<NewOutbox> {
        let effects = self.effects.iter().filter(|effect| effect.on == on && effect.is_of(Some(channel)));
        effects.filter_map(|effect| Some(word(&effect.target, self.kind_of(effect)?, document))).collect()
    }
}

/// A message about an order that its target got before it was released, and that the routes do not
/// know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownWord {
    /// The target.
    pub(crate) target: String,
    /// The kind of message.
    pub(crate) kind: String,
}

/// Whether an order that was decided so waits for people or rules.
pub(super) fn is_kept_back(state: OrderState) -> bool {
    matches!(state, OrderState::Held | OrderState::Routed | OrderState::Exception)
}

/// Word of an order: of its own document, and no order for whoever gets it.
fn word(target: &str, kind: &str, document: DocumentPosition) -> NewOutbox {
    NewOutbox { target: target.to_owned(), kind: kind.to_owned(), content: Content::Said(document) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    const OWN: DocumentPosition = DocumentPosition(7);

    /// Two channels whose orders go to one ERP; the shop hears of its own alone.
    fn routes(held: &str) -> Routes {
        let system = |id: &str, more: &str| {
            format!(
                r#"{{"id": "{id}", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                     "exception_queue": "q", "find": true{more}}}"#
            )
        };
        let blocked = r#", "blocked": {"create": "blocked", "clear": "cleared", "cancel": "undone"}"#;
        let channel = |id: &str| {
            format!(
                r#"{{"id": "{id}", "connector": "a", "documents": {{}}, "target": "erp", "held": "{held}", "exception_queue": "q"}}"#
            )
        };
        let effect = |on: &str, kind: &str| {
            format!(r#"{{"on": "{on}", "channels": ["shop"], "target": "shop", "kind": "{kind}"}}"#)
        };
        let text = format!(
            r#"{{"channel": [{}, {}], "target": [{}, {}, {}], "effect": [{}, {}]}}"#,
            channel("edi"),
            channel("shop"),
            system("erp", blocked),
            system("other", blocked),
            system("shop", ""),
            effect(ORDER_HELD, "held"),
            effect(ORDER_RELEASED, "released"),
        );
        let routes: Routes = serde_json::from_str(&text).unwrap();
        assert_eq!(routes.problems(), [""; 0]);
        routes
    }

    fn row(target: &str, kind: &str, content: Content) -> NewOutbox {
        NewOutbox { target: target.to_owned(), kind: kind.to_owned(), content }
    }

    fn said(target: &str, kind: &str) -> NewOutbox {
        row(target, kind, Content::Said(OWN))
    }

    fn delivery(target: &str, kind: &str, said: Option<DocumentPosition>, state: &str) -> DeliveryView {
        DeliveryView {
            target: target.to_owned(),
            kind: kind.to_owned(),
            said,
            state: state.to_owned(),
            attempts: 0,
            external_id: None,
            interchange: None,
            acknowledge_by: None,
            problem: None,
            next_at: None,
        }
    }

    fn id(channel: &str) -> ChannelId {
        ChannelId::parse(channel).unwrap()
    }

    #[test]
    fn a_channel_hears_of_its_own_orders_and_its_target_has_them_with_a_block_where_it_says_so() {
        let (withholds, creates) = (routes("withhold"), routes("create-blocked"));
        assert_eq!(withholds.of_held(&id("edi"), OWN), []);
        assert_eq!(withholds.of_held(&id("shop"), OWN), [said("shop", "held")]);
        assert_eq!(creates.of_held(&id("edi"), OWN), [said("erp", "blocked")]);
        assert_eq!(creates.of_held(&id("shop"), OWN), [said("erp", "blocked"), said("shop", "held")]);
        assert_eq!(creates.of_held(&id("gone"), OWN), [], "of a channel that is not there");
        assert!(creates.blocks_orders() && !Routes::default().blocks_orders());
    }

    #[test]
    fn what_was_created_with_a_block_is_cleared_or_undone_whatever_is_configured_by_then() {
        let order = || row("erp", "order", Content::Order);
        let cleared = || row("erp", "cleared", Content::Order);
        let blocked_at = |target, state| vec![delivery(target, "blocked", Some(OWN), state)];
        for (deliveries, released, undone) in [
            (vec![], vec![order()], vec![]),
            (blocked_at("erp", "pending"), vec![cleared()], vec![said("erp", "undone")]),
            (blocked_at("erp", "delivered"), vec![cleared()], vec![said("erp", "undone")]),
            (blocked_at("erp", "dead"), vec![cleared()], vec![said("erp", "undone")]),
            // The channel's orders went elsewhere then.
            (blocked_at("other", "delivered"), vec![order(), said("other", "undone")], vec![said("other", "undone")]),
            // What another target was told, what another document said, and the order as it came are no blocks.
            (vec![delivery("shop", "gone", Some(OWN), "delivered")], vec![order()], vec![]),
            (vec![delivery("erp", "blocked", Some(DocumentPosition(8)), "delivered")], vec![order()], vec![]),
            (vec![delivery("erp", "blocked", None, "delivered")], vec![order()], vec![]),
        ] {
            for held in ["withhold", "create-blocked"] {
                let routes = routes(held);
                let found = routes.of_released(vec![order()], &deliveries, &id("edi"), OWN).unwrap();
                assert_eq!(found, released, "{held}: {deliveries:?}");
                let told = routes.of_released(vec![order()], &deliveries, &id("shop"), OWN).unwrap();
                assert_eq!(told, [released.as_slice(), &[said("shop", "released")]].concat(), "{held}: {deliveries:?}");
                assert_eq!(routes.of_rejected(&deliveries, OWN), undone, "{held}: {deliveries:?}");
            }
        }
    }

    #[test]
    fn an_order_that_its_target_may_have_by_what_nobody_knows_any_more_does_not_go_there() {
        let routes = routes("withhold");
        let order = |target: &str| vec![row(target, "order", Content::Order)];
        let released = |target, deliveries: &[DeliveryView]| {
            routes.of_released(order(target), deliveries, &id("edi"), OWN).map(|rows| rows.len())
        };
        let unknown = |target: &str, kind: &str| Err(UnknownWord { target: target.to_owned(), kind: kind.to_owned() });
        for state in ["pending", "delivered", "dead", "abandoned"] {
            let renamed = [delivery("erp", "blocked-before", Some(OWN), state)];
            assert_eq!(released("erp", &renamed), unknown("erp", "blocked-before"), "{state}");
            assert_eq!(released("shop", &renamed), Ok(1), "it goes elsewhere now");
            // A target whose block was taken out; what it is told of a hold is known.
            let taken_out = [delivery("shop", "held", Some(OWN), state), delivery("shop", "blocked", Some(OWN), state)];
            assert_eq!(released("shop", &taken_out), unknown("shop", "blocked"), "{state}");
            assert_eq!(released("shop", &taken_out[..1]), Ok(1), "{state}");
        }
    }

    #[test]
    fn of_a_released_or_refused_order_nobody_hears_that_it_waits() {
        let waits = OrderState::ALL.map(|state| (state, is_kept_back(state)));
        let expected = [OrderState::Held, OrderState::Routed, OrderState::Exception];
        assert!(waits.iter().all(|(state, waits)| *waits == expected.contains(state)), "{waits:?}");
    }
}
