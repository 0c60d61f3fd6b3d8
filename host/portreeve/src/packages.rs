//! The life of plugins' packages in one host: taken in, tried, activated, rolled back,
//! disabled; and whose packages are taken at all.
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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use anyhow::{Context, bail};
use async_trait::async_trait;
use portreeve_api::package::{Act, Acted, Lifecycle, PackageRow, Refusal, TrustChanged};
use portreeve_model::strict::SourceFile;
use portreeve_model::{Digest, PluginName};
use portreeve_pipeline::{Active, Pipeline, Slot, Why};
use portreeve_record::leaf::{ConfigurationLeaf, Label, Listed, PackageLeaf, PackageStep};
use portreeve_record::{Leaf, LeafBody};
use portreeve_registry::quarantine::Standing;
use portreeve_registry::{
    Installed, Occasion, Package, PlatformGrant, Registry, TrustPolicy, Trusted, Untrusted, growth,
};
use portreeve_store::StoreError;
use portreeve_store::contract::{NewPackage, PackageChange, PackageView};
use tokio::sync::Mutex;

use crate::config::{Configuration, Files, PluginEntry, TRUST_FILE, read_grant};
use crate::files;
use crate::models::ModelFiles;
use crate::publisher::read_signature;

/// Where components and their signatures are kept, each under its digest.
#[derive(Debug, Clone)]
pub struct Components(PathBuf);

impl Components {
    /// A folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Keeps a component. Without a version of the configuration that names it, it
    /// changes nothing. A signature takes the place of an earlier one.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(&self, digest: Digest, component: &[u8], signature: Option<&str>) -> anyhow::Result<()> {
        let path = self.path(digest);
        files::write_new(&path, component)?;
        match signature {
            Some(signature) => files::write_new(&portreeve_registry::Signature::beside(&path), signature.as_bytes()),
            None => Ok(()),
        }
    }

    /// A component and its signature. The digest decides, not the file's name.
    ///
    /// # Errors
    /// When it cannot be read, or has another digest.
    pub fn read(&self, digest: Digest) -> anyhow::Result<(Vec<u8>, Option<String>)> {
        let path = self.path(digest);
        let bytes =
            std::fs::read(&path).with_context(|| format!("the component `{}` cannot be read", path.display()))?;
        let found = Digest::of(&bytes);
        if found != digest {
            bail!(
                "the component `{}` has digest {found}, the configuration names {digest}; run `portreeve init` again",
                path.display()
            );
        }
        Ok((bytes, read_signature(&path)?))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.0.join(format!("{}.wasm", hex::encode(digest.as_bytes())))
    }
}

/// A component of a plugin as a version of the configuration has it.
///
/// # Errors
/// When it cannot be read or loaded, or, where it is new, is not trusted. One that is
/// active already and not trusted any more is a plugin that is not called.
pub(crate) fn slot(
    registry: &Registry,
    configuration: &Configuration,
    entry: &PluginEntry,
    (component, signature): (&[u8], Option<&str>),
    occasion: Occasion,
    now: portreeve_model::Instant,
) -> anyhow::Result<Slot> {
    let name = &entry.name;
    let package = Package::read(component, signature).with_context(|| format!("plugin `{name}`"))?;
    let stopped = |why| Ok(Slot::Stopped { component: package.digest(), why });
    if configuration.disabled.contains(name) {
        return stopped(Why::Disabled);
    }
    let trusted = match configuration.trust.judge(&package, occasion, now) {
        Ok(trusted) => trusted,
        Err(untrusted) if occasion == Occasion::Active => {
            tracing::error!(plugin = %name, component = %package.digest(), %untrusted, "the plugin is not called");
            return stopped(Why::NotTrusted);
        }
        Err(untrusted) => bail!("plugin `{name}`: {untrusted}"),
    };
    let installed = registry.install(name, &package, &trusted, component, &configuration.grant(entry))?;
    Ok(Slot::Ready(Arc::new(installed)))
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
}

/// The version that a change is built on.
struct Base {
    version: u64,
    files: Files,
    configuration: Configuration,
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
        Self { pipeline, registry, components, models, one_at_a_time: Mutex::new(()) }
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

