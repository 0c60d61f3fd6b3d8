//! Messages that have to go out by a time, as it is agreed with whoever is to have them.
//!
//! A customer that is told of an order or a shipment too late charges for it, and counts from what it
//! sent or got. So the time counts from when the host received the order, or the word of the shipment,
//! and not from when there was something to deliver.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{ChannelId, Instant};
use portreeve_store::contract::{DueAfter, DueRule, OrderEventKind};
use serde::{Deserialize, Serialize};

use super::{Effect, Routes, Sends};
use crate::feed::ORDER_CREATED;

/// A kind of message that has to go out by a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// Its name.
    pub id: String,
    /// The target that the message goes to.
    pub target: String,
    /// The kind of message; the target's own, where nothing is said.
    pub kind: Option<String>,
    /// From what it counts: `order.created`, and any message of the kind about the order is the one; or
    /// an event such as `shipment.confirmed`, of which the message is made.
    pub after: String,
    /// Minutes from when the host received that.
    pub within_minutes: u32,
    /// The channels that the order came by; any, where nothing is said.
    #[serde(default)]
    pub channels: BTreeSet<ChannelId>,
    /// Minutes of single partners, in the notation of the order's connector, with whom another time is
    /// agreed.
    #[serde(default)]
    pub partners: BTreeMap<String, u32>,
}

impl Due {
    /// From what it counts; none where that is no event of an order.
    fn counts_from(&self) -> Option<DueAfter> {
        if self.after == ORDER_CREATED {
            return Some(DueAfter::Order);
        }
        OrderEventKind::of(&self.after).map(DueAfter::Event)
    }
}

fn ms(minutes: u32) -> i64 {
    i64::from(minutes).saturating_mul(Instant::MINUTE_MS)
}

impl Routes {
    /// What has to go out by a time, for the store. How far each has looked is kept by all that says which
    /// message it is: one that counts from something else, or waits for another message, begins anew, and
    /// what the one of before waited for is forgotten. Nothing sends that any more.
    pub(crate) fn due_rules(&self) -> Vec<DueRule> {
        let rule = |due: &Due| {
            let kind = self.due_kind(due)?;
            Some(DueRule {
                name: format!("{} of {kind} to {} after {}", due.id, due.target, due.after),
                target: due.target.clone(),
                kind: kind.to_owned(),
                after: due.counts_from()?,
                while_early: self.follows_surely(due, kind),
                channels: due.channels.clone(),
                within_ms: ms(due.within_minutes),
                partners_ms: due.partners.iter().map(|(partner, minutes)| (partner.clone(), ms(*minutes))).collect(),
            })
        };
        self.dues.iter().filter_map(rule).collect()
    }

    fn due_kind<'a>(&'a self, due: &'a Due) -> Option<&'a str> {
        due.kind.as_deref().or_else(|| Some(self.target(&due.target)?.kind.as_str()))
    }

    /// Whether the message follows from its event whatever the order is by then: of an event that waits for
    /// its turn nobody knows more than its order's channel. What an effect says of states, or of which
    /// invoice it is, may never come to pass, and nobody is told that such a message is late.
    fn follows_surely(&self, due: &Due, kind: &str) -> bool {
        let of_all = |effect: &Effect| {
            effect.channels.is_empty() || (!due.channels.is_empty() && due.channels.is_subset(&effect.channels))
        };
        let always = |effect: &Effect| {
            effect.from.is_empty() && effect.to.is_empty() && effect.invoices.is_none() && effect.rest.is_none()
        };
        let sends =
            |effect: &Effect| effect.on == due.after && effect.target == due.target && effect.sends == Sends::Event;
        self.effects
            .iter()
            .any(|effect| sends(effect) && self.kind_of(effect) == Some(kind) && of_all(effect) && always(effect))
    }

    /// Whether anything sends such a message.
    fn is_sent(&self, due: &Due) -> bool {
        let kind = self.due_kind(due);
        let mut effects =
            self.effects.iter().filter(|effect| effect.target == due.target && self.kind_of(effect) == kind);
        if due.after != ORDER_CREATED {
            return effects.any(|effect| effect.on == due.after && effect.sends == Sends::Event);
        }
        let takes_orders = self.channels.iter().any(|channel| channel.target == due.target);
        effects.next().is_some()
            || (takes_orders && self.target(&due.target).is_some_and(|target| kind == Some(target.kind.as_str())))
    }

