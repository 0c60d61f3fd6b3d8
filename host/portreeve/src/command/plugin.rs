//! `plugin`: what an author does (build, pack, sign, check), and what an operator does
//! with packages, in a stopped host's folder or of a running one over HTTP: what binds them, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::package::{Act, Acted, Halted, Lifecycle, PackageRow, PackageRows, TRUST_BYTES_MAX};
use portreeve_build::BuildOptions;
use portreeve_model::strict::SourceFile;
use portreeve_model::{Digest, PluginName};
use portreeve_pipeline::Clock;
use portreeve_registry::check::Against;
use portreeve_registry::grant::without_effect;
use portreeve_registry::{Manifest, Occasion, Package, PlatformGrant, Signature, TrustPolicy, file};
use portreeve_sandbox::inspect::MANIFEST_BYTES_MAX;
use portreeve_sandbox::{Limits, Sandbox, SandboxOptions, Settled};

use super::looking::{Place, asked};
use super::{Data, Running};
use crate::client::{Answer, Server};
use crate::clock::SystemClock;
use crate::config::{Configuration, Files, Proposed, read_grant};
use crate::host::{self, Host, Locations, account};
use crate::output::Output;
use crate::packages;
use crate::publisher::{Publisher, read_package, read_signature};
use crate::source_tree::SourceTree;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Compile plugin crates to components with their manifests embedded.
    Build {
        /// Folders with a Cargo.toml and a plugin.toml.
        #[arg(required = true)]
        folders: Vec<PathBuf>,
        /// Where to build; default: the checkout's target folder, else `target` here.
        #[arg(long)]
        target_dir: Option<PathBuf>,
        /// Use no network.
        #[arg(long)]
        offline: bool,
    },
    /// Embed a manifest into a component that other tools made; `build` does it by itself.
    Pack {
        /// The component, without a manifest.
        component: PathBuf,
        /// The manifest, `plugin.toml`.
        #[arg(long)]
        manifest: PathBuf,
        /// Where to write the package.
        #[arg(long)]
        output: PathBuf,
    },
    /// Make a publisher's key: a file for its owner alone. Prints the verifying key, for
    /// others' `trust.toml`.
    Keygen {
        /// The key's name, usually the publisher's.
        #[arg(long)]
        name: String,
        /// Where to keep it; must not be there yet.
        #[arg(long)]
        key: PathBuf,
    },
    /// Sign components, each in a file beside it (`NAME.wasm.sig`); adds a line to a
    /// signature that is there.
    Sign {
        /// The publisher's key.
        #[arg(long)]
        key: PathBuf,
        /// The components.
        #[arg(required = true)]
        components: Vec<PathBuf>,
    },
    /// Whether a trust policy takes a component with the signature beside it.
    Verify {
        /// The component.
        component: PathBuf,
        /// The policy.
        #[arg(long)]
        trust: PathBuf,
    },
    /// Everything that is wrong with a component and its signature, without running it.
    Check {
        /// The component.
        component: PathBuf,
        /// What the platform team would grant it, as inline TOML: `lookup = ["item"]`.
        #[arg(long, default_value = "")]
        grant: String,
        /// The policy that has to take it; without one its signature is compared with no key.
        #[arg(long)]
        trust: Option<PathBuf>,
    },
    /// Show what a component says of itself, imports, and who signed it, without running it.
    Inspect {
        /// The component, or the digest of an installed one.
        component: PathBuf,
        #[command(flatten)]
        data: Data,
    },
    /// The limits of a plugin: what binds, who set it, and what it stops.
    Limits {
        /// The plugin's name in the configuration.
        name: String,
        /// A folder of configuration that is not active yet, instead of the active one.
        #[arg(long, conflicts_with = "data_dir")]
        config: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// All packages that are installed or active.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Take a component in with the signature beside it. Nothing calls it yet.
    Install {
        /// The component.
        component: PathBuf,
        #[command(flatten)]
        of: Of,
    },
    /// Try an installed package in full, within the grant that it would have.
    Stage {
        /// The plugin.
        #[arg(value_parser = PluginName::parse)]
        plugin: PluginName,
        /// Its component.
        #[arg(value_parser = Digest::parse)]
        digest: Digest,
        /// A grant of its own, as inline TOML: needed where it asks for more than the
        /// version that is active.
        #[arg(long)]
        grant: Option<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Have routes call the staged package; calls under way end on the one before. Lets a
    /// disabled plugin be called again where nothing is staged.
    Activate {
        /// The plugin.
        #[arg(value_parser = PluginName::parse)]
        plugin: PluginName,
        /// Only if this component is the one that is staged.
        #[arg(long, value_parser = Digest::parse)]
        digest: Option<Digest>,
        #[command(flatten)]
        of: Of,
    },
    /// Have routes call what they called before.
    Rollback {
        /// The plugin.
        #[arg(value_parser = PluginName::parse)]
        plugin: PluginName,
        #[command(flatten)]
        of: Of,
    },
    /// Have routes call it no more, from the next call on: what is for it waits, or goes to a
    /// person.
    Disable {
        /// The plugin.
        #[arg(value_parser = PluginName::parse)]
        plugin: PluginName,
        #[command(flatten)]
        of: Of,
    },
    /// Stop all plugins at once, from the next call on: orders and deliveries wait, and inputs
    /// are kept for a person, since nobody reads them.
    Halt {
        #[command(flatten)]
        of: Of,
    },
    /// End a halt: each plugin is what it was before.
    Resume {
        #[command(flatten)]
        of: Of,
    },
}

/// Whose packages they are.
#[derive(Debug, clap::Args)]
pub(super) struct Of {
    #[command(flatten)]
    pub(super) data: Data,
    #[command(flatten)]
    pub(super) running: Running,
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::Build { folders, target_dir, offline } => build(&folders, target_dir, offline, json, output),
        Command::Pack { component, manifest, output: to } => pack(&component, &manifest, &to, json, output),
        Command::Keygen { name, key } => keygen(&name, &key, json, output),
        Command::Sign { key, components } => sign(&key, &components, json, output),
        Command::Verify { component, trust } => verify(&component, &trust, json, output),
        Command::Check { component, grant, trust } => check(&component, &grant, trust.as_deref(), json, output),
        Command::Inspect { component, data } => inspect(&component, &data, json, output),
        Command::List { of } => list(&of, json, output).await,
        Command::Limits { name, config, data } => limits(&name, config.as_deref(), &data, json, output).await,
        Command::Install { component, of } => install(&component, &of, json, output).await,
        Command::Stage { plugin, digest, grant, of } => {
            acted(&plugin, Act::Stage { component: digest, grant }, &of, json, output).await
        }
        Command::Activate { plugin, digest, of } => {
            acted(&plugin, Act::Activate { component: digest }, &of, json, output).await
        }
        Command::Rollback { plugin, of } => acted(&plugin, Act::Rollback, &of, json, output).await,
        Command::Disable { plugin, of } => acted(&plugin, Act::Disable, &of, json, output).await,
        Command::Halt { of } => all(Reach::Halt, &of, json, output).await,
        Command::Resume { of } => all(Reach::Resume, &of, json, output).await,
    }
}