    /// Tries a package in full, within the grant that it would have.
    async fn stage(
        &self,
        name: &PluginName,
        digest: Digest,
        grant: Option<String>,
        who: &str,
    ) -> Result<Acted, Refusal> {
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        let entry = base.entry(name)?;
        let found = self.pipeline.store.packages().await?.into_iter().find(|one| one.package.digest == digest);
        if found.is_none_or(|found| found.package.plugin != *name) {
            return Err(Refusal::NotFound(format!(
                "no package of `{name}` with digest {digest} is installed; `portreeve plugin list` shows those that are"
            )));
        }
        let (component, signature) = self.components.read(digest).map_err(internal)?;
        let package = Package::read(&component, signature.as_deref()).map_err(refused)?;
        let trusted = self.judge(&base.configuration.trust, &package, Occasion::New)?;
        self.fits_its_routes(name, &package)?;
        let grown = self.grown(&base, name, &package)?;
        let given = grant.as_deref().map(read_grant).transpose().map_err(refused)?;
        if !grown.is_empty() && given.is_none() {
            return Err(Refusal::Refused(format!(
                "{name} {} asks for more than the version that is active, so that it needs a grant of its own (`--grant`): {}",
                package.manifest().plugin.version,
                grown.join("; ")
            )));
        }
        let grant = given.unwrap_or_else(|| base.configuration.grant(entry));
        let kept = toml::to_string(&grant).map_err(internal)?;
        let leaf = self.leaf(name, digest, PackageStep::Staged, Some(base.version), trusted.signers(), Some(who))?;
        let installed = self.load(name, package, trusted, component, grant).await?;
        let tried = BTreeMap::from([(name.clone(), Slot::Ready(Arc::new(installed)))]);
        self.models_of(&base.configuration, &tried).await?;
        self.write(PackageChange::Stage { digest, grant: Some(kept) }, vec![leaf]).await?;
        Ok(Acted {
            plugin: name.to_string(),
            component: digest.to_string(),
            state: "staged".to_owned(),
            configuration: base.version,
            grown,
        })
    }

    /// Makes the staged package what routes call, or lets a disabled plugin be called again.
    async fn activate(&self, name: &PluginName, digest: Option<Digest>, who: &str) -> Result<Acted, Refusal> {
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        base.entry(name)?;
        let mut packages = self.pipeline.store.packages().await?.into_iter();
        let staged = packages.find(|one| one.package.plugin == *name && one.staged_at.is_some());
        let current = base.configuration.components.get(name).copied();
        let chosen = match (digest, staged) {
            (None, Some(staged)) => (staged.package.digest, staged.grant),
            (Some(digest), Some(staged)) if staged.package.digest == digest => (digest, staged.grant),
            (digest, _) => match current.filter(|current| digest.is_none_or(|digest| digest == *current)) {
                Some(current) if base.configuration.disabled.contains(name) => (current, None),
                Some(current) if digest.is_some() => {
                    return Err(Refusal::Refused(format!("{current} is what `{name}` is already")));
                }
                _ => {
                    return Err(Refusal::Refused(format!(
                        "nothing of `{name}` is staged that could be activated; run `portreeve plugin stage {name} DIGEST` first"
                    )));
                }
            },
        };
        let next = base.files.activated(name, chosen.0, chosen.1);
        self.go_on(base, next, name, chosen.0, PackageStep::Activated, Occasion::New, who).await
    }

    async fn roll_back(&self, name: &PluginName, who: &str) -> Result<Acted, Refusal> {
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
            let (bytes, signature) = self.components.read(component).map_err(internal)?;
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
        self.commit(&base, &next, unstage, vec![leaf], who).await?;

        self.pipeline.quarantine.forget(component);
        self.pipeline.metrics.not_quarantined(name);
        self.put(version, plugins, models);
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
        let _one = self.one_at_a_time.lock().await;
        let base = self.base().await?;
        TrustPolicy::load(&SourceFile { name: TRUST_FILE, text: &text }).map_err(refused)?;
        let next = base.files.trusting(text);
        let configuration = Arc::new(next.check().map_err(refused)?);
        let version = base.version.saturating_add(1);
        let before = self.pipeline.plugins.now();
        let mut plugins = before.plugins.clone();
        let (mut leaves, mut stopped, mut restored) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &configuration.host.plugins {
            let Some(component) = configuration.components.get(&entry.name).copied() else { continue };
            let (bytes, signature) = self.components.read(component).map_err(internal)?;
            let now = self.pipeline.clock.now();
            let (registry, checked, it) = (Arc::clone(&self.registry), Arc::clone(&configuration), entry.clone());
            let load = move || slot(&registry, &checked, &it, (&bytes, signature.as_deref()), Occasion::Active, now);
            let slot = tokio::task::spawn_blocking(load).await.map_err(internal)?.map_err(refused)?;
            let distrusted = |slot: Option<&Slot>| matches!(slot, Some(Slot::Stopped { why: Why::NotTrusted, .. }));
            let step = match (distrusted(before.plugins.get(&entry.name)), distrusted(Some(&slot))) {
                (false, true) => {
                    stopped.push(entry.name.to_string());
                    Some(PackageStep::Distrusted)
                }
                (true, false) => {
                    restored.push(entry.name.to_string());
                    Some(PackageStep::Activated)
                }
                _ => None,
            };
            if let Some(step) = step {
                leaves.push(self.leaf(&entry.name, component, step, Some(version), &[], Some(who))?);
            }
            plugins.insert(entry.name.clone(), slot);
        }
        let models = self.models_of(&configuration, &plugins).await?;
        self.commit(&base, &next, None, leaves, who).await?;
        self.put(version, plugins, models);
        self.pipeline.set_aside.wake(self.pipeline.clock.now());
        tracing::info!(configuration = version, ?stopped, ?restored, "others are trusted from now on");
        Ok(TrustChanged { configuration: version, stopped, restored })
    }

