//! Blocks that orders wait with, when the configuration changes.
//!
//! Which order its target has with a block is known by the kind of message that made it. A
//! configuration that does not have that kind any more, be it renamed or taken out, would send the
//! order as it came when it is released: the target would have it twice. And what clears a block
//! says what the target says by taking an order: under another name it says nothing, and the order
//! would stay where it is. The same holds for word of a hold (an effect of `order.held`) where that goes
//! to the target of the orders themselves: nobody but that target knows whether it made the order of
//! it, so once the effect is gone no such order may be released to it. So while such orders wait no
//! configuration becomes active that does not know them.

use portreeve_store::contract::WaitingOrders;

use super::held::is_of_hold;
use super::{Blocked, Routes};

impl Routes {
    /// What these routes do not know any more of orders that wait: those of before made, or clear,
    /// them with a block, or told their own target of the hold. Each is a sentence.
    #[must_use]
    pub fn blocks_lost(&self, before: &Self, waiting: &[WaitingOrders]) -> Vec<String> {
        let blocking = before.targets.iter().filter_map(|target| Some((target.id.as_str(), target.blocked.as_ref()?)));
        let blocks = blocking.flat_map(|(target, blocked)| self.lost_at(target, blocked, waiting));
        blocks.chain(waiting.iter().filter_map(|row| self.word_lost(before, row))).collect()
    }

    /// Whether a target that has orders with a block, or hears of holds, may have something of orders
    /// that wait.
    #[must_use]
    pub fn tells_of_waiting(&self) -> bool {
        self.blocks_orders() || self.effects.iter().any(|effect| is_of_hold(&effect.on))
    }

    /// Whether a target hears by messages of this kind that an order is kept back, or goes on.
    pub(crate) fn is_word_of_hold(&self, target: &str, kind: &str) -> bool {
        let mut of_hold = self.effects.iter().filter(|effect| effect.target == target && is_of_hold(&effect.on));
        of_hold.any(|effect| self.kind_of(effect) == Some(kind))
    }

    /// Word of orders that are kept back, which went where they go themselves when they are released.
    fn word_lost(&self, before: &Self, row: &WaitingOrders) -> Option<String> {
        let WaitingOrders { target, kind, is_order, orders, number } = row;
        let creates = |routes: &Self| {
            let blocked = routes.target(target).and_then(|target| target.blocked.as_ref());
            blocked.is_some_and(|blocked| blocked.create == *kind)
        };
        // What made a block has a sentence of its own.
        let was_word = !is_order && before.is_word_of_hold(target, kind) && !creates(before);
        let is_known = self.is_word_of_hold(target, kind) || creates(self);
        let takes_orders = self.channels.iter().any(|channel| channel.target == *target);
        (was_word && !is_known && takes_orders).then(|| {
            format!(
                "found {orders} orders that wait and of which target `{target}` was told by `{kind}`, such as `{number}`, expected an [[effect]] of `order.held` with that target and `kind = \"{kind}\"` as before: without it none of them can be released, since the target may have made them of that; keep the effect until those orders are released or rejected (`portreeve order show {number}` tells of that one)"
            )
        })
    }

    fn lost_at(&self, target: &str, before: &Blocked, waiting: &[WaitingOrders]) -> Vec<String> {
        let of = |kind: &str, is_order: bool| {
            waiting.iter().find(|row| row.target == target && row.kind == kind && row.is_order == is_order)
        };
        let (made, cleared) = (of(&before.create, false), of(&before.clear, true));
        let now = self.target(target).and_then(|target| target.blocked.as_ref());
        let mut lost = Vec::new();
        if let Some(row) = made.or(cleared)
            && now.is_none_or(|now| now.create != before.create)
        {
            lost.push(sentence(
                target,
                row,
                ("create", before.create.as_str()),
                "they would be made there a second time",
                "until those orders are delivered or rejected",
            ));
        }
        if let Some(row) = cleared
            && now.is_none_or(|now| now.clear != before.clear)
        {
            lost.push(sentence(
                target,
                row,
                ("clear", before.clear.as_str()),
                "that they are taken there would count for nothing",
                "until those orders are delivered or given up",
            ));
        }
        lost
    }
}

