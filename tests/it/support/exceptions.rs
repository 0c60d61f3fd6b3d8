//! What waits for a person, and deciding about it on what is shown now.

use portreeve_model::{ExceptionAction, ExceptionKind, OrderId};
use portreeve_pipeline::SignedIn;
use portreeve_pipeline::exception::{Decision, ExceptionError, Outcome};
use portreeve_pipeline::review::Reviewed;
use portreeve_store::StoreError;
use portreeve_store::contract::{ExceptionView, ExceptionsWanted};

use super::TestHost;

/// What is open, oldest first.
pub(crate) async fn waiting(host: &TestHost) -> Vec<ExceptionView> {
    let wanted = ExceptionsWanted { limit: 500, ..ExceptionsWanted::default() };
    host.store.exceptions_wanted(wanted).await.unwrap()
}

/// What is open about an order, of one kind.
pub(crate) async fn about(host: &TestHost, order: OrderId, kind: ExceptionKind) -> Option<u64> {
    let found = waiting(host).await.into_iter().find(|open| open.order == Some(order) && open.kind == kind);
    found.map(|open| open.id)
}

/// A decision about an exception, with everything else to be filled in.
pub(crate) async fn decision<'a>(host: &TestHost, exception: u64, action: ExceptionAction) -> Decision<'a> {
    let shown = host.host.pipeline.show_exception(exception).await.unwrap().digest;
    Decision { exception, shown, action, reason: "the buyer called", holds: &[], queue: None, payload: None }
}

/// Decides about an exception as it is now.
pub(crate) async fn decide(
    host: &TestHost,
    who: &SignedIn,
    exception: u64,
    action: ExceptionAction,
) -> Result<Outcome, ExceptionError> {
    let decision = decision(host, exception, action).await;
    host.host.pipeline.decide_exception(who, decision).await
}

/// Releases holds of an order that is kept back, in its exception.
pub(crate) async fn release(
    host: &TestHost,
    who: &SignedIn,
    order: OrderId,
    holds: &[u64],
) -> Result<Reviewed, ExceptionError> {
    let Some(exception) = about(host, order, ExceptionKind::Held).await else {
        return Err(StoreError::NoException { exception: 0 }.into());
    };
    let decision = Decision { holds, ..decision(host, exception, ExceptionAction::ReleaseHolds).await };
    match host.host.pipeline.decide_exception(who, decision).await? {
        Outcome::Done { reviewed: Some(reviewed) } => Ok(reviewed),
        other => panic!("it was not released: {other:?}"),
    }
}
