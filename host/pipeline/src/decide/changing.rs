//! Changes that people accept, and the systems that carry them out.
//!
//! An effect of `order.changed` follows when an accepted change counts, as any effect follows from its
//! event: of an order that is held it waits for the release, and of a change that cannot be counted there
//! is none. Its message is made of the host's own word, which has what is counted of the order: lines,
//! quantities and prices. Whatever else a change says, as another address, stays with whoever accepts it.
//!
//! The danger is a system that people take for told. Which of them will be told stands in the exception
//! before anybody accepts, and where the order is in no state in which one of them is, that is said as well;
//! of one that has the order to come, that it is changed there when it has it: it gets the order as it came.

use std::collections::BTreeSet;

use portreeve_model::{ChannelId, ProcessState};
use portreeve_store::contract::{DocumentPosition, OrderEventKind};

use super::following::{Moved, Worry};
use crate::process::{Concern, Process};
use crate::route::{Effect, Routes, Sends};

impl Routes {
    /// What people are told to do about a change of an order that is here, which came by the order's own
    /// channel; none where no system gets what they accept.
    pub(super) fn what_accepting_sends(&self, channel: &ChannelId) -> Option<String> {
        let sent: BTreeSet<String> = self.changes_for(Some(channel)).map(|effect| self.offered_by(effect)).collect();
        (!sent.is_empty()).then(|| {
            format!(
                "found other content for the order, expected what came first, which goes on as it is: compare the two, then accept the change, or refuse it; accepting it sends its lines, quantities and prices as {}: make it yourself in all other systems that have the order, with whatever else it says. So it is configured now; where that changes before, `portreeve route catalogue` tells who gets `order.changed`",
                join(&sent)
            )
        })
    }

    /// What people have to know of a change that counts: who gets accepted changes, and not this one,
    /// since the order is in a state in which he does not. `deciding` is the document that is decided.
    pub(super) fn not_sent(
        &self,
        process: &Process,
        moved: &[Moved],
        deciding: DocumentPosition,
        channel: Option<&ChannelId>,
    ) -> Vec<Worry> {
        // Of what no system has any more nothing is to be changed there.
        let by_change = moved.iter().filter(|moved| moved.event == OrderEventKind::Changed.as_str());
        let by_change = by_change.filter(|moved| moved.from != ProcessState::Cancelled);
        let worry = |moved: &Moved| {
            let told: BTreeSet<&str> = self
                .changes_for(channel)
                .filter(|effect| effect.follows(moved))
                .map(|effect| effect.target.as_str())
                .collect();
            let untold = self.changes_for(channel).filter(|effect| !told.contains(effect.target.as_str()));
            let untold: Vec<&Effect> = untold.collect();
            let later = untold.iter().filter(|effect| self.gets_later(&effect.target, process, moved, channel));
            let later: BTreeSet<String> = later.map(|effect| format!("target `{}`", effect.target)).collect();
            let untold: BTreeSet<String> = untold.iter().map(|effect| self.sent_by(effect)).collect();
            let mut expected = format!(
                "a state in which it is sent as {}: nothing is sent there, so make the change yourself",
                join(&untold)
            );
            if !later.is_empty() {
                expected.push_str(&format!(
                    ", and at {} when the order is there: it goes there later, and as it came",
                    join(&later)
                ));
            }
            let found = format!("an accepted change of an order that is {}", moved.from);
            let concern = Concern { code: "change-not-sent", found, expected };
            let waited = (moved.position != deciding).then_some(moved.position);
            (!untold.is_empty()).then(|| Worry { event: moved.event.clone(), waited, counts: true, concern })
        };
        by_change.filter_map(worry).collect()
    }

    /// Whether a target is still to get the order as it came: by an event that no earlier state lets come, so
    /// that it has not come yet.
    fn gets_later(&self, target: &str, process: &Process, moved: &Moved, channel: Option<&ChannelId>) -> bool {
        self.effects.iter().filter(|effect| effect.target == target && effect.sends == Sends::Order).any(|effect| {
            let is_from = effect.from.is_empty() || effect.from.contains(&moved.to);
            effect.is_of(channel) && is_from && process.around(&effect.on).0.first() == Some(&moved.to)
        })
    }

    fn changes_for<'a>(&'a self, channel: Option<&'a ChannelId>) -> impl Iterator<Item = &'a Effect> {
        let changed = OrderEventKind::Changed.as_str();
        self.effects.iter().filter(move |effect| effect.on == changed && effect.is_of(channel))
    }

    /// What goes where by an effect.
    fn sent_by(&self, effect: &Effect) -> String {
        format!("`{}` to target `{}`", self.kind_of(effect).unwrap_or("a message"), effect.target)
    }

    /// The same with the states in which it is sent.
    fn offered_by(&self, effect: &Effect) -> String {
        let sent = self.sent_by(effect);
        let states: Vec<&str> = effect.from.iter().map(|state| state.as_str()).collect();
        match states.split_last() {
            None => sent,
            Some((only, [])) => format!("{sent} while the order is {only}"),
            Some((last, others)) => format!("{sent} while the order is {} or {last}", others.join(", ")),
        }
    }
}

fn join(sent: &BTreeSet<String>) -> String {
    sent.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
}
