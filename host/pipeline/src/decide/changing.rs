//! Changes that people accept, and the systems that carry them out.
//!
//! An effect of `order.changed` follows when an accepted change counts, as any effect follows from its
//! event: of an order that is held it waits for the release, and of a change that cannot be counted there
//! is none. Its message is made of the host's own word, which has what is counted of the order: lines,
//! quantities and prices. Whatever else a change says, as another address, stays with whoever accepts it.
//!
//! The danger is a system that people take for told. Which of them will be told stands in the exception
//! before anybody accepts, and where the order is in no state in which one of them is, that is said as well.

use std::collections::BTreeSet;

use portreeve_model::{ChannelId, ProcessState};
use portreeve_store::contract::{DocumentPosition, OrderEventKind};

use super::following::{Moved, Worry};
use crate::process::Concern;
use crate::route::{Effect, Routes};

impl Routes {
    /// What people are told to do about a change of an order that is here, which came by the order's own
    /// channel; none where no system gets what they accept.
    pub(super) fn what_accepting_sends(&self, channel: &ChannelId) -> Option<String> {
        let sent: BTreeSet<String> = self.changes_for(Some(channel)).map(|effect| self.offered_by(effect)).collect();
        (!sent.is_empty()).then(|| {
            format!(
                "found other content for the order, expected what came first, which goes on as it is: compare the two, then accept the change, or refuse it; accepting it sends its lines, quantities and prices as {}: make it yourself in all other systems that have the order, with whatever else it says",
                join(&sent)
            )
        })
    }

    /// What people have to know of a change that counts: who gets accepted changes, and not this one,
    /// since the order is in a state in which he does not. `deciding` is the document that is decided.
    pub(super) fn not_sent(
        &self,
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
            let untold: BTreeSet<String> = untold.map(|effect| self.sent_by(effect)).collect();
            let concern = Concern {
                code: "change-not-sent",
                found: format!("an accepted change of an order that is {}", moved.from),
                expected: format!(
                    "a state in which it is sent as {}: nothing is sent there, so make the change yourself",
                    join(&untold)
                ),
            };
            let waited = (moved.position != deciding).then_some(moved.position);
            (!untold.is_empty()).then(|| Worry { event: moved.event.clone(), waited, counts: true, concern })
        };
        by_change.filter_map(worry).collect()
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
