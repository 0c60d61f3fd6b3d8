//! Returns that customers ask for in the shop: received, mapped, and heard of the order that they
//! are of.

use portreeve::standins::shop::Basket;
use portreeve_model::event::{GoodsReturn, ReturnLine};
use portreeve_model::{Event, Failure, Instant, ProcessState};
use portreeve_pipeline::rederive::Rederived;
use portreeve_store::contract::{EventOutcome, OrderEventKind, OrderState};
use serde_json::{Value, json};

use crate::at_the_plugin::{Plugins, Settings};
use crate::process::{accepted, boxes, said, tell, with_systems};
use crate::support::{Setup, TestHost, tree};

const UNIT: Settings<'_> = &[("unit", "BX")];

/// A sample of a return, by the beginning of its name.
fn sample(start: &str) -> Vec<u8> {
    let folder = tree().root().join("plugins/connectors/adobe-commerce/samples/returns");
    let mut found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let path = found.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start));
    std::fs::read(path.unwrap_or_else(|| panic!("there is no sample `{start}…`"))).unwrap()
}

/// What becomes of an input with one return.
async fn mapped(plugins: &Plugins, input: &[u8], settings: Settings<'_>) -> Result<Vec<Event>, Failure> {
    let received = plugins.receive("adobe-commerce", input, &[]).await;
    assert_eq!(received.problems, []);
    assert_eq!((received.documents.len(), received.documents[0].kind.as_str()), (1, "adobe/return"));
    plugins.map("adobe-orders", &received.documents[0], settings).await
}

/// The return of an input.
async fn goods(plugins: &Plugins, input: &Value) -> GoodsReturn {
    match mapped(plugins, input.to_string().as_bytes(), UNIT).await.unwrap().remove(0) {
        Event::ReturnRequested(goods) => goods,
        other => panic!("{other:?}"),
    }
}

