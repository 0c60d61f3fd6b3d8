//! By when an exception is to be decided, and what happens when nobody does.
//!
//! It is due at the earliest of what its queue promises (business hours), what its channel
//! promises the partner, the order's cancel-after date, the end of the payment's
//! authorisation, and the first of its holds' times. Then others hear of it; nothing is
//! released, because nobody looked. A proposal that nobody decided expires, and decides
//! nothing: that is counted apart.

use portreeve_model::{ExceptionKind, Instant, Order};
use portreeve_record::LeafBody;
use portreeve_record::leaf::{Code, EscalationLeaf, ExceptionLeaf, Label};
use portreeve_store::StoreError;
use portreeve_store::contract::{ExceptionChange, ExceptionView, NewException, NewHold};

use super::ExceptionError;
use crate::Pipeline;
use crate::route::Channel;

/// Exceptions that are looked at together.
const PAGE: u32 = 64;

/// What happened in a pass because nobody decided in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Exceptions that others were told of.
    pub escalated: u64,
    /// Proposals that expired.
    pub expired: u64,
}

/// What limits the time of an exception beside its queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits<'a> {
    /// The channel that it came by, and when.
    pub(crate) channel: Option<(&'a Channel, Instant)>,
    /// The order that it is about.
    pub(crate) order: Option<&'a Order>,
    /// What keeps the order back.
    pub(crate) holds: &'a [NewHold],
}

impl Pipeline {
    /// This exception with its due time.
    pub(crate) fn dated(&self, mut exception: NewException, at: Instant, limits: Limits<'_>) -> NewException {
        exception.due_at = self.due_at(&exception.queue, at, limits);
        exception
    }

    /// By when an exception of this queue is to be decided; never before it is there.
    pub(crate) fn due_at(&self, queue: &str, at: Instant, limits: Limits<'_>) -> Option<Instant> {
        let acknowledged = limits.channel.and_then(|(channel, received_at)| {
            let minutes = i64::from(channel.acknowledge_minutes?);
            Some(received_at.plus_ms(minutes.saturating_mul(Instant::MINUTE_MS)))
        });
        let payment = limits.order.and_then(|order| order.payment.as_ref()?.authorisation_expires_at);
        let cancelled = limits.order.and_then(|order| order.cancel_after?.midnight());
        let held = limits.holds.iter().map(|hold| hold.expires_at).min();
        let promised = self.people.due_at(queue, at);
        [promised, acknowledged, payment, cancelled, held].into_iter().flatten().min().map(|due| due.max(at))
    }

    /// Tells others of everything that is due, and ends proposals that nobody decided, until
    /// nothing is left or the caller wants to stop.
    ///
    /// # Errors
    /// When the store fails. What was done until then is on record.
    pub async fn escalate_due(&self, stop: impl Fn() -> bool) -> Result<Overdue, ExceptionError> {
        let mut overdue = Overdue::default();
        while !stop() {
            let due = self.store.due_exceptions(self.clock.now(), PAGE).await?;
            let mut progress = false;
            for exception in &due {
                if stop() {
                    return Ok(overdue);
                }
                self.clear_before(exception).await;
                if once(self.escalate(exception).await)? {
                    (overdue.escalated, progress) = (overdue.escalated.saturating_add(1), true);
                    self.metrics.exception_escalated(&exception.queue);
                }
            }
            for exception in self.store.expired_proposals(self.clock.now(), PAGE).await? {
                if once(self.expire(exception).await)? {
                    (overdue.expired, progress) = (overdue.expired.saturating_add(1), true);
                }
            }
            if !progress {
                break;
            }
        }
        Ok(overdue)
    }

    /// Ends holds of the order whose cause is gone: nobody is called to what waits for nobody.
    /// What comes of it is the next look's; the exception, if it is open still, is due all the
    /// same.
    async fn clear_before(&self, exception: &ExceptionView) {
        let Some(order) = exception.order.filter(|_| exception.kind == ExceptionKind::Held) else { return };
        if let Err(error) = self.clear_at_once(order).await {
            tracing::warn!(%error, %order, "an order could not be looked at again before its exception escalates");
        }
    }

    async fn escalate(&self, exception: &ExceptionView) -> Result<(), ExceptionError> {
        let at = self.clock.now();
        let queue = self.people.escalates_to(&exception.queue).map(str::to_owned);
        let body = EscalationLeaf {
            exception: exception.id,
            order: exception.order,
            waits: Code::of(exception.kind.as_str()),
            due_at: exception.due_at.unwrap_or(at),
            queue: Code::of(queue.as_deref().unwrap_or(&exception.queue)),
            from: Some(Code::of(&exception.queue)),
        };
        let change = ExceptionChange::Escalated { queue };
        self.step_of_host(exception, change, LeafBody::Escalation(body), at).await
    }

    /// Ends the open proposal of an exception, of which nobody thought in time.
    async fn expire(&self, exception: u64) -> Result<(), ExceptionError> {
        let at = self.clock.now();
        let Some(trail) = self.store.exception(exception).await? else {
            return Err(StoreError::NoException { exception }.into());
        };
        let Some(proposal) = trail.proposal.filter(|proposal| proposal.expires_at <= at) else { return Ok(()) };
        let body = ExceptionLeaf {
            order: trail.exception.order,
            proposal: Some(proposal.digest),
            to: Some(Label::of(&proposal.by)),
            queue: Some(Code::of(&trail.exception.queue)),
            opened_at: Some(trail.exception.opened_at),
            ..ExceptionLeaf::of(exception, Code::of(&trail.exception.stage), Code::of("expired"))
        };
        let change = ExceptionChange::ProposalEnded { how: "expired", proposal: proposal.digest };
        self.step_of_host(&trail.exception, change, LeafBody::Exception(body), at).await?;
        self.metrics.proposal_ended("expired", &trail.exception.queue);
        Ok(())
    }
}

/// Whether it was done; somebody else was faster where not.
fn once(done: Result<(), ExceptionError>) -> Result<bool, ExceptionError> {
    match done {
        Ok(()) => Ok(true),
        Err(ExceptionError::Store(StoreError::ExceptionMoved { .. } | StoreError::ExceptionClosed { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}
