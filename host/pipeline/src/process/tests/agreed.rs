//! What an order is once people agreed on a change of it, and what systems say of it before and after.

use portreeve_model::event::OrderChange;

use super::*;

/// The order with other lines, as a change of it.
fn to(lines: &[(&str, i64)]) -> Event {
    let line = |(number, count): &(&str, i64)| OrderLine {
        number: (*number).to_owned(),
        sku: format!("SKU-{number}"),
        quantity: of(*count),
        ..order().lines.remove(0)
    };
    changed_to(lines.iter().map(line).collect())
}

fn changed_to(lines: Vec<OrderLine>) -> Event {
    Event::OrderChanged(OrderChange { order: Order { lines, ..order() }, revision: None })
}

/// A line as the order has it, but for something.
fn otherwise(change: impl Fn(&mut OrderLine)) -> Event {
    let mut lines = order().lines;
    change(&mut lines[0]);
    changed_to(lines)
}

fn left(number: &str, counts: &[(&str, i64)]) -> Event {
    let line = |(line, count): &(&str, i64)| ShipmentLine {
        line_number: (*line).to_owned(),
        sku: format!("SKU-{line}"),
        ..shipment("", [*count, 0], ShortReason::None).lines.remove(0)
    };
    Event::ShipmentConfirmed(Shipment {
        lines: counts.iter().map(line).collect(),
        ..shipment(number, [0, 0], ShortReason::None)
    })
}

