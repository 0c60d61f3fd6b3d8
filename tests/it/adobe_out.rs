//! A shop of Adobe Commerce that is told what becomes of its orders: what it gets, and that no lost
//! answer makes a second shipment, invoice or refund of one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use axum::http::{Method, StatusCode, Uri};
use portreeve::client;
use portreeve::standins::shop::{Integration, ShopDocument, ShopDocumentKind, ShopOrder};
use portreeve::standins::wms::NODE;
use portreeve::standins::{Mischief, Shop, Wms};
use portreeve_model::document::{Delivery, FindQuery, Message, Receipt};
use portreeve_model::event::{
    CancelRequest, InventoryLevel, Invoice, InvoiceLine, Order, OrderAnswer, Refund, RefundCause, Shipment,
    ShipmentLine, ShortReason,
};
use portreeve_model::value::{Decimal, Extension, Money, Quantity, UnitPrice};
use portreeve_model::{Currency, Digest, Event, Failure, ProcessState};
use portreeve_pipeline::Credential;
use portreeve_pipeline::rederive::Rederived;
use portreeve_store::contract::{OrderState, OrderView};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::at_the_plugin::{Plugins, given, order_id};
use crate::golden::an_order;
use crate::support::{PurchaseOrder, Setup, TestHost, sample, say, tree, x12};

const CONNECTOR: &str = "adobe-commerce-rest";
const TRANSFORMER: &str = "adobe-documents";

const HELD: &str = "adobe/held";
const RELEASED: &str = "adobe/released";
const ACCEPTED: &str = "adobe/accepted";
const REJECTED: &str = "adobe/rejected";
const CANCEL: &str = "adobe/cancel";
const SHIPMENT: &str = "adobe/shipment";
const INVOICE: &str = "adobe/invoice";
const REFUND: &str = "adobe/refund";

const STOCK: &str = "adobe/stock";

const SEES_ITEMS: &str = "{ lookup = [\"item\"] }";

const GRANT: &str = "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 250000 } }";

/// What the warehouse shows when it says something.
const TOKEN: &str = "token-of-the-warehouse";

/// An order of five pumps and two and a half metres of hose, for 150.00 and 12.50 of freight.
const ORDER: &str = r#"{"entity_id":3,"increment_id":"000000003","store_id":1,"state":"new","status":"pending",
    "order_currency_code":"USD","base_currency_code":"USD","grand_total":162.5,
    "items":[{"item_id":7,"product_type":"simple","sku":"PUMP-40","qty_ordered":5,"row_total":125},
             {"item_id":8,"product_type":"simple","sku":"HOSE-M","is_qty_decimal":1,"qty_ordered":"2.5000","row_total":"25.0000"}]}"#;

/// Both plugins, which the demo does not have.
fn with_plugins(setup: Setup) -> Setup {
    setup.plugin(CONNECTOR, GRANT).plugin(TRANSFORMER, SEES_ITEMS)
}

/// The two plugins, without a host's road around them.
struct Called(Plugins);

impl Called {
    async fn start() -> Self {
        Self(Plugins::of(with_plugins(Setup::demo())).await)
    }

    async fn message(&self, kind: &str, event: Event, settings: &[(&str, &str)]) -> Result<Message, Failure> {
        self.0.rendered(TRANSFORMER, kind, event, settings).await
    }

    async fn written(&self, kind: &str, event: Event, settings: &[(&str, &str)]) -> String {
        let message = self.message(kind, event, settings).await.unwrap();
        assert_eq!((message.kind.as_str(), message.content_type.as_str()), (kind, "application/json"));
        String::from_utf8(message.body).unwrap()
    }

    async fn refused(&self, kind: &str, event: Event) -> Vec<(String, String)> {
        problems(self.message(kind, event, &[]).await.unwrap_err())
    }

    async fn deliver(&self, at: &At, kind: &str, event: Event, key: &str) -> Result<Receipt, Failure> {
        let message = self.message(kind, event, &at.settings()).await.unwrap();
        self.0.deliver_to(CONNECTOR, at.address, message, key, &at.settings()).await
    }

    async fn find(&self, at: &At, kind: &str, key: &str) -> Result<Option<Receipt>, Failure> {
        self.0.find_at(CONNECTOR, at.address, kind, key, &at.settings()).await
    }

    /// Delivers as the host does: what may have happened is looked up before it is sent again.
    async fn carried_out(&self, at: &At, kind: &str, event: &Event, key: &str) -> (Receipt, u32) {
        for attempt in 1..=16 {
            match self.deliver(at, kind, event.clone(), key).await {
                Ok(receipt) => return (receipt, attempt),
                Err(Failure::Retry(_)) => {}
                Err(Failure::UnknownOutcome(_)) => {
                    if let Some(receipt) = self.find(at, kind, key).await.unwrap() {
                        return (receipt, attempt);
                    }
                }
                Err(other) => panic!("{kind}: {other:?}"),
            }
        }
        panic!("{kind} is never done");
    }

    /// A shop that has the host's id in its order.
    async fn told(&self, at: &At) {
        self.carried_out(at, ACCEPTED, &created(), &key()).await;
    }
}

/// Where a shop listens, and how it is told.
struct At {
    address: SocketAddr,
    base_url: String,
    more: Vec<(&'static str, &'static str)>,
}

impl At {
    fn of(shop: &Shop) -> Self {
        let address = shop.origin().strip_prefix("http://").unwrap().parse().unwrap();
        Self { address, base_url: shop.base_url(), more: vec![] }
    }

    fn set(mut self, name: &'static str, value: &'static str) -> Self {
        self.more.push((name, value));
        self
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        [("base-url", self.base_url.as_str())].into_iter().chain(self.more.iter().copied()).collect()
    }
}

/// A shop that answers what a test writes, by method, path and query.
async fn scripted(answer: impl Fn(&Method, &str) -> (u16, String) + Clone + Send + Sync + 'static) -> At {
    let routes = axum::Router::new().fallback(move |method: Method, uri: Uri| {
        let (status, body) = answer(&method, &uri.to_string());
        let headers = [("retry-after", "7")];
        async move { (StatusCode::from_u16(status).unwrap(), headers, body) }
    });
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
    At { address, base_url: format!("http://{address}/rest/"), more: vec![] }
}

async fn shop(mischief: Mischief) -> Shop {
    let shop = Shop::start(mischief).await.unwrap();
    shop.place(ORDER.as_bytes()).unwrap();
    shop
}

fn only(kind: fn(&mut Mischief) -> &mut u16) -> Mischief {
    let mut mischief = Mischief::default();
    *kind(&mut mischief) = 1_000;
    mischief
}

fn quantity(text: &str) -> Quantity {
    let Decimal { units, scale } = Decimal::parse(text).unwrap();
    Quantity { value: units, scale, unit: "EA".to_owned() }
}

fn usd(major: &str) -> Money {
    Money::from_major(major, Currency::parse("USD").unwrap()).unwrap()
}

/// The order as it came from the shop.
fn order() -> Order {
    let store = Extension { name: "adobe:store_id".to_owned(), value: "1".to_owned() };
    Order { number: "000000003".to_owned(), extensions: vec![store], ..an_order() }
}

fn created() -> Event {
    Event::OrderCreated(order())
}

fn shipped(number: &str, lines: &[(&str, &str)]) -> Shipment {
    let line = |(line_number, shipped): &(&str, &str)| ShipmentLine {
        line_number: (*line_number).to_owned(),
        sku: "SKU".to_owned(),
        ordered: None,
        shipped: quantity(shipped),
        short: ShortReason::None,
        lot: None,
        serials: vec![],
    };
    Shipment {
        order_number: order_id().to_string(),
        shipment_number: number.to_owned(),
        node: None,
        carrier: Some("UPS".to_owned()),
        tracking: vec!["1Z-7".to_owned()],
        at: None,
        lines: lines.iter().map(line).collect(),
        ship_to: None,
        extensions: vec![],
    }
}

