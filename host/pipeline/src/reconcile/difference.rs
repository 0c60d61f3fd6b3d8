//! Which keys two systems differ in. Pure: the same rows give the same differences, whatever
//! their order, and the other way round the same ones mirrored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portreeve_model::{Digest, Instant};

use super::row::Cell;

/// What two systems say of one key, where that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the left one has.
    pub left: Cell,
    /// What the right one has.
    pub right: Cell,
    /// What kind of difference it is.
    pub kind: DifferenceKind,
}

/// Kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Two numbers of one unit.
    Numbers,
    /// Numbers of different units: nobody can say how much they differ.
    Units,
}

impl DifferenceKind {
    /// The word in records and answers: the code of its exception.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Numbers => "numbers-differ",
            Self::Units => "units-differ",
        }
    }
}

impl Difference {
    /// Names it: a difference with the same values is the same one.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let (left, right) = (self.left.to_string(), self.right.to_string());
        Digest::of_parts(&[left.as_bytes(), right.as_bytes()])
    }
}

/// A difference in words, between two systems of these names.
pub struct Told<'a> {
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
        let Self { key, difference: Difference { left, right, kind }, .. } = self;
        write!(
            f,
            "found {left} of `{}` in {} and {right} in {}, expected the same; ",
            key.escape_debug(),
            self.left,
            self.right
        )?;
        f.write_str(match kind {
            DifferenceKind::Numbers => "mend the one that is wrong, and the next run that finds them equal closes this",
            DifferenceKind::Units => {
                "they are not in one unit and cannot be compared: have both say it in the same one"
            }
        })
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
    /// The others that differ.
    pub differences: BTreeMap<String, Difference>,
}

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

/// Compares two whole lists. A key that a list does not have is one of which there is nothing.
/// What changed after `settled_by` on one side is not judged where it differs.
#[must_use]
pub fn compare(left: &BTreeMap<String, Cell>, right: &BTreeMap<String, Cell>, settled_by: Instant) -> Comparison {
    let nothing = Cell::default();
    let mut comparison = Comparison::default();
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        let (left, right) = (left.get(key).unwrap_or(&nothing), right.get(key).unwrap_or(&nothing));
        let equal = left.equals(right);
        if !equal && left.changed_at.max(right.changed_at).is_some_and(|at| at > settled_by) {
            comparison.unsettled.insert(key.clone());
            continue;
        }
        comparison.compared = comparison.compared.saturating_add(1);
        if equal {
            comparison.agreeing = comparison.agreeing.saturating_add(1);
            continue;
        }
        let units: BTreeSet<&str> = left.units().chain(right.units()).collect();
        let kind = if units.len() > 1 { DifferenceKind::Units } else { DifferenceKind::Numbers };
        comparison.differences.insert(key.clone(), Difference { left: left.clone(), right: right.clone(), kind });
    }
    comparison
}
