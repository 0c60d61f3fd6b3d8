//! Exceptions: who works on one, what somebody proposes, what is decided and what that causes.

use std::sync::Arc;

use portreeve_model::ProcessState::Released;
use portreeve_model::{ChannelId, Digest, ExceptionAction, ExceptionKind, Instant};

use super::credit::{credit, reserved};
use super::fixture::{
    ALL, HOLD_MS, NOW, abandon, about_order, applied, ask_to_cancel, channel, claim, cleared, commit, dead,
    decision_of, event_in, exception, held, hold, hold_back, input, input_id, keep, kept_back, leaf, lease, leaves,
    moving, next, observe, order_id, order_in, release, released, replay, resolved, retry, sealed, sender, step,
    waiting, waits,
};
use super::pause::quarantined;
use super::{Fault, Harm, Maker};
use crate::contract::{
    ClosedException, ClosedHold, Content, Decided, Disposition, DocumentPosition, Effect, EventOutcome,
    ExceptionChange, ExceptionTrail, ExceptionView, ExceptionsWanted, Forgotten, NewException, NewOutbox, NewProgress,
    NewProposal, NewReview, NewStep, OrderEventKind, OrderState, Resolution, STEPS_MAX, STEPS_SHOWN_MAX, Saying,
    Settlement, Store, StoreError,
};
use crate::proof::Journaled;

/// How long after the beginning a proposal can be approved.
const PROPOSAL_MS: i64 = 5_000;

/// What is proposed here, as approvals name it.
fn act() -> Digest {
    Digest::of(b"the exact action")
}

/// Somebody wants it done, and so many others have to agree.
pub(crate) fn proposed(action: ExceptionAction, approvals_needed: u8) -> ExceptionChange {
    let expires_at = NOW.plus_ms(PROPOSAL_MS);
    ExceptionChange::Proposed(NewProposal { digest: act(), action, expires_at, approvals_needed })
}

fn approved() -> ExceptionChange {
    ExceptionChange::Approved { proposal: act() }
}

fn rejection() -> Effect {
    Effect::RejectOrder { why: "rejected by a person".to_owned(), outbox: Vec::new() }
}

/// The last one agrees, and the proposal is carried out.
fn carried_out(action: ExceptionAction, effect: Effect) -> ExceptionChange {
    ExceptionChange::Resolved(Resolution { action, proposal: Some(act()), effect })
}

fn rerouted(queue: &str) -> ExceptionChange {
    ExceptionChange::Rerouted { queue: queue.to_owned(), due_at: Some(NOW.plus_ms(7 * HOLD_MS)) }
}

fn escalated(queue: Option<&str>) -> ExceptionChange {
    ExceptionChange::Escalated { queue: queue.map(str::to_owned) }
}

/// Takes a step on the exception as it is now.
pub(super) async fn take(
    store: &Arc<dyn Store>,
    number: u64,
    who: &str,
    change: ExceptionChange,
    leaf_number: u64,
) -> Result<(), StoreError> {
    store.step_exception(step(store, number, who, change, leaf(leaf_number)).await).await
}

async fn trail(store: &Arc<dyn Store>, number: u64) -> ExceptionTrail {
    store.exception(number).await.unwrap().unwrap()
}

async fn view(store: &Arc<dyn Store>, number: u64) -> ExceptionView {
    trail(store, number).await.exception
}

/// Words of its steps, oldest first.
async fn steps(store: &Arc<dyn Store>, number: u64) -> Vec<String> {
    trail(store, number).await.steps.into_iter().map(|step| step.step).collect()
}

/// Who has it.
async fn claimed_by(store: &Arc<dyn Store>, number: u64) -> Option<String> {
    view(store, number).await.claimed.map(|(who, _)| who)
}

fn moved(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::ExceptionMoved { .. }))
}

/// How an exception ended, and who decided.
fn ended(exception: &ExceptionView) -> Option<(&str, Option<&str>)> {
    exception.closed.as_ref().map(|closed| (closed.how.as_str(), closed.who.as_deref()))
}

/// Takes in one document that becomes no order; two leaves, from a number on. Its exception.
async fn unmapped(store: &Arc<dyn Store>, number: u64, key: &str) -> u64 {
    keep(store, input(number, &[key])).await;
    unmapped_next(store, number + 1).await
}

/// The next document becomes no order; its exception.
async fn unmapped_next(store: &Arc<dyn Store>, number: u64) -> u64 {
    let exception = Decided::Unmapped(waits(ExceptionKind::Document, "unmapped"));
    commit(store, decision_of(next(store).await, exception, Vec::new(), leaf(number))).await.unwrap();
    store.exceptions(ALL).await.unwrap().last().unwrap().id
}

/// Takes in bytes that nothing could be made of; one leaf. Its exception.
async fn unread(store: &Arc<dyn Store>, number: u64) -> u64 {
    let mut entry = input(number, &[]);
    (entry.disposition, entry.exceptions) = (Disposition::Unparsed, vec![waits(ExceptionKind::Input, "unread")]);
    keep(store, entry).await;
    store.exceptions(ALL).await.unwrap().last().unwrap().id
}

/// Takes in one order and gives its delivery up; three leaves, from a number on. Its exception.
async fn dead_letter(store: &Arc<dyn Store>, number: u64, key: &str) -> u64 {
    release(store, number, key, &[("erp", "order")]).await;
    let permit = claim(store, 0).await.remove(0);
    store.settle_unattempted(permit, dead(true), NOW, leaf(number + 2)).await.unwrap();
    store.exceptions(ALL).await.unwrap().last().unwrap().id
}

// --- who works on it -----------------------------------------------------------------------------

pub(crate) async fn of_two_who_claim_at_once_one_has_it(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    hold_back(&one, 1, "PO-1", &["credit-limit"]).await;
    let number = waiting(&one, "PO-1").await;
    let by_ada = step(&one, number, "ada", ExceptionChange::Claimed, leaf(3)).await;
    let by_bob = step(&other, number, "bob", ExceptionChange::Claimed, leaf(4)).await;
    let claims = tokio::join!(one.step_exception(by_ada), other.step_exception(by_bob));
    let (who, late) = match &claims {
        (Ok(()), late) => ("ada", late),
        (late, Ok(())) => ("bob", late),
        both => panic!("nobody has it: {both:?}"),
    };
    assert!(moved(late), "{late:?}");
    drop((one, other));
    let store = maker.open().await;
    let found = view(&store, number).await;
    assert_eq!((found.claimed, found.revision), (Some((who.to_owned(), NOW)), 1));
    // Nor does one have it who looks again: it is somebody's.
    let before = observe(&store).await;
    assert!(moved(&take(&store, number, "eve", ExceptionChange::Claimed, 5).await));
    let nobodys = step(&store, number, "", ExceptionChange::Claimed, leaf(5)).await;
    let nobodys = store.step_exception(NewStep { who: None, ..nobodys }).await;
    assert!(matches!(nobodys, Err(StoreError::Failed(_))), "{nobodys:?}");
    assert_eq!(observe(&store).await, before);
    let story = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!(story.leaves.len(), 3, "the claim is a part of the order's story");
}

pub(crate) async fn it_is_given_back_or_to_somebody_else_and_talked_about(maker: impl Maker) {
    let store = maker.open().await;
    let number = unread(&store, 1).await;
    take(&store, number, "ada", ExceptionChange::Claimed, 2).await.unwrap();
    take(&store, number, "ada", ExceptionChange::GivenBack, 3).await.unwrap();
    assert_eq!(claimed_by(&store, number).await, None);
    take(&store, number, "bob", ExceptionChange::Claimed, 4).await.unwrap();
    take(&store, number, "ada", ExceptionChange::Assigned { to: "cy".to_owned() }, 5).await.unwrap();
    take(&store, number, "eve", ExceptionChange::Commented, 6).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let found = trail(&store, number).await;
    assert_eq!((found.exception.claimed, found.exception.revision), (Some(("cy".to_owned(), NOW)), 5));
    let told: Vec<_> =
        found.steps.iter().map(|step| (step.step.as_str(), step.who.as_deref(), step.to.as_deref())).collect();
    let expected = [
        ("claimed", Some("ada"), None),
        ("given-back", Some("ada"), None),
        ("claimed", Some("bob"), None),
        ("assigned", Some("ada"), Some("cy")),
        ("commented", Some("eve"), None),
    ];
    assert_eq!(told, expected);
    assert_eq!(store.payload(found.steps[4].record.unwrap()).await.unwrap(), b"words");
    assert_eq!(leaves(&store).await, [1, 2, 3, 4, 5, 6].map(|number| leaf(number).id().short()));
    assert!(store.exception(number + 1).await.unwrap().is_none());
    let unknown = take(&store, number + 1, "ada", ExceptionChange::Commented, 7).await;
    assert!(matches!(unknown, Err(StoreError::NoException { exception }) if exception == number + 1), "{unknown:?}");
}

