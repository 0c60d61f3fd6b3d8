//! All orders of one customer that are kept back: looked at, and released together. Others
//! agree to it as they do to what is proposed about one, by any of the exceptions.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use portreeve_model::{Digest, Money};
use portreeve_pipeline::exception::{ExceptionError, Shown, Together};
use portreeve_pipeline::{Pipeline, Routes, SignedIn};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CUT_SHORT, DecisionOutcome, Exception, OrderFacts, Proposal, answered, refusal};
use crate::Door;
use crate::access::{Person, Reader};
use crate::operator::to_its_end;
use crate::package::no_json;
use crate::problem::Problem;

/// Orders of one customer that are kept back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TogetherStory {
    /// The exception by which they are decided about: the one that was asked about, or, where
    /// that went with others, one of those that did not.
    pub exception: u64,
    /// The digest of what is shown: a release of all that go together names it.
    pub shown: String,
    /// What those that go together are worth in each currency, for example `982.69 USD`; none
    /// where it is more than can be told.
    pub worth: Option<Vec<String>>,
    /// Those that go together: what whoever asks works on, and for a machine all.
    pub members: Vec<Member>,
    /// Those that are others' work.
    pub apart: Vec<Exception>,
    /// How many there are beside these.
    pub more: usize,
    /// What somebody proposed about them; then `members` are those of the proposal.
    pub proposal: Option<Proposal>,
}

/// One of the orders that go together.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its exception.
    #[serde(flatten)]
    pub exception: Exception,
    /// The digest of what is shown of it.
    pub shown: String,
    /// The order.
    pub order_facts: Option<OrderFacts>,
    /// Accounts that made the input what it is.
    pub makers: Vec<String>,
    /// Owners of the grants under which models asked for its holds.
    pub owners: Vec<String>,
}

/// What somebody releases.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TogetherRequest {
    /// The digest of what was shown.
    pub shown: String,
    /// Why: 1 to 1000 bytes.
    pub reason: String,
}

impl TogetherStory {
    /// The orders that are kept back of the customer of one, as they are now.
    ///
    /// # Errors
    /// As [`Pipeline::show_together`].
    pub async fn read(pipeline: &Pipeline, who: Option<&SignedIn>, exception: u64) -> Result<Self, ExceptionError> {
        Self::tell(pipeline, pipeline.show_together(who, exception).await?).await
    }

    /// The same of what was read already.
    pub(crate) async fn tell(pipeline: &Pipeline, group: Together) -> Result<Self, ExceptionError> {
        let proposal = match &group.proposal {
            Some(proposal) => Some(Proposal::read(pipeline, proposal).await?),
            None => None,
        };
        let routes = &pipeline.routes;
        Ok(Self {
            exception: group.lead,
            shown: group.digest.to_string(),
            worth: group.worth.map(|worth| worth.iter().map(Money::to_string).collect()),
            members: group.members.into_iter().map(|shown| Member::of(shown, routes)).collect(),
            apart: group.apart.into_iter().map(|exception| Exception::of(exception, routes)).collect(),
            more: group.more,
            proposal,
        })
    }
}

impl Member {
    fn of(shown: Shown, routes: &Routes) -> Self {
        Self {
            shown: shown.digest.to_string(),
            order_facts: OrderFacts::of(&shown),
            makers: shown.trail.about.makers,
            owners: shown.owners,
            exception: Exception::of(shown.trail.exception, routes),
        }
    }
}

impl TogetherRequest {
    /// The digest of what was shown; what is wrong with it, in a sentence.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(&self) -> Result<Digest, String> {
        Digest::parse(&self.shown).map_err(|error| format!("`shown`: {error}"))
    }
}

/// Shows all orders that are kept back of the customer of one: those that may be released
/// together, with what keeps them back, and those that are others' work.
#[utoipa::path(
    get, path = "/v1/exceptions/{exception}/customer", tag = "people",
    operation_id = "show_together",
    params(("exception" = u64, Path, description = "The number of one of them")),
    responses(
        (status = 200, description = "The orders", body = TogetherStory),
        (status = 400, description = "A path that is none", body = Problem),
        (status = 401, description = "Nobody who may read", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "Closed, or not about an order that is kept back", body = Problem),
        (status = 410, description = "What the order says was removed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    Reader(who): Reader,
    exception: Result<Path<u64>, PathRejection>,
) -> Result<Json<TogetherStory>, Problem> {
    let Path(exception) = exception?;
    Ok(Json(TogetherStory::read(&door.front.pipeline, who.as_deref(), exception).await.map_err(refusal)?))
}

/// Releases all that go together: at once where the person may alone, which what all of them
/// are worth decides, and else as a proposal that others have to agree to.
#[utoipa::path(
    post, path = "/v1/exceptions/{exception}/customer", tag = "people",
    operation_id = "release_together",
    params(("exception" = u64, Path, description = "The number of one of them")),
    request_body = TogetherRequest,
    responses(
        (status = 200, description = "It is done", body = DecisionOutcome),
        (status = 202, description = "It waits for others to agree", body = DecisionOutcome),
        (status = 400, description = "Something is missing, or is none", body = Problem),
        (status = 401, description = "Nobody who is signed in", body = Problem),
        (status = 403, description = "Not this person, for one of them at least", body = Problem),
        (status = 404, description = "No such exception", body = Problem),
        (status = 409, description = "Changed since it was shown, or one of them is somebody else's, closed, proposed, or not to be released", body = Problem),
        (status = 410, description = "What the order says was removed", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn release(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    exception: Result<Path<u64>, PathRejection>,
    request: Result<Json<TogetherRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<DecisionOutcome>), Problem> {
    let (Path(exception), Json(request)) = (exception?, request.map_err(no_json)?);
    let shown = request.read().map_err(Problem::bad_request)?;
    let done = async move {
        let outcome = door.front.pipeline.decide_together(&who, exception, shown, &request.reason).await;
        door.wake();
        outcome
    };
    answered(exception, to_its_end(done, CUT_SHORT).await?)
}
