//! `plugin`: build crates into components, look into components, and say what binds them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use portreeve_build::BuildOptions;
use portreeve_model::{Digest, PluginName};
use portreeve_registry::grant::without_effect;
use portreeve_registry::{CodeCache, Manifest, PlatformGrant, Registry};
use portreeve_sandbox::{Limits, Sandbox, SandboxOptions, Settled};

use super::Data;
use crate::config::{Configuration, Files, Proposed};
use crate::host;
use crate::output::Output;
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
    /// Load a component as a host would, within a grant, without running it.
    Check {
        /// The component.
        component: PathBuf,
        /// What the platform team would grant it, as inline TOML: `lookup = ["item"]`.
        #[arg(long, default_value = "")]
        grant: String,
    },
    /// The plugins of the active configuration.
    List {
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
    /// Show what a component says of itself and imports, without running it.
    Inspect {
        /// The component.
        component: PathBuf,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::Build { folders, target_dir, offline } => build(&folders, target_dir, offline, json, output),
        Command::Check { component, grant } => check(&component, &grant, json, output),
        Command::List { data } => list(&data, json, output).await,
        Command::Limits { name, config, data } => limits(&name, config.as_deref(), &data, json, output).await,
        Command::Inspect { component } => inspect(&component, json, output),
    }
}

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

fn inspect(component: &std::path::Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let bytes = std::fs::read(component).with_context(|| format!("`{}` cannot be read", component.display()))?;
    let inspection = portreeve_sandbox::inspect(&bytes)?;
    let manifest = Manifest::parse_embedded(&inspection)?;
    if json {
        return output.json(&serde_json::json!({
            "digest": inspection.digest,
            "manifest": manifest,
            "imports": inspection.imports,
            "exports": inspection.exports,
        }));
    }
    let about = &manifest.plugin;
    output.line(&format!("{} {} ({}), {}", about.name, about.version, about.kind, about.description))?;
    output.line(&format!("published by {}, {}", about.publisher, about.license))?;
    output.line(&format!("digest   {}", inspection.digest))?;
    output.line(&format!("imports  {}", inspection.imports.join(", ")))?;
    output.line(&format!("exports  {}", inspection.exports.join(", ")))
}

fn check(component: &std::path::Path, grant: &str, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let bytes = std::fs::read(component).with_context(|| format!("`{}` cannot be read", component.display()))?;
    let grant: PlatformGrant = toml::from_str(grant).context("the grant cannot be understood")?;
    let name = Manifest::parse_embedded(&portreeve_sandbox::inspect(&bytes)?)?.plugin.name;
    let sandbox = Sandbox::new(SandboxOptions::default()).context("the sandbox cannot start")?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let cache = CodeCache::open(&folder.path().join("cache"), &folder.path().join("cache.key"))?;
    let installed = Registry::new(sandbox, cache).install(&name, &bytes, &grant)?;
    let kind = installed.manifest.plugin.kind;
    if json {
        return output.json(&serde_json::json!({ "plugin": name, "kind": kind, "loads": true }));
    }
    output.line(&format!("{name} loads as a {kind} within this grant"))
}

async fn list(data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open()?;
    let configuration = Files::from_bytes(&host::active(&store).await?.bytes)?.check()?;
    for (name, digest) in &configuration.components {
        let bytes = host::read_component(&locations.components(), *digest)?;
        let inspection = portreeve_sandbox::inspect(&bytes)?;
        let about = Manifest::parse_embedded(&inspection)?.plugin;
        if json {
            output.json(&serde_json::json!({
                "plugin": name, "version": about.version, "kind": about.kind, "publisher": about.publisher,
                "digest": digest, "imports": inspection.imports,
            }))?;
        } else {
            output.line(&format!("{name}  {}  {}  {digest}", about.version, about.kind))?;
        }
    }
    Ok(())
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
    let bytes = proposed.components.get(&digest).with_context(|| format!("component {digest} was not read"))?;
    Ok((Manifest::parse_embedded(&portreeve_sandbox::inspect(bytes)?)?, grant))
}

/// The same of the active configuration.
async fn active(data: &Data, name: &PluginName) -> anyhow::Result<(Manifest, PlatformGrant)> {
    let (locations, store) = data.open()?;
    let (digest, grant) = configured(&Files::from_bytes(&host::active(&store).await?.bytes)?.check()?, name)?;
    let bytes = host::read_component(&locations.components(), digest)?;
    Ok((Manifest::parse_embedded(&portreeve_sandbox::inspect(&bytes)?)?, grant))
}

fn configured(configuration: &Configuration, name: &PluginName) -> anyhow::Result<(Digest, PlatformGrant)> {
    let entry = configuration.host.plugins.iter().find(|entry| entry.name == *name);
    let digest = configuration.components.get(name);
    match (entry, digest) {
        (Some(entry), Some(digest)) => Ok((*digest, entry.grant.clone())),
        _ => anyhow::bail!("the configuration has no plugin `{name}`; `portreeve plugin list` names those it has"),
    }
}
