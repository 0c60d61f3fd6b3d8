//! Random stories of operations, faults and reopenings, each step compared with a
//! small model in memory. The model is written from the contract, not from a store.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::{ExceptionKind, Instant};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::credit::{credit, reserved};
use super::fixture::{
    self, ALL, ASK_MS, LEASE_MS, NOW, applied, commit, dead, decision_of, input, input_id, leaf, lease, leaves,
    order_id, order_in, released, waits,
};
use super::{Fault, Maker};
use crate::contract::{
    Content, CreditReservation, Decided, DocumentPosition, JournalOutcome, OutboxId, REPLAYS_MAX, Room, Settlement,
    Store, StoreError, TreeHead,
};
use crate::proof::{Attempt, Permit};

/// What each order takes of the one account, and the limit, which is for one of them.
const CREDIT_MINOR: i64 = 100;
const CREDIT_MOST_MINOR: i64 = 150;

/// Stories, and steps in one. Each step of a real store waits for a disk.
const STORIES: u32 = 48;
const STEPS_MAX: usize = 40;

#[derive(Debug, Clone)]
enum Step {
    /// An input out of few, so that many come again. Three inputs share a business key.
    Journal(u64),
    /// By figures of so long ago.
    Decide {
        unmapped: bool,
        figures_ago: i64,
    },
    Claim,
    Begin,
    Settle(Ending),
    /// Without an attempt.
    SettleClaim(Ending),
    Numbers(u32),
    Sequence,
    Replay,
    Abandon,
    /// What came to rest before a time so long ago.
    Forget(i64),
    Wait(i64),
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Applied,
    Retry(i64),
    Unknown(i64),
    Dead(bool),
}

impl Ending {
    fn settlement(self, now: i64) -> Settlement {
        let due = |after: i64| NOW.plus_ms(now + after);
        match self {
            Self::Applied => applied(),
            Self::Retry(after) => Settlement::Retry { due_at: due(after), code: "retry".to_owned() },
            Self::Unknown(after) => Settlement::Unknown { due_at: due(after), code: "unknown".to_owned() },
            Self::Dead(blocks) => dead(blocks),
        }
    }
}

fn story() -> impl Strategy<Value = Vec<(Step, Option<Fault>)>> {
    let ending = prop_oneof![
        3 => Just(Ending::Applied),
        1 => (0..LEASE_MS).prop_map(Ending::Retry),
        1 => (0..LEASE_MS).prop_map(Ending::Unknown),
        2 => any::<bool>().prop_map(Ending::Dead),
    ];
    let step = prop_oneof![
        4 => (0..6_u64).prop_map(Step::Journal),
        4 => (prop::bool::weighted(0.2), 0..LEASE_MS * 2)
            .prop_map(|(unmapped, figures_ago)| Step::Decide { unmapped, figures_ago }),
        4 => Just(Step::Claim),
        4 => Just(Step::Begin),
        4 => ending.clone().prop_map(Step::Settle),
        1 => ending.prop_map(Step::SettleClaim),
        1 => (1..9_u32).prop_map(Step::Numbers),
        2 => Just(Step::Sequence),
        1 => Just(Step::Replay),
        1 => Just(Step::Abandon),
        2 => (-1..LEASE_MS).prop_map(Step::Forget),
        3 => (1..LEASE_MS * 2).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
    ];
    let fault = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Fault::NotPersisted)),
        1 => Just(Some(Fault::Persisted)),
    ];
    prop::collection::vec((step, fault), 1..STEPS_MAX)
}

pub(crate) async fn random_stories_with_faults_end_as_the_model_says<M: Maker + 'static>(_: M) {
    // The runner is synchronous, and so has a thread and a runtime of its own.
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let config = Config { cases: STORIES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let run = |story: Vec<(Step, Option<Fault>)>| {
            runtime.block_on(tell::<M>(story));
            Ok(())
        };
        TestRunner::new(config).run(&story(), run).unwrap_or_else(|error| panic!("{error}"));
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Undecided,
    Decided,
    Duplicate,
    Unmapped,
}

struct Document {
    input: u64,
    key: String,
    state: State,
}

struct Delivery {
    key: String,
    kind: &'static str,
    state: &'static str,
    attempts: u32,
    tried_before: u32,
    replays: u32,
    unresolved: bool,
    blocks: bool,
    due: i64,
    lease: i64,
    ask: i64,
    claims: u32,
    /// When it died, in the order of deaths.
    died: usize,
    /// When it came to rest.
    ended: i64,
}

