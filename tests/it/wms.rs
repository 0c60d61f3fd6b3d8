//! A warehouse over REST: what it is told to do, what it says, and that no lost answer lets
//! goods leave twice.

use std::net::SocketAddr;

use axum::http::{HeaderMap, StatusCode};
use portreeve::standins::wms::{NODE, Reason, Short, Step};
use portreeve::standins::{Mischief, Wms};
use portreeve_model::document::{Document, Message, Receipt};
use portreeve_model::event::{
    CancelRequest, GoodsReturn, Order, OrderAnswer, OrderChange, OrderLine, ReturnLine, Shipment, ShortReason,
};
use portreeve_model::value::{Decimal, Quantity};
use portreeve_model::{Digest, Event, Failure, Instant, ProcessState, Received};
use portreeve_pipeline::Credential;
use portreeve_store::contract::{OrderState, OrderView};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::at_the_plugin::{Plugins, order_id};
use crate::golden::an_order;
use crate::support::{PurchaseOrder, Setup, TestHost, sample, x12};

const RELEASE: &str = "wms-rest/release";
const CHANGE: &str = "wms-rest/change";
const STOP: &str = "wms-rest/stop";
const EXPECT_RETURN: &str = "wms-rest/expect-return";

/// What the warehouse shows when it says something.
const TOKEN: &str = "token-of-the-warehouse";

const GRANT: &str = "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 45000 } }";

/// Both plugins, which the demo does not have.
fn with_plugins(setup: Setup) -> Setup {
    setup.plugin("wms-rest", GRANT).blindfolded("wms-documents")
}

/// The two plugins, without a host's road around them.
struct Called(Plugins);

impl Called {
    async fn start() -> Self {
        Self(Plugins::of(with_plugins(Setup::demo())).await)
    }

    async fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Received {
        self.0.answer("wms-rest", "POST", "", headers, body, &[]).await.unwrap()
    }

    async fn map(&self, document: &Document) -> Result<Vec<Event>, Failure> {
        self.0.map("wms-documents", document, &[]).await
    }

    /// The one event that a webhook is.
    async fn event(&self, body: &str) -> Result<Event, Failure> {
        let received = self.post(&[("content-type", "application/json")], body.as_bytes()).await;
        assert_eq!(received.problems, [], "{body}");
        Ok(self.map(&received.documents[0]).await?.remove(0))
    }

    async fn message(&self, kind: &str, event: Event) -> Result<Message, Failure> {
        self.0.rendered("wms-documents", kind, event, &[]).await
    }

    async fn deliver(&self, at: &At, kind: &str, event: Event, key: &str) -> Result<Receipt, Failure> {
        let message = self.message(kind, event).await.unwrap();
        self.0.deliver_to("wms-rest", at.address, message, key, &at.settings()).await
    }

    async fn find(&self, at: &At, kind: &str, key: &str) -> Result<Option<Receipt>, Failure> {
        self.0.find_at("wms-rest", at.address, kind, key, &at.settings()).await
    }
}

/// Where a warehouse listens.
struct At {
    address: SocketAddr,
    base_url: String,
    answer_timeout_ms: String,
}

impl At {
    fn of(wms: &Wms) -> Self {
        let address = wms.origin().strip_prefix("http://").unwrap().parse().unwrap();
        Self { address, base_url: wms.base_url(), answer_timeout_ms: "20000".to_owned() }
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [("base-url", &self.base_url), ("answer-timeout-ms", &self.answer_timeout_ms)]
    }
}

/// A warehouse that answers everything with this status and body, and asks to wait 7 seconds.
async fn answering(status: u16, body: &str) -> At {
    let body = body.to_owned();
    let routes = axum::Router::new().fallback(move || {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        let answer = (StatusCode::from_u16(status).unwrap(), headers, body.clone());
        async move { answer }
    });
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
    At { address, base_url: format!("http://{address}/api/v1/"), answer_timeout_ms: "20000".to_owned() }
}

