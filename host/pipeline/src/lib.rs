//! The road of an event: three stories, each one function.
//!
//! ```text
//! accept   sender ─▶ authenticate ─▶ receive ─▶ journal ─▶ reply
//! decide   journal ─▶ to-canonical ─▶ validate ─▶ score ─▶ decide ─▶ commit
//! deliver  outbox ─claim─▶ Permit ─▶ from-canonical ─▶ deliver ─▶ commit
//! ```
//!
//! Each stage takes what the last one returned and nobody else can make:
//! [`Sender`] and [`SignedIn`] come from authentication, [`portreeve_store::Journaled`] and
//! [`portreeve_store::Permit`] from the store. Plugins are called through the
//! sandbox only; what a score may cause is asked of authority only.
//!
//! What is absent on purpose: no stage order in configuration, no callback from
//! a plugin into a stage, no effect outside `deliver`, no clock but [`Clock`].

pub mod route;

pub mod settings;

pub mod feed;

pub mod plugins;

pub mod sender;

pub mod accept;

pub mod decide;

pub mod deliver;

pub mod decision;

pub mod process;

pub mod rederive;

pub mod reconcile;

pub mod metrics;

pub mod reply;

pub mod preview;

pub mod poll;

mod challenge;

mod capability;

pub mod egress;

pub mod tables;

mod history;

mod leaf;

mod told;

mod correction;

mod on_record;

mod own_word;

pub mod numbers;

pub mod retention;

pub mod usage;

pub mod oversight;

pub mod measure;

pub mod review;

pub mod exception;

pub mod notice;

pub mod replay;

pub mod waiting;

pub mod people;

mod parallel;

mod passing;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portreeve_authority::Authority;
use portreeve_authority::people::People;
use portreeve_authority::rules::Rules;
use portreeve_model::{Digest, Instant, PluginKind, PluginName};
use portreeve_registry::Quarantine;
use portreeve_store::Store;

pub use accept::{AcceptError, Accepted};
pub use decide::{DecideError, Decisions, Pseudonyms, SetAside};
pub use deliver::{DeliverError, Deliveries};
pub use egress::{Origin, Outbound};
pub use feed::Subscriber;
pub use metrics::Metrics;
pub use notice::Notices;
pub use numbers::NumberRanges;
pub use people::{Accounts, SignedIn};
pub use plugins::{Active, Plugins, Slot, Stopped, Why};
pub use poll::{Poll, Subscription};
pub use reconcile::Reconciliation;
pub use route::{Channel, Due, Effect, Interchanges, OrdersBy, Refunds, Routes, Target};
pub use sender::{Credential, LocalRefused, Sender, SenderRefused, Senders};
pub use tables::TableCache;

/// The host's clock. Windows, leases and expiry use it; a guest sees the
/// journaled time of receipt instead.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Instant;

    /// How long a claim lasts, milliseconds by this clock: longer than anything that
    /// is claimed may be under way.
    fn lease_ms(&self) -> i64 {
        deliver::LEASE_MS
    }

    /// Lets so many milliseconds pass.
    fn pass(&self, ms: u32) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(Duration::from_millis(u64::from(ms))))
    }
}

/// Everything that the road is made of.
pub struct Pipeline {
    /// The host's name in audit records.
    pub host: String,
    /// The origin of its log, which no other installation has.
    pub origin: String,
    /// Durability.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Channels, scorers and targets.
    pub routes: Routes,
    /// Who may send on which channel.
    pub senders: Senders,
    /// Plugins by name, of the active configuration.
    pub plugins: Plugins,
    /// Components that failed again and again.
    pub quarantine: Quarantine,
    /// Whose work they are; none where it is whose channel or target they failed for.
    pub plugin_queue: Option<String>,
    /// Compatibility hashes of the engines, for records.
    pub engines: BTreeMap<PluginKind, Digest>,
    /// What advice may cause, and what scorers see.
    pub authority: Authority,
    /// How what they do not see is masked.
    pub pseudonyms: Pseudonyms,
    /// The host's own rules.
    pub rules: Rules,
    /// What orders go through.
    pub process: process::Process,
    /// What people may do.
    pub people: People,
    /// How they prove who they are.
    pub accounts: Accounts,
    /// Orders that are mapped and scored side by side, at least 1.
    pub workers: usize,
    /// Control and document numbers.
    pub numbers: Arc<NumberRanges>,
    /// What monitors read.
    pub metrics: Metrics,
    /// Documents that the host failed on.
    pub set_aside: SetAside,
    /// What is written about pauses of plugins, one after the other.
    pub pause_records: exception::PauseRecords,
    /// What metrics saw last of models and people.
    pub recent_oversight: oversight::RecentOversight,
    /// What metrics saw last of measures.
    pub recent_measures: measure::RecentMeasures,
    /// Reference tables that were read before.
    pub tables: TableCache,
    /// Every way out.
    pub outbound: Arc<Outbound>,
    /// Who hears of what waits for a person.
    pub notices: Notices,
    /// Subscribers that want to hear no more.
    pub gone: deliver::Gone,
    /// The reconciliation that runs.
    pub reconciling: reconcile::Reconciling,
}

/// The configuration names a plugin that is not installed: found at start, by
/// [`Pipeline::check`].
#[derive(Debug, thiserror::Error)]
#[error("{user} uses plugin `{plugin}`, which is not installed as a {kind}; add a [[plugin]] with that name")]
pub struct MissingPlugin {
    /// The route that uses it.
    user: String,
    /// The plugin.
    plugin: PluginName,
    /// What it has to be.
    kind: PluginKind,
}

impl Pipeline {
    /// Checks that every plugin that a route uses is there and of the right kind.
    ///
    /// # Errors
    /// Every one that is not.
    pub fn check(&self) -> Result<(), Vec<MissingPlugin>> {
        let active = self.plugins.now();
        let fits = |plugin: &PluginName, kind: PluginKind| match active.plugins.get(plugin) {
            None => false,
            // It was the right one when it was activated, and is not called.
            Some(Slot::Stopped { .. }) => true,
            Some(Slot::Ready(installed)) => installed.manifest.plugin.kind == kind,
        };
        let missing: Vec<MissingPlugin> = self
            .routes
            .plugins()
            .into_iter()
            .filter(|(_, plugin, kind)| !fits(plugin, *kind))
            .map(|(user, plugin, kind)| MissingPlugin { user, plugin, kind })
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }
}
