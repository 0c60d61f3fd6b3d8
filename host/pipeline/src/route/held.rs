//! Routes of orders that are kept back: who hears that one is, and that it goes on.
//!
//! A held order is not invisible: whoever asked for it may be told (effects of `order.held` and
//! `order.released`). What they are told is made of the order's own document and is word of it, not
//! the order: no kind by which a target gets orders may be among them, or a hold would be none.

use super::{Effect, Routes, Sends};

/// What an effect may be of beside events: that an order is kept back from its decision on. Made
/// of the order, `order.created`, and no order.
pub(crate) const ORDER_HELD: &str = "order.held";
/// And that one that was kept back goes on.
pub(crate) const ORDER_RELEASED: &str = "order.released";

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
            let kind = self.kind_of(effect);
            if kind.is_some_and(|kind| self.is_an_order(target, kind)) {
                wrong(
                    "has the kind of message by which it gets orders, and would take it for one; give it a `kind` of its own",
                );
            }
            let releases = self.effects.iter().filter(|other| other.on == ORDER_RELEASED && other.target == *target);
            let kinds: Vec<Option<&str>> = releases.map(|other| self.kind_of(other)).collect();
            if on == ORDER_HELD && kinds.contains(&kind) {
                wrong(
                    "has the kind of message of `order.released`, and it would know both by one number; give each a `kind` of its own",
                );
            }
        }
        problems
    }

    /// Whether a target gets orders by messages of this kind.
    fn is_an_order(&self, target: &str, kind: &str) -> bool {
        let own = self.target(target);
        let is_own = own.is_some_and(|own| own.kind == kind);
        let mut of_effects = self.effects.iter().filter(|effect| effect.sends == Sends::Order);
        is_own || of_effects.any(|effect| effect.target == target && self.kind_of(effect) == Some(kind))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    /// A channel to an ERP, and these effects.
    fn routes(effects: &str) -> Routes {
        let text = format!(
            r#"{{"channel": [{{"id": "edi", "connector": "a", "documents": {{}}, "target": "erp", "exception_queue": "q"}}],
                 "target": [{{"id": "erp", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                              "exception_queue": "q", "find": true}}],
                 "effect": [{effects}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn whatever_contradicts_a_hold_is_refused() {
        let effect = |on: &str, more: &str| format!(r#"{{"on": "{on}", "target": "erp"{more}}}"#);
        let refused = |effects: &[String], why: &str| {
            let problems = routes(&effects.join(", ")).problems();
            assert!(problems.iter().any(|problem| problem.contains(why)), "{effects:?}: {problems:?}");
        };
        for on in [ORDER_HELD, ORDER_RELEASED] {
            let told = effect(on, r#", "kind": "told""#);
            assert_eq!(routes(&told).problems(), [""; 0], "{on}");
            refused(&[effect(on, r#", "sends": "order""#)], "a hold keeps back");
            refused(&[effect(on, r#", "kind": "told", "receipt": "order.accepted""#)], "has a `receipt`");
            refused(&[effect(on, "")], "by which it gets orders");
            let sent = effect("order.rejected", r#", "from": ["accepted"], "kind": "told", "sends": "order""#);
            refused(&[told, sent], "by which it gets orders");
        }
        let both = [ORDER_HELD, ORDER_RELEASED].map(|on| effect(on, r#", "kind": "told""#));
        refused(&both, "would know both by one number");
    }
}
