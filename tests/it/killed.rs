//! Whatever ends the host, what it acknowledged is there once and has one effect.
//!
//! The host runs as a process of its own, this test binary started again, over a
//! folder that outlives it. It is killed after a number of acknowledgements, or it
//! ends at a write of its store, before or after it; then it is started again and the
//! sender, who lives on like the ERP, sends again what nobody answered.
//! `PORTREEVE_KILLS` says how often; each kill prints its seed, its plan and what it
//! came to. A plan that is not met fails the run, and so does a host that ends by
//! anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use portreeve::clock::SystemClock;
use portreeve::host::{self, Host, Locations};
use portreeve::standins::Mischief;
use portreeve_model::Digest;
use portreeve_pipeline::Clock;
use portreeve_store::Store;
use portreeve_store::contract::OrderState;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::faults::{Fault, FaultyStore, MET, WRITES};
use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, say, tree, x12};

/// Kills in a run of all tests.
const KILLS: u32 = 8;
/// What tells this binary to be the host: the folder, then the fault.
const FOLDER: &str = "PORTREEVE_KILLED_FOLDER";
const FAULT: &str = "PORTREEVE_KILLED_FAULT";
/// Set where the host is to know no duplicate.
const FORGETS: &str = "PORTREEVE_KILLED_FORGETS";
/// New orders before each kill.
const ORDERS_PER_KILL: u32 = 6;
/// Where the line with the address begins.
const LISTENING: &str = "listening on ";
/// One kill in so many is after acknowledgements, the others are at a write.
const ACKNOWLEDGED_EVERY: u32 = 4;
/// How long a host may take until it listens.
const START_MAX: Duration = Duration::from_secs(60);
/// A host that has not come to its fault by then gets one order more, so often: the
/// orders before may have gone into fewer batches than the plan counts on.
const PROVOKED_AFTER: Duration = Duration::from_secs(2);
const PROVOCATIONS_MAX: u32 = 30;
/// Signals that end a process: somebody else's, and its own.
const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

const MOODY: Mischief =
    Mischief { throttle_per_mille: 100, fail_before_per_mille: 100, drop_after_per_mille: 200, reject_per_mille: 0 };

/// Where the host ends.
#[derive(Debug, Clone, Copy)]
enum End {
    AfterAcknowledgements(u32),
    At { write: &'static str, fault: Fault, good: u32 },
}

impl End {
    /// The plan of a run: each seed's end. Every write is met once before one is met
    /// again, and in both ways before one is met again in the same.
    fn plan(kills: u32) -> Vec<Self> {
        let mut faults = (0..).flat_map(pairs);
        let mut plan = Vec::new();
        for seed in 0..kills {
            let drawn = |below: u32| u32::from(Digest::of(&seed.to_be_bytes()).as_bytes()[0]) % below;
            plan.push(if seed % ACKNOWLEDGED_EVERY == ACKNOWLEDGED_EVERY - 1 {
                Self::AfterAcknowledgements(1 + drawn(ORDERS_PER_KILL - 1))
            } else {
                let (write, fault) = faults.next().unwrap();
                Self::At { write, fault, good: drawn(4) }
            });
        }
        plan
    }

