//! What became of orders: those of a period and no others, each with all of it, page by page.

use std::sync::Arc;

use portreeve_model::ExceptionKind;
use portreeve_model::ProcessState::{Accepted, Shipped};

use super::Maker;
use super::fixture::{
    ALL, NOW, about_order, applied, ask_to_cancel, channel, claim, commit, dead, event_in, exception, input, keep,
    leaf, lease, next, order_id, release, released, replay, retry, step, waits,
};
use crate::contract::{
    After, Content, DecisionCommit, DeliveryMade, EventOutcome, ExceptionChange, ExceptionsOfOrder, MeasuredOrder,
    NewException, NewOutbox, NewProgress, NewStep, OrderEventKind, SaidOfOrder, Settlement, Store,
};

async fn measured(store: &Arc<dyn Store>, after: After, until_ms: i64, limit: u32) -> Vec<MeasuredOrder> {
    store.measured_orders(after, NOW.plus_ms(until_ms), limit).await.unwrap()
}

/// A word about PO-1 that came as an input of its own, a return with a note to the shop.
async fn said(store: &Arc<dyn Store>, number: u64, kind: OrderEventKind, outcome: EventOutcome) {
    keep(store, input(number, &[&format!("SAID-{number}")])).await;
    let document = next(store).await;
    let position = document.position();
    let after = store.order_standings(vec![order_id("PO-1")]).await.unwrap().remove(0).progress;
    let after = after.map_or(0, |progress| progress.version);
    let counts = outcome == EventOutcome::Applied;
    let mut decision = about_order(document, "PO-1", kind, leaf(number + 1));
    let event = event_in(&mut decision);
    event.outcome = outcome;
    event.progress = counts.then_some(NewProgress { after, state: if after == 0 { Accepted } else { Shipped } });
    event.exceptions = match outcome {
        EventOutcome::Impossible => vec![NewException { kind: ExceptionKind::Order, ..exception("more-than-left") }],
        _ => vec![],
    };
    if kind == OrderEventKind::ReturnRequested {
        let (target, kind) = ("shop".to_owned(), "note".to_owned());
        event.outbox = vec![NewOutbox { target, kind, content: Content::Said(position) }];
    }
    commit(store, decision).await.unwrap();
}

