//! Whom packages are taken from: `trust.toml`.
//!
//! ```toml
//! [[publisher]]
//! name = "acme"                     # as manifests have it
//! plugins = ["large-order", "acme-*"]
//! kinds = ["scorer"]
//! imports = ["log", "lookup"]       # at most these, whatever a grant says
//! signatures_min = 2                # how many publishers have to sign; 1 unless it says more, and
//!                                   # no more than may sign each of `plugins`
//!
//! [[publisher.key]]
//! key = "acme+1c2f3a4b+ARpc…"       # as `portreeve plugin keygen` prints it
//! not_after = 2027-12-31            # nothing new is taken by it after this day
//!
//! [[publisher]]
//! name = "review-board"
//! countersigns = ["acme-*"]         # its signature counts for these; it ships nothing
//!
//! [[publisher.key]]
//! key = "review-board+…"
//! revoked = true                    # or a date: from that day on
//! ```
//!
//! A package counts when the publisher that its manifest names signed it, that publisher may
//! ship such a plugin, and as many publishers signed it as its entry asks for. Unsigned is
//! refused: there is no word to allow it.
//!
//! Danger: a stolen key signs what it likes, and back-dates it, for a signature has no time
//! of its own. So a revoked key counts for nothing from its day on, for packages that are
//! active as well: they stop at the next call. A key that only ran out (`not_after`) lets
//! nothing new in, and what is active goes on, or each key would be a clock under the road.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portreeve_model::strict::{LoadErrors, PROBLEMS_MAX, Problems, SourceFile, Table, choice, date, text, whole};
use portreeve_model::{Date, Digest, Instant, PluginKind, PluginName};
use portreeve_record::note::VerifierKey;
use toml::de::DeValue;

use crate::manifest::{Imports, Manifest};
use crate::package::Package;
use crate::signature::{Signature, SignatureError};

/// Publishers that a package may need: each is a signature check, and nobody reviews more.
const SIGNATURES_MIN_MAX: i64 = 16;

const KINDS: [(&str, PluginKind); 3] =
    [("connector", PluginKind::Connector), ("transformer", PluginKind::Transformer), ("scorer", PluginKind::Scorer)];

/// When trust is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A package is taken in, staged or activated.
    New,
    /// It is active already: only a revoked key stops it.
    Active,
}

/// Whom packages are taken from.
#[derive(Debug, Clone, Default)]
pub struct TrustPolicy {
    publishers: Vec<Publisher>,
}

#[derive(Debug, Clone)]
struct Publisher {
    name: String,
    plugins: Vec<Pattern>,
    kinds: Vec<PluginKind>,
    imports: Vec<String>,
    countersigns: Vec<Pattern>,
    signatures_min: usize,
    keys: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    key: VerifierKey,
    not_after: Option<Date>,
    revoked: Option<Revoked>,
}

#[derive(Debug, Clone, Copy)]
enum Revoked {
    Ever,
    From(Date),
}

/// A plugin's name, or the beginning of names and a `*`.
#[derive(Debug, Clone)]
struct Pattern(String);

impl Pattern {
    fn parse(pattern: &str) -> Option<Self> {
        let start = pattern.strip_suffix('*');
        let good = match start {
            Some("") => true,
            // What begins so has to be able to go on as a name.
            Some(start) => PluginName::parse(&format!("{start}x")).is_ok(),
            None => PluginName::parse(pattern).is_ok(),
        };
        good.then(|| Self(pattern.to_owned()))
    }

    fn matches(&self, name: &str) -> bool {
        self.0.strip_suffix('*').map_or(self.0 == name, |start| name.starts_with(start))
    }
}

/// A package that the policy trusts. Made by [`TrustPolicy::judge`] alone.
#[derive(Debug)]
pub struct Trusted {
    signers: Vec<String>,
    lasts: Lasts,
}

/// How long a package is trusted, as far as the policy knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasts(Option<Date>);

impl Lasts {
    /// Whether it has ended: a key that it rests on is revoked from a day that has come.
    #[must_use]
    pub fn ended(self, now: Instant) -> bool {
        self.ended_by(|| now)
    }

    /// The same; the time is asked for only where it matters.
    #[must_use]
    pub fn ended_by(self, now: impl FnOnce() -> Instant) -> bool {
        self.0.is_some_and(|day| now().date().is_none_or(|today| today >= day))
    }
}

impl Trusted {
    /// `name+hash` of the keys that it rests on.
    #[must_use]
    pub fn signers(&self) -> &[String] {
        &self.signers
    }

