//! Credit: what an order adds to its account's exposure, and when that keeps it back.

use portreeve_model::{Currency, Instant, Money};
use proptest::prelude::*;

use super::ruling::{RULES, rules};
use super::{NOW, known, usd};
use crate::SourceFile;
use crate::rules::{Account, CreditFacts, CreditRoom, Looked, Rules};

/// 10,000.00 USD of which 9,000.00 may be used up; 6,000.00 are.
fn facts() -> CreditFacts {
    CreditFacts {
        currency: usd(0).currency,
        limit_minor: 1_000_000,
        receivables_minor: 400_000,
        shipped_minor: 150_000,
        released_minor: 100_000,
        unapplied_cash_minor: 50_000,
        overdue_days: 30,
        as_of: NOW,
    }
}

fn account(facts: Looked<CreditFacts>) -> Account {
    Account { name: "A-1".to_owned(), is_named: false, facts }
}

fn codes(value_minor: i64, reserved_minor: i64, change: impl FnOnce(&mut CreditFacts)) -> Vec<&'static str> {
    let mut facts = facts();
    change(&mut facts);
    let found = rules(RULES).check_credit(usd(value_minor), &account(Looked::Found(facts)), reserved_minor, NOW);
    found.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn an_order_fits_into_what_is_left_of_the_limit_and_not_a_cent_more() {
    assert!(codes(300_000, 0, |_| {}).is_empty());
    assert_eq!(codes(300_001, 0, |_| {}), ["credit-limit"]);
    assert!(codes(100_000, 200_000, |_| {}).is_empty());
    assert_eq!(codes(100_000, 200_001, |_| {}), ["credit-limit"], "what was released before counts");
    let each: [fn(&mut CreditFacts); 5] = [
        |facts| facts.receivables_minor += 1,
        |facts| facts.shipped_minor += 1,
        |facts| facts.released_minor += 1,
        |facts| facts.unapplied_cash_minor -= 1,
        |facts| facts.limit_minor -= 2,
    ];
    for (part, change) in each.into_iter().enumerate() {
        assert_eq!(codes(300_000, 0, change), ["credit-limit"], "part {part} of the exposure");
    }
    assert!(codes(-5, 300_000, |_| {}).is_empty(), "an order below nothing adds nothing");
    assert_eq!(codes(-5, 300_001, |_| {}), ["credit-limit"], "and gives nothing back");
}

#[test]
fn an_exposure_beyond_the_limit_tells_every_part_of_it_with_the_account_and_the_time_of_its_figures() {
    let found = |text: &str| {
        let checked = rules(text).check_credit(usd(250_000), &account(Looked::Found(facts())), 60_000, NOW);
        let finding = checked.findings.into_iter().next().unwrap();
        (finding.found, finding.expected)
    };
    let (counted, allowed) = found(RULES);
    assert_eq!(
        counted,
        format!(
            "an exposure of 9100.00 USD on account `A-1` (invoiced and not paid 4000.00 USD, shipped and not invoiced 1500.00 USD, \
             released and not shipped 1000.00 USD, released here since 600.00 USD, this order 2500.00 USD, less unapplied cash 500.00 USD; \
             figures of {NOW})"
        )
    );
    assert_eq!(allowed, "9000.00 USD or less, 90.00 % of its limit of 10000.00 USD");
    let whole =
        RULES.replace("limit_bp = 9000", "limit_bp = 10000").replace("overdue_days_max = 30", "overdue_days_max = 29");
    let (overdue, _) = found(&whole);
    assert_eq!(overdue, format!("account `A-1` 30 days overdue as of {NOW}"), "the other findings name it, too");
    let facts = CreditFacts { limit_minor: 900_000, overdue_days: 0, ..facts() };
    let checked = rules(&whole).check_credit(usd(250_000), &account(Looked::Found(facts)), 60_000, NOW);
    assert_eq!(checked.findings.first().unwrap().expected, "9000.00 USD or less, its limit");
}

#[test]
fn the_room_is_what_the_figures_leave_of_the_limit() {
    let room = rules(RULES).check_credit(usd(1), &account(Looked::Found(facts())), 0, NOW).room.unwrap();
    let since = NOW.plus_ms(-5 * Instant::MINUTE_MS);
    let expected = CreditRoom { most_minor: 300_000, since };
    assert_eq!(room, expected, "deliveries of the last minutes before the figures count twice");
}

#[test]
fn old_figures_and_those_of_the_time_to_come_release_nothing() {
    let minutes = |minutes: i64| NOW.plus_ms(minutes * Instant::MINUTE_MS);
    for (as_of, current) in [
        (minutes(-120), true),
        (minutes(-120).plus_ms(-1), false),
        (minutes(5), true),
        (minutes(5).plus_ms(1), false),
        (Instant(i64::MIN), false),
        (Instant(i64::MAX), false),
    ] {
        let expected: &[&str] = if current { &[] } else { &["credit-data-not-current"] };
        assert_eq!(codes(1, 0, |facts| facts.as_of = as_of), expected, "{as_of}");
    }
}