    /// Commits the next version with its leaves. After an unknown outcome the store says
    /// whether it is there: the road must call what the store names.
    async fn commit(
        &self,
        base: &Base,
        next: &Files,
        unstage: Option<PluginName>,
        leaves: Vec<Leaf>,
        who: &str,
    ) -> Result<(), Refusal> {
        let bytes = next.to_bytes().map_err(internal)?;
        let (digest, now) = (Digest::of(&bytes), self.pipeline.clock.now());
        let version = base.version.saturating_add(1);
        let body = LeafBody::Configuration(ConfigurationLeaf { version, digest, who: Label::of(who) });
        let first = Leaf::new(&self.pipeline.host, now, body).map_err(internal)?;
        let leaves = std::iter::once(first).chain(leaves).collect();
        let change = PackageChange::Configure { after: base.version, bytes, unstage };
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

    /// What a package asks for beyond the one that is active.
    fn grown(&self, base: &Base, name: &PluginName, package: &Package) -> Result<Vec<String>, Refusal> {
        let Some(current) = base.configuration.components.get(name).copied() else { return Ok(Vec::new()) };
        let (component, _) = self.components.read(current).map_err(internal)?;
        let before = Package::read(&component, None).map_err(internal)?;
        Ok(growth(before.manifest(), package.manifest()).iter().map(ToString::to_string).collect())
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
        models.map(Arc::new).map_err(|error| Refusal::Refused(format!("{error:#}")))
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
        let signers = Listed::of(signers.iter().map(|signer| Label::of(signer)).collect()).map_err(internal)?;
        let (plugin, who) = (plugin.clone(), who.map(Label::of));
        let body = LeafBody::Package(PackageLeaf { plugin, component, step, cause: None, configuration, signers, who });
        Leaf::new(&self.pipeline.host, self.pipeline.clock.now(), body).map_err(internal)
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
        let mut rows = rows(&base.files, &base.configuration, &known, &self.components).map_err(internal)?;
        let active = self.pipeline.plugins.now();
        for row in rows.iter_mut().filter(|row| row.state == "active") {
            let slot = PluginName::parse(&row.plugin).ok().and_then(|name| active.plugins.get(&name).cloned());
            match slot {
                Some(Slot::Stopped { why, .. }) => row.state = why.code().to_owned(),
                Some(Slot::Ready(installed)) => {
                    if let Some(quarantined) = quarantined(&paused, installed.digest) {
                        row.state = quarantined;
                    }
                }
                None => {}
            }
        }
        Ok(rows)
    }
}

/// How a component that is paused, or one of its causes, is shown; of several causes the
/// first, and how many more there are.
fn quarantined(paused: &[Standing], component: Digest) -> Option<String> {
    let mut paused = paused.iter().filter(|standing| standing.component == component);
    let Standing { until, of, .. } = paused.next()?;
    let Some((call, cause)) = of else { return Some(format!("quarantined until {until}")) };
    let more = match paused.count() {
        0 => String::new(),
        more => format!(" and for {more} more"),
    };
    Some(format!("quarantined for {cause} in `{call}` until {until}{more}"))
}

/// All packages of a folder: those that were installed, and those that came with the
/// configuration.
///
/// # Errors
/// When a component cannot be read.
pub fn rows(
    files: &Files,
    configuration: &Configuration,
    known: &[PackageView],
    components: &Components,
) -> anyhow::Result<Vec<PackageRow>> {
    let mut rows: Vec<PackageRow> = Vec::new();
    for one in known {
        let NewPackage { digest, plugin, version, kind, publisher } = &one.package;
        let state = match configuration.components.get(plugin) == Some(digest) {
            true if configuration.disabled.contains(plugin) => "disabled",
            true => "active",
            false if one.staged_at.is_some() => "staged",
            false if files.earlier(plugin).any(|earlier| earlier == *digest) => "retired",
            false => "installed",
        };
        rows.push(PackageRow {
            plugin: plugin.to_string(),
            version: version.clone(),
            kind: kind.clone(),
            publisher: publisher.clone(),
            digest: digest.to_string(),
            state: state.to_owned(),
        });
    }
    for (name, digest) in &configuration.components {
        if known.iter().any(|one| one.package.digest == *digest) {
            continue;
        }
        let (bytes, _) = components.read(*digest)?;
        let about = Package::read(&bytes, None)?.manifest().plugin.clone();
        let state = if configuration.disabled.contains(name) { "disabled" } else { "active" };
        rows.push(PackageRow {
            plugin: name.to_string(),
            version: about.version,
            kind: about.kind.to_string(),
            publisher: about.publisher,
            digest: digest.to_string(),
            state: state.to_owned(),
        });
    }
    rows.sort_by(|a, b| a.plugin.cmp(&b.plugin));
    Ok(rows)
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
}

fn refused(error: impl std::fmt::Display) -> Refusal {
    // With its causes, where it has any.
    Refusal::Refused(format!("{error:#}"))
}

fn internal(error: impl std::fmt::Display) -> Refusal {
    Refusal::Internal(format!("{error:#}"))
}
