//! What waits for a person: lists, one exception with its evidence, and what somebody does
//! about it. Each act names what was shown (`shown`) or what was proposed (`proposal`), so it
//! is about that and nothing else.

pub mod together;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use portreeve_authority::people::People;
use portreeve_model::{ChannelId, Digest, ExceptionAction, ExceptionKind, SenderId};
use portreeve_pipeline::deliver::Made;
use portreeve_pipeline::exception::{Correction, Decision, ExceptionError, Outcome, Shown, Work};
use portreeve_pipeline::review::{ReviewError, Reviewed};
use portreeve_pipeline::{Pipeline, Routes, SignedIn};
use portreeve_store::contract::{ExceptionView, ExceptionsWanted, HoldView, ProposalView, StepView};
use portreeve_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::access::Person;
use crate::operator::{next_page, page_rows, rows, to_its_end};
use crate::package::no_json;
use crate::problem::Problem;

/// A page of exceptions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Exceptions {
    /// Oldest first.
    pub exceptions: Vec<Exception>,
    /// The `after` of the next page; none on the last one.
    pub next: Option<u64>,
}

/// Characters of a sentence that a list shows; an exception's own page tells all of it.
const LISTED_CHARS_MAX: usize = 400;

/// Something that waits for a person, or waited.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exception {
    /// From 1.
    pub id: u64,
    /// `held`, `order`, `change`, `document`, `input`, `delivery`, `plugin`, `poll` or `difference`.
    pub kind: String,
    /// The host's id of the order, where there is one.
    pub order: Option<String>,
    /// The sender's number of the order.
    pub order_number: Option<String>,
    /// The stage that it arose in.
    pub stage: String,
    /// Stable code.
    pub code: String,
    /// One sentence.
    pub detail: String,
    /// Who works on it.
    pub queue: String,
    /// Whose matter it is on its route; none where nobody is named.
    pub route_owner: Option<RouteOwner>,
    /// Since when.
    pub opened_at: String,
    /// By when it is to be decided.
    pub due_at: Option<String>,
    /// When others were told, since nobody had decided.
    pub escalated_at: Option<String>,
    /// The account that works on it.
    pub claimed_by: Option<String>,
    /// Since when.
    pub claimed_at: Option<String>,
    /// When it ended.
    pub closed_at: Option<String>,
    /// The account that decided.
    pub closed_by: Option<String>,
    /// The action, or `cleared`.
    pub closed_how: Option<String>,
}

/// Who answers for a part of a route. He need not be the one who works on it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RouteOwner {
    /// `business` (policy and outcome), `systems` (what a system did not take or does not answer) or
    /// `integration` (what cannot be read, and plugins).
    pub part: String,
    /// A person or a team.
    pub name: String,
}

/// An exception with everything that a decision about it depends on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionStory {
    /// The exception.
    #[serde(flatten)]
    pub exception: Exception,
    /// The digest of what is shown: a decision names it.
    pub shown: String,
    /// Where it stands, in one line.
    pub standing: String,
    /// What may be decided about it as it is now; what would be refused whatever is said with it is not here.
    pub actions: Vec<String>,
    /// The order.
    pub order_facts: Option<OrderFacts>,
    /// The delivery that was given up.
    pub delivery: Option<DeliveryFacts>,
    /// The plugin that is not called.
    pub plugin: Option<PluginFacts>,
    /// The id of the input that it came in, by which `/v1/inputs/{input}/content` has its bytes.
    pub input: Option<String>,
    /// The channel that this input came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The authenticated sender of this input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Accounts that made the input what it is.
    pub makers: Vec<String>,
    /// Owners of the grants under which models asked for its holds.
    pub owners: Vec<String>,
    /// What happened to it, oldest first, the latest 200.
    pub steps: Vec<Step>,
    /// What people corrected already in the message of the delivery. A further correction takes the
    /// place of all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrected: Vec<CorrectionFacts>,
    /// What somebody proposed, and others have to agree to.
    pub proposal: Option<Proposal>,
}

/// An order, as a decision about it depends on it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderFacts {
    /// The sender's number.
    pub number: String,
    /// The channel.
    pub channel: String,
    /// Where it stands.
    pub state: String,
    /// One line: why.
    pub why: String,
    /// What it is worth, for example `982.69 USD`.
    pub value: String,
    /// Whether its sender wants it cancelled.
    pub cancel_requested: bool,
    /// Whether its sender sent other content since.
    pub changed: bool,
    /// What keeps it back.
    pub holds: Vec<HoldFacts>,
}

