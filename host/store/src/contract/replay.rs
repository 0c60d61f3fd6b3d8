//! What a target took, and what of it is sent again because the target lost it.
//!
//! A replay makes no new delivery: the row that was delivered is due once more, under its own id,
//! so whoever is asked, or counts by keys, knows it again. Two rows of one effect would each
//! believe that the effect is theirs.

use portreeve_model::{ChannelId, Digest, Instant, OrderId, ProcessState};
use portreeve_record::Leaf;

use super::{Content, NewPayload, OrderEventKind, OrderState, OutboxId, PayloadRef};

/// Rows of the outbox that one page of [`super::Store::delivered`] looks at: no index knows when a
/// delivery was done, since each delivery would pay for it, and people ask for this rarely. To look
/// through 100,000 rows takes 14 ms (2 with such an index), through a million 0.2 s.
pub const LOOKED_AT_MAX: u32 = 50_000;

/// Which deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredWanted {
    /// The target.
    pub target: String,
    /// The channel that the orders came by; any, where none is named.
    pub channel: Option<ChannelId>,
    /// The kind of message; any, where none is named.
    pub kind: Option<String>,
    /// Done from then on.
    pub since: Instant,
    /// And before then.
    pub until: Instant,
    /// Only rows after this one.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// A part of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredPage {
    /// In the order in which they were decided.
    pub deliveries: Vec<Delivered>,
    /// After which row it goes on; none where nothing is left to look at.
    pub next: Option<u64>,
}

/// A delivery that its target took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its place in the outbox.
    pub row: u64,
    /// Its id.
    pub outbox: OutboxId,
    /// The order.
    pub order: OrderId,
    /// The sender's number of the order.
    pub number: String,
    /// The channel that the order came by.
    pub channel: ChannelId,
    /// The target.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// What it is made of.
    pub content: Content,
    /// What was said of the order, where that is delivered as an event about it; none where it is
    /// the order itself.
    pub said: Option<OrderEventKind>,
    /// When it was done.
    pub taken_at: Instant,
    /// The target's identifier.
    pub external_id: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// How often people had it sent again.
    pub replays: u32,
    /// Where decisions put the order.
    pub state: OrderState,
    /// Whether its sender asked to cancel the order.
    pub cancel_requested: bool,
    /// How far the order is; none where no event moved it yet.
    pub process: Option<ProcessState>,
    /// Whether what is delivered can still be read.
    pub readable: bool,
    /// Whether its receiver said of its number that it cannot use it.
    pub rejected: bool,
    /// Whether it tells a change that was agreed on, and a later one of its order was agreed on since.
    pub overtaken: bool,
}

/// Deliveries that are to be sent again.
#[derive(Debug)]
pub struct NewReplay {
    /// Digest of what was shown. A replay is known by it: another one with it is the same.
    pub digest: Digest,
    /// Which deliveries were asked for.
    pub wanted: DeliveredWanted,
    /// The deliveries, with the leaves that let them go.
    pub parts: Vec<ReplayPart>,
    /// The account.
    pub who: String,
    /// When.
    pub at: Instant,
    /// The sealed words of the person.
    pub record: NewPayload,
}

/// As many deliveries of a replay as one leaf names.
#[derive(Debug)]
pub struct ReplayPart {
    /// As they were shown.
    pub deliveries: Vec<Delivered>,
    /// The leaf that names each of them.
    pub leaf: Leaf,
}

/// A replay as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayView {
    /// From 1.
    pub number: u64,
    /// Digest of what was shown.
    pub digest: Digest,
    /// The target.
    pub target: String,
    /// The channel that the orders came by; any, where none was named.
    pub channel: Option<ChannelId>,
    /// The kind of message; any, where none was named.
    pub kind: Option<String>,
    /// The target had taken them from then on.
    pub since: Instant,
    /// And before then.
    pub until: Instant,
    /// When it was decided.
    pub at: Instant,
    /// The account that decided.
    pub who: String,
    /// The sealed words of the person.
    pub record: PayloadRef,
    /// How many deliveries it is of.
    pub deliveries: u64,
    /// Those of them that are done by now.
    pub done: u64,
    /// Those that wait for a person.
    pub dead: u64,
}
