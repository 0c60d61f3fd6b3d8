//! One test per clause of a grant, per rung of the ladder, and per way in which
//! Cedar can say no.

use portreeve_model::advice::{DateProposal, HoldScope, OtherAdvice, PriceProposal, RankedNode};
use portreeve_model::value::UnitPrice;
use portreeve_model::{Currency, Date, Digest, Instant, PluginName, Proposal, Recommendation};

use super::{
    GRANT, NO_ROUTES, NOW, PERMIT_ALL, ROUTES, decide, decide_at, grant_with, hold, hold_of, load, route, subject, usd,
};
use crate::{Advice, Authority, Code, Counters, Effect, Outcome, Reserve, Rung, ShareCeiling, Verdict};

fn usual() -> Authority {
    load(GRANT, PERMIT_ALL)
}

fn route_to(queue: &str) -> Effect {
    kept(queue, 1440)
}

fn kept(queue: &str, minutes: u32) -> Effect {
    Effect::Route { queue: queue.to_owned(), minutes, until: Instant(NOW.0 + i64::from(minutes) * 60_000) }
}

fn review(queue: &str) -> Proposal {
    Proposal::Recommend(Recommendation::Review(queue.to_owned()))
}

fn check_refused(verdict: &Verdict, code: Code) {
    assert_eq!(verdict.code(), code, "{}", verdict.summary());
    assert_eq!(verdict.outcome(), Outcome::Refused);
    assert_eq!(*verdict.effect(), Effect::RecordOnly);
}

#[test]
fn grants_a_hold_within_its_ceilings_and_says_who_decided() {
    let verdict = decide(&usual(), &hold(60), &subject());
    let expected = Effect::Hold {
        scope: HoldScope::Order,
        minutes: 60,
        until: Instant(NOW.0 + 3_600_000),
        queue: "fraud-review".to_owned(),
    };
    assert_eq!(*verdict.effect(), expected);
    assert_eq!(verdict.outcome(), Outcome::Granted);
    assert_eq!(verdict.grant(), Some("fraud-hold"));
    assert_eq!(verdict.owner(), Some("risk@distributor.example"));
    assert_eq!(verdict.policies(), ["all"]);
    assert_eq!(verdict.order(), subject().order);
    assert!(verdict.clauses().iter().all(|clause| clause.held));
    let summary = "granted: `fraud` asked to hold, hold the order for 60 min in `fraud-review` \
                   (granted; grant fraud-hold)";
    assert_eq!(verdict.summary(), summary);
}

#[test]
fn looks_at_the_clauses_in_reading_order() {
    let names: Vec<_> = decide(&usual(), &hold(60), &subject()).clauses().iter().map(|clause| clause.name).collect();
    let expected = [
        "expires",
        "customer_classes",
        "minutes",
        "may",
        "order_value_max_minor",
        "hold_minutes_max",
        "holds_per_hour_max",
        "value_held_per_day_max_minor",
        "policy",
    ];
    assert_eq!(names, expected);
}

#[test]
fn refuses_a_plugin_without_a_grant() {
    let plugin = PluginName::parse("margin").unwrap();
    let proposal = hold(60);
    let advice = Advice {
        plugin: &plugin,
        publisher: "portreeve",
        digest: Digest::of(b"component"),
        score_bp: 1,
        proposal: &proposal,
    };
    let verdict = usual().decide(&advice, &subject(), &Counters::default(), NOW);
    check_refused(&verdict, Code::NoGrant);
    assert_eq!(verdict.grant(), None);
}

#[test]
fn refuses_another_publisher() {
    let component = format!("\ndigests = [\"{}\"]", Digest::of(b"component"));
    for digests in ["", &component] {
        let by = |publisher: &str| {
            let keys = format!("publisher = \"{publisher}\"{digests}");
            load(&grant_with(&[("digests = []", &keys)]), PERMIT_ALL)
        };
        check_refused(&decide(&by("acme"), &hold(60), &subject()), Code::PublisherNotGranted);
        assert_eq!(decide(&by("portreeve"), &hold(60), &subject()).code(), Code::Granted);
    }
}

