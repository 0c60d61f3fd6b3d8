//! A whole host in a folder of its own: what the other tests start, feed and look at.
//!
//! Everything is real but the ERP and the time: components that were built from
//! their sources, the store on a disk, the demo's configuration with the changes
//! that a test asks for. Nothing works in the background: a test accepts, decides
//! and delivers by itself, and moves the clock to the next delivery instead of
//! waiting for it.
//!
//! Components are built once per process and compiled once per machine: hosts share
//! the folder of compiled code, and nothing else.

pub(crate) mod exceptions;

pub(crate) mod people;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hyper::{Method, StatusCode};
use portreeve::client::{self, Answer};
use portreeve::clock::SetClock;
use portreeve::config::Proposed;
use portreeve::host::{self, Host, Locations};
use portreeve::source_tree::SourceTree;
pub(crate) use portreeve::standins::partner::PurchaseOrder;
use portreeve::standins::partner::{Purpose, interchange};
use portreeve::standins::{Erp, Mischief};
use portreeve_api::Limits;
use portreeve_audit::{AuditError, LogReader};
use portreeve_build::BuildOptions;
use portreeve_model::strict::SourceFile;
use portreeve_model::{Digest, Instant, OrderId, PluginName, ProcessState};
use portreeve_pipeline::accept::Input;
use portreeve_pipeline::decision::DecisionRecord;
use portreeve_pipeline::process::Progress;
use portreeve_pipeline::rederive::{RederiveError, Rederived};
use portreeve_pipeline::{AcceptError, Accepted, Clock, Credential, Decisions, Pipeline, SignedIn};
use portreeve_record::{Leaf, LeafRecord, NoteKey, VerifyReport};
use portreeve_registry::{
    InstallError, Installed, Occasion, Package, PlatformGrant, Registry, Signature, Statement, TrustPolicy,
};
use portreeve_store::contract::{DocumentPosition, ExceptionView, OrderState, OrderView, Summary};
use portreeve_store::{Committed, Store};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;

pub(crate) use self::people::PASSWORD;
use crate::front::described;

/// When a test begins: 2026-03-02T08:00:00Z, as the samples do.
pub(crate) const MORNING: Instant = Instant(1_772_438_400_000);

/// What the EDI gateway shows.
pub(crate) const EDI_TOKEN: &str = "edi-token-of-the-tests";

/// What operators show.
pub(crate) const OPERATOR_TOKEN: &str = "operator-token-of-the-tests";

/// Every role of the demo that does something.
pub(crate) const EVERY_ROLE: &[&str] = &[
    "fraud-resolver",
    "credit-resolver",
    "pricing-resolver",
    "order-desk",
    "integration",
    "operator",
    "publisher",
    "administrator",
];

const SHOP_SECRET: &str = "shop-secret-of-the-tests";

/// Documents in a batch, unless a test cuts them otherwise.
const DECIDE_BATCH: u32 = 64;

/// Rounds after which deliveries should have come to rest; a bug must not hang.
const DELIVERY_ROUNDS_MAX: usize = 500;

/// How long a restart waits for the store to be free: a bug must not hang, and a busy machine may
/// take its time.
const LETS_GO_WITHIN: Duration = Duration::from_secs(60);

