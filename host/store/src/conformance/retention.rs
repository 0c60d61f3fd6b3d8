//! Retention: what goes, what stays, and what nobody may lose.

use std::sync::Arc;

use portreeve_model::{ExceptionKind, Instant, ProcessState, Reply};

use super::Maker;
use super::fixture::{
    ALL, NOW, abandon, about_order, applied, claim, commit, dead, decision_of, envelope, event_in, exception, input,
    input_id, keep, leaf, lease, leaves, moving, next, observe, order_id, order_in, release, released, waits,
};
use crate::contract::{
    CaughtUp, Decided, EventOutcome, FORGOTTEN, Forgotten, InputId, JournalOutcome, NewProgress, OrderEventKind,
    OrderState, Store, StoreError,
};

/// Later than everything here.
const LATER: Instant = Instant(NOW.0 + 1_000_000);

/// The inputs that may be forgotten.
async fn finished(store: &Arc<dyn Store>, before: Instant) -> Vec<InputId> {
    let kept = store.kept_inputs(before, None, ALL).await.unwrap();
    kept.into_iter().filter(|input| input.finished).map(|input| input.id).collect()
}

pub(crate) async fn what_is_said_of_an_order_stays_until_the_order_is_over(maker: impl Maker) {
    let store = maker.open().await;
    delivered(&store, 1, "PO-1", 0).await;
    for (number, after, state) in [(11, 0, ProcessState::Accepted), (21, 1, ProcessState::PartShipped)] {
        keep(&store, input(number, &[&format!("SAID-{number}")])).await;
        let progress = Some(NewProgress { after, state });
        commit(&store, moving(next(&store).await, "PO-1", EventOutcome::Applied, progress, leaf(number + 1)))
            .await
            .unwrap();
    }
    assert_eq!(finished(&store, LATER).await, [], "it is part-shipped, and the rest is still to come");
    keep(&store, input(31, &["SAID-31"])).await;
    commit(&store, moving(next(&store).await, "PO-1", EventOutcome::Early, None, leaf(32))).await.unwrap();
    keep(&store, input(41, &["SAID-41"])).await;
    let progress = Some(NewProgress { after: 2, state: ProcessState::Settled });
    let mut decision = moving(next(&store).await, "PO-1", EventOutcome::Applied, progress, leaf(42));
    decision.at = NOW.plus_ms(5);
    commit(&store, decision).await.unwrap();
    assert_eq!(finished(&store, LATER).await, [], "something waits for its turn");
    let early = store.early_events(order_id("PO-1")).await.unwrap().remove(0).position;
    keep(&store, input(51, &["SAID-51"])).await;
    let progress = Some(NewProgress { after: 3, state: ProcessState::Settled });
    let mut decision = moving(next(&store).await, "PO-1", EventOutcome::Applied, progress, leaf(52));
    decision.at = NOW.plus_ms(5);
    event_in(&mut decision).caught_up = vec![CaughtUp { position: early, outcome: EventOutcome::Applied }];
    commit(&store, decision).await.unwrap();
    assert_eq!(finished(&store, NOW.plus_ms(5)).await, [], "what was said of it last is not that old");
    let all: Vec<InputId> = [1, 11, 21, 31, 41, 51].map(input_id).to_vec();
    let mut found = finished(&store, LATER).await;
    found.sort_unstable();
    let mut all = all;
    all.sort_unstable();
    assert_eq!(found, all);
}

pub(crate) async fn what_waits_for_an_order_that_never_came_keeps_its_content_with_what_else_was_said_of_it(
    maker: impl Maker,
) {
    let store = maker.open().await;
    for (number, outcome) in [(1, EventOutcome::Noted), (11, EventOutcome::Early)] {
        keep(&store, input(number, &[&format!("SAID-{number}")])).await;
        commit(&store, moving(next(&store).await, "PO-NEVER", outcome, None, leaf(number + 1))).await.unwrap();
    }
    assert_eq!(finished(&store, LATER).await, [], "one waits, and the other one is about the same order");
    // Of another order that is not here nothing waits, but somebody spoke of it lately.
    for (number, after_ms) in [(21, 40), (31, 70)] {
        keep(&store, input(number, &[&format!("SAID-{number}")])).await;
        let mut decision = moving(next(&store).await, "PO-NOT-YET", EventOutcome::Noted, None, leaf(number + 1));
        decision.at = NOW.plus_ms(after_ms);
        commit(&store, decision).await.unwrap();
    }
    assert_eq!(finished(&store, NOW.plus_ms(70)).await, []);
    let mut found = finished(&store, NOW.plus_ms(71)).await;
    found.sort_unstable();
    let mut expected = [21, 31].map(input_id);
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Takes in an order, releases it and delivers it, at a time after the beginning.
async fn delivered(store: &Arc<dyn Store>, number: u64, key: &str, after_ms: i64) {
    release(store, number, key, &[("erp", "order")]).await;
    let permit = claim(store, after_ms).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(0), leaf(number + 2)).await.unwrap();
    store.settle(attempt, applied(), NOW.plus_ms(after_ms), leaf(number + 3)).await.unwrap();
}

