//! Changes of orders that people accept, on their way into the systems that have the order: once each,
//! whatever is lost on the way, and nothing that does not fit.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::Method;
use portreeve::client;
use portreeve::standins::erp::{COMPANY, SalesOrder, SalesOrderLine};
use portreeve::standins::wms::{NODE, ShippedLine};
use portreeve::standins::{Erp, Mischief, Wms};
use portreeve_model::document::{Message, Receipt};
use portreeve_model::event::{OrderChange, OrderTotals};
use portreeve_model::value::{Customer, Decimal, Quantity, UnitPrice};
use portreeve_model::{Currency, Event, ExceptionAction, ExceptionKind, Failure, Order, OrderLine, ProcessState};
use portreeve_pipeline::Clock;
use portreeve_pipeline::replay::{LeftOut, ReplayWanted};
use serde_json::{Value, json};

use crate::agreed::{answer, ask_for, with_changes};
use crate::at_the_plugin::{Plugins, order_id};
use crate::posting::{FIRST, SECOND, accepted, full_warehouse, posting, ship, warehoused, works};
use crate::support::{PurchaseOrder, ScriptedTarget, Setup, TestHost, exceptions, x12};

const CHANGE: &str = "business-central/change";

/// A host that has the ERP carry out what people accept before all of an order has left.
fn changing(mischief: Mischief) -> Setup {
    let effect = format!(
        "\n[[effect]]\non = \"order.changed\"\nfrom = [\"released\", \"accepted\", \"part-shipped\"]\n\
         target = \"erp\"\nkind = \"{CHANGE}\"\n"
    );
    with_changes(posting(mischief)).append("portreeve.toml", &effect)
}

/// Of an order of posting's two lines: fewer of the first, another item in the place of the second, and a
/// third one.
fn otherwise(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[
        ("FST-1007", 7, "BX", "18.40"),
        ("FST-1021", 2, "BX", "34.80"),
        ("FST-1028", 5, "BX", "6.40"),
    ])
}

/// The lines of a sales order, each as number, item, quantity and price.
fn lines(order: &SalesOrder) -> Vec<String> {
    let line = |line: &SalesOrderLine| {
        format!("{} {} {} at {}", line.line_number, line.item_number, line.quantity, line.unit_price)
    };
    let mut lines: Vec<String> = order.lines.iter().map(line).collect();
    lines.sort_unstable();
    lines
}

/// Where the deliveries of changes of an order stand.
async fn changes(host: &TestHost, number: &str) -> Vec<String> {
    let deliveries = host.order(number).await.deliveries.into_iter();
    deliveries.filter(|delivery| delivery.kind == CHANGE).map(|delivery| delivery.state).collect()
}

