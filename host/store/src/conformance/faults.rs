//! Each write with both faults of its commit: reopened, looked at, repeated as the
//! contract says, and in the end as if nothing had happened, with one leaf for it.

use std::sync::Arc;

use portreeve_model::{Digest, ExceptionAction};

use super::configuration::{package, rows, staged, table};
use super::credit::credit;
use super::exception::proposed;
use super::fixture::{
    ALL, LEASE_MS, NOW, applied, claim, cleared, dead, hold_back, input, keep, leaf, lease, leaves, next, observe,
    order_id, release, released, resolved, step, waiting,
};
use super::person::{add, change, key as token};
use super::{Fault, Maker, due, interchange, poll, reconcile, replay, subscription};
use crate::contract::{
    Effect, ExceptionChange, ExceptionTrail, KeptBack, NewRun, NoticePlace, PackageChange, PersonChange, Resolution,
    Store, StoreError, TreeHead,
};
use crate::proof::{Attempt, Journaled, Permit, PollPermit, SubscriptionPermit};

/// Each write, and how many leaves one of it brings here.
pub(crate) const WRITES: [(&str, usize); 32] = [
    ("activate_configuration", 2),
    ("change_packages", 2),
    ("load_reference", 1),
    ("journal", 1),
    ("claim_poll", 0),
    ("journal_polled", 1),
    ("end_poll", 1),
    ("claim_subscription", 1),
    ("end_subscription", 1),
    ("refuse", 1),
    ("lease_numbers", 0),
    ("commit_decisions", 1),
    ("commit_review", 2),
    ("step_exception", 1),
    ("replay_delivered", 1),
    ("claim", 0),
    ("number_delivery", 0),
    ("tell_overdue", 1),
    ("begin_due", 0),
    ("watch_due", 0),
    ("tell_late", 1),
    ("end_late", 1),
    ("commit_run", 1),
    ("begin_attempt", 1),
    ("settle", 1),
    ("settle_unattempted", 1),
    ("forget", 1),
    ("append_sequenced", 0),
    ("change_person", 1),
    ("credential_used", 0),
    ("begin_notices", 0),
    ("move_notices", 0),
];

/// What a caller has in its hands right before it writes.
enum Ready {
    Nothing,
    Documents(Vec<Journaled>),
    Permit(Permit),
    Poll(PollPermit),
    Subscription(SubscriptionPermit),
    Attempt(Attempt),
    Exception(Box<ExceptionTrail>),
    /// With the number of its exception.
    KeptBack(Box<KeptBack>, u64),
    /// The number of what is late.
    Message(u64),
    /// What it read says that the write is on record already.
    Done,
}

pub(crate) async fn each_write_survives_both_faults_of_its_commit<M: Maker>(_: M) {
    for (write, leaves_of_one) in WRITES {
        let (before, expected) = undisturbed::<M>(write, leaves_of_one).await;
        for fault in [Fault::NotPersisted, Fault::Persisted] {
            let maker = M::new();
            let store = maker.open().await;
            let number = prepare(write, &store).await;
            let ready = ready(write, &store, number, 0).await;
            maker.fail_next_commit(Some(fault));
            let error = go(write, &store, ready, 0).await.unwrap_err();
            match fault {
                Fault::NotPersisted => {
                    assert!(matches!(error, StoreError::Unknown(_) | StoreError::Failed(_)), "{write}: {error}");
                }
                Fault::Persisted => assert!(matches!(error, StoreError::Unknown(_)), "{write}: {error}"),
            }
            drop(store);

            let store = maker.open().await;
            let found = observe(&store).await;
            assert_eq!(&found, if fault == Fault::Persisted { &expected } else { &before }, "{write}, {fault:?}");
            again(write, &store, number).await;
            assert_eq!(observe(&store).await, expected, "{write}, {fault:?}, repeated");
        }
    }
}

/// What is seen before a write and after it, when nothing fails.
async fn undisturbed<M: Maker>(write: &str, leaves_of_one: usize) -> (Vec<String>, Vec<String>) {
    let maker = M::new();
    let store = maker.open().await;
    let number = prepare(write, &store).await;
    let ready = ready(write, &store, number, 0).await;
    let (before, leaves_before) = (observe(&store).await, leaves(&store).await.len());
    go(write, &store, ready, 0).await.unwrap();
    let after = observe(&store).await;
    assert_eq!(leaves(&store).await.len() - leaves_before, leaves_of_one, "leaves of `{write}`");
    again(write, &store, number).await;
    assert_eq!(observe(&store).await, after, "{write}: repeating one that persisted changes nothing");
    (before, after)
}