pub(crate) async fn a_step_on_what_was_seen_before_another_one_is_none(maker: impl Maker) {
    let store = maker.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let number = waiting(&store, "PO-1").await;
    let late = async |change| step(&store, number, "ada", change, leaf(9)).await;
    let late = [
        late(ExceptionChange::Claimed).await,
        late(ExceptionChange::Commented).await,
        late(rerouted("fraud")).await,
        late(proposed(ExceptionAction::Reject, 1)).await,
        late(resolved(ExceptionAction::Reject, rejection())).await,
    ];
    take(&store, number, "bob", ExceptionChange::Commented, 3).await.unwrap();
    let before = observe(&store).await;
    for step in late {
        let change = step.change.clone();
        let refused = store.step_exception(step).await;
        assert!(moved(&refused), "{change:?}: {refused:?}");
    }
    assert_eq!(observe(&store).await, before);
    // Of what keeps the order back something new is known: that is another thing to look at.
    let seen = step(&store, number, "ada", resolved(ExceptionAction::Reject, rejection()), leaf(9)).await;
    ask_to_cancel(&store, 11, "PO-1").await;
    assert!(moved(&store.step_exception(seen).await));
}

pub(crate) async fn another_queue_begins_anew(maker: impl Maker) {
    let store = maker.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let number = waiting(&store, "PO-1").await;
    take(&store, number, "ada", ExceptionChange::Claimed, 3).await.unwrap();
    take(&store, number, "ada", proposed(ExceptionAction::Reject, 1), 4).await.unwrap();
    take(&store, number, "host", escalated(None), 5).await.unwrap();
    assert_eq!(claimed_by(&store, number).await.as_deref(), Some("ada"), "its queue only hears of it");
    assert!(trail(&store, number).await.proposal.is_some());
    take(&store, number, "bob", rerouted("fraud"), 6).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let found = trail(&store, number).await;
    assert!(found.proposal.is_none(), "{:?}", found.proposal);
    let exception = found.exception;
    assert_eq!((exception.queue.as_str(), exception.due_at), ("fraud", Some(NOW.plus_ms(7 * HOLD_MS))));
    assert_eq!((exception.claimed, exception.escalated_at), (None, None));
    assert_eq!(found.steps[3].to.as_deref(), Some("fraud"));
    assert_eq!(kept_back(&store, "PO-1").await.queue.as_deref(), Some("fraud"), "its order goes with it");
    // Also where it goes there since nobody decided.
    take(&store, number, "ada", ExceptionChange::Claimed, 7).await.unwrap();
    take(&store, number, "ada", proposed(ExceptionAction::Reject, 1), 8).await.unwrap();
    take(&store, number, "host", escalated(Some("leads")), 9).await.unwrap();
    let found = trail(&store, number).await;
    assert_eq!((found.exception.queue.as_str(), found.exception.claimed), ("leads", None));
    assert_eq!((found.exception.escalated_at, found.proposal.is_none()), (Some(NOW), true));
    assert_eq!(kept_back(&store, "PO-1").await.queue.as_deref(), Some("leads"));
    // What is beside its order takes the order nowhere.
    ask_to_cancel(&store, 21, "PO-1").await;
    let beside = store.exceptions(ALL).await.unwrap().pop().unwrap();
    assert_eq!((beside.kind, beside.order), (ExceptionKind::Order, Some(order_id("PO-1"))));
    take(&store, beside.id, "bob", rerouted("answers"), 23).await.unwrap();
    assert_eq!(kept_back(&store, "PO-1").await.queue.as_deref(), Some("leads"));
}

pub(crate) async fn what_is_due_escalates_once_and_holds_all_the_same(maker: impl Maker) {
    let (store, other) = maker.open_two().await;
    // The first one is due last, and one has no time.
    for (number, key, after_ms) in [(1, "PO-1", Some(HOLD_MS + 1)), (11, "PO-2", Some(HOLD_MS)), (21, "PO-3", None)] {
        keep(&store, input(number, &[key])).await;
        let mut decision = held(next(&store).await, &["credit-limit"], leaf(number + 1));
        order_in(&mut decision).exception.as_mut().unwrap().due_at = after_ms.map(|after_ms| NOW.plus_ms(after_ms));
        commit(&store, decision).await.unwrap();
    }
    let due = async |store: &Arc<dyn Store>, after_ms: i64, limit: u32| -> Vec<u64> {
        let due = store.due_exceptions(NOW.plus_ms(after_ms), limit).await.unwrap();
        due.into_iter().map(|exception| exception.id).collect()
    };
    let (first, second) = (waiting(&store, "PO-2").await, waiting(&store, "PO-1").await);
    assert!(due(&store, HOLD_MS - 1, ALL).await.is_empty());
    assert_eq!(due(&store, HOLD_MS, ALL).await, [first]);
    assert_eq!(due(&store, HOLD_MS + 1, ALL).await, [first, second], "what was due first stands first");
    assert_eq!(due(&store, 99 * HOLD_MS, 1).await, [first]);

    let by_host = async |store: &Arc<dyn Store>, number| {
        let step = step(store, first, "", escalated(None), leaf(number)).await;
        NewStep { who: None, record: None, at: NOW.plus_ms(HOLD_MS), ..step }
    };
    let both = (by_host(&store, 31).await, by_host(&other, 32).await);
    let both = tokio::join!(store.step_exception(both.0), other.step_exception(both.1));
    assert!(matches!(both, (Ok(()), Err(_)) | (Err(_), Ok(()))), "of two one tells others: {both:?}");
    let before = observe(&store).await;
    assert!(moved(&store.step_exception(by_host(&store, 33).await).await), "they know already");
    assert_eq!(observe(&store).await, before);
    drop((store, other));

    let store = maker.open().await;
    assert_eq!(due(&store, 99 * HOLD_MS, ALL).await, [second]);
    assert_eq!(view(&store, first).await.escalated_at, Some(NOW.plus_ms(HOLD_MS)));
    let found = kept_back(&store, "PO-2").await;
    assert_eq!((found.state, found.open_holds().count()), (OrderState::Held, 1), "it holds all the same");
    let counted = store.open_holds(NOW.plus_ms(HOLD_MS)).await.unwrap();
    assert_eq!((counted[0].count, counted[0].overdue), (3, 3));
    // Whoever finds that it is right to hold gives it another time, after which others hear again.
    let confirmed = || ExceptionChange::Confirmed { due_at: Some(NOW.plus_ms(3 * HOLD_MS)) };
    take(&store, first, "ada", confirmed(), 41).await.unwrap();
    let found = view(&store, first).await;
    assert_eq!((found.escalated_at, found.closed), (None, None));
    assert_eq!(due(&store, 3 * HOLD_MS, ALL).await, [second, first]);
    store.step_exception(by_host(&store, 42).await).await.unwrap();
    assert_eq!(due(&store, 3 * HOLD_MS, ALL).await, [second]);
    // What is closed is due no more; and without holds there are none to confirm.
    take(&store, second, "ada", resolved(ExceptionAction::Reject, rejection()), 43).await.unwrap();
    assert!(due(&store, 99 * HOLD_MS, ALL).await.is_empty());
    let other = unread(&store, 51).await;
    let refused = take(&store, other, "ada", confirmed(), 52).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
}

pub(crate) async fn after_so_many_steps_only_a_decision_is_left(maker: impl Maker) {
    let store = maker.open().await;
    let number = unread(&store, 1).await;
    for nth in 0..STEPS_MAX {
        let change = if nth == 0 { ExceptionChange::Claimed } else { ExceptionChange::Commented };
        take(&store, number, "mallory", change, 10 + nth).await.unwrap();
    }
    let found = trail(&store, number).await;
    assert_eq!((found.exception.revision, found.steps.len()), (STEPS_MAX, usize::try_from(STEPS_SHOWN_MAX).unwrap()));
    assert_eq!(found.steps[0].step, "commented", "the latest ones are shown");
    assert_eq!(found.exception.claimed, None, "nobody keeps others from deciding");
    let before = observe(&store).await;
    for change in [
        ExceptionChange::Claimed,
        ExceptionChange::Commented,
        ExceptionChange::Assigned { to: "mallory".to_owned() },
        rerouted("elsewhere"),
    ] {
        let spent = take(&store, number, "mallory", change, 2_000).await;
        assert!(matches!(spent, Err(StoreError::StepsSpent { steps: STEPS_MAX, .. })), "{spent:?}");
    }
    assert_eq!(observe(&store).await, before);
    // The host still tells others, and people who need others to agree still decide.
    let by_host = step(&store, number, "", escalated(Some("leads")), leaf(2_001)).await;
    store.step_exception(NewStep { who: None, ..by_host }).await.unwrap();
    take(&store, number, "ada", proposed(ExceptionAction::Abandon, 2), 2_002).await.unwrap();
    take(&store, number, "bob", approved(), 2_003).await.unwrap();
    let done = carried_out(ExceptionAction::Abandon, Effect::Close);
    take(&store, number, "cy", done, 2_004).await.unwrap();
    assert_eq!(ended(&view(&store, number).await), Some(("abandon", Some("cy"))));
}

// --- proposals -----------------------------------------------------------------------------------

