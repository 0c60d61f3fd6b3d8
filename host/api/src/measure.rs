//! The measures that leaders ask for, each with what it counts of what.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use portreeve_pipeline::measure;
use portreeve_pipeline::measure::operations;
use portreeve_pipeline::oversight::{self, ModelOversight};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::oversight::{Times, hours, until};
use crate::problem::Problem;

/// Which orders to measure.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// Whole hours (UTC) in which orders were decided, the last one with them: 1 to 744, and 24
    /// where it is not said.
    hours: Option<u16>,
    /// Until when they were decided, in RFC 3339; until now where it is not said. What became of
    /// them is as of now in any case: of a window that ended long ago most orders are settled.
    until: Option<String>,
}

/// The measures of the orders that were decided in a window, with what became of them until now.
/// Durations of 64 ms and more are rounded up by a thirty-second at most. A share, or a mean, of
/// nothing is none.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measures {
    /// From when on orders were decided: the beginning of an hour.
    pub from: String,
    /// Until when.
    pub until: String,
    /// Orders that were decided in the window: the cohort.
    pub orders: u64,
    /// Cycle times of the cohort, by channel.
    pub channels: Vec<ChannelMeasures>,
    /// Cycle times of the cohort, by the node that an order left first.
    pub nodes: Vec<NodeMeasures>,
    /// Those of `shipped` that are of no node: their first shipment names none, or retention removed
    /// what it said.
    pub shipped_without_node: u64,
    /// Invoice latency: from receipt of the first `shipment.confirmed` that counted to receipt of
    /// the first `invoice.posted` that did, of orders of the cohort that have both. One that was
    /// invoiced first has 0.
    pub invoice_latency: Times,
    /// Close cycle: from receipt of the first `invoice.posted` that counted to receipt of the last
    /// event that settled the order (`payment.settled` or, where it was prepaid, `invoice.posted`),
    /// of orders of the cohort that are settled now.
    pub close_cycle: Times,
    /// Steps that people took about exceptions of the cohort's orders, such as a claim, a comment,
    /// an approval, a decision.
    pub touches: u64,
    /// Orders of the cohort with at least one such step.
    pub touched_orders: u64,
    /// Manual touches per order: `touches` for a hundred of `orders`, rounded down.
    pub touches_per_hundred_orders: Option<u64>,
    /// `return.requested` events of the cohort's orders that counted.
    pub returns: u64,
    /// Touches that are about what was said of a return (requested or received), or about a
    /// delivery made of it.
    pub return_touches: u64,
    /// Touches per return: `returnTouches` for a hundred of `returns`, rounded down.
    pub touches_per_hundred_returns: Option<u64>,
    /// Exception rates by stage and root cause.
    pub exceptions: Vec<CauseMeasures>,
    /// Orders of the cohort with a `shipment.confirmed` that counted.
    pub shipped: u64,
    /// Those of `shipped` of which a `shipment.delayed` counted, or about a shipment event of which
    /// people had to know something else than that it came too early.
    pub shipment_exceptions: u64,
    /// Shipment exception rate: `shipmentExceptions` among `shipped`, basis points.
    pub shipment_exception_bp: Option<u64>,
    /// Those of `shipped` of which all that is to leave has left, that their sender did not ask to
    /// cancel, and whose quantities retention has not removed.
    pub fulfilled: u64,
    /// Those of `fulfilled` of which each line left in the ordered quantity, without a shipment
    /// exception. A substitute counts as what it takes the place of.
    pub fulfilled_accurately: u64,
    /// Fulfilment accuracy: `fulfilledAccurately` among `fulfilled`, basis points.
    pub accuracy_bp: Option<u64>,
    /// Failure rate, retry volume and latency of the cohort's deliveries, by target.
    pub targets: Vec<TargetMeasures>,
    /// How often people took models' advice in the same window. It counts decisions that people
    /// took in the window, whenever the order was decided; `GET /v1/oversight` tells more.
    pub models: Vec<AdviceMeasures>,
    /// Change success and rollback frequency: what was done to the configuration and to plugins in
    /// the window.
    pub changes: ChangeMeasures,
    /// How well systems agree (of `stock` it is the stock accuracy), and how often they were
    /// compared for that: reconciliations with a run in the window.
    pub reconciliations: Vec<ReconciliationMeasures>,
    /// Reconciliation effort: steps that people took in the window about exceptions that a
    /// reconciliation opened, whenever it did.
    pub difference_touches: u64,
    /// The same for a hundred that were `opened` by the window's runs, rounded down.
    pub touches_per_hundred_opened: Option<u64>,
    /// Time to onboard: channels and targets that came into use in the window, and those that were
    /// configured before its end and are not in use yet. A warehouse or a finance system is a target
    /// where something is sent to it, and a channel where it says something.
    pub onboarding: Vec<OnboardingMeasures>,
}

