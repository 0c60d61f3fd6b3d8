//! Orders that are kept back are not invisible: who hears that one is, and that it goes on.
//!
//! ```text
//! decided, kept back ─▶ effects of `order.held`
//! released           ─▶ effects of `order.released`
//! rejected           ─▶ effects of `order.rejected`, as ever
//! ```
//!
//! All of it is made of the order's own document, in the transaction of what it follows from, and
//! once: the store has one row of each kind for a target. It is in order with everything else that
//! a target gets of the order. Holds that take each other's place are one time that the order
//! waits, of which nobody hears twice. Who wants an order cancelled is told what becomes of that,
//! and hears of no hold.

use portreeve_model::ChannelId;
use portreeve_store::contract::{Content, DocumentPosition, NewOutbox, OrderState};

use crate::route::{ORDER_HELD, ORDER_RELEASED, Routes};

impl Routes {
    /// What follows when an order of this channel is decided and kept back.
    pub(super) fn of_held(&self, channel: &ChannelId, document: DocumentPosition) -> Vec<NewOutbox> {
        self.told_of(ORDER_HELD, channel, document)
    }

    /// What follows when one that was kept back is released: `released` is where orders of its
    /// channel go.
    pub(crate) fn of_released(
        &self,
        released: Vec<NewOutbox>,
        channel: &ChannelId,
        document: DocumentPosition,
    ) -> Vec<NewOutbox> {
        [released, self.told_of(ORDER_RELEASED, channel, document)].concat()
    }

    /// The messages of effects of a hold, in the order of the configuration.
    fn told_of(&self, on: &str, channel: &ChannelId, document: DocumentPosition) -> Vec<NewOutbox> {
        let effects = self.effects.iter().filter(|effect| effect.on == on && effect.is_of(Some(channel)));
        effects.filter_map(|effect| Some(word(&effect.target, self.kind_of(effect)?, document))).collect()
    }
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
    use super::*;

    #[test]
    fn of_a_released_or_refused_order_nobody_hears_that_it_waits() {
        let waits = OrderState::ALL.map(|state| (state, is_kept_back(state)));
        let expected = [OrderState::Held, OrderState::Routed, OrderState::Exception];
        assert!(waits.iter().all(|(state, waits)| *waits == expected.contains(state)), "{waits:?}");
    }
}
