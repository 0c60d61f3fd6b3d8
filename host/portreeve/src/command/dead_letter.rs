//! `dead-letter`: deliveries that were given up, named by their exception, as which they are
//! decided about; in a stopped host's folder, or of a running host over HTTP.

use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::dead_letter::{Letter, Letters};
use portreeve_store::Store;

use super::{Data, Running};
use crate::client::{Answer, Server};
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
    }
}

/// Where dead letters are read.
enum Place {
    Folder(Arc<dyn Store>),
    Host(Server),
}

impl Place {
    fn to_read(of: &Of) -> anyhow::Result<Self> {
        match of.running.server()? {
            Some(server) => Ok(Self::Host(server)),
            None => of.data.open().map(|(_, store)| Self::Folder(store)),
        }
    }

    async fn page(&self, after: u64, limit: u32) -> anyhow::Result<Vec<Letter>> {
        match self {
            Self::Folder(store) => Ok(store.dead_letters(after, limit).await?.into_iter().map(Letter::of).collect()),
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
