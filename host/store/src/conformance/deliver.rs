//! Deliver: claims, leases, attempts, dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portreeve_model::{ExceptionAction, ExceptionKind, PluginName};

use super::fixture::{
    self, ALL, ASK_MS, LEASE_MS, NOW, applied, ask_to_cancel, claim, dead, leaf, lease, leaves, observe, order_id,
    release, retry, waits,
};
use super::{Fault, Maker};
use crate::contract::{
    Content, Effect, GONE, Lease, NewStep, OrderState, OutboxId, REPLAYS_MAX, Room, Settlement, Shares, StateChanges,
    Store, StoreError, WaitingDeliveries,
};
use crate::proof::Permit;

fn kinds(permits: &[Permit]) -> Vec<String> {
    permits.iter().map(|permit| permit.kind().to_owned()).collect()
}

fn outbox(key: &str, kind: &str) -> OutboxId {
    OutboxId::derive(order_id(key), "erp", kind, Content::Order)
}

pub(crate) async fn of_each_order_the_oldest_delivery_is_claimed_when_it_is_due(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.next_due().await.unwrap(), None);
    release(&store, 1, "PO-1", &[("erp", "first"), ("erp", "second")]).await;
    release(&store, 11, "PO-2", &[("erp", "first")]).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
    assert!(claim(&store, -1).await.is_empty(), "nothing before it is due");
    let mut permits = claim(&store, 0).await;
    assert_eq!(kinds(&permits), ["first", "first"]);
    let permit = permits.remove(0);
    assert_eq!((permit.outbox(), permit.attempt(), permit.tries()), (&outbox("PO-1", "first"), 1, 1));
    assert!(!permit.unresolved());
    assert_eq!((permit.order(), permit.deadline_from()), (Some(order_id("PO-1")), NOW));
    assert_eq!(store.payload(permit.event()).await.unwrap(), b"event");

    let attempt = store.begin_attempt(permit, lease(0), leaf(21)).await.unwrap();
    let settled = store.settle(attempt, applied(), NOW.plus_ms(5), leaf(22)).await.unwrap();
    assert_eq!(settled.outbox(), &outbox("PO-1", "first"));
    assert_eq!(kinds(&claim(&store, 10).await), ["second"], "the next of the order, the other one is under way");
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!((order.deliveries[0].state.as_str(), order.deliveries[0].attempts), ("delivered", 1));
    assert_eq!(order.deliveries[0].external_id.as_deref(), Some("S-1"));
}

pub(crate) async fn a_connector_remembers_about_an_order_what_its_attempts_committed(maker: impl Maker) {
    let store = maker.open().await;
    let [own, other] = ["erp", "other"].map(|name| PluginName::parse(name).unwrap());
    let changes = |changes: &[(&str, Option<&str>)]| StateChanges {
        plugin: own.clone(),
        changes: changes.iter().map(|(key, value)| ((*key).to_owned(), value.map(Into::into))).collect(),
    };
    release(&store, 1, "PO-1", &[("erp", "first")]).await;
    let attempt = store.begin_attempt(claim(&store, 0).await.remove(0), lease(0), leaf(11)).await.unwrap();
    let attempt = attempt.remembering(changes(&[("a", Some("1")), ("b", Some("2"))]));
    assert!(store.state(&own, order_id("PO-1")).await.unwrap().is_empty(), "not before the receipt");
    store.settle(attempt, retry(5), NOW, leaf(12)).await.unwrap();
    let remembered = store.state(&own, order_id("PO-1")).await.unwrap();
    assert_eq!(remembered, [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())].into());
    assert!(store.state(&other, order_id("PO-1")).await.unwrap().is_empty(), "another plugin's");
    assert!(store.state(&own, order_id("PO-2")).await.unwrap().is_empty(), "another order's");

    let permit = claim(&store, 5).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(5), leaf(13)).await.unwrap();
    let attempt = attempt.remembering(changes(&[("a", None), ("b", Some("3"))]));
    // A fault of the commit leaves the old state with the old outcome.
    maker.fail_next_commit(Some(Fault::NotPersisted));
    store.settle(attempt, applied(), NOW, leaf(14)).await.unwrap_err();
    assert_eq!(store.state(&own, order_id("PO-1")).await.unwrap(), remembered);
}

pub(crate) async fn what_waits_behind_an_earlier_delivery_is_not_due(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "first"), ("erp", "second")]).await;
    let attempt = store.begin_attempt(claim(&store, 0).await.remove(0), lease(0), leaf(11)).await.unwrap();
    store.settle(attempt, retry(5), NOW, leaf(12)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.plus_ms(5)), "when the first is tried again");
    store.settle_unattempted(claim(&store, 5).await.remove(0), dead(true), NOW, leaf(13)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), None, "a person is asked about the first");
    let dead = store.dead_letters(0, ALL).await.unwrap().remove(0);
    fixture::abandon(&store, dead.exception, NOW, leaf(14)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
}

