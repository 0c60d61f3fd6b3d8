//! Numbered deliveries: one number each, whatever happens to the attempt, and what receivers say
//! of them.

use std::sync::Arc;

use portreeve_model::{ExceptionKind, Instant};

use super::fixture::{
    ALL, NOW, applied, claim, commit, dead, decision_of, input, keep, leaf, lease, next, order_id, release, retry,
    waits,
};
use super::{Fault, Maker};
use crate::contract::{Decided, InterchangeAnswer, NewAnswer, NewException, Numbering, Store, StoreError};
use crate::proof::Permit;

pub(crate) const HOUR_MS: i64 = 3_600_000;

pub(crate) fn to(partner: &str) -> Numbering {
    Numbering { partner: partner.to_owned(), within_ms: Some(HOUR_MS) }
}

/// The only delivery that is due, with a number of this receiver.
async fn numbered(store: &Arc<dyn Store>, partner: &str) -> Permit {
    let permit = claim(store, 0).await.remove(0);
    store.number_delivery(permit, to(partner), NOW).await.unwrap()
}

fn number(permit: &Permit) -> u64 {
    permit.interchange().unwrap().number
}

/// A delivery of this order that is done under the receiver's next number.
pub(crate) async fn sent(store: &Arc<dyn Store>, first_leaf: u64, key: &str, partner: &str) -> u64 {
    release(store, first_leaf, key, &[("edi", "x12/810")]).await;
    let permit = numbered(store, partner).await;
    let number = number(&permit);
    let attempt = store.begin_attempt(permit, lease(0), leaf(first_leaf + 2)).await.unwrap();
    store.settle(attempt, applied(), NOW, leaf(first_leaf + 3)).await.unwrap();
    number
}

pub(crate) fn answers(key: &str, partner: &str, number: u64, answer: Option<InterchangeAnswer>) -> NewAnswer {
    NewAnswer { partner: partner.to_owned(), number, order: order_id(key), answer, exceptions: Vec::new() }
}

/// A document that says so, decided.
pub(crate) async fn heard(store: &Arc<dyn Store>, first_leaf: u64, answer: NewAnswer) -> Result<(), StoreError> {
    keep(store, input(first_leaf, &[&format!("997-{first_leaf}")])).await;
    let document = next(store).await;
    let decision = decision_of(document, Decided::Answered(answer), Vec::new(), leaf(first_leaf + 1));
    commit(store, decision).await.map(drop)
}

pub(crate) fn overdue() -> NewException {
    waits(ExceptionKind::Order, "acknowledgement-overdue")
}

async fn due(store: &Arc<dyn Store>, at: Instant) -> Vec<u64> {
    let due = store.overdue_interchanges(at, ALL).await.unwrap();
    due.into_iter().map(|view| view.interchange.number).collect()
}

pub(crate) async fn a_delivery_keeps_its_number_and_each_receiver_counts_by_itself(maker: impl Maker) {
    let store = maker.open().await;
    for (first, key, partner, expected) in [(1, "PO-1", "ZZ:A", 1), (11, "PO-2", "ZZ:A", 2), (21, "PO-3", "ZZ:B", 1)] {
        assert_eq!(sent(&store, first, key, partner).await, expected);
    }
    release(&store, 31, "PO-4", &[("edi", "x12/810")]).await;
    let permit = numbered(&store, "ZZ:A").await;
    assert_eq!((number(&permit), permit.interchange().unwrap().numbered_at), (3, NOW));
    let attempt = store.begin_attempt(permit, lease(0), leaf(33)).await.unwrap();
    assert_eq!(number(attempt.permit()), 3);
    store.settle(attempt, retry(0), NOW, leaf(34)).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let again = claim(&store, 0).await.remove(0);
    assert_eq!(number(&again), 3, "it has it when it is claimed");
    let again = store.number_delivery(again, to("ZZ:B"), NOW.plus_ms(1)).await.unwrap();
    let known = again.interchange().unwrap();
    assert_eq!((known.partner.as_str(), known.number, known.numbered_at), ("ZZ:A", 3, NOW), "whoever asks again");
    assert_eq!(store.interchange("ZZ:A", 3).await.unwrap().unwrap().order, order_id("PO-4"));
    assert_eq!(store.interchange("ZZ:B", 3).await.unwrap(), None);
}

pub(crate) async fn a_number_is_given_to_whoever_has_the_claim_alone(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("edi", "x12/810")]).await;
    let stale = claim(&store, 0).await.remove(0);
    let permit = claim(&store, 60_000).await.remove(0);
    let lost = store.number_delivery(stale, to("ZZ:A"), NOW).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost { .. })));
    assert_eq!(number(&store.number_delivery(permit, to("ZZ:A"), NOW).await.unwrap()), 1);
}

