//! The plugins that routes call: which component each is, whether it may be called now, and
//! how another one takes its place.
//!
//! ```text
//! Plugins ──now()──▶ Active (one version of the configuration) ──▶ a batch, an input, a delivery
//!    ▲                                                             keeps it to its end
//!    └── put(): the next version, whole
//! ```
//!
//! Whoever begins something takes what is active then and keeps it: an order that is
//! scored by one component is weighed as advice of that component, and its record names
//! that version. So a swap waits for nobody, and what is under way ends on what it began with.
//! But whom an operator stops, one plugin or all, is not called any more from the next call on,
//! also in the middle of a batch.
//!
//! A plugin that may not be called has one of five reasons, each with a word of its own
//! ([`Why`]). Whoever meets one decides what becomes of its event, as the route says
//! ([`crate::route::WhenStopped`]); nobody pretends that a call was made. A plugin in
//! quarantine may be called all the same for another sender or target: so whoever asks
//! says which export it is to call and whose call it is ([`Cause`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use portreeve_model::{Digest, ExceptionKind, Failure, Instant, PluginName};
use portreeve_record::leaf::{CauseRecord, Code, Label, PackageLeaf, PackageStep};
use portreeve_record::{Leaf, LeafBody};
use portreeve_registry::Installed;
use portreeve_registry::quarantine::{Cause, Paused, Scope, Turn, calls_of};
use portreeve_sandbox::{Artifacts, Call, CallContext, CallFailure, Crossed, TimeLimit};
use portreeve_store::contract::{NewException, NewPause, PackageChange};

use crate::Pipeline;
use crate::exception::Limits;
use crate::passing::fueled;

/// When something that a plugin is missing for is looked at again, where nobody knows
/// when it will be there: an operator has to do something.
const ASK_AGAIN_MS: i64 = Instant::MINUTE_MS;

/// The plugins of one version of the configuration.
#[derive(Clone)]
pub struct Active {
    /// The version.
    pub configuration: u64,
    /// What each plugin is.
    pub plugins: BTreeMap<PluginName, Slot>,
    /// The model files that they declare. They come and go with the components: what is
    /// under way reads those that it began with.
    pub models: Arc<dyn Artifacts>,
}

/// What a plugin is in one version of the configuration.
#[derive(Clone)]
pub enum Slot {
    /// It can be called.
    Ready(Arc<Installed>),
    /// It is configured and not called.
    Stopped {
        /// Its component.
        component: Digest,
        /// Why.
        why: Why,
    },
}

impl Slot {
    /// The plugin that can be called.
    #[must_use]
    pub fn installed(&self) -> Option<&Arc<Installed>> {
        match self {
            Self::Ready(installed) => Some(installed),
            Self::Stopped { .. } => None,
        }
    }
}

/// Why a plugin is not called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its publisher's word counts no more.
    NotTrusted,
    /// Its component cannot be read, or is not the one that the configuration names.
    Unreadable,
    /// An operator disabled it.
    Disabled,
    /// An operator stopped all plugins.
    Halted,
    /// It failed again and again.
    Quarantined {
        /// When it is tried again.
        until: Instant,
        /// In which export and for whom; none where it is not called at all.
        of: Option<String>,
    },
}

impl Why {
    fn paused(paused: Paused, call: Call, cause: Cause<'_>) -> Self {
        let of = (paused.scope == Scope::Cause).then(|| calls_of(call, cause));
        Self::Quarantined { until: paused.until, of }
    }

    /// A stable word, for records, exceptions and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotTrusted => "not-trusted",
            Self::Unreadable => "unreadable",
            Self::Disabled => "disabled",
            Self::Halted => "halted",
            Self::Quarantined { .. } => "quarantined",
        }
    }
}

/// A plugin that is not called now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{plugin}` is not called: {}", sentence(.why))]
pub struct Stopped {
    /// Which.
    pub plugin: PluginName,
    /// Its component.
    pub component: Digest,
    /// Why.
    pub why: Why,
}

fn sentence(why: &Why) -> String {
    match why {
        Why::NotTrusted => {
            "the keys that signed it were revoked; activate a package that somebody signed whom trust.toml names"
                .to_owned()
        }
        Why::Unreadable => {
            "its component in the data folder is missing or damaged; install the same package again and activate it, or roll back"
                .to_owned()
        }
        Why::Disabled => "an operator disabled it; `portreeve plugin activate` lets it be called again".to_owned(),
        Why::Halted => "an operator stopped all plugins; `portreeve plugin resume` ends that".to_owned(),
        Why::Quarantined { until, of: Some(of) } => format!(
            "it failed again and again in {of} and is tried again there at {until}; for others it is called as before, see its exceptions"
        ),
        Why::Quarantined { until, of: None } => format!(
            "it failed again and again and is tried again at {until}; see its exceptions, and roll it back if it is a new version"
        ),
    }
}

