//! What the host itself says of an order: an input of a channel that is its own, decided as
//! whatever else is said of the order, in its turn, with leaves of its own.
//!
//! It commits with what made it say so: a receipt (`deliver::receipt`), an event by which money
//! is owed (`decide::refunding`), an advice of a payment for several orders (`decide::advised`), a
//! person's rejection of an order (`exception`), or of a change that a person accepts what the order is
//! to be (`exception::agreed`). So a host that ends in between has said all of it or nothing, and the
//! same word again is the same input.

use portreeve_model::{ChannelId, Digest, Event, Instant, SenderId};
use portreeve_record::leaf::AcceptOutcome;
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::contract::{Disposition, JournalEntry, NewDocument, NewPayload};

use crate::leaf::{self, AcceptFacts};
use crate::reply;
use crate::route::OwnChannel;

/// Why a word could not be written down: a fault of the host.
#[derive(Debug, thiserror::Error)]
#[error("the host's own word could not be written down: {0}")]
pub struct Unsaid(String);

impl Unsaid {
    fn of(error: &dyn std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Whose word it is, and which.
pub(crate) struct OwnWord<'a> {
    pub(crate) channel: OwnChannel,
    /// The target, or the channel, by which the host says it.
    pub(crate) by: &'a str,
    /// Names it among all words of the channel.
    pub(crate) key: String,
}

impl OwnWord<'_> {
    /// The input.
    pub(crate) fn of(self, event: &Event, host: &str, now: Instant) -> Result<JournalEntry, Unsaid> {
        self.of_each(std::slice::from_ref(event), host, now)
    }

    /// The same of several events, each of which is a document of the input.
    pub(crate) fn of_each(self, events: &[Event], host: &str, now: Instant) -> Result<JournalEntry, Unsaid> {
        let bodies = events.iter().map(|event| event.to_json().map_err(|error| Unsaid::of(&error)));
        let bodies = bodies.collect::<Result<Vec<Vec<u8>>, Unsaid>>()?;
        let whole = match bodies.as_slice() {
            [body] => body.clone(),
            bodies => [b"[".as_slice(), bodies.join(&b',').as_slice(), b"]".as_slice()].concat(),
        };
        let channel = ChannelId::parse(self.channel.as_str()).map_err(|error| Unsaid::of(&error))?;
        let kind = self.channel.kind();
        let sender = SenderId::authenticated(self.by);
        // It names an order and nobody, as what a system says of it.
        let subject = Some(Digest::of(sender.as_str().as_bytes()));
        let sealed = |bytes: &[u8]| NewPayload::seal(bytes, subject).map_err(|error| Unsaid::of(&error));
        let payload = sealed(&whole)?;
        let mut documents = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            documents.push(NewDocument {
                key: if bodies.len() > 1 { format!("{}/{index}", self.key) } else { self.key.clone() },
                partner: String::new(),
                kind: kind.to_owned(),
                content: Digest::of(body),
                payload: sealed(body)?,
            });
        }
        let record = leaf::accept(&AcceptFacts {
            channel: &channel,
            sender: &sender,
            content: payload.sealed.commitment(),
            key: &payload.key,
            kinds: &|known| known == kind,
            crossing: None,
            failure: None,
            documents: &documents,
            problems: &[],
            settled: &[],
            outcome: AcceptOutcome::Documents,
        })
        .map_err(|error| Unsaid::of(&error))?;
        let leaf = Leaf::new(host, now, LeafBody::Accept(record)).map_err(|error: RecordError| Unsaid::of(&error))?;
        Ok(JournalEntry {
            received_at: now,
            content: Digest::of(&whole),
            envelopes: Vec::new(),
            disposition: Disposition::Documents,
            payload,
            reply: reply::kept(),
            documents,
            exceptions: Vec::new(),
            mended_by: None,
            wakes: None,
            leaf,
            channel,
            sender,
        })
    }
}
