//! Rows of a list that are about no order of this host, as far as anybody can tell.
//!
//! Most are somebody else's: what others enter beside the host's orders. But a row also lands here that names
//! its order by a number of which nothing says whose it is, and that one may be this host's. So none of them
//! vanishes: what the host knows by the key alone is compared all the same, and of the rest it is said how
//! many there are, with the first of their numbers. Where the configuration is the cause, it is one sentence
//! for the list and not one for each row.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::row::{Of, Part, ROWS_MAX, RowName, Unusable};

/// Numbers of orders that a sentence tells.
const TOLD_MAX: usize = 5;

/// Whom a row names that is about no order of this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stranger {
    /// Nobody.
    Nobody,
    /// An order by a number that no order of this host has among those that are meant.
    Others(String),
    /// An order by a number of which nothing says whose it is.
    Unresolved(String),
}

/// Rows that are about no order of this host, by their names.
#[derive(Debug, Default)]
pub(super) struct Strangers(BTreeMap<RowName, (Stranger, Part)>);

/// What was left aside of a list for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAside {
    /// Why.
    pub why: WhyAside,
    /// How many rows.
    pub rows: u64,
    /// One sentence, with the first few orders that they name.
    pub detail: String,
}

/// Why rows are left aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyAside {
    /// They are about orders that this host does not have, or about none.
    Others,
    /// They name orders by numbers, and nothing says whose numbers those are.
    Unresolved,
}

impl WhyAside {
    /// The word in answers, and the code of its exception.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Others => "orders-of-others",
            Self::Unresolved => "orders-unresolved",
        }
    }
}

impl Strangers {
    /// Takes a row. The same once more changes nothing: pages overlap. What is said twice in different words
    /// nobody can read, here as elsewhere.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn put(&mut self, of: Of, name: RowName, stranger: Stranger, part: Part) -> Result<(), Unusable> {
        let is_full = self.0.len() >= ROWS_MAX;
        // Only what has a key without an order may be known here, and that has a number or two.
        let numbers = if of.is_known_without_order() { part.numbers } else { Vec::new() };
        let part = Part { numbers, ..part };
        match self.0.entry(name) {
            Entry::Occupied(mut known) => {
                let (named, row) = known.get_mut();
                // Whichever came first.
                if *named < stranger {
                    *named = stranger;
                }
                row.again(part);
            }
            Entry::Vacant(_) if is_full => return Err(Unusable::TooMany),
            Entry::Vacant(place) => {
                place.insert((stranger, part));
            }
        }
        Ok(())
    }

    /// Takes the rows out whose key is one of these.
    pub(super) fn take(&mut self, keys: &BTreeSet<&str>) -> Vec<(RowName, Stranger, Part)> {
        let known = self.0.extract_if(.., |_, (_, part)| keys.contains(part.key.as_str()));
        known.map(|(name, (stranger, part))| (name, stranger, part)).collect()
    }

    /// What is left aside of the list of a system, where something is.
    pub(super) fn left_aside(&self, system: &str) -> Vec<LeftAside> {
        let (mut others, mut unresolved) = (Named::default(), Named::default());
        for (stranger, _) in self.0.values() {
            match stranger {
                Stranger::Nobody => others.add(None),
                Stranger::Others(number) => others.add(Some(number)),
                Stranger::Unresolved(number) => unresolved.add(Some(number)),
            }
        }
        let unresolved = (unresolved.rows > 0).then(|| LeftAside {
            why: WhyAside::Unresolved,
            rows: unresolved.rows,
            detail: format!(
                "found {} in the list of {system} naming orders by numbers of which nothing says whose they are ({unresolved}), expected the host's ids, or a channel that says so: set `orders_by` of the [[channel]] by which the host hears the same from {system}, and where several do, name it in the reconciliation's `channels`",
                rows(unresolved.rows)
            ),
        });
        let others = (others.rows > 0).then(|| LeftAside {
            why: WhyAside::Others,
            rows: others.rows,
            detail: format!(
                "left aside of the list of {system}, as about no order of this host: {} ({others})",
                rows(others.rows)
            ),
        });
        unresolved.into_iter().chain(others).collect()
    }
}

/// The orders that rows name, as a sentence tells them.
#[derive(Default)]
struct Named<'a> {
    rows: u64,
    nameless: u64,
    numbers: BTreeSet<&'a str>,
}

impl<'a> Named<'a> {
    fn add(&mut self, number: Option<&'a str>) {
        self.rows = self.rows.saturating_add(1);
        match number {
            Some(number) => {
                self.numbers.insert(number);
            }
            None => self.nameless = self.nameless.saturating_add(1),
        }
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.numbers.iter().take(TOLD_MAX).map(|number| format!("`{}`", number.escape_debug()));
        let more = self.numbers.len().saturating_sub(TOLD_MAX);
        let more = (more > 0).then(|| format!("{more} more"));
        let nameless = (self.nameless > 0).then(|| format!("{} without any", self.nameless));
        let all: Vec<String> = told.chain(more).chain(nameless).collect();
        f.write_str(&all.join(", "))
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn put(strangers: &mut Strangers, number: usize, stranger: Stranger) -> Result<(), Unusable> {
        let part = Part { key: format!("payment ch_{number}"), ..Part::default() };
        strangers.put(Of::Payments, (part.key.clone(), String::new()), stranger, part)
    }

    #[test]
    fn however_many_rows_are_left_aside_there_is_one_sentence_for_each_reason_with_the_first_of_their_orders() {
        let mut strangers = Strangers::default();
        for number in 0..9 {
            let name = format!("PO-{number}");
            let stranger = if number < 7 { Stranger::Unresolved(name) } else { Stranger::Others(name) };
            put(&mut strangers, number, stranger).unwrap();
        }
        put(&mut strangers, 9, Stranger::Nobody).unwrap();
        put(&mut strangers, 0, Stranger::Unresolved("PO-0".to_owned())).unwrap();
        let left = strangers.left_aside("stripe");
        let counts: Vec<_> = left.iter().map(|aside| (aside.why, aside.rows)).collect();
        assert_eq!(counts, [(WhyAside::Unresolved, 7), (WhyAside::Others, 3)]);
        let told = "found 7 rows in the list of stripe naming orders by numbers of which nothing says whose they are (`PO-0`, `PO-1`, `PO-2`, `PO-3`, `PO-4`, 2 more), expected";
        assert!(left[0].detail.starts_with(told), "{}", left[0].detail);
        let told =
            "left aside of the list of stripe, as about no order of this host: 3 rows (`PO-7`, `PO-8`, 1 without any)";
        assert_eq!(left[1].detail, told);
    }

    #[test]
    fn rows_of_others_have_an_end_as_well() {
        let mut strangers = Strangers::default();
        for number in 0..ROWS_MAX {
            put(&mut strangers, number, Stranger::Nobody).unwrap();
        }
        put(&mut strangers, 0, Stranger::Nobody).unwrap();
        assert_eq!(put(&mut strangers, ROWS_MAX, Stranger::Nobody), Err(Unusable::TooMany));
    }
}
