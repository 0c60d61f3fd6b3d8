//! What reconciliations there are: of what, between whom, and who works on what they find.

use std::collections::BTreeMap;

use portreeve_model::{ChannelId, Instant, PluginKind, PluginName};
use serde::{Deserialize, Serialize};

use super::row::Of;
use crate::egress::{CredentialEntry, Origin};
use crate::route::{Routes, TargetTls, source_problems};

/// A month: who looks more rarely looks by command.
const EVERY_MINUTES_MAX: u32 = 31 * 24 * 60;

/// A week: what is under way for longer is what somebody should look at.
const SETTLE_MINUTES_MAX: u32 = 7 * 24 * 60;

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
    /// One of the two.
    pub left: Source,
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

impl Reconciliation {
    /// Its two sources, each with the name by which the way to it is known; no target has one.
    #[must_use]
    pub fn sources(&self) -> [(String, &Source); 2] {
        [("left", &self.left), ("right", &self.right)]
            .map(|(side, source)| (format!("reconciliation/{}/{side}", self.id), source))
    }

    /// What changed up to then is at rest in a run that begins now.
    pub(super) fn settled_by(&self, now: Instant) -> Instant {
        now.plus_ms(-i64::from(self.settle_minutes).saturating_mul(Instant::MINUTE_MS))
    }

    fn problems(&self) -> Vec<String> {
        let Self { id, left, right, every_minutes, settle_minutes, exceptions_max, .. } = self;
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
        if left.system == right.system {
            problems.push(format!(
                "both systems are called `{}`, and nobody could tell what each of them says; give each its own `system`",
                left.system
            ));
        }
        for source in [left, right] {
            problems.extend(source.problems());
        }
        problems
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

    /// Plugins that reconciliations use, and what each has to be.
    pub(crate) fn reconciling_plugins(&self) -> impl Iterator<Item = (String, PluginName, PluginKind)> {
        self.reconciliations.iter().flat_map(|reconciliation| {
            let user = format!("reconciliation `{}`", reconciliation.id);
            [&reconciliation.left, &reconciliation.right].into_iter().flat_map(move |source| {
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
            if self.reconciliations.iter().take(index).any(|earlier| earlier.id == *id) {
                problems.push(format!("[[reconciliation]] `{id}` is there twice; give each its own id"));
            }
        }
        problems
    }
}
