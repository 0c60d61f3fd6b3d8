//! What events make of an order: in turn, out of turn, twice, and in contradiction.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod agreed;

mod paying;

use std::collections::BTreeSet;

use portreeve_model::event::{
    Allocation, AllocationLine, CancelRequest, GoodsReturn, Invoice, InvoiceLine, LineAnswer, LineStatus, OrderAnswer,
    OrderTotals, Refund, RefundCause, ReturnLine, Settlement, Shipment, ShipmentLine, ShortReason,
};
use portreeve_model::value::{Customer, Extension};
use portreeve_model::{Currency, Instant, Money, Order, OrderLine, Quantity, UnitPrice};
use proptest::prelude::*;

use super::*;

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

fn money(minor: i64) -> Money {
    Money { minor, currency: usd() }
}

fn of(value: i64) -> Quantity {
    Quantity { value, scale: 0, unit: "EA".to_owned() }
}

/// Ten of line 1 and four of line 2.
fn order() -> Order {
    let line = |number: &str, count| OrderLine {
        number: number.to_owned(),
        sku: format!("SKU-{number}"),
        buyer_sku: None,
        description: None,
        quantity: of(count),
        unit_price: UnitPrice { amount: 1, scale: 0, currency: usd(), per_quantity: 1 },
        extended: None,
        requested_delivery: None,
        extensions: vec![],
    };
    Order {
        number: "PO-1".to_owned(),
        release: None,
        customer: Customer { id: "C-1".to_owned(), name: None, email: None, phone: None },
        bill_to: None,
        ship_to: None,
        placed_at: None,
        requested_delivery: None,
        cancel_after: None,
        currency: usd(),
        lines: vec![line("1", 10), line("2", 4)],
        totals: OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand: None },
        payment: None,
        sender_state: None,
        notes: vec![],
        extensions: vec![],
    }
}

fn at(state: ProcessState) -> Progress {
    Process::standard().unwrap().beginning(&order(), state).unwrap()
}

fn answer(status: LineStatus) -> OrderAnswer {
    let line = |number: &str| LineAnswer {
        line_number: number.to_owned(),
        status,
        quantity: None,
        unit_price: None,
        promised: None,
        substitute_sku: None,
        reason: None,
    };
    OrderAnswer {
        order_number: "PO-1".to_owned(),
        external_id: None,
        answered_at: None,
        lines: vec![line("1"), line("2")],
        reason: None,
        extensions: vec![],
    }
}

fn accepted() -> Event {
    Event::OrderAccepted(answer(LineStatus::Accepted))
}

fn allocated(one: i64, two: i64) -> Event {
    let line = |number: &str, count| AllocationLine {
        line_number: number.to_owned(),
        sku: format!("SKU-{number}"),
        node: "north".to_owned(),
        quantity: of(count),
    };
    let lines = vec![line("1", one), line("2", two)];
    Event::InventoryAllocated(Allocation { order_number: "PO-1".to_owned(), lines, extensions: vec![] })
}

fn shipment(number: &str, counts: [i64; 2], short: ShortReason) -> Shipment {
    let lines = ["1", "2"].iter().zip(counts).map(|(number, count)| ShipmentLine {
        line_number: (*number).to_owned(),
        sku: format!("SKU-{number}"),
        ordered: None,
        shipped: of(count),
        short,
        lot: None,
        serials: vec![],
    });
    Shipment {
        order_number: "PO-1".to_owned(),
        shipment_number: number.to_owned(),
        node: None,
        carrier: None,
        tracking: vec![],
        at: None,
        lines: lines.collect(),
        ship_to: None,
        extensions: vec![],
    }
}

fn confirmed(number: &str, counts: [i64; 2]) -> Event {
    Event::ShipmentConfirmed(shipment(number, counts, ShortReason::None))
}

fn cancel(reason: &str) -> Event {
    Event::OrderCancelRequested(CancelRequest {
        order_number: "PO-1".to_owned(),
        reason: Some(reason.to_owned()),
        line_numbers: vec![],
        extensions: vec![],
    })
}

fn invoice(number: &str, counts: [i64; 2], total: i64) -> Event {
    let lines = ["1", "2"].iter().zip(counts).map(|(number, count)| InvoiceLine {
        line_number: (*number).to_owned(),
        sku: Some(format!("SKU-{number}")),
        quantity: of(count),
        unit_price: UnitPrice { amount: 1, scale: 0, currency: usd(), per_quantity: 1 },
        extended: money(count * 100),
        tax: None,
    });
    Event::InvoicePosted(Invoice {
        invoice_number: number.to_owned(),
        order_number: Some("PO-1".to_owned()),
        shipment_number: None,
        corrects: None,
        posted_on: None,
        due_on: None,
        lines: lines.collect(),
        tax: None,
        total: money(total),
        extensions: vec![],
    })
}

fn memo(number: &str, corrects: &str, counts: [i64; 2], total: i64) -> Event {
    let mut memo = invoice(number, counts, total);
    if let Event::InvoicePosted(memo) = &mut memo {
        memo.corrects = Some(corrects.to_owned());
    }
    memo
}

fn paid(reference: &str, invoice: Option<&str>, minor: i64) -> Event {
    Event::PaymentSettled(Settlement {
        payment_reference: reference.to_owned(),
        order_number: Some("PO-1".to_owned()),
        invoice_number: invoice.map(str::to_owned),
        amount: money(minor),
        fee: None,
        settled_at: None,
        extensions: vec![],
    })
}

fn goods(number: &str, counts: [i64; 2]) -> GoodsReturn {
    let lines = ["1", "2"].iter().zip(counts).map(|(number, count)| ReturnLine {
        line_number: Some((*number).to_owned()),
        sku: format!("SKU-{number}"),
        quantity: of(count),
        reason: None,
        condition: None,
    });
    GoodsReturn {
        return_number: number.to_owned(),
        order_number: "PO-1".to_owned(),
        lines: lines.collect(),
        at: None,
        extensions: vec![],
    }
}

fn refund(number: &str, cause: RefundCause, of_return: Option<&str>, minor: i64) -> Event {
    Event::RefundIssued(Refund {
        refund_number: number.to_owned(),
        order_number: "PO-1".to_owned(),
        cause,
        return_number: of_return.map(str::to_owned),
        amount: money(minor),
        issued_at: None,
        extensions: vec![],
    })
}

/// As if whatever is the same were the same document.
fn apply(process: &Process, before: &Progress, event: &Event) -> Step {
    let content = Digest::of(&event.to_json().unwrap());
    process.apply(before, event, u64::from_be_bytes(content.as_bytes()[..8].try_into().unwrap()))
}

/// The order after these events, all of which have to count, and the concerns' codes.
fn after(events: &[Event]) -> (Progress, Vec<&'static str>) {
    let process = Process::standard().unwrap();
    let start = (at(ProcessState::Released), Vec::new());
    events.iter().fold(start, |(before, mut codes), event| match apply(&process, &before, event) {
        Step::Applied { after, concerns } => {
            codes.extend(concerns.iter().map(|concern| concern.code));
            let contradiction = after.contradiction().filter(|now| before.contradiction().as_ref() != Some(now));
            codes.extend(contradiction.map(|concern| concern.code));
            (after, codes)
        }
        other => panic!("`{}` does not count: {other:?}", event.name()),
    })
}

