//! Documents and messages on their way between a protocol and canonical events,
//! and the failures that a plugin can report.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::id::{Digest, SenderId};
use crate::value::{Instant, text, text_option};

/// The place of something in an input, for people who have to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Position {
    /// Byte offset from the start of the input, where known.
    #[serde(with = "text_option")]
    pub offset_bytes: Option<u64>,
    /// One-based segment, line or element number, where the format has one.
    pub segment: Option<u32>,
    /// A path in the format's own notation: `PO1[3]/04`, `items[2].price`.
    pub path: String,
}

impl Position {
    /// The nearest place that is known, in words; none where nothing is.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match (self.path.as_str(), self.segment, self.offset_bytes) {
            ("", Some(segment), _) => Some(format!("segment {segment}")),
            ("", None, Some(offset)) => Some(format!("byte {offset}")),
            ("", None, None) => None,
            (path, ..) => Some(path.to_owned()),
        }
    }
}

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Problem {
    /// A stable lower-case code with dashes, for example `count-mismatch`.
    pub code: String,
    /// One sentence: found, expected, what to do. No personal data.
    pub message: String,
    /// Position.
    pub position: Position,
}

/// Why a call did not produce what it was asked for. A trap is never an
/// outcome: the host turns it into a failure of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "data")]
pub enum Failure {
    /// The input is wrong and stays wrong: every problem that was found, at least one.
    Invalid(Vec<Problem>),
    /// Not now. Try again after this many milliseconds, 0 to 86 400 000.
    Retry(u32),
    /// It will never work; one sentence for a person.
    Permanent(String),
    /// An effect may or may not have happened; the host looks it up with
    /// `find` before it tries again. One sentence for a person.
    UnknownOutcome(String),
}

/// A non-secret setting that the platform team gave this plugin for this call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setting {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A header of a request or reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Lower case.
    pub name: String,
    /// Value.
    pub value: String,
}

/// What a sender sent. The host has authenticated the sender and checked
/// its signature over exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inbound {
    /// Method.
    pub method: String,
    /// Path and query below the channel's root.
    pub path: String,
    /// Headers.
    pub headers: Vec<Header>,
    /// Body.
    #[serde(with = "hex")]
    pub body: Vec<u8>,
    /// Received at.
    pub received_at: Instant,
    /// The sender as the host authenticated it.
    pub sender: SenderId,
    /// Settings.
    pub settings: Vec<Setting>,
}

/// What the sender gets back, after the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reply {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Headers.
    pub headers: Vec<Header>,
    /// Body.
    #[serde(with = "hex")]
    pub body: Vec<u8>,
}

/// A part of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Span {
    /// Where it starts.
    #[serde(with = "text")]
    pub offset_bytes: u64,
    /// How long it is.
    #[serde(with = "text")]
    pub length_bytes: u64,
}

impl Span {
    /// The part itself; none where the bytes end before it does.
    #[must_use]
    pub fn of<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset_bytes).ok()?;
        let length = usize::try_from(self.length_bytes).ok()?;
        bytes.get(start..start.checked_add(length)?)
    }
}

/// One delivery as its protocol counts them: an interchange, a webhook call.
/// Several may come in one input, and one of them again later beside new ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// Never blank: sender, receiver and control number, or the webhook's id.
    pub key: String,
    /// The input's bytes that it takes; none means all of them.
    pub part: Option<Span>,
    /// The bytes of the reply's body that answer it.
    pub answer: Option<Span>,
    /// What stands in the place of the answer when the key came before with other bytes.
    #[serde(skip)]
    pub refusal: Option<Vec<u8>>,
}

impl Envelope {
    /// The digest that tells a repetition from another content under the same key.
    /// A part beyond the input is a lie of the plugin's, and none.
    #[must_use]
    pub fn digest(&self, input: &[u8]) -> Option<Digest> {
        match self.part {
            None => Some(Digest::of(input)),
            Some(part) => part.of(input).map(Digest::of),
        }
    }
}

/// One business document in an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// The business key that makes two documents the same thing: partner,
    /// order number, purpose and release, in the connector's notation.
    pub key: String,
    /// Whose document it is within the authenticated sender's traffic (ISA06
    /// and GS02, or the store), so that two partners behind one gateway can
    /// use the same order number. Empty when the sender is one party.
    pub partner: String,
    /// What it is, for example `x12/850` or `adobe/order`.
    pub kind: String,
    /// Position.
    pub position: Position,
    /// The envelope that it came in: an index into [`Received::envelopes`].
    pub envelope: Option<u32>,
    /// Body.
    #[serde(with = "hex")]
    pub body: Vec<u8>,
}

/// What a connector made of an input: it judges syntax, not business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Received {
    /// The envelopes that were taken, in their order; a rejected one is not among them.
    pub envelopes: Vec<Envelope>,
    /// Documents.
    pub documents: Vec<Document>,
    /// Problems.
    pub problems: Vec<Problem>,
    /// Reply.
    pub reply: Reply,
}

/// A document for a transformer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingRequest {
    /// Kind.
    pub kind: String,
    /// Body.
    #[serde(with = "hex")]
    pub body: Vec<u8>,
    /// Received at.
    pub received_at: Instant,
    /// Sender.
    pub sender: SenderId,
    /// Settings.
    pub settings: Vec<Setting>,
}

/// An event for a transformer to put into a target's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenderingRequest {
    /// Event.
    pub event: Event,
    /// The host's identifier of the order, the natural key that targets are asked for; of an event
    /// that is about an item and no order, that of the item.
    pub order_id: String,
    /// What is wanted, for example `business-central/sales-order`.
    pub kind: String,
    /// Settings.
    pub settings: Vec<Setting>,
}

/// A message for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Message {
    /// Kind.
    pub kind: String,
    /// Content type.
    pub content_type: String,
    /// Body.
    #[serde(with = "hex")]
    pub body: Vec<u8>,
}

/// One attempt to cause an effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// Message.
    pub message: Message,
    /// The same for every attempt of one effect; many targets ignore it.
    pub idempotency_key: String,
    /// What the target can be asked for later.
    pub natural_key: String,
    /// One-based.
    pub attempt: u32,
    /// Settings.
    pub settings: Vec<Setting>,
}

/// A target's word that an effect happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// External id.
    pub external_id: String,
    /// The target's own words, at most 1024 bytes.
    pub detail: Option<String>,
}

/// Did an earlier attempt happen?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindQuery {
    /// Kind.
    pub kind: String,
    /// Natural key.
    pub natural_key: String,
    /// Settings.
    pub settings: Vec<Setting>,
}

/// A request for what is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollRequest {
    /// What the last poll returned; none at the first.
    #[serde(skip)]
    pub cursor: Option<Vec<u8>>,
    /// Now.
    pub now: Instant,
    /// Settings.
    pub settings: Vec<Setting>,
}

/// What a poll found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Polled {
    /// Documents.
    pub documents: Vec<Document>,
    /// Problems.
    pub problems: Vec<Problem>,
    /// Commits with the documents. None keeps the old one: an empty
    /// answer never clears a cursor.
    #[serde(skip)]
    pub cursor: Option<Vec<u8>>,
}

/// A request for a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckRequest {
    /// Settings.
    pub settings: Vec<Setting>,
}

/// Whether a target can be reached and accepts our credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckReport {
    /// Ok.
    pub ok: bool,
    /// One sentence for a person.
    pub detail: String,
}

impl Reply {
    /// Its JSON, as the store keeps it.
    ///
    /// # Errors
    /// None in practice; the serializer's signature has one.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads what [`Reply::to_json`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
