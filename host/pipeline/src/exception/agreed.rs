//! A change of an order that people accept: from then on as much is ordered as it says.
//!
//! They have carried it out in the systems that have the order, or effects of `order.changed` do, so what
//! those say from now on is counted by it. The host says so itself (`own_word`), in the transaction of the
//! acceptance, and decides on its word as on whatever else is said of the order: in its turn, before all
//! that comes after, with a leaf of its own.
//! So what waits is looked at again, what is owed back is seen, and whoever follows the order again comes to
//! the same place.
//!
//! What cannot be, that less of a line is to leave than has left, nobody can accept: its sender would be
//! told what never comes. Nor can anybody accept what was erased: nobody could count by it. What else nobody can count, as another unit of what has left in part, people may
//! have carried out all the same: that is accepted and told to a person.
//!
//! The word has no more of the change than is counted, and names nobody.

use portreeve_model::event::{OrderChange, OrderTotals};
use portreeve_model::value::Customer;
use portreeve_model::{Event, ExceptionAction, Instant, Order, OrderId, OrderLine};
use portreeve_store::StoreError;
use portreeve_store::contract::{DocumentPosition, PayloadRef, Saying};

use super::{ExceptionError, Shown};
use crate::Pipeline;
use crate::decide::DecideError;
use crate::own_word::OwnWord;
use crate::process::{Concern, LESS_THAN_LEFT};
use crate::review::ReviewError;
use crate::route::OwnChannel;

/// Events of an order that are read at once.
const EVENTS: u32 = 64;

impl Pipeline {
    /// Check: what is accepted can be.
    pub(super) async fn can_be_agreed(&self, shown: &Shown, action: ExceptionAction) -> Result<(), ExceptionError> {
        let (Some(order), ExceptionAction::AcceptChange) = (&shown.order, action) else { return Ok(()) };
        let Some((_, change)) = self.change_of(shown, order.id).await? else { return Ok(()) };
        let progress = self.progress_of(order.id).await.map_err(|error| match error {
            DecideError::Store(error) => error,
            other => StoreError::Failed(other.to_string()),
        })?;
        match progress.map(|progress| self.process.agreed(&progress, &change.order)) {
            Some(Err(Concern { code: LESS_THAN_LEFT, found, expected })) => {
                let why = format!(
                    "found {found}, expected {expected}; refuse it, and have its sender ask for what is left to change"
                );
                Err(ExceptionError::NotHere { action, why })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the host says of a change that is accepted; none where nothing is said of what is to be
    /// ordered.
    pub(super) async fn agreement_said(&self, shown: &Shown, at: Instant) -> Result<Option<Saying>, ExceptionError> {
        let Some(order) = &shown.order else { return Ok(None) };
        let Some((position, change)) = self.change_of(shown, order.id).await? else { return Ok(None) };
        let OrderChange { order: changed, revision } = change;
        let event = Event::OrderChanged(OrderChange { order: counted(changed, order.id), revision });
        // Whoever the order was for answers for what cannot be decided.
        let by = self.routes.channel(&order.channel).map_or("orders", |channel| channel.target.as_str());
        let key = format!("{}/{}", order.id, position.0);
        let word = OwnWord { channel: OwnChannel::Agreements, by, key }.of(&event, &self.host, at);
        Ok(Some(Saying { word: Box::new(word.map_err(ReviewError::from)?), is_heard: true }))
    }

    /// The change that an exception is about, and where it stands. One whose content is gone nobody can accept.
    async fn change_of(
        &self,
        shown: &Shown,
        order: OrderId,
    ) -> Result<Option<(DocumentPosition, OrderChange)>, ExceptionError> {
        let Some(position) = shown.trail.about.document else { return Ok(None) };
        let Some(event) = self.said_in(order, position).await? else { return Ok(None) };
        let bytes = match self.store.payload(event).await {
            Ok(bytes) => bytes,
            Err(StoreError::Erased(_)) => {
                let why = "found a change whose content was erased, expected one that says what the order is to be; refuse it, and have its sender ask again for what is still wanted";
                return Err(ExceptionError::NotHere { action: ExceptionAction::AcceptChange, why: why.to_owned() });
            }
            Err(error) => return Err(error.into()),
        };
        match Event::from_json(&bytes) {
            Ok(Event::OrderChanged(change)) => Ok(Some((position, change))),
            Ok(_) => Ok(None),
            Err(error) => Err(StoreError::Damaged(format!("a change of an order cannot be read: {error}")).into()),
        }
    }

    /// What a document said of an order.
    async fn said_in(&self, order: OrderId, position: DocumentPosition) -> Result<Option<PayloadRef>, StoreError> {
        let mut after = 0;
        loop {
            let events = self.store.order_events(order, after, EVENTS).await?;
            let Some(last) = events.last() else { return Ok(None) };
            if let Some(found) = events.iter().find(|event| event.position == position) {
                return Ok(Some(found.event));
            }
            after = last.number;
        }
    }
}

/// What is counted of an order, under the host's identifier.
fn counted(order: Order, id: OrderId) -> Order {
    let Order { currency, lines, totals, .. } = order;
    let OrderTotals { grand, .. } = totals;
    let line =
        |line: OrderLine| OrderLine { description: None, requested_delivery: None, extensions: Vec::new(), ..line };
    Order {
        number: id.to_string(),
        release: None,
        customer: Customer { id: String::new(), name: None, email: None, phone: None },
        bill_to: None,
        ship_to: None,
        placed_at: None,
        requested_delivery: None,
        cancel_after: None,
        currency,
        lines: lines.into_iter().map(line).collect(),
        totals: OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand },
        payment: None,
        sender_state: None,
        notes: Vec::new(),
        extensions: Vec::new(),
    }
}
