//! The proofs that a store mints: each says that something is durable.
//!
//! INVARIANT: constructors are `pub(crate)`, fields private, and no type here
//! derives `Clone`, `Default` or `Deserialize`. A permit is consumed by the
//! attempt that it allows, an attempt by its settlement.

use portreeve_model::{ChannelId, Digest, Instant, Matter, OrderId, PluginName, SenderId};
use portreeve_record::PayloadKey;

use crate::contract::{
    Content, DocumentPosition, HeldSubscription, InputId, Interchange, JournalEntry, NewException, OutboxId,
    PayloadRef, StateChanges,
};

/// A document that is durable in the journal, with its accept leaf.
#[derive(Debug)]
pub struct Journaled {
    pub(crate) position: DocumentPosition,
    pub(crate) input: InputId,
    pub(crate) input_commitment: Digest,
    pub(crate) index: u32,
    pub(crate) channel: ChannelId,
    pub(crate) sender: SenderId,
    pub(crate) received_at: Instant,
    pub(crate) key: String,
    pub(crate) partner: String,
    pub(crate) kind: String,
    pub(crate) content: Digest,
    pub(crate) body: Result<Vec<u8>, String>,
    pub(crate) payload_key: PayloadKey,
    pub(crate) first: Option<FirstDocument>,
}

/// The document with the same business key that this one is compared with: the first
/// with the same bytes, or else the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstDocument {
    /// Where it stands in the journal.
    pub position: DocumentPosition,
    /// Whether its bytes are the same.
    pub same_content: bool,
}

impl Journaled {
    /// Its place in the journal; decisions see only what stands lower.
    #[must_use]
    pub fn position(&self) -> DocumentPosition {
        self.position
    }

    /// The input that it came in.
    #[must_use]
    pub fn input(&self) -> InputId {
        self.input
    }

    /// The input's commitment, by which records name it: the id could be guessed
    /// from the bytes, and would outlive their erasure.
    #[must_use]
    pub fn input_commitment(&self) -> Digest {
        self.input_commitment
    }

    /// Its number in that input, from 0.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// The authenticated sender.
    #[must_use]
    pub fn sender(&self) -> &SenderId {
        &self.sender
    }

    /// When the input was received: a guest's clock.
    #[must_use]
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// The business key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whose it is within the sender's traffic; empty when the sender is one party.
    #[must_use]
    pub fn partner(&self) -> &str {
        &self.partner
    }

    /// What it is, for example `x12/850`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Digest of its bytes.
    #[must_use]
    pub fn content(&self) -> Digest {
        self.content
    }

    /// Its bytes.
    ///
    /// # Errors
    /// One sentence when they were erased or are damaged. The document still has
    /// to be decided, or it would stand in the way of all others for ever.
    pub fn body(&self) -> Result<&[u8], &str> {
        self.body.as_deref().map_err(String::as_str)
    }

    /// The key that its bytes are sealed under; it blinds what is made of them.
    #[must_use]
    pub fn payload_key(&self) -> &PayloadKey {
        &self.payload_key
    }

    /// The first document with this business key, if this one is not the first.
    #[must_use]
    pub fn first(&self) -> Option<&FirstDocument> {
        self.first.as_ref()
    }
}

/// A decision that is durable together with its effects and its leaf.
#[derive(Debug)]
pub struct Committed {
    pub(crate) position: DocumentPosition,
    pub(crate) order: Option<OrderId>,
}

impl Committed {
    /// The document that was decided.
    #[must_use]
    pub fn position(&self) -> DocumentPosition {
        self.position
    }

    /// The order that the document became, if it became one.
    #[must_use]
    pub fn order(&self) -> Option<OrderId> {
        self.order
    }
}

/// Whether its target took a delivery that is due again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It did not, as far as the host knows.
    Never,
    /// It did.
    Before,
    /// It did after its message was corrected.
    Corrected,
}

/// The right to attempt one delivery: a claimed row of the committed outbox.
#[derive(Debug)]
pub struct Permit {
    /// The row's place in the outbox.
    pub(crate) seq: i64,
    /// Its order's place among the orders; of an item that one's, with a minus.
    pub(crate) order_seq: i64,
    pub(crate) outbox: OutboxId,
    pub(crate) matter: Matter,
    pub(crate) target: String,
    pub(crate) kind: String,
    pub(crate) content: Content,
    pub(crate) event: PayloadRef,
    pub(crate) attempt: u32,
    pub(crate) tries: u32,
    pub(crate) epoch: i64,
    pub(crate) unresolved: bool,
    pub(crate) withheld: bool,
    pub(crate) taken: Taken,
    pub(crate) correction: Option<PayloadRef>,
    pub(crate) doubts: u32,
    pub(crate) deadline_from: Instant,
    pub(crate) interchange: Option<Interchange>,
    pub(crate) said: Option<Box<JournalEntry>>,
    pub(crate) telling: Option<Box<NewException>>,
}

impl Permit {
    /// The same permit, with what the target says of the order by taking the message: an
    /// input, which is in the journal when the outcome is on record that it took it, or not
    /// at all.
    #[must_use]
    pub fn saying(self, said: Option<JournalEntry>) -> Self {
        Self { said: said.map(Box::new), ..self }
    }

