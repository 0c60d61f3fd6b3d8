//! Order to cash, as the demo plays it: what its orders come to, that nothing in the systems'
//! ledgers must not be there, and that whoever looks for such things finds them.

use std::collections::BTreeSet;

use portreeve::demo::DemoOptions;
use portreeve::demo::cash::ledgers::{KINDS, Ledgers, Violation};
use portreeve::demo::cash::{self, CashReport, Outage};
use portreeve::output::Output;
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
    ] {
        assert_eq!(ends(&report, case), (waits, vec![state.to_owned()]), "{case}");
    }
    let Outage { waiting, waiting_elsewhere } = report.outage;
    assert!(waiting > 0, "finance was down when goods left");
    assert_eq!(waiting_elsewhere, 0, "and nobody else waited for it");
    assert!(report.said_again > 50 && report.retried > 50, "{} {}", report.said_again, report.retried);
    // Prepaid and cancelled: all of it; short: three boxes; back: two; shipped and back: all.
    let expected = 4 * (18_400 + 18_400 + 3 * 3_480 + 2 * 1_840 + 18_400);
    assert_eq!(report.systems.refunded_minor, expected);
    let owed = report.systems.invoiced_minor + 4 * 500;
    assert_eq!(report.systems.paid_minor - report.systems.refunded_minor, owed, "but for what was paid too much");

    // One of each kind, planted where the systems write: each is found, and nothing else is.
    for (kind, plant) in KINDS.into_iter().zip(PLANTS) {
        let mut ledgers = report.ledgers.clone();
        plant(&mut ledgers);
        assert_eq!(kinds(&ledgers.violations()), BTreeSet::from([kind]), "{kind}");
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
