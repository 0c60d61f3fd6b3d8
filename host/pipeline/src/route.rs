//! Routes: which connector listens on a channel, which transformer reads its
//! documents, which scorers are asked, and where released orders go.
//!
//! The order of stages is not configurable; only who does the work of each is.

mod asked;
mod blocks;
mod brought;
mod due;

mod held;

mod level;
mod owners;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use portreeve_model::event::RefundCause;
use portreeve_model::{ChannelId, Currency, Instant, PluginKind, PluginName, ProcessState};
use portreeve_store::contract::{OrderEventKind, OrderName, Part, PartKind};
use serde::{Deserialize, Serialize};

use crate::correction;
use crate::egress::{CredentialEntry, Origin};
use crate::feed::{ORDER_CREATED, Subscriber, Subscription};
use crate::poll::Poll;
use crate::process::{self, Process};
use crate::reconcile::Reconciliation;

pub use self::asked::{KindProblem, Manifests};
pub use self::due::Due;
pub use self::held::{Blocked, HeldOrders};
pub(crate) use self::held::{ORDER_HELD, ORDER_RELEASED};
pub(crate) use self::level::INVENTORY_LEVEL;
pub(crate) use self::owners::OF_A_SCORER;
pub use self::owners::{OwnerPart, Owners, RouteOwner};

/// A channel of what the host itself says of orders. No sender has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnChannel {
    /// What targets say by taking a message.
    Receipts,
    /// Refunds that the host decided on.
    Refunds,
    /// Orders that people rejected.
    Rejections,
    /// What orders are to be by the changes that people accepted.
    Agreements,
    /// What an advice of a payment says of each further order that it is for.
    Advices,
}

impl OwnChannel {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Receipts, Self::Refunds, Self::Rejections, Self::Agreements, Self::Advices];

    /// Its id.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receipts => "receipts",
            Self::Refunds => "refunds",
            Self::Rejections => "rejections",
            Self::Agreements => "agreements",
            Self::Advices => "advices",
        }
    }

    /// The kind of its documents.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Receipts => "portreeve/receipt",
            Self::Refunds => "portreeve/refund",
            Self::Rejections => "portreeve/rejection",
            Self::Agreements => "portreeve/agreement",
            Self::Advices => "portreeve/advice",
        }
    }

    /// What it is for.
    fn holds(self) -> &'static str {
        match self {
            Self::Receipts => "what targets say by taking a message",
            Self::Refunds => "refunds that the host decides on",
            Self::Rejections => "orders that people reject",
            Self::Agreements => "changes of orders that people accept",
            Self::Advices => "what one advice of a payment says of several orders",
        }
    }

    /// Whether the host says this of an order there.
    pub(crate) fn says(self, event: OrderEventKind) -> bool {
        match self {
            Self::Receipts => matches!(event, OrderEventKind::Accepted | OrderEventKind::Rejected),
            Self::Refunds => event == OrderEventKind::RefundIssued,
            Self::Rejections => event == OrderEventKind::Rejected,
            Self::Agreements => event == OrderEventKind::Changed,
            Self::Advices => event == OrderEventKind::RemittanceReceived,
        }
    }

    /// The one of these that a channel is.
    #[must_use]
    pub fn of(channel: &ChannelId) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.as_str() == channel.as_str())
    }
}

/// All routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// Where orders come in.
    #[serde(default, rename = "channel")]
    pub channels: Vec<Channel>,
    /// Where released orders go.
    #[serde(default, rename = "target")]
    pub targets: Vec<Target>,
    /// What follows from what is said of orders.
    #[serde(default, rename = "effect")]
    pub effects: Vec<Effect>,
    /// Who hears what counts. Each is one of the targets as well.
    #[serde(default, rename = "subscriber")]
    pub subscribers: Vec<Subscriber>,
    /// What has to go out by a time.
    #[serde(default, rename = "due", skip_serializing_if = "Vec::is_empty")]
    pub dues: Vec<Due>,
    /// Refunds that the host decides on; none where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunds: Option<Refunds>,
    /// Sources that are asked for what is new.
    #[serde(default, rename = "poll")]
    pub polls: Vec<Poll>,
    /// Systems that should say the same.
    #[serde(default, rename = "reconciliation", skip_serializing_if = "Vec::is_empty")]
    pub reconciliations: Vec<Reconciliation>,
    /// Who answers for whatever has no owners of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Owners>,
}

