//! How models and people get on with each other: for those who answer for models, for queues
//! and for the people in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use portreeve_model::Instant;
use portreeve_pipeline::oversight::{self, HOURS_MAX, ModelOversight, PersonOversight, QueueOversight};
use portreeve_pipeline::usage::InUse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::authority::Grant;
use crate::problem::Problem;

/// Hours that a look goes back where nobody says how many.
pub const HOURS_UNSAID: u16 = 24;

/// How far to look back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Back {
    /// Whole hours (UTC), this one with them: 1 to 744, and 24 where it is not said.
    hours: Option<u16>,
    /// Until when, in RFC 3339; until now where it is not said. Budgets are as of now.
    until: Option<String>,
}

/// How models and people got on with each other. Every figure can be counted again from the
/// audit log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Oversight {
    /// From when on: the beginning of an hour.
    pub from: String,
    /// Until when.
    pub until: String,
    /// Each component that proposed something, or about whose holds somebody decided.
    pub models: Vec<Model>,
    /// Grants, and how much of their budgets is used up now, in the order of the file.
    pub grants: Vec<Grant>,
    /// Each queue in which something happened.
    pub queues: Vec<Queue>,
    /// Each person who decided something, by queue.
    pub people: Vec<Person>,
}

/// What became of what a component asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The scorer.
    pub plugin: String,
    /// Digest of its component.
    pub component: String,
    /// What authority made of its proposals.
    pub proposals: Vec<Proposals>,
    /// Its holds (and routes) about which a person decided last to keep them, or to reject the
    /// order: the person agreed.
    pub accepted: u64,
    /// Of those: on orders that were rejected.
    pub rejected: u64,
    /// Its holds that a person ended: the person did what the model did not want.
    pub overridden: u64,
    /// Accepted among accepted and overridden, basis points; none where nobody decided. What the
    /// host or the sender ended, and what nobody decided, is in neither.
    pub acceptance_bp: Option<u64>,
    /// Overridden among accepted and overridden, basis points; none where nobody decided.
    pub override_bp: Option<u64>,
    /// From a hold's beginning to the last decision about it.
    pub time_to_decide: Times,
}

/// Proposals of a kind that met with the same.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposals {
    /// `hold`, `route`, `recommend`, or `unknown`.
    pub proposed: String,
    /// `granted`, `narrowed` or `refused`.
    pub outcome: String,
    /// The first clause of the grant that was not met, or the code where no clause was to be
    /// met; none where it was granted.
    pub clause: Option<String>,
    /// How many, when their orders were decided.
    pub count: u64,
}

/// How soon a queue's people work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// The queue.
    pub queue: String,
    /// From an exception's opening until somebody had it for the first time.
    pub time_to_claim: Times,
    /// From an exception's opening until a decision about it took effect.
    pub time_to_decide: Times,
    /// Decisions that took effect, by what was decided.
    pub decisions: BTreeMap<String, u64>,
    /// Exceptions that were due before anybody had decided.
    pub undecided_when_due: u64,
    /// Proposals on which nobody agreed or refused in time.
    pub proposals_expired: u64,
}

/// How long a person looks before deciding, beside the others of the queue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// The account.
    pub who: String,
    /// The queue.
    pub queue: String,
    /// What was proposed, agreed to or decided, and for how long at most this person can have
    /// looked at it: since it was opened, proposed or claimed, or since the own decision before.
    pub looked: Times,
    /// The same of everybody else in the queue.
    pub peers: Times,
    /// Whether the person's median is below a quarter of the peers', with ten decisions of each
    /// at least: somebody should ask whether this person looks.
    pub rubber_stamp: bool,
}

/// Durations.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// Of how many cases.
    pub count: u64,
    /// The smallest that half of them do not exceed, milliseconds; none of no case.
    pub median_ms: Option<i64>,
    /// The smallest that nine of ten do not exceed, milliseconds; none of no case.
    pub p90_ms: Option<i64>,
}

