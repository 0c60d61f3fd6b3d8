//! How models and people get on with each other: what becomes of what models ask for, how
//! soon people look, and whether they look at all.
//!
//! Everything here is counted from what was written with its audit record, so that whoever has
//! the log alone gets the same figures.
//!
//! The danger of such figures is that agreement passes for a correction, or silence for
//! agreement. So a person's decision counts once a hold, by the last one about it, as accepted
//! or as overridden; what the host ended, what the sender cancelled and what nobody decided
//! count as neither.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_model::{Digest, ExceptionAction, Instant};
use portreeve_store::StoreError;
use portreeve_store::contract::{After, JudgedHold, Period, StepTaken, Store, WeighedProposal};
use tokio::sync::Mutex;

use crate::Pipeline;

/// Hours that one look goes back, at most.
pub const HOURS_MAX: u16 = 31 * 24;

/// Rows that are read together.
const PAGE: u32 = 4_096;

/// Hours that metrics go back.
const RECENT_HOURS: u16 = 24;

/// How long one look is good enough for metrics: however many ask, the store is asked so often.
const RECENT_KEPT_MS: i64 = 30_000;

/// Decisions in a queue below which nobody is compared with anybody.
pub const COMPARED_MIN: u64 = 10;

/// Whoever needs less than the peers' median by this factor may not be looking.
pub const RUBBER_STAMP_FACTOR: i64 = 4;

/// How models and people got on within a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversight {
    /// The period. It begins with an hour.
    pub period: Period,
    /// Each component that proposed something or about whose holds somebody decided.
    pub models: Vec<ModelOversight>,
    /// Each queue in which something happened.
    pub queues: Vec<QueueOversight>,
    /// Each person who decided something, by queue.
    pub people: Vec<PersonOversight>,
}

/// What became of what a component asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOversight {
    /// The scorer.
    pub plugin: String,
    /// Digest of its component.
    pub component: Digest,
    /// What authority made of its proposals, by what narrowed or refused them.
    pub proposals: Vec<(WeighedProposal, u64)>,
    /// Holds that a person confirmed.
    pub confirmed: u64,
    /// Holds on orders that a person rejected.
    pub rejected: u64,
    /// Holds that a person ended: what the model did not want.
    pub overridden: u64,
    /// From a hold's beginning to the last decision about it.
    pub decided: Times,
}

impl ModelOversight {
    /// Holds with which a person agreed.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.confirmed.saturating_add(self.rejected)
    }

    /// Accepted holds among those about which a person decided, in basis points; none where
    /// nobody decided about any.
    #[must_use]
    pub fn acceptance_bp(&self) -> Option<u64> {
        share_bp(self.accepted(), self.accepted().saturating_add(self.overridden))
    }

    /// Overridden holds among those about which a person decided, in basis points; none where
    /// nobody decided about any.
    #[must_use]
    pub fn override_bp(&self) -> Option<u64> {
        share_bp(self.overridden, self.accepted().saturating_add(self.overridden))
    }
}

/// How soon a queue's people work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueOversight {
    /// The queue.
    pub queue: String,
    /// From an exception's opening until somebody had it, where nobody had had it before.
    pub claimed: Times,
    /// From an exception's opening until a decision about it: confirmed, or carried out.
    pub decided: Times,
    /// Decisions by what was decided.
    pub decisions: BTreeMap<String, u64>,
    /// Exceptions that were due, and that nobody had decided: others were told.
    pub escalated: u64,
    /// Proposals that expired, since nobody agreed or refused in time.
    pub expired: u64,
}

/// How long a person looks before deciding, beside the others of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonOversight {
    /// The account.
    pub who: String,
    /// The queue.
    pub queue: String,
    /// What this person proposed, agreed to or decided: for how long it was there to be looked
    /// at, which is since it was opened, proposed or claimed by this person, or since this
    /// person's decision before. Nobody looked for longer.
    pub looked: Times,
    /// The same of everybody else in the queue.
    pub peers: Times,
}

impl PersonOversight {
    /// Whether this person decides so much faster than the others that somebody should ask.
    #[must_use]
    pub fn is_rubber_stamp(&self) -> bool {
        let compared = self.looked.count >= COMPARED_MIN && self.peers.count >= COMPARED_MIN;
        compared && self.looked.median_ms.saturating_mul(RUBBER_STAMP_FACTOR) < self.peers.median_ms
    }
}