#[test]
fn refuses_a_component_that_the_grant_does_not_name() {
    let with = |digest: Digest| {
        let digests = format!("digests = [\"{digest}\"]");
        load(&grant_with(&[("digests = []", &digests)]), PERMIT_ALL)
    };
    let other = with(Digest::of(b"other"));
    check_refused(&decide(&other, &hold(60), &subject()), Code::DigestNotGranted);
    let named = with(Digest::of(b"component"));
    assert_eq!(decide(&named, &hold(60), &subject()).code(), Code::Granted);
}

#[test]
fn refuses_from_the_day_after_the_last() {
    let last_ms = 1_814_399_999_999; // 2027-06-30T23:59:59.999Z
    let at = |ms| decide_at(&usual(), &hold(60), &subject(), &Counters::default(), Instant(ms));
    assert_eq!(at(last_ms).code(), Code::Granted);
    check_refused(&at(last_ms + 1), Code::GrantExpired);
    check_refused(&at(i64::MAX), Code::GrantExpired);
}

#[test]
fn refuses_outside_the_hours_also_where_they_go_over_midnight() {
    let minute = |hour: i64, minute: i64| Instant(NOW.0 + (hour * 60 + minute) * Instant::MINUTE_MS);
    let code = |hours: &str, at| {
        let expires = format!("expires = 2027-06-30\nhours = \"{hours}\"");
        let authority = load(&grant_with(&[("expires = 2027-06-30", &expires)]), PERMIT_ALL);
        decide_at(&authority, &hold(60), &subject(), &Counters::default(), at).code()
    };
    for (hours, at, expected) in [
        ("06:00-18:00", minute(5, 59), Code::OutsideHours),
        ("06:00-18:00", minute(6, 0), Code::Granted),
        ("06:00-18:00", minute(17, 59), Code::Granted),
        ("06:00-18:00", minute(18, 0), Code::OutsideHours),
        ("22:30-06:00", minute(22, 29), Code::OutsideHours),
        ("22:30-06:00", minute(22, 30), Code::Granted),
        ("22:30-06:00", minute(0, 0), Code::Granted),
        ("22:30-06:00", minute(6, 0), Code::OutsideHours),
    ] {
        assert_eq!(code(hours, at), expected, "{hours} at {at}");
    }
    // Before 1970 there were times of day, too.
    assert_eq!(code("06:00-18:00", Instant(-Instant::HOUR_MS)), Code::OutsideHours);
}

#[test]
fn refuses_a_channel_that_the_grant_does_not_name() {
    let with = |channels| load(&grant_with(&[("channels = []", channels)]), PERMIT_ALL);
    let edi = with("channels = [\"edi\"]");
    check_refused(&decide(&edi, &hold(60), &subject()), Code::ChannelNotGranted);
    let webshop = with("channels = [\"edi\", \"webshop\"]");
    assert_eq!(decide(&webshop, &hold(60), &subject()).code(), Code::Granted);
}

#[test]
fn refuses_a_customer_class_that_the_grant_does_not_name_and_an_unknown_one() {
    for class in [Some("key-account".to_owned()), None] {
        let mut subject = subject();
        subject.customer_class = class;
        check_refused(&decide(&usual(), &hold(60), &subject), Code::CustomerClassNotGranted);
    }
}

#[test]
fn narrows_a_hold_that_is_too_long() {
    let verdict = decide(&usual(), &hold(2881), &subject());
    assert_eq!(verdict.code(), Code::MinutesNarrowed);
    assert_eq!(verdict.outcome(), Outcome::Narrowed);
    assert!(matches!(verdict.effect(), Effect::Hold { minutes: 2880, .. }));
}

#[test]
fn a_hold_that_is_too_long_falls_to_a_route_where_the_grant_says_fall() {
    let authority = load(&grant_with(&[("\"narrow\"", "\"fall\"")]), PERMIT_ALL);
    let verdict = decide(&authority, &hold(2881), &subject());
    assert_eq!(verdict.code(), Code::FellBelowCeiling);
    assert_eq!(*verdict.effect(), route_to("fraud-review"));
}

