//! What was sent and not acknowledged in time: people are told, once, by the host's clock.
//!
//! A partner that says nothing has the interchange, or has not; sending it again would be sending
//! blindly, and it is the partner who knows. When it answers after all, the exception is closed
//! with its answer.

use portreeve_model::{Digest, ExceptionKind, Instant};
use portreeve_record::leaf::{Code, OverdueLeaf};
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::StoreError;
use portreeve_store::contract::{InterchangeView, NewException};

use crate::Pipeline;
use crate::exception::Limits;

/// Interchanges that are looked at together.
const PAGE: u32 = 64;

/// The code of the exception.
const OVERDUE: &str = "acknowledgement-overdue";

/// Why people could not be told.
#[derive(Debug, thiserror::Error)]
pub enum OverdueError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
}

impl Pipeline {
    /// Tells people of everything that its receiver should have acknowledged by now, until
    /// nothing is left or the caller wants to stop. Returns how many.
    ///
    /// # Errors
    /// When the store fails. What was told until then is on record.
    pub async fn tell_overdue(&self, stop: impl Fn() -> bool) -> Result<u64, OverdueError> {
        let mut told = 0_u64;
        loop {
            let now = self.clock.now();
            let page = self.store.overdue_interchanges(now, PAGE).await?;
            let mut progress = false;
            for waits in &page {
                if stop() {
                    return Ok(told);
                }
                if self.tell_of(waits, now).await? {
                    (told, progress) = (told.saturating_add(1), true);
                }
            }
            if !progress {
                return Ok(told);
            }
        }
    }

    async fn tell_of(&self, waits: &InterchangeView, now: Instant) -> Result<bool, OverdueError> {
        let InterchangeView { interchange, target, kind, .. } = waits;
        let due_at = waits.due_at.unwrap_or(now);
        let configured = self.routes.target(target);
        let exception = NewException {
            kind: ExceptionKind::Order,
            stage: "deliver",
            code: OVERDUE.to_owned(),
            detail: format!(
                "found no acknowledgement of interchange {} (`{kind}`) from `{}` by {due_at}, expected one: ask the partner whether it has it; it is closed when the acknowledgement comes",
                interchange.number, interchange.partner
            ),
            queue: configured.map_or("integration", |target| target.exception_queue.as_str()).to_owned(),
            due_at: None,
        };
        let exception = self.dated(exception, now, Limits::default());
        let body = LeafBody::Overdue(OverdueLeaf {
            outbox: Digest::of(waits.outbox.0.as_bytes()),
            order: waits.order,
            target: Code::of(target),
            number: interchange.number,
            due_at,
        });
        let leaf = Leaf::new(&self.host, now, body)?;
        let told = self.store.tell_overdue(&interchange.partner, interchange.number, exception, now, leaf).await?;
        if told {
            self.metrics.acknowledged("overdue");
        }
        Ok(told)
    }
}
