//! Messages that have to go out by a time: what is waited for, what is told of it, and when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portreeve_model::{ChannelId, ExceptionAction, ExceptionKind, Instant, ProcessState};

use super::Maker;
use super::effect::said;
use super::fixture::{
    self, ALL, NOW, applied, channel, claim, cleared, commit, dead, event_in, hold_back, input, keep, kept_back, leaf,
    lease, leaves, moving, next, order_id, order_in, release, released, resolved, step, waits,
};
use super::replay::{all_of, replayed, taken};
use crate::contract::{
    CaughtUp, Content, DocumentPosition, DueAfter, DueRule, Effect, EventOutcome, LateMessage, NewException, NewOutbox,
    NewProgress, OrderEventKind, OrderState, Store,
};

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The ERP has an order within an hour of its receipt.
pub(crate) fn rule() -> DueRule {
    DueRule {
        name: "order after order.created".to_owned(),
        target: "erp".to_owned(),
        kind: "order".to_owned(),
        after: DueAfter::Order,
        while_early: false,
        channels: BTreeSet::new(),
        within_ms: HOUR_MS,
        partners_ms: BTreeMap::new(),
    }
}

pub(crate) fn late() -> NewException {
    waits(ExceptionKind::Order, "message-late")
}

/// When the only message of an input with this number is due.
pub(crate) fn due(number: i64) -> Instant {
    NOW.plus_ms(number + HOUR_MS)
}

async fn watch(store: &Arc<dyn Store>, rule: DueRule, at: Instant) {
    assert!(!store.watch_due(rule, at, ALL).await.unwrap(), "nothing is left");
}

/// Looks at what there is, and says the number of the only message that is waited for.
pub(crate) async fn waited_for(store: &Arc<dyn Store>) -> u64 {
    watch(store, rule(), NOW).await;
    store.late_messages(due(1), ALL).await.unwrap().pop().unwrap().number
}

/// Order and whether it went out, of each that is late at a time.
async fn seen(store: &Arc<dyn Store>, at: Instant) -> Vec<(String, bool)> {
    let found = store.late_messages(at, ALL).await.unwrap().into_iter();
    found.map(|message| (message.order_number, message.sent)).collect()
}

/// What is due first for its target goes out at a time.
pub(crate) async fn sent(store: &Arc<dyn Store>, first_leaf: u64, at: Instant) {
    let permit = claim(store, 0).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(0), leaf(first_leaf)).await.unwrap();
    store.settle(attempt, applied(), at, leaf(first_leaf + 1)).await.unwrap();
}

pub(crate) async fn what_did_not_go_out_in_time_is_told_once_and_over_when_it_goes(maker: impl Maker) {
    let store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let (before, at) = (due(1).plus_ms(-1), due(1));
    watch(&store, rule(), before).await;
    assert_eq!(seen(&store, before).await, []);
    let found = store.late_messages(at, ALL).await.unwrap().remove(0);
    let expected = LateMessage {
        number: found.number,
        order: order_id("PO-1"),
        order_number: "PO-1".to_owned(),
        partner: "C-1201".to_owned(),
        target: "erp".to_owned(),
        kind: "order".to_owned(),
        due_at: at,
        sent: false,
    };
    assert_eq!(found, expected);
    assert!(!store.end_late(found.number, at, leaf(9)).await.unwrap(), "it did not go out");
    assert!(!store.tell_late(found.number, late(), before, leaf(9)).await.unwrap(), "it is not due yet");
    assert!(store.tell_late(found.number, late(), at, leaf(10)).await.unwrap());
    assert!(!store.tell_late(found.number, late(), at, leaf(11)).await.unwrap(), "once");
    drop(store);

    let store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    watch(&store, rule(), at).await;
    assert_eq!(seen(&store, at).await, [], "they know");
    let told = store.exceptions(ALL).await.unwrap().pop().unwrap();
    assert_eq!((told.order, told.code.as_str()), (Some(order_id("PO-1")), "message-late"));
    assert_eq!(told.target.as_deref(), Some("erp"), "whose systems' owner it is");
    let review = cleared(&kept_back(&store, "PO-1").await, leaf(12));
    store.commit_review(review).await.unwrap();
    sent(&store, 13, at.plus_ms(7)).await;
    assert_eq!(seen(&store, at).await, [("PO-1".to_owned(), true)]);
    let count = leaves(&store).await.len();
    assert!(store.end_late(found.number, at.plus_ms(8), leaf(15)).await.unwrap());
    assert!(!store.end_late(found.number, at.plus_ms(8), leaf(16)).await.unwrap(), "once");
    assert_eq!((leaves(&store).await.len(), seen(&store, at).await), (count + 1, vec![]));
    let closed = store.exception(told.id).await.unwrap().unwrap().exception.closed.unwrap();
    assert_eq!((closed.who, closed.how.as_str()), (None, "cleared"));
    let trail = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    for number in [10, 15] {
        assert!(trail.leaves.iter().any(|found| found.id == leaf(number).id()), "its leaf is in the order's story");
    }
}