/// Refunds that the host decides on: what is paid and kept above what is owed, in these cases.
/// Any other difference is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refunds {
    /// Who pays it back.
    pub target: String,
    /// The kind of message; the target's own, where nothing is said.
    pub kind: Option<String>,
    /// For which causes, of `cancelled-prepayment`, `short-shipment` and `goods-return`.
    pub causes: BTreeSet<RefundCause>,
    /// The most of one refund, in minor units of each currency in which the host may refund.
    pub amount_max_minor: BTreeMap<Currency, i64>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name, also the last part of its URL.
    pub id: ChannelId,
    /// The connector that receives.
    pub connector: PluginName,
    /// Kind of document to the transformer that reads it.
    pub documents: BTreeMap<String, PluginName>,
    /// Scorers, asked in this order.
    #[serde(default)]
    pub scorers: Vec<PluginName>,
    /// The target of released orders.
    pub target: String,
    /// What becomes of orders that are kept back.
    #[serde(default)]
    pub held: HeldOrders,
    /// The queue of failures on this channel.
    pub exception_queue: String,
    /// What happens to an order whose scorer failed.
    #[serde(default)]
    pub failed_scorer: FailedScorer,
    /// What becomes of what comes in while a plugin of the channel is not called (in
    /// quarantine, disabled, its publisher's key revoked). Where nothing is said, an input
    /// is kept for a person, since not every sender comes again, and documents wait.
    pub when_stopped: Option<WhenStopped>,
    /// Within how many minutes from its receipt the partner is to hear what becomes of an
    /// order: an exception about one is due by then, whatever its queue promises.
    #[serde(default)]
    pub acknowledge_minutes: Option<u32>,
    /// What its senders may say about orders of any channel: events such as
    /// `shipment.confirmed`, by which a warehouse or a finance system moves an order along.
    /// Nothing where it is not said: a customer's channel settles no payment.
    #[serde(default)]
    pub says: Vec<String>,
    /// By what its senders name the orders that they say something of; by the host's
    /// identifiers, where nothing is said.
    pub orders_by: Option<OrdersBy>,
    /// Whether this channel is for trying things out, with a target that ships
    /// nothing. On any other one an order that its sender marks as a test is held.
    #[serde(default)]
    pub test: bool,
    /// Media types that this channel takes, for example `application/json`; empty
    /// means that only the bytes decide.
    #[serde(default)]
    pub content_types: Vec<String>,
    /// What of it says that there is something to fetch, and the poll that fetches it. It is kept
    /// with its input, and is no document that anybody decides on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wakes: Option<Wakes>,
    /// Whether the connector answers a challenge: a GET by which a sender's system
    /// finds out, before it has credentials, whether the address is the right one.
    #[serde(default)]
    pub challenges: bool,
    /// Non-secret settings for the connector and the transformers.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Who answers for what comes by it; those of the host, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Owners>,
}

/// Documents that say that something is new and not what, and the poll that they have made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wakes {
    /// The poll.
    pub poll: String,
    /// The kinds of these documents.
    pub kinds: BTreeSet<String>,
}

/// By what systems name orders that do not know the host's identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrdersBy {
    /// By the numbers that came in by this channel.
    Channel(ChannelId),
    /// By what this target calls them: its receipts.
    Target(String),
}

impl OrdersBy {
    /// What is meant by a name.
    #[must_use]
    pub fn name(&self, name: &str) -> OrderName {
        match self {
            Self::Channel(channel) => OrderName::Number { channel: channel.clone(), number: name.to_owned() },
            Self::Target(target) => OrderName::Receipt { target: target.clone(), external_id: name.to_owned() },
        }
    }
}

impl Channel {
    /// The media type of a file that comes without one: the first that the channel takes.
    #[must_use]
    pub fn type_of_files(&self) -> Option<&str> {
        self.content_types.first().map(String::as_str)
    }

    /// How many of these documents only say that something is new, and the others.
    pub(crate) fn waking<'a>(
        &self,
        documents: Vec<&'a portreeve_model::Document>,
    ) -> (usize, Vec<&'a portreeve_model::Document>) {
        let Some(wakes) = &self.wakes else { return (0, documents) };
        let (waking, others): (Vec<_>, Vec<_>) =
            documents.into_iter().partition(|document| wakes.kinds.contains(&document.kind));
        (waking.len(), others)
    }

    /// Whether it takes inputs of this media type; parameters (`; charset=…`) say
    /// nothing about it.
    #[must_use]
    pub fn takes(&self, content_type: Option<&str>) -> bool {
        let essence = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        self.content_types.is_empty()
            || essence.is_some_and(|found| self.content_types.iter().any(|taken| taken.eq_ignore_ascii_case(found)))
    }
}

/// What happens to an order whose scorer failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedScorer {
    /// It waits for a person: the default.
    #[default]
    FailClosed,
    /// It goes on with the other scorers' advice; the failure is on record.
    FailOpen,
}

/// What becomes of an event while a plugin of its route is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenStopped {
    /// It waits: a sender is asked to come again, a document is decided and a delivery
    /// made when the plugin is called again.
    Wait,
    /// A person gets it at once.
    Exception,
}

/// What a given-up delivery means for later ones of its order to its target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterDead {
    /// They wait until a person has decided: the default, for a change must not
    /// overtake what it changes.
    #[default]
    Block,
    /// They go on without it.
    Skip,
}

/// A delivery that follows when something that was said of an order counts: its release to the
/// warehouse when the ERP has accepted it, its invoice when it was shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// The event, such as `order.accepted`, or `order.changed`: that a change which people accepted counts;
    /// or what people decide about a change of an order, `order.change-accepted` or `order.change-refused`,
    /// whether it counts or not; or that an order is kept back, `order.held`,
    /// and that such a one goes on, `order.released`.
    pub on: String,
    /// The channels that the order came by; any, where nothing is said.
    #[serde(default)]
    pub channels: BTreeSet<ChannelId>,
    /// The states that the order was in before; any, where nothing is said.
    #[serde(default)]
    pub from: BTreeSet<ProcessState>,
    /// The states that the order is in afterwards; any, where nothing is said.
    #[serde(default)]
    pub to: BTreeSet<ProcessState>,
    /// Of `invoice.posted`: which of them; invoices and credit memos alike, where nothing is said.
    pub invoices: Option<Invoices>,
    /// Of `shipment.confirmed`: whether only where a part of the order never leaves and nothing more of it is
    /// to; any, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
    /// Where it goes.
    pub target: String,
    /// The kind of message; the target's own, where nothing is said.
    pub kind: Option<String>,
    /// What the message is made of.
    #[serde(default)]
    pub sends: Sends,
    /// What the target says of the order by taking the message.
    pub receipt: Option<ReceiptSays>,
}

