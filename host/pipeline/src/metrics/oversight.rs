//! How models and people got on in the last hours, for monitors. No label names a person.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::oversight::{Oversight, PersonOversight, Times};

/// What is shown as of the last look. Whoever looks replaces all of it.
#[derive(Default)]
pub(super) struct OversightMetrics {
    proposals: Family<ProposalLabels, Gauge>,
    judged: Family<JudgedLabels, Gauge>,
    decisions: Family<DecisionLabels, Gauge>,
    claim_ms: Family<QuantileLabels, Gauge>,
    decide_ms: Family<QuantileLabels, Gauge>,
    undecided: Family<QueueLabels, Gauge>,
    expired: Family<QueueLabels, Gauge>,
    rubber_stamps: Family<QueueLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProposalLabels {
    plugin: String,
    component: String,
    proposed: String,
    outcome: String,
    clause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JudgedLabels {
    plugin: String,
    component: String,
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    queue: String,
    decision: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabels {
    queue: String,
    quantile: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

impl OversightMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Proposals of scorers in the last 24 hours, by what narrowed or refused them";
        registry.register("portreeve_proposals_weighed", help, self.proposals.clone());
        let help = "Models' holds about which people decided in the last 24 hours: accepted, or overridden";
        registry.register("portreeve_holds_judged", help, self.judged.clone());
        let help = "Decisions of people that took effect in the last 24 hours";
        registry.register("portreeve_decisions", help, self.decisions.clone());
        let help = "From an exception's opening until somebody had it, in the last 24 hours, milliseconds";
        registry.register("portreeve_claim_ms", help, self.claim_ms.clone());
        let help = "From an exception's opening until a decision took effect, in the last 24 hours, milliseconds";
        registry.register("portreeve_decide_ms", help, self.decide_ms.clone());
        let help = "Exceptions that were due in the last 24 hours before anybody had decided";
        registry.register("portreeve_undecided_when_due", help, self.undecided.clone());
        let help = "Proposals that expired in the last 24 hours, since nobody agreed or refused in time";
        registry.register("portreeve_proposals_expired", help, self.expired.clone());
        let help = "People who decided so fast in the last 24 hours, beside their peers, that somebody should ask";
        registry.register("portreeve_rubber_stamps", help, self.rubber_stamps.clone());
    }

    pub(super) fn show(&self, oversight: &Oversight) {
        self.proposals.clear();
        self.judged.clear();
        self.decisions.clear();
        for family in [&self.claim_ms, &self.decide_ms] {
            family.clear();
        }
        for family in [&self.undecided, &self.expired, &self.rubber_stamps] {
            family.clear();
        }
        for model in &oversight.models {
            let (plugin, component) = (model.plugin.clone(), model.component.to_string());
            for (weighed, count) in &model.proposals {
                let labels = ProposalLabels {
                    plugin: plugin.clone(),
                    component: component.clone(),
                    proposed: weighed.proposed.clone(),
                    outcome: weighed.outcome.clone(),
                    clause: weighed.clause.clone(),
                };
                self.proposals.get_or_create(&labels).set(gauge(*count));
            }
            for (how, count) in [("accepted", model.accepted()), ("overridden", model.overridden)] {
                let labels = JudgedLabels { plugin: plugin.clone(), component: component.clone(), how };
                self.judged.get_or_create(&labels).set(gauge(count));
            }
        }
        for queue in &oversight.queues {
            let of = QueueLabels { queue: queue.queue.clone() };
            for (decision, count) in &queue.decisions {
                let labels = DecisionLabels { queue: queue.queue.clone(), decision: decision.clone() };
                self.decisions.get_or_create(&labels).set(gauge(*count));
            }
            show_times(&self.claim_ms, &queue.queue, queue.claimed);
            show_times(&self.decide_ms, &queue.queue, queue.decided);
            self.undecided.get_or_create(&of).set(gauge(queue.escalated));
            self.expired.get_or_create(&of).set(gauge(queue.expired));
            let stamps = oversight.people.iter().filter(|person| person.queue == queue.queue);
            let stamps = stamps.filter(|person| PersonOversight::is_rubber_stamp(person)).count();
            self.rubber_stamps.get_or_create(&of).set(i64::try_from(stamps).unwrap_or(i64::MAX));
        }
    }
}

fn show_times(family: &Family<QuantileLabels, Gauge>, queue: &str, times: Times) {
    if times.count == 0 {
        return;
    }
    for (quantile, ms) in [("0.5", times.median_ms), ("0.9", times.p90_ms)] {
        family.get_or_create(&QuantileLabels { queue: queue.to_owned(), quantile }).set(ms);
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
