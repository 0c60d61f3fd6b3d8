//! What targets took, and what of it is sent again.

use std::sync::Arc;

use portreeve_model::{ChannelId, Digest};
use portreeve_record::Leaf;

use super::effect::said;
use super::fixture::{
    ALL, NOW, about_order, applied, ask_to_cancel, channel, claim, commit, dead, event_in, input, keep, leaf, lease,
    leaves, next, observe, order_id, release, retry, sealed,
};
use super::{Harm, Maker, interchange};
use crate::contract::{
    Content, Delivered, DeliveredWanted, InterchangeAnswer, NewReplay, OrderEventKind, OrderState, OutboxId,
    REPLAYS_MAX, ReplayPart, Settlement, Store, StoreError,
};

/// What a target took in so many milliseconds after the beginning.
fn wanted(target: &str, since_ms: i64, until_ms: i64) -> DeliveredWanted {
    DeliveredWanted {
        target: target.to_owned(),
        channel: None,
        kind: None,
        since: NOW.plus_ms(since_ms),
        until: NOW.plus_ms(until_ms),
        after: 0,
        limit: ALL,
    }
}

/// Carries out the only delivery that is due, at some time after the beginning; two leaves.
async fn done(store: &Arc<dyn Store>, first_leaf: u64, at_ms: i64, settlement: Settlement) {
    let permit = claim(store, at_ms).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(at_ms), leaf(first_leaf)).await.unwrap();
    store.settle(attempt, settlement, NOW.plus_ms(at_ms), leaf(first_leaf + 1)).await.unwrap();
}

/// An order that the ERP took as many milliseconds after the beginning as its first leaf's number.
pub(crate) async fn taken(store: &Arc<dyn Store>, first_leaf: u64, key: &str) {
    release(store, first_leaf, key, &[("erp", "order")]).await;
    done(store, first_leaf + 2, i64::try_from(first_leaf).unwrap(), applied()).await;
}

/// All that a target took.
pub(crate) async fn all_of(store: &Arc<dyn Store>, target: &str) -> Vec<Delivered> {
    store.delivered(wanted(target, 0, 1_000)).await.unwrap().deliveries
}

/// That these are sent again, as somebody was shown them.
pub(crate) fn replayed(deliveries: Vec<Delivered>, shown: &[u8], leaf: Leaf) -> NewReplay {
    NewReplay {
        digest: Digest::of(shown),
        wanted: wanted("erp", 0, 1_000),
        parts: vec![ReplayPart { deliveries, leaf }],
        who: "olga".to_owned(),
        at: NOW.plus_ms(500),
        record: sealed(b"words", None),
    }
}

fn numbers(found: &[Delivered]) -> Vec<&str> {
    found.iter().map(|delivery| delivery.number.as_str()).collect()
}

