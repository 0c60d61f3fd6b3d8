//! A plugin that can be called: its imports were checked, its code is loaded.
//!
//! An import is allowed when its kind may have it *and* the manifest declares it
//! (the grant of the platform team is checked before, by the registry). Whatever
//! else a component imports, ambient WASI included, refuses it here, by name and
//! with what would allow it; only what is declared is linked, so a gap in this
//! check would still find nothing behind the import.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use portreeve_model::advice::{Assessment, ScoringRequest};
use portreeve_model::document::{
    CheckReport, CheckRequest, Delivery, Document, Failure, FindQuery, Inbound, MappingRequest, Message, PollRequest,
    Polled, Receipt, Received, RenderingRequest,
};
use portreeve_model::event::Event;
use portreeve_model::id::{Digest, PluginKind, PluginName};
use wasmtime::Engine;
use wasmtime::component::__internal::InstanceType;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, ComponentType, HasSelf, InstancePre, Lift, Linker, Lower};

use crate::bindings::{self, advice as wit_advice, documents as wit_documents, events as wit_events};
use crate::call::{Results, governed, unstarted};
use crate::capability::CallContext;
use crate::code::{CompiledCode, load_again, memory_bytes};
use crate::connections::Connections;
use crate::convert::ToGuest;
use crate::engine::{Engines, Pool};
use crate::host::Border;
use crate::limits::Limits;
use crate::outcome::{Call, CallFailure, Crossed};
use crate::promise::parts_are_of;
use crate::request;
use crate::share::Claim;
use crate::wasi;

/// The contract that this host speaks.
pub const CONTRACT: &str = "portreeve:plugin@0.1.0";

/// What is known about a plugin before its code is loaded.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// Its name.
    pub name: PluginName,
    /// What it is for.
    pub kind: PluginKind,
    /// The component's digest.
    pub digest: Digest,
    /// What a call may use.
    pub limits: Limits,
    /// What it may import: declared in its manifest and granted.
    pub declared: Declared,
}

/// The imports that a manifest declares and the platform team granted, and the kinds
/// of documents and messages that it declares. What is not declared is not had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Whether it writes log lines.
    pub log: bool,
    /// Reference tables.
    pub lookup: Vec<String>,
    /// Number ranges.
    pub numbers: Vec<String>,
    /// Model files.
    pub artifacts: Vec<Digest>,
    /// Whether it keeps state.
    pub kv: bool,
    /// HTTP methods, upper case.
    pub http: Vec<String>,
    /// Kinds of documents that a connector makes.
    pub receives: Vec<String>,
    /// Kinds of messages that a connector takes.
    pub delivers: Vec<String>,
    /// Kinds of documents that a transformer takes.
    pub maps: Vec<String>,
    /// Kinds of messages that a transformer makes.
    pub renders: Vec<String>,
}

impl Declared {
    /// A kind decides where a document or a message goes, so a plugin that was
    /// reviewed for orders must not make payments.
    fn handles(list: &'static str, declared: &[String], kind: &str) -> Result<(), CallFailure> {
        if declared.iter().any(|one| one == kind) {
            return Ok(());
        }
        let kind: String = kind.chars().take(64).collect();
        let message = format!("its manifest does not name kind `{kind}` in `handles.{list}`");
        Err(CallFailure::ContractViolation { message })
    }
}

