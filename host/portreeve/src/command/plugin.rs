//! `plugin`: build crates into components, look into components.

use std::path::PathBuf;

use anyhow::Context;
use portreeve_build::BuildOptions;
use portreeve_registry::{CodeCache, Manifest, PlatformGrant, Registry};
use portreeve_sandbox::{Sandbox, SandboxOptions};

use super::Data;
use crate::config::Files;
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
