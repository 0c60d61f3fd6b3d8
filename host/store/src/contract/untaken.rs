//! Inputs of authenticated senders of which nothing was taken, for whoever wants to see what came; and
//! where the bytes of any input are.

use portreeve_model::{ChannelId, Instant};

use super::{Disposition, InputId, PayloadRef};

/// Why nothing was taken: each disposition but [`Disposition::Documents`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Untaken {
    /// The connector refused it with a protocol answer.
    Rejected,
    /// The connector failed; an exception says why.
    Unparsed,
    /// The host refused it.
    Refused,
}

impl Untaken {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rejected, Self::Unparsed, Self::Refused];

    /// The word in records and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let disposition = match self {
            Self::Rejected => Disposition::Rejected,
            Self::Unparsed => Disposition::Unparsed,
            Self::Refused => Disposition::Refused,
        };
        disposition.as_str()
    }

    /// Reads that word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|untaken| untaken.as_str() == text)
    }
}

/// Which of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UntakenWanted {
    /// Only those; all, where nothing is named.
    pub how: Option<Untaken>,
    /// Only those of this channel.
    pub channel: Option<ChannelId>,
    /// Only those that were received from then on.
    pub since: Option<Instant>,
    /// Only those with a higher number.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntakenInput {
    /// Its number among all inputs, in the order in which they were journaled.
    pub number: u64,
    /// Its id.
    pub id: InputId,
    /// The channel.
    pub channel: ChannelId,
    /// The authenticated sender.
    pub sender: String,
    /// When it was received.
    pub received_at: Instant,
    /// Why nothing was taken.
    pub how: Untaken,
    /// Its bytes.
    pub content: PayloadRef,
    /// The bytes of the leaf that it came with.
    pub leaf: Vec<u8>,
    /// The first exception about the whole of it, with its sentence.
    pub exception: Option<(u64, String)>,
    /// When its content was removed, since its retention had ended.
    pub forgotten_at: Option<Instant>,
}

/// Where the bytes of an input are, whether something of it was taken or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputContent {
    /// The channel.
    pub channel: ChannelId,
    /// Its bytes.
    pub content: PayloadRef,
    /// When they were removed, since their retention had ended.
    pub forgotten_at: Option<Instant>,
}
