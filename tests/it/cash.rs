//! Order to cash, as the demo plays it: what its orders come to, that nothing in the systems'
//! ledgers must not be there, and that whoever looks for such things finds them.

use std::collections::{BTreeMap, BTreeSet};

use portreeve::demo::DemoOptions;
use portreeve::demo::cash::ledgers::{Ledgers, kinds};
use portreeve::demo::cash::{self, CashReport, Outage};
use portreeve::standins::erp::{CreditMemo, PostedInvoice, SalesOrder};
use portreeve::standins::partner::Entry;
use portreeve::standins::payment::Refund;
use portreeve::standins::shop::{ShopDocument, ShopOrder};
use portreeve::standins::stream::Streamed;
use portreeve::standins::tax::{TaxStatus, TaxTransaction};
use portreeve::standins::wms::{Release, ReleaseLine, Return, Shipment};
use portreeve_model::value::Decimal;
use serde_json::{Value, json};

use crate::front::commands::Written;

/// As `demo --scenario order-to-cash --json` plays it, with what that writes.
async fn played(folder: &std::path::Path) -> (CashReport, Value) {
    let options = DemoOptions { data_dir: Some(folder.to_owned()), workers: None, json: true };
    let written = Written::default();
    let report = cash::run(&options, &mut written.output()).await.unwrap();
    (report, only_object(&written))
}

