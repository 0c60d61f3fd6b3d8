//! The source tree that a command runs in: found from where it runs, never by
//! a path that was compiled in.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A checkout of Portreeve.
#[derive(Debug, Clone)]
pub struct SourceTree {
    root: PathBuf,
}

impl SourceTree {
    /// Looks upward from the current folder.
    ///
    /// # Errors
    /// When no folder above holds `plugins/`, `wit/` and `host/portreeve/demo/`.
    pub fn find() -> anyhow::Result<Self> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        Self::find_from(&here)
    }

    /// Looks upward from a folder.
    ///
    /// # Errors
    /// As [`SourceTree::find`].
    pub fn find_from(folder: &Path) -> anyhow::Result<Self> {
        let marks = ["plugins", "wit", "host/portreeve/demo"];
        for root in folder.ancestors() {
            if marks.iter().all(|mark| root.join(mark).is_dir()) {
                return Ok(Self { root: root.to_owned() });
            }
        }
        bail!("`{}` is not inside a checkout of Portreeve; run this in one", folder.display())
    }

    /// The checkout's root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The demo's configuration.
    #[must_use]
    pub fn demo(&self) -> PathBuf {
        self.root.join("host/portreeve/demo")
    }

    /// Where builds go: cargo's target folder.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => self.root.join(folder),
            _ => self.root.join("target"),
        }
    }

    /// The folders of the plugins that ship with Portreeve, in name order.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn plugins(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for kind in ["connectors", "transformers", "scorers"] {
            let folder = self.root.join("plugins").join(kind);
            let entries =
                std::fs::read_dir(&folder).with_context(|| format!("`{}` cannot be read", folder.display()))?;
            for entry in entries {
                let path = entry.with_context(|| format!("`{}` cannot be read", folder.display()))?.path();
                if path.join("plugin.toml").is_file() {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}
