//! Whatever ends the host, what it acknowledged is there once and has one effect.
//!
//! The host runs as a process of its own, this test binary started again, over a
//! folder that outlives it. It is killed after a number of acknowledgements, or at a
//! write of its store, before or after it; then it is started again and the sender,
//! who lives on like the ERP, sends again what nobody answered. `PORTREEVE_KILLS`
//! says how often; each kill prints its seed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use portreeve::clock::SystemClock;
use portreeve::host::{self, Host, Locations};
use portreeve::standins::Mischief;
use portreeve_model::Digest;
use portreeve_pipeline::Clock;
use portreeve_store::Store;
use portreeve_store::contract::OrderState;
use tokio::sync::watch;

use crate::faults::{Fault, FaultyStore, WRITES};
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

const MOODY: Mischief =
    Mischief { throttle_per_mille: 100, fail_before_per_mille: 100, drop_after_per_mille: 200, reject_per_mille: 0 };

/// Where the host ends.
#[derive(Debug, Clone, Copy)]
enum End {
    AfterAcknowledgements(u32),
    At { write: &'static str, fault: Fault, good: u32 },
}

impl End {
    fn of(seed: u32) -> Self {
        let digest = Digest::of(&seed.to_be_bytes());
        let number = |index: usize, below: u32| u32::from(digest.as_bytes()[index]) % below;
        let writes = u32::try_from(WRITES.len()).unwrap();
        match number(0, 3) {
            0 => Self::AfterAcknowledgements(number(1, ORDERS_PER_KILL)),
            before => Self::At {
                write: WRITES[usize::try_from(number(2, writes)).unwrap()],
                fault: if before == 1 { Fault::DieBefore } else { Fault::DieAfter },
                good: number(3, 4),
            },
        }
    }

    /// For the process that has to end there.
    fn to_text(self) -> String {
        match self {
            Self::AfterAcknowledgements(_) => String::new(),
            Self::At { write, fault, good } => format!("{write} {fault:?} {good}"),
        }
    }
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

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(folder: &Path, end: End, memory: Memory) -> Option<Self> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        if memory == Memory::KnowsNoDuplicate {
            command.env(FORGETS, "1");
        }
        let mut child = command
            .args(["--exact", "killed::the_process_that_is_killed", "--nocapture"])
            .env(FOLDER, folder)
            .env(FAULT, end.to_text())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may meet its fault before it listens.
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.into_iter().find_map(|line| line.split_once(LISTENING)?.1.trim().parse().ok());
        match address {
            Some(address) => Some(Self { child, address }),
            None => {
                child.wait().unwrap();
                None
            }
        }
    }

    async fn send(&self, body: &[u8]) -> bool {
        let bearer = format!("Bearer {EDI_TOKEN}");
        let headers = [("authorization", bearer.as_str())];
        let body = Bytes::copy_from_slice(body);
        let answer = portreeve::client::send(self.address, Method::POST, "/v1/channels/edi", &headers, body).await;
        answer.is_ok_and(|answer| (200..300).contains(&answer.status))
    }

    fn kill(mut self) {
        // One that met its fault is gone already.
        drop(self.child.kill());
        self.child.wait().unwrap();
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
    async fn send(&mut self, process: &Process, most: u32) {
        let mut sent = 0;
        for (number, body) in std::mem::take(&mut self.unanswered) {
            if sent < most && process.send(&body).await {
                self.acknowledged.push(number);
                sent += 1;
            } else {
                self.unanswered.insert(number, body);
            }
        }
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

/// Kills a host as often as it says, and returns what came of it in the end, or
/// what is wrong with it.
async fn kill_run(setup: Setup, ends: &[End], memory: Memory) -> Result<String, String> {
    let host = setup.mischief(MOODY).scorers(&[]).start().await;
    let mut sender = Sender::default();
    let stopped = host.stop().await;
    for end in ends {
        sender.write_orders(ORDERS_PER_KILL);
        let Some(process) = Process::start(stopped.folder(), *end, memory) else { continue };
        let most = if let End::AfterAcknowledgements(most) = end { *most } else { u32::MAX };
        sender.send(&process, most).await;
        process.kill();
    }
    let host = stopped.start_at(SystemClock.now().plus_ms(3_600_000)).await;
    for (number, body) in std::mem::take(&mut sender.unanswered) {
        host.send_edi(&body).await.map_err(|error| error.to_string())?;
        sender.acknowledged.push(number);
    }
    host.decide_all().await;
    host.deliver_all().await;
    judge(&host, &sender).await?;
    Ok(format!("{} kills, {} orders, all there once", ends.len(), sender.next))
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
    let ends: Vec<End> = (0..kills).map(End::of).collect();
    for (seed, end) in ends.iter().enumerate() {
        say(&format!("kill {seed}: {end:?}"));
    }
    say(&kill_run(Setup::demo(), &ends, Memory::Knows).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_run_fails_where_the_target_is_not_asked_before_a_resend() {
    let blind = Setup::demo().replace("portreeve.toml", "find = true", "find = false");
    let failed = kill_run(blind, &[End::of(0), End::of(1)], Memory::Knows).await.unwrap_err();
    assert!(failed.contains("booked") || failed.contains("unknown-outcome"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_run_fails_where_the_host_does_not_know_what_it_has_seen() {
    // The input is kept and nobody hears of it, so the sender sends it again.
    let ends = [End::At { write: "journal", fault: Fault::DieAfter, good: 1 }];
    let failed = kill_run(Setup::demo(), &ends, Memory::KnowsNoDuplicate).await.unwrap_err();
    assert!(failed.contains("is there twice"), "{failed}");
    // It is that memory alone which makes the difference.
    say(&kill_run(Setup::demo(), &ends, Memory::Knows).await.unwrap());
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
