//! What is read of orders to measure the work: what became of each so far, in as few rows as
//! there are kinds of that.

use portreeve_model::{ChannelId, Instant};

use super::{EventOutcome, OrderEventKind, PayloadRef, ProgressView};

/// An order, and what became of it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredOrder {
    /// Its number, by which orders that were decided at one time follow each other.
    pub number: u64,
    /// The channel that it came by.
    pub channel: ChannelId,
    /// When its document was received.
    pub received_at: Instant,
    /// When it was decided.
    pub decided_at: Instant,
    /// How far it is; none where no event moved it yet.
    pub progress: Option<ProgressView>,
    /// The sealed event by which it left first: the `shipment.confirmed` that counted and was
    /// received first; none where none did.
    pub shipped_as: Option<PayloadRef>,
    /// What was said of it, by kind and by what became of that.
    pub said: Vec<SaidOfOrder>,
    /// What people had to know or to do, by what it was.
    pub exceptions: Vec<ExceptionsOfOrder>,
    /// Its deliveries, in the order in which they were made.
    pub deliveries: Vec<DeliveryMade>,
}

/// Events of one kind about an order, of which the same became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaidOfOrder {
    /// What they are.
    pub kind: OrderEventKind,
    /// What became of them.
    pub outcome: EventOutcome,
    /// How many.
    pub count: u64,
    /// When the document of the first was received.
    pub first_at: Instant,
    /// When that of the last was.
    pub last_at: Instant,
}

/// Exceptions about an order that are alike, open and closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionsOfOrder {
    /// The stage that opened them.
    pub stage: String,
    /// Why.
    pub code: String,
    /// The event that they are about, or that a delivery they are about was made of; none where
    /// that is the order as it came.
    pub about: Option<OrderEventKind>,
    /// How many.
    pub count: u64,
    /// Steps that people took about them; the host's own are none.
    pub touches: u64,
}

/// A delivery, as far as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryMade {
    /// The target.
    pub target: String,
    /// Attempts that began.
    pub attempts: u32,
    /// Whether it was given up, whatever became of it later.
    pub given_up: bool,
    /// Whether a person had it tried again.
    pub replayed: bool,
    /// When it was taken up: first, or after a person had it tried again.
    pub taken_up_at: Instant,
    /// When the host knew that the target has it; none where it does not.
    pub delivered_at: Option<Instant>,
}
