//! Runs plugins that nobody trusts.
//!
//! This is the only room that knows wasmtime. It compiles components, loads them
//! behind exactly the imports that they may have, and calls them: every call in a
//! fresh instance, under limits that bind, with a record of everything that
//! crossed the border. It owns no data: what a guest may ask for comes through
//! the small traits of [`capability`], which the pipeline implements; what a guest
//! says comes back as the model's nouns, checked.
//!
//! It does not decide whether a plugin is trusted (`registry`), when it is called
//! (`pipeline`) or what its advice may cause (`authority`).
//!
//! Reading order: [`outcome`] and [`limits`] say what a call may use and leaves
//! behind; `call` is the story of one; `engine`, `rate`, `share`, `plugin` and
//! [`code`] make one possible; `host`, `wasi`, `egress` and `request` are the other side of the border,
//! `convert` the customs, `promise` their rules.

pub mod outcome;

pub mod limits;

mod call;

pub mod capability;

mod plugin;

mod engine;

mod rate;

mod share;

pub mod code;

pub mod inspect;

pub mod needs;

mod host;

mod wasi;

mod egress;

mod scrub;

pub mod tls;

mod connections;

pub mod own;

mod request;

mod convert;

mod promise;

mod bindings;

#[doc(hidden)]
pub mod measure;

use std::sync::Arc;

use portreeve_model::id::{Digest, PluginKind};

pub use capability::{
    Artifacts, CallContext, Egress, EgressRefused, EgressRequest, Ended, Kv, Lookup, LookupError, Nothing, Numbers,
    NumbersError, OutTray, Passage, Permitted, Signature, ToSign,
};
pub use code::{CacheError, CompileError, CompiledCode, SealingKey};
pub use engine::{SandboxError, SandboxOptions};
pub use inspect::{InspectError, Inspection, inspect};
pub use limits::{Binds, LOG_LINE_BYTES_MAX, Limit, LimitChoices, Limits, SetBy, Settled};
pub use needs::{Beyond, Needs};
pub use outcome::{
    Call, CallError, CallFailure, Crossed, Crossing, KvWrite, LogLevel, LogLine, LookupAnswer, RecordedLookup,
    RecordedRequest, RequestOutcome, TimeLimit,
};
pub use own::OwnRequest;
pub use plugin::{CONTRACT, Declared, LoadError, Plugin, PluginSpec, check_import};
pub use tls::{ClientTls, Identity, TlsError};

/// The engines that plugins run in. One for a host; cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    engines: Arc<engine::Engines>,
    options: SandboxOptions,
}

impl Sandbox {
    /// Makes the engines, their pools and their clock.
    ///
    /// # Errors
    /// When the machine does not give the address space or the thread.
    pub fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        Ok(Self { engines: engine::Engines::new(&options)?, options })
    }

    /// The most that a plugin can be granted here.
    #[must_use]
    pub fn most(&self) -> Limits {
        self.options.most()
    }

    /// What compiled code of this kind of plugin depends on. Code, and recorded
    /// fuel, are comparable only under the same hash.
    #[must_use]
    pub fn engine_hash(&self, kind: PluginKind) -> Digest {
        self.engines.pool(kind).hash
    }

    /// Compiles a component. Takes up to seconds of CPU: not on a thread that
    /// serves requests.
    ///
    /// # Errors
    /// When it is too large, invalid, or uses what the sandbox does not offer.
    pub fn compile(&self, kind: PluginKind, component: &[u8]) -> Result<CompiledCode, CompileError> {
        CompiledCode::compile(&self.engines, kind, component)
    }

    /// Makes a plugin that can be called.
    ///
    /// # Errors
    /// When it imports what it may not have, lacks an export, or the code is not
    /// this component's for this engine.
    pub fn load(&self, spec: PluginSpec, code: &CompiledCode) -> Result<Plugin, LoadError> {
        Plugin::load(self.engines.clone(), spec, code)
    }

    /// Everything that would keep [`load`](Self::load) from making a plugin of it; empty
    /// when nothing does.
    #[must_use]
    pub fn problems(&self, spec: &PluginSpec, code: &CompiledCode) -> Vec<LoadError> {
        plugin::problems(&self.engines, spec, code)
    }
}
