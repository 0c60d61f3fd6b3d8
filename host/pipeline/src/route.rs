//! Routes: which connector listens on a channel, which transformer reads its
//! documents, which scorers are asked, and where released orders go.
//!
//! The order of stages is not configurable; only who does the work of each is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portreeve_model::{ChannelId, PluginKind, PluginName};
use serde::{Deserialize, Serialize};

use crate::egress::{CredentialEntry, Origin};
use crate::process;

/// All routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// Where orders come in.
    #[serde(default, rename = "channel")]
    pub channels: Vec<Channel>,
    /// Where released orders go.
    #[serde(default, rename = "target")]
    pub targets: Vec<Target>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name, also the last part of its URL.
    pub id: ChannelId,
    /// The connector that receives.
    pub connector: PluginName,
    /// Kind of document to the transformer that reads it.
    pub documents: BTreeMap<String, PluginName>,
    /// Scorers, asked in this order.
    #[serde(default)]
    pub scorers: Vec<PluginName>,
    /// The target of released orders.
    pub target: String,
    /// The queue of failures on this channel.
    pub exception_queue: String,
    /// What happens to an order whose scorer failed.
    #[serde(default)]
    pub failed_scorer: FailedScorer,
    /// What becomes of what comes in while a plugin of the channel is not called (in
    /// quarantine, disabled, its publisher's key revoked). Where nothing is said, an input
    /// is kept for a person, since not every sender comes again, and documents wait.
    pub when_stopped: Option<WhenStopped>,
    /// Within how many minutes from its receipt the partner is to hear what becomes of an
    /// order: an exception about one is due by then, whatever its queue promises.
    #[serde(default)]
    pub acknowledge_minutes: Option<u32>,
    /// What its senders may say about orders of any channel: events such as
    /// `shipment.confirmed`, by which a warehouse or a finance system moves an order along.
    /// Nothing where it is not said: a customer's channel settles no payment.
    #[serde(default)]
    pub says: Vec<String>,
    /// Whether this channel is for trying things out, with a target that ships
    /// nothing. On any other one an order that its sender marks as a test is held.
    #[serde(default)]
    pub test: bool,
    /// Media types that this channel takes, for example `application/json`; empty
    /// means that only the bytes decide.
    #[serde(default)]
    pub content_types: Vec<String>,
    /// Whether the connector answers a challenge: a GET by which a sender's system
    /// finds out, before it has credentials, whether the address is the right one.
    #[serde(default)]
    pub challenges: bool,
    /// Non-secret settings for the connector and the transformers.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl Channel {
    /// The media type of a file that comes without one: the first that the channel takes.
    #[must_use]
    pub fn type_of_files(&self) -> Option<&str> {
        self.content_types.first().map(String::as_str)
    }

    /// Whether it takes inputs of this media type; parameters (`; charset=…`) say
    /// nothing about it.
    #[must_use]
    pub fn takes(&self, content_type: Option<&str>) -> bool {
        let essence = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        self.content_types.is_empty()
            || essence.is_some_and(|found| self.content_types.iter().any(|taken| taken.eq_ignore_ascii_case(found)))
    }
}

/// What happens to an order whose scorer failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedScorer {
    /// It waits for a person: the default.
    #[default]
    FailClosed,
    /// It goes on with the other scorers' advice; the failure is on record.
    FailOpen,
}

/// What becomes of an event while a plugin of its route is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenStopped {
    /// It waits: a sender is asked to come again, a document is decided and a delivery
    /// made when the plugin is called again.
    Wait,
    /// A person gets it at once.
    Exception,
}

/// What a given-up delivery means for later ones of its order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterDead {
    /// They wait until a person has decided: the default, for a change must not
    /// overtake what it changes.
    #[default]
    Block,
    /// They go on without it.
    Skip,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name.
    pub id: String,
    /// The connector that delivers.
    pub connector: PluginName,
    /// The transformer that writes the message.
    pub transformer: PluginName,
    /// The kind of message.
    pub kind: String,
    /// Scheme, host and port that the connector may talk to, nothing else, and that
    /// within what it was granted (`[[plugin.egress]]`).
    pub origin: Origin,
    /// Whom to trust there beside the machine's authorities, and as whom the host comes.
    #[serde(default)]
    pub tls: TargetTls,
    /// How the host proves itself.
    pub credential: Option<CredentialEntry>,
    /// The queue of failed deliveries.
    pub exception_queue: String,
    /// Whether `find` can be asked after an unknown outcome. A target without
    /// such a look-up gets an exception instead of a blind retry.
    pub find: bool,
    /// Attempts that may have done something (the call was cut, the answer got lost),
    /// though the target says that it has nothing, before a delivery is given up. One
    /// that surely did nothing is none of them: no connection, `retry`, no free
    /// sandbox; those end with the deadline.
    #[serde(default = "attempts_max_default")]
    pub attempts_max: u32,
    /// Milliseconds before the second attempt; doubles with every further one, up to
    /// an hour.
    #[serde(default = "backoff_ms_default")]
    pub backoff_ms: u32,
    /// Milliseconds after an unknown outcome before the target is asked about it.
    /// Longer than the target may take to finish what it was doing: an answer
    /// that comes too early says no, and the order is sent twice. Where the host
    /// ended during the call, they count from when the call would have been over.
    #[serde(default = "find_after_ms_default")]
    pub find_after_ms: u32,
    /// Deliveries to this target side by side.
    #[serde(default = "deliveries_max_default")]
    pub deliveries_max: u32,
    /// What a given-up delivery means for later ones of its order.
    #[serde(default)]
    pub after_dead: AfterDead,
    /// Minutes from when the delivery is first taken up after which nothing is tried
    /// or asked again: a person decides. So a first attempt is made however long the
    /// host was down, and a target that is down is waited for so long.
    #[serde(default = "deadline_minutes_default")]
    pub deadline_minutes: u32,
    /// What becomes of deliveries while one of the two plugins is not called. They wait
    /// until `deadline_minutes`, unless this says `exception`.
    pub when_stopped: Option<WhenStopped>,
    /// Non-secret settings for connector and transformer.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// TLS to a target; relative paths begin at the configuration's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetTls {
    /// Certificates of authorities in PEM that are trusted as well.
    pub ca_file: Option<PathBuf>,
    /// The host's own certificate chain in PEM, for a target that asks for one.
    pub certificate: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
}

