//! No release passes a credit account's limit, whatever happens in whatever order: orders of
//! several customers, two hosts that decide at once, figures that finance sends when it likes,
//! payments, limits that change, people who release, holds that are cleared and escalated,
//! cancellations, deliveries, failed commits, crashes, clocks that were set back.
//!
//! What an account owes is counted here from the orders and payments alone, never from
//! figures; the host knows the figures alone, and only those of some time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portreeve::host::Host;
use portreeve_model::reference::{CLOCKS_DIFFER_MS, Row};
use portreeve_model::{Currency, Digest, Instant, OrderId};
use portreeve_pipeline::exception::ExceptionError;
use portreeve_pipeline::review::ReviewError;
use portreeve_pipeline::{Clock, DecideError};
use portreeve_record::LeafBody;
use portreeve_store::contract::{CreditQuery, DocumentPosition, HoldView, Kept, OrderState, OrderView};
use portreeve_store::{Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::faults::{Fault, FaultyStore};
use crate::kept_back::{credit_row, load, with_credit};
use crate::later::with_purpose;
use crate::support::{PurchaseOrder, TestHost, exceptions, x12};

/// Customers, two accounts of which the first two share one.
const CUSTOMERS: [(&str, usize); 4] = [("C1201", 0), ("C1202", 0), ("C1203", 1), ("C1204", 1)];
const ACCOUNTS: [&str; 2] = ["GROUP-A", "GROUP-B"];

/// Those customers in the demo's table.
const CUSTOMER_ROWS: [&str; 4] = [
    "C-1201,Cedarhill Builders,standard,false,US,2012-11-21,USD,",
    "C-1202,Ironwood Mechanical,standard,false,US,2012-06-12,USD,",
    "C-1203,Millrace Electric,standard,false,US,2017-04-01,USD,",
    "C-1204,Summit Contractors,standard,false,US,2020-05-24,USD,",
];

/// By how much figures know too much where that is planted: beyond what the rule has to spare.
const PLANTED_MS: i64 = 6 * Instant::MINUTE_MS;

/// Numbers of orders that no case uses twice.
const NUMBERS: u32 = 1_000;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// An order of a customer; so many boxes at 18.40, and whether the price is too high.
    Send {
        customer: usize,
        boxes: u32,
        dear: bool,
    },
    /// An earlier input once more, or a request to cancel it.
    Again(u32),
    Cancel(u32),
    /// Both hosts decide at the same time, so many documents each.
    Decide(u32, u32),
    /// What is due is delivered.
    Deliver,
    /// Finance makes figures of all accounts, by its own clock, which is right.
    Make,
    /// Finance sends the figures that it made last.
    Load,
    /// Both at once.
    Figures,
    /// Somebody sets the hosts' clock right again.
    SetRight,
    /// A part of what an account owes is paid: hundredths.
    Pay(usize, i64),
    /// An account gets another limit, in orders of ten boxes; finance sends it with its figures.
    Limit(usize, i64),
    /// A person releases one of the holds of one of the orders that are kept back.
    Release(u32, u32),
    /// The hosts look again at what is kept back, both at once.
    LookAgain,
    /// A commit that fails, of decisions or of a review, and whether it persisted.
    FailedCommit {
        review: bool,
        persisted: bool,
    },
    /// Time goes on, in milliseconds.
    Move(i64),
    /// Both hosts end as in a crash and start again, with a clock that was set back by so many
    /// minutes.
    Crash(i64),
}

impl Step {
    fn may_release(&self) -> bool {
        matches!(self, Self::Decide(..) | Self::Release(..) | Self::LookAgain | Self::FailedCommit { .. })
    }
}

