//! Orders that are kept back after their decision: looked at again, escalated, released
//! within what is left of a credit account.

use portreeve_model::{ChannelId, Currency, Digest, Instant, Money, OrderId, SenderId};
use portreeve_record::Leaf;

use super::{DocumentPosition, HoldView, NewHold, NewOutbox, NewPayload, NewStep, OrderState, PayloadRef};

/// An order that is held, routed or an exception, as whoever looks at it again needs it.
#[derive(Debug, Clone)]
pub struct KeptBack {
    /// The host's id.
    pub id: OrderId,
    /// The journal position of its document.
    pub position: DocumentPosition,
    /// The channel.
    pub channel: ChannelId,
    /// The authenticated sender.
    pub sender: SenderId,
    /// Whose it is within the sender's traffic.
    pub partner: String,
    /// The sender's number.
    pub number: String,
    /// When its input was received.
    pub received_at: Instant,
    /// Where it stands.
    pub state: OrderState,
    /// The queue that works on it.
    pub queue: Option<String>,
    /// What it is worth.
    pub value: Money,
    /// The sealed canonical event.
    pub event: PayloadRef,
    /// Whether its sender asked to cancel it: then nothing releases it.
    pub cancel_requested: bool,
    /// Whether its sender sent other content for it since.
    pub changed: bool,
    /// All holds that it ever had, oldest first.
    pub holds: Vec<HoldView>,
}

impl KeptBack {
    /// Holds that are not closed, oldest first.
    pub fn open_holds(&self) -> impl Iterator<Item = &HoldView> {
        self.holds.iter().filter(|hold| hold.closed.is_none())
    }
}

/// Which of the orders that are kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All of them.
    All,
    /// Those that a rule of the host keeps back, whatever else does: not the sender's wish to
    /// cancel.
    ByRules,
}

/// What becomes of an order that was looked at again.
#[derive(Debug)]
pub struct NewReview {
    /// The order.
    pub order: OrderId,
    /// The holds that were open when it was looked at, by number: what was decided is
    /// decided about these.
    pub open: Vec<u64>,
    /// Those of them that keep it back no more.
    pub closed: Vec<u64>,
    /// The account that released; none where the host cleared holds of its own.
    pub who: Option<String>,
    /// What keeps it back from now on: holds of the host's own rules.
    pub opened: Vec<NewHold>,
    /// Where it stands now: released where no hold is left, held or routed where one is, or an
    /// exception as before.
    pub state: OrderState,
    /// The queue that works on it, unless it is released.
    pub queue: Option<String>,
    /// One line for people: why.
    pub why: String,
    /// Effects; only where it is released. Their event is the order's.
    pub outbox: Vec<NewOutbox>,
    /// What the release takes of a credit account.
    pub credit: Option<CreditReservation>,
    /// By when the order's exception is to be decided, where it stays one.
    pub due_at: Option<Instant>,
    /// What a person decided about the order's exception: to end holds, and this carries it out.
    /// None where it is the host.
    pub step: Option<NewStep>,
    /// The sealed record of the review.
    pub record: NewPayload,
    /// The configuration version that decided.
    pub configuration: u64,
    /// When, by the store's clock.
    pub at: Instant,
    /// The review's leaf.
    pub leaf: Leaf,
}

/// A review as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewView {
    /// When.
    pub at: Instant,
    /// The account; none where it was the host.
    pub who: Option<String>,
    /// The configuration version that decided.
    pub configuration: u64,
    /// The sealed record.
    pub record: PayloadRef,
    /// The id of its leaf.
    pub leaf: Digest,
}

/// How a hold ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedHold {
    /// When.
    pub at: Instant,
    /// The account that released it; none where the host cleared its own.
    pub who: Option<String>,
}

/// What a release takes of a credit account, in its own transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditReservation {
    /// Digest of the account.
    pub account: Digest,
    /// What the order adds; below nothing it adds nothing.
    pub amount: Money,
    /// Up to this, in minor units, all releases may take that the account's figures do not
    /// know yet, this one with them; none where a person answers for it.
    pub most_minor: Option<i64>,
    /// What targets took before the minute of this time is in the account's figures.
    pub since: Instant,
}

/// A question for what releases took of a credit account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditQuery {
    /// Digest of the account.
    pub account: Digest,
    /// The currency of its figures.
    pub currency: Currency,
    /// As [`CreditReservation::since`].
    pub since: Instant,
}

/// Orders that wait, with what a target got or gets of them by one kind of message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingOrders {
    /// The target.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// Whether it is the order as it came, which stands in line; else it is word of it, of its own
    /// document, and the order is kept back.
    pub is_order: bool,
    /// How many.
    pub orders: u64,
    /// The sender's number of one of them.
    pub number: String,
}