/// Order cycle times of a node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeMeasures {
    /// The node, as the first `shipment.confirmed` that counted names it. 64 nodes are told apart;
    /// those beyond are `other`.
    pub node: String,
    /// From receipt of an order to receipt of that `shipment.confirmed`, of the orders of the cohort
    /// that left from there.
    pub to_shipment: Times,
    /// From receipt of an order to receipt of the last event that settled it, of those of them that
    /// are settled now.
    pub to_settlement: Times,
}

/// How changes went.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeMeasures {
    /// Versions of the configuration that became active in the window, whatever they changed.
    pub versions: u64,
    /// Components that a plugin got in the window, or that were called again after they had not
    /// been. Those of the first configuration of all are none.
    pub activations: u64,
    /// Those of `activations` that were undone until now, before another one took their place:
    /// rolled back, disabled, taken out, or not trusted any more.
    pub undone: u64,
    /// Change success: `activations` without the `undone` among all, basis points.
    pub success_bp: Option<u64>,
    /// Rollbacks of a plugin in the window.
    pub rollbacks: u64,
    /// Rollback frequency: `rollbacks` among `versions`, basis points.
    pub rollback_bp: Option<u64>,
    /// How often a plugin was disabled or taken out in the window.
    pub disabled: u64,
    /// How often all plugins were stopped at once in the window.
    pub halts: u64,
}

/// How well two systems agreed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconciliationMeasures {
    /// Its name.
    pub reconciliation: String,
    /// Of what: `stock`, …
    pub of: String,
    /// Runs in the window that did more than look.
    pub runs: u64,
    /// Those of `runs` in which a list was not whole, so that nothing was compared.
    pub not_compared: u64,
    /// What people began to hear of in them: a difference, a list that is not whole, or how many
    /// differences are not told one by one.
    pub opened: u64,
    /// What was gone again in them.
    pub closed: u64,
    /// When the last of them was that compared; the following are of that one.
    pub compared_at: Option<String>,
    /// Keys that were compared.
    pub compared: u64,
    /// Those of `compared` that both systems say the same of.
    pub agreeing: u64,
    /// Keys that differ and changed too lately to be judged.
    pub unsettled: u64,
    /// Keys that differ.
    pub differences: u64,
    /// Accuracy: `agreeing` among `compared`, basis points.
    pub accuracy_bp: Option<u64>,
}

/// How long it took until a channel or a target was in use.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnboardingMeasures {
    /// `channel` or `target`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// When the first configuration with it became active; of what was configured and not in use
    /// before its folder noted such times, the first that became active since.
    pub configured_at: String,
    /// When a channel's first input with documents was received, or the host knew that a target has
    /// its first delivery; none where that is still to come.
    pub used_at: Option<String>,
    /// Between both, milliseconds.
    pub took_ms: Option<i64>,
}

/// Order cycle times of a channel.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMeasures {
    /// The channel.
    pub channel: String,
    /// Orders of the cohort that came by it.
    pub orders: u64,
    /// From receipt of an order to receipt of the first `shipment.confirmed` that counted, of those
    /// that have one.
    pub to_shipment: Times,
    /// From receipt of an order to receipt of the last event that settled it, of those that are
    /// settled now.
    pub to_settlement: Times,
}

