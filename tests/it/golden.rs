//! The JSON of the canonical events, held still by a golden file.
//!
//! Journals and records keep this JSON for years, so a renamed field is no
//! refactoring. `tests/golden/events.json` has one example of every event with as
//! many fields filled as it has; a deliberate change is written there by
//! `PORTREEVE_UPDATE_GOLDEN=1 cargo test -p portreeve-tests`, and shows in review.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use portreeve_model::event::{
    Allocation, AllocationLine, CancelRequest, Event, GoodsReturn, InventoryLevel, Invoice, InvoiceLine, LineAnswer,
    LineStatus, Order, OrderAnswer, OrderChange, OrderLine, OrderTotals, OtherEvent, Payment, Refund, RefundCause,
    Remittance, RemittanceLine, ReturnLine, Settlement, Shipment, ShipmentDelay, ShipmentLine, ShortReason,
    SupplierDelay,
};
use portreeve_model::value::{Address, Customer, Extension};
use portreeve_model::{Currency, Date, Instant, Money, Quantity, UnitPrice};
use proptest::prelude::*;

/// Set to `1` to write the golden file instead of comparing with it.
const UPDATE: &str = "PORTREEVE_UPDATE_GOLDEN";

/// Events of the contract, `other` included.
const EVENTS: usize = 20;

#[test]
fn every_event_has_the_json_of_the_golden_file() {
    let path = golden_file();
    let mut json = serde_json::to_string_pretty(&examples()).unwrap();
    json.push('\n');
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        std::fs::write(&path, &json).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, found, expected)) = first_difference(&json, &golden) {
        panic!(
            "line {number} of {} differs: the code writes `{found}`, the file has `{expected}`; \
             stored events would change with it. If that is meant, run again with {UPDATE}=1",
            path.display()
        );
    }
}

#[test]
fn every_event_reads_back_as_it_was_written() {
    for event in examples() {
        let json = event.to_json().unwrap();
        assert_eq!(Event::from_json(&json).unwrap(), event);
    }
}

#[test]
fn there_is_an_example_of_each_event_and_its_type_is_its_name() {
    let examples = examples();
    let kinds: BTreeSet<usize> = examples.iter().map(place).collect();
    assert_eq!(kinds, (0..EVENTS).collect());
    for event in examples {
        let json: serde_json::Value = serde_json::from_slice(&event.to_json().unwrap()).unwrap();
        let expected = if matches!(event, Event::Other(_)) { "other" } else { event.name() };
        assert_eq!(json["type"], expected);
    }
}

#[test]
fn an_event_with_a_field_that_nobody_knows_is_refused() {
    let json = String::from_utf8(examples()[2].to_json().unwrap()).unwrap();
    let strange = json.replacen("\"reason\"", "\"excuse\"", 1);
    assert_ne!(strange, json);
    assert!(Event::from_json(strange.as_bytes()).is_err());
}

#[test]
fn a_difference_from_the_golden_file_is_found_wherever_it_is() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some((2, "b", "c")));
    assert_eq!(first_difference("a\nb\n", "a\n"), Some((2, "b", "")));
    assert_eq!(first_difference("a\n", "a\nb\n"), Some((2, "", "b")));
    assert!(first_difference("a\n", "a\r\n").is_some());
}

proptest! {
    #[test]
    fn any_order_survives_its_json(order in order()) {
        let event = Event::OrderCreated(order);
        prop_assert_eq!(Event::from_json(&event.to_json().unwrap()).unwrap(), event);
    }
}

fn golden_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/events.json")
}

/// The first line that differs, counted from 1, with both readings.
fn first_difference<'a>(found: &'a str, expected: &'a str) -> Option<(usize, &'a str, &'a str)> {
    let (mut found, mut expected) = (found.split('\n'), expected.split('\n'));
    for number in 1.. {
        match (found.next(), expected.next()) {
            (None, None) => break,
            (found, expected) if found == expected => {}
            (found, expected) => return Some((number, found.unwrap_or_default(), expected.unwrap_or_default())),
        }
    }
    None
}

