//! What a governed call costs, beside the same call without the host around it.
//!
//! ```text
//! cargo bench -p portreeve-bench                 a table
//! cargo bench -p portreeve-bench -- --json       one JSON object
//! cargo bench -p portreeve-bench -- --rounds 50  a quick look
//! … -- --only governed --rounds 20000            one way alone, under a profiler (or: reused, fresh)
//! ```
//!
//! Four ways to score the same order of ten lines: a Rust function; the component
//! in one instance, reused; in a fresh instance per call; and through
//! `Plugin::score`. The second and third use wasmtime as its documentation does, in
//! an engine with the sandbox's own settings. Beside them the parts that the host
//! adds, each by itself.
//!
//! Everything is measured in one run, in turns of a few calls, so that another
//! process or a warm processor hits all alike; the median is the figure to compare.
//! All four must give the same assessment, or there is nothing to compare.

mod native;
mod payload;
mod raw;
mod samples;
#[path = "../scorer.rs"]
mod scorer;

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use async_trait::async_trait;
use portreeve_model::advice::{Assessment, ScoringRequest};
use portreeve_model::event::Event;
use portreeve_model::id::{Digest, PluginKind, PluginName};
use portreeve_model::reference::Row;
use portreeve_sandbox::{
    CallContext, Crossed, Declared, Limits, Lookup, LookupError, Plugin, PluginSpec, Sandbox, SandboxOptions, measure,
};
use raw::Raw;
use samples::{Samples, Summary};
use tokio::runtime::Runtime;
use wasmtime::error::Context;
use wasmtime::{Result, bail, ensure};

/// Rounds of a full run; a round gives every variant its turn.
const ROUNDS: u32 = 1_000;
/// Calls of a variant in a round, each timed by itself.
const TURN: u32 = 20;
/// Calls before them that don't count: what ran before has other things in the caches.
const TURN_WARM_UP: u32 = 10;
/// Calls that are timed together where one is too short for the clock.
const BATCH: u32 = 64;
/// Rounds before anything counts.
const WARM_UP_ROUNDS: u32 = 50;

fn main() -> Result<()> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    let bench = Bench::new()?;
    bench.check_agreement()?;
    if let Some(only) = &options.only {
        return bench.run_only(only, options.rounds);
    }
    bench.run(WARM_UP_ROUNDS)?;
    let report = Report::of(&bench.run(options.rounds)?)?;

    let mut out = std::io::stdout().lock();
    if options.json { writeln!(out, "{}", report.json(options.rounds)) } else { report.table(&mut out) }
        .context("failed to write the report")
}

struct Options {
    json: bool,
    rounds: u32,
    only: Option<String>,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { json: false, rounds: ROUNDS, only: None };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => options.json = true,
                "--rounds" => {
                    let rounds = arguments.next().context("`--rounds` needs a number")?;
                    options.rounds =
                        rounds.parse::<u32>().with_context(|| format!("`{rounds}` is no number of rounds"))?;
                }
                "--only" => options.only = Some(arguments.next().context("`--only` needs a name")?),
                // Cargo says so to every benchmark.
                "--bench" => {}
                other => bail!("`{other}` is unknown; expected `--json`, `--rounds N` or `--only NAME`"),
            }
        }
        Ok(options)
    }
}

/// Everything that is called, made before anything is timed.
struct Bench {
    runtime: Runtime,
    request: ScoringRequest,
    raw_request: [raw::ScoringRequest; 1],
    row: Arc<Row>,
    raw: Raw,
    plugin: Plugin,
    context: CallContext,
    event_digest: Digest,
}

/// Answers every look-up with the same row.
struct OneRow(Arc<Row>);

#[async_trait]
impl Lookup for OneRow {
    async fn get(&self, _table: &str, _key: &str) -> std::result::Result<Option<Arc<Row>>, LookupError> {
        Ok(Some(self.0.clone()))
    }
}

