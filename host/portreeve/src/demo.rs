//! The main job: a morning of orders walks the whole road, in one command.
//!
//! The story is [`run`]: build the plugins, start a host in a fresh folder and a
//! stand-in for the ERP, feed the bundled samples over both channels through the
//! real front door, wait until everything is decided and delivered, verify the
//! audit log, and show what happened. Nothing is faked but the ERP and the time:
//! the samples are replayed at their own clock.

pub mod cash;

mod feed;

mod people;

mod report;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use portreeve_audit::LogReader;
use portreeve_build::{BuildOptions, Built};
use portreeve_model::{Digest, Instant};
use portreeve_pipeline::{Clock, Pipeline};
use portreeve_store::Store;
use tokio::sync::watch;

use crate::clock::SetClock;
use crate::config::Proposed;
use crate::host::{self, Host, Locations};
use crate::output::Output;
use crate::publisher::Publisher;
use crate::source_tree::SourceTree;
use crate::standins::{Erp, Mischief};

pub use report::{OrderRow, Report};

/// When the samples' morning begins: 2026-03-02T08:00:00Z.
const MORNING: Instant = Instant(1_772_438_400_000);

/// How long the road may take to come to rest after the last sample. It takes
/// seconds; a bug must not make the demo hang.
const REST_WITHIN: Duration = Duration::from_secs(300);

/// How the ERP stand-in misbehaves: one order in ten meets it once.
const MISCHIEF: Mischief = Mischief {
    throttle_per_mille: 40,
    fail_before_per_mille: 30,
    drop_after_per_mille: 30,
    reject_per_mille: 5,
    slow_per_mille: 0,
};

/// What the demo may be told.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Keep the folder, here; else it is a temporary one.
    pub data_dir: Option<PathBuf>,
    /// Orders that are mapped and scored side by side.
    pub workers: Option<usize>,
    /// One JSON object at the end instead of the table.
    pub json: bool,
}

/// Runs the demo.
///
/// # Errors
/// When anything on the way fails, or the audit log does not verify.
pub async fn run(options: &DemoOptions, output: &mut Output) -> anyhow::Result<Report> {
    let started = std::time::Instant::now();
    let tree = SourceTree::find()?;
    let plugins = build_plugins(&tree, output)?;

    let folder = Folder::new(options.data_dir.as_deref())?;
    let erp = Erp::start(MISCHIEF).await.context("the ERP stand-in cannot start")?;
    let secrets = feed::Secrets::new(&folder.path)?;
    let filled_in = [
        ("${ERP_ORIGIN}", erp.origin()),
        ("${EDI_TOKEN_SHA256}", Digest::of(secrets.edi_token.as_bytes()).to_string()),
        ("${SHOP_SECRET_FILE}", secrets.shop_secret_file.display().to_string()),
    ];
    let config = write_config(&tree, &folder.path, &plugins, "portreeve.toml", &filled_in)?;

    let Opened { locations, store, version, clock, host } =
        Opened::on(&tree, &folder.path, &config, options.workers).await?;
    output.step(&format!(
        "host is up: configuration {version}, {} plugins, ERP stand-in at {}",
        plugins.len(),
        erp.origin()
    ))?;

    let (stop, stopping) = watch::channel(false);
    let listener = portreeve_api::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.context("no port is free")?;
    let address = listener.local_addr().context("the listener has no address")?;
    let serving = tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(stopping.clone())));
    let working = tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.work(stopping).await }
    });

    let fed = feed::feed(&tree, address, &secrets, &clock, output).await?;
    come_to_rest(&host.pipeline, &clock, output).await?;

    stop.send(true).context("the host stopped by itself")?;
    working.await.context("the host panicked")??;
    serving.await.context("the front door panicked")?.context("the front door failed")?;
    let booked = erp.sales_orders().len();
    erp.stop().await.context("the ERP stand-in failed")?;

    let outside = locations.outside(&host.settings.origin).read()?;
    let verified = LogReader::new(Arc::clone(&store)).verify(&host.verifier, outside.as_ref()).await;
    let report = report::make(&store, &fed, verified, booked, started.elapsed()).await?;
    if options.json {
        output.json(&report)?;
    } else {
        report::print(&report, output)?;
        output.line(&folder.farewell())?;
    }
    if report.orders == 0 {
        bail!(
            "no input became an order, {} were kept unread; `exception list` says why (were plugins built for this version of `wit/`?)",
            report.unparsed_inputs
        );
    }
    if let Some(contradiction) = report.contradiction() {
        bail!("{contradiction}; this must not happen, please report it with the folder of this run (`--data-dir`)");
    }
    if !report.audit.verified {
        bail!("the audit log does not verify: {}", report.audit.fault.as_deref().unwrap_or("no reason given"));
    }
    Ok(report)
}

