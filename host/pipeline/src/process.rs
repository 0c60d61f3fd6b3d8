//! The order's process: what systems say about an order moves it along, or waits for its
//! turn, or cannot be.
//!
//! ```text
//! event ──▶ said before? ──▶ may it come in this state? ──▶ do the quantities bear it? ──▶ Applied
//!             │ the same: Again    │ not yet: Early              │ not yet: Early
//!             │ other: Impossible  │ never: Impossible           │ never: Impossible
//! ```
//!
//! Systems speak out of turn, twice, and late: the invoice comes before the shipment that it
//! is for, a confirmation comes again with another envelope. So every event is looked at
//! with all that was said before, and nothing here depends on when it came; but on which side
//! of an accepted change, by which the order is another one from then on.
//!
//! Pure: a definition, the progress so far and an event give a step. What a step leads to
//! is the caller's.

mod definition;

mod progress;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use portreeve_model::event::{Refund, Settlement};
use portreeve_model::strict::{LoadErrors, SourceFile};
use portreeve_model::{Digest, Event, Order, ProcessState};

use self::definition::PartPayments;
pub use self::definition::{Process, said_by_systems};
pub(crate) use self::progress::{ADVISED_OTHERWISE, LESS_THAN_LEFT};
pub use self::progress::{Concern, InvoiceProgress, LineProgress, MoneyProgress, Progress, RefundRecord, SAID_MAX};
use self::progress::{Trouble, said_as};

/// The standard process, as its file.
const STANDARD: &str = include_str!("process/standard.toml");

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It counts.
    Applied {
        /// How far the order is now.
        after: Progress,
        /// What a person has to know of it all the same.
        concerns: Vec<Concern>,
    },
    /// It was said before, to the same effect.
    Again,
    /// Something else comes first.
    Early {
        /// What.
        waits_for: String,
    },
    /// It contradicts what is known.
    Impossible(Concern),
}

impl Process {
    /// The standard process.
    ///
    /// # Errors
    /// None: a test reads its file.
    pub fn standard() -> Result<Self, LoadErrors> {
        Self::load(&SourceFile { name: "the standard process", text: STANDARD })
    }

    /// The standard process, as its file: what one that differs begins from.
    #[must_use]
    pub fn standard_file() -> &'static str {
        STANDARD
    }

    /// How far an order is before anything was said about it.
    ///
    /// # Errors
    /// When two of its lines have one number: nobody could say which of them an event means.
    pub fn beginning(&self, order: &Order, state: ProcessState) -> Result<Progress, Concern> {
        Progress::of_order(order, state, &self.unshipped)
    }

    /// How far an order is by what people agreed that it is to be. It leads to no other state here.
    ///
    /// # Errors
    /// Where what has moved already contradicts that.
    pub fn agreed(&self, before: &Progress, order: &Order) -> Result<Progress, Concern> {
        let mut after = before.clone();
        match after.agree(self.beginning(order, before.state)?) {
            Ok(()) => Ok(after),
            Err(Trouble::Impossible(concern)) => Err(concern),
            Err(Trouble::Early(waits_for)) => {
                Err(Concern { code: "early", found: "a change before its turn".to_owned(), expected: waits_for })
            }
        }
    }

    /// What follows from an event about an order that is so far. What its system gives no
    /// number is known by where it was said.
    #[must_use]
    pub fn apply(&self, before: &Progress, event: &Event, place: u64) -> Step {
        let (name, content) = match said(event, place) {
            Ok(said) => said,
            Err(concern) => return Step::Impossible(concern),
        };
        match before.said.get(&name) {
            Some(first) if *first == content => return Step::Again,
            Some(_) => {
                let found = format!("`{name}` a second time, with another content");
                let expected = "what was said first".to_owned();
                return Step::Impossible(Concern { code: "said-otherwise", found, expected });
            }
            None => {}
        }
        // What is ordered is nobody's word on how far the order is: it may be agreed on in any state,
        // and leads wherever the counts lead.
        let is_agreed = matches!(event, Event::OrderChanged(_));
        match self.may_come(before.state, event.name()) {
            // Until it is let go it may be refused, and nothing is counted of it.
            _ if is_agreed && before.state == ProcessState::Held => {
                return Step::Early { waits_for: "the release of the order, which is held".to_owned() };
            }
            Err(trouble) if !is_agreed => return trouble.into(),
            Ok(()) | Err(_) => {}
        }
        // What the host decided on follows from that many events: it is no system's to grow.
        if before.said.len() >= SAID_MAX && before.decided(event).is_none() {
            let found = format!("{} events about the order", before.said.len().saturating_add(1));
            let expected = format!("{SAID_MAX} at most");
            return Step::Impossible(Concern { code: "too-many-events", found, expected });
        }
        let mut after = before.clone();
        let mut concerns = match after.count(event, self) {
            Ok(concerns) => concerns,
            Err(trouble) => return trouble.into(),
        };
        after.said.insert(name, content);
        after.state = after.follows();
        concerns.extend(self.unforeseen(before.state, after.state, event.name()).filter(|_| !is_agreed));
        Step::Applied { after, concerns: one_of_each(concerns) }
    }

    /// What is wrong with all that was said of an order so far, though each part of it counts.
    #[must_use]
    pub fn contradiction(&self, progress: &Progress) -> Option<Concern> {
        match self.part_payments {
            PartPayments::Told => progress.contradiction().or_else(|| progress.paid_short()),
            PartPayments::Expected => progress.contradiction(),
        }
    }

    /// Whether such an event may lead an order from one state to another.
    pub(crate) fn leads(&self, event: &str, from: ProcessState, to: ProcessState) -> bool {
        let mut transitions = self.events.get(event).into_iter().flatten();
        transitions.any(|transition| transition.from.contains(&from) && transition.to.contains(&to))
    }

    fn may_come(&self, state: ProcessState, event: &str) -> Result<(), Trouble> {
        let Some(transitions) = self.events.get(event) else {
            let expected = "an event that the process has a transition for".to_owned();
            let found = format!("`{event}`");
            return Err(Trouble::Impossible(Concern { code: "not-of-the-process", found, expected }));
        };
        let from: BTreeSet<ProcessState> = transitions.iter().flat_map(|transition| transition.from.clone()).collect();
        if from.contains(&state) {
            return Ok(());
        }
        let states: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
        let states = states.join(", ");
        if self.after(state).is_disjoint(&from) {
            let found = format!("`{event}` of an order that is {state}");
            let expected = format!("it in one of {states}");
            return Err(Trouble::Impossible(Concern { code: "out-of-turn", found, expected }));
        }
        Err(Trouble::Early(format!("the order to be one of {states}; it is {state}")))
    }

    /// A way that the process does not have. What happened has happened, and somebody looks at
    /// the order, or adds it to the process.
    fn unforeseen(&self, before: ProcessState, after: ProcessState, event: &str) -> Option<Concern> {
        if after == before || self.leads(event, before, after) {
            return None;
        }
        let found = format!("`{event}`, by which the order went from {before} to {after}");
        let expected = "a transition of the process that says so".to_owned();
        Some(Concern { code: "no-transition", found, expected })
    }
}