    /// How long.
    #[must_use]
    pub fn lasts(&self) -> Lasts {
        self.lasts
    }
}

/// One reason why a package is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// There is no signature.
    #[error("it is not signed; have its publisher sign it with `portreeve plugin sign`")]
    Unsigned,
    /// The signature itself is wrong.
    #[error(transparent)]
    Signature(SignatureError),
    /// Nobody by that name is trusted.
    #[error(
        "its publisher is `{found}`, and trust.toml names {known}; add a [[publisher]] with its keys if you trust it"
    )]
    UnknownPublisher {
        /// The manifest's word.
        found: String,
        /// Those that are named.
        known: String,
    },
    /// The publisher may ship other plugins only.
    #[error(
        "`{publisher}` ships it as {what} `{found}`, and trust.toml lets it ship {allowed}; add it to `{key}` of that publisher if it should"
    )]
    NotFor {
        /// Who.
        publisher: String,
        /// `plugin`, `a kind of` or `import`.
        what: &'static str,
        /// What was found.
        found: String,
        /// What is allowed.
        allowed: String,
        /// The key in `trust.toml`.
        key: &'static str,
    },
    /// Its own publisher did not sign it.
    #[error("no key of its publisher `{publisher}` signed it; signed by {claimed}, expected {expected}")]
    NotByPublisher {
        /// Who should have.
        publisher: String,
        /// Keys that claim to have.
        claimed: String,
        /// The publisher's keys.
        expected: String,
    },
    /// A key that signed it does not count any more.
    #[error("key `{key}` of `{publisher}` was revoked; have it signed with another one")]
    Revoked {
        /// Whose.
        publisher: String,
        /// Which.
        key: String,
    },
    /// A key that signed it lets nothing new in.
    #[error("key `{key}` of `{publisher}` was good until {not_after}; have it signed with another one")]
    RanOut {
        /// Whose.
        publisher: String,
        /// Which.
        key: String,
        /// The last day.
        not_after: Date,
    },
    /// Too few signed it.
    #[error(
        "{found} of {required} publishers signed it ({signers}); have another one that trust.toml lets countersign it sign it"
    )]
    TooFew {
        /// How many count.
        found: usize,
        /// How many have to.
        required: usize,
        /// Who.
        signers: String,
    },
}

/// Everything that keeps a package from being trusted; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted(Vec<Distrust>);

impl Untrusted {
    /// The reasons.
    #[must_use]
    pub fn reasons(&self) -> &[Distrust] {
        &self.0
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "it is not trusted: {}", reasons.join("; "))
    }
}

impl std::error::Error for Untrusted {}

impl TrustPolicy {
    /// Reads `trust.toml`.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, key, what was found and expected.
    pub fn load(file: &SourceFile<'_>) -> Result<Self, LoadErrors> {
        let mut problems = Problems::new();
        let mut policy = Self::default();
        if let Some(mut root) = Table::parse(*file, &mut problems) {
            let mut tables = root.tables("publisher", &mut problems);
            for table in &mut tables {
                let publisher = Publisher::read(table, &policy.publishers, &mut problems);
                policy.publishers.extend(publisher);
            }
            // Each table made its publisher, or there is a problem already.
            if problems.is_empty() {
                policy.find_what_nobody_can_sign(&tables, &mut problems);
            }
            tables.into_iter().for_each(|table| table.finish(&mut problems));
            root.finish(&mut problems);
        }
        if problems.is_empty() { Ok(policy) } else { Err(LoadErrors::new(problems)) }
    }