#[test]
fn refuses_a_hold_above_the_ceiling_where_the_grant_says_refuse() {
    let authority = load(&grant_with(&[("\"narrow\"", "\"refuse\"")]), PERMIT_ALL);
    check_refused(&decide(&authority, &hold(2881), &subject()), Code::MinutesBeyondCeiling);
    let mut dear = subject();
    dear.value = usd(2_500_001);
    check_refused(&decide(&authority, &hold(60), &dear), Code::ValueBeyondCeiling);
}

#[test]
fn a_hold_of_an_order_above_the_value_falls_to_a_route() {
    let mut dear = subject();
    dear.value = usd(2_500_000);
    assert_eq!(decide(&usual(), &hold(60), &dear).code(), Code::Granted);
    dear.value = usd(2_500_001);
    let verdict = decide(&usual(), &hold(60), &dear);
    assert_eq!(verdict.outcome(), Outcome::Narrowed);
    assert_eq!(*verdict.effect(), route_to("fraud-review"));
}

#[test]
fn a_value_in_another_currency_is_beyond_the_ceiling() {
    let mut yen = subject();
    yen.value.currency = Currency::parse("JPY").unwrap();
    let told = Effect::Recommend(Recommendation::Review("fraud-review".to_owned()));
    for proposal in [hold(60), route("fraud-review")] {
        let verdict = decide(&usual(), &proposal, &yen);
        assert_eq!((verdict.outcome(), verdict.effect()), (Outcome::Narrowed, &told));
    }
}

#[test]
fn falls_to_a_review_where_routes_are_not_granted() {
    let grant =
        grant_with(&[&NO_ROUTES[..], &[("\"hold\", \"route\", \"recommend\"", "\"hold\", \"recommend\"")]].concat());
    let mut dear = subject();
    dear.value = usd(2_500_001);
    let verdict = decide(&load(&grant, PERMIT_ALL), &hold(60), &dear);
    let expected = Recommendation::Review("fraud-review".to_owned());
    assert_eq!(*verdict.effect(), Effect::Recommend(expected));
    let verdict = decide(&load(&grant, PERMIT_ALL), &route("fraud-review"), &subject());
    assert_eq!(verdict.code(), Code::FellBelowCeiling);
    assert_eq!(verdict.effect().rung(), Some(Rung::Recommend));
}

#[test]
fn falls_to_nothing_where_no_lower_rung_is_granted() {
    let changes = [("\"hold\", \"route\", \"recommend\"", "\"hold\""), ("recommend = [\"review\"]", "")];
    let grant = grant_with(&[&NO_ROUTES[..], &changes].concat());
    let mut dear = subject();
    dear.value = usd(2_500_001);
    check_refused(&decide(&load(&grant, PERMIT_ALL), &hold(60), &dear), Code::ValueBeyondCeiling);
}

#[test]
fn a_hold_without_the_rung_falls_and_a_recommendation_without_it_is_refused() {
    let authority = load(ROUTES, PERMIT_ALL);
    let verdict = decide(&authority, &hold(60), &subject());
    assert_eq!(*verdict.effect(), route_to("pricing"));
    assert_eq!(verdict.outcome(), Outcome::Narrowed);
    check_refused(&decide(&authority, &review("pricing"), &subject()), Code::RungNotGranted);
}

#[test]
fn routes_only_to_queues_of_the_grant() {
    assert_eq!(*decide(&usual(), &route("pricing"), &subject()).effect(), route_to("pricing"));
    check_refused(&decide(&usual(), &route("credit"), &subject()), Code::QueueNotGranted);
    check_refused(&decide(&usual(), &review("credit"), &subject()), Code::QueueNotGranted);
}

