//! Rows and differences: that nothing is guessed, and that order, paging and sides change nothing.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use portreeve_model::event::{CancelRequest, InventoryLevel};
use portreeve_model::value::{Extension, Quantity};
use portreeve_model::{Event, Instant};
use proptest::prelude::*;

use super::difference::{Comparison, Difference, DifferenceKind, Told, compare};
use super::row::{Cell, Measure, Of, ROWS_MAX, Rows, Unusable};

/// When all that the tests do not say otherwise of is at rest.
const NOW: Instant = Instant(1_000_000);

fn quantity(value: i64, scale: u8, unit: &str) -> Quantity {
    Quantity { value, scale, unit: unit.to_owned() }
}

fn level(sku: &str, node: &str, on_hand: Quantity) -> Event {
    Event::InventoryLevel(InventoryLevel {
        sku: sku.to_owned(),
        node: node.to_owned(),
        available: quantity(0, 0, &on_hand.unit),
        on_hand,
        as_of: None,
        extensions: Vec::new(),
    })
}

fn changed(event: Event, at: &str) -> Event {
    let Event::InventoryLevel(mut level) = event else { return event };
    level.extensions = vec![Extension { name: "changed-at".to_owned(), value: at.to_owned() }];
    Event::InventoryLevel(level)
}

fn rows(of: Of, events: &[Event]) -> Result<Rows, Unusable> {
    let mut rows = Rows::new(of);
    events.iter().try_for_each(|event| rows.add(event))?;
    Ok(rows)
}

fn cells(events: &[Event]) -> BTreeMap<String, Cell> {
    rows(Of::Stock, events).unwrap().cells().unwrap()
}

fn differing(left: &[Event], right: &[Event]) -> Comparison {
    compare(&cells(left), &cells(right), NOW)
}

fn only(comparison: &Comparison) -> &Difference {
    assert_eq!(comparison.differences.len(), 1, "{comparison:?}");
    comparison.differences.values().next().unwrap()
}

#[test]
fn numbers_are_exact_whatever_their_scale() {
    for (value, scale, text) in [
        (0, 0, "0"),
        (0, 9, "0"),
        (5, 0, "5"),
        (500, 2, "5"),
        (250, 2, "2.5"),
        (-250, 2, "-2.5"),
        (5, 3, "0.005"),
        (-5, 3, "-0.005"),
        (i64::MIN, 0, "-9223372036854775808"),
        (i64::MAX, 9, "9223372036.854775807"),
    ] {
        let measure = Measure::of(&quantity(value, scale, "EA"));
        assert_eq!((measure.to_string().as_str(), measure.is_zero()), (text, value == 0));
    }
    assert_eq!(Measure::of(&quantity(5, 0, "EA")), Measure::of(&quantity(50_000, 4, "EA")));
}

#[test]
fn stock_is_added_up_over_places_and_units_never_are() {
    let kept = [
        level("PUMP", "A", quantity(25, 1, "EA")),
        level("PUMP", "B", quantity(75, 1, "EA")),
        level("HOSE", "A", quantity(3, 0, "MTR")),
        level("HOSE", "B", quantity(1, 0, "ROL")),
        level("GONE", "A", quantity(2, 0, "EA")),
        level("GONE", "B", quantity(-2, 0, "EA")),
    ];
    let told = |cells: &BTreeMap<String, Cell>| -> Vec<String> {
        cells.iter().map(|(key, cell)| format!("{key}: {cell}")).collect()
    };
    assert_eq!(told(&cells(&kept)), ["GONE: none", "HOSE: 3 MTR and 1 ROL", "PUMP: 10 EA"]);
    let by_node = rows(Of::StockByNode, &kept).unwrap().cells().unwrap();
    let expected = ["GONE at A: 2 EA", "GONE at B: -2 EA", "HOSE at A: 3 MTR", "HOSE at B: 1 ROL"];
    assert_eq!(told(&by_node)[..4], expected);
}

#[test]
fn what_a_list_says_twice_counts_once_and_what_it_contradicts_is_no_list() {
    let row = || level("PUMP", "A", quantity(5, 0, "EA"));
    assert_eq!(rows(Of::Stock, &[row(), row()]).unwrap().len(), 1);
    let twice = rows(Of::Stock, &[row(), level("PUMP", "A", quantity(6, 0, "EA"))]).unwrap_err();
    assert_eq!(twice, Unusable::ListedTwice { row: "PUMP".to_owned() });
    let units = rows(Of::Stock, &[row(), level("PUMP", "A", quantity(5, 0, "BX"))]).unwrap_err();
    assert_eq!(units.code(), "listed-twice");
    let cancel =
        CancelRequest { order_number: "1".to_owned(), reason: None, line_numbers: Vec::new(), extensions: Vec::new() };
    let other = rows(Of::Stock, &[Event::OrderCancelRequested(cancel)]).unwrap_err();
    assert_eq!(other, Unusable::OtherEvent { found: "order.cancel-requested".to_owned(), of: Of::Stock });
    let when = rows(Of::Stock, &[changed(row(), "yesterday")]).unwrap_err();
    assert_eq!(when, Unusable::ChangedAt { row: "PUMP".to_owned() });
}

#[test]
fn a_list_has_an_end() {
    let mut rows = Rows::new(Of::Stock);
    for number in 0..ROWS_MAX {
        rows.add(&level(&number.to_string(), "A", quantity(1, 0, "EA"))).unwrap();
    }
    rows.add(&level("0", "A", quantity(1, 0, "EA"))).unwrap();
    let more = rows.add(&level("more", "A", quantity(1, 0, "EA"))).unwrap_err();
    assert_eq!((more, rows.len()), (Unusable::TooMany, ROWS_MAX));
}

