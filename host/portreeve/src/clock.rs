//! Clocks: the system's for a host that works, one that is set for a host that
//! replays samples at their own time.

use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use portreeve_model::Instant;
use portreeve_pipeline::Clock;

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    fn now(&self) -> Instant {
        let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Instant(ms)
    }
}

/// A clock that somebody sets. It never goes back.
#[derive(Debug)]
pub struct SetClock(AtomicI64);

impl SetClock {
    /// Starts at this time.
    #[must_use]
    pub fn at(start: Instant) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves to this time, unless that would be back.
    pub fn advance_to(&self, time: Instant) {
        self.0.fetch_max(time.0, Ordering::AcqRel);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Acquire))
    }

    /// Nobody waits for a clock that is set.
    fn pass(&self, ms: u32) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.advance_to(self.now().plus_ms(i64::from(ms)));
        Box::pin(std::future::ready(()))
    }
}
