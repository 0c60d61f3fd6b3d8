//! Going through a whole log: what anybody can do who has its leaves, a
//! checkpoint and the log's public key. No store, no host, no secrets.
//!
//! It checks that the leaves are exactly those that the checkpoint was signed
//! over; that a checkpoint kept elsewhere is a prefix of them, so that nothing
//! was cut off or rewritten since; that each leaf is the canonical form of a
//! record; and that the stages come in order: accept before decide, one decision
//! on a document, a release before an attempt, an attempt before its receipt, nothing sent
//! again after it was applied, unless a person had just that replayed, and of each account all
//! records. What a decision should have been is not its business; re-deriving that needs the
//! sealed payloads. Nor are the tables that a host works by and shows: they are no leaves, and
//! whoever changes them leaves a log that verifies.
//!
//! It reads leaves one by one. Memory grows with the number of inputs, orders
//! and outbox rows (some tens of bytes each), not with the size of the leaves.

mod accounts;

use std::collections::{HashMap, HashSet};

use portreeve_model::{Digest, Matter, OrderId};

use self::accounts::Accounts;
use crate::canonical::RecordError;
use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, VerifierKey};
use crate::leaf::{
    AcceptLeaf, AcceptOutcome, AttemptLeaf, CHANGE_ANSWERED, DecideLeaf, DecidedState, DocumentPosition, ExceptionLeaf,
    Leaf, LeafBody, Listed, REJECTED, REPLAYED, ReceiptLeaf, ReceiptOutcome, ReplayLeaf, ReviewLeaf,
};
use crate::merkle::{Edge, MerkleError, leaf_hash};

/// Where a log differs from what its checkpoint promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The checkpoint itself is wrong.
    #[error("the checkpoint does not verify: {0}")]
    Checkpoint(CheckpointError),
    /// The checkpoint that was kept elsewhere is wrong.
    #[error("the outside checkpoint does not verify: {0}")]
    OutsideCheckpoint(CheckpointError),
    /// The log is shorter than it once was.
    #[error(
        "the log was rolled back: its checkpoint has {found} leaves, the outside checkpoint has {expected}; restore the newer data"
    )]
    RolledBack {
        /// Leaves under the log's own checkpoint.
        found: u64,
        /// Leaves under the checkpoint that was kept elsewhere.
        expected: u64,
    },
    /// A leaf's bytes are not those that were appended.
    #[error("leaf {index} was changed: its bytes hash to {found}; expected {expected}")]
    LeafChanged {
        /// Index of the leaf, from 0.
        index: u64,
        /// The hash of its bytes.
        found: Digest,
        /// The hash that the log kept for this index.
        expected: Digest,
    },
    /// A leaf's bytes are no record.
    #[error("leaf {index} is no readable record: {reason}")]
    LeafUnreadable {
        /// Index of the leaf, from 0.
        index: u64,
        /// What is wrong with it.
        reason: RecordError,
    },
    /// A stage is out of order.
    #[error("leaf {index} is out of order: {fault}")]
    OutOfOrder {
        /// Index of the leaf, from 0.
        index: u64,
        /// What is missing before it.
        fault: OrderFault,
    },
    /// Fewer leaves than the checkpoint says.
    #[error("the log ends after leaf {found}; its checkpoint has {expected} leaves")]
    TooShort {
        /// Leaves that were read.
        found: u64,
        /// Leaves under the checkpoint.
        expected: u64,
    },
    /// More leaves than the checkpoint says.
    #[error("the log goes on after the {expected} leaves of its checkpoint")]
    TooLong {
        /// Leaves under the checkpoint.
        expected: u64,
    },
    /// The leaves are not the checkpoint's.
    #[error("the first {size} leaves have root {found}; the checkpoint says {expected}")]
    RootDiffers {
        /// Leaves under the root.
        size: u64,
        /// The root over the leaves that were read.
        found: Digest,
        /// The root that was signed.
        expected: Digest,
    },
    /// The leaves are not those of the checkpoint that was kept elsewhere.
    #[error("the log was rewritten: its first {size} leaves have root {found}; the outside checkpoint says {expected}")]
    Rewritten {
        /// Leaves under the root.
        size: u64,
        /// The root over the leaves that were read.
        found: Digest,
        /// The root that was signed.
        expected: Digest,
    },
    /// More leaves than a tree can have.
    #[error(transparent)]
    Tree(#[from] MerkleError),
}

/// What a stage lacks before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderFault {
    /// An input whose documents were accepted came again.
    #[error("the documents of input {input} were accepted before")]
    AcceptedTwice {
        /// The host's id of the input.
        input: Digest,
    },
    /// A decision about nothing.
    #[error("a decision on document {document}, which no earlier leaf accepted")]
    DecidedUnaccepted {
        /// The document.
        document: DocumentPosition,
    },
    /// Two decisions about the same document.
    #[error("a second decision on document {document}; a document is decided on once")]
    DecidedTwice {
        /// The document.
        document: DocumentPosition,
    },
    /// A delivery that nobody decided.
    #[error("a delivery for order {order}, which no earlier leaf decided on")]
    DeliveredUndecided {
        /// The order.
        order: OrderId,
    },
    /// A delivery of what was to be kept back.
    #[error("a delivery for order {order}, which the last decision on it left {}; only a released order is delivered", word(*.found))]
    DeliveredUnreleased {
        /// The order.
        order: OrderId,
        /// Where the last decision left it.
        found: DecidedState,
    },
    /// A word about holds of an order that nobody decided.
    #[error("holds of order {order} were looked at, which no earlier leaf decided on")]
    ReviewedUndecided {
        /// The order.
        order: OrderId,
    },
    /// A word about holds of an order that has none, or that its sender wants cancelled.
    #[error("holds of order {order} were looked at, which the last decision on it left {}; only an order that is kept back has any, and one that failed or is to be cancelled is released by none", word(*.found))]
    ReviewedUnheld {
        /// The order.
        order: OrderId,
        /// Where the last decision left it.
        found: DecidedState,
    },
    /// An attempt number that does not follow.
    #[error("attempt {found} of outbox row {outbox} after attempt {last}")]
    AttemptNumber {
        /// Digest of the outbox row's id.
        outbox: Digest,
        /// The attempt in the leaf.
        found: u32,
        /// The last attempt before it; 0 for none.
        last: u32,
    },
    /// A delivery of what nobody said.
    #[error("a delivery for {} of event {event}, which no earlier leaf decided on as one about that", called(*.matter))]
    DeliveredUnsaid {
        /// The order or the item.
        matter: Matter,
        /// Commitment to the event.
        event: Digest,
    },
    /// An outbox row that delivers something else than before.
    #[error("outbox row {outbox} delivers another event than its first attempt did")]
    OtherEvent {
        /// Digest of the outbox row's id.
        outbox: Digest,
    },
    /// An outbox row that changed hands.
    #[error("outbox row {outbox} is for {}; its first attempt was for {}", called(*.found), called(*.expected))]
    OtherMatter {
        /// Digest of the outbox row's id.
        outbox: Digest,
        /// The order or the item in the leaf.
        found: Matter,
        /// That in the first attempt.
        expected: Matter,
    },
    /// A delivery of which nobody can say what it is about.
    #[error("a delivery of outbox row {outbox} for neither an order nor an item, or for both; expected one of them")]
    OfNothing {
        /// Digest of the outbox row's id.
        outbox: Digest,
    },
    /// Something was sent again though it had arrived.
    #[error("outbox row {outbox} goes on after the target took it")]
    AfterApplied {
        /// Digest of the outbox row's id.
        outbox: Digest,
    },
    /// Somebody had sent again what no target had taken.
    #[error("outbox row {outbox} was to be sent again, though no earlier leaf says that its target took it")]
    ReplayedUntaken {
        /// Digest of the outbox row's id.
        outbox: Digest,
    },
    /// A record of a replay that does not say what it lets go.
    #[error("a record of replay {replay} names fewer outbox rows than it is about")]
    ReplayUnnamed {
        /// Digest of what was shown.
        replay: Digest,
    },
    /// Parts of a replay that are not of one replay.
    #[error("part {part} of replay {replay} does not fit: {why}")]
    ReplayPart {
        /// Digest of what was shown.
        replay: Digest,
        /// Which part.
        part: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A message left with words that no two people agreed on.
    #[error("attempt {attempt} of outbox row {outbox} has a correction that no earlier leaf says was agreed on")]
    CorrectedByNobody {
        /// Digest of the outbox row's id.
        outbox: Digest,
        /// Which attempt.
        attempt: u32,
    },
    /// Something was sent again though it had ended, and no person asked for it.
    #[error("attempt {attempt} of outbox row {outbox} after it had ended; no earlier leaf has it tried again")]
    AfterEnd {
        /// Digest of the outbox row's id.
        outbox: Digest,
        /// The attempt in the leaf.
        attempt: u32,
    },
    /// An effect that no attempt preceded.
    #[error("a receipt for attempt {attempt} of outbox row {outbox}, which no earlier leaf announced")]
    ReceiptWithoutAttempt {
        /// Digest of the outbox row's id.
        outbox: Digest,
        /// The attempt in the leaf.
        attempt: u32,
    },
    /// An account that nobody made.
    #[error("a record of account `{person}`, which no earlier leaf made")]
    UnknownAccount {
        /// The account.
        person: String,
    },
    /// An account that is there already.
    #[error("account `{person}` is made a second time")]
    AccountTwice {
        /// The account.
        person: String,
    },
    /// An account that nobody was asked about, though somebody could have been.
    #[error("account `{person}` is made as the first one, and earlier leaves made others")]
    NotTheFirstAccount {
        /// The account.
        person: String,
    },
    /// A record of an account is missing.
    #[error("record {found} of account `{person}`, expected {expected}; one is missing")]
    AccountRecord {
        /// The account.
        person: String,
        /// The number in the leaf.
        found: u64,
        /// The one after the last.
        expected: u64,
    },
    /// A session of an account that had none to begin.
    #[error("account `{person}` signed in while it was disabled")]
    DisabledSignedIn {
        /// The account.
        person: String,
    },
}

