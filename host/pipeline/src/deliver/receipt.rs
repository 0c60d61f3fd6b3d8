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
use portreeve_model::{ChannelId, Digest, Event, Instant, SenderId};
use portreeve_record::leaf::AcceptOutcome;
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::Permit;
use portreeve_store::contract::{Disposition, JournalEntry, NewDocument, NewPayload};

use super::DeliverError;
use crate::leaf::AcceptFacts;
use crate::route::{RECEIPTS_CHANNEL, ReceiptSays};
use crate::{Pipeline, leaf, reply};

/// The kind of such a document.
const KIND: &str = "portreeve/receipt";

impl Pipeline {
    /// What this receipt says of its order; none where the routes have it say nothing.
    pub(super) fn heard(
        &self,
        permit: &Permit,
        receipt: &Receipt,
        now: Instant,
    ) -> Result<Option<JournalEntry>, DeliverError> {
        let Some(says) = self.routes.receipt(permit.target(), permit.kind()) else { return Ok(None) };
        let unsaid = |error: &dyn std::fmt::Display| DeliverError::Receipt(error.to_string());
        let body = said(says, permit, receipt, now).to_json().map_err(|error| unsaid(&error))?;
        let channel = ChannelId::parse(RECEIPTS_CHANNEL).map_err(|error| unsaid(&error))?;
        let sender = SenderId::authenticated(permit.target());
        // It names an order and nobody, as what a system says of it.
        let subject = Some(Digest::of(sender.as_str().as_bytes()));
        let payload = NewPayload::seal(&body, subject)?;
        let document = NewDocument {
            key: permit.outbox().0.clone(),
            partner: String::new(),
            kind: KIND.to_owned(),
            content: Digest::of(&body),
            payload: NewPayload::seal(&body, subject)?,
        };
        let documents = vec![document];
        let record = leaf::accept(&AcceptFacts {
            channel: &channel,
            sender: &sender,
            content: payload.sealed.commitment(),
            key: &payload.key,
            kinds: &|kind| kind == KIND,
            crossing: None,
            failure: None,
            documents: &documents,
            problems: &[],
            settled: &[],
            outcome: AcceptOutcome::Documents,
        })?;
        Ok(Some(JournalEntry {
            received_at: now,
            content: Digest::of(&body),
            envelopes: Vec::new(),
            disposition: Disposition::Documents,
            payload,
            reply: reply::kept(),
            documents,
            exceptions: Vec::new(),
            mended_by: None,
            leaf: Leaf::new(&self.host, now, LeafBody::Accept(record))?,
            channel,
            sender,
        }))
    }
}

fn said(says: ReceiptSays, permit: &Permit, receipt: &Receipt, now: Instant) -> Event {
    let answer = OrderAnswer {
        order_number: permit.order().to_string(),
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
