//! A destination that counts requests in windows, as Business Central does: within a window that
//! the host knows nothing is tried in vain, and one that it does not know costs tries and loses
//! nothing.

use std::sync::Arc;

use portreeve::standins::Mischief;
use portreeve_api::package::{Act, Lifecycle};
use portreeve_model::{Digest, ExceptionKind};
use portreeve_pipeline::poll::PollRun;
use portreeve_pipeline::{Clock, Deliveries};
use portreeve_store::contract::PollView;

use crate::front::commands::{refused, run};
use crate::packages::{changed, name};
use crate::posted::{fetching, poll};
use crate::support::{PurchaseOrder, Setup, TestHost, sign};

const NUMBERS: [&str; 10] = ["PO-1", "PO-2", "PO-3", "PO-4", "PO-5", "PO-6", "PO-7", "PO-8", "PO-9", "PO-10"];

const PATHS: &str = "paths = [\"/api/v2.0\"]\n";

/// What the demo's connector of the ERP is granted.
const LIMITS: &str = "wall_ms = 125000";

/// Seconds after which ten orders should have gone three times over.
const SECONDS_MAX: usize = 100;

fn windowed(setup: Setup) -> Setup {
    windowed_by(setup, 10)
}

/// The same four requests in so many seconds, which are as many as a call of its connector may make.
fn windowed_by(setup: Setup, seconds: u32) -> Setup {
    setup
        .replace("portreeve.toml", PATHS, &format!("{PATHS}window = {{ requests_max = 4, seconds = {seconds} }}\n"))
        .replace("portreeve.toml", LIMITS, &format!("{LIMITS}, http_requests = 4"))
}

/// Ten orders for an ERP that takes four requests in ten seconds.
async fn ten_orders(setup: Setup) -> TestHost {
    let host = setup.scorers(&[]).start().await;
    host.erp.know_the_time(host.clock.clone());
    host.erp.takes(4, 10);
    host.decide_orders(&NUMBERS.map(PurchaseOrder::clean)).await;
    host
}