fn step() -> impl Strategy<Value = Step> {
    const MINUTE: i64 = Instant::MINUTE_MS;
    let moves = [1, MINUTE, 4 * MINUTE, 6 * MINUTE, 29 * MINUTE, 121 * MINUTE, 1_500 * MINUTE];
    let send = (0..CUSTOMERS.len(), 1..16_u32, prop::bool::weighted(0.2));
    prop_oneof![
        12 => send.prop_map(|(customer, boxes, dear)| Step::Send { customer, boxes, dear }),
        1 => any::<u32>().prop_map(Step::Again),
        2 => any::<u32>().prop_map(Step::Cancel),
        6 => (1..5_u32, 1..9_u32).prop_map(|(one, other)| Step::Decide(one, other)),
        4 => Just(Step::Deliver),
        2 => Just(Step::Make),
        2 => Just(Step::Load),
        4 => Just(Step::Figures),
        2 => Just(Step::SetRight),
        3 => (0..ACCOUNTS.len(), 1..100_i64).prop_map(|(account, hundredths)| Step::Pay(account, hundredths)),
        2 => (0..ACCOUNTS.len(), 0..9_i64).prop_map(|(account, orders)| Step::Limit(account, orders)),
        4 => (any::<u32>(), any::<u32>()).prop_map(|(order, hold)| Step::Release(order, hold)),
        4 => Just(Step::LookAgain),
        1 => any::<[bool; 2]>().prop_map(|[review, persisted]| Step::FailedCommit { review, persisted }),
        3 => prop::sample::select(moves.to_vec()).prop_map(Step::Move),
        1 => prop_oneof![Just(0), 1..180_i64].prop_map(Step::Crash),
    ]
}

/// What is true of the accounts, whether anybody told the host or not.
#[derive(Debug, Clone, Copy)]
struct Account {
    limit_minor: i64,
    /// The limit that finance sent last, which is the host's.
    sent_limit_minor: i64,
    paid_minor: i64,
}

/// What finance says of the accounts.
#[derive(Debug, Clone)]
struct Figures {
    rows: Vec<(String, Row)>,
    /// The limits in them.
    limits: Vec<i64>,
    /// When they were made, by finance's clock.
    as_of: Instant,
    /// By how much the hosts' clock was behind at most since then, in milliseconds.
    behind_ms: i64,
}

impl Figures {
    /// Whether nothing could tell that the hosts' clock, which has passed their time by now, was
    /// behind when something was delivered. The host says that it assumes to see no such figures.
    fn tell_nothing(&self, now: Instant) -> bool {
        self.behind_ms > CLOCKS_DIFFER_MS && self.as_of.plus_ms(-CLOCKS_DIFFER_MS) <= now
    }
}

/// What the story has come to.
struct Truth {
    /// Whether figures are taken to know more than they do, and nobody counts once more.
    planted: bool,
    accounts: Vec<Account>,
    /// What finance made last.
    made: Option<Figures>,
    /// By how much the hosts' clock is behind, in milliseconds.
    behind_ms: i64,
    /// What finance sent last. A host that starts here takes its tables from files again.
    figures: Vec<(String, Row)>,
    /// Released orders that were looked at before, each with who answers for it.
    known: BTreeMap<OrderId, bool>,
}

/// Two hosts over one store.
struct Pair {
    host: TestHost,
    other: Host,
    /// The store behind the fault, which counts as it should.
    behind: Arc<dyn Store>,
    truth: Truth,
}

impl Pair {
    async fn of(host: TestHost, truth: Truth) -> Self {
        let behind = Arc::clone(&host.store);
        let (host, store) = host.restart_behind(FaultyStore::sound).await;
        if truth.planted {
            store.forget_credit_of(PLANTED_MS);
        }
        if !truth.figures.is_empty() {
            load(&host, "credit", truth.figures.clone()).await;
        }
        let clock = Arc::clone(&host.clock);
        let other = Host::open(Arc::clone(&host.store), host.locations(), clock, Some(2)).await.unwrap();
        Self { host, other, behind, truth }
    }

