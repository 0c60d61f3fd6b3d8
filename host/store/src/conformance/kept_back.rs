//! Kept back: what is looked at again, what is overdue, and what is past holding.

use std::sync::Arc;

use portreeve_model::{Digest, Instant, PluginName};

use super::Maker;
use super::fixture::{
    ALL, HOLD_MS, NOW, about_order, applied, ask_to_cancel, channel, claim, cleared, commit, held, hold, hold_back,
    input, input_id, keep, kept_back, leaf, lease, leaves, next, observe, order_id, order_in, release, released, retry,
    sealed, sender, usd,
};
use crate::contract::{
    ClosedHold, Content, DocumentPosition, Forgotten, HoldOwner, HoldView, Kept, KeptBack, NewHold, NewOutbox,
    NewReview, OrderEventKind, OrderState, Settlement, Store, StoreError, WaitingOrders,
};

/// Numbers of the holds that keep an order back.
fn open(order: &KeptBack) -> Vec<u64> {
    order.open_holds().map(|hold| hold.number).collect()
}

async fn holds(store: &Arc<dyn Store>, key: &str) -> Vec<HoldView> {
    store.order_trail(order_id(key)).await.unwrap().unwrap().holds
}

/// Codes of what waits for a person and is due.
async fn due(store: &Arc<dyn Store>, after_ms: i64) -> Vec<String> {
    let due = store.due_exceptions(NOW.plus_ms(after_ms), ALL).await.unwrap();
    due.into_iter().map(|exception| exception.code).collect()
}

fn moved(result: &Result<(), StoreError>, key: &str) -> bool {
    matches!(result, Err(StoreError::OrderMoved { order }) if *order == order_id(key))
}

pub(crate) async fn a_review_is_there_after_a_reopening_with_everything_that_it_causes(maker: impl Maker) {
    let store = maker.open().await;
    let found = hold_back(&store, 1, "PO-1", &["credit-limit", "new-customer"]).await;
    let [credit_limit, new_customer] = open(&found)[..] else { panic!("two holds: {found:?}") };
    // Somebody releases one of its holds, and another rule keeps it back instead.
    let first = NewReview {
        closed: vec![new_customer],
        who: Some("ada".to_owned()),
        opened: vec![hold("embargo")],
        state: OrderState::Routed,
        queue: Some("export".to_owned()),
        why: "embargo: looked at again".to_owned(),
        outbox: Vec::new(),
        at: NOW.plus_ms(3),
        ..cleared(&found, leaf(3))
    };
    store.commit_review(first).await.unwrap();
    drop(store);

    let store = maker.open().await;
    let found = kept_back(&store, "PO-1").await;
    assert_eq!((found.state, found.holds.len(), found.holds[0].number), (OrderState::Routed, 3, credit_limit));
    let by_ada = ClosedHold { at: NOW.plus_ms(3), who: Some("ada".to_owned()) };
    assert_eq!((found.holds[1].number, &found.holds[1].closed), (new_customer, &Some(by_ada)));
    let embargo = &found.holds[2];
    assert_eq!((embargo.reason.as_str(), embargo.opened_at, &embargo.closed), ("embargo", NOW.plus_ms(3), &None));
    let order = store.order(found.id).await.unwrap().unwrap();
    assert_eq!((order.queue.as_deref(), order.why.as_str()), (Some("export"), "embargo: looked at again"));
    assert!(order.deliveries.is_empty() && store.next_due().await.unwrap().is_none(), "it goes nowhere yet");

    // The host clears what is left, by another configuration.
    let second = NewReview { configuration: 2, at: NOW.plus_ms(5), ..cleared(&found, leaf(4)) };
    store.commit_review(second).await.unwrap();
    drop(store);

    let store = maker.open().await;
    let order = store.order(found.id).await.unwrap().unwrap();
    assert_eq!((order.state, order.queue.as_deref()), (OrderState::Released, None));
    assert_eq!((order.why.as_str(), order.configuration), ("nothing keeps it any more", 1), "as it was decided");
    assert!(store.kept_back_order(found.id).await.unwrap().is_none());
    assert!(store.kept_back(Kept::All, DocumentPosition(0), ALL).await.unwrap().is_empty());
    let trail = store.order_trail(found.id).await.unwrap().unwrap();
    let closed: Vec<_> = trail.holds.iter().map(|hold| hold.closed.as_ref().unwrap()).collect();
    assert_eq!(closed.iter().map(|closed| closed.at.0 - NOW.0).collect::<Vec<_>>(), [5, 3, 5]);
    assert_eq!(closed.iter().map(|closed| closed.who.as_deref()).collect::<Vec<_>>(), [None, Some("ada"), None]);
    let reviews: Vec<_> =
        trail.reviews.iter().map(|review| (review.at.0 - NOW.0, review.who.as_deref(), review.configuration)).collect();
    assert_eq!(reviews, [(3, Some("ada"), 1), (5, None, 2)]);
    assert_eq!(trail.reviews.iter().map(|review| review.leaf).collect::<Vec<_>>(), [leaf(3).id(), leaf(4).id()]);
    for review in &trail.reviews {
        assert_eq!(store.payload(review.record).await.unwrap(), b"review");
    }
    let in_story: Vec<_> = trail.leaves.iter().map(|leaf| leaf.id).collect();
    assert_eq!(in_story, [1, 2, 3, 4].map(|number| leaf(number).id()), "its leaves are in the order's story");

    // Its delivery is due from then on.
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.plus_ms(5)));
    assert!(claim(&store, 4).await.is_empty());
    let permit = claim(&store, 5).await.remove(0);
    assert_eq!((permit.order(), permit.target(), permit.kind()), (Some(found.id), "erp", "order"));
    assert_eq!((permit.deadline_from(), permit.event()), (NOW.plus_ms(5), order.event));
    assert_eq!(store.payload(permit.event()).await.unwrap(), b"event");
}

