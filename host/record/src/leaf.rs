//! What each stage writes into the audit log: one record, one leaf.
//!
//! ```json
//! {"at":"1767225600000","body":{"kind":"receipt",…},"host":"host-1","v":1}
//! ```
//!
//! Danger: a leaf can never be taken back, so nothing that a person may ask us
//! to forget belongs in it. Leaves hold codes, digests and positions. A guest
//! chooses some of those texts, and could put a name where a code belongs or
//! make a leaf too large to commit (which would lose the input): so each text
//! has a type ([`Code`], [`Place`], [`Label`]) that lets through only what the
//! host knows, and each list is a [`Listed`] that keeps the first items and the
//! digest of all. With both, no leaf exceeds [`LEAF_BYTES_MAX`].
//!
//! Payloads (inputs, documents, events, the full record of a decision) are
//! referred to by the commitment that [`mod@crate::seal`] gave them. What is made
//! of a payload, or could be guessed by somebody who knows a customer (what a
//! scorer was asked, answered and looked up, messages, identifiers of the target),
//! is blinded with a payload's key: [`crate::PayloadKey::blind_digest`]. Without
//! the key such a digest says nothing; with it, it is compared as any other. The digests of
//! a reconciliation are blinded with a key of their run, which is kept until the next one.
//!
//! An order's id is derived from channel, sender and order number. It is a
//! pseudonym that outlives erasure, as are the digests of outbox rows, which are
//! made of it. This module does not decide which leaf a stage writes, and does not
//! order them.

mod words;

use std::fmt;

use portreeve_model::value::text;
use portreeve_model::{ChannelId, Digest, Instant, ItemId, Matter, OrderId, PluginName};
use serde::{Deserialize, Serialize};

use crate::canonical::{RecordError, canonical_digest, canonical_json, parse_canonical};
use crate::merkle;

pub use words::{Code, Label, Place, REDACTED};

/// Canonical bytes of a leaf. A reader of the log holds a leaf in memory, and a
/// tile of 256 of them; the writer's lists are cut so that they always fit.
pub const LEAF_BYTES_MAX: usize = 16 * 1024;

/// The version of the record in a leaf that is written and read here.
pub const LEAF_VERSION: u32 = 1;

/// A record with its canonical bytes, ready to be committed with the state
/// change that it is about. Made by [`Leaf::new`] alone, so that whatever takes
/// a leaf knows that it is well-formed and fits.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaf {
    id: Digest,
    bytes: Vec<u8>,
}

impl Leaf {
    /// Writes down what happened on this host at this time of the store's clock.
    ///
    /// # Errors
    /// When the record has no canonical form or exceeds [`LEAF_BYTES_MAX`].
    pub fn new(host: &str, at: Instant, body: LeafBody) -> Result<Self, RecordError> {
        let bytes = canonical_json(&LeafRecord { v: LEAF_VERSION, host: Label::of(host), at, body })?;
        refuse_large(&bytes)?;
        Ok(Self { id: merkle::leaf_hash(&bytes), bytes })
    }

    /// Reads a leaf's bytes.
    ///
    /// # Errors
    /// When they are too many, of another version, no record, or not the
    /// canonical form of their record.
    pub fn parse(bytes: &[u8]) -> Result<LeafRecord, RecordError> {
        refuse_large(bytes)?;
        refuse_other_version(bytes)?;
        parse_canonical(bytes)
    }

    /// The RFC 6962 hash of the bytes, by which the log knows the leaf.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a leaf says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeafRecord {
    /// The record's version.
    pub v: u32,
    /// The host that committed it.
    pub host: Label,
    /// When, by the store's clock.
    pub at: Instant,
    /// What happened.
    pub body: LeafBody,
}

/// What happened, one case for each stage that commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LeafBody {
    /// Another version of the configuration became active.
    Configuration(ConfigurationLeaf),
    /// Another version of a reference table became active.
    Reference(ReferenceLeaf),
    /// An input was journaled.
    Accept(AcceptLeaf),
    /// A document was decided on.
    Decide(DecideLeaf),
    /// A message is about to leave.
    Attempt(AttemptLeaf),
    /// An attempt ended.
    Receipt(ReceiptLeaf),
    /// Something waits for a person.
    Exception(ExceptionLeaf),
    /// Content was removed because its retention ended.
    Retention(RetentionLeaf),
    /// A step in the life of a plugin's package.
    Package(PackageLeaf),
    /// Holds on an order were closed or opened after its decision.
    Review(ReviewLeaf),
    /// An exception was due, and nobody had decided.
    Escalation(EscalationLeaf),
    /// An account was made or changed.
    Person(PersonLeaf),
    /// Somebody signed in or out, or could not.
    Session(SessionLeaf),
    /// A receiver did not acknowledge in time what it was sent.
    Overdue(OverdueLeaf),
    /// A message did not go out by its time, or did so late.
    Late(LateLeaf),
    /// A poll failed so often that people were told, or works again.
    Poll(PollLeaf),
    /// A source is asked for a subscription, or answered.
    Subscription(SubscriptionLeaf),
    /// Two systems were compared, or could not be.
    Reconciliation(ReconciliationLeaf),
    /// What a target had taken is sent again, since it lost it.
    Replay(ReplayLeaf),
}

impl LeafBody {
    /// The word that stands in the record.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "configuration",
            Self::Reference(_) => "reference",
            Self::Accept(_) => "accept",
            Self::Decide(_) => "decide",
            Self::Attempt(_) => "attempt",
            Self::Receipt(_) => "receipt",
            Self::Exception(_) => "exception",
            Self::Retention(_) => "retention",
            Self::Package(_) => "package",
            Self::Review(_) => "review",
            Self::Escalation(_) => "escalation",
            Self::Person(_) => "person",
            Self::Session(_) => "session",
            Self::Overdue(_) => "overdue",
            Self::Late(_) => "late",
            Self::Poll(_) => "poll",
            Self::Subscription(_) => "subscription",
            Self::Reconciliation(_) => "reconciliation",
            Self::Replay(_) => "replay",
        }
    }
}

/// Another version of the configuration became active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigurationLeaf {
    /// The version, from 1.
    #[serde(with = "text")]
    pub version: u64,
    /// SHA-256 of its canonical form.
    pub digest: Digest,
    /// The account that activated it; an account, not a person's name.
    pub who: Label,
}

/// Another version of a reference table became active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceLeaf {
    /// The table's name.
    pub table: Code,
    /// Its version, from 1.
    #[serde(with = "text")]
    pub version: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// How many rows it has.
    #[serde(with = "text")]
    pub rows: u64,
    /// The account that loaded it; none in records from before that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Label>,
}

