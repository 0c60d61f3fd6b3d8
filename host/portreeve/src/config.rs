//! Configuration: files that are proposed, checked as a whole, and then active
//! as a version in the store.
//!
//! A folder of configuration holds `portreeve.toml` (host, plugins, senders,
//! channels, targets), `grants.toml`, `policies.cedar`, `rules.toml`, `people.toml`, `trust.toml`,
//! where the process of orders is not the standard one `process.toml`, the
//! components with their signatures, and `reference/*.csv`. Reading one changes nothing. What is active is what the
//! store says, and every decision names its version.

mod before;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use portreeve_api::Tls;
use portreeve_authority::people::People;
use portreeve_authority::rules::Rules;
use portreeve_authority::{Authority, Known, SourceFile};
use portreeve_model::{ChannelId, Digest, Instant, PluginName, SenderId};
use portreeve_pipeline::decide::RULE_TABLES;
use portreeve_pipeline::egress::{
    Allowance, CredentialEntry, Destination, WayTo, plugin_requests_per_second_default, window_problems,
};
use portreeve_pipeline::notice::{NoticeEntry, WayOfNotices};
use portreeve_pipeline::process::Process;
use portreeve_pipeline::reconcile::Source;
use portreeve_pipeline::route::{Owners, TargetTls};
use portreeve_pipeline::sender::{KnownSender, Proof, PublicKeyFile, SigningSecret, is_client_state};
use portreeve_pipeline::{
    Channel, Due, Effect, Interchanges, Origin, Poll, Reconciliation, Refunds, Routes, Senders, Subscriber, Target,
};
use portreeve_record::canonical_json;
use portreeve_registry::file::{self, SMALL_BYTES_MAX, read_component};
use portreeve_registry::{PlatformGrant, TrustPolicy};
use portreeve_sandbox::{ClientTls, Identity, OutTray};
use serde::{Deserialize, Serialize};

pub(crate) use self::before::Before;
use crate::declared::Declared;
use crate::folder::Tray;
use crate::publisher::read_signature;
use crate::windows;

/// The main file's name.
const HOST_FILE: &str = "portreeve.toml";

/// Bytes of a file of configuration. Each is parsed as a whole.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a file of certificates: a machine's own authorities are a fifth of it.
const CERTIFICATES_BYTES_MAX: usize = 1024 * 1024;
/// What advice may cause.
const GRANTS_FILE: &str = "grants.toml";
/// Conditions on it.
const POLICIES_FILE: &str = "policies.cedar";
/// The host's own rules.
const RULES_FILE: &str = "rules.toml";

/// What orders go through. A folder without it has the standard process.
const PROCESS_FILE: &str = "process.toml";

/// Roles, queues and tiers.
const PEOPLE_FILE: &str = "people.toml";
/// Whose packages are taken.
pub(crate) const TRUST_FILE: &str = "trust.toml";

/// Components of a plugin that a rollback can go back to. Each is a file that is kept.
const EARLIER_MAX: usize = 8;

/// Bytes of a signing secret. The HMAC under an empty or guessed secret can be
/// made by everybody: such a file would open its channel.
const SECRET_BYTES_MIN: usize = 16;

/// How the signing secret of an endpoint begins.
const STRIPE_SECRET_START: &str = "whsec_";

/// What a sender may prove itself with.
const PROOFS: &str =
    "`token_sha256`, `secret_file`, `stripe_secret_file`, `adobe_public_key_file` and `client_state_file`";

/// `portreeve.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFile {
    /// The host.
    pub host: HostSection,
    /// Work queues; every queue that is named elsewhere has to be here.
    pub queues: Vec<String>,
    /// Plugins.
    #[serde(default, rename = "plugin")]
    pub plugins: Vec<PluginEntry>,
    /// Senders.
    #[serde(default, rename = "sender")]
    pub senders: Vec<SenderEntry>,
    /// Channels.
    #[serde(default, rename = "channel")]
    pub channels: Vec<Channel>,
    /// Targets.
    #[serde(default, rename = "target")]
    pub targets: Vec<Target>,
    /// What follows from what is said of orders.
    #[serde(default, rename = "effect")]
    pub effects: Vec<Effect>,
    /// What has to go out by a time.
    #[serde(default, rename = "due")]
    pub dues: Vec<Due>,
    /// Refunds that the host decides on.
    pub refunds: Option<Refunds>,
    /// Who answers for whatever has no owners of its own.
    pub owners: Option<Owners>,
    /// Who hears what counts of orders.
    #[serde(default, rename = "subscriber")]
    pub subscribers: Vec<Subscriber>,
    /// Sources that are asked for what is new.
    #[serde(default, rename = "poll")]
    pub polls: Vec<Poll>,
    /// Systems that should say the same.
    #[serde(default, rename = "reconciliation")]
    pub reconciliations: Vec<Reconciliation>,
    /// Watched folders.
    #[serde(default, rename = "folder")]
    pub folders: Vec<FolderEntry>,
    /// Who hears of what waits for a person.
    #[serde(default, rename = "notice")]
    pub notices: Vec<NoticeEntry>,
    /// How long content is kept; none keeps it for good.
    pub retention: Option<RetentionSection>,
}

/// How long content is kept.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSection {
    /// Days after which the content of finished orders and inputs is removed: bytes,
    /// events, decision records, replies, sentences. 1 to 36,500.
    pub content_days: u32,
}

/// A hundred years: more is a slip of the pen.
const CONTENT_DAYS_MAX: u32 = 36_500;

impl RetentionSection {
    /// The time before which things have to be finished for their content to go.
    #[must_use]
    pub fn before(self, now: Instant) -> Instant {
        now.plus_ms(-i64::from(self.content_days).saturating_mul(Instant::DAY_MS))
    }
}

