//! A connector's state: its own, about one order, committed with the receipt.

use std::collections::BTreeMap;

use portreeve_model::PluginName;

use crate::support::{PurchaseOrder, Setup, TestHost, x12};

/// The hostile connector as the ERP's, doing this in each delivery.
fn acting(settings: &str) -> Setup {
    Setup::demo()
        .plugin("hostile-connector", "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }")
        .replace("portreeve.toml", "connector = \"erp-rest\"", "connector = \"hostile-connector\"")
        .replace("portreeve.toml", "settings = { base-url", &format!("settings = {{ {settings}, base-url"))
}

/// What is in the store, by plugin, scope and key.
fn kept(host: &TestHost) -> BTreeMap<(String, String, String), Vec<u8>> {
    let database = rusqlite::Connection::open(host.locations().data.join("store/portreeve.db")).unwrap();
    let mut rows = database.prepare("SELECT plugin, scope, key, value FROM kv").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?));
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_connector_remembers_about_each_order_what_its_own_attempts_committed() {
    let host = acting("act = \"count\", delivered = \"retry\"").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2")]).await;
    for _ in 0..3 {
        host.deliver_due().await;
        host.clock.advance_to(host.store.next_due().await.unwrap().unwrap());
    }
    let kept = kept(&host);
    for number in ["PO-1", "PO-2"] {
        let order = host.order(number).await;
        let attempts = usize::try_from(order.deliveries[0].attempts).unwrap();
        let key = ("hostile-connector".to_owned(), order.id.to_string(), "count".to_owned());
        assert_eq!(kept[&key].len(), attempts, "one byte more with each attempt, and none of another order");
    }
    assert_eq!(kept.len(), 2);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_call_that_ends_badly_leaves_no_state() {
    let host = acting("act = \"write-and-trap\"").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_due().await;
    assert!(kept(&host).is_empty());
}

#[tokio::test]
async fn another_plugins_state_and_another_orders_have_no_name() {
    let host = acting("act = \"pry\"").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    // Somebody else's state about this order, and its own about another one, under the
    // names that it asks for.
    let order = host.order("PO-1").await.id;
    let database = rusqlite::Connection::open(host.locations().data.join("store/portreeve.db")).unwrap();
    for (plugin, scope) in [("erp-rest", order.to_string()), ("hostile-connector", "another-order".to_owned())] {
        for key in ["count", "", "%"] {
            database
                .execute(
                    "INSERT INTO kv (plugin, scope, key, value) VALUES (?1, ?2, ?3, x'00')",
                    rusqlite::params![plugin, scope, key],
                )
                .unwrap();
        }
    }
    host.deliver_due().await;
    // It traps when it finds any of it.
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
    let of_the_other = host.store.state(&PluginName::parse("erp-rest").unwrap(), order).await.unwrap();
    assert_eq!(of_the_other.len(), 3, "it is there for whom it belongs to");
}

#[tokio::test]
async fn a_flood_of_state_ends_at_the_limit_of_an_order_and_the_order_goes_on() {
    let host = acting("act = \"keys\", count = \"1000\", bytes = \"1000\"").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_due().await;
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    host.decide_all().await;
    host.deliver_due().await;
    let kept = kept(&host);
    assert_eq!(kept.len(), 2 * 64, "64 keys of each order");
    assert_eq!(host.order("PO-2").await.deliveries[0].state, "delivered");
}
