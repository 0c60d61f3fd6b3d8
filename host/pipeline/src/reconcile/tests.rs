//! Rows and differences: that nothing is guessed, and that order, paging and sides change nothing.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::event::{
    CancelRequest, InventoryLevel, Invoice, Order, OrderLine, OrderTotals, OtherEvent, Refund, RefundCause, Settlement,
};
use portreeve_model::value::{Currency, Customer, Extension, Money, Quantity, UnitPrice};
use portreeve_model::{Event, Instant, OrderId, UnreadableRow};
use proptest::prelude::*;

use super::difference::{Comparison, Difference, DifferenceKind, Terms, Told, compare};
use super::row::{Cell, Measure, NUMBERS_MAX, Of, ROWS_MAX, Rows, Unusable};

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

fn terms(settled_by: Instant) -> Terms<'static> {
    static NONE: BTreeSet<OrderId> = BTreeSet::new();
    static NO_KEY: BTreeSet<String> = BTreeSet::new();
    static NOTHING: BTreeMap<String, Instant> = BTreeMap::new();
    Terms { of: Of::Stock, settled_by, judged_from: None, moved: &NOTHING, known: &NO_KEY, left_out: &NONE }
}

fn cells(events: &[Event]) -> BTreeMap<String, Cell> {
    rows(Of::Stock, events).unwrap().cells().unwrap()
}

fn differing(left: &[Event], right: &[Event]) -> Comparison {
    compare(&cells(left), &cells(right), terms(NOW))
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
fn what_a_list_says_twice_counts_once_and_what_it_contradicts_is_a_row_that_nobody_can_compare() {
    let row = || level("PUMP", "A", quantity(5, 0, "EA"));
    assert_eq!(rows(Of::Stock, &[row(), row()]).unwrap().len(), 1);
    let hose = || level("HOSE", "A", quantity(1, 0, "EA"));
    for other in [level("PUMP", "A", quantity(6, 0, "EA")), level("PUMP", "A", quantity(5, 0, "BX"))] {
        let (one, two) = ([row(), other.clone(), hose()], [other.clone(), hose(), row(), other]);
        let found = differing(&one, &[row(), hose()]);
        assert_eq!((found.compared, found.agreeing, only(&found).kind), (2, 1, DifferenceKind::Unreadable));
        let told = Told { of: Of::Stock, key: "PUMP", difference: only(&found), left: "erp", right: "wms" }.to_string();
        let sentence = "found item `PUMP` that cannot be compared, expected one that can: in erp, found it twice with";
        assert!(told.starts_with(sentence), "{told}");
        assert_eq!(rows(Of::Stock, &one).unwrap().digest(), rows(Of::Stock, &two).unwrap().digest());
    }
    let cancel =
        CancelRequest { order_number: "1".to_owned(), reason: None, line_numbers: Vec::new(), extensions: Vec::new() };
    let other = rows(Of::Stock, &[Event::OrderCancelRequested(cancel)]).unwrap_err();
    assert_eq!(other, Unusable::OtherEvent { found: "order.cancel-requested".to_owned(), of: Of::Stock });
    let when = rows(Of::Stock, &[changed(row(), "yesterday")]).unwrap_err();
    let expected = "milliseconds since 1970";
    assert_eq!(when, Unusable::Word { name: "changed-at", row: "PUMP".to_owned(), expected });
}

#[test]
fn what_a_list_says_twice_as_of_two_times_is_as_of_the_later_one() {
    let at = |at: i64| changed(level("PUMP", "A", quantity(5, 0, "EA")), &at.to_string());
    let (one, other) = (at(NOW.0 - 1), at(NOW.0));
    for events in [[one.clone(), other.clone()], [other, one]] {
        let cells = cells(&events);
        let pumps = &cells["PUMP"];
        assert_eq!((pumps.unreadable.as_ref(), pumps.changed_at), (None, Some(NOW)));
        assert_eq!(pumps.to_string(), "5 EA", "it is there once");
    }
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
        let told = Told { of: Of::Stock, key: "PUMP", difference, left: "erp", right: "wms" }.to_string();
        assert!(told.starts_with("found 5 EA of `PUMP` in erp and none in wms, expected the same; "), "{told}");
    }
}

