//! Levels of items: of each the newest counts and is told, whatever came first and whatever a
//! target does meanwhile.

use std::sync::Arc;

use portreeve_model::{Digest, Instant, ItemId, Matter};

use super::Maker;
use super::fixture::{
    self, ALL, ASK_MS, NOW, applied, channel, claim, commit, dead, decision_of, input, input_id, keep, leaf, lease,
    next, order_id, release, retry, sealed,
};
use crate::contract::{
    Content, Decided, DecisionCommit, DocumentPosition, ItemStanding, LevelOutcome, NewLevel, NewOutbox, OutboxId,
    Settlement, Store, StoreError,
};
use crate::proof::{Journaled, Permit};

const SKU: &str = "FST-1007";
const NODE: &str = "DC-EAST";

fn item(sku: &str) -> ItemId {
    ItemId::derive(&channel(), NODE, sku)
}

async fn standing(store: &Arc<dyn Store>, sku: &str) -> Option<ItemStanding> {
    store.item_standings(vec![item(sku)]).await.unwrap().remove(0)
}

/// A level as of so many milliseconds after the beginning, which is told to these targets.
fn level(
    document: Journaled,
    after: Option<DocumentPosition>,
    (sku, as_of, outcome): (&str, i64, LevelOutcome),
    targets: &[&str],
    number: u64,
) -> DecisionCommit {
    let content = Content::Level(document.position());
    let event = sealed(format!("{sku} as of {as_of}").as_bytes(), None);
    let outbox =
        targets.iter().map(|target| NewOutbox { target: (*target).to_owned(), kind: "level".to_owned(), content });
    let level = NewLevel {
        item: item(sku),
        sku: sku.to_owned(),
        node: NODE.to_owned(),
        as_of: NOW.plus_ms(as_of),
        said: Digest::of(&as_of.to_be_bytes()),
        outcome,
        after,
        event: event.sealed.commitment(),
        fingerprint: Digest::of(&number.to_be_bytes()),
        outbox: outbox.collect(),
    };
    decision_of(document, Decided::Level(Box::new(level)), vec![event], leaf(number))
}

/// Takes in a level that counts; two leaves, from a number on.
async fn say(store: &Arc<dyn Store>, number: u64, sku: &str, as_of: i64, targets: &[&str]) -> DocumentPosition {
    keep(store, input(number, &[&format!("LEVEL-{number}")])).await;
    let after = standing(store, sku).await.map(|standing| standing.position);
    let document = next(store).await;
    let position = document.position();
    let decision = level(document, after, (sku, as_of, LevelOutcome::Applied), targets, number + 1);
    commit(store, decision).await.unwrap();
    position
}

fn told(permits: &[Permit]) -> Vec<Content> {
    permits.iter().map(Permit::content).collect()
}

async fn settle(store: &Arc<dyn Store>, permit: Permit, settlement: Settlement, number: u64) {
    let attempt = store.begin_attempt(permit, lease(0), leaf(number)).await.unwrap();
    store.settle(attempt, settlement, NOW, leaf(number + 1)).await.unwrap();
}

pub(crate) async fn the_newest_level_of_an_item_is_known_and_told_after_a_reopening(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(standing(&store, SKU).await, None);
    let position = say(&store, 1, SKU, 5, &["shop"]).await;
    drop(store);
    let store = maker.open().await;
    let known = ItemStanding { as_of: NOW.plus_ms(5), said: Digest::of(&5_i64.to_be_bytes()), position };
    assert_eq!(store.item_standings(vec![item("OTHER"), item(SKU)]).await.unwrap(), [None, Some(known)]);
    let permit = claim(&store, 0).await.remove(0);
    assert_eq!((permit.matter(), permit.order()), (Matter::Item(item(SKU)), None));
    assert_eq!((permit.target(), permit.kind(), permit.content()), ("shop", "level", Content::Level(position)));
    assert_eq!(*permit.outbox(), OutboxId::derive(item(SKU), "shop", "level", Content::Level(position)));
    assert_eq!(store.payload(permit.event()).await.unwrap(), format!("{SKU} as of 5").as_bytes());
    settle(&store, permit, applied(), 11).await;
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.delivered, summary.pending, summary.order_events), (1, 0, 0));
    assert!(store.orders(DocumentPosition(0), ALL).await.unwrap().is_empty(), "an item is no order");
}

pub(crate) async fn a_newer_level_takes_the_place_of_what_waits(maker: impl Maker) {
    let store = maker.open().await;
    let mut last = DocumentPosition(0);
    for (number, as_of) in (1..).step_by(10).zip(1..=9) {
        last = say(&store, number, SKU, as_of, &["shop", "market"]).await;
    }
    let other = say(&store, 201, "OTHER", 1, &["shop"]).await;
    let permits = claim(&store, 0).await;
    let mut seen = told(&permits);
    seen.sort_unstable();
    assert_eq!(seen, [Content::Level(last), Content::Level(last), Content::Level(other)]);
}

