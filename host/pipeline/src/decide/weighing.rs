//! What advice may cause: authority is asked about every proposal, in journal
//! order, and everything that was found out about an order becomes one commit.

use portreeve_authority::{Advice, Effect, Subject};
use portreeve_model::{Assessment, ChannelId, Instant, Money, Order, OrderId};
use portreeve_record::canonical_json;
use portreeve_registry::Installed;
use portreeve_store::contract::{
    Content, Decided, DecisionCommit, DocumentPosition, NewOrder, NewOutbox, NewPayload, OrderState, WeighedProposal,
};

use super::counting::Used;
use super::crediting::Credit;
use super::scoring::Scored;
use super::validating::Validated;
use super::{DecideError, held, later, of_one};
use crate::Pipeline;
use crate::decision::{DecisionRecord, FindingRecord, Scoring, VerdictRecord, Weighed};
use crate::exception::Limits;
use crate::feed::ORDER_CREATED;
use crate::leaf::{self, DecideFacts};
use crate::plugins::Active;
use crate::route::Channel;
use crate::tables::Tables;

/// What a scorer said, and which component it was.
struct Said<'a> {
    scoring: &'a Scoring,
    assessment: &'a Assessment,
    installed: &'a Installed,
}

/// What became of each proposal, as it is counted.
fn counted(verdicts: &[Weighed], scorings: &[Scoring]) -> Vec<WeighedProposal> {
    let counted = verdicts.iter().filter_map(|Weighed { verdict, .. }| {
        let scoring = scorings.iter().find(|scoring| scoring.plugin == *verdict.plugin())?;
        Some(WeighedProposal {
            plugin: scoring.plugin.to_string(),
            component: scoring.component,
            proposed: leaf::proposed(verdict).to_owned(),
            outcome: verdict.outcome().as_str().to_owned(),
            clause: verdict.unmet().unwrap_or_default().to_owned(),
        })
    });
    counted.collect()
}

impl Pipeline {
    /// Asks authority about every proposal, in journal order, so that counters
    /// count the same way whoever scored first.
    pub(super) async fn weigh(
        &self,
        scored: Vec<Scored>,
        tables: &Tables,
        active: &Active,
    ) -> Result<Vec<DecisionCommit>, DecideError> {
        let now = self.clock.now();
        let mut used = Used::default();
        let mut reserved = self.reserved(&scored).await?;
        let mut decisions = Vec::new();
        for (mut order, orders_before) in scored.into_iter().zip(0_u32..) {
            let mut weighed = Vec::new();
            for scoring in &order.scorings {
                let Some(assessment) = &scoring.assessment else { continue };
                // Whoever said it in this batch is what it is the advice of.
                let Some(installed) = active.installed(&scoring.plugin) else { continue };
                let said = Said { scoring, assessment, installed };
                weighed.extend(self.verdicts(&order.validated, &said, &mut used, orders_before, now).await?);
            }
            let credit = self.credit(&mut order.validated, &reserved, now);
            let decision = of_one(self.decision(order, weighed, credit, tables, active.configuration, now))?;
            reserved.released(decision.as_ref());
            decisions.extend(decision);
        }
        Ok(decisions)
    }

    async fn verdicts(
        &self,
        order: &Validated,
        said: &Said<'_>,
        used: &mut Used,
        orders_before: u32,
        now: Instant,
    ) -> Result<Vec<Weighed>, DecideError> {
        let Said { scoring, assessment, installed } = said;
        let subject = subject(order.id, order.document.channel(), &order.order, order.value, order.class.clone());
        let mut weighed = Vec::new();
        for proposal in &assessment.proposals {
            let advice = Advice {
                plugin: &scoring.plugin,
                publisher: &installed.manifest.plugin.publisher,
                digest: installed.digest,
                score_bp: assessment.score_bp,
                proposal,
            };
            let counters = self.counters(used, &scoring.plugin, order.value.currency, orders_before, now).await?;
            let verdict = self.authority.decide(&advice, &subject, &counters, now);
            if verdict.budget_spent() {
                self.metrics.budget_spent(&scoring.plugin);
                tracing::warn!(plugin = %scoring.plugin, order = %order.id, "a budget of the plugin is spent");
            }
            self.metrics.weighed(&verdict);
            used.caused(&verdict);
            weighed.push(Weighed { verdict, proposal: proposal.clone(), counters });
        }
        if weighed.iter().any(|weighed| matches!(weighed.verdict.effect(), Effect::Hold { .. })) {
            used.held(&scoring.plugin, order.value);
        }
        Ok(weighed)
    }