/// An input was journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptLeaf {
    /// The host's id of the input: a digest of channel, sender and all bytes.
    pub input: Digest,
    /// The channel that it came in by.
    pub channel: ChannelId,
    /// The sender as the host authenticated it.
    pub sender: Label,
    /// Commitment to the sealed input.
    pub content: Digest,
    /// The connector's call; none when no connector was asked (a quarantined one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<CrossingRecord>,
    /// The documents in it, by index.
    pub documents: Listed<DocumentRecord>,
    /// What the connector found wrong.
    pub problems: Listed<ProblemRecord>,
    /// Numbers that the reply used up.
    pub numbers: Listed<NumberRecord>,
    /// Envelopes that came before; whatever else was in the input came first with it.
    #[serde(default = "Listed::none", skip_serializing_if = "Listed::is_empty")]
    pub envelopes: Listed<EnvelopeRecord>,
    /// What became of the input.
    pub outcome: AcceptOutcome,
}

/// An envelope whose documents were left out, since its key came before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvelopeRecord {
    /// Its key, blinded with the input's: partners and control numbers are guessable.
    pub key_digest: Digest,
    /// With which bytes it came.
    pub outcome: EnvelopeOutcome,
}

/// With which bytes an envelope came again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvelopeOutcome {
    /// The same: it got its first answer.
    Repeated,
    /// Others: it was refused.
    Changed,
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcceptOutcome {
    /// Its documents were journaled.
    Documents,
    /// The connector rejected it with problems.
    Rejected,
    /// It was kept as bytes for a person; an exception says why.
    Unparsed,
    /// A known key came with another content and was refused.
    DuplicateRefused,
}

/// One document of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentRecord {
    /// Its index in the input, from 0.
    pub index: u32,
    /// [`crate::PayloadKey::blind`] of its business key. Keys can be personal (an
    /// e-mail address, a name in an order number) and short enough to be guessed
    /// from a plain digest. The key of the document blinds it.
    pub key_digest: Digest,
    /// What it is, for example `x12/850`.
    pub kind: Code,
    /// Commitment to the sealed document.
    pub commitment: Digest,
}

/// One thing that is wrong with an input, without the sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProblemRecord {
    /// Its code.
    pub code: Code,
    /// Byte offset in the input, where known.
    #[serde(default, with = "portreeve_model::value::text_option", skip_serializing_if = "Option::is_none")]
    pub offset_bytes: Option<u64>,
    /// One-based segment, line or element, where the format has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// The path in the format's own notation.
    pub path: Place,
}

/// A number that was taken from a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumberRecord {
    /// The range's name.
    pub range: Code,
    /// The number.
    #[serde(with = "text")]
    pub number: u64,
}

/// One document's place: an input, and an index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentPosition {
    /// The host's id of the input, as its accept leaf says.
    pub input: Digest,
    /// The document's index in the input, from 0.
    pub index: u32,
}

impl fmt::Display for DocumentPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of input {}", self.index, self.input)
    }
}

/// A document was decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecideLeaf {
    /// The order that it became; none for a duplicate, for what is about an earlier
    /// order, and for what could not be mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The order that it says something about; one that it changes or asks to cancel may be
    /// still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<OrderId>,
    /// The item that it says how much there is of; it is about no order then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The document.
    pub document: DocumentPosition,
    /// Commitment to the sealed event; none when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Digest>,
    /// The configuration that was active.
    #[serde(with = "text")]
    pub configuration: u64,
    /// The transformer's call and those of the scorers, in order.
    pub crossings: Listed<CrossingRecord>,
    /// What scorers proposed, and what became of each proposal.
    pub proposals: Listed<ProposalRecord>,
    /// Codes of the host's own rules that hold the order.
    pub policy_holds: Listed<Code>,
    /// What became of the order.
    pub state: DecidedState,
    /// Whether an order that is kept back is told all the same: somebody hears that it is, or a
    /// system has it with a block. Then its own event may leave before it is released; the order
    /// itself does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Commitment to the sealed full record of the decision; none when nothing
    /// was scored or decided beyond what stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Digest>,
    /// The clock that windows and expiry were computed with: the input's receipt
    /// or the store's time, as the full record says.
    pub clock: Instant,
}

/// What became of a document and its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedState {
    /// It goes on to its targets.
    Released,
    /// It waits: a policy hold or an advice hold.
    Held,
    /// It waits in a queue that somebody looks at first.
    Routed,
    /// It was answered with a business rejection.
    Refused,
    /// It could not be decided; a person has to.
    Exception,
    /// It repeats an earlier document and has no effect.
    Duplicate,
    /// It has other content for an earlier order, which stays as it was; a person has to act.
    Changed,
    /// It asks to cancel an order: from here on no delivery of it begins.
    CancelRequested,
    /// A system's word that moved an order along.
    Applied,
    /// A system's word that had been said before.
    Again,
    /// A system's word that waits for its turn.
    Early,
    /// A system's word that contradicts what is known, and counts for nothing.
    Impossible,
    /// A receiver's word of what the host sent it about the order.
    Acknowledged,
    /// A level of an item that was out of date when it came: a later one counts already.
    Outdated,
}

/// What a scorer proposed and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProposalRecord {
    /// The scorer.
    pub scorer: PluginName,
    /// The proposal's kind, for example `hold`.
    pub proposal: Code,
    /// What authority made of it.
    pub outcome: ProposalOutcome,
    /// The policy or grant that decided.
    pub policy: Code,
    /// The effect that it had, or why it had none.
    pub effect: Code,
    /// What narrowed or refused it: the first clause of the grant that was not met, or the code
    /// where no clause was to be met; none where it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<Code>,
}

/// What authority made of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProposalOutcome {
    /// It has the effect that was proposed.
    Granted,
    /// It has less effect than was proposed.
    Narrowed,
    /// It has no effect.
    Refused,
}

/// A message is about to leave. Commits before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttemptLeaf {
    /// Digest of the outbox row's id.
    pub outbox: Digest,
    /// The order, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The item, where it is about that: one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// Commitment to what was said of the order or the item, where that is delivered; none where
    /// the order itself is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Digest>,
    /// The target, as the configuration names it.
    pub target: Code,
    /// Which attempt of this row, from 1.
    pub attempt: u32,
    /// Digest of the message, blinded with the key of the event that it was
    /// rendered from; none when rendering failed and there is nothing to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Digest>,
    /// The connector's answer that an earlier attempt left no effect; none at a
    /// first attempt, where nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up: Option<CrossingRecord>,
    /// The transformer's call that rendered it; none when an earlier rendering
    /// is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<CrossingRecord>,
    /// Commitment to the sealed words of the person by whom the message is another one than the
    /// transformer made, which the crossing's output is; none where it is that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Digest>,
    /// Numbers that the message uses.
    pub numbers: Listed<NumberRecord>,
}

