//! The measures of a small day, counted by hand beside what the host tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Method;
use portreeve_api::package::{Act, Lifecycle};
use portreeve_model::{Digest, ExceptionKind, Instant, OrderId, ProcessState};
use portreeve_pipeline::Clock;
use portreeve_pipeline::exception::Work;
use portreeve_store::contract::OrderState;
use serde_json::{Value, json};

use crate::front::commands;
use crate::kept_back::dear;
use crate::process::{accepted, boxes, confirmed, invoice, paid, said, shipment, ten, told, with_systems};
use crate::support::{ScriptedTarget, Setup, TestHost, exceptions, sample, sign, x12};
use crate::{packages, reconciled};

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

#[tokio::test]
async fn a_step_about_a_return_is_told_from_one_about_a_shipment() {
    let host = with_systems(Setup::demo()).start().await;
    let (first, second) = (take_in(&host, 1, &ten("PO-1")).await, take_in(&host, 2, &ten("PO-2")).await);
    host.deliver_all().await;
    let back = |kind: &str, order: OrderId, number: &str, count: i64| {
        let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": boxes(count)});
        said(kind, json!({"returnNumber": number, "orderNumber": order, "lines": [line]}))
    };
    for (order, shipment, number) in [(first, "S-1", "R-1"), (second, "S-2", "R-2")] {
        told(&host, &[accepted(order), confirmed(order, shipment, 10)]).await;
        told(&host, &[back("return.requested", order, number, 1)]).await;
    }
    assert_eq!(host.codes().await, Vec::<String>::new());
    // More comes back than left, and more leaves than was ordered: neither can be.
    told(&host, &[back("return.received", first, "R-1", 11), confirmed(second, "S-3", 1)]).await;
    assert_eq!(host.codes().await, ["more-than-left", "more-than-left"]);

    let anna = host.acts_as("anna", &["integration"]).await;
    let claimed = async |order: OrderId| {
        let waits = exceptions::waiting(&host).await.into_iter().find(|open| open.order == Some(order)).unwrap();
        host.host.pipeline.work_on_exception(&anna, waits.id, Work::Claim).await.unwrap();
        let found = host.host.pipeline.measures(24, None).await.unwrap();
        (found.touches, found.return_touches, found.touches_per_hundred_returns())
    };
    // The shipment's first: it is none of the return's, though its order has one, too.
    assert_eq!(claimed(second).await, (1, 0, Some(0)));
    assert_eq!(claimed(first).await, (2, 1, Some(50)));
    let found = host.host.pipeline.measures(24, None).await.unwrap();
    assert_eq!((found.orders, found.returns, found.touched_orders), (2, 2, 2));

    let until = host.clock.now().to_string();
    let stopped = host.stop().await;
    let look = ["measures", "--data-dir", stopped.folder().to_str().unwrap(), "--hours", "24", "--until", &until];
    let shown = commands::run(&look).await.unwrap();
    assert!(
        shown.contains("touches by people: 2 on 2 order(s) (100 for each hundred); 1 about 2 return(s)"),
        "{shown}"
    );
}

/// Some of an order left a node.
fn left(order: OrderId, number: &str, count: i64, node: &str) -> Value {
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": boxes(count), "short": "none"});
    let data = json!({"orderNumber": order, "shipmentNumber": number, "node": node, "lines": [line]});
    said("shipment.confirmed", data)
}

