//! How fast and for how long: rate limits and circuit breakers of what leaves.
//!
//! The attack is a connector, or a target that answers with errors, that turns a
//! thousand waiting deliveries into a load that a struggling target never recovers
//! from. Each plugin and each host has a bucket of requests that fills by the second.
//! After failures in a row a plugin sends a host nothing for a while; then one request
//! tries, and only its success lets the others follow. A request that is not let through
//! was not sent: it is told when to come back, and its delivery with it.
//!
//! Arithmetic over times that are given; nothing here reads a clock. What is counted is
//! this process's, begins anew with it, and decides about no order.

use portreeve_model::Instant;

/// A usual ERP's API allows some hundred a second to one client.
pub(super) fn host_requests_per_second_default() -> u32 {
    500
}

/// Requests of one plugin to all of its hosts in a second.
pub fn plugin_requests_per_second_default() -> u32 {
    1_000
}

/// One order that a target fails on is tried less often in a row than this beside others.
pub(super) fn breaker_failures_default() -> u32 {
    20
}

/// Long enough for a restart of the target to be noticed, short enough to be forgotten.
pub(super) fn breaker_open_ms_default() -> u32 {
    10_000
}

const MS_PER_SECOND: i64 = 1_000;

/// A second's requests at once, and as many again in every second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    /// Thousandths of requests that were taken and are not filled up again.
    taken: i64,
    at: Option<Instant>,
}

impl Bucket {
    /// Takes one request, or says in how many milliseconds there is one.
    pub(super) fn take(&mut self, per_second: u32, now: Instant) -> Result<(), u64> {
        let per_second = i64::from(per_second.max(1));
        // A clock that was set back fills nothing.
        let passed = now.0.saturating_sub(self.at.unwrap_or(now).0).max(0);
        self.taken = self.taken.saturating_sub(passed.saturating_mul(per_second)).max(0);
        self.at = Some(now);
        let after = self.taken.saturating_add(MS_PER_SECOND);
        let over = after.saturating_sub(per_second.saturating_mul(MS_PER_SECOND));
        if over > 0 {
            // Rounded up: who comes back then finds one.
            return Err(over.saturating_add(per_second - 1).checked_div(per_second).unwrap_or(over).unsigned_abs());
        }
        self.taken = after;
        Ok(())
    }
}

/// Whether a plugin sends to a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    failures: u32,
    /// Nothing is sent before; then one tries, and as long again nobody else.
    until: Option<Instant>,
}

/// What a request that is let through is to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// One of many.
    Usual,
    /// The one that tries whether the host is there again.
    Probe,
}

impl Breaker {
    /// Whether a request may go, or in how many milliseconds to ask again.
    pub(super) fn enter(&mut self, open_ms: u32, now: Instant) -> Result<Turn, u64> {
        match self.until {
            None => Ok(Turn::Usual),
            Some(until) if now < until => Err(until.0.saturating_sub(now.0).unsigned_abs()),
            Some(_) => {
                self.until = Some(now.plus_ms(i64::from(open_ms)));
                Ok(Turn::Probe)
            }
        }
    }

    /// Counts how a request ended.
    pub(super) fn ended(&mut self, turn: Turn, well: bool, failures_max: u32, open_ms: u32, now: Instant) {
        match (turn, well) {
            // What began before it opened says nothing about the time since.
            (Turn::Usual, _) if self.until.is_some() => {}
            (_, true) => *self = Self::default(),
            (_, false) => {
                self.failures = self.failures.saturating_add(1);
                if turn == Turn::Probe || self.failures >= failures_max {
                    self.until = Some(now.plus_ms(i64::from(open_ms)));
                }
            }
        }
    }

    /// A probe came to no end: the next one may try at once.
    pub(super) fn abandoned(&mut self, turn: Turn, now: Instant) {
        if turn == Turn::Probe && self.until.is_some() {
            self.until = Some(now);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.until.is_some()
    }

    /// How many requests would be let through now.
    pub(super) fn room(&self, now: Instant) -> u32 {
        match self.until {
            None => u32::MAX,
            Some(until) => u32::from(now >= until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_requests_and_no_more() {
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, at| (0..100).filter(|_| bucket.take(10, Instant(at)).is_ok()).count();
        assert_eq!(taken(&mut bucket, 0), 10);
        assert_eq!(bucket.take(10, Instant(0)), Err(100));
        assert_eq!(taken(&mut bucket, 99), 0);
        assert_eq!(taken(&mut bucket, 100), 1);
        assert_eq!(taken(&mut bucket, 600), 5);
        // A long rest is worth a second, and a clock that goes back nothing.
        assert_eq!(taken(&mut bucket, 3_600_000), 10);
        assert_eq!(taken(&mut bucket, 0), 0);
        assert_eq!(bucket.take(3, Instant(0)), Err(2_667));
    }

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_closes_by_a_probe() {
        let mut breaker = Breaker::default();
        let fail = |breaker: &mut Breaker, turn, at| breaker.ended(turn, false, 3, 1_000, Instant(at));
        fail(&mut breaker, Turn::Usual, 0);
        fail(&mut breaker, Turn::Usual, 0);
        breaker.ended(Turn::Usual, true, 3, 1_000, Instant(0));
        (0..3).for_each(|_| fail(&mut breaker, Turn::Usual, 10));
        assert_eq!(breaker.enter(1_000, Instant(10)), Err(1_000));
        assert_eq!([10, 1_009, 1_010].map(|at| breaker.room(Instant(at))), [0, 0, 1]);
        // What was under way when it opened does not close it.
        breaker.ended(Turn::Usual, true, 3, 1_000, Instant(20));
        assert_eq!(breaker.enter(1_000, Instant(1_009)), Err(1));

        // One tries, the others wait for it; when it fails, they wait again.
        assert_eq!(breaker.enter(1_000, Instant(1_010)), Ok(Turn::Probe));
        assert_eq!(breaker.enter(1_000, Instant(1_011)), Err(999));
        assert_eq!(breaker.room(Instant(1_011)), 0);
        fail(&mut breaker, Turn::Probe, 1_500);
        assert_eq!(breaker.enter(1_000, Instant(2_499)), Err(1));
        assert_eq!(breaker.enter(1_000, Instant(2_500)), Ok(Turn::Probe));
        breaker.ended(Turn::Probe, true, 3, 1_000, Instant(2_600));
        assert_eq!(breaker.enter(1_000, Instant(2_600)), Ok(Turn::Usual));
        assert_eq!((breaker.is_open(), breaker.room(Instant(2_600))), (false, u32::MAX));
    }

    #[test]
    fn a_probe_that_nobody_hears_of_blocks_nothing_for_ever() {
        let mut breaker = Breaker::default();
        breaker.ended(Turn::Usual, false, 1, 1_000, Instant(0));
        assert_eq!(breaker.enter(1_000, Instant(1_000)), Ok(Turn::Probe));
        assert_eq!(breaker.enter(1_000, Instant(2_000)), Ok(Turn::Probe), "as long again");
        breaker.abandoned(Turn::Probe, Instant(2_001));
        assert_eq!(breaker.enter(1_000, Instant(2_001)), Ok(Turn::Probe), "at once");
    }
}
