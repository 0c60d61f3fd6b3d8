//! What advice may cause: authority is asked about every proposal, in journal
//! order, and everything that was found out about an order becomes one commit.

use std::collections::BTreeMap;

use portreeve_authority::{Advice, Counters, Effect, Subject, Verdict};
use portreeve_model::advice::Proposal;
use portreeve_model::{Assessment, Digest, Instant, PluginName};
use portreeve_record::canonical_json;
use portreeve_store::contract::{Decided, DecisionCommit, NewOrder, NewOutbox, NewPayload, OrderState, SUM_MINOR_MAX};

use super::scoring::Scored;
use super::validating::Validated;
use super::{DecideError, of_one};
use crate::capability::Tables;
use crate::decision::{DecisionRecord, FindingRecord, Scoring, VerdictRecord};
use crate::leaf::{self, DecideFacts};
use crate::route::Channel;
use crate::{Pipeline, history};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Pipeline {
    /// Asks authority about every proposal, in journal order, so that counters
    /// count the same way whoever scored first.
    pub(super) async fn weigh(&self, scored: Vec<Scored>, tables: &Tables) -> Result<Vec<DecisionCommit>, DecideError> {
        let now = self.clock.now();
        let mut counters: BTreeMap<PluginName, Counters> = BTreeMap::new();
        let mut decisions = Vec::new();
        for (order, orders_before) in scored.into_iter().zip(0_u32..) {
            let mut verdicts = Vec::new();
            for scoring in &order.scorings {
                let Some(assessment) = &scoring.assessment else { continue };
                if !counters.contains_key(&scoring.plugin) {
                    let mut stored = self.counters(&scoring.plugin, now).await?;
                    // Orders of this batch count from its first on, whoever was asked about them.
                    stored.orders_last_hour = stored.orders_last_hour.saturating_add(orders_before);
                    counters.insert(scoring.plugin.clone(), stored);
                }
                let Some(counters) = counters.get_mut(&scoring.plugin) else { continue };
                verdicts.extend(self.verdicts(&order.validated, scoring, assessment, counters, now));
            }
            for counters in counters.values_mut() {
                counters.orders_last_hour = counters.orders_last_hour.saturating_add(1);
            }
            decisions.extend(of_one(self.decision(order, verdicts, tables, now))?);
        }
        Ok(decisions)
    }

    fn verdicts(
        &self,
        order: &Validated,
        scoring: &Scoring,
        assessment: &Assessment,
        counters: &mut Counters,
        now: Instant,
    ) -> Vec<(Verdict, Proposal)> {
        let Some(installed) = self.plugin(&scoring.plugin) else { return Vec::new() };
        let subject = subject(order);
        let mut verdicts = Vec::new();
        for proposal in &assessment.proposals {
            let advice = Advice {
                plugin: &scoring.plugin,
                publisher: &installed.manifest.plugin.publisher,
                digest: installed.digest,
                score_bp: assessment.score_bp,
                proposal,
            };
            let verdict = self.authority.decide(&advice, &subject, counters, now);
            if matches!(verdict.effect(), Effect::Hold { .. }) {
                counters.holds_last_hour = counters.holds_last_hour.saturating_add(1);
                let held_minor = counters.value_held_today_minor.saturating_add(order.value.minor);
                counters.value_held_today_minor = held_minor.clamp(-SUM_MINOR_MAX, SUM_MINOR_MAX);
            }
            verdicts.push((verdict, proposal.clone()));
        }
        verdicts
    }

    async fn counters(&self, plugin: &PluginName, now: Instant) -> Result<Counters, DecideError> {
        let day_start = Instant(now.0 - now.0.rem_euclid(DAY_MS));
        let usage = self.store.plugin_usage(plugin, now.plus_ms(-HOUR_MS), day_start).await?;
        Ok(Counters {
            holds_last_hour: usage.holds,
            value_held_today_minor: usage.value_held_minor,
            orders_last_hour: usage.orders,
        })
    }

    /// Everything that was found out about an order, as one commit.
    fn decision(
        &self,
        scored: Scored,
        verdicts: Vec<(Verdict, Proposal)>,
        tables: &Tables,
        now: Instant,
    ) -> Result<DecisionCommit, DecideError> {
        let Scored { validated, scorings, crossings } = scored;
        let standing = self.standing(&validated, &scorings, &verdicts, now);
        let subject = Some(history::customer_digest(&validated.order));
        let event = NewPayload::seal(&validated.event_json, subject)?;
        let record = DecisionRecord {
            v: 1,
            order: validated.id,
            event: event.sealed.commitment(),
            received_at: validated.document.received_at(),
            decided_at: now,
            configuration: self.configuration,
            authority: self.authority.digest(),
            reference: tables.versions().into_iter().map(|(table, version)| (table, version.to_string())).collect(),
            history: validated.history.clone(),
            findings: validated.findings.iter().map(FindingRecord::from).collect(),
            scorings,
            verdicts: verdicts.iter().map(|(verdict, _)| VerdictRecord::from(verdict)).collect(),
            state: standing.state.as_str().to_owned(),
        };
        let fingerprint = record.fingerprint()?;
        let decision = NewPayload::seal(&canonical_json(&record)?, subject)?;
        let leaf = leaf::decide(
            &self.host,
            now,
            &DecideFacts {
                order: Some(validated.id),
                document: &validated.document,
                event: Some(event.sealed.commitment()),
                configuration: self.configuration,
                mapping: validated.crossing.as_ref(),
                key: &decision.key,
                scoring: &crossings,
                verdicts: &verdicts,
                policy_holds: &validated.findings,
                state: leaf::decided_state(standing.state),
                decision: Some(decision.sealed.commitment()),
                clock: now,
            },
        )?;
        let outbox = match (standing.state, self.routes.channel(validated.document.channel())) {
            (OrderState::Released, Some(channel)) => self.outbox(channel, event.sealed.commitment()),
            _ => Vec::new(),
        };
        let order = NewOrder {
            id: validated.id,
            number: validated.order.number.clone(),
            state: standing.state,
            queue: standing.queue,
            value: validated.value,
            recommended: standing.recommended,
            why: standing.why,
            event: event.sealed.commitment(),
            decision: decision.sealed.commitment(),
            fingerprint,
            holds: standing.holds,
            outbox,
            customer_event: validated.customer_event,
            exception: standing.exception,
        };
        Ok(DecisionCommit {
            document: validated.document,
            decided: Decided::Order(Box::new(order)),
            payloads: vec![event, decision],
            configuration: self.configuration,
            at: now,
            leaf,
        })
    }

    fn outbox(&self, channel: &Channel, event: Digest) -> Vec<NewOutbox> {
        let target = self.routes.target(&channel.target);
        target
            .map(|target| NewOutbox { target: target.id.clone(), kind: target.kind.clone(), event })
            .into_iter()
            .collect()
    }
}

fn subject(order: &Validated) -> Subject {
    Subject {
        order: order.id,
        channel: order.document.channel().clone(),
        customer_class: order.class.clone(),
        value: order.value,
        line_numbers: order.order.lines.iter().map(|line| line.number.clone()).collect(),
        ship_country: order.order.ship_to.as_ref().and_then(|place| place.country.clone()),
    }
}
