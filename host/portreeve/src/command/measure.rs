//! `measures`: how long orders take, how often people touch them, and what goes wrong where.

use anyhow::Context;
use portreeve_api::measure::{
    AdviceMeasures, CauseMeasures, ChangeMeasures, ChannelMeasures, Measures, NodeMeasures, OnboardingMeasures,
    ReconciliationMeasures, TargetMeasures,
};
use portreeve_api::oversight::{HOURS_UNSAID, hours, until};
use portreeve_model::Instant;
use portreeve_pipeline::Clock;
use portreeve_pipeline::measure::measures;
use portreeve_pipeline::oversight::{HOURS_MAX, oversight};

use super::looking::{Place, asked};
use super::oversight::{percent, span, told};
use super::plugin::Of;
use crate::clock::SystemClock;
use crate::output::Output;

/// Which orders to measure, and whose.
#[derive(Debug, clap::Args)]
pub(super) struct Look {
    /// In how many hours the orders were decided, the last one with them.
    #[arg(long, default_value_t = HOURS_UNSAID, value_parser = clap::value_parser!(u16).range(1..=i64::from(HOURS_MAX)))]
    hours: u16,
    /// Until when they were decided, for example 2026-03-02T18:00:00Z; until now where it is not
    /// said. What became of them is as of now.
    #[arg(long, value_parser = until)]
    until: Option<Instant>,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run(look: Look, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let found = match look.of.place(in_folder(&look)).await? {
        Place::Folder(found) => found,
        Place::Host(server) => {
            let until = look.until.map_or_else(String::new, |until| format!("&until={until}"));
            let path = format!("/v1/measures?hours={}{until}", look.hours);
            asked(&server, &path).await?
        }
    };
    if json { output.json(&found) } else { show(&found, output) }
}

async fn in_folder(look: &Look) -> anyhow::Result<Measures> {
    let (_, store) = look.of.data.open()?;
    let hours = hours(Some(look.hours)).map_err(anyhow::Error::msg).context("--hours")?;
    let last = look.until.unwrap_or_else(|| SystemClock.now());
    let measured = measures(store.as_ref(), hours, last).await?;
    Ok(Measures::of(measured, oversight(store.as_ref(), hours, last).await?.models))
}

fn show(found: &Measures, output: &mut Output) -> anyhow::Result<()> {
    let Measures { from, until, orders, .. } = found;
    output.line(&format!("{orders} order(s) decided from {from} until {until}, with what became of them so far"))?;
    if *orders == 0 {
        output.line("--hours looks further back, --until at another time")?;
    }
    found.channels.iter().try_for_each(|channel| show_channel(channel, output))?;
    found.nodes.iter().try_for_each(|node| show_node(node, output))?;
    if found.shipped_without_node > 0 {
        output.line(&format!("shipped from no node that is known: {}", found.shipped_without_node))?;
    }
    output.line(&format!("invoiced after shipment: {}", told(&found.invoice_latency)))?;
    output.line(&format!("settled after invoice: {}", told(&found.close_cycle)))?;
    output.line(&format!(
        "touches by people: {} on {} order(s){}; {} about {} return(s){}",
        found.touches,
        found.touched_orders,
        of_a_hundred(found.touches_per_hundred_orders),
        found.return_touches,
        found.returns,
        of_a_hundred(found.touches_per_hundred_returns),
    ))?;
    output.line(&format!(
        "shipped: {}, with an exception {}{}",
        found.shipped,
        found.shipment_exceptions,
        share(found.shipment_exception_bp),
    ))?;
    output.line(&format!(
        "fulfilled: {}, just as ordered {}{}",
        found.fulfilled,
        found.fulfilled_accurately,
        share(found.accuracy_bp),
    ))?;
    found.exceptions.iter().try_for_each(|cause| show_cause(cause, output))?;
    found.targets.iter().try_for_each(|target| show_target(target, output))?;
    found.models.iter().try_for_each(|model| show_model(model, output))?;
    show_changes(&found.changes, output)?;
    found.reconciliations.iter().try_for_each(|one| show_reconciliation(one, output))?;
    output.line(&format!(
        "touches of differences between systems: {}{}",
        found.difference_touches,
        of_a_hundred(found.touches_per_hundred_opened)
    ))?;
    found.onboarding.iter().try_for_each(|part| show_onboarding(part, output))
}

fn show_node(node: &NodeMeasures, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!("node {}: shipped after receipt: {}", node.node, told(&node.to_shipment)))?;
    output.line(&format!("  settled after receipt: {}", told(&node.to_settlement)))
}

