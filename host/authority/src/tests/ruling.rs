//! Each of the host's own rules, with its consequence, and the file that they come from.

use std::collections::BTreeMap;

use portreeve_model::event::OrderTotals;
use portreeve_model::value::{Customer, Decimal, Extension};
use portreeve_model::{Currency, Date, Money, Order, OrderLine, Quantity, UnitPrice};

use super::{NOW, known, usd};
use crate::SourceFile;
use crate::rules::{Consequence, CustomerFacts, Finding, ItemFacts, Looked, ReferenceFacts, Rules, UnitFacts};

pub(super) const RULES: &str = r#"
[rules]
price_tolerance_bp = 500
totals_tolerance_minor = 2
discount_max_bp = 2500
blocked_customer = true
unknown_item = "refuse"
unknown_customer = "hold"
unknown_ship_to = "hold"
cross_reference = true
short_stock = true
unreleasable_sender_states = ["payment_review", "fraud"]
hold_minutes = 1440
queue = { price = "pricing", credit = "credit", customer = "customer-service", totals = "order-desk", item = "order-desk", payment = "fraud-review" }
release_grace_minutes = 1440

[rules.credit]
check = true
limit_bp = 9000
overdue_days_max = 30
data_age_minutes_max = 120
no_account = "hold"
"#;

pub(super) fn rules(text: &str) -> Rules {
    Rules::load(&SourceFile { name: "rules.toml", text }, &known()).unwrap()
}

/// Two lines of 10.00 and 3 × 1.179 USD, and shipping of 5.00.
fn order() -> Order {
    Order {
        number: "PO-1".to_owned(),
        release: None,
        customer: Customer { id: "C1".to_owned(), name: Some("Jane Doe".to_owned()), email: None, phone: None },
        bill_to: None,
        ship_to: None,
        placed_at: None,
        requested_delivery: Some(Date::new(2027, 1, 15).unwrap()),
        cancel_after: None,
        currency: usd(0).currency,
        lines: vec![line("1", "BOLT", 1, 10_000, Some(1000)), line("2", "NUT", 3, 1179, None)],
        totals: OrderTotals {
            lines: Some(usd(1354)),
            shipping: Some(usd(500)),
            tax: None,
            discount: None,
            grand: Some(usd(1854)),
        },
        payment: None,
        sender_state: Some("processing".to_owned()),
        notes: Vec::new(),
        extensions: Vec::new(),
    }
}

fn line(number: &str, sku: &str, pieces: i64, price_milli: i64, extended: Option<i64>) -> OrderLine {
    OrderLine {
        number: number.to_owned(),
        sku: sku.to_owned(),
        buyer_sku: None,
        description: None,
        quantity: Quantity { value: pieces, scale: 0, unit: "EA".to_owned() },
        unit_price: UnitPrice { amount: price_milli, scale: 3, currency: usd(0).currency, per_quantity: 1 },
        extended: extended.map(usd),
        requested_delivery: None,
        extensions: Vec::new(),
    }
}

fn reference() -> ReferenceFacts {
    let item = |price: &str| {
        Looked::Found(ItemFacts {
            list_price: Decimal::parse(price).unwrap(),
            unit: "EA".to_owned(),
            currency: usd(0).currency,
        })
    };
    ReferenceFacts {
        received_at: NOW,
        test_channel: false,
        customer: Looked::Found(CustomerFacts {
            class: "standard".to_owned(),
            blocked: false,
            currency: Some(usd(0).currency),
            country: Some("US".to_owned()),
            credit_account: None,
        }),
        ship_to: Some(Looked::Found(())),
        cross_references: BTreeMap::from([("B-1".to_owned(), Looked::Found("BOLT".to_owned()))]),
        conversions: BTreeMap::new(),
        available: BTreeMap::from([("NUT".to_owned(), Looked::Found(3))]),
        items: BTreeMap::from([("BOLT".to_owned(), item("10.00")), ("NUT".to_owned(), item("1.179"))]),
    }
}

fn customer(facts: &mut ReferenceFacts) -> &mut CustomerFacts {
    let Looked::Found(customer) = &mut facts.customer else { panic!("no customer") };
    customer
}

fn nut(facts: &mut ReferenceFacts) -> &mut ItemFacts {
    let Some(Looked::Found(item)) = facts.items.get_mut("NUT") else { panic!("no item") };
    item
}