#[derive(Default)]
struct Model {
    now: i64,
    inputs: BTreeSet<u64>,
    forgotten: BTreeSet<u64>,
    documents: Vec<Document>,
    deliveries: Vec<Delivery>,
    deaths: usize,
    exceptions: usize,
    leaves: Vec<String>,
    indexed: usize,
    number: u64,
    next_leaf: u64,
    // What this process has in its hands: a delivery, and the claim that it is of.
    permits: Vec<(Permit, usize, u32)>,
    attempts: Vec<(Attempt, usize, u32)>,
}

fn key_of(input: u64) -> String {
    format!("PO-{}", input / 3)
}

async fn tell<M: Maker>(story: Vec<(Step, Option<Fault>)>) {
    let maker = M::new();
    let mut store = maker.open().await;
    let mut model = Model::default();
    for (step, fault) in story {
        if matches!(step, Step::Reopen) {
            // Whoever held a claim is gone, and so is the claim.
            (model.permits, model.attempts) = (Vec::new(), Vec::new());
            for delivery in model.deliveries.iter_mut().filter(|delivery| delivery.state == "pending") {
                delivery.lease = if delivery.unresolved { delivery.lease.min(delivery.ask) } else { 0 };
            }
            drop(store);
            store = maker.open().await;
        } else {
            model.step(&store, &maker, step, fault).await;
        }
        model.compare(&store).await;
    }
}

/// Whether a write is there: it says so, or it does not know and the fault does.
fn persisted<T>(result: &Result<T, StoreError>, fault: Option<Fault>) -> bool {
    match result {
        Ok(_) => true,
        Err(StoreError::Unknown(_)) => fault == Some(Fault::Persisted),
        Err(error) => panic!("the model expected no such refusal: {error}"),
    }
}

impl Model {
    async fn step(&mut self, store: &Arc<dyn Store>, maker: &impl Maker, step: Step, fault: Option<Fault>) {
        self.next_leaf += 1;
        let (number, at) = (100 + self.next_leaf, NOW.plus_ms(self.now));
        match step {
            Step::Journal(input) => self.journal(store, maker, input, fault).await,
            Step::Decide { unmapped, figures_ago } => self.decide(store, maker, unmapped, figures_ago, fault).await,
            Step::Claim => self.claim(store, maker, fault).await,
            Step::Begin => {
                let Some((permit, index, claim)) = self.permits.pop() else { return };
                maker.fail_next_commit(fault);
                let result = store.begin_attempt(permit, lease(self.now), leaf(number)).await;
                maker.fail_next_commit(None);
                if !self.holds(index, claim, &result) || !persisted(&result, fault) {
                    return;
                }
                self.leaves.push(leaf(number).id().short());
                let (now, delivery) = (self.now, &mut self.deliveries[index]);
                (delivery.attempts, delivery.unresolved) = (delivery.attempts + 1, true);
                (delivery.lease, delivery.ask) = (now + LEASE_MS, now + ASK_MS);
                self.attempts.extend(result.ok().map(|attempt| (attempt, index, claim)));
            }
            Step::Settle(ending) => {
                let Some((attempt, index, claim)) = self.attempts.pop() else { return };
                let in_doubt = attempt.permit().unresolved();
                maker.fail_next_commit(fault);
                let result = store.settle(attempt, ending.settlement(self.now), at, leaf(number)).await;
                maker.fail_next_commit(None);
                if self.holds(index, claim, &result) && persisted(&result, fault) {
                    self.settled(index, ending, in_doubt, number);
                }
            }
            Step::SettleClaim(ending) => {
                let Some((permit, index, claim)) = self.permits.pop() else { return };
                let in_doubt = permit.unresolved();
                maker.fail_next_commit(fault);
                let result = store.settle_unattempted(permit, ending.settlement(self.now), at, leaf(number)).await;
                maker.fail_next_commit(None);
                if self.holds(index, claim, &result) && persisted(&result, fault) {
                    self.settled(index, ending, in_doubt, number);
                }
            }
            Step::Numbers(count) => {
                maker.fail_next_commit(fault);
                let result = store.lease_numbers("interchange", count).await;
                maker.fail_next_commit(None);
                if let Ok(first) = &result {
                    assert!(*first > self.number, "{first} was given before");
                    self.number = first + u64::from(count) - 1;
                } else if persisted(&result, fault) {
                    self.number += u64::from(count);
                }
            }
            Step::Sequence => {
                let ids: Vec<_> = store.unsequenced(ALL).await.unwrap().into_iter().map(|leaf| leaf.id).collect();
                let (size, new) = (self.indexed, self.indexed + ids.len());
                let head = TreeHead { size: u64::try_from(new).unwrap(), edge: Vec::new(), checkpoint: String::new() };
                maker.fail_next_commit(fault);
                let result = store.append_sequenced(u64::try_from(size).unwrap(), ids, head).await;
                maker.fail_next_commit(None);
                if persisted(&result, fault) {
                    self.indexed = new;
                }
            }
            Step::Replay | Step::Abandon => {
                let dead = store.dead_letters(0, ALL).await.unwrap();
                let Some(letter) = dead.first() else { return };
                maker.fail_next_commit(fault);
                let result = if matches!(step, Step::Replay) {
                    fixture::replay(store, letter.exception, at, leaf(number)).await
                } else {
                    fixture::abandon(store, letter.exception, at, leaf(number)).await
                };
                maker.fail_next_commit(None);
                let now = self.now;
                let delivery = self.deliveries.iter_mut().find(|delivery| outbox(delivery) == letter.outbox).unwrap();
                if matches!(result, Err(StoreError::ReplaysSpent { .. })) {
                    assert_eq!(delivery.replays, REPLAYS_MAX);
                } else if persisted(&result, fault) {
                    (delivery.state, delivery.ended) = ("abandoned", now);
                    if matches!(step, Step::Replay) {
                        delivery.state = "pending";
                        delivery.unresolved = delivery.attempts > 0;
                        (delivery.due, delivery.lease, delivery.blocks) = (now, 0, false);
                        (delivery.replays, delivery.tried_before) = (delivery.replays + 1, delivery.attempts);
                    }
                    self.exceptions -= 1;
                    self.leaves.push(leaf(number).id().short());
                }
            }
            Step::Forget(ago) => {
                let before = NOW.plus_ms(self.now - ago);
                let kept = store.kept_inputs(before, None, ALL).await.unwrap();
                let found: Vec<_> = kept.into_iter().filter(|input| input.finished).map(|input| input.id).collect();
                let expected: Vec<u64> = self.finished(self.now - ago);
                assert_eq!(found, expected.iter().map(|input| input_id(*input)).collect::<Vec<_>>());
                if found.is_empty() {
                    return;
                }
                maker.fail_next_commit(fault);
                let result = store.forget(found, before, at, leaf(number)).await;
                maker.fail_next_commit(None);
                if persisted(&result, fault) {
                    self.forgotten.extend(expected);
                    self.leaves.push(leaf(number).id().short());
                }
            }
            Step::Wait(ms) => self.now += ms,
            Step::Reopen => {}
        }
    }

