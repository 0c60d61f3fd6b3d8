//! `ingest`: files into a channel, one line of result for each.
//!
//! Into a stopped host's folder directly, or to a running host over HTTP. Either
//! way a file passes the same road: it is accepted, kept and mapped; `--drain` also
//! decides and delivers what waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::INPUT_BYTES_MAX;
use portreeve_api::outcome::{MEDIA_TYPE, Outcome};
use portreeve_model::Instant;
use portreeve_pipeline::accept::{AcceptError, Input};
use portreeve_pipeline::{Channel, Clock, DecideError};
use portreeve_registry::FileError;
use serde::Serialize;

use super::{Data, Running};
use crate::client::{self, Server};
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

/// How long `--drain` waits for a delivery that is to be tried again later.
const DRAIN_WAIT_MS_MAX: i64 = 60_000;

/// How often a host that is busy is asked once more, and how long its wait may be.
const BUSY_AGAIN_MAX: u32 = 10;

/// Seconds; a host asks for one.
const BUSY_WAIT_S_MAX: u64 = 30;

/// What to do about a media type that a channel does not take.
const NAME_THE_TYPE: &str = "name the files' type with `--content-type`";

/// Documents and deliveries at once while draining.
const BATCH: u32 = 64;

/// Which files, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Ingest {
    /// The channel.
    #[arg(long)]
    channel: String,
    /// Whose files they are; needed where the channel has more than one sender.
    #[arg(long, conflicts_with = "server")]
    sender: Option<String>,
    /// The files' media type, for a channel that takes only some: for example
    /// `application/json`. Into a folder it is the channel's first one unless named.
    #[arg(long)]
    content_type: Option<String>,
    /// Decide and deliver what waits, too.
    #[arg(long, conflicts_with = "server")]
    drain: bool,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    data: Data,
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// A line of the result.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

pub(super) async fn run(ingest: Ingest, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let lost = match ingest.running.server()? {
        Some(server) => over_http(&ingest, &server, json, output).await?,
        None => into_folder(&ingest, json, output).await?,
    };
    if lost > 0 {
        bail!("{lost} of {} files were not taken; their lines say why", ingest.files.len());
    }
    Ok(())
}

/// Files that were not taken.
async fn into_folder(ingest: &Ingest, json: bool, output: &mut Output) -> anyhow::Result<usize> {
    let (locations, store) = ingest.data.open_to_write_or_ask()?;
    let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    let mut lost = 0;
    for file in &ingest.files {
        let outcome = match read(file) {
            Ok(body) => taken(&host, ingest, body).await?,
            Err(refused) => Err(refused),
        };
        lost += usize::from(outcome.is_err());
        show(file, outcome, json, output)?;
    }
    let drained = if ingest.drain { drain(&host, output).await } else { Ok(()) };
    // Whatever was committed gets its index, also when the rest could not be.
    host.sequencer.sequence_all().await.context("the last leaves could not be sequenced")?;
    drained.map(|()| lost)
}

/// The outcome, or one that says why it was not taken.
async fn taken(host: &Host, ingest: &Ingest, body: Vec<u8>) -> anyhow::Result<Result<Outcome, Outcome>> {
    let sender = host.pipeline.senders.of_local_file(&ingest.channel, ingest.sender.as_deref())?;
    let channel = host.pipeline.routes.channel(sender.channel());
    let content_type = ingest.content_type.as_deref().or_else(|| channel.and_then(Channel::type_of_files));
    let input = Input::of_file(body, content_type);
    if let Some(channel) = channel.filter(|channel| !channel.takes(content_type)) {
        host.pipeline.refuse_media_type(&sender, &input).await?;
        let found = content_type.unwrap_or("none");
        let taken = channel.content_types.join(", ");
        let detail = format!("the content type is `{found}`, this channel takes {taken}; {NAME_THE_TYPE}");
        return Ok(Err(Outcome::not_taken("media-type", detail)));
    }
    match host.pipeline.accept(&sender, input).await {
        Ok(accepted) => Ok(Ok(Outcome::of(&host.pipeline, accepted).await?)),
        Err(error @ AcceptError::Store(_)) => Err(error.into()),
        Err(error) => Ok(Err(Outcome::refused(error))),
    }
}

async fn over_http(ingest: &Ingest, server: &Server, json: bool, output: &mut Output) -> anyhow::Result<usize> {
    let path = format!("/v1/channels/{}", ingest.channel);
    let mut lost = 0;
    for file in &ingest.files {
        let outcome = match read(file) {
            Ok(body) => {
                let mut headers = vec![("accept", MEDIA_TYPE)];
                headers.extend(ingest.content_type.as_deref().map(|content_type| ("content-type", content_type)));
                answered(&patiently(server, &path, &headers, Bytes::from(body)).await?)?
            }
            Err(refused) => Err(refused),
        };
        lost += usize::from(outcome.is_err());
        show(file, outcome, json, output)?;
    }
    Ok(lost)
}

