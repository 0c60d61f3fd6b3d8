//! One host: the store, the plugins, the road and the log, wired together.
//!
//! ```text
//! data/    store/portreeve.db  components/SHA256.wasm
//! state/   log.key  ORIGIN.checkpoint                (kept apart from the data)
//! cache/   compiled code, sealed with a key that is kept beside the folder
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use portreeve_api::reference::Loaded;
use portreeve_api::{DRAIN_WITHIN, Front, Limits, Tls};
use portreeve_audit::{OutsideCheckpoint, OutsideFound, Sequencer};
use portreeve_model::{Digest, Instant, PluginKind, PluginName};
use portreeve_pipeline::egress::{Resolver, SystemResolver};
use portreeve_pipeline::exception::Overdue;
use portreeve_pipeline::notice::Subscriber;
use portreeve_pipeline::reconcile::{LeftAside, Outcome, ReconcileError, Run};
use portreeve_pipeline::retention::Retained;
use portreeve_pipeline::review::Cleared;
use portreeve_pipeline::{
    Accounts, Active, Clock, Decisions, DeliverError, Deliveries, Metrics, Notices, Outbound, Pipeline, Plugins, Poll,
    Pseudonyms, Routes, SetAside, Slot, TableCache,
};
use portreeve_record::leaf::{Code, ConfigurationLeaf, Label, PackageLeaf, ReferenceLeaf};
use portreeve_record::{Leaf, LeafBody, LogKey, PayloadKey, VerifierKey, canonical_digest};
use portreeve_registry::{CodeCache, Occasion, Package, Quarantine, Registry, growth};
use portreeve_sandbox::{Sandbox, SandboxOptions};
use portreeve_store::contract::NewReference;
use portreeve_store::{Settled, SqliteStore, Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::clock::SystemClock;
use crate::config::{Configuration, Files, FolderEntry, HostSection, PluginEntry, Proposed, RetentionSection};
use crate::declared::Declared;
use crate::folder::{End, Watched};
use crate::models::ModelFiles;
use crate::output::sentence;
use crate::packages::{self, Components, Kept, Packages, Transition};
use crate::reference::{Content, LiveTables};
use crate::{files, folder, reference, windows};

/// Documents in one decided batch: enough for a group commit, few enough that
/// the first order does not wait for the last.
pub const DECIDE_BATCH: u32 = 256;

/// Deliveries under way at once, over all targets.
pub const DELIVERIES_MAX: u32 = 256;

/// How long a worker waits when there is nothing to do and nobody wakes it.
const IDLE: Duration = Duration::from_millis(200);

/// How long the door may take to close once the host is told to stop. It cuts requests
/// that never end by itself, after [`DRAIN_WITHIN`]; two seconds more mean that it hangs.
const DOOR_CLOSES_MAX: Duration = DRAIN_WITHIN.saturating_add(Duration::from_secs(2));

/// How often old content is looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often orders that are kept back are looked at again.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(60);

/// Every so many looks, whether a table has another version or not: credit is given back, too.
const LOOKS_AT_ALL: u32 = 10;

/// How often somebody looks whether a publisher's word has ended. Calls end at once.
const LAPSE_EVERY: Duration = Duration::from_secs(60);

/// How often somebody looks whether refused sign-ins were counted that are to go on record.
const REFUSALS_EVERY: Duration = Duration::from_secs(60);

/// How often somebody looks whether there is something to tell.
const NOTIFY_EVERY: Duration = Duration::from_secs(1);

/// How often somebody looks whether a poll is due.
const POLL_LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often somebody looks whether a subscription is due.
const SUBSCRIBE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often somebody looks whether systems are to be compared.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);

/// How often leaves get their index.
const SEQUENCE_EVERY: Duration = Duration::from_millis(500);

/// Where a host keeps what.
#[derive(Debug, Clone)]
pub struct Locations {
    /// The store and the components.
    pub data: PathBuf,
    /// Keys and the outside checkpoint: never inside `data`.
    pub state: PathBuf,
    /// Compiled code; may be shared by hosts and may be deleted.
    pub cache: PathBuf,
    /// What compiled code is sealed with; never inside `cache`.
    pub cache_key: PathBuf,
}

impl Locations {
    /// The places for a data folder: keys and checkpoint under
    /// `$XDG_STATE_HOME/portreeve`, else `~/.local/state/portreeve`.
    ///
    /// # Errors
    /// When the environment names no such folder.
    pub fn standard(data: &Path) -> anyhow::Result<Self> {
        let base = match (std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME")) {
            (Some(state), _) if !state.is_empty() => PathBuf::from(state),
            (_, Some(home)) => PathBuf::from(home).join(".local/state"),
            _ => bail!("neither XDG_STATE_HOME nor HOME is set; set one, for keys and checkpoints are kept there"),
        };
        let data = std::path::absolute(data).context("the data folder has no absolute path")?;
        // One state folder per data folder: two hosts on one machine do not share keys.
        let name = Digest::of(data.as_os_str().as_encoded_bytes()).short();
        let state = base.join("portreeve").join(name);
        let (cache, cache_key) = (state.join("cache"), state.join("cache.key"));
        Ok(Self { data, state, cache, cache_key })
    }

    /// Data and state side by side in one folder, for a host that is looked at
    /// and thrown away; compiled code is shared by all of them.
    #[must_use]
    pub fn below(folder: &Path, shared: &Path) -> Self {
        Self {
            data: folder.join("data"),
            state: folder.join("state"),
            cache: shared.join("cache"),
            cache_key: shared.join("cache.key"),
        }
    }