/// What was found in a log that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The log's name.
    pub origin: String,
    /// Leaves in the log.
    pub entries: u64,
    /// The root over them, as signed.
    pub root: Digest,
    /// Leaves under the checkpoint that was kept elsewhere, if one was given.
    pub outside_entries: Option<u64>,
    /// How many leaves there are of each kind.
    pub kinds: KindCounts,
    /// Outbox rows whose last attempt has no receipt yet, or one that says
    /// `retry` or `unknown`.
    pub unsettled: u64,
}

/// How many leaves there are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindCounts {
    /// `configuration` and `reference`.
    pub configuration: u64,
    /// `accept`.
    pub accept: u64,
    /// `decide`.
    pub decide: u64,
    /// `attempt`.
    pub attempt: u64,
    /// `receipt`.
    pub receipt: u64,
    /// `exception`.
    pub exception: u64,
    /// `retention`.
    pub retention: u64,
    /// `package`.
    pub package: u64,
    /// `review`.
    pub review: u64,
    /// `escalation`.
    pub escalation: u64,
    /// `person`.
    pub person: u64,
    /// `session`.
    pub session: u64,
    /// `overdue`.
    pub overdue: u64,
    /// `late`.
    pub late: u64,
    /// `poll`.
    pub poll: u64,
    /// `subscription`.
    pub subscription: u64,
    /// `reconciliation`.
    pub reconciliation: u64,
    /// `replay`.
    pub replay: u64,
}

/// Verifies a log from first leaf to last.
///
/// # Errors
/// At the first difference, with the index of the leaf where there is one.
pub fn verify_log<Bytes: AsRef<[u8]>>(
    leaves: impl IntoIterator<Item = Bytes>,
    checkpoint: &SignedCheckpoint,
    key: &VerifierKey,
    outside: Option<&SignedCheckpoint>,
) -> Result<VerifyReport, VerifyError> {
    let mut verifier = Verifier::new(checkpoint, key, outside)?;
    for bytes in leaves {
        verifier.leaf(None, bytes.as_ref())?;
    }
    verifier.finish()
}

/// A verification under way, for a caller that reads leaves in batches.
#[derive(Debug)]
pub struct Verifier {
    checkpoint: Checkpoint,
    outside: Option<Checkpoint>,
    edge: Edge,
    stages: StageOrder,
    kinds: KindCounts,
}

impl Verifier {
    /// Starts with the checkpoints.
    ///
    /// # Errors
    /// When one of them does not verify, or the log is shorter than the one that
    /// was kept elsewhere.
    pub fn new(
        checkpoint: &SignedCheckpoint,
        key: &VerifierKey,
        outside: Option<&SignedCheckpoint>,
    ) -> Result<Self, VerifyError> {
        let checkpoint = checkpoint.verify(key).map_err(VerifyError::Checkpoint)?;
        let outside = outside.map(|outside| outside.verify(key)).transpose().map_err(VerifyError::OutsideCheckpoint)?;
        if let Some(outside) = &outside
            && outside.size() > checkpoint.size()
        {
            return Err(VerifyError::RolledBack { found: checkpoint.size(), expected: outside.size() });
        }
        let verifier = Self {
            checkpoint,
            outside,
            edge: Edge::new(),
            stages: StageOrder::default(),
            kinds: KindCounts::default(),
        };
        verifier.compare_roots()?;
        Ok(verifier)
    }

    /// How many leaves have been read; the index of the next one.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.edge.size()
    }

    /// Takes the next leaf. `stored_hash` is what the log keeps for this index,
    /// where it keeps that apart from the bytes; it names the leaf that was
    /// changed, which a root alone cannot.
    ///
    /// # Errors
    /// When the leaf differs from its hash, is no record or is out of order, and
    /// when the leaves so far are not those of a checkpoint that ends here.
    pub fn leaf(&mut self, stored_hash: Option<&Digest>, bytes: &[u8]) -> Result<(), VerifyError> {
        let index = self.edge.size();
        if index >= self.checkpoint.size() {
            return Err(VerifyError::TooLong { expected: self.checkpoint.size() });
        }
        let found = leaf_hash(bytes);
        if let Some(expected) = stored_hash
            && *expected != found
        {
            return Err(VerifyError::LeafChanged { index, found, expected: *expected });
        }
        let record = Leaf::parse(bytes).map_err(|reason| VerifyError::LeafUnreadable { index, reason })?;
        self.stages.take(&record.body).map_err(|fault| VerifyError::OutOfOrder { index, fault })?;
        self.kinds.count(&record.body);
        self.edge.append(found)?;
        self.compare_roots()
    }

    /// Ends: all leaves of the checkpoint must have been read.
    ///
    /// # Errors
    /// When there were fewer.
    pub fn finish(self) -> Result<VerifyReport, VerifyError> {
        if self.edge.size() != self.checkpoint.size() {
            return Err(VerifyError::TooShort { found: self.edge.size(), expected: self.checkpoint.size() });
        }
        Ok(VerifyReport {
            origin: self.checkpoint.origin().to_owned(),
            entries: self.edge.size(),
            root: self.checkpoint.root(),
            outside_entries: self.outside.as_ref().map(Checkpoint::size),
            kinds: self.kinds,
            unsettled: self.stages.unsettled(),
        })
    }

    /// Check: where a checkpoint ends, the leaves so far have its root.
    fn compare_roots(&self) -> Result<(), VerifyError> {
        let size = self.edge.size();
        if let Some(outside) = &self.outside
            && outside.size() == size
            && outside.root() != self.edge.root()
        {
            return Err(VerifyError::Rewritten { size, found: self.edge.root(), expected: outside.root() });
        }
        if self.checkpoint.size() == size && self.checkpoint.root() != self.edge.root() {
            return Err(VerifyError::RootDiffers { size, found: self.edge.root(), expected: self.checkpoint.root() });
        }
        Ok(())
    }
}

