//! An order that comes once more in other words: by a webhook and in a list that was fetched, or from
//! a shop that writes down when it last looked at it.
//!
//! Other bytes under a known business key are a change, which people carry out. Where what the
//! transformer makes of them is the order as it came, nothing changed, and nobody has anything to do.
//! Compared is all that an order says, to the last extension; one whose content is gone is compared
//! with nothing, and stays a change.

use portreeve_model::{Event, Order, OrderId};
use portreeve_store::StoreError;
use portreeve_store::contract::DocumentPosition;

use super::DecideError;
use super::facts::{self, RuleRows};
use super::reading::{Mapped, Reading};
use crate::Pipeline;
use crate::tables::Tables;

impl Pipeline {
    /// Finds out which changes of orders change nothing: they are duplicates.
    pub(super) async fn find_unchanged(&self, mapped: &mut [Mapped], tables: &Tables) -> Result<(), DecideError> {
        for mapped in mapped {
            let Some((id, first, mut order)) = mapped.changes() else { continue };
            let Some(known) = self.order_as_it_came(id).await? else { continue };
            let answer = |table: &str, key: &str| tables.answer(table, key);
            facts::translate_items(&mut order, &mut RuleRows::of(&answer));
            if order == known {
                mapped.outcome = Ok(Reading::Duplicate(first));
            }
        }
        Ok(())
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

impl Mapped {
    /// The order, the first document of its key and the content, of other bytes under a known key.
    fn changes(&self) -> Option<(OrderId, DocumentPosition, Order)> {
        let Ok(Reading::Later(later)) = &self.outcome else { return None };
        let first = self.document.first()?.position;
        Some((later.order_id(&self.document), first, later.new_content()?.clone()))
    }
}