#[test]
fn refuses_a_recommendation_of_a_kind_that_is_not_granted() {
    let price = Proposal::Recommend(Recommendation::ExceptionPrice(PriceProposal {
        line_number: "1".to_owned(),
        price: UnitPrice { amount: 100, scale: 2, currency: usd(0).currency, per_quantity: 1 },
        approver_tier: "manager".to_owned(),
    }));
    check_refused(&decide(&usual(), &price, &subject()), Code::RecommendationNotGranted);
    let granted = load(&grant_with(&[("[\"review\"]", "[\"exception-price\", \"review\"]")]), PERMIT_ALL);
    assert_eq!(decide(&granted, &price, &subject()).code(), Code::Granted);
}

#[test]
fn refuses_what_has_no_word_here() {
    let other = || OtherAdvice { kind: "release".to_owned(), body: Vec::new() };
    let verdict = decide(&usual(), &Proposal::Other(other()), &subject());
    check_refused(&verdict, Code::UnknownProposal);
    let inner = Proposal::Recommend(Recommendation::Other(other()));
    check_refused(&decide(&usual(), &inner, &subject()), Code::RecommendationNotGranted);
}

#[test]
fn refuses_proposals_that_contradict_the_order_or_themselves() {
    let lines = |lines: &[&str]| hold_of(HoldScope::Lines(lines.iter().map(ToString::to_string).collect()), 60);
    let date = |day| Date::new(2027, 2, day).unwrap();
    let new_date = Proposal::Recommend(Recommendation::NewDate(DateProposal {
        line_number: None,
        date: date(9),
        earliest: date(1),
        latest: date(5),
    }));
    let node = RankedNode {
        node: "east".to_owned(),
        suitability_bp: 1,
        freight_delta: usd(0),
        country: "US".to_owned(),
        splits: 0,
    };
    let nodes = Proposal::Recommend(Recommendation::AlternateShipNode(vec![node; 4]));
    let wrong = [hold(0), hold(43_201), lines(&[]), lines(&["3"]), lines(&["1", "1"]), new_date, nodes];
    for proposal in wrong {
        check_refused(&decide(&usual(), &proposal, &subject()), Code::MalformedProposal);
    }
    let verdict = decide(&usual(), &lines(&["2"]), &subject());
    assert!(matches!(verdict.effect(), Effect::Hold { scope: HoldScope::Lines(_), .. }));
}

#[test]
fn a_spent_budget_of_holds_sends_the_order_to_people() {
    let with = |holds_last_hour| {
        let counters = Counters { holds_last_hour, ..Counters::default() };
        decide_at(&usual(), &hold(60), &subject(), &counters, NOW)
    };
    assert_eq!(with(49).code(), Code::Granted);
    let verdict = with(50);
    assert_eq!(verdict.code(), Code::BudgetSpentQueued);
    assert_eq!(*verdict.effect(), kept("fraud-review", 60));
    assert!(verdict.budget_spent() && verdict.kept_by_host());
}

#[test]
fn a_spent_budget_of_value_counts_this_order_in() {
    let with = |value_held_today_minor| {
        let counters = Counters { value_held_today_minor, ..Counters::default() };
        decide_at(&usual(), &hold(60), &subject(), &counters, NOW)
    };
    assert_eq!(with(100_000_000 - 120_000).code(), Code::Granted);
    assert_eq!(with(100_000_000 - 119_999).code(), Code::BudgetSpentQueued);
    assert_eq!(with(i64::MAX).code(), Code::BudgetSpentQueued);
}

#[test]
fn a_spent_share_of_the_hours_orders_sends_the_order_to_people() {
    let share = "holds_per_hour_max = 50\nheld_share_max_bp = 500\nheld_share_floor = 3";
    let authority = load(&grant_with(&[("holds_per_hour_max = 50", share)]), PERMIT_ALL);
    let with = |holds_last_hour, orders_last_hour| {
        let counters = Counters { holds_last_hour, orders_last_hour, ..Counters::default() };
        decide_at(&authority, &hold(60), &subject(), &counters, NOW).code()
    };
    // Few orders: the floor.
    assert_eq!((with(2, 0), with(3, 0)), (Code::Granted, Code::BudgetSpentQueued));
    // A twentieth of a hundred, this order among them, are five.
    assert_eq!(
        (with(4, 98), with(4, 99), with(5, 99)),
        (Code::BudgetSpentQueued, Code::Granted, Code::BudgetSpentQueued)
    );
    // The number an hour binds beside it.
    assert_eq!((with(49, 9_999), with(50, 9_999)), (Code::Granted, Code::BudgetSpentQueued));
    assert_eq!(with(u32::MAX, u32::MAX), Code::BudgetSpentQueued);
}

