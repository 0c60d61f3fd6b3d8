//! What is paused, for whom and for how long, and that nothing is kept of what works.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant(0);

const SCORE: Call = Call::Score;

fn component() -> Digest {
    Digest::of(b"component")
}

fn channel() -> ChannelId {
    ChannelId::parse("edi").unwrap()
}

/// Some senders, by number, and what they cause.
struct Senders {
    channel: ChannelId,
    ids: Vec<SenderId>,
}

impl Senders {
    fn some() -> Self {
        let ids = (0..4).map(|number| SenderId::authenticated(format!("sender-{number}"))).collect();
        Self { channel: channel(), ids }
    }

    fn cause(&self, number: usize) -> Cause<'_> {
        Cause::Sender { channel: &self.channel, sender: &self.ids[number] }
    }

    fn causes(&self) -> impl Iterator<Item = Cause<'_>> {
        (0..self.ids.len()).map(|number| self.cause(number))
    }
}

fn call(quarantine: &Quarantine, cause: Cause<'_>, failed: bool, now: Instant) -> Option<Turn> {
    quarantine.pass(component(), SCORE, cause, || now).unwrap().ended(failed, || now)
}

fn is_open(quarantine: &Quarantine, cause: Cause<'_>, now: Instant) -> bool {
    quarantine.paused_for(component(), SCORE, cause, || now).is_none()
}

/// As many failures as it takes; the last one's turn.
fn fail(quarantine: &Quarantine, cause: Cause<'_>, now: Instant) -> Option<Turn> {
    for _ in 1..IN_A_ROW_MAX {
        assert_eq!(call(quarantine, cause, true, now), None);
    }
    call(quarantine, cause, true, now)
}

fn quarantined(until: Instant, scope: Scope) -> Option<Turn> {
    Some(Turn::Quarantined { until, scope })
}

fn restored(scope: Scope) -> Option<Turn> {
    Some(Turn::Restored { scope })
}

#[test]
fn one_senders_failures_pause_that_sender_and_nobody_else() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    let (bad, good) = (senders.cause(0), senders.cause(1));
    let until = NOW.plus_ms(PAUSE_MS);
    assert_eq!(fail(&quarantine, bad, NOW), quarantined(until, Scope::Cause));
    let paused = quarantine.pass(component(), SCORE, bad, || NOW).unwrap_err();
    assert_eq!(paused, Paused { until, scope: Scope::Cause });
    assert_eq!(call(&quarantine, good, false, NOW), None);
    let of = Some((SCORE, "sender `sender-0` of channel `edi`".to_owned()));
    assert_eq!(quarantine.paused(), [Standing { component: component(), until, of }]);
    // Nor another export, of which nothing is known.
    assert!(quarantine.pass(component(), Call::Receive, bad, || NOW).is_ok());
    assert_eq!(call(&quarantine, bad, false, until), restored(Scope::Cause));
    assert_eq!(quarantine.paused(), []);
}

#[test]
fn a_target_that_hangs_keeps_its_own_deliveries_back_and_no_other_targets() {
    let quarantine = Quarantine::default();
    let deliver = |target, failed| {
        let pass = quarantine.pass(component(), Call::Deliver, Cause::Target(target), || NOW);
        pass.map(|pass| pass.ended(failed, || NOW))
    };
    for _ in 0..IN_A_ROW_MAX {
        deliver("hangs", true).unwrap();
    }
    assert!(deliver("hangs", false).is_err());
    assert_eq!(deliver("works", false), Ok(None));
    assert!(quarantine.pass(component(), Call::Find, Cause::Target("hangs"), || NOW).is_ok());
}

