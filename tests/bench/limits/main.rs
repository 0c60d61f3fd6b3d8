//! How long a hostile guest runs past its limit, and what its neighbour feels of it.
//!
//! ```text
//! cargo bench -p portreeve-bench --bench limits               a table
//! cargo bench -p portreeve-bench --bench limits -- --json     one JSON object
//! cargo bench -p portreeve-bench --bench limits -- --kills 20 a quick look
//! … -- --only grow-and-copy                                   one attack; may be said again
//! ```
//!
//! One attack after the other, as often as `--kills` says, each in a fresh sandbox of a
//! runtime with two threads. The attack keeps one of them busy. A well-behaved scorer is
//! called all the while, every call a task of its own as in the host, and is timed from
//! before it is scheduled; the same was done before without the attack, so that each row
//! has its own comparison.
//!
//! A clock may be late by two of its ticks and two milliseconds; inside `memory.fill` by
//! what filling the whole memory takes at 1.5 GB/s, since nothing looks at a clock in
//! there, and inside `memory.copy` by what this machine takes to copy over memory that
//! nobody has touched, measured before. A limit on CPU is judged by the CPU that the guest
//! got, a limit on wall time by the wall; with the attack and its neighbour both cores are
//! taken, so whatever else the machine does lies between the two columns. Fuel is no time, so
//! its rows have none to keep.

mod attack;
#[path = "../score/payload.rs"]
mod payload;
#[path = "../scorer.rs"]
mod plugins;
mod report;
#[path = "../trusted.rs"]
mod trusted;

#[path = "../../it/hostile/shell.rs"]
#[expect(
    dead_code,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the tests' file: it makes hostile components, and one that cannot be made ends the run"
)]
mod shell;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use attack::{Attack, Guests};
use portreeve_model::advice::ScoringRequest;
use portreeve_model::reference::Row;
use portreeve_registry::{CodeCache, Installed, Registry};
use portreeve_sandbox::{CallContext, Lookup, LookupError, Plugin, Sandbox, SandboxOptions};
use report::{Measured, Report};
use tokio::runtime::Runtime;

/// Kills of each attack.
const KILLS: u32 = 200;
/// Kills before any counts.
const WARM_UP: u32 = 3;
/// Threads that run guests: one for the attack, one for the neighbour.
const THREADS: usize = 2;
/// Calls of the neighbour alone, before each attack.
const ALONE: usize = 4_000;

fn main() -> Result<()> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    let bench = Bench::new()?;
    let mut rows = Vec::new();
    let attacks = attack::attacks(attack::first_copy());
    for only in &options.only {
        ensure!(attacks.iter().any(|attack| attack.name == only), "there is no attack `{only}`");
    }
    for attack in attacks {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == attack.name) {
            continue;
        }
        let row = bench.run(&attack, options.kills)?;
        rows.push((attack, row));
    }
    let report = Report::of(rows, options.kills);
    let mut out = std::io::stdout().lock();
    if options.json { report.json(&mut out) } else { report.table(&mut out) }.context("failed to write the report")
}

struct Options {
    json: bool,
    kills: u32,
    /// The attacks to measure; none is all of them.
    only: Vec<String>,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { json: false, kills: KILLS, only: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => options.json = true,
                "--kills" => {
                    let kills = arguments.next().context("`--kills` needs a number")?;
                    options.kills = kills.parse().with_context(|| format!("`{kills}` is no number of kills"))?;
                }
                "--only" => options.only.push(arguments.next().context("`--only` needs an attack's name")?),
                // Cargo says so to every benchmark.
                "--bench" => {}
                other => bail!("`{other}` is unknown; expected `--json`, `--kills N` or `--only NAME`"),
            }
        }
        Ok(options)
    }
}

/// Everything that is called, made before anything is timed.
struct Bench {
    runtime: Runtime,
    registry: Registry,
    guests: Guests,
    neighbour: Neighbour,
    // Last: the folder of the compiled code.
    _folder: tempfile::TempDir,
}

/// Answers every look-up with the same row.
struct OneRow(Arc<Row>);

