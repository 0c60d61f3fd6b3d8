//! Messages that did not go out in time: people are told, once, by the host's clock.
//!
//! Whatever keeps one back (a hold, an answer of another system that does not come, a target that is
//! down) has its own exception, or none; a partner that is told too late charges for it either way.
//! When the message goes out after all, the exception is closed.

use portreeve_model::{ExceptionKind, Instant};
use portreeve_record::leaf::{Code, LateLeaf, LateStep};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::StoreError;
use portreeve_store::contract::{LateMessage, NewException};

use super::OverdueError;
use crate::Pipeline;
use crate::exception::Limits;

/// Late messages that are looked at together.
const PAGE: u32 = 64;

/// Orders or deliveries that one look of a rule goes through: it is a write, behind which others wait.
const LOOKED_AT: u32 = 1_000;

/// The code of the exception.
const LATE: &str = "message-late";

impl Pipeline {
    /// Has the store look after what has to go out by a time; what is new of that counts from here on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_due(&self) -> Result<(), StoreError> {
        self.store.begin_due(self.routes.due_rules()).await
    }

    /// Tells people of every message that should have gone out by now, and of none that went out since,
    /// until nothing is left or the caller wants to stop. Returns how many people were told of.
    ///
    /// # Errors
    /// When the store fails. What was told until then is on record.
    pub async fn tell_late(&self, stop: impl Fn() -> bool) -> Result<u64, OverdueError> {
        let now = self.clock.now();
        for rule in self.routes.due_rules() {
            while !stop() && self.store.watch_due(rule.clone(), now, LOOKED_AT).await? {}
        }
        let mut told = 0_u64;
        loop {
            let page = self.store.late_messages(now, PAGE).await?;
            let mut progress = false;
            for message in &page {
                if stop() {
                    return Ok(told);
                }
                if message.sent {
                    progress |= self.end_late(message, now).await?;
                } else if self.tell_of_late(message, now).await? {
                    (told, progress) = (told.saturating_add(1), true);
                }
            }
            if !progress {
                return Ok(told);
            }
        }
    }

    async fn tell_of_late(&self, message: &LateMessage, now: Instant) -> Result<bool, OverdueError> {
        let LateMessage { order_number, partner, target, kind, due_at, .. } = message;
        let of = if partner.is_empty() { String::new() } else { format!(" of partner `{partner}`") };
        let queue = self.routes.target(target).map_or("integration", |target| target.exception_queue.as_str());
        let exception = NewException {
            kind: ExceptionKind::Order,
            stage: "deliver",
            code: LATE.to_owned(),
            detail: format!(
                "found no `{kind}` of order `{order_number}`{of} with target `{target}` by {due_at}, expected it to be there: see what keeps the order or the delivery back; it is closed when the message goes out"
            ),
            queue: queue.to_owned(),
            due_at: None,
        };
        let exception = self.dated(exception, now, Limits::default());
        let leaf = self.late_leaf(message, LateStep::Told, now)?;
        let told = self.store.tell_late(message.number, exception, now, leaf).await?;
        if told {
            self.metrics.late.counted(target, kind, "told");
        }
        Ok(told)
    }

    async fn end_late(&self, message: &LateMessage, now: Instant) -> Result<bool, OverdueError> {
        let leaf = self.late_leaf(message, LateStep::Sent, now)?;
        let ended = self.store.end_late(message.number, now, leaf).await?;
        if ended {
            self.metrics.late.counted(&message.target, &message.kind, "sent");
        }
        Ok(ended)
    }

    fn late_leaf(&self, message: &LateMessage, step: LateStep, now: Instant) -> Result<Leaf, OverdueError> {
        let body = LeafBody::Late(LateLeaf {
            order: message.order,
            target: Code::of(&message.target),
            message: Code::of(&message.kind),
            due_at: message.due_at,
            step,
        });
        Ok(Leaf::new(&self.host, now, body)?)
    }
}