impl Effect {
    /// Whether it may be of an order that people rejected before any system had it.
    fn is_of_refused(&self) -> bool {
        let of_people = |states: &BTreeSet<_>| states.is_empty() || states.contains(&ProcessState::Cancelled);
        of_people(&self.from) && of_people(&self.to)
    }
}

/// What an effect may be of beside events: that people have carried out a change that the sender
/// of an order asked for, or refused it. The message is made of the change, `order.changed`.
pub(crate) const CHANGE_ACCEPTED: &str = "order.change-accepted";
/// See [`CHANGE_ACCEPTED`].
pub(crate) const CHANGE_REFUSED: &str = "order.change-refused";

/// What becomes of what has not left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// Something of the order never leaves, as its warehouse said of a short line, and the rest has left.
    Cancelled,
}

/// Which of what finance posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invoices {
    /// What somebody owes.
    Invoice,
    /// What is taken off that: its total is below nothing.
    CreditMemo,
}

/// What a message is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sends {
    /// What was said: the default. Each time it is said is another message.
    #[default]
    Event,
    /// The order as it came: one message, however often something asks for it.
    Order,
}

/// What a target says of an order by taking a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptSays {
    /// It has the order.
    #[serde(rename = "order.accepted")]
    Accepted,
    /// It will not carry the order out, or not any more.
    #[serde(rename = "order.rejected")]
    Rejected,
}

impl ReceiptSays {
    /// The event's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => OrderEventKind::Accepted.as_str(),
            Self::Rejected => OrderEventKind::Rejected.as_str(),
        }
    }
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name.
    pub id: String,
    /// The connector that delivers.
    pub connector: PluginName,
    /// The transformer that writes the message.
    pub transformer: PluginName,
    /// The kind of message that an order is.
    pub kind: String,
    /// What the target says of an order by taking it; a system that answers by an event of its
    /// own says it there.
    pub receipt: Option<ReceiptSays>,
    /// By which messages it has orders with a block, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// Scheme, host and port that the connector may talk to, nothing else, and that
    /// within what it was granted (`[[plugin.egress]]`).
    pub origin: Origin,
    /// Whom to trust there beside the machine's authorities, and as whom the host comes.
    #[serde(default)]
    pub tls: TargetTls,
    /// How the host proves itself.
    pub credential: Option<CredentialEntry>,
    /// The queue of failed deliveries.
    pub exception_queue: String,
    /// Who answers for what is not delivered there; the owner of the systems of its channel, where
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems_owner: Option<String>,
    /// Whether `find` can be asked after an unknown outcome. A target without
    /// such a look-up gets an exception instead of a blind retry, unless it knows what comes
    /// again (`knows_repeats` of its `interchange`).
    pub find: bool,
    /// Attempts that may have done something (the call was cut, the answer got lost),
    /// though the target says that it has nothing, before a delivery is given up. One
    /// that surely did nothing is none of them: no connection, `retry`, no free
    /// sandbox; those end with the deadline.
    #[serde(default = "attempts_max_default")]
    pub attempts_max: u32,
    /// Milliseconds before the second attempt; doubles with every further one, up to
    /// an hour.
    #[serde(default = "backoff_ms_default")]
    pub backoff_ms: u32,
    /// Milliseconds after an unknown outcome before the target is asked about it, or is sent
    /// again what it would know again.
    /// Longer than the target may take to finish what it was doing: an answer
    /// that comes too early says no, and the order is sent twice. Where the host
    /// ended during the call, they count from when the call would have been over.
    #[serde(default = "find_after_ms_default")]
    pub find_after_ms: u32,
    /// Deliveries to this target side by side.
    #[serde(default = "deliveries_max_default")]
    pub deliveries_max: u32,
    /// What a given-up delivery means for later ones of its order.
    #[serde(default)]
    pub after_dead: AfterDead,
    /// Minutes from when the delivery is first taken up after which nothing is tried
    /// or asked again: a person decides. So a first attempt is made however long the
    /// host was down, and a target that is down is waited for so long.
    #[serde(default = "deadline_minutes_default")]
    pub deadline_minutes: u32,
    /// What becomes of deliveries while one of the two plugins is not called. They wait
    /// until `deadline_minutes`, unless this says `exception`.
    pub when_stopped: Option<WhenStopped>,
    /// Whether what was said of an order is sent with what its sender calls it: the settings
    /// `order-number`, `order-date` (the day on which it was placed, where it says one) and
    /// `order-partner`. What systems say names an order by the host's identifier alone.
    #[serde(default)]
    pub with_order: bool,
    /// A folder of this host that takes the messages in the stead of the network: a request to
    /// `origin` becomes a file there, named as the last part of its path, which is complete or
    /// not there. Relative paths begin at the configuration's folder.
    pub outbox: Option<PathBuf>,
    /// Its messages are interchanges, each known by a number that its receiver counts by.
    pub interchange: Option<Interchanges>,
    /// Places of its messages, as JSON pointers, whose words people may correct in a delivery that
    /// was given up, two of them together; of messages that are no JSON how lines begin (`N3*`). None
    /// where nothing is said; never an amount, a quantity or a unit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub correctable: BTreeSet<String>,
    /// Non-secret settings for connector and transformer.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What it hears and sees, where it is a subscriber.
    #[serde(skip)]
    pub subscription: Option<Subscription>,
}