/// Code and place of each problem of an input.
async fn problems(plugins: &Plugins, input: &[u8], settings: Settings<'_>) -> Vec<(String, String)> {
    match mapped(plugins, input, settings).await {
        Err(Failure::Invalid(problems)) => {
            problems.into_iter().map(|problem| (problem.code, problem.position.path)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn basket() -> Basket {
    Basket { entity_id: 1, sku: "FST-1007", quantity: 2, price_minor: 1_840 }
}

/// A return of one box of the basket, as a webhook has it.
fn returned() -> Value {
    json!({
        "entity_id": "17", "increment_id": "000000017", "order_id": "1",
        "order_increment_id": basket().increment_id(), "store_id": "1", "date_requested": "2026-03-10 09:15:00",
        "status": "pending", "items": [{
            "entity_id": "31", "rma_entity_id": "17", "order_item_id": basket().item_id().to_string(),
            "product_sku": "FST-1007", "qty_requested": "1.0000", "qty_returned": null, "status": "pending",
            "reason": "23", "condition": "7", "resolution": "4",
        }],
    })
}

/// The same with one member of it, or of its item, as another one.
fn with(pointer: &str, value: Value) -> Value {
    let mut input = returned();
    let (of, name) = pointer.rsplit_once('/').unwrap();
    input.pointer_mut(of).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
    input
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_a_return_is_the_request_that_it_names_or_says_why_not() {
    let plugins = Plugins::demo().await;
    let lines = async |start: &str| match mapped(&plugins, &sample(start), UNIT).await.unwrap().remove(0) {
        Event::ReturnRequested(goods) => {
            assert_eq!((goods.return_number.as_str(), goods.order_number.as_str()), ("000000017", "000300101"));
            let line = |line: &ReturnLine| {
                format!("{} | {} | {}", line.line_number.as_deref().unwrap(), line.sku, line.quantity)
            };
            goods.lines.iter().map(line).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(lines("0001").await, ["20967 | ELC-1056 | 2 BX", "20970 | WRH-1210 | 1 BX"]);
    // What the shop denied of it is not coming.
    assert_eq!(lines("0002").await, ["20967 | ELC-1056 | 2 BX"]);
    let found = async |start: &str| problems(&plugins, &sample(start), UNIT).await;
    assert_eq!(found("0003").await, [("return-over".to_owned(), "status".to_owned())]);
    assert_eq!(found("0004").await, [("field-missing".to_owned(), "items[0].product_sku".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_says_how_much_of_which_line_comes_back_why_and_since_when() {
    let plugins = Plugins::demo().await;
    let goods = goods(&plugins, &returned()).await;
    assert_eq!((goods.return_number.as_str(), goods.order_number.as_str()), ("000000017", "000900001"));
    assert_eq!(goods.at, Some(Instant(1_773_134_100_000)), "2026-03-10T09:15:00Z");
    let line = &goods.lines[0];
    assert_eq!((line.line_number.as_deref(), line.sku.as_str()), (Some("90001"), "FST-1007"));
    assert_eq!((line.quantity.value, line.quantity.scale, line.quantity.unit.as_str()), (1, 0, "BX"));
    assert_eq!((line.reason.as_deref(), line.condition.as_deref()), (Some("23"), Some("7")));
    let extensions: Vec<_> = goods.extensions.iter().map(|found| (found.name.as_str(), found.value.as_str())).collect();
    assert_eq!(extensions, [("adobe:items[0].resolution", "4")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_return_in_other_words_is_one_event_and_what_is_asked_for_otherwise_is_another() {
    let plugins = Plugins::demo().await;
    let first = goods(&plugins, &returned()).await;
    for same in [
        json!({"rma": returned()}),
        json!({"rmaDataObject": returned()}),
        json!({"event": {"data": {"value": returned()}}}),
        json!({"items": [returned()]}),
        with("/status", json!("received")),
        with("/items/0/status", json!("approved")),
        with("/items/0/qty_returned", json!("1.0000")),
        with("/items/0/qty_requested", json!(1)),
        with("/items/0/order_item_id", json!(90_001)),
        with("/customer_custom_email", json!("somebody@example.com")),
    ] {
        assert_eq!(goods(&plugins, &same).await, first, "{same}");
    }
    for other in [
        with("/items/0/qty_requested", json!("2")),
        with("/items/0/qty_requested", json!("0.5")),
        with("/items/0/reason", json!("24")),
        with("/items/0/resolution", json!("5")),
        with("/increment_id", json!("000000018")),
    ] {
        assert_ne!(goods(&plugins, &other).await, first, "{other}");
    }
    // No float is on the way.
    let text = returned().to_string().replace("\"1.0000\"", "12345678901.0001");
    let Event::ReturnRequested(exact) = mapped(&plugins, text.as_bytes(), UNIT).await.unwrap().remove(0) else {
        panic!("no return")
    };
    assert_eq!((exact.lines[0].quantity.value, exact.lines[0].quantity.scale), (123_456_789_010_001, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_return_is_said_with_its_place() {
    let plugins = Plugins::demo().await;
    for (input, code, path) in [
        (with("/order_increment_id", json!("")), "field-missing", "order_increment_id"),
        (with("/date_requested", json!("yesterday")), "bad-time", "date_requested"),
        (with("/items", json!([])), "lines-missing", "items"),
        (with("/items", json!(null)), "lines-missing", "items"),
        (with("/items/0/order_item_id", json!(null)), "field-missing", "items[0].order_item_id"),
        (with("/items/0/product_sku", json!(" ")), "field-missing", "items[0].product_sku"),
        (with("/items/0/qty_requested", json!({})), "field-missing", "items[0].qty_requested"),
        (with("/items/0/qty_requested", json!("two")), "bad-number", "items[0].qty_requested"),
        (with("/items/0/qty_requested", json!("0.0000")), "quantity-not-positive", "items[0].qty_requested"),
        (with("/items/0/qty_requested", json!(-1)), "quantity-not-positive", "items[0].qty_requested"),
        (with("/items/0/status", json!("denied")), "return-over", "items"),
        (with("/status", json!("denied")), "return-over", "status"),
    ] {
        let found = problems(&plugins, input.to_string().as_bytes(), UNIT).await;
        assert_eq!(found, [(code.to_owned(), path.to_owned())], "{input}");
    }
    // What is no return at all is the connector's to say, and its place as well.
    let received = plugins.receive("adobe-commerce", with("/items", json!({})).to_string().as_bytes(), &[]).await;
    let problem = &received.problems[0];
    assert_eq!((received.documents.len(), problem.code.as_str()), (0, "malformed-json"));
    assert!(problem.position.offset_bytes.is_some_and(|offset| offset > 100), "{problem:?}");
    // No unit is guessed.
    let found = problems(&plugins, returned().to_string().as_bytes(), &[]).await;
    assert_eq!(found, [("unit-missing".to_owned(), "items[0].product_sku".to_owned())]);
    // And no return without a number is told from another.
    let unnamed = json!({"rma": with("/increment_id", json!(null))}).to_string();
    let received = plugins.receive("adobe-commerce", unnamed.as_bytes(), &[]).await;
    assert_eq!(received.documents.len(), 0);
    let problem = &received.problems[0];
    assert_eq!(
        (problem.code.as_str(), problem.position.path.as_str()),
        ("return-number-missing", "returns[0].increment_id")
    );
    assert!(String::from_utf8_lossy(&received.reply.body).contains("\"exception\""), "the shop hears it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_its_cancellation_and_a_return_of_one_number_have_keys_of_their_own() {
    let plugins = Plugins::demo().await;
    let key = async |input: Value| {
        let mut received = plugins.receive("adobe-commerce", input.to_string().as_bytes(), &[]).await;
        received.documents.remove(0).key
    };
    let of_order = |state: &str| json!({"increment_id": "000000017", "store_id": 1, "state": state});
    assert_eq!(key(of_order("new")).await, "1/000000017");
    assert_eq!(key(of_order("canceled")).await, "1/000000017/canceled");
    assert_eq!(key(returned()).await, "1/000000017/return");
    // A number cannot be another one's key.
    assert_eq!(key(json!({"increment_id": "000000017/return", "store_id": 1})).await, "1/000000017%2Freturn");
}

/// A host like the demo's, whose shop may say what comes back of what was bought there.
pub(crate) fn hearing_returns(setup: Setup) -> Setup {
    let orders = "documents = { \"adobe/order\" = \"adobe-orders\" }";
    let both = "documents = { \"adobe/order\" = \"adobe-orders\", \"adobe/return\" = \"adobe-orders\" }\n\
                says = [\"return.requested\"]\norders_by = { channel = \"shop\" }";
    with_systems(setup.replace("portreeve.toml", orders, both))
}

#[tokio::test]
async fn a_return_that_a_customer_asks_for_in_the_shop_is_heard_of_its_order_once_and_a_changed_one_is_told() {
    let host = hearing_returns(Setup::demo().scorers(&[])).start().await;
    host.send_shop(&basket().placed()).await.unwrap();
    host.decide_all().await;
    let order = host.order(&basket().increment_id()).await;
    assert_eq!(order.state, OrderState::Released, "{}", order.why);
    let order = order.id;

    // Before anything has left nothing can come back: it waits for its turn.
    let send = async |host: &TestHost, input: Value| {
        assert_eq!(host.send_shop(input.to_string().as_bytes()).await.unwrap().reply.status, 200);
        host.decide_all().await;
    };
    send(&host, json!({"rma": returned()})).await;
    assert_eq!(host.codes().await, ["early-event"]);
    tell(&host, &accepted(order)).await;
    let line = json!({"lineNumber": "90001", "sku": "FST-1007", "shipped": boxes(2), "short": "none"});
    let data = json!({"orderNumber": order, "shipmentNumber": "S-1", "lines": [line]});
    tell(&host, &said("shipment.confirmed", data)).await;
    host.decide_all().await;
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Returning), vec![]));

    // The shop goes on with it, and says so: the same return.
    send(&host, with("/status", json!("authorized"))).await;
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Returning), vec![]));
    // Two boxes under the same number are another request, and nobody guesses which one counts.
    send(&host, with("/items/0/qty_requested", json!("2.0000"))).await;
    assert_eq!(host.codes().await, ["said-otherwise"]);

    let events = host.store.order_trail(order).await.unwrap().unwrap().events;
    let returns = events.iter().filter(|event| event.kind == OrderEventKind::ReturnRequested);
    let outcomes: Vec<EventOutcome> = returns.map(|event| event.outcome).collect();
    assert_eq!(outcomes, [EventOutcome::Applied, EventOutcome::Again, EventOutcome::Impossible]);
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(_)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_return_of_an_order_that_is_not_here_or_of_a_line_that_it_does_not_have_is_a_persons() {
    let host = hearing_returns(Setup::demo().scorers(&[])).start().await;
    host.send_shop(returned().to_string().as_bytes()).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.codes().await, ["unknown-order"]);

    host.send_shop(&basket().placed()).await.unwrap();
    host.decide_all().await;
    let order = host.order(&basket().increment_id()).await.id;
    tell(&host, &accepted(order)).await;
    let line = json!({"lineNumber": "90001", "sku": "FST-1007", "shipped": boxes(2), "short": "none"});
    tell(&host, &said("shipment.confirmed", json!({"orderNumber": order, "shipmentNumber": "S-1", "lines": [line]})))
        .await;
    let of_a_part = with("/items/0/order_item_id", json!("90002"));
    host.send_shop(of_a_part.to_string().as_bytes()).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.codes().await, ["unknown-order", "line-unknown"]);
    assert_eq!(host.process_state(order).await, Some(ProcessState::Shipped));
    host.verify().await.unwrap();
}