/// The host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSection {
    /// Its name in audit records.
    pub name: String,
    /// The origin of its audit log: a name without a scheme, unique for ever.
    pub origin: String,
    /// Where it listens.
    #[serde(default = "listen_default")]
    pub listen: SocketAddr,
    /// SHA-256 of the operator token, with which a machine reads; without it accounts alone do.
    pub operator_token_sha256: Option<Digest>,
    /// Certificate and key; an address beyond this machine needs them.
    pub tls: Option<TlsSection>,
    /// Where model files are; a relative path begins at the configuration's folder.
    pub models: Option<PathBuf>,
    /// Whose work a plugin is that failed again and again; without it that of the channel or target
    /// that it failed for.
    pub plugin_queue: Option<String>,
    /// Orders that are mapped and scored side by side.
    #[serde(default = "workers_default")]
    pub workers: usize,
}

/// TLS of the front door; relative paths begin at the configuration's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// A chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

fn listen_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn workers_default() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// A plugin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginEntry {
    /// Its name, as its manifest has it.
    pub name: PluginName,
    /// The component's file; without a folder it lies beside the configuration.
    pub component: PathBuf,
    /// What the platform team grants it.
    #[serde(default)]
    pub grant: PlatformGrant,
    /// Where the platform team lets it go.
    #[serde(default)]
    pub egress: Vec<Destination>,
    /// Requests to all targets together that it may begin in a second.
    #[serde(default = "plugin_requests_per_second_default")]
    pub requests_per_second: u32,
}

/// A sender.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderEntry {
    /// The channel.
    pub channel: ChannelId,
    /// Who it is.
    pub id: String,
    /// SHA-256 of its bearer token.
    pub token_sha256: Option<Digest>,
    /// The file with the secret that it signs bodies with, at least 16 bytes; a
    /// relative path begins at the configuration's folder.
    pub secret_file: Option<PathBuf>,
    /// The file with the secret of the endpoint that Stripe sends its events to, `whsec_…`
    /// as the dashboard shows it; found like `secret_file`.
    pub stripe_secret_file: Option<PathBuf>,
    /// The file with the public key of the pair by which a shop of Adobe Commerce signs its
    /// webhooks, as its configuration shows it (PEM); found like `secret_file`.
    pub adobe_public_key_file: Option<PathBuf>,
    /// Whether that may be a test key of an RFC, by which anybody can sign: at a door of the loopback alone.
    #[serde(default)]
    pub published_test_key: bool,
    /// The file with the `clientState` that its subscriptions were made with and each of its
    /// notifications names, letters, digits, `-` and `_`; found like `secret_file`.
    pub client_state_file: Option<PathBuf>,
}

impl SenderEntry {
    /// How many proofs it names.
    fn proofs(&self) -> usize {
        usize::from(self.token_sha256.is_some()) + self.files().count()
    }

    /// The file of its secret or key, of whichever kind.
    fn secret(&self) -> Option<&PathBuf> {
        self.files().next()
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { secret_file, stripe_secret_file, adobe_public_key_file, client_state_file, .. } = self;
        [secret_file, stripe_secret_file, adobe_public_key_file, client_state_file].into_iter().flatten()
    }
}

/// A watched folder; relative paths begin at the configuration's folder. All
/// directories have to be there, apart from each other. `crate::folder` says what
/// happens in them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderEntry {
    /// The channel that its files are for.
    pub channel: ChannelId,
    /// Whose files they are; needed where the channel has more than one sender.
    pub sender: Option<String>,
    /// Where files are put, by a rename when they are whole.
    pub inbox: PathBuf,
    /// Where replies are left.
    pub outbox: PathBuf,
    /// Where files go that nothing was kept of, each with its reason. On the inbox's
    /// file system.
    pub failed: PathBuf,
    /// Where files go that are on record; without it they are removed. On the inbox's
    /// file system. What is in it is not erased with a payload's key.
    pub archive: Option<PathBuf>,
    /// Only names that end so are taken.
    pub suffix: Option<String>,
    /// Milliseconds between two looks into an empty inbox.
    #[serde(default = "poll_ms_default")]
    pub poll_ms: u32,
}

fn poll_ms_default() -> u32 {
    1_000
}

/// The texts of the files and the digests of the components: what a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    host: String,
    grants: String,
    policies: String,
    rules: String,
    /// Where the files were read, as an absolute path: what they name by a
    /// relative path (secrets, certificates, folders) is found from here, wherever
    /// a command runs. Empty in versions that were stored before it was kept.
    #[serde(default)]
    folder: String,
    /// Whose packages are taken. Empty in versions that were stored before it was asked.
    #[serde(default)]
    trust: String,
    /// What people may do. Empty in versions that were stored before there were accounts.
    #[serde(default)]
    people: String,
    /// What orders go through. Empty where that is the standard process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    process: String,
    /// Plugin to the digest of its component: what is active.
    pub components: BTreeMap<PluginName, Digest>,
    /// What operators did about plugins since, beyond what the files say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    standing: BTreeMap<PluginName, Standing>,
    /// Whether operators stopped all plugins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    halted: bool,
    /// Digest of the rows of each reference file that the folder had. Only a file that has
    /// others by now may take the place of a table that was loaded otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) reference: BTreeMap<String, Digest>,
}

/// What operators did about a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Standing {
    /// The grant that its component was activated with, in the place of the main file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// Whether it is not called.
    #[serde(default)]
    disabled: bool,
    /// What was active before, newest last, each with the grant of its own that it had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Earlier>,
}

/// A component that was active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    component: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
}

