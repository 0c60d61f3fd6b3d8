//! Whatever a plugin proposes, about whatever order: no verdict exceeds its grant.

use std::sync::LazyLock;

use portreeve_model::advice::{HoldScope, OtherAdvice};
use portreeve_model::{Currency, Money, Proposal, Recommendation};
use proptest::prelude::*;

use super::{NOW, PERMIT_ALL, decide_at, grant_with, hold_of, load, subject};
use crate::{Authority, Beyond, BudgetSpent, Clause, Code, Counters, Effect, Outcome, Rung, Subject};

/// A forbid that is denied or overflows for many orders, so that all answers occur.
const MIXED: &str = r#"
@id("some") permit (principal, action, resource) when { context.score_bp > 5000 };
@id("odd") forbid (principal, action, resource) when { context.channel == "edi" };
@id("errs") forbid (principal, action, resource)
when { context.order_value_minor + context.value_held_today_minor < 0 };
"#;

static AUTHORITIES: LazyLock<Vec<Authority>> = LazyLock::new(|| {
    ["narrow", "fall", "refuse"]
        .iter()
        .flat_map(|beyond| ["queue", "release"].map(|spent| (*beyond, spent)))
        .flat_map(|(beyond, spent)| {
            let beyond = format!("beyond = \"{beyond}\"");
            let spent = format!("budget_spent = \"{spent}\"");
            let grant = grant_with(&[("beyond = \"narrow\"", &beyond), ("budget_spent = \"queue\"", &spent)]);
            [PERMIT_ALL, MIXED, ""].map(|policies| load(&grant, policies))
        })
        .collect()
});

fn proposals() -> impl Strategy<Value = Proposal> {
    let queue = prop_oneof!["fraud-review", "pricing", "credit", ".{0,20}"];
    let scope = prop_oneof![Just(HoldScope::Order), prop::collection::vec("[0-4]", 0..3).prop_map(HoldScope::Lines),];
    let minutes = prop_oneof![0..6000_u32, any::<u32>()];
    let other = || OtherAdvice { kind: "release".to_owned(), body: vec![1] };
    prop_oneof![
        4 => (scope, minutes).prop_map(|(scope, minutes)| hold_of(scope, minutes)),
        2 => queue.clone().prop_map(Proposal::Route),
        2 => queue.clone().prop_map(|queue| Proposal::Recommend(Recommendation::Review(queue))),
        1 => queue.prop_map(|queue| Proposal::Recommend(Recommendation::Disposition(queue))),
        1 => Just(Proposal::Recommend(Recommendation::Other(other()))),
        1 => Just(Proposal::Other(other())),
    ]
}

fn subjects() -> impl Strategy<Value = Subject> {
    let minor = prop_oneof![0..5_000_000_i64, 5_000_000..15_000_000_i64, any::<i64>()];
    let class = prop_oneof![
        3 => Just(Some("new".to_owned())),
        1 => Just(None),
        1 => Just(Some("key-account".to_owned())),
    ];
    let currency = prop_oneof![4 => Just("USD"), 1 => Just("EUR")];
    (minor, class, currency, any::<bool>()).prop_map(|(minor, customer_class, currency, edi)| {
        let mut subject = subject();
        subject.value = Money { minor, currency: Currency::parse(currency).unwrap() };
        subject.customer_class = customer_class;
        if edi {
            subject.channel = portreeve_model::ChannelId::parse("edi").unwrap();
        }
        subject
    })
}