fn shipment(number: &str, lines: &[(&str, &str)]) -> Event {
    Event::ShipmentConfirmed(shipped(number, lines))
}

fn invoiced(number: &str, total: &str, lines: &[(&str, &str)]) -> Invoice {
    let price = UnitPrice { amount: 0, scale: 0, currency: usd("0").currency, per_quantity: 1 };
    let line = |(line_number, amount): &(&str, &str)| InvoiceLine {
        line_number: (*line_number).to_owned(),
        sku: None,
        quantity: quantity(amount),
        unit_price: price.clone(),
        extended: usd("0"),
        tax: None,
    };
    Invoice {
        invoice_number: number.to_owned(),
        order_number: Some(order_id().to_string()),
        shipment_number: None,
        corrects: None,
        posted_on: None,
        due_on: None,
        lines: lines.iter().map(line).collect(),
        tax: None,
        total: usd(total),
        extensions: vec![],
    }
}

fn invoice(number: &str, total: &str, lines: &[(&str, &str)]) -> Event {
    Event::InvoicePosted(invoiced(number, total, lines))
}

fn refund(number: &str, amount: Money) -> Event {
    Event::RefundIssued(Refund {
        refund_number: number.to_owned(),
        order_number: order_id().to_string(),
        cause: RefundCause::GoodsReturn,
        return_number: None,
        amount,
        issued_at: None,
        extensions: vec![],
    })
}

fn rejected() -> Event {
    Event::OrderRejected(OrderAnswer {
        order_number: order_id().to_string(),
        external_id: None,
        answered_at: None,
        lines: vec![],
        reason: None,
        extensions: vec![],
    })
}

fn cancel_wanted(lines: &[&str]) -> Event {
    Event::OrderCancelRequested(CancelRequest {
        order_number: "000000003".to_owned(),
        reason: None,
        line_numbers: lines.iter().map(|line| (*line).to_owned()).collect(),
        extensions: vec![],
    })
}

/// The natural key of the order, and of something of it.
fn key() -> String {
    order_id().to_string()
}

fn key_of(number: &str) -> String {
    format!("{}/{number}", order_id())
}

const ALL: [(&str, &str); 2] = [("7", "5"), ("8", "2.5")];

/// Every kind with an event that it is made of and its natural key, in the order in which they come.
fn kinds() -> [(&'static str, Event, String); 5] {
    [
        (ACCEPTED, created(), key()),
        (SHIPMENT, shipment("SH-1", &[("7", "2")]), key_of("SH-1")),
        (INVOICE, invoice("INV-1", "162.50", &ALL), key_of("INV-1")),
        (REFUND, refund("RF-1", usd("12.5")), key_of("RF-1")),
        (REJECTED, rejected(), key()),
    ]
}

fn problems(failure: Failure) -> Vec<(String, String)> {
    let Failure::Invalid(problems) = failure else { panic!("{failure:?}") };
    problems.into_iter().map(|problem| (problem.code, problem.position.path)).collect()
}

fn pair(code: &str, path: &str) -> (String, String) {
    (code.to_owned(), path.to_owned())
}

/// The code that a sentence begins with.
fn code(outcome: Result<Receipt, Failure>) -> String {
    match outcome {
        Err(Failure::Permanent(why)) => why.split_once(": ").map_or(why.clone(), |(code, _)| code.to_owned()),
        Err(Failure::Invalid(problems)) => problems[0].code.clone(),
        other => panic!("{other:?}"),
    }
}

fn the_order(shop: &Shop) -> ShopOrder {
    shop.orders().remove(0)
}

/// How many shipments, invoices, credit memos and comments the shop has.
fn counted(shop: &Shop) -> [usize; 4] {
    let documents = |kind| shop.documents(kind).len();
    [
        documents(ShopDocumentKind::Shipment),
        documents(ShopDocumentKind::Invoice),
        documents(ShopDocumentKind::CreditMemo),
        shop.orders().iter().map(|order| order.history.len()).sum(),
    ]
}

// --- the public files ---

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    file: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    path: String,
    #[serde(default)]
    request: Vec<ExpectedRequest>,
    #[serde(default)]
    answer: Vec<ExpectedAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRequest {
    kind: String,
    lines: Vec<String>,
    carrier: Option<String>,
    tracking: Option<String>,
    amount: Option<String>,
    #[serde(default)]
    notify: bool,
    #[serde(default)]
    capture: bool,
    ours: BTreeSet<String>,
    theirs: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAnswer {
    kind: String,
    comment: Option<String>,
    receipt: Option<String>,
}

impl ExpectedRequest {
    /// What is said of the order, with its natural key.
    fn event(&self) -> (Event, String) {
        let lines: Vec<(&str, &str)> = self.lines.iter().filter_map(|line| line.split_once(" x ")).collect();
        let amount = self.amount.as_deref().unwrap_or_default();
        let event = match self.kind.as_str() {
            SHIPMENT => Event::ShipmentConfirmed(Shipment {
                carrier: self.carrier.clone(),
                tracking: self.tracking.iter().cloned().collect(),
                ..shipped("N-1", &lines)
            }),
            INVOICE => invoice("N-1", amount, &lines),
            _ => refund("N-1", usd(amount)),
        };
        (event, key_of("N-1"))
    }
}

/// Every member with its path; numbers without zeros behind the point.
fn flat(value: &Value, path: &str, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flat(member, &format!("{path}.{name}"), into);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                flat(element, &format!("{path}[{index}]"), into);
            }
        }
        Value::Number(number) => {
            let text = number.to_string();
            let text = text.strip_suffix(".0").unwrap_or(&text);
            into.insert(path.trim_start_matches('.').to_owned(), text.to_owned());
        }
        other => drop(into.insert(path.trim_start_matches('.').to_owned(), other.to_string())),
    }
}

fn flattened(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    flat(&serde_json::from_str(text).unwrap(), "", &mut found);
    found
}

/// The tutorial's order: a shirt, a bundle, a hoodie with its part.
const TUTORIAL: &str = r#"{"entity_id":3,"increment_id":"000000003","store_id":1,"state":"new","status":"pending",
    "order_currency_code":"USD","base_currency_code":"USD","grand_total":165,
    "items":[{"item_id":3,"product_type":"simple","sku":"WS12-M-Orange","qty_ordered":1,"row_total":22},
             {"item_id":5,"product_type":"bundle","sku":"24-WG080","qty_ordered":1,"row_total":68},
             {"item_id":10,"product_type":"configurable","sku":"MH01-S-Gray","qty_ordered":1,"row_total":52},
             {"item_id":11,"parent_item_id":10,"product_type":"simple","sku":"MH01-S-Gray","qty_ordered":1}]}"#;

/// What the shop gets of what the file is about.
async fn sent(called: &Called, expected: &ExpectedRequest) -> String {
    let shop = Shop::start(Mischief::default()).await.unwrap();
    let one = TUTORIAL.replace("\"qty_ordered\":1,\"row_total\":22", "\"qty_ordered\":2,\"row_total\":44");
    // An invoice of one item can only be captured where it is the whole order.
    let shirt =
        ORDER.replace("\"item_id\":7", "\"item_id\":3").replace("162.5", "165").replace("ordered\":5", "ordered\":1");
    let shirt = shirt.replace("\"qty_ordered\":\"2.5000\"", "\"qty_ordered\":\"0\"");
    let order = match expected.kind.as_str() {
        SHIPMENT => TUTORIAL,
        REFUND => &one,
        _ => &shirt,
    };
    shop.place(order.as_bytes()).unwrap();
    let flag = |set: bool| if set { "true" } else { "false" };
    let at = At::of(&shop).set("notify", flag(expected.notify)).set("capture", flag(expected.capture));
    called.told(&at).await;
    if expected.kind == REFUND {
        let whole = invoice("INV-0", "165", &[("3", "2"), ("5", "1"), ("10", "1")]);
        called.deliver(&At::of(&shop).set("capture", "true"), INVOICE, whole, &key_of("INV-0")).await.unwrap();
    }
    let (event, key) = expected.event();
    called.deliver(&at, &expected.kind, event, &key).await.unwrap();
    let kind = match expected.kind.as_str() {
        SHIPMENT => ShopDocumentKind::Shipment,
        INVOICE => ShopDocumentKind::Invoice,
        _ => ShopDocumentKind::CreditMemo,
    };
    shop.documents(kind).pop().unwrap().request
}

