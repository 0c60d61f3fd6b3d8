//! Grants: what people wrote down that a plugin may cause, and its ceilings.
//!
//! ```toml
//! [[grant]]
//! id = "fraud-hold"
//! plugin = "fraud"
//! digests = []                             # empty: any component of that name
//! publisher = "portreeve"                  # optional: whoever else signs one of that name gets nothing
//! owner = "risk@distributor.example"
//! expires = 2027-06-30                     # the last day, UTC
//! hours = "06:00-18:00"                    # optional: the time of day, UTC, the end not included
//! may = ["hold", "route", "recommend"]
//! order_value_max_minor = 2500000          # with `hold`: up to this value an order may be held
//! currency = "USD"                         # of all values here; orders in others are beyond the ceilings
//! hold_minutes_max = 2880
//! holds_per_hour_max = 50                  # a budget
//! value_held_per_day_max_minor = 100000000 # optional, a second budget
//! held_share_max_bp = 500                  # optional, a third: holds in 10000 orders of the last hour
//! held_share_floor = 3                     # beside it: so many holds an hour, however few orders there are
//! budget_spent = "queue"                   # queue (default) or release
//! route_value_max_minor = 10000000         # with `route`: up to this value an order may be routed
//! route_minutes_max = 1440                 # a routed order waits so long; then it escalates
//! routes_per_hour_max = 50                 # a budget
//! queues = ["fraud-review"]                # for routes, reviews, dispositions and held orders
//! recommend = ["review"]
//! customer_classes = ["standard", "new"]   # empty: all, also unknown ones
//! channels = []                            # empty: all
//! beyond = "narrow"                        # narrow, fall or refuse
//! fallback_queue = "fraud-review"          # where held orders and fallen proposals go
//! ```
//!
//! Two rungs keep an order back: a hold, and a route, which is the shorter word for
//! "somebody decides first". Each has its own ceilings (value, minutes until it
//! escalates, how many per hour), for without them a plugin that may only route could
//! stop every order for ever. Above a ceiling `refuse` refuses; `fall` goes down the
//! ladder to the next rung of `may` whose own ceilings allow it; `narrow` shortens a
//! hold that is only too long, and falls for what has no smaller version (the order's
//! value, a rung that is not in `may`).
//!
//! A spent budget of holds is not a ceiling: the suspicion stands. By `queue` the
//! *host* keeps the order in the fallback queue, if a policy would have permitted the
//! hold, so that a wave of fraud does not open the gate; by `release` it passes. A
//! spent budget of routes lets a proposed route fall to a review, or to a record.
//!
//! `publisher` is who the component says ships it. That binds, since no component is called
//! that this publisher did not sign.
//!
//! A share is of the orders that were decided in the hour before, this one with them. With
//! few orders every share is large, so beside it stands a floor, without which the first
//! order of a night could not be held. `hours` that end before they begin go over midnight.
//!
//! A key that could have no effect in its grant is refused: its author would believe
//! in a limit that is not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::{ChannelId, Currency, Date, Digest, Instant, Money, PluginName, Recommendation, ShareCeiling};

use crate::data::{self, DataGrant};
use crate::known::Known;
use crate::verdict::shown;
use portreeve_model::strict::{Problems, SourceFile, Table, choice, date, one_of, text, whole};

/// A rung of the ladder, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Tell a person; the order goes on.
    Recommend,
    /// Keep the order until people have looked at it.
    Route,
    /// Keep the order or lines of it for a while.
    Hold,
}

const RUNGS: [(&str, Rung); 3] = [("hold", Rung::Hold), ("route", Rung::Route), ("recommend", Rung::Recommend)];

impl Rung {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Recommend, Self::Route, Self::Hold];

    /// The word in grants, in records, and of the Cedar action.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recommend => "recommend",
            Self::Route => "route",
            Self::Hold => "hold",
        }
    }
}

/// A kind of recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecommendKind {
    /// Look at the order.
    Review,
    /// Serve it from another node.
    AlternateShipNode,
    /// Promise another date.
    NewDate,
    /// A queue for a return.
    Disposition,
    /// Another price for a line.
    ExceptionPrice,
    /// A text to send.
    Draft,
}

const RECOMMEND_KINDS: [(&str, RecommendKind); 6] = [
    ("review", RecommendKind::Review),
    ("alternate-ship-node", RecommendKind::AlternateShipNode),
    ("new-date", RecommendKind::NewDate),
    ("disposition", RecommendKind::Disposition),
    ("exception-price", RecommendKind::ExceptionPrice),
    ("draft", RecommendKind::Draft),
];

