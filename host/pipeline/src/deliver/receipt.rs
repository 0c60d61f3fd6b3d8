//! What a target says of an order by taking a message.
//!
//! Many systems answer at once what others say by an event of their own: an ERP that has
//! made the sales order has accepted the order. Where the routes say so, the receipt is heard
//! as that event. It becomes an input of the host's own channel, in the transaction that
//! settles the delivery: so it is decided as whatever else is said of the order, in its
//! turn, with leaves of its own, and a host that ends in between has said all of it or
//! nothing.

use portreeve_model::document::Receipt;
use portreeve_model::event::OrderAnswer;
use portreeve_model::{Event, Instant, OrderId};
use portreeve_store::Permit;
use portreeve_store::contract::JournalEntry;

use super::DeliverError;
use crate::Pipeline;
use crate::own_word::OwnWord;
use crate::route::{OwnChannel, ReceiptSays};

impl Pipeline {
    /// What this receipt says of its order; none where the routes have it say nothing, and where
    /// the target said so when it took the message before it lost it: replays do not fire again.
    pub(super) fn heard(
        &self,
        permit: &Permit,
        receipt: &Receipt,
        now: Instant,
    ) -> Result<Option<JournalEntry>, DeliverError> {
        if permit.taken_before() {
            return Ok(None);
        }
        let says = self.routes.receipt(permit.target(), permit.kind());
        let Some((says, order)) = says.zip(permit.order()) else { return Ok(None) };
        let word = OwnWord { channel: OwnChannel::Receipts, by: permit.target(), key: permit.outbox().0.clone() };
        let heard = word.of(&said(says, order, receipt, now), &self.host, now);
        heard.map(Some).map_err(|error| DeliverError::Receipt(error.to_string()))
    }
}

fn said(says: ReceiptSays, order: OrderId, receipt: &Receipt, now: Instant) -> Event {
    let answer = OrderAnswer {
        order_number: order.to_string(),
        external_id: Some(receipt.external_id.clone()),
        answered_at: Some(now),
        lines: Vec::new(),
        reason: None,
        extensions: Vec::new(),
    };
    match says {
        ReceiptSays::Accepted => Event::OrderAccepted(answer),
        ReceiptSays::Rejected => Event::OrderRejected(answer),
    }
}
