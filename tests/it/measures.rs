//! The measures of a small day, counted by hand beside what the host tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Method;
use portreeve_model::{ExceptionKind, Instant, OrderId, ProcessState};
use portreeve_pipeline::Clock;
use portreeve_pipeline::exception::Work;
use portreeve_store::contract::OrderState;
use serde_json::{Value, json};

use crate::front::commands;
use crate::kept_back::dear;
use crate::process::{accepted, boxes, confirmed, invoice, paid, said, shipment, ten, told, with_systems};
use crate::support::{ScriptedTarget, Setup, TestHost, exceptions, sample, x12};

/// What the ERP answers to one order after the other: the second is tried again, the fourth answer
/// is about the shop's order, which it does not take.
const ANSWERS: [u16; 5] = [201, 503, 201, 422, 201];

async fn erp() -> ScriptedTarget {
    let posts = Arc::new(AtomicUsize::new(0));
    ScriptedTarget::start(move |method, _| {
        let answer = match method {
            Method::POST => {
                let status = ANSWERS.get(posts.fetch_add(1, Ordering::Relaxed)).copied().unwrap_or(500);
                (status, r#"{"id":"1","number":"S-1"}"#.to_owned())
            }
            _ => (200, r#"{"value":[]}"#.to_owned()),
        };
        async { answer }
    })
    .await
}

/// A day, with when it began and for how long the ERP did not have the second order.
struct Day {
    host: TestHost,
    began: Instant,
    second_took_ms: i64,
    _erp: ScriptedTarget,
}

async fn take_in(host: &TestHost, control: u32, order: &crate::support::PurchaseOrder) -> OrderId {
    host.send_edi(&x12(control, order)).await.unwrap();
    host.decide_all().await;
    host.order(&order.number).await.id
}

/// Three orders by EDI and one by the shop. The first goes as it should; the second is held and
/// released by a person, retried, shipped short and comes back; the ERP does not take the shop's;
/// of the third by EDI some is damaged.
async fn day() -> Day {
    let erp = erp().await;
    let host = with_systems(Setup::demo()).erp_origin(erp.origin()).start().await;
    let began = host.clock.now();
    let at = |minutes: i64| host.clock.advance_to(began.plus_ms(minutes * Instant::MINUTE_MS));
    let first = take_in(&host, 1, &ten("PO-1")).await;
    let second = take_in(&host, 2, &dear("PO-2")).await;
    host.deliver_all().await;
    at(30);
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let held = exceptions::about(&host, second, ExceptionKind::Held).await.unwrap();
    host.host.pipeline.work_on_exception(&anna, held, Work::Claim).await.unwrap();
    let holds = host.host.pipeline.show_exception(held).await.unwrap().open_holds();
    exceptions::release(&host, &anna, second, &holds).await.unwrap();
    let released = host.clock.now();
    host.deliver_all().await;
    let second_took_ms = host.clock.now().0 - released.0;
    assert!((1..30 * Instant::MINUTE_MS).contains(&second_took_ms), "it was tried again after {second_took_ms} ms");
    at(60);
    host.send_shop(&sample("adobe-commerce", "0001")).await.unwrap();
    host.decide_all().await;
    host.deliver_all().await;
    let third = take_in(&host, 3, &ten("PO-3")).await;
    host.deliver_all().await;
    assert!(host.orders().await.iter().all(|order| order.state == OrderState::Released));
    told(&host, &[accepted(first), accepted(second), accepted(third)]).await;
    at(120);
    told(&host, &[confirmed(first, "S-1", 10)]).await;
    at(150);
    told(&host, &[invoice(first, "I-1", 10)]).await;
    at(180);
    told(&host, &[shipment("shipment.confirmed", second, "S-2", 8, "no-backorder")]).await;
    told(&host, &[shipment("shipment.confirmed", third, "S-3", 8, "damaged")]).await;
    at(300);
    told(&host, &[paid(first, "P-1", "I-1", 18_400)]).await;
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": boxes(1)});
    told(&host, &[said("return.requested", json!({"returnNumber": "R-1", "orderNumber": second, "lines": [line]}))])
        .await;
    for (order, state) in
        [(first, ProcessState::Settled), (second, ProcessState::Returning), (third, ProcessState::PartShipped)]
    {
        assert_eq!(host.process_state(order).await, Some(state), "{:?}", host.codes().await);
    }
    Day { host, began, second_took_ms, _erp: erp }
}

/// Durations that are at most a thirty-second longer than these, and never shorter.
fn assert_times(found: &Value, count: u64, median_ms: i64, p90_ms: i64) {
    assert_eq!(found["count"], count, "{found}");
    for (what, exact) in [("medianMs", median_ms), ("p90Ms", p90_ms)] {
        let told = found[what].as_i64().unwrap();
        assert!(told >= exact && told - exact <= exact / 32, "{what} is {told}, not {exact}");
    }
}

fn minutes(count: i64) -> i64 {
    count * Instant::MINUTE_MS
}

#[tokio::test(flavor = "multi_thread")]
async fn the_measures_of_a_day_are_those_that_a_person_counts() {
    let Day { host, began, second_took_ms, _erp } = day().await;
    let door = host.front_door().await;
    let told: Value = serde_json::from_str(&door.ask("/v1/measures").await).unwrap();
    assert_eq!(told["orders"], 4);
    let [edi, shop] = &told["channels"].as_array().unwrap()[..] else { panic!("{told:#}") };
    assert_eq!(
        (&edi["channel"], &edi["orders"], &shop["channel"], &shop["orders"]),
        (&json!("edi"), &json!(3), &json!("shop"), &json!(1))
    );
    // After 120 minutes the first, after 120 (180 since 60) the third, after 180 the second.
    assert_times(&edi["toShipment"], 3, minutes(120), minutes(180));
    assert_times(&edi["toSettlement"], 1, minutes(300), minutes(300));
    assert_eq!(shop["toShipment"], json!({"count": 0, "medianMs": null, "p90Ms": null}));
    assert_times(&told["invoiceLatency"], 1, minutes(30), minutes(30));
    assert_times(&told["closeCycle"], 1, minutes(150), minutes(150));
    // A claim and a release, of one of four orders.
    let names =
        ["touches", "touchedOrders", "touchesPerHundredOrders", "returns", "returnTouches", "touchesPerHundredReturns"];
    assert_eq!(names.map(|name| told[name].as_u64()), [2, 1, 50, 1, 0, 0].map(Some));
    let names = ["shipped", "shipmentExceptions", "shipmentExceptionBp"];
    assert_eq!(names.map(|name| told[name].as_u64()), [3, 1, 3_333].map(Some), "of one some was damaged");
    let names = ["fulfilled", "fulfilledAccurately", "accuracyBp"];
    assert_eq!(names.map(|name| told[name].as_u64()), [2, 1, 5_000].map(Some), "one is short, one is not over");
    let [price, short, refused] = &told["exceptions"].as_array().unwrap()[..] else { panic!("{told:#}") };
    for (cause, stage, code) in [
        (price, "decide", Some("price-out-of-tolerance")),
        (short, "decide", Some("short-shipment")),
        (refused, "deliver", None),
    ] {
        assert_eq!(cause["stage"], stage);
        assert!(code.is_none_or(|code| cause["code"] == code), "{cause}");
        assert_eq!((&cause["exceptions"], &cause["orders"], &cause["rateBp"]), (&json!(1), &json!(1), &json!(2_500)));
    }
    let [erp] = &told["targets"].as_array().unwrap()[..] else { panic!("{told:#}") };
    let names = ["deliveries", "delivered", "attempts", "failedAttempts", "failureBp", "retries", "retried", "givenUp"];
    assert_eq!(names.map(|name| erp[name].as_u64()), [4, 3, 5, 2, 4_000, 1, 1, 1].map(Some), "{erp}");
    // Two at once, one after a while.
    assert_times(&erp["latency"], 3, 0, second_took_ms);
    assert_eq!(told["models"], json!([]), "nobody decided about a model's hold");

    let metrics = door.ask("/metrics").await;
    for line in [
        "portreeve_measures_orders{channel=\"edi\"} 3\n",
        "portreeve_measures_counts{what=\"touches\"} 2\n",
        "portreeve_measures_exceptions{stage=\"decide\"} 2\n",
        "portreeve_measures_deliveries{target=\"erp\",what=\"failed-attempts\"} 2\n",
        "portreeve_measures_latency_ms{target=\"erp\",quantile=\"0.5\"} 0\n",
    ] {
        assert!(metrics.contains(line), "expected `{line}` in:\n{metrics}");
    }
    door.close().await;

    let until = host.clock.now().to_string();
    let stopped = host.stop().await;
    let data = stopped.folder().to_str().unwrap();
    let look = ["measures", "--data-dir", data, "--hours", "24", "--until", &until];
    let by_folder = commands::json(&look).await.remove(0);
    assert_eq!(by_folder, told, "as the front door tells it");
    let shown = commands::run(&look).await.unwrap();
    for part in [
        "4 order(s) decided from",
        "channel edi: 3 order(s)",
        "touches by people: 2 on 1 order(s) (50 for each hundred); 0 about 1 return(s)",
        "shipped: 3, with an exception 1 (33.33 %)",
        "exception short-shipment (decide): 1 on 1 order(s) (25.00 %)",
        "target erp: 3 of 4 delivered; 2 of 5 attempt(s) failed (40.00 %)",
    ] {
        assert!(shown.contains(part), "expected `{part}` in:\n{shown}");
    }
    commands::refused(&["measures", "--data-dir", data, "--hours", "745"], &["745"]).await;
    let before = began.plus_ms(-1).to_string();
    let shown = commands::run(&["measures", "--data-dir", data, "--hours", "1", "--until", &before]).await.unwrap();
    assert!(shown.contains("0 order(s)") && shown.contains("shipped: 0, with an exception 0\n"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_has_its_orders_and_what_nothing_is_known_of_is_absent() {
    let host = TestHost::demo().await;
    // Two orders at the last and the first moment of an hour.
    let hour = host.clock.now().0.div_euclid(Instant::HOUR_MS) + 2;
    for (control, number, at) in
        [(1, "PO-1", Instant(hour * Instant::HOUR_MS - 1)), (2, "PO-2", Instant(hour * Instant::HOUR_MS))]
    {
        host.clock.advance_to(at);
        take_in(&host, control, &ten(number)).await;
    }
    let pipeline = &host.host.pipeline;
    let at = |ms: i64| Some(Instant(hour * Instant::HOUR_MS + ms));
    for (hours, until, orders) in [
        (1, at(0), 1),
        (2, at(0), 2),
        (1, at(-1), 1),
        (744, at(-1), 1),
        (1, at(-2), 0),
        (1, at(Instant::HOUR_MS - 1), 1),
        (1, at(Instant::HOUR_MS), 0),
        (2, at(Instant::HOUR_MS), 1),
    ] {
        let found = pipeline.measures(hours, until).await.unwrap();
        assert_eq!(found.orders, orders, "in {hours} hours until {until:?}");
    }
    let door = host.front_door().await;
    let until = at(-2).unwrap();
    let told: Value = serde_json::from_str(&door.ask(&format!("/v1/measures?hours=1&until={until}")).await).unwrap();
    for name in ["touchesPerHundredOrders", "touchesPerHundredReturns", "shipmentExceptionBp", "accuracyBp"] {
        assert_eq!(told[name], Value::Null, "{name} of nothing is nothing, and not 0");
    }
    for name in ["channels", "exceptions", "targets", "models"] {
        assert_eq!(told[name], json!([]), "{name}");
    }
    assert_eq!(told["closeCycle"], json!({"count": 0, "medianMs": null, "p90Ms": null}));
    // Readers read it; what nobody may ask is refused.
    let viewer = door.key_of("vera", &["viewer"]).await;
    assert_eq!(door.get("/v1/measures", &[("authorization", &viewer)]).await.status, 200);
    assert_eq!(door.get("/v1/measures", &[]).await.status, 401);
    for (query, why) in [("hours=0", "found 0 hours"), ("until=noon", "found `noon`"), ("node=1", "node")] {
        let answer = door.get(&format!("/v1/measures?{query}"), &[("authorization", &viewer)]).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(answer.status == 400 && text.contains(why), "{} {text}", answer.status);
    }
    // Metrics are of a look that is at most five minutes old.
    let line = |count: u32| format!("portreeve_measures_orders{{channel=\"edi\"}} {count}\n");
    assert!(door.ask("/metrics").await.contains(&line(2)));
    take_in(&host, 3, &ten("PO-3")).await;
    for (after_ms, count) in [(0, 2), (299_999, 2), (1, 3)] {
        host.clock.advance_to(host.clock.now().plus_ms(after_ms));
        assert!(door.ask("/metrics").await.contains(&line(count)), "{count} orders {after_ms} ms later");
    }
    door.close().await;
}
