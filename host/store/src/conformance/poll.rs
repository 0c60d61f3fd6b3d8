//! Polls: who may make one, where it goes on, and what people hear of it.

use std::sync::Arc;

use portreeve_model::{Digest, ExceptionKind, PluginName};

use super::Maker;
use super::fixture::{ALL, LEASE_MS, NOW, decision_of, input, leaf, leaves, observe, waits};
use crate::contract::{
    Decided, JournalEntry, JournalOutcome, PollEnd, PollFailure, PollView, PolledChange, Store, StoreError,
};
use crate::proof::PollPermit;

/// How long after the beginning the polls here are due again.
const HOUR_MS: i64 = 3_600_000;

fn connector() -> PluginName {
    PluginName::parse("erp-rest").unwrap()
}

pub(crate) async fn try_claim(store: &Arc<dyn Store>, after_ms: i64) -> Result<Option<PollPermit>, StoreError> {
    let now = NOW.plus_ms(after_ms);
    store.claim_poll("erp", &connector(), now, now.plus_ms(LEASE_MS)).await
}

pub(crate) async fn claim(store: &Arc<dyn Store>, after_ms: i64) -> Option<PollPermit> {
    try_claim(store, after_ms).await.unwrap()
}

/// A poll that went on to here, and is due in an hour.
pub(crate) fn moved(cursor: &[u8]) -> PolledChange {
    let (cursor, said) = (Some(cursor.to_vec()), Digest::of(cursor));
    PolledChange { cursor, state: Vec::new(), due_at: NOW.plus_ms(HOUR_MS), said }
}

/// A poll that failed, of which people are told where there is a leaf.
pub(crate) fn failed(leaf: Option<portreeve_record::Leaf>) -> PollEnd {
    let exception = leaf.is_some().then(|| waits(ExceptionKind::Poll, "poll-fails"));
    let failure = PollFailure { code: "retry".to_owned(), exception };
    PollEnd { due_at: NOW.plus_ms(HOUR_MS), failure: Some(failure), said: None, leaf }
}

fn nothing(leaf: Option<portreeve_record::Leaf>) -> PollEnd {
    PollEnd { due_at: NOW.plus_ms(HOUR_MS), failure: None, said: Some(Digest::of(b"nothing")), leaf }
}

/// A poll of which people were told that it fails; the number of the exception.
pub(crate) async fn failing(store: &Arc<dyn Store>, number: u64) -> u64 {
    let permit = claim(store, 0).await.unwrap();
    store.end_poll(permit, failed(Some(leaf(number))), NOW).await.unwrap();
    store.exceptions(ALL).await.unwrap().pop().unwrap().id
}

/// An input that has this poll made.
fn waking(number: u64) -> JournalEntry {
    JournalEntry { wakes: Some("erp".to_owned()), ..input(number, &[]) }
}

async fn cursor(store: &Arc<dyn Store>) -> Option<Vec<u8>> {
    store.poll("erp").await.unwrap().unwrap().cursor
}

async fn is_due(store: &Arc<dyn Store>, after_ms: i64) -> bool {
    store.poll("erp").await.unwrap().unwrap().is_due(NOW.plus_ms(after_ms))
}

pub(crate) async fn a_poll_is_claimed_by_one_at_a_time_and_when_it_is_due(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    assert_eq!(one.poll("erp").await.unwrap(), None);
    let first = claim(&one, 0).await.unwrap();
    assert_eq!((first.poll(), first.cursor(), first.failures(), first.is_told()), ("erp", None, 0, false));
    assert!(claim(&other, LEASE_MS - 1).await.is_none(), "somebody has it");
    let second = claim(&other, LEASE_MS).await.unwrap();
    assert_ne!(first.epoch(), second.epoch());
    let late = one.journal_polled(first, input(1, &["PO-1"]), moved(b"1")).await;
    assert!(matches!(late, Err(StoreError::PollMoved { .. })), "{late:?}");
    assert_eq!((one.summary().await.unwrap().inputs, leaves(&one).await.len()), (0, 0), "nothing of it was written");
    one.end_poll(second, nothing(None), NOW).await.unwrap();
    assert!(claim(&one, HOUR_MS - 1).await.is_none(), "it is not due");
    let third = claim(&one, HOUR_MS).await.unwrap();
    drop((one, other));
    // Whoever claimed it lives no more.
    let store = maker.open().await;
    assert!(claim(&store, HOUR_MS).await.is_some());
    let late = store.end_poll(third, nothing(None), NOW).await;
    assert!(matches!(late, Err(StoreError::PollMoved { .. })), "{late:?}");
}