fn attempts_max_default() -> u32 {
    8
}

fn find_after_ms_default() -> u32 {
    30_000
}

fn deliveries_max_default() -> u32 {
    32
}

/// A day: a target that is down over night is no reason to wake a person.
fn deadline_minutes_default() -> u32 {
    24 * 60
}

fn backoff_ms_default() -> u32 {
    1_000
}

impl Routes {
    /// A channel by name.
    #[must_use]
    pub fn channel(&self, id: &ChannelId) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == *id)
    }

    /// A target by name.
    #[must_use]
    pub fn target(&self, id: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.id == id)
    }

    /// Every plugin that a route uses: who uses it, its name, what it has to be.
    #[must_use]
    pub fn plugins(&self) -> Vec<(String, PluginName, PluginKind)> {
        let mut used = Vec::new();
        for channel in &self.channels {
            let user = format!("channel `{}`", channel.id);
            used.push((user.clone(), channel.connector.clone(), PluginKind::Connector));
            used.extend(channel.documents.values().map(|name| (user.clone(), name.clone(), PluginKind::Transformer)));
            used.extend(channel.scorers.iter().map(|name| (user.clone(), name.clone(), PluginKind::Scorer)));
        }
        for target in &self.targets {
            let user = format!("target `{}`", target.id);
            used.push((user.clone(), target.connector.clone(), PluginKind::Connector));
            used.push((user, target.transformer.clone(), PluginKind::Transformer));
        }
        used
    }

    /// What contradicts itself: doubled names, targets that do not exist.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (mut problems, known) = (Vec::new(), process::events());
        for (index, channel) in self.channels.iter().enumerate() {
            if self.channels.iter().take(index).any(|earlier| earlier.id == channel.id) {
                problems.push(format!("channel `{}` is there twice; give each its own id", channel.id));
            }
            for event in channel.says.iter().filter(|event| !known.contains(&event.as_str())) {
                problems.push(format!(
                    "channel `{}` may say `{event}`, which moves no order; expected one of {}",
                    channel.id,
                    known.join(", ")
                ));
            }
            if self.target(&channel.target).is_none() {
                problems.push(format!(
                    "channel `{}` sends to target `{}`, which does not exist; add a [[target]] with that id",
                    channel.id, channel.target
                ));
            }
        }
        for (index, target) in self.targets.iter().enumerate() {
            if self.targets.iter().take(index).any(|earlier| earlier.id == target.id) {
                problems.push(format!("target `{}` is there twice; give each its own id", target.id));
            }
            if target.deliveries_max == 0 {
                problems.push(format!("target `{}` allows 0 deliveries at once; expected 1 or more", target.id));
            }
            problems.extend(target.way_problems());
            if target.attempts_max == 0 {
                problems.push(format!("target `{}` allows 0 attempts; expected 1 or more", target.id));
            }
        }
        problems
    }
}

impl Target {
    /// What is wrong with the way to it.
    fn way_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let credential = self.credential.iter().flat_map(CredentialEntry::problems);
        problems.extend(credential.map(|problem| format!("the credential of target `{}`: {problem}", self.id)));
        if self.credential.is_some() && !self.origin.is_private() {
            problems.push(format!(
                "target `{}` has a credential and its origin is http, where everybody on the way can read it; write `https://…`",
                self.id
            ));
        }
        let tls = &self.tls;
        if tls.certificate.is_some() != tls.key.is_some() {
            problems.push(format!("`tls` of target `{}` needs both of `certificate` and `key`, or none", self.id));
        }
        if *tls != TargetTls::default() && !self.origin.is_https() {
            problems.push(format!("target `{}` has `tls` and its origin is http; write `https://…`", self.id));
        }
        problems
    }
}

/// Settings as plugins get them.
pub(crate) fn settings(settings: &BTreeMap<String, String>) -> Vec<portreeve_model::document::Setting> {
    settings
        .iter()
        .map(|(name, value)| portreeve_model::document::Setting { name: name.clone(), value: value.clone() })
        .collect()
}
