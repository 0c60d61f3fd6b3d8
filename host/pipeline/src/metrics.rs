//! Counts since the start, for monitors: calls by plugin and result, refused
//! inputs by reason, and rows of the store as they are now.
//!
//! INVARIANT: no label's value comes from a guest or a sender. Their codes would
//! make ever new time series, and could carry what nobody should read.

mod late;
mod measure;
mod oversight;
mod reconcile;
mod stream;
mod waiting;

use std::sync::{Mutex, PoisonError};

use portreeve_authority::{Outcome, Verdict};
use portreeve_model::{Failure, Instant, PluginName};
use portreeve_record::leaf::PackageStep;
use portreeve_registry::quarantine::Scope;
use portreeve_sandbox::{CallError, Crossed, EgressRefused, Ended};
use portreeve_store::contract::{Figures, Forgotten, OpenHolds};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::late::LateMetrics;
use self::measure::MeasureMetrics;
use self::oversight::OversightMetrics;
use self::reconcile::ReconciliationMetrics;
use self::stream::StreamMetrics;
use self::waiting::WaitingMetrics;
use crate::accept::call_error_code;
use crate::egress::Origin;
use crate::measure::Measures;
use crate::oversight::Oversight;
use crate::usage::{InUse, Used};
use crate::waiting::Waiting;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted.
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    budget_spent: Family<PluginLabels, Counter>,
    clauses_unmet: Family<ClauseLabels, Counter>,
    orders: OrderMetrics,
    in_use: Mutex<InUseMetrics>,
    waiting: WaitingMetrics,
    oversight: OversightMetrics,
    measures: MeasureMetrics,
    reconciliations: ReconciliationMetrics,
    not_called: Family<NotCalledLabels, Counter>,
    quarantine_turns: Family<TurnLabels, Counter>,
    quarantined: Family<PluginLabels, Gauge>,
    causes_quarantined: Family<PluginLabels, Gauge>,
    pub(crate) notices: NoticeMetrics,
    pub(crate) streams: StreamMetrics,
    pub(crate) late: LateMetrics,
    rows: Family<RowLabels, Gauge>,
    outside_missing: Gauge,
    forgotten_inputs: Counter,
    forgotten_payloads: Counter,
    retention_failed: Counter,
    egress: EgressMetrics,
    people: PeopleMetrics,
    polls: PollMetrics,
}