impl Target {
    /// Whether it knows what it has, by the message's id or its interchange's number, so that one
    /// may be sent again though an earlier attempt may have arrived: nobody is asked first.
    #[must_use]
    pub fn knows_again(&self) -> bool {
        self.is_subscriber() || self.interchange.as_ref().is_some_and(|entry| entry.knows_repeats)
    }

    /// Whether it only hears of events.
    #[must_use]
    pub fn is_subscriber(&self) -> bool {
        self.subscription.is_some()
    }

    /// How people call it, and its name.
    fn called(&self) -> String {
        let what = if self.is_subscriber() { "subscriber" } else { "target" };
        format!("{what} `{}`", self.id)
    }
}

/// How the messages of a target are numbered. A delivery has one number, in each attempt: a
/// receiver that knows what it got by its number takes what comes again for what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interchanges {
    /// The receiver, as the connector writes partners. Where nothing is said it is the partner
    /// by whom the order came, so that nobody hears of another one's order.
    pub partner: Option<String>,
    /// Of a partner, how many parts between colons name the receiver whose numbers count; all,
    /// where nothing is said. A partner of X12 is `ISA05:ISA06:GS02`, and interchanges are
    /// numbered between two ISA identities, which is 2.
    pub partner_parts: Option<u8>,
    /// The channel on which receivers say that they got something. What comes by any other
    /// acknowledges nothing of this target.
    pub acknowledged_on: Option<ChannelId>,
    /// The sender of that channel who speaks for the receiver. Where nothing is said it is the
    /// sender of the order, who answers for the partner by whom it came; a receiver that is named
    /// needs it.
    pub acknowledged_by: Option<String>,
    /// Minutes from when a delivery is done, after which its receiver should have said that it
    /// got it: then people are told. Nobody waits for it where nothing is said.
    pub acknowledge_within_minutes: Option<u32>,
    /// Whether it is agreed with receivers that a number which comes again has no second effect.
    /// Then what may have arrived is sent again under its number, and nobody is asked; what is
    /// not to be sent any more is a person's, since nobody knows whether it is there.
    #[serde(default)]
    pub knows_repeats: bool,
}

impl Interchanges {
    /// How long a receiver may take to say that it got something.
    #[must_use]
    pub fn within_ms(&self) -> Option<i64> {
        let minutes = self.acknowledge_within_minutes.filter(|_| self.acknowledged_on.is_some())?;
        Some(i64::from(minutes).saturating_mul(Instant::MINUTE_MS))
    }

    /// The receiver whose numbers count, of a partner.
    #[must_use]
    pub fn receiver(&self, partner: &str) -> String {
        let parts = self.partner_parts.map_or(usize::MAX, usize::from);
        partner.split(':').take(parts).collect::<Vec<_>>().join(":")
    }
}

/// TLS to a target; relative paths begin at the configuration's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetTls {
    /// Certificates of authorities in PEM that are trusted as well.
    pub ca_file: Option<PathBuf>,
    /// The host's own certificate chain in PEM, for a target that asks for one.
    pub certificate: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
}

fn attempts_max_default() -> u32 {
    8
}

fn find_after_ms_default() -> u32 {
    30_000
}

pub(crate) fn deliveries_max_default() -> u32 {
    32
}

/// A day: a target that is down over night is no reason to wake a person.
fn deadline_minutes_default() -> u32 {
    24 * 60
}

fn backoff_ms_default() -> u32 {
    1_000
}

