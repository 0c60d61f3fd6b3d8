//! Polls: where each one is in its source, when it is due, and how it goes.
//!
//! The danger is a cursor that moves without what it passed: those documents are asked for
//! never again. So a cursor commits with what the poll brought, or not at all, and only from
//! where the poll began: of two that began at one cursor the second changes nothing.

use portreeve_model::{Digest, Instant};
use portreeve_record::Leaf;

use super::NewException;

/// Where a poll is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollView {
    /// What its connector said last that it stopped at; none where it said nothing yet.
    pub cursor: Option<Vec<u8>>,
    /// When it is due.
    pub due_at: Instant,
    /// Until when somebody polls; a time that is over where nobody does.
    pub leased_until: Instant,
    /// How often in a row it failed.
    pub failures: u32,
    /// Since when; none where it works.
    pub failing_since: Option<Instant>,
    /// The code of the last failure; none where it works.
    pub code: Option<String>,
    /// When it last ended well; none where it never did.
    pub worked_at: Option<Instant>,
    /// When its cursor last moved; none where it never did.
    pub moved_at: Option<Instant>,
}

impl PollView {
    /// Whether somebody is to poll now.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.due_at <= now && self.leased_until <= now
    }
}

/// What commits with the documents of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledChange {
    /// The new cursor; none keeps the one that there is.
    pub cursor: Option<Vec<u8>>,
    /// What the connector remembers: key and new value; none forgets the key.
    pub state: Vec<(String, Option<Vec<u8>>)>,
    /// When it is due again.
    pub due_at: Instant,
    /// Names what the source said, by which the next poll knows whether it says the same.
    pub said: Digest,
}

/// How a poll ended that brought nothing.
#[derive(Debug)]
pub struct PollEnd {
    /// When it is due again. One that was woken meanwhile is due at once, unless it failed or the host held
    /// it back: what woke it is found when it goes on.
    pub due_at: Instant,
    /// Why it failed; none where there was nothing, or nobody was asked and nobody is to hear of it.
    pub failure: Option<PollFailure>,
    /// Names what the source said where it did not fail, be it nothing or the same again; none where
    /// nobody was asked, since the host held it back. Its failures, and what people were told of them,
    /// are then as they were.
    pub said: Option<Digest>,
    /// Needed where people are told that it fails, or where they were told and it works again.
    pub leaf: Option<Leaf>,
}

/// A poll that failed.
#[derive(Debug)]
pub struct PollFailure {
    /// A stable code.
    pub code: String,
    /// What people are told, the first time that they are. It is closed when the poll works again.
    pub exception: Option<NewException>,
}
