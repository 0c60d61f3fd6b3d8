//! `input`: inputs of authenticated senders of which nothing was taken, why, and what they said, and
//! what any other input said; of a data folder, or of a running host over HTTP. Nothing is changed by it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::untaken::{self, UntakenInput, UntakenInputs};
use portreeve_store::Store;
use portreeve_store::contract::UntakenWanted;

use super::BadUsage;
use super::acting::Acting;
use super::looking::{Place, asked, encoded};
use super::plugin::Of;
use crate::files;
use crate::output::Output;

/// Rows that are read at once.
const PAGE: u32 = 256;

/// What a record that cannot be read asks for.
const UNREADABLE: &str = "the record of an input cannot be read; run `portreeve audit verify`";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// All of which nothing was taken, oldest first, and why.
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        of: Of,
    },
    /// One of them, with what was wrong with it.
    Show {
        /// Its number in the list, or its id.
        input: String,
        #[command(flatten)]
        of: Of,
    },
    /// Write the bytes of any input into a file, for whoever works on its channel's queue or approves in it.
    Content {
        /// Its id, as `exception show` tells it; its number in the list, where nothing of it was taken.
        input: String,
        /// The file, which only you can read then.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        acting: Acting,
    },
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Only those that were `rejected` by their connector, `unparsed` since that failed, or
    /// `refused` by the host.
    #[arg(long)]
    outcome: Option<String>,
    /// Only those of this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only those that were received from then on, such as 2026-03-02T18:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::List { which, of } => {
            let wanted = which.wanted()?;
            let place = of.store().await?;
            let mut after = 0;
            loop {
                let page = page(&place, &which, UntakenWanted { after, limit: PAGE, ..wanted.clone() }).await?;
                for input in &page.inputs {
                    if json { output.json(input)? } else { output.line(&line(input))? }
                }
                let Some(next) = page.next else { return Ok(()) };
                after = next;
            }
        }
        Command::Show { input, of } => {
            let found = one(&of.store().await?, &input).await?;
            if json { output.json(&found) } else { show(&found, &of, output) }
        }
        Command::Content { input, out, of, acting } => {
            let bytes = content(&input, &of, &acting).await?;
            files::write_private(&out, &bytes)?;
            if json {
                return output.json(&serde_json::json!({ "input": input, "bytes": bytes.len(), "out": out }));
            }
            output.line(&format!("{} bytes of input {input} are in `{}`", bytes.len(), out.display()))
        }
    }
}

impl Which {
    fn wanted(&self) -> Result<UntakenWanted, BadUsage> {
        untaken::wanted(self.outcome.as_deref(), self.channel.as_deref(), self.since.as_deref()).map_err(BadUsage)
    }

    /// The same, for an address.
    fn query(&self) -> String {
        let named = [("outcome", &self.outcome), ("channel", &self.channel), ("since", &self.since)];
        let said = named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        said.map(|(name, value)| format!("&{name}={}", encoded(value))).collect()
    }
}

async fn page(place: &Place<Arc<dyn Store>>, which: &Which, wanted: UntakenWanted) -> anyhow::Result<UntakenInputs> {
    let (after, limit) = (wanted.after, wanted.limit);
    match place {
        Place::Folder(store) => UntakenInputs::of(store.untaken_inputs(wanted).await?, limit).context(UNREADABLE),
        Place::Host(server) => {
            let path = format!("/v1/inputs?after={after}&limit={limit}{}", which.query());
            asked(server, &path).await
        }
    }
}

async fn one(place: &Place<Arc<dyn Store>>, named: &str) -> anyhow::Result<UntakenInput> {
    match place {
        Place::Folder(store) => {
            let Some(found) = untaken::find(store.as_ref(), named).await? else {
                bail!("{}", untaken::missing(store.as_ref(), named).await?)
            };
            UntakenInput::of(found).context(UNREADABLE)
        }
        Place::Host(server) => asked(server, &format!("/v1/inputs/{}", encoded(named))).await,
    }
}

async fn content(named: &str, of: &Of, acting: &Acting) -> anyhow::Result<Vec<u8>> {
    if let Some(server) = of.running.server()? {
        let path = format!("/v1/inputs/{}/content", encoded(named));
        let answer = server.send(Method::GET, &path, &[], Bytes::new()).await?;
        if answer.status != 200 {
            bail!("{}", answer.problem().1);
        }
        return Ok(answer.body.to_vec());
    }
    acting.somebody()?;
    let (locations, store) = of.data.open_to_write_or_ask()?;
    let place = acting.open_in(&locations, store).await?;
    let pipeline = &place.host.pipeline;
    let shown = async {
        let found = untaken::find_content(pipeline.store.as_ref(), named).await?;
        let found = found.with_context(|| untaken::missing_content(named))?;
        anyhow::Ok(pipeline.content_of_input(&place.who, &found).await?)
    };
    let shown = shown.await;
    place.finish(shown).await
}

fn line(input: &UntakenInput) -> String {
    let UntakenInput { number, received_at, outcome, channel, sender, why, .. } = input;
    format!("{number:>4}  {received_at}  {outcome:<8}  {channel} from {sender}  {why}")
}

fn show(input: &UntakenInput, of: &Of, output: &mut Output) -> anyhow::Result<()> {
    output.line(&line(input))?;
    output.line(&format!("      id {}", input.id))?;
    for problem in &input.problems {
        output.line(&format!("      problem: {}", problem.told()))?;
    }
    let told = u32::try_from(input.problems.len()).unwrap_or(u32::MAX);
    let more = input.problem_count.saturating_sub(told);
    if more > 0 {
        output.line(&format!("      and {more} more"))?;
    }
    if let Some(exception) = input.exception {
        output.line(&format!("      exception {exception} is about it: exception show {exception}"))?;
    }
    let (number, content) = (input.number, &input.content);
    match &input.removed_at {
        Some(at) => output.line(&format!("      its bytes ({content}) were removed at {at}")),
        None => {
            let place = of.typed();
            output.line(&format!("      its bytes ({content}): portreeve input content {number} --out FILE {place}"))
        }
    }
}
