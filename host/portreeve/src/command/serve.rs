//! `serve`: the host until somebody stops it.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use super::Data;
use crate::clock::SystemClock;
use crate::host::{self, Host};
use crate::output::Output;

pub(super) async fn run(data: &Data, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open()?;
    let host = Arc::new(Host::open(store, &locations, Arc::new(SystemClock), None).await?);
    let listen = host.settings.listen;
    let listener = portreeve_api::listen(listen).await.with_context(|| format!("{listen} cannot be listened on"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    output.line(&format!("listening on http://{address}"))?;

    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(stopping.clone())));
    let mut working = tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.work(stopping).await }
    });
    let worked = tokio::select! {
        signal = interrupted() => {
            signal?;
            output.step("stopping: what is under way is finished first")?;
            stop.send(true).context("the host stopped by itself")?;
            (&mut working).await
        }
        // The host stops by itself only when its log is damaged.
        worked = &mut working => {
            stop.send(true).context("the front door stopped by itself")?;
            worked
        }
    };
    serving.await.context("the front door panicked")?.context("the front door failed")?;
    worked.context("the host panicked")?
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
