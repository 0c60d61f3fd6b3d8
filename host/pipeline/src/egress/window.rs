//! How many requests a destination takes in some minutes, and what is left of them.
//!
//! ```toml
//! [[plugin.egress]]
//! origin = "https://erp.example"
//! window = { requests_max = 6000, seconds = 300 }   # Business Central's 6,000 in 5 minutes
//! ```
//!
//! A second's rate cannot say this: six thousand in five minutes is twenty a second for ever, or
//! all of them in one minute and then four of rest. A destination that counts so refuses what is
//! more, everybody's, the clerks' at their screens too where it counts by tenant. So the host
//! counts what it sends there whoever wanted it sent: deliveries, look-ups, polls, checks,
//! subscriptions, what is sent once more with other credentials, sessions and tokens that are asked
//! for there. The window belongs to the origin: one plugin's grant names it, and it binds all.
//!
//! It slides: in no stretch of that many seconds, wherever it begins, more requests begin than
//! that. Requests are counted by slots of a sixtieth, so memory is bounded however many are allowed, and a
//! whole slot is counted for as long as any of it may be within the window. That errs by less than
//! two slots, to the side of sending later. A request that is let through counts whether or not it
//! arrives. What is counted is this process's, as with every pace.
//!
//! Deliveries that wait would take all of it, each time a slot leaves: polls would find nothing left
//! until the last of them has gone, and a delivery of several requests would be cut off in the
//! middle. So the last tenth begins no delivery.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use portreeve_model::Instant;
use portreeve_sandbox::EgressRefused;
use serde::{Deserialize, Serialize};

use super::{Destination, Origin};
use crate::Clock;

/// Slots of a window. Each costs twelve bytes, and a sixtieth of the window's length at most.
const SLOTS: i64 = 60;

/// A day. Whoever grants so much in longer than that means a contract, not a rate.
const SECONDS_MAX: u32 = 86_400;

/// The part of a window that begins no delivery.
const KEPT_PART: u32 = 10;

const MS_PER_SECOND: i64 = 1_000;

/// How many requests a destination takes, and in what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowEntry {
    /// Requests of all plugins together that may begin within any `seconds`.
    pub requests_max: u32,
    /// The length of the window.
    pub seconds: u32,
}

impl WindowEntry {
    /// What is wrong with it beyond its grammar.
    pub(super) fn problems(self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.requests_max == 0 {
            problems.push("`requests_max` of `window` is 0; expected 1 or more".to_owned());
        }
        if !(1..=SECONDS_MAX).contains(&self.seconds) {
            problems.push(format!("`seconds` of `window` is {}; expected 1 to {SECONDS_MAX}", self.seconds));
        }
        problems
    }
}

/// Origins that several destinations give different windows. A window is its origin's: which of
/// two binds is nothing to be guessed.
#[must_use]
pub fn window_problems<'a>(destinations: impl IntoIterator<Item = &'a Destination>) -> Vec<String> {
    let mut known: BTreeMap<&Origin, WindowEntry> = BTreeMap::new();
    let mut problems = Vec::new();
    for Destination { origin, window, .. } in destinations {
        let Some(window) = window else { continue };
        let first = *known.entry(origin).or_insert(*window);
        if first != *window {
            problems.push(format!(
                "`window` of `{origin}` is {} requests in {} s in one [[plugin.egress]] and {} in {} s in another; it binds all plugins, so name it once",
                first.requests_max, first.seconds, window.requests_max, window.seconds
            ));
        }
    }
    problems
}

/// The windows of all origins that have one. As many as are configured.
pub(super) struct Windows {
    clock: Arc<dyn Clock>,
    windows: BTreeMap<Origin, (WindowEntry, Mutex<Window>)>,
}

/// A window that has no room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) after_ms: u64,
    entry: WindowEntry,
}

impl Full {
    /// One sentence.
    pub(super) fn why(self, origin: &Origin) -> String {
        let WindowEntry { requests_max, seconds } = self.entry;
        format!(
            "`{origin}` gets no more than {requests_max} requests in {seconds} s, and had them; `window` of its [[plugin.egress]] would allow more"
        )
    }

    /// As the refusal of a request.
    pub(super) fn refusal(self, origin: &Origin) -> EgressRefused {
        EgressRefused::Later { after_ms: self.after_ms, why: self.why(origin) }
    }
}

