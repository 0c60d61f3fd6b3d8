//! What must not be in the ledgers where a customer asked for his order to be another one: that he
//! is answered otherwise than once, or that something else leaves than was agreed on last.
//!
//! What he asked for, his own books say, and what was agreed on, the 865 that he got: where it says
//! that his change is accepted, its lines are; where it is not, what he had ordered before.

use std::collections::BTreeMap;

use portreeve_model::value::Decimal;

use super::told::order_of;
use super::{Broken, Ledgers, Line, Sums, key, sums};
use crate::standins::amount::Amount;
use crate::standins::partner::{Asked, AskedLine, Entry};

/// An answer to a change.
const ANSWER: &str = "865";

/// BCA02 of one that is accepted.
const ACCEPTED: &str = "AD";

impl Ledgers {
    /// Each change is answered once, by its order's and its own number, and nothing else is.
    pub(super) fn changes_answered(&self) -> Vec<Broken> {
        let mut counts: BTreeMap<(&str, String), (usize, usize)> = BTreeMap::new();
        for asked in &self.changes {
            counts.entry((&asked.number, asked.sequence.to_string())).or_default().0 += 1;
        }
        for answer in self.answers() {
            counts.entry((answer.element("BCA", 3), answer.element("BCA", 5).to_owned())).or_default().1 += 1;
        }
        let broken = counts.into_iter().filter(|(_, (asked, answered))| asked != answered);
        broken
            .map(|((number, sequence), (asked, answered))| {
                (number.to_owned(), format!("change {sequence} was asked for {asked} times and answered {answered}"))
            })
            .collect()
    }

    /// Of an order that left, and of which a change was answered, all that was agreed on last left.
    pub(super) fn shipped_as_agreed(&self) -> Vec<Broken> {
        let shipped = self.shipped();
        let mut broken = Vec::new();
        for (number, order) in self.changed_orders() {
            let left: Sums =
                shipped.iter().filter(|(line, _)| line.order == order).map(|(l, a)| (l.clone(), *a)).collect();
            let agreed = self.agreed(number, &order);
            if left.is_empty() || left == agreed {
                continue;
            }
            broken.push((order, format!("{} left; agreed on was {}", listed(&left), listed(&agreed))));
        }
        broken
    }

    fn answers(&self) -> impl Iterator<Item = &Entry> {
        self.customers.iter().filter(|entry| entry.set == ANSWER)
    }

    /// Orders of which a change was answered: the customer's number and the host's id of each.
    fn changed_orders(&self) -> BTreeMap<&str, String> {
        self.answers().map(|answer| (answer.element("BCA", 3), order_of(answer))).collect()
    }

    /// What is to leave of an order.
    fn agreed(&self, number: &str, order: &str) -> Sums {
        let accepted =
            self.answers().filter(|answer| answer.element("BCA", 3) == number && answer.element("BCA", 2) == ACCEPTED);
        let lines = match accepted.max_by_key(|answer| answer.entry) {
            Some(last) => answered_lines(last, order),
            None => {
                let first = self.changes.iter().filter(|asked| asked.number == number).min_by_key(|asked| asked.entry);
                first.map(|asked| ordered_lines(asked, order)).unwrap_or_default()
            }
        };
        sums(lines.iter().map(|(line, quantity)| (line.clone(), quantity)))
    }
}

fn answered_lines(answer: &Entry, order: &str) -> Vec<(Line, Decimal)> {
    let lines = answer.segments.iter().filter(|segment| segment.first().is_some_and(|tag| tag == "POC"));
    lines
        .map(|segment| {
            let at = |element: usize| segment.get(element).map_or("", String::as_str);
            // What is no number agrees with nothing that left.
            let quantity = Decimal::parse(at(3)).unwrap_or(Decimal { units: 0, scale: 0 });
            (key(order, at(1), at(9), at(5)), quantity)
        })
        .collect()
}

fn ordered_lines(asked: &Asked, order: &str) -> Vec<(Line, Decimal)> {
    let line = |line: &AskedLine| {
        (key(order, &line.number, &line.sku, &line.unit), Decimal { units: i64::from(line.quantity), scale: 0 })
    };
    asked.before.iter().map(line).collect()
}

fn listed(sums: &Sums) -> String {
    let told = |(line, amount): (&Line, &Amount)| format!("{} of {line}", amount.decimal());
    let told: Vec<String> = sums.iter().map(told).collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(" and ") }
}