// --- what an author does ---

fn build(
    folders: &[PathBuf],
    target_dir: Option<PathBuf>,
    offline: bool,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let target_dir = target_dir.unwrap_or_else(|| match SourceTree::find() {
        Ok(tree) => tree.target().join("guests"),
        // Outside a checkout a plugin is built where its author is.
        Err(_) => PathBuf::from("target/guests"),
    });
    let built = {
        let progress = |step: &portreeve_build::Progress| output.progress(&step.to_string());
        portreeve_build::build(folders, &BuildOptions { target_dir: &target_dir, offline, progress: &progress })?
    };
    for plugin in &built {
        let name = &plugin.manifest.plugin.name;
        if json {
            output.json(
                &serde_json::json!({ "plugin": name, "component": plugin.component, "bytes": plugin.bytes_len }),
            )?;
        } else {
            output.line(&format!("{name}  {}  {} bytes", plugin.component.display(), plugin.bytes_len))?;
        }
    }
    Ok(())
}

fn pack(component: &Path, manifest: &Path, to: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (bytes, manifest_bytes) = (file::read_component(component)?, file::read(manifest, MANIFEST_BYTES_MAX)?);
    let parsed = portreeve_build::Manifest::parse(&manifest_bytes)
        .with_context(|| format!("`{}` cannot be used", manifest.display()))?;
    let packed = portreeve_build::embed(&bytes, &manifest_bytes)
        .with_context(|| format!("`{}` cannot be packed", component.display()))?;
    // What the host reads is what counts.
    Package::read(&packed, None).with_context(|| format!("`{}` cannot be packed", component.display()))?;
    std::fs::write(to, &packed).with_context(|| format!("`{}` cannot be written", to.display()))?;
    let (name, digest) = (parsed.plugin.name, Digest::of(&packed));
    if json {
        return output.json(&serde_json::json!({ "plugin": name, "component": to, "digest": digest }));
    }
    output.line(&format!("{name}  {}  {digest}", to.display()))
}