impl RecommendKind {
    /// The kind of a recommendation; none for one that this version has no word for.
    #[must_use]
    pub fn of(recommendation: &Recommendation) -> Option<Self> {
        match recommendation {
            Recommendation::Review(_) => Some(Self::Review),
            Recommendation::AlternateShipNode(_) => Some(Self::AlternateShipNode),
            Recommendation::NewDate(_) => Some(Self::NewDate),
            Recommendation::Disposition(_) => Some(Self::Disposition),
            Recommendation::ExceptionPrice(_) => Some(Self::ExceptionPrice),
            Recommendation::Draft(_) => Some(Self::Draft),
            Recommendation::Other(_) => None,
        }
    }

    /// The word in grants, records and Cedar contexts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::AlternateShipNode => "alternate-ship-node",
            Self::NewDate => "new-date",
            Self::Disposition => "disposition",
            Self::ExceptionPrice => "exception-price",
            Self::Draft => "draft",
        }
    }
}

/// What happens above a ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// Shorten what is too long; what has no smaller version falls.
    Narrow,
    /// Go down the ladder.
    Fall,
    /// Record only.
    Refuse,
}

const BEYOND: [(&str, Beyond); 3] = [("narrow", Beyond::Narrow), ("fall", Beyond::Fall), ("refuse", Beyond::Refuse)];

impl Beyond {
    /// The word in grants.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Fall => "fall",
            Self::Refuse => "refuse",
        }
    }
}

/// What happens to a hold when a budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetSpent {
    /// The order goes to people: a wave of fraud must not open the gate.
    Queue,
    /// The order passes.
    Release,
}

const BUDGET_SPENT: [(&str, BudgetSpent); 2] = [("queue", BudgetSpent::Queue), ("release", BudgetSpent::Release)];

/// How far holds may go. A grant has one exactly when it allows holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldCeiling {
    /// The most valuable order that may be held.
    pub order_value_max: Money,
    /// The longest hold.
    pub minutes_max: u32,
    /// Holds of the plugin within an hour.
    pub holds_per_hour_max: u32,
    /// Value that the plugin may hold within a day, minor units of the ceiling's currency.
    pub value_held_per_day_max_minor: Option<i64>,
    /// The share of an hour's orders that the plugin may hold.
    pub held_share: Option<ShareCeiling>,
    /// What happens when one of these is spent.
    pub budget_spent: BudgetSpent,
}

/// A time of day, UTC, from one minute to another, which is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    to: u16,
}

impl Hours {
    /// Parses `HH:MM-HH:MM`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let hours = Self { from: minute_of_day(from)?, to: minute_of_day(to)? };
        // The same minute twice is no time at all, or all day: nobody has to guess which.
        (hours.from != hours.to).then_some(hours)
    }

    /// Whether a moment is within.
    #[must_use]
    pub fn contain(self, now: Instant) -> bool {
        let minute = now.0.rem_euclid(Instant::DAY_MS) / Instant::MINUTE_MS;
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u16>());
    let (hour, minute) = (two(hour)?.ok()?, two(minute)?.ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// How far routes may go. A grant has one exactly when it allows routes: a routed
/// order waits as a held one does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteCeiling {
    /// The most valuable order that may be routed.
    pub order_value_max: Money,
    /// How long a routed order waits until it escalates.
    pub minutes_max: u32,
    /// Routes of the plugin within an hour.
    pub routes_per_hour_max: u32,
}

/// What one plugin may cause. Made by loading only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Its name, unique in the configuration.
    pub id: String,
    /// The plugin that it is for.
    pub plugin: PluginName,
    /// The publisher that has to ship the component.
    pub publisher: Option<String>,
    /// The components that it is for; empty means all of that name.
    pub digests: Vec<Digest>,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it is valid, UTC.
    pub expires: Date,
    /// The time of day in which it is valid; none means all day.
    pub hours: Option<Hours>,
    /// The rungs that it allows, at least one.
    pub may: BTreeSet<Rung>,
    /// The ceilings of holds.
    pub hold: Option<HoldCeiling>,
    /// The ceilings of routes.
    pub route: Option<RouteCeiling>,
    /// The queues that routes, reviews and dispositions may name.
    pub queues: Vec<String>,
    /// The kinds of recommendation that it allows.
    pub recommend: BTreeSet<RecommendKind>,
    /// The customer classes that it is for; empty means all.
    pub customer_classes: Vec<String>,
    /// The channels that it is for; empty means all.
    pub channels: Vec<ChannelId>,
    /// What happens above a ceiling.
    pub beyond: Beyond,
    /// Where held orders and fallen proposals go.
    pub fallback_queue: Option<String>,
    /// What verdicts say of it.
    pub(crate) words: Words,
}

