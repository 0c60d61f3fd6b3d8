//! Documents that are not decided now: those that the host itself failed on, and
//! those whose plugin failed for a reason that passes.
//!
//! A decision must not depend on how busy the machine was. So a call that got no
//! sandbox, that was killed by a clock other than fuel, or that asks for another
//! try leaves its document undecided, and the next batches leave it out until its
//! time has come. After some tries a person gets it: it may never pass.
//!
//! All of it is in memory. A restart forgets it, and tries once more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portreeve_model::Instant;
use portreeve_store::contract::DocumentPosition;

/// Tries before a passing failure becomes an exception.
const TRIES_MAX: u32 = 5;

/// The wait after the first try; it doubles with every further one.
const BACKOFF_MS: i64 = 1_000;

/// The longest wait, whatever a plugin asks for.
const BACKOFF_MS_MAX: i64 = 5 * 60_000;

/// Documents that may wait at once. A host that is too busy for more takes no new
/// ones: it would only fill its memory with waiting.
const WAITING_MAX: usize = 4_096;

/// Documents that are not decided now.
#[derive(Default)]
pub struct SetAside {
    failed: Mutex<BTreeSet<DocumentPosition>>,
    waiting: Mutex<BTreeMap<DocumentPosition, Waiting>>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    tries: u32,
    due_at: Instant,
}

impl SetAside {
    /// Sets documents aside that the host itself failed on, by an error or a panic.
    /// They would fail again and again, so the next batch does nothing with them but
    /// open an exception.
    pub(super) fn add(&self, positions: &BTreeSet<DocumentPosition>) {
        locked(&self.failed).extend(positions);
    }

    pub(super) fn has(&self, position: DocumentPosition) -> bool {
        locked(&self.failed).contains(&position)
    }

    /// Lets a document wait after a passing failure, at least as long as was asked
    /// for. False when it has had its tries: it is to be decided as it is.
    pub(super) fn wait(&self, position: DocumentPosition, asked_ms: u32, now: Instant) -> bool {
        let mut waiting = locked(&self.waiting);
        let tries = waiting.get(&position).map_or(0, |waiting| waiting.tries).saturating_add(1);
        if tries >= TRIES_MAX {
            waiting.remove(&position);
            return false;
        }
        let backoff_ms = BACKOFF_MS << tries.saturating_sub(1).min(16);
        let wait_ms = backoff_ms.max(i64::from(asked_ms)).min(BACKOFF_MS_MAX);
        waiting.insert(position, Waiting { tries, due_at: now.plus_ms(wait_ms) });
        true
    }

    /// Whether a document's next try is still to come.
    pub(super) fn waits(&self, position: DocumentPosition, now: Instant) -> bool {
        locked(&self.waiting).get(&position).is_some_and(|waiting| waiting.due_at > now)
    }

    /// How many documents to ask the store for, so that `limit` of them may be ready:
    /// the waiting ones are still undecided and stand first.
    pub(super) fn beyond_waiting(&self, limit: u32) -> u32 {
        let waiting = locked(&self.waiting).len();
        let room = if waiting < WAITING_MAX { limit } else { 0 };
        u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(room)
    }

    /// Forgets a document that was decided.
    pub(super) fn decided(&self, position: DocumentPosition) {
        locked(&self.waiting).remove(&position);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: DocumentPosition = DocumentPosition(1);

    #[test]
    fn a_document_waits_longer_with_every_try_and_then_no_more() {
        let aside = SetAside::default();
        let mut now = Instant(0);
        for wait_ms in [1_000, 2_000, 4_000, 8_000] {
            assert!(aside.wait(FIRST, 0, now));
            assert!(aside.waits(FIRST, now.plus_ms(wait_ms - 1)));
            now = now.plus_ms(wait_ms);
            assert!(!aside.waits(FIRST, now));
        }
        assert!(!aside.wait(FIRST, 0, now), "it has had its tries");
        assert!(!aside.waits(FIRST, now));
    }

    #[test]
    fn a_plugin_may_ask_for_more_time_but_not_for_ever() {
        let aside = SetAside::default();
        assert!(aside.wait(FIRST, 30_000, Instant(0)));
        assert!(aside.waits(FIRST, Instant(29_999)) && !aside.waits(FIRST, Instant(30_000)));
        assert!(aside.wait(FIRST, u32::MAX, Instant(0)));
        assert!(!aside.waits(FIRST, Instant(BACKOFF_MS_MAX)));
    }

    #[test]
    fn waiting_documents_keep_no_others_from_their_turn() {
        let aside = SetAside::default();
        assert_eq!(aside.beyond_waiting(64), 64);
        for position in 1..=100 {
            assert!(aside.wait(DocumentPosition(position), 0, Instant(0)));
        }
        assert_eq!(aside.beyond_waiting(64), 164);
        aside.decided(FIRST);
        assert_eq!(aside.beyond_waiting(64), 163);
    }
}
