//! The answer: what an order's advice may cause, and why.
//!
//! A [`Verdict`] is proof that authority decided: its fields are private and only
//! this crate makes one, so that an effect without a decision cannot be written
//! down. Its codes and clauses go into audit leaves, so they hold names from
//! configuration and numbers, and never text that a plugin or a sender was free to
//! choose. The effect of a granted recommendation does hold such text (a draft, a
//! node's name): that part is payload, for people, not for leaves.

use std::fmt;
use std::sync::Arc;

use portreeve_model::advice::HoldScope;
use portreeve_model::{Date, Digest, Instant, Money, OrderId, PluginName, Recommendation, ShareCeiling};

use crate::grant::{Grant, Rung};

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it was proposed.
    Granted,
    /// Less than was proposed: fewer minutes, or a lower rung.
    Narrowed,
    /// Nothing but a record.
    Refused,
}

impl Outcome {
    /// The word used in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Narrowed => "narrowed",
            Self::Refused => "refused",
        }
    }
}

/// What the host is to do. Additive: an effect adds caution and takes none away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep the order, or lines of it, for a while.
    Hold {
        /// The order, or some of its lines.
        scope: HoldScope,
        /// How long, after narrowing.
        minutes: u32,
        /// When the hold expires; expiry escalates, it never releases.
        until: Instant,
        /// Where people see the held order.
        queue: String,
    },
    /// Keep the order until people have looked at it.
    Route {
        /// A queue that the grant names.
        queue: String,
        /// How long it waits.
        minutes: u32,
        /// When it escalates; it is not released then.
        until: Instant,
    },
    /// Advice for a person; the order goes on.
    Recommend(Recommendation),
    /// Write it down, nothing else.
    RecordOnly,
}

impl Effect {
    /// The rung of the ladder; none for [`Effect::RecordOnly`], which is below all.
    #[must_use]
    pub fn rung(&self) -> Option<Rung> {
        match self {
            Self::Hold { .. } => Some(Rung::Hold),
            Self::Route { .. } => Some(Rung::Route),
            Self::Recommend(_) => Some(Rung::Recommend),
            Self::RecordOnly => None,
        }
    }
}

/// Why the verdict is what it is; stable words for records and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Every clause held.
    Granted,
    /// The hold is shorter than proposed.
    MinutesNarrowed,
    /// Above a ceiling of the grant or its budget of routes, and fell to a lower rung.
    FellBelowCeiling,
    /// A budget is spent; the host keeps the order for people, by the grant's word.
    BudgetSpentQueued,
    /// A budget is spent and the order passes, as the grant says.
    BudgetSpentReleased,
    /// No grant names the plugin.
    NoGrant,
    /// The grant is for another publisher.
    PublisherNotGranted,
    /// The grant is for other components.
    DigestNotGranted,
    /// The grant's last day is over.
    GrantExpired,
    /// The grant is for another time of day.
    OutsideHours,
    /// The grant is for other channels.
    ChannelNotGranted,
    /// The grant is for other customer classes.
    CustomerClassNotGranted,
    /// The grant does not allow this rung.
    RungNotGranted,
    /// The grant does not name this queue.
    QueueNotGranted,
    /// The grant does not name this kind of recommendation.
    RecommendationNotGranted,
    /// The order's value is above the ceiling or in another currency.
    ValueBeyondCeiling,
    /// More minutes than the ceiling.
    MinutesBeyondCeiling,
    /// The proposal contradicts the order or itself.
    MalformedProposal,
    /// No Cedar policy permits it, or one forbids it.
    PolicyDenied,
    /// A Cedar policy could not be evaluated.
    PolicyError,
    /// A proposal that this version has no word for.
    UnknownProposal,
}

