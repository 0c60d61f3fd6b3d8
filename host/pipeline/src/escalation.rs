//! A hold whose time is over escalates: people of another queue are told. It still holds;
//! nothing is ever released because nobody looked. Where the host itself holds for a cause
//! that is gone, the hold ends instead: nobody is called to what waits for nobody.

use portreeve_record::leaf::{Code, EscalationLeaf};
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::StoreError;
use portreeve_store::contract::{DueHold, NewException};

use crate::Pipeline;
use crate::decide::CANCEL_REQUESTED;
use crate::review::named_hold;

/// Holds that are looked at together.
const PAGE: u32 = 64;

/// The code of an exception about a hold that was due.
pub const HOLD_DUE: &str = "hold-due";

/// Why a pass ended early. What it escalated until then is on record.
#[derive(Debug, thiserror::Error)]
pub enum EscalationError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
}

impl Pipeline {
    /// Escalates all holds that are due, until none is left or the caller wants to stop. How
    /// many they were.
    ///
    /// # Errors
    /// See [`EscalationError`].
    pub async fn escalate_due(&self, stop: impl Fn() -> bool) -> Result<u64, EscalationError> {
        let mut escalated = 0_u64;
        loop {
            let due = self.store.due_holds(self.clock.now(), PAGE).await?;
            if due.is_empty() {
                return Ok(escalated);
            }
            for hold in due {
                if stop() {
                    return Ok(escalated);
                }
                self.clear_before(&hold).await;
                if self.escalate(&hold).await? {
                    escalated = escalated.saturating_add(1);
                    self.metrics.hold_escalated(self.rules.escalation_queue());
                }
            }
        }
    }

    /// Ends holds of the order whose cause is gone. What comes of it is the next look's: the
    /// hold, if it is there still, is due all the same.
    async fn clear_before(&self, hold: &DueHold) {
        if hold.owner != "policy" {
            return;
        }
        if let Err(error) = self.clear_at_once(hold.order).await {
            tracing::warn!(%error, order = %hold.order, "an order could not be looked at again before its hold escalates");
        }
    }

    async fn escalate(&self, hold: &DueHold) -> Result<bool, EscalationError> {
        let now = self.clock.now();
        let queue = self.rules.escalation_queue();
        // A scorer's own words are neither for the log nor for this sentence.
        let named = named_hold(hold.number, &hold.owner, &hold.reason);
        let reason = named.reason.clone();
        let cause = self.cause(hold, reason.as_str()).await?;
        let body = EscalationLeaf { order: hold.order, hold: named, due_at: hold.expires_at, queue: Code::of(queue) };
        let leaf = Leaf::new(&self.host, now, LeafBody::Escalation(body))?;
        let what_to_do = if reason.as_str() == CANCEL_REQUESTED {
            "answer the sender, and see the order's exceptions"
        } else {
            "release it, or see to it that somebody does"
        };
        let exception = NewException {
            stage: "decide",
            code: HOLD_DUE.to_owned(),
            detail: format!(
                "found hold {} ({cause}) still open in queue `{}`, expected somebody's decision by {}: {what_to_do}",
                hold.number, hold.queue, hold.expires_at
            ),
            queue: queue.to_owned(),
        };
        Ok(self.store.escalate_hold(hold.number, exception, now, leaf).await?)
    }

    /// The hold's code; with what a rule found and expected, where the order says that this
    /// is what holds it.
    async fn cause(&self, hold: &DueHold, code: &str) -> Result<String, EscalationError> {
        let order = self.store.order(hold.order).await?;
        let why = order.map(|order| order.why).filter(|why| hold.owner == "policy" && why.starts_with(code));
        Ok(why.unwrap_or_else(|| code.to_owned()))
    }
}
