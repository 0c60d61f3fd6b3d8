//! The host's CPU by stage, in rounds over a store that grows.

use std::io::Write;

use anyhow::ensure;
use serde_json::json;

use crate::run::Session;
use crate::standins::Books;
use crate::{Options, load};

/// In the order in which an order meets them, and what all of them cost together.
const STAGES: [&str; 4] = ["accept", "decide", "deliver", "index"];

/// What the stages of a round cost, in microseconds of the host's CPU.
#[derive(Default)]
struct Spent([f64; STAGES.len()]);

impl Spent {
    /// Counts what the host used since it was asked last.
    fn count(&mut self, stage: &str, session: &mut Session, used: &mut f64) -> anyhow::Result<()> {
        let now = session.host.cpu_us()?;
        for (spent, _) in self.0.iter_mut().zip(STAGES).filter(|(_, name)| *name == stage) {
            *spent += now - *used;
        }
        *used = now;
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
            "{:>10} {} {:>9}  microseconds of the host's CPU per order",
            "orders",
            STAGES.map(|stage| format!("{stage:>9}")).concat(),
            "all"
        )?;
    }
    let mut measured: Vec<(u32, [f64; STAGES.len()])> = Vec::new();
    for round in 0..rounds {
        let spent = one_round(&mut session, options, round * per_round, per_round)?;
        let orders = (round + 1) * per_round;
        let books = session.standins.books()?;
        ensure!(
            books == Books::all_of(orders),
            "{books:?} of {orders} orders: something was lost, doubled or out of turn"
        );
        let stages = spent.0.map(|us| us / f64::from(per_round));
        if !options.json {
            let figures: String = stages.iter().map(|us| format!("{us:>9.1}")).collect();
            writeln!(out, "{orders:>10} {figures} {:>9.1}", stages.iter().sum::<f64>())?;
        }
        measured.push((orders, stages));
    }
    session.stop()?;
    let total = |round: Option<&(u32, [f64; STAGES.len()])>| round.map_or(f64::NAN, |(_, stages)| stages.iter().sum());
    let ratio: f64 = total(measured.last()) / total(measured.first());
    if options.json {
        let rounds: Vec<_> = measured
            .iter()
            .map(|(orders, stages)| {
                let stages: serde_json::Map<_, _> =
                    STAGES.iter().zip(stages).map(|(stage, us)| ((*stage).to_owned(), json!(us))).collect();
                json!({ "orders": orders, "cpu us per order": stages })
            })
            .collect();
        writeln!(out, "{}", json!({ "rounds": rounds, "last to first": ratio }))?;
    } else {
        writeln!(out, "the last round cost {ratio:.3} times what the first did")?;
    }
    Ok(())
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
    spent.stage("index", session, &mut used)?;
    Ok(spent)
}