/// What went wrong for one reason.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CauseMeasures {
    /// The stage that opened the exceptions. 256 causes are told apart; those beyond are `other`.
    pub stage: String,
    /// The root cause, by its code.
    pub code: String,
    /// Exceptions of it about the cohort's orders, open and closed.
    pub exceptions: u64,
    /// Orders of the cohort that had one.
    pub orders: u64,
    /// Exception rate: those orders among the cohort, basis points.
    pub rate_bp: Option<u64>,
}

/// What a target made of the deliveries of the cohort's orders.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetMeasures {
    /// The target.
    pub target: String,
    /// Deliveries that were made for it.
    pub deliveries: u64,
    /// Those that it has.
    pub delivered: u64,
    /// Attempts that began.
    pub attempts: u64,
    /// Attempts after which it did not have the delivery, with one that is under way or in doubt
    /// now. One that it turned out to have all the same did not fail.
    pub failed_attempts: u64,
    /// API failure rate: `failedAttempts` among `attempts`, basis points.
    pub failure_bp: Option<u64>,
    /// Retry volume: attempts after the first of a delivery.
    pub retries: u64,
    /// Deliveries with more than one attempt.
    pub retried: u64,
    /// Deliveries that the host gave up and asked a person about, whatever became of them.
    pub given_up: u64,
    /// Message latency: from when a delivery was taken up first until the host knew that the target
    /// has it, of those that it has and that no person had tried again. How long one waited before
    /// is not in it.
    pub latency: Times,
}

/// How often people took a model's advice.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdviceMeasures {
    /// The scorer.
    pub plugin: String,
    /// Digest of its component.
    pub component: String,
    /// Its holds (and routes) on which a person's last decision in the window was to keep them, or
    /// to reject the order.
    pub accepted: u64,
    /// Its holds that a person ended.
    pub overridden: u64,
    /// Acceptance rate: `accepted` among both, basis points.
    pub acceptance_bp: Option<u64>,
    /// Override rate: `overridden` among both, basis points.
    pub override_bp: Option<u64>,
}

impl Measures {
    /// As it is told.
    #[must_use]
    pub fn of(found: measure::Measures, models: Vec<ModelOversight>) -> Self {
        let exceptions = found.causes.iter().map(|((stage, code), cause)| CauseMeasures {
            stage: stage.clone(),
            code: code.clone(),
            exceptions: cause.exceptions,
            orders: cause.orders,
            rate_bp: found.cause_bp(cause),
        });
        let channels = found.channels.iter().map(|(channel, measured)| ChannelMeasures {
            channel: channel.clone(),
            orders: measured.orders,
            to_shipment: measured.to_shipment.into(),
            to_settlement: measured.to_settlement.into(),
        });
        Self {
            from: found.period.from.to_string(),
            until: found.period.until.to_string(),
            orders: found.orders,
            channels: channels.collect(),
            nodes: found.nodes.iter().map(NodeMeasures::of).collect(),
            shipped_without_node: found.shipped_without_node,
            invoice_latency: found.invoice_latency.into(),
            close_cycle: found.close_cycle.into(),
            touches: found.touches,
            touched_orders: found.touched_orders,
            touches_per_hundred_orders: found.touches_per_hundred_orders(),
            returns: found.returns,
            return_touches: found.return_touches,
            touches_per_hundred_returns: found.touches_per_hundred_returns(),
            exceptions: exceptions.collect(),
            shipped: found.shipped,
            shipment_exceptions: found.shipment_exceptions,
            shipment_exception_bp: found.shipment_exception_bp(),
            fulfilled: found.fulfilled,
            fulfilled_accurately: found.fulfilled_accurately,
            accuracy_bp: found.accuracy_bp(),
            targets: found.targets.into_iter().map(TargetMeasures::of).collect(),
            models: models.into_iter().filter_map(AdviceMeasures::of).collect(),
            changes: ChangeMeasures::of(found.operations.changes),
            difference_touches: found.operations.difference_touches,
            touches_per_hundred_opened: found.operations.touches_per_hundred_opened(),
            onboarding: found.operations.onboarding.iter().map(OnboardingMeasures::of).collect(),
            reconciliations: found.operations.reconciliations.into_iter().map(ReconciliationMeasures::of).collect(),
        }
    }
}

