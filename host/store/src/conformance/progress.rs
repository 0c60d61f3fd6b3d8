//! How far an order is, and the events about it that wait for their turn.

use std::sync::Arc;

use portreeve_model::ExceptionKind;
use portreeve_model::ProcessState::{Accepted, Shipped};

use super::Maker;
use super::fixture::{
    NOW, about_order, cleared_by_host, commit, event_in, exception, input, keep, leaf, leaves, moving, next, order_id,
    release,
};
use crate::contract::{
    CaughtUp, DocumentPosition, EARLY_EVENT, EventOutcome, NewException, NewProgress, OrderEventKind, OrderEventView,
    OrderStanding, Store, StoreError,
};
use crate::proof::Journaled;

/// The next document: an input of its own.
async fn document(store: &Arc<dyn Store>, number: u64) -> Journaled {
    keep(store, input(number, &[&format!("SAID-{number}")])).await;
    next(store).await
}

async fn standing(store: &Arc<dyn Store>, key: &str) -> OrderStanding {
    store.order_standings(vec![order_id(key)]).await.unwrap().pop().unwrap()
}

/// Whose word moved the order to a state, from a version on.
async fn moved(store: &Arc<dyn Store>, number: u64, progress: NewProgress) -> Result<(), StoreError> {
    let decision =
        moving(document(store, number).await, "PO-1", EventOutcome::Applied, Some(progress), leaf(number + 1));
    commit(store, decision).await.map(drop)
}

pub(crate) async fn an_order_is_moved_from_where_its_decision_began_and_by_one_event(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    assert_eq!(standing(&store, "PO-1").await.progress, None);
    moved(&store, 11, NewProgress { after: 0, state: Accepted }).await.unwrap();
    drop(store);

    let store = maker.open().await;
    let progress = standing(&store, "PO-1").await.progress.unwrap();
    assert_eq!((progress.version, progress.state), (1, Accepted));
    assert_eq!(store.payload(progress.record).await.unwrap(), b"decision", "of the event that moved it");
    let before = leaves(&store).await;
    for after in [0, 2] {
        let document = document(&store, 21 + after).await;
        let progress = NewProgress { after, state: Shipped };
        let late = moving(document, "PO-1", EventOutcome::Applied, Some(progress), leaf(90 + after));
        let refused = commit(&store, late).await;
        assert!(matches!(refused, Err(StoreError::ProgressMoved { order }) if order == order_id("PO-1")), "{after}");
        // Decided again, with what is there now, or somebody's.
        commit(&store, about_order(next(&store).await, "PO-1", OrderEventKind::Picked, leaf(95 + after)))
            .await
            .unwrap();
    }
    assert_eq!(standing(&store, "PO-1").await.progress, Some(progress), "refused, and nothing of it is there");
    assert_eq!(leaves(&store).await.len(), before.len() + 4, "two inputs, two decisions");

    moved(&store, 31, NewProgress { after: 1, state: Shipped }).await.unwrap();
    let progress = standing(&store, "PO-1").await.progress.unwrap();
    assert_eq!((progress.version, progress.state), (2, Shipped));
    let trail = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!(trail.progress, Some(progress));
    let outcomes: Vec<EventOutcome> = trail.events.iter().map(|event| event.outcome).collect();
    use EventOutcome::{Applied, Noted};
    assert_eq!(outcomes, [Applied, Noted, Noted, Applied]);
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map_or(0, |event: &OrderEventView| event.number);
        let page = store.order_events(order_id("PO-1"), after, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, trail.events, "page by page");
}

pub(crate) async fn an_order_that_is_not_here_is_moved_by_nothing(maker: impl Maker) {
    let store = maker.open().await;
    let refused = moved(&store, 11, NewProgress { after: 0, state: Accepted }).await;
    assert!(matches!(refused, Err(StoreError::ProgressMoved { .. })));
    assert_eq!(standing(&store, "PO-1").await, OrderStanding::default());
}