/// A checked configuration.
pub struct Configuration {
    /// The main file.
    pub host: HostFile,
    /// Routes.
    pub routes: Routes,
    /// What advice may cause.
    pub authority: Authority,
    /// The host's own rules.
    pub rules: Rules,
    /// What people may do.
    pub people: People,
    /// What orders go through.
    pub process: Process,
    /// Where relative paths begin.
    pub folder: PathBuf,
    /// Digests of the components.
    pub components: BTreeMap<PluginName, Digest>,
    /// Whose packages are taken.
    pub trust: TrustPolicy,
    /// Plugins that operators disabled.
    pub disabled: BTreeSet<PluginName>,
    /// Whether operators stopped all of them.
    pub halted: bool,
    /// Grants that took the place of the main file's.
    grants: BTreeMap<PluginName, PlatformGrant>,
}

/// A folder of configuration that was read and not yet activated.
pub struct Proposed {
    /// The files.
    pub files: Files,
    /// The components by digest: their bytes, and the signature files beside them.
    pub components: BTreeMap<Digest, (Vec<u8>, Option<String>)>,
    /// Reference files by table.
    pub reference: Vec<(String, PathBuf)>,
}

impl Proposed {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let host = read_text(&folder.join(HOST_FILE))?;
        Self::with_host_text(folder, host)
    }

    /// Reads a folder whose main file's text is given.
    ///
    /// # Errors
    /// When another file is missing or cannot be read.
    pub fn with_host_text(folder: &Path, host: String) -> anyhow::Result<Self> {
        let parsed = parse_host(&host)?;
        let mut files = Files::with_host_text(folder, host)?;
        let mut components = BTreeMap::new();
        for plugin in &parsed.plugins {
            let path = folder.join(&plugin.component);
            let bytes = read_component(&path).with_context(|| format!("plugin `{}`", plugin.name))?;
            let digest = Digest::of(&bytes);
            files.components.insert(plugin.name.clone(), digest);
            components.insert(digest, (bytes, read_signature(&path)?));
        }
        Ok(Self { files, components, reference: reference_files(&folder.join("reference"))? })
    }
}

impl Files {
    /// Reads the texts of a folder and no component: what rules and grants say can be looked at
    /// before anything is built.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        Self::with_host_text(folder, read_text(&folder.join(HOST_FILE))?)
    }

    fn with_host_text(folder: &Path, host: String) -> anyhow::Result<Self> {
        Ok(Self {
            host,
            grants: read_text(&folder.join(GRANTS_FILE))?,
            policies: read_text(&folder.join(POLICIES_FILE))?,
            rules: read_text(&folder.join(RULES_FILE))?,
            folder: absolute(folder)?,
            trust: read_text(&folder.join(TRUST_FILE)).context(
                "whose packages this host takes is missing; write it as `wit/README.md` shows, with the keys that `portreeve plugin keygen` prints",
            )?,
            people: read_text(&folder.join(PEOPLE_FILE)).context(
                "what people may do is missing; write it as the demo's `people.toml` does, with a role for each of your queues",
            )?,
            process: read_process(folder)?,
            components: BTreeMap::new(),
            standing: BTreeMap::new(),
            halted: false,
            reference: BTreeMap::new(),
        })
    }
}

