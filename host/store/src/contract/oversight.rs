//! What is counted to see how models and people get on with each other.

use portreeve_model::{Digest, ExceptionKind, Instant};

/// From one time to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// With this one.
    pub from: Instant,
    /// Without this one.
    pub until: Instant,
}

/// What became of a scorer's proposal when its order was decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeighedProposal {
    /// The scorer.
    pub plugin: String,
    /// Digest of its component.
    pub component: Digest,
    /// What it proposed: `hold`, `route`, `recommend`, or `unknown`.
    pub proposed: String,
    /// `granted`, `narrowed` or `refused`.
    pub outcome: String,
    /// What narrowed or refused it: the first clause of the grant that was not met, or the code
    /// where no clause was to be met; empty where it was granted.
    pub clause: String,
}

/// A model's hold about which a person decided, by the last decision about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedHold {
    /// Its number.
    pub hold: u64,
    /// The scorer.
    pub plugin: String,
    /// Digest of its component.
    pub component: Digest,
    /// `release-holds` where the person did what the model did not want; `confirmed` or `reject`
    /// where the person agreed.
    pub how: String,
    /// When it began.
    pub opened_at: Instant,
    /// When the person decided.
    pub at: Instant,
}

/// A step of an exception, as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTaken {
    /// Its number, by which steps follow each other.
    pub seq: u64,
    /// The exception.
    pub exception: u64,
    /// What the exception is about.
    pub kind: ExceptionKind,
    /// When the exception was opened.
    pub opened_at: Instant,
    /// When.
    pub at: Instant,
    /// The account; none where it was the host.
    pub who: Option<String>,
    /// What: `claimed`, `proposed`, `release-holds`, …
    pub step: String,
    /// Whose work it was.
    pub queue: String,
    /// From when on whoever took the step could look at it: since it was opened, since this
    /// person has it, or since it was proposed.
    pub since: Instant,
    /// Whether somebody has it whom nobody came before; only of `claimed` and `assigned`.
    pub is_first: bool,
}

/// Where a page of what is counted by time begins: after this time and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct After {
    /// The time.
    pub at: Instant,
    /// The number among those of that time.
    pub number: u64,
}

impl After {
    /// Everything from `at` on.
    #[must_use]
    pub fn from(at: Instant) -> Self {
        Self { at, number: 0 }
    }
}