impl KindCounts {
    fn count(&mut self, body: &LeafBody) {
        let counter = match body {
            LeafBody::Configuration(_) | LeafBody::Reference(_) => &mut self.configuration,
            LeafBody::Accept(_) => &mut self.accept,
            LeafBody::Decide(_) => &mut self.decide,
            LeafBody::Attempt(_) => &mut self.attempt,
            LeafBody::Receipt(_) => &mut self.receipt,
            LeafBody::Exception(_) => &mut self.exception,
            LeafBody::Retention(_) => &mut self.retention,
            LeafBody::Package(_) => &mut self.package,
            LeafBody::Review(_) => &mut self.review,
            LeafBody::Escalation(_) => &mut self.escalation,
            LeafBody::Person(_) => &mut self.person,
            LeafBody::Session(_) => &mut self.session,
            LeafBody::Overdue(_) => &mut self.overdue,
            LeafBody::Late(_) => &mut self.late,
            LeafBody::Poll(_) => &mut self.poll,
            LeafBody::Subscription(_) => &mut self.subscription,
            LeafBody::Reconciliation(_) => &mut self.reconciliation,
            LeafBody::Replay(_) => &mut self.replay,
        };
        *counter = counter.saturating_add(1);
    }
}

/// What has happened so far, as far as the order of stages depends on it.
#[derive(Debug, Default)]
struct StageOrder {
    /// Input → documents of it that were accepted.
    accepted: HashMap<Digest, u32>,
    decided: HashSet<DocumentPosition>,
    /// Those of them that became no order: a person may have them decided on again.
    undecidable: HashSet<DocumentPosition>,
    /// Order → where the last decision on it left it.
    orders: HashMap<OrderId, DecidedState>,
    /// Commitment to what was said of an order or an item and may have effects → which. Of an order
    /// that was released, or is told while it is kept back, its own event is among these.
    said: HashMap<Digest, Matter>,
    /// Order that was not released yet → the commitment to its own event.
    untold: HashMap<OrderId, Digest>,
    /// Order → the commitments to changes of it that nobody answered.
    changes: HashMap<OrderId, Vec<Digest>>,
    outbox: HashMap<Digest, OutboxRow>,
    /// Outbox row → commitments to what two people had it sent again with.
    agreed: HashMap<Digest, Vec<Digest>>,
    /// Replay → its last part so far, and how many rows its parts named.
    replays: HashMap<Digest, (ReplayLeaf, u32)>,
    accounts: Accounts,
}

#[derive(Debug)]
struct OutboxRow {
    matter: Matter,
    /// What it delivers, as its first leaf says.
    event: Option<Digest>,
    last_attempt: u32,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No receipt yet, or one that leaves the outcome open.
    Open,
    /// The target took it.
    Applied,
    /// Ended otherwise; only a person may have it sent again, and that is on record.
    Ended,
}

impl StageOrder {
    fn take(&mut self, body: &LeafBody) -> Result<(), OrderFault> {
        match body {
            LeafBody::Accept(accept) => self.accept(accept),
            LeafBody::Decide(decide) => self.decide(decide),
            LeafBody::Attempt(attempt) => self.attempt(attempt),
            LeafBody::Receipt(receipt) => self.receipt(receipt),
            LeafBody::Exception(exception) => self.exception(exception),
            LeafBody::Review(review) => self.review(review),
            LeafBody::Replay(replay) => self.replay(replay),
            LeafBody::Escalation(_)
            | LeafBody::Overdue(_)
            | LeafBody::Late(_)
            | LeafBody::Poll(_)
            | LeafBody::Subscription(_)
            | LeafBody::Reconciliation(_) => Ok(()),
            LeafBody::Person(person) => self.accounts.person(person),
            LeafBody::Session(session) => self.accounts.session(session),
            LeafBody::Configuration(_) | LeafBody::Reference(_) | LeafBody::Retention(_) | LeafBody::Package(_) => {
                Ok(())
            }
        }
    }

    /// A review moves an order that is kept back, and nothing else; what its sender wants
    /// cancelled it does not release.
    fn review(&mut self, leaf: &ReviewLeaf) -> Result<(), OrderFault> {
        let before = self.kept_back(leaf.order)?;
        match (before, leaf.state) {
            (DecidedState::CancelRequested, DecidedState::Released) => {
                Err(OrderFault::ReviewedUnheld { order: leaf.order, found: before })
            }
            // What failed otherwise stays so, whatever the host makes of its holds.
            (DecidedState::Exception, state) if state != DecidedState::Exception && leaf.who.is_none() => {
                Err(OrderFault::ReviewedUnheld { order: leaf.order, found: before })
            }
            (DecidedState::CancelRequested, _) => Ok(()),
            (_, state) => {
                self.orders.insert(leaf.order, state);
                if state == DecidedState::Released
                    && let Some(event) = self.untold.remove(&leaf.order)
                {
                    self.said.insert(event, leaf.order.into());
                }
                Ok(())
            }
        }
    }

    /// Check: the order is kept back. Where it stands.
    fn kept_back(&self, order: OrderId) -> Result<DecidedState, OrderFault> {
        match self.orders.get(&order).copied() {
            Some(
                state @ (DecidedState::Held
                | DecidedState::Routed
                | DecidedState::Exception
                | DecidedState::CancelRequested),
            ) => Ok(state),
            Some(found) => Err(OrderFault::ReviewedUnheld { order, found }),
            None => Err(OrderFault::ReviewedUndecided { order }),
        }
    }

    fn accept(&mut self, accept: &AcceptLeaf) -> Result<(), OrderFault> {
        let documents = match accept.outcome {
            AcceptOutcome::Documents => accept.documents.count(),
            AcceptOutcome::Rejected | AcceptOutcome::Unparsed | AcceptOutcome::DuplicateRefused => 0,
        };
        // What was kept unread may be read later; what was read is not read again.
        match self.accepted.insert(accept.input, documents) {
            None | Some(0) => Ok(()),
            Some(_) => Err(OrderFault::AcceptedTwice { input: accept.input }),
        }
    }