pub(crate) async fn what_a_target_took_in_a_time_is_found_with_all_that_it_is_judged_by(maker: impl Maker) {
    let store = maker.open().await;
    for (first_leaf, key) in [(10, "PO-1"), (20, "PO-2"), (30, "PO-3")] {
        taken(&store, first_leaf, key).await;
    }
    release(&store, 40, "PO-4", &[("wms", "order")]).await;
    done(&store, 42, 40, applied()).await;
    release(&store, 50, "PO-5", &[("erp", "order")]).await;
    drop(store);

    let store = maker.open().await;
    let all = all_of(&store, "erp").await;
    assert_eq!(numbers(&all), ["PO-1", "PO-2", "PO-3"], "no other target's, and nothing that it has not taken");
    let first = &all[0];
    assert_eq!(first.outbox, OutboxId::derive(order_id("PO-1"), "erp", "order", Content::Order));
    assert_eq!((first.order, &first.channel, first.taken_at), (order_id("PO-1"), &channel(), NOW.plus_ms(10)));
    assert_eq!((first.external_id.as_deref(), first.attempts, first.replays), (Some("S-1"), 1, 0));
    assert_eq!((first.state, first.cancel_requested, first.readable), (OrderState::Released, false, true));
    assert_eq!((first.said, first.process), (None, None));

    let page = async |since_ms, until_ms, after, limit| {
        let wanted = DeliveredWanted { after, limit, ..wanted("erp", since_ms, until_ms) };
        store.delivered(wanted).await.unwrap()
    };
    assert_eq!(numbers(&page(10, 30, 0, ALL).await.deliveries), ["PO-1", "PO-2"], "with its begin, without its end");
    let part = page(0, 1_000, 0, 2).await;
    assert_eq!((numbers(&part.deliveries), part.next), (vec!["PO-1", "PO-2"], Some(all[1].row)));
    let rest = page(0, 1_000, all[1].row, 2).await;
    assert_eq!((numbers(&rest.deliveries), rest.next), (vec!["PO-3"], None));
    for other in [
        DeliveredWanted { kind: Some("note".to_owned()), ..wanted("erp", 0, 1_000) },
        DeliveredWanted { channel: Some(ChannelId::parse("shop").unwrap()), ..wanted("erp", 0, 1_000) },
    ] {
        assert!(store.delivered(other).await.unwrap().deliveries.is_empty());
    }
    let same = DeliveredWanted { kind: Some("order".to_owned()), channel: Some(channel()), ..wanted("erp", 0, 1_000) };
    assert_eq!(store.delivered(same).await.unwrap().deliveries, all);

    ask_to_cancel(&store, 60, "PO-2").await;
    let event = store.order(order_id("PO-3")).await.unwrap().unwrap().event.commitment;
    maker.harm(Harm::Erase(event));
    let judged: Vec<_> =
        all_of(&store, "erp").await.iter().map(|found| (found.cancel_requested, found.readable)).collect();
    assert_eq!(judged, [(false, true), (true, true), (false, false)]);
}

pub(crate) async fn a_change_is_overtaken_where_a_later_one_of_its_order_counts(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    for (number, settlement) in [(11, dead(false)), (21, applied()), (31, applied())] {
        let follows = |here| vec![("erp", "change", Content::Said(here))];
        let (mut decision, _) = said(&store, number, follows).await;
        event_in(&mut decision).kind = OrderEventKind::Changed;
        commit(&store, decision).await.unwrap();
        done(&store, number + 2, 10, settlement).await;
    }
    // What somebody asks for, and nobody agreed to, takes no place.
    keep(&store, input(41, &["ASKED"])).await;
    commit(&store, about_order(next(&store).await, "PO-1", OrderEventKind::Changed, leaf(42))).await.unwrap();
    drop(store);

    let store = maker.open().await;
    let taken: Vec<_> = all_of(&store, "erp").await.iter().map(|found| (found.said, found.overtaken)).collect();
    assert_eq!(taken, [(Some(OrderEventKind::Changed), true), (Some(OrderEventKind::Changed), false)]);
    let letters = store.dead_letters(0, ALL).await.unwrap();
    let given_up: Vec<_> = letters.iter().map(|letter| (letter.overtaken, letter.blocks)).collect();
    assert_eq!(given_up, [(true, false)]);
}

