//! Files that are tried again: how long they wait, and for how long at all.
//!
//! In memory: a restart tries each of them at once, and is as patient again.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portreeve_model::Instant;

/// How long something that should pass is waited for, from the first try on.
pub(super) const PATIENCE_MINUTES: i64 = 60;

/// Before the second try; doubles with every further one.
const BACKOFF_MS: i64 = 1_000;

/// A wait never grows beyond this, whatever a connector asks for.
const BACKOFF_MS_MAX: i64 = 60_000;

/// Files that wait.
#[derive(Default)]
pub(super) struct Patience(Mutex<BTreeMap<OsString, Waiting>>);

#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: Instant,
    tries: u32,
    due_at: Instant,
}

impl Patience {
    /// Lets a file wait at least as long as was asked for; returns until when. None
    /// when it has waited long enough.
    pub(super) fn wait(&self, name: &OsStr, asked_ms: u32, now: Instant) -> Option<Instant> {
        let mut waiting = self.waiting();
        let before = waiting.get(name).copied().unwrap_or(Waiting { since: now, tries: 0, due_at: now });
        if now >= before.since.plus_ms(PATIENCE_MINUTES * Instant::MINUTE_MS) {
            return None;
        }
        let backoff_ms = (BACKOFF_MS << before.tries.min(16)).max(i64::from(asked_ms)).min(BACKOFF_MS_MAX);
        let due_at = now.plus_ms(backoff_ms);
        waiting.insert(name.to_owned(), Waiting { tries: before.tries.saturating_add(1), due_at, ..before });
        Some(due_at)
    }

    /// Lets a file wait whose turn comes again however long it takes: it is on record,
    /// or there is nowhere to put it.
    pub(super) fn again(&self, name: &OsStr, now: Instant) -> Instant {
        let due_at = now.plus_ms(BACKOFF_MS_MAX);
        self.waiting().entry(name.to_owned()).or_insert(Waiting { since: now, tries: 0, due_at }).due_at = due_at;
        due_at
    }

    /// Whether a file's next try is still to come.
    pub(super) fn waits(&self, name: &OsStr, now: Instant) -> bool {
        self.waiting().get(name).is_some_and(|waiting| waiting.due_at > now)
    }

    /// Forgets a file that came to an end.
    pub(super) fn forget(&self, name: &OsStr) {
        self.waiting().remove(name);
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<OsString, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_file_waits_longer_with_every_try_up_to_a_minute_and_no_longer_than_an_hour() {
        let patience = Patience::default();
        let name = OsStr::new("a.edi");
        let mut now = Instant(0);
        let mut waits = Vec::new();
        while let Some(due_at) = patience.wait(name, 0, now) {
            assert!(patience.waits(name, Instant(due_at.0 - 1)) && !patience.waits(name, due_at));
            waits.push(due_at.0 - now.0);
            now = due_at;
        }
        assert_eq!(waits.get(..8).unwrap(), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert!((3_600_000..3_660_000).contains(&now.0), "{now:?}");
    }

    #[test]
    fn a_connector_may_ask_for_more_time_but_not_for_ever() {
        let patience = Patience::default();
        let name = OsStr::new("a.edi");
        assert_eq!(patience.wait(name, 5_000, Instant(0)), Some(Instant(5_000)));
        assert_eq!(patience.wait(name, u32::MAX, Instant(0)), Some(Instant(BACKOFF_MS_MAX)));
        patience.forget(name);
        assert!(!patience.waits(name, Instant(0)));
    }
}
