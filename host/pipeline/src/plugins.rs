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
//!
//! A plugin that may not be called has one of four reasons, each with a word of its own
//! ([`Why`]). Whoever meets one decides what becomes of its event, as the route says
//! ([`crate::route::WhenStopped`]); nobody pretends that a call was made.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use portreeve_model::{Digest, Failure, Instant, PluginName};
use portreeve_record::leaf::{Label, Listed, PackageLeaf, PackageStep};
use portreeve_record::{Leaf, LeafBody};
use portreeve_registry::Installed;
use portreeve_registry::quarantine::Turn;
use portreeve_sandbox::{Artifacts, CallContext, CallError, CallFailure, Crossed};
use portreeve_store::contract::PackageChange;

use crate::Pipeline;

/// When something that a plugin is missing for is looked at again, where nobody knows
/// when it will be there: an operator has to do something.
const ASK_AGAIN_MS: i64 = Instant::MINUTE_MS;

/// The plugins of one version of the configuration.
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
    /// It failed again and again.
    Quarantined {
        /// When it is tried again.
        until: Instant,
    },
}

impl Why {
    /// A stable word, for records, exceptions and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotTrusted => "not-trusted",
            Self::Unreadable => "unreadable",
            Self::Disabled => "disabled",
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
        Why::Quarantined { until } => format!(
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
            Why::Quarantined { until } => until.max(now.plus_ms(1)),
            Why::NotTrusted | Why::Unreadable | Why::Disabled => now.plus_ms(ASK_AGAIN_MS),
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
pub struct Plugins(RwLock<Arc<Active>>);

impl Plugins {
    /// These.
    #[must_use]
    pub fn new(active: Active) -> Self {
        Self(RwLock::new(Arc::new(active)))
    }

    /// What is active now. Keep it to the end of what begins with it.
    #[must_use]
    pub fn now(&self) -> Arc<Active> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts the next version in the place of the last one, in one step.
    pub fn put(&self, active: Active) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(active);
    }
}

impl Pipeline {
    /// A plugin that may be called now. Between asking and calling it may come into
    /// quarantine, so the call says so, too.
    pub(crate) fn plugin<'a>(&self, active: &'a Active, name: &PluginName) -> Result<&'a Arc<Installed>, Absent> {
        let stopped = |component, why| Absent::Stopped(Stopped { plugin: name.clone(), component, why });
        match active.plugins.get(name) {
            None => Err(Absent::NotInstalled),
            Some(Slot::Stopped { component, why }) => {
                self.metrics.not_called(name, why.code());
                Err(stopped(*component, why.clone()))
            }
            Some(Slot::Ready(installed)) => {
                let now = || self.clock.now();
                let why = if installed.trusted.ended_by(now) {
                    Why::NotTrusted
                } else if let Some(until) = self.quarantine.paused_until(installed.digest, now) {
                    Why::Quarantined { until }
                } else {
                    return Ok(installed);
                };
                self.metrics.not_called(name, why.code());
                Err(stopped(installed.digest, why))
            }
        }
    }

    /// Makes a call of a plugin: counted, and counted against it where it failed.
    ///
    /// # Errors
    /// [`Stopped`] when it may not be called now; then nothing of the call happened.
    pub(crate) async fn call<T>(
        &self,
        installed: &Installed,
        call: impl Future<Output = Crossed<Result<T, Failure>>>,
    ) -> Result<Crossed<Result<T, Failure>>, Stopped> {
        let plugin = &installed.manifest.plugin.name;
        let pass = self.quarantine.pass(installed.digest, || self.clock.now()).map_err(|paused| {
            let why = Why::Quarantined { until: paused.until };
            self.metrics.not_called(plugin, why.code());
            Stopped { plugin: plugin.clone(), component: installed.digest, why }
        })?;
        let crossed = self.metrics.called(call.await);
        // A call that got no sandbox says nothing about the plugin.
        let Some(failed) = counts(&crossed.outcome) else { return Ok(crossed) };
        if let Some(turn) = pass.ended(failed, || self.clock.now()) {
            self.turned(plugin, installed.digest, turn).await;
        }
        Ok(crossed)
    }

    /// Puts on record that a component is in quarantine, or called again.
    async fn turned(&self, plugin: &PluginName, component: Digest, turn: Turn) {
        let step = match turn {
            Turn::Quarantined { until } => {
                tracing::error!(%plugin, %component, %until, "the plugin failed again and again; it is in quarantine");
                PackageStep::Quarantined
            }
            Turn::Restored => {
                tracing::info!(%plugin, %component, "the plugin does not fail any more; it is called as before");
                PackageStep::Restored
            }
        };
        self.metrics.turned(plugin, step);
        let now = self.clock.now();
        let body = LeafBody::Package(PackageLeaf {
            plugin: plugin.clone(),
            component,
            step,
            configuration: None,
            signers: Listed::none(),
            who: None::<Label>,
        });
        let noted = match Leaf::new(&self.host, now, body) {
            Ok(leaf) => {
                self.store.change_packages(PackageChange::Note, now, vec![leaf]).await.map_err(|e| e.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        // To stop calling needs nobody's leave, and calling again is what everybody
        // believes anyway: neither waits for a record that could not be written.
        if let Err(error) = noted {
            tracing::error!(%plugin, step = step.as_str(), %error, "a turn of the quarantine is not on record");
        }
    }
}

/// Whether a call's end counts against its component; none where the guest never ran.
fn counts<T>(outcome: &Result<Result<T, Failure>, CallError>) -> Option<bool> {
    match outcome {
        // What a plugin says in the contract's words is its work, not its failure.
        Ok(_) => Some(false),
        Err(error) => match error.failure {
            CallFailure::Busy { .. } | CallFailure::TooOften { .. } => None,
            _ => Some(true),
        },
    }
}
