//! What bounds a plugin, and what the host does by itself, seen on the whole road:
//! budgets over several batches, refusals that people see, tests that ship nothing,
//! and failures that pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portreeve_model::Instant;
use portreeve_pipeline::{Clock, DecideError};
use portreeve_store::contract::{DocumentPosition, OrderState};

use crate::faults::{Fault, FaultyStore};
use crate::support::{MORNING, PurchaseOrder, Setup, TestHost, x12};

/// May hold 300.00 USD a day and route twice an hour. Nobody permits routes of the
/// fallback.
pub(crate) const GRANT: &str = r#"
[[grant]]
id = "obeys-within-bounds"
plugin = "obeys-the-sender"
owner = "tests@distributor.example"
expires = 2027-12-31
may = ["hold", "route"]
currency = "USD"
order_value_max_minor = 1000000
hold_minutes_max = 60
holds_per_hour_max = 100
value_held_per_day_max_minor = 30000
route_value_max_minor = 1000000
route_minutes_max = 60
routes_per_hour_max = 2
queues = ["order-desk"]
customer_classes = []
channels = []
beyond = "refuse"
fallback_queue = "order-desk"
"#;

pub(crate) const POLICY: &str = r#"
@id("obeys-holds") permit (principal == Plugin::"obeys-the-sender", action == Action::"hold", resource);
@id("obeys-routes") permit (principal == Plugin::"obeys-the-sender", action == Action::"route", resource)
when { context.routes_last_hour < 9 };
"#;

pub(crate) fn obedient() -> Setup {
    Setup::demo()
        .scorers(&["obeys-the-sender"])
        .plugin("obeys-the-sender", "{}")
        .append("grants.toml", GRANT)
        .append("policies.cedar", POLICY)
}

/// Sends an order, decides it in a batch of its own, and says what became of the
/// plugin's first proposal.
pub(crate) async fn verdict(host: &TestHost, control: u32, order: &PurchaseOrder) -> (OrderState, String) {
    host.send_edi(&x12(control, order)).await.unwrap();
    host.decide_all().await;
    let view = host.order(&order.number).await;
    let record = host.decision(&view).await;
    (view.state, record.verdicts[0].code.clone())
}