fn quantity(text: &str, unit: &str) -> Quantity {
    let Decimal { units, scale } = decimal(text);
    Quantity { value: units, scale, unit: unit.to_owned() }
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn line(number: &str, sku: &str, quantity: Quantity) -> OrderLine {
    OrderLine { number: number.to_owned(), sku: sku.to_owned(), quantity, ..an_order().lines.remove(0) }
}

/// An order of a line of five pumps and one of two and a half metres of hose.
fn order() -> Order {
    let lines = vec![line("1", "PUMP-40", quantity("5", "EA")), line("2", "HOSE-M", quantity("2.50", "MTR"))];
    Order { lines, ..an_order() }
}

fn created() -> Event {
    Event::OrderCreated(order())
}

fn cancelled(lines: &[&str]) -> Event {
    Event::OrderCancelRequested(CancelRequest {
        order_number: "4711".to_owned(),
        reason: Some("ordered twice".to_owned()),
        line_numbers: lines.iter().map(|line| (*line).to_owned()).collect(),
        extensions: Vec::new(),
    })
}

fn to_return() -> Event {
    Event::ReturnRequested(GoodsReturn {
        return_number: "RMA 1/7".to_owned(),
        order_number: "4711".to_owned(),
        lines: vec![ReturnLine {
            line_number: Some("1".to_owned()),
            sku: "PUMP-40".to_owned(),
            quantity: quantity("1", "EA"),
            reason: Some("too loud".to_owned()),
            condition: None,
        }],
        at: None,
        extensions: Vec::new(),
    })
}

/// The natural key of the order, and of its return.
fn key() -> String {
    order_id().to_string()
}

fn return_key() -> String {
    format!("{}/RMA 1/7", order_id())
}

/// Every kind with an event that it is made of and its natural key.
fn kinds() -> [(&'static str, Event, String); 4] {
    [
        (RELEASE, created(), key()),
        (STOP, cancelled(&[]), key()),
        (EXPECT_RETURN, to_return(), return_key()),
        (EXPECT_RETURN, cancelled(&[]), format!("{0}/cancel-{0}", order_id())),
    ]
}

async fn stocked(mischief: Mischief) -> Wms {
    let wms = Wms::start(mischief).await.unwrap();
    wms.put(NODE, "PUMP-40", decimal("100"));
    wms.put(NODE, "HOSE-M", decimal("100"));
    wms
}

fn only(kind: fn(&mut Mischief) -> &mut u16) -> Mischief {
    let mut mischief = Mischief::default();
    *kind(&mut mischief) = 1_000;
    mischief
}

fn effects(wms: &Wms) -> (usize, usize, usize) {
    (wms.releases().len(), wms.stops().len(), wms.returns().len())
}

fn problems(failure: Failure) -> Vec<(String, String)> {
    let Failure::Invalid(problems) = failure else { panic!("{failure:?}") };
    problems.into_iter().map(|problem| (problem.code, problem.position.path)).collect()
}

fn told(code: &str, path: &str) -> (String, String) {
    (code.to_owned(), path.to_owned())
}

// --- what the warehouse is told ---

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_exactly_what_the_warehouse_documents() {
    let called = Called::start().await;
    let id = order_id().to_string();
    let address = json!({
        "id": "ST-2", "name": "Warehouse 2", "lines": order().ship_to.unwrap().lines, "city": "Portland",
    });
    let written = async |kind: &str, event: Event| {
        let message = called.message(kind, event).await.unwrap();
        assert_eq!((message.kind.as_str(), message.content_type.as_str()), (kind, "application/json"));
        String::from_utf8(message.body).unwrap()
    };
    let release = written(RELEASE, created()).await;
    let json: Value = serde_json::from_str(&release).unwrap();
    assert_eq!((&json["orderId"], &json["orderNumber"]), (&json!(id), &json!("4711")));
    assert_eq!((&json["requestedDelivery"], &json["cancelAfter"]), (&json!("2026-03-06"), &json!("2026-03-31")));
    assert_eq!(json["shipTo"]["lines"], address["lines"]);
    let lines = r#""lines":[{"lineNumber":"1","sku":"PUMP-40","quantity":5,"unit":"EA","requestedDelivery":"2026-03-05"},{"lineNumber":"2","sku":"HOSE-M","quantity":2.50,"unit":"MTR","requestedDelivery":"2026-03-05"}]}"#;
    assert!(release.ends_with(lines), "{release}");

    let mut large = order();
    large.lines[0].quantity = Quantity { value: i64::MAX, scale: 9, unit: "MTR".to_owned() };
    let release = written(RELEASE, Event::OrderCreated(large)).await;
    assert!(release.contains(r#""quantity":9223372036.854775807,"#), "{release}");

    let stop = format!(r#"{{"orderId":"{id}","reason":"ordered twice","lines":["2"]}}"#);
    assert_eq!(written(STOP, cancelled(&["2"])).await, stop);
    let accepted = OrderAnswer {
        order_number: id.to_string(),
        external_id: None,
        answered_at: None,
        lines: vec![],
        reason: None,
        extensions: vec![],
    };
    let all = format!(r#"{{"orderId":"{id}","lines":[]}}"#);
    assert_eq!(written(STOP, Event::OrderAccepted(accepted)).await, all);
    let back = r#"[{"lineNumber":"1","sku":"PUMP-40","quantity":1,"unit":"EA","reason":"too loud"}]"#;
    let expected = format!(r#"{{"orderId":"{id}","returnNumber":"RMA 1/7","lines":{back}}}"#);
    assert_eq!(written(EXPECT_RETURN, to_return()).await, expected);
    let whole = format!(r#"{{"orderId":"{id}","returnNumber":"cancel-{id}","lines":[]}}"#);
    assert_eq!(written(EXPECT_RETURN, cancelled(&[])).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_warehouse_would_have_to_guess_is_refused_all_at_once() {
    let called = Called::start().await;
    let refused = async |kind: &str, event: Event| problems(called.message(kind, event).await.unwrap_err());
    let lines = vec![
        line("1", "PUMP-40", quantity("0", "EA")),
        line("2", "HOSE-M", quantity("1", "EA")),
        line("3", "HOSE-M", quantity("-2.5", "EA")),
    ];
    let bad = Order { ship_to: None, lines, ..order() };
    let all = [
        told("ship-to-missing", "ship-to"),
        told("quantity-not-positive", "lines[0].quantity"),
        told("quantity-not-positive", "lines[2].quantity"),
    ];
    assert_eq!(refused(RELEASE, Event::OrderCreated(bad)).await, all);

    let mut nowhere = order();
    let address = nowhere.ship_to.as_mut().unwrap();
    (address.id, address.lines, address.city) = (None, vec![" ".to_owned()], None);
    nowhere.lines.clear();
    let none = [told("ship-to-missing", "ship-to"), told("lines-missing", "lines")];
    assert_eq!(refused(RELEASE, Event::OrderCreated(nowhere)).await, none);

    let Event::ReturnRequested(mut goods) = to_return() else { panic!() };
    goods.lines[0].quantity.value = 0;
    let returned = Event::ReturnRequested(goods.clone());
    assert_eq!(refused(EXPECT_RETURN, returned).await, [told("quantity-not-positive", "lines[0].quantity")]);
    goods.lines.clear();
    let empty = Event::ReturnRequested(goods);
    assert_eq!(refused(EXPECT_RETURN, empty).await, [told("lines-missing", "lines")]);
    let part = refused(EXPECT_RETURN, cancelled(&["2"])).await;
    assert_eq!(part, [told("lines-of-a-return-unknown", "line-numbers")]);

    for (kind, event) in [(RELEASE, cancelled(&[])), (STOP, created()), (EXPECT_RETURN, created())] {
        let failure = called.message(kind, event).await.unwrap_err();
        assert!(matches!(&failure, Failure::Permanent(why) if why.contains(kind)), "{failure:?}");
    }
}

// --- what it does ---

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_delivered_and_found_again_after_a_lost_answer() {
    let called = Called::start().await;
    for drops in [only(|m| &mut m.drop_after_per_mille), only(|m| &mut m.slow_per_mille)] {
        let wms = stocked(Mischief::default()).await;
        let mischievous = stocked(drops).await;
        for (kind, event, key) in kinds() {
            let (at, mut hard) = (At::of(&wms), At::of(&mischievous));
            hard.answer_timeout_ms = "100".to_owned();
            assert_eq!(called.find(&at, kind, &key).await, Ok(None), "{kind}");
            let receipt = called.deliver(&at, kind, event.clone(), &key).await.unwrap();
            assert_eq!(called.find(&at, kind, &key).await, Ok(Some(receipt.clone())), "{kind}");

            let lost = called.deliver(&hard, kind, event, &key).await;
            assert!(matches!(lost, Err(Failure::UnknownOutcome(_))), "{kind}: {lost:?}");
            assert_eq!(called.find(&hard, kind, &key).await, Ok(Some(receipt)), "{kind}");
        }
        assert_eq!((effects(&wms), effects(&mischievous)), ((1, 1, 2), (1, 1, 2)));
        assert_eq!(mischievous.releases()[0].step, Step::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_no_effect_is_not_found_and_a_throttled_caller_is_told_when() {
    let called = Called::start().await;
    for (mischief, throttled) in
        [(only(|m| &mut m.throttle_per_mille), true), (only(|m| &mut m.fail_before_per_mille), false)]
    {
        let wms = stocked(mischief).await;
        for (kind, event, key) in kinds() {
            let failed = called.deliver(&At::of(&wms), kind, event, &key).await.unwrap_err();
            if throttled {
                assert_eq!(failed, Failure::Retry(1_000), "{kind}");
            } else {
                assert!(matches!(failed, Failure::UnknownOutcome(_)), "{kind}: {failed:?}");
            }
            assert_eq!(called.find(&At::of(&wms), kind, &key).await, Ok(None), "{kind}");
        }
        assert_eq!(effects(&wms), (0, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_meaning_whatever_was_asked() {
    let called = Called::start().await;
    for (status, body) in [
        (400, r#"{"error":{"code":"malformed","message":"no JSON"}}"#),
        (409, "{}"),
        (422, ""),
        (429, ""),
        (408, ""),
        (500, ""),
        (503, ""),
        (201, "{}"),
        (201, r#"{"id":"RL-1","orderId":"another"}"#),
        (302, ""),
        (401, ""),
        (404, ""),
    ] {
        let at = answering(status, body).await;
        for (kind, event, key) in kinds() {
            let failure = called.deliver(&at, kind, event, &key).await.unwrap_err();
            let as_expected = match status {
                400 | 409 | 422 => {
                    matches!(&failure, Failure::Invalid(problems) if problems[0].code == "refused-by-wms")
                }
                429 => failure == Failure::Retry(7_000),
                408 | 500.. | 201 => matches!(failure, Failure::UnknownOutcome(_)),
                _ => matches!(failure, Failure::Permanent(_)),
            };
            assert!(as_expected, "{status} to {kind}: {failure:?}");
        }
    }
    let at = answering(409, r#"{"error":{"code":"already-left","message":"too late"}}"#).await;
    let failure = called.deliver(&at, STOP, cancelled(&[]), &key()).await.unwrap_err();
    assert!(matches!(&failure, Failure::Permanent(why) if why.starts_with("already-left: ")), "{failure:?}");
    let failure = called.deliver(&at, RELEASE, created(), &key()).await.unwrap_err();
    assert!(matches!(failure, Failure::Invalid(_)), "only a stop can be too late: {failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_not_answered_is_never_taken_for_a_no() {
    let called = Called::start().await;
    let other = r#"[{"id":"X-1","orderId":"another","returnNumber":"RMA 1/7"}]"#;
    let unread = [
        (200, String::new()),
        (200, "[]".to_owned()),
        (200, "{}".to_owned()),
        (200, format!(r#"{{"releases":{other},"returns":{other},"id":"X-1","orderId":"another","state":"stopped"}}"#)),
        (401, String::new()),
        (404, String::new()),
        (404, r#"{"error":{"code":"no-such-resource"}}"#.to_owned()),
    ];
    for (status, body) in unread {
        let at = answering(status, &body).await;
        for (kind, _, key) in kinds() {
            let found = called.find(&at, kind, &key).await;
            assert!(matches!(found, Err(Failure::Permanent(_))), "{status} {body} to {kind}: {found:?}");
        }
    }
    for status in [408, 429, 500, 503] {
        let at = answering(status, "").await;
        for (kind, _, key) in kinds() {
            assert_eq!(called.find(&at, kind, &key).await, Err(Failure::Retry(7_000)), "{status} to {kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_ask_for_again_is_not_sent() {
    let called = Called::start().await;
    let wms = stocked(Mischief::default()).await;
    let other = "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10";
    for (kind, event, key, code) in [
        (RELEASE, created(), other.to_owned(), "other-natural-key"),
        (STOP, cancelled(&[]), other.to_owned(), "other-natural-key"),
        (EXPECT_RETURN, to_return(), key(), "other-natural-key"),
        (EXPECT_RETURN, to_return(), format!("{}/", key()), "return-without-number"),
        (EXPECT_RETURN, to_return(), format!("{}/RMA 1", key()), "other-natural-key"),
        (EXPECT_RETURN, to_return(), format!("{other}/RMA 1/7"), "other-natural-key"),
    ] {
        let failure = called.deliver(&At::of(&wms), kind, event, &key).await.unwrap_err();
        assert!(matches!(&failure, Failure::Permanent(why) if why.starts_with(code)), "{kind} as {key}: {failure:?}");
    }
    let of_cancelled = called.find(&At::of(&wms), EXPECT_RETURN, &key()).await;
    assert_eq!(of_cancelled, Ok(None), "the return of a cancelled order is known by the order");
    assert_eq!(effects(&wms), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_release_is_a_second_shipment_and_is_never_taken_for_success() {
    let called = Called::start().await;
    let wms = stocked(Mischief::default()).await;
    for (kind, event, key) in [(RELEASE, created(), key()), (EXPECT_RETURN, to_return(), return_key())] {
        for _ in 0..2 {
            called.deliver(&At::of(&wms), kind, event.clone(), &key).await.unwrap();
        }
    }
    for (kind, key, code) in [(RELEASE, key(), "released-twice"), (EXPECT_RETURN, return_key(), "return-twice")] {
        let found = called.find(&At::of(&wms), kind, &key).await;
        assert!(matches!(&found, Err(Failure::Permanent(why)) if why.starts_with(code)), "{found:?}");
    }
    for _ in 0..5 {
        wms.work().unwrap();
    }
    assert_eq!(wms.shipments().len(), 2, "the goods left twice, and the ledger shows it");
    // Both returns came as well, on the step on which the goods had left.
    assert_eq!(wms.stock(NODE, "PUMP-40"), decimal("92"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_before_the_goods_leave_brings_them_back_and_one_after_says_so() {
    let called = Called::start().await;
    for steps in 0..=5 {
        let wms = stocked(Mischief::default()).await;
        let at = At::of(&wms);
        called.deliver(&at, RELEASE, created(), &key()).await.unwrap();
        for _ in 0..steps {
            wms.work().unwrap();
        }
        let stopped = called.deliver(&at, STOP, cancelled(&[]), &key()).await;
        if steps == 5 {
            assert!(matches!(&stopped, Err(Failure::Permanent(why)) if why.starts_with("already-left: ")));
            assert_eq!(called.find(&at, STOP, &key()).await, Ok(None));
        } else {
            let receipt = stopped.unwrap();
            assert_eq!(receipt.detail.as_deref(), Some("state stopped"));
            assert_eq!(called.deliver(&at, STOP, cancelled(&[]), &key()).await, Ok(receipt), "it can be repeated");
        }
        for _ in 0..5 {
            wms.work().unwrap();
        }
        let left = if steps == 5 { (1, "95", "97.5") } else { (0, "100", "100") };
        let stock = (wms.stock(NODE, "PUMP-40"), wms.stock(NODE, "HOSE-M"));
        assert_eq!((wms.shipments().len(), stock), (left.0, (decimal(left.1), decimal(left.2))), "{steps} steps");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_take_off_before_it_is_picked_stays_and_is_told_as_cancelled() {
    let called = Called::start().await;
    for (steps, early) in [(0, true), (1, true), (2, false), (5, false)] {
        let wms = stocked(Mischief::default()).await;
        called.deliver(&At::of(&wms), RELEASE, created(), &key()).await.unwrap();
        for _ in 0..steps {
            wms.work().unwrap();
        }
        assert!(!wms.take_off(&key(), "1", decimal("5")), "a whole line is stopped instead");
        assert!(!wms.take_off(&key(), "3", decimal("1")), "there is no such line");
        assert_eq!(wms.take_off(&key(), "1", decimal("2")), early, "{steps} steps");
        for _ in steps..5 {
            wms.work().unwrap();
        }
        let (left, reason) = if early { ("3", Some(Reason::Cancelled)) } else { ("5", None) };
        let shipments = wms.shipments();
        let pumps = &shipments[0].lines[0];
        assert_eq!((pumps.ordered, pumps.shipped, pumps.reason), (decimal("5"), decimal(left), reason));
        assert_eq!(shipments[0].lines[1].reason, None);
        let stock = if early { "97" } else { "95" };
        assert_eq!((wms.stock(NODE, "PUMP-40"), wms.on_hand(NODE, "PUMP-40")), (decimal(stock), decimal(stock)));
    }
}

fn agreed(lines: Vec<OrderLine>) -> Event {
    Event::OrderChanged(OrderChange { order: Order { lines, ..order() }, revision: None })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_becomes_what_was_agreed_until_it_is_picked() {
    let called = Called::start().await;
    let place = format!("{}/17", key());
    let wanted = || {
        let none = line("2", "HOSE-M", quantity("0", "MTR"));
        agreed(vec![line("1", "PUMP-40", quantity("3", "EA")), none, line("3", "HOSE-M", quantity("1.50", "MTR"))])
    };
    for (steps, early) in [(0, true), (1, true), (2, false), (5, false)] {
        let wms = stocked(Mischief::default()).await;
        let at = At::of(&wms);
        let nothing = called.deliver(&at, CHANGE, wanted(), &place).await;
        assert!(matches!(&nothing, Err(Failure::Permanent(why)) if why.starts_with("no-such-order: ")), "{nothing:?}");
        let release = called.deliver(&at, RELEASE, created(), &key()).await.unwrap();
        for _ in 0..steps {
            wms.work().unwrap();
        }
        let changed = called.deliver(&at, CHANGE, wanted(), &place).await;
        for _ in steps..5 {
            wms.work().unwrap();
        }
        assert_eq!(called.find(&at, CHANGE, &place).await, Ok(None), "whoever sends again does no harm");
        let again = called.deliver(&at, CHANGE, wanted(), &place).await;
        if early {
            for receipt in [changed, again] {
                assert_eq!(receipt.unwrap().external_id, release.external_id);
            }
        } else {
            for refused in [changed, again] {
                assert!(
                    matches!(&refused, Err(Failure::Permanent(why)) if why.starts_with("already-picked: ")),
                    "{refused:?}"
                );
            }
        }
        let shipments = wms.shipments();
        let left: Vec<(&str, String)> = shipments
            .iter()
            .flat_map(|shipment| &shipment.lines)
            .map(|line| (line.line_number.as_str(), line.shipped.to_string()))
            .collect();
        let expected = if early { [("1", "3"), ("3", "1.5")] } else { [("1", "5"), ("2", "2.5")] };
        assert_eq!(left, expected.map(|(line, shipped)| (line, shipped.to_owned())), "{steps} steps");
        assert_eq!((shipments.len(), wms.releases().len()), (1, 1));
        let stock = (wms.stock(NODE, "PUMP-40"), wms.stock(NODE, "HOSE-M"));
        let expected = if early { ("97", "98.5") } else { ("95", "97.5") };
        assert_eq!(stock, (decimal(expected.0), decimal(expected.1)), "{steps} steps");
    }
    let stopped = stocked(Mischief::default()).await;
    let at = At::of(&stopped);
    called.deliver(&at, RELEASE, created(), &key()).await.unwrap();
    called.deliver(&at, STOP, cancelled(&[]), &key()).await.unwrap();
    let refused = called.deliver(&at, CHANGE, wanted(), &place).await.unwrap_err();
    assert_eq!(problems(refused), [told("refused-by-wms", "")]);
    let none = called.message(CHANGE, agreed(vec![line("1", "PUMP-40", quantity("0", "EA"))])).await.unwrap_err();
    assert_eq!(problems(none), [told("lines-missing", "lines")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_some_lines_is_sent_again_until_it_is_answered() {
    let called = Called::start().await;
    let wms = stocked(Mischief::default()).await;
    let at = At::of(&wms);
    let unknown = called.deliver(&at, STOP, cancelled(&[]), &key()).await.unwrap();
    assert_eq!(unknown.detail.as_deref(), Some("the WMS has no release of it"));

    called.deliver(&at, RELEASE, created(), &key()).await.unwrap();
    wms.work().unwrap();
    let refused = called.deliver(&at, STOP, cancelled(&["9"]), &key()).await.unwrap_err();
    assert_eq!(problems(refused), [told("refused-by-wms", "")]);
    let part = called.deliver(&at, STOP, cancelled(&["2"]), &key()).await.unwrap();
    assert_eq!(part.detail.as_deref(), Some("state part-stopped"));
    // Whether it was this stop that happened, nobody can tell; to send it again does no harm.
    assert_eq!(called.find(&at, STOP, &key()).await, Ok(None));
    for _ in 0..4 {
        wms.work().unwrap();
    }
    assert_eq!(called.deliver(&at, STOP, cancelled(&["2"]), &key()).await, Ok(part), "also when the rest has left");
    let late = called.deliver(&at, STOP, cancelled(&["1"]), &key()).await.unwrap_err();
    assert!(matches!(&late, Failure::Permanent(why) if why.starts_with("already-left: ")), "{late:?}");
    let shipped: Vec<_> = wms.shipments()[0].lines.iter().map(|line| line.line_number.clone()).collect();
    assert_eq!((shipped, wms.stock(NODE, "HOSE-M")), (vec!["1".to_owned()], decimal("100")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_whether_the_warehouse_is_there() {
    let called = Called::start().await;
    let wms = stocked(Mischief::default()).await;
    let at = At::of(&wms);
    let report = called.0.check_at("wms-rest", at.address, &at.settings()).await;
    assert_eq!((report.ok, report.detail.as_str()), (true, "the WMS says that it is well"));
    let wrong = format!("{}/nowhere", at.base_url);
    let report = called.0.check_at("wms-rest", at.address, &[("base-url", wrong.as_str())]).await;
    assert_eq!((report.ok, report.detail.as_str()), (false, "the WMS answered 404 when asked for its health"));
}

// --- what it says ---

#[tokio::test(flavor = "multi_thread")]
async fn every_webhook_is_the_event_that_it_says() {
    let called = Called::start().await;
    let mut events = Vec::new();
    for number in 1..=8 {
        let received = called.post(&[], &sample("wms-rest", &format!("{number:04}"))).await;
        assert_eq!((received.reply.status, &received.problems), (202, &vec![]), "{number}");
        for document in &received.documents {
            events.extend(called.map(document).await.unwrap());
        }
    }
    let names: Vec<&str> = events.iter().map(Event::name).collect();
    let expected = [
        "inventory.allocated",
        "shipment.picked",
        "shipment.packed",
        "shipment.dispatched",
        "shipment.confirmed",
        "return.received",
        "shipment.picked",
        "shipment.confirmed",
        "inventory.level",
    ];
    assert_eq!(names, expected);

    let Event::InventoryLevel(level) = &events[8] else { panic!() };
    assert_eq!((level.sku.as_str(), level.node.as_str()), ("FST-1007", "DC-EAST"));
    assert_eq!((&level.on_hand, &level.available), (&quantity("120", "BX"), &quantity("87.5", "BX")));
    assert_eq!(level.as_of, Some(Instant::parse("2026-03-02T15:05:00.250Z").unwrap()));

    let Event::InventoryAllocated(allocation) = &events[0] else { panic!() };
    assert_eq!(allocation.order_number, "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10");
    let lines: Vec<_> = allocation.lines.iter().map(|line| (line.node.as_str(), line.quantity.clone())).collect();
    assert_eq!(lines, [("DC-EAST", quantity("20", "BX")), ("DC-WEST", quantity("12", "EA"))]);
    assert_eq!(allocation.extensions[0].value, Instant::parse("2026-03-02T09:00:00Z").unwrap().0.to_string());

    let Event::ShipmentPicked(picked) = &events[1] else { panic!() };
    assert_eq!((picked.lines[0].lot.as_deref(), picked.lines[1].serials.len()), (Some("L-2602-118"), 2));
    let Event::ShipmentDispatched(dispatched) = &events[3] else { panic!() };
    assert_eq!(dispatched.at, Some(Instant::parse("2026-03-02T15:05:00Z").unwrap()));
    assert_eq!((dispatched.carrier.as_deref(), dispatched.tracking.len()), (Some("UPS"), 1));
    let country = dispatched.ship_to.as_ref().and_then(|address| address.country.as_deref());
    assert_eq!((country, dispatched.lines.len()), (Some("US"), 0));

    let Event::ShipmentConfirmed(confirmed) = &events[4] else { panic!() };
    let shipped = |shipment: &Shipment| -> Vec<(Option<Quantity>, Quantity, ShortReason)> {
        shipment.lines.iter().map(|line| (line.ordered.clone(), line.shipped.clone(), line.short)).collect()
    };
    let of = |ordered, shipped, unit, short| (Some(quantity(ordered, unit)), quantity(shipped, unit), short);
    let expected = [
        of("20", "20", "BX", ShortReason::None),
        of("12", "9", "EA", ShortReason::Backorder),
        of("7.5", "7.25", "KGM", ShortReason::Damaged),
    ];
    assert_eq!((shipped(confirmed), confirmed.shipment_number.as_str()), (expected.to_vec(), "SH-20417"));
    let Event::ReturnReceived(back) = &events[5] else { panic!() };
    let condition = back.lines[0].condition.as_deref();
    assert_eq!((back.return_number.as_str(), condition), ("RMA-77", Some("unopened")));
    assert_eq!(back.lines[0].quantity, quantity("2", "BX"));
}

/// A confirmation with one line of these quantities.
fn confirmation(ordered: &str, shipped: &str, reason: &str) -> String {
    let reason = if reason.is_empty() { String::new() } else { format!(r#","reason":"{reason}""#) };
    format!(
        r#"{{"id":"EV-1","type":"confirmed","at":"2026-03-02T15:30:00Z","orderId":"{}","shipmentNumber":"SH-1","node":"DC-EAST","lines":[{{"lineNumber":"1","sku":"PUMP-40","ordered":{ordered},"shipped":{shipped},"unit":"EA"{reason}}}]}}"#,
        order_id()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_line_has_a_reason_of_the_table_and_no_other_line_has_one() {
    let called = Called::start().await;
    let short = async |ordered: &str, shipped: &str, reason: &str| match called
        .event(&confirmation(ordered, shipped, reason))
        .await
    {
        Ok(Event::ShipmentConfirmed(shipment)) => Ok(shipment.lines[0].short),
        Ok(other) => panic!("{other:?}"),
        Err(failure) => Err(problems(failure)),
    };
    for (shipped, reason, expected) in [
        ("5", "", ShortReason::None),
        ("5.0", "COMPLETE", ShortReason::None),
        ("6", "", ShortReason::None),
        ("4.999999999", "BACKORDERED", ShortReason::Backorder),
        ("0", "CANCELLED", ShortReason::NoBackorder),
        ("3", "SUBSTITUTED", ShortReason::Substitution),
        ("5", "SUBSTITUTED", ShortReason::Substitution),
        ("3", "DAMAGED", ShortReason::Damaged),
    ] {
        assert_eq!(short("5", shipped, reason).await, Ok(expected), "{shipped} {reason}");
    }
    for (shipped, reason, code) in [
        ("4", "", "reason-missing"),
        ("4", "COMPLETE", "reason-contradicts"),
        ("5", "BACKORDERED", "reason-contradicts"),
        ("5", "CANCELLED", "reason-contradicts"),
        ("5", "DAMAGED", "reason-contradicts"),
        ("4", "LOST", "wrong-value"),
        ("4", "backordered", "wrong-value"),
        ("4", "none", "wrong-value"),
    ] {
        assert_eq!(short("5", shipped, reason).await, Err(vec![told(code, "lines[0].reason")]), "{shipped} {reason}");
    }
    let mut several: Value = serde_json::from_str(&confirmation("5", "4", "")).unwrap();
    let good = json!({"lineNumber": "2", "sku": "HOSE-M", "ordered": 1, "shipped": 1, "unit": "MTR"});
    let lines = several["lines"].as_array_mut().unwrap();
    lines.extend([good.clone(), good]);
    let all = [told("reason-missing", "lines[0].reason"), told("line-repeated", "lines[2].lineNumber")];
    assert_eq!(problems(called.event(&several.to_string()).await.unwrap_err()), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_is_refused_with_its_place_and_is_not_quoted() {
    let called = Called::start().await;
    let secret = "Jane Doe";
    for (start, pointer, value, code, path) in [
        ("0001", "/type", json!("allocation"), "unsupported-type", "type"),
        ("0001", "/at", json!("2026-03-02"), "wrong-value", "at"),
        ("0001", "/at", json!("2026-03-02T09:00:00"), "wrong-value", "at"),
        ("0001", "/orderId", json!(""), "wrong-value", "orderId"),
        ("0001", "/orderId", Value::Null, "wrong-value", "orderId"),
        ("0001", "/lines", json!([]), "lines-missing", "lines"),
        ("0001", "/lines", json!({}), "wrong-value", "lines"),
        ("0001", "/lines/1", json!(secret), "wrong-value", "lines[1]"),
        ("0001", "/lines/0/quantity", json!("20"), "wrong-value", "lines[0].quantity"),
        ("0001", "/lines/0/quantity", json!(-1), "wrong-value", "lines[0].quantity"),
        ("0001", "/lines/0/quantity", json!(1e300), "wrong-value", "lines[0].quantity"),
        ("0001", "/lines/0/quantity", json!({"value": "20"}), "wrong-value", "lines[0].quantity"),
        ("0001", "/lines/0/unit", json!("EA\n"), "wrong-value", "lines[0].unit"),
        ("0002", "/shipmentNumber", json!(7), "wrong-value", "shipmentNumber"),
        ("0002", "/lines/1/serials/0", json!(88_031), "wrong-value", "lines[1].serials[0]"),
        ("0004", "/shipTo/country", json!(secret), "wrong-value", "shipTo.country"),
        ("0004", "/shipTo", json!(secret), "wrong-value", "shipTo"),
        ("0005", "/lines", json!([]), "lines-missing", "lines"),
        ("0005", "/lines/0/ordered", json!(0), "wrong-value", "lines[0].ordered"),
        ("0005", "/lines/0/reason", json!(secret), "wrong-value", "lines[0].reason"),
        ("0006", "/returnNumber", json!("x".repeat(257)), "wrong-value", "returnNumber"),
        ("0006", "/lines", json!([]), "lines-missing", "lines"),
        ("0006", "/lines/0/quantity", json!(0), "wrong-value", "lines[0].quantity"),
    ] {
        let mut event: Value = serde_json::from_slice(&sample("wms-rest", start)).unwrap();
        *event.pointer_mut(pointer).unwrap() = value;
        let failure = called.event(&event.to_string()).await.unwrap_err();
        assert!(!format!("{failure:?}").contains(secret), "{failure:?}");
        assert_eq!(problems(failure), [told(code, path)], "{pointer} of {start}");
    }
    for (start, path) in [("0001", ""), ("0002", ""), ("0005", "/lines/2"), ("0006", "/lines/0")] {
        let mut event: Value = serde_json::from_slice(&sample("wms-rest", start)).unwrap();
        event.pointer_mut(path).unwrap()["weight"] = json!(12);
        let failure = called.event(&event.to_string()).await.unwrap_err();
        let place = format!("{path}/weight").replace("/lines/", "lines[").replace("/weight", "].weight");
        let place = if path.is_empty() { "weight".to_owned() } else { place };
        assert_eq!(problems(failure), [told("unknown-field", &place)], "{start}");

        event.pointer_mut(path).unwrap().as_object_mut().unwrap().remove("weight");
        let required = if path.is_empty() { "orderId" } else { "sku" };
        event.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(required);
        let failure = called.event(&event.to_string()).await.unwrap_err();
        assert_eq!(problems(failure), [told("field-missing", &place.replace("weight", required))], "{start}");
    }
    let exact = confirmation("5", "4.0000000001", "DAMAGED");
    assert_eq!(problems(called.event(&exact).await.unwrap_err()), [told("wrong-value", "lines[0].shipped")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_is_no_webhook_is_answered_with_what_is_wrong() {
    let called = Called::start().await;
    let good = String::from_utf8(sample("wms-rest", "0003")).unwrap();
    let refused = |received: &Received| {
        let told: Vec<_> = received.problems.iter().map(|it| (it.code.clone(), it.position.path.clone())).collect();
        (received.reply.status, told)
    };
    let long = format!(r#"{{"id":"{}","type":"packed","at":"x"}}"#, "i".repeat(257));
    for (body, code, path) in [
        ("", "malformed-json", ""),
        ("{\"id\":", "malformed-json", ""),
        ("7", "not-an-event", ""),
        ("[[\"EV-1\"]]", "not-an-event", "events[0]"),
        (r#"{"id":"1","id":"2","type":"packed","at":"x"}"#, "not-an-event", ""),
        (r#"{"type":"packed","at":"x"}"#, "attribute-missing", "id"),
        (r#"{"id":7,"type":"packed","at":"x"}"#, "attribute-malformed", "id"),
        (r#"{"id":"1","at":"x"}"#, "attribute-missing", "type"),
        (r#"{"id":"1","type":"packed"}"#, "attribute-missing", "at"),
        (long.as_str(), "key-too-long", "id"),
    ] {
        let received = called.post(&[("content-type", "application/json")], body.as_bytes()).await;
        assert_eq!(refused(&received), (422, vec![told(code, path)]), "{body}");
    }
    let received = called.post(&[("content-type", "application/xml")], good.as_bytes()).await;
    assert_eq!(refused(&received), (422, vec![told("media-type", "content-type")]));
    let got = called.0.answer("wms-rest", "GET", "", &[], b"", &[]).await.unwrap();
    assert_eq!(refused(&got), (422, vec![told("not-posted", "")]));

    let list = format!("[{good},7,{good}]");
    let received = called.post(&[("content-type", "application/json; charset=utf-8")], list.as_bytes()).await;
    assert_eq!(refused(&received), (202, vec![told("not-an-event", "events[1]")]), "its neighbours are taken");
    assert_eq!((received.documents[0].key.as_str(), received.documents.len()), ("EV-90003", 2));
    assert_eq!(received.documents[0].body, good.trim_end().as_bytes(), "as it was written");
}

#[test]
fn whatever_is_released_leaves_in_exactly_that_quantity_and_is_said_so() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let called = runtime.block_on(Called::start());
    let quantities = proptest::collection::vec((1..=i64::MAX / 10, 0..=9_u8), 1..6);
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&quantities, |quantities| {
            let lines: Vec<OrderLine> = (1..)
                .zip(&quantities)
                .map(|(number, (value, scale))| {
                    let quantity = Quantity { value: *value, scale: *scale, unit: format!("U{number}") };
                    line(&number.to_string(), &format!("SKU-{number}"), quantity)
                })
                .collect();
            let confirmed = runtime.block_on(async {
                let wms = Wms::start(Mischief::default()).await.unwrap();
                for line in &lines {
                    let Quantity { value: units, scale, .. } = line.quantity;
                    wms.put(NODE, &line.sku, Decimal { units, scale });
                }
                let created = Event::OrderCreated(Order { lines: lines.clone(), ..order() });
                called.deliver(&At::of(&wms), RELEASE, created, &key()).await.unwrap();
                let said: Vec<String> = (0..5).flat_map(|_| wms.work().unwrap()).collect();
                called.event(said.last().unwrap()).await.unwrap()
            });
            let Event::ShipmentConfirmed(shipment) = confirmed else { panic!() };
            prop_assert_eq!(shipment.lines.len(), lines.len());
            for (shipped, asked) in shipment.lines.iter().zip(&lines) {
                // The same number, whatever zeros are behind its point.
                let number =
                    |quantity: &Quantity| i128::from(quantity.value) * 10_i128.pow(9 - u32::from(quantity.scale));
                prop_assert_eq!(number(&shipped.shipped), number(&asked.quantity));
                prop_assert_eq!(shipped.ordered.as_ref(), Some(&shipped.shipped));
                prop_assert_eq!((&shipped.shipped.unit, shipped.short), (&asked.quantity.unit, ShortReason::None));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

// --- a whole host ---

/// The demo's host with the warehouse where its ERP is, a channel that the warehouse speaks
/// on, and one on which somebody accepts orders.
async fn host(wms: &Wms) -> TestHost {
    let channel = |id: &str, connector: &str, documents: &str, says: &str| {
        format!(
            "\n[[sender]]\nchannel = \"{id}\"\nid = \"{id}\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"{id}\"\n\
             connector = \"{connector}\"\ndocuments = {{ {documents} }}\ntarget = \"erp\"\n\
             exception_queue = \"integration\"\nsays = [{says}]\n",
            Digest::of(TOKEN.as_bytes())
        )
    };
    let said = "\"inventory.allocated\", \"shipment.picked\", \"shipment.packed\", \"shipment.dispatched\", \
                \"shipment.confirmed\", \"return.received\"";
    let warehouse = channel("warehouse", "wms-rest", "\"wms-rest/event\" = \"wms-documents\"", said);
    let record =
        channel("record", "cloudevents", "\"cloudevents/event\" = \"cloudevents-events\"", "\"order.accepted\"");
    let target =
        "connector = \"erp-rest\"\ntransformer = \"business-central\"\nkind = \"business-central/sales-order\"";
    let to_wms = "connector = \"wms-rest\"\ntransformer = \"wms-documents\"\nkind = \"wms-rest/release\"";
    with_plugins(Setup::demo())
        .scorers(&[])
        .blindfolded("cloudevents")
        .blindfolded("cloudevents-events")
        .append("portreeve.toml", &warehouse)
        .append("portreeve.toml", &record)
        .replace("portreeve.toml", target, to_wms)
        .replace("portreeve.toml", "/api/v2.0\", company", "/api/v1\", company")
        .replace(
            "portreeve.toml",
            "company = \"6b3a3a3e-6c1f-4a0e-9a53-0d1c5a7e2f10\", freight-account = \"6130\"",
            "answer-timeout-ms = \"500\"",
        )
        .erp_origin(&wms.origin())
        .start()
        .await
}

async fn say(host: &TestHost, channel: &str, body: &str) {
    let accepted = host.send(channel, Credential::Bearer(TOKEN), body.as_bytes()).await.unwrap();
    assert_eq!(accepted.reply.status, 202, "{}", String::from_utf8_lossy(&accepted.reply.body));
}

async fn accept(host: &TestHost, order: &str) {
    let data = json!({"orderNumber": order, "lines": []});
    let event = json!({"specversion": "1.0", "id": order, "source": "/erp", "type": "order.accepted", "data": data});
    say(host, "record", &event.to_string()).await;
    host.decide_all().await;
}

/// Sends an order, has it delivered and accepted, and tells the host whatever the warehouse
/// says of it. Returns the order, and its state after each step of the warehouse.
async fn walked(host: &TestHost, wms: &Wms, control: u32, number: &str) -> (OrderView, Vec<ProcessState>) {
    host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
    host.decide_all().await;
    host.deliver_all().await;
    let order = host.order(number).await;
    assert_eq!(order.state, OrderState::Released, "{}", order.why);
    accept(host, &order.id.to_string()).await;
    let state = async || host.store.order_trail(order.id).await.unwrap().unwrap().progress.unwrap().state;
    let mut states = vec![state().await];
    for _ in 0..5 {
        for body in wms.work().unwrap() {
            // Webhooks come again; nothing happens twice.
            say(host, "warehouse", &body).await;
            say(host, "warehouse", &body).await;
        }
        host.decide_all().await;
        states.push(state().await);
    }
    assert_eq!(wms.work().unwrap(), Vec::<String>::new(), "nothing is left to do");
    (order, states)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_released_to_the_warehouse_and_what_it_says_leads_to_its_end() {
    let wms = Wms::start(Mischief::default()).await.unwrap();
    wms.put(NODE, "FST-1007", decimal("1000"));
    wms.put(NODE, "ELC-1049", decimal("1000"));
    let host = host(&wms).await;
    let (order, states) = walked(&host, &wms, 1, "PO-1").await;
    use ProcessState::{Accepted, Allocated, Packed, Picked, Shipped};
    assert_eq!(states, [Accepted, Allocated, Picked, Packed, Packed, Shipped]);
    let release = wms.releases().remove(0);
    assert_eq!((release.order_id, release.order_number.as_str()), (order.id.to_string(), "PO-1"));
    let delivery = &order.deliveries[0];
    assert_eq!((delivery.state.as_str(), delivery.external_id.as_deref()), ("delivered", Some("RL-1")));

    // What the warehouse closes itself is not waited for.
    wms.run_short(Short { sku: "ELC-1049".to_owned(), missing: decimal("1"), reason: Reason::Cancelled });
    let (_, states) = walked(&host, &wms, 2, "PO-2").await;
    assert_eq!(states.last(), Some(&Shipped), "{states:?}");
    let shipped = wms
        .shipments()
        .into_iter()
        .map(|shipment| shipment.lines.iter().map(|line| line.shipped.to_string()).collect::<Vec<_>>());
    assert_eq!(shipped.collect::<Vec<_>>(), [["10", "4"], ["10", "3"]]);
    assert_eq!((wms.stock(NODE, "FST-1007"), wms.stock(NODE, "ELC-1049")), (decimal("980"), decimal("993")));
    let codes: Vec<_> = host.exceptions().await.into_iter().map(|exception| exception.code).collect();
    assert_eq!(codes, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_warehouse_does_to_deliveries_no_goods_leave_twice() {
    let mischief = Mischief {
        throttle_per_mille: 200,
        fail_before_per_mille: 200,
        drop_after_per_mille: 250,
        slow_per_mille: 50,
        reject_per_mille: 0,
    };
    let wms = Wms::start(mischief).await.unwrap();
    wms.put(NODE, "FST-1007", decimal("100000"));
    wms.put(NODE, "ELC-1049", decimal("100000"));
    let host = host(&wms).await;
    let orders: Vec<PurchaseOrder> = (0..30).map(|number| PurchaseOrder::clean(&format!("PO-{number}"))).collect();
    host.decide_orders(&orders).await;
    host.deliver_all().await;
    for _ in 0..5 {
        wms.work().unwrap();
    }
    let mut shipped: Vec<String> = wms.shipments().into_iter().map(|shipment| shipment.order_id).collect();
    let mut asked: Vec<String> = host.orders().await.into_iter().map(|order| order.id.to_string()).collect();
    shipped.sort();
    asked.sort();
    assert_eq!(shipped, asked, "each order once");
    assert_eq!(wms.stock(NODE, "FST-1007"), decimal("99700"));
    let tried: u32 = host.orders().await.iter().map(|order| order.deliveries[0].attempts).sum();
    assert!(tried > 30, "{tried} attempts: the warehouse behaved too well to show anything");
    host.verify().await.unwrap();
}