    /// Where components and their signatures are kept.
    #[must_use]
    pub fn kept_components(&self) -> Components {
        Components::in_folder(&self.data.join("components"))
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When another process has it, or it is damaged or newer.
    pub fn store(&self) -> anyhow::Result<Arc<SqliteStore>> {
        Ok(Arc::new(SqliteStore::open(&self.data.join("store"))?))
    }

    /// Opens the store for reading alone, also beside a host that works on it.
    ///
    /// # Errors
    /// When it is damaged or of another version.
    pub fn store_to_read(&self) -> anyhow::Result<Arc<SqliteStore>> {
        Ok(Arc::new(SqliteStore::open_to_read(&self.data.join("store"))?))
    }

    /// The log's key.
    ///
    /// # Errors
    /// When there is none, or it cannot be read. Whoever only reads a log must
    /// not make a key for it: everything would then fail to verify.
    pub fn log_key(&self, origin: &str) -> anyhow::Result<LogKey> {
        let path = self.log_key_path();
        let bytes = files::read_if_there(&path)?.with_context(|| {
            format!(
                "there is no log key in `{}`; restore it from a backup, or give the log's public key with --key",
                path.display()
            )
        })?;
        let secret: [u8; 32] = bytes.try_into().map_err(|_| {
            anyhow::anyhow!("`{}` does not hold a key of 32 bytes; restore it from a backup", path.display())
        })?;
        Ok(LogKey::from_bytes(origin, &secret)?)
    }

    /// The log's key, made before the first entry.
    ///
    /// # Errors
    /// When a log that has a head has lost its key, or the key cannot be read or made.
    async fn signing_key(&self, store: &dyn Store, origin: &str) -> anyhow::Result<LogKey> {
        let path = self.log_key_path();
        if files::read_if_there(&path)?.is_some() || store.tree_head().await?.is_some() {
            return self.log_key(origin);
        }
        let key = LogKey::generate(origin)?;
        files::write_private(&path, &key.to_bytes())?;
        Ok(key)
    }

    /// The secret of pseudonyms, made with the first version of the configuration that needs
    /// it. Lost, it is not made again unasked: the same customers would get other pseudonyms,
    /// and no decision of before could be derived again.
    fn pseudonyms(&self) -> anyhow::Result<Pseudonyms> {
        let path = self.pseudonym_key_path();
        let bytes = files::read_if_there(&path)?.with_context(|| {
            format!(
                "there is no secret of pseudonyms in `{}`; restore it from a backup, or have `portreeve init` make another one",
                path.display()
            )
        })?;
        let key = PayloadKey::from_bytes(&bytes)
            .with_context(|| format!("`{}` does not hold a secret; restore it from a backup", path.display()))?;
        Ok(Pseudonyms::with(key))
    }

    fn make_pseudonyms(&self) -> anyhow::Result<()> {
        let path = self.pseudonym_key_path();
        if files::read_if_there(&path)?.is_none() {
            files::write_private(&path, &PayloadKey::random()?.to_bytes())?;
        }
        Ok(())
    }

    fn pseudonym_key_path(&self) -> PathBuf {
        self.state.join("pseudonym.key")
    }

    fn log_key_path(&self) -> PathBuf {
        self.state.join("log.key")
    }

    /// The last checkpoint, kept away from the data.
    #[must_use]
    pub fn outside(&self, origin: &str) -> OutsideCheckpoint {
        OutsideCheckpoint::in_folder(&self.state, origin)
    }
}

/// What became of a proposed configuration.
#[derive(Debug)]
pub struct Activated {
    /// The version that is active now.
    pub version: u64,
    /// Tables that somebody had loaded otherwise than from the folder.
    pub loaded_otherwise: Vec<LoadedOtherwise>,
}

/// A table that did not come from the folder's file, and what became of it.
#[derive(Debug)]
pub struct LoadedOtherwise {
    table: String,
    file: PathBuf,
    version: u64,
    /// Whether the folder's file has other rows than the last time, and took its place.
    is_replaced: bool,
}

impl LoadedOtherwise {
    /// What an operator is told, with the command that would do otherwise.
    #[must_use]
    pub fn sentence(&self, data: &Path) -> String {
        let Self { table, file, version, is_replaced } = self;
        let (file, data) = (file.display(), data.display());
        if *is_replaced {
            return format!(
                "table `{table}` was version {version}, which was not loaded from `{file}`; that file changed since it was last read, and its rows are the table now"
            );
        }
        format!(
            "table `{table}` stays at version {version}, which was not loaded from `{file}`: that file brought nothing new; `portreeve reference load {file} --data-dir {data}` puts its rows there all the same"
        )
    }
}

/// Makes a proposed configuration the active one: reference tables and version,
/// each with its leaf, in one transaction. A table that was loaded otherwise since stays,
/// unless the folder's file changed: figures of today do not go because a port did.
///
/// Before that everything is tried that a start will do with it: what no host can
/// open must never become active, for nobody could start one any more.
///
/// # Errors
/// When anything in it is wrong; the active configuration is then untouched.
pub async fn activate(
    store: &Arc<dyn Store>,
    locations: &Locations,
    proposed: &Proposed,
    at: Instant,
) -> anyhow::Result<Activated> {
    let active = store.active_configuration().await?;
    let before = active.as_ref().map(|active| Files::from_bytes(&active.bytes)).transpose()?;
    let mut files = match &before {
        Some(before) => proposed.files.clone().following(before),
        None => proposed.files.clone(),
    };
    let configuration = files.check_new_with(at, &Declared::proposed(proposed))?;
    let HostSection { name, origin, .. } = configuration.host.host.clone();
    let was = before.as_ref().map(Files::before).transpose()?;
    if let Some(was) = &was {
        same_origin(&was.origin, &origin)?;
        knows_blocks(store, &was.routes, &configuration.routes).await?;
    }
    locations.signing_key(store.as_ref(), &origin).await?;
    locations.make_pseudonyms()?;
    let FolderTables { new: tables, digests, loaded_otherwise } =
        folder_tables(store, &name, &proposed.reference, before.as_ref(), &account(), at).await?;
    files.reference = digests;
    let version = active.map_or(1, |active| active.version.saturating_add(1));
    let kept = locations.kept_components();
    let signatures = signatures(&kept, proposed, &configuration, at);
    let component = |digest| {
        let (bytes, _) =
            proposed.components.get(&digest).with_context(|| format!("component {digest} was not read"))?;
        Ok((bytes.clone(), signatures.get(&digest).cloned().flatten()))
    };
    let is = |digest| {
        let (bytes, signature) = component(digest)?;
        Ok(Package::read(&bytes, signature.as_deref())?)
    };
    let transitions = match &was {
        Some(was) => packages::transitions((was, |digest| kept.package(digest)), (&configuration, is), at),
        // The first version's own leaf says what begins with it.
        None => Vec::new(),
    };
    configuration.tls()?;
    configuration.check_outboxes()?;
    folder::open_all(&configuration.host.folders, &configuration.folder, &configuration.senders()?)?;
    // What is active already was taken before: it need not be new to anybody again.
    let occasion = |name: &PluginName, digest: Digest| {
        let known = before.as_ref().and_then(|before| before.components.get(name)) == Some(&digest);
        if known { Occasion::Active } else { Occasion::New }
    };
    let parts = configuration.routes.parts();
    // The clock is asked for nothing but the day: this road is thrown away.
    Road { store: Arc::clone(store), clock: Arc::new(SystemClock), workers: None, version }.build(
        locations,
        configuration,
        &component,
        &occasion,
        at,
    )?;

    // A component is named by its digest: without a version that names it, it changes nothing.
    for (digest, (bytes, _)) in &proposed.components {
        kept.keep(*digest, bytes, signatures.get(digest).and_then(Option::as_deref))?;
    }
    let bytes = files.to_bytes()?;
    let who = Label::of(&account());
    let body = LeafBody::Configuration(ConfigurationLeaf { version, digest: Digest::of(&bytes), who: who.clone() });
    let mut leaves = vec![Leaf::new(&name, at, body)?];
    for Transition { plugin, component, step, signers } in transitions {
        let step = PackageLeaf::of(plugin, component, step).signed_by(&signers)?;
        let body = PackageLeaf { configuration: Some(version), who: Some(who.clone()), ..step };
        leaves.push(Leaf::new(&name, at, LeafBody::Package(body))?);
    }
    let version = store.activate_configuration(bytes, tables, at, leaves, parts).await?;
    Ok(Activated { version, loaded_otherwise })
}

/// The signature of each proposed component: the file beside it, unless nobody in it counts
/// and somebody counts in the one that is kept. Otherwise whoever can put a file into the
/// folder could stop a plugin that was taken long ago.
fn signatures(
    kept: &Components,
    proposed: &Proposed,
    configuration: &Configuration,
    at: Instant,
) -> BTreeMap<Digest, Option<String>> {
    let counts = |bytes: &[u8], signature: Option<&str>| {
        Package::read(bytes, signature)
            .is_ok_and(|package| configuration.trust.judge(&package, Occasion::Active, at).is_ok())
    };
    let chosen = proposed.components.iter().map(|(digest, (bytes, beside))| {
        let before = kept.read(*digest).ok().and_then(|(_, signature)| signature);
        if before != *beside && !counts(bytes, beside.as_deref()) && counts(bytes, before.as_deref()) {
            tracing::warn!(component = %digest, "the signature file beside the component is nobody's who counts; the one that is kept stays");
            return (*digest, before);
        }
        (*digest, beside.clone())
    });
    chosen.collect()
}

/// What a proposal does to plugins that are active: another component takes the place of
/// one, with all that it asks for beyond it, or one stays disabled. Somebody may have
/// activated by command what the folder does not have.
///
/// # Errors
/// When what is active cannot be read.
pub async fn changed_components(
    store: &Arc<dyn Store>,
    locations: &Locations,
    proposed: &Proposed,
) -> anyhow::Result<Vec<String>> {
    let Some(active) = store.active_configuration().await? else { return Ok(Vec::new()) };
    let active = Files::from_bytes(&active.bytes)?;
    let mut changes = Vec::new();
    if active.is_halted() {
        changes.push("all plugins stay stopped; `portreeve plugin resume` ends that".to_owned());
    }
    for (name, digest) in &proposed.files.components {
        if active.is_disabled(name) {
            changes.push(format!("plugin `{name}` stays disabled; `portreeve plugin activate {name}` ends that"));
        }
        let Some(was) = active.components.get(name).filter(|was| *was != digest) else { continue };
        let before = locations.kept_components().package(*was);
        let more = match (before, proposed.components.get(digest).map(|(bytes, _)| Package::read(bytes, None))) {
            (Ok(before), Some(Ok(now))) => {
                let grown = growth(before.manifest(), now.manifest());
                let grown: Vec<String> = grown.iter().map(ToString::to_string).collect();
                if grown.is_empty() { String::new() } else { format!(", and asks for more: {}", grown.join("; ")) }
            }
            (Err(error), Some(Ok(_))) => format!(", and nothing says what that asked for ({})", sentence(&error)),
            // Whatever is wrong with the new one, trying it says so.
            (_, Some(Err(_)) | None) => String::new(),
        };
        changes.push(format!("plugin `{name}` is {digest} from now on and was {was}{more}"));
    }
    Ok(changes)
}

/// The account that runs a command, for the record.
pub(crate) fn account() -> String {
    std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned())
}

