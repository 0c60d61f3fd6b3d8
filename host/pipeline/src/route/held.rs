//! Routes of orders that are kept back: who hears that one is, and that it goes on; and who gets
//! it with a block meanwhile.
//!
//! A held order is not invisible. Whoever asked for it may be told (effects of `order.held` and
//! `order.released`), and an ERP may have it already, blocked (`held = "create-blocked"`). Both are
//! made of the order's own document and are word of it, not the order: no kind by which a target
//! gets orders may be among them, or a hold would be none.
//!
//! The danger of a block is that it stays. So only a target that says by which message it clears
//! one, and by which it undoes the order, gets orders so.

use portreeve_store::contract::OrderEventKind;
use serde::{Deserialize, Serialize};

use super::{Effect, Routes, Sends};

/// What an effect may be of beside events: that an order is kept back from its decision on. Made
/// of the order, `order.created`, and no order.
pub(crate) const ORDER_HELD: &str = "order.held";
/// And that one that was kept back goes on.
pub(crate) const ORDER_RELEASED: &str = "order.released";

/// What becomes of orders that are kept back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldOrders {
    /// They stay here: the default.
    #[default]
    Withhold,
    /// The channel's target has them with a block, which the host clears when it releases them.
    CreateBlocked,
}

/// The kinds of messages by which a target has orders with a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocked {
    /// It gets the order, and does nothing with it yet.
    pub create: String,
    /// It goes on with it: in the place of the target's own `kind`, with what its receipt says.
    pub clear: String,
    /// It undoes it: people rejected the order.
    pub cancel: String,
}

impl Blocked {
    fn kinds(&self) -> [&str; 3] {
        [&self.create, &self.clear, &self.cancel]
    }
}

/// Whether it is that an order is kept back, or goes on, and no event.
pub(super) fn is_of_hold(on: &str) -> bool {
    [ORDER_HELD, ORDER_RELEASED].contains(&on)
}