fn refused(queue: &str) -> Consequence {
    Consequence::Refuse { queue: queue.to_owned() }
}

fn held(queue: &str) -> Consequence {
    Consequence::PolicyHold { queue: queue.to_owned(), minutes: 1440 }
}

/// The findings of the usual order and facts after a change.
fn findings(change: impl FnOnce(&mut Order, &mut ReferenceFacts)) -> Vec<Finding> {
    let (mut order, mut reference) = (order(), reference());
    change(&mut order, &mut reference);
    rules(RULES).check(&order, &reference)
}

/// The codes that a change leads to, with the consequence of the first.
fn check(change: impl FnOnce(&mut Order, &mut ReferenceFacts), codes: &[&str], consequence: Consequence) {
    let findings = findings(change);
    let found: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(found, codes, "{findings:?}");
    assert_eq!(findings.first().unwrap().consequence, consequence);
    assert!(!format!("{findings:?}").contains("Jane"));
}

/// A line's unit price in thousandths, with totals that nobody states.
fn price(order: &mut Order, milli: i64) {
    let line = order.lines.first_mut().unwrap();
    line.unit_price.amount = milli;
    line.extended = None;
    order.totals.lines = None;
    order.totals.grand = None;
}

#[test]
fn finds_nothing_wrong_with_a_good_order() {
    assert_eq!(findings(|_, _| ()), []);
}

#[test]
fn holds_orders_of_blocked_customers() {
    let block = |_: &mut Order, reference: &mut ReferenceFacts| {
        customer(reference).blocked = true;
    };
    check(block, &["customer-blocked"], held("credit"));
    let off = rules(&RULES.replace("blocked_customer = true", "blocked_customer = false"));
    let mut facts = reference();
    block(&mut order(), &mut facts);
    assert_eq!(off.check(&order(), &facts), []);
}

#[test]
fn holds_or_refuses_unknown_customers_and_items() {
    check(|_, facts| facts.customer = Looked::Unknown, &["customer-unknown"], held("customer-service"));
    let forget = |_: &mut Order, facts: &mut ReferenceFacts| facts.items.retain(|sku, _| sku != "NUT");
    check(forget, &["item-unknown"], refused("order-desk"));
    let swapped = RULES
        .replace("unknown_item = \"refuse\"", "unknown_item = \"hold\"")
        .replace("unknown_customer = \"hold\"", "unknown_customer = \"refuse\"");
    let mut facts = reference();
    facts.customer = Looked::Unknown;
    facts.items.clear();
    let consequences: Vec<Consequence> =
        rules(&swapped).check(&order(), &facts).into_iter().map(|finding| finding.consequence).collect();
    assert_eq!(consequences, [refused("customer-service"), held("order-desk"), held("order-desk")]);
}

#[test]
fn holds_an_order_in_another_currency_than_the_customers() {
    let change = |_: &mut Order, facts: &mut ReferenceFacts| {
        customer(facts).currency = Some(Currency::parse("EUR").unwrap());
    };
    check(change, &["currency-differs"], held("customer-service"));
}

#[test]
fn holds_an_order_that_the_senders_own_state_stops() {
    check(
        |order, _| order.sender_state = Some("payment_review".to_owned()),
        &["sender-state-unreleasable"],
        held("fraud-review"),
    );
}

#[test]
fn holds_what_is_wanted_before_it_was_received() {
    let yesterday = Date::new(2027, 1, 14).ok();
    let past = &["requested-in-the-past"];
    check(|order, _| order.requested_delivery = yesterday, past, held("order-desk"));
    let of_line = |order: &mut Order, _: &mut ReferenceFacts| {
        order.lines.last_mut().unwrap().requested_delivery = yesterday;
    };
    check(of_line, past, held("order-desk"));
    assert_eq!(findings(of_line).first().unwrap().line.as_deref(), Some("2"));
}

#[test]
fn refuses_quantities_that_are_not_positive() {
    for value in [0, -3] {
        let change = |order: &mut Order, _: &mut ReferenceFacts| {
            price(order, 10_000);
            order.lines.last_mut().unwrap().quantity.value = value;
        };
        check(change, &["quantity-not-positive"], refused("order-desk"));
    }
}

#[test]
fn holds_another_unit_of_measure_without_comparing_prices() {
    let change = |order: &mut Order, _: &mut ReferenceFacts| {
        price(order, 120_000);
        order.lines.first_mut().unwrap().quantity.unit = "CA".to_owned();
    };
    check(change, &["unit-differs"], held("order-desk"));
}