impl AttemptLeaf {
    /// What it is about; none where it names both or neither.
    #[must_use]
    pub fn matter(&self) -> Option<Matter> {
        one_matter(self.order, self.item)
    }
}

fn one_matter(order: Option<OrderId>, item: Option<ItemId>) -> Option<Matter> {
    match (order, item) {
        (Some(order), None) => Some(Matter::Order(order)),
        (None, Some(item)) => Some(Matter::Item(item)),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// An attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptLeaf {
    /// Digest of the outbox row's id.
    pub outbox: Digest,
    /// As in the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// As in the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// As in the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Digest>,
    /// Which attempt of this row, from 1. Where nothing was attempted (a look-up,
    /// a failed rendering), the attempt that it was for.
    pub attempt: u32,
    /// How it ended.
    pub outcome: ReceiptOutcome,
    /// The target's identifier for the effect, blinded with the event's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Digest>,
    /// The connector's call; none when the host ended the attempt by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<CrossingRecord>,
}

impl ReceiptLeaf {
    /// What it is about; none where it names both or neither.
    #[must_use]
    pub fn matter(&self) -> Option<Matter> {
        one_matter(self.order, self.item)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptOutcome {
    /// The target took it.
    Applied,
    /// The target refused it for good.
    Rejected,
    /// Nothing happened; there will be another attempt.
    Retry,
    /// Nobody knows; the target will be asked before anything is sent again.
    Unknown,
    /// The target was asked and has it already.
    Found,
    /// The target was asked and does not have it; the order is to be cancelled, so
    /// nothing is sent any more.
    Absent,
    /// Given up; a person has to look at it.
    Dead,
}

/// What an exception's code is when a person says what became of a change of an order.
pub const CHANGE_ANSWERED: [&str; 2] = ["accept-change", "refuse-change"];

/// What an exception's code is when a person has a delivery tried again. After a
/// delivery has ended, only this lets another attempt of it begin.
pub const REPLAYED: &str = "replayed";

/// What an exception's code is when a person rejects its order, which was kept back: it goes
/// nowhere from then on.
pub const REJECTED: &str = "rejected";

/// Something waits for a person, or a person decided about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExceptionLeaf {
    /// The exception's number.
    #[serde(with = "text")]
    pub exception: u64,
    /// The stage that it arose in.
    pub stage: Code,
    /// What happened to it or why it arose.
    pub code: Code,
    /// The order that it is about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// Digest of the id of the outbox row that it is about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox: Option<Digest>,
    /// The account that decided; an account, not a person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Label>,
    /// The account or the queue that it is given to, where a step gives it to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Label>,
    /// Digest of what was shown to whoever decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Digest>,
    /// Digest of the exact action that was proposed, agreed to, or carried out after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Digest>,
    /// Who proposed what was carried out, and who agreed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Listed<Label>>,
    /// Commitment to the sealed words of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Digest>,
    /// Whose work it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Code>,
    /// When it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Instant>,
    /// From when on whoever took the step could look at it: since it was opened, since this
    /// account has it, or since it was proposed by another one, whatever was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
    /// Models' holds with which the person agreed by what was decided. Those that a person
    /// ends are in the review's leaf.
    #[serde(default = "Listed::none", skip_serializing_if = "Listed::is_empty")]
    pub agreed_with: Listed<HoldRecord>,
}

impl ExceptionLeaf {
    /// That something happened to an exception; all else is added.
    #[must_use]
    pub fn of(exception: u64, stage: Code, code: Code) -> Self {
        Self {
            exception,
            stage,
            code,
            order: None,
            outbox: None,
            who: None,
            to: None,
            shown: None,
            proposal: None,
            agreed: None,
            record: None,
            queue: None,
            opened_at: None,
            since: None,
            agreed_with: Listed::none(),
        }
    }
}

/// An order that is kept back was looked at again, by a person or by the host: holds of it
/// were closed, what the host's rules find now was opened, and it stands where that leaves it.
///
/// ```json
/// {"closed":{"count":1,"items":[{"hold":"7","reason":"credit-limit"}]},"configuration":"1",
///  "kind":"review","opened":{"count":0,"items":[]},"order":"3f0c…","review":"sha256:…",
///  "state":"released","who":"ops@desk"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewLeaf {
    /// The order.
    pub order: OrderId,
    /// Holds that keep it back no more.
    pub closed: Listed<HoldRecord>,
    /// Codes of the host's rules that keep it back from now on.
    pub opened: Listed<Code>,
    /// Where it stands now: released, or still kept back.
    pub state: DecidedState,
    /// The configuration that was active.
    #[serde(with = "text")]
    pub configuration: u64,
    /// Commitment to the sealed full record of the review.
    pub review: Digest,
    /// The account that released; none where the host cleared holds of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Label>,
}

/// A hold of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldRecord {
    /// Its number in the store.
    #[serde(with = "text")]
    pub hold: u64,
    /// The rule's code; of a scorer's hold, whose words are its own, `advice`, `route` or
    /// `spent-budget`.
    pub reason: Code,
    /// The scorer that asked for it, unless it is the host's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginName>,
    /// Digest of the scorer's component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Digest>,
}

/// An exception was due, and nobody had decided: others were told. What it keeps back it
/// still does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EscalationLeaf {
    /// The exception.
    #[serde(with = "text")]
    pub exception: u64,
    /// The order that it is about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// What waits: the kind of the exception.
    pub waits: Code,
    /// When it was due.
    pub due_at: Instant,
    /// The queue whose work it is now.
    pub queue: Code,
    /// The queue that let it wait; none in records from before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Code>,
}

/// A receiver did not acknowledge in time what it was sent, and people were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OverdueLeaf {
    /// Digest of the outbox row's id.
    pub outbox: Digest,
    /// The order that it is about.
    pub order: OrderId,
    /// The target.
    pub target: Code,
    /// Its number.
    #[serde(with = "text")]
    pub number: u64,
    /// By when it was to be acknowledged.
    pub due_at: Instant,
}