    fn decide(&mut self, decide: &DecideLeaf) -> Result<(), OrderFault> {
        let document = decide.document;
        let documents = self.accepted.get(&document.input).copied().unwrap_or(0);
        if document.index >= documents {
            return Err(OrderFault::DecidedUnaccepted { document });
        }
        // What became no order may be decided on again, by a person's word.
        let again = self.undecidable.remove(&document);
        if !self.decided.insert(document) && !again {
            return Err(OrderFault::DecidedTwice { document });
        }
        if decide.order.is_none()
            && decide.about.is_none()
            && decide.item.is_none()
            && decide.state == DecidedState::Exception
        {
            self.undecidable.insert(document);
        }
        if let Some(order) = decide.order {
            // An order may come after its own cancellation, which it does not undo.
            let cancelled = self.orders.get(&order) == Some(&DecidedState::CancelRequested);
            let state = if cancelled { DecidedState::CancelRequested } else { decide.state };
            self.orders.insert(order, state);
            match (decide.event, state) {
                (Some(event), DecidedState::Released) => drop(self.said.insert(event, order.into())),
                // What the rules refused nobody hears of, whatever its leaf says.
                (Some(event), _) if decide.told && decide.state != DecidedState::Refused => {
                    self.said.insert(event, order.into());
                }
                (Some(event), _) => drop(self.untold.insert(order, event)),
                (None, _) => {}
            }
        }
        // What waits for its turn has its effects later.
        if let (Some(order), Some(event)) = (decide.about, decide.event)
            && matches!(decide.state, DecidedState::Applied | DecidedState::Early | DecidedState::CancelRequested)
        {
            self.said.insert(event, order.into());
        }
        // A level that was out of date when it came goes nowhere.
        if let (Some(item), Some(event), DecidedState::Applied) = (decide.item, decide.event, decide.state) {
            self.said.insert(event, item.into());
        }
        if let (Some(order), Some(event), DecidedState::Changed) = (decide.about, decide.event, decide.state) {
            self.changes.entry(order).or_default().push(event);
        }
        // A change leaves its order where it is; a request to cancel does not.
        if let (Some(order), DecidedState::CancelRequested) = (decide.about, decide.state) {
            self.orders.insert(order, decide.state);
        }
        Ok(())
    }

    fn attempt(&mut self, leaf: &AttemptLeaf) -> Result<(), OrderFault> {
        let matter = leaf.matter().ok_or(OrderFault::OfNothing { outbox: leaf.outbox })?;
        self.decided_on(leaf.outbox, matter, leaf.event)?;
        if let Some(corrected) = leaf.corrected
            && !self.agreed.get(&leaf.outbox).is_some_and(|agreed| agreed.contains(&corrected))
        {
            return Err(OrderFault::CorrectedByNobody { outbox: leaf.outbox, attempt: leaf.attempt });
        }
        let row = self.row(leaf.outbox, matter, leaf.event)?;
        if leaf.attempt <= row.last_attempt {
            return Err(OrderFault::AttemptNumber { outbox: leaf.outbox, found: leaf.attempt, last: row.last_attempt });
        }
        if row.progress == Progress::Ended {
            return Err(OrderFault::AfterEnd { outbox: leaf.outbox, attempt: leaf.attempt });
        }
        row.last_attempt = leaf.attempt;
        row.progress = Progress::Open;
        Ok(())
    }

    /// What a person had tried again goes on; what was ended stays ended. What a person
    /// rejected was kept back, and goes nowhere from then on.
    fn exception(&mut self, leaf: &ExceptionLeaf) -> Result<(), OrderFault> {
        if let Some(order) = leaf.order.filter(|_| leaf.code.as_str() == REJECTED) {
            self.kept_back(order)?;
            self.orders.insert(order, DecidedState::Refused);
        }
        // What people made of a change may be told: with its own words.
        if let Some(order) = leaf.order.filter(|_| CHANGE_ANSWERED.contains(&leaf.code.as_str())) {
            let answered = self.changes.remove(&order).unwrap_or_default();
            self.said.extend(answered.into_iter().map(|event| (event, Matter::Order(order))));
        }
        if let Some(outbox) = leaf.outbox.filter(|_| leaf.code.as_str() == REPLAYED) {
            if let (Some(_), Some(record)) = (&leaf.agreed, leaf.record) {
                self.agreed.entry(outbox).or_default().push(record);
            }
            if let Some(row) = self.outbox.get_mut(&outbox)
                && row.progress == Progress::Ended
            {
                row.progress = Progress::Open;
            }
        }
        Ok(())
    }

    /// What a target took goes on where a person has it sent again, row by row.
    fn replay(&mut self, leaf: &ReplayLeaf) -> Result<(), OrderFault> {
        if u32::try_from(leaf.outboxes.shown().len()) != Ok(leaf.outboxes.count()) {
            return Err(OrderFault::ReplayUnnamed { replay: leaf.replay });
        }
        self.replay_part(leaf)?;
        for outbox in leaf.outboxes.shown() {
            match self.outbox.get_mut(outbox) {
                Some(row) if row.progress == Progress::Applied => row.progress = Progress::Open,
                Some(_) | None => return Err(OrderFault::ReplayedUntaken { outbox: *outbox }),
            }
        }
        Ok(())
    }

    /// Check: the parts of a replay say the same of it, come one after the other and name as many
    /// rows as it is of. One whose last parts are not in the log yet is no fault.
    fn replay_part(&mut self, leaf: &ReplayLeaf) -> Result<(), OrderFault> {
        let ReplayLeaf { replay, part, parts, count, .. } = *leaf;
        let wrong = |why| Err(OrderFault::ReplayPart { replay, part, why });
        let (last, named) = match self.replays.get(&replay) {
            Some((before, named)) if before.says_the_same(leaf) => (before.part, *named),
            Some(_) => return wrong("it says something else of the replay than the part before it"),
            None => (0, 0),
        };
        if part.checked_sub(1) != Some(last) || part > parts {
            return wrong("the parts of a replay come one after the other, each once");
        }
        let named = named.saturating_add(leaf.outboxes.count());
        if named > count || (part == parts && named < count) {
            return wrong("its parts name another number of outbox rows than the replay is of");
        }
        // What it named is looked at row by row, and need not be kept.
        let kept = ReplayLeaf { outboxes: Listed::none(), ..leaf.clone() };
        self.replays.insert(replay, (kept, named));
        Ok(())
    }

    fn receipt(&mut self, leaf: &ReceiptLeaf) -> Result<(), OrderFault> {
        let matter = leaf.matter().ok_or(OrderFault::OfNothing { outbox: leaf.outbox })?;
        let is_cancelled = |order| self.orders.get(&order) == Some(&DecidedState::CancelRequested);
        let cancelled = leaf.event.is_none() && matter.order().is_some_and(is_cancelled);
        let row = self.row(leaf.outbox, matter, leaf.event)?;
        // A target's answer needs the attempt that it answers; what a look-up
        // says needs some attempt before; only giving up and waiting need none.
        let announced = match leaf.outcome {
            ReceiptOutcome::Applied | ReceiptOutcome::Rejected => leaf.attempt != 0 && leaf.attempt == row.last_attempt,
            ReceiptOutcome::Found | ReceiptOutcome::Unknown | ReceiptOutcome::Absent => row.last_attempt != 0,
            ReceiptOutcome::Retry | ReceiptOutcome::Dead => true,
        };
        if !announced {
            return Err(OrderFault::ReceiptWithoutAttempt { outbox: leaf.outbox, attempt: leaf.attempt });
        }
        row.progress = match leaf.outcome {
            ReceiptOutcome::Applied | ReceiptOutcome::Found => Progress::Applied,
            ReceiptOutcome::Rejected | ReceiptOutcome::Dead => Progress::Ended,
            // Nothing is in doubt any more, and nothing begins after such a request.
            ReceiptOutcome::Absent if cancelled => Progress::Ended,
            ReceiptOutcome::Absent | ReceiptOutcome::Retry | ReceiptOutcome::Unknown => Progress::Open,
        };
        Ok(())
    }

