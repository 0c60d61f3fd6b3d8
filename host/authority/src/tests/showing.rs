//! What data grants show, and what is wrong with them.

use portreeve_model::{Instant, PluginName};

use super::{NOW, PERMIT_ALL, load, try_load};
use crate::{Direction, Field, changes_of_data};

fn data(expires: &str, fields: &str) -> String {
    format!("\n[[data]]\nplugin = \"fraud\"\nowner = \"privacy@example\"\nexpires = {expires}\nfields = [{fields}]\n")
}

fn words(text: &str, now: Instant) -> Vec<&'static str> {
    load(text, PERMIT_ALL).sees(&PluginName::parse("fraud").unwrap(), now).words()
}

#[test]
fn shows_nothing_that_nobody_wrote_down() {
    assert!(words("", NOW).is_empty());
    let other = load(&data("2027-06-30", "\"notes\""), PERMIT_ALL);
    assert!(!other.sees(&PluginName::parse("margin").unwrap(), NOW).show(Field::Notes));
}

#[test]
fn grants_add_up_and_each_ends_with_its_last_day() {
    let both = data("2027-06-30", "\"customer.id\", \"notes\"") + &data("2027-06-29", "\"payment\", \"customer.id\"");
    let last_ms = 1_814_313_599_999; // 2027-06-29T23:59:59.999Z
    assert_eq!(words(&both, Instant(last_ms)), ["customer.id", "payment", "notes"]);
    assert_eq!(words(&both, Instant(last_ms + 1)), ["customer.id", "notes"]);
    assert!(words(&both, Instant(last_ms + 1 + Instant::DAY_MS)).is_empty());
}

#[test]
fn refuses_what_it_does_not_know_with_what_there_is() {
    for (text, message) in [
        (data("2027-06-30", "\"customer\""), "expected one of `order.number`, `customer.id`"),
        (data("2027-06-30", ""), "`data[0].fields` is empty"),
        (data("\"soon\"", "\"notes\""), "`data[0].expires` is "),
        (data("2027-06-30", "\"notes\"").replace("fraud", "fruad"), "`data[0].plugin` is "),
        (data("2027-06-30", "\"notes\"") + "mask = true\n", "mask"),
    ] {
        let errors = try_load(&text, PERMIT_ALL).unwrap_err().to_string();
        assert!(errors.contains(message), "expected `{message}` in:\n{errors}");
    }
}

#[test]
fn a_change_is_told_by_what_is_shown_more_or_less() {
    let between = |before: &str, after: &str| {
        let (before, after) = (load(before, PERMIT_ALL), load(after, PERMIT_ALL));
        changes_of_data(before.data_grants(), after.data_grants(), NOW)
    };
    let (notes, payment) = (data("2027-06-30", "\"notes\""), data("2027-06-30", "\"payment\""));
    assert!(between(&notes, &notes).is_empty());
    let turned = between(&notes, &payment);
    assert_eq!(
        turned,
        [
            (Direction::Wider, "`fraud` sees also, or longer: payment".to_owned()),
            (Direction::Narrower, "`fraud` sees no more, or shorter: notes".to_owned())
        ]
    );
    let longer = between(&notes, &data("2027-07-01", "\"notes\""));
    assert_eq!(longer, [(Direction::Wider, "`fraud` sees also, or longer: notes".to_owned())]);
    // What is over shows nothing: the same fields with a later day are more.
    let again = between(&data("2026-12-31", "\"notes\""), &notes);
    assert_eq!(again, [(Direction::Wider, "`fraud` sees also, or longer: notes".to_owned())]);
}