#[test]
fn holds_prices_out_of_tolerance_in_both_directions() {
    for milli in [9_500, 10_500] {
        assert_eq!(findings(|order, _| price(order, milli)), []);
    }
    for milli in [9_499, 10_501, 0, -10_000] {
        check(|order, _| price(order, milli), &["price-out-of-tolerance"], held("pricing"));
    }
    let tight = rules(&RULES.replace("price_tolerance_bp = 500", "price_tolerance_bp = 0"));
    let mut dearer = order();
    price(&mut dearer, 10_001);
    assert_eq!(tight.check(&dearer, &reference()).len(), 1);
}

#[test]
fn compares_prices_per_hundred_and_takes_what_overflows_for_a_difference() {
    let per_hundred = |amount| {
        move |order: &mut Order, _: &mut ReferenceFacts| {
            price(order, amount);
            order.lines.first_mut().unwrap().unit_price.per_quantity = 100;
        }
    };
    assert_eq!(findings(per_hundred(1_000_000)), []);
    check(per_hundred(10_000), &["price-out-of-tolerance"], held("pricing"));
    let vast = |_: &mut Order, facts: &mut ReferenceFacts| {
        nut(facts).list_price = Decimal { units: i64::MAX, scale: 0 };
    };
    check(vast, &["price-out-of-tolerance"], held("pricing"));
    let euros = |_: &mut Order, facts: &mut ReferenceFacts| {
        nut(facts).currency = Currency::parse("EUR").unwrap();
    };
    check(euros, &["price-out-of-tolerance"], held("pricing"));
}

#[test]
fn holds_totals_that_differ_from_computed_ones() {
    let desk = || held("order-desk");
    check(|o, _| o.totals.grand = Some(usd(1857)), &["grand-total-differs"], desk());
    assert_eq!(findings(|o, _| o.totals.grand = Some(usd(1856))), []);
    check(|o, _| o.totals.lines = Some(usd(1350)), &["lines-total-differs"], desk());
    check(|o, _| o.totals.tax = Some(usd(100)), &["grand-total-differs"], desk());
    let stated = |o: &mut Order, _: &mut ReferenceFacts| o.lines.first_mut().unwrap().extended = Some(usd(1003));
    check(stated, &["line-amount-differs"], desk());
    let exact = rules(&RULES.replace("totals_tolerance_minor = 2", "totals_tolerance_minor = 0"));
    let mut off_by_one = order();
    off_by_one.totals.grand = Some(usd(1855));
    assert_eq!(exact.check(&off_by_one, &reference()).len(), 1);
}

#[test]
fn a_discount_lowers_the_total_whatever_its_sign() {
    for discount in [200, -200] {
        let change = |order: &mut Order, _: &mut ReferenceFacts| {
            order.totals.discount = Some(usd(discount));
            order.totals.grand = Some(usd(1654));
        };
        assert_eq!(findings(change), []);
    }
}

#[test]
fn holds_a_discount_above_the_largest_although_the_totals_agree() {
    let discounted = |minor: i64, grand: i64| {
        move |order: &mut Order, _: &mut ReferenceFacts| {
            order.totals.discount = Some(usd(minor));
            order.totals.grand = Some(usd(grand));
        }
    };
    // Lines of 13.54: 25 % are 3.385.
    assert_eq!(findings(discounted(338, 1516)), []);
    check(discounted(339, 1515), &["discount-too-high"], held("pricing"));
    check(discounted(-339, 1515), &["discount-too-high"], held("pricing"));
    // Everything at list price, and the order for nothing.
    check(discounted(1854, 0), &["discount-too-high"], held("pricing"));
    check(discounted(i64::MIN + 1, 0), &["discount-too-high", "grand-total-differs"], held("pricing"));
    let unstated = |order: &mut Order, _: &mut ReferenceFacts| {
        order.totals.discount = Some(usd(1854));
        order.totals.grand = None;
    };
    check(unstated, &["discount-too-high"], held("pricing"));
    let euros = |order: &mut Order, _: &mut ReferenceFacts| {
        order.totals.discount = Some(Money { minor: 1, currency: Currency::parse("EUR").unwrap() });
        order.totals.grand = None;
    };
    check(euros, &["discount-too-high"], held("pricing"));
}