pub(crate) async fn what_goes_out_in_time_is_waited_for_no_more_and_what_goes_late_is_told_apart(maker: impl Maker) {
    let store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    for (number, key, sent_at) in [(1, "PO-1", due(1)), (11, "PO-2", due(11).plus_ms(1))] {
        release(&store, number, key, &[("erp", "order")]).await;
        watch(&store, rule(), NOW).await;
        sent(&store, number + 2, sent_at).await;
    }
    let at = due(11).plus_ms(2);
    assert_eq!(seen(&store, at).await, [("PO-2".to_owned(), true)]);
    watch(&store, rule(), at).await;
    let found = store.late_messages(at, ALL).await.unwrap().remove(0);
    assert!(!store.tell_late(found.number, late(), at, leaf(30)).await.unwrap(), "it went out meanwhile");
    assert!(store.end_late(found.number, at, leaf(31)).await.unwrap());
    assert_eq!((seen(&store, at).await, store.exceptions(ALL).await.unwrap().len()), (vec![], 0));
    // One that had gone out when it was looked at first is never waited for.
    release(&store, 41, "PO-3", &[("erp", "order")]).await;
    sent(&store, 43, NOW).await;
    watch(&store, rule(), NOW).await;
    assert_eq!(seen(&store, due(41)).await, []);
}

pub(crate) async fn what_follows_from_something_said_has_gone_out_when_the_message_made_of_it_has(maker: impl Maker) {
    let store = maker.open().await;
    let after = DueAfter::Event(OrderEventKind::Picked);
    let rule = DueRule { after, target: "wms".to_owned(), kind: "note".to_owned(), ..rule() };
    store.begin_due(vec![rule.clone()]).await.unwrap();
    release(&store, 1, "PO-1", &[]).await;
    for number in [11, 21] {
        let follows = |here| vec![("wms", "note", Content::Said(here)), ("wms", "other", Content::Said(here))];
        let (decision, _) = said(&store, number, follows).await;
        commit(&store, decision).await.unwrap();
    }
    watch(&store, rule.clone(), NOW).await;
    let at = due(21);
    assert_eq!(seen(&store, due(11)).await.len(), 1, "it counts from when each was received");
    assert_eq!(seen(&store, at).await.len(), 2);
    sent(&store, 31, NOW).await;
    watch(&store, rule, at).await;
    let left: Vec<Instant> = store.late_messages(at, ALL).await.unwrap().iter().map(|message| message.due_at).collect();
    assert_eq!(left, [at], "the second one's is still to go");
}

/// An event about PO-1 that waits for its turn; its place.
async fn early(store: &Arc<dyn Store>, number: u64) -> DocumentPosition {
    keep(store, input(number, &[&format!("SAID-{number}")])).await;
    let document = next(store).await;
    let position = document.position();
    commit(store, moving(document, "PO-1", EventOutcome::Early, None, leaf(number + 1))).await.unwrap();
    position
}

