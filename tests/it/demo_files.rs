//! The demo's grants, policies and rules: they load without a complaint, and every
//! outcome occurs for advice that the bundled scorers really give.

use std::path::Path;

use portreeve_authority::rules::Rules;
use portreeve_authority::{Advice, Authority, Code, Counters, Effect, Known, Outcome, SourceFile, Subject, Verdict};
use portreeve_model::advice::{DateProposal, Hold, HoldScope, PriceProposal, RankedNode};
use portreeve_model::{
    ChannelId, Currency, Date, Digest, Instant, Money, OrderId, PluginName, Proposal, Recommendation, UnitPrice,
};

/// 2026-03-02T09:30:00Z.
const NOW: Instant = Instant(1_772_443_800_000);
const YEAR_MS: i64 = 365 * 86_400_000;

#[test]
fn the_demos_grants_policies_and_rules_load() {
    let authority = authority();
    assert_eq!(authority.grants().len(), 3);
    for grant in authority.grants() {
        assert!(grant.owner.contains('@') && grant.expires.to_string() == "2027-12-31", "{}", grant.summary());
    }
    rules();
}

#[test]
fn a_fraud_hold_is_granted_up_to_its_value_and_becomes_a_route_above() {
    let bold = |value, class| decide("fraud", 9_400, &hold(HoldScope::Order, 2_880), value, class);
    check(&bold(2_500_000, "new"), Outcome::Granted, Code::Granted);
    let above = bold(2_500_001, "new");
    check(&above, Outcome::Narrowed, Code::FellBelowCeiling);
    assert!(matches!(above.effect(), Effect::Route { queue, .. } if queue == "fraud-review"), "{}", above.summary());
    check(&bold(100_000, "key-account"), Outcome::Granted, Code::Granted);
    check(&bold(100_000, "priority"), Outcome::Refused, Code::CustomerClassNotGranted);
}

#[test]
fn a_second_day_and_a_small_order_need_more_than_a_grant() {
    let day = hold(HoldScope::Order, 1_440);
    let two_days = hold(HoldScope::Order, 2_880);
    check(&decide("fraud", 7_000, &day, 100_000, "standard"), Outcome::Granted, Code::Granted);
    check(&decide("fraud", 7_000, &two_days, 100_000, "standard"), Outcome::Refused, Code::PolicyDenied);
    check(&decide("fraud", 6_900, &day, 100_000, "standard"), Outcome::Refused, Code::PolicyDenied);
    check(&decide("fraud", 7_000, &day, 4_999, "standard"), Outcome::Refused, Code::PolicyDenied);
    let forever = decide("fraud", 9_400, &hold(HoldScope::Order, 10_000), 100_000, "standard");
    check(&forever, Outcome::Narrowed, Code::MinutesNarrowed);
}

#[test]
fn a_fraud_review_and_a_route_are_granted_to_the_same_customers() {
    for proposal in [route("fraud-review"), recommend(Recommendation::Review("fraud-review".into()))] {
        check(&decide("fraud", 5_500, &proposal, 100_000, "standard"), Outcome::Granted, Code::Granted);
        check(&decide("fraud", 5_500, &proposal, 100_000, "priority"), Outcome::Refused, Code::CustomerClassNotGranted);
    }
    check(&decide("fraud", 5_500, &route("credit"), 100_000, "standard"), Outcome::Refused, Code::QueueNotGranted);
}

#[test]
fn a_spent_fraud_budget_sends_orders_to_people() {
    let counters = Counters { holds_last_hour: 100, ..Counters::default() };
    let verdict = decide_with("fraud", 9_400, &hold(HoldScope::Order, 1_440), 100_000, "new", &counters, NOW);
    check(&verdict, Outcome::Narrowed, Code::BudgetSpentQueued);
}

#[test]
fn a_margin_hold_keeps_lines_for_a_working_day_and_never_the_order() {
    let lines = hold(HoldScope::Lines(vec!["1".into()]), 1_440);
    let asked = decide("margin", 6_000, &lines, 100_000, "priority");
    check(&asked, Outcome::Narrowed, Code::MinutesNarrowed);
    assert!(matches!(asked.effect(), Effect::Hold { minutes: 480, queue, .. } if queue == "pricing"));
    let above = decide("margin", 6_000, &lines, 5_000_001, "priority");
    check(&above, Outcome::Narrowed, Code::FellBelowCeiling);
    assert!(matches!(above.effect(), Effect::Recommend(Recommendation::Review(queue)) if queue == "pricing"));
    check(
        &decide("margin", 6_000, &hold(HoldScope::Order, 1_440), 100_000, "new"),
        Outcome::Refused,
        Code::PolicyDenied,
    );

    let price = PriceProposal {
        line_number: "1".into(),
        price: UnitPrice { amount: 1_179, scale: 3, currency: usd(), per_quantity: 1 },
        approver_tier: "sales-manager".into(),
    };
    let price = recommend(Recommendation::ExceptionPrice(price));
    check(&decide("margin", 3_000, &price, 100_000, "new"), Outcome::Granted, Code::Granted);
}

