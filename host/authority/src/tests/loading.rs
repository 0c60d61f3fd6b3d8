//! Configuration that is wrong in any way is refused, with everything that is wrong.

use super::{GRANT, PERMIT_ALL, grant_with, load, try_load};
use crate::{LoadError, SourceFile};

fn check_grant(changes: &[(&str, &str)], message: &str) {
    check(&grant_with(changes), PERMIT_ALL, message);
}

fn check(grants: &str, policies: &str, message: &str) {
    let errors = try_load(grants, policies).unwrap_err().to_string();
    assert!(errors.contains(message), "expected `{message}` in:\n{errors}");
}

#[test]
fn refuses_an_unknown_key_with_the_keys_that_exist() {
    check_grant(
        &[("hold_minutes_max", "hold_minuts_max")],
        "grants.toml:11: `grant[0].hold_minuts_max` is an unknown key; expected one of `id`",
    );
    check("grants = []", PERMIT_ALL, "`grants` is an unknown key; expected one of `grant`");
}

#[test]
fn reports_everything_at_once() {
    let grant = grant_with(&[
        ("plugin = \"fraud\"", "plugin = \"froud\""),
        ("expires = 2027-06-30", "expires = \"soon\""),
        ("\"fraud-review\", \"pricing\"", "\"fraud-reveiw\""),
        ("hold_minutes_max = 2880", ""),
        ("currency = \"USD\"", "currency = \"usd\""),
    ]);
    let errors = try_load(&grant, "permit (principal, action, resource);").unwrap_err();
    let keys: Vec<String> = errors
        .errors()
        .iter()
        .map(|error| match error {
            LoadError::Value { key, .. } => key.trim_start_matches("grant[0].").to_owned(),
            LoadError::Policy { id, .. } => id.clone(),
            LoadError::Syntax { message, .. } => message.clone(),
            LoadError::More { .. } => error.to_string(),
        })
        .collect();
    // Each once: nothing is said that follows from another slip alone.
    let expected = ["plugin", "expires", "queues", "currency", "hold_minutes_max", "policy0"];
    assert_eq!(keys, expected, "{errors}");
}

#[test]
fn refuses_values_out_of_range() {
    check_grant(&[("2880", "43201")], "is 43201; expected minutes, 1 to 43200");
    check_grant(&[("2500000", "0")], "is 0; expected minor units, 1 or more");
    check_grant(&[("= 50\n", "= 0\n")], "is 0; expected 1 to 1000000");
    check_grant(&[("\"narrow\"", "\"shrink\"")], "is `shrink`; expected one of `narrow`, `fall`, `refuse`");
    check_grant(&[("[\"review\"]", "[\"release\"]")], "is `release`; expected one of `review`");
    check_grant(
        &[("\"hold\", \"route\"", "\"cancel\", \"route\"")],
        "is `cancel`; expected one of `hold`, `route`, `recommend`",
    );
    check_grant(&[("digests = []", "digests = [\"sha256:12\"]")], "is `sha256:12`; expected `sha256:…`");
    check_grant(&[("2027-06-30", "2027-06-30T00:00:00Z")], "expected a date such as");
    check_grant(
        &[("fallback_queue = \"fraud-review\"", "fallback_queue = \"credit\"")],
        "is `credit`; expected one of `fraud-review`, `pricing`",
    );
}

#[test]
fn refuses_a_second_grant_with_the_same_id() {
    check(&format!("{GRANT}{GRANT}"), PERMIT_ALL, "is `fraud-hold` a second time");
}

#[test]
fn refuses_keys_that_would_have_no_effect() {
    check_grant(
        &[("\"hold\", ", "")],
        "`grant[0].hold_minutes_max` is 2880; expected no such key, because `may` does not have `hold`",
    );
    check_grant(&[(", \"recommend\"", "")], "because `may` does not have `recommend`");
    check_grant(
        &[("\"route\", ", "")],
        "`grant[0].routes_per_hour_max` is 20; expected no such key, because `may` does not have `route`",
    );
    check_grant(&[("\"hold\", \"route\", ", "")], "because `may` has neither `hold` nor `route`");
    check_grant(
        &[("\"hold\", \"route\", ", ""), ("[\"review\"]", "[\"draft\"]")],
        "because nothing in `may` or `recommend` uses a queue",
    );
}

#[test]
fn refuses_a_grant_whose_falls_or_spent_budgets_land_nowhere() {
    check_grant(&[("fallback_queue = \"fraud-review\"", "")], "`grant[0].fallback_queue` is missing");
}

#[test]
fn refuses_a_rung_that_keeps_orders_back_without_its_ceilings() {
    for (key, missing) in [
        ("holds_per_hour_max = 50", "holds_per_hour_max"),
        ("route_value_max_minor = 10000000", "route_value_max_minor"),
        ("route_minutes_max = 1440", "route_minutes_max"),
        ("routes_per_hour_max = 20", "routes_per_hour_max"),
        ("currency = \"USD\"", "currency"),
    ] {
        check_grant(&[(key, "")], &format!("`grant[0].{missing}` is missing"));
    }
}

#[test]
fn refuses_hours_that_are_none() {
    for hours in ["\"6-18\"", "\"06:00-24:00\"", "\"06:60-18:00\"", "\"06:00-06:00\"", "\"+6:00-18:00\"", "6"] {
        let expires = format!("expires = 2027-06-30\nhours = {hours}");
        check_grant(&[("expires = 2027-06-30", &expires)], "`grant[0].hours` is ");
    }
}

