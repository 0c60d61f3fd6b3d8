//! Who may do what, and who may not judge whose work.

use std::collections::BTreeSet;

use portreeve_model::strict::SourceFile;
use portreeve_model::{Currency, ExceptionAction, ExceptionKind, Instant, Money};
use proptest::prelude::*;

use crate::known::Known;
use crate::people::{Act, Actor, Approvals, Denied, People, Proposed, Stake};

const TEXT: &str = include_str!("../../../portreeve/demo/people.toml");
const QUEUES: [&str; 7] =
    ["fraud-review", "pricing", "credit", "customer-service", "order-desk", "fulfilment", "integration"];

fn known() -> Known {
    Known { queues: QUEUES.iter().map(|queue| (*queue).to_owned()).collect(), plugins: BTreeSet::new() }
}

fn load(text: &str) -> Result<People, String> {
    People::load(&SourceFile { name: "people.toml", text }, &known()).map_err(|errors| errors.to_string())
}

fn demo() -> People {
    load(TEXT).unwrap()
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("USD").unwrap() }
}

fn roles(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn held<'a>(value: &'a Money, makers: &'a [String], owners: &'a [String]) -> Stake<'a> {
    Stake { kind: ExceptionKind::Held, queue: "pricing", value: Some(value), makers, owners }
}

#[test]
fn a_value_decides_how_many_others_have_to_agree() {
    let (people, roles) = (demo(), roles(&["pricing-resolver"]));
    let anna = Actor { name: "anna", email: None, roles: &roles };
    for (minor, approvals) in [(0, 0), (500_000, 0), (500_001, 1), (2_500_000, 1), (2_500_001, 2), (i64::MAX, 2)] {
        let value = usd(minor);
        let needed = people.may_decide(anna, ExceptionAction::ReleaseHolds, held(&value, &[], &[]));
        assert_eq!(needed, Ok(Approvals(approvals)), "{minor}");
        let confirmed = people.may_decide(anna, ExceptionAction::ConfirmHolds, held(&value, &[], &[]));
        assert_eq!(confirmed, Ok(Approvals(0)), "what keeps an order back needs nobody else");
    }
    let yen = Money { minor: 1, currency: Currency::parse("JPY").unwrap() };
    let refused = people.may_decide(anna, ExceptionAction::ReleaseHolds, held(&yen, &[], &[])).unwrap_err().to_string();
    assert!(refused.contains("1 JPY") && refused.contains("[[approval.tier]]"), "{refused}");
}

#[test]
fn a_refusal_names_the_roles_that_would_allow_it() {
    let (people, roles) = (demo(), roles(&["fraud-resolver", "approver", "no-such-role"]));
    let anna = Actor { name: "anna", email: None, roles: &roles };
    let value = usd(90_000_000);
    let told = |denied: Denied| denied.to_string();
    let queue = told(people.may_decide(anna, ExceptionAction::ReleaseHolds, held(&value, &[], &[])).unwrap_err());
    assert_eq!(queue, "no role of `anna` resolves queue `pricing`; `pricing-resolver` would allow it");
    let proposed = Proposed { action: ExceptionAction::ReleaseHolds, by: "ben", approved_by: &[] };
    let tier = told(people.may_approve(anna, proposed, held(&value, &[], &[])).unwrap_err());
    assert_eq!(
        tier,
        "found 900000.00 USD, expected at most 25000.00 USD: more than `anna` may approve; `senior-approver` would allow it"
    );
    let act = told(people.may(anna, Act::Publish).unwrap_err());
    assert_eq!(act, "no role of `anna` may publish; `publisher` would allow it");
    let stake = Stake { kind: ExceptionKind::Delivery, queue: "fraud-review", value: None, makers: &[], owners: &[] };
    let kind = told(people.may_decide(anna, ExceptionAction::ReleaseHolds, stake).unwrap_err());
    assert_eq!(
        kind,
        "an exception of kind `delivery` has no action `release-holds`; it has `retry`, `correct`, `reroute`, `abandon`"
    );
}

#[test]
fn nobody_judges_work_of_the_own_hands_or_the_own_model() {
    let (people, roles) = (demo(), roles(&["pricing-resolver", "approver", "senior-approver"]));
    let anna = Actor { name: "anna", email: Some("Risk@acme.example"), roles: &roles };
    let value = usd(100);
    let (anna_made, anna_owns) = (vec!["anna".to_owned()], vec!["risk@ACME.example".to_owned()]);
    for (makers, owners, word) in
        [(&anna_made[..], &[][..], "mended the input"), (&[][..], &anna_owns[..], "owns the grant")]
    {
        let stake = held(&value, makers, owners);
        let decided = people.may_decide(anna, ExceptionAction::ReleaseHolds, stake).unwrap_err().to_string();
        assert!(decided.contains(word), "{decided}");
        let proposed = Proposed { action: ExceptionAction::ReleaseHolds, by: "ben", approved_by: &[] };
        let approved = people.may_approve(anna, proposed, stake).unwrap_err().to_string();
        assert!(approved.contains(word), "{approved}");
    }
    let own = Proposed { action: ExceptionAction::ReleaseHolds, by: "anna", approved_by: &[] };
    assert!(matches!(people.may_approve(anna, own, held(&value, &[], &[])), Err(Denied::Maker { .. })));
    let twice = Proposed { action: ExceptionAction::ReleaseHolds, by: "ben", approved_by: &anna_made };
    assert!(matches!(people.may_approve(anna, twice, held(&value, &[], &[])), Err(Denied::Maker { .. })));
}

