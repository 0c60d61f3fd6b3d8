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
//! order to a person while the others go on, unless it failed for a reason that
//! passes: then the document waits, and later ones about other orders go before it.

mod acknowledging;

mod advised;

mod ahead;

mod reading;

mod facts;

mod validating;

mod masking;

mod scoring;

mod counting;

mod crediting;

mod rechecking;

mod weighing;

mod standing;

mod later;

mod level;

mod naming;

mod following;

mod effects;

mod changing;

mod held;

mod refunding;

mod set_aside;

mod turn;
mod unchanged;

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::reference::CREDIT_TABLE;
use portreeve_model::{Instant, Matter, PluginName};
use portreeve_record::leaf::DecidedState;
use portreeve_record::{RecordError, SealError};
use portreeve_sandbox::Crossing;
use portreeve_store::contract::{Decided, DecisionCommit, DocumentPosition, InterchangeAnswer};
use portreeve_store::{Committed, Journaled, StoreError};

pub use self::ahead::Decisions;
pub(crate) use self::crediting::{answered_for, query as credit_query, within};
pub use self::facts::credit_facts;
pub(crate) use self::facts::{RuleRows, class, credit_account, reference_facts};
pub(crate) use self::following::{Course, Followed, Paying, follow};
pub(crate) use self::held::UnknownWord;
pub(crate) use self::later::as_change;
pub use self::later::{CANCEL_REQUESTED, CHANGED_ORDER};
pub use self::masking::Pseudonyms;
pub(crate) use self::masking::masked_event;
use self::reading::Mapped;
pub(crate) use self::scoring::{AskAgain, Question, Sees};
pub use self::set_aside::SetAside;
use self::turn::Subjects;
pub(crate) use self::weighing::subject;
use crate::leaf::{self, DecideFacts};
use crate::metrics::Metrics;
use crate::own_word::Unsaid;
use crate::plugins::Active;
use crate::route::OwnChannel;
use crate::tables::Tables;
use crate::{Pipeline, parallel};

/// Tables that the host's own rules read.
pub const RULE_TABLES: [&str; 7] = ["customer", "item", "ship-to", "cross-reference", "unit", "stock", CREDIT_TABLE];

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
    /// What the host itself says could not be written down.
    #[error(transparent)]
    OwnWord(#[from] Unsaid),
    /// The host failed on several documents and does not know on which of them.
    #[error(
        "{documents} documents could not be decided together; each is tried alone now, and the host's log says why"
    )]
    Panicked {
        /// How many there are.
        documents: usize,
    },
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

/// Documents that were read, and what they were read with: what is active when a batch is
/// read is what the whole of it is decided with, whatever takes its place meanwhile.
struct Batch {
    positions: BTreeSet<DocumentPosition>,
    mapped: Vec<Mapped>,
    tables: Arc<Tables>,
    active: Arc<Active>,
    /// What waited for another try then is not in it, and what comes after that waits too.
    now: Instant,
    /// How often those that waited were woken until then.
    woken: u64,
}

/// A batch that was thought through: what is to be committed, and what has no result.
#[derive(Default)]
struct Judged {
    positions: BTreeSet<DocumentPosition>,
    decisions: Vec<DecisionCommit>,
    /// The host itself failed on these.
    left: BTreeSet<DocumentPosition>,
}

impl Pipeline {
    /// Decides the next documents, at most `limit`. A document whose plugin failed for
    /// a reason that passes has no result yet: it is tried again, with growing waits.
    ///
    /// Repeating it after a crash is safe: what was committed is no longer
    /// undecided, what was not is decided again, alike.
    ///
    /// # Errors
    /// When the store fails, or the host itself does; a single document's error is in its
    /// place.
    pub async fn decide(self: &Arc<Self>, limit: u32) -> Result<Vec<Result<Committed, DecideError>>, DecideError> {
        let batch = self.read(limit, &[]).await?;
        let judged = self.judge(batch).await?;
        self.commit(judged).await
    }

    /// Reads the next documents but those `in_hand`: the stages that change nothing.
    async fn read(self: &Arc<Self>, limit: u32, in_hand: &[DocumentPosition]) -> Result<Batch, DecideError> {
        let (now, woken) = (self.clock.now(), self.set_aside.woken());
        let mut left_out = self.set_aside.left_out(now);
        left_out.extend(in_hand);
        let documents = self.store.undecided(self.set_aside.at_once(limit), &left_out).await?;
        let positions: BTreeSet<DocumentPosition> = documents.iter().map(Journaled::position).collect();
        self.set_aside.goes_on_at(positions.first().copied());
        let active = self.plugins.now();
        let tables = match positions.is_empty() {
            true => Arc::default(),
            false => self.tables.read(&self.store, &tables_in_use(&active)).await?,
        };

        let pipeline = Arc::clone(self);
        let (its_tables, its_plugins) = (Arc::clone(&tables), Arc::clone(&active));
        let mapped = parallel::in_order(documents, self.workers, move |document| {
            let (pipeline, tables) = (Arc::clone(&pipeline), Arc::clone(&its_tables));
            let active = Arc::clone(&its_plugins);
            async move { pipeline.to_canonical(document, tables, active).await }
        })
        .await;
        Ok(Batch { positions, mapped: mapped.into_iter().flatten().flatten().collect(), tables, active, now, woken })
    }

