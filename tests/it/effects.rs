//! What follows from what is said of orders: released to the next system, undone where its
//! sender wants it, once each, whatever is lost on the way.

use portreeve::standins::Mischief;
use portreeve::standins::erp::{COMPANY, SECOND_COMPANY, SalesOrder};
use portreeve_model::{Digest, OrderId, ProcessState};
use portreeve_pipeline::Credential;
use portreeve_pipeline::decision::DecisionRecord;
use portreeve_pipeline::rederive::Rederived;
use portreeve_record::LeafBody;
use portreeve_store::contract::{EventOutcome, OrderState};
use serde_json::{Value, json};

use crate::front::commands::{refused, run};
use crate::support::{PurchaseOrder, Setup, TestHost, x12};

const WMS: &str = "token-of-the-warehouse";

/// An ERP whose receipt accepts an order, a second company of it that stands for the warehouse
/// and gets the accepted order, and what undoes an order at both.
fn with_effects(setup: Setup) -> Setup {
    let warehouse = format!(
        "\n[[target]]\nid = \"warehouse\"\nconnector = \"erp-rest\"\ntransformer = \"business-central\"\n\
         kind = \"business-central/sales-order\"\norigin = \"${{ERP_ORIGIN}}\"\nexception_queue = \"integration\"\n\
         find = true\nfind_after_ms = 1000\n\
         settings = {{ base-url = \"${{ERP_ORIGIN}}/api/v2.0\", company = \"{SECOND_COMPANY}\", freight-account = \"6130\" }}\n"
    );
    let channel = format!(
        "\n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"wms\"\n\
         connector = \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\n\
         target = \"erp\"\nexception_queue = \"integration\"\nsays = [\"shipment.picked\", \"shipment.confirmed\"]\n",
        Digest::of(WMS.as_bytes())
    );
    let effects = "
[[effect]]
on = \"order.accepted\"
to = [\"accepted\"]
target = \"warehouse\"
sends = \"order\"

[[effect]]
on = \"order.accepted\"
to = [\"cancelling\"]
target = \"erp\"
kind = \"business-central/cancel\"
receipt = \"order.rejected\"

[[effect]]
on = \"order.cancel-requested\"
from = [\"accepted\", \"picked\"]
target = \"warehouse\"
kind = \"business-central/cancel\"

[[effect]]
on = \"order.cancel-requested\"
from = [\"accepted\", \"picked\"]
target = \"erp\"
kind = \"business-central/cancel\"
receipt = \"order.rejected\"
";
    let receipt = "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"";
    setup
        .blindfolded("cloudevents")
        .blindfolded("cloudevents-events")
        .replace("portreeve.toml", "kind = \"business-central/sales-order\"", receipt)
        .append("portreeve.toml", &warehouse)
        .append("portreeve.toml", &channel)
        .append("portreeve.toml", effects)
}

async fn host() -> TestHost {
    with_effects(Setup::demo()).start().await
}

async fn released(host: &TestHost, number: &str) -> OrderId {
    let control = u32::try_from(host.orders().await.len()).unwrap() + 1;
    host.send_edi(&x12(control, &ten(number))).await.unwrap();
    host.decide_all().await;
    let order = host.order(number).await;
    assert_eq!(order.state, OrderState::Released, "{}", order.why);
    order.id
}

fn ten(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", 10, "BX", "18.40")])
}

/// The partner does not want an order any more.
async fn cancelled(host: &TestHost, control: u32, number: &str) {
    let cancel = String::from_utf8(x12(control, &ten(number))).unwrap().replace("BEG*00*", "BEG*01*");
    host.send_edi(cancel.as_bytes()).await.unwrap();
    host.decide_all().await;
}

/// The warehouse says something of ten boxes.
async fn told(host: &TestHost, kind: &str, order: OrderId) {
    let boxes = json!({"value": "10", "scale": 0, "unit": "BX"});
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": boxes, "short": "none"});
    let data = json!({"orderNumber": order, "shipmentNumber": "S-1", "lines": [line]});
    let id = format!("{kind} of {order}");
    let event = json!([{"specversion": "1.0", "id": id, "source": "/wms", "type": kind, "data": data}]);
    let sent = host.send("wms", Credential::Bearer(WMS), event.to_string().as_bytes()).await.unwrap();
    assert_eq!(sent.reply.status, 202);
    host.decide_all().await;
}

/// How many sales orders the ERP and the warehouse have.
fn have(host: &TestHost) -> (usize, usize) {
    let of = |company| host.erp.sales_orders().iter().filter(|order: &&SalesOrder| order.company == company).count();
    (of(COMPANY), of(SECOND_COMPANY))
}

/// What the order's deliveries are and where they stand.
async fn deliveries(host: &TestHost, number: &str) -> Vec<String> {
    let shown = |delivery: portreeve_store::contract::DeliveryView| {
        let kind = delivery.kind.trim_start_matches("business-central/").to_owned();
        format!("{kind} to {}: {}", delivery.target, delivery.state)
    };
    host.order(number).await.deliveries.into_iter().map(shown).collect()
}

#[tokio::test]
async fn an_erp_that_takes_an_order_accepts_it_and_the_warehouse_gets_it_then() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    assert_eq!(
        deliveries(&host, "PO-1").await,
        ["sales-order to erp: pending"],
        "the warehouse waits for the ERP's word"
    );
    host.deliver_all().await;
    assert_eq!(
        (have(&host), host.process_state(order).await),
        ((1, 0), None),
        "what it said is an input, and is decided next"
    );
    let host = host.restart().await;
    host.come_to_rest().await;
    assert_eq!((have(&host), host.process_state(order).await), ((1, 1), Some(ProcessState::Accepted)));
    assert_eq!(
        deliveries(&host, "PO-1").await,
        ["sales-order to erp: delivered", "sales-order to warehouse: delivered"]
    );
    assert_eq!(host.codes().await, Vec::<String>::new());

    let trail = host.store.order_trail(order).await.unwrap().unwrap();
    let said = &trail.events[0];
    assert_eq!(said.outcome, EventOutcome::Applied);
    let event: Value = serde_json::from_slice(&host.store.payload(said.event).await.unwrap()).unwrap();
    let number = host.erp.sales_orders()[0].number.clone();
    assert_eq!(
        (event["type"].as_str(), event["data"]["externalId"].as_str()),
        (Some("order.accepted"), Some(&*number))
    );
    let record = DecisionRecord::parse(&host.store.payload(said.decision).await.unwrap()).unwrap();
    let effects: Vec<_> = record.effects.iter().map(|effect| (effect.target.as_str(), effect.said)).collect();
    assert_eq!(effects, [("warehouse", None)], "of the order, and not of what the ERP said");
    host.verify().await.unwrap();
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test]
async fn however_often_an_answer_is_lost_each_system_gets_an_order_once() {
    let mischief = Mischief {
        throttle_per_mille: 150,
        fail_before_per_mille: 150,
        drop_after_per_mille: 300,
        ..Mischief::default()
    };
    let host = with_effects(Setup::demo().mischief(mischief)).start().await;
    let orders: Vec<_> = (0..24).map(|number| ten(&format!("PO-{number}"))).collect();
    host.decide_orders(&orders).await;
    host.come_to_rest().await;
    assert_eq!(have(&host), (24, 24));
    for number in (0..24).step_by(3) {
        cancelled(&host, 900 + number, &format!("PO-{number}")).await;
    }
    host.come_to_rest().await;
    assert_eq!((have(&host), host.codes().await), ((16, 16), Vec::<String>::new()));
    assert!(host.summary().await.retried > 0, "the systems were hard to talk to");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_that_is_cancelled_is_undone_where_it_is_by_then() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    host.come_to_rest().await;
    told(&host, "shipment.picked", order).await;
    cancelled(&host, 90, "PO-1").await;
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Cancelling), vec![]));
    assert_eq!(host.order("PO-1").await.state, OrderState::Released, "nobody has to decide about it");
    host.come_to_rest().await;
    assert_eq!((have(&host), host.process_state(order).await), ((0, 0), Some(ProcessState::Cancelled)));
    assert_eq!(host.codes().await, Vec::<String>::new());

    // Once more, in other words: it is known.
    let again =
        String::from_utf8(x12(91, &ten("PO-1"))).unwrap().replace("BEG*00*", "BEG*01*").replace("FST-1007", "FST-1008");
    host.send_edi(again.as_bytes()).await.unwrap();
    host.come_to_rest().await;
    assert_eq!((deliveries(&host, "PO-1").await.len(), host.codes().await), (4, vec![]));
    host.verify().await.unwrap();
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test]
async fn what_waits_for_the_warehouse_when_an_order_is_cancelled_never_gets_there() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    host.deliver_all().await;
    host.decide_all().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted));
    cancelled(&host, 90, "PO-1").await;
    let expected = [
        "sales-order to erp: delivered",
        "sales-order to warehouse: abandoned",
        "cancel to warehouse: pending",
        "cancel to erp: pending",
    ];
    assert_eq!(deliveries(&host, "PO-1").await, expected);
    let host = host.restart().await;
    host.come_to_rest().await;
    assert_eq!((have(&host), host.process_state(order).await), ((0, 0), Some(ProcessState::Cancelled)));
    // An ERP that has nothing to delete may have shipped and invoiced it: this one stands for a warehouse.
    let waits = host.exceptions().await;
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert!(waits[0].detail.starts_with("sales-order-gone: "), "{}", waits[0].detail);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_that_is_cancelled_while_the_erp_is_getting_it_is_undone_when_the_erp_has_it() {
    // The ERP makes the sales order, and its answer is lost.
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let host = with_effects(Setup::demo().mischief(lost)).start().await;
    let order = released(&host, "PO-1").await;
    host.deliver_due().await;
    cancelled(&host, 90, "PO-1").await;
    assert_eq!(host.codes().await, ["cancel-requested"], "nobody knows yet whether there is anything to undo");
    assert_eq!(deliveries(&host, "PO-1").await, ["sales-order to erp: in-doubt"]);
    host.come_to_rest().await;
    assert_eq!((have(&host), host.process_state(order).await), ((0, 0), Some(ProcessState::Cancelled)));
    assert_eq!(deliveries(&host, "PO-1").await, ["sales-order to erp: delivered", "cancel to erp: delivered"]);
    assert_eq!(host.codes().await, Vec::<String>::new(), "and then nobody has to");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_that_no_system_has_yet_is_kept_back_and_a_person_rejects_it() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    cancelled(&host, 90, "PO-1").await;
    assert_eq!(host.order("PO-1").await.state, OrderState::Held);
    assert_eq!(
        (deliveries(&host, "PO-1").await, host.process_state(order).await),
        (vec!["sales-order to erp: withheld".to_owned()], Some(ProcessState::Released))
    );
    assert!(host.codes().await.contains(&"cancel-requested".to_owned()));
    host.come_to_rest().await;
    assert_eq!(have(&host), (0, 0));
}

