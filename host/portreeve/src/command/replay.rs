//! `replay`: what a target took and lost, sent again from history; in a stopped host's folder, or of
//! a running host over HTTP. `dry-run` shows what would go, `run` does exactly that.

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portreeve_api::replay::{
    LeftOutDelivery, ReplayDelivery, ReplayOutcome, ReplayPlan, ReplayRange, ReplayRequest, ReplayRow, Replays,
};

use super::BadUsage;
use super::acting::Deciding;
use super::exception::{short, whole};
use super::looking::{Place, asked};
use super::plugin::{Of, understood};
use crate::client::Server;
use crate::host::Host;
use crate::output::Output;

/// Replays that are read at once.
const PAGE: u32 = 100;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// What would be sent again, what not and why. Writes nothing.
    DryRun {
        #[command(flatten)]
        those: Those,
        #[command(flatten)]
        of: Of,
    },
    /// Have exactly that sent again which `dry-run` showed. The target is asked first, and what it
    /// still has is not sent; one that knows again what it has is not asked.
    Run {
        #[command(flatten)]
        those: Those,
        #[command(flatten)]
        deciding: Deciding,
        #[command(flatten)]
        of: Of,
    },
    /// Replays that there were, and how far they are.
    List {
        #[command(flatten)]
        of: Of,
    },
}

/// Which deliveries.
#[derive(Debug, clap::Args)]
pub(super) struct Those {
    /// The target that lost them.
    #[arg(long)]
    target: String,
    /// It took them from then on, for example 2026-03-02T06:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// And before then.
    #[arg(long, value_name = "TIME")]
    until: String,
    /// Only of orders that came by this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only messages of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Also orders of which goods have left: for a target that only writes down. One that ships
    /// would ship them again.
    #[arg(long)]
    shipped: bool,
    /// At most so many, those first that were decided first.
    #[arg(long, value_name = "NUMBER")]
    most: u32,
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::DryRun { those, of } => {
            let plan = those.shown(&of).await?;
            if json { output.json(&plan) } else { show_plan(&plan, output) }
        }
        Command::Run { those, deciding, of } => {
            let done = those.replayed(&of, deciding).await?;
            if json { output.json(&done) } else { show_outcome(&done, output) }
        }
        Command::List { of } => {
            let replays = all(&of).await?;
            replays.iter().try_for_each(|replay| if json { output.json(replay) } else { show_row(replay, output) })
        }
    }
}

impl Those {
    fn range(&self) -> ReplayRange {
        ReplayRange {
            target: self.target.clone(),
            channel: self.channel.clone(),
            kind: self.kind.clone(),
            from: self.from.clone(),
            until: self.until.clone(),
            shipped: self.shipped,
            most: self.most,
        }
    }

    /// What would go, as it is now.
    async fn shown(&self, of: &Of) -> anyhow::Result<ReplayPlan> {
        let range = self.range();
        let wanted = range.read().map_err(BadUsage)?;
        match of.place(of.data.to_look()).await? {
            Place::Folder(host) => Ok(ReplayPlan::of(host.pipeline.show_replay(wanted.of_pipeline()).await?)),
            Place::Host(server) => self.shown_by(&server).await,
        }
    }

    async fn shown_by(&self, server: &Server) -> anyhow::Result<ReplayPlan> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut path = format!(
            "/v1/replays/dry-run?target={}&from={}&until={}&shipped={}&most={}",
            encoded(&self.target),
            encoded(&self.from),
            encoded(&self.until),
            self.shipped,
            self.most
        );
        for (name, value) in [("channel", &self.channel), ("kind", &self.kind)] {
            if let Some(value) = value {
                path = format!("{path}&{name}={}", encoded(value));
            }
        }
        asked(server, &path).await
    }

    async fn replayed(&self, of: &Of, deciding: Deciding) -> anyhow::Result<ReplayOutcome> {
        let Deciding { shown: typed, reason, acting } = deciding;
        let range = self.range();
        let wanted = range.read().map_err(BadUsage)?;
        if let Some(server) = of.running.server()? {
            let shown = match self.is_shown(&typed, &self.shown_by(&server).await?.shown) {
                Ok(shown) => shown,
                Err(stale) => done_before(&all(of).await?, &typed)?.ok_or(stale)?,
            };
            let body =
                serde_json::to_vec(&ReplayRequest { range, shown, reason }).context("the request has no JSON")?;
            let headers = [("content-type", "application/json")];
            let answer = server.send(Method::POST, "/v1/replays", &headers, Bytes::from(body)).await?;
            return understood(&answer);
        }
        acting.somebody()?;
        let (locations, store) = of.data.open_to_write_or_ask()?;
        let place = acting.open_in(&locations, store).await?;
        let (pipeline, who) = (&place.host.pipeline, &place.who);
        let done = async {
            let now = pipeline.show_replay(wanted.of_pipeline()).await?.digest;
            let shown = match self.is_shown(&typed, &now.to_string()) {
                Ok(shown) => shown,
                Err(stale) => done_before(&rows_of(&place.host).await?, &typed)?.ok_or(stale)?,
            };
            let request = ReplayRequest { range: range.clone(), shown, reason };
            let shown = request.shown().map_err(BadUsage)?;
            let replayed = pipeline.replay(who, wanted.of_pipeline(), shown, &request.reason).await?;
            anyhow::Ok(ReplayOutcome::of(pipeline, replayed).await?)
        };
        let done = done.await;
        place.finish(done).await
    }

    /// The whole digest that somebody typed the beginning of.
    fn is_shown(&self, typed: &str, now: &str) -> anyhow::Result<String> {
        whole(typed, now)?.with_context(|| {
            format!(
                "what would be sent again to `{}` is not what `{typed}` was shown of; `replay dry-run` shows what it is now",
                self.target
            )
        })
    }
}

