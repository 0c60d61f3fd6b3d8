//! Scorers that want as much as they can get: the most about every order, something else when
//! they are asked again, more advice than anybody can read. Each causes what its grant says,
//! and customers that no grant names feel nothing of it.

use portreeve_model::reference::{Field, FieldValue, Row};
use portreeve_record::leaf::{Code, ReferenceLeaf};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::contract::{OrderState, OrderView};

use crate::authority::obedient;
use crate::faults::{Fault, FaultyStore};
use crate::support::{MORNING, PurchaseOrder, Setup, TestHost, x12};

/// A customer of each of two classes, in the demo's table.
const STANDARD: &str = "C1201";
const PRIORITY: &str = "C1101";

/// Sends so many orders of each customer, with this in their numbers, and decides them
/// together.
async fn wave(host: &TestHost, wish: &str, orders: u32, customers: &[&'static str]) -> Vec<OrderView> {
    let mut control = 0;
    for number in 0..orders {
        for customer in customers {
            control += 1;
            let order = PurchaseOrder::clean(&format!("{wish}-{number}-{customer}")).of_customer(customer);
            host.send_edi(&x12(control, &order)).await.unwrap();
        }
    }
    host.decide_all().await;
    host.orders().await
}

/// What became of the first proposal about each order of a customer.
async fn first_verdicts(host: &TestHost, orders: &[OrderView], customer: &str) -> Vec<String> {
    let mut codes = Vec::new();
    for order in orders.iter().filter(|order| order.number.ends_with(customer)) {
        codes.push(host.decision(order).await.verdicts[0].code.clone());
    }
    codes
}

#[tokio::test]
async fn who_wants_every_order_held_gets_its_budget_and_priority_customers_go_through() {
    // A standard customer, and one whose class no grant of the plugin names.
    let setup = obedient()
        .replace(
            "grants.toml",
            "customer_classes = []\nchannels = []\nbeyond = \"refuse\"",
            "customer_classes = [\"standard\"]\nchannels = []\nbeyond = \"refuse\"",
        )
        .replace("grants.toml", "value_held_per_day_max_minor = 30000", "value_held_per_day_max_minor = 100000");
    let host = setup.start().await;
    let orders = wave(&host, "HOLD-ROUTE", 8, &[STANDARD, PRIORITY]).await;
    // 231.00 each: four are within 1,000.00 a day, and a spent budget queues.
    let of_standard = first_verdicts(&host, &orders, STANDARD).await;
    let (granted, queued) = (["granted"; 4], ["budget-spent-queued"; 4]);
    assert_eq!(of_standard, [granted, queued].concat());
    assert_eq!(first_verdicts(&host, &orders, PRIORITY).await, ["customer-class-not-granted"; 8]);
    let of_priority = orders.iter().filter(|order| order.number.ends_with(PRIORITY));
    assert!(of_priority.clone().count() == 8 && of_priority.clone().all(|order| order.state == OrderState::Released));
    let metrics = host.host.pipeline.metrics.text(&[]);
    assert!(metrics.contains("portreeve_budget_spent_total{plugin=\"obeys-the-sender\"}"), "{metrics}");
    let refused = "portreeve_clauses_unmet_total{plugin=\"obeys-the-sender\",grant=\"obeys-within-bounds\",clause=\"customer_classes\",outcome=\"refused\"} 16";
    assert!(metrics.contains(refused), "{metrics}");
}

#[tokio::test]
async fn who_floods_people_with_advice_it_was_not_granted_is_written_down_and_changes_nothing() {
    let host = obedient().start().await;
    let orders = wave(&host, "FLOOD", 3, &[STANDARD]).await;
    for order in &orders {
        assert_eq!((order.state, order.recommended), (OrderState::Released, false), "{}", order.why);
        let record = host.decision(order).await;
        assert_eq!(record.verdicts.len(), 8);
        assert!(record.verdicts.iter().all(|verdict| verdict.code == "rung-not-granted"));
    }
    assert_eq!(host.exceptions().await.len(), 0, "nobody is told eight times");
    host.verify().await.unwrap();
}

/// Says from now on what the plugin wants.
async fn mood(host: &TestHost, version: u64, mood: &str) {
    let body = ReferenceLeaf {
        table: Code::of("mood"),
        version,
        digest: portreeve_model::Digest::of(mood.as_bytes()),
        rows: 1,
        who: None,
    };
    let leaf = Leaf::new("test", MORNING, LeafBody::Reference(body)).unwrap();
    let row = Row(vec![Field { name: "mood".to_owned(), value: FieldValue::Text(mood.to_owned()) }]);
    host.store.load_reference("mood", vec![("now".to_owned(), row)], leaf).await.unwrap();
}

#[tokio::test]
async fn who_changes_its_mind_when_it_is_asked_again_has_said_what_was_committed() {
    let moody = || {
        let setup = Setup::demo().scorers(&["changes-its-mind"]);
        setup
            .plugin("changes-its-mind", "{ lookup = [\"mood\"] }")
            .append("grants.toml", &crate::authority::GRANT.replace("obeys-the-sender", "changes-its-mind"))
            .append("policies.cedar", &crate::authority::POLICY.replace("obeys-the-sender", "changes-its-mind"))
    };
    // A commit that failed leaves nothing of the first answer, and one that persisted all of it.
    for (fault, state, holds, routes) in
        [(Fault::NotPersisted, OrderState::Routed, 0, 1), (Fault::PersistedButFailed, OrderState::Held, 1, 0)]
    {
        let host = moody().start().await;
        mood(&host, 1, "hold").await;
        let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "commit_decisions", fault, 0)).await;
        host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
        host.host.pipeline.decide(8).await.unwrap_err();
        mood(&host, 2, "route").await;
        host.decide_all().await;
        let order = host.order("PO-1").await;
        assert_eq!(order.state, state, "{fault:?}: {}", order.why);
        let used = host.host.pipeline.in_use().await.unwrap();
        let own = used.grants.iter().find(|used| used.grant.plugin.as_str() == "changes-its-mind").unwrap();
        let of = |name| own.budgets.iter().find(|budget| budget.name == name).unwrap().used;
        assert_eq!((of("holds_per_hour_max"), of("routes_per_hour_max")), (holds, routes), "{fault:?}");
        host.verify().await.unwrap();
    }

    // It asks for time first: nothing is decided on its word until it gives one.
    let host = moody().start().await;
    mood(&host, 1, "later").await;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    assert!(host.decide_all().await.is_empty());
    mood(&host, 2, "hold").await;
    host.clock.advance_to(MORNING.plus_ms(60_000));
    host.decide_all().await;
    assert_eq!(host.order("PO-1").await.state, OrderState::Held);
    mood(&host, 3, "route").await;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    assert!(host.decide_all().await.is_empty(), "the same again is asked about nobody");
    assert_eq!(host.order("PO-1").await.state, OrderState::Held);
}