impl Routes {
    /// A channel by name.
    #[must_use]
    pub fn channel(&self, id: &ChannelId) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == *id)
    }

    /// A target by name.
    #[must_use]
    pub fn target(&self, id: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.id == id)
    }

    /// Its channels and targets, subscribers with them, of which is kept since when they are there.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let channels = self.channels.iter().map(|channel| (PartKind::Channel, channel.id.as_str()));
        let targets = self.targets.iter().map(|target| (PartKind::Target, target.id.as_str()));
        channels.chain(targets).map(|(kind, id)| Part { kind, id: id.to_owned() }).collect()
    }

    /// What a target says of an order by taking a message of this kind.
    #[must_use]
    pub fn receipt(&self, target: &str, kind: &str) -> Option<ReceiptSays> {
        let of_effects = self.effects.iter().filter(|effect| effect.target == target);
        let of_effects =
            of_effects.filter(|effect| self.kind_of(effect) == Some(kind)).find_map(|effect| effect.receipt);
        let takes_order = |target: &&Target| {
            target.kind == kind || target.blocked.as_ref().is_some_and(|blocked| blocked.clear == kind)
        };
        of_effects.or_else(|| self.target(target).filter(takes_order)?.receipt)
    }

    /// The kind of message of an effect.
    #[must_use]
    pub fn kind_of<'a>(&'a self, effect: &'a Effect) -> Option<&'a str> {
        effect.kind.as_deref().or_else(|| Some(self.target(&effect.target)?.kind.as_str()))
    }

    /// Whether the host by itself does something about an order that its sender wants cancelled.
    #[must_use]
    pub fn cancels(&self) -> bool {
        self.effects.iter().any(|effect| effect.on == OrderEventKind::CancelRequested.as_str())
    }

    /// Every plugin that a route uses: who uses it, its name, what it has to be.
    #[must_use]
    pub fn plugins(&self) -> Vec<(String, PluginName, PluginKind)> {
        let mut used = Vec::new();
        for channel in &self.channels {
            let user = format!("channel `{}`", channel.id);
            used.push((user.clone(), channel.connector.clone(), PluginKind::Connector));
            used.extend(channel.documents.values().map(|name| (user.clone(), name.clone(), PluginKind::Transformer)));
            used.extend(channel.scorers.iter().map(|name| (user.clone(), name.clone(), PluginKind::Scorer)));
        }
        for target in &self.targets {
            let user = target.called();
            if target.stream().is_none() {
                used.push((user.clone(), target.connector.clone(), PluginKind::Connector));
            }
            used.push((user, target.transformer.clone(), PluginKind::Transformer));
        }
        for poll in &self.polls {
            let connector = poll.connector.clone();
            used.extend(connector.map(|name| (format!("poll `{}`", poll.id), name, PluginKind::Connector)));
        }
        used.extend(self.reconciling_plugins());
        used
    }

    /// Plugins that are of another kind than the place needs that names them, of those of which anybody knows.
    #[must_use]
    pub fn misplaced(&self, plugins: &Manifests) -> Vec<String> {
        let problem = |(user, name, needed): (String, PluginName, PluginKind)| {
            let found = plugins.get(&name)?.plugin.kind;
            let is_another = found != needed;
            is_another.then(|| {
                format!("{user} uses plugin `{name}` as a {needed}, and it is a {found}; name a {needed} there")
            })
        };
        // A channel may name one transformer for many kinds of documents.
        let told: BTreeSet<String> = self.plugins().into_iter().filter_map(problem).collect();
        told.into_iter().collect()
    }

    /// What contradicts itself: doubled names, targets that do not exist.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (mut problems, mut known) = (self.effect_problems(), process::said_by_systems());
        known.push(INVENTORY_LEVEL);
        problems.extend(self.level_problems());
        problems.extend(self.held_problems());
        problems.extend(self.refund_problems());
        problems.extend(self.poll_problems());
        problems.extend(self.reconciliation_problems());
        problems.extend(self.subscriber_problems());
        problems.extend(self.owner_problems());
        problems.extend(self.due_problems());
        for (index, channel) in self.channels.iter().enumerate() {
            if self.channels.iter().take(index).any(|earlier| earlier.id == channel.id) {
                problems.push(format!("channel `{}` is there twice; give each its own id", channel.id));
            }
            if let Some(own) = OwnChannel::ALL.iter().find(|own| own.as_str() == channel.id.as_str()) {
                let (id, holds) = (own.as_str(), own.holds());
                problems.push(format!("channel `{id}` is the host's own, for {holds}; give it another id"));
            }
            for event in channel.says.iter().filter(|event| !known.contains(&event.as_str())) {
                problems.push(format!(
                    "channel `{}` may say `{event}`, which moves no order; expected one of {}",
                    channel.id,
                    known.join(", ")
                ));
            }
            let unknown = match &channel.orders_by {
                Some(OrdersBy::Channel(id)) if self.channel(id).is_none() => Some(format!("channel `{id}`")),
                Some(OrdersBy::Target(id)) if self.target(id).is_none() => Some(format!("target `{id}`")),
                Some(OrdersBy::Channel(_) | OrdersBy::Target(_)) | None => None,
            };
            if let Some(unknown) = unknown {
                problems.push(format!(
                    "`orders_by` of channel `{}` is the names of {unknown}, which does not exist; name one that is there",
                    channel.id
                ));
            }
            if channel.orders_by.is_some() && channel.says.is_empty() {
                problems.push(format!(
                    "channel `{}` has `orders_by` and no `says`: its senders name no orders; take it out, or add what they may say",
                    channel.id
                ));
            }
            if self.target(&channel.target).is_none() {
                problems.push(format!(
                    "channel `{}` sends to target `{}`, which does not exist; add a [[target]] with that id",
                    channel.id, channel.target
                ));
            }
        }
        for (index, target) in self.targets.iter().enumerate() {
            let called = target.called();
            if self.targets.iter().take(index).any(|earlier| earlier.id == target.id) {
                problems.push(format!("{called} is there twice; give each its own id, among targets and subscribers"));
            }
            let acknowledged_on = target.interchange.as_ref().and_then(|entry| entry.acknowledged_on.as_ref());
            if let Some(channel) = acknowledged_on.filter(|channel| self.channel(channel).is_none()) {
                problems.push(format!(
                    "target `{}` is acknowledged on channel `{channel}`, which does not exist; add a [[channel]] with that id",
                    target.id
                ));
            }
            if target.deliveries_max == 0 {
                problems.push(format!("{called} allows 0 deliveries at once; expected 1 or more"));
            }
            problems.extend(target.way_problems());
            for own in target.settings.keys().filter(|name| HOSTS_OWN.contains(&name.as_str())) {
                problems.push(format!(
                    "setting `{own}` of target `{}` is the host's to say, of each message anew; take it out",
                    target.id
                ));
            }
            if target.attempts_max == 0 {
                problems.push(format!("{called} allows 0 attempts; expected 1 or more"));
            }
        }
        problems
    }
}

impl Routes {
    /// Effects for states that no order has around their event: they never happen.
    #[must_use]
    pub fn effects_out_of(&self, process: &Process) -> Vec<String> {
        let mut problems = Vec::new();
        for Effect { on, from, to, target, .. } in &self.effects {
            let around = if is_change(on) { process::around_a_change() } else { process.around(on) };
            for (key, states, known) in [("from", from, &around.0), ("to", to, &around.1)] {
                let lost: Vec<&str> = states.difference(known).map(|state| state.as_str()).collect();
                if !lost.is_empty() {
                    let known: Vec<&str> = known.iter().map(|state| state.as_str()).collect();
                    problems.push(format!(
                        "`{key}` of the effect of `{on}` on target `{target}` has {}, which no order is in around it; expected some of {}",
                        lost.join(", "),
                        known.join(", ")
                    ));
                }
            }
        }
        problems
    }