fn found(step: Step) -> (String, String) {
    match step {
        Step::Impossible(concern) => (concern.found, concern.expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_that_raises_a_line_lets_as_much_leave_and_no_more() {
    let raised = [accepted(), left("S-1", &[("1", 6)]), to(&[("1", 15), ("2", 4)])];
    assert_eq!(state(&raised), ProcessState::PartShipped);
    assert_eq!(code(&then(&raised, &left("S-2", &[("1", 10), ("2", 4)]))), "more-than-left");
    let (shipped, concerns) = after(&[&raised[..], &[left("S-2", &[("1", 9), ("2", 4)])]].concat());
    assert_eq!((shipped.state, concerns), (ProcessState::Shipped, vec![]));
    // Also after all of it had left.
    let after_all = [accepted(), left("S-1", &[("1", 10), ("2", 4)]), to(&[("1", 11), ("2", 4)])];
    assert_eq!(state(&after_all), ProcessState::PartShipped);
    assert_eq!(state(&[&after_all[..], &[left("S-2", &[("1", 1)])]].concat()), ProcessState::Shipped);
}

#[test]
fn a_change_that_lowers_a_line_ends_the_order_with_what_was_agreed() {
    let lowered = [accepted(), allocated(10, 4), to(&[("1", 7), ("2", 4)])];
    let (here, _) = after(&lowered);
    assert_eq!(
        (here.state, here.lines["1"].allocated, here.money.ordered_minor),
        (ProcessState::Allocated, 7, Some(1_100))
    );
    assert_eq!(code(&then(&lowered, &left("S-1", &[("1", 8), ("2", 4)]))), "more-than-left");
    let whole = [&lowered[..], &[left("S-1", &[("1", 7), ("2", 4)]), invoice("I-1", [7, 4], 1_100)]].concat();
    assert_eq!(state(&whole), ProcessState::Invoiced);
    assert_eq!(state(&[&whole[..], &[paid("P-1", None, 1_100)]].concat()), ProcessState::Settled);
    // Who paid for what it was before gets back what he let go of, and nobody gets more than that.
    let owed = after(&[&whole[..], &[paid("P-1", None, 1_400)]].concat()).0.owed_back().unwrap();
    assert_eq!((owed.cause, owed.amount_minor), (RefundCause::ShortShipment, 300));
    let (kept, concerns) = after(&[&whole[..], &[paid("P-1", None, 1_401)]].concat());
    assert_eq!((kept.owed_back(), concerns), (None, vec!["paid-too-much"]));
    // What is wanted after all is let go of no more.
    let raised = [&lowered[..], &[to(&[("1", 9), ("2", 4)])]].concat();
    assert_eq!(after(&raised).0.money.let_go_minor, 100);
    // A price that was changed lets go of nothing.
    let cheaper = |line: &mut OrderLine| (line.unit_price.amount, line.unit_price.scale) = (9, 1);
    assert_eq!(after(&[accepted(), otherwise(cheaper)]).0.money.let_go_minor, 0);
    // The change comes when as much has left already.
    let late = [accepted(), left("S-1", &[("1", 7), ("2", 4)]), to(&[("1", 7), ("2", 4)])];
    assert_eq!((state(&late[..2]), state(&late)), (ProcessState::PartShipped, ProcessState::Shipped));
}

#[test]
fn lines_come_and_go_and_what_left_of_one_that_goes_has_left() {
    let added = [accepted(), to(&[("1", 10), ("2", 4), ("3", 5)]), left("S-1", &[("1", 10), ("2", 4)])];
    assert_eq!(state(&added), ProcessState::PartShipped);
    assert_eq!(state(&[&added[..], &[left("S-2", &[("3", 5)])]].concat()), ProcessState::Shipped);
    assert_eq!(code(&then(&[accepted()], &left("S-2", &[("3", 5)]))), "line-unknown");

    let gone = [accepted(), to(&[("1", 10)])];
    assert_eq!(code(&then(&gone, &left("S-1", &[("2", 1)]))), "more-than-left");
    // A warehouse that names it says that nothing of it left.
    let without = left("S-1", &[("1", 10), ("2", 0)]);
    assert_eq!(state(&[&gone[..], std::slice::from_ref(&without)].concat()), ProcessState::Shipped);
    let in_part = [accepted(), left("S-1", &[("2", 3)]), to(&[("1", 10)])];
    let (here, _) = after(&in_part);
    assert_eq!((here.state, here.lines["2"].ordered, here.money.ordered_minor), (ProcessState::PartShipped, 3, None));
    assert_eq!(state(&[&in_part[..], &[left("S-2", &[("1", 10)])]].concat()), ProcessState::Shipped);
    // It may come back with another change.
    let back = [&gone[..], &[to(&[("1", 10), ("2", 2)]), left("S-1", &[("1", 10), ("2", 2)])]].concat();
    assert_eq!(state(&back), ProcessState::Shipped);
}

#[test]
fn another_item_on_a_line_of_which_nothing_left_is_another_line() {
    let other = otherwise(|line| line.sku = "SKU-9".to_owned());
    let (here, _) = after(&[accepted(), allocated(10, 4), other.clone()]);
    assert_eq!((here.lines["1"].allocated, here.lines["1"].items.contains("SKU-9")), (0, true));
    assert_eq!(code(&then(&[accepted(), other], &left("S-1", &[("1", 1)]))), "other-item");
}

#[test]
fn a_new_line_may_be_of_an_item_of_which_some_left_on_a_line_that_stays() {
    let beside = OrderLine { number: "3".to_owned(), quantity: of(5), ..order().lines.remove(0) };
    let added = changed_to([order().lines, vec![beside]].concat());
    let (here, _) = after(&[accepted(), left("S-1", &[("1", 6)]), added]);
    assert_eq!((here.lines["1"].open(), here.lines["3"].open()), (4, 5));
    assert_eq!((here.state, here.money.ordered_minor), (ProcessState::PartShipped, Some(1_900)));
}

#[test]
fn a_change_that_contradicts_what_has_left_counts_for_nothing_and_says_why() {
    let shipped = || vec![accepted(), left("S-1", &[("1", 6)])];
    let closed = || vec![accepted(), Event::ShipmentConfirmed(shipment("S-1", [6, 4], ShortReason::NoBackorder))];
    let mut other_money = order();
    other_money.currency = Currency::parse("EUR").unwrap();
    let other_money = Event::OrderChanged(OrderChange { order: other_money, revision: None });
    let cases = [
        (shipped(), to(&[("1", 5), ("2", 4)]), "less-than-left"),
        (shipped(), otherwise(|line| line.sku = "SKU-9".to_owned()), "other-item"),
        (shipped(), otherwise(|line| line.quantity.unit = "BX".to_owned()), "other-unit"),
        (shipped(), to(&[("2", 4), ("1", 5), ("2", 4)]), "lines-alike"),
        (shipped(), to(&[("2", 0)]), "nothing-ordered"),
        (shipped(), to(&[("1", -1), ("2", 4)]), "below-nothing"),
        (vec![accepted()], to(&[("1", -1), ("2", 4)]), "below-nothing"),
        (vec![accepted()], to(&[("1", 10), ("2", 4), ("3", -1)]), "below-nothing"),
        (closed(), to(&[("1", 8), ("2", 4)]), "line-closed"),
        (closed(), to(&[("1", 12), ("2", 4)]), "line-closed"),
        (shipped(), other_money, "other-currency"),
    ];
    for (said, change, expected) in cases {
        assert_eq!(code(&then(&said, &change)), expected);
    }
    let renumbered = OrderLine { number: "3".to_owned(), ..order().lines.remove(0) };
    let renumbered = changed_to(vec![renumbered, order().lines.remove(1)]);
    assert_eq!(code(&then(&shipped(), &renumbered)), "other-line");
    assert_eq!(code(&then(&[accepted()], &renumbered)), "applied", "nothing of it left");
    assert_eq!(
        found(then(&shipped(), &to(&[("1", 5), ("2", 4)]))),
        ("a change to 5 EA of line 1".to_owned(), "6 EA at least, which left".to_owned())
    );
    // What the warehouse closed is agreed on as it left, or not spoken of.
    for agreed in [to(&[("1", 6), ("2", 4)]), to(&[("1", 10), ("2", 4)])] {
        assert_eq!(state(&[closed(), vec![agreed]].concat()), ProcessState::Shipped);
    }
}

#[test]
fn until_an_order_is_let_go_what_was_agreed_on_waits_and_of_a_refused_one_it_changes_nothing() {
    let process = Process::standard().unwrap();
    assert_eq!(code(&apply(&process, &at(ProcessState::Held), &to(&[("1", 7)]))), "early");
    let mut refused = at(ProcessState::Released);
    refused.was_refused();
    let Step::Applied { after, concerns } = apply(&process, &refused, &to(&[("1", 7)])) else { panic!("it counts") };
    assert_eq!((after.state, concerns), (ProcessState::Cancelled, vec![]));
}

#[test]
fn nobody_revives_an_order_that_is_over_by_a_change() {
    let rejected = Event::OrderRejected(answer(LineStatus::Rejected));
    let cancelled = [accepted(), cancel("not needed"), rejected.clone()];
    let in_part = [accepted(), left("S-1", &[("1", 6)]), rejected];
    let more = [to(&[("1", 10), ("2", 4), ("3", 5)]), to(&[("1", 11), ("2", 4)]), to(&[("3", 5)])];
    let other = otherwise(|line| line.quantity.unit = "BX".to_owned());
    for said in [&cancelled, &in_part] {
        for change in more.iter().chain([&other]) {
            assert_eq!(code(&then(said, change)), "order-over", "{change:?}");
        }
    }
    assert_eq!(
        found(then(&cancelled, &more[0])),
        (
            "a change to 5 EA of line 3 of an order that was rejected".to_owned(),
            "no more of it than before: what is wanted now is a new order".to_owned()
        )
    );
    // What asks for no more leaves it where it is.
    let same = to(&[("1", 10), ("2", 4)]);
    assert_eq!(state(&[&cancelled[..], std::slice::from_ref(&same)].concat()), ProcessState::Cancelled);
    assert_eq!(state(&[&in_part[..], &[same]].concat()), ProcessState::Shipped);
    let mut refused = at(ProcessState::Released);
    refused.was_refused();
    for change in more.iter().chain([&other]) {
        assert_eq!(code(&apply(&Process::standard().unwrap(), &refused, change)), "order-over", "{change:?}");
    }
}

#[test]
fn freight_that_a_change_leaves_alone_makes_an_order_of_services() {
    let text = STANDARD.replace("unshipped = []", "unshipped = [\"SKU-2\"]");
    let process = Process::load(&SourceFile { name: "process.toml", text: &text }).unwrap();
    let begin = process.beginning(&order(), ProcessState::Released).unwrap();
    let said = [accepted(), to(&[("2", 4)]), invoice("I-1", [0, 4], 400)];
    let end = said.iter().fold(begin, |before, event| match apply(&process, &before, event) {
        Step::Applied { after, .. } => after,
        other => panic!("{other:?}"),
    });
    assert_eq!(end.state, ProcessState::Invoiced);
}

/// What a change has of a line: nothing, or so much.
fn quantity(max: i64) -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 6 => (0..=max).prop_map(Some)]
}

const LINES: [&str; 3] = ["1", "2", "3"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_order_is_shipped_exactly_when_what_was_agreed_has_left_and_no_more_of_it_leaves(
        before in (0..=10_i64, 0..=4_i64),
        agreed in (quantity(15), quantity(8), quantity(5)),
        parts in proptest::collection::vec((0..6_i64, 0..4_i64, 0..4_i64), 0..12),
    ) {
        let process = Process::standard().unwrap();
        let (before, agreed) = ([before.0, before.1, 0], [agreed.0, agreed.1, agreed.2]);
        let said = [accepted(), left("S", &[("1", before[0]), ("2", before[1])])];
        let lines: Vec<(&str, i64)> =
            LINES.into_iter().zip(agreed).filter_map(|(number, count)| Some((number, count?))).collect();
        let change = to(&lines);
        let step = then(&said, &change);
        let has_less = agreed.iter().zip(before).any(|(count, left)| count.is_some_and(|count| count < left));
        if lines.iter().all(|(_, count)| *count == 0) {
            prop_assert_eq!(code(&step), "nothing-ordered");
            return Ok(());
        }
        if has_less {
            prop_assert_eq!(code(&step), "less-than-left");
            return Ok(());
        }
        let Step::Applied { after: mut here, concerns } = step else { panic!("it can be: {step:?}") };
        prop_assert_eq!(concerns, vec![]);
        // A line that the change leaves out is as much as left of it; what never was one is none.
        let expected = [0, 1, 2].map(|line| agreed[line].unwrap_or(before[line]));
        let mut sums = before;
        let known = agreed[2].is_some();
        for (number, (one, two, three)) in parts.into_iter().enumerate() {
            let counts = [one, two, three];
            let of_lines: Vec<(&str, i64)> =
                LINES.into_iter().zip(counts).filter(|(line, _)| *line != "3" || known).collect();
            let is_more = (0..3).any(|line| (line < 2 || known) && sums[line] + counts[line] > expected[line]);
            match apply(&process, &here, &left(&format!("S-{number}"), &of_lines)) {
                Step::Applied { after, concerns } => {
                    prop_assert!(!is_more && concerns.is_empty(), "{:?} of {:?}", of_lines, here.lines);
                    here = after;
                    for line in 0..3 {
                        sums[line] += if line < 2 || known { counts[line] } else { 0 };
                    }
                }
                other => prop_assert!(is_more && code(&other) == "more-than-left", "{:?}", other),
            }
            let all_left = sums == expected;
            prop_assert_eq!(here.state == ProcessState::Shipped, all_left, "{:?}", here);
            let some_left = sums.iter().any(|sum| *sum > 0);
            prop_assert!(all_left || (here.state == ProcessState::PartShipped) == some_left, "{:?}", here);
        }
    }

    #[test]
    fn it_does_not_matter_what_left_before_people_agreed_and_what_after(
        agreed in (1..=15_i64, 0..=8_i64),
        parts in proptest::collection::vec((0..4_i64, 0..3_i64), 1..8),
        cut in 0..8_usize,
    ) {
        let (mut one, mut two) = (agreed.0.min(10), agreed.1.min(4));
        let mut said = vec![accepted()];
        // No more leaves than both of the first order and of the change.
        for (number, (first, second)) in parts.into_iter().enumerate() {
            let (first, second) = (first.min(one), second.min(two));
            (one, two) = (one - first, two - second);
            said.push(left(&format!("S-{number}"), &[("1", first), ("2", second)]));
        }
        let change = to(&[("1", agreed.0), ("2", agreed.1)]);
        let at_once = [&said[..1], std::slice::from_ref(&change), &said[1..]].concat();
        let mut later = said.clone();
        later.insert(1 + cut % said.len(), change);
        prop_assert_eq!(after(&at_once), after(&later));
    }
}
