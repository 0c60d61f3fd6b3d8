//! Invariant 7: re-derivable. The record of a decision is enough to score again,
//! and the answer is the same bit for bit; what differs is noticed. How many worked
//! on a batch, and where it was cut, changes nothing.

use std::path::{Path, PathBuf};

use portreeve_model::{Digest, OrderId};
use portreeve_pipeline::rederive::{RederiveError, Rederived};
use portreeve_store::StoreError;
use portreeve_store::contract::{DocumentPosition, OrderState, OrderView};

use super::leaf;
use crate::support::{PurchaseOrder, Setup, TestHost, component, sample, sign, x12};

/// A policy that looks at a counter of all orders: whoever counts the orders of a
/// batch otherwise than those of earlier batches, decides otherwise.
const COUNTING: &str = r#"
@id("every-second-order-of-the-hour")
permit (principal == Plugin::"obeys-the-sender", action == Action::"route", resource)
when { [1, 3, 5, 7, 9, 11].contains(context.orders_last_hour) };
"#;

const ROUTE_GRANT: &str = r#"
[[grant]]
id = "obeys-routes"
plugin = "obeys-the-sender"
owner = "tests@distributor.example"
expires = 2027-12-31
may = ["route"]
currency = "USD"
route_value_max_minor = 10000000
route_minutes_max = 60
routes_per_hour_max = 1000
queues = ["order-desk"]
customer_classes = []
channels = []
beyond = "refuse"
"#;

#[tokio::test]
async fn invariant_7_rederivable_every_decision_comes_out_the_same_after_a_restart() {
    let host = TestHost::demo().await;
    feed_samples(&host, 20).await;
    host.decide_all().await;
    let host = host.restart().await;
    let (mut scorers, mut verdicts, mut orders_scored) = (0, 0, 0);
    for order in host.orders().await {
        match host.rederive(order.id).await.unwrap() {
            Rederived::Same(compared) if compared.scorers == 0 => {
                assert_eq!(order.state, OrderState::Refused, "{}", order.number);
                assert!(compared.rules, "{}", order.number);
            }
            Rederived::Same(compared) => {
                assert!(compared.rules && compared.left_out.is_empty(), "{compared:?}");
                verdicts += compared.verdicts;
                (scorers, orders_scored) = (scorers + compared.scorers, orders_scored + 1);
            }
            other => panic!("{}: {other:?}", order.number),
        }
    }
    assert!(orders_scored >= 15 && scorers == orders_scored * 3, "{orders_scored} orders, {scorers} assessments");
    assert!(verdicts > 0, "no verdict was made again");
}

#[tokio::test]
async fn invariant_7_rederivable_what_differs_is_noticed() {
    let host = TestHost::demo().await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await.remove(0);
    assert_eq!(scorers_alike(&host, order.id).await, 3);

    // Less fuel: the scorer no longer comes to its assessment.
    let starved = Setup::demo().grant("margin", "{ lookup = [\"item\"], limits = { fuel = 1000 } }");
    let host = host.restart_as(starved).await;
    let Rederived::Different(differences) = host.rederive(order.id).await.unwrap() else { panic!("no difference") };
    assert!(differences.iter().any(|difference| difference.contains("`margin`: the assessment")), "{differences:?}");
    assert!(differences.iter().all(|difference| difference.contains("margin")), "{differences:?}");

    // Another component of the same behaviour: the record names the digest.
    let folder = tempfile::tempdir().unwrap();
    let other = with_another_section(&component("fraud"), folder.path());
    let replaced = Setup::demo().replace(
        "portreeve.toml",
        "component = \"fraud.wasm\"",
        &format!("component = \"{}\"", other.display()),
    );
    let host = host.restart_as(replaced).await;
    let Rederived::Different(differences) = host.rederive(order.id).await.unwrap() else { panic!("no difference") };
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].contains("`fraud` is component"), "{differences:?}");

    // With what was installed then, it is the same again: looked-up answers are those on record.
    let host = host.restart_as(Setup::demo()).await;
    host.store.load_reference("item", Vec::new(), leaf(1)).await.unwrap();
    assert_eq!(scorers_alike(&host, order.id).await, 3);
}

