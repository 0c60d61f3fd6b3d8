//! How far an order is once people agreed that it is to be another one.
//!
//! A change is the whole order as it is to be, and people accept it when they have carried it out in the
//! systems that have the order, or have these told by that. So from then on as much is ordered as it says,
//! and what has moved has moved. Nothing is guessed where the two contradict each other: then nothing of the change counts, and
//! a person hears why.
//!
//! | line                                 | afterwards                                               |
//! |--------------------------------------|----------------------------------------------------------|
//! | in the change, nothing of it left    | as the change has it                                     |
//! | in the change, some of it left       | of the same item, and no less than left                  |
//! | in the change, the rest never leaves | as much as before, or as left: nobody knows of any other |
//! | not in the change                    | as much as left of it                                    |
//! | new, also beside one of its item     | as the change has it; not of what left of one that goes  |

use std::collections::BTreeMap;

use super::{Concern, LineProgress, Progress, Trouble, impossible};

/// The code of a change by which less of a line would leave than has left.
pub(crate) const LESS_THAN_LEFT: &str = "less-than-left";

impl Progress {
    /// Counts by the order as it is to be from now on, of which nothing moved yet.
    pub(in crate::process) fn agree(&mut self, agreed: Self) -> Result<(), Trouble> {
        if let Some((number, line)) = agreed.lines.iter().find(|(_, line)| line.ordered < 0) {
            let found = format!("a change to {} of line {number}", line.shown(line.ordered));
            return Err(impossible("below-nothing", found, "a quantity of nothing or more"));
        }
        if agreed.money.currency != self.money.currency {
            let (found, expected) = (agreed.money.currency, self.money.currency);
            return Err(impossible("other-currency", format!("a change in {found}"), format!("one in {expected}")));
        }
        if agreed.lines.values().all(|line| line.ordered == 0) {
            let expected = "some of it: what is not wanted at all is cancelled";
            return Err(impossible("nothing-ordered", "a change after which nothing is ordered", expected));
        }
        self.may_get(&agreed.lines)?;
        let (mut lines, mut added) = (self.lines.clone(), agreed.lines);
        let (mut gone, mut is_less) = (Vec::new(), false);
        for (number, line) in &mut lines {
            let before = line.ordered;
            match added.remove(number) {
                Some(agreed) => *line = line.agreed(agreed, number)?,
                None => {
                    line.orders(line.shipped);
                    gone.extend((line.shipped > 0).then(|| line.clone()));
                }
            }
            is_less |= line.ordered < before;
        }
        for (number, line) in &added {
            // Nobody knows whether that is what left under another number, or more of it.
            let is_known = |other: &&LineProgress| !other.items.is_disjoint(&line.items);
            if let Some(other) = gone.iter().find(is_known) {
                let items: Vec<&str> = other.items.intersection(&line.items).map(String::as_str).collect();
                let items = items.join("`, `");
                let found = format!("a new line {number} of `{items}`, of which some left by one that is gone");
                return Err(impossible("other-line", found, "the number that the line had"));
            }
        }
        lines.extend(added);
        self.lines = lines;
        // What left of a line that the change does not have is worth something that it does not say.
        let ordered_minor = agreed.money.ordered_minor.filter(|_| gone.is_empty());
        // Lower prices alone let go of nothing: what was paid above them is a person's.
        if let (Some(before), Some(after)) = (self.money.ordered_minor, ordered_minor)
            && (is_less || after > before)
        {
            self.money.let_go_minor = self.money.let_go_minor.saturating_add(before.saturating_sub(after)).max(0);
        }
        self.money.ordered_minor = ordered_minor;
        Ok(())
    }

    /// Checks that these lines want no more of an order that is over: no system of record has it any more,
    /// so it would begin again where nobody can cancel it.
    fn may_get(&self, agreed: &BTreeMap<String, LineProgress>) -> Result<(), Trouble> {
        if !self.refused && !self.was_said("order.rejected", "") {
            return Ok(());
        }
        let is_more = |(number, line): &(&String, &LineProgress)| match self.lines.get(*number) {
            Some(known) => known.count_of_same(line, number).map_or(line.ordered > 0, |count| count > known.ordered),
            None => line.ordered > 0,
        };
        let Some((number, line)) = agreed.iter().find(is_more) else { return Ok(()) };
        let found = format!("a change to {} of line {number} of an order that was rejected", line.shown(line.ordered));
        Err(impossible("order-over", found, "no more of it than before: what is wanted now is a new order"))
    }
}

impl LineProgress {
    /// The line as it is to be from now on.
    fn agreed(&self, mut agreed: Self, number: &str) -> Result<Self, Trouble> {
        let has_moved = self.shipped > 0 || self.invoiced > 0 || self.returned > 0 || self.closed;
        let ordered = match self.count_of_same(&agreed, number) {
            // Another item, or counted otherwise, in the place of what nothing happened to.
            Err(Trouble::Impossible(Concern { code: "other-item" | "other-unit" | "other-scale", .. }))
                if !has_moved =>
            {
                return Ok(agreed);
            }
            ordered => ordered?,
        };
        if ordered < self.shipped {
            let found = format!("a change to {} of line {number}", self.shown(ordered));
            let expected = format!("{} at least, which left", self.shown(self.shipped));
            return Err(impossible(LESS_THAN_LEFT, found, expected));
        }
        if self.closed && ordered != self.ordered && ordered != self.shipped {
            let found = format!("a change to {} of line {number}, of which nothing more leaves", self.shown(ordered));
            let (left, before) = (self.shown(self.shipped), self.shown(self.ordered));
            return Err(impossible("line-closed", found, format!("{left}, which left, or {before} as before")));
        }
        let mut line = self.clone();
        line.items.append(&mut agreed.items);
        line.unshipped = agreed.unshipped;
        line.orders(ordered);
        Ok(line)
    }

    /// How much another one orders of the same item, in the unit and the decimal places of this one.
    fn count_of_same(&self, other: &Self, number: &str) -> Result<i64, Trouble> {
        if !self.items.is_empty() && self.items.is_disjoint(&other.items) {
            let [known, items] = [&self.items, &other.items]
                .map(|items| items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(" or "));
            let found = format!("a change of line {number} to item {items}");
            return Err(impossible("other-item", found, format!("{known}, of which some moved already")));
        }
        self.count_of(&other.shown(other.ordered))
    }

    /// So much of it is ordered; what was set aside for more than that is not any more.
    fn orders(&mut self, ordered: i64) {
        self.ordered = ordered;
        for counted in [&mut self.allocated, &mut self.picked, &mut self.packed] {
            *counted = ordered.min(*counted);
        }
    }
}
