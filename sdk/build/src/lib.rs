//! From a plugin's crate to a component that the host takes.
//!
//! ```text
//! plugin.toml ─▶ checked ─┐
//! crates ─▶ grouped by workspace ─▶ wasm target found ─▶ one cargo build each ─▶ manifest embedded ─▶ name.wasm
//! ```
//!
//! A plugin is compiled for `wasm32-unknown-unknown` and linked by
//! `wasm-component-ld`, so that it imports what is Portreeve's and nothing
//! ambient. The manifest goes into the component, so that one digest covers
//! the code and what it asks for. The profile is given here, not in a plugin's
//! `Cargo.toml`: a third party's crate needs no settings to be small.
//!
//! Whether the component exports what its kind must export, and imports no more
//! than it declares, is judged by the host when it loads it, not here.

mod error;
mod manifest;
mod section;

mod cargo;
mod target;

mod airgap;
mod command;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub use cargo::PROFILE;
pub use error::BuildError;
pub use manifest::{
    CONTRACT, Handles, Imports, Kind, Limits, MANIFEST_BYTES_MAX, Manifest, ManifestError, Message, PluginTable,
    Setting, SettingKind,
};
pub use section::{SECTION_NAME, SectionError, embed};

/// The file beside a plugin's `Cargo.toml`.
pub const MANIFEST_FILE: &str = "plugin.toml";

/// Where and how to build.
#[derive(Clone, Copy)]
pub struct BuildOptions<'a> {
    /// Holds cargo's output, which all plugins share, and the components under `plugins/`.
    pub target_dir: &'a Path,
    /// Use no network: cargo takes what it has, and a missing wasm target is an error.
    pub offline: bool,
    /// Told what is being done, before it is done: some steps take a while.
    pub progress: &'a dyn Fn(&Progress),
}

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// `rustup target add`, with a deadline.
    AddingTarget,
    /// Looking for the standard library's source in a Debian suite.
    SearchingSource {
        /// The suite, for example `trixie-backports`.
        suite: String,
    },
    /// Compiling the standard library for wasm, once per compiler version.
    CompilingStandardLibrary,
    /// Compiling plugins of one workspace.
    Compiling {
        /// How many.
        plugins: usize,
    },
    /// One component is written.
    Built {
        /// The plugin's name.
        plugin: String,
        /// The component's size.
        bytes: u64,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddingTarget => f.write_str("adding the wasm target with rustup"),
            Self::SearchingSource { suite } => {
                write!(f, "rustup has no wasm target here; looking for rust-src in {suite}")
            }
            Self::CompilingStandardLibrary => {
                f.write_str("compiling the standard library for wasm (once per compiler version)")
            }
            Self::Compiling { plugins: 1 } => f.write_str("compiling 1 plugin"),
            Self::Compiling { plugins } => write!(f, "compiling {plugins} plugins"),
            Self::Built { plugin, bytes } => {
                write!(f, "built {plugin} ({} KiB)", bytes.div_ceil(1024))
            }
        }
    }
}

/// A component that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// What its `plugin.toml` says.
    pub manifest: Manifest,
    /// The plugin's folder, as it was given.
    pub folder: PathBuf,
    /// The component, with the manifest embedded.
    pub component: PathBuf,
    /// The component's size in bytes.
    pub bytes_len: u64,
}

/// Builds the plugins in these folders, in the order given. Crates of one cargo
/// workspace are compiled by one cargo run.
///
/// # Errors
/// At the first manifest that is wrong, before anything is compiled; when no
/// wasm target can be had; when a crate doesn't compile; when a component can't
/// be written. Components that were written before stay.
pub fn build(folders: &[PathBuf], options: &BuildOptions<'_>) -> Result<Vec<Built>, BuildError> {
    let plugins = folders.iter().map(|folder| Plugin::read(folder)).collect::<Result<Vec<_>, _>>()?;
    refuse_equal_names(&plugins)?;

    let target_dir = made_absolute(options.target_dir)?;
    let mut compiled = vec![PathBuf::new(); plugins.len()];
    for workspace in cargo::workspaces(&plugins)? {
        let wasm_target = target::find(&workspace.root, options)?;
        (options.progress)(&Progress::Compiling { plugins: workspace.members.len() });
        let outputs = cargo::compile(&workspace, &wasm_target, &target_dir, options.offline)?;
        for (slot, output) in outputs {
            if let Some(place) = compiled.get_mut(slot) {
                *place = output;
            }
        }
    }

    let output_dir = target_dir.join("plugins");
    fs::create_dir_all(&output_dir).map_err(BuildError::io("create", &output_dir))?;
    plugins.into_iter().zip(compiled).map(|(plugin, module)| plugin.finish(&module, &output_dir, options)).collect()
}

/// A plugin's sources: its manifest was checked.
#[derive(Debug)]
pub(crate) struct Plugin {
    folder: PathBuf,
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
}

impl Plugin {
    fn read(folder: &Path) -> Result<Self, BuildError> {
        let path = folder.join(MANIFEST_FILE);
        let manifest_bytes = fs::read(&path).map_err(BuildError::io("read", &path))?;
        let manifest =
            Manifest::parse(&manifest_bytes).map_err(|source| BuildError::Manifest { path: path.clone(), source })?;
        Ok(Self { folder: folder.to_path_buf(), manifest, manifest_bytes })
    }

    /// Embeds the manifest and writes the component under a new name before it
    /// takes its place: whoever reads the old one never sees half of the new one.
    fn finish(self, module: &Path, output_dir: &Path, options: &BuildOptions<'_>) -> Result<Built, BuildError> {
        let compiled = fs::read(module).map_err(BuildError::io("read", module))?;
        let bytes = embed(&compiled, &self.manifest_bytes)
            .map_err(|source| BuildError::Section { path: module.to_path_buf(), source })?;

        let component = output_dir.join(format!("{}.wasm", self.manifest.plugin.name));
        let failed = BuildError::io("write", &component);
        let written = tempfile::NamedTempFile::new_in(output_dir).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist(&component).map_err(|error| error.error)
        });
        written.map_err(failed)?;

        let bytes_len = bytes.len() as u64;
        (options.progress)(&Progress::Built { plugin: self.manifest.plugin.name.clone(), bytes: bytes_len });
        Ok(Built { manifest: self.manifest, folder: self.folder, component, bytes_len })
    }
}

/// Check: two plugins of one name would overwrite each other's component.
fn refuse_equal_names(plugins: &[Plugin]) -> Result<(), BuildError> {
    let mut names = BTreeSet::new();
    for plugin in plugins {
        if !names.insert(&plugin.manifest.plugin.name) {
            return Err(BuildError::EqualNames { name: plugin.manifest.plugin.name.clone() });
        }
    }
    Ok(())
}

/// Cargo runs in the plugin's workspace, where a relative path means something else.
fn made_absolute(path: &Path) -> Result<PathBuf, BuildError> {
    fs::create_dir_all(path).map_err(BuildError::io("create", path))?;
    path.canonicalize().map_err(BuildError::io("find", path))
}
