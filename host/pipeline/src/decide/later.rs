//! What is said about an order after it: by its sender, that it is to be another one, or not to
//! be at all; by a warehouse or another system, how far it is. Each is an event of its
//! own, sealed, decided and on record as an order is.
//!
//! A payer's advice names invoices and no order, and may be for several: it is about the first of them, and the
//! host says what it says of each other one (`advised`).
//!
//! What a system says moves the order along its process (`following`), and the routes say what
//! follows from that (`effects`). So does what the host itself says of a change that people accepted:
//! from then on as much is ordered as that says. What a sender wants changed ends with a person (`changing`) and
//! leaves its order alone: it is delivered as it came first, and a shop that writes a new state
//! into its orders every hour holds none of them up. A request to cancel stops its order, for
//! goods that have left are harder to undo than a delay: no delivery of it begins any more, and
//! an order that comes after its own cancellation is held. Where the routes have an effect of
//! the request, which depends on how far the order is, that undoes it; where they have none, a
//! person does. Of an order that was refused here nothing is left to cancel, and nobody is asked.

use std::collections::BTreeMap;

use portreeve_model::event::Remittance;
use portreeve_model::{ChannelId, Digest, Event, ExceptionKind, OrderId, ProcessState};
use portreeve_record::leaf::DecidedState;
use portreeve_record::{canonical_digest, canonical_json};
use portreeve_sandbox::Crossing;
use portreeve_store::Journaled;
use portreeve_store::contract::{
    Decided, DecisionCommit, DocumentPosition, EARLY_EVENT, EventOutcome, HoldOwner, NewException, NewHold,
    NewOrderEvent, NewPayload, OrderEventKind, OrderName, OrderState, Stop,
};

use super::DecideError;
use super::advised;
use super::facts::{self, RuleRows};
use super::following::{self, Followed, Moved, Paying, REFUND_NOT_SENT, Worry};
use super::reading::for_a_person;
use super::rechecking;
use super::validating::{Standings, order_id, origin};
use crate::decision::{Answers, DecisionRecord, EffectRecord, FindingRecord};
use crate::exception::Limits;
use crate::leaf::{self, DecideFacts};
use crate::process::Concern;
use crate::route::{Channel, OrdersBy, Routes};
use crate::tables::Tables;
use crate::{Pipeline, history};

/// The code of an exception about other content for an order.
pub const CHANGED_ORDER: &str = "changed-order";

/// The code of an exception and of a hold about a request to cancel.
pub const CANCEL_REQUESTED: &str = "cancel-requested";

/// When the hold of an order that is to be cancelled escalates.
pub(super) const CANCEL_HOLD_MINUTES: i64 = 24 * 60;

/// What a document says about an order that another one made.
pub(super) struct Later {
    event: Event,
    kind: OrderEventKind,
    /// The order that a system names.
    named: Option<Named>,
    /// Whether it moves its order along its process.
    moves: bool,
    /// What an advice says of each other order that it is for.
    others: Vec<Remittance>,
}

/// The order that a system names.
enum Named {
    /// By the host's identifier, or that was found by its name.
    Is(OrderId),
    /// By another system's name for it.
    As(OrderName),
    /// By invoices, which may be of several.
    By(Vec<OrderName>),
}

impl Later {
    /// What an event says about an order. A sender says what becomes of its own; whoever says
    /// anything else has to be allowed to, and names the order by the host's identifier.
    pub(super) fn of(event: Event, channel: Option<&Channel>, routes: &Routes) -> Result<Self, Concern> {
        let name = event.name().to_owned();
        let Some(kind) = OrderEventKind::of(&name) else {
            let found = format!("`{name}`, which is not handled by itself yet");
            return Err(Concern { code: "not-automatic", found, expected: "a person to carry it out".to_owned() });
        };
        if !kind.is_a_systems() {
            let moves = routes.cancels() && wants_all_cancelled(&event);
            return Ok(Self { event, kind, named: None, moves, others: Vec::new() });
        }
        if !channel.is_some_and(|channel| channel.says.contains(&name)) {
            let found = format!("`{name}` on a channel that may not say it");
            let expected = "it among `says` of the channel, if its senders are to be believed".to_owned();
            return Err(Concern { code: "may-not-say", found, expected });
        }
        Self::of_system(event, kind, channel.and_then(|channel| channel.orders_by.as_ref()))
    }