/// A message did not go out by its time, of which people were told, or it went out late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateLeaf {
    /// The order that it is about.
    pub order: OrderId,
    /// The target.
    pub target: Code,
    /// The kind of message.
    pub message: Code,
    /// By when it was to go out.
    pub due_at: Instant,
    /// Which of both.
    pub step: LateStep,
}

/// What became of a message that is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateStep {
    /// People were told.
    Told,
    /// It went out.
    Sent,
}

/// A poll failed so often that people were told, or works again. A poll that brings something has
/// an accept leaf, and one that brings nothing has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollLeaf {
    /// The poll.
    pub poll: Code,
    /// Its channel.
    pub channel: ChannelId,
    /// Its connector.
    pub plugin: PluginName,
    /// Which of both.
    pub step: PollStep,
    /// How often in a row it had failed.
    pub failures: u32,
    /// Why it failed last; none where it works again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// What became of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PollStep {
    /// It fails again and again.
    Failing,
    /// It works again.
    Restored,
}

/// A source is going to be asked to tell of changes by itself for a while, or was asked. The first
/// stands there before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionLeaf {
    /// The poll that fetches what it tells of.
    pub poll: Code,
    /// The channel that its notifications come in by.
    pub channel: ChannelId,
    /// The connector that asks.
    pub plugin: PluginName,
    /// Which of them.
    pub step: SubscriptionStep,
    /// Which try in a row, from 1.
    pub attempt: u32,
    /// Until when it holds, by the source's word; none where nothing was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
    /// Why nothing was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The call, with its requests; none before it, and where none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<CrossingRecord>,
}

/// What becomes of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionStep {
    /// It is going to be asked for.
    Asked,
    /// The source gave one that was not there before: what changed until then it told nobody.
    Made,
    /// It holds for longer.
    Renewed,
    /// Nothing was given.
    Failed,
}

/// Two systems were asked for all that they have, and what they said was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReconciliationLeaf {
    /// Which reconciliation.
    pub reconciliation: Code,
    /// Which run of it, from 1.
    #[serde(with = "text")]
    pub run: u64,
    /// Of what.
    pub of: Code,
    /// Whether it only looked, and filed nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry: bool,
    /// The list of the one; none where it was not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<ListRecord>,
    /// The list of the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<ListRecord>,
    /// Why nothing was compared; none where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Code>,
    /// Keys that were compared.
    #[serde(with = "text")]
    pub compared: u64,
    /// Those of them that both systems say the same of.
    #[serde(with = "text")]
    pub agreeing: u64,
    /// Keys that differ and changed too lately to be judged.
    #[serde(with = "text")]
    pub unsettled: u64,
    /// Keys that differ.
    #[serde(with = "text")]
    pub differences: u64,
    /// Names all that differs, with what both say, blinded with the run's key; none where nothing was
    /// compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What people hear of from this run on.
    #[serde(with = "text")]
    pub opened: u64,
    /// What they heard of before and is gone.
    #[serde(with = "text")]
    pub gone: u64,
    /// The account that asked for it; none where the host looked by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Label>,
}

/// A whole list of what a system has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListRecord {
    /// Its rows.
    #[serde(with = "text")]
    pub rows: u64,
    /// How many pages it came in.
    pub pages: u32,
    /// Names what it says, however it was paged, blinded with the run's key.
    pub digest: Digest,
    /// Digest of the component that asked for it; none of what the host itself knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Digest>,
    /// Digest of the component that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformer: Option<Digest>,
}

/// A person has deliveries sent again that their target had taken, as after a backup of it was
/// restored. After a target took one, only this lets another attempt of it begin, so each of them
/// stands here: a replay of many has several such records, which commit together.
///
/// ```json
/// {"count":70,"kind":"replay","outboxes":{"count":64,"items":["sha256:…"]},"part":1,"parts":2,
///  "record":"sha256:…","replay":"sha256:…","since":"1772438400000","target":"erp",
///  "until":"1772524800000","who":"olga"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayLeaf {
    /// Digest of exactly what was shown to whoever decided.
    pub replay: Digest,
    /// The target.
    pub target: Code,
    /// The channel that the orders came by; any, where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// The kind of message; any, where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Code>,
    /// The target had taken them from then on.
    pub since: Instant,
    /// And before then.
    pub until: Instant,
    /// How many there are in all parts.
    pub count: u32,
    /// Which part this is, from 1.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// Digests of the ids of the outbox rows in this part, all of which stand here.
    pub outboxes: Listed<Digest>,
    /// The account that decided.
    pub who: Label,
    /// Commitment to the sealed words of the person.
    pub record: Digest,
}

impl ReplayLeaf {
    /// Outbox rows in one part: as many as a leaf shows.
    pub const OUTBOXES_MAX: usize = <Digest as ListedItem>::SHOWN_MAX;

    /// Whether another part is of the same replay: all that is said of the whole is the same.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self { replay, target, channel, message, since, until, count, part: _, parts, outboxes: _, who, record } =
            other;
        (self.replay, &self.target, &self.channel, &self.message) == (*replay, target, channel, message)
            && (self.since, self.until, self.count, self.parts) == (*since, *until, *count, *parts)
            && (&self.who, self.record) == (who, *record)
    }
}

/// Content was removed because its retention ended: what finished inputs said, with
/// that of their documents, orders and decisions. Their records stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionLeaf {
    /// All of them were finished before this time.
    pub before: Instant,
    /// The inputs, as their accept leaves name them.
    pub inputs: Listed<Digest>,
}

/// A step in the life of a plugin's package: somebody's, or the host's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageLeaf {
    /// The plugin.
    pub plugin: PluginName,
    /// Digest of the component.
    pub component: Digest,
    /// What happened.
    pub step: PackageStep,
    /// Of a turn of the quarantine: whose calls it is about; none where it is all calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseRecord>,
    /// The configuration's version from which on it is so, or, of a staged one, on which it
    /// was tried; none where no version has to do with it.
    #[serde(default, with = "portreeve_model::value::text_option", skip_serializing_if = "Option::is_none")]
    pub configuration: Option<u64>,
    /// Keys that its trust rests on, as `name+hash`.
    #[serde(default = "Listed::none", skip_serializing_if = "Listed::is_empty")]
    pub signers: Listed<Label>,
    /// The account that did it; none where the host did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Label>,
}

impl PackageLeaf {
    /// A step that the host takes by itself; what is known beyond it is filled in.
    #[must_use]
    pub fn of(plugin: PluginName, component: Digest, step: PackageStep) -> Self {
        Self { plugin, component, step, cause: None, configuration: None, signers: Listed::none(), who: None }
    }