fn state(events: &[Event]) -> ProcessState {
    after(events).0.state
}

fn then(events: &[Event], event: &Event) -> Step {
    apply(&Process::standard().unwrap(), &after(events).0, event)
}

fn code(step: &Step) -> &str {
    match step {
        Step::Applied { .. } => "applied",
        Step::Again => "again",
        Step::Early { .. } => "early",
        Step::Impossible(concern) => concern.code,
    }
}

#[test]
fn an_order_goes_from_its_release_to_its_payment() {
    let whole = [10, 4];
    let picked = Event::ShipmentPicked(shipment("S-1", whole, ShortReason::None));
    let packed = Event::ShipmentPacked(shipment("S-1", whole, ShortReason::None));
    let events = [
        (accepted(), ProcessState::Accepted),
        (allocated(10, 4), ProcessState::Allocated),
        (picked, ProcessState::Picked),
        (packed, ProcessState::Packed),
        (Event::ShipmentDispatched(shipment("S-1", whole, ShortReason::None)), ProcessState::Packed),
        (confirmed("S-1", whole), ProcessState::Shipped),
        (invoice("I-1", whole, 1_400), ProcessState::Invoiced),
        (paid("P-1", Some("I-1"), 1_400), ProcessState::Settled),
    ];
    for said in 1..=events.len() {
        let so_far: Vec<Event> = events[..said].iter().map(|(event, _)| event.clone()).collect();
        assert_eq!(state(&so_far), events[said - 1].1, "after {}", events[said - 1].0.name());
    }
}

#[test]
fn a_backorder_is_still_to_come_and_what_is_not_backordered_never_leaves() {
    let first = |short| Event::ShipmentConfirmed(shipment("S-1", [8, 4], short));
    let backorder = [accepted(), first(ShortReason::Backorder)];
    assert_eq!(state(&backorder), ProcessState::PartShipped);
    assert_eq!(code(&then(&backorder, &confirmed("S-2", [2, 0]))), "applied");
    let rest = [backorder.as_slice(), &[confirmed("S-2", [2, 0])]].concat();
    assert_eq!(state(&rest), ProcessState::Shipped);

    let cut = [accepted(), first(ShortReason::NoBackorder)];
    let (progress, concerns) = after(&cut);
    assert_eq!((progress.state, progress.lines["1"].cancelled(), concerns.len()), (ProcessState::Shipped, 2, 0));
    // It came before in the warehouse, or the warehouse thought better of it: it has left.
    assert_eq!(code(&then(&cut, &confirmed("S-2", [2, 0]))), "applied");

    let damaged = [accepted(), first(ShortReason::Damaged)];
    assert_eq!(after(&damaged).1, ["short-shipment"]);
}

#[test]
fn a_wish_to_cancel_leads_on_from_where_the_order_is_until_nothing_of_it_leaves() {
    let rejected = Event::OrderRejected(answer(LineStatus::Rejected));
    let (wish, whole) = (cancel("not needed"), [10, 4]);
    let picked = Event::ShipmentPicked(shipment("S-1", whole, ShortReason::None));
    let packed = Event::ShipmentPacked(shipment("S-1", whole, ShortReason::None));
    let on_its_way = [accepted(), allocated(10, 4), picked, packed];
    for told in 1..=on_its_way.len() {
        let so_far = [&on_its_way[..told], std::slice::from_ref(&wish)].concat();
        assert_eq!(state(&so_far), ProcessState::Cancelling, "after {}", on_its_way[told - 1].name());
        assert_eq!(then(&so_far, &cancel("in other words")), Step::Again);
        let (done, codes) = after(&[so_far, vec![rejected.clone()]].concat());
        assert_eq!((done.state, codes), (ProcessState::Cancelled, vec![]), "as was wished");
    }
    // Before the ERP has it, and after it has left, there is nothing to stop.
    assert_eq!(state(std::slice::from_ref(&wish)), ProcessState::Released);
    assert_eq!(state(&[wish.clone(), accepted()]), ProcessState::Cancelling);
    let left = [accepted(), confirmed("S-1", whole), invoice("I-1", whole, 1_400), paid("P-1", None, 1_400)];
    for (told, expected) in [(2, ProcessState::Shipped), (3, ProcessState::Invoiced), (4, ProcessState::Settled)] {
        assert_eq!(state(&[&left[..told], std::slice::from_ref(&wish)].concat()), expected);
    }
    // The warehouse was faster, with all of it or a part.
    assert_eq!(state(&[accepted(), wish.clone(), confirmed("S-1", whole)]), ProcessState::Shipped);
    assert_eq!(state(&[accepted(), wish, confirmed("S-1", [6, 4]), rejected]), ProcessState::Shipped);
}

#[test]
fn an_order_that_ships_in_parts_is_invoiced_in_parts_and_settled_at_the_end() {
    let events = [
        accepted(),
        paid("P-1", None, 1_400),
        confirmed("S-1", [5, 0]),
        invoice("I-1", [5, 0], 500),
        confirmed("S-2", [5, 4]),
        invoice("I-2", [5, 4], 900),
    ];
    let states: Vec<ProcessState> = (1..=6).map(|said| state(&events[..said])).collect();
    use ProcessState::{Accepted, PartShipped, Settled, Shipped};
    assert_eq!(states, [Accepted, Accepted, PartShipped, PartShipped, Shipped, Settled]);
}

#[test]
fn the_same_thing_said_again_has_no_effect_and_another_thing_under_its_number_is_refused() {
    let said = [accepted(), confirmed("S-1", [5, 0])];
    assert_eq!(then(&said, &confirmed("S-1", [5, 0])), Step::Again);
    assert_eq!(code(&then(&said, &confirmed("S-1", [6, 0]))), "said-otherwise");
    assert_eq!(code(&then(&said, &confirmed("S-2", [5, 0]))), "applied");
}

#[test]
fn money_that_two_systems_tell_is_the_same_where_amount_cause_and_what_it_is_for_are() {
    let received = [accepted(), confirmed("S-1", [10, 4]), Event::ReturnReceived(goods("R-1", [1, 0]))];
    let back = refund("F-1", RefundCause::GoodsReturn, Some("R-1"), 100);
    let told = [received.as_slice(), &[paid("P-1", Some("I-1"), 1_400), back.clone()]].concat();
    let elsewhere = |event: &Event, change: &dyn Fn(&mut Refund)| {
        let Event::RefundIssued(refund) = event else { panic!("{}", event.name()) };
        let mut refund = refund.clone();
        change(&mut refund);
        Event::RefundIssued(refund)
    };
    // Stripe has times and ids of its own, and the shop's number of the order.
    let by_stripe = elsewhere(&back, &|refund| {
        refund.order_number = "100000042".to_owned();
        refund.issued_at = Some(Instant(1_772_438_400_000));
        refund.extensions = vec![Extension { name: "stripe:refund".to_owned(), value: "re_1".to_owned() }];
    });
    assert_eq!(then(&told, &by_stripe), Step::Again);
    let otherwise: [&dyn Fn(&mut Refund); 4] = [
        &|refund| refund.amount.minor = 101,
        &|refund| refund.amount.currency = Currency::parse("EUR").unwrap(),
        &|refund| refund.cause = RefundCause::Other,
        &|refund| refund.return_number = None,
    ];
    for change in otherwise {
        assert_eq!(code(&then(&told, &elsewhere(&by_stripe, change))), "said-otherwise");
    }

    let by_bank = |invoice: Option<&str>, minor| {
        let mut event = paid("P-1", invoice, minor);
        if let Event::PaymentSettled(payment) = &mut event {
            payment.order_number = None;
            payment.fee = Some(money(30));
            payment.settled_at = Some(Instant(1_772_438_400_000));
            payment.extensions = vec![Extension { name: "bank".to_owned(), value: "1".to_owned() }];
        }
        event
    };
    assert_eq!(then(&told, &by_bank(Some("I-1"), 1_400)), Step::Again);
    for otherwise in [by_bank(Some("I-1"), 1_399), by_bank(Some("I-2"), 1_400)] {
        assert_eq!(code(&then(&told, &otherwise)), "said-otherwise");
    }
    // What leaves is told by one system, which does not call it otherwise the second time.
    let mut later = shipment("S-1", [10, 4], ShortReason::None);
    later.at = Some(Instant(1_772_438_400_000));
    assert_eq!(code(&then(&told, &Event::ShipmentConfirmed(later))), "said-otherwise");
}

