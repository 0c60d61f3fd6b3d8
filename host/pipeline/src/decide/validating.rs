//! The host's own look at an order: what its rules find with the reference tables,
//! whether the order exists already, and what is known about its customer.

use std::collections::BTreeSet;

use portreeve_authority::rules::{CustomerFacts, Finding, ItemFacts, ReferenceFacts};
use portreeve_model::advice::CustomerHistory;
use portreeve_model::reference::Row;
use portreeve_model::{Currency, Event, Instant, Money, Order, OrderId};
use portreeve_sandbox::Crossing;
use portreeve_store::Journaled;
use portreeve_store::contract::{CustomerEvent, Decided, DecisionCommit};

use super::DecideError;
use super::reading::{Mapped, Reading, for_a_person};
use crate::capability::Tables;
use crate::{Pipeline, history};

/// An order with what the host's rules found.
pub(super) struct Validated {
    pub(super) document: Journaled,
    pub(super) crossing: Option<(Crossing, Option<String>)>,
    pub(super) order: Box<Order>,
    pub(super) id: OrderId,
    pub(super) value: Money,
    pub(super) class: Option<String>,
    pub(super) findings: Vec<Finding>,
    pub(super) event_json: Vec<u8>,
    pub(super) customer_event: CustomerEvent,
    pub(super) history: Option<CustomerHistory>,
}

impl Pipeline {
    /// The host's own rules; what is no new order is decided here already.
    pub(super) async fn validate(
        &self,
        mapped: Mapped,
        tables: &Tables,
        in_batch: &mut BTreeSet<OrderId>,
    ) -> Result<Result<Validated, DecisionCommit>, DecideError> {
        let Mapped { document, crossing, outcome } = mapped;
        let (order, value) = match outcome {
            Ok(Reading::Order(order, value)) => (order, value),
            Ok(Reading::Duplicate(of)) => {
                return Ok(Err(self.without_order(document, crossing, Decided::Duplicate { of })?));
            }
            Err(exception) => return Ok(Err(self.without_order(document, crossing, Decided::Unmapped(exception))?)),
        };
        let facts = reference_facts(&order, document.received_at(), tables);
        let class = facts.customer.as_ref().map(|customer| customer.class.clone());
        let findings = self.rules.check(&order, &facts);
        let number = order
            .release
            .as_ref()
            .map_or_else(|| order.number.clone(), |release| format!("{}/{release}", order.number));
        let id = OrderId::derive(document.channel(), document.sender(), document.partner(), &number);
        // Another key, but an order that exists: a second release of it, or a
        // sender that counts anew. Nothing is overwritten.
        if !in_batch.insert(id) || self.store.order(id).await?.is_some() {
            let exception = for_a_person(
                self.queue(&document),
                "order-exists",
                "the sender has an order with this number already; compare the two documents",
            );
            return Ok(Err(self.without_order(document, crossing, Decided::Unmapped(exception))?));
        }
        let event = Event::OrderCreated(*order.clone());
        let event_json = event.to_json().map_err(|error| DecideError::Event(error.to_string()))?;
        let customer_event = history::customer_event(&order, document.received_at(), value);
        Ok(Ok(Validated {
            document,
            crossing,
            order,
            id,
            value,
            class,
            findings,
            event_json,
            customer_event,
            history: None,
        }))
    }

    pub(super) async fn add_history(&self, orders: &mut [Validated]) -> Result<(), DecideError> {
        for index in 0..orders.len() {
            let (lower, rest) = orders.split_at_mut(index);
            let Some(order) = rest.first_mut() else { continue };
            let known =
                self.store.customer_history(history::query(&order.customer_event, order.document.position())).await?;
            let lower = lower.iter().map(|order| &order.customer_event);
            order.history = Some(history::history(known, &order.customer_event, lower));
        }
        Ok(())
    }
}

/// What the tables say about an order's customer and items. A row that lacks a
/// column counts as no row: the rules then hold or refuse, they do not guess.
fn reference_facts(order: &Order, received_at: Instant, tables: &Tables) -> ReferenceFacts {
    let currency = |row: &Row| row.text("currency").and_then(|code| Currency::parse(code).ok());
    let customer = tables.row("customer", &order.customer.id).and_then(|row| {
        Some(CustomerFacts {
            class: row.text("class")?.to_owned(),
            blocked: row.flag("blocked")?,
            currency: currency(row),
            country: row.text("country").map(str::to_owned),
        })
    });
    let items = order
        .lines
        .iter()
        .filter_map(|line| {
            let row = tables.row("item", &line.sku)?;
            let facts = ItemFacts {
                list_price: row.number("list-price")?,
                unit: row.text("unit")?.to_owned(),
                currency: currency(row)?,
            };
            Some((line.sku.clone(), facts))
        })
        .collect();
    ReferenceFacts { received_at, customer, items }
}
