//! For which orders the money of one key is: a payment goes by its reference and an invoice by its number,
//! so two systems may say as much of it and mean another order, and the sums would never tell.
//!
//! The host says of each part for which order it counted it, and so does a list that names several orders
//! of one key. A list that names one says that it is among them: a charge has room for one name, whatever it
//! pays. One that names none says nothing about it.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{Digest, OrderId};
use portreeve_store::StoreError;

use super::difference::Comparison;
use super::row::{InWords, Measures, TOLD_MAX};
use crate::Pipeline;

/// Orders that one run looks the numbers of up: those of more differences than people read.
const NUMBERS_MAX: usize = 2_000;

/// An order as a side names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OrderNamed {
    /// One of this host.
    Ours(OrderId),
    /// One that this host does not have.
    Strange(String),
}

/// What of a key is for which order, as far as one side says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ByOrder {
    parts: BTreeMap<OrderNamed, Measures>,
    /// Whether some of it is for an order that is not named.
    has_nameless: bool,
    /// Whether it is what the host counted.
    is_counted: bool,
}

/// What both sides say of the orders, where that is not the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Otherwise<'a> {
    /// Each part that one of both has otherwise.
    Parts(Vec<(&'a OrderNamed, Measures, Measures)>),
    /// For which orders, where one of both does not say how much for each.
    Names(BTreeSet<&'a OrderNamed>, BTreeSet<&'a OrderNamed>),
}

impl ByOrder {
    /// What one row is for. `is_counted` is whether the host counted it.
    pub(super) fn of(order: Option<OrderNamed>, money: Measures, is_counted: bool) -> Self {
        Self {
            has_nameless: order.is_none(),
            parts: order.map(|order| (order, money)).into_iter().collect(),
            is_counted,
        }
    }

    /// With another row of the same key; none where it cannot be added up.
    pub(super) fn and(mut self, other: Self) -> Option<Self> {
        for (order, money) in other.parts {
            let part = self.parts.entry(order).or_default();
            for (unit, measure) in money {
                let sum = part.get(&unit).map_or(Some(measure.clone()), |before| before.plus(&measure))?;
                part.insert(unit, sum);
            }
        }
        self.has_nameless |= other.has_nameless;
        self.is_counted |= other.is_counted;
        Some(self)
    }

    /// Whether it says of all of it how much is for which order.
    fn is_whole(&self) -> bool {
        !self.has_nameless && (self.is_counted || self.parts.len() > 1)
    }

    /// Where this one and the other one contradict each other.
    pub(super) fn otherwise<'a>(&'a self, other: &'a Self) -> Option<Otherwise<'a>> {
        if self.parts.is_empty() || other.parts.is_empty() {
            return None;
        }
        let (here, there): (BTreeSet<_>, BTreeSet<_>) = (self.parts.keys().collect(), other.parts.keys().collect());
        let contradict = match (self.is_whole(), other.is_whole()) {
            (true, true) => {
                let orders: BTreeSet<&OrderNamed> = here.union(&there).copied().collect();
                let parts = orders.into_iter().map(|order| (order, self.part(order), other.part(order)));
                let parts: Vec<_> = parts.filter(|(_, one, two)| one != two).collect();
                return (!parts.is_empty()).then_some(Otherwise::Parts(parts));
            }
            (true, false) => !there.is_subset(&here),
            (false, true) => !here.is_subset(&there),
            // What is nameless may be what the other one names.
            (false, false) => !self.has_nameless && !other.has_nameless && here != there,
        };
        contradict.then_some(Otherwise::Names(here, there))
    }

    /// How much is for an order.
    fn part(&self, order: &OrderNamed) -> Measures {
        let mut part = self.parts.get(order).cloned().unwrap_or_default();
        part.retain(|_, measure| !measure.is_zero());
        part
    }

    /// Names what it says.
    pub(super) fn digest(&self) -> Digest {
        let parts = self.parts.iter().map(|(order, money)| match order {
            OrderNamed::Ours(order) => format!("{} for {order}", InWords::Counted(money)),
            OrderNamed::Strange(number) => format!("{} for the strange {number}", InWords::Counted(money)),
        });
        let said: Vec<String> = parts.chain(self.has_nameless.then(|| "and another".to_owned())).collect();
        Digest::of_parts(&said.iter().map(String::as_bytes).collect::<Vec<_>>())
    }
}

impl Otherwise<'_> {
    /// In words, each with what one system and the other one say. `numbers` is what the senders call orders, and
    /// `sum` what both say that it comes to together.
    pub(super) fn told(
        &self,
        numbers: &BTreeMap<OrderId, String>,
        sum: Option<&Measures>,
        here: &str,
        there: &str,
    ) -> Vec<String> {
        let called = |order: &OrderNamed| match order {
            OrderNamed::Ours(order) => match numbers.get(order) {
                Some(number) => format!("order `{}` (`{order}`)", number.escape_debug()),
                None => format!("order `{order}`"),
            },
            OrderNamed::Strange(number) => {
                format!("order `{}`, which this host does not have,", number.escape_debug())
            }
        };
        match self {
            Self::Parts(parts) => {
                let told = parts.iter().take(TOLD_MAX).map(|(order, one, two)| {
                    let (one, two) = (InWords::Money(one), InWords::Money(two));
                    format!("{one} for {} in {here} and {two} in {there}", called(order))
                });
                let more = parts.len().saturating_sub(TOLD_MAX);
                told.chain((more > 0).then(|| format!("and {more} orders more"))).collect()
            }
            Self::Names(one, two) => {
                let all = |orders: &BTreeSet<&OrderNamed>| {
                    let told = orders.iter().take(TOLD_MAX).map(|order| called(order));
                    let more = orders.len().saturating_sub(TOLD_MAX);
                    let told: Vec<String> = told.chain((more > 0).then(|| format!("{more} more"))).collect();
                    told.join(" and ")
                };
                let sum = sum.map_or_else(String::new, |sum| format!("{} ", InWords::Money(sum)));
                vec![format!("{sum}for {} in {here} and for {} in {there}", all(one), all(two))]
            }
        }
    }

    /// The orders of this host that it tells.
    fn orders(&self) -> BTreeSet<OrderId> {
        let told: Vec<&OrderNamed> = match self {
            Self::Parts(parts) => parts.iter().take(TOLD_MAX).map(|(order, ..)| *order).collect(),
            Self::Names(one, two) => one.iter().take(TOLD_MAX).chain(two.iter().take(TOLD_MAX)).copied().collect(),
        };
        let ours = told.into_iter().filter_map(|order| match order {
            OrderNamed::Ours(order) => Some(*order),
            OrderNamed::Strange(_) => None,
        });
        ours.collect()
    }
}