/// A plugin that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It imports what it may not have.
    #[error("`{plugin}` imports `{import}`, {why}")]
    RefusedImport {
        /// Who.
        plugin: PluginName,
        /// What.
        import: String,
        /// Why not, and what would allow it.
        why: String,
    },
    /// It lacks a function of its world.
    #[error(
        "`{plugin}` does not export `{export}`; a {kind} exports every function of its world in {CONTRACT}: `{expected}`"
    )]
    MissingExport {
        /// Who.
        plugin: PluginName,
        /// Which function.
        export: Call,
        /// The kind whose world it is.
        kind: PluginKind,
        /// As the contract writes it.
        expected: &'static str,
    },
    /// A function of its world has other parameters or results.
    #[error(
        "`{plugin}` exports `{export}` with another signature than {CONTRACT}: {message}; expected `{expected}`, so build it against that version"
    )]
    WrongSignature {
        /// Who.
        plugin: PluginName,
        /// Which function.
        export: Call,
        /// As the contract writes it.
        expected: &'static str,
        /// In wasmtime's words.
        message: String,
    },
    /// The code is another component's, or was made for another engine.
    #[error("the compiled code of `{plugin}` is not for this component and engine; compile it again")]
    WrongCode {
        /// Who.
        plugin: PluginName,
    },
    /// Wasmtime refuses it.
    #[error("`{plugin}` cannot be loaded: {message}")]
    Unloadable {
        /// Who.
        plugin: PluginName,
        /// In wasmtime's words.
        message: String,
    },
}

/// A plugin, ready to be called. Cheap to clone. Every call gets a fresh instance,
/// so nothing that a guest remembers reaches the next call.
#[derive(Clone)]
pub struct Plugin(pub(crate) Arc<Loaded>);

/// What the clones share.
pub(crate) struct Loaded {
    pub(crate) spec: Arc<PluginSpec>,
    pub(crate) engines: Arc<Engines>,
    /// How many of its calls run at once, and how many it may begin, its other versions'
    /// among them.
    pub(crate) claim: Claim,
    /// Its open connections to targets.
    pub(crate) connections: Arc<Connections>,
    first: Ready,
    /// The same in a pool that keeps what was touched, once a call was seen to fill what it
    /// grows; none where it cannot be loaded a second time.
    roomy: OnceLock<Option<Ready>>,
}

/// A component, ready for instances in one pool.
pub(crate) struct Ready {
    pub(crate) instance: InstancePre<Border>,
    pub(crate) exports: BTreeMap<&'static str, ComponentExportIndex>,
    /// Whether its slots keep what was touched.
    pub(crate) is_roomy: bool,
    /// What its largest memory begins with.
    pub(crate) begins_with_bytes: u64,
}

impl Ready {
    fn of(spec: &PluginSpec, pool: &Pool, component: &Component) -> Result<Self, LoadError> {
        let exports = find_exports(spec, component)?;
        let instance = link(spec, component).and_then(|linker| linker.instantiate_pre(component));
        Ok(Self {
            instance: instance.map_err(|error| unloadable(spec, &error))?,
            exports,
            is_roomy: Engine::same(component.engine(), &pool.roomy),
            begins_with_bytes: memory_bytes(component),
        })
    }
}

fn unloadable(spec: &PluginSpec, error: &wasmtime::Error) -> LoadError {
    LoadError::Unloadable { plugin: spec.name.clone(), message: format!("{error:#}") }
}

impl Loaded {
    /// Checks what it imports and that its exports are there, and links what is declared.
    pub(crate) fn link(engines: Arc<Engines>, spec: PluginSpec, code: &CompiledCode) -> Result<Self, LoadError> {
        let pool = engines.pool(spec.kind);
        if code.component() != spec.digest || code.engine() != pool.hash {
            return Err(LoadError::WrongCode { plugin: spec.name });
        }
        let component = code.load(pool).map_err(|error| unloadable(&spec, &error))?;

        let imported = component.component_type();
        for (import, _) in imported.imports(component.engine()) {
            check_import(&spec, import)?;
        }
        let first = Ready::of(&spec, pool, &component)?;
        let claim = engines.claim(&spec.name, &spec.limits);
        let connections = Arc::default();
        Ok(Self { spec: Arc::new(spec), engines, claim, connections, first, roomy: OnceLock::new() })
    }

    /// What the next call runs in: a pool that keeps what was touched, where calls of the plugin
    /// fill what they grow.
    pub(crate) fn ready(&self) -> &Ready {
        if self.first.is_roomy || !self.claim.of_call().fills() {
            return &self.first;
        }
        self.roomy.get_or_init(|| self.load_roomy()).as_ref().unwrap_or(&self.first)
    }