/// Durations of some number of cases, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// The smallest that half of them do not exceed.
    pub median_ms: i64,
    /// The smallest that nine of ten do not exceed.
    pub p90_ms: i64,
}

impl Times {
    fn of(mut durations: Vec<i64>) -> Self {
        durations.sort_unstable();
        Self::of_sorted(durations.len(), durations.iter().copied())
    }

    /// So many durations, the shortest first.
    fn of_sorted(count: usize, durations: impl Iterator<Item = i64> + Clone) -> Self {
        let rank = |tenths: usize| {
            let nth = count.saturating_mul(tenths).div_ceil(10).saturating_sub(1);
            durations.clone().nth(nth).unwrap_or_default()
        };
        Self { count: u64::try_from(count).unwrap_or(u64::MAX), median_ms: rank(5), p90_ms: rank(9) }
    }
}

/// A part of a whole, basis points; none of nothing.
pub(crate) fn share_bp(part: u64, whole: u64) -> Option<u64> {
    part.saturating_mul(10_000).checked_div(whole)
}

/// What was read so far.
#[derive(Debug, Default)]
struct Tally {
    models: BTreeMap<(String, Digest), ModelTally>,
    queues: BTreeMap<String, QueueTally>,
    looked: BTreeMap<(String, String), Vec<i64>>,
    /// When each person decided last.
    decided_at: BTreeMap<String, Instant>,
}

#[derive(Debug, Default)]
struct ModelTally {
    proposals: Vec<(WeighedProposal, u64)>,
    confirmed: u64,
    rejected: u64,
    overridden: u64,
    decided: Vec<i64>,
}

#[derive(Debug, Default)]
struct QueueTally {
    claimed: Vec<i64>,
    decided: Vec<i64>,
    decisions: BTreeMap<String, u64>,
    escalated: u64,
    expired: u64,
}

impl Tally {
    fn weighed(&mut self, weighed: WeighedProposal, count: u64) {
        let model = self.models.entry((weighed.plugin.clone(), weighed.component)).or_default();
        model.proposals.push((weighed, count));
    }

    fn judged(&mut self, judged: JudgedHold) {
        let model = self.models.entry((judged.plugin, judged.component)).or_default();
        let count = match judged.how.as_str() {
            "confirmed" => &mut model.confirmed,
            "reject" => &mut model.rejected,
            _ => &mut model.overridden,
        };
        *count = count.saturating_add(1);
        model.decided.push(between(judged.opened_at, judged.at));
    }

    fn step(&mut self, step: StepTaken) {
        let queue = self.queues.entry(step.queue.clone()).or_default();
        let since_opened = between(step.opened_at, step.at);
        match Meaning::of(&step) {
            Meaning::Claimed => queue.claimed.push(since_opened),
            Meaning::Escalated => queue.escalated = queue.escalated.saturating_add(1),
            Meaning::Expired => queue.expired = queue.expired.saturating_add(1),
            Meaning::Judged => self.looked(step),
            Meaning::Decided => {
                queue.decided.push(since_opened);
                let decisions = queue.decisions.entry(step.step.clone()).or_default();
                *decisions = decisions.saturating_add(1);
                self.looked(step);
            }
            Meaning::Nothing => {}
        }
    }

    /// Counts for how long a person may have looked.
    fn looked(&mut self, step: StepTaken) {
        let Some(who) = step.who else { return };
        // What is decided together is one look, however much it is.
        let before = self.decided_at.insert(who.clone(), step.at);
        if before == Some(step.at) {
            return;
        }
        let since = before.map_or(step.since, |before| before.max(step.since));
        self.looked.entry((step.queue, who)).or_default().push(between(since, step.at));
    }

    fn finish(self, period: Period) -> Oversight {
        let models = self.models.into_iter().map(|((plugin, component), model)| {
            let ModelTally { proposals, confirmed, rejected, overridden, decided } = model;
            ModelOversight {
                plugin,
                component,
                proposals,
                confirmed,
                rejected,
                overridden,
                decided: Times::of(decided),
            }
        });
        let queues = self.queues.into_iter().map(|(queue, tally)| {
            let QueueTally { claimed, decided, decisions, escalated, expired } = tally;
            QueueOversight {
                queue,
                claimed: Times::of(claimed),
                decided: Times::of(decided),
                decisions,
                escalated,
                expired,
            }
        });
        let (models, queues) = (models.collect(), queues.collect());
        Oversight { period, models, queues, people: beside_each_other(self.looked) }
    }
}

