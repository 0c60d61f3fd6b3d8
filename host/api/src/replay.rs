//! What a target took and lost, sent again from history: shown first, then done as it was shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use portreeve_model::{ChannelId, Digest, Instant};
use portreeve_pipeline::Pipeline;
use portreeve_pipeline::replay::{LeftOut, REPLAYED_MAX, Replay, ReplayError, ReplayWanted, Replayed};
use portreeve_store::StoreError;
use portreeve_store::contract::{Delivered, ReplayView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::access::Person;
use crate::operator::{next_page, page_rows, rows, to_its_end};
use crate::package::no_json;
use crate::problem::Problem;

/// What whoever asked hears when the host ends in the middle.
const CUT_SHORT: &str = "look at `GET /v1/replays` before trying again";

/// Which deliveries would be sent again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReplayRange {
    /// The target that took them.
    pub target: String,
    /// The channel that the orders came by; any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The kind of message; any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The target took them from then on, in RFC 3339.
    pub from: String,
    /// And before then, in RFC 3339: not in the time to come.
    pub until: String,
    /// Whether orders go as well of which goods have left: to a target that only writes down.
    #[serde(default)]
    pub shipped: bool,
    /// At most so many, those first that were decided first, and at most 500.
    pub most: u32,
}

/// What would be sent again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayPlan {
    /// What would go, in the order in which it was decided.
    pub deliveries: Vec<ReplayDelivery>,
    /// Whether there is more than goes at once; what comes after these was not looked at.
    pub more: bool,
    /// What would not go, at most 500 of it.
    pub left_out: Vec<LeftOutDelivery>,
    /// How much would not go.
    pub left_out_count: u64,
    /// The digest of what would go: whoever has it sent again names it.
    pub shown: String,
}

/// A delivery that its target took.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayDelivery {
    /// The delivery.
    pub outbox: String,
    /// The host's id of the order.
    pub order: String,
    /// The sender's number of the order.
    pub order_number: String,
    /// The channel that the order came by.
    pub channel: String,
    /// The target.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// The event that it tells, where it is not the order as it came.
    pub event: Option<String>,
    /// What the target called it when it took it.
    pub receipt: Option<String>,
    /// When the target took it.
    pub taken_at: String,
    /// Attempts so far.
    pub attempts: u32,
    /// How often people had it sent again.
    pub replays: u32,
    /// Where the order is by now; none where no event moved it.
    pub process: Option<String>,
}

/// A delivery that would not be sent again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOutDelivery {
    /// Which.
    pub delivery: ReplayDelivery,
    /// Stable code of why not: `erased`, `cancelled`, `not-released`, `goods-left`, `refund`,
    /// `blocked`, `overtaken`, `rejected` or `replays-spent`.
    pub code: String,
    /// One sentence.
    pub why: String,
}

/// What is sent again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Which deliveries.
    pub range: ReplayRange,
    /// The digest of what was shown.
    pub shown: String,
    /// Why: 1 to 1000 bytes.
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayOutcome {
    /// The replay.
    pub replay: ReplayRow,
    /// Whether it was on record before: nothing was done now.
    pub before: bool,
}

/// A replay that is on record.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayRow {
    /// Its number.
    pub number: u64,
    /// The digest of what was shown.
    pub shown: String,
    /// The target.
    pub target: String,
    /// The channel that the orders came by; any without it.
    pub channel: Option<String>,
    /// The kind of message; any without it.
    pub kind: Option<String>,
    /// The target had taken them from then on.
    pub from: String,
    /// And before then.
    pub until: String,
    /// When it was decided.
    pub at: String,
    /// Who decided.
    pub who: String,
    /// Why; none where that was removed.
    pub reason: Option<String>,
    /// How many deliveries it is of.
    pub deliveries: u64,
    /// Those of them that are done by now: the target has them.
    pub done: u64,
    /// Those that wait for a person.
    pub dead: u64,
}

/// A page of replays.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replays {
    /// Oldest first.
    pub replays: Vec<ReplayRow>,
    /// The `after` of the next page; none on the last one.
    pub next: Option<u64>,
}

/// Which replays.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplayPage {
    /// Only those with a higher number.
    #[serde(default)]
    after: u64,
    /// At most so many, and at most 500.
    #[serde(default = "page_rows")]
    limit: u32,
}

