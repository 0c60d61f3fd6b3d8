//! Messages that have to go out by a time, such as an 855 within a day of its order.
//!
//! The danger is what nobody wrote: an order that waits somewhere has no delivery yet that could be
//! late. So what is waited for follows from the order, or from what was said of it, and what goes out
//! only ends the waiting.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{ChannelId, Instant, OrderId};

use super::OrderEventKind;

/// Which messages have to go out, and by when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRule {
    /// Its name: how far it has looked is kept under that.
    pub name: String,
    /// The target.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// From what it counts.
    pub after: DueAfter,
    /// Whether an event that waits for its turn has its time run already: only where the message surely
    /// follows when that comes. Of what counts from the order nothing waits for a turn.
    pub while_early: bool,
    /// The channels that the orders came by; any, where there is none.
    pub channels: BTreeSet<ChannelId>,
    /// Milliseconds from when the host received that.
    pub within_ms: i64,
    /// The same for orders of single partners.
    pub partners_ms: BTreeMap<String, i64>,
}

/// From what the time of a message counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueAfter {
    /// From the order: any message of the kind about it is the one.
    Order,
    /// From this being said of it, each time that it has the message follow: the message that is made
    /// of it is the one.
    Event(OrderEventKind),
}

impl DueRule {
    /// How long a message about an order of this channel and partner may take; none where it is not
    /// waited for.
    #[must_use]
    pub fn within_ms(&self, channel: &str, partner: &str) -> Option<i64> {
        let is_of = self.channels.is_empty() || self.channels.iter().any(|known| known.as_str() == channel);
        is_of.then(|| self.partners_ms.get(partner).copied().unwrap_or(self.within_ms))
    }
}

/// A message that did not go out in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateMessage {
    /// Its number among those that are waited for; never another one's.
    pub number: u64,
    /// Its order.
    pub order: OrderId,
    /// What the sender calls it.
    pub order_number: String,
    /// The partner by whom the order came.
    pub partner: String,
    /// The target.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// By when it was to go out.
    pub due_at: Instant,
    /// Whether it went out since.
    pub sent: bool,
}
