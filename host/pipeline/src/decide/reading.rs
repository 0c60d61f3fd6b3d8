//! Reading a document: its transformer says what it is. A document is one new order,
//! or says something about one; whatever else it may be goes to a person.

use std::sync::Arc;

use portreeve_model::document::MappingRequest;
use portreeve_model::event::InventoryLevel;
use portreeve_model::{Acknowledgement, Event, ExceptionKind, Money, Order, OrderId};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, Crossing};
use portreeve_store::Journaled;
use portreeve_store::contract::{DocumentPosition, NewException, OrderEventKind};

use super::acknowledging::Answer;
use super::later::{Later, as_change};
use super::set_aside::Party;
use crate::accept::call_error_code;
use crate::passing::passing;
use crate::plugins::{Absent, Active, Stopped};
use crate::process::Concern;
use crate::route::{Channel, OwnChannel, Routes, WhenStopped};
use crate::tables::Tables;
use crate::{Pipeline, leaf, route};

/// A document that was read, or why not.
pub(super) struct Mapped {
    pub(super) document: Journaled,
    pub(super) crossing: Option<(Crossing, Option<String>)>,
    pub(super) outcome: Result<Reading, NewException>,
}

/// What a document says.
pub(super) enum Reading {
    /// A new order.
    Order(Box<Order>, Money),
    /// What came later about an order.
    Later(Box<Later>),
    /// How much there is of an item.
    Level(Box<InventoryLevel>),
    /// What a receiver says of an interchange, of which it is still to be found out which.
    Acknowledged(Acknowledgement),
    /// The same with what it is about.
    Answer(Box<Answer>),
    /// A document with this key and content came earlier.
    Duplicate(DocumentPosition),
}

impl Pipeline {
    /// Reads a document: the first stage, without side effects. None when the
    /// transformer failed for a reason that passes: it is asked again later.
    pub(super) async fn to_canonical(
        &self,
        document: Journaled,
        tables: Arc<Tables>,
        active: Arc<Active>,
    ) -> Option<Mapped> {
        if self.set_aside.has(document.position()) {
            let detail = "the host itself failed on this document; decide about it yourself and report the fault";
            let outcome = Err(for_a_person(self.queue(&document), "host-fault", detail));
            return Some(Mapped { document, crossing: None, outcome });
        }
        if self.set_aside.is_outrun(document.position()) {
            let detail = "other decisions used up a plugin's budget, or the credit of the customer's account, while this one was made, three times; decide about the order yourself, and see at /v1/authority whether a budget is short";
            let outcome = Err(for_a_person(self.queue(&document), "budget-contended", detail));
            return Some(Mapped { document, crossing: None, outcome });
        }
        if let Some(first) = document.first().filter(|first| first.same_content) {
            let outcome = Ok(Reading::Duplicate(first.position));
            return Some(Mapped { document, crossing: None, outcome });
        }
        if let Some(own) = OwnChannel::of(document.channel()) {
            let queue = self.queue(&document);
            let outcome = document.body().map_err(|why| for_a_person(queue, "unreadable", why));
            let outcome = outcome.and_then(|body| own_word(own, document.kind(), body, queue));
            return Some(Mapped { document, crossing: None, outcome });
        }
        let changes = document.first().is_some();
        let named = self.routes.channel(document.channel()).and_then(|channel| channel.documents.get(document.kind()));
        let cause = Cause::Sender { channel: document.channel(), sender: document.sender() };
        let found =
            named.map_or(Err(Absent::NotInstalled), |name| self.plugin(&active, name, Call::ToCanonical, cause));
        let transformer = match found {
            Ok(transformer) => transformer,
            Err(Absent::NotInstalled) => {
                let detail = format!(
                    "no transformer reads `{}` on this channel; add it to `documents` of the channel",
                    document.kind()
                );
                let outcome = Err(for_a_person(self.queue(&document), "no-transformer", &detail));
                return Some(Mapped { document, crossing: None, outcome });
            }
            Err(Absent::Stopped(stopped)) => return self.not_read(document, &stopped),
        };
        let body = match document.body() {
            Ok(body) => body.to_vec(),
            Err(why) => {
                let outcome = Err(for_a_person(self.queue(&document), "unreadable", why));
                return Some(Mapped { document, crossing: None, outcome });
            }
        };
        let mut context = active.context(document.received_at());
        context.lookup = tables;
        let request = MappingRequest {
            kind: document.kind().to_owned(),
            body,
            received_at: document.received_at(),
            sender: document.sender().clone(),
            settings: self
                .routes
                .channel(document.channel())
                .map(|channel| route::settings(&channel.settings))
                .unwrap_or_default(),
        };
        let reading = transformer.plugin.to_canonical(&context, &request);
        let crossed = match self.call(transformer, Call::ToCanonical, cause, reading).await {
            Ok(crossed) => crossed,
            Err(stopped) => return self.not_read(document, &stopped),
        };
        let queue = self.queue(&document);
        if let Some(asked_ms) = passing(&crossed.outcome)
            && self.set_aside.wait(document.position(), Party::of(&document), None, asked_ms, self.clock.now())
        {
            return None;
        }
        let (outcome, failure) = match crossed.outcome {
            Ok(Ok(events)) => {
                let channel = self.routes.channel(document.channel());
                (one_event(events, changes, queue, channel, &self.routes), None)
            }
            Ok(Err(failure)) => {
                let (code, detail) = leaf::failure_words(&failure);
                (Err(for_a_person(queue, &code, &detail)), Some(code))
            }
            Err(error) => {
                let code = call_error_code(&error);
                (Err(for_a_person(queue, &code, &error.to_string())), Some(code))
            }
        };
        Some(Mapped { document, crossing: Some((crossed.crossing, failure)), outcome })
    }