impl Bench {
    fn new() -> Result<Self> {
        let component = scorer::build("plugins/scorers/fraud")?;
        let request = payload::request()?;
        let row = Arc::new(Row(payload::row()?));

        let options = SandboxOptions::default();
        let sandbox = Sandbox::new(options)?;
        let code = sandbox.compile(PluginKind::Scorer, &component)?;
        let spec = PluginSpec {
            name: PluginName::parse("fraud")?,
            kind: PluginKind::Scorer,
            digest: Digest::of(&component),
            // A loop without a store behind it calls more often than any host does.
            limits: Limits { calls_per_second: Limits::HARD_MAX.calls_per_second, ..Limits::DEFAULT },
            declared: Declared { lookup: vec![payload::TABLE.to_owned()], ..Declared::default() },
        };
        let context = CallContext {
            lookup: Arc::new(OneRow(Arc::clone(&row))),
            ..CallContext::with_nothing(payload::RECEIVED_AT)
        };

        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            raw_request: [raw::request(&request)],
            raw: Raw::new(&component, options.calls_at_once_max, &row.0)?,
            plugin: sandbox.load(spec, &code)?,
            context,
            event_digest: Digest::of(&Event::OrderCreated(request.order.clone()).to_json()?),
            request,
            row,
        })
    }

    /// Check: all variants compute the same thing.
    fn check_agreement(&self) -> Result<()> {
        let native = native::score(&self.request, Some(&self.row.0))?;
        let governed = self.runtime.block_on(self.governed())?;
        ensure!(native == governed, "the native function and the plugin disagree: {native:?}, {governed:?}");
        let raw = self.runtime.block_on(self.raw.fresh(&self.raw_request))?;
        let reasons = |assessment: &Assessment| -> Vec<(String, i32)> {
            assessment.reasons.iter().map(|reason| (reason.code.clone(), reason.contribution_bp)).collect()
        };
        let raw_reasons: Vec<(String, i32)> =
            raw.reasons.into_iter().map(|reason| (reason.code, reason.contribution_bp)).collect();
        ensure!(
            raw.score_bp == governed.score_bp && raw_reasons == reasons(&governed),
            "the raw call and the governed one disagree"
        );
        Ok(())
    }

    async fn governed(&self) -> Result<Assessment> {
        match self.plugin.score(&self.context, &self.request).await.outcome? {
            Ok(assessment) => Ok(assessment),
            Err(failure) => bail!("the scorer failed: {failure:?}"),
        }
    }

    /// The digest that names a scorer's input on record, as the pipeline makes it.
    fn input_digest(&self) -> Digest {
        let times = [self.request.received_at.0.to_be_bytes(), self.request.seed.to_be_bytes()];
        let history = self.request.history.digest();
        Digest::of_parts(&[self.event_digest.as_bytes(), history.as_bytes(), times.as_flattened()])
    }

    /// One way alone, untimed.
    fn run_only(&self, name: &str, rounds: u32) -> Result<()> {
        self.runtime.block_on(async {
            let (mut store, scorer) = self.raw.instance().await?;
            for _ in 0..rounds {
                match name {
                    "reused" => drop(black_box(raw::call(&mut store, &scorer, &self.raw_request).await?)),
                    "fresh" => drop(black_box(self.raw.fresh(&self.raw_request).await?)),
                    "governed" => drop(black_box(self.governed().await?)),
                    other => bail!("`{other}` is unknown; expected `reused`, `fresh` or `governed`"),
                }
            }
            Ok(())
        })
    }

    fn run(&self, rounds: u32) -> Result<Times> {
        let mut times = Times::new();
        let (mut store, scorer) = self.runtime.block_on(self.raw.instance())?;
        // Epochs are of no use to anybody without their clock, so it runs for all.
        let _ticking = measure::ticking(&self.plugin);
        for _ in 0..rounds {
            batched(&mut times.native, || native::score(&self.request, Some(&self.row.0)))?;
            self.runtime.block_on(async {
                let request = &self.raw_request;
                turn(&mut times.reused, async || raw::call(&mut store, &scorer, request).await).await?;
                turn(&mut times.fresh, async || self.raw.fresh(request).await).await?;
                turn(&mut times.governed, async || done(self.plugin.score(&self.context, &self.request).await)).await?;
                turn(&mut times.limits, async || done(measure::limits(&self.plugin, &self.context).await)).await
            })?;
            batched(&mut times.raw_store, || self.raw.store())?;
            batched(&mut times.to_guest, || wasmtime::error::Ok(measure::to_guest(&self.request)))?;
            let mut answers = vec![measure::answer(); usize::try_from(BATCH)?].into_iter();
            batched(&mut times.from_guest, || answers.next().map(measure::Answer::into_assessment).transpose())?;
            batched(&mut times.transcript, || {
                wasmtime::error::Ok(measure::transcript(payload::TABLE, "C-1042", &self.row))
            })?;
            batched(&mut times.digest, || wasmtime::error::Ok(self.input_digest()))?;
        }
        Ok(times)
    }
}

/// A call that was refused takes no time: its sample would be a lie.
fn done<T>(crossed: Crossed<T>) -> Result<Crossed<T>> {
    match &crossed.outcome {
        Ok(_) => Ok(crossed),
        Err(error) => bail!("a call that was to be timed failed: {error}"),
    }
}