/// The one object that was written, with nothing beside it.
fn only_object(written: &Written) -> Value {
    let text = written.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The sum of an object's counts.
fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// What a program reads is what the report says, under names that it can rely on.
fn a_program_reads_the_same(told: &Value, report: &CashReport) {
    let names: BTreeSet<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "orders",
        "byState",
        "cases",
        "systems",
        "outage",
        "said",
        "saidAgain",
        "waited",
        "delivered",
        "retried",
        "exceptions",
        "violations",
        "audit",
        "seconds",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(told["violations"], json!([]));
    assert_eq!((told["orders"].as_u64(), sum(&told["byState"])), (Some(report.orders), report.orders));
    assert_eq!(told["byState"], json!(report.by_state));
    let cases = told["cases"].as_array().unwrap();
    assert_eq!(cases.len(), report.cases.len());
    assert_eq!(cases.iter().map(|case| case["orders"].as_u64().unwrap()).sum::<u64>(), report.orders);
    for case in cases {
        assert_eq!(case["orders"].as_u64(), Some(sum(&case["ends"])), "{case}");
        assert!(case["case"].is_string() && case["forAPerson"].is_u64(), "{case}");
    }
    let waiting = json!({"waiting": report.outage.waiting, "waitingElsewhere": report.outage.waiting_elsewhere});
    assert_eq!(told["outage"], waiting);
    assert_eq!(told["systems"]["refundedMinor"], json!(report.systems.refunded_minor));
    assert_eq!((&told["audit"]["verified"], &told["audit"]["root"]), (&json!(true), &json!(report.audit.root)));
}

fn ends(report: &CashReport, case: &str) -> (u64, Vec<String>) {
    let row = report.cases.iter().find(|row| row.case == case).unwrap_or_else(|| panic!("no case `{case}`"));
    (row.for_a_person, row.ends.iter().map(|(state, count)| format!("{count} {state}")).collect())
}

fn found(ledgers: &Ledgers) -> BTreeSet<&'static str> {
    ledgers.violations().into_iter().map(|violation| violation.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_orders_comes_to_its_money_and_nothing_is_in_the_ledgers_that_must_not_be() {
    let folder = tempfile::tempdir().unwrap();
    let (report, told) = played(&folder.path().join("day")).await;

    a_program_reads_the_same(&told, &report);
    assert_eq!(report.violations, []);
    assert!(report.audit.verified);
    for (case, waits, state) in [
        ("nothing special", 0, "3 settled"),
        ("prepaid", 0, "3 settled"),
        ("short shipment, prepaid", 0, "3 settled"),
        ("three boxes later, prepaid", 0, "3 settled"),
        ("cancelled when received", 0, "3 refused"),
        ("cancelled when held", 0, "3 refused"),
        ("cancelled when released", 0, "3 refused"),
        ("cancelled when accepted, prepaid", 0, "3 cancelled"),
        ("cancelled when allocated", 0, "3 cancelled"),
        ("cancelled when picked, prepaid", 0, "3 cancelled"),
        ("cancelled when packed", 0, "3 cancelled"),
        ("cancelled when part-shipped, prepaid", 0, "3 credited"),
        ("cancelled when shipped, prepaid", 0, "3 credited"),
        ("cancelled when invoiced", 0, "3 credited"),
        ("cancelled when settled", 0, "3 credited"),
        ("cancelled when returning", 0, "3 credited"),
        ("cancelled when returned", 0, "3 credited"),
        ("cancelled when credited", 0, "3 credited"),
        ("two boxes come back", 0, "3 credited"),
        ("two boxes back, heard out of turn", 0, "3 credited"),
        ("paid too much", 3, "3 settled"),
        ("changed when released", 0, "3 settled"),
        ("changed when allocated, prepaid", 0, "3 settled"),
        ("changed when packed, which is refused", 0, "3 settled"),
        ("cancelled in the shop, prepaid", 0, "3 cancelled"),
        ("bought in the shop, two boxes back", 0, "3 credited"),
    ] {
        assert_eq!(ends(&report, case), (waits, vec![state.to_owned()]), "{case}");
    }
    let Outage { waiting, waiting_elsewhere } = report.outage;
    assert!(waiting > 0, "finance was down when goods left");
    // One that met mischief may still be on its second try.
    assert!(waiting_elsewhere * 10 <= waiting, "and nobody else waited for it: {waiting_elsewhere} of {waiting}");
    assert_eq!(report.said, 2 * report.said_again, "everything is said once, and once more");
    assert!(report.said_again > 50 && report.retried > 50, "{} {}", report.said_again, report.retried);
    turns(&report);
    // Cancelled and paid: all of it (of seven boxes of ten what was not shipped first); short: three
    // boxes; changed to seven: three; back: two.
    let cancelled = 18_400 + 18_400 + 12_950 + 18_400 + 18_400 + 18_400;
    let expected = 3 * (cancelled + 3 * 3_480 + 3 * 1_840 + 3 * 2 * 1_840);
    assert_eq!(report.systems.refunded_minor, expected);
    let owed = report.systems.invoiced_minor + 3 * 500;
    assert_eq!(report.systems.paid_minor - report.systems.refunded_minor, owed, "but for what was paid too much");

    the_shop_knows(&report.ledgers);
    let answers = report.ledgers.customers.iter().filter(|entry| entry.set == "865");
    let answers: Vec<&str> = answers.map(|entry| entry.element("BCA", 2)).collect();
    assert_eq!((answers.len(), answers.iter().filter(|answer| **answer == "AD").count()), (9, 6), "{answers:?}");
    let held = report.ledgers.customers.iter().filter(|entry| entry.element("BAK", 2) == "AH");
    let mut held: Vec<&str> = held.map(|entry| entry.element("BAK", 3)).collect();
    held.sort_unstable();
    assert_eq!(held, ["C1205-001", "C1205-002", "C1205-003"], "whose order waited heard so");
    let sent_twice = report.ledgers.customers.iter().filter(|entry| entry.times > 1).count();
    let heard_twice = report.ledgers.heard.iter().filter(|heard| heard.times > 1).count();
    assert!(
        sent_twice > 0 && heard_twice > 0,
        "lost answers: {sent_twice} and {heard_twice} came again, and count once"
    );
    let changed = report.ledgers.heard.iter().filter(|heard| heard.changed > 0).count();
    assert_eq!(changed, 0, "what comes again is what came");
    let ids: BTreeSet<&String> = report.ledgers.stream.iter().map(|streamed| &streamed.id).collect();
    assert!(ids.len() == report.ledgers.stream.len() && ids.len() > 100, "{} events in the stream", ids.len());
    assert!(report.ledgers.stream.iter().all(|streamed| streamed.changed == 0), "what comes again there is what came");

    // One of each kind, planted where the systems write: each is found, and nothing else is.
    for (kind, what, plant) in PLANTS {
        let mut ledgers = report.ledgers.clone();
        plant(&mut Planting::in_(&mut ledgers));
        assert_eq!(found(&ledgers), BTreeSet::from([kind]), "{what}");
    }
    let planted: BTreeSet<&str> = PLANTS.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(planted, kinds().collect(), "each kind is planted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_nobody_tells_of_stock_is_found_to_have_other_stock() {
    let folder = tempfile::tempdir().unwrap();
    let options = DemoOptions { data_dir: Some(folder.path().join("day")), workers: None, json: true };
    let effect = "[[effect]]\non = \"inventory.level\"\ntarget = \"shop\"\nkind = \"adobe/stock\"\n";
    let written = Written::default();
    let untold = cash::run_changed(&options, &mut written.output(), &[(effect, "")]).await.unwrap_err().to_string();
    assert!(untold.contains("the first: stock-differs of ") && untold.contains("to be sold in the shop"), "{untold}");
    // The command fails, and a program has the whole list all the same.
    let told = only_object(&written);
    let violations = told["violations"].as_array().unwrap();
    assert!(untold.starts_with(&format!("{} violations, ", violations.len())), "{untold}");
    assert_eq!(violations[0]["kind"], "stock-differs");
    for violation in violations {
        let names: BTreeSet<&str> = violation.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["about", "found", "kind"]));
    }
    assert_eq!(told["orders"].as_u64(), Some(sum(&told["byState"])));
}

/// Of one order the last thing is said first, and what cannot be yet waits.
fn turns(report: &CashReport) {
    let orders = |prefix: &str| {
        let releases = report.ledgers.releases.iter().filter(|release| release.order_number.starts_with(prefix));
        releases.map(|release| release.order_id.clone()).collect::<Vec<_>>()
    };
    let place = |order: &String, what: &str| {
        let mut spoken = report.spoken.iter();
        spoken
            .position(|(of, said)| of == order && said == what)
            .unwrap_or_else(|| panic!("{order}: nobody said {what}"))
    };
    let (prepaid, early) = (orders("C1002-"), orders("C1211-"));
    assert_eq!((prepaid.len(), early.len()), (3, 3));
    for order in &prepaid {
        let turns = ["payment", "allocated", "confirmed", "dispatched", "packed", "picked", "invoice"];
        assert!(turns.map(|what| place(order, what)).is_sorted(), "{order}");
    }
    for order in &early {
        let turns = ["return requested", "confirmed", "credit memo", "invoice"];
        assert!(turns.map(|what| place(order, what)).is_sorted(), "{order}");
    }
    assert!(report.waited >= 6, "a return and a credit memo of each order waited: {}", report.waited);
    assert_eq!(report.exceptions.get("early-event"), None, "and none waits any more");
}

/// What the shop says of its orders is what the ERP, the warehouse and the payments say of them.
fn the_shop_knows(ledgers: &Ledgers) {
    let told = ledgers.shop_orders.iter().filter_map(|order| Some((order.ext_order_id.clone()?, order)));
    let told: BTreeMap<String, &ShopOrder> = told.collect();
    let released = ledgers.releases.iter().filter(|release| release.order_number.starts_with("000"));
    let released: BTreeSet<&String> = released.map(|release| &release.order_id).collect();
    assert_eq!(told.keys().collect::<BTreeSet<_>>(), released, "each that the warehouse got, and no other");
    assert!(told.len() >= 12, "{} orders of the shop are too few to show anything", told.len());

    let states = told.values().fold(BTreeMap::<&str, usize>::new(), |mut states, order| {
        *states.entry(order.state).or_default() += 1;
        states
    });
    assert_eq!(states, BTreeMap::from([("canceled", 3), ("complete", told.len() - 3)]));
    let own = |documents: &[ShopDocument], order: &ShopOrder| {
        documents.iter().filter(|document| document.order_id == order.entity_id).cloned().collect::<Vec<_>>()
    };
    let (mut shipments, mut invoices, mut refunds) = (0, 0, 0);
    for (id, order) in &told {
        let accepted = order.history.iter().filter(|comment| comment.comment.contains("was accepted")).count();
        assert_eq!((accepted, order.history.len()), (1, 1), "{:?}", order.history);
        let left = ledgers.shipments.iter().filter(|shipment| shipment.order_id == *id).count();
        assert_eq!(own(&ledgers.shop_shipments, order).len(), left, "shipments of {id}");
        let posted = ledgers.invoices.iter().filter(|invoice| invoice.external_document_number == id.replace('-', ""));
        let posted: Vec<Decimal> = posted.map(|invoice| invoice.total).collect();
        let invoiced =
            own(&ledgers.shop_invoices, order).iter().map(|invoice| cents(invoice.grand_total.decimal())).sum::<i64>();
        assert_eq!(invoiced, posted.iter().copied().map(cents).sum::<i64>(), "invoices of {id}");
        let back = ledgers.refunds.iter().filter(|refund| refund.metadata["order_id"] == *id && !posted.is_empty());
        let back: Vec<i64> = back.map(|refund| refund.amount).collect();
        let refunded: Vec<i64> =
            own(&ledgers.shop_refunds, order).iter().map(|memo| cents(memo.grand_total.decimal())).collect();
        assert_eq!(refunded, back, "refunds of {id}");
        (shipments, invoices, refunds) = (shipments + left, invoices + posted.len(), refunds + back.len());
    }
    let documents = (ledgers.shop_shipments.len(), ledgers.shop_invoices.len(), ledgers.shop_refunds.len());
    assert_eq!(documents, (shipments, invoices, refunds), "and nothing of any other order");
    assert_eq!(refunds, 3, "two boxes of each that came back");
}

fn cents(amount: Decimal) -> i64 {
    match amount.scale {
        0..=2 => amount.units * 10_i64.pow(u32::from(2 - amount.scale)),
        scale => amount.units / 10_i64.pow(u32::from(scale - 2)),
    }
}

/// The ledgers, and orders in them of which one thing can be changed without another: of a plain
/// order everything left, was invoiced and paid; of a returned one two boxes came back.
struct Planting<'a> {
    ledgers: &'a mut Ledgers,
    plain: [String; 2],
    returned: String,
}

