//! What the host relies on, whatever keeps it.
//!
//! ```text
//!   journal ──▶ undecided ──▶ commit_decision ──▶ claim ──▶ begin_attempt ──▶ settle
//!   one tx       read           one tx             one tx     one tx           one tx
//!      └── leaf ──────────────── leaf ───────────────────────── leaf ─────────── leaf ──▶ unsequenced ──▶ append_sequenced
//! ```
//!
//! **Durability.** When a write returns `Ok`, it survives the loss of the process
//! and of the machine's power. When it returns [`StoreError::Unknown`], it may or
//! may not have persisted: the caller reads before it writes again, or repeats it as
//! the method's *Retry* says. After any other error nothing of the write persisted.
//!
//! **Atomicity.** A write's rows and its leaf are one transaction, also where a group
//! of writes shares one: a write that fails undoes itself and none of its neighbours.
//!
//! **Ordering.** Documents get ascending positions in commit order; a reader that
//! saw position *n* will never later see a lower position appear, but for one that a
//! person has decided on again. Leaves are handed to the sequencer in commit order.
//!
//! **Concurrency.** Every method may be called from any task. Claims are
//! exclusive until their lease ends; a holder whose lease has passed to another
//! gets [`StoreError::LeaseLost`] and has changed nothing. Opening a store ends the
//! claims that the same host made before: whoever made them lives no more.
//!
//! **Retry.** Repeating a write that persisted changes nothing: most know their natural
//! key or the state that they expect, and the others their leaf: the same write with a
//! leaf that the log has already is there already, and another write with that leaf is
//! refused. A proof that went into a write is used up by it,
//! whatever it answers: after [`StoreError::Unknown`] the delivery is claimed again.
//!
//! **Reads** change nothing, may be repeated at will and wait for no writer. Each sees
//! one committed state, and in it everything that was acknowledged before it began.
//! Lists are in the order that the method names, and pages continue after the last
//! row seen: what is written meanwhile is neither shown twice nor left out.
//!
//! **Bounds.** Reads take a limit. When the writer's queue is full, a new input fails
//! with [`StoreError::Busy`] at once and the front door answers 429; writes of accepted
//! work wait their turn.
//!
//! What stands here and at the methods is what `conformance` tries, in every
//! implementation, with both faults of each write.

mod due;

mod exception;

mod interchange;

mod kept_back;

mod known;

mod level;

mod measure;

mod oversight;

mod notice;

mod operation;

mod person;

mod poll;

mod subscription;

mod progress;

mod reconcile;

mod replay;

mod untaken;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use portreeve_model::document::Span;
use portreeve_model::reference::Row;
use portreeve_model::{
    ChannelId, Currency, Digest, Instant, ItemId, Matter, Money, OrderId, PersonName, PluginName, Reply, SenderId,
    ShareCeiling,
};
use portreeve_record::{Leaf, PayloadKey, SealError, Sealed};

use crate::proof::{Attempt, Committed, FirstDocument, Journaled, Permit, PollPermit, Settled, SubscriptionPermit};
pub use due::{DueAfter, DueRule, LateMessage};
pub use exception::{
    CLEARED, ClosedException, DeliveryAbout, Effect, ExceptionAbout, ExceptionChange, ExceptionTrail, ExceptionView,
    ExceptionsWanted, NewException, NewPause, NewProposal, NewStep, PauseAbout, ProposalView, Resolution, STEPS_MAX,
    STEPS_SHOWN_MAX, Saying, StepView,
};
pub use interchange::{Interchange, InterchangeAnswer, InterchangeView, NewAnswer, Numbering};
pub use kept_back::{ClosedHold, CreditQuery, CreditReservation, Kept, KeptBack, NewReview, ReviewView, WaitingOrders};
pub use known::{
    BlockKinds, ORDERS_LOOKED_AT_MAX, OrderAt, OrdersAt, OrdersAtPage, OrdersAtWanted, SAID_LOOKED_AT_MAX, SaidAt,
    SaidPage, SaidWanted,
};
pub use level::{ItemStanding, LevelOutcome, NewLevel};
pub use measure::{DeliveryMade, ExceptionsOfOrder, MeasuredOrder, SaidOfOrder};
pub use notice::{Happened, Happening, NoticePlace};
pub use operation::{OperationLeaf, Part, PartKind, PartView};
pub use oversight::{After, JudgedHold, Period, StepTaken, WeighedProposal};
pub use person::{
    Credential, CredentialKind, KEYS_MAX, NewCredential, NewPersonChange, PasswordHash, Person, PersonChange,
    PersonView, Presented, SESSIONS_MAX,
};
pub use poll::{PollEnd, PollFailure, PollView, PolledChange};
pub use progress::{
    CaughtUp, EARLY_EVENT, EARLY_MAX, EarlyEvent, EventOutcome, NewOrderEvent, NewProgress, OrderEventKind,
    OrderEventView, OrderName, OrderOrigin, OrderStanding, ProgressView, Stop,
};
pub use reconcile::{Figures, Finding, NewFinding, NewRun, ReconciliationView, StandingFinding};
pub use replay::{Delivered, DeliveredPage, DeliveredWanted, LOOKED_AT_MAX, NewReplay, ReplayPart, ReplayView};
pub use subscription::{HeldSubscription, SubscriptionEnd, SubscriptionView};
pub use untaken::{InputContent, Untaken, UntakenInput, UntakenWanted};

/// A document's place in the journal, from 1, without order across stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentPosition(pub u64);

/// An input: derived from channel, sender and content, so that the same request
/// has the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputId(pub Digest);

impl InputId {
    /// Derives the id.
    #[must_use]
    pub fn derive(channel: &ChannelId, sender: &SenderId, content: Digest) -> Self {
        Self(Digest::of_parts(&[channel.as_str().as_bytes(), sender.as_str().as_bytes(), content.as_bytes()]))
    }
}

/// An outbox row: one effect of one order, or one level of an item, on one target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub String);

impl OutboxId {
    /// Derives the id; it is also the delivery's idempotency key. It names what is delivered
    /// by its place in the journal and not by a number of the sender's: records keep a
    /// digest of it, which outlives what the sender said.
    #[must_use]
    pub fn derive(matter: impl Into<Matter>, target: &str, kind: &str, content: Content) -> Self {
        let matter = matter.into();
        Self(match content {
            Content::Order => format!("{matter}/{target}/{kind}"),
            Content::Said(position) | Content::Level(position) => format!("{matter}/{target}/{kind}/{}", position.0),
        })
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting to be written.
    #[error("the store's queue of {queued} writes is full; try again shortly")]
    Busy {
        /// How many writes may wait.
        queued: usize,
    },
    /// Whoever writes is gone, as after a panic. Nothing was written, nor is anything until
    /// the store is opened again.
    #[error(
        "the store's writer thread has ended, and nothing is written any more; restart the host and look into its log for why"
    )]
    WriterEnded,
    /// The claim passed to another worker, or the delivery is withheld.
    #[error("the lease on delivery `{outbox}` passed to another worker, or its order is withheld; this one stops")]
    LeaseLost {
        /// The outbox row.
        outbox: String,
    },
    /// Other decisions used a budget up after this one had looked at it.
    #[error(
        "found the budget of `{plugin}` used up by decisions that came first, expected what was left when this one was weighed; it is decided again with what is left now"
    )]
    BudgetSpent {
        /// Whose budget.
        plugin: PluginName,
    },
    /// Other releases used a credit account up after this one had looked at it.
    #[error(
        "found the credit of the customer's account used up by orders that were released first, expected what was left when this one was decided; it is decided again with what is left now"
    )]
    CreditSpent,
    /// Something else happened to an order that is kept back, while somebody looked at it.
    #[error("order {order} changed while it was looked at; look at what keeps it back now and try again")]
    OrderMoved {
        /// The order.
        order: OrderId,
    },
    /// Another event moved the order meanwhile.
    #[error("order {order} was moved by another event while this one was decided; it is decided again")]
    ProgressMoved {
        /// The order.
        order: OrderId,
    },
    /// Another level of the item was decided meanwhile.
    #[error("another level of item {item} was decided while this one was; it is decided again")]
    LevelMoved {
        /// The item.
        item: ItemId,
    },
    /// A decision about the same order was not committed, and this one comes after it.
    #[error("an earlier decision about order {order} was not committed; this one is made after it")]
    OrderWaits {
        /// The order.
        order: OrderId,
    },
    /// Somebody else asked for a subscription since.
    #[error(
        "the subscription of poll `{poll}` passed to somebody else while it was asked for; it is looked up and asked for again"
    )]
    SubscriptionMoved {
        /// The poll.
        poll: String,
    },
    /// Another poll was faster, or this one took longer than its lease.
    #[error("poll `{poll}` passed to somebody else while it was under way; what it brought is asked for again")]
    PollMoved {
        /// The poll.
        poll: String,
    },
    /// The exception is not one of a delivery that waits for a person.
    #[error("exception {exception} is no open dead letter; `portreeve dead-letter list` names them")]
    NotDead {
        /// Its number.
        exception: u64,
    },
    /// There is no such exception.
    #[error("there is no exception {exception}; `portreeve exception list` names those that wait")]
    NoException {
        /// Its number.
        exception: u64,
    },
    /// Nothing can be done about it any more.
    #[error("exception {exception} is closed already: {how}{}", by_whom(who.as_deref()))]
    ExceptionClosed {
        /// Its number.
        exception: u64,
        /// The action, or `cleared`.
        how: String,
        /// The account; none where it closed with what it was about.
        who: Option<String>,
    },
    /// Another run of a reconciliation was committed, while this one asked its systems.
    #[error("another run of reconciliation `{reconciliation}` was faster than this one, of which nothing was kept")]
    ReconciliationMoved {
        /// Which.
        reconciliation: String,
    },
    /// Something else happened to it, while somebody looked at it.
    #[error("exception {exception} changed while it was looked at; look at it again and try again")]
    ExceptionMoved {
        /// Its number.
        exception: u64,
    },
    /// It was handed round too often.
    #[error("exception {exception} has {steps} steps, and takes no more but a decision; decide it")]
    StepsSpent {
        /// Its number.
        exception: u64,
        /// How many it may have.
        steps: u64,
    },
    /// The order of a delivery is to be cancelled.
    #[error("the sender asked to cancel the order of delivery `{outbox}`; abandon it, and see the order's exceptions")]
    CancelRequested {
        /// The outbox row.
        outbox: String,
    },
    /// A delivery was replayed too often.
    #[error("delivery `{outbox}` was replayed {replays} times; abandon it, or enter it into the target by hand")]
    ReplaysSpent {
        /// The outbox row.
        outbox: String,
        /// How often.
        replays: u32,
    },
    /// Something else happened to a delivery that was to be sent again.
    #[error("delivery `{outbox}` changed while it was looked at; look at all of them again and try again")]
    DeliveryMoved {
        /// The outbox row.
        outbox: String,
    },
    /// The active configuration is another one than the caller built on.
    #[error(
        "configuration {found} became active meanwhile, and this was built on {expected}; look at it and try again"
    )]
    ConfigurationMoved {
        /// The version that the caller read.
        expected: u64,
        /// The active one; 0 for none.
        found: u64,
    },
    /// A component that was never installed.
    #[error("no package with digest `{0}` is installed; `portreeve plugin list` shows those that are")]
    UnknownPackage(Digest),
    /// There is no such account.
    #[error("there is no account `{0}`; `portreeve person list` shows those that there are")]
    UnknownPerson(PersonName),
    /// There is such an account already.
    #[error("there is an account `{0}` already, and each name is one person's for good; choose another name")]
    PersonExists(PersonName),
    /// An account that was to be the first one is not.
    #[error("there are accounts already, so another one is made by somebody who administers; say who, with --as NAME")]
    NotTheFirstPerson,
    /// Something else happened to an account, while somebody looked at it.
    #[error("account `{0}` changed while it was looked at; look at it again and try again")]
    PersonMoved(PersonName),
    /// The account proves nothing.
    #[error("account `{0}` is disabled; enable it first")]
    PersonDisabled(PersonName),
    /// Nobody could change accounts any more.
    #[error(
        "`{0}` is the last enabled account with a role that administers, and without one nobody could change accounts any more; give such a role to another account first"
    )]
    LastAdministrator(PersonName),
    /// An account has as many keys as it may.
    #[error(
        "account `{name}` has {most} keys, which is as many as it may have; end those that nobody needs with `portreeve person revoke {name}`"
    )]
    TooManyKeys {
        /// The account.
        name: PersonName,
        /// How many it may have.
        most: u32,
    },
    /// Another process has the folder.
    #[error(
        "the data folder `{folder}` is in use by another process; stop it, or choose another folder with --data-dir"
    )]
    InUse {
        /// The folder.
        folder: String,
    },
    /// The data were written by a newer version.
    #[error(
        "the data folder has schema {found}, and this version of portreeve knows schemas up to {known}; use the newer version"
    )]
    NewerSchema {
        /// The schema in the folder.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// The data were written by an older version, and cannot be used as they are.
    #[error(
        "the data folder has schema {found}, and this version of portreeve reads schema {known}; let `portreeve serve` bring the folder up to date first, or use the version that wrote it"
    )]
    OlderSchema {
        /// The schema in the folder.
        found: i64,
        /// The schema that this program reads.
        known: i64,
    },
    /// A row contradicts what the host wrote: damage or tampering.
    #[error("the store is damaged: {0}; restore it from a backup and run `portreeve audit verify`")]
    Damaged(String),
    /// A payload's key was destroyed on purpose.
    #[error("payload {0} was erased; its commitment and its audit record remain")]
    Erased(Digest),
    /// A write may or may not have persisted.
    #[error("a commit failed and may have persisted: {0}; read before writing again")]
    Unknown(String),
    /// The write did not persist.
    #[error("the store failed: {0}")]
    Failed(String),
}

