//! Canonical events as X12 sets: each as its golden file has it, read back by the reader that
//! reads partners' files, and refused with its place where X12 has no room for it.
//!
//! A deliberate change is written to the golden files by
//! `PORTREEVE_UPDATE_GOLDEN=1 cargo test -p portreeve-tests`, and shows in review.

use portreeve_guest_x12::read;
use portreeve_model::event::{
    CancelRequest, Event, Invoice, InvoiceLine, LineAnswer, LineStatus, Order, OrderAnswer, OrderChange, OrderLine,
    OrderTotals, Shipment, ShipmentLine, ShortReason,
};
use portreeve_model::value::{Address, Customer};
use portreeve_model::{Currency, Date, Failure, Instant, Money, Problem, Quantity, UnitPrice};
use proptest::prelude::*;

use crate::at_the_plugin::{Plugins, Settings, order_id};
use crate::drawn::{held, tried};
use crate::support::{Setup, tree};

/// Set to `1` to write the golden files instead of comparing with them.
const UPDATE: &str = "PORTREEVE_UPDATE_GOLDEN";

/// Orders that are drawn: each is a call of a plugin, twice.
const CASES: u32 = 150;

async fn plugins() -> Plugins {
    Plugins::of(Setup::demo().blindfolded("x12-out").blindfolded("x12-warehouse")).await
}

async fn rendered(plugins: &Plugins, kind: &str, event: Event) -> Result<String, Vec<Problem>> {
    told(plugins, kind, event, &[("order-date", "2026-03-02")]).await
}

/// The same with what the host tells of the order.
async fn told(plugins: &Plugins, kind: &str, event: Event, told: Settings<'_>) -> Result<String, Vec<Problem>> {
    match plugins.rendered("x12-out", kind, event, told).await {
        Ok(message) => {
            assert_eq!((message.kind.as_str(), message.content_type.as_str()), (kind, "application/edi-x12"));
            Ok(String::from_utf8(message.body).unwrap())
        }
        Err(Failure::Invalid(problems)) => Err(problems),
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Code and path of each problem.
async fn refused(plugins: &Plugins, kind: &str, event: Event) -> Vec<(String, String)> {
    let problems = rendered(plugins, kind, event).await.unwrap_err();
    problems.into_iter().map(|problem| (problem.code, problem.position.path)).collect()
}

fn one(code: &str, path: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), path.to_owned())]
}

/// The rows of a set as a partner's reader finds them, its counts and numbers checked.
fn rows(set: &str) -> Vec<Vec<String>> {
    let (group, code) = ("GS*XX*PORTREEVE*PARTNER*20260302*0800*7*X*004010~\n", set.get(3..6).unwrap());
    let input = format!(
        "ISA*00*          *00*          *ZZ*PORTREEVE      *ZZ*PARTNER        *260302*0800*U*00401*000000007*0*P*>~\n\
         {group}{set}GE*1*7~\nIEA*1*000000007~\n"
    );
    let reading = read(input.as_bytes());
    assert!(reading.faults.is_empty() && reading.unread.is_empty(), "{set}");
    let [interchange] = &reading.interchanges[..] else { panic!("{set}") };
    assert!(interchange.faults.is_empty() && interchange.groups[0].faults.is_empty(), "{set}");
    let [found] = &interchange.groups[0].sets[..] else { panic!("{set}") };
    assert!(found.faults.is_empty(), "{:?}\n{set}", found.faults);
    assert_eq!(found.kind(), code);
    let row = |segment: &portreeve_guest_x12::read::Segment| {
        std::iter::once(segment.tag.clone()).chain(segment.elements.iter().cloned()).collect()
    };
    found.segments.iter().map(row).collect()
}