/// Repeats a write as a caller does that does not know what became of it.
async fn again(write: &str, store: &Arc<dyn Store>, number: u64) {
    let ready = ready(write, store, number, LEASE_MS).await;
    go(write, store, ready, LEASE_MS).await.unwrap_or_else(|error| panic!("{write}, repeated: {error}"));
}

/// Brings an empty store to where the write makes sense; the number of its exception, where
/// it has one.
async fn prepare(write: &str, store: &Arc<dyn Store>) -> u64 {
    match write {
        "commit_decisions" => keep(store, input(1, &["PO-1"])).await,
        "commit_review" => {
            hold_back(store, 1, "PO-1", &["credit-limit"]).await;
            return waiting(store, "PO-1").await;
        }
        // The last one to agree to what is thereby carried out.
        "step_exception" => {
            hold_back(store, 1, "PO-1", &["credit-limit"]).await;
            let number = waiting(store, "PO-1").await;
            let proposed = proposed(ExceptionAction::Reject, 1);
            store.step_exception(step(store, number, "ada", proposed, leaf(3)).await).await.unwrap();
            return number;
        }
        "change_packages" => {
            store.activate_configuration(b"one".to_vec(), Vec::new(), NOW, vec![leaf(1)], Vec::new()).await.unwrap();
            for (change, number) in [(PackageChange::Install(package(1)), 2), (staged(1), 3)] {
                store.change_packages(change, NOW, vec![leaf(number)]).await.unwrap();
            }
        }
        "commit_run" => assert_eq!(reconcile::differing(store, 1).await, 1),
        "replay_delivered" => replay::taken(store, 1, "PO-1").await,
        "tell_overdue" => assert_eq!(interchange::sent(store, 1, "PO-1", "ZZ:A").await, 1),
        "watch_due" | "tell_late" => {
            store.begin_due(vec![due::rule()]).await.unwrap();
            hold_back(store, 1, "PO-1", &["credit-limit"]).await;
            if write == "tell_late" {
                return due::waited_for(store).await;
            }
        }
        "end_late" => {
            store.begin_due(vec![due::rule()]).await.unwrap();
            release(store, 1, "PO-1", &[("erp", "order")]).await;
            let number = due::waited_for(store).await;
            due::sent(store, 3, due::due(2)).await;
            return number;
        }
        "claim" | "number_delivery" | "begin_attempt" | "settle" | "settle_unattempted" => {
            release(store, 1, "PO-1", &[("erp", "order")]).await;
        }
        "forget" => {
            keep(store, input(1, &["PO-1"])).await;
            let document = store.undecided(ALL, &[]).await.unwrap().remove(0);
            super::fixture::commit(store, released(document, &[], leaf(2))).await.unwrap();
        }
        "credential_used" => {
            for (after, what) in [(0, add(&["administrator"], true)), (1, PersonChange::AddKey(token(1)))] {
                store.change_person(change("anna", after, what, after + 1)).await.unwrap();
            }
        }
        "move_notices" => {
            store.begin_notices(vec!["desk".to_owned()]).await.unwrap();
            hold_back(store, 1, "PO-1", &["credit-limit"]).await;
        }
        "append_sequenced" => {
            for number in 1..4 {
                store.refuse(leaf(number)).await.unwrap();
            }
        }
        _ => {}
    }
    0
}

/// Reads what a caller reads before it writes.
async fn ready(write: &str, store: &Arc<dyn Store>, number: u64, after_ms: i64) -> Ready {
    match write {
        "commit_decisions" => Ready::Documents(store.undecided(ALL, &[]).await.unwrap()),
        "commit_review" => match store.kept_back_order(order_id("PO-1")).await.unwrap() {
            Some(found) => Ready::KeptBack(Box::new(found), number),
            None => Ready::Done,
        },
        "step_exception" => match store.exception(number).await.unwrap() {
            Some(found) if found.exception.closed.is_none() => Ready::Exception(Box::new(found)),
            _ => Ready::Done,
        },
        "journal_polled" | "end_poll" => poll::claim(store, after_ms).await.map_or(Ready::Done, Ready::Poll),
        "end_subscription" => subscription::claim(store, after_ms, 59).await.map_or(Ready::Done, Ready::Subscription),
        "number_delivery" | "begin_attempt" | "settle" | "settle_unattempted" => {
            match claim(store, after_ms).await.pop() {
                None => Ready::Done,
                Some(permit) if write == "number_delivery" && permit.interchange().is_some() => Ready::Done,
                Some(permit) if write == "begin_attempt" && permit.unresolved() => Ready::Done,
                Some(permit) if write == "settle" && !permit.unresolved() => {
                    Ready::Attempt(store.begin_attempt(permit, lease(after_ms), leaf(50)).await.unwrap())
                }
                Some(permit) => Ready::Permit(permit),
            }
        }
        "tell_late" | "end_late" => Ready::Message(number),
        _ => Ready::Nothing,
    }
}