/// Tells whoever runs the tests, also when the test passes: what was skipped and
/// what was read is not for the captured output.
pub(crate) fn say(text: &str) {
    // Written as it is: the macros' output is captured.
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

/// The checkout that these tests are of.
pub(crate) fn tree() -> SourceTree {
    SourceTree::find_from(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The component of a plugin or hostile guest, built at the first call.
pub(crate) fn component(name: &str) -> PathBuf {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let tree = tree();
        let mut folders = tree.plugins().unwrap();
        folders.extend(guests(&tree));
        let options = BuildOptions { target_dir: &tree.target().join("guests"), offline: false, progress: &|_| {} };
        let built = portreeve_build::build(&folders, &options).unwrap_or_else(|error| panic!("{error}"));
        built.into_iter().map(|built| (built.manifest.plugin.name, built.component)).collect()
    });
    built.get(name).unwrap_or_else(|| panic!("there is no plugin `{name}` under plugins/ or tests/guests/")).clone()
}

/// The key of a publisher of these tests: always the same for a name.
pub(crate) fn publisher(name: &str) -> NoteKey {
    NoteKey::from_bytes(name, Digest::of(name.as_bytes()).as_bytes()).unwrap()
}

/// What a trust policy says of a publisher that may ship anything.
pub(crate) fn trust_in(publisher_name: &str) -> String {
    let key = publisher(publisher_name).verifier();
    format!(
        "\n[[publisher]]\nname = \"{publisher_name}\"\nplugins = [\"*\"]\nkinds = [\"connector\", \"transformer\", \"scorer\"]\nimports = [\"log\", \"lookup\", \"numbers\", \"artifact\", \"kv\", \"http\"]\n[[publisher.key]]\nkey = \"{key}\"\n"
    )
}

/// The signature of a component by the publisher that its manifest names. One that is no
/// package gets none that means anything.
fn signature_of(component: &Path) -> String {
    static SIGNED: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let mut signed = SIGNED.lock().unwrap();
    signed.entry(component.to_owned()).or_insert_with(|| sign(&std::fs::read(component).unwrap())).clone()
}

/// The same of bytes.
pub(crate) fn sign(component: &[u8]) -> String {
    let package = Package::read(component, None).unwrap();
    let statement = Statement::of(package.manifest(), package.digest());
    Signature::made(statement, &publisher(&package.manifest().plugin.publisher)).as_str().to_owned()
}

/// Makes a component callable as a host does that trusts the publishers of these tests.
pub(crate) fn install(
    registry: &Registry,
    name: &PluginName,
    component: &[u8],
    grant: &PlatformGrant,
) -> Result<Installed, InstallError> {
    let package = Package::read(component, Some(&sign(component))).unwrap();
    let text = trust_in(&package.manifest().plugin.publisher);
    let trust = TrustPolicy::load(&SourceFile { name: "trust.toml", text: &text }).unwrap();
    let trusted = trust.judge(&package, Occasion::New, MORNING).unwrap();
    registry.install(name, &package, &trusted, component, grant)
}

fn guests(tree: &SourceTree) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(tree.root().join("tests/guests")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("plugin.toml").is_file());
    folders.sort();
    folders
}

/// A file of a connector's samples, by the beginning of its name.
pub(crate) fn sample(connector: &str, start: &str) -> Vec<u8> {
    let folder = tree().root().join("plugins/connectors").join(connector).join("samples");
    let mut found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let path = found.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start));
    std::fs::read(path.unwrap_or_else(|| panic!("`{connector}` has no sample `{start}…`"))).unwrap()
}

/// One interchange with one order: the control number is the envelope's.
pub(crate) fn x12(control: u32, order: &PurchaseOrder) -> Vec<u8> {
    x12_of(control, std::slice::from_ref(order))
}

/// One interchange with several orders of one customer.
pub(crate) fn x12_of(control: u32, orders: &[PurchaseOrder]) -> Vec<u8> {
    interchange(control, Purpose::Original, orders)
}

/// What a test's host has that the demo's has not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    changes: Vec<Change>,
    /// Plugins beside those of the demo, and where their components are.
    guests: Vec<(String, PathBuf)>,
    workers: usize,
    mischief: Mischief,
    origin: Option<String>,
}