/// Sends a file, and sends it again to a host that is too busy for it, or whose store
/// is: the same bytes are the same input, however often they come.
async fn patiently(
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> anyhow::Result<client::Answer> {
    let mut again = 0;
    loop {
        let answer = server.send(Method::POST, path, headers, body.clone()).await?;
        if !matches!(answer.status, 429 | 503) || again == BUSY_AGAIN_MAX {
            return Ok(answer);
        }
        again += 1;
        let asked_s = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        tokio::time::sleep(Duration::from_secs(asked_s.unwrap_or(1).min(BUSY_WAIT_S_MAX))).await;
    }
}

fn answered(answer: &client::Answer) -> anyhow::Result<Result<Outcome, Outcome>> {
    if answer.status == 200 {
        return Ok(Ok(serde_json::from_slice(&answer.body).context("the server's answer is no outcome")?));
    }
    if let Ok(refused) = serde_json::from_slice::<Outcome>(&answer.body) {
        return Ok(Err(refused));
    }
    let (code, mut sentence) = answer.problem();
    if answer.status == 415 {
        sentence = format!("{sentence}; {NAME_THE_TYPE}");
    }
    Ok(Err(Outcome::not_taken(&code, sentence)))
}

/// A file within the bytes of an input.
fn read(file: &Path) -> Result<Vec<u8>, Outcome> {
    portreeve_registry::file::read(file, INPUT_BYTES_MAX).map_err(|error| match error {
        FileError::TooLarge { .. } => Outcome::not_taken("too-large", format!("{error}; send it in parts")),
        error => Outcome::not_taken("unreadable", error.to_string()),
    })
}

fn show(file: &Path, outcome: Result<Outcome, Outcome>, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let outcome = outcome.unwrap_or_else(|refused| refused);
    let file = file.display().to_string();
    if json {
        return output.json(&Line { file, outcome: &outcome });
    }
    output.line(&format!("{file}: {}, {} event(s)", outcome.disposition, outcome.events.len()))?;
    for problem in &outcome.problems {
        output.line(&format!("    {} at {}: {}", problem.code, problem.r#where, problem.detail))?;
    }
    Ok(())
}

/// Decides and delivers until nothing is due within a minute, or until nothing goes on. What waits for a
/// subscriber that wants to hear no more is waited for by nobody, and whatever else stays due, however
/// long anybody waits, ends it.
async fn drain(host: &Host, output: &Output) -> anyhow::Result<()> {
    let pipeline = &host.pipeline;
    loop {
        // What was due by then, and was not taken up in this round, is taken up in none.
        let began = SystemClock.now();
        let decided = pipeline.decide(BATCH).await?;
        let decided = went_on(decided, |error| matches!(error, DecideError::SetAside(_)), output)
            .context("what was accepted is kept, but its decision could not be committed")?;
        let settled = went_on(pipeline.deliver_due(BATCH).await?, |_| false, output)
            .context("a delivery came to no outcome; run `portreeve serve`, which asks the target about it")?;
        if decided || settled {
            continue;
        }
        let now = SystemClock.now();
        match pipeline.next_due().await? {
            Some(due) if due > began && due.0.saturating_sub(now.0) <= DRAIN_WAIT_MS_MAX => {
                let wait_ms = u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0);
                if wait_ms >= 1_000 {
                    output.step(&format!("waiting {} s: a delivery is tried again then", wait_ms.div_ceil(1_000)))?;
                }
                tokio::time::sleep(Duration::from_millis(wait_ms.max(10))).await;
            }
            due => return tell_what_is_left(host, due, began, output).await,
        }
    }
}

async fn tell_what_is_left(host: &Host, due: Option<Instant>, began: Instant, output: &Output) -> anyhow::Result<()> {
    let past_due = host.pipeline.store.next_due().await?.is_some_and(|left| left <= began);
    if past_due {
        output.step(
            "deliveries are left whose target takes nothing now; see `portreeve exception list` for what people are to decide about it, and run `portreeve serve` for the others",
        )?;
    }
    if let Some(due) = due.filter(|due| *due > began) {
        output.step(&format!("deliveries are left that are tried again from {due} on, by `portreeve serve`"))?;
    }
    match host.pipeline.store.summary().await?.undecided {
        0 => Ok(()),
        left => output.step(&format!("{left} document(s) are left that are tried again by `portreeve serve`")),
    }
}

/// Whether a batch brought anything on. A failure beside others is told, and so is one
/// that `passes` by itself; a batch of failures alone would come again for ever.
fn went_on<T, E>(batch: Vec<Result<T, E>>, passes: impl Fn(&E) -> bool, output: &Output) -> Result<bool, anyhow::Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let went_on = batch.iter().any(|result| result.as_ref().err().is_none_or(&passes));
    for error in batch.into_iter().filter_map(Result::err) {
        if !went_on {
            return Err(error.into());
        }
        output.step(&error.to_string())?;
    }
    Ok(went_on)
}
