//! The full record of a decision: everything that deciding again needs.
//!
//! It is sealed, for it holds what the order holds; the leaf keeps its
//! commitment. Canonical JSON, so that the same decision has the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_authority::rules::{Consequence, Finding};
use portreeve_authority::{Counters, Verdict};
use portreeve_model::advice::{Assessment, CustomerHistory, Proposal};
use portreeve_model::reference::Row;
use portreeve_model::value::text;
use portreeve_model::{Digest, Instant, OrderId, PluginName, ProcessState};
use portreeve_sandbox::{LookupAnswer, RecordedLookup};
use portreeve_store::contract::{Content, DocumentPosition, EventOutcome, NewOutbox};
use serde::{Deserialize, Serialize};

use crate::process::{Progress, RefundRecord};

/// A decision about an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRecord {
    /// The record's version.
    pub v: u32,
    /// The order.
    pub order: OrderId,
    /// Commitment to the sealed event that was decided on.
    pub event: Digest,
    /// When its input was received: the scorers' clock.
    pub received_at: Instant,
    /// When it was decided: the clock of grants and windows.
    pub decided_at: Instant,
    /// The active configuration.
    #[serde(with = "text")]
    pub configuration: u64,
    /// Digest of grants and policies.
    pub authority: Digest,
    /// Versions of the reference tables.
    pub reference: BTreeMap<String, String>,
    /// Digest of the host's rules.
    pub rules: Digest,
    /// Whether the channel was one for tests.
    pub test_channel: bool,
    /// Every look-up with its answer, once, whoever asked.
    pub answers: Vec<LookupRecord>,
    /// What the host's rules looked up: places in `answers`, from 0.
    pub looked_up: Vec<u32>,
    /// What the scorers knew about the customer.
    pub history: Option<CustomerHistory>,
    /// What the rule about credit was told beside the account's row; none where it was not
    /// asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<CreditRecord>,
    /// What the host's rules found.
    pub findings: Vec<FindingRecord>,
    /// What each scorer was given and said.
    pub scorings: Vec<Scoring>,
    /// What each proposal may cause.
    pub verdicts: Vec<VerdictRecord>,
    /// Where the order stands.
    pub state: String,
    /// What an event made of the order's process; none where it moves no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessRecord>,
    /// What follows from it, by the routes of that configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<EffectRecord>,
}

/// A delivery that follows from what was said of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EffectRecord {
    /// The target.
    pub target: String,
    /// The kind of message.
    pub kind: String,
    /// The journal position of the document that said what is delivered; none where that is the
    /// order as it came.
    #[serde(with = "portreeve_model::value::text_option")]
    pub said: Option<u64>,
}

impl From<&NewOutbox> for EffectRecord {
    fn from(effect: &NewOutbox) -> Self {
        let said = match effect.content {
            Content::Order => None,
            Content::Said(position) | Content::Level(position) => Some(position.0),
        };
        Self { target: effect.target.clone(), kind: effect.kind.clone(), said }
    }
}

/// What an event made of its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessRecord {
    /// Digest of the process's definition.
    pub definition: Digest,
    /// Where the order was; none where it could not be followed.
    pub from: Option<ProcessState>,
    /// The event's name.
    pub event: String,
    /// What became of it.
    pub outcome: String,
    /// Events that waited and do no more, in the order in which they were looked at.
    pub caught_up: Vec<CaughtUpRecord>,
    /// How far the order is now; none where it was not moved.
    pub progress: Option<Progress>,
    /// The refund that the host decided on, which `progress` has among those to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundRecord>,
}

impl ProcessRecord {
    /// Whether the event at this place counted: the one that the record is of, whose document has
    /// the second place, or one that waited.
    pub(crate) fn counted(&self, at: DocumentPosition, of: DocumentPosition) -> bool {
        let waited = || self.caught_up.iter().find(|waited| waited.position == at.0).map(|waited| &waited.outcome);
        let outcome = if at == of { Some(&self.outcome) } else { waited() };
        outcome.is_some_and(|outcome| outcome == EventOutcome::Applied.as_str())
    }
}

/// What became of an event that waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaughtUpRecord {
    /// The journal position of its document.
    #[serde(with = "text")]
    pub position: u64,
    /// What became of it.
    pub outcome: String,
}

/// What the rule about credit was told beside the account's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreditRecord {
    /// What releases had taken of the account that its figures did not know, minor units.
    #[serde(with = "text")]
    pub reserved_minor: i64,
}

/// A finding of the host's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindingRecord {
    /// Stable code.
    pub code: String,
    /// The line.
    pub line: Option<String>,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// `hold` or `refuse`.
    pub consequence: String,
}

