//! `retention`: removing old content by hand, on a host that does not run.

use std::sync::Arc;

use anyhow::Context;
use portreeve_pipeline::Clock;
use portreeve_pipeline::retention::Retained;

use super::Data;
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Remove the content of finished orders that is older than `content_days`, once;
    /// `serve` does it by itself every hour.
    Run {
        #[command(flatten)]
        data: Data,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Command::Run { data } = command;
    let (locations, store) = data.open_to_write()?;
    let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    let retention = host
        .retention
        .context("the active configuration keeps everything; add `[retention]` with `content_days` to portreeve.toml and run `portreeve init`")?;
    let before = retention.before(SystemClock.now());
    let ended = host.pipeline.forget_finished(before, || false).await;
    // What was removed before a failure is in the log all the same.
    host.sequencer.sequence_all().await?;
    let Retained { forgotten, open } = ended?;
    if json {
        return output.json(&serde_json::json!({
            "before": before.to_string(), "inputs": forgotten.inputs, "orders": forgotten.orders,
            "payloads": forgotten.payloads, "open": open,
        }));
    }
    output.line(&format!(
        "the content of {} input(s) with {} order(s) that were finished before {before} is removed; {open} older one(s) are open or came to rest later",
        forgotten.inputs, forgotten.orders
    ))
}
