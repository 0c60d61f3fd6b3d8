//! What the sender of an order calls it, for targets that are told.
//!
//! What systems say names an order by the host's identifier, and a customer knows none of
//! those: an answer, a ship notice or an invoice has to name the order as its sender did. So
//! the number, the day and the partner are read from the order as it came, in the store, and
//! from nothing that a system said later: an invoice under another customer's number would be
//! that customer's.

use portreeve_model::document::Setting;
use portreeve_model::{Digest, Event, Instant, Matter};
use portreeve_store::contract::{Content, DeadLetter, OrderOrigin, PayloadRef};
use portreeve_store::{Permit, StoreError};

use crate::Pipeline;
use crate::route::{ORDER_DATE, ORDER_NUMBER, ORDER_PARTNER, Target};

/// What a message is made of and for, whether it is to be sent or to be looked at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) matter: Matter,
    pub(crate) kind: &'a str,
    pub(crate) content: Content,
    pub(crate) event: PayloadRef,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(permit: &'a Permit) -> Self {
        Self { matter: permit.matter(), kind: permit.kind(), content: permit.content(), event: permit.event() }
    }

    pub(crate) fn of_letter(letter: &'a DeadLetter) -> Self {
        Self { matter: letter.matter, kind: &letter.kind, content: letter.content, event: letter.event }
    }
}

/// What is told beside the event.
pub(super) struct Told {
    pub(super) settings: Vec<Setting>,
    /// By whom the order came, where that was looked at.
    pub(super) partner: Option<String>,
    /// Commitment to all that the message is made of.
    pub(super) input: Digest,
}

/// Why nothing can be told.
pub(super) enum Untold {
    /// The store failed: later.
    NotNow(StoreError),
    /// The order was erased or is damaged.
    Never(String),
}

impl Pipeline {
    /// What a target is told of the order whose message this is. Of the order as it came
    /// there is nothing to tell: its event has all of it.
    pub(super) async fn order_told(&self, subject: Subject<'_>, target: &Target) -> Result<Told, Untold> {
        let said = subject.event.commitment;
        let of_partner = target.interchange.as_ref().is_some_and(|entry| entry.partner.is_none());
        let with_order = target.with_order && matches!(subject.content, Content::Said(_));
        if !with_order && !of_partner {
            return Ok(Told { settings: Vec::new(), partner: None, input: said });
        }
        let order = subject.matter.order().ok_or_else(|| {
            let found = "found a level of an item, which came for no partner's order";
            Untold::Never(format!("{found}; expected `partner` in the target's `[target.interchange]`"))
        })?;
        let origin = self.store.order_origin(order).await.map_err(Untold::NotNow)?;
        let origin = origin.ok_or_else(|| Untold::Never("the order of the delivery is not in the store".to_owned()))?;
        let partner = Some(origin.partner.clone());
        if !with_order {
            return Ok(Told { settings: Vec::new(), partner, input: said });
        }
        let event = match self.store.payload(origin.event).await {
            Ok(bytes) => Event::from_json(&bytes).map_err(|error| Untold::Never(error.to_string()))?,
            Err(error @ (StoreError::Erased(_) | StoreError::Damaged(_))) => {
                return Err(Untold::Never(error.to_string()));
            }
            Err(error) => return Err(Untold::NotNow(error)),
        };
        let Event::OrderCreated(order) = event else {
            return Err(Untold::Never("another event stands in the place of the order".to_owned()));
        };
        let input = Digest::of_parts(&[said.as_bytes(), origin.event.commitment.as_bytes()]);
        Ok(Told { settings: settings(origin, order.placed_at), partner, input })
    }
}

fn settings(origin: OrderOrigin, placed_at: Option<Instant>) -> Vec<Setting> {
    let OrderOrigin { number, partner, .. } = origin;
    let day = placed_at.and_then(Instant::date).map(|day| day.to_string());
    let told = [
        (ORDER_NUMBER, Some(number)),
        (ORDER_DATE, day),
        (ORDER_PARTNER, Some(partner).filter(|partner| !partner.is_empty())),
    ];
    told.into_iter().filter_map(|(name, value)| Some(Setting { name: name.to_owned(), value: value? })).collect()
}