pub(crate) async fn what_is_under_way_ends_first_and_is_not_sent_after_a_newer_level(maker: impl Maker) {
    let ways =
        [applied(), retry(50), Settlement::Unknown { due_at: NOW.plus_ms(50), code: "cut".to_owned() }, dead(true)];
    for (way, number) in ways.into_iter().zip((1..).step_by(100)) {
        let again = matches!(way, Settlement::Retry { .. } | Settlement::Unknown { .. });
        let store = maker.open().await;
        let sku = format!("ITEM-{number}");
        say(&store, number, &sku, 1, &["shop"]).await;
        let permit = claim(&store, 0).await.remove(0);
        let attempt = store.begin_attempt(permit, lease(0), leaf(number + 10)).await.unwrap();
        say(&store, number + 20, &sku, 2, &["shop"]).await;
        let newest = say(&store, number + 30, &sku, 3, &["shop"]).await;
        assert_eq!(told(&claim(&store, 1).await), [], "one at a time");
        store.settle(attempt, way, NOW, leaf(number + 40)).await.unwrap();
        // What may still be on its way arrives before the newer one is sent.
        assert_eq!(claim(&store, 1).await.is_empty(), again);
        let permits = if again { claim(&store, 50).await } else { claim(&store, ASK_MS * 8).await };
        assert_eq!(told(&permits), [Content::Level(newest)]);
        assert!(!permits[0].unresolved());
        settle(&store, permits.into_iter().next().unwrap(), applied(), number + 50).await;
        assert!(store.dead_letters(0, ALL).await.unwrap().is_empty(), "nobody has to look at what is out of date");
        drop(store);
    }
}

pub(crate) async fn a_level_that_was_given_up_blocks_nothing_and_is_over_when_a_newer_one_comes(maker: impl Maker) {
    let store = maker.open().await;
    say(&store, 1, SKU, 1, &["shop"]).await;
    release(&store, 11, "PO-1", &[("shop", "order")]).await;
    let (levels, orders): (Vec<Permit>, Vec<Permit>) =
        claim(&store, 0).await.into_iter().partition(|permit| permit.order().is_none());
    assert_eq!(orders.iter().map(Permit::order).collect::<Vec<_>>(), [Some(order_id("PO-1"))]);
    settle(&store, levels.into_iter().next().unwrap(), dead(true), 21).await;
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    assert_eq!((letter.matter, letter.number.as_str()), (item(SKU).into(), "FST-1007 at DC-EAST"));
    assert!(!letter.blocks);
    let trail = store.exception(letter.exception).await.unwrap().unwrap();
    assert_eq!((trail.exception.order, trail.about.delivery.unwrap().outbox), (None, letter.outbox));
    // A person has it tried again; it fails again.
    fixture::replay(&store, letter.exception, NOW, leaf(31)).await.unwrap();
    settle(&store, claim(&store, 1).await.remove(0), dead(true), 41).await;
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    let newest = say(&store, 51, SKU, 2, &["shop"]).await;
    assert!(store.dead_letters(0, ALL).await.unwrap().is_empty());
    let closed = store.exception(letter.exception).await.unwrap().unwrap().exception.closed.unwrap();
    assert_eq!((closed.who, closed.how.as_str()), (None, crate::contract::CLEARED));
    assert!(
        fixture::replay(&store, letter.exception, NOW, leaf(61)).await.is_err(),
        "an older level after a newer one"
    );
    assert_eq!(told(&claim(&store, 2).await), [Content::Level(newest)]);
}

pub(crate) async fn the_first_of_two_decisions_about_an_item_counts(maker: impl Maker) {
    let store = maker.open().await;
    let first = say(&store, 1, SKU, 5, &["shop"]).await;
    keep(&store, input(11, &["OLDER"])).await;
    let stale = level(next(&store).await, None, (SKU, 3, LevelOutcome::Applied), &["shop"], 12);
    let refused = commit(&store, stale).await;
    assert!(matches!(refused, Err(StoreError::LevelMoved { item: found }) if found == item(SKU)));
    let document = next(&store).await;
    let outdated = level(document, Some(first), (SKU, 3, LevelOutcome::Outdated), &[], 13);
    commit(&store, outdated).await.unwrap();
    assert_eq!(standing(&store, SKU).await.map(|standing| standing.as_of), Some(NOW.plus_ms(5)));
    assert_eq!(told(&claim(&store, 0).await), [Content::Level(first)]);
}

pub(crate) async fn a_level_that_is_told_of_something_else_is_not_there(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["LEVEL"])).await;
    let mut decision = level(next(&store).await, None, (SKU, 1, LevelOutcome::Applied), &["shop"], 2);
    let Decided::Level(new) = &mut decision.decided else { unreachable!("a level") };
    new.outbox[0].content = Content::Order;
    assert!(commit(&store, decision).await.is_err());
    assert_eq!((standing(&store, SKU).await, claim(&store, 0).await.len()), (None, 0));
}

pub(crate) async fn the_content_of_a_level_goes_when_nobody_is_to_be_told_of_it_any_more(maker: impl Maker) {
    let store = maker.open().await;
    let later = Instant(NOW.0 + 1_000_000);
    let finished = async |store: &Arc<dyn Store>, before| {
        let kept = store.kept_inputs(before, None, ALL).await.unwrap();
        kept.into_iter().filter(|input| input.finished).map(|input| input.id).collect::<Vec<_>>()
    };
    say(&store, 1, SKU, 1, &["shop"]).await;
    assert_eq!(finished(&store, later).await, [], "it waits to be told");
    say(&store, 11, SKU, 2, &["shop"]).await;
    assert_eq!(finished(&store, later).await, [input_id(1)], "the first is out of date");
    let permit = claim(&store, 0).await.remove(0);
    let event = permit.event();
    settle(&store, permit, applied(), 21).await;
    assert_eq!(finished(&store, NOW).await, [], "none is that old");
    store.forget(vec![input_id(1), input_id(11)], later, later, leaf(31)).await.unwrap().unwrap();
    assert!(matches!(store.payload(event).await, Err(StoreError::Erased(_))));
    assert_eq!(standing(&store, SKU).await.map(|standing| standing.as_of), Some(NOW.plus_ms(2)), "what counts stays");
}
