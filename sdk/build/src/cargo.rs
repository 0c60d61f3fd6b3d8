//! The nested cargo: which crates compile together, and how.
//!
//! Crates of one workspace share one run, one lock file and their dependencies;
//! all runs share one target folder. The profile comes from here, so that a
//! plugin's own workspace needs none and can't make its plugin slow or leaky.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::{command, output};
use crate::target::{TARGET, WasmTarget};
use crate::{BuildError, Plugin};

/// The profile of every plugin. An overflow traps instead of making a wrong
/// amount; without unwinding a panic is a trap and its tables are gone; code for
/// speed is a tenth larger than code for size, and an order costs a fifteenth less
/// of the host's CPU. The rest is for an author who waits, measured over nine plugins: fat link-time optimisation takes 2.3 times
/// as long for components that are a sixth smaller, one code generation unit 1.5
/// times as long for a twentieth.
pub const PROFILE: [&str; 7] = [
    "profile.release.opt-level=3",
    "profile.release.lto=false",
    "profile.release.codegen-units=16",
    "profile.release.panic=\"abort\"",
    "profile.release.strip=true",
    "profile.release.debug=false",
    "profile.release.overflow-checks=true",
];

/// Plugins that cargo compiles in one run.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) members: Vec<Member>,
}

/// One plugin's crate.
#[derive(Debug)]
pub(crate) struct Member {
    /// Which of the plugins that were asked for.
    slot: usize,
    package: String,
    /// The library's name, which is the output's.
    library: String,
}

/// Groups the plugins by the cargo workspace that they belong to.
pub(crate) fn workspaces(plugins: &[Plugin]) -> Result<Vec<Workspace>, BuildError> {
    let mut by_root: BTreeMap<PathBuf, Vec<Member>> = BTreeMap::new();
    for (slot, plugin) in plugins.iter().enumerate() {
        let member = Member::read(slot, &plugin.folder)?;
        let root = workspace_root(&plugin.folder)?;
        by_root.entry(root).or_default().push(member);
    }
    Ok(by_root.into_iter().map(|(root, members)| Workspace { root, members }).collect())
}

/// Compiles the members and says where each one's output is.
pub(crate) fn compile(
    workspace: &Workspace,
    wasm_target: &WasmTarget,
    target_dir: &Path,
    offline: bool,
) -> Result<Vec<(usize, PathBuf)>, BuildError> {
    let mut cargo = command("cargo", &workspace.root);
    cargo.args(["build", "--release", "--target", TARGET, "--target-dir"]);
    cargo.arg(target_dir);
    for setting in PROFILE {
        cargo.args(["--config", setting]);
    }
    if offline {
        cargo.arg("--offline");
    }
    for member in &workspace.members {
        cargo.args(["--package", &member.package]);
    }
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped(&workspace.root, wasm_target));
    wasm_target.apply(&mut cargo);

    output(cargo)?.map_err(|message| {
        if message.contains("linker `wasm-component-ld` not found") {
            BuildError::NoLinker
        } else {
            BuildError::Compile { message }
        }
    })?;

    let folder = target_dir.join(TARGET).join("release");
    let outputs = workspace.members.iter();
    Ok(outputs.map(|member| (member.slot, folder.join(format!("{}.wasm", member.library)))).collect())
}

/// Panic messages name source files. Without this they would tell a stranger
/// the builder's home folder, and the bytes would differ from folder to folder.
fn remapped(root: &Path, wasm_target: &WasmTarget) -> OsString {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let prefixes = [
        (Some(root.to_path_buf()), "/plugin"),
        (cargo_home, "/cargo"),
        (wasm_target.sysroot().map(Path::to_path_buf), "/rust"),
    ];
    let mut flags = OsString::new();
    for (from, to) in prefixes {
        let Some(from) = from else { continue };
        if !flags.is_empty() {
            // Cargo's separator, which no path contains.
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

fn workspace_root(folder: &Path) -> Result<PathBuf, BuildError> {
    let mut cargo = command("cargo", folder);
    cargo.args(["locate-project", "--workspace", "--message-format", "plain"]);
    let refused = |message: String| BuildError::Workspace {
        folder: folder.to_path_buf(),
        message: message.trim_end().to_owned(),
    };
    let manifest = output(cargo)?.map_err(refused)?;
    Path::new(manifest.trim_end())
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| refused("cargo named no folder".to_owned()))
}

/// The part of a `Cargo.toml` that names the output.
#[derive(Deserialize)]
struct CargoToml {
    package: Option<Package>,
    lib: Option<Library>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Library {
    name: Option<String>,
    #[serde(default)]
    crate_type: Vec<String>,
}

impl Member {
    fn read(slot: usize, folder: &Path) -> Result<Self, BuildError> {
        let path = folder.join("Cargo.toml");
        let text = fs::read_to_string(&path).map_err(BuildError::io("read", &path))?;
        let not_a_crate = |why: String| BuildError::NotACrate { folder: folder.to_path_buf(), why };
        let cargo_toml: CargoToml = toml::from_str(&text).map_err(|error| not_a_crate(error.to_string()))?;
        let package = cargo_toml.package.ok_or_else(|| not_a_crate("its Cargo.toml has no `[package]`".to_owned()))?;
        let library = cargo_toml
            .lib
            .filter(|library| library.crate_type.iter().any(|kind| kind == "cdylib"))
            .ok_or_else(|| not_a_crate("its Cargo.toml has no `[lib]` with `crate-type = [\"cdylib\"]`".to_owned()))?;
        let name = library.name.unwrap_or_else(|| package.name.clone());
        Ok(Self { slot, package: package.name, library: name.replace('-', "_") })
    }
}