    /// The same as somebody's word makes it.
    ///
    /// # Errors
    /// As [`Listed::of`].
    pub fn signed_by(self, signers: &[String]) -> Result<Self, RecordError> {
        let signers = Listed::of(signers.iter().map(|signer| Label::of(signer)).collect())?;
        Ok(Self { signers, ..self })
    }
}

/// The calls that a turn of the quarantine is about: those of one export that somebody's
/// inputs, or one target's deliveries, make necessary.
///
/// ```json
/// {"call":"score","channel":"edi","sender":"edi-gateway"}
/// {"call":"deliver","target":"erp"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum CauseRecord {
    /// An authenticated sender.
    Sender {
        /// The export.
        call: Code,
        /// The sender's channel.
        channel: ChannelId,
        /// Its name on that channel.
        sender: Label,
    },
    /// A target.
    Target {
        /// The export.
        call: Code,
        /// Its name in the configuration.
        target: Code,
    },
}

/// What happened to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageStep {
    /// It was taken in. Nothing calls it.
    Installed,
    /// It was tried in full within a grant, and may be activated.
    Staged,
    /// It is what routes call.
    Activated,
    /// It is what routes call again.
    RolledBack,
    /// Routes call it no more, and nothing in its place.
    Disabled,
    /// Its publisher's word counts no more: it is not called.
    Distrusted,
    /// It failed again and again: it is not called for a while, or not for one cause.
    Quarantined,
    /// It was tried again and did not fail: it is called as before, or for that cause.
    Restored,
    /// All plugins are stopped, and this is one of them.
    Halted,
    /// They are not any more.
    Resumed,
}

impl PackageStep {
    /// The word that stands in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Staged => "staged",
            Self::Activated => "activated",
            Self::RolledBack => "rolled-back",
            Self::Disabled => "disabled",
            Self::Distrusted => "distrusted",
            Self::Quarantined => "quarantined",
            Self::Restored => "restored",
            Self::Halted => "halted",
            Self::Resumed => "resumed",
        }
    }
}

/// An account was made or changed. What only its owner should know (an address, a password)
/// is not here.
///
/// ```json
/// {"change":"4","kind":"person","nonce":"sha256:…","person":"anna",
///  "roles":{"count":1,"items":["order-desk"]},"step":"roles","who":"olga"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonLeaf {
    /// The account.
    pub person: Label,
    /// Records about this account count up from 1, those of its sign-ins with them.
    #[serde(with = "text")]
    pub change: u64,
    /// A random number: two changes of one moment are two records, however alike they are.
    pub nonce: Digest,
    /// What happened to it.
    pub step: PersonStep,
    /// The roles that it has from now on, where the step says so.
    #[serde(default = "Listed::none", skip_serializing_if = "Listed::is_empty")]
    pub roles: Listed<Label>,
    /// Digest of the key that was made, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Digest>,
    /// The account that did it; of a folder's first account, that of the machine.
    pub who: Label,
}

/// What happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonStep {
    /// It is the first one, which nobody could be asked about.
    First,
    /// It was made.
    Added,
    /// It has other roles; its sessions ended.
    Roles,
    /// It has another password; its sessions ended.
    Password,
    /// It proves nothing any more; its sessions and keys ended.
    Disabled,
    /// It does again.
    Enabled,
    /// A key was made for it.
    Key,
    /// Its sessions and keys ended.
    Revoked,
}

impl PersonStep {
    /// The word that stands in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Added => "added",
            Self::Roles => "roles",
            Self::Password => "password",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Key => "key",
            Self::Revoked => "revoked",
        }
    }
}

/// Somebody signed in or out, or could not.
///
/// Danger: what somebody mistyped into the field of a name may be a password, and a flood of
/// refused sign-ins would make a log that nobody can read. So only accounts are named, and
/// what no lockout bounds is counted: one record a minute says how many there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionLeaf {
    /// The account; none where the names were no account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Label>,
    /// As [`PersonLeaf::change`]; none where sign-ins were only counted.
    #[serde(default, with = "portreeve_model::value::text_option", skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// As [`PersonLeaf::nonce`].
    pub nonce: Digest,
    /// What happened.
    pub step: SessionStep,
    /// Why it was refused, where it was: `wrong-password`, `no-password`, `disabled`, `locked`
    /// or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Code>,
    /// How many there were, since they were last put on record.
    #[serde(with = "text")]
    pub count: u64,
    /// Digest of the session's token, where there is a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Digest>,
    /// Until when the account is locked, where it is from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
}

/// What happened at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionStep {
    /// A session began.
    SignedIn,
    /// Its owner ended it.
    SignedOut,
    /// Nobody was signed in.
    Refused,
    /// Nobody was signed in, and for a while nobody is as this account.
    LockedOut,
}

impl SessionStep {
    /// The word that stands in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed-in",
            Self::SignedOut => "signed-out",
            Self::Refused => "refused",
            Self::LockedOut => "locked-out",
        }
    }
}

/// One call into a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrossingRecord {
    /// The plugin's name.
    pub plugin: PluginName,
    /// Digest of the component.
    pub component: Digest,
    /// The export that was called.
    pub call: Code,
    /// What went in: the commitment to a payload, or a blinded digest.
    pub input: Digest,
    /// What came out, likewise; none when the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Digest>,
    /// Digest over the host calls, each with its answer, in order. Blinded: rows
    /// of a table can be enumerated. That of a scorer stands unblinded in the
    /// sealed record of the decision.
    pub transcript: Digest,
    /// How many host calls there were.
    pub host_calls: u32,
    /// Fuel used, where the plugin runs on fuel.
    #[serde(default, with = "portreeve_model::value::text_option", skip_serializing_if = "Option::is_none")]
    pub fuel_used: Option<u64>,
    /// Why the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Code>,
    /// The HTTP requests of the call, in order. Only connectors have any, so decide
    /// leaves, which list many crossings, list none of these.
    #[serde(default = "Listed::none", skip_serializing_if = "Listed::is_empty")]
    pub requests: Listed<RequestRecord>,
}