impl From<Trouble> for Step {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Early(waits_for) => Self::Early { waits_for },
            Trouble::Impossible(concern) => Self::Impossible(concern),
        }
    }
}

/// An event with a thousand lines that are wrong in one way is one thing to look at.
fn one_of_each(concerns: Vec<Concern>) -> Vec<Concern> {
    let mut told: Vec<(Concern, usize)> = Vec::new();
    for concern in concerns {
        match told.iter_mut().find(|(first, _)| first.code == concern.code) {
            Some((_, others)) => *others = others.saturating_add(1),
            None => told.push((concern, 0)),
        }
    }
    let told = told.into_iter().map(|(mut concern, others)| {
        if others > 0 {
            concern.found.push_str(&format!(", and {others} more like it"));
        }
        concern
    });
    told.collect()
}

/// What an event is remembered by, and a digest of what decides whether it is the same again.
fn said(event: &Event, place: u64) -> Result<(String, Digest), Concern> {
    // A wish to cancel is one wish, in whatever words it comes again.
    if let Event::OrderCancelRequested(cancel) = event {
        return Ok((said_as(event.name(), ""), Digest::of(cancel.line_numbers.join("\n").as_bytes())));
    }
    let json = decisive(event).to_json().map_err(|error| Concern {
        code: "unreadable",
        found: format!("an event without a JSON form: {error}"),
        expected: "one that can be kept".to_owned(),
    })?;
    let number = match (number(event), event) {
        (Some(number), _) => number.to_owned(),
        (None, _) if happens_once(event) => String::new(),
        (None, _) => format!("document {place}"),
    };
    Ok((said_as(event.name(), &number), Digest::of(&json)))
}

/// What has to be the same when an event is told again. Of money that moved two systems tell, as
/// where a refund is made in one and paid by another: how much it is, why and of what they both
/// know; when it moved, what it cost and by what they call the order each in its own way. Of
/// everything else one system tells, and its other words are another thing.
fn decisive(event: &Event) -> Cow<'_, Event> {
    match event {
        Event::PaymentSettled(payment) => Cow::Owned(Event::PaymentSettled(Settlement {
            payment_reference: payment.payment_reference.clone(),
            order_number: None,
            invoice_number: payment.invoice_number.clone(),
            amount: payment.amount,
            fee: None,
            settled_at: None,
            extensions: Vec::new(),
        })),
        Event::RefundIssued(refund) => Cow::Owned(Event::RefundIssued(Refund {
            refund_number: refund.refund_number.clone(),
            order_number: String::new(),
            cause: refund.cause,
            return_number: refund.return_number.clone(),
            amount: refund.amount,
            issued_at: None,
            extensions: Vec::new(),
        })),
        other => Cow::Borrowed(other),
    }
}

/// Whether an order has no more than one of such an event.
pub(crate) fn happens_once(event: &Event) -> bool {
    matches!(
        event,
        Event::OrderCreated(_) | Event::OrderAccepted(_) | Event::OrderRejected(_) | Event::OrderCancelRequested(_)
    )
}

/// The states in which a change that people accept may count, which no transition names, and those that an
/// order may be in afterwards: all of an order that was released.
pub(crate) fn around_a_change() -> (BTreeSet<ProcessState>, BTreeSet<ProcessState>) {
    let before = [ProcessState::Received, ProcessState::Validated, ProcessState::Held];
    let states: BTreeSet<_> = ProcessState::ALL.into_iter().filter(|state| !before.contains(state)).collect();
    (states.clone(), states)
}

/// The number that its system gave what an event tells; none where one tells it of an order
/// without.
pub(crate) fn number(event: &Event) -> Option<&str> {
    match event {
        Event::ShipmentPicked(shipment)
        | Event::ShipmentPacked(shipment)
        | Event::ShipmentDispatched(shipment)
        | Event::ShipmentConfirmed(shipment) => Some(&shipment.shipment_number),
        Event::InvoicePosted(invoice) => Some(&invoice.invoice_number),
        Event::PaymentSettled(settlement) => Some(&settlement.payment_reference),
        Event::ReturnRequested(goods) | Event::ReturnReceived(goods) => Some(&goods.return_number),
        Event::RefundIssued(refund) => Some(&refund.refund_number),
        Event::RemittanceReceived(advice) => Some(&advice.reference),
        _ => None,
    }
}
