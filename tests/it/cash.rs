//! Order to cash, as the demo plays it: what its orders come to, that nothing in the systems'
//! ledgers must not be there, and that whoever looks for such things finds them.

use std::collections::{BTreeMap, BTreeSet};

use portreeve::demo::DemoOptions;
use portreeve::demo::cash::ledgers::{KINDS, Ledgers, Violation};
use portreeve::demo::cash::{self, CashReport, Outage};
use portreeve::output::Output;
use portreeve::standins::shop::{ShopDocument, ShopOrder};
use portreeve_model::value::Decimal;

async fn played(folder: &std::path::Path) -> CashReport {
    let options = DemoOptions { data_dir: Some(folder.to_owned()), workers: None, json: false };
    cash::run(&options, &mut Output::silent()).await.unwrap()
}

fn ends(report: &CashReport, case: &str) -> (u64, Vec<String>) {
    let row = report.cases.iter().find(|row| row.case == case).unwrap_or_else(|| panic!("no case `{case}`"));
    (row.for_a_person, row.ends.iter().map(|(state, count)| format!("{count} {state}")).collect())
}

fn kinds(violations: &[Violation]) -> BTreeSet<&'static str> {
    violations.iter().map(|violation| violation.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_orders_comes_to_its_money_and_nothing_is_in_the_ledgers_that_must_not_be() {
    let folder = tempfile::tempdir().unwrap();
    let report = played(&folder.path().join("day")).await;

    assert_eq!(report.violations, []);
    assert!(report.audit.verified);
    for (case, waits, state) in [
        ("nothing special", 0, "4 settled"),
        ("prepaid", 0, "4 settled"),
        ("short shipment, prepaid", 0, "4 settled"),
        ("cancelled when released", 0, "4 refused"),
        ("cancelled when accepted, prepaid", 0, "4 cancelled"),
        ("cancelled when allocated", 0, "4 cancelled"),
        ("cancelled when picked, prepaid", 0, "4 cancelled"),
        ("cancelled when packed", 0, "4 cancelled"),
        ("cancelled when shipped, prepaid", 0, "4 credited"),
        ("cancelled when invoiced", 0, "4 credited"),
        ("two boxes come back", 0, "4 credited"),
        ("paid too much", 4, "4 settled"),
        ("cancelled in the shop, prepaid", 0, "4 cancelled"),
        ("bought in the shop, two boxes back", 0, "4 credited"),
    ] {
        assert_eq!(ends(&report, case), (waits, vec![state.to_owned()]), "{case}");
    }
    let Outage { waiting, waiting_elsewhere } = report.outage;
    assert!(waiting > 0, "finance was down when goods left");
    assert_eq!(waiting_elsewhere, 0, "and nobody else waited for it");
    assert!(report.said_again > 50 && report.retried > 50, "{} {}", report.said_again, report.retried);
    // Prepaid and cancelled: all of it; short: three boxes; back: two; shipped and back: all; in the
    // shop cancelled and two boxes back.
    let expected = 4 * (18_400 + 18_400 + 3 * 3_480 + 2 * 1_840 + 18_400 + 18_400 + 2 * 1_840);
    assert_eq!(report.systems.refunded_minor, expected);
    let owed = report.systems.invoiced_minor + 4 * 500;
    assert_eq!(report.systems.paid_minor - report.systems.refunded_minor, owed, "but for what was paid too much");

    the_shop_knows(&report.ledgers);

    // One of each kind, planted where the systems write: each is found, and nothing else is.
    for (kind, plant) in KINDS.into_iter().zip(PLANTS) {
        let mut ledgers = report.ledgers.clone();
        plant(&mut ledgers);
        assert_eq!(kinds(&ledgers.violations()), BTreeSet::from([kind]), "{kind}");
    }
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
    assert_eq!(states, BTreeMap::from([("canceled", 4), ("complete", told.len() - 4)]));
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
    assert_eq!(refunds, 4, "two boxes of each that came back");
}

fn cents(amount: Decimal) -> i64 {
    match amount.scale {
        0..=2 => amount.units * 10_i64.pow(u32::from(2 - amount.scale)),
        scale => amount.units / 10_i64.pow(u32::from(scale - 2)),
    }
}

/// What breaks each of [`KINDS`], in their order.
const PLANTS: [fn(&mut Ledgers); 10] = [
    |ledgers| {
        // It left before anybody asked for it.
        let first = ledgers.shipments[0].order_id.clone();
        ledgers.releases.iter_mut().find(|release| release.order_id == first).unwrap().at = u64::MAX;
    },
    |ledgers| {
        // One of an order of which nothing left, so that nothing but the release is there twice.
        let stopped = ledgers.releases.iter().find(|release| release.lines.iter().all(|line| line.stopped));
        ledgers.releases.push(stopped.unwrap().clone());
    },
    |ledgers| {
        let open = ledgers.sales_orders[0].clone();
        ledgers.sales_orders.push(open);
    },
    |ledgers| {
        // As much again, and invoiced: nobody had asked for it.
        ledgers.shipments.push(ledgers.shipments[0].clone());
        let number = ledgers.shipments[0].order_id.replace('-', "");
        let invoices = ledgers.invoices.iter_mut();
        for line in invoices.filter(|invoice| invoice.external_document_number == number).flat_map(|i| &mut i.lines) {
            line.quantity.units *= 2;
        }
    },
    |ledgers| {
        let line = ledgers.invoices[0].lines[0].clone();
        ledgers.invoices[0].lines.push(line);
    },
    |ledgers| {
        ledgers.invoices[0].lines.remove(0);
    },
    |ledgers| {
        let for_goods = ledgers.refunds.iter_mut().find(|refund| refund.metadata["cause"] == "goods-return");
        for_goods.unwrap().at = 0;
    },
    |ledgers| ledgers.refunds[0].amount += 100_000,
    |ledgers| {
        let again = ledgers.taxes[0].clone();
        ledgers.taxes.push(again);
    },
    |ledgers| {
        let Decimal { units, scale } = ledgers.stock[0].erp;
        ledgers.stock[0].erp = Decimal { units: units + 1, scale };
    },
];