/// One HTTP request of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestRecord {
    /// The method, in lower case.
    pub method: Code,
    /// Host and port, where they are the configuration's; a guest's other wish is blinded.
    pub host: Label,
    /// The path without its query, blinded: a connector puts order and customer into it.
    pub path: Digest,
    /// How it ended: `answered`, `failed`, `refused`, `deferred`, `unfinished` or `unsent`.
    pub outcome: Code,
    /// The answer's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of the request's body.
    #[serde(with = "text")]
    pub sent_bytes: u64,
    /// Bytes of the answer's body.
    #[serde(with = "text")]
    pub answered_bytes: u64,
    /// Digest of the request's body, blinded; none when it was not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Digest>,
    /// Digest of the answer's body, blinded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Digest>,
    /// Milliseconds.
    #[serde(with = "text")]
    pub duration_ms: u64,
}

/// A list in a leaf: how many items there were, the first of them, and, when
/// that is not all, the digest of the canonical list of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listed<T> {
    count: u32,
    items: Vec<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<Digest>,
}

/// An item that leaves list.
pub trait ListedItem: Serialize {
    /// How many of them a leaf shows. An interchange can have thousands of
    /// documents and a hostile connector thousands of problems; all of them
    /// would make a leaf that cannot be committed.
    const SHOWN_MAX: usize;
}

impl ListedItem for DocumentRecord {
    const SHOWN_MAX: usize = 24;
}
impl ListedItem for ProblemRecord {
    const SHOWN_MAX: usize = 12;
}
impl ListedItem for NumberRecord {
    const SHOWN_MAX: usize = 12;
}
impl ListedItem for EnvelopeRecord {
    const SHOWN_MAX: usize = 8;
}
impl ListedItem for RequestRecord {
    const SHOWN_MAX: usize = 10;
}
impl ListedItem for CrossingRecord {
    const SHOWN_MAX: usize = 8;
}
impl ListedItem for ProposalRecord {
    const SHOWN_MAX: usize = 16;
}
impl ListedItem for Digest {
    const SHOWN_MAX: usize = 64;
}
impl ListedItem for Code {
    const SHOWN_MAX: usize = 16;
}
impl ListedItem for Label {
    const SHOWN_MAX: usize = 16;
}
impl ListedItem for HoldRecord {
    const SHOWN_MAX: usize = 16;
}

impl<T: ListedItem> Listed<T> {
    /// Lists these items.
    ///
    /// # Errors
    /// When they have no canonical form, or there are more than 2^32 − 1.
    pub fn of(mut items: Vec<T>) -> Result<Self, RecordError> {
        let count = u32::try_from(items.len())
            .map_err(|_| RecordError::Unserialisable("a list has over 2^32 - 1 items".into()))?;
        let all = if items.len() > T::SHOWN_MAX { Some(canonical_digest(&items)?) } else { None };
        items.truncate(T::SHOWN_MAX);
        Ok(Self { count, items, all })
    }

    /// A list without items.
    #[must_use]
    pub fn none() -> Self {
        Self { count: 0, items: Vec::new(), all: None }
    }

    /// How many items there were.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first of them.
    #[must_use]
    pub fn shown(&self) -> &[T] {
        &self.items
    }
}

fn refuse_large(bytes: &[u8]) -> Result<(), RecordError> {
    if bytes.len() <= LEAF_BYTES_MAX {
        return Ok(());
    }
    Err(RecordError::LeafTooLarge { found_bytes: bytes.len(), allowed_bytes: LEAF_BYTES_MAX })
}