impl Code {
    /// The word used in records: lower case with dashes, never changed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::MinutesNarrowed => "minutes-narrowed",
            Self::FellBelowCeiling => "fell-below-ceiling",
            Self::BudgetSpentQueued => "budget-spent-queued",
            Self::BudgetSpentReleased => "budget-spent-released",
            Self::NoGrant => "no-grant",
            Self::PublisherNotGranted => "publisher-not-granted",
            Self::DigestNotGranted => "digest-not-granted",
            Self::GrantExpired => "grant-expired",
            Self::OutsideHours => "outside-hours",
            Self::ChannelNotGranted => "channel-not-granted",
            Self::CustomerClassNotGranted => "customer-class-not-granted",
            Self::RungNotGranted => "rung-not-granted",
            Self::QueueNotGranted => "queue-not-granted",
            Self::RecommendationNotGranted => "recommendation-not-granted",
            Self::ValueBeyondCeiling => "value-beyond-ceiling",
            Self::MinutesBeyondCeiling => "minutes-beyond-ceiling",
            Self::MalformedProposal => "malformed-proposal",
            Self::PolicyDenied => "policy-denied",
            Self::PolicyError => "policy-error",
            Self::UnknownProposal => "unknown-proposal",
        }
    }

    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Granted,
        Self::MinutesNarrowed,
        Self::FellBelowCeiling,
        Self::BudgetSpentQueued,
        Self::BudgetSpentReleased,
        Self::NoGrant,
        Self::PublisherNotGranted,
        Self::DigestNotGranted,
        Self::GrantExpired,
        Self::OutsideHours,
        Self::ChannelNotGranted,
        Self::CustomerClassNotGranted,
        Self::RungNotGranted,
        Self::QueueNotGranted,
        Self::RecommendationNotGranted,
        Self::ValueBeyondCeiling,
        Self::MinutesBeyondCeiling,
        Self::MalformedProposal,
        Self::PolicyDenied,
        Self::PolicyError,
        Self::UnknownProposal,
    ];

    /// What it means, for people who never read a grant.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Granted => "it asked for no more than it is allowed",
            Self::MinutesNarrowed => "it asked for a longer hold than it is allowed, and got the longest",
            Self::FellBelowCeiling => "it asked for more than it is allowed, and got the next smaller thing",
            Self::BudgetSpentQueued => {
                "it has used up what it may hold, so the host keeps the order for people by itself"
            }
            Self::BudgetSpentReleased => {
                "it has used up what it may cause, and its grant says that such an order goes on"
            }
            Self::NoGrant => "nobody allowed this plugin anything",
            Self::PublisherNotGranted => "the grant is for a component of another publisher",
            Self::DigestNotGranted => "the grant is for other builds of this plugin",
            Self::GrantExpired => "the grant's last day is over",
            Self::OutsideHours => "the grant is for another time of day",
            Self::ChannelNotGranted => "the grant is for orders of other channels",
            Self::CustomerClassNotGranted => "the grant is for customers of other classes",
            Self::RungNotGranted => "it asked for something that its grant does not allow at all",
            Self::QueueNotGranted => "it named a queue that its grant does not name",
            Self::RecommendationNotGranted => "it may not make this kind of recommendation",
            Self::ValueBeyondCeiling => "the order is worth more than it may touch, or in another currency",
            Self::MinutesBeyondCeiling => "it asked for a longer hold than it is allowed",
            Self::MalformedProposal => "what it asked for does not fit this order",
            Self::PolicyDenied => "no policy permits it for such an order, or one forbids it",
            Self::PolicyError => "a policy could not be evaluated, which counts as a no",
            Self::UnknownProposal => "it asked for something that this version has no word for",
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Granted => Outcome::Granted,
            Self::MinutesNarrowed | Self::FellBelowCeiling | Self::BudgetSpentQueued => Outcome::Narrowed,
            _ => Outcome::Refused,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The grant's key, or `policy`.
    pub name: &'static str,
    /// What the order, the plugin or the proposal has; no personal data.
    pub found: Said,
    /// What the grant requires.
    pub required: Said,
    /// Whether it was met. A clause that was not met narrows or refuses.
    pub held: bool,
}

