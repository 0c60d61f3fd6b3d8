//! Whatever ends the host, what it acknowledged is there once and has one effect.
//!
//! The host runs as a process of its own, this test binary started again, over a
//! folder that outlives it. It is killed after a number of acknowledgements, or it
//! ends at a write of its store, before or after it; then it is started again and the
//! sender, who lives on like the ERP, sends again what nobody answered. Of some orders
//! he says more later, and each order goes to two companies of the ERP, one after the
//! other, so that the order of things within one key shows.
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
use portreeve::standins::erp::{COMPANY, SECOND_COMPANY};
use portreeve_model::Digest;
use portreeve_pipeline::Clock;
use portreeve_store::StoreError;
use portreeve_store::contract::{Lease, OrderEventKind, OrderState, OrderView, Room};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::faults::{Fault, FaultyStore, MET, WRITES};
use crate::invariants::leaf;
use crate::later::{changed, with_purpose};
use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, say, tree, x12};

/// Kills in a run of all tests.
const KILLS: u32 = 8;
/// What tells this binary to be the host: the folder, then the fault.
const FOLDER: &str = "PORTREEVE_KILLED_FOLDER";
const FAULT: &str = "PORTREEVE_KILLED_FAULT";
/// Set where the host is to know no duplicate.
const FORGETS: &str = "PORTREEVE_KILLED_FORGETS";
/// The target of an order's second delivery.
const SECOND: &str = "erp-second";
/// What the ERP has to answer in, or the outcome is unknown.
const ANSWER_MS: u32 = 500;
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

