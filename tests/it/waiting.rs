//! What waits for a destination is seen while it waits: in the API, in the metrics, by the command.

use portreeve_pipeline::Clock;
use serde_json::{Value, json};

use crate::front::commands::{self, run};
use crate::support::{PurchaseOrder, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_target_that_is_down_is_told_with_the_oldest_of_it_until_it_is_up_again() {
    let host = Setup::demo().scorers(&[]).start().await;
    let door = host.front_door().await;
    let targets = async || -> Value { serde_json::from_str(&door.ask("/v1/targets").await).unwrap() };
    let metrics = async || door.ask("/metrics").await;
    let gauges = |count: u64, seconds: u64| {
        [
            format!("portreeve_deliveries_pending{{target=\"erp\"}} {count}\n"),
            format!("portreeve_deliveries_pending_oldest_seconds{{target=\"erp\"}} {seconds}\n"),
        ]
    };
    let none = json!({ "targets": [{ "target": "erp", "isConfigured": true, "pending": 0, "behind": 0 }] });
    assert_eq!(targets().await, none);
    let text = metrics().await;
    assert!(gauges(0, 0).iter().all(|line| text.contains(line)), "{text}");

    host.erp.down(true);
    let began = host.clock.now();
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2")]).await;
    host.deliver_due().await;
    host.clock.advance_to(began.plus_ms(90_500));
    let waits = json!({ "targets": [{
        "target": "erp", "isConfigured": true, "pending": 2, "behind": 0, "waitingSince": began.to_string(),
        "waitingSeconds": 90,
    }] });
    assert_eq!(targets().await, waits);
    let text = metrics().await;
    assert!(gauges(2, 90).iter().all(|line| text.contains(line)), "{text}");

    host.erp.down(false);
    host.deliver_all().await;
    assert_eq!(targets().await, none);
    let text = metrics().await;
    assert!(gauges(0, 0).iter().all(|line| text.contains(line)), "{text}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_target_that_the_configuration_does_not_have_any_more_is_told_too() {
    let host = Setup::demo().scorers(&[]).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let renamed = |setup: Setup| {
        let setup = setup.replace("portreeve.toml", "id = \"erp\"", "id = \"books\"");
        setup.replace("portreeve.toml", "target = \"erp\"", "target = \"books\"")
    };
    let host = host.restart_with(renamed).await;
    let list = ["target", "list", "--data-dir", host.folder().to_str().unwrap()];
    let listed = commands::json(&list).await.remove(0);
    let told: Vec<_> = listed["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (found["target"].as_str(), found["isConfigured"].as_bool(), found["pending"].as_u64()))
        .collect();
    assert_eq!(told, [(Some("books"), Some(true), Some(0)), (Some("erp"), Some(false), Some(1))]);
    let text = run(&list).await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [books, erp] = lines[..] else { panic!("{text}") };
    assert!(books.starts_with("books ") && books.ends_with(" nothing waits"), "{text}");
    let since = "1 wait, the oldest since 2026-03-02T08:00:00.000Z (";
    assert!(
        erp.contains(since) && erp.ends_with("; the configuration does not have it: add it, or they are given up"),
        "{text}"
    );
}