/// One side of a clause. It is written out where somebody reads it: a decision has dozens, and
/// what is weighed again, or by another grant as well, nobody ever reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Words of the program's own.
    Word(&'static str),
    /// Words of a grant, or made for this clause.
    Text(Arc<str>),
    /// A number.
    Whole(i64),
    /// A number of something: `3 holds and this one`.
    Counted(i64, &'static str),
    /// `7 or less`.
    OrLess(i64),
    /// From 1 to a number, with its unit: `1 to 7 minutes`.
    OneTo(u32, &'static str),
    /// An amount.
    Amount(Money),
    /// `25.00 USD or less`.
    AmountOrLess(Money),
    /// A day.
    Day(Date),
    /// `2027-06-30 or earlier`.
    OrEarlier(Date),
    /// A component.
    Digest(Digest),
}

impl Said {
    pub(crate) fn text(what: impl fmt::Display) -> Self {
        Self::Text(what.to_string().into())
    }

    pub(crate) fn whole(number: u32) -> Self {
        Self::Whole(number.into())
    }

    pub(crate) fn count(number: usize) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Text(text) => f.write_str(text),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Counted(number, what) => write!(f, "{number} {what}"),
            Self::OrLess(most) => write!(f, "{most} or less"),
            Self::OneTo(most, unit) => write!(f, "1 to {most}{unit}"),
            Self::Amount(amount) => write!(f, "{amount}"),
            Self::AmountOrLess(most) => write!(f, "{most} or less"),
            Self::Day(day) => write!(f, "{day}"),
            Self::OrEarlier(last) => write!(f, "{last} or earlier"),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

impl Clause {
    /// What a clause of this name is about, for people who never read a grant.
    #[must_use]
    pub fn about(name: &str) -> Option<&'static str> {
        Some(match name {
            "plugin" => "a grant for this plugin",
            "publisher" => "who ships the plugin",
            "digests" => "the build of the plugin",
            "expires" => "the day",
            "hours" => "the time of day",
            "channels" => "the channel that the order came by",
            "customer_classes" => "the customer's class",
            "minutes" => "the minutes that it asked for",
            "lines" => "the lines that it named",
            "nodes" => "the ship nodes that it named",
            "date" => "the date that it named",
            "currency" => "the currency of its price",
            "may" => "what it may do",
            "order_value_max_minor" => "the order's value, to be held",
            "hold_minutes_max" => "the minutes of a hold",
            "holds_per_hour_max" => "its holds of the last hour",
            "value_held_per_day_max_minor" => "the value it holds since midnight UTC",
            "held_share_max_bp" => "its holds among the last hour's orders",
            "route_value_max_minor" => "the order's value, to be sent to people",
            "routes_per_hour_max" => "its routes of the last hour",
            "queues" => "the queue",
            "recommend" => "the kind of recommendation",
            "policy" => "the company's policies",
            _ => return None,
        })
    }
}

/// How far the budgets go that an effect uses up, with the effect counted in. It was within
/// them when it was decided; the transaction that causes it sees that it still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserve {
    /// Holds of the plugin within an hour, or routes for a route.
    pub per_hour_max: u32,
    /// The share of an hour's orders that the plugin may hold.
    pub held_share: Option<ShareCeiling>,
    /// Value of orders that the plugin holds within a day, minor units of the order's currency.
    pub value_held_per_day_max_minor: Option<i64>,
}

/// What one proposal about one order may cause.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    order: OrderId,
    plugin: PluginName,
    authority: Digest,
    proposed: Option<Rung>,
    effect: Effect,
    code: Code,
    grant: Option<Arc<Grant>>,
    policies: Vec<String>,
    clauses: Vec<Clause>,
    budget_spent: bool,
    reserve: Option<Reserve>,
}

impl Verdict {
    /// The order that it is about; it says nothing about any other.
    #[must_use]
    pub fn order(&self) -> OrderId {
        self.order
    }

    /// The plugin whose advice this answers.
    #[must_use]
    pub fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    /// The digest of the grants and policies that decided.
    #[must_use]
    pub fn authority(&self) -> Digest {
        self.authority
    }

    /// The rung that was asked for; none for a proposal without a word here.
    #[must_use]
    pub fn proposed(&self) -> Option<Rung> {
        self.proposed
    }

    /// Granted, narrowed or refused.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.code.outcome()
    }

    /// What the host is to do; [`Effect::RecordOnly`] when refused.
    #[must_use]
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// The reason, for records and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The id of the grant that decided; none when no grant names the plugin.
    #[must_use]
    pub fn grant(&self) -> Option<&str> {
        self.grant.as_ref().map(|grant| grant.id.as_str())
    }

    /// Who answers for that grant.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.grant.as_ref().map(|grant| grant.owner.as_str())
    }

    /// The Cedar policies that decided, sorted; those that failed when one failed.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Every clause that was checked, in the order of checking.
    #[must_use]
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// Whether a budget of a grant that was tried is spent: somebody has to be told,
    /// whatever the code and the effect are.
    #[must_use]
    pub fn budget_spent(&self) -> bool {
        self.budget_spent
    }

    /// What the effect uses up of the plugin's budgets, and how far they go. None where it uses
    /// up nothing: where it keeps no order, or the host keeps it by itself.
    #[must_use]
    pub fn reserve(&self) -> Option<Reserve> {
        self.reserve
    }

    /// Whether the host keeps the order by itself, because a budget is spent. It is
    /// no effect of the plugin's and uses up no budget.
    #[must_use]
    pub fn kept_by_host(&self) -> bool {
        self.code == Code::BudgetSpentQueued
    }

    /// The same, after another grant of the plugin had no budget left.
    pub(crate) fn after_spent_budget(self, spent: bool) -> Self {
        Self { budget_spent: self.budget_spent || spent, ..self }
    }

    /// What narrowed or refused it: the first clause that was not met, or the code where none
    /// was to be met; none where it was granted.
    #[must_use]
    pub fn unmet(&self) -> Option<&'static str> {
        let unmet = self.clauses.iter().find(|clause| !clause.held).map(|clause| clause.name);
        (self.outcome() != Outcome::Granted).then(|| unmet.unwrap_or_else(|| self.code.as_str()))
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let what = &self.effect;
        let asked = self.proposed.map_or("something unknown", Rung::as_str);
        let grant = self.grant().unwrap_or("none");
        let outcome = self.outcome().as_str();
        let mut line = format!("{outcome}: `{}` asked to {asked}, {what} ({}; grant {grant})", self.plugin, self.code);
        if let Some(clause) = self.clauses.iter().find(|clause| !clause.held) {
            line.push_str(&format!("; {}: found {}, required {}", clause.name, clause.found, clause.required));
        }
        line
    }

    /// How far it got: a higher rung first, and among refusals the one that met most
    /// clauses, so that the explanation is the nearest miss.
    pub(crate) fn rank(&self) -> (Option<Rung>, usize) {
        let rung = self.effect.rung();
        let met = self.clauses.iter().filter(|clause| clause.held).count();
        (rung, if rung.is_none() { met } else { 0 })
    }
}

