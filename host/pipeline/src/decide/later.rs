//! What a sender says about an order after it: that it is to be another one, or not to
//! be at all. Both are events of their own, sealed, decided and on record as an order
//! is. No target takes them yet, so each ends with a person.
//!
//! They differ in what happens meanwhile. A change leaves its order alone: it is
//! delivered as it came first, and a shop that writes a new state into its orders every
//! hour holds none of them up. A request to cancel keeps its order back, for goods that
//! have left are harder to undo than a delay: no delivery of it begins any more, and an
//! order that comes after its own cancellation is held.

use portreeve_model::{Digest, Event, ExceptionKind, OrderId};
use portreeve_record::canonical_json;
use portreeve_record::leaf::DecidedState;
use portreeve_sandbox::Crossing;
use portreeve_store::Journaled;
use portreeve_store::contract::{
    Decided, DecisionCommit, HoldOwner, NewException, NewHold, NewOrderEvent, NewPayload, OrderEventKind,
};

use super::DecideError;
use super::facts::{self, RuleRows};
use super::reading::for_a_person;
use super::validating::{Standings, order_id, origin};
use crate::decision::{Answers, DecisionRecord, FindingRecord};
use crate::exception::Limits;
use crate::leaf::{self, DecideFacts};
use crate::tables::Tables;
use crate::{Pipeline, history};

/// The code of an exception about other content for an order.
pub(super) const CHANGED_ORDER: &str = "changed-order";

/// The code of an exception and of a hold about a request to cancel.
pub const CANCEL_REQUESTED: &str = "cancel-requested";

/// When the hold of an order that is to be cancelled escalates.
pub(super) const CANCEL_HOLD_MINUTES: i64 = 24 * 60;

/// What a document says about an order that another one made.
pub(super) struct Later {
    pub(super) event: Event,
    pub(super) kind: OrderEventKind,
}

impl Later {
    /// None when the event says nothing about another document's order.
    pub(super) fn kind_of(event: &Event) -> Option<OrderEventKind> {
        match event {
            Event::OrderChanged(_) => Some(OrderEventKind::Changed),
            Event::OrderCancelRequested(_) => Some(OrderEventKind::CancelRequested),
            _ => None,
        }
    }

    /// The order that it is about.
    pub(super) fn order_id(&self, document: &Journaled) -> OrderId {
        let (number, release) = match &self.event {
            Event::OrderChanged(change) => (change.order.number.as_str(), change.order.release.as_deref()),
            Event::OrderCancelRequested(cancel) => (cancel.order_number.as_str(), cancel.release()),
            _ => ("", None),
        };
        order_id(document, number, release)
    }
}

/// What a document says. New content under a business key that came before is a change,
/// whatever the document calls it.
pub(crate) fn as_change(event: Event, changes: bool) -> Event {
    match event {
        Event::OrderCreated(order) if changes => {
            Event::OrderChanged(portreeve_model::event::OrderChange { order, revision: None })
        }
        other => other,
    }
}

/// The hold of an order that its sender asked to cancel.
pub(super) fn cancel_hold(queue: &str, now: portreeve_model::Instant) -> NewHold {
    NewHold {
        owner: HoldOwner::Policy,
        reason: CANCEL_REQUESTED.to_owned(),
        queue: queue.to_owned(),
        lines: Vec::new(),
        expires_at: now.plus_ms(CANCEL_HOLD_MINUTES * portreeve_model::Instant::MINUTE_MS),
        component: None,
    }
}

/// The same in the record of an order that came after its cancellation.
pub(super) fn cancel_finding() -> FindingRecord {
    FindingRecord {
        code: CANCEL_REQUESTED.to_owned(),
        line: None,
        found: "a request to cancel the order, which came before it".to_owned(),
        expected: "none".to_owned(),
        consequence: "hold".to_owned(),
    }
}