/// The log's key is bound to its origin, and so are all checkpoints: a host with
/// another origin could not continue the log.
fn same_origin(active: &str, proposed: &str) -> anyhow::Result<()> {
    if active != proposed {
        bail!(
            "`origin` is `{proposed}`, but the audit log of this data folder began as `{active}`; keep that origin, or start a new data folder"
        );
    }
    Ok(())
}

/// Orders that wait with a block are cleared or undone by the messages that they were made with:
/// without those a release would send them a second time, or could not be.
async fn knows_blocks(store: &Arc<dyn Store>, before: &Routes, proposed: &Routes) -> anyhow::Result<()> {
    if !before.tells_of_waiting() {
        return Ok(());
    }
    let lost = proposed.blocks_lost(before, &store.waiting_orders().await?);
    if !lost.is_empty() {
        bail!("{}", lost.join("\n"));
    }
    Ok(())
}

/// What a folder's reference files come to.
#[derive(Default)]
struct FolderTables {
    /// Those that take the place of what the store has, each with its leaf.
    new: Vec<NewReference>,
    /// Of the rows of every file.
    digests: BTreeMap<String, Digest>,
    loaded_otherwise: Vec<LoadedOtherwise>,
}

async fn folder_tables(
    store: &Arc<dyn Store>,
    host: &str,
    files: &[(String, PathBuf)],
    before: Option<&Files>,
    who: &str,
    at: Instant,
) -> anyhow::Result<FolderTables> {
    let mut tables = FolderTables::default();
    for (table, file) in files {
        let content = reference::read(table, file)?;
        let last_read = before.and_then(|before| before.reference.get(table)).copied();
        tables.digests.insert(table.clone(), content.digest);
        let otherwise = loaded_otherwise(store, (table, file), content.digest, last_read).await?;
        if otherwise.as_ref().is_none_or(|otherwise| otherwise.is_replaced) {
            tables.new.extend(reference_table(store, host, table, content, who, at).await?);
        }
        tables.loaded_otherwise.extend(otherwise);
    }
    Ok(tables)
}

