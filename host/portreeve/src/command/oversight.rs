//! `oversight`: how models and people get on with each other, for those who answer for either.

use anyhow::Context;
use portreeve_api::authority::Grant;
use portreeve_api::oversight::{HOURS_UNSAID, Model, Oversight, Person, Queue, Times, hours, until};
use portreeve_model::Instant;
use portreeve_pipeline::oversight::{HOURS_MAX, oversight};
use portreeve_pipeline::{Clock, usage};

use super::looking::{Place, asked};
use super::plugin::Of;
use crate::clock::SystemClock;
use crate::config::Files;
use crate::host;
use crate::output::Output;

/// How far to look back, and at what.
#[derive(Debug, clap::Args)]
pub(super) struct Look {
    /// How many hours to look back, this one with them.
    #[arg(long, default_value_t = HOURS_UNSAID, value_parser = clap::value_parser!(u16).range(1..=i64::from(HOURS_MAX)))]
    hours: u16,
    /// Until when, for example 2026-03-02T18:00:00Z; until now where it is not said.
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
            let path = format!("/v1/oversight?hours={}{until}", look.hours);
            asked(&server, &path).await?
        }
    };
    if json { output.json(&found) } else { show(&found, output) }
}

async fn in_folder(look: &Look) -> anyhow::Result<Oversight> {
    let (_, store) = look.of.data.open()?;
    let configuration = Files::from_bytes(&host::active(&store).await?.bytes)?.check()?;
    let now = SystemClock.now();
    let in_use = usage::in_use(store.as_ref(), &configuration.authority, now).await?;
    let hours = hours(Some(look.hours)).map_err(anyhow::Error::msg).context("--hours")?;
    Ok(Oversight::of(oversight(store.as_ref(), hours, look.until.unwrap_or(now)).await?, in_use))
}

fn show(found: &Oversight, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!("from {} until {}", found.from, found.until))?;
    if found.models.is_empty() && found.queues.is_empty() {
        output.line("nothing was proposed and nobody had anything to decide; --hours looks further back, --until at another time")?;
    }
    found.models.iter().try_for_each(|model| show_model(model, output))?;
    found.grants.iter().try_for_each(|grant| show_grant(grant, output))?;
    found.queues.iter().try_for_each(|queue| show_queue(queue, output))?;
    found.people.iter().try_for_each(|person| show_person(person, output))?;
    if found.people.is_empty() {
        return Ok(());
    }
    output.line("looked: from when somebody could look at it, or decided something else, until the decision")
}

fn show_model(model: &Model, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!("model {} {}", model.plugin, model.component))?;
    for proposals in &model.proposals {
        let clause = proposals.clause.as_ref().map_or_else(String::new, |clause| format!(" ({clause})"));
        output.line(&format!("  {:>6} to {}: {}{clause}", proposals.count, proposals.proposed, proposals.outcome))?;
    }
    let (accepted, overridden) = (model.accepted, model.overridden);
    output.line(&match (model.acceptance_bp, model.override_bp) {
        (Some(acceptance), Some(overrides)) => format!(
            "  of its holds people accepted {accepted} ({}) and overrode {overridden} ({}), {}",
            percent(acceptance),
            percent(overrides),
            told(&model.time_to_decide),
        ),
        _ => "  nobody decided about a hold of it".to_owned(),
    })
}

fn show_grant(grant: &Grant, output: &mut Output) -> anyhow::Result<()> {
    for budget in &grant.budgets {
        output.line(&format!("grant {}: {} {} of {} used now", grant.id, budget.name, budget.used, budget.most))?;
    }
    Ok(())
}

fn show_queue(queue: &Queue, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!(
        "queue {}: claimed {}; decided {}; {} undecided when due, {} proposal(s) expired",
        queue.queue,
        told(&queue.time_to_claim),
        told(&queue.time_to_decide),
        queue.undecided_when_due,
        queue.proposals_expired,
    ))?;
    let decisions: Vec<String> = queue.decisions.iter().map(|(what, count)| format!("{what} {count}")).collect();
    if decisions.is_empty() { Ok(()) } else { output.line(&format!("  {}", decisions.join(", "))) }
}

fn show_person(person: &Person, output: &mut Output) -> anyhow::Result<()> {
    let signal = if person.rubber_stamp { "; ASK whether this person looks" } else { "" };
    output.line(&format!(
        "{} in {}: looked {}; the others {}{signal}",
        person.who,
        person.queue,
        told(&person.looked),
        told(&person.peers),
    ))
}

pub(super) fn percent(basis_points: u64) -> String {
    format!("{}.{:02} %", basis_points / 100, basis_points % 100)
}

pub(super) fn told(times: &Times) -> String {
    match (times.median_ms, times.p90_ms) {
        (Some(median), Some(p90)) => {
            format!("{} time(s), half within {}, nine of ten within {}", times.count, span(median), span(p90))
        }
        _ => "never".to_owned(),
    }
}

/// A duration as people say it.
pub(super) fn span(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}