#[tokio::test]
async fn a_change_that_people_accept_is_made_in_the_erp_and_the_order_is_invoiced_by_it() {
    let host = changing(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    ask_for(&host, 1, otherwise("PO-1")).await;
    let detail = host.exceptions().await.remove(0).detail;
    let sentence = "then accept the change, or refuse it; accepting it sends its lines, quantities and prices as \
                    `business-central/change` to target `erp` while the order is released, accepted or part-shipped: \
                    make it yourself in all other systems that have the order";
    assert!(detail.contains(sentence), "{detail}");
    host.come_to_rest().await;
    assert_eq!(lines(&host.erp.sales_orders()[0]), ["1 FST-1007 10 at 18.4", "2 FST-1014 4 at 12.95"]);

    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    let wanted = ["1 FST-1007 7 at 18.4", "2 FST-1021 2 at 34.8", "3 FST-1028 5 at 6.4"];
    assert_eq!(lines(&host.erp.sales_orders()[0]), wanted);
    assert_eq!((changes(&host, "PO-1").await, host.codes().await), (vec!["delivered".to_owned()], vec![]));
    assert_eq!(host.erp.sales_orders_made(), 1, "the order itself goes nowhere again");

    let left = [("1", "FST-1007", "7"), ("2", "FST-1021", "2"), ("3", "FST-1028", "5")];
    ship(&host, order, "S-1", &left).await;
    host.come_to_rest().await;
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Shipped), vec![]));
    // 7 x 18.40, 2 x 34.80 and 5 x 6.40.
    let totals: Vec<String> = host.erp.invoices().iter().map(|invoice| invoice.total.to_string()).collect();
    assert_eq!((totals, host.erp.sales_order_count()), (vec!["230.40".to_owned()], 0));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_change_that_people_refuse_changes_nothing() {
    let host = changing(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    ask_for(&host, 1, otherwise("PO-1")).await;
    answer(&host, order, ExceptionAction::RefuseChange).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(lines(&host.erp.sales_orders()[0]), ["1 FST-1007 10 at 18.4", "2 FST-1014 4 at 12.95"]);
    assert_eq!((changes(&host, "PO-1").await, host.codes().await), (Vec::<String>::new(), vec![]));
}

#[tokio::test]
async fn however_often_an_answer_is_lost_the_erp_has_the_order_as_it_is_to_be() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let hard = Mischief {
        throttle_per_mille: 200,
        fail_before_per_mille: 200,
        drop_after_per_mille: 400,
        ..Mischief::default()
    };
    for mischief in [lost, hard] {
        let host = changing(mischief).start().await;
        for number in 1..=6 {
            let name = format!("PO-{number}");
            let order = accepted(&host, &name).await;
            ask_for(&host, number, otherwise(&name)).await;
            answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
            host.come_to_rest().await;
        }
        let wanted = ["1 FST-1007 7 at 18.4", "2 FST-1021 2 at 34.8", "3 FST-1028 5 at 6.4"];
        let orders = host.erp.sales_orders();
        assert_eq!((orders.len(), host.erp.sales_orders_made()), (6, 6));
        for order in &orders {
            assert_eq!(lines(order), wanted);
        }
        assert_eq!(host.codes().await, Vec::<String>::new());
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn what_has_left_stays_and_the_rest_is_as_people_agreed() {
    let host = changing(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    ship(&host, order, "S-1", &[("1", "FST-1007", "6"), ("2", "FST-1014", "0")]).await;
    host.come_to_rest().await;
    // No more than has left of the first, and none of the second: nothing is outstanding any more.
    let fewer = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 6, "BX", "18.40")]);
    ask_for(&host, 1, fewer).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(lines(&host.erp.sales_orders()[0]), ["1 FST-1007 6 at 18.4"]);
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Shipped), vec![]));
}

#[tokio::test]
async fn where_an_order_is_too_far_for_it_people_hear_that_nothing_was_sent() {
    let host = changing(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    ship(&host, order, "S-1", &[FIRST, SECOND]).await;
    host.come_to_rest().await;
    let more =
        PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 12, "BX", "18.40"), ("FST-1014", 4, "BX", "12.95")]);
    ask_for(&host, 1, more).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    assert_eq!((changes(&host, "PO-1").await, host.codes().await), (vec![], vec!["change-not-sent".to_owned()]));
    let detail = host.exceptions().await.remove(0).detail;
    let sentence = "found an accepted change of an order that is shipped, expected a state in which it is sent as \
                    `business-central/change` to target `erp`: nothing is sent there, so make the change yourself";
    assert!(detail.starts_with(sentence), "{detail}");
    host.verify().await.unwrap();
}

