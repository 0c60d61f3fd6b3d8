//! What people may do: roles, queues, tiers of value, and who may not judge whose work.
//!
//! ```toml
//! [[calendar]]
//! id = "desk"
//! zone = "America/Chicago"         # IANA; hours below are of its wall clock
//! days = ["monday", "tuesday", "wednesday", "thursday", "friday"]
//! from = "08:00"
//! to = "17:00"
//! closed = [2026-12-25]
//!
//! [[queue]]                        # each queue of `[host] queues` has one
//! id = "fraud-review"
//! calendar = "desk"                # or `always`
//! due_minutes = 240                # open minutes of the calendar, from opening to decision
//! escalates_to = "order-desk"      # who hears of an exception that nobody decided in time
//!
//! [[role]]
//! id = "fraud-resolver"            # stable: accounts name it
//! resolves = ["fraud-review"]      # queues whose exceptions it works on
//! approves = []                    # queues in which it approves what somebody else proposed
//! approves_max = []                # up to which value: [{ currency = "USD", minor = 5000000 }]
//! may = []                         # beside that: operate, publish, administer
//!
//! [approval]
//! proposal_minutes = 480           # an undecided proposal expires, and decides nothing
//!
//! [[approval.tier]]                # one for each currency that orders come in
//! currency = "USD"
//! alone_max_minor = 500000         # up to this whoever resolves decides alone
//! one_max_minor = 5000000          # up to this one approver, above it two
//! ```
//!
//! Every role may read. An amount in a currency without a tier cannot be compared with
//! anything, so nobody lets it go. Whoever made something (proposed it, or mended the input
//! that it came from) never approves it, and the owner of a model never decides what the
//! model asked for.
//!
//! [`People`] answers; it knows no account and no exception. The caller shows who asks, for what,
//! and what is at stake.

mod file;

mod hours;

use std::collections::BTreeMap;

use portreeve_model::strict::{LoadErrors, Problems, SourceFile};
use portreeve_model::{Currency, Digest, ExceptionAction, ExceptionKind, Instant, Money};

use self::hours::Calendar;
use crate::known::Known;

/// What a role may do beside working on exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// Try deliveries and inputs again, load reference tables.
    Operate,
    /// Install, activate and roll back plugins, stop them and all of them.
    Publish,
    /// Accounts, trust.
    Administer,
}

const ACTS: [(&str, Act); 3] = [("operate", Act::Operate), ("publish", Act::Publish), ("administer", Act::Administer)];

impl Act {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Operate, Self::Publish, Self::Administer];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operate => "operate",
            Self::Publish => "publish",
            Self::Administer => "administer",
        }
    }
}

/// Who asks: somebody who has proved who it is.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The account.
    pub name: &'a str,
    /// The address by which grants name an owner.
    pub email: Option<&'a str>,
    /// The roles of the account; those that the file does not have count for nothing.
    pub roles: &'a [String],
}

/// What a decision is about.
#[derive(Debug, Clone, Copy)]
pub struct Stake<'a> {
    /// What waits.
    pub kind: ExceptionKind,
    /// Whose work it is.
    pub queue: &'a str,
    /// What it is worth, where it is worth something that can be told.
    pub value: Option<&'a Money>,
    /// Accounts that made it what it is.
    pub makers: &'a [String],
    /// Owners of the grants under which a model asked for it.
    pub owners: &'a [String],
}

/// What somebody proposed, and who agreed so far.
#[derive(Debug, Clone, Copy)]
pub struct Proposed<'a> {
    /// What.
    pub action: ExceptionAction,
    /// Who proposed it.
    pub by: &'a str,
    /// Who approved it.
    pub approved_by: &'a [String],
}

/// Why somebody may not do something, and who may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The kind of exception has no such action.
    #[error("an exception of kind `{}` has no action `{}`; it has {}", kind.as_str(), action.as_str(), listed(kind.actions().iter().map(|action| action.as_str())))]
    NoSuchAction {
        /// The kind.
        kind: ExceptionKind,
        /// What was asked for.
        action: ExceptionAction,
    },
    /// The queue is not one of a role of this person.
    #[error("no role of `{name}` {verb} queue `{queue}`; {} would allow it", listed_or_none(would))]
    Queue {
        /// The account.
        name: String,
        /// `resolves` or `approves in`.
        verb: &'static str,
        /// The queue.
        queue: String,
        /// Roles that would allow it.
        would: Vec<String>,
    },
    /// Beside exceptions.
    #[error("no role of `{name}` may {}; {} would allow it", act.as_str(), listed_or_none(would))]
    Act {
        /// The account.
        name: String,
        /// What was asked for.
        act: Act,
        /// Roles that would allow it.
        would: Vec<String>,
    },
    /// The work of the same person.
    #[error("`{name}` {did}, and nobody judges work of their own; another person with a role for queue `{queue}` may")]
    Maker {
        /// The account.
        name: String,
        /// What this person did.
        did: &'static str,
        /// The queue.
        queue: String,
    },
    /// The person answers for the model.
    #[error(
        "`{name}` owns the grant under which the model asked for this, and no owner decides about what the own model asked for; another person with a role for queue `{queue}` may"
    )]
    Owner {
        /// The account.
        name: String,
        /// The queue.
        queue: String,
    },
    /// Too much for this person.
    #[error("found {found}, expected at most {}: more than `{name}` may approve; {} would allow it", most.as_deref().unwrap_or("nothing in this currency"), listed_or_none(would))]
    AboveTier {
        /// The account.
        name: String,
        /// What it is worth.
        found: String,
        /// Up to what.
        most: Option<String>,
        /// Roles that would allow it.
        would: Vec<String>,
    },
    /// There is nothing to compare the value with.
    #[error(
        "found {found}, and `people.toml` has no `[[approval.tier]]` for that currency; write one that says who lets such an amount go"
    )]
    NoTier {
        /// What it is worth.
        found: String,
    },
}