#[tokio::test]
async fn orders_are_measured_by_the_node_that_they_left_first() {
    let host = with_systems(Setup::demo()).start().await;
    let began = host.clock.now();
    let at = |minutes: i64| host.clock.advance_to(began.plus_ms(minutes * Instant::MINUTE_MS));
    let mut orders = Vec::new();
    for control in 1..=4 {
        orders.push(take_in(&host, control, &ten(&format!("PO-{control}"))).await);
    }
    let [first, second, third, _waits] = orders[..] else { panic!("{orders:?}") };
    host.deliver_all().await;
    told(&host, &[accepted(first), accepted(second), accepted(third)]).await;
    at(60);
    told(&host, &[left(first, "S-1", 10, "NORTH")]).await;
    at(90);
    told(&host, &[left(second, "S-2", 4, "SOUTH")]).await;
    at(100);
    told(&host, &[left(second, "S-3", 6, "NORTH"), confirmed(third, "S-4", 10)]).await;
    at(150);
    told(&host, &[invoice(first, "I-1", 10), paid(first, "P-1", "I-1", 18_400)]).await;

    let door = host.front_door().await;
    let found: Value = serde_json::from_str(&door.ask("/v1/measures").await).unwrap();
    let [north, south] = &found["nodes"].as_array().unwrap()[..] else { panic!("{found:#}") };
    assert_eq!((&north["node"], &south["node"]), (&json!("NORTH"), &json!("SOUTH")));
    assert_times(&north["toShipment"], 1, minutes(60), minutes(60));
    assert_times(&north["toSettlement"], 1, minutes(150), minutes(150));
    assert_times(&south["toShipment"], 1, minutes(90), minutes(90));
    assert_eq!(south["toSettlement"]["count"], 0);
    let names = ["shipped", "shippedWithoutNode", "orders"];
    assert_eq!(names.map(|name| found[name].as_u64()), [3, 1, 4].map(Some));
    let metrics = door.ask("/metrics").await;
    let line = |node: &str, to: &str| {
        format!("portreeve_measures_node_cycle_ms{{node=\"{node}\",to=\"{to}\",quantile=\"0.5\"}} ")
    };
    assert!(metrics.contains(&line("NORTH", "settlement")) && !metrics.contains(&line("SOUTH", "settlement")));
    door.close().await;

    // What retention removed names no node any more.
    let gone =
        "DELETE FROM payload_key WHERE payload IN (SELECT event FROM order_event WHERE kind = 'shipment.confirmed')";
    let database = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    database.execute(gone, []).unwrap();
    drop(database);
    let found = host.host.pipeline.measures(24, None).await.unwrap();
    assert_eq!((found.nodes.len(), found.shipped, found.shipped_without_node), (0, 3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_host_is_run_is_measured_beside_its_orders() {
    let (_wms, host) = reconciled::agreeing().await;
    let configured = host.clock.now();
    let at = |minutes: i64| host.clock.advance_to(configured.plus_ms(minutes * Instant::MINUTE_MS));
    // The channel is used after ten minutes, its target after a quarter of an hour more.
    at(10);
    take_in(&host, 1, &ten("PO-1")).await;
    at(25);
    host.deliver_all().await;
    // Two runs: nothing differs, then one of three items, which somebody takes and talks about.
    at(40);
    reconciled::compared(&host).await;
    host.erp.lose("HOSE", reconciled::decimal("2.25"));
    at(50);
    let last_run = host.clock.now();
    reconciled::compared(&host).await;
    let anna = host.acts_as("anna", &["integration"]).await;
    let difference = exceptions::waiting(&host).await.into_iter().find(|open| open.kind == ExceptionKind::Difference);
    let difference = difference.unwrap().id;
    for work in [Work::Claim, Work::Comment("the ERP is asked")] {
        host.host.pipeline.work_on_exception(&anna, difference, work).await.unwrap();
    }
    // One looks and files nothing.
    host.host.pipeline.reconcile(reconciled::ID, None, true).await.unwrap();
    // A component is put in its place, and taken back.
    let bytes = packages::of_version("fraud", "0.2.0");
    let new = Digest::of(&bytes);
    let (fraud, life) = (packages::name("fraud"), &host.host.packages);
    life.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    for act in [Act::Stage { component: new, grant: None }, Act::Activate { component: None }] {
        life.act(&fraud, act, "ops").await.unwrap();
    }
    let door = host.front_door().await;
    let ask = async || -> Value { serde_json::from_str(&door.ask("/v1/measures").await).unwrap() };
    let stands = json!({"versions": 2, "activations": 1, "undone": 0, "successBp": 10_000, "rollbacks": 0,
        "rollbackBp": 0, "disabled": 0, "halts": 0});
    assert_eq!(ask().await["changes"], stands);
    life.act(&fraud, Act::Rollback, "ops").await.unwrap();
    let found = ask().await;
    let undone = json!({"versions": 3, "activations": 1, "undone": 1, "successBp": 0, "rollbacks": 1,
        "rollbackBp": 3_333, "disabled": 0, "halts": 0});
    assert_eq!(found["changes"], undone);
    let compared = json!({"reconciliation": reconciled::ID, "of": "stock", "runs": 2, "notCompared": 0, "opened": 1,
        "closed": 0, "comparedAt": last_run.to_string(), "compared": 3, "agreeing": 2, "unsettled": 0,
        "differences": 1, "accuracyBp": 6_666});
    assert_eq!(found["reconciliations"], json!([compared]));
    assert_eq!((&found["differenceTouches"], &found["touchesPerHundredOpened"]), (&json!(2), &json!(200)));
    let part = |kind: &str, name: &str, after: Option<i64>| {
        json!({"kind": kind, "name": name, "configuredAt": configured.to_string(),
            "usedAt": after.map(|after| configured.plus_ms(minutes(after)).to_string()), "tookMs": after.map(minutes)})
    };
    let parts = [part("channel", "edi", Some(10)), part("channel", "shop", None), part("target", "erp", Some(25))];
    assert_eq!(found["onboarding"], json!(parts));

    let metrics = door.ask("/metrics").await;
    for line in [
        "portreeve_measures_changes{what=\"rollbacks\"} 1\n".to_owned(),
        format!("portreeve_measures_reconciliations{{reconciliation=\"{}\",what=\"agreeing\"}} 2\n", reconciled::ID),
        format!("portreeve_measures_onboarding_ms{{kind=\"channel\",name=\"edi\"}} {}\n", minutes(10)),
        "portreeve_measures_counts{what=\"difference-touches\"} 2\n".to_owned(),
    ] {
        assert!(metrics.contains(&line), "expected `{line}` in:\n{metrics}");
    }
    assert!(!metrics.contains("name=\"shop\"} "), "what is not in use took no time yet");
    door.close().await;

    // A window has what happened in it, and of what was changed in it what became of that later.
    let hour = |number: i64| Some(Instant((configured.0.div_euclid(Instant::HOUR_MS) + number) * Instant::HOUR_MS - 1));
    let of = async |until: Option<Instant>| host.host.pipeline.measures(1, until).await.unwrap().operations;
    let (before, after) = (of(hour(0)).await, of(hour(2)).await);
    assert_eq!((before.changes.versions, before.reconciliations.len(), before.onboarding.len()), (0, 0, 0));
    assert_eq!((after.changes.versions, after.difference_touches), (0, 0));
    let waits: Vec<_> = after.onboarding.iter().map(|part| (part.part.id.as_str(), part.used_at)).collect();
    assert_eq!(waits, [("shop", None)], "the others were in use before");

    let until = host.clock.now().to_string();
    let stopped = host.stop().await;
    let look = ["measures", "--data-dir", stopped.folder().to_str().unwrap(), "--until", &until];
    let shown = commands::run(&look).await.unwrap();
    for part in [
        "changes: 3 version(s) of the configuration; 1 component(s) put in place, 1 of them undone, success 0.00 %; 1 rollback(s) (33.33 %), 0 disabled, 0 stop(s) of all",
        "reconciliation stock-erp-wms of stock: 2 of 3 agreed last (66.66 %); 2 run(s), 0 without a comparison, 1 opened, 0 closed",
        "touches of differences between systems: 2 (200 for each hundred)",
        "10 min after it was configured",
        "channel shop: configured",
    ] {
        assert!(shown.contains(part), "expected `{part}` in:\n{shown}");
    }
}
