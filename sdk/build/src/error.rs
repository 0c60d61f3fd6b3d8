//! Why a build failed, in sentences for the plugin's author.

use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::ManifestError;
use crate::section::SectionError;

/// Why plugins could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A manifest is wrong.
    #[error("`{}` is no plugin manifest: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },

    /// Two plugins have the same name.
    #[error("two plugins are named `{name}`; build them apart or rename one in its plugin.toml")]
    EqualNames {
        /// The name.
        name: String,
    },

    /// The folder has no crate that can be a plugin.
    #[error("`{}` is no plugin crate: {why}", folder.display())]
    NotACrate {
        /// The plugin's folder.
        folder: PathBuf,
        /// What is missing.
        why: String,
    },

    /// A tool could not be started.
    #[error("`{tool}` could not be started ({source}); install it or put it on the PATH")]
    Tool {
        /// The program.
        tool: String,
        /// The operating system's word.
        source: io::Error,
    },

    /// Cargo refuses the workspace.
    #[error("cargo cannot read the workspace of `{}`: {message}", folder.display())]
    Workspace {
        /// The plugin's folder.
        folder: PathBuf,
        /// Cargo's words.
        message: String,
    },

    /// There is no standard library for wasm, and none could be had.
    #[error(
        "this compiler has no wasm32-unknown-unknown target, and it could not be had ({why}); run `rustup target add wasm32-unknown-unknown` where rustup's servers can be reached"
    )]
    NoTarget {
        /// What was tried and how it failed.
        why: String,
    },

    /// The compiler was installed without the component linker.
    #[error(
        "this compiler has no wasm-component-ld; it is part of rustup's toolchains, and `cargo install wasm-component-ld` installs it for others"
    )]
    NoLinker,

    /// A crate doesn't compile.
    #[error("a plugin does not compile:\n{message}")]
    Compile {
        /// The compiler's words.
        message: String,
    },

    /// The compiler's output is no component.
    #[error("`{}` cannot carry a manifest: {source}", path.display())]
    Section {
        /// The compiler's output.
        path: PathBuf,
        /// What is wrong with it.
        source: SectionError,
    },

    /// A file or folder.
    #[error("failed to {act} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// With what.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
}

impl BuildError {
    /// For `map_err`: what was tried with which path.
    pub(crate) fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { act, path, source }
    }
}