#[derive(Debug, Clone)]
enum Change {
    Append { file: &'static str, text: String },
    Replace { file: &'static str, from: String, to: String },
    Grant { name: String, grant: String },
}

/// Every field that a data grant can show.
pub(crate) const EVERYTHING: &[&str] = &[
    "order.number",
    "customer.id",
    "customer.name",
    "customer.email",
    "customer.phone",
    "bill-to",
    "ship-to",
    "line.sku",
    "line.description",
    "payment",
    "sender-state",
    "notes",
    "extensions",
];

const LOOKS_AT_CREDIT: &str = "[rules.credit]\ncheck = true";
const IGNORES_CREDIT: &str = "[rules.credit]\ncheck = false";

const TIERS: &str = "alone_max_minor = 500000\none_max_minor = 2500000";
const ALONE: &str = "alone_max_minor = 1000000000\none_max_minor = 1000000000";

impl Setup {
    /// The demo's configuration, two workers and an ERP in a good mood. Nobody's credit ends, and
    /// one person decides: most tests send a customer far more than it could pay for.
    pub(crate) fn demo() -> Self {
        Self { workers: 2, ..Self::default() }.replace("rules.toml", LOOKS_AT_CREDIT, IGNORES_CREDIT).replace(
            "people.toml",
            TIERS,
            ALONE,
        )
    }

    /// The same with the demo's tiers: what is worth more than so much takes others to agree.
    pub(crate) fn with_tiers(self) -> Self {
        self.replace("people.toml", ALONE, TIERS)
    }

    /// The same with the demo's limits of credit.
    pub(crate) fn with_credit(self) -> Self {
        self.replace("rules.toml", IGNORES_CREDIT, LOOKS_AT_CREDIT)
    }

    /// Adds text to the end of a file of the configuration.
    pub(crate) fn append(mut self, file: &'static str, text: &str) -> Self {
        self.changes.push(Change::Append { file, text: text.to_owned() });
        self
    }

    /// Changes a file of the configuration wherever the text occurs; it has to.
    pub(crate) fn replace(mut self, file: &'static str, from: &str, to: &str) -> Self {
        self.changes.push(Change::Replace { file, from: from.to_owned(), to: to.to_owned() });
        self
    }

    /// Adds a plugin with what it is granted, as inline TOML: `{ log = true }`.
    pub(crate) fn plugin(self, name: &str, grant: &str) -> Self {
        self.plugin_at(name, &component(name), grant)
    }

    /// The same with a component from elsewhere.
    pub(crate) fn plugin_at(self, name: &str, component: &Path, grant: &str) -> Self {
        let entry = format!("\n[[plugin]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\ngrant = {grant}\n");
        // Whoever may send anything may send it to the ERP.
        let egress = if grant.contains("http = ") { "[[plugin.egress]]\norigin = \"${ERP_ORIGIN}\"\n" } else { "" };
        let mut setup = self.append("portreeve.toml", &format!("{entry}{egress}")).sees(name, EVERYTHING);
        setup.guests.push((name.to_owned(), component.to_owned()));
        setup
    }

    /// Adds a plugin that is not one of ours, granted nothing: its component lies at this path.
    pub(crate) fn component(self, name: &str, path: &Path) -> Self {
        self.plugin_at(name, path, "{}")
    }

    /// Gives a plugin of the configuration the component at this path.
    pub(crate) fn shipped_as(mut self, name: &str, component: &Path) -> Self {
        self.guests.push((name.to_owned(), component.to_owned()));
        self
    }

    /// Shows a plugin these fields of an order, beside those that it sees already.
    pub(crate) fn sees(self, name: &str, fields: &[&str]) -> Self {
        let fields: Vec<String> = fields.iter().map(|field| format!("\"{field}\"")).collect();
        let (owner, fields) = ("owner = \"tests@distributor.example\"", fields.join(", "));
        self.append(
            "grants.toml",
            &format!("\n[[data]]\nplugin = \"{name}\"\n{owner}\nexpires = 2027-12-31\nfields = [{fields}]\n"),
        )
    }

    /// Adds a plugin that is granted nothing and sees nothing that points at anybody.
    pub(crate) fn blindfolded(mut self, name: &str) -> Self {
        let entry = format!("\n[[plugin]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\ngrant = {{}}\n");
        self.guests.push((name.to_owned(), component(name)));
        self.append("portreeve.toml", &entry)
    }

    /// Channels ask these scorers and no others.
    pub(crate) fn scorers(self, names: &[&str]) -> Self {
        let list: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        self.replace(
            "portreeve.toml",
            "scorers = [\"fraud\", \"margin\", \"fulfilment\"]",
            &format!("scorers = [{}]", list.join(", ")),
        )
    }

    /// Changes what a plugin of the demo is granted, as inline TOML.
    pub(crate) fn grant(mut self, name: &str, grant: &str) -> Self {
        self.changes.push(Change::Grant { name: name.to_owned(), grant: grant.to_owned() });
        self
    }

    /// Orders whose scorer failed go on with the other scorers' advice.
    pub(crate) fn fail_open(self) -> Self {
        self.replace("portreeve.toml", "target = \"erp\"\n", "target = \"erp\"\nfailed_scorer = \"fail-open\"\n")
    }

    /// Orders that are mapped, scored and delivered side by side.
    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How the ERP stand-in misbehaves.
    pub(crate) fn mischief(mut self, mischief: Mischief) -> Self {
        self.mischief = mischief;
        self
    }

    /// How long the ERP may take to answer, at every target of it.
    pub(crate) fn answered_within_ms(self, ms: u32) -> Self {
        let account = "freight-account = \"6130\"";
        self.replace("portreeve.toml", account, &format!("{account}, answer-timeout-ms = \"{ms}\""))
    }

    /// Delivers to this origin instead of the ERP stand-in.
    pub(crate) fn erp_origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.to_owned());
        self
    }

