//! Budgets hold whatever happens, in whatever order: orders, several hosts that decide at
//! once, crashes, failed commits, the same input again, clocks that were set back. What
//! a plugin caused is read from the decisions on record, and counted here once more, in
//! another way than the host does: in no sixty minutes and on no day is it more than the
//! grant says, and what the store has counted is what the records imply.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve::host::Host;
use portreeve_model::{Currency, Instant, PluginName};
use portreeve_pipeline::{Clock, DecideError};
use portreeve_store::contract::OrderState;
use portreeve_store::{Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::authority::obedient;
use crate::faults::{Fault, FaultyStore};
use crate::support::{PurchaseOrder, Setup, TestHost, x12};

const PLUGIN: &str = "obeys-the-sender";
const HOLDS_MAX: usize = 3;
const ROUTES_MAX: usize = 2;
const VALUE_MAX_MINOR: i64 = 60_000;

/// Numbers of orders that no case uses twice.
const NUMBERS: u32 = 1_000;

fn bounded() -> Setup {
    obedient().replace("grants.toml", "holds_per_hour_max = 100\n", "holds_per_hour_max = 3\n").replace(
        "grants.toml",
        "value_held_per_day_max_minor = 30000",
        "value_held_per_day_max_minor = 60000",
    )
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// An order that the plugin wants held, routed, or both; so many boxes at 18.40.
    Send { wish: &'static str, boxes: u32 },
    /// An earlier input once more.
    SendAgain(u32),
    /// Both hosts decide at the same time, so many documents each.
    Decide(u32, u32),
    /// A commit that fails, and whether it persisted.
    FailedCommit(bool),
    /// Time goes on, in milliseconds.
    Move(i64),
    /// Both hosts end as in a crash and start again, with a clock that was set back by so
    /// many minutes.
    Crash(i64),
}

fn step() -> impl Strategy<Value = Step> {
    const MINUTE: i64 = Instant::MINUTE_MS;
    let moves = [1, MINUTE - 1, MINUTE, 29 * MINUTE, 59 * MINUTE, 60 * MINUTE, 61 * MINUTE, 720 * MINUTE];
    let wish = prop_oneof![4 => Just("HOLD"), 2 => Just("ROUTE"), 1 => Just("HOLD-ROUTE"), 1 => Just("CLEAN")];
    prop_oneof![
        12 => (wish, 1..16_u32).prop_map(|(wish, boxes)| Step::Send { wish, boxes }),
        1 => any::<u32>().prop_map(Step::SendAgain),
        5 => (1..5_u32, 1..9_u32).prop_map(|(one, other)| Step::Decide(one, other)),
        1 => any::<bool>().prop_map(Step::FailedCommit),
        3 => proptest::sample::select(moves.to_vec()).prop_map(Step::Move),
        2 => prop_oneof![Just(0), 1..180_i64].prop_map(Step::Crash),
    ]
}

/// Two hosts over one store.
struct Pair {
    host: TestHost,
    other: Host,
    /// The store behind the fault, which counts as it should.
    behind: Arc<dyn Store>,
    /// By how much their store's windows are too short, and nobody counts once more.
    short_by_ms: Option<i64>,
}

impl Pair {
    async fn of(host: TestHost, short_by_ms: Option<i64>) -> Self {
        let behind = Arc::clone(&host.store);
        let (host, store) = host.restart_behind(FaultyStore::sound).await;
        if let Some(by_ms) = short_by_ms {
            store.trust_counters(by_ms);
        }
        let clock = Arc::clone(&host.clock);
        let other = Host::open(Arc::clone(&host.store), host.locations(), clock, Some(2)).await.unwrap();
        Self { host, other, behind, short_by_ms }
    }

    async fn crash(self, back_ms: i64) -> Self {
        let Self { host, other, behind, short_by_ms } = self;
        drop((other, behind));
        let at = host.clock.now().plus_ms(-back_ms);
        Self::of(host.stop().await.start_at(at).await, short_by_ms).await
    }

    /// Fails at a commit, and goes on over the store as it is.
    async fn fail_commit(self, persisted: bool) -> Self {
        let at_commit = if persisted { Fault::PersistedButFailed } else { Fault::NotPersisted };
        let Self { host, other, behind, short_by_ms } = self;
        drop((other, behind));
        let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "commit_decisions", at_commit, 0)).await;
        // Nothing waits: then there is no commit that could fail.
        drop(host.host.pipeline.decide(4).await);
        Self::of(host.restart().await, short_by_ms).await
    }

    async fn decide(&self, one: u32, other: u32) -> Result<(), String> {
        let both = tokio::join!(self.host.host.pipeline.decide(one), self.other.pipeline.decide(other));
        let results = [both.0, both.1].into_iter().map(|batch| batch.map_err(|error| error.to_string()));
        for result in results.collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            match result {
                Ok(_) | Err(DecideError::Store(StoreError::BudgetSpent { .. } | StoreError::OrderWaits { .. })) => {}
                Err(other) => return Err(other.to_string()),
            }
        }
        Ok(())
    }

    async fn walk(mut self, case: u32, steps: &[Step]) -> (Self, Result<(), String>) {
        // What the case before left behind is over, also where its clock had gone ahead.
        self.host.clock.advance_to(self.host.clock.now().plus_ms(3 * Instant::DAY_MS));
        let mut sent: Vec<Vec<u8>> = Vec::new();
        for step in steps {
            let done = match *step {
                Step::Send { wish, boxes } => {
                    let number = case * NUMBERS + u32::try_from(sent.len()).unwrap();
                    let order = PurchaseOrder::clean(&format!("{wish}-{number}"));
                    let input = x12(number, &order.with_lines(&[("FST-1007", boxes, "BX", "18.40")]));
                    self.host.send_edi(&input).await.unwrap();
                    sent.push(input);
                    Ok(())
                }
                Step::SendAgain(which) => {
                    if let Some(again) = sent.get(which as usize % sent.len().max(1)) {
                        self.host.send_edi(again).await.unwrap();
                    }
                    Ok(())
                }
                Step::Decide(one, other) => self.decide(one, other).await,
                Step::Move(ms) => {
                    self.host.clock.advance_to(self.host.clock.now().plus_ms(ms));
                    Ok(())
                }
                Step::FailedCommit(persisted) => {
                    self = self.fail_commit(persisted).await;
                    Ok(())
                }
                Step::Crash(minutes) => {
                    self = self.crash(minutes * Instant::MINUTE_MS).await;
                    Ok(())
                }
            };
            if done.is_err() {
                return (self, done);
            }
        }
        for _ in 0..50 {
            if self.host.summary().await.undecided > 0
                && let Err(error) = self.decide(8, 8).await
            {
                return (self, Err(error));
            }
        }
        let checked = check(&self.host, self.behind.as_ref(), case, sent.len()).await;
        (self, checked)
    }
}

