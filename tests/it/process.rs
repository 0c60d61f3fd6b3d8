//! Orders on their way from release to payment, as systems speak of them: in turn, out of
//! turn, twice, in contradiction, and without being entitled to.

use std::collections::BTreeMap;
use std::path::Path;

use portreeve_model::{Digest, ExceptionAction, ExceptionKind, OrderId, ProcessState};
use portreeve_pipeline::Credential;
use portreeve_pipeline::decision::DecisionRecord;
use portreeve_pipeline::process::Progress;
use portreeve_pipeline::rederive::Rederived;
use portreeve_record::LeafBody;
use portreeve_record::leaf::DecidedState;
use portreeve_store::contract::{EARLY_EVENT, EARLY_MAX, EventOutcome, OrderState};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::front::commands::{refused, run};
use crate::support::{PurchaseOrder, Setup, TestHost, exceptions, x12};

const WMS: &str = "token-of-the-warehouse";
const FINANCE: &str = "token-of-finance";

/// A warehouse and a finance system that speak to the demo's host, each of what is its own.
pub(crate) fn with_systems(setup: Setup) -> Setup {
    let channel = |id: &str, token: &str, says: &str| {
        format!(
            "\n[[sender]]\nchannel = \"{id}\"\nid = \"{id}\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"{id}\"\n\
             connector = \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\n\
             target = \"erp\"\nexception_queue = \"integration\"\nsays = [{says}]\n",
            Digest::of(token.as_bytes())
        )
    };
    let warehouse = "\"order.accepted\", \"inventory.allocated\", \"shipment.picked\", \"shipment.packed\", \
                     \"shipment.dispatched\", \"shipment.confirmed\", \"return.requested\", \"return.received\"";
    let finance = "\"invoice.posted\", \"payment.settled\", \"refund.issued\"";
    setup
        .blindfolded("cloudevents")
        .blindfolded("cloudevents-events")
        .append("portreeve.toml", &channel("wms", WMS, warehouse))
        .append("portreeve.toml", &channel("finance", FINANCE, finance))
}

async fn host() -> TestHost {
    with_systems(Setup::demo()).start().await
}

/// An order of ten boxes, which the demo's rules release.
pub(crate) fn ten(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", 10, "BX", "18.40")])
}

pub(crate) async fn released(host: &TestHost, number: &str) -> OrderId {
    let control = u32::try_from(host.orders().await.len()).unwrap() + 1;
    host.send_edi(&x12(control, &ten(number))).await.unwrap();
    host.decide_all().await;
    let order = host.order(number).await;
    assert_eq!(order.state, OrderState::Released, "{}", order.why);
    order.id
}

/// Something that a system says, as a CloudEvent; its id is what it says.
pub(crate) fn said(kind: &str, data: Value) -> Value {
    let id = Digest::of(format!("{kind}{data}").as_bytes()).to_string();
    json!({"specversion": "1.0", "id": id, "source": "/tests", "type": kind, "data": data})
}

pub(crate) fn boxes(count: i64) -> Value {
    json!({"value": count.to_string(), "scale": 0, "unit": "BX"})
}

fn usd(minor: i64) -> Value {
    json!({"minor": minor.to_string(), "currency": "USD"})
}

pub(crate) fn accepted(order: OrderId) -> Value {
    said("order.accepted", json!({"orderNumber": order, "lines": []}))
}

pub(crate) fn shipment(kind: &str, order: OrderId, number: &str, count: i64, short: &str) -> Value {
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": boxes(count), "short": short});
    said(kind, json!({"orderNumber": order, "shipmentNumber": number, "lines": [line]}))
}

pub(crate) fn confirmed(order: OrderId, number: &str, count: i64) -> Value {
    shipment("shipment.confirmed", order, number, count, "none")
}

pub(crate) fn invoice(order: OrderId, number: &str, count: i64) -> Value {
    let price = json!({"amount": "1840", "scale": 2, "currency": "USD", "perQuantity": 1});
    let line = json!({
        "lineNumber": "1", "quantity": boxes(count), "unitPrice": price, "extended": usd(count * 1_840),
    });
    let total = usd(count * 1_840);
    said("invoice.posted", json!({"invoiceNumber": number, "orderNumber": order, "lines": [line], "total": total}))
}

