//! Subscribers that want to hear no more: whoever answers a webhook with 410 says so, and is to be
//! sent nothing any more (Standard Webhooks 1.0).
//!
//! ```text
//! listens ──410──▶ gone ──a person decides──▶ tries ──2xx──▶ listens
//!                    ▲────────────410───────────┘
//! ```
//!
//! People hear of that once, by the message that was answered so. While it waits for them nothing
//! goes to that subscriber: its other messages are parked, those that were under way as well, and no
//! deadline of theirs runs. Whoever has that message tried again, or abandons it, lets one message
//! go, the one that has waited for longest; when somebody listens again the others follow, in the
//! order in which they fell due.
//!
//! That one is gone stands in the store: it is the dead letter. Here is what this process saw of it
//! within the last minute, and whether somebody listened since; a host that starts between a person's
//! decision and the first message sees that something that waits came back once, and lets one go as
//! well. Of what people abandoned it sees nothing: where nothing else was under way, all go at once.
//! Danger: many messages may be under way when the first is answered so, and each would be a person's.
//! So their ends are put on record one after the other.

use std::collections::BTreeMap;

use portreeve_model::Instant;
use portreeve_record::leaf::ReceiptOutcome;
use portreeve_sandbox::{Crossing, RequestOutcome};
use portreeve_store::contract::{GONE, Settlement};
use portreeve_store::{Permit, Settled, StoreError};
use tokio::sync::{Mutex, MutexGuard};

use super::{DeliverError, dead};
use crate::route::Target;
use crate::{Pipeline, leaf};

/// How long a look is good enough.
const SEEN_MS: i64 = 60_000;

/// Whether somebody listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hears {
    /// As far as anybody knows.
    All,
    /// Nobody knows: people have seen to it, and one message is to find out.
    One,
    /// It wants to hear no more.
    Nothing,
}

impl Hears {
    /// How many messages may be under way, of as many as there may be.
    pub(super) fn limit(self, most: u32) -> u32 {
        match self {
            Self::All => most,
            Self::One => most.min(1),
            Self::Nothing => 0,
        }
    }
}

/// What was seen lately.
#[derive(Debug, Default)]
pub struct Gone {
    /// By subscriber.
    seen: std::sync::Mutex<BTreeMap<String, Seen>>,
    /// Held by whoever puts such an answer on record.
    turn: Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When it was looked at; none where it is to be looked at again.
    at: Option<Instant>,
    hears: Hears,
}

impl Gone {
    /// Somebody decided about deliveries: whatever was seen may be otherwise by now.
    pub(crate) fn look_again(&self) {
        self.seen().values_mut().for_each(|seen| seen.at = None);
    }

    /// It took a message. One that wants to hear no more may still take what was on its way.
    pub(super) fn took_one(&self, target: &Target) {
        if let Some(seen) = self.seen().get_mut(&target.id)
            && seen.hears == Hears::One
        {
            seen.hears = Hears::All;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Pipeline {
    /// What each subscriber is sent now.
    pub(super) async fn subscribers_hear(&self) -> Result<BTreeMap<&str, Hears>, StoreError> {
        let mut all = BTreeMap::new();
        for target in self.routes.targets.iter().filter(|target| target.is_subscriber()) {
            all.insert(target.id.as_str(), self.hears(target).await?);
        }
        Ok(all)
    }

    /// Whether it is a subscriber that is sent nothing now.
    pub(super) async fn is_gone(&self, target: &Target) -> Result<bool, StoreError> {
        Ok(target.is_subscriber() && self.hears(target).await? == Hears::Nothing)
    }

    /// From when on something is to be delivered if nothing else happens: what waits for a subscriber that
    /// wants to hear no more is due all the time, and goes nowhere.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_due(&self) -> Result<Option<Instant>, StoreError> {
        let hears = self.subscribers_hear().await?.into_iter();
        let gone = hears.filter(|(_, hears)| *hears == Hears::Nothing).map(|(target, _)| target.to_owned());
        self.store.next_due_without(gone.collect()).await
    }

    async fn hears(&self, target: &Target) -> Result<Hears, StoreError> {
        let now = self.clock.now();
        let last = self.gone.seen().get(&target.id).copied();
        if let Some(Seen { at: Some(at), hears }) = last
            && (0..SEEN_MS).contains(&now.0.saturating_sub(at.0))
        {
            return Ok(hears);
        }
        let waits_for_people = !self.store.dead_letters_of(&target.id, Some(GONE), 0, 1).await?.is_empty();
        let hears = match last.map(|seen| seen.hears) {
            _ if waits_for_people => Hears::Nothing,
            Some(Hears::Nothing | Hears::One) => Hears::One,
            Some(Hears::All) => Hears::All,
            None if self.store.waits_since_gone(&target.id).await? => Hears::One,
            None => Hears::All,
        };
        self.gone.seen().insert(target.id.clone(), Seen { at: Some(now), hears });
        Ok(hears)
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
            return Ok(Settlement::Parked);
        }
        self.gone.seen().insert(target.id.clone(), Seen { at: Some(now), hears: Hears::Nothing });
        Ok(dead(Some(target), GONE, why))
    }

    /// Nothing was sent, since nothing is to be.
    pub(super) async fn waits_for_the_gone(&self, permit: Permit) -> Result<Settled, DeliverError> {
        let now = self.clock.now();
        let leaf = leaf::receipt(&self.host, now, &permit, ReceiptOutcome::Retry, None, None)?;
        Ok(self.store.settle_unattempted(permit, Settlement::Parked, now, leaf).await?)
    }
}