impl Oversight {
    /// As it is told.
    #[must_use]
    pub fn of(oversight: oversight::Oversight, in_use: InUse<'_>) -> Self {
        let oversight::Oversight { period, models, queues, people } = oversight;
        Self {
            from: period.from.to_string(),
            until: period.until.to_string(),
            models: models.into_iter().map(Model::of).collect(),
            grants: in_use.grants.into_iter().map(Grant::of).collect(),
            queues: queues.into_iter().map(Queue::of).collect(),
            people: people.into_iter().map(Person::of).collect(),
        }
    }
}

impl Model {
    fn of(model: ModelOversight) -> Self {
        let (accepted, acceptance_bp, override_bp) = (model.accepted(), model.acceptance_bp(), model.override_bp());
        let proposals = model.proposals.into_iter().map(|(weighed, count)| Proposals {
            proposed: weighed.proposed,
            outcome: weighed.outcome,
            clause: Some(weighed.clause).filter(|clause| !clause.is_empty()),
            count,
        });
        Self {
            plugin: model.plugin,
            component: model.component.to_string(),
            proposals: proposals.collect(),
            accepted,
            rejected: model.rejected,
            overridden: model.overridden,
            acceptance_bp,
            override_bp,
            time_to_decide: model.decided.into(),
        }
    }
}

impl Queue {
    fn of(queue: QueueOversight) -> Self {
        Self {
            queue: queue.queue,
            time_to_claim: queue.claimed.into(),
            time_to_decide: queue.decided.into(),
            decisions: queue.decisions,
            undecided_when_due: queue.escalated,
            proposals_expired: queue.expired,
        }
    }
}

impl Person {
    fn of(person: PersonOversight) -> Self {
        let rubber_stamp = person.is_rubber_stamp();
        let PersonOversight { who, queue, looked, peers } = person;
        Self { who, queue, looked: looked.into(), peers: peers.into(), rubber_stamp }
    }
}

impl From<oversight::Times> for Times {
    fn from(times: oversight::Times) -> Self {
        let told = |ms| (times.count > 0).then_some(ms);
        Self { count: times.count, median_ms: told(times.median_ms), p90_ms: told(times.p90_ms) }
    }
}

/// Checks how far back a look goes.
///
/// # Errors
/// One sentence that says what is expected.
pub fn hours(asked: Option<u16>) -> Result<u16, String> {
    match asked {
        None => Ok(HOURS_UNSAID),
        Some(hours @ 1..=HOURS_MAX) => Ok(hours),
        Some(hours) => {
            Err(format!("found {hours} hours, expected 1 to {HOURS_MAX}: ask for as many as you want to look back"))
        }
    }
}

/// Reads until when a look goes.
///
/// # Errors
/// One sentence that says what is expected.
pub fn until(text: &str) -> Result<Instant, String> {
    Instant::parse(text).map_err(|_| {
        let found: String = text.escape_debug().take(40).collect();
        format!("found `{found}`, expected a time such as 2026-03-02T18:00:00Z: say until when you want to look")
    })
}

/// How models and people got on with each other.
#[utoipa::path(
    get, path = "/v1/oversight", tag = "operators", params(Back),
    responses(
        (status = 200, description = "Models, budgets, queues and people", body = Oversight),
        (status = 400, description = "No such number of hours", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    back: Result<Query<Back>, QueryRejection>,
) -> Result<Json<Oversight>, Problem> {
    let Query(back) = back?;
    let pipeline = &door.front.pipeline;
    let hours = hours(back.hours).map_err(Problem::bad_request)?;
    let until = back.until.as_deref().map(until).transpose().map_err(Problem::bad_request)?;
    let (oversight, in_use) = (pipeline.oversight(hours, until).await?, pipeline.in_use().await?);
    Ok(Json(Oversight::of(oversight, in_use)))
}
