//! Packages: what a component says of itself, who signed it and whether that counts, what
//! the platform team grants it, and the code compiled from it.
//!
//! ```text
//! component + .sig ─▶ Package::read ─▶ TrustPolicy::judge ─▶ Trusted ─▶ Registry::install ─▶ Installed
//!                     what it claims    whose word counts                grant, code, imports
//! ```
//!
//! [`Registry::install`] wants the proof of the step before: nothing that is not trusted is
//! even compiled. Nothing is found out later: what is not granted is refused here, with the
//! line that would allow it; [`check()`] tells everything that is wrong at once. [`growth()`]
//! says what an upgrade asks for beyond its predecessor, [`quarantine`] what becomes of a
//! component that fails again and again. Which component of a plugin is active is a version
//! of the configuration, and the wiring's business.

pub mod file;

pub mod manifest;

pub mod setting;

pub mod message;

pub mod signature;

pub mod package;

pub mod trust;

pub mod grant;

pub mod growth;

pub mod check;

pub mod cache;

pub mod quarantine;

use portreeve_model::{Digest, PluginName};
use portreeve_sandbox::{Beyond, CompileError, Declared, Limits, LoadError, Plugin, PluginSpec, Sandbox, Settled};

pub use cache::CodeCache;
pub use check::check;
pub use file::FileError;
pub use grant::PlatformGrant;
pub use growth::{Growth, growth};
pub use manifest::{Manifest, ManifestError};
pub use message::{DeclaredMessage, DeclaredMessages};
pub use package::{Package, PackageError};
pub use quarantine::Quarantine;
pub use setting::{DeclaredSetting, DeclaredSettings, SettingKind};
pub use signature::{Signature, SignatureError, Statement};
pub use trust::{Lasts, Occasion, TrustPolicy, Trusted, Untrusted};

/// A plugin that can be called.
#[derive(Clone)]
pub struct Installed {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Digest of the component, manifest included.
    pub digest: Digest,
    /// Its limits, and who set each.
    pub limits: Vec<Settled>,
    /// The loaded plugin.
    pub plugin: Plugin,
    /// How long its publisher's word counts.
    pub trusted: Lasts,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The configuration means another plugin.
    #[error("the component configured as `{name}` calls itself `{found}`; correct `name` or `component`")]
    OtherName {
        /// The name in the configuration.
        name: PluginName,
        /// The name in the manifest.
        found: PluginName,
    },
    /// The platform team pinned other digests.
    #[error("plugin `{name}` has digest {found}, which its grant does not list; add it to `digests` after a review")]
    OtherDigest {
        /// The plugin.
        name: PluginName,
        /// The digest of the component.
        found: Digest,
    },
    /// It asks for something that it was not granted.
    #[error("plugin `{name}` asks for {asked}, which it is not granted; {allow}")]
    NotGranted {
        /// The plugin.
        name: PluginName,
        /// The act.
        asked: String,
        /// What would allow it.
        allow: String,
    },
    /// It was granted a limit that can have no effect.
    #[error("the grant of plugin `{name}` has `limits.{limit}` {found}; expected {expected}")]
    Limit {
        /// The plugin.
        name: PluginName,
        /// The limit.
        limit: &'static str,
        /// What the grant says.
        found: String,
        /// What would do.
        expected: String,
    },
    /// It begins beyond its limits, so that no call of it could ever begin.
    #[error("plugin `{name}` cannot run: {source}")]
    Beyond {
        /// The plugin.
        name: PluginName,
        /// Which limit.
        source: Beyond,
    },
    /// It does not compile.
    #[error("plugin `{name}` does not compile: {source}")]
    Compile {
        /// The plugin.
        name: PluginName,
        /// What is wrong.
        source: CompileError,
    },
    /// It cannot be loaded.
    #[error("plugin `{name}` cannot be loaded: {source}")]
    Load {
        /// The plugin.
        name: PluginName,
        /// What is wrong.
        source: LoadError,
    },
}