fn show_changes(changes: &ChangeMeasures, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!(
        "changes: {} version(s) of the configuration; {} component(s) put in place, {} of them undone, success{}; {} rollback(s){}, {} disabled, {} stop(s) of all",
        changes.versions,
        changes.activations,
        changes.undone,
        changes.success_bp.map_or_else(|| " of nothing".to_owned(), |bp| format!(" {}", percent(bp))),
        changes.rollbacks,
        share(changes.rollback_bp),
        changes.disabled,
        changes.halts,
    ))
}

fn show_reconciliation(one: &ReconciliationMeasures, output: &mut Output) -> anyhow::Result<()> {
    let ReconciliationMeasures { reconciliation, of, runs, not_compared, opened, closed, .. } = one;
    output.line(&format!(
        "reconciliation {reconciliation} of {of}: {} of {} agreed last{}; {runs} run(s), {not_compared} without a comparison, {opened} opened, {closed} closed",
        one.agreeing,
        one.compared,
        share(one.accuracy_bp),
    ))
}

fn show_onboarding(part: &OnboardingMeasures, output: &mut Output) -> anyhow::Result<()> {
    let OnboardingMeasures { kind, name, configured_at, used_at, took_ms } = part;
    match (used_at, took_ms) {
        (Some(used_at), Some(took_ms)) => {
            output.line(&format!("{kind} {name}: in use since {used_at}, {} after it was configured", span(*took_ms)))
        }
        _ => output.line(&format!("{kind} {name}: configured {configured_at}, and not in use yet")),
    }
}

fn show_channel(channel: &ChannelMeasures, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!("channel {}: {} order(s)", channel.channel, channel.orders))?;
    output.line(&format!("  shipped after receipt: {}", told(&channel.to_shipment)))?;
    output.line(&format!("  settled after receipt: {}", told(&channel.to_settlement)))
}

fn show_cause(cause: &CauseMeasures, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!(
        "exception {} ({}): {} on {} order(s){}",
        cause.code,
        cause.stage,
        cause.exceptions,
        cause.orders,
        share(cause.rate_bp),
    ))
}

fn show_target(target: &TargetMeasures, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!(
        "target {}: {} of {} delivered; {} of {} attempt(s) failed{}; {} retried with {} attempt(s), {} given up",
        target.target,
        target.delivered,
        target.deliveries,
        target.failed_attempts,
        target.attempts,
        share(target.failure_bp),
        target.retried,
        target.retries,
        target.given_up,
    ))?;
    output.line(&format!("  there after it was taken up: {}", told(&target.latency)))
}

fn show_model(model: &AdviceMeasures, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!(
        "model {}: people accepted {}{} and overrode {}{}",
        model.plugin,
        model.accepted,
        share(model.acceptance_bp),
        model.overridden,
        share(model.override_bp),
    ))
}

/// A share behind its number; nothing of nothing.
fn share(basis_points: Option<u64>) -> String {
    basis_points.map_or_else(String::new, |basis_points| format!(" ({})", percent(basis_points)))
}

fn of_a_hundred(count: Option<u64>) -> String {
    count.map_or_else(String::new, |count| format!(" ({count} for each hundred)"))
}
