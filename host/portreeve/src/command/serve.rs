//! `serve`: the host until somebody stops it.

use std::sync::Arc;

use anyhow::Context;

use super::Data;
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

pub(super) async fn run(data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open_to_write()?;
    tracing::info!("the store is open");
    let mut host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    host.watch()?;
    let listen = host.settings.listen;
    let listener = portreeve_api::listen(listen).await.with_context(|| format!("{listen} cannot be listened on"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let scheme = if host.settings.tls.is_some() { "https" } else { "http" };
    if json {
        output.json(&serde_json::json!({ "listening": format!("{scheme}://{address}") }))?;
    } else {
        output.line(&format!("listening on {scheme}://{address}"))?;
    }

    let stop = async {
        interrupted().await?;
        tokio::spawn(end_at_once());
        // A line of the log like all the others on stderr: a collector reads it as such.
        tracing::info!("stopping: requests under way are answered first; a second Ctrl-C ends at once");
        Ok(())
    };
    host.serve(listener, stop).await
}

/// A second signal: whoever gives it does not want to wait. Every acknowledged
/// input is durable, so that this end is only a crash that was asked for.
async fn end_at_once() {
    if interrupted().await.is_ok() {
        tracing::warn!("ended at once, as asked; the next start goes on from what was committed");
        std::process::exit(1);
    }
}

/// Ctrl-C, or a supervisor's SIGTERM.
async fn interrupted() -> anyhow::Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("signals cannot be received")?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.context("signals cannot be received"),
        _ = terminated.recv() => Ok(()),
    }
}