impl Windows {
    /// The windows of these destinations.
    pub(super) fn of<'a>(clock: Arc<dyn Clock>, destinations: impl IntoIterator<Item = &'a Destination>) -> Self {
        let named = destinations.into_iter().filter_map(|there| Some((there.origin.clone(), there.window?)));
        let windows = named.map(|(origin, entry)| (origin, (entry, Mutex::default()))).collect();
        Self { clock, windows }
    }

    /// Takes one request to an origin.
    pub(super) fn take(&self, origin: &Origin) -> Result<(), Full> {
        let Some((entry, window)) = self.windows.get(origin) else { return Ok(()) };
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        window.take(*entry, now).map_err(|after_ms| {
            window.refused = Some((now, now.plus_ms(i64::try_from(after_ms).unwrap_or(i64::MAX))));
            window.full_at = Some(now);
            Full { after_ms, entry: *entry }
        })
    }

    /// How many deliveries to an origin may begin now.
    pub(super) fn room(&self, origin: &Origin) -> u32 {
        let Some((entry, window)) = self.windows.get(origin) else { return u32::MAX };
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let room = window.room(*entry, now).saturating_sub(entry.requests_max / KEPT_PART);
        if room == 0 {
            window.full_at = Some(now);
        }
        room
    }

    /// When an origin takes a request again, where one was held back since then.
    pub(super) fn held_until(&self, origin: &Origin, since: Instant) -> Option<Instant> {
        let (_, window) = self.windows.get(origin)?;
        let window = window.lock().unwrap_or_else(PoisonError::into_inner);
        window.refused.filter(|(at, _)| *at >= since).map(|(_, until)| until)
    }

    /// That an origin had all that it takes since then, so that deliveries waited: the end of a sentence.
    pub(super) fn was_full(&self, origin: &Origin, since: Instant) -> Option<String> {
        let (entry, window) = self.windows.get(origin)?;
        let window = window.lock().unwrap_or_else(PoisonError::into_inner);
        let at = window.full_at.filter(|at| *at >= since)?;
        let WindowEntry { requests_max, seconds } = entry;
        Some(format!(
            "`{origin}` had all of its {requests_max} requests in {seconds} s meanwhile, the last time at {at}: allow more by `window` of its [[plugin.egress]], or a longer `deadline_minutes`"
        ))
    }
}

/// What was sent lately, by slots. Arithmetic over times that are given.
#[derive(Debug, Default)]
struct Window {
    /// Numbers of slots, ascending, and the requests of each; never more than [`SLOTS`] and one.
    slots: VecDeque<(i64, u32)>,
    /// How late it is for it: as much later each time as the clock went on since the last.
    at: Option<Instant>,
    /// What the clock said last. Set back it makes nothing pass, and goes on from there.
    told: Option<Instant>,
    /// When a request was last held back, and until when.
    refused: Option<(Instant, Instant)>,
    /// When a request or a delivery last found no room.
    full_at: Option<Instant>,
}

impl Window {
    /// Takes one request, or says in how many milliseconds to ask again.
    fn take(&mut self, entry: WindowEntry, now: Instant) -> Result<(), u64> {
        let (now, slot) = self.pass(entry, now);
        if self.taken() >= entry.requests_max {
            // The oldest slot is the first to leave, and leaves room for one at least.
            let oldest = self.slots.front().map_or(slot, |(slot, _)| *slot);
            let gone_at = oldest.saturating_add(SLOTS + 1).saturating_mul(slot_ms(entry));
            return Err(gone_at.saturating_sub(now).max(1).unsigned_abs());
        }
        match self.slots.back_mut() {
            Some((last, count)) if *last == slot => *count = count.saturating_add(1),
            _ => self.slots.push_back((slot, 1)),
        }
        Ok(())
    }

    fn room(&mut self, entry: WindowEntry, now: Instant) -> u32 {
        self.pass(entry, now);
        entry.requests_max.saturating_sub(self.taken())
    }

    /// Forgets the slots of which nothing can be within the window any more. The time, and its slot.
    fn pass(&mut self, entry: WindowEntry, now: Instant) -> (i64, i64) {
        let passed_ms = self.told.map_or(0, |told| now.0.saturating_sub(told.0).max(0));
        self.told = Some(now);
        let now = self.at.map_or(now, |at| Instant(at.0.saturating_add(passed_ms)));
        self.at = Some(now);
        let slot = now.0.div_euclid(slot_ms(entry));
        while self.slots.front().is_some_and(|(oldest, _)| oldest.saturating_add(SLOTS) < slot) {
            self.slots.pop_front();
        }
        (now.0, slot)
    }