/// A later version may have other fields; say so instead of "unknown field".
fn refuse_other_version(bytes: &[u8]) -> Result<(), RecordError> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let found =
        serde_json::from_slice::<Versioned>(bytes).map_err(|error| RecordError::Unreadable(error.to_string()))?.v;
    if found == LEAF_VERSION {
        return Ok(());
    }
    Err(RecordError::UnknownVersion { found, expected: LEAF_VERSION })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn crossing(longest: &Code) -> CrossingRecord {
        CrossingRecord {
            plugin: PluginName::parse(&"p".repeat(64)).unwrap(),
            component: Digest::of(b"component"),
            call: longest.clone(),
            input: Digest::of(b"input"),
            output: Some(Digest::of(b"output")),
            transcript: Digest::of(b"transcript"),
            host_calls: u32::MAX,
            fuel_used: Some(u64::MAX),
            failure: Some(longest.clone()),
            requests: Listed::none(),
        }
    }

    /// A call of a connector.
    fn connected(longest: &Code) -> CrossingRecord {
        let request = || RequestRecord {
            method: longest.clone(),
            host: Label::of(&"x".repeat(96)),
            path: Digest::of(b"path"),
            outcome: longest.clone(),
            status: Some(u16::MAX),
            sent_bytes: u64::MAX,
            answered_bytes: u64::MAX,
            sent: Some(Digest::of(b"sent")),
            answered: Some(Digest::of(b"answered")),
            duration_ms: u64::MAX,
        };
        let requests = Listed::of((0..1000).map(|_| request()).collect()).unwrap();
        CrossingRecord { requests, ..crossing(longest) }
    }

    fn item() -> ItemId {
        ItemId::derive(&ChannelId::parse("wms").unwrap(), "DC-EAST", "FST-1007")
    }

    fn order() -> OrderId {
        OrderId::parse("3f0c1b0a-5d7c-4c3e-9a52-6d1f0c7be2a4").unwrap()
    }

    /// Every list full, every text as long as it can be.
    fn largest() -> Vec<LeafBody> {
        let longest = Code::of_guest("Not A Code", &crate::PayloadKey::random().unwrap());
        let number = || NumberRecord { range: longest.clone(), number: u64::MAX };
        let document = || DocumentRecord {
            index: u32::MAX,
            key_digest: Digest::of(b"key"),
            kind: longest.clone(),
            commitment: Digest::of(b"document"),
        };
        let problem = || ProblemRecord {
            code: longest.clone(),
            offset_bytes: Some(u64::MAX),
            segment: Some(u32::MAX),
            path: Place::of(&"x".repeat(96)),
        };
        let envelope = || EnvelopeRecord { key_digest: Digest::of(b"key"), outcome: EnvelopeOutcome::Repeated };
        let proposal = || ProposalRecord {
            scorer: PluginName::parse(&"p".repeat(64)).unwrap(),
            proposal: longest.clone(),
            outcome: ProposalOutcome::Narrowed,
            policy: longest.clone(),
            effect: longest.clone(),
            clause: Some(longest.clone()),
        };
        let hold = || HoldRecord {
            hold: u64::MAX,
            reason: longest.clone(),
            plugin: Some(PluginName::parse(&"p".repeat(64)).unwrap()),
            component: Some(Digest::of(b"component")),
        };
        vec![
            LeafBody::Configuration(ConfigurationLeaf {
                version: u64::MAX,
                digest: Digest::of(b"configuration"),
                who: Label::of(&"x".repeat(96)),
            }),
            LeafBody::Reference(ReferenceLeaf {
                table: Code::of("customer"),
                version: 1,
                digest: Digest::of(b"table"),
                rows: u64::MAX,
                who: Some(Label::of(&"x".repeat(96))),
            }),
            LeafBody::Accept(AcceptLeaf {
                input: Digest::of(b"input"),
                channel: ChannelId::parse(&"c".repeat(64)).unwrap(),
                sender: Label::of(&"x".repeat(96)),
                content: Digest::of(b"content"),
                crossing: Some(crossing(&longest)),
                documents: Listed::of((0..1000).map(|_| document()).collect()).unwrap(),
                problems: Listed::of((0..1000).map(|_| problem()).collect()).unwrap(),
                numbers: Listed::of((0..1000).map(|_| number()).collect()).unwrap(),
                envelopes: Listed::of((0..1000).map(|_| envelope()).collect()).unwrap(),
                outcome: AcceptOutcome::DuplicateRefused,
            }),
            LeafBody::Decide(DecideLeaf {
                order: Some(order()),
                about: Some(order()),
                item: Some(item()),
                document: DocumentPosition { input: Digest::of(b"input"), index: u32::MAX },
                event: Some(Digest::of(b"event")),
                configuration: u64::MAX,
                crossings: Listed::of((0..1000).map(|_| crossing(&longest)).collect()).unwrap(),
                proposals: Listed::of((0..1000).map(|_| proposal()).collect()).unwrap(),
                policy_holds: Listed::of((0..1000).map(|_| longest.clone()).collect()).unwrap(),
                state: DecidedState::Exception,
                told: true,
                decision: Some(Digest::of(b"decision")),
                clock: Instant(i64::MIN),
            }),
            LeafBody::Attempt(AttemptLeaf {
                outbox: Digest::of(b"outbox"),
                event: None,
                order: Some(order()),
                item: Some(item()),
                target: longest.clone(),
                attempt: u32::MAX,
                message: Some(Digest::of(b"message")),
                looked_up: Some(connected(&longest)),
                crossing: Some(crossing(&longest)),
                corrected: Some(Digest::of(b"corrected")),
                numbers: Listed::of((0..1000).map(|_| number()).collect()).unwrap(),
            }),
            LeafBody::Receipt(ReceiptLeaf {
                outbox: Digest::of(b"outbox"),
                event: None,
                order: Some(order()),
                item: Some(item()),
                attempt: u32::MAX,
                outcome: ReceiptOutcome::Rejected,
                external_id: Some(Digest::of(b"external")),
                crossing: Some(connected(&longest)),
            }),
            LeafBody::Exception(ExceptionLeaf {
                exception: u64::MAX,
                stage: longest.clone(),
                code: longest.clone(),
                order: Some(order()),
                outbox: Some(Digest::of(b"outbox")),
                who: Some(Label::of(&"x".repeat(96))),
                to: Some(Label::of(&"x".repeat(96))),
                shown: Some(Digest::of(b"shown")),
                proposal: Some(Digest::of(b"proposal")),
                agreed: Some(Listed::of(vec![Label::of(&"x".repeat(96)); 100]).unwrap()),
                record: Some(Digest::of(b"record")),
                queue: Some(longest.clone()),
                opened_at: Some(Instant(i64::MIN)),
                since: Some(Instant(i64::MIN)),
                agreed_with: Listed::of((0..1000).map(|_| hold()).collect()).unwrap(),
            }),
            LeafBody::Retention(RetentionLeaf {
                before: Instant(i64::MIN),
                inputs: Listed::of(vec![Digest::of(b"input"); 1000]).unwrap(),
            }),
            LeafBody::Package(PackageLeaf {
                plugin: PluginName::parse(&"p".repeat(64)).unwrap(),
                component: Digest::of(b"component"),
                step: PackageStep::RolledBack,
                cause: Some(CauseRecord::Sender {
                    call: longest.clone(),
                    channel: ChannelId::parse(&"c".repeat(64)).unwrap(),
                    sender: Label::of(&"x".repeat(96)),
                }),
                configuration: Some(u64::MAX),
                signers: Listed::of(vec![Label::of(&"x".repeat(96)); 1000]).unwrap(),
                who: Some(Label::of(&"x".repeat(96))),
            }),
            LeafBody::Review(ReviewLeaf {
                order: order(),
                closed: Listed::of((0..1000).map(|_| hold()).collect()).unwrap(),
                opened: Listed::of((0..1000).map(|_| longest.clone()).collect()).unwrap(),
                state: DecidedState::Released,
                configuration: u64::MAX,
                review: Digest::of(b"review"),
                who: Some(Label::of(&"x".repeat(96))),
            }),
            LeafBody::Escalation(EscalationLeaf {
                exception: u64::MAX,
                order: Some(order()),
                waits: longest.clone(),
                due_at: Instant(i64::MIN),
                queue: longest.clone(),
                from: Some(longest.clone()),
            }),
            LeafBody::Person(PersonLeaf {
                person: Label::of(&"x".repeat(96)),
                change: u64::MAX,
                nonce: Digest::of(b"nonce"),
                step: PersonStep::Disabled,
                roles: Listed::of(vec![Label::of(&"x".repeat(96)); 1000]).unwrap(),
                credential: Some(Digest::of(b"token")),
                who: Label::of(&"x".repeat(96)),
            }),
            LeafBody::Session(SessionLeaf {
                person: Some(Label::of(&"x".repeat(96))),
                change: Some(u64::MAX),
                nonce: Digest::of(b"nonce"),
                step: SessionStep::LockedOut,
                why: Some(longest.clone()),
                count: u64::MAX,
                credential: Some(Digest::of(b"token")),
                until: Some(Instant(i64::MIN)),
            }),
            LeafBody::Overdue(OverdueLeaf {
                outbox: Digest::of(b"outbox"),
                order: order(),
                target: longest.clone(),
                number: u64::MAX,
                due_at: Instant(i64::MIN),
            }),
            LeafBody::Late(LateLeaf {
                order: order(),
                target: longest.clone(),
                message: longest.clone(),
                due_at: Instant(i64::MIN),
                step: LateStep::Told,
            }),
            LeafBody::Poll(PollLeaf {
                poll: longest.clone(),
                channel: ChannelId::parse(&"c".repeat(64)).unwrap(),
                plugin: PluginName::parse(&"p".repeat(64)).unwrap(),
                step: PollStep::Restored,
                failures: u32::MAX,
                code: Some(longest.clone()),
            }),
            LeafBody::Subscription(SubscriptionLeaf {
                poll: longest.clone(),
                channel: ChannelId::parse(&"c".repeat(64)).unwrap(),
                plugin: PluginName::parse(&"p".repeat(64)).unwrap(),
                step: SubscriptionStep::Renewed,
                attempt: u32::MAX,
                until: Some(Instant(i64::MIN)),
                code: Some(longest.clone()),
                crossing: Some(connected(&longest)),
            }),
            LeafBody::Reconciliation(ReconciliationLeaf {
                reconciliation: longest.clone(),
                run: u64::MAX,
                of: longest.clone(),
                dry: true,
                left: Some(list()),
                right: Some(list()),
                failed: Some(longest.clone()),
                compared: u64::MAX,
                agreeing: u64::MAX,
                unsettled: u64::MAX,
                differences: u64::MAX,
                digest: Some(Digest::of(b"differences")),
                opened: u64::MAX,
                gone: u64::MAX,
                who: Some(Label::of(&"x".repeat(96))),
            }),
            LeafBody::Replay(ReplayLeaf {
                replay: Digest::of(b"replay"),
                target: longest.clone(),
                channel: Some(ChannelId::parse(&"c".repeat(64)).unwrap()),
                message: Some(longest.clone()),
                since: Instant(i64::MIN),
                until: Instant(i64::MIN),
                count: u32::MAX,
                part: u32::MAX,
                parts: u32::MAX,
                outboxes: Listed::of(vec![Digest::of(b"outbox"); 1000]).unwrap(),
                who: Label::of(&"x".repeat(96)),
                record: Digest::of(b"record"),
            }),
        ]
    }

    fn list() -> ListRecord {
        let digest = Digest::of(b"list");
        ListRecord { rows: u64::MAX, pages: u32::MAX, digest, connector: Some(digest), transformer: Some(digest) }
    }

    #[test]
    fn reads_back_every_kind_and_fits_the_largest() {
        for body in largest() {
            let leaf = Leaf::new(&"x".repeat(96), Instant(i64::MIN), body.clone()).unwrap();
            assert!(leaf.bytes().len() <= LEAF_BYTES_MAX);
            assert_eq!(leaf.id(), merkle::leaf_hash(leaf.bytes()));
            let record = Leaf::parse(leaf.bytes()).unwrap();
            let kind = format!("\"kind\":\"{}\"", body.kind());
            assert!(String::from_utf8_lossy(leaf.bytes()).contains(&kind));
            assert_eq!(record.body, body);
        }
    }

    #[test]
    fn keeps_the_bytes_of_a_record_for_ever() {
        let body = LeafBody::Exception(ExceptionLeaf::of(7, Code::of("deliver"), Code::of("unknown-outcome")));
        let leaf = Leaf::new("host-1", Instant(1_767_225_600_000), body).unwrap();
        assert_eq!(
            String::from_utf8_lossy(leaf.bytes()),
            r#"{"at":"1767225600000","body":{"code":"unknown-outcome","exception":"7","kind":"exception","stage":"deliver"},"host":"host-1","v":1}"#
        );
    }

    #[test]
    fn a_turn_of_the_quarantine_says_whose_calls_it_is_about_and_nothing_where_it_is_all_of_them() {
        let component = Digest::of(b"component");
        let quarantined = |cause| {
            let body = LeafBody::Package(PackageLeaf {
                plugin: PluginName::parse("fraud").unwrap(),
                component,
                step: PackageStep::Quarantined,
                cause,
                configuration: None,
                signers: Listed::none(),
                who: None,
            });
            let leaf = Leaf::new("h", Instant(0), body.clone()).unwrap();
            assert_eq!(Leaf::parse(leaf.bytes()).unwrap().body, body);
            String::from_utf8(leaf.bytes().to_vec()).unwrap()
        };
        let expected = |cause: &str| {
            format!(
                r#"{{"at":"0","body":{{{cause}"component":"{component}","kind":"package","plugin":"fraud","step":"quarantined"}},"host":"h","v":1}}"#
            )
        };
        // As it was before there were causes: such leaves keep their bytes.
        assert_eq!(quarantined(None), expected(""));
        let sender = CauseRecord::Sender {
            call: Code::of("score"),
            channel: ChannelId::parse("edi").unwrap(),
            sender: Label::of("edi gateway"),
        };
        assert_eq!(
            quarantined(Some(sender)),
            expected(r#""cause":{"call":"score","channel":"edi","sender":"edi gateway"},"#)
        );
        let target = CauseRecord::Target { call: Code::of("deliver"), target: Code::of("erp") };
        assert_eq!(quarantined(Some(target)), expected(r#""cause":{"call":"deliver","target":"erp"},"#));
        for wrong in [r#""cause":{"call":"score"},"#, r#""cause":{"call":"score","target":"erp","why":"x"},"#] {
            assert!(Leaf::parse(expected(wrong).as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn refuses_bytes_that_are_not_canonical_or_of_another_version() {
        let good = r#"{"at":"0","body":{"code":"c","exception":"7","kind":"exception","stage":"s"},"host":"h","v":1}"#;
        Leaf::parse(good.as_bytes()).unwrap();
        for (from, to) in [
            ("\"v\":1", "\"v\":1 "),
            ("\"7\"", "\"07\""),
            ("\"c\"", "\"Ada Lovelace\""),
            ("\"c\"", "\"\\u0063\""),
            ("\"host\"", "\"extra\":1,\"host\""),
            ("\"stage\":\"s\"", "\"stage\":\"s\",\"x\":1"),
        ] {
            let changed = good.replace(from, to);
            assert!(Leaf::parse(changed.as_bytes()).is_err(), "{changed}");
        }
        let later = Leaf::parse(good.replace("\"v\":1", "\"v\":2").as_bytes());
        assert_eq!(later.unwrap_err(), RecordError::UnknownVersion { found: 2, expected: 1 });
        assert!(Leaf::parse(&vec![b' '; LEAF_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn tells_two_long_lists_apart_that_begin_alike() {
        let list = |last: &str| {
            let mut codes: Vec<Code> = (0..100).map(|_| Code::of("same")).collect();
            codes.push(Code::of(last));
            Listed::of(codes).unwrap()
        };
        assert_eq!(list("a").shown(), list("b").shown());
        assert_eq!(list("a").count(), 101);
        assert_ne!(list("a"), list("b"));
    }
}
