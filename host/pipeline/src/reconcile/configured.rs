//! What reconciliations there are: of what, between whom, and who works on what they find.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{ChannelId, Instant, PluginKind, PluginName};
use serde::{Deserialize, Serialize};

use super::own;
use super::row::Of;
use crate::egress::{CredentialEntry, Origin};
use crate::route::{Channel, OrdersBy, Routes, TargetTls, source_problems};

/// A month: who looks more rarely looks by command.
const EVERY_MINUTES_MAX: u32 = 31 * 24 * 60;

/// A week: what is under way for longer is what somebody should look at.
const SETTLE_MINUTES_MAX: u32 = 7 * 24 * 60;

/// How much further back both sides are asked than is judged, so that what happened there just before
/// and is heard of here just after is found: as long as something may be under way.
pub(super) const MARGIN_MS: i64 = 7 * Instant::DAY_MS;

/// The setting by which a connector hears from when on to list, RFC 3339. It is the host's.
pub(super) const LIST_SINCE: &str = "list-since";

/// A year: who looks back further has a question for the archive.
const WINDOW_DAYS_MAX: u32 = 366;

/// More than people work on in a week.
const EXCEPTIONS_MAX_MAX: u32 = 1_000;

/// Two systems that should say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconciliation {
    /// Its name.
    pub id: String,
    /// Of what.
    pub of: Of,
    /// The target whose orders are compared, where the host is one of the two. Of what happens it is
    /// the target that the host passes it on to: what is on its way there is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of what happens, the channels by which the host heard of it: what another system said is
    /// none of the two's. All, where nothing is said. Their `orders_by` says whose numbers the list
    /// names orders by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub channels: BTreeSet<ChannelId>,
    /// One of the two; where it is left out, it is what this host knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Source>,
    /// The other one.
    pub right: Source,
    /// Whose work differences are.
    pub exception_queue: String,
    /// How often a host that serves looks by itself; where nothing is said, only who asks for it.
    pub every_minutes: Option<u32>,
    /// What a system says that it changed within so many minutes before a run is not judged where
    /// it differs, since it may be on its way to the other one.
    #[serde(default = "settle_minutes_default")]
    pub settle_minutes: u32,
    /// How many days back a run looks; as far as there is something, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_days: Option<u32>,
    /// New exceptions of one run at most. What is beyond is told as one that says how many.
    #[serde(default = "exceptions_max_default")]
    pub exceptions_max: u32,
}

/// A system that is asked for a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What people call it.
    pub system: String,
    /// The connector whose `poll` lists.
    pub connector: PluginName,
    /// The transformer that reads what it lists.
    pub transformer: PluginName,
    /// Scheme, host and port that the connector may ask, nothing else, and that within what it
    /// was granted (`[[plugin.egress]]`).
    pub origin: Origin,
    /// Whom to trust there beside the machine's authorities, and as whom the host comes.
    #[serde(default)]
    pub tls: TargetTls,
    /// How the host proves itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialEntry>,
    /// Non-secret settings for connector and transformer.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

fn settle_minutes_default() -> u32 {
    60
}

fn exceptions_max_default() -> u32 {
    50
}

/// What people call the host where it is one of the two.
const THIS_HOST: &str = "this host";

impl Reconciliation {
    /// The systems that are asked, each with the name by which the way to it is known; no target
    /// has one.
    pub fn sources(&self) -> impl Iterator<Item = (String, &Source)> {
        let left = self.left.as_ref().map(|left| (self.way("left"), left));
        left.into_iter().chain([(self.way("right"), &self.right)])
    }

    /// By what the way to one of the two is known.
    pub(super) fn way(&self, side: &str) -> String {
        format!("reconciliation/{}/{side}", self.id)
    }

    /// What the left one is called.
    #[must_use]
    pub fn left_system(&self) -> &str {
        self.left.as_ref().map_or(THIS_HOST, |left| &left.system)
    }

    /// From when on a run that begins now looks; from the beginning, where nothing is declared.
    pub(super) fn since(&self, now: Instant) -> Option<Instant> {
        let days = i64::from(self.window_days?);
        Some(now.plus_ms(days.saturating_mul(Instant::DAY_MS).saturating_neg()))
    }

    /// What changed up to then is at rest in a run that begins now.
    pub(super) fn settled_by(&self, now: Instant) -> Instant {
        now.plus_ms(-i64::from(self.settle_minutes).saturating_mul(Instant::MINUTE_MS))
    }

    fn problems(&self) -> Vec<String> {
        let Self { id, right, every_minutes, settle_minutes, window_days, exceptions_max, .. } = self;
        let mut problems = Vec::new();
        if ChannelId::parse(id).is_err() {
            problems.push(format!(
                "`id` is `{}`; expected lower-case letters, digits and hyphens",
                id.chars().filter(|character| !character.is_control()).take(64).collect::<String>()
            ));
        }
        if every_minutes.is_some_and(|minutes| !(1..=EVERY_MINUTES_MAX).contains(&minutes)) {
            problems.push(format!(
                "`every_minutes` is out of bounds; expected 1 to {EVERY_MINUTES_MAX}, or none to look by command alone"
            ));
        }
        if *settle_minutes > SETTLE_MINUTES_MAX {
            problems.push(format!("`settle_minutes` is {settle_minutes}; expected {SETTLE_MINUTES_MAX} at most"));
        }
        if !(1..=EXCEPTIONS_MAX_MAX).contains(exceptions_max) {
            problems.push(format!("`exceptions_max` is {exceptions_max}; expected 1 to {EXCEPTIONS_MAX_MAX}"));
        }
        if window_days.is_some_and(|days| !(1..=WINDOW_DAYS_MAX).contains(&days)) {
            problems.push(format!("`window_days` is out of bounds; expected 1 to {WINDOW_DAYS_MAX}, or none"));
        }
        if self.left_system() == right.system {
            problems.push(format!(
                "both systems are called `{}`, and nobody could tell what each of them says; give each its own `system`",
                right.system
            ));
        }
        problems.extend(self.side_problems());
        for (_, source) in self.sources() {
            problems.extend(source.problems());
        }
        problems
    }

