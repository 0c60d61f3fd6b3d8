//! A component that fails again and again is not called for a while: what its events do
//! meanwhile, what the log and the metrics say, and how it is called again.

use portreeve_api::package::Lifecycle;
use portreeve_model::Instant;
use portreeve_pipeline::Clock;
use portreeve_record::LeafBody;
use portreeve_record::leaf::PackageStep;
use portreeve_registry::quarantine::{IN_A_ROW_MAX, PAUSE_MS};
use portreeve_store::contract::OrderState;

use crate::support::{PurchaseOrder, Setup, TestHost, x12};

/// A host whose only scorer does what the order's number says.
fn with_obedient() -> Setup {
    Setup::demo().scorers(&["obeys-the-sender"]).plugin("obeys-the-sender", "{}")
}

async fn send(host: &TestHost, control: u32, number: &str) {
    host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
}

async fn steps(host: &TestHost) -> Vec<PackageStep> {
    let leaves = host.leaves().await.into_iter();
    leaves
        .filter_map(|leaf| if let LeafBody::Package(package) = leaf.body { Some(package.step) } else { None })
        .collect()
}

/// As many orders that kill the scorer as it takes.
async fn provoke(host: &TestHost) {
    for control in 1..=IN_A_ROW_MAX {
        send(host, control, &format!("TRAP-{control}")).await;
        host.decide_all().await;
    }
}

async fn state(host: &TestHost) -> String {
    let rows = host.host.packages.list().await.unwrap();
    rows.into_iter().find(|row| row.plugin == "obeys-the-sender").unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_for_a_scorer_in_quarantine_and_go_on_when_one_call_of_it_does_not_fail() {
    let host = with_obedient().start().await;
    provoke(&host).await;
    assert_eq!(host.count(OrderState::Exception).await, 5, "each that killed it has its exception");
    assert!(state(&host).await.starts_with("quarantined until 2026-03-02T08:00:30"), "{}", state(&host).await);

    for control in 10..13 {
        send(&host, control, &format!("GOOD-{control}")).await;
    }
    assert!(host.decide_all().await.is_empty(), "they wait");
    assert_eq!((host.summary().await.undecided, host.exceptions().await.len()), (3, 5));
    let door = host.front_door().await;
    let metrics = door.ask("/metrics").await;
    for line in [
        "portreeve_quarantined{plugin=\"obeys-the-sender\"} 1",
        "portreeve_quarantine_turns_total{plugin=\"obeys-the-sender\",turn=\"quarantined\"} 1",
        "portreeve_not_called_total{plugin=\"obeys-the-sender\",reason=\"quarantined\"} 3",
    ] {
        assert!(metrics.contains(line), "expected `{line}` in:\n{metrics}");
    }
    door.close().await;

    // One order is tried, the others go on after it.
    host.clock.advance_to(host.clock.now().plus_ms(PAUSE_MS));
    host.decide_all().await;
    host.clock.advance_to(host.clock.now().plus_ms(Instant::MINUTE_MS));
    host.decide_all().await;
    assert_eq!(host.count(OrderState::Released).await, 3);
    assert_eq!(steps(&host).await, [PackageStep::Quarantined, PackageStep::Restored]);
    assert_eq!(state(&host).await, "active");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_when_it_is_tried_makes_the_pause_longer() {
    // With one worker the first of the two is the one that is tried.
    let host = with_obedient().workers(1).start().await;
    provoke(&host).await;
    send(&host, 9, "TRAP-9").await;
    send(&host, 10, "GOOD-10").await;
    assert!(host.decide_all().await.is_empty());
    host.clock.advance_to(host.clock.now().plus_ms(PAUSE_MS));
    assert_eq!(host.decide_all().await.len(), 1, "the other one waits on");
    assert_eq!(host.order("TRAP-9").await.state, OrderState::Exception);
    assert_eq!(steps(&host).await, [PackageStep::Quarantined; 2]);
    assert!(state(&host).await.contains("08:01:30"), "{}", state(&host).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_says_so_gives_its_orders_to_a_person_at_once() {
    let exception = "target = \"erp\"\nwhen_stopped = \"exception\"\n";
    let host = with_obedient().replace("portreeve.toml", "target = \"erp\"\n", exception).start().await;
    provoke(&host).await;
    send(&host, 10, "GOOD-10").await;
    host.decide_all().await;
    let order = host.order("GOOD-10").await;
    assert_eq!(order.state, OrderState::Exception);
    let exceptions = host.exceptions().await;
    let exception = exceptions.iter().find(|exception| exception.order == Some(order.id)).unwrap();
    assert_eq!(exception.code, "scorer-quarantined");
    let decision = host.decision(&order).await;
    assert_eq!(decision.scorings[0].failure.as_deref(), Some("quarantined"));
    let rederived = format!("{:?}", host.rederive(order.id).await.unwrap());
    assert!(rederived.contains("host_caused: 1"), "{rederived}");
}
