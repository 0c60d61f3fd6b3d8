//! Exceptions: everything that waits for a person, in one queue model. Opened by the road,
//! worked on step by step, and closed by what a person decided or by what became of it.

use portreeve_model::{ChannelId, Digest, ExceptionAction, ExceptionKind, Instant, OrderId, PluginName};
use portreeve_record::Leaf;

use super::{Disposition, DocumentPosition, InputId, JournalEntry, NewOutbox, NewPayload, OutboxId, PayloadRef};

/// Something for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewException {
    /// What it is, and so what a person may decide.
    pub kind: ExceptionKind,
    /// Stage: `accept`, `decide`, `deliver`, or `plugin` where it is about none of them alone.
    pub stage: &'static str,
    /// Stable code.
    pub code: String,
    /// One sentence without personal data.
    pub detail: String,
    /// The queue that works on it.
    pub queue: String,
    /// By when it is to be decided; then others hear of it. None: whenever.
    pub due_at: Option<Instant>,
}

/// An exception as people see it, open or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionView {
    /// From 1.
    pub id: u64,
    /// What it is.
    pub kind: ExceptionKind,
    /// The order, where there is one.
    pub order: Option<OrderId>,
    /// The sender's number of the order.
    pub order_number: Option<String>,
    /// The stage that failed.
    pub stage: String,
    /// Stable code.
    pub code: String,
    /// One sentence.
    pub detail: String,
    /// The queue.
    pub queue: String,
    /// The channel of its order; of what is about no order, that by which it came. None where it is
    /// about neither.
    pub channel: Option<ChannelId>,
    /// The target of the delivery that it is about, be it the end of that or what was heard of it since.
    pub target: Option<String>,
    /// When it was opened.
    pub opened_at: Instant,
    /// By when it is to be decided.
    pub due_at: Option<Instant>,
    /// When others were told, since nobody had decided.
    pub escalated_at: Option<Instant>,
    /// Who works on it, and since when.
    pub claimed: Option<(String, Instant)>,
    /// How often it changed, by its steps and by what became of what it is about: each write about
    /// it is made on the last change that was seen.
    pub revision: u64,
    /// How it ended; none while it is open.
    pub closed: Option<ClosedException>,
}

/// How an exception ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedException {
    /// When.
    pub at: Instant,
    /// The account that decided; none where it closed with what it was about.
    pub who: Option<String>,
    /// The action, or `cleared`.
    pub how: String,
}

/// All there is of an exception.
#[derive(Debug, Clone)]
pub struct ExceptionTrail {
    /// The exception.
    pub exception: ExceptionView,
    /// What it is about.
    pub about: ExceptionAbout,
    /// Its steps, oldest first, at most [`STEPS_SHOWN_MAX`] of the latest.
    pub steps: Vec<StepView>,
    /// What somebody proposed and nobody ended yet.
    pub proposal: Option<ProposalView>,
}

/// Steps that an exception's story shows.
pub const STEPS_SHOWN_MAX: u32 = 200;

/// Changes of an exception after which people may do nothing but decide it: propose, agree and
/// carry out. Whoever hands one round a thousand times does not work on it. From the last one on
/// it is claimed by nobody.
pub const STEPS_MAX: u64 = 1_000;

/// What an exception is about, beside its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExceptionAbout {
    /// The input, with its sealed bytes.
    pub input: Option<(InputId, PayloadRef)>,
    /// What the input amounts to.
    pub disposition: Option<Disposition>,
    /// The document, where it is about one or about the order of one.
    pub document: Option<DocumentPosition>,
    /// The delivery that was given up: its state, attempts and replays so far.
    pub delivery: Option<DeliveryAbout>,
    /// Accounts that made the input what it is: who mended it.
    pub makers: Vec<String>,
    /// The plugin that is not called.
    pub plugin: Option<PauseAbout>,
}

