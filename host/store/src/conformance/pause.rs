//! Plugins that are not called, and what waits for a person because of that.

use std::sync::Arc;

use portreeve_model::{Digest, ExceptionAction, ExceptionKind, Instant, PluginName};

use super::configuration::package;
use super::fixture::{ALL, NOW, leaf, leaves, observe, resolved, step, waits};
use super::{Fault, Maker};
use crate::contract::{
    Effect, ExceptionChange, ExceptionView, NewPause, NewStep, PackageChange, PauseAbout, Store, StoreError,
};

const EDI: &str = "`score` for sender `gateway` of channel `edi`";

fn component() -> Digest {
    package(1).digest
}

fn plugin() -> PluginName {
    package(1).plugin
}

fn paused(cause: Option<&str>, until_ms: i64) -> PackageChange {
    PackageChange::Paused(Box::new(NewPause {
        plugin: plugin(),
        component: component(),
        cause: cause.map(str::to_owned),
        failure: "trap".to_owned(),
        until: NOW.plus_ms(until_ms),
        exception: waits(ExceptionKind::Plugin, "plugin-quarantined"),
    }))
}

fn restored(cause: Option<&str>) -> PackageChange {
    PackageChange::Restored { plugin: plugin(), component: component(), cause: cause.map(str::to_owned) }
}

async fn change(store: &Arc<dyn Store>, change: PackageChange, number: u64) {
    store.change_packages(change, NOW, vec![leaf(number)]).await.unwrap();
}

/// The number of the exception of a plugin that is not called for one sender.
pub(super) async fn quarantined(store: &Arc<dyn Store>, number: u64) -> u64 {
    change(store, paused(Some(EDI), 30), number).await;
    open(store).await.remove(0).0.id
}

/// What is open, each with its pause.
async fn open(store: &Arc<dyn Store>) -> Vec<(ExceptionView, PauseAbout)> {
    let open = store.paused_plugins(0, ALL).await.unwrap();
    assert_eq!(store.exceptions(ALL).await.unwrap(), open.iter().map(|(one, _)| one.clone()).collect::<Vec<_>>());
    for (exception, pause) in &open {
        assert_eq!(store.exception(exception.id).await.unwrap().unwrap().about.plugin.as_ref(), Some(pause));
    }
    if let Some((first, _)) = open.first() {
        assert_eq!(store.paused_plugins(0, 1).await.unwrap(), open[..1]);
        assert_eq!(store.paused_plugins(first.id, ALL).await.unwrap(), open[1..]);
    }
    open
}

async fn causes(store: &Arc<dyn Store>) -> Vec<Option<String>> {
    open(store).await.into_iter().map(|(_, pause)| pause.cause).collect()
}

/// How an exception ended, and its steps.
async fn ended(store: &Arc<dyn Store>, number: u64) -> (Option<String>, Vec<String>) {
    let found = store.exception(number).await.unwrap().unwrap();
    let steps = found.steps.into_iter().map(|step| step.step).collect();
    (found.exception.closed.map(|closed| closed.how), steps)
}

fn cleared() -> (Option<String>, Vec<String>) {
    (Some("cleared".to_owned()), vec!["cleared".to_owned()])
}

pub(crate) async fn a_pause_is_one_exception_however_often_it_comes_and_ends_with_its_record(maker: impl Maker) {
    let store = maker.open().await;
    for (number, until_ms) in [(1, 30), (2, 60), (3, 120)] {
        change(&store, paused(Some(EDI), until_ms), number).await;
    }
    change(&store, paused(Some("`deliver` for target `erp`"), 5), 4).await;
    let (first, pause) = open(&store).await.remove(0);
    assert_eq!((first.kind, first.order, first.opened_at), (ExceptionKind::Plugin, None, NOW));
    let expected = PauseAbout {
        plugin: plugin(),
        component: component(),
        cause: Some(EDI.to_owned()),
        failure: "trap".to_owned(),
        pauses: 3,
        until: NOW.plus_ms(120),
    };
    assert_eq!(pause, expected);
    assert_eq!(first.revision, 0, "a pause that goes on uses up no steps of people");
    change(&store, restored(Some(EDI)), 5).await;
    assert_eq!(causes(&store).await, [Some("`deliver` for target `erp`".to_owned())], "the other one stays");
    assert_eq!(ended(&store, first.id).await, cleared());
    change(&store, restored(Some(EDI)), 6).await;
    change(&store, paused(Some(EDI), 30), 7).await;
    assert_eq!(open(&store).await.last().unwrap().1.pauses, 1, "another one, since the first is over");
    let before = observe(&store).await;
    assert_eq!(leaves(&store).await, [1, 2, 3, 4, 5, 6, 7].map(|number| leaf(number).id().short()));
    drop(store);
    assert_eq!(observe(&maker.open().await).await, before);
}