fn by_whom(who: Option<&str>) -> String {
    who.map_or_else(String::new, |who| format!(" by `{who}`"))
}

/// A payload to keep under its own key.
#[derive(Debug)]
pub struct NewPayload {
    /// Commitment and ciphertext.
    pub sealed: Sealed,
    /// The key that erasure destroys.
    pub key: PayloadKey,
    /// Whom it is about: a digest, for erasure by subject. Of what was not read
    /// yet, the sender; see [`Store::payloads_about`].
    pub subject: Option<Digest>,
}

impl NewPayload {
    /// Seals bytes under a key of their own.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn seal(bytes: &[u8], subject: Option<Digest>) -> Result<Self, SealError> {
        let (sealed, key) = portreeve_record::seal::seal(bytes)?;
        Ok(Self { sealed, key, subject })
    }
}

/// A sealed payload that is kept: what the log knows it by, and where this store has it.
/// Commitments are random, so nothing is looked for by one; see the store's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadRef {
    /// Binds its bytes: what lies at the place has to have it.
    pub commitment: Digest,
    /// Its number in this store.
    pub place: i64,
}

/// The bytes of a payload, with the key that blinds what is made of it.
pub type OpenPayload = (Vec<u8>, PayloadKey);

/// What a received input amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It holds documents, perhaps with problems beside them.
    Documents,
    /// The connector refused it with a protocol answer.
    Rejected,
    /// The connector failed; the bytes are kept for a person.
    Unparsed,
    /// The host refused it: an envelope that came before with other content, or a media type that
    /// the channel does not take. The bytes are kept, and nothing is made of them.
    Refused,
}

impl Disposition {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Documents, Self::Rejected, Self::Unparsed, Self::Refused];

    /// The word in records and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Rejected => "rejected",
            Self::Unparsed => "unparsed",
            Self::Refused => "refused",
        }
    }
}

/// A document of a new input.
#[derive(Debug)]
pub struct NewDocument {
    /// Business key within channel and sender.
    pub key: String,
    /// Whose it is within the sender's traffic; empty when the sender is one party.
    pub partner: String,
    /// What it is.
    pub kind: String,
    /// Digest of the bytes.
    pub content: Digest,
    /// The sealed bytes.
    pub payload: NewPayload,
}

/// An envelope that a new input is the first to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnvelope {
    /// Its key within channel and sender.
    pub key: String,
    /// Digest of the bytes that it takes: tells a repetition from other content.
    pub content: Digest,
    /// The part of the reply's body that answers it; none where it has no answer of its own.
    pub answer: Option<Span>,
}

/// An envelope that an earlier input brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEnvelope {
    /// The input that brought it.
    pub input: InputId,
    /// The envelope as it came first; its answer is a part of that input's reply.
    pub first: NewEnvelope,
}

/// Everything that one accepted input writes.
#[derive(Debug)]
pub struct JournalEntry {
    /// The channel.
    pub channel: ChannelId,
    /// The authenticated sender.
    pub sender: SenderId,
    /// When it was received.
    pub received_at: Instant,
    /// Digest of the request as it was received: method, path and bytes.
    pub content: Digest,
    /// Envelopes that it is taken to be the first to bring, each key once.
    pub envelopes: Vec<NewEnvelope>,
    /// What it amounts to.
    pub disposition: Disposition,
    /// The sealed bytes.
    pub payload: NewPayload,
    /// The reply, returned unchanged to a duplicate.
    pub reply: Reply,
    /// The documents in the input, in order.
    pub documents: Vec<NewDocument>,
    /// What a person has to look at.
    pub exceptions: Vec<NewException>,
    /// The account that mended it, where it takes the place of another input.
    pub mended_by: Option<String>,
    /// The poll that is to be made because of it.
    pub wakes: Option<String>,
    /// The accept leaf.
    pub leaf: Leaf,
}

/// What became of a journal entry.
#[derive(Debug)]
pub enum JournalOutcome {
    /// It is durable.
    Committed {
        /// The input.
        input: InputId,
        /// Documents that now wait for a decision.
        documents: usize,
    },
    /// The same bytes are already there; nothing was written.
    Duplicate {
        /// The first input.
        input: InputId,
        /// The reply that the first one got.
        reply: Reply,
    },
    /// Earlier inputs brought these of its envelopes; nothing was written. The caller
    /// judges the input again with them.
    Known {
        /// What is known of each.
        envelopes: Vec<KnownEnvelope>,
    },
}

/// Where an order stands after its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderState {
    /// On its way to its target.
    Released,
    /// Kept back by at least one hold.
    Held,
    /// Kept back until people of a queue have looked at it.
    Routed,
    /// Refused by the host's rules. Nothing answers the sender by itself; an exception
    /// asks people to.
    Refused,
    /// Something failed; a person decides.
    Exception,
}

impl OrderState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Released, Self::Held, Self::Routed, Self::Refused, Self::Exception];

    /// The word in records, tables and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Held => "held",
            Self::Routed => "routed",
            Self::Refused => "refused",
            Self::Exception => "exception",
        }
    }
}

/// Who holds: the host's rules, or a model within its grant. Never confused:
/// only a model's hold or route consumes a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldOwner {
    /// A deterministic rule of the host.
    Policy,
    /// A scorer's proposal to hold.
    Advice(Spends),
    /// A scorer's proposal to route: it waits as a held one, in a budget of its own.
    Route(Spends),
    /// The host, in the stead of a scorer whose budget is spent. It uses up nothing.
    SpentBudget(PluginName),
}

/// Whose budget a hold is taken from, and how far that budget goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spends {
    /// The plugin.
    pub plugin: PluginName,
    /// Holds of the plugin within the hour, or routes where it is one, this one with them.
    pub per_hour_max: u32,
    /// The share of the hour's orders, this one with them, that the holds may be.
    pub held_share: Option<ShareCeiling>,
    /// Value that the plugin holds since midnight UTC in the order's currency, this order with
    /// it, minor units; none where the grant has no such budget.
    pub value_held_per_day_max_minor: Option<i64>,
}

/// A hold on an order or some of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// Who holds.
    pub owner: HoldOwner,
    /// Stable reason code.
    pub reason: String,
    /// The queue that may release it.
    pub queue: String,
    /// Line numbers; empty means the whole order.
    pub lines: Vec<String>,
    /// Until when somebody is to look at it. It never releases by itself.
    pub expires_at: Instant,
    /// Digest of the component that asked for it, unless it is the host's own.
    pub component: Option<Digest>,
}

/// An effect to cause, once the decision is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOutbox {
    /// The target system.
    pub target: String,
    /// The kind of message that it takes.
    pub kind: String,
    /// What it is made of.
    pub content: Content,
}