pub(crate) async fn a_target_gets_as_many_as_it_has_room_for(maker: impl Maker) {
    let store = maker.open().await;
    for number in 0..4_u64 {
        release(&store, 1 + 10 * number, &format!("PO-{number}"), &[("erp", "order")]).await;
        release(&store, 101 + 10 * number, &format!("WH-{number}"), &[("warehouse", "order")]).await;
    }
    let (limits, taken) = (BTreeMap::from([("erp".to_owned(), 3)]), BTreeMap::from([("erp".to_owned(), 1)]));
    let room = Room { shares: Shares { limits, taken }, ..Room::default() };
    let permits = store.claim(NOW, NOW.plus_ms(LEASE_MS), ALL, room).await.unwrap();
    let to = |target: &str| permits.iter().filter(|permit| permit.target() == target).count();
    assert_eq!((to("erp"), to("warehouse")), (2, 4));
    let orders: Vec<_> = permits.iter().filter(|permit| permit.target() == "erp").map(Permit::order).collect();
    assert_eq!(orders, [Some(order_id("PO-0")), Some(order_id("PO-1"))], "what fell due first");
    let one = store.claim(NOW, NOW.plus_ms(LEASE_MS), 1, Room::default()).await.unwrap();
    assert_eq!(one.len(), 1, "no more than was asked for");
}

pub(crate) async fn a_claim_is_exclusive_until_its_lease_ends_or_its_maker_is_gone(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    assert_eq!(claim(&store, 0).await.len(), 1);
    assert!(claim(&store, LEASE_MS - 1).await.is_empty());
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.plus_ms(LEASE_MS)));
    let again = claim(&store, LEASE_MS).await;
    assert_eq!((again.len(), again[0].unresolved()), (1, false), "nothing was sent under the first claim");
    drop(store);
    let store = maker.open().await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW), "nothing was sent, so there is nothing to wait for");
    assert_eq!(claim(&store, LEASE_MS + 1).await.len(), 1);
}

pub(crate) async fn an_attempt_has_a_lease_of_its_own(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    store.begin_attempt(permit, lease(LEASE_MS - 1), leaf(11)).await.unwrap();
    assert!(claim(&store, 2 * LEASE_MS - 2).await.is_empty(), "the claim's lease has ended, and the attempt's has not");
    let permit = claim(&store, 2 * LEASE_MS - 1).await.remove(0);
    // A target may need longer than any lease.
    let slow = Lease { until: NOW.plus_ms(3 * LEASE_MS), ask_at: NOW.plus_ms(5 * LEASE_MS) };
    store.begin_attempt(permit, slow, leaf(12)).await.unwrap();
    assert!(claim(&store, 5 * LEASE_MS - 1).await.is_empty());
    assert_eq!(claim(&store, 5 * LEASE_MS).await.len(), 1);
}

pub(crate) async fn an_attempt_whose_maker_is_gone_is_asked_about_when_it_said_so(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    store.begin_attempt(permit, lease(0), leaf(11)).await.unwrap();
    drop(store);
    let store = maker.open().await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.plus_ms(ASK_MS)));
    assert!(claim(&store, ASK_MS - 1).await.is_empty(), "the target may still be at it");
    let again = claim(&store, ASK_MS).await;
    assert!(again.len() == 1 && again[0].unresolved(), "{again:?}");
    // Who was to ask is gone as well; the target had its time already.
    drop(store);
    assert_eq!(claim(&maker.open().await, ASK_MS).await.len(), 1);
}

pub(crate) async fn what_a_claimer_has_under_way_it_is_not_given_again(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "first"), ("erp", "second")]).await;
    release(&store, 11, "PO-2", &[("erp", "first")]).await;
    assert_eq!(claim(&store, 0).await.len(), 2);
    let long_after = NOW.plus_ms(100 * LEASE_MS);
    let room = Room { under_way: BTreeSet::from([outbox("PO-1", "first")]), ..Room::default() };
    let permits = store.claim(long_after, long_after.plus_ms(LEASE_MS), 1, room).await.unwrap();
    assert_eq!((permits.len(), permits[0].order()), (1, Some(order_id("PO-2"))), "it keeps nobody's place");
}

pub(crate) async fn two_who_claim_at_once_never_get_the_same(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    for number in 0..20_u64 {
        release(&one, 1 + 10 * number, &format!("PO-{number}"), &[("erp", "order")]).await;
    }
    let take = |store: Arc<dyn Store>| async move {
        store.claim(NOW, NOW.plus_ms(LEASE_MS), 3, Room::default()).await.unwrap()
    };
    let mut claims = tokio::task::JoinSet::new();
    for round in 0..10 {
        claims.spawn(take(Arc::clone(if round % 2 == 0 { &one } else { &other })));
    }
    let permits: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
    let orders: BTreeSet<_> = permits.iter().map(Permit::order).collect();
    assert_eq!((permits.len(), orders.len()), (20, 20));
}