#[test]
fn a_verdict_says_how_far_the_budgets_go_that_its_effect_uses_up() {
    let share = "holds_per_hour_max = 50\nheld_share_max_bp = 500\nheld_share_floor = 3";
    let authority = load(&grant_with(&[("holds_per_hour_max = 50", share)]), PERMIT_ALL);
    let reserve = |authority: &Authority, proposal: &Proposal, orders_last_hour, holds_last_hour| {
        let counters = Counters { orders_last_hour, holds_last_hour, ..Counters::default() };
        decide_at(authority, proposal, &subject(), &counters, NOW).reserve()
    };
    let of = |per_hour_max, held_share, value_held_per_day_max_minor| {
        Some(Reserve { per_hour_max, held_share, value_held_per_day_max_minor })
    };
    let share = Some(ShareCeiling { max_bp: 500, floor: 3 });
    assert_eq!(reserve(&authority, &hold(60), 99, 0), of(50, share, Some(100_000_000)));
    assert_eq!(reserve(&usual(), &hold(60), 99, 0), of(50, None, Some(100_000_000)));
    assert_eq!(reserve(&usual(), &route("fraud-review"), 0, 0), of(20, None, None));
    // What the host keeps by itself, what only tells people and what is refused use up nothing.
    assert_eq!(reserve(&usual(), &hold(60), 0, 50), None);
    assert_eq!(reserve(&usual(), &review("fraud-review"), 0, 0), None);
    assert_eq!(reserve(&load(GRANT, ""), &hold(60), 0, 0), None);
}

#[test]
fn a_spent_budget_lets_the_order_pass_only_where_the_grant_says_release() {
    let authority = load(&grant_with(&[("budget_spent = \"queue\"", "budget_spent = \"release\"")]), PERMIT_ALL);
    let counters = Counters { holds_last_hour: 50, ..Counters::default() };
    let verdict = decide_at(&authority, &hold(60), &subject(), &counters, NOW);
    check_refused(&verdict, Code::BudgetSpentReleased);
    assert!(verdict.budget_spent());
}

#[test]
fn refuses_without_a_policy_that_permits() {
    let verdict = decide(&load(GRANT, ""), &hold(60), &subject());
    check_refused(&verdict, Code::PolicyDenied);
    assert!(verdict.policies().is_empty());
}

#[test]
fn a_forbid_wins_and_is_named() {
    let policies = format!(
        "{PERMIT_ALL}\n@id(\"no-long-holds\") forbid (principal, action == Action::\"hold\", resource)\n\
         when {{ context.minutes > 30 }};"
    );
    let authority = load(GRANT, &policies);
    let verdict = decide(&authority, &hold(31), &subject());
    check_refused(&verdict, Code::PolicyDenied);
    assert_eq!(verdict.policies(), ["no-long-holds"]);
    assert_eq!(decide(&authority, &hold(30), &subject()).code(), Code::Granted);
}

#[test]
fn policies_see_the_narrowed_minutes_and_every_fact() {
    let policies = r#"@id("exact") permit (
        principal == Plugin::"fraud", action == Action::"hold",
        resource == Order::"3f0c6a51-6d7e-5b1a-9f44-0a8f5c1d2e3b"
    ) when {
        context.minutes == 2880 && context.whole_order && context.queue == Queue::"fraud-review"
        && context.order_value_minor == 120000 && context.currency == "USD"
        && context has customer_class && context.customer_class == "new"
        && context has ship_country && context.ship_country == "US"
        && context.channel == "webshop" && context.score_bp == 9000
        && context.holds_last_hour == 7 && context.routes_last_hour == 6 && context.orders_last_hour == 8
        && context.value_held_today_minor == 9
    };"#;
    let counters = Counters { holds_last_hour: 7, routes_last_hour: 6, value_held_today_minor: 9, orders_last_hour: 8 };
    let verdict = decide_at(&load(GRANT, policies), &hold(9999), &subject(), &counters, NOW);
    assert_eq!(verdict.code(), Code::MinutesNarrowed, "{}", verdict.summary());
}

