//! Which keys two systems differ in. Pure: the same rows give the same differences, whatever
//! their order, and the other way round the same ones mirrored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portreeve_model::{Digest, Instant, OrderId};

use super::row::{Cell, InWords, ON_ITS_WAY, Of, TOLD_MAX};
use super::whose::Otherwise;

/// What two systems say of one key, where that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the left one has.
    pub left: Cell,
    /// What the right one has.
    pub right: Cell,
    /// What kind of difference it is.
    pub kind: DifferenceKind,
    /// What senders call the orders that it tells.
    pub numbers: BTreeMap<OrderId, String>,
}

/// Kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// One of both does not list it.
    Missing,
    /// It is at one stage here and at another there.
    Stages,
    /// Two numbers of one unit.
    Numbers,
    /// Numbers of different units: nobody can say how much they differ.
    Units,
    /// As much money, for another order.
    Orders,
    /// What one of both has of it nobody can read.
    Unreadable,
}

impl DifferenceKind {
    /// The word in records and answers: the code of its exception.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stages => "stages-differ",
            Self::Numbers => "numbers-differ",
            Self::Units => "units-differ",
            Self::Orders => "orders-differ",
            Self::Unreadable => "unreadable-row",
        }
    }
}

impl Difference {
    /// Names it: a difference with the same values is the same one.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut said = vec![self.left.digest(), self.right.digest()];
        if self.otherwise().is_some() {
            said.extend([self.left.orders_digest(), self.right.orders_digest()]);
        }
        Digest::of_parts(&said.iter().map(|digest| digest.as_bytes().as_slice()).collect::<Vec<_>>())
    }

    /// What both say of the orders that it is for, where they contradict each other.
    pub(super) fn otherwise(&self) -> Option<Otherwise<'_>> {
        self.left.otherwise(&self.right)
    }
}

/// A difference in words, between two systems of these names.
pub struct Told<'a> {
    /// What is compared.
    pub of: Of,
    /// The key.
    pub key: &'a str,
    /// The difference.
    pub difference: &'a Difference,
    /// What the left system is called.
    pub left: &'a str,
    /// What the right system is called.
    pub right: &'a str,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { left, right, kind, .. } = self.difference;
        let key = self.key.escape_debug();
        if *kind == DifferenceKind::Unreadable {
            let sides = [(left, self.left), (right, self.right)].into_iter();
            let why = sides.filter_map(|(cell, system)| Some(format!("in {system}, {}", cell.unreadable.as_ref()?)));
            let why: Vec<String> = why.collect();
            write!(f, "found {} that cannot be compared, expected one that can: {}; ", self.named(), why.join("; "))?;
        } else if self.of.is_stock() {
            write!(f, "found {left} of `{key}` in {} and {right} in {}, expected the same; ", self.left, self.right)?;
        } else if *kind == DifferenceKind::Missing {
            let (there, has, not) =
                if left.is_listed { (left, self.left, self.right) } else { (right, self.right, self.left) };
            write!(f, "found {} in {has} ({there}) and not in {not}, expected it in both; ", self.named())?;
        } else {
            write!(f, "found of {}: {}, expected the same; ", self.named(), self.both().join("; "))?;
        }
        f.write_str(match kind {
            DifferenceKind::Missing if self.of.happens() => {
                "enter what is missing, and the next run that finds it in both closes this; where one of both is to be taken back, do so and abandon this"
            }
            DifferenceKind::Missing => {
                "enter or take back what is wrong, and the next run that finds it in both or in neither closes this"
            }
            DifferenceKind::Numbers | DifferenceKind::Stages => {
                "mend the one that is wrong, and the next run that finds them equal closes this"
            }
            DifferenceKind::Orders => {
                "find out which order it is for and mend the one that is wrong, and the next run in which both name the same closes this; until then it counts for the wrong order in one of both"
            }
            DifferenceKind::Unreadable if self.of.happens() && self.names_no_order() => {
                "mend it there or what reads it; it names no order of this host and may have another name by then, so wait for the next run that finds it in both to close this, or abandon this"
            }
            DifferenceKind::Unreadable if self.of.happens() => {
                "mend it there or what reads it, and the next run that finds it in both closes this; where it is to be taken back, do so and abandon this"
            }
            DifferenceKind::Unreadable => {
                "mend it there or what reads it, and the next run that finds them equal closes this; where nobody can, abandon this"
            }
            DifferenceKind::Units => {
                "they are not in one unit and cannot be compared: have both say it in the same one"
            }
        })
    }
}