impl NodeMeasures {
    fn of((node, measured): (&String, &measure::NodeMeasures)) -> Self {
        Self {
            node: node.clone(),
            to_shipment: measured.to_shipment.into(),
            to_settlement: measured.to_settlement.into(),
        }
    }
}

impl ChangeMeasures {
    fn of(measured: operations::ChangeMeasures) -> Self {
        Self {
            success_bp: measured.success_bp(),
            rollback_bp: measured.rollback_bp(),
            versions: measured.versions,
            activations: measured.activations,
            undone: measured.undone,
            rollbacks: measured.rollbacks,
            disabled: measured.disabled,
            halts: measured.halts,
        }
    }
}

impl ReconciliationMeasures {
    fn of((reconciliation, measured): (String, operations::ReconciliationMeasures)) -> Self {
        let operations::ReconciliationMeasures { of, runs, not_compared, opened, closed, last } = measured;
        let figure = |of: fn(operations::LastComparison) -> u64| last.map_or(0, of);
        Self {
            compared_at: last.map(|last| last.at.to_string()),
            compared: figure(|last| last.compared),
            agreeing: figure(|last| last.agreeing),
            unsettled: figure(|last| last.unsettled),
            differences: figure(|last| last.differences),
            accuracy_bp: last.and_then(|last| last.accuracy_bp()),
            reconciliation,
            of,
            runs,
            not_compared,
            opened,
            closed,
        }
    }
}

impl OnboardingMeasures {
    fn of(measured: &operations::Onboarding) -> Self {
        Self {
            kind: measured.part.kind.as_str().to_owned(),
            name: measured.part.id.clone(),
            configured_at: measured.configured_at.to_string(),
            used_at: measured.used_at.map(|at| at.to_string()),
            took_ms: measured.took_ms(),
        }
    }
}

impl TargetMeasures {
    fn of((target, measured): (String, measure::TargetMeasures)) -> Self {
        Self {
            target,
            failure_bp: measured.failure_bp(),
            deliveries: measured.deliveries,
            delivered: measured.delivered,
            attempts: measured.attempts,
            failed_attempts: measured.failed_attempts,
            retries: measured.retries,
            retried: measured.retried,
            given_up: measured.given_up,
            latency: measured.latency.into(),
        }
    }
}

impl AdviceMeasures {
    /// None where nobody decided about any.
    fn of(model: ModelOversight) -> Option<Self> {
        let (accepted, overridden) = (model.accepted(), model.overridden);
        (accepted > 0 || overridden > 0).then(|| Self {
            acceptance_bp: model.acceptance_bp(),
            override_bp: model.override_bp(),
            component: model.component.to_string(),
            plugin: model.plugin,
            accepted,
            overridden,
        })
    }
}

/// The measures that leaders ask for.
#[utoipa::path(
    get, path = "/v1/measures", tag = "operators", params(Window),
    responses(
        (status = 200, description = "Cycle times, touches, exceptions, shipments, targets, advice, changes, reconciliations and onboarding", body = Measures),
        (status = 400, description = "No such window", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    window: Result<Query<Window>, QueryRejection>,
) -> Result<Json<Measures>, Problem> {
    let Query(window) = window?;
    let pipeline = &door.front.pipeline;
    let hours = hours(window.hours).map_err(Problem::bad_request)?;
    let until = window.until.as_deref().map(until).transpose().map_err(Problem::bad_request)?;
    let until = until.unwrap_or_else(|| pipeline.clock.now());
    let measured = pipeline.measures(hours, Some(until)).await?;
    let oversight::Oversight { models, .. } = pipeline.oversight(hours, Some(until)).await?;
    Ok(Json(Measures::of(measured, models)))
}