    /// Thinks a batch through, and commits nothing.
    async fn judge(self: &Arc<Self>, batch: Batch) -> Result<Judged, DecideError> {
        let positions = batch.positions.clone();
        if positions.is_empty() {
            return Ok(Judged::default());
        }
        let pipeline = Arc::clone(self);
        let judged = parallel::apart(batch, move |batch| {
            let pipeline = Arc::clone(&pipeline);
            async move { pipeline.judge_batch(batch).await }
        });
        match judged.await {
            Some(judged) => judged,
            None => Ok(Judged { left: self.after_panic(&positions)?, decisions: Vec::new(), positions }),
        }
    }

    /// A panic in the host's own stages takes its batch with it, and nothing else. Which
    /// document it met shows when each is tried alone; that one is left.
    fn after_panic(&self, positions: &BTreeSet<DocumentPosition>) -> Result<BTreeSet<DocumentPosition>, DecideError> {
        match positions.last() {
            Some(last) if positions.len() > 1 => {
                self.set_aside.one_by_one(*last);
                Err(DecideError::Panicked { documents: positions.len() })
            }
            _ => Ok(positions.clone()),
        }
    }

    /// One batch, through all of its stages after reading.
    async fn judge_batch(self: &Arc<Self>, batch: Batch) -> Result<Judged, DecideError> {
        let Batch { positions, mut mapped, tables, active, now, .. } = batch;
        let waiting = self.find_named(&mut mapped).await?;
        self.find_acknowledged(&mut mapped).await?;
        self.find_unchanged(&mut mapped, &tables).await?;
        let mut left = positions.clone();
        let mut unread = Vec::new();
        let mut validated = Vec::new();
        let mut postponed = BTreeSet::new();
        let subjects = Subjects::of(&mapped);
        let mut standings = self.standings(subjects.orders(), &mapped).await?;
        standings.rechecks = self.rechecks(&mapped, &standings, &tables).await?;
        for mapped in mapped {
            let Some(mapped) = self.in_turn(mapped, &subjects, &standings, now) else { continue };
            let position = mapped.document.position();
            let subject = subjects.of_document(position);
            let has_to_wait = standings.makes_what(&mapped) || waiting.contains(&position);
            if has_to_wait || subject.is_some_and(|order| postponed.contains(&order)) {
                // It is nobody's fault: the next batch has it, and what is said of the order after it.
                left.remove(&position);
                postponed.extend(subject);
                continue;
            }
            match of_one(self.validate(mapped, &tables, &mut standings, active.configuration))? {
                Some(Ok(order)) => validated.push(order),
                Some(Err(other)) => unread.push(other),
                None => {}
            }
        }
        self.add_history(&mut validated).await?;

        let pipeline = Arc::clone(self);
        let (its_tables, its_plugins) = (Arc::clone(&tables), Arc::clone(&active));
        let scored = parallel::in_order(validated, self.workers, move |order| {
            let (pipeline, tables) = (Arc::clone(&pipeline), Arc::clone(&its_tables));
            let active = Arc::clone(&its_plugins);
            async move { pipeline.score(order, tables, active).await }
        })
        .await;

        let mut asked = Vec::new();
        for scored in scored.into_iter().flatten() {
            asked.extend(of_one(scored)?.flatten());
        }

        let mut decisions = unread;
        decisions.extend(self.weigh(asked, &tables, &active).await?);
        decisions.sort_by_key(|decision| decision.document.position());
        for decision in &decisions {
            left.remove(&decision.document.position());
        }
        self.keep_turns(&mut decisions, &left, &subjects, now);
        left.retain(|position| !self.set_aside.waits(*position, now));
        Ok(Judged { positions, decisions, left })
    }

    /// Commits what was decided; one that fails leaves the others.
    async fn commit(self: &Arc<Self>, judged: Judged) -> Result<Vec<Result<Committed, DecideError>>, DecideError> {
        let positions = judged.positions.clone();
        let pipeline = Arc::clone(self);
        let committed = parallel::apart(judged, move |judged| {
            let pipeline = Arc::clone(&pipeline);
            async move { pipeline.commit_batch(judged).await }
        });
        match committed.await {
            Some(committed) => committed,
            None => Ok(self.set_aside(&self.after_panic(&positions)?).collect()),
        }
    }

    /// Documents that the host itself failed on.
    fn set_aside(
        &self,
        left: &BTreeSet<DocumentPosition>,
    ) -> impl Iterator<Item = Result<Committed, DecideError>> + use<> {
        self.set_aside.add(left);
        left.clone().into_iter().map(|position| Err(DecideError::SetAside(position)))
    }