/// Where an event stands among the examples. An event that is added to the model
/// doesn't compile here until it has a place, and then has no example.
fn place(event: &Event) -> usize {
    match event {
        Event::OrderCreated(_) => 0,
        Event::OrderChanged(_) => 1,
        Event::OrderCancelRequested(_) => 2,
        Event::OrderAccepted(_) => 3,
        Event::OrderRejected(_) => 4,
        Event::InventoryLevel(_) => 5,
        Event::InventoryAllocated(_) => 6,
        Event::ShipmentPicked(_) => 7,
        Event::ShipmentPacked(_) => 8,
        Event::ShipmentDispatched(_) => 9,
        Event::ShipmentConfirmed(_) => 10,
        Event::ShipmentDelayed(_) => 11,
        Event::InvoicePosted(_) => 12,
        Event::PaymentSettled(_) => 13,
        Event::ReturnRequested(_) => 14,
        Event::ReturnReceived(_) => 15,
        Event::RefundIssued(_) => 16,
        Event::RemittanceReceived(_) => 17,
        Event::SupplierDelayPredicted(_) => 18,
        Event::Other(_) => 19,
    }
}

pub(crate) fn examples() -> Vec<Event> {
    vec![
        Event::OrderCreated(an_order()),
        Event::OrderChanged(OrderChange { order: a_short_order(), revision: text("2") }),
        Event::OrderCancelRequested(CancelRequest {
            order_number: "4711".into(),
            reason: text("ordered twice"),
            line_numbers: vec!["2".into()],
            extensions: extensions(),
        }),
        Event::OrderAccepted(an_answer(LineStatus::DateChanged)),
        Event::OrderRejected(an_answer(LineStatus::Rejected)),
        Event::InventoryLevel(InventoryLevel {
            sku: "PUMP-40".into(),
            node: "DC-EAST".into(),
            on_hand: pieces(120),
            available: pieces(-3),
            as_of: instant(),
            extensions: Vec::new(),
        }),
        Event::InventoryAllocated(Allocation {
            order_number: "4711".into(),
            lines: vec![AllocationLine {
                line_number: "1".into(),
                sku: "PUMP-40".into(),
                node: "DC-EAST".into(),
                quantity: pieces(5),
            }],
            extensions: Vec::new(),
        }),
        Event::ShipmentPicked(a_shipment(ShortReason::None)),
        Event::ShipmentPacked(a_shipment(ShortReason::Damaged)),
        Event::ShipmentDispatched(a_shipment(ShortReason::NoBackorder)),
        Event::ShipmentConfirmed(a_shipment(ShortReason::Backorder)),
        Event::ShipmentDelayed(ShipmentDelay {
            order_number: "4711".into(),
            shipment_number: text("SH-1"),
            expected: Some(day(2026, 3, 9)),
            reason: text("weather"),
            extensions: Vec::new(),
        }),
        Event::InvoicePosted(an_invoice()),
        Event::PaymentSettled(Settlement {
            payment_reference: "ch_1".into(),
            order_number: text("4711"),
            invoice_number: text("INV-1"),
            amount: usd(63_591),
            fee: Some(usd(18_74)),
            settled_at: instant(),
            extensions: Vec::new(),
        }),
        Event::ReturnRequested(a_return(None)),
        Event::ReturnReceived(a_return(Some("opened"))),
        Event::RefundIssued(Refund {
            refund_number: "RF-1".into(),
            order_number: "4711".into(),
            cause: RefundCause::GoodsReturn,
            return_number: text("RMA-1"),
            amount: usd(118),
            issued_at: instant(),
            extensions: Vec::new(),
        }),
        Event::RemittanceReceived(Remittance {
            reference: "RA-1".into(),
            payer: a_customer(),
            total: usd(63_591),
            lines: vec![RemittanceLine {
                invoice_number: "INV-1".into(),
                paid: usd(63_591),
                adjustment: Some(usd(-5_00)),
                adjustment_reason: text("late delivery"),
            }],
            pays_on: Some(day(2026, 4, 1)),
            extensions: Vec::new(),
        }),
        Event::SupplierDelayPredicted(SupplierDelay {
            purchase_order: "PO-9".into(),
            supplier_id: "SUP-3".into(),
            sku: text("PUMP-40"),
            earliest: day(2026, 3, 9),
            latest: day(2026, 3, 16),
            confidence_bp: 8_200,
            extensions: Vec::new(),
        }),
        Event::Other(OtherEvent { kind: "dock.appointment".into(), body: vec![0, 127, 255] }),
    ]
}