pub(crate) fn paid(order: OrderId, reference: &str, invoice: &str, minor: i64) -> Value {
    let data = json!({
        "paymentReference": reference, "orderNumber": order, "invoiceNumber": invoice, "amount": usd(minor),
    });
    said("payment.settled", data)
}

/// Whoever may say it says it, in one batch of one event.
pub(crate) async fn tell(host: &TestHost, event: &Value) {
    let kind = event["type"].as_str().unwrap();
    let finance = ["invoice.posted", "payment.settled", "refund.issued"].contains(&kind);
    let (channel, token) = if finance { ("finance", FINANCE) } else { ("wms", WMS) };
    tell_as(host, channel, token, event).await;
}

async fn tell_as(host: &TestHost, channel: &str, token: &str, event: &Value) {
    let body = Value::from(vec![event.clone()]).to_string();
    let accepted = host.send(channel, Credential::Bearer(token), body.as_bytes()).await.unwrap();
    assert_eq!(accepted.reply.status, 202, "{}", String::from_utf8_lossy(&accepted.reply.body));
}

pub(crate) async fn told(host: &TestHost, events: &[Value]) {
    for event in events {
        tell(host, event).await;
    }
    host.decide_all().await;
}

/// How far an order is, if any event moved it.
async fn progress(host: &TestHost, order: OrderId) -> Option<Progress> {
    let found = host.store.order_trail(order).await.unwrap().unwrap().progress?;
    let record = DecisionRecord::parse(&host.store.payload(found.record).await.unwrap()).unwrap();
    let progress = record.process.unwrap().progress.unwrap();
    assert_eq!(progress.state, found.state);
    Some(progress)
}

async fn state(host: &TestHost, order: OrderId) -> ProcessState {
    progress(host, order).await.map_or(ProcessState::Released, |progress| progress.state)
}

async fn outcomes(host: &TestHost, order: OrderId) -> Vec<EventOutcome> {
    let events = host.store.order_trail(order).await.unwrap().unwrap().events;
    events.into_iter().map(|event| event.outcome).collect()
}

async fn codes(host: &TestHost) -> Vec<String> {
    host.exceptions().await.into_iter().map(|exception| exception.code).collect()
}

/// All that is said of an order that ships in two parts, in the order in which it happens.
fn history(order: OrderId) -> Vec<Value> {
    vec![
        accepted(order),
        shipment("shipment.picked", order, "S-1", 6, "none"),
        shipment("shipment.packed", order, "S-1", 6, "none"),
        confirmed(order, "S-1", 6),
        invoice(order, "I-1", 6),
        shipment("shipment.confirmed", order, "S-2", 3, "no-backorder"),
        invoice(order, "I-2", 3),
        paid(order, "P-1", "I-1", 6 * 1_840),
        paid(order, "P-2", "I-2", 3 * 1_840),
    ]
}

#[tokio::test]
async fn what_systems_say_moves_an_order_from_its_release_to_its_payment() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    host.deliver_all().await;
    use ProcessState::{Accepted, Invoiced, PartShipped, Settled, Shipped};
    let states = [Accepted, Accepted, Accepted, PartShipped, PartShipped, Shipped, Invoiced, Invoiced, Settled];
    for (event, expected) in history(order).iter().zip(states) {
        told(&host, std::slice::from_ref(event)).await;
        assert_eq!(state(&host, order).await, expected, "after {}", event["type"]);
    }
    let found = progress(&host, order).await.unwrap();
    let line = &found.lines["1"];
    assert_eq!((line.shipped, line.cancelled(), line.invoiced), (9, 1, 9), "the warehouse closed the last box");
    assert_eq!((found.money.invoiced_minor, found.money.paid_minor), (9 * 1_840, 9 * 1_840));
    assert_eq!(
        (outcomes(&host, order).await, codes(&host).await),
        (vec![EventOutcome::Applied; 9], Vec::<String>::new())
    );

    let leaves = host.leaves().await;
    let on_record = leaves.iter().filter(|leaf| {
        matches!(&leaf.body, LeafBody::Decide(decide) if decide.about == Some(order) && decide.state == DecidedState::Applied)
    });
    assert_eq!(on_record.count(), 9, "one leaf for each");
    let host = host.restart().await;
    assert_eq!(progress(&host, order).await.unwrap(), found);
    host.verify().await.unwrap();
}