    /// Whether both sides can say what is compared.
    fn side_problems(&self) -> Option<String> {
        let Self { of, target, left, window_days, .. } = self;
        let of = of.as_str();
        let (is_stock, happens) = (self.of.is_stock(), self.of.happens());
        if happens && window_days.is_none() {
            return Some(format!(
                "`{of}` grows for ever, and only a time of it can be compared; name its `window_days`"
            ));
        }
        if !self.channels.is_empty() && (!happens || (left.is_some() && target.is_none())) {
            return Some(format!(
                "`channels` are those by which the host heard of what happened, and what it heard of `{of}` is not compared here; leave them out"
            ));
        }
        if self.sources().any(|(_, source)| source.settings.contains_key(LIST_SINCE)) {
            return Some(format!("setting `{LIST_SINCE}` is the host's to set; name `window_days` instead"));
        }
        match (left, target) {
            (None, _) if is_stock => {
                Some(format!("`{of}` is compared between `left` and `right`, since the host keeps none; name both"))
            }
            (None, None) if !happens => Some(format!(
                "it has no `left`, so it compares what the host knows of `{of}` at a target; name that as `target`"
            )),
            (Some(_), Some(_)) if !happens => Some(
                "it names a `target` and a `left`; a target is for what the host knows, so leave out one".to_owned(),
            ),
            _ if is_stock && window_days.is_some() => {
                Some(format!("`window_days` is for what happens, and `{of}` is as it is now; leave it out"))
            }
            _ => None,
        }
    }
}

/// Bytes of what a system is called: it stands in every sentence about it.
const SYSTEM_BYTES_MAX: usize = 32;

impl Source {
    fn problems(&self) -> Vec<String> {
        let system = &self.system;
        let mut problems = Vec::new();
        if !(1..=SYSTEM_BYTES_MAX).contains(&system.len()) || system.chars().any(char::is_control) {
            problems.push(format!(
                "a `system` has {} bytes; expected 1 to {SYSTEM_BYTES_MAX} without control characters",
                system.len()
            ));
        }
        let called = format!("`{system}`");
        problems.extend(source_problems(&called, &self.origin, self.credential.as_ref(), &self.tls));
        problems
    }
}

impl Routes {
    /// A reconciliation by name.
    #[must_use]
    pub fn reconciliation(&self, id: &str) -> Option<&Reconciliation> {
        self.reconciliations.iter().find(|reconciliation| reconciliation.id == id)
    }

    /// By whose names a list of this reconciliation names orders that does not have the host's ids: by
    /// those of the channels by which the host hears the same from that system. Two shops may have one
    /// number, so no other number says anything.
    pub(super) fn orders_by<'a>(
        &'a self,
        reconciliation: &'a Reconciliation,
        event: &'a str,
    ) -> impl Iterator<Item = &'a OrdersBy> {
        let named = &reconciliation.channels;
        let tells = move |channel: &&Channel| match named.is_empty() {
            true => channel.says.iter().any(|said| said == event),
            false => named.contains(&channel.id),
        };
        self.channels.iter().filter(tells).filter_map(|channel| channel.orders_by.as_ref())
    }

    /// Whether some channel says by whose names a list of this reconciliation names orders. One that says it of
    /// payments is enough, though nobody says anything of refunds: what stays open then stands in the list.
    pub(super) fn says_whose_orders(&self, reconciliation: &Reconciliation) -> bool {
        let kinds = own::kinds(reconciliation.of);
        kinds.iter().any(|kind| self.orders_by(reconciliation, kind.as_str()).next().is_some())
    }

    /// Plugins that reconciliations use, and what each has to be.
    pub(crate) fn reconciling_plugins(&self) -> impl Iterator<Item = (String, PluginName, PluginKind)> {
        self.reconciliations.iter().flat_map(|reconciliation| {
            let user = format!("reconciliation `{}`", reconciliation.id);
            reconciliation.sources().flat_map(move |(_, source)| {
                [
                    (user.clone(), source.connector.clone(), PluginKind::Connector),
                    (user.clone(), source.transformer.clone(), PluginKind::Transformer),
                ]
            })
        })
    }

    /// What is wrong with reconciliations.
    pub(crate) fn reconciliation_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, reconciliation) in self.reconciliations.iter().enumerate() {
            let id = &reconciliation.id;
            let named = |problem: String| format!("[[reconciliation]] `{}`: {problem}", id.escape_debug());
            problems.extend(reconciliation.problems().into_iter().map(named));
            if let Some(target) = reconciliation.target.as_ref().filter(|target| self.target(target).is_none()) {
                problems.push(named(format!("target `{target}` does not exist; add a [[target]] with that id")));
            }
            for channel in reconciliation.channels.iter().filter(|channel| self.channel(channel).is_none()) {
                problems.push(named(format!("channel `{channel}` does not exist; add a [[channel]] with that id")));
            }
            if self.reconciliations.iter().take(index).any(|earlier| earlier.id == *id) {
                problems.push(format!("[[reconciliation]] `{id}` is there twice; give each its own id"));
            }
        }
        problems
    }
}