#[test]
fn what_fails_for_two_and_works_for_nobody_is_paused_as_a_whole_and_then_tried_once_with_growing_pauses() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    fail(&quarantine, senders.cause(0), NOW);
    let (mut now, mut pause) = (NOW, PAUSE_MS);
    assert_eq!(fail(&quarantine, senders.cause(1), NOW), quarantined(NOW.plus_ms(pause), Scope::Component));
    for cause in senders.causes().chain([Cause::Target("erp")]) {
        for export in [SCORE, Call::Deliver] {
            let paused = quarantine.pass(component(), export, cause, || NOW).unwrap_err();
            assert_eq!(paused, Paused { until: NOW.plus_ms(PAUSE_MS), scope: Scope::Component });
        }
    }
    assert_eq!(quarantine.paused().len(), 1, "the component, and no sender apart from it");
    for _ in 0..8 {
        now = now.plus_ms(pause);
        let trial = quarantine.pass(component(), SCORE, senders.cause(2), || now).unwrap();
        assert!(!is_open(&quarantine, senders.cause(3), now), "one at a time");
        pause = (pause * 2).min(PAUSE_MS_MAX);
        assert_eq!(trial.ended(true, || now), quarantined(now.plus_ms(pause), Scope::Component));
    }
    assert_eq!(pause, PAUSE_MS_MAX);
    now = now.plus_ms(pause);
    assert_eq!(call(&quarantine, senders.cause(3), false, now), restored(Scope::Component));
    assert!(senders.causes().all(|cause| is_open(&quarantine, cause, now)));
    assert_eq!(call(&quarantine, senders.cause(0), true, now), None, "with a clean sheet");
    assert_eq!(quarantine.paused(), []);
}

#[test]
fn what_works_for_others_is_not_paused_for_them_however_many_fail() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    for bad in 0..3 {
        assert_eq!(fail(&quarantine, senders.cause(bad), NOW), quarantined(NOW.plus_ms(PAUSE_MS), Scope::Cause));
        assert_eq!(call(&quarantine, senders.cause(3), false, NOW), None);
    }
    // When they are tried again in vain, too.
    let mut now = NOW;
    for _ in 0..4 {
        now = now.plus_ms(PAUSE_MS_MAX);
        for bad in 0..3 {
            let turn = call(&quarantine, senders.cause(bad), true, now);
            assert!(matches!(turn, Some(Turn::Quarantined { scope: Scope::Cause, .. })), "{turn:?}");
            assert_eq!(call(&quarantine, senders.cause(3), false, now), None);
        }
    }
    // As soon as it works for nobody, it is the component.
    let turn = fail(&quarantine, senders.cause(3), now);
    assert!(matches!(turn, Some(Turn::Quarantined { scope: Scope::Cause, .. })), "it just worked: {turn:?}");
    let turn = call(&quarantine, senders.cause(0), true, now.plus_ms(PAUSE_MS_MAX));
    assert!(matches!(turn, Some(Turn::Quarantined { scope: Scope::Component, .. })), "{turn:?}");
}

#[test]
fn one_that_fails_at_every_other_call_is_paused_and_one_that_fails_now_and_then_is_not() {
    let senders = Senders::some();
    let quarantine = Quarantine::default();
    for round in 0..200 {
        assert_eq!(call(&quarantine, senders.cause(0), round % 3 == 0, NOW), None, "a third of the calls");
    }
    let quarantine = Quarantine::default();
    let turns = (0..64).filter_map(|round| {
        let pass = quarantine.pass(component(), SCORE, senders.cause(0), || NOW).ok()?;
        pass.ended(round % 2 == 0, || NOW)
    });
    assert_eq!(turns.count(), 1);
}

#[test]
fn what_began_before_the_pause_changes_nothing_and_a_trial_that_is_dropped_is_given_back() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    let cause = senders.cause(0);
    let early = || quarantine.pass(component(), SCORE, cause, || NOW).unwrap();
    let (well, badly) = (early(), early());
    fail(&quarantine, cause, NOW);
    assert_eq!((well.ended(false, || NOW), badly.ended(true, || NOW)), (None, None));
    let later = NOW.plus_ms(PAUSE_MS);
    drop(quarantine.pass(component(), SCORE, cause, || later).unwrap());
    assert_eq!(call(&quarantine, cause, false, later), restored(Scope::Cause));
}