/// Each person of a queue beside the others.
fn beside_each_other(looked: BTreeMap<(String, String), Vec<i64>>) -> Vec<PersonOversight> {
    let mut queues: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for ((queue, who), durations) in &looked {
        queues.entry(queue).or_default().extend(durations.iter().map(|duration| (*duration, who.as_str())));
    }
    // Sorted once: of that, each person and everybody else are parts.
    queues.values_mut().for_each(|all| all.sort_unstable());
    let beside = |(queue, who): &(String, String), own: usize| {
        let all = queues.get(queue.as_str()).map(Vec::as_slice).unwrap_or_default();
        let part =
            |is_own: bool| all.iter().filter(move |(_, of)| (*of == who) == is_own).map(|(duration, _)| *duration);
        PersonOversight {
            who: who.clone(),
            queue: queue.clone(),
            looked: Times::of_sorted(own, part(true)),
            peers: Times::of_sorted(all.len().saturating_sub(own), part(false)),
        }
    };
    looked.iter().map(|(of, durations)| beside(of, durations.len())).collect()
}

/// What a step means here.
enum Meaning {
    /// Somebody has what nobody had before.
    Claimed,
    /// A person judged, and nothing is decided by that yet.
    Judged,
    /// A person's decision took effect.
    Decided,
    /// It was due.
    Escalated,
    /// A proposal was.
    Expired,
    /// Nothing.
    Nothing,
}

impl Meaning {
    fn of(step: &StepTaken) -> Self {
        match step.step.as_str() {
            "claimed" | "assigned" if step.is_first => Self::Claimed,
            "proposed" | "approved" => Self::Judged,
            "confirmed" => Self::Decided,
            "escalated" => Self::Escalated,
            "expired" => Self::Expired,
            word => match ExceptionAction::parse(word) {
                Some(_) => Self::Decided,
                None => Self::Nothing,
            },
        }
    }
}

fn between(from: Instant, to: Instant) -> i64 {
    to.0.saturating_sub(from.0).max(0)
}

/// The last look of metrics.
#[derive(Debug, Default)]
pub struct RecentOversight(Mutex<Option<(Instant, Arc<Oversight>)>>);

impl Pipeline {
    /// How models and people got on in the last 24 hours, as seen half a minute ago or later.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recent_oversight(&self) -> Result<Arc<Oversight>, StoreError> {
        let mut kept = self.recent_oversight.0.lock().await;
        let now = self.clock.now();
        if let Some((at, seen)) = &*kept
            && (0..RECENT_KEPT_MS).contains(&now.0.saturating_sub(at.0))
        {
            return Ok(Arc::clone(seen));
        }
        let seen = Arc::new(self.oversight(RECENT_HOURS, None).await?);
        *kept = Some((now, Arc::clone(&seen)));
        Ok(seen)
    }

    /// How models and people got on in so many hours until a time, or until now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn oversight(&self, hours: u16, until: Option<Instant>) -> Result<Oversight, StoreError> {
        oversight(self.store.as_ref(), hours, until.unwrap_or_else(|| self.clock.now())).await
    }
}

