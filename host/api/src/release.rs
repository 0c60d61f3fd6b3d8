//! Orders that are kept back: a person ends holds by their numbers, and the order goes
//! where nothing else keeps it back.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use portreeve_pipeline::review::{Release, ReviewError, Reviewed};
use portreeve_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Door;
use crate::access::Person;
use crate::operator::to_its_end;
use crate::package::no_json;
use crate::problem::Problem;
use crate::story;

/// Which holds end, and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Their numbers, as the order's story has them.
    pub holds: Vec<u64>,
    /// Why, in the person's words: 1 to 1000 bytes.
    pub reason: String,
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

impl Released {
    /// As operators read it.
    #[must_use]
    pub fn of(reviewed: Reviewed) -> Self {
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

/// Ends holds of an order. All of the host's rules are asked once more, and what they find
/// keeps the order back, but for what was just released; where nothing is left, it is
/// released.
#[utoipa::path(
    post, path = "/v1/orders/{id}/release", tag = "operators",
    params(("id" = String, Path, description = "The host's order id, or the sender's number where one order has it")),
    request_body = ReleaseRequest,
    responses(
        (status = 200, description = "They ended, and this is on record", body = Released),
        (status = 400, description = "No holds, no reason or a long one, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No such order", body = Problem),
        (status = 409, description = "Not kept back, by another hold, or by one that no release ends; changed meanwhile; no credit or no channel left for it; or several orders have this number", body = Problem),
        (status = 410, description = "What the order says was erased", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn release(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    id: Result<Path<String>, PathRejection>,
    request: Result<Json<ReleaseRequest>, JsonRejection>,
) -> Result<Json<Released>, Problem> {
    let (Path(id), Json(ReleaseRequest { holds, reason })) = (id?, request.map_err(no_json)?);
    let order = story::find(door.front.pipeline.store.as_ref(), &id).await?.id;
    // What follows a release is done at once.
    let work = async move {
        let release = Release { order, holds: &holds, who: &who, reason: &reason };
        let reviewed = door.front.pipeline.release_holds(release).await;
        door.front.released.notify_one();
        reviewed
    };
    let reviewed = to_its_end(work, "look at what keeps the order back before trying again").await?;
    Ok(Json(Released::of(reviewed.map_err(refusal)?)))
}

fn refusal(error: ReviewError) -> Problem {
    let conflict = |code, title, detail: String| Problem::new(StatusCode::CONFLICT, code, title, detail);
    let said = error.to_string();
    match error {
        ReviewError::NoHolds => Problem::new(StatusCode::BAD_REQUEST, "no-holds", "No hold was named", said),
        ReviewError::Reason { .. } => {
            Problem::new(StatusCode::BAD_REQUEST, "release-reason", "No reason, or one too long", said)
        }
        ReviewError::NotKeptBack { .. } => conflict("not-kept-back", "The order is not kept back", said),
        ReviewError::UnknownHold { .. } => conflict("unknown-hold", "The hold does not keep the order back", said),
        ReviewError::CancelRequested { .. } => {
            conflict("cancel-requested", "The sender wants the order cancelled", said)
        }
        ReviewError::NoTarget { .. } => conflict("no-target", "The order has nowhere to go", said),
        ReviewError::Moved(_) | ReviewError::Store(StoreError::OrderMoved { .. }) => {
            conflict("order-moved", "The order changed meanwhile", said)
        }
        ReviewError::CreditTaken(_) => conflict("credit-spent", "The account's credit is used up", said),
        ReviewError::Store(StoreError::Erased(_)) => Problem::new(
            StatusCode::GONE,
            "erased",
            "What the order says was erased",
            "found the order's content erased, expected what a target could be sent; nothing was changed, and it cannot be released any more",
        ),
        ReviewError::Denied(_) => Problem::forbidden(said),
        ReviewError::Store(error) => error.into(),
        ReviewError::Event(_) | ReviewError::Record(_) | ReviewError::Seal(_) => Problem::internal(
            &said,
            "the release could not be put on record; look at what keeps the order back, and at the host's log",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn who_was_slower_hears_what_to_look_at() {
        let number = || "PO-1".to_owned();
        for (error, code, words) in [
            (ReviewError::Moved(number()), "order-moved", "order PO-1 changed while it was looked at"),
            (ReviewError::CreditTaken(number()), "credit-spent", "order PO-1's account used up"),
        ] {
            let problem = serde_json::to_value(refusal(error)).unwrap();
            let text = |name: &str| problem.get(name).unwrap().as_str().unwrap();
            assert_eq!(problem.get("status").unwrap(), 409);
            assert_eq!(text("type"), format!("urn:portreeve:problem:{code}"));
            assert!(text("detail").contains(words), "{problem}");
        }
    }
}