#[test]
fn fulfilment_advises_and_never_holds() {
    let date = Date::new(2026, 3, 9).unwrap();
    let date = DateProposal { line_number: Some("1".into()), date, earliest: date, latest: date };
    let node = RankedNode {
        node: "DC-WEST".into(),
        suitability_bp: 8_000,
        freight_delta: Money { minor: 1_200, currency: usd() },
        country: "US".into(),
        splits: 0,
    };
    let shown = recommend(Recommendation::Review("fulfilment".into()));
    let granted = [
        shown,
        recommend(Recommendation::NewDate(date)),
        recommend(Recommendation::AlternateShipNode(vec![node.clone(); 3])),
    ];
    for proposal in granted {
        check(&decide("fulfilment", 3_500, &proposal, 9_900_000, "priority"), Outcome::Granted, Code::Granted);
    }
    let four = recommend(Recommendation::AlternateShipNode(vec![node; 4]));
    check(&decide("fulfilment", 3_500, &four, 100_000, "new"), Outcome::Refused, Code::MalformedProposal);
    for proposal in [hold(HoldScope::Order, 60), route("fulfilment")] {
        let verdict = decide("fulfilment", 9_900, &proposal, 100_000, "new");
        check(&verdict, Outcome::Narrowed, Code::FellBelowCeiling);
        assert!(matches!(verdict.effect(), Effect::Recommend(_)), "{}", verdict.summary());
    }
}

#[test]
fn nothing_is_granted_after_a_grants_last_day() {
    let later = NOW.plus_ms(2 * YEAR_MS);
    let proposal = recommend(Recommendation::Review("fulfilment".into()));
    let verdict = decide_with("fulfilment", 3_500, &proposal, 100_000, "new", &Counters::default(), later);
    check(&verdict, Outcome::Refused, Code::GrantExpired);
}

fn check(verdict: &Verdict, outcome: Outcome, code: Code) {
    assert_eq!((verdict.outcome(), verdict.code()), (outcome, code), "{}", verdict.summary());
}

fn decide(plugin: &str, score_bp: u16, proposal: &Proposal, value_minor: i64, class: &str) -> Verdict {
    decide_with(plugin, score_bp, proposal, value_minor, class, &Counters::default(), NOW)
}

fn decide_with(
    plugin: &str,
    score_bp: u16,
    proposal: &Proposal,
    value_minor: i64,
    class: &str,
    counters: &Counters,
    now: Instant,
) -> Verdict {
    let plugin = PluginName::parse(plugin).unwrap();
    let advice =
        Advice { plugin: &plugin, publisher: "portreeve", digest: Digest::of(b"component"), score_bp, proposal };
    let subject = Subject {
        order: OrderId::parse("3f0c6a51-6d7e-5b1a-9f44-0a8f5c1d2e3b").unwrap(),
        channel: ChannelId::parse("webshop").unwrap(),
        customer_class: Some(class.to_owned()),
        value: Money { minor: value_minor, currency: usd() },
        line_numbers: vec!["1".into(), "2".into()],
        ship_country: Some("US".into()),
    };
    authority().decide(&advice, &subject, counters, now)
}

fn hold(scope: HoldScope, minutes: u32) -> Proposal {
    Proposal::Hold(Hold { scope, minutes, reason: "velocity-hour".into() })
}

fn route(queue: &str) -> Proposal {
    Proposal::Route(queue.to_owned())
}

fn recommend(what: Recommendation) -> Proposal {
    Proposal::Recommend(what)
}

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

fn authority() -> Authority {
    let (grants, policies) = (read("grants.toml"), read("policies.cedar"));
    let file = |name, text| [SourceFile { name, text }];
    Authority::load(&file("grants.toml", &grants), &file("policies.cedar", &policies), &known())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn rules() -> Rules {
    let text = read("rules.toml");
    Rules::load(&SourceFile { name: "rules.toml", text: &text }, &known()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn known() -> Known {
    let queues = ["fraud-review", "pricing", "credit", "customer-service", "order-desk", "fulfilment", "integration"];
    Known {
        queues: queues.map(str::to_owned).into(),
        plugins: ["fraud", "margin", "fulfilment"].map(|name| PluginName::parse(name).unwrap()).into(),
    }
}

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/portreeve/demo");
    std::fs::read_to_string(folder.join(name)).unwrap()
}