/// What a delivery is made of: an event that the store has, of this order or item and no other one.
/// Of each, a target gets a kind of message once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// The order as it came.
    Order,
    /// What this document said of it. The order's own document says it as it came: told so it
    /// is no order for a system, but word of one, and no wish to cancel stops it.
    Said(DocumentPosition),
    /// How much there is of an item, as this document says.
    Level(DocumentPosition),
}

/// What later decisions about the same customer may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerEvent {
    /// Digest of the customer's id.
    pub customer: Digest,
    /// When its input was received.
    pub received_at: Instant,
    /// What the order is worth.
    pub value: Money,
    /// Digest of the ship-to place.
    pub ship_to: Option<Digest>,
}

/// A new order with everything that its decision causes.
#[derive(Debug)]
pub struct NewOrder {
    /// The host's id.
    pub id: OrderId,
    /// The sender's number.
    pub number: String,
    /// Where it stands.
    pub state: OrderState,
    /// The queue that works on it, unless it is released.
    pub queue: Option<String>,
    /// What it is worth.
    pub value: Money,
    /// Whether it carries a recommendation.
    pub recommended: bool,
    /// One line for people: why.
    pub why: String,
    /// The sealed canonical event.
    pub event: Digest,
    /// The sealed decision record.
    pub decision: Digest,
    /// A digest of what was decided, without times, keys and salts.
    pub fingerprint: Digest,
    /// What became of each proposal of a scorer.
    pub weighed: Vec<WeighedProposal>,
    /// Holds, additive.
    pub holds: Vec<NewHold>,
    /// Effects. Only a released order goes anywhere as it came; of one that is kept back there is
    /// word of it at most, and the store refuses more.
    pub outbox: Vec<NewOutbox>,
    /// What it takes of a credit account; only for a released order.
    pub credit: Option<CreditReservation>,
    /// For later decisions about this customer.
    pub customer_event: CustomerEvent,
    /// Set unless it is released: somebody decides, or tells the sender.
    pub exception: Option<NewException>,
}

/// What was decided about a document.
#[derive(Debug)]
pub enum Decided {
    /// A new order.
    Order(Box<NewOrder>),
    /// An event about an order.
    Event(Box<NewOrderEvent>),
    /// How much there is of an item.
    Level(Box<NewLevel>),
    /// What the receiver of a numbered delivery says of having got it.
    Answered(NewAnswer),
    /// The same business key and content as an earlier document: no order.
    Duplicate {
        /// The first one.
        of: DocumentPosition,
    },
    /// The document did not become an order; a person decides.
    Unmapped(NewException),
}

impl Decided {
    /// The order that it makes or is about.
    #[must_use]
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Self::Order(order) => Some(order.id),
            Self::Event(event) => Some(event.order),
            Self::Answered(answer) => Some(answer.order),
            Self::Level(_) | Self::Duplicate { .. } | Self::Unmapped(_) => None,
        }
    }
}

/// Everything that one decision writes.
#[derive(Debug)]
pub struct DecisionCommit {
    /// The document; the proof is used up.
    pub document: Journaled,
    /// What was decided.
    pub decided: Decided,
    /// Sealed event and decision record.
    pub payloads: Vec<NewPayload>,
    /// The configuration version that decided.
    pub configuration: u64,
    /// When it was decided, by the store's clock.
    pub at: Instant,
    /// The decide leaf.
    pub leaf: Leaf,
}

/// The code of a delivery whose target wants to be sent nothing any more. Whatever people decide
/// about a dead letter with it, what waits for that target begins its time anew: see
/// [`Settlement::Parked`].
pub const GONE: &str = "gone";

/// How a delivery attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The effect happened.
    Applied {
        /// The target's identifier.
        external_id: String,
    },
    /// It did not happen, and the attempt is none of [`Permit::doubts`]; try again at
    /// this time.
    Retry {
        /// Not before.
        due_at: Instant,
        /// Stable code.
        code: String,
    },
    /// It did not happen, and the attempt is none of [`Permit::doubts`]: nothing goes to its target
    /// until people decided about the dead letter [`GONE`] of that. It keeps its place among what is
    /// due; [`Permit::tries`] and [`Permit::deadline_from`] of whatever waits for that target count
    /// from their decision.
    Parked,
    /// It may have happened: look it up at this time, before anything is sent.
    Unknown {
        /// Not before.
        due_at: Instant,
        /// Stable code.
        code: String,
    },
    /// No earlier attempt happened: the target was asked and has nothing. The delivery
    /// is in doubt no more; it waits as before, or stays withheld.
    Absent,
    /// It will not happen without a person.
    Dead {
        /// What the person has to know.
        exception: NewException,
        /// Whether later deliveries of the order wait until a person has decided.
        blocks: bool,
    },
}

/// What a connector wants to remember about the order of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChanges {
    /// Whose state it is.
    pub plugin: PluginName,
    /// Key and new value; none forgets the key.
    pub changes: Vec<(String, Option<Vec<u8>>)>,
}

/// How long an attempt keeps its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Nobody else claims it before: longer than the attempt can take.
    pub until: Instant,
    /// When the target may be asked about the attempt, where nobody settles it: an
    /// answer that comes too early says no, and the order is sent twice.
    pub ask_at: Instant,
}

/// How many deliveries each target may have under way: a target that hangs takes
/// its own share of the workers and leaves the rest to the others.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// The most for each target. One that is not named here is claimed without a
    /// limit of its own: nobody configures it any more, so nothing is sent to it.
    pub limits: BTreeMap<String, u32>,
    /// Under way already.
    pub taken: BTreeMap<String, u32>,
}

/// What may be claimed.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// So much for each target.
    pub shares: Shares,
    /// What whoever claims has under way. It is not claimed again, whatever the clock
    /// says: a clock that is set, or a machine that slept, ends every lease at once.
    pub under_way: BTreeSet<OutboxId>,
}

impl Shares {
    /// What is left for a target.
    #[must_use]
    pub fn left(&self, target: &str) -> u32 {
        let limit = self.limits.get(target).copied().unwrap_or(u32::MAX);
        limit.saturating_sub(self.taken.get(target).copied().unwrap_or(0))
    }
}

/// How often a person may have a delivery tried again.
pub const REPLAYS_MAX: u32 = 10;

/// A delivery that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its exception, by which people name it.
    pub exception: u64,
    /// The outbox row.
    pub outbox: OutboxId,
    /// The order or the item.
    pub matter: Matter,
    /// The sender's number of the order; of an item its name and its node.
    pub number: String,
    /// The target system.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// What it is made of.
    pub content: Content,
    /// The sealed event of that.
    pub event: PayloadRef,
    /// The sealed words of the person by whom its message is corrected, where it is.
    pub correction: Option<PayloadRef>,
    /// Attempts so far.
    pub attempts: u32,
    /// How often a person had it tried again.
    pub replays: u32,
    /// Whether later deliveries of the order wait for it.
    pub blocks: bool,
    /// Whether it tells a change that was agreed on, and a later one of its order was agreed on since.
    pub overtaken: bool,
    /// Stable code of why.
    pub code: String,
    /// One sentence.
    pub detail: String,
    /// The queue that works on it.
    pub queue: String,
    /// When it was given up.
    pub since: Instant,
}

/// Aggregates over a customer's orders at lower journal positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerAggregate {
    /// Orders in the hour before.
    pub orders_1h: u32,
    /// Orders in the day before.
    pub orders_24h: u32,
    /// Orders in the 30 days before.
    pub orders_30d: u32,
    /// Value of the day, minor units, in the currency asked for, at most [`SUM_MINOR_MAX`].
    pub value_24h_minor: i64,
    /// Value of the 30 days, at most [`SUM_MINOR_MAX`].
    pub value_30d_minor: i64,
    /// The largest order of the 30 days and of the day (UTC) that they begin in.
    pub largest_30d_minor: i64,
    /// When the first order was received.
    pub first_order_at: Option<Instant>,
    /// When the last order in each currency was received. An order that a clock puts
    /// before it counts as received then.
    pub latest_at: BTreeMap<String, Instant>,
    /// Ship-to places of the 30 days and of the day that they begin in, at most
    /// [`SHIP_TO_PLACES_MAX`].
    pub ship_to_places: Vec<Digest>,
    /// Whether any earlier order went to the place asked for.
    pub ship_to_known: bool,
}

/// Ship-to places that history counts. A customer who ships to ever new places
/// would otherwise make every later decision slower.
pub const SHIP_TO_PLACES_MAX: usize = 256;

/// Where sums of values stop, in minor units: 2^53 − 1, up to which every way of
/// adding agrees. Two absurd orders would otherwise overflow the sum, and with it
/// fail every later decision about their customer, and whatever shares its batch.
pub const SUM_MINOR_MAX: i64 = (1 << 53) - 1;

/// A question for a customer's history.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Digest of the customer's id.
    pub customer: Digest,
    /// Only documents below this position count.
    pub below: DocumentPosition,
    /// The end of the windows.
    pub at: Instant,
    /// Sums are of orders in this currency.
    pub currency: String,
    /// The place that `ship_to_known` is about.
    pub ship_to: Option<Digest>,
}

/// What a plugin's grants have caused lately. What is counted against a ceiling is never less
/// than it was in any hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PluginUsage {
    /// Advice holds in the minute that runs and the sixty before it.
    pub holds: u32,
    /// Routes in the same minutes.
    pub routes: u32,
    /// Value of the orders in the currency asked for that advice holds keep since midnight
    /// UTC: each order once, none below nothing, at most [`SUM_MINOR_MAX`].
    pub value_held_minor: i64,
    /// Orders decided within the hour, to the millisecond: as many as were committed from the
    /// first of them on. A clock that was set back meanwhile can make it more.
    pub orders: u32,
}

/// A leaf without an index yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsequencedLeaf {
    /// Its RFC 6962 leaf hash.
    pub id: Digest,
    /// The canonical record.
    pub bytes: Vec<u8>,
}

/// The committed head of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// Entries.
    pub size: u64,
    /// The right edge and two earlier ones, in the sequencer's form.
    pub edge: Vec<u8>,
    /// The signed checkpoint, as text.
    pub checkpoint: String,
}

/// A configuration that is or was active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// From 1.
    pub version: u64,
    /// Digest of `bytes`.
    pub digest: Digest,
    /// The files, in the form that the binary wrote.
    pub bytes: Vec<u8>,
}

