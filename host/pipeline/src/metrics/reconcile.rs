//! How far systems agree, for monitors: what the last run of each reconciliation found.

use portreeve_store::contract::Figures;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// By reconciliation.
#[derive(Default)]
pub(super) struct ReconciliationMetrics {
    keys: Family<KeyLabels, Gauge>,
    runs: Family<RunLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    reconciliation: String,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    reconciliation: String,
    result: &'static str,
}

impl ReconciliationMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Keys of the last run that compared: `compared`, `agreeing`, `different`, and `unsettled`, which changed too lately; agreeing of compared is how accurate stock is between two systems";
        registry.register("portreeve_reconciliation_keys", help, self.keys.clone());
        let help = "Runs of this host since its start, by whether both lists were whole: `compared` or `not-compared`";
        registry.register("portreeve_reconciliation_runs", help, self.runs.clone());
    }

    pub(super) fn show(&self, reconciliation: &str, figures: &Figures) {
        let Figures { compared, agreeing, unsettled, differences, .. } = *figures;
        for (what, count) in
            [("compared", compared), ("agreeing", agreeing), ("unsettled", unsettled), ("different", differences)]
        {
            let labels = KeyLabels { reconciliation: reconciliation.to_owned(), what };
            self.keys.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn ended(&self, reconciliation: &str, compared: bool) {
        let result = if compared { "compared" } else { "not-compared" };
        self.runs.get_or_create(&RunLabels { reconciliation: reconciliation.to_owned(), result }).inc();
    }
}