/// What a plugin caused with one order.
struct Caused {
    at: Instant,
    holds: usize,
    routes: usize,
    value_minor: i64,
}

/// Reads the records, and compares them with the grant and with what the store counts.
async fn check(host: &TestHost, store: &dyn Store, case: u32, sent: usize) -> Result<(), String> {
    let orders = host.orders().await;
    let own = |number: &str| number.rsplit('-').next().and_then(|n| n.parse::<u32>().ok()).unwrap() / NUMBERS == case;
    let count = orders.iter().filter(|order| own(&order.number)).count();
    if count != sent {
        return Err(format!("{sent} orders were sent and {count} are there"));
    }
    let mut caused = Vec::new();
    for order in &orders {
        let record = host.decision(order).await;
        let effects = |word: &str| {
            let by_plugin = record.verdicts.iter().filter(|verdict| verdict.code != "budget-spent-queued");
            by_plugin.filter(|verdict| verdict.effect.starts_with(word)).count()
        };
        let (holds, routes) = (effects("hold"), effects("route"));
        caused.push(Caused { at: record.decided_at, holds, routes, value_minor: order.value.minor });
        let wished = order.number.starts_with("HOLD") || order.number.starts_with("ROUTE");
        let expected = match (holds, routes) {
            (1.., _) => OrderState::Held,
            (0, 1..) => OrderState::Routed,
            // A spent budget of holds queues; one of routes lets the order pass.
            (0, 0) if order.number.starts_with("HOLD") => OrderState::Routed,
            (0, 0) => OrderState::Released,
        };
        // The host's own rules may hold it, too: the goods are wanted on a day that is over by now.
        let by_rule = !record.findings.is_empty();
        if (order.state != expected && !by_rule) || (!wished && holds + routes > 0) {
            return Err(format!("`{}` is {:?} with {holds} holds and {routes} routes", order.number, order.state));
        }
    }
    never_beyond("holds", HOLDS_MAX, caused.iter().map(|one| (one.at, one.holds)))?;
    never_beyond("routes", ROUTES_MAX, caused.iter().map(|one| (one.at, one.routes)))?;
    let mut days: BTreeMap<i64, i64> = BTreeMap::new();
    for one in caused.iter().filter(|one| one.holds > 0) {
        *days.entry(one.at.0.div_euclid(Instant::DAY_MS)).or_default() += one.value_minor;
    }
    if let Some((day, value)) = days.iter().find(|(_, value)| **value > VALUE_MAX_MINOR) {
        return Err(format!("{value} are held on day {day}, more than {VALUE_MAX_MINOR}"));
    }

    let (plugin, usd, now) = (PluginName::parse(PLUGIN).unwrap(), Currency::parse("USD").unwrap(), host.clock.now());
    let usage = store.plugin_usage(&plugin, usd, now).await.unwrap();
    let minute = |at: Instant| at.0.div_euclid(Instant::MINUTE_MS);
    let window = || caused.iter().filter(|one| minute(one.at) >= minute(now) - 60);
    let holds: usize = window().map(|one| one.holds).sum();
    let routes: usize = window().map(|one| one.routes).sum();
    let value: i64 = days.range(now.0.div_euclid(Instant::DAY_MS)..).map(|(_, value)| value).sum();
    let counted = (usage.holds as usize, usage.routes as usize, usage.value_held_minor);
    if counted != (holds, routes, value) {
        return Err(format!("the store counts {counted:?}, the records say {:?}", (holds, routes, value)));
    }
    Ok(())
}

