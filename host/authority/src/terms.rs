//! A grant's terms one by one, and what a change of them means.
//!
//! Who reviews a change of grants has to see what gets *wider*: it needs more people's
//! word than what gets narrower. A list of changed lines does not say that, since a longer
//! list of digests is less than an empty one, and a key that is gone is no limit any more.
//! So each term knows how far it reaches.
//!
//! What cannot be compared (`beyond`, an owner, one queue for another) is neither: it is
//! shown, and people decide.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use portreeve_model::{Currency, Money};

use crate::grant::{BudgetSpent, Grant, HOLD_KEYS, ROUTE_KEYS};

/// One key of a grant with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The key, as in `grants.toml`.
    pub key: &'static str,
    /// Its value in words, with its unit.
    pub value: String,
    reach: Reach,
}

/// How far a term reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    /// Up to this much, of a currency where it is money; none is without end.
    UpTo(Option<(i128, Option<Currency>)>),
    /// To whatever is among these; none of them means to all.
    Among(BTreeSet<String>),
    /// To exactly these.
    Names(BTreeSet<String>),
    /// A word that is neither more nor less than another.
    Word,
}

/// What a change does to what a plugin may cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It may cause more.
    Wider,
    /// It may cause less.
    Narrower,
    /// It may cause something else.
    Other,
}

impl Direction {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wider => "wider",
            Self::Narrower => "narrower",
            Self::Other => "other",
        }
    }
}

/// What becomes of one grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// It is new: whatever it grants is more.
    Added(&'a Grant),
    /// It is gone.
    Removed(&'a Grant),
    /// One of its terms is another one.
    Changed {
        /// The grant's id.
        grant: &'a str,
        /// The key.
        key: &'static str,
        /// What it was; none where the key was not there.
        before: Option<String>,
        /// What it is; none where the key is not there any more.
        after: Option<String>,
        /// What that means.
        direction: Direction,
    },
    /// The same grants in another order: of two that reach equally far the first decides.
    Reordered,
}

impl Change<'_> {
    /// What it does to what a plugin may cause.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self {
            Self::Added(_) => Direction::Wider,
            Self::Removed(_) => Direction::Narrower,
            Self::Changed { direction, .. } => *direction,
            Self::Reordered => Direction::Other,
        }
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        match self {
            Self::Added(grant) => write!(f, "new grant {}", grant.summary()),
            Self::Removed(grant) => write!(f, "no grant any more {}", grant.summary()),
            Self::Changed { grant, key, before, after, .. } => {
                write!(f, "{grant}: {key}: {} becomes {}", shown(before), shown(after))
            }
            Self::Reordered => f.write_str("the grants stand in another order"),
        }
    }
}

/// What other grants do to what plugins may cause, grant by grant and key by key.
#[must_use]
pub fn changes<'a>(before: &'a [Arc<Grant>], after: &'a [Arc<Grant>]) -> Vec<Change<'a>> {
    let named = |grants: &'a [Arc<Grant>], id: &str| grants.iter().map(Arc::as_ref).find(|grant| grant.id == id);
    let mut changes: Vec<Change<'a>> =
        before.iter().map(Arc::as_ref).filter(|grant| named(after, &grant.id).is_none()).map(Change::Removed).collect();
    for grant in after {
        match named(before, &grant.id) {
            None => changes.push(Change::Added(grant)),
            Some(was) => changes.extend(changed(was, grant)),
        }
    }
    let kept = |of: &'a [Arc<Grant>], others: &'a [Arc<Grant>]| -> Vec<&'a str> {
        of.iter().map(|grant| grant.id.as_str()).filter(|id| named(others, id).is_some()).collect()
    };
    if kept(before, after) != kept(after, before) {
        changes.push(Change::Reordered);
    }
    changes
}

fn changed<'a>(before: &Grant, after: &'a Grant) -> Vec<Change<'a>> {
    let (was, is) = (before.terms(), after.terms());
    let keys = is.iter().map(|term| term.key).chain(was.iter().map(|term| term.key));
    let mut seen = BTreeSet::new();
    let of = |terms: &[Term], key| terms.iter().find(|term| term.key == key).cloned();
    let pairs = keys.filter(|key| seen.insert(*key)).map(|key| (key, of(&was, key), of(&is, key)));
    // Where a rung comes or goes, `may` says so; its ceilings come and go with it.
    let came_or_went = |key: &&'static str| {
        (before.hold.is_some() != after.hold.is_some() && HOLD_KEYS.contains(key))
            || (before.route.is_some() != after.route.is_some() && ROUTE_KEYS.contains(key))
    };
    pairs
        .filter(|(key, was, is)| was != is && !came_or_went(key))
        .map(|(key, was, is)| Change::Changed {
            grant: &after.id,
            key,
            direction: direction(was.as_ref(), is.as_ref()),
            before: was.map(|term| term.value),
            after: is.map(|term| term.value),
        })
        .collect()
}