impl ExceptionAbout {
    /// Whether a connector has read the input, and its sender heard what is wrong with it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.disposition, Some(Disposition::Documents | Disposition::Rejected)) && self.delivery.is_none()
    }
}

/// The delivery of an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAbout {
    /// Its id.
    pub outbox: OutboxId,
    /// The target system.
    pub target: String,
    /// `pending`, `withheld`, `delivered`, `dead` or `abandoned`.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// How often people had it tried again.
    pub replays: u32,
}

/// A plugin that is not called for a while, or not for one cause, as a person is to hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPause {
    /// The plugin.
    pub plugin: PluginName,
    /// Its component.
    pub component: Digest,
    /// Of which export and for whom; none where it is all calls.
    pub cause: Option<String>,
    /// Stable code of how the last call failed.
    pub failure: String,
    /// When a call is tried.
    pub until: Instant,
    /// What waits for a person, where nothing about this pause does yet.
    pub exception: NewException,
}

/// The pause of a plugin, of an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseAbout {
    /// The plugin.
    pub plugin: PluginName,
    /// Its component.
    pub component: Digest,
    /// Of which export and for whom; none where it is all calls.
    pub cause: Option<String>,
    /// Stable code of how the last call failed.
    pub failure: String,
    /// Pauses in a row: each but the first after a call that was tried in vain.
    pub pauses: u32,
    /// Until when the last one lasts, or lasted.
    pub until: Instant,
}

/// A step in the life of an exception, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepView {
    /// When.
    pub at: Instant,
    /// The account; none where it was the host.
    pub who: Option<String>,
    /// What: `claimed`, `commented`, `proposed`, …
    pub step: String,
    /// To whom or where, where a step has that: an account, a queue.
    pub to: Option<String>,
    /// The sealed words of the person.
    pub record: Option<PayloadRef>,
}

/// What somebody proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalView {
    /// Digest of the exact action and of what was shown.
    pub digest: Digest,
    /// What.
    pub action: ExceptionAction,
    /// The sealed action.
    pub record: PayloadRef,
    /// Who.
    pub by: String,
    /// When.
    pub at: Instant,
    /// Until when it can be approved.
    pub expires_at: Instant,
    /// How many others have to agree.
    pub approvals_needed: u8,
    /// Who agreed so far.
    pub approved_by: Vec<String>,
}

/// A write about an exception.
#[derive(Debug)]
pub struct NewStep {
    /// The exception.
    pub exception: u64,
    /// Its revision when somebody looked.
    pub revision: u64,
    /// When.
    pub at: Instant,
    /// The account; none where it is the host.
    pub who: Option<String>,
    /// From when on whoever takes the step could look at it.
    pub since: Instant,
    /// What happens.
    pub change: ExceptionChange,
    /// The sealed words of the person.
    pub record: Option<NewPayload>,
    /// What the host says of an order that is rejected, or of which a change is answered.
    pub says: Option<Saying>,
    /// The step's leaf.
    pub leaf: Leaf,
}

/// What the host says of an order with a step.
#[derive(Debug)]
pub struct Saying {
    /// An input, which is journaled with the step.
    pub word: Box<JournalEntry>,
    /// Whether somebody hears it. Otherwise it is said where a payment for the order was said
    /// before, whose money somebody has to see to, and not at all where none was.
    pub is_heard: bool,
}