impl Told<'_> {
    /// Whether neither says which order of this host it is about.
    fn names_no_order(&self) -> bool {
        self.difference.left.orders.is_empty() && self.difference.right.orders.is_empty()
    }

    /// What it is, as people know it.
    fn named(&self) -> String {
        let called = self.difference.left.called.as_ref().or(self.difference.right.called.as_ref());
        let called = called.map_or_else(String::new, |called| format!("`{}` ", called.escape_debug()));
        let key = self.key.escape_debug();
        match self.of.noun() {
            "" => format!("{called}`{key}`"),
            noun => format!("{noun} {called}`{key}`"),
        }
    }

    /// What each of both says where that is not the same.
    fn both(&self) -> Vec<String> {
        let Self { difference: Difference { left, right, .. }, left: here, right: there, .. } = self;
        let mut both = Vec::new();
        if let Some((one, other)) = left.stage.zip(right.stage).filter(|(one, other)| one != other) {
            both.push(format!("{} in {here} and {} in {there}", one.as_str(), other.as_str()));
        }
        let differing = left.differing(right);
        let told = differing.iter().take(TOLD_MAX);
        both.extend(told.map(|(figure, one, other)| {
            let (one, other) = (InWords::of(figure, one), InWords::of(figure, other));
            format!("{one} {figure} in {here} and {other} in {there}")
        }));
        if differing.len() > TOLD_MAX {
            both.push(format!("and {} numbers more", differing.len().saturating_sub(TOLD_MAX)));
        }
        if let Some(otherwise) = self.difference.otherwise() {
            let sum = if differing.is_empty() { left.money() } else { None };
            both.extend(otherwise.told(&self.difference.numbers, sum, here, there));
        }
        both
    }
}

/// What came of comparing two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Keys that were compared.
    pub compared: u64,
    /// Those of them that both say the same of.
    pub agreeing: u64,
    /// Keys that differ and of which one of the two says that it changed lately: what changed may be
    /// on its way to the other one. They are not compared.
    pub unsettled: BTreeSet<String>,
    /// Keys of which nothing is known any more, or that are too old, however they differ.
    pub unjudged: BTreeSet<String>,
    /// Of what happens, the keys that both say the same of: what neither lists any more may have
    /// become too old, and is not mended by that.
    pub equal: BTreeSet<String>,
    /// The others that differ.
    pub differences: BTreeMap<String, Difference>,
}

/// How much later than what counts as settled something can have changed: a week, which is as much
/// as can be declared, and a day for clocks that go wrong. The attack is a system a year ahead, of
/// which nothing would ever be judged.
const LATELY_MS_MAX: i64 = 8 * Instant::DAY_MS;

impl Comparison {
    /// Names all differences.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let each =
            self.differences.iter().flat_map(|(key, difference)| [Digest::of(key.as_bytes()), difference.digest()]);
        let each: Vec<Digest> = each.collect();
        Digest::of_parts(&each.iter().map(|digest| digest.as_bytes().as_slice()).collect::<Vec<_>>())
    }
}