/// A limit that is not there reaches without end; of the others nothing follows from that.
fn direction(before: Option<&Term>, after: Option<&Term>) -> Direction {
    let reach = |term: Option<&Term>, other: Option<&Term>| match (term, other.map(|other| &other.reach)) {
        (Some(term), _) => term.reach.clone(),
        (None, Some(Reach::UpTo(_))) => Reach::UpTo(None),
        (None, Some(Reach::Among(_))) => Reach::Among(BTreeSet::new()),
        (None, _) => Reach::Word,
    };
    match (reach(before, after), reach(after, before)) {
        (Reach::UpTo(before), Reach::UpTo(after)) => match (before, after) {
            (Some((before, of)), Some((after, another))) if of == another => {
                if after > before {
                    Direction::Wider
                } else {
                    Direction::Narrower
                }
            }
            // Amounts of two currencies.
            (Some(_), Some(_)) => Direction::Other,
            (_, None) => Direction::Wider,
            (None, _) => Direction::Narrower,
        },
        (Reach::Among(before), Reach::Among(after)) => match (before.is_empty(), after.is_empty()) {
            (true, _) => Direction::Narrower,
            (_, true) => Direction::Wider,
            _ => by_names(&before, &after),
        },
        (Reach::Names(before), Reach::Names(after)) => by_names(&before, &after),
        _ => Direction::Other,
    }
}

fn by_names(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Direction {
    if before.is_subset(after) {
        Direction::Wider
    } else if after.is_subset(before) {
        Direction::Narrower
    } else {
        Direction::Other
    }
}

impl Grant {
    /// Every key that it has, with its value, in the order of `grants.toml`'s example. Its
    /// id is not among them.
    #[must_use]
    pub fn terms(&self) -> Vec<Term> {
        // Taken apart in full: a new field cannot be forgotten here.
        let Self {
            id: _,
            plugin,
            publisher,
            digests,
            owner,
            expires,
            hours,
            may,
            hold,
            route,
            queues,
            recommend,
            customer_classes,
            channels,
            beyond,
            fallback_queue,
            // Made of the others.
            words: _,
        } = self;
        let mut terms = vec![word("plugin", plugin)];
        // A publisher binds as a list of one does.
        terms.extend(publisher.as_ref().map(|publisher| among("publisher", [publisher])));
        terms.push(among("digests", digests));
        terms.push(word("owner", owner));
        let days = i128::from(expires.year()) * 10_000 + i128::from(expires.month()) * 100 + i128::from(expires.day());
        terms.push(Term { key: "expires", value: expires.to_string(), reach: Reach::UpTo(Some((days, None))) });
        terms.extend(hours.map(|hours| among("hours", [format!("{hours} UTC")])));
        terms.push(names("may", may.iter().rev().map(|rung| rung.as_str())));
        if let Some(hold) = hold {
            terms.push(amount("order_value_max_minor", hold.order_value_max));
            terms.push(up_to("hold_minutes_max", hold.minutes_max, "minutes"));
            terms.push(up_to("holds_per_hour_max", hold.holds_per_hour_max, "holds an hour"));
            terms.extend(hold.value_held_per_day_max_minor.map(|minor| {
                amount("value_held_per_day_max_minor", Money { minor, currency: hold.order_value_max.currency })
            }));
            if let Some(share) = hold.held_share {
                terms.push(up_to("held_share_max_bp", share.max_bp, "holds in 10000 orders"));
                terms.push(up_to("held_share_floor", share.floor, "holds an hour"));
            }
            let spent = match hold.budget_spent {
                BudgetSpent::Queue => "queue",
                BudgetSpent::Release => "release",
            };
            terms.push(word("budget_spent", spent));
        }
        if let Some(route) = route {
            terms.push(amount("route_value_max_minor", route.order_value_max));
            terms.push(up_to("route_minutes_max", route.minutes_max, "minutes"));
            terms.push(up_to("routes_per_hour_max", route.routes_per_hour_max, "routes an hour"));
        }
        terms.push(names("queues", queues));
        terms.push(names("recommend", recommend.iter().map(|kind| kind.as_str())));
        terms.push(among("customer_classes", customer_classes));
        terms.push(among("channels", channels));
        terms.push(word("beyond", beyond.as_str()));
        terms.extend(fallback_queue.as_ref().map(|queue| word("fallback_queue", queue)));
        terms
    }
}

fn word(key: &'static str, value: impl fmt::Display) -> Term {
    Term { key, value: value.to_string(), reach: Reach::Word }
}

fn up_to(key: &'static str, most: u32, unit: &str) -> Term {
    Term { key, value: format!("{most} {unit}"), reach: Reach::UpTo(Some((i128::from(most), None))) }
}

fn amount(key: &'static str, most: Money) -> Term {
    let reach = Reach::UpTo(Some((i128::from(most.minor), Some(most.currency))));
    Term { key, value: most.to_string(), reach }
}

fn among<T: fmt::Display>(key: &'static str, items: impl IntoIterator<Item = T>) -> Term {
    let items: BTreeSet<String> = items.into_iter().map(|item| item.to_string()).collect();
    let value = if items.is_empty() { "all".to_owned() } else { joined(&items) };
    Term { key, value, reach: Reach::Among(items) }
}

fn names<T: fmt::Display>(key: &'static str, items: impl IntoIterator<Item = T>) -> Term {
    let items: BTreeSet<String> = items.into_iter().map(|item| item.to_string()).collect();
    let value = if items.is_empty() { "none".to_owned() } else { joined(&items) };
    Term { key, value, reach: Reach::Names(items) }
}

fn joined(items: &BTreeSet<String>) -> String {
    items.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