    /// Check: an earlier leaf decided on what is delivered. The order goes as its last decision
    /// left it; what was said of it goes whatever became of the order, and may undo it.
    fn decided_on(&self, outbox: Digest, matter: Matter, event: Option<Digest>) -> Result<(), OrderFault> {
        match (event, matter) {
            (None, Matter::Order(order)) => self.released(order),
            // Of an item there is nothing but what was said.
            (None, Matter::Item(_)) => Err(OrderFault::OfNothing { outbox }),
            (Some(event), matter) => match self.said.get(&event) {
                Some(of) if *of == matter => Ok(()),
                Some(_) | None => Err(OrderFault::DeliveredUnsaid { matter, event }),
            },
        }
    }

    /// Check: the last decision on the order released it.
    fn released(&self, order: OrderId) -> Result<(), OrderFault> {
        match self.orders.get(&order).copied() {
            Some(DecidedState::Released) => Ok(()),
            Some(found) => Err(OrderFault::DeliveredUnreleased { order, found }),
            None => Err(OrderFault::DeliveredUndecided { order }),
        }
    }

    /// Check: what it delivers was decided on when its row began, the row is of that order or
    /// item, and the target has not taken it yet.
    fn row(&mut self, outbox: Digest, matter: Matter, event: Option<Digest>) -> Result<&mut OutboxRow, OrderFault> {
        if !self.outbox.contains_key(&outbox) {
            self.decided_on(outbox, matter, event)?;
        }
        let row =
            self.outbox.entry(outbox).or_insert(OutboxRow { matter, event, last_attempt: 0, progress: Progress::Open });
        if row.matter != matter {
            return Err(OrderFault::OtherMatter { outbox, found: matter, expected: row.matter });
        }
        if row.event != event {
            return Err(OrderFault::OtherEvent { outbox });
        }
        if row.progress == Progress::Applied {
            return Err(OrderFault::AfterApplied { outbox });
        }
        Ok(row)
    }

    fn unsettled(&self) -> u64 {
        let open = self.outbox.values().filter(|row| row.progress == Progress::Open).count();
        u64::try_from(open).unwrap_or(u64::MAX)
    }
}

fn called(matter: Matter) -> String {
    match matter {
        Matter::Order(order) => format!("order {order}"),
        Matter::Item(item) => format!("item {item}"),
    }
}