/// Polls, by how they ended.
#[derive(Default)]
struct PollMetrics {
    made: Family<PollLabels, Counter>,
    failing: Family<PollNameLabels, Gauge>,
    subscribed: Family<PollLabels, Counter>,
    not_subscribed: Family<PollNameLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    poll: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollNameLabels {
    poll: String,
}

impl PollMetrics {
    fn register(&self, registry: &mut Registry) {
        let help = "Polls that this host made, by what they brought: `documents`, `nothing`, that a window of their source held them back (`held-back`), or that they failed (`failed`)";
        registry.register("portreeve_polls", help, self.made.clone());
        let help = "How often in a row a poll failed when this host made it last";
        registry.register("portreeve_poll_failures", help, self.failing.clone());
        let help = "Subscriptions that this host asked for, by what came of it: `made`, `renewed` or `failed`";
        registry.register("portreeve_subscriptions", help, self.subscribed.clone());
        let help = "How often in a row a subscription was not given when this host asked for it last";
        registry.register("portreeve_subscription_failures", help, self.not_subscribed.clone());
    }
}

/// Who signs in, and who does not.
#[derive(Default)]
struct PeopleMetrics {
    sign_ins: Family<ResultLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    tokens_refused: Counter,
}

impl PeopleMetrics {
    fn register(&self, registry: &mut Registry) {
        let help = "Sign-ins with name and password, by result";
        registry.register("portreeve_sign_ins", help, self.sign_ins.clone());
        let help = "Sign-ins that were refused, by why; a stranger is not told";
        registry.register("portreeve_sign_ins_refused", help, self.refused.clone());
        let help = "Tokens that were shown and were no session and no key that counts";
        registry.register("portreeve_tokens_refused", help, self.tokens_refused.clone());
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// What is used of grants and kept back, as of the last look. Whoever looks replaces all of it.
#[derive(Default)]
struct InUseMetrics {
    used: Family<BudgetLabels, Gauge>,
    most: Family<BudgetLabels, Gauge>,
    open: Family<HoldLabels, Gauge>,
    overdue: Family<HoldLabels, Gauge>,
    oldest_seconds: Family<HoldLabels, Gauge>,
}

/// What became of orders after their decision.
#[derive(Default)]
struct OrderMetrics {
    closed: Family<ClosedLabels, Counter>,
    escalated: Family<QueueLabels, Counter>,
    decided: Family<ActionLabels, Counter>,
    proposals_ended: Family<EndLabels, Counter>,
    events: Family<EventLabels, Counter>,
    levels: Family<ResultLabels, Counter>,
    acknowledged: Family<ResultLabels, Counter>,
}

impl OrderMetrics {
    fn register(&self, registry: &mut Registry) {
        let help = "Holds that ended, by a person's release or since the host's own rule finds nothing any more";
        registry.register("portreeve_holds_closed", help, self.closed.clone());
        let help = "Exceptions that nobody had decided when they were due, by the queue that they were in";
        registry.register("portreeve_exceptions_escalated", help, self.escalated.clone());
        let help = "Exceptions that people decided, by action and queue";
        registry.register("portreeve_exceptions_decided", help, self.decided.clone());
        let help = "Proposals that ended without being carried out: expired undecided, refused, withdrawn, or stale";
        registry.register("portreeve_proposals_ended", help, self.proposals_ended.clone());
        let help = "What came about orders after them, by event and what became of it when it was decided";
        registry.register("portreeve_order_events", help, self.events.clone());
        let help = "Levels of items, by what became of each when it was decided";
        registry.register("portreeve_item_levels", help, self.levels.clone());
        let help =
            "What receivers said of interchanges, and those of which people were told that nothing was said in time";
        registry.register("portreeve_acknowledgements", help, self.acknowledged.clone());
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
    queue: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    how: &'static str,
    queue: String,
}

impl InUseMetrics {
    fn register(&self, registry: &mut Registry) {
        let help = "What a plugin has used up of a budget of its grant: a count, or minor units";
        registry.register("portreeve_budget_used", help, self.used.clone());
        registry.register("portreeve_budget_max", "How far the budget goes", self.most.clone());
        let help = "Holds on orders that are not released, by who holds and why";
        registry.register("portreeve_holds_open", help, self.open.clone());
        registry.register("portreeve_holds_overdue", "Those of them that are past their time", self.overdue.clone());
        registry.register("portreeve_holds_oldest_seconds", "The age of the oldest", self.oldest_seconds.clone());
    }

    fn show(&self, in_use: &InUse<'_>, now: Instant) {
        self.used.clear();
        self.most.clear();
        for Used { grant, budgets, .. } in &in_use.grants {
            for budget in budgets {
                let labels =
                    BudgetLabels { plugin: grant.plugin.to_string(), grant: grant.id.clone(), budget: budget.name };
                self.used.get_or_create(&labels).set(budget.used);
                self.most.get_or_create(&labels).set(budget.most);
            }
        }
        for gauges in [&self.open, &self.overdue, &self.oldest_seconds] {
            gauges.clear();
        }
        for holds in &in_use.holds {
            let OpenHolds { owner, plugin, reason, queue, .. } = holds.clone();
            let labels = HoldLabels { owner, plugin: plugin.unwrap_or_default(), reason, queue };
            let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            let age_seconds = now.0.saturating_sub(holds.oldest_at.0).max(0) / 1_000;
            self.open.get_or_create(&labels).set(count(holds.count));
            self.overdue.get_or_create(&labels).set(count(holds.overdue));
            self.oldest_seconds.get_or_create(&labels).set(age_seconds);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClauseLabels {
    plugin: String,
    grant: String,
    clause: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    plugin: String,
    grant: String,
    budget: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HoldLabels {
    owner: String,
    plugin: String,
    reason: String,
    queue: String,
}

/// What leaves the host, by plugin and by target. Clones count together.
#[derive(Clone, Default)]
pub struct EgressMetrics {
    requests: Family<RequestLabels, Counter>,
    refused: Family<RequestRefusedLabels, Counter>,
    breakers: Family<BreakerLabels, Gauge>,
}

/// Notices, by subscriber.
#[derive(Default)]
pub(crate) struct NoticeMetrics {
    sent: Family<SubscriberLabels, Counter>,
    failed: Family<SubscriberLabels, Counter>,
    skipped: Family<SubscriberLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriberLabels {
    subscriber: String,
}

impl NoticeMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("portreeve_notices_sent", "Notices that a subscriber took", self.sent.clone());
        let help = "Times that a subscriber did not take a notice; it is sent again";
        registry.register("portreeve_notices_failed", help, self.failed.clone());
        let help = "Notices that a subscriber never took and that were left out";
        registry.register("portreeve_notices_skipped", help, self.skipped.clone());
    }

    pub(crate) fn sent(&self, subscriber: &str) {
        self.sent.get_or_create(&SubscriberLabels { subscriber: subscriber.to_owned() }).inc();
    }

    pub(crate) fn failed(&self, subscriber: &str) {
        self.failed.get_or_create(&SubscriberLabels { subscriber: subscriber.to_owned() }).inc();
    }

    pub(crate) fn skipped(&self, subscriber: &str) {
        self.skipped.get_or_create(&SubscriberLabels { subscriber: subscriber.to_owned() }).inc();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    plugin: String,
    origin: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestRefusedLabels {
    plugin: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BreakerLabels {
    plugin: String,
    origin: String,
}

impl EgressMetrics {
    /// Counts a request that was sent, or tried. The origin is the configuration's.
    pub(crate) fn ended(&self, plugin: &PluginName, origin: &Origin, ended: Ended, open: bool) {
        let (plugin, origin) = (plugin.to_string(), origin.to_string());
        let result = match ended {
            Ended::Answered { status: 500.. } => "5xx",
            Ended::Answered { status: 400..500 } => "4xx",
            Ended::Answered { status: 300..400 } => "3xx",
            Ended::Answered { .. } => "ok",
            Ended::Failed => "failed",
        };
        let labels = RequestLabels { plugin: plugin.clone(), origin: origin.clone(), result };
        self.requests.get_or_create(&labels).inc();
        self.breakers.get_or_create(&BreakerLabels { plugin, origin }).set(i64::from(open));
    }

    /// Counts a request that was not let through.
    pub(crate) fn refused(&self, plugin: &PluginName, refused: &EgressRefused) {
        let reason = match refused {
            EgressRefused::Denied(_) => "denied",
            EgressRefused::Address(_) => "address",
            EgressRefused::Unresolved(_) => "unresolved",
            EgressRefused::Later { .. } => "later",
        };
        self.refused.get_or_create(&RequestRefusedLabels { plugin: plugin.to_string(), reason }).inc();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    plugin: String,
    call: &'static str,
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NotCalledLabels {
    plugin: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnLabels {
    plugin: String,
    turn: &'static str,
    scope: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RowLabels {
    what: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (calls, refused, rows) = (Family::default(), Family::default(), Family::default());
        let budget_spent = Family::default();
        let outside_missing = Gauge::default();
        registry.register("portreeve_calls", "Calls of plugins, by result", calls.clone());
        registry.register("portreeve_refused", "Inputs that were refused, by reason", refused.clone());
        registry.register(
            "portreeve_budget_spent",
            "Proposals of plugins that met a spent budget",
            budget_spent.clone(),
        );
        let clauses_unmet = Family::default();
        let help =
            "Clauses of grants that narrowed (`narrowed`) or refused (`refused`) a proposal, each time it was weighed";
        registry.register("portreeve_clauses_unmet", help, clauses_unmet.clone());
        let orders = OrderMetrics::default();
        orders.register(&mut registry);
        let in_use = InUseMetrics::default();
        in_use.register(&mut registry);
        let in_use = Mutex::new(in_use);
        let waiting = WaitingMetrics::default();
        waiting.register(&mut registry);
        let (not_called, quarantine_turns) = (Family::default(), Family::default());
        let (quarantined, causes_quarantined) = (Family::default(), Family::default());
        let help = "Calls that were not made because the plugin is not called, by reason";
        registry.register("portreeve_not_called", help, not_called.clone());
        let help = "Plugins that came into quarantine (`quarantined`) or out of it (`restored`), as a whole (`plugin`) or for one sender or target (`cause`)";
        registry.register("portreeve_quarantine_turns", help, quarantine_turns.clone());
        registry.register("portreeve_quarantined", "1 while a plugin is in quarantine", quarantined.clone());
        let help = "Senders and targets for which a plugin that is called otherwise is in quarantine";
        registry.register("portreeve_quarantined_causes", help, causes_quarantined.clone());
        registry.register("portreeve_count", "Rows in the store, by what they are", rows.clone());
        registry.register(
            "portreeve_audit_outside_checkpoint_missing",
            "1 when the audit log had entries and no checkpoint outside at the start",
            outside_missing.clone(),
        );
        let (forgotten_inputs, forgotten_payloads) = (Counter::default(), Counter::default());
        let retention_failed = Counter::default();
        let help = "Inputs whose content was removed because its retention ended";
        registry.register("portreeve_retention_inputs", help, forgotten_inputs.clone());
        let help = "Sealed payloads that were removed with them";
        registry.register("portreeve_retention_payloads", help, forgotten_payloads.clone());
        let help = "Passes of retention that ended early";
        registry.register("portreeve_retention_failed", help, retention_failed.clone());
        let egress = EgressMetrics::default();
        let help = "Requests of plugins to targets, by how they ended";
        registry.register("portreeve_http_requests", help, egress.requests.clone());
        let help = "Requests of plugins that were not let through, by why";
        registry.register("portreeve_http_refused", help, egress.refused.clone());
        let help = "1 while a plugin sends a target nothing because it failed too often";
        registry.register("portreeve_http_breaker_open", help, egress.breakers.clone());
        let oversight = OversightMetrics::default();
        oversight.register(&mut registry);
        let measures = MeasureMetrics::default();
        measures.register(&mut registry);
        let reconciliations = ReconciliationMetrics::default();
        reconciliations.register(&mut registry);
        let people = PeopleMetrics::default();
        people.register(&mut registry);
        let notices = NoticeMetrics::default();
        notices.register(&mut registry);
        let polls = PollMetrics::default();
        polls.register(&mut registry);
        let streams = StreamMetrics::default();
        streams.register(&mut registry);
        let late = LateMetrics::default();
        late.register(&mut registry);
        Self {
            registry,
            egress,
            people,
            polls,
            notices,
            streams,
            late,
            calls,
            refused,
            budget_spent,
            clauses_unmet,
            orders,
            in_use,
            waiting,
            oversight,
            measures,
            reconciliations,
            not_called,
            quarantine_turns,
            quarantined,
            causes_quarantined,
            rows,
            outside_missing,
            forgotten_inputs,
            forgotten_payloads,
            retention_failed,
        }
    }
}

impl Metrics {
    /// Counts a call, and hands it on.
    pub(crate) fn called<T>(&self, crossed: Crossed<Result<T, Failure>>) -> Crossed<Result<T, Failure>> {
        let plugin = crossed.crossing.plugin.to_string();
        let labels = CallLabels { plugin, call: crossed.crossing.call.as_str(), result: result(&crossed.outcome) };
        self.calls.get_or_create(&labels).inc();
        crossed
    }

    /// What leaves is counted here as well.
    #[must_use]
    pub fn egress(&self) -> EgressMetrics {
        self.egress.clone()
    }

    /// Counts a call that was not made.
    pub(crate) fn not_called(&self, plugin: &PluginName, reason: &'static str) {
        self.not_called.get_or_create(&NotCalledLabels { plugin: plugin.to_string(), reason }).inc();
    }

    /// Counts a plugin's way into quarantine or out of it, as a whole or for one of the
    /// causes; of those so many are left.
    pub(crate) fn turned(&self, plugin: &PluginName, step: PackageStep, scope: Scope, causes: usize) {
        let labels = PluginLabels { plugin: plugin.to_string() };
        let word = match scope {
            Scope::Component => {
                self.quarantined.get_or_create(&labels).set(i64::from(step == PackageStep::Quarantined));
                "plugin"
            }
            Scope::Cause => "cause",
        };
        self.causes_quarantined.get_or_create(&labels).set(i64::try_from(causes).unwrap_or(i64::MAX));
        let labels = TurnLabels { plugin: labels.plugin, turn: step.as_str(), scope: word };
        self.quarantine_turns.get_or_create(&labels).inc();
    }

    /// Says that another component of a plugin begins with a clean sheet.
    pub fn not_quarantined(&self, plugin: &PluginName) {
        let labels = PluginLabels { plugin: plugin.to_string() };
        for gauges in [&self.quarantined, &self.causes_quarantined] {
            if let Some(gauge) = gauges.get(&labels) {
                gauge.set(0);
            }
        }
    }

    /// Counts a subscription that was asked for, and how often in a row it has not been given now.
    pub(crate) fn subscribed(&self, poll: &str, result: &'static str, failures: u32) {
        self.polls.subscribed.get_or_create(&PollLabels { poll: poll.to_owned(), result }).inc();
        self.polls.not_subscribed.get_or_create(&PollNameLabels { poll: poll.to_owned() }).set(failures.into());
    }

    /// Counts a poll, and how often in a row it has failed now.
    pub(crate) fn polled(&self, poll: &str, result: &'static str, failures: u32) {
        self.polls.made.get_or_create(&PollLabels { poll: poll.to_owned(), result }).inc();
        self.polls.failing.get_or_create(&PollNameLabels { poll: poll.to_owned() }).set(failures.into());
    }

    /// Counts an input that was refused.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// Counts a proposal that met a spent budget: somebody has to look, whatever
    /// the grant says about the order.
    pub(crate) fn budget_spent(&self, plugin: &PluginName) {
        self.budget_spent.get_or_create(&PluginLabels { plugin: plugin.to_string() }).inc();
    }

    /// Counts the clauses that narrowed or refused a proposal.
    pub(crate) fn weighed(&self, verdict: &Verdict) {
        if verdict.outcome() == Outcome::Granted {
            return;
        }
        for clause in verdict.clauses().iter().filter(|clause| !clause.held) {
            let labels = ClauseLabels {
                plugin: verdict.plugin().to_string(),
                grant: verdict.grant().unwrap_or_default().to_owned(),
                clause: clause.name,
                outcome: verdict.outcome().as_str(),
            };
            self.clauses_unmet.get_or_create(&labels).inc();
        }
    }

    /// Counts holds that ended, by a `person` or the `host`.
    pub(crate) fn holds_closed(&self, by: &'static str, holds: usize) {
        let holds = u64::try_from(holds).unwrap_or(u64::MAX);
        self.orders.closed.get_or_create(&ClosedLabels { by }).inc_by(holds);
    }

    /// Counts an exception that others were told of.
    pub(crate) fn exception_escalated(&self, queue: &str) {
        self.orders.escalated.get_or_create(&QueueLabels { queue: queue.to_owned() }).inc();
    }

    /// Counts what a person decided.
    pub(crate) fn exception_decided(&self, action: &'static str, queue: &str) {
        self.orders.decided.get_or_create(&ActionLabels { action, queue: queue.to_owned() }).inc();
    }

    /// Counts what came about an order.
    pub(crate) fn order_event(&self, event: &'static str, outcome: &'static str) {
        self.orders.events.get_or_create(&EventLabels { event, outcome }).inc();
    }

    /// Counts what a receiver said of an interchange, or that it said nothing in time.
    pub(crate) fn item_level(&self, outcome: &'static str) {
        self.orders.levels.get_or_create(&ResultLabels { result: outcome }).inc();
    }

    pub(crate) fn acknowledged(&self, result: &'static str) {
        self.orders.acknowledged.get_or_create(&ResultLabels { result }).inc();
    }

    /// Counts a proposal that was not carried out.
    pub(crate) fn proposal_ended(&self, how: &'static str, queue: &str) {
        self.orders.proposals_ended.get_or_create(&EndLabels { how, queue: queue.to_owned() }).inc();
    }

    pub(crate) fn forgotten(&self, forgotten: Forgotten) {
        self.forgotten_inputs.inc_by(forgotten.inputs);
        self.forgotten_payloads.inc_by(forgotten.payloads);
    }

    /// Counts a sign-in, by what became of it.
    pub(crate) fn signed_in(&self, result: &'static str) {
        self.people.sign_ins.get_or_create(&ResultLabels { result }).inc();
    }

    /// Counts a sign-in that was refused, by why.
    pub(crate) fn sign_in_refused(&self, reason: &'static str) {
        self.people.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// Counts a token that proved nothing.
    pub(crate) fn token_refused(&self) {
        self.people.tokens_refused.inc();
    }

    /// Shows what the last run of a reconciliation found.
    pub(crate) fn reconciled(&self, reconciliation: &str, figures: &Figures) {
        self.reconciliations.show(reconciliation, figures);
    }

    /// Counts a run of a reconciliation.
    pub(crate) fn reconciliation_ended(&self, reconciliation: &str, compared: bool) {
        self.reconciliations.ended(reconciliation, compared);
    }

    /// Counts a pass of retention that ended early.
    pub fn retention_failed(&self) {
        self.retention_failed.inc();
    }

    /// Says that nothing ruled out a rollback of the audit log at the start.
    pub fn outside_checkpoint_missing(&self) {
        self.outside_missing.set(1);
    }

    /// The same with what is used of grants and kept back, what waits for destinations, how models and
    /// people got on, and the last measures where there are any.
    #[must_use]
    pub fn text_with(
        &self,
        rows: &[(&'static str, u64)],
        in_use: &InUse<'_>,
        waiting: &[Waiting],
        oversight: &Oversight,
        measures: Option<&Measures>,
        now: Instant,
    ) -> String {
        // Nobody else's look may come between this one and its text.
        let shown = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        shown.show(in_use, now);
        self.waiting.show(waiting, now);
        self.oversight.show(oversight);
        if let Some(measures) = measures {
            self.measures.show(measures);
        }
        self.text(rows)
    }

    /// Everything in the `OpenMetrics` text format, with the given counts of rows.
    #[must_use]
    pub fn text(&self, rows: &[(&'static str, u64)]) -> String {
        for (what, count) in rows {
            self.rows.get_or_create(&RowLabels { what }).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

fn result<T>(outcome: &Result<Result<T, Failure>, CallError>) -> String {
    match outcome {
        Ok(Ok(_)) => "ok".to_owned(),
        Ok(Err(Failure::Invalid(_))) => "invalid".to_owned(),
        Ok(Err(Failure::Retry(_))) => "retry".to_owned(),
        Ok(Err(Failure::Permanent(_))) => "permanent".to_owned(),
        Ok(Err(Failure::UnknownOutcome(_))) => "unknown-outcome".to_owned(),
        Err(error) => call_error_code(error),
    }
}