/// Whether the store has a table that is neither what the folder's file is now nor what it
/// was. A file that nobody has read before says nothing about which of the two is newer.
async fn loaded_otherwise(
    store: &Arc<dyn Store>,
    (table, file): (&str, &Path),
    digest: Digest,
    last_read: Option<Digest>,
) -> anyhow::Result<Option<LoadedOtherwise>> {
    let Some((version, rows)) = store.reference(table).await? else { return Ok(None) };
    let stored = canonical_digest(&rows)?;
    if stored == digest || Some(stored) == last_read {
        return Ok(None);
    }
    let is_replaced = last_read.is_some_and(|last| last != digest);
    Ok(Some(LoadedOtherwise { table: table.to_owned(), file: file.to_owned(), version, is_replaced }))
}

async fn reference_table(
    store: &Arc<dyn Store>,
    host: &str,
    table: &str,
    content: Content,
    who: &str,
    at: Instant,
) -> anyhow::Result<Option<NewReference>> {
    let Content { rows, digest } = content;
    let version = match store.reference(table).await? {
        Some((_, known)) if known == rows => return Ok(None),
        Some((version, _)) => version.saturating_add(1),
        None => 1,
    };
    let rows_count = u64::try_from(rows.len()).context("too many rows")?;
    let who = Some(Label::of(who));
    let body = LeafBody::Reference(ReferenceLeaf { table: Code::of(table), version, digest, rows: rows_count, who });
    Ok(Some(NewReference { table: table.to_owned(), rows, leaf: Leaf::new(host, at, body)? }))
}

/// Replaces a reference table, with its leaf; nothing is written when the store has exactly
/// these rows already.
///
/// One after the other: the leaf names the version after the one that was found, and `who`
/// loaded it.
///
/// # Errors
/// When the store refuses or fails; the table is then untouched.
pub async fn load_reference(
    store: &Arc<dyn Store>,
    table: &str,
    content: Content,
    who: &str,
    at: Instant,
) -> anyhow::Result<Loaded> {
    let active = active(store).await?;
    let configuration = Files::from_bytes(&active.bytes)?.check()?;
    let ahead = reference::ahead(table, &content, at);
    let loaded = |version, rows, changed| {
        let rows = u64::try_from(rows).context("too many rows")?;
        let warning = reference::unread(table, &configuration.tables_read()).or_else(|| ahead.clone());
        Ok(Loaded { table: table.to_owned(), version, rows, changed, warning })
    };
    let name = &configuration.host.host.name;
    let Some(new) = reference_table(store, name, table, content, who, at).await? else {
        let (version, rows) = store.reference(table).await?.context("the table vanished while it was read")?;
        return loaded(version, rows.len(), false);
    };
    let rows = new.rows.len();
    let version = store.load_reference(table, new.rows, new.leaf).await?;
    loaded(version, rows, true)
}

/// Gives the leaves that a command wrote into a stopped host's folder their index.
///
/// # Errors
/// When the log cannot be continued.
pub async fn sequence(store: &Arc<dyn Store>, locations: &Locations) -> anyhow::Result<()> {
    let origin = Files::from_bytes(&active(store).await?.bytes)?.check()?.host.host.origin;
    let key = locations.log_key(&origin)?;
    let (sequencer, _) = Sequencer::recover(Arc::clone(store), key, locations.outside(&origin)).await?;
    sequencer.sequence_all().await?;
    Ok(())
}

/// The active configuration.
///
/// # Errors
/// When there is none.
pub async fn active(store: &Arc<dyn Store>) -> anyhow::Result<portreeve_store::contract::Configuration> {
    store
        .active_configuration()
        .await?
        .context("the data folder has no configuration; run `portreeve init --config FOLDER` first")
}

/// What a road needs beside its configuration.
struct Road {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    workers: Option<usize>,
    version: u64,
}