/// Requirements of a grant in words, ready for the clauses of its verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) publisher: Arc<str>,
    pub(crate) may: Arc<str>,
    pub(crate) queues: Arc<str>,
    pub(crate) recommend: Arc<str>,
    pub(crate) customer_classes: Arc<str>,
    pub(crate) channels: Arc<str>,
}

impl Grant {
    /// The queue in which people see an order that this grant holds.
    pub(crate) fn hold_queue(&self) -> Option<&String> {
        self.fallback_queue.as_ref().or(self.queues.first())
    }

    /// Whether its last day is over.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        day_is_over(self.expires, now)
    }

    /// One line for people: who may do what, how far, until when.
    #[must_use]
    pub fn summary(&self) -> String {
        let rungs: Vec<&str> = self.may.iter().rev().map(|rung| rung.as_str()).collect();
        let mut line = format!("{}: `{}` may {}", self.id, self.plugin, rungs.join(", "));
        if let Some(hold) = &self.hold {
            line.push_str(&format!(" (hold up to {} min, orders up to {})", hold.minutes_max, hold.order_value_max));
        }
        if let Some(route) = &self.route {
            let RouteCeiling { order_value_max, minutes_max, routes_per_hour_max } = route;
            line.push_str(&format!(
                " (route up to {minutes_max} min, orders up to {order_value_max}, {routes_per_hour_max} an hour)"
            ));
        }
        line.push_str(&format!(", until {}, owner {}", self.expires, self.owner));
        line
    }
}