    /// What a system says of an order, which it names.
    pub(super) fn of_system(event: Event, kind: OrderEventKind, by: Option<&OrdersBy>) -> Result<Self, Concern> {
        if let Event::RemittanceReceived(advice) = &event {
            let named = Some(Named::By(advised::invoices(advice)?));
            return Ok(Self { event, kind, named, moves: true, others: Vec::new() });
        }
        let reference = reference(&event).filter(|reference| !reference.is_empty());
        let named = match by {
            Some(by) => reference.map(|reference| Named::As(by.name(reference))),
            None => reference.and_then(|reference| OrderId::parse(reference).ok()).map(Named::Is),
        };
        match named {
            Some(named) => Ok(Self { event, kind, named: Some(named), moves: true, others: Vec::new() }),
            None => {
                let name = kind.as_str();
                let found = format!("`{name}` without the identifier of an order");
                let expected = "the one that this host gave the order to its targets with, as the order's number";
                Err(Concern { code: "unknown-order", found, expected: expected.to_owned() })
            }
        }
    }

    /// The names of its orders, where those have still to be found.
    pub(super) fn names(&self) -> &[OrderName] {
        match &self.named {
            Some(Named::As(name)) => std::slice::from_ref(name),
            Some(Named::By(names)) => names,
            Some(Named::Is(_)) | None => &[],
        }
    }

    /// The invoice that it tells of an order that is known.
    pub(super) fn invoice(&self) -> Option<(OrderName, OrderId)> {
        let name = OrderName::Invoice { number: self.invoice_number()?.to_owned() };
        Some((name, self.named()?))
    }

    fn invoice_number(&self) -> Option<&str> {
        match &self.event {
            Event::InvoicePosted(invoice) => Some(invoice.invoice_number.as_str()).filter(|number| !number.is_empty()),
            _ => None,
        }
    }

    /// Whether it is an advice of a payment, of whose invoices the orders have still to be found.
    pub(super) fn is_advice(&self) -> bool {
        matches!(self.named, Some(Named::By(_)))
    }

    /// Finds whose invoices an advice names: it is about the first order, and of the others the host says so.
    pub(super) fn divide(&mut self, known: &BTreeMap<OrderName, Vec<OrderId>>) -> Result<(), Concern> {
        let Event::RemittanceReceived(advice) = &self.event else { return Ok(()) };
        let mut parts = advised::by_order(advice, known)?.into_iter();
        if let Some((order, part)) = parts.next() {
            self.is_about(order);
            self.event = Event::RemittanceReceived(part);
        }
        self.others = parts.map(|(_, part)| part).collect();
        Ok(())
    }

    /// The order that a system names.
    pub(super) fn named(&self) -> Option<OrderId> {
        match self.named {
            Some(Named::Is(order)) => Some(order),
            Some(Named::As(_) | Named::By(_)) | None => None,
        }
    }

    /// It is about this order, and by no other name.
    pub(super) fn is_about(&mut self, order: OrderId) {
        self.named = Some(Named::Is(order));
    }

    /// Whether it moves its order along its process.
    pub(super) fn moves(&self) -> bool {
        self.moves
    }