#[test]
fn an_operator_begins_anew_and_another_component_has_a_sheet_of_its_own() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    fail(&quarantine, senders.cause(0), NOW);
    fail(&quarantine, senders.cause(1), NOW);
    assert!(quarantine.pass(Digest::of(b"another"), SCORE, senders.cause(0), || NOW).is_ok());
    quarantine.forget(component());
    assert_eq!(call(&quarantine, senders.cause(0), true, NOW), None);
}

#[test]
fn a_trial_that_began_before_an_operator_began_anew_changes_nothing() {
    for causes in [1, 2] {
        let (quarantine, senders) = (Quarantine::default(), Senders::some());
        let (first, later) = (senders.cause(0), NOW.plus_ms(PAUSE_MS));
        let trial = || {
            (0..causes).for_each(|number| assert!(fail(&quarantine, senders.cause(number), NOW).is_some()));
            quarantine.pass(component(), SCORE, first, || later).unwrap()
        };
        let before = trial();
        quarantine.forget(component());
        assert_eq!(before.ended(true, || later), None);
        assert!(is_open(&quarantine, first, later), "{causes}");

        // Nor does it end or give back a trial that began since.
        let (dropped, ended) = (trial(), {
            quarantine.forget(component());
            trial()
        });
        quarantine.forget(component());
        let since = trial();
        drop(dropped);
        assert_eq!(ended.ended(false, || later), None);
        assert!(!is_open(&quarantine, first, later), "{causes}");
        assert!(since.ended(false, || later).is_some());
    }
}

#[test]
fn whoever_has_a_paused_call_tried_at_once_ends_nothing_by_that() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    let name = |number| calls_of(SCORE, senders.cause(number));
    assert!(!quarantine.try_now(component(), Some(&name(0)), NOW));
    fail(&quarantine, senders.cause(0), NOW);
    for other in [None, Some(name(1)), Some(calls_of(Call::Receive, senders.cause(0)))] {
        assert!(!quarantine.try_now(component(), other.as_deref(), NOW));
    }
    assert!(!is_open(&quarantine, senders.cause(0), NOW));
    assert!(quarantine.try_now(component(), Some(&name(0)), NOW));
    let tried = quarantine.pass(component(), SCORE, senders.cause(0), || NOW).unwrap();
    assert!(!is_open(&quarantine, senders.cause(0), NOW), "one call");
    let longer = Turn::Quarantined { until: NOW.plus_ms(2 * PAUSE_MS), scope: Scope::Cause };
    assert_eq!(tried.ended(true, || NOW), Some(longer), "it was in vain");

    fail(&quarantine, senders.cause(1), NOW);
    assert!(quarantine.try_now(component(), None, NOW), "of all calls");
    assert_eq!(call(&quarantine, senders.cause(2), false, NOW), restored(Scope::Component));
}

#[test]
fn whoever_only_looks_opens_and_ends_no_pause_and_is_not_served_during_one() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    let stranger = Cause::Looking { channel: &senders.channel, sender: None };
    let preview = |number: usize| Cause::Looking { channel: &senders.channel, sender: Some(&senders.ids[number]) };
    for _ in 0..100 {
        assert_eq!(call(&quarantine, stranger, true, NOW), None);
        assert_eq!(call(&quarantine, preview(0), true, NOW), None);
    }
    fail(&quarantine, senders.cause(0), NOW);
    let other = ChannelId::parse("shop").unwrap();
    assert!(is_open(&quarantine, Cause::Looking { channel: &other, sender: None }, NOW));
    assert!(is_open(&quarantine, preview(1), NOW));
    for cause in [stranger, preview(0)] {
        assert!(!is_open(&quarantine, cause, NOW));
        assert!(quarantine.pass(component(), SCORE, cause, || NOW).is_err());
    }
    // It tries nothing: the pause is as it was, and the next call of the sender tries it.
    let later = NOW.plus_ms(PAUSE_MS);
    for failed in [false, true] {
        assert_eq!(call(&quarantine, stranger, failed, later), None);
    }
    assert_eq!(quarantine.paused().len(), 1);
    assert_eq!(call(&quarantine, senders.cause(0), false, later), restored(Scope::Cause));
}