#[test]
fn however_systems_speak_out_of_turn_and_twice_and_hosts_end_in_between_the_order_arrives_once() {
    let shuffled = Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle();
    let again = proptest::collection::vec(0..9_usize, 0..5);
    let cuts = proptest::collection::vec(1..5_u32, 14);
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    runner
        .run(&(shuffled, again, cuts), |(order_of, again, cuts)| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut host = host().await;
                let (order, other) = (released(&host, "PO-1").await, released(&host, "PO-2").await);
                let (history, of_other) = (history(order), history(other));
                for (index, cut) in order_of.iter().chain(&again).zip(&cuts) {
                    tell(&host, &history[*index]).await;
                    tell(&host, &of_other[*index]).await;
                    // Some are decided together, some alone, and some by another process.
                    match cut {
                        1 => drop(host.decide_in_batches(1).await),
                        2 => drop(host.decide_all().await),
                        3 => host = host.restart().await,
                        _ => {}
                    }
                }
                host.decide_all().await;
                for order in [order, other] {
                    let found = progress(&host, order).await.unwrap();
                    assert_eq!((found.state, found.lines["1"].shipped), (ProcessState::Settled, 9));
                    let counted = outcomes(&host, order).await;
                    assert_eq!(counted, vec![EventOutcome::Applied; 9], "each once, and a repeated one is no event");
                }
                assert_eq!(codes(&host).await, Vec::<String>::new(), "nobody is left waiting for what came");
                host.verify().await.unwrap();
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn an_event_before_its_turn_waits_is_shown_and_takes_its_turn_by_itself() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    told(&host, &[invoice(order, "I-1", 10), confirmed(order, "S-1", 10)]).await;
    assert_eq!((progress(&host, order).await, outcomes(&host, order).await), (None, vec![EventOutcome::Early; 2]));
    let waits = host.exceptions().await;
    let waits: Vec<(&str, bool)> = waits
        .iter()
        .map(|waits| (waits.code.as_str(), waits.detail.contains("expected first the order to be one of")))
        .collect();
    assert_eq!(waits, [(EARLY_EVENT, true), (EARLY_EVENT, true)]);

    told(&host, &[accepted(order)]).await;
    assert_eq!((state(&host, order).await, codes(&host).await), (ProcessState::Invoiced, Vec::<String>::new()));
    assert_eq!(outcomes(&host, order).await, [EventOutcome::Applied; 3]);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_counts_for_nothing_and_a_person_hears_what_was_found_and_expected() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    told(&host, &[accepted(order), confirmed(order, "S-1", 6)]).await;
    let before = progress(&host, order).await;
    told(&host, &[confirmed(order, "S-2", 5), confirmed(order, "S-1", 5)]).await;
    assert_eq!(progress(&host, order).await, before);
    use EventOutcome::{Applied, Impossible};
    assert_eq!(outcomes(&host, order).await, [Applied, Applied, Impossible, Impossible]);
    assert_eq!(codes(&host).await, ["more-than-left", "said-otherwise"]);
    let why = &host.exceptions().await[0].detail;
    for words in ["found 5 BX of line 1", "expected 4 BX at most, left to ship", "counts for nothing"] {
        assert!(why.contains(words), "{why}");
    }
    // The warehouse counts its own lines, and its first is not the order's.
    let mut slipped = confirmed(order, "S-4", 4);
    slipped["data"]["lines"][0]["sku"] = json!("FST-2001");
    told(&host, &[slipped]).await;
    assert_eq!(
        (progress(&host, order).await, codes(&host).await[2..].to_vec()),
        (before, vec!["other-item".to_owned()])
    );
    let why = &host.exceptions().await[2].detail;
    let words = "found item `FST-2001` on line 1, expected `FST-1007`, which the line is of";
    assert!(why.contains(words), "{why}");
    // Paid twice over: it counts, and somebody hears of it.
    let more = [confirmed(order, "S-3", 4), invoice(order, "I-1", 10), paid(order, "P-1", "I-1", 20_000)];
    told(&host, &more).await;
    assert_eq!(
        (state(&host, order).await, codes(&host).await[3..].to_vec()),
        (ProcessState::Settled, vec!["paid-too-much".to_owned()])
    );
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_refund_that_another_system_told_first_is_no_contradiction_when_its_processor_tells_it() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    let refund = |more: Value| {
        let mut data = json!({
            "refundNumber": "F-1", "orderNumber": order, "cause": "short-shipment", "amount": usd(1_840),
        });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said("refund.issued", data)
    };
    let first = [accepted(order), confirmed(order, "S-1", 10), paid(order, "P-1", "I-1", 18_400), refund(json!({}))];
    told(&host, &first).await;
    let before = progress(&host, order).await.unwrap();
    assert_eq!(before.money.refunded_minor, 1_840);

    told(&host, &[refund(json!({"issuedAt": "1772438400000"}))]).await;
    assert_eq!((progress(&host, order).await.unwrap(), codes(&host).await), (before.clone(), Vec::<String>::new()));
    told(&host, &[refund(json!({"issuedAt": "1772438400000", "amount": usd(1_841)}))]).await;
    assert_eq!(
        (progress(&host, order).await.unwrap(), codes(&host).await),
        (before, vec!["said-otherwise".to_owned()])
    );
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_channel_says_only_what_it_may_and_only_of_orders_that_are_here() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    told(&host, &[accepted(order)]).await;
    // The warehouse settles no payment, and a finance system ships nothing.
    tell_as(&host, "wms", WMS, &paid(order, "P-1", "I-1", 18_400)).await;
    tell_as(&host, "finance", FINANCE, &confirmed(order, "S-1", 10)).await;
    host.decide_all().await;
    assert_eq!(
        (state(&host, order).await, codes(&host).await),
        (ProcessState::Accepted, vec!["may-not-say".to_owned(); 2])
    );

    let nobody = OrderId::parse("6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10").unwrap();
    let mut by_number = confirmed(order, "S-1", 10);
    by_number["data"]["orderNumber"] = json!("PO-1");
    told(&host, &[confirmed(nobody, "S-1", 10), by_number]).await;
    assert_eq!(state(&host, order).await, ProcessState::Accepted);
    assert_eq!(codes(&host).await[2..], ["unknown-order", "unknown-order"]);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn so_many_events_wait_as_are_looked_at_again_and_the_next_one_is_a_persons() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    let number = |index: u32| format!("S-{index}");
    let events: Vec<Value> = (0..=EARLY_MAX).map(|index| confirmed(order, &number(index), 0)).collect();
    told(&host, &events).await;
    let standing = host.store.order_standings(vec![order]).await.unwrap().remove(0);
    assert_eq!((standing.early, codes(&host).await.last().unwrap().as_str()), (EARLY_MAX, "too-many-early"));
    told(&host, &[accepted(order)]).await;
    let standing = host.store.order_standings(vec![order]).await.unwrap().remove(0);
    assert_eq!((standing.early, codes(&host).await), (0, vec!["too-many-early".to_owned()]));
    assert_eq!(progress(&host, order).await.unwrap().said.len(), usize::try_from(EARLY_MAX).unwrap() + 1);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_held_order_waits_until_people_let_it_go_on() {
    let host = host().await;
    let dear = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "99.00")]);
    host.send_edi(&x12(1, &dear)).await.unwrap();
    host.decide_all().await;
    let order = host.order("PO-1").await;
    assert_eq!(order.state, OrderState::Held);
    told(&host, &[accepted(order.id)]).await;
    assert_eq!(outcomes(&host, order.id).await, [EventOutcome::Early]);

    let holds = host.store.order_trail(order.id).await.unwrap().unwrap().holds;
    let holds: Vec<u64> = holds.iter().map(|hold| hold.number).collect();
    exceptions::release(&host, &host.ops().await, order.id, &holds).await.unwrap();
    assert_eq!(host.order("PO-1").await.state, OrderState::Released);
    // Whatever is said next, what waited takes its turn before it.
    told(&host, &[confirmed(order.id, "S-1", 6)]).await;
    assert_eq!((state(&host, order.id).await, codes(&host).await), (ProcessState::PartShipped, Vec::<String>::new()));
    told(&host, &[invoice(order.id, "I-1", 7)]).await;
    use EventOutcome::{Applied, Early};
    assert_eq!(outcomes(&host, order.id).await, [Applied, Applied, Early]);
    assert!(matches!(host.rederive(order.id).await.unwrap(), Rederived::Same(compared) if compared.events == 3));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_is_followed_again_from_its_records_and_a_changed_one_is_found() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    let mut events = history(order);
    events.swap(3, 4);
    events.push(confirmed(order, "S-9", 9));
    told(&host, &events).await;
    let again = host.rederive(order).await.unwrap();
    assert!(matches!(&again, Rederived::Same(compared) if compared.events == 10), "{again:?}");

    // Somebody gives an event the decision of another one.
    let store = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    let swapped = store.execute(
        "UPDATE order_event SET decision = (SELECT min(decision) FROM order_event) WHERE kind = 'payment.settled'",
        [],
    );
    assert_eq!(swapped, Ok(2));
    let again = host.rederive(order).await.unwrap();
    assert!(matches!(&again, Rederived::Different(differences) if differences.len() >= 2), "{again:?}");
    let made_up = store.execute("UPDATE order_event SET decision = event WHERE kind = 'payment.settled'", []);
    assert_eq!(made_up, Ok(2));
    assert!(host.rederive(order).await.is_err(), "an event is no decision's record");
}