/// A plugin's package as it was taken in. Its bytes are the host's to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPackage {
    /// Digest of the component.
    pub digest: Digest,
    /// The plugin.
    pub plugin: PluginName,
    /// Its version, as its manifest has it.
    pub version: String,
    /// Its kind.
    pub kind: String,
    /// Its publisher, as its manifest has it.
    pub publisher: String,
}

/// A package that is installed. Which one is active is the configuration's word alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageView {
    /// What was taken in.
    pub package: NewPackage,
    /// When.
    pub installed_at: Instant,
    /// Since when it may be activated; of a plugin one at most.
    pub staged_at: Option<Instant>,
    /// The grant that it was staged with, as the host wrote it; none where the
    /// configuration's counts.
    pub grant: Option<String>,
}

/// A step in the life of packages, with what it changes.
#[derive(Debug)]
pub enum PackageChange {
    /// A package is taken in. One that is there already stays as it is.
    Install(NewPackage),
    /// It may be activated, within this grant; another one of its plugin is staged no more.
    Stage {
        /// The component.
        digest: Digest,
        /// Of its own, as the host writes it.
        grant: Option<String>,
    },
    /// The next version of the configuration, in which a plugin has another component or
    /// none, or other publishers are trusted.
    Configure {
        /// The version that it was built on.
        after: u64,
        /// The files, in the form that the binary wrote.
        bytes: Vec<u8>,
        /// The plugin whose staged package was activated.
        unstage: Option<PluginName>,
        /// The plugin that begins anew, or ends: no pause of it waits for a person any more.
        anew: Option<PluginName>,
    },
    /// A plugin is not called for a while, or not for one cause. An exception opens, unless one
    /// about this pause is open: that has its end and failure from now on. Where all calls are
    /// paused, those about single causes are closed.
    Paused(Box<NewPause>),
    /// It is called again; the exceptions about that are closed.
    Restored {
        /// The plugin.
        plugin: PluginName,
        /// Its component.
        component: Digest,
        /// As [`NewPause::cause`]; none closes all of the component.
        cause: Option<String>,
    },
    /// Nothing but the record, of what the host did by itself.
    Note,
}

/// A reference table that takes the place of an earlier one.
#[derive(Debug)]
pub struct NewReference {
    /// The table.
    pub table: String,
    /// All its rows, by key.
    pub rows: Vec<(String, Row)>,
    /// The leaf that says so.
    pub leaf: Leaf,
}

/// A reference table as a reader wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceWanted {
    /// The table.
    pub table: String,
    /// The version that the reader has: its rows are not read again.
    pub known: Option<u64>,
}

/// A reference table as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceTable {
    /// From 1.
    pub version: u64,
    /// Its rows in key order; none when the version is the known one.
    pub rows: Option<Vec<(String, Row)>>,
}

/// An order as people see it.
#[derive(Debug, Clone)]
pub struct OrderView {
    /// The host's id.
    pub id: OrderId,
    /// The journal position of its document.
    pub position: DocumentPosition,
    /// The sender's number.
    pub number: String,
    /// The channel.
    pub channel: ChannelId,
    /// Where it stands.
    pub state: OrderState,
    /// The queue that works on it.
    pub queue: Option<String>,
    /// What it is worth.
    pub value: Money,
    /// Whether it carries a recommendation.
    pub recommended: bool,
    /// One line: why.
    pub why: String,
    /// The sealed canonical event.
    pub event: PayloadRef,
    /// The sealed decision record.
    pub decision: PayloadRef,
    /// The configuration version that decided.
    pub configuration: u64,
    /// The id of the decide leaf.
    pub leaf: Digest,
    /// That leaf's index in the log; none until it has one.
    pub leaf_index: Option<u64>,
    /// State of its deliveries, one word each, with attempts.
    pub deliveries: Vec<DeliveryView>,
}

/// A delivery as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryView {
    /// The target system.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// The document that said what is delivered; none where it is the order as it came.
    pub said: Option<DocumentPosition>,
    /// `pending`, `withheld`, `in-doubt`, `delivered`, `dead` or `abandoned`. In doubt
    /// is one that is withheld and may have arrived all the same: the target is asked.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// The target's identifier.
    pub external_id: Option<String>,
    /// What it is known by at its receiver, where it has a number.
    pub interchange: Option<Interchange>,
    /// By when its receiver was to say that it got it; none where nobody waits for that.
    pub acknowledge_by: Option<Instant>,
    /// The code of how the last attempt ended that delivered nothing; none where none did.
    pub problem: Option<String>,
    /// When it is tried again, or the target is asked, at the earliest; none where neither is
    /// going to be.
    pub next_at: Option<Instant>,
}

/// Where an order came from, what keeps it, and what is on record about it.
#[derive(Debug, Clone)]
pub struct OrderTrail {
    /// The input that it came in.
    pub input: InputView,
    /// Its holds, oldest first, the closed ones too.
    pub holds: Vec<HoldView>,
    /// How often it was looked at again, oldest first.
    pub reviews: Vec<ReviewView>,
    /// Exceptions of the order and of its whole input, open or closed.
    pub exceptions: Vec<ExceptionView>,
    /// What came about it later: the latest [`EVENTS_SHOWN_MAX`], in journal order.
    pub events: Vec<OrderEventView>,
    /// How far it is; none where no event moved it yet.
    pub progress: Option<ProgressView>,
    /// Its leaves and its input's, in commit order.
    pub leaves: Vec<TrailLeaf>,
}

/// Later events of an order that its story shows. A sender can change an order as
/// often as it likes; all of them are on record.
pub const EVENTS_SHOWN_MAX: u32 = 20;

/// An input as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputView {
    /// Its id.
    pub id: InputId,
    /// Which of its documents, from 0.
    pub document: u32,
    /// What that document is, for example `x12/850`.
    pub kind: String,
    /// The channel.
    pub channel: ChannelId,
    /// The authenticated sender.
    pub sender: String,
    /// When it was received.
    pub received_at: Instant,
    /// `documents`, `rejected` or `unparsed`.
    pub disposition: String,
}

/// A document of a kept input, with its bytes.
#[derive(Debug, Clone)]
pub struct DocumentView {
    /// Its place in the journal.
    pub position: DocumentPosition,
    /// What it is, for example `x12/850`.
    pub kind: String,
    /// Business key within channel and sender.
    pub key: String,
    /// The channel.
    pub channel: ChannelId,
    /// The authenticated sender.
    pub sender: SenderId,
    /// When its input was received.
    pub received_at: Instant,
    /// Its bytes.
    pub body: Vec<u8>,
    /// The first document with this business key, if this one is not the first.
    pub first: Option<FirstDocument>,
}

/// A hold as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldView {
    /// Its number, by which people name it.
    pub number: u64,
    /// `policy`, `advice`, `route` or `spent-budget`.
    pub owner: String,
    /// The scorer, unless it is the host's own.
    pub plugin: Option<String>,
    /// Digest of the scorer's component.
    pub component: Option<Digest>,
    /// Stable reason code.
    pub reason: String,
    /// The queue that may release it.
    pub queue: String,
    /// Line numbers; empty means the whole order.
    pub lines: Vec<String>,
    /// When it began.
    pub opened_at: Instant,
    /// Until when somebody is to look at it. It never releases by itself.
    pub expires_at: Instant,
    /// How it ended; none while it keeps the order back.
    pub closed: Option<ClosedHold>,
}

/// Holds on orders that are not released, alike in who holds and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHolds {
    /// `policy`, `advice`, `route` or `spent-budget`.
    pub owner: String,
    /// The scorer, unless it is the host's own.
    pub plugin: Option<String>,
    /// The rule's code, or the owner once more: a scorer's own words are as many as it likes.
    pub reason: String,
    /// The queue that works on them.
    pub queue: String,
    /// How many there are.
    pub count: u64,
    /// When the oldest began.
    pub oldest_at: Instant,
    /// How many of them are past their time, whether they were escalated yet or not.
    pub overdue: u64,
}

/// Deliveries to one target that are still to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDeliveries {
    /// The target.
    pub target: String,
    /// How many, with those under way.
    pub pending: u64,
    /// How many of them wait for an earlier one of their order to this target.
    pub behind: u64,
    /// Since when the oldest waits: from when its deadline counts, which is when it was made, once
    /// somebody took it up when that was, and after a person had it tried again from then on.
    pub oldest_since: Instant,
}

/// Rows that [`Store::open_holds`] tells at most.
pub const OPEN_HOLDS_MAX: u32 = 500;

/// A leaf of an order's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailLeaf {
    /// Its index in the log; none until it is sequenced.
    pub index: Option<u64>,
    /// Its id.
    pub id: Digest,
    /// The canonical record.
    pub bytes: Vec<u8>,
}

/// An input whose content is kept, as retention looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptInput {
    /// Its id.
    pub id: InputId,
    /// Its sealed bytes; records name them by their commitment.
    pub content: PayloadRef,
    /// When it was received.
    pub received_at: Instant,
    /// How many documents it has.
    pub documents: u32,
    /// Whether it came to rest before the time that was asked about; see
    /// [`Store::forget`].
    pub finished: bool,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Inputs whose content went.
    pub inputs: u64,
    /// Orders in them.
    pub orders: u64,
    /// Sealed payloads that cannot be opened any more.
    pub payloads: u64,
}

/// What stands where content was.
pub const FORGOTTEN: &str = "removed when its retention ended";

/// Counts over the whole store, for people and for the demo's sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Inputs that were taken.
    pub inputs: u64,
    /// Orders per state.
    pub orders: Vec<(OrderState, u64)>,
    /// Documents that did not become orders and wait for a person.
    pub unmapped: u64,
    /// Documents that change an earlier order or ask to cancel it, and wait for a person.
    pub order_events: u64,
    /// Documents that repeat an earlier one.
    pub duplicates: u64,
    /// Inputs that the connector refused.
    pub rejected_inputs: u64,
    /// Inputs that the connector failed on.
    pub unparsed_inputs: u64,
    /// Inputs that the host refused, with their bytes kept; none of `inputs`.
    pub refused_inputs: u64,
    /// Orders that carry a recommendation.
    pub recommended: u64,
    /// Documents without a decision.
    pub undecided: u64,
    /// Deliveries done.
    pub delivered: u64,
    /// Attempts beyond the first, over all deliveries.
    pub retried: u64,
    /// Deliveries that a person has to look at.
    pub dead: u64,
    /// Deliveries that are still to be made.
    pub pending: u64,
    /// Deliveries that do not happen because the sender asked to cancel their order,
    /// with those in doubt.
    pub withheld: u64,
    /// Leaves without an index.
    pub unsequenced: u64,
    /// Exceptions that wait for a person.
    pub exceptions_open: u64,
    /// Numbered deliveries that are done and of which the receiver has said nothing, in its time.
    pub unacknowledged: u64,
    /// The same, of which its time is over and people were told.
    pub acknowledgements_overdue: u64,
}