fn keygen(name: &str, key: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let verifier = Publisher::generate(name, key)?.verifier().to_string();
    if json {
        return output.json(&serde_json::json!({ "key": verifier }));
    }
    output.line(&verifier)
}

fn sign(key: &Path, components: &[PathBuf], json: bool, output: &mut Output) -> anyhow::Result<()> {
    let publisher = Publisher::read(key)?;
    for component in components {
        let (path, signature) = publisher.sign(component)?;
        let (statement, signers) = (signature.statement(), signature.claimed());
        if json {
            output.json(&serde_json::json!({
                "plugin": statement.name, "version": statement.version, "digest": statement.digest,
                "signature": path, "signers": signers,
            }))?;
        } else {
            let signers = signers.join(", ");
            output.line(&format!(
                "{} {}  {}  signed by {signers}",
                statement.name,
                statement.version,
                path.display()
            ))?;
        }
    }
    Ok(())
}

fn verify(component: &Path, trust: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let policy = read_trust(trust)?;
    let (package, _) = read_package(component)?;
    let about = &package.manifest().plugin;
    let trusted = policy
        .judge(&package, Occasion::New, SystemClock.now())
        .with_context(|| format!("{} {}", about.name, about.version))?;
    if json {
        return output.json(&serde_json::json!({
            "plugin": about.name, "version": about.version, "digest": package.digest(), "signers": trusted.signers(),
        }));
    }
    output.line(&format!("{} {} is trusted, signed by {}", about.name, about.version, trusted.signers().join(", ")))
}

fn check(component: &Path, grant: &str, trust: Option<&Path>, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let bytes = file::read_component(component)?;
    let signature = read_signature(component)?;
    let (grant, policy) = (read_grant(grant)?, trust.map(read_trust).transpose()?);
    let sandbox = Sandbox::new(SandboxOptions::default()).context("the sandbox cannot start")?;
    let against = Against { trust: policy.as_ref(), grant: Some(&grant) };
    let problems = portreeve_registry::check(&sandbox, &bytes, signature.as_deref(), &against, SystemClock.now());
    if !problems.is_empty() {
        if json {
            output.json(&serde_json::json!({ "loads": false, "problems": problems }))?;
        }
        let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("`{}` has {} problem(s):\n{}", component.display(), problems.len(), sentences.join("\n"));
    }
    let package = Package::read(&bytes, signature.as_deref())?;
    let about = &package.manifest().plugin;
    let claimed = package.signature().map(Signature::claimed).unwrap_or_default();
    if json {
        return output.json(&serde_json::json!({
            "plugin": about.name, "kind": about.kind, "loads": true, "trusted": policy.is_some(), "claimed": claimed,
        }));
    }
    output.line(&format!("{} loads as a {} within this grant", about.name, about.kind))?;
    match policy {
        Some(_) => output.line("it is trusted"),
        None => output.line(&format!(
            "its signature says {}, which nobody checked; name the policy that has to take it with `--trust`",
            claimed.join(", ")
        )),
    }
}

fn inspect(component: &Path, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let package = match component.to_str().and_then(|text| Digest::parse(text).ok()) {
        Some(digest) => {
            let (bytes, signature) = data.existing()?.kept_components().read(digest)?;
            Package::read(&bytes, signature.as_deref())?
        }
        None => read_package(component)?.0,
    };
    let (manifest, inspection) = (package.manifest(), package.inspection());
    let signers = package.signature().map(Signature::claimed).unwrap_or_default();
    if json {
        return output.json(&serde_json::json!({
            "digest": inspection.digest,
            "manifest": manifest,
            "imports": inspection.imports,
            "exports": inspection.exports,
            "signers": signers,
        }));
    }
    let about = &manifest.plugin;
    output.line(&format!("{} {} ({}), {}", about.name, about.version, about.kind, about.description))?;
    output.line(&format!("published by {}, {}", about.publisher, about.license))?;
    output.line(&format!("digest   {}", inspection.digest))?;
    output.line(&format!("imports  {}", inspection.imports.join(", ")))?;
    output.line(&format!("exports  {}", inspection.exports.join(", ")))?;
    let signers = if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") };
    output.line(&format!("signed   by {signers}; `portreeve plugin verify` says whether that counts"))?;
    match &manifest.settings {
        None => output.line("settings not declared: it may read any"),
        Some(settings) if settings.is_empty() => output.line("settings none"),
        Some(settings) => settings.iter().try_for_each(|(name, setting)| {
            output.line(&format!("setting  {name}: {}: {}", setting.described(), setting.about))
        }),
    }
}