    /// Writes the configuration into a folder, without an ERP behind it.
    pub(crate) fn configuration(&self, folder: &Path) -> PathBuf {
        self.configuration_with(folder, "http://127.0.0.1:9")
    }

    /// The same, with an ERP at this origin.
    pub(crate) fn configuration_with(&self, folder: &Path, erp_origin: &str) -> PathBuf {
        std::fs::write(shop_secret_file(folder), SHOP_SECRET).unwrap();
        self.write(folder, erp_origin)
    }

    /// Writes the configuration into a folder.
    fn write(&self, folder: &Path, erp_origin: &str) -> PathBuf {
        let (from, config) = (tree().demo(), folder.join("config"));
        std::fs::create_dir_all(config.join("reference")).unwrap();
        for table in ["customer", "item", "ship-to", "cross-reference", "stock", "credit"] {
            let file = format!("reference/{table}.csv");
            let text = std::fs::read_to_string(from.join(&file)).unwrap();
            std::fs::write(config.join(&file), self.changed(&file, text, erp_origin, folder)).unwrap();
        }
        for file in ["portreeve.toml", "grants.toml", "policies.cedar", "rules.toml", "people.toml", "trust.toml"] {
            // Guests of the tests call themselves the project's, and are not the demo's.
            let ours = || trust_in("portreeve") + &trust_in("hostile") + &trust_in("elsewhere");
            let demos = || std::fs::read_to_string(from.join(file)).unwrap();
            let text = if file == "trust.toml" { ours() } else { demos() };
            std::fs::write(config.join(file), self.changed(file, text, erp_origin, folder)).unwrap();
        }
        // The demo has the standard process.
        let process = self.changed("process.toml", String::new(), erp_origin, folder);
        if !process.is_empty() {
            std::fs::write(config.join("process.toml"), process).unwrap();
        }
        let ours = tree().plugins().unwrap();
        let ours = ours.iter().map(|folder| folder.file_name().unwrap().to_str().unwrap());
        let ours = ours.map(|name| (name.to_owned(), component(name)));
        for (name, component) in ours.chain(self.guests.iter().cloned()) {
            std::fs::copy(&component, config.join(format!("{name}.wasm"))).unwrap();
            std::fs::write(config.join(format!("{name}.wasm.sig")), signature_of(&component)).unwrap();
        }
        config
    }

    fn changed(&self, name: &str, mut text: String, erp_origin: &str, folder: &Path) -> String {
        for change in &self.changes {
            match change {
                Change::Append { file, text: more } if *file == name => text.push_str(more),
                Change::Replace { file, from, to } if *file == name => {
                    assert!(text.contains(from), "`{name}` of the demo has no `{from}` any more");
                    text = text.replace(from, to);
                }
                Change::Grant { name: plugin, grant } if name == "portreeve.toml" => {
                    text = granted(&text, plugin, grant)
                }
                Change::Append { .. } | Change::Replace { .. } | Change::Grant { .. } => {}
            }
        }
        let operator = format!("[host]\noperator_token_sha256 = \"{}\"\n", Digest::of(OPERATOR_TOKEN.as_bytes()));
        text.replace("${ERP_ORIGIN}", erp_origin)
            .replace("${EDI_TOKEN_SHA256}", &Digest::of(EDI_TOKEN.as_bytes()).to_string())
            .replace("${SHOP_SECRET_FILE}", &shop_secret_file(folder).display().to_string())
            .replace("[host]\n", &operator)
    }

    /// Starts a host with it.
    pub(crate) async fn start(self) -> TestHost {
        self.try_start().await.unwrap_or_else(|error| panic!("the host does not start: {error:#}"))
    }