#[async_trait]
impl Lookup for OneRow {
    async fn get(&self, _table: &str, _key: &str) -> Result<Option<Arc<Row>>, LookupError> {
        Ok(Some(self.0.clone()))
    }
}

/// Answers nobody.
struct Never;

#[async_trait]
impl Lookup for Never {
    async fn get(&self, _table: &str, _key: &str) -> Result<Option<Arc<Row>>, LookupError> {
        std::future::pending().await
    }
}

impl Bench {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let cache = CodeCache::open(&folder.path().join("cache"), &folder.path().join("key"))?;
        let registry = Registry::new(Sandbox::new(SandboxOptions::default())?, cache);
        let guests = Guests::build()?;
        let row = Arc::new(Row(payload::row()?));
        let neighbour = Neighbour {
            plugin: guests.neighbour(registry.sandbox())?,
            context: CallContext { lookup: Arc::new(OneRow(row)), ..CallContext::with_nothing(payload::RECEIVED_AT) },
            request: payload::request()?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        Ok(Self { runtime, registry, guests, neighbour, _folder: folder })
    }

    fn run(&self, attack: &Attack, kills: u32) -> Result<Measured> {
        let plugin = self.guests.install(attack, &self.registry)?;
        let context = CallContext { lookup: Arc::new(Never), ..CallContext::with_nothing(payload::RECEIVED_AT) };
        let mut request = payload::request()?;
        request.order.number = attack.order().to_owned();
        // From a thread of the runtime, as in a host: one that waits outside is woken late.
        let neighbour = self.neighbour.clone();
        let alone = self.runtime.block_on(async { tokio::spawn(neighbour.times(ALONE)).await? })?;

        let over = Arc::new(AtomicBool::new(false));
        let beside = self.runtime.spawn(self.neighbour.clone().times_until(Arc::clone(&over)));
        let attacker = Attacker { plugin, context, request };
        let ended = self.runtime.block_on(async { tokio::spawn(attacker.kills(attack.clone(), kills)).await });
        over.store(true, Ordering::Relaxed);
        let beside = self.runtime.block_on(beside)??;
        let (killed, cpu) = ended??;
        ensure!(!beside.is_empty(), "the neighbour of `{}` was not called once", attack.name);
        Ok(Measured { killed, cpu, alone, beside })
    }
}

/// Who attacks.
struct Attacker {
    plugin: Installed,
    context: CallContext,
    request: ScoringRequest,
}

impl Attacker {
    /// How long each kill took, and how much CPU, where that is counted.
    async fn kills(self, attack: Attack, kills: u32) -> Result<(Vec<Duration>, Vec<Duration>)> {
        let (mut took, mut cpu) = (Vec::new(), Vec::new());
        for kill in 0..kills.saturating_add(WARM_UP) {
            let watch = Stopwatch::now();
            let (failure, crossing) = attack.call(&self.plugin.plugin, &self.context, &self.request).await?;
            let elapsed = watch.elapsed();
            ensure!(failure.code() == attack.code, "`{}` ended otherwise: {failure}", attack.name);
            if kill >= WARM_UP {
                took.push(elapsed);
                cpu.extend(crossing.cpu_us.map(Duration::from_micros));
            }
        }
        Ok((took, cpu))
    }
}

/// The well-behaved scorer.
#[derive(Clone)]
struct Neighbour {
    plugin: Plugin,
    context: CallContext,
    request: ScoringRequest,
}

impl Neighbour {
    async fn times(self, calls: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            times.push(self.time().await?);
        }
        Ok(times)
    }

    async fn times_until(self, over: Arc<AtomicBool>) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        while !over.load(Ordering::Relaxed) {
            times.push(self.time().await?);
        }
        Ok(times)
    }

    /// One call, as a task of its own.
    async fn time(&self) -> Result<Duration> {
        let one = self.clone();
        let watch = Stopwatch::now();
        let called = tokio::spawn(async move { one.plugin.score(&one.context, &one.request).await }).await?;
        let elapsed = watch.elapsed();
        match called.outcome? {
            Ok(_) => Ok(elapsed),
            Err(failure) => bail!("the neighbour failed: {failure:?}"),
        }
    }
}
