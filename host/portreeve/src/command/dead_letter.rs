//! `dead-letter`: deliveries that were given up, named by their exception.

use std::sync::Arc;

use anyhow::Context;
use portreeve_pipeline::dead_letter::DeadLetterAction;
use portreeve_store::Store;
use portreeve_store::contract::DeadLetter;

use super::Data;
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

/// Rows that are read at once.
const PAGE: u32 = 256;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// All of them, oldest first.
    List {
        #[command(flatten)]
        data: Data,
    },
    /// One of them.
    Show {
        /// Its number in the list.
        number: u64,
        #[command(flatten)]
        data: Data,
    },
    /// Try it again, after asking the target about earlier attempts; `serve` does it.
    Replay {
        /// Its number in the list.
        number: u64,
        #[command(flatten)]
        data: Data,
    },
    /// Give it up for good.
    Abandon {
        /// Its number in the list.
        number: u64,
        #[command(flatten)]
        data: Data,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::List { data } => {
            let (_, store) = data.open()?;
            let mut after = 0;
            loop {
                let page = store.dead_letters(after, PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after = last.exception;
                page.iter().try_for_each(|letter| show(letter, json, output))?;
            }
        }
        Command::Show { number, data } => {
            let (_, store) = data.open()?;
            show(&find(store.as_ref(), number).await?, json, output)
        }
        Command::Replay { number, data } => resolve(number, DeadLetterAction::Replay, &data, json, output).await,
        Command::Abandon { number, data } => resolve(number, DeadLetterAction::Abandon, &data, json, output).await,
    }
}

async fn resolve(
    number: u64,
    action: DeadLetterAction,
    data: &Data,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let (locations, store) = data.open_to_write()?;
    let letter = find(store.as_ref(), number).await?;
    let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    let outbox = host.pipeline.resolve_dead_letter(number, action).await?;
    host.sequencer.sequence_all().await?;
    let done = match action {
        DeadLetterAction::Replay => "pending",
        DeadLetterAction::Abandon => "abandoned",
    };
    if json {
        return output.json(&serde_json::json!({ "number": number, "outbox": outbox.0, "state": done }));
    }
    output.line(&format!("delivery of order {} to {} is {done}", letter.number, letter.target))
}

async fn find(store: &dyn Store, number: u64) -> anyhow::Result<DeadLetter> {
    let found = store.dead_letters(number.saturating_sub(1), 1).await?;
    found
        .into_iter()
        .find(|letter| letter.exception == number)
        .with_context(|| format!("there is no dead letter {number}; `portreeve dead-letter list` shows all"))
}

fn show(letter: &DeadLetter, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(&serde_json::json!({
            "number": letter.exception, "outbox": letter.outbox.0, "order": letter.order,
            "orderNumber": letter.number, "target": letter.target, "kind": letter.kind,
            "attempts": letter.attempts, "replays": letter.replays, "blocks": letter.blocks,
            "code": letter.code, "detail": letter.detail, "queue": letter.queue,
            "since": letter.since.to_string(),
        }));
    }
    let blocks = if letter.blocks { ", later deliveries of the order wait for it" } else { "" };
    output.line(&format!(
        "{:>4}  {}  {:<16}  to {}, {} attempt(s){blocks}  {}: {}",
        letter.exception, letter.since, letter.number, letter.target, letter.attempts, letter.code, letter.detail
    ))
}