#[test]
fn what_comes_before_what_it_follows_from_waits_for_it() {
    for (said, event) in [
        (vec![], confirmed("S-1", [10, 4])),
        (vec![], invoice("I-1", [10, 4], 1_400)),
        (vec![accepted()], invoice("I-1", [10, 4], 1_400)),
        (vec![accepted(), confirmed("S-1", [5, 0])], invoice("I-1", [10, 0], 1_000)),
        (vec![accepted()], Event::ReturnReceived(goods("R-1", [1, 0]))),
        (
            vec![accepted(), paid("P-1", None, 1_400), confirmed("S-1", [10, 4])],
            refund("F-1", RefundCause::GoodsReturn, Some("R-1"), 100),
        ),
    ] {
        assert_eq!(code(&then(&said, &event)), "early", "`{}` after {} events", event.name(), said.len());
    }
}

#[test]
fn what_cannot_be_is_told_with_what_was_found_and_expected() {
    let in_cases = |mut shipment: Shipment| {
        shipment.lines[0].shipped.unit = "CA".to_owned();
        Event::ShipmentConfirmed(shipment)
    };
    let of_line = |line: &str| {
        let mut said = shipment("S-1", [1, 0], ShortReason::None);
        said.lines[0].line_number = line.to_owned();
        Event::ShipmentConfirmed(said)
    };
    let in_euro = |mut event: Event| {
        if let Event::PaymentSettled(settlement) = &mut event {
            settlement.amount.currency = Currency::parse("EUR").unwrap();
        }
        event
    };
    let shipped = [accepted(), confirmed("S-1", [10, 4])];
    for (said, event, expected) in [
        (vec![accepted()], confirmed("S-1", [11, 0]), "more-than-left"),
        (vec![accepted()], confirmed("S-1", [-1, 0]), "below-nothing"),
        (vec![accepted()], of_line("7"), "line-unknown"),
        (vec![accepted()], in_cases(shipment("S-1", [1, 0], ShortReason::None)), "other-unit"),
        (vec![accepted()], in_euro(paid("P-1", None, 1)), "other-currency"),
        (shipped.to_vec(), confirmed("S-2", [1, 0]), "more-than-left"),
        (shipped.to_vec(), invoice("I-1", [11, 4], 1_500), "more-than-left"),
        (shipped.to_vec(), Event::ReturnReceived(goods("R-1", [11, 0])), "more-than-left"),
        (shipped.to_vec(), Event::OrderRejected(answer(LineStatus::Rejected)), "out-of-turn"),
        (vec![], Event::OrderCreated(order()), "not-of-the-process"),
    ] {
        let step = then(&said, &event);
        assert_eq!(code(&step), expected, "`{}`: {step:?}", event.name());
    }
}

/// Each event that counts goods of lines, with another item on its first line.
fn of_item(item: &str) -> Vec<(Vec<Event>, Event)> {
    let item = item.to_owned();
    let shipped = vec![accepted(), confirmed("S-1", [10, 4])];
    let billed = [shipped.as_slice(), &[invoice("I-1", [10, 4], 1_400)]].concat();
    let on_first = |mut event: Event| {
        match &mut event {
            Event::InventoryAllocated(allocation) => allocation.lines[0].sku = item.clone(),
            Event::ShipmentPicked(shipment) | Event::ShipmentPacked(shipment) | Event::ShipmentConfirmed(shipment) => {
                shipment.lines[0].sku = item.clone();
            }
            Event::InvoicePosted(invoice) => invoice.lines[0].sku = Some(item.clone()),
            Event::ReturnRequested(goods) | Event::ReturnReceived(goods) => goods.lines[0].sku = item.clone(),
            other => panic!("`{}` names no items", other.name()),
        }
        event
    };
    let one = || shipment("S-9", [1, 0], ShortReason::None);
    vec![
        (vec![accepted()], on_first(allocated(1, 0))),
        (vec![accepted()], on_first(Event::ShipmentPicked(one()))),
        (vec![accepted()], on_first(Event::ShipmentPacked(one()))),
        (vec![accepted()], on_first(confirmed("S-9", [1, 0]))),
        (shipped.clone(), on_first(invoice("I-9", [1, 0], 100))),
        (billed, on_first(memo("M-9", "I-1", [1, 0], -100))),
        (shipped.clone(), on_first(Event::ReturnRequested(goods("R-9", [1, 0])))),
        (shipped, on_first(Event::ReturnReceived(goods("R-9", [1, 0])))),
    ]
}

#[test]
fn what_is_said_of_a_line_with_another_lines_item_counts_for_nothing() {
    for (said, event) in of_item("SKU-2") {
        let Step::Impossible(concern) = then(&said, &event) else { panic!("`{}` counts", event.name()) };
        assert_eq!(concern.code, "other-item", "`{}`", event.name());
        assert_eq!(concern.found, "item `SKU-2` on line 1");
        assert_eq!(concern.expected, "`SKU-1`, which the line is of");
    }
    for (said, event) in of_item("SKU-1") {
        assert_eq!(code(&then(&said, &event)), "applied", "`{}`", event.name());
    }
    // An invoice need not name items.
    let mut bill = invoice("I-1", [10, 4], 1_400);
    if let Event::InvoicePosted(invoice) = &mut bill {
        invoice.lines.iter_mut().for_each(|line| line.sku = None);
    }
    assert_eq!(code(&then(&[accepted(), confirmed("S-1", [10, 4])], &bill)), "applied");
}