#[tokio::test]
async fn invariant_7_rederivable_a_record_that_was_put_in_the_place_of_another_is_noticed() {
    let host = TestHost::demo().await;
    let orders = host.decide_orders(&[PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2")]).await;
    let (one, two) = (orders[0].id, orders[1].id);
    let unknown = host.host.pipeline.rederive(one).await.unwrap_err();
    assert!(matches!(unknown, RederiveError::NotInLog(order) if order == one), "{unknown}");
    assert_eq!(scorers_alike(&host, one).await, 3);

    let database = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    let replaced_by_that_of_the_other = |columns: &str| {
        let sql = format!("UPDATE orders SET ({columns}) = (SELECT {columns} FROM orders WHERE id = ?2) WHERE id = ?1");
        assert_eq!(database.execute(&sql, [one.to_string(), two.to_string()]).unwrap(), 1);
    };
    // Its payload opens and can be derived again; only the log knows better, whatever the row points to.
    for columns in ["decision, event", "decision, event, leaf"] {
        replaced_by_that_of_the_other(columns);
        let Rederived::Different(differences) = host.rederive(one).await.unwrap() else { panic!("no difference") };
        assert!(differences[0].contains("the store was changed"), "{differences:?}");
    }
    assert_eq!(scorers_alike(&host, two).await, 3);
}

#[tokio::test]
async fn invariant_7_rederivable_an_erased_customers_order_is_proved_and_cannot_be_read() {
    let host = TestHost::demo().await;
    let theirs = PurchaseOrder::clean("PO-2").of_customer("C1202");
    let orders = host.decide_orders(&[PurchaseOrder::clean("PO-1"), theirs]).await;
    host.deliver_all().await;
    let [erased, kept] = [&orders[0], &orders[1]];
    assert_eq!(scorers_alike(&host, erased.id).await, 3);

    let database = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    let blob = |sql: &str, key: &[u8]| -> Vec<u8> { database.query_row(sql, [key], |row| row.get(0)).unwrap() };
    let about = async |order: &OrderView| {
        let subject = blob(
            "SELECT subject FROM payload_key WHERE payload = (SELECT id FROM payload WHERE commitment = ?1)",
            order.decision.commitment.as_bytes(),
        );
        let subject = Digest::from_bytes(subject.try_into().unwrap());
        host.store.payloads_about(subject).await.unwrap()
    };
    let left = about(kept).await;
    let about = about(erased).await;
    assert_eq!(about.len(), 4, "the input, the document in it, the event and the decision");
    for payload in &about {
        host.store.payload(*payload).await.unwrap();
        let destroyed = database.execute(
            "DELETE FROM payload_key WHERE payload = (SELECT id FROM payload WHERE commitment = ?1)",
            [payload.commitment.as_bytes()],
        );
        assert_eq!(destroyed.unwrap(), 1);
    }
    for payload in about {
        let gone = host.store.payload(payload).await;
        assert!(matches!(gone, Err(StoreError::Erased(_))), "{gone:?}");
    }
    // Nothing that is left opens to a document of this order.
    let keys: i64 = database.query_row("SELECT count(*) FROM payload_key", [], |row| row.get(0)).unwrap();
    assert_eq!((keys, left.len()), (4, 4));
    for payload in left {
        let bytes = host.store.payload(payload).await.unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("PO-1"));
    }
    assert_eq!(host.rederive(erased.id).await.unwrap(), Rederived::Erased);
    assert_eq!(scorers_alike(&host, kept.id).await, 3);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_7_rederivable_workers_and_the_cut_of_batches_change_no_decision() {
    let mut decided = Vec::new();
    for (workers, batch) in [(1, 64), (4, 64), (1, 1), (4, 3)] {
        let host = Setup::demo()
            .scorers(&["obeys-the-sender", "fraud", "margin", "fulfilment"])
            .plugin("obeys-the-sender", "{}")
            .append("grants.toml", ROUTE_GRANT)
            .append("policies.cedar", COUNTING)
            .workers(workers)
            .start()
            .await;
        feed_orders_that_count(&host).await;
        feed_samples(&host, 12).await;
        host.decide_in_batches(batch).await;
        let fingerprints = host.store.decision_fingerprints(DocumentPosition(0), 500).await.unwrap();
        let orders: Vec<_> =
            host.orders().await.into_iter().map(|order| (order.number, order.state, order.why)).collect();
        let routed =
            orders.iter().filter(|(number, state, _)| number.starts_with("ROUTE") && *state == OrderState::Routed);
        assert_eq!(routed.count(), 4, "{orders:?}");
        decided.push((workers, batch, orders, fingerprints));
    }
    let (_, _, orders, fingerprints) = &decided[0];
    assert!(fingerprints.len() >= 30, "{}", fingerprints.len());
    for (workers, batch, other_orders, other) in &decided[1..] {
        assert_eq!(orders, other_orders, "{workers} workers, batches of {batch}");
        assert_eq!(fingerprints, other, "{workers} workers, batches of {batch}");
    }
}

/// How many scorers said the same again about an order of which nothing was left out.
async fn scorers_alike(host: &TestHost, order: OrderId) -> usize {
    match host.rederive(order).await.unwrap() {
        Rederived::Same(compared) if compared.rules && compared.left_out.is_empty() => compared.scorers,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn invariant_7_rederivable_other_rules_and_grants_are_left_out_and_not_counted_as_alike() {
    let host = TestHost::demo().await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await.remove(0);
    let other = Setup::demo().replace("rules.toml", "price_tolerance_bp = 500", "price_tolerance_bp = 501").replace(
        "grants.toml",
        "hold_minutes_max = 480",
        "hold_minutes_max = 479",
    );
    let host = host.restart_as(other).await;
    let Rederived::Same(compared) = host.rederive(order.id).await.unwrap() else { panic!("no answer") };
    assert_eq!((compared.rules, compared.verdicts, compared.scorers), (false, 0, 3));
    assert_eq!(compared.left_out.len(), 2, "{compared:?}");
}

/// The first samples of both channels.
async fn feed_samples(host: &TestHost, of_each: usize) {
    for number in 1..=of_each {
        host.send_edi(&sample("x12", &format!("{number:04}-"))).await.unwrap();
        host.send_shop(&sample("adobe-commerce", &format!("{number:04}-"))).await.unwrap();
    }
}

/// Orders of which some are refused before they are scored, and others wish for a
/// route, which a counter decides about.
async fn feed_orders_that_count(host: &TestHost) {
    for number in 0..12_u32 {
        let mut order = PurchaseOrder::clean(&format!("ROUTE-{number}"));
        if number % 3 == 0 {
            order = order.with_lines(&[("NO-SUCH-ITEM", 1, "EA", "1.00")]);
        }
        host.send_edi(&x12(900 + number, &order)).await.unwrap();
    }
}

/// A component with one more custom section: other bytes, the same behaviour.
fn with_another_section(component: &Path, folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(component).unwrap();
    bytes.extend_from_slice(b"\x00\x05\x04more");
    let path = folder.join("fraud-again.wasm");
    std::fs::write(folder.join("fraud-again.wasm.sig"), sign(&bytes)).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}