impl Road {
    /// Installs the plugins, reads the senders' secrets, and checks that each
    /// route finds what it needs. `init` and `serve` do exactly the same here.
    fn build(
        self,
        locations: &Locations,
        configuration: Configuration,
        component: &Bytes<'_>,
        occasion: &Occasions<'_>,
        now: Instant,
    ) -> anyhow::Result<(Pipeline, Registry, Arc<ModelFiles>)> {
        let sandbox = Sandbox::new(SandboxOptions::default()).context("the sandbox cannot start")?;
        let engines = [PluginKind::Connector, PluginKind::Transformer, PluginKind::Scorer]
            .into_iter()
            .map(|kind| (kind, sandbox.engine_hash(kind)))
            .collect();
        let cache = CodeCache::open(&locations.cache, &locations.cache_key)?;
        let registry = Registry::new(sandbox, cache);
        let metrics = Metrics::default();
        let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver::default());
        let notices =
            Notices::open(configuration.notices()?, &configuration.host.host.origin, &configuration.folder, &resolver)?;
        let outbound = Outbound::open(
            Arc::clone(&self.clock),
            resolver,
            configuration.allowances(),
            configuration.ways()?,
            &configuration.folder,
            metrics.egress(),
        )?
        .with_streams(&configuration.routes.targets, &configuration.folder)?;
        let plugins = install_all(&registry, &configuration, component, occasion, now)?;
        let models =
            Arc::new(ModelFiles::default().next(configuration.models().as_deref(), packages::ready(&plugins))?);
        let active = Active { configuration: self.version, plugins, models: Arc::clone(&models) as _ };
        let plugins = Plugins::new(active);
        if configuration.halted {
            plugins.halt();
        }
        let pipeline = Pipeline {
            outbound: Arc::new(outbound),
            notices,
            host: configuration.host.host.name.clone(),
            origin: configuration.host.host.origin.clone(),
            store: self.store,
            clock: self.clock,
            senders: configuration.senders()?,
            plugins,
            quarantine: Quarantine::default(),
            plugin_queue: configuration.host.host.plugin_queue.clone(),
            routes: configuration.routes,
            engines,
            authority: configuration.authority,
            pseudonyms: locations.pseudonyms()?,
            rules: configuration.rules,
            people: configuration.people,
            process: configuration.process,
            accounts: Accounts::default(),
            workers: self.workers.unwrap_or(configuration.host.host.workers),
            numbers: Arc::default(),
            metrics,
            set_aside: SetAside::default(),
            pause_records: portreeve_pipeline::exception::PauseRecords::default(),
            recent_oversight: portreeve_pipeline::oversight::RecentOversight::default(),
            recent_measures: portreeve_pipeline::measure::RecentMeasures::default(),
            tables: TableCache::default(),
            gone: portreeve_pipeline::deliver::Gone::default(),
            reconciling: portreeve_pipeline::reconcile::Reconciling::default(),
        };
        if let Err(missing) = pipeline.check() {
            bail!("{}", missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        Ok((pipeline, registry, models))
    }
}

/// What is kept of a component, by digest.
type Bytes<'a> = dyn Fn(Digest) -> anyhow::Result<Kept> + Sync + 'a;

/// Whether a plugin's component is new to the host.
type Occasions<'a> = dyn Fn(&PluginName, Digest) -> Occasion + Sync + 'a;

/// A host that can work.
pub struct Host {
    /// The road.
    pub pipeline: Arc<Pipeline>,
    /// The packages of its plugins.
    pub packages: Arc<Packages>,
    /// The log.
    pub sequencer: Arc<Sequencer>,
    /// Whoever checks the log needs this.
    pub verifier: VerifierKey,
    /// Name, origin and address, as the active configuration has them.
    pub settings: HostSection,
    /// How long content is kept; none keeps it for good.
    pub retention: Option<RetentionSection>,
    tls: Option<Tls>,
    /// What to open them with; only a host that serves watches.
    entries: Vec<FolderEntry>,
    /// Where their relative paths begin.
    base: PathBuf,
    folders: Vec<Arc<Watched>>,
    accepted: Arc<Notify>,
    /// Wakes the worker that delivers, after every committed decision and release.
    released: Arc<Notify>,
    ready: Arc<AtomicBool>,
}

impl Host {
    /// Opens a host on its active configuration.
    ///
    /// # Errors
    /// When there is none, a plugin cannot be installed, or the log does not
    /// continue its checkpoints.
    pub async fn open(
        store: Arc<dyn Store>,
        locations: &Locations,
        clock: Arc<dyn Clock>,
        workers: Option<usize>,
    ) -> anyhow::Result<Self> {
        let active = active(&store).await?;
        let configuration = Files::from_bytes(&active.bytes)?.check()?;
        let (settings, retention) = (configuration.host.host.clone(), configuration.host.retention);
        let tls = configuration.tls()?;
        let (entries, base) = (configuration.host.folders.clone(), configuration.folder.clone());
        let plugins = configuration.host.plugins.clone();
        let (components, now) = (locations.kept_components(), clock.now());
        let road = Road { store: Arc::clone(&store), clock, workers, version: active.version };
        let read = |digest| components.read(digest);
        let (pipeline, registry, models) =
            road.build(locations, configuration, &read, &|_, _| Occasion::Active, now)?;
        let (pipeline, registry) = (Arc::new(pipeline), Arc::new(registry));
        tracing::info!(plugins = pipeline.plugins.now().ready().count(), "the plugins are loaded");
        // What became active before windows were held to it must not keep a host from starting.
        let loaded = pipeline.plugins.now();
        let requests = |plugin: &PluginEntry| Some(loaded.installed(&plugin.name)?.plugin.spec().limits.http_requests);
        for problem in windows::too_small(&plugins, &pipeline.routes, requests) {
            tracing::warn!("{problem}");
        }

        let key = locations.signing_key(store.as_ref(), &settings.origin).await?;
        let verifier = key.verifier();
        let (sequencer, recovered) = Sequencer::recover(store, key, locations.outside(&settings.origin)).await?;
        tracing::info!(entries = recovered.size, outside = ?recovered.outside, "the audit log continues");
        if recovered.outside == OutsideFound::Missing {
            pipeline.metrics.outside_checkpoint_missing();
            tracing::error!(
                entries = recovered.size,
                checkpoint = %locations.outside(&settings.origin).path().display(),
                "there was no checkpoint outside, so nothing rules out that the log was rolled back or replaced; \
                 compare its size and root with a copy that you trust (`portreeve audit checkpoint`)"
            );
        }
        let packages = Packages::new(Arc::clone(&pipeline), registry, components, models);
        packages.lapsed_while_nobody_looked().await?;
        Ok(Self {
            packages: Arc::new(packages),
            pipeline,
            sequencer: Arc::new(sequencer),
            verifier,
            settings,
            retention,
            tls,
            entries,
            base,
            folders: Vec::new(),
            accepted: Arc::new(Notify::new()),
            released: Arc::new(Notify::new()),
            ready: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Says in the store that this host is the one that works: pauses of an earlier one are over,
    /// subscribers that are new hear of what comes, and what has to go out by a time counts from now
    /// on. Whoever only looks into a folder does not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(&self) -> anyhow::Result<()> {
        self.pipeline.close_pauses().await.context("what waits because of paused plugins could not be closed")?;
        self.pipeline.begin_due().await.context("what has to go out by a time could not be kept")?;
        self.pipeline.begin_notices().await.context("subscribers of notices could not be kept")
    }

    /// Opens the watched folders, for [`Host::work`] to look into. A command that does
    /// its work and ends does not: two hosts would take each other's files.
    ///
    /// # Errors
    /// When one cannot be watched.
    pub fn watch(&mut self) -> anyhow::Result<()> {
        let folders = folder::open_all(&self.entries, &self.base, &self.pipeline.senders)?;
        self.folders = folders.into_iter().map(Arc::new).collect();
        Ok(())
    }

    /// The folders that are watched.
    #[must_use]
    pub fn folders(&self) -> &[Arc<Watched>] {
        &self.folders
    }

    /// The front door of this host.
    #[must_use]
    pub fn front(&self) -> Arc<Front> {
        Arc::new(Front {
            pipeline: Arc::clone(&self.pipeline),
            packages: Arc::clone(&self.packages) as _,
            tables: Arc::new(LiveTables::of(Arc::clone(&self.pipeline))),
            operator_token: self.settings.operator_token_sha256,
            ready: Arc::clone(&self.ready),
            accepted: Arc::clone(&self.accepted),
            released: Arc::clone(&self.released),
            limits: Limits::default(),
            tls: self.tls.clone(),
        })
    }

    /// Serves the front door and works behind it until `stop` completes, the log or the
    /// store cannot go on, or the door fails.
    ///
    /// The door closes first and within ten seconds: whatever it accepts
    /// until then is still under the last signed head when this returns.
    ///
    /// # Errors
    /// When the front door fails, the audit log is damaged or the store writes nothing any
    /// more.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let (close, closing) = watch::channel(false);
        let door = tokio::spawn(portreeve_api::serve(listener, self.front(), stopped(closing)));
        self.work_behind(door, close, stop).await
    }

    /// The same behind a door that is open already, and closes when `close` says so.
    ///
    /// # Errors
    /// As [`Host::serve`].
    pub async fn work_behind(
        &self,
        mut door: JoinHandle<std::io::Result<()>>,
        close: watch::Sender<bool>,
        stop: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let (end, ending) = watch::channel(false);
        let mut work = std::pin::pin!(self.work(ending));
        tokio::select! {
            told = stop => {
                let (closed, worked) = tokio::join!(
                    async {
                        let closed = close_door(&mut door, &close).await;
                        end.send_replace(true);
                        closed
                    },
                    work
                );
                worked.and(closed).and(told)
            }
            // By itself it ends only when the log is damaged or the store writes no more.
            worked = &mut work => worked.and(close_door(&mut door, &close).await),
            // Nobody could knock any more, and nobody would notice.
            ended = &mut door => {
                end.send_replace(true);
                let worked = work.await;
                let ended = how_the_door_ended(ended);
                worked.and(ended).and_then(|()| bail!("the front door closed by itself; start the host again"))
            }
        }
    }

    /// Takes files, decides, delivers and sequences until `stop` says so, then finishes
    /// what is under way and gives its leaves their index. A failure is logged
    /// and tried again: what was accepted is durable and waits.
    ///
    /// # Errors
    /// When the audit log is damaged or the store's writer is gone: the host is not
    /// ready any more, begins nothing new and stops rather than sign damage or try for ever.
    pub async fn work(&self, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        self.begin().await?;
        self.ready.store(true, Ordering::Release);
        let (halt, halted) = watch::channel(false);
        let begin_nothing = || {
            self.ready.store(false, Ordering::Release);
            halt.send_replace(true);
        };
        let at_rest = Notify::new();
        // Claims are the writes of a host that has nothing else to do: whoever delivers
        // is the first to know that nothing is written any more.
        let delivering = async {
            let delivered = self.deliver_until(halted.clone()).await;
            if delivered.is_err() {
                begin_nothing();
            }
            delivered
        };
        let road = async {
            let ((), (), delivered, (), (), (), (), (), (), (), ()) = tokio::join!(
                self.watch_until(halted.clone()),
                self.decide_until(halted.clone()),
                delivering,
                self.forget_until(halted.clone()),
                self.lapse_until(halted.clone()),
                self.note_refusals_until(halted.clone()),
                self.look_again_until(halted.clone()),
                self.notify_until(halted.clone()),
                self.poll_until(halted.clone()),
                self.subscribe_until(halted.clone()),
                self.reconcile_until(halted.clone())
            );
            at_rest.notify_one();
            delivered
        };
        // Decisions and receipts of the last moments get their index, too: the
        // log stops after the road, unless it is the reason to stop.
        let log = async {
            let ended = self.sequencer.run(SEQUENCE_EVERY, at_rest.notified(), |result| {
                if let Err(error) = result {
                    tracing::error!(%error, "leaves could not be sequenced");
                }
            });
            let ended = ended.await;
            begin_nothing();
            ended
        };
        let told = async {
            tokio::select! {
                () = stopped(stop) => begin_nothing(),
                () = stopped(halted.clone()) => {}
            }
        };
        let (logged, delivered, ()) = tokio::join!(log, road, told);
        delivered.context("the store cannot go on")?;
        logged.context("the audit log cannot go on")
    }

    async fn watch_until(&self, stop: watch::Receiver<bool>) {
        let mut watching = JoinSet::new();
        for folder in &self.folders {
            let (folder, pipeline) = (Arc::clone(folder), Arc::clone(&self.pipeline));
            watching.spawn(look_into(folder, pipeline, Arc::clone(&self.accepted), stop.clone()));
        }
        while let Some(ended) = watching.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a folder is not watched any more; restart the host");
            }
        }
    }

