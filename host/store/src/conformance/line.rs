//! What an order has for a target stands in line: random histories of orders and targets, and
//! after each step what is claimed is what the contract's sentence says of the deliveries.
//!
//! The deliveries are those that the store shows; how each of them changes is told by other
//! cases. Here is only which of them may go: so a store may keep the line as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portreeve_model::Instant;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Maker;
use super::fixture::{
    ALL, LEASE_MS, NOW, abandon, about_order, applied, commit, dead, event_in, hold, input, keep, leaf, lease, next,
    order_id, release, replay,
};
use crate::contract::{Content, NewOutbox, OrderEventKind, OutboxId, Room, Settlement, Stop, Store, StoreError};
use crate::proof::Permit;

const STORIES: u32 = 48;
const STEPS_MAX: usize = 30;

const ORDERS: [&str; 2] = ["PO-1", "PO-2"];
const TARGETS: [&str; 2] = ["erp", "wms"];

#[derive(Debug, Clone)]
enum Step {
    /// Something is said of an order that a target gets.
    Say(usize, usize),
    /// An order is to be cancelled.
    Cancel(Cancel),
    /// What is due is delivered, each delivery with an ending, and perhaps an order is
    /// cancelled while all of them are under way.
    Deliver(Vec<Ending>, Option<Cancel>),
    /// A person decides about one of those that were given up.
    Replay(usize),
    Abandon(usize),
    Wait(i64),
    Reopen,
}

