//! Decide: journaled documents become orders, each with a decision, its effects
//! and its leaf in one transaction.
//!
//! A batch goes through the stages together: documents are mapped side by side,
//! scored side by side, and weighed and committed in journal order. What an
//! order's scorers know about its customer comes from lower positions only, so
//! neither the number of workers nor the cut of the batches changes a decision.
//!
//! The standard path is the host's: an order without a hold is released by
//! default. A plugin can only add caution, and a plugin that fails leaves its
//! order to a person while the others go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portreeve_authority::rules::{Consequence, CustomerFacts, Finding, ItemFacts, ReferenceFacts};
use portreeve_authority::{Advice, Counters, Effect, Subject, Verdict};
use portreeve_model::advice::{CustomerHistory, HoldScope, Proposal, ScoringRequest};
use portreeve_model::document::MappingRequest;
use portreeve_model::reference::Row;
use portreeve_model::{Assessment, Currency, Digest, Event, Instant, Money, Order, OrderId, PluginKind, PluginName};
use portreeve_record::{RecordError, SealError, canonical_json};
use portreeve_sandbox::Crossing;
use portreeve_store::contract::{
    CustomerEvent, Decided, DecisionCommit, DocumentPosition, HoldOwner, NewException, NewHold, NewOrder, NewOutbox,
    NewPayload, OrderState, SUM_MINOR_MAX,
};
use portreeve_store::{Committed, Journaled, StoreError};

use crate::accept::call_error_code;
use crate::capability::Tables;
use crate::decision::{DecisionRecord, FindingRecord, LookupRecord, Scoring, VerdictRecord};
use crate::leaf::{self, DecideFacts};
use crate::route::{self, Channel, FailedScorer};
use crate::{Pipeline, history, parallel};

/// Tables that the host's own rules read.
const RULE_TABLES: [&str; 2] = ["customer", "item"];

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const MINUTE_MS: i64 = 60_000;

/// Why a batch could not be decided. Nothing of it is lost: its documents are
/// still undecided.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// A payload could not be sealed.
    #[error("a decision could not be sealed: {0}")]
    Seal(#[from] SealError),
    /// An event has no JSON.
    #[error("an event could not be written down: {0}")]
    Event(String),
    /// The host failed on one document; the next batch gives it to a person.
    #[error("document {} could not be decided and is set aside for a person; the host's log says why", .0.0)]
    SetAside(DocumentPosition),
}

/// An error of the store stops a batch; any other is one document's, whose
/// neighbours go on.
fn of_one<T>(result: Result<T, DecideError>) -> Result<Option<T>, DecideError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ DecideError::Store(_)) => Err(error),
        Err(error) => {
            tracing::error!(%error, "a document cannot be decided");
            Ok(None)
        }
    }
}

/// Documents that the host itself failed on, by an error or a panic. They would
/// fail again and again, so the next batch does nothing with them but open an
/// exception. A restart forgets them, and tries once more.
#[derive(Default)]
pub struct SetAside(Mutex<BTreeSet<DocumentPosition>>);

impl SetAside {
    fn add(&self, positions: &BTreeSet<DocumentPosition>) {
        self.locked().extend(positions);
    }

