//! A delivery to a stream: the host itself publishes what a transformer wrote.
//!
//! It is the same path as any delivery's: it begins with a permit, the attempt is on record before
//! the first byte leaves, and its end commits with a leaf. What differs is that no connector is
//! called: nobody's code speaks to the server but the host's, so the receipt's leaf has no crossing.
//! A message whose answer was lost is looked for where it would lie, and sent again under the same
//! id, by which the server knows it.

use std::sync::Arc;

use portreeve_model::Instant;
use portreeve_record::leaf::ReceiptOutcome;
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, CallContext};
use portreeve_store::contract::{Lease, OpenPayload, Settlement};
use portreeve_store::{Permit, Settled, StoreError};

use super::{DeliverError, backoff_ms, dead, deadline, digest_of, external_id, message_id, readable};
use crate::egress::{NotPublished, Outgoing, Stream};
use crate::leaf::Rendered;
use crate::plugins::{Absent, Active};
use crate::route::Target;
use crate::{Pipeline, leaf};

impl Pipeline {
    /// One permitted delivery to a stream, up to its settlement.
    pub(super) async fn publish(
        &self,
        permit: Permit,
        event: Result<OpenPayload, StoreError>,
        target: &Target,
        stream: &Stream,
    ) -> Result<Settled, DeliverError> {
        let active = self.plugins.now();
        let cause = Cause::Target(&target.id);
        let transformer = match self.plugin(&active, &target.transformer, Call::FromCanonical, cause) {
            Ok(transformer) => transformer,
            Err(Absent::NotInstalled) => {
                let why = format!("the transformer of `{}` is not configured; add it and replay", target.id);
                return self.give_up(permit, Some(target), "no-target", &why, None).await;
            }
            Err(Absent::Stopped(stopped)) => return self.not_called(permit, target, &stopped, None).await,
        };
        let context = self.stream_context(&active, &transformer.manifest.imports.lookup).await;

        let (event, key) = match event {
            Err(error) if !matches!(error, StoreError::Erased(_) | StoreError::Damaged(_)) => {
                return self.give_back(permit, target, &error, None).await;
            }
            event => readable(event)?,
        };
        let event = match event {
            Ok(event) => event,
            Err(why) => return self.give_up(permit, Some(target), "event-unreadable", &why, None).await,
        };
        if permit.tries() > 1 && self.clock.now() > deadline(&permit, target) {
            let why = match stream.trouble() {
                Some(trouble) => format!("no success within {} minutes: {trouble}", target.deadline_minutes),
                None => format!("no success within {} minutes; look at the stream and replay", target.deadline_minutes),
            };
            return self.give_up(permit, Some(target), "deadline", &why, None).await;
        }
        let subject = match stream.subject(event.name(), permit.matter()) {
            Ok(subject) => subject,
            Err(refused) => return self.give_up(permit, Some(target), refused.code(), refused.why(), None).await,
        };

        let input = permit.event().commitment;
        let made = self.message(&permit, target, event, (&[], input), (transformer, &context), &key).await?;
        let (message, crossing) = match made {
            Ok(made) => made,
            Err(none) => return self.without_message(permit, target, none, None).await,
        };

        let (now, in_doubt) = (self.clock.now(), permit.unresolved());
        // Nobody corrects what is told to subscribers.
        let made = key.blind_digest(&digest_of(&message));
        let rendered = Rendered { input, made, message: made, corrected: None, crossing: &crossing };
        let attempt_leaf = leaf::attempt(&self.host, now, &permit, &key, None, &rendered)?;
        let lease = Lease { until: now.plus_ms(self.clock.lease_ms()), ask_at: now.plus_ms(stream.takes_ms()) };
        let attempt = self.store.begin_attempt(permit, lease, attempt_leaf).await?;

        let id = message_id(&self.origin, attempt.permit().outbox());
        let published = stream.publish(Outgoing { subject, id, in_doubt }, message).await;
        let result = published.as_ref().map_or_else(NotPublished::code, |published| published.result());
        self.metrics.streams.ended(&target.id, result);
        let now = self.clock.now();
        let (outcome, settlement) = match published {
            Ok(published) => (ReceiptOutcome::Applied, Settlement::Applied { external_id: published.receipt() }),
            Err(not) => not_published(&not, attempt.permit(), target, now),
        };
        let external_id = external_id(&settlement).map(|id| key.blind(id));
        let receipt_leaf = leaf::receipt(&self.host, now, attempt.permit(), outcome, external_id, None)?;
        Ok(self.store.settle(attempt, self.due(settlement), now, receipt_leaf).await?)
    }

    /// What the transformer may use: tables, and nothing else.
    async fn stream_context(&self, active: &Arc<Active>, tables: &[String]) -> CallContext {
        let mut context = active.context(self.clock.now());
        context.lookup = self.tables.of(&self.store, tables).await;
        context
    }
}

/// What it means for a delivery that its message was not seen to arrive.
fn not_published(not: &NotPublished, permit: &Permit, target: &Target, now: Instant) -> (ReceiptOutcome, Settlement) {
    let backoff = backoff_ms(target, permit);
    match not {
        NotPublished::NotNow { code, after_ms, .. } => {
            let due_at = now.plus_ms(backoff.max(*after_ms));
            (ReceiptOutcome::Retry, Settlement::Retry { due_at, code: (*code).to_owned() })
        }
        NotPublished::InDoubt { code, .. } => {
            let due_at = now.plus_ms(backoff);
            (ReceiptOutcome::Unknown, Settlement::Unknown { due_at, code: (*code).to_owned() })
        }
        NotPublished::Refused { code, why } => (ReceiptOutcome::Rejected, dead(Some(target), code, why)),
    }
}
