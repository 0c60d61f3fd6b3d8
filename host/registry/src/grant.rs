//! What the platform team grants a plugin: one method per act, and a denial
//! names the act and the line that would allow it.
//!
//! Declared *and* granted: the manifest asks, this answers. An ask beyond the
//! grant refuses the installation, so a new import in an upgrade is noticed even
//! in a patch version.

use portreeve_model::{Digest, PluginName};
use portreeve_sandbox::LimitChoices;
use serde::{Deserialize, Serialize};

use crate::InstallError;
use crate::manifest::Imports;

/// A grant, as the configuration states it. Everything is off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformGrant {
    /// Exact components; empty means any of that name.
    #[serde(default)]
    pub digests: Vec<Digest>,
    /// May write log lines.
    #[serde(default)]
    pub log: bool,
    /// Reference tables it may read.
    #[serde(default)]
    pub lookup: Vec<String>,
    /// Number ranges it may take from.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Model files it may read.
    #[serde(default)]
    pub artifact: Vec<Digest>,
    /// May keep small state.
    #[serde(default)]
    pub kv: bool,
    /// HTTP methods it may send.
    #[serde(default)]
    pub http: Vec<String>,
    /// Limits: less than the default counts by itself, more only when the manifest
    /// asks for it as well.
    #[serde(default)]
    pub limits: LimitChoices,
}

impl PlatformGrant {
    /// Checks that every ask is granted.
    ///
    /// # Errors
    /// [`InstallError::NotGranted`] for the first ask that is not; [`PlatformGrant::gaps`] has all.
    pub fn covers(&self, name: &PluginName, asks: &Imports) -> Result<(), InstallError> {
        self.gaps(name, asks).into_iter().next().map_or(Ok(()), Err)
    }

    /// Every ask that is not granted, as [`InstallError::NotGranted`].
    #[must_use]
    pub fn gaps(&self, name: &PluginName, asks: &Imports) -> Vec<InstallError> {
        let mut gaps = Vec::new();
        self.cover_flag(name, "log", asks.log, self.log, &mut gaps);
        self.cover_flag(name, "kv", asks.kv, self.kv, &mut gaps);
        self.cover_list(name, "lookup", &asks.lookup, &self.lookup, &mut gaps);
        self.cover_list(name, "numbers", &asks.numbers, &self.numbers, &mut gaps);
        self.cover_list(name, "artifact", &asks.artifact, &self.artifact, &mut gaps);
        self.cover_list(name, "http", &asks.http, &self.http, &mut gaps);
        gaps
    }

    fn cover_flag(&self, name: &PluginName, act: &str, asked: bool, granted: bool, gaps: &mut Vec<InstallError>) {
        if asked && !granted {
            gaps.push(InstallError::NotGranted {
                name: name.clone(),
                asked: format!("`{act}`"),
                allow: format!("`{act} = true` in its grant would allow it"),
            });
        }
    }

    fn cover_list<T: PartialEq + std::fmt::Display>(
        &self,
        name: &PluginName,
        act: &str,
        asked: &[T],
        granted: &[T],
        gaps: &mut Vec<InstallError>,
    ) {
        let missing = asked.iter().filter(|ask| !granted.contains(ask));
        gaps.extend(missing.map(|ask| InstallError::NotGranted {
            name: name.clone(),
            asked: format!("`{act}` of `{ask}`"),
            allow: format!("`{ask}` in `{act}` of its grant would allow it"),
        }));
    }
}
