//! The life of plugins' packages in one host: taken in, tried, activated, rolled back,
//! disabled, all of them stopped at once; and whose packages are taken at all.
//!
//! ```text
//! FILE ──install──▶ installed ──stage──▶ staged ──activate──▶ active ──rollback──▶ what was active before
//!       signature,              grant,             next version      └─disable──▶ not called
//!       trust                   code, imports      of the configuration
//! ```
//!
//! Which component of a plugin is active is in one place: the version of the configuration
//! in the store, which every decision names. Activating, rolling back, disabling and trusting
//! others each make the next version, in one transaction with its leaves, and only then the
//! running road gets it, in one step: whatever is under way ends on the version that it began
//! with. A process that dies in between opens on the new version; before it, on the old one.
//! Bytes are written first, under their digest: without a version that names it a component
//! does nothing.
//!
//! One change at a time: a lock in this process, and the version that a change was built on
//! in the transaction, should there be others.

mod components;
mod rows;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, bail};
use async_trait::async_trait;
use portreeve_api::package::{Act, Acted, Halted, Lifecycle, PackageRow, Refusal, TrustChanged};
use portreeve_model::strict::SourceFile;
use portreeve_model::{Digest, Instant, PluginName};
use portreeve_pipeline::route::{KindProblem, Manifests};
use portreeve_pipeline::settings::{Declarations, SettingProblem};
use portreeve_pipeline::{Active, Pipeline, Slot, Why};
use portreeve_record::leaf::{ConfigurationLeaf, Label, PackageLeaf, PackageStep};
use portreeve_record::{Leaf, LeafBody};
use portreeve_registry::{
    Installed, Occasion, Package, PlatformGrant, Registry, TrustPolicy, Trusted, Untrusted, growth,
};
use portreeve_sandbox::Limits;
use portreeve_store::contract::{NewPackage, PackageChange};
use portreeve_store::{Store, StoreError};
use tokio::sync::Mutex;

pub use self::components::Components;
pub use self::rows::rows_in_folder;
use self::rows::{ACTIVE, quarantined, rows};
use crate::config::{Before, Configuration, Files, PluginEntry, TRUST_FILE, read_grant};
use crate::models::ModelFiles;
use crate::output::sentence;
use crate::windows;

/// Leaves without an index that a start looks at for the time of the last entry: more than a
/// host that died can have left between two rounds of the sequencer.
const UNSEQUENCED_MAX: u32 = 65_536;

/// A component's bytes, and its signature file.
pub(crate) type Kept = (Vec<u8>, Option<String>);

/// A component of a plugin as a version of the configuration has it.
///
/// # Errors
/// When it cannot be loaded, or, where it is new, cannot be read or is not trusted. One that
/// is active already and cannot be read or is not trusted any more is a plugin that is not
/// called: one damaged file must not keep a host and all its other plugins from working.
pub(crate) fn slot(
    registry: &Registry,
    configuration: &Configuration,
    entry: &PluginEntry,
    digest: Digest,
    kept: impl FnOnce() -> anyhow::Result<Kept>,
    occasion: Occasion,
    now: Instant,
) -> anyhow::Result<Slot> {
    let name = &entry.name;
    let stopped = |why| Ok(Slot::Stopped { component: digest, why });
    if configuration.disabled.contains(name) {
        return stopped(Why::Disabled);
    }
    let (component, signature) = match kept() {
        Ok(kept) => kept,
        Err(error) if occasion == Occasion::Active => {
            let error = sentence(&error);
            tracing::error!(plugin = %name, component = %digest, error, "the plugin is not called: its component cannot be read");
            return stopped(Why::Unreadable);
        }
        Err(error) => return Err(error),
    };
    let package = Package::read(&component, signature.as_deref()).with_context(|| format!("plugin `{name}`"))?;
    let trusted = match configuration.trust.judge(&package, occasion, now) {
        Ok(trusted) => trusted,
        Err(untrusted) if occasion == Occasion::Active => {
            tracing::error!(plugin = %name, component = %package.digest(), %untrusted, "the plugin is not called");
            return stopped(Why::NotTrusted);
        }
        Err(untrusted) => bail!("plugin `{name}`: {untrusted}"),
    };
    let installed = registry.install(name, &package, &trusted, &component, &configuration.grant(entry))?;
    Ok(Slot::Ready(Arc::new(installed)))
}

/// What another configuration does to a plugin.
pub(crate) struct Transition {
    pub(crate) plugin: PluginName,
    pub(crate) component: Digest,
    pub(crate) step: PackageStep,
    pub(crate) signers: Vec<String>,
}

