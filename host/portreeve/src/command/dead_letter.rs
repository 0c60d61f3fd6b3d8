//! `dead-letter`: deliveries that were given up, named by their exception, as which they are
//! decided about; in a stopped host's folder, or of a running host over HTTP.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portreeve_api::dead_letter::{
    Letter, Letters, LettersTogether, RetriedLetter, RetriedTogether, RetryRequest, wanted,
};
use portreeve_store::Store;

use super::BadUsage;
use super::acting::Deciding;
use super::exception::{short, whole};
use super::looking::{Place, asked};
use super::plugin::{Of, understood};
use crate::client::Server;
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
    /// Those of one target that would be tried again together.
    Together {
        #[command(flatten)]
        those: Those,
        #[command(flatten)]
        of: Of,
    },
    /// Have exactly those tried again that `together` showed. Each is a decision of its own.
    Retry {
        #[command(flatten)]
        those: Those,
        #[command(flatten)]
        deciding: Deciding,
        #[command(flatten)]
        of: Of,
    },
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(super) struct Those {
    /// The target.
    #[arg(long)]
    target: String,
    /// Only those that were given up with this code.
    #[arg(long)]
    code: Option<String>,
    /// At most so many, those first that were given up first.
    #[arg(long, value_name = "NUMBER")]
    most: u32,
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::List { of } => {
            let place = of.store().await?;
            let mut after = 0;
            loop {
                let page = page(&place, after, PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after = last.number;
                page.iter().try_for_each(|letter| show(letter, json, output))?;
            }
        }
        Command::Show { number, of } => show(&letter(&of.store().await?, number).await?, json, output),
        Command::Together { those, of } => {
            let found = those.shown(&of).await?;
            if json { output.json(&found) } else { show_together(&found, output) }
        }
        Command::Retry { those, deciding, of } => {
            let RetriedTogether { letters } = those.retried(&of, deciding).await?;
            letters.iter().try_for_each(|letter| told(letter, json, output))
        }
    }
}

fn show_together(found: &LettersTogether, output: &mut Output) -> anyhow::Result<()> {
    found.dead_letters.iter().try_for_each(|letter| show(letter, false, output))?;
    let more = if found.more { ", and there are more" } else { "" };
    output.line(&format!("{} together{more}; shown {}", found.dead_letters.len(), short(&found.shown)))
}

fn told(letter: &RetriedLetter, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(letter);
    }
    match &letter.why {
        None => output.line(&format!("{:>4}  is tried again", letter.number)),
        Some(why) => output.line(&format!("{:>4}  is not tried again: {why}", letter.number)),
    }
}

impl Those {
    /// What would go, as it is now.
    async fn shown(&self, of: &Of) -> anyhow::Result<LettersTogether> {
        let wanted = wanted(&self.target, self.code.as_deref(), self.most).map_err(BadUsage)?;
        match of.place(of.data.to_look()).await? {
            Place::Folder(host) => Ok(LettersTogether::read(&host.pipeline, wanted).await?),
            Place::Host(server) => self.shown_by(&server).await,
        }
    }

    async fn shown_by(&self, server: &Server) -> anyhow::Result<LettersTogether> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let code = self.code.as_deref().map_or_else(String::new, |code| format!("&code={}", encoded(code)));
        let path = format!("/v1/dead-letters/together?target={}&most={}{code}", encoded(&self.target), self.most);
        asked(server, &path).await
    }

    async fn retried(&self, of: &Of, deciding: Deciding) -> anyhow::Result<RetriedTogether> {
        let Deciding { shown: typed, reason, acting } = deciding;
        let wanted = wanted(&self.target, self.code.as_deref(), self.most).map_err(BadUsage)?;
        if let Some(server) = of.running.server()? {
            let shown = self.is_shown(&typed, &self.shown_by(&server).await?.shown)?;
            let (target, code) = (self.target.clone(), self.code.clone());
            let request = RetryRequest { target, code, most: self.most, shown, reason };
            let body = serde_json::to_vec(&request).context("the request has no JSON")?;
            let headers = [("content-type", "application/json")];
            let answer = server.send(Method::POST, "/v1/dead-letters/together", &headers, Bytes::from(body)).await?;
            return understood(&answer);
        }
        acting.somebody()?;
        let (locations, store) = of.data.open_to_write_or_ask()?;
        let place = acting.open_in(&locations, store).await?;
        let (pipeline, who) = (&place.host.pipeline, &place.who);
        let done = async {
            let now = pipeline.show_letters(wanted).await?.digest;
            self.is_shown(&typed, &now.to_string())?;
            anyhow::Ok(pipeline.retry_letters(who, wanted, now, &reason).await?)
        };
        let done = done.await;
        Ok(RetriedTogether::of(place.finish(done).await?))
    }

    /// The whole digest that somebody typed the beginning of.
    fn is_shown(&self, typed: &str, now: &str) -> anyhow::Result<String> {
        whole(typed, now)?.with_context(|| {
            format!(
                "what was given up for `{}` is not what `{typed}` was shown of; `dead-letter together` shows what it is now",
                self.target
            )
        })
    }
}

async fn page(place: &Place<Arc<dyn Store>>, after: u64, limit: u32) -> anyhow::Result<Vec<Letter>> {
    match place {
        Place::Folder(store) => Ok(store.dead_letters(after, limit).await?.into_iter().map(Letter::of).collect()),
        Place::Host(server) => {
            let page: Letters = asked(server, &format!("/v1/dead-letters?after={after}&limit={limit}")).await?;
            Ok(page.dead_letters)
        }
    }
}

async fn letter(place: &Place<Arc<dyn Store>>, number: u64) -> anyhow::Result<Letter> {
    let found = page(place, number.saturating_sub(1), 1).await?;
    found
        .into_iter()
        .find(|letter| letter.number == number)
        .with_context(|| format!("there is no dead letter {number}; `portreeve dead-letter list` shows all"))
}

fn show(letter: &Letter, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(letter);
    }
    let blocks = if letter.blocks { ", later deliveries of the order wait for it" } else { "" };
    let about = letter.order_number.as_ref().or(letter.item.as_ref()).map_or("", String::as_str);
    output.line(&format!(
        "{:>4}  {}  {about:<16}  to {}, {} attempt(s){blocks}  {}: {}",
        letter.number, letter.since, letter.target, letter.attempts, letter.code, letter.detail
    ))
}
