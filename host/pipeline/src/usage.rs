//! What is used of what was granted, and what is kept back because of it, as of now: for
//! people who answer for a grant, and for monitors.

use portreeve_authority::{Authority, Grant, HoldCeiling, RouteCeiling};
use portreeve_model::Instant;
use portreeve_store::StoreError;
use portreeve_store::contract::{OpenHolds, PluginUsage, Store};

use crate::Pipeline;

/// A budget of a grant. The plugin's other grants draw on the same count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The grant's key for it.
    pub name: &'static str,
    /// What the plugin has used up, as a count or in minor units.
    pub used: i64,
    /// How far it goes. A share is told as the count that it comes to with one more order.
    pub most: i64,
}

impl Budget {
    /// What is left of it.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.most.saturating_sub(self.used).max(0)
    }
}

/// A grant and its budgets.
#[derive(Debug, Clone)]
pub struct Used<'a> {
    /// The grant.
    pub grant: &'a Grant,
    /// Whether its last day is over.
    pub is_over: bool,
    /// Its budgets, in the order of its keys.
    pub budgets: Vec<Budget>,
}

/// What is used, and what is kept back.
#[derive(Debug, Clone)]
pub struct InUse<'a> {
    /// Every grant, in the order of the files.
    pub grants: Vec<Used<'a>>,
    /// Holds on orders that are not released, by who holds and why.
    pub holds: Vec<OpenHolds>,
}

impl Pipeline {
    /// What is used of each grant, and which holds are open, as of now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn in_use(&self) -> Result<InUse<'_>, StoreError> {
        in_use(self.store.as_ref(), &self.authority, self.clock.now()).await
    }
}

/// The same without a host that runs.
///
/// # Errors
/// When the store fails.
pub async fn in_use<'a>(store: &dyn Store, authority: &'a Authority, now: Instant) -> Result<InUse<'a>, StoreError> {
    let mut grants = Vec::new();
    for grant in authority.grants() {
        let currency = grant.hold.as_ref().map(|ceiling| ceiling.order_value_max.currency);
        let currency = currency.or(grant.route.as_ref().map(|ceiling| ceiling.order_value_max.currency));
        let usage = match currency {
            Some(currency) => store.plugin_usage(&grant.plugin, currency, now).await?,
            None => PluginUsage::default(),
        };
        let hold = grant.hold.as_ref().into_iter().flat_map(|ceiling| of_holds(ceiling, usage));
        let budgets = hold.chain(grant.route.as_ref().map(|ceiling| of_routes(ceiling, usage))).collect();
        grants.push(Used { grant, is_over: grant.is_over(now), budgets });
    }
    Ok(InUse { grants, holds: store.open_holds(now).await? })
}

fn of_holds(ceiling: &HoldCeiling, usage: PluginUsage) -> Vec<Budget> {
    let holds = i64::from(usage.holds);
    let per_hour = Budget { name: "holds_per_hour_max", used: holds, most: i64::from(ceiling.holds_per_hour_max) };
    let value = ceiling.value_held_per_day_max_minor.map(|most| Budget {
        name: "value_held_per_day_max_minor",
        used: usage.value_held_minor,
        most,
    });
    let share = ceiling.held_share.map(|share| Budget {
        name: "held_share_max_bp",
        used: holds,
        most: i64::from(share.holds_max(usage.orders.saturating_add(1))),
    });
    [Some(per_hour), value, share].into_iter().flatten().collect()
}

fn of_routes(ceiling: &RouteCeiling, usage: PluginUsage) -> Budget {
    Budget { name: "routes_per_hour_max", used: i64::from(usage.routes), most: i64::from(ceiling.routes_per_hour_max) }
}