#[test]
fn numbers_of_different_units_are_told_and_not_compared() {
    let found = differing(&[level("PUMP", "A", quantity(10, 0, "EA"))], &[level("PUMP", "A", quantity(1, 0, "BX"))]);
    let difference = only(&found);
    assert_eq!(difference.kind, DifferenceKind::Units);
    let told = Told { of: Of::Stock, key: "PUMP", difference, left: "erp", right: "wms" }.to_string();
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
    let year = NOW.0 + 365 * Instant::DAY_MS;
    assert_eq!(differing(&was(5, year), &was(6, before)).differences.len(), 1, "a clock that is a year ahead");
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
        let found = compare(&there.cells().unwrap(), &again.cells().unwrap(), terms(NOW));
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
        let found = compare(&cells(&events), &cells(&other), terms(settled));
        prop_assert_eq!(found.differences.keys().collect::<Vec<_>>(), vec![&sku]);
        prop_assert_eq!(found.agreeing + 1, found.compared);
        prop_assert_ne!(rows(Of::Stock, &events).unwrap().digest(), rows(Of::Stock, &other).unwrap().digest());
    }
}

fn unreadable(of: &str, number: &str, order: Option<&str>) -> Event {
    let row = UnreadableRow {
        of: of.to_owned(),
        number: number.to_owned(),
        order: order.map(str::to_owned),
        node: Some("A".to_owned()),
        changed_at: None,
        code: "bad".to_owned(),
        why: "found no unit, expected one".to_owned(),
    };
    let body = serde_json::to_vec(&row).unwrap();
    Event::Other(OtherEvent { kind: UnreadableRow::KIND.to_owned(), body })
}

#[test]
fn a_row_that_nobody_can_read_differs_by_the_key_that_it_would_have() {
    let order = "6fa459ea-ee8a-3ca4-894e-db77e160355e";
    for (of, event, about, key) in [
        (Of::Stock, "inventory.level", None, "N-1".to_owned()),
        (Of::StockByNode, "inventory.level", None, "N-1 at A".to_owned()),
        (Of::Invoices, "invoice.posted", Some(order), "N-1".to_owned()),
        (Of::Shipments, "shipment.confirmed", Some(order), format!("{order}/N-1")),
        (Of::Payments, "payment.settled", Some(order), "payment N-1".to_owned()),
        (Of::Payments, "payment.settled", None, "payment N-1".to_owned()),
        (Of::Payments, "refund.issued", Some(order), format!("refund {order}/N-1")),
    ] {
        let mut list = Rows::of_this_host(of);
        list.add(&unreadable(event, "N-1", about)).unwrap();
        let cells = list.cells().unwrap();
        assert_eq!(cells.keys().collect::<Vec<_>>(), [&key]);
        for (left, right) in [(&cells, &BTreeMap::new()), (&BTreeMap::new(), &cells), (&cells, &cells)] {
            let found = compare(left, right, Terms { of, ..terms(NOW) });
            assert_eq!((only(&found).kind, found.agreeing), (DifferenceKind::Unreadable, 0), "{key}");
        }
    }
    // What changed a moment ago may be readable by the next run, and is told when it is not.
    let at = |at: Instant| {
        let row = UnreadableRow {
            of: "inventory.level".to_owned(),
            number: "N-1".to_owned(),
            order: None,
            node: None,
            changed_at: Some(at.0),
            code: "bad".to_owned(),
            why: "found no unit, expected one".to_owned(),
        };
        let body = serde_json::to_vec(&row).unwrap();
        differing(&[Event::Other(OtherEvent { kind: UnreadableRow::KIND.to_owned(), body })], &[])
    };
    assert_eq!((at(NOW.plus_ms(1)).unsettled.len(), at(NOW.plus_ms(1)).differences.len()), (1, 0));
    assert_eq!(only(&at(NOW)).kind, DifferenceKind::Unreadable);
    // Where none of more can be read than one run files, it is no list.
    let list = |events: &[Event]| rows(Of::Stock, events).unwrap();
    let (one, other) = (unreadable("inventory.level", "N-1", None), unreadable("inventory.level", "N-2", None));
    assert!(list(&[one.clone(), other.clone()]).nothing_readable(1).is_some());
    assert!(list(&[one.clone(), other.clone()]).nothing_readable(2).is_none());
    assert!(list(std::slice::from_ref(&one)).nothing_readable(1).is_none() && list(&[]).nothing_readable(1).is_none());
    assert!(list(&[one, other, level("PUMP", "A", quantity(1, 0, "EA"))]).nothing_readable(1).is_none());
    // So it is where all of them are about orders of others, and where some are.
    for of in [Of::Payments, Of::Shipments] {
        let event = if of == Of::Payments { "payment.settled" } else { "shipment.confirmed" };
        let mut list = Rows::of_this_host(of);
        list.add(&unreadable(event, "N-1", Some("1001"))).unwrap();
        list.add(&unreadable(event, "N-2", Some("1002"))).unwrap();
        let why = "found no unit, expected one";
        assert_eq!((list.len(), list.nothing_readable(1), list.nothing_readable(2)), (0, Some((2, why)), None));
        list.add(&unreadable(event, "N-3", Some(order))).unwrap();
        assert_eq!((list.len(), list.nothing_readable(2)), (1, Some((3, why))));
    }
    let mut list = Rows::of_this_host(Of::Payments);
    list.add(&unreadable("payment.settled", "N-1", Some("1001"))).unwrap();
    list.add(&paid("WIRE-7", "1001", 100)).unwrap();
    assert_eq!(list.nothing_readable(1), None);
    // Somebody else's is none of this host's, and of another subject it is no row.
    for (of, event, about) in
        [(Of::Orders, "order.created", None), (Of::Payments, "payment.settled", Some("somebody-elses"))]
    {
        let mut list = Rows::of_this_host(of);
        list.add(&unreadable(event, "by hand", about)).unwrap();
        assert!(list.is_empty());
    }
    // What an order's row names as its order is none that it is about.
    let about = |of: &str| super::reading::order_named(&unreadable(of, "N-1", Some("1001")));
    assert_eq!(about("order.created"), None);
    assert_eq!(about("invoice.posted"), Some(("invoice.posted".to_owned(), "1001".to_owned())));
    let other = rows(Of::Stock, &[unreadable("invoice.posted", "I", None)]).unwrap_err();
    assert_eq!(other, Unusable::OtherEvent { found: "invoice.posted".to_owned(), of: Of::Stock });
    let broken = Event::Other(OtherEvent { kind: UnreadableRow::KIND.to_owned(), body: b"{}".to_vec() });
    assert_eq!(rows(Of::Stock, &[broken]).unwrap_err().code(), "unreadable-row");
}