/// A range that was read.
#[derive(Debug)]
pub struct Wanted<'a> {
    target: &'a str,
    channel: Option<ChannelId>,
    kind: Option<&'a str>,
    since: Instant,
    until: Instant,
    shipped: bool,
    most: u32,
}

impl ReplayRange {
    /// What is wanted; what is wrong with it, in a sentence.
    ///
    /// # Errors
    /// When a time, the channel or the number is none.
    pub fn read(&self) -> Result<Wanted<'_>, String> {
        let time = |name: &str, text: &str| {
            let found = || text.escape_debug().take(40).collect::<String>();
            let expected = "expected a time such as 2026-03-02T18:00:00Z";
            Instant::parse(text).map_err(|_| format!("found `{}` as `{name}`, {expected}", found()))
        };
        if !(1..=REPLAYED_MAX).contains(&self.most) {
            return Err(format!(
                "found {} as the most that are sent again together, expected 1 to {REPLAYED_MAX}",
                self.most
            ));
        }
        let channel = self.channel.as_deref().map(ChannelId::parse).transpose();
        Ok(Wanted {
            target: &self.target,
            channel: channel.map_err(|error| format!("`channel`: {error}"))?,
            kind: self.kind.as_deref(),
            since: time("from", &self.from)?,
            until: time("until", &self.until)?,
            shipped: self.shipped,
            most: self.most,
        })
    }
}

impl Wanted<'_> {
    /// As the pipeline is asked.
    #[must_use]
    pub fn of_pipeline(&self) -> ReplayWanted<'_> {
        ReplayWanted {
            target: self.target,
            channel: self.channel.as_ref(),
            kind: self.kind,
            since: self.since,
            until: self.until,
            shipped: self.shipped,
            most: self.most,
        }
    }
}

impl ReplayPlan {
    /// As people read it.
    #[must_use]
    pub fn of(replay: Replay) -> Self {
        let Replay { deliveries, more, left_out, left_out_count, digest } = replay;
        Self {
            deliveries: deliveries.into_iter().map(ReplayDelivery::of).collect(),
            more,
            left_out: left_out.into_iter().map(|(delivery, why)| LeftOutDelivery::of(delivery, why)).collect(),
            left_out_count,
            shown: digest.to_string(),
        }
    }
}

impl ReplayDelivery {
    fn of(delivery: Delivered) -> Self {
        Self {
            outbox: delivery.outbox.0,
            order: delivery.order.to_string(),
            order_number: delivery.number,
            channel: delivery.channel.to_string(),
            target: delivery.target,
            kind: delivery.kind,
            event: delivery.said.map(|kind| kind.as_str().to_owned()),
            receipt: delivery.external_id,
            taken_at: delivery.taken_at.to_string(),
            attempts: delivery.attempts,
            replays: delivery.replays,
            process: delivery.process.map(|state| state.as_str().to_owned()),
        }
    }
}

impl LeftOutDelivery {
    fn of(delivery: Delivered, why: LeftOut) -> Self {
        let (code, sentence) = (why.as_str().to_owned(), why.why().to_owned());
        Self { delivery: ReplayDelivery::of(delivery), code, why: sentence }
    }
}

impl ReplayOutcome {
    /// As people read it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of(pipeline: &Pipeline, replayed: Replayed) -> Result<Self, ReplayError> {
        let Replayed { replay, before } = replayed;
        Ok(Self { replay: ReplayRow::of(pipeline, replay).await?, before })
    }
}

impl ReplayRow {
    /// As people read it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of(pipeline: &Pipeline, replay: ReplayView) -> Result<Self, ReplayError> {
        let reason = pipeline.reason_of(replay.record).await?;
        Ok(Self {
            number: replay.number,
            shown: replay.digest.to_string(),
            target: replay.target,
            channel: replay.channel.map(|channel| channel.to_string()),
            kind: replay.kind,
            from: replay.since.to_string(),
            until: replay.until.to_string(),
            at: replay.at.to_string(),
            who: replay.who,
            reason,
            deliveries: replay.deliveries,
            done: replay.done,
            dead: replay.dead,
        })
    }
}

impl ReplayRequest {
    /// The digest of what was shown; what is wrong with it, in a sentence.
    ///
    /// # Errors
    /// When it is none.
    pub fn shown(&self) -> Result<Digest, String> {
        Digest::parse(&self.shown).map_err(|error| format!("`shown`: {error}"))
    }
}

