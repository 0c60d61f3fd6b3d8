//! The host's CPU by stage, in rounds over a store that grows.
//!
//! An hour of rounds is longer than a shared machine stays as fast as it was. So a fixed piece of
//! work is timed in the middle of each round, after every stage: what a round cost by that ruler
//! says what the store's growth costs, and what the machine's neighbours do is in both.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::run::Session;
use crate::standins::Books;
use crate::{Options, load};

/// In the order in which an order meets them, and what all of them cost together.
const STAGES: [&str; 4] = ["accept", "decide", "deliver", "index"];

/// Numbers that the ruler sorts: more than a core's own caches hold.
const RULER_NUMBERS: u64 = 1 << 19;

/// How often, and how many times, a round is gone on with that is not whole.
const TRY_EVERY: Duration = Duration::from_secs(1);
const TRIES: u32 = 300;

/// What the stages of a round cost, in microseconds of the host's CPU, and how long the ruler was meanwhile.
#[derive(Default)]
struct Spent {
    stages: [f64; STAGES.len()],
    ruler_us: f64,
    rulers: f64,
}

/// A round that is over.
struct Round {
    orders: u32,
    /// Microseconds of the host's CPU per order.
    stages: [f64; STAGES.len()],
    /// Of the ruler, on average.
    ruler_us: f64,
}

impl Round {
    fn all(&self) -> f64 {
        self.stages.iter().sum()
    }
}

impl Spent {
    /// Counts what the host used since it was asked last.
    fn count(&mut self, stage: &str, session: &mut Session, used: &mut f64) -> anyhow::Result<()> {
        let now = session.host.cpu_us()?;
        for (spent, _) in self.stages.iter_mut().zip(STAGES).filter(|(_, name)| *name == stage) {
            *spent += now - *used;
        }
        *used = now;
        self.ruler_us += ruler_us();
        self.rulers += 1.0;
        Ok(())
    }

    fn stage(&mut self, stage: &str, session: &mut Session, used: &mut f64) -> anyhow::Result<()> {
        session.host.ask(stage)?;
        self.count(stage, session, used)
    }
}

/// Runs the rounds and prints them.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let rounds = options.rounds.unwrap_or(1);
    let per_round = (options.orders / rounds).max(1);
    let mut session = Session::start("stages")?;
    let mut out = std::io::stdout().lock();
    if !options.json {
        writeln!(
            out,
            "{:>10} {} {:>9}  microseconds of the host's CPU per order, {:>9}",
            "orders",
            STAGES.map(|stage| format!("{stage:>9}")).concat(),
            "all",
            "ruler"
        )?;
    }
    let mut measured: Vec<Round> = Vec::new();
    for round in 0..rounds {
        let spent = one_round(&mut session, options, round * per_round, per_round)?;
        let orders = (round + 1) * per_round;
        let stages = spent.stages.map(|us| us / f64::from(per_round));
        let round = Round { orders, stages, ruler_us: spent.ruler_us / spent.rulers };
        if !options.json {
            let figures: String = stages.iter().map(|us| format!("{us:>9.1}")).collect();
            writeln!(out, "{orders:>10} {figures} {:>9.1} {:>43.0}", round.all(), round.ruler_us)?;
        }
        measured.push(round);
    }
    session.stop()?;
    let ratio = last_to_first(&measured, Round::all);
    let by_ruler = last_to_first(&measured, |round| round.all() / round.ruler_us);
    if options.json {
        let rounds: Vec<_> = measured
            .iter()
            .map(|round| {
                let stages: serde_json::Map<_, _> =
                    STAGES.iter().zip(round.stages).map(|(stage, us)| ((*stage).to_owned(), json!(us))).collect();
                json!({ "orders": round.orders, "cpu us per order": stages, "ruler us": round.ruler_us })
            })
            .collect();
        writeln!(out, "{}", json!({ "rounds": rounds, "last to first": ratio, "by the ruler": by_ruler }))?;
    } else {
        writeln!(out, "the last round cost {ratio:.3} times what the first did, and {by_ruler:.3} times by the ruler")?;
    }
    Ok(())
}

fn last_to_first(rounds: &[Round], cost: impl Fn(&Round) -> f64) -> f64 {
    let cost = |round: Option<&Round>| round.map_or(f64::NAN, &cost);
    cost(rounds.last()) / cost(rounds.first())
}

/// How long a fixed piece of work takes now, in microseconds: numbers in disorder are sorted.
fn ruler_us() -> f64 {
    let mut numbers: Vec<u64> = (0..RULER_NUMBERS).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let began = Instant::now();
    black_box(&mut numbers).sort_unstable();
    began.elapsed().as_secs_f64() * 1e6
}

/// New orders go the whole way, stage by stage.
fn one_round(session: &mut Session, options: &Options, first: u32, orders: u32) -> anyhow::Result<Spent> {
    let mut spent = Spent::default();
    let mut used = session.host.cpu_us()?;
    let address = session.address.clone();
    let mut load = load::start(&address, first, orders, load::Shape { per_second: 0, ..options.load })?;
    load.line()?;
    load.stop()?;
    spent.count("accept", session, &mut used)?;
    let all = Books::all_of(first + orders);
    for tried in 0.. {
        // To the ERP; its word; to the warehouse and into the plan.
        for stage in ["decide", "deliver", "decide", "deliver"] {
            spent.stage(stage, session, &mut used)?;
        }
        while session.standins.step(&address)? > 0 {
            spent.count("accept", session, &mut used)?;
            spent.stage("decide", session, &mut used)?;
        }
        // Out of the plan.
        spent.stage("deliver", session, &mut used)?;
        let books = session.standins.books()?;
        if books == all {
            break;
        }
        // On a machine that stood still for a moment something waits for its next try.
        ensure!(
            tried < TRIES,
            "{books:?} after {TRIES} s, expected {all:?}: something was lost, doubled or out of turn"
        );
        std::thread::sleep(TRY_EVERY);
    }
    spent.stage("index", session, &mut used)?;
    Ok(spent)
}
