//! The host's own look at an order: what its rules find with the reference tables,
//! whether the order exists already, and what is known about its customer.

use std::collections::BTreeSet;

use portreeve_authority::rules::Finding;
use portreeve_model::advice::CustomerHistory;
use portreeve_model::{Event, Money, Order, OrderId};
use portreeve_sandbox::{Crossing, RecordedLookup};
use portreeve_store::Journaled;
use portreeve_store::contract::{CustomerEvent, Decided, DecisionCommit};

use super::DecideError;
use super::facts::{self, RuleRows};
use super::reading::{Mapped, Reading, for_a_person};
use crate::history::Origin;
use crate::tables::Tables;
use crate::{Pipeline, history};

/// An order with what the host's rules found.
pub(super) struct Validated {
    pub(super) document: Journaled,
    pub(super) crossing: Option<(Crossing, Option<String>)>,
    pub(super) order: Box<Order>,
    pub(super) id: OrderId,
    pub(super) value: Money,
    pub(super) class: Option<String>,
    pub(super) test_channel: bool,
    pub(super) looked_up: Vec<RecordedLookup>,
    pub(super) findings: Vec<Finding>,
    pub(super) event_json: Vec<u8>,
    pub(super) customer_event: CustomerEvent,
    pub(super) history: Option<CustomerHistory>,
}

impl Pipeline {
    /// Orders of a batch that exist already.
    pub(super) async fn known_orders(&self, mapped: &[Mapped]) -> Result<BTreeSet<OrderId>, DecideError> {
        let ids = mapped.iter().filter_map(|mapped| match &mapped.outcome {
            Ok(Reading::Order(order, _)) => Some(order_id(&mapped.document, order)),
            Ok(Reading::Duplicate(_)) | Err(_) => None,
        });
        Ok(self.store.known_orders(ids.collect()).await?)
    }

    /// The host's own rules; what is no new order is decided here already. `known` are
    /// the orders that exist, and becomes those of this batch as well.
    pub(super) fn validate(
        &self,
        mapped: Mapped,
        tables: &Tables,
        known: &mut BTreeSet<OrderId>,
    ) -> Result<Result<Validated, DecisionCommit>, DecideError> {
        let Mapped { document, crossing, outcome } = mapped;
        let (mut order, value) = match outcome {
            Ok(Reading::Order(order, value)) => (order, value),
            Ok(Reading::Duplicate(of)) => {
                return Ok(Err(self.without_order(document, crossing, Decided::Duplicate { of })?));
            }
            Err(exception) => return Ok(Err(self.without_order(document, crossing, Decided::Unmapped(exception))?)),
        };
        let answer = |table: &str, key: &str| tables.answer(table, key);
        let mut rows = RuleRows::of(&answer);
        facts::translate_items(&mut order, &mut rows);
        let test_channel = self.routes.channel(document.channel()).is_some_and(|channel| channel.test);
        let reference = facts::reference_facts(&order, document.received_at(), test_channel, &mut rows);
        let class = facts::class(&reference);
        let findings = self.rules.check(&order, &reference);
        let looked_up = rows.asked().collect();
        let id = order_id(&document, &order);
        // Another key, but an order that exists: a second release of it, or a
        // sender that counts anew. Nothing is overwritten.
        if !known.insert(id) {
            let exception = for_a_person(
                self.queue(&document),
                "order-exists",
                "the sender has an order with this number already; compare the two documents",
            );
            return Ok(Err(self.without_order(document, crossing, Decided::Unmapped(exception))?));
        }
        let event = Event::OrderCreated(*order.clone());
        let event_json = event.to_json().map_err(|error| DecideError::Event(error.to_string()))?;
        let customer_event = history::customer_event(&order, &origin(&document, id), document.received_at(), value);
        Ok(Ok(Validated {
            document,
            crossing,
            order,
            id,
            value,
            class,
            test_channel,
            looked_up,
            findings,
            event_json,
            customer_event,
            history: None,
        }))
    }

    pub(super) async fn add_history(&self, orders: &mut [Validated]) -> Result<(), DecideError> {
        let queries = orders.iter().map(|order| history::query(&order.customer_event, order.document.position()));
        let known = self.store.customer_histories(queries.collect()).await?;
        for (index, known) in known.into_iter().enumerate() {
            let (lower, rest) = orders.split_at_mut(index);
            let Some(order) = rest.first_mut() else { continue };
            let lower = lower.iter().map(|order| &order.customer_event);
            order.history = Some(history::history(known, &order.customer_event, lower));
        }
        Ok(())
    }
}

fn order_id(document: &Journaled, order: &Order) -> OrderId {
    let release = order.release.as_deref();
    OrderId::derive(document.channel(), document.sender(), document.partner(), &order.number, release)
}

pub(super) fn origin(document: &Journaled, order: OrderId) -> Origin<'_> {
    Origin { channel: document.channel(), sender: document.sender(), partner: document.partner(), order }
}