/// What happens, without when it ends: the end moves with the clock.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold { scope, minutes, queue, .. } => {
                write!(f, "hold {} for {minutes} min in `{queue}`", scope_text(scope))
            }
            Self::Route { queue, minutes, .. } => write!(f, "route to `{queue}` for {minutes} min"),
            Self::Recommend(_) => f.write_str("recommend to a person"),
            Self::RecordOnly => f.write_str("record only"),
        }
    }
}

fn scope_text(scope: &HoldScope) -> String {
    match scope {
        HoldScope::Order => "the order".to_owned(),
        HoldScope::Lines(lines) => format!("{} lines", lines.len()),
    }
}

/// Clauses of a hold by a grant with all its budgets; more are rare.
const CLAUSES_USUAL: usize = 12;

/// A verdict in the making: the clauses so far, and what every ending shares.
pub(crate) struct Draft {
    pub(crate) order: OrderId,
    pub(crate) plugin: PluginName,
    pub(crate) authority: Digest,
    pub(crate) proposed: Option<Rung>,
    clauses: Vec<Clause>,
    failed: Option<Code>,
    budget_spent: bool,
    reserve: Option<Reserve>,
}

impl Draft {
    pub(crate) fn new(order: OrderId, plugin: &PluginName, authority: Digest, proposed: Option<Rung>) -> Self {
        Self {
            order,
            plugin: plugin.clone(),
            authority,
            proposed,
            clauses: Vec::with_capacity(CLAUSES_USUAL),
            failed: None,
            budget_spent: false,
            reserve: None,
        }
    }

    /// Notes a clause, and the code of the first that was not met.
    pub(crate) fn note(&mut self, code: Code, name: &'static str, held: bool, found: Said, required: Said) -> bool {
        if !held && self.failed.is_none() {
            self.failed = Some(code);
        }
        self.clauses.push(Clause { name, found, required, held });
        held
    }

    /// Notes a clause of a budget.
    pub(crate) fn note_budget(&mut self, name: &'static str, held: bool, found: Said, required: Said) -> bool {
        self.budget_spent |= !held;
        self.note(Code::BudgetSpentQueued, name, held, found, required)
    }

    /// Notes what the effect is going to use up.
    pub(crate) fn reserve(&mut self, reserve: Reserve) {
        self.reserve = Some(reserve);
    }

    /// The code of the first clause that was not met.
    pub(crate) fn failed(&self) -> Option<Code> {
        self.failed
    }

    pub(crate) fn refuse(self, code: Code, grant: Option<&Arc<Grant>>, policies: Vec<String>) -> Verdict {
        self.close(Effect::RecordOnly, code, grant, policies)
    }

    pub(crate) fn close(
        self,
        effect: Effect,
        code: Code,
        grant: Option<&Arc<Grant>>,
        policies: Vec<String>,
    ) -> Verdict {
        // INVARIANT: a code of refusal and an effect never meet.
        let effect = match code.outcome() {
            Outcome::Refused => Effect::RecordOnly,
            Outcome::Granted | Outcome::Narrowed => effect,
        };
        Verdict {
            order: self.order,
            plugin: self.plugin,
            authority: self.authority,
            proposed: self.proposed,
            effect,
            code,
            grant: grant.map(Arc::clone),
            policies,
            clauses: self.clauses,
            budget_spent: self.budget_spent,
            reserve: self.reserve.filter(|_| code.outcome() != Outcome::Refused),
        }
    }
}

/// Text from a plugin or a sender as it may stand in a record: a short code as it
/// is, anything else by its length. A plugin could otherwise write a customer's
/// address into the audit log as the name of a queue.
pub(crate) fn shown(text: &str) -> String {
    const CODE_BYTES_MAX: usize = 64;
    let code = (1..=CODE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if code { format!("`{text}`") } else { format!("text of {} bytes", text.len()) }
}
