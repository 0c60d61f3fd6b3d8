//! Orders, cancellations and returns that the shop never told, or whose message was lost: they are
//! fetched, and what came both ways is one.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode, Uri};
use portreeve::standins::shop::{Basket, Integration};
use portreeve::standins::{Mischief, Shop};
use portreeve_model::{ExceptionAction, ExceptionKind, Instant, OrderId, ProcessState};
use portreeve_pipeline::poll::PollRun;
use portreeve_pipeline::{Clock, Poll};
use portreeve_store::contract::{EventOutcome, OrderEventKind, OrderState};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{accepted, boxes, said, tell};
use crate::returned::hearing_returns;
use crate::support::{MORNING, Setup, TestHost, exceptions};

const MINUTE_MS: i64 = 60_000;

/// A host whose shop is asked each minute for what changed there.
fn pulling(origin: &str, base_url: &str, more: &str) -> Setup {
    let setup = Setup::demo().scorers(&[]);
    setup.plugin("adobe-commerce-rest", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 250000 } }").append(
        "portreeve.toml",
        &format!(
            "[[plugin.egress]]\norigin = \"{origin}\"\n\n[[poll]]\nid = \"missing\"\nchannel = \"shop\"\n\
             connector = \"adobe-commerce-rest\"\nsender = \"main-store\"\nonly_missing = true\nevery_seconds = 60\n\
             origin = \"{origin}\"\n{more}\n[poll.settings]\nbase-url = \"{base_url}\"\n\
             poll-since = \"2026-03-02T00:00:00Z\"\npoll-page = \"3\"\n"
        ),
    )
}

async fn fetch(host: &TestHost) -> PollRun {
    fetch_by(host, "missing").await
}

async fn fetch_by(host: &TestHost, poll: &str) -> PollRun {
    let pipeline = &host.host.pipeline;
    let poll: Poll = pipeline.routes.poll(poll).unwrap().clone();
    pipeline.poll(&poll).await.unwrap()
}

fn later(host: &TestHost) {
    host.clock.advance_to(host.clock.now().plus_ms(MINUTE_MS));
}

fn basket(entity_id: u64) -> Basket {
    Basket { entity_id, sku: "FST-1007", quantity: 2, price_minor: 1_840 }
}

/// Number and state of each order.
async fn orders(host: &TestHost) -> Vec<(String, OrderState)> {
    let mut orders: Vec<_> = host.orders().await.into_iter().map(|order| (order.number, order.state)).collect();
    orders.sort_by(|one, other| one.0.cmp(&other.0));
    orders
}

struct Desk {
    host: TestHost,
    shop: Shop,
}

impl Desk {
    async fn start() -> Self {
        Self::of(|setup, _| setup).await
    }

    /// With a host that is changed so; its shop is at an origin and a base URL.
    async fn of(change: impl FnOnce(Setup, &Shop) -> Setup) -> Self {
        let shop = Shop::start(Mischief::default()).await.unwrap();
        let host = change(pulling(&shop.origin(), &shop.base_url(), ""), &shop).start().await;
        shop.know_the_time(Arc::clone(&host.clock) as Arc<dyn Clock>);
        Self { host, shop }
    }

    /// A customer buys; the shop's message arrives, or is lost.
    async fn buys(&self, entity_id: u64, arrives: bool) {
        let placed = basket(entity_id).placed();
        self.shop.place(&placed).unwrap();
        if arrives {
            assert_eq!(self.host.send_shop(&placed).await.unwrap().reply.status, 200);
        }
    }

