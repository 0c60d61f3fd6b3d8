//! What waits for a person, and what a person may decide about it: a closed vocabulary.
//!
//! An exception is everything that needs a person, whatever opened it; they wait in one queue
//! model. Which actions there are depends on the kind; who may take them is authority's.

/// What waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExceptionKind {
    /// An order that holds keep back, or that something failed about.
    Held,
    /// Something came about an order, or became of it, and nothing follows by itself.
    Order,
    /// The sender of an order wants it otherwise.
    Change,
    /// A document that could not be decided on.
    Document,
    /// An input of which nothing, or not all, could be made.
    Input,
    /// A delivery that was given up.
    Delivery,
    /// A plugin that is not called for a while, or not for somebody: it failed again and again.
    Plugin,
    /// A poll that fails again and again: nothing of its source comes in meanwhile.
    Poll,
    /// Two systems that do not say the same of something, or that could not be compared.
    Difference,
}

impl ExceptionKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Held,
        Self::Order,
        Self::Change,
        Self::Document,
        Self::Input,
        Self::Delivery,
        Self::Plugin,
        Self::Poll,
        Self::Difference,
    ];

    /// The word in the store, in records and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Order => "order",
            Self::Change => "change",
            Self::Document => "document",
            Self::Input => "input",
            Self::Delivery => "delivery",
            Self::Plugin => "plugin",
            Self::Poll => "poll",
            Self::Difference => "difference",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What a person may decide about it.
    #[must_use]
    pub fn actions(self) -> &'static [ExceptionAction] {
        use ExceptionAction::{
            Abandon, AcceptChange, ConfirmHolds, Correct, RefuseChange, Reject, ReleaseHolds, Reroute, Resubmit, Retry,
        };
        match self {
            Self::Held => &[ReleaseHolds, ConfirmHolds, Reject, Reroute],
            Self::Order => &[Reject, Reroute, Abandon],
            Self::Change => &[AcceptChange, RefuseChange, Reroute],
            Self::Document => &[Retry, Reroute, Abandon],
            Self::Input => &[Resubmit, Retry, Reroute, Abandon],
            Self::Delivery => &[Retry, Correct, Reroute, Abandon],
            Self::Plugin => &[Retry, Reroute, Abandon],
            // It is tried again by itself, and closes when it works.
            Self::Poll => &[Reroute, Abandon],
            // It closes by itself when the systems agree.
            Self::Difference => &[Reroute, Abandon],
        }
    }
}

/// What a person decides about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExceptionAction {
    /// End holds; the order goes where nothing else keeps it back.
    ReleaseHolds,
    /// The holds are right: the order stays, and gets another due time.
    ConfirmHolds,
    /// The order will never be delivered from here.
    Reject,
    /// Another queue's work.
    Reroute,
    /// A mended payload in place of the input's.
    Resubmit,
    /// The same again.
    Retry,
    /// The same again, with other words at some places of the message.
    Correct,
    /// Nothing will be done about it.
    Abandon,
    /// The change was carried out in the systems that have the order.
    AcceptChange,
    /// The order stays as it was.
    RefuseChange,
}

impl ExceptionAction {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ReleaseHolds,
        Self::ConfirmHolds,
        Self::Reject,
        Self::Reroute,
        Self::Resubmit,
        Self::Retry,
        Self::Correct,
        Self::Abandon,
        Self::AcceptChange,
        Self::RefuseChange,
    ];

    /// The word in requests, records and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReleaseHolds => "release-holds",
            Self::ConfirmHolds => "confirm-holds",
            Self::Reject => "reject",
            Self::Reroute => "reroute",
            Self::Resubmit => "resubmit",
            Self::Retry => "retry",
            Self::Correct => "correct",
            Self::Abandon => "abandon",
            Self::AcceptChange => "accept-change",
            Self::RefuseChange => "refuse-change",
        }
    }

    /// The action of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// Whether goods or money may move because of it, or never will: then tiers count.
    #[must_use]
    pub fn is_weighty(self) -> bool {
        match self {
            Self::ReleaseHolds
            | Self::Reject
            | Self::Resubmit
            | Self::Correct
            | Self::Abandon
            | Self::AcceptChange
            | Self::RefuseChange => true,
            Self::ConfirmHolds | Self::Reroute | Self::Retry => false,
        }
    }
}
