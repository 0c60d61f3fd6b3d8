//! What a plugin has used up of its budgets: what the store knows, and on top of it
//! what the lower orders of this batch are about to cause.
//!
//! It is what a decision is weighed with, and no promise: another host may decide meanwhile.
//! The decision's own transaction counts once more, and fails where a budget is used up. What
//! another host committed of the same documents is counted twice here, once as stored and once
//! as of this batch: such a proposal may find a budget spent that is not. With one decider for
//! a store that does not happen.

use std::collections::BTreeMap;

use portreeve_authority::{Counters, Effect, Verdict};
use portreeve_model::{Currency, Instant, Money, PluginName};
use portreeve_store::contract::SUM_MINOR_MAX;

use super::DecideError;
use crate::Pipeline;

/// The counters of a batch. The store is asked once per plugin and currency.
#[derive(Default)]
pub(super) struct Used {
    stored: BTreeMap<(PluginName, Currency), Counters>,
    holds: BTreeMap<PluginName, u32>,
    routes: BTreeMap<PluginName, u32>,
    held_minor: BTreeMap<(PluginName, Currency), i64>,
}

impl Used {
    /// The counters of a plugin's next proposal about an order in a currency.
    fn counters(&self, stored: Counters, plugin: &PluginName, currency: Currency, orders_before: u32) -> Counters {
        let of = |counts: &BTreeMap<PluginName, u32>| counts.get(plugin).copied().unwrap_or(0);
        let held_minor = self.held_minor.get(&(plugin.clone(), currency)).copied().unwrap_or(0);
        Counters {
            holds_last_hour: stored.holds_last_hour.saturating_add(of(&self.holds)),
            routes_last_hour: stored.routes_last_hour.saturating_add(of(&self.routes)),
            value_held_today_minor: stored.value_held_today_minor.saturating_add(held_minor).min(SUM_MINOR_MAX),
            // Orders of this batch count from its first on, whoever was asked about them.
            orders_last_hour: stored.orders_last_hour.saturating_add(orders_before),
        }
    }

    /// Counts what a verdict is going to cause. What the host keeps by itself uses up nothing.
    pub(super) fn caused(&mut self, verdict: &Verdict) {
        let counts = match verdict.effect() {
            Effect::Hold { .. } => &mut self.holds,
            Effect::Route { .. } if !verdict.kept_by_host() => &mut self.routes,
            Effect::Route { .. } | Effect::Recommend(_) | Effect::RecordOnly => return,
        };
        let count = counts.entry(verdict.plugin().clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts the value of an order that a plugin holds: once, however many holds it
    /// has, and never below nothing, which would give budget back.
    pub(super) fn held(&mut self, plugin: &PluginName, value: Money) {
        let held_minor = self.held_minor.entry((plugin.clone(), value.currency)).or_default();
        *held_minor = held_minor.saturating_add(value.minor.max(0)).min(SUM_MINOR_MAX);
    }
}

impl Pipeline {
    /// A plugin's counters, for its next proposal about an order in a currency.
    pub(super) async fn counters(
        &self,
        used: &mut Used,
        plugin: &PluginName,
        currency: Currency,
        orders_before: u32,
        now: Instant,
    ) -> Result<Counters, DecideError> {
        let key = (plugin.clone(), currency);
        if !used.stored.contains_key(&key) {
            let usage = self.store.plugin_usage(plugin, currency, now).await?;
            let counters = Counters {
                holds_last_hour: usage.holds,
                routes_last_hour: usage.routes,
                value_held_today_minor: usage.value_held_minor,
                orders_last_hour: usage.orders,
            };
            used.stored.insert(key.clone(), counters);
        }
        let stored = used.stored.get(&key).copied().unwrap_or_default();
        Ok(used.counters(stored, plugin, currency, orders_before))
    }
}