    /// All fetched that there is, and decided.
    async fn fetched(&self) -> usize {
        let run = fetch(&self.host).await;
        assert_eq!(run.failed, None);
        self.host.decide_all().await;
        run.documents
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_message_was_lost_is_fetched_and_one_that_came_is_left_out() {
    let desk = Desk::start().await;
    for (entity_id, arrives) in [(1, true), (2, false), (3, true), (4, false), (5, false), (6, true), (7, false)] {
        desk.buys(entity_id, arrives).await;
    }
    desk.host.decide_all().await;
    assert_eq!(orders(&desk.host).await.len(), 3);
    assert_eq!(desk.fetched().await, 4);
    let expected: Vec<_> = (1..=7).map(|id| (basket(id).increment_id(), OrderState::Released)).collect();
    assert_eq!(orders(&desk.host).await, expected);
    assert_eq!(desk.host.codes().await, Vec::<String>::new());
    // What was fetched is not fetched again, and what the shop says late is the same order.
    for _ in 0..3 {
        later(&desk.host);
        assert_eq!(desk.fetched().await, 0);
    }
    for entity_id in [2, 4] {
        desk.host.send_shop(&basket(entity_id).placed()).await.unwrap();
    }
    desk.host.decide_all().await;
    assert_eq!(orders(&desk.host).await, expected);
    assert_eq!(desk.host.codes().await, Vec::<String>::new(), "nothing changed");
    assert_eq!(desk.host.summary().await.duplicates, 2);
    // Each goes to the ERP once.
    desk.host.deliver_all().await;
    assert_eq!(desk.host.erp.sales_order_count(), 7);
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_an_order_in_the_shop_brings_it_no_second_time() {
    let desk = Desk::start().await;
    desk.buys(1, true).await;
    desk.buys(2, false).await;
    desk.host.decide_all().await;
    assert_eq!(desk.fetched().await, 1);
    // It ships there, for us, and is listed as changed.
    desk.host.clock.advance_to(desk.host.clock.now().plus_ms(10 * MINUTE_MS));
    let path = format!("{}/V1/order/1/ship", desk.shop.base_url());
    let path = path.strip_prefix(&desk.shop.origin()).unwrap().to_owned();
    let address = desk.shop.origin().strip_prefix("http://").unwrap().parse().unwrap();
    let headers = [("content-type", "application/json")];
    let shipped = portreeve::client::send(address, Method::POST, &path, &headers, "{}".into()).await.unwrap();
    assert_eq!(shipped.status, 200);
    assert_eq!(desk.fetched().await, 0);
    assert_eq!((orders(&desk.host).await.len(), desk.host.codes().await), (2, vec![]));
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_somebody_else_began_or_that_is_cancelled_before_it_came_is_a_persons_and_an_older_one_nobodys() {
    let desk = Desk::start().await;
    desk.buys(1, false).await;
    desk.buys(2, false).await;
    let mut old: Value = serde_json::from_slice(&basket(3).placed()).unwrap();
    old["created_at"] = json!("2026-03-01 23:59:59");
    desk.shop.place(old.to_string().as_bytes()).unwrap();
    let address = desk.shop.origin().strip_prefix("http://").unwrap().parse().unwrap();
    let one = json!({"items": [{"order_item_id": basket(1).item_id(), "qty": 1}]}).to_string();
    let headers = [("content-type", "application/json")];
    let shipped = portreeve::client::send(address, Method::POST, "/rest/all/V1/order/1/ship", &headers, one.into())
        .await
        .unwrap();
    assert_eq!(shipped.status, 200);
    assert!(desk.shop.cancel(2));
    assert_eq!(desk.fetched().await, 2);
    let mut codes = desk.host.codes().await;
    codes.sort();
    assert_eq!(
        (orders(&desk.host).await, codes),
        (vec![], ["cancel-requested", "no-transformer"].map(String::from).into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_whose_message_was_lost_is_fetched_and_one_that_is_said_both_ways_counts_once() {
    let desk = Desk::start().await;
    for entity_id in [1, 2, 3] {
        desk.buys(entity_id, true).await;
    }
    desk.host.decide_all().await;
    later(&desk.host);
    // Of the first the message is lost, or late; that of the second arrives.
    assert!(desk.shop.cancel(1) && desk.shop.cancel(2));
    desk.host.send_shop(&basket(2).canceled()).await.unwrap();
    desk.host.decide_all().await;
    assert_eq!(desk.host.codes().await, ["cancel-requested"]);
    assert_eq!(desk.fetched().await, 1);
    let states: Vec<OrderState> = orders(&desk.host).await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [OrderState::Held, OrderState::Held, OrderState::Released]);
    assert_eq!(desk.host.codes().await, ["cancel-requested", "cancel-requested"], "one of each");

    let repeated = desk.host.summary().await.duplicates;
    for entity_id in [1, 2] {
        later(&desk.host);
        assert_eq!(desk.fetched().await, 0);
        // The message of the first comes late; the second is said again since something of it changed.
        let mut again: Value = serde_json::from_slice(&basket(entity_id).canceled()).unwrap();
        again["updated_at"] = json!("2026-03-02 09:00:00");
        desk.host.send_shop(again.to_string().as_bytes()).await.unwrap();
        desk.host.decide_all().await;
    }
    assert_eq!(desk.host.summary().await.duplicates, repeated + 2);
    assert_eq!(desk.host.codes().await.len(), 2, "nothing new");
    desk.host.deliver_all().await;
    assert_eq!(desk.host.erp.sales_order_count(), 1);
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_in_the_shop_of_what_was_rejected_here_is_fetched_once_and_asks_nobody() {
    let desk = Desk::start().await;
    let dear = Basket { price_minor: 9_900, ..basket(1) };
    desk.shop.place(&dear.placed()).unwrap();
    assert_eq!(desk.fetched().await, 1);
    let order = desk.host.order(&dear.increment_id()).await;
    assert_eq!(order.state, OrderState::Held, "{}", order.why);
    let waits = exceptions::about(&desk.host, order.id, ExceptionKind::Held).await.unwrap();
    exceptions::decide(&desk.host, &desk.host.ops().await, waits, ExceptionAction::Reject).await.unwrap();
    later(&desk.host);
    assert!(desk.shop.cancel(1));
    for documents in [1, 0, 0] {
        later(&desk.host);
        assert_eq!((desk.fetched().await, desk.host.codes().await), (documents, vec![]));
    }
    let trail = desk.host.store.order_trail(order.id).await.unwrap().unwrap();
    let kinds: Vec<_> = trail.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [OrderEventKind::CancelRequested]);
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_was_fetched_undoes_its_order_where_the_routes_say_so() {
    let effect = "\n[[effect]]\non = \"order.cancel-requested\"\nfrom = [\"accepted\"]\ntarget = \"erp\"\n\
                  kind = \"business-central/cancel\"\nreceipt = \"order.rejected\"\n";
    let order = "kind = \"business-central/sales-order\"";
    let desk = Desk::of(|setup, _| {
        setup
            .replace("portreeve.toml", order, &format!("{order}\nreceipt = \"order.accepted\""))
            .append("portreeve.toml", effect)
    })
    .await;
    desk.buys(1, true).await;
    desk.host.come_to_rest().await;
    let id = desk.host.order(&basket(1).increment_id()).await.id;
    assert_eq!(desk.host.process_state(id).await, Some(ProcessState::Accepted));
    assert!(desk.shop.cancel(1));
    later(&desk.host);
    assert_eq!(desk.fetched().await, 1);
    desk.host.come_to_rest().await;
    assert_eq!(desk.host.process_state(id).await, Some(ProcessState::Cancelled));
    assert_eq!((desk.host.erp.sales_order_count(), desk.host.codes().await), (0, vec![]));
    desk.host.verify().await.unwrap();
}

/// A host whose shop is asked for returns beside its orders.
fn pulling_returns(setup: Setup, origin: &str, base_url: &str, list: &str) -> Setup {
    hearing_returns(setup).append(
        "portreeve.toml",
        &format!(
            "\n[[poll]]\nid = \"returns\"\nchannel = \"shop\"\nconnector = \"adobe-commerce-rest\"\n\
             sender = \"main-store\"\nonly_missing = true\nevery_seconds = 60\norigin = \"{origin}\"\n\n\
             [poll.settings]\nbase-url = \"{base_url}\"\npoll = \"{list}\"\n\
             poll-since = \"2026-03-02T00:00:00Z\"\npoll-page = \"3\"\n"
        ),
    )
}

/// The ERP took an order of the shop, and the warehouse says that it left.
async fn left(host: &TestHost, entity_id: u64) -> OrderId {
    let order = host.order(&basket(entity_id).increment_id()).await.id;
    tell(host, &accepted(order)).await;
    let number = basket(entity_id).item_id().to_string();
    let line = json!({"lineNumber": number, "sku": "FST-1007", "shipped": boxes(2), "short": "none"});
    let data = json!({"orderNumber": order, "shipmentNumber": format!("S-{entity_id}"), "lines": [line]});
    tell(host, &said("shipment.confirmed", data)).await;
    host.decide_all().await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_whose_message_was_lost_is_fetched_and_one_that_is_said_both_ways_counts_once() {
    let desk = Desk::of(|setup, shop| pulling_returns(setup, &shop.origin(), &shop.base_url(), "returns")).await;
    let mut ids = Vec::new();
    for entity_id in [1, 2] {
        desk.buys(entity_id, true).await;
        desk.host.decide_all().await;
        ids.push(left(&desk.host, entity_id).await);
    }
    // One of an order that was dealt with otherwise.
    let mut old: Value = serde_json::from_slice(&basket(3).placed()).unwrap();
    old["created_at"] = json!("2026-03-01 23:59:59");
    desk.shop.place(old.to_string().as_bytes()).unwrap();

    let asked = [1, 2, 3].map(|entity_id| {
        let item = basket(entity_id).item_id();
        desk.shop.ask_back(entity_id, item, 1).unwrap()
    });
    desk.host.send_shop(&asked[0].webhook()).await.unwrap();
    desk.host.decide_all().await;
    let run = fetch_by(&desk.host, "returns").await;
    assert_eq!((run.documents, run.failed), (1, None));
    desk.host.decide_all().await;
    for order in &ids {
        assert_eq!(desk.host.process_state(*order).await, Some(ProcessState::Returning));
    }
    later(&desk.host);
    assert_eq!(fetch_by(&desk.host, "returns").await.documents, 0);

    // The message of the second comes late, and says the same in other words.
    desk.host.send_shop(&asked[1].webhook()).await.unwrap();
    desk.host.decide_all().await;
    assert_eq!(desk.host.codes().await, Vec::<String>::new());
    let events = desk.host.store.order_trail(ids[1]).await.unwrap().unwrap().events;
    let returns = events.iter().filter(|event| event.kind == OrderEventKind::ReturnRequested);
    let outcomes: Vec<EventOutcome> = returns.map(|event| event.outcome).collect();
    assert_eq!(outcomes, [EventOutcome::Applied, EventOutcome::Again]);
    desk.host.verify().await.unwrap();
}

/// A return as a list has it.
fn listed_return(status: &Value) -> Value {
    json!({
        "entity_id": 7, "increment_id": "000000007", "order_id": 1, "order_increment_id": basket(1).increment_id(),
        "store_id": 1, "date_requested": "2026-03-02 08:00:00", "status": status,
        "items": [{"order_item_id": basket(1).item_id(), "qty_requested": 1, "reason": "23", "status": "pending"}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_is_over_when_it_is_fetched_needs_nobody_and_one_of_no_number_is_told() {
    let statuses = [(json!("pending"), 1), (json!("received"), 1), (json!("under_review"), 1), (json!(null), 1)];
    let over = ["denied", "closed", "processed_closed"].map(|status| (json!(status), 0));
    for (status, documents) in statuses.into_iter().chain(over) {
        let listed = listed_return(&status);
        let shop = scripted(move |query| {
            let items = match query.contains("=in&") {
                true => json!({"entity_id": 1, "created_at": "2026-03-02 07:00:00", "items": []}),
                false => listed.clone(),
            };
            json!({"items": [items], "total_count": 1})
        })
        .await;
        let host = pulling_returns(pulling(&shop, &shop, ""), &shop, &shop, "returns").start().await;
        let run = fetch_by(&host, "returns").await;
        assert_eq!((run.documents, run.failed), (documents, None), "{status}");
    }

    let shop = scripted(|_| json!({"items": [{"entity_id": 7}], "total_count": 1})).await;
    let host = pulling_returns(pulling(&shop, &shop, ""), &shop, &shop, "returns").start().await;
    for _ in 0..2 {
        assert_eq!(fetch_by(&host, "returns").await.documents, 0);
        later(&host);
    }
    assert_eq!(host.codes().await, ["polled-unusable"], "once");

    // There is no such list: the configuration is refused where its settings are looked at, else the poll.
    match pulling_returns(pulling(&shop, &shop, ""), &shop, &shop, "invoices").try_start().await {
        Ok(host) => assert_eq!(fetch_by(&host, "returns").await.failed.as_deref(), Some("permanent")),
        Err(refused) => assert!(format!("{refused:#}").contains("`poll`"), "{refused:#}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_a_day_and_many_orders_of_one_second_lose_nothing_and_double_nothing() {
    let desk = Desk::start().await;
    assert_eq!(desk.fetched().await, 0);
    // Twenty in one second, then one each quarter of an hour; every third message arrives.
    let mut bought = 0;
    for _ in 0..20 {
        bought += 1;
        desk.buys(bought, bought % 3 == 0).await;
    }
    for _ in 0..20 {
        desk.host.clock.advance_to(desk.host.clock.now().plus_ms(15 * MINUTE_MS));
        bought += 1;
        desk.buys(bought, bought % 3 == 0).await;
    }
    desk.host.decide_all().await;
    let mut fetched = 0;
    for _ in 0..6 {
        fetched += desk.fetched().await;
        later(&desk.host);
    }
    assert_eq!(fetched, 27);
    let numbers: Vec<String> = orders(&desk.host).await.into_iter().map(|(number, _)| number).collect();
    let expected: Vec<String> = (1..=bought).map(|id| basket(id).increment_id()).collect();
    assert_eq!(numbers, expected);
    assert_eq!(desk.host.codes().await, Vec::<String>::new());
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_knows_only_its_integration_is_asked_as_that() {
    let secrets = tempfile::tempdir().unwrap();
    let file = |name: &str, secret: &str| -> String {
        let path: &Path = &secrets.path().join(name);
        std::fs::write(path, secret).unwrap();
        path.display().to_string()
    };
    let (consumer, token) =
        (file("consumer", "c0nsumer secret+of&the tests"), file("token", "t0ken-secret/of-the-tests"));
    let integration = Integration {
        consumer_key: "portreeve".to_owned(),
        consumer_secret: "c0nsumer secret+of&the tests".to_owned(),
        token: "orders".to_owned(),
        token_secret: "t0ken-secret/of-the-tests".to_owned(),
    };
    let shop = Shop::start_for(Some(integration), Mischief::default()).await.unwrap();
    shop.place(&basket(1).placed()).unwrap();
    for (name, documents, failed) in [("orders", 1, None), ("somebody", 0, Some("permanent".to_owned()))] {
        let credential = format!(
            "credential = {{ kind = \"oauth1\", consumer_key = \"portreeve\", consumer_secret = {{ file = {consumer:?} }}, \
             token = \"{name}\", token_secret = {{ file = {token:?} }} }}"
        );
        let host = pulling(&shop.origin(), &shop.base_url(), &credential).start().await;
        let run = fetch(&host).await;
        assert_eq!((run.documents, run.failed), (documents, failed));
    }
}

/// A shop whose list a test writes, by page.
pub(crate) async fn scripted(answer: impl Fn(&str) -> Value + Clone + Send + Sync + 'static) -> String {
    let routes = axum::Router::new().fallback(move |uri: Uri| {
        let body = answer(uri.query().unwrap_or_default()).to_string();
        async move { (StatusCode::OK, body) }
    });
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
    origin
}

/// An order as a list has it, changed so many seconds after the morning.
fn listed(entity_id: u64, after_s: i64) -> Value {
    let mut order: Value = serde_json::from_slice(&basket(entity_id).placed()).unwrap();
    let at: Instant = MORNING.plus_ms(after_s * 1_000);
    let written: String = at.to_string().replace('T', " ").chars().take(19).collect();
    order["updated_at"] = json!(written);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_repeats_its_last_page_or_lists_in_another_order_ends_the_poll_and_loses_nothing() {
    // It says that there are more than it tells: behind its end it tells the last page for ever.
    let endless = scripted(|_| json!({"items": [listed(1, 0), listed(2, 0), listed(3, 0)], "total_count": 90})).await;
    let host = pulling(&endless, &endless, "").start().await;
    let run = fetch(&host).await;
    assert_eq!((run.documents, run.failed.as_deref()), (3, Some("permanent")), "nobody knows what is behind it");
    host.decide_all().await;
    assert_eq!(orders(&host).await.len(), 3);

    let unsorted = scripted(|_| json!({"items": [listed(1, 60), listed(2, 0)], "total_count": 2})).await;
    let host = pulling(&unsorted, &unsorted, "").start().await;
    assert_eq!(fetch(&host).await.failed.as_deref(), Some("permanent"));

    // `items` is `null` in some versions where there are none; one without a time is a problem.
    let nothing = scripted(|_| json!({"items": null, "total_count": 0})).await;
    let host = pulling(&nothing, &nothing, "").start().await;
    assert_eq!(fetch(&host).await, PollRun { asked: 1, documents: 0, failed: None });
    let unnamed = scripted(|_| json!({"items": [{"entity_id": 1}, listed(2, 0)], "total_count": 2})).await;
    let host = pulling(&unnamed, &unnamed, "").start().await;
    assert_eq!(fetch(&host).await.documents, 1);
    later(&host);
    assert_eq!(fetch(&host).await.documents, 0);
    // It is told beside the order, and no more.
    assert_eq!(host.codes().await, ["accepted-with-problems"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_a_time_keeps_nothing_behind_its_page_from_being_fetched() {
    let shop = scripted(|query| {
        let items = match query.ends_with("=2") {
            true => vec![listed(3, 0)],
            false => vec![json!({"entity_id": 9}), listed(1, 0), listed(2, 0)],
        };
        json!({"items": items, "total_count": 4})
    })
    .await;
    let host = pulling(&shop, &shop, "").start().await;
    let run = fetch(&host).await;
    assert_eq!((run.documents, run.failed), (3, None));
    later(&host);
    assert_eq!(fetch(&host).await.documents, 0);
    assert_eq!(host.codes().await, ["accepted-with-problems"], "it is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_its_number_is_told_once_however_often_it_changes() {
    let changed = Arc::new(AtomicU32::new(0));
    let shop = scripted({
        let changed = Arc::clone(&changed);
        move |_| {
            let times = changed.load(Ordering::Relaxed);
            // Its members are whatever the shop has, and one has a name that is escaped.
            let unnamed =
                json!({"increment_id": "000000009", "created_at": "2026-03-02 08:00:00", "so \"named\"": times});
            // Each time another order is newer than all that is asked for once more.
            let newer = listed(10 + u64::from(times), 600 * i64::from(times));
            json!({"items": [unnamed, newer], "total_count": 2})
        }
    })
    .await;
    let host = pulling(&shop, &shop, "").start().await;
    for _ in 0..4 {
        let run = fetch(&host).await;
        assert_eq!((run.documents, run.failed), (1, None));
        changed.fetch_add(1, Ordering::Relaxed);
        later(&host);
    }
    assert_eq!(host.codes().await, ["accepted-with-problems"]);
    // Another one is another matter.
    let two = json!([{"increment_id": "1"}, {"increment_id": "2"}, {"increment_id": null, "comment": "none"}]);
    let shop = scripted(move |_| json!({"items": two, "total_count": 3})).await;
    let host = pulling(&shop, &shop, "").start().await;
    fetch(&host).await;
    let told = host.exceptions().await.remove(0).detail;
    assert!(told.contains("3 problem(s)"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_set_poll_since_to_later_have_the_shop_asked_from_there_on() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let shop = scripted({
        let asked = Arc::clone(&asked);
        move |query| {
            asked.lock().unwrap().push(query.to_owned());
            json!({"items": [listed(1, 0)], "total_count": 1})
        }
    })
    .await;
    let host = pulling(&shop, &shop, "").start().await;
    assert_eq!(fetch(&host).await.documents, 1);
    later(&host);
    let setup = pulling(&shop, &shop, "").replace("portreeve.toml", "2026-03-02T00:00:00Z", "2026-03-02T09:00:00Z");
    let host = host.restart_as(setup).await;
    asked.lock().unwrap().clear();
    fetch(&host).await;
    let asked = asked.lock().unwrap().concat().replace("%3A", ":");
    assert!(asked.contains("09:00:00") && !asked.contains("07:55:00"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_state_that_nobody_knows_or_of_none_is_fetched_and_one_that_is_over_is_not() {
    let states = [(json!(null), 1), (json!("fraud_hold"), 1), (json!("processing"), 1)];
    let canceled = [(json!("canceled"), 1)];
    let over = ["complete", "closed"].map(|state| (json!(state), 0));
    for (state, documents) in states.into_iter().chain(canceled).chain(over) {
        let of_state = state.clone();
        let shop = scripted(move |_| {
            let mut order = listed(1, 0);
            order["state"] = of_state.clone();
            json!({"items": [order], "total_count": 1})
        })
        .await;
        let host = pulling(&shop, &shop, "").start().await;
        assert_eq!(fetch(&host).await.documents, documents, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_for_somebody_its_channel_does_not_know_is_refused() {
    let shop = Shop::start(Mischief::default()).await.unwrap();
    let setup = pulling(&shop.origin(), &shop.base_url(), "");
    let error =
        setup.replace("portreeve.toml", "sender = \"main-store\"", "sender = \"nobody\"").try_start().await.err();
    let error = format!("{:#}", error.unwrap());
    assert!(error.contains("poll `missing` brings what is sender `nobody`'s"), "{error}");
}
