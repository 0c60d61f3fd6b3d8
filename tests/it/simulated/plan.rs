//! What goes wrong in a run, drawn for each thing by itself: a number follows from the seed and from
//! what it is drawn for, a write of this order, the turn of this word, and never from who came first.
//!
//! Danger: deliveries are under way side by side, and which of them ends first is the machine's matter.
//! Were faults drawn from one stream, or counted in calls, then the same seed would hit other orders in
//! each run, and a failure that was seen once would be seen by nobody else.
//!
//! Writes of the road fail by what they are about, each thing's write at most once. Those that are about
//! no order (a claim, a poll, the log's next part) fail by the step of the run that they are made in, and
//! there the first of them does. What was drawn is kept, for two runs to be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use portreeve_model::{Digest, OrderId};
use portreeve_store::contract::DocumentPosition;

use crate::faults::{About, Fault};

/// Of ten thousand writes of the road so many fail: one or two in a round of orders.
pub(super) const FAULTS_PER_10_000: u64 = 5;

/// Of a hundred steps so many have a fault at a write that is about no order.
pub(super) const STEPS_PERCENT: u64 = 30;

/// Writes that are about no order.
pub(super) const OF_A_STEP: [&str; 5] = ["claim", "append_sequenced", "claim_poll", "journal_polled", "end_poll"];

/// A stream of numbers that a seed gives: SplitMix64 (Steele, Lea and Flood, 2014).
pub(super) struct Draw(u64);

impl Draw {
    /// What is drawn for one thing of a kind.
    pub(super) fn of(seed: u64, kind: &str, of: &[&str]) -> Self {
        let seed = seed.to_be_bytes();
        let parts: Vec<&[u8]> =
            [seed.as_slice(), kind.as_bytes()].into_iter().chain(of.iter().map(|part| part.as_bytes())).collect();
        Self(u64::from_be_bytes(*Digest::of_parts(&parts).as_bytes().first_chunk().unwrap()))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// True so often of a hundred times.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn fault(&mut self) -> Fault {
        if self.percent(50) { Fault::NotPersisted } else { Fault::PersistedButFailed }
    }
}

/// What was drawn, by what it was drawn for.
pub(super) type Record = BTreeMap<String, String>;