pub(crate) async fn one_proposal_is_open_at_a_time_and_others_than_its_maker_agree(maker: impl Maker) {
    let store = maker.open().await;
    let number = unread(&store, 1).await;
    for (who, record) in [(None, Some(sealed(b"words", None))), (Some("ada".to_owned()), None)] {
        let step = step(&store, number, "ada", proposed(ExceptionAction::Abandon, 2), leaf(2)).await;
        let refused = store.step_exception(NewStep { who, record, ..step }).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "nobody's, or without words: {refused:?}");
    }
    take(&store, number, "ada", proposed(ExceptionAction::Abandon, 2), 2).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let open = trail(&store, number).await.proposal.unwrap();
    assert_eq!((open.digest, open.action, open.by.as_str()), (act(), ExceptionAction::Abandon, "ada"));
    assert_eq!((open.at, open.expires_at, open.approvals_needed), (NOW, NOW.plus_ms(PROPOSAL_MS), 2));
    assert_eq!(store.payload(open.record).await.unwrap(), b"words");
    let before = observe(&store).await;
    assert!(moved(&take(&store, number, "bob", proposed(ExceptionAction::Retry, 1), 3).await), "one at a time");
    assert!(moved(&take(&store, number, "ada", approved(), 3).await), "its maker agrees by nature");
    let unknown = ExceptionChange::Approved { proposal: Digest::of(b"another action") };
    assert!(moved(&take(&store, number, "bob", unknown, 3).await));
    let unknown = ExceptionChange::ProposalEnded { how: "refused", proposal: Digest::of(b"another action") };
    assert!(moved(&take(&store, number, "bob", unknown, 3).await));
    let nobody = step(&store, number, "", approved(), leaf(3)).await;
    assert!(moved(&store.step_exception(NewStep { who: None, ..nobody }).await));
    assert_eq!(observe(&store).await, before);

    take(&store, number, "bob", approved(), 4).await.unwrap();
    assert_eq!(trail(&store, number).await.proposal.unwrap().approved_by, ["bob"]);
    let before = observe(&store).await;
    assert!(moved(&take(&store, number, "bob", approved(), 5).await), "nobody counts twice");
    assert!(moved(&take(&store, number, "cy", approved(), 5).await), "the last one carries it out, and no less");
    assert_eq!(observe(&store).await, before);
    // One that ended is approved no more, and leaves room for another one.
    let ended = ExceptionChange::ProposalEnded { how: "withdrawn", proposal: act() };
    take(&store, number, "ada", ended.clone(), 6).await.unwrap();
    assert!(trail(&store, number).await.proposal.is_none());
    assert!(moved(&take(&store, number, "cy", approved(), 7).await));
    assert!(moved(&take(&store, number, "ada", ended, 7).await));
    take(&store, number, "bob", proposed(ExceptionAction::Abandon, 1), 8).await.unwrap();
    let open = trail(&store, number).await.proposal.unwrap();
    assert_eq!((open.by.as_str(), open.approved_by.len()), ("bob", 0), "with nobody who agreed to the one before");
    assert_eq!(steps(&store, number).await, ["proposed", "approved", "withdrawn", "proposed"]);
}

pub(crate) async fn what_expired_is_approved_no_more(maker: impl Maker) {
    let store = maker.open().await;
    let (first, second) = (unread(&store, 1).await, unread(&store, 2).await);
    for (number, leaf_number) in [(second, 3), (first, 4)] {
        let proposed = step(&store, number, "ada", proposed(ExceptionAction::Abandon, 1), leaf(leaf_number)).await;
        let ExceptionChange::Proposed(mut proposal) = proposed.change else { unreachable!() };
        proposal.expires_at = NOW.plus_ms(PROPOSAL_MS + i64::from(number == first));
        let change = ExceptionChange::Proposed(proposal);
        store.step_exception(NewStep { change, ..proposed }).await.unwrap();
    }
    let expired = async |after_ms, limit| store.expired_proposals(NOW.plus_ms(after_ms), limit).await.unwrap();
    assert!(expired(PROPOSAL_MS - 1, ALL).await.is_empty());
    assert_eq!(expired(PROPOSAL_MS, ALL).await, [second]);
    assert_eq!(expired(PROPOSAL_MS + 1, ALL).await, [second, first]);
    assert_eq!(expired(PROPOSAL_MS + 1, 1).await, [second]);
    let before = observe(&store).await;
    for change in [approved(), carried_out(ExceptionAction::Abandon, Effect::Close)] {
        let late = step(&store, second, "bob", change, leaf(5)).await;
        assert!(moved(&store.step_exception(NewStep { at: NOW.plus_ms(PROPOSAL_MS), ..late }).await));
    }
    assert_eq!(observe(&store).await, before);
    let over = ExceptionChange::ProposalEnded { how: "expired", proposal: act() };
    let over = step(&store, second, "", over, leaf(5)).await;
    store.step_exception(NewStep { who: None, record: None, ..over }).await.unwrap();
    assert_eq!(expired(PROPOSAL_MS + 1, ALL).await, [first]);
    // A moment earlier it counts.
    let at = NOW.plus_ms(PROPOSAL_MS);
    let in_time = step(&store, first, "bob", carried_out(ExceptionAction::Abandon, Effect::Close), leaf(6)).await;
    store.step_exception(NewStep { at, ..in_time }).await.unwrap();
    let closed = view(&store, first).await.closed;
    assert_eq!(closed, Some(ClosedException { at, who: Some("bob".to_owned()), how: "abandon".to_owned() }));
    assert!(expired(99 * PROPOSAL_MS, ALL).await.is_empty());
}

pub(crate) async fn too_few_carry_nothing_out_and_the_last_one_all_of_it(maker: impl Maker) {
    let store = maker.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let number = waiting(&store, "PO-1").await;
    take(&store, number, "ada", proposed(ExceptionAction::Reject, 2), 3).await.unwrap();
    let before = observe(&store).await;
    let done = || carried_out(ExceptionAction::Reject, rejection());
    assert!(moved(&take(&store, number, "ada", done(), 4).await), "its maker");
    assert!(moved(&take(&store, number, "bob", done(), 4).await), "one of two");
    assert_eq!(observe(&store).await, before, "nor is one kept who agreed");
    take(&store, number, "bob", approved(), 4).await.unwrap();
    let before = observe(&store).await;
    assert!(moved(&take(&store, number, "bob", done(), 5).await), "the same one again");
    let another = step(&store, number, "cy", carried_out(ExceptionAction::ReleaseHolds, Effect::ReviewHolds), leaf(5));
    let review = NewReview {
        who: Some("cy".to_owned()),
        step: Some(another.await),
        ..cleared(&kept_back(&store, "PO-1").await, leaf(6))
    };
    let refused = store.commit_review(review).await;
    assert!(moved(&refused), "another action than was proposed: {refused:?}");
    assert_eq!(observe(&store).await, before);
    take(&store, number, "cy", done(), 7).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let found = trail(&store, number).await;
    assert_eq!((ended(&found.exception), found.proposal.is_none()), (Some(("reject", Some("cy"))), true));
    assert_eq!(store.order(order_id("PO-1")).await.unwrap().unwrap().state, OrderState::Refused);
    assert_eq!(steps(&store, number).await, ["proposed", "approved", "reject"]);
    // Whoever decides alone ends what another one proposed.
    let number = unread(&store, 11).await;
    take(&store, number, "ada", proposed(ExceptionAction::Resubmit, 1), 12).await.unwrap();
    take(&store, number, "bob", resolved(ExceptionAction::Abandon, Effect::Close), 13).await.unwrap();
    assert!(trail(&store, number).await.proposal.is_none());
    assert!(store.expired_proposals(NOW.plus_ms(PROPOSAL_MS), ALL).await.unwrap().is_empty());
}

// --- what is decided -----------------------------------------------------------------------------

pub(crate) async fn what_happens_is_what_the_action_says(maker: impl Maker) {
    use ExceptionAction::{Abandon, ConfirmHolds, Correct, Reject, ReleaseHolds, Resubmit, Retry};
    let store = maker.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let (order, letter) = (waiting(&store, "PO-1").await, dead_letter(&store, 11, "PO-2").await);
    let (document, unread) = (unmapped(&store, 21, "PO-3").await, unread(&store, 31).await);
    let before = observe(&store).await;
    for (number, action, effect) in [
        (order, ReleaseHolds, Effect::Close),
        (order, ReleaseHolds, Effect::ReviewHolds),
        (order, ReleaseHolds, rejection()),
        (order, Reject, Effect::Close),
        (order, ConfirmHolds, Effect::Close),
        (order, Abandon, Effect::Close),
        (letter, Abandon, Effect::Close),
        (letter, Abandon, Effect::ReplayDelivery),
        (letter, Retry, Effect::Close),
        (letter, Retry, Effect::AbandonDelivery),
        (letter, Retry, Effect::DecideAgain),
        (letter, Retry, Effect::CorrectDelivery),
        (letter, Correct, Effect::ReplayDelivery),
        (letter, Correct, Effect::Close),
        (document, Correct, Effect::CorrectDelivery),
        (letter, Reject, rejection()),
        (document, Retry, Effect::Close),
        (document, Retry, Effect::ReplayDelivery),
        (document, Abandon, Effect::DecideAgain),
        (document, Resubmit, Effect::Close),
        (unread, Retry, Effect::DecideAgain),
        (unread, Reject, rejection()),
    ] {
        let refused = take(&store, number, "ada", resolved(action, effect.clone()), 99).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{action:?} as {effect:?}: {refused:?}");
    }
    assert_eq!(observe(&store).await, before);
    for (number, action, effect) in [
        (order, Reject, rejection()),
        (letter, Retry, Effect::ReplayDelivery),
        (document, Abandon, Effect::Close),
        (unread, Resubmit, Effect::Close),
    ] {
        take(&store, number, "ada", resolved(action, effect), 100 + number).await.unwrap();
        assert_eq!(ended(&view(&store, number).await), Some((action.as_str(), Some("ada"))));
    }
    assert!(store.exceptions(ALL).await.unwrap().is_empty());
    assert_eq!(store.summary().await.unwrap().exceptions_open, 0);
}

