//! `serve`: the host until somebody stops it.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use super::Data;
use crate::clock::SystemClock;
use crate::host::{self, Host};
use crate::output::Output;

pub(super) async fn run(data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open_to_write()?;
    let host = Arc::new(Host::open(store, &locations, Arc::new(SystemClock), None).await?);
    let listen = host.settings.listen;
    let listener = portreeve_api::listen(listen).await.with_context(|| format!("{listen} cannot be listened on"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let scheme = if host.settings.tls.is_some() { "https" } else { "http" };
    if json {
        output.json(&serde_json::json!({ "listening": format!("{scheme}://{address}") }))?;
    } else {
        output.line(&format!("listening on {scheme}://{address}"))?;
    }

    let (close, closing) = watch::channel(false);
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(closing)));
    let mut working = tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.work(stopping).await }
    });
    let damaged = tokio::select! {
        signal = interrupted() => {
            signal?;
            None
        }
        // The host stops by itself only when its log is damaged.
        worked = &mut working => Some(worked),
    };
    tokio::spawn(end_at_once());
    output.step("stopping: requests under way are answered first; a second Ctrl-C ends at once")?;
    // The door first: what is accepted until it is closed is still decided and sequenced.
    close.send(true).context("the front door stopped by itself")?;
    serving.await.context("the front door panicked")?.context("the front door failed")?;
    let worked = match damaged {
        Some(worked) => worked,
        None => {
            stop.send(true).context("the host stopped by itself")?;
            working.await
        }
    };
    worked.context("the host panicked")?
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