pub(crate) async fn who_lost_the_lease_changes_nothing(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let late_to_begin = claim(&store, 0).await.remove(0);
    let late_to_settle = claim(&store, LEASE_MS).await.remove(0);
    let late_to_settle = store.begin_attempt(late_to_settle, lease(LEASE_MS), leaf(11)).await.unwrap();
    let late_unattempted = claim(&store, 2 * LEASE_MS).await.remove(0);
    let quick = claim(&store, 3 * LEASE_MS).await.remove(0);
    assert!(quick.unresolved() && quick.attempt() == 2);
    let before = observe(&store).await;
    let lost = |error: StoreError| assert!(matches!(error, StoreError::LeaseLost { .. }), "{error}");
    lost(store.begin_attempt(late_to_begin, lease(0), leaf(12)).await.unwrap_err());
    lost(store.settle(late_to_settle, applied(), NOW, leaf(13)).await.unwrap_err());
    lost(store.settle_unattempted(late_unattempted, dead(true), NOW, leaf(14)).await.unwrap_err());
    assert_eq!(observe(&store).await, before);
    store.settle_unattempted(quick, applied(), NOW, leaf(15)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), None);
}

pub(crate) async fn an_attempt_without_an_outcome_is_in_doubt_until_it_is_settled(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    store.begin_attempt(permit, lease(0), leaf(11)).await.unwrap();
    drop(store);

    let store = maker.open().await;
    let permit = claim(&store, LEASE_MS).await.remove(0);
    assert!(permit.unresolved(), "the attempt is on record and its outcome is not");
    let unknown = Settlement::Unknown { due_at: NOW.plus_ms(2 * LEASE_MS), code: "unknown".to_owned() };
    store.settle_unattempted(permit, unknown, NOW, leaf(12)).await.unwrap();
    let permit = claim(&store, 2 * LEASE_MS).await.remove(0);
    assert!(permit.unresolved());
    // A later attempt that surely failed says nothing about the earlier one.
    let attempt = store.begin_attempt(permit, lease(0), leaf(13)).await.unwrap();
    store.settle(attempt, retry(3 * LEASE_MS), NOW, leaf(14)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.plus_ms(3 * LEASE_MS)));
    assert!(claim(&store, 3 * LEASE_MS - 1).await.is_empty());
    let permit = claim(&store, 3 * LEASE_MS).await.remove(0);
    assert_eq!((permit.unresolved(), permit.attempt()), (true, 3));
    store.settle_unattempted(permit, applied(), NOW, leaf(15)).await.unwrap();
    assert_eq!(leaves(&store).await.len(), 7, "one for each write");
    assert_eq!(store.summary().await.unwrap().retried, 1);
}

pub(crate) async fn what_surely_did_nothing_leaves_no_doubt(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let unknown = || Settlement::Unknown { due_at: NOW, code: "unknown".to_owned() };
    for (number, settlement, doubts) in [(11, retry(0), 0), (21, unknown(), 1), (31, retry(0), 1), (41, unknown(), 2)] {
        let permit = claim(&store, 0).await.remove(0);
        let attempt = store.begin_attempt(permit, lease(0), leaf(number)).await.unwrap();
        store.settle(attempt, settlement, NOW, leaf(number + 1)).await.unwrap();
        let permit = claim(&store, 0).await.remove(0);
        assert_eq!(permit.doubts(), doubts);
        // What is no attempt is no doubt either.
        store.settle_unattempted(permit, unknown(), NOW, leaf(number + 2)).await.unwrap();
    }
    // Nor is one without an outcome nothing.
    let permit = claim(&store, 0).await.remove(0);
    store.begin_attempt(permit, lease(0), leaf(51)).await.unwrap();
    assert_eq!(claim(&store, LEASE_MS).await.remove(0).doubts(), 3);
}