#[test]
fn an_item_is_known_by_the_customers_number_as_well_and_by_what_took_its_place() {
    let process = Process::standard().unwrap();
    let mut with_theirs = order();
    with_theirs.lines[0].buyer_sku = Some("4711".to_owned());
    let known = process.beginning(&with_theirs, ProcessState::Accepted).unwrap();
    let mut by_theirs = shipment("S-1", [1, 0], ShortReason::None);
    by_theirs.lines[0].sku = "4711".to_owned();
    assert_eq!(code(&apply(&process, &known, &Event::ShipmentConfirmed(by_theirs.clone()))), "applied");
    assert_eq!(code(&then(&[accepted()], &Event::ShipmentConfirmed(by_theirs))), "other-item");

    // The warehouse says that another item left in its place, and finance bills that one.
    let with_other = |mut event: Event| {
        match &mut event {
            Event::ShipmentConfirmed(shipment) => shipment.lines[0].sku = "SKU-X".to_owned(),
            Event::InvoicePosted(invoice) => invoice.lines[0].sku = Some("SKU-X".to_owned()),
            other => panic!("{}", other.name()),
        }
        event
    };
    let sent = with_other(Event::ShipmentConfirmed(shipment("S-1", [10, 4], ShortReason::Substitution)));
    let bill = with_other(invoice("I-1", [10, 4], 1_400));
    assert_eq!(code(&then(&[accepted()], &bill)), "early");
    assert_eq!(state(&[accepted(), sent, bill]), ProcessState::Invoiced);

    // So does the system of record, and the warehouse only says that it is gone.
    let mut other = answer(LineStatus::Accepted);
    other.lines[0].status = LineStatus::Substituted;
    other.lines[0].substitute_sku = Some("SKU-X".to_owned());
    let whole = with_other(confirmed("S-1", [10, 4]));
    assert_eq!(code(&then(&[accepted()], &whole)), "other-item");
    assert_eq!(after(&[Event::OrderAccepted(other), whole]).1, ["line-answered-otherwise"]);
}

#[test]
fn what_the_warehouse_may_not_decide_of_a_short_line_is_told_and_stays_owed() {
    let deciding = |list: &str| {
        let text = STANDARD.replace("[\"backorder\", \"cancel-rest\"]", list);
        Process::load(&SourceFile { name: "process.toml", text: &text }).unwrap()
    };
    let short_of = |list: &str, short, counts| {
        let process = deciding(list);
        let start = process.beginning(&order(), ProcessState::Accepted).unwrap();
        let step = process.apply(&start, &Event::ShipmentConfirmed(shipment("S-1", counts, short)), 1);
        let Step::Applied { after, concerns } = step else { panic!("{step:?}") };
        (after.state, concerns.iter().map(|concern| concern.code).collect::<Vec<_>>())
    };
    let (all, none) = ("[\"backorder\", \"cancel-rest\", \"substitution\"]", "[]");
    let (whole, part) = (ProcessState::Shipped, ProcessState::PartShipped);
    // Line 2 is short by three.
    for (short, agreed) in [(ShortReason::Backorder, part), (ShortReason::NoBackorder, whole)] {
        assert_eq!(short_of(all, short, [10, 1]), (agreed, vec![]), "{short:?}");
        assert_eq!(short_of(none, short, [10, 1]), (part, vec!["short-not-agreed"]), "{short:?}");
        assert_eq!(short_of(none, short, [10, 4]), (whole, vec![]), "nothing is short: {short:?}");
    }
    // Another item left, all of it: it has left whatever anybody thinks of it.
    assert_eq!(short_of(all, ShortReason::Substitution, [10, 4]), (whole, vec![]));
    for list in [none, "[\"backorder\", \"cancel-rest\"]"] {
        assert_eq!(short_of(list, ShortReason::Substitution, [10, 4]), (whole, vec!["substitute-not-agreed"]));
    }
    let wrong = STANDARD.replace("\"cancel-rest\"", "\"whatever\"");
    let error = Process::load(&SourceFile { name: "process.toml", text: &wrong }).unwrap_err().to_string();
    assert!(error.contains("whatever") && error.contains("substitution"), "{error}");
}

#[test]
fn an_order_of_an_earlier_version_is_followed_as_it_was() {
    let mut before = after(&[accepted()]).0;
    before.lines.values_mut().for_each(|line| line.items.clear());
    let text = serde_json::to_string(&before).unwrap();
    assert!(!text.contains("items"), "{text}");
    let before: Progress = serde_json::from_str(&text).unwrap();
    let mut named = shipment("S-1", [1, 0], ShortReason::None);
    named.lines[0].sku = "SKU-2".to_owned();
    let step = apply(&Process::standard().unwrap(), &before, &Event::ShipmentConfirmed(named));
    assert_eq!(code(&step), "applied");
}

#[test]
fn a_quantity_with_other_decimal_places_is_the_same_only_without_a_remainder() {
    let thousandths = |value| {
        let mut said = shipment("S-1", [0, 0], ShortReason::None);
        said.lines[0].shipped = Quantity { value, scale: 3, unit: "EA".to_owned() };
        then(&[accepted()], &Event::ShipmentConfirmed(said))
    };
    assert_eq!(code(&thousandths(5_000)), "applied");
    assert_eq!(code(&thousandths(5_001)), "other-scale");
}

#[test]
fn money_that_has_moved_counts_and_a_person_hears_what_is_wrong_with_it() {
    let shipped = [accepted(), confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400)];
    let with = |more: &[Event]| after(&[shipped.as_slice(), more].concat());

    let (progress, concerns) = with(&[paid("P-1", Some("I-1"), 1_500)]);
    assert_eq!((progress.state, concerns), (ProcessState::Settled, vec!["paid-too-much"]));
    let (progress, concerns) = with(&[paid("P-1", Some("I-1"), 1_300)]);
    assert_eq!((progress.state, concerns.len()), (ProcessState::Invoiced, 0));

    let (progress, concerns) = with(&[paid("P-1", None, 1_400), refund("F-1", RefundCause::Other, None, 1_401)]);
    assert_eq!((progress.money.refunded_minor, concerns), (1_401, vec!["refund-exceeds-paid"]));
    let (_, concerns) = with(&[paid("P-1", None, 1_400), refund("F-1", RefundCause::GoodsReturn, None, 100)]);
    assert_eq!(concerns, ["refund-before-receipt"]);

    let received = Event::ReturnReceived(goods("R-1", [1, 0]));
    let back = [paid("P-1", None, 1_400), received, refund("F-1", RefundCause::GoodsReturn, Some("R-1"), 100)];
    let (progress, concerns) = with(&back);
    assert_eq!((progress.state, concerns.len()), (ProcessState::Credited, 0));

    let rejected = [Event::OrderRejected(answer(LineStatus::Rejected)), paid("P-1", None, 1_400)];
    assert_eq!(after(&rejected).1, ["rejected-by-target", "paid-after-cancellation"]);
    let shipped =
        [rejected.as_slice(), &[refund("F-1", RefundCause::Other, None, 1_400), confirmed("S-1", [1, 0])]].concat();
    let (progress, concerns) = after(&shipped);
    assert_eq!((progress.state, concerns.last().copied()), (ProcessState::Shipped, Some("shipped-after-rejection")));

    let huge = [paid("P-1", None, i64::MAX)];
    assert_eq!(code(&then(&huge, &paid("P-2", None, 1))), "too-large");
}