    /// What is wrong with what has to go out by a time.
    pub(super) fn due_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, due) in self.dues.iter().enumerate() {
            let Due { id, target, after, within_minutes, channels, partners, .. } = due;
            let mut wrong = |why: String| problems.push(format!("[[due]] `{id}` {why}"));
            if self.dues.iter().take(index).any(|earlier| earlier.id == *id) {
                wrong("is there twice; give each its own id".to_owned());
            }
            if *within_minutes == 0 {
                wrong("has 0 `within_minutes`, by which everything is late; expected 1 or more".to_owned());
            }
            for (partner, _) in partners.iter().filter(|(_, minutes)| **minutes == 0) {
                wrong(format!("gives partner `{partner}` 0 minutes, by which everything is late; expected 1 or more"));
            }
            for channel in channels.iter().filter(|channel| self.channel(channel).is_none()) {
                wrong(format!(
                    "is of orders of channel `{channel}`, which does not exist; add a [[channel]] with that id"
                ));
            }
            if self.target(target).is_none() {
                wrong(format!("is of target `{target}`, which does not exist; add a [[target]] with that id"));
            } else if due.counts_from().is_none() {
                wrong(format!(
                    "counts from `{after}`, which nothing of an order is; expected `{ORDER_CREATED}`, or an event such as `shipment.confirmed`"
                ));
            } else if !self.is_sent(due) {
                let kind = self.due_kind(due).unwrap_or_default();
                let expected = match after.as_str() {
                    ORDER_CREATED => "an [[effect]] that does".to_owned(),
                    _ => format!("an [[effect]] of `{after}` that sends it what was said"),
                };
                wrong(format!("waits for `{kind}`, which nothing sends target `{target}`; add {expected}"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    fn routes(dues: &str) -> Routes {
        let text = format!(
            r#"{{"channel": [{{"id": "edi", "connector": "a", "documents": {{}}, "target": "erp", "exception_queue": "q",
                               "says": ["order.accepted", "shipment.confirmed"]}}],
                 "target": [{{"id": "erp", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                              "exception_queue": "q", "find": true}},
                            {{"id": "customers", "connector": "c", "transformer": "t", "kind": "x12/855",
                              "origin": "https://b.example", "exception_queue": "q", "find": true}}],
                 "effect": [{{"on": "order.accepted", "target": "customers"}},
                            {{"on": "shipment.confirmed", "target": "customers", "kind": "x12/856"}}],
                 "due": [{dues}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const ANSWER: &str = r#""id": "855", "target": "customers", "after": "order.created", "within_minutes": 1440"#;

    #[test]
    fn a_due_time_is_its_partners_where_that_has_one_and_its_channels_where_it_names_some() {
        let all = format!(
            r#"{{{ANSWER}, "channels": ["edi"], "partners": {{"ZZ:ACME": 30}}}},
               {{"id": "856", "target": "customers", "kind": "x12/856", "after": "shipment.confirmed", "within_minutes": 120}},
               {{"id": "erp", "target": "erp", "after": "order.created", "within_minutes": 5}}"#
        );
        let routes = routes(&all);
        assert_eq!(routes.problems(), [""; 0]);
        let rules = routes.due_rules();
        let named: Vec<_> = rules.iter().map(|rule| (rule.name.as_str(), rule.kind.as_str(), rule.after)).collect();
        let shipped = DueAfter::Event(OrderEventKind::ShipmentConfirmed);
        assert_eq!(
            named,
            [
                ("855 of x12/855 to customers after order.created", "x12/855", DueAfter::Order),
                ("856 of x12/856 to customers after shipment.confirmed", "x12/856", shipped),
                ("erp of order to erp after order.created", "order", DueAfter::Order),
            ]
        );
        let within = |channel, partner| rules.first().unwrap().within_ms(channel, partner);
        assert_eq!(
            [within("edi", "ZZ:ACME"), within("edi", "ZZ:OTHER"), within("shop", "ZZ:ACME")],
            [Some(30 * 60_000), Some(1_440 * 60_000), None]
        );
    }

    #[test]
    fn the_time_of_what_waits_for_its_turn_runs_where_the_message_surely_follows() {
        let shipped = |channels: &str, effect: &str| {
            let due = format!(
                r#"{{"id": "856", "target": "customers", "kind": "x12/856", "after": "shipment.confirmed", "within_minutes": 120{channels}}}"#
            );
            let mut routes = routes(&due);
            let json = format!(r#"{{"on": "shipment.confirmed", "target": "customers", "kind": "x12/856"{effect}}}"#);
            routes.effects = vec![serde_json::from_str(&json).unwrap()];
            routes.due_rules().first().unwrap().while_early
        };
        let (edi, both) = (r#", "channels": ["edi"]"#, r#", "channels": ["edi", "shop"]"#);
        assert!(shipped("", "") && shipped(edi, "") && shipped(edi, edi) && shipped(edi, both));
        for conditions in [r#", "from": ["packed"]"#, r#", "to": ["shipped"]"#, r#", "rest": "cancelled""#] {
            assert!(!shipped("", conditions), "{conditions}");
        }
        assert!(!shipped("", edi) && !shipped(both, edi), "another channel's order has none follow");
    }

    #[test]
    fn what_is_wrong_with_a_due_time_is_told_with_what_to_do() {
        for (due, why) in [
            (format!("{{{ANSWER}}}, {{{ANSWER}}}"), "is there twice"),
            (format!("{{{}}}", ANSWER.replace("1440", "0")), "has 0 `within_minutes`"),
            (format!(r#"{{{ANSWER}, "partners": {{"ZZ:ACME": 0}}}}"#), "gives partner `ZZ:ACME` 0 minutes"),
            (format!(r#"{{{ANSWER}, "channels": ["gone"]}}"#), "of channel `gone`, which does not exist"),
            (format!("{{{}}}", ANSWER.replace("customers", "gone")), "of target `gone`, which does not exist"),
            (format!("{{{}}}", ANSWER.replace("order.created", "inventory.level")), "counts from `inventory.level`"),
            (
                format!("{{{}}}", ANSWER.replace("order.created", "shipment.confirmed")),
                "an [[effect]] of `shipment.confirmed`",
            ),
            (format!(r#"{{{ANSWER}, "kind": "x12/810"}}"#), "waits for `x12/810`, which nothing sends"),
        ] {
            let problems = routes(&due).problems();
            assert!(problems.len() == 1 && problems.concat().contains(why), "{due}: {problems:?}");
        }
    }
}