    /// Channels that may say what payers advise, where the process has no transition for it, as one that was
    /// written before there were any: each advice would be a person's.
    #[must_use]
    pub fn advices_out_of(&self, process: &Process) -> Vec<String> {
        let advised = OrderEventKind::RemittanceReceived.as_str();
        if !process.around(advised).0.is_empty() {
            return Vec::new();
        }
        let channels = self.channels.iter().filter(|channel| channel.says.iter().any(|says| says == advised));
        let problem = |channel: &Channel| {
            format!(
                "channel `{}` may say `{advised}`, and the process has no transition for it, so that none would count; add the one of the standard process, or take it out of `says`",
                channel.id
            )
        };
        channels.map(problem).collect()
    }

    /// Targets that are acknowledged on a channel of which nobody reads any document: nothing that comes there says
    /// anything. Of which documents an acknowledgement can be made transformers alone know.
    #[must_use]
    pub fn acknowledged_by_nothing(&self) -> Vec<String> {
        let problem = |target: &Target| {
            let on = target.interchange.as_ref()?.acknowledged_on.as_ref()?;
            self.channel(on).filter(|channel| channel.documents.is_empty())?;
            Some(format!(
                "target `{}` is acknowledged on channel `{on}`, whose `documents` are none, so that nothing that comes there is read; name the channel on which its receivers answer, or add what they answer with to `documents`",
                target.id
            ))
        };
        self.targets.iter().filter_map(problem).collect()
    }

    /// States in which the host decides on a refund, or may be when it says so, and in which the
    /// process lets none be issued: the money would be neither sent nor anybody's to see to.
    #[must_use]
    pub fn refunds_out_of(&self, process: &Process) -> Vec<String> {
        let Some(refunds) = &self.refunds else { return Vec::new() };
        let issued = OrderEventKind::RefundIssued.as_str();
        let may_come = process.around(issued).0;
        let mut problems = Vec::new();
        let decided_in = refunds.causes.iter().filter_map(|cause| Some((cause, Refunds::decided_in(*cause)?)));
        for (cause, state) in decided_in {
            let mut states = process.after(state);
            states.insert(state);
            let lost: Vec<&str> = states.difference(&may_come).map(|state| state.as_str()).collect();
            if !lost.is_empty() {
                problems.push(format!(
                    "[refunds] has the cause `{}`, and the process has no `{issued}` of an order that is {}; expected one from {state} and from each state after it",
                    cause.as_str(),
                    lost.join(", ")
                ));
            }
        }
        let rejected = OrderEventKind::Rejected.as_str();
        let is_told = process.around(rejected).0.contains(&ProcessState::Cancelled);
        if refunds.causes.contains(&RefundCause::CancelledPrepayment) && !is_told {
            problems.push(format!(
                "[refunds] has the cause `cancelled-prepayment`, and the process has no `{rejected}` of an order that is cancelled; expected one, by which the host says that people rejected a paid order"
            ));
        }
        problems
    }

    /// Whether an effect of this can follow.
    fn may_follow(&self, effect: &Effect) -> bool {
        // What people rejected no system had: it is cancelled before and afterwards.
        let is_peoples = effect.on == OrderEventKind::Rejected.as_str() && effect.is_of_refused();
        is_peoples
            || is_answer(&effect.on)
            || is_change(&effect.on)
            || held::is_of_hold(&effect.on)
            || self.is_heard(&effect.on)
    }

    /// Whether some channel may advise of payments: then orders are found by their invoices.
    pub(crate) fn finds_by_invoice(&self) -> bool {
        self.is_heard(OrderEventKind::RemittanceReceived.as_str())
    }

    /// Whether somebody else than people at this host may say this of an order.
    fn is_heard(&self, event: &str) -> bool {
        event == OrderEventKind::CancelRequested.as_str()
            || (self.refunds.is_some() && event == OrderEventKind::RefundIssued.as_str())
            || self.channels.iter().any(|channel| channel.says.iter().any(|says| says == event))
            || self.effects.iter().filter_map(|effect| effect.receipt).any(|says| says.as_str() == event)
            || self.targets.iter().filter_map(|target| target.receipt).any(|says| says.as_str() == event)
    }

    /// Whether this can count of an order as things are configured. A wish to cancel counts where
    /// something undoes the order; elsewhere it is a person's to judge.
    pub(crate) fn is_said(&self, event: &str) -> bool {
        match event {
            ORDER_CREATED => true,
            // By the host, where people reject an order.
            _ if event == OrderEventKind::Rejected.as_str() => true,
            _ if event == OrderEventKind::CancelRequested.as_str() => self.cancels(),
            _ => self.is_heard(event),
        }
    }