async fn go(write: &str, store: &Arc<dyn Store>, ready: Ready, after_ms: i64) -> Result<(), StoreError> {
    match (write, ready) {
        (_, Ready::Done) => Ok(()),
        ("activate_configuration", _) => {
            let activated = store
                .activate_configuration(b"one".to_vec(), vec![table(1, 61)], NOW, vec![leaf(60)], Vec::new())
                .await;
            activated.map(|version| assert_eq!(version, 1))
        }
        ("change_packages", _) => {
            let plugin = Some(package(1).plugin);
            let change = PackageChange::Configure { after: 1, bytes: b"two".to_vec(), unstage: plugin, anew: None };
            store.change_packages(change, NOW, vec![leaf(60), leaf(61)]).await
        }
        ("load_reference", _) => {
            store.load_reference("stock", rows(1), leaf(60)).await.map(|version| assert_eq!(version, 1))
        }
        ("journal", _) => store.journal(input(1, &["PO-1"])).await.map(|_| ()),
        ("claim_poll", _) => {
            assert!(poll::try_claim(store, after_ms).await?.is_some(), "what may have been claimed comes back");
            Ok(())
        }
        ("journal_polled", Ready::Poll(permit)) => {
            store.journal_polled(permit, input(1, &["PO-1"]), poll::moved(b"1")).await.map(|_| ())
        }
        ("end_poll", Ready::Poll(permit)) => store.end_poll(permit, poll::failed(Some(leaf(60))), NOW).await,
        ("claim_subscription", _) => {
            let claimed = subscription::try_claim(store, after_ms, 60).await?;
            assert!(claimed.is_some(), "what may have been claimed comes back");
            Ok(())
        }
        ("end_subscription", Ready::Subscription(permit)) => {
            store.end_subscription(permit, subscription::given("S", 60), NOW).await
        }
        ("refuse", _) => store.refuse(leaf(60)).await,
        ("lease_numbers", _) => store.lease_numbers("interchange", 7).await.map(|_| ()),
        ("commit_decisions", Ready::Documents(documents)) => {
            let decisions = documents.into_iter().map(|document| released(document, &[("erp", "order")], leaf(60)));
            store.commit_decisions(decisions.collect()).await?.into_iter().try_for_each(|result| result.map(|_| ()))
        }
        ("commit_review", Ready::KeptBack(found, number)) => {
            let mut review = cleared(&found, leaf(60));
            (review.credit, review.who) = (Some(credit(100, Some(100))), Some("ada".to_owned()));
            let released = resolved(ExceptionAction::ReleaseHolds, Effect::ReviewHolds);
            review.step = Some(step(store, number, "ada", released, leaf(61)).await);
            store.commit_review(review).await
        }
        ("step_exception", Ready::Exception(found)) => {
            let (action, effect) =
                (ExceptionAction::Reject, Effect::RejectOrder { why: "rejected".to_owned(), outbox: Vec::new() });
            let proposal = found.proposal.map(|open| open.digest);
            let change = ExceptionChange::Resolved(Resolution { action, proposal, effect });
            let step = step(store, found.exception.id, "bob", change, leaf(60)).await;
            store.step_exception(step).await
        }
        ("replay_delivered", _) => {
            let found = replay::all_of(store, "erp").await;
            // Where it is on record, what was shown is not what there is, and its digest tells.
            let again = replay::replayed(found, b"shown", leaf(60));
            store.replay_delivered(again).await.map(|_| ())
        }
        ("claim", _) => {
            let now = NOW.plus_ms(after_ms);
            let permits = store.claim(now, now.plus_ms(LEASE_MS), ALL, crate::contract::Room::default()).await?;
            assert_eq!(permits.len(), 1, "what an unknown outcome may have claimed comes back");
            Ok(())
        }
        ("number_delivery", Ready::Permit(permit)) => {
            store.number_delivery(permit, interchange::to("ZZ:A"), NOW).await.map(|_| ())
        }
        ("tell_overdue", _) => {
            let due = NOW.plus_ms(interchange::HOUR_MS);
            store.tell_overdue("ZZ:A", 1, interchange::overdue(), due, leaf(60)).await.map(|_| ())
        }
        ("begin_due", _) => store.begin_due(vec![due::rule()]).await,
        ("watch_due", _) => store.watch_due(due::rule(), NOW, ALL).await.map(drop),
        ("tell_late", Ready::Message(number)) => {
            store.tell_late(number, due::late(), due::due(1), leaf(60)).await.map(drop)
        }
        ("end_late", Ready::Message(number)) => store.end_late(number, due::due(2), leaf(60)).await.map(drop),
        ("commit_run", _) => {
            let gone = vec!["key/A".to_owned()];
            store.commit_run(NewRun { gone, ..reconcile::run(1, &["key/B"], leaf(60)) }).await
        }
        ("begin_attempt", Ready::Permit(permit)) => {
            store.begin_attempt(permit, lease(after_ms), leaf(60)).await.map(|_| ())
        }
        ("settle", Ready::Attempt(attempt)) => store.settle(attempt, applied(), NOW, leaf(60)).await.map(|_| ()),
        // The target was asked and has the effect.
        ("settle", Ready::Permit(permit)) => {
            store.settle_unattempted(permit, applied(), NOW, leaf(60)).await.map(|_| ())
        }
        ("settle_unattempted", Ready::Permit(permit)) => {
            store.settle_unattempted(permit, dead(true), NOW, leaf(60)).await.map(|_| ())
        }
        ("forget", _) => {
            let (before, inputs) = (NOW.plus_ms(100), vec![super::fixture::input_id(1)]);
            store.forget(inputs, before, NOW, leaf(60)).await.map(|_| ())
        }
        ("change_person", _) => store.change_person(change("anna", 0, add(&["administrator"], true), 60)).await,
        ("credential_used", _) => store.credential_used(token(1).digest, NOW.plus_ms(1)).await,
        ("begin_notices", _) => store.begin_notices(vec!["desk".to_owned()]).await,
        ("move_notices", _) => {
            let (from, to) = (NoticePlace::default(), NoticePlace { exception: 1, step: 0 });
            store.move_notices("desk", from, to).await.map(|moved| assert!(moved))
        }
        ("append_sequenced", _) => {
            let ids: Vec<Digest> = (1..4).map(|number| leaf(number).id()).collect();
            let head = TreeHead { size: 3, edge: vec![7], checkpoint: "checkpoint".to_owned() };
            store.append_sequenced(0, ids, head).await.map(|_| ())
        }
        (write, _) => panic!("`{write}` was prepared for nothing"),
    }
}

