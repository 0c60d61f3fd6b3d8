//! How much there is of items, as their warehouses say.
//!
//! A level is a state and not a change: a later one takes the place of an earlier one, whether
//! somebody was told of that or not. So the store keeps the newest level of each item by the
//! time that its warehouse gives it, whatever came first, and of those that are still to be told
//! only the newest.

use portreeve_model::{Digest, Instant, ItemId};

use super::{DocumentPosition, NewOutbox};

/// What became of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LevelOutcome {
    /// It counts: none is later.
    Applied,
    /// It was said before, in the same words.
    Again,
    /// A later one counts already.
    Outdated,
}

impl LevelOutcome {
    /// The word in tables and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Again => "again",
            Self::Outdated => "outdated",
        }
    }
}

/// The newest level of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemStanding {
    /// When it stood so, by the clock of whoever counts.
    pub as_of: Instant,
    /// Digest of what was said of it.
    pub said: Digest,
    /// The document that said so.
    pub position: DocumentPosition,
}

/// A level with everything that its decision causes.
#[derive(Debug)]
pub struct NewLevel {
    /// The item at its node.
    pub item: ItemId,
    /// What it is called.
    pub sku: String,
    /// Where it lies.
    pub node: String,
    /// When it stood so, by the clock of whoever counts.
    pub as_of: Instant,
    /// Digest of what is said of it.
    pub said: Digest,
    /// What became of it.
    pub outcome: LevelOutcome,
    /// The document with the level that counted when this was decided; none before the first.
    pub after: Option<DocumentPosition>,
    /// Commitment of the sealed event.
    pub event: Digest,
    /// Fingerprint of what was decided.
    pub fingerprint: Digest,
    /// Who is told, each of [`super::Content::Level`] of the document.
    pub outbox: Vec<NewOutbox>,
}
