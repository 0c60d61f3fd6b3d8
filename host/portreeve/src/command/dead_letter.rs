//! `dead-letter`: deliveries that were given up, named by their exception; in a
//! stopped host's folder, or of a running host over HTTP.

use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::dead_letter::{Letter, Letters, Resolved, state_after};
use portreeve_pipeline::dead_letter::DeadLetterAction;
use portreeve_store::Store;

use super::acting::Acting;
use super::{Data, Running};
use crate::client::{Answer, Server};
use crate::host::Locations;
use crate::output::Output;

/// Rows that are read at once.
const PAGE: u32 = 256;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// All of them, oldest first.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// One of them.
    Show {
        /// Its number in the list.
        number: u64,
        #[command(flatten)]
        of: Of,
    },
    /// Try it again, after asking the target about earlier attempts; `serve` does it.
    Replay {
        /// Its number in the list.
        number: u64,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        acting: Acting,
    },
    /// Give it up for good.
    Abandon {
        /// Its number in the list.
        number: u64,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        acting: Acting,
    },
}

/// Whose they are.
#[derive(Debug, clap::Args)]
pub(super) struct Of {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    running: Running,
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::List { of } => {
            let place = Place::to_read(&of)?;
            let mut after = 0;
            loop {
                let page = place.page(after, PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after = last.number;
                page.iter().try_for_each(|letter| show(letter, json, output))?;
            }
        }
        Command::Show { number, of } => show(&Place::to_read(&of)?.letter(number).await?, json, output),
        Command::Replay { number, of, acting } => {
            resolve(number, DeadLetterAction::Replay, (&of, &acting), json, output).await
        }
        Command::Abandon { number, of, acting } => {
            resolve(number, DeadLetterAction::Abandon, (&of, &acting), json, output).await
        }
    }
}

async fn resolve(
    number: u64,
    action: DeadLetterAction,
    (of, acting): (&Of, &Acting),
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let place = Place::to_write(of, acting)?;
    let letter = place.letter(number).await?;
    let resolved = place.resolve(number, action, acting).await?;
    if json {
        return output.json(&resolved);
    }
    output.line(&format!("delivery of order {} to {} is {}", letter.order_number, letter.target, resolved.state))
}

/// Where dead letters are read and resolved.
enum Place {
    Folder(Locations, Arc<dyn Store>),
    Host(Server),
}

impl Place {
    fn to_read(of: &Of) -> anyhow::Result<Self> {
        match of.running.server()? {
            Some(server) => Ok(Self::Host(server)),
            None => of.data.open().map(|(locations, store)| Self::Folder(locations, store)),
        }
    }

    fn to_write(of: &Of, acting: &Acting) -> anyhow::Result<Self> {
        if let Some(server) = of.running.server()? {
            return Ok(Self::Host(server));
        }
        acting.somebody()?;
        of.data.open_to_write_or_ask().map(|(locations, store)| Self::Folder(locations, store))
    }

    async fn page(&self, after: u64, limit: u32) -> anyhow::Result<Vec<Letter>> {
        match self {
            Self::Folder(_, store) => Ok(store.dead_letters(after, limit).await?.into_iter().map(Letter::of).collect()),
            Self::Host(server) => {
                let path = format!("/v1/dead-letters?after={after}&limit={limit}");
                let answer = server.send(Method::GET, &path, &[], Bytes::new()).await?;
                understood::<Letters>(&answer).map(|page| page.dead_letters)
            }
        }
    }

    async fn letter(&self, number: u64) -> anyhow::Result<Letter> {
        let found = self.page(number.saturating_sub(1), 1).await?;
        found
            .into_iter()
            .find(|letter| letter.number == number)
            .with_context(|| format!("there is no dead letter {number}; `portreeve dead-letter list` shows all"))
    }

    async fn resolve(&self, number: u64, action: DeadLetterAction, acting: &Acting) -> anyhow::Result<Resolved> {
        match self {
            Self::Folder(locations, store) => {
                let place = acting.open_in(locations, Arc::clone(store)).await?;
                let done = place.host.pipeline.resolve_dead_letter(number, action, &place.who).await;
                let outbox = place.finish(done).await?;
                Ok(Resolved { number, outbox: outbox.0, state: state_after(action).to_owned() })
            }
            Self::Host(server) => {
                let word = match action {
                    DeadLetterAction::Replay => "replay",
                    DeadLetterAction::Abandon => "abandon",
                };
                let path = format!("/v1/dead-letters/{number}/{word}");
                understood(&server.send(Method::POST, &path, &[], Bytes::new()).await?)
            }
        }
    }
}

fn understood<T: serde::de::DeserializeOwned>(answer: &Answer) -> anyhow::Result<T> {
    if answer.status != 200 {
        bail!("{}", answer.problem().1);
    }
    serde_json::from_slice(&answer.body).context("the server's answer cannot be understood; is it a portreeve?")
}

fn show(letter: &Letter, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(letter);
    }
    let blocks = if letter.blocks { ", later deliveries of the order wait for it" } else { "" };
    output.line(&format!(
        "{:>4}  {}  {:<16}  to {}, {} attempt(s){blocks}  {}: {}",
        letter.number, letter.since, letter.order_number, letter.target, letter.attempts, letter.code, letter.detail
    ))
}
