//! What is counted of models and people: once each, with what it counts, and page by page.

use std::sync::Arc;

use portreeve_model::{Digest, ExceptionAction, ExceptionKind, Instant, PluginName};

use super::Maker;
use super::exception::proposed;
use super::fixture::{
    ALL, NOW, cleared, commit, held, hold, input, keep, kept_back, leaf, next, order_in, resolved, step, waiting,
};
use crate::contract::{
    After, DecisionCommit, Effect, ExceptionChange, HoldOwner, JudgedHold, NewHold, NewReview, NewStep, Period,
    StepTaken, Store, StoreError, WeighedProposal,
};
use crate::proof::Journaled;

fn component(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

/// A proposal of `fraud` that met with this.
fn weighed(outcome: &str, clause: &str) -> WeighedProposal {
    WeighedProposal {
        plugin: "fraud".to_owned(),
        component: component("fraud"),
        proposed: "hold".to_owned(),
        outcome: outcome.to_owned(),
        clause: clause.to_owned(),
    }
}

/// An order that `fraud` holds, and a rule of the host's with it; it is not committed.
async fn held_by_a_model(store: &Arc<dyn Store>, number: u64, key: &str) -> DecisionCommit {
    keep(store, input(number, &[key])).await;
    held_document(next(store).await, number + 1)
}

fn held_document(document: Journaled, number: u64) -> DecisionCommit {
    let mut decision = held(document, &["credit-limit"], leaf(number));
    let order = order_in(&mut decision);
    order.holds.push(NewHold {
        owner: HoldOwner::SpentBudget(PluginName::parse("fraud").unwrap()),
        component: Some(component("fraud")),
        ..hold("score")
    });
    order.weighed = vec![weighed("granted", ""), weighed("refused", "queues")];
    decision
}

fn hours(from: i64, until: i64) -> Period {
    Period { from: Instant(from * Instant::HOUR_MS), until: Instant(until * Instant::HOUR_MS) }
}

async fn counts(store: &Arc<dyn Store>, period: Period) -> Vec<(String, u64)> {
    let found = store.weighed(period).await.unwrap();
    found.into_iter().map(|(weighed, count)| (format!("{} {}", weighed.outcome, weighed.clause), count)).collect()
}

pub(crate) async fn proposals_are_counted_by_the_hour_with_their_decision_and_once(maker: impl Maker) {
    let store = maker.open().await;
    for (number, key, hour) in [(1, "PO-1", 100), (11, "PO-2", 100), (21, "PO-3", 101)] {
        let decision = held_by_a_model(&store, number, key).await;
        commit(&store, DecisionCommit { at: Instant(hour * Instant::HOUR_MS + 5), ..decision }).await.unwrap();
    }
    // What fails counts nothing.
    let mut failing = held_by_a_model(&store, 31, "PO-4").await;
    order_in(&mut failing).event = component("none of its payloads");
    assert!(commit(&store, DecisionCommit { at: Instant(102 * Instant::HOUR_MS), ..failing }).await.is_err());
    drop(store);
    let store = maker.open().await;
    let both = |count| vec![("granted ".to_owned(), count), ("refused queues".to_owned(), count)];
    assert_eq!(counts(&store, hours(100, 101)).await, both(2));
    assert_eq!(counts(&store, hours(101, 102)).await, both(1));
    assert_eq!(counts(&store, hours(0, 500)).await, both(3));
    assert!(counts(&store, hours(102, 500)).await.is_empty());
}

async fn judged(store: &Arc<dyn Store>, after: After, until: Instant, limit: u32) -> Vec<JudgedHold> {
    store.judged_holds(after, until, limit).await.unwrap()
}

pub(crate) async fn a_models_hold_is_judged_by_the_last_person_who_decided_about_it(maker: impl Maker) {
    let store = maker.open().await;
    for (number, key) in [(1, "PO-1"), (11, "PO-2"), (21, "PO-3"), (31, "PO-4")] {
        let decision = held_by_a_model(&store, number, key).await;
        commit(&store, decision).await.unwrap();
    }
    let take = async |key: &str, change: ExceptionChange, at_ms: i64, number: u64| {
        let step = step(&store, waiting(&store, key).await, "ada", change, leaf(number)).await;
        store.step_exception(NewStep { at: NOW.plus_ms(at_ms), ..step }).await
    };
    let confirmed = || ExceptionChange::Confirmed { due_at: None };
    let reject = Effect::RejectOrder { why: "no".to_owned(), outbox: Vec::new() };
    take("PO-1", confirmed(), 10, 41).await.unwrap();
    take("PO-2", resolved(ExceptionAction::Reject, reject), 20, 42).await.unwrap();
    take("PO-3", confirmed(), 20, 43).await.unwrap();
    // Somebody confirms, and somebody ends it all the same: that is the last word.
    let found = kept_back(&store, "PO-1").await;
    let release = resolved(ExceptionAction::ReleaseHolds, Effect::ReviewHolds);
    let release =
        NewStep { at: NOW.plus_ms(30), ..step(&store, waiting(&store, "PO-1").await, "bob", release, leaf(44)).await };
    let review = NewReview {
        who: Some("bob".to_owned()),
        at: NOW.plus_ms(30),
        step: Some(release),
        ..cleared(&found, leaf(45))
    };
    store.commit_review(review).await.unwrap();
    // The host's own look judges nobody's hold.
    let found = kept_back(&store, "PO-4").await;
    let own: Vec<u64> = found.open_holds().filter(|hold| hold.owner == "policy").map(|hold| hold.number).collect();
    let rest = NewReview {
        closed: own,
        state: found.state,
        queue: found.queue.clone(),
        outbox: vec![],
        ..cleared(&found, leaf(46))
    };
    store.commit_review(rest).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let found = judged(&store, After::from(NOW), NOW.plus_ms(1_000), ALL).await;
    let told: Vec<_> = found.iter().map(|judged| (judged.how.as_str(), judged.at.0 - NOW.0)).collect();
    assert_eq!(told, [("reject", 20), ("confirmed", 20), ("release-holds", 30)], "each once, by the last decision");
    assert!(found.iter().all(|judged| judged.plugin == "fraud" && judged.component == component("fraud")));
    assert!(found.iter().all(|judged| judged.opened_at == NOW));
    // Page by page, also where one time has several.
    let first = judged(&store, After::from(NOW), NOW.plus_ms(1_000), 1).await.remove(0);
    let after = After { at: first.at, number: first.hold };
    assert_eq!(judged(&store, after, NOW.plus_ms(1_000), ALL).await, found[1..]);
    assert_eq!(judged(&store, after, NOW.plus_ms(30), ALL).await, found[1..2], "before, and not with, the end");
}

pub(crate) async fn a_step_says_whose_work_it_was_and_since_when_one_could_look(maker: impl Maker) {
    let store = maker.open().await;
    let decision = held_by_a_model(&store, 1, "PO-1").await;
    commit(&store, decision).await.unwrap();
    let number = waiting(&store, "PO-1").await;
    let take = async |who: &str, change: ExceptionChange, at_ms: i64, leaf_number: u64| {
        let step = step(&store, number, who, change, leaf(leaf_number)).await;
        store.step_exception(NewStep { at: NOW.plus_ms(at_ms), since: NOW.plus_ms(at_ms - 3), ..step }).await.unwrap();
    };
    take("ada", ExceptionChange::Claimed, 10, 11).await;
    take("bob", ExceptionChange::Commented, 20, 12).await;
    take("ada", proposed(ExceptionAction::Reject, 2), 30, 13).await;
    let approved = ExceptionChange::Approved { proposal: Digest::of(b"the exact action") };
    take("bob", approved, 40, 14).await;
    take("ada", ExceptionChange::GivenBack, 50, 15).await;
    take("bob", ExceptionChange::Claimed, 60, 16).await;
    take("bob", ExceptionChange::Rerouted { queue: "credit".to_owned(), due_at: None }, 70, 17).await;
    take("cy", ExceptionChange::Commented, 80, 18).await;
    drop(store);
    let store = maker.open().await;
    let found = store.steps_taken(After::from(NOW), NOW.plus_ms(1_000), ALL).await.unwrap();
    let told = |step: &StepTaken| {
        let at = |at: Instant| at.0 - NOW.0;
        (step.step.clone(), step.queue.clone(), at(step.at), at(step.since), step.is_first)
    };
    let expected = [
        ("claimed", "order-desk", 10, 7, true),
        ("commented", "order-desk", 20, 17, false),
        ("proposed", "order-desk", 30, 27, false),
        ("approved", "order-desk", 40, 37, false),
        ("given-back", "order-desk", 50, 47, false),
        ("claimed", "order-desk", 60, 57, false),
        ("rerouted", "order-desk", 70, 67, false),
        ("commented", "credit", 80, 77, false),
    ];
    let expected =
        expected.map(|(step, queue, at, since, first)| (step.to_owned(), queue.to_owned(), at, since, first));
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected);
    let of_it = |step: &StepTaken| step.exception == number && step.kind == ExceptionKind::Held;
    assert!(found.iter().all(|step| of_it(step) && step.opened_at == NOW));
    let third = &found[2];
    let after = After { at: third.at, number: third.seq };
    assert_eq!(store.steps_taken(after, NOW.plus_ms(60), 1).await.unwrap(), found[3..4]);
    assert_eq!(
        store.steps_taken(after, NOW.plus_ms(60), ALL).await.unwrap(),
        found[3..5],
        "before, and not with, the end"
    );
}

pub(crate) async fn what_a_batch_undoes_of_one_decision_counts_nothing(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1", "PO-2"])).await;
    let mut documents = store.undecided(ALL, &[]).await.unwrap().into_iter();
    let [right, mut wrong] = [11, 12].map(|number| held_document(documents.next().unwrap(), number));
    order_in(&mut wrong).decision = component("none of its payloads");
    let results = store.commit_decisions(vec![right, wrong]).await.unwrap();
    assert!(results[0].is_ok() && matches!(results[1], Err(StoreError::Failed(_))), "{results:?}");
    let hour = NOW.0.div_euclid(Instant::HOUR_MS);
    let found = counts(&store, hours(hour, hour + 1)).await;
    assert_eq!(found, [("granted ".to_owned(), 1), ("refused queues".to_owned(), 1)]);
}