    fn load_roomy(&self) -> Option<Ready> {
        let (spec, pool) = (&self.spec, self.engines.pool(self.spec.kind));
        let loaded = load_again(self.first.instance.component(), &pool.roomy)
            .map_err(|error| unloadable(spec, &error))
            .and_then(|component| Ready::of(spec, pool, &component));
        // It goes on where it is: its neighbours feel it more, and nothing else is different.
        let loaded = loaded.inspect_err(|error| {
            tracing::warn!(plugin = %spec.name, %error, "a plugin that fills its memory could not be loaded into another pool");
        });
        loaded.ok()
    }

    /// Compares the exports with the types that the host will call them with. They
    /// would show at the first call, but then an order hangs on it.
    fn check_signatures(&self) -> Result<(), LoadError> {
        world(self.spec.kind).iter().try_for_each(|call| check_signature(&self.spec, *call, &self.first.instance))
    }
}

fn check_signature(spec: &PluginSpec, call: Call, instance: &InstancePre<Border>) -> Result<(), LoadError> {
    let (component, types) = (instance.component(), instance.instance_type());
    let wrong = |message| LoadError::WrongSignature {
        plugin: spec.name.clone(),
        export: call,
        expected: signature_of(call),
        message,
    };
    let Some((ComponentItem::ComponentFunc(function), _)) = component.get_export(None, call.as_str()) else {
        return Err(wrong("it is no function".to_owned()));
    };
    let checked = match call {
        Call::Receive => typecheck::<Inbound, wit_documents::Received>(&function, &types),
        Call::Deliver => typecheck::<Delivery, wit_documents::Receipt>(&function, &types),
        Call::Find => typecheck::<FindQuery, Option<wit_documents::Receipt>>(&function, &types),
        Call::Poll => typecheck::<PollRequest, wit_documents::Polled>(&function, &types),
        Call::Check => typecheck::<CheckRequest, wit_documents::CheckReport>(&function, &types),
        Call::ToCanonical => typecheck::<MappingRequest, Vec<wit_events::Event>>(&function, &types),
        Call::FromCanonical => typecheck::<RenderingRequest, wit_documents::Message>(&function, &types),
        Call::Score => typecheck::<ScoringRequest, wit_advice::Assessment>(&function, &types),
    };
    checked.map_err(|error| wrong(format!("{error:#}")))
}

/// Everything that keeps a component from being loaded, where loading it stops at the
/// first: imports that it may not have, exports that are missing or have other types.
pub(crate) fn problems(engines: &Engines, spec: &PluginSpec, code: &CompiledCode) -> Vec<LoadError> {
    let pool = engines.pool(spec.kind);
    let component = match code.load(pool) {
        Ok(component) => component,
        Err(error) => return vec![unloadable(spec, &error)],
    };
    let imported = component.component_type();
    let imports = imported.imports(component.engine()).filter_map(|(import, _)| check_import(spec, import).err());
    let mut problems: Vec<LoadError> = imports.collect();
    // What it may not have is linked to nothing here, so that its exports can be looked at.
    let linked = link(spec, &component).and_then(|mut linker| {
        linker.define_unknown_imports_as_traps(&component)?;
        linker.instantiate_pre(&component)
    });
    let instance = match linked {
        Ok(instance) => instance,
        Err(error) => {
            problems.push(unloadable(spec, &error));
            return problems;
        }
    };
    for call in world(spec.kind) {
        let found = match component.get_export_index(None, call.as_str()) {
            Some(_) => check_signature(spec, *call, &instance),
            None => Err(missing(spec, *call)),
        };
        problems.extend(found.err());
    }
    problems
}

fn missing(spec: &PluginSpec, call: Call) -> LoadError {
    LoadError::MissingExport { plugin: spec.name.clone(), export: call, kind: spec.kind, expected: signature_of(call) }
}