    /// Everything that was found out about an order, as one commit.
    fn decision(
        &self,
        scored: Scored,
        verdicts: Vec<Weighed>,
        credit: Credit,
        tables: &Tables,
        configuration: u64,
        now: Instant,
    ) -> Result<DecisionCommit, DecideError> {
        let Scored { validated, scorings, crossings, answers, looked_up } = scored;
        let standing = self.standing(&validated, &scorings, &verdicts, now);
        let subject = Some(validated.customer_event.customer);
        let event = NewPayload::seal(&validated.event_json, subject)?;
        let cancelled = validated.cancel_requested.then(later::cancel_finding);
        let record = DecisionRecord {
            v: 1,
            order: validated.id,
            event: event.sealed.commitment(),
            received_at: validated.document.received_at(),
            decided_at: now,
            configuration,
            authority: self.authority.digest(),
            reference: tables.versions().into_iter().map(|(table, version)| (table, version.to_string())).collect(),
            rules: self.rules.digest(),
            test_channel: validated.test_channel,
            answers: answers.into_records(),
            looked_up,
            history: validated.history.clone(),
            credit: credit.record,
            findings: cancelled.into_iter().chain(validated.findings.iter().map(FindingRecord::from)).collect(),
            scorings,
            verdicts: verdicts.iter().map(VerdictRecord::from).collect(),
            state: standing.state.as_str().to_owned(),
            process: None,
            effects: Vec::new(),
        };
        let fingerprint = record.fingerprint()?;
        let decision = NewPayload::seal(&canonical_json(&record)?, subject)?;
        let channel = self.routes.channel(validated.document.channel());
        let outbox = match (standing.state, channel) {
            (OrderState::Released, Some(channel)) => self.outbox(channel, validated.document.position()),
            (state, Some(channel)) if held::is_kept_back(state) && !validated.cancel_requested => {
                self.routes.of_held(&channel.id, validated.document.position())
            }
            _ => Vec::new(),
        };
        let leaf = leaf::decide(
            &self.host,
            now,
            &DecideFacts {
                order: Some(validated.id),
                about: None,
                document: &validated.document,
                event: Some(event.sealed.commitment()),
                configuration,
                mapping: validated.crossing.as_ref(),
                key: &decision.key,
                scoring: &crossings,
                verdicts: &verdicts,
                policy_holds: &validated.findings,
                cancel_requested: validated.cancel_requested,
                state: leaf::decided_state(standing.state),
                told: standing.state != OrderState::Released && !outbox.is_empty(),
                decision: Some(decision.sealed.commitment()),
                clock: now,
            },
        )?;
        let exception = standing.exception().map(|exception| {
            let limits = Limits {
                channel: channel.map(|channel| (channel, validated.document.received_at())),
                order: Some(&validated.order),
                holds: &standing.holds,
            };
            self.dated(exception, now, limits)
        });
        let order = NewOrder {
            id: validated.id,
            number: validated.order.number.clone(),
            state: standing.state,
            queue: standing.queue,
            value: validated.value,
            recommended: standing.recommended,
            weighed: counted(&verdicts, &record.scorings),
            why: standing.why,
            event: event.sealed.commitment(),
            decision: decision.sealed.commitment(),
            fingerprint,
            holds: standing.holds,
            outbox,
            credit: credit.reservation.filter(|_| standing.state == OrderState::Released),
            customer_event: validated.customer_event,
            exception,
        };
        Ok(DecisionCommit {
            document: validated.document,
            decided: Decided::Order(Box::new(order)),
            payloads: vec![event, decision],
            configuration,
            at: now,
            leaf,
        })
    }

    /// Where an order of the channel goes when it is released, and who hears of it: that it is
    /// there, as its document said.
    pub(crate) fn outbox(&self, channel: &Channel, document: DocumentPosition) -> Vec<NewOutbox> {
        let content = Content::Order;
        let target = self.routes.target(&channel.target);
        let order = target.map(|target| NewOutbox { target: target.id.clone(), kind: target.kind.clone(), content });
        order.into_iter().chain(self.routes.word_of(ORDER_CREATED, document, Some(&channel.id))).collect()
    }
}

/// What authority is told about an order.
pub(crate) fn subject(
    id: OrderId,
    channel: &ChannelId,
    order: &Order,
    value: Money,
    customer_class: Option<String>,
) -> Subject {
    Subject {
        order: id,
        channel: channel.clone(),
        customer_class,
        value,
        line_numbers: order.lines.iter().map(|line| line.number.clone()).collect(),
        ship_country: order.ship_to.as_ref().and_then(|place| place.country.clone()),
    }
}