const MOODY: Mischief = Mischief {
    throttle_per_mille: 100,
    fail_before_per_mille: 100,
    drop_after_per_mille: 150,
    reject_per_mille: 0,
    slow_per_mille: 100,
};

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
            let before = (drawn(write).as_bytes()[0] ^ half).is_multiple_of(2);
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
    let store = locations.store().unwrap();
    let store = match std::env::var(FAULT).unwrap().split(' ').collect::<Vec<_>>()[..] {
        [write, "DieBefore", good] => FaultyStore::new(store, write, Fault::DieBefore, good.parse().unwrap()),
        [write, "DieAfter", good] => FaultyStore::new(store, write, Fault::DieAfter, good.parse().unwrap()),
        _ => FaultyStore::sound(store),
    };
    store.deliver_also_to(SECOND);
    if std::env::var_os(FORGETS).is_some() {
        store.forget();
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
        let mut answered = 0;
        for _ in 0..PROVOCATIONS_MAX {
            if timeout(PROVOKED_AFTER, async { while self.hear().await {} }).await.is_err() {
                sender.write_orders(1);
                answered += sender.send(&self, u32::MAX).await;
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
        Err(format!(
            "the host did not come to its fault, though it answered {answered} messages more; it said {:?}",
            self.said_last
        ))
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

/// What is said about an order, in the words of its sender.
struct Message {
    number: String,
    /// None for the order itself.
    later: Option<OrderEventKind>,
    body: Vec<u8>,
}

/// What the sender knows: what nobody answered yet, and what somebody did, both in
/// the order in which he says it.
#[derive(Default)]
struct Sender {
    orders: u32,
    interchanges: u32,
    unanswered: Vec<Message>,
    acknowledged: Vec<Message>,
}

impl Sender {
    /// Sends what nobody answered, until so many are; says how many are. Of an order
    /// he says nothing more before the last word about it was answered.
    async fn send(&mut self, process: &Process, most: u32) -> u32 {
        let mut sent = 0;
        let mut silent: BTreeSet<String> = BTreeSet::new();
        for message in std::mem::take(&mut self.unanswered) {
            if sent < most && !silent.contains(&message.number) && process.send(&message.body).await {
                self.acknowledged.push(message);
                sent += 1;
            } else {
                silent.insert(message.number.clone());
                self.unanswered.push(message);
            }
        }
        sent
    }

    /// Orders, and what comes about every second of them later: other content, a
    /// cancellation, both.
    fn write_orders(&mut self, count: u32) {
        let numbers: Vec<u32> = (self.orders + 1..=self.orders + count).collect();
        self.orders += count;
        for number in &numbers {
            self.write(*number, None);
        }
        for number in numbers {
            if number % 6 == 1 || number % 6 == 3 {
                self.write(number, Some(OrderEventKind::Changed));
            }
            if number % 6 == 3 || number % 6 == 5 {
                self.write(number, Some(OrderEventKind::CancelRequested));
            }
        }
    }

    fn write(&mut self, number: u32, later: Option<OrderEventKind>) {
        self.interchanges += 1;
        let number = format!("PO-{number:05}");
        let (order, purpose) = match later {
            None => (PurchaseOrder::clean(&number), "00"),
            Some(OrderEventKind::Changed) => (changed(&number, 7), "05"),
            Some(OrderEventKind::CancelRequested) => (PurchaseOrder::clean(&number), "01"),
            Some(other) => panic!("no customer says {other:?}"),
        };
        let body = String::from_utf8(with_purpose(self.interchanges, &order, purpose)).unwrap();
        // The process has the real time.
        let body = body.replace("DTM*002*20260330", "DTM*002*20991231").into_bytes();
        self.unanswered.push(Message { number, later, body });
    }
}

/// The ERP's second company as a target of its own.
fn with_second_target(setup: Setup) -> Setup {
    let target = format!(
        r#"
[[target]]
id = "{SECOND}"
connector = "erp-rest"
transformer = "business-central"
kind = "business-central/sales-order"
origin = "${{ERP_ORIGIN}}"
exception_queue = "integration"
find = true
attempts_max = 6
backoff_ms = 1000
find_after_ms = 1000
settings = {{ base-url = "${{ERP_ORIGIN}}/api/v2.0", company = "{SECOND_COMPANY}", freight-account = "6130" }}
"#
    );
    setup.append("portreeve.toml", &target).answered_within_ms(ANSWER_MS)
}

/// Ends a host as often as the plan says, and returns what came of it in the end, or
/// what is wrong with it.
async fn kill_run(setup: Setup, plan: &[End], memory: Memory) -> Result<String, String> {
    let host = with_second_target(setup).mischief(MOODY).scorers(&[]).start().await;
    let mut sender = Sender::default();
    let stopped = host.stop().await;
    let mut faults = 0;
    for (seed, end) in plan.iter().enumerate() {
        sender.write_orders(ORDERS_PER_KILL);
        let ended = ended(stopped.folder(), &mut sender, *end, memory).await;
        let ended = ended.map_err(|wrong| format!("kill {seed}, {end:?}: {wrong}"))?;
        say(&format!("kill {seed}, {end:?}: {ended}, {} messages answered so far", sender.acknowledged.len()));
        faults += u32::from(matches!(end, End::At { .. }));
    }
    let host = stopped.start_at(SystemClock.now().plus_ms(3_600_000)).await;
    let (host, store) = host.restart_behind(FaultyStore::sound).await;
    store.deliver_also_to(SECOND);
    for message in std::mem::take(&mut sender.unanswered) {
        host.send_edi(&message.body).await.map_err(|error| error.to_string())?;
        sender.acknowledged.push(message);
    }
    host.decide_all().await;
    host.deliver_all().await;
    judge(&host, &sender.acknowledged, &[COMPANY, SECOND_COMPANY]).await?;
    let (kills, messages, orders) = (plan.len(), sender.acknowledged.len(), sender.orders);
    Ok(format!(
        "{kills} kills, {faults} of them at a write, {messages} messages about {orders} orders, all there once and in order"
    ))
}

/// Runs a host to its end, and says how it ended.
async fn ended(folder: &Path, sender: &mut Sender, end: End, memory: Memory) -> Result<String, String> {
    let process = Process::start(folder, end, memory).await?;
    match end {
        End::AfterAcknowledgements(most) => {
            let answered = sender.send(&process, most).await;
            let killed = process.kill()?;
            (answered == most).then_some(killed).ok_or(format!("the host answered {answered} messages of {most}"))
        }
        End::At { write, fault, .. } => {
            sender.send(&process, u32::MAX).await;
            process.ends_at(write, fault, sender).await
        }
    }
}

/// What is wrong after all of these were answered, if each order goes to these
/// companies.
async fn judge(host: &TestHost, acknowledged: &[Message], companies: &[&str]) -> Result<(), String> {
    let orders = host.orders().await;
    let mut numbers: Vec<&str> = orders.iter().map(|order| order.number.as_str()).collect();
    numbers.sort_unstable();
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{} is there twice", twice[0]));
    }
    let created = acknowledged.iter().filter(|message| message.later.is_none());
    let mut expected: Vec<&str> = created.map(|message| message.number.as_str()).collect();
    expected.sort_unstable();
    if numbers != expected {
        return Err(format!("orders {numbers:?}, acknowledged {expected:?}"));
    }
    let mut codes: Vec<String> = host.exceptions().await.into_iter().map(|exception| exception.code).collect();
    codes.sort_unstable();
    let code = |kind| if kind == OrderEventKind::Changed { "changed-order" } else { "cancel-requested" };
    let mut expected: Vec<&str> = acknowledged.iter().filter_map(|message| message.later).map(code).collect();
    expected.sort_unstable();
    if codes != expected {
        return Err(format!("exceptions {codes:?}, expected {expected:?}"));
    }

    let booked = host.erp.sales_orders();
    let mut of_orders = 0;
    for order in &orders {
        let said = acknowledged.iter().filter(|message| message.number == order.number);
        let said: Vec<OrderEventKind> = said.filter_map(|message| message.later).collect();
        let trail = host.store.order_trail(order.id).await.unwrap().unwrap();
        let kept: Vec<OrderEventKind> = trail.events.iter().map(|event| event.kind).collect();
        if kept != said {
            return Err(format!("{} has the events {kept:?}, its sender said {said:?}", order.number));
        }
        // The ERP knows an order by the key that the host gives it.
        let key = order.id.to_string().replace('-', "");
        let at = booked.iter().filter(|sales_order| sales_order.external_document_number == key);
        let at: Vec<&str> = at.map(|sales_order| sales_order.company).collect();
        of_orders += at.len();
        check_deliveries(order, said.contains(&OrderEventKind::CancelRequested), &at, companies)?;
    }
    if of_orders != booked.len() {
        return Err(format!("{} sales orders are booked, {of_orders} of them for orders", booked.len()));
    }
    host.verify().await.map(drop).map_err(|error| error.to_string())
}

/// An order is booked once in each company, in whatever order they answer; one that was to be
/// cancelled in some of them or none, as far as it had come.
fn check_deliveries(order: &OrderView, cancelled: bool, booked: &[&str], companies: &[&str]) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{}: {what}; booked at {booked:?}, {order:?}", order.number));
    let delivered = order.deliveries.iter().filter(|delivery| delivery.state == "delivered").count();
    let once: BTreeSet<&str> = booked.iter().copied().collect();
    if once.len() != booked.len() || booked.iter().any(|company| !companies.contains(company)) {
        return wrong("it is booked twice, or where it does not belong");
    }
    if delivered > booked.len() {
        return wrong("more of it is delivered than is booked");
    }
    if !cancelled && (order.state != OrderState::Released || delivered != companies.len()) {
        return wrong("it is not released, or not booked everywhere");
    }
    Ok(())
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

#[tokio::test]
async fn a_fault_after_a_write_waits_for_a_write_that_is_done() {
    let host = TestHost::demo().await;
    let (host, _) =
        host.restart_behind(|store| FaultyStore::new(store, "begin_attempt", Fault::PersistedButFailed, 0)).await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2")]).await;
    let now = host.clock.now();
    let mut permits = host.store.claim(now, now.plus_ms(600_000), 2, Room::default()).await.unwrap();
    let cancel = String::from_utf8(x12(9, &PurchaseOrder::clean("PO-1"))).unwrap().replace("BEG*00*", "BEG*01*");
    host.send_edi(cancel.as_bytes()).await.unwrap();
    host.decide_all().await;
    let lease = Lease { until: now.plus_ms(600_000), ask_at: now.plus_ms(1_000) };
    let mut begin = async |number| host.store.begin_attempt(permits.remove(0), lease, leaf(number)).await;
    assert!(matches!(begin(1).await, Err(StoreError::LeaseLost { .. })), "it was cancelled since it was claimed");
    assert!(matches!(begin(2).await, Err(StoreError::Unknown(_))), "the fault comes with the next one");
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
    assert!(failed.contains("unknown-outcome"), "{failed}");
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
            let said = Message { number: "PO-1".to_owned(), later: None, body: order };
            judge(&host, &[said], &[COMPANY]).await.unwrap_or_else(|wrong| panic!("{write}, {fault:?}: {wrong}"));
        }
    }
}