#[test]
fn everything_that_is_wrong_with_an_account_is_found_at_once() {
    let wrong = |facts: &mut CreditFacts| (facts.overdue_days, facts.as_of) = (31, Instant(0));
    assert_eq!(codes(900_000, 0, wrong), ["credit-data-not-current", "credit-overdue", "credit-limit"]);
    let euro = Money { minor: 1, currency: Currency::parse("EUR").unwrap() };
    let found = rules(RULES).check_credit(euro, &account(Looked::Found(facts())), 0, NOW);
    assert_eq!(found.findings.first().unwrap().code, "credit-currency-differs");
    assert_eq!(found.room, None, "amounts in two currencies have no sum");
}

#[test]
fn who_has_no_account_is_held_or_let_pass_as_the_rule_says_and_a_mistake_of_ours_holds() {
    let off = RULES.replace(r#"no_account = "hold""#, r#"no_account = "off""#);
    let unchecked = RULES.replace("check = true", "check = false");
    for (text, looked, code) in [
        (RULES, Looked::Unknown, Some("credit-account-unknown")),
        (off.as_str(), Looked::Unknown, None),
        (off.as_str(), Looked::Incomplete, Some("credit-row-incomplete")),
        (off.as_str(), Looked::NotLoaded, Some("credit-table-not-loaded")),
        (unchecked.as_str(), Looked::NotLoaded, None),
    ] {
        let found = rules(text).check_credit(usd(1), &account(looked.clone()), 0, NOW);
        assert_eq!(found.findings.first().map(|finding| finding.code), code, "{looked:?}");
        assert_eq!(found.room, None);
    }
    // Whoever names an account has one, and it is missing.
    let named = Account { is_named: true, ..account(Looked::Unknown) };
    let found = rules(&off).check_credit(usd(1), &named, 0, NOW);
    assert_eq!(found.findings.first().map(|finding| finding.code), Some("credit-account-unknown"));
}

#[test]
fn an_order_that_was_released_counts_once_when_it_is_looked_at_again() {
    let again = |text: &str, reserved_minor: i64| {
        let rules = rules(text);
        assert!(rules.rechecks_credit());
        let found = rules.check_credit_again(usd(0).currency, &account(Looked::Found(facts())), reserved_minor, NOW);
        found.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert!(again(RULES, 300_000).is_empty(), "all that is left was released, and it is among that");
    assert_eq!(again(RULES, 300_001), ["credit-limit"]);
    let stricter = RULES.replace("overdue_days_max = 30", "overdue_days_max = 29\nrecheck = true");
    assert_eq!(again(&stricter, 0), ["credit-overdue"]);
    for off in [("check = true", "check = false"), ("check = true", "check = true\nrecheck = false")] {
        assert!(!rules(&RULES.replace(off.0, off.1)).rechecks_credit(), "{off:?}");
    }
}

#[test]
fn a_credit_rule_out_of_range_or_of_another_spelling_is_refused_with_its_key() {
    for (from, to, key) in [
        ("limit_bp = 9000", "limit_bp = 20001", "limit_bp"),
        ("overdue_days_max = 30", "overdue_days_max = -1", "overdue_days_max"),
        ("data_age_minutes_max = 120", "data_age_minutes_max = 0", "data_age_minutes_max"),
        (r#"no_account = "hold""#, r#"no_account = "refuse""#, "no_account"),
        ("check = true", "", "check"),
        ("check = true", "check = true\nceiling = 1", "ceiling"),
        ("check = true", "check = true\nrecheck = \"no\"", "recheck"),
        ("release_grace_minutes = 1440", "", "release_grace_minutes"),
    ] {
        let text = RULES.replace(from, to);
        let refused = Rules::load(&SourceFile { name: "rules.toml", text: &text }, &known()).unwrap_err().to_string();
        assert!(refused.contains("rules.toml") && refused.contains(key), "{refused}");
    }
}

proptest! {
    #[test]
    fn an_order_within_its_room_is_within_the_limit_whatever_the_figures(
        figures in prop::array::uniform4(prop_oneof![0..2_000_000_i64, any::<i64>()]),
        limit_minor in prop_oneof![0..2_000_000_i64, any::<i64>()],
        value_minor in prop_oneof![-10..2_000_000_i64, any::<i64>()],
        reserved_minor in prop_oneof![0..2_000_000_i64, 0..(1_i64 << 53)],
    ) {
        let [receivables_minor, shipped_minor, released_minor, unapplied_cash_minor] = figures;
        let facts = CreditFacts {
            limit_minor, receivables_minor, shipped_minor, released_minor, unapplied_cash_minor, ..facts()
        };
        let found = rules(RULES).check_credit(usd(value_minor), &account(Looked::Found(facts)), reserved_minor, NOW);
        let known = i128::from(receivables_minor) + i128::from(shipped_minor) + i128::from(released_minor)
            - i128::from(unapplied_cash_minor);
        let added = i128::from(reserved_minor) + i128::from(value_minor.max(0));
        let within = 10 * (known + added) <= 9 * i128::from(limit_minor);
        // The store compares with the room, and must come to the same.
        let room = found.room.unwrap();
        let fits = added <= i128::from(room.most_minor);
        prop_assert_eq!(found.findings.is_empty(), within);
        prop_assert!(fits || !within || room.most_minor == i64::MAX);
        prop_assert!(within || !fits || room.most_minor == i64::MIN);
    }
}
