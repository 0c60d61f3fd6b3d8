//! The host's own look at an order: what its rules find with the reference tables,
//! whether the order exists already, and what is known about its customer.

use std::collections::BTreeSet;

use portreeve_authority::rules::{CustomerFacts, Finding, ItemFacts, Looked, ReferenceFacts};
use portreeve_model::advice::CustomerHistory;
use portreeve_model::reference::Row;
use portreeve_model::{Currency, Event, Money, Order, OrderId};
use portreeve_sandbox::Crossing;
use portreeve_store::Journaled;
use portreeve_store::contract::{CustomerEvent, Decided, DecisionCommit};

use super::DecideError;
use super::reading::{Mapped, Reading, for_a_person};
use crate::capability::Tables;
use crate::history::Origin;
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
        let (mut order, value) = match outcome {
            Ok(Reading::Order(order, value)) => (order, value),
            Ok(Reading::Duplicate(of)) => {
                return Ok(Err(self.without_order(document, crossing, Decided::Duplicate { of })?));
            }
            Err(exception) => return Ok(Err(self.without_order(document, crossing, Decided::Unmapped(exception))?)),
        };
        translate_items(&mut order, tables);
        let facts = self.reference_facts(&order, &document, tables);
        let class = facts.customer.found().map(|customer| customer.class.clone());
        let findings = self.rules.check(&order, &facts);
        let release = order.release.as_deref();
        let id = OrderId::derive(document.channel(), document.sender(), document.partner(), &order.number, release);
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
        let customer_event = history::customer_event(&order, &origin(&document, id), document.received_at(), value);
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

    /// What the tables say about an order.
    fn reference_facts(&self, order: &Order, document: &Journaled, tables: &Tables) -> ReferenceFacts {
        let customer = &order.customer.id;
        let skus = || order.lines.iter().map(|line| &line.sku);
        let theirs = order.lines.iter().filter_map(|line| line.buyer_sku.as_ref());
        let place = order.ship_to.as_ref().and_then(|place| place.id.as_ref());
        ReferenceFacts {
            received_at: document.received_at(),
            test_channel: self.routes.channel(document.channel()).is_some_and(|channel| channel.test),
            customer: looked(tables, "customer", customer, customer_facts),
            items: skus().map(|sku| (sku.clone(), looked(tables, "item", sku, item_facts))).collect(),
            ship_to: place.map(|place| looked(tables, "ship-to", &of_customer(customer, place), |_| Some(()))),
            cross_references: theirs.map(|number| (number.clone(), our_item(tables, customer, number))).collect(),
            available: skus()
                .map(|sku| (sku.clone(), looked(tables, "stock", sku, |row| row.whole("available"))))
                .collect(),
        }
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

pub(super) fn origin(document: &Journaled, order: OrderId) -> Origin<'_> {
    Origin { channel: document.channel(), sender: document.sender(), partner: document.partner(), order }
}

/// A row as facts. A row that lacks a column is told apart from no row: the one is
/// our mistake and never the sender's.
fn looked<T>(tables: &Tables, table: &str, key: &str, facts: impl FnOnce(&Row) -> Option<T>) -> Looked<T> {
    if !tables.has(table) {
        return Looked::NotLoaded;
    }
    match tables.row(table, key) {
        None => Looked::Unknown,
        Some(row) => facts(row).map_or(Looked::Incomplete, Looked::Found),
    }
}

/// The key of what was agreed with one customer.
fn of_customer(customer: &str, what: &str) -> String {
    format!("{customer}/{what}")
}

/// Our item for a customer's own number.
fn our_item(tables: &Tables, customer: &str, number: &str) -> Looked<String> {
    looked(tables, "cross-reference", &of_customer(customer, number), |row| row.text("sku").map(str::to_owned))
}

/// Lines that name an item by the customer's own number get ours, where the two are
/// known to be the same. A number that is one of ours is never replaced.
fn translate_items(order: &mut Order, tables: &Tables) {
    for line in &mut order.lines {
        if tables.row("item", &line.sku).is_some() {
            continue;
        }
        let theirs = line.buyer_sku.as_ref().unwrap_or(&line.sku);
        if let Looked::Found(ours) = our_item(tables, &order.customer.id, theirs) {
            let stated = std::mem::replace(&mut line.sku, ours);
            line.buyer_sku.get_or_insert(stated);
        }
    }
}

fn customer_facts(row: &Row) -> Option<CustomerFacts> {
    Some(CustomerFacts {
        class: row.text("class")?.to_owned(),
        blocked: row.flag("blocked")?,
        currency: currency(row),
        country: row.text("country").map(str::to_owned),
    })
}

fn item_facts(row: &Row) -> Option<ItemFacts> {
    Some(ItemFacts {
        list_price: row.number("list-price")?,
        unit: row.text("unit")?.to_owned(),
        currency: currency(row)?,
    })
}

fn currency(row: &Row) -> Option<Currency> {
    row.text("currency").and_then(|code| Currency::parse(code).ok())
}