/// A turn of calls, a sample each.
async fn turn<T>(samples: &mut Samples, mut call: impl AsyncFnMut() -> Result<T>) -> Result<()> {
    for _ in 0..TURN_WARM_UP {
        black_box(call().await?);
    }
    for _ in 0..TURN {
        let watch = Stopwatch::now();
        black_box(call().await?);
        samples.add(watch.elapsed(), 1);
    }
    Ok(())
}

/// One sample of many calls in a row.
fn batched<T, E>(
    samples: &mut Samples,
    mut call: impl FnMut() -> std::result::Result<T, E>,
) -> std::result::Result<(), E> {
    let watch = Stopwatch::now();
    for _ in 0..BATCH {
        black_box(call()?);
    }
    samples.add(watch.elapsed(), BATCH);
    Ok(())
}

// --- what comes out ---

/// All samples of a run.
struct Times {
    native: Samples,
    reused: Samples,
    fresh: Samples,
    governed: Samples,
    to_guest: Samples,
    from_guest: Samples,
    limits: Samples,
    raw_store: Samples,
    transcript: Samples,
    digest: Samples,
}

impl Times {
    fn new() -> Self {
        Self {
            native: Samples::of("native Rust function"),
            reused: Samples::of("raw wasmtime, one instance reused"),
            fresh: Samples::of("raw wasmtime, fresh instance"),
            governed: Samples::of("governed call"),
            to_guest: Samples::of("conversion of the request"),
            from_guest: Samples::of("conversion and check of the answer"),
            limits: Samples::of("permit, limits, clocks, crossing"),
            raw_store: Samples::of("(raw store, for comparison)"),
            transcript: Samples::of("transcript of one look-up"),
            digest: Samples::of("input digest (in the pipeline)"),
        }
    }
}

struct Report {
    calls: Vec<(&'static str, Summary)>,
    parts: Vec<(&'static str, Summary)>,
    fresh_us: f64,
    governed_ratio: f64,
    with_digest_ratio: f64,
}

impl Report {
    fn of(times: &Times) -> Result<Self> {
        let summaries =
            |samples: &[&Samples]| samples.iter().map(|samples| (samples.name, samples.summary())).collect();
        let fresh_us = times.fresh.summary().median_us;
        let governed_us = times.governed.summary().median_us;
        ensure!(fresh_us > 0.0, "nothing was measured; give more rounds");
        Ok(Self {
            calls: summaries(&[&times.native, &times.reused, &times.fresh, &times.governed]),
            parts: summaries(&[
                &times.to_guest,
                &times.from_guest,
                &times.limits,
                &times.raw_store,
                &times.transcript,
                &times.digest,
            ]),
            fresh_us,
            governed_ratio: governed_us / fresh_us,
            with_digest_ratio: (governed_us + times.digest.summary().median_us) / fresh_us,
        })
    }

    fn table(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{:<38} {:>10} {:>10} {:>12}",
            "scoring an order of ten lines", "median µs", "p99 µs", "× raw fresh"
        )?;
        for (name, summary) in &self.calls {
            let ratio = summary.median_us / self.fresh_us;
            writeln!(out, "{name:<38} {:>10.3} {:>10.3} {ratio:>12.3}", summary.median_us, summary.p99_us)?;
        }
        writeln!(out, "\n{:<38} {:>10} {:>10} {:>12}", "what the host adds", "median µs", "p99 µs", "÷ raw fresh")?;
        for (name, summary) in &self.parts {
            let ratio = summary.median_us / self.fresh_us;
            writeln!(out, "{name:<38} {:>10.3} {:>10.3} {ratio:>12.3}", summary.median_us, summary.p99_us)?;
        }
        writeln!(
            out,
            "\ngoverned ÷ raw fresh: {:.3}; with the input digest: {:.3}\n\
             (a sample is one call; for the native function and the parts, but for the permit, the mean of {BATCH})",
            self.governed_ratio, self.with_digest_ratio
        )
    }

    fn json(&self, rounds: u32) -> serde_json::Value {
        let rows = |rows: &[(&'static str, Summary)]| -> Vec<serde_json::Value> {
            rows.iter()
                .map(|(name, summary)| {
                    serde_json::json!({
                        "name": name,
                        "median_us": summary.median_us,
                        "p99_us": summary.p99_us,
                        "samples": summary.samples,
                        "of_raw_fresh": summary.median_us / self.fresh_us,
                    })
                })
                .collect()
        };
        serde_json::json!({
            "payload": "order of ten lines",
            "rounds": rounds,
            "calls": rows(&self.calls),
            "parts": rows(&self.parts),
            "governed_of_raw_fresh": self.governed_ratio,
            "governed_and_digest_of_raw_fresh": self.with_digest_ratio,
        })
    }
}