impl Stopped {
    /// A stable word.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.why.code()
    }

    /// When to look again.
    #[must_use]
    pub fn ask_at(&self, now: Instant) -> Instant {
        match self.why {
            Why::Quarantined { until, .. } => until.max(now.plus_ms(1)),
            Why::NotTrusted | Why::Unreadable | Why::Disabled | Why::Halted => now.plus_ms(ASK_AGAIN_MS),
        }
    }
}

/// A plugin that a route names and that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The configuration has no such plugin.
    NotInstalled,
    /// It has one.
    Stopped(Stopped),
}

impl From<Stopped> for Absent {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl Active {
    /// The plugins that can be called.
    pub fn ready(&self) -> impl Iterator<Item = (&PluginName, &Arc<Installed>)> {
        self.plugins.iter().filter_map(|(name, slot)| Some((name, slot.installed()?)))
    }

    /// A plugin that can be called, whatever else keeps calls from it.
    #[must_use]
    pub fn installed(&self, name: &PluginName) -> Option<&Arc<Installed>> {
        self.plugins.get(name)?.installed()
    }

    /// A call's surroundings with nothing allowed but the model files that its plugin
    /// declares; stages add what else the call may use.
    pub(crate) fn context(&self, received_at: Instant) -> CallContext {
        let mut context = CallContext::with_nothing(received_at);
        context.artifacts = Arc::clone(&self.models);
        context
    }
}

/// What is active, and what takes its place.
pub struct Plugins {
    active: RwLock<Arc<Active>>,
    /// Whether an operator stopped all of them, whatever each of them is.
    halted: AtomicBool,
}

impl Plugins {
    /// These.
    #[must_use]
    pub fn new(active: Active) -> Self {
        Self { active: RwLock::new(Arc::new(active)), halted: AtomicBool::new(false) }
    }

    /// What is active now. Keep it to the end of what begins with it.
    #[must_use]
    pub fn now(&self) -> Arc<Active> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stops all plugins from the next call on. It waits for nothing and cannot fail.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
    }

    /// Ends a halt.
    pub fn resume(&self) {
        self.halted.store(false, Ordering::SeqCst);
    }

    /// Whether all plugins are stopped.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::SeqCst)
    }

    /// Why nobody may call a plugin any more, whatever began with it.
    fn stopped(&self, name: &PluginName) -> Option<Why> {
        if self.is_halted() {
            return Some(Why::Halted);
        }
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        match active.plugins.get(name) {
            Some(Slot::Stopped { why, .. }) => Some(why.clone()),
            Some(Slot::Ready(_)) | None => None,
        }
    }

    /// Puts the next version in the place of the last one, in one step.
    pub fn put(&self, active: Active) {
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(active);
    }
}