impl Pipeline {
    /// Looks up what the senders call the orders of differences that are about which order something is for.
    pub(super) async fn number_orders(&self, comparison: &mut Comparison) -> Result<(), StoreError> {
        let mut numbers = BTreeMap::<OrderId, Option<String>>::new();
        for difference in comparison.differences.values_mut() {
            let orders = difference.otherwise().map(|otherwise| otherwise.orders()).unwrap_or_default();
            for order in orders {
                if !numbers.contains_key(&order) {
                    if numbers.len() >= NUMBERS_MAX {
                        return Ok(());
                    }
                    let origin = self.store.order_origin(order).await?;
                    numbers.insert(order, origin.map(|origin| origin.number));
                }
                let number = numbers.get(&order).cloned().flatten();
                difference.numbers.extend(number.map(|number| (order, number)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::value::{Currency, Money};
    use proptest::prelude::*;

    use super::super::row::Measure;
    use super::*;

    fn order(digit: char) -> OrderId {
        OrderId::parse(&format!("{digit}fa459ea-ee8a-3ca4-894e-db77e160355e")).unwrap()
    }

    /// So much for each order; one that is not named has a hyphen.
    fn said(parts: &[(char, i64)], is_counted: bool) -> ByOrder {
        let currency = Currency::parse("USD").unwrap();
        let parts = parts.iter().map(|(digit, minor)| {
            let money = Measures::from([("USD".to_owned(), Measure::of_money(&Money { minor: *minor, currency }))]);
            ByOrder::of((*digit != '-').then(|| OrderNamed::Ours(order(*digit))), money, is_counted)
        });
        parts.reduce(|one, other| one.and(other).unwrap()).unwrap()
    }

    #[test]
    fn money_that_is_counted_to_another_order_is_told_as_far_as_both_name_orders() {
        let (counted, listed) = (|parts| said(parts, true), |parts| said(parts, false));
        for (one, other, agree) in [
            (counted(&[('1', 100)]), listed(&[('1', 100)]), true),
            (counted(&[('1', 100)]), listed(&[('2', 100)]), false),
            // Who names none says nothing about it.
            (counted(&[('1', 100)]), listed(&[('-', 100)]), true),
            // A list has room for one name of a transfer that pays two orders, and it is one of both.
            (counted(&[('1', 60), ('2', 40)]), listed(&[('1', 100)]), true),
            (counted(&[('1', 60), ('2', 40)]), listed(&[('3', 100)]), false),
            // What was counted to one order alone is not for two.
            (counted(&[('1', 100)]), listed(&[('1', 60), ('2', 40)]), false),
            (counted(&[('1', 60), ('2', 40)]), listed(&[('1', 40), ('2', 60)]), false),
            (counted(&[('1', 60), ('2', 40)]), listed(&[('1', 60), ('2', 40)]), true),
            (counted(&[('1', 100), ('2', 0)]), listed(&[('1', 60), ('1', 40), ('2', 0)]), true),
            // What is nameless may be the other one's.
            (counted(&[('1', 60), ('2', 40)]), listed(&[('1', 60), ('-', 40)]), true),
            (counted(&[('1', 100)]), listed(&[('2', 60), ('-', 40)]), false),
            (listed(&[('1', 100)]), listed(&[('2', 60), ('-', 40)]), true),
            (listed(&[('1', 100)]), listed(&[('2', 100)]), false),
        ] {
            assert_eq!(one.otherwise(&other).is_none(), agree, "{one:?} {other:?}");
            assert_eq!(other.otherwise(&one).is_none(), agree, "{other:?} {one:?}");
        }
    }

    #[test]
    fn what_contradicts_is_told_with_what_each_of_both_says_and_by_the_numbers_that_people_know() {
        let numbers = BTreeMap::from([(order('1'), "PO-1".to_owned())]);
        let told = |one: &ByOrder, other: &ByOrder| {
            let sum = Measures::from([(
                "USD".to_owned(),
                Measure::of_money(&Money { minor: 100, currency: Currency::parse("USD").unwrap() }),
            )]);
            one.otherwise(other).unwrap().told(&numbers, Some(&sum), "this host", "stripe")
        };
        let (one, two) = (said(&[('1', 100)], true), said(&[('2', 100)], false));
        let expected = format!(
            "1.00 USD for order `PO-1` (`{}`) in this host and for order `{}` in stripe",
            order('1'),
            order('2')
        );
        assert_eq!(told(&one, &two), [expected]);
        let two = said(&[('1', 60), ('2', 40)], false);
        let expected = [
            format!("1.00 USD for order `PO-1` (`{}`) in this host and 0.60 USD in stripe", order('1')),
            format!("none for order `{}` in this host and 0.40 USD in stripe", order('2')),
        ];
        assert_eq!(told(&one, &two), expected);
    }

    fn some_parts() -> impl Strategy<Value = (Vec<(char, i64)>, bool)> {
        let part = (prop::sample::select(vec!['1', '2', '3', '-']), 0..3_i64);
        (prop::collection::vec(part, 1..5), any::<bool>())
    }

    proptest! {
        #[test]
        fn who_says_the_same_contradicts_nobody_and_both_sides_contradict_alike(one in some_parts(), other in some_parts()) {
            let mut back = one.0.clone();
            back.reverse();
            let (said_once, again) = (said(&one.0, one.1), said(&back, one.1));
            prop_assert_eq!(said_once.otherwise(&again), None);
            let (one, other) = (said(&one.0, one.1), said(&other.0, other.1));
            prop_assert_eq!(one.otherwise(&other).is_some(), other.otherwise(&one).is_some());
        }
    }
}