pub(crate) async fn what_surely_follows_from_an_event_that_waits_for_its_turn_is_waited_for_already(maker: impl Maker) {
    let store = maker.open().await;
    let sure = DueRule {
        name: "sure".to_owned(),
        target: "wms".to_owned(),
        kind: "note".to_owned(),
        after: DueAfter::Event(OrderEventKind::Picked),
        while_early: true,
        ..rule()
    };
    let unsure = DueRule { name: "unsure".to_owned(), while_early: false, ..sure.clone() };
    release(&store, 1, "PO-1", &[]).await;
    early(&store, 11).await;
    store.begin_due(vec![sure.clone(), unsure.clone()]).await.unwrap();
    let second = early(&store, 21).await;
    let third = early(&store, 31).await;
    watch(&store, unsure, NOW).await;
    assert_eq!(seen(&store, due(31)).await, [], "it may be that nothing follows");
    watch(&store, sure.clone(), NOW).await;
    watch(&store, sure.clone(), NOW).await;
    let waits = ("PO-1".to_owned(), false);
    assert_eq!(seen(&store, due(30)).await, std::slice::from_ref(&waits), "not of what came before the rule");
    let at = due(31);
    assert_eq!(seen(&store, at).await, [waits.clone(), waits]);
    let found = store.late_messages(at, ALL).await.unwrap().remove(0);
    assert_eq!(found.due_at, due(21));
    assert!(store.tell_late(found.number, late(), at, leaf(41)).await.unwrap());

    // The turn of one comes, and the other one never counts.
    keep(&store, input(51, &["SAID-51"])).await;
    let progress = Some(NewProgress { after: 0, state: ProcessState::Accepted });
    let mut decision = moving(next(&store).await, "PO-1", EventOutcome::Applied, progress, leaf(52));
    let event = event_in(&mut decision);
    event.caught_up = vec![
        CaughtUp { position: second, outcome: EventOutcome::Applied },
        CaughtUp { position: third, outcome: EventOutcome::Impossible },
    ];
    let (target, kind) = ("wms".to_owned(), "note".to_owned());
    event.outbox = vec![NewOutbox { target, kind, content: Content::Said(second) }];
    commit(&store, decision).await.unwrap();
    watch(&store, sure.clone(), at).await;
    assert_eq!(seen(&store, at).await, [], "people were told of the one, and wait for the other no more");
    sent(&store, 61, at.plus_ms(9)).await;
    assert_eq!(seen(&store, at).await, [("PO-1".to_owned(), true)]);
    assert!(store.end_late(found.number, at.plus_ms(9), leaf(63)).await.unwrap());
    watch(&store, sure, at.plus_ms(9)).await;
    assert_eq!(seen(&store, at.plus_ms(9)).await, []);
}

pub(crate) async fn a_new_rule_looks_at_what_comes_and_one_that_is_gone_waits_for_nothing(maker: impl Maker) {
    let store = maker.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    watch(&store, rule(), NOW).await;
    assert_eq!(seen(&store, due(1)).await, [], "nobody began with it");
    store.begin_due(vec![rule()]).await.unwrap();
    hold_back(&store, 11, "PO-2", &["credit-limit"]).await;
    watch(&store, rule(), NOW).await;
    assert_eq!(seen(&store, due(11)).await, [("PO-2".to_owned(), false)]);
    store.begin_due(Vec::new()).await.unwrap();
    assert_eq!(seen(&store, due(11)).await, []);
    store.begin_due(vec![rule()]).await.unwrap();
    watch(&store, rule(), NOW).await;
    assert_eq!(seen(&store, due(11)).await, [], "it begins anew");
}