pub(crate) async fn what_was_taken_is_due_again_under_its_own_name_and_asked_about_first(maker: impl Maker) {
    let store = maker.open().await;
    taken(&store, 1, "PO-1").await;
    let found = all_of(&store, "erp").await;
    let outbox = found[0].outbox.clone();
    assert!(store.replay_delivered(replayed(found, b"shown", leaf(60))).await.unwrap());
    drop(store);

    let store = maker.open().await;
    assert!(claim(&store, 499).await.is_empty());
    let permit = claim(&store, 500).await.remove(0);
    assert_eq!((permit.outbox(), permit.attempt(), permit.tries(), permit.doubts()), (&outbox, 2, 1, 0));
    assert!(permit.unresolved() && permit.taken_before() && !permit.withheld());
    assert_eq!(permit.deadline_from(), NOW.plus_ms(500));
    let name = async || store.order(order_id("PO-1")).await.unwrap().unwrap().deliveries.remove(0).external_id;
    store.settle_unattempted(permit, retry(600), NOW.plus_ms(500), leaf(61)).await.unwrap();
    assert_eq!(name().await.as_deref(), Some("S-1"), "its name there counts until there is another");
    let told = store.replays(0, ALL).await.unwrap().remove(0);
    assert_eq!((told.deliveries, told.done, told.dead), (1, 0, 0));
    assert_eq!((told.who.as_str(), told.target.as_str(), told.at), ("olga", "erp", NOW.plus_ms(500)));
    assert_eq!((told.digest, told.since, told.until), (Digest::of(b"shown"), NOW, NOW.plus_ms(1_000)));
    assert_eq!(store.payload(told.record).await.unwrap(), b"words");
    done(&store, 62, 600, Settlement::Applied { external_id: "S-2".to_owned() }).await;
    assert_eq!((name().await.as_deref(), store.replays(0, ALL).await.unwrap()[0].done), (Some("S-2"), 1));
    assert!(store.replays(told.number, ALL).await.unwrap().is_empty());
    assert_eq!(store.replay_shown(told.digest).await.unwrap().unwrap().number, told.number);
    assert_eq!(store.replay_shown(Digest::of(b"something else")).await.unwrap(), None);
    let trail = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    assert!(trail.leaves.iter().any(|found| found.id == leaf(60).id()), "the replay is in the order's story");
}

pub(crate) async fn what_is_not_as_it_was_shown_lets_none_of_them_go(maker: impl Maker) {
    let store = maker.open().await;
    taken(&store, 1, "PO-1").await;
    taken(&store, 11, "PO-2").await;
    let found = all_of(&store, "erp").await;
    ask_to_cancel(&store, 21, "PO-2").await;
    let before = observe(&store).await;
    let moved = store.replay_delivered(replayed(found, b"shown", leaf(60))).await;
    assert!(matches!(moved, Err(StoreError::DeliveryMoved { .. })), "{moved:?}");
    let nothing = store.replay_delivered(replayed(Vec::new(), b"shown", leaf(60))).await;
    assert!(matches!(nothing, Err(StoreError::Failed(_))), "{nothing:?}");
    assert_eq!(observe(&store).await, before);
}

pub(crate) async fn a_replay_is_known_by_what_was_shown_and_happens_once(maker: impl Maker) {
    let store = maker.open().await;
    taken(&store, 1, "PO-1").await;
    let found = all_of(&store, "erp").await;
    assert!(store.replay_delivered(replayed(found.clone(), b"shown", leaf(60))).await.unwrap());
    let other = store.replay_delivered(replayed(found.clone(), b"something else", leaf(61))).await;
    assert!(matches!(other, Err(StoreError::DeliveryMoved { .. })), "{other:?}");
    done(&store, 70, 500, applied()).await;
    let leaves_before = leaves(&store).await;
    assert!(!store.replay_delivered(replayed(found, b"shown", leaf(62))).await.unwrap(), "also when it is done");
    assert!(claim(&store, 900).await.is_empty());
    assert_eq!(leaves(&store).await, leaves_before);
}

pub(crate) async fn a_numbered_delivery_keeps_its_number_and_waits_for_another_answer(maker: impl Maker) {
    let store = maker.open().await;
    let number = interchange::sent(&store, 1, "PO-1", "ZZ:A").await;
    let accepted = || interchange::answers("PO-1", "ZZ:A", number, Some(InterchangeAnswer::Accepted));
    interchange::heard(&store, 11, accepted()).await.unwrap();
    let found = store.delivered(wanted("edi", 0, 1_000)).await.unwrap().deliveries;
    store.replay_delivered(replayed(found, b"shown", leaf(60))).await.unwrap();
    let permit = claim(&store, 500).await.remove(0);
    let known = permit.interchange().unwrap().clone();
    assert_eq!((known.number, known.numbered_at, known.answer), (number, NOW, None));
    assert_eq!(store.summary().await.unwrap().unacknowledged, 0, "it is not sent yet");
    let attempt = store.begin_attempt(permit, lease(500), leaf(61)).await.unwrap();
    store.settle(attempt, applied(), NOW.plus_ms(500), leaf(62)).await.unwrap();
    assert_eq!(store.summary().await.unwrap().unacknowledged, 1, "its receiver is waited for again");
    interchange::heard(&store, 21, accepted()).await.unwrap();
    assert_eq!(store.summary().await.unwrap().unacknowledged, 0);
}