/// The digest of a replay that is on record, of which somebody typed the beginning.
fn done_before(replays: &[ReplayRow], typed: &str) -> anyhow::Result<Option<String>> {
    for replay in replays {
        if let Some(shown) = whole(typed, &replay.shown)? {
            return Ok(Some(shown));
        }
    }
    Ok(None)
}

/// All replays that there were.
async fn all(of: &Of) -> anyhow::Result<Vec<ReplayRow>> {
    let server = match of.place(of.data.to_look()).await? {
        Place::Folder(host) => return rows_of(&host).await,
        Place::Host(server) => server,
    };
    let (mut replays, mut next) = (Vec::new(), Some(0));
    while let Some(after) = next {
        let page: Replays = asked(&server, &format!("/v1/replays?after={after}&limit={PAGE}")).await?;
        replays.extend(page.replays);
        next = page.next;
    }
    Ok(replays)
}

async fn rows_of(host: &Host) -> anyhow::Result<Vec<ReplayRow>> {
    let (mut replays, mut after) = (Vec::new(), 0);
    loop {
        let page = host.pipeline.store.replays(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(replays) };
        after = last.number;
        for replay in page {
            replays.push(ReplayRow::of(&host.pipeline, replay).await?);
        }
    }
}

fn show_plan(plan: &ReplayPlan, output: &mut Output) -> anyhow::Result<()> {
    plan.deliveries.iter().try_for_each(|delivery| output.line(&told(delivery)))?;
    plan.left_out.iter().try_for_each(|left_out| show_left_out(left_out, output))?;
    let shown = u64::try_from(plan.left_out.len()).unwrap_or(u64::MAX);
    if plan.left_out_count > shown {
        output.line(&format!("and {} more that would not go", plan.left_out_count.saturating_sub(shown)))?;
    }
    let more = if plan.more { ", and there are more" } else { "" };
    output.line(&format!(
        "{} would be sent again{more}, {} not; shown {}",
        plan.deliveries.len(),
        plan.left_out_count,
        short(&plan.shown)
    ))
}

fn told(delivery: &ReplayDelivery) -> String {
    let what = delivery.event.as_deref().unwrap_or("the order");
    let process = delivery.process.as_ref().map_or_else(String::new, |state| format!(", {state} by now"));
    let receipt = delivery.receipt.as_deref().unwrap_or("-");
    format!(
        "{}  {:<16}  {} ({what}) to {}, taken {} as {receipt}{process}",
        delivery.order, delivery.order_number, delivery.kind, delivery.target, delivery.taken_at
    )
}

fn show_left_out(left_out: &LeftOutDelivery, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!("not: {}  {}: {}", told(&left_out.delivery), left_out.code, left_out.why))
}

fn show_outcome(done: &ReplayOutcome, output: &mut Output) -> anyhow::Result<()> {
    let ReplayOutcome { replay, before } = done;
    if *before {
        output.line(&format!(
            "replay {} was done before, at {} by {}: nothing was done now",
            replay.number, replay.at, replay.who
        ))?;
    }
    show_row(replay, output)
}

fn show_row(replay: &ReplayRow, output: &mut Output) -> anyhow::Result<()> {
    let of = replay.channel.as_ref().map_or_else(String::new, |channel| format!(" of channel {channel}"));
    let kind = replay.kind.as_ref().map_or_else(String::new, |kind| format!(" as {kind}"));
    let dead = if replay.dead > 0 { format!(", {} wait for a person", replay.dead) } else { String::new() };
    output.line(&format!(
        "replay {} at {} by {}: {} of what {} took from {} until {}{of}{kind}; {} there again{dead}  shown {}: {}",
        replay.number,
        replay.at,
        replay.who,
        replay.deliveries,
        replay.target,
        replay.from,
        replay.until,
        replay.done,
        short(&replay.shown),
        replay.reason.as_deref().unwrap_or("(its reason was removed)")
    ))
}