    /// The whole order as it is to be now, where it is only that: no revision with a number of its own.
    pub(super) fn new_content(&self) -> Option<&portreeve_model::Order> {
        match &self.event {
            Event::OrderChanged(change) if change.revision.is_none() => Some(&change.order),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> OrderEventKind {
        self.kind
    }

    /// The order that it is about.
    pub(super) fn order_id(&self, document: &Journaled) -> OrderId {
        let (number, release) = match &self.event {
            Event::OrderChanged(change) => (change.order.number.as_str(), change.order.release.as_deref()),
            Event::OrderCancelRequested(cancel) => (cancel.order_number.as_str(), cancel.release()),
            _ => ("", None),
        };
        // What was not found by its name is not decided.
        self.named().unwrap_or_else(|| order_id(document, number, release))
    }
}

/// A wish to cancel some of an order's lines is a change of it.
fn wants_all_cancelled(event: &Event) -> bool {
    matches!(event, Event::OrderCancelRequested(cancel) if cancel.line_numbers.is_empty())
}

/// The order's number, as a system states it.
fn reference(event: &Event) -> Option<&str> {
    match event {
        // What the host says of a change that people accepted.
        Event::OrderChanged(change) => Some(&change.order.number),
        Event::OrderAccepted(answer) | Event::OrderRejected(answer) => Some(&answer.order_number),
        Event::InventoryAllocated(allocation) => Some(&allocation.order_number),
        Event::ShipmentPicked(shipment)
        | Event::ShipmentPacked(shipment)
        | Event::ShipmentDispatched(shipment)
        | Event::ShipmentConfirmed(shipment) => Some(&shipment.order_number),
        Event::ShipmentDelayed(delay) => Some(&delay.order_number),
        Event::InvoicePosted(invoice) => invoice.order_number.as_deref(),
        Event::PaymentSettled(settlement) => settlement.order_number.as_deref(),
        Event::ReturnRequested(goods) | Event::ReturnReceived(goods) => Some(&goods.order_number),
        Event::RefundIssued(refund) => Some(&refund.order_number),
        _ => None,
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
    /// Follows the order that something is said of, where that moves it.
    fn followed(
        &self,
        later: &Later,
        id: OrderId,
        position: DocumentPosition,
        standings: &mut Standings,
    ) -> Option<Followed> {
        let course = standings.course(id);
        // What the host keeps back is nothing that a wish to cancel could move.
        let is_kept = || matches!(&course, Some(Ok(course)) if course.is_released());
        let moves = later.moves() && (later.named.is_some() || is_kept());
        moves.then(|| {
            let refunds = self.routes.refunds.as_ref();
            let paying = Paying {
                decides: &|progress| refunds?.decide(progress),
                pays: &|refund, currency, _| refunds.is_some_and(|refunds| refunds.pay(refund, currency)),
            };
            following::follow(&self.process, course, position, &later.event, &paying)
        })
    }

    /// Whether the wish to cancel in this document has effects of its own: what counts with it
    /// undoes nothing. Of an order that no system has there is nothing to undo.
    fn undoes(&self, moved: &[Moved], wish: DocumentPosition, channel: Option<&ChannelId>) -> bool {
        let of_wish = moved.iter().find(|moved| moved.position == wish && moved.to != ProcessState::Released);
        of_wish.is_some_and(|moved| !self.routes.effects_of(std::slice::from_ref(moved), false, channel).is_empty())
    }

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
        let standing = standings.of(id);
        let exists = standing.exists;
        // What was refused is nowhere and goes nowhere: of that nothing is left to cancel.
        let is_refused = matches!(standing.decided, Some((OrderState::Refused, _)));
        if later.kind == OrderEventKind::CancelRequested {
            standings.cancel_requested(id);
        }

        let answer = |table: &str, key: &str| tables.answer(table, key);
        let mut rows = RuleRows::of(&answer);
        let subject = match &mut later.event {
            // What the host says of a change names nobody; the change itself does.
            Event::OrderChanged(change) if later.named.is_none() => {
                facts::translate_items(&mut change.order, &mut rows);
                history::customer_digest(&change.order, &origin(&document, id))
            }
            // It names an order and nobody; whoever erases the order's customer finds it by that.
            _ => Digest::of(document.sender().as_str().as_bytes()),
        };
        let event_json = later.event.to_json().map_err(|error| DecideError::Event(error.to_string()))?;
        let event = NewPayload::seal(&event_json, Some(subject))?;
        let mut followed = self.followed(&later, id, document.position(), standings);
        let is_wanted = !standings.of(id).cancel_requested;
        let of_channel = standings.channel(id);
        if let Some(followed) = &mut followed {
            let deciding = (document.position(), is_wanted);
            let passed_over = self.routes.passed_over(&self.process, &followed.moved, deciding, of_channel.as_ref());
            followed.concerns.extend(passed_over);
            let not_sent =
                self.routes.not_sent(&self.process, &followed.moved, document.position(), of_channel.as_ref());
            followed.concerns.extend(not_sent);
        }
        let moved = followed.as_ref().map_or(&[][..], |followed| followed.moved.as_slice());
        let outbox = self.routes.deliveries_of(moved, is_wanted, of_channel.as_ref());
        let state = match (later.kind, followed.as_ref().map(|followed| followed.outcome)) {
            (OrderEventKind::CancelRequested, _) => DecidedState::CancelRequested,
            (_, Some(outcome)) => decided_as(outcome),
            (_, None) => DecidedState::Changed,
        };
        let looks_at_credit = is_wanted && rechecking::is_allocated(moved);
        let rechecked = if looks_at_credit { standings.rechecks.remove(&id) } else { None };
        let found = rechecked.as_ref().map(|rechecked| self.found_before_picking(rechecked, now)).unwrap_or_default();
        let mut answers = Answers::default();
        let asked = rows.asked().chain(rechecked.iter().flat_map(|rechecked| rechecked.asked.iter().cloned()));
        let looked_up = answers.places(&asked.collect::<Vec<_>>());
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
            credit: rechecked.as_ref().map(|rechecked| rechecked.credit),
            findings: followed
                .iter()
                .flat_map(|followed| &followed.concerns)
                .map(finding)
                .chain(found.iter().map(rechecking::recorded))
                .collect(),
            scorings: Vec::new(),
            verdicts: Vec::new(),
            state: later.kind.as_str().to_owned(),
            process: followed.as_ref().map(|followed| followed.record.clone()),
            effects: outbox.iter().map(EffectRecord::from).collect(),
        };
        let process = canonical_digest(&(&record.process, &record.effects))?;
        let fingerprint = Digest::of_parts(&[record.fingerprint()?.as_bytes(), &event_json, process.as_bytes()]);
        let decision = NewPayload::seal(&canonical_json(&record)?, Some(subject))?;
        let leaf = leaf::decide(
            &self.host,
            now,
            &DecideFacts {
                order: None,
                about: Some(id.into()),
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
                told: false,
                decision: Some(decision.sealed.commitment()),
                clock: now,
            },
        )?;
        let says = match later.others.as_slice() {
            [] => followed.as_ref().and_then(|followed| {
                let refund = followed.record.refund.as_ref()?;
                let progress = followed.record.progress.as_ref()?;
                Some(self.refund_said(id, progress, refund, now))
            }),
            // With an advice the host decides on no refund (`follow`).
            others => Some(self.advice_said(others, &document, now)),
        };
        let queue = self.queue(&document);
        let channel = self.routes.channel(document.channel()).map(|channel| (channel, document.received_at()));
        let undone = later.kind == OrderEventKind::CancelRequested
            && self.undoes(moved, document.position(), of_channel.as_ref());
        let by_itself = (is_refused && later.kind == OrderEventKind::CancelRequested)
            || followed.as_ref().is_some_and(|followed| is_done(followed, undone, later.kind));
        let stops = (later.kind == OrderEventKind::CancelRequested).then(|| match by_itself {
            true => Stop::GivenUp,
            false => Stop::Held(cancel_hold(queue, now)),
        });
        let mut exceptions =
            followed.as_ref().map(|followed| to_be_known(followed, &later.event, queue)).unwrap_or_default();
        if !by_itself {
            let (code, detail) = what_to_do(later.kind, exists);
            let is_change = exists && code == CHANGED_ORDER;
            let sends = is_change.then(|| self.routes.what_accepting_sends(document.channel())).flatten();
            exceptions.push(for_a_person(queue, code, sends.as_deref().unwrap_or(detail)));
        }
        exceptions.extend(self.before_picking(&found));
        let exceptions = exceptions.into_iter().map(|exception| {
            // A change of an order that is here is carried out by people, or refused.
            let is_change = exists && exception.code == CHANGED_ORDER;
            let kind = if is_change { ExceptionKind::Change } else { ExceptionKind::Order };
            let exception = NewException { kind, ..exception };
            self.dated(exception, now, Limits { channel, ..Limits::default() })
        });
        let counts = |outcome| matches!(outcome, EventOutcome::Applied | EventOutcome::Early);
        let is_found_by = followed.as_ref().is_some_and(|followed| counts(followed.outcome));
        let invoice = later.invoice_number().filter(|_| is_found_by && self.routes.finds_by_invoice());
        let about = NewOrderEvent {
            order: id,
            kind: later.kind,
            outcome: followed.as_ref().map_or(EventOutcome::Noted, |followed| followed.outcome),
            event: event.sealed.commitment(),
            decision: decision.sealed.commitment(),
            fingerprint,
            stops,
            progress: followed.as_ref().and_then(|followed| followed.progress),
            exceptions: exceptions.collect(),
            invoice: invoice.map(str::to_owned),
            settled: followed.iter().flat_map(|followed| &followed.settled).map(|code| (*code).to_owned()).collect(),
            outbox,
            says: says.transpose()?.map(Box::new),
            caught_up: followed.map(|followed| followed.caught_up).unwrap_or_default(),
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

/// Whether nobody has anything to do about what was said. A wish to cancel needs something that
/// undoes the order, or to have come before.
fn is_done(followed: &Followed, undone: bool, kind: OrderEventKind) -> bool {
    kind != OrderEventKind::CancelRequested || undone || followed.outcome == EventOutcome::Again
}

/// The state that a leaf has of an event.
fn decided_as(outcome: EventOutcome) -> DecidedState {
    match outcome {
        EventOutcome::Noted => DecidedState::Changed,
        EventOutcome::Applied => DecidedState::Applied,
        EventOutcome::Again => DecidedState::Again,
        EventOutcome::Early => DecidedState::Early,
        EventOutcome::Impossible => DecidedState::Impossible,
    }
}

fn finding(worry: &Worry) -> FindingRecord {
    FindingRecord {
        code: worry.concern.code.to_owned(),
        line: None,
        found: worry.concern.found.clone(),
        expected: worry.concern.expected.clone(),
        consequence: "exception".to_owned(),
    }
}

/// What people have to know of an event that a system sent.
fn to_be_known(followed: &Followed, event: &Event, queue: &str) -> Vec<NewException> {
    // People agreed on what waits here for the order itself: nobody has anything to do about it.
    let is_agreed = matches!(event, Event::OrderChanged(_));
    let waits = followed.waits_for.iter().filter(|_| !is_agreed).map(|waits_for| {
        let detail = format!(
            "found `{}`, expected first {waits_for}; it is looked at again with whatever is said of the order next, and is yours if nothing is",
            event.name()
        );
        for_a_person(queue, EARLY_EVENT, &detail)
    });
    waits.chain(followed.concerns.iter().map(|worry| told(worry, queue))).collect()
}

fn told(Worry { event, waited, counts, concern }: &Worry, queue: &str) -> NewException {
    let Concern { code, found, expected } = concern;
    let which = waited.map_or_else(String::new, |position| format!(" of document {}, which waited,", position.0));
    let what_now = match counts {
        true => format!("`{event}`{which} counts all the same: see what is to be mended"),
        false if event == OrderEventKind::Changed.as_str() => format!(
            "the accepted change{which} counts for nothing, and the order is counted as before: see what the systems have of it, and have whoever asked for it ask for what is left of that"
        ),
        false if *code == REFUND_NOT_SENT => format!("`{event}`{which} counts for nothing, and nothing is sent"),
        false => format!(
            "`{event}`{which} counts for nothing: find out which system is right, and have it said again with an id of its own where that is so"
        ),
    };
    for_a_person(queue, code, &format!("found {found}, expected {expected}; {what_now}"))
}

fn what_to_do(kind: OrderEventKind, exists: bool) -> (&'static str, &'static str) {
    match (kind == OrderEventKind::CancelRequested, exists) {
        (false, true) => (
            CHANGED_ORDER,
            "found other content for the order, expected what came first, which goes on as it is: compare the two, then either change the order in the systems that have it and accept the change, or refuse it",
        ),
        (false, false) => (
            CHANGED_ORDER,
            "found a change of an order that is not here, expected the order first: enter it as it is to be, or ask the sender",
        ),
        (true, true) => (
            CANCEL_REQUESTED,
            "found a request to cancel the order, expected none: no delivery of it begins any more; cancel what the target has already, and answer the sender",
        ),
        (true, false) => (
            CANCEL_REQUESTED,
            "found a request to cancel an order that is not here, expected the order first: it is held when it comes; ask the sender",
        ),
    }
}
