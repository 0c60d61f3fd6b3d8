//! Numbered interchanges: what a delivery is known by at its receiver, and what the receiver
//! says of having got it.
//!
//! The danger is a second number for one message: a receiver that knows what it got by its
//! number would take what was sent again for something new. So a delivery gets its number
//! once, before anything of it is sent, and keeps it however often it is tried.

use portreeve_model::{ChannelId, Instant, OrderId, SenderId};

use super::{Content, DocumentPosition, NewException, OutboxId};

/// How a delivery is to be numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    /// Whose number it is: each receiver's count from 1.
    pub partner: String,
    /// How long the receiver may take to say that it got it, in milliseconds from when the
    /// delivery is done; none where nobody waits for that.
    pub within_ms: Option<i64>,
}

/// What a delivery is known by at its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interchange {
    /// The receiver.
    pub partner: String,
    /// From 1.
    pub number: u64,
    /// When it got the number: the time that it carries, in each attempt.
    pub numbered_at: Instant,
    /// What the receiver said; none while it said nothing.
    pub answer: Option<InterchangeAnswer>,
}

/// What a receiver says of having got an interchange. It never says that it agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterchangeAnswer {
    /// It can be read.
    Accepted,
    /// It can be read, though something is wrong with it.
    AcceptedWithErrors,
    /// It cannot be used: as if it had not come.
    Rejected,
}

impl InterchangeAnswer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::AcceptedWithErrors, Self::Rejected];

    /// The word in tables, documents and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AcceptedWithErrors => "accepted-with-errors",
            Self::Rejected => "rejected",
        }
    }

    /// The answer of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|answer| answer.as_str() == word)
    }
}

/// A numbered delivery, as those see it who hear of it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterchangeView {
    /// Number and answer.
    pub interchange: Interchange,
    /// The document that brought the answer.
    pub said: Option<DocumentPosition>,
    /// The delivery.
    pub outbox: OutboxId,
    /// Its order.
    pub order: OrderId,
    /// The channel that the order came by.
    pub channel: ChannelId,
    /// Who sent the order.
    pub sender: SenderId,
    /// Its target.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// What it is made of.
    pub content: Content,
    /// Whether an attempt of it did not surely do nothing, so that there is something to answer.
    pub sent: bool,
    /// By when an answer was to be there; none where nobody waits, or it is not sent yet.
    pub due_at: Option<Instant>,
}

/// What a document says of a numbered delivery, of which something was sent: of another one
/// nothing is kept. One that was given up and is accepted falls due at once, to be settled as found,
/// and its exception is closed.
#[derive(Debug)]
pub struct NewAnswer {
    /// The receiver.
    pub partner: String,
    /// The number.
    pub number: u64,
    /// The order of that delivery.
    pub order: OrderId,
    /// What it says; none where it says no more than that something came.
    pub answer: Option<InterchangeAnswer>,
    /// What people have to know.
    pub exceptions: Vec<NewException>,
}