pub(crate) async fn channel_and_partner_of_an_order_say_whether_and_by_when(maker: impl Maker) {
    let store = maker.open().await;
    let elsewhere = DueRule {
        name: "elsewhere".to_owned(),
        channels: BTreeSet::from([ChannelId::parse("shop").unwrap()]),
        ..rule()
    };
    let partners_ms = BTreeMap::from([("C-1201".to_owned(), 2 * HOUR_MS), ("C-1202".to_owned(), 1)]);
    let agreed = DueRule { channels: BTreeSet::from([channel()]), partners_ms, ..rule() };
    store.begin_due(vec![elsewhere.clone(), agreed.clone()]).await.unwrap();
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    for rule in [elsewhere, agreed] {
        watch(&store, rule, NOW).await;
    }
    let at = due(1).plus_ms(HOUR_MS);
    assert_eq!((seen(&store, at.plus_ms(-1)).await, seen(&store, at).await.len()), (vec![], 1));
}

pub(crate) async fn whatever_the_pages_and_however_often_it_is_looked_each_is_told_once(maker: impl Maker) {
    let mut store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    let at = due(1_000);
    let (mut told, mut next_leaf) = (0, 500);
    for (round, limit) in [(1_u64, 1), (2, 2), (3, 3), (4, ALL)] {
        for nth in 0..3 {
            hold_back(&store, round * 40 + nth * 10, &format!("PO-{round}-{nth}"), &["credit-limit"]).await;
        }
        while store.watch_due(rule(), at, limit).await.unwrap() {}
        loop {
            let page = store.late_messages(at, limit).await.unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            let Some(message) = page.first() else { break };
            for expected in [true, false] {
                next_leaf += 1;
                let done = store.tell_late(message.number, late(), at, leaf(next_leaf)).await.unwrap();
                assert_eq!(done, expected);
            }
            told += 1;
        }
        drop(store);
        store = maker.open().await;
        store.begin_due(vec![rule()]).await.unwrap();
    }
    let open = store.exceptions(ALL).await.unwrap();
    assert_eq!((told, open.iter().filter(|found| found.code == "message-late").count()), (12, 12));
}

pub(crate) async fn a_dead_letter_that_is_tried_again_did_not_go_out_until_its_target_takes_it(maker: impl Maker) {
    let store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    for (number, key) in [(1, "PO-1"), (11, "PO-2")] {
        release(&store, number, key, &[("erp", "order")]).await;
        let permit = claim(&store, 0).await.remove(0);
        store.settle_unattempted(permit, dead(false), NOW, leaf(number + 2)).await.unwrap();
    }
    watch(&store, rule(), NOW).await;
    let first = store.late_messages(due(1), ALL).await.unwrap().remove(0);
    assert_eq!(first.order_number, "PO-1");
    assert!(store.tell_late(first.number, late(), due(1), leaf(31)).await.unwrap());
    let letters = store.dead_letters(0, ALL).await.unwrap();
    for (letter, number) in letters.iter().zip([32, 33]) {
        fixture::replay(&store, letter.exception, NOW, leaf(number)).await.unwrap();
    }
    let at = due(11);
    watch(&store, rule(), at).await;
    assert_eq!(seen(&store, at).await, [("PO-2".to_owned(), false)], "to be tried again is not to be sent");
    assert!(!store.end_late(first.number, at, leaf(34)).await.unwrap(), "it did not go out");

    for (permit, number) in claim(&store, 0).await.into_iter().zip([35, 37]) {
        let attempt = store.begin_attempt(permit, lease(0), leaf(number)).await.unwrap();
        store.settle(attempt, applied(), at.plus_ms(1), leaf(number + 1)).await.unwrap();
    }
    watch(&store, rule(), at.plus_ms(1)).await;
    let found = store.late_messages(at, ALL).await.unwrap();
    assert_eq!(seen(&store, at).await, [("PO-2".to_owned(), true), ("PO-1".to_owned(), true)], "both went late");
    for (message, number) in found.iter().zip([41, 42]) {
        assert!(store.end_late(message.number, at.plus_ms(1), leaf(number)).await.unwrap());
    }
    assert_eq!((seen(&store, at).await, store.exceptions(ALL).await.unwrap().len()), (vec![], 0));
}

