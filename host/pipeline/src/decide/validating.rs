//! The host's own look at an order: what its rules find with the reference tables,
//! whether the order exists already, and what is known about its customer.

use std::collections::BTreeMap;

use portreeve_authority::rules::{Account, Finding};
use portreeve_model::advice::CustomerHistory;
use portreeve_model::{ChannelId, Event, Money, Order, OrderId};
use portreeve_sandbox::{Crossing, RecordedLookup};
use portreeve_store::Journaled;
use portreeve_store::contract::{CustomerEvent, Decided, DecisionCommit, NewException, OrderStanding};

use super::DecideError;
use super::facts::{self, RuleRows};
use super::following::{Course, Courses};
use super::level::Levels;
use super::reading::{Mapped, Reading, for_a_person};
use super::rechecking::Rechecks;
use crate::exception::Limits;
use crate::history::Origin;
use crate::process::Concern;
use crate::tables::Tables;
use crate::{Pipeline, history};

/// What is known of the orders of a batch: what the store has, and what the batch did
/// up to here.
#[derive(Default)]
pub(super) struct Standings {
    known: BTreeMap<OrderId, OrderStanding>,
    courses: Courses,
    levels: Levels,
    /// Credit of orders for which stock is set aside.
    pub(super) rechecks: Rechecks,
}

impl Standings {
    pub(super) fn of(&self, order: OrderId) -> OrderStanding {
        self.known.get(&order).cloned().unwrap_or_default()
    }

    pub(super) fn made(&mut self, order: OrderId) {
        self.known.insert(order, OrderStanding { exists: true, ..self.of(order) });
    }

    pub(super) fn cancel_requested(&mut self, order: OrderId) {
        self.known.insert(order, OrderStanding { cancel_requested: true, ..self.of(order) });
    }

    /// Whether a system speaks of an order that this batch makes: what the order is to begin
    /// from is known when it is committed.
    pub(super) fn makes_what(&self, mapped: &Mapped) -> bool {
        let order = mapped.named_by_a_system();
        order.is_some_and(|order| self.of(order).exists && !self.courses.contains_key(&order))
    }

    /// How far an order is, of which a system says something.
    pub(super) fn course(&mut self, order: OrderId) -> Option<&mut Result<Course, Concern>> {
        self.courses.get_mut(&order)
    }

    /// The channel that such an order came by, where the routes ask for that.
    pub(super) fn channel(&self, order: OrderId) -> Option<ChannelId> {
        self.courses.get(&order)?.as_ref().ok()?.channel().cloned()
    }
}

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
    /// Its credit account; none where nobody looks at credit.
    pub(super) account: Option<Account>,
    /// Whether the sender asked to cancel it before it came.
    pub(super) cancel_requested: bool,
    pub(super) event_json: Vec<u8>,
    pub(super) customer_event: CustomerEvent,
    pub(super) history: Option<CustomerHistory>,
}

impl Pipeline {
    fn dated_document(&self, exception: NewException, document: &Journaled) -> NewException {
        let channel = self.routes.channel(document.channel()).map(|channel| (channel, document.received_at()));
        self.dated(exception, self.clock.now(), Limits { channel, ..Limits::default() })
    }

    /// Asks the store about the orders of a batch.
    pub(super) async fn standings(&self, ids: Vec<OrderId>, mapped: &[Mapped]) -> Result<Standings, DecideError> {
        let standings = self.store.order_standings(ids.clone()).await?;
        let known: BTreeMap<OrderId, OrderStanding> = ids.into_iter().zip(standings).collect();
        let followed = mapped.iter().filter_map(Mapped::follows);
        let followed = followed.filter_map(|order| Some((order, known.get(&order)?.clone())));
        let courses = self.courses(followed.collect()).await?;
        let levels = self.levels(mapped).await?;
        Ok(Standings { known, courses, levels, rechecks: Rechecks::new() })
    }

    /// The host's own rules; what is no new order is decided here already.
    pub(super) fn validate(
        &self,
        mapped: Mapped,
        tables: &Tables,
        standings: &mut Standings,
        configuration: u64,
    ) -> Result<Result<Validated, DecisionCommit>, DecideError> {
        let Mapped { document, crossing, outcome } = mapped;
        let without = |document, crossing, decided| self.without_order(document, crossing, decided, configuration);
        let (mut order, value) = match outcome {
            Ok(Reading::Order(order, value)) => (order, value),
            Ok(Reading::Later(later)) => {
                return Ok(Err(self.about_order(document, crossing, *later, tables, standings, configuration)?));
            }
            Ok(Reading::Level(level)) => {
                let levels = &mut standings.levels;
                return Ok(Err(self.about_item(document, crossing, *level, levels, configuration)?));
            }
            Ok(Reading::Answer(answer)) => {
                return Ok(Err(self.acknowledge(document, crossing, *answer, configuration)?));
            }
            // What it is about was looked for; a fault of the host is a person's.
            Ok(Reading::Acknowledged(_)) => {
                let detail = "what an acknowledgement is about was not looked for; report the fault";
                let exception = for_a_person(self.queue(&document), "host-fault", detail);
                return Ok(Err(without(document, crossing, Decided::Unmapped(exception))?));
            }
            Ok(Reading::Duplicate(of)) => {
                return Ok(Err(without(document, crossing, Decided::Duplicate { of })?));
            }
            Err(exception) => {
                let exception = self.dated_document(exception, &document);
                return Ok(Err(without(document, crossing, Decided::Unmapped(exception))?));
            }
        };
        let answer = |table: &str, key: &str| tables.answer(table, key);
        let mut rows = RuleRows::of(&answer);
        facts::translate_items(&mut order, &mut rows);
        let test_channel = self.routes.channel(document.channel()).is_some_and(|channel| channel.test);
        let reference = facts::reference_facts(&order, document.received_at(), test_channel, &mut rows);
        let class = facts::class(&reference);
        let account = self.rules.checks_credit().then(|| facts::credit_account(&order, &reference, &mut rows));
        let findings = self.rules.check(&order, &reference);
        let looked_up = rows.asked().collect();
        let id = order_id(&document, &order.number, order.release.as_deref());
        // Another key, but an order that exists: a second release of it, or a
        // sender that counts anew. Nothing is overwritten.
        let standing = standings.of(id);
        if standing.exists {
            let exception = for_a_person(
                self.queue(&document),
                "order-exists",
                "the sender has an order with this number already; compare the two documents",
            );
            let exception = self.dated_document(exception, &document);
            return Ok(Err(without(document, crossing, Decided::Unmapped(exception))?));
        }
        standings.made(id);
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
            account,
            cancel_requested: standing.cancel_requested,
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

/// The order that a document is about.
pub(super) fn order_id(document: &Journaled, number: &str, release: Option<&str>) -> OrderId {
    OrderId::derive(document.channel(), document.sender(), document.partner(), number, release)
}

pub(super) fn origin(document: &Journaled, order: OrderId) -> Origin<'_> {
    Origin { channel: document.channel(), sender: document.sender(), partner: document.partner(), order }
}
