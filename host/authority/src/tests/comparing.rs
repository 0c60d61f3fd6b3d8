//! What a change of a grant does to what its plugin may cause.

use super::{GRANT, PERMIT_ALL, grant_with, load};
use crate::{Code, Direction, changes};

/// The changes from one text to another, a line for each.
fn between(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (load(before, PERMIT_ALL), load(after, PERMIT_ALL));
    changes(before.grants(), after.grants())
        .iter()
        .map(|change| format!("{}: {change}", change.direction().as_str()))
        .collect()
}

#[test]
fn the_same_grants_are_no_change() {
    assert!(between(GRANT, GRANT).is_empty());
}

#[test]
fn tells_wider_from_narrower_by_what_a_key_means() {
    let digests = format!("digests = [\"{}\"]", portreeve_model::Digest::of(b"component"));
    for (from, to, line) in [
        (
            "hold_minutes_max = 2880",
            "hold_minutes_max = 60",
            "narrower: fraud-hold: hold_minutes_max: 2880 minutes becomes 60 minutes",
        ),
        (
            "holds_per_hour_max = 50",
            "holds_per_hour_max = 51",
            "wider: fraud-hold: holds_per_hour_max: 50 holds an hour becomes 51 holds an hour",
        ),
        (
            "order_value_max_minor = 2500000",
            "order_value_max_minor = 2500001",
            "wider: fraud-hold: order_value_max_minor: 25000.00 USD becomes 25000.01 USD",
        ),
        // Without a budget there is no end.
        (
            "value_held_per_day_max_minor = 100000000",
            "",
            "wider: fraud-hold: value_held_per_day_max_minor: 1000000.00 USD becomes nothing",
        ),
        // A list that is empty means all.
        ("digests = []", digests.as_str(), "narrower: fraud-hold: digests: all becomes sha256:"),
        ("channels = []", "channels = [\"edi\"]", "narrower: fraud-hold: channels: all becomes edi"),
        ("[\"standard\", \"new\"]", "[]", "wider: fraud-hold: customer_classes: new, standard becomes all"),
        ("[\"standard\", \"new\"]", "[\"new\"]", "narrower: fraud-hold: customer_classes: new, standard becomes new"),
        ("[\"standard\", \"new\"]", "[\"gold\"]", "other: fraud-hold: customer_classes: new, standard becomes gold"),
        (
            "[\"fraud-review\", \"pricing\"]",
            "[\"fraud-review\"]",
            "narrower: fraud-hold: queues: fraud-review, pricing becomes fraud-review",
        ),
        ("expires = 2027-06-30", "expires = 2027-07-01", "wider: fraud-hold: expires: 2027-06-30 becomes 2027-07-01"),
        (
            "expires = 2027-06-30",
            "expires = 2027-06-30\nhours = \"06:00-18:00\"",
            "narrower: fraud-hold: hours: nothing becomes 06:00-18:00 UTC",
        ),
        ("digests = []", "digests = []\npublisher = \"acme\"", "narrower: fraud-hold: publisher: nothing becomes acme"),
        ("beyond = \"narrow\"", "beyond = \"fall\"", "other: fraud-hold: beyond: narrow becomes fall"),
    ] {
        let found = between(GRANT, &grant_with(&[(from, to)]));
        assert!(matches!(&found[..], [one] if one.starts_with(line)), "expected `{line}`, found {found:?}");
        // The way back is the opposite.
        let back = between(&grant_with(&[(from, to)]), GRANT);
        let opposite = match line.split_once(':').unwrap().0 {
            "wider" => "narrower:",
            "narrower" => "wider:",
            other => other,
        };
        assert!(matches!(&back[..], [one] if one.starts_with(opposite)), "{back:?}");
    }
}

#[test]
fn a_rung_that_goes_takes_its_ceilings_with_it_and_is_narrower() {
    let without: Vec<(&str, &str)> = [
        ("\"hold\", \"route\", \"recommend\"", "\"route\", \"recommend\""),
        ("order_value_max_minor = 2500000", ""),
        ("hold_minutes_max = 2880", ""),
        ("holds_per_hour_max = 50", ""),
        ("value_held_per_day_max_minor = 100000000", ""),
        ("budget_spent = \"queue\"", ""),
    ]
    .to_vec();
    let routes = grant_with(&without);
    assert_eq!(between(GRANT, &routes), ["narrower: fraud-hold: may: hold, recommend, route becomes recommend, route"]);
    assert_eq!(between(&routes, GRANT), ["wider: fraud-hold: may: recommend, route becomes hold, recommend, route"]);
}

#[test]
fn amounts_of_two_currencies_are_not_compared() {
    let found = between(GRANT, &grant_with(&[("currency = \"USD\"", "currency = \"JPY\"")]));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|line| line.starts_with("other: ")), "{found:?}");
}

#[test]
fn a_grant_that_comes_is_wider_and_one_that_goes_is_narrower() {
    let two = format!("{GRANT}{}", grant_with(&[("id = \"fraud-hold\"", "id = \"another\"")]));
    assert!(between(GRANT, &two).concat().starts_with("wider: new grant another: `fraud` may hold"));
    assert!(between(&two, GRANT).concat().starts_with("narrower: no grant any more another: "));
    // Of two that reach equally far the first decides.
    let turned = format!("{}{GRANT}", grant_with(&[("id = \"fraud-hold\"", "id = \"another\"")]));
    assert_eq!(between(&two, &turned), ["other: the grants stand in another order"]);
    let (two, turned) = (load(&two, PERMIT_ALL), load(&turned, PERMIT_ALL));
    assert!(changes(two.grants(), turned.grants()).iter().all(|change| change.direction() == Direction::Other));
}

#[test]
fn every_code_has_a_word_and_a_meaning_of_its_own() {
    let words: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let meanings: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.meaning()).collect();
    assert_eq!((words.len(), meanings.len()), (Code::ALL.len(), Code::ALL.len()));
}