#[test]
fn holds_charges_and_totals_below_nothing_although_they_agree() {
    let shipped = |order: &mut Order, _: &mut ReferenceFacts| {
        order.totals.shipping = Some(usd(-1354));
        order.totals.grand = Some(usd(0));
    };
    check(shipped, &["shipping-negative"], held("order-desk"));
    let taxed = |order: &mut Order, _: &mut ReferenceFacts| {
        order.totals.tax = Some(usd(-2000));
        order.totals.grand = Some(usd(-146));
    };
    check(taxed, &["tax-negative", "grand-total-negative"], held("order-desk"));
    // Also where the lines have no sum to compare with.
    let uncountable = |order: &mut Order, _: &mut ReferenceFacts| {
        order.lines.first_mut().unwrap().quantity.value = i64::MAX;
        order.totals.shipping = Some(usd(-1));
    };
    check(uncountable, &["line-amount-not-computable", "shipping-negative"], held("order-desk"));
}

#[test]
fn amounts_that_cannot_be_computed_are_findings() {
    let euros = Currency::parse("EUR").unwrap();
    let mixed = |order: &mut Order, _: &mut ReferenceFacts| {
        order.totals.tax = Some(Money { minor: 1, currency: euros });
    };
    check(mixed, &["grand-total-not-computable"], held("order-desk"));
    let line_currency = |order: &mut Order, _: &mut ReferenceFacts| {
        order.lines.first_mut().unwrap().unit_price.currency = euros;
    };
    check(line_currency, &["line-amount-not-computable", "price-out-of-tolerance"], held("order-desk"));
    let huge = |order: &mut Order, _: &mut ReferenceFacts| {
        order.lines.first_mut().unwrap().quantity.value = i64::MAX;
    };
    check(huge, &["line-amount-not-computable"], held("order-desk"));
}

#[test]
fn reads_its_file_strictly() {
    let broken = RULES
        .replace("price_tolerance_bp = 500", "price_tolerance_bp = 10001")
        .replace("hold_minutes", "hold_minute")
        .replace("credit = \"credit\"", "credit = \"credits\"");
    let errors = Rules::load(&SourceFile { name: "rules.toml", text: &broken }, &known()).unwrap_err();
    let text = errors.to_string();
    for part in [
        "rules.toml:3: `rules.price_tolerance_bp` is 10001; expected basis points, 0 to 10000",
        "`rules.hold_minutes` is missing",
        "`rules.hold_minute` is an unknown key",
        "`rules.queue.credit` is `credits`; expected one of",
    ] {
        assert!(text.contains(part), "expected `{part}` in:\n{text}");
    }
    assert_ne!(rules(RULES).digest(), rules(&RULES.replace("1440", "1441")).digest());
}

#[test]
fn an_order_is_worth_the_larger_of_its_stated_and_its_computed_total() {
    let worth = |grand: Option<Money>| {
        let mut order = order();
        order.totals.grand = grand;
        order.value().unwrap()
    };
    assert_eq!(worth(None), usd(1354));
    assert_eq!(worth(Some(usd(1854))), usd(1854));
    assert_eq!(worth(Some(usd(0))), usd(1354));
    assert_eq!(worth(Some(usd(i64::MIN))), usd(1354));
    // Two currencies have no larger one; a rule holds such an order.
    let euros = Money { minor: 5, currency: Currency::parse("EUR").unwrap() };
    assert_eq!(worth(Some(euros)), euros);
    check(|order, _| order.totals.grand = Some(euros), &["grand-total-differs"], held("order-desk"));
}

#[test]
fn a_table_that_was_never_loaded_or_a_row_without_a_column_is_no_fault_of_the_senders() {
    let refusing = rules(&RULES.replace("unknown_customer = \"hold\"", "unknown_customer = \"refuse\""));
    let found = |change: &dyn Fn(&mut ReferenceFacts)| {
        let mut facts = reference();
        change(&mut facts);
        let findings = refusing.check(&order(), &facts);
        findings.into_iter().map(|finding| (finding.code, finding.consequence)).collect::<Vec<_>>()
    };
    let all = |facts: &mut ReferenceFacts, item: &Looked<ItemFacts>| {
        facts.items.values_mut().for_each(|known| *known = item.clone());
    };
    // Once per order, not once per line.
    let expected = [("item-table-not-loaded", held("order-desk"))];
    assert_eq!(found(&|facts| all(facts, &Looked::NotLoaded)), expected);
    let of_line = ("item-row-incomplete", held("order-desk"));
    assert_eq!(found(&|facts| all(facts, &Looked::Incomplete)), [of_line.clone(), of_line]);
    let expected = [("customer-table-not-loaded", held("customer-service"))];
    assert_eq!(found(&|facts| facts.customer = Looked::NotLoaded), expected);
    let expected = [("customer-row-incomplete", held("customer-service"))];
    assert_eq!(found(&|facts| facts.customer = Looked::Incomplete), expected);
}

