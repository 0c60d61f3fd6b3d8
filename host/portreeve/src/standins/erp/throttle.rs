//! How many requests the ERP takes, as Business Central counts them: in a window that slides.
//!
//! The original takes 6,000 in 5 minutes from a user and answers what is more 429; what it refuses
//! does nothing. How long to wait is in `Retry-After`, in whole seconds: until the oldest request
//! that counts has left the window. Nothing is counted unless somebody says a window.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::header;
use axum::response::{IntoResponse, Response};
use portreeve_model::Instant;

use super::{Erp, Refusal};

const MS_PER_SECOND: i64 = 1_000;

/// The requests that count now.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Requests, and milliseconds.
    window: Option<(usize, i64)>,
    /// When each of them came, the oldest first; no more than the window takes.
    taken: VecDeque<Instant>,
    refused: usize,
}

impl Throttle {
    /// Takes a request, or says how many seconds to wait.
    pub(super) fn take(&self, now: Instant) -> Result<(), i64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((requests_max, window_ms)) = counted.window else { return Ok(()) };
        while counted.taken.front().is_some_and(|oldest| oldest.plus_ms(window_ms) <= now) {
            counted.taken.pop_front();
        }
        if counted.taken.len() >= requests_max {
            counted.refused = counted.refused.saturating_add(1);
            let free_at = counted.taken.front().map_or(now, |oldest| oldest.plus_ms(window_ms));
            let wait_ms = free_at.0.saturating_sub(now.0);
            return Err(wait_ms.saturating_add(MS_PER_SECOND - 1).div_euclid(MS_PER_SECOND));
        }
        counted.taken.push_back(now);
        Ok(())
    }
}

/// The answer to what is too much.
pub(super) fn too_many(wait_seconds: i64) -> Response {
    ([(header::RETRY_AFTER, wait_seconds.to_string())], Refusal::too_many()).into_response()
}

impl Erp {
    /// From now on it takes so many requests in so many seconds and no more, by the clock that it
    /// knows ([`Erp::know_the_time`]), or the machine's.
    pub fn takes(&self, requests_max: usize, seconds: u32) {
        let mut counted = self.ledger.throttle.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.window = Some((requests_max, i64::from(seconds).saturating_mul(MS_PER_SECOND)));
    }

    /// How many requests it refused because they were too many.
    #[must_use]
    pub fn refused_as_too_many(&self) -> usize {
        self.ledger.throttle.0.lock().unwrap_or_else(PoisonError::into_inner).refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_and_what_is_refused_does_not_count() {
        let throttle = Throttle::default();
        let take = |at| throttle.take(Instant(at));
        assert!((0..100).all(|_| take(0).is_ok()), "nobody said a window");
        throttle.0.lock().unwrap_or_else(PoisonError::into_inner).window = Some((2, 10_000));
        assert_eq!([0, 4_000, 4_001, 9_999].map(take), [Ok(()), Ok(()), Err(6), Err(1)]);
        assert_eq!([10_000, 10_000, 13_999, 14_000].map(take), [Ok(()), Err(4), Err(1), Ok(())]);
        assert_eq!(throttle.0.lock().unwrap_or_else(PoisonError::into_inner).refused, 4);
    }
}