impl Files {
    /// The bytes that the store keeps.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        canonical_json(self).context("the configuration could not be written down")
    }

    /// Reads a stored version.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        portreeve_record::parse_canonical(bytes).context("the stored configuration cannot be read")
    }

    /// Checks everything against everything, and says all that is wrong at once.
    ///
    /// # Errors
    /// When anything is wrong; nothing is changed by it.
    pub fn check(&self) -> anyhow::Result<Configuration> {
        self.checked(None, &Declared::default())
    }

    /// The same for files that are to become active: a grant whose last day is over, which
    /// in an active version just ends, is a mistake there.
    ///
    /// # Errors
    /// As [`Files::check`].
    pub fn check_new(&self, at: Instant) -> anyhow::Result<Configuration> {
        self.checked(Some(at), &Declared::default())
    }

    /// The same, with what plugins say of their settings, messages and limits: whoever gives them other
    /// settings, asks them for other messages, or has a window that one of their calls may be too much for, is
    /// told so. It is asked of what is to become active alone: an earlier component that people go back to may
    /// know other settings than the newest, and must not keep a host from starting.
    ///
    /// # Errors
    /// As [`Files::check`].
    pub fn check_new_with(&self, at: Instant, declared: &Declared) -> anyhow::Result<Configuration> {
        self.checked(Some(at), declared)
    }

    /// The entries of its plugins.
    ///
    /// # Errors
    /// When its main file cannot be understood.
    pub fn plugins(&self) -> anyhow::Result<Vec<PluginEntry>> {
        Ok(parse_host(&self.host)?.plugins)
    }

    fn checked(&self, new_at: Option<Instant>, declared: &Declared) -> anyhow::Result<Configuration> {
        let host = parse_host(&self.host)?;
        let known = Known {
            queues: host.queues.iter().cloned().collect(),
            plugins: host.plugins.iter().map(|plugin| plugin.name.clone()).collect(),
        };
        let routes = routes_of(&host);
        let mut problems = host_problems(&host, &routes);
        problems.extend(routes.setting_problems(&declared.settings).iter().map(ToString::to_string));
        problems.extend(routes.misplaced(&declared.manifests));
        problems.extend(routes.message_problems(&declared.manifests).iter().map(ToString::to_string));
        problems.extend(routes.document_problems(&declared.manifests).iter().map(ToString::to_string));
        problems.extend(windows::too_small(&host.plugins, &routes, |plugin| declared.requests(plugin)));
        let authority = Authority::load(
            &[SourceFile { name: GRANTS_FILE, text: &self.grants }],
            &[SourceFile { name: POLICIES_FILE, text: &self.policies }],
            &known,
        );
        let rules = Rules::load(&SourceFile { name: RULES_FILE, text: &self.rules }, &known);
        let trust = TrustPolicy::load(&SourceFile { name: TRUST_FILE, text: &self.trust });
        let people = if self.people.is_empty() {
            Ok(People::nobody())
        } else {
            People::load(&SourceFile { name: PEOPLE_FILE, text: &self.people }, &known)
        };
        let process = if self.process.is_empty() {
            Process::standard()
        } else {
            Process::load(&SourceFile { name: PROCESS_FILE, text: &self.process })
        };
        let errors = [
            authority.as_ref().err(),
            rules.as_ref().err(),
            people.as_ref().err(),
            trust.as_ref().err(),
            process.as_ref().err(),
        ];
        problems.extend(process.iter().flat_map(|process| routes.effects_out_of(process)));
        problems.extend(process.iter().flat_map(|process| routes.refunds_out_of(process)));
        // One that is active already goes on, and people hear of each.
        let of_new = process.iter().filter(|_| new_at.is_some());
        problems.extend(of_new.flat_map(|process| routes.advices_out_of(process)));
        if new_at.is_some() {
            problems.extend(routes.acknowledged_by_nothing());
        }
        for errors in errors.into_iter().flatten() {
            problems.extend(errors.errors().iter().map(ToString::to_string));
        }
        let over =
            authority.iter().flat_map(Authority::grants).filter(|grant| new_at.is_some_and(|at| grant.is_over(at)));
        problems.extend(over.map(|grant| {
            format!(
                "{GRANTS_FILE}: grant `{}` expires {}, which is over; give it a later day, or take it out",
                grant.id, grant.expires
            )
        }));
        let over = authority
            .iter()
            .flat_map(Authority::data_grants)
            .filter(|grant| new_at.is_some_and(|at| grant.is_over(at)));
        problems.extend(over.map(|grant| {
            format!(
                "{GRANTS_FILE}: the [[data]] of `{}` expires {}, which is over; give it a later day, or take it out",
                grant.plugin, grant.expires
            )
        }));
        let grants = self.standing.iter().filter_map(|(name, standing)| {
            let grant = standing.grant.as_deref()?;
            Some(read_grant(grant).map(|grant| (name.clone(), grant)))
        });
        let grants = grants.collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        match (authority, rules, people, trust, process) {
            (Ok(authority), Ok(rules), Ok(people), Ok(trust), Ok(process)) if problems.is_empty() => {
                let (folder, components) = (PathBuf::from(&self.folder), self.components.clone());
                let disabled = self.standing.iter().filter(|(_, standing)| standing.disabled);
                let disabled = disabled.map(|(name, _)| name.clone()).collect();
                Ok(Configuration {
                    host,
                    routes,
                    authority,
                    rules,
                    people,
                    process,
                    folder,
                    components,
                    trust,
                    disabled,
                    halted: self.halted,
                    grants,
                })
            }
            _ => bail!("the configuration has {} problem(s):\n{}", problems.len(), problems.join("\n")),
        }
    }
}

impl Files {
    /// These files as they follow on the active version: what operators did about a
    /// plugin is kept, and a component that takes another one's place is what a rollback
    /// goes back from. The files' own grant is the newest word: none that was given before
    /// comes back with an earlier component.
    #[must_use]
    pub fn following(mut self, active: &Self) -> Self {
        self.halted = active.halted;
        for (name, digest) in &self.components {
            let Some(was) = active.components.get(name) else { continue };
            let mut standing = active.standing.get(name).cloned().unwrap_or_default();
            standing.grant = None;
            standing.earlier.iter_mut().for_each(|earlier| earlier.grant = None);
            if was != digest {
                standing.push(Earlier { component: *was, grant: None });
            }
            if standing != Standing::default() {
                self.standing.insert(name.clone(), standing);
            }
        }
        self
    }

    /// The next version, in which a plugin has another component, and a grant of its own
    /// where one is given.
    #[must_use]
    pub fn activated(&self, name: &PluginName, component: Digest, grant: Option<String>) -> Self {
        let mut next = self.clone();
        let was = next.components.insert(name.clone(), component);
        let standing = next.standing.entry(name.clone()).or_default();
        if let Some(was) = was.filter(|was| *was != component) {
            standing.push(Earlier { component: was, grant: standing.grant.clone() });
        }
        standing.grant = grant.or(standing.grant.take());
        standing.disabled = false;
        next
    }

    /// The next version, in which a plugin has what it had before; none where there is
    /// nothing to go back to.
    #[must_use]
    pub fn rolled_back(&self, name: &PluginName) -> Option<(Self, Digest)> {
        let mut next = self.clone();
        let standing = next.standing.get_mut(name)?;
        let Earlier { component, grant } = standing.earlier.pop()?;
        standing.grant = grant;
        standing.disabled = false;
        next.components.insert(name.clone(), component);
        Some((next, component))
    }

    /// The next version, in which a plugin is not called.
    #[must_use]
    pub fn disabled(&self, name: &PluginName) -> Self {
        let mut next = self.clone();
        next.standing.entry(name.clone()).or_default().disabled = true;
        next
    }

    /// The next version, in which no plugin is called, or each as it was before.
    #[must_use]
    pub fn halted(&self, halted: bool) -> Self {
        Self { halted, ..self.clone() }
    }

    /// Whether operators stopped all plugins.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// The next version, in which others are trusted.
    #[must_use]
    pub fn trusting(&self, trust: String) -> Self {
        Self { trust, ..self.clone() }
    }