pub(crate) async fn a_cursor_moves_with_what_was_brought_or_not_at_all(maker: impl Maker) {
    let store = maker.open().await;
    let permit = claim(&store, 0).await.unwrap();
    let brought = store.journal_polled(permit, input(1, &["PO-1", "PO-2"]), moved(b"1")).await.unwrap();
    assert!(matches!(brought, JournalOutcome::Committed { documents: 2, .. }), "{brought:?}");
    drop(store);
    let store = maker.open().await;
    assert_eq!(cursor(&store).await.as_deref(), Some(b"1".as_slice()));
    assert_eq!((store.undecided(ALL, &[]).await.unwrap().len(), leaves(&store).await.len()), (2, 1));
    let permit = claim(&store, HOUR_MS).await.unwrap();
    assert_eq!(permit.cursor(), Some(b"1".as_slice()));
    // Without a new one the old one stays, and what is known is not kept again.
    let mut again = input(1, &["PO-1", "PO-2"]);
    again.leaf = leaf(2);
    let change = PolledChange { cursor: None, ..moved(b"") };
    let known = store.journal_polled(permit, again, change).await.unwrap();
    assert!(matches!(known, JournalOutcome::Duplicate { .. }), "{known:?}");
    assert_eq!((cursor(&store).await.as_deref(), leaves(&store).await.len()), (Some(b"1".as_slice()), 1));
}

pub(crate) async fn an_empty_poll_keeps_the_cursor_and_what_it_is_woken_by_counts(maker: impl Maker) {
    let store = maker.open().await;
    let permit = claim(&store, 0).await.unwrap();
    store.journal_polled(permit, input(1, &["PO-1"]), moved(b"1")).await.unwrap();
    let before = observe(&store).await;
    let permit = claim(&store, HOUR_MS).await.unwrap();
    store.end_poll(permit, PollEnd { due_at: NOW.plus_ms(2 * HOUR_MS), ..nothing(None) }, NOW).await.unwrap();
    assert_eq!(observe(&store).await, before, "it leaves no trace but its time");
    assert!(!is_due(&store, HOUR_MS).await);
    store.journal(waking(2)).await.unwrap();
    assert!(is_due(&store, HOUR_MS).await, "it is woken in the commit of what wakes it");
    // What comes while it is made may be about what it has passed.
    let permit = claim(&store, HOUR_MS).await.unwrap();
    store.journal(waking(3)).await.unwrap();
    store.end_poll(permit, PollEnd { due_at: NOW.plus_ms(2 * HOUR_MS), ..nothing(None) }, NOW).await.unwrap();
    assert!(is_due(&store, HOUR_MS).await);
    let permit = claim(&store, HOUR_MS).await.unwrap();
    store.journal(waking(4)).await.unwrap();
    let change = PolledChange { due_at: NOW.plus_ms(2 * HOUR_MS), ..moved(b"2") };
    store.journal_polled(permit, input(5, &["PO-5"]), change).await.unwrap();
    assert!(is_due(&store, HOUR_MS).await);
    // The same input again wakes nothing.
    let permit = claim(&store, HOUR_MS).await.unwrap();
    store.end_poll(permit, PollEnd { due_at: NOW.plus_ms(2 * HOUR_MS), ..nothing(None) }, NOW).await.unwrap();
    store.journal(waking(4)).await.unwrap();
    assert!(!is_due(&store, HOUR_MS).await);
}