    fn has(&self, position: DocumentPosition) -> bool {
        self.locked().contains(&position)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeSet<DocumentPosition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A document that was read, or why not.
struct Mapped {
    document: Journaled,
    crossing: Option<(Crossing, Option<String>)>,
    outcome: Result<Reading, NewException>,
}

/// What a document says.
enum Reading {
    /// A new order.
    Order(Box<Order>, Money),
    /// The first document with this key and content came earlier.
    Duplicate(DocumentPosition),
}

/// An order with what the host's rules found.
struct Validated {
    document: Journaled,
    crossing: Option<(Crossing, Option<String>)>,
    order: Box<Order>,
    id: OrderId,
    value: Money,
    class: Option<String>,
    findings: Vec<Finding>,
    event_json: Vec<u8>,
    customer_event: CustomerEvent,
    history: Option<CustomerHistory>,
}

/// A validated order with what its scorers said.
struct Scored {
    validated: Validated,
    scorings: Vec<Scoring>,
    crossings: Vec<(Crossing, Digest, Option<Digest>, Option<String>)>,
}

/// What the scorers of an order are asked: the same for all of them but the seed.
pub(crate) struct Question {
    request: ScoringRequest,
    event: Digest,
    history: Digest,
}

impl Question {
    pub(crate) fn new(order: Order, event: Digest, history: CustomerHistory, received_at: Instant) -> Self {
        let digest = history.digest();
        let request = ScoringRequest { order, received_at, history, seed: 0, extensions: Vec::new() };
        Self { request, event, history: digest }
    }

    /// The request of one scorer, and its digest.
    fn with_seed(&mut self, seed: u64) -> (&ScoringRequest, Digest) {
        self.request.seed = seed;
        let times = [self.request.received_at.0.to_be_bytes(), seed.to_be_bytes()];
        let input = Digest::of_parts(&[self.event.as_bytes(), self.history.as_bytes(), times.as_flattened()]);
        (&self.request, input)
    }
}

impl Pipeline {
    /// Decides the next documents, at most `limit`; as many results as documents.
    ///
    /// Repeating it after a crash is safe: what was committed is no longer
    /// undecided, what was not is decided again, alike.
    ///
    /// # Errors
    /// When the store fails; a single document's error is in its place.
    pub async fn decide(self: &Arc<Self>, limit: u32) -> Result<Vec<Result<Committed, DecideError>>, DecideError> {
        let documents = self.store.undecided(limit).await?;
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let mut left: BTreeSet<DocumentPosition> = documents.iter().map(Journaled::position).collect();
        let tables = Tables::of(&self.store, &self.tables_in_use()).await;

        let pipeline = Arc::clone(self);
        let its_tables = Arc::clone(&tables);
        let mapped = parallel::in_order(documents, self.workers, move |document| {
            let (pipeline, tables) = (Arc::clone(&pipeline), Arc::clone(&its_tables));
            async move { pipeline.to_canonical(document, tables).await }
        })
        .await;

        let mut unread = Vec::new();
        let mut validated = Vec::new();
        let mut in_batch = BTreeSet::new();
        for mapped in mapped.into_iter().flatten() {
            match of_one(self.validate(mapped, &tables, &mut in_batch).await)? {
                Some(Ok(order)) => validated.push(order),
                Some(Err(other)) => unread.push(other),
                None => {}
            }
        }
        self.add_history(&mut validated).await?;

        let pipeline = Arc::clone(self);
        let its_tables = Arc::clone(&tables);
        let scored = parallel::in_order(validated, self.workers, move |order| {
            let (pipeline, tables) = (Arc::clone(&pipeline), Arc::clone(&its_tables));
            async move { pipeline.score(order, tables).await }
        })
        .await;

        let mut asked = Vec::new();
        for scored in scored.into_iter().flatten() {
            asked.extend(of_one(scored)?);
        }

        let mut decisions = unread;
        decisions.extend(self.weigh(asked, &tables).await?);
        decisions.sort_by_key(|decision| decision.document.position());
        for decision in &decisions {
            left.remove(&decision.document.position());
        }
        let committed = self.store.commit_decisions(decisions).await?;
        self.set_aside.add(&left);
        let set_aside = left.into_iter().map(|position| Err(DecideError::SetAside(position)));
        Ok(committed.into_iter().map(|result| result.map_err(DecideError::from)).chain(set_aside).collect())
    }

    /// Reads a document: the first stage, without side effects.
    async fn to_canonical(&self, document: Journaled, tables: Arc<Tables>) -> Mapped {
        if self.set_aside.has(document.position()) {
            let detail = "the host itself failed on this document; decide about it yourself and report the fault";
            let outcome = Err(for_a_person(self.queue(&document), "host-fault", detail));
            return Mapped { document, crossing: None, outcome };
        }
        if let Some(first) = document.first() {
            let outcome = if first.same_content {
                Ok(Reading::Duplicate(first.position))
            } else {
                Err(for_a_person(
                    self.queue(&document),
                    "changed-order",
                    "the same business key came before with other content; compare the two documents",
                ))
            };
            return Mapped { document, crossing: None, outcome };
        }
        let Some(transformer) = self
            .routes
            .channel(document.channel())
            .and_then(|channel| channel.documents.get(document.kind()))
            .and_then(|name| self.plugin(name))
        else {
            let detail = format!(
                "no transformer reads `{}` on this channel; add it to `documents` of the channel",
                document.kind()
            );
            let outcome = Err(for_a_person(self.queue(&document), "no-transformer", &detail));
            return Mapped { document, crossing: None, outcome };
        };
        let body = match document.body() {
            Ok(body) => body.to_vec(),
            Err(why) => {
                let outcome = Err(for_a_person(self.queue(&document), "unreadable", why));
                return Mapped { document, crossing: None, outcome };
            }
        };
        let mut context = self.context(document.received_at());
        context.lookup = tables;
        let request = MappingRequest {
            kind: document.kind().to_owned(),
            body,
            received_at: document.received_at(),
            sender: document.sender().clone(),
            settings: self
                .routes
                .channel(document.channel())
                .map(|channel| route::settings(&channel.settings))
                .unwrap_or_default(),
        };
        let crossed = self.metrics.called(transformer.plugin.to_canonical(&context, &request).await);
        let queue = self.queue(&document);
        let (outcome, failure) = match crossed.outcome {
            Ok(Ok(events)) => (one_order(events, queue), None),
            Ok(Err(failure)) => {
                let (code, detail) = leaf::failure_words(&failure);
                (Err(for_a_person(queue, &code, &detail)), Some(code))
            }
            Err(error) => {
                let code = call_error_code(&error);
                (Err(for_a_person(queue, &code, &error.to_string())), Some(code))
            }
        };
        Mapped { document, crossing: Some((crossed.crossing, failure)), outcome }
    }

    /// The host's own rules; what is no new order is decided here already.
    async fn validate(
        &self,
        mapped: Mapped,
        tables: &Tables,
        in_batch: &mut BTreeSet<OrderId>,
    ) -> Result<Result<Validated, DecisionCommit>, DecideError> {
        let Mapped { document, crossing, outcome } = mapped;
        let (order, value) = match outcome {
            Ok(Reading::Order(order, value)) => (order, value),
            Ok(Reading::Duplicate(of)) => {
                return Ok(Err(self.without_order(document, crossing, Decided::Duplicate { of })?));
            }
            Err(exception) => return Ok(Err(self.without_order(document, crossing, Decided::Unmapped(exception))?)),
        };
        let facts = reference_facts(&order, document.received_at(), tables);
        let class = facts.customer.as_ref().map(|customer| customer.class.clone());
        let findings = self.rules.check(&order, &facts);
        let number = order
            .release
            .as_ref()
            .map_or_else(|| order.number.clone(), |release| format!("{}/{release}", order.number));
        let id = OrderId::derive(document.channel(), document.sender(), document.partner(), &number);
        // Another key, but an order that exists: a second release of it, or a
        // sender that counts anew. Nothing is overwritten.
        if !in_batch.insert(id) || self.store.order(id).await?.is_some() {
            let exception = for_a_person(
                self.queue(&document),
                "order-exists",
                "the sender has an order with this number already; compare the two documents",
            );
            return Ok(Err(self.without_order(document, crossing, Decided::Unmapped(exception))?));
        }
        let event = Event::OrderCreated(*order.clone());
        let event_json = event.to_json().map_err(|error| DecideError::Event(error.to_string()))?;
        let customer_event = history::customer_event(&order, document.received_at(), value);
        Ok(Ok(Validated {
            document,
            crossing,
            order,
            id,
            value,
            class,
            findings,
            event_json,
            customer_event,
            history: None,
        }))
    }

    async fn add_history(&self, orders: &mut [Validated]) -> Result<(), DecideError> {
        for index in 0..orders.len() {
            let (lower, rest) = orders.split_at_mut(index);
            let Some(order) = rest.first_mut() else { continue };
            let known =
                self.store.customer_history(history::query(&order.customer_event, order.document.position())).await?;
            let lower = lower.iter().map(|order| &order.customer_event);
            order.history = Some(history::history(known, &order.customer_event, lower));
        }
        Ok(())
    }

    /// Asks every scorer of the channel. A refused order is not scored: there is
    /// nothing left for advice to add.
    async fn score(&self, validated: Validated, tables: Arc<Tables>) -> Result<Scored, DecideError> {
        let mut scored = Scored { scorings: Vec::new(), crossings: Vec::new(), validated };
        let Some(history) = scored.validated.history.clone() else { return Ok(scored) };
        if scored.validated.findings.iter().any(|finding| matches!(finding.consequence, Consequence::Refuse)) {
            return Ok(scored);
        }
        let mut context = self.context(scored.validated.document.received_at());
        context.lookup = tables;
        let order = Order::clone(&scored.validated.order);
        let event = Digest::of(&scored.validated.event_json);
        let mut question = Question::new(order, event, history, context.received_at);
        for name in self.scorers(&scored.validated.document) {
            let (scoring, crossing) = self.score_once(name, &mut question, &context).await;
            if let Some(crossing) = crossing {
                let output = scoring.assessment.as_ref().map(portreeve_record::canonical_digest).transpose()?;
                scored.crossings.push((crossing, scoring.input, output, scoring.failure.clone()));
            }
            scored.scorings.push(scoring);
        }
        Ok(scored)
    }

    /// One call of one scorer, with everything that doing it again needs.
    pub(crate) async fn score_once(
        &self,
        name: &PluginName,
        question: &mut Question,
        context: &portreeve_sandbox::CallContext,
    ) -> (Scoring, Option<Crossing>) {
        let engine = self.engines.get(&PluginKind::Scorer).copied().unwrap_or_else(|| Digest::of(b"no engine"));
        let Some(installed) = self.plugin(name) else {
            let scoring = Scoring {
                plugin: name.clone(),
                component: Digest::of(b""),
                engine,
                seed: 0,
                input: question.event,
                lookups: Vec::new(),
                transcript: Digest::of(b""),
                fuel_used: None,
                assessment: None,
                failure: Some("not-installed".to_owned()),
            };
            return (scoring, None);
        };
        let seed = seed_of(installed.digest, question.event);
        let (request, input) = question.with_seed(seed);
        let crossed = self.metrics.called(installed.plugin.score(context, request).await);
        let (assessment, failure) = match crossed.outcome {
            Ok(Ok(assessment)) => (Some(assessment), None),
            Ok(Err(failure)) => (None, Some(leaf::failure_words(&failure).0)),
            Err(error) => (None, Some(call_error_code(&error))),
        };
        let scoring = Scoring {
            plugin: name.clone(),
            component: installed.digest,
            engine,
            seed,
            input,
            lookups: crossed.crossing.lookups.iter().map(LookupRecord::from).collect(),
            transcript: crossed.crossing.transcript,
            fuel_used: crossed.crossing.fuel_used,
            assessment,
            failure,
        };
        (scoring, Some(crossed.crossing))
    }

    /// Asks authority about every proposal, in journal order, so that counters
    /// count the same way whoever scored first.
    async fn weigh(&self, scored: Vec<Scored>, tables: &Tables) -> Result<Vec<DecisionCommit>, DecideError> {
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

    /// Where an order stands, from the strongest cause down: refused by a rule,
    /// failed, held, routed, released.
    fn standing(
        &self,
        order: &Validated,
        scorings: &[Scoring],
        verdicts: &[(Verdict, Proposal)],
        now: Instant,
    ) -> Standing {
        let mut standing = Standing::released();
        for finding in &order.findings {
            standing.add_finding(finding, now);
        }
        for (verdict, proposal) in verdicts {
            standing.add_verdict(verdict, proposal);
        }
        let fails_closed = self
            .routes
            .channel(order.document.channel())
            .is_none_or(|channel| channel.failed_scorer == FailedScorer::FailClosed);
        for scoring in scorings {
            if let Some(failure) = &scoring.failure {
                standing.add_failure(&scoring.plugin, failure, self.queue(&order.document), fails_closed);
            }
        }
        standing
    }

    /// A document that leads to no order: a duplicate, or one for a person.
    fn without_order(
        &self,
        document: Journaled,
        crossing: Option<(Crossing, Option<String>)>,
        decided: Decided,
    ) -> Result<DecisionCommit, DecideError> {
        let now = self.clock.now();
        let state = match &decided {
            Decided::Duplicate { .. } => portreeve_record::leaf::DecidedState::Duplicate,
            Decided::Order(_) | Decided::Unmapped(_) => portreeve_record::leaf::DecidedState::Exception,
        };
        let leaf = leaf::decide(
            &self.host,
            now,
            &DecideFacts {
                order: None,
                document: &document,
                event: None,
                configuration: self.configuration,
                mapping: crossing.as_ref(),
                scoring: &[],
                verdicts: &[],
                policy_holds: &[],
                state,
                decision: None,
                clock: now,
            },
        )?;
        Ok(DecisionCommit { document, decided, payloads: Vec::new(), configuration: self.configuration, at: now, leaf })
    }

    fn scorers(&self, document: &Journaled) -> &[PluginName] {
        self.routes.channel(document.channel()).map_or(&[], |channel| channel.scorers.as_slice())
    }

    fn queue(&self, document: &Journaled) -> &str {
        self.routes.channel(document.channel()).map_or("integration", |channel| channel.exception_queue.as_str())
    }

    /// Tables that any plugin or rule reads.
    fn tables_in_use(&self) -> Vec<String> {
        let mut names: Vec<String> = RULE_TABLES.iter().map(|name| (*name).to_owned()).collect();
        names.extend(self.plugins.values().flat_map(|installed| installed.manifest.imports.lookup.clone()));
        names.sort();
        names.dedup();
        names
    }
}

/// Where an order stands, and why.
struct Standing {
    state: OrderState,
    queue: Option<String>,
    why: String,
    holds: Vec<NewHold>,
    recommended: bool,
    exception: Option<NewException>,
}

impl Standing {
    fn released() -> Self {
        Self {
            state: OrderState::Released,
            queue: None,
            why: "no hold".to_owned(),
            holds: Vec::new(),
            recommended: false,
            exception: None,
        }
    }

    /// Moves to a stronger state; an equal or weaker one adds nothing.
    fn raise(&mut self, state: OrderState, queue: Option<String>, why: String) {
        let strength = |state| match state {
            OrderState::Released => 0,
            OrderState::Routed => 1,
            OrderState::Held => 2,
            OrderState::Exception => 3,
            OrderState::Refused => 4,
        };
        if strength(state) > strength(self.state) {
            (self.state, self.queue, self.why) = (state, queue, why);
        }
    }

    fn add_finding(&mut self, finding: &Finding, now: Instant) {
        let place = finding.line.as_ref().map_or_else(String::new, |line| format!(" (line {line})"));
        let why = format!("{}{place}: found {}, expected {}", finding.code, finding.found, finding.expected);
        match &finding.consequence {
            Consequence::Refuse => self.raise(OrderState::Refused, None, why),
            Consequence::PolicyHold { queue, minutes } => {
                self.holds.push(NewHold {
                    owner: HoldOwner::Policy,
                    reason: finding.code.to_owned(),
                    queue: queue.clone(),
                    lines: finding.line.clone().into_iter().collect(),
                    expires_at: now.plus_ms(i64::from(*minutes) * MINUTE_MS),
                });
                self.raise(OrderState::Held, Some(queue.clone()), why);
            }
        }
    }

    fn add_verdict(&mut self, verdict: &Verdict, proposal: &Proposal) {
        match verdict.effect() {
            Effect::RecordOnly => {}
            Effect::Recommend(_) => self.recommended = true,
            Effect::Route { queue } => self.raise(OrderState::Routed, Some(queue.clone()), verdict.summary()),
            Effect::Hold { scope, until, queue, .. } => {
                let lines = match scope {
                    HoldScope::Order => Vec::new(),
                    HoldScope::Lines(lines) => lines.clone(),
                };
                self.holds.push(NewHold {
                    owner: HoldOwner::Advice(verdict.plugin().clone()),
                    reason: reason(proposal),
                    queue: queue.clone(),
                    lines,
                    expires_at: *until,
                });
                self.raise(OrderState::Held, Some(queue.clone()), verdict.summary());
            }
        }
    }

    fn add_failure(&mut self, plugin: &PluginName, code: &str, queue: &str, fails_closed: bool) {
        if !fails_closed {
            return;
        }
        let why = format!("scorer `{plugin}` failed: {code}");
        if self.exception.is_none() {
            self.exception = Some(NewException {
                stage: "decide",
                code: format!("scorer-{code}"),
                detail: format!("{why}; decide about the order yourself or repair the plugin"),
                queue: queue.to_owned(),
            });
        }
        self.raise(OrderState::Exception, Some(queue.to_owned()), why);
    }
}

/// The reason code of a hold, as the scorer named it.
fn reason(proposal: &Proposal) -> String {
    match proposal {
        Proposal::Hold(hold) => hold.reason.clone(),
        Proposal::Route(_) | Proposal::Recommend(_) | Proposal::Other(_) => "advice".to_owned(),
    }
}

/// One document, one new order; what else there may be goes to a person.
fn one_order(events: Vec<Event>, queue: &str) -> Result<Reading, NewException> {
    let count = events.len();
    let mut events = events.into_iter();
    match (events.next(), events.next()) {
        (Some(Event::OrderCreated(order)), None) => {
            if order.lines.is_empty() {
                return Err(for_a_person(queue, "no-lines", "the order has no lines; ask the sender"));
            }
            match order.value() {
                Ok(value) => Ok(Reading::Order(Box::new(order), value)),
                Err(error) => Err(for_a_person(queue, "value", &error.to_string())),
            }
        }
        (Some(other), None) => {
            let detail = format!("`{}` is not handled by itself yet; a person carries it out", other.name());
            Err(for_a_person(queue, "not-automatic", &detail))
        }
        (None, _) => Err(for_a_person(queue, "no-event", "the transformer made no event of the document")),
        (Some(_), Some(_)) => Err(for_a_person(
            queue,
            "several-events",
            &format!("the transformer made {count} events of one document; expected 1"),
        )),
    }
}

fn for_a_person(queue: &str, code: &str, detail: &str) -> NewException {
    NewException { stage: "decide", code: code.to_owned(), detail: detail.to_owned(), queue: queue.to_owned() }
}

/// What the tables say about an order's customer and items. A row that lacks a
/// column counts as no row: the rules then hold or refuse, they do not guess.
fn reference_facts(order: &Order, received_at: Instant, tables: &Tables) -> ReferenceFacts {
    let currency = |row: &Row| row.text("currency").and_then(|code| Currency::parse(code).ok());
    let customer = tables.row("customer", &order.customer.id).and_then(|row| {
        Some(CustomerFacts {
            class: row.text("class")?.to_owned(),
            blocked: row.flag("blocked")?,
            currency: currency(row),
            country: row.text("country").map(str::to_owned),
        })
    });
    let items = order
        .lines
        .iter()
        .filter_map(|line| {
            let row = tables.row("item", &line.sku)?;
            let facts = ItemFacts {
                list_price: row.number("list-price")?,
                unit: row.text("unit")?.to_owned(),
                currency: currency(row)?,
            };
            Some((line.sku.clone(), facts))
        })
        .collect();
    ReferenceFacts { received_at, customer, items }
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

/// Repeatable randomness: the same component on the same event gets the same.
fn seed_of(component: Digest, event: Digest) -> u64 {
    let digest = Digest::of_parts(&[b"seed", component.as_bytes(), event.as_bytes()]);
    let mut seed = [0; 8];
    seed.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(seed)
}
