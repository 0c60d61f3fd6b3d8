//! Deciding again: the rules, the scorers and authority are asked once more with
//! what was recorded, and must say the same, bit for bit.
//!
//! What is compared: the record with the one that the log names; the rules' findings
//! on the rows that they looked up; of each
//! scorer the input's digest, the assessment, the transcript of host calls, and,
//! under the same engine, the fuel; each verdict with its clauses, on the counters of
//! then; and the rules' findings at each later review. What cannot be compared is counted apart and never as alike: an outcome that
//! the host caused (a kill by the wall clock says nothing about the order), rules or
//! grants of another version, an erased payload.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_authority::Advice;
use portreeve_authority::rules::{ReferenceFacts, is_about_credit};
use portreeve_model::{ChannelId, Digest, Event, Instant, Order, OrderId};
use portreeve_record::leaf::{Label, ReviewLeaf};
use portreeve_record::merkle::leaf_hash;
use portreeve_record::{Leaf, LeafBody};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{LookupAnswer, RecordedLookup};
use portreeve_store::StoreError;
use portreeve_store::contract::{EventOutcome, OrderEventKind, OrderEventView, OrderView, ReviewView, TrailLeaf};

use crate::Pipeline;
use crate::capability::Recorded;
use crate::decide::{self, AskAgain, CANCEL_REQUESTED, Course, Followed, Paying, Question, RuleRows, Sees};
use crate::decision::{
    CreditRecord, DecisionRecord, EffectRecord, FindingRecord, LookupRecord, ProcessRecord, Scoring, VerdictRecord,
    Weighed,
};
use crate::plugins::{Active, Slot};
use crate::review::ReviewRecord;

/// Events of an order that are read at once.
const EVENTS_AT_ONCE: u32 = 64;

/// Failures of a call that the host caused, as `call_error_code` names them.
const HOST_CAUSED: [&str; 8] =
    ["busy", "too-often", "host-out-of-time", "quarantined", "not-trusted", "unreadable", "disabled", "halted"];

/// What deciding again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rederived {
    /// Everything that could be compared is the same.
    Same(Compared),
    /// Something is not; each difference is one sentence.
    Different(Vec<String>),
    /// There was nothing that could be compared.
    NothingCompared(Compared),
    /// The payloads were erased.
    Erased,
}

/// How much was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Whether the host's rules were asked again.
    pub rules: bool,
    /// Scorers that were asked again.
    pub scorers: usize,
    /// Verdicts that were made again.
    pub verdicts: usize,
    /// Reviews whose rules were asked again.
    pub reviews: usize,
    /// Events that were counted again.
    pub events: usize,
    /// Calls whose end the host caused; they are not made again.
    pub host_caused: usize,
    /// What was left out and why, one sentence each.
    pub left_out: Vec<String>,
}