pub(crate) async fn what_fails_is_told_once_and_closed_when_it_works_again(maker: impl Maker) {
    let store = maker.open().await;
    let permit = claim(&store, 0).await.unwrap();
    store.end_poll(permit, failed(None), NOW).await.unwrap();
    let found = store.poll("erp").await.unwrap().unwrap();
    assert_eq!((found.failures, found.code.as_deref(), found.failing_since), (1, Some("retry"), Some(NOW)));
    assert!(leaves(&store).await.is_empty(), "one failure is no turn");
    // A source that asked to be left alone is, whoever tells that something is new.
    store.journal(waking(1)).await.unwrap();
    assert!(!is_due(&store, HOUR_MS - 1).await);
    let permit = claim(&store, HOUR_MS).await.unwrap();
    assert_eq!(permit.failures(), 1);
    let unsaid = PollEnd { leaf: None, ..failed(Some(leaf(9))) };
    let error = store.end_poll(permit, unsaid, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    let permit = claim(&store, HOUR_MS + LEASE_MS).await.unwrap();
    store.end_poll(permit, failed(Some(leaf(2))), NOW.plus_ms(1)).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let told = store.exceptions(ALL).await.unwrap().pop().unwrap();
    assert_eq!((told.kind, told.code.as_str(), told.order), (ExceptionKind::Poll, "poll-fails", None));
    let permit = claim(&store, 2 * HOUR_MS).await.unwrap();
    assert!(permit.is_told() && permit.failures() == 2);
    let error = store.end_poll(permit, nothing(None), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    let permit = claim(&store, 2 * HOUR_MS + LEASE_MS).await.unwrap();
    store.end_poll(permit, nothing(Some(leaf(3))), NOW).await.unwrap();
    assert!(store.exceptions(ALL).await.unwrap().is_empty());
    let found = store.poll("erp").await.unwrap().unwrap();
    assert_eq!((found.failures, found.code, found.failing_since), (0, None, None));
    // What it brings closes it as well.
    let permit = claim(&store, 3 * HOUR_MS).await.unwrap();
    store.end_poll(permit, failed(Some(leaf(4))), NOW).await.unwrap();
    let permit = claim(&store, 4 * HOUR_MS).await.unwrap();
    store.journal_polled(permit, input(5, &["PO-5"]), moved(b"1")).await.unwrap();
    assert!(store.exceptions(ALL).await.unwrap().is_empty());
}

pub(crate) async fn what_is_held_back_is_due_again_and_otherwise_as_it_was(maker: impl Maker) {
    let store = maker.open().await;
    let told = failing(&store, 1).await;
    let failed = store.poll("erp").await.unwrap().unwrap();
    let due_at = NOW.plus_ms(2 * HOUR_MS);
    let held_back = || PollEnd { due_at, failure: None, said: None, leaf: None };
    let permit = claim(&store, HOUR_MS).await.unwrap();
    // What wakes it meanwhile is found when it goes on.
    store.journal(waking(2)).await.unwrap();
    store.end_poll(permit, held_back(), NOW.plus_ms(HOUR_MS)).await.unwrap();
    assert_eq!(store.poll("erp").await.unwrap(), Some(PollView { due_at, ..failed }));
    drop(store);
    let store = maker.open().await;
    assert!(claim(&store, 2 * HOUR_MS - 1).await.is_none());
    let permit = claim(&store, 2 * HOUR_MS).await.unwrap();
    assert!(permit.is_told() && permit.failures() == 1);
    assert_eq!(store.exceptions(ALL).await.unwrap().pop().unwrap().id, told);
    let permits = (permit, claim(&store, 2 * HOUR_MS + LEASE_MS).await.unwrap());
    let late = store.end_poll(permits.0, held_back(), NOW).await;
    assert!(matches!(late, Err(StoreError::PollMoved { .. })), "{late:?}");
    store.end_poll(permits.1, held_back(), NOW).await.unwrap();
}

pub(crate) async fn another_connector_begins_without_a_cursor_and_what_one_remembers_is_its_own(maker: impl Maker) {
    let store = maker.open().await;
    let permit = claim(&store, 0).await.unwrap();
    let state = vec![("page".to_owned(), Some(b"7".to_vec())), ("gone".to_owned(), None)];
    let change = PolledChange { state, ..moved(b"1") };
    store.journal_polled(permit, input(1, &["PO-1"]), change).await.unwrap();
    let other = PluginName::parse("other").unwrap();
    assert_eq!(store.poll_state(&connector(), "erp").await.unwrap()["page"], b"7");
    assert!(store.poll_state(&other, "erp").await.unwrap().is_empty());
    assert!(store.poll_state(&connector(), "shop").await.unwrap().is_empty());
    let now = NOW.plus_ms(HOUR_MS);
    let permit = store.claim_poll("erp", &other, now, now.plus_ms(1)).await.unwrap().unwrap();
    assert_eq!(permit.cursor(), None);
    let change = PolledChange { cursor: None, ..moved(b"") };
    store.journal_polled(permit, input(2, &["PO-2"]), change).await.unwrap();
    assert_eq!(cursor(&store).await, None);
}

pub(crate) async fn when_a_poll_went_well_and_what_its_source_said_then_is_known(maker: impl Maker) {
    let store = maker.open().await;
    let permit = claim(&store, 0).await.unwrap();
    assert_eq!(permit.said(), None);
    store.end_poll(permit, PollEnd { due_at: NOW, ..failed(None) }, NOW).await.unwrap();
    let found = store.poll("erp").await.unwrap().unwrap();
    assert_eq!((found.worked_at, found.moved_at), (None, None), "it failed");
    let permit = claim(&store, 1).await.unwrap();
    let journaled = JournalEntry { received_at: NOW.plus_ms(1), ..input(1, &["PO-1"]) };
    store.journal_polled(permit, journaled, PolledChange { due_at: NOW, ..moved(b"1") }).await.unwrap();
    let permit = claim(&store, 2).await.unwrap();
    assert_eq!(permit.said(), Some(Digest::of(b"1")));
    store.end_poll(permit, PollEnd { due_at: NOW, ..nothing(None) }, NOW.plus_ms(2)).await.unwrap();
    let found = store.poll("erp").await.unwrap().unwrap();
    assert_eq!((found.worked_at, found.moved_at), (Some(NOW.plus_ms(2)), Some(NOW.plus_ms(1))));
    let permit = claim(&store, 3).await.unwrap();
    assert_eq!(permit.said(), Some(Digest::of(b"nothing")));
    store.end_poll(permit, PollEnd { due_at: NOW, ..failed(None) }, NOW.plus_ms(3)).await.unwrap();
    drop(store);
    let store = maker.open().await;
    let permit = claim(&store, 4).await.unwrap();
    assert_eq!(permit.said(), Some(Digest::of(b"nothing")), "a failure says nothing");
    assert_eq!(store.poll("erp").await.unwrap().unwrap().worked_at, Some(NOW.plus_ms(2)));
}

pub(crate) async fn of_business_keys_it_is_known_which_came_from_a_sender(maker: impl Maker) {
    let store = maker.open().await;
    let first = input(1, &["PO-1", "PO-2"]);
    let (channel, sender) = (first.channel.clone(), first.sender.clone());
    store.journal(first).await.unwrap();
    let keys = || ["PO-3", "PO-2", "PO-1", "PO-2"].map(str::to_owned).to_vec();
    let known = store.known_keys(&channel, &sender, keys()).await.unwrap();
    assert_eq!(known, [false, true, true, true]);
    let other = portreeve_model::SenderId::authenticated("somebody else");
    assert_eq!(store.known_keys(&channel, &other, keys()).await.unwrap(), [false; 4]);
    assert!(store.known_keys(&channel, &sender, Vec::new()).await.unwrap().is_empty());
    // What became neither order nor event is none: its sender's second try counts.
    let document = store.undecided(1, &[]).await.unwrap().remove(0);
    let unmapped = Decided::Unmapped(waits(ExceptionKind::Document, "unmapped"));
    super::fixture::commit(&store, decision_of(document, unmapped, Vec::new(), leaf(2))).await.unwrap();
    assert_eq!(store.known_keys(&channel, &sender, keys()).await.unwrap(), [false, true, false, true]);
}