    async fn decide_until(&self, stop: watch::Receiver<bool>) {
        let mut decisions = Decisions::new(Arc::clone(&self.pipeline), DECIDE_BATCH);
        while !*stop.borrow() {
            match decisions.next().await {
                Ok(decided) if decided.is_empty() => self.wait(&self.accepted, &stop).await,
                Ok(decided) => {
                    let mut all_failed = true;
                    for decision in decided {
                        match decision {
                            Ok(_) => {
                                all_failed = false;
                                self.released.notify_one();
                            }
                            Err(error) => tracing::error!(%error, "a decision was not committed"),
                        }
                    }
                    if all_failed {
                        self.wait(&self.accepted, &stop).await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a batch could not be decided");
                    self.wait(&self.accepted, &stop).await;
                }
            }
        }
        decisions.end().await;
    }

    /// Ends by itself only when the store's writer is gone.
    async fn deliver_until(&self, stop: watch::Receiver<bool>) -> Result<(), StoreError> {
        let mut deliveries = Deliveries::waiting(Arc::clone(&self.pipeline), DELIVERIES_MAX);
        let mut writes = Ok(());
        while !*stop.borrow() && writes.is_ok() {
            if let Err(error) = deliveries.start_due().await {
                tracing::error!(%error, "deliveries could not be claimed");
                if matches!(error, StoreError::WriterEnded) {
                    writes = Err(error);
                    continue;
                }
            }
            // An ended one makes room; what nobody announces is looked for in a while.
            tokio::select! {
                Some(ended) = deliveries.ended() => {
                    ended.into_iter().for_each(report);
                    // What a target said by taking a message waits for its decision.
                    self.accepted.notify_one();
                }
                () = self.wait(&self.released, &stop) => {}
            }
        }
        while let Some(ended) = deliveries.ended().await {
            ended.into_iter().for_each(report);
        }
        writes
    }

    /// Removes content whose retention has ended, where the configuration has one.
    async fn forget_until(&self, stop: watch::Receiver<bool>) {
        let Some(retention) = self.retention else { return };
        while !*stop.borrow() {
            let before = retention.before(self.pipeline.clock.now());
            match self.pipeline.forget_finished(before, || *stop.borrow()).await {
                Ok(Retained { forgotten, open }) => {
                    tracing::info!(
                        inputs = forgotten.inputs,
                        payloads = forgotten.payloads,
                        open,
                        %before,
                        "content was removed because its retention ended"
                    );
                }
                Err(error) => {
                    self.pipeline.metrics.retention_failed();
                    tracing::error!(%error, "old content could not be removed");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RETENTION_EVERY) => {}
                () = stopped(stop.clone()) => {}
            }
        }
    }

    /// Puts on record which publishers' word has ended, and closes what waits for nothing any more.
    async fn lapse_until(&self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Err(error) = self.packages.lapse().await {
                tracing::error!(%error, "plugins whose publisher's word has ended are not on record");
            }
            // What could not be written when a pause ended.
            if let Err(error) = self.pipeline.close_pauses().await {
                tracing::error!(%error, "what waits because of paused plugins could not be closed");
            }
            tokio::select! {
                () = tokio::time::sleep(LAPSE_EVERY) => {}
                () = stopped(stop.clone()) => {}
            }
        }
    }