    /// What is wrong with what follows from events.
    fn effect_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, effect) in self.effects.iter().enumerate() {
            let Effect { on, target, .. } = effect;
            if self.target(target).is_none() {
                problems.push(format!(
                    "an effect of `{on}` goes to target `{target}`, which does not exist; add a [[target]] with that id"
                ));
            }
            for channel in effect.channels.iter().filter(|channel| self.channel(channel).is_none()) {
                problems.push(format!(
                    "an effect of `{on}` is of orders of channel `{channel}`, which does not exist; add a [[channel]] with that id"
                ));
            }
            if !self.may_follow(effect) {
                problems.push(format!(
                    "an effect on target `{target}` waits for `{on}`, which nobody says; add it to `says` of a channel, or as `receipt` where a target says it"
                ));
            }
            if on == OrderEventKind::CancelRequested.as_str() && effect.sends == Sends::Order {
                problems.push(format!(
                    "an effect of `{on}` sends target `{target}` the order that is not wanted any more; leave out `sends`, and say what undoes it as `kind`"
                ));
            }
            if (is_answer(on) || is_change(on)) && effect.sends == Sends::Order {
                problems.push(format!(
                    "an effect of `{on}` sends target `{target}` the order as it came; leave out `sends`, by which it gets the change"
                ));
            }
            let is_of_refused = effect.from.contains(&ProcessState::Cancelled) && effect.sends == Sends::Order;
            if on == OrderEventKind::Rejected.as_str() && is_of_refused {
                problems.push(format!(
                    "an effect of `{on}` sends target `{target}` an order that people rejected, which goes nowhere; leave out `sends`, and tell it what the customer calls the order by `with_order` of the target"
                ));
            }
            if effect.invoices.is_some() && on != OrderEventKind::InvoicePosted.as_str() {
                problems.push(format!(
                    "an effect of `{on}` on target `{target}` says `invoices`, and none is posted by that; take it out, or have it be of `invoice.posted`"
                ));
            }
            if effect.rest.is_some() && on != OrderEventKind::ShipmentConfirmed.as_str() {
                problems.push(format!(
                    "an effect of `{on}` on target `{target}` says `rest`, and nothing leaves by that; take it out, or have it be of `shipment.confirmed`"
                ));
            }
            let earlier = self.effects.iter().take(index);
            if earlier.clone().any(|other| other == effect) {
                problems.push(format!("the effect of `{on}` on target `{target}` is there twice; remove one"));
            }
            let same_key = |other: &&Effect| {
                other.target == *target
                    && (other.sends, effect.sends) == (Sends::Event, Sends::Event)
                    && other.on != *on
                    && numbered_alike(&other.on, on)
                    && self.kind_of(other) == self.kind_of(effect)
            };
            if let Some(other) = earlier.clone().find(same_key) {
                problems.push(format!(
                    "effects of `{}` and `{on}` send target `{target}` one kind of message, and it would know both by one number; give each a `kind` of its own",
                    other.on
                ));
            }
            let same_message = |other: &&Effect| other.target == *target && self.kind_of(other) == self.kind_of(effect);
            if let Some(other) = earlier.filter(same_message).find(|other| other.receipt != effect.receipt) {
                problems.push(format!(
                    "effects of `{}` and `{on}` send target `{target}` one kind of message, with another `receipt` each; give both the same, or the messages a `kind` of their own",
                    other.on
                ));
            }
        }
        if self.cancels() && !self.is_heard(OrderEventKind::Rejected.as_str()) {
            problems.push(
                "an effect of `order.cancel-requested` undoes orders, and nobody says `order.rejected`, so they are never cancelled; add it as `receipt` of what undoes them, or to `says` of a channel".to_owned(),
            );
        }
        problems
    }
}

impl Routes {
    /// What is wrong with refunds.
    fn refund_problems(&self) -> Vec<String> {
        let Some(Refunds { target, causes, amount_max_minor, .. }) = &self.refunds else { return Vec::new() };
        let mut problems = Vec::new();
        if self.target(target).is_none() {
            problems.push(format!(
                "[refunds] are paid by target `{target}`, which does not exist; add a [[target]] with that id"
            ));
        }
        if causes.is_empty() || amount_max_minor.is_empty() {
            problems.push(
                "[refunds] without `causes`, or without a currency in `amount_max_minor`, pay nothing back; name some, or leave it out".to_owned(),
            );
        }
        for cause in causes.iter().filter(|cause| !Refunds::CAUSES.contains(cause)) {
            let known: Vec<&str> = Refunds::CAUSES.iter().map(|cause| cause.as_str()).collect();
            problems.push(format!(
                "[refunds] has the cause `{}`, which the host cannot see by itself; expected some of {}",
                cause.as_str(),
                known.join(", ")
            ));
        }
        for (currency, amount) in amount_max_minor.iter().filter(|(_, amount)| **amount <= 0) {
            problems.push(format!(
                "[refunds] has an `amount_max_minor` of {amount} in {currency}; expected 1 or more, in its smallest unit"
            ));
        }
        problems
    }
}

impl Refunds {
    /// Where an order is when the host decides on a refund for this cause.
    fn decided_in(cause: RefundCause) -> Option<ProcessState> {
        match cause {
            RefundCause::CancelledPrepayment => Some(ProcessState::Cancelled),
            RefundCause::ShortShipment => Some(ProcessState::Settled),
            RefundCause::GoodsReturn => Some(ProcessState::Credited),
            _ => None,
        }
    }

    /// The causes that follow from what was counted.
    pub const CAUSES: [RefundCause; 3] =
        [RefundCause::CancelledPrepayment, RefundCause::ShortShipment, RefundCause::GoodsReturn];
}

/// Whether it is what people decide about a change, and no event.
fn is_answer(on: &str) -> bool {
    [CHANGE_ACCEPTED, CHANGE_REFUSED].contains(&on)
}

/// Whether it is that an accepted change counts.
fn is_change(on: &str) -> bool {
    on == OrderEventKind::Changed.as_str()
}

/// Whether systems count these two in one series: a shipment has its number at every step.
fn numbered_alike(one: &str, other: &str) -> bool {
    ["shipment.", "return."].iter().any(|series| one.starts_with(series) && other.starts_with(series))
}

