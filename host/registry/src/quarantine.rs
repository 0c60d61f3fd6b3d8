//! Quarantine: a component that fails again and again is not called for a while.
//!
//! ```text
//!            failures add up             the pause is over
//!   calling ────────────────▶ paused ◀─────────────────────▶ one call is tried
//!      ▲                        ▲   it failed: a longer pause     │
//!      └────────────────────────┼─────────────────────────────────┘
//!                               │        it did not fail
//! ```
//!
//! Danger: a component that traps at every call costs each input a sandbox and each order a
//! person, as fast as orders come. And one sender's poison must not look like that: what
//! counts are failures among the last calls of a component, whoever caused them, so a few of
//! them between good calls change nothing.
//!
//! A component is known by its digest: a rollback begins with a clean sheet, and so does a
//! component that an operator activates again. Time is the caller's. All of it is in memory;
//! a restart forgets it, and the next failures add up again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portreeve_model::{Digest, Instant};

/// Failures in a row that open it: a component that cannot work at all is found within
/// these calls.
pub const IN_A_ROW_MAX: u32 = 5;

/// Calls that are looked back at.
pub const LOOKED_BACK_AT: u32 = 32;

/// Failures among them that open it: a component that fails at every other call.
pub const AMONG_THE_LAST_MAX: u32 = 16;

/// The first pause. Long enough that a hanging target or a deploy may be over, short
/// enough that nobody has to be called for it.
pub const PAUSE_MS: i64 = 30_000;

/// The longest pause; it doubles after every call that was tried in vain.
pub const PAUSE_MS_MAX: i64 = 10 * Instant::MINUTE_MS;

/// What happened to a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is not called before this time.
    Quarantined {
        /// When one call is tried.
        until: Instant,
    },
    /// It is called again.
    Restored,
}

/// Why a call may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused {
    /// When to ask again.
    pub until: Instant,
}

/// All components that were called, by digest. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Quarantine(Arc<Mutex<BTreeMap<Digest, Sheet>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Sheet {
    /// The last calls, newest in the lowest bit; 1 is a failure.
    last: u32,
    /// Of a component that is paused.
    pause: Option<Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length_ms: i64,
    /// One call is under way to see whether it works again.
    trying: bool,
}

/// The right to make one call. Whoever drops it without saying how the call ended gives a
/// call that was to be tried back.
#[derive(Debug)]
#[must_use]
pub struct Pass {
    of: Quarantine,
    component: Digest,
    trial: bool,
    said: bool,
}

impl Quarantine {
    /// Asks for a call of a component.
    ///
    /// # Errors
    /// [`Paused`] while it is in quarantine, and while another call tries it.
    pub fn pass(&self, component: Digest, now: impl FnOnce() -> Instant) -> Result<Pass, Paused> {
        let mut sheets = self.sheets();
        let sheet = sheets.entry(component).or_default();
        let trial = match &mut sheet.pause {
            // Nearly always, and then nobody needs to know the time.
            None => false,
            Some(pause) => {
                let now = now();
                if pause.trying || pause.until > now {
                    return Err(Paused { until: pause.until.max(now.plus_ms(1)) });
                }
                pause.trying = true;
                true
            }
        };
        drop(sheets);
        Ok(Pass { of: self.clone(), component, trial, said: false })
    }

    /// Until when a component is not called; none when it is, or may be tried. Asking
    /// takes no call.
    #[must_use]
    pub fn paused_until(&self, component: Digest, now: impl FnOnce() -> Instant) -> Option<Instant> {
        let pause = self.sheets().get(&component)?.pause?;
        let now = now();
        (pause.trying || pause.until > now).then(|| pause.until.max(now.plus_ms(1)))
    }

    /// Begins anew with a component, as when an operator activates it.
    pub fn forget(&self, component: Digest) {
        self.sheets().remove(&component);
    }

    /// Components that are paused, each with the time of its next call.
    #[must_use]
    pub fn paused(&self) -> Vec<(Digest, Instant)> {
        let sheets = self.sheets();
        let paused = sheets.iter().filter_map(|(component, sheet)| Some((*component, sheet.pause?.until)));
        paused.collect()
    }