    /// Puts on record how many sign-ins were refused, once a minute and at the end.
    async fn note_refusals_until(&self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.pipeline.note_refused_sign_ins(false).await;
            tokio::select! {
                () = tokio::time::sleep(REFUSALS_EVERY) => {}
                () = stopped(stop.clone()) => {}
            }
        }
        self.pipeline.note_refused_sign_ins(true).await;
    }

    /// Clears holds of the host whose cause is gone, and escalates those whose time is over.
    async fn look_again_until(&self, stop: watch::Receiver<bool>) {
        let mut seen = None;
        let mut looks = 0_u32;
        while !*stop.borrow() {
            let stopping = || *stop.borrow();
            // Nearly all causes go with another version of a table or of the configuration.
            let versions = self.pipeline.versions_read().await.ok();
            let is_due = versions.is_none() || versions != seen || looks.is_multiple_of(LOOKS_AT_ALL);
            (seen, looks) = (versions, looks.wrapping_add(1));
            let cleared = match is_due {
                true => self.pipeline.clear_holds(stopping).await,
                false => Ok(Cleared::default()),
            };
            match cleared {
                Ok(cleared) if cleared.orders == 0 => {}
                Ok(Cleared { orders, released }) => {
                    tracing::info!(orders, released, "holds of the host's own rules were cleared");
                    self.released.notify_one();
                }
                Err(error) => tracing::error!(%error, "orders that are kept back could not be looked at again"),
            }
            // After that: nobody is called to a hold that the host ends a moment later.
            match self.pipeline.escalate_due(stopping).await {
                Ok(Overdue { escalated: 0, expired: 0 }) => {}
                Ok(Overdue { escalated, expired }) => tracing::warn!(
                    escalated,
                    expired,
                    "nobody decided in time: exceptions were escalated, and proposals expired"
                ),
                Err(error) => tracing::error!(%error, "exceptions that are due could not be escalated"),
            }
            match self.pipeline.tell_overdue(stopping).await {
                Ok(0) => {}
                Ok(interchanges) => tracing::warn!(interchanges, "receivers did not acknowledge in time"),
                Err(error) => tracing::error!(%error, "acknowledgements that are due could not be looked at"),
            }
            match self.pipeline.tell_late(stopping).await {
                Ok(0) => {}
                Ok(messages) => tracing::warn!(messages, "messages did not go out in time"),
                Err(error) => tracing::error!(%error, "messages that are due could not be looked at"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN_EVERY) => {}
                () = stopped(stop.clone()) => {}
            }
        }
    }

    /// Compares systems whose time has come. A run that is under way when the host is told to stop
    /// ends without a trace: it has changed nothing, and is due again.
    async fn reconcile_until(&self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::select! {
                () = reconcile_due(&self.pipeline) => {}
                () = stopped(stop.clone()) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(RECONCILE_EVERY) => {}
                () = stopped(stop.clone()) => {}
            }
        }
    }

    /// Tells each subscriber what waits for a person; one that hangs is another task.
    async fn notify_until(&self, stop: watch::Receiver<bool>) {
        let mut telling = JoinSet::new();
        for subscriber in self.pipeline.notices.subscribers() {
            telling.spawn(tell(Arc::clone(subscriber), Arc::clone(&self.pipeline), stop.clone()));
        }
        while let Some(ended) = telling.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a subscriber hears of nothing any more; restart the host");
            }
        }
    }

    /// Makes each poll when it is due; one whose source hangs is another task.
    async fn poll_until(&self, stop: watch::Receiver<bool>) {
        let mut polling = JoinSet::new();
        for poll in &self.pipeline.routes.polls {
            polling.spawn(ask(poll.clone(), Arc::clone(&self.pipeline), Arc::clone(&self.accepted), stop.clone()));
        }
        while let Some(ended) = polling.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a poll is not made any more; restart the host");
            }
        }
    }

    /// Keeps up what sources are asked to tell of by themselves; one that hangs is another task.
    async fn subscribe_until(&self, stop: watch::Receiver<bool>) {
        let mut asking = JoinSet::new();
        for poll in self.pipeline.routes.polls.iter().filter(|poll| poll.subscription.is_some()) {
            asking.spawn(subscribe(poll.clone(), Arc::clone(&self.pipeline), stop.clone()));
        }
        while let Some(ended) = asking.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a subscription is not renewed any more; restart the host");
            }
        }
    }

    async fn wait(&self, news: &Notify, stop: &watch::Receiver<bool>) {
        tokio::select! {
            () = news.notified() => {}
            () = tokio::time::sleep(IDLE) => {}
            () = stopped(stop.clone()) => {}
        }
    }
}

