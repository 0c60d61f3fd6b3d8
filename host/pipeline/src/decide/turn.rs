//! Whose turn it is: what is said about one order is decided in the order in which it
//! was said.
//!
//! The store keeps documents of one business key apart. An order and its cancellation
//! have different keys and one order, which only the host knows, and not before it has
//! read them. So what comes after a document that waits for another try, and is about
//! the same order, waits with it: a change that were decided before its order would be
//! one of an order that is not here, and a person might enter both by hand.
//!
//! A document that nobody could read yet may be about any order of its sender. What
//! needs an order to be about waits for it; a new order does not, nor does what is said
//! about one that is here, for a stuck order blocks no other.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{Instant, OrderId};
use portreeve_store::contract::{DecisionCommit, DocumentPosition};

use super::reading::{Mapped, Reading, for_a_person};
use super::set_aside::{Party, WAITING_MAX};
use super::validating::{Standings, order_id};
use crate::Pipeline;

/// The order that each document of a batch is about, where it is about one.
#[derive(Default)]
pub(super) struct Subjects(BTreeMap<DocumentPosition, OrderId>);

impl Subjects {
    pub(super) fn of(mapped: &[Mapped]) -> Self {
        let subject = |mapped: &Mapped| Some((mapped.document.position(), mapped.order()?));
        Self(mapped.iter().filter_map(subject).collect())
    }

    /// All of them, by position.
    pub(super) fn orders(&self) -> Vec<OrderId> {
        self.0.values().copied().collect()
    }

    /// The order that a document is about.
    pub(super) fn of_document(&self, position: DocumentPosition) -> Option<OrderId> {
        self.0.get(&position).copied()
    }

    /// The lowest of these documents about each order.
    fn first_of(&self, positions: &BTreeSet<DocumentPosition>) -> BTreeMap<OrderId, DocumentPosition> {
        let about = positions.iter().rev().filter_map(|position| Some((*self.0.get(position)?, *position)));
        about.collect()
    }
}

impl Mapped {
    /// The order that the document makes or is about.
    fn order(&self) -> Option<OrderId> {
        match &self.outcome {
            Ok(Reading::Order(order, _)) => Some(order_id(&self.document, &order.number, order.release.as_deref())),
            Ok(Reading::Later(later)) => Some(later.order_id(&self.document)),
            Ok(Reading::Answer(answer)) => Some(answer.order()),
            Ok(Reading::Level(_) | Reading::Duplicate(_) | Reading::Acknowledged(_)) | Err(_) => None,
        }
    }

    /// The order that a system says something of in the document, if one does.
    pub(super) fn named_by_a_system(&self) -> Option<OrderId> {
        match &self.outcome {
            Ok(Reading::Later(later)) => later.named(),
            _ => None,
        }
    }

    /// The order that the document moves along its process, if it does.
    pub(super) fn follows(&self) -> Option<OrderId> {
        match &self.outcome {
            Ok(Reading::Later(later)) if later.moves() => Some(later.order_id(&self.document)),
            _ => None,
        }
    }
}

impl Pipeline {
    /// The document if it is its turn. None when it is kept back: a lower one that is or
    /// may be about the same order waits for its next try.
    pub(super) fn in_turn(
        &self,
        mut mapped: Mapped,
        subjects: &Subjects,
        standings: &Standings,
        now: Instant,
    ) -> Option<Mapped> {
        let document = &mapped.document;
        let Some(order) = subjects.0.get(&document.position()).copied() else { return Some(mapped) };
        let needs_an_order = matches!(mapped.outcome, Ok(Reading::Later(_))) && !standings.of(order).exists;
        let unread = needs_an_order.then(|| Party::of(document));
        let Some(due_at) = self.set_aside.before(document.position(), order, unread.as_ref(), now) else {
            return Some(mapped);
        };
        if self.set_aside.keep_back(document.position(), Party::of(document), Some(order), due_at) {
            return None;
        }
        let detail = format!(
            "found a document about an order that waits for another try, and {WAITING_MAX} more of the channel that wait; see what its plugins wait for, and decide about both yourself"
        );
        mapped.outcome = Err(for_a_person(self.queue(document), "order-waits", &detail));
        Some(mapped)
    }

    /// Takes back what was decided about an order of which a lower document is left.
    pub(super) fn keep_turns(
        &self,
        decisions: &mut Vec<DecisionCommit>,
        left: &BTreeSet<DocumentPosition>,
        subjects: &Subjects,
        now: Instant,
    ) {
        let first = subjects.first_of(left);
        decisions.retain(|DecisionCommit { document, .. }| {
            let position = document.position();
            let Some(order) = subjects.0.get(&position) else { return true };
            if first.get(order).is_none_or(|first| position < *first) {
                return true;
            }
            // The host itself may have failed on the lower one; a person gets that at once.
            if let Some(due_at) = self.set_aside.before(position, *order, None, now) {
                self.set_aside.keep_back(position, Party::of(document), Some(*order), due_at);
            }
            false
        });
    }
}