pub(crate) async fn a_number_is_there_or_not_and_none_is_given_twice_whatever_fails(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("edi", "x12/810")]).await;
    release(&store, 11, "PO-2", &[("edi", "x12/810")]).await;
    let mut permits = claim(&store, 0).await;
    let (second, first) = (permits.remove(1), permits.remove(0));
    maker.fail_next_commit(Some(Fault::NotPersisted));
    assert!(store.number_delivery(first, to("ZZ:A"), NOW).await.is_err());
    maker.fail_next_commit(Some(Fault::Persisted));
    assert!(store.number_delivery(second, to("ZZ:A"), NOW).await.is_err());
    maker.fail_next_commit(None);
    drop(store);
    let store = maker.open().await;
    let mut numbers = Vec::new();
    for permit in claim(&store, 0).await {
        let order = permit.order().unwrap();
        let permit = store.number_delivery(permit, to("ZZ:A"), NOW).await.unwrap();
        numbers.push((order, number(&permit)));
    }
    numbers.sort_by_key(|(_, number)| *number);
    assert_eq!(numbers, [(order_id("PO-2"), 1), (order_id("PO-1"), 2)]);
}

pub(crate) async fn an_answer_is_there_with_its_document_and_the_first_one_counts(maker: impl Maker) {
    let store = maker.open().await;
    let number = sent(&store, 1, "PO-1", "ZZ:A").await;
    assert_eq!(store.summary().await.unwrap().unacknowledged, 1);
    // That something came is no answer yet.
    heard(&store, 11, answers("PO-1", "ZZ:A", number, None)).await.unwrap();
    assert_eq!(store.interchange("ZZ:A", number).await.unwrap().unwrap().interchange.answer, None);
    heard(&store, 21, answers("PO-1", "ZZ:A", number, Some(InterchangeAnswer::Accepted))).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let found = store.interchange("ZZ:A", number).await.unwrap().unwrap();
    assert_eq!(found.interchange.answer, Some(InterchangeAnswer::Accepted));
    assert!(found.said.is_some());
    let trail = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    for number in [12, 22] {
        assert!(trail.leaves.iter().any(|found| found.id == leaf(number).id()), "its leaf is in the order's story");
    }
    let view = store.order(order_id("PO-1")).await.unwrap().unwrap().deliveries.remove(0);
    assert_eq!(view.interchange.unwrap().answer, Some(InterchangeAnswer::Accepted));
    assert_eq!((store.summary().await.unwrap().unacknowledged, due(&store, NOW.plus_ms(HOUR_MS)).await), (0, vec![]));
    let late = heard(&store, 31, answers("PO-1", "ZZ:A", number, Some(InterchangeAnswer::Rejected))).await;
    assert!(matches!(late, Err(StoreError::ProgressMoved { .. })), "{late:?}");
    let stranger = heard(&store, 41, answers("PO-1", "ZZ:B", number, Some(InterchangeAnswer::Rejected))).await;
    assert!(stranger.is_err(), "nobody's delivery has that number");
}

pub(crate) async fn what_was_not_answered_in_time_is_told_once_and_closed_by_the_answer(maker: impl Maker) {
    let store = maker.open().await;
    let number = sent(&store, 1, "PO-1", "ZZ:A").await;
    let (before, after) = (NOW.plus_ms(HOUR_MS - 1), NOW.plus_ms(HOUR_MS));
    assert_eq!((due(&store, before).await, due(&store, after).await), (vec![], vec![number]));
    assert!(!store.tell_overdue("ZZ:A", number, overdue(), before, leaf(7)).await.unwrap(), "it is not due yet");
    assert!(store.tell_overdue("ZZ:A", number, overdue(), after, leaf(8)).await.unwrap());
    assert!(!store.tell_overdue("ZZ:A", number, overdue(), after, leaf(9)).await.unwrap(), "once");
    drop(store);
    let store = maker.open().await;
    assert_eq!(due(&store, after).await, Vec::<u64>::new());
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.unacknowledged, summary.acknowledgements_overdue, summary.exceptions_open), (0, 1, 1));
    let told = store.exceptions(ALL).await.unwrap().remove(0);
    assert_eq!((told.order, told.code.as_str()), (Some(order_id("PO-1")), "acknowledgement-overdue"));
    assert_eq!(told.target.as_deref(), Some("edi"), "whose owner is asked");
    let about = store.exception(told.id).await.unwrap().unwrap().about;
    assert!(about.delivery.is_none(), "and it is the end of no delivery: {about:?}");
    assert!(store.dead_letters(0, ALL).await.unwrap().is_empty());
    heard(&store, 11, answers("PO-1", "ZZ:A", number, Some(InterchangeAnswer::Accepted))).await.unwrap();
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.acknowledgements_overdue, summary.exceptions_open), (0, 0));
    let closed = store.exception(told.id).await.unwrap().unwrap().exception.closed.unwrap();
    assert_eq!((closed.who, closed.how.as_str()), (None, "cleared"));
}