/// The durability contract. See the module's description for what every method
/// has in common.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes a configuration the active one and replaces its reference tables. Of its
    /// leaves the first is its own and the others say what it does to plugins. A package
    /// that was staged under an earlier one is staged no more: its grant was another's word.
    /// The same bytes as the active configuration make no new version and report the
    /// active one; tables are replaced and what happens to plugins is recorded all the same.
    /// `parts` are all channels and targets that it has: of each is kept since when.
    ///
    /// *Durability*: version, tables and all leaves are one transaction. *Ordering*:
    /// versions count from 1 in commit order. *Concurrency*: the last one to commit is
    /// the active one. *Retry*: repeat it; a table whose leaf is known stays as it is.
    async fn activate_configuration(
        &self,
        bytes: Vec<u8>,
        tables: Vec<NewReference>,
        at: Instant,
        leaves: Vec<Leaf>,
        parts: Vec<Part>,
    ) -> Result<u64, StoreError>;

    /// The active configuration; none before the first.
    async fn active_configuration(&self) -> Result<Option<Configuration>, StoreError>;

    /// Carries out a step in the life of packages.
    ///
    /// *Durability*: the change, its exceptions and its leaves are one transaction. *Ordering*: versions
    /// of the configuration count up in commit order. *Concurrency*: of two that build on
    /// one version of the configuration the first succeeds, and the other one hears
    /// [`StoreError::ConfigurationMoved`]. *Retry*: repeat it with the same leaves; where
    /// the first of them is known, nothing is written.
    ///
    /// # Errors
    /// [`StoreError::ConfigurationMoved`] and [`StoreError::UnknownPackage`] as they say;
    /// [`StoreError::Failed`] without a leaf.
    async fn change_packages(&self, change: PackageChange, at: Instant, leaves: Vec<Leaf>) -> Result<(), StoreError>;

    /// All packages that are installed, by plugin and in the order in which they came.
    async fn packages(&self) -> Result<Vec<PackageView>, StoreError>;

    /// Replaces a reference table. Returns the table's version, from 1.
    ///
    /// *Durability*: rows, version and leaf are one transaction. *Ordering*: versions
    /// count up in commit order. *Concurrency*: readers see all of the old rows or all
    /// of the new ones, each with its version. *Retry*: repeat it; with the same rows and
    /// a leaf that is known it reports the table's version and changes nothing.
    async fn load_reference(&self, table: &str, rows: Vec<(String, Row)>, leaf: Leaf) -> Result<u64, StoreError>;

    /// Tables as they were at one moment, in the order of the questions; none in the
    /// place of one that was never loaded.
    async fn references(&self, wanted: Vec<ReferenceWanted>) -> Result<Vec<Option<ReferenceTable>>, StoreError>;

    /// A table's version and its rows, both of one commit, in key order. None when it
    /// was never loaded.
    async fn reference(&self, table: &str) -> Result<Option<(u64, Vec<(String, Row)>)>, StoreError>;

    /// Keeps an input with its envelopes, documents, reply, exceptions and leaf. An
    /// envelope is kept by the first input that brings it, and by no other.
    ///
    /// *Durability*: all of it is one transaction, and only after it the sender gets
    /// the reply. *Ordering*: its documents stand in the journal side by side, in their
    /// order, after those of all earlier commits. *Concurrency*: of the same input at
    /// the same time one is committed, the others are its duplicates, and of
    /// two that bring one envelope the second hears [`JournalOutcome::Known`]. *Retry*: repeat
    /// it; the same bytes report [`JournalOutcome::Duplicate`] with the first reply;
    /// after [`Store::forget`] only its status is left.
    async fn journal(&self, entry: JournalEntry) -> Result<JournalOutcome, StoreError>;

    /// Where a poll is; none for one that was never due.
    async fn poll(&self, poll: &str) -> Result<Option<PollView>, StoreError>;

    /// Of each of these business keys, whether a document of this sender has it that became an order
    /// or an event, or still may.
    async fn known_keys(
        &self,
        channel: &ChannelId,
        sender: &SenderId,
        keys: Vec<String>,
    ) -> Result<Vec<bool>, StoreError>;

    /// What a connector remembers of a poll, by key: what [`Store::journal_polled`] committed.
    async fn poll_state(&self, plugin: &PluginName, poll: &str) -> Result<BTreeMap<String, Vec<u8>>, StoreError>;

    /// Claims a poll that is due until `lease_until`; one that was never made is due. None where
    /// it is not due, or somebody has it. Another connector's cursor is none of this one's.
    ///
    /// *Durability*: the lease, without a leaf: nothing was asked yet. *Ordering*: any.
    /// *Concurrency*: of two that claim at once one gets it, whichever host it is, and each claim
    /// fences the ones before it. *Retry*: claim again; what an unknown outcome may have claimed
    /// comes back when its lease has ended, or when the store is opened again.
    async fn claim_poll(
        &self,
        poll: &str,
        connector: &PluginName,
        now: Instant,
        lease_until: Instant,
    ) -> Result<Option<PollPermit>, StoreError>;

    /// Keeps what a poll brought as [`Store::journal`] keeps an input, and where the poll is now.
    /// What people were told of its failures is closed. One that was woken meanwhile is due at once.
    ///
    /// *Durability*: input, documents, exceptions, leaf, cursor and the connector's state are one
    /// transaction. *Ordering*: as [`Store::journal`]. *Concurrency*: fails with
    /// [`StoreError::PollMoved`] when the poll was claimed again, or its cursor is not the one of
    /// the permit; nothing was written. *Retry*: claim again: what persisted moved the
    /// cursor, and is not asked for again.
    async fn journal_polled(
        &self,
        permit: PollPermit,
        entry: JournalEntry,
        change: PolledChange,
    ) -> Result<JournalOutcome, StoreError>;

    /// Says that a poll brought nothing, failed, or was held back. Its cursor stays.
    ///
    /// *Durability*: when it is due, its failures, what people are told of them, and the leaf where
    /// that changes, are one transaction. *Ordering*: after its claim. *Concurrency*: fails with
    /// [`StoreError::PollMoved`] as above. *Retry*: claim again; one that ended is not due.
    ///
    /// # Errors
    /// [`StoreError::Failed`] without a leaf where people are told, or were.
    async fn end_poll(&self, permit: PollPermit, end: PollEnd, at: Instant) -> Result<(), StoreError>;

    /// How the subscription of a poll stands; none for one that was never asked for.
    async fn subscription(&self, poll: &str) -> Result<Option<SubscriptionView>, StoreError>;

    /// Claims a subscription that is due, or that was asked for with something else before, until
    /// `lease_until`. None where it is neither, or somebody has it.
    ///
    /// *Durability*: the lease and the leaf that it is going to be asked for are one transaction,
    /// before anything is sent. *Ordering*: any. *Concurrency*: of two that claim at once one gets
    /// it, whichever host it is, and each claim fences the ones before it. *Retry*: claim again;
    /// what an unknown outcome may have claimed comes back when its lease has ended, or when the
    /// store is opened again, and a leaf that is there is not written twice.
    async fn claim_subscription(
        &self,
        poll: &str,
        about: Digest,
        now: Instant,
        lease_until: Instant,
        leaf: Leaf,
    ) -> Result<Option<SubscriptionPermit>, StoreError>;

    /// Says what came of asking: what the source gave, or why it failed. What it gave before stays
    /// where it failed.
    ///
    /// *Durability*: what was given, when it is due, what people are told, that the poll is made at
    /// once, and the leaf are one transaction. *Ordering*: after its claim. *Concurrency*: fails
    /// with [`StoreError::SubscriptionMoved`] when it was claimed again; nothing was written.
    /// *Retry*: claim again; one that ended is not due.
    async fn end_subscription(
        &self,
        permit: SubscriptionPermit,
        end: SubscriptionEnd,
        at: Instant,
    ) -> Result<(), StoreError>;

    /// Puts it on record that an input was refused that is kept already, or sign-ins were. Nothing else
    /// of it is kept.
    ///
    /// *Durability*: its leaf. *Ordering*: that of leaves. *Concurrency*: any.
    /// *Retry*: repeat it; a leaf that is known is not entered again.
    async fn refuse(&self, leaf: Leaf) -> Result<(), StoreError>;

    /// The reply that exactly these bytes got before, if they were received before.
    async fn reply_to(&self, input: InputId) -> Result<Option<Reply>, StoreError>;

    /// Inputs of which nothing was taken, in the order in which they were journaled. For a person who
    /// asks: where a channel or a time is named it goes through all that came after `after`.
    async fn untaken_inputs(&self, wanted: UntakenWanted) -> Result<Vec<UntakenInput>, StoreError>;

    /// One of them; none, where there is no such input or something of it was taken.
    async fn untaken_input(&self, input: InputId) -> Result<Option<UntakenInput>, StoreError>;

    /// Where the bytes of any input are, whether something of it was taken or not; none, where there is no
    /// such input.
    async fn input_content(&self, input: InputId) -> Result<Option<InputContent>, StoreError>;

    /// Takes `count` numbers of a range, from 1 on, for this process alone. Returns
    /// the first.
    ///
    /// *Durability*: numbers that were handed out are gone for good, used or not.
    /// *Ordering*: later calls get higher ones. *Concurrency*: no two calls get the
    /// same. *Retry*: take others; numbers of an unknown outcome may be lost and are
    /// never given twice.
    async fn lease_numbers(&self, range: &str, count: u32) -> Result<u64, StoreError>;

    /// Documents without a decision, in the order of their positions and `without` those
    /// that the caller names, of each business key the first one only: the next one waits
    /// for what becomes of it, whether it was named or not. One that is decided on again waits
    /// for the one of its key that is undecided then, goes before those behind that, and
    /// whatever of its key was decided meanwhile came first. Handing a document out does not take it away: two callers get the same one, and the first
    /// decision counts. One whose bytes are erased or damaged comes without them.
    async fn undecided(&self, limit: u32, without: &[DocumentPosition]) -> Result<Vec<Journaled>, StoreError>;

    /// What is known about customers below a position each, in the order of the questions.
    async fn customer_histories(&self, queries: Vec<HistoryQuery>) -> Result<Vec<CustomerAggregate>, StoreError>;

    /// What a plugin's grants have caused, as of `at`; what a clock that was set back left
    /// behind in the time to come counts too. Values are of orders in `currency`: amounts in
    /// several have no sum.
    async fn plugin_usage(
        &self,
        plugin: &PluginName,
        currency: Currency,
        at: Instant,
    ) -> Result<PluginUsage, StoreError>;

    /// Holds on orders that are not released, counted by who holds and why, those with the
    /// oldest first and at most [`OPEN_HOLDS_MAX`] rows; overdue are those that were due by
    /// `at`.
    async fn open_holds(&self, at: Instant) -> Result<Vec<OpenHolds>, StoreError>;

    /// What waits for each target for which anything does, by its name; together as many as
    /// [`Summary::pending`]. Costs as much as waits, whatever was delivered.
    async fn waiting_deliveries(&self) -> Result<Vec<WaitingDeliveries>, StoreError>;

    /// Writes decisions. As many results as decisions, in their order. After a request
    /// to cancel no delivery of its order begins, whoever has claimed it. After a level of an item
    /// that counts none of an older one begins.
    ///
    /// *Durability*: all are one transaction, each with its leaf and what it takes from budgets
    /// under a savepoint of its own: one that fails leaves the others, but for later ones
    /// about the same order, which fail with [`StoreError::OrderWaits`]. *Ordering*: they take
    /// effect in the order of the list. *Concurrency*: of two decisions about a document the
    /// first to commit counts; one that would pass a ceiling of [`Spends`], whoever decided
    /// meanwhile, fails with [`StoreError::BudgetSpent`] and is to be made again, and so does one
    /// with [`StoreError::CreditSpent`] that would pass its [`CreditReservation`], and one with
    /// [`StoreError::LevelMoved`] that was made on another than the newest level. *Retry*: read [`Store::undecided`] again and decide what is still
    /// there; a document that was decided reports what the first decision made of it,
    /// and nothing is written.
    async fn commit_decisions(
        &self,
        decisions: Vec<DecisionCommit>,
    ) -> Result<Vec<Result<Committed, StoreError>>, StoreError>;

    /// What releases took of credit accounts that the accounts' own figures do not know yet,
    /// minor units, in the order of the questions: what no target has taken, and what one
    /// took since.
    async fn credit_reserved(&self, queries: Vec<CreditQuery>) -> Result<Vec<i64>, StoreError>;

    /// Orders that are held, routed or an exception, from the one after `after` on, in
    /// journal order.
    async fn kept_back(&self, which: Kept, after: DocumentPosition, limit: u32) -> Result<Vec<KeptBack>, StoreError>;

    /// One of them; none when it is not kept back.
    async fn kept_back_order(&self, order: OrderId) -> Result<Option<KeptBack>, StoreError>;

    /// What targets have, or get, of orders that wait, by target and kind, word of them first: word
    /// of those that are kept back, whatever became of its delivery, and the order itself where it
    /// is still to be delivered or keeps later deliveries of its order waiting. Costs what waits.
    async fn waiting_orders(&self) -> Result<Vec<WaitingOrders>, StoreError>;

    /// Writes what became of an order that was looked at again: holds are closed and opened,
    /// and the order stands where that leaves it; where it is released, its exception is closed
    /// and its deliveries are due, and else its exception moves to what keeps it back now: what
    /// was proposed about it ends, and another queue's people begin anew. What failed otherwise
    /// leaves that state by a person's review alone.
    ///
    /// *Durability*: all of it is one transaction with its leaf, the person's step with its own,
    /// and what it takes of a credit account. *Ordering*: any. *Concurrency*: of two reviews of an order the first counts;
    /// the other fails with [`StoreError::OrderMoved`], as it does after a request to cancel.
    /// One that would pass its [`CreditReservation::most_minor`], whoever was released
    /// meanwhile, fails with [`StoreError::CreditSpent`] and is to be made again. *Retry*: read
    /// [`Store::kept_back_order`] again, and look at what is left; repeating one that persisted
    /// is [`StoreError::OrderMoved`].
    ///
    /// # Errors
    /// Also those of [`Store::step_exception`] about its step, and [`StoreError::Failed`] where
    /// that is no decision about holds of this order.
    async fn commit_review(&self, review: NewReview) -> Result<(), StoreError>;

    /// Claims due deliveries: at most one per order and target, the oldest that the order has for
    /// it, until `lease_until`, and to each target as many as there is room for. Rows whose
    /// lease has passed are claimed again, but for those that the claimer has under way.
    /// Costs as much as is claimed and under way, however many wait: behind others of their order
    /// and target, for their time, or for room.
    /// A delivery that is withheld and in doubt is claimed to be asked about alone
    /// ([`Permit::withheld`]): no attempt of it begins.
    ///
    /// *Durability*: the lease, without a leaf: nothing was sent yet. *Ordering*: of one
    /// target what fell due first; of one order and target what was decided first, and nothing
    /// while an earlier row is pending, withheld and in doubt, or dead and blocking. A row that is
    /// replayed has its old place: what came after it waits again. *Concurrency*: a row is
    /// claimed by one at a time, and each claim fences the ones before it. *Retry*:
    /// claim again; what an unknown outcome may have claimed comes back when its lease
    /// has ended, or when the store is opened again.
    async fn claim(
        &self,
        now: Instant,
        lease_until: Instant,
        limit: u32,
        room: Room,
    ) -> Result<Vec<Permit>, StoreError>;

    /// Gives a delivery the number by which its receiver is to know it, or the one that it has:
    /// each receiver's count from 1. The permit then has it ([`Permit::interchange`]), and so
    /// has each later one.
    ///
    /// *Durability*: the number, without a leaf: nothing was sent yet, and the attempt's leaf
    /// names it. *Ordering*: of one receiver later deliveries get higher numbers. *Concurrency*:
    /// no two deliveries get the same; fails with [`StoreError::LeaseLost`] when the row was
    /// claimed again or settled since. *Retry*: claim again; what has a number keeps it, and a
    /// delivery that never goes out leaves a gap.
    async fn number_delivery(&self, permit: Permit, numbering: Numbering, at: Instant) -> Result<Permit, StoreError>;

    /// The delivery with this number of a receiver.
    async fn interchange(&self, partner: &str, number: u64) -> Result<Option<InterchangeView>, StoreError>;

    /// Numbered deliveries whose receivers were to say by `at` that they got them, said nothing,
    /// and of which people were not told, those due first first.
    async fn overdue_interchanges(&self, at: Instant, limit: u32) -> Result<Vec<InterchangeView>, StoreError>;

    /// Tells people that a receiver said nothing in time. False when it answered meanwhile, or
    /// they were told; nothing was written then. When it answers later, the exception is closed
    /// with the answer.
    ///
    /// *Durability*: the exception and the leaf are one transaction. *Ordering*: any.
    /// *Concurrency*: of two, or of one and an answer, the first counts. *Retry*: repeat it.
    async fn tell_overdue(
        &self,
        partner: &str,
        number: u64,
        exception: NewException,
        at: Instant,
        leaf: Leaf,
    ) -> Result<bool, StoreError>;

    /// Begins with these rules of what has to go out by a time: one that is not known yet looks at what
    /// comes from now on; others are forgotten, with what they wait for and nobody was told of.
    ///
    /// *Durability*: one transaction, without a leaf: nothing was told. *Ordering*: any. *Concurrency*:
    /// the last caller's rules count. *Retry*: repeat it; one that is known stays where it is.
    async fn begin_due(&self, rules: Vec<DueRule>) -> Result<(), StoreError>;

    /// Looks at what came since a rule looked last, and waits for what has to go out of it, also where an
    /// event waits for its turn and the rule says so ([`DueRule::while_early`]); what went out
    /// in time by `at` is waited for no more, and neither is what was told and people closed, nor what was
    /// given up: all that there was of it is abandoned, or its order is refused or cancelled and no word of
    /// that is to go. At most `limit` of each; says whether there may be more.
    ///
    /// *Durability*: what is waited for and how far the rule has looked are one transaction, without a
    /// leaf: nothing was told. *Ordering*: in commit order, so nothing is passed over. *Concurrency*: any.
    /// *Retry*: repeat it.
    async fn watch_due(&self, rule: DueRule, at: Instant, limit: u32) -> Result<bool, StoreError>;

    /// What had not gone out by its time, up to `at`, and was told to nobody, those due first first; then
    /// what was told and went out since. What is waited for alone, so ask after [`Store::watch_due`].
    async fn late_messages(&self, at: Instant, limit: u32) -> Result<Vec<LateMessage>, StoreError>;

    /// Tells people that a message did not go out in time. False when it did meanwhile, or they were told;
    /// nothing was written then.
    ///
    /// *Durability*: the exception and the leaf are one transaction. *Ordering*: any. *Concurrency*: of two
    /// the first counts. *Retry*: repeat it.
    async fn tell_late(
        &self,
        message: u64,
        exception: NewException,
        at: Instant,
        leaf: Leaf,
    ) -> Result<bool, StoreError>;

    /// Says that a message went out late: it is waited for no more, and its exception is closed where it
    /// is open. False when it did not go out, or nobody waits for it; nothing was written then.
    ///
    /// *Durability*: both and the leaf are one transaction. *Ordering*: any. *Concurrency*: of two the first
    /// counts. *Retry*: repeat it.
    async fn end_late(&self, message: u64, at: Instant, leaf: Leaf) -> Result<bool, StoreError>;

    /// Records that an attempt begins. The effect may happen only after it. From here on
    /// its lease counts, not that of the claim: what came before took its own time.
    ///
    /// *Durability*: the attempt's number, that its outcome is open, its lease, and the
    /// leaf are one transaction. *Ordering*: attempts of a delivery count up from 1.
    /// *Concurrency*: fails with [`StoreError::LeaseLost`] when the row was claimed
    /// again or settled since. *Retry*: claim again when the lease has ended and
    /// [`Lease::ask_at`] has come, which a later opening does not shorten; a permit
    /// that is [`Permit::unresolved`] says that the attempt is on record, and then the
    /// target is asked before anything is sent.
    async fn begin_attempt(&self, permit: Permit, lease: Lease, leaf: Leaf) -> Result<Attempt, StoreError>;

    /// Records how an attempt ended.
    ///
    /// *Durability*: the delivery's state, what its connector remembers, an exception if
    /// there is one, and the leaf are one transaction. *Ordering*: after its attempt. *Concurrency*: fails with
    /// [`StoreError::LeaseLost`] as above; the target is then asked by the new holder.
    /// *Retry*: claim again when the lease has ended; a delivery that was settled for
    /// good is not claimed any more.
    async fn settle(
        &self,
        attempt: Attempt,
        settlement: Settlement,
        at: Instant,
        leaf: Leaf,
    ) -> Result<Settled, StoreError>;

    /// Records an outcome without a new attempt: an earlier one was found to
    /// have happened, or the look-up failed, or the message could not be made.
    ///
    /// *Durability, ordering, concurrency, retry*: as [`Store::settle`].
    async fn settle_unattempted(
        &self,
        permit: Permit,
        settlement: Settlement,
        at: Instant,
        leaf: Leaf,
    ) -> Result<Settled, StoreError>;

    /// Deliveries that wait for a person, in the order of their exceptions' numbers,
    /// from the one after `after` on.
    async fn dead_letters(&self, after: u64, limit: u32) -> Result<Vec<DeadLetter>, StoreError>;

    /// The same of one target, and of one code where one is named: others take no place in the page.
    async fn dead_letters_of(
        &self,
        target: &str,
        code: Option<&str>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// Deliveries that a target took in a time, in the order in which they were decided. For a
    /// person who asks: it goes through the whole outbox, a page at most [`LOOKED_AT_MAX`] rows of
    /// it, so one may be empty and not the last.
    async fn delivered(&self, wanted: DeliveredWanted) -> Result<DeliveredPage, StoreError>;

    /// Has deliveries sent again that their target took: each is due at once, is asked about first
    /// as after an attempt without an outcome ([`Permit::unresolved`]), and keeps its id, its place
    /// among the deliveries of its order and, of a numbered one, the number, for which no answer
    /// counts any more. What the target called the order counts until it says otherwise. False where
    /// a replay with this digest is on record: nothing was written then.
    ///
    /// *Durability*: all deliveries, the replay and its leaves are one transaction. *Ordering*: any.
    /// *Concurrency*: each delivery has to be as it was shown, its order as well. *Retry*: repeat it;
    /// one that persisted says false.
    ///
    /// # Errors
    /// [`StoreError::DeliveryMoved`] where one was sent again, withheld or erased since it was
    /// shown, or its order is not to go any more; [`StoreError::ReplaysSpent`] after
    /// [`REPLAYS_MAX`] of them; [`StoreError::Failed`] without a delivery.
    async fn replay_delivered(&self, replay: NewReplay) -> Result<bool, StoreError>;

    /// The replay of what was shown with this digest; none where it is not on record.
    async fn replay_shown(&self, digest: Digest) -> Result<Option<ReplayView>, StoreError>;

    /// Replays after a number, in the order in which they were decided.
    async fn replays(&self, after: u64, limit: u32) -> Result<Vec<ReplayView>, StoreError>;

    /// Exceptions that are open, in the order of their numbers.
    async fn exceptions_wanted(&self, wanted: ExceptionsWanted) -> Result<Vec<ExceptionView>, StoreError>;

    /// All there is of an exception, open or closed; none when there is no such.
    async fn exception(&self, exception: u64) -> Result<Option<ExceptionTrail>, StoreError>;

    /// Open exceptions that are due by `at` and that nobody else was told of, those due first
    /// first.
    async fn due_exceptions(&self, at: Instant, limit: u32) -> Result<Vec<ExceptionView>, StoreError>;

    /// Exceptions whose open proposal expired by `at`, by number.
    async fn expired_proposals(&self, at: Instant, limit: u32) -> Result<Vec<u64>, StoreError>;

    /// What became of scorers' proposals, in hours (from 1970) that the period touches: how many
    /// of a kind met with the same.
    async fn weighed(&self, period: Period) -> Result<BTreeMap<WeighedProposal, u64>, StoreError>;

    /// Models' holds about which a person decided last after `after` and before `until`, in
    /// that order.
    async fn judged_holds(&self, after: After, until: Instant, limit: u32) -> Result<Vec<JudgedHold>, StoreError>;

    /// Steps of exceptions after `after` and before `until`, in that order.
    async fn steps_taken(&self, after: After, until: Instant, limit: u32) -> Result<Vec<StepTaken>, StoreError>;

    /// Orders that were decided after `after` and before `until`, in that order, each with what
    /// became of it so far. Costs what those orders have, however much else there is.
    async fn measured_orders(&self, after: After, until: Instant, limit: u32)
    -> Result<Vec<MeasuredOrder>, StoreError>;

    /// Records of what was done to the configuration and to packages, and of reconciliations, that
    /// were committed after `after` and before `until`, in that order. Costs what there is of those,
    /// however long the log is.
    async fn operation_leaves(
        &self,
        after: After,
        until: Instant,
        limit: u32,
    ) -> Result<Vec<OperationLeaf>, StoreError>;

    /// Every channel and target that a configuration had and that was used, or that the active one
    /// has, with since when it was there and in use: those that are channels first, by their names.
    async fn parts(&self) -> Result<Vec<PartView>, StoreError>;

    /// Open exceptions about plugins that are not called, after a number and in the order of their
    /// numbers, each with its pause.
    async fn paused_plugins(&self, after: u64, limit: u32) -> Result<Vec<(ExceptionView, PauseAbout)>, StoreError>;

    /// Whose an input is; none when there is no such.
    async fn input_sender(&self, input: InputId) -> Result<Option<(ChannelId, SenderId)>, StoreError>;

    /// Takes a step about an exception: who works on it, what somebody says or wants, who
    /// agrees, and what is decided, with what that causes.
    ///
    /// A delivery that is replayed is due at once: attempts go on counting, an earlier one is
    /// looked up first, and it keeps its place among the deliveries of its order. One that is
    /// abandoned keeps later ones of its order back no more. An order that is rejected is
    /// delivered nowhere, its holds end, and so does every exception about what kept it back; what
    /// the host says of it then is journaled where somebody hears it ([`Saying::is_heard`]), or a
    /// payment for it counts or waits. Who is to hear what became of a change has it delivered. A
    /// document that is decided again is undecided once more, as [`Store::undecided`] says.
    /// Holds end by [`Store::commit_review`] alone.
    ///
    /// *Durability*: the step, what it causes and its leaf are one transaction. *Ordering*:
    /// steps of an exception count up. *Concurrency*: of two on the same revision one
    /// succeeds, the other fails with [`StoreError::ExceptionMoved`]. *Retry*: read
    /// [`Store::exception`] again; a step that persisted is among its steps, and repeating it
    /// is [`StoreError::ExceptionMoved`] or [`StoreError::ExceptionClosed`].
    ///
    /// # Errors
    /// [`StoreError::NoException`]; [`StoreError::ExceptionClosed`];
    /// [`StoreError::ExceptionMoved`], also where it is claimed already, where it
    /// escalated before, where another proposal is open or another action was proposed, where an
    /// approval is a proposer's own, a second one, too late or the last one without what it
    /// carries out, where too few agreed, and where an order to be rejected is on its way, may
    /// have arrived, or is not kept back; [`StoreError::StepsSpent`] after [`STEPS_MAX`];
    /// [`StoreError::Failed`] where what is to happen is not what the action does to that kind;
    /// [`StoreError::NotDead`], [`StoreError::ReplaysSpent`] after [`REPLAYS_MAX`] of them, and
    /// [`StoreError::CancelRequested`] about a delivery.
    async fn step_exception(&self, step: NewStep) -> Result<(), StoreError>;

    /// How far a reconciliation is; of one that was never run, nothing.
    async fn reconciliation(&self, reconciliation: &str) -> Result<ReconciliationView, StoreError>;

    /// What blinds the digests in the leaf of a reconciliation's last run, so that whoever has both lists
    /// can show what it compared; none before the first.
    async fn reconciliation_key(&self, reconciliation: &str) -> Result<Option<PayloadKey>, StoreError>;

    /// Orders as far as they concern a target: a part of those that are not over, or these. An order
    /// that is not here is left out.
    async fn orders_at(&self, wanted: OrdersAtWanted) -> Result<OrdersAtPage, StoreError>;

    /// Events about orders that count or wait for their turn, a part of them, from the newest on.
    async fn said_at(&self, wanted: SaidWanted) -> Result<SaidPage, StoreError>;

    /// What runs of a reconciliation found and is not gone yet, by subject, in their order from
    /// the one after `after` on. One that somebody closed is among them.
    async fn findings(
        &self,
        reconciliation: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Finding)>, StoreError>;

    /// Keeps a run: opens exceptions of what is new, has those that stay say what it is like now,
    /// and closes those of what is gone.
    ///
    /// *Durability*: findings, exceptions, figures and the leaf are one transaction. *Ordering*:
    /// runs of a reconciliation count up from 1 in commit order. *Concurrency*: of two that began
    /// after the same run the first succeeds, and the other one hears
    /// [`StoreError::ReconciliationMoved`]. *Retry*: repeat it with the same leaf; where that is
    /// known, nothing is written.
    async fn commit_run(&self, run: NewRun) -> Result<(), StoreError>;

    /// Begins with these subscribers of notices: one that is not known yet stands where the last
    /// thing has happened, so that it hears of what comes; others are forgotten.
    ///
    /// *Durability*: one transaction. *Ordering*: any. *Concurrency*: the last caller's
    /// subscribers count. *Retry*: repeat it; one that is known stays where it is.
    async fn begin_notices(&self, subscribers: Vec<String>) -> Result<(), StoreError>;

    /// How far a subscriber was told; none when it is not known.
    async fn notice_place(&self, subscriber: &str) -> Result<Option<NoticePlace>, StoreError>;

    /// What happened after a place, at most so much: of each exception first that it opened and
    /// then its steps in their order, and of several in the order of their times as far as that goes.
    async fn happenings(&self, after: NoticePlace, limit: u32) -> Result<Vec<Happening>, StoreError>;

    /// Moves a subscriber on. False when it stands at neither of the two places: somebody else
    /// moved it, and whoever asks looks where it is.
    ///
    /// *Durability*: one transaction. *Ordering*: a subscriber's places follow each other.
    /// *Concurrency*: of two who move it from one place to others, one does. *Retry*: repeat
    /// it; one that stands at `to` already stays there.
    async fn move_notices(&self, subscriber: &str, from: NoticePlace, to: NoticePlace) -> Result<bool, StoreError>;

    /// From when on [`Store::claim`] finds a delivery if nothing else happens; none when
    /// no pending one is the oldest that its order has for its target and that may go. Costs as
    /// much as is under way, as a claim does.
    async fn next_due(&self) -> Result<Option<Instant>, StoreError>;

    /// The same where these targets take nothing: however long what waits for them is due, a claim
    /// that has no room for them does not find it.
    async fn next_due_without(&self, targets: BTreeSet<String>) -> Result<Option<Instant>, StoreError>;

    /// Whether something for a target, first in line of its order, came back since that wanted nothing any
    /// more ([`GONE`]), and waits all the same: people saw to it, and nobody knows yet whether it is wanted
    /// now. What they abandoned does not wait: where nothing else came back, nobody knows of it.
    async fn waits_since_gone(&self, target: &str) -> Result<bool, StoreError>;

    /// Opens a sealed payload.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when its key was destroyed.
    async fn payload(&self, kept: PayloadRef) -> Result<Vec<u8>, StoreError>;

    /// Opens sealed payloads, each with the key that blinds what is made of it, in the
    /// order of the questions. What is wrong with one is in its place.
    async fn payloads(&self, kept: Vec<PayloadRef>) -> Result<Vec<Result<OpenPayload, StoreError>>, StoreError>;

    /// All payloads about a subject: those sealed for it, and the
    /// documents and inputs that its orders came in, which were sealed for their
    /// sender before anybody knew whom they are about, and what people said about the
    /// exceptions of all these. Destroying their keys is
    /// what can be forgotten; `host/ARCHITECTURE.md` says what stays. Goes through
    /// all orders: for an erasure, not for every day.
    async fn payloads_about(&self, subject: Digest) -> Result<Vec<PayloadRef>, StoreError>;

    /// Inputs that were received before a time and whose content is still kept, in
    /// the order of that time and then of their ids, from the one after `after` on.
    /// Costs as much as it returns, however many were forgotten before.
    async fn kept_inputs(
        &self,
        before: Instant,
        after: Option<(Instant, InputId)>,
        limit: u32,
    ) -> Result<Vec<KeptInput>, StoreError>;

    /// Removes the content of finished inputs: keys and ciphertexts of all their
    /// payloads, the reply but for its status, the sentences about their orders and
    /// exceptions, what people said about those, and what connectors remember about their orders. What knows duplicates stays for good (ids, envelopes, keys and
    /// digests of documents), and so do the orders' rows and all leaves. None when
    /// one of the inputs is not finished or has no content any more; then nothing
    /// was removed.
    ///
    /// An input is finished when nothing about it is open: no document without a
    /// decision, no order that is held, routed or an exception, no delivery that is
    /// pending or dead, no open exception; and when the last of it came to rest before
    /// `before`.
    ///
    /// *Durability*: all of it and the leaf are one transaction. *Ordering*: any.
    /// *Concurrency*: an input is judged in the transaction that removes its content;
    /// of two that forget it one succeeds. *Retry*: repeat it; what was forgotten is
    /// not forgotten again.
    async fn forget(
        &self,
        inputs: Vec<InputId>,
        before: Instant,
        at: Instant,
        leaf: Leaf,
    ) -> Result<Option<Forgotten>, StoreError>;

    /// A connector's state about an order, by key: what [`Attempt::remembering`] committed.
    /// Nothing of another plugin's or another order's.
    async fn state(&self, plugin: &PluginName, order: OrderId) -> Result<BTreeMap<String, Vec<u8>>, StoreError>;

    /// Leaves without an index, in commit order: one that was seen here is never
    /// preceded by another one later.
    async fn unsequenced(&self, limit: u32) -> Result<Vec<UnsequencedLeaf>, StoreError>;

    /// The head of the log; none before the first.
    async fn tree_head(&self) -> Result<Option<TreeHead>, StoreError>;

    /// Gives the leaves the next indices and moves the head, if the head's size
    /// is still `expected_size` (0 before the first). False when it is not:
    /// another sequencer was faster, nothing was written.
    ///
    /// *Durability*: indices and head are one transaction; without a leaf, for it is
    /// about leaves. *Ordering*: in the order of the list, without a gap.
    /// *Concurrency*: compare and set; of two with the same expectation one succeeds.
    /// *Retry*: read [`Store::tree_head`] and continue from there; repeating one that
    /// persisted returns false.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a leaf is missing or has an index already, and
    /// [`StoreError::Failed`] when the head does not fit; nothing was written.
    async fn append_sequenced(
        &self,
        expected_size: u64,
        leaves: Vec<Digest>,
        head: TreeHead,
    ) -> Result<bool, StoreError>;

    /// Leaves with an index, from one on, in order: index, id, canonical record.
    async fn sequenced(&self, from: u64, limit: u32) -> Result<Vec<(u64, Digest, Vec<u8>)>, StoreError>;

    /// A leaf's index; none when it has none yet or is unknown. For a person who has
    /// nothing but the id: it costs the more the longer the log is.
    async fn leaf_index(&self, id: Digest) -> Result<Option<u64>, StoreError>;

    /// Counts.
    async fn summary(&self) -> Result<Summary, StoreError>;

    /// Orders with a position above `after`, in order.
    async fn orders(&self, after: DocumentPosition, limit: u32) -> Result<Vec<OrderView>, StoreError>;

    /// What is known of orders that are to be decided, in the order of the questions.
    async fn order_standings(&self, ids: Vec<OrderId>) -> Result<Vec<OrderStanding>, StoreError>;

    /// The newest levels of items, in the order of the questions; none of one that nobody spoke of.
    async fn item_standings(&self, ids: Vec<ItemId>) -> Result<Vec<Option<ItemStanding>>, StoreError>;

    /// The orders that others know by these names, in the order of the questions; of each name
    /// two at most, since already those are too many to tell which is meant.
    async fn orders_named(&self, names: Vec<OrderName>) -> Result<Vec<Vec<OrderId>>, StoreError>;

    /// Where an order came from; none for an unknown order.
    async fn order_origin(&self, order: OrderId) -> Result<Option<OrderOrigin>, StoreError>;

    /// What came about an order after the event with this number, in the order in which it was
    /// decided; nothing of an order that is not here, whatever waits for it.
    async fn order_events(&self, order: OrderId, after: u64, limit: u32) -> Result<Vec<OrderEventView>, StoreError>;

    /// Events about an order that wait for their turn, in journal order.
    async fn early_events(&self, order: OrderId) -> Result<Vec<EarlyEvent>, StoreError>;

    /// One order.
    async fn order(&self, id: OrderId) -> Result<Option<OrderView>, StoreError>;

    /// Orders with the sender's number, lowest position first: several partners may
    /// use the same one. Goes through all orders: for a person who asks, not for the
    /// road.
    async fn orders_numbered(&self, number: &str, limit: u32) -> Result<Vec<OrderView>, StoreError>;

    /// Orders in one state with a position above `after`, in order.
    async fn orders_in(
        &self,
        state: OrderState,
        after: DocumentPosition,
        limit: u32,
    ) -> Result<Vec<OrderView>, StoreError>;

    /// Where an order came from and what is on record about it; none for an
    /// unknown order. Costs as much as the order has leaves.
    async fn order_trail(&self, id: OrderId) -> Result<Option<OrderTrail>, StoreError>;

    /// The documents of an input, in order; none for an unknown input.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when the key of one was destroyed.
    async fn input_documents(&self, input: InputId, limit: u32) -> Result<Vec<DocumentView>, StoreError>;

    /// The channel that a document came by, and when its input was received; none for an unknown
    /// document. Outlives the document's content.
    async fn document_received(&self, document: DocumentPosition) -> Result<Option<(ChannelId, Instant)>, StoreError>;

    /// Open exceptions with an id above `after`, oldest first.
    async fn exceptions_after(&self, after: u64, limit: u32) -> Result<Vec<ExceptionView>, StoreError>;

    /// Open exceptions, oldest first.
    async fn exceptions(&self, limit: u32) -> Result<Vec<ExceptionView>, StoreError>;

    /// Fingerprints of all decisions, in journal order: what was decided,
    /// without times, keys and salts.
    async fn decision_fingerprints(
        &self,
        after: DocumentPosition,
        limit: u32,
    ) -> Result<Vec<(DocumentPosition, Digest)>, StoreError>;

    /// Carries out a change of an account, of what proves it, or of both.
    ///
    /// *Durability*: the change, what it ends and its leaf are one transaction. *Ordering*:
    /// the changes of an account count up from 1 in commit order. *Concurrency*: of two that
    /// saw the same account the first succeeds, and the other one hears
    /// [`StoreError::PersonMoved`]. *Retry*: repeat it with the same leaf; where that is
    /// known, nothing is written.
    ///
    /// # Errors
    /// [`StoreError::UnknownPerson`], [`StoreError::PersonExists`],
    /// [`StoreError::NotTheFirstPerson`], [`StoreError::PersonDisabled`],
    /// [`StoreError::LastAdministrator`] and [`StoreError::TooManyKeys`] as they say;
    /// nothing was written.
    async fn change_person(&self, change: NewPersonChange) -> Result<(), StoreError>;

    /// Says that a session or a key was shown. Of one that ended or is unknown, nothing.
    ///
    /// *Durability*: its time; without a leaf, for it allows nothing. *Ordering*: the latest
    /// time counts. *Concurrency*: any. *Retry*: repeat it.
    async fn credential_used(&self, credential: Digest, at: Instant) -> Result<(), StoreError>;

    /// An account.
    async fn person(&self, name: &PersonName) -> Result<Option<Person>, StoreError>;

    /// Accounts with a name after `after`, in the order of their names.
    async fn people(&self, after: Option<&PersonName>, limit: u32) -> Result<Vec<PersonView>, StoreError>;

    /// The session or key with this digest, ended or not, and whose it is; none where
    /// there never was one, or a session that is over was cleared away.
    async fn presented(&self, credential: Digest) -> Result<Option<Presented>, StoreError>;
}