/// Somebody posts eight of the first line at the ERP, of which nobody here hears.
pub(crate) async fn post_at_the_erp(host: &TestHost, document: &str) {
    let at = Clerk::at(&host.erp);
    let sales_order = at.order(document).await;
    for (place, quantity) in [(1, 8), (2, 0)] {
        let line = sales_order["salesOrderLines"][place]["id"].as_str().unwrap();
        let path = format!("/salesOrderLines({line})");
        assert_eq!(at.ask(Method::PATCH, &path, &format!(r#"{{"shipQuantity":{quantity}}}"#)).await.0, 200);
    }
    let post = format!("/salesOrders({})/Microsoft.NAV.shipAndInvoice", sales_order["id"].as_str().unwrap());
    assert_eq!(at.ask(Method::POST, &post, "").await.0, 204);
}

#[tokio::test]
async fn what_the_erp_cannot_carry_out_is_a_persons_and_nothing_of_it_is_changed() {
    let host = changing(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    post_at_the_erp(&host, &order.to_string().replace('-', "")).await;

    ask_for(&host, 1, otherwise("PO-1")).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(lines(&host.erp.sales_orders()[0]), ["1 FST-1007 10 at 18.4", "2 FST-1014 4 at 12.95"]);
    let letters = host.exceptions().await;
    assert_eq!(letters.len(), 1);
    let detail = &letters[0].detail;
    assert!(detail.contains("found a change to 7; expected at least 8, which the ERP has shipped"), "{detail}");
}

/// Nine boxes of the first line, and the second as it was.
fn nine(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", 9, "BX", "18.40"), ("FST-1014", 4, "BX", "12.95")])
}

#[tokio::test]
async fn of_accepted_changes_of_an_order_only_the_last_one_is_sent_again() {
    let host = changing(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    let since = host.clock.now();
    for (sequence, wanted) in [(1, otherwise("PO-1")), (2, nine("PO-1"))] {
        ask_for(&host, sequence, wanted).await;
        answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
        host.come_to_rest().await;
        host.clock.advance_to(host.clock.now().plus_ms(1));
    }
    assert_eq!(changes(&host, "PO-1").await, ["delivered", "delivered"]);
    let until = host.clock.now();
    let all =
        ReplayWanted { target: "erp", channel: None, kind: Some(CHANGE), since, until, shipped: false, most: 100 };
    let plan = host.host.pipeline.show_replay(all).await.unwrap();
    let left_out: Vec<LeftOut> = plan.left_out.iter().map(|(_, why)| *why).collect();
    assert_eq!((plan.deliveries.len(), left_out), (1, vec![LeftOut::Overtaken]));
    // A time that has the first alone sends nothing.
    let first = ReplayWanted { until: plan.deliveries[0].taken_at, ..all };
    let plan = host.host.pipeline.show_replay(first).await.unwrap();
    assert_eq!((plan.deliveries.len(), plan.left_out_count), (0, 1));
}

#[tokio::test]
async fn a_change_that_was_given_up_is_not_tried_again_after_a_later_one_arrived() {
    let receipt = "receipt = \"order.accepted\"";
    let skips = format!("{receipt}\nafter_dead = \"skip\"");
    let host = changing(Mischief::default()).replace("portreeve.toml", receipt, &skips).start().await;
    let order = accepted(&host, "PO-1").await;
    post_at_the_erp(&host, &order.to_string().replace('-', "")).await;
    for (sequence, wanted) in [(1, otherwise("PO-1")), (2, nine("PO-1"))] {
        ask_for(&host, sequence, wanted).await;
        answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
        host.come_to_rest().await;
    }
    assert_eq!(changes(&host, "PO-1").await, ["dead", "delivered"], "less than was shipped, and more");
    let letter = exceptions::about(&host, order, ExceptionKind::Delivery).await.unwrap();
    let refused = exceptions::decide(&host, &host.ops().await, letter, ExceptionAction::Retry).await;
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("people accepted a later change of the order"), "{told}");
    exceptions::decide(&host, &host.ops().await, letter, ExceptionAction::Abandon).await.unwrap();
    assert_eq!(changes(&host, "PO-1").await, ["abandoned", "delivered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_order_that_is_held_reaches_the_erp_after_the_order_does() {
    let host = changing(Mischief::default()).start().await;
    let dear = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "99.00")]);
    host.send_edi(&x12(1, &dear)).await.unwrap();
    host.decide_all().await;
    let order = host.order("PO-1").await.id;
    ask_for(&host, 1, PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 7, "BX", "18.40")])).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    assert_eq!((changes(&host, "PO-1").await, host.erp.sales_order_count()), (vec![], 0));
    let holds = host.store.order_trail(order).await.unwrap().unwrap().holds;
    let holds: Vec<u64> = holds.iter().map(|hold| hold.number).collect();
    exceptions::release(&host, &host.ops().await, order, &holds).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted));
    assert_eq!(lines(&host.erp.sales_orders()[0]), ["1 FST-1007 7 at 18.4"]);
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_effect_of_a_change_sends_what_was_agreed_and_in_a_state_that_an_order_may_be_in() {
    let refused = async |from: &str, to: &str| {
        let setup = changing(Mischief::default()).replace("portreeve.toml", from, to);
        format!("{:#}", setup.try_start().await.err().unwrap())
    };
    let kind = format!("kind = \"{CHANGE}\"");
    let told = refused(&kind, &format!("{kind}\nsends = \"order\"")).await;
    assert!(told.contains("an effect of `order.changed` sends target `erp` the order as it came"), "{told}");
    let told =
        refused("from = [\"released\", \"accepted\", \"part-shipped\"]", "from = [\"held\", \"accepted\"]").await;
    assert!(
        told.contains(
            "`from` of the effect of `order.changed` on target `erp` has held, which no order is in around it"
        ),
        "{told}"
    );
}