impl Pipeline {
    /// A plugin of which this call may be made now. Between asking and calling it may come
    /// into quarantine, so the call says so, too.
    pub(crate) fn plugin<'a>(
        &self,
        active: &'a Active,
        name: &PluginName,
        call: Call,
        cause: Cause<'_>,
    ) -> Result<&'a Arc<Installed>, Absent> {
        let stopped = |component, why| Absent::Stopped(Stopped { plugin: name.clone(), component, why });
        match active.plugins.get(name) {
            None => Err(Absent::NotInstalled),
            Some(Slot::Stopped { component, why }) => {
                self.metrics.not_called(name, why.code());
                Err(stopped(*component, why.clone()))
            }
            Some(Slot::Ready(installed)) => {
                let now = || self.clock.now();
                let why = if let Some(why) = self.plugins.stopped(name) {
                    why
                } else if installed.trusted.ended_by(now) {
                    Why::NotTrusted
                } else if let Some(paused) = self.quarantine.paused_for(installed.digest, call, cause, now) {
                    Why::paused(paused, call, cause)
                } else {
                    return Ok(installed);
                };
                self.metrics.not_called(name, why.code());
                Err(stopped(installed.digest, why))
            }
        }
    }

    /// Makes a call of a plugin: counted, and where it failed counted against the plugin, as
    /// far as this cause's calls of it go.
    ///
    /// # Errors
    /// [`Stopped`] when it may not be called now; then nothing of the call happened.
    pub(crate) async fn call<T>(
        &self,
        installed: &Installed,
        call: Call,
        cause: Cause<'_>,
        ends: impl Future<Output = Crossed<Result<T, Failure>>>,
    ) -> Result<Crossed<Result<T, Failure>>, Stopped> {
        let plugin = &installed.manifest.plugin.name;
        let stopped = |why: Why| {
            self.metrics.not_called(plugin, why.code());
            Stopped { plugin: plugin.clone(), component: installed.digest, why }
        };
        if let Some(why) = self.plugins.stopped(plugin) {
            return Err(stopped(why));
        }
        let pass = self.quarantine.pass(installed.digest, call, cause, || self.clock.now());
        let pass = pass.map_err(|paused| stopped(Why::paused(paused, call, cause)))?;
        let crossed = self.metrics.called(ends.await);
        let Some(failed) = counts(&crossed) else { return Ok(crossed) };
        if let Some(turn) = pass.ended(failed, || self.clock.now()) {
            let failure = crossed.outcome.as_ref().err().map(|error| error.failure.code());
            self.turned(plugin, installed.digest, turn, (call, cause), failure.unwrap_or("none")).await;
        }
        Ok(crossed)
    }

    /// Puts on record that a component, or its calls for this cause, are in quarantine or
    /// made again, and has a person hear of the one and of the other no more.
    async fn turned(
        &self,
        plugin: &PluginName,
        component: Digest,
        turn: Turn,
        (call, cause): (Call, Cause<'_>),
        failure: &str,
    ) {
        let (step, scope) = match turn {
            Turn::Quarantined { until, scope: Scope::Component } => {
                tracing::error!(%plugin, %component, %until, "the plugin failed again and again; it is in quarantine");
                (PackageStep::Quarantined, Scope::Component)
            }
            Turn::Quarantined { until, scope: Scope::Cause } => {
                tracing::error!(%plugin, %component, %call, %cause, %until, "the plugin failed again and again for one cause; it is in quarantine for that");
                (PackageStep::Quarantined, Scope::Cause)
            }
            Turn::Restored { scope: Scope::Component } => {
                tracing::info!(%plugin, %component, "the plugin does not fail any more; it is called as before");
                (PackageStep::Restored, Scope::Component)
            }
            Turn::Restored { scope: Scope::Cause } => {
                tracing::info!(%plugin, %component, %call, %cause, "the plugin does not fail any more; it is called as before");
                (PackageStep::Restored, Scope::Cause)
            }
        };
        self.metrics.turned(plugin, step, scope, self.quarantine.causes_paused(component));
        let of = (scope == Scope::Cause).then(|| calls_of(call, cause));
        let _one = self.pause_records.one().await;
        let now = self.clock.now();
        // What stands now decides what people hear: others may have been faster with the next turn.
        let is_paused = self.is_paused(plugin, component, of.as_deref());
        let change = match turn {
            Turn::Quarantined { until, .. } if is_paused => {
                self.paused(plugin, component, of, (failure, until), cause).map_or(PackageChange::Note, |pause| {
                    let exception = self.dated(pause.exception, now, Limits::default());
                    PackageChange::Paused(Box::new(NewPause { exception, ..pause }))
                })
            }
            Turn::Restored { .. } if !is_paused => {
                PackageChange::Restored { plugin: plugin.clone(), component, cause: of }
            }
            Turn::Quarantined { .. } | Turn::Restored { .. } => PackageChange::Note,
        };
        let cause = if scope == Scope::Cause { on_record(call, cause) } else { None };
        let body = PackageLeaf { cause, ..PackageLeaf::of(plugin.clone(), component, step) };
        let noted = match Leaf::new(&self.host, now, LeafBody::Package(body)) {
            Ok(leaf) => self.store.change_packages(change, now, vec![leaf]).await.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        // To stop calling needs nobody's leave, and calling again is what everybody
        // believes anyway: neither waits for a record that could not be written.
        if let Err(error) = noted {
            tracing::error!(%plugin, step = step.as_str(), %error, "a turn of the quarantine is not on record");
        }
    }
}

impl Pipeline {
    /// What waits for a person while a plugin is not called.
    fn paused(
        &self,
        plugin: &PluginName,
        component: Digest,
        of: Option<String>,
        (failure, until): (&str, Instant),
        cause: Cause<'_>,
    ) -> Option<NewPause> {
        let queue = self.plugin_queue.clone().or_else(|| self.queue_of(cause))?;
        let detail = match &of {
            Some(of) => format!("plugin `{plugin}` failed again and again in {of} and is not called there for a while"),
            None => {
                format!("plugin `{plugin}` failed again and again, whoever called it, and is not called for a while")
            }
        };
        let exception = NewException {
            kind: ExceptionKind::Plugin,
            stage: "plugin",
            code: "plugin-quarantined".to_owned(),
            detail,
            queue,
            due_at: None,
        };
        Some(NewPause { plugin: plugin.clone(), component, cause: of, failure: failure.to_owned(), until, exception })
    }

    /// Whose work it is what a cause's calls leave behind.
    fn queue_of(&self, cause: Cause<'_>) -> Option<String> {
        match cause {
            Cause::Sender { channel, .. } | Cause::Looking { channel, .. } => {
                Some(self.routes.channel(channel)?.exception_queue.clone())
            }
            Cause::Target(target) => Some(self.routes.target(target)?.exception_queue.clone()),
        }
    }
}

/// Whose calls a turn is about, as the record names them. Who only looks turns nothing.
fn on_record(call: Call, cause: Cause<'_>) -> Option<CauseRecord> {
    let call = Code::of(call.as_str());
    match cause {
        Cause::Sender { channel, sender } => {
            Some(CauseRecord::Sender { call, channel: channel.clone(), sender: Label::of(sender.as_str()) })
        }
        Cause::Target(target) => Some(CauseRecord::Target { call, target: Code::of(target) }),
        Cause::Looking { .. } => None,
    }
}

/// Whether a call's end counts against its component; none where it says nothing about it.
fn counts<T>(crossed: &Crossed<Result<T, Failure>>) -> Option<bool> {
    let Err(error) = &crossed.outcome else {
        // What a plugin says in the contract's words is its work, not its failure.
        return Some(false);
    };
    match error.failure {
        CallFailure::Busy { .. } | CallFailure::TooOften { .. } => None,
        // Fuel is what stops these where they are at fault; a clock stops them where the
        // machine is busy.
        CallFailure::OutOfTime { limit: TimeLimit::Cpu | TimeLimit::Wall, .. } if fueled(error.call) => None,
        _ => crossed.crossing.ran.then_some(true),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_sandbox::{CallError, Crossing};

    use super::*;

    /// A call in which nothing crossed the border.
    pub(crate) fn uneventful(call: Call) -> Crossing {
        Crossing {
            plugin: PluginName::parse("some").unwrap(),
            digest: Digest::of(b"component"),
            call,
            ran: true,
            transcript: Digest::of(b""),
            host_calls: 0,
            fuel_used: None,
            cpu_us: None,
            wall_us: 0,
            lookups: Vec::new(),
            numbers: Vec::new(),
            kv_writes: Vec::new(),
            requests: Vec::new(),
            logs: Vec::new(),
            logs_dropped: 0,
        }
    }

    fn ended(call: Call, ran: bool, outcome: Result<Result<(), Failure>, CallFailure>) -> Option<bool> {
        let crossing = Crossing { ran, ..uneventful(call) };
        let plugin = crossing.plugin.clone();
        counts(&Crossed { outcome: outcome.map_err(|failure| CallError { plugin, call, failure }), crossing })
    }

    #[test]
    fn what_a_guest_did_counts_and_what_the_host_or_its_load_did_does_not() {
        let trap = || CallFailure::Trap { message: String::new() };
        let clock = |limit| CallFailure::OutOfTime { limit, allowed: 1, unit: "ms" };
        for call in [Call::Receive, Call::Deliver, Call::Find, Call::ToCanonical, Call::FromCanonical, Call::Score] {
            assert_eq!(ended(call, true, Ok(Ok(()))), Some(false));
            assert_eq!(ended(call, true, Ok(Err(Failure::Permanent(String::new())))), Some(false));
            assert_eq!(ended(call, true, Err(trap())), Some(true));
            assert_eq!(ended(call, false, Err(trap())), None, "no guest ran");
            assert_eq!(ended(call, false, Err(CallFailure::Busy { waited_ms: 1 })), None);
            assert_eq!(ended(call, false, Err(CallFailure::TooOften { allowed_per_second: 1 })), None);
            assert_eq!(ended(call, true, Err(clock(TimeLimit::Fuel))), Some(true));
            // Of a connector, clocks are what stops it; of the others, only a busy machine's.
            let expected = (!fueled(call)).then_some(true);
            for limit in [TimeLimit::Cpu, TimeLimit::Wall] {
                assert_eq!(ended(call, true, Err(clock(limit))), expected, "{call}, {limit}");
            }
        }
    }
}
