//! Subscriptions: what a source tells of by itself for a while, and until when.
//!
//! The danger is an effect at somebody else's without a record, and a subscription that two hosts
//! renew at once. So the claim writes the leaf that it is going to be asked for, and of two that
//! claim one may ask.

use portreeve_model::{Digest, Instant};
use portreeve_record::Leaf;

use super::PollFailure;

/// How a subscription stands. It belongs to a poll, and has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionView {
    /// Names what it was asked for with: resource, address and secret.
    pub about: Digest,
    /// What the source calls it, and until when it holds, by the source's word; none where it never
    /// gave one for what it is asked for now.
    pub held: Option<HeldSubscription>,
    /// When it was last given or renewed.
    pub renewed_at: Option<Instant>,
    /// When it is to be renewed.
    pub due_at: Instant,
    /// Until when somebody asks for it; a time that is over where nobody does.
    pub leased_until: Instant,
    /// How often in a row that failed.
    pub failures: u32,
    /// Since when; none where it works.
    pub failing_since: Option<Instant>,
    /// The code of the last failure; none where it works.
    pub code: Option<String>,
}

impl SubscriptionView {
    /// Whether somebody is to ask for it now: at once where something else is wanted by now.
    #[must_use]
    pub fn is_due(&self, about: Digest, now: Instant) -> bool {
        (self.due_at <= now || self.about != about) && self.leased_until <= now
    }
}

/// A subscription that a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSubscription {
    /// What the source calls it.
    pub external_id: String,
    /// Until when it holds, by the source's word.
    pub until: Instant,
}

/// How asking for a subscription ended.
#[derive(Debug)]
pub struct SubscriptionEnd {
    /// When it is due again.
    pub due_at: Instant,
    /// What the source gave, or why it failed.
    pub outcome: Result<HeldSubscription, PollFailure>,
    /// Whether the poll is made at once: what was not told meanwhile was missed.
    pub wakes: bool,
    /// The leaf.
    pub leaf: Leaf,
}