/// An order with every field, and integers that no floating-point number holds.
pub(crate) fn an_order() -> Order {
    Order {
        number: "4711".into(),
        release: text("3"),
        customer: a_customer(),
        bill_to: Some(an_address("Billing")),
        ship_to: Some(an_address("Warehouse 2")),
        placed_at: instant(),
        requested_delivery: Some(day(2026, 3, 6)),
        cancel_after: Some(day(2026, 3, 31)),
        currency: currency("USD"),
        lines: vec![
            OrderLine {
                number: "1".into(),
                sku: "PUMP-40".into(),
                buyer_sku: text("B-77"),
                description: text("Pump, 40 l/min — \"quiet\""),
                quantity: pieces(5),
                unit_price: UnitPrice { amount: 1_179, scale: 3, currency: currency("USD"), per_quantity: 1 },
                extended: Some(usd(5_90)),
                requested_delivery: Some(day(2026, 3, 5)),
                extensions: extensions(),
            },
            OrderLine {
                number: "2".into(),
                sku: "HOSE-M".into(),
                buyer_sku: None,
                description: None,
                quantity: Quantity { value: i64::MAX, scale: 9, unit: "MTR".into() },
                unit_price: UnitPrice { amount: i64::MIN, scale: 9, currency: currency("USD"), per_quantity: u32::MAX },
                extended: None,
                requested_delivery: None,
                extensions: Vec::new(),
            },
        ],
        totals: OrderTotals {
            lines: Some(usd(5_90)),
            shipping: Some(usd(12_00)),
            tax: Some(usd(1_07)),
            discount: Some(usd(-1_00)),
            grand: Some(usd(9_007_199_254_740_993)),
        },
        payment: Some(Payment {
            method: "card".into(),
            state: text("authorised"),
            authorised: Some(usd(17_97)),
            authorisation_expires_at: instant(),
            issuer_country: text("US"),
            address_check: text("match"),
            terms: text("NET30"),
        }),
        sender_state: text("processing"),
        notes: vec!["Ring twice.".into()],
        extensions: extensions(),
    }
}

/// The same with nothing that is optional.
fn a_short_order() -> Order {
    let nothing = OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand: None };
    Order {
        release: None,
        customer: Customer { id: "C-1001".into(), name: None, email: None, phone: None },
        bill_to: None,
        ship_to: None,
        placed_at: None,
        requested_delivery: None,
        cancel_after: None,
        lines: an_order().lines.split_off(1),
        totals: nothing,
        payment: None,
        sender_state: None,
        notes: Vec::new(),
        extensions: Vec::new(),
        ..an_order()
    }
}

fn an_answer(status: LineStatus) -> OrderAnswer {
    OrderAnswer {
        order_number: "4711".into(),
        external_id: text("S-ORD101001"),
        answered_at: instant(),
        lines: vec![LineAnswer {
            line_number: "1".into(),
            status,
            quantity: Some(pieces(4)),
            unit_price: Some(UnitPrice { amount: 118, scale: 2, currency: currency("USD"), per_quantity: 100 }),
            promised: Some(day(2026, 3, 9)),
            substitute_sku: text("PUMP-41"),
            reason: text("out-of-stock"),
        }],
        reason: text("see lines"),
        extensions: Vec::new(),
    }
}

fn a_shipment(short: ShortReason) -> Shipment {
    Shipment {
        order_number: "4711".into(),
        shipment_number: "SH-1".into(),
        node: text("DC-EAST"),
        carrier: text("UPS"),
        tracking: vec!["1Z999".into()],
        at: instant(),
        lines: vec![ShipmentLine {
            line_number: "1".into(),
            sku: "PUMP-40".into(),
            ordered: Some(pieces(5)),
            shipped: pieces(4),
            short,
            lot: text("L-7"),
            serials: vec!["SN-1".into()],
        }],
        ship_to: Some(an_address("Warehouse 2")),
        extensions: Vec::new(),
    }
}

fn an_invoice() -> Invoice {
    Invoice {
        invoice_number: "INV-1".into(),
        order_number: text("4711"),
        shipment_number: text("SH-1"),
        corrects: text("INV-0"),
        posted_on: Some(day(2026, 3, 7)),
        due_on: Some(day(2026, 4, 6)),
        lines: vec![InvoiceLine {
            line_number: "1".into(),
            sku: text("PUMP-40"),
            quantity: pieces(4),
            unit_price: UnitPrice { amount: 1_179, scale: 3, currency: currency("USD"), per_quantity: 1 },
            extended: usd(4_72),
            tax: Some(usd(38)),
        }],
        tax: Some(usd(38)),
        total: usd(5_10),
        extensions: Vec::new(),
    }
}