    fn taken(&self) -> u32 {
        self.slots.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// The length of a slot: [`SLOTS`] of them are as long as the window, or longer.
fn slot_ms(entry: WindowEntry) -> i64 {
    let window_ms = i64::from(entry.seconds).saturating_mul(MS_PER_SECOND);
    window_ms.saturating_add(SLOTS - 1).div_euclid(SLOTS).max(1)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    const MINUTES: WindowEntry = WindowEntry { requests_max: 6_000, seconds: 300 };

    #[test]
    fn six_thousand_go_at_once_and_the_next_when_five_minutes_are_over() {
        let (mut window, begin) = (Window::default(), 1_772_438_400_000);
        let taken = |window: &mut Window, at| (0..7_000).filter(|_| window.take(MINUTES, Instant(at)).is_ok()).count();
        assert_eq!(taken(&mut window, begin), 6_000);
        assert_eq!((window.room(MINUTES, Instant(begin)), window.slots.len()), (0, 1));
        let after_ms = i64::try_from(window.take(MINUTES, Instant(begin)).unwrap_err()).unwrap();
        assert!((300_001..=305_000).contains(&after_ms), "{after_ms}");
        assert_eq!(taken(&mut window, begin + after_ms - 1), 0);
        assert_eq!(window.room(MINUTES, Instant(begin + after_ms)), 6_000);
        assert_eq!(taken(&mut window, begin + after_ms), 6_000);
        // A clock that goes back frees nothing, and what passes by it then counts.
        assert_eq!(taken(&mut window, begin), 0);
        assert_eq!(taken(&mut window, begin + after_ms - 1), 0);
        assert_eq!(taken(&mut window, begin + after_ms), 6_000);
    }

    #[test]
    fn what_was_sent_over_minutes_leaves_in_the_order_in_which_it_was_sent() {
        let (mut window, entry) = (Window::default(), WindowEntry { requests_max: 3, seconds: 60 });
        for at in [0, 20_000, 40_000] {
            window.take(entry, Instant(at)).unwrap();
        }
        for (at, freed) in [(61_000, 81_000), (81_000, 101_000)] {
            assert_eq!(window.take(entry, Instant(at - 1)), Err(1));
            window.take(entry, Instant(at)).unwrap();
            assert_eq!(window.take(entry, Instant(at)), Err(u64::try_from(freed - at).unwrap()));
        }
    }

    #[test]
    fn an_origin_has_one_window_whoever_names_it() {
        let read = |window: &str| -> Result<Destination, serde_json::Error> {
            serde_json::from_str(&format!(r#"{{"origin": "https://erp.example"{window}}}"#))
        };
        let windowed = |window: &str| read(&format!(r#", "window": {{{window}}}"#));
        let (without, with) = (read("").unwrap(), windowed(r#""requests_max": 6000, "seconds": 300"#).unwrap());
        let other = windowed(r#""requests_max": 600, "seconds": 300"#).unwrap();
        assert!(window_problems([&without, &with, &with]).is_empty());
        let problems = window_problems([&with, &without, &other]);
        assert!(problems.len() == 1 && problems.concat().contains("600 in 300 s"), "{problems:?}");
        for (wrong, key) in [
            (r#""requests_max": 0, "seconds": 1"#, "`requests_max`"),
            (r#""requests_max": 1, "seconds": 0"#, "`seconds`"),
            (r#""requests_max": 1, "seconds": 86401"#, "`seconds`"),
        ] {
            let problems = windowed(wrong).unwrap().problems();
            assert!(problems.len() == 1 && problems.concat().contains(key), "{problems:?}");
        }
        for wrong in [r#""requests_max": 1"#, r#""seconds": 1"#, r#""requests_max": 1, "seconds": 1, "minutes": 1"#] {
            windowed(wrong).unwrap_err();
        }
    }

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Instant {
            Instant(1_000)
        }
    }

    #[test]
    fn the_last_tenth_of_a_window_begins_no_delivery_and_is_there_for_everything_else() {
        let there = |origin: &str| -> Destination {
            let window = r#"{"requests_max": 20, "seconds": 60}"#;
            serde_json::from_str(&format!(r#"{{"origin": "{origin}", "window": {window}}}"#)).unwrap()
        };
        let windows = Windows::of(Arc::new(Stopped), &[there("https://erp.example"), there("https://wms.example")]);
        let [erp, wms, other] =
            ["https://erp.example", "https://wms.example", "https://crm.example"].map(|it| Origin::parse(it).unwrap());
        assert_eq!([&erp, &other].map(|origin| windows.room(origin)), [18, u32::MAX]);
        (0..18).for_each(|_| windows.take(&erp).unwrap());
        assert_eq!((windows.room(&erp), windows.room(&wms)), (0, 18), "each origin has its own");
        (0..2).for_each(|_| windows.take(&erp).unwrap());
        let why = windows.take(&erp).unwrap_err().why(&erp);
        assert!(why.contains("`https://erp.example` gets no more than 20 requests in 60 s"), "{why}");
        assert_eq!(windows.take(&other), Ok(()));
    }

    #[test]
    fn whoever_waited_for_a_window_can_be_told_so_and_until_when_it_is() {
        let window = r#"{"requests_max": 20, "seconds": 60}"#;
        let there = format!(r#"{{"origin": "https://erp.example", "window": {window}}}"#);
        let there: Destination = serde_json::from_str(&there).unwrap();
        let windows = Windows::of(Arc::new(Stopped), &[there]);
        let [erp, other] = ["https://erp.example", "https://crm.example"].map(|it| Origin::parse(it).unwrap());
        let now = Stopped.now();
        (0..18).for_each(|_| windows.take(&erp).unwrap());
        assert_eq!(windows.was_full(&erp, now), None);
        // No delivery begins any more, and whoever asks for something is let through.
        assert_eq!(windows.room(&erp), 0);
        let why = windows.was_full(&erp, now).unwrap();
        assert!(why.contains("all of its 20 requests in 60 s") && why.contains("`window`"), "{why}");
        assert_eq!(windows.held_until(&erp, now), None);
        (0..2).for_each(|_| windows.take(&erp).unwrap());
        let after_ms = i64::try_from(windows.take(&erp).unwrap_err().after_ms).unwrap();
        assert_eq!(windows.held_until(&erp, now), Some(now.plus_ms(after_ms)));
        assert_eq!((windows.held_until(&erp, now.plus_ms(1)), windows.was_full(&erp, now.plus_ms(1))), (None, None));
        assert_eq!((windows.held_until(&other, now), windows.was_full(&other, now)), (None, None));
    }

    proptest! {
        /// Whoever asks, and when: no stretch of the window's length has more than its requests,
        /// what is refused is let through at the time that it is told if nobody else takes it,
        /// and no more is kept than slots.
        #[test]
        fn no_stretch_of_the_windows_length_has_more_than_its_requests(
            requests_max in 1_u32..40,
            seconds in 1_u32..400,
            begin in 0_i64..10_000_000,
            steps in prop::collection::vec((0_i64..30_000, 1_usize..12), 1..100),
        ) {
            let entry = WindowEntry { requests_max, seconds };
            let window_ms = i64::from(seconds) * MS_PER_SECOND;
            let (mut window, mut now, mut let_through) = (Window::default(), begin, Vec::new());
            for (passes_ms, asks) in steps {
                now += passes_ms;
                for _ in 0..asks {
                    let room = window.room(entry, Instant(now));
                    match window.take(entry, Instant(now)) {
                        Ok(()) => {
                            prop_assert!(room > 0);
                            let_through.push(now);
                        }
                        Err(after_ms) => {
                            prop_assert_eq!(room, 0);
                            let again = now + i64::try_from(after_ms).unwrap();
                            let mut then = Window { slots: window.slots.clone(), ..window };
                            prop_assert!(then.take(entry, Instant(again)).is_ok());
                        }
                    }
                }
                prop_assert!(window.slots.len() <= usize::try_from(SLOTS + 1).unwrap());
            }
            for (index, begins) in let_through.iter().enumerate() {
                let within = let_through.partition_point(|at| *at <= begins + window_ms) - index;
                prop_assert!(within <= usize::try_from(requests_max).unwrap(), "{within} from {begins} on");
            }
        }
    }
}
