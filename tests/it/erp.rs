//! Deliveries to an ERP that answers badly, or knows an order twice, and what the
//! ERP charges in the end.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use portreeve::client;
use portreeve::standins::Mischief;
use portreeve::standins::erp::COMPANY;
use portreeve_model::Event;
use portreeve_model::value::Money;
use portreeve_record::leaf::ReceiptOutcome;
use portreeve_record::{LeafBody, LeafRecord};
use tokio::net::TcpListener;

use crate::support::{PurchaseOrder, ScriptedTarget, Setup, TestHost, sample, tree};

/// An ERP that answers a creation with this status and `retry-after`, and a search
/// with this list. It tells the methods it saw.
async fn erp(status: u16, found: &'static str) -> (String, Arc<Mutex<Vec<Method>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let routes = axum::Router::new().fallback(move |method: Method| {
        noted.lock().unwrap().push(method.clone());
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "1".parse().unwrap());
        let answer = if method == Method::GET { (200, found) } else { (status, "") };
        async move { (StatusCode::from_u16(answer.0).unwrap(), headers, answer.1) }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
    (origin, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_gateways_503_the_erp_is_asked_before_anything_is_sent_again() {
    let (origin, seen) = erp(503, r#"{"value":[{"number":"S-ORD1","id":"1"}]}"#).await;
    let host = Setup::demo().erp_origin(&origin).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    assert_eq!(*seen.lock().unwrap(), [Method::POST, Method::GET], "it was there, and is not sent twice");
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!(delivery.state, "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_erps_time_to_answer_is_a_setting_that_binds() {
    let answers = async |method: Method, _| match method {
        Method::GET => (200, r#"{"value":[{"number":"S-ORD1"}]}"#.to_owned()),
        _ => std::future::pending().await,
    };
    let target = ScriptedTarget::start(answers).await;
    let within = |value: &str| {
        let setup = Setup::demo().erp_origin(target.origin());
        let entry = format!("freight-account = \"6130\", answer-timeout-ms = \"{value}\"");
        setup.replace("portreeve.toml", "freight-account = \"6130\"", &entry)
    };
    let host = within("50").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered", "asked for after it did not answer");

    let refused = within("soon").try_start().await.err().unwrap().to_string();
    let expected = "`answer-timeout-ms` of target `erp` is `soon`, and `erp-rest` takes a whole number from 1 to 25000";
    assert!(refused.contains(expected), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_is_an_unknown_outcome_and_is_looked_up() {
    let slow = Mischief { slow_per_mille: 1_000, ..Mischief::default() };
    let host = Setup::demo().scorers(&[]).mischief(slow).answered_within_ms(200).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    assert_eq!(host.deliver_due().await, 1);
    assert_eq!(host.erp.sales_orders().len(), 1, "it is booked, and nobody was told");
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "pending");
    host.deliver_all().await;
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 1), "it was found and not sent again");
    assert_eq!(delivery.external_id.as_deref(), Some(host.erp.sales_orders()[0].number.as_str()));
    assert_eq!(host.erp.sales_orders().len(), 1);
    let outcomes: Vec<ReceiptOutcome> = receipts(&host).await;
    assert_eq!((outcomes.first(), outcomes.last()), (Some(&ReceiptOutcome::Unknown), Some(&ReceiptOutcome::Found)));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_clerk_posted_whole_while_its_answer_was_lost_is_not_made_again() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let host = Setup::demo().scorers(&[]).mischief(lost).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    assert_eq!(host.deliver_due().await, 1);
    let made = host.erp.sales_orders().remove(0);
    let at = host.erp.origin().trim_start_matches("http://").parse().unwrap();
    let company = format!("/api/v2.0/companies({COMPANY})/salesOrders");
    let filter = format!("?$filter=externalDocumentNumber%20eq%20'{}'", made.external_document_number);
    let listed = client::send(at, Method::GET, &format!("{company}{filter}"), &[], Bytes::new()).await.unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.body).unwrap();
    let post = format!("{company}({})/Microsoft.NAV.shipAndInvoice", listed["value"][0]["id"].as_str().unwrap());
    // The clerk's answer gets lost as well; it is posted all the same.
    drop(client::send(at, Method::POST, &post, &[], Bytes::new()).await);
    assert_eq!((host.erp.sales_order_count(), host.erp.invoices().len()), (0, 1));
    host.deliver_all().await;
    assert_eq!((host.erp.sales_orders_made(), host.codes().await), (1, Vec::<String>::new()));
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((delivery.state.as_str(), delivery.external_id.as_ref()), ("delivered", Some(&made.number)));
    host.verify().await.unwrap();
}

async fn receipts(host: &TestHost) -> Vec<ReceiptOutcome> {
    let outcome = |leaf: &LeafRecord| match &leaf.body {
        LeafBody::Receipt(receipt) => Some(receipt.outcome),
        _ => None,
    };
    host.leaves().await.iter().filter_map(outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sales_order_for_one_order_is_not_taken_for_success() {
    let (origin, seen) = erp(503, r#"{"value":[{"number":"S-ORD1"},{"number":"S-ORD2"}]}"#).await;
    let host = Setup::demo().erp_origin(&origin).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_due().await;
    let due = host.store.next_due().await.unwrap().unwrap();
    host.clock.advance_to(due);
    host.deliver_due().await;
    assert_eq!(*seen.lock().unwrap(), [Method::POST, Method::GET]);
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_ne!(delivery.state, "delivered");
}

/// A sample with ten off; none of them has a discount of its own.
fn reduced_by_ten(sample: &[u8]) -> Option<Vec<u8>> {
    let mut order: serde_json::Value = serde_json::from_slice(sample).ok()?;
    let wrapped = order.get("order").is_some();
    let fields = if wrapped { order.get_mut("order")? } else { &mut order }.as_object_mut()?;
    let number = |value: &serde_json::Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let grand = number(fields.get("grand_total")?)? - 10.0;
    fields.insert("grand_total".to_owned(), format!("{grand:.4}").into());
    fields.insert("discount_amount".to_owned(), "-10.0000".into());
    serde_json::to_vec(&order).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_erp_charges_what_the_shop_charged_but_the_tax() {
    let host = TestHost::demo().await;
    let folder = tree().root().join("plugins/connectors/adobe-commerce/samples");
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names.iter().take(60) {
        let order = sample("adobe-commerce", name);
        host.send_shop(&reduced_by_ten(&order).unwrap_or(order)).await.unwrap();
    }
    host.decide_all().await;
    host.deliver_all().await;
    let charged = host.erp.sales_orders();
    let (mut compared, mut reduced) = (0, 0);
    for order in host.orders().await {
        let document = order.id.to_string().replace('-', "");
        let Some(sales_order) = charged.iter().find(|found| found.external_document_number == document) else {
            continue;
        };
        let event = host.store.payload(order.event).await.unwrap();
        let Event::OrderCreated(order) = Event::from_json(&event).unwrap() else { panic!("not an order") };
        let minor = |amount: Option<Money>| amount.map_or(0, |amount| amount.minor);
        let expected = minor(order.totals.grand) - minor(order.totals.tax);
        assert_eq!((sales_order.total.units, sales_order.total.scale), (expected, 2), "{}", order.number);
        compared += 1;
        reduced += usize::from(minor(order.totals.discount) > 0);
    }
    assert!(compared > 20 && reduced > 0, "{compared} compared, {reduced} with a discount");
}
