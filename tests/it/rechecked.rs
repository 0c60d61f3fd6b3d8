//! Credit once more before picking: when a warehouse sets stock aside, people hear of an order that its
//! account would not bear any more, and nothing happens to it by itself.

use portreeve_model::{ExceptionKind, Instant, OrderId, ProcessState};
use portreeve_pipeline::Clock;
use portreeve_pipeline::rederive::Rederived;
use portreeve_store::contract::OrderState;
use serde_json::{Value, json};

use crate::kept_back::{credit_row, load, with_credit};
use crate::process::{accepted, boxes, confirmed, released, said, ten, told, with_systems};
use crate::support::{Setup, TestHost, exceptions, x12};

/// A host whose warehouse speaks, with this said of credit.
async fn host(rule: &str) -> TestHost {
    let setup: Setup = with_systems(with_credit());
    setup
        .replace("rules.toml", "[rules.credit]\ncheck = true", &format!("[rules.credit]\ncheck = true{rule}"))
        .start()
        .await
}

/// What finance says of the customer's account as of now, in cents.
async fn figures(host: &TestHost, limit_minor: i64) {
    load(host, "credit", vec![credit_row("C-1201", limit_minor, 0, host.clock.now())]).await;
}

fn allocated(order: OrderId, count: i64) -> Value {
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "node": "DC-EAST", "quantity": boxes(count)});
    said("inventory.allocated", json!({"orderNumber": order, "lines": [line]}))
}

async fn is_the_same(host: &TestHost, order: OrderId) {
    host.verify().await.unwrap();
    let again = host.rederive(order).await.unwrap();
    assert!(matches!(again, Rederived::Same(_)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_its_account_does_not_bear_any_more_is_a_persons_before_it_is_picked() {
    let host = host("").await;
    figures(&host, 100_000).await;
    let order = released(&host, "PO-1").await;
    figures(&host, 10_000).await;
    told(&host, &[accepted(order), allocated(order, 4)]).await;
    assert_eq!(host.codes().await, ["credit-before-picking"]);
    let waits = host.exceptions().await.remove(0);
    assert_eq!((waits.kind, waits.order), (ExceptionKind::Order, Some(order)));
    let owner = host.host.pipeline.routes.owner_of(&waits).unwrap();
    assert_eq!(owner.part.as_str(), "business");
    assert!(waits.detail.starts_with("found an exposure of 184.00 USD on account `C-1201`"), "{}", waits.detail);
    assert!(waits.detail.contains("100.00 USD or less, its limit"), "{}", waits.detail);
    // It goes on as it is: people decide.
    assert_eq!(host.order("PO-1").await.state, OrderState::Released);
    assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted), "six boxes are not set aside yet");
    told(&host, &[allocated(order, 6)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Allocated));
    assert_eq!(host.codes().await, ["credit-before-picking"], "they know");
    is_the_same(&host, order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_an_order_that_is_part_shipped_is_looked_at_before_it_is_picked() {
    let host = host("").await;
    figures(&host, 100_000).await;
    let order = released(&host, "PO-1").await;
    told(&host, &[accepted(order), allocated(order, 4), confirmed(order, "S-1", 4)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::PartShipped));
    assert_eq!(host.codes().await, Vec::<String>::new());
    figures(&host, 10_000).await;
    told(&host, &[allocated(order, 6)]).await;
    assert_eq!(host.codes().await, ["credit-before-picking"]);
    assert_eq!(host.process_state(order).await, Some(ProcessState::PartShipped));
    is_the_same(&host, order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_of_what_its_account_bears_and_nobody_hears_of_one_that_it_bears() {
    let host = host("\nrecheck = true").await;
    figures(&host, 18_400).await;
    let order = released(&host, "PO-1").await;
    told(&host, &[accepted(order), allocated(order, 10)]).await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    is_the_same(&host, order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_no_second_look_says_so() {
    let host = host("\nrecheck = false").await;
    figures(&host, 100_000).await;
    let order = released(&host, "PO-1").await;
    figures(&host, 10_000).await;
    told(&host, &[accepted(order), allocated(order, 10)]).await;
    assert_eq!(host.codes().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allocation_that_came_before_its_turn_is_looked_at_when_it_counts() {
    let host = host("").await;
    figures(&host, 100_000).await;
    let order = released(&host, "PO-1").await;
    told(&host, &[allocated(order, 10)]).await;
    figures(&host, 10_000).await;
    told(&host, &[accepted(order)]).await;
    assert_eq!(host.codes().await, ["credit-before-picking"]);
    is_the_same(&host, order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_let_pass_stays_quiet_for_its_grace() {
    let host = host("").await;
    figures(&host, 10_000).await;
    host.send_edi(&x12(1, &ten("PO-1"))).await.unwrap();
    host.decide_all().await;
    let order = host.order("PO-1").await.id;
    let holds = host.store.order_trail(order).await.unwrap().unwrap().holds;
    let open: Vec<u64> = holds.iter().map(|hold| hold.number).collect();
    exceptions::release(&host, &host.ops().await, order, &open).await.unwrap();
    told(&host, &[accepted(order), allocated(order, 4)]).await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.clock.advance_to(host.clock.now().plus_ms(32 * Instant::DAY_MS));
    figures(&host, 10_000).await;
    told(&host, &[allocated(order, 6)]).await;
    assert_eq!(host.codes().await, ["credit-before-picking"]);
    is_the_same(&host, order).await;
}