/// The worlds, for what an export should look like.
const WORLDS: &str = include_str!("../../../wit/worlds.wit");

/// An export as the contract writes it.
fn signature_of(call: Call) -> &'static str {
    let start = format!("export {}: ", call.as_str());
    let line = WORLDS.lines().map(str::trim).find(|line| line.starts_with(&start));
    line.map_or("see wit/worlds.wit", |line| line.trim_end_matches(';'))
}

impl Plugin {
    pub(crate) fn load(engines: Arc<Engines>, spec: PluginSpec, code: &CompiledCode) -> Result<Self, LoadError> {
        let loaded = Loaded::link(engines, spec, code)?;
        loaded.check_signatures()?;
        Ok(Self(Arc::new(loaded)))
    }

    /// What it was loaded with.
    #[must_use]
    pub fn spec(&self) -> &PluginSpec {
        &self.0.spec
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.0
    }

    /// Has a connector judge the syntax of an input. It has no network meanwhile.
    pub async fn receive(&self, context: &CallContext, input: &Inbound) -> Crossed<Result<Received, Failure>> {
        let keeps = |received: &Received| {
            self.makes(&received.documents)?;
            Ok(parts_are_of(received, &input.body)?)
        };
        governed::<_, wit_documents::Received, _>(&self.0, Call::Receive, context, input, keeps).await
    }

    /// Has a connector cause an effect. The caller holds a permit, and the attempt
    /// is on record. After a failure that is not the plugin's own word, the effect
    /// may have happened: [`Crossing::requests`](crate::Crossing::requests) tells
    /// whether anything was sent.
    pub async fn deliver(&self, context: &CallContext, delivery: &Delivery) -> Crossed<Result<Receipt, Failure>> {
        if let Err(failure) = Declared::handles("delivers", &self.0.spec.declared.delivers, &delivery.message.kind) {
            return unstarted(&self.0, Call::Deliver, failure);
        }
        governed::<_, wit_documents::Receipt, _>(&self.0, Call::Deliver, context, delivery, anything).await
    }

    /// Has a connector look an effect up; none means that it did not happen.
    pub async fn find(&self, context: &CallContext, query: &FindQuery) -> Crossed<Result<Option<Receipt>, Failure>> {
        governed::<_, Option<wit_documents::Receipt>, _>(&self.0, Call::Find, context, query, anything).await
    }

    /// Has a connector fetch what is new. The caller sees to it that there is one
    /// poll at a time.
    pub async fn poll(&self, context: &CallContext, request: &PollRequest) -> Crossed<Result<Polled, Failure>> {
        let kinds = |polled: &Polled| self.makes(&polled.documents);
        governed::<_, wit_documents::Polled, _>(&self.0, Call::Poll, context, request, kinds).await
    }

    /// Has a connector test its target.
    pub async fn check(&self, context: &CallContext, request: &CheckRequest) -> Crossed<Result<CheckReport, Failure>> {
        governed::<_, wit_documents::CheckReport, _>(&self.0, Call::Check, context, request, anything).await
    }

    /// Has a transformer read a document.
    pub async fn to_canonical(
        &self,
        context: &CallContext,
        request: &MappingRequest,
    ) -> Crossed<Result<Vec<Event>, Failure>> {
        if let Err(failure) = Declared::handles("maps", &self.0.spec.declared.maps, &request.kind) {
            return unstarted(&self.0, Call::ToCanonical, failure);
        }
        governed::<_, Vec<wit_events::Event>, _>(&self.0, Call::ToCanonical, context, request, anything).await
    }

    /// Has a transformer write a message.
    pub async fn from_canonical(
        &self,
        context: &CallContext,
        request: &RenderingRequest,
    ) -> Crossed<Result<Message, Failure>> {
        let kind = |message: &Message| Declared::handles("renders", &self.0.spec.declared.renders, &message.kind);
        governed::<_, wit_documents::Message, _>(&self.0, Call::FromCanonical, context, request, kind).await
    }