#[test]
fn a_fall_is_checked_by_cedar_on_the_rung_that_it_reaches() {
    let holds_only = r#"@id("holds") permit (principal, action == Action::"hold", resource);"#;
    let mut dear = subject();
    dear.value = usd(2_500_001);
    check_refused(&decide(&load(GRANT, holds_only), &hold(60), &dear), Code::PolicyDenied);
    let routes_only = r#"@id("routes") permit (principal, action == Action::"route", resource);"#;
    let verdict = decide(&load(GRANT, routes_only), &hold(60), &dear);
    assert_eq!(verdict.policies(), ["routes"]);
    check_refused(&decide(&load(GRANT, routes_only), &hold(60), &subject()), Code::PolicyDenied);
}

#[test]
fn a_spent_budget_keeps_what_a_policy_permits_to_hold_and_nothing_else() {
    let counters = Counters { holds_last_hour: 50, ..Counters::default() };
    let with = |action: &str| {
        let policy = format!("@id(\"one\") permit (principal, action == Action::\"{action}\", resource);");
        decide_at(&load(GRANT, &policy), &hold(60), &subject(), &counters, NOW)
    };
    // Nobody permits routes, and the gate stays shut all the same: it is the host's own act.
    let verdict = with("hold");
    assert_eq!((verdict.code(), verdict.effect()), (Code::BudgetSpentQueued, &kept("fraud-review", 60)));
    // A hold that no policy permits is not kept because a budget is spent; that it is spent is told.
    let verdict = with("route");
    check_refused(&verdict, Code::PolicyDenied);
    assert!(verdict.budget_spent());
}

#[test]
fn a_route_is_bounded_in_value_and_number_as_a_hold_is() {
    let with = |minor, routes_last_hour| {
        let mut subject = subject();
        subject.value = usd(minor);
        let counters = Counters { routes_last_hour, ..Counters::default() };
        decide_at(&load(ROUTES, PERMIT_ALL), &route("pricing"), &subject, &counters, NOW)
    };
    let verdict = with(10_000_000, 19);
    assert_eq!((verdict.code(), verdict.effect()), (Code::Granted, &route_to("pricing")));
    check_refused(&with(10_000_001, 0), Code::ValueBeyondCeiling);
    let verdict = with(120_000, 20);
    check_refused(&verdict, Code::BudgetSpentReleased);
    assert!(verdict.budget_spent());
    // With a review among the recommendations people are told, and the order goes on.
    let counters = Counters { routes_last_hour: 20, ..Counters::default() };
    let verdict = decide_at(&usual(), &route("pricing"), &subject(), &counters, NOW);
    let told = Effect::Recommend(Recommendation::Review("fraud-review".to_owned()));
    assert_eq!((verdict.code(), verdict.effect()), (Code::FellBelowCeiling, &told));
    assert!(verdict.budget_spent());
}

#[test]
fn a_hold_that_falls_to_a_route_without_a_budget_is_kept_by_the_host() {
    let mut dear = subject();
    dear.value = usd(2_500_001);
    let counters = Counters { routes_last_hour: 20, ..Counters::default() };
    let verdict = decide_at(&usual(), &hold(60), &dear, &counters, NOW);
    assert_eq!((verdict.code(), verdict.effect()), (Code::BudgetSpentQueued, &kept("fraud-review", 1440)));
    let release = load(&grant_with(&[("budget_spent = \"queue\"", "budget_spent = \"release\"")]), PERMIT_ALL);
    check_refused(&decide_at(&release, &hold(60), &dear, &counters, NOW), Code::BudgetSpentReleased);
}