    /// For the process that has to end there.
    fn to_text(self) -> String {
        match self {
            Self::AfterAcknowledgements(_) => String::new(),
            Self::At { write, fault, good } => format!("{write} {fault:?} {good}"),
        }
    }
}

/// Each write in both ways, in an order of the round's own: the second half has the
/// writes of the first half in the other way.
fn pairs(round: u32) -> impl Iterator<Item = (&'static str, Fault)> {
    let drawn = move |write: &str| Digest::of_parts(&[&round.to_be_bytes(), write.as_bytes()]);
    let mut writes = WRITES;
    writes.sort_by_key(|write| drawn(write));
    let faults = move |half: u8| {
        writes.into_iter().map(move |write| {
            let before = (drawn(write).as_bytes()[0] + half) % 2 == 0;
            (write, if before { Fault::DieBefore } else { Fault::DieAfter })
        })
    };
    faults(0).chain(faults(1))
}

/// The host, until something ends it: this binary, told by its environment. In a
/// run of the tests it is told nothing and has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let locations = Locations::below(Path::new(&folder), &tree().target().join("portreeve"));
    let mut store: Arc<dyn Store> = locations.store().unwrap();
    let fault = std::env::var(FAULT).unwrap();
    if let [write, fault, good] = fault.split(' ').collect::<Vec<_>>()[..] {
        let fault = if fault == "DieBefore" { Fault::DieBefore } else { Fault::DieAfter };
        let faulty = FaultyStore::new(store, write, fault, good.parse().unwrap());
        if std::env::var_os(FORGETS).is_some() {
            faulty.forget();
        }
        store = faulty;
    }
    let host = Arc::new(Host::open(store, &locations, Arc::new(SystemClock), Some(2)).await.unwrap());
    let listener = portreeve_api::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    say(&format!("{LISTENING}{}", listener.local_addr().unwrap()));
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(stopping.clone())));
    host.work(stopping).await.unwrap();
}

/// Whether the host knows what it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Knows,
    KnowsNoDuplicate,
}

/// A host in a process of its own, and what it says.
struct Process {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    /// None if it ended before it listened.
    address: Option<SocketAddr>,
    met: Option<String>,
    said_last: String,
}

impl Process {
    async fn start(folder: &Path, end: End, memory: Memory) -> Result<Self, String> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        if memory == Memory::KnowsNoDuplicate {
            command.env(FORGETS, "1");
        }
        let mut child = command
            .args(["--exact", "killed::the_process_that_is_killed", "--nocapture"])
            .env(FOLDER, folder)
            .env(FAULT, end.to_text())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, lines) = mpsc::unbounded_channel();
        let said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        // It ends with the process, and the channel with it.
        std::thread::spawn(move || said.for_each(|line| drop(says.send(line))));
        let mut process = Self { child, lines, address: None, met: None, said_last: String::new() };
        // It may meet its fault before it listens.
        let listens = async { while process.address.is_none() && process.hear().await {} };
        timeout(START_MAX, listens).await.map_err(|_| "the host neither listens nor ends".to_owned())?;
        Ok(process)
    }

    /// Takes in its next line; false if it has ended.
    async fn hear(&mut self) -> bool {
        let Some(line) = self.lines.recv().await else { return false };
        let after = |words| line.split_once(words).map(|(_, rest)| rest.trim());
        self.address = self.address.or_else(|| after(LISTENING)?.parse().ok());
        self.met = self.met.take().or_else(|| after(MET).map(str::to_owned));
        self.said_last = line;
        true
    }

    async fn send(&self, body: &[u8]) -> bool {
        let Some(address) = self.address else { return false };
        let bearer = format!("Bearer {EDI_TOKEN}");
        let headers = [("authorization", bearer.as_str())];
        let body = Bytes::copy_from_slice(body);
        let answer = portreeve::client::send(address, Method::POST, "/v1/channels/edi", &headers, body).await;
        answer.is_ok_and(|answer| (200..300).contains(&answer.status))
    }

    /// Waits until it has ended at its fault.
    async fn ends_at(mut self, write: &str, fault: Fault, sender: &mut Sender) -> Result<String, String> {
        for _ in 0..PROVOCATIONS_MAX {
            if timeout(PROVOKED_AFTER, async { while self.hear().await {} }).await.is_err() {
                sender.write_orders(1);
                sender.send(&self, u32::MAX).await;
                continue;
            }
            let status = self.child.wait().unwrap();
            let planned = format!("{write} {fault:?}");
            if status.signal() == Some(SIGABRT) && self.met.as_ref() == Some(&planned) {
                return Ok(format!("ended at {planned}"));
            }
            return Err(format!(
                "expected a host that ends at {planned}, found {status}; it said {:?}",
                self.said_last
            ));
        }
        Err("the host did not come to its fault".to_owned())
    }

    /// Kills it, while it is at work.
    fn kill(mut self) -> Result<String, String> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        if status.signal() == Some(SIGKILL) && self.address.is_some() {
            return Ok("killed".to_owned());
        }
        Err(format!("expected a host that runs until it is killed, found {status}; it said {:?}", self.said_last))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Most have ended; one that a failed run leaves behind ends here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the sender knows: the bytes of each order, and whether somebody answered.
