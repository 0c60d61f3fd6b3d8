//! What waits for each destination, as of the last look. Whoever looks replaces all of it.

use portreeve_model::Instant;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::waiting::Waiting;

#[derive(Default)]
pub(super) struct WaitingMetrics {
    pending: Family<TargetLabels, Gauge>,
    oldest_seconds: Family<TargetLabels, Gauge>,
}

/// Ids of targets are the configuration's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
}

impl WaitingMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Deliveries that are still to be made, by target";
        registry.register("portreeve_deliveries_pending", help, self.pending.clone());
        let help = "How long the oldest of them has waited, 0 where none does";
        registry.register("portreeve_deliveries_pending_oldest_seconds", help, self.oldest_seconds.clone());
    }

    pub(super) fn show(&self, all: &[Waiting], now: Instant) {
        self.pending.clear();
        self.oldest_seconds.clear();
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for waiting in all {
            let labels = TargetLabels { target: waiting.target.clone() };
            self.pending.get_or_create(&labels).set(whole(waiting.pending));
            self.oldest_seconds.get_or_create(&labels).set(whole(waiting.seconds(now).unwrap_or_default()));
        }
    }
}