impl<'a> Planting<'a> {
    fn in_(ledgers: &'a mut Ledgers) -> Self {
        let number = |prefix: &str| {
            let releases = ledgers.releases.iter().filter(|release| release.order_number.starts_with(prefix));
            releases.map(|release| release.order_id.clone()).collect::<Vec<_>>()
        };
        let (plain, returned) = (number("C1001-"), number("C1201-"));
        let plain = [plain[0].clone(), plain[1].clone()];
        Self { plain, returned: returned[0].clone(), ledgers }
    }

    /// A message to a customer that never came.
    fn unsent(&mut self, set: &str) {
        let place = self.ledgers.customers.iter().position(|entry| entry.set == set).unwrap();
        self.ledgers.customers.remove(place);
    }

    /// An answer to a change, by what it says.
    fn answer(&mut self, said: &str) -> &mut Entry {
        let mut answers = self.ledgers.customers.iter_mut().filter(|entry| entry.set == "865");
        answers.find(|entry| entry.element("BCA", 2) == said).unwrap()
    }

    /// An event that no subscriber heard.
    fn unheard(&mut self, kind: &str) {
        let place = self.ledgers.heard.iter().position(|heard| heard.kind == kind).unwrap();
        self.ledgers.heard.remove(place);
    }

    fn shipment(&mut self) -> &mut Shipment {
        let Self { ledgers, plain: [first, _], .. } = self;
        ledgers.shipments.iter_mut().find(|shipment| shipment.order_id == *first).unwrap()
    }