// --- with the warehouse ---

/// A host that has this warehouse and the ERP carry out what people accept until the warehouse picks.
fn changing_both(wms: &Wms, mischief: Mischief) -> Setup {
    let effect = |from: &str, target: &str, kind: &str| {
        format!("\n[[effect]]\non = \"order.changed\"\nfrom = [{from}]\ntarget = \"{target}\"\nkind = \"{kind}\"\n")
    };
    with_changes(warehoused(wms, mischief))
        .append("portreeve.toml", &effect("\"accepted\", \"allocated\"", "warehouse", "wms-rest/change"))
        .append("portreeve.toml", &effect("\"released\", \"accepted\", \"allocated\"", "erp", CHANGE))
}

/// A warehouse with enough of everything that is asked for.
async fn stocked(mischief: Mischief) -> Wms {
    let wms = full_warehouse(mischief).await;
    for sku in ["FST-1021", "FST-1028"] {
        wms.put(NODE, sku, Decimal::parse("100").unwrap());
    }
    wms
}

/// What left, as line, item and quantity.
fn left(wms: &Wms) -> Vec<Vec<String>> {
    let line = |line: &ShippedLine| {
        assert_eq!((line.ordered, line.reason), (line.shipped, None), "nothing is short");
        format!("{} {} {}", line.line_number, line.sku, line.shipped)
    };
    wms.shipments().iter().map(|shipment| shipment.lines.iter().map(line).collect()).collect()
}