    async fn journal(&mut self, store: &Arc<dyn Store>, maker: &impl Maker, number: u64, fault: Option<Fault>) {
        maker.fail_next_commit(fault);
        let result = store.journal(input(number, &[&key_of(number)])).await;
        maker.fail_next_commit(None);
        let known = self.inputs.contains(&number);
        if let Ok(outcome) = &result {
            assert_eq!(matches!(outcome, JournalOutcome::Duplicate { .. }), known, "{outcome:?}");
        }
        if persisted(&result, fault) && !known {
            self.inputs.insert(number);
            self.documents.push(Document { input: number, key: key_of(number), state: State::Undecided });
            self.leaves.push(leaf(number).id().short());
        }
    }

    async fn decide(
        &mut self,
        store: &Arc<dyn Store>,
        maker: &impl Maker,
        unmapped: bool,
        figures_ago: i64,
        fault: Option<Fault>,
    ) {
        let Some(document) = store.undecided(1, &[]).await.unwrap().pop() else { return };
        let index = self.documents.iter().position(|known| known.state == State::Undecided).unwrap();
        let key = self.documents[index].key.clone();
        assert_eq!(document.key(), key);
        let earlier = self.documents[..index].iter();
        let first = earlier.filter(|earlier| earlier.key == key).any(|earlier| earlier.state == State::Decided);
        assert_eq!(document.first().is_some(), first, "only a document that became an order is a first one");
        let number = 100 + self.next_leaf;
        let (state, decision) = if let Some(first) = document.first().map(|first| first.position) {
            let decided = Decided::Duplicate { of: first };
            (State::Duplicate, decision_of(document, decided, Vec::new(), leaf(number)))
        } else if unmapped {
            let decided = Decided::Unmapped(waits(ExceptionKind::Document, "unmapped"));
            (State::Unmapped, decision_of(document, decided, Vec::new(), leaf(number)))
        } else {
            let mut decision = released(document, &[("erp", "first"), ("erp", "second")], leaf(number));
            let since = NOW.plus_ms(self.now - figures_ago);
            let credit = CreditReservation { since, ..credit(CREDIT_MINOR, Some(CREDIT_MOST_MINOR)) };
            order_in(&mut decision).credit = Some(credit);
            (State::Decided, decision)
        };
        let spent = state == State::Decided && self.reserved(self.now - figures_ago) + CREDIT_MINOR > CREDIT_MOST_MINOR;
        maker.fail_next_commit(fault);
        let result = commit(store, decision).await;
        maker.fail_next_commit(None);
        if spent {
            assert!(matches!(result, Err(StoreError::CreditSpent | StoreError::Unknown(_))), "{result:?}");
            return;
        }
        if !persisted(&result, fault) {
            return;
        }
        self.documents[index].state = state;
        self.leaves.push(leaf(number).id().short());
        match state {
            State::Unmapped => self.exceptions += 1,
            State::Decided => self.deliveries.extend(["first", "second"].map(|kind| Delivery {
                key: key.clone(),
                kind,
                state: "pending",
                attempts: 0,
                tried_before: 0,
                replays: 0,
                unresolved: false,
                blocks: false,
                due: 0,
                lease: 0,
                ask: 0,
                claims: 0,
                died: 0,
                ended: 0,
            })),
            State::Undecided | State::Duplicate => {}
        }
    }