/// Reads the grants of all files, in file order, which is their precedence, and beside them
/// what plugins see.
pub(crate) fn load(files: &[SourceFile<'_>], known: &Known, problems: &mut Problems) -> (Vec<Grant>, Vec<DataGrant>) {
    let (mut grants, mut data) = (Vec::new(), Vec::new());
    let mut ids = BTreeSet::new();
    for file in files {
        let Some(mut root) = Table::parse(*file, problems) else {
            continue;
        };
        for table in root.tables("grant", problems) {
            grants.extend(read_grant(table, known, &mut ids, problems));
        }
        for table in root.tables("data", problems) {
            data.extend(data::read(table, known, problems));
        }
        root.finish(problems);
    }
    (grants, data)
}

/// A longer hold is a cancellation in disguise.
pub(crate) use portreeve_model::advice::HOLD_MINUTES_MAX;

/// A budget above this is a typing error, no budget.
const PER_HOUR_MAX: i64 = 1_000_000;

fn read_grant(
    mut table: Table<'_>,
    known: &Known,
    ids: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> Option<Grant> {
    let before = problems.len();

    // Who, by whom, until when.
    let id = table.required("id", "a name of letters, digits and dashes", problems, |v| {
        text(v).filter(|id| PluginName::parse(id).is_ok())
    });
    if let Some(id) = &id
        && !ids.insert(id.clone())
    {
        table.wrong("id", &format!("`{id}` a second time"), "an id of its own", problems);
    }
    let plugin = plugin(&mut table, known, problems);
    let publisher = table.optional("publisher", "a publisher's name", problems, text);
    let digests = table.list("digests", "`sha256:…`", problems, |v| Digest::parse(v.as_str()?).ok());
    let (owner, expires) = owner_and_last_day(&mut table, problems);
    let hours = table.optional("hours", "two times of day that differ, UTC, such as `06:00-18:00`", problems, |v| {
        Hours::parse(v.as_str()?)
    });

    // What, and where.
    let until_here = problems.len();
    let may: BTreeSet<Rung> = table.list("may", &words(&RUNGS), problems, |v| choice(v, &RUNGS)).into_iter().collect();
    if problems.len() > until_here {
        // What else may be there depends on it: every word about that would be a guess.
        return None;
    }
    if may.is_empty() {
        table.wrong("may", "empty", &words(&RUNGS), problems);
    }
    let recommend = recommend(&mut table, &may, problems);
    let queues = queues(&mut table, &may, &recommend, known, problems);
    let customer_classes = table.list("customer_classes", "a customer class", problems, text);
    let channels = table.list("channels", "a channel's name", problems, |v| ChannelId::parse(v.as_str()?).ok());

    // How far, and what happens beyond.
    let blocks = may.contains(&Rung::Hold) || may.contains(&Rung::Route);
    let currency = if blocks {
        table.required("currency", "an ISO 4217 code", problems, |v| Currency::parse(v.as_str()?).ok())
    } else {
        table.no_effect("currency", "`may` has neither `hold` nor `route`", problems);
        None
    };
    let hold = if may.contains(&Rung::Hold) {
        hold_ceiling(&mut table, currency, problems)
    } else {
        for key in HOLD_KEYS {
            table.no_effect(key, "`may` does not have `hold`", problems);
        }
        None
    };
    let route = if may.contains(&Rung::Route) {
        route_ceiling(&mut table, currency, problems)
    } else {
        for key in ROUTE_KEYS {
            table.no_effect(key, "`may` does not have `route`", problems);
        }
        None
    };
    let beyond = table.required("beyond", &words(&BEYOND), problems, |v| choice(v, &BEYOND));
    let fallback_queue = fallback_queue(&mut table, &may, &recommend, &queues, hold.as_ref(), beyond, problems);

    table.finish(problems);
    if problems.len() > before {
        return None;
    }
    let words = Words {
        publisher: shown(publisher.as_deref().unwrap_or_default()).into(),
        may: one_of(may.iter().map(|rung: &Rung| rung.as_str())).into(),
        queues: one_of(queues.iter().map(String::as_str)).into(),
        recommend: one_of(recommend.iter().map(|kind: &RecommendKind| kind.as_str())).into(),
        customer_classes: one_of(customer_classes.iter().map(String::as_str)).into(),
        channels: one_of(channels.iter().map(ChannelId::as_str)).into(),
    };
    Some(Grant {
        id: id?,
        plugin: plugin?,
        publisher,
        digests,
        owner: owner?,
        expires: expires?,
        hours,
        may,
        hold,
        route,
        queues,
        recommend,
        customer_classes,
        channels,
        beyond: beyond?,
        fallback_queue,
        words,
    })
}

/// A time without a date is after all days.
pub(crate) fn day_is_over(last: Date, now: Instant) -> bool {
    now.date().is_none_or(|today| today > last)
}

/// Whom a grant of either kind is for.
pub(crate) fn plugin(table: &mut Table<'_>, known: &Known, problems: &mut Problems) -> Option<PluginName> {
    let plugins = one_of(known.plugins.iter().map(PluginName::as_str));
    table.required("plugin", &plugins, problems, |v| {
        let name = PluginName::parse(v.as_str()?).ok()?;
        known.plugins.contains(&name).then_some(name)
    })
}

/// Who answers for it, and until when.
pub(crate) fn owner_and_last_day(table: &mut Table<'_>, problems: &mut Problems) -> (Option<String>, Option<Date>) {
    let owner = table.required("owner", "a person's or a team's address", problems, text);
    (owner, table.required("expires", "a date such as 2027-06-30", problems, date))
}

fn recommend(table: &mut Table<'_>, may: &BTreeSet<Rung>, problems: &mut Problems) -> BTreeSet<RecommendKind> {
    if !may.contains(&Rung::Recommend) {
        table.no_effect("recommend", "`may` does not have `recommend`", problems);
        return BTreeSet::new();
    }
    let allowed = words(&RECOMMEND_KINDS);
    let kinds: BTreeSet<RecommendKind> =
        table.list("recommend", &allowed, problems, |v| choice(v, &RECOMMEND_KINDS)).into_iter().collect();
    if kinds.is_empty() {
        table.wrong("recommend", "empty", &allowed, problems);
    }
    kinds
}

fn queues(
    table: &mut Table<'_>,
    may: &BTreeSet<Rung>,
    recommend: &BTreeSet<RecommendKind>,
    known: &Known,
    problems: &mut Problems,
) -> Vec<String> {
    let used = may.contains(&Rung::Hold)
        || may.contains(&Rung::Route)
        || recommend.contains(&RecommendKind::Review)
        || recommend.contains(&RecommendKind::Disposition);
    if !used {
        table.no_effect("queues", "nothing in `may` or `recommend` uses a queue", problems);
        return Vec::new();
    }
    let allowed = one_of(known.queues.iter().map(String::as_str));
    let before = problems.len();
    let queues = table.list("queues", &allowed, problems, |v| text(v).filter(|queue| known.queues.contains(queue)));
    if queues.is_empty() && problems.len() == before {
        table.wrong("queues", "empty", &allowed, problems);
    }
    queues
}

/// The keys that have a meaning only where holds are allowed.
pub(crate) const HOLD_KEYS: [&str; 7] = [
    "order_value_max_minor",
    "hold_minutes_max",
    "holds_per_hour_max",
    "value_held_per_day_max_minor",
    "held_share_max_bp",
    "held_share_floor",
    "budget_spent",
];

/// The keys that have a meaning only where routes are allowed.
pub(crate) const ROUTE_KEYS: [&str; 3] = ["route_value_max_minor", "route_minutes_max", "routes_per_hour_max"];

fn hold_ceiling(table: &mut Table<'_>, currency: Option<Currency>, problems: &mut Problems) -> Option<HoldCeiling> {
    let value = value(table, "order_value_max_minor", problems);
    let minutes = minutes(table, "hold_minutes_max", problems);
    let per_hour = per_hour(table, "holds_per_hour_max", problems);
    let per_day = table.optional("value_held_per_day_max_minor", MINOR, problems, |v| whole(v, &(1..=i64::MAX)));
    let held_share = share_ceiling(table, problems);
    let budget_spent = table
        .optional("budget_spent", &words(&BUDGET_SPENT), problems, |v| choice(v, &BUDGET_SPENT))
        .unwrap_or(BudgetSpent::Queue);
    Some(HoldCeiling {
        order_value_max: Money { minor: value?, currency: currency? },
        minutes_max: minutes?,
        holds_per_hour_max: per_hour?,
        value_held_per_day_max_minor: per_day,
        held_share,
        budget_spent,
    })
}

fn share_ceiling(table: &mut Table<'_>, problems: &mut Problems) -> Option<ShareCeiling> {
    let max_bp = table.optional("held_share_max_bp", "basis points, 1 to 9999", problems, |v| {
        u32::try_from(whole(v, &(1..=9_999))?).ok()
    });
    if max_bp.is_none() {
        table.no_effect("held_share_floor", "`held_share_max_bp` is not there", problems);
        return None;
    }
    let floor = table.required("held_share_floor", "holds within an hour, 0 to 1000000", problems, |v| {
        u32::try_from(whole(v, &(0..=PER_HOUR_MAX))?).ok()
    });
    Some(ShareCeiling { max_bp: max_bp?, floor: floor? })
}

fn route_ceiling(table: &mut Table<'_>, currency: Option<Currency>, problems: &mut Problems) -> Option<RouteCeiling> {
    let value = value(table, "route_value_max_minor", problems);
    let minutes = minutes(table, "route_minutes_max", problems);
    let per_hour = per_hour(table, "routes_per_hour_max", problems);
    Some(RouteCeiling {
        order_value_max: Money { minor: value?, currency: currency? },
        minutes_max: minutes?,
        routes_per_hour_max: per_hour?,
    })
}

const MINOR: &str = "minor units, 1 or more";

fn value(table: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Option<i64> {
    table.required(key, MINOR, problems, |v| whole(v, &(1..=i64::MAX)))
}

fn minutes(table: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Option<u32> {
    let allowed = format!("minutes, 1 to {HOLD_MINUTES_MAX}");
    table.required(key, &allowed, problems, |v| u32::try_from(whole(v, &(1..=i64::from(HOLD_MINUTES_MAX)))?).ok())
}

fn per_hour(table: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Option<u32> {
    table.required(key, "1 to 1000000", problems, |v| u32::try_from(whole(v, &(1..=PER_HOUR_MAX))?).ok())
}

fn fallback_queue(
    table: &mut Table<'_>,
    may: &BTreeSet<Rung>,
    recommend: &BTreeSet<RecommendKind>,
    queues: &[String],
    hold: Option<&HoldCeiling>,
    beyond: Option<Beyond>,
    problems: &mut Problems,
) -> Option<String> {
    let can_land = may.contains(&Rung::Route) || recommend.contains(&RecommendKind::Review);
    let falls = can_land && beyond.is_some_and(|beyond| beyond != Beyond::Refuse);
    let queued = hold.is_some_and(|hold| hold.budget_spent == BudgetSpent::Queue);
    let allowed = one_of(queues.iter().map(String::as_str));
    // Without a list nothing can be said about a word of it; that there is none is told already.
    let read = |v: &toml::de::DeValue<'_>| text(v).filter(|queue| queues.is_empty() || queues.contains(queue));
    if falls || queued {
        return table.required("fallback_queue", &allowed, problems, read);
    }
    if !may.contains(&Rung::Hold) {
        table.no_effect("fallback_queue", "nothing is held and nothing can fall", problems);
    }
    table.optional("fallback_queue", &allowed, problems, read)
}

fn words<T>(words: &[(&str, T)]) -> String {
    one_of(words.iter().map(|(word, _)| *word))
}