/// What becomes of the plugins of one configuration under the next: each one's component with
/// its signature, then and now, and whose word counted.
pub(crate) fn transitions(
    (before, was): (&Before, impl Fn(Digest) -> anyhow::Result<Package>),
    (after, is): (&Configuration, impl Fn(Digest) -> anyhow::Result<Package>),
    now: Instant,
) -> Vec<Transition> {
    let signers = |trust: Option<&TrustPolicy>, package: anyhow::Result<Package>| {
        let trusted = trust?.judge(&package.ok()?, Occasion::Active, now).ok()?;
        Some(trusted.signers().to_vec())
    };
    let of = |plugin: &PluginName, component, step, signers: Option<Vec<String>>| Transition {
        plugin: plugin.clone(),
        component,
        step,
        signers: signers.unwrap_or_default(),
    };
    let gone = before.components.iter().filter(|(name, _)| !after.components.contains_key(*name));
    let mut all: Vec<Transition> =
        gone.map(|(name, component)| of(name, *component, PackageStep::Disabled, None)).collect();
    for (name, component) in &after.components {
        let signed = signers(Some(&after.trust), is(*component));
        let is_the_same = before.components.get(name) == Some(component);
        let was_trusted = is_the_same && signers(before.trust.as_ref(), was(*component)).is_some();
        if signed.is_some() && !was_trusted && !after.disabled.contains(name) {
            all.push(of(name, *component, PackageStep::Activated, signed));
        } else if signed.is_none() && was_trusted {
            all.push(of(name, *component, PackageStep::Distrusted, None));
        }
    }
    all
}

/// What plugins say of their settings, of those that say anything.
fn settings_of(manifests: &Manifests) -> Declarations {
    manifests.iter().filter_map(|(name, manifest)| Some((name.clone(), manifest.settings.clone()?))).collect()
}