pub(crate) async fn what_waits_is_told_by_target_with_the_oldest_of_it(maker: impl Maker) {
    let store = maker.open().await;
    assert!(store.waiting_deliveries().await.unwrap().is_empty());
    release(&store, 1, "PO-1", &[("erp", "first"), ("erp", "second"), ("wms", "order")]).await;
    release(&store, 11, "PO-2", &[("erp", "first")]).await;
    let waits = async || {
        let all = store.waiting_deliveries().await.unwrap();
        let together: u64 = all.iter().map(|waiting| waiting.pending).sum();
        assert_eq!(together, store.summary().await.unwrap().pending);
        let of = |WaitingDeliveries { target, pending, behind, oldest_since }| {
            (target, pending, behind, oldest_since.0 - NOW.0)
        };
        all.into_iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(waits().await, [("erp".to_owned(), 3, 1, 0), ("wms".to_owned(), 1, 0, 0)]);
    // Who is taken up waits from then on; the one behind still since it was made.
    let mut permits = claim(&store, 100).await;
    assert_eq!(waits().await, [("erp".to_owned(), 3, 1, 0), ("wms".to_owned(), 1, 0, 100)]);
    let wms = permits.pop().unwrap();
    assert_eq!(wms.target(), "wms");
    store.settle_unattempted(wms, applied(), NOW, leaf(21)).await.unwrap();
    // What was given up waits for a person, and what stands behind it for that.
    store.settle_unattempted(permits.remove(0), dead(true), NOW, leaf(22)).await.unwrap();
    assert_eq!(waits().await, [("erp".to_owned(), 2, 1, 0)]);
    store.settle_unattempted(permits.remove(0), retry(500), NOW, leaf(23)).await.unwrap();
    assert_eq!(waits().await, [("erp".to_owned(), 2, 1, 0)], "what is tried again waits on");
}

pub(crate) async fn a_deadline_counts_from_the_first_claim(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    for claimed in [100 * LEASE_MS, 200 * LEASE_MS] {
        let permit = claim(&store, claimed).await.remove(0);
        assert_eq!(permit.deadline_from(), NOW.plus_ms(100 * LEASE_MS), "nobody tried before");
        store.settle_unattempted(permit, retry(0), NOW, leaf(u64::try_from(claimed).unwrap())).await.unwrap();
    }
}

pub(crate) async fn after_a_request_to_cancel_no_delivery_begins(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    release(&store, 11, "PO-2", &[("erp", "order")]).await;
    let claimed = claim(&store, 0).await.remove(0);
    ask_to_cancel(&store, 21, "PO-1").await;
    let before = observe(&store).await;
    let begun = store.begin_attempt(claimed, lease(0), leaf(23)).await;
    assert!(matches!(begun, Err(StoreError::LeaseLost { .. })), "whoever had claimed it: {begun:?}");
    assert_eq!(observe(&store).await, before);
    let permits = claim(&store, LEASE_MS).await;
    assert_eq!((permits.len(), permits[0].order()), (1, Some(order_id("PO-2"))));
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!((order.state, order.deliveries[0].state.as_str()), (OrderState::Held, "withheld"));
    assert_eq!(store.summary().await.unwrap().withheld, 1);
}

pub(crate) async fn a_delivery_under_way_ends_as_it_ends_and_is_not_tried_again(maker: impl Maker) {
    let store = maker.open().await;
    for (number, key, settlement, state) in
        [(1, "PO-1", applied(), "delivered"), (101, "PO-2", retry(1), "withheld"), (201, "PO-3", dead(true), "dead")]
    {
        release(&store, number, key, &[("erp", "order")]).await;
        let permit = claim(&store, 0).await.remove(0);
        let attempt = store.begin_attempt(permit, lease(0), leaf(number + 2)).await.unwrap();
        ask_to_cancel(&store, number + 10, key).await;
        store.settle(attempt, settlement, NOW, leaf(number + 3)).await.unwrap();
        assert_eq!(store.order(order_id(key)).await.unwrap().unwrap().deliveries[0].state, state);
        assert!(claim(&store, 2 * LEASE_MS).await.is_empty(), "{key} is not tried again");
    }
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    let before = observe(&store).await;
    let replayed = fixture::replay(&store, letter.exception, NOW, leaf(301)).await;
    assert!(matches!(replayed, Err(StoreError::CancelRequested { .. })), "{replayed:?}");
    assert_eq!(observe(&store).await, before);
    fixture::abandon(&store, letter.exception, NOW, leaf(302)).await.unwrap();
}

pub(crate) async fn what_is_in_doubt_is_asked_about_also_after_a_request_to_cancel(maker: impl Maker) {
    let store = maker.open().await;
    let order = async |store: &Arc<dyn Store>, key: &str| store.order(order_id(key)).await.unwrap().unwrap();
    for (number, key) in [(1, "PO-1"), (101, "PO-2"), (201, "PO-3")] {
        release(&store, number, key, &[("erp", "order")]).await;
        let permit = claim(&store, 0).await.remove(0);
        let attempt = store.begin_attempt(permit, lease(0), leaf(number + 2)).await.unwrap();
        if key != "PO-3" {
            let unknown = Settlement::Unknown { due_at: NOW.plus_ms(5), code: "unknown".to_owned() };
            store.settle(attempt, unknown, NOW, leaf(number + 3)).await.unwrap();
        }
        ask_to_cancel(&store, number + 10, key).await;
        let order = order(&store, key).await;
        assert_eq!((order.state, order.deliveries[0].state.as_str()), (OrderState::Released, "in-doubt"));
    }
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.plus_ms(5)));
    assert!(claim(&store, 4).await.is_empty());
    let shares = Shares { limits: BTreeMap::from([("erp".to_owned(), 1)]), ..Shares::default() };
    let room = Room { shares, ..Room::default() };
    assert_eq!(store.claim(NOW.plus_ms(5), NOW.plus_ms(6), ALL, room).await.unwrap().len(), 1, "a question takes room");
    let mut permits = claim(&store, 6).await;
    assert!(permits.len() == 2 && permits.iter().all(|permit| permit.withheld() && permit.unresolved()));
    let begun = store.begin_attempt(permits.remove(0), lease(6), leaf(401)).await;
    assert!(matches!(begun, Err(StoreError::LeaseLost { .. })), "it may be asked about alone: {begun:?}");
    let before = observe(&store).await;
    store.settle_unattempted(permits.remove(0), applied(), NOW, leaf(402)).await.unwrap();
    assert_ne!(observe(&store).await, before);
    assert_eq!(order(&store, "PO-2").await.deliveries[0].state, "delivered");

    // The host of the third ended during its call.
    drop(store);
    let store = maker.open().await;
    let permits = claim(&store, ASK_MS).await;
    assert_eq!(permits.iter().map(Permit::order).collect::<Vec<_>>(), [Some(order_id("PO-3")), Some(order_id("PO-1"))]);
    for (permit, number) in permits.into_iter().zip(403..) {
        store.settle_unattempted(permit, Settlement::Absent, NOW, leaf(number)).await.unwrap();
    }
    for key in ["PO-1", "PO-3"] {
        let order = order(&store, key).await;
        assert_eq!((order.state, order.deliveries[0].state.as_str()), (OrderState::Held, "withheld"), "{key}");
    }
    assert_eq!(store.next_due().await.unwrap(), None);
}