    /// Whose packages are taken, as it was written.
    #[must_use]
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// Whether other files have the same policies, letter by letter.
    #[must_use]
    pub fn has_the_policies_of(&self, other: &Self) -> bool {
        self.policies == other.policies
    }

    /// Whether an operator disabled a plugin.
    #[must_use]
    pub fn is_disabled(&self, name: &PluginName) -> bool {
        self.standing.get(name).is_some_and(|standing| standing.disabled)
    }

    /// Components that a rollback could go back to, newest last.
    pub fn earlier(&self, name: &PluginName) -> impl Iterator<Item = Digest> {
        self.standing.get(name).into_iter().flat_map(|standing| &standing.earlier).map(|earlier| earlier.component)
    }
}

impl Standing {
    fn push(&mut self, earlier: Earlier) {
        self.earlier.push(earlier);
        let beyond = self.earlier.len().saturating_sub(EARLIER_MAX);
        self.earlier.drain(..beyond);
    }
}

/// A grant as inline or plain TOML.
///
/// # Errors
/// When it is none.
pub fn read_grant(text: &str) -> anyhow::Result<PlatformGrant> {
    toml::from_str(text).context("the grant cannot be understood")
}

impl Configuration {
    /// What the platform team grants a plugin.
    #[must_use]
    pub fn grant(&self, entry: &PluginEntry) -> PlatformGrant {
        self.grants.get(&entry.name).unwrap_or(&entry.grant).clone()
    }

    /// The senders, with their secrets read from their files.
    ///
    /// # Errors
    /// When a secret or key cannot be read, or is none that counts.
    pub fn senders(&self) -> anyhow::Result<Senders> {
        let mut known = Vec::new();
        for sender in &self.host.senders {
            let proof = match sender {
                SenderEntry { token_sha256: Some(digest), .. } => Proof::Token(*digest),
                SenderEntry { secret_file: Some(file), .. } => {
                    Proof::SignedBody(self.signing_secret(file, self.secret(sender, file)?))
                }
                SenderEntry { stripe_secret_file: Some(file), .. } => {
                    Proof::StripeSigned(self.signing_secret(file, self.stripe_secret(sender, file)?))
                }
                SenderEntry { adobe_public_key_file: Some(file), .. } => {
                    Proof::AdobeSigned(self.public_key(sender, file)?)
                }
                SenderEntry { client_state_file: Some(file), .. } => {
                    Proof::ClientState(self.signing_secret(file, self.client_state(sender, file)?))
                }
                _ => bail!("sender `{}` has none of {PROOFS}; set one", sender.id),
            };
            known.push(KnownSender { channel: sender.channel.clone(), id: SenderId::authenticated(&sender.id), proof });
        }
        Ok(Senders::new(known))
    }

    /// Tables that somebody may read: the host's own rules, or a plugin that is granted them.
    #[must_use]
    pub fn tables_read(&self) -> BTreeSet<String> {
        let rules = RULE_TABLES.iter().map(|table| (*table).to_owned());
        rules.chain(self.host.plugins.iter().flat_map(|entry| self.grant(entry).lookup)).collect()
    }