pub(crate) async fn an_order_is_measured_by_all_that_became_of_it(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order"), ("wms", "release")]).await;
    // One gets there at the second attempt; one is given up, and tried again by a person.
    let mut permits = claim(&store, 5).await;
    let attempt = store.begin_attempt(permits.remove(0), lease(5), leaf(11)).await.unwrap();
    store.settle(attempt, retry(10), NOW.plus_ms(6), leaf(12)).await.unwrap();
    store.settle_unattempted(permits.remove(0), dead(true), NOW.plus_ms(7), leaf(13)).await.unwrap();
    let attempt = store.begin_attempt(claim(&store, 10).await.remove(0), lease(10), leaf(14)).await.unwrap();
    store.settle(attempt, applied(), NOW.plus_ms(30), leaf(15)).await.unwrap();
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0).exception;
    let claimed = step(&store, letter, "ada", ExceptionChange::Claimed, leaf(16)).await;
    store.step_exception(claimed).await.unwrap();
    // The host's own step touches nothing.
    let told = ExceptionChange::Escalated { queue: None };
    let told = NewStep { who: None, ..step(&store, letter, "ada", told, leaf(17)).await };
    store.step_exception(told).await.unwrap();
    replay(&store, letter, NOW.plus_ms(40), leaf(18)).await.unwrap();
    said(&store, 21, OrderEventKind::ShipmentConfirmed, EventOutcome::Applied).await;
    said(&store, 31, OrderEventKind::ShipmentConfirmed, EventOutcome::Impossible).await;
    said(&store, 41, OrderEventKind::ReturnRequested, EventOutcome::Applied).await;
    said(&store, 51, OrderEventKind::ReturnRequested, EventOutcome::Applied).await;
    // What is delivered of a return is an exception of that return.
    let permit = claim(&store, 45).await.into_iter().find(|permit| permit.target() == "shop").unwrap();
    let attempt = store.begin_attempt(permit, lease(45), leaf(61)).await.unwrap();
    let refused = Settlement::Dead { exception: waits(ExceptionKind::Delivery, "no"), blocks: false };
    store.settle(attempt, refused, NOW.plus_ms(46), leaf(62)).await.unwrap();
    drop(store);

    let store = maker.open().await;
    let found = measured(&store, After::from(NOW), 1, ALL).await;
    let [order] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&order.channel, order.received_at, order.decided_at), (&channel(), NOW.plus_ms(1), NOW));
    let progress = order.progress.unwrap();
    assert_eq!((progress.version, progress.state), (3, Shipped));
    assert_eq!(store.payload(progress.record).await.unwrap(), b"decision");
    // Of the two that were said the one that counted.
    let events: Vec<_> = store.order_trail(order_id("PO-1")).await.unwrap().unwrap().events;
    let first = events.iter().find(|event| event.kind == OrderEventKind::ShipmentConfirmed).unwrap();
    assert_eq!(order.shipped_as, Some(first.event));
    let of = |kind, outcome, count, first_ms, last_ms| SaidOfOrder {
        kind,
        outcome,
        count,
        first_at: NOW.plus_ms(first_ms),
        last_at: NOW.plus_ms(last_ms),
    };
    let expected = [
        of(OrderEventKind::ReturnRequested, EventOutcome::Applied, 2, 41, 51),
        of(OrderEventKind::ShipmentConfirmed, EventOutcome::Applied, 1, 21, 21),
        of(OrderEventKind::ShipmentConfirmed, EventOutcome::Impossible, 1, 31, 31),
    ];
    assert_eq!(order.said.len(), 3);
    assert!(expected.iter().all(|said| order.said.contains(said)), "{:?}", order.said);
    let of = |code: &str, about, touches| ExceptionsOfOrder {
        stage: "decide".to_owned(),
        code: code.to_owned(),
        about,
        count: 1,
        touches,
    };
    let expected = [
        of("more-than-left", Some(OrderEventKind::ShipmentConfirmed), 0),
        of("no", Some(OrderEventKind::ReturnRequested), 0),
        of("refused", None, 2),
    ];
    assert_eq!(order.exceptions.len(), 3);
    assert!(expected.iter().all(|alike| order.exceptions.contains(alike)), "{:?}", order.exceptions);
    let of = |target: &str, attempts, given_up, replayed, taken_up_ms, delivered_ms: Option<i64>| DeliveryMade {
        target: target.to_owned(),
        attempts,
        given_up,
        replayed,
        taken_up_at: NOW.plus_ms(taken_up_ms),
        delivered_at: delivered_ms.map(|ms| NOW.plus_ms(ms)),
    };
    let expected = [
        of("erp", 2, false, false, 5, Some(30)),
        of("wms", 0, true, true, 40, None),
        of("shop", 1, true, false, 45, None),
        of("shop", 0, false, false, 0, None),
    ];
    assert_eq!(order.deliveries, expected);
}

pub(crate) async fn orders_are_measured_by_when_they_were_decided_page_by_page(maker: impl Maker) {
    let store = maker.open().await;
    let decided = [("PO-1", 10), ("PO-2", 20), ("PO-3", 20), ("PO-4", 30)];
    for ((key, at_ms), number) in decided.into_iter().zip([1, 11, 21, 31]) {
        keep(&store, input(number, &[key])).await;
        let decision = released(next(&store).await, &[], leaf(number + 1));
        commit(&store, DecisionCommit { at: NOW.plus_ms(at_ms), ..decision }).await.unwrap();
    }
    // What was said of an order that is not here is of no order.
    ask_to_cancel(&store, 41, "PO-5").await;
    let all = measured(&store, After::from(NOW), 1_000, ALL).await;
    let received: Vec<_> = all.iter().map(|order| (order.decided_at.0 - NOW.0, order.received_at.0 - NOW.0)).collect();
    assert_eq!(received, [(10, 1), (20, 11), (20, 21), (30, 31)]);
    assert!(all.iter().all(|order| order.progress.is_none() && order.said.is_empty() && order.exceptions.is_empty()));
    assert!(all.iter().all(|order| order.shipped_as.is_none()));
    assert_eq!(
        measured(&store, After::from(NOW.plus_ms(20)), 30, ALL).await,
        all[1..3],
        "with its begin, without its end"
    );
    let second = After { at: all[1].decided_at, number: all[1].number };
    assert_eq!(measured(&store, second, 1_000, 1).await, all[2..3]);
    assert_eq!(measured(&store, second, 1_000, ALL).await, all[2..]);
    assert!(measured(&store, After::from(NOW.plus_ms(31)), 1_000, ALL).await.is_empty());
}
