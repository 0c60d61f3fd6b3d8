//! What came about an order after it, and how far the order is.
//!
//! The store keeps how far an order is as the sealed record of the decision that moved it
//! last, and counts the moves: whoever moves an order says which move it builds on, so that
//! two decisions about one order never both start from the same place.

use portreeve_model::{ChannelId, Digest, Instant, OrderId, ProcessState};

use super::{DocumentPosition, InputId, JournalEntry, NewException, NewHold, NewOutbox, OrderState, PayloadRef};

/// What may come about an order after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderEventKind {
    /// It is to be another one.
    Changed,
    /// It, or some of its lines, is not to be.
    CancelRequested,
    /// The system of record has taken it.
    Accepted,
    /// The system of record has not.
    Rejected,
    /// Stock was set aside.
    Allocated,
    /// Some of it was picked.
    Picked,
    /// Some of it was packed.
    Packed,
    /// Some of it is under way.
    Dispatched,
    /// Some of it is late.
    Delayed,
    /// Some of it has left.
    ShipmentConfirmed,
    /// Some of it was invoiced, or credited.
    InvoicePosted,
    /// Money came.
    PaymentSettled,
    /// Goods are to come back.
    ReturnRequested,
    /// Goods came back.
    ReturnReceived,
    /// Money went back.
    RefundIssued,
    /// Its payer says what of it a payment is to be for; the money is the bank's word.
    RemittanceReceived,
}

impl OrderEventKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::Changed,
        Self::CancelRequested,
        Self::Accepted,
        Self::Rejected,
        Self::Allocated,
        Self::Picked,
        Self::Packed,
        Self::Dispatched,
        Self::Delayed,
        Self::ShipmentConfirmed,
        Self::InvoicePosted,
        Self::PaymentSettled,
        Self::ReturnRequested,
        Self::ReturnReceived,
        Self::RefundIssued,
        Self::RemittanceReceived,
    ];

    /// The event's name, as in the domain's vocabulary.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "order.changed",
            Self::CancelRequested => "order.cancel-requested",
            Self::Accepted => "order.accepted",
            Self::Rejected => "order.rejected",
            Self::Allocated => "inventory.allocated",
            Self::Picked => "shipment.picked",
            Self::Packed => "shipment.packed",
            Self::Dispatched => "shipment.dispatched",
            Self::Delayed => "shipment.delayed",
            Self::ShipmentConfirmed => "shipment.confirmed",
            Self::InvoicePosted => "invoice.posted",
            Self::PaymentSettled => "payment.settled",
            Self::ReturnRequested => "return.requested",
            Self::ReturnReceived => "return.received",
            Self::RefundIssued => "refund.issued",
            Self::RemittanceReceived => "remittance.received",
        }
    }

    /// Whether a system, or a payer of its invoices, says so of an order, and not the sender of its own one.
    #[must_use]
    pub fn is_a_systems(self) -> bool {
        !matches!(self, Self::Changed | Self::CancelRequested)
    }

    /// The kind of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What became of an event about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventOutcome {
    /// It was written down, and a person decides.
    Noted,
    /// It counts: the order is where it says.
    Applied,
    /// It had been said before, in the same words.
    Again,
    /// It waits for something else that comes first.
    Early,
    /// It contradicts what is known, and counts for nothing.
    Impossible,
}

impl EventOutcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Noted, Self::Applied, Self::Again, Self::Early, Self::Impossible];

    /// The word in records, tables and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noted => "noted",
            Self::Applied => "applied",
            Self::Again => "again",
            Self::Early => "early",
            Self::Impossible => "impossible",
        }
    }
}

/// Events about one order that may wait for their turn. Each one that counts looks at all of
/// them again.
pub const EARLY_MAX: u32 = 64;

/// The code of an exception about an event that waits for its turn. The exception is closed
/// when the event waits no more.
pub const EARLY_EVENT: &str = "early-event";