/// What a step changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExceptionChange {
    /// Somebody works on it.
    Claimed,
    /// Whoever worked on it does not any more.
    GivenBack,
    /// Somebody else works on it.
    Assigned {
        /// The account.
        to: String,
    },
    /// Somebody says something.
    Commented,
    /// Another queue's work, and nobody's in it yet.
    Rerouted {
        /// The queue.
        queue: String,
        /// By when it is to be decided there.
        due_at: Option<Instant>,
    },
    /// Nobody decided in time, and others hear of it.
    Escalated {
        /// Whose work it is from now on, if another queue's.
        queue: Option<String>,
    },
    /// What keeps it is right: it stays, with another due time.
    Confirmed {
        /// By when somebody looks again.
        due_at: Option<Instant>,
    },
    /// Somebody wants something done, and others have to agree first.
    Proposed(NewProposal),
    /// Somebody agrees, and it takes more: whoever is the last one resolves it.
    Approved {
        /// The proposal.
        proposal: Digest,
    },
    /// A proposal ended without being carried out.
    ProposalEnded {
        /// `expired`, `stale`, `refused` or `withdrawn`.
        how: &'static str,
        /// The proposal.
        proposal: Digest,
    },
    /// It is decided, and what was decided is carried out in the same transaction.
    Resolved(Resolution),
    /// The pause that it is about is over, since whoever paused the plugin is: it is closed.
    Cleared,
}

/// A proposal to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProposal {
    /// Digest of the exact action and of what was shown.
    pub digest: Digest,
    /// What.
    pub action: ExceptionAction,
    /// Until when it can be approved.
    pub expires_at: Instant,
    /// How many others have to agree.
    pub approvals_needed: u8,
}

/// What a decision of a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// What was decided.
    pub action: ExceptionAction,
    /// The proposal that it carries out; whoever takes the step agreed last.
    pub proposal: Option<Digest>,
    /// What happens beside it.
    pub effect: Effect,
}

/// What happens when an exception is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is closed, and nothing else.
    Close,
    /// The order will never be delivered from here.
    RejectOrder {
        /// One line: why.
        why: String,
        /// What systems that have it with a block are sent, by which they undo it: made of the
        /// order's own document, since the order goes nowhere.
        outbox: Vec<NewOutbox>,
    },
    /// The delivery is due again, and the target is asked first.
    ReplayDelivery,
    /// The same, and its message is sent with what the step's record says, this time and each later
    /// one; what an earlier step said of it counts no more.
    CorrectDelivery,
    /// The delivery never happens.
    AbandonDelivery,
    /// The document is undecided again: in its turn, where another one of its key is undecided.
    DecideAgain,
    /// It stays open: what a review does about holds is written with it.
    ReviewHolds,
    /// Somebody hears what became of a change of the order.
    AnswerChange {
        /// What is delivered of what the exception's document said.
        outbox: Vec<NewOutbox>,
    },
}

impl ExceptionChange {
    /// Whether it decides, or helps to: then no number of steps stands in its way.
    #[must_use]
    pub fn decides(&self) -> bool {
        match self {
            Self::Proposed(_)
            | Self::Approved { .. }
            | Self::ProposalEnded { .. }
            | Self::Resolved(_)
            | Self::Cleared => true,
            Self::Claimed
            | Self::GivenBack
            | Self::Assigned { .. }
            | Self::Commented
            | Self::Rerouted { .. }
            | Self::Escalated { .. }
            | Self::Confirmed { .. } => false,
        }
    }

    /// The word of the step.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::GivenBack => "given-back",
            Self::Assigned { .. } => "assigned",
            Self::Commented => "commented",
            Self::Rerouted { .. } => "rerouted",
            Self::Escalated { .. } => "escalated",
            Self::Confirmed { .. } => "confirmed",
            Self::Proposed(_) => "proposed",
            Self::Approved { .. } => "approved",
            Self::ProposalEnded { how, .. } => how,
            Self::Resolved(resolution) => resolution.action.as_str(),
            Self::Cleared => CLEARED,
        }
    }
}

/// How an exception ended that nobody decided about: what it was about went away.
pub const CLEARED: &str = "cleared";

/// Which exceptions.
#[derive(Debug, Clone, Default)]
pub struct ExceptionsWanted {
    /// Only those of these queues; empty means all.
    pub queues: Vec<String>,
    /// Only those of orders of this customer that are kept back, by the digest under which its
    /// orders are known.
    pub customer: Option<Digest>,
    /// Only those of this kind.
    pub kind: Option<ExceptionKind>,
    /// Only those with a higher number.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}