#[tokio::test]
async fn an_order_that_is_not_wanted_any_more_goes_nowhere_whoever_has_to_undo_it() {
    // Nobody undoes anything by itself here, and the ERP's answer is lost.
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let setup = with_effects(Setup::demo().mischief(lost));
    let setup = setup.replace(
        "portreeve.toml",
        "on = \"order.cancel-requested\"",
        "on = \"shipment.confirmed\"\nto = [\"cancelled\"]",
    );
    let setup = setup.replace("portreeve.toml", "from = [\"accepted\", \"picked\"]\n", "");
    let host = setup.start().await;
    let order = released(&host, "PO-1").await;
    host.deliver_due().await;
    cancelled(&host, 90, "PO-1").await;
    host.come_to_rest().await;
    assert_eq!((have(&host), host.process_state(order).await), ((1, 0), Some(ProcessState::Accepted)));
    assert_eq!(host.codes().await, ["cancel-requested"], "a person cancels what the ERP has");
    assert_eq!(deliveries(&host, "PO-1").await, ["sales-order to erp: delivered"]);
    host.verify().await.unwrap();
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test]
async fn goods_that_leave_after_their_order_was_undone_are_told() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    host.come_to_rest().await;
    cancelled(&host, 90, "PO-1").await;
    host.come_to_rest().await;
    told(&host, "shipment.confirmed", order).await;
    assert_eq!(
        (host.process_state(order).await, host.codes().await),
        (Some(ProcessState::Shipped), vec!["shipped-after-rejection".to_owned()])
    );
}