#[tokio::test]
async fn what_another_process_counted_is_left_out_and_not_called_alike() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    told(&host, &history(order)).await;
    let standard = include_str!("../../host/pipeline/src/process/standard.toml");
    let other = standard.replace("unshipped = []", "unshipped = [\"6130\"]");
    let host = host.restart_as(with_systems(Setup::demo()).append("process.toml", &other)).await;
    let again = host.rederive(order).await.unwrap();
    let Rederived::Same(compared) = again else { panic!("{again:?}") };
    assert_eq!((compared.events, compared.left_out.len()), (0, 1), "{compared:?}");
}

#[tokio::test]
async fn of_an_erased_order_nothing_is_counted_and_a_person_hears_why() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    let event = host.order("PO-1").await.event.place;
    let erased = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db"))
        .unwrap()
        .execute("DELETE FROM payload_key WHERE payload = ?1", [event]);
    assert_eq!(erased, Ok(1));
    told(&host, &[accepted(order)]).await;
    assert_eq!(
        (outcomes(&host, order).await, codes(&host).await),
        (vec![EventOutcome::Impossible], vec!["not-followed".to_owned()])
    );
}

#[tokio::test]
async fn a_channel_that_is_told_nothing_about_it_may_say_nothing() {
    let host = with_systems(Setup::demo())
        .replace("portreeve.toml", "says = [\"order.accepted\"", "# [\"order.accepted\"")
        .start()
        .await;
    let order = released(&host, "PO-1").await;
    told(&host, &[accepted(order)]).await;
    assert_eq!((progress(&host, order).await, codes(&host).await), (None, vec!["may-not-say".to_owned()]));
}