pub(crate) async fn content_of_a_finished_input_goes_and_duplicates_are_known_all_the_same(maker: impl Maker) {
    let store = maker.open().await;
    delivered(&store, 1, "PO-1", 0).await;
    delivered(&store, 11, "PO-2", 0).await;
    let before = leaves(&store).await;
    let kept = store.kept_inputs(LATER, None, ALL).await.unwrap();
    assert_eq!(kept.iter().map(|input| input.id).collect::<Vec<_>>(), [input_id(1), input_id(11)]);
    assert_eq!((kept[0].documents, kept[0].finished, kept[0].received_at), (1, true, NOW.plus_ms(1)));
    let content = kept[0].content;
    assert_eq!(store.payload(content).await.unwrap(), b"an input");

    let forgotten = store.forget(vec![input_id(1)], LATER, LATER, leaf(50)).await.unwrap();
    assert_eq!(forgotten, Some(Forgotten { inputs: 1, orders: 1, payloads: 4 }));
    drop(store);
    let store = maker.open().await;
    assert_eq!(
        leaves(&store).await,
        [before, vec![leaf(50).id().short()]].concat(),
        "all that was on record, and this"
    );

    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    for gone in [content, order.event, order.decision] {
        assert!(matches!(store.payload(gone).await, Err(StoreError::Erased(found)) if found == gone.commitment));
    }
    assert!(matches!(store.input_documents(input_id(1), ALL).await, Err(StoreError::Erased(_))));
    assert_eq!((order.state, order.number.as_str(), order.why.as_str()), (OrderState::Released, "PO-1", FORGOTTEN));
    assert_eq!(order.deliveries[0].external_id.as_deref(), Some("S-1"));
    let trail = store.order_trail(order.id).await.unwrap().unwrap();
    assert_eq!(trail.leaves.last().unwrap().id, leaf(50).id(), "the order's story says so");
    let other = store.order(order_id("PO-2")).await.unwrap().unwrap();
    assert_eq!(store.payload(other.decision).await.unwrap(), b"decision");

    // The same bytes, the same envelope and the same key are what they were.
    let status_alone = Reply { status: 200, headers: Vec::new(), body: Vec::new() };
    assert_eq!(store.reply_to(input_id(1)).await.unwrap(), Some(status_alone.clone()));
    let again = store.journal(input(1, &["PO-1"])).await.unwrap();
    assert!(matches!(again, JournalOutcome::Duplicate { reply, .. } if reply == status_alone));
    let mut known = input(70, &["PO-70"]);
    known.envelopes = vec![envelope("interchange 1")];
    let outcome = store.journal(known).await.unwrap();
    assert!(
        matches!(&outcome, JournalOutcome::Known { envelopes } if envelopes[0].input == input_id(1)),
        "{outcome:?}"
    );
    keep(&store, input(71, &["PO-1"])).await;
    assert_eq!(next(&store).await.first().unwrap().position, order.position);
}

pub(crate) async fn whatever_is_open_keeps_its_content(maker: impl Maker) {
    let store = maker.open().await;
    // Without a decision.
    keep(&store, input(1, &["PO-1"])).await;
    assert!(finished(&store, LATER).await.is_empty());
    // One of two documents without a decision.
    keep(&store, input(11, &["PO-2", "PO-3"])).await;
    let documents = store.undecided(ALL, &[]).await.unwrap();
    for document in documents.into_iter().filter(|document| document.key() == "PO-2") {
        commit(&store, released(document, &[], leaf(12))).await.unwrap();
    }
    // Waiting for a person, in each way.
    for (number, state) in [(21, OrderState::Held), (31, OrderState::Routed), (41, OrderState::Exception)] {
        keep(&store, input(number, &[&format!("PO-{number}")])).await;
        let document = store.undecided(ALL, &[]).await.unwrap().pop().unwrap();
        let mut decision = released(document, &[], leaf(number + 1));
        order_in(&mut decision).state = state;
        commit(&store, decision).await.unwrap();
    }
    keep(&store, input(51, &["PO-51"])).await;
    let mut refused = released(store.undecided(ALL, &[]).await.unwrap().pop().unwrap(), &[], leaf(52));
    (order_in(&mut refused).state, order_in(&mut refused).exception) =
        (OrderState::Refused, Some(exception("refused")));
    commit(&store, refused).await.unwrap();
    keep(&store, input(61, &["PO-61"])).await;
    let document = store.undecided(ALL, &[]).await.unwrap().pop().unwrap();
    commit(
        &store,
        decision_of(document, Decided::Unmapped(waits(ExceptionKind::Document, "unmapped")), Vec::new(), leaf(62)),
    )
    .await
    .unwrap();
    let mut unparsed = input(71, &[]);
    unparsed.exceptions = vec![waits(ExceptionKind::Input, "unparsed")];
    keep(&store, unparsed).await;
    // About an order, for a person to carry out; and that order with it.
    keep(&store, input(91, &["PO-91"])).await;
    let document = store.undecided(ALL, &[]).await.unwrap().pop().unwrap();
    commit(&store, released(document, &[], leaf(92))).await.unwrap();
    keep(&store, input(93, &["PO-93"])).await;
    let document = store.undecided(ALL, &[]).await.unwrap().pop().unwrap();
    commit(&store, about_order(document, "PO-91", OrderEventKind::Changed, leaf(94))).await.unwrap();
    // On its way, and given up.
    keep(&store, input(81, &["PO-81"])).await;
    let document = store.undecided(ALL, &[]).await.unwrap().pop().unwrap();
    commit(&store, released(document, &[("erp", "order")], leaf(82))).await.unwrap();
    assert!(finished(&store, LATER).await.is_empty());
    let permit = claim(&store, 0).await.remove(0);
    assert!(finished(&store, LATER).await.is_empty());
    store.settle_unattempted(permit, dead(false), NOW, leaf(83)).await.unwrap();
    assert!(finished(&store, LATER).await.is_empty());

    let seen = observe(&store).await;
    for input in store.kept_inputs(LATER, None, ALL).await.unwrap() {
        assert_eq!(store.forget(vec![input.id], LATER, LATER, leaf(99)).await.unwrap(), None);
    }
    assert_eq!(observe(&store).await, seen, "nothing was removed, and no leaf says so");

    // What a person ended is finished.
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    abandon(&store, letter.exception, NOW, leaf(84)).await.unwrap();
    assert_eq!(finished(&store, LATER).await, [input_id(81)]);
}