#[test]
fn a_credit_memo_takes_back_what_was_invoiced_and_it_may_be_invoiced_again() {
    let billed = [accepted(), confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400)];
    assert_eq!(code(&then(&billed, &invoice("I-2", [10, 4], 1_400))), "early");
    let taken_back = [billed.as_slice(), &[memo("M-1", "I-1", [10, 4], -1_400)]].concat();
    assert_eq!(state(&taken_back), ProcessState::Shipped);
    let again = [taken_back.as_slice(), &[invoice("I-2", [10, 4], 1_300), paid("P-1", Some("I-2"), 1_300)]].concat();
    assert_eq!(state(&again), ProcessState::Settled);
    assert_eq!(code(&then(&billed, &memo("M-1", "I-1", [11, 0], -1_100))), "more-than-left");
    // A price that was too high: nothing is taken back but money.
    let cheaper = [billed.as_slice(), &[memo("M-1", "I-1", [0, 0], -50), paid("P-1", None, 1_350)]].concat();
    assert_eq!(state(&cheaper), ProcessState::Settled);
}

#[test]
fn an_order_is_credited_when_all_that_came_back_is() {
    let received = |number| Event::ReturnReceived(goods(number, [1, 0]));
    let start = [accepted(), confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400), paid("P-1", None, 1_400)];
    let for_return = |number: &str, of| refund(number, RefundCause::GoodsReturn, Some(of), 100);
    let one = [start.as_slice(), &[received("R-1"), for_return("F-1", "R-1")]].concat();
    assert_eq!(state(&one), ProcessState::Credited);
    let two = [one.as_slice(), &[received("R-2")]].concat();
    assert_eq!(state(&two), ProcessState::Returned);
    assert_eq!(state(&[two.as_slice(), &[for_return("F-2", "R-2")]].concat()), ProcessState::Credited);
    let by_memo = [start.as_slice(), &[received("R-1"), memo("M-1", "I-1", [1, 0], -100)]].concat();
    assert_eq!(state(&by_memo), ProcessState::Credited);
    let price = [start.as_slice(), &[memo("M-1", "I-1", [0, 0], -50), received("R-1")]].concat();
    assert_eq!(state(&price), ProcessState::Returned);
}

fn owed(said: &[Event]) -> Option<(RefundCause, i64, Option<String>)> {
    let owed = after(said).0.owed_back();
    owed.map(|refund| (refund.cause, refund.amount_minor, refund.return_number))
}

#[test]
fn what_is_paid_above_what_is_owed_is_owed_back_when_nothing_more_will_be_owed() {
    let paid_all = paid("P-1", None, 1_400);
    let refused = [cancel("no"), accepted(), Event::OrderRejected(answer(LineStatus::Rejected))];
    assert_eq!(owed(&refused), None, "nobody paid");
    let prepaid = [refused.as_slice(), std::slice::from_ref(&paid_all)].concat();
    assert_eq!(owed(&prepaid), Some((RefundCause::CancelledPrepayment, 1_400, None)));
    let in_part = [prepaid.as_slice(), &[refund("F-1", RefundCause::Other, None, 400)]].concat();
    assert_eq!(owed(&in_part), Some((RefundCause::CancelledPrepayment, 1_000, None)));

    let short = Event::ShipmentConfirmed(shipment("S-1", [10, 3], ShortReason::NoBackorder));
    let shipped = [accepted(), paid_all.clone(), short];
    assert_eq!(owed(&shipped), None, "what is owed is not known yet");
    let billed = [shipped.as_slice(), &[invoice("I-1", [10, 3], 1_300)]].concat();
    assert_eq!(owed(&billed), Some((RefundCause::ShortShipment, 100, None)));

    let all = [accepted(), confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400), paid_all];
    let too_much = [all.as_slice(), &[paid("P-2", None, 5)]].concat();
    assert_eq!(owed(&too_much), None, "why is a person's to find out");
    let back = |number| Event::ReturnReceived(goods(number, [1, 0]));
    let received = [all.as_slice(), &[back("R-1")]].concat();
    assert_eq!(owed(&received), None, "nobody says yet what it is worth");
    let credited = [received.as_slice(), &[memo("M-1", "I-1", [1, 0], -100)]].concat();
    assert_eq!(owed(&credited), Some((RefundCause::GoodsReturn, 100, Some("R-1".to_owned()))));
    let two = [received.as_slice(), &[back("R-2"), memo("M-1", "I-1", [2, 0], -200)]].concat();
    assert_eq!(owed(&two), None, "for which of the two is a person's to say");
    assert_eq!(wrong(&two), Some("paid-too-much"), "and people hear of it");
    let by_hand = |number: &str, of| refund(number, RefundCause::GoodsReturn, Some(of), 100);
    assert_eq!(wrong(&[two.as_slice(), &[by_hand("F-1", "R-1"), by_hand("F-2", "R-2")]].concat()), None);
}

/// What people have to know of an order by all that was said.
fn wrong(said: &[Event]) -> Option<&'static str> {
    after(said).0.contradiction().map(|concern| concern.code)
}

#[test]
fn what_the_cause_of_a_refund_does_not_explain_stays_a_persons() {
    let back = Event::ReturnReceived(goods("R-1", [1, 0]));
    let credited = [back, memo("M-1", "I-1", [1, 0], -100)];
    let shipped = [accepted(), confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400), paid("P-1", None, 1_400)];
    // It was paid twice, in part: the goods' worth goes back, and the rest is in dispute.
    let twice = [shipped.as_slice(), &[paid("P-2", None, 700)], &credited].concat();
    assert_eq!(owed(&twice), Some((RefundCause::GoodsReturn, 100, Some("R-1".to_owned()))));
    let (mut progress, _) = after(&twice);
    progress.refunds(progress.owed_back().unwrap());
    assert_eq!((progress.owed_back(), progress.contradiction().unwrap().code), (None, "paid-too-much"));
    // What people paid back of it before is no part of the return's.
    let settled =
        [shipped.as_slice(), &[paid("P-2", None, 700), refund("F-1", RefundCause::Other, None, 700)], &credited];
    assert_eq!(owed(&settled.concat()), Some((RefundCause::GoodsReturn, 100, Some("R-1".to_owned()))));
    // A part of the return's worth was paid back already.
    let in_part = [twice.as_slice(), &[refund("F-1", RefundCause::GoodsReturn, None, 40)]].concat();
    assert_eq!(owed(&in_part), Some((RefundCause::GoodsReturn, 60, Some("R-1".to_owned()))));

    let short = Event::ShipmentConfirmed(shipment("S-1", [10, 3], ShortReason::NoBackorder));
    let billed = [accepted(), paid("P-1", None, 1_400), short, invoice("I-1", [10, 3], 1_300)];
    let twice = [billed.as_slice(), &[paid("P-2", None, 1)]].concat();
    assert_eq!((owed(&billed).is_some(), owed(&twice), wrong(&twice)), (true, None, Some("paid-too-much")));
    // What never left was paid back: what is paid again is no part of it.
    let back = refund("F-1", RefundCause::ShortShipment, None, 100);
    let again = [billed.as_slice(), &[back, paid("P-2", None, 60)]].concat();
    assert_eq!((owed(&again), wrong(&again)), (None, Some("paid-too-much")));
}

