//! How often a plugin may be called.
//!
//! The attack is a flood: calls that are within every limit one by one and take the
//! processors from all other plugins together. A bucket holds the calls of one second,
//! and fills evenly. Who finds it empty is told to try again: waiting here would hold
//! up the batch in which others' documents are. The bucket outlives the version of the
//! plugin that it was made for (`share`), so it can change its size.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const SECOND_NS: u64 = 1_000_000_000;

/// A bucket of calls.
pub(crate) struct Rate {
    since: Instant,
    calls_per_second: AtomicU64,
    /// When the bucket is full again, nanoseconds since `since`.
    full_at_ns: AtomicU64,
}

impl Rate {
    /// A full bucket for so many calls a second. Of none it never has any.
    pub(crate) fn per_second(calls: u64) -> Self {
        Self { since: Instant::now(), calls_per_second: AtomicU64::new(calls), full_at_ns: AtomicU64::new(0) }
    }

    /// Takes a call out of the bucket; the error is how many it has when it is full.
    pub(crate) fn take(&self) -> Result<(), u64> {
        let calls = self.calls_per_second.load(Ordering::Relaxed);
        if self.take_at(self.now_ns()) { Ok(()) } else { Err(calls) }
    }

    /// Takes so much time out of the bucket, whatever is in it, for what was found to weigh on
    /// others when it was over. The next call waits for it, a second at most.
    pub(crate) fn spend(&self, us: u64) {
        self.spend_at(us, self.now_ns());
    }

    fn spend_at(&self, us: u64, now_ns: u64) {
        let most_ns = now_ns.saturating_add(2 * SECOND_NS);
        self.full_at_ns.update(Ordering::Relaxed, Ordering::Relaxed, |full_at_ns| {
            let spent_ns = full_at_ns.max(now_ns).saturating_add(us.saturating_mul(1_000));
            spent_ns.min(most_ns.max(full_at_ns))
        });
    }

    /// From now on it holds so many. What was taken lately stays taken, call for call, and a
    /// change never fills it: there and back again would give the second's calls anew.
    pub(crate) fn change(&self, calls: u64) {
        self.change_at(calls, self.now_ns());
    }

    fn change_at(&self, calls: u64, now_ns: u64) {
        // Calls that are taken between these two lines are counted by the new size and then
        // counted again: that is a few calls more or less, once.
        let before_ns = interval_ns(self.calls_per_second.swap(calls, Ordering::Relaxed));
        self.full_at_ns.update(Ordering::Relaxed, Ordering::Relaxed, |full_at_ns| {
            let taken = full_at_ns.saturating_sub(now_ns).div_ceil(before_ns);
            let again_ns = taken.saturating_mul(interval_ns(calls)).min(SECOND_NS);
            full_at_ns.max(now_ns.saturating_add(again_ns))
        });
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn take_at(&self, now_ns: u64) -> bool {
        let interval_ns = interval_ns(self.calls_per_second.load(Ordering::Relaxed));
        let taken = |full_at_ns: u64| {
            let full_at_ns = full_at_ns.max(now_ns).saturating_add(interval_ns);
            (full_at_ns <= now_ns.saturating_add(SECOND_NS)).then_some(full_at_ns)
        };
        self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

/// What one call takes of the second.
fn interval_ns(calls_per_second: u64) -> u64 {
    SECOND_NS.checked_div(calls_per_second).map_or(u64::MAX, |interval_ns| interval_ns.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_has_the_calls_of_a_second_and_fills_evenly() {
        let rate = Rate::per_second(4);
        let taken = |now_ns: u64| (0..100).filter(|_| rate.take_at(now_ns)).count();
        assert_eq!(taken(0), 4);
        assert_eq!(taken(SECOND_NS / 4 - 1), 0);
        assert_eq!(taken(SECOND_NS / 4), 1);
        assert_eq!(taken(SECOND_NS), 3);
        // A rest fills it to the brim and no further.
        assert_eq!(taken(60 * SECOND_NS), 4);
    }

    #[test]
    fn a_rate_of_none_lets_nobody_through() {
        assert!(!Rate::per_second(0).take_at(60 * SECOND_NS));
        assert_eq!(Rate::per_second(0).take(), Err(0));
    }

    #[test]
    fn the_most_that_can_be_granted_is_still_a_bound() {
        let rate = Rate::per_second(1_000_000);
        assert_eq!((0..2_000_000).filter(|_| rate.take_at(0)).count(), 1_000_000);
    }

    #[test]
    fn a_bucket_that_changes_its_size_keeps_what_was_taken_and_is_full_again_after_a_second() {
        for (before, after, used, left) in
            [(100, 10, 4, 6), (100, 10, 50, 0), (10, 100, 5, 50), (10, 10, 3, 7), (4, 0, 1, 0), (0, 4, 0, 4)]
        {
            let rate = Rate::per_second(before);
            let taken = |now_ns: u64, most: usize| (0..most).filter(|_| rate.take_at(now_ns)).count();
            assert_eq!(taken(0, used), used);
            rate.change_at(after, 0);
            assert_eq!(taken(0, 1_000), left, "{used} of {before}, then {after}");
            assert_eq!(taken(2 * SECOND_NS, 1_000), usize::try_from(after).unwrap_or(0));
        }
    }

    #[test]
    fn what_is_spent_is_taken_from_the_calls_to_come() {
        let rate = Rate::per_second(10);
        let taken = |now_ns: u64| (0..100).filter(|_| rate.take_at(now_ns)).count();
        rate.spend_at(500_000, 0);
        assert_eq!(taken(0), 5);
        // Beyond what there is: a debt, which time pays, of a second at most.
        rate.spend_at(60_000_000, 0);
        assert_eq!([taken(0), taken(SECOND_NS), taken(SECOND_NS + SECOND_NS / 5)], [0, 0, 2]);
        assert_eq!(taken(10 * SECOND_NS), 10);
    }

    #[test]
    fn there_and_back_again_gives_nothing() {
        let rate = Rate::per_second(100);
        assert_eq!((0..1_000).filter(|_| rate.take_at(0)).count(), 100);
        for calls in [10, 1_000, 100] {
            rate.change_at(calls, 0);
            assert!(!rate.take_at(0), "{calls}");
        }
    }
}