    async fn claim(&mut self, store: &Arc<dyn Store>, maker: &impl Maker, fault: Option<Fault>) {
        let now = NOW.plus_ms(self.now);
        maker.fail_next_commit(fault);
        let result = store.claim(now, now.plus_ms(LEASE_MS), ALL, Room::default()).await;
        maker.fail_next_commit(None);
        if !persisted(&result, fault) {
            return;
        }
        let due: Vec<usize> = (0..self.deliveries.len()).filter(|index| self.may_be_claimed(*index)).collect();
        for index in &due {
            let delivery = &mut self.deliveries[*index];
            (delivery.lease, delivery.claims) = (self.now + LEASE_MS, delivery.claims + 1);
        }
        let Ok(permits) = result else { return };
        assert_eq!(permits.len(), due.len());
        for permit in permits {
            let index = self.deliveries.iter().position(|delivery| outbox(delivery) == *permit.outbox()).unwrap();
            let delivery = &self.deliveries[index];
            assert!(due.contains(&index));
            assert_eq!(permit.unresolved(), delivery.unresolved);
            assert_eq!(
                (permit.attempt(), permit.tries()),
                (delivery.attempts + 1, delivery.attempts - delivery.tried_before + 1)
            );
            self.permits.push((permit, index, delivery.claims));
        }
    }

    fn may_be_claimed(&self, index: usize) -> bool {
        self.claimable_from(index).is_some_and(|from| from <= self.now)
    }

    /// From when on a delivery may be claimed, if nothing else happens.
    fn claimable_from(&self, index: usize) -> Option<i64> {
        let delivery = &self.deliveries[index];
        let keeps_back = |earlier: &Delivery| {
            earlier.key == delivery.key && (earlier.state == "pending" || (earlier.state == "dead" && earlier.blocks))
        };
        let head = delivery.state == "pending" && !self.deliveries[..index].iter().any(keeps_back);
        head.then(|| delivery.due.max(delivery.lease))
    }

    /// Inputs of which nothing was open at a time, and which have their content.
    fn finished(&self, before: i64) -> Vec<u64> {
        let at_rest = |document: &Document| match document.state {
            State::Undecided | State::Unmapped => false,
            State::Duplicate => true,
            State::Decided => {
                let mut deliveries = self.deliveries.iter().filter(|delivery| delivery.key == document.key);
                let ended = |delivery: &Delivery| matches!(delivery.state, "delivered" | "abandoned");
                before > 0 && deliveries.all(|delivery| ended(delivery) && delivery.ended < before)
            }
        };
        let kept = self.inputs.iter().filter(|input| !self.forgotten.contains(input));
        let old = kept.filter(|input| i64::try_from(**input).unwrap() < before);
        old.filter(|input| self.documents.iter().filter(|document| document.input == **input).all(at_rest))
            .copied()
            .collect()
    }

