//! `serve`: the host until somebody stops it.

use std::sync::Arc;

use anyhow::Context;

use super::Data;
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

pub(super) async fn run(data: &Data, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open()?;
    let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    let listen = host.settings.listen;
    let listener = portreeve_api::listen(listen).await.with_context(|| format!("{listen} cannot be listened on"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    output.line(&format!("listening on http://{address}"))?;

    let stop = async {
        interrupted().await?;
        output.step("stopping: what is under way is finished first")
    };
    host.serve(listener, stop).await
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