    /// What is allowed and has no effect: somebody may believe in it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let unpermitted = self.authority.unpermitted().into_iter().map(|(grant, rung)| {
            format!(
                "grant `{}` lets `{}` {rung}, and no policy permits it to; permit it in `{POLICIES_FILE}`, or take `{rung}` out of `may`",
                grant.id,
                grant.plugin,
                rung = rung.as_str()
            )
        });
        let used = self.routes.plugins();
        let unused = self.host.plugins.iter().filter(|entry| used.iter().all(|(_, name, _)| *name != entry.name));
        let unused = unused.map(|entry| {
            format!(
                "plugin `{}` is used by no channel and no target; name it in one, or remove it from `{HOST_FILE}`",
                entry.name
            )
        });
        unpermitted.chain(unused).chain(self.routes.without_owners()).collect()
    }

    /// Where model files are, if anywhere.
    #[must_use]
    pub fn models(&self) -> Option<PathBuf> {
        self.host.host.models.as_ref().map(|folder| self.folder.join(folder))
    }

    /// Certificate and key of the front door, where it has them.
    ///
    /// # Errors
    /// When they cannot be read or do not fit together.
    pub fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let Some(files) = &self.host.host.tls else { return Ok(None) };
        Ok(Some(Tls::read(&self.folder.join(&files.certificate), &self.folder.join(&files.key))?))
    }

    /// Where each plugin may go.
    #[must_use]
    pub fn allowances(&self) -> BTreeMap<PluginName, Allowance> {
        let allowance = |plugin: &PluginEntry| Allowance {
            destinations: plugin.egress.clone(),
            requests_per_second: plugin.requests_per_second,
        };
        self.host.plugins.iter().map(|plugin| (plugin.name.clone(), allowance(plugin))).collect()
    }

    /// The way to each target, with the certificates read from their files.
    ///
    /// # Errors
    /// When a certificate or key cannot be read or used.
    pub fn ways(&self) -> anyhow::Result<BTreeMap<String, WayTo>> {
        let way = |target: &Target| {
            let tls = self.tls_to(&target.origin, target.credential.as_ref(), &target.tls);
            let tls = tls.with_context(|| format!("TLS of target `{}`", target.id))?;
            let tray = target.outbox.as_ref().map(|outbox| Tray::at(&self.folder.join(outbox)));
            let tray = tray.map(|tray| -> Arc<dyn OutTray> { Arc::new(tray) });
            let (origin, credential) = (target.origin.clone(), target.credential.clone());
            let way = WayTo { origin, tls, credential, tray };
            Ok((target.id.clone(), way))
        };
        let way_to_source = |poll: &Poll| -> anyhow::Result<(String, WayTo)> {
            let tls = self.tls_to(&poll.origin, poll.credential.as_ref(), &poll.tls);
            let tls = tls.with_context(|| format!("TLS of poll `{}`", poll.id))?;
            let way = WayTo { origin: poll.origin.clone(), tls, credential: poll.credential.clone(), tray: None };
            Ok((poll.way(), way))
        };
        let way_to_list = |(name, source): (String, &Source)| {
            let tls = self.tls_to(&source.origin, source.credential.as_ref(), &source.tls);
            let tls = tls.with_context(|| format!("TLS of `{}` in {name}", source.system))?;
            let way = WayTo { origin: source.origin.clone(), tls, credential: source.credential.clone(), tray: None };
            Ok((name, way))
        };
        let polls = self.routes.polls.iter().map(way_to_source);
        let lists = self.routes.reconciliations.iter().flat_map(Reconciliation::sources).map(way_to_list);
        self.routes.targets.iter().map(way).chain(polls).chain(lists).collect()
    }

    /// Whether what is sent to targets with an `outbox` can be put there.
    ///
    /// # Errors
    /// With the first one where it cannot.
    pub fn check_outboxes(&self) -> anyhow::Result<()> {
        for target in &self.host.targets {
            let Some(outbox) = &target.outbox else { continue };
            let folder = self.folder.join(outbox);
            Tray::at(&folder).check().with_context(|| {
                format!(
                    "the `outbox` of target `{}` is `{}`, where nothing can be put; make it first, and let the host's user write there",
                    target.id,
                    folder.display()
                )
            })?;
        }
        Ok(())
    }

    /// The way to each subscriber of notices, with the certificates read from their files.
    ///
    /// # Errors
    /// When a certificate cannot be read or used.
    pub fn notices(&self) -> anyhow::Result<Vec<(NoticeEntry, WayOfNotices)>> {
        let way = |entry: &NoticeEntry| {
            let authorities =
                entry.ca_file.as_ref().map(|file| file::read(&self.folder.join(file), CERTIFICATES_BYTES_MAX));
            let tls = || anyhow::Ok(ClientTls::new(authorities.transpose()?.as_deref(), None)?);
            let tls = entry.needs_tls().then(tls).transpose();
            let tls = tls.with_context(|| format!("TLS of the notices to `{}`", entry.id))?;
            let (url, addresses, secret) = (entry.url.clone(), entry.addresses.clone(), entry.secret.clone());
            Ok((entry.clone(), WayOfNotices { url, addresses, tls, secret }))
        };
        self.host.notices.iter().map(way).collect()
    }

    fn tls_to(
        &self,
        origin: &Origin,
        credential: Option<&CredentialEntry>,
        tls: &TargetTls,
    ) -> anyhow::Result<Option<ClientTls>> {
        let needs = origin.is_https() || credential.is_some_and(CredentialEntry::needs_tls);
        if !needs {
            return Ok(None);
        }
        let read = |file: &Option<PathBuf>| {
            let path = file.as_ref().map(|file| self.folder.join(file));
            path.map(|path| file::read(&path, CERTIFICATES_BYTES_MAX)).transpose()
        };
        let (authorities, chain, key) = (read(&tls.ca_file)?, read(&tls.certificate)?, read(&tls.key)?);
        let identity = chain.as_deref().zip(key.as_deref()).map(|(chain, key)| Identity { chain, key });
        Ok(Some(ClientTls::new(authorities.as_deref(), identity.as_ref())?))
    }

    fn secret(&self, sender: &SenderEntry, file: &Path) -> anyhow::Result<Vec<u8>> {
        let path = self.folder.join(file);
        let secret =
            file::read(&path, SMALL_BYTES_MAX).with_context(|| format!("the secret of sender `{}`", sender.id))?;
        let secret = secret.trim_ascii();
        if secret.len() < SECRET_BYTES_MIN {
            bail!(
                "the secret of sender `{}` in `{}` has {} bytes, expected {SECRET_BYTES_MIN} or more; write a random one there, for example with `openssl rand -hex 32`",
                sender.id,
                path.display(),
                secret.len()
            );
        }
        Ok(secret.to_vec())
    }

    /// The secret of an endpoint. An API key in its place would leave every event refused, and
    /// lie where it has no business.
    fn stripe_secret(&self, sender: &SenderEntry, file: &Path) -> anyhow::Result<Vec<u8>> {
        let secret = self.secret(sender, file)?;
        if !secret.starts_with(STRIPE_SECRET_START.as_bytes()) {
            bail!(
                "the secret of sender `{}` in `{}` does not begin with `{STRIPE_SECRET_START}`; copy the endpoint's signing secret there, as Stripe's dashboard shows it",
                sender.id,
                self.folder.join(file).display()
            );
        }
        Ok(secret)
    }

    /// The secret of a subscription. Business Central writes it into JSON as it is, and so it is
    /// found there to be taken out again.
    fn client_state(&self, sender: &SenderEntry, file: &Path) -> anyhow::Result<Vec<u8>> {
        let secret = self.secret(sender, file)?;
        if !is_client_state(&secret) {
            bail!(
                "the `clientState` of sender `{}` in `{}` has other characters than letters, digits, `-` and `_`; write a random one there, for example with `openssl rand -hex 32`, and make the subscription with it",
                sender.id,
                self.folder.join(file).display()
            );
        }
        Ok(secret)
    }

    /// The key that a shop signs with. One whose private half is in print proves nobody, so it is
    /// for a door that only this machine reaches, and for whoever says so: the demo.
    fn public_key(&self, sender: &SenderEntry, file: &Path) -> anyhow::Result<PublicKeyFile> {
        let takes_published = sender.published_test_key && self.host.host.listen.ip().is_loopback();
        PublicKeyFile::read(self.folder.join(file), takes_published)
            .with_context(|| format!("the public key of sender `{}`", sender.id))
    }

    fn signing_secret(&self, file: &Path, now: Vec<u8>) -> SigningSecret {
        SigningSecret::new(self.folder.join(file), now, SECRET_BYTES_MIN)
    }
}