/// The sender of an order wants it otherwise; two leaves, from a number on. Its exception, and where
/// that is said.
pub(super) async fn wanted_otherwise(store: &Arc<dyn Store>, number: u64, key: &str) -> (u64, DocumentPosition) {
    keep(store, input(number, &[key])).await;
    let document = next(store).await;
    let position = document.position();
    let mut decision = about_order(document, "PO-1", OrderEventKind::Changed, leaf(number + 1));
    event_in(&mut decision).exceptions = vec![waits(ExceptionKind::Change, "changed-order")];
    commit(store, decision).await.unwrap();
    (store.exceptions(ALL).await.unwrap().last().unwrap().id, position)
}

/// Customers hear of a change.
fn told(content: Content) -> Effect {
    let (target, kind) = ("customers".to_owned(), "x12/865".to_owned());
    Effect::AnswerChange { outbox: vec![NewOutbox { target, kind, content }] }
}

pub(crate) async fn a_change_is_answered_by_what_it_said_itself_in_the_same_transaction(maker: impl Maker) {
    use ExceptionAction::{Abandon, AcceptChange, RefuseChange, Reject};
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let mut changes = Vec::new();
    for (base, key) in [(11, "CH-1"), (21, "CH-2")] {
        changes.push(wanted_otherwise(&store, base, key).await);
    }
    let ((second, other), (first, position)) = (changes.pop().unwrap(), changes.pop().unwrap());
    let before = observe(&store).await;
    for (action, effect) in [
        (Abandon, Effect::Close),
        (AcceptChange, Effect::Close),
        (Reject, told(Content::Said(position))),
        (RefuseChange, told(Content::Order)),
        (RefuseChange, told(Content::Said(other))),
    ] {
        let refused = take(&store, first, "ada", resolved(action, effect.clone()), 99).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{action:?} as {effect:?}: {refused:?}");
    }
    assert_eq!(observe(&store).await, before);
    take(&store, first, "ada", resolved(RefuseChange, told(Content::Said(position))), 31).await.unwrap();
    // Where nobody is to hear it, it is decided all the same; and what the host says of it is there with it.
    let inputs = store.summary().await.unwrap().inputs;
    let accepted = resolved(AcceptChange, Effect::AnswerChange { outbox: vec![] });
    let mut accept = step(&store, second, "ada", accepted, leaf(32)).await;
    accept.says = Some(Saying { word: Box::new(input(41, &["OWN"])), is_heard: true });
    store.step_exception(accept).await.unwrap();
    assert_eq!(store.summary().await.unwrap().inputs, inputs + 1);
    let word = next(&store).await;
    commit(&store, about_order(word, "PO-1", OrderEventKind::Changed, leaf(42))).await.unwrap();
    drop(store);
    let store = maker.open().await;
    assert_eq!(ended(&view(&store, first).await), Some(("refuse-change", Some("ada"))));
    assert_eq!(ended(&view(&store, second).await), Some(("accept-change", Some("ada"))));
    let deliveries = store.order(order_id("PO-1")).await.unwrap().unwrap().deliveries;
    let deliveries: Vec<_> = deliveries.into_iter().map(|view| (view.target, view.said)).collect();
    assert_eq!(deliveries, [("erp".to_owned(), None), ("customers".to_owned(), Some(position))]);
}

pub(crate) async fn what_is_closed_says_how_and_who(maker: impl Maker) {
    let store = maker.open().await;
    let letter = dead_letter(&store, 1, "PO-1").await;
    let about = trail(&store, letter).await.about.delivery.unwrap();
    assert_eq!((about.target.as_str(), about.state.as_str(), about.replays), ("erp", "dead", 0));
    replay(&store, letter, NOW, leaf(5)).await.unwrap();
    let about = trail(&store, letter).await.about.delivery.unwrap();
    assert_eq!((about.state.as_str(), about.replays), ("pending", 1));
    assert_eq!(view(&store, letter).await.claimed, None);
    hold_back(&store, 11, "PO-2", &["credit-limit"]).await;
    let held = waiting(&store, "PO-2").await;
    store.commit_review(cleared(&kept_back(&store, "PO-2").await, leaf(13))).await.unwrap();
    let before = observe(&store).await;
    for (number, how, by) in [(letter, "retry", Some("ada")), (held, "cleared", None)] {
        for change in [ExceptionChange::Claimed, proposed(ExceptionAction::Abandon, 1), escalated(None)] {
            let closed = take(&store, number, "bob", change, 20).await;
            assert!(
                matches!(&closed, Err(StoreError::ExceptionClosed { how: found, who, .. })
                    if found == how && who.as_deref() == by),
                "{closed:?}"
            );
        }
    }
    assert_eq!(observe(&store).await, before);
    let sentence = replay(&store, letter, NOW, leaf(21)).await.unwrap_err().to_string();
    assert_eq!(sentence, format!("exception {letter} is closed already: retry by `ada`"));
}

pub(crate) async fn what_the_host_says_of_a_rejected_order_is_there_where_it_is_heard_or_paid(maker: impl Maker) {
    let store = maker.open().await;
    let paid = [
        (None, false, 0),
        (None, true, 1),
        (Some(EventOutcome::Early), false, 1),
        (Some(EventOutcome::Applied), false, 1),
        (Some(EventOutcome::Impossible), false, 0),
    ];
    for (number, (outcome, is_heard, said)) in (0..).zip(paid) {
        let (base, key) = (number * 100, format!("PO-{number}"));
        hold_back(&store, base + 1, &key, &["credit-limit"]).await;
        if let Some(outcome) = outcome {
            keep(&store, input(base + 11, &[&format!("PAID-{number}")])).await;
            let progress = (outcome == EventOutcome::Applied).then_some(NewProgress { after: 0, state: Released });
            let mut decision = moving(next(&store).await, &key, outcome, progress, leaf(base + 12));
            event_in(&mut decision).kind = OrderEventKind::PaymentSettled;
            commit(&store, decision).await.unwrap();
        }
        let exception = waiting(&store, &key).await;
        let before = store.summary().await.unwrap();
        let rejected = resolved(ExceptionAction::Reject, rejection());
        let mut reject = step(&store, exception, "ada", rejected, leaf(base + 21)).await;
        let word = Box::new(input(base + 31, &[&format!("OWN-{number}")]));
        reject.says = Some(Saying { word, is_heard });
        store.step_exception(reject).await.unwrap();
        let after = store.summary().await.unwrap();
        assert_eq!((after.inputs - before.inputs, after.undecided - before.undecided), (said, said), "{outcome:?}");
        if said > 0 {
            let document = next(&store).await;
            commit(&store, about_order(document, &key, OrderEventKind::Rejected, leaf(base + 41))).await.unwrap();
        }
    }
    // What is not rejected is not spoken of either.
    hold_back(&store, 921, "PO-9", &["credit-limit"]).await;
    let exception = waiting(&store, "PO-9").await;
    let inputs = store.summary().await.unwrap().inputs;
    let mut refused = step(&store, exception, "ada", resolved(ExceptionAction::Reject, Effect::Close), leaf(901)).await;
    refused.says = Some(Saying { word: Box::new(input(911, &["OWN-9"])), is_heard: true });
    assert!(store.step_exception(refused).await.is_err());
    assert_eq!(store.summary().await.unwrap().inputs, inputs);
}

pub(crate) async fn what_undoes_a_rejected_order_goes_out_with_its_rejection_and_is_its_own_word(maker: impl Maker) {
    let store = maker.open().await;
    let kept = hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let number = waiting(&store, "PO-1").await;
    let rejected = |content| {
        let undo = NewOutbox { target: "erp".to_owned(), kind: "undo".to_owned(), content };
        resolved(ExceptionAction::Reject, Effect::RejectOrder { why: "no".to_owned(), outbox: vec![undo] })
    };
    let before = observe(&store).await;
    for other in [Content::Order, Content::Said(DocumentPosition(kept.position.0 + 1))] {
        let refused = take(&store, number, "ada", rejected(other), 21).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{other:?}: {refused:?}");
        assert!(observe(&store).await == before, "{other:?}");
    }
    take(&store, number, "ada", rejected(Content::Said(kept.position)), 21).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    let found: Vec<_> = order.deliveries.iter().map(|row| (row.kind.as_str(), row.said, row.state.as_str())).collect();
    assert_eq!((order.state, found), (OrderState::Refused, vec![("undo", Some(kept.position), "pending")]));
    let permit = claim(&store, 0).await.remove(0);
    assert_eq!((permit.content(), permit.event()), (Content::Said(kept.position), kept.event));
}

