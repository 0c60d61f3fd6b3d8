//! The event feed: who hears what of an order, how often, in which order and how much of it.

use std::sync::{Arc, OnceLock};

use portreeve::clock::SetClock;
use portreeve::standins::subscriber::Heard;
use portreeve::standins::{Mischief, Subscriber};
use portreeve_model::{Digest, Event, ExceptionAction, ExceptionKind, OrderId};
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::{Clock, Credential, Deliveries};
use portreeve_store::contract::OrderState;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::at_the_plugin::{Plugins, order_id};
use crate::front::commands::run;
use crate::golden;
use crate::process::{released, ten};
use crate::support::{MORNING, PurchaseOrder, ScriptedTarget, Setup, TestHost, exceptions, x12};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const WMS: &str = "token-of-the-warehouse";

const CONNECTOR: &str = "standard-webhooks";
pub(crate) const TRANSFORMER: &str = "cloudevents-documents";

/// Longer than a subscriber may take to answer.
const GRANT: &str = "{ http = [\"POST\"], limits = { wall_ms = 45000 } }";

/// The clock of the stand-ins, which begin before their host does.
#[derive(Clone, Default)]
struct Time(Arc<OnceLock<Arc<SetClock>>>);

impl Time {
    async fn subscriber(&self, mischief: Mischief) -> Subscriber {
        let clock = Arc::clone(&self.0);
        let now = move || clock.get().map_or(MORNING, |clock| clock.now());
        Subscriber::start(SECRET, mischief, now).await.unwrap()
    }

    fn is_of(&self, host: &TestHost) {
        assert!(self.0.set(Arc::clone(&host.clock)).is_ok(), "a test has one clock");
    }
}

/// The secret's file, as long as a test lasts.
struct Secret(TempDir);

impl Secret {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("feed.key"), SECRET).unwrap();
        Self(folder)
    }

    /// An entry of the configuration, with more of it below.
    fn entry(&self, id: &str, url: &str, more: &str) -> String {
        format!(
            "\n[[subscriber]]\nid = \"{id}\"\nurl = \"{url}\"\nsecret = {{ file = \"{}\" }}\nconnector = \"{CONNECTOR}\"\n\
             transformer = \"{TRANSFORMER}\"\nexception_queue = \"integration\"\n{more}\n",
            self.0.path().join("feed.key").display()
        )
    }
}

/// An ERP that accepts orders by taking them, a warehouse that says something, and the plugins of
/// the feed, which may go to these origins.
pub(crate) fn with_feed(setup: Setup, origins: &[String]) -> Setup {
    let channel = format!(
        "\n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"wms\"\n\
         connector = \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\n\
         target = \"erp\"\nexception_queue = \"integration\"\n\
         says = [\"shipment.picked\", \"shipment.confirmed\", \"invoice.posted\"]\n",
        Digest::of(WMS.as_bytes())
    );
    let egress = origins.iter().map(|origin| format!("\n[[plugin.egress]]\norigin = \"{origin}\"\n"));
    let receipt = "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"";
    setup
        .plugin(CONNECTOR, GRANT)
        .append("portreeve.toml", &egress.collect::<String>())
        .blindfolded(TRANSFORMER)
        .blindfolded("cloudevents")
        .blindfolded("cloudevents-events")
        .replace("portreeve.toml", "kind = \"business-central/sales-order\"", receipt)
        .append("portreeve.toml", &channel)
}

/// A host with one subscriber that hears everything, and what its entry says more.
async fn host_of(subscriber: &Subscriber, time: &Time, secret: &Secret, more: &str) -> TestHost {
    let setup = with_feed(Setup::demo(), &[subscriber.origin()]);
    let host = setup.append("portreeve.toml", &secret.entry("crm", &subscriber.url(), more)).start().await;
    time.is_of(&host);
    host
}

/// The warehouse says something of ten boxes.
async fn told(host: &TestHost, kind: &str, order: OrderId) {
    let boxes = json!({"value": "10", "scale": 0, "unit": "BX"});
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": boxes, "short": "none"});
    let data = json!({"orderNumber": order, "shipmentNumber": "S-1", "tracking": ["1Z999"], "lines": [line]});
    let id = format!("{kind} of {order}");
    let event = json!([{"specversion": "1.0", "id": id, "source": "/wms", "type": kind, "data": data}]);
    let sent = host.send("wms", Credential::Bearer(WMS), event.to_string().as_bytes()).await.unwrap();
    assert_eq!(sent.reply.status, 202);
    host.decide_all().await;
}