pub(crate) async fn what_the_target_does_not_have_is_in_doubt_no_more(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    store.begin_attempt(permit, lease(0), leaf(11)).await.unwrap();
    let permit = claim(&store, LEASE_MS).await.remove(0);
    store.settle_unattempted(permit, Settlement::Absent, NOW.plus_ms(LEASE_MS), leaf(12)).await.unwrap();
    let permit = claim(&store, LEASE_MS).await.remove(0);
    assert_eq!((permit.unresolved(), permit.withheld(), permit.attempt()), (false, false, 2));
}

pub(crate) async fn a_dead_letter_keeps_later_deliveries_back_or_lets_them_pass(maker: impl Maker) {
    let store = maker.open().await;
    for (number, key, blocks) in [(1, "PO-1", true), (101, "PO-2", false)] {
        release(&store, number, key, &[("erp", "first"), ("erp", "second")]).await;
        let permit = claim(&store, 0).await.remove(0);
        store.settle_unattempted(permit, dead(blocks), NOW, leaf(number + 10)).await.unwrap();
    }
    let permits = claim(&store, 1).await;
    assert_eq!((kinds(&permits), permits[0].order()), (vec!["second".to_owned()], Some(order_id("PO-2"))));
    let dead = store.dead_letters(0, ALL).await.unwrap();
    assert_eq!(
        dead.iter().map(|dead| (dead.number.as_str(), dead.blocks)).collect::<Vec<_>>(),
        [("PO-1", true), ("PO-2", false)]
    );
    assert_eq!(dead[0].outbox, outbox("PO-1", "first"));
    fixture::abandon(&store, dead[0].exception, NOW, leaf(201)).await.unwrap();
    assert_eq!(kinds(&claim(&store, 2).await), ["second"]);
    assert!(matches!(
        fixture::abandon(&store, dead[0].exception, NOW, leaf(202)).await,
        Err(StoreError::ExceptionClosed { how, who: Some(who), .. }) if how == "abandon" && who == "ada"
    ));
    assert!(matches!(
        fixture::replay(&store, 99, NOW, leaf(203)).await,
        Err(StoreError::NoException { exception: 99 })
    ));
    drop(store);
    let store = maker.open().await;
    assert_eq!(store.order(order_id("PO-1")).await.unwrap().unwrap().deliveries[0].state, "abandoned");
}

