//! `grant`: what plugins may cause, in words for the people who answer for it.

use std::path::Path;

use portreeve_authority::{Clause, Code, DataGrant, Direction, Grant, changes, changes_of_data};
use portreeve_pipeline::Clock;
use portreeve_pipeline::decision::{ClauseRecord, DecisionRecord, VerdictRecord};
use portreeve_store::contract::OrderView;
use serde_json::json;

use super::{Data, Folder, order};
use crate::clock::SystemClock;
use crate::config::{Configuration, Files};
use crate::host;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The grants in force.
    Show {
        /// One grant, term by term, by its id.
        grant: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Everything that is wrong with a folder's grants and policies, and with the routes, process, rules, people and
    /// trust beside them; no plugin has to be built.
    Check {
        #[command(flatten)]
        folder: Folder,
    },
    /// What a folder's grants would change, and whether plugins may cause or see more by it.
    Diff {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        data: Data,
    },
    /// Why an order's advice caused what it caused, clause by clause.
    Explain {
        /// The host's order id, or the sender's order number.
        order: String,
        #[command(flatten)]
        data: Data,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::Show { grant, data } => show(grant.as_deref(), &data, json, output).await,
        Command::Check { folder } => check(&folder.config, json, output),
        Command::Diff { folder, data } => diff(&folder.config, &data, json, output).await,
        Command::Explain { order, data } => explain(&order, &data, json, output).await,
    }
}

async fn active(data: &Data) -> anyhow::Result<(Files, Configuration)> {
    let (_, store) = data.open()?;
    let files = Files::from_bytes(&host::active(&store).await?.bytes)?;
    let configuration = files.check()?;
    Ok((files, configuration))
}

async fn show(id: Option<&str>, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (_, configuration) = active(data).await?;
    let grants = configuration.authority.grants();
    let Some(id) = id else {
        grants.iter().try_for_each(|grant| show_one(grant, json, output, false))?;
        return configuration.authority.data_grants().iter().try_for_each(|grant| show_data(grant, json, output));
    };
    let known = || grants.iter().map(|grant| format!("`{}`", grant.id)).collect::<Vec<_>>().join(", ");
    let grant = grants.iter().find(|grant| grant.id == id);
    let grant = grant.ok_or_else(|| anyhow::anyhow!("there is no grant `{id}`; those in force are {}", known()))?;
    show_one(grant, json, output, true)
}

fn show_one(grant: &Grant, json: bool, output: &mut Output, in_full: bool) -> anyhow::Result<()> {
    let over = grant.is_over(SystemClock.now());
    let terms = grant.terms();
    if json {
        let terms: serde_json::Map<_, _> =
            terms.into_iter().map(|term| (term.key.to_owned(), term.value.into())).collect();
        return output.json(&json!({
            "id": grant.id, "plugin": grant.plugin, "owner": grant.owner, "summary": grant.summary(),
            "expired": over, "terms": terms,
        }));
    }
    let expired = if over { "; EXPIRED, it grants nothing" } else { "" };
    output.line(&format!("{}{expired}", grant.summary()))?;
    if in_full {
        for term in terms {
            output.line(&format!("    {:<28} {}", term.key, term.value))?;
        }
    }
    Ok(())
}

/// What a scorer sees.
fn show_data(grant: &DataGrant, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let over = grant.is_over(SystemClock.now());
    if json {
        return output.json(&json!({
            "plugin": grant.plugin, "owner": grant.owner, "expires": grant.expires, "expired": over,
            "sees": grant.fields.words(), "summary": grant.summary(),
        }));
    }
    let expired = if over { "; EXPIRED, it shows nothing" } else { "" };
    output.line(&format!("data: {}{expired}", grant.summary()))
}

fn check(config: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let configuration = Files::read(config)?.check_new(SystemClock.now())?;
    let (grants, warnings) = (configuration.authority.grants().len(), configuration.warnings());
    if json {
        return output.json(&json!({ "grants": grants, "warnings": warnings }));
    }
    output.line(&format!("{grants} grant(s), and the policies and rules beside them, can be put in force"))?;
    warnings.iter().try_for_each(|warning| output.line(&format!("warning: {warning}")))
}