/// How many others have to agree before something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Approvals(pub u8);

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    resolves: Vec<String>,
    approves: Vec<String>,
    approves_max_minor: BTreeMap<Currency, i64>,
    may: Vec<Act>,
}

/// A queue, as people work on it.
#[derive(Debug)]
struct Queue {
    calendar: Option<Calendar>,
    due_minutes: u32,
    escalates_to: Option<String>,
}

/// Up to what value who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    alone_max_minor: i64,
    one_max_minor: i64,
}

/// The file in force.
#[derive(Debug)]
pub struct People {
    roles: BTreeMap<String, Role>,
    queues: BTreeMap<String, Queue>,
    tiers: BTreeMap<Currency, Tier>,
    proposal_minutes: u32,
    digest: Digest,
}

impl People {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: &SourceFile<'_>, known: &Known) -> Result<Self, LoadErrors> {
        let mut problems = Problems::new();
        let people = file::read_file(*file, known, &mut problems);
        match people {
            Some(people) if problems.is_empty() => Ok(people),
            _ => Err(LoadErrors::new(problems)),
        }
    }

    /// No roles at all: nobody may do anything.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            roles: BTreeMap::new(),
            queues: BTreeMap::new(),
            tiers: BTreeMap::new(),
            proposal_minutes: 0,
            digest: Digest::of(b""),
        }
    }

    /// The digest of the file, which every decision of a person records.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The roles that accounts may have, by id.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    /// Until when an exception that was opened in this queue is to be decided: so many minutes in
    /// which its people are at work.
    #[must_use]
    pub fn due_at(&self, queue: &str, opened_at: Instant) -> Option<Instant> {
        let queue = self.queues.get(queue)?;
        let minutes = i64::from(queue.due_minutes);
        match &queue.calendar {
            Some(calendar) => calendar.after(opened_at, minutes),
            None => Some(opened_at.plus_ms(minutes.saturating_mul(Instant::MINUTE_MS))),
        }
    }

    /// The queues, by name.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.queues.keys().map(String::as_str)
    }

    /// Whether there is a queue of this name.
    #[must_use]
    pub fn has_queue(&self, queue: &str) -> bool {
        self.queues.contains_key(queue)
    }

    /// Who hears of an exception of this queue that was not decided in time.
    #[must_use]
    pub fn escalates_to(&self, queue: &str) -> Option<&str> {
        self.queues.get(queue)?.escalates_to.as_deref()
    }

    /// Until when a proposal can be approved.
    #[must_use]
    pub fn proposal_expires_at(&self, at: Instant) -> Instant {
        at.plus_ms(i64::from(self.proposal_minutes).saturating_mul(Instant::MINUTE_MS))
    }

    /// Whether this person may do something beside exceptions.
    ///
    /// # Errors
    /// Which roles would allow it.
    pub fn may(&self, actor: Actor<'_>, act: Act) -> Result<(), Denied> {
        if self.roles_of(actor).any(|role| role.may.contains(&act)) {
            return Ok(());
        }
        Err(Denied::Act { name: actor.name.to_owned(), act, would: self.which(|role| role.may.contains(&act)) })
    }

    /// Queues whose exceptions this person works on, or approves in.
    #[must_use]
    pub fn queues_of(&self, actor: Actor<'_>) -> Vec<&str> {
        let mut queues: Vec<&str> = self
            .roles_of(actor)
            .flat_map(|role| role.resolves.iter().chain(&role.approves))
            .map(String::as_str)
            .collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// Whether this person works on exceptions of a queue: claims, comments, hands over.
    ///
    /// # Errors
    /// Which roles would allow it.
    pub fn may_work_on(&self, actor: Actor<'_>, queue: &str) -> Result<(), Denied> {
        let works = |role: &Role| role.resolves.iter().any(|own| own == queue);
        if self.roles_of(actor).any(works) {
            return Ok(());
        }
        Err(self.not_the_queue(actor, "resolves", queue, works))
    }

    /// Whether this person may decide this about an exception, and how many others have to agree
    /// before it is done.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn may_decide(&self, actor: Actor<'_>, action: ExceptionAction, stake: Stake<'_>) -> Result<Approvals, Denied> {
        // Check: the action is one of the kind's.
        if !stake.kind.actions().contains(&action) {
            return Err(Denied::NoSuchAction { kind: stake.kind, action });
        }
        // Check: the queue is one of the person's.
        self.may_work_on(actor, stake.queue)?;
        // Check: it is neither the person's own work nor the person's own model's. Whoever confirms
        // a model's hold speaks for the model, and is counted so.
        if action.is_weighty() || action == ExceptionAction::ConfirmHolds {
            not_ones_own(actor, stake)?;
        }
        if !action.is_weighty() {
            return Ok(Approvals(0));
        }
        // Check: nobody alone changes what the host had decided to say, whatever it is worth.
        let least = u8::from(action == ExceptionAction::Correct);
        // Check: what it is worth.
        let Some(value) = stake.value else { return Ok(Approvals(least)) };
        let tier = self.tiers.get(&value.currency).ok_or_else(|| Denied::NoTier { found: value.to_string() })?;
        Ok(Approvals(match value.minor {
            minor if minor <= tier.alone_max_minor => least,
            minor if minor <= tier.one_max_minor => 1,
            _ => 2,
        }))
    }

    /// Whether this person may agree to what somebody else proposed.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn may_approve(&self, actor: Actor<'_>, proposed: Proposed<'_>, stake: Stake<'_>) -> Result<(), Denied> {
        let approves = |role: &Role| role.approves.iter().any(|own| own == stake.queue);
        // Check: the queue is one that the person approves in.
        if !self.roles_of(actor).any(approves) {
            return Err(self.not_the_queue(actor, "approves in", stake.queue, approves));
        }
        // Check: maker is never checker, and nobody counts twice.
        if actor.name == proposed.by {
            return Err(maker(actor, "proposed this", stake));
        }
        if proposed.approved_by.iter().any(|name| name == actor.name) {
            return Err(maker(actor, "approved this already", stake));
        }
        not_ones_own(actor, stake)?;
        // Check: the tier covers the value.
        let Some(value) = stake.value else { return Ok(()) };
        let covers = |role: &Role| {
            approves(role) && role.approves_max_minor.get(&value.currency).is_some_and(|most| value.minor <= *most)
        };
        if self.roles_of(actor).any(covers) {
            return Ok(());
        }
        let most = self.roles_of(actor).filter(|role| approves(role));
        let most = most.filter_map(|role| role.approves_max_minor.get(&value.currency)).max();
        Err(Denied::AboveTier {
            name: actor.name.to_owned(),
            found: value.to_string(),
            most: most.map(|minor| Money { minor: *minor, currency: value.currency }.to_string()),
            would: self.which(covers),
        })
    }

    fn roles_of<'a>(&'a self, actor: Actor<'_>) -> impl Iterator<Item = &'a Role> {
        actor.roles.iter().filter_map(|id| self.roles.get(id))
    }

    fn which(&self, allows: impl Fn(&Role) -> bool) -> Vec<String> {
        self.roles.iter().filter(|(_, role)| allows(role)).map(|(id, _)| id.clone()).collect()
    }

    fn not_the_queue(
        &self,
        actor: Actor<'_>,
        verb: &'static str,
        queue: &str,
        allows: impl Fn(&Role) -> bool,
    ) -> Denied {
        Denied::Queue { name: actor.name.to_owned(), verb, queue: queue.to_owned(), would: self.which(allows) }
    }
}

fn not_ones_own(actor: Actor<'_>, stake: Stake<'_>) -> Result<(), Denied> {
    if stake.makers.iter().any(|maker| maker == actor.name) {
        return Err(maker(actor, "mended the input that this came from", stake));
    }
    let is_owner =
        |owner: &String| owner == actor.name || actor.email.is_some_and(|email| owner.eq_ignore_ascii_case(email));
    if stake.owners.iter().any(is_owner) {
        return Err(Denied::Owner { name: actor.name.to_owned(), queue: stake.queue.to_owned() });
    }
    Ok(())
}

fn maker(actor: Actor<'_>, did: &'static str, stake: Stake<'_>) -> Denied {
    Denied::Maker { name: actor.name.to_owned(), did, queue: stake.queue.to_owned() }
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn listed_or_none(roles: &[String]) -> String {
    if roles.is_empty() { "no role of `people.toml`".to_owned() } else { listed(roles.iter().map(String::as_str)) }
}