pub(crate) async fn a_rejected_order_goes_nowhere_and_its_holds_end(maker: impl Maker) {
    let store = maker.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit", "new-customer"]).await;
    ask_to_cancel(&store, 11, "PO-1").await;
    let number = waiting(&store, "PO-1").await;
    let at = NOW.plus_ms(5);
    let reject = step(&store, number, "ada", resolved(ExceptionAction::Reject, rejection()), leaf(21)).await;
    store.step_exception(NewStep { at, ..reject }).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!((order.state, order.why.as_str()), (OrderState::Refused, "rejected by a person"));
    assert!(store.kept_back_order(order.id).await.unwrap().is_none());
    let story = store.order_trail(order.id).await.unwrap().unwrap();
    let by_ada = ClosedHold { at, who: Some("ada".to_owned()) };
    assert!(story.holds.len() == 3 && story.holds.iter().all(|hold| hold.closed.as_ref() == Some(&by_ada)));
    assert_eq!(story.leaves.last().unwrap().id, leaf(21).id());
    // Whoever asked for it is still to be answered.
    let left = store.exceptions(ALL).await.unwrap();
    assert_eq!(left.iter().map(|left| left.code.as_str()).collect::<Vec<_>>(), ["order.cancel-requested"]);
    assert!(moved(&take(&store, left[0].id, "ada", resolved(ExceptionAction::Reject, rejection()), 22).await));
    take(&store, left[0].id, "ada", resolved(ExceptionAction::Abandon, Effect::Close), 22).await.unwrap();

    // Withheld on its way: what it took of the account it does not take.
    let permits = async |number: u64, key: &str| {
        keep(&store, input(number, &[key])).await;
        let mut decision = released(next(&store).await, &[("erp", "first"), ("erp", "second")], leaf(number + 1));
        order_in(&mut decision).credit = Some(credit(100, None));
        commit(&store, decision).await.unwrap();
        claim(&store, 0).await.remove(0)
    };
    let attempt = store.begin_attempt(permits(31, "PO-2").await, lease(0), leaf(33)).await.unwrap();
    ask_to_cancel(&store, 41, "PO-2").await;
    let number = store.exceptions(ALL).await.unwrap().pop().unwrap().id;
    let reject = async |number, leaf_number| {
        let before = observe(&store).await;
        let result = take(&store, number, "ada", resolved(ExceptionAction::Reject, rejection()), leaf_number).await;
        assert!(result.is_ok() || observe(&store).await == before);
        result
    };
    assert!(moved(&reject(number, 43).await), "it may arrive");
    let unknown = Settlement::Unknown { due_at: NOW, code: "unknown".to_owned() };
    store.settle(attempt, unknown, NOW, leaf(44)).await.unwrap();
    assert!(moved(&reject(number, 45).await), "it may have arrived");
    let permit = claim(&store, 0).await.remove(0);
    store.settle_unattempted(permit, Settlement::Absent, NOW, leaf(46)).await.unwrap();
    reject(number, 47).await.unwrap();
    let order = store.order(order_id("PO-2")).await.unwrap().unwrap();
    let states: Vec<_> = order.deliveries.iter().map(|delivery| delivery.state.as_str()).collect();
    assert_eq!((order.state, &states[..]), (OrderState::Refused, &["abandoned", "abandoned"][..]));
    assert_eq!(reserved(&store, 0).await, 0);
    assert!(claim(&store, 99 * HOLD_MS).await.is_empty());
    // Given up in part, and withheld: the credit comes back with the last of it.
    let permit = permits(51, "PO-3").await;
    store.settle_unattempted(permit, dead(false), NOW, leaf(53)).await.unwrap();
    ask_to_cancel(&store, 61, "PO-3").await;
    let open = store.exceptions(ALL).await.unwrap();
    let [letter, cancel] = &open[..] else { panic!("a delivery and a request: {open:?}") };
    reject(cancel.id, 63).await.unwrap();
    assert_eq!(reserved(&store, 0).await, 100);
    let replayed = replay(&store, letter.id, NOW, leaf(64)).await;
    assert!(matches!(replayed, Err(StoreError::CancelRequested { .. })), "{replayed:?}");
    abandon(&store, letter.id, NOW, leaf(64)).await.unwrap();
    assert_eq!(reserved(&store, 0).await, 0);
}

pub(crate) async fn what_is_released_or_arrived_is_not_rejected(maker: impl Maker) {
    let store = maker.open().await;
    // On its way, with other content after it.
    release(&store, 1, "PO-1", &[("erp", "first"), ("erp", "second")]).await;
    keep(&store, input(11, &["CHANGE"])).await;
    commit(&store, about_order(next(&store).await, "PO-1", OrderEventKind::Changed, leaf(12))).await.unwrap();
    let changed = store.exceptions(ALL).await.unwrap().remove(0).id;
    assert!(moved(&take(&store, changed, "ada", resolved(ExceptionAction::Reject, rejection()), 13).await));
    // Arrived in part, and kept back for the rest.
    let permit = claim(&store, 0).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(0), leaf(14)).await.unwrap();
    ask_to_cancel(&store, 21, "PO-1").await;
    store.settle(attempt, applied(), NOW, leaf(15)).await.unwrap();
    assert_eq!(kept_back(&store, "PO-1").await.state, OrderState::Held);
    let before = observe(&store).await;
    for exception in store.exceptions(ALL).await.unwrap() {
        let refused = take(&store, exception.id, "ada", resolved(ExceptionAction::Reject, rejection()), 16).await;
        assert!(moved(&refused), "{refused:?}");
    }
    // An order that never came is none to reject.
    keep(&store, input(31, &["EARLY"])).await;
    commit(&store, about_order(next(&store).await, "PO-9", OrderEventKind::Changed, leaf(32))).await.unwrap();
    let early = store.exceptions(ALL).await.unwrap().pop().unwrap();
    assert_eq!(early.order, None);
    assert!(moved(&take(&store, early.id, "ada", resolved(ExceptionAction::Reject, rejection()), 33).await));
    let found = trail(&store, early.id).await.about;
    assert_eq!(found.input.map(|(id, _)| id), Some(input_id(31)), "it is known what said so");
    assert!(before.len() < observe(&store).await.len());
}

fn keys(documents: &[Journaled]) -> Vec<&str> {
    documents.iter().map(Journaled::key).collect()
}

pub(crate) async fn a_document_is_decided_again_and_may_become_an_order(maker: impl Maker) {
    let store = maker.open().await;
    let number = unmapped(&store, 1, "PO-1").await;
    let found = trail(&store, number).await;
    assert_eq!((found.exception.kind, found.exception.order), (ExceptionKind::Document, None));
    assert_eq!(found.about.input.map(|(id, _)| id), Some(input_id(1)));
    let position = found.about.document.unwrap();
    assert_eq!((store.summary().await.unwrap().unmapped, store.undecided(ALL, &[]).await.unwrap().len()), (1, 0));
    let again = || resolved(ExceptionAction::Retry, Effect::DecideAgain);
    take(&store, number, "ada", again(), 3).await.unwrap();
    assert!(matches!(take(&store, number, "ada", again(), 4).await, Err(StoreError::ExceptionClosed { .. })));
    drop(store);
    let store = maker.open().await;
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.unmapped, summary.undecided, summary.exceptions_open), (0, 1, 0));
    assert!(store.decision_fingerprints(crate::contract::DocumentPosition(0), ALL).await.unwrap().is_empty());
    let document = next(&store).await;
    assert_eq!((document.position(), document.first()), (position, None));
    assert_eq!(document.body(), Ok(b"body of PO-1".as_slice()));
    commit(&store, released(document, &[("erp", "order")], leaf(5))).await.unwrap();
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!((order.position, order.state), (position, OrderState::Released));
    assert_eq!(claim(&store, 0).await.len(), 1);
    // Or once more none, and then an exception of its own.
    let first = unmapped(&store, 11, "PO-2").await;
    take(&store, first, "ada", again(), 13).await.unwrap();
    let second = unmapped_next(&store, 14).await;
    assert!(second > first);
    take(&store, second, "ada", again(), 15).await.unwrap();
    assert_eq!(keys(&store.undecided(ALL, &[]).await.unwrap()), ["PO-2"]);
}