    /// The same permit, with what people have to know of the order though the target has what was
    /// to be delivered: an exception about the order, which opens when that is on record, or not at
    /// all.
    #[must_use]
    pub fn telling(self, exception: Option<NewException>) -> Self {
        Self { telling: exception.map(Box::new), ..self }
    }

    /// The outbox row.
    #[must_use]
    pub fn outbox(&self) -> &OutboxId {
        &self.outbox
    }

    /// What it is about.
    #[must_use]
    pub fn matter(&self) -> Matter {
        self.matter
    }

    /// The order, where it is about one.
    #[must_use]
    pub fn order(&self) -> Option<OrderId> {
        self.matter.order()
    }

    /// The target system, as the configuration names it.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The kind of message that the target takes.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether that is the order as it came, or what a document said of it or of an item.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// The sealed event that is to be delivered.
    #[must_use]
    pub fn event(&self) -> PayloadRef {
        self.event
    }

    /// The number of the attempt that this permit allows, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The same, counted from the last time that a person had it tried again.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether an earlier attempt ended without a known outcome: look the
    /// effect up before sending it again.
    #[must_use]
    pub fn unresolved(&self) -> bool {
        self.unresolved
    }

    /// Whether the order is to be cancelled: the target may be asked what became of an
    /// earlier attempt, and no further one begins.
    #[must_use]
    pub fn withheld(&self) -> bool {
        self.withheld
    }

    /// Whether its target took it once, and a person had it sent again since. What the target said
    /// of the order by taking it was heard then.
    #[must_use]
    pub fn taken_before(&self) -> bool {
        self.taken != Taken::Never
    }

    /// Whether its target took it, and a person had it sent again, after its message was corrected:
    /// what the target has of it was known then, and is no news now.
    #[must_use]
    pub fn taken_corrected(&self) -> bool {
        self.taken == Taken::Corrected
    }

    /// The sealed words of the person by whom its message is corrected, where it is.
    #[must_use]
    pub fn correction(&self) -> Option<PayloadRef> {
        self.correction
    }

    /// How many attempts, counted from there, did not surely do nothing.
    #[must_use]
    pub fn doubts(&self) -> u32 {
        self.doubts
    }

    /// What the delivery is known by at its receiver, where it got a number: the same for each
    /// attempt.
    #[must_use]
    pub fn interchange(&self) -> Option<&Interchange> {
        self.interchange.as_ref()
    }

    /// From when the deadline counts: the delivery was first claimed then, or a person
    /// had it tried again.
    #[must_use]
    pub fn deadline_from(&self) -> Instant {
        self.deadline_from
    }
}

/// An attempt that is on record, with its leaf: now the effect may happen.
#[derive(Debug)]
pub struct Attempt {
    pub(crate) permit: Permit,
    pub(crate) state: Option<StateChanges>,
}

impl Attempt {
    /// What the attempt is for.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The same attempt, with what the target says by taking the message, as
    /// [`Permit::saying`].
    #[must_use]
    pub fn saying(self, said: Option<JournalEntry>) -> Self {
        Self { permit: self.permit.saying(said), ..self }
    }

    /// The same attempt, with what its connector wants to remember about the order: it
    /// commits with the attempt's outcome, or not at all.
    #[must_use]
    pub fn remembering(self, state: StateChanges) -> Self {
        Self { state: Some(state), ..self }
    }
}

/// A delivery's outcome that is on record, with its leaf.
#[derive(Debug)]
pub struct Settled {
    pub(crate) outbox: OutboxId,
}

impl Settled {
    /// The outbox row.
    #[must_use]
    pub fn outbox(&self) -> &OutboxId {
        &self.outbox
    }
}

/// The right to make one poll: a claimed row, which nobody else has meanwhile.
#[derive(Debug)]
pub struct PollPermit {
    pub(crate) poll: String,
    pub(crate) connector: PluginName,
    pub(crate) epoch: i64,
    pub(crate) cursor: Option<Vec<u8>>,
    pub(crate) failures: u32,
    /// The exception that people were told by.
    pub(crate) told: Option<i64>,
    pub(crate) said: Option<Digest>,
}

impl PollPermit {
    /// The poll.
    #[must_use]
    pub fn poll(&self) -> &str {
        &self.poll
    }

    /// Another number for each claim of the poll.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Where the last one stopped; none for the first.
    #[must_use]
    pub fn cursor(&self) -> Option<&[u8]> {
        self.cursor.as_deref()
    }

    /// How often in a row it failed before.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether people were told that it fails.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Names what the source said when it was last polled well; none before the first time.
    #[must_use]
    pub fn said(&self) -> Option<Digest> {
        self.said
    }
}

/// The right to ask for one subscription: a claimed row with a leaf, which nobody else has
/// meanwhile.
#[derive(Debug)]
pub struct SubscriptionPermit {
    pub(crate) id: String,
    pub(crate) held: Option<HeldSubscription>,
    pub(crate) epoch: i64,
    pub(crate) failures: u32,
    /// The exception that people were told by.
    pub(crate) told: Option<i64>,
}

impl SubscriptionPermit {
    /// What the source gave before, for the same.
    #[must_use]
    pub fn held(&self) -> Option<&HeldSubscription> {
        self.held.as_ref()
    }

    /// Another number for each claim of the subscription.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// How often in a row it failed before.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether people were told that it fails.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.is_some()
    }
}