#[test]
fn what_may_have_left_without_a_word_yet_is_not_taken_for_short() {
    let closes = Event::ShipmentConfirmed(shipment("S-3", [2, 4], ShortReason::NoBackorder));
    let bills = [invoice("I-1", [3, 0], 300), invoice("I-3", [2, 4], 600)];
    let heard = |more: &[Event]| {
        let start = [accepted(), paid("P-1", None, 1_400), confirmed("S-1", [3, 0]), closes.clone()];
        [start.as_slice(), &bills, more].concat()
    };
    assert_eq!(owed(&heard(&[])), Some((RefundCause::ShortShipment, 500, None)), "nobody spoke of more");
    for spoken_of in [
        Event::ShipmentPicked(shipment("S-2", [4, 0], ShortReason::None)),
        Event::ShipmentPacked(shipment("S-2", [4, 0], ShortReason::None)),
        Event::ShipmentDispatched(shipment("S-2", [4, 0], ShortReason::None)),
    ] {
        let in_doubt = heard(std::slice::from_ref(&spoken_of));
        assert_eq!((owed(&in_doubt), wrong(&in_doubt)), (None, Some("paid-too-much")), "{}", spoken_of.name());
        let late = heard(&[spoken_of, confirmed("S-2", [4, 0])]);
        assert_eq!(owed(&late), None, "it is not invoiced yet");
        let all = [late.as_slice(), &[invoice("I-2", [4, 0], 400)]].concat();
        assert_eq!((owed(&all), wrong(&all)), (Some((RefundCause::ShortShipment, 100, None)), Some("paid-too-much")));
    }
}

#[test]
fn an_order_that_people_refused_before_any_system_had_it_owes_what_was_paid() {
    let paid_all = paid("P-1", None, 1_400);
    let process = Process::standard().unwrap();
    let applied = |progress: &Progress, event: &Event| match apply(&process, progress, event) {
        Step::Applied { after, concerns } => (after, concerns),
        other => panic!("{other:?}"),
    };
    let rejected = Event::OrderRejected(OrderAnswer { lines: vec![], ..answer(LineStatus::Rejected) });
    // The money came before, or it comes after.
    let (mut before, _) = applied(&at(ProcessState::Released), &paid_all);
    before.was_refused();
    let mut refused = at(ProcessState::Cancelled);
    refused.was_refused();
    let (after, _) = applied(&refused, &paid_all);
    for progress in [before, after] {
        assert_eq!((progress.state, progress.refused), (ProcessState::Cancelled, true));
        assert_eq!(progress.owed_back().unwrap().amount_minor, 1_400);
        let (told, concerns) = applied(&progress, &rejected);
        assert_eq!((told.state, concerns, told.owed_back().is_some()), (ProcessState::Cancelled, vec![], true));
    }
    // A system has it: its rejection is the system's to say.
    let (mut taken, _) = applied(&at(ProcessState::Released), &accepted());
    taken.was_refused();
    assert_eq!((taken.state, taken.refused), (ProcessState::Accepted, false));
}

#[test]
fn what_the_host_decided_on_counts_however_much_was_said() {
    let (mut progress, _) =
        after(&[accepted(), paid("P-1", None, 1_400), Event::OrderRejected(answer(LineStatus::Rejected))]);
    let decided = progress.owed_back().unwrap();
    progress.refunds(decided.clone());
    for number in progress.said.len()..SAID_MAX {
        progress.said.insert(format!("note/{number}"), Digest::of(b"note"));
    }
    let process = Process::standard().unwrap();
    assert_eq!(code(&apply(&process, &progress, &paid("P-2", None, 1))), "too-many-events");
    assert_eq!(code(&apply(&process, &progress, &refund(&decided.number, decided.cause, None, 1_400))), "applied");
    progress.drops(&decided);
    assert_eq!(
        (progress.money.refunding.len(), progress.contradiction().unwrap().code),
        (0, "paid-after-cancellation")
    );
}

#[test]
fn a_refund_that_the_host_decided_on_is_not_decided_on_again() {
    let prepaid = [accepted(), paid("P-1", None, 1_400), Event::OrderRejected(answer(LineStatus::Rejected))];
    let (mut progress, _) = after(&prepaid);
    assert_eq!(progress.contradiction().unwrap().code, "paid-after-cancellation");
    let first = progress.owed_back().unwrap();
    progress.refunds(first.clone());
    assert_eq!((progress.owed_back(), progress.contradiction()), (None, None));
    // More money comes in before it counts.
    let more = match apply(&Process::standard().unwrap(), &progress, &paid("P-2", None, 50)) {
        Step::Applied { after, .. } => after,
        other => panic!("{other:?}"),
    };
    let second = more.owed_back().unwrap();
    assert_eq!((second.amount_minor, first.number.as_str(), second.number.as_str()), (50, "host-1", "host-2"));
    let counted = match apply(&Process::standard().unwrap(), &progress, &refund("host-1", first.cause, None, 1_400)) {
        Step::Applied { after, .. } => after,
        other => panic!("{other:?}"),
    };
    assert_eq!((counted.money.refunded_minor, counted.money.refunding.len()), (1_400, 0));
    assert_eq!((counted.owed_back(), counted.contradiction()), (None, None));

    let process = Process::standard().unwrap();
    let applied = |progress: &Progress, event: &Event| match apply(&process, progress, event) {
        Step::Applied { after, concerns } => (after, concerns),
        other => panic!("{other:?}"),
    };
    // Somebody else pays it back before it counts, or the payment is taken back.
    for first in [refund("F-1", RefundCause::Other, None, 1_400), paid("P-2", None, -1_400)] {
        let (meanwhile, _) = applied(&progress, &first);
        let refunded_minor = meanwhile.money.refunded_minor;
        let (after, concerns) = applied(&meanwhile, &refund("host-1", RefundCause::CancelledPrepayment, None, 1_400));
        assert_eq!(concerns.first().map(|concern| concern.code), Some("refund-not-needed"));
        assert_eq!((after.money.refunded_minor, after.money.refunding.len()), (refunded_minor, 0));
    }
    // A number that somebody guessed is not the host's word.
    let (guessed, _) = applied(&progress, &refund("host-1", RefundCause::CancelledPrepayment, None, 9_000));
    assert_eq!(guessed.money.refunding.len(), 1);
    // The warehouse closed it: more may have left before.
    let closed = Event::ShipmentConfirmed(shipment("S-1", [0, 0], ShortReason::NoBackorder));
    let (closed, _) = after(&[accepted(), paid("P-1", None, 1_400), closed]);
    assert_eq!((closed.state, closed.owed_back()), (ProcessState::Cancelled, None));
}

#[test]
fn what_is_wrong_in_one_way_with_many_lines_is_one_thing_to_look_at() {
    let mut many = answer(LineStatus::PriceChanged);
    assert_eq!(after(&[Event::OrderAccepted(many.clone())]).1, ["line-answered-otherwise"]);
    many.lines[1].line_number = "1".to_owned();
    assert_eq!(code(&then(&[], &Event::OrderAccepted(many))), "lines-alike");
}