#[test]
fn what_names_no_order_may_have_another_name_when_it_is_mended_and_people_are_told_so() {
    let told = |order: Option<&str>| {
        let mut list = Rows::of_this_host(Of::Payments);
        list.add(&unreadable("refund.issued", "re_1", order)).unwrap();
        let found = compare(&BTreeMap::new(), &list.cells().unwrap(), Terms { of: Of::Payments, ..terms(NOW) });
        let (key, difference) = found.differences.iter().next().unwrap();
        Told { of: Of::Payments, key, difference, left: "this host", right: "stripe" }.to_string()
    };
    let (nameless, named) = (told(None), told(Some("6fa459ea-ee8a-3ca4-894e-db77e160355e")));
    assert!(nameless.ends_with("in both to close this, or abandon this"), "{nameless}");
    assert!(named.contains("and the next run that finds it in both closes this"), "{named}");
}

#[test]
fn what_is_about_several_orders_is_known_when_it_was_heard_of_each() {
    let order = |digit: &str| OrderId::parse(&format!("{digit}fa459ea-ee8a-3ca4-894e-db77e160355e")).unwrap();
    let (one, other) = (order("6"), order("7"));
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<String>>();
    let listed = BTreeMap::from([(one, keys(&["WIRE-7", "WIRE-8", "WIRE-9"])), (other, keys(&["WIRE-7", "WIRE-8"]))]);
    let heard = [(one, "WIRE-7"), (one, "WIRE-8"), (other, "WIRE-8"), (one, "WIRE-9")];
    let heard: BTreeSet<(OrderId, String)> = heard.into_iter().map(|(of, key)| (of, key.to_owned())).collect();
    let known = |unheard: &[&str]| {
        let unheard = keys(unheard).into_iter().collect();
        super::own::heard_of_all(listed.clone(), &heard, unheard).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(known(&[]), ["WIRE-8", "WIRE-9"]);
    assert_eq!(known(&["WIRE-9"]), ["WIRE-8"], "a part of it names no order");
}

#[test]
fn between_two_systems_a_number_that_only_looks_like_an_id_of_this_host_contradicts_no_order() {
    let (id, number) = ("6fa459ea-ee8a-3ca4-894e-db77e160355e", "7fa459ea-ee8a-3ca4-894e-db77e160355e");
    let found = |add: fn(&mut Rows, &Event) -> Result<(), Unusable>| {
        let (left, mut right) = (rows(Of::Payments, &[paid("WIRE-7", id, 100)]).unwrap(), Rows::new(Of::Payments));
        add(&mut right, &paid("WIRE-7", number, 100)).unwrap();
        let of_payments = Terms { of: Of::Payments, ..terms(NOW) };
        compare(&left.cells().unwrap(), &right.cells().unwrap(), of_payments)
    };
    assert_eq!(only(&found(Rows::add)).kind, DifferenceKind::Orders, "both are orders of this host");
    assert_eq!(found(Rows::add_nobodys).agreeing, 1);
}

#[test]
fn what_is_left_aside_counts_where_the_host_knows_it_and_the_list_has_nothing_else_of_it() {
    use super::aside::Stranger;

    let of_payments = Terms { of: Of::Payments, ..terms(NOW) };
    let order = OrderId::parse("6fa459ea-ee8a-3ca4-894e-db77e160355e").unwrap();
    let mut own = Rows::new(Of::Payments);
    own.add_own(&paid("WIRE-7", "1", 100), order, NOW, NOW).unwrap();
    let found = |rows: &[(Event, Option<Stranger>)]| {
        let mut list = Rows::of_this_host(Of::Payments);
        for (event, stranger) in rows {
            match stranger {
                Some(stranger) => list.add_stranger(event, stranger.clone()).unwrap(),
                None => list.add(event).unwrap(),
            }
        }
        list.take_known(&own).unwrap();
        let left = list.left_aside("stripe", of_payments).told.iter().map(|aside| aside.rows).sum::<u64>();
        (compare(&own.cells().unwrap(), &list.cells().unwrap(), of_payments), left)
    };
    let unresolved = |number: &str| Some(Stranger::Unresolved(number.to_owned()));
    let others = |number: &str| Some(Stranger::Others(number.to_owned()));
    let (equal, left) =
        found(&[(paid("WIRE-7", "1", 100), unresolved("1")), (paid("WIRE-8", "1", 5), unresolved("1"))]);
    assert_eq!((equal.agreeing, equal.differences.len(), left), (1, 0, 1));
    let looks_alike = "7fa459ea-ee8a-3ca4-894e-db77e160355e";
    let (equal, left) = found(&[(paid("WIRE-7", looks_alike, 100), unresolved(looks_alike))]);
    assert_eq!((equal.agreeing, equal.differences.len(), left), (1, 0, 0), "it is no order of this host");
    let (differs, left) = found(&[(paid("WIRE-7", "1", 100), others("1"))]);
    assert_eq!((only(&differs).kind, left), (DifferenceKind::Orders, 0));
    let (nameless, left) = found(&[(paid("WIRE-7", "", 99), Some(Stranger::Nobody))]);
    assert_eq!((only(&nameless).kind, left), (DifferenceKind::Numbers, 0));
    // What the list says twice in different words is no answer, whichever comes first.
    for (one, other) in [(100, 99), (99, 100)] {
        let (twice, left) =
            found(&[(paid("WIRE-7", "1", one), others("1")), (paid("WIRE-7", "1", other), others("1"))]);
        assert_eq!((only(&twice).kind, left), (DifferenceKind::Unreadable, 0));
    }
    // Of a transfer that pays others as well, the host's part is compared.
    let (part, left) = found(&[(paid("WIRE-7", &order.to_string(), 100), None), (paid("WIRE-7", "1", 7), others("1"))]);
    assert_eq!((part.agreeing, left), (1, 1));
}

#[test]
fn what_names_several_orders_is_told_and_what_it_says_is_not_guessed() {
    let mut list = Rows::of_this_host(Of::Invoices);
    list.add_unclear(&invoice("I", 100, None), "found two".to_owned()).unwrap();
    assert_eq!(list.orders().count(), 0, "though its number looks like an id of the host's");
    let found = compare(&BTreeMap::new(), &list.cells().unwrap(), Terms { of: Of::Invoices, ..terms(NOW) });
    assert_eq!(only(&found).kind, DifferenceKind::Unreadable);
}

// --- orders ---

/// An order of two lines in a list.
#[derive(Debug, Clone)]
struct Listed {
    quantities: [i64; 2],
    left: [i64; 2],
    minor: i64,
    currency: &'static str,
    stage: &'static str,
    by_item: bool,
}

const LISTED: Listed =
    Listed { quantities: [5, 3], left: [0, 0], minor: 9_950, currency: "USD", stage: "open", by_item: false };

fn listed(number: &str, of: &Listed) -> Event {
    let currency = Currency::parse(of.currency).unwrap();
    let extension = |name: &str, value: &str| Extension { name: name.to_owned(), value: value.to_owned() };
    let line = |at: usize| OrderLine {
        number: if of.by_item { format!("{}0000", at + 1) } else { (at + 1).to_string() },
        sku: format!("SKU-{at}"),
        buyer_sku: None,
        description: None,
        quantity: quantity(of.quantities[at], 0, "EA"),
        unit_price: UnitPrice { amount: 1, scale: 0, currency, per_quantity: 1 },
        extended: None,
        requested_delivery: None,
        extensions: vec![extension("left", &of.left[at].to_string())],
    };
    let mut extensions = vec![extension("stage", of.stage)];
    extensions.extend(of.by_item.then(|| extension("line-numbers", "others")));
    let money = |minor| Some(Money { minor, currency });
    Event::OrderCreated(Order {
        number: number.to_owned(),
        release: None,
        customer: Customer { id: "C-1".to_owned(), name: None, email: None, phone: None },
        bill_to: None,
        ship_to: None,
        placed_at: None,
        requested_delivery: None,
        cancel_after: None,
        currency,
        lines: vec![line(0), line(1)],
        totals: OrderTotals {
            lines: None,
            shipping: None,
            tax: money(950),
            discount: None,
            grand: money(of.minor + 950),
        },
        payment: None,
        sender_state: None,
        notes: Vec::new(),
        extensions,
    })
}

fn of_orders<N: AsRef<str>>(left: &[(N, Listed)], right: &[(N, Listed)]) -> Comparison {
    let cells = |orders: &[(N, Listed)]| {
        let events: Vec<Event> = orders.iter().map(|(number, of)| listed(number.as_ref(), of)).collect();
        rows(Of::Orders, &events).unwrap().cells().unwrap()
    };
    compare(&cells(left), &cells(right), Terms { of: Of::Orders, ..terms(NOW) })
}

fn sentence(comparison: &Comparison) -> String {
    let (key, difference) = comparison.differences.iter().next().unwrap();
    Told { of: Of::Orders, key, difference, left: "shop", right: "erp" }.to_string()
}

#[test]
fn of_an_order_what_is_ordered_what_has_left_what_it_comes_to_and_its_stage_are_compared() {
    assert_eq!(of_orders(&[("A", LISTED)], &[("A", LISTED)]).agreeing, 1);
    for (other, kind, told) in [
        (
            Listed { quantities: [5, 2], ..LISTED },
            DifferenceKind::Numbers,
            "3 EA ordered of `SKU-1` on line 2 in shop and 2 EA in erp, expected",
        ),
        (
            Listed { left: [2, 0], ..LISTED },
            DifferenceKind::Numbers,
            "none left of `SKU-0` on line 1 in shop and 2 EA in erp",
        ),
        (
            Listed { minor: 9_951, ..LISTED },
            DifferenceKind::Numbers,
            "found of order `A`: 99.50 USD in total without tax in shop and 99.51 USD in erp, expected the same",
        ),
        (
            Listed { currency: "EUR", ..LISTED },
            DifferenceKind::Units,
            "99.50 USD in total without tax in shop and 99.50 EUR in erp",
        ),
        (
            Listed { stage: "shipped", left: [5, 3], ..LISTED },
            DifferenceKind::Stages,
            "found of order `A`: open in shop and shipped in erp; none left of",
        ),
    ] {
        let found = of_orders(&[("A", LISTED)], &[("A", other)]);
        assert_eq!(only(&found).kind, kind);
        assert!(sentence(&found).contains(told), "{}", sentence(&found));
    }
}

#[test]
fn an_order_in_two_documents_is_open_while_one_of_them_is() {
    let stage = |one, other| {
        let of = |stage| Listed { stage, ..LISTED };
        let (Event::OrderCreated(mut first), Event::OrderCreated(mut second)) =
            (listed("A", &of(one)), listed("A", &of(other)))
        else {
            unreachable!()
        };
        for (order, document) in [(&mut first, "S-1"), (&mut second, "S-2")] {
            order.extensions.push(Extension { name: "document".to_owned(), value: document.to_owned() });
        }
        let events = [Event::OrderCreated(first), Event::OrderCreated(second)];
        rows(Of::Orders, &events).unwrap().cells().unwrap().remove("A").unwrap().to_string()
    };
    assert!(stage("shipped", "open").starts_with("open, ") && stage("open", "shipped").starts_with("open, "));
    assert!(stage("cancelled", "shipped").starts_with("shipped, "));
}

#[test]
fn a_difference_is_another_one_when_a_number_changes_that_no_sentence_has_room_for() {
    let Event::OrderCreated(mut order) = listed("A", &LISTED) else { unreachable!() };
    let line = order.lines[0].clone();
    order.lines = (0..9).map(|number| OrderLine { number: number.to_string(), ..line.clone() }).collect();
    let mut other = order.clone();
    other.lines[8].quantity = quantity(99, 0, "EA");
    let cells = |order| rows(Of::Orders, &[Event::OrderCreated(order)]).unwrap().cells().unwrap();
    let digest = |order| {
        let found = compare(&cells(order), &BTreeMap::new(), Terms { of: Of::Orders, ..terms(NOW) });
        only(&found).digest()
    };
    assert_ne!(digest(order), digest(other));
}

#[test]
fn an_order_that_only_one_lists_is_missing_unless_it_is_over() {
    let found = of_orders(&[("A", LISTED)], &[]);
    assert_eq!(only(&found).kind, DifferenceKind::Missing);
    let told = "found order `A` in shop (open, 5 EA ordered of `SKU-0` on line 1, 3 EA ordered of `SKU-1` on line 2, 99.50 USD in total without tax) and not in erp";
    assert!(sentence(&found).starts_with(told), "{}", sentence(&found));
    assert!(sentence(&of_orders(&[], &[("A", LISTED)])).contains("in erp (open"));
    for stage in ["shipped", "cancelled"] {
        let found = of_orders(&[("A", Listed { stage, ..LISTED })], &[]);
        assert_eq!((found.agreeing, found.differences.len()), (1, 0), "{stage}");
    }
    assert_eq!(rows(Of::Orders, &[listed("A", &Listed { stage: "lost", ..LISTED })]).unwrap_err().code(), "stage");
}

#[test]
fn lines_with_numbers_of_their_own_are_compared_by_their_items() {
    let others = Listed { by_item: true, ..LISTED };
    assert_eq!(of_orders(&[("A", LISTED)], &[("A", others.clone())]).agreeing, 1);
    let found = of_orders(&[("A", LISTED)], &[("A", Listed { quantities: [5, 4], ..others })]);
    assert!(sentence(&found).contains("3 EA ordered of `SKU-1` in shop and 4 EA in erp"), "{}", sentence(&found));
}

#[test]
fn nothing_is_compared_of_an_order_of_which_one_side_has_forgotten_what_it_had() {
    let id = OrderId::parse("6fa459ea-ee8a-3ca4-894e-db77e160355e").unwrap();
    let cells = rows(Of::Orders, &[listed(&id.to_string(), &LISTED)]).unwrap().cells().unwrap();
    let left_out = BTreeSet::from([id]);
    let found = compare(&BTreeMap::new(), &cells, Terms { of: Of::Orders, left_out: &left_out, ..terms(NOW) });
    let unjudged = BTreeSet::from([id.to_string()]);
    assert_eq!(found, Comparison { unjudged, ..Comparison::default() }, "what was told of it stands");
}

#[test]
fn a_list_of_few_rows_with_lines_without_end_has_an_end() {
    let mut rows = Rows::new(Of::Orders);
    let Event::OrderCreated(mut order) = listed("A", &LISTED) else { unreachable!() };
    let line = order.lines[0].clone();
    order.lines = (0..10_000).map(|number| OrderLine { number: number.to_string(), ..line.clone() }).collect();
    let mut ended = Ok(());
    for number in 0..NUMBERS_MAX / 20_000 + 1 {
        order.number = number.to_string();
        ended = ended.and_then(|()| rows.add(&Event::OrderCreated(order.clone())));
    }
    assert_eq!(ended, Err(Unusable::TooManyNumbers));
}

fn some_orders() -> impl Strategy<Value = BTreeMap<String, Listed>> {
    let of = (1..4_i64, 1..4_i64, 0..3_i64, prop::sample::select(vec!["open", "shipped", "cancelled"]), any::<bool>());
    let of = of.prop_map(|(one, two, minor, stage, dear)| Listed {
        quantities: [one, two],
        minor,
        stage,
        currency: if dear { "EUR" } else { "USD" },
        ..LISTED
    });
    prop::collection::btree_map("[A-F]", of, 0..6)
}

proptest! {
    #[test]
    fn orders_differ_alike_from_both_sides_and_in_any_order(left in some_orders(), right in some_orders()) {
        let pairs = |orders: &BTreeMap<String, Listed>| -> Vec<(String, Listed)> {
            orders.iter().map(|(number, of)| (number.clone(), of.clone())).collect()
        };
        let found = |left: &[(String, Listed)], right: &[(String, Listed)]| of_orders(left, right);
        let (one, other) = (found(&pairs(&left), &pairs(&right)), found(&pairs(&right), &pairs(&left)));
        prop_assert_eq!((one.compared, one.agreeing), (other.compared, other.agreeing));
        for (key, difference) in &one.differences {
            let mirrored = &other.differences[key];
            prop_assert_eq!((&difference.left, &difference.right), (&mirrored.right, &mirrored.left));
            prop_assert_eq!(difference.kind, mirrored.kind);
        }
        prop_assert_eq!(one.differences.len(), other.differences.len());
        let (mut back, rest) = (pairs(&left), pairs(&right));
        back.reverse();
        prop_assert_eq!(found(&back, &rest).digest(), one.digest());
        prop_assert_eq!(found(&back, &pairs(&left)).differences.len(), 0);
    }
}

// --- what happens ---

const DAY: i64 = Instant::DAY_MS;

/// 2026-03-02, on which the invoices of these tests are posted.
const POSTED: Instant = Instant(1_772_409_600_000);

fn invoice(number: &str, minor: i64, tax: Option<i64>) -> Event {
    let currency = Currency::parse("USD").unwrap();
    Event::InvoicePosted(Invoice {
        invoice_number: number.to_owned(),
        order_number: Some("6fa459ea-ee8a-3ca4-894e-db77e160355e".to_owned()),
        shipment_number: None,
        corrects: None,
        posted_on: POSTED.date(),
        due_on: None,
        lines: Vec::new(),
        tax: tax.map(|minor| Money { minor, currency }),
        total: Money { minor, currency },
        extensions: Vec::new(),
    })
}

fn invoices(left: &[Event], right: &[Event], terms: Terms<'_>) -> Comparison {
    let cells = |events: &[Event]| rows(Of::Invoices, events).unwrap().cells().unwrap();
    compare(&cells(left), &cells(right), Terms { of: Of::Invoices, ..terms })
}

#[test]
fn a_tax_that_one_side_does_not_tell_is_not_compared_and_one_of_nothing_is_told() {
    let found = |left, right| invoices(&[left], &[right], terms(NOW));
    assert_eq!(found(invoice("I", 100, None), invoice("I", 100, Some(8))).agreeing, 1);
    assert_eq!(found(invoice("I", 100, Some(8)), invoice("I", 100, Some(8))).agreeing, 1);
    let found = found(invoice("I", 100, Some(0)), invoice("I", 100, Some(8)));
    let (key, difference) = found.differences.iter().next().unwrap();
    let told = Told { of: Of::Invoices, key, difference, left: "this host", right: "erp" }.to_string();
    assert!(
        told.starts_with("found of invoice `I`: 0.00 USD of tax in this host and 0.08 USD in erp, expected"),
        "{told}"
    );
}

#[test]
fn what_happened_before_the_time_that_is_judged_only_answers() {
    let one = [invoice("I", 100, None)];
    let from = |at| Terms { judged_from: Some(at), ..terms(NOW) };
    for (judged_from, compared) in [(POSTED, 1), (POSTED.plus_ms(1), 0), (POSTED.plus_ms(DAY), 0)] {
        assert_eq!(invoices(&one, &[], from(judged_from)).differences.len(), compared);
        assert_eq!(invoices(&[], &one, from(judged_from)).differences.len(), compared);
        assert_eq!(invoices(&one, &one, from(judged_from)).compared, u64::try_from(compared).unwrap());
    }
}

#[test]
fn what_was_heard_before_is_not_missing_here_and_what_the_host_passes_on_is_on_its_way() {
    let one = [invoice("I", 100, None)];
    let known = BTreeSet::from(["I".to_owned()]);
    let told = Terms { known: &known, ..terms(NOW) };
    assert_eq!(invoices(&[], &one, told), Comparison { unjudged: known.clone(), ..Comparison::default() });
    assert_eq!(invoices(&one, &[], told).differences.len(), 1, "there it is missing all the same");
    assert_eq!(invoices(&[invoice("I", 99, None)], &one, told).differences.len(), 1);
    let moved = BTreeMap::from([("I".to_owned(), NOW.plus_ms(1))]);
    let found = invoices(&one, &[], Terms { moved: &moved, ..terms(NOW) });
    assert_eq!((found.differences.len(), found.unsettled.len()), (0, 1));
}

fn paid(reference: &str, number: &str, minor: i64) -> Event {
    Event::PaymentSettled(Settlement {
        payment_reference: reference.to_owned(),
        order_number: Some(number.to_owned()),
        invoice_number: None,
        amount: Money { minor, currency: Currency::parse("USD").unwrap() },
        fee: None,
        settled_at: None,
        extensions: Vec::new(),
    })
}

#[test]
fn payments_go_by_their_reference_and_refunds_by_their_order_and_number() {
    let currency = Currency::parse("USD").unwrap();
    let order = OrderId::parse("6fa459ea-ee8a-3ca4-894e-db77e160355e").unwrap();
    let refund = |order_number: &str| {
        Event::RefundIssued(Refund {
            refund_number: "host-1".to_owned(),
            order_number: order_number.to_owned(),
            cause: RefundCause::Other,
            return_number: None,
            amount: Money { minor: 5, currency },
            issued_at: None,
            extensions: Vec::new(),
        })
    };
    // What names no order of this host is somebody else's, unless the host knows whose it is.
    let mut list = Rows::of_this_host(Of::Payments);
    list.add(&refund("1001")).unwrap();
    assert!(list.is_empty());
    list.add_about(&refund("1001"), Some(order)).unwrap();
    list.add(&refund(&order.to_string())).unwrap();
    let key = format!("refund {order}/host-1");
    let cells = list.cells().unwrap();
    assert_eq!(cells.keys().collect::<Vec<_>>(), [&key]);
    // A transfer that pays two orders is one key, whoever says which part is for which of them.
    let paid = |number: &str, minor| paid("WIRE-7", number, minor);
    let (other, at) = (OrderId::parse("7fa459ea-ee8a-3ca4-894e-db77e160355e").unwrap(), Instant(1));
    let mut own = Rows::new(Of::Payments);
    own.add_own(&paid("1", 60), order, at, at).unwrap();
    own.add_own(&paid("2", 40), other, at, at).unwrap();
    own.add_own(&paid("2", 40), other, at.plus_ms(1), at.plus_ms(1)).unwrap();
    let own = own.cells().unwrap();
    assert_eq!((own.len(), own["payment WIRE-7"].orders.len()), (1, 2));
    let theirs = |minor| rows(Of::Payments, &[paid("1", minor)]).unwrap().cells().unwrap();
    let of_payments = Terms { of: Of::Payments, ..terms(NOW) };
    assert_eq!(compare(&own, &theirs(100), of_payments).agreeing, 1);
    assert_eq!(only(&compare(&own, &theirs(60), of_payments)).kind, DifferenceKind::Numbers);
    // Of one of the two the host does not know any more what it had, so nothing is said of either.
    let left_out = BTreeSet::from([other]);
    assert_eq!(compare(&own, &theirs(60), Terms { left_out: &left_out, ..of_payments }).unjudged.len(), 1);
    let remembered = |of, key: &str| super::reading::remembered_as(of, key);
    assert_eq!(remembered(Of::Payments, &key).as_deref(), Some("refund.issued/host-1"));
    assert_eq!(remembered(Of::Payments, "payment ch_1").as_deref(), Some("payment.settled/ch_1"));
    assert_eq!(remembered(Of::Invoices, "PS/1").as_deref(), Some("invoice.posted/PS/1"));
    assert_eq!(remembered(Of::Shipments, &format!("{order}/SH/1")).as_deref(), Some("shipment.confirmed/SH/1"));
}