impl Routes {
    /// What is wrong with what follows from holds.
    pub(super) fn held_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for effect in self.effects.iter().filter(|effect| is_of_hold(&effect.on)) {
            let Effect { on, target, .. } = effect;
            let mut wrong = |why: &str| problems.push(format!("an effect of `{on}` on target `{target}` {why}"));
            if effect.sends == Sends::Order {
                wrong("sends the order, which a hold keeps back; leave out `sends`, by which it gets word of it");
            }
            if effect.receipt.is_some() {
                wrong("has a `receipt`, and whoever hears of a hold says nothing of the order by that; take it out");
            }
            if !effect.from.is_empty() || !effect.to.is_empty() {
                wrong("names states, and a hold is in none of them; take `from` and `to` out");
            }
            let kind = self.kind_of(effect);
            if kind.is_some_and(|kind| self.is_an_order(target, kind)) {
                wrong(
                    "has the kind of message by which it gets orders, and would take it for one; give it a `kind` of its own",
                );
            }
            // Whatever an order has once is known by the order alone.
            let once = |other: &&Effect| {
                let once = [OrderEventKind::Accepted, OrderEventKind::Rejected, OrderEventKind::CancelRequested];
                let is_other_of_hold = on == ORDER_HELD && other.on == ORDER_RELEASED;
                is_other_of_hold || once.iter().any(|event| event.as_str() == other.on)
            };
            let mut alike = self.effects.iter().filter(|other| other.target == *target && self.kind_of(other) == kind);
            if let Some(other) = alike.find(once) {
                wrong(&format!(
                    "has the kind of message of `{}`, and it would know both by one number; give each a `kind` of its own",
                    other.on
                ));
            }
        }
        problems.extend(self.blocked_problems());
        problems
    }

    /// Whether a target gets orders by messages of this kind, be it with a block.
    fn is_an_order(&self, target: &str, kind: &str) -> bool {
        let own = self.target(target);
        let is_own = own.is_some_and(|own| own.kind == kind);
        let is_blocked = own.and_then(|own| own.blocked.as_ref()).is_some_and(|own| own.kinds().contains(&kind));
        let mut of_effects = self.effects.iter().filter(|effect| effect.sends == Sends::Order);
        is_own || is_blocked || of_effects.any(|effect| effect.target == target && self.kind_of(effect) == Some(kind))
    }

    /// What is wrong with orders that are created with a block.
    fn blocked_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let creating = self.channels.iter().filter(|channel| channel.held == HeldOrders::CreateBlocked);
        for channel in creating {
            if self.target(&channel.target).is_some_and(|target| target.blocked.is_none()) {
                problems.push(format!(
                    "channel `{}` has `held = \"create-blocked\"`, and its target `{}` does not say by which messages it has an order with a block; only an ERP whose block the host can also clear may get one: add `[target.blocked]` with `create`, `clear` and `cancel`, or write `held = \"withhold\"`",
                    channel.id, channel.target
                ));
            }
        }
        for target in &self.targets {
            let Some(blocked) = &target.blocked else { continue };
            let [create, clear, cancel] = blocked.kinds();
            let id = &target.id;
            if [create, clear, cancel].contains(&target.kind.as_str())
                || create == clear
                || create == cancel
                || clear == cancel
            {
                problems.push(format!(
                    "`blocked` of target `{id}` has one kind of message for two things; expected `create`, `clear` and `cancel` to be three, and none of them its `kind`"
                ));
            }
            let of_target = self.effects.iter().filter(|effect| effect.target == *id);
            for effect in of_target {
                let kind = self.kind_of(effect).unwrap_or_default();
                // Of what people reject the target hears by the block already.
                let is_again = effect.on == OrderEventKind::Rejected.as_str() && effect.is_of_refused();
                let is_taken =
                    [create, clear].contains(&kind) || (kind == cancel && (is_again || effect.receipt.is_some()));
                if is_taken && !is_of_hold(&effect.on) {
                    problems.push(format!(
                        "an effect of `{}` sends target `{id}` the kind `{kind}`, by which the host itself has it make, clear or undo a block (`blocked`); give the effect a `kind` of its own, or take it out",
                        effect.on
                    ));
                }
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    /// A channel to an ERP, with more of the channel, of the target and of the effects.
    fn routes(channel: &str, target: &str, effects: &str) -> Routes {
        let text = format!(
            r#"{{"channel": [{{"id": "edi", "connector": "a", "documents": {{}}, "target": "erp", "exception_queue": "q"{channel}}}],
                 "target": [{{"id": "erp", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                              "exception_queue": "q", "find": true{target}}}],
                 "effect": [{effects}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const CREATES: &str = r#", "held": "create-blocked""#;
    const BLOCKED: &str = r#", "receipt": "order.accepted", "blocked": {"create": "b", "clear": "f", "cancel": "u"}"#;

    #[test]
    fn an_erp_that_cannot_clear_a_block_gets_no_order_with_one() {
        assert!(routes("", "", "").channels.iter().all(|channel| channel.held == HeldOrders::Withhold));
        assert_eq!(routes(CREATES, BLOCKED, "").problems(), [""; 0]);
        assert_eq!(routes("", BLOCKED, "").problems(), [""; 0], "orders may be blocked from when it was otherwise");
        let problems = routes(CREATES, "", "").problems();
        let sentence = "only an ERP whose block the host can also clear may get one: add `[target.blocked]`";
        assert!(problems.len() == 1 && problems.iter().all(|problem| problem.contains(sentence)), "{problems:?}");
        let unknown = serde_json::from_str::<HeldOrders>(r#""create""#).unwrap_err().to_string();
        assert!(unknown.contains("`withhold`") && unknown.contains("`create-blocked`"), "{unknown}");
    }

    #[test]
    fn what_clears_a_block_says_what_the_targets_own_kind_says_and_what_makes_one_says_nothing() {
        let routes = routes(CREATES, BLOCKED, "");
        let says = |kind| routes.receipt("erp", kind).map(crate::route::ReceiptSays::as_str);
        assert_eq!((says("order"), says("f")), (Some("order.accepted"), Some("order.accepted")));
        assert_eq!((says("b"), says("u")), (None, None));
    }

    #[test]
    fn whatever_contradicts_a_hold_is_refused() {
        let effect = |on: &str, more: &str| format!(r#"{{"on": "{on}", "target": "erp"{more}}}"#);
        let refused = |target: &str, effects: &[String], why: &str| {
            let problems = routes("", target, &effects.join(", ")).problems();
            assert!(problems.iter().any(|problem| problem.contains(why)), "{effects:?}: {problems:?}");
        };
        for on in [ORDER_HELD, ORDER_RELEASED] {
            let told = effect(on, r#", "kind": "told""#);
            assert_eq!(routes("", BLOCKED, &told).problems(), [""; 0], "{on}");
            refused("", &[effect(on, r#", "sends": "order""#)], "a hold keeps back");
            refused("", &[effect(on, r#", "kind": "told", "receipt": "order.accepted""#)], "has a `receipt`");
            refused("", &[effect(on, "")], "by which it gets orders");
            refused(BLOCKED, &[effect(on, r#", "kind": "b""#)], "by which it gets orders");
            let sent = effect("order.rejected", r#", "from": ["accepted"], "kind": "told", "sends": "order""#);
            refused("", &[told.clone(), sent], "by which it gets orders");
            refused("", &[effect(on, r#", "kind": "told", "from": ["held"]"#)], "a hold is in none of them");
            refused("", &[effect(on, r#", "kind": "told", "to": ["cancelled"]"#)], "a hold is in none of them");
            let once = effect("order.cancel-requested", r#", "kind": "told""#);
            refused("", &[told, once], "would know both by one number");
        }
        let both = [ORDER_HELD, ORDER_RELEASED].map(|on| effect(on, r#", "kind": "told""#));
        refused("", &both, "would know both by one number");
        for blocked in ["order f u", "b b u", "b f f", "b f b", "b f order", "b order u"] {
            let [create, clear, cancel]: [&str; 3] = blocked.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let target = format!(r#", "blocked": {{"create": "{create}", "clear": "{clear}", "cancel": "{cancel}"}}"#);
            refused(&target, &[], "one kind of message for two things");
        }
        for more in [
            effect("order.rejected", r#", "kind": "u""#),
            effect("order.cancel-requested", r#", "kind": "u", "receipt": "order.rejected""#),
            effect("order.accepted", r#", "kind": "b""#),
        ] {
            refused(BLOCKED, &[more], "by which the host itself has it make");
        }
        // Of what the ERP had without a block it hears by the effect alone.
        let fine = effect("order.rejected", r#", "from": ["accepted"], "kind": "u""#);
        let says = format!(r#"{CREATES}, "says": ["order.rejected"]"#);
        assert_eq!(routes(&says, BLOCKED, &fine).problems(), [""; 0]);
    }
}