    fn release_line(&mut self) -> &mut ReleaseLine {
        let Self { ledgers, plain: [first, _], .. } = self;
        &mut ledgers.releases.iter_mut().find(|release| release.order_id == *first).unwrap().lines[0]
    }

    fn invoice(&mut self, plain: usize) -> &mut PostedInvoice {
        let order = self.plain[plain].replace('-', "");
        self.ledgers.invoices.iter_mut().find(|invoice| invoice.external_document_number == order).unwrap()
    }

    fn tax(&mut self) -> &mut TaxTransaction {
        let number = self.invoice(0).number.clone();
        self.ledgers.taxes.iter_mut().find(|transaction| transaction.code == number).unwrap()
    }

    fn back(&mut self) -> &mut Return {
        let Self { ledgers, returned, .. } = self;
        ledgers.returns.iter_mut().find(|back| back.order_id == *returned).unwrap()
    }

    fn memo(&mut self) -> &mut CreditMemo {
        let order = self.returned.replace('-', "");
        self.ledgers.credit_memos.iter_mut().find(|memo| memo.external_document_number == order).unwrap()
    }

    fn refund(&mut self) -> &mut Refund {
        let Self { ledgers, returned, .. } = self;
        ledgers.refunds.iter_mut().find(|refund| refund.metadata["order_id"] == *returned).unwrap()
    }

