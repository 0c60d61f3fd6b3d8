//! Reconciliations: what a run files, what stays, and what it closes.

use std::sync::Arc;

use portreeve_model::{Digest, ExceptionAction, ExceptionKind};
use portreeve_record::{Leaf, PayloadKey};

use super::Maker;
use super::fixture::{ALL, NOW, leaf, leaves, observe, resolved, step, waits};
use crate::contract::{
    Effect, Figures, Finding, NewFinding, NewRun, ReconciliationView, StandingFinding, Store, StoreError,
};

pub(crate) const STOCK: &str = "stock";

fn content(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn new(subject: &str) -> NewFinding {
    let exception = waits(ExceptionKind::Difference, "numbers-differ");
    NewFinding { subject: subject.to_owned(), content: content(subject), exception }
}

fn standing(subject: &str, detail: &str) -> StandingFinding {
    StandingFinding { subject: subject.to_owned(), content: content(detail), detail: detail.to_owned() }
}

fn figures(differences: u64) -> Figures {
    Figures { at: NOW, compared: 9, agreeing: 9 - differences, unsettled: 1, differences }
}

/// A run that finds something for the first time.
pub(crate) fn run(after: u64, opened: &[&str], leaf: Leaf) -> NewRun {
    NewRun {
        reconciliation: STOCK.to_owned(),
        after,
        at: NOW,
        is_dry: false,
        figures: Some(figures(opened.len().try_into().unwrap())),
        opened: opened.iter().map(|subject| new(subject)).collect(),
        standing: Vec::new(),
        gone: Vec::new(),
        key: PayloadKey::random().unwrap(),
        leaf,
    }
}

/// An exception of a run; its number.
pub(crate) async fn differing(store: &Arc<dyn Store>, number: u64) -> u64 {
    store.commit_run(run(0, &["key/A"], leaf(number))).await.unwrap();
    found(store, STOCK).await.remove(0).1.exception
}

async fn found(store: &Arc<dyn Store>, of: &str) -> Vec<(String, Finding)> {
    store.findings(of, None, ALL).await.unwrap()
}

async fn subjects(store: &Arc<dyn Store>) -> Vec<(String, bool)> {
    found(store, STOCK).await.into_iter().map(|(subject, finding)| (subject, finding.is_open)).collect()
}

fn is(subject: &str, open: bool) -> (String, bool) {
    (subject.to_owned(), open)
}

pub(crate) async fn a_finding_has_one_exception_until_it_is_gone(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.reconciliation(STOCK).await.unwrap(), ReconciliationView::default());
    store.commit_run(run(0, &["key/A", "key/B"], leaf(1))).await.unwrap();
    let other = NewRun { reconciliation: "orders".to_owned(), ..run(0, &["key/A"], leaf(2)) };
    store.commit_run(other).await.unwrap();
    drop(store);
    let store = maker.open().await;
    assert_eq!(subjects(&store).await, [is("key/A", true), is("key/B", true)]);
    assert_eq!(found(&store, "orders").await.len(), 1, "each has its own");
    let first = found(&store, STOCK).await;
    assert_eq!((first[0].1.content, first[0].1.exception), (content("key/A"), 1));
    let page = store.findings(STOCK, Some("key/A"), ALL).await.unwrap();
    assert_eq!(page.iter().map(|(subject, _)| subject.as_str()).collect::<Vec<_>>(), ["key/B"]);

    // What stays says what it is like now, and what is gone is closed.
    let later = NewRun {
        at: NOW.plus_ms(7),
        figures: None,
        standing: vec![standing("key/A", "another number")],
        gone: vec!["key/B".to_owned(), "key/UNKNOWN".to_owned()],
        ..run(1, &[], leaf(3))
    };
    store.commit_run(later).await.unwrap();
    let open = store.exceptions(ALL).await.unwrap();
    let told: Vec<_> = open.iter().map(|open| (open.id, open.detail.as_str(), open.revision)).collect();
    assert_eq!(told, [(1, "another number", 1), (3, "found numbers-differ", 0)]);
    let closed = store.exception(2).await.unwrap().unwrap();
    let how = closed.exception.closed.map(|closed| (closed.at, closed.who, closed.how));
    assert_eq!(how, Some((NOW.plus_ms(7), None, "cleared".to_owned())));
    assert_eq!(closed.steps.iter().map(|step| step.step.as_str()).collect::<Vec<_>>(), ["cleared"]);
    assert_eq!(found(&store, STOCK).await[0].1.content, content("another number"));
    let view = store.reconciliation(STOCK).await.unwrap();
    let last_at = Some(NOW.plus_ms(7));
    assert_eq!(view, ReconciliationView { runs: 2, last_at, figures: Some(figures(2)) }, "the last that compared");
    // The same once more is the same.
    let same = NewRun { standing: vec![standing("key/A", "another number")], ..run(2, &[], leaf(4)) };
    store.commit_run(same).await.unwrap();
    assert_eq!(store.exceptions(ALL).await.unwrap()[0].revision, 1);
}

