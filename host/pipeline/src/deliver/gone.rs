//! Subscribers that want to hear no more: whoever answers a webhook with 410 says so, and is to be
//! sent nothing any more (Standard Webhooks 1.0).
//!
//! People hear of that once, by the message that was answered so. While it waits for them nothing
//! goes to that subscriber: its other messages stay where they are, unclaimed, so that no deadline
//! of theirs begins. Whoever has that message tried again, or abandons it, lets the next one go,
//! and its answer shows whether somebody listens again.
//!
//! What is so stands in the store: it is the dead letter. Here is what this process saw of it within
//! the last minute. Danger: many messages may be under way when the first is answered so, and each
//! would be a person's. So their ends are put on record one after the other.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::Instant;
use portreeve_record::leaf::ReceiptOutcome;
use portreeve_sandbox::{Crossing, RequestOutcome};
use portreeve_store::contract::Settlement;
use portreeve_store::{Permit, Settled, StoreError};
use tokio::sync::{Mutex, MutexGuard};

use super::{DeliverError, dead};
use crate::route::Target;
use crate::{Pipeline, leaf};

/// The code of the message by which people hear of it.
const GONE: &str = "gone";

/// How long a look is good enough.
const SEEN_MS: i64 = 60_000;

/// When a message is looked at again that was taken up all the same.
const AGAIN_MS: i64 = 3_600_000;

/// What was seen lately.
#[derive(Debug, Default)]
pub struct Gone {
    /// Subscriber → when it was looked at, and whether it wants to hear no more.
    seen: std::sync::Mutex<BTreeMap<String, (Instant, bool)>>,
    /// Held by whoever puts such an answer on record.
    turn: Mutex<()>,
}

impl Gone {
    /// Somebody decided about deliveries: whatever was seen may be otherwise by now.
    pub(crate) fn look_again(&self) {
        self.seen().clear();
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Instant, bool)>> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Pipeline {
    /// Subscribers that are sent nothing now.
    pub(super) async fn gone_subscribers(&self) -> Result<BTreeSet<&str>, StoreError> {
        let mut gone = BTreeSet::new();
        for target in self.routes.targets.iter().filter(|target| target.is_subscriber()) {
            if self.is_gone(target).await? {
                gone.insert(target.id.as_str());
            }
        }
        Ok(gone)
    }

    /// Whether it is a subscriber that is sent nothing now.
    pub(super) async fn is_gone(&self, target: &Target) -> Result<bool, StoreError> {
        if !target.is_subscriber() {
            return Ok(false);
        }
        let now = self.clock.now();
        let last = self.gone.seen().get(&target.id).copied();
        if let Some((at, is_gone)) = last
            && (0..SEEN_MS).contains(&now.0.saturating_sub(at.0))
        {
            return Ok(is_gone);
        }
        let is_gone = !self.store.dead_letters_of(&target.id, Some(GONE), 0, 1).await?.is_empty();
        self.gone.seen().insert(target.id.clone(), (now, is_gone));
        Ok(is_gone)
    }

    /// The turn to put on record that a subscriber wants to hear no more; none where it said
    /// nothing of the kind.
    pub(super) async fn turn_of_the_gone(&self, target: &Target, crossing: &Crossing) -> Option<MutexGuard<'_, ()>> {
        let answered_gone = matches!(
            crossing.requests.last().map(|request| &request.outcome),
            Some(RequestOutcome::Answered { status: 410, .. })
        );
        if target.is_subscriber() && answered_gone { Some(self.gone.turn.lock().await) } else { None }
    }

    /// How a message ends that was answered so: the first is a person's, and others wait for what
    /// becomes of that.
    pub(super) async fn ends_gone(&self, target: &Target, why: &str, now: Instant) -> Result<Settlement, StoreError> {
        self.gone.look_again();
        if self.is_gone(target).await? {
            return Ok(Settlement::Retry { due_at: now.plus_ms(AGAIN_MS), code: GONE.to_owned() });
        }
        self.gone.seen().insert(target.id.clone(), (now, true));
        Ok(dead(Some(target), GONE, why))
    }

    /// Nothing was sent, since nothing is to be.
    pub(super) async fn waits_for_the_gone(&self, permit: Permit) -> Result<Settled, DeliverError> {
        let now = self.clock.now();
        let settlement = Settlement::Retry { due_at: now.plus_ms(AGAIN_MS), code: GONE.to_owned() };
        let leaf = leaf::receipt(&self.host, now, &permit, ReceiptOutcome::Retry, None, None)?;
        Ok(self.store.settle_unattempted(permit, settlement, now, leaf).await?)
    }
}