    /// One of an order of which nothing left.
    fn stopped(&self) -> &Release {
        let stopped = |release: &&Release| release.lines.iter().all(|line| line.stopped);
        self.ledgers.releases.iter().find(stopped).unwrap()
    }
}

type Plant = fn(&mut Planting<'_>);

/// A kind, and what breaks its rule.
const PLANTS: [(&str, &str, Plant); 45] = [
    ("shipped-without-release", "it left before anybody asked for it", |planting| {
        let order = planting.plain[0].clone();
        planting.ledgers.releases.iter_mut().find(|release| release.order_id == order).unwrap().at = u64::MAX;
    }),
    ("released-twice", "a second release, of which nothing leaves", |planting| {
        let stopped = planting.stopped().clone();
        planting.ledgers.releases.push(stopped);
    }),
    ("shipped-more-than-released", "as much again, and invoiced", |planting| {
        let again = planting.shipment().clone();
        planting.ledgers.shipments.push(again);
        planting.invoice(0).lines[0].quantity.units *= 2;
    }),
    ("shipped-though-stopped", "a stopped line that leaves", |planting| {
        let line = planting.release_line();
        (line.stopped, line.stopped_at) = (true, Some(0));
    }),
    ("shipped-otherwise-than-agreed", "one box fewer was agreed on", |planting| {
        planting.answer("AD").segments.iter_mut().find(|segment| segment[0] == "POC").unwrap()[3] = "6".to_owned();
    }),
    ("shipped-otherwise-than-agreed", "what was refused is shipped so", |planting| {
        planting.answer("AD").segments.iter_mut().find(|segment| segment[0] == "BCA").unwrap()[2] = "RD".to_owned();
    }),
    ("return-expected-twice", "a return that is announced again", |planting| {
        let again = Return { received: false, received_at: None, ..planting.back().clone() };
        planting.ledgers.returns.push(again);
    }),
    ("returned-more-than-shipped", "a hundred boxes come back, and are credited", |planting| {
        planting.back().lines[0].quantity.units += 100;
        planting.memo().lines[0].quantity.units += 100;
    }),
    ("stock-differs", "one that nobody moved in the ERP", |planting| planting.ledgers.stock[0].erp.units += 1),
    ("stock-differs", "one that the shop may sell, and nobody has", |planting| {
        planting.ledgers.stock[0].shop.units += 10_000;
    }),
    ("stock-differs", "one that the shop could sell, and does not", |planting| {
        planting.ledgers.stock[0].shop.units -= 10_000;
    }),
    ("open-though-stopped", "a box to come of what was stopped", |planting| {
        let stopped = planting.ledgers.releases.iter().filter(|release| release.lines[0].stopped);
        let stopped: BTreeSet<String> = stopped.map(|release| release.order_id.replace('-', "")).collect();
        let open = &mut planting.ledgers.sales_orders;
        let order = open.iter_mut().find(|order| stopped.contains(&order.external_document_number)).unwrap();
        order.lines[0].quantity.units += 1;
    }),
    ("booked-twice", "an open order in two numbers", |planting| {
        let mut open = planting.ledgers.sales_orders[0].clone();
        open.number.push('1');
        planting.ledgers.sales_orders.push(open);
    }),
    ("booked-twice", "an order that was posted whole, and is booked again", |planting| {
        let order = planting.invoice(0).external_document_number.clone();
        let again = SalesOrder { external_document_number: order, ..planting.ledgers.sales_orders[0].clone() };
        planting.ledgers.sales_orders.push(again);
    }),
    ("invoiced-without-shipment", "a line twice", |planting| {
        let line = planting.invoice(0).lines[0].clone();
        planting.invoice(0).lines.push(line);
    }),
    ("invoiced-before-shipment", "in the right sum, and too early", |planting| planting.invoice(0).at = 0),
    ("shipment-invoiced-otherwise-than-once", "one shipment twice, another never", |planting| {
        let other = planting.invoice(1).shipment.clone();
        planting.invoice(0).shipment = other;
    }),
    ("shipped-and-not-invoiced", "a line that is forgotten", |planting| drop(planting.invoice(0).lines.remove(0))),
    ("credited-without-return", "more than came back", |planting| planting.memo().lines[0].quantity.units += 1),
    ("returned-and-not-credited", "a line that is forgotten", |planting| drop(planting.memo().lines.remove(0))),
    ("taxed-otherwise-than-once", "a transaction twice", |planting| {
        let again = planting.tax().clone();
        planting.ledgers.taxes.push(again);
    }),
    ("taxed-otherwise-than-once", "written twice", |planting| planting.tax().written += 1),
    ("taxed-otherwise-than-once", "a return's type", |planting| planting.tax().document_type = "ReturnInvoice"),
    ("taxed-otherwise-than-invoiced", "another amount", |planting| planting.tax().total_amount.units += 1),
    ("taxed-otherwise-than-invoiced", "not final", |planting| planting.tax().status = TaxStatus::Saved),
    ("taxed-otherwise-than-invoiced", "another order's", |planting| {
        planting.tax().description = Some(format!("order {}: 184.00 USD and 0.00 tax", planting.plain[1]));
    }),
    ("refunded-before-receipt", "the money first", |planting| planting.refund().at = 0),
    ("refunded-before-receipt", "for another order's goods", |planting| {
        let order = planting.returned.clone();
        let other = planting.ledgers.returns.iter().find(|back| back.order_id != order).unwrap().number.clone();
        planting.refund().metadata.insert("return_number".to_owned(), other);
    }),
    ("refunded-twice", "one in two halves", |planting| {
        planting.refund().amount /= 2;
        let half = planting.refund().clone();
        planting.ledgers.refunds.push(half);
    }),
    ("refunded-more-than-paid", "more than there is", |planting| planting.refund().amount += 100_000),
    ("refunded-and-owed", "within what was paid, and owed", |planting| planting.refund().amount += 1_000),
    ("shop-not-told", "a shipment that the shop does not know", |planting| {
        drop(planting.ledgers.shop_shipments.remove(0));
    }),
    ("shop-told-twice", "an invoice twice", |planting| {
        let again = planting.ledgers.shop_invoices[0].clone();
        planting.ledgers.shop_invoices.push(again);
    }),
    ("shop-told-otherwise", "less than left", |planting| planting.ledgers.shop_shipments[0].items.clear()),
    ("customer-not-told", "a ship notice that never came", |planting| planting.unsent("856")),
    ("customer-told-more", "an invoice in two interchanges", |planting| {
        let again = planting.ledgers.customers.iter().find(|entry| entry.set == "810").unwrap().clone();
        planting.ledgers.customers.push(again);
    }),
    ("customer-told-more", "that an order is held, twice", |planting| {
        let mut held = planting.ledgers.customers.iter().filter(|entry| entry.element("BAK", 2) == "AH");
        let again = held.next().unwrap().clone();
        planting.ledgers.customers.push(again);
    }),
    ("customer-refused-it", "a number with other bytes", |planting| {
        planting.ledgers.customer_faults.push("interchange 1 came with other bytes".to_owned());
    }),
    ("change-answered-otherwise-than-once", "nobody answers", |planting| planting.unsent("865")),
    ("change-answered-otherwise-than-once", "it is refused, and refused again", |planting| {
        let again = planting.answer("RD").clone();
        planting.ledgers.customers.push(again);
    }),
    ("change-answered-otherwise-than-once", "the answer is to another change", |planting| {
        planting.answer("RD").segments.iter_mut().find(|segment| segment[0] == "BCA").unwrap()[5] = "2".to_owned();
    }),
    ("subscriber-not-told", "a shipment that nobody heard of", |planting| planting.unheard("shipment.confirmed")),
    ("subscriber-told-more", "an invoice under two names", |planting| {
        let again = planting.ledgers.heard.iter().find(|heard| heard.kind == "invoice.posted").unwrap().clone();
        planting.ledgers.heard.push(again);
    }),
    ("stream-not-told", "an invoice that is not in the stream", |planting| {
        let place = planting.ledgers.stream.iter().position(|streamed| streamed.kind == "invoice.posted").unwrap();
        planting.ledgers.stream.remove(place);
    }),
    ("stream-told-more", "an event under two ids", |planting| {
        let is_shipment = |streamed: &&Streamed| streamed.kind == "shipment.confirmed";
        let mut again = planting.ledgers.stream.iter().find(is_shipment).unwrap().clone();
        again.id = "msg_other".to_owned();
        planting.ledgers.stream.push(again);
    }),
];