#[test]
fn holds_a_test_unless_the_channel_is_for_tests() {
    let mark = |name: &str, value: &str| {
        let extension = Extension { name: name.to_owned(), value: value.to_owned() };
        move |order: &mut Order, _: &mut ReferenceFacts| order.extensions.push(extension.clone())
    };
    check(mark("x12:usage", "T"), &["test-order"], held("order-desk"));
    check(mark("test", "true"), &["test-order"], held("order-desk"));
    assert_eq!(findings(mark("x12:usage", "P")), []);
    let on_test_channel = |order: &mut Order, facts: &mut ReferenceFacts| {
        mark("x12:usage", "T")(order, facts);
        facts.test_channel = true;
    };
    assert_eq!(findings(on_test_channel), []);
}

#[test]
fn holds_or_refuses_a_place_that_the_customer_has_no_agreement_for() {
    let unknown = |_: &mut Order, facts: &mut ReferenceFacts| facts.ship_to = Some(Looked::Unknown);
    check(unknown, &["ship-to-unknown"], held("customer-service"));
    let missing = |_: &mut Order, facts: &mut ReferenceFacts| facts.ship_to = Some(Looked::NotLoaded);
    check(missing, &["ship-to-table-not-loaded"], held("customer-service"));
    assert_eq!(findings(|_, facts| facts.ship_to = None), []);
    let with = |word: &str| {
        let mut facts = reference();
        facts.ship_to = Some(Looked::Unknown);
        let rules = rules(&RULES.replace("unknown_ship_to = \"hold\"", &format!("unknown_ship_to = \"{word}\"")));
        rules.check(&order(), &facts).into_iter().map(|finding| finding.consequence).collect::<Vec<_>>()
    };
    assert_eq!(with("refuse"), [refused("customer-service")]);
    assert_eq!(with("off"), []);
}

#[test]
fn holds_a_line_whose_two_item_numbers_mean_different_items() {
    let both = |theirs: &'static str| {
        move |order: &mut Order, _: &mut ReferenceFacts| {
            order.lines.last_mut().unwrap().buyer_sku = Some(theirs.to_owned());
        }
    };
    check(both("B-1"), &["cross-reference-differs"], held("order-desk"));
    assert_eq!(findings(both("B-1")).first().unwrap().line.as_deref(), Some("2"));
    assert_eq!(findings(both("B-2")), []);
    let off = rules(&RULES.replace("cross_reference = true", "cross_reference = false"));
    let mut crossed = order();
    both("B-1")(&mut crossed, &mut reference());
    assert_eq!(off.check(&crossed, &reference()), []);
}

#[test]
fn holds_a_line_that_asks_for_more_than_is_available() {
    let more = |order: &mut Order, _: &mut ReferenceFacts| {
        price(order, 10_000);
        let quantity = &mut order.lines.last_mut().unwrap().quantity;
        (quantity.value, quantity.scale) = (301, 2);
    };
    check(more, &["not-available"], held("order-desk"));
    let off = rules(&RULES.replace("short_stock = true", "short_stock = false"));
    let mut short = order();
    more(&mut short, &mut reference());
    assert_eq!(off.check(&short, &reference()), []);
    assert_eq!(findings(|_, facts| facts.available.clear()), []);
}

/// The bolt is sold by the piece at 10.00; this orders so many cases at a price in
/// thousandths, with a case of `factor` pieces. Nobody states totals.
fn cases(value: i64, scale: u8, milli: i64, factor: &str) -> impl FnOnce(&mut Order, &mut ReferenceFacts) {
    let factor = Decimal::parse(factor).unwrap();
    move |order, facts| {
        order.totals = OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand: None };
        let line = order.lines.first_mut().unwrap();
        line.quantity = Quantity { value, scale, unit: "CA".to_owned() };
        (line.unit_price.amount, line.extended) = (milli, None);
        let case = UnitFacts { to: "EA".to_owned(), factor };
        facts.conversions.insert(("BOLT".to_owned(), "CA".to_owned()), Looked::Found(case));
        facts.available.insert("BOLT".to_owned(), Looked::Found(100));
    }
}

