//! Whose packages count, and everything that a policy, a signature or a package gets wrong.

use portreeve_model::Instant;
use portreeve_model::strict::SourceFile;
use portreeve_record::NoteKey;
use portreeve_registry::{Occasion, Package, Signature, Statement, TrustPolicy};
use proptest::prelude::*;

use crate::drawn::{held, tried};
use crate::support::{MORNING, component, publisher};

/// A component of the project's, signed by these keys.
pub(super) fn signed(name: &str, keys: &[&NoteKey]) -> Package {
    let bytes = std::fs::read(component(name)).unwrap();
    let unsigned = Package::read(&bytes, None).unwrap();
    let statement = Statement::of(unsigned.manifest(), unsigned.digest());
    let mut keys = keys.iter();
    let Some(first) = keys.next() else { return unsigned };
    let signature = keys.fold(Signature::made(statement, first), |signed, key| signed.countersigned(key).unwrap());
    Package::read(&bytes, Some(signature.as_str())).unwrap()
}

fn policy(text: &str) -> Result<TrustPolicy, String> {
    TrustPolicy::load(&SourceFile { name: "trust.toml", text }).map_err(|errors| errors.to_string())
}

/// A policy in which `portreeve` ships `fraud`, with more lines for it and its key.
fn fraud(publisher_lines: &str, key_lines: &str, rest: &str) -> TrustPolicy {
    let key = publisher("portreeve").verifier();
    policy(&format!(
        "[[publisher]]\nname = \"portreeve\"\nplugins = [\"fr*\"]\nkinds = [\"scorer\"]\nimports = [\"lookup\"]\n{publisher_lines}\n[[publisher.key]]\nkey = \"{key}\"\n{key_lines}\n{rest}"
    ))
    .unwrap()
}

/// A reviewer who countersigns.
fn reviewer(key_lines: &str) -> String {
    let key = publisher("review").verifier();
    format!("[[publisher]]\nname = \"review\"\ncountersigns = [\"*\"]\n[[publisher.key]]\nkey = \"{key}\"\n{key_lines}")
}

/// Refused, for all of these reasons.
fn refused(policy: &TrustPolicy, package: &Package, reasons: &[&str]) {
    let untrusted = policy.judge(package, Occasion::New, MORNING).unwrap_err();
    let sentence = untrusted.to_string();
    for reason in reasons {
        assert!(sentence.contains(reason), "expected `{reason}` in: {sentence}");
    }
    assert_eq!(untrusted.reasons().len(), reasons.len(), "{sentence}");
}

#[test]
fn what_its_publisher_signed_and_may_ship_is_trusted_and_nothing_else() {
    let (ours, stranger) = (publisher("portreeve"), publisher("stranger"));
    let policy = fraud("", "", "");
    let trusted = policy.judge(&signed("fraud", &[&ours]), Occasion::New, MORNING).unwrap();
    assert_eq!(trusted.signers(), [ours.verifier().name_and_hash()]);

    refused(&policy, &signed("fraud", &[]), &["it is not signed"]);
    refused(
        &policy,
        &signed("fraud", &[&stranger]),
        &["no key of its publisher `portreeve` signed it", "0 of 1 publishers"],
    );
    // Another plugin, of another kind, with another import: all of it at once.
    refused(
        &policy,
        &signed("x12", &[&ours]),
        &["lets it ship `fr*`", "lets it ship `scorer`", "lets it ship `lookup`"],
    );
    refused(&policy, &signed("trap", &[&ours]), &["its publisher is `hostile`, and trust.toml names `portreeve`"]);
}

#[test]
fn a_signature_that_is_another_packages_or_was_changed_is_no_signature() {
    let ours = publisher("portreeve");
    let policy = fraud("", "", "");
    let (fraud, margin) = (std::fs::read(component("fraud")).unwrap(), signed("margin", &[&ours]));
    let others = Package::read(&fraud, Some(margin.signature().unwrap().as_str())).unwrap();
    refused(&policy, &others, &["about digest", "about plugin `margin`"]);
    let text = signed("fraud", &[&ours]).signature().unwrap().as_str().to_owned();
    let forged = text.replace("version 0.1.0", "version 9.9.9");
    let forged = Package::read(&fraud, Some(&forged)).unwrap();
    refused(
        &policy,
        &forged,
        &[
            "about version `9.9.9`",
            "no key of its publisher",
            "0 of 1 publishers",
            "the text was changed or another key signed it",
        ],
    );
}