pub(crate) async fn a_fault_undoes_a_whole_batch_of_decisions<M: Maker>(_: M) {
    for (fault, undecided) in [(Fault::NotPersisted, 3), (Fault::Persisted, 0)] {
        let maker = M::new();
        let store = maker.open().await;
        keep(&store, input(1, &["PO-1", "PO-2", "PO-3"])).await;
        let documents = store.undecided(ALL, &[]).await.unwrap();
        let decisions = (2..).zip(documents).map(|(number, document)| released(document, &[], leaf(number)));
        maker.fail_next_commit(Some(fault));
        let failed = store.commit_decisions(decisions.collect()).await;
        assert!(failed.is_err(), "{fault:?}: no decision was said to be durable");
        drop(store);
        let store = maker.open().await;
        assert_eq!(store.undecided(ALL, &[]).await.unwrap().len(), undecided, "{fault:?}");
        assert_eq!(leaves(&store).await.len(), 4 - undecided, "{fault:?}");
    }
}

pub(crate) async fn numbers_of_an_unknown_outcome_are_not_given_again(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.lease_numbers("interchange", 5).await.unwrap(), 1);
    for (fault, expected) in [(Fault::NotPersisted, 6), (Fault::Persisted, 12)] {
        maker.fail_next_commit(Some(fault));
        store.lease_numbers("interchange", 5).await.unwrap_err();
        let first = store.lease_numbers("interchange", 1).await.unwrap();
        assert!(first >= expected, "{fault:?}: {first} may have been given to somebody");
    }
    keep(&store, input(1, &["PO-1"])).await;
    assert_eq!(next(&store).await.key(), "PO-1", "the store goes on");
}