/// The same without a host that runs. Hours are whole ones of UTC, that of the last moment with
/// them, at least one and at most [`HOURS_MAX`].
///
/// # Errors
/// When the store fails.
pub async fn oversight(store: &dyn Store, hours: u16, last: Instant) -> Result<Oversight, StoreError> {
    let period = period(hours, last);
    let mut tally = Tally::default();
    for (weighed, count) in store.weighed(period).await? {
        tally.weighed(weighed, count);
    }
    let mut after = After::from(period.from);
    loop {
        let page = store.judged_holds(after, period.until, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = After { at: last.at, number: last.hold };
        page.into_iter().for_each(|judged| tally.judged(judged));
    }
    let mut after = After::from(period.from);
    loop {
        let page = store.steps_taken(after, period.until, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = After { at: last.at, number: last.seq };
        page.into_iter().for_each(|step| tally.step(step));
    }
    Ok(tally.finish(period))
}

/// So many whole hours, up to and with a time.
pub(crate) fn period(hours: u16, last: Instant) -> Period {
    let this_hour = last.0.div_euclid(Instant::HOUR_MS).saturating_mul(Instant::HOUR_MS);
    let before = i64::from(hours.clamp(1, HOURS_MAX).saturating_sub(1)).saturating_mul(Instant::HOUR_MS);
    Period { from: Instant(this_hour.saturating_sub(before)), until: last.plus_ms(1) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

    use super::*;

    fn step(who: &str, step: &str, at: i64, since: i64) -> StepTaken {
        StepTaken {
            seq: 1,
            exception: 1,
            kind: portreeve_model::ExceptionKind::Held,
            opened_at: Instant(0),
            at: Instant(at),
            who: Some(who.to_owned()),
            step: step.to_owned(),
            queue: "desk".to_owned(),
            since: Instant(since),
            is_first: true,
        }
    }

    fn tallied(steps: impl IntoIterator<Item = StepTaken>) -> Oversight {
        let mut tally = Tally::default();
        steps.into_iter().for_each(|step| tally.step(step));
        tally.finish(Period { from: Instant(0), until: Instant(i64::MAX) })
    }

    #[test]
    fn half_and_nine_of_ten_are_the_smallest_that_so_many_do_not_exceed() {
        assert_eq!(Times::of(vec![]), Times::default());
        assert_eq!(Times::of(vec![7]), Times { count: 1, median_ms: 7, p90_ms: 7 });
        assert_eq!(Times::of((1..=10).rev().collect()), Times { count: 10, median_ms: 5, p90_ms: 9 });
        assert_eq!(Times::of((1..=11).collect()), Times { count: 11, median_ms: 6, p90_ms: 10 });
    }

    #[test]
    fn nobody_looked_for_longer_than_since_the_own_decision_before() {
        let found = tallied([
            step("ada", "claimed", 100, 0),
            step("ada", "release-holds", 1_000, 100),
            step("ada", "reject", 1_300, 0),
            // Together with the one before.
            step("ada", "reject", 1_300, 1_100),
            step("ada", "commented", 1_400, 0),
            step("ada", "approved", 1_500, 1_450),
        ]);
        let [ada] = &found.people[..] else { panic!("{found:?}") };
        assert_eq!(ada.looked, Times { count: 3, median_ms: 300, p90_ms: 900 }, "900, 300 once, and 50");
        let [desk] = &found.queues[..] else { panic!("{found:?}") };
        assert_eq!((desk.claimed.median_ms, desk.decided.count, desk.decided.median_ms), (100, 3, 1_300));
    }

    #[test]
    fn whoever_needs_a_fraction_of_what_the_others_need_stands_out() {
        let decisions = |who: &'static str, ms: i64| {
            (1..=10).map(move |nth| step(who, "release-holds", nth * 1_000_000, nth * 1_000_000 - ms))
        };
        let found = tallied(decisions("ada", 60_000).chain(decisions("ben", 61_000)).chain(decisions("cy", 2_000)));
        let out: Vec<_> = found.people.iter().filter(|person| person.is_rubber_stamp()).collect();
        assert_eq!(out.iter().map(|person| person.who.as_str()).collect::<Vec<_>>(), ["cy"]);
        assert_eq!((out[0].looked.median_ms, out[0].peers.median_ms, out[0].peers.count), (2_000, 60_000, 20));
        let found = tallied(decisions("ada", 60_000).chain(decisions("cy", 2_000).take(9)));
        assert!(!found.people.iter().any(PersonOversight::is_rubber_stamp), "too few to say anything");
    }

    #[test]
    fn agreement_is_no_override() {
        let mut tally = Tally::default();
        for (hold, how) in [(1, "confirmed"), (2, "reject"), (3, "release-holds"), (4, "confirmed")] {
            tally.judged(JudgedHold {
                hold,
                plugin: "fraud".to_owned(),
                component: Digest::of(b"component"),
                how: how.to_owned(),
                opened_at: Instant(0),
                at: Instant(5),
            });
        }
        let found = tally.finish(Period { from: Instant(0), until: Instant(9) });
        let [fraud] = &found.models[..] else { panic!("{found:?}") };
        assert_eq!((fraud.accepted(), fraud.overridden, fraud.decided.count), (3, 1, 4));
        assert_eq!((fraud.acceptance_bp(), fraud.override_bp()), (Some(7_500), Some(2_500)));
    }
}