#[tokio::test]
async fn a_system_that_does_not_undo_an_order_leaves_it_to_a_person() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    host.come_to_rest().await;
    told(&host, "shipment.confirmed", order).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Shipped));
    cancelled(&host, 90, "PO-1").await;
    // No effect says what is to be done about goods that have left.
    assert_eq!(
        (host.process_state(order).await, host.codes().await),
        (Some(ProcessState::Shipped), vec!["cancel-requested".to_owned()])
    );
    assert_eq!(deliveries(&host, "PO-1").await.len(), 2, "nothing is undone");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn the_log_tells_a_delivery_of_the_order_from_one_of_what_was_said_of_it() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    host.come_to_rest().await;
    cancelled(&host, 90, "PO-1").await;
    host.come_to_rest().await;
    let leaves = host.leaves().await;
    let of_order = |leaf: &portreeve_record::LeafRecord| match &leaf.body {
        LeafBody::Attempt(attempt) if attempt.order == Some(order) => Some(attempt.event),
        _ => None,
    };
    let attempts: Vec<Option<Digest>> = leaves.iter().filter_map(of_order).collect();
    let cancel = host.store.order_trail(order).await.unwrap().unwrap().events[1].event.commitment;
    assert_eq!(attempts, [None, None, Some(cancel), Some(cancel)]);
}

/// Another warehouse, which knows orders by the names of somebody else.
fn by_other_names(setup: Setup, orders_by: &str) -> Setup {
    let says = "says = [\"shipment.picked\", \"shipment.confirmed\"]";
    setup.replace("portreeve.toml", says, &format!("{says}\norders_by = {orders_by}"))
}

