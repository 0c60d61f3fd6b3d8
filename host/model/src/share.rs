//! A share of an hour's orders, as a ceiling.

/// How many of an hour's orders may be held. The attack is a model that was trained on other
/// orders and holds every second one: in number few at night, and too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareCeiling {
    /// Holds in ten thousand orders.
    pub max_bp: u32,
    /// Holds within an hour that are within the share whatever it comes to.
    pub floor: u32,
}

impl ShareCeiling {
    /// How many holds the orders of an hour allow.
    #[must_use]
    pub fn holds_max(self, orders: u32) -> u32 {
        let share = u64::from(orders).saturating_mul(u64::from(self.max_bp)) / 10_000;
        u32::try_from(share).unwrap_or(u32::MAX).max(self.floor)
    }
}