#[tokio::test]
async fn what_waited_and_turns_out_wrong_is_named_and_so_is_that_it_counts_for_nothing() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    told(&host, &[confirmed(order, "S-1", 11)]).await;
    let position = host.store.order_trail(order).await.unwrap().unwrap().events[0].position.0;
    told(&host, &[accepted(order)]).await;
    assert_eq!(
        (state(&host, order).await, codes(&host).await),
        (ProcessState::Accepted, vec!["more-than-left".to_owned()])
    );
    use EventOutcome::{Applied, Impossible};
    assert_eq!(outcomes(&host, order).await, [Impossible, Applied]);
    let why = &host.exceptions().await[0].detail;
    assert!(
        why.contains(&format!("`shipment.confirmed` of document {position}, which waited, counts for nothing")),
        "{why}"
    );
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(compared) if compared.events == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_people_reject_is_cancelled_for_what_systems_say_of_it_too() {
    let host = host().await;
    let dear = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "99.00")]);
    let order = host.decide_orders(&[dear]).await.remove(0).id;
    let held = exceptions::about(&host, order, ExceptionKind::Held).await.unwrap();
    exceptions::decide(&host, &host.ops().await, held, ExceptionAction::Reject).await.unwrap();
    assert_eq!(host.order("PO-1").await.state, OrderState::Refused);
    told(&host, &[accepted(order), paid(order, "P-1", "I-1", 1)]).await;
    assert_eq!(state(&host, order).await, ProcessState::Cancelled);
    assert_eq!(codes(&host).await, ["out-of-turn", "paid-after-cancellation"]);
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(compared) if compared.events == 2));
}