pub(crate) async fn a_number_under_which_nothing_was_sent_is_not_answered(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("edi", "x12/810")]).await;
    let permit = numbered(&store, "ZZ:A").await;
    let number = number(&permit);
    let sent = async |store: &Arc<dyn Store>| store.interchange("ZZ:A", number).await.unwrap().unwrap().sent;
    assert!(!sent(&store).await, "it has a number, and no attempt");
    let attempt = store.begin_attempt(permit, lease(0), leaf(3)).await.unwrap();
    assert!(sent(&store).await, "nobody knows yet");
    store.settle(attempt, retry(0), NOW, leaf(4)).await.unwrap();
    drop(store);
    let store = maker.open().await;
    assert!(!sent(&store).await, "the attempt surely did nothing");
    for (first, answer) in [(11, Some(InterchangeAnswer::Accepted)), (21, None)] {
        let early = heard(&store, first, answers("PO-1", "ZZ:A", number, answer)).await;
        assert!(matches!(early, Err(StoreError::ProgressMoved { .. })), "{early:?}");
    }
    let permit = claim(&store, 60_000).await.remove(0);
    assert_eq!(permit.interchange().unwrap().answer, None);
    let attempt = store.begin_attempt(permit, lease(0), leaf(31)).await.unwrap();
    store.settle(attempt, dead(true), NOW, leaf(32)).await.unwrap();
    assert!(sent(&store).await, "what was given up may be there");
}

pub(crate) async fn what_was_given_up_and_is_accepted_falls_due_to_be_settled_as_found(maker: impl Maker) {
    for (first_leaf, key, answer, comes_back) in [
        (1, "PO-1", InterchangeAnswer::Accepted, true),
        (31, "PO-2", InterchangeAnswer::AcceptedWithErrors, true),
        (61, "PO-3", InterchangeAnswer::Rejected, false),
    ] {
        let store = maker.open().await;
        release(&store, first_leaf, key, &[("edi", "x12/810")]).await;
        let permit = numbered(&store, "ZZ:A").await;
        let number = number(&permit);
        let attempt = store.begin_attempt(permit, lease(0), leaf(first_leaf + 2)).await.unwrap();
        store.settle(attempt, dead(true), NOW, leaf(first_leaf + 3)).await.unwrap();
        heard(&store, first_leaf + 10, answers(key, "ZZ:A", number, Some(answer))).await.unwrap();
        drop(store);
        let store = maker.open().await;
        let open = store.exceptions(ALL).await.unwrap().len();
        let mut permits = claim(&store, 0).await;
        assert_eq!((open, permits.len()), if comes_back { (0, 1) } else { (1, 0) }, "{answer:?}");
        let Some(permit) = permits.pop() else { continue };
        assert!(permit.unresolved() && permit.interchange().unwrap().answer == Some(answer));
        store.settle_unattempted(permit, applied(), NOW, leaf(first_leaf + 20)).await.unwrap();
        let delivery = store.order(order_id(key)).await.unwrap().unwrap().deliveries.remove(0);
        assert_eq!((delivery.state.as_str(), claim(&store, 0).await.len()), ("delivered", 0));
    }
}

pub(crate) async fn an_answer_may_come_before_the_host_knows_that_it_was_sent(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("edi", "x12/810")]).await;
    let permit = numbered(&store, "ZZ:A").await;
    let number = number(&permit);
    drop(store.begin_attempt(permit, lease(0), leaf(3)).await.unwrap());
    heard(&store, 11, answers("PO-1", "ZZ:A", number, Some(InterchangeAnswer::Accepted))).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let permit = claim(&store, 60_000).await.remove(0);
    assert!(permit.unresolved());
    assert_eq!(permit.interchange().unwrap().answer, Some(InterchangeAnswer::Accepted));
    store.settle_unattempted(permit, applied(), NOW, leaf(13)).await.unwrap();
    assert_eq!(store.summary().await.unwrap().unacknowledged, 0);
}