pub(crate) async fn what_waits_for_its_turn_is_there_until_an_event_catches_it_up(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    release(&store, 2, "PO-2", &[]).await;
    let mut positions = Vec::new();
    for number in [11, 21, 31] {
        let document = document(&store, number).await;
        positions.push(document.position());
        commit(&store, moving(document, "PO-1", EventOutcome::Early, None, leaf(number + 1))).await.unwrap();
    }
    drop(store);

    let store = maker.open().await;
    assert_eq!((standing(&store, "PO-1").await.early, standing(&store, "PO-2").await.early), (3, 0));
    let early = store.early_events(order_id("PO-1")).await.unwrap();
    assert_eq!(early.iter().map(|event| event.position).collect::<Vec<_>>(), positions);
    assert_eq!(store.payload(early[0].event).await.unwrap(), b"event");
    assert!(store.early_events(order_id("PO-2")).await.unwrap().is_empty());

    let ends = |position, outcome| CaughtUp { position, outcome };
    let progress = Some(NewProgress { after: 0, state: Shipped });
    let mut decision = moving(document(&store, 41).await, "PO-1", EventOutcome::Applied, progress, leaf(42));
    event_in(&mut decision).caught_up =
        vec![ends(positions[2], EventOutcome::Applied), ends(positions[0], EventOutcome::Impossible)];
    commit(&store, decision).await.unwrap();
    let early = store.early_events(order_id("PO-1")).await.unwrap();
    assert_eq!(early.iter().map(|event| event.position).collect::<Vec<_>>(), [positions[1]]);
    let trail = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    use EventOutcome::{Applied, Early, Impossible};
    let outcomes: Vec<EventOutcome> = trail.events.iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Impossible, Early, Applied, Applied]);

    // Nobody is asked about what waits no more; oldest first.
    let waits = trail.exceptions.iter().filter(|exception| exception.code == EARLY_EVENT);
    assert_eq!(waits.map(|exception| cleared_by_host(exception, NOW)).collect::<Vec<_>>(), [true, false, true]);
}

pub(crate) async fn what_contradicted_each_other_and_does_no_more_is_closed_by_itself(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    release(&store, 2, "PO-2", &[]).await;
    for (number, key) in [(11, "PO-1"), (21, "PO-2")] {
        let progress = Some(NewProgress { after: 0, state: Accepted });
        let mut decision =
            moving(document(&store, number).await, key, EventOutcome::Applied, progress, leaf(number + 1));
        let of_order = |code| NewException { kind: ExceptionKind::Order, ..exception(code) };
        event_in(&mut decision).exceptions = vec![of_order("paid-too-much"), of_order("short-shipment")];
        commit(&store, decision).await.unwrap();
    }
    let progress = Some(NewProgress { after: 1, state: Shipped });
    let mut decision = moving(document(&store, 31).await, "PO-1", EventOutcome::Applied, progress, leaf(32));
    event_in(&mut decision).settled = vec!["paid-too-much".to_owned()];
    event_in(&mut decision).exceptions =
        vec![NewException { kind: ExceptionKind::Order, ..exception("paid-too-much") }];
    commit(&store, decision).await.unwrap();
    for (key, expected) in [("PO-1", vec![true, false, false]), ("PO-2", vec![false, false])] {
        let trail = store.order_trail(order_id(key)).await.unwrap().unwrap();
        let cleared = trail.exceptions.iter().map(|exception| cleared_by_host(exception, NOW));
        assert_eq!(cleared.collect::<Vec<_>>(), expected, "{key}: those before, of the order, and not the one after");
    }
}

pub(crate) async fn what_does_not_wait_is_not_caught_up_and_the_event_is_not_there_either(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    release(&store, 2, "PO-2", &[]).await;
    let document_of_other = document(&store, 11).await;
    let other = document_of_other.position();
    commit(&store, moving(document_of_other, "PO-2", EventOutcome::Early, None, leaf(12))).await.unwrap();
    for (number, position) in [(21, other), (31, DocumentPosition(999))] {
        let progress = Some(NewProgress { after: 0, state: Shipped });
        let mut decision =
            moving(document(&store, number).await, "PO-1", EventOutcome::Applied, progress, leaf(90 + number));
        event_in(&mut decision).caught_up = vec![CaughtUp { position, outcome: EventOutcome::Applied }];
        assert!(matches!(commit(&store, decision).await, Err(StoreError::Damaged(_))));
        assert_eq!(standing(&store, "PO-1").await.progress, None);
        commit(&store, about_order(next(&store).await, "PO-1", OrderEventKind::Picked, leaf(number + 1)))
            .await
            .unwrap();
    }
    assert_eq!(standing(&store, "PO-2").await.early, 1);
}
