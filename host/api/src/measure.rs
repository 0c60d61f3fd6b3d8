//! The measures that leaders ask for, each with what it counts of what.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use portreeve_pipeline::measure;
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
        (status = 200, description = "Cycle times, touches, exceptions, shipments, targets and advice", body = Measures),
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