/// The state as its record spells it.
fn word(state: DecidedState) -> &'static str {
    match state {
        DecidedState::Released => "released",
        DecidedState::Held => "held",
        DecidedState::Routed => "routed",
        DecidedState::Refused => "refused",
        DecidedState::Exception => "an exception",
        DecidedState::Duplicate => "a duplicate",
        DecidedState::Changed => "changed",
        DecidedState::CancelRequested => "asked to be cancelled",
        DecidedState::Applied | DecidedState::Again | DecidedState::Early | DecidedState::Impossible => {
            "what a system said of it"
        }
        DecidedState::Acknowledged => "acknowledged by a receiver",
        DecidedState::Outdated => "a level that was out of date",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

    use portreeve_model::{ChannelId, Instant};

    use super::*;
    use crate::leaf::{Code, DocumentRecord, Label};
    use crate::{LogKey, merkle};

    fn key() -> LogKey {
        LogKey::from_bytes("example.com/log", &[3; 32]).unwrap()
    }

    fn order() -> OrderId {
        OrderId::parse("3f0c1b0a-5d7c-4c3e-9a52-6d1f0c7be2a4").unwrap()
    }

    fn input(number: u8) -> Digest {
        Digest::of(&[number])
    }

    fn accept(number: u8) -> LeafBody {
        let document = DocumentRecord {
            index: 0,
            key_digest: Digest::of(b"key"),
            kind: Code::of("x12/850"),
            commitment: Digest::of(b"document"),
        };
        LeafBody::Accept(AcceptLeaf {
            input: input(number),
            channel: ChannelId::parse("edi").unwrap(),
            sender: Label::of("ACME"),
            content: Digest::of(b"content"),
            crossing: None,
            documents: Listed::of(vec![document]).unwrap(),
            problems: Listed::none(),
            numbers: Listed::none(),
            envelopes: Listed::none(),
            outcome: AcceptOutcome::Documents,
        })
    }

    fn decide(number: u8, index: u32) -> LeafBody {
        decide_as(number, index, DecidedState::Released)
    }

    fn decide_as(number: u8, index: u32, state: DecidedState) -> LeafBody {
        LeafBody::Decide(DecideLeaf {
            order: Some(order()),
            about: None,
            item: None,
            document: DocumentPosition { input: input(number), index },
            event: Some(Digest::of(b"event")),
            configuration: 1,
            crossings: Listed::none(),
            proposals: Listed::none(),
            policy_holds: Listed::none(),
            state,
            told: false,
            decision: Some(Digest::of(b"decision")),
            clock: Instant(0),
        })
    }

    fn attempt(attempt: u32) -> LeafBody {
        LeafBody::Attempt(AttemptLeaf {
            event: None,
            outbox: Digest::of(b"order/erp/sales-order"),
            order: Some(order()),
            item: None,
            target: Code::of("erp"),
            attempt,
            message: Some(Digest::of(b"message")),
            looked_up: None,
            crossing: None,
            corrected: None,
            numbers: Listed::none(),
        })
    }

    fn receipt(attempt: u32, outcome: ReceiptOutcome) -> LeafBody {
        LeafBody::Receipt(ReceiptLeaf {
            event: None,
            outbox: Digest::of(b"order/erp/sales-order"),
            order: Some(order()),
            item: None,
            attempt,
            outcome,
            external_id: None,
            crossing: None,
        })
    }

    fn bytes_of(bodies: Vec<LeafBody>) -> Vec<Vec<u8>> {
        bodies.into_iter().map(|body| Leaf::new("host-1", Instant(5), body).unwrap().bytes().to_vec()).collect()
    }

    fn head(leaves: &[Vec<u8>]) -> SignedCheckpoint {
        let hashes: Vec<Digest> = leaves.iter().map(|bytes| leaf_hash(bytes)).collect();
        key().sign(leaves.len() as u64, merkle::root(&hashes).unwrap())
    }

    fn usual() -> Vec<Vec<u8>> {
        bytes_of(vec![
            accept(1),
            decide(1, 0),
            attempt(1),
            receipt(1, ReceiptOutcome::Unknown),
            attempt(2),
            receipt(2, ReceiptOutcome::Applied),
        ])
    }

    fn check(leaves: &[Vec<u8>]) -> Result<VerifyReport, VerifyError> {
        verify_log(leaves, &head(leaves), &key().verifier(), None)
    }

    #[test]
    fn verifies_a_log_and_counts_it() {
        let leaves = usual();
        let outside = head(&leaves[..3]);
        let report = verify_log(&leaves, &head(&leaves), &key().verifier(), Some(&outside)).unwrap();
        assert_eq!((report.entries, report.outside_entries), (6, Some(3)));
        assert_eq!((report.kinds.attempt, report.unsettled), (2, 0));
        assert_eq!(check(&leaves[..5]).unwrap().unsettled, 1);
        assert_eq!(check(&[]).unwrap().entries, 0);
    }

    #[test]
    fn tells_an_attempt_that_a_person_asked_for_from_one_that_nobody_did() {
        let resolved = |code: &str| {
            LeafBody::Exception(ExceptionLeaf {
                order: Some(order()),
                outbox: Some(Digest::of(b"order/erp/sales-order")),
                who: Some(Label::of("operator")),
                ..ExceptionLeaf::of(1, Code::of("deliver"), Code::of(code))
            })
        };
        for ended in [ReceiptOutcome::Dead, ReceiptOutcome::Rejected] {
            let story = |between: Vec<LeafBody>| {
                let begin = vec![accept(1), decide(1, 0), attempt(1), receipt(1, ended)];
                check(&bytes_of([begin, between, vec![attempt(2), receipt(2, ReceiptOutcome::Applied)]].concat()))
            };
            assert_eq!(story(vec![resolved(REPLAYED)]).unwrap().unsettled, 0);
            for nobody in [Vec::new(), vec![resolved("abandoned")]] {
                let found = story(nobody);
                let expected = |fault: &OrderFault| matches!(fault, OrderFault::AfterEnd { attempt: 2, .. });
                assert!(matches!(&found, Err(VerifyError::OutOfOrder { fault, .. }) if expected(fault)), "{found:?}");
            }
        }
    }

    #[test]
    fn what_a_target_took_is_sent_again_only_where_a_person_had_just_that_replayed() {
        let row = Digest::of(b"order/erp/sales-order");
        let replayed = |outboxes: Vec<Digest>| {
            LeafBody::Replay(ReplayLeaf {
                replay: Digest::of(b"replay"),
                target: Code::of("erp"),
                channel: None,
                message: None,
                since: Instant(0),
                until: Instant(1),
                count: 1,
                part: 1,
                parts: 1,
                outboxes: Listed::of(outboxes).unwrap(),
                who: Label::of("olga"),
                record: Digest::of(b"record"),
            })
        };
        let log = |begun: &[LeafBody], rest: &[LeafBody]| {
            check(&bytes_of([&[accept(1), decide(1, 0)][..], begun, rest].concat()))
        };
        let taken = [attempt(1), receipt(1, ReceiptOutcome::Applied)];
        let sent = [replayed(vec![row]), attempt(2), receipt(2, ReceiptOutcome::Applied)];
        assert_eq!(log(&taken, &sent).unwrap().kinds.replay, 1);
        log(&taken, &[replayed(vec![row]), receipt(2, ReceiptOutcome::Found)]).unwrap();
        assert_eq!(log(&taken, &sent[..1]).unwrap().unsettled, 1, "it is under way again");
        let fault = |found: Result<VerifyReport, VerifyError>| match found {
            Err(VerifyError::OutOfOrder { fault, .. }) => Some(fault),
            Ok(_) | Err(_) => None,
        };
        let other = [replayed(vec![Digest::of(b"another row")]), attempt(2)];
        assert_eq!(
            fault(log(&taken, &other)),
            Some(OrderFault::ReplayedUntaken { outbox: Digest::of(b"another row") })
        );
        assert_eq!(
            fault(log(&taken[..1], &sent)),
            Some(OrderFault::ReplayedUntaken { outbox: row }),
            "nobody took it yet"
        );
        let twice = [&sent[..], &[attempt(3)]].concat();
        assert_eq!(fault(log(&taken, &twice)), Some(OrderFault::AfterApplied { outbox: row }), "once for each replay");
        let many = replayed(vec![row; ReplayLeaf::OUTBOXES_MAX + 1]);
        assert_eq!(fault(log(&taken, &[many])), Some(OrderFault::ReplayUnnamed { replay: Digest::of(b"replay") }));
    }

    #[test]
    fn the_parts_of_a_replay_are_of_one_replay_and_name_all_of_it() {
        let rows: Vec<Digest> = (0_u8..2).map(|number| Digest::of(&[number])).collect();
        let of = |leaf: LeafBody, row: Digest| match leaf {
            LeafBody::Attempt(leaf) => LeafBody::Attempt(AttemptLeaf { outbox: row, ..leaf }),
            LeafBody::Receipt(leaf) => LeafBody::Receipt(ReceiptLeaf { outbox: row, ..leaf }),
            other => other,
        };
        let taken =
            rows.iter().flat_map(|row| [attempt(1), receipt(1, ReceiptOutcome::Applied)].map(|leaf| of(leaf, *row)));
        let begun: Vec<LeafBody> = [accept(1), decide(1, 0)].into_iter().chain(taken).collect();
        let part = |part: u32, outboxes: &[Digest]| ReplayLeaf {
            replay: Digest::of(b"replay"),
            target: Code::of("erp"),
            channel: None,
            message: None,
            since: Instant(0),
            until: Instant(1),
            count: 2,
            part,
            parts: 2,
            outboxes: Listed::of(outboxes.to_vec()).unwrap(),
            who: Label::of("olga"),
            record: Digest::of(b"record"),
        };
        let log = |parts: &[ReplayLeaf]| {
            let parts = parts.iter().cloned().map(LeafBody::Replay);
            match check(&bytes_of(begun.iter().cloned().chain(parts).collect())) {
                Err(VerifyError::OutOfOrder { fault: OrderFault::ReplayPart { part, .. }, .. }) => Err(part),
                other => Ok(other.unwrap().kinds.replay),
            }
        };
        let (first, second) = (part(1, &rows[..1]), part(2, &rows[1..]));
        assert_eq!(log(&[first.clone(), second.clone()]), Ok(2));
        assert_eq!(log(std::slice::from_ref(&first)), Ok(1), "the sequencer has not come to the other one yet");
        assert_eq!(log(std::slice::from_ref(&second)), Err(2), "the first is missing");
        assert_eq!(log(&[ReplayLeaf { count: 1, ..first.clone() }, second.clone()]), Err(2));
        assert_eq!(log(&[ReplayLeaf { count: 1, parts: 1, ..part(1, &rows) }]), Err(1), "more than were shown");
        assert_eq!(log(&[first.clone(), part(2, &[])]), Err(2), "fewer than were shown");
        let others = [
            ReplayLeaf { target: Code::of("wms"), ..second.clone() },
            ReplayLeaf { until: Instant(2), ..second.clone() },
            ReplayLeaf { who: Label::of("ben"), ..second.clone() },
            ReplayLeaf { record: Digest::of(b"other words"), ..second.clone() },
            ReplayLeaf { parts: 3, ..second.clone() },
            ReplayLeaf { part: 3, parts: 3, ..second },
        ];
        for other in others {
            let number = other.part;
            assert_eq!(log(&[first.clone(), other]), Err(number));
        }
    }

    #[test]
    fn tells_a_correction_that_two_people_agreed_on_from_one_that_nobody_did() {
        let words = Digest::of(b"words");
        let resolved = |agreed: bool| {
            let agreed = agreed.then(|| Listed::of(vec![Label::of("anna"), Label::of("ben")]).unwrap());
            LeafBody::Exception(ExceptionLeaf {
                order: Some(order()),
                outbox: Some(Digest::of(b"order/erp/sales-order")),
                who: Some(Label::of("ben")),
                agreed,
                record: Some(words),
                ..ExceptionLeaf::of(1, Code::of("deliver"), Code::of(REPLAYED))
            })
        };
        let corrected = |found: Digest| match attempt(2) {
            LeafBody::Attempt(leaf) => LeafBody::Attempt(AttemptLeaf { corrected: Some(found), ..leaf }),
            other => other,
        };
        let story = |agreed: bool, found: Digest| {
            let begin = [accept(1), decide(1, 0), attempt(1), receipt(1, ReceiptOutcome::Dead), resolved(agreed)];
            check(&bytes_of([&begin[..], &[corrected(found), receipt(2, ReceiptOutcome::Applied)]].concat()))
        };
        assert_eq!(story(true, words).unwrap().unsettled, 0);
        for (agreed, found) in [(false, words), (true, Digest::of(b"other words"))] {
            let found = story(agreed, found);
            let expected = |fault: &OrderFault| matches!(fault, OrderFault::CorrectedByNobody { attempt: 2, .. });
            assert!(matches!(&found, Err(VerifyError::OutOfOrder { fault, .. }) if expected(fault)), "{found:?}");
        }
    }

    #[test]
    fn names_the_leaf_whose_bytes_were_changed() {
        let leaves = usual();
        let head = head(&leaves);
        for changed in 0..leaves.len() {
            let mut verifier = Verifier::new(&head, &key().verifier(), None).unwrap();
            let found = leaves.iter().enumerate().try_for_each(|(at, bytes)| {
                let stored = leaf_hash(bytes);
                let mut bytes = bytes.clone();
                if at == changed {
                    bytes[20] ^= 1;
                }
                verifier.leaf(Some(&stored), &bytes)
            });
            let index = changed as u64;
            assert!(matches!(found, Err(VerifyError::LeafChanged { index: at, .. }) if at == index));
        }
    }

    #[test]
    fn finds_leaves_that_were_cut_off_added_or_exchanged() {
        let leaves = usual();
        let key = key().verifier();
        let whole = head(&leaves);
        let cut = verify_log(&leaves[..5], &whole, &key, None);
        assert_eq!(cut, Err(VerifyError::TooShort { found: 5, expected: 6 }));
        let added = verify_log(&leaves, &head(&leaves[..5]), &key, None);
        assert_eq!(added, Err(VerifyError::TooLong { expected: 5 }));
        let mut exchanged = leaves.clone();
        exchanged[0] = bytes_of(vec![accept(1), accept(2)]).remove(0);
        exchanged[5] = bytes_of(vec![receipt(2, ReceiptOutcome::Found)]).remove(0);
        let found = verify_log(&exchanged, &whole, &key, None);
        assert!(matches!(found, Err(VerifyError::RootDiffers { size: 6, .. })), "{found:?}");
    }

    #[test]
    fn finds_a_log_that_was_rewritten_and_signed_again() {
        let leaves = usual();
        let key = key().verifier();
        let outside = head(&leaves);
        // Whoever owns the database and the key can sign another past ...
        let mut rewritten = usual();
        rewritten[5] = bytes_of(vec![receipt(2, ReceiptOutcome::Found)]).remove(0);
        let found = verify_log(&rewritten, &head(&rewritten), &key, Some(&outside));
        assert!(matches!(found, Err(VerifyError::Rewritten { size: 6, .. })), "{found:?}");
        // ... or a shorter one.
        let shorter = &leaves[..4];
        let found = verify_log(shorter, &head(shorter), &key, Some(&outside));
        assert_eq!(found, Err(VerifyError::RolledBack { found: 4, expected: 6 }));
    }

    #[test]
    fn finds_stages_out_of_order() {
        for (bodies, index) in [
            (vec![accept(1), accept(1)], 1),
            (vec![decide(1, 0)], 0),
            (vec![accept(1), decide(1, 1)], 1),
            (vec![accept(1), attempt(1)], 1),
            (vec![accept(1), decide(1, 0), receipt(1, ReceiptOutcome::Applied)], 2),
            (vec![accept(1), decide(1, 0), attempt(1), receipt(2, ReceiptOutcome::Applied)], 3),
            (vec![accept(1), decide(1, 0), attempt(1), attempt(1)], 3),
            (vec![accept(1), decide(1, 0), attempt(1), receipt(1, ReceiptOutcome::Applied), attempt(2)], 4),
        ] {
            let found = check(&bytes_of(bodies));
            assert!(matches!(found, Err(VerifyError::OutOfOrder { index: at, .. }) if at == index), "{found:?}");
        }
    }

    #[test]
    fn finds_a_delivery_of_what_was_not_released() {
        for state in [
            DecidedState::Held,
            DecidedState::Routed,
            DecidedState::Refused,
            DecidedState::Exception,
            DecidedState::Duplicate,
        ] {
            for delivery in [attempt(1), receipt(1, ReceiptOutcome::Dead)] {
                let found = check(&bytes_of(vec![accept(1), decide_as(1, 0, state), delivery])).unwrap_err();
                let fault = OrderFault::DeliveredUnreleased { order: order(), found: state };
                assert_eq!(found, VerifyError::OutOfOrder { index: 2, fault });
                assert!(found.to_string().contains(word(state)), "{found}");
            }
        }
    }

    #[test]
    fn follows_an_order_that_is_decided_on_again() {
        let held_later = [accept(1), decide(1, 0), attempt(1), accept(2), decide_as(2, 0, DecidedState::Held)];
        let with = |leaf| held_later.iter().cloned().chain([leaf]).collect::<Vec<_>>();
        check(&bytes_of(with(receipt(1, ReceiptOutcome::Applied)))).unwrap();
        assert!(check(&bytes_of(with(attempt(2)))).is_err(), "what is under way ends, and nothing begins");
        let released_later = vec![accept(1), decide_as(1, 0, DecidedState::Held), accept(2), decide(2, 0), attempt(1)];
        check(&bytes_of(released_later)).unwrap();
    }

    #[test]
    fn finds_a_delivery_that_begins_after_its_order_was_to_be_cancelled() {
        let later = |number: u8, state| match decide_as(number, 0, state) {
            LeafBody::Decide(decide) => LeafBody::Decide(DecideLeaf { order: None, about: Some(order()), ..decide }),
            other => other,
        };
        let log = |state, rest: &[LeafBody]| {
            let begun = [accept(1), decide(1, 0), attempt(1), accept(2), later(2, state)];
            check(&bytes_of(begun.into_iter().chain(rest.iter().cloned()).collect()))
        };
        let again = [receipt(1, ReceiptOutcome::Retry), attempt(2)];
        log(DecidedState::Changed, &again).unwrap();
        log(DecidedState::CancelRequested, &again[..1]).unwrap();
        let found = log(DecidedState::CancelRequested, &again).unwrap_err();
        let fault = OrderFault::DeliveredUnreleased { order: order(), found: DecidedState::CancelRequested };
        assert_eq!(found, VerifyError::OutOfOrder { index: 6, fault });
    }

    #[test]
    fn finds_a_delivery_of_what_nobody_said_of_its_order() {
        let (said, other) = (Digest::of(b"said"), OrderId::parse("0b9a1c7e-2f7d-4d1b-8a54-aa0c5d1f6e21").unwrap());
        let later = |about, state| match decide_as(2, 0, state) {
            LeafBody::Decide(decide) => {
                LeafBody::Decide(DecideLeaf { order: None, about: Some(about), event: Some(said), ..decide })
            }
            unlike => unlike,
        };
        let of = |event, leaf| match leaf {
            LeafBody::Attempt(attempt) => LeafBody::Attempt(AttemptLeaf { event, ..attempt }),
            LeafBody::Receipt(receipt) => LeafBody::Receipt(ReceiptLeaf { event, ..receipt }),
            unlike => unlike,
        };
        let log = |decision, event, rest: &[LeafBody]| {
            let begun = [accept(1), decide(1, 0), accept(2), decision];
            let rest = rest.iter().cloned().map(|leaf| of(event, leaf));
            check(&bytes_of(begun.into_iter().chain(rest).collect()))
        };
        let whole = [attempt(1), receipt(1, ReceiptOutcome::Retry), attempt(2), receipt(2, ReceiptOutcome::Applied)];
        for state in [DecidedState::Applied, DecidedState::Early, DecidedState::CancelRequested] {
            log(later(order(), state), Some(said), &whole).unwrap();
        }
        // Where there is nothing to attempt, the end alone shows what it was for.
        for rest in [&whole[..1], &[receipt(1, ReceiptOutcome::Dead)]] {
            for (decision, event) in [
                (later(order(), DecidedState::Applied), Digest::of(b"something else")),
                (later(order(), DecidedState::Impossible), said),
                (later(other, DecidedState::Applied), said),
            ] {
                let found = log(decision, Some(event), rest).unwrap_err();
                let fault = OrderFault::DeliveredUnsaid { matter: order().into(), event };
                assert_eq!(found, VerifyError::OutOfOrder { index: 4, fault });
            }
        }
    }

    #[test]
    fn finds_word_of_an_order_that_was_not_released() {
        let own = Some(Digest::of(b"event"));
        let word = match attempt(1) {
            LeafBody::Attempt(attempt) => LeafBody::Attempt(AttemptLeaf { event: own, ..attempt }),
            unlike => unlike,
        };
        let review = LeafBody::Review(ReviewLeaf {
            order: order(),
            closed: Listed::none(),
            opened: Listed::none(),
            state: DecidedState::Released,
            configuration: 1,
            review: Digest::of(b"review"),
            who: None,
        });
        let cancel = match decide_as(2, 0, DecidedState::CancelRequested) {
            LeafBody::Decide(decide) => {
                LeafBody::Decide(DecideLeaf { order: None, about: Some(order()), event: None, ..decide })
            }
            unlike => unlike,
        };
        let log = |rest: Vec<LeafBody>| check(&bytes_of([accept(1)].into_iter().chain(rest).collect()));
        let held = decide_as(1, 0, DecidedState::Held);
        let told = |state| match decide_as(1, 0, state) {
            LeafBody::Decide(decide) => LeafBody::Decide(DecideLeaf { told: true, ..decide }),
            unlike => unlike,
        };
        log(vec![decide(1, 0), word.clone()]).unwrap();
        // Where the decision says so, somebody hears that it waits; the order itself goes nowhere.
        for state in [DecidedState::Held, DecidedState::Routed, DecidedState::Exception] {
            log(vec![told(state), word.clone()]).unwrap();
            assert!(log(vec![told(state), attempt(1)]).is_err(), "{state:?}");
        }
        assert!(log(vec![told(DecidedState::Refused), word.clone()]).is_err());
        log(vec![decide(1, 0), accept(2), cancel, word.clone()]).unwrap();
        log(vec![held.clone(), review, word.clone()]).unwrap();
        let found = log(vec![held, word]).unwrap_err();
        let fault = OrderFault::DeliveredUnsaid { matter: order().into(), event: Digest::of(b"event") };
        assert_eq!(found, VerifyError::OutOfOrder { index: 2, fault });
    }

    #[test]
    fn a_review_releases_what_is_kept_back_and_nothing_else() {
        let review = |state| {
            LeafBody::Review(ReviewLeaf {
                order: order(),
                closed: Listed::none(),
                opened: Listed::none(),
                state,
                configuration: 1,
                review: Digest::of(b"review"),
                who: None,
            })
        };
        let log = |first: DecidedState, rest: Vec<LeafBody>| {
            let leaves = [accept(1), decide_as(1, 0, first)].into_iter().chain(rest).collect();
            check(&bytes_of(leaves))
        };
        let sent = || vec![review(DecidedState::Released), attempt(1)];
        for kept_back in [DecidedState::Held, DecidedState::Routed] {
            log(kept_back, sent()).unwrap();
            assert!(log(kept_back, vec![review(kept_back), attempt(1)]).is_err(), "it still holds");
        }
        log(DecidedState::Exception, vec![review(DecidedState::Exception)]).unwrap();
        for found in [DecidedState::Released, DecidedState::Refused, DecidedState::Exception] {
            let fault = OrderFault::ReviewedUnheld { order: order(), found };
            assert_eq!(log(found, sent()), Err(VerifyError::OutOfOrder { index: 2, fault }));
        }
        let by_person = |state| match review(state) {
            LeafBody::Review(review) => LeafBody::Review(ReviewLeaf { who: Some(Label::of("anna")), ..review }),
            other => other,
        };
        log(DecidedState::Exception, vec![by_person(DecidedState::Released), attempt(1)]).unwrap();
        let undecided = check(&bytes_of(vec![accept(1), review(DecidedState::Released)]));
        let fault = OrderFault::ReviewedUndecided { order: order() };
        assert_eq!(undecided, Err(VerifyError::OutOfOrder { index: 1, fault }));
    }

    #[test]
    fn what_a_person_rejected_was_kept_back_and_goes_nowhere() {
        let rejected = || {
            LeafBody::Exception(ExceptionLeaf {
                order: Some(order()),
                who: Some(Label::of("anna")),
                ..ExceptionLeaf::of(1, Code::of("decide"), Code::of(REJECTED))
            })
        };
        let log = |first: DecidedState, rest: Vec<LeafBody>| {
            check(&bytes_of([accept(1), decide_as(1, 0, first)].into_iter().chain(rest).collect()))
        };
        for kept_back in [DecidedState::Held, DecidedState::Routed, DecidedState::Exception] {
            log(kept_back, vec![rejected()]).unwrap();
            assert!(log(kept_back, vec![rejected(), attempt(1)]).is_err(), "it goes nowhere");
        }
        for found in [DecidedState::Released, DecidedState::Refused] {
            let fault = OrderFault::ReviewedUnheld { order: order(), found };
            assert_eq!(log(found, vec![rejected()]), Err(VerifyError::OutOfOrder { index: 2, fault }));
        }
    }

    #[test]
    fn finds_two_decisions_on_one_document() {
        for second in [DecidedState::Released, DecidedState::Held] {
            let log = vec![accept(1), decide_as(1, 0, DecidedState::Held), decide_as(1, 0, second)];
            let document = DocumentPosition { input: input(1), index: 0 };
            let fault = OrderFault::DecidedTwice { document };
            assert_eq!(check(&bytes_of(log)), Err(VerifyError::OutOfOrder { index: 2, fault }));
        }
    }

    #[test]
    fn lets_a_delivery_end_that_nothing_was_attempted_for() {
        let report = check(&bytes_of(vec![accept(1), decide(1, 0), receipt(1, ReceiptOutcome::Dead)]));
        assert_eq!(report.unwrap().unsettled, 0);
        let found = check(&bytes_of(vec![accept(1), decide(1, 0), attempt(1), receipt(2, ReceiptOutcome::Found)]));
        assert_eq!(found.unwrap().unsettled, 0);
        let unasked = check(&bytes_of(vec![accept(1), decide(1, 0), receipt(1, ReceiptOutcome::Found)]));
        assert!(unasked.is_err());
    }

    #[test]
    fn refuses_a_leaf_that_is_no_record() {
        let found = check(&[b"{}".to_vec()]);
        assert!(matches!(found, Err(VerifyError::LeafUnreadable { index: 0, .. })), "{found:?}");
    }
}