/// How often each of them was attempted; all have arrived.
async fn attempts(host: &TestHost) -> Vec<u32> {
    let mut attempts = Vec::new();
    for number in NUMBERS {
        let delivery = host.order(number).await.deliveries.remove(0);
        assert_eq!(delivery.state, "delivered", "{number}");
        attempts.push(delivery.attempts);
    }
    attempts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_the_host_knows_is_kept_and_what_waits_is_not_attempted() {
    let host = ten_orders(windowed(Setup::demo())).await;
    let mut deliveries = Deliveries::waiting(Arc::clone(&host.host.pipeline), 8);
    let mut booked = Vec::new();
    while host.erp.sales_order_count() < NUMBERS.len() {
        deliveries.start_due().await.unwrap();
        while let Some(ended) = deliveries.ended().await {
            ended.into_iter().for_each(|ended| drop(ended.unwrap()));
        }
        booked.push(host.erp.sales_order_count());
        host.clock.advance_to(host.clock.now().plus_ms(1_000));
        assert!(booked.len() < SECONDS_MAX, "{booked:?}");
    }
    // Twice a window and a slot of it passed.
    assert!((21..=24).contains(&booked.len()), "{booked:?}");
    booked.dedup();
    assert_eq!((booked, host.erp.refused_as_too_many()), (vec![4, 8, 10], 0));
    assert_eq!(attempts(&host).await, [1; 10]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_attempted_beyond_a_window_that_the_host_knows_is_held_back_by_the_host() {
    let host = ten_orders(windowed(Setup::demo())).await;
    // Whoever comes once takes all that is due.
    host.deliver_all().await;
    assert_eq!((host.erp.sales_orders_made(), host.erp.refused_as_too_many()), (10, 0));
    assert!(attempts(&host).await.iter().sum::<u32>() > 10);
    let leaves = serde_json::to_string(&host.leaves().await).unwrap();
    assert!(leaves.contains("\"failure\":\"deferred\""), "{leaves}");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_nobody_told_the_host_of_costs_tries_and_loses_nothing() {
    let host = ten_orders(Setup::demo()).await;
    host.deliver_all().await;
    assert!(host.erp.refused_as_too_many() > 0);
    assert_eq!((host.erp.sales_orders_made(), host.codes().await), (10, Vec::<String>::new()));
    assert!(attempts(&host).await.iter().sum::<u32>() > 10);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_finds_a_window_full_has_not_failed_and_is_made_when_there_is_room() {
    let host = windowed(fetching(Mischief::default(), "")).scorers(&[]).start().await;
    host.decide_orders(&NUMBERS.map(PurchaseOrder::clean)).await;
    host.deliver_due().await;
    let standing = async || host.store.poll("invoices").await.unwrap().unwrap();
    let known = |view: &PollView| (view.failures, view.failing_since, view.code.clone(), view.worked_at);

    let now = host.clock.now();
    assert_eq!(poll(&host, "invoices").await, PollRun { asked: 1, documents: 0, failed: None });
    let held_back = standing().await;
    assert_eq!(known(&held_back), (0, None, None, None));
    let waits_ms = held_back.due_at.0 - now.0;
    assert!((10_001..=10_187).contains(&waits_ms), "{waits_ms}");
    assert_eq!(poll(&host, "invoices").await, PollRun::default(), "it is not due");
    assert!(host.exceptions().await.iter().all(|open| open.kind != ExceptionKind::Poll));

    host.clock.advance_to(held_back.due_at);
    assert_eq!(poll(&host, "invoices").await, PollRun { asked: 1, documents: 0, failed: None });
    assert_eq!(known(&standing().await), (0, None, None, Some(held_back.due_at)));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_hear_of_a_poll_that_a_window_holds_back_for_longer_than_it_has_patience() {
    let host = windowed_by(fetching(Mischief::default(), ""), 7_200).scorers(&[]).start().await;
    host.decide_orders(&NUMBERS.map(PurchaseOrder::clean)).await;
    host.deliver_due().await;
    let told = async || {
        let open = host.exceptions().await.into_iter();
        open.filter(|open| open.kind == ExceptionKind::Poll).collect::<Vec<_>>()
    };
    assert_eq!(poll(&host, "invoices").await.failed.as_deref(), Some("held-back"));
    let open = told().await;
    assert_eq!((open.len(), open[0].code.as_str(), open[0].queue.as_str()), (1, "poll-fails", "integration"));
    let detail = &open[0].detail;
    assert!(detail.contains("poll `invoices` waits for a window of its source until "), "{detail}");

    let due_at = host.store.poll("invoices").await.unwrap().unwrap().due_at;
    host.clock.advance_to(due_at);
    assert_eq!(poll(&host, "invoices").await, PollRun { asked: 1, documents: 0, failed: None });
    assert_eq!(told().await.len(), 0);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hears_of_a_deadline_hears_of_the_window_that_was_waited_for() {
    let until = ("attempts_max = 6\n", "attempts_max = 6\ndeadline_minutes = 60\n");
    let host = ten_orders(windowed_by(Setup::demo(), 7_200).replace("portreeve.toml", until.0, until.1)).await;
    host.deliver_all().await;
    let late: Vec<_> = host.exceptions().await.into_iter().filter(|open| open.code == "deadline").collect();
    assert_eq!((host.erp.sales_orders_made(), late.len()), (4, 6));
    for exception in late {
        for part in [
            "no success within 60 minutes; `http://127.0.0.1:",
            "had all of its 4 requests in 7200 s meanwhile",
            "`window` of its [[plugin.egress]]",
            "look at the target and replay",
        ] {
            assert!(exception.detail.contains(part), "expected `{part}` in: {}", exception.detail);
        }
    }
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_windows_of_one_origin_are_no_configuration() {
    let setup = windowed(Setup::demo())
        .plugin("hostile-connector", "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }")
        .append("portreeve.toml", "window = { requests_max = 5, seconds = 10 }\n");
    let error = setup.try_start().await.err().unwrap();
    assert!(format!("{error:#}").contains("it binds all plugins, so name it once"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_one_call_may_be_too_much_for_is_no_configuration() {
    let window = |requests: u32| {
        let window = format!("{PATHS}window = {{ requests_max = {requests}, seconds = 60 }}\n");
        Setup::demo().replace("portreeve.toml", PATHS, &window)
    };
    let granted = |requests: u32| format!("{LIMITS}, http_requests = {requests}");
    let folder = tempfile::tempdir().unwrap();
    let check = |setup: &Setup| {
        let config = setup.configuration(folder.path());
        ["route", "check", "--config", config.to_str().unwrap()].map(str::to_owned)
    };

    let narrow = window(31);
    let sentences = [
        "`window` of `http://127.0.0.1:9` lets 31 requests in 60 s through",
        "one call of `erp-rest` may make 32;",
        "allow 32 or more, or grant `erp-rest` as many as its calls need by `limits = { http_requests = … }`",
    ];
    refused(&check(&narrow).each_ref().map(String::as_str), &sentences).await;
    let error = format!("{:#}", narrow.try_start().await.err().unwrap());
    assert!(error.contains("allow 32 or more"), "{error}");

    let fewer = window(31).replace("portreeve.toml", LIMITS, &granted(31));
    for enough in [window(32), fewer] {
        run(&check(&enough).each_ref().map(String::as_str)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_whose_calls_may_be_too_much_for_a_window_is_not_staged() {
    let window = format!("{PATHS}window = {{ requests_max = 32, seconds = 60 }}\n");
    let host = Setup::demo().replace("portreeve.toml", PATHS, &window).start().await;
    let packages = &host.host.packages;
    let stage = async |version: &str, requests: u32| {
        let (version, limits) = (format!("version = \"{version}\""), format!("[limits]\nhttp_requests = {requests}"));
        let bytes = changed("erp-rest", &[("version = \"0.1.0\"", &version), ("[limits]", &limits)]);
        packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
        let http = "http = [\"GET\", \"POST\", \"PATCH\", \"DELETE\"]";
        let grant = Some(format!("{http}\nlimits = {{ wall_ms = 125000, http_requests = {requests} }}"));
        packages.act(&name("erp-rest"), Act::Stage { component: Digest::of(&bytes), grant }, "ops").await
    };
    let told = stage("0.2.0", 33).await.unwrap_err().to_string();
    assert!(told.contains("one call of `erp-rest` may make 33;") && told.contains("allow 33 or more"), "{told}");
    assert_eq!(stage("0.3.0", 32).await.unwrap().state, "staged");
}