fn parse_host(text: &str) -> anyhow::Result<HostFile> {
    toml::from_str(text).map_err(|error| {
        // The demo's own folder is the first thing that people copy.
        let blanks = if text.contains("${") {
            "\nblanks like `${…}` are filled in by `portreeve demo` only; start from the folder `config` that `demo --data-dir DIR` leaves in DIR"
        } else {
            ""
        };
        anyhow::anyhow!("`{HOST_FILE}` cannot be understood: {}{blanks}", error.to_string().trim_end())
    })
}

/// The routes of the main file.
fn routes_of(host: &HostFile) -> Routes {
    let subscribers = host.subscribers.iter().filter_map(Subscriber::target);
    Routes {
        channels: host.channels.clone(),
        targets: host.targets.iter().cloned().chain(subscribers).collect(),
        effects: host.effects.clone(),
        dues: host.dues.clone(),
        subscribers: host.subscribers.clone(),
        refunds: host.refunds.clone(),
        polls: host.polls.clone(),
        reconciliations: host.reconciliations.clone(),
        owners: host.owners.clone(),
    }
}

/// What a door that is open to a network lacks. (That each sender has a token or
/// secret is asked of every configuration.)
fn missing_for_strangers(host: &HostFile) -> impl Iterator<Item = &'static str> {
    let tls = host.host.tls.is_none().then_some("TLS: `tls = { certificate, key }` in [host]");
    let token = host.host.operator_token_sha256.is_none().then_some("`operator_token_sha256` in [host]");
    let senders = host.senders.is_empty().then_some("any [[sender]] with a token or secret");
    [tls, token, senders].into_iter().flatten()
}

/// An empty token is one that everybody has.
const EMPTY_TOKEN: &str = "the digest of an empty token; make a random token and write its SHA-256 there";

/// What the main file gets wrong beyond its grammar.
fn host_problems(host: &HostFile, routes: &Routes) -> Vec<String> {
    let mut problems = routes.problems();
    if !host.host.listen.ip().is_loopback() {
        problems.extend(missing_for_strangers(host).map(|missing| {
            format!(
                "`listen` is {}, which others can reach, without {missing}; add it, or listen on 127.0.0.1",
                host.host.listen
            )
        }));
    }
    if host.host.workers == 0 {
        problems.push("`workers` is 0; expected 1 or more".to_owned());
    }
    if let Some(RetentionSection { content_days }) = host.retention
        && !(1..=CONTENT_DAYS_MAX).contains(&content_days)
    {
        problems.push(format!(
            "`content_days` in [retention] is {content_days}; expected 1 to {CONTENT_DAYS_MAX}, or no [retention] to keep everything"
        ));
    }
    let nothing = Digest::of(b"");
    if host.host.operator_token_sha256 == Some(nothing) {
        problems.push(format!("`operator_token_sha256` is {EMPTY_TOKEN}"));
    }
    for (index, plugin) in host.plugins.iter().enumerate() {
        if host.plugins.iter().take(index).any(|earlier| earlier.name == plugin.name) {
            problems.push(format!("plugin `{}` is there twice; name each once", plugin.name));
        }
    }
    for plugin in &host.plugins {
        for destination in &plugin.egress {
            let origin = &destination.origin;
            problems.extend(
                destination
                    .problems()
                    .into_iter()
                    .map(|problem| format!("[[plugin.egress]] of plugin `{}` to `{origin}`: {problem}", plugin.name)),
            );
        }
        if plugin.requests_per_second == 0 {
            problems.push(format!("`requests_per_second` of plugin `{}` is 0; expected 1 or more", plugin.name));
        }
    }
    problems.extend(window_problems(host.plugins.iter().flat_map(|plugin| &plugin.egress)));
    for target in &routes.targets {
        let connector = host.plugins.iter().find(|plugin| plugin.name == target.connector);
        if connector.is_some_and(|plugin| plugin.egress.iter().all(|granted| granted.origin != target.origin)) {
            problems.push(format!(
                "target `{}` is at `{origin}`, where its connector `{}` may not go; a [[plugin.egress]] with `origin = \"{origin}\"` would allow it",
                target.id,
                target.connector,
                origin = target.origin
            ));
        }
    }
    for target in &routes.targets {
        let Some(Interchanges { acknowledged_on: Some(on), acknowledged_by: Some(by), .. }) = &target.interchange
        else {
            continue;
        };
        if !host.senders.iter().any(|sender| sender.channel == *on && sender.id == *by) {
            problems.push(format!(
                "target `{}` is acknowledged by sender `{by}`, who is none of channel `{on}`; name a [[sender]] of that channel",
                target.id
            ));
        }
    }
    for poll in &routes.polls {
        let of_channel = routes.channel(&poll.channel).map(|channel| &channel.connector);
        let Some(connector) = poll.connector.as_ref().or(of_channel) else { continue };
        let is_known =
            |named: &String| host.senders.iter().any(|sender| sender.channel == poll.channel && sender.id == *named);
        if let Some(named) = poll.sender.as_ref().filter(|named| !is_known(named)) {
            problems.push(format!(
                "poll `{}` brings what is sender `{named}`'s, who is none of channel `{}`; name a [[sender]] of that channel, or none",
                poll.id, poll.channel
            ));
        }
        let plugin = host.plugins.iter().find(|plugin| plugin.name == *connector);
        if plugin.is_some_and(|plugin| plugin.egress.iter().all(|granted| granted.origin != poll.origin)) {
            problems.push(format!(
                "poll `{}` asks `{origin}`, where its connector `{connector}` may not go; a [[plugin.egress]] with `origin = \"{origin}\"` would allow it",
                poll.id,
                origin = poll.origin
            ));
        }
    }
    for (poll, subscription) in routes.polls.iter().filter_map(|poll| Some((poll, poll.subscription.as_ref()?))) {
        let (channel, named) = (&subscription.channel, subscription.sender.as_deref());
        let secrets = host.senders.iter().filter(|sender| {
            let is_named = named.is_none_or(|named| sender.id == named);
            sender.channel == *channel && sender.client_state_file.is_some() && is_named
        });
        let found = secrets.count();
        if found != 1 {
            problems.push(format!(
                "the subscription of poll `{}` finds {found} senders with a `client_state_file` on channel `{channel}`, expected 1: by it the host knows the notifications of the source; add a [[sender]] there, or name one of them as `sender`",
                poll.id
            ));
        }
    }
    for (_, source) in routes.reconciliations.iter().flat_map(Reconciliation::sources) {
        let connector = host.plugins.iter().find(|plugin| plugin.name == source.connector);
        if connector.is_some_and(|plugin| plugin.egress.iter().all(|granted| granted.origin != source.origin)) {
            problems.push(format!(
                "`{}` of a [[reconciliation]] is at `{origin}`, where its connector `{}` may not go; a [[plugin.egress]] with `origin = \"{origin}\"` would allow it",
                source.system,
                source.connector,
                origin = source.origin
            ));
        }
    }
    for (index, sender) in host.senders.iter().enumerate() {
        if routes.channel(&sender.channel).is_none() {
            problems
                .push(format!("sender `{}` sends on channel `{}`, which does not exist", sender.id, sender.channel));
        }
        if sender.token_sha256 == Some(nothing) {
            problems.push(format!("`token_sha256` of sender `{}` is {EMPTY_TOKEN}", sender.id));
        }
        problems.extend(taken_by_another(host, index));
        if sender.proofs() != 1 {
            problems.push(format!("sender `{}` needs exactly one of {PROOFS}", sender.id));
        }
        if sender.published_test_key && sender.adobe_public_key_file.is_none() {
            problems.push(format!(
                "sender `{}` has `published_test_key` and no `adobe_public_key_file`; take it out, or name the key",
                sender.id
            ));
        }
    }
    for (index, notice) in host.notices.iter().enumerate() {
        let named = |problem: String| format!("[[notice]] `{}`: {problem}", notice.id);
        problems.extend(notice.problems().into_iter().map(named));
        if host.notices.iter().take(index).any(|earlier| earlier.id == notice.id) {
            problems.push(format!("[[notice]] `{}` is there twice; name each once", notice.id));
        }
    }
    for folder in &host.folders {
        if folder.poll_ms == 0 {
            problems.push(format!("`poll_ms` of folder `{}` is 0; expected 1 or more", folder.inbox.display()));
        }
    }
    let queues = routes.channels.iter().map(|channel| &channel.exception_queue);
    let queues = queues.chain(routes.targets.iter().map(|target| &target.exception_queue));
    let queues = queues.chain(routes.reconciliations.iter().map(|entry| &entry.exception_queue));
    let queues = queues.chain(&host.host.plugin_queue).chain(host.notices.iter().flat_map(|notice| &notice.queues));
    for queue in queues {
        if !host.queues.contains(queue) {
            problems.push(format!("queue `{queue}` is not in `queues`; add it or correct the name"));
        }
    }
    problems
}