    async fn crash(self, back_ms: i64) -> Self {
        let Self { host, other, behind, mut truth } = self;
        truth.behind_ms += back_ms;
        if let Some(made) = &mut truth.made {
            made.behind_ms = made.behind_ms.max(truth.behind_ms);
        }
        drop((other, behind));
        let at = host.clock.now().plus_ms(-back_ms);
        Self::of(host.stop().await.start_at(at).await, truth).await
    }

    async fn fail_commit(self, review: bool, persisted: bool) -> Self {
        let at_commit = if persisted { Fault::PersistedButFailed } else { Fault::NotPersisted };
        let write = if review { "commit_review" } else { "commit_decisions" };
        let Self { host, other, behind, truth } = self;
        drop((other, behind));
        let (host, store) = host.restart_behind(|store| FaultyStore::new(store, write, at_commit, 0)).await;
        if truth.planted {
            store.forget_credit_of(PLANTED_MS);
        }
        drop(store);
        load(&host, "credit", truth.figures.clone()).await;
        // Nothing waits: then there is no commit that could fail.
        if review {
            drop(host.host.pipeline.clear_holds(|| false).await);
        } else {
            drop(host.host.pipeline.decide(4).await);
        }
        Self::of(host.restart().await, truth).await
    }

    async fn decide(&self, one: u32, other: u32) -> Result<(), String> {
        let both = tokio::join!(self.host.host.pipeline.decide(one), self.other.pipeline.decide(other));
        let results = [both.0, both.1].into_iter().map(|batch| batch.map_err(|error| error.to_string()));
        for result in results.collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            match result {
                Ok(_) | Err(DecideError::Store(StoreError::CreditSpent | StoreError::OrderWaits { .. })) => {}
                Err(other) => return Err(other.to_string()),
            }
        }
        Ok(())
    }

    /// What finance knows now: every order that the ERP has, and every payment.
    async fn make_figures(&mut self) {
        let (mut rows, mut limits) = (Vec::new(), Vec::new());
        let as_of = self.host.clock.now().plus_ms(self.truth.behind_ms);
        let orders = self.host.orders().await;
        for (index, name) in ACCOUNTS.iter().enumerate() {
            let delivered = orders
                .iter()
                .filter(|order| account_of(order) == Some(index))
                .filter(|order| order.deliveries.first().is_some_and(|delivery| delivery.state == "delivered"));
            let delivered: i64 = delivered.map(|order| order.value.minor).sum();
            let account = self.truth.accounts[index];
            limits.push(account.limit_minor);
            rows.push(credit_row(name, account.limit_minor, delivered - account.paid_minor, as_of));
        }
        self.truth.made = Some(Figures { rows, limits, as_of, behind_ms: self.truth.behind_ms });
    }

    async fn send_figures(&mut self) {
        let now = self.host.clock.now();
        let Some(made) = self.truth.made.clone().filter(|made| !made.tell_nothing(now)) else { return };
        let Figures { rows, limits, .. } = made;
        for (account, limit) in self.truth.accounts.iter_mut().zip(limits) {
            account.sent_limit_minor = limit;
        }
        self.truth.figures.clone_from(&rows);
        load(&self.host, "credit", rows).await;
    }

    async fn release(&self, which: u32, hold: u32) -> Result<(), String> {
        let kept = self.host.store.kept_back(Kept::All, DocumentPosition(0), 500).await.unwrap();
        let Some(order) = kept.get(which as usize % kept.len().max(1)) else { return Ok(()) };
        let open: Vec<&HoldView> = order.open_holds().collect();
        let Some(hold) = open.get(hold as usize % open.len().max(1)) else { return Ok(()) };
        let who = self.host.ops().await;
        match exceptions::release(&self.host, &who, order.id, &[hold.number]).await {
            // What only the sender's wish to cancel keeps back has no holds that a person could end.
            Ok(_)
            | Err(ExceptionError::Store(StoreError::NoException { .. }))
            | Err(ExceptionError::Review(
                ReviewError::CancelRequested { .. } | ReviewError::Store(StoreError::CreditSpent),
            )) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn look_again(&self) -> Result<(), String> {
        let (one, other) = (&self.host.host.pipeline, &self.other.pipeline);
        let cleared = tokio::join!(one.clear_holds(|| false), other.clear_holds(|| false));
        let escalated = tokio::join!(one.escalate_due(|| false), other.escalate_due(|| false));
        cleared.0.and(cleared.1).map_err(|error| error.to_string())?;
        escalated.0.and(escalated.1).map(drop).map_err(|error| error.to_string())
    }

    async fn walk(mut self, case: u32, steps: &[Step]) -> (Self, Result<(), String>) {
        let mut sent: Vec<(PurchaseOrder, u32)> = Vec::new();
        let mut cancelled = 0;
        let mut control = case * NUMBERS;
        for step in steps {
            control += 1;
            let done = match *step {
                Step::Send { customer, boxes, dear } => {
                    let price = if dear { "20.00" } else { "18.40" };
                    let order = PurchaseOrder::clean(&format!("{}-{control}", CUSTOMERS[customer].0))
                        .of_customer(CUSTOMERS[customer].0)
                        .with_lines(&[("FST-1007", boxes, "BX", price)]);
                    self.host.send_edi(&x12(control, &order)).await.unwrap();
                    sent.push((order, control));
                    Ok(())
                }
                Step::Again(which) => {
                    if let Some((order, control)) = sent.get(which as usize % sent.len().max(1)) {
                        self.host.send_edi(&x12(*control, order)).await.unwrap();
                    }
                    Ok(())
                }
                Step::Cancel(which) => {
                    if let Some((order, _)) = sent.get(which as usize % sent.len().max(1)) {
                        self.host.send_edi(&with_purpose(control, order, "01")).await.unwrap();
                        cancelled += 1;
                    }
                    Ok(())
                }
                Step::Decide(one, other) => self.decide(one, other).await,
                Step::Deliver => {
                    self.host.deliver_due().await;
                    Ok(())
                }
                Step::Make => {
                    self.make_figures().await;
                    Ok(())
                }
                Step::Load => {
                    self.send_figures().await;
                    Ok(())
                }
                Step::Figures => {
                    self.make_figures().await;
                    self.send_figures().await;
                    Ok(())
                }
                Step::SetRight => {
                    let behind_ms = std::mem::take(&mut self.truth.behind_ms);
                    self.host.clock.advance_to(self.host.clock.now().plus_ms(behind_ms));
                    Ok(())
                }
                Step::Pay(account, hundredths) => {
                    let owed = self.owed(account, &self.host.orders().await);
                    self.truth.accounts[account].paid_minor += owed.max(0) * hundredths / 100;
                    Ok(())
                }
                Step::Limit(account, orders) => {
                    self.truth.accounts[account].limit_minor = orders * 18_400;
                    self.make_figures().await;
                    self.send_figures().await;
                    Ok(())
                }
                Step::Release(order, hold) => self.release(order, hold).await,
                Step::LookAgain => self.look_again().await,
                Step::FailedCommit { review, persisted } => {
                    self = self.fail_commit(review, persisted).await;
                    Ok(())
                }
                Step::Move(ms) => {
                    self.host.clock.advance_to(self.host.clock.now().plus_ms(ms));
                    Ok(())
                }
                Step::Crash(minutes) => {
                    // A clock that is behind by a day is beyond what the host looks through.
                    let most_ms = Instant::DAY_MS - CLOCKS_DIFFER_MS - self.truth.behind_ms;
                    self = self.crash((minutes * Instant::MINUTE_MS).min(most_ms)).await;
                    Ok(())
                }
            };
            let checked = match done {
                Ok(()) if step.may_release() => self.check(step).await,
                done => done,
            };
            if checked.is_err() {
                return (self, checked);
            }
        }
        for _ in 0..50 {
            if self.host.summary().await.undecided > 0
                && let Err(error) = self.decide(8, 8).await
            {
                return (self, Err(error));
            }
        }
        let checked = self.check(&Step::Decide(8, 8)).await;
        let counted = if checked.is_ok() { self.counts(case, sent.len(), cancelled).await } else { checked };
        (self, counted)
    }

    /// What an account owes in truth: all that was released to go, less what was paid.
    fn owed(&self, account: usize, orders: &[OrderView]) -> i64 {
        let own = orders.iter().filter(|order| account_of(order) == Some(account) && goes(order));
        own.map(|order| order.value.minor).sum::<i64>() - self.truth.accounts[account].paid_minor
    }

    /// Where the host released something by itself, its account is within the limit.
    async fn check(&mut self, step: &Step) -> Result<(), String> {
        let mut orders = self.host.orders().await;
        let (mut by_host, mut by_people) = (BTreeSet::new(), BTreeSet::new());
        for order in orders.iter().filter(|order| order.state == OrderState::Released) {
            if self.truth.known.contains_key(&order.id) {
                continue;
            }
            let answers = self.person_answers(order).await;
            self.truth.known.insert(order.id, answers);
            if answers {
                by_people.insert(order.id);
            } else {
                by_host.extend(account_of(order));
            }
        }
        // What people let pass in the same step may have come after what the host released.
        orders.retain(|order| !by_people.contains(&order.id));
        for account in by_host {
            let (owed, limit) = (self.owed(account, &orders), self.truth.accounts[account].sent_limit_minor);
            if owed > limit {
                let story = self.story(account, &orders).await;
                return Err(format!("after {step:?}, {} owes {owed} of {limit}{story}", ACCOUNTS[account]));
            }
        }
        Ok(())
    }

    /// What became of an account's orders, for whoever reads of a failure.
    async fn story(&self, account: usize, orders: &[OrderView]) -> String {
        let mut story = format!("; now {}, paid {}", self.host.clock.now(), self.truth.accounts[account].paid_minor);
        for order in orders.iter().filter(|order| account_of(order) == Some(account)).rev().take(20) {
            let trail = self.host.store.order_trail(order.id).await.unwrap().unwrap();
            let decided = self.host.decision(order).await;
            story += &format!(
                "\n{} {} {} at {}, {:?}: {:?}; holds {:?}; reviews {:?}",
                order.number,
                order.value,
                order.state.as_str(),
                decided.decided_at,
                decided.credit,
                order.deliveries,
                trail.holds.iter().map(|hold| (&hold.reason, &hold.closed)).collect::<Vec<_>>(),
                trail.reviews.iter().map(|review| (review.at, &review.who)).collect::<Vec<_>>(),
            );
        }
        story
    }

    /// Whether a person let the order's credit pass.
    async fn person_answers(&self, order: &OrderView) -> bool {
        let trail = self.host.store.order_trail(order.id).await.unwrap().unwrap();
        let by_person = |hold: &HoldView| {
            hold.reason == "credit-limit" && hold.closed.as_ref().is_some_and(|closed| closed.who.is_some())
        };
        // The host's own word is bound, whatever a person said before.
        let released_by = trail.reviews.last().and_then(|review| review.who.as_ref());
        released_by.is_some() && trail.holds.iter().any(by_person)
    }

    /// What the store has counted is what the orders imply, every order is there, what was
    /// released says so in the log, and time released nothing.
    async fn counts(&self, case: u32, sent: usize, cancelled: usize) -> Result<(), String> {
        let orders = self.host.orders().await;
        let of_case = |order: &&OrderView| {
            order.number.rsplit('-').next().and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n / NUMBERS == case)
        };
        if orders.iter().filter(of_case).count() != sent {
            return Err(format!("{sent} orders were sent, and not all are there ({cancelled} requests to cancel)"));
        }
        for (index, name) in ACCOUNTS.iter().enumerate() {
            let query = CreditQuery {
                account: Digest::of_parts(&[b"credit-account", name.as_bytes()]),
                currency: Currency::parse("USD").unwrap(),
                since: Instant(i64::MIN),
            };
            let counted = self.behind.credit_reserved(vec![query]).await.unwrap()[0];
            let own = orders.iter().filter(|order| account_of(order) == Some(index) && goes(order));
            let implied: i64 = own.map(|order| order.value.minor).sum();
            if counted != implied {
                let story = self.story(index, &orders).await;
                return Err(format!("the store counts {counted} of {name}, the orders say {implied}{story}"));
            }
        }
        let mut stands: BTreeMap<OrderId, &'static str> = BTreeMap::new();
        let leaves = self.host.leaves().await;
        for leaf in &leaves {
            match &leaf.body {
                LeafBody::Decide(decide) => stands.extend(decide.order.map(|order| (order, word(decide.state)))),
                LeafBody::Review(review) => {
                    stands.insert(review.order, word(review.state));
                }
                _ => {}
            }
        }
        let unlike = orders.iter().find(|order| {
            // What its sender wants cancelled is held by that, after its decision.
            order.state == OrderState::Released && stands.get(&order.id) != Some(&"released")
        });
        unlike.map_or(Ok(()), |order| Err(format!("`{}` is released, and no leaf says so", order.number)))
    }
}