#[tokio::test]
async fn the_front_door_tells_how_far_an_order_is_line_by_line() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    told(&host, &history(order)[..6]).await;
    told(&host, &[confirmed(order, "S-9", 9), invoice(order, "I-9", 0)]).await;
    let door = host.front_door().await;
    let metrics = door.ask("/metrics").await;
    for (event, outcome, count) in [
        ("shipment.confirmed", "applied", 2),
        ("shipment.confirmed", "impossible", 1),
        ("invoice.posted", "applied", 2),
    ] {
        let line = format!("portreeve_order_events_total{{event=\"{event}\",outcome=\"{outcome}\"}} {count}");
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    let story: Value = serde_json::from_str(&door.ask(&format!("/v1/orders/{order}")).await).unwrap();
    let progress = &story["progress"];
    assert_eq!((progress["state"].as_str(), progress["moves"].as_u64()), (Some("shipped"), Some(7)));
    let line: BTreeMap<&str, &str> = progress["lines"][0]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let of_line = |name: &str| line[name];
    assert_eq!(
        ["number", "unit", "ordered", "shipped", "cancelled", "invoiced"].map(of_line),
        ["1", "BX", "10", "9", "1", "6"]
    );
    assert_eq!(progress["money"]["invoicedMinor"], "11040");
    let outcomes = story["events"].as_array().unwrap().iter().map(|event| event["outcome"].as_str().unwrap());
    let applied = outcomes.filter(|outcome| *outcome == "applied").count();
    assert_eq!((story["events"].as_array().unwrap().len(), applied), (8, 7));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folders_routes_and_process_are_checked_as_a_whole_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_systems(Setup::demo()).configuration(folder.path());
    let config = config.to_str().unwrap();
    let checked = run(&["route", "check", "--config", config]).await.unwrap();
    assert!(checked.contains("4 channel(s), 1 target(s) and the process can be put in force"), "{checked}");
    let standard = run(&["process", "draw"]).await.unwrap();
    assert_eq!(run(&["process", "draw", "--config", config]).await.unwrap(), standard, "a folder without its own");
    assert!(
        standard.starts_with("stateDiagram-v2\n")
            && standard.contains("part_shipped --> shipped: order.rejected, shipment.confirmed")
    );

    let small = "[[transition]]\nhost = \"release\"\nfrom = [\"received\"]\nto = [\"released\"]\n\
                 [[transition]]\nevent = \"shipment.confirmed\"\nfrom = [\"released\"]\nto = [\"shipped\"]\n";
    std::fs::write(Path::new(config).join("process.toml"), small).unwrap();
    let drawn = run(&["process", "draw", "--config", config, "--as", "graphviz"]).await.unwrap();
    assert!(drawn.contains("\"released\" -> \"shipped\" [label = \"shipment.confirmed\"];"), "{drawn}");

    std::fs::write(Path::new(config).join("process.toml"), format!("{small}[[transition]]\nevent = \"shipped\"\n"))
        .unwrap();
    let host = Path::new(config).join("portreeve.toml");
    let text = std::fs::read_to_string(&host).unwrap().replace("\"refund.issued\"", "\"order.created\"");
    std::fs::write(&host, text.replace("id = \"wms\"\nconnector", "id = \"finance\"\nconnector")).unwrap();
    let parts = [
        "channel `finance` may say `order.created`, which moves no order; expected one of order.accepted",
        "channel `finance` is there twice",
        "process.toml:10: `transition[2].event` is `shipped`; expected one of `order.accepted`",
    ];
    refused(&["route", "check", "--config", config], &parts).await;
    let told = run(&["route", "check", "--config", config]).await.unwrap_err();
    assert!(!told.contains("and so is `host`"), "{told}");
}
