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

use super::difference::Terms;
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

/// Rows that are about no order of this host.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// By their names.
    rows: BTreeMap<RowName, (Stranger, Part)>,
    /// Those of which it only matters how many there are.
    counted: Counted,
    /// Whether the host knew one by its key whose number nothing says anything of.
    has_known: bool,
}

/// Rows that are counted and not kept: what others enter beside this host's orders has no bound. One that stands
/// on two pages counts twice.
#[derive(Debug, Clone, Default)]
struct Counted {
    others: Named,
    unresolved: Named,
    /// How many of them nobody can read.
    unreadable: usize,
    /// What is wrong with one of those, the same one whichever came first.
    why: Option<String>,
}

/// What was left aside of a list.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// By the reason.
    pub(super) told: Vec<LeftAside>,
    /// Whether rows have numbers of which nothing says whose they are, judged or not.
    pub(super) is_unresolved: bool,
    /// Whether the host knew one of those by its key, and compared it.
    pub(super) has_known: bool,
}

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
    /// nobody can read, here as elsewhere. Only what has a key without an order may be known here by that key,
    /// and has to be kept for it; of the rest the host keeps how many there are. Of numbers that nothing says
    /// anything of, when each row changed is kept as well, as far as there is room.
    ///
    /// # Errors
    /// When there are too many that have to be kept.
    pub(super) fn put(&mut self, of: Of, name: RowName, stranger: Stranger, part: Part) -> Result<(), Unusable> {
        let is_full = self.rows.len() >= ROWS_MAX;
        let may_be_known = of.is_known_without_order();
        let is_unresolved = matches!(stranger, Stranger::Unresolved(_));
        if !may_be_known && (is_full || !is_unresolved) {
            self.counted.add(&stranger, part.unreadable);
            return Ok(());
        }
        // What may be known has a number or two, and of the rest no number is compared.
        let numbers = if may_be_known { part.numbers } else { Vec::new() };
        let part = Part { numbers, ..part };
        match self.rows.entry(name) {
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

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len().saturating_add(self.counted.len())
    }

    /// What is wrong with rows, nothing of those that can be read. Of what is only counted it is said once.
    pub(super) fn whys(&self) -> impl Iterator<Item = Option<&str>> {
        let counted = &self.counted;
        let are_unreadable = counted.unreadable == counted.len();
        let why = (counted.len() > 0).then(|| counted.why.as_deref().filter(|_| are_unreadable));
        self.rows.values().map(|(_, part)| part.unreadable.as_deref()).chain(why)
    }

    /// Takes the rows out whose key is one of these.
    pub(super) fn take(&mut self, keys: &BTreeSet<&str>) -> Vec<(RowName, Stranger, Part)> {
        let known = self.rows.extract_if(.., |_, (_, part)| keys.contains(part.key.as_str()));
        let known: Vec<_> = known.map(|(name, (stranger, part))| (name, stranger, part)).collect();
        self.has_known |= known.iter().any(|(_, stranger, _)| matches!(stranger, Stranger::Unresolved(_)));
        known
    }

    /// What is left aside of the list of a system, where something is. Of a number that nothing says anything of
    /// nobody hears while its row may be on its way here, or where it happened before what is judged.
    pub(super) fn left_aside(&self, system: &str, terms: Terms<'_>) -> Aside {
        let Counted { mut others, mut unresolved, .. } = self.counted.clone();
        let mut is_unresolved = unresolved.rows > 0;
        for (stranger, part) in self.rows.values() {
            match stranger {
                Stranger::Nobody => others.add(None),
                Stranger::Others(number) => others.add(Some(number)),
                Stranger::Unresolved(number) => {
                    is_unresolved = true;
                    if terms.judges(part.changed_at, part.at) {
                        unresolved.add(Some(number));
                    }
                }
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
        let told = unresolved.into_iter().chain(others).collect();
        Aside { told, is_unresolved, has_known: self.has_known }
    }
}

impl Counted {
    fn len(&self) -> usize {
        let rows = self.others.rows.saturating_add(self.unresolved.rows);
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    fn add(&mut self, stranger: &Stranger, unreadable: Option<String>) {
        match stranger {
            Stranger::Nobody => self.others.add(None),
            Stranger::Others(number) => self.others.add(Some(number)),
            Stranger::Unresolved(number) => self.unresolved.add(Some(number)),
        }
        if unreadable.is_some() {
            self.unreadable = self.unreadable.saturating_add(1);
        }
        self.why = self.why.take().into_iter().chain(unreadable).min();
    }
}

/// The orders that rows name, as a sentence tells them.
#[derive(Debug, Clone, Default)]
struct Named {
    rows: u64,
    nameless: u64,
    /// The first few, and one more where there are more.
    numbers: BTreeSet<String>,
}

impl Named {
    fn add(&mut self, number: Option<&str>) {
        self.rows = self.rows.saturating_add(1);
        match number {
            Some(number) if self.numbers.contains(number) => {}
            Some(number) => {
                self.numbers.insert(number.to_owned());
                if self.numbers.len() > TOLD_MAX.saturating_add(1) {
                    self.numbers.pop_last();
                }
            }
            None => self.nameless = self.nameless.saturating_add(1),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.numbers.iter().take(TOLD_MAX).map(|number| format!("`{}`", number.escape_debug()));
        let more = (self.numbers.len() > TOLD_MAX).then(|| "and more".to_owned());
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

    use portreeve_model::{Instant, OrderId};

    use super::*;

    /// What changed after this is not at rest, and what happened before it is not judged.
    const NOW: Instant = Instant(1_000_000);

    fn left_aside(strangers: &Strangers, system: &str) -> Aside {
        let (moved, known, left_out) = (BTreeMap::new(), BTreeSet::<String>::new(), BTreeSet::<OrderId>::new());
        let terms = Terms {
            of: Of::Payments,
            settled_by: NOW,
            judged_from: Some(NOW),
            moved: &moved,
            known: &known,
            left_out: &left_out,
        };
        strangers.left_aside(system, terms)
    }

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
        let left = left_aside(&strangers, "stripe").told;
        let counts: Vec<_> = left.iter().map(|aside| (aside.why, aside.rows)).collect();
        assert_eq!(counts, [(WhyAside::Unresolved, 7), (WhyAside::Others, 3)]);
        let told = "found 7 rows in the list of stripe naming orders by numbers of which nothing says whose they are (`PO-0`, `PO-1`, `PO-2`, `PO-3`, `PO-4`, and more), expected";
        assert!(left[0].detail.starts_with(told), "{}", left[0].detail);
        let told =
            "left aside of the list of stripe, as about no order of this host: 3 rows (`PO-7`, `PO-8`, 1 without any)";
        assert_eq!(left[1].detail, told);
    }

    #[test]
    fn a_number_is_told_when_its_row_has_settled_and_where_it_is_judged() {
        for of in [Of::Payments, Of::Shipments] {
            for (changed_at, at, is_told) in [
                (None, None, true),
                (Some(NOW), Some(NOW), true),
                (Some(NOW.plus_ms(1)), Some(NOW.plus_ms(1)), false),
                (None, Some(NOW.plus_ms(-1)), false),
            ] {
                let mut strangers = Strangers::default();
                let part = Part { key: "N-1".to_owned(), changed_at, at, ..Part::default() };
                let unresolved = Stranger::Unresolved("PO-1".to_owned());
                strangers.put(of, ("N-1".to_owned(), String::new()), unresolved, part).unwrap();
                let Aside { told, is_unresolved, has_known } = left_aside(&strangers, "stripe");
                let rows: Vec<u64> = told.iter().map(|aside| aside.rows).collect();
                assert_eq!(rows, if is_told { vec![1] } else { vec![] });
                assert_eq!((is_unresolved, has_known), (true, false), "it stands there whenever it is judged");
                strangers.take(&BTreeSet::from(["N-1"]));
                let Aside { told, is_unresolved, has_known } = left_aside(&strangers, "stripe");
                assert_eq!((told.len(), is_unresolved, has_known), (0, false, true));
            }
        }
    }

    #[test]
    fn however_many_orders_and_shipments_of_others_there_are_the_list_is_compared() {
        for of in [Of::Orders, Of::Shipments] {
            let mut strangers = Strangers::default();
            for number in 0..=ROWS_MAX {
                let name = (number.to_string(), String::new());
                let stranger = Stranger::Others(format!("PO-{number:06}"));
                strangers.put(of, name, stranger, Part::default()).unwrap();
            }
            assert!(strangers.rows.is_empty(), "none of them is kept");
            let unresolved = Stranger::Unresolved("PO-1".to_owned());
            strangers.put(of, ("1".to_owned(), String::new()), unresolved, Part::default()).unwrap();
            let left = left_aside(&strangers, "erp").told;
            let told = "left aside of the list of erp, as about no order of this host: 100001 rows (`PO-000000`, `PO-000001`, `PO-000002`, `PO-000003`, `PO-000004`, and more)";
            assert_eq!((left.len(), left[0].rows), (2, 1));
            assert_eq!((left[1].rows, left[1].detail.as_str()), (100_001, told));
        }
    }

    #[test]
    fn what_the_host_may_know_by_its_number_has_an_end() {
        let mut strangers = Strangers::default();
        for number in 0..ROWS_MAX {
            put(&mut strangers, number, Stranger::Nobody).unwrap();
        }
        put(&mut strangers, 0, Stranger::Nobody).unwrap();
        assert_eq!(put(&mut strangers, ROWS_MAX, Stranger::Nobody), Err(Unusable::TooMany));
    }
}