pub(crate) async fn what_is_decided_again_takes_its_turn_among_those_of_its_key(maker: impl Maker) {
    let store = maker.open().await;
    let again = || resolved(ExceptionAction::Retry, Effect::DecideAgain);
    let same = |number: u64, content: &str| {
        let mut entry = input(number, &["PO-1"]);
        entry.documents[0].content = Digest::of(content.as_bytes());
        entry
    };
    // The first try became nothing, and the sender's second one an order.
    keep(&store, same(1, "as it was")).await;
    let number = unmapped_next(&store, 2).await;
    keep(&store, same(11, "as it was")).await;
    let second = next(&store).await;
    let second_position = second.position();
    commit(&store, released(second, &[], leaf(12))).await.unwrap();
    take(&store, number, "ada", again(), 13).await.unwrap();
    let first = next(&store).await;
    let known = first.first().unwrap();
    assert_eq!((known.position, known.same_content), (second_position, true), "it repeats what came after it");
    // What comes meanwhile waits for it, although the last one of its key has been decided.
    keep(&store, same(21, "otherwise")).await;
    let handed = store.undecided(ALL, &[]).await.unwrap();
    assert_eq!(handed.iter().map(Journaled::position).collect::<Vec<_>>(), [first.position()]);
    let duplicate = Decided::Duplicate { of: second_position };
    commit(&store, decision_of(first, duplicate, Vec::new(), leaf(22))).await.unwrap();
    let third = next(&store).await;
    assert!(third.first().is_some_and(|known| known.position == second_position && !known.same_content));

    // While another one of its key is undecided it waits behind that, and before those behind.
    let unmapped = Decided::Unmapped(waits(ExceptionKind::Document, "unmapped"));
    commit(&store, decision_of(third, unmapped, Vec::new(), leaf(23))).await.unwrap();
    let number = store.exceptions(ALL).await.unwrap().pop().unwrap().id;
    keep(&store, same(31, "otherwise")).await;
    keep(&store, same(41, "once more")).await;
    let fourth = next(&store).await;
    assert_eq!(fourth.input(), input_id(31));
    take(&store, number, "ada", again(), 42).await.unwrap();
    let handed = store.undecided(ALL, &[]).await.unwrap();
    let [alone] = &handed[..] else { panic!("one of a key: {handed:?}") };
    assert_eq!((alone.input(), alone.first().map(|known| known.same_content)), (input_id(31), Some(false)));
    let known = alone.first().unwrap();
    assert_eq!(known.position, second_position, "what waits behind it came not before it");
    let change = about_order(fourth, "PO-1", OrderEventKind::Changed, leaf(43));
    let fourth_position = change.document.position();
    commit(&store, change).await.unwrap();
    let third = next(&store).await;
    assert_eq!(third.input(), input_id(21));
    let known = third.first().unwrap();
    assert_eq!((known.position, known.same_content), (fourth_position, true));
    let of = known.position;
    commit(&store, decision_of(third, Decided::Duplicate { of }, Vec::new(), leaf(44))).await.unwrap();
    let last = next(&store).await;
    assert_eq!(last.input(), input_id(41));
    commit(&store, about_order(last, "PO-1", OrderEventKind::Changed, leaf(45))).await.unwrap();
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.undecided, summary.duplicates, summary.unmapped), (0, 2, 0));
}

pub(crate) async fn what_is_lost_of_an_input_is_decided_about_all_the_same(maker: impl Maker) {
    let store = maker.open().await;
    let entry = input(1, &["PO-1"]);
    let content = entry.payload.sealed.commitment();
    keep(&store, entry).await;
    let number = unmapped_next(&store, 2).await;
    take(&store, number, "ada", proposed(ExceptionAction::Abandon, 1), 3).await.unwrap();
    take(&store, number, "bob", ExceptionChange::Commented, 4).await.unwrap();
    let words = trail(&store, number).await.proposal.unwrap().record;
    for lost in [content, words.commitment] {
        maker.harm(Harm::Lose(lost));
    }
    let found = trail(&store, number).await;
    let (_, lost) = found.about.input.unwrap();
    for lost in [lost, found.proposal.unwrap().record, found.steps[0].record.unwrap()] {
        assert!(matches!(store.payload(lost).await, Err(StoreError::Damaged(_))));
    }
    take(&store, number, "bob", carried_out(ExceptionAction::Abandon, Effect::Close), 5).await.unwrap();
}

// --- with what becomes of an order -----------------------------------------------------------------

/// A person's decision to end holds.
async fn release_step(store: &Arc<dyn Store>, number: u64, who: &str, leaf_number: u64) -> NewStep {
    let ends = resolved(ExceptionAction::ReleaseHolds, Effect::ReviewHolds);
    step(store, number, who, ends, leaf(leaf_number)).await
}

pub(crate) async fn a_release_closes_its_exception_with_it(maker: impl Maker) {
    let store = maker.open().await;
    let found = hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    hold_back(&store, 11, "PO-2", &["credit-limit"]).await;
    let (number, other) = (waiting(&store, "PO-1").await, waiting(&store, "PO-2").await);
    take(&store, number, "bob", proposed(ExceptionAction::Reject, 1), 21).await.unwrap();
    let by_ada = |step: NewStep| NewReview {
        who: Some("ada".to_owned()),
        at: NOW.plus_ms(3),
        step: Some(step),
        ..cleared(&found, leaf(31))
    };
    let before = observe(&store).await;
    let stale = NewStep { revision: 0, ..release_step(&store, number, "ada", 32).await };
    assert!(moved(&store.commit_review(by_ada(stale)).await));
    let wrong = [
        release_step(&store, other, "ada", 32).await,
        step(&store, number, "ada", resolved(ExceptionAction::Reject, rejection()), leaf(32)).await,
        step(&store, number, "ada", ExceptionChange::Commented, leaf(32)).await,
    ];
    for step in wrong {
        let refused = store.commit_review(by_ada(step)).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    }
    assert_eq!(observe(&store).await, before, "with its step nothing of the review is kept");
    store.commit_review(by_ada(release_step(&store, number, "ada", 32).await)).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let found = trail(&store, number).await;
    let closed = ClosedException { at: NOW.plus_ms(3), who: Some("ada".to_owned()), how: "release-holds".to_owned() };
    assert_eq!((found.exception.closed, found.proposal.is_none()), (Some(closed), true));
    assert_eq!(steps(&store, number).await, ["proposed", "release-holds"]);
    let story = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    let ids: Vec<_> = story.leaves.iter().map(|leaf| leaf.id).collect();
    assert_eq!(ids, [1, 2, 21, 31, 32].map(|number| leaf(number).id()));
    assert_eq!(claim(&store, 3).await.len(), 1);
    // The host's own look clears it, and ends what somebody proposed.
    take(&store, other, "bob", proposed(ExceptionAction::Reject, 1), 41).await.unwrap();
    store.commit_review(cleared(&kept_back(&store, "PO-2").await, leaf(42))).await.unwrap();
    let found = trail(&store, other).await;
    assert_eq!((ended(&found.exception), found.proposal.is_none()), (Some(("cleared", None)), true));
    assert_eq!(steps(&store, other).await, ["proposed"]);
    assert!(store.exceptions(ALL).await.unwrap().is_empty());
}

pub(crate) async fn what_still_keeps_an_order_back_keeps_its_exception(maker: impl Maker) {
    let store = maker.open().await;
    let found = hold_back(&store, 1, "PO-1", &["credit-limit", "new-customer"]).await;
    let number = waiting(&store, "PO-1").await;
    take(&store, number, "ada", ExceptionChange::Claimed, 3).await.unwrap();
    take(&store, number, "host", escalated(None), 4).await.unwrap();
    // A person ends one of two: it stays with the person.
    let due_at = Some(NOW.plus_ms(4 * HOLD_MS));
    let ends_one = NewReview {
        closed: vec![found.holds[0].number],
        who: Some("ada".to_owned()),
        state: OrderState::Held,
        queue: Some("order-desk".to_owned()),
        outbox: Vec::new(),
        due_at,
        step: Some(release_step(&store, number, "ada", 6).await),
        ..cleared(&found, leaf(5))
    };
    store.commit_review(ends_one).await.unwrap();
    let exception = view(&store, number).await;
    assert_eq!((&exception.closed, exception.revision), (&None, 3));
    assert_eq!((exception.due_at, exception.escalated_at), (due_at, None));
    assert_eq!(exception.claimed.as_ref().map(|(who, _)| who.as_str()), Some("ada"));
    // The host exchanges what is left for another cause, which is another queue's.
    take(&store, number, "ada", proposed(ExceptionAction::Reject, 1), 7).await.unwrap();
    let seen = step(&store, number, "bob", ExceptionChange::Commented, leaf(9)).await;
    let found = kept_back(&store, "PO-1").await;
    let exchanged = NewReview {
        opened: vec![hold("embargo")],
        state: OrderState::Held,
        queue: Some("export".to_owned()),
        outbox: Vec::new(),
        due_at: Some(NOW.plus_ms(9 * HOLD_MS)),
        ..cleared(&found, leaf(8))
    };
    store.commit_review(exchanged).await.unwrap();
    assert!(moved(&store.step_exception(seen).await), "it is another thing now");
    drop(store);
    let store = maker.open().await;
    let found = trail(&store, number).await;
    assert_eq!((found.exception.queue.as_str(), found.exception.claimed), ("export", None));
    assert_eq!((found.exception.due_at, found.proposal.is_none()), (Some(NOW.plus_ms(9 * HOLD_MS)), true));
    assert_eq!(steps(&store, number).await, ["claimed", "escalated", "release-holds", "proposed"]);
    assert_eq!(kept_back(&store, "PO-1").await.queue.as_deref(), Some("export"));
}