#[derive(Default)]
struct Sender {
    next: u32,
    unanswered: BTreeMap<String, Vec<u8>>,
    acknowledged: Vec<String>,
}

impl Sender {
    /// Sends what nobody answered, until so many are; says how many are.
    async fn send(&mut self, process: &Process, most: u32) -> u32 {
        let mut sent = 0;
        for (number, body) in std::mem::take(&mut self.unanswered) {
            if sent < most && process.send(&body).await {
                self.acknowledged.push(number);
                sent += 1;
            } else {
                self.unanswered.insert(number, body);
            }
        }
        sent
    }

    fn write_orders(&mut self, count: u32) {
        for _ in 0..count {
            self.next += 1;
            let number = format!("PO-{:05}", self.next);
            // The process has the real time.
            let order = String::from_utf8(x12(self.next, &PurchaseOrder::clean(&number))).unwrap();
            self.unanswered.insert(number, order.replace("DTM*002*20260330", "DTM*002*20991231").into_bytes());
        }
    }
}

/// Ends a host as often as the plan says, and returns what came of it in the end, or
/// what is wrong with it.
async fn kill_run(setup: Setup, plan: &[End], memory: Memory) -> Result<String, String> {
    let host = setup.mischief(MOODY).scorers(&[]).start().await;
    let mut sender = Sender::default();
    let stopped = host.stop().await;
    let mut faults = 0;
    for (seed, end) in plan.iter().enumerate() {
        sender.write_orders(ORDERS_PER_KILL);
        let ended = ended(stopped.folder(), &mut sender, *end, memory).await;
        let ended = ended.map_err(|wrong| format!("kill {seed}, {end:?}: {wrong}"))?;
        say(&format!("kill {seed}, {end:?}: {ended}, {} orders acknowledged so far", sender.acknowledged.len()));
        faults += u32::from(matches!(end, End::At { .. }));
    }
    let host = stopped.start_at(SystemClock.now().plus_ms(3_600_000)).await;
    for (number, body) in std::mem::take(&mut sender.unanswered) {
        host.send_edi(&body).await.map_err(|error| error.to_string())?;
        sender.acknowledged.push(number);
    }
    host.decide_all().await;
    host.deliver_all().await;
    judge(&host, &sender).await?;
    Ok(format!("{} kills, {faults} of them at a write, {} orders, all there once", plan.len(), sender.next))
}

/// Runs a host to its end, and says how it ended.
async fn ended(folder: &Path, sender: &mut Sender, end: End, memory: Memory) -> Result<String, String> {
    let process = Process::start(folder, end, memory).await?;
    match end {
        End::AfterAcknowledgements(most) => {
            let answered = sender.send(&process, most).await;
            let killed = process.kill()?;
            (answered == most).then_some(killed).ok_or(format!("the host answered {answered} orders of {most}"))
        }
        End::At { write, fault, .. } => {
            sender.send(&process, u32::MAX).await;
            process.ends_at(write, fault, sender).await
        }
    }
}