/// What is wrong and was not before, one after the other.
fn news<P: fmt::Display>(found: &[P], known: &[P], was_among: fn(&P, &[P]) -> bool) -> String {
    let news = found.iter().filter(|problem| !was_among(problem, known));
    news.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The plugins that can be called.
pub(crate) fn ready(plugins: &BTreeMap<PluginName, Slot>) -> impl Iterator<Item = (&PluginName, &Installed)> {
    plugins.iter().filter_map(|(name, slot)| Some((name, slot.installed()?.as_ref())))
}

/// The packages of a host that works, or of a stopped one's folder.
pub struct Packages {
    pipeline: Arc<Pipeline>,
    registry: Arc<Registry>,
    components: Components,
    /// What the active plugins read; whoever changes them replaces it.
    models: std::sync::Mutex<Arc<ModelFiles>>,
    one_at_a_time: Mutex<()>,
    one_compiles: Mutex<()>,
}

/// The version that a change is built on.
struct Base {
    version: u64,
    files: Files,
    configuration: Configuration,
}

/// What is to be activated.
struct Chosen {
    component: Digest,
    /// The grant of its own that it was staged with.
    grant: Option<String>,
}

impl Base {
    fn entry(&self, name: &PluginName) -> Result<&PluginEntry, Refusal> {
        let entry = self.configuration.host.plugins.iter().find(|entry| entry.name == *name);
        entry.ok_or_else(|| {
            Refusal::NotFound(format!(
                "the configuration has no plugin `{name}`; add a [[plugin]] of that name and what routes it, and run `portreeve init`"
            ))
        })
    }
}

impl Packages {
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        registry: Arc<Registry>,
        components: Components,
        models: Arc<ModelFiles>,
    ) -> Self {
        let models = std::sync::Mutex::new(models);
        Self { pipeline, registry, components, models, one_at_a_time: Mutex::default(), one_compiles: Mutex::default() }
    }

    async fn base(&self) -> Result<Base, Refusal> {
        let active = self.pipeline.store.active_configuration().await?;
        let active = active.ok_or_else(|| Refusal::NotFound("there is no active configuration".to_owned()))?;
        let files = Files::from_bytes(&active.bytes).map_err(internal)?;
        let configuration = files.check().map_err(internal)?;
        Ok(Base { version: active.version, files, configuration })
    }

    /// Takes a package in. Nothing calls it.
    async fn take_in(&self, component: &[u8], signature: Option<&str>, who: &str) -> Result<PackageRow, Refusal> {
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        let package = Package::read(component, signature).map_err(refused)?;
        let trusted = self.judge(&base.configuration.trust, &package, Occasion::New)?;
        let about = &package.manifest().plugin;
        let (digest, name) = (package.digest(), about.name.clone());
        self.components.keep(digest, component, signature).map_err(internal)?;
        let new = NewPackage {
            digest,
            plugin: name.clone(),
            version: about.version.clone(),
            kind: about.kind.to_string(),
            publisher: about.publisher.clone(),
        };
        let leaf = self.leaf(&name, digest, PackageStep::Installed, None, trusted.signers(), Some(who))?;
        self.write(PackageChange::Install(new), vec![leaf]).await?;
        self.row(digest).await
    }

    /// Tries a package in full, within the grant that it would have: its own where it is given
    /// one, else what the configuration has, also when that changes before it is activated.
    async fn stage(
        &self,
        name: &PluginName,
        digest: Digest,
        grant: Option<String>,
        who: &str,
    ) -> Result<Acted, Refusal> {
        self.prepare(digest, Occasion::New).await;
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        let entry = base.entry(name)?;
        let found = self.pipeline.store.packages().await?.into_iter().find(|one| one.package.digest == digest);
        if found.is_none_or(|found| found.package.plugin != *name) {
            return Err(Refusal::NotFound(format!(
                "no package of `{name}` with digest {digest} is installed; `portreeve plugin list` shows those that are"
            )));
        }
        let (component, signature) = self.components.read(digest).map_err(refused)?;
        let package = Package::read(&component, signature.as_deref()).map_err(refused)?;
        let trusted = self.judge(&base.configuration.trust, &package, Occasion::New)?;
        self.fits_its_routes(name, &package)?;
        self.knows_the_configuration(name, &package)?;
        let given = grant.as_deref().map(read_grant).transpose().map_err(refused)?;
        let grown = self.grown(&base, name, &package, given.as_ref())?;
        let kept = given.as_ref().map(toml::to_string).transpose().map_err(internal)?;
        let grant = given.unwrap_or_else(|| base.configuration.grant(entry));
        self.fits_its_windows(&base, name, &package, &grant)?;
        let leaf = self.leaf(name, digest, PackageStep::Staged, Some(base.version), trusted.signers(), Some(who))?;
        let installed = self.load(name, package, trusted, component, grant).await?;
        let tried = BTreeMap::from([(name.clone(), Slot::Ready(Arc::new(installed)))]);
        self.models_of(&base.configuration, &tried).await?;
        self.write(PackageChange::Stage { digest, grant: kept }, vec![leaf]).await?;
        Ok(Acted {
            plugin: name.to_string(),
            component: digest.to_string(),
            state: "staged".to_owned(),
            configuration: base.version,
            grown,
        })
    }

    /// Makes the staged package what routes call, or lets a plugin be called again that was
    /// disabled, or whose component could not be read.
    async fn activate(&self, name: &PluginName, digest: Option<Digest>, who: &str) -> Result<Acted, Refusal> {
        if let Ok(chosen) = self.to_activate(&self.base().await?, name, digest).await {
            self.prepare(chosen.component, Occasion::New).await;
        }
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        let Chosen { component, grant } = self.to_activate(&base, name, digest).await?;
        let own = grant.as_deref().map(read_grant).transpose().map_err(internal)?;
        let (bytes, _) = self.components.read(component).map_err(refused)?;
        let package = Package::read(&bytes, None).map_err(refused)?;
        // Since it was staged another one may have become active, which asks for less, and settings
        // may have been given otherwise.
        self.grown(&base, name, &package, own.as_ref())?;
        if base.configuration.components.get(name) != Some(&component) {
            self.knows_the_configuration(name, &package)?;
        }
        let next = base.files.activated(name, component, grant);
        self.go_on(base, next, name, component, PackageStep::Activated, Occasion::New, who).await
    }

    /// What a plugin would be from now on.
    async fn to_activate(&self, base: &Base, name: &PluginName, digest: Option<Digest>) -> Result<Chosen, Refusal> {
        base.entry(name)?;
        let mut packages = self.pipeline.store.packages().await?.into_iter();
        let staged = packages.find(|one| one.package.plugin == *name && one.staged_at.is_some());
        if let Some(staged) = staged.filter(|staged| digest.is_none_or(|digest| digest == staged.package.digest)) {
            return Ok(Chosen { component: staged.package.digest, grant: staged.grant });
        }
        let current = base.configuration.components.get(name).copied();
        match current.filter(|current| digest.is_none_or(|digest| digest == *current)) {
            Some(component) if self.may_be_called_again(base, name) => Ok(Chosen { component, grant: None }),
            Some(current) if digest.is_some() => {
                Err(Refusal::Refused(format!("{current} is what `{name}` is already")))
            }
            _ => Err(Refusal::Refused(format!(
                "nothing of `{name}` is staged that could be activated; run `portreeve plugin stage {name} DIGEST` first"
            ))),
        }
    }

    /// Whether the component that a plugin has may be loaded again: it is not called now, and
    /// not for want of trust.
    fn may_be_called_again(&self, base: &Base, name: &PluginName) -> bool {
        let active = self.pipeline.plugins.now();
        let is_unreadable = matches!(active.plugins.get(name), Some(Slot::Stopped { why: Why::Unreadable, .. }));
        is_unreadable || base.configuration.disabled.contains(name)
    }

    async fn roll_back(&self, name: &PluginName, who: &str) -> Result<Acted, Refusal> {
        if let Some((_, earlier)) = self.base().await?.files.rolled_back(name) {
            self.prepare(earlier, Occasion::Active).await;
        }
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        base.entry(name)?;
        let (next, component) = base.files.rolled_back(name).ok_or_else(|| {
            Refusal::Refused(format!("`{name}` has no earlier component to go back to; stage and activate another one"))
        })?;
        // It was taken once; that a key ran out since must not keep anybody from going back.
        self.go_on(base, next, name, component, PackageStep::RolledBack, Occasion::Active, who).await
    }

    async fn disable(&self, name: &PluginName, who: &str) -> Result<Acted, Refusal> {
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        base.entry(name)?;
        let component = base.configuration.components.get(name).copied();
        let component = component.ok_or_else(|| Refusal::NotFound(format!("`{name}` has no component")))?;
        if base.configuration.disabled.contains(name) {
            return Err(Refusal::Refused(format!("`{name}` is disabled already")));
        }
        let next = base.files.disabled(name);
        self.go_on(base, next, name, component, PackageStep::Disabled, Occasion::Active, who).await
    }

    /// Stops all plugins, whatever each of them is: at once, and only then on record. A store
    /// that fails, or a change under way that takes its time, keeps nobody from stopping them.
    async fn stop_all(&self, who: &str) -> Result<Halted, Refusal> {
        let plugins = &self.pipeline.plugins;
        let was_halted = plugins.is_halted();
        plugins.halt();
        tracing::warn!(who, "an operator stops all plugins");
        let _one = self.one_at_a_time.lock().await;
        let recorded = match self.base().await {
            Ok(base) if base.configuration.halted && was_halted => {
                return Err(Refusal::Refused("all plugins are stopped already; nothing was changed".to_owned()));
            }
            // Stopped on record and not in fact: a commit of unknown outcome. Now they are both.
            Ok(base) if base.configuration.halted => Ok(halted(&base, base.version, true)),
            Ok(base) => self.halt_on_record(base, true, who).await,
            Err(refusal) => Err(refusal),
        };
        recorded.map_err(|refusal| {
            Refusal::Internal(format!(
                "all plugins are stopped in this process, which could not be put on record ({refusal}): a restart would end it; try again, or stop the host"
            ))
        })
    }

    /// Lets each plugin be what it was before all were stopped.
    async fn resume_all(&self, who: &str) -> Result<Halted, Refusal> {
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        let done = match (base.configuration.halted, self.pipeline.plugins.is_halted()) {
            (true, _) => self.halt_on_record(base, false, who).await?,
            // It never came on record.
            (false, true) => halted(&base, base.version, false),
            (false, false) => {
                return Err(Refusal::Refused("no plugins are stopped all at once; nothing was changed".to_owned()));
            }
        };
        self.pipeline.plugins.resume();
        self.pipeline.set_aside.wake(self.pipeline.clock.now());
        tracing::warn!(who, "an operator lets plugins be called again");
        Ok(done)
    }

    /// The next version, in which plugins are stopped or not, with a leaf for each that this
    /// changes anything for.
    async fn halt_on_record(&self, base: Base, stopped: bool, who: &str) -> Result<Halted, Refusal> {
        let version = base.version.saturating_add(1);
        let step = if stopped { PackageStep::Halted } else { PackageStep::Resumed };
        let disabled = &base.configuration.disabled;
        let components = base.configuration.components.iter().filter(|(name, _)| !disabled.contains(*name));
        let leaves =
            components.map(|(name, component)| self.leaf(name, *component, step, Some(version), &[], Some(who)));
        let leaves: Vec<Leaf> = leaves.collect::<Result<_, _>>()?;
        self.commit(&base, &base.files.halted(stopped), (None, None), leaves, who).await?;
        let before = self.pipeline.plugins.now().as_ref().clone();
        self.pipeline.plugins.put(Active { configuration: version, ..before });
        Ok(halted(&base, version, stopped))
    }

    /// The next version with one plugin changed: loaded, committed, and then called.
    #[expect(clippy::too_many_arguments, reason = "what one step is, and nothing that is kept together elsewhere")]
    async fn go_on(
        &self,
        base: Base,
        next: Files,
        name: &PluginName,
        component: Digest,
        step: PackageStep,
        occasion: Occasion,
        who: &str,
    ) -> Result<Acted, Refusal> {
        let version = base.version.saturating_add(1);
        let configuration = next.check().map_err(refused)?;
        let entry = base.entry(name)?.clone();
        let mut signers = Vec::new();
        // What stops a plugin needs none of its bytes: they may be what is wrong with it.
        let slot = if step == PackageStep::Disabled {
            Slot::Stopped { component, why: Why::Disabled }
        } else {
            let (bytes, signature) = self.components.read(component).map_err(refused)?;
            let package = Package::read(&bytes, signature.as_deref()).map_err(refused)?;
            self.fits_its_routes(name, &package)?;
            let trusted = self.judge(&configuration.trust, &package, occasion)?;
            signers.extend_from_slice(trusted.signers());
            let grant = configuration.grant(&entry);
            Slot::Ready(Arc::new(self.load(name, package, trusted, bytes, grant).await?))
        };
        let mut plugins = self.pipeline.plugins.now().plugins.clone();
        plugins.insert(name.clone(), slot);
        let models = self.models_of(&configuration, &plugins).await?;
        let leaf = self.leaf(name, component, step, Some(version), &signers, Some(who))?;
        let unstage = (step == PackageStep::Activated).then(|| name.clone());
        self.commit(&base, &next, (unstage, Some(name.clone())), vec![leaf], who).await?;

        self.pipeline.quarantine.forget(component);
        self.pipeline.metrics.not_quarantined(name);
        self.put(version, plugins, models);
        self.close_pauses().await;
        self.pipeline.set_aside.wake(self.pipeline.clock.now());
        tracing::info!(plugin = %name, %component, step = step.as_str(), configuration = version, "a plugin changed");
        let state = if step == PackageStep::Disabled { "disabled" } else { "active" };
        Ok(Acted {
            plugin: name.to_string(),
            component: component.to_string(),
            state: state.to_owned(),
            configuration: version,
            grown: Vec::new(),
        })
    }

    /// Trusts others from now on. Packages that rest on a key that was revoked are not
    /// called any more; those that are trusted again are.
    async fn trust_others(&self, text: String, who: &str) -> Result<TrustChanged, Refusal> {
        let policy = TrustPolicy::load(&SourceFile { name: TRUST_FILE, text: &text }).map_err(refused)?;
        for component in self.base().await?.configuration.components.values() {
            self.compile_if_trusted(&policy, *component, Occasion::Active).await;
        }
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        let next = base.files.trusting(text);
        let configuration = Arc::new(next.check().map_err(refused)?);
        let version = base.version.saturating_add(1);
        let before = self.pipeline.plugins.now();
        let mut plugins = before.plugins.clone();
        let (mut leaves, mut stopped, mut restored, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in &configuration.host.plugins {
            let Some(component) = configuration.components.get(&entry.name).copied() else { continue };
            let now = self.pipeline.clock.now();
            let (registry, checked, it) = (Arc::clone(&self.registry), Arc::clone(&configuration), entry.clone());
            let components = self.components.clone();
            let load =
                move || slot(&registry, &checked, &it, component, || components.read(component), Occasion::Active, now);
            let slot = tokio::task::spawn_blocking(load).await.map_err(internal)?.map_err(refused)?;
            let distrusted = |slot: &Slot| matches!(slot, Slot::Stopped { why: Why::NotTrusted, .. });
            let was_distrusted = before.plugins.get(&entry.name).is_some_and(distrusted);
            let step = if distrusted(&slot) && !was_distrusted {
                stopped.push(entry.name.to_string());
                ended.push((entry.name.clone(), component));
                Some(PackageStep::Distrusted)
            } else if was_distrusted && slot.installed().is_some() {
                restored.push(entry.name.to_string());
                Some(PackageStep::Activated)
            } else {
                None
            };
            if let Some(step) = step {
                leaves.push(self.leaf(&entry.name, component, step, Some(version), &[], Some(who))?);
            }
            plugins.insert(entry.name.clone(), slot);
        }
        let models = self.models_of(&configuration, &plugins).await?;
        self.commit(&base, &next, (None, None), leaves, who).await?;
        self.put(version, plugins, models);
        for (name, component) in ended {
            // Trusted again, it begins anew.
            self.pipeline.quarantine.forget(component);
            self.pipeline.metrics.not_quarantined(&name);
        }
        self.close_pauses().await;
        self.pipeline.set_aside.wake(self.pipeline.clock.now());
        tracing::info!(configuration = version, ?stopped, ?restored, "others are trusted from now on");
        Ok(TrustChanged { configuration: version, stopped, restored })
    }

    /// Puts on record the plugins whose publisher's word ended by its date, at which their
    /// calls ended by themselves.
    ///
    /// # Errors
    /// When the record cannot be written; the next look finds them again.
    pub async fn lapse(&self) -> anyhow::Result<()> {
        let _one = self.one_at_a_time.lock().await;
        let (before, now) = (self.pipeline.plugins.now(), self.pipeline.clock.now());
        let lapsed = before.ready().filter(|(_, installed)| installed.trusted.ended(now));
        let lapsed: Vec<_> = lapsed.map(|(name, installed)| (name.clone(), installed.digest)).collect();
        if lapsed.is_empty() {
            return Ok(());
        }
        self.note_distrusted(&lapsed).await?;
        let mut next = before.as_ref().clone();
        for (name, component) in lapsed {
            next.plugins.insert(name, Slot::Stopped { component, why: Why::NotTrusted });
        }
        self.pipeline.plugins.put(next);
        self.close_pauses().await;
        Ok(())
    }

    /// The same for those whose word ended while no host worked: it still counted when the last
    /// entry of the log was made.
    pub(crate) async fn lapsed_while_nobody_looked(&self) -> anyhow::Result<()> {
        let active = self.pipeline.plugins.now();
        let stopped = active.plugins.iter().filter_map(|(name, slot)| match slot {
            Slot::Stopped { component, why: Why::NotTrusted } => Some((name.clone(), *component)),
            Slot::Stopped { .. } | Slot::Ready(_) => None,
        });
        let stopped: Vec<_> = stopped.collect();
        if stopped.is_empty() {
            return Ok(());
        }
        let _one = self.one_at_a_time.lock().await;
        let Some(last) = last_entry_at(self.pipeline.store.as_ref()).await? else { return Ok(()) };
        let base = self.base().await.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        let counted = |component| {
            let package = self.components.package(component).ok();
            package.is_some_and(|package| base.configuration.trust.judge(&package, Occasion::Active, last).is_ok())
        };
        let lapsed: Vec<_> = stopped.into_iter().filter(|(_, component)| counted(*component)).collect();
        if lapsed.is_empty() { Ok(()) } else { self.note_distrusted(&lapsed).await }
    }

    async fn note_distrusted(&self, plugins: &[(PluginName, Digest)]) -> anyhow::Result<()> {
        let leaf = |(name, component): &(PluginName, Digest)| {
            tracing::error!(plugin = %name, %component, "the plugin is not called any more: its publisher's word has ended");
            self.leaf(name, *component, PackageStep::Distrusted, None, &[], None)
        };
        let leaves: Result<Vec<Leaf>, Refusal> = plugins.iter().map(leaf).collect();
        let written = match leaves {
            Ok(leaves) => self.write(PackageChange::Note, leaves).await,
            Err(refusal) => Err(refusal),
        };
        written.map_err(|refusal| anyhow::anyhow!("{refusal}"))
    }

    /// Commits the next version with its leaves: the plugin whose staged package it is, and the one
    /// that begins anew, or ends. After an unknown outcome the store says
    /// whether it is there: the road must call what the store names.
    async fn commit(
        &self,
        base: &Base,
        next: &Files,
        (unstage, anew): (Option<PluginName>, Option<PluginName>),
        leaves: Vec<Leaf>,
        who: &str,
    ) -> Result<(), Refusal> {
        let bytes = next.to_bytes().map_err(internal)?;
        let (digest, now) = (Digest::of(&bytes), self.pipeline.clock.now());
        let version = base.version.saturating_add(1);
        let body = LeafBody::Configuration(ConfigurationLeaf { version, digest, who: Label::of(who) });
        let first = Leaf::new(&self.pipeline.host, now, body).map_err(internal)?;
        let leaves = std::iter::once(first).chain(leaves).collect();
        let change = PackageChange::Configure { after: base.version, bytes, unstage, anew };
        match self.pipeline.store.change_packages(change, now, leaves).await {
            Err(StoreError::Unknown(why)) => {
                let active = self.pipeline.store.active_configuration().await?;
                let there = active.is_some_and(|active| active.version == version && active.digest == digest);
                if there { Ok(()) } else { Err(StoreError::Unknown(why).into()) }
            }
            result => Ok(result?),
        }
    }

    async fn write(&self, change: PackageChange, leaves: Vec<Leaf>) -> Result<(), Refusal> {
        Ok(self.pipeline.store.change_packages(change, self.pipeline.clock.now(), leaves).await?)
    }

    fn judge(&self, trust: &TrustPolicy, package: &Package, occasion: Occasion) -> Result<Trusted, Refusal> {
        let judged = trust.judge(package, occasion, self.pipeline.clock.now());
        judged.map_err(|untrusted: Untrusted| {
            let about = &package.manifest().plugin;
            Refusal::Refused(format!("{} {}: {untrusted}", about.name, about.version))
        })
    }

    /// Check: it is what the routes that name it need.
    fn fits_its_routes(&self, name: &PluginName, package: &Package) -> Result<(), Refusal> {
        let found = package.manifest().plugin.kind;
        let used = self.pipeline.routes.plugins();
        match used.iter().find(|(_, plugin, kind)| plugin == name && *kind != found) {
            None => Ok(()),
            Some((user, _, kind)) => Err(Refusal::Refused(format!(
                "`{name}` is a {found} now, and {user} needs a {kind}; build it as one, or change the route"
            ))),
        }
    }

    /// Check: it knows the settings that its routes give it and gets those that it needs, it makes and takes the
    /// messages that they ask it for, and makes and reads the documents that they name. What is wrong with the
    /// component before is nobody's news; going back to one is never refused.
    fn knows_the_configuration(&self, name: &PluginName, package: &Package) -> Result<(), Refusal> {
        let (routes, before) = (&self.pipeline.routes, self.manifests());
        let mut after = before.clone();
        after.insert(name.clone(), package.manifest().clone());
        let settings = |of: &Manifests| routes.setting_problems(&settings_of(of));
        let of_settings = news(&settings(&after), &settings(&before), SettingProblem::was_among);
        let messages = |of: &Manifests| routes.message_problems(of);
        let of_messages = news(&messages(&after), &messages(&before), KindProblem::was_among);
        let documents = |of: &Manifests| routes.document_problems(of);
        let of_documents = news(&documents(&after), &documents(&before), KindProblem::was_among);
        let all = [
            ("settings than the configuration", of_settings),
            ("messages than the configuration asks for", of_messages),
            ("documents than the configuration names", of_documents),
        ];
        match all.into_iter().find(|(_, problems)| !problems.is_empty()) {
            None => Ok(()),
            Some((other, problems)) => Err(Refusal::Refused(format!(
                "`{name}` {} has other {other}: {problems}; change both together, with `portreeve init`",
                package.manifest().plugin.version
            ))),
        }
    }

    /// What the plugins say of themselves, also those that are not called, but for components that cannot be read.
    fn manifests(&self) -> Manifests {
        let manifest = |slot: &Slot| match slot {
            Slot::Ready(installed) => Some(installed.manifest.clone()),
            Slot::Stopped { component, .. } => Some(self.components.package(*component).ok()?.manifest().clone()),
        };
        let active = self.pipeline.plugins.now();
        active.plugins.iter().filter_map(|(name, slot)| Some((name.clone(), manifest(slot)?))).collect()
    }

    /// Check: the windows of where it goes have room for one call of it. One that was too small for the
    /// component before is nobody's news.
    fn fits_its_windows(
        &self,
        base: &Base,
        name: &PluginName,
        package: &Package,
        grant: &PlatformGrant,
    ) -> Result<(), Refusal> {
        let of_a_call = Limits::smallest(&package.manifest().limits, &grant.limits).http_requests;
        let active = self.pipeline.plugins.now();
        let before = active.installed(name).map(|installed| installed.plugin.spec().limits.http_requests);
        if before.is_some_and(|before| of_a_call <= before) {
            return Ok(());
        }
        let requests = |plugin: &PluginEntry| (plugin.name == *name).then_some(of_a_call);
        let problems = windows::too_small(&base.configuration.host.plugins, &self.pipeline.routes, requests);
        if problems.is_empty() { Ok(()) } else { Err(Refusal::Refused(problems.join("; "))) }
    }

    /// What a package asks for beyond the one that is active.
    ///
    /// # Errors
    /// When it asks for more and has no grant of its own.
    fn grown(
        &self,
        base: &Base,
        name: &PluginName,
        package: &Package,
        own: Option<&PlatformGrant>,
    ) -> Result<Vec<String>, Refusal> {
        let Some(current) = base.configuration.components.get(name).copied() else { return Ok(Vec::new()) };
        if current == package.digest() {
            return Ok(Vec::new());
        }
        let grown: Vec<String> = match self.components.package(current) {
            Ok(before) => growth(before.manifest(), package.manifest()).iter().map(ToString::to_string).collect(),
            // Nothing says what it asked for, so that everything may be more.
            Err(error) => vec![format!("what the active version asks for is not known ({})", sentence(&error))],
        };
        if !grown.is_empty() && own.is_none() {
            return Err(Refusal::Refused(format!(
                "{name} {} asks for more than the version that is active, so that it needs a grant of its own (`portreeve plugin stage --grant`): {}",
                package.manifest().plugin.version,
                grown.join("; ")
            )));
        }
        Ok(grown)
    }

    /// Compiles a component before anybody has to wait for it: compiling takes as long as its
    /// author likes, and nobody's `disable` must wait behind that. Whatever is wrong with it,
    /// the step itself says.
    async fn prepare(&self, component: Digest, occasion: Occasion) {
        if let Ok(base) = self.base().await {
            self.compile_if_trusted(&base.configuration.trust, component, occasion).await;
        }
    }

    async fn compile_if_trusted(&self, trust: &TrustPolicy, component: Digest, occasion: Occasion) {
        let Ok((bytes, signature)) = self.components.read(component) else { return };
        let Ok(package) = Package::read(&bytes, signature.as_deref()) else { return };
        let Ok(trusted) = self.judge(trust, &package, occasion) else { return };
        let registry = Arc::clone(&self.registry);
        // One at a time, for the sake of memory and of the other cores.
        let _one = self.one_compiles.lock().await;
        let compile = move || registry.prepare(&package, &trusted, &bytes);
        match tokio::task::spawn_blocking(compile).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%component, %error, "a component did not compile"),
            Err(error) => tracing::error!(%component, %error, "the compiler panicked"),
        }
    }

    /// Compiling takes seconds of CPU, which are not the runtime's.
    async fn load(
        &self,
        name: &PluginName,
        package: Package,
        trusted: Trusted,
        component: Vec<u8>,
        grant: PlatformGrant,
    ) -> Result<Installed, Refusal> {
        let gaps = grant.gaps(name, &package.manifest().imports);
        if !gaps.is_empty() {
            let gaps: Vec<String> = gaps.iter().map(ToString::to_string).collect();
            return Err(Refusal::Refused(gaps.join("; ")));
        }
        let (registry, name) = (Arc::clone(&self.registry), name.clone());
        let install = move || registry.install(&name, &package, &trusted, &component, &grant);
        tokio::task::spawn_blocking(install).await.map_err(internal)?.map_err(refused)
    }

    /// The model files of these plugins, as a start would read them.
    async fn models_of(
        &self,
        configuration: &Configuration,
        plugins: &BTreeMap<PluginName, Slot>,
    ) -> Result<Arc<ModelFiles>, Refusal> {
        let held = Arc::clone(&self.models.lock().unwrap_or_else(PoisonError::into_inner));
        let (folder, plugins) = (configuration.models(), plugins.clone());
        let read = move || held.next(folder.as_deref(), ready(&plugins));
        let models = tokio::task::spawn_blocking(read).await.map_err(internal)?;
        models.map(Arc::new).map_err(|error| Refusal::Refused(sentence(&error)))
    }

    /// Closes what waits because of components that are not called any more. The change is made
    /// by then; what could not be closed is with the next one, or at the next start.
    async fn close_pauses(&self) {
        if let Err(error) = self.pipeline.close_pauses().await {
            tracing::error!(%error, "what waits because of paused plugins could not be closed");
        }
    }

    /// Has the road call these from now on.
    fn put(&self, configuration: u64, plugins: BTreeMap<PluginName, Slot>, models: Arc<ModelFiles>) {
        *self.models.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&models);
        self.pipeline.plugins.put(Active { configuration, plugins, models });
    }

    fn leaf(
        &self,
        plugin: &PluginName,
        component: Digest,
        step: PackageStep,
        configuration: Option<u64>,
        signers: &[String],
        who: Option<&str>,
    ) -> Result<Leaf, Refusal> {
        let step = PackageLeaf::of(plugin.clone(), component, step).signed_by(signers).map_err(internal)?;
        let body = PackageLeaf { configuration, who: who.map(Label::of), ..step };
        Leaf::new(&self.pipeline.host, self.pipeline.clock.now(), LeafBody::Package(body)).map_err(internal)
    }

    async fn row(&self, digest: Digest) -> Result<PackageRow, Refusal> {
        let rows = self.rows().await?.into_iter();
        let row = rows.into_iter().find(|row| row.digest == digest.to_string());
        row.ok_or_else(|| Refusal::NotFound(format!("no package with digest {digest} is installed")))
    }

    async fn rows(&self) -> Result<Vec<PackageRow>, Refusal> {
        let base = self.base().await?;
        let known = self.pipeline.store.packages().await?;
        let paused = self.pipeline.quarantine.paused();
        let active = self.pipeline.plugins.now();
        let state = |name: &PluginName, _| match active.plugins.get(name) {
            Some(Slot::Stopped { why, .. }) => why.code().to_owned(),
            Some(Slot::Ready(installed)) => quarantined(&paused, installed.digest).unwrap_or_else(|| ACTIVE.to_owned()),
            None => ACTIVE.to_owned(),
        };
        Ok(rows(&base.files, &base.configuration, &known, &self.components, state))
    }
}