pub(crate) async fn a_dead_letter_is_replayed_so_often_and_no_more(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    let mut attempt = store.begin_attempt(permit, lease(0), leaf(11)).await.unwrap();
    for replay in 1..=u64::from(REPLAYS_MAX) {
        store.settle(attempt, dead(true), NOW, leaf(100 * replay)).await.unwrap();
        let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
        assert_eq!((u64::from(letter.replays), u64::from(letter.attempts)), (replay - 1, replay));
        fixture::replay(&store, letter.exception, NOW.plus_ms(9), leaf(100 * replay + 1)).await.unwrap();
        let permit = claim(&store, 9).await.remove(0);
        assert!(permit.unresolved(), "what was given up may have worked after all");
        assert_eq!((permit.tries(), u64::from(permit.attempt())), (1, replay + 1));
        assert_eq!((permit.doubts(), permit.deadline_from()), (0, NOW.plus_ms(9)));
        attempt = store.begin_attempt(permit, lease(0), leaf(100 * replay + 2)).await.unwrap();
    }
    store.settle(attempt, dead(true), NOW, leaf(9_000)).await.unwrap();
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    let before = observe(&store).await;
    let spent = fixture::replay(&store, letter.exception, NOW, leaf(9_001)).await;
    assert!(matches!(spent, Err(StoreError::ReplaysSpent { replays: REPLAYS_MAX, .. })), "{spent:?}");
    assert_eq!(observe(&store).await, before);
}

pub(crate) async fn what_its_target_does_not_want_keeps_its_place_and_begins_anew_by_a_persons_word(maker: impl Maker) {
    let store = maker.open().await;
    for (abandoned, from) in [(false, 100), (true, 200)] {
        let keys = ["A", "B", "C"].map(|key| format!("PO-{key}{from}"));
        for (key, number) in keys.iter().zip([from, from + 10, from + 20]) {
            release(&store, number, key, &[("erp", "order")]).await;
        }
        let mut permits = claim(&store, 0).await;
        // The third was tried before, the others are under way when the second is refused.
        store.settle_unattempted(permits.pop().unwrap(), retry(5), NOW, leaf(from + 31)).await.unwrap();
        let second = store.begin_attempt(permits.pop().unwrap(), lease(0), leaf(from + 32)).await.unwrap();
        let first = store.begin_attempt(permits.pop().unwrap(), lease(0), leaf(from + 33)).await.unwrap();
        let gone = Settlement::Dead { exception: waits(ExceptionKind::Delivery, GONE), blocks: true };
        store.settle(second, gone, NOW.plus_ms(7), leaf(from + 34)).await.unwrap();
        store.settle(first, Settlement::Parked, NOW.plus_ms(7), leaf(from + 35)).await.unwrap();
        assert_eq!(store.next_due().await.unwrap(), Some(NOW), "it stands where it stood");
        let letters = store.dead_letters_of("erp", Some(GONE), 0, ALL).await.unwrap();
        assert_eq!(letters.len(), 1, "and is nobody's");
        assert!(store.waits_since_gone("erp").await.unwrap());
        assert!(!store.waits_since_gone("crm").await.unwrap());

        let decided = NOW.plus_ms(9);
        if abandoned {
            fixture::abandon(&store, letters[0].exception, decided, leaf(from + 36)).await.unwrap();
        } else {
            fixture::replay(&store, letters[0].exception, decided, leaf(from + 36)).await.unwrap();
        }
        assert!(store.waits_since_gone("erp").await.unwrap());
        let permits = claim(&store, 10).await;
        let gone = if abandoned { vec![&keys[0], &keys[2]] } else { keys.iter().collect() };
        let expected: Vec<_> = gone.into_iter().map(|key| Some(order_id(key))).collect();
        assert_eq!(permits.iter().map(Permit::order).collect::<Vec<_>>(), expected);
        for permit in permits {
            let known = (permit.tries(), permit.doubts(), permit.deadline_from());
            assert_eq!(known, (1, 0, decided), "{:?}", permit.order());
        }
    }
}

pub(crate) async fn that_something_came_back_is_known_wherever_it_stands_and_not_of_what_was_abandoned(
    maker: impl Maker,
) {
    let store = maker.open().await;
    for (number, key) in [(1, "PO-1"), (11, "PO-2"), (21, "PO-3")] {
        release(&store, number, key, &[("erp", "order")]).await;
    }
    let mut permits = claim(&store, 0).await;
    let (third, first) = (permits.remove(2), permits.remove(0));
    let attempt = store.begin_attempt(first, lease(0), leaf(31)).await.unwrap();
    let gone = Settlement::Dead { exception: waits(ExceptionKind::Delivery, GONE), blocks: true };
    store.settle(attempt, gone, NOW, leaf(32)).await.unwrap();
    let letters = store.dead_letters_of("erp", Some(GONE), 0, ALL).await.unwrap();
    fixture::abandon(&store, letters[0].exception, NOW, leaf(33)).await.unwrap();
    assert!(!store.waits_since_gone("erp").await.unwrap());
    store.settle_unattempted(third, Settlement::Parked, NOW, leaf(34)).await.unwrap();
    assert!(store.waits_since_gone("erp").await.unwrap(), "the second goes before it, and never came back");
}