impl Pipeline {
    /// Decides what a document says about an order.
    pub(super) fn about_order(
        &self,
        document: Journaled,
        crossing: Option<(Crossing, Option<String>)>,
        mut later: Later,
        tables: &Tables,
        standings: &mut Standings,
        configuration: u64,
    ) -> Result<DecisionCommit, DecideError> {
        let now = self.clock.now();
        let id = later.order_id(&document);
        let exists = standings.of(id).exists;
        if later.kind == OrderEventKind::CancelRequested {
            standings.cancel_requested(id);
        }

        let answer = |table: &str, key: &str| tables.answer(table, key);
        let mut rows = RuleRows::of(&answer);
        let subject = match &mut later.event {
            Event::OrderChanged(change) => {
                facts::translate_items(&mut change.order, &mut rows);
                history::customer_digest(&change.order, &origin(&document, id))
            }
            // It names an order and nobody; whoever erases the order's customer finds it by that.
            _ => Digest::of(document.sender().as_str().as_bytes()),
        };
        let event_json = later.event.to_json().map_err(|error| DecideError::Event(error.to_string()))?;
        let event = NewPayload::seal(&event_json, Some(subject))?;
        let state = match later.kind {
            OrderEventKind::Changed => DecidedState::Changed,
            OrderEventKind::CancelRequested => DecidedState::CancelRequested,
        };
        let mut answers = Answers::default();
        let looked_up = answers.places(&rows.asked().collect::<Vec<_>>());
        let record = DecisionRecord {
            v: 1,
            order: id,
            event: event.sealed.commitment(),
            received_at: document.received_at(),
            decided_at: now,
            configuration,
            authority: self.authority.digest(),
            reference: tables.versions().into_iter().map(|(table, version)| (table, version.to_string())).collect(),
            rules: self.rules.digest(),
            test_channel: self.routes.channel(document.channel()).is_some_and(|channel| channel.test),
            answers: answers.into_records(),
            looked_up,
            history: None,
            credit: None,
            findings: Vec::new(),
            scorings: Vec::new(),
            verdicts: Vec::new(),
            state: later.kind.as_str().to_owned(),
        };
        let fingerprint = Digest::of_parts(&[record.fingerprint()?.as_bytes(), &event_json]);
        let decision = NewPayload::seal(&canonical_json(&record)?, Some(subject))?;
        let leaf = leaf::decide(
            &self.host,
            now,
            &DecideFacts {
                order: None,
                about: Some(id),
                document: &document,
                event: Some(event.sealed.commitment()),
                configuration,
                mapping: crossing.as_ref(),
                key: &decision.key,
                scoring: &[],
                verdicts: &[],
                policy_holds: &[],
                cancel_requested: later.kind == OrderEventKind::CancelRequested,
                state,
                decision: Some(decision.sealed.commitment()),
                clock: now,
            },
        )?;
        let queue = self.queue(&document);
        let channel = self.routes.channel(document.channel()).map(|channel| (channel, document.received_at()));
        let (code, detail) = what_to_do(later.kind, exists);
        let hold = (later.kind == OrderEventKind::CancelRequested).then(|| cancel_hold(queue, now));
        let about = NewOrderEvent {
            order: id,
            kind: later.kind,
            event: event.sealed.commitment(),
            decision: decision.sealed.commitment(),
            fingerprint,
            hold,
            exception: self.dated(
                NewException { kind: ExceptionKind::Order, ..for_a_person(queue, code, detail) },
                now,
                Limits { channel, ..Limits::default() },
            ),
        };
        Ok(DecisionCommit {
            document,
            decided: Decided::Event(Box::new(about)),
            payloads: vec![event, decision],
            configuration,
            at: now,
            leaf,
        })
    }
}

fn what_to_do(kind: OrderEventKind, exists: bool) -> (&'static str, &'static str) {
    match (kind, exists) {
        (OrderEventKind::Changed, true) => (
            CHANGED_ORDER,
            "found other content for the order, expected what came first, which goes on as it is: compare the two, and change the order in the target or answer the sender",
        ),
        (OrderEventKind::Changed, false) => (
            CHANGED_ORDER,
            "found a change of an order that is not here, expected the order first: enter it as it is to be, or ask the sender",
        ),
        (OrderEventKind::CancelRequested, true) => (
            CANCEL_REQUESTED,
            "found a request to cancel the order, expected none: no delivery of it begins any more; cancel what the target has already, and answer the sender",
        ),
        (OrderEventKind::CancelRequested, false) => (
            CANCEL_REQUESTED,
            "found a request to cancel an order that is not here, expected the order first: it is held when it comes; ask the sender",
        ),
    }
}