#[test]
fn a_second_publisher_countersigns_and_counts_where_it_may() {
    let (ours, review) = (publisher("portreeve"), publisher("review"));
    let policy = fraud("signatures_min = 2", "", &reviewer(""));
    policy.judge(&signed("fraud", &[&review, &ours]), Occasion::New, MORNING).unwrap();
    refused(&policy, &signed("fraud", &[&ours]), &["1 of 2 publishers signed it"]);
    refused(&policy, &signed("fraud", &[&review]), &["no key of its publisher", "1 of 2 publishers signed it"]);
    // Of the names that begin so, others than this one.
    let elsewhere = reviewer("").replace("\"*\"", "\"from-afar\", \"margin\"");
    let policy = fraud("signatures_min = 2", "", &elsewhere);
    refused(&policy, &signed("fraud", &[&review, &ours]), &["1 of 2 publishers signed it"]);
}

#[test]
fn a_revoked_key_counts_for_nothing_and_one_that_ran_out_lets_nothing_new_in() {
    let ours = publisher("portreeve");
    let package = signed("fraud", &[&ours]);
    let at = |policy: &TrustPolicy, occasion, now| policy.judge(&package, occasion, now).map(|trusted| trusted.lasts());
    let day = |days: i64| MORNING.plus_ms(days * Instant::DAY_MS);

    let revoked = fraud("", "revoked = true\nreason = \"stolen\"", "");
    for occasion in [Occasion::New, Occasion::Active] {
        assert!(at(&revoked, occasion, MORNING).unwrap_err().to_string().contains("was revoked"));
    }
    // The tests begin on 2026-03-02.
    let from_a_day = fraud("", "revoked = 2026-03-04", "");
    let lasts = at(&from_a_day, Occasion::Active, MORNING).unwrap();
    assert!(!lasts.ended(day(1)) && lasts.ended(day(2)), "who has it in memory stops, too");
    assert!(at(&from_a_day, Occasion::Active, day(2)).is_err());

    let ran_out = fraud("", "not_after = 2026-03-02", "");
    assert!(!at(&ran_out, Occasion::New, MORNING).unwrap().ended(day(900)));
    assert!(at(&ran_out, Occasion::New, day(1)).unwrap_err().to_string().contains("good until 2026-03-02"));
    at(&ran_out, Occasion::Active, day(1)).unwrap();
}