fn counters() -> impl Strategy<Value = Counters> {
    let value = prop_oneof![0..120_000_000_i64, any::<i64>()];
    (0..70_u32, 0..30_u32, value, any::<u32>()).prop_map(
        |(holds_last_hour, routes_last_hour, value_held_today_minor, orders_last_hour)| Counters {
            holds_last_hour,
            routes_last_hour,
            value_held_today_minor,
            orders_last_hour,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_verdict_exceeds_its_grant(
        index in 0..18_usize, proposal in proposals(), subject in subjects(), counters in counters(),
    ) {
        let authority = AUTHORITIES.get(index).unwrap();
        let grant = authority.grants().first().unwrap();
        let ceiling = grant.hold.as_ref().unwrap();
        let verdict = decide_at(authority, &proposal, &subject, &counters, NOW);

        // Whatever it explains itself with, people have words for.
        prop_assert!(verdict.clauses().iter().all(|clause| Clause::about(clause.name).is_some()));
        prop_assert!(Code::ALL.contains(&verdict.code()));

        // A verdict never climbs, and every effect has a policy behind it.
        prop_assert!(verdict.effect().rung() <= verdict.proposed());
        prop_assert_eq!(verdict.outcome() == Outcome::Refused, *verdict.effect() == Effect::RecordOnly);
        if *verdict.effect() != Effect::RecordOnly {
            prop_assert!(!verdict.policies().is_empty());
            prop_assert!(subject.customer_class.as_deref() == Some("new"));
        }
        match verdict.effect() {
            Effect::Hold { minutes, until, queue, .. } => {
                prop_assert!(*minutes <= ceiling.minutes_max && *minutes >= 1);
                prop_assert_eq!(until.0, NOW.0 + i64::from(*minutes) * 60_000);
                prop_assert!(subject.value.minor <= ceiling.order_value_max.minor);
                prop_assert_eq!(subject.value.currency, ceiling.order_value_max.currency);
                prop_assert!(counters.holds_last_hour < ceiling.holds_per_hour_max);
                let held = i128::from(counters.value_held_today_minor.max(0)) + i128::from(subject.value.minor.max(0));
                prop_assert!(held <= i128::from(ceiling.value_held_per_day_max_minor.unwrap()));
                prop_assert!(grant.queues.contains(queue));
            }
            Effect::Route { minutes, until, queue } => {
                let route = grant.route.as_ref().unwrap();
                prop_assert_eq!(until.0, NOW.0 + i64::from(*minutes) * 60_000);
                prop_assert!(subject.value.minor <= route.order_value_max.minor);
                prop_assert_eq!(subject.value.currency, route.order_value_max.currency);
                prop_assert!(grant.queues.contains(queue));
                if verdict.kept_by_host() {
                    // The host keeps it in the stead of a hold, no longer than that, and says so.
                    prop_assert!(verdict.budget_spent() && verdict.proposed() == Some(Rung::Hold));
                    prop_assert!(*minutes <= ceiling.minutes_max.max(route.minutes_max));
                    prop_assert_eq!(ceiling.budget_spent, BudgetSpent::Queue);
                } else {
                    prop_assert_eq!(*minutes, route.minutes_max);
                    prop_assert!(counters.routes_last_hour < route.routes_per_hour_max);
                }
            }
            Effect::Recommend(Recommendation::Review(queue)) => prop_assert!(grant.queues.contains(queue)),
            Effect::Recommend(_) => prop_assert!(false, "only reviews are granted"),
            Effect::RecordOnly => {}
        }
    }

    #[test]
    fn a_share_of_an_hour_is_never_exceeded_beyond_its_floor(
        max_bp in 1..9_999_u32, floor in 0..4_u32, proposed in prop::collection::vec(any::<bool>(), 1..80),
    ) {
        let share = format!("holds_per_hour_max = 1000000\nheld_share_max_bp = {max_bp}\nheld_share_floor = {floor}");
        let authority = load(&grant_with(&[("holds_per_hour_max = 50", &share)]), PERMIT_ALL);
        let (mut holds, mut orders) = (0_u32, 0_u32);
        for wants in proposed {
            let counters = Counters { holds_last_hour: holds, orders_last_hour: orders, ..Counters::default() };
            if wants {
                let verdict = decide_at(&authority, &hold_of(HoldScope::Order, 60), &subject(), &counters, NOW);
                holds += u32::from(matches!(verdict.effect(), Effect::Hold { .. }));
            }
            orders += 1;
            prop_assert!(holds <= floor || u64::from(holds) * 10_000 <= u64::from(orders) * u64::from(max_bp));
        }
    }

    #[test]
    fn what_is_beyond_a_ceiling_is_never_granted(
        index in 0..18_usize, proposal in proposals(), subject in subjects(), counters in counters(),
    ) {
        let authority = AUTHORITIES.get(index).unwrap();
        let grant = authority.grants().first().unwrap();
        let ceiling = grant.hold.as_ref().unwrap();
        let verdict = decide_at(authority, &proposal, &subject, &counters, NOW);
        let Proposal::Hold(hold) = &proposal else { return Ok(()); };
        let beyond = hold.minutes > ceiling.minutes_max
            || subject.value.currency != ceiling.order_value_max.currency
            || subject.value.minor > ceiling.order_value_max.minor;
        if beyond {
            prop_assert_ne!(verdict.outcome(), Outcome::Granted);
            prop_assert!(verdict.clauses().iter().any(|clause| !clause.held));
            if grant.beyond == Beyond::Refuse {
                prop_assert_eq!(verdict.outcome(), Outcome::Refused);
            }
        }
    }

    #[test]
    fn a_refusal_by_cedar_never_yields_an_effect(
        index in 0..18_usize, proposal in proposals(), subject in subjects(), counters in counters(),
    ) {
        let authority = AUTHORITIES.get(index).unwrap();
        let verdict = decide_at(authority, &proposal, &subject, &counters, NOW);
        let asked = verdict.clauses().iter().find(|clause| clause.name == "policy");
        match asked {
            Some(clause) if clause.held => prop_assert_ne!(verdict.effect(), &Effect::RecordOnly),
            Some(_) => {
                prop_assert!(matches!(verdict.code(), Code::PolicyDenied | Code::PolicyError));
                prop_assert_eq!(verdict.effect(), &Effect::RecordOnly);
            }
            None => prop_assert_eq!(verdict.effect(), &Effect::RecordOnly),
        }
    }
}