pub(crate) async fn what_waits_for_who_takes_nothing_hides_nothing_else_that_is_due(maker: impl Maker) {
    let store = maker.open().await;
    let of = |targets: &[&str]| targets.iter().map(|target| (*target).to_owned()).collect();
    assert_eq!(store.next_due_without(of(&["erp"])).await.unwrap(), None);
    release(&store, 1, "PO-1", &[("crm", "order"), ("erp", "order")]).await;
    assert!(!store.waits_since_gone("crm").await.unwrap());
    let mut permits = claim(&store, 0).await;
    let told = permits.iter().position(|permit| permit.target() == "crm").unwrap();
    let (told, entered) = (permits.remove(told), permits.remove(0));
    store.settle_unattempted(told, Settlement::Parked, NOW, leaf(11)).await.unwrap();
    store.settle_unattempted(entered, retry(5), NOW, leaf(12)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
    assert_eq!(store.next_due_without(of(&[])).await.unwrap(), Some(NOW));
    assert_eq!(store.next_due_without(of(&["crm"])).await.unwrap(), Some(NOW.plus_ms(5)));
    assert_eq!(store.next_due_without(of(&["erp", "nobody"])).await.unwrap(), Some(NOW));
    assert_eq!(store.next_due_without(of(&["crm", "erp"])).await.unwrap(), None);
    // What is in doubt and withheld is asked about, and hides nothing either.
    let entered = claim(&store, 5).await.into_iter().find(|permit| permit.target() == "erp").unwrap();
    let attempt = store.begin_attempt(entered, lease(5), leaf(13)).await.unwrap();
    let (asked, code) = (NOW.plus_ms(9), "timeout".to_owned());
    store.settle(attempt, Settlement::Unknown { due_at: asked, code }, NOW, leaf(14)).await.unwrap();
    ask_to_cancel(&store, 21, "PO-1").await;
    assert_eq!(store.next_due_without(of(&["crm"])).await.unwrap(), Some(asked));
    assert_eq!(store.next_due_without(of(&["crm", "erp"])).await.unwrap(), None);
}

pub(crate) async fn what_stands_behind_another_of_its_order_begins_anew_as_well(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "first"), ("erp", "second")]).await;
    release(&store, 11, "PO-2", &[("erp", "order")]).await;
    // The first of an order is given up and stops nobody, so that the second is tried.
    let mut permits = claim(&store, 0).await;
    let other = permits.pop().unwrap();
    store.settle_unattempted(permits.remove(0), dead(false), NOW, leaf(21)).await.unwrap();
    let mut permits = claim(&store, 0).await;
    assert_eq!(kinds(&permits), ["second"]);
    let second = store.begin_attempt(permits.remove(0), lease(0), leaf(22)).await.unwrap();
    store.settle(second, retry(5), NOW, leaf(23)).await.unwrap();
    let gone = Settlement::Dead { exception: waits(ExceptionKind::Delivery, GONE), blocks: true };
    store.settle_unattempted(other, gone, NOW, leaf(24)).await.unwrap();
    // Then it stands before the second again.
    let first = store.dead_letters_of("erp", Some("refused"), 0, ALL).await.unwrap().remove(0);
    fixture::replay(&store, first.exception, NOW.plus_ms(8), leaf(25)).await.unwrap();
    let letter = store.dead_letters_of("erp", Some(GONE), 0, ALL).await.unwrap().remove(0);
    fixture::replay(&store, letter.exception, NOW.plus_ms(9), leaf(26)).await.unwrap();
    let permits = claim(&store, 10).await;
    let claimed: BTreeSet<String> = kinds(&permits).into_iter().collect();
    assert_eq!(claimed, BTreeSet::from(["first", "order"].map(str::to_owned)));
    for (number, permit) in (31..).zip(permits) {
        store.settle_unattempted(permit, applied(), NOW.plus_ms(10), leaf(number)).await.unwrap();
    }
    let mut permits = claim(&store, 10).await;
    assert_eq!(kinds(&permits), ["second"]);
    let second = permits.remove(0);
    assert_eq!((second.tries(), second.deadline_from()), (1, NOW.plus_ms(9)));
}

pub(crate) async fn dead_letters_are_paged_by_their_exception(maker: impl Maker) {
    let store = maker.open().await;
    for number in 0..5_u64 {
        release(&store, 1 + 10 * number, &format!("PO-{number}"), &[("erp", "order")]).await;
        let permit = claim(&store, 0).await.remove(0);
        store.settle_unattempted(permit, dead(true), NOW, leaf(5 + 10 * number)).await.unwrap();
    }
    let all = store.dead_letters(0, ALL).await.unwrap();
    assert!(all.is_sorted_by(|a, b| a.exception < b.exception));
    let first = store.dead_letters(0, 2).await.unwrap();
    let rest = store.dead_letters(first[1].exception, ALL).await.unwrap();
    assert_eq!([first, rest].concat(), all);
    assert_eq!(all.len(), 5);
}