    /// Starts a host with it, or says why not.
    pub(crate) async fn try_start(self) -> anyhow::Result<TestHost> {
        let folder = tempfile::Builder::new().prefix("portreeve-test-").tempdir().unwrap();
        let erp = Erp::start(self.mischief).await.unwrap();
        let clock = Arc::new(SetClock::at(MORNING));
        open(folder, self, erp, clock).await
    }
}

/// The main file with another grant for a plugin.
fn granted(text: &str, plugin: &str, grant: &str) -> String {
    let entry = format!("component = \"{plugin}.wasm\"\n");
    let (before, after) =
        text.split_once(&entry).unwrap_or_else(|| panic!("the demo has no plugin `{plugin}` any more"));
    let after = match after.split_once('\n') {
        Some((old, rest)) if old.starts_with("grant = ") => rest,
        _ => after,
    };
    format!("{before}{entry}grant = {grant}\n{after}")
}

/// Activates what the setup says and opens a host on it.
async fn open(folder: TempDir, setup: Setup, erp: Erp, clock: Arc<SetClock>) -> anyhow::Result<TestHost> {
    std::fs::write(shop_secret_file(folder.path()), SHOP_SECRET).unwrap();
    let config = setup.write(folder.path(), setup.origin.as_deref().unwrap_or(&erp.origin()));
    let locations = Locations::below(folder.path(), &tree().target().join("portreeve"));
    let store: Arc<dyn Store> = locations.store()?;
    host::activate(&store, &locations, &Proposed::read(&config)?, clock.now()).await?;
    let host = Host::open(Arc::clone(&store), &locations, clock.clone(), Some(setup.workers)).await?;
    host.begin().await?;
    Ok(TestHost { setup, locations, clock, erp, host, store, folder })
}

/// Waits until nobody else has the store: work that was cut short lets go of it
/// when the runtime gets to it.
async fn closed(store: Arc<dyn Store>) {
    let since = std::time::Instant::now();
    while Arc::strong_count(&store) > 1 && since.elapsed() < LETS_GO_WITHIN {
        tokio::task::yield_now().await;
    }
}

/// The folder of a host that does not run, and the ERP that goes on.
pub(crate) struct Stopped {
    folder: TempDir,
    pub(crate) erp: Erp,
    setup: Setup,
}

impl Stopped {
    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a host on it, at this time.
    pub(crate) async fn start_at(self, now: Instant) -> TestHost {
        let clock = Arc::new(SetClock::at(now));
        let Self { folder, erp, setup } = self;
        open(folder, setup, erp, clock).await.unwrap_or_else(|error| panic!("the host does not start again: {error:#}"))
    }
}

fn shop_secret_file(folder: &Path) -> PathBuf {
    folder.join("shop-secret")
}

/// A host without workers of its own.
pub(crate) struct TestHost {
    setup: Setup,
    locations: Locations,
    /// Its time; nobody else moves it.
    pub(crate) clock: Arc<SetClock>,
    /// Where released orders go.
    pub(crate) erp: Erp,
    /// The host.
    pub(crate) host: Host,
    /// Its store.
    pub(crate) store: Arc<dyn Store>,
    // Last: removed after everything that has files in it is closed.
    folder: TempDir,
}

impl TestHost {
    /// The demo's host.
    pub(crate) async fn demo() -> Self {
        Setup::demo().start().await
    }

    /// The folder that holds everything of it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Decides an order again, with everything in the log.
    pub(crate) async fn rederive(&self, order: OrderId) -> Result<Rederived, RederiveError> {
        self.host.sequencer.sequence_all().await.unwrap();
        self.host.pipeline.rederive(order).await
    }

    /// Where it keeps what.
    pub(crate) fn locations(&self) -> &Locations {
        &self.locations
    }

