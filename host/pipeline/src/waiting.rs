//! What waits for each destination: how much, and since when. So whoever runs the host sees that a
//! system is behind before the first delivery to it is given up.
//!
//! Every target and subscriber of the configuration is told, also one for which nothing waits:
//! a destination that is missing from a list looks like one that is well. What is waited for at a
//! target that no configuration has any more is told too, since somebody has to see to it.

use std::collections::BTreeMap;

use portreeve_model::Instant;
use portreeve_store::StoreError;
use portreeve_store::contract::WaitingDeliveries;

use crate::Pipeline;

/// What waits for a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The target or subscriber.
    pub target: String,
    /// Whether the configuration has it.
    pub is_configured: bool,
    /// Deliveries that are still to be made, those under way among them.
    pub pending: u64,
    /// Those of them that wait for an earlier one about the same order.
    pub behind: u64,
    /// Since when the oldest waits; see [`WaitingDeliveries::oldest_since`]. None where nothing does.
    pub since: Option<Instant>,
}

impl Waiting {
    /// How long the oldest has waited, in whole seconds; none where nothing waits.
    #[must_use]
    pub fn seconds(&self, now: Instant) -> Option<u64> {
        let since = self.since?;
        // A clock that was set back makes nothing young.
        Some(u64::try_from(now.0.saturating_sub(since.0) / 1_000).unwrap_or_default())
    }
}

impl Pipeline {
    /// What waits for each destination, in the order of the configuration; then those that it does
    /// not have.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let found = self.store.waiting_deliveries().await?;
        let mut found: BTreeMap<String, WaitingDeliveries> =
            found.into_iter().map(|waiting| (waiting.target.clone(), waiting)).collect();
        let of_target = |target: &str, is_configured, waiting: Option<WaitingDeliveries>| Waiting {
            target: target.to_owned(),
            is_configured,
            pending: waiting.as_ref().map_or(0, |waiting| waiting.pending),
            behind: waiting.as_ref().map_or(0, |waiting| waiting.behind),
            since: waiting.map(|waiting| waiting.oldest_since),
        };
        let mut all = Vec::with_capacity(self.routes.targets.len());
        for target in &self.routes.targets {
            let waiting = found.remove(&target.id);
            all.push(of_target(&target.id, true, waiting));
        }
        all.extend(found.into_iter().map(|(target, waiting)| of_target(&target, false, Some(waiting))));
        Ok(all)
    }
}