    /// Its transformer is not called now: it waits, or a person gets it.
    fn not_read(&self, document: Journaled, stopped: &Stopped) -> Option<Mapped> {
        if self.waits_for(&document, None, stopped) {
            return None;
        }
        let outcome = Err(for_a_person(self.queue(&document), stopped.code(), &stopped.to_string()));
        Some(Mapped { document, crossing: None, outcome })
    }

    /// Lets a document wait for a plugin that is not called, unless its channel says
    /// otherwise or too many wait already.
    pub(super) fn waits_for(&self, document: &Journaled, order: Option<OrderId>, stopped: &Stopped) -> bool {
        let channel = self.routes.channel(document.channel());
        let at_once = channel.is_some_and(|channel| channel.when_stopped == Some(WhenStopped::Exception));
        let due_at = stopped.ask_at(self.clock.now());
        !at_once && self.set_aside.keep_back(document.position(), Party::of(document), order, due_at)
    }
}

/// One document, one new order or one event about an order; what else there may be
/// goes to a person.
fn one_event(
    events: Vec<Event>,
    changes: bool,
    queue: &str,
    channel: Option<&Channel>,
    routes: &Routes,
) -> Result<Reading, NewException> {
    let count = events.len();
    let mut events = events.into_iter();
    match (events.next(), events.next()) {
        (Some(event), None) => match as_change(event, changes) {
            Event::OrderCreated(order) => new_order(order, queue),
            Event::InventoryLevel(level) => Ok(Reading::Level(Box::new(level))),
            Event::Other(other) if other.kind == Acknowledgement::KIND => acknowledged(&other.body, queue),
            event => later(Later::of(event, channel, routes), queue),
        },
        (None, _) => Err(for_a_person(queue, "no-event", "the transformer made no event of the document")),
        (Some(_), Some(_)) => Err(for_a_person(
            queue,
            "several-events",
            &format!("the transformer made {count} events of one document; expected 1"),
        )),
    }
}

fn acknowledged(body: &[u8], queue: &str) -> Result<Reading, NewException> {
    let said = Acknowledgement::from_json(body);
    said.map(Reading::Acknowledged).map_err(|error| for_a_person(queue, "not-acknowledging", &error.to_string()))
}

fn later(later: Result<Later, Concern>, queue: &str) -> Result<Reading, NewException> {
    later.map(|later| Reading::Later(Box::new(later))).map_err(|Concern { code, found, expected }| {
        for_a_person(queue, code, &format!("found {found}, expected {expected}"))
    })
}

/// What the host wrote down itself: what a target said by taking a message, a refund, or what people
/// did with an order.
fn own_word(own: OwnChannel, kind: &str, body: &[u8], queue: &str) -> Result<Reading, NewException> {
    // An earlier version may have taken it on a channel of this name that was somebody's.
    if kind != own.kind() {
        return later(Err(not_an_own_word(own, kind)), queue);
    }
    let event = Event::from_json(body).map_err(|error| for_a_person(queue, "unreadable", &error.to_string()))?;
    let Some(said) = OrderEventKind::of(event.name()).filter(|said| own.says(*said)) else {
        return later(Err(not_an_own_word(own, event.name())), queue);
    };
    later(Later::of_system(event, said, None), queue)
}

fn not_an_own_word(own: OwnChannel, found: &str) -> Concern {
    let expected = "what the host writes down there of a target's receipt, of a refund, or of an order".to_owned();
    let found = format!("`{found}` on `{}`, a channel of the host's own", own.as_str());
    Concern { code: "not-an-own-word", found, expected }
}

fn new_order(order: Order, queue: &str) -> Result<Reading, NewException> {
    if order.lines.is_empty() {
        return Err(for_a_person(queue, "no-lines", "the order has no lines; ask the sender"));
    }
    match order.value() {
        Ok(value) => Ok(Reading::Order(Box::new(order), value)),
        Err(error) => Err(for_a_person(queue, "value", &error.to_string())),
    }
}

pub(super) fn for_a_person(queue: &str, code: &str, detail: &str) -> NewException {
    NewException {
        kind: ExceptionKind::Document,
        stage: "decide",
        code: code.to_owned(),
        detail: detail.to_owned(),
        queue: queue.to_owned(),
        due_at: None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::event::OrderAnswer;

    use super::*;

    #[test]
    fn the_hosts_own_channels_hold_what_the_host_says_there_and_nothing_else() {
        let answer = OrderAnswer {
            order_number: "6ba7b810-9dad-11d1-80b4-00c04fd430c8".to_owned(),
            external_id: None,
            answered_at: None,
            lines: Vec::new(),
            reason: None,
            extensions: Vec::new(),
        };
        let accepted = Event::OrderAccepted(answer.clone()).to_json().unwrap();
        let rejected = Event::OrderRejected(answer).to_json().unwrap();
        let code = |own, kind: &str, body: &[u8]| own_word(own, kind, body, "orders").err().map(|found| found.code);
        let not = Some("not-an-own-word".to_owned());
        for own in OwnChannel::ALL {
            let holds = |among: &[OwnChannel]| if among.contains(&own) { None } else { not.clone() };
            assert_eq!(code(own, own.kind(), &accepted), holds(&[OwnChannel::Receipts]), "{own:?}");
            let of_rejections = holds(&[OwnChannel::Receipts, OwnChannel::Rejections]);
            assert_eq!(code(own, own.kind(), &rejected), of_rejections, "{own:?}");
            // What somebody sent on a channel that had this name.
            assert_eq!(code(own, "x12/850", &rejected), not, "{own:?}");
        }
    }
}
