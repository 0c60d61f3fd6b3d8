//! Deciding again: the scorers run once more on what was recorded, and must say
//! the same, bit for bit.
//!
//! What is compared: the record with the one that the log names, the input's digest, the assessment, the transcript of host
//! calls, and, under the same engine, the fuel. An erased payload is counted
//! apart: the record still proves that a decision was made, not which.

use portreeve_model::{Digest, Event, OrderId};
use portreeve_store::StoreError;

use crate::Pipeline;
use crate::capability::Recorded;
use crate::decide::Question;
use crate::decision::{DecisionRecord, LookupRecord, Scoring};

/// What deciding again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rederived {
    /// Every scorer said the same.
    Same {
        /// How many were asked.
        scorers: usize,
    },
    /// At least one did not; each difference is one sentence.
    Different(Vec<String>),
    /// The payloads were erased.
    Erased,
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

impl Pipeline {
    /// Decides an order again from its record.
    ///
    /// # Errors
    /// See [`RederiveError`].
    pub async fn rederive(&self, id: OrderId) -> Result<Rederived, RederiveError> {
        let order = self.store.order(id).await?.ok_or(RederiveError::UnknownOrder(id))?;
        if let Some(difference) = self.differs_from_log(&order).await? {
            return Ok(Rederived::Different(vec![difference]));
        }
        let record = match self.store.payload(order.decision).await {
            Ok(bytes) => DecisionRecord::parse(&bytes)?,
            Err(StoreError::Erased(_)) => return Ok(Rederived::Erased),
            Err(error) => return Err(error.into()),
        };
        let event_json = match self.store.payload(record.event).await {
            Ok(bytes) => bytes,
            Err(StoreError::Erased(_)) => return Ok(Rederived::Erased),
            Err(error) => return Err(error.into()),
        };
        let event = Event::from_json(&event_json).map_err(|error| RederiveError::Event(error.to_string()))?;
        let (Event::OrderCreated(order), Some(history)) = (event, record.history) else {
            return Ok(Rederived::Same { scorers: 0 });
        };
        let mut question = Question::new(order, Digest::of(&event_json), history, record.received_at);
        let mut differences = Vec::new();
        for then in &record.scorings {
            let mut context = self.context(record.received_at);
            context.lookup = std::sync::Arc::new(Recorded(then.lookups.iter().map(LookupRecord::recorded).collect()));
            let (now, _, _) = self.score_once(&then.plugin, &mut question, &context).await;
            differences.extend(compare(then, &now));
        }
        if differences.is_empty() {
            Ok(Rederived::Same { scorers: record.scorings.len() })
        } else {
            Ok(Rederived::Different(differences))
        }
    }
}

fn compare(then: &Scoring, now: &Scoring) -> Vec<String> {
    let name = &then.plugin;
    let mut differences = Vec::new();
    if then.component != now.component {
        differences
            .push(format!("`{name}` is component {} now and was {}; install that one", now.component, then.component));
        return differences;
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