async fn judge(host: &TestHost, sender: &Sender) -> Result<(), String> {
    let orders = host.orders().await;
    let mut numbers: Vec<&str> = orders.iter().map(|order| order.number.as_str()).collect();
    numbers.sort_unstable();
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{} is there twice", twice[0]));
    }
    let mut expected: Vec<&str> = sender.acknowledged.iter().map(String::as_str).collect();
    expected.sort_unstable();
    if numbers != expected {
        return Err(format!("orders {numbers:?}, acknowledged {expected:?}"));
    }
    if let Some(order) = orders.iter().find(|order| order.state != OrderState::Released) {
        return Err(format!("{} is {:?}: {}", order.number, order.state, order.why));
    }
    // The ERP knows an order by the key that the host gives it.
    let mut keys: Vec<String> = orders.iter().map(|order| order.id.to_string().replace('-', "")).collect();
    keys.sort_unstable();
    let mut booked: Vec<String> =
        host.erp.sales_orders().into_iter().map(|order| order.external_document_number).collect();
    booked.sort_unstable();
    if booked != keys {
        return Err(format!("{} sales orders of {} orders are booked", booked.len(), keys.len()));
    }
    if let Some(exception) = host.exceptions().await.first() {
        return Err(format!("an exception: {}: {}", exception.code, exception.detail));
    }
    host.verify().await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_kills_the_host_what_it_acknowledged_is_there_once_and_booked_once() {
    let kills = std::env::var("PORTREEVE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    say(&kill_run(Setup::demo(), &End::plan(kills), Memory::Knows).await.unwrap());
}

#[test]
fn a_plan_of_eight_meets_every_write_and_one_of_fifty_meets_each_in_both_ways_thrice() {
    let met = |kills: u32| {
        let mut met: BTreeMap<(&str, bool), u32> = BTreeMap::new();
        for end in End::plan(kills) {
            if let End::At { write, fault, .. } = end {
                *met.entry((write, fault == Fault::DieBefore)).or_default() += 1;
            }
        }
        met
    };
    let eight = met(8);
    assert_eq!((eight.len(), eight.values().sum::<u32>()), (6, 6));
    let ways: BTreeSet<bool> = eight.keys().map(|(_, before)| *before).collect();
    let writes: BTreeSet<&str> = eight.keys().map(|(write, _)| *write).collect();
    assert_eq!((ways.len(), writes.len()), (2, WRITES.len()));
    let fifty = met(50);
    assert_eq!(fifty.len(), 2 * WRITES.len());
    assert!(fifty.values().all(|times| *times >= 3), "{fifty:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_by_something_else_than_its_fault_is_no_kill() {
    let nothing = tempfile::tempdir().unwrap();
    let mut sender = Sender::default();
    for end in [End::At { write: "journal", fault: Fault::DieBefore, good: 0 }, End::AfterAcknowledgements(1)] {
        let wrong = ended(nothing.path(), &mut sender, end, Memory::Knows).await.unwrap_err();
        assert!(wrong.starts_with("expected a host that") && wrong.contains("found exit status"), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_run_fails_where_the_target_is_not_asked_before_a_resend() {
    let blind = Setup::demo().replace("portreeve.toml", "find = true", "find = false");
    let failed = kill_run(blind, &End::plan(2), Memory::Knows).await.unwrap_err();
    assert!(failed.contains("booked") || failed.contains("unknown-outcome"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_run_fails_where_the_host_does_not_know_what_it_has_seen() {
    // The input is kept and nobody hears of it, so the sender sends it again.
    let plan = [End::At { write: "journal", fault: Fault::DieAfter, good: 1 }];
    let failed = kill_run(Setup::demo(), &plan, Memory::KnowsNoDuplicate).await.unwrap_err();
    assert!(failed.contains("is there twice"), "{failed}");
    // It is that memory alone which makes the difference.
    say(&kill_run(Setup::demo(), &plan, Memory::Knows).await.unwrap());
}

#[tokio::test]
async fn every_write_of_the_road_may_fail_in_both_ways_and_the_order_arrives_once() {
    for write in WRITES {
        for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
            let host = Setup::demo().scorers(&[]).start().await;
            let (host, store) = host.restart_behind(|store| FaultyStore::new(store, write, fault, 0)).await;
            let order = x12(1, &PurchaseOrder::clean("PO-1"));
            // Whoever hears of a failure does what it does anyway: it tries again.
            while host.send_edi(&order).await.is_err() {}
            for _ in 0..3 {
                drop(host.host.pipeline.decide(64).await);
                drop(host.host.pipeline.deliver_due(8).await);
                host.clock.advance_to(host.clock.now().plus_ms(3_600_000));
                drop(host.host.sequencer.sequence_all().await);
            }
            assert!(store.has_failed(), "{write} was not called");
            let sender = Sender { next: 1, unanswered: BTreeMap::new(), acknowledged: vec!["PO-1".to_owned()] };
            judge(&host, &sender).await.unwrap_or_else(|wrong| panic!("{write}, {fault:?}: {wrong}"));
        }
    }
}
