//! What the host publishes to streams by itself, by subscriber and by how it ended.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Attempts, counted.
#[derive(Default)]
pub(crate) struct StreamMetrics {
    attempts: Family<AttemptLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    subscriber: String,
    result: &'static str,
}

impl StreamMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help =
            "Attempts to publish a message to a stream: `stored`, `duplicate` where it lay there before, or why not";
        registry.register("portreeve_stream_messages", help, self.attempts.clone());
    }

    /// Counts an attempt. The result is a word of the host's.
    pub(crate) fn ended(&self, subscriber: &str, result: &'static str) {
        self.attempts.get_or_create(&AttemptLabels { subscriber: subscriber.to_owned(), result }).inc();
    }
}
