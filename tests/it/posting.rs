//! What the ERP posts of shipments that left and returns that came: once each, whatever is lost
//! on the way, and nothing that does not fit.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use hyper::Method;
use portreeve::client;
use portreeve::standins::erp::COMPANY;
use portreeve::standins::wms::NODE;
use portreeve::standins::{Erp, Mischief, PostedInvoice, Wms};
use portreeve_model::document::{Message, Receipt};
use portreeve_model::event::{GoodsReturn, ReturnLine, Shipment, ShipmentLine, ShortReason};
use portreeve_model::value::{Decimal, Quantity};
use portreeve_model::{Digest, Event, Failure, OrderId, ProcessState};
use portreeve_pipeline::Credential;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::at_the_plugin::{Plugins, order_id};
use crate::support::{PurchaseOrder, ScriptedTarget, Setup, TestHost, x12};

const SHIP: &str = "business-central/ship-and-invoice";
const CREDIT: &str = "business-central/credit-memo";
const CANCEL: &str = "business-central/cancel";
const CLOSE: &str = "business-central/close";
const ORDER: &str = "business-central/sales-order";
const WMS: &str = "token-of-the-warehouse";

fn lost() -> Mischief {
    Mischief { drop_after_per_mille: 1_000, ..Mischief::default() }
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

// --- the whole road ---

/// A host that has the ERP post what a warehouse says.
pub(crate) fn posting(mischief: Mischief) -> Setup {
    let channel = format!(
        "\n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"wms\"\n\
         connector = \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\n\
         target = \"erp\"\nexception_queue = \"integration\"\nsays = [\"shipment.confirmed\", \"return.received\"]\n",
        Digest::of(WMS.as_bytes())
    );
    with_effects(Setup::demo().mischief(mischief))
        .blindfolded("cloudevents")
        .blindfolded("cloudevents-events")
        .append("portreeve.toml", &channel)
}

fn with_effects(setup: Setup) -> Setup {
    let effects = format!(
        "\n[[effect]]\non = \"shipment.confirmed\"\ntarget = \"erp\"\nkind = \"{SHIP}\"\n\n[[effect]]\n\
         on = \"return.received\"\ntarget = \"erp\"\nkind = \"{CREDIT}\"\n"
    );
    let receipt = "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"";
    setup
        .replace("portreeve.toml", "kind = \"business-central/sales-order\"", receipt)
        .append("portreeve.toml", &effects)
}

/// Two lines: ten boxes at 18.40, four at 12.95.
fn order(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", 10, "BX", "18.40"), ("FST-1014", 4, "BX", "12.95")])
}

pub(crate) async fn accepted(host: &TestHost, number: &str) -> OrderId {
    let control = u32::try_from(host.orders().await.len()).unwrap() + 1;
    host.send_edi(&x12(control, &order(number))).await.unwrap();
    host.come_to_rest().await;
    let order = host.order(number).await;
    assert_eq!(host.process_state(order.id).await, Some(ProcessState::Accepted), "{}", order.why);
    order.id
}

pub(crate) async fn say(host: &TestHost, kind: &str, data: Value) {
    let id = Digest::of(format!("{kind} {data}").as_bytes());
    let event = json!([{"specversion": "1.0", "id": id.to_string(), "source": "/wms", "type": kind, "data": data}]);
    let sent = host.send("wms", Credential::Bearer(WMS), event.to_string().as_bytes()).await.unwrap();
    assert_eq!(sent.reply.status, 202);
}

pub(crate) fn boxes(value: &str) -> Value {
    json!({"value": value, "scale": 0, "unit": "BX"})
}

/// So many boxes of the lines left.
pub(crate) async fn ship(host: &TestHost, order: OrderId, number: &str, left: &[(&str, &str, &str)]) {
    let line = |(line, sku, quantity): &(&str, &str, &str)| json!({"lineNumber": line, "sku": sku, "shipped": boxes(quantity), "short": "none"});
    let lines: Vec<Value> = left.iter().map(line).collect();
    say(host, "shipment.confirmed", json!({"orderNumber": order, "shipmentNumber": number, "lines": lines})).await;
}

pub(crate) const FIRST: (&str, &str, &str) = ("1", "FST-1007", "10");
pub(crate) const SECOND: (&str, &str, &str) = ("2", "FST-1014", "4");

/// Shipment, lines with their quantities, and total of each invoice.
fn told(invoices: &[PostedInvoice]) -> Vec<(String, Vec<String>, String)> {
    let told = |invoice: &PostedInvoice| {
        let lines = invoice.lines.iter().map(|line| format!("{} of line {}", line.quantity, line.line_number));
        (invoice.shipment.clone().unwrap_or_default(), lines.collect(), invoice.total.to_string())
    };
    invoices.iter().map(told).collect()
}

fn invoice(shipment: &str, lines: &[&str], total: &str) -> (String, Vec<String>, String) {
    (shipment.to_owned(), lines.iter().map(|line| (*line).to_owned()).collect(), total.to_owned())
}

#[tokio::test]
async fn a_shipment_that_left_is_shipped_and_invoiced_once_and_its_order_leaves_the_erp() {
    let host = posting(Mischief::default()).start().await;
    host.erp.put("FST-1007", decimal("25"));
    let order = accepted(&host, "PO-1").await;
    ship(&host, order, "S-1", &[FIRST, SECOND]).await;
    host.come_to_rest().await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    let invoices = host.erp.invoices();
    assert_eq!(told(&invoices), [invoice("S-1", &["10 of line 1", "4 of line 2"], "235.80")]);
    assert_eq!(invoices[0].external_document_number, order.to_string().replace('-', ""));
    assert_eq!((host.erp.sales_order_count(), host.erp.stock("FST-1007").to_string()), (0, "15".to_owned()));
    let delivery = host.order("PO-1").await.deliveries.remove(1);
    assert_eq!((delivery.kind.as_str(), delivery.external_id.as_ref()), (SHIP, Some(&invoices[0].number)));

    // Said again under another name it is known.
    ship(&host, order, "S-1", &[SECOND, FIRST]).await;
    host.come_to_rest().await;
    assert_eq!(host.erp.invoices().len(), 1);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_part_that_left_is_invoiced_and_the_rest_with_the_next_shipment() {
    let host = posting(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    ship(&host, order, "S-1", &[("1", "FST-1007", "6"), ("2", "FST-1014", "0")]).await;
    host.come_to_rest().await;
    assert_eq!(told(&host.erp.invoices()), [invoice("S-1", &["6 of line 1"], "110.40")]);
    assert_eq!(host.erp.sales_orders()[0].lines[0].shipped.to_string(), "6");
    ship(&host, order, "S-2", &[("1", "FST-1007", "4"), SECOND]).await;
    host.come_to_rest().await;
    let second = invoice("S-2", &["4 of line 1", "4 of line 2"], "125.40");
    assert_eq!(told(&host.erp.invoices())[1..], [second], "and no comment of the first one on it");
    assert_eq!((host.erp.sales_order_count(), host.codes().await), (0, vec![]));
}

#[tokio::test]
async fn what_is_short_stays_outstanding_and_of_a_shipment_of_nothing_nothing_is_posted() {
    let host = posting(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    let line = |line: &str, sku: &str, ordered: &str, shipped: &str| json!({"lineNumber": line, "sku": sku, "ordered": boxes(ordered), "shipped": boxes(shipped), "short": "no-backorder"});
    let lines = [line("1", "FST-1007", "10", "8"), line("2", "FST-1014", "4", "0")];
    say(&host, "shipment.confirmed", json!({"orderNumber": order, "shipmentNumber": "S-1", "lines": lines})).await;
    host.come_to_rest().await;
    assert_eq!(told(&host.erp.invoices()), [invoice("S-1", &["8 of line 1"], "147.20")]);
    let left = host.erp.sales_orders();
    let shipped: Vec<String> = left[0].lines.iter().map(|line| line.shipped.to_string()).collect();
    assert_eq!(shipped, ["8", "0"], "a clerk takes the rest off the order");

    let other = accepted(&host, "PO-2").await;
    ship(&host, other, "S-2", &[("1", "FST-1007", "0"), ("2", "FST-1014", "0")]).await;
    host.come_to_rest().await;
    assert_eq!((host.erp.invoices().len(), host.erp.sales_order_count()), (1, 2));
    let delivery = host.order("PO-2").await.deliveries.remove(1);
    assert_eq!((delivery.state.as_str(), delivery.external_id.as_deref()), ("delivered", Some("S-2")));
}

#[tokio::test]
async fn what_the_warehouse_says_never_leaves_is_taken_off_the_sales_order_once_what_left_is_posted() {
    let close = format!(
        "\n[[effect]]\non = \"shipment.confirmed\"\nto = [\"shipped\", \"invoiced\", \"settled\"]\nrest = \"cancelled\"\ntarget = \"erp\"\nkind = \"{CLOSE}\"\n"
    );
    let says = "says = [\"shipment.confirmed\", \"return.received\"";
    let host = posting(Mischief::default())
        .replace("portreeve.toml", says, &format!("{says}, \"invoice.posted\""))
        .append("portreeve.toml", &close)
        .start()
        .await;
    let line = |line: &str, sku: &str, ordered: &str, shipped: &str, short: &str| json!({"lineNumber": line, "sku": sku, "ordered": boxes(ordered), "shipped": boxes(shipped), "short": short});
    let says = |order: OrderId, number: &str, lines: Value| {
        say(&host, "shipment.confirmed", json!({"orderNumber": order, "shipmentNumber": number, "lines": lines}))
    };

    // Line 1 ends with the first shipment, and line 2 is still owed: nothing is taken off yet.
    let order = accepted(&host, "PO-1").await;
    says(
        order,
        "S-1",
        json!([line("1", "FST-1007", "10", "8", "no-backorder"), line("2", "FST-1014", "4", "1", "backorder")]),
    )
    .await;
    host.come_to_rest().await;
    let quantities =
        || -> Vec<String> { host.erp.sales_orders()[0].lines.iter().map(|line| line.quantity.to_string()).collect() };
    assert_eq!(quantities(), ["10", "4"]);
    says(order, "S-2", json!([line("2", "FST-1014", "3", "3", "none")])).await;
    host.come_to_rest().await;
    assert_eq!(quantities(), ["8", "4"], "nothing is outstanding");
    assert_eq!(host.order("PO-1").await.deliveries.last().unwrap().kind, CLOSE);

    // Where all of it left the ERP has no order any more, and nobody asks it for one.
    let whole = accepted(&host, "PO-2").await;
    ship(&host, whole, "S-3", &[FIRST, SECOND]).await;
    host.come_to_rest().await;
    assert!(host.order("PO-2").await.deliveries.iter().all(|delivery| delivery.kind != CLOSE));
    assert_eq!((host.erp.sales_order_count(), host.codes().await), (1, vec![]));

    // All that left is invoiced when the warehouse says that the backorder never comes.
    let late = accepted(&host, "PO-3").await;
    says(late, "S-4", json!([line("1", "FST-1007", "10", "10", "none"), line("2", "FST-1014", "4", "0", "backorder")]))
        .await;
    host.come_to_rest().await;
    let number = host.erp.invoices().last().unwrap().number.clone();
    let price = json!({"amount": "1840", "scale": 2, "currency": "USD", "perQuantity": 1});
    let usd = || json!({"minor": "18400", "currency": "USD"});
    let billed =
        json!([{"lineNumber": "1", "sku": "FST-1007", "quantity": boxes("10"), "unitPrice": price, "extended": usd()}]);
    say(&host, "invoice.posted", json!({"invoiceNumber": number, "orderNumber": late, "postedOn": "2026-03-04", "lines": billed, "total": usd()})).await;
    host.come_to_rest().await;
    says(late, "S-5", json!([line("2", "FST-1014", "4", "0", "no-backorder")])).await;
    host.come_to_rest().await;
    assert_eq!(host.process_state(late).await, Some(ProcessState::Invoiced));
    let deliveries = host.order("PO-3").await.deliveries;
    assert!(
        deliveries.iter().any(|delivery| delivery.kind == CLOSE && delivery.state == "delivered"),
        "{deliveries:?}"
    );
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();

    let wrong = close.replace("shipment.confirmed", "return.received");
    let told =
        format!("{:#}", posting(Mischief::default()).append("portreeve.toml", &wrong).try_start().await.err().unwrap());
    assert!(told.contains("says `rest`, and nothing leaves by that"), "{told}");
}

#[tokio::test]
async fn however_often_an_answer_is_lost_each_shipment_is_invoiced_and_each_return_credited_once() {
    let hard = Mischief {
        throttle_per_mille: 200,
        fail_before_per_mille: 200,
        drop_after_per_mille: 400,
        ..Mischief::default()
    };
    for mischief in [lost(), hard] {
        let host = posting(mischief).start().await;
        for number in 0..8 {
            let order = accepted(&host, &format!("PO-{number}")).await;
            ship(&host, order, &format!("S-{number}"), &[("1", "FST-1007", "6"), SECOND]).await;
            host.come_to_rest().await;
            ship(&host, order, &format!("T-{number}"), &[("1", "FST-1007", "4")]).await;
            host.come_to_rest().await;
            let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": boxes("5")});
            let data = json!({"orderNumber": order, "returnNumber": format!("R-{number}"), "lines": [line]});
            say(&host, "return.received", data).await;
            host.come_to_rest().await;
        }
        assert_eq!(host.codes().await, Vec::<String>::new());
        let expected: Vec<_> = (0..8)
            .flat_map(|number| {
                let first = invoice(&format!("S-{number}"), &["6 of line 1", "4 of line 2"], "162.20");
                [first, invoice(&format!("T-{number}"), &["4 of line 1"], "73.60")]
            })
            .collect();
        assert_eq!(told(&host.erp.invoices()), expected);
        let memos = host.erp.credit_memos();
        assert_eq!(memos.len(), 8);
        assert!(memos.iter().all(|memo| memo.total.to_string() == "92.00"), "{memos:?}");
        assert!(memos[0].at > host.erp.invoices()[1].at, "after what it credits");
        assert_eq!(host.erp.stock("FST-1007").to_string(), "-40");
        assert!(host.summary().await.retried > 0, "the ERP was hard to talk to");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_shipment_waits_for_an_erp_that_is_down_and_is_posted_when_it_is_up() {
    let host = posting(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    host.erp.down(true);
    ship(&host, order, "S-1", &[FIRST, SECOND]).await;
    host.decide_all().await;
    for _ in 0..10 {
        host.deliver_due().await;
        host.clock.advance_to(host.store.next_due().await.unwrap().unwrap());
    }
    assert_eq!((host.erp.invoices(), host.codes().await), (vec![], vec![]));
    host.erp.down(false);
    host.come_to_rest().await;
    assert_eq!((host.erp.invoices().len(), host.codes().await), (1, vec![]));
}

/// A host whose ERP posts what this warehouse says of the orders that were released to it.
pub(crate) fn warehoused(wms: &Wms, mischief: Mischief) -> Setup {
    let channel = format!(
        "\n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"wms\"\n\
         connector = \"wms-rest\"\ndocuments = {{ \"wms-rest/event\" = \"wms-documents\" }}\ntarget = \"erp\"\n\
         exception_queue = \"integration\"\nsays = [\"inventory.allocated\", \"shipment.picked\", \"shipment.packed\", \
         \"shipment.dispatched\", \"shipment.confirmed\", \"return.received\"]\n\n[[target]]\nid = \"warehouse\"\nconnector = \"wms-rest\"\n\
         transformer = \"wms-documents\"\nkind = \"wms-rest/release\"\norigin = \"{origin}\"\n\
         exception_queue = \"integration\"\nfind = true\nfind_after_ms = 1000\nsettings = {{ base-url = \"{base}\" }}\n\n\
         [[effect]]\non = \"order.accepted\"\nto = [\"accepted\"]\ntarget = \"warehouse\"\nsends = \"order\"\n",
        Digest::of(WMS.as_bytes()),
        origin = wms.origin(),
        base = wms.base_url(),
    );
    let egress = format!("[[plugin.egress]]\norigin = \"{}\"\n", wms.origin());
    with_effects(Setup::demo().mischief(mischief))
        .plugin("wms-rest", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 45000 } }")
        .append("portreeve.toml", &egress)
        .blindfolded("wms-documents")
        .append("portreeve.toml", &channel)
}

/// A warehouse with enough of everything.
pub(crate) async fn full_warehouse(mischief: Mischief) -> Wms {
    let wms = Wms::start(mischief).await.unwrap();
    wms.put(NODE, "FST-1007", decimal("100"));
    wms.put(NODE, "FST-1014", decimal("100"));
    wms
}

/// The warehouse takes everything one step on and says so; whether there was anything.
pub(crate) async fn works(host: &TestHost, wms: &Wms) -> bool {
    let said = wms.work().unwrap();
    for body in &said {
        let sent = host.send("wms", Credential::Bearer(WMS), format!("[{body}]").as_bytes()).await.unwrap();
        assert_eq!(sent.reply.status, 202);
    }
    !said.is_empty()
}

#[tokio::test]
async fn from_the_order_over_the_warehouse_to_the_invoice_everything_happens_once() {
    let wms = full_warehouse(Mischief { drop_after_per_mille: 300, ..Mischief::default() }).await;
    let host = warehoused(&wms, Mischief { drop_after_per_mille: 500, ..Mischief::default() }).start().await;
    for number in 0..6 {
        accepted(&host, &format!("PO-{number}")).await;
    }
    while works(&host, &wms).await {
        host.come_to_rest().await;
    }
    host.come_to_rest().await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    let (shipments, invoices) = (wms.shipments(), host.erp.invoices());
    assert_eq!((shipments.len(), invoices.len(), host.erp.sales_order_count()), (6, 6, 0));
    for shipment in &shipments {
        let of_it: Vec<_> =
            invoices.iter().filter(|invoice| invoice.shipment.as_ref() == Some(&shipment.number)).collect();
        assert_eq!(of_it.len(), 1, "{}", shipment.number);
        assert_eq!(of_it[0].external_document_number, shipment.order_id.replace('-', ""));
        assert!(shipment.at < of_it[0].at);
        let left: Vec<_> = shipment.lines.iter().map(|line| (&line.line_number, line.shipped.to_string())).collect();
        let charged: Vec<_> =
            of_it[0].lines.iter().map(|line| (&line.line_number, line.quantity.to_string())).collect();
        assert_eq!(left, charged);
    }
    host.verify().await.unwrap();
}

// --- one call ---

/// The plugins before an ERP that has a sales order of the order [`order_id`].
struct Called {
    plugins: Plugins,
    erp: Erp,
    at: SocketAddr,
    base_url: String,
}

fn address(origin: &str) -> SocketAddr {
    origin.trim_start_matches("http://").parse().unwrap()
}

fn quantity(value: i64) -> Quantity {
    Quantity { value, scale: 0, unit: "EA".to_owned() }
}

fn key(number: &str) -> String {
    format!("{}/{number}", order_id())
}

/// So much of the lines left.
fn shipped(number: &str, lines: &[(&str, &str, i64)]) -> Event {
    let line = |(line, sku, shipped): &(&str, &str, i64)| ShipmentLine {
        line_number: (*line).to_owned(),
        sku: (*sku).to_owned(),
        ordered: None,
        shipped: quantity(*shipped),
        short: ShortReason::None,
        lot: None,
        serials: vec![],
    };
    Event::ShipmentConfirmed(Shipment {
        order_number: order_id().to_string(),
        shipment_number: number.to_owned(),
        node: None,
        carrier: None,
        tracking: vec![],
        at: None,
        lines: lines.iter().map(line).collect(),
        ship_to: None,
        extensions: vec![],
    })
}

/// So much came back.
fn returned(number: &str, lines: &[(Option<&str>, &str, i64)]) -> Event {
    let line = |(line, sku, back): &(Option<&str>, &str, i64)| ReturnLine {
        line_number: line.map(str::to_owned),
        sku: (*sku).to_owned(),
        quantity: quantity(*back),
        reason: None,
        condition: None,
    };
    Event::ReturnReceived(GoodsReturn {
        return_number: number.to_owned(),
        order_number: order_id().to_string(),
        lines: lines.iter().map(line).collect(),
        at: None,
        extensions: vec![],
    })
}

impl Called {
    /// X ten times at 3.00 and Y thrice at 1.10, ten percent off.
    async fn start() -> Self {
        let erp = Erp::start(Mischief::default()).await.unwrap();
        let called = Self { plugins: Plugins::demo().await, at: address(&erp.origin()), base_url: erp.base_url(), erp };
        let item = |sequence: u32, item: &str, quantity: u32, price: &str| {
            format!(
                r#"{{"lineType":"Item","sequence":{sequence},"lineObjectNumber":"{item}","quantity":{quantity},
                    "unitPrice":{price},"unitOfMeasureCode":"EA"}}"#
            )
        };
        let body = format!(
            r#"{{"externalDocumentNumber":"{}","customerNumber":"C-1","currencyCode":"USD","discountAmount":3.33,
                "salesOrderLines":[{{"lineType":"Comment","sequence":1,"description":"Order 1"}},{},{}]}}"#,
            order_id().to_string().replace('-', ""),
            item(10, "X", 10, "3.00"),
            item(20, "Y", 3, "1.10"),
        );
        assert_eq!(called.ask(Method::POST, "/salesOrders", &body).await.0, 201);
        called
    }

    /// What a clerk does at the ERP.
    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let path = format!("/api/v2.0/companies({COMPANY}){path}");
        let headers = [("if-match", "*")];
        let body = Bytes::from(body.to_owned());
        let answer = client::send(self.at, method, &path, &headers, body).await.unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn order(&self) -> Value {
        let filter = format!("externalDocumentNumber%20eq%20'{}'", order_id().to_string().replace('-', ""));
        let found = self.ask(Method::GET, &format!("/salesOrders?$filter={filter}&$expand=salesOrderLines"), "").await;
        found.1["value"][0].clone()
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [("base-url", self.base_url.as_str()), ("company", COMPANY)]
    }

    async fn message(&self, kind: &str, event: Event) -> Result<Message, Failure> {
        self.plugins.rendered("business-central", kind, event, &[]).await
    }

    async fn deliver(&self, kind: &str, number: &str, event: Event) -> Result<Receipt, Failure> {
        let message = self.message(kind, event).await.unwrap();
        self.plugins.deliver_to("erp-rest", self.at, message, &key(number), &self.settings()).await
    }

    async fn ship(&self, number: &str, lines: &[(&str, &str, i64)]) -> Result<Receipt, Failure> {
        self.deliver(SHIP, number, shipped(number, lines)).await
    }

    async fn credit(&self, number: &str, lines: &[(Option<&str>, &str, i64)]) -> Result<Receipt, Failure> {
        self.deliver(CREDIT, number, returned(number, lines)).await
    }

    async fn found(&self, kind: &str, number: &str) -> Option<String> {
        let found = self.plugins.find_at("erp-rest", self.at, kind, &key(number), &self.settings()).await;
        found.unwrap().map(|receipt| receipt.external_id)
    }
}

fn problems<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> Vec<String> {
    let Err(Failure::Invalid(problems)) = outcome else { panic!("{outcome:?}") };
    problems.into_iter().map(|problem| problem.code).collect()
}

fn permanent<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    let Err(Failure::Permanent(why)) = outcome else { panic!("{outcome:?}") };
    why
}

/// An ERP that answers what a test writes, by method, path and query.
async fn scripted(
    answer: impl Fn(&Method, &str) -> (u16, Value) + Clone + Send + Sync + 'static,
) -> (SocketAddr, String) {
    let routes = axum::Router::new().fallback(move |method: Method, uri: Uri| {
        let (status, body) = answer(&method, &uri.to_string());
        async move { (StatusCode::from_u16(status).unwrap(), body.to_string()) }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
    (at, format!("http://{at}"))
}

impl Called {
    async fn list(&self, documents: &str, lines: &str) -> Value {
        let filter = format!("externalDocumentNumber%20eq%20'{}'", order_id().to_string().replace('-', ""));
        self.ask(Method::GET, &format!("/{documents}?$filter={filter}&$expand={lines}"), "").await.1
    }

    /// What a clerk does: everything that the ERP proposes is shipped and invoiced.
    async fn a_clerk_posts(&self) {
        let post = format!("/salesOrders({})/Microsoft.NAV.shipAndInvoice", self.order().await["id"].as_str().unwrap());
        assert_eq!(self.ask(Method::POST, &post, "").await.0, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_gone_when_it_is_to_be_deleted_is_cancelled_unless_it_was_posted() {
    let called = Called::start().await;
    let order = called.order().await;
    let invoice = |status: &str| json!({"number": "PS-INV1", "status": status, "orderNumber": "S-ORD1"});
    let shipment = json!({"number": "PS-SHPT1", "orderNumber": "S-ORD1"});
    for (invoices, shipments, posted) in [
        (vec![], vec![], None),
        (vec![invoice("Draft")], vec![], None),
        (vec![invoice("Open")], vec![shipment.clone()], Some("invoice PS-INV1")),
        (vec![invoice("Paid")], vec![], Some("invoice PS-INV1")),
        // It is charged on an invoice of several orders.
        (vec![], vec![shipment], Some("shipment PS-SHPT1")),
    ] {
        let (order, gone) = (order.clone(), Arc::new(AtomicBool::new(false)));
        let (at, base_url) = scripted(move |method, uri| {
            if *method == Method::DELETE {
                gone.store(true, Ordering::Relaxed);
                return (404, json!({}));
            }
            let value = match uri {
                uri if uri.contains("/salesInvoices?") => json!(invoices),
                uri if uri.contains("/salesShipments?") => json!(shipments),
                _ if gone.load(Ordering::Relaxed) => json!([]),
                _ => json!([order]),
            };
            (200, json!({"value": value}))
        })
        .await;
        let settings = [("base-url", base_url.as_str()), ("company", COMPANY)];
        let (message, key) = (called.message(CANCEL, shipped("S-1", &[])).await.unwrap(), order_id().to_string());
        let cancelled = called.plugins.deliver_to("erp-rest", at, message, &key, &settings).await;
        let found = called.plugins.find_at("erp-rest", at, CANCEL, &key, &settings).await;
        match posted {
            None => {
                assert!(matches!(cancelled, Err(Failure::UnknownOutcome(_))), "{cancelled:?}");
                let document = key.replace('-', "");
                assert_eq!(found.unwrap().map(|receipt| receipt.external_id), Some(document));
            }
            Some(posted) => {
                let sentence = format!("sales-order-posted: the ERP has {posted} of it and no sales order");
                assert!(permanent(cancelled).contains(&sentence), "{posted}");
                assert!(permanent(found).contains(&sentence), "{posted}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_an_order_is_taken_off_it_once_a_part_is_posted_and_it_says_so_itself() {
    let called = Called::start().await;
    let key = order_id().to_string();
    let close = async || {
        let message = called.message(CLOSE, shipped("S-1", &[])).await.unwrap();
        called.plugins.deliver_to("erp-rest", called.at, message, &key, &called.settings()).await
    };
    let found = async || called.plugins.find_at("erp-rest", called.at, CLOSE, &key, &called.settings()).await;
    let early = permanent(close().await);
    assert!(early.starts_with("nothing-shipped: "), "{early}");

    called.ship("S-1", &[("1", "X", 4)]).await.unwrap();
    assert_eq!(found().await, Ok(None), "six of ten, and a line of which nothing left, are outstanding");
    let receipt = close().await.unwrap();
    let left = called.erp.sales_orders().remove(0);
    let lines: Vec<_> = left.lines.iter().map(|line| (line.quantity.to_string(), line.shipped.to_string())).collect();
    assert_eq!((lines, &left.number), (vec![("4".to_owned(), "4".to_owned())], &receipt.external_id));
    assert_eq!((found().await, close().await), (Ok(Some(receipt.clone())), Ok(receipt)), "twice is as once");
    assert_eq!(called.erp.invoices().len(), 1);
    // What left comes back all the same.
    called.credit("R-1", &[(Some("1"), "X", 4)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_an_order_that_a_clerk_posted_is_a_persons() {
    let called = Called::start().await;
    called.ship("S-1", &[("1", "X", 4)]).await.unwrap();
    called.a_clerk_posts().await;
    let message = called.message(CLOSE, shipped("S-1", &[])).await.unwrap();
    let key = order_id().to_string();
    let closed = called.plugins.deliver_to("erp-rest", called.at, message, &key, &called.settings()).await;
    let found = called.plugins.find_at("erp-rest", called.at, CLOSE, &key, &called.settings()).await;
    for outcome in [permanent(closed), permanent(found)] {
        assert!(outcome.starts_with("sales-order-gone: the ERP has invoice "), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sales_order_that_was_posted_whole_is_found_by_what_was_posted_of_it() {
    let called = Called::start().await;
    let (key, number) = (order_id().to_string(), called.order().await["number"].clone());
    let found = async || called.plugins.find_at("erp-rest", called.at, ORDER, &key, &called.settings()).await;
    let before = found().await.unwrap().unwrap();
    called.a_clerk_posts().await;
    assert_eq!(called.erp.sales_order_count(), 0);
    let after = found().await.unwrap().unwrap();
    assert_eq!((&before.external_id, &after.external_id), (&after.external_id, &before.external_id));
    assert_eq!(json!(after.external_id), number);
    assert_eq!(after.detail.as_deref(), Some("posted since: invoice PS-INV103001"));

    let none = |_: &Method, _: &str| (200, json!({"value": []}));
    let (at, base_url) = scripted(none).await;
    let settings = [("base-url", base_url.as_str()), ("company", COMPANY)];
    assert_eq!(called.plugins.find_at("erp-rest", at, ORDER, &key, &settings).await, Ok(None));
    for (orders, code) in [(vec![""], "posted-otherwise"), (vec!["S-ORD1", "S-ORD2"], "sales-order-twice")] {
        let invoices: Vec<Value> =
            orders.iter().map(|order| json!({"number": "PS-INV1", "status": "Open", "orderNumber": order})).collect();
        let (at, base_url) = scripted(move |_, uri| {
            let value = if uri.contains("/salesInvoices?") { json!(invoices) } else { json!([]) };
            (200, json!({"value": value}))
        })
        .await;
        let settings = [("base-url", base_url.as_str()), ("company", COMPANY)];
        let unclear = permanent(called.plugins.find_at("erp-rest", at, ORDER, &key, &settings).await);
        assert!(unclear.starts_with(code), "{unclear}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posting_that_comes_while_it_is_tried_again_is_not_followed_by_one_of_the_rest() {
    let called = Called::start().await;
    called.ship("S-0", &[("2", "Y", 3)]).await.unwrap();
    // Half of what is left is to be posted: what the ERP proposes afterwards is as much again.
    let order = called.order().await;
    let lines = order["salesOrderLines"].as_array().unwrap();
    let (comment, line) = (lines.last().unwrap()["id"].as_str().unwrap(), lines[1]["id"].as_str().unwrap());
    called.ask(Method::PATCH, &format!("/salesOrderLines({comment})"), r#"{"description":"Shipment no. S-1"}"#).await;
    called.ask(Method::PATCH, &format!("/salesOrderLines({line})"), r#"{"shipQuantity":5}"#).await;
    let lists = async || {
        [called.list("salesOrders", "salesOrderLines").await, called.list("salesInvoices", "salesInvoiceLines").await]
    };
    let before = lists().await;
    called.a_clerk_posts().await;
    let (after, receipt) = (lists().await, called.erp.invoices().remove(1).number);

    // The slow posting comes when so many requests of the next attempt were answered.
    for answered in 0..4 {
        let (before, after) = (before.clone(), after.clone());
        let (requests, posted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&posted);
        let (at, base_url) = scripted(move |method, uri| {
            if *method != Method::GET {
                counted.fetch_add(1, Ordering::Relaxed);
                return (204, json!({}));
            }
            let lists = if requests.fetch_add(1, Ordering::Relaxed) < answered { &before } else { &after };
            (200, lists[usize::from(uri.contains("/salesInvoices?"))].clone())
        })
        .await;
        let settings = [("base-url", base_url.as_str()), ("company", COMPANY)];
        let message = called.message(SHIP, shipped("S-1", &[("1", "X", 5)])).await.unwrap();
        let shipped = called.plugins.deliver_to("erp-rest", at, message, &key("S-1"), &settings).await.unwrap();
        assert_eq!((&shipped.external_id, posted.load(Ordering::Relaxed)), (&receipt, 0), "after {answered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_charges_something_else_than_what_left_is_a_persons() {
    let called = Called::start().await;
    let lines = format!("/salesOrders({})/salesOrderLines", called.order().await["id"].as_str().unwrap());
    called.ask(Method::POST, &lines, r#"{"lineType":"Comment","description":"Shipment no. S-1"}"#).await;
    called.a_clerk_posts().await;
    for (left, line) in [
        (&[("1", "X", 4), ("2", "Y", 3)][..], "10 of line 1, of which 4"),
        (&[("1", "X", 10)][..], "3 of line 2, of which 0"),
    ] {
        let differs = permanent(called.ship("S-1", left).await);
        assert!(differs.starts_with("invoice-differs: ") && differs.contains(line), "{differs}");
    }
    called.ship("S-1", &[("1", "X", 6), ("1", "X", 4), ("2", "Y", 3)]).await.unwrap();
    assert_eq!(called.erp.invoices().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_with_a_line_that_was_copied_or_added_is_never_posted() {
    let called = Called::start().await;
    called.ship("S-1", &[("1", "X", 10), ("2", "Y", 3)]).await.unwrap();
    let document = order_id().to_string().replace('-', "");
    let invoice = called.erp.invoices().remove(0).number;
    let x = r#"{"lineType":"Item","sequence":10,"lineObjectNumber":"X","quantity":2,"unitPrice":3,"unitOfMeasureCode":"EA"}"#;
    let draft = |number: &str, from: &str, to: &str| {
        format!(
            r#"{{"externalDocumentNumber":"{document}","customerNumber":"C-1","currencyCode":"USD","invoiceNumber":"{invoice}",
                "discountAmount":0.6,"salesCreditMemoLines":[{{"lineType":"Comment","sequence":1,
                "description":"Return no. {number}"}},{x}]}}"#
        )
        .replacen(from, to, 1)
    };
    let copied = format!("{x},{}", x.replace("\"sequence\":10", "\"sequence\":10010"));
    let account = format!(r#"{x},{{"lineType":"Account","lineObjectNumber":"6130","quantity":1,"unitPrice":50}}"#);
    let applied = format!("\"{invoice}\"");
    let cases = [
        ("R-1", x, copied.as_str(), "other lines"),
        ("R-2", x, account.as_str(), "a line that is no item"),
        ("R-3", "\"sequence\":10,", "\"sequence\":20,", "other lines"),
        ("R-4", "\"EA\"", "\"BX\"", "other lines"),
        ("R-5", "\"C-1\"", "\"C-2\"", "another customer"),
        ("R-6", "\"USD\"", "\"EUR\"", "another currency"),
        ("R-7", applied.as_str(), "\"\"", "another invoice"),
        ("R-8", "0.6", "0.5", "another discount"),
    ];
    for (number, from, to, what) in cases {
        assert_eq!(called.ask(Method::POST, "/salesCreditMemos", &draft(number, from, to)).await.0, 201, "{number}");
        let differs = permanent(called.credit(number, &[(Some("1"), "X", 2)]).await);
        assert!(differs.starts_with("draft-differs: ") && differs.contains(what), "{number}: {differs}");
    }
    assert_eq!(called.erp.credit_memos(), []);
    called.ask(Method::POST, "/salesCreditMemos", &draft("R-9", "", "")).await;
    called.credit("R-9", &[(Some("1"), "X", 2)]).await.unwrap();
    assert_eq!(called.erp.credit_memos().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_is_a_sentence_and_no_trap() {
    const MIB: usize = 1024 * 1024;
    let called = Called::start().await;
    let message = called.message(SHIP, shipped("S-1", &[("1", "X", 4)])).await.unwrap();
    for (bytes, says) in [
        (2 * MIB, "is not the JSON that was expected"),
        (2 * MIB + 1, "found an answer of more than 2097152 bytes"),
        (8 * MIB, "found an answer of more than 2097152 bytes"),
        // The host itself takes 8 MiB at most.
        (12 * MIB, "HttpResponseBodySize"),
    ] {
        // Two bytes are the quotes.
        let (at, base_url) = scripted(move |_, _| (200, json!("x".repeat(bytes - 2)))).await;
        let settings = [("base-url", base_url.as_str()), ("company", COMPANY)];
        let found = called.plugins.find_at("erp-rest", at, SHIP, &key("S-1"), &settings).await;
        assert!(permanent(found.clone()).contains(says), "{bytes}: {found:?}");
        let posted = called.plugins.deliver_to("erp-rest", at, message.clone(), &key("S-1"), &settings).await;
        assert!(permanent(posted.clone()).contains(says), "{bytes}: {posted:?}");
        // What may have happened is looked up, however much was said about it.
        let order = Message { kind: ORDER.to_owned(), ..message.clone() };
        let made = called.plugins.deliver_to("erp-rest", at, order, &key("S-1"), &settings).await;
        assert!(matches!(made, Err(Failure::UnknownOutcome(_))), "{bytes}: {made:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_is_there_is_no_posting_and_the_posting_goes_on_from_it() {
    let called = Called::start().await;
    let lines = format!("/salesOrders({})/salesOrderLines", called.order().await["id"].as_str().unwrap());
    called.ask(Method::POST, &lines, r#"{"lineType":"Comment","description":"Shipment no. S-1"}"#).await;
    assert_eq!(called.found(SHIP, "S-1").await, None, "the comment alone is nothing");
    let receipt = called.ship("S-1", &[("1", "X", 4)]).await.unwrap();
    assert_eq!(called.found(SHIP, "S-1").await, Some(receipt.external_id.clone()));
    let comments = called.order().await["salesOrderLines"].to_string().matches("Shipment no. S-1").count();
    assert_eq!(comments, 1, "it was there");
    // Posted, and the answer lost: whoever sends again gets the same invoice.
    assert_eq!(called.ship("S-1", &[("1", "X", 4)]).await.unwrap(), receipt);
    assert_eq!(told(&called.erp.invoices()), [invoice("S-1", &["4 of line 1"], "10.80")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_never_names_the_shipment_whose_posting_never_came() {
    let called = Called::start().await;
    // The comment of S-1 is set, and nothing else ever happens to it.
    let lines = format!("/salesOrders({})/salesOrderLines", called.order().await["id"].as_str().unwrap());
    called.ask(Method::POST, &lines, r#"{"lineType":"Comment","description":"Shipment no. S-1"}"#).await;
    called.ship("S-2", &[("1", "X", 4)]).await.unwrap();
    assert_eq!(called.found(SHIP, "S-1").await, None);
    called.ship("S-1", &[("1", "X", 6), ("2", "Y", 3)]).await.unwrap();
    let shipments: Vec<_> = called.erp.invoices().into_iter().filter_map(|invoice| invoice.shipment).collect();
    assert_eq!(shipments, ["S-2", "S-1"]);
    let gone = permanent(called.ship("S-3", &[("1", "X", 1)]).await);
    assert!(gone.contains("sales-order-gone"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clerk_changed_is_looked_at_again_and_then_decides() {
    let called = Called::start().await;
    let line = called.order().await["salesOrderLines"][1]["id"].as_str().unwrap().to_owned();
    called.ask(Method::PATCH, &format!("/salesOrderLines({line})"), r#"{"quantity":3}"#).await;
    assert_eq!(problems(called.ship("S-1", &[("1", "X", 4)]).await), ["more-than-outstanding"]);
    assert_eq!(problems(called.ship("S-1", &[("1", "Y", 1)]).await), ["item-differs"]);
    assert_eq!(problems(called.ship("S-1", &[("9", "X", 1)]).await), ["no-such-line"]);
    assert_eq!(called.erp.invoices(), []);

    // While it is at it: the ERP says so, and nothing is posted.
    let order = called.order().await;
    for status in [409, 412, 404] {
        let order = order.clone();
        let target = ScriptedTarget::start(move |method: Method, _| {
            let list = json!({"value": [order.clone()]}).to_string().replace("salesOrders(", "");
            async move {
                match method {
                    Method::GET => (200, list),
                    Method::PATCH | Method::POST => (status, "{}".to_owned()),
                    _ => (500, String::new()),
                }
            }
        })
        .await;
        let message = called.message(SHIP, shipped("S-1", &[("1", "X", 2)])).await.unwrap();
        let settings = [("base-url", target.origin()), ("company", COMPANY)];
        let outcome =
            called.plugins.deliver_to("erp-rest", address(target.origin()), message, &key("S-1"), &settings).await;
        assert!(matches!(outcome, Err(Failure::Retry(_))), "{status}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_without_the_orders_numbers_are_never_guessed_at() {
    let called = Called::start().await;
    let comment = called.order().await["salesOrderLines"][0].clone();
    assert_eq!(comment["sequence"], 1);
    let unnumbered = Erp::start(Mischief::default()).await.unwrap();
    let body = format!(
        r#"{{"externalDocumentNumber":"{}","customerNumber":"C-1","salesOrderLines":[{{"lineType":"Item",
            "lineObjectNumber":"X","quantity":1,"unitPrice":1,"unitOfMeasureCode":"EA"}}]}}"#,
        order_id().to_string().replace('-', "")
    );
    let path = format!("/api/v2.0/companies({COMPANY})/salesOrders");
    let at = address(&unnumbered.origin());
    client::send(at, Method::POST, &path, &[], Bytes::from(body)).await.unwrap();
    let message = called.message(SHIP, shipped("S-1", &[("1000", "X", 1)])).await.unwrap();
    let base_url = unnumbered.base_url();
    let settings = [("base-url", base_url.as_str()), ("company", COMPANY)];
    let outcome = called.plugins.deliver_to("erp-rest", at, message, &key("S-1"), &settings).await;
    assert_eq!(problems(outcome), ["lines-not-numbered"]);
    for odd in ["A-1", "0", "-1", "1.5", "999999999"] {
        assert_eq!(problems(called.message(SHIP, shipped("S-1", &[(odd, "X", 1)])).await), ["line-number"], "{odd}");
    }
    assert_eq!(problems(called.message(SHIP, shipped("", &[])).await), ["length", "lines-missing"]);
    assert_eq!(problems(called.message(SHIP, shipped("S-1", &[("1", "X", -1)])).await), ["negative-quantity"]);
    assert_eq!(problems(called.message(CREDIT, returned("R", &[(None, "X", 0)])).await), ["quantity-not-positive"]);
    for (kind, event) in [(SHIP, returned("R", &[(None, "X", 1)])), (CREDIT, shipped("S", &[("1", "X", 1)]))] {
        assert!(permanent(called.message(kind, event).await).contains("found another event"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_memo_gives_back_what_the_invoices_charged_and_no_more() {
    let called = Called::start().await;
    let early = permanent(called.credit("R-0", &[(Some("1"), "X", 1)]).await);
    assert!(early.contains("not-invoiced"), "{early}");
    called.ship("S-1", &[("1", "X", 10)]).await.unwrap();
    called.ship("S-2", &[("2", "Y", 3)]).await.unwrap();
    let invoices = called.erp.invoices();

    // Thirds of 3.00 off ten, to the cent when all is back.
    for (number, back, total) in [("R-1", 3, "8.10"), ("R-2", 3, "8.10"), ("R-3", 4, "10.80")] {
        let receipt = called.credit(number, &[(Some("1"), "X", back)]).await.unwrap();
        let memo = called.erp.credit_memos().pop().unwrap();
        assert_eq!((&memo.number, memo.returned.as_deref()), (&receipt.external_id, Some(number)));
        assert_eq!((memo.total.to_string().as_str(), memo.corrects.as_ref()), (total, Some(&invoices[0].number)));
        assert_eq!(called.credit(number, &[(Some("1"), "X", back)]).await.unwrap(), receipt, "it is there");
        assert_eq!(called.found(CREDIT, number).await, Some(receipt.external_id));
    }
    assert_eq!(problems(called.credit("R-4", &[(Some("1"), "X", 1)]).await), ["more-than-invoiced"]);
    assert_eq!(problems(called.credit("R-4", &[(Some("2"), "X", 1)]).await), ["item-differs"]);
    assert_eq!(problems(called.credit("R-4", &[(None, "Z", 1)]).await), ["not-invoiced"]);
    called.credit("R-4", &[(None, "Y", 3)]).await.unwrap();
    let memos = called.erp.credit_memos();
    assert_eq!((memos.len(), memos[3].lines[0].line_number.as_str()), (4, "2"), "there is one line of it");
    let sum = |totals: Vec<Decimal>| totals.iter().map(|total| total.units).sum::<i64>();
    assert_eq!(
        sum(memos.iter().map(|memo| memo.total).collect()),
        sum(invoices.iter().map(|invoice| invoice.total).collect()),
    );
    assert_eq!((called.erp.stock("X").to_string(), called.erp.stock("Y").to_string()), ("0".into(), "0".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_an_attempt_left_is_posted_and_one_that_a_clerk_changed_is_not() {
    let called = Called::start().await;
    called.ship("S-1", &[("1", "X", 10), ("2", "Y", 3)]).await.unwrap();
    let document = order_id().to_string().replace('-', "");
    let invoice = called.erp.invoices().remove(0).number;
    let draft = |number: &str, quantity: u32| {
        format!(
            r#"{{"externalDocumentNumber":"{document}","customerNumber":"C-1","currencyCode":"USD",
                "invoiceNumber":"{invoice}","discountAmount":0.6,"salesCreditMemoLines":[
                {{"lineType":"Comment","sequence":1,"description":"Return no. {number}"}},{{"lineType":"Item","sequence":10,
                "lineObjectNumber":"X","quantity":{quantity},"unitPrice":3,"unitOfMeasureCode":"EA"}}]}}"#
        )
    };
    for (number, quantity) in [("R-1", 2), ("R-2", 3)] {
        assert_eq!(called.ask(Method::POST, "/salesCreditMemos", &draft(number, quantity)).await.0, 201);
        assert_eq!(called.found(CREDIT, number).await, None, "a draft is nothing yet");
    }
    called.credit("R-1", &[(Some("1"), "X", 2)]).await.unwrap();
    let differs = permanent(called.credit("R-2", &[(Some("1"), "X", 2)]).await);
    assert!(differs.contains("draft-differs"), "{differs}");
    assert_eq!(called.erp.credit_memos().len(), 1);
    called.ask(Method::POST, "/salesCreditMemos", &draft("R-2", 2)).await;
    let twice = permanent(called.credit("R-2", &[(Some("1"), "X", 2)]).await);
    assert!(twice.contains("credit-memo-twice"), "{twice}");
}