#[test]
fn a_spent_budget_is_told_whichever_grant_wins() {
    let counters = Counters { holds_last_hour: 50, ..Counters::default() };
    let second = grant_with(&[("\"fraud-hold\"", "\"second\""), ("= 50\n", "= 60\n")]);
    let authority = load(&format!("{GRANT}{second}"), PERMIT_ALL);
    let verdict = decide_at(&authority, &hold(60), &subject(), &counters, NOW);
    assert_eq!((verdict.code(), verdict.grant()), (Code::Granted, Some("second")));
    assert!(verdict.budget_spent());
}

#[test]
fn what_is_below_nothing_refills_no_budget() {
    let counters = Counters { value_held_today_minor: i64::MIN, ..Counters::default() };
    let mut dear = subject();
    dear.value = usd(2_400_000);
    let small = load(
        &grant_with(&[("value_held_per_day_max_minor = 100000000", "value_held_per_day_max_minor = 2400000")]),
        PERMIT_ALL,
    );
    assert_eq!(decide_at(&small, &hold(60), &dear, &counters, NOW).code(), Code::Granted);
    dear.value = usd(2_400_001);
    assert_eq!(decide_at(&small, &hold(60), &dear, &counters, NOW).code(), Code::BudgetSpentQueued);
}

#[test]
fn a_forbid_that_cannot_be_evaluated_refuses() {
    let policies = format!(
        "{PERMIT_ALL}\n@id(\"overflows\") forbid (principal, action, resource)\n\
         when {{ context.order_value_minor * 9223372036854775807 > 5 }};"
    );
    let verdict = decide(&load(GRANT, &policies), &hold(60), &subject());
    check_refused(&verdict, Code::PolicyError);
    assert_eq!(verdict.policies(), ["overflows"]);
}

#[test]
fn a_permit_that_cannot_be_evaluated_refuses_although_another_permits() {
    let policies = format!(
        "{PERMIT_ALL}\n@id(\"overflows\") permit (principal, action, resource)\n\
         when {{ context.value_held_today_minor + context.order_value_minor > 5 }};"
    );
    let grant = grant_with(&[("value_held_per_day_max_minor = 100000000", "")]);
    let counters = Counters { value_held_today_minor: i64::MAX, ..Counters::default() };
    let verdict = decide_at(&load(&grant, &policies), &hold(60), &subject(), &counters, NOW);
    check_refused(&verdict, Code::PolicyError);
}

#[test]
fn among_several_grants_the_highest_rung_wins_and_then_the_first() {
    let second = grant_with(&[("\"fraud-hold\"", "\"second\"")]);
    let authority = load(&format!("{ROUTES}{GRANT}{second}"), PERMIT_ALL);
    assert_eq!(decide(&authority, &hold(60), &subject()).grant(), Some("fraud-hold"));
    let mut dear = subject();
    dear.value = usd(2_500_001);
    let verdict = decide(&authority, &hold(60), &dear);
    assert_eq!(verdict.grant(), Some("routes"));
    assert_eq!(*verdict.effect(), route_to("pricing"));
}

#[test]
fn when_all_grants_refuse_the_nearest_miss_explains() {
    let other = grant_with(&[("\"fraud-hold\"", "\"other\""), ("channels = []", "channels = [\"edi\"]")]);
    let authority = load(&format!("{other}{GRANT}"), "");
    let verdict = decide(&authority, &hold(60), &subject());
    assert_eq!(verdict.grant(), Some("fraud-hold"));
    check_refused(&verdict, Code::PolicyDenied);
}

#[test]
fn a_refusal_holds_no_text_that_a_plugin_chose() {
    let verdict = decide(&usual(), &route("Jane Doe, 5 Elm Street"), &subject());
    assert!(!format!("{verdict:?}").contains("Elm"));
    assert!(verdict.summary().contains("text of 22 bytes"), "{}", verdict.summary());
}