/// A host that is open on a fresh folder in the samples' morning, with the demo's people.
struct Opened {
    locations: Locations,
    store: Arc<dyn Store>,
    /// Of the configuration.
    version: u64,
    clock: Arc<SetClock>,
    host: Arc<Host>,
}

impl Opened {
    async fn on(tree: &SourceTree, folder: &Path, config: &Path, workers: Option<usize>) -> anyhow::Result<Self> {
        let locations = Locations::below(folder, &tree.target().join("portreeve"));
        let store: Arc<dyn Store> = locations.store()?;
        let version = host::activate(&store, &locations, &Proposed::read(config)?, MORNING).await?.version;
        let clock = Arc::new(SetClock::at(MORNING));
        let leaping = Arc::new(Leaping(Arc::clone(&clock)));
        let host = Arc::new(Host::open(Arc::clone(&store), &locations, leaping, workers).await?);
        people::make(&host.pipeline, folder).await?;
        Ok(Self { locations, store, version, clock, host })
    }
}

/// Builds everything under `plugins/`, into the shared guest target folder.
///
/// # Errors
/// When the wasm target is missing and cannot be had, or a plugin does not compile.
pub fn build_plugins(tree: &SourceTree, output: &Output) -> anyhow::Result<Vec<Built>> {
    let progress = |step: &portreeve_build::Progress| output.progress(&step.to_string());
    let options = BuildOptions { target_dir: &tree.target().join("guests"), offline: false, progress: &progress };
    Ok(portreeve_build::build(&tree.plugins()?, &options)?)
}

/// The demo's configuration, with this file as its host's, and with this run's addresses, tokens
/// and components.
fn write_config(
    tree: &SourceTree,
    folder: &Path,
    plugins: &[Built],
    host: &str,
    filled_in: &[(&str, String)],
) -> anyhow::Result<PathBuf> {
    let config = folder.join("config");
    std::fs::create_dir_all(config.join("reference")).context("the configuration folder cannot be made")?;
    let from = tree.demo();
    for file in [
        "grants.toml",
        "policies.cedar",
        "rules.toml",
        "people.toml",
        "reference/customer.csv",
        "reference/item.csv",
        "reference/ship-to.csv",
        "reference/cross-reference.csv",
        "reference/stock.csv",
        "reference/credit.csv",
    ] {
        std::fs::copy(from.join(file), config.join(file))
            .with_context(|| format!("`{file}` of the demo cannot be copied"))?;
    }
    publish(tree, plugins, &config, &folder.join("publisher.key"))?;
    let host = std::fs::read_to_string(from.join(host)).with_context(|| format!("the demo's {host} cannot be read"))?;
    let host = filled_in.iter().fold(host, |host, (name, value)| host.replace(name, value));
    std::fs::write(config.join("portreeve.toml"), host).context("portreeve.toml cannot be written")?;
    Ok(config)
}