/// One call of a scorer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scoring {
    /// Who.
    pub plugin: PluginName,
    /// The component.
    pub component: Digest,
    /// The engine: fuel is compared under the same one only.
    pub engine: Digest,
    /// Repeatable randomness that it got.
    #[serde(with = "text")]
    pub seed: u64,
    /// Digest of its input: the event, the history, the times, and what it saw of them.
    pub input: Digest,
    /// What of the order was not masked, in the words of data grants; none in records from
    /// before there were any, when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sees: Option<Vec<String>>,
    /// What it looked up, in order: places in the record's `answers`, from 0.
    pub lookups: Vec<u32>,
    /// Digest over its host calls.
    pub transcript: Digest,
    /// Fuel it burned.
    #[serde(with = "portreeve_model::value::text_option")]
    pub fuel_used: Option<u64>,
    /// What it said; none when it failed.
    pub assessment: Option<Assessment>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// A look-up and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookupRecord {
    /// The table.
    pub table: String,
    /// The key.
    pub key: String,
    /// `row`, `no-row`, `denied`, `unknown-table`, `unavailable`.
    pub answer: String,
    /// The row, when there was one.
    #[serde(with = "shared")]
    pub row: Option<Arc<Row>>,
}

/// A row that the table and its readers share, as JSON.
mod shared {
    use super::{Arc, Deserialize, Row, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(row: &Option<Arc<Row>>, serializer: S) -> Result<S::Ok, S::Error> {
        row.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<Row>>, D::Error> {
        Ok(Option::<Row>::deserialize(deserializer)?.map(Arc::new))
    }
}

/// Answers as they are collected for a record. All questions of an order are asked
/// of the same tables, so the same question has one answer.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    answers: Vec<LookupRecord>,
    places: BTreeMap<(String, String, &'static str), u32>,
}

impl Answers {
    /// Where the answers to these questions are.
    pub(crate) fn places<'a>(&mut self, lookups: impl IntoIterator<Item = &'a RecordedLookup>) -> Vec<u32> {
        lookups.into_iter().map(|lookup| self.place(lookup)).collect()
    }

    fn place(&mut self, lookup: &RecordedLookup) -> u32 {
        // A call has a limit of look-ups far below this number.
        let next = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
        let question = (lookup.table.clone(), lookup.key.clone(), word(&lookup.answer));
        let place = *self.places.entry(question).or_insert(next);
        if place == next {
            self.answers.push(LookupRecord::from(lookup));
        }
        place
    }

    /// All of them.
    pub(crate) fn into_records(self) -> Vec<LookupRecord> {
        self.answers
    }
}

/// A proposal and what it may cause, with the counters that authority was given.
pub(crate) struct Weighed {
    pub(crate) verdict: Verdict,
    pub(crate) proposal: Proposal,
    pub(crate) counters: Counters,
}

/// What a proposal may cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerdictRecord {
    /// Who proposed.
    pub plugin: PluginName,
    /// What: `hold`, `route`, `recommend`, or nothing known.
    pub proposed: Option<String>,
    /// `granted`, `narrowed`, `refused`.
    pub outcome: String,
    /// Stable code.
    pub code: String,
    /// The grant that decided.
    pub grant: Option<String>,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// What it may cause, for example `hold the order for 480 min in pricing`.
    pub effect: String,
    /// One line for people: effect and the clause that narrowed or refused.
    pub summary: String,
    /// Every clause: name, found, required, met.
    pub clauses: Vec<ClauseRecord>,
    /// Whether a budget of the plugin is spent, whatever the code is.
    pub budget_spent: bool,
    /// What the plugin had used up.
    pub counters: CountersRecord,
}

/// What a plugin had used up when its proposal was weighed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountersRecord {
    /// Holds of the hour before.
    pub holds_last_hour: u32,
    /// Routes of the hour before.
    pub routes_last_hour: u32,
    /// Value held since midnight UTC, minor units of the order's currency.
    #[serde(with = "text")]
    pub value_held_today_minor: i64,
    /// Orders decided in the hour before.
    pub orders_last_hour: u32,
}

impl From<Counters> for CountersRecord {
    fn from(counters: Counters) -> Self {
        let Counters { holds_last_hour, routes_last_hour, value_held_today_minor, orders_last_hour } = counters;
        Self { holds_last_hour, routes_last_hour, value_held_today_minor, orders_last_hour }
    }
}

impl From<&CountersRecord> for Counters {
    fn from(record: &CountersRecord) -> Self {
        Self {
            holds_last_hour: record.holds_last_hour,
            routes_last_hour: record.routes_last_hour,
            value_held_today_minor: record.value_held_today_minor,
            orders_last_hour: record.orders_last_hour,
        }
    }
}