    /// Has a scorer assess an order. What it returns is advice.
    pub async fn score(&self, context: &CallContext, request: &ScoringRequest) -> Crossed<Result<Assessment, Failure>> {
        governed::<_, wit_advice::Assessment, _>(&self.0, Call::Score, context, request, anything).await
    }

    /// Whether a connector may make documents of these kinds.
    fn makes(&self, documents: &[Document]) -> Result<(), CallFailure> {
        let declared = &self.0.spec.declared.receives;
        documents.iter().try_for_each(|document| Declared::handles("receives", declared, &document.kind))
    }
}

/// The manifest says nothing about what such a call returns.
fn anything<T>(_: &T) -> Result<(), CallFailure> {
    Ok(())
}

/// The functions of a kind's world.
fn world(kind: PluginKind) -> &'static [Call] {
    match kind {
        PluginKind::Connector => &[Call::Receive, Call::Deliver, Call::Find, Call::Poll, Call::Check],
        PluginKind::Transformer => &[Call::ToCanonical, Call::FromCanonical],
        PluginKind::Scorer => &[Call::Score],
    }
}

fn find_exports(
    spec: &PluginSpec,
    component: &Component,
) -> Result<BTreeMap<&'static str, ComponentExportIndex>, LoadError> {
    let mut exports = BTreeMap::new();
    for call in world(spec.kind) {
        let index = component.get_export_index(None, call.as_str()).ok_or_else(|| missing(spec, *call))?;
        exports.insert(call.as_str(), index);
    }
    Ok(exports)
}

