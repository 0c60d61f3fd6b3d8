//! `reconcile`: whether two systems say the same; in a stopped host's folder, or of a running host
//! over HTTP.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portreeve_api::reconcile::{
    Differs, NotCompared, ReconciliationFigures, ReconciliationRun, ReconciliationStanding, Reconciliations,
    RowsLeftAside, RunRequest,
};
use portreeve_authority::people::Act;

use super::acting::Acting;
use super::looking::Found;
use super::plugin::{Of, understood};
use crate::client::Patience;
use crate::output::Output;

/// A run ends when both systems have listed all that they have. So it is waited for nearly as long as the
/// host keeps a connection open, which is longer than a list asks anything. What takes longer still is on
/// record when it ends, whoever waits: a page that was asked for in time has as long as its plugins were
/// granted for a call, and two of 300 s are more than that.
const PATIENCE: Patience = Patience {
    limit: Duration::from_secs(590),
    otherwise: "the run goes on and is on record when it ends: `portreeve reconcile` without an id tells how many runs there are and what the last one found, and `portreeve exception list` what it filed",
};

/// Which two systems, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Reconcile {
    /// The reconciliation, as `portreeve.toml` names it; without one, how far each is.
    id: Option<String>,
    /// Only look: tell what differs, and file nothing.
    #[arg(long, requires = "id")]
    dry_run: bool,
    #[command(flatten)]
    acting: Acting,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run(command: Reconcile, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Some(id) = &command.id else {
        let found = command.standing().await?;
        return if json {
            output.json(&found)
        } else {
            found.reconciliations.iter().try_for_each(|one| show(one, output))
        };
    };
    let done = command.done(id).await?;
    if json {
        output.json(&done)?;
    } else if done.not_compared.is_none() {
        show_run(&done, output)?;
    }
    match &done.not_compared {
        Some(NotCompared { system, why, .. }) => {
            bail!("found no whole list of {system}, so nothing was compared: {why}")
        }
        None => Ok(()),
    }
}

impl Reconcile {
    async fn standing(&self) -> anyhow::Result<Reconciliations> {
        Ok(match self.of.look("/v1/reconciliations").await? {
            Found::Told(found) => found,
            Found::InFolder(host) => Reconciliations::read(&host.pipeline).await?,
        })
    }

    async fn done(&self, id: &str) -> anyhow::Result<ReconciliationRun> {
        if let Some(server) = self.of.running.server()? {
            let path = format!("/v1/reconciliations/{}/runs", utf8_percent_encode(id, NON_ALPHANUMERIC));
            let body = serde_json::to_vec(&RunRequest { dry_run: self.dry_run }).context("the request has no JSON")?;
            let headers = [("content-type", "application/json")];
            let answer = server.send_within(PATIENCE, Method::POST, &path, &headers, Bytes::from(body)).await?;
            return understood(&answer);
        }
        self.acting.somebody()?;
        let (locations, store) = self.of.data.open_to_write_or_ask()?;
        let place = self.acting.open_in(&locations, store).await?;
        let (pipeline, who) = (&place.host.pipeline, &place.who);
        let done = async {
            pipeline.may(who, Act::Operate)?;
            anyhow::Ok(pipeline.reconcile(id, Some(who), self.dry_run).await?)
        };
        let done = done.await;
        Ok(ReconciliationRun::of(place.finish(done).await?))
    }
}

fn show(standing: &ReconciliationStanding, output: &mut Output) -> anyhow::Result<()> {
    let ReconciliationStanding { id, of, left, right, runs, compared, .. } = standing;
    let found = match compared {
        None => "nothing compared yet".to_owned(),
        Some(ReconciliationFigures { at, compared, agreeing, unsettled, differences }) => format!(
            "at {at} {agreeing} of {compared} agreed, {differences} differed, {unsettled} had changed too lately"
        ),
    };
    output.line(&format!("{id}  {of} of {left} and {right}, {runs} run(s): {found}"))
}

fn show_run(run: &ReconciliationRun, output: &mut Output) -> anyhow::Result<()> {
    run.differs.iter().try_for_each(|Differs { detail, .. }| output.line(detail))?;
    run.left_aside.iter().try_for_each(|RowsLeftAside { detail, .. }| output.line(detail))?;
    let ReconciliationRun { compared, agreeing, unsettled, differences, opened, closed, abandoned, not_filed, .. } =
        run;
    output.line(&format!(
        "{compared} compared: {agreeing} agree, {differences} differ; {unsettled} changed too lately to be judged"
    ))?;
    if run.dry_run {
        return output.line("nothing was filed");
    }
    let beyond = if *not_filed > 0 { format!(", {not_filed} not filed one by one") } else { String::new() };
    let abandoned = if *abandoned > 0 { format!(", {abandoned} abandoned before") } else { String::new() };
    output.line(&format!(
        "{opened} new exception(s), {closed} closed{abandoned}{beyond}; `portreeve exception list` shows what waits"
    ))
}

#[cfg(test)]
mod tests {
    use portreeve_pipeline::reconcile::ASKED_MS_MAX;

    use super::*;

    #[test]
    fn a_run_is_waited_for_longer_than_its_lists_ask_and_not_longer_than_the_host_answers() {
        let asked_ms = u64::try_from(ASKED_MS_MAX).unwrap_or(u64::MAX);
        // A page is one request: its connection, its answer and a pause while reading take less than that, unless
        // its plugins were granted more.
        assert!(PATIENCE.limit > Duration::from_millis(asked_ms) + Duration::from_secs(90));
        assert!(PATIENCE.limit < portreeve_api::Limits::default().connection_within);
    }
}
