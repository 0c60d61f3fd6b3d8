//! The shop by itself: what it keeps, refuses and loses.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::client;

/// An order of five pumps and a hose of two and a half metres, for 150.00 and 12.50 of freight.
pub(super) const ORDER: &str = r#"{"entity_id":3,"increment_id":"000000003","store_id":1,"state":"new",
    "status":"pending","order_currency_code":"USD","base_currency_code":"USD","grand_total":162.5,
    "items":[{"item_id":7,"product_type":"simple","sku":"PUMP-40","qty_ordered":5,"row_total":125},
             {"item_id":8,"product_type":"simple","sku":"HOSE-M","is_qty_decimal":1,"qty_ordered":"2.5000","row_total":"25.0000"}]}"#;

async fn shop(mischief: Mischief) -> Shop {
    let shop = Shop::start(mischief).await.unwrap();
    shop.place(ORDER.as_bytes()).unwrap();
    shop
}

/// Status and answer.
async fn asked(shop: &Shop, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let body = Bytes::from(if body.is_null() { String::new() } else { body.to_string() });
    let path = format!("{REST}/V1/{path}");
    let headers = [("content-type", "application/json")];
    let answer = client::send(shop.serving.address(), method, &path, &headers, body).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

async fn posted(shop: &Shop, path: &str, body: Value) -> (u16, Value) {
    asked(shop, Method::POST, path, &body).await
}

async fn listed(shop: &Shop, path: &str) -> Value {
    let (status, page) = asked(shop, Method::GET, path, &Value::Null).await;
    assert_eq!(status, 200, "{page}");
    page
}

/// What a refusal says.
fn says(refused: &(u16, Value), status: u16, words: &str) -> bool {
    refused.0 == status && refused.1["message"].as_str().is_some_and(|message| message.contains(words))
}

fn pumps(qty: u32) -> Value {
    json!({"items": [{"order_item_id": 7, "qty": qty}], "notify": true})
}

#[tokio::test]
async fn a_second_shipment_is_one_more_until_nothing_is_left() {
    let shop = shop(Mischief::default()).await;
    assert_eq!(posted(&shop, "order/3/ship", pumps(2)).await, (200, json!(1)));
    assert_eq!(posted(&shop, "order/3/ship", pumps(2)).await, (200, json!(2)));
    assert!(says(&posted(&shop, "order/3/ship", pumps(2)).await, 400, "invalid quantity to ship for item \"PUMP-40\""));
    assert_eq!(shop.orders()[0].state, "processing");
    // Without items it takes whatever is left.
    assert_eq!(posted(&shop, "order/3/ship", json!({"comment": {"comment": "rest"}})).await, (200, json!(3)));
    assert!(says(&posted(&shop, "order/3/ship", json!({})).await, 400, "without products"));
    let rest = &shop.documents(ShopDocumentKind::Shipment)[2];
    let quantities: Vec<String> = rest.items.iter().map(|(_, qty)| qty.to_string()).collect();
    assert_eq!((quantities, rest.comments[0].as_str()), (vec!["1.0000".to_owned(), "2.5000".to_owned()], "rest"));
    assert_eq!(shop.mails(), 2);

    let stranger = json!({"items": [{"order_item_id": 9, "qty": 1}]});
    assert!(says(&posted(&shop, "order/3/ship", stranger).await, 400, "We can not found item \"9\" in order."));
    assert!(says(&posted(&shop, "order/4/ship", json!({})).await, 404, "doesn't exist"));
    assert!(says(&posted(&shop, "order/3/pack", json!({})).await, 404, "any route"));
    assert!(says(&posted(&shop, "order/3/ship", json!([])).await, 400, "Decoding error"));
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_finer_than_a_column_is_lost_without_a_word() {
    let shop = shop(Mischief::default()).await;
    let fine = json!({"items": [{"order_item_id": 7, "qty": 1.9}, {"order_item_id": 8, "qty": 1.00005}]});
    assert_eq!(posted(&shop, "order/3/ship", fine).await.0, 200);
    let items = &shop.orders()[0].items;
    assert_eq!((items[0].shipped.to_string(), items[1].shipped.to_string()), ("1.0000".into(), "1.0001".into()));
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn money_is_paid_when_it_is_captured_and_goes_back_up_to_that() {
    let shop = shop(Mischief::default()).await;
    let refund =
        |amount: &str| json!({"items": [{"order_item_id": 7, "qty": 0}], "arguments": {"adjustment_positive": amount}});
    assert!(says(&posted(&shop, "order/3/refund", refund("1")).await, 400, "available to refund is 0.0000"));
    let part = json!({"items": [{"order_item_id": 7, "qty": 2}], "capture": false});
    assert_eq!(posted(&shop, "order/3/invoice", part).await, (200, json!(1)));
    assert_eq!(posted(&shop, "order/3/invoice", json!({"capture": true})).await, (200, json!(2)));
    let totals: Vec<String> =
        shop.documents(ShopDocumentKind::Invoice).iter().map(|it| it.grand_total.to_string()).collect();
    assert_eq!(totals, ["50.0000", "112.5000"], "the last one has the freight");
    assert!(says(&posted(&shop, "order/3/refund", refund("112.51")).await, 400, "refund is 112.5000"));
    assert!(says(&posted(&shop, "order/3/refund", refund("0")).await, 400, "must be positive"));
    assert_eq!(posted(&shop, "order/3/refund", refund("100")).await, (200, json!(1)));
    assert!(says(&posted(&shop, "order/3/refund", refund("100")).await, 400, "refund is 12.5000"));
    assert_eq!(shop.orders()[0].total_refunded.to_string(), "100.0000");
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn a_basket_is_an_order_that_its_customer_can_cancel_while_nothing_of_it_is_invoiced() {
    let shop = Shop::start(Mischief::default()).await.unwrap();
    let basket = Basket { entity_id: 12, sku: "FST-1007", quantity: 10, price_minor: 1_840 };
    shop.place(&basket.placed()).unwrap();
    let placed = &shop.orders()[0];
    assert_eq!((placed.increment_id.as_str(), placed.grand_total.to_string()), ("000900012", "184.0000".to_owned()));
    assert_eq!(placed.items[0].ordered.decimal().to_string(), "10.0000");
    assert!(shop.cancel(12) && !shop.cancel(12) && !shop.cancel(13));
    assert_eq!(shop.orders()[0].state, "canceled");
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn an_order_is_cancelled_once_and_not_when_it_is_invoiced() {
    for (invoiced, expected) in [(false, true), (true, false)] {
        let shop = shop(Mischief::default()).await;
        if invoiced {
            posted(&shop, "order/3/invoice", json!({})).await;
        }
        assert_eq!(posted(&shop, "orders/3/cancel", json!({})).await, (200, json!(expected)));
        assert_eq!(posted(&shop, "orders/3/cancel", json!({})).await, (200, json!(false)));
        if expected {
            assert!(says(&posted(&shop, "order/3/ship", json!({})).await, 400, "status of canceled"));
        }
        shop.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_left_out_of_an_order_or_a_comment_is_lost() {
    let shop = shop(Mischief::default()).await;
    let comment = |status: Value| {
        let mut history =
            json!({"comment": "hello", "is_customer_notified": 0, "is_visible_on_front": 1, "parent_id": 3});
        history["status"] = status;
        json!({"statusHistory": history})
    };
    assert_eq!(posted(&shop, "orders/3/comments", comment(json!("pending"))).await, (200, json!(true)));
    assert_eq!(shop.orders()[0].status.as_deref(), Some("pending"));
    assert!(says(&posted(&shop, "orders/3/comments", comment(json!("processing"))).await, 400, "not part of"));
    assert_eq!(posted(&shop, "orders/3/comments", comment(Value::Null)).await.0, 200);
    assert_eq!(shop.orders()[0].status, None);
    let page = listed(&shop, "orders/3/comments").await;
    assert_eq!((&page["total_count"], &page["items"][1]["comment"]), (&json!(2), &json!("hello")));

    let named = json!({"entity": {"entity_id": 3, "increment_id": "000000003", "ext_order_id": "X"}});
    assert_eq!(posted(&shop, "orders", named).await.0, 200);
    assert_eq!(shop.orders()[0].ext_order_id.as_deref(), Some("X"));
    posted(&shop, "orders", json!({"entity": {"entity_id": 3}})).await;
    let order = &shop.orders()[0];
    assert_eq!((order.increment_id.as_str(), order.ext_order_id.as_deref()), ("900000001", Some("X")));
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn a_search_has_all_of_its_filters_and_tells_how_many_there_are() {
    let shop = shop(Mischief::default()).await;
    shop.place(ORDER.replace("\"entity_id\":3", "\"entity_id\":4").as_bytes()).unwrap();
    assert!(shop.place(ORDER.as_bytes()).is_err(), "it is there already");
    assert!(shop.place(b"{}").is_err());
    for (id, (before, after)) in [(5, ("{\"order\":", "}")), (6, ("{\"event\":{\"data\":{\"value\":", "}}}"))] {
        let order = ORDER.replace("\"entity_id\":3", &format!("\"entity_id\":{id}"));
        shop.place(format!("{before}{order}{after}").as_bytes()).unwrap();
    }
    let wrapped: Vec<u64> = shop.orders().iter().map(|order| order.entity_id).collect();
    assert_eq!(wrapped, [3, 4, 5, 6]);
    let search = |filters: &[(&str, &str)], size: &str| {
        let filters = filters.iter().enumerate().map(|(index, (field, value))| {
            let of =
                |word: &str| format!("searchCriteria%5Bfilter_groups%5D%5B{index}%5D%5Bfilters%5D%5B0%5D%5B{word}%5D");
            format!("{}={field}&{}={value}&{}=eq&", of("field"), of("value"), of("condition_type"))
        });
        format!("orders?{}searchCriteria%5BpageSize%5D={size}&fields=items", filters.collect::<String>())
    };
    for (filters, size, found, all) in [
        (&[("increment_id", "000000003")][..], "100", 4, 4),
        (&[("increment_id", "000000003")][..], "1", 1, 4),
        (&[("increment_id", "000000003"), ("entity_id", "4")][..], "100", 1, 1),
        (&[("increment_id", "000000003"), ("entity_id", "9")][..], "100", 0, 0),
        (&[("ext_order_id", "X")][..], "100", 0, 0),
    ] {
        let page = listed(&shop, &search(filters, size)).await;
        let counted = (page["items"].as_array().unwrap().len(), page["total_count"].as_u64().unwrap());
        assert_eq!(counted, (found, all), "{filters:?}");
    }
    let wrong = search(&[("increment_id", "1")], "100").replace("=eq&", "=like&");
    assert_eq!(asked(&shop, Method::GET, &wrong, &Value::Null).await.0, 400);
    assert_eq!(asked(&shop, Method::GET, "products", &Value::Null).await.0, 404);
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn a_shop_with_an_integration_takes_nobody_else() {
    let text = |text: &str| text.to_owned();
    let integration = Integration {
        consumer_key: text("key"),
        consumer_secret: text("secret"),
        token: text("token"),
        token_secret: text("token-secret"),
    };
    let shop = Shop::start_for(Some(integration), Mischief::default()).await.unwrap();
    let said = "OAuth oauth_consumer_key=\"key\", oauth_token=\"token\", oauth_nonce=\"n\", oauth_signature_method=\"HMAC-SHA256\"";
    let wrong = format!("{said}, oauth_signature=\"c2lnbmVk\"");
    for authorization in ["", "Bearer token", "OAuth", said, wrong.as_str()] {
        let path = format!("{REST}/V1/orders");
        let headers = [("authorization", authorization)];
        let headers = if authorization.is_empty() { &[][..] } else { &headers[..] };
        let answer = client::send(shop.serving.address(), Method::GET, &path, headers, Bytes::new()).await.unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(says(&(answer.status, body), 401, "isn't authorized"), "{authorization}");
    }
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn misbehaves_as_it_is_told_and_serves_the_attempts_after() {
    for (mischief, status) in [
        (Mischief { throttle_per_mille: 1_000, ..Mischief::default() }, 429),
        (Mischief { fail_before_per_mille: 1_000, ..Mischief::default() }, 500),
        (Mischief { reject_per_mille: 1_000, ..Mischief::default() }, 400),
    ] {
        let shop = shop(mischief).await;
        for _ in 0..2 {
            assert_eq!(posted(&shop, "order/3/ship", pumps(1)).await.0, status);
            assert_eq!(shop.documents(ShopDocumentKind::Shipment), []);
        }
        assert_eq!(posted(&shop, "order/3/ship", pumps(1)).await.0, 200);
        shop.stop().await.unwrap();
    }
    let shop = shop(Mischief { drop_after_per_mille: 1_000, ..Mischief::default() }).await;
    let (path, body) = (format!("{REST}/V1/order/3/ship"), Bytes::from(pumps(1).to_string()));
    assert!(client::send(shop.serving.address(), Method::POST, &path, &[], body).await.is_err());
    assert_eq!(shop.documents(ShopDocumentKind::Shipment).len(), 1, "it was done, and nobody was told");
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn what_it_may_sell_is_what_it_was_told_last_and_what_it_does_not_know_it_refuses_whole() {
    let shop = shop(Mischief::default()).await;
    let decimal = |text: &str| Decimal::parse(text).unwrap();
    shop.put("DC-EAST", "PUMP-40", decimal("12"));
    shop.put("DC-EAST", "HOSE-M", decimal("7.5"));
    let item = |sku: &str, source: &str, quantity: Value, status: u8| json!({"sku": sku, "source_code": source, "quantity": quantity, "status": status});
    let set = |items: Value| posted(&shop, "inventory/source-items", json!({"sourceItems": items}));
    let pump = item("PUMP-40", "DC-EAST", json!(9.25), 1);
    assert_eq!(set(json!([pump])).await, (200, json!([])));
    assert_eq!(set(json!([item("PUMP-40", "DC-EAST", json!("0"), 0)])).await.0, 200);
    for (wrong, words) in [
        (item("PUMP-41", "DC-EAST", json!(1), 1), "Product with SKU"),
        (item("HOSE-M", "DC-WEST", json!(1), 1), "Source with code"),
        (item("HOSE-M", "DC-EAST", json!("many"), 1), "numeric"),
    ] {
        let (status, refusal) = set(json!([pump, wrong])).await;
        assert_eq!((status, refusal["message"].as_str()), (400, Some("Validation Failed")));
        assert!(refusal["errors"][0]["message"].as_str().unwrap().contains(words), "{refusal}");
    }
    assert!(says(&set(json!([])).await, 400, "Input data is empty"));
    // An order and its shipment take nothing away.
    assert_eq!(posted(&shop, "order/3/ship", pumps(2)).await.0, 200);
    let found: Vec<_> = shop.source_items().into_iter().map(|item| (item.sku, item.is_in_stock, item.times)).collect();
    assert_eq!(found, [("HOSE-M".to_owned(), true, 0), ("PUMP-40".to_owned(), false, 2)]);
    assert_eq!(
        (shop.stock("DC-EAST", "PUMP-40").units, shop.stock("DC-EAST", "HOSE-M").to_string()),
        (0, "7.5000".to_owned())
    );
    let page = listed(&shop, "inventory/source-items?searchCriteria[filter_groups][0][filters][0][field]=sku&searchCriteria[filter_groups][0][filters][0][value]=HOSE-M").await;
    assert_eq!((page["total_count"].as_u64(), page["items"][0]["quantity"].as_str()), (Some(1), Some("7.5000")));
}

#[tokio::test]
async fn a_return_is_told_with_what_its_item_is_and_listed_without() {
    let shop = shop(Mischief::default()).await;
    assert!(shop.ask_back(4, 7, 1).is_err() && shop.ask_back(3, 9, 1).is_err(), "there is no such item");
    assert!(shop.ask_back(3, 7, 0).is_err() && shop.ask_back(3, 7, 6).is_err(), "not so much was ordered");
    let asked = shop.ask_back(3, 7, 2).unwrap();
    let told: Value = serde_json::from_slice(&asked.webhook()).unwrap();
    let page = listed(&shop, "returns?searchCriteria%5BpageSize%5D=10").await;
    assert_eq!(page["total_count"], 1);
    for (one, other) in [("increment_id", "000000001"), ("order_increment_id", "000000003"), ("status", "pending")] {
        assert_eq!((&told["rma"][one], &page["items"][0][one]), (&json!(other), &json!(other)));
    }
    let (told, listed_item) = (&told["rma"]["items"][0], &page["items"][0]["items"][0]);
    assert_eq!((&told["product_sku"], &told["qty_requested"]), (&json!("PUMP-40"), &json!("2.0000")));
    assert_eq!((listed_item.get("product_sku"), &listed_item["qty_requested"]), (None, &json!(2)));

    let within = |ids: &str| {
        let of = |word: &str| format!("searchCriteria%5Bfilter_groups%5D%5B0%5D%5Bfilters%5D%5B0%5D%5B{word}%5D");
        format!("orders?{}=entity_id&{}={ids}&{}=in", of("field"), of("value"), of("condition_type"))
    };
    for (ids, found) in [("3", 1), ("2,3,4", 1), ("33", 0)] {
        assert_eq!(listed(&shop, &within(ids)).await["total_count"], found, "{ids}");
    }
    shop.stop().await.unwrap();
}
