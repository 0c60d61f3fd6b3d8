//! The host's CPU by stage, in rounds over a store that grows.

use std::io::Write;

use anyhow::{Context, ensure};
use serde_json::json;

use crate::role::Role;
use crate::{Options, load, setup};

/// In the order in which an order meets them.
const STAGES: [&str; 4] = ["accept", "decide", "deliver", "index"];

/// Runs the rounds and prints them.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    ensure!(options.advised_every == 0, "rounds are of orders that nobody holds; leave --advised-every out");
    let rounds = options.rounds.unwrap_or(1);
    let per_round = (options.orders / rounds).max(1);
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let mut erp = Role::start("erp", &[])?;
    let origin = erp.line()?;
    let path = folder.path().to_str().context("the temporary folder's name is no text")?.to_owned();
    setup::write(folder.path(), &origin, options.without_budgets)?;
    let mut host = Role::host("stages", path)?;
    let address = host.line()?;

    let mut out = std::io::stdout().lock();
    if !options.json {
        writeln!(
            out,
            "{:>10} {}  microseconds of the host's CPU per order",
            "orders",
            STAGES.map(|s| format!("{s:>9}")).concat()
        )?;
    }
    let mut measured = Vec::new();
    for round in 0..rounds {
        let mut used = host.cpu_us()?;
        let mut spent = |host: &mut Role| -> anyhow::Result<f64> {
            let now = host.cpu_us()?;
            let spent = (now - used) / f64::from(per_round);
            used = now;
            Ok(spent)
        };
        let mut load = load::start(&address, round * per_round, per_round, options.load())?;
        load.line()?;
        load.stop()?;
        let mut stages = vec![spent(&mut host)?];
        for stage in &STAGES[1..] {
            host.ask(stage)?;
            stages.push(spent(&mut host)?);
        }
        let orders = (round + 1) * per_round;
        let booked: u32 = erp.ask("count")?.parse()?;
        ensure!(booked == orders, "{booked} sales orders of {orders} orders: something was lost or sent twice");
        if !options.json {
            let figures: String = stages.iter().map(|us| format!("{us:>9.1}")).collect();
            writeln!(out, "{orders:>10} {figures} {:>9.1}", stages.iter().sum::<f64>())?;
        }
        measured.push((orders, stages));
    }
    host.stop()?;
    erp.stop()?;
    let total = |round: Option<&(u32, Vec<f64>)>| round.map_or(f64::NAN, |(_, stages)| stages.iter().sum());
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