#[tokio::test]
async fn what_people_accept_until_the_warehouse_picks_leaves_and_is_invoiced_so() {
    // The warehouse has the order, and has it set aside.
    for steps in [0, 1] {
        let lost = || Mischief { drop_after_per_mille: 500, ..Mischief::default() };
        let wms = stocked(lost()).await;
        let host = changing_both(&wms, lost()).start().await;
        let mut orders = vec![];
        for number in 1..=4 {
            orders.push(accepted(&host, &format!("PO-{number}")).await);
        }
        for _ in 0..steps {
            works(&host, &wms).await;
            host.come_to_rest().await;
        }
        for (number, order) in (1..).zip(&orders) {
            ask_for(&host, number, otherwise(&format!("PO-{number}"))).await;
            answer(&host, *order, ExceptionAction::AcceptChange).await.unwrap();
        }
        host.come_to_rest().await;
        while works(&host, &wms).await {
            host.come_to_rest().await;
        }
        host.come_to_rest().await;
        let goods = ["1 FST-1007 7", "2 FST-1021 2", "3 FST-1028 5"].map(str::to_owned);
        assert_eq!((left(&wms), wms.release_count()), (vec![goods.to_vec(); 4], 4), "{steps} steps");
        let stock = ["FST-1007", "FST-1014", "FST-1021", "FST-1028"].map(|sku| wms.stock(NODE, sku).to_string());
        assert_eq!(stock, ["72", "100", "92", "80"]);
        let totals: Vec<String> = host.erp.invoices().iter().map(|invoice| invoice.total.to_string()).collect();
        assert_eq!((totals, host.erp.sales_order_count()), (vec!["230.40".to_owned(); 4], 0));
        for order in orders {
            assert_eq!(host.process_state(order).await, Some(ProcessState::Shipped));
        }
        assert_eq!(host.codes().await, Vec::<String>::new());
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn where_the_warehouse_is_still_to_get_the_order_people_hear_that_it_is_changed_there_later() {
    let wms = stocked(Mischief::default()).await;
    let host = changing_both(&wms, Mischief::default()).start().await;
    // The ERP has not taken it yet, and so the warehouse has not got it.
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    host.decide_all().await;
    let order = host.order("PO-1").await.id;
    ask_for(&host, 1, nine("PO-1")).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.codes().await, ["change-not-sent"]);
    let detail = host.exceptions().await.remove(0).detail;
    let sentence = "found an accepted change of an order that is released, expected a state in which it is sent as \
                    `wms-rest/change` to target `warehouse`: nothing is sent there, so make the change yourself, and at \
                    target `warehouse` when the order is there: it goes there later, and as it came";
    assert!(detail.starts_with(sentence), "{detail}");
}

#[tokio::test]
async fn goods_that_are_picked_already_are_a_persons_and_neither_system_is_changed() {
    let wms = stocked(Mischief::default()).await;
    let host = changing_both(&wms, Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    for _ in 0..2 {
        works(&host, &wms).await;
        host.come_to_rest().await;
    }
    assert_eq!(host.process_state(order).await, Some(ProcessState::Picked));
    ask_for(&host, 1, otherwise("PO-1")).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    let detail = host.exceptions().await.remove(0).detail;
    let sentence = "found an accepted change of an order that is picked, expected a state in which it is sent as \
                    `business-central/change` to target `erp` and `wms-rest/change` to target `warehouse`: nothing is \
                    sent there, so make the change yourself";
    assert!(detail.starts_with(sentence), "{detail}");
    assert_eq!(host.codes().await, ["change-not-sent"]);
    assert_eq!(lines(&host.erp.sales_orders()[0]), ["1 FST-1007 10 at 18.4", "2 FST-1014 4 at 12.95"]);
    assert_eq!(wms.releases()[0].lines.len(), 2);
}

#[tokio::test]
async fn a_warehouse_that_has_picked_meanwhile_refuses_and_its_people_are_asked() {
    let wms = stocked(Mischief::default()).await;
    let host = changing_both(&wms, Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    // Nobody here has heard yet that it is picked.
    for _ in 0..2 {
        assert!(!wms.work().unwrap().is_empty());
    }
    ask_for(&host, 1, otherwise("PO-1")).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    let letters = host.exceptions().await;
    let details: Vec<&str> = letters.iter().map(|letter| letter.detail.as_str()).collect();
    assert!(details.len() == 1 && details[0].contains("already-picked: goods of the order are out"), "{details:?}");
    assert_eq!(wms.releases()[0].lines.len(), 2);
}

// --- one call ---

/// Somebody at an ERP.
struct Clerk {
    at: SocketAddr,
}

fn address(origin: &str) -> SocketAddr {
    origin.trim_start_matches("http://").parse().unwrap()
}

impl Clerk {
    fn at(erp: &Erp) -> Self {
        Self { at: address(&erp.origin()) }
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let path = format!("/api/v2.0/companies({COMPANY}){path}");
        let headers = [("if-match", "*")];
        let answer = client::send(self.at, method, &path, &headers, Bytes::from(body.to_owned())).await.unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn order(&self, document: &str) -> Value {
        let filter = format!("externalDocumentNumber%20eq%20'{document}'");
        let found = self.ask(Method::GET, &format!("/salesOrders?$filter={filter}&$expand=salesOrderLines"), "").await;
        found.1["value"][0].clone()
    }
}

/// The plugins before an ERP that has a sales order of the order [`order_id`]: ten of X at 3.00 and three
/// of Y at 1.10.
struct Called {
    plugins: Plugins,
    erp: Erp,
    clerk: Clerk,
    base_url: String,
}

fn document() -> String {
    order_id().to_string().replace('-', "")
}

/// An order of these lines: number, item, quantity, cents.
fn to(lines: &[(&str, &str, i64, i64)]) -> Event {
    let currency = || Currency::parse("USD").unwrap();
    let line = |(number, sku, value, cents): &(&str, &str, i64, i64)| OrderLine {
        number: (*number).to_owned(),
        sku: (*sku).to_owned(),
        buyer_sku: None,
        description: None,
        quantity: Quantity { value: *value, scale: 0, unit: "EA".to_owned() },
        unit_price: UnitPrice { amount: *cents, scale: 2, currency: currency(), per_quantity: 1 },
        extended: None,
        requested_delivery: None,
        extensions: vec![],
    };
    let order = Order {
        number: order_id().to_string(),
        release: None,
        customer: Customer { id: String::new(), name: None, email: None, phone: None },
        bill_to: None,
        ship_to: None,
        placed_at: None,
        requested_delivery: None,
        cancel_after: None,
        currency: currency(),
        lines: lines.iter().map(line).collect(),
        totals: OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand: None },
        payment: None,
        sender_state: None,
        notes: vec![],
        extensions: vec![],
    };
    Event::OrderChanged(OrderChange { order, revision: None })
}

/// As the sales order is made.
const AS_MADE: [(&str, &str, i64, i64); 2] = [("1", "X", 10, 300), ("2", "Y", 3, 110)];

impl Called {
    async fn start() -> Self {
        Self::with("\"discountAmount\":0,").await
    }

    /// With something in the order's head.
    async fn with(head: &str) -> Self {
        let erp = Erp::start(Mischief::default()).await.unwrap();
        let (clerk, base_url) = (Clerk::at(&erp), erp.base_url());
        let body = format!(
            r#"{{"externalDocumentNumber":"{}","customerNumber":"C-1","currencyCode":"USD",{head}"salesOrderLines":[
                {{"lineType":"Comment","sequence":1,"description":"Order 1"}},
                {{"lineType":"Item","sequence":10,"lineObjectNumber":"X","quantity":10,"unitPrice":3.00,"unitOfMeasureCode":"EA"}},
                {{"lineType":"Item","sequence":20,"lineObjectNumber":"Y","quantity":3,"unitPrice":1.10,"unitOfMeasureCode":"EA"}}]}}"#,
            document()
        );
        assert_eq!(clerk.ask(Method::POST, "/salesOrders", &body).await.0, 201);
        Self { plugins: Plugins::demo().await, erp, clerk, base_url }
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [("base-url", self.base_url.as_str()), ("company", COMPANY)]
    }

    async fn message(&self, event: Event) -> Result<Message, Failure> {
        self.plugins.rendered("business-central", CHANGE, event, &[]).await
    }

    async fn change(&self, lines: &[(&str, &str, i64, i64)]) -> Result<Receipt, Failure> {
        let message = self.message(to(lines)).await.unwrap();
        self.plugins.deliver_to("erp-rest", self.clerk.at, message, &key(), &self.settings()).await
    }

    /// Four of X are shipped and invoiced.
    async fn post_four(&self) {
        let order = self.clerk.order(&document()).await;
        for (place, quantity) in [(1, 4), (2, 0)] {
            let path = format!("/salesOrderLines({})", order["salesOrderLines"][place]["id"].as_str().unwrap());
            assert_eq!(self.clerk.ask(Method::PATCH, &path, &format!(r#"{{"shipQuantity":{quantity}}}"#)).await.0, 200);
        }
        let post = format!("/salesOrders({})/Microsoft.NAV.shipAndInvoice", order["id"].as_str().unwrap());
        assert_eq!(self.clerk.ask(Method::POST, &post, "").await.0, 204);
    }

    fn lines(&self) -> Vec<String> {
        lines(&self.erp.sales_orders()[0])
    }
}

/// The order, and the place of the document that said it.
fn key() -> String {
    format!("{}/17", order_id())
}

fn problems<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> Vec<String> {
    let Err(Failure::Invalid(problems)) = outcome else { panic!("{outcome:?}") };
    problems.into_iter().map(|problem| problem.code).collect()
}

fn permanent<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    let Err(Failure::Permanent(why)) = outcome else { panic!("{outcome:?}") };
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_become_what_was_agreed_and_what_is_so_already_is_applied_without_a_word() {
    let called = Called::start().await;
    let etag = async || called.clerk.order(&document()).await["@odata.etag"].clone();
    let before = etag().await;
    let receipt = called.change(&AS_MADE).await.unwrap();
    assert_eq!((&receipt.external_id, etag().await), (&called.erp.sales_orders()[0].number, before));

    // More of X at another price, none of Y, and a line of Z.
    let wanted = [("1", "X", 12, 250), ("3", "Z", 1, 500)];
    assert_eq!(called.change(&wanted).await, Ok(receipt.clone()));
    assert_eq!(called.lines(), ["1 X 12 at 2.5", "3 Z 1 at 5.00"]);
    let changed = etag().await;
    assert_eq!((called.change(&wanted).await, etag().await), (Ok(receipt.clone()), changed), "twice is as once");

    // A line of nothing is none; and Y takes the place of Z.
    called.change(&[("1", "X", 0, 250), ("3", "Y", 2, 110)]).await.unwrap();
    assert_eq!(called.lines(), ["3 Y 2 at 1.10"]);
    let found = called.plugins.find_at("erp-rest", called.clerk.at, CHANGE, &key(), &called.settings()).await;
    assert_eq!(found, Ok(None), "whoever sends again looks");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_lines_than_one_call_changes_are_changed_by_the_next() {
    let called = Called::start().await;
    let numbers: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    let wanted: Vec<(&str, &str, i64, i64)> = numbers.iter().map(|number| (number.as_str(), "X", 2, 300)).collect();
    let mut calls = 1;
    while called.change(&wanted).await.is_err() {
        calls += 1;
        assert!(calls < 10, "{:?}", called.lines());
    }
    assert_eq!((called.lines().len(), calls), (60, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shipped_in_part_stays_what_it_was_and_goes_no_lower() {
    let called = Called::start().await;
    called.post_four().await;
    for (wanted, code) in [
        ([("1", "X", 3, 300), ("2", "Y", 3, 110)], "less-than-shipped"),
        ([("1", "X", 10, 299), ("2", "Y", 3, 110)], "price-of-shipped"),
        ([("1", "Z", 10, 300), ("2", "Y", 3, 110)], "item-differs"),
        // All of it fits, or nothing of it is changed.
        ([("1", "X", 3, 300), ("2", "Y", 9, 110)], "less-than-shipped"),
    ] {
        assert_eq!(problems(called.change(&wanted).await), [code]);
    }
    assert_eq!(called.lines(), ["1 X 10 at 3.00", "2 Y 3 at 1.10"]);
    // A line that is left out is as much as was shipped of it.
    called.change(&[("2", "Y", 1, 100)]).await.unwrap();
    assert_eq!(called.lines(), ["1 X 4 at 3.00", "2 Y 1 at 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_shipped_whole_with_another_item_in_its_place_keeps_no_other_line_from_being_changed() {
    let called = Called::start().await;
    let order = called.clerk.order(&document()).await;
    let line = |place: usize| format!("/salesOrderLines({})", order["salesOrderLines"][place]["id"].as_str().unwrap());
    let instead = r#"{"lineObjectNumber":"Z","quantity":3,"unitOfMeasureCode":"EA","unitPrice":1.10}"#;
    for (place, to) in [(2, instead), (1, r#"{"shipQuantity":0}"#), (2, r#"{"shipQuantity":3}"#)] {
        assert_eq!(called.clerk.ask(Method::PATCH, &line(place), to).await.0, 200, "{to}");
    }
    let post = format!("/salesOrders({})/Microsoft.NAV.shipAndInvoice", order["id"].as_str().unwrap());
    assert_eq!(called.clerk.ask(Method::POST, &post, "").await.0, 204);

    called.change(&[("1", "X", 12, 300), ("2", "Y", 3, 110)]).await.unwrap();
    assert_eq!(called.lines(), ["1 X 12 at 3.00", "2 Z 3 at 1.10"]);
    for wanted in [("2", "Y", 4, 110), ("2", "Y", 3, 120)] {
        assert_eq!(problems(called.change(&[("1", "X", 12, 300), wanted]).await), ["item-differs"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_a_discount_one_without_its_numbers_and_one_that_is_gone_are_a_persons() {
    let called = Called::with("\"discountAmount\":3.33,").await;
    assert_eq!(problems(called.change(&[("1", "X", 12, 300)]).await), ["discount-on-order"]);
    called.change(&AS_MADE).await.unwrap();
    let order = called.clerk.order(&document()).await;
    let comment = order["salesOrderLines"][0]["id"].as_str().unwrap();
    let path = format!("/salesOrderLines({comment})");
    assert_eq!(called.clerk.ask(Method::DELETE, &path, "").await.0, 204);
    assert_eq!(problems(called.change(&[("1", "X", 12, 300)]).await), ["lines-not-numbered"]);
    let path = format!("/salesOrders({})", order["id"].as_str().unwrap());
    assert_eq!(called.clerk.ask(Method::DELETE, &path, "").await.0, 204);
    let gone = permanent(called.change(&AS_MADE).await);
    assert!(
        gone.starts_with("sales-order-gone: the ERP has no sales order of it and nothing that was posted"),
        "{gone}"
    );
    for (wanted, code) in [
        (&[("A", "X", 1, 1)][..], "line-number"),
        (&[][..], "lines-missing"),
        (&[("1", "X", -1, 1)][..], "negative-quantity"),
    ] {
        assert_eq!(problems(called.message(to(wanted)).await), [code]);
    }
    let twice = called.message(to(&[("1", "X", 1, 1), ("1", "Y", 1, 1)])).await;
    assert_eq!(problems(twice), ["line-twice"]);
    let Event::OrderChanged(change) = to(&AS_MADE) else { panic!() };
    assert!(permanent(called.message(Event::OrderCreated(change.order)).await).contains("found another event"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_erp_refuses_a_line_people_hear_how_many_were_changed_before() {
    let called = Called::start().await;
    let list = json!({"value": [called.clerk.order(&document()).await]}).to_string();
    let target = ScriptedTarget::start(move |method: Method, _| {
        let list = list.clone();
        async move {
            match method {
                Method::GET => (200, list),
                Method::PATCH => (200, "{}".to_owned()),
                _ => (400, r#"{"error":{"code":"Blocked","message":"Z is blocked"}}"#.to_owned()),
            }
        }
    })
    .await;
    let message = called.message(to(&[("1", "X", 12, 300), ("2", "Y", 3, 110), ("3", "Z", 1, 500)])).await.unwrap();
    let settings = [("base-url", target.origin()), ("company", COMPANY)];
    let outcome = called.plugins.deliver_to("erp-rest", address(target.origin()), message, &key(), &settings).await;
    let Err(Failure::Invalid(problems)) = outcome else { panic!("{outcome:?}") };
    let told = &problems[0].message;
    assert!(told.starts_with("1 change(s) of its lines were made before, so look at the sales order: "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clerk_changed_meanwhile_is_looked_at_again_later() {
    let called = Called::start().await;
    let order = called.clerk.order(&document()).await;
    for status in [404, 409, 412] {
        let list = json!({"value": [order.clone()]}).to_string();
        let target = ScriptedTarget::start(move |method: Method, _| {
            let list = list.clone();
            async move { if method == Method::GET { (200, list) } else { (status, "{}".to_owned()) } }
        })
        .await;
        let message = called.message(to(&[("1", "X", 12, 300), ("2", "Y", 3, 110)])).await.unwrap();
        let settings = [("base-url", target.origin()), ("company", COMPANY)];
        let outcome = called.plugins.deliver_to("erp-rest", address(target.origin()), message, &key(), &settings).await;
        assert!(matches!(outcome, Err(Failure::Retry(_))), "{status}: {outcome:?}");
    }
}