#[test]
fn freight_is_invoiced_without_a_shipment_where_the_process_says_so() {
    let mut bill = invoice("I-1", [0, 0], 900);
    if let Event::InvoicePosted(invoice) = &mut bill {
        invoice.lines[0].line_number = "freight".to_owned();
        invoice.lines[0].sku = Some("6130".to_owned());
        invoice.lines[0].quantity = of(1);
    }
    let shipped = [accepted(), confirmed("S-1", [10, 4])];
    assert_eq!(code(&then(&shipped, &bill)), "line-unknown");
    let text = STANDARD.replace("unshipped = []", "unshipped = [\"6130\"]");
    let process = Process::load(&SourceFile { name: "process.toml", text: &text }).unwrap();
    assert_eq!(code(&apply(&process, &after(&shipped).0, &bill)), "applied");

    // The same as a line of the order: nobody waits for it to leave.
    let mut order = order();
    order.lines[1].sku = "6130".to_owned();
    let mut progress = process.beginning(&order, ProcessState::Released).unwrap();
    let mut goods = shipment("S-1", [10, 0], ShortReason::None);
    goods.lines.truncate(1);
    let goods = Event::ShipmentConfirmed(goods);
    for event in [accepted(), goods, invoice("I-1", [10, 4], 1_400), paid("P-1", None, 1_400)] {
        let step = apply(&process, &progress, &event);
        let Step::Applied { after, .. } = step else { panic!("{}: {step:?}", event.name()) };
        progress = after;
    }
    assert_eq!(progress.state, ProcessState::Settled);
    order.lines.remove(0);
    let mut services = process.beginning(&order, ProcessState::Released).unwrap();
    let mut states = Vec::new();
    let mut bill = invoice("I-1", [0, 4], 400);
    if let Event::InvoicePosted(invoice) = &mut bill {
        invoice.lines.remove(0);
        invoice.lines[0].sku = Some("6130".to_owned());
    }
    for event in [
        Event::OrderAccepted(OrderAnswer { lines: vec![], ..answer(LineStatus::Accepted) }),
        bill,
        paid("P-1", None, 400),
    ] {
        let step = apply(&process, &services, &event);
        let Step::Applied { after, .. } = step else { panic!("{}: {step:?}", event.name()) };
        states.push(after.state);
        services = after;
    }
    assert_eq!(states, [ProcessState::Accepted, ProcessState::Invoiced, ProcessState::Settled]);
}

#[test]
fn an_order_with_two_lines_of_one_number_is_not_followed() {
    let mut order = order();
    order.lines[1].number = "1".to_owned();
    assert_eq!(Process::standard().unwrap().beginning(&order, ProcessState::Released).unwrap_err().code, "lines-alike");
}

#[test]
fn events_about_one_order_are_remembered_up_to_a_bound() {
    let mut progress = after(&[accepted()]).0;
    let process = Process::standard().unwrap();
    for number in 0.. {
        match apply(&process, &progress, &paid(&format!("P-{number}"), None, 1)) {
            Step::Applied { after, .. } => progress = after,
            step => {
                assert_eq!((code(&step), progress.said.len()), ("too-many-events", SAID_MAX));
                return;
            }
        }
    }
}

#[test]
fn everything_that_is_wrong_with_a_process_is_said_at_once() {
    let text = "unshiped = []\n[[transition]]\nevent = \"shipment.teleported\"\nfrom = [\"sent\"]\nto = []\n\
                [[transition]]\nfrom = [\"received\"]\nto = [\"validated\"]\n\
                [[transition]]\nevent = \"order.accepted\"\nhost = \"hold\"\nfrom = [\"received\"]\nto = []\n";
    let told = Process::load(&SourceFile { name: "process.toml", text }).unwrap_err().to_string();
    for expected in
        ["`unshiped`", "`shipment.teleported`", "`sent`", "missing, and so is `host`", "there beside `event`"]
    {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    let twice = STANDARD.replace(
        "to = [\"cancelled\"]\n",
        "to = []\n[[transition]]\nhost = \"hold\"\nfrom = [\"validated\"]\nto = []\n",
    );
    let told = Process::load(&SourceFile { name: "process.toml", text: &twice }).unwrap_err().to_string();
    assert!(told.contains("a state that another transition of `hold` has"), "{told}");
    let text = "[[transition]]\nevent = \"order.accepted\"\nfrom = [\"released\"]\nto = [\"accepted\"]\n";
    let told = Process::load(&SourceFile { name: "process.toml", text }).unwrap_err().to_string();
    assert!(told.contains("without a way from `received` to released"), "{told}");
}

#[test]
fn the_standard_process_draws_every_state_that_it_has() {
    let process = Process::standard().unwrap();
    let reached = process.after(ProcessState::Received);
    let (mermaid, graphviz) = (process.mermaid(), process.graphviz());
    for state in reached {
        assert!(mermaid.contains(&format!("--> {}", state.as_str().replace('-', "_"))), "{state}");
        assert!(graphviz.contains(&format!("-> \"{state}\"")), "{state}");
    }
    assert!(mermaid.starts_with("stateDiagram-v2\n") && graphviz.starts_with("digraph process {\n"));
}

/// Everything that systems say of an order that ships in two parts, is paid, and of which
/// something comes back, in the order in which it happens.
fn history() -> Vec<Event> {
    let picked = |number, counts| Event::ShipmentPicked(shipment(number, counts, ShortReason::None));
    let packed = |number, counts| Event::ShipmentPacked(shipment(number, counts, ShortReason::None));
    vec![
        accepted(),
        allocated(10, 4),
        picked("S-1", [6, 4]),
        packed("S-1", [6, 4]),
        confirmed("S-1", [6, 4]),
        invoice("I-1", [6, 4], 1_000),
        picked("S-2", [3, 0]),
        packed("S-2", [3, 0]),
        Event::ShipmentConfirmed(shipment("S-2", [3, 0], ShortReason::NoBackorder)),
        invoice("I-2", [3, 0], 300),
        paid("P-1", Some("I-1"), 1_000),
        paid("P-2", Some("I-2"), 300),
        Event::ReturnRequested(goods("R-1", [2, 0])),
        Event::ReturnReceived(goods("R-1", [2, 0])),
        refund("F-1", RefundCause::GoodsReturn, Some("R-1"), 200),
    ]
}

/// Other histories, each in the order in which it happens, and where it ends.
fn histories() -> Vec<(Vec<Event>, ProcessState)> {
    let start = || vec![accepted(), confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400)];
    let with = |more: Vec<Event>| [start(), more].concat();
    let closes = Event::ShipmentConfirmed(shipment("S-2", [0, 0], ShortReason::NoBackorder));
    let part = confirmed("S-1", [6, 4]);
    let [requested, received] = [Event::ReturnRequested, Event::ReturnReceived]
        .map(|event: fn(GoodsReturn) -> Event| ["R-1", "R-2"].map(|number| event(goods(number, [1, 0]))));
    let for_goods = |number: &str, of| refund(number, RefundCause::GoodsReturn, Some(of), 100);
    let returns = [vec![paid("P-1", Some("I-1"), 1_400)], requested.to_vec(), received.to_vec()].concat();
    let reissued =
        vec![memo("M-1", "I-1", [10, 4], -1_400), invoice("I-2", [10, 4], 1_300), paid("P-1", Some("I-2"), 1_300)];
    let charged_back = vec![paid("P-1", None, 1_400), paid("P-2", None, -1_400), paid("P-3", None, 1_400)];
    vec![
        (
            vec![accepted(), part, closes, invoice("I-1", [6, 4], 1_000), paid("P-1", None, 1_000)],
            ProcessState::Settled,
        ),
        (with(reissued), ProcessState::Settled),
        (with([returns, vec![for_goods("F-1", "R-1"), for_goods("F-2", "R-2")]].concat()), ProcessState::Credited),
        (with(charged_back), ProcessState::Settled),
        (with(vec![cancel("too late"), paid("P-1", None, 1_400)]), ProcessState::Settled),
    ]
}

