//! `ingest`: files into a channel, one line of result for each.
//!
//! Into a stopped host's folder directly, or to a running host over HTTP. Either
//! way a file passes the same road: it is accepted, kept and mapped; `--drain` also
//! decides and delivers what waits.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::INPUT_BYTES_MAX;
use portreeve_api::outcome::{MEDIA_TYPE, Outcome};
use portreeve_pipeline::Clock;
use portreeve_pipeline::accept::{AcceptError, Input};
use serde::Serialize;

use super::Data;
use crate::client;
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

/// How long `--drain` waits for a delivery that is to be tried again later.
const DRAIN_WAIT_MS_MAX: i64 = 60_000;

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
    /// Send them to this running host, `http://ADDRESS:PORT`, instead of a folder.
    #[arg(long, requires = "token_file", conflicts_with_all = ["drain", "data_dir"])]
    server: Option<String>,
    /// The file with the sender's bearer token, for `--server`.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Decide and deliver what waits, too.
    #[arg(long)]
    drain: bool,
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
    let lost = match (&ingest.server, &ingest.token_file) {
        (Some(server), Some(token)) => over_http(&ingest, server, token, json, output).await?,
        _ => into_folder(&ingest, json, output).await?,
    };
    if lost > 0 {
        bail!("{lost} of {} files were not taken; their lines say why", ingest.files.len());
    }
    Ok(())
}

/// Files that nothing was kept of.
async fn into_folder(ingest: &Ingest, json: bool, output: &mut Output) -> anyhow::Result<usize> {
    let (locations, store) = ingest.data.open_to_write()?;
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
    if ingest.drain {
        drain(&host, output).await?;
    }
    host.sequencer.sequence_all().await.context("the last leaves could not be sequenced")?;
    Ok(lost)
}

/// The outcome, or one that says why nothing was kept.
async fn taken(host: &Host, ingest: &Ingest, body: Vec<u8>) -> anyhow::Result<Result<Outcome, Outcome>> {
    let sender = host.pipeline.senders.of_local_file(&ingest.channel, ingest.sender.as_deref())?;
    let input = Input { method: "POST".to_owned(), path: String::new(), headers: Vec::new(), body };
    match host.pipeline.accept(&sender, input).await {
        Ok(accepted) => Ok(Ok(Outcome::of(&host.pipeline, accepted).await?)),
        Err(error @ AcceptError::Store(_)) => Err(error.into()),
        Err(error) => Ok(Err(Outcome::refused(error))),
    }
}

async fn over_http(
    ingest: &Ingest,
    server: &str,
    token_file: &Path,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<usize> {
    let address = address(server)?;
    let token = std::fs::read_to_string(token_file)
        .with_context(|| format!("the token cannot be read from `{}`", token_file.display()))?;
    let credential = format!("Bearer {}", token.trim());
    let path = format!("/v1/channels/{}", ingest.channel);
    let headers = [("authorization", credential.as_str()), ("accept", MEDIA_TYPE)];
    let mut lost = 0;
    for file in &ingest.files {
        let outcome = match read(file) {
            Ok(body) => {
                let answer = client::send(address, Method::POST, &path, &headers, Bytes::from(body)).await?;
                answered(&answer)?
            }
            Err(refused) => Err(refused),
        };
        lost += usize::from(outcome.is_err());
        show(file, outcome, json, output)?;
    }
    Ok(lost)
}

fn answered(answer: &client::Answer) -> anyhow::Result<Result<Outcome, Outcome>> {
    if answer.status == 200 {
        return Ok(Ok(serde_json::from_slice(&answer.body).context("the server's answer is no outcome")?));
    }
    if let Ok(refused) = serde_json::from_slice::<Outcome>(&answer.body) {
        return Ok(Err(refused));
    }
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    if answer.status == 401 {
        bail!("the server answered 401: {}", text("detail"));
    }
    let code = text("type").rsplit(':').next().unwrap_or_default().to_owned();
    Ok(Err(Outcome::not_taken(&code, format!("the server answered {}: {}", answer.status, text("detail")))))
}

/// An address on this machine's side of a proxy: the client speaks no TLS.
fn address(server: &str) -> anyhow::Result<SocketAddr> {
    let text = server.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    text.and_then(|text| text.parse().ok()).with_context(|| {
        format!(
            "the server `{server}` is not understood; expected `http://ADDRESS:PORT`, for example http://127.0.0.1:8080"
        )
    })
}

/// A file within the bytes of an input.
fn read(file: &Path) -> Result<Vec<u8>, Outcome> {
    let failed = |error: &dyn std::fmt::Display| {
        Outcome::not_taken("unreadable", format!("`{}` cannot be read: {error}", file.display()))
    };
    let limit = u64::try_from(INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| failed(&error))?;
    opened.take(limit.saturating_add(1)).read_to_end(&mut body).map_err(|error| failed(&error))?;
    if body.len() > INPUT_BYTES_MAX {
        let detail = format!("`{}` has more than {INPUT_BYTES_MAX} bytes; send it in parts", file.display());
        return Err(Outcome::not_taken("too-large", detail));
    }
    Ok(body)
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

/// Decides and delivers until nothing is due within a minute.
async fn drain(host: &Host, output: &Output) -> anyhow::Result<()> {
    let (pipeline, store) = (&host.pipeline, &host.pipeline.store);
    loop {
        let decided = pipeline.decide(BATCH).await?;
        let settled = pipeline.deliver_due(BATCH).await?;
        if !decided.is_empty() || !settled.is_empty() {
            continue;
        }
        let Some(due) = store.next_due().await? else { return Ok(()) };
        let wait_ms = due.0.saturating_sub(SystemClock.now().0);
        if wait_ms > DRAIN_WAIT_MS_MAX {
            return output
                .step(&format!("deliveries are left that are tried again from {due} on, by `portreeve serve`"));
        }
        tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0).max(10))).await;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_server_is_an_address_and_a_port() {
        assert_eq!(address("http://127.0.0.1:8080/").unwrap().port(), 8080);
        for wrong in ["https://127.0.0.1:1", "127.0.0.1:1", "http://localhost", "http://127.0.0.1:1/v1"] {
            assert!(address(wrong).unwrap_err().to_string().contains("expected `http://ADDRESS:PORT`"), "{wrong}");
        }
    }
}