/// Installs plugins into one sandbox.
pub struct Registry {
    sandbox: Sandbox,
    cache: CodeCache,
}

impl Registry {
    /// A registry over a sandbox and a cache of compiled code.
    #[must_use]
    pub fn new(sandbox: Sandbox, cache: CodeCache) -> Self {
        Self { sandbox, cache }
    }

    /// The sandbox that plugins are loaded into.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Makes a package callable, within what it was granted. Compiling takes seconds; what
    /// is in the cache takes milliseconds.
    ///
    /// # Errors
    /// When it is another plugin, asks for more than its grant, or does not load.
    pub fn install(
        &self,
        name: &PluginName,
        package: &Package,
        trusted: &Trusted,
        component: &[u8],
        grant: &PlatformGrant,
    ) -> Result<Installed, InstallError> {
        let (manifest, digest) = (package.manifest().clone(), package.digest());
        if manifest.plugin.name != *name {
            return Err(InstallError::OtherName { name: name.clone(), found: manifest.plugin.name });
        }
        if !grant.digests.is_empty() && !grant.digests.contains(&digest) {
            return Err(InstallError::OtherDigest { name: name.clone(), found: digest });
        }
        grant.covers(name, &manifest.imports)?;
        let kind = manifest.plugin.kind;
        let settled = grant.settle(name, kind, &manifest.limits, &self.sandbox.most())?;

        let limits = Limits::smallest(&manifest.limits, &grant.limits);
        if let Some(source) = package.inspection().needs.beyond(&limits).next() {
            return Err(InstallError::Beyond { name: name.clone(), source });
        }
        let code = self.code(name, package, component)?;
        let declared: Declared = manifest.declared();
        let spec = PluginSpec { name: name.clone(), kind, digest, limits, declared };
        let plugin =
            self.sandbox.load(spec, &code).map_err(|source| InstallError::Load { name: name.clone(), source })?;
        Ok(Installed { manifest, digest, limits: settled, plugin, trusted: trusted.lasts() })
    }

    /// Compiles a package into the cache, unless it is there. Installing it then takes
    /// milliseconds: whoever holds something that others wait for does this before.
    ///
    /// # Errors
    /// When it does not compile, or the cache cannot be used.
    pub fn prepare(&self, package: &Package, _trusted: &Trusted, component: &[u8]) -> Result<(), InstallError> {
        self.code(&package.manifest().plugin.name, package, component).map(drop)
    }

    /// The code from the cache, or compiled.
    fn code(
        &self,
        name: &PluginName,
        package: &Package,
        component: &[u8],
    ) -> Result<portreeve_sandbox::CompiledCode, InstallError> {
        let (kind, digest) = (package.manifest().plugin.kind, package.digest());
        match self.cache.read(&self.sandbox, kind, digest) {
            Ok(Some(code)) => Ok(code),
            Ok(None) => self.compile(name, kind, digest, component),
            Err(source) => {
                // Tampered, stale or no file: said aloud, then made anew from the component.
                tracing::warn!(plugin = %name, %source, "compiled code was rejected and is compiled again");
                self.compile(name, kind, digest, component)
            }
        }
    }

    fn compile(
        &self,
        name: &PluginName,
        kind: portreeve_model::PluginKind,
        digest: Digest,
        component: &[u8],
    ) -> Result<portreeve_sandbox::CompiledCode, InstallError> {
        let code = self
            .sandbox
            .compile(kind, component)
            .map_err(|source| InstallError::Compile { name: name.clone(), source })?;
        if let Err(source) = self.cache.write(&self.sandbox, kind, digest, &code) {
            // What was compiled is there all the same; the next start compiles it again.
            tracing::warn!(plugin = %name, %source, "compiled code cannot be kept and will be compiled at each start");
        }
        Ok(code)
    }
}