/// Why an order cannot be decided again.
#[derive(Debug, thiserror::Error)]
pub enum RederiveError {
    /// There is no such order.
    #[error("there is no order `{0}`; list the orders with `portreeve order list`")]
    UnknownOrder(OrderId),
    /// The log has no entry for the decision.
    #[error(
        "the log has no entry for the decision on order `{0}` yet; try again in a second, then run `portreeve audit verify`"
    )]
    NotInLog(OrderId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be read.
    #[error("the decision's record cannot be read: {0}")]
    Record(#[from] portreeve_record::RecordError),
    /// The event cannot be read.
    #[error("the event cannot be read: {0}")]
    Event(String),
}

/// What was made of an event.
struct Said {
    record: ProcessRecord,
    /// What followed from it; none where the routes may be others by now.
    effects: Option<Vec<EffectRecord>>,
    /// What the rule about credit found before picking, where it was asked.
    credit: Option<CreditThen>,
}

/// Credit as it was looked at before picking.
struct CreditThen {
    told: CreditRecord,
    at: Instant,
    rules: Digest,
    looked_up: Vec<RecordedLookup>,
    findings: Vec<FindingRecord>,
}

impl CreditThen {
    fn of(record: &DecisionRecord) -> Option<Self> {
        Some(Self {
            told: record.credit?,
            at: record.decided_at,
            rules: record.rules,
            looked_up: recorded(&record.answers, &record.looked_up),
            findings: record.findings.iter().filter(|finding| is_about_credit(&finding.code)).cloned().collect(),
        })
    }
}

impl Pipeline {
    /// Decides an order again from its record.
    ///
    /// # Errors
    /// See [`RederiveError`].
    pub async fn rederive(&self, id: OrderId) -> Result<Rederived, RederiveError> {
        let view = self.store.order(id).await?.ok_or(RederiveError::UnknownOrder(id))?;
        if let Some(difference) = self.differs_from_log(&view).await? {
            return Ok(Rederived::Different(vec![difference]));
        }
        let record = match self.store.payload(view.decision).await {
            Ok(bytes) => DecisionRecord::parse(&bytes)?,
            Err(StoreError::Erased(_)) => return Ok(Rederived::Erased),
            Err(error) => return Err(error.into()),
        };
        if record.event != view.event.commitment {
            return Ok(Rederived::Different(vec![format!(
                "the decision's record is about event {}, and the store has {} for the order: the store was changed; restore it",
                record.event, view.event.commitment
            )]));
        }
        let event_json = match self.store.payload(view.event).await {
            Ok(bytes) => bytes,
            Err(StoreError::Erased(_)) => return Ok(Rederived::Erased),
            Err(error) => return Err(error.into()),
        };
        let event = Event::from_json(&event_json).map_err(|error| RederiveError::Event(error.to_string()))?;
        let mut compared = Compared::default();
        let Event::OrderCreated(order) = event else {
            compared.left_out.push("the event is no new order".to_owned());
            return Ok(Rederived::NothingCompared(compared));
        };
        let active = self.plugins.now();
        let mut differences = self.verdicts_again(&view, &order, &record, &active, &mut compared);
        if let Some(history) = record.history.clone() {
            let question = Question::new(&order, Digest::of(&event_json), history, record.received_at);
            for then in &record.scorings {
                if then.failure.as_deref().is_some_and(|code| HOST_CAUSED.contains(&code)) {
                    compared.host_caused = compared.host_caused.saturating_add(1);
                    continue;
                }
                // Another component must not see what this one saw.
                let now = active.plugins.get(&then.plugin).and_then(Slot::installed);
                if let Some(now) = now.filter(|now| now.digest != then.component) {
                    differences.push(another_component(then, now.digest));
                    continue;
                }
                // It sees what it saw then, whatever is granted now.
                let Some(sees) = Sees::of_record(then.sees.as_deref()) else {
                    compared.left_out.push(format!("`{}` saw a field that this version does not know", then.plugin));
                    continue;
                };
                let mut context = active.context(record.received_at);
                context.lookup = std::sync::Arc::new(Recorded(recorded(&record.answers, &then.lookups)));
                let looking = Cause::Looking { channel: &view.channel, sender: None };
                let (now, _, again) = self.score_once(&then.plugin, &active, looking, &question, &sees, &context).await;
                if let Some(AskAgain::Stopped(stopped)) = again {
                    compared.left_out.push(stopped.to_string());
                    continue;
                }
                differences.extend(compare(then, &now));
                compared.scorers = compared.scorers.saturating_add(1);
            }
        }
        differences.extend(self.reviews_again(&view, &order, &mut compared).await?);
        differences.extend(self.process_again(&view, &order, &mut compared).await?);
        Ok(if !differences.is_empty() {
            Rederived::Different(differences)
        } else if compared.rules
            || compared.scorers > 0
            || compared.verdicts > 0
            || compared.reviews > 0
            || compared.events > 0
        {
            Rederived::Same(compared)
        } else {
            Rederived::NothingCompared(compared)
        })
    }

    /// What the rules find on the rows of then, credit included where it was looked at.
    fn found_again(
        &self,
        view: &OrderView,
        order: &Order,
        reference: &ReferenceFacts,
        rows: &mut RuleRows<'_>,
        (credit, at): (Option<CreditRecord>, Instant),
    ) -> Vec<FindingRecord> {
        let mut findings = self.rules.check(order, reference);
        if let Some(CreditRecord { reserved_minor }) = credit {
            let account = decide::credit_account(order, reference, rows);
            findings.extend(self.rules.check_credit(view.value, &account, reserved_minor, at).findings);
        }
        findings.iter().map(FindingRecord::from).collect()
    }

    /// Follows an order again, event by event; what differs, one sentence each. What was erased,
    /// or counted by another process, ends it: what came after begins from there.
    async fn process_again(
        &self,
        view: &OrderView,
        order: &Order,
        compared: &mut Compared,
    ) -> Result<Vec<String>, RederiveError> {
        let (mut course, mut cancelled): (Option<Course>, bool) = (None, false);
        let mut differences = Vec::new();
        let mut after = 0;
        let in_log = self.decisions_in_log(view.id).await?;
        loop {
            let events = self.store.order_events(view.id, after, EVENTS_AT_ONCE).await?;
            let Some(last) = events.last() else { return Ok(differences) };
            after = last.number;
            for said in &events {
                if said.outcome == EventOutcome::Noted {
                    cancelled |= said.kind == OrderEventKind::CancelRequested;
                    continue;
                }
                let position = said.position.0;
                if !in_log.contains(&said.decision.commitment) {
                    differences.push(format!(
                        "the log has no entry for what the store says of document {position}: the store was changed; restore it"
                    ));
                }
                let (Said { record, effects, credit }, event) = match self.said_then(said).await {
                    Ok(Some(said)) => said,
                    Ok(None) => {
                        compared
                            .left_out
                            .push(format!("what was said in document {position} was erased, or by another process"));
                        return Ok(differences);
                    }
                    Err(error) => return Err(error),
                };
                // The order was not here, or could not be read: nothing was made of it.
                let Some(from) = record.from else { continue };
                let begins = || self.process.beginning(order, from).ok().map(Course::at);
                // Where it was held then, it is not any more.
                let Some(here) = course.take().or_else(begins).map(|here| here.from(from)) else {
                    compared.left_out.push(format!("the order could not be followed at document {position}"));
                    return Ok(differences);
                };
                let mut here = Ok(here);
                // Another configuration may refund otherwise: then it is done as it was.
                let same = effects.as_ref().map(|_| self.routes.refunds.as_ref());
                let paying = Paying {
                    decides: &|progress| match same {
                        Some(refunds) => refunds?.decide(progress),
                        None => record.refund.clone(),
                    },
                    pays: &|refund, currency, at| match same {
                        Some(refunds) => refunds.is_some_and(|refunds| refunds.pay(refund, currency)),
                        None => record.counted(at, said.position),
                    },
                };
                let followed = decide::follow(&self.process, Some(&mut here), said.position, &event, &paying);
                cancelled |= said.kind == OrderEventKind::CancelRequested;
                if let Some(then) =
                    effects.filter(|then| *then != self.effects_again(&followed, !cancelled, &view.channel))
                {
                    differences.push(format!(
                        "`{}` in document {position} had {} effects then, and has others now",
                        record.event,
                        then.len()
                    ));
                }
                let mut again = followed.record;
                // An earlier version counted less, and went on from that.
                if let (Some(again), Some(then)) = (&mut again.progress, &record.progress) {
                    again.as_counted_in(then);
                    here.iter_mut().for_each(|course| course.as_counted_in(then));
                }
                if again != record {
                    differences.push(format!(
                        "`{}` in document {position} was {} then and is {} now, or leads elsewhere",
                        record.event, record.outcome, again.outcome
                    ));
                }
                match credit {
                    Some(then) if then.rules != self.rules.digest() => {
                        let (now, then) = (self.rules.digest(), then.rules);
                        compared
                            .left_out
                            .push(format!("the rules are {now} now and were {then} at document {position}"));
                    }
                    Some(then) if self.finds_otherwise(order, &then) => differences.push(format!(
                        "the findings about credit before picking, with document {position}, differ from the record"
                    )),
                    Some(_) | None => {}
                }
                compared.events = compared.events.saturating_add(1);
                course = here.ok();
            }
        }
    }

    /// Whether the rule about credit does not find what it found before picking. What a person had let
    /// pass, or had an exception about, is not in the record.
    fn finds_otherwise(&self, order: &Order, then: &CreditThen) -> bool {
        let answer = answers(then.looked_up.clone());
        let now = self.credit_found_again(order, &mut RuleRows::of(&answer), (then.told, then.at));
        then.findings.iter().any(|finding| !now.contains(finding))
    }

    /// The decisions about what came about an order that the log names.
    async fn decisions_in_log(&self, order: OrderId) -> Result<BTreeSet<Digest>, RederiveError> {
        let trail = self.store.order_trail(order).await?;
        let mut decisions = BTreeSet::new();
        for leaf in trail.iter().flat_map(|trail| &trail.leaves) {
            if let LeafBody::Decide(decide) = Leaf::parse(&leaf.bytes)?.body
                && decide.about == Some(order)
            {
                decisions.extend(decide.decision);
            }
        }
        Ok(decisions)
    }

    fn effects_again(&self, followed: &Followed, is_wanted: bool, channel: &ChannelId) -> Vec<EffectRecord> {
        self.routes.deliveries_of(&followed.moved, is_wanted, Some(channel)).iter().map(EffectRecord::from).collect()
    }

    /// What an event said, and what was made of it; none where that cannot be had any more.
    async fn said_then(&self, said: &OrderEventView) -> Result<Option<(Said, Event)>, RederiveError> {
        let (record, event) = match (self.store.payload(said.decision).await, self.store.payload(said.event).await) {
            (Ok(record), Ok(event)) => (DecisionRecord::parse(&record)?, event),
            (Err(StoreError::Erased(_)), _) | (_, Err(StoreError::Erased(_))) => return Ok(None),
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        };
        let event = Event::from_json(&event).map_err(|error| RederiveError::Event(error.to_string()))?;
        let same_routes = record.configuration == self.plugins.now().configuration;
        let credit = CreditThen::of(&record);
        let effects = same_routes.then_some(record.effects);
        let record = record.process.filter(|record| record.definition == self.process.digest());
        Ok(record.map(|record| (Said { record, effects, credit }, event)))
    }

    /// Asks the rules again about each review of an order; what differs, one sentence each.
    async fn reviews_again(
        &self,
        view: &OrderView,
        order: &Order,
        compared: &mut Compared,
    ) -> Result<Vec<String>, RederiveError> {
        let mut differences = Vec::new();
        let Some(trail) = self.store.order_trail(view.id).await? else { return Ok(differences) };
        let in_log = review_leaves(&trail.leaves)?;
        if in_log.len() != trail.reviews.len() {
            let (found, expected) = (trail.reviews.len(), in_log.len());
            differences.push(format!(
                "the store has {found} reviews of the order, and the log {expected}: the store was changed; restore it"
            ));
        }
        for review in &trail.reviews {
            let at = review.at;
            if !in_log.get(&review.leaf).is_some_and(|said| says_so(said, review, view.id)) {
                differences.push(format!(
                    "the store has another review of {at} than the log: the store was changed; restore it"
                ));
                continue;
            }
            let record = match self.store.payload(review.record).await {
                Ok(bytes) => ReviewRecord::parse(&bytes)?,
                Err(StoreError::Erased(_)) => {
                    compared.left_out.push(format!("the review of {at} was erased"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if (record.order, record.event, &record.who) != (view.id, view.event.commitment, &review.who) {
                differences.push(format!("the record of the review of {at} is about something else than its row"));
                continue;
            }
            if record.rules != self.rules.digest() {
                let (now, then) = (self.rules.digest(), record.rules);
                compared.left_out.push(format!("the rules are {now} now and were {then} at the review of {at}"));
                continue;
            }
            let answer = answers(recorded(&record.answers, &record.looked_up));
            let mut rows = RuleRows::of(&answer);
            let reference = decide::reference_facts(order, record.received_at, record.test_channel, &mut rows);
            let now = self.found_again(view, order, &reference, &mut rows, (record.credit, record.at));
            if !now.iter().eq(record.findings.iter().map(|reviewed| &reviewed.finding)) {
                differences.push(format!("the findings of the rules at the review of {at} differ from the record"));
            }
            compared.reviews = compared.reviews.saturating_add(1);
        }
        Ok(differences)
    }

    /// Asks the rules and authority again; what differs, one sentence each.
    fn verdicts_again(
        &self,
        view: &OrderView,
        order: &Order,
        record: &DecisionRecord,
        active: &Active,
        compared: &mut Compared,
    ) -> Vec<String> {
        let mut differences = Vec::new();
        let answer = answers(recorded(&record.answers, &record.looked_up));
        let mut rows = RuleRows::of(&answer);
        let reference = decide::reference_facts(order, record.received_at, record.test_channel, &mut rows);

        // Check: the rules find the same.
        if record.rules == self.rules.digest() {
            compared.rules = true;
            let at = (record.credit, record.decided_at);
            let findings = self.found_again(view, order, &reference, &mut rows, at);
            // Whether the sender asked to cancel it is no finding of a rule.
            let then: Vec<_> = record.findings.iter().filter(|finding| finding.code != CANCEL_REQUESTED).collect();
            if !findings.iter().eq(then) {
                differences.push("the findings of the rules differ from the record".to_owned());
            }
        } else {
            compared.left_out.push(format!("the rules are {} now and were {}", self.rules.digest(), record.rules));
        }

        // Check: authority answers each proposal alike, on the counters of then.
        let authority = self.authority.digest();
        if record.authority != authority {
            compared.left_out.push(format!("grants and policies are {authority} now and were {}", record.authority));
            return differences;
        }
        let subject = decide::subject(view.id, &view.channel, order, view.value, decide::class(&reference));
        let proposals = record.scorings.iter().filter_map(|scoring| Some((scoring, scoring.assessment.as_ref()?)));
        let proposals =
            proposals.flat_map(|(scoring, said)| said.proposals.iter().map(move |one| (scoring, said, one)));
        let authority = self.authority.without_memory();
        for ((scoring, said, proposal), then) in proposals.zip(&record.verdicts) {
            // Another component has its own difference already.
            let installed = active.installed(&scoring.plugin).filter(|known| known.digest == scoring.component);
            let Some(installed) = installed else { continue };
            let advice = Advice {
                plugin: &scoring.plugin,
                publisher: &installed.manifest.plugin.publisher,
                digest: installed.digest,
                score_bp: said.score_bp,
                proposal,
            };
            let counters = (&then.counters).into();
            let verdict = authority.decide(&advice, &subject, &counters, record.decided_at);
            let now = VerdictRecord::from(&Weighed { verdict, proposal: proposal.clone(), counters });
            if now != *then {
                differences.push(format!("`{}`: the verdict differs from the record", scoring.plugin));
            }
            compared.verdicts = compared.verdicts.saturating_add(1);
        }
        differences
    }
}

/// What the log says of an order's reviews, by the ids of the leaves.
fn review_leaves(leaves: &[TrailLeaf]) -> Result<BTreeMap<Digest, ReviewLeaf>, RederiveError> {
    let mut reviews = BTreeMap::new();
    for leaf in leaves.iter().filter(|leaf| leaf_hash(&leaf.bytes) == leaf.id) {
        if let LeafBody::Review(review) = Leaf::parse(&leaf.bytes)?.body {
            reviews.insert(leaf.id, review);
        }
    }
    Ok(reviews)
}

/// Whether the log says what a review's row says.
fn says_so(said: &ReviewLeaf, review: &ReviewView, order: OrderId) -> bool {
    said.order == order
        && said.review == review.record.commitment
        && said.configuration == review.configuration
        && said.who == review.who.as_deref().map(Label::of)
}

/// What a look-up of the rules answered then.
fn answers(lookups: Vec<RecordedLookup>) -> impl Fn(&str, &str) -> LookupAnswer + Sync {
    let then: BTreeMap<(String, String), LookupAnswer> =
        lookups.into_iter().map(|lookup| ((lookup.table, lookup.key), lookup.answer)).collect();
    move |table: &str, key: &str| {
        then.get(&(table.to_owned(), key.to_owned())).cloned().unwrap_or(LookupAnswer::Unavailable)
    }
}

/// The answers at these places. A place that is not there is a question without an
/// answer, which shows as a difference.
fn recorded(answers: &[LookupRecord], places: &[u32]) -> Vec<RecordedLookup> {
    let at = |place: &u32| answers.get(usize::try_from(*place).ok()?);
    places.iter().filter_map(at).map(LookupRecord::recorded).collect()
}

fn another_component(then: &Scoring, now: Digest) -> String {
    format!("`{}` is component {now} now and was {}; install that one", then.plugin, then.component)
}

fn compare(then: &Scoring, now: &Scoring) -> Vec<String> {
    let name = &then.plugin;
    let mut differences = Vec::new();
    // Between the look at it and the call another one may have become active.
    if then.component != now.component {
        return vec![another_component(then, now.component)];
    }
    let mut differ = |what: &str, same: bool| {
        if !same {
            differences.push(format!("`{name}`: {what} differs from the record"));
        }
    };
    differ("the input", then.input == now.input && then.seed == now.seed);
    differ("the assessment", then.assessment == now.assessment && then.failure == now.failure);
    differ("the transcript of host calls", then.transcript == now.transcript);
    differ("the fuel", then.engine != now.engine || then.fuel_used == now.fuel_used);
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::Why;

    #[test]
    fn whatever_keeps_a_plugin_from_being_called_is_the_hosts_doing() {
        let paused = Why::Quarantined { until: portreeve_model::Instant(0), of: None };
        for why in [Why::NotTrusted, Why::Unreadable, Why::Disabled, Why::Halted, paused] {
            assert!(HOST_CAUSED.contains(&why.code()), "{}", why.code());
        }
    }
}