/// A hold that is open.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldFacts {
    /// Its number, by which a release names it.
    pub number: u64,
    /// `policy`, `advice`, `route` or `spent-budget`.
    pub owner: String,
    /// The scorer.
    pub plugin: Option<String>,
    /// The rule's code, or the scorer's word.
    pub reason: String,
    /// Whose work it is.
    pub queue: String,
    /// The lines; empty means the whole order.
    pub lines: Vec<String>,
    /// Since when.
    pub opened_at: String,
    /// Until when somebody was to look at it.
    pub expires_at: String,
}

/// A delivery.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryFacts {
    /// The target system.
    pub target: String,
    /// Where it stands.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// How often people had it tried again.
    pub replays: u32,
}

/// A plugin that is not called for a while, or not for somebody.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginFacts {
    /// The plugin.
    pub plugin: String,
    /// Digest of its component.
    pub component: String,
    /// Of which export and for whom; none where it is all calls.
    pub cause: Option<String>,
    /// Stable code of how the last call failed.
    pub failure: String,
    /// Pauses in a row: each but the first after a call that was tried in vain.
    pub pauses: u32,
    /// Until when the last one lasts, or lasted.
    pub until: String,
}

/// A step of an exception.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When.
    pub at: String,
    /// The account; none where it was the host.
    pub who: Option<String>,
    /// What: `claimed`, `commented`, `proposed`, …
    pub step: String,
    /// An account or a queue, where a step is addressed to one.
    pub to: Option<String>,
    /// The person's words; none where there are none, or were removed.
    pub words: Option<String>,
}

/// What somebody proposed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// The digest of the exact action: an approval names it.
    pub digest: String,
    /// What.
    pub action: String,
    /// The holds that are to end.
    pub holds: Vec<String>,
    /// The exceptions whose holds are to end together, all of them, by number; empty where it is
    /// about this one alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<String>,
    /// What is to stand in the message in the place of what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<CorrectionFacts>,
    /// Whose work it is to be.
    pub queue: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who proposed it.
    pub by: String,
    /// When.
    pub at: String,
    /// Until when it can be approved.
    pub expires_at: String,
    /// How many others have to agree.
    pub approvals_needed: u8,
    /// Who did.
    pub approved_by: Vec<String>,
}

/// Other words at one place of a message.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CorrectionFacts {
    /// The place: a JSON pointer, or of a message that is no JSON a line, such as `line 9`.
    pub at: String,
    /// What stands there.
    pub was: String,
    /// What is to stand there.
    pub is: String,
}

/// What somebody decides.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRequest {
    /// The digest of what was shown.
    pub shown: String,
    /// One of the exception's `actions`.
    pub action: String,
    /// Why: 1 to 1000 bytes.
    pub reason: String,
    /// With `release-holds`: the holds that end, by number.
    #[serde(default)]
    pub holds: Vec<u64>,
    /// With `reroute`: whose work it is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// With `resubmit`: the bytes that take the place of the input's, hexadecimal. With `correct`:
    /// a JSON list of `{"at", "was", "is"}`, the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_hex: Option<String>,
}

/// What came of a decision or an approval.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionOutcome {
    /// The exception.
    pub exception: u64,
    /// Whether it was carried out; else others have to agree first.
    pub done: bool,
    /// The digest that they name.
    pub proposal: Option<String>,
    /// Until when.
    pub expires_at: Option<String>,
    /// How many more.
    pub approvals_missing: u8,
    /// Where the order stands, where holds of it ended.
    pub order: Option<Released>,
    /// Where each of them stands, where those of several ended together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Released>,
}

/// What became of an order of which holds ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Released {
    /// The host's id of the order.
    pub order: String,
    /// The sender's number of the order.
    pub number: String,
    /// Where it stands now: `released`, `held`, `routed` or `exception`.
    pub state: String,
    /// One line: why.
    pub why: String,
    /// The holds that ended, by number.
    pub closed: Vec<u64>,
    /// Codes of what keeps it back from now on.
    pub opened: Vec<String>,
}

/// Which proposal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposalRequest {
    /// Its digest.
    pub proposal: String,
}

/// To whom.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignRequest {
    /// The account.
    pub to: String,
}

/// What somebody says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentRequest {
    /// 1 to 1000 bytes.
    pub words: String,
}

/// Which exceptions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExceptionPage {
    /// Only those of this queue.
    queue: Option<String>,
    /// Only those of this kind: `held`, `order`, `change`, `document`, `input`, `delivery`, `plugin`,
    /// `poll` or `difference`.
    kind: Option<String>,
    /// Only those with a higher id.
    #[serde(default)]
    after: u64,
    /// At most so many, and at most 500.
    #[serde(default = "page_rows")]
    limit: u32,
}