/// Puts built plugins into a folder of configuration. The project is its own publisher: it
/// makes a key, signs what it built, and the demo's `trust.toml` names the key.
///
/// # Errors
/// When a file cannot be written, or the key is there already.
pub fn publish(tree: &SourceTree, plugins: &[Built], config: &Path, key: &Path) -> anyhow::Result<()> {
    let publisher = Publisher::generate("portreeve", key)?;
    for built in plugins {
        let name = format!("{}.wasm", built.manifest.plugin.name);
        std::fs::copy(&built.component, config.join(&name)).with_context(|| format!("`{name}` cannot be copied"))?;
        publisher.sign(&config.join(&name))?;
    }
    let from = tree.demo().join("trust.toml");
    let trust = std::fs::read_to_string(from).context("the demo's trust.toml cannot be read")?;
    let trust = trust.replace("${PUBLISHER_KEY}", &publisher.verifier().to_string());
    std::fs::write(config.join("trust.toml"), trust).context("trust.toml cannot be written")
}

/// The samples' clock goes in leaps, while a delivery that is under way takes as long
/// as it takes: a lease of minutes may be over before the disk has answered, and a
/// second claim would send the order twice. So leases are longer than all leaps.
#[derive(Debug)]
struct Leaping(Arc<SetClock>);

impl Leaping {
    const LEASE_MS: i64 = 30 * Instant::DAY_MS;
}

impl Clock for Leaping {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn lease_ms(&self) -> i64 {
        Self::LEASE_MS
    }
}

/// Waits until every document is decided and every delivery has its outcome.
/// When only later deliveries are left, the samples' clock moves to the next one; when only those are
/// that go nowhere by themselves, it is at rest.
async fn come_to_rest(pipeline: &Pipeline, clock: &SetClock, output: &Output) -> anyhow::Result<()> {
    let resting = async {
        let mut looks = 0_usize;
        loop {
            let summary = pipeline.store.summary().await?;
            if summary.undecided == 0 && summary.pending == 0 {
                return anyhow::Ok(());
            }
            let text = format!("{} to decide, {} to deliver", summary.undecided, summary.pending);
            output.count(looks, usize::MAX, &text);
            looks = looks.saturating_add(1);
            if summary.undecided == 0 {
                match pipeline.next_due().await? {
                    // What is under way falls due when its lease ends; nobody waits for that.
                    Some(due) if due.0.saturating_sub(clock.now().0) < Leaping::LEASE_MS / 2 => clock.advance_to(due),
                    Some(_) => {}
                    // Nothing is under way, and nothing has come of what was meanwhile.
                    None if pipeline.store.summary().await? == summary => return Ok(()),
                    None => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(REST_WITHIN, resting)
        .await
        .with_context(|| format!("the road did not come to rest within {} s", REST_WITHIN.as_secs()))?
}

/// The demo's folder: kept where the user said, else thrown away at the end.
struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(keep: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = keep else {
            let temporary =
                tempfile::Builder::new().prefix("portreeve-demo-").tempdir().context("no temporary folder")?;
            return Ok(Self { path: temporary.path().to_owned(), temporary: Some(temporary) });
        };
        if path.join("data").exists() {
            bail!("`{}` holds the data of an earlier run; choose another folder, or remove it", path.display());
        }
        std::fs::create_dir_all(path).with_context(|| format!("`{}` cannot be made", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("`{}` cannot be used", path.display()))?;
        Ok(Self { path, temporary: None })
    }

    fn farewell(&self) -> String {
        if self.temporary.is_some() {
            return "The folder of this run is removed; `cargo run -- demo --data-dir DIR` keeps it, to look into with\n\
                    `order list`, `order show`, `exception list` and `audit verify`."
                .to_owned();
        }
        let data = self.path.display();
        format!(
            "Look further:\n  cargo run -- order list --data-dir {data}\n  cargo run -- order show ORDER --data-dir {data}\n  \
             cargo run -- exception list --data-dir {data}\n  cargo run -- audit verify --data-dir {data}\n\
             Keys of the demo's people (`person list`) are in {}",
            people::folder(&self.path).display()
        )
    }
}
