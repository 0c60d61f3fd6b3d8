//! Subscriptions: who asks for one, what is known of it, and what people hear.

use std::sync::Arc;

use portreeve_model::{Digest, ExceptionKind};

use super::Maker;
use super::fixture::{ALL, LEASE_MS, NOW, leaf, leaves, waits};
use crate::contract::{HeldSubscription, PollFailure, Store, StoreError, SubscriptionEnd, SubscriptionView};
use crate::proof::SubscriptionPermit;

/// How long after the beginning the subscriptions here are due again, and how long they hold.
const HOUR_MS: i64 = 3_600_000;

fn about() -> Digest {
    Digest::of(b"about")
}

pub(crate) async fn try_claim(
    store: &Arc<dyn Store>,
    after_ms: i64,
    number: u64,
) -> Result<Option<SubscriptionPermit>, StoreError> {
    let now = NOW.plus_ms(after_ms);
    store.claim_subscription("erp", about(), now, now.plus_ms(LEASE_MS), leaf(number)).await
}

pub(crate) async fn claim(store: &Arc<dyn Store>, after_ms: i64, number: u64) -> Option<SubscriptionPermit> {
    try_claim(store, after_ms, number).await.unwrap()
}

fn held(id: &str) -> HeldSubscription {
    HeldSubscription { external_id: id.to_owned(), until: NOW.plus_ms(2 * HOUR_MS) }
}

/// The source gave it, and it is due in an hour.
pub(crate) fn given(id: &str, number: u64) -> SubscriptionEnd {
    SubscriptionEnd { due_at: NOW.plus_ms(HOUR_MS), outcome: Ok(held(id)), wakes: false, leaf: leaf(number) }
}

fn refused(number: u64, is_told: bool) -> SubscriptionEnd {
    let exception = is_told.then(|| waits(ExceptionKind::Poll, "subscription-fails"));
    let outcome = Err(PollFailure { code: "invalid".to_owned(), exception });
    SubscriptionEnd { due_at: NOW, outcome, wakes: false, leaf: leaf(number) }
}

async fn seen(store: &Arc<dyn Store>) -> SubscriptionView {
    store.subscription("erp").await.unwrap().unwrap()
}

pub(crate) async fn a_subscription_is_asked_for_by_one_at_a_time_with_a_leaf_before_and_one_behind(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    assert_eq!(one.subscription("erp").await.unwrap(), None);
    let first = claim(&one, 0, 1).await.unwrap();
    assert_eq!((first.held(), first.failures(), first.is_told()), (None, 0, false));
    assert!(claim(&other, LEASE_MS - 1, 2).await.is_none(), "somebody asks for it");
    assert_eq!(leaves(&one).await.len(), 1, "who does not ask has no leaf");
    let second = claim(&other, LEASE_MS, 3).await.unwrap();
    assert_ne!(first.epoch(), second.epoch());
    let late = one.end_subscription(first, given("S", 4), NOW).await;
    assert!(matches!(late, Err(StoreError::SubscriptionMoved { .. })), "{late:?}");
    assert_eq!((leaves(&one).await.len(), seen(&one).await.held), (2, None), "nothing of it was written");
    other.end_subscription(second, given("S", 5), NOW).await.unwrap();
    assert!(claim(&other, HOUR_MS - 1, 6).await.is_none(), "it is not due");
    let found = seen(&other).await;
    assert_eq!((found.held, found.renewed_at, found.code), (Some(held("S")), Some(NOW), None));
    let third = claim(&other, HOUR_MS, 7).await.unwrap();
    assert_eq!(third.held(), Some(&held("S")));
    drop((one, other));
    // Whoever asked lives no more.
    let store = maker.open().await;
    assert!(claim(&store, HOUR_MS, 8).await.is_some());
    let late = store.end_subscription(third, given("S", 9), NOW).await;
    assert!(matches!(late, Err(StoreError::SubscriptionMoved { .. })), "{late:?}");
}

pub(crate) async fn what_is_asked_for_otherwise_is_due_at_once_and_was_given_by_nobody(maker: impl Maker) {
    let store = maker.open().await;
    let permit = claim(&store, 0, 1).await.unwrap();
    store.end_subscription(permit, given("S", 2), NOW).await.unwrap();
    let (other, now) = (Digest::of(b"another secret"), NOW.plus_ms(1));
    assert!(!seen(&store).await.is_due(about(), now) && seen(&store).await.is_due(other, now));
    let permit = store.claim_subscription("erp", other, now, now.plus_ms(LEASE_MS), leaf(3)).await.unwrap().unwrap();
    assert_eq!((permit.held(), seen(&store).await.about), (None, other));
}

pub(crate) async fn of_a_subscription_that_fails_people_hear_until_it_is_given_and_what_was_missed_is_fetched(
    maker: impl Maker,
) {
    let store = maker.open().await;
    let permit = claim(&store, 0, 1).await.unwrap();
    store.end_subscription(permit, given("S", 2), NOW).await.unwrap();
    for (number, is_told) in [(3, false), (5, true)] {
        let permit = claim(&store, HOUR_MS, number).await.unwrap();
        store.end_subscription(permit, refused(number + 1, is_told), NOW.plus_ms(HOUR_MS)).await.unwrap();
    }
    let found = seen(&store).await;
    assert_eq!((found.failures, found.failing_since), (2, Some(NOW.plus_ms(HOUR_MS))));
    assert_eq!((found.code.as_deref(), found.held), (Some("invalid"), Some(held("S"))), "it holds still");
    assert_eq!(store.exceptions(ALL).await.unwrap()[0].code, "subscription-fails");
    assert_eq!(store.poll("erp").await.unwrap(), None);
    let permit = claim(&store, HOUR_MS, 7).await.unwrap();
    assert!(permit.is_told());
    let end = SubscriptionEnd { wakes: true, ..given("T", 8) };
    store.end_subscription(permit, end, NOW.plus_ms(HOUR_MS)).await.unwrap();
    let found = seen(&store).await;
    assert_eq!((found.failures, found.failing_since, found.code), (0, None, None));
    assert_eq!(found.held.map(|held| held.external_id).as_deref(), Some("T"));
    assert!(store.exceptions(ALL).await.unwrap().is_empty(), "it works again");
    assert!(store.poll("erp").await.unwrap().unwrap().is_due(NOW.plus_ms(HOUR_MS)), "what was missed is fetched");
    assert_eq!(leaves(&store).await.len(), 8);
}