pub(crate) async fn an_order_that_failed_is_released_by_a_person_alone(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let mut decision = released(next(&store).await, &[], leaf(2));
    let order = order_in(&mut decision);
    (order.state, order.exception) = (OrderState::Exception, Some(waits(ExceptionKind::Held, "scorer-timeout")));
    commit(&store, decision).await.unwrap();
    let (found, number) = (kept_back(&store, "PO-1").await, waiting(&store, "PO-1").await);
    let before = observe(&store).await;
    let by_host = store.commit_review(cleared(&found, leaf(3))).await;
    assert!(matches!(by_host, Err(StoreError::Failed(_))), "{by_host:?}");
    assert_eq!(observe(&store).await, before);
    let by_ada = NewReview {
        who: Some("ada".to_owned()),
        step: Some(release_step(&store, number, "ada", 4).await),
        ..cleared(&found, leaf(3))
    };
    store.commit_review(by_ada).await.unwrap();
    assert_eq!(ended(&view(&store, number).await), Some(("release-holds", Some("ada"))));
    assert_eq!(store.order(order_id("PO-1")).await.unwrap().unwrap().state, OrderState::Released);
    assert_eq!(claim(&store, 0).await.len(), 1);
}

// --- reading -------------------------------------------------------------------------------------

pub(crate) async fn exceptions_are_listed_by_queue_and_customer_page_by_page(maker: impl Maker) {
    let store = maker.open().await;
    let (acme, zenith) = (Digest::of(b"acme"), Digest::of(b"zenith"));
    for nth in 0..9_u64 {
        keep(&store, input(10 * nth + 1, &[&format!("PO-{nth}")])).await;
        let mut decision = held(next(&store).await, &["credit-limit"], leaf(10 * nth + 2));
        let order = order_in(&mut decision);
        order.customer_event.customer = if nth % 2 == 0 { acme } else { zenith };
        order.exception.as_mut().unwrap().queue = format!("queue-{}", nth % 3);
        commit(&store, decision).await.unwrap();
    }
    // An order's other exceptions are none of what keeps it back, and neither is a closed one.
    ask_to_cancel(&store, 101, "PO-0").await;
    let last = waiting(&store, "PO-8").await;
    take(&store, last, "ada", resolved(ExceptionAction::Reject, rejection()), 111).await.unwrap();
    let wanted = async |queues: &[&str], customer: Option<Digest>, after: u64, limit: u32| -> Vec<u64> {
        let queues = queues.iter().map(|queue| (*queue).to_owned()).collect();
        let wanted = ExceptionsWanted { queues, customer, after, limit, ..ExceptionsWanted::default() };
        let found = store.exceptions_wanted(wanted).await.unwrap();
        found.into_iter().map(|exception| exception.id).collect()
    };
    let number = async |key: &str| waiting(&store, key).await;
    let (zero, three, six) = (number("PO-0").await, number("PO-3").await, number("PO-6").await);
    let (two, five) = (number("PO-2").await, number("PO-5").await);
    assert_eq!(wanted(&[], None, 0, ALL).await.len(), 9);
    assert_eq!(wanted(&["queue-0"], None, 0, ALL).await, [zero, three, six]);
    assert_eq!(wanted(&["queue-2", "queue-0", "queue-2"], None, 0, ALL).await, [zero, two, three, five, six]);
    assert_eq!(wanted(&["queue-2", "queue-0"], None, zero, 2).await, [two, three]);
    assert_eq!(wanted(&["queue-2", "queue-0"], None, three, 2).await, [five, six]);
    assert_eq!(wanted(&["queue", "queue-"], None, 0, ALL).await, Vec::<u64>::new());
    assert_eq!(wanted(&[], Some(acme), 0, ALL).await, [zero, two, number("PO-4").await, six]);
    assert_eq!(wanted(&[], Some(acme), two, 1).await, [number("PO-4").await]);
    assert_eq!(wanted(&["queue-0"], Some(acme), 0, ALL).await, [zero, six]);
    assert_eq!(wanted(&["queue-0", "queue-1"], Some(zenith), 0, 1).await, [number("PO-1").await]);
    assert_eq!(wanted(&[], Some(Digest::of(b"nobody")), 0, ALL).await, Vec::<u64>::new());
    let mut paged = Vec::new();
    loop {
        let page = wanted(&[], None, paged.last().copied().unwrap_or(0), 2).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, wanted(&[], None, 0, ALL).await);
    let all: Vec<_> = store.exceptions(ALL).await.unwrap().into_iter().map(|exception| exception.id).collect();
    assert_eq!(paged, all);
}

pub(crate) async fn exceptions_are_listed_by_kind_alone_and_in_a_queue(maker: impl Maker) {
    let store = maker.open().await;
    for nth in 0..3_u64 {
        keep(&store, input(10 * nth + 1, &[&format!("PO-{nth}")])).await;
        commit(&store, held(next(&store).await, &["credit-limit"], leaf(10 * nth + 2))).await.unwrap();
    }
    ask_to_cancel(&store, 101, "PO-0").await;
    let all = store.exceptions(ALL).await.unwrap();
    let of = |kind: ExceptionKind| all.iter().filter(move |exception| exception.kind == kind);
    assert!(of(ExceptionKind::Held).count() == 3 && of(ExceptionKind::Order).count() == 1, "{all:?}");
    for kind in ExceptionKind::ALL {
        let wanted = ExceptionsWanted { kind: Some(kind), limit: ALL, ..ExceptionsWanted::default() };
        let found = store.exceptions_wanted(wanted.clone()).await.unwrap();
        assert_eq!(found, of(kind).cloned().collect::<Vec<_>>(), "{kind:?}");
        let Some(first) = found.first() else { continue };
        let queues = vec![first.queue.clone()];
        let in_queue = store.exceptions_wanted(ExceptionsWanted { queues, limit: 1, ..wanted }).await.unwrap();
        assert_eq!(in_queue.first(), Some(first));
    }
}

pub(crate) async fn it_is_known_whose_an_input_is_and_who_mended_it(maker: impl Maker) {
    let store = maker.open().await;
    let mut elsewhere = input(1, &[]);
    let shop = ChannelId::parse("shop").unwrap();
    elsewhere.channel = shop.clone();
    let other = crate::contract::InputId::derive(&shop, &sender(), elsewhere.content);
    keep(&store, elsewhere).await;
    assert_eq!(store.input_sender(other).await.unwrap(), Some((shop, sender())));
    assert_eq!(store.input_sender(input_id(1)).await.unwrap(), None);
    // What was mended is somebody's work, for all that comes of it.
    let mut mended = input(11, &["PO-1", "PO-2"]);
    (mended.mended_by, mended.exceptions) = (Some("ada".to_owned()), vec![waits(ExceptionKind::Input, "in-part")]);
    keep(&store, mended).await;
    let again = input(11, &["PO-1", "PO-2"]);
    store.journal(crate::contract::JournalEntry { mended_by: Some("eve".to_owned()), ..again }).await.unwrap();
    commit(&store, held(next(&store).await, &["credit-limit"], leaf(12))).await.unwrap();
    unmapped_next(&store, 13).await;
    drop(store);
    let store = maker.open().await;
    assert_eq!(store.input_sender(input_id(11)).await.unwrap(), Some((channel(), sender())));
    let all = store.exceptions(ALL).await.unwrap();
    assert_eq!(all.len(), 3);
    for exception in all {
        let about = trail(&store, exception.id).await.about;
        assert_eq!((about.makers, about.disposition), (vec!["ada".to_owned()], Some(Disposition::Documents)));
        assert_eq!(about.input.map(|(id, _)| id), Some(input_id(11)), "{}", exception.code);
    }
    release(&store, 21, "PO-3", &[]).await;
    let plain = unread(&store, 31).await;
    let about = trail(&store, plain).await.about;
    assert_eq!((about.makers.len(), about.disposition), (0, Some(Disposition::Unparsed)));
}

pub(crate) async fn it_is_known_by_which_route_it_came(maker: impl Maker) {
    let store = maker.open().await;
    let dead = dead_letter(&store, 1, "PO-1").await;
    hold_back(&store, 11, "PO-2", &["credit-limit"]).await;
    let held = waiting(&store, "PO-2").await;
    let unmapped = unmapped(&store, 21, "PO-3").await;
    let shop = ChannelId::parse("shop").unwrap();
    let mut elsewhere = input(31, &[]);
    (elsewhere.channel, elsewhere.disposition) = (shop.clone(), Disposition::Unparsed);
    elsewhere.exceptions = vec![waits(ExceptionKind::Input, "unread")];
    keep(&store, elsewhere).await;
    let unread = store.exceptions(ALL).await.unwrap().last().unwrap().id;
    let edi = || Some(channel());
    let expected =
        [(dead, edi(), Some("erp")), (held, edi(), None), (unmapped, edi(), None), (unread, Some(shop), None)];
    for (number, channel, target) in expected {
        let found = view(&store, number).await;
        assert_eq!((&found.channel, found.target.as_deref()), (&channel, target), "{}", found.code);
        let listed = store.exceptions(ALL).await.unwrap().into_iter().find(|listed| listed.id == number);
        assert_eq!(listed, Some(found), "a list tells the same");
    }
}

