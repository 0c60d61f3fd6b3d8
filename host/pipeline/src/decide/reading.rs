//! Reading a document: its transformer says what it is. A document is one new
//! order; whatever else it may be goes to a person.

use std::sync::Arc;

use portreeve_model::document::MappingRequest;
use portreeve_model::{Event, Money, Order};
use portreeve_sandbox::Crossing;
use portreeve_store::Journaled;
use portreeve_store::contract::{DocumentPosition, NewException};

use crate::accept::call_error_code;
use crate::capability::Tables;
use crate::passing::passing;
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
    /// The first document with this key and content came earlier.
    Duplicate(DocumentPosition),
}

impl Pipeline {
    /// Reads a document: the first stage, without side effects. None when the
    /// transformer failed for a reason that passes: it is asked again later.
    pub(super) async fn to_canonical(&self, document: Journaled, tables: Arc<Tables>) -> Option<Mapped> {
        if self.set_aside.has(document.position()) {
            let detail = "the host itself failed on this document; decide about it yourself and report the fault";
            let outcome = Err(for_a_person(self.queue(&document), "host-fault", detail));
            return Some(Mapped { document, crossing: None, outcome });
        }
        if let Some(first) = document.first() {
            let outcome = if first.same_content {
                Ok(Reading::Duplicate(first.position))
            } else {
                Err(for_a_person(
                    self.queue(&document),
                    "changed-order",
                    "the same business key came before with other content; compare the two documents",
                ))
            };
            return Some(Mapped { document, crossing: None, outcome });
        }
        let Some(transformer) = self
            .routes
            .channel(document.channel())
            .and_then(|channel| channel.documents.get(document.kind()))
            .and_then(|name| self.plugin(name))
        else {
            let detail = format!(
                "no transformer reads `{}` on this channel; add it to `documents` of the channel",
                document.kind()
            );
            let outcome = Err(for_a_person(self.queue(&document), "no-transformer", &detail));
            return Some(Mapped { document, crossing: None, outcome });
        };
        let body = match document.body() {
            Ok(body) => body.to_vec(),
            Err(why) => {
                let outcome = Err(for_a_person(self.queue(&document), "unreadable", why));
                return Some(Mapped { document, crossing: None, outcome });
            }
        };
        let mut context = self.context(document.received_at());
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
        let crossed = self.metrics.called(transformer.plugin.to_canonical(&context, &request).await);
        let queue = self.queue(&document);
        if let Some(asked_ms) = passing(&crossed.outcome)
            && self.set_aside.wait(document.position(), asked_ms, self.clock.now())
        {
            return None;
        }
        let (outcome, failure) = match crossed.outcome {
            Ok(Ok(events)) => (one_order(events, queue), None),
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
}

/// One document, one new order; what else there may be goes to a person.
fn one_order(events: Vec<Event>, queue: &str) -> Result<Reading, NewException> {
    let count = events.len();
    let mut events = events.into_iter();
    match (events.next(), events.next()) {
        (Some(Event::OrderCreated(order)), None) => {
            if order.lines.is_empty() {
                return Err(for_a_person(queue, "no-lines", "the order has no lines; ask the sender"));
            }
            match order.value() {
                Ok(value) => Ok(Reading::Order(Box::new(order), value)),
                Err(error) => Err(for_a_person(queue, "value", &error.to_string())),
            }
        }
        (Some(other), None) => {
            let detail = format!("`{}` is not handled by itself yet; a person carries it out", other.name());
            Err(for_a_person(queue, "not-automatic", &detail))
        }
        (None, _) => Err(for_a_person(queue, "no-event", "the transformer made no event of the document")),
        (Some(_), Some(_)) => Err(for_a_person(
            queue,
            "several-events",
            &format!("the transformer made {count} events of one document; expected 1"),
        )),
    }
}

pub(super) fn for_a_person(queue: &str, code: &str, detail: &str) -> NewException {
    NewException { stage: "decide", code: code.to_owned(), detail: detail.to_owned(), queue: queue.to_owned() }
}