fn read_trust(path: &Path) -> anyhow::Result<TrustPolicy> {
    let text = file::read_text(path, TRUST_BYTES_MAX)?;
    Ok(TrustPolicy::load(&SourceFile { name: &path.display().to_string(), text: &text })?)
}

// --- what an operator does ---

/// Where packages are. A folder is opened as a host opens it: what cannot be loaded is found here.
async fn to_write(of: &Of) -> anyhow::Result<Place<Box<Host>>> {
    of.place(async {
        let (locations, store) = of.data.open_to_write_or_ask()?;
        anyhow::Ok(Box::new(Host::open(store, &locations, Arc::new(SystemClock), None).await?))
    })
    .await
}

async fn list(of: &Of, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let packages = match of.place(in_folder(&of.data)).await? {
        Place::Folder(packages) => packages,
        Place::Host(server) => asked::<PackageRows>(&server, "/v1/plugins").await?.packages,
    };
    for row in &packages {
        if json {
            output.json(row)?;
        } else {
            let PackageRow { plugin, version, kind, digest, state, .. } = row;
            output.line(&format!("{plugin:<18}  {version:<8}  {kind:<11}  {digest}  {state}"))?;
        }
    }
    Ok(())
}

/// Reading alone, so that it works beside a host, too.
async fn in_folder(data: &Data) -> anyhow::Result<Vec<PackageRow>> {
    let (locations, store): (Locations, _) = data.open()?;
    let files = Files::from_bytes(&host::active(&store).await?.bytes)?;
    let configuration = files.check()?;
    let (known, components) = (store.packages().await?, locations.kept_components());
    Ok(packages::rows_in_folder(&files, &configuration, &known, &components, SystemClock.now()))
}

async fn limits(name: &str, config: Option<&Path>, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let name = PluginName::parse(name)?;
    let (manifest, grant) = match config {
        Some(folder) => proposed(folder, &name)?,
        None => active(data, &name).await?,
    };
    let about = &manifest.plugin;
    let most = SandboxOptions::default().most();
    let mut settled = grant.settle(&name, about.kind, &manifest.limits, &most)?;
    let remarks = without_effect(&name, &settled);
    settled.extend(Limits::fixed());
    if json {
        let limits: Vec<serde_json::Value> = settled.iter().map(limit_json).collect();
        return output.json(&serde_json::json!({
            "plugin": name, "version": about.version, "kind": about.kind, "limits": limits, "remarks": remarks,
        }));
    }
    output.line(&format!("{name} {}, a {}", about.version, about.kind))?;
    output.line(&format!(
        "{:<20} {:>11} {:<16} {:<12} {:>9} {:>11}  stops",
        "limit", "value", "unit", "set by", "default", "at most"
    ))?;
    for Settled { limit, value, set_by, .. } in &settled {
        output.line(&format!(
            "{:<20} {value:>11} {:<16} {:<12} {:>9} {:>11}  {}",
            limit.name,
            limit.unit,
            set_by.as_str(),
            limit.default,
            limit.max,
            limit.stops
        ))?;
    }
    remarks.iter().try_for_each(|remark| output.line(&format!("remark: {remark}")))
}

fn limit_json(settled: &Settled) -> serde_json::Value {
    let Settled { limit, value, set_by, asked, granted } = settled;
    serde_json::json!({
        "name": limit.name, "value": value, "unit": limit.unit, "set_by": set_by.as_str(), "default": limit.default,
        "max": limit.max, "asked": asked, "granted": granted, "stops": limit.stops,
    })
}

/// A plugin of a folder of configuration: what it says of itself, and its grant.
fn proposed(folder: &Path, name: &PluginName) -> anyhow::Result<(Manifest, PlatformGrant)> {
    let proposed = Proposed::read(folder)?;
    let (digest, grant) = configured(&proposed.files.check()?, name)?;
    let (bytes, _) = proposed.components.get(&digest).with_context(|| format!("component {digest} was not read"))?;
    Ok((Package::read(bytes, None)?.manifest().clone(), grant))
}