/// Why exceptions are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Nobody works on such a queue, and nothing waits in it.
    #[error("found `{}` as the queue, expected one of {}", clip(found), known.join(", "))]
    NoQueue {
        /// What was named.
        found: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// --- reading -------------------------------------------------------------------------------------

/// Check: each is a queue that there is, or one of an earlier configuration in which something waits
/// still. Of any other the list is empty, and reads as if there were nothing to do. Where nobody has
/// queues, as in a folder of before there were people, any may be one.
///
/// # Errors
/// See [`ListError`].
pub async fn are_queues(store: &dyn Store, people: &People, queues: &[String]) -> Result<(), ListError> {
    if people.queues().next().is_none() {
        return Ok(());
    }
    for queue in queues.iter().filter(|queue| !people.has_queue(queue)) {
        let wanted = ExceptionsWanted { queues: vec![queue.clone()], limit: 1, ..ExceptionsWanted::default() };
        if store.exceptions_wanted(wanted).await?.is_empty() {
            let known = people.queues().map(str::to_owned).collect();
            return Err(ListError::NoQueue { found: queue.clone(), known });
        }
    }
    Ok(())
}

/// The kind of this word; what is wrong with it, in a sentence.
fn kind_of(word: &str) -> Result<ExceptionKind, String> {
    let all = || ExceptionKind::ALL.map(ExceptionKind::as_str).join(", ");
    ExceptionKind::parse(word).ok_or_else(|| format!("found `{}` as the kind, expected one of {}", clip(word), all()))
}

/// As much of a sentence as a list shows.
#[must_use]
pub fn cut(sentence: &str) -> String {
    match sentence.char_indices().nth(LISTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", sentence.get(..end).unwrap_or_default()),
        None => sentence.to_owned(),
    }
}

impl Exception {
    /// As people read it, where these routes say who owns what.
    #[must_use]
    pub fn of(exception: ExceptionView, routes: &Routes) -> Self {
        let owner = routes.owner_of(&exception);
        let route_owner =
            owner.map(|owner| RouteOwner { part: owner.part.as_str().to_owned(), name: owner.name.to_owned() });
        let (claimed_by, claimed_at) = exception.claimed.unzip();
        let closed = exception.closed;
        Self {
            id: exception.id,
            kind: exception.kind.as_str().to_owned(),
            order: exception.order.map(|order| order.to_string()),
            order_number: exception.order_number,
            stage: exception.stage,
            code: exception.code,
            detail: exception.detail,
            queue: exception.queue,
            route_owner,
            opened_at: exception.opened_at.to_string(),
            due_at: exception.due_at.map(|at| at.to_string()),
            escalated_at: exception.escalated_at.map(|at| at.to_string()),
            claimed_by,
            claimed_at: claimed_at.map(|at| at.to_string()),
            closed_at: closed.as_ref().map(|closed| closed.at.to_string()),
            closed_by: closed.as_ref().and_then(|closed| closed.who.clone()),
            closed_how: closed.map(|closed| closed.how),
        }
    }
}

impl ExceptionStory {
    /// One exception with its evidence, as it is now.
    ///
    /// # Errors
    /// As [`Pipeline::show_exception`].
    pub async fn read(pipeline: &Pipeline, number: u64) -> Result<Self, ExceptionError> {
        Self::tell(pipeline, pipeline.show_exception(number).await?).await
    }

    /// The same of what was read already.
    pub(crate) async fn tell(pipeline: &Pipeline, shown: Shown) -> Result<Self, ExceptionError> {
        let mut steps = Vec::with_capacity(shown.trail.steps.len());
        for step in &shown.trail.steps {
            steps.push(Step::read(pipeline, step).await?);
        }
        let proposal = match &shown.trail.proposal {
            Some(proposal) => Some(Proposal::read(pipeline, proposal).await?),
            None => None,
        };
        let corrected = match shown.trail.about.delivery {
            Some(_) => pipeline.corrected_before(shown.trail.exception.id).await?,
            None => Vec::new(),
        };
        let came = match shown.trail.about.input {
            Some((input, _)) => pipeline.store.input_sender(input).await?,
            None => None,
        };
        let actions = pipeline.actions_of(&shown).await?;
        let exception = Exception::of(shown.trail.exception.clone(), &pipeline.routes);
        Ok(Self::of(exception, shown, &actions, came, steps, corrected, proposal))
    }

    fn of(
        exception: Exception,
        shown: Shown,
        actions: &[ExceptionAction],
        came: Option<(ChannelId, SenderId)>,
        steps: Vec<Step>,
        corrected: Vec<Correction>,
        proposal: Option<Proposal>,
    ) -> Self {
        let (channel, sender) = came.unzip();
        Self {
            standing: shown.standing(),
            shown: shown.digest.to_string(),
            actions: actions.iter().map(|action| action.as_str().to_owned()).collect(),
            order_facts: OrderFacts::of(&shown),
            delivery: shown.trail.about.delivery.as_ref().map(|delivery| DeliveryFacts {
                target: delivery.target.clone(),
                state: delivery.state.clone(),
                attempts: delivery.attempts,
                replays: delivery.replays,
            }),
            plugin: shown.trail.about.plugin.as_ref().map(|pause| PluginFacts {
                plugin: pause.plugin.to_string(),
                component: pause.component.to_string(),
                cause: pause.cause.clone(),
                failure: pause.failure.clone(),
                pauses: pause.pauses,
                until: pause.until.to_string(),
            }),
            input: shown.trail.about.input.map(|(input, _)| input.0.to_string()),
            channel: channel.map(|channel| channel.to_string()),
            sender: sender.map(|sender| sender.to_string()),
            makers: shown.trail.about.makers,
            owners: shown.owners,
            steps,
            corrected: corrected.into_iter().map(CorrectionFacts::of).collect(),
            proposal,
            exception,
        }
    }
}

impl OrderFacts {
    fn of(shown: &Shown) -> Option<Self> {
        let order = shown.order.as_ref()?;
        let holds = shown.kept.iter().flat_map(|kept| kept.open_holds());
        Some(Self {
            number: order.number.clone(),
            channel: order.channel.to_string(),
            state: order.state.as_str().to_owned(),
            why: order.why.clone(),
            value: order.value.to_string(),
            cancel_requested: shown.kept.as_ref().is_some_and(|kept| kept.cancel_requested),
            changed: shown.kept.as_ref().is_some_and(|kept| kept.changed),
            holds: holds.map(HoldFacts::of).collect(),
        })
    }
}

impl CorrectionFacts {
    fn of(Correction { at, was, is }: Correction) -> Self {
        Self { at, was, is }
    }
}

impl HoldFacts {
    fn of(hold: &HoldView) -> Self {
        Self {
            number: hold.number,
            owner: hold.owner.clone(),
            plugin: hold.plugin.clone(),
            reason: hold.reason.clone(),
            queue: hold.queue.clone(),
            lines: hold.lines.clone(),
            opened_at: hold.opened_at.to_string(),
            expires_at: hold.expires_at.to_string(),
        }
    }
}

impl Step {
    async fn read(pipeline: &Pipeline, step: &StepView) -> Result<Self, ExceptionError> {
        let said = match step.record {
            Some(record) => pipeline.said(record).await?,
            None => None,
        };
        Ok(Self {
            at: step.at.to_string(),
            who: step.who.clone(),
            step: step.step.clone(),
            to: step.to.clone(),
            words: said.map(|said| said.words),
        })
    }
}

impl Proposal {
    async fn read(pipeline: &Pipeline, proposal: &ProposalView) -> Result<Self, ExceptionError> {
        let said = pipeline.said(proposal.record).await?;
        let (reason, holds, together, queue, corrections) = match said {
            Some(said) => (Some(said.words), said.holds, said.together, said.queue, said.corrections),
            None => (None, Vec::new(), Vec::new(), None, Vec::new()),
        };
        Ok(Self {
            digest: proposal.digest.to_string(),
            action: proposal.action.as_str().to_owned(),
            holds,
            together,
            corrections: corrections.into_iter().map(CorrectionFacts::of).collect(),
            queue,
            reason,
            by: proposal.by.clone(),
            at: proposal.at.to_string(),
            expires_at: proposal.expires_at.to_string(),
            approvals_needed: proposal.approvals_needed,
            approved_by: proposal.approved_by.clone(),
        })
    }
}

impl DecisionOutcome {
    /// As people read it.
    #[must_use]
    pub fn of(exception: u64, outcome: Outcome) -> Self {
        let done = Self {
            exception,
            done: true,
            proposal: None,
            expires_at: None,
            approvals_missing: 0,
            order: None,
            orders: Vec::new(),
        };
        match outcome {
            Outcome::Done { reviewed } => Self { order: reviewed.map(Released::of), ..done },
            Outcome::Together { reviewed } => Self { orders: reviewed.into_iter().map(Released::of).collect(), ..done },
            Outcome::Waits { proposal, expires_at, approvals_missing } => Self {
                done: false,
                proposal: Some(proposal.to_string()),
                expires_at: Some(expires_at.to_string()),
                approvals_missing,
                ..done
            },
        }
    }
}

impl Released {
    fn of(reviewed: Reviewed) -> Self {
        Self {
            order: reviewed.order.to_string(),
            number: reviewed.number,
            state: reviewed.state.as_str().to_owned(),
            why: reviewed.why,
            closed: reviewed.closed,
            opened: reviewed.opened,
        }
    }
}

impl DecisionRequest {
    /// What it asks for; what is wrong with it, in a sentence.
    ///
    /// # Errors
    /// When a digest, the action or the payload is none.
    pub fn read(&self) -> Result<Asked, String> {
        let known = || ExceptionAction::ALL.map(|action| format!("`{}`", action.as_str())).join(", ");
        Ok(Asked {
            shown: Digest::parse(&self.shown).map_err(|error| format!("`shown`: {error}"))?,
            action: ExceptionAction::parse(&self.action)
                .ok_or_else(|| format!("`{}` is no action; expected one of {}", clip(&self.action), known()))?,
            payload: match &self.payload_hex {
                Some(digits) => Some(hex::decode(digits).map_err(|error| format!("`payloadHex`: {error}"))?),
                None => None,
            },
        })
    }
}

/// What of a request has to be understood first.
pub struct Asked {
    /// The digest of what was shown.
    pub shown: Digest,
    /// What to do.
    pub action: ExceptionAction,
    /// The bytes.
    pub payload: Option<Vec<u8>>,
}

impl Asked {
    /// The decision about an exception.
    #[must_use]
    pub fn decision<'a>(&'a self, exception: u64, request: &'a DecisionRequest) -> Decision<'a> {
        Decision {
            exception,
            shown: self.shown,
            action: self.action,
            reason: &request.reason,
            holds: &request.holds,
            queue: request.queue.as_deref(),
            payload: self.payload.as_deref(),
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

// --- routes --------------------------------------------------------------------------------------

/// Lists what waits for a person.
#[utoipa::path(
    get, path = "/v1/exceptions", tag = "people",
    params(ExceptionPage),
    responses(
        (status = 200, description = "A page", body = Exceptions),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "Nobody who may read", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    page: Result<Query<ExceptionPage>, QueryRejection>,
) -> Result<Json<Exceptions>, Problem> {
    let Query(ExceptionPage { queue, kind, after, limit }) = page?;
    let limit = rows(limit)?;
    let kind = kind.as_deref().map(kind_of).transpose().map_err(Problem::bad_request)?;
    let queues: Vec<String> = queue.into_iter().collect();
    let pipeline = &door.front.pipeline;
    are_queues(pipeline.store.as_ref(), &pipeline.people, &queues).await.map_err(not_listed)?;
    let wanted = ExceptionsWanted { queues, kind, after, limit, customer: None };
    let exceptions = pipeline.store.exceptions_wanted(wanted).await?;
    let next = next_page(&exceptions, limit, |exception| exception.id);
    let exceptions = exceptions.into_iter().map(|exception| Exception::of(exception, &pipeline.routes));
    Ok(Json(Exceptions { exceptions: exceptions.collect(), next }))
}

fn not_listed(error: ListError) -> Problem {
    match error {
        ListError::NoQueue { .. } => Problem::bad_request(error.to_string()),
        ListError::Store(error) => error.into(),
    }
}

/// Shows one, with its evidence and what may be decided about it.
#[utoipa::path(
    get, path = "/v1/exceptions/{exception}", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    responses(
        (status = 200, description = "The exception", body = ExceptionStory),
        (status = 400, description = "A path that is none", body = Problem),
        (status = 401, description = "Nobody who may read", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    exception: Result<Path<u64>, PathRejection>,
) -> Result<Json<ExceptionStory>, Problem> {
    let Path(exception) = exception?;
    Ok(Json(ExceptionStory::read(&door.front.pipeline, exception).await.map_err(refusal)?))
}

/// The message of a delivery that was given up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageFacts {
    /// The kind of message.
    pub kind: String,
    /// The media type.
    pub content_type: String,
    /// What the target would be sent, without what people corrected in it; hexadecimal where it is
    /// no text.
    pub body: String,
    /// Whether the body is text.
    pub is_text: bool,
    /// Places whose words may be corrected.
    pub correctable: Vec<String>,
}

impl MessageFacts {
    /// As people read it.
    #[must_use]
    pub fn of(made: Made) -> Self {
        let Made { message, correctable } = made;
        let (body, is_text) = match String::from_utf8(message.body) {
            Ok(text) => (text, true),
            Err(error) => (hex::encode(error.into_bytes()), false),
        };
        Self { kind: message.kind, content_type: message.content_type, body, is_text, correctable }
    }
}

/// Shows the message of a delivery that was given up, to whoever works on its queue or approves in
/// it: it says what an order says.
#[utoipa::path(
    get, path = "/v1/exceptions/{exception}/message", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    responses(
        (status = 200, description = "The message", body = MessageFacts),
        (status = 400, description = "Something is missing, or is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "No role for its queue", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "It is about no delivery that was given up, or no message can be made", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn message(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
) -> Result<Json<MessageFacts>, Problem> {
    let Path(exception) = exception?;
    Ok(Json(MessageFacts::of(door.front.pipeline.message_of(&who, exception).await.map_err(refusal)?)))
}

/// Takes it: others see that somebody works on it, and decide nothing about it.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/claim", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    responses(
        (status = 200, description = "It is yours", body = ExceptionStory),
        (status = 400, description = "Something is missing, or is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "No role for its queue", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "Somebody else's, or closed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn claim(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
) -> Result<Json<ExceptionStory>, Problem> {
    work(door, who, exception?.0, Words::Claim).await
}

/// Gives it back.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/give-back", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    responses(
        (status = 200, description = "It is nobody's", body = ExceptionStory),
        (status = 400, description = "Something is missing, or is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "No role for its queue", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "Not yours, or closed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn give_back(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
) -> Result<Json<ExceptionStory>, Problem> {
    work(door, who, exception?.0, Words::GiveBack).await
}

/// Hands it to somebody who works on its queue.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/assign", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    request_body = AssignRequest,
    responses(
        (status = 200, description = "It is that account's", body = ExceptionStory),
        (status = 400, description = "A body that is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "No role for its queue, of either", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "Closed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn assign(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
    request: Result<Json<AssignRequest>, JsonRejection>,
) -> Result<Json<ExceptionStory>, Problem> {
    let Json(AssignRequest { to }) = request.map_err(no_json)?;
    work(door, who, exception?.0, Words::Assign(to)).await
}

/// Says something about it.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/comment", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    request_body = CommentRequest,
    responses(
        (status = 200, description = "It is on record", body = ExceptionStory),
        (status = 400, description = "No words, or too many", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "No role for its queue", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "Closed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn comment(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
    request: Result<Json<CommentRequest>, JsonRejection>,
) -> Result<Json<ExceptionStory>, Problem> {
    let Json(CommentRequest { words }) = request.map_err(no_json)?;
    work(door, who, exception?.0, Words::Comment(words)).await
}

/// A step that decides nothing, with words of its own: it outlives who asked.
enum Words {
    Claim,
    GiveBack,
    Assign(String),
    Comment(String),
}

impl Words {
    fn step(&self) -> Work<'_> {
        match self {
            Self::Claim => Work::Claim,
            Self::GiveBack => Work::GiveBack,
            Self::Assign(to) => Work::Assign(to),
            Self::Comment(words) => Work::Comment(words),
        }
    }
}

async fn work(
    door: Arc<Door>,
    who: Arc<SignedIn>,
    exception: u64,
    words: Words,
) -> Result<Json<ExceptionStory>, Problem> {
    let done = async move {
        door.front.pipeline.work_on_exception(&who, exception, words.step()).await?;
        ExceptionStory::read(&door.front.pipeline, exception).await
    };
    Ok(Json(to_its_end(done, CUT_SHORT).await?.map_err(refusal)?))
}

/// Decides about it: at once where the person may alone, and else as a proposal that others
/// have to agree to.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/decide", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    request_body = DecisionRequest,
    responses(
        (status = 200, description = "It is done", body = DecisionOutcome),
        (status = 202, description = "It waits for others to agree", body = DecisionOutcome),
        (status = 400, description = "Something is missing, or is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "Not this person: no role for it, the own work, or the own model's", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "Changed since it was shown, somebody else's, closed, or not possible here", body = Problem),
        (status = 410, description = "What it is about was removed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn decide(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
    request: Result<Json<DecisionRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<DecisionOutcome>), Problem> {
    let (Path(exception), Json(request)) = (exception?, request.map_err(no_json)?);
    let asked = request.read().map_err(Problem::bad_request)?;
    let done = async move {
        let decision = asked.decision(exception, &request);
        let outcome = door.front.pipeline.decide_exception(&who, decision).await;
        door.wake();
        outcome
    };
    answered(exception, to_its_end(done, CUT_SHORT).await?)
}

/// Agrees to exactly what somebody else proposed.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/approve", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    request_body = ProposalRequest,
    responses(
        (status = 200, description = "It is done", body = DecisionOutcome),
        (status = 202, description = "It takes one more", body = DecisionOutcome),
        (status = 400, description = "No digest", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "Not this person: no role for it, above the tier, the own proposal, work or model's", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "No such proposal any more, or what it is about changed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn approve(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
    request: Result<Json<ProposalRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<DecisionOutcome>), Problem> {
    let (Path(exception), proposal) = (exception?, proposal(request)?);
    let done = async move {
        let outcome = door.front.pipeline.approve(&who, exception, proposal).await;
        door.wake();
        outcome
    };
    answered(exception, to_its_end(done, CUT_SHORT).await?)
}

/// Ends a proposal that will not be carried out: its proposer takes it back, or somebody who
/// might approve it refuses.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/refuse", tag = "people",
    params(("exception" = u64, Path, description = "Its number")),
    request_body = ProposalRequest,
    responses(
        (status = 200, description = "It ended", body = ExceptionStory),
        (status = 400, description = "No digest", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "Not this person", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "No such proposal any more", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn refuse(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
    request: Result<Json<ProposalRequest>, JsonRejection>,
) -> Result<Json<ExceptionStory>, Problem> {
    let (Path(exception), proposal) = (exception?, proposal(request)?);
    let done = async move {
        door.front.pipeline.refuse(&who, exception, proposal).await?;
        ExceptionStory::read(&door.front.pipeline, exception).await
    };
    Ok(Json(to_its_end(done, CUT_SHORT).await?.map_err(refusal)?))
}

/// What whoever asked hears when the host ends in the middle.
pub(crate) const CUT_SHORT: &str = "look at the exception before trying again";

fn proposal(request: Result<Json<ProposalRequest>, JsonRejection>) -> Result<Digest, Problem> {
    let Json(ProposalRequest { proposal }) = request.map_err(no_json)?;
    Digest::parse(&proposal).map_err(|error| Problem::bad_request(format!("`proposal`: {error}")))
}

fn answered(
    exception: u64,
    outcome: Result<Outcome, ExceptionError>,
) -> Result<(StatusCode, Json<DecisionOutcome>), Problem> {
    let outcome = DecisionOutcome::of(exception, outcome.map_err(refusal)?);
    let status = if outcome.done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(outcome)))
}

/// The code of a problem after which something is done all the same.
pub(crate) const PARTLY: &str = "partly";

/// What a person hears who could not do something.
pub(crate) fn refusal(error: ExceptionError) -> Problem {
    let conflict = |code, title, detail: String| Problem::new(StatusCode::CONFLICT, code, title, detail);
    let said = error.to_string();
    match error {
        ExceptionError::Denied(_) => Problem::forbidden(said),
        ExceptionError::Claimed { .. } | ExceptionError::NotYours { .. } => {
            conflict("claimed", "Somebody else works on it", said)
        }
        ExceptionError::Stale { .. } | ExceptionError::StaleTogether { .. } | ExceptionError::StaleLetters { .. } => {
            conflict("stale", "It changed since it was shown", said)
        }
        ExceptionError::Apart { exception, cause } => {
            let cause = refusal(*cause);
            let why = cause.detail().to_owned();
            cause.saying(ExceptionError::told_apart(exception, &why))
        }
        ExceptionError::Partly { done, all, exception, cause } => {
            let cause = refusal(*cause);
            let said = ExceptionError::told_partly(done, all, exception, &cause.detail());
            Problem::new(cause.status(), PARTLY, "Not all of it was done", said)
        }
        ExceptionError::NoProposal { .. } => conflict("no-proposal", "The proposal is not open", said),
        ExceptionError::Pending { .. } => conflict("proposal-pending", "Another proposal waits", said),
        ExceptionError::NotHere { .. } => conflict("not-possible", "Not possible here", said),
        ExceptionError::NoMessage { .. } => conflict("no-message", "There is no message", said),
        ExceptionError::Words { .. } | ExceptionError::Incomplete { .. } | ExceptionError::Nobody { .. } => {
            Problem::bad_request(said)
        }
        ExceptionError::Review(error) => review(error),
        ExceptionError::Accept(_) => conflict("not-taken", "The input was not taken", said),
        ExceptionError::Store(error) => stored(error),
        ExceptionError::Record(_) | ExceptionError::Seal(_) => Problem::internal(
            &said,
            "the decision could not be put on record; look at the exception, and at the host's log",
        ),
    }
}

fn stored(error: StoreError) -> Problem {
    let said = error.to_string();
    let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title, said.clone());
    match error {
        StoreError::NoException { .. } => Problem::not_found(said),
        StoreError::ExceptionClosed { .. } => conflict("closed", "It is closed"),
        StoreError::ExceptionMoved { .. } => conflict("stale", "It changed since it was shown"),
        StoreError::StepsSpent { .. } => conflict("steps-spent", "It was handed round too often"),
        StoreError::NotDead { .. } => conflict("not-dead", "The delivery does not wait"),
        StoreError::ReplaysSpent { .. } => conflict("replays-spent", "Replayed too often"),
        StoreError::CancelRequested { .. } => conflict("cancel-requested", "The sender wants the order cancelled"),
        StoreError::Erased(_) => Problem::new(
            StatusCode::GONE,
            "erased",
            "What it is about was removed",
            "found the content removed, expected what can be looked at; nothing was changed, and it can be rejected or abandoned",
        ),
        error => error.into(),
    }
}

fn review(error: ReviewError) -> Problem {
    let conflict = |code, title, detail: String| Problem::new(StatusCode::CONFLICT, code, title, detail);
    let said = error.to_string();
    match error {
        ReviewError::NoHolds => Problem::new(StatusCode::BAD_REQUEST, "no-holds", "No hold was named", said),
        ReviewError::NotKeptBack { .. } => conflict("not-kept-back", "The order is not kept back", said),
        ReviewError::UnknownHold { .. } => conflict("unknown-hold", "The hold does not keep the order back", said),
        ReviewError::CancelRequested { .. } => {
            conflict("cancel-requested", "The sender wants the order cancelled", said)
        }
        ReviewError::NoTarget { .. } => conflict("no-target", "The order has nowhere to go", said),
        ReviewError::UnknownWord { .. } => conflict("unknown-word", "Its target may have the order already", said),
        ReviewError::Moved(_) | ReviewError::Store(StoreError::OrderMoved { .. }) => {
            conflict("order-moved", "The order changed meanwhile", said)
        }
        ReviewError::CreditTaken(_) => conflict("credit-spent", "The account's credit is used up", said),
        ReviewError::Store(error) => stored(error),
        ReviewError::Event(_) | ReviewError::Record(_) | ReviewError::Seal(_) | ReviewError::OwnWord(_) => {
            Problem::internal(
                &said,
                "the release could not be put on record; look at what keeps the order back, and at the host's log",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_authority::people::Denied;
    use portreeve_model::OrderId;

    use super::*;

    #[test]
    fn a_list_cuts_a_long_sentence_between_characters_and_no_other() {
        let whole = "ü".repeat(LISTED_CHARS_MAX);
        assert_eq!(cut(&whole), whole);
        assert_eq!(cut(&format!("{whole}ü")), format!("{whole}…"));
    }

    #[test]
    fn who_was_slower_hears_what_to_look_at() {
        let order = OrderId::parse("3f0c6a51-6d7e-5b1a-9f44-0a8f5c1d2e3b").unwrap();
        for (error, code, words) in [
            (
                ReviewError::from(StoreError::OrderMoved { order }).into(),
                "order-moved",
                "changed while it was looked at",
            ),
            (
                ReviewError::CreditTaken("PO-1".to_owned()).into(),
                "credit-spent",
                "nothing was released: look at it again",
            ),
            (StoreError::ExceptionMoved { exception: 7 }.into(), "stale", "look at it again"),
        ] {
            let problem = serde_json::to_value(refusal(error)).unwrap();
            let text = |name: &str| problem.get(name).unwrap().as_str().unwrap();
            assert_eq!(problem.get("status").unwrap(), 409);
            assert_eq!(text("type"), format!("urn:portreeve:problem:{code}"));
            assert!(text("detail").contains(words), "{problem}");
        }
    }

    #[test]
    fn of_several_it_is_told_whether_something_was_done_and_by_which_it_was_stopped() {
        let denied = Denied::NoTier { found: "1.00 CHF".to_owned() };
        let apart = refusal(ExceptionError::Apart { exception: 7, cause: Box::new(denied.into()) });
        assert!(apart.is("forbidden") && apart.status() == StatusCode::FORBIDDEN);
        assert!(apart.detail().starts_with("nothing was done, since exception 7 cannot go"), "{}", apart.detail());
        // What failed inside is the log's, also where a part was done.
        let failed = StoreError::Failed("disk I/O error".to_owned());
        let partly = ExceptionError::Partly { done: 2, all: 3, exception: 7, cause: Box::new(failed.into()) };
        let partly = refusal(partly);
        assert!(partly.is(PARTLY) && partly.status() == StatusCode::SERVICE_UNAVAILABLE);
        assert!(partly.detail().starts_with("2 of 3 are done, and exception 7 is not: "), "{}", partly.detail());
        assert!(!partly.detail().contains("disk"), "{}", partly.detail());
    }
}