pub(crate) async fn what_came_to_rest_too_late_keeps_its_content_until_then(maker: impl Maker) {
    let store = maker.open().await;
    delivered(&store, 1, "PO-1", 500).await;
    assert!(store.kept_inputs(NOW.plus_ms(1), None, ALL).await.unwrap().is_empty(), "it was not there yet");
    assert!(finished(&store, NOW.plus_ms(500)).await.is_empty(), "its delivery ended then, not before");
    assert_eq!(store.forget(vec![input_id(1)], NOW.plus_ms(500), LATER, leaf(50)).await.unwrap(), None);
    assert_eq!(finished(&store, NOW.plus_ms(501)).await, [input_id(1)]);

    release(&store, 11, "PO-2", &[("erp", "order")]).await;
    let permit = claim(&store, 600).await.remove(0);
    store.settle_unattempted(permit, dead(false), NOW.plus_ms(600), leaf(60)).await.unwrap();
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    abandon(&store, letter.exception, NOW.plus_ms(700), leaf(61)).await.unwrap();
    assert_eq!(finished(&store, NOW.plus_ms(700)).await, [input_id(1)], "a person ended it then, not before");
    assert_eq!(finished(&store, NOW.plus_ms(701)).await.len(), 2);

    // An order without a delivery came to rest when it was decided.
    keep(&store, input(21, &["PO-3"])).await;
    let mut decision = released(next(&store).await, &[], leaf(70));
    decision.at = NOW.plus_ms(800);
    commit(&store, decision).await.unwrap();
    assert_eq!(finished(&store, NOW.plus_ms(800)).await.len(), 2);
    assert_eq!(finished(&store, NOW.plus_ms(801)).await.len(), 3);
}

pub(crate) async fn an_input_that_is_not_finished_keeps_its_whole_batch(maker: impl Maker) {
    let store = maker.open().await;
    delivered(&store, 1, "PO-1", 0).await;
    keep(&store, input(11, &["PO-2"])).await;
    let seen = observe(&store).await;
    for open in [input_id(11), input_id(99)] {
        assert_eq!(store.forget(vec![input_id(1), open], LATER, LATER, leaf(50)).await.unwrap(), None);
    }
    assert_eq!(observe(&store).await, seen);
    assert!(store.forget(vec![input_id(1)], LATER, LATER, leaf(50)).await.unwrap().is_some());
    assert_eq!(
        store.forget(vec![input_id(1)], LATER, LATER, leaf(51)).await.unwrap(),
        None,
        "it was forgotten already"
    );
    assert_eq!(leaves(&store).await.len(), 6);
}

pub(crate) async fn kept_inputs_are_paged_and_forgotten_ones_gone(maker: impl Maker) {
    let store = maker.open().await;
    // Several at the same time, so that the page has to go by id as well.
    for number in 1..=7 {
        let mut entry = input(number, &[]);
        entry.received_at = NOW.plus_ms(i64::try_from(number / 3).unwrap());
        keep(&store, entry).await;
    }
    let all = store.kept_inputs(LATER, None, ALL).await.unwrap();
    assert!(all.is_sorted_by_key(|input| (input.received_at, input.id)));
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|last: &crate::contract::KeptInput| (last.received_at, last.id));
        let page = store.kept_inputs(LATER, after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!((paged.len(), &paged), (7, &all));
    let (gone, left) = all.split_at(4);
    let gone = gone.iter().map(|input| input.id).collect();
    assert!(store.forget(gone, LATER, LATER, leaf(50)).await.unwrap().is_some());
    assert_eq!(store.kept_inputs(LATER, None, ALL).await.unwrap(), left);
}
