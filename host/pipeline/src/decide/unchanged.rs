//! An order that comes once more in other words: by a webhook and in a list that was fetched, or from
//! a shop that writes down when it last looked at it.
//!
//! Other bytes under a known business key are a change, which people carry out. Where what the
//! transformer makes of them is the order as it came, nothing changed, and nobody has anything to do.
//! Compared is all that an order says, to the last extension; one whose content is gone is compared
//! with nothing, and stays a change. So does what says an order as it came once its sender wanted
//! it otherwise, or not at all: people may have carried that out, and it is to be as before again.

use std::collections::BTreeSet;

use portreeve_model::{Event, Order, OrderId};
use portreeve_store::StoreError;
use portreeve_store::contract::{DocumentPosition, OrderEventKind};

use super::DecideError;
use super::facts::{self, RuleRows};
use super::reading::{Mapped, Reading};
use crate::Pipeline;
use crate::tables::Tables;

/// Events of an order that are read at once.
const EVENTS: u32 = 64;

impl Pipeline {
    /// Finds out which changes of orders change nothing: they are duplicates.
    pub(super) async fn find_unchanged(&self, mapped: &mut [Mapped], tables: &Tables) -> Result<(), DecideError> {
        // A batch may have what changes an order and what changes it back.
        let mut wanted_otherwise = BTreeSet::new();
        for mapped in mapped {
            if let Some((id, first, order)) = mapped.changes()
                && !wanted_otherwise.contains(&id)
                && self.is_as_it_came(id, order, tables).await?
            {
                mapped.outcome = Ok(Reading::Duplicate(first));
            }
            wanted_otherwise.extend(mapped.wanted_otherwise());
        }
        Ok(())
    }

    /// Whether it is the order as it came, of which its sender said nothing else since.
    async fn is_as_it_came(&self, id: OrderId, mut order: Order, tables: &Tables) -> Result<bool, DecideError> {
        let Some(known) = self.order_as_it_came(id).await? else { return Ok(false) };
        let answer = |table: &str, key: &str| tables.answer(table, key);
        facts::translate_items(&mut order, &mut RuleRows::of(&answer));
        if order != known {
            return Ok(false);
        }
        let mut after = 0;
        loop {
            let events = self.store.order_events(id, after, EVENTS).await?;
            let Some(last) = events.last() else { return Ok(true) };
            if events.iter().any(|event| is_a_wish(event.kind)) {
                return Ok(false);
            }
            after = last.number;
        }
    }

    /// The order that a document became; none where there is none, or its content is gone.
    async fn order_as_it_came(&self, id: OrderId) -> Result<Option<Order>, DecideError> {
        let Some(origin) = self.store.order_origin(id).await? else { return Ok(None) };
        let bytes = match self.store.payload(origin.event).await {
            Ok(bytes) => bytes,
            Err(StoreError::Erased(_) | StoreError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match Event::from_json(&bytes) {
            Ok(Event::OrderCreated(order)) => Ok(Some(order)),
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

/// What a sender may say of its order later.
fn is_a_wish(kind: OrderEventKind) -> bool {
    matches!(kind, OrderEventKind::Changed | OrderEventKind::CancelRequested)
}

impl Mapped {
    /// The order that is to be another one, or none, by this.
    fn wanted_otherwise(&self) -> Option<OrderId> {
        match &self.outcome {
            Ok(Reading::Later(later)) if is_a_wish(later.kind()) => Some(later.order_id(&self.document)),
            _ => None,
        }
    }

    /// The order, the first document of its key and the content, of other bytes under a known key.
    fn changes(&self) -> Option<(OrderId, DocumentPosition, Order)> {
        let Ok(Reading::Later(later)) = &self.outcome else { return None };
        let first = self.document.first()?.position;
        Some((later.order_id(&self.document), first, later.new_content()?.clone()))
    }
}