pub(crate) async fn what_a_person_closed_of_a_finding_stays_closed_until_a_run_opens_it(maker: impl Maker) {
    let store = maker.open().await;
    let number = differing(&store, 1).await;
    let abandon = resolved(ExceptionAction::Abandon, Effect::Close);
    store.step_exception(step(&store, number, "ada", abandon, leaf(2)).await).await.unwrap();
    let stands = NewRun { standing: vec![standing("key/A", "another number")], ..run(1, &[], leaf(3)) };
    store.commit_run(stands).await.unwrap();
    assert_eq!(subjects(&store).await, [is("key/A", false)]);
    let finding = found(&store, STOCK).await[0].1;
    assert_eq!((finding.content, finding.exception), (content("key/A"), number), "as it was when it was closed");
    store.commit_run(run(2, &["key/A"], leaf(4))).await.unwrap();
    assert_eq!(subjects(&store).await, [is("key/A", true)]);
    assert_ne!(found(&store, STOCK).await[0].1.exception, number);
    // What is gone is gone, whoever closed it.
    let number = found(&store, STOCK).await[0].1.exception;
    let abandon = resolved(ExceptionAction::Abandon, Effect::Close);
    store.step_exception(step(&store, number, "ada", abandon, leaf(5)).await).await.unwrap();
    store.commit_run(NewRun { gone: vec!["key/A".to_owned()], ..run(3, &[], leaf(6)) }).await.unwrap();
    assert!(subjects(&store).await.is_empty());
    let closed = store.exception(number).await.unwrap().unwrap().exception.closed.unwrap();
    assert_eq!((closed.who.as_deref(), closed.how.as_str()), (Some("ada"), "abandon"));
}

pub(crate) async fn the_key_of_the_last_run_alone_is_kept(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.reconciliation_key(STOCK).await.unwrap(), None);
    let (first, second) = (run(0, &["key/A"], leaf(1)), NewRun { is_dry: true, ..run(1, &[], leaf(2)) });
    let keys = [first.key.clone(), second.key.clone()];
    for (kept, run) in keys.into_iter().zip([first, second]) {
        store.commit_run(run).await.unwrap();
        assert_eq!(store.reconciliation_key(STOCK).await.unwrap(), Some(kept));
    }
    assert_eq!(store.reconciliation_key("orders").await.unwrap(), None);
    assert_eq!(subjects(&store).await, [is("key/A", true)], "it is no finding");
}

pub(crate) async fn of_two_runs_the_second_is_refused_and_a_dry_one_files_nothing(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    one.commit_run(run(0, &["key/A"], leaf(1))).await.unwrap();
    let late = other.commit_run(run(0, &["key/A"], leaf(2))).await;
    assert!(matches!(late, Err(StoreError::ReconciliationMoved { .. })), "{late:?}");
    assert_eq!((leaves(&one).await.len(), one.exceptions(ALL).await.unwrap().len()), (1, 1));
    one.commit_run(run(0, &["key/A"], leaf(1))).await.unwrap();
    let before = observe(&one).await;
    let view = one.reconciliation(STOCK).await.unwrap();
    let dry =
        NewRun { is_dry: true, at: NOW.plus_ms(9), gone: vec!["key/A".to_owned()], ..run(1, &["key/B"], leaf(3)) };
    one.commit_run(dry).await.unwrap();
    assert_eq!(subjects(&one).await, [is("key/A", true)]);
    assert_eq!(one.reconciliation(STOCK).await.unwrap(), ReconciliationView { runs: 2, ..view });
    assert_eq!(observe(&one).await.len(), before.len(), "it is on record, and nothing else");
    assert_eq!(leaves(&one).await.len(), 2);
}