async fn diff(config: &Path, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let proposed = Files::read(config)?;
    let (active_files, before) = active(data).await?;
    let after = proposed.check_new(SystemClock.now())?;
    let grants = changes(before.authority.grants(), after.authority.grants());
    let data = changes_of_data(before.authority.data_grants(), after.authority.data_grants(), SystemClock.now());
    let grants = grants.iter().map(|change| (change.direction(), change.to_string()));
    let changes: Vec<(Direction, String)> = grants.chain(data).collect();
    let policies = !active_files.has_the_policies_of(&proposed);
    if json {
        let changes: Vec<_> =
            changes.iter().map(|(direction, text)| json!({ "direction": direction.as_str(), "text": text })).collect();
        return output.json(&json!({ "changes": changes, "policiesDiffer": policies }));
    }
    changes.iter().try_for_each(|(direction, text)| output.line(&format!("{}: {text}", direction.as_str())))?;
    if policies {
        output.line("other: the policies differ; what they permit cannot be compared, so read both")?;
    }
    let count = |wanted| changes.iter().filter(|(direction, _)| *direction == wanted).count();
    let (wider, narrower) = (count(Direction::Wider), count(Direction::Narrower));
    output.line(&match count(Direction::Other) + usize::from(policies) {
        0 if changes.is_empty() => "the grants and policies are those in force".to_owned(),
        other => format!("{wider} wider, {narrower} narrower, {other} that people have to compare"),
    })
}

async fn explain(text: &str, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (_, store) = data.open()?;
    let order = order::find(store.as_ref(), text).await?;
    let record = order::decided(store.as_ref(), &order).await?;
    if json {
        let verdicts = record.as_ref().map(|record| record.verdicts.iter().map(as_json).collect::<Vec<_>>());
        return output.json(&json!({
            "order": order.id, "number": order.number, "state": order.state.as_str(), "why": order.why,
            "erased": record.is_none(), "verdicts": verdicts,
        }));
    }
    output.line(&format!("order {} ({}) is {}: {}", order.number, order.id, order.state.as_str(), order.why))?;
    match record {
        None => output.line("why it was decided so is gone: its content was erased"),
        Some(record) => tell(&order, &record, output),
    }
}

fn tell(order: &OrderView, record: &DecisionRecord, output: &mut Output) -> anyhow::Result<()> {
    for finding in &record.findings {
        let line = finding.line.as_ref().map_or_else(String::new, |line| format!(" in line {line}"));
        output.line(&format!(
            "a rule of the company's own, `{}`, found {}{line}, expected {}: {}; no plugin has a part in that",
            finding.code, finding.found, finding.expected, finding.consequence
        ))?;
    }
    if record.verdicts.is_empty() {
        output.line("no plugin asked for anything, so nothing had to be granted")?;
    }
    for verdict in &record.verdicts {
        tell_verdict(verdict, output)?;
    }
    output.line(&format!(
        "decided {} for an order of {}, under configuration {}",
        record.decided_at, order.value, record.configuration
    ))
}

fn tell_verdict(verdict: &VerdictRecord, output: &mut Output) -> anyhow::Result<()> {
    let VerdictRecord { plugin, proposed, outcome, effect, grant, policies, clauses, .. } = verdict;
    let asked = proposed.as_deref().unwrap_or("do something unknown");
    output.line("")?;
    output.line(&match outcome.as_str() {
        "granted" => format!("`{plugin}` asked to {asked}, and got it: {effect}"),
        "narrowed" => format!("`{plugin}` asked to {asked}, and got less: {effect}"),
        _ => format!("`{plugin}` asked to {asked}, and got nothing: {effect}"),
    })?;
    output.line(&format!("  because {}", meaning(&verdict.code)))?;
    match grant {
        Some(grant) => output.line(&format!("  by grant `{grant}`; `portreeve grant show {grant}` shows its terms"))?,
        None => output.line("  by no grant")?,
    }
    for ClauseRecord { name, found, required, held } in clauses {
        let mark = if *held { "ok" } else { "NO" };
        let about = Clause::about(name).unwrap_or("something else");
        output.line(&format!("  {mark}  {about} ({name}): found {found}; required {required}"))?;
    }
    if !policies.is_empty() {
        output.line(&format!("  the policies that decided: {}", policies.join(", ")))?;
    }
    Ok(())
}

/// What a recorded code means. A later version may have written one that this does not know.
fn meaning(code: &str) -> &str {
    Code::ALL.into_iter().find(|known| known.as_str() == code).map_or(code, |known| known.meaning())
}

fn as_json(verdict: &VerdictRecord) -> serde_json::Value {
    let clauses: Vec<_> = verdict
        .clauses
        .iter()
        .map(|clause| {
            json!({
                "name": clause.name, "about": Clause::about(&clause.name), "found": clause.found,
                "required": clause.required, "held": clause.held,
            })
        })
        .collect();
    json!({
        "plugin": verdict.plugin, "proposed": verdict.proposed, "outcome": verdict.outcome, "code": verdict.code,
        "because": meaning(&verdict.code), "effect": verdict.effect, "grant": verdict.grant,
        "policies": verdict.policies, "clauses": clauses, "budgetSpent": verdict.budget_spent,
    })
}