/// Prepaid orders of which the host owes something back in the end, and how much.
fn refundable() -> Vec<(Vec<Event>, i64)> {
    let prepaid = || vec![accepted(), paid("P-1", None, 1_000), paid("P-2", None, 400)];
    let short = Event::ShipmentConfirmed(shipment("S-1", [10, 3], ShortReason::NoBackorder));
    let all = vec![confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400)];
    let returned = vec![Event::ReturnRequested(goods("R-1", [1, 0])), Event::ReturnReceived(goods("R-1", [1, 0]))];
    let credited = vec![memo("M-1", "I-1", [1, 0], -100)];
    vec![
        ([prepaid(), vec![cancel("no"), Event::OrderRejected(answer(LineStatus::Rejected))]].concat(), 1_400),
        ([prepaid(), vec![short, invoice("I-1", [10, 3], 1_300)]].concat(), 100),
        ([prepaid(), all, returned, credited].concat(), 100),
    ]
}

/// Counts one event after the other, and what the host decides on after each of them, which is
/// heard so many events later; the refunds, and the most that was ever refunded above what was paid.
fn refunded_in(events: &[Event], later: usize) -> (Vec<i64>, i64) {
    let process = Process::standard().unwrap();
    let (mut progress, mut early, mut refunds) = (at(ProcessState::Released), Vec::<Event>::new(), Vec::new());
    let mut said: Vec<Event> = events.iter().rev().cloned().collect();
    let mut above = i64::MIN;
    while let Some(event) = said.pop() {
        match apply(&process, &progress, &event) {
            Step::Applied { after, .. } => {
                progress = after;
                said.append(&mut early);
            }
            Step::Early { .. } => early.push(event),
            Step::Again | Step::Impossible(_) => {}
        }
        // What waits may say that more is owed.
        if let Some(owed) = progress.owed_back().filter(|_| early.is_empty()) {
            let heard = refund(&owed.number, owed.cause, owed.return_number.as_deref(), owed.amount_minor);
            refunds.push(owed.amount_minor);
            progress.refunds(owed);
            said.insert(said.len().saturating_sub(later), heard);
        }
        let money = &progress.money;
        above = above.max(money.refunded_minor - money.paid_minor);
    }
    (refunds, above)
}

/// Counts one event after the other; what is early is looked at again after each that counts.
fn told_in(events: &[Event]) -> (Progress, usize) {
    let process = Process::standard().unwrap();
    let mut progress = at(ProcessState::Released);
    let mut early: Vec<Event> = Vec::new();
    for event in events {
        let mut next = vec![event.clone()];
        while let Some(event) = next.pop() {
            match apply(&process, &progress, &event) {
                Step::Applied { after, concerns } => {
                    let unforeseen = concerns.iter().find(|concern| concern.code == "no-transition");
                    assert_eq!(unforeseen, None);
                    progress = after;
                    next.append(&mut early);
                }
                Step::Early { .. } => early.push(event),
                Step::Again => {}
                Step::Impossible(concern) => panic!("`{}`: {concern:?}", event.name()),
            }
        }
    }
    (progress, early.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn however_systems_speak_out_of_turn_and_twice_the_order_ends_in_the_same_place(
        order in Just((0..15_usize).collect::<Vec<_>>()).prop_shuffle(),
        again in proptest::collection::vec(0..15_usize, 0..10),
    ) {
        let history = history();
        let said: Vec<Event> = order.iter().chain(&again).map(|index| history[*index].clone()).collect();
        let (there, early) = told_in(&history);
        prop_assert_eq!((there.state, early), (ProcessState::Credited, 0));
        let (found, early) = told_in(&said);
        prop_assert_eq!(early, 0);
        prop_assert_eq!(found, there);
    }

    #[test]
    fn whatever_comes_when_the_host_refunds_what_it_owes_and_never_above_what_was_paid(
        which in 0..3_usize,
        keys in proptest::collection::vec(any::<u32>(), 12),
        again in proptest::collection::vec(0..12_usize, 0..6),
        later in 0..4_usize,
    ) {
        let (history, owed) = refundable().remove(which);
        let repeated = again.iter().filter_map(|index| history.get(*index).cloned());
        let mut said: Vec<(u32, Event)> =
            keys.iter().cycle().copied().zip(history.iter().cloned().chain(repeated)).collect();
        said.sort_by_key(|(key, _)| *key);
        let said: Vec<Event> = said.into_iter().map(|(_, event)| event).collect();
        let (refunds, above) = refunded_in(&said, later);
        prop_assert_eq!(refunds.iter().sum::<i64>(), owed, "{:?}", refunds);
        prop_assert!(above <= 0);
    }

    #[test]
    fn credit_memos_returns_chargebacks_and_closed_orders_are_heard_in_any_order(
        which in 0..4_usize,
        keys in proptest::collection::vec(any::<u32>(), 12),
    ) {
        let (history, ends) = histories().remove(which);
        let mut said: Vec<(u32, Event)> = keys.into_iter().zip(history.clone()).collect();
        prop_assert_eq!(said.len(), history.len());
        said.sort_by_key(|(key, _)| *key);
        let said: Vec<Event> = said.into_iter().map(|(_, event)| event).collect();
        let (there, _) = told_in(&history);
        prop_assert_eq!(there.state, ends);
        let (found, early) = told_in(&said);
        prop_assert_eq!(early, 0);
        prop_assert_eq!(found, there);
    }

    #[test]
    fn whatever_is_said_no_line_ships_bills_or_returns_more_than_there_is(
        said in proptest::collection::vec((0..7_u8, 0..4_u8, -1..12_i64, -1..6_i64), 0..40),
    ) {
        let process = Process::standard().unwrap();
        let mut progress = at(ProcessState::Released);
        let mut seen = BTreeSet::new();
        for (what, number, one, two) in said {
            let (number, counts) = (format!("N-{number}"), [one, two]);
            let short = if one % 3 == 0 { ShortReason::NoBackorder } else { ShortReason::None };
            let event = match what {
                0 => accepted(),
                1 => allocated(one, two),
                2 => Event::ShipmentPicked(shipment(&number, counts, short)),
                3 => Event::ShipmentConfirmed(shipment(&number, counts, short)),
                4 => invoice(&number, counts, (one + two) * 100),
                5 => Event::ReturnReceived(goods(&number, counts)),
                _ => paid(&number, None, one * 100),
            };
            let Step::Applied { after, .. } = apply(&process, &progress, &event) else { continue };
            for (number, line) in &after.lines {
                let cannot_be = line.shipped + line.cancelled() > line.ordered
                    || line.invoiced > line.shipped
                    || line.returned > line.shipped
                    || line.allocated > line.ordered || line.invoiced < 0
                    || line.picked > line.ordered;
                prop_assert!(!cannot_be, "line {number} after `{}`: {line:?}", event.name());
            }
            prop_assert_eq!(apply(&process, &after, &event), Step::Again);
            seen.insert(after.state);
            progress = after;
        }
    }
}