pub(crate) async fn a_pause_of_all_calls_takes_the_place_of_those_of_single_causes(maker: impl Maker) {
    let store = maker.open().await;
    change(&store, paused(Some(EDI), 30), 1).await;
    change(&store, paused(None, 30), 2).await;
    assert_eq!(causes(&store).await, [None]);
    assert_eq!(ended(&store, 1).await, cleared());
    change(&store, restored(None), 3).await;
    assert_eq!(causes(&store).await, []);
}

pub(crate) async fn a_plugin_that_begins_anew_leaves_no_pause_to_a_person(maker: impl Maker) {
    let store = maker.open().await;
    store.activate_configuration(b"one".to_vec(), Vec::new(), NOW, vec![leaf(1)], Vec::new()).await.unwrap();
    change(&store, paused(Some(EDI), 30), 2).await;
    let configure = |after, anew, number| {
        let bytes = format!("version {number}").into_bytes();
        let change = PackageChange::Configure { after, bytes, unstage: None, anew };
        store.change_packages(change, NOW, vec![leaf(number)])
    };
    configure(1, Some(PluginName::parse("margin").unwrap()), 3).await.unwrap();
    configure(2, None, 4).await.unwrap();
    assert_eq!(causes(&store).await, [Some(EDI.to_owned())], "another plugin's");
    configure(3, Some(plugin()), 5).await.unwrap();
    assert_eq!((causes(&store).await, ended(&store, 1).await), (vec![], cleared()));

    // A host that begins knows of no pause.
    change(&store, paused(Some(EDI), 30), 6).await;
    let over = NewStep { who: None, record: None, ..step(&store, 2, "ada", ExceptionChange::Cleared, leaf(7)).await };
    store.step_exception(over).await.unwrap();
    assert_eq!((causes(&store).await, ended(&store, 2).await), (vec![], cleared()));
}

pub(crate) async fn what_a_person_ends_of_a_pause_opens_again_with_the_next_one(maker: impl Maker) {
    let store = maker.open().await;
    for (number, action) in [(1, ExceptionAction::Retry), (2, ExceptionAction::Abandon)] {
        change(&store, paused(Some(EDI), 30), 10 * number).await;
        let wrong = step(&store, number, "ada", resolved(action, Effect::AbandonDelivery), leaf(10 * number + 1)).await;
        let refused = store.step_exception(wrong).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
        let right = step(&store, number, "ada", resolved(action, Effect::Close), leaf(10 * number + 2)).await;
        store.step_exception(right).await.unwrap();
        assert_eq!(ended(&store, number).await.0.as_deref(), Some(action.as_str()));
    }
    change(&store, restored(None), 40).await;
    assert_eq!(causes(&store).await, []);
}

pub(crate) async fn a_pause_and_its_exception_are_there_together_or_not_at_all<M: Maker>(_: M) {
    for what in ["opened", "goes on", "cleared"] {
        for fault in [Fault::NotPersisted, Fault::Persisted] {
            let maker = M::new();
            let store = maker.open().await;
            if what != "opened" {
                change(&store, paused(Some(EDI), 30), 1).await;
            }
            let write = || if what == "cleared" { restored(Some(EDI)) } else { paused(Some(EDI), 60) };
            let before = observe(&store).await;
            maker.fail_next_commit(Some(fault));
            store.change_packages(write(), NOW, vec![leaf(2)]).await.unwrap_err();
            drop(store);

            let store = maker.open().await;
            let found = observe(&store).await;
            assert_eq!(found == before, fault == Fault::NotPersisted, "{what}, {fault:?}");
            change(&store, write(), 2).await;
            let after = observe(&store).await;
            assert!(fault == Fault::NotPersisted || found == after, "{what}: repeating one that persisted");
            let pauses: Vec<u32> = open(&store).await.into_iter().map(|(_, pause)| pause.pauses).collect();
            let expected: &[u32] = match what {
                "opened" => &[1],
                "goes on" => &[2],
                _ => &[],
            };
            assert_eq!(pauses, expected, "{what}, {fault:?}");
            assert!(leaves(&store).await.contains(&leaf(2).id().short()));
            assert!(open(&store).await.iter().all(|(_, pause)| pause.until > Instant(0)));
        }
    }
}