#[test]
fn an_exception_is_due_after_so_many_minutes_in_which_its_people_are_at_work() {
    let people = demo();
    for (opened, due) in [
        // Monday morning in Chicago, four hours later.
        ("2026-03-02T14:00:00Z", "2026-03-02T18:00:00Z"),
        // At night: from eight o'clock on.
        ("2026-03-03T05:00:00Z", "2026-03-03T18:00:00Z"),
        // Friday at three, over the weekend and the beginning of summer time.
        ("2026-03-06T21:00:00Z", "2026-03-09T15:00:00Z"),
        // Over Christmas, which is a Friday.
        ("2026-12-24T22:00:00Z", "2026-12-28T17:00:00Z"),
    ] {
        let at = |text: &str| Instant::parse(text).unwrap();
        assert_eq!(people.due_at("credit", at(opened)), Some(at(due)), "{opened}");
    }
    let opened = Instant::parse("2026-03-07T03:00:00Z").unwrap();
    assert_eq!(people.due_at("fraud-review", opened), Some(opened.plus_ms(480 * Instant::MINUTE_MS)), "always open");
}

#[test]
fn everything_that_is_wrong_with_the_file_is_told_at_once() {
    let broken = TEXT
        .replacen("zone = \"America/Chicago\"", "zone = \"America/Chicage\"", 1)
        .replacen("to = \"17:00\"", "to = \"07:00\"", 1)
        .replacen("calendar = \"always\"", "calendar = \"never\"", 1)
        .replacen("escalates_to = \"order-desk\"", "escalates_to = \"pricing\"", 2)
        .replacen("resolves = [\"integration\"]", "resolves = []", 1)
        .replacen("may = [\"administer\"]", "may = [\"reign\"]", 1)
        .replacen("one_max_minor = 2500000", "one_max_minor = 1", 1)
        .replacen("id = \"viewer\"", "id = \"viewer\"\nresolve = []", 1);
    let told = load(&broken).unwrap_err();
    for expected in [
        "`calendar[0].zone` is `America/Chicage`; expected an IANA time zone",
        "`calendar[0].to` is not later than `from`",
        "`queue[0].calendar` is `never`; expected one of `always`",
        "`queue[1].escalates_to` is `pricing`; expected another of these",
        "`role` is nothing that resolves `integration`",
        "`role` is nothing that may `administer`",
        "`role[10].may` is `reign`; expected one of `operate`, `publish`, `administer`",
        "`approval.tier[0].one_max_minor` is less than `alone_max_minor`",
        "`role[0].resolve` is an unknown key",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

fn an_actor() -> impl Strategy<Value = (String, Vec<String>)> {
    let ids: Vec<String> = demo().roles().map(str::to_owned).collect();
    ("[ab]", prop::collection::vec(prop::sample::select(ids), 0..4))
}

fn a_value() -> impl Strategy<Value = i64> {
    prop_oneof![0..6_000_000_i64, any::<i64>()]
}

proptest! {
    /// Whoever approves is another than whoever proposed, approved before, made or owns it, and
    /// has a tier that covers it, whatever roles it has; and what is done alone is within the tier.
    #[test]
    fn no_roles_let_one_person_be_maker_and_checker_or_approve_above_the_tier(
        (name, roles) in an_actor(),
        (by, approved, makers, owners) in ("[ab]", prop::collection::vec("[ab]", 0..2),
            prop::collection::vec("[ab]", 0..2), prop::collection::vec("[ab]", 0..2)),
        minor in a_value(),
        queue in prop::sample::select(&QUEUES[..]),
        action in prop::sample::select(&ExceptionAction::ALL[..]),
        kind in prop::sample::select(&ExceptionKind::ALL[..]),
    ) {
        let (people, value) = (demo(), usd(minor));
        let actor = Actor { name: &name, email: None, roles: &roles };
        let stake = Stake { kind, queue, value: Some(&value), makers: &makers, owners: &owners };
        let is_own = makers.contains(&name) || owners.contains(&name);
        match people.may_decide(actor, action, stake) {
            Ok(Approvals(needed)) => {
                prop_assert!(kind.actions().contains(&action));
                prop_assert!(people.queues_of(actor).contains(&queue));
                prop_assert!(!(action.is_weighty() || action == ExceptionAction::ConfirmHolds) || !is_own);
                let alone = u8::from(action == ExceptionAction::Correct);
                let least = if minor <= 500_000 { alone } else if minor <= 2_500_000 { 1 } else { 2 };
                prop_assert_eq!(needed, if action.is_weighty() { least } else { 0 });
            }
            Err(denied) => prop_assert!(!denied.to_string().is_empty()),
        }
        let proposed = Proposed { action, by: &by, approved_by: &approved };
        if people.may_approve(actor, proposed, stake).is_ok() {
            prop_assert!(name != by && !approved.contains(&name) && !is_own);
            let most = if roles.iter().any(|role| role == "senior-approver") { 100_000_000 } else { 2_500_000 };
            prop_assert!(minor <= most);
        }
    }

    /// What is due later was not opened before, and more minutes are never less time.
    #[test]
    fn due_times_keep_the_order_of_openings(at in 0..4_000_000_000_000_i64, later in 0..1_000_000_000_i64) {
        let people = demo();
        for queue in QUEUES {
            let due = |at: i64| people.due_at(queue, Instant(at)).unwrap();
            prop_assert!(due(at).0 > at);
            prop_assert!(due(at) <= due(at + later));
        }
    }
}
