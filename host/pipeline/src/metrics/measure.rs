//! The measures of the orders that were decided in the last hours, for monitors. Exceptions are
//! told by their stage alone: codes come from plugins as well, and are no labels.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::measure::Measures;
use crate::measure::operations::{ChangeMeasures, Operations};
use crate::oversight::Times;

/// What is shown as of the last look. Whoever looks replaces all of it.
#[derive(Default)]
pub(super) struct MeasureMetrics {
    orders: Family<ChannelLabels, Gauge>,
    node_ms: Family<NodeLabels, Gauge>,
    changes: Family<CountLabels, Gauge>,
    reconciliations: Family<ReconciliationLabels, Gauge>,
    onboarding_ms: Family<PartLabels, Gauge>,
    cycle_ms: Family<CycleLabels, Gauge>,
    between_ms: Family<BetweenLabels, Gauge>,
    counts: Family<CountLabels, Gauge>,
    exceptions: Family<StageLabels, Gauge>,
    deliveries: Family<DeliveryLabels, Gauge>,
    latency_ms: Family<TargetLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CycleLabels {
    channel: String,
    to: &'static str,
    quantile: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    node: String,
    to: &'static str,
    quantile: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconciliationLabels {
    reconciliation: String,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    kind: &'static str,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BetweenLabels {
    from: &'static str,
    to: &'static str,
    quantile: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CountLabels {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    target: String,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
    quantile: &'static str,
}

impl MeasureMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Orders that were decided in the last 24 hours: those that all measures are of";
        registry.register("portreeve_measures_orders", help, self.orders.clone());
        let help = "From receipt of those orders to their first shipment or their settlement, of those that have it, milliseconds";
        registry.register("portreeve_measures_cycle_ms", help, self.cycle_ms.clone());
        let help = "The same by the node that they left first";
        registry.register("portreeve_measures_node_cycle_ms", help, self.node_ms.clone());
        let help = "Versions of the configuration in the last 24 hours; components that plugins got, and those of them that were undone; rollbacks, plugins disabled, and stops of all plugins";
        registry.register("portreeve_measures_changes", help, self.changes.clone());
        let help = "Runs of reconciliations in the last 24 hours, what they opened and closed, and keys that were compared and agree in the last one that compared";
        registry.register("portreeve_measures_reconciliations", help, self.reconciliations.clone());
        let help = "From the first configuration with a channel or target to its first use, of those that came into use in the last 24 hours, milliseconds";
        registry.register("portreeve_measures_onboarding_ms", help, self.onboarding_ms.clone());
        let help = "Between their first shipment, first invoice and settlement, of those that have both, milliseconds";
        registry.register("portreeve_measures_between_ms", help, self.between_ms.clone());
        let help = "Steps of people about those orders, returns of them, and those that shipped, with exceptions and as ordered; and steps about differences that reconciliations found, in the last 24 hours";
        registry.register("portreeve_measures_counts", help, self.counts.clone());
        let help = "Exceptions about those orders, open and closed, by the stage that opened them";
        registry.register("portreeve_measures_exceptions", help, self.exceptions.clone());
        let help = "Deliveries of those orders, and attempts of them, by target";
        registry.register("portreeve_measures_deliveries", help, self.deliveries.clone());
        let help = "From when a delivery of those orders was taken up until its target had it, milliseconds";
        registry.register("portreeve_measures_latency_ms", help, self.latency_ms.clone());
    }

    pub(super) fn show(&self, measures: &Measures) {
        self.clear();
        for (channel, measured) in &measures.channels {
            let orders = self.orders.get_or_create(&ChannelLabels { channel: channel.clone() });
            orders.set(gauge(measured.orders));
            for (to, times) in [("shipment", measured.to_shipment), ("settlement", measured.to_settlement)] {
                for (quantile, ms) in quantiles(times) {
                    self.cycle_ms.get_or_create(&CycleLabels { channel: channel.clone(), to, quantile }).set(ms);
                }
            }
        }
        for (node, measured) in &measures.nodes {
            for (to, times) in [("shipment", measured.to_shipment), ("settlement", measured.to_settlement)] {
                for (quantile, ms) in quantiles(times) {
                    self.node_ms.get_or_create(&NodeLabels { node: node.clone(), to, quantile }).set(ms);
                }
            }
        }
        self.show_operations(&measures.operations);
        for (from, to, times) in
            [("shipment", "invoice", measures.invoice_latency), ("invoice", "settlement", measures.close_cycle)]
        {
            for (quantile, ms) in quantiles(times) {
                self.between_ms.get_or_create(&BetweenLabels { from, to, quantile }).set(ms);
            }
        }
        for (what, count) in [
            ("touches", measures.touches),
            ("touched-orders", measures.touched_orders),
            ("returns", measures.returns),
            ("return-touches", measures.return_touches),
            ("shipped", measures.shipped),
            ("shipment-exceptions", measures.shipment_exceptions),
            ("fulfilled", measures.fulfilled),
            ("fulfilled-accurately", measures.fulfilled_accurately),
            ("difference-touches", measures.operations.difference_touches),
        ] {
            self.counts.get_or_create(&CountLabels { what }).set(gauge(count));
        }
        for ((stage, _), cause) in &measures.causes {
            self.exceptions.get_or_create(&StageLabels { stage: stage.clone() }).inc_by(gauge(cause.exceptions));
        }
        for (target, measured) in &measures.targets {
            for (what, count) in [
                ("made", measured.deliveries),
                ("delivered", measured.delivered),
                ("retried", measured.retried),
                ("given-up", measured.given_up),
                ("attempts", measured.attempts),
                ("failed-attempts", measured.failed_attempts),
                ("retries", measured.retries),
            ] {
                self.deliveries.get_or_create(&DeliveryLabels { target: target.clone(), what }).set(gauge(count));
            }
            for (quantile, ms) in quantiles(measured.latency) {
                self.latency_ms.get_or_create(&TargetLabels { target: target.clone(), quantile }).set(ms);
            }
        }
    }

    fn show_operations(&self, operations: &Operations) {
        let ChangeMeasures { versions, activations, undone, rollbacks, disabled, halts } = operations.changes;
        for (what, count) in [
            ("versions", versions),
            ("activations", activations),
            ("undone", undone),
            ("rollbacks", rollbacks),
            ("disabled", disabled),
            ("halts", halts),
        ] {
            self.changes.get_or_create(&CountLabels { what }).set(gauge(count));
        }
        for (reconciliation, measured) in &operations.reconciliations {
            let last = measured.last.iter();
            let last = last.flat_map(|last| [("compared", last.compared), ("agreeing", last.agreeing)]);
            let of_runs = [
                ("runs", measured.runs),
                ("not-compared", measured.not_compared),
                ("opened", measured.opened),
                ("closed", measured.closed),
            ];
            for (what, count) in of_runs.into_iter().chain(last) {
                let labels = ReconciliationLabels { reconciliation: reconciliation.clone(), what };
                self.reconciliations.get_or_create(&labels).set(gauge(count));
            }
        }
        for onboarding in &operations.onboarding {
            let Some(took_ms) = onboarding.took_ms() else { continue };
            let (kind, name) = (onboarding.part.kind.as_str(), onboarding.part.id.clone());
            self.onboarding_ms.get_or_create(&PartLabels { kind, name }).set(took_ms);
        }
    }

    fn clear(&self) {
        self.orders.clear();
        self.node_ms.clear();
        self.changes.clear();
        self.reconciliations.clear();
        self.onboarding_ms.clear();
        self.cycle_ms.clear();
        self.between_ms.clear();
        self.counts.clear();
        self.exceptions.clear();
        self.deliveries.clear();
        self.latency_ms.clear();
    }
}

/// Nothing of no case.
fn quantiles(times: Times) -> impl Iterator<Item = (&'static str, i64)> {
    [("0.5", times.median_ms), ("0.9", times.p90_ms)].into_iter().filter(move |_| times.count > 0)
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