#[tokio::test]
async fn an_order_below_nothing_gives_no_budget_back_to_the_next_batch() {
    let host = obedient().start().await;
    // 231.00 of the day's 300.00.
    let first = verdict(&host, 1, &PurchaseOrder::clean("HOLD-1")).await;
    assert_eq!(first, (OrderState::Held, "granted".to_owned()));
    let below = PurchaseOrder::clean("HOLD-2").with_lines(&[("FST-1007", 1_000, "BX", "-18.40")]);
    let below = verdict(&host, 2, &below).await;
    assert_eq!(below, (OrderState::Held, "granted".to_owned()));
    let third = verdict(&host, 3, &PurchaseOrder::clean("HOLD-3")).await;
    assert_eq!(third, (OrderState::Routed, "budget-spent-queued".to_owned()));
    let metrics = host.host.pipeline.metrics.text(&[]);
    assert!(metrics.contains("portreeve_budget_spent_total{plugin=\"obeys-the-sender\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_plugin_that_routes_everything_stops_no_more_than_its_budget() {
    let host = obedient().start().await;
    let mut states = Vec::new();
    for control in 1..=4 {
        states.push(verdict(&host, control, &PurchaseOrder::clean(&format!("ROUTE-{control}"))).await.0);
    }
    // Also within one batch, an hour later.
    host.clock.advance_to(MORNING.plus_ms(61 * Instant::MINUTE_MS));
    for control in 5..=8 {
        host.send_edi(&x12(control, &PurchaseOrder::clean(&format!("ROUTE-{control}")))).await.unwrap();
    }
    host.decide_all().await;
    states.extend(host.orders().await.iter().skip(4).map(|order| order.state));
    let (routed, released) = (OrderState::Routed, OrderState::Released);
    assert_eq!(states, [routed, routed, released, released, routed, routed, released, released]);
}

#[tokio::test]
async fn a_refused_order_is_seen_by_people() {
    let host = TestHost::demo().await;
    let order = PurchaseOrder::clean("PO-1").with_lines(&[("NO-SUCH-ITEM", 1, "EA", "1.00")]);
    let view = host.decide_orders(&[order]).await.remove(0);
    assert_eq!((view.state, view.queue.as_deref()), (OrderState::Refused, Some("order-desk")));
    let exceptions = host.exceptions().await;
    assert_eq!(exceptions.len(), 1);
    assert_eq!((exceptions[0].code.as_str(), exceptions[0].queue.as_str()), ("refused-order", "order-desk"));
    assert_eq!(exceptions[0].order, Some(view.id));
    assert!(exceptions[0].detail.contains("item-unknown (line 1)"), "{}", exceptions[0].detail);
}

#[tokio::test]
async fn a_test_interchange_ships_nothing_unless_its_channel_is_for_tests() {
    let interchange = String::from_utf8(x12(1, &PurchaseOrder::clean("PO-1"))).unwrap();
    let test = interchange.replace("*0*P*>", "*0*T*>").into_bytes();
    for (setup, state) in [
        (Setup::demo(), OrderState::Held),
        (
            Setup::demo().replace("portreeve.toml", "id = \"edi\"\nconnector", "id = \"edi\"\ntest = true\nconnector"),
            OrderState::Released,
        ),
    ] {
        let host = setup.start().await;
        host.send_edi(&test).await.unwrap();
        host.decide_all().await;
        let order = host.order("PO-1").await;
        assert_eq!(order.state, state, "{}", order.why);
        assert_eq!(order.why.contains("test-order"), state == OrderState::Held, "{}", order.why);
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_again_and_after_some_tries_a_person_gets_it() {
    let host = obedient().start().await;
    for (control, number) in [(1, "LATER-1"), (2, "PO-2")] {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
    }
    host.decide_all().await;
    let decided: Vec<String> = host.orders().await.into_iter().map(|order| order.number).collect();
    assert_eq!(decided, ["PO-2"], "the neighbour goes on");
    assert_eq!(host.exceptions().await.len(), 0);
    let mut tries = 1;
    while host.orders().await.len() == 1 {
        assert!(host.decide_all().await.is_empty(), "not before its time");
        host.clock.advance_to(host.host.pipeline.clock.now().plus_ms(60_000));
        host.decide_all().await;
        tries += 1;
        assert!(tries < 20, "it is tried for ever");
    }
    assert_eq!(tries, 5);
    let order = host.order("LATER-1").await;
    assert_eq!(order.state, OrderState::Exception);
    assert_eq!(host.exceptions().await[0].code, "scorer-retry");
}

/// Fails at one call, as a bug in the host would.
struct FaultyClock {
    good_calls: AtomicU32,
}

impl Clock for FaultyClock {
    fn now(&self) -> Instant {
        let left = self.good_calls.fetch_sub(1, Ordering::SeqCst);
        assert!(left != 0, "the clock is out of order");
        MORNING
    }
}

#[tokio::test]
async fn a_document_that_the_host_fails_on_goes_to_a_person_and_its_neighbours_go_on() {
    let host = obedient().start().await;
    for (control, number) in [(1, "LATER-1"), (2, "PO-2")] {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
    }
    // The opening asks for the time, then the batch; the next time it is asked for while
    // the first order is scored.
    let host = host.with_clock(Arc::new(FaultyClock { good_calls: AtomicU32::new(2) })).await;
    let batch = host.host.pipeline.decide(64).await.unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(batch.iter().any(|result| matches!(result, Err(DecideError::SetAside(_)))));
    host.decide_all().await;
    let exceptions = host.exceptions().await;
    assert_eq!((exceptions[0].stage.as_str(), exceptions[0].code.as_str()), ("decide", "host-fault"));
    assert_eq!(host.orders().await.len(), 1);
    assert_eq!(host.summary().await.undecided, 0);
}

#[tokio::test]
async fn a_panic_of_the_host_between_the_plugins_costs_one_document_and_not_the_road() {
    let host = TestHost::demo().await;
    let (host, store) = host.restart_behind(|store| FaultyStore::new(store, "none", Fault::NotPersisted, 0)).await;
    for control in 1..=3 {
        host.send_edi(&x12(control, &PurchaseOrder::clean(&format!("PO-{control}")))).await.unwrap();
    }
    store.panic_at(DocumentPosition(2));
    let all = host.host.pipeline.decide(64).await;
    assert!(matches!(all, Err(DecideError::Panicked { documents: 3 })), "{all:?}");
    let mut decided = Vec::new();
    loop {
        match host.host.pipeline.decide(64).await.unwrap().as_slice() {
            [] => break,
            [one] => decided.push(one.is_ok()),
            several => panic!("{several:?}"),
        }
    }
    assert_eq!(decided, [true, false, true, true], "the second goes to a person before the third");
    let numbers: Vec<String> = host.orders().await.into_iter().map(|order| order.number).collect();
    assert_eq!(numbers, ["PO-1", "PO-3"]);
    let exceptions = host.exceptions().await;
    assert_eq!((exceptions.len(), exceptions[0].code.as_str()), (1, "host-fault"));
    assert_eq!(host.summary().await.undecided, 0);

    // It took nothing along for good.
    for control in 4..=5 {
        host.send_edi(&x12(control, &PurchaseOrder::clean(&format!("PO-{control}")))).await.unwrap();
    }
    assert_eq!(host.host.pipeline.decide(64).await.unwrap().len(), 2);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_place_that_is_not_the_customers_is_held_and_a_number_of_theirs_becomes_ours() {
    let host = TestHost::demo().await;
    let text = String::from_utf8(x12(1, &PurchaseOrder::clean("PO-1"))).unwrap();
    let elsewhere = text.replace("*92*C-1201-01~", "*92*C-1201-77~");
    assert_ne!(elsewhere, text);
    host.send_edi(elsewhere.as_bytes()).await.unwrap();
    // The buyer's number only, as reference/cross-reference.csv knows it.
    let theirs =
        String::from_utf8(x12(2, &PurchaseOrder::clean("PO-2"))).unwrap().replace("*VP*FST-1007~", "*BP*NG-1007~");
    host.send_edi(theirs.as_bytes()).await.unwrap();
    host.decide_all().await;
    let held = host.order("PO-1").await;
    assert_eq!((held.state, held.queue.as_deref()), (OrderState::Held, Some("customer-service")));
    assert!(held.why.contains("ship-to-unknown"), "{}", held.why);
    let translated = host.order("PO-2").await;
    assert_eq!(translated.state, OrderState::Released, "{}", translated.why);
    let event = String::from_utf8(host.store.payload(translated.event).await.unwrap()).unwrap();
    assert!(event.contains("\"sku\":\"FST-1007\",\"buyerSku\":\"NG-1007\""), "{event}");
}