pub(crate) async fn of_two_reviews_the_first_counts(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    let found = hold_back(&one, 1, "PO-1", &["credit-limit"]).await;
    let same = kept_back(&other, "PO-1").await;
    // At the same time.
    let reviews = tokio::join!(
        one.commit_review(NewReview { who: Some("ada".to_owned()), ..cleared(&found, leaf(3)) }),
        other.commit_review(NewReview { who: Some("bob".to_owned()), ..cleared(&same, leaf(4)) }),
    );
    let (late, in_story) = match &reviews {
        (Ok(()), late) => (late, leaf(3)),
        (late, Ok(())) => (late, leaf(4)),
        both => panic!("none counted: {both:?}"),
    };
    assert!(moved(late, "PO-1"), "{late:?}");
    let trail = one.order_trail(found.id).await.unwrap().unwrap();
    assert_eq!((trail.reviews.len(), trail.leaves.last().unwrap().id), (1, in_story.id()));
    assert_eq!(claim(&one, 0).await.len(), 1, "it is sent once");

    // One that opened something counts as well, and what it opened was not looked at.
    let found = hold_back(&one, 11, "PO-2", &["credit-limit"]).await;
    let more = NewReview {
        closed: Vec::new(),
        opened: vec![hold("embargo")],
        state: OrderState::Held,
        outbox: Vec::new(),
        ..cleared(&found, leaf(13))
    };
    one.commit_review(more).await.unwrap();
    let before = observe(&one).await;
    for review in [cleared(&found, leaf(14)), NewReview { state: OrderState::Held, ..cleared(&found, leaf(15)) }] {
        let late = other.commit_review(review).await;
        assert!(moved(&late, "PO-2"), "{late:?}");
    }
    assert_eq!(observe(&one).await, before, "nothing of the others is there");
}

pub(crate) async fn what_is_not_kept_back_is_not_reviewed(maker: impl Maker) {
    let store = maker.open().await;
    let found = hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let reviews = [leaf(3), leaf(3), leaf(4)].map(|leaf| cleared(&found, leaf));
    let [first, repeated, another] = reviews;
    store.commit_review(first).await.unwrap();
    release(&store, 11, "PO-2", &[]).await;
    let before = observe(&store).await;
    for (review, key) in [
        (repeated, "PO-1"),
        (another, "PO-1"),
        (NewReview { order: order_id("PO-2"), ..cleared(&found, leaf(13)) }, "PO-2"),
        (NewReview { order: order_id("PO-9"), ..cleared(&found, leaf(14)) }, "PO-9"),
    ] {
        let refused = store.commit_review(review).await;
        assert!(moved(&refused, key), "{key}: {refused:?}");
    }
    assert_eq!(observe(&store).await, before);
}

