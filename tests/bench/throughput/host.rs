//! The host, as a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use portreeve::clock::SystemClock;
use portreeve::config::Proposed;
use portreeve::host::{self, Host, Locations};
use portreeve::source_tree::SourceTree;
use portreeve_audit::LogReader;
use portreeve_pipeline::Clock;
use portreeve_pipeline::poll::PollRun;
use portreeve_store::Store;
use portreeve_store::contract::OrderState;
use tokio::sync::watch;

use crate::role::{answer, questions, usage};
use crate::setup;

/// How often a poll that is not due yet is looked at.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Of the kernel's clock for users (`USER_HZ`, time(7)), which is 100 on every machine that this runs on.
const TICK_US: u64 = 10_000;

/// What `init` does. It compiles what is not in the cache, and what that takes is not the
/// host's that is measured.
pub(crate) async fn init(arguments: &[String]) -> anyhow::Result<()> {
    let (folder, locations) = in_folder(arguments)?;
    let store: Arc<dyn Store> = locations.store()?;
    let proposed = Proposed::read(&folder.join(setup::CONFIG))?;
    host::activate(&store, &locations, &proposed, SystemClock.now()).await?;
    Ok(())
}

fn in_folder(arguments: &[String]) -> anyhow::Result<(&Path, Locations)> {
    let folder = Path::new(arguments.first().context("the host needs a folder")?);
    let tree = SourceTree::find_from(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    Ok((folder, Locations::below(folder, &tree.target().join("portreeve"))))
}

/// The host in the folder of the run.
async fn open(arguments: &[String]) -> anyhow::Result<(Locations, Arc<dyn Store>, Arc<Host>)> {
    let (_, locations) = in_folder(arguments)?;
    let store: Arc<dyn Store> = locations.store()?;
    let host = Arc::new(Host::open(Arc::clone(&store), &locations, Arc::new(SystemClock), None).await?);
    Ok((locations, store, host))
}

/// The front door alone; each stage runs when it is asked for, until nothing is left.
pub(crate) async fn stages(arguments: &[String]) -> anyhow::Result<()> {
    let (_, _, host) = open(arguments).await?;
    let listener = portreeve_api::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    answer(&listener.local_addr()?.to_string());
    let (_stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(stopping)));
    let mut questions = questions();
    while let Some(question) = questions.next_line().await? {
        match question.as_str() {
            "usage" => answer(&usage()?),
            "kernel" => answer(&kernel()?),
            "decide" => {
                while !host.pipeline.decide(host::DECIDE_BATCH).await?.is_empty() {}
                answer("decided");
            }
            "deliver" => {
                while !host.pipeline.deliver_due(host::DELIVERIES_MAX).await?.is_empty() {}
                answer("delivered");
            }
            "poll" => {
                // Each is asked until it has nothing more; it waits until it is due.
                loop {
                    let mut has_all = true;
                    for (poll, run) in host.pipeline.poll_due().await {
                        let PollRun { asked, documents, failed } = run?;
                        if let Some(failed) = failed {
                            bail!("poll `{poll}` failed: {failed}");
                        }
                        has_all &= asked > 0 && documents == 0;
                    }
                    if has_all {
                        break;
                    }
                    tokio::time::sleep(POLL_EVERY).await;
                }
                answer("polled");
            }
            "index" => {
                host.sequencer.sequence_all().await?;
                answer("indexed");
            }
            other => bail!("the host has no answer to `{other}`"),
        }
    }
    serving.abort();
    Ok(())
}

/// What the kernel did for the host so far: its CPU in microseconds, and the bytes that were read and
/// written, of files and sockets, also what never left memory.
fn kernel() -> anyhow::Result<String> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("/proc is not there")?;
    // proc_pid_stat(5): `stime` is the 15th, and the second one may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").context("a line of /proc/self/stat without a name")?;
    let ticks: u64 = fields.split(' ').nth(12).context("no stime")?.parse()?;
    let us = ticks * TICK_US;
    let text = std::fs::read_to_string("/proc/self/io").context("/proc is not there")?;
    let bytes = |name: &'static str| text.lines().find_map(|line| line.strip_prefix(name)).context(name);
    Ok(format!("{us} {} {}", bytes("rchar:")?.trim(), bytes("wchar:")?.trim()))
}

/// Everything that `serve` does, in the folder of the run.
pub(crate) async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (locations, store, host) = open(arguments).await?;
    let listener = portreeve_api::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(stopping.clone())));
    let working = tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.work(stopping).await }
    });
    answer(&address.to_string());

    let mut questions = questions();
    while let Some(question) = questions.next_line().await? {
        match question.as_str() {
            "usage" => answer(&usage()?),
            // Answers how many orders are held.
            "settled" => loop {
                let summary = store.summary().await?;
                if summary.pending == 0 && summary.undecided == 0 {
                    let held = summary.orders.iter().find(|(state, _)| *state == OrderState::Held);
                    answer(&held.map_or(0, |(_, held)| *held).to_string());
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            },
            "verify" => {
                while store.summary().await?.unsequenced > 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let outside = locations.outside(&host.settings.origin).read()?;
                let report = LogReader::new(Arc::clone(&store)).verify(&host.verifier, outside.as_ref()).await?;
                answer(&report.entries.to_string());
            }
            other => bail!("the host has no answer to `{other}`"),
        }
    }
    stop.send(true).context("the host stopped by itself")?;
    working.await??;
    serving.await??;
    Ok(())
}
