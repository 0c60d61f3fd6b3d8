//! What a scorer may say: a score, its reasons, and proposals from a closed list.
//!
//! INVARIANT: no type here can express release, cancel, allocate, re-price or a
//! change of priority (design invariant 2). Authority turns proposals into
//! verdicts; nothing else reads them.

use serde::{Deserialize, Serialize};

use crate::event::Order;
use crate::id::Digest;
use crate::value::{Date, Extension, Instant, Money, UnitPrice, text};

/// What the host knows about the customer from earlier events of the
/// journal; counts and sums over events at lower positions only, so that
/// they are the same whenever the order is scored again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomerHistory {
    /// Orders in the hour, the day and the 30 days before receipt.
    pub orders_1h: u32,
    /// Orders 24h.
    pub orders_24h: u32,
    /// Orders 30d.
    pub orders_30d: u32,
    /// Their value in minor units of the order's currency; orders in other
    /// currencies are not in the sums.
    #[serde(with = "text")]
    pub value_24h_minor: i64,
    /// Value 30d minor.
    #[serde(with = "text")]
    pub value_30d_minor: i64,
    /// The largest single order of the 30 days, minor units.
    #[serde(with = "text")]
    pub largest_30d_minor: i64,
    /// When the first order of this customer was received.
    pub first_order_at: Option<Instant>,
    /// Different ship-to places in the 30 days, this order's not counted.
    pub ship_to_places_30d: u32,
    /// Whether an earlier order went to this order's ship-to place.
    pub ship_to_known: bool,
}

impl CustomerHistory {
    /// A digest of all fields, for records: eight bytes each, big-endian, in the
    /// order of their declaration, behind a byte that says whether there is a value.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Taken apart in full: a new field cannot be forgotten here.
        let Self {
            orders_1h,
            orders_24h,
            orders_30d,
            value_24h_minor,
            value_30d_minor,
            largest_30d_minor,
            first_order_at,
            ship_to_places_30d,
            ship_to_known,
        } = self;
        let fields = [
            Some(i64::from(*orders_1h)),
            Some(i64::from(*orders_24h)),
            Some(i64::from(*orders_30d)),
            Some(*value_24h_minor),
            Some(*value_30d_minor),
            Some(*largest_30d_minor),
            first_order_at.map(|at| at.0),
            Some(i64::from(*ship_to_places_30d)),
            Some(i64::from(*ship_to_known)),
        ];
        let bytes = fields.map(|field| {
            let [a, b, c, d, e, f, g, h] = field.unwrap_or_default().to_be_bytes();
            [u8::from(field.is_some()), a, b, c, d, e, f, g, h]
        });
        Digest::of(bytes.as_flattened())
    }
}

/// One order to be scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScoringRequest {
    /// Order.
    pub order: Order,
    /// The scorer's clock: when the input was received.
    pub received_at: Instant,
    /// History.
    pub history: CustomerHistory,
    /// Repeatable randomness for scorers that need some.
    #[serde(with = "text")]
    pub seed: u64,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// Minutes of a hold: 30 days. The host's grant is often shorter.
pub const HOLD_MINUTES_MAX: u32 = 43_200;

/// Ship nodes of a recommendation: people read three, a plugin could send thousands.
pub const RANKED_NODES_MAX: usize = 3;

/// One cause of a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reason {
    /// A stable lower-case code with dashes.
    pub code: String,
    /// Signed basis points that this cause added to the score.
    pub contribution_bp: i32,
    /// The order line that it is about.
    pub line_number: Option<String>,
}

/// What to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "data")]
pub enum HoldScope {
    /// `order`.
    Order,
    /// Line numbers of the order, at least one.
    Lines(Vec<String>),
}

/// A wish to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// Scope.
    pub scope: HoldScope,
    /// How long, in minutes, 1 to 43 200; the host's grant is often shorter.
    pub minutes: u32,
    /// One of the assessment's reason codes.
    pub reason: String,
}

/// A ship node that could serve the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RankedNode {
    /// Node.
    pub node: String,
    /// Basis points, 0 to 10000, higher is better.
    pub suitability_bp: u16,
    /// Freight against the planned node, minor units, signed.
    pub freight_delta: Money,
    /// Country.
    pub country: String,
    /// Splits.
    pub splits: u8,
}

/// A new date with its interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DateProposal {
    /// Line number.
    pub line_number: Option<String>,
    /// Date.
    pub date: Date,
    /// Earliest.
    pub earliest: Date,
    /// Latest.
    pub latest: Date,
}

/// An exception price for a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceProposal {
    /// Line number.
    pub line_number: String,
    /// Price.
    pub price: UnitPrice,
    /// The role that would have to approve it.
    pub approver_tier: String,
}

/// A text for a person to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Draft {
    /// Audience.
    pub audience: String,
    /// Text.
    pub text: String,
    /// Paths of the facts that each sentence cites.
    pub facts: Vec<String>,
}

/// Advice of a kind that this version has no case for; recorded, never acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtherAdvice {
    /// Kind.
    pub kind: String,
    /// Body.
    #[serde(with = "hex")]
    pub body: Vec<u8>,
}

/// Advice for a person. It causes nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "data")]
pub enum Recommendation {
    /// Look at it; the queue is the scorer's suggestion.
    Review(String),
    /// At most three, best first.
    AlternateShipNode(Vec<RankedNode>),
    /// `new-date`.
    NewDate(DateProposal),
    /// A disposition queue for a return.
    Disposition(String),
    /// `exception-price`.
    ExceptionPrice(PriceProposal),
    /// `draft`.
    Draft(Draft),
    /// `other`.
    Other(OtherAdvice),
}

/// What a scorer may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "data")]
pub enum Proposal {
    /// `recommend`.
    Recommend(Recommendation),
    /// Send the order to this queue before it is released.
    Route(String),
    /// Keep the order or some lines for a while.
    Hold(Hold),
    /// `other`.
    Other(OtherAdvice),
}

/// The result of scoring one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assessment {
    /// Risk in basis points, 0 to 10000, higher is riskier.
    pub score_bp: u16,
    /// At most 32, largest contribution first.
    pub reasons: Vec<Reason>,
    /// At most 8.
    pub proposals: Vec<Proposal>,
    /// Digest of the model artifact (`sha256:…`), where there is one.
    pub model: Option<Digest>,
}