pub(crate) async fn what_its_receiver_rejected_is_seen_to_be_and_a_second_silence_is_told_again(maker: impl Maker) {
    let store = maker.open().await;
    let rejected = interchange::sent(&store, 1, "PO-1", "ZZ:A").await;
    let answer = interchange::answers("PO-1", "ZZ:A", rejected, Some(InterchangeAnswer::Rejected));
    interchange::heard(&store, 11, answer).await.unwrap();
    let silent = interchange::sent(&store, 21, "PO-2", "ZZ:A").await;
    let (late, later) = (NOW.plus_ms(interchange::HOUR_MS), NOW.plus_ms(3 * interchange::HOUR_MS));
    assert!(store.tell_overdue("ZZ:A", silent, interchange::overdue(), late, leaf(31)).await.unwrap());
    let answer = interchange::answers("PO-2", "ZZ:A", silent, Some(InterchangeAnswer::Accepted));
    interchange::heard(&store, 41, answer).await.unwrap();

    let mut found = store.delivered(wanted("edi", 0, 1_000)).await.unwrap().deliveries;
    assert_eq!(found.iter().map(|delivery| delivery.rejected).collect::<Vec<_>>(), [true, false]);
    store.replay_delivered(replayed(found.split_off(1), b"shown", leaf(60))).await.unwrap();
    let permit = claim(&store, 500).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(500), leaf(61)).await.unwrap();
    store.settle(attempt, applied(), NOW.plus_ms(500), leaf(62)).await.unwrap();
    assert!(store.tell_overdue("ZZ:A", silent, interchange::overdue(), later, leaf(63)).await.unwrap());
}

pub(crate) async fn what_is_sent_again_stands_in_line_where_it_stood(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "first"), ("erp", "second"), ("erp", "third")]).await;
    done(&store, 11, 1, applied()).await;
    done(&store, 21, 2, applied()).await;
    let found = all_of(&store, "erp").await;
    assert_eq!(found.len(), 2);
    store.replay_delivered(replayed(found, b"shown", leaf(60))).await.unwrap();
    for (number, expected) in [(31, "first"), (41, "second"), (51, "third")] {
        let permits = claim(&store, 500).await;
        assert_eq!(permits.iter().map(|permit| permit.kind()).collect::<Vec<_>>(), [expected]);
        let attempt = store.begin_attempt(permits.into_iter().next().unwrap(), lease(500), leaf(number)).await.unwrap();
        store.settle(attempt, applied(), NOW.plus_ms(500), leaf(number + 1)).await.unwrap();
    }
}

pub(crate) async fn what_was_sent_again_too_often_is_not_sent_once_more(maker: impl Maker) {
    let store = maker.open().await;
    taken(&store, 1, "PO-1").await;
    for replay in 0..=REPLAYS_MAX {
        let (found, number) = (all_of(&store, "erp").await, 100 + 10 * u64::from(replay));
        assert_eq!(found[0].replays, replay);
        let again = replayed(found, &replay.to_be_bytes(), leaf(number));
        match store.replay_delivered(again).await {
            Ok(written) => assert!(written && replay < REPLAYS_MAX),
            Err(StoreError::ReplaysSpent { replays, .. }) => {
                assert_eq!((replay, replays), (REPLAYS_MAX, REPLAYS_MAX));
                return;
            }
            Err(other) => panic!("{other}"),
        }
        done(&store, number + 1, 500, applied()).await;
    }
}
