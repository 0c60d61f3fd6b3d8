//! The standard library for wasm: installed, or made by an earlier run, or added
//! by rustup, or made now.
//!
//! Rustup's servers can be out of reach, and then it may wait for them for
//! minutes: it gets a deadline. What an earlier run made is looked for before,
//! so that an air-gapped machine pays once per compiler version.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::airgap::{self, Compiler};
use crate::command::{command, output, run_until};
use crate::{BuildError, BuildOptions, Progress};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A download of 20 MB; where the servers can't be reached it hangs instead.
const RUSTUP_DEADLINE: Duration = Duration::from_secs(60);

/// A compiler that has the target.
#[derive(Debug)]
pub(crate) enum WasmTarget {
    /// The active toolchain as it is.
    Installed,
    /// The active toolchain with a sysroot of our own.
    Private {
        /// The compiler to call instead.
        rustc: PathBuf,
        /// Its sysroot.
        sysroot: PathBuf,
    },
}

impl WasmTarget {
    /// Makes a cargo command use it.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        if let Self::Private { rustc, .. } = self {
            cargo.env("RUSTC", rustc);
        }
    }

    pub(crate) fn sysroot(&self) -> Option<&Path> {
        match self {
            Self::Installed => None,
            Self::Private { sysroot, .. } => Some(sysroot),
        }
    }
}

/// Finds or makes the target for the toolchain that is active in `folder`.
pub(crate) fn find(folder: &Path, options: &BuildOptions<'_>) -> Result<WasmTarget, BuildError> {
    if is_installed(folder)? {
        return Ok(WasmTarget::Installed);
    }
    let compiler = Compiler::active(folder)?;
    if let Some(made_before) = airgap::cached(&compiler) {
        return Ok(made_before);
    }
    if options.offline {
        return Err(BuildError::NoTarget { why: "the build is offline".to_owned() });
    }

    (options.progress)(&Progress::AddingTarget);
    let rustup_failure = match add_by_rustup(folder)? {
        Ok(()) => return Ok(WasmTarget::Installed),
        Err(why) => why,
    };
    airgap::make(&compiler, options)
        .map_err(|error| BuildError::NoTarget { why: format!("rustup: {rustup_failure}; Debian's rust-src: {error}") })
}

fn add_by_rustup(folder: &Path) -> Result<Result<(), String>, BuildError> {
    let mut rustup = command("rustup", folder);
    rustup.args(["target", "add", TARGET]);
    match run_until(rustup, RUSTUP_DEADLINE) {
        Ok(Ok(())) if is_installed(folder)? => Ok(Ok(())),
        Ok(Ok(())) => Ok(Err("it manages another toolchain than the active one".to_owned())),
        Ok(Err(why)) => Ok(Err(why)),
        // A compiler from the distribution's packages comes without rustup.
        Err(BuildError::Tool { .. }) => Ok(Err("it is not installed".to_owned())),
        Err(error) => Err(error),
    }
}

fn is_installed(folder: &Path) -> Result<bool, BuildError> {
    let mut rustc = command("rustc", folder);
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let Ok(libdir) = output(rustc)? else {
        return Ok(false);
    };
    Ok(has_standard_library(Path::new(libdir.trim_end())))
}

pub(crate) fn has_standard_library(libdir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(libdir) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}
