//! What the host itself knows of orders, for whoever compares it with what another system lists.

use portreeve_model::{ChannelId, Instant, OrderId};

use super::{OrderEventKind, PayloadRef, ProgressView};

/// Orders that one page of [`super::Store::orders_at`] looks at: no index knows which are not over,
/// since each event of an order would pay for it.
pub const ORDERS_LOOKED_AT_MAX: u32 = 20_000;

/// Which orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdersAtWanted {
    /// The target.
    pub target: String,
    /// The kind of message by which it gets an order.
    pub kind: String,
    /// Those by which it has orders with a block, where it does: one that it has so, and does not
    /// undo, it has.
    pub blocked: Option<BlockKinds>,
    /// Which of those that the host has.
    pub which: OrdersAt,
    /// Open ones that were decided from then on; any, where nothing is said.
    pub since: Option<Instant>,
    /// At most so many open ones.
    pub limit: u32,
}

/// The kinds of messages by which a target has orders with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockKinds {
    /// It makes one: of the order's own document.
    pub create: String,
    /// It goes on with it: the order as it came.
    pub clear: String,
    /// It undoes it: of the order's own document.
    pub cancel: String,
}

/// Which of the orders that the host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrdersAt {
    /// Those after this number that are not over and that the target has, or may get.
    Open(u64),
    /// These, as far as they are there, whatever became of them.
    These(Vec<OrderId>),
}

/// A part of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdersAtPage {
    /// In the order of their numbers.
    pub orders: Vec<OrderAt>,
    /// After which number it goes on; none where nothing is left to look at.
    pub next: Option<u64>,
}

/// An order, as far as it concerns a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderAt {
    /// The host's id.
    pub id: OrderId,
    /// The sender's number.
    pub number: String,
    /// The sealed canonical event.
    pub event: PayloadRef,
    /// The sealed canonical event of the change of it that people accepted last; none where they
    /// accepted none.
    pub agreed: Option<PayloadRef>,
    /// How far it is; none where no event moved it yet.
    pub progress: Option<ProgressView>,
    /// When something became of it last, people accepted a change of it, or it arrived at the target.
    pub changed_at: Instant,
    /// Whether something about it is on its way to the target, or may have arrived.
    pub is_under_way: bool,
    /// Whether the target took the order itself.
    pub is_there: bool,
}

/// Documents that one page of [`super::Store::said_at`] looks at.
pub const SAID_LOOKED_AT_MAX: u32 = 20_000;

/// Which events about orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidWanted {
    /// Of which kinds.
    pub kinds: Vec<OrderEventKind>,
    /// That came by these channels; by any, where there is none.
    pub channels: Vec<ChannelId>,
    /// The target that they are, or are to be, delivered to; none where nobody asks.
    pub target: Option<String>,
    /// Received from then on.
    pub since: Instant,
    /// Only documents before this place; the newest ones, where nothing is said.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// A part of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidPage {
    /// From the newest on.
    pub said: Vec<SaidAt>,
    /// Before which place it goes on; none where nothing is left to look at.
    pub before: Option<u64>,
}

/// An event about an order that counts, or waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidAt {
    /// The order.
    pub order: OrderId,
    /// What it is.
    pub kind: OrderEventKind,
    /// The sealed canonical event.
    pub event: PayloadRef,
    /// When its document was received.
    pub received_at: Instant,
    /// When it was decided, or arrived at the target.
    pub changed_at: Instant,
    /// Whether it is on its way to the target, or may have arrived.
    pub is_under_way: bool,
}