/// A list of requests in, as many results out: the shape of every export.
fn typecheck<M, R>(function: &ComponentFunc, types: &InstanceType<'_>) -> wasmtime::Result<()>
where
    M: ToGuest + 'static,
    M::Guest<'static>: ComponentType + Lower,
    R: ComponentType + Lift + 'static,
{
    function.typecheck::<(&[M::Guest<'static>],), Results<R>>(types)
}

/// Refuses an import that the kind may not have, or the manifest does not declare.
///
/// # Errors
/// [`LoadError::RefusedImport`].
pub fn check_import(spec: &PluginSpec, import: &str) -> Result<(), LoadError> {
    judge_import(spec.kind, &spec.declared, import).map_err(|why| LoadError::RefusedImport {
        plugin: spec.name.clone(),
        import: import.chars().take(128).collect(),
        why,
    })
}

fn judge_import(kind: PluginKind, declared: &Declared, import: &str) -> Result<(), String> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    if interface.starts_with("portreeve:plugin/") && version != "0.1.0" {
        return Err(format!("of another version of the contract; this host speaks {CONTRACT}"));
    }

    let connector = kind == PluginKind::Connector;
    let (allowed_for_kind, is_declared, key) = match interface {
        // Types only; there is nothing behind them.
        "portreeve:plugin/values"
        | "portreeve:plugin/events"
        | "portreeve:plugin/advice"
        | "portreeve:plugin/documents" => {
            return Ok(());
        }
        "portreeve:plugin/log" => (true, declared.log, "log"),
        "portreeve:plugin/lookup" => (true, !declared.lookup.is_empty(), "lookup"),
        "portreeve:plugin/numbers" => (connector, !declared.numbers.is_empty(), "numbers"),
        "portreeve:plugin/artifact" => (!connector, !declared.artifacts.is_empty(), "artifact"),
        "portreeve:plugin/kv" => (connector, declared.kv, "kv"),
        "wasi:http/outgoing-handler" | "wasi:http/types" if version.starts_with("0.2.") => {
            (connector, !declared.http.is_empty(), "http")
        }
        // Nothing is behind them, so nobody has to ask.
        _ if wasi::interface(import).is_some() => return Ok(()),
        _ => return Err("which no plugin gets; build without it".to_owned()),
    };
    if !allowed_for_kind {
        return Err(format!("which a {kind} may not have; that would need another kind of plugin"));
    }
    if !is_declared {
        return Err(format!(
            "which it may not use; declare `{key}` in the manifest under `[imports]` and have it granted"
        ));
    }
    Ok(())
}

/// Links what is declared, the WASI that has nothing behind it, and nothing else.
fn link(spec: &PluginSpec, component: &Component) -> wasmtime::Result<Linker<Border>> {
    let declared = &spec.declared;
    let mut linker = Linker::new(component.engine());
    if declared.log {
        bindings::log::add_to_linker::<Border, HasSelf<Border>>(&mut linker, |border| border)?;
    }
    if !declared.lookup.is_empty() {
        bindings::lookup::add_to_linker::<Border, HasSelf<Border>>(&mut linker, |border| border)?;
    }
    if !declared.numbers.is_empty() {
        bindings::numbers::add_to_linker::<Border, HasSelf<Border>>(&mut linker, |border| border)?;
    }
    if !declared.artifacts.is_empty() {
        bindings::artifact::add_to_linker::<Border, HasSelf<Border>>(&mut linker, |border| border)?;
    }
    if declared.kv {
        bindings::kv::add_to_linker::<Border, HasSelf<Border>>(&mut linker, |border| border)?;
    }
    if !declared.http.is_empty() {
        wasmtime_wasi_io::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        request::bound_setters(&mut linker)?;
    }
    wasi::link(&mut linker, spec, component)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Declared {
        Declared {
            log: true,
            lookup: vec!["customer".into()],
            numbers: vec!["x12".into()],
            artifacts: vec![Digest::of(b"model")],
            kv: true,
            http: vec!["GET".into()],
            ..Declared::default()
        }
    }

    #[test]
    fn a_scorer_gets_no_network_no_state_and_no_numbers_whatever_it_declares() {
        for import in [
            "portreeve:plugin/kv@0.1.0",
            "portreeve:plugin/numbers@0.1.0",
            "wasi:http/outgoing-handler@0.2.12",
            "wasi:http/types@0.2.12",
        ] {
            let why = judge_import(PluginKind::Scorer, &everything(), import).err().unwrap_or_default();
            assert!(why.contains("a scorer may not have"), "{import}: {why}");
        }
    }

    #[test]
    fn an_import_that_is_not_declared_is_refused_with_what_would_allow_it() {
        let why = judge_import(PluginKind::Connector, &Declared::default(), "wasi:http/types@0.2.12").err();
        assert!(why.unwrap_or_default().contains("declare `http`"));
        assert_eq!(judge_import(PluginKind::Connector, &everything(), "wasi:http/types@0.2.4"), Ok(()));
    }

    #[test]
    fn every_export_is_shown_as_the_contract_writes_it() {
        for kind in [PluginKind::Connector, PluginKind::Transformer, PluginKind::Scorer] {
            for call in world(kind) {
                assert!(signature_of(*call).contains(": func("), "{call}");
            }
        }
        assert!(signature_of(Call::Score).ends_with("-> list<result<assessment, failure>>"));
    }

    #[test]
    fn other_interfaces_and_other_versions_are_refused() {
        for import in [
            "wasi:keyvalue/store@0.2.0",
            "wasi:cli/run@0.2.6",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment",
            "wasi:http/types@0.3.0",
            "wasi:http/incoming-handler@0.2.6",
            "env",
            "portreeve:plugin/log@0.2.0",
        ] {
            assert!(judge_import(PluginKind::Connector, &everything(), import).is_err(), "{import}");
        }
        for import in ["portreeve:plugin/advice@0.1.0", "wasi:cli/environment@0.2.0", "wasi:sockets/tcp@0.2.12"] {
            assert_eq!(judge_import(PluginKind::Scorer, &Declared::default(), import), Ok(()), "{import}");
        }
    }
}
