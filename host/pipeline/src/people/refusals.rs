//! Refused sign-ins that no lockout bounds: counted, and on record once a minute at most.
//!
//! A thousand guesses a second at names that nobody has would otherwise be a thousand leaves a
//! second, for ever. What is counted and not on record yet is in memory: a host that is killed
//! loses the last minute's number, never the fact that they were refused. The names are
//! nowhere: people type passwords into the wrong field.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portreeve_model::{Instant, PersonName};
use portreeve_record::leaf::{Code, Label, SessionLeaf, SessionStep};
use portreeve_record::{Leaf, LeafBody};

use super::{ChangeError, nonce};
use crate::Pipeline;

/// How often a number goes on record.
const NOTED_EVERY_MS: i64 = Instant::MINUTE_MS;

/// What is counted: by account that is locked, and once for all names that nobody has. There
/// are no more entries than accounts.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Option<PersonName>, Counted>>);

#[derive(Debug, Default)]
struct Counted {
    /// Since the last record.
    count: u64,
    noted_at: Option<Instant>,
}

impl Counted {
    fn is_due(&self, now: Instant) -> bool {
        self.count > 0 && self.noted_at.is_none_or(|noted_at| now.0.saturating_sub(noted_at.0) >= NOTED_EVERY_MS)
    }
}

impl Refusals {
    fn add(&self, whose: Option<&PersonName>, count: u64) {
        let mut counts = self.lock();
        let counted = counts.entry(whose.cloned()).or_default();
        counted.count = counted.count.saturating_add(count);
    }

    /// Takes the numbers that are to go on record now; all of them when the host stops.
    fn take_due(&self, now: Instant, all: bool) -> Vec<(Option<PersonName>, u64)> {
        let mut counts = self.lock();
        // An account that was quiet for a while is not kept in memory.
        counts.retain(|_, counted| counted.count > 0 || !counted.is_quiet(now));
        let due = counts.iter_mut().filter(|(_, counted)| counted.is_due(now) || (all && counted.count > 0));
        due.map(|(whose, counted)| {
            counted.noted_at = Some(now);
            (whose.clone(), std::mem::take(&mut counted.count))
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<PersonName>, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn is_quiet(&self, now: Instant) -> bool {
        self.noted_at.is_none_or(|noted_at| now.0.saturating_sub(noted_at.0) >= NOTED_EVERY_MS)
    }
}

impl Pipeline {
    /// Counts a refused sign-in.
    pub(super) async fn count_refused(&self, whose: Option<&PersonName>, why: &'static str) {
        self.metrics.sign_in_refused(why);
        self.accounts.refusals.add(whose, 1);
        self.note_refused_sign_ins(false).await;
    }

    /// Puts on record how many sign-ins were refused, of those that have no record of their
    /// own: what is due, or all when the host stops. What cannot be written stays counted.
    pub async fn note_refused_sign_ins(&self, all: bool) {
        let now = self.clock.now();
        for (whose, count) in self.accounts.refusals.take_due(now, all) {
            let noted = match self.refusal_leaf(whose.as_ref(), count, now) {
                Ok(leaf) => self.store.refuse(leaf).await.map_err(ChangeError::from),
                Err(error) => Err(error),
            };
            if let Err(error) = noted {
                tracing::error!(%error, count, "refused sign-ins are not on record yet; they stay counted");
                self.accounts.refusals.add(whose.as_ref(), count);
            }
        }
    }

    fn refusal_leaf(&self, whose: Option<&PersonName>, count: u64, at: Instant) -> Result<Leaf, ChangeError> {
        let why = if whose.is_some() { "locked" } else { "unknown" };
        let body = SessionLeaf {
            person: whose.map(|name| Label::of(name.as_str())),
            change: None,
            nonce: nonce()?,
            step: SessionStep::Refused,
            why: Some(Code::of(why)),
            count,
            credential: None,
            until: None,
        };
        Ok(Leaf::new(&self.host, at, LeafBody::Session(body))?)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_first_is_due_at_once_and_later_ones_once_a_minute() {
        let refusals = Refusals::default();
        let anna = PersonName::parse("anna").unwrap();
        let due = |whose: Option<&PersonName>, at_ms, times| {
            (0..times).for_each(|_| refusals.add(whose, 1));
            refusals.take_due(Instant(at_ms), false)
        };
        assert_eq!(due(None, 0, 1), [(None, 1)]);
        assert_eq!(due(None, 1, 1_000), []);
        assert_eq!(due(Some(&anna), 2, 1), [(Some(anna.clone()), 1)]);
        assert_eq!(due(None, 59_999, 1), []);
        assert_eq!(due(None, 60_000, 1), [(None, 1_002)]);
        assert_eq!(due(Some(&anna), 60_001, 7), []);
        assert_eq!(refusals.take_due(Instant(60_002), true), [(Some(anna), 7)]);
        assert_eq!(due(None, 200_000, 0), []);
        assert!(refusals.lock().is_empty(), "who is quiet is not kept");
    }
}