#[test]
fn what_needs_two_lasts_as_long_as_both() {
    let (ours, review) = (publisher("portreeve"), publisher("review"));
    let package = signed("fraud", &[&ours, &review]);
    for (min, ours_line, review_line, ended) in [
        (1, "", "revoked = 2026-03-04", false),
        (2, "", "revoked = 2026-03-04", true),
        (2, "revoked = 2026-03-04", "", true),
        (1, "revoked = 2026-03-04", "", true),
    ] {
        let policy = fraud(&format!("signatures_min = {min}"), ours_line, &reviewer(review_line));
        let lasts = policy.judge(&package, Occasion::New, MORNING).unwrap().lasts();
        assert_eq!(lasts.ended(MORNING.plus_ms(2 * Instant::DAY_MS)), ended, "{min}, {ours_line}, {review_line}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_policy_is_told_at_once_with_line_and_key() {
    let key = publisher("portreeve").verifier();
    let text = format!(
        "trusted = true\n\
         [[publisher]]\nname = \"Acme Inc.\"\nplugins = [\"*-orders\", \"fraud\"]\nkinds = [\"plugin\"]\nimports = [\"network\"]\nsignatures_min = 0\n\
         [[publisher.key]]\nkey = \"{key}\"\nrevoked = false\nnot_after = \"soon\"\n\
         [[publisher]]\nname = \"review\"\n\
         [[publisher.key]]\nkey = \"{key}\"\n\
         [[publisher]]\nname = \"review\"\ncountersigns = [\"*\"]\n\
         [[publisher.key]]\nkey = \"{key}\"\n\
         [[publisher]]\nname = \"lonely\"\ncountersigns = [\"*\"]\n"
    );
    let problems = policy(&text).unwrap_err();
    for expected in [
        "trust.toml:1: `trusted` is an unknown key",
        "trust.toml:3: `publisher[0].name` is `Acme Inc.`",
        "trust.toml:4: `publisher[0].plugins` is `*-orders`; expected names of plugins, or their beginning and `*`",
        "trust.toml:5: `publisher[0].kinds` is `plugin`",
        "`publisher[0].imports` is `network`; expected out of",
        "`publisher[0].signatures_min` is 0; expected 1 to 16",
        "`publisher[0].key[0].revoked` is false; expected `true`, or a date",
        "`publisher[0].key[0].not_after` is `soon`",
        "`publisher[1].plugins` is nothing; expected what it ships, or `countersigns`",
        "again, whatever its name; expected each key once",
        "`publisher[3].key` is missing; expected one or more `[[publisher.key]]`",
        "`publisher[2].name` is `review` again",
    ] {
        assert!(problems.contains(expected), "expected `{expected}` in:\n{problems}");
    }
    let unreachable = policy(&format!(
        "[[publisher]]\nname = \"a\"\nplugins = [\"*\"]\nkinds = [\"scorer\"]\nsignatures_min = 2\n[[publisher.key]]\nkey = \"{key}\"\n"
    ));
    let unreachable = unreachable.unwrap_err();
    let expected =
        "trust.toml:1: `publisher[0].signatures_min` is 2, and for `*` of `plugins` fewer may sign; expected no more";
    assert!(unreachable.contains(expected), "{unreachable}");
    assert!(policy("").is_ok(), "nobody is trusted");
    assert!(policy("[[publisher").unwrap_err().contains("trust.toml:1"));
}

#[test]
fn one_key_under_two_names_is_no_second_publisher() {
    let key = publisher("portreeve");
    let renamed = NoteKey::from_bytes("review-board", &key.to_bytes()).unwrap();
    let text = format!(
        "[[publisher]]\nname = \"portreeve\"\nplugins = [\"*\"]\nkinds = [\"scorer\"]\nsignatures_min = 2\n\
         [[publisher.key]]\nkey = \"{}\"\n\
         [[publisher]]\nname = \"review-board\"\ncountersigns = [\"*\"]\n[[publisher.key]]\nkey = \"{}\"\n",
        key.verifier(),
        renamed.verifier()
    );
    let told = policy(&text).unwrap_err();
    assert!(told.contains("`review-board+") && told.contains("again, whatever its name"), "{told}");
    let another = text.replace(&renamed.verifier().to_string(), &publisher("review-board").verifier().to_string());
    assert!(policy(&another).is_ok());
}

/// What publishers may ship and countersign, over names of few letters.
fn publishers() -> impl Strategy<Value = Vec<(Vec<String>, Vec<String>, usize)>> {
    let pattern = "[ab]{0,3}".prop_flat_map(|start| {
        let name = if start.is_empty() { "a".to_owned() } else { start.clone() };
        prop_oneof![Just(format!("{start}*")), Just(name)]
    });
    let patterns = || prop::collection::vec(pattern.clone(), 1..3);
    prop::collection::vec((patterns(), patterns(), 1_usize..4), 1..5)
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[test]
fn more_signatures_than_could_ever_be_made_are_refused_and_no_other_number_is() {
    // Every name of up to five letters, one of which no pattern has.
    let mut names = vec![String::new()];
    for at in 0.. {
        if names[at].len() == 5 {
            break;
        }
        let longer: Vec<String> = ["a", "b", "c"].iter().map(|letter| format!("{}{letter}", names[at])).collect();
        names.extend(longer);
    }
    names.remove(0);
    let seen = std::cell::Cell::new((0, 0));
    held(tried("who may countersign", 600, &publishers(), |publishers| {
        let mut text = String::new();
        for (at, (plugins, countersigns, min)) in publishers.iter().enumerate() {
            let key = publisher(&format!("p{at}")).verifier();
            text.push_str(&format!(
                "[[publisher]]\nname = \"p{at}\"\nplugins = {plugins:?}\ncountersigns = {countersigns:?}\nkinds = [\"scorer\"]\nsignatures_min = {min}\n[[publisher.key]]\nkey = \"{key}\"\n"
            ));
        }
        // Whether for each of its patterns there is a name that enough of them may sign.
        let reachable = publishers.iter().enumerate().all(|(at, (plugins, _, min))| {
            plugins.iter().all(|pattern| {
                names.iter().filter(|name| fits(pattern, name)).any(|name| {
                    let others = publishers.iter().enumerate().filter(|(other, (_, countersigns, _))| {
                        *other != at && countersigns.iter().any(|pattern| fits(pattern, name))
                    });
                    1 + others.count() >= *min
                })
            })
        });
        match policy(&text) {
            Ok(_) => prop_assert!(reachable, "{text}"),
            Err(told) => {
                prop_assert!(!reachable, "{told}\n{text}");
                prop_assert!(told.lines().all(|line| line.contains("`plugins` fewer may sign")), "{told}");
            }
        }
        let (good, bad) = seen.get();
        seen.set(if reachable { (good + 1, bad) } else { (good, bad + 1) });
        Ok(())
    }));
    let (good, bad) = seen.get();
    assert!(good > 50 && bad > 50, "{good} that could be signed and {bad} that could not say too little");
}

#[test]
fn a_revoked_key_leaves_a_policy_that_can_be_loaded() {
    // Or nobody could revoke the only key that countersigns.
    fraud("signatures_min = 2", "", &reviewer("revoked = true"));
}