#[test]
fn refuses_a_share_without_its_floor_and_a_floor_without_its_share() {
    let with = |keys: &str, message| {
        let keys = format!("holds_per_hour_max = 50\n{keys}");
        check_grant(&[("holds_per_hour_max = 50", &keys)], message);
    };
    with("held_share_max_bp = 500", "`grant[0].held_share_floor` is missing");
    with("held_share_floor = 3", "expected no such key, because `held_share_max_bp` is not there");
    with("held_share_max_bp = 10000\nheld_share_floor = 3", "`grant[0].held_share_max_bp` is 10000");
}

#[test]
fn refuses_broken_toml_with_its_line() {
    check("[[grant]]\nid = \n", PERMIT_ALL, "grants.toml:2: ");
}

#[test]
fn refuses_an_action_that_does_not_exist() {
    let policy = "\n@id(\"free\")\npermit (principal, action == Action::\"release\", resource);";
    check(GRANT, policy, "policies.cedar:3: policy `free`: ");
}

#[test]
fn refuses_a_policy_that_can_never_apply() {
    let policy = "@id(\"never\") permit (principal, action == Action::\"hold\", resource)\nwhen { false };";
    check(GRANT, policy, "policy `never`: ");
}

#[test]
fn refuses_an_attribute_that_may_be_missing_without_a_check() {
    let policy = "@id(\"classes\") permit (principal, action, resource) when { context.customer_class == \"new\" };";
    check(GRANT, policy, "policy `classes`: ");
}

#[test]
fn refuses_types_that_do_not_fit() {
    let policy = "@id(\"types\") permit (principal, action, resource) when { context.order_value_minor == \"5\" };";
    check(GRANT, policy, "policy `types`: ");
}

#[test]
fn refuses_names_that_nobody_knows() {
    check(
        GRANT,
        "@id(\"who\") permit (principal == Plugin::\"froud\", action, resource);",
        "`Plugin::\"froud\"` is not a name",
    );
    let policy = "@id(\"where\") permit (principal, action == Action::\"route\", resource)\nwhen { context.queue == Queue::\"fraud-reveiw\" };";
    check(GRANT, policy, "`Queue::\"fraud-reveiw\"` is not a name");
}

#[test]
fn refuses_policies_without_an_id_of_their_own() {
    check(GRANT, "\n\npermit (principal, action, resource);", "policies.cedar:3: policy `policy0`: it has no `@id");
    check(GRANT, &format!("{PERMIT_ALL}\n{PERMIT_ALL}"), "is used a second time");
}

#[test]
fn refuses_templates_and_broken_policies_with_their_line() {
    check(GRANT, "@id(\"t\") permit (principal == ?principal, action, resource);", "a template is never linked");
    check(GRANT, "@id(\"x\")\npermit (principal, action resource);", "policies.cedar:2: ");
}

#[test]
fn the_digest_covers_grants_and_policies() {
    let usual = load(GRANT, PERMIT_ALL).digest();
    assert_eq!(load(GRANT, PERMIT_ALL).digest(), usual);
    assert_ne!(load(GRANT, "").digest(), usual);
    assert_ne!(load(&grant_with(&[("2880", "2879")]), PERMIT_ALL).digest(), usual);
}

#[test]
fn lists_its_grants_for_people() {
    let authority = load(GRANT, PERMIT_ALL);
    let lines: Vec<String> = authority.grants().iter().map(|grant| grant.summary()).collect();
    let expected = "fraud-hold: `fraud` may hold, route, recommend (hold up to 2880 min, orders up to \
                    25000.00 USD) (route up to 1440 min, orders up to 100000.00 USD, 20 an hour), until 2027-06-30, owner risk@distributor.example";
    assert_eq!(lines, [expected]);
}

#[test]
fn takes_no_files_for_no_authority() {
    let none: [SourceFile<'_>; 0] = [];
    let authority = crate::Authority::load(&none, &none, &super::known()).unwrap();
    assert!(authority.grants().is_empty());
}

#[test]
fn what_a_grant_allows_and_no_policy_permits_is_named() {
    let unpermitted = |policies: &str| {
        let authority = load(GRANT, policies);
        authority.unpermitted().into_iter().map(|(grant, rung)| (grant.id.clone(), rung.as_str())).collect::<Vec<_>>()
    };
    assert!(unpermitted(PERMIT_ALL).is_empty());
    for all in [
        r#"@id("a") permit (principal, action, resource);"#,
        r#"@id("a") permit (principal is Plugin, action, resource);"#,
        r#"@id("a") permit (principal in Plugin::"fraud", action in [Action::"hold", Action::"route", Action::"recommend"], resource);"#,
    ] {
        assert!(unpermitted(all).is_empty(), "{all}");
    }
    let some = r#"
        @id("a") permit (principal == Plugin::"fraud", action == Action::"route", resource);
        @id("b") permit (principal == Plugin::"margin", action == Action::"hold", resource);
        @id("c") forbid (principal == Plugin::"fraud", action == Action::"recommend", resource);
    "#;
    let id = || "fraud-hold".to_owned();
    assert_eq!(unpermitted(some), [(id(), "hold"), (id(), "recommend")]);
    assert_eq!(unpermitted("").len(), 3);
}