/// What is judged of two lists.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What is compared.
    pub of: Of,
    /// What changed after it on one side is not judged where it differs.
    pub settled_by: Instant,
    /// What happened before it is not judged: it only answers what the other one lists.
    pub judged_from: Option<Instant>,
    /// When what the host itself knows of a key changed, where both sides are others.
    pub moved: &'a BTreeMap<String, Instant>,
    /// Keys that are known here though the time that is looked at does not have them.
    pub known: &'a BTreeSet<String>,
    /// Orders of which one of both does not know any more what it had: nothing about them is
    /// compared.
    pub left_out: &'a BTreeSet<OrderId>,
}

impl Terms<'_> {
    fn leaves_out(&self, cell: &Cell) -> bool {
        cell.orders.iter().any(|order| self.left_out.contains(order))
    }

    /// Whether it happened before what is judged.
    fn is_too_old(&self, at: Option<Instant>) -> bool {
        self.judged_from.zip(at).is_some_and(|(from, at)| at < from)
    }

    /// Whether a row that one side alone has is judged, which changed then and happened then.
    pub(super) fn judges(&self, changed_at: Option<Instant>, at: Option<Instant>) -> bool {
        !self.is_too_old(at) && changed_at.is_none_or(|at| !self.is_lately(at))
    }

    /// Whether what changed then may be on its way.
    fn is_lately(&self, at: Instant) -> bool {
        at == ON_ITS_WAY || (at > self.settled_by && at <= self.settled_by.plus_ms(LATELY_MS_MAX))
    }
}

/// Compares two whole lists. Of stock, a key that a list does not have is one of which there is
/// nothing; of everything else it is missing there, unless what the other one has of it is over.
#[must_use]
pub fn compare(left: &BTreeMap<String, Cell>, right: &BTreeMap<String, Cell>, terms: Terms<'_>) -> Comparison {
    let nothing = Cell::default();
    let mut comparison = Comparison::default();
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        let (left, right) = (left.get(key).unwrap_or(&nothing), right.get(key).unwrap_or(&nothing));
        let is_too_old = terms.is_too_old(left.at.max(right.at));
        let is_known_before = !left.is_listed && terms.known.contains(key);
        if is_too_old || is_known_before || [left, right].into_iter().any(|cell| terms.leaves_out(cell)) {
            comparison.unjudged.insert(key.clone());
            continue;
        }
        let kind = differ(left, right, terms.of);
        let changed_at = [left.changed_at, right.changed_at, terms.moved.get(key).copied()];
        if kind.is_some() && changed_at.into_iter().flatten().any(|at| terms.is_lately(at)) {
            comparison.unsettled.insert(key.clone());
            continue;
        }
        comparison.compared = comparison.compared.saturating_add(1);
        let Some(kind) = kind else {
            comparison.agreeing = comparison.agreeing.saturating_add(1);
            comparison.equal.extend(terms.of.happens().then(|| key.clone()));
            continue;
        };
        let (left, right, numbers) = (left.clone(), right.clone(), BTreeMap::new());
        comparison.differences.insert(key.clone(), Difference { left, right, kind, numbers });
    }
    comparison
}

/// How two differ; not at all where both say the same.
fn differ(left: &Cell, right: &Cell, of: Of) -> Option<DifferenceKind> {
    if left.unreadable.is_some() || right.unreadable.is_some() {
        return Some(DifferenceKind::Unreadable);
    }
    if !of.is_stock() && left.is_listed != right.is_listed {
        let is_nothing = if left.is_listed { left.is_nothing() } else { right.is_nothing() };
        return (!is_nothing).then_some(DifferenceKind::Missing);
    }
    if left.is_at_another_stage(right) {
        return Some(DifferenceKind::Stages);
    }
    let differing = left.differing(right);
    let units_differ = differing.iter().any(|(_, one, other)| {
        let units: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        units.len() > 1
    });
    match differing.is_empty() {
        true => left.otherwise(right).map(|_| DifferenceKind::Orders),
        false if units_differ => Some(DifferenceKind::Units),
        false => Some(DifferenceKind::Numbers),
    }
}