#[derive(Debug, Clone, Copy)]
struct Cancel {
    order: usize,
    /// Held for a person, or given up.
    is_held: bool,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    /// Whoever had it is gone.
    Left,
    Applied,
    Retry(i64),
    Unknown(i64),
    Dead(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let cancel = || (0..ORDERS.len(), any::<bool>()).prop_map(|(order, is_held)| Cancel { order, is_held });
    let ending = prop_oneof![
        1 => Just(Ending::Left),
        4 => Just(Ending::Applied),
        2 => (0..LEASE_MS).prop_map(Ending::Retry),
        2 => (0..LEASE_MS).prop_map(Ending::Unknown),
        3 => any::<bool>().prop_map(Ending::Dead),
    ];
    prop_oneof![
        5 => (0..ORDERS.len(), 0..TARGETS.len()).prop_map(|(order, target)| Step::Say(order, target)),
        1 => cancel().prop_map(Step::Cancel),
        6 => (prop::collection::vec(ending, 1..4), prop::option::weighted(0.1, cancel()))
            .prop_map(|(endings, meanwhile)| Step::Deliver(endings, meanwhile)),
        2 => (0..4_usize).prop_map(Step::Replay),
        2 => (0..4_usize).prop_map(Step::Abandon),
        3 => (1..LEASE_MS * 2).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
    ]
}

pub(crate) async fn whatever_becomes_of_deliveries_the_first_in_line_goes_and_no_other<M: Maker + 'static>(_: M) {
    // The runner is synchronous, and so has a thread and a runtime of its own.
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let config = Config { cases: STORIES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let run = |story: Vec<Step>| {
            runtime.block_on(tell::<M>(story));
            Ok(())
        };
        let stories = prop::collection::vec(step(), 1..STEPS_MAX);
        TestRunner::new(config).run(&stories, run).unwrap_or_else(|error| panic!("{error}"));
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

/// Where a story is.
struct Line {
    store: Arc<dyn Store>,
    now: i64,
    /// Of inputs and leaves.
    number: u64,
}

async fn tell<M: Maker>(story: Vec<Step>) {
    let maker = M::new();
    let mut line = Line { store: maker.open().await, now: 0, number: 0 };
    for key in ORDERS {
        let number = line.next_number();
        release(&line.store, number, key, &[("erp", "order"), ("wms", "release"), ("erp", "note")]).await;
    }
    for step in story {
        if matches!(step, Step::Reopen) {
            drop(line.store);
            line.store = maker.open().await;
        } else {
            line.step(step).await;
        }
        line.compare().await;
    }
}

impl Line {
    /// Ten of each step's own.
    fn next_number(&mut self) -> u64 {
        self.number += 10;
        self.number
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Say(order, target) => {
                let outbox = |content| {
                    let (target, kind) = (TARGETS[target].to_owned(), "said".to_owned());
                    vec![NewOutbox { target, kind, content }]
                };
                self.about(ORDERS[order], OrderEventKind::Changed, None, outbox).await;
            }
            Step::Cancel(cancel) => self.cancel(cancel).await,
            Step::Deliver(endings, meanwhile) => self.deliver(&endings, meanwhile).await,
            Step::Replay(nth) | Step::Abandon(nth) => {
                let letters = self.store.dead_letters(0, ALL).await.unwrap();
                let Some(letter) = letters.get(nth) else { return };
                let (number, at) = (self.next_number(), NOW.plus_ms(self.now));
                let decided = if matches!(step, Step::Replay(_)) {
                    replay(&self.store, letter.exception, at, leaf(number)).await
                } else {
                    abandon(&self.store, letter.exception, at, leaf(number)).await
                };
                let refused = |error: &StoreError| {
                    matches!(error, StoreError::CancelRequested { .. } | StoreError::ReplaysSpent { .. })
                };
                assert!(decided.as_ref().err().is_none_or(refused), "{decided:?}");
            }
            Step::Wait(ms) => self.now += ms,
            Step::Reopen => {}
        }
    }

    async fn cancel(&mut self, cancel: Cancel) {
        let stop = if cancel.is_held { Stop::Held(hold("cancel-requested")) } else { Stop::GivenUp };
        self.about(ORDERS[cancel.order], OrderEventKind::CancelRequested, Some(stop), |_| Vec::new()).await;
    }

    /// Something that is said of an order, and what follows from it.
    async fn about(
        &mut self,
        key: &str,
        kind: OrderEventKind,
        stops: Option<Stop>,
        follows: impl FnOnce(Content) -> Vec<NewOutbox>,
    ) {
        let number = self.next_number();
        keep(&self.store, input(number, &[&format!("SAID-{number}")])).await;
        let document = next(&self.store).await;
        let here = Content::Said(document.position());
        let mut decision = about_order(document, key, kind, leaf(number + 1));
        decision.at = NOW.plus_ms(self.now);
        let event = event_in(&mut decision);
        (event.stops, event.outbox) = (stops, follows(here));
        commit(&self.store, decision).await.unwrap();
    }

    async fn deliver(&mut self, endings: &[Ending], meanwhile: Option<Cancel>) {
        let permits = self.claim(LEASE_MS).await;
        if let Some(cancel) = meanwhile {
            self.cancel(cancel).await;
        }
        for (permit, ending) in permits.into_iter().zip(endings.iter().cycle()) {
            let ended = self.end(permit, *ending).await;
            // It was withheld while it was under way.
            assert!(matches!(ended, Ok(()) | Err(StoreError::LeaseLost { .. })), "{ended:?}");
        }
    }

    async fn end(&mut self, permit: Permit, ending: Ending) -> Result<(), StoreError> {
        let (number, at) = (self.next_number(), NOW.plus_ms(self.now));
        let due = |after: i64| at.plus_ms(after);
        let settlement = match ending {
            Ending::Left => return Ok(()),
            Ending::Applied => applied(),
            // Of what is only asked about, this is an answer.
            Ending::Retry(_) if permit.withheld() => Settlement::Absent,
            Ending::Retry(after) => Settlement::Retry { due_at: due(after), code: "retry".to_owned() },
            Ending::Unknown(after) => Settlement::Unknown { due_at: due(after), code: "unknown".to_owned() },
            Ending::Dead(blocks) => dead(blocks),
        };
        if permit.withheld() {
            return self.store.settle_unattempted(permit, settlement, at, leaf(number)).await.map(drop);
        }
        let attempt = self.store.begin_attempt(permit, lease(self.now), leaf(number)).await?;
        self.store.settle(attempt, settlement, at, leaf(number + 1)).await.map(drop)
    }

    async fn claim(&self, lease_ms: i64) -> Vec<Permit> {
        let now = NOW.plus_ms(self.now);
        self.store.claim(now, now.plus_ms(lease_ms), ALL, Room::default()).await.unwrap()
    }

    /// A claim that is over at once tells what may go.
    async fn compare(&self) {
        let may_go = self.may_go().await;
        let first = may_go.values().min().copied();
        assert_eq!(self.store.next_due().await.unwrap(), first, "of {may_go:?}");
        let due = may_go.iter().filter(|(_, from)| **from <= NOW.plus_ms(self.now));
        let due: BTreeSet<OutboxId> = due.map(|(outbox, _)| outbox.clone()).collect();
        let claimed = self.claim(0).await;
        assert_eq!(claimed.iter().map(|permit| permit.outbox().clone()).collect::<BTreeSet<_>>(), due);
        assert_eq!(claimed.len(), due.len(), "none twice");
    }

    /// Deliveries that no earlier one of their order and target keeps waiting, and those that
    /// are to be asked about, each with the time from which on.
    async fn may_go(&self) -> BTreeMap<OutboxId, Instant> {
        let letters = self.store.dead_letters(0, ALL).await.unwrap();
        let blocking: BTreeSet<OutboxId> =
            letters.into_iter().filter(|letter| letter.blocks).map(|letter| letter.outbox).collect();
        let mut may_go = BTreeMap::new();
        for order in ORDERS.map(order_id) {
            let mut waits_at = BTreeSet::new();
            for delivery in self.store.order(order).await.unwrap().unwrap().deliveries {
                let content = delivery.said.map_or(Content::Order, Content::Said);
                let outbox = OutboxId::derive(order, &delivery.target, &delivery.kind, content);
                let (is_pending, in_doubt) = (delivery.state == "pending", delivery.state == "in-doubt");
                if in_doubt || (is_pending && !waits_at.contains(&delivery.target)) {
                    may_go.insert(outbox.clone(), delivery.next_at.unwrap());
                }
                if is_pending || in_doubt || blocking.contains(&outbox) {
                    waits_at.insert(delivery.target);
                }
            }
        }
        may_go
    }
}