/// Closes the door, and does not wait for one that hangs.
async fn close_door(door: &mut JoinHandle<std::io::Result<()>>, close: &watch::Sender<bool>) -> anyhow::Result<()> {
    close.send_replace(true);
    if let Ok(ended) = tokio::time::timeout(DOOR_CLOSES_MAX, &mut *door).await {
        return how_the_door_ended(ended);
    }
    tracing::warn!("requests were cut off: the front door did not close in time");
    door.abort();
    Ok(())
}

fn how_the_door_ended(ended: Result<std::io::Result<()>, JoinError>) -> anyhow::Result<()> {
    ended.context("the front door panicked; start the host again, and report it")?.context("the front door failed")
}

/// Looks into one folder until told to stop; another one that hangs is another task.
async fn look_into(folder: Arc<Watched>, pipeline: Arc<Pipeline>, accepted: Arc<Notify>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let mut moved = false;
        match folder.scan(&pipeline, &|| !*stop.borrow()).await {
            Ok(ends) => {
                for (_, end) in ends {
                    moved |= !matches!(end, End::Later { .. });
                    if matches!(end, End::OnRecord { .. }) {
                        accepted.notify_one();
                    }
                }
            }
            Err(error) => {
                tracing::error!(channel = %folder.channel(), error = sentence(&error), "a folder could not be looked into")
            }
        }
        if !moved {
            tokio::select! {
                () = tokio::time::sleep(folder.every()) => {}
                () = stopped(stop.clone()) => {}
            }
        }
    }
}

async fn reconcile_due(pipeline: &Pipeline) {
    let due = match pipeline.due_reconciliations().await {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, "nobody knows which systems are to be compared");
            return;
        }
    };
    for id in due {
        match pipeline.reconcile(&id, None, false).await {
            Ok(Run { outcome: Outcome::Compared(found), .. }) => {
                tracing::info!(
                    reconciliation = id,
                    compared = found.compared,
                    differences = found.differences.len(),
                    "two systems were compared"
                );
                for LeftAside { why, rows, detail } in &found.left_aside {
                    tracing::info!(
                        reconciliation = id,
                        code = why.as_str(),
                        rows,
                        detail,
                        "rows of a list were left aside"
                    );
                }
            }
            Ok(Run { outcome: Outcome::NotCompared(unheard), .. }) => tracing::warn!(
                reconciliation = id,
                system = unheard.system,
                code = unheard.code,
                "two systems could not be compared"
            ),
            // Whoever asked for that one is answered by it, and this one is due still.
            Err(ReconcileError::Running) => {}
            Err(error) => tracing::error!(reconciliation = id, %error, "systems could not be compared"),
        }
    }
}

/// Tells one subscriber until told to stop. A notice under way is cut off then, and sent again
/// by whoever comes next.
async fn tell(subscriber: Arc<Subscriber>, pipeline: Arc<Pipeline>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::select! {
            told = pipeline.notify(&subscriber) => if let Err(error) = told {
                tracing::error!(subscriber = subscriber.id(), %error, "notices could not be sent");
            },
            () = stopped(stop.clone()) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(NOTIFY_EVERY) => {}
            () = stopped(stop.clone()) => {}
        }
    }
}

/// Makes one poll, each time that it is due, until told to stop. One under way is waited for: its
/// call has an end, and what it brings is on record.
async fn ask(poll: Poll, pipeline: Arc<Pipeline>, accepted: Arc<Notify>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match pipeline.poll(&poll).await {
            Ok(run) if run.documents > 0 => accepted.notify_one(),
            Ok(_) => {}
            Err(error) => tracing::error!(poll = poll.id, %error, "a poll came to no end"),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_LOOK_EVERY) => {}
            () = stopped(stop.clone()) => {}
        }
    }
}

/// Keeps up one subscription until told to stop. One that is asked for is waited for, as a poll is.
async fn subscribe(poll: Poll, pipeline: Arc<Pipeline>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = pipeline.subscribe(&poll).await {
            tracing::error!(poll = poll.id, %error, "a subscription came to no end");
        }
        tokio::select! {
            () = tokio::time::sleep(SUBSCRIBE_LOOK_EVERY) => {}
            () = stopped(stop.clone()) => {}
        }
    }
}

fn report(ended: Result<Settled, DeliverError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a delivery came to no outcome");
    }
}

/// Installs every plugin. Compiling takes seconds of CPU each, so the machine's
/// cores share the work; what is in the cache takes milliseconds.
fn install_all(
    registry: &Registry,
    configuration: &Configuration,
    component: &Bytes<'_>,
    occasion: &Occasions<'_>,
    now: Instant,
) -> anyhow::Result<BTreeMap<PluginName, Slot>> {
    let waiting = Mutex::new(configuration.host.plugins.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let install = |entry: &PluginEntry| {
        let digest = configuration
            .components
            .get(&entry.name)
            .with_context(|| format!("the stored configuration has no component for plugin `{}`", entry.name))?;
        let occasion = occasion(&entry.name, *digest);
        let slot = packages::slot(registry, configuration, entry, *digest, || component(*digest), occasion, now)?;
        anyhow::Ok((entry.name.clone(), slot))
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| std::iter::from_fn(next).map(install).collect::<Vec<_>>())).collect();
        let (mut plugins, mut problems) = (BTreeMap::new(), Vec::new());
        for worker in workers {
            let installed =
                worker.join().map_err(|_| anyhow::anyhow!("a plugin could not be installed: its thread panicked"))?;
            for result in installed {
                match result {
                    Ok((name, slot)) => drop(plugins.insert(name, slot)),
                    Err(error) => problems.push(sentence(&error)),
                }
            }
        }
        // All of them at once: whoever mends one does not want to hear of the next one then.
        problems.sort();
        if problems.is_empty() { Ok(plugins) } else { bail!("{}", problems.join("\n")) }
    })
}

/// Completes when the host is told to stop.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender being gone is a stop as well.
    while !*stop.borrow_and_update() {
        if stop.changed().await.is_err() {
            return;
        }
    }
}