/// What is found about so many cases.
fn found(change: impl FnOnce(&mut Order, &mut ReferenceFacts)) -> Vec<&'static str> {
    findings(change).iter().map(|finding| finding.code).collect()
}

#[test]
fn a_price_per_case_is_compared_with_the_list_price_of_its_pieces() {
    // 12 × 10.00 = 120.00, and 5 % of it are 6.00: from 114.000 to 126.000.
    for (milli, within) in [(120_000, true), (114_000, true), (126_000, true), (113_999, false), (126_001, false)] {
        let codes = found(cases(1, 0, milli, "12"));
        assert_eq!(codes.is_empty(), within, "{milli}: {codes:?}");
    }
    // 0.3 of a piece: 3.00, from 2.850 to 3.150. The factor's digits are its own.
    for (milli, within) in [(2_850, true), (3_150, true), (2_849, false), (3_151, false)] {
        assert_eq!(found(cases(1, 0, milli, "0.3")).is_empty(), within, "{milli}");
    }
    // A third of a dozen thirds: 1 / 3 has no end, 3 × it has. 10.00 × 0.333333333 = 3.33333333,
    // less 5 % is 3.1666666635: 3.167 is above it, 3.166 below. Rounded, 3.17 would be the bound.
    for (milli, within) in [(3_167, true), (3_166, false)] {
        assert_eq!(found(cases(1, 0, milli, "0.333333333")).is_empty(), within, "{milli}");
    }
    // A price for ten cases: 10 × 120.00.
    let for_ten = |milli| {
        move |order: &mut Order, facts: &mut ReferenceFacts| {
            cases(1, 0, milli, "12")(order, facts);
            order.lines.first_mut().unwrap().unit_price.per_quantity = 10;
        }
    };
    assert!(found(for_ten(1_140_000)).is_empty());
    assert_eq!(found(for_ten(1_139_999)), ["price-out-of-tolerance"]);
    // What does not fit 128 bits is no agreement.
    assert!(found(cases(1, 0, i64::MAX, "9000000000.999999999")).contains(&"price-out-of-tolerance"));
}

#[test]
fn cases_are_counted_in_pieces_against_the_stock() {
    // 100 pieces: 8 cases of 12 are 96, 9 are 108; 8.333 cases are 99.996, 8.334 are 100.008.
    for (value, scale, enough) in [(8, 0, true), (9, 0, false), (8_333, 3, true), (8_334, 3, false)] {
        let codes = found(cases(value, scale, 120_000, "12"));
        assert_eq!(codes.is_empty(), enough, "{value}: {codes:?}");
    }
    let short = findings(cases(9, 0, 120_000, "12"));
    assert_eq!(short.first().unwrap().expected, "100 or less, at 12 `EA` to the `CA`");
    let dear = findings(cases(1, 0, 200_000, "12"));
    assert_eq!(dear.first().unwrap().expected, "10.00 USD within 500 bp, at 12 `EA` to the `CA`");
}

#[test]
fn a_conversion_that_says_nothing_is_held_as_a_mistake_of_ours() {
    let instead = |row: Looked<UnitFacts>| {
        move |order: &mut Order, facts: &mut ReferenceFacts| {
            cases(1, 0, 120_000, "12")(order, facts);
            facts.conversions.insert(("BOLT".to_owned(), "CA".to_owned()), row);
        }
    };
    let case = |to: &str, factor: &str| {
        Looked::Found(UnitFacts { to: to.to_owned(), factor: Decimal::parse(factor).unwrap() })
    };
    for (row, code) in [
        (case("BX", "12"), "unit-conversion-unfit"),
        (case("EA", "0"), "unit-conversion-unfit"),
        (case("EA", "-12"), "unit-conversion-unfit"),
        (Looked::Incomplete, "unit-row-incomplete"),
        (Looked::Unknown, "unit-differs"),
        (Looked::NotLoaded, "unit-differs"),
    ] {
        check(instead(row), &[code], held("order-desk"));
    }
}