/// The same of the active configuration.
async fn active(data: &Data, name: &PluginName) -> anyhow::Result<(Manifest, PlatformGrant)> {
    let (locations, store) = data.open()?;
    let (digest, grant) = configured(&Files::from_bytes(&host::active(&store).await?.bytes)?.check()?, name)?;
    let (bytes, _) = locations.kept_components().read(digest)?;
    Ok((Package::read(&bytes, None)?.manifest().clone(), grant))
}

fn configured(configuration: &Configuration, name: &PluginName) -> anyhow::Result<(Digest, PlatformGrant)> {
    let entry = configuration.host.plugins.iter().find(|entry| entry.name == *name);
    let digest = configuration.components.get(name);
    match (entry, digest) {
        (Some(entry), Some(digest)) => Ok((*digest, configuration.grant(entry))),
        _ => bail!("the configuration has no plugin `{name}`; `portreeve plugin list` names those it has"),
    }
}

async fn install(component: &Path, of: &Of, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let bytes = file::read_component(component)?;
    let signature = read_signature(component)?;
    let row = match to_write(of).await? {
        Place::Folder(host) => {
            let row = host.packages.install(&bytes, signature.as_deref(), &account()).await?;
            host.sequencer.sequence_all().await?;
            row
        }
        Place::Host(server) => {
            let body = [signature.unwrap_or_default().into_bytes(), bytes].concat();
            understood(&server.send(Method::POST, "/v1/plugins", &[], Bytes::from(body)).await?)?
        }
    };
    if json {
        return output.json(&row);
    }
    let PackageRow { plugin, version, digest, state, .. } = row;
    output.line(&format!("{plugin} {version} is {state}: {digest}"))?;
    output.line(&format!("try it with `portreeve plugin stage {plugin} {digest}`"))
}

async fn acted(plugin: &PluginName, act: Act, of: &Of, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let acted = match to_write(of).await? {
        Place::Folder(host) => {
            let acted = host.packages.act(plugin, act, &account()).await?;
            host.sequencer.sequence_all().await?;
            acted
        }
        Place::Host(server) => over_http(&server, plugin, &act).await?,
    };
    if json {
        return output.json(&acted);
    }
    for grown in &acted.grown {
        output.line(&format!("asks for more than before: {grown}"))?;
    }
    let Acted { plugin, component, state, configuration, .. } = acted;
    output.line(&format!("{plugin} {component} is {state}; configuration {configuration} is active"))
}

/// What is done about all plugins.
#[derive(Clone, Copy)]
enum Reach {
    Halt,
    Resume,
}

async fn all(reach: Reach, of: &Of, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let done = match to_write(of).await? {
        Place::Folder(host) => {
            let done = match reach {
                Reach::Halt => host.packages.halt(&account()).await?,
                Reach::Resume => host.packages.resume(&account()).await?,
            };
            host.sequencer.sequence_all().await?;
            done
        }
        Place::Host(server) => {
            let path = match reach {
                Reach::Halt => "/v1/plugins/halt",
                Reach::Resume => "/v1/plugins/resume",
            };
            understood::<Halted>(&server.send(Method::POST, path, &[], Bytes::new()).await?)?
        }
    };
    if json {
        return output.json(&done);
    }
    let what = match reach {
        Reach::Halt => "stopped; `portreeve plugin resume` ends that",
        Reach::Resume => "what they were before",
    };
    let Halted { configuration, plugins, .. } = done;
    output.line(&format!("all {} plugins are {what}; configuration {configuration} is active", plugins.len()))
}

async fn over_http(server: &Server, plugin: &PluginName, act: &Act) -> anyhow::Result<Acted> {
    let (word, body) = match act {
        Act::Stage { component, grant } => ("stage", serde_json::json!({ "digest": component, "grant": grant })),
        Act::Activate { component } => ("activate", serde_json::json!({ "digest": component })),
        Act::Rollback => ("rollback", serde_json::Value::Null),
        Act::Disable => ("disable", serde_json::Value::Null),
    };
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let path = format!("/v1/plugins/{plugin}/{word}");
    understood(&server.send(Method::POST, &path, &[("content-type", "application/json")], body).await?)
}

pub(super) fn understood<T: serde::de::DeserializeOwned>(answer: &Answer) -> anyhow::Result<T> {
    if !(200..300).contains(&answer.status) {
        bail!("{}", answer.problem().1);
    }
    serde_json::from_slice(&answer.body).context("the server's answer cannot be understood; is it a portreeve?")
}