#[test]
fn a_key_that_a_list_does_not_have_is_one_of_which_there_is_nothing() {
    let some = [level("PUMP", "A", quantity(5, 0, "EA"))];
    let none = [level("PUMP", "A", quantity(0, 0, "BX"))];
    assert_eq!(differing(&[], &none), Comparison { compared: 1, agreeing: 1, ..Comparison::default() });
    for against in [&[][..], &none] {
        let found = differing(&some, against);
        let difference = only(&found);
        assert_eq!((difference.kind, found.compared, found.agreeing), (DifferenceKind::Numbers, 1, 0));
        let told = Told { key: "PUMP", difference, left: "erp", right: "wms" }.to_string();
        assert!(told.starts_with("found 5 EA of `PUMP` in erp and none in wms, expected the same; "), "{told}");
    }
}

#[test]
fn numbers_of_different_units_are_told_and_not_compared() {
    let found = differing(&[level("PUMP", "A", quantity(10, 0, "EA"))], &[level("PUMP", "A", quantity(1, 0, "BX"))]);
    let difference = only(&found);
    assert_eq!(difference.kind, DifferenceKind::Units);
    let told = Told { key: "PUMP", difference, left: "erp", right: "wms" }.to_string();
    assert!(told.contains("10 EA") && told.contains("1 BX") && told.contains("cannot be compared"), "{told}");
    // The same number of another unit is no agreement.
    let same = differing(&[level("PUMP", "A", quantity(1, 0, "EA"))], &[level("PUMP", "A", quantity(1, 0, "BX"))]);
    assert_eq!(only(&same).kind, DifferenceKind::Units);
}

#[test]
fn what_changed_lately_on_either_side_is_not_judged_where_it_differs() {
    let was = |number, at: i64| [changed(level("PUMP", "A", quantity(number, 0, "EA")), &at.to_string())];
    let (before, after) = (NOW.0, NOW.0 + 1);
    let nothing_told = [level("PUMP", "A", quantity(6, 0, "EA"))];
    for (left, right) in
        [(&was(5, after)[..], &nothing_told[..]), (&nothing_told, &was(5, after)), (&was(5, before), &was(6, after))]
    {
        let found = differing(left, right);
        assert!(found.differences.is_empty() && found.compared == 0, "{found:?}");
        assert_eq!(found.unsettled.iter().collect::<Vec<_>>(), ["PUMP"]);
    }
    assert_eq!(differing(&was(5, before), &was(6, before)).differences.len(), 1);
    assert_eq!(differing(&was(5, after), &was(5, after)).agreeing, 1, "what agrees, agrees");
}

/// Rows of a few items at a few places in a few units, each pair of item and place once.
fn some_rows() -> impl Strategy<Value = Vec<Event>> {
    let row = (0..4_u8, 0..3_u8, -3..4_i64, 0..3_u8, 0..2_u8, prop::option::of(0..2_i64));
    prop::collection::vec(row, 0..16).prop_map(|rows| {
        let mut kept = BTreeMap::new();
        for (sku, node, value, scale, unit, at) in rows {
            let unit = if unit == 0 { "EA" } else { "BX" };
            let event = level(&format!("S{sku}"), &format!("N{node}"), quantity(value, scale, unit));
            kept.insert(
                (sku, node),
                match at {
                    None => event,
                    Some(late) => changed(event, &(NOW.0 + late).to_string()),
                },
            );
        }
        kept.into_values().collect()
    })
}

proptest! {
    #[test]
    fn equal_lists_have_no_difference_and_order_and_repetition_change_nothing(events in some_rows(), seed in any::<u64>()) {
        let there = rows(Of::Stock, &events).unwrap();
        let mut shuffled = events.clone();
        shuffled.extend(events.iter().take(3).cloned());
        shuffled.sort_by_key(|event| portreeve_model::Digest::of_parts(&[&seed.to_be_bytes(), format!("{event:?}").as_bytes()]));
        let again = rows(Of::Stock, &shuffled).unwrap();
        prop_assert_eq!(there.digest(), again.digest());
        let found = compare(&there.cells().unwrap(), &again.cells().unwrap(), NOW);
        prop_assert_eq!(found.agreeing, found.compared);
        prop_assert!(found.differences.is_empty() && found.unsettled.is_empty());
    }

    #[test]
    fn the_other_way_round_the_same_differs(left in some_rows(), right in some_rows()) {
        let (one, other) = (differing(&left, &right), differing(&right, &left));
        prop_assert_eq!((one.compared, one.agreeing, &one.unsettled), (other.compared, other.agreeing, &other.unsettled));
        prop_assert_eq!(one.differences.keys().collect::<Vec<_>>(), other.differences.keys().collect::<Vec<_>>());
        for (key, difference) in &one.differences {
            let mirrored = &other.differences[key];
            prop_assert_eq!((&difference.left, &difference.right), (&mirrored.right, &mirrored.left));
            prop_assert_eq!(difference.kind, mirrored.kind);
        }
    }

    #[test]
    fn one_changed_row_is_exactly_one_difference(events in some_rows(), which in any::<prop::sample::Index>(), by in 1..5_i64) {
        prop_assume!(!events.is_empty());
        let mut other = events.clone();
        let Event::InventoryLevel(level) = &mut other[which.index(events.len())] else { unreachable!() };
        level.on_hand.value += by;
        let sku = level.sku.clone();
        let settled = Instant(NOW.0 + 10);
        let found = compare(&cells(&events), &cells(&other), settled);
        prop_assert_eq!(found.differences.keys().collect::<Vec<_>>(), vec![&sku]);
        prop_assert_eq!(found.agreeing + 1, found.compared);
        prop_assert_ne!(rows(Of::Stock, &events).unwrap().digest(), rows(Of::Stock, &other).unwrap().digest());
    }
}
