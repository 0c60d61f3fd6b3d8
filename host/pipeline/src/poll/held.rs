//! A poll that the host itself held back, since a window of its source had no room for it.
//!
//! It has not failed, and is due when the window lets it go on. But a window may be an hour long, and other
//! deliveries may take all of its room each time: then nothing of the source comes in, and of a poll
//! that does not fail nobody would hear. So it is told as one that fails once it is too late for longer than
//! the poll has patience, and closed as such when it works again.

use portreeve_model::{ExceptionKind, Instant};
use portreeve_record::leaf::PollStep;
use portreeve_store::PollPermit;
use portreeve_store::contract::{NewException, PollEnd, PollFailure};

use super::{Ended, FAILS, Poll, PollError};
use crate::Pipeline;
use crate::exception::Limits;
use crate::route::Channel;

/// As what it counts, and the code on record where people are told.
const HELD_BACK: &str = "held-back";

impl Pipeline {
    /// The host held it back: nothing is known of its source that was not known before.
    pub(super) async fn held_back(
        &self,
        poll: &Poll,
        channel: &Channel,
        permit: PollPermit,
        until: Instant,
    ) -> Result<Ended, PollError> {
        let (now, failures) = (self.clock.now(), permit.failures());
        let due_at = until.max(now);
        tracing::info!(poll = poll.id, %due_at, "a poll waits for the window of its source");
        let worked_at = self.store.poll(&poll.id).await?.and_then(|found| found.worked_at);
        if permit.is_told() || !poll.is_too_late(worked_at, now, due_at) {
            self.store.end_poll(permit, PollEnd { due_at, failure: None, said: None, leaf: None }, now).await?;
            self.metrics.polled(&poll.id, HELD_BACK, failures);
            return Ok(Ended::Rest(0));
        }

        let failures = failures.saturating_add(1);
        let leaf = Some(self.turn(poll, PollStep::Failing, failures, Some(HELD_BACK), now)?);
        let worked = worked_at.map_or_else(|| "it never worked yet".to_owned(), |at| format!("it last worked at {at}"));
        let new = NewException {
            kind: ExceptionKind::Poll,
            stage: "poll",
            code: FAILS.to_owned(),
            detail: format!(
                "poll `{}` waits for a window of its source until {due_at}, which is too late by more than {} minute(s) (`patience_minutes`), and {worked}; nothing of it comes in meanwhile: allow more by `window` of its [[plugin.egress]] or send less there, this is closed by itself when it works again",
                poll.id, poll.patience_minutes
            ),
            queue: channel.exception_queue.clone(),
            due_at: None,
        };
        let exception = Some(self.dated(new, now, Limits::default()));
        let failure = Some(PollFailure { code: HELD_BACK.to_owned(), exception });
        self.store.end_poll(permit, PollEnd { due_at, failure, said: None, leaf }, now).await?;
        self.metrics.polled(&poll.id, HELD_BACK, failures);
        Ok(Ended::Failed(HELD_BACK.to_owned()))
    }
}

impl Poll {
    /// Whether one that is held back until then is a person's matter: it waits for longer than the poll has
    /// patience, or will have, beyond the time that lies between two polls.
    fn is_too_late(&self, worked_at: Option<Instant>, now: Instant, until: Instant) -> bool {
        let between_ms = i64::from(self.every_seconds.saturating_add(self.jitter_seconds)).saturating_mul(1_000);
        let late_ms = |at: Instant| until.0.saturating_sub(at.0).saturating_sub(between_ms);
        self.is_too_long(until.0.saturating_sub(now.0)) || worked_at.is_some_and(|at| self.is_too_long(late_ms(at)))
    }
}

#[cfg(test)]
mod tests {
    use portreeve_model::Instant;

    use super::super::tests::poll;

    #[test]
    fn one_that_is_held_back_again_and_again_is_too_late_when_it_brought_nothing_for_too_long() {
        // Asked every two hours, with an hour's patience.
        let poll = poll(7_200, 0);
        let late = |worked_minutes: Option<i64>, now_minutes: i64, until_minutes: i64| {
            let at = |minutes: i64| Instant(minutes * Instant::MINUTE_MS);
            poll.is_too_late(worked_minutes.map(at), at(now_minutes), at(until_minutes))
        };
        assert!(!late(None, 0, 60), "as long as it has patience");
        assert!(late(None, 0, 61));
        assert!(!late(Some(0), 120, 121), "it is due now");
        assert!(!late(Some(0), 175, 180));
        assert!(late(Some(0), 180, 181));
    }
}