/// Found, expected, where, and what to do.
fn sentence(target: &str, row: &WaitingOrders, (word, kind): (&str, &str), danger: &str, until: &str) -> String {
    let WaitingOrders { orders, number, .. } = row;
    format!(
        "found {orders} orders that wait and that target `{target}` has, or gets, with a block, such as `{number}`, expected `{word} = \"{kind}\"` in `[target.blocked]` of that target as before: without it {danger}; keep the target and that line {until} (`portreeve order show {number}` tells of that one)"
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    /// An ERP with these keys beside those that each has, under a name.
    fn routes(id: &str, more: &str) -> Routes {
        let text = format!(
            r#"{{"target": [{{"id": "{id}", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                              "exception_queue": "q", "find": true{more}}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn blocked(create: &str, clear: &str, cancel: &str) -> Routes {
        let more = format!(r#", "blocked": {{"create": "{create}", "clear": "{clear}", "cancel": "{cancel}"}}"#);
        routes("erp", &more)
    }

    fn waits(target: &str, kind: &str, is_order: bool) -> WaitingOrders {
        let (target, kind, number) = (target.to_owned(), kind.to_owned(), "PO-1".to_owned());
        WaitingOrders { target, kind, is_order, orders: 2, number }
    }

    /// The keys whose loss is told, where `b`, `f` and `u` were those of before.
    fn lost(now: &Routes, waiting: &[WaitingOrders]) -> Vec<&'static str> {
        let lost = now.blocks_lost(&blocked("b", "f", "u"), waiting);
        assert!(
            lost.iter().all(|said| said.starts_with("found 2 orders") && said.contains("such as `PO-1`")),
            "{lost:?}"
        );
        let word = |said: &String| if said.contains("expected `create = \"b\"`") { "create" } else { "clear" };
        lost.iter().map(word).collect()
    }

    #[test]
    fn a_block_that_orders_wait_with_is_neither_renamed_nor_taken_out() {
        let made = [waits("erp", "b", false)];
        let cleared = [waits("erp", "f", true)];
        for gone in [routes("erp", ""), routes("other", ""), Routes::default()] {
            assert_eq!(lost(&gone, &made), ["create"], "{gone:?}");
            assert_eq!(lost(&gone, &cleared), ["create", "clear"], "{gone:?}");
        }
        assert_eq!(lost(&blocked("c", "f", "u"), &made), ["create"]);
        assert_eq!(lost(&blocked("c", "f", "u"), &cleared), ["create"], "a wish to cancel may keep it back again");
        // What nobody has sent yet may have another name.
        assert_eq!(lost(&blocked("b", "g", "v"), &made), [""; 0]);
        assert_eq!(lost(&blocked("b", "g", "u"), &cleared), ["clear"]);
        for waiting in [&made, &cleared] {
            assert_eq!(lost(&blocked("b", "f", "v"), waiting), [""; 0]);
        }
    }

    #[test]
    fn word_of_a_hold_that_went_where_the_orders_go_is_neither_renamed_nor_taken_out() {
        let told = |target: &str, kind: &str| {
            let text = format!(
                r#"{{"channel": [{{"id": "edi", "connector": "a", "documents": {{}}, "target": "erp", "exception_queue": "q"}}],
                     "target": [{{"id": "erp", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                                  "exception_queue": "q", "find": true}},
                                {{"id": "shop", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://b.example",
                                  "exception_queue": "q", "find": true}}],
                     "effect": [{{"on": "order.held", "target": "{target}", "kind": "{kind}"}}]}}"#
            );
            let routes: Routes = serde_json::from_str(&text).unwrap();
            assert_eq!(routes.problems(), [""; 0]);
            routes
        };
        let (before, waiting) = (told("erp", "note"), [waits("erp", "note", false)]);
        assert!(before.tells_of_waiting() && !Routes::default().tells_of_waiting());
        assert_eq!(before.blocks_lost(&before, &waiting), [""; 0]);
        for gone in [told("erp", "other"), told("shop", "note")] {
            let lost = gone.blocks_lost(&before, &waiting).concat();
            let sentence = "found 2 orders that wait and of which target `erp` was told by `note`, such as `PO-1`, expected an [[effect]] of `order.held`";
            assert!(lost.starts_with(sentence), "{lost}");
            assert_eq!(gone.blocks_lost(&before, &[]), [""; 0]);
            assert_eq!(gone.blocks_lost(&gone, &waiting), [""; 0], "it was not known before");
        }
        // Where no orders go nobody may have made one of it, and nothing goes twice.
        let elsewhere = told("shop", "note");
        assert_eq!(told("shop", "other").blocks_lost(&elsewhere, &[waits("shop", "note", false)]), [""; 0]);
        assert_eq!(Routes::default().blocks_lost(&before, &waiting), [""; 0]);
    }

    #[test]
    fn what_waits_otherwise_keeps_no_block() {
        let others = [
            waits("erp", "order", true),
            waits("erp", "held", false),
            waits("other", "b", false),
            waits("erp", "b", true),
            waits("erp", "f", false),
        ];
        assert_eq!(lost(&routes("erp", ""), &others), [""; 0]);
        assert_eq!(lost(&routes("erp", ""), &[]), [""; 0]);
        let never = routes("erp", "");
        assert!(never.blocks_lost(&never, &[waits("erp", "b", false)]).is_empty(), "there was no block");
    }
}