/// A clause of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClauseRecord {
    /// The grant's key.
    pub name: String,
    /// What was found.
    pub found: String,
    /// What is required.
    pub required: String,
    /// Whether it was met.
    pub held: bool,
}

impl DecisionRecord {
    /// Reads a sealed record.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, portreeve_record::RecordError> {
        portreeve_record::parse_canonical(bytes)
    }

    /// How far the order is by it; none where it moved no order.
    #[must_use]
    pub fn into_progress(self) -> Option<Progress> {
        self.process?.progress
    }

    /// The same of a sealed record, without reading the rest of it: each event of an order begins
    /// with the record of the one that moved it last.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn progress_in(bytes: &[u8]) -> Result<Option<Progress>, portreeve_record::RecordError> {
        #[derive(Deserialize)]
        struct Record {
            process: Option<Process>,
        }
        #[derive(Deserialize)]
        struct Process {
            progress: Option<Progress>,
        }
        let record: Record = portreeve_record::read_members(bytes)?;
        Ok(record.process.and_then(|process| process.progress))
    }

    /// A digest of what was decided: without clocks, commitments and components,
    /// so that it is equal wherever the same orders are decided alike.
    ///
    /// # Errors
    /// When the record has no canonical form.
    pub fn fingerprint(&self) -> Result<Digest, portreeve_record::RecordError> {
        let scores: Vec<_> = self.scorings.iter().map(|s| (&s.plugin, &s.assessment, &s.failure, &s.lookups)).collect();
        // Clauses are left out: they quote counters of the last hour, which move with the clock.
        let verdicts: Vec<_> = self
            .verdicts
            .iter()
            .map(|v| (&v.plugin, &v.proposed, &v.outcome, &v.code, &v.grant, &v.policies, &v.effect))
            .collect();
        portreeve_record::canonical_digest(&(
            (&self.order, &self.state, &self.history, &self.findings),
            (&self.answers, scores, verdicts),
        ))
    }
}

impl From<&Finding> for FindingRecord {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.to_owned(),
            line: finding.line.clone(),
            found: finding.found.clone(),
            expected: finding.expected.clone(),
            consequence: match finding.consequence {
                Consequence::PolicyHold { .. } => "hold".to_owned(),
                Consequence::Refuse { .. } => "refuse".to_owned(),
            },
        }
    }
}

impl From<&Weighed> for VerdictRecord {
    fn from(weighed: &Weighed) -> Self {
        let verdict = &weighed.verdict;
        Self {
            budget_spent: verdict.budget_spent(),
            counters: weighed.counters.into(),
            plugin: verdict.plugin().clone(),
            proposed: verdict.proposed().map(|rung| rung.as_str().to_owned()),
            outcome: verdict.outcome().as_str().to_owned(),
            code: verdict.code().as_str().to_owned(),
            grant: verdict.grant().map(str::to_owned),
            policies: verdict.policies().to_vec(),
            effect: verdict.effect().to_string(),
            summary: verdict.summary(),
            clauses: verdict
                .clauses()
                .iter()
                .map(|clause| ClauseRecord {
                    name: clause.name.to_owned(),
                    found: clause.found.to_string(),
                    required: clause.required.to_string(),
                    held: clause.held,
                })
                .collect(),
        }
    }
}

impl From<&RecordedLookup> for LookupRecord {
    fn from(lookup: &RecordedLookup) -> Self {
        let row = match &lookup.answer {
            LookupAnswer::Row(row) => Some(Arc::clone(row)),
            LookupAnswer::NoRow | LookupAnswer::Denied | LookupAnswer::UnknownTable | LookupAnswer::Unavailable => None,
        };
        let answer = word(&lookup.answer).to_owned();
        Self { table: lookup.table.clone(), key: lookup.key.clone(), answer, row }
    }
}

/// The word for an answer in a record.
fn word(answer: &LookupAnswer) -> &'static str {
    match answer {
        LookupAnswer::Row(_) => "row",
        LookupAnswer::NoRow => "no-row",
        LookupAnswer::Denied => "denied",
        LookupAnswer::UnknownTable => "unknown-table",
        LookupAnswer::Unavailable => "unavailable",
    }
}

impl LookupRecord {
    /// As the sandbox states it.
    pub(crate) fn recorded(&self) -> RecordedLookup {
        let answer = match (self.answer.as_str(), &self.row) {
            ("row", Some(row)) => LookupAnswer::Row(Arc::clone(row)),
            ("no-row", _) => LookupAnswer::NoRow,
            ("denied", _) => LookupAnswer::Denied,
            ("unknown-table", _) => LookupAnswer::UnknownTable,
            _ => LookupAnswer::Unavailable,
        };
        RecordedLookup { table: self.table.clone(), key: self.key.clone(), answer }
    }
}