/// What the warehouse says of an order by some name, once for all orders of that name.
async fn told_by_name(host: &TestHost, name: &str) {
    let boxes = json!({"value": "10", "scale": 0, "unit": "BX"});
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": boxes, "short": "none"});
    let data = json!({"orderNumber": name, "shipmentNumber": "S-1", "lines": [line]});
    let event = json!([{"specversion": "1.0", "id": name, "source": "/wms", "type": "shipment.picked", "data": data}]);
    let sent = host.send("wms", Credential::Bearer(WMS), event.to_string().as_bytes()).await.unwrap();
    assert_eq!(sent.reply.status, 202);
}

#[tokio::test]
async fn a_system_that_knows_an_order_by_what_the_erp_calls_it_moves_that_order() {
    let host = by_other_names(with_effects(Setup::demo()), "{ target = \"erp\" }").start().await;
    let (first, second) = (released(&host, "PO-1").await, released(&host, "PO-2").await);
    host.come_to_rest().await;
    let number = host.order("PO-2").await.deliveries[0].external_id.clone().unwrap();
    told_by_name(&host, &number).await;
    host.decide_all().await;
    assert_eq!(
        (host.process_state(first).await, host.process_state(second).await),
        (Some(ProcessState::Accepted), Some(ProcessState::Picked))
    );
    told_by_name(&host, "S-ORD-of-nobody").await;
    told_by_name(&host, &second.to_string()).await;
    host.decide_all().await;
    assert_eq!(host.codes().await, ["unknown-order", "unknown-order"], "it does not know the host's identifiers");
    host.verify().await.unwrap();
    assert!(matches!(host.rederive(second).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test]
async fn a_system_that_knows_an_order_by_its_senders_number_moves_it_unless_two_have_that_number() {
    for documents in [1, 256] {
        let host = by_other_names(with_effects(Setup::demo()), "{ channel = \"edi\" }").start().await;
        host.send_edi(&x12(1, &ten("PO-1"))).await.unwrap();
        told_by_name(&host, "PO-1").await;
        host.send_edi(&x12(2, &ten("PO-2"))).await.unwrap();
        host.send_edi(&x12(3, &ten("PO-2").of_customer("C1202"))).await.unwrap();
        told_by_name(&host, "PO-2").await;
        host.decide_in_batches(documents).await;
        // It waits until the ERP has the order, however the documents are cut into batches.
        let order = host.order("PO-1").await.id;
        let events = host.store.order_trail(order).await.unwrap().unwrap().events;
        assert_eq!(events[0].outcome, EventOutcome::Early, "{documents} at once: {:?}", host.exceptions().await);
        assert_eq!(host.codes().await.iter().filter(|code| *code == "ambiguous-order").count(), 1);
        host.come_to_rest().await;
        assert_eq!(host.process_state(order).await, Some(ProcessState::Picked));
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_effects_is_said_at_once() {
    let more = "
[[effect]]
on = \"invoice.posted\"
target = \"erp\"

[[effect]]
on = \"order.accepted\"
channels = [\"edi\", \"market\"]
from = [\"shipped\"]
to = [\"settled\"]
target = \"nowhere\"

[[effect]]
on = \"order.accepted\"
target = \"erp\"
kind = \"business-central/cancel\"

[[effect]]
on = \"shipment.picked\"
target = \"erp\"

[[effect]]
on = \"shipment.confirmed\"
target = \"erp\"

[[effect]]
on = \"order.cancel-requested\"
target = \"warehouse\"
sends = \"order\"
";
    let setup =
        by_other_names(with_effects(Setup::demo()), "{ target = \"elsewhere\" }").append("portreeve.toml", more);
    let folder = tempfile::tempdir().unwrap();
    let config = setup.configuration(folder.path());
    let expected = [
        "an effect on target `erp` waits for `invoice.posted`, which nobody says; add it to `says` of a channel, or as `receipt` where a target says it",
        "`orders_by` of channel `wms` is the names of target `elsewhere`, which does not exist; name one that is there",
        "an effect of `order.accepted` goes to target `nowhere`, which does not exist; add a [[target]] with that id",
        "an effect of `order.accepted` is of orders of channel `market`, which does not exist; add a [[channel]] with that id",
        "`from` of the effect of `order.accepted` on target `nowhere` has shipped, which no order is in around it; expected some of released",
        "`to` of the effect of `order.accepted` on target `nowhere` has settled",
        "send target `erp` one kind of message, with another `receipt` each",
        "effects of `shipment.picked` and `shipment.confirmed` send target `erp` one kind of message, and it would know both by one number",
        "an effect of `order.cancel-requested` sends target `warehouse` the order that is not wanted any more",
    ];
    refused(&["route", "check", "--config", config.to_str().unwrap()], &expected).await;
    let right = with_effects(Setup::demo()).configuration(folder.path());
    run(&["route", "check", "--config", right.to_str().unwrap()]).await.unwrap();
}
