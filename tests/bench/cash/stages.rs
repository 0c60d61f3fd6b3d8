//! The host's CPU by stage, in rounds over a store that grows.
//!
//! An hour of rounds is longer than a shared machine stays as fast as it was. So a fixed piece of
//! work is timed in the middle of each round, after every stage: what a round cost by that ruler
//! says what the store's growth costs, and what the machine's neighbours do is in both. What a round
//! read and wrote is no matter of the machine at all.
//!
//! With `--pairs`, rounds over the grown store and over a new one then take turns: that comparison the
//! machine's hours have no part in. The smaller the rounds, the less its minutes have: thirty pairs of 2,000
//! orders say more than three of 20,000 (`--orders 1000000 --rounds 500 --pairs 30`).

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::road::Road;
use crate::role::numbers;
use crate::run::Session;
use crate::{Options, load};

/// In the order in which an order meets them, and what all of them cost together.
const STAGES: [&str; 4] = ["accept", "decide", "deliver", "index"];

/// Numbers that the ruler sorts: more than a core's own caches hold.
const RULER_NUMBERS: u64 = 1 << 19;

/// How often, and how many times, a round is gone on with that is not whole.
const TRY_EVERY: Duration = Duration::from_secs(1);
const TRIES: u32 = 300;

/// Orders in a new store before its round of a pair is measured.
const NEW_STORE: u32 = 1_000;

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
    /// Of the microseconds those that the kernel took, by its own sampling: over many rounds it says something.
    kernel_us: f64,
    /// What the host read and wrote per order.
    io_kib: [f64; 2],
}

impl Round {
    fn all(&self) -> f64 {
        self.stages.iter().sum()
    }

    fn json(&self) -> serde_json::Value {
        let stages: serde_json::Map<_, _> =
            STAGES.iter().zip(self.stages).map(|(stage, us)| ((*stage).to_owned(), json!(us))).collect();
        let [read, written] = self.io_kib;
        json!({
            "orders": self.orders, "cpu us per order": stages, "of them the kernel's": self.kernel_us, "ruler us": self.ruler_us,
            "read KiB per order": read, "written KiB per order": written
        })
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stages: String = self.stages.iter().map(|us| format!("{us:>9.1}")).collect();
        let [read, written] = self.io_kib;
        write!(
            f,
            "{:>10} {stages} {:>9.1} {:>9.1} {:>52.0} {read:>9.1} {written:>9.1}",
            self.orders,
            self.all(),
            self.kernel_us,
            self.ruler_us
        )
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

    /// Counts what came in, which is decided then.
    fn accepted(&mut self, session: &mut Session, used: &mut f64) -> anyhow::Result<()> {
        self.count("accept", session, used)?;
        self.stage("decide", session, used)
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
    let mut session = Session::with_a_store(options.store.as_deref(), options.road)?;
    let before = session.before;
    let mut out = std::io::stdout().lock();
    if !options.json {
        writeln!(out, "rounds on the {} road", options.road)?;
        writeln!(
            out,
            "{:>10} {} {:>9} {:>9}  microseconds of the host's CPU per order, {:>9} {:>9} {:>9} KiB per order",
            "orders",
            STAGES.map(|stage| format!("{stage:>9}")).concat(),
            "all",
            "kernel",
            "ruler",
            "read",
            "written"
        )?;
    }
    let say = |out: &mut std::io::StdoutLock<'_>, round: &Round| -> anyhow::Result<()> {
        if !options.json {
            writeln!(out, "{round}")?;
        }
        Ok(())
    };
    let mut measured: Vec<Round> = Vec::new();
    for round in 0..rounds {
        let round = one_round(&mut session, options, before + round * per_round, per_round)?;
        say(&mut out, &round)?;
        measured.push(round);
    }
    let mut pairs = Vec::new();
    for pair in 0..options.pairs {
        // Each goes first as often as the other, or a machine that gets slower looks like growth.
        let mut grown = None;
        if pair % 2 == 1 {
            grown = Some(one_round(&mut session, options, before + (rounds + pair) * per_round, per_round)?);
        }
        let mut new = Session::with_a_store(None, options.road)?;
        one_round(&mut new, options, 0, NEW_STORE)?;
        let small = one_round(&mut new, options, NEW_STORE, per_round)?;
        new.stop()?;
        let grown = match grown {
            Some(grown) => grown,
            None => one_round(&mut session, options, before + (rounds + pair) * per_round, per_round)?,
        };
        say(&mut out, &small)?;
        say(&mut out, &grown)?;
        pairs.push([small, grown]);
    }
    session.stop()?;
    let ratio = last_to_first(&measured, Round::all);
    let by_ruler = last_to_first(&measured, |round| round.all() / round.ruler_us);
    let in_turn = in_turn(&pairs);
    if options.json {
        let rounds: Vec<_> = measured.iter().map(Round::json).collect();
        let pairs: Vec<_> = pairs.iter().map(|pair| pair.each_ref().map(Round::json)).collect();
        let found = json!({
            "road": options.road.to_string(), "rounds": rounds, "last to first": ratio, "by the ruler": by_ruler, "pairs": pairs, "grown to new": in_turn
        });
        writeln!(out, "{found}")?;
    } else {
        writeln!(out, "the last round cost {ratio:.3} times what the first did, and {by_ruler:.3} times by the ruler")?;
        if let Some(in_turn) = in_turn {
            writeln!(
                out,
                "in turn, a round over the grown store cost {in_turn:.3} times what one over a new store did"
            )?;
        }
    }
    Ok(())
}

/// What rounds over the grown store cost by those over a new one: of all pairs together.
fn in_turn(pairs: &[[Round; 2]]) -> Option<f64> {
    let sum = |nth: fn(&[Round; 2]) -> &Round| pairs.iter().map(nth).map(Round::all).sum::<f64>();
    (!pairs.is_empty()).then(|| sum(|[_, grown]| grown) / sum(|[small, _]| small))
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
fn one_round(session: &mut Session, options: &Options, first: u32, orders: u32) -> anyhow::Result<Round> {
    let mut spent = Spent::default();
    let [kernel_before, read_before, written_before] = numbers(&session.host.ask("kernel")?)?;
    let mut used = session.host.cpu_us()?;
    let address = session.address.clone();
    let mut load = load::start(&address, first, orders, load::Shape { per_second: 0, ..options.load })?;
    load.line()?;
    load.stop()?;
    spent.count("accept", session, &mut used)?;
    let all = session.all_books(first + orders);
    for tried in 0.. {
        // To the ERP; its word; to the warehouse and into the plan.
        for stage in ["decide", "deliver", "decide", "deliver"] {
            spent.stage(stage, session, &mut used)?;
        }
        while session.standins.step(&address)? > 0 {
            spent.accepted(session, &mut used)?;
        }
        // Out of the plan, and posted.
        spent.stage("deliver", session, &mut used)?;
        if options.road == Road::Whole {
            session.host.ask("poll")?;
            spent.accepted(session, &mut used)?;
            // Taxed, and told to customers, who pay.
            spent.stage("deliver", session, &mut used)?;
            session.standins.pay(&address)?;
            spent.accepted(session, &mut used)?;
        }
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
    let [kernel, read, written] = numbers(&session.host.ask("kernel")?)?;
    let per_order = |figure: f64| figure / f64::from(orders);
    Ok(Round {
        orders: first + orders,
        stages: spent.stages.map(per_order),
        ruler_us: spent.ruler_us / spent.rulers,
        kernel_us: per_order(kernel - kernel_before),
        io_kib: [read - read_before, written - written_before].map(|bytes| per_order(bytes) / 1_024.0),
    })
}