/// An order from its release to its invoice's shipment.
pub(crate) async fn shipped(host: &TestHost, number: &str) -> OrderId {
    let order = released(host, number).await;
    host.come_to_rest().await;
    told(host, "shipment.picked", order).await;
    told(host, "shipment.confirmed", order).await;
    host.come_to_rest().await;
    order
}

/// What a subscriber heard of an order, in the order in which it did.
fn of(heard: &[Heard], order: OrderId) -> Vec<&str> {
    heard.iter().filter(|heard| heard.subject == order.to_string()).map(|heard| heard.kind.as_str()).collect()
}

pub(crate) const WHOLE: [&str; 4] = ["order.created", "order.accepted", "shipment.picked", "shipment.confirmed"];

#[tokio::test]
async fn a_subscriber_hears_what_counts_of_an_order_signed_and_in_its_order() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    let order = shipped(&host, "PO-1").await;
    let heard = crm.ledger();
    assert_eq!((of(&heard, order), crm.refusals()), (WHOLE.to_vec(), Vec::<String>::new()));
    assert!(heard.iter().all(|heard| (heard.times, heard.changed) == (1, 0)));

    let view = host.order("PO-1").await;
    let created = &heard[0];
    assert_eq!(created.id, format!("{order}-{}", view.position.0));
    assert_eq!(created.source, "//portreeve.example/demo/v1/channels/edi");
    assert_eq!(created.time, "2026-03-02T08:00:00.000Z");
    assert_eq!(heard[1].source, "//portreeve.example/demo/v1/channels/receipts", "the host's own word");
    assert_eq!(heard[2].source, "//portreeve.example/demo/v1/channels/wms");
    assert_eq!(heard[3].data["lines"][0]["shipped"], json!({"value": "10", "scale": 0, "unit": "BX"}));
    assert!(created.webhook_id.starts_with("msg_"), "{}", created.webhook_id);

    let report = host.verify().await.unwrap();
    assert_eq!(report.kinds.attempt, 5, "one of the ERP's, and each message was on record before it left");
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(_)));
    assert_eq!(host.codes().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_said_again_or_too_early_is_told_once_and_when_it_counts() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    let order = released(&host, "PO-1").await;
    // Before the ERP has the order: it waits for that.
    told(&host, "shipment.picked", order).await;
    host.deliver_due().await;
    assert_eq!(of(&crm.ledger(), order), ["order.created"]);
    host.come_to_rest().await;
    assert_eq!(of(&crm.ledger(), order), ["order.created", "order.accepted", "shipment.picked"]);
    // The same again in a message of its own.
    let boxes = json!({"value": "10", "scale": 0, "unit": "BX"});
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": boxes, "short": "none"});
    let data = json!({"orderNumber": order, "shipmentNumber": "S-1", "tracking": ["1Z999"], "lines": [line]});
    let again =
        json!([{"specversion": "1.0", "id": "again", "source": "/wms", "type": "shipment.picked", "data": data}]);
    host.send("wms", Credential::Bearer(WMS), again.to_string().as_bytes()).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(of(&crm.ledger(), order).len(), 3);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_is_told_when_it_is_released_and_not_when_it_is_held() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "events = [\"order.created\"]").await;
    // Far below the list price.
    let cheap = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "1.00")]);
    host.send_edi(&x12(1, &cheap)).await.unwrap();
    host.come_to_rest().await;
    let held = host.order("PO-1").await;
    assert_eq!((held.state, crm.ledger().len()), (OrderState::Held, 0), "{}", held.why);
    let kept = host.store.kept_back_order(held.id).await.unwrap().unwrap();
    let holds: Vec<u64> = kept.open_holds().map(|hold| hold.number).collect();
    exceptions::release(&host, &host.ops().await, held.id, &holds).await.unwrap();
    host.come_to_rest().await;
    let heard = crm.ledger();
    assert_eq!(of(&heard, held.id), ["order.created"]);
    assert_eq!(heard[0].time, "2026-03-02T08:00:00.000Z", "when it came");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn that_people_rejected_an_order_is_told_though_nobody_paid_it_and_no_system_says_so() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "events = [\"order.rejected\"]").await;
    let cheap = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "1.00")]);
    host.send_edi(&x12(1, &cheap)).await.unwrap();
    host.come_to_rest().await;
    let held = host.order("PO-1").await.id;
    let exception = exceptions::about(&host, held, ExceptionKind::Held).await.unwrap();
    exceptions::decide(&host, &host.ops().await, exception, ExceptionAction::Reject).await.unwrap();
    host.come_to_rest().await;
    let heard = crm.ledger();
    assert_eq!((of(&heard, held), host.codes().await), (vec!["order.rejected"], vec![]));
    assert_eq!(heard[0].source, "//portreeve.example/demo/v1/channels/rejections", "the host's own word");
    host.verify().await.unwrap();
    assert!(matches!(host.rederive(held).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_comes_again_with_the_same_id_and_the_same_bytes() {
    let (time, secret) = (Time::default(), Secret::new());
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let crm = time.subscriber(lost).await;
    let host = host_of(&crm, &time, &secret, "").await;
    let order = shipped(&host, "PO-1").await;
    let heard = crm.ledger();
    assert_eq!(of(&heard, order), WHOLE, "each is one message, in order");
    assert!(heard.iter().all(|heard| (heard.times, heard.changed) == (3, 0)), "{heard:?}");
    assert_eq!(host.codes().await, Vec::<String>::new(), "nobody is asked to look");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn however_hard_a_subscriber_is_to_talk_to_it_has_each_message_once_in_the_end() {
    let (time, secret) = (Time::default(), Secret::new());
    let bad = Mischief {
        throttle_per_mille: 200,
        fail_before_per_mille: 200,
        drop_after_per_mille: 200,
        reject_per_mille: 200,
        ..Mischief::default()
    };
    let crm = time.subscriber(bad).await;
    let host = host_of(&crm, &time, &secret, "").await;
    let orders: Vec<PurchaseOrder> = (0..12).map(|number| ten(&format!("PO-{number}"))).collect();
    let orders = host.decide_orders(&orders).await;
    host.deliver_due().await;
    // A crash changes nothing.
    let host = host.restart().await;
    host.come_to_rest().await;
    let heard = crm.ledger();
    for order in &orders {
        assert_eq!(of(&heard, order.id), ["order.created", "order.accepted"]);
    }
    assert!(heard.iter().any(|heard| heard.times > 1) && heard.iter().all(|heard| heard.changed == 0));
    assert_eq!((crm.refusals(), host.codes().await), (vec![], vec![]));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn two_subscribers_hear_all_that_they_asked_for_and_one_that_is_down_keeps_nobody_waiting() {
    let (time, secret) = (Time::default(), Secret::new());
    let (crm, lake) = (time.subscriber(Mischief::default()).await, time.subscriber(Mischief::default()).await);
    let setup = with_feed(Setup::demo(), &[crm.origin(), lake.origin(), "http://127.0.0.1:9".to_owned()])
        .append(
            "portreeve.toml",
            &secret.entry("crm", &crm.url(), "events = [\"order.created\", \"shipment.confirmed\"]"),
        )
        .append("portreeve.toml", &secret.entry("lake", &lake.url(), ""))
        .append("portreeve.toml", &secret.entry("shop-feed", &lake.url(), "channels = [\"shop\"]"))
        .append("portreeve.toml", &secret.entry("down", "http://127.0.0.1:9/hook", ""));
    let host = setup.start().await;
    time.is_of(&host);
    let order = released(&host, "PO-1").await;
    for kind in ["shipment.picked", "shipment.confirmed"] {
        host.deliver_due().await;
        host.decide_all().await;
        told(&host, kind, order).await;
    }
    for _ in 0..6 {
        host.deliver_due().await;
    }
    assert_eq!(of(&crm.ledger(), order), ["order.created", "shipment.confirmed"]);
    assert_eq!(of(&lake.ledger(), order), WHOLE, "and nothing of another channel's orders");
    assert_eq!(host.erp.sales_orders().len(), 1);
    let pending: Vec<_> =
        host.order("PO-1").await.deliveries.into_iter().filter(|one| one.state == "pending").collect();
    assert_eq!(pending.iter().map(|one| one.target.as_str()).collect::<Vec<_>>(), ["down"; 4]);
    let ids =
        |heard: Vec<Heard>| heard.into_iter().map(|heard| heard.webhook_id).collect::<std::collections::BTreeSet<_>>();
    assert!(ids(crm.ledger()).is_disjoint(&ids(lake.ledger())), "a message is one subscriber's");
    // After its deadline a person hears of the first of the order, behind which the others wait.
    host.deliver_all().await;
    assert_eq!(host.codes().await, ["deadline"]);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn who_wants_to_hear_no_more_is_a_persons_to_look_at_and_hears_it_when_it_is_back() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    crm.leave(true);
    let order = released(&host, "PO-1").await;
    host.deliver_all().await;
    assert_eq!(crm.ledger().len(), 0);
    let waits = host.exceptions().await;
    assert_eq!(waits.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(), ["gone"]);
    assert!(waits[0].detail.contains("answered 410"), "{}", waits[0].detail);
    host.decide_all().await;
    host.deliver_all().await;
    assert_eq!(host.exceptions().await.len(), 1, "what comes later of the order waits behind it");

    crm.leave(false);
    exceptions::decide(&host, &host.ops().await, waits[0].id, ExceptionAction::Retry).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(of(&crm.ledger(), order), ["order.created", "order.accepted"]);
    host.verify().await.unwrap();
}

/// Delivers as `serve` does until nothing more is claimed; how much was.
async fn delivered_as_by_serve(host: &TestHost) -> usize {
    let mut deliveries = Deliveries::waiting(Arc::clone(&host.host.pipeline), 64);
    let mut all = 0;
    loop {
        let started = deliveries.start_due().await.unwrap();
        while let Some(ended) = deliveries.ended().await {
            assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        }
        if started == 0 {
            return all;
        }
        all += started;
    }
}

#[tokio::test]
async fn of_a_subscriber_that_is_gone_people_hear_once_and_its_messages_wait_as_a_whole() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    crm.leave(true);
    // Twelve orders side by side, and one that comes later.
    let orders: Vec<PurchaseOrder> = (0..12).map(|number| ten(&format!("PO-{number}"))).collect();
    host.decide_orders(&orders).await;
    delivered_as_by_serve(&host).await;
    assert_eq!(host.codes().await, ["gone"], "not one for each order");
    host.send_edi(&x12(90, &ten("PO-12"))).await.unwrap();
    host.decide_all().await;
    // Longer than any message is tried for.
    for hours in [0, 1, 40, 100] {
        host.clock.advance_to(host.clock.now().plus_ms(hours * 3_600_000));
        let attempts = attempts_to(&host, "crm").await;
        delivered_as_by_serve(&host).await;
        assert_eq!(attempts_to(&host, "crm").await, attempts, "nobody is asked again");
        assert_eq!((host.codes().await, crm.ledger().len()), (vec!["gone".to_owned()], 0), "however long it takes");
    }
    assert_eq!(host.erp.sales_orders().len(), 13, "others go on");
    // Who only comes now and then leaves them as well.
    host.deliver_due().await;
    assert_eq!((host.codes().await, crm.ledger().len()), (vec!["gone".to_owned()], 0));

    // It is not back yet: that is seen by one message.
    let attempts = attempts_to(&host, "crm").await;
    let waits = host.exceptions().await.remove(0);
    exceptions::decide(&host, &host.ops().await, waits.id, ExceptionAction::Retry).await.unwrap();
    assert_eq!(delivered_as_by_serve(&host).await, 1);
    assert_eq!(attempts_to(&host, "crm").await, attempts + 1);
    assert_eq!((host.codes().await, crm.ledger().len()), (vec!["gone".to_owned()], 0));
    host.clock.advance_to(host.clock.now().plus_ms(100 * 3_600_000));

    // When it is back all of it goes at once, the first of it first: one after the other, to see that.
    crm.leave(false);
    let setup = with_feed(Setup::demo(), &[crm.origin()]);
    let host =
        host.restart_as(setup.append("portreeve.toml", &secret.entry("crm", &crm.url(), "deliveries_max = 1"))).await;
    assert_eq!(delivered_as_by_serve(&host).await, 0, "not before somebody says so");
    let waits = host.exceptions().await.remove(0);
    exceptions::decide(&host, &host.ops().await, waits.id, ExceptionAction::Retry).await.unwrap();
    delivered_as_by_serve(&host).await;
    let heard = crm.ledger();
    let created = heard.iter().filter(|heard| heard.kind == "order.created");
    let mut expected = Vec::new();
    for number in 0..13 {
        expected.push(host.order(&format!("PO-{number}")).await.id.to_string());
    }
    assert_eq!(created.map(|heard| heard.subject.clone()).collect::<Vec<_>>(), expected);
    host.decide_all().await;
    delivered_as_by_serve(&host).await;
    assert_eq!((host.codes().await, host.summary().await.pending), (vec![], 0));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_host_that_starts_after_people_saw_to_a_subscriber_that_is_gone_finds_out_by_one_message() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    crm.leave(true);
    let orders: Vec<PurchaseOrder> = (0..12).map(|number| ten(&format!("PO-{number}"))).collect();
    host.decide_orders(&orders).await;
    delivered_as_by_serve(&host).await;
    let attempts = attempts_to(&host, "crm").await;
    let waits = host.exceptions().await.remove(0);
    exceptions::decide(&host, &host.ops().await, waits.id, ExceptionAction::Retry).await.unwrap();
    let host = host.restart().await;
    delivered_as_by_serve(&host).await;
    assert_eq!(attempts_to(&host, "crm").await, attempts + 1);
    assert_eq!((host.codes().await, crm.ledger().len()), (vec!["gone".to_owned()], 0));
    crm.leave(false);
    let waits = host.exceptions().await.remove(0);
    exceptions::decide(&host, &host.ops().await, waits.id, ExceptionAction::Retry).await.unwrap();
    let host = host.restart().await;
    host.come_to_rest().await;
    assert_eq!((host.codes().await, host.summary().await.pending), (vec![], 0));
    let created = crm.ledger().into_iter().filter(|heard| heard.kind == "order.created").count();
    assert_eq!(created, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_though_messages_wait_for_a_subscriber_that_is_gone() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    crm.leave(true);
    host.decide_orders(&[ten("PO-1"), ten("PO-2")]).await;
    host.deliver_due().await;
    assert_eq!(host.codes().await, ["gone"]);
    assert!(host.summary().await.pending > 0, "the others wait");
    let stopped = host.stop().await;
    let file = stopped.folder().join("po.edi");
    std::fs::write(&file, x12(90, &ten("PO-3"))).unwrap();
    let (data, file) = (stopped.folder().to_str().unwrap(), file.to_str().unwrap());
    let drain = ["ingest", "--channel", "edi", "--data-dir", data, "--drain", file];
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), run(&drain)).await;
    let told = ended.expect("it waits for ever").unwrap();
    assert!(told.contains("accepted"), "{told}");
    assert_eq!(crm.ledger().len(), 0);
}

#[tokio::test]
async fn what_is_due_next_is_what_somebody_takes_though_a_subscriber_is_gone() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    // Each order is turned away at first, and wanted a second later.
    let busy = Mischief { throttle_per_mille: 1_000, ..Mischief::default() };
    let setup = with_feed(Setup::demo().mischief(busy), &[crm.origin()]);
    let host = setup.append("portreeve.toml", &secret.entry("crm", &crm.url(), "")).start().await;
    time.is_of(&host);
    crm.leave(true);
    host.decide_orders(&[ten("PO-1"), ten("PO-2")]).await;
    host.deliver_due().await;
    assert_eq!(host.codes().await, ["gone"]);
    let now = host.clock.now();
    assert!(host.store.next_due().await.unwrap().is_some_and(|due| due <= now), "the subscriber's messages wait");
    let due = host.host.pipeline.next_due().await.unwrap().unwrap();
    assert!(due > now && due <= now.plus_ms(60_000), "{due:?} is not when the ERP is asked again");
}

/// Attempts to a target so far.
async fn attempts_to(host: &TestHost, target: &str) -> u32 {
    let orders = host.orders().await.into_iter();
    let deliveries = orders.flat_map(|order| order.deliveries).filter(|delivery| delivery.target == target);
    deliveries.map(|delivery| delivery.attempts).sum()
}

#[tokio::test]
async fn what_waits_for_a_subscriber_that_was_taken_out_is_told_to_people() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    let order = released(&host, "PO-1").await;
    let without = with_feed(Setup::demo(), &[]);
    let host = host.restart_as(without).await;
    host.come_to_rest().await;
    assert_eq!((of(&crm.ledger(), order).len(), host.codes().await), (0, vec!["no-target".to_owned()]));
    let deliveries = host.order("PO-1").await.deliveries;
    let states: Vec<_> = deliveries.iter().map(|one| (one.target.as_str(), one.state.as_str())).collect();
    assert_eq!(states, [("erp", "delivered"), ("crm", "dead")], "what was said later is not for it any more");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_wish_to_cancel_stops_the_order_and_not_the_word_of_it() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    let order = released(&host, "PO-1").await;
    let cancel = String::from_utf8(x12(90, &ten("PO-1"))).unwrap().replace("BEG*00*", "BEG*01*");
    host.send_edi(cancel.as_bytes()).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(host.erp.sales_orders().len(), 0);
    assert_eq!(of(&crm.ledger(), order), ["order.created"], "it had been released");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_points_at_somebody_is_masked_unless_the_subscription_names_it() {
    let (time, secret) = (Time::default(), Secret::new());
    let (crm, lake) = (time.subscriber(Mischief::default()).await, time.subscriber(Mischief::default()).await);
    let fields = "fields = [\"order.number\", \"customer.id\", \"ship-to\", \"line.sku\"]";
    let setup = with_feed(Setup::demo(), &[crm.origin(), lake.origin()])
        .append("portreeve.toml", &secret.entry("crm", &crm.url(), fields))
        .append("portreeve.toml", &secret.entry("lake", &lake.url(), ""));
    let host = setup.start().await;
    time.is_of(&host);
    for number in ["PO-1", "PO-2"] {
        shipped(&host, number).await;
    }
    let (seen, masked) = (crm.ledger(), lake.ledger());
    let created = |heard: &[Heard]| -> Vec<Value> {
        heard.iter().filter(|heard| heard.kind == "order.created").map(|heard| heard.data.clone()).collect()
    };
    let (open, closed) = (created(&seen), created(&masked));
    assert_eq!((&open[0]["number"], &open[0]["lines"][0]["sku"]), (&json!("PO-1"), &json!("FST-1007")));
    let text = serde_json::to_string(&closed).unwrap();
    for hidden in ["PO-1", "FST-1007", open[0]["customer"]["id"].as_str().unwrap()] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    assert!(closed[0]["customer"]["id"].as_str().unwrap().starts_with("masked-"));
    assert_eq!(closed[0]["customer"]["id"], closed[1]["customer"]["id"], "one customer is one");
    assert_ne!(closed[0]["number"], closed[1]["number"], "and two orders are two");
    assert_eq!(closed[0]["lines"][0]["quantity"], open[0]["lines"][0]["quantity"]);
    assert_eq!((closed[0]["shipTo"]["lines"].clone(), closed[0]["shipTo"].get("name")), (json!([]), None));

    let picked = |heard: &[Heard]| heard.iter().find(|heard| heard.kind == "shipment.picked").unwrap().data.clone();
    let (open, closed) = (picked(&seen), picked(&masked));
    assert_eq!((&open["tracking"], &closed["tracking"]), (&json!(["1Z999"]), &json!([])));
    assert_eq!(closed["orderNumber"], open["orderNumber"], "the host's id, which the envelope says anyway");
    assert!(closed["lines"][0]["sku"].as_str().unwrap().starts_with("masked-"));
}

#[tokio::test]
async fn what_is_signed_with_another_secret_is_refused_and_a_new_secret_counts_from_the_next_attempt_on() {
    let (time, secret) = (Time::default(), Secret::new());
    let crm = time.subscriber(Mischief::default()).await;
    let host = host_of(&crm, &time, &secret, "").await;
    released(&host, "PO-1").await;
    // Another secret on the host's side: what it sends now is refused as forged.
    std::fs::write(secret.0.path().join("feed.key"), "whsec_c2VjcmV0LW9mLXNvbWVib2R5LWVsc2Ut").unwrap();
    host.deliver_due().await;
    assert_eq!((crm.ledger().len(), crm.refusals()), (0, vec!["no signature fits".to_owned()]));
    // The right one counts from the next attempt on, without a restart.
    std::fs::write(secret.0.path().join("feed.key"), SECRET).unwrap();
    host.deliver_all().await;
    assert_eq!(crm.ledger().len(), 1);
}

#[tokio::test]
async fn every_answer_but_2xx_and_410_means_later_and_after_as_long_as_it_says() {
    for (status, retried) in [
        (200, false),
        (204, false),
        (301, true),
        (400, true),
        (404, true),
        (422, true),
        (429, true),
        (500, true),
        (503, true),
    ] {
        let secret = Secret::new();
        let target = ScriptedTarget::start(move |_, _| async move { (status, String::new()) }).await;
        let setup = with_feed(Setup::demo(), &[target.origin().to_owned()]);
        let entry = secret.entry("crm", &format!("{}/hook", target.origin()), "deadline_minutes = 30");
        let host = setup.append("portreeve.toml", &entry).start().await;
        released(&host, "PO-1").await;
        host.deliver_due().await;
        let delivery = host.order("PO-1").await.deliveries.into_iter().find(|one| one.target == "crm").unwrap();
        assert_eq!(delivery.state, if retried { "pending" } else { "delivered" }, "{status}");
        host.deliver_all().await;
        let expected: &[&str] = if retried { &["deadline"] } else { &[] };
        assert_eq!(host.codes().await, expected, "{status}");
    }
}

#[tokio::test]
async fn every_event_is_rendered_as_the_host_itself_reads_it() {
    let plugins = Plugins::of(Setup::demo().blindfolded(TRANSFORMER)).await;
    let settings = [("event-id", "ID"), ("event-source", "/here"), ("event-time", "2026-03-02T08:00:00.000Z")];
    for event in golden::examples() {
        let rendered = plugins.rendered(TRANSFORMER, "cloudevents/event", event.clone(), &settings).await;
        if let Event::Other(_) = event {
            assert!(rendered.is_err(), "it has no name");
            continue;
        }
        let message = rendered.unwrap();
        assert_eq!(message.content_type, "application/cloudevents+json");
        let envelope: Value = serde_json::from_slice(&message.body).unwrap();
        let said = json!({"type": envelope["type"], "data": envelope["data"]});
        assert_eq!(Event::from_json(said.to_string().as_bytes()).unwrap(), event);
        assert_eq!(envelope["type"], event.name());
        let attributes = ["specversion", "id", "source", "subject", "time", "datacontenttype", "dataschema"];
        let expected = json!([
            "1.0",
            "ID",
            "/here",
            order_id(),
            "2026-03-02T08:00:00.000Z",
            "application/json",
            "portreeve:plugin@0.1.0"
        ]);
        assert_eq!(attributes.map(|name| envelope[name].clone()).to_vec(), *expected.as_array().unwrap());
    }
    let bare = plugins.rendered(TRANSFORMER, "cloudevents/event", golden::examples().remove(0), &[]).await;
    assert!(format!("{bare:?}").contains("event-id"), "{bare:?}");
}

#[tokio::test]
async fn a_subscription_that_cannot_be_kept_is_refused_with_all_that_is_wrong() {
    let secret = Secret::new();
    let setup = with_feed(Setup::demo(), &["http://127.0.0.1:9".to_owned()])
        .append("portreeve.toml", &secret.entry("erp", "http://127.0.0.1:9/a", ""))
        .append("portreeve.toml", &secret.entry("CRM", "http://127.0.0.1:9/a", "events = [\"order.paid\"]"))
        .append("portreeve.toml", &secret.entry("b", "http://127.0.0.1:9/a", "events = [\"order.cancel-requested\"]"))
        .append("portreeve.toml", &secret.entry("c", "http://127.0.0.1:9/a", "events = [\"payment.settled\"]"))
        .append("portreeve.toml", &secret.entry("d", "http://hooks.example/a", "fields = [\"everything\"]"))
        .append(
            "portreeve.toml",
            &secret.entry("e", "http://127.0.0.1:9/a", "channels = [\"nowhere\"]\ndeadline_minutes = 0"),
        )
        .append("portreeve.toml", "\n[[effect]]\non = \"order.accepted\"\ntarget = \"b\"\nsends = \"order\"\n");
    let Err(refused) = setup.try_start().await else { panic!("it starts") };
    let refused = format!("{refused:#}");
    for expected in [
        "subscriber `erp` is there twice; give each its own id, among targets and subscribers",
        "[[subscriber]] `CRM`: `id` is none",
        "[[subscriber]] `CRM`: `order.paid` is told of no order; expected some of order.created, ",
        "[[subscriber]] `b`: it waits for `order.cancel-requested`, which nobody says; add an [[effect]]",
        "[[subscriber]] `c`: it waits for `payment.settled`, which nobody says; add it to `says`",
        "[[subscriber]] `d`: `url` is http, where everybody on the way can read it",
        "[[subscriber]] `d`: `fields` has `everything`; expected some of order.number, ",
        "[[subscriber]] `e`: channel `nowhere` does not exist",
        "[[subscriber]] `e`: `deadline_minutes` is 0",
        "an effect of `order.accepted` sends to `b`, a subscriber",
    ] {
        assert!(refused.contains(expected), "{expected}\n{refused}");
    }
    assert!(refused.contains("has 10 problem(s)"), "{refused}");

    // A secret that nobody can sign with does not become active.
    std::fs::write(secret.0.path().join("feed.key"), "s3cret").unwrap();
    let setup = with_feed(Setup::demo(), &["http://127.0.0.1:9".to_owned()]);
    let setup = setup.append("portreeve.toml", &secret.entry("crm", "http://127.0.0.1:9/a", ""));
    let Err(refused) = setup.try_start().await else { panic!("it starts") };
    let refused = format!("{refused:#}");
    assert!(refused.contains("openssl rand -base64 32") && !refused.contains("s3cret"), "{refused}");
}

#[tokio::test]
async fn the_catalogue_says_of_each_event_whose_word_it_is_and_who_hears_it() {
    let secret = Secret::new();
    let setup = with_feed(Setup::demo(), &["http://127.0.0.1:9".to_owned()]).append(
        "portreeve.toml",
        &secret.entry(
            "crm",
            "http://127.0.0.1:9/a",
            "events = [\"order.created\", \"shipment.confirmed\"]\nfields = [\"line.sku\"]",
        ),
    );
    let host = setup.start().await;
    let door = host.front_door().await;
    let asked: Value = serde_json::from_str(&door.ask("/v1/events/catalogue").await).unwrap();
    let config = host.folder().join("config");
    let read: Value = serde_json::from_str(
        &run(&["route", "catalogue", "--config", config.to_str().unwrap(), "--json"]).await.unwrap(),
    )
    .unwrap();
    assert_eq!(asked, read);
    let events = asked["events"].as_array().unwrap();
    assert_eq!(events.len(), 19);
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    let crm = json!({"kind": "subscriber", "id": "crm", "channels": [], "sees": ["line.sku"]});
    assert_eq!(of("shipment.confirmed")["saidBy"], json!([{"kind": "system", "id": "wms"}]));
    assert_eq!(of("shipment.confirmed")["consumers"], json!([crm]));
    assert_eq!(of("order.accepted")["saidBy"], json!([{"kind": "target", "id": "erp"}]));
    assert_eq!(of("order.accepted")["consumers"], json!([]));
    assert_eq!(of("order.rejected")["saidBy"], json!([{"kind": "host"}]), "people may reject any");
    let created = of("order.created")["consumers"].as_array().unwrap();
    assert_eq!((created.len(), &created[1]), (2, &crm), "{created:?}");
    assert_eq!(created[0]["id"], "erp");
    assert_eq!(
        (of("order.changed")["isTold"].clone(), of("payment.settled")["saidBy"].clone()),
        (json!(false), json!([]))
    );

    let text = run(&["route", "catalogue", "--config", config.to_str().unwrap()]).await.unwrap();
    assert!(text.contains("shipment.confirmed: What has left"), "{text}");
    assert!(text.contains("  said by system of wms\n  told to crm; it sees line.sku\n"), "{text}");
}