/// What a sender has in common with an earlier one of its channel: whoever shows it
/// could be either, and duplicates, orders and records go by who it is.
fn taken_by_another(host: &HostFile, index: usize) -> Option<String> {
    let (earlier, sender) = (host.senders.get(..index)?, host.senders.get(index)?);
    let mut earlier = earlier.iter().filter(|other| other.channel == sender.channel);
    let same_token = |other: &&SenderEntry| other.token_sha256.is_some() && other.token_sha256 == sender.token_sha256;
    let same_secret = |other: &&SenderEntry| other.secret().is_some() && other.secret() == sender.secret();
    if earlier.clone().any(|other| other.id == sender.id) {
        return Some(format!("sender `{}` is there twice on channel `{}`; name each once", sender.id, sender.channel));
    }
    let other = earlier.find(|other| same_token(other) || same_secret(other))?;
    Some(format!(
        "senders `{}` and `{}` of channel `{}` prove themselves with the same token, secret or key, so that nobody can tell them apart; give each its own",
        other.id, sender.id, sender.channel
    ))
}

fn reference_files(folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("the folder `{}` cannot be read", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("the folder `{}` cannot be read", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "csv")
            && let Some(table) = path.file_stem().and_then(|stem| stem.to_str())
        {
            files.push((table.to_owned(), path.clone()));
        }
    }
    files.sort();
    Ok(files)
}

fn absolute(folder: &Path) -> anyhow::Result<String> {
    let path = folder.canonicalize().with_context(|| format!("the folder `{}` cannot be used", folder.display()))?;
    let path = path.into_os_string().into_string();
    path.map_err(|path| {
        anyhow::anyhow!("the folder `{}` has a name that is not UTF-8; rename it", Path::new(&path).display())
    })
}

/// The folder's process; empty where it has none of its own.
fn read_process(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join(PROCESS_FILE);
    let is_there = path.try_exists().with_context(|| format!("`{}` cannot be looked for", path.display()))?;
    if is_there { read_text(&path) } else { Ok(String::new()) }
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    Ok(file::read_text(path, CONFIG_BYTES_MAX)?)
}