    fn sheets(&self) -> MutexGuard<'_, BTreeMap<Digest, Sheet>> {
        // Whoever panicked left a sheet with one call too few.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Says how the call ended; what follows from it is to be put on record.
    pub fn ended(mut self, failed: bool, now: impl FnOnce() -> Instant) -> Option<Turn> {
        self.said = true;
        let mut sheets = self.of.sheets();
        let sheet = sheets.entry(self.component).or_default();
        if self.trial {
            let length_ms = sheet.pause.map_or(PAUSE_MS, |pause| pause.length_ms);
            if !failed {
                *sheet = Sheet::default();
                return Some(Turn::Restored);
            }
            return Some(sheet.open(now(), length_ms.saturating_mul(2).min(PAUSE_MS_MAX)));
        }
        sheet.last = (sheet.last << 1) | u32::from(failed);
        // What began before the pause says nothing new.
        let opens = failed && sheet.pause.is_none() && sheet.is_full();
        opens.then(|| sheet.open(now(), PAUSE_MS))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.trial
            && !self.said
            && let Some(pause) = self.of.sheets().get_mut(&self.component).and_then(|sheet| sheet.pause.as_mut())
        {
            pause.trying = false;
        }
    }
}

impl Sheet {
    fn is_full(&self) -> bool {
        self.last.trailing_ones() >= IN_A_ROW_MAX || self.last.count_ones() >= AMONG_THE_LAST_MAX
    }

    fn open(&mut self, now: Instant, length_ms: i64) -> Turn {
        let until = now.plus_ms(length_ms);
        *self = Self { last: 0, pause: Some(Pause { until, length_ms, trying: false }) };
        Turn::Quarantined { until }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const NOW: Instant = Instant(0);

    fn component() -> Digest {
        Digest::of(b"component")
    }

    fn call(quarantine: &Quarantine, failed: bool, now: Instant) -> Option<Turn> {
        quarantine.pass(component(), || now).unwrap().ended(failed, || now)
    }

    fn quarantined(at: Instant) -> Quarantine {
        let quarantine = Quarantine::default();
        for _ in 1..IN_A_ROW_MAX {
            assert_eq!(call(&quarantine, true, at), None);
        }
        assert_eq!(call(&quarantine, true, at), Some(Turn::Quarantined { until: at.plus_ms(PAUSE_MS) }));
        quarantine
    }

    #[test]
    fn a_component_that_always_fails_is_paused_and_then_tried_once_with_growing_pauses() {
        let quarantine = quarantined(NOW);
        assert_eq!(quarantine.pass(component(), || NOW).unwrap_err().until, NOW.plus_ms(PAUSE_MS));
        let (mut now, mut pause) = (NOW, PAUSE_MS);
        for _ in 0..8 {
            now = now.plus_ms(pause);
            let trial = quarantine.pass(component(), || now).unwrap();
            assert!(quarantine.pass(component(), || now).is_err(), "one at a time");
            pause = (pause * 2).min(PAUSE_MS_MAX);
            assert_eq!(trial.ended(true, || now), Some(Turn::Quarantined { until: now.plus_ms(pause) }));
        }
        assert_eq!(pause, PAUSE_MS_MAX);
        now = now.plus_ms(pause);
        assert_eq!(call(&quarantine, false, now), Some(Turn::Restored));
        assert_eq!(call(&quarantine, true, now), None, "with a clean sheet");
        assert_eq!(quarantine.paused(), []);
    }

    #[test]
    fn one_that_fails_at_every_other_call_is_paused_and_one_that_fails_now_and_then_is_not() {
        let quarantine = Quarantine::default();
        for round in 0..200 {
            assert_eq!(call(&quarantine, round % 3 == 0, NOW), None, "a third of the calls");
        }
        let quarantine = Quarantine::default();
        let turns = (0..64).filter_map(|round| {
            let pass = quarantine.pass(component(), || NOW).ok()?;
            pass.ended(round % 2 == 0, || NOW)
        });
        assert_eq!(turns.count(), 1);
    }

    #[test]
    fn what_began_before_the_pause_changes_nothing_and_a_trial_that_is_dropped_is_given_back() {
        let quarantine = Quarantine::default();
        let early = quarantine.pass(component(), || NOW).unwrap();
        for _ in 0..IN_A_ROW_MAX {
            call(&quarantine, true, NOW);
        }
        assert_eq!(early.ended(false, || NOW), None);
        let later = NOW.plus_ms(PAUSE_MS);
        drop(quarantine.pass(component(), || later).unwrap());
        assert_eq!(call(&quarantine, false, later), Some(Turn::Restored));
    }

    #[test]
    fn an_operator_begins_anew_and_another_component_has_a_sheet_of_its_own() {
        let quarantine = quarantined(NOW);
        assert!(quarantine.pass(Digest::of(b"another"), || NOW).is_ok());
        quarantine.forget(component());
        assert_eq!(call(&quarantine, true, NOW), None);
    }
}