pub(crate) async fn what_people_had_sent_again_went_out_before(maker: impl Maker) {
    let store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    for (first_leaf, key) in [(1, "PO-1"), (11, "PO-2")] {
        taken(&store, first_leaf, key).await;
    }
    let both = all_of(&store, "erp").await;
    assert_eq!(both.len(), 2);
    assert!(store.replay_delivered(replayed(both, b"shown", leaf(60))).await.unwrap());
    let at = due(11);
    // One arrives a second time, after its time, and the other one is still on its way.
    let permit = claim(&store, 500).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(500), leaf(61)).await.unwrap();
    store.settle(attempt, applied(), at.plus_ms(9), leaf(62)).await.unwrap();
    watch(&store, rule(), at.plus_ms(9)).await;
    assert_eq!(seen(&store, at.plus_ms(9)).await, []);
}

/// An order that the rules refuse, with word of that to the ERP or none.
async fn refuse(store: &Arc<dyn Store>, number: u64, key: &str, is_told: bool) {
    keep(store, input(number, &[key])).await;
    let document = next(store).await;
    let content = Content::Said(document.position());
    let word = NewOutbox { target: "erp".to_owned(), kind: "order".to_owned(), content };
    let mut decision = released(document, &[], leaf(number + 1));
    let order = order_in(&mut decision);
    order.state = OrderState::Refused;
    order.outbox = if is_told { vec![word] } else { Vec::new() };
    commit(store, decision).await.unwrap();
}

pub(crate) async fn what_nothing_sends_any_more_is_waited_for_no_more(maker: impl Maker) {
    let store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let permit = claim(&store, 0).await.remove(0);
    store.settle_unattempted(permit, dead(false), NOW, leaf(3)).await.unwrap();
    refuse(&store, 11, "PO-2", false).await;
    release(&store, 21, "PO-3", &[]).await;
    release(&store, 31, "PO-4", &[]).await;
    refuse(&store, 41, "PO-5", true).await;
    watch(&store, rule(), NOW).await;
    let at = due(41);
    let of = |number: &str, sent: bool| (number.to_owned(), sent);
    assert_eq!(seen(&store, at).await, ["PO-1", "PO-3", "PO-4", "PO-5"].map(|number| of(number, false)));
    let first = store.late_messages(at, ALL).await.unwrap().remove(0);

    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    fixture::abandon(&store, letter.exception, NOW, leaf(51)).await.unwrap();
    keep(&store, input(52, &["SAID-52"])).await;
    let cancelled = Some(NewProgress { after: 0, state: ProcessState::Cancelled });
    let word = moving(next(&store).await, "PO-3", EventOutcome::Applied, cancelled, leaf(53));
    commit(&store, word).await.unwrap();
    assert!(!store.tell_late(first.number, late(), at, leaf(54)).await.unwrap(), "people gave it up");
    for _ in 0..2 {
        assert_eq!(seen(&store, at).await, ["PO-4", "PO-5"].map(|number| of(number, false)));
        watch(&store, rule(), at).await;
    }
}

pub(crate) async fn what_people_closed_is_waited_for_no_more(maker: impl Maker) {
    let store = maker.open().await;
    store.begin_due(vec![rule()]).await.unwrap();
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    watch(&store, rule(), NOW).await;
    let at = due(1);
    let found = store.late_messages(at, ALL).await.unwrap().remove(0);
    assert!(store.tell_late(found.number, late(), at, leaf(10)).await.unwrap());
    let told = store.exceptions(ALL).await.unwrap().remove(0);
    let closed = resolved(ExceptionAction::Abandon, Effect::Close);
    let step = step(&store, told.id, "ada", closed, leaf(11)).await;
    store.step_exception(step).await.unwrap();
    watch(&store, rule(), at).await;
    sent(&store, 12, at).await;
    assert!(!store.end_late(found.number, at, leaf(14)).await.unwrap(), "nobody waits for it");
    assert_eq!(seen(&store, at).await, []);
}