    /// What counts of the account by figures of a time: each order that a target took in its
    /// minute or later, or that may still go to one.
    fn reserved(&self, since: i64) -> i64 {
        let minute = |after: i64| NOW.plus_ms(after).0.div_euclid(Instant::MINUTE_MS);
        let counts = |key: &String| {
            let mut own = self.deliveries.iter().filter(|delivery| delivery.key == *key);
            let taken = own.clone().filter(|delivery| delivery.state == "delivered").map(|delivery| delivery.ended);
            match taken.min() {
                Some(taken) => minute(taken) >= minute(since),
                None => own.any(|delivery| delivery.state != "abandoned"),
            }
        };
        let orders: BTreeSet<&String> = self.deliveries.iter().map(|delivery| &delivery.key).collect();
        orders.into_iter().filter(|key| counts(key)).map(|_| CREDIT_MINOR).sum()
    }

    /// Whether a claim is the delivery's last one; who holds another has to hear it.
    fn holds<T>(&self, index: usize, claim: u32, result: &Result<T, StoreError>) -> bool {
        let delivery = &self.deliveries[index];
        let holds = delivery.claims == claim && delivery.state == "pending";
        let lost = matches!(result, Err(StoreError::LeaseLost { .. }));
        assert!(holds != lost || matches!(result, Err(StoreError::Unknown(_))), "a lease was lost: {lost}");
        holds
    }

    fn settled(&mut self, index: usize, ending: Ending, in_doubt: bool, number: u64) {
        let now = self.now;
        let delivery = &mut self.deliveries[index];
        delivery.lease = 0;
        match ending {
            Ending::Applied => (delivery.state, delivery.ended) = ("delivered", now),
            Ending::Retry(after) => (delivery.due, delivery.unresolved) = (now + after, in_doubt),
            Ending::Unknown(after) => (delivery.due, delivery.unresolved) = (now + after, true),
            Ending::Dead(blocks) => {
                self.deaths += 1;
                self.exceptions += 1;
                (delivery.state, delivery.blocks, delivery.died) = ("dead", blocks, self.deaths);
            }
        }
        self.leaves.push(leaf(number).id().short());
    }

    async fn compare(&self, store: &Arc<dyn Store>) {
        let summary = store.summary().await.unwrap();
        let documents =
            |state| u64::try_from(self.documents.iter().filter(|known| known.state == state).count()).unwrap();
        assert_eq!(summary.inputs, u64::try_from(self.inputs.len()).unwrap());
        assert_eq!(
            (summary.undecided, summary.duplicates, summary.unmapped),
            (documents(State::Undecided), documents(State::Duplicate), documents(State::Unmapped))
        );
        assert_eq!(usize::try_from(summary.exceptions_open).unwrap(), self.exceptions);
        assert_eq!(leaves(store).await, self.leaves, "one leaf for each write, in the order of commits");
        assert_eq!(
            usize::try_from(store.tree_head().await.unwrap().map_or(0, |head| head.size)).unwrap(),
            self.indexed
        );

        let mut found = Vec::new();
        for order in store.orders(DocumentPosition(0), ALL).await.unwrap() {
            for delivery in order.deliveries {
                found.push((order.number.clone(), delivery.state, delivery.attempts));
            }
        }
        let expected = |delivery: &Delivery| (delivery.key.clone(), delivery.state.to_owned(), delivery.attempts);
        assert_eq!(found, self.deliveries.iter().map(expected).collect::<Vec<_>>());

        for input in &self.inputs {
            let content = store.input_documents(input_id(*input), ALL).await;
            let gone = matches!(content, Err(StoreError::Erased(_)));
            assert_eq!(gone, self.forgotten.contains(input), "nothing goes that is open, and nothing comes back");
        }

        let mut dead: Vec<_> = self.deliveries.iter().filter(|delivery| delivery.state == "dead").collect();
        dead.sort_by_key(|delivery| delivery.died);
        let letters = store.dead_letters(0, ALL).await.unwrap();
        let letters: Vec<_> = letters.into_iter().map(|letter| (letter.outbox, letter.replays)).collect();
        assert_eq!(letters, dead.iter().map(|delivery| (outbox(delivery), delivery.replays)).collect::<Vec<_>>());

        for since in [-1, 0, self.now / 2, self.now, self.now + Instant::MINUTE_MS] {
            assert_eq!(reserved(store, since).await, self.reserved(since), "by figures of {since}");
        }

        let next = (0..self.deliveries.len()).filter_map(|index| self.claimable_from(index)).min();
        let due = store.next_due().await.unwrap();
        assert_eq!(due.map(|due| due.0 - NOW.0), next);
    }
}

fn outbox(delivery: &Delivery) -> OutboxId {
    OutboxId::derive(order_id(&delivery.key), "erp", delivery.kind, Content::Order)
}