/// When the last entry of the log was made, with or without an index yet; none before the
/// first.
async fn last_entry_at(store: &dyn Store) -> Result<Option<Instant>, StoreError> {
    let waiting = store.unsequenced(UNSEQUENCED_MAX).await?.into_iter().map(|leaf| leaf.bytes);
    let size = store.tree_head().await?.map_or(0, |head| head.size);
    let last = store.sequenced(size.saturating_sub(1), 1).await?.into_iter().map(|(_, _, bytes)| bytes);
    Ok(waiting.chain(last).filter_map(|bytes| Some(Leaf::parse(&bytes).ok()?.at)).max())
}

#[async_trait]
impl Lifecycle for Packages {
    async fn list(&self) -> Result<Vec<PackageRow>, Refusal> {
        self.rows().await
    }

    async fn install(&self, component: &[u8], signature: Option<&str>, who: &str) -> Result<PackageRow, Refusal> {
        self.take_in(component, signature, who).await
    }

    async fn act(&self, plugin: &PluginName, act: Act, who: &str) -> Result<Acted, Refusal> {
        match act {
            Act::Stage { component, grant } => self.stage(plugin, component, grant, who).await,
            Act::Activate { component } => self.activate(plugin, component, who).await,
            Act::Rollback => self.roll_back(plugin, who).await,
            Act::Disable => self.disable(plugin, who).await,
        }
    }

    async fn trust(&self, text: String, who: &str) -> Result<TrustChanged, Refusal> {
        self.trust_others(text, who).await
    }

    async fn halt(&self, who: &str) -> Result<Halted, Refusal> {
        self.stop_all(who).await
    }

    async fn resume(&self, who: &str) -> Result<Halted, Refusal> {
        self.resume_all(who).await
    }
}

fn halted(base: &Base, configuration: u64, halted: bool) -> Halted {
    let plugins = base.configuration.components.keys().map(ToString::to_string).collect();
    Halted { configuration, halted, plugins }
}

fn refused(error: impl Into<anyhow::Error>) -> Refusal {
    // With its causes, where it has any.
    Refusal::Refused(sentence(&error.into()))
}

fn internal(error: impl Into<anyhow::Error>) -> Refusal {
    Refusal::Internal(sentence(&error.into()))
}