/// What is wrong with the way to a system that is only asked, which people call so.
pub(crate) fn source_problems(
    called: &str,
    origin: &Origin,
    credential: Option<&CredentialEntry>,
    tls: &TargetTls,
) -> Vec<String> {
    let credential_is_read = credential.and_then(|_| read_on_the_way(called, origin));
    [
        credential_problems(called, credential),
        credential_is_read.into_iter().collect(),
        tls.problems(called, origin, "https"),
    ]
    .concat()
}

fn credential_problems(called: &str, credential: Option<&CredentialEntry>) -> Vec<String> {
    let wrong = credential.into_iter().flat_map(CredentialEntry::problems);
    wrong.map(|problem| format!("the credential of {called}: {problem}")).collect()
}

/// What is wrong with an origin to which a credential goes.
fn read_on_the_way(called: &str, origin: &Origin) -> Option<String> {
    (!origin.is_private()).then(|| {
        format!(
            "{called} has a credential and its origin is http, where everybody on the way can read it; write `https://…`"
        )
    })
}

impl TargetTls {
    /// What is wrong with it on the way to an origin, which is written with this scheme where TLS is
    /// spoken.
    fn problems(&self, called: &str, origin: &Origin, scheme: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.certificate.is_some() != self.key.is_some() {
            problems.push(format!("`tls` of {called} needs both of `certificate` and `key`, or none"));
        }
        if *self != Self::default() && !origin.is_https() {
            problems.push(format!("{called} has `tls` and its origin is http; write `{scheme}://…`"));
        }
        problems
    }
}

impl Target {
    /// What is wrong with the way to it.
    fn way_problems(&self) -> Vec<String> {
        let called = self.called();
        let mut problems = credential_problems(&called, self.credential.as_ref());
        // Of a subscriber that is said of its URL.
        if self.subscription.is_none() && self.credential.is_some() {
            problems.extend(read_on_the_way(&called, &self.origin));
        }
        if self.interchange.as_ref().is_some_and(|entry| entry.partner_parts == Some(0)) {
            problems.push(format!(
                "`interchange` of target `{}` has 0 `partner_parts`, by which all receivers are one; expected 1 or more",
                self.id
            ));
        }
        if self
            .interchange
            .as_ref()
            .is_some_and(|entry| entry.acknowledge_within_minutes.is_some() && entry.acknowledged_on.is_none())
        {
            problems.push(format!(
                "`interchange` of target `{}` has `acknowledge_within_minutes` and no channel on which that could come; add `acknowledged_on`",
                self.id
            ));
        }
        let acknowledged = self.interchange.as_ref().map(|entry| (entry.acknowledged_on.is_some(), entry));
        match acknowledged {
            Some((true, Interchanges { partner: Some(partner), acknowledged_by: None, .. })) => problems.push(format!(
                "`interchange` of target `{}` goes to `{partner}`, and nothing says who speaks for it on the channel of `acknowledged_on`; add `acknowledged_by`, a sender of that channel",
                self.id
            )),
            Some((false, Interchanges { acknowledged_by: Some(sender), .. })) => problems.push(format!(
                "`interchange` of target `{}` is acknowledged by sender `{sender}` and on no channel; add `acknowledged_on`",
                self.id
            )),
            Some(_) | None => {}
        }
        if self.find && self.interchange.as_ref().is_some_and(|entry| entry.knows_repeats) {
            problems.push(format!(
                "target `{}` has `find = true`, and its `interchange` has `knows_repeats = true`, by which nobody is asked; expected one of them",
                self.id
            ));
        }
        if self.outbox.is_some() && (self.credential.is_some() || self.origin.is_https()) {
            problems.push(format!(
                "target `{}` has an `outbox`, so nothing of it leaves this host; take out its `credential`, and write its origin `http://…`",
                self.id
            ));
        }
        let correctable = self.correctable.iter().filter_map(|place| correction::problem(place));
        problems.extend(correctable.map(|problem| format!("`correctable` of {called}: {problem}")));
        let scheme = if self.stream().is_some() { "tls" } else { "https" };
        problems.extend(self.tls.problems(&called, &self.origin, scheme));
        problems
    }
}

/// Settings that the host makes for a message. A target that had them could send one order's
/// message under another one's number.
pub(crate) const HOSTS_OWN: [&str; 6] =
    [ORDER_NUMBER, ORDER_DATE, ORDER_PARTNER, INTERCHANGE_PARTNER, INTERCHANGE_NUMBER, INTERCHANGE_AT];

/// What the sender of an order calls it.
pub(crate) const ORDER_NUMBER: &str = "order-number";
/// The day on which it was placed.
pub(crate) const ORDER_DATE: &str = "order-date";
/// Whose it is within its sender's traffic, in the connector's notation.
pub(crate) const ORDER_PARTNER: &str = "order-partner";

/// Whom an interchange goes to, in the connector's notation.
pub(crate) const INTERCHANGE_PARTNER: &str = "interchange-partner";
/// Its number: a whole number from 1.
pub(crate) const INTERCHANGE_NUMBER: &str = "interchange-number";
/// When it got the number, in milliseconds since 1970: the same in each attempt.
pub(crate) const INTERCHANGE_AT: &str = "interchange-at";

/// Settings as plugins get them.
pub(crate) fn settings(settings: &BTreeMap<String, String>) -> Vec<portreeve_model::document::Setting> {
    settings
        .iter()
        .map(|(name, value)| portreeve_model::document::Setting { name: name.clone(), value: value.clone() })
        .collect()
}