pub(crate) async fn what_people_said_goes_with_the_content_of_its_input(maker: impl Maker) {
    let store = maker.open().await;
    let later = NOW.plus_ms(1_000);
    // About an order: two words of people, and a proposal that was carried out.
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let of_order = waiting(&store, "PO-1").await;
    take(&store, of_order, "ada", ExceptionChange::Commented, 3).await.unwrap();
    take(&store, of_order, "ada", proposed(ExceptionAction::Reject, 1), 4).await.unwrap();
    let subject = store.payloads_about(Digest::of(b"customer")).await.unwrap();
    let words: Vec<_> = trail(&store, of_order).await.steps.iter().map(|step| step.record.unwrap()).collect();
    assert!(words.iter().all(|record| subject.contains(record)), "also an erasure finds them");
    let done = step(&store, of_order, "bob", carried_out(ExceptionAction::Reject, rejection()), leaf(5)).await;
    let forget = async |number: u64, before: Instant, leaf_number: u64| {
        store.forget(vec![input_id(number)], before, later, leaf(leaf_number)).await.unwrap()
    };
    assert_eq!(forget(1, later, 90).await, None, "it is kept back");
    store.step_exception(NewStep { at: NOW.plus_ms(500), ..done }).await.unwrap();
    assert_eq!(forget(1, NOW.plus_ms(500), 90).await, None, "it came to rest then, not before");
    let words = trail(&store, of_order).await.steps;
    assert_eq!(forget(1, NOW.plus_ms(501), 90).await, Some(Forgotten { inputs: 1, orders: 1, payloads: 4 + 3 }));
    // About a document, and about an input; without words, too.
    let of_document = unmapped(&store, 11, "PO-2").await;
    take(&store, of_document, "ada", resolved(ExceptionAction::Abandon, Effect::Close), 13).await.unwrap();
    let of_input = unread(&store, 21).await;
    let claimed = step(&store, of_input, "ada", ExceptionChange::Claimed, leaf(22)).await;
    store.step_exception(NewStep { record: None, ..claimed }).await.unwrap();
    assert_eq!(forget(21, later, 92).await, None, "it waits for a person");
    take(&store, of_input, "ada", resolved(ExceptionAction::Resubmit, Effect::Close), 23).await.unwrap();
    let (in_document, in_input) = (trail(&store, of_document).await.steps, trail(&store, of_input).await.steps);
    assert_eq!(forget(11, later, 91).await, Some(Forgotten { inputs: 1, orders: 0, payloads: 2 + 1 }));
    assert_eq!(forget(21, later, 92).await, Some(Forgotten { inputs: 1, orders: 0, payloads: 1 + 1 }));
    for (number, told) in [(of_order, words), (of_document, in_document), (of_input, in_input)] {
        let found = trail(&store, number).await;
        assert_eq!((&found.steps, found.exception.detail.as_str()), (&told, crate::contract::FORGOTTEN), "rows stay");
        for gone in told.iter().filter_map(|step| step.record) {
            assert!(matches!(store.payload(gone).await, Err(StoreError::Erased(found)) if found == gone.commitment));
        }
    }
}

// --- all or nothing ------------------------------------------------------------------------------

pub(crate) async fn a_step_and_what_it_causes_are_there_together_or_not_at_all<M: Maker>(_: M) {
    use ExceptionAction::{Abandon, AcceptChange, Correct, Reject, Retry};
    let order = ExceptionKind::Held;
    for (kind, change) in [
        (order, ExceptionChange::Claimed),
        (order, ExceptionChange::Commented),
        (order, rerouted("fraud")),
        (order, escalated(Some("leads"))),
        (order, ExceptionChange::Confirmed { due_at: None }),
        (order, proposed(Reject, 1)),
        (order, resolved(Reject, rejection())),
        (ExceptionKind::Document, resolved(Retry, Effect::DecideAgain)),
        (ExceptionKind::Document, resolved(Abandon, Effect::Close)),
        (ExceptionKind::Change, resolved(AcceptChange, told(Content::Said(DocumentPosition(2))))),
        (ExceptionKind::Delivery, resolved(Retry, Effect::ReplayDelivery)),
        (ExceptionKind::Delivery, resolved(Correct, Effect::CorrectDelivery)),
        (ExceptionKind::Delivery, resolved(Abandon, Effect::AbandonDelivery)),
        (ExceptionKind::Input, resolved(Retry, Effect::Close)),
        (ExceptionKind::Plugin, resolved(Retry, Effect::Close)),
        (ExceptionKind::Plugin, ExceptionChange::Cleared),
        (ExceptionKind::Poll, resolved(Abandon, Effect::Close)),
        (ExceptionKind::Difference, resolved(Abandon, Effect::Close)),
    ] {
        let mut without_fault = Vec::new();
        for fault in [None, Some(Fault::NotPersisted), Some(Fault::Persisted)] {
            let maker = M::new();
            let store = maker.open().await;
            let number = match kind {
                ExceptionKind::Held | ExceptionKind::Order => {
                    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
                    waiting(&store, "PO-1").await
                }
                ExceptionKind::Document => unmapped(&store, 1, "PO-1").await,
                ExceptionKind::Change => {
                    release(&store, 1, "PO-1", &[("erp", "order")]).await;
                    wanted_otherwise(&store, 11, "CH-1").await.0
                }
                ExceptionKind::Delivery => dead_letter(&store, 1, "PO-1").await,
                ExceptionKind::Input => unread(&store, 1).await,
                ExceptionKind::Plugin => quarantined(&store, 1).await,
                ExceptionKind::Poll => super::poll::failing(&store, 1).await,
                ExceptionKind::Difference => super::reconcile::differing(&store, 1).await,
            };
            let before = observe(&store).await;
            let seen = async || step(&store, number, "ada", change.clone(), leaf(60)).await;
            let (first, repeated) = (seen().await, seen().await);
            maker.fail_next_commit(fault);
            let result = store.step_exception(first).await;
            assert_eq!(result.is_ok(), fault.is_none(), "{change:?}, {fault:?}: {result:?}");
            drop(store);
            let store = maker.open().await;
            let found = observe(&store).await;
            match fault {
                None => without_fault = found,
                Some(Fault::NotPersisted) => assert_eq!(found, before, "{change:?}"),
                Some(Fault::Persisted) => assert_eq!(found, without_fault, "{change:?}"),
            }
            // The same once more changes nothing that is there, and makes up for what is not.
            let again = store.step_exception(repeated).await;
            match fault {
                Some(Fault::NotPersisted) => again.unwrap(),
                _ => assert!(
                    matches!(again, Err(StoreError::ExceptionMoved { .. } | StoreError::ExceptionClosed { .. })),
                    "{change:?}: {again:?}"
                ),
            }
            assert_eq!(observe(&store).await, without_fault, "{change:?}, {fault:?}");
        }
    }
}

/// An order that waits for a person twice, by no fault of the store.
pub(crate) async fn all_that_keeps_an_order_back_ends_with_it(maker: impl Maker) {
    let store = maker.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    keep(&store, input(11, &["CHANGE"])).await;
    let mut change = about_order(next(&store).await, "PO-1", OrderEventKind::Changed, leaf(12));
    if let Decided::Event(event) = &mut change.decided {
        event.exceptions = vec![NewException { kind: ExceptionKind::Held, ..exception("changed-order") }];
    }
    commit(&store, change).await.unwrap();
    let all = store.exceptions(ALL).await.unwrap();
    let [first, second] = &all[..] else { panic!("two: {all:?}") };
    take(&store, second.id, "bob", proposed(ExceptionAction::Reject, 1), 13).await.unwrap();
    take(&store, first.id, "ada", resolved(ExceptionAction::Reject, rejection()), 14).await.unwrap();
    for number in [first.id, second.id] {
        let found = trail(&store, number).await;
        assert_eq!((ended(&found.exception), found.proposal.is_none()), (Some(("reject", Some("ada"))), true));
    }
    // What was tried before somebody asked to cancel it is given up, and tried no more.
    release(&store, 21, "PO-2", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(0), leaf(23)).await.unwrap();
    ask_to_cancel(&store, 31, "PO-2").await;
    store.settle(attempt, retry(1), NOW, leaf(33)).await.unwrap();
    let number = store.exceptions(ALL).await.unwrap().pop().unwrap().id;
    take(&store, number, "ada", resolved(ExceptionAction::Reject, rejection()), 34).await.unwrap();
    assert_eq!(store.order(order_id("PO-2")).await.unwrap().unwrap().deliveries[0].state, "abandoned");
}