pub(crate) async fn after_a_request_to_cancel_no_review_releases(maker: impl Maker) {
    let store = maker.open().await;
    let found = hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    assert!(!found.cancel_requested);
    ask_to_cancel(&store, 11, "PO-1").await;
    let before = observe(&store).await;
    let kept = NewReview {
        opened: vec![hold("embargo")],
        state: OrderState::Held,
        outbox: Vec::new(),
        ..cleared(&found, leaf(21))
    };
    for review in [cleared(&found, leaf(20)), kept] {
        let late = store.commit_review(review).await;
        assert!(moved(&late, "PO-1"), "it was looked at before: {late:?}");
    }
    // Whoever looks again sees the request, and may do anything but release.
    let found = kept_back(&store, "PO-1").await;
    assert!(found.cancel_requested && open(&found).len() == 2, "{found:?}");
    let refused = store.commit_review(cleared(&found, leaf(22))).await;
    assert!(moved(&refused, "PO-1"), "{refused:?}");
    assert_eq!(observe(&store).await, before);
    let one_less = NewReview {
        closed: vec![open(&found)[0]],
        state: OrderState::Held,
        outbox: Vec::new(),
        ..cleared(&found, leaf(23))
    };
    store.commit_review(one_less).await.unwrap();
    assert_eq!(open(&kept_back(&store, "PO-1").await).len(), 1);

    // A cancellation that came before its order.
    keep(&store, input(31, &["CANCEL-31"])).await;
    let early = about_order(next(&store).await, "PO-2", OrderEventKind::CancelRequested, leaf(32));
    commit(&store, early).await.unwrap();
    let found = hold_back(&store, 41, "PO-2", &["cancel-requested"]).await;
    assert!(found.cancel_requested);
    let refused = store.commit_review(cleared(&found, leaf(43))).await;
    assert!(moved(&refused, "PO-2"), "{refused:?}");
    assert!(claim(&store, 0).await.is_empty());
}

pub(crate) async fn a_review_that_does_not_fit_is_refused_and_writes_nothing(maker: impl Maker) {
    let store = maker.open().await;
    let found = hold_back(&store, 1, "PO-1", &["credit-limit", "new-customer"]).await;
    let other = hold_back(&store, 11, "PO-2", &["credit-limit"]).await;
    let before = observe(&store).await;
    let number = open(&found)[0];
    let held = |closed: Vec<u64>| NewReview {
        closed,
        state: OrderState::Held,
        outbox: Vec::new(),
        ..cleared(&found, leaf(21))
    };
    let by_a_model = NewHold { owner: HoldOwner::SpentBudget(PluginName::parse("fraud").unwrap()), ..hold("spent") };
    let content = Content::Said(other.position);
    let foreign = NewOutbox { target: "erp".to_owned(), kind: "order".to_owned(), content };
    for (review, why) in [
        (held(Vec::new()), "it changes nothing"),
        (NewReview { closed: Vec::new(), ..cleared(&found, leaf(21)) }, "it changes nothing but the state"),
        (NewReview { closed: vec![number], ..cleared(&found, leaf(21)) }, "a hold is left"),
        (NewReview { closed: vec![number, number], ..cleared(&found, leaf(21)) }, "a hold is left, however often"),
        (NewReview { opened: vec![hold("embargo")], ..cleared(&found, leaf(21)) }, "it opens one"),
        (held(open(&other)), "a hold of another order"),
        (held(vec![number, u64::from(u32::MAX)]), "a hold that is none"),
        (held(vec![number, number]), "a hold that it closed already"),
        (held(open(&found)), "it is kept back by nothing"),
        (NewReview { state: OrderState::Refused, ..held(vec![number]) }, "it refuses"),
        (NewReview { outbox: cleared(&found, leaf(21)).outbox, ..held(vec![number]) }, "it delivers what is held"),
        (NewReview { opened: vec![by_a_model], ..held(vec![number]) }, "it holds for a model"),
        (NewReview { outbox: vec![foreign], ..cleared(&found, leaf(21)) }, "what was said of another order"),
    ] {
        let refused = store.commit_review(review).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{why}: {refused:?}");
        assert_eq!(observe(&store).await, before, "{why}");
    }
    assert_eq!(leaves(&store).await.len(), 4);
    assert_eq!(store.payloads_about(Digest::of(b"customer")).await.unwrap().len(), 8, "nor is a record kept");
    // A hold that was closed is open no more.
    store.commit_review(held(vec![number])).await.unwrap();
    let found = kept_back(&store, "PO-1").await;
    let again = NewReview { closed: vec![number], ..cleared(&found, leaf(22)) };
    assert!(matches!(store.commit_review(again).await, Err(StoreError::Failed(_))));
}