/// An event about an order that another document made, or is still to make.
#[derive(Debug)]
pub struct NewOrderEvent {
    /// The order.
    pub order: OrderId,
    /// What it is.
    pub kind: OrderEventKind,
    /// What becomes of it.
    pub outcome: EventOutcome,
    /// The sealed canonical event.
    pub event: Digest,
    /// The sealed decision record.
    pub decision: Digest,
    /// A digest of what was decided, without times, keys and salts.
    pub fingerprint: Digest,
    /// What becomes of deliveries of the order as it came that are not done; those of what
    /// was said of it go on.
    pub stops: Option<Stop>,
    /// Where the order is now; none where this moves nothing.
    pub progress: Option<NewProgress>,
    /// Events that waited and do no more, now that this one counts, in the order in which they
    /// were looked at.
    pub caught_up: Vec<CaughtUp>,
    /// The codes of exceptions about the order that are over with this event.
    pub settled: Vec<String>,
    /// The number of an invoice by which the order is found from now on ([`OrderName::Invoice`]).
    pub invoice: Option<String>,
    /// Effects of what was said, in the order in which they are to happen.
    pub outbox: Vec<NewOutbox>,
    /// What people have to know or to do.
    pub exceptions: Vec<NewException>,
    /// What the host itself says of the order because of this: an input that is journaled with
    /// it, or, where it was said before, is not again.
    pub says: Option<Box<JournalEntry>>,
}

/// What becomes of an order's deliveries that are not done.
#[derive(Debug)]
pub enum Stop {
    /// The order is kept back: of its deliveries, those that nobody has begun never begin, and
    /// those under way are not tried again. It is held from when none of them is in doubt any
    /// more.
    Held(NewHold),
    /// Those that nobody has begun are given up, and those under way when it is sure that they
    /// did not arrive. Other deliveries undo what did.
    GivenUp,
}

/// Where an order is after an event. The record of how far it is is the event's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewProgress {
    /// The version that this builds on; 0 for an order that nothing moved yet.
    pub after: u64,
    /// The state.
    pub state: ProcessState,
}

/// What became of an event that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaughtUp {
    /// Its document.
    pub position: DocumentPosition,
    /// What became of it.
    pub outcome: EventOutcome,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressView {
    /// How many events moved it so far.
    pub version: u64,
    /// Where it is.
    pub state: ProcessState,
    /// The sealed decision record of the event that moved it last.
    pub record: PayloadRef,
}

/// What others know an order by who do not know the host's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderName {
    /// The number that its sender gave it.
    Number {
        /// The channel that it came in by.
        channel: ChannelId,
        /// The number.
        number: String,
    },
    /// What a target called it when it took it.
    Receipt {
        /// The target.
        target: String,
        /// Its name there.
        external_id: String,
    },
    /// An invoice of it that was said to be found by.
    Invoice {
        /// Its number.
        number: String,
    },
}

/// What is known of an order before it is decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderStanding {
    /// Whether it is there already.
    pub exists: bool,
    /// Whether its sender asked to cancel it.
    pub cancel_requested: bool,
    /// Where the host's and people's decisions put it, and its own event; none where it is not
    /// there.
    pub decided: Option<(OrderState, PayloadRef)>,
    /// The channel that it came by; none where it is not there.
    pub channel: Option<ChannelId>,
    /// How far it is; none where no event moved it yet.
    pub progress: Option<ProgressView>,
    /// How many events about it wait for their turn.
    pub early: u32,
}

/// Where an order came from: what others are told of it who know it by what its sender calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderOrigin {
    /// The number that its sender gave it.
    pub number: String,
    /// Whose it is within its sender's traffic; empty when the sender is one party.
    pub partner: String,
    /// The order's own event.
    pub event: PayloadRef,
}

/// An event that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyEvent {
    /// Its document.
    pub position: DocumentPosition,
    /// The sealed canonical event.
    pub event: PayloadRef,
}

/// What came about an order after it, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEventView {
    /// Grows with each decision in this store.
    pub number: u64,
    /// The journal position of its document.
    pub position: DocumentPosition,
    /// What it is.
    pub kind: OrderEventKind,
    /// What became of it.
    pub outcome: EventOutcome,
    /// The input that it came in.
    pub input: InputId,
    /// When that was received.
    pub received_at: Instant,
    /// When it was decided.
    pub decided_at: Instant,
    /// The sealed canonical event.
    pub event: PayloadRef,
    /// The sealed decision record.
    pub decision: PayloadRef,
    /// The id of the decide leaf.
    pub leaf: Digest,
}