fn word(state: portreeve_record::leaf::DecidedState) -> &'static str {
    if state == portreeve_record::leaf::DecidedState::Released { "released" } else { "kept back" }
}

/// Whether the order is the ERP's, or is going to be.
fn goes(order: &OrderView) -> bool {
    order.state == OrderState::Released
}

fn account_of(order: &OrderView) -> Option<usize> {
    let customer = order.number.split('-').next()?;
    CUSTOMERS.iter().find(|(name, _)| *name == customer).map(|(_, account)| *account)
}

async fn start(planted: bool) -> Pair {
    let mut setup = with_credit()
        .replace("rules.toml", "no_account = \"off\"", "no_account = \"hold\"")
        .replace("reference/customer.csv", ",currency:text\n", ",currency:text,credit-account:text\n")
        .replace("reference/customer.csv", ",USD\n", ",USD,\n");
    for (name, account) in CUSTOMERS {
        let key = name.replacen('C', "C-", 1);
        let line = CUSTOMER_ROWS.iter().find(|line| line.starts_with(&key)).unwrap();
        setup = setup.replace("reference/customer.csv", line, &format!("{line}{}", ACCOUNTS[account]));
    }
    let account = Account { limit_minor: 100_000, sent_limit_minor: 0, paid_minor: 0 };
    let accounts = vec![account; ACCOUNTS.len()];
    let truth = Truth { planted, accounts, made: None, behind_ms: 0, figures: Vec::new(), known: BTreeMap::new() };
    let mut pair = Pair::of(setup.start().await, truth).await;
    pair.make_figures().await;
    pair.send_figures().await;
    pair
}

/// Runs cases on one host until one fails; what that one found.
fn run(cases: u32, planted: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pair = std::cell::RefCell::new(Some(runtime.block_on(start(planted))));
    let case = std::cell::Cell::new(0);
    // Each case goes on where the last one ended, so a shorter one would be another one.
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let walked = TestRunner::new(config).run(&prop::collection::vec(step(), 1..60), |steps| {
        case.set(case.get() + 1);
        let before = pair.borrow_mut().take().unwrap();
        let (after, result) = runtime.block_on(before.walk(case.get(), &steps));
        *pair.borrow_mut() = Some(after);
        result.map_err(TestCaseError::fail)
    });
    if walked.is_ok() {
        runtime.block_on(pair.borrow().as_ref().unwrap().host.verify()).map_err(|error| error.to_string())?;
    }
    walked.map_err(|error| error.to_string())
}

#[test]
fn no_release_passes_a_limit_whatever_happens_in_whatever_order() {
    run(24, false).unwrap();
}

#[test]
fn figures_that_are_taken_to_know_more_than_they_do_are_found_by_these_tests() {
    let found = run(200, true).unwrap_err();
    assert!(found.contains(" owes "), "{found}");
}
