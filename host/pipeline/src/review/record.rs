//! The full record of a review: what the rules were told and found, which holds ended, and
//! why. Sealed, as the decision's is; the leaf keeps its commitment.

use std::collections::BTreeMap;

use portreeve_model::value::text;
use portreeve_model::{Digest, Instant, OrderId};
use portreeve_record::leaf::HoldRecord;
use serde::{Deserialize, Serialize};

use crate::decision::{CreditRecord, FindingRecord, LookupRecord};

/// An order that was looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewRecord {
    /// The record's version.
    pub v: u32,
    /// The order.
    pub order: OrderId,
    /// Commitment to the order's sealed event.
    pub event: Digest,
    /// When the order's input was received.
    pub received_at: Instant,
    /// When: the clock of the data's age and of grace.
    pub at: Instant,
    /// The active configuration.
    #[serde(with = "text")]
    pub configuration: u64,
    /// Digest of the host's rules.
    pub rules: Digest,
    /// Versions of the reference tables.
    pub reference: BTreeMap<String, String>,
    /// Whether the channel was one for tests.
    pub test_channel: bool,
    /// Every look-up of the rules with its answer.
    pub answers: Vec<LookupRecord>,
    /// What the rules looked up: places in `answers`, from 0.
    pub looked_up: Vec<u32>,
    /// What the rule about credit was told beside the account's row.
    pub credit: Option<CreditRecord>,
    /// What the rules found.
    pub findings: Vec<ReviewedFinding>,
    /// Holds that ended.
    pub closed: Vec<HoldRecord>,
    /// Reasons of the holds that were opened.
    pub opened: Vec<String>,
    /// Where the order stands.
    pub state: String,
    /// The account that released; none where the host cleared its own holds.
    pub who: Option<String>,
    /// Why, in that person's words.
    pub reason: Option<String>,
}

/// A finding, and whether it counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewedFinding {
    /// What was found.
    pub finding: FindingRecord,
    /// Whether a person let it pass, now or within its grace.
    pub quiet: bool,
}

impl ReviewRecord {
    /// Reads a sealed record.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, portreeve_record::RecordError> {
        portreeve_record::parse_canonical(bytes)
    }
}