/// What is to go wrong at the host's writes.
pub(super) struct Plan {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record: Record,
    /// What is sent now, by which the next input is known.
    sending: String,
    /// Documents about each order, in the order in which they were decided first.
    decided: BTreeMap<OrderId, Vec<DocumentPosition>>,
    /// What is still to fail in this step.
    of_step: Option<(&'static str, Fault)>,
    has_failed: bool,
    is_on: bool,
    pauses: bool,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::default() }
    }

    /// The next step begins. In it, and until [`Self::rest`], writes fail as planned.
    pub(super) fn step(&self, step: u32) {
        let mut draw = Draw::of(self.seed, "a step's write", &[&step.to_string()]);
        let of_step = draw.percent(STEPS_PERCENT).then(|| (OF_A_STEP[draw.below(OF_A_STEP.len())], draw.fault()));
        let mut state = self.lock();
        state.record.insert(format!("step {step}"), said(of_step.as_ref()));
        (state.of_step, state.is_on) = (of_step, true);
    }

    /// Nothing fails any more, until the next step begins.
    pub(super) fn rest(&self) {
        self.lock().is_on = false;
    }

    /// Within a step nothing fails for a while.
    pub(super) fn pauses(&self, pauses: bool) {
        self.lock().pauses = pauses;
    }

    /// The next input that is journaled is known by this.
    pub(super) fn sends(&self, what: String) {
        self.lock().sending = what;
    }

    /// Whether anything failed since somebody asked.
    pub(super) fn took_effect(&self) -> bool {
        std::mem::take(&mut self.lock().has_failed)
    }

    /// How this write fails; it is asked before each.
    pub(super) fn fails(&self, write: &str, about: &[About]) -> Option<Fault> {
        let mut state = self.lock();
        if !state.is_on || state.pauses {
            return None;
        }
        let of_step = state.of_step;
        let fault = match of_step {
            Some((of_step, fault)) if of_step == write => {
                state.of_step = None;
                Some(fault)
            }
            _ => self.drawn(&mut state, write, about),
        };
        state.has_failed |= fault.is_some();
        fault
    }

    /// One that fails for several things at once fails for the first of them; what is drawn for the
    /// others is on record all the same.
    fn drawn(&self, state: &mut State, write: &str, about: &[About]) -> Option<Fault> {
        let mut first = None;
        for about in about {
            let key = match about {
                About::Input => format!("{write} {}", state.sending),
                About::Document(order, position) => {
                    let known = state.decided.entry(*order).or_default();
                    let place = known.iter().position(|known| known == position).unwrap_or_else(|| {
                        known.push(*position);
                        known.len() - 1
                    });
                    format!("{write} {order} {place}")
                }
                About::Delivery(delivery) => format!("{write} {delivery}"),
            };
            if state.record.contains_key(&key) {
                continue;
            }
            let fault = drawn_for(self.seed, &key);
            state.record.insert(key, said(fault.as_ref()));
            first = first.or(fault);
        }
        first
    }

    pub(super) fn record(&self) -> Record {
        self.lock().record.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// How a write fails that is about something.
fn drawn_for(seed: u64, key: &str) -> Option<Fault> {
    let mut draw = Draw::of(seed, "a write", &[key]);
    (draw.next() % 10_000 < FAULTS_PER_10_000).then(|| draw.fault())
}

fn said<T: std::fmt::Debug>(drawn: Option<&T>) -> String {
    drawn.map_or_else(|| "nothing".to_owned(), |drawn| format!("{drawn:?}"))
}

/// What two records do not have in common, each once.
pub(super) fn differences(first: &Record, second: &Record) -> Vec<String> {
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let of = |record: &Record, key: &String| record.get(key).map_or("not drawn", String::as_str).to_owned();
    let both = keys.into_iter().map(|key| (key, of(first, key), of(second, key)));
    both.filter(|(_, one, other)| one != other).map(|(key, one, other)| format!("{key}: {one}, then {other}")).collect()
}

#[test]
fn writes_fail_about_as_often_as_is_said_in_both_ways_and_another_seed_hits_others() {
    let keys: Vec<String> = (0..100_000).map(|n| format!("settle order {n}")).collect();
    let hit = |seed: u64| -> Record {
        let faults = keys.iter().filter_map(|key| Some((key.clone(), format!("{:?}", drawn_for(seed, key)?))));
        faults.collect()
    };
    let runs = [1, 2].map(hit);
    for run in &runs {
        assert!((30..75).contains(&run.len()), "{} of about 50", run.len());
        let lost = run.values().filter(|fault| *fault == "NotPersisted").count();
        assert!(lost > 5 && run.len() - lost > 5, "{lost} of {}", run.len());
    }
    assert!(runs[0].keys().filter(|key| runs[1].contains_key(*key)).count() < 10);
    assert_eq!(differences(&runs[0], &hit(1)), Vec::<String>::new());
    assert!(differences(&runs[0], &runs[1]).iter().any(|difference| difference.contains("not drawn")));
}

#[test]
fn each_write_that_is_about_no_order_fails_in_some_steps_and_most_steps_have_no_such_fault() {
    let plan = Plan::new(3);
    (0..1_000).for_each(|step| plan.step(step));
    let record = plan.record();
    let nothing = record.values().filter(|drawn| *drawn == "nothing").count();
    assert!((640..760).contains(&nothing), "{nothing} of about 700");
    for write in OF_A_STEP {
        for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
            let name = format!("(\"{write}\", {fault:?})");
            let found = record.values().filter(|drawn| **drawn == name).count();
            assert!((10..55).contains(&found), "{name}: {found} of about 30");
        }
    }
}

#[test]
fn a_write_fails_once_for_what_it_is_about_and_never_while_nothing_is_planned() {
    // Of so many deliveries some are hit.
    let deliveries: Vec<About> = (0..20_000).map(|n| About::Delivery(format!("order {n}"))).collect();
    let plan = Plan::new(5);
    let tried =
        |plan: &Plan| deliveries.iter().filter(|it| plan.fails("settle", std::slice::from_ref(it)).is_some()).count();
    assert_eq!((tried(&plan), plan.took_effect()), (0, false));
    assert_eq!(plan.record(), Record::new());
    plan.step(1);
    let hit = tried(&plan);
    assert!(hit > 2 && plan.took_effect() && !plan.took_effect(), "{hit}");
    assert_eq!(tried(&plan), 0, "each was drawn for");
    plan.rest();
    assert_eq!(plan.fails("begin_attempt", &deliveries), None);
    // In whichever order they come, and however many of them at once, the same are hit.
    let again = Plan::new(5);
    again.step(1);
    for several in deliveries.rchunks(7) {
        again.fails("settle", several);
    }
    assert_eq!(differences(&plan.record(), &again.record()), Vec::<String>::new());
}