    async fn commit_batch(&self, judged: Judged) -> Result<Vec<Result<Committed, DecideError>>, DecideError> {
        let Judged { decisions, left, .. } = judged;
        let positions: Vec<_> = decisions.iter().map(|decision| decision.document.position()).collect();
        let about_orders: Vec<_> = decisions.iter().map(|decision| Counted::of(&decision.decided)).collect();
        let committed = match decisions.is_empty() {
            true => Vec::new(),
            false => self.store.commit_decisions(decisions).await?,
        };
        for ((position, about), result) in positions.into_iter().zip(about_orders).zip(&committed) {
            match result {
                Ok(_) => {
                    self.set_aside.decided(position);
                    about.into_iter().for_each(|counted| counted.count(&self.metrics));
                }
                Err(StoreError::BudgetSpent { .. } | StoreError::CreditSpent) => self.set_aside.outrun(position),
                // It is undecided, and comes again; whoever asked hears of it.
                Err(_) => {}
            }
        }
        let committed = committed.into_iter().map(|result| result.map_err(DecideError::from));
        Ok(committed.chain(self.set_aside(&left)).collect())
    }

    /// A document that leads to no order: a duplicate, or one for a person.
    fn without_order(
        &self,
        document: Journaled,
        crossing: Option<(Crossing, Option<String>)>,
        decided: Decided,
        configuration: u64,
    ) -> Result<DecisionCommit, DecideError> {
        let now = self.clock.now();
        let state = match &decided {
            Decided::Duplicate { .. } => DecidedState::Duplicate,
            Decided::Order(_) | Decided::Event(_) | Decided::Level(_) | Decided::Answered(_) | Decided::Unmapped(_) => {
                DecidedState::Exception
            }
        };
        self.decided_without(document, crossing.as_ref(), decided, Without { about: None, state, configuration, now })
    }

    /// The commit of a decision that makes no order, and its record.
    fn decided_without(
        &self,
        document: Journaled,
        mapping: Option<&(Crossing, Option<String>)>,
        decided: Decided,
        without: Without,
    ) -> Result<DecisionCommit, DecideError> {
        let Without { about, state, configuration, now } = without;
        let leaf = leaf::decide(
            &self.host,
            now,
            &DecideFacts {
                order: None,
                about,
                document: &document,
                event: None,
                configuration,
                mapping,
                key: document.payload_key(),
                scoring: &[],
                verdicts: &[],
                policy_holds: &[],
                cancel_requested: false,
                state,
                told: false,
                decision: None,
                clock: now,
            },
        )?;
        Ok(DecisionCommit { document, decided, payloads: Vec::new(), configuration, at: now, leaf })
    }

    fn scorers(&self, document: &Journaled) -> &[PluginName] {
        self.routes.channel(document.channel()).map_or(&[], |channel| channel.scorers.as_slice())
    }

    fn queue(&self, document: &Journaled) -> &str {
        if let Some(own) = OwnChannel::of(document.channel()) {
            let by = document.sender().as_str();
            // What is said of several orders is a matter of the channel by which it came.
            let said_on = self.routes.channels.iter().find(|said_on| said_on.id.as_str() == by);
            let queue = match own {
                OwnChannel::Advices => said_on.map(|said_on| said_on.exception_queue.as_str()),
                OwnChannel::Receipts | OwnChannel::Refunds | OwnChannel::Rejections | OwnChannel::Agreements => {
                    self.routes.target(by).map(|target| target.exception_queue.as_str())
                }
            };
            return queue.unwrap_or("integration");
        }
        self.routes.channel(document.channel()).map_or("integration", |channel| channel.exception_queue.as_str())
    }
}

/// What the record of a decision says that makes no order.
struct Without {
    /// What it is about all the same.
    about: Option<Matter>,
    state: DecidedState,
    configuration: u64,
    now: Instant,
}

/// What is counted of a decision that is not an order's own.
enum Counted {
    /// What was said of an order, and what became of it.
    Event(&'static str, &'static str),
    /// What became of a level of an item.
    Level(&'static str),
    /// What a receiver said.
    Answer(&'static str),
}

impl Counted {
    fn of(decided: &Decided) -> Option<Self> {
        match decided {
            Decided::Event(event) => Some(Self::Event(event.kind.as_str(), event.outcome.as_str())),
            Decided::Level(level) => Some(Self::Level(level.outcome.as_str())),
            Decided::Answered(answer) => {
                Some(Self::Answer(answer.answer.map_or("received", InterchangeAnswer::as_str)))
            }
            Decided::Order(_) | Decided::Duplicate { .. } | Decided::Unmapped(_) => None,
        }
    }

    fn count(self, metrics: &Metrics) {
        match self {
            Self::Event(event, outcome) => metrics.order_event(event, outcome),
            Self::Level(outcome) => metrics.item_level(outcome),
            Self::Answer(said) => metrics.acknowledged(said),
        }
    }
}

/// Tables that any plugin or rule reads.
fn tables_in_use(active: &Active) -> Vec<String> {
    let mut names: Vec<String> = RULE_TABLES.iter().map(|name| (*name).to_owned()).collect();
    names.extend(active.ready().flat_map(|(_, installed)| installed.manifest.imports.lookup.clone()));
    names.sort();
    names.dedup();
    names
}