pub(crate) async fn what_people_correct_in_a_delivery_is_with_it_from_then_on(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    assert_eq!(permit.correction(), None);
    store.settle_unattempted(permit, dead(true), NOW, leaf(5)).await.unwrap();
    for (round, words) in [(1, "first"), (2, "second")] {
        let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
        let before = match letter.correction {
            Some(record) => Some(store.payload(record).await.unwrap()),
            None => None,
        };
        assert_eq!(before, (round == 2).then(|| b"first".to_vec()), "whoever says the second sees the first");
        let letter = letter.exception;
        let correct = fixture::resolved(ExceptionAction::Correct, Effect::CorrectDelivery);
        let step = fixture::step(&store, letter, "ada", correct, leaf(10 * round)).await;
        let record = Some(fixture::sealed(words.as_bytes(), None));
        store.step_exception(NewStep { record, ..step }).await.unwrap();
        for again in 1..3 {
            let permit = claim(&store, 0).await.remove(0);
            let said = store.payload(permit.correction().unwrap()).await.unwrap();
            assert_eq!(said, words.as_bytes(), "the last word counts, each time");
            let settlement = if again == 1 { retry(0) } else { dead(true) };
            store.settle_unattempted(permit, settlement, NOW, leaf(10 * round + again)).await.unwrap();
        }
    }
    // Of what the target took all the same people hear with the receipt.
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0).exception;
    let again = fixture::resolved(ExceptionAction::Retry, Effect::ReplayDelivery);
    store.step_exception(fixture::step(&store, letter, "ada", again, leaf(80)).await).await.unwrap();
    let permit = claim(&store, 0).await.remove(0).telling(Some(fixture::exception("arrived")));
    store.settle_unattempted(permit, retry(0), NOW, leaf(81)).await.unwrap();
    assert!(store.exceptions(ALL).await.unwrap().is_empty(), "it has not arrived");
    let permit = claim(&store, 0).await.remove(0).telling(Some(fixture::exception("arrived")));
    store.settle_unattempted(permit, applied(), NOW, leaf(82)).await.unwrap();
    let told = store.exceptions(ALL).await.unwrap();
    assert_eq!((told.len(), told[0].code.as_str(), told[0].order), (1, "arrived", Some(fixture::order_id("PO-1"))));
    assert_eq!(told[0].target.as_deref(), Some("erp"), "whose owner is asked");
    assert!(store.dead_letters(0, ALL).await.unwrap().is_empty(), "it is no dead letter");
}

pub(crate) async fn nothing_is_corrected_without_words(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    store.settle_unattempted(permit, dead(true), NOW, leaf(5)).await.unwrap();
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0).exception;
    let correct = fixture::resolved(ExceptionAction::Correct, Effect::CorrectDelivery);
    let step = fixture::step(&store, letter, "ada", correct, leaf(90)).await;
    let refused = store.step_exception(NewStep { record: None, ..step }).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
}

pub(crate) async fn dead_letters_of_one_target_and_code_are_paged_without_the_others(maker: impl Maker) {
    let store = maker.open().await;
    for (number, target, code) in [(0, "erp", "no"), (1, "wms", "no"), (2, "erp", "late"), (3, "erp", "no")] {
        release(&store, 1 + 10 * number, &format!("PO-{number}"), &[(target, "order")]).await;
        let permit = claim(&store, 0).await.remove(0);
        let given_up = Settlement::Dead { exception: waits(ExceptionKind::Delivery, code), blocks: true };
        store.settle_unattempted(permit, given_up, NOW, leaf(5 + 10 * number)).await.unwrap();
    }
    let of = async |target: &str, code: Option<&str>, after, limit| {
        let found = store.dead_letters_of(target, code, after, limit).await.unwrap();
        found.into_iter().map(|letter| (letter.exception, letter.number)).collect::<Vec<_>>()
    };
    let numbers = |found: &[(u64, String)]| found.iter().map(|(_, number)| number.clone()).collect::<Vec<_>>();
    let all = of("erp", None, 0, ALL).await;
    assert_eq!(numbers(&all), ["PO-0", "PO-2", "PO-3"]);
    assert_eq!(numbers(&of("erp", Some("no"), 0, ALL).await), ["PO-0", "PO-3"]);
    assert_eq!(of("erp", None, 0, 2).await, all[..2], "what is another target's takes no place");
    assert_eq!(of("erp", None, all[1].0, 2).await, all[2..]);
    assert!(of("shop", None, 0, ALL).await.is_empty());
}