fn a_return(condition: Option<&str>) -> GoodsReturn {
    GoodsReturn {
        return_number: "RMA-1".into(),
        order_number: "4711".into(),
        lines: vec![ReturnLine {
            line_number: text("1"),
            sku: "PUMP-40".into(),
            quantity: pieces(1),
            reason: text("too loud"),
            condition: condition.map(str::to_owned),
        }],
        at: instant(),
        extensions: Vec::new(),
    }
}

fn a_customer() -> Customer {
    Customer {
        id: "C-1001".into(),
        name: text("Harbour Supply Ltd"),
        email: text("orders@harbour.example"),
        phone: text("+1 555 0100"),
    }
}

fn an_address(name: &str) -> Address {
    Address {
        id: text("ST-2"),
        name: text(name),
        lines: vec!["1 Quay Road".into(), "Dock 4".into()],
        city: text("Portland"),
        region: text("ME"),
        postal_code: text("04101"),
        country: text("US"),
    }
}

fn extensions() -> Vec<Extension> {
    vec![Extension { name: "x12/REF*DP".into(), value: "038".into() }]
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

/// 2026-03-02T09:30:00.123Z.
fn instant() -> Option<Instant> {
    Some(Instant(1_772_443_800_123))
}

/// Orders that need not make sense: JSON has to carry whatever a transformer wrote.
fn order() -> impl Strategy<Value = Order> {
    let heads = (words(), maybe(words()), a_code(), maybe(addresses()), maybe(addresses()), maybe(any::<i64>()));
    let rest =
        (maybe(dates()), maybe(dates()), lines(), moneys(), maybe(words()), proptest::collection::vec(words(), 0..3));
    (heads, rest).prop_map(
        |(
            (number, release, currency, bill_to, ship_to, placed_at),
            (requested, cancel_after, lines, money, state, notes),
        )| {
            Order {
                release,
                customer: Customer { id: number.clone(), name: state.clone(), email: None, phone: None },
                number,
                bill_to,
                ship_to,
                placed_at: placed_at.map(Instant),
                requested_delivery: requested,
                cancel_after,
                currency,
                lines,
                totals: OrderTotals {
                    lines: Some(money),
                    shipping: None,
                    tax: None,
                    discount: None,
                    grand: Some(money),
                },
                payment: None,
                sender_state: state,
                notes,
                extensions: extensions(),
            }
        },
    )
}

fn lines() -> impl Strategy<Value = Vec<OrderLine>> {
    let line = (
        words(),
        words(),
        any::<i64>(),
        any::<u8>(),
        any::<i64>(),
        a_code(),
        any::<u32>(),
        maybe(moneys()),
        maybe(dates()),
    );
    let line =
        line.prop_map(|(number, sku, value, scale, amount, currency, per_quantity, extended, requested_delivery)| {
            OrderLine {
                buyer_sku: Some(sku.clone()),
                description: Some(number.clone()),
                quantity: Quantity { value, scale, unit: sku.clone() },
                unit_price: UnitPrice { amount, scale, currency, per_quantity },
                number,
                sku,
                extended,
                requested_delivery,
                extensions: Vec::new(),
            }
        });
    proptest::collection::vec(line, 0..4)
}

fn addresses() -> impl Strategy<Value = Address> {
    (maybe(words()), proptest::collection::vec(words(), 0..3)).prop_map(|(name, lines)| Address {
        name,
        lines,
        ..Address::default()
    })
}

fn moneys() -> impl Strategy<Value = Money> {
    (any::<i64>(), a_code()).prop_map(|(minor, currency)| Money { minor, currency })
}

fn dates() -> impl Strategy<Value = Date> {
    (1..=9_999_u16, 1..=12_u8, 1..=28_u8).prop_map(|(year, month, date)| day(year, month, date))
}

fn a_code() -> impl Strategy<Value = Currency> {
    proptest::sample::select(vec!["USD", "EUR", "JPY", "BHD"]).prop_map(currency)
}

/// Any characters, also quotes, control characters and what lies beyond the first plane.
fn words() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter)
}

fn maybe<T: std::fmt::Debug>(some: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(some)
}