pub(crate) async fn an_order_that_is_not_released_is_delivered_by_no_decision_and_word_of_it_is(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let before = observe(&store).await;
    for state in OrderState::ALL.into_iter().filter(|state| *state != OrderState::Released) {
        let mut decision = released(next(&store).await, &[("erp", "order")], leaf(2));
        order_in(&mut decision).state = state;
        let refused = commit(&store, decision).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{state:?}");
        assert_eq!(observe(&store).await, before, "{state:?}");
    }
    assert_eq!(leaves(&store).await.len(), 1, "that of the input");
    let document = next(&store).await;
    let content = Content::Said(document.position());
    let mut told = held(document, &["credit-limit"], leaf(2));
    order_in(&mut told).outbox = vec![NewOutbox { target: "erp".to_owned(), kind: "told".to_owned(), content }];
    commit(&store, told).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let permits = claim(&store, 0).await;
    assert_eq!(permits.iter().map(|permit| permit.content()).collect::<Vec<_>>(), [content]);
}

pub(crate) async fn what_targets_have_or_get_of_orders_that_wait_is_told_by_its_kind(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.waiting_orders().await.unwrap(), []);
    for (number, key) in [(1, "PO-1"), (11, "PO-2"), (21, "PO-3")] {
        keep(&store, input(number, &[key])).await;
        let document = next(&store).await;
        let content = Content::Said(document.position());
        let word = |target: &str| NewOutbox { target: target.to_owned(), kind: "told".to_owned(), content };
        let mut decision = held(document, &["credit-limit"], leaf(number + 1));
        order_in(&mut decision).outbox =
            if key == "PO-3" { vec![word("erp"), word("shop")] } else { vec![word("erp")] };
        commit(&store, decision).await.unwrap();
    }
    // One that is kept back and of which nobody heard, one that is delivered, and one that waits to be.
    hold_back(&store, 31, "PO-4", &["credit-limit"]).await;
    release(&store, 41, "PO-5", &[("erp", "order")]).await;
    deliver_all(&store, 101).await;
    release(&store, 51, "PO-6", &[("erp", "order")]).await;
    drop(store);
    let store = maker.open().await;
    let row = |target: &str, kind: &str, is_order, orders, number: &str| WaitingOrders {
        target: target.to_owned(),
        kind: kind.to_owned(),
        is_order,
        orders,
        number: number.to_owned(),
    };
    let word = [row("erp", "told", false, 3, "PO-1"), row("shop", "told", false, 1, "PO-3")];
    let expected = [&word[..], &[row("erp", "order", true, 1, "PO-6")]].concat();
    assert_eq!(store.waiting_orders().await.unwrap(), expected, "also what was delivered of those kept back");

    // Released, the order stands in line in the place of its word; at last nothing waits.
    let found = kept_back(&store, "PO-3").await;
    store.commit_review(cleared(&found, leaf(61))).await.unwrap();
    let kinds = |waiting: Vec<WaitingOrders>| -> Vec<(String, bool, u64)> {
        waiting.into_iter().map(|row| (row.target, row.is_order, row.orders)).collect()
    };
    let left = kinds(store.waiting_orders().await.unwrap());
    assert_eq!(left, [("erp".to_owned(), false, 2), ("erp".to_owned(), true, 2)]);
    deliver_all(&store, 201).await;
    assert_eq!(kinds(store.waiting_orders().await.unwrap()), [("erp".to_owned(), false, 2)]);
}