/// No sixty minutes, wherever they begin, have more than so many.
fn never_beyond(what: &str, most: usize, counts: impl Iterator<Item = (Instant, usize)>) -> Result<(), String> {
    let mut counts: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
    counts.sort_unstable();
    for (first, (begin, _)) in counts.iter().enumerate() {
        let within = counts[first..].iter().take_while(|(at, _)| *at <= begin.plus_ms(Instant::HOUR_MS));
        let sum: usize = within.map(|(_, count)| count).sum();
        if sum > most {
            return Err(format!("{sum} {what} in the hour from {begin}, more than {most}"));
        }
    }
    Ok(())
}

/// Runs cases on one host until one fails; what that one found.
fn run(cases: u32, short_by_ms: Option<i64>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pair = runtime.block_on(async { Pair::of(bounded().start().await, short_by_ms).await });
    let pair = std::cell::RefCell::new(Some(pair));
    let case = std::cell::Cell::new(0);
    // Each case goes on where the last one ended, so a shorter one would be another one.
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let walked = TestRunner::new(config).run(&proptest::collection::vec(step(), 1..40), |steps| {
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
fn no_budget_is_passed_whatever_happens_in_whatever_order() {
    run(24, None).unwrap();
}

#[test]
fn a_window_that_is_a_minute_too_short_is_found_by_these_tests() {
    let found = run(100, Some(Instant::MINUTE_MS)).unwrap_err();
    assert!(found.contains("in the hour from") || found.contains("are held on day"), "{found}");
}
