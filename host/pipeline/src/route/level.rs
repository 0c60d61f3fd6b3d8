//! Routes of levels: who is told how much there is of an item.
//!
//! A level is about no order. So an effect of it has no states of an order around it, sends no
//! order, and what a target says by taking it is nothing that an order could be moved by.

use portreeve_model::ChannelId;

use super::{Effect, Routes, Sends};

/// The event that says how much there is of an item.
pub(crate) const INVENTORY_LEVEL: &str = "inventory.level";

impl Effect {
    /// Whether its target is told of levels that this channel says.
    pub(crate) fn tells_levels_of(&self, channel: &ChannelId) -> bool {
        self.on == INVENTORY_LEVEL && (self.channels.is_empty() || self.channels.contains(channel))
    }
}

impl Routes {
    /// What is wrong with effects of levels.
    pub(super) fn level_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for effect in self.effects.iter().filter(|effect| effect.on == INVENTORY_LEVEL) {
            let Effect { target, .. } = effect;
            let mut wrong = |why: &str| {
                problems.push(format!("an effect of `{INVENTORY_LEVEL}` on target `{target}` {why}"));
            };
            if effect.sends == Sends::Order {
                wrong("sends an order, and a level is about none; leave out `sends`");
            }
            let kind = self.kind_of(effect).unwrap_or_default();
            if self.receipt(target, kind).is_some() {
                wrong("has a `receipt`, and a level moves no order; give it a `kind` of its own, without one");
            }
            if self.target(target).is_some_and(|target| target.interchange.is_some()) {
                wrong(
                    "would be numbered as an interchange about an order; name a target without `[target.interchange]`",
                );
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    fn routes(effect: &str, target: &str) -> Routes {
        let text = format!(
            r#"{{"channel": [{{"id": "wms", "connector": "a", "documents": {{}}, "target": "shop", "exception_queue": "q",
                               "says": ["inventory.level"]}}],
                 "target": [{{"id": "shop", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                              "exception_queue": "q", "find": true{target}}}],
                 "effect": [{{"on": "inventory.level", "target": "shop", "kind": "level"{effect}}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_target_is_told_of_levels_of_the_channels_that_its_effect_names() {
        let (wms, other) = (ChannelId::parse("wms").unwrap(), ChannelId::parse("other").unwrap());
        let told = |effect: &str, channel| routes(effect, "").effects.iter().any(|it| it.tells_levels_of(channel));
        assert!(told("", &wms) && told("", &other));
        assert!(told(r#", "channels": ["wms"]"#, &wms) && !told(r#", "channels": ["wms"]"#, &other));
        assert_eq!(routes("", "").problems(), [""; 0]);
    }

    #[test]
    fn an_effect_that_needs_an_order_is_none_of_a_level() {
        let refused = |effect: &str, target: &str, why: &str| {
            let problems = routes(effect, target).problems();
            assert!(problems.iter().any(|problem| problem.contains(why)), "{effect} {target}: {problems:?}");
        };
        refused(r#", "sends": "order""#, "", "sends an order");
        refused(r#", "receipt": "order.accepted""#, "", "has a `receipt`");
        refused("", r#", "interchange": {"partner": "ZZ:A"}"#, "numbered as an interchange");
    }
}