    /// Ends this host as a crash would and opens another one on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let setup = self.setup.clone();
        self.restart_as(setup).await
    }

    /// The same, with its configuration changed.
    pub(crate) async fn restart_with(self, change: impl FnOnce(Setup) -> Setup) -> Self {
        let setup = change(self.setup.clone());
        self.restart_as(setup).await
    }

    /// The same, with another configuration. The ERP goes on as it is.
    pub(crate) async fn restart_as(self, setup: Setup) -> Self {
        let Self { folder, erp, clock, host, store, .. } = self;
        drop(host);
        closed(store).await;
        open(folder, setup, erp, clock).await.unwrap_or_else(|error| panic!("the host does not start again: {error:#}"))
    }

    /// Ends this host and leaves its folder and its ERP.
    pub(crate) async fn stop(self) -> Stopped {
        let Self { folder, erp, host, store, setup, .. } = self;
        drop(host);
        closed(store).await;
        Stopped { folder, erp, setup }
    }

    /// The same host over its store with something in front of it.
    pub(crate) async fn restart_behind<S: Store>(self, front: impl FnOnce(Arc<dyn Store>) -> Arc<S>) -> (Self, Arc<S>) {
        let Self { folder, erp, clock, host, store, setup, locations } = self;
        drop(host);
        let front = front(store);
        let store: Arc<dyn Store> = front.clone();
        let host = Host::open(Arc::clone(&store), &locations, clock.clone(), Some(setup.workers)).await.unwrap();
        (Self { setup, locations, clock, erp, host, store, folder }, front)
    }

    /// Ends this host as a crash would and opens another one on what is in its folder, over its
    /// store with something in front of it. What is configured stays.
    pub(crate) async fn crash_behind<S: Store>(self, front: impl FnOnce(Arc<dyn Store>) -> Arc<S>) -> (Self, Arc<S>) {
        let Self { folder, erp, clock, host, store, setup, locations } = self;
        drop(host);
        closed(store).await;
        let front = front(locations.store().unwrap());
        let store: Arc<dyn Store> = front.clone();
        let host = Host::open(Arc::clone(&store), &locations, clock.clone(), Some(setup.workers)).await.unwrap();
        host.begin().await.unwrap();
        (Self { setup, locations, clock, erp, host, store, folder }, front)
    }

    /// The same host with another clock.
    pub(crate) async fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        let workers = Some(self.setup.workers);
        self.host = Host::open(Arc::clone(&self.store), &self.locations, clock, workers).await.unwrap();
        self
    }

    /// Sends bytes as the EDI gateway.
    pub(crate) async fn send_edi(&self, body: &[u8]) -> Result<Accepted, AcceptError> {
        self.send("edi", Credential::Bearer(EDI_TOKEN), body).await
    }

    /// Sends JSON as the shop.
    pub(crate) async fn send_shop(&self, body: &[u8]) -> Result<Accepted, AcceptError> {
        self.send("shop", Credential::Signature { hex: &shop_signature(body), body }, body).await
    }

    /// Sends bytes on a channel, with whatever the sender shows.
    pub(crate) async fn send(
        &self,
        channel: &str,
        credential: Credential<'_>,
        body: &[u8],
    ) -> Result<Accepted, AcceptError> {
        let pipeline = &self.host.pipeline;
        let sender = pipeline.senders.authenticate(channel, credential).unwrap();
        let input = Input { method: "POST".to_owned(), path: String::new(), headers: Vec::new(), body: body.to_vec() };
        pipeline.accept(&sender, input).await
    }

    /// Sends orders, each in an interchange of its own, and decides them.
    pub(crate) async fn decide_orders(&self, orders: &[PurchaseOrder]) -> Vec<OrderView> {
        for (control, order) in (1..).zip(orders) {
            assert_eq!(self.send_edi(&x12(control, order)).await.unwrap().reply.status, 200);
        }
        self.decide_all().await;
        self.orders().await
    }

    /// Decides everything that waits.
    pub(crate) async fn decide_all(&self) -> Vec<Committed> {
        self.decide_in_batches(DECIDE_BATCH).await
    }

    /// Decides everything that waits, so many documents at once.
    pub(crate) async fn decide_in_batches(&self, documents: u32) -> Vec<Committed> {
        let mut decisions = Decisions::new(Arc::clone(&self.host.pipeline), documents);
        let mut decided = Vec::new();
        loop {
            let batch = decisions.next().await.unwrap();
            if batch.is_empty() {
                decisions.end().await;
                return decided;
            }
            decided.extend(batch.into_iter().map(|decision| decision.unwrap()));
        }
    }

    /// Delivers what is due now, once.
    pub(crate) async fn deliver_due(&self) -> usize {
        let settled = self.host.pipeline.deliver_due(DECIDE_BATCH).await.unwrap();
        let count = settled.len();
        settled.into_iter().for_each(|settled| drop(settled.unwrap()));
        count
    }

    /// Delivers until every delivery has its outcome; the clock moves to the next
    /// one whenever none is due.
    pub(crate) async fn deliver_all(&self) {
        for _ in 0..DELIVERY_ROUNDS_MAX {
            if self.deliver_due().await == 0 {
                let Some(due) = self.store.next_due().await.unwrap() else { return };
                self.clock.advance_to(due);
            }
        }
        panic!("deliveries did not come to rest: {:?}", self.summary().await);
    }

    /// All orders, in the order of the journal.
    pub(crate) async fn orders(&self) -> Vec<OrderView> {
        let mut orders: Vec<OrderView> = Vec::new();
        loop {
            let after = orders.last().map_or(DocumentPosition(0), |order| order.position);
            let page = self.store.orders(after, 500).await.unwrap();
            if page.is_empty() {
                return orders;
            }
            orders.extend(page);
        }
    }

    /// The order with the sender's number.
    pub(crate) async fn order(&self, number: &str) -> OrderView {
        let found = self.orders().await.into_iter().find(|order| order.number == number);
        found.unwrap_or_else(|| panic!("there is no order with number `{number}`"))
    }

    /// What was decided about an order, in full.
    pub(crate) async fn decision(&self, order: &OrderView) -> DecisionRecord {
        DecisionRecord::parse(&self.store.payload(order.decision).await.unwrap()).unwrap()
    }

    /// Open exceptions.
    pub(crate) async fn exceptions(&self) -> Vec<ExceptionView> {
        self.store.exceptions(500).await.unwrap()
    }

    /// Counts.
    pub(crate) async fn summary(&self) -> Summary {
        self.store.summary().await.unwrap()
    }

    /// How many orders are in a state.
    pub(crate) async fn count(&self, state: OrderState) -> usize {
        self.orders().await.iter().filter(|order| order.state == state).count()
    }

    /// Decides and delivers until nothing is left to do.
    pub(crate) async fn come_to_rest(&self) {
        for _ in 0..8 {
            self.decide_all().await;
            self.deliver_all().await;
            if self.decide_all().await.is_empty() && self.summary().await.pending == 0 {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.summary().await);
    }

    /// Where an order is along its process; none where nothing moved it.
    pub(crate) async fn process_state(&self, order: OrderId) -> Option<ProcessState> {
        self.store.order_trail(order).await.unwrap().unwrap().progress.map(|progress| progress.state)
    }

    /// How far an order is that something moved.
    pub(crate) async fn progress(&self, order: OrderId) -> Progress {
        let found = self.store.order_trail(order).await.unwrap().unwrap().progress.unwrap();
        let record = DecisionRecord::parse(&self.store.payload(found.record).await.unwrap()).unwrap();
        record.process.unwrap().progress.unwrap()
    }

    /// The codes of what waits for a person.
    pub(crate) async fn codes(&self) -> Vec<String> {
        self.exceptions().await.into_iter().map(|exception| exception.code).collect()
    }

    /// All leaves of the log, in its order, after giving an index to the last ones.
    pub(crate) async fn leaves(&self) -> Vec<LeafRecord> {
        self.host.sequencer.sequence_all().await.unwrap();
        let mut leaves = Vec::new();
        loop {
            let page = self.store.sequenced(u64::try_from(leaves.len()).unwrap(), 256).await.unwrap();
            if page.is_empty() {
                return leaves;
            }
            leaves.extend(page.iter().map(|(_, _, bytes)| Leaf::parse(bytes).unwrap()));
        }
    }

    /// Verifies the whole log, also against the checkpoint that is kept outside.
    pub(crate) async fn verify(&self) -> Result<VerifyReport, AuditError> {
        self.host.sequencer.sequence_all().await?;
        let outside = self.locations.outside(&self.host.settings.origin).read()?;
        LogReader::new(Arc::clone(&self.store)).verify(&self.host.verifier, outside.as_ref()).await
    }

    /// A person with these roles, who has an account from now on and is signed in.
    pub(crate) async fn acts_as(&self, name: &str, roles: &[&str]) -> SignedIn {
        people::acts_as(&self.host.pipeline, name, roles).await
    }

    /// Somebody who may do everything that no approver does, signed in.
    pub(crate) async fn ops(&self) -> SignedIn {
        self.acts_as("ops", EVERY_ROLE).await
    }

    /// A key of the same person in a file, for `--key-file` and `--token-file`.
    pub(crate) async fn ops_key_file(&self) -> PathBuf {
        let file = self.folder().join("ops.key");
        std::fs::write(&file, people::key_of(&self.host.pipeline, "ops", EVERY_ROLE).await).unwrap();
        file
    }

    /// Opens the front door on a free port.
    pub(crate) async fn front_door(&self) -> FrontDoor {
        self.front_door_with(Limits::default()).await
    }

    /// The same, with other limits.
    pub(crate) async fn front_door_with(&self, limits: Limits) -> FrontDoor {
        let mut front = Arc::into_inner(self.host.front()).unwrap();
        front.limits = limits;
        let listener = portreeve_api::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closed) = oneshot::channel::<()>();
        let served = portreeve_api::serve(listener, Arc::new(front), async move { drop(closed.await) });
        let pipeline = Arc::clone(&self.host.pipeline);
        FrontDoor { address, close, served: tokio::spawn(served), pipeline, ops: OnceCell::new() }
    }
}

