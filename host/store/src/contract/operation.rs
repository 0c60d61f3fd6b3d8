//! What is kept of how the host itself is run: records that are about no order, by their time, and
//! since when each channel and target is configured and in use.

use portreeve_model::Instant;

/// A record of a change of configuration or plugins, or of a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLeaf {
    /// Its number among all leaves, by which those of one time follow each other.
    pub number: u64,
    /// When it was committed, by the clock of whoever wrote it.
    pub at: Instant,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

/// What a part of a configuration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// Somebody sends by it.
    Channel,
    /// Something is delivered to it.
    Target,
}

impl PartKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Target => "target",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Channel, Self::Target].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A channel or a target that a configuration has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Which of the two.
    pub kind: PartKind,
    /// Its name.
    pub id: String,
}

/// How long it took until a part was in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartView {
    /// Which.
    pub part: Part,
    /// When the first configuration was activated that has it; none where it was in use before that
    /// was kept.
    pub configured_at: Option<Instant>,
    /// When the first input of a channel with documents was received, or a target had its first
    /// delivery; none before that.
    pub used_at: Option<Instant>,
}