/// Lists replays, with what became of their deliveries.
#[utoipa::path(
    get, path = "/v1/replays", tag = "operators",
    operation_id = "list_replays",
    params(ReplayPage),
    responses(
        (status = 200, description = "A page", body = Replays),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    page: Result<Query<ReplayPage>, QueryRejection>,
) -> Result<Json<Replays>, Problem> {
    let Query(page) = page?;
    let limit = rows(page.limit)?;
    let pipeline = &door.front.pipeline;
    let found = pipeline.store.replays(page.after, limit).await?;
    let next = next_page(&found, limit, |replay| replay.number);
    let mut replays = Vec::with_capacity(found.len());
    for replay in found {
        replays.push(ReplayRow::of(pipeline, replay).await.map_err(refusal)?);
    }
    Ok(Json(Replays { replays, next }))
}

/// Shows what a target took in a time and would be sent again, and what not and why. Writes
/// nothing. Goes through the whole outbox.
#[utoipa::path(
    get, path = "/v1/replays/dry-run", tag = "operators",
    operation_id = "show_replay",
    params(ReplayRange),
    responses(
        (status = 200, description = "What would go", body = ReplayPlan),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 404, description = "No such target", body = Problem),
        (status = 409, description = "Nothing can be sent again to this target", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn dry_run(
    State(door): State<Arc<Door>>,
    asked: Result<Query<ReplayRange>, QueryRejection>,
) -> Result<Json<ReplayPlan>, Problem> {
    let Query(range) = asked?;
    let wanted = range.read().map_err(Problem::bad_request)?;
    let found = door.front.pipeline.show_replay(wanted.of_pipeline()).await.map_err(refusal)?;
    Ok(Json(ReplayPlan::of(found)))
}

/// Has exactly what was shown sent again: each delivery under its own key, after its target was
/// asked. The same digest once more does nothing, and says so.
#[utoipa::path(
    post, path = "/v1/replays", tag = "operators",
    operation_id = "replay",
    request_body = ReplayRequest,
    responses(
        (status = 200, description = "All of it is due again, or was before", body = ReplayOutcome),
        (status = 400, description = "Something is missing, or is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "No role that operates", body = Problem),
        (status = 404, description = "No such target", body = Problem),
        (status = 409, description = "Others than those that were shown would go, or none can", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn replay(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    request: Result<Json<ReplayRequest>, JsonRejection>,
) -> Result<Json<ReplayOutcome>, Problem> {
    let Json(request) = request.map_err(no_json)?;
    let done = async move {
        let (wanted, shown) = (request.range.read(), request.shown());
        let (wanted, shown) = (wanted.map_err(Problem::bad_request)?, shown.map_err(Problem::bad_request)?);
        let pipeline = &door.front.pipeline;
        let replayed = pipeline.replay(&who, wanted.of_pipeline(), shown, &request.reason).await;
        door.wake();
        ReplayOutcome::of(pipeline, replayed.map_err(refusal)?).await.map_err(refusal)
    };
    Ok(Json(to_its_end(done, CUT_SHORT).await??))
}

/// What a person hears who could not do something.
fn refusal(error: ReplayError) -> Problem {
    let said = error.to_string();
    let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title, said.clone());
    match error {
        ReplayError::Denied(_) => Problem::forbidden(said),
        ReplayError::NoTarget { .. } => Problem::not_found(said),
        ReplayError::Range { .. } | ReplayError::Words { .. } => Problem::bad_request(said),
        ReplayError::CannotBeAsked { .. } => conflict("not-possible", "Not possible here"),
        ReplayError::Nothing { .. } => conflict("nothing", "There is nothing to send again"),
        ReplayError::Stale { .. } | ReplayError::Store(StoreError::DeliveryMoved { .. }) => {
            conflict("stale", "It changed since it was shown")
        }
        ReplayError::Store(StoreError::ReplaysSpent { .. }) => conflict("replays-spent", "Replayed too often"),
        ReplayError::Store(error) => error.into(),
        ReplayError::Record(_) | ReplayError::Seal(_) => {
            Problem::internal(&said, "the replay could not be put on record; look at the host's log")
        }
    }
}