/// Delivers all that is due, with leaves from a number on.
async fn deliver_all(store: &Arc<dyn Store>, first: u64) {
    for (number, permit) in (first..).step_by(2).zip(claim(store, 0).await) {
        let attempt = store.begin_attempt(permit, lease(0), leaf(number)).await.unwrap();
        store.settle(attempt, applied(), NOW, leaf(number + 1)).await.unwrap();
    }
}

pub(crate) async fn orders_that_are_kept_back_are_paged_in_journal_order(maker: impl Maker) {
    let store = maker.open().await;
    let states = [
        ("PO-6", OrderState::Exception),
        ("PO-5", OrderState::Released),
        ("PO-4", OrderState::Held),
        ("PO-3", OrderState::Refused),
        ("PO-2", OrderState::Routed),
        ("PO-1", OrderState::Held),
    ];
    for (number, (key, state)) in (1..).step_by(10).zip(states) {
        keep(&store, input(number, &[key])).await;
        let mut decision = released(next(&store).await, &[], leaf(number + 1));
        order_in(&mut decision).state = state;
        if state == OrderState::Held {
            order_in(&mut decision).holds = vec![hold("credit-limit")];
        }
        commit(&store, decision).await.unwrap();
    }
    let mut seen: Vec<KeptBack> = Vec::new();
    loop {
        let after = seen.last().map_or(DocumentPosition(0), |order| order.position);
        let page = store.kept_back(Kept::All, after, 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let found: Vec<_> = seen.iter().map(|order| (order.number.as_str(), order.state)).collect();
    let expected = [states[0], states[2], states[4], states[5]];
    assert_eq!(found, expected, "in journal order, without those on their way and those refused");
    assert!(seen.is_sorted_by(|a, b| a.position < b.position));

    let last = kept_back(&store, "PO-1").await;
    assert_eq!((last.id, last.position, last.number.as_str()), (order_id("PO-1"), seen[3].position, "PO-1"));
    assert_eq!((&last.channel, &last.sender, last.partner.as_str()), (&channel(), &sender(), "C-1201"));
    assert_eq!((last.received_at, last.value, last.cancel_requested), (NOW.plus_ms(51), usd(100), false));
    assert_eq!(store.payload(last.event).await.unwrap(), b"event");
    let [hold] = &last.holds[..] else { panic!("one hold: {last:?}") };
    assert_eq!((hold.owner.as_str(), &hold.plugin, hold.reason.as_str()), ("policy", &None, "credit-limit"));
    assert_eq!((hold.opened_at, hold.expires_at, &hold.closed), (NOW, NOW.plus_ms(HOLD_MS), &None));
    assert_eq!(holds(&store, "PO-1").await, last.holds, "as in the order's story");
    for key in ["PO-5", "PO-3", "PO-9"] {
        assert!(store.kept_back_order(order_id(key)).await.unwrap().is_none(), "{key}");
    }
}

pub(crate) async fn what_keeps_no_order_back_is_neither_due_nor_open(maker: impl Maker) {
    let store = maker.open().await;
    // Refused, and released whatever held it.
    for (number, key, state) in [(1, "PO-1", OrderState::Refused), (11, "PO-2", OrderState::Released)] {
        keep(&store, input(number, &[key])).await;
        let mut decision = held(next(&store).await, &["credit-limit"], leaf(number + 1));
        (order_in(&mut decision).state, order_in(&mut decision).queue) = (state, None);
        order_in(&mut decision).exception = None;
        commit(&store, decision).await.unwrap();
        let closed = holds(&store, key).await.remove(0).closed;
        assert_eq!(closed, Some(ClosedHold { at: NOW, who: None }), "{key}");
    }
    // Closed by a review, and one that it left.
    let found = hold_back(&store, 21, "PO-3", &["credit-limit", "new-customer"]).await;
    let number = open(&found)[0];
    let one_less = NewReview {
        closed: vec![number],
        state: OrderState::Held,
        outbox: Vec::new(),
        due_at: Some(NOW.plus_ms(9 * HOLD_MS)),
        ..cleared(&found, leaf(23))
    };
    store.commit_review(one_less).await.unwrap();
    assert!(due(&store, 9 * HOLD_MS - 1).await.is_empty());
    assert_eq!(due(&store, 9 * HOLD_MS).await, ["credit-limit"], "the one exception of PO-3, whatever holds it now");
    let counted = store.open_holds(NOW.plus_ms(100 * HOLD_MS)).await.unwrap();
    let counted: Vec<_> = counted.iter().map(|open| (open.reason.as_str(), open.count, open.overdue)).collect();
    assert_eq!(counted, [("new-customer", 1, 1)]);
}

pub(crate) async fn a_hold_ends_when_what_it_withheld_was_under_way_and_arrived(maker: impl Maker) {
    let store = maker.open().await;
    let orders = [
        (1, "PO-1", applied(), None),
        (101, "PO-2", super::fixture::dead(true), None),
        (201, "PO-3", retry(1), Some(OrderState::Held)),
        (301, "PO-4", Settlement::Unknown { due_at: NOW.plus_ms(9), code: "unknown".to_owned() }, None),
    ];
    for (number, key, settlement, kept) in orders {
        release(&store, number, key, &[("erp", "order")]).await;
        let permit = claim(&store, 0).await.remove(0);
        let attempt = store.begin_attempt(permit, lease(0), leaf(number + 2)).await.unwrap();
        ask_to_cancel(&store, number + 10, key).await;
        assert!(holds(&store, key).await[0].closed.is_none(), "{key} may be kept back yet");
        store.settle(attempt, settlement, NOW.plus_ms(5), leaf(number + 3)).await.unwrap();
        let found = store.kept_back_order(order_id(key)).await.unwrap();
        assert_eq!(found.map(|found| found.state), kept, "{key}");
    }
    let closed = async |key: &str| holds(&store, key).await.remove(0).closed.map(|closed| closed.at.0 - NOW.0);
    let closed_at = [closed("PO-1").await, closed("PO-2").await, closed("PO-3").await, closed("PO-4").await];
    assert_eq!(closed_at, [Some(5), Some(5), None, None], "what arrived or was given up is past holding");
    // What is in doubt keeps its hold until the target says.
    let exceptions = store.exceptions(ALL).await.unwrap().len();
    let permit = claim(&store, 9).await.remove(0);
    store.settle_unattempted(permit, applied(), NOW.plus_ms(9), leaf(402)).await.unwrap();
    assert_eq!((closed("PO-4").await, store.exceptions(ALL).await.unwrap().len()), (Some(9), exceptions));
}

pub(crate) async fn what_a_review_said_goes_with_the_content_of_its_input(maker: impl Maker) {
    let store = maker.open().await;
    let found = hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let record = sealed(b"of one who is not the customer", None);
    let review = NewReview { outbox: Vec::new(), at: NOW.plus_ms(500), record, ..cleared(&found, leaf(3)) };
    let later = NOW.plus_ms(1_000);
    assert_eq!(store.forget(vec![input_id(1)], later, later, leaf(4)).await.unwrap(), None, "it is kept back");
    store.commit_review(review).await.unwrap();
    let forget = async |before: Instant| store.forget(vec![input_id(1)], before, later, leaf(4)).await.unwrap();
    assert_eq!(forget(NOW.plus_ms(500)).await, None, "it came to rest then, not before");
    assert_eq!(forget(NOW.plus_ms(501)).await, Some(Forgotten { inputs: 1, orders: 1, payloads: 5 }));
    let trail = store.order_trail(found.id).await.unwrap().unwrap();
    assert_eq!((trail.reviews.len(), trail.reviews[0].leaf), (1, leaf(3).id()), "its row and its leaf stay");
    let gone = trail.reviews[0].record;
    assert!(matches!(store.payload(gone).await, Err(StoreError::Erased(found)) if found == gone.commitment));
}