/// What is found where the shop lists this document of the order.
async fn found(called: &Called, expected: &ExpectedAnswer, file: &str) -> Option<Receipt> {
    let mut document: Value = serde_json::from_str(file).unwrap();
    let mark = format!("[invoice {}]", key_of("INV-1"));
    if expected.comment.is_some() {
        document["comments"] = json!([{"comment": "Thank you.", "entity_id": 1}, {"comment": mark, "entity_id": 2}]);
    }
    let document = json!({"items": [document], "total_count": 1}).to_string();
    let mut order: Value = serde_json::from_str(TUTORIAL).unwrap();
    order["ext_order_id"] = json!(key());
    let order = json!({"items": [order], "total_count": 1}).to_string();
    let at =
        scripted(move |_, uri| (200, if uri.contains("/orders?") { order.clone() } else { document.clone() })).await;
    called.find(&at, &expected.kind, &key_of("INV-1")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_file_means_what_was_written_down_from_reading_it() {
    let text = std::fs::read_to_string(tree().root().join("tests/fixtures-expected-shop.toml")).unwrap();
    let expectations: Expectations = toml::from_str(&text).unwrap();
    let Some(folder) = tree().root().parent().map(|parent| parent.join("shared/fixtures")).filter(|it| it.is_dir())
    else {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    };
    let called = Called::start().await;
    let (mut requests, mut answers, mut wrong) = (0, 0, Vec::new());
    for expected in &expectations.file {
        let file = std::fs::read_to_string(folder.join(&expected.path)).unwrap();
        for request in &expected.request {
            requests += 1;
            let (mut ours, mut theirs) = (flattened(&sent(&called, request).await), flattened(&file));
            assert!(request.ours.iter().all(|name| ours.remove(name).is_some()), "{ours:?}");
            assert!(request.theirs.iter().all(|name| theirs.remove(name).is_some()), "{theirs:?}");
            if ours != theirs {
                wrong.push(format!("{}\n  ours   {ours:?}\n  theirs {theirs:?}", expected.path));
            }
        }
        for answer in &expected.answer {
            answers += 1;
            let found = found(&called, answer, &file).await.map(|receipt| receipt.external_id);
            if found != answer.receipt {
                wrong.push(format!("{}: {answer:?}\n  found {found:?}", expected.path));
            }
        }
    }
    let files = expectations.file.len();
    say(&format!("read {files} public files of Adobe Commerce, as {requests} requests and {answers} answers"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((files, requests, answers), (4, 3, 2));
}

// --- what is sent ---

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_what_adobe_documents() {
    let called = Called::start().await;
    let order = r#"{"order":{"increment_id":"000000003","store_id":"1"},"request":"#;
    let comment =
        r#"{"statusHistory":{"comment":"The order was accepted.","is_customer_notified":0,"is_visible_on_front":0}}}"#;
    assert_eq!(called.written(ACCEPTED, created(), &[]).await, format!("{order}{comment}"));
    let settings =
        [("notify", "true"), ("visible", "true"), ("rejected-status", "erp_no"), ("accepted-status", "erp_yes")];
    let comment = r#"{"statusHistory":{"comment":"The order was rejected.","is_customer_notified":1,"is_visible_on_front":1,"status":"erp_no"}}}"#;
    assert_eq!(called.written(REJECTED, created(), &settings).await, format!("{order}{comment}"));
    assert_eq!(called.written(REJECTED, rejected(), &settings).await, format!("{{\"request\":{comment}"));
    for (kind, said, status) in [
        (HELD, "The order is being reviewed.", "held-status"),
        (RELEASED, "The order was reviewed and goes on.", "released-status"),
    ] {
        let comment = format!(
            r#"{{"statusHistory":{{"comment":"{said}","is_customer_notified":0,"is_visible_on_front":1,"status":"erp"}}}}}}"#
        );
        let settings = [("visible", "true"), (status, "erp")];
        assert_eq!(called.written(kind, created(), &settings).await, format!("{order}{comment}"));
        assert!(matches!(called.message(kind, rejected(), &[]).await, Err(Failure::Permanent(_))), "{kind}");
    }
    // The shop may never have heard of it: it finds it by its own number.
    let numbered = [settings.as_slice(), &[("order-number", "000000003")]].concat();
    let named = format!("{{\"order\":{{\"increment_id\":\"000000003\"}},\"request\":{comment}");
    assert_eq!(called.written(REJECTED, rejected(), &numbered).await, named);
    assert_eq!(called.written(CANCEL, created(), &[]).await, format!("{order}{{}}}}"));
    for event in [rejected(), cancel_wanted(&[])] {
        assert_eq!(called.written(CANCEL, event, &[]).await, r#"{"request":{}}"#);
    }
    let whole = concat!(
        r#"{"request":{"items":[{"order_item_id":7,"qty":2},{"order_item_id":8,"qty":0.2500}],"notify":false,"#,
        r#""tracks":[{"track_number":"1Z-7","title":"United Parcel Service","carrier_code":"ups"}]}}"#
    );
    // Of a line of which nothing left there is nothing to tell.
    let event = shipment("SH-1", &[("7", "2"), ("9", "0"), ("8", "0.2500")]);
    assert_eq!(called.written(SHIPMENT, event, &[]).await, whole);
    for (carrier, expected) in [
        (Some("FedEx"), r#""title":"Federal Express","carrier_code":"fedex""#),
        (Some(" R+L \"Carriers\""), r#""title":"R+L \"Carriers\"","carrier_code":"custom""#),
        (None, r#""title":"Tracking","carrier_code":"custom""#),
    ] {
        let carrier = carrier.map(str::to_owned);
        let event = Event::ShipmentConfirmed(Shipment { carrier, ..shipped("SH-1", &ALL) });
        let written = called.written(SHIPMENT, event, &[]).await;
        assert!(written.contains(expected), "{written}");
    }
    let away = Shipment { node: Some("DC-EAST".to_owned()), ..shipped("SH-1", &ALL) };
    let sourced = called.written(SHIPMENT, Event::ShipmentConfirmed(away), &[("source-is-node", "true")]).await;
    let source = r#""arguments":{"extension_attributes":{"source_code":"DC-EAST"}}}}"#;
    assert!(sourced.ends_with(source), "{sourced}");
    let items = r#""items":[{"order_item_id":7,"qty":5},{"order_item_id":8,"qty":2.5}]"#;
    let total = r#""total":{"amount":162.50,"currency":"USD"}}"#;
    let expected = format!(r#"{{"request":{{"capture":true,{items},"notify":false}},{total}"#);
    assert_eq!(called.written(INVOICE, invoice("INV-1", "162.5", &ALL), &[("capture", "true")]).await, expected);
    // Freight is no item of the shop's, where a setting says so; else it is asked about.
    let mut with_freight = invoiced("INV-1", "162.5", &[ALL[0], ALL[1], ("FREIGHT", "1")]);
    with_freight.lines[2].sku = Some("FREIGHT".to_owned());
    let with_freight = Event::InvoicePosted(with_freight);
    let settings = [("capture", "true"), ("beside", "DISCOUNT FREIGHT")];
    assert_eq!(called.written(INVOICE, with_freight.clone(), &settings).await, expected);
    assert_eq!(called.refused(INVOICE, with_freight).await, [pair("line-unknown", "lines[2].line-number")]);
    let arguments = r#""arguments":{"shipping_amount":0,"adjustment_positive":0.29,"adjustment_negative":0}"#;
    let total = r#""total":{"amount":0.29,"currency":"USD"}}"#;
    let expected = format!(r#"{{"request":{{"notify":false,{arguments}}},{total}"#);
    assert_eq!(called.written(REFUND, refund("RF-1", usd("0.29")), &[]).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_shop_would_have_to_guess_is_refused_all_at_once() {
    let called = Called::start().await;
    let mut bad = shipped("SH-1", &[("x-1", "1"), ("07", "1"), ("7", "-1"), ("8", "1.00001"), ("8", "1"), ("8", "1")]);
    bad.lines[4].short = ShortReason::Substitution;
    bad.lines[5].ordered = Some(Quantity { unit: "BX".to_owned(), ..quantity("1") });
    bad.tracking.push("1".repeat(256));
    let all = [
        pair("line-unknown", "lines[0].line-number"),
        pair("line-unknown", "lines[1].line-number"),
        pair("quantity-not-positive", "lines[2].quantity"),
        pair("quantity-too-fine", "lines[3].quantity"),
        pair("substituted", "lines[4]"),
        pair("other-unit", "lines[5].shipped.unit"),
        pair("line-repeated", "lines[5].line-number"),
        pair("track-too-long", "tracking[1]"),
    ];
    assert_eq!(called.refused(SHIPMENT, Event::ShipmentConfirmed(bad)).await, all);
    // Without items the shop would take everything for shipped or invoiced.
    for lines in [&[][..], &[("7", "0")][..]] {
        assert_eq!(called.refused(SHIPMENT, shipment("SH-1", lines)).await, [pair("nothing-shipped", "lines")]);
    }
    assert_eq!(called.refused(INVOICE, invoice("INV-1", "1", &[])).await, [pair("lines-missing", "lines")]);
    let memo = Invoice { corrects: Some("INV-0".to_owned()), ..invoiced("CM-1", "1", &ALL) };
    assert_eq!(called.refused(INVOICE, Event::InvoicePosted(memo)).await, [pair("credit-memo", "total")]);
    let negative = [pair("credit-memo", "total"), pair("quantity-not-positive", "lines[0].quantity")];
    assert_eq!(called.refused(INVOICE, invoice("CM-1", "-1", &[("7", "-1")])).await, negative);
    for amount in ["0", "-1"] {
        let refused = called.refused(REFUND, refund("RF-1", usd(amount))).await;
        assert_eq!(refused, [pair("amount-not-positive", "amount")]);
    }
    assert_eq!(called.refused(CANCEL, cancel_wanted(&["7"])).await, [pair("lines-of-a-cancellation", "line-numbers")]);
    for (kind, event) in
        [(ACCEPTED, rejected()), (SHIPMENT, created()), (REFUND, rejected()), ("adobe/hold", created())]
    {
        let failure = called.message(kind, event, &[]).await.unwrap_err();
        assert!(matches!(&failure, Failure::Permanent(why) if why.contains(kind)), "{failure:?}");
    }
    let nowhere = called.message(SHIPMENT, shipment("SH-1", &ALL), &[("source-is-node", "true")]).await.unwrap_err();
    assert_eq!(problems(nowhere), [pair("node-missing", "node")]);
    let failure = called.message(INVOICE, invoice("INV-1", "1", &ALL), &[("capture", "yes")]).await.unwrap_err();
    assert!(matches!(&failure, Failure::Permanent(why) if why.contains("`capture`")), "{failure:?}");
}

// --- what it does ---

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_done_once_whatever_is_lost_or_late_on_the_way() {
    let called = Called::start().await;
    for (mischief, attempts) in [
        (Mischief::default(), 1),
        (only(|m| &mut m.drop_after_per_mille), 1),
        (only(|m| &mut m.slow_per_mille), 1),
        (only(|m| &mut m.throttle_per_mille), 3),
        (only(|m| &mut m.fail_before_per_mille), 3),
    ] {
        let shop = shop(mischief).await;
        let at = At::of(&shop).set("capture", "true").set("answer-timeout-ms", "200");
        called.told(&at).await;
        for (kind, event, key) in kinds() {
            if kind != ACCEPTED {
                assert_eq!(called.find(&at, kind, &key).await, Ok(None), "{kind}");
            }
            let (receipt, tried) = called.carried_out(&at, kind, &event, &key).await;
            let tried_as_often = kind == ACCEPTED || tried == attempts;
            assert!(tried_as_often, "{kind}: {tried} attempts with {mischief:?}");
            if kind != ACCEPTED {
                assert_eq!(called.find(&at, kind, &key).await, Ok(Some(receipt)), "{kind}");
            }
        }
        let order = the_order(&shop);
        assert_eq!((order.increment_id.as_str(), order.ext_order_id), ("000000003", Some(key())));
        assert_eq!(
            (order.total_paid.to_string(), order.total_refunded.to_string()),
            ("162.5000".into(), "12.5000".into())
        );
        assert_eq!(order.status.as_deref(), Some("processing"), "no comment clears it");
        assert_eq!(counted(&shop), [1, 1, 1, 2], "{mischief:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_hears_once_that_an_order_waits_and_once_that_it_goes_on() {
    let called = Called::start().await;
    for mischief in [Mischief::default(), only(|m| &mut m.drop_after_per_mille)] {
        let shop = shop(mischief).await;
        let at = At::of(&shop);
        // The first word of an order leaves the host's id there, as the order itself does.
        for kind in [HELD, RELEASED, ACCEPTED] {
            let (receipt, _) = called.carried_out(&at, kind, &created(), &key()).await;
            assert_eq!(called.find(&at, kind, &key()).await, Ok(Some(receipt)), "{kind}");
            called.carried_out(&at, kind, &created(), &key()).await;
        }
        let order = the_order(&shop);
        assert_eq!((order.ext_order_id, order.state), (Some(key()), "new"), "nothing is held in the shop itself");
        let marks = ["held", "released", "accepted"].map(|word| format!("[{word} {}]", order_id()));
        let told: Vec<&str> = order.history.iter().map(|comment| comment.comment.as_str()).collect();
        assert_eq!(told.len(), 3, "{mischief:?}: {told:?}");
        assert!(told.iter().zip(&marks).all(|(comment, mark)| comment.ends_with(mark.as_str())), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shop_has_already_is_looked_for_before_anything_is_posted() {
    let called = Called::start().await;
    let shop = shop(Mischief::default()).await;
    let at = At::of(&shop).set("capture", "true").set("notify", "true");
    for (kind, event, key) in kinds() {
        // It was done, and whatever is in between said 429: the host delivers again.
        let first = called.deliver(&at, kind, event.clone(), &key).await.unwrap();
        let mails = shop.mails();
        assert_eq!(called.deliver(&at, kind, event, &key).await.unwrap(), first, "{kind}");
        assert_eq!(shop.mails(), mails, "{kind}");
    }
    assert_eq!(counted(&shop), [1, 1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_cancelled_in_the_shop_once_and_what_is_invoiced_is_not() {
    let called = Called::start().await;
    for mischief in [Mischief::default(), only(|m| &mut m.drop_after_per_mille)] {
        let shop = shop(mischief).await;
        let at = At::of(&shop);
        // Of an order that was never told of it finds out by itself which one is meant.
        assert_eq!(called.find(&at, CANCEL, &key()).await, Ok(None));
        let (receipt, _) = called.carried_out(&at, CANCEL, &created(), &key()).await;
        assert_eq!((receipt.external_id.as_str(), the_order(&shop).state), ("000000003", "canceled"));
        assert_eq!(called.find(&at, CANCEL, &key()).await, Ok(Some(receipt.clone())));
        assert_eq!(called.carried_out(&at, CANCEL, &rejected(), &key()).await.0, receipt, "it is so already");
    }
    let shop = shop(Mischief::default()).await;
    let at = At::of(&shop);
    called.told(&at).await;
    called.deliver(&at, INVOICE, invoice("INV-1", "162.50", &ALL), &key_of("INV-1")).await.unwrap();
    assert_eq!(code(called.deliver(&at, CANCEL, cancel_wanted(&[]), &key()).await), "declined");
    assert_eq!(called.find(&at, CANCEL, &key()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_shipped_and_then_the_rest_and_nothing_more() {
    let called = Called::start().await;
    let shop = shop(Mischief::default()).await;
    let at = At::of(&shop).set("notify", "true");
    called.told(&at).await;
    for (number, lines) in [("SH-1", &[("7", "2")][..]), ("SH/2 ä", &[("7", "3"), ("8", "2.5")][..])] {
        let receipt = called.deliver(&at, SHIPMENT, shipment(number, lines), &key_of(number)).await.unwrap();
        assert_eq!(called.find(&at, SHIPMENT, &key_of(number)).await, Ok(Some(receipt)), "{number}");
    }
    let numbers: Vec<u64> = shop.documents(ShopDocumentKind::Shipment).iter().map(|it| it.entity_id).collect();
    assert_eq!((numbers, shop.mails()), (vec![1, 2], 3));
    let more = called.deliver(&at, SHIPMENT, shipment("SH-3", &[("7", "1")]), &key_of("SH-3")).await;
    let Err(Failure::Invalid(problems)) = more else { panic!("{more:?}") };
    assert_eq!(problems[0].code, "refused-by-shop");
    assert!(problems[0].message.contains("(400): Shipment Document Validation Error(s):"), "{problems:?}");
    assert_eq!(called.find(&at, SHIPMENT, &key_of("SH-3")).await, Ok(None));
    assert_eq!(called.find(&at, SHIPMENT, &key_of("SH-")).await, Ok(None), "a number is no other's beginning");

    // Whoever repeats blindly invoices twice, and that is never taken for success.
    let part = || invoice("INV-1", "50", &[("7", "2")]);
    called.deliver(&at, INVOICE, part(), &key_of("INV-1")).await.unwrap();
    let request = shop.documents(ShopDocumentKind::Invoice).remove(0).request;
    let json = [("content-type", "application/json")];
    let path = "/rest/all/V1/order/3/invoice";
    client::send(at.address, Method::POST, path, &json, request.into()).await.unwrap();
    for twice in [
        called.find(&at, INVOICE, &key_of("INV-1")).await,
        called.deliver(&at, INVOICE, part(), &key_of("INV-1")).await.map(Some),
    ] {
        assert!(matches!(&twice, Err(Failure::Permanent(why)) if why.starts_with("told-twice: ")), "{twice:?}");
    }
    assert_eq!(shop.documents(ShopDocumentKind::Invoice).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_but_the_right_one_is_told_anything() {
    let called = Called::start().await;
    let told =
        async |shop: &Shop, kind: &str, event: Event| code(called.deliver(&At::of(shop), kind, event, &key()).await);
    let other = |json: &str, from: &str, to: &str| json.replace(from, to);

    let empty = Shop::start(Mischief::default()).await.unwrap();
    assert_eq!(told(&empty, ACCEPTED, created()).await, "order-unknown");
    // Nobody has told the shop yet which order it is.
    let shop = shop(Mischief::default()).await;
    assert_eq!(told(&shop, REJECTED, rejected()).await, "order-unknown");
    let unknown = called.deliver(&At::of(&shop), SHIPMENT, shipment("SH-1", &ALL), &key_of("SH-1")).await;
    assert_eq!(code(unknown), "order-unknown");
    // The same number in another store is another order.
    shop.place(other(&other(ORDER, "_id\":3", "_id\":4"), "store_id\":1", "store_id\":2").as_bytes()).unwrap();
    let nowhere = Order { extensions: vec![], ..order() };
    assert_eq!(told(&shop, ACCEPTED, Event::OrderCreated(nowhere)).await, "order-ambiguous");
    let elsewhere = Extension { name: "adobe:store_id".to_owned(), value: "3".to_owned() };
    let elsewhere = Order { extensions: vec![elsewhere], ..order() };
    assert_eq!(told(&shop, ACCEPTED, Event::OrderCreated(elsewhere)).await, "order-unknown");
    called.told(&At::of(&shop)).await;
    let ids: Vec<Option<String>> = shop.orders().into_iter().map(|order| order.ext_order_id).collect();
    assert_eq!(ids, [Some(key()), None]);
    // Another order of the host is not this one of the shop.
    let message = called.message(ACCEPTED, created(), &[]).await.unwrap();
    let at = At::of(&shop);
    let another = called.0.deliver_to(CONNECTOR, at.address, message, "another-order", &at.settings()).await;
    assert_eq!(code(another), "named-otherwise");
    assert_eq!(counted(&shop), [0, 0, 0, 1]);

    for key in ["", "/SH-1", &key(), &format!("{}/", key())] {
        let failure = called.deliver(&at, SHIPMENT, shipment("SH-1", &ALL), key).await;
        assert_eq!(code(failure), "key-without-number", "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shipped_or_paid_that_the_shop_would_count_otherwise() {
    let called = Called::start().await;
    let shop = shop(Mischief::default()).await;
    let at = At::of(&shop).set("capture", "true");
    called.told(&at).await;
    let told = async |kind: &str, event: Event| code(called.deliver(&at, kind, event, &key_of("N-1")).await);
    assert_eq!(told(SHIPMENT, shipment("N-1", &[("7", "1"), ("9", "1")])).await, "item-unknown");
    assert_eq!(told(SHIPMENT, shipment("N-1", &[("7", "1.5")])).await, "part-of-an-item");
    assert_eq!(told(INVOICE, invoice("N-1", "162.51", &ALL)).await, "other-amount");
    assert_eq!(told(INVOICE, invoice("N-1", "50", &[("7", "2")])).await, "capture-of-a-part");
    let euros = |minor| Money { minor, currency: Currency::parse("EUR").unwrap() };
    let foreign = Invoice { total: euros(16_250), ..invoiced("N-1", "162.50", &ALL) };
    assert_eq!(told(INVOICE, Event::InvoicePosted(foreign)).await, "other-currency");
    assert_eq!(told(REFUND, refund("N-1", euros(100))).await, "other-currency");
    assert_eq!(told(REFUND, refund("N-1", usd("1"))).await, "refused-by-shop");
    assert_eq!(counted(&shop), [0, 0, 0, 1]);

    // A part that is not captured is the shop's to price; the rest has to fit.
    let plain = At::of(&shop);
    called.deliver(&plain, INVOICE, invoice("INV-1", "1", &[("7", "2")]), &key_of("INV-1")).await.unwrap();
    let rest = [("7", "3"), ("8", "2.5")];
    let failure = called.deliver(&at, INVOICE, invoice("INV-2", "162.50", &rest), &key_of("INV-2")).await.unwrap_err();
    let Failure::Permanent(why) = &failure else { panic!("{failure:?}") };
    assert!(why.contains("comes to 112.50 USD, the invoice to 162.50 USD"), "{why}");
    called.deliver(&at, INVOICE, invoice("INV-2", "112.50", &rest), &key_of("INV-2")).await.unwrap();
    let above = called.deliver(&at, REFUND, refund("RF-1", usd("112.51")), &key_of("RF-1")).await;
    let Err(Failure::Invalid(problems)) = above else { panic!("{above:?}") };
    assert!(problems[0].message.ends_with("The most money available to refund is 112.5000."), "{problems:?}");
    let receipt = called.deliver(&at, REFUND, refund("RF-1", usd("112.5")), &key_of("RF-1")).await.unwrap();
    let memo: ShopDocument = shop.documents(ShopDocumentKind::CreditMemo).remove(0);
    assert_eq!((receipt.external_id, memo.items[0].1.to_string()), ("1".to_owned(), "0.0000".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_that_of_the_setting_where_the_orders_state_has_it() {
    let called = Called::start().await;
    let shop = shop(Mischief::default()).await;
    let at = At::of(&shop).set("accepted-status", "accepted_by_erp").set("rejected-status", "processing");
    called.told(&at).await;
    assert_eq!(the_order(&shop).status.as_deref(), Some("accepted_by_erp"));
    let comment = the_order(&shop).history[0].clone();
    assert_eq!(comment.comment, format!("The order was accepted. [accepted {}]", key()));
    assert_eq!((comment.parent_id, comment.notified, comment.visible), (3, false, false));
    let refused = called.deliver(&at, REJECTED, rejected(), &key()).await;
    let Err(Failure::Invalid(problems)) = refused else { panic!("{refused:?}") };
    assert!(problems[0].message.contains("The status \"processing\" is not part of"), "{problems:?}");
}

// --- what it answers ---

/// The order as the shop tells it, with the host's id.
fn told_order() -> String {
    let mut order: Value = serde_json::from_str(ORDER).unwrap();
    order["ext_order_id"] = json!(key());
    json!({"items": [order], "total_count": 1}).to_string()
}

/// The order, of which nothing was told yet.
fn told_nothing_of(uri: &str) -> String {
    if uri.contains("/orders?") { told_order() } else { json!({"items": [], "total_count": 0}).to_string() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_meaning_whatever_was_asked() {
    let called = Called::start().await;
    for (status, body) in [
        (400, r#"{"message":"No %1 of %2","parameters":["way","%1"]}"#),
        (409, "{}"),
        (422, ""),
        (429, ""),
        (408, ""),
        (500, ""),
        (503, ""),
        (200, "{}"),
        (200, "null"),
        (200, "\"0\""),
        (302, ""),
        (401, r#"{"message":"The consumer isn't authorized to access %resources."}"#),
        (404, r#"{"message":"Request does not match any route."}"#),
    ] {
        let at = scripted(move |method, uri| match *method {
            Method::GET => (200, told_nothing_of(uri)),
            _ => (status, body.to_owned()),
        })
        .await;
        for (kind, event, key) in kinds() {
            let failure = called.deliver(&at, kind, event, &key).await.unwrap_err();
            let as_expected = match status {
                400 | 409 | 422 => {
                    let says = if status == 400 { "No way of %1" } else { "no reason given" };
                    matches!(&failure, Failure::Invalid(problems) if problems[0].message.ends_with(says))
                }
                429 => failure == Failure::Retry(7_000),
                408 | 500.. | 200 => matches!(failure, Failure::UnknownOutcome(_)),
                _ => matches!(failure, Failure::Permanent(_)),
            };
            assert!(as_expected, "{status} to {kind}: {failure:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_not_answered_is_never_taken_for_a_no() {
    let called = Called::start().await;
    let stranger = json!({"items": [{"entity_id": 9, "order_id": 9, "comments": []}], "total_count": 1}).to_string();
    let cut = json!({"items": [], "total_count": 101}).to_string();
    let unread =
        [String::new(), "[]".to_owned(), "{}".to_owned(), "{\"items\":7,\"total_count\":1}".to_owned(), stranger, cut];
    for body in unread {
        for (kind, event, key) in kinds() {
            let (orders, answer) = (told_order(), body.clone());
            let at =
                scripted(move |_, uri| (200, if uri.contains("/orders?") { orders.clone() } else { answer.clone() }))
                    .await;
            let found = called.find(&at, kind, &key).await;
            // A comment has no order of its own: a list of others' says nothing of it.
            let strange = body.contains("\"order_id\":9") && [ACCEPTED, REJECTED].contains(&kind);
            assert!(strange || matches!(found, Err(Failure::Permanent(_))), "{body} to {kind}: {found:?}");

            let answer = body.clone();
            let at = scripted(move |_, _| (200, answer.clone())).await;
            for outcome in [called.find(&at, kind, &key).await, called.deliver(&at, kind, event, &key).await.map(Some)]
            {
                assert!(matches!(outcome, Err(Failure::Permanent(_))), "{body} to {kind}: {outcome:?}");
            }
        }
    }
    for (status, later) in [(408, true), (429, true), (500, true), (503, true), (401, false), (404, false)] {
        let at = scripted(move |_, _| (status, String::new())).await;
        for (kind, event, key) in kinds() {
            for outcome in [called.find(&at, kind, &key).await, called.deliver(&at, kind, event, &key).await.map(Some)]
            {
                let as_expected = if later {
                    outcome == Err(Failure::Retry(7_000))
                } else {
                    matches!(outcome, Err(Failure::Permanent(_)))
                };
                assert!(as_expected, "{status} to {kind}: {outcome:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_means_harm_is_a_sentence_and_no_trap() {
    let called = Called::start().await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let wide = |count: usize| {
        let items = vec![r#"{"entity_id":1,"order_id":3}"#; count].join(",");
        format!(r#"{{"items":[{items}],"total_count":{count}}}"#)
    };
    let order = |from: &str, to: &str| told_order().replace(from, to);
    let answers = [
        deep.clone(),
        format!(r#"{{"items":[{{"comments":{deep}}}],"total_count":1}}"#),
        wide(60_000),
        "x".repeat(3 * 1024 * 1024),
        order("\"entity_id\":3", "\"entity_id\":-3"),
        order("\"entity_id\":3", "\"entity_id\":\"3/../4\""),
        order("\"entity_id\":3", "\"entity_id\":1e400"),
        order("162.5", "1e400"),
        order("162.5", "9223372036854775807"),
        order("\"2.5000\"", "\"two\""),
        order("\"item_id\":7", "\"item_id\":18446744073709551616"),
        order("\"ext_order_id\"", "\"ext\""),
        order("\"items\":[{", "\"items\":[7,{"),
    ];
    for (number, body) in answers.into_iter().enumerate() {
        let at = scripted(move |_, _| (200, body.clone())).await;
        // What is read of a posting's answer is its id.
        let event = invoice("INV-1", "162.50", &ALL);
        let outcome = called.deliver(&at, INVOICE, event, &key_of("INV-1")).await;
        assert!(matches!(outcome, Err(Failure::Permanent(_))), "{number}: {outcome:?}");
        let found = called.find(&at, INVOICE, &key_of("INV-1")).await;
        assert!(matches!(found, Err(Failure::Permanent(_))), "{number}: {found:?}");
    }
    let long = json!({"message": format!("x{}%1", "ä".repeat(600)), "parameters": vec!["%1%1"; 5_000]}).to_string();
    for (body, says) in [(long, "xää"), (deep, "no reason given"), (r#"{"message":7}"#.to_owned(), "no reason given")]
    {
        let at = scripted(move |method, uri| match *method {
            Method::GET => (200, told_nothing_of(uri)),
            _ => (400, body.clone()),
        })
        .await;
        let outcome = called.deliver(&at, REFUND, refund("RF-1", usd("1")), &key_of("RF-1")).await;
        let Err(Failure::Invalid(problems)) = outcome else { panic!("{outcome:?}") };
        assert!(problems[0].message.contains(says) && problems[0].message.len() < 700, "{problems:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_whether_the_integration_may_read_orders() {
    let called = Called::start().await;
    let shop = shop(Mischief::default()).await;
    let at = At::of(&shop);
    let report = called.0.check_at(CONNECTOR, at.address, &at.settings()).await;
    assert_eq!((report.ok, report.detail.as_str()), (true, "the shop tells its orders"));
    let wrong = format!("{}/nowhere", at.base_url);
    let report = called.0.check_at(CONNECTOR, at.address, &[("base-url", wrong.as_str())]).await;
    assert_eq!((report.ok, report.detail.as_str()), (false, "the shop answered 404 when asked for its orders"));
}

#[test]
fn whatever_leaves_is_told_in_exactly_that_quantity_or_not_at_all() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let called = runtime.block_on(Called::start());
    let quantities = proptest::collection::vec((1..=9_999_999_999_i64, 0..=9_u8, any::<bool>()), 1..5);
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&quantities, |quantities| {
            let text = |value: i64, scale: u8| Decimal { units: value, scale }.to_string();
            let texts: Vec<String> = quantities.iter().map(|(value, scale, _)| text(*value, *scale)).collect();
            let items: Vec<Value> = (1..).zip(&quantities).map(|(id, (_, _, is_decimal))| {
                json!({"item_id": id, "product_type": "simple", "sku": "X", "is_qty_decimal": u8::from(*is_decimal), "qty_ordered": "9999999999.0000"})
            }).collect();
            let mut order: Value = serde_json::from_str(ORDER).unwrap();
            order["items"] = json!(items);
            let numbers: Vec<String> = (1..=quantities.len()).map(|id| id.to_string()).collect();
            let lines: Vec<(&str, &str)> = numbers.iter().zip(&texts).map(|(id, text)| (id.as_str(), text.as_str())).collect();
            let (outcome, shop) = runtime.block_on(async {
                let shop = Shop::start(Mischief::default()).await.unwrap();
                shop.place(order.to_string().as_bytes()).unwrap();
                let at = At::of(&shop);
                called.told(&at).await;
                let outcome = match called.message(SHIPMENT, shipment("SH-1", &lines), &[]).await {
                    Ok(message) => called.0.deliver_to(CONNECTOR, at.address, message, &key_of("SH-1"), &at.settings()).await,
                    Err(failure) => Err(failure),
                };
                (outcome, shop)
            });
            let places = |(value, scale, is_decimal): &(i64, u8, bool)| {
                let kept = if *is_decimal { 4 } else { 0 };
                value % 10_i64.pow(u32::from(scale.saturating_sub(kept))) == 0
            };
            prop_assert_eq!(outcome.is_ok(), quantities.iter().all(places), "{:?}", outcome);
            let shipped = shop.documents(ShopDocumentKind::Shipment);
            prop_assert_eq!(shipped.len(), usize::from(outcome.is_ok()));
            for ((_, qty), asked) in shipped.iter().flat_map(|shipment| &shipment.items).zip(&texts) {
                let number = |text: &str| {
                    let Decimal { units, scale } = Decimal::parse(text).unwrap();
                    i128::from(units) * 10_i128.pow(9 - u32::from(scale))
                };
                prop_assert_eq!(number(&qty.to_string()), number(asked));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

// --- how much there is ---

fn level(available: &str, unit: &str) -> Event {
    Event::InventoryLevel(InventoryLevel {
        sku: "PUMP-40".to_owned(),
        node: "DC-EAST".to_owned(),
        on_hand: Quantity { unit: unit.to_owned(), ..quantity("20") },
        available: Quantity { unit: unit.to_owned(), ..quantity(available) },
        as_of: None,
        extensions: Vec::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_is_the_request_that_adobe_documents() {
    let called = Called::start().await;
    for (available, settings, expected) in [
        (
            "9.25",
            &[("unit", "EA")][..],
            r#"{"request":{"sourceItems":[{"sku":"PUMP-40","source_code":"DC-EAST","quantity":9.25,"status":1}]}}"#,
        ),
        (
            "0",
            &[("unit", "EA"), ("sources", "DC-WEST=west DC-EAST=east")][..],
            r#"{"request":{"sourceItems":[{"sku":"PUMP-40","source_code":"east","quantity":0,"status":0}]}}"#,
        ),
        (
            "0",
            &[("unit", "EA"), ("stock", "on-hand")][..],
            r#"{"request":{"sourceItems":[{"sku":"PUMP-40","source_code":"DC-EAST","quantity":20,"status":1}]}}"#,
        ),
    ] {
        assert_eq!(called.written(STOCK, level(available, "EA"), settings).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_the_shop_would_have_to_guess_is_refused() {
    let called = Called::start().await;
    let unit = ("unit", "EA");
    for (event, settings, code, path) in [
        (level("5", "BX"), &[unit][..], "other-unit", "available.unit"),
        (level("5", "EA"), &[][..], "unit-unknown", "sku"),
        (level("-1", "EA"), &[unit][..], "level-negative", "available"),
        (level("0.00001", "EA"), &[unit][..], "quantity-too-fine", "available"),
        (level("5", "EA"), &[unit, ("sources", "DC-WEST=west")][..], "source-unknown", "node"),
    ] {
        let refused = called.message(STOCK, event, settings).await.unwrap_err();
        assert_eq!(problems(refused), [pair(code, path)]);
    }
    for wrong in [("stock", "sold"), ("sources", "DC-EAST")] {
        let refused = called.message(STOCK, level("5", "EA"), &[unit, wrong]).await.unwrap_err();
        assert!(matches!(&refused, Failure::Permanent(why) if why.contains(wrong.0)), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_has_the_level_that_it_was_told_last_and_says_why_it_takes_none() {
    let called = Called::start().await;
    let shop = shop(Mischief::default()).await;
    shop.put("DC-EAST", "PUMP-40", Decimal { units: 100, scale: 0 });
    let at = At::of(&shop).set("unit", "EA");
    for (available, left) in [("9.25", "9.2500"), ("7", "7.0000"), ("7", "7.0000")] {
        let receipt = called.deliver(&at, STOCK, level(available, "EA"), "an item").await.unwrap();
        assert_eq!(
            (receipt.external_id.as_str(), shop.stock("DC-EAST", "PUMP-40").to_string()),
            ("PUMP-40@DC-EAST", left.to_owned())
        );
    }
    assert!(matches!(called.find(&at, STOCK, "an item").await, Err(Failure::Permanent(_))), "nobody has to ask");
    let elsewhere = At::of(&shop).set("unit", "EA").set("sources", "DC-EAST=nowhere");
    let refused = called.deliver(&elsewhere, STOCK, level("5", "EA"), "an item").await.unwrap_err();
    let Failure::Invalid(problems) = refused else { panic!("{refused:?}") };
    assert!(
        problems[0].message.contains("(400): Validation Failed: Source with code \"nowhere\" does not exist"),
        "{problems:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_of_which_the_answer_is_lost_is_set_all_the_same() {
    let called = Called::start().await;
    let shop = shop(only(|mischief| &mut mischief.drop_after_per_mille)).await;
    shop.put("DC-EAST", "PUMP-40", Decimal { units: 100, scale: 0 });
    let at = At::of(&shop).set("unit", "EA");
    let first = called.deliver(&at, STOCK, level("7", "EA"), "an item").await;
    assert!(matches!(first, Err(Failure::UnknownOutcome(_))), "{first:?}");
    assert_eq!(shop.stock("DC-EAST", "PUMP-40").to_string(), "7.0000");
}

// --- a whole host ---

/// The demo's host, whose ERP accepts an order by taking it, with a warehouse that gets it then,
/// and the shop that is told: of that, and of what leaves.
fn with_shop(shop: &Shop, wms: &Wms, credential: &str) -> Setup {
    let warehouse = format!(
        "\n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"wms\"\n\
         connector = \"wms-rest\"\ndocuments = {{ \"wms-rest/event\" = \"wms-documents\" }}\ntarget = \"erp\"\n\
         exception_queue = \"integration\"\nsays = [\"inventory.allocated\", \"shipment.picked\", \"shipment.packed\", \
         \"shipment.dispatched\", \"shipment.confirmed\"]\n\n[[target]]\nid = \"warehouse\"\nconnector = \"wms-rest\"\n\
         transformer = \"wms-documents\"\nkind = \"wms-rest/release\"\norigin = \"{}\"\nexception_queue = \"integration\"\n\
         find = true\nsettings = {{ base-url = \"{}\" }}\n",
        Digest::of(TOKEN.as_bytes()),
        wms.origin(),
        wms.base_url()
    );
    let target = format!(
        "\n[[target]]\nid = \"shop\"\nconnector = \"{CONNECTOR}\"\ntransformer = \"{TRANSFORMER}\"\n\
         kind = \"{ACCEPTED}\"\norigin = \"{}\"\nexception_queue = \"integration\"\nfind = true\nfind_after_ms = 1000\n\
         settings = {{ base-url = \"{}\", answer-timeout-ms = \"300\", notify = \"true\" }}\n{credential}",
        shop.origin(),
        shop.base_url()
    );
    let effects = format!(
        "
[[effect]]
on = \"order.accepted\"
target = \"warehouse\"
sends = \"order\"

[[effect]]
on = \"order.accepted\"
channels = [\"shop\"]
target = \"shop\"
sends = \"order\"

[[effect]]
on = \"shipment.confirmed\"
channels = [\"shop\"]
target = \"shop\"
kind = \"{SHIPMENT}\"
"
    );
    let egress = |origin: &str| format!("[[plugin.egress]]\norigin = \"{origin}\"\nrequests_per_second = 20000\n");
    Setup::demo()
        .scorers(&[])
        .plugin("wms-rest", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 45000 } }")
        .append("portreeve.toml", &egress(&wms.origin()))
        .blindfolded("wms-documents")
        .plugin(CONNECTOR, GRANT)
        .append("portreeve.toml", &egress(&shop.origin()))
        .plugin(TRANSFORMER, SEES_ITEMS)
        .replace(
            "portreeve.toml",
            "kind = \"business-central/sales-order\"",
            "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"",
        )
        .append("portreeve.toml", &warehouse)
        .append("portreeve.toml", &target)
        .append("portreeve.toml", &effects)
}

/// Decides and delivers until nothing is left to do, and hears the warehouse.
async fn carried_out(host: &TestHost, wms: &Wms) {
    for _ in 0..24 {
        let decided = host.decide_all().await.len();
        host.deliver_all().await;
        let said = wms.work().unwrap();
        for body in &said {
            let sent = host.send("wms", Credential::Bearer(TOKEN), body.as_bytes()).await.unwrap();
            assert_eq!(sent.reply.status, 202, "{}", String::from_utf8_lossy(&sent.reply.body));
        }
        if decided == 0 && said.is_empty() && host.summary().await.pending == 0 {
            return;
        }
    }
    panic!("it never comes to rest: {:?}", host.summary().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_hears_once_what_left_of_its_order_though_replies_are_lost() {
    let mischief = Mischief {
        throttle_per_mille: 150,
        fail_before_per_mille: 150,
        drop_after_per_mille: 300,
        slow_per_mille: 100,
        reject_per_mille: 0,
    };
    let shop = Shop::start(mischief).await.unwrap();
    let wms = Wms::start(Mischief::default()).await.unwrap();
    let host = with_shop(&shop, &wms, "").start().await;
    for number in ["0001", "0002", "0004", "0005", "0007", "0008", "0010", "0011"] {
        let order = sample("adobe-commerce", number);
        shop.place(&order).unwrap();
        let placed: Value = serde_json::from_slice(&order).unwrap();
        for item in placed["items"].as_array().unwrap() {
            wms.put(NODE, item["sku"].as_str().unwrap(), Decimal { units: 100_000, scale: 0 });
        }
        host.send_shop(&order).await.unwrap();
    }
    // A customer who sends X12 orders bought nothing in the shop.
    for sku in ["FST-1007", "ELC-1049"] {
        wms.put(NODE, sku, Decimal { units: 100_000, scale: 0 });
    }
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    carried_out(&host, &wms).await;

    let state = async |order| host.store.order_trail(order).await.unwrap().unwrap().progress.map(|now| now.state);
    let bought = host.order("PO-1").await;
    assert_eq!(state(bought.id).await, Some(ProcessState::Shipped));
    assert!(bought.deliveries.iter().all(|delivery| delivery.target != "shop"), "{:?}", bought.deliveries);
    assert!(matches!(host.rederive(bought.id).await.unwrap(), Rederived::Same(_)));
    let is_of_shop = |order: &OrderView| order.state == OrderState::Released && order.id != bought.id;
    let released: Vec<OrderView> = host.orders().await.into_iter().filter(is_of_shop).collect();
    assert!(released.len() >= 3, "{} orders are too few to show anything", released.len());
    let mut tried = 0;
    for order in &released {
        assert_eq!(state(order.id).await, Some(ProcessState::Shipped), "{}", order.number);
        let told = shop.orders().into_iter().find(|told| told.increment_id == order.number).unwrap();
        assert_eq!(told.ext_order_id, Some(order.id.to_string()));
        assert_eq!(told.history.len(), 1, "{:?}", told.history);
        let shipments = shop.documents(ShopDocumentKind::Shipment);
        let own: Vec<_> = shipments.iter().filter(|shipment| shipment.order_id == told.entity_id).collect();
        assert_eq!(own.len(), 1, "{}", order.number);
        let sold = told.items.iter().filter(|item| item.parent_item_id.is_none());
        assert!(sold.into_iter().all(|item| item.shipped == item.ordered), "{:?}", told.items);
        let to_shop = order.deliveries.iter().filter(|delivery| delivery.target == "shop");
        for delivery in to_shop {
            assert_eq!(delivery.state, "delivered", "{} of {}", delivery.kind, order.number);
            tried += delivery.attempts;
        }
        assert!(matches!(host.rederive(order.id).await.unwrap(), Rederived::Same(_)), "{}", order.number);
    }
    assert_eq!(shop.documents(ShopDocumentKind::Shipment).len(), released.len(), "nobody else's order");
    let needed = 2 * u32::try_from(released.len()).unwrap();
    assert!(tried > needed, "{tried} attempts for {needed} messages: the shop behaved too well to show anything");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_takes_signed_requests_only_takes_the_hosts() {
    let secrets = tempfile::tempdir().unwrap();
    let (consumer, token) = (secrets.path().join("consumer"), secrets.path().join("token"));
    std::fs::write(&consumer, "c0nsumer secret+of&the tests").unwrap();
    std::fs::write(&token, "t0ken-secret/of-the-tests").unwrap();
    let integration = Integration {
        consumer_key: "portreeve".to_owned(),
        consumer_secret: "c0nsumer secret+of&the tests".to_owned(),
        token: "orders".to_owned(),
        token_secret: "t0ken-secret/of-the-tests".to_owned(),
    };
    let shop = Shop::start_for(Some(integration), Mischief::default()).await.unwrap();
    shop.place(ORDER.as_bytes()).unwrap();
    let wms = Wms::start(Mischief::default()).await.unwrap();
    let credential = |token: &str| {
        format!(
            "credential = {{ kind = \"oauth1\", consumer_key = \"portreeve\", consumer_secret = {{ file = {consumer:?} }}, \
             token = \"{token}\", token_secret = {{ file = \"{}\" }} }}\n",
            secrets.path().join("token").display()
        )
    };
    for (name, is_let_in) in [("orders", true), ("somebody", false)] {
        let plugins = Plugins::of(with_shop(&shop, &wms, &credential(name))).await;
        let base_url = shop.base_url();
        let settings = [("base-url", base_url.as_str())];
        let report = plugins.check(CONNECTOR, "shop", &settings).await.unwrap();
        assert_eq!(report.ok, is_let_in, "{}", report.detail);
        let message = plugins.rendered(TRANSFORMER, ACCEPTED, created(), &settings).await.unwrap();
        let delivery = Delivery {
            message,
            idempotency_key: "key".to_owned(),
            natural_key: key(),
            attempt: 1,
            settings: given(&settings),
        };
        let outcome = plugins.deliver(CONNECTOR, "shop", &delivery).await;
        let query = FindQuery { kind: ACCEPTED.to_owned(), natural_key: key(), settings: given(&settings) };
        let found = plugins.find(CONNECTOR, "shop", &query).await;
        if is_let_in {
            assert_eq!(found, Ok(Some(outcome.unwrap())));
        } else {
            assert!(matches!(outcome, Err(Failure::Permanent(_))), "{outcome:?}");
            assert!(matches!(&found, Err(Failure::Permanent(why)) if why.contains("401")), "{found:?}");
        }
    }
    assert_eq!(counted(&shop), [0, 0, 0, 1]);
}
