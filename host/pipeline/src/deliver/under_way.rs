//! Deliveries side by side: what is under way, and what has room beside it.
//!
//! Danger: a lease is a time, and clocks leap (a machine that slept, a clock that was
//! set). A claim that believed the clock alone would take a delivery a second time
//! while the first call is on its way to the target. So each claim is told what is
//! under way here; leases are for what other processes had.
//!
//! A target that is down has ever more due. Each of these could be rendered, put on record,
//! held back by the breaker and put on record again, over and over, in the time of those whose
//! targets are up. Whoever waits for what falls due leaves them where they are: while the breaker
//! is open none is claimed, then one tries, and they go in their order when it lets them. So it is
//! with a target that takes so many requests in some minutes: no more are claimed than it has room for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portreeve_store::contract::{OpenPayload, OutboxId, Room, Shares};
use portreeve_store::{Permit, Settled, StoreError};
use tokio::task::{Id, JoinSet};

use super::DeliverError;
use super::gone::Hears;
use crate::Pipeline;
use crate::route::Target;

/// Of a target's share this part has to be free before more is claimed.
const CLAIM_PARTS: u32 = 4;

/// Deliveries under way, bounded in all and for each target: a target that hangs
/// keeps its own share busy and nobody else waiting.
pub struct Deliveries {
    pipeline: Arc<Pipeline>,
    running: JoinSet<Result<Settled, DeliverError>>,
    /// The row of each, and its target.
    rows: HashMap<Id, (OutboxId, String)>,
    most: u32,
    /// Whether what would be held back is left where it is.
    waits: bool,
}

impl Deliveries {
    /// None under way, and at most so many at once.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, most: u32) -> Self {
        Self { pipeline, running: JoinSet::new(), rows: HashMap::new(), most, waits: false }
    }

    /// The same of somebody who comes again soon, and waits for targets that are down or had what they
    /// take.
    #[must_use]
    pub fn waiting(pipeline: Arc<Pipeline>, most: u32) -> Self {
        Self { waits: true, ..Self::new(pipeline, most) }
    }

    /// Starts what is due and has room; returns how many. A claim is a commit, so
    /// while deliveries are under way it waits until a good part of a target's share
    /// is free, and then takes them together.
    ///
    /// # Errors
    /// When nothing could be claimed.
    pub async fn start_due(&mut self) -> Result<usize, StoreError> {
        let free = self.most.saturating_sub(u32::try_from(self.running.len()).unwrap_or(u32::MAX));
        if free == 0 {
            return Ok(0);
        }
        let shares = self.shares(&self.pipeline.subscribers_hear().await?);
        let worth_it =
            |(target, limit): (&String, &u32)| *limit > 0 && shares.left(target) >= limit.div_ceil(CLAIM_PARTS);
        if !shares.limits.iter().any(worth_it) && !self.running.is_empty() {
            return Ok(0);
        }
        // Whoever ends asks whether it is worth it, and mostly it is not: the list of all is made now.
        let under_way = self.rows.values().map(|(row, _)| row.clone()).collect();
        let room = Room { shares, under_way };
        let now = self.pipeline.clock.now();
        let permits = self.pipeline.store.claim(now, now.plus_ms(self.pipeline.clock.lease_ms()), free, room).await?;
        let started = permits.len();
        for (permit, event) in self.with_events(permits).await {
            let (pipeline, row) = (Arc::clone(&self.pipeline), (permit.outbox().clone(), permit.target().to_owned()));
            let task = self.running.spawn(async move { pipeline.deliver(permit, event).await });
            self.rows.insert(task.id(), row);
        }
        Ok(started)
    }

    /// Every target's share, and how much of it is under way. Whoever wants to hear no more has none.
    fn shares(&self, subscribers: &BTreeMap<&str, Hears>) -> Shares {
        let targets = self.pipeline.routes.targets.iter();
        let limit = |target: &Target| {
            let limit = self.limit(target);
            subscribers.get(target.id.as_str()).map_or(limit, |hears| hears.limit(limit))
        };
        let limits = targets.map(|target| (target.id.clone(), limit(target))).collect();
        let mut taken = BTreeMap::<&String, u32>::new();
        for (_, target) in self.rows.values() {
            let taken = taken.entry(target).or_default();
            *taken = taken.saturating_add(1);
        }
        Shares { limits, taken: taken.into_iter().map(|(target, taken)| (target.clone(), taken)).collect() }
    }

    /// How many deliveries to a target may be under way now.
    fn limit(&self, target: &Target) -> u32 {
        match self.waits {
            true => target.deliveries_max.min(self.pipeline.outbound.room(&target.connector, &target.id)),
            false => target.deliveries_max,
        }
    }

    /// What is claimed, each with its event or why there is none. They are claimed
    /// already: a failure is each one's own, for each has to be given back.
    async fn with_events(&self, permits: Vec<Permit>) -> Vec<(Permit, Result<OpenPayload, StoreError>)> {
        match self.pipeline.store.payloads(permits.iter().map(Permit::event).collect()).await {
            Ok(events) => permits.into_iter().zip(events).collect(),
            Err(error) => {
                let failed = error.to_string();
                permits.into_iter().map(|permit| (permit, Err(StoreError::Failed(failed.clone())))).collect()
            }
        }
    }

    /// Waits until one has ended, and takes the others that have; none when none is
    /// under way.
    pub async fn ended(&mut self) -> Option<Vec<Result<Settled, DeliverError>>> {
        let mut joined = vec![self.running.join_next_with_id().await?];
        joined.extend(std::iter::from_fn(|| self.running.try_join_next_with_id()));
        let results = joined.into_iter().map(|joined| match joined {
            Ok((id, result)) => {
                self.rows.remove(&id);
                result
            }
            Err(error) => {
                self.rows.remove(&error.id());
                Err(DeliverError::CutShort(error.to_string()))
            }
        });
        Some(results.collect())
    }
}