/// Element `number` of the segments with this tag.
fn elements<'a>(rows: &'a [Vec<String>], tag: &str, number: usize) -> Vec<&'a str> {
    let with_tag = rows.iter().filter(|row| row[0] == tag);
    with_tag.map(|row| row.get(number).map_or("", String::as_str)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_set_is_as_its_golden_file_has_it() {
    let plugins = plugins().await;
    let cases = [
        ("x12-940-order", "x12/940", Event::OrderCreated(an_order())),
        ("x12-940-cancel", "x12/940", Event::OrderCancelRequested(a_cancellation())),
        ("x12-855-accepted", "x12/855", Event::OrderAccepted(an_answer())),
        ("x12-855-rejected", "x12/855", Event::OrderRejected(a_rejection())),
        ("x12-856", "x12/856", Event::ShipmentConfirmed(a_shipment())),
        ("x12-810", "x12/810", Event::InvoicePosted(an_invoice())),
    ];
    for (name, kind, event) in cases {
        let set = rendered(&plugins, kind, event).await.unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        rows(&set);
        let path = tree().root().join(format!("tests/golden/{name}.edi"));
        if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
            std::fs::write(&path, &set).unwrap();
        }
        assert_eq!(set, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_answered_line_by_line_as_people_decided() {
    let plugins = plugins().await;
    let answered = async |kind: &str, revision: &str| {
        let change = OrderChange { order: an_order(), revision: text(revision) };
        let told = [("order-date", "2026-03-02"), ("order-number", "PO-4711")];
        let message = plugins.rendered("x12-out", kind, Event::OrderChanged(change), &told).await.unwrap();
        assert_eq!(message.kind, "x12/865", "whatever was decided, it is sent as one set");
        rows(&String::from_utf8(message.body).unwrap())
    };
    for (kind, answer, status) in [("x12/865-accepted", "AD", "IA"), ("x12/865-refused", "RD", "IR")] {
        let rows = answered(kind, "2").await;
        let header = [1, 2, 3, 4, 5, 6].map(|number| elements(&rows, "BCA", number)[0]);
        assert_eq!(header, ["00", answer, "PO-4711", "", "2", "20260302"]);
        assert_eq!(elements(&rows, "REF", 2), ["PORTREEVE-ORDER"]);
        let lines = an_order().lines;
        assert_eq!(elements(&rows, "ACK", 1), vec![status; lines.len()]);
        assert_eq!(elements(&rows, "POC", 2), vec!["RZ"; lines.len()]);
        assert_eq!(
            [1, 3, 5, 6, 9, 10, 11].map(|at| elements(&rows, "POC", at)[0]),
            ["10", "5", "EA", "12.5", "PUMP-40", "BP", "B-77"]
        );
        assert_eq!(elements(&rows, "ACK", 2), elements(&rows, "POC", 3));
        assert_eq!(elements(&rows, "CTT", 1), [lines.len().to_string()]);
    }
    // A time of change is no sequence number.
    assert_eq!(elements(&answered("x12/865-refused", "20260302").await, "BCA", 5), [""]);
    for kind in ["x12/865-accepted", "x12/865-refused"] {
        let failure = plugins.rendered("x12-out", kind, Event::OrderCreated(an_order()), &[]).await;
        assert!(matches!(failure, Err(Failure::Permanent(_))), "{kind}: {failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_held_is_acknowledged_as_held_and_its_lines_are_not_answered() {
    let plugins = plugins().await;
    let mut order = an_order();
    order.placed_at = Some(Instant(1_772_438_400_000));
    let message = plugins.rendered("x12-out", "x12/855-held", Event::OrderCreated(order), &[]).await.unwrap();
    assert_eq!(message.kind, "x12/855", "it is sent as any 855");
    let rows = rows(&String::from_utf8(message.body).unwrap());
    let header = [1, 2, 4].map(|number| elements(&rows, "BAK", number)[0]);
    assert_eq!(header, ["00", "AH", "20260302"]);
    assert_eq!(
        (elements(&rows, "BAK", 3)[0], elements(&rows, "REF", 2)),
        (&*an_order().number, vec!["PORTREEVE-ORDER"])
    );
    let tags: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert!(!tags.contains(&"PO1") && !tags.contains(&"ACK") && !tags.contains(&"CTT"), "{tags:?}");
    // What the host tells of the order goes before what the event says.
    let told = [("order-number", "PO-4711"), ("order-date", "2026-03-01")];
    let message = plugins.rendered("x12-out", "x12/855-held", Event::OrderCreated(an_order()), &told).await.unwrap();
    let rows = self::rows(&String::from_utf8(message.body).unwrap());
    assert_eq!([3, 4].map(|number| elements(&rows, "BAK", number)[0]), ["PO-4711", "20260301"]);
    let failure = plugins.rendered("x12-out", "x12/855-held", Event::OrderAccepted(an_answer()), &[]).await;
    assert!(matches!(failure, Err(Failure::Permanent(_))), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_made_of_its_own_events_only() {
    let plugins = plugins().await;
    for kind in ["x12/855", "x12/856", "x12/810"] {
        let failure = plugins.rendered("x12-out", kind, Event::OrderCreated(an_order()), &[]).await;
        assert!(matches!(failure, Err(Failure::Permanent(_))), "{kind}: {failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_x12_has_no_room_for_is_refused_with_its_place() {
    let plugins = plugins().await;
    let changed = |change: &dyn Fn(&mut Order)| {
        let mut order = an_order();
        change(&mut order);
        Event::OrderCreated(order)
    };
    let place = |change: &dyn Fn(&mut Address)| changed(&|order| change(order.ship_to.as_mut().unwrap()));
    let cases = [
        (changed(&|order| order.number = "N".repeat(23)), "length", "number"),
        (changed(&|order| order.number = "PO*1".into()), "delimiter-in-text", "number"),
        (changed(&|order| order.ship_to = None), "ship-to-missing", "ship-to"),
        (changed(&|order| order.lines[1].sku = "S".repeat(49)), "length", "lines[1].sku"),
        (changed(&|order| order.lines[0].sku = "A~IEA".into()), "delimiter-in-text", "lines[0].sku"),
        (changed(&|order| order.lines[0].quantity.unit = "MTR".into()), "length", "lines[0].quantity.unit"),
        (changed(&|order| order.lines[0].quantity.value = -1), "quantity", "lines[0].quantity"),
        (changed(&|order| order.lines[0].number = "1".repeat(31)), "length", "lines[0].number"),
        (changed(&|order| order.notes = vec!["a > b".into()]), "delimiter-in-text", "notes[0]"),
        (changed(&|order| order.notes = vec!["x".repeat(80 * 51)]), "too-many-notes", "notes"),
        (place(&|place| place.name = Some("A\nB".into())), "delimiter-in-text", "ship-to.name"),
        (place(&|place| place.lines = vec!["x".into(); 5]), "too-many-street-lines", "ship-to.lines"),
        (place(&|place| place.lines[1] = "x".repeat(56)), "length", "ship-to.lines[1]"),
        (place(&|place| place.postal_code = Some("1".into())), "length", "ship-to.postal-code"),
        (place(&|place| (place.name, place.id) = (None, None)), "name-missing", "ship-to"),
    ];
    for (event, code, path) in cases {
        let found = refused(&plugins, "x12/940", event).await;
        assert!(found.contains(&(code.to_owned(), path.to_owned())), "{path}: {found:?}");
        let distinct: std::collections::BTreeSet<_> = found.into_iter().collect();
        assert_eq!(distinct.len(), 1, "{distinct:?}");
    }
    let large = changed(&|order| order.lines[0].quantity.value = 1_234_567_890);
    let found = refused(&plugins, "x12/940", large).await;
    assert_eq!(found, [one("quantity", "lines[0].quantity"), one("length", "lines")].concat(), "and W76 with it");
    // Everything that is wrong is told at once.
    let both = changed(&|order| {
        order.number = "PO*1".into();
        order.lines[0].sku = String::new();
    });
    assert_eq!(refused(&plugins, "x12/940", both).await.len(), 3, "W0502, W0503 and the item");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_address_or_a_note_is_cut() {
    let plugins = plugins().await;
    let mut order = an_order();
    order.notes = vec![format!("{}{}", "a".repeat(80), "b".repeat(5)), "one\ntwo\r\n\n".into()];
    let place = order.ship_to.as_mut().unwrap();
    place.lines = vec!["1".into(), " ".into(), "2".into(), "3".into()];
    place.region = Some("Bayern".into());
    let rows = rows(&rendered(&plugins, "x12/940", Event::OrderCreated(order)).await.unwrap());
    assert_eq!(elements(&rows, "NTE", 2), ["a".repeat(80).as_str(), "bbbbb", "one", "two"]);
    assert_eq!((elements(&rows, "N3", 1), elements(&rows, "N3", 2)), (vec!["1", "3"], vec!["2", ""]));
    let city = rows.iter().find(|row| row[0] == "N4").unwrap();
    assert_eq!(city[1..], ["Portland", "", "04101", "US", "SP", "Bayern"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_says_which_number_the_customer_knows_an_order_by() {
    let plugins = plugins().await;
    let ours = order_id().to_string();
    let unnamed = |event: Event| match event {
        Event::OrderAccepted(mut answer) => {
            answer.order_number = ours.clone();
            Event::OrderAccepted(answer)
        }
        Event::ShipmentConfirmed(mut shipment) => {
            shipment.order_number = ours.replace('-', "");
            Event::ShipmentConfirmed(shipment)
        }
        Event::InvoicePosted(mut invoice) => {
            invoice.order_number = Some(ours.clone());
            Event::InvoicePosted(invoice)
        }
        Event::OrderCancelRequested(mut cancel) => {
            cancel.order_number = ours.clone();
            Event::OrderCancelRequested(cancel)
        }
        other => other,
    };
    let cases = [
        ("x12/855", Event::OrderAccepted(an_answer())),
        ("x12/856", Event::ShipmentConfirmed(a_shipment())),
        ("x12/810", Event::InvoicePosted(an_invoice())),
        ("x12/940", Event::OrderCancelRequested(a_cancellation())),
    ];
    for (kind, event) in cases {
        let found = refused(&plugins, kind, unnamed(event)).await;
        assert!(found.contains(&("order-number-missing".to_owned(), "order-number".to_owned())), "{kind}: {found:?}");
    }
    let mut shipment = a_shipment();
    shipment.order_number = ours.clone();
    let number = [("order-number", "PO-77")];
    let rows = rows(&told(&plugins, "x12/856", Event::ShipmentConfirmed(shipment), &number).await.unwrap());
    assert_eq!(elements(&rows, "PRF", 1), ["PO-77"]);
    assert!(rows.contains(&vec!["REF".to_owned(), "ZZ".to_owned(), "PORTREEVE-ORDER".to_owned(), ours]));
    let undated = told(&plugins, "x12/855", Event::OrderAccepted(an_answer()), &[]).await.unwrap_err();
    let found: Vec<_> = undated.into_iter().map(|problem| (problem.code, problem.position.path)).collect();
    assert_eq!(found, one("order-date-missing", "settings"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_answered_with_the_code_of_its_status() {
    let plugins = plugins().await;
    let statuses = [
        (LineStatus::Accepted, "IA", "AD"),
        (LineStatus::Backordered, "IB", "AC"),
        (LineStatus::QuantityChanged, "IQ", "AC"),
        (LineStatus::PriceChanged, "IP", "AC"),
        (LineStatus::DateChanged, "DR", "AC"),
        (LineStatus::Substituted, "IS", "AC"),
        (LineStatus::Rejected, "IR", "AC"),
    ];
    for (status, code, kind) in statuses {
        let mut answer = an_answer();
        answer.lines.truncate(1);
        answer.lines[0].status = status;
        let rows = rows(&rendered(&plugins, "x12/855", Event::OrderAccepted(answer)).await.unwrap());
        assert_eq!((elements(&rows, "ACK", 1), elements(&rows, "BAK", 2)), (vec![code], vec![kind]));
    }
    let mut whole = an_answer();
    whole.lines.clear();
    let accepted = rows(&rendered(&plugins, "x12/855", Event::OrderAccepted(whole.clone())).await.unwrap());
    let rejected = rows(&rendered(&plugins, "x12/855", Event::OrderRejected(whole)).await.unwrap());
    assert_eq!((elements(&accepted, "BAK", 2), elements(&rejected, "BAK", 2)), (vec!["AK"], vec!["RJ"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_does_not_add_up_is_not_sent() {
    let plugins = plugins().await;
    let changed = |change: &dyn Fn(&mut Invoice)| {
        let mut invoice = an_invoice();
        change(&mut invoice);
        Event::InvoicePosted(invoice)
    };
    let cases = [
        (changed(&|invoice| invoice.total = usd(40_35)), "sum-mismatch", "total"),
        (changed(&|invoice| invoice.tax = None), "sum-mismatch", "total"),
        (changed(&|invoice| invoice.posted_on = None), "posted-on-missing", "posted-on"),
        (changed(&|invoice| invoice.corrects = Some("INV-0".into())), "correction", "corrects"),
        (changed(&|invoice| invoice.lines[0].unit_price.per_quantity = 7), "price-per-quantity", "lines[0].unit-price"),
        (
            changed(&|invoice| invoice.lines[0].extended.currency = currency("EUR")),
            "currency-differs",
            "lines[0].extended",
        ),
    ];
    for (event, code, path) in cases {
        let found = refused(&plugins, "x12/810", event).await;
        assert!(found.contains(&(code.to_owned(), path.to_owned())), "{code}: {found:?}");
    }
    let moved = changed(&|invoice| {
        invoice.lines[0].extended.minor += 100;
        invoice.total.minor += 100;
    });
    assert_eq!(refused(&plugins, "x12/810", moved).await, one("line-amount-mismatch", "lines[0].extended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_memo_is_written_as_it_was_agreed_with_its_customer_and_otherwise_not_at_all() {
    let plugins = plugins().await;
    let mut memo = Invoice { invoice_number: "CM-1".into(), corrects: text("INV-1"), ..an_invoice() };
    (memo.total, memo.tax) = (usd(-42_70), memo.tax.map(|tax| usd(-tax.minor)));
    memo.lines.iter_mut().for_each(|line| line.extended.minor = -line.extended.minor);
    // One system writes the quantity below nothing, another one the price, a third neither.
    memo.lines[0].quantity.value = -memo.lines[0].quantity.value;
    memo.lines[1].unit_price.amount = -memo.lines[1].unit_price.amount;
    // What is kept for the work with it is no part of what goes back.
    let work =
        InvoiceLine { line_number: "30".into(), sku: text("RESTOCK"), extended: usd(5_00), ..memo.lines[0].clone() };
    let price = UnitPrice { amount: 500, scale: 2, currency: currency("USD"), per_quantity: 1 };
    memo.lines.push(InvoiceLine { quantity: pieces(1), unit_price: price, ..work });
    memo.total = usd(-37_70);
    let event = || Event::InvoicePosted(memo.clone());
    let below = [("order-date", "2026-03-02"), ("credit-memo", "CR"), ("credit-memo-amounts", "below-zero")];
    let above = [("order-date", "2026-03-02"), ("credit-memo", "CN"), ("credit-memo-amounts", "above-zero")];
    for (agreed, code, quantities, total, tax) in
        [(below, "CR", ["-3", "-200", "1"], "-3770", "-2.84"), (above, "CN", ["3", "200", "-1"], "3770", "2.84")]
    {
        let rows = rows(&told(&plugins, "x12/810", event(), &agreed).await.unwrap());
        assert_eq!((elements(&rows, "BIG", 7), elements(&rows, "IT1", 2)), (vec![code], quantities.to_vec()));
        assert_eq!((elements(&rows, "TDS", 1), elements(&rows, "TXI", 2)), (vec![total], vec![tax]));
        assert_eq!(elements(&rows, "IT1", 4), ["12.5", "1.179", "5"]);
        assert_eq!(elements(&rows, "REF", 1).iter().zip(elements(&rows, "REF", 2)).next(), Some((&"OI", "INV-1")));
        assert!(elements(&rows, "ITD", 1).is_empty(), "nobody owes it");
    }
    // One customer has agreed on it otherwise.
    let of_one = [("credit-memo@ZZ:ACME", "CN"), ("credit-memo-amounts@ZZ:ACME", "above-zero")];
    for (partner, code) in [("ZZ:ACME:AC", "CN"), ("ZZ:OTHER:OT", "CR")] {
        let agreed = [below.as_slice(), &of_one, &[("order-partner", partner)]].concat();
        let rows = rows(&told(&plugins, "x12/810", event(), &agreed).await.unwrap());
        assert_eq!(elements(&rows, "BIG", 7), [code]);
    }
    for missing in [&below[..1], &below[..2], &[below[0], below[1], ("credit-memo-amounts", "negative")]] {
        let found = told(&plugins, "x12/810", event(), missing).await.unwrap_err();
        let found: Vec<_> = found.iter().map(|problem| problem.code.as_str()).collect();
        // A quantity below nothing is none of an invoice.
        assert_eq!(found, ["credit-memo", "quantity"], "nothing is guessed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_has_two_implied_places_whatever_the_currency() {
    let plugins = plugins().await;
    let in_currency = |code: &str, amount: i64, scale: u8, minor: i64| {
        let mut invoice = an_invoice();
        invoice.lines.truncate(1);
        let line = &mut invoice.lines[0];
        line.quantity.value = 1;
        line.unit_price = UnitPrice { amount, scale, currency: currency(code), per_quantity: 1 };
        line.extended = Money { minor, currency: currency(code) };
        (invoice.tax, invoice.total) = (None, line.extended);
        Event::InvoicePosted(invoice)
    };
    for (code, amount, scale, minor, written) in [("JPY", 1_500, 0, 1_500, "150000"), ("USD", 1_550, 2, 1_550, "1550")]
    {
        let rows = rows(&rendered(&plugins, "x12/810", in_currency(code, amount, scale, minor)).await.unwrap());
        assert_eq!((elements(&rows, "TDS", 1), elements(&rows, "CUR", 2)), (vec![written], vec![code]));
    }
    let found = refused(&plugins, "x12/810", in_currency("KWD", 1_555, 3, 1_555)).await;
    assert_eq!(found, one("currency-places", "total"));
}

#[tokio::test(flavor = "multi_thread")]
async fn single_lines_are_not_cancelled_by_a_940() {
    let plugins = plugins().await;
    let mut cancel = a_cancellation();
    cancel.line_numbers = vec!["2".into()];
    let found = refused(&plugins, "x12/940", Event::OrderCancelRequested(cancel)).await;
    assert_eq!(found, one("partial-cancellation", "line-numbers"));
}

/// A text that X12 can hold: it begins and ends with a letter, since blanks around it are nobody's.
fn held_text(chars_max: usize) -> impl Strategy<Value = String> {
    let inner = chars_max.saturating_sub(2);
    proptest::string::string_regex(&format!("[A-Z][A-Za-z0-9 .,:|^'&/ü-]{{0,{inner}}}[A-Z]")).unwrap()
}

/// Any text, delimiters and line breaks among it.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![30 => held_text(20), 1 => "[A-Z*~>\n]{1,12}", 1 => held_text(60)]
}

fn an_order_of_any_text() -> impl Strategy<Value = Order> {
    let line = (any_text(), any_text(), 0_i64..1_020_000_000, 0_u8..4, prop::option::of(any_text()));
    let address = (any_text(), prop::collection::vec(any_text(), 0..5), prop::option::of(any_text()));
    (any_text(), address, prop::collection::vec(line, 1..6), prop::collection::vec(any_text(), 0..3)).prop_map(
        |(number, (name, streets, region), lines, notes)| {
            let mut order = an_order();
            order.number = number;
            let place = order.ship_to.as_mut().unwrap();
            (place.name, place.lines, place.region) = (Some(name), streets, region);
            let pattern = order.lines.remove(0);
            order.lines = (lines.into_iter())
                .map(|(number, sku, value, scale, description)| OrderLine {
                    number,
                    sku,
                    description,
                    buyer_sku: None,
                    quantity: Quantity { value, scale, unit: "EA".into() },
                    ..pattern.clone()
                })
                .collect();
            order.notes = notes;
            order
        },
    )
}

/// An order is rendered as it is, or not at all: what the warehouse reads is what was meant.
#[test]
fn whatever_an_order_says_it_is_read_as_it_is_or_not_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let plugins = runtime.block_on(plugins());
    let (mut sent, mut kept) = (0_u32, 0_u32);
    let counts = std::cell::RefCell::new((&mut sent, &mut kept));
    held(tried("X12 out, orders", CASES, &an_order_of_any_text(), |order| {
        let outcome = runtime.block_on(rendered(&plugins, "x12/940", Event::OrderCreated(order.clone())));
        let mut counts = counts.borrow_mut();
        let Ok(set) = outcome else {
            *counts.1 += 1;
            return Ok(());
        };
        *counts.0 += 1;
        let rows = rows(&set);
        prop_assert_eq!(elements(&rows, "W05", 2), [order.number.as_str()]);
        prop_assert_eq!(elements(&rows, "W05", 3), [order.number.as_str()]);
        prop_assert_eq!(elements(&rows, "N1", 2), [order.ship_to.as_ref().unwrap().name.as_deref().unwrap().trim()]);
        let streets: Vec<&str> =
            rows.iter().filter(|row| row[0] == "N3").flat_map(|row| &row[1..]).map(String::as_str).collect();
        // A line of an address that is blank is none.
        let lines = order.ship_to.as_ref().unwrap().lines.iter().map(|line| line.trim());
        prop_assert_eq!(streets, lines.filter(|line| !line.is_empty()).collect::<Vec<_>>());
        let skus: Vec<&str> = order.lines.iter().map(|line| line.sku.as_str()).collect();
        prop_assert_eq!(elements(&rows, "W01", 5), skus);
        let numbers: Vec<&str> = order.lines.iter().map(|line| line.number.as_str()).collect();
        let written: Vec<&str> =
            rows.iter().filter(|row| row[0] == "N9" && row[1] == "LI").map(|row| row[2].as_str()).collect();
        prop_assert_eq!(written, numbers);
        let quantities: Vec<String> = order.lines.iter().map(|line| plain(&line.quantity)).collect();
        prop_assert_eq!(elements(&rows, "W01", 1), quantities);
        Ok(())
    }));
    assert!(sent > CASES / 10 && kept > CASES / 10, "{sent} sent, {kept} refused");
}

/// The number of a quantity, without zeros behind the point.
fn plain(quantity: &Quantity) -> String {
    let text = quantity.to_string().replace(" EA", "");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

// --- events ---

fn an_order() -> Order {
    let line = |number: &str, sku: &str, value, scale, unit: &str| OrderLine {
        number: number.into(),
        sku: sku.into(),
        buyer_sku: None,
        description: None,
        quantity: Quantity { value, scale, unit: unit.into() },
        unit_price: UnitPrice { amount: 1_250, scale: 2, currency: currency("USD"), per_quantity: 1 },
        extended: None,
        requested_delivery: None,
        extensions: vec![],
    };
    let mut first = line("10", "PUMP-40", 5, 0, "EA");
    first.buyer_sku = text("B-77");
    first.description = text("Pump, 40 l/min — \"quiet\" * with a hose and a filter that is longer than the field");
    Order {
        number: "PO-4711".into(),
        release: None,
        customer: Customer { id: "C-1001".into(), name: None, email: None, phone: None },
        bill_to: None,
        ship_to: Some(an_address()),
        placed_at: Some(Instant(1_772_443_800_000)),
        requested_delivery: Some(day(2026, 3, 6)),
        cancel_after: Some(day(2026, 3, 31)),
        currency: currency("USD"),
        lines: vec![first, line("20", "HOSE-M", 1_250, 2, "MR")],
        totals: OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand: None },
        payment: None,
        sender_state: None,
        notes: vec!["Ring twice.".into()],
        extensions: vec![],
    }
}

fn a_cancellation() -> CancelRequest {
    CancelRequest { order_number: "PO-4711".into(), reason: text("twice"), line_numbers: vec![], extensions: vec![] }
}

fn an_answer() -> OrderAnswer {
    let line = |number: &str, status| LineAnswer {
        line_number: number.into(),
        status,
        quantity: Some(pieces(5)),
        unit_price: None,
        promised: None,
        substitute_sku: None,
        reason: None,
    };
    let mut short = line("20", LineStatus::QuantityChanged);
    short.quantity = Some(pieces(3));
    short.unit_price = Some(UnitPrice { amount: 118, scale: 2, currency: currency("USD"), per_quantity: 100 });
    short.promised = Some(day(2026, 3, 9));
    let mut other = line("30", LineStatus::Substituted);
    (other.substitute_sku, other.reason) = (text("PUMP-41"), text("out-of-stock"));
    OrderAnswer {
        order_number: "PO-4711".into(),
        external_id: text("S-ORD101001"),
        answered_at: Some(Instant(1_772_530_200_000)),
        lines: vec![line("10", LineStatus::Accepted), short, other],
        reason: None,
        extensions: vec![],
    }
}

fn a_rejection() -> OrderAnswer {
    let mut answer = an_answer();
    answer.lines.truncate(1);
    answer.lines[0].status = LineStatus::Rejected;
    answer.lines[0].quantity = None;
    answer.lines[0].reason = text("discontinued");
    answer
}

fn a_shipment() -> Shipment {
    let line = |number: &str, sku: &str, ordered, shipped, short| ShipmentLine {
        line_number: number.into(),
        sku: sku.into(),
        ordered: Some(pieces(ordered)),
        shipped: pieces(shipped),
        short,
        lot: None,
        serials: vec![],
    };
    let mut first = line("10", "PUMP-40", 5, 3, ShortReason::Backorder);
    (first.lot, first.serials) = (text("L-77"), vec!["SN-1".into(), "SN-2".into(), "SN-3".into()]);
    Shipment {
        order_number: "PO-4711".into(),
        shipment_number: "SH-1".into(),
        node: text("DC-EAST"),
        carrier: text("UPSN"),
        tracking: vec!["1Z999".into()],
        at: Some(Instant(1_772_530_200_000)),
        lines: vec![first, line("20", "HOSE-M", 2, 2, ShortReason::None)],
        ship_to: Some(an_address()),
        extensions: vec![],
    }
}

fn an_invoice() -> Invoice {
    let price = |amount, scale, per_quantity| UnitPrice { amount, scale, currency: currency("USD"), per_quantity };
    let line = |number: &str, sku: &str, value, unit_price, extended| InvoiceLine {
        line_number: number.into(),
        sku: text(sku),
        quantity: pieces(value),
        unit_price,
        extended: usd(extended),
        tax: None,
    };
    Invoice {
        invoice_number: "INV-1".into(),
        order_number: text("PO-4711"),
        shipment_number: text("SH-1"),
        corrects: None,
        posted_on: Some(day(2026, 3, 4)),
        due_on: Some(day(2026, 4, 3)),
        // 3 × 12.50, and 200 × 1.179 per 100, which is 2.358.
        lines: vec![
            line("10", "PUMP-40", 3, price(1_250, 2, 1), 37_50),
            line("20", "BOLT-8", 200, price(1_179, 3, 100), 2_36),
        ],
        tax: Some(usd(2_84)),
        total: usd(42_70),
        extensions: vec![],
    }
}

fn an_address() -> Address {
    Address {
        id: text("ST-2"),
        name: text("Harbour Supply, Warehouse 2"),
        lines: vec!["1 Quay Road".into(), "Dock 4".into()],
        city: text("Portland"),
        region: text("ME"),
        postal_code: text("04101"),
        country: text("US"),
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: currency("USD") }
}

fn pieces(value: i64) -> Quantity {
    Quantity { value, scale: 0, unit: "EA".into() }
}

fn day(year: u16, month: u8, day: u8) -> Date {
    Date::new(year, month, day).unwrap()
}