#[test]
fn nothing_is_kept_of_what_works() {
    let (quarantine, senders) = (Quarantine::default(), Senders::some());
    assert_eq!(call(&quarantine, senders.cause(0), false, NOW), None);
    assert!(quarantine.components().is_empty());
    for cause in senders.causes().chain([Cause::Target("erp")]) {
        call(&quarantine, cause, true, NOW);
        for _ in 0..LOOKED_BACK_AT {
            assert!(!quarantine.components().is_empty());
            call(&quarantine, cause, false, NOW);
        }
        assert!(quarantine.components().is_empty());
    }
}

/// Calls: whose, whether it fails, and how much time passes before it.
fn calls() -> impl Strategy<Value = Vec<(usize, bool, i64)>> {
    proptest::collection::vec((0_usize..4, any::<bool>(), 0_i64..2 * PAUSE_MS), 0..200)
}

/// Makes those of the calls that are open.
fn make(quarantine: &Quarantine, senders: &Senders, calls: &[(usize, bool, i64)]) -> Instant {
    let mut now = NOW;
    for (number, failed, passed_ms) in calls {
        now = now.plus_ms(*passed_ms);
        if let Ok(pass) = quarantine.pass(component(), SCORE, senders.cause(*number), || now) {
            let _turn = pass.ended(*failed, || now);
        }
    }
    now
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However one cause fails, the others are called.
    #[test]
    fn one_cause_alone_never_pauses_another(calls in calls(), bad in 0_usize..4) {
        let (quarantine, senders) = (Quarantine::default(), Senders::some());
        let mut now = NOW;
        for (number, failed, passed_ms) in calls {
            now = now.plus_ms(passed_ms);
            let pass = quarantine.pass(component(), SCORE, senders.cause(number), || now);
            prop_assert!(pass.is_ok() || number == bad);
            let turn = pass.ok().and_then(|pass| pass.ended(failed && number == bad, || now));
            let whole = matches!(
                turn,
                Some(Turn::Quarantined { scope: Scope::Component, .. } | Turn::Restored { scope: Scope::Component })
            );
            prop_assert!(!whole, "{turn:?}");
        }
    }

    /// Whatever was before: when two causes fail and nobody's calls come back well, all are paused.
    #[test]
    fn two_failing_causes_pause_all(calls in calls(), bad in 0_usize..4, other in 1_usize..4) {
        let (quarantine, senders) = (Quarantine::default(), Senders::some());
        let mut now = make(&quarantine, &senders, &calls);
        let bad = [bad, (bad + other) % 4];
        for _ in 0..2 * IN_A_ROW_MAX {
            now = now.plus_ms(PAUSE_MS_MAX);
            for number in bad {
                if let Ok(pass) = quarantine.pass(component(), SCORE, senders.cause(number), || now) {
                    let _turn = pass.ended(true, || now);
                }
            }
        }
        prop_assert!(senders.causes().all(|cause| !is_open(&quarantine, cause, now)));
        prop_assert!(quarantine.pass(component(), Call::Deliver, Cause::Target("erp"), || now).is_err());
    }

    /// Whatever was before: when the pauses are over and calls come back well, everything is
    /// called, and in the end nothing is remembered but that there was something.
    #[test]
    fn good_calls_restore_everything(calls in calls()) {
        let (quarantine, senders) = (Quarantine::default(), Senders::some());
        let now = make(&quarantine, &senders, &calls).plus_ms(PAUSE_MS_MAX);
        for _ in 0..=LOOKED_BACK_AT {
            for cause in senders.causes() {
                let pass = quarantine.pass(component(), SCORE, cause, || now);
                prop_assert!(pass.is_ok());
                let _turn = pass.unwrap().ended(false, || now);
            }
        }
        prop_assert_eq!(quarantine.paused(), []);
        prop_assert!(quarantine.components().values().all(|component| component.exports.is_empty()));
    }
}
