//! Messages that did not go out in time, by target, kind and what became of them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Late messages, counted.
#[derive(Default)]
pub(crate) struct LateMetrics {
    messages: Family<LateLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LateLabels {
    target: String,
    message: String,
    result: &'static str,
}

impl LateMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help =
            "Messages that had not gone out by the time of their [[due]]: `told` to people, and `sent` when they went";
        registry.register("portreeve_late_messages", help, self.messages.clone());
    }

    /// Counts one. The result is a word of the host's.
    pub(crate) fn counted(&self, target: &str, message: &str, result: &'static str) {
        let labels = LateLabels { target: target.to_owned(), message: message.to_owned(), result };
        self.messages.get_or_create(&labels).inc();
    }
}
