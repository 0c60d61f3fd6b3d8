//! How often a plugin may be called.
//!
//! The attack is a flood: calls that are within every limit one by one and take the
//! processors from all other plugins together. A bucket holds the calls of one second,
//! and fills evenly. Who finds it empty is told to try again: waiting here would hold
//! up the batch in which others' documents are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const SECOND_NS: u64 = 1_000_000_000;

/// A bucket of calls.
pub(crate) struct Rate {
    since: Instant,
    interval_ns: u64,
    /// When the bucket is full again, nanoseconds since `since`.
    full_at_ns: AtomicU64,
}

impl Rate {
    /// A full bucket for so many calls a second. Of none it never has any.
    pub(crate) fn per_second(calls: u64) -> Self {
        let interval_ns = SECOND_NS.checked_div(calls).map_or(u64::MAX, |interval_ns| interval_ns.max(1));
        Self { since: Instant::now(), interval_ns, full_at_ns: AtomicU64::new(0) }
    }

    /// Takes a call out of the bucket; false when there is none.
    pub(crate) fn take(&self) -> bool {
        self.take_at(u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn take_at(&self, now_ns: u64) -> bool {
        let taken = |full_at_ns: u64| {
            let full_at_ns = full_at_ns.max(now_ns).saturating_add(self.interval_ns);
            (full_at_ns <= now_ns.saturating_add(SECOND_NS)).then_some(full_at_ns)
        };
        self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
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
    }

    #[test]
    fn the_most_that_can_be_granted_is_still_a_bound() {
        let rate = Rate::per_second(1_000_000);
        assert_eq!((0..2_000_000).filter(|_| rate.take_at(0)).count(), 1_000_000);
    }
}