/// HMAC-SHA256 over a body, as the shop sends it.
pub(crate) fn shop_signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SHOP_SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// A host's front door, open.
pub(crate) struct FrontDoor {
    address: SocketAddr,
    close: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    pipeline: Arc<Pipeline>,
    /// A key of somebody who may do everything that no approver does.
    ops: OnceCell<String>,
}

impl FrontDoor {
    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks with any method.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let body = Bytes::from(body.to_vec());
        let answer = client::send(self.address, method.clone(), path, headers, body).await.unwrap();
        described::check(&method, path, answer.status);
        answer
    }

    /// Sends a request's head and no body, and reads what is said to it.
    pub(crate) async fn announce(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }

    /// Sends an input with these headers.
    pub(crate) async fn post(&self, channel: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(Method::POST, &format!("/v1/channels/{channel}"), headers, body).await
    }

    /// Asks with these headers.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, b"").await
    }

    /// The credential of somebody who may do everything that no approver does.
    pub(crate) async fn ops(&self) -> String {
        let key = self.ops.get_or_init(async || people::key_of(&self.pipeline, "ops", EVERY_ROLE).await).await;
        format!("Bearer {key}")
    }

    /// The credential of a new account with these roles, or of the one of that name.
    pub(crate) async fn key_of(&self, name: &str, roles: &[&str]) -> String {
        format!("Bearer {}", people::key_of(&self.pipeline, name, roles).await)
    }

    /// Asks as a machine that reads.
    pub(crate) async fn ask(&self, path: &str) -> String {
        let answer = self.get(path, &[("authorization", &format!("Bearer {OPERATOR_TOKEN}"))]).await;
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// Closes it: a host that is to be restarted must not be held by it.
    pub(crate) async fn close(self) {
        drop((self.close, self.pipeline));
        self.served.await.unwrap().unwrap();
    }
}

/// A target whose answers a test writes: status and body.
pub(crate) struct ScriptedTarget {
    origin: String,
    serving: JoinHandle<()>,
}

impl ScriptedTarget {
    /// Starts on a free loopback port. An answer that never comes is one, too.
    pub(crate) async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Method, Bytes) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = (u16, String)> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let routes = axum::Router::new().fallback(move |method: Method, body: Bytes| {
            let answer = answer(method, body);
            async move {
                let (status, body) = answer.await;
                (StatusCode::from_u16(status).unwrap(), body)
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { origin, serving }
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }
}

impl Drop for ScriptedTarget {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn a_clean_order_walks_the_whole_road() {
    let host = TestHost::demo().await;
    let orders = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    assert_eq!(orders.len(), 1, "{:?}", host.exceptions().await);
    assert_eq!(orders[0].state, OrderState::Released, "{}", orders[0].why);
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 1);
    assert_eq!(host.orders().await[0].deliveries[0].state, "delivered");
    assert_eq!(host.verify().await.unwrap().kinds.receipt, 1);
}