    /// Plugins that a publisher may ship, and that no package of which could ever count:
    /// too few publishers may sign it, whoever wants to.
    fn find_what_nobody_can_sign(&self, tables: &[Table<'_>], problems: &mut Problems) {
        let signers = Signers::of(&self.publishers);
        for ((index, publisher), table) in self.publishers.iter().enumerate().zip(tables) {
            let others = publisher.signatures_min.saturating_sub(1);
            for pattern in publisher.plugins.iter().filter(|pattern| !signers.suffice(pattern, index, others)) {
                if problems.len() >= PROBLEMS_MAX {
                    // Each takes a look at everybody, and so many are told.
                    return;
                }
                let found =
                    format!("{}, and for `{}` of `plugins` fewer may sign", publisher.signatures_min, pattern.0);
                let allowed = "no more than could ever sign; have others name it in `countersigns`, or ask for fewer";
                table.wrong("signatures_min", &found, allowed, problems);
            }
        }
    }

    /// Whether a package counts, and for how long.
    ///
    /// # Errors
    /// Everything that speaks against it.
    pub fn judge(&self, package: &Package, occasion: Occasion, now: Instant) -> Result<Trusted, Untrusted> {
        self.weigh(package.manifest(), package.digest(), package.signature(), occasion, now)
    }

    /// Everything that speaks against something that may be no package yet.
    #[must_use]
    pub fn doubts(
        &self,
        manifest: &Manifest,
        digest: Digest,
        signature: Option<&Signature>,
        now: Instant,
    ) -> Vec<Distrust> {
        let untrusted = self.weigh(manifest, digest, signature, Occasion::New, now).err();
        untrusted.map(|Untrusted(reasons)| reasons).unwrap_or_default()
    }

    fn weigh(
        &self,
        manifest: &Manifest,
        digest: Digest,
        signature: Option<&Signature>,
        occasion: Occasion,
        now: Instant,
    ) -> Result<Trusted, Untrusted> {
        let about = &manifest.plugin;
        let mut reasons: Vec<Distrust> = match signature {
            Some(signature) => signature.differs_from(manifest, digest).into_iter().map(Distrust::Signature).collect(),
            None => vec![Distrust::Unsigned],
        };
        let Some(own) = self.publishers.iter().find(|publisher| publisher.name == about.publisher) else {
            let known: Vec<String> = self.publishers.iter().map(|publisher| format!("`{}`", publisher.name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            reasons.push(Distrust::UnknownPublisher { found: about.publisher.clone(), known });
            return Err(Untrusted(reasons));
        };
        reasons.extend(own.may_not_ship(manifest));
        let Some(signature) = signature else {
            // Who has signed is known; how many would have to is worth a word.
            if own.signatures_min > 1 {
                reasons.push(Distrust::TooFew { found: 0, required: own.signatures_min, signers: listed(Vec::new()) });
            }
            return Err(Untrusted(reasons));
        };

        let mut counted: Vec<Counted> = Vec::new();
        let mut passed_over = Vec::new();
        let entitled =
            self.publishers.iter().filter(|one| one.name == own.name || one.countersigns(about.name.as_str()));
        for publisher in entitled {
            let (best, why_not) = publisher.signed(signature, occasion, now);
            counted.extend(best);
            passed_over.extend(why_not);
        }
        let own_lasts = counted.iter().find(|one| one.publisher == own.name).map(|one| one.lasts);
        if own_lasts.is_none() {
            reasons.push(Distrust::NotByPublisher {
                publisher: own.name.clone(),
                claimed: listed(signature.claimed()),
                expected: listed(own.keys.iter().map(|key| key.key.name_and_hash()).collect()),
            });
        }
        if counted.len() < own.signatures_min {
            reasons.push(Distrust::TooFew {
                found: counted.len(),
                required: own.signatures_min,
                signers: listed(counted.iter().map(|one| one.key.clone()).collect()),
            });
        }
        // A wrong line under a known key is somebody's forgery, whoever else signed it.
        let forged = passed_over.iter().any(|reason| matches!(reason, Distrust::Signature(_)));
        if !reasons.is_empty() || forged {
            reasons.extend(passed_over);
            return Err(Untrusted(reasons));
        }
        let lasts = lasts(&counted, own_lasts.flatten(), own.signatures_min);
        Ok(Trusted { signers: counted.into_iter().map(|one| one.key).collect(), lasts: Lasts(lasts) })
    }
}

/// Which publishers may countersign which names.
///
/// Patterns are names and beginnings of names, so who may sign changes only at what they
/// begin with: it is enough to look at these names.
struct Signers<'a> {
    exactly: BTreeMap<&'a str, BTreeSet<usize>>,
    beginning: BTreeMap<&'a str, BTreeSet<usize>>,
    /// Who may sign each name that some pattern begins with.
    at: BTreeMap<&'a str, BTreeSet<usize>>,
}

impl<'a> Signers<'a> {
    fn of(publishers: &'a [Publisher]) -> Self {
        let mut signers = Self { exactly: BTreeMap::new(), beginning: BTreeMap::new(), at: BTreeMap::new() };
        for (index, publisher) in publishers.iter().enumerate() {
            for pattern in &publisher.countersigns {
                let (patterns, start) = match pattern.0.strip_suffix('*') {
                    Some(start) => (&mut signers.beginning, start),
                    None => (&mut signers.exactly, pattern.0.as_str()),
                };
                patterns.entry(start).or_default().insert(index);
            }
        }
        let names: BTreeSet<&str> = signers.exactly.keys().chain(signers.beginning.keys()).copied().collect();
        signers.at = names.into_iter().map(|name| (name, signers.of_name(name))).collect();
        signers
    }

    /// Who may sign a name; nobody asks for more than [`SIGNATURES_MIN_MAX`], and of more
    /// publishers one is kept beyond.
    fn of_name(&self, name: &str) -> BTreeSet<usize> {
        let enough = usize::try_from(SIGNATURES_MIN_MAX).unwrap_or(usize::MAX);
        let starts = (0..=name.len()).filter_map(|end| self.beginning.get(name.get(..end)?));
        let mut kept = BTreeSet::new();
        for signer in self.exactly.get(name).into_iter().chain(starts).flatten() {
            kept.insert(*signer);
            if kept.len() > enough {
                break;
            }
        }
        kept
    }

    /// Whether so many publishers beside this one may sign some name of a pattern.
    fn suffice(&self, pattern: &Pattern, beside: usize, others: usize) -> bool {
        let enough = |signers: &BTreeSet<usize>| signers.iter().filter(|signer| **signer != beside).count() >= others;
        match pattern.0.strip_suffix('*') {
            None => enough(&self.of_name(&pattern.0)),
            Some(start) => {
                let below = self.at.range(start..).take_while(|(name, _)| name.starts_with(start));
                enough(&self.of_name(start)) || below.map(|(_, signers)| signers).any(enough)
            }
        }
    }
}

/// A publisher whose signature counts, by the key that counts longest.
struct Counted {
    publisher: String,
    key: String,
    lasts: Option<Date>,
}

/// Until when enough of them count: the publisher itself, and the last of those that are needed.
fn lasts(counted: &[Counted], own: Option<Date>, needed: usize) -> Option<Date> {
    let mut ends: Vec<Option<Date>> = counted.iter().map(|one| one.lasts).collect();
    // The longest first; none is for ever.
    ends.sort_by_key(|end| (end.is_some(), std::cmp::Reverse(*end)));
    let enough = ends.get(needed.saturating_sub(1)).copied().flatten();
    [own, enough].into_iter().flatten().min()
}

impl Publisher {
    fn read(table: &mut Table<'_>, earlier: &[Self], problems: &mut Problems) -> Option<Self> {
        let name = table.required("name", "a publisher's name, as manifests have it", problems, |value| {
            text(value).filter(|name| PluginName::parse(name).is_ok())
        });
        let known = Imports::keys();
        let pattern = |value: &DeValue<'_>| value.as_str().and_then(Pattern::parse);
        let patterns = "names of plugins, or their beginning and `*`";
        let plugins = table.list("plugins", patterns, problems, pattern);
        let kinds =
            table.list("kinds", "`connector`, `transformer` or `scorer`", problems, |value| choice(value, &KINDS));
        let import = |value: &DeValue<'_>| text(value).filter(|import| known.contains(import));
        let imports = table.list("imports", &format!("out of {}", known.join(", ")), problems, import);
        let countersigns = table.list("countersigns", patterns, problems, pattern);
        let range = 1..=SIGNATURES_MIN_MAX;
        let signatures_min =
            table.optional("signatures_min", "1 to 16", problems, |value| whole(value, &range)).unwrap_or(1);
        let tables = table.tables("key", problems);
        if tables.is_empty() {
            table.wrong("key", "missing", "one or more `[[publisher.key]]`", problems);
        }
        let mut keys: Vec<Key> = Vec::new();
        for one in tables {
            keys.extend(Key::read(one, earlier.iter().flat_map(|other| &other.keys).chain(&keys), problems));
        }
        if plugins.is_empty() && countersigns.is_empty() {
            table.wrong("plugins", "nothing", "what it ships, or `countersigns`", problems);
        }
        if plugins.is_empty() != kinds.is_empty() {
            table.wrong("kinds", "`plugins` without `kinds`, or the other way round", "both or neither", problems);
        }
        if let Some(name) = name.as_ref().filter(|name| earlier.iter().any(|other| other.name == **name)) {
            table.wrong("name", &format!("`{name}` again"), "each publisher once", problems);
        }
        let signatures_min = usize::try_from(signatures_min).unwrap_or(1);
        Some(Self { name: name?, plugins, kinds, imports, countersigns, signatures_min, keys })
    }

    fn countersigns(&self, plugin: &str) -> bool {
        self.countersigns.iter().any(|pattern| pattern.matches(plugin))
    }

    /// What of a package this publisher may not ship.
    fn may_not_ship(&self, manifest: &Manifest) -> Vec<Distrust> {
        let not_for = |what, key, found: &str, allowed: Vec<String>| Distrust::NotFor {
            publisher: self.name.clone(),
            what,
            found: found.to_owned(),
            allowed: listed(allowed),
            key,
        };
        let mut reasons = Vec::new();
        let name = manifest.plugin.name.as_str();
        if !self.plugins.iter().any(|pattern| pattern.matches(name)) {
            let allowed = self.plugins.iter().map(|pattern| pattern.0.clone()).collect();
            reasons.push(not_for("plugin", "plugins", name, allowed));
        }
        if !self.kinds.contains(&manifest.plugin.kind) {
            let allowed = self.kinds.iter().map(ToString::to_string).collect();
            reasons.push(not_for("a", "kinds", &manifest.plugin.kind.to_string(), allowed));
        }
        for import in manifest.imports.asked().into_iter().filter(|import| !self.imports.contains(import)) {
            reasons.push(not_for("a plugin with the import", "imports", &import, self.imports.clone()));
        }
        reasons
    }

    /// The key of this publisher that counts longest, and why others that signed do not.
    fn signed(&self, signature: &Signature, occasion: Occasion, now: Instant) -> (Option<Counted>, Vec<Distrust>) {
        let mut best: Option<Counted> = None;
        let mut why_not = Vec::new();
        for key in &self.keys {
            match key.counts(signature, occasion, now) {
                Ok(None) => {}
                Ok(Some(lasts)) => {
                    let longer =
                        best.as_ref().is_none_or(|one| one.lasts.is_some_and(|end| lasts.is_none_or(|new| new > end)));
                    if longer {
                        best = Some(Counted { publisher: self.name.clone(), key: key.key.name_and_hash(), lasts });
                    }
                }
                Err(NotCounted::Forged(error)) => why_not.push(Distrust::Signature(error)),
                Err(NotCounted::Revoked) => {
                    why_not.push(Distrust::Revoked { publisher: self.name.clone(), key: key.key.name_and_hash() });
                }
                Err(NotCounted::RanOut(not_after)) => {
                    let (publisher, key) = (self.name.clone(), key.key.name_and_hash());
                    why_not.push(Distrust::RanOut { publisher, key, not_after });
                }
            }
        }
        (best, why_not)
    }
}

enum NotCounted {
    Forged(SignatureError),
    Revoked,
    RanOut(Date),
}

impl Key {
    fn read<'a>(mut table: Table<'_>, others: impl Iterator<Item = &'a Self>, problems: &mut Problems) -> Option<Self> {
        let key = table.required("key", "a verifying key, `name+hash+base64`", problems, |value| {
            value.as_str().and_then(|text| VerifierKey::parse(text).ok())
        });
        let not_after = table.optional("not_after", "a date such as 2027-12-31", problems, date);
        let revoked =
            table.optional("revoked", "`true`, or a date such as 2026-11-30", problems, |value| match value {
                DeValue::Boolean(true) => Some(Revoked::Ever),
                value => date(value).map(Revoked::From),
            });
        table.optional("reason", "a text", problems, text);
        let mut others = others;
        if let Some(key) = key.as_ref().filter(|key| others.any(|other| other.key.is_same_key(key))) {
            let found = format!("`{}` again, whatever its name", key.name_and_hash());
            table.wrong("key", &found, "each key once", problems);
        }
        table.finish(problems);
        Some(Self { key: key?, not_after, revoked })
    }

    /// None when it did not sign; else from which day on its signature counts no more.
    fn counts(
        &self,
        signature: &Signature,
        occasion: Occasion,
        now: Instant,
    ) -> Result<Option<Option<Date>>, NotCounted> {
        if !signature.is_by(&self.key).map_err(NotCounted::Forged)? {
            return Ok(None);
        }
        let lasts = match self.revoked {
            Some(Revoked::Ever) => return Err(NotCounted::Revoked),
            Some(Revoked::From(day)) => Some(day),
            None => None,
        };
        if Lasts(lasts).ended(now) {
            return Err(NotCounted::Revoked);
        }
        match self.not_after {
            Some(last) if occasion == Occasion::New && now.date().is_none_or(|today| today > last) => {
                Err(NotCounted::RanOut(last))
            }
            _ => Ok(Some(lasts)),
        }
    }
}

/// Names for a sentence.
fn listed(names: Vec<String>) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
