//! What comes about an order after it: other content, a replacement, a cancellation.
//! Each is an event of its own with its decision and its leaf; the order stays as it
//! was decided, and what is to be cancelled does not leave any more.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use portreeve::standins::Mischief;
use portreeve::standins::shop::Basket;
use portreeve_model::{Event, ExceptionAction, ExceptionKind, Instant, OrderId};
use portreeve_pipeline::Clock;
use portreeve_pipeline::rederive::Rederived;
use portreeve_record::LeafBody;
use portreeve_record::leaf::DecidedState;
use portreeve_store::contract::{
    DocumentPosition, NewException, OrderEventKind, OrderEventView, OrderState, OrderView, Room, Settlement,
};
use portreeve_store::{Permit, StoreError};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::invariants::{leaf, lease};
use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, exceptions, sample, x12};

/// An order with another purpose in BEG01.
pub(crate) fn with_purpose(control: u32, order: &PurchaseOrder, purpose: &str) -> Vec<u8> {
    let text = String::from_utf8(x12(control, order)).unwrap();
    assert!(text.contains("BEG*00*"));
    text.replace("BEG*00*", &format!("BEG*{purpose}*")).into_bytes()
}

fn cancel(control: u32, number: &str) -> Vec<u8> {
    with_purpose(control, &PurchaseOrder::clean(number), "01")
}

/// The clean order with another quantity.
pub(crate) fn changed(number: &str, quantity: u32) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", quantity, "BX", "18.40")])
}

async fn send(host: &TestHost, body: &[u8]) {
    assert_eq!(host.send_edi(body).await.unwrap().reply.status, 200);
}

async fn decided(host: &TestHost, bodies: &[Vec<u8>]) {
    for body in bodies {
        send(host, body).await;
        host.decide_all().await;
    }
}

async fn events(host: &TestHost, order: OrderId) -> Vec<OrderEventView> {
    host.store.order_trail(order).await.unwrap().unwrap().events
}

async fn said(host: &TestHost, event: &OrderEventView) -> Event {
    Event::from_json(&host.store.payload(event.event).await.unwrap()).unwrap()
}

async fn exceptions(host: &TestHost) -> Vec<(String, Option<OrderId>)> {
    host.exceptions().await.into_iter().map(|exception| (exception.code, exception.order)).collect()
}

fn delivery(order: &OrderView) -> (OrderState, &str) {
    (order.state, order.deliveries[0].state.as_str())
}

async fn claim(host: &TestHost, at: Instant) -> Vec<Permit> {
    host.store.claim(at, at.plus_ms(60_000), 10, Room::default()).await.unwrap()
}

#[tokio::test]
async fn other_content_for_an_order_is_an_event_of_its_own() {
    let host = TestHost::demo().await;
    send(&host, &x12(1, &PurchaseOrder::clean("PO-1"))).await;
    send(&host, &x12(2, &changed("PO-1", 7))).await;
    assert_eq!(host.store.undecided(10, &[]).await.unwrap().len(), 1, "the change waits for what becomes of the first");
    host.decide_all().await;
    let order = host.order("PO-1").await;
    assert_eq!((host.orders().await.len(), order.state), (1, OrderState::Released));

    let events = events(&host, order.id).await;
    assert_eq!((events.len(), events[0].kind), (1, OrderEventKind::Changed));
    assert!(events[0].position > order.position);
    let Event::OrderChanged(change) = said(&host, &events[0]).await else { panic!("another event") };
    assert_eq!((change.order.number.as_str(), change.order.lines[0].quantity.value), ("PO-1", 7));
    assert_eq!(exceptions(&host).await, [("changed-order".to_owned(), Some(order.id))]);
    let why = &host.exceptions().await[0].detail;
    assert!(why.contains("found other content") && why.contains("expected what came first"), "{why}");
    let summary = host.summary().await;
    assert_eq!((summary.order_events, summary.unmapped, summary.undecided), (1, 0, 0));

    // The decision is on record as an order's is, and about the first one.
    let record = host.store.payload(events[0].decision).await.unwrap();
    let record = portreeve_pipeline::decision::DecisionRecord::parse(&record).unwrap();
    assert_eq!(
        (record.order, record.event, record.state.as_str()),
        (order.id, events[0].event.commitment, "order.changed")
    );
    let leaves = host.leaves().await;
    let mut on_record = leaves.iter().filter_map(|leaf| match &leaf.body {
        LeafBody::Decide(decide) if decide.state == DecidedState::Changed => Some(decide),
        _ => None,
    });
    let decide = on_record.next().unwrap();
    assert_eq!((decide.order, decide.about), (None, Some(order.id)));
    assert_eq!(
        (decide.event, decide.decision),
        (Some(events[0].event.commitment), Some(events[0].decision.commitment))
    );
    assert!(on_record.next().is_none());

    host.deliver_all().await;
    assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Released, "delivered"), "as it came first");
    let rederived = host.rederive(order.id).await.unwrap();
    assert!(matches!(rederived, Rederived::Same(_)), "{rederived:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_that_comes_again_in_other_words_and_says_the_same_is_no_change() {
    let host = TestHost::demo().await;
    let basket = Basket { entity_id: 1, sku: "FST-1007", quantity: 2, price_minor: 1_840 };
    let placed: serde_json::Value = serde_json::from_slice(&basket.placed()).unwrap();
    let with = |name: &str, value: &str| {
        let mut order = placed.clone();
        order[name] = value.into();
        order.to_string().into_bytes()
    };
    let same = [basket.placed(), with("updated_at", "2026-03-02 09:00:00"), with("updated_at", "2026-03-02 10:00:00")];
    for body in same {
        assert_eq!(host.send_shop(&body).await.unwrap().reply.status, 200);
        host.decide_all().await;
    }
    let summary = host.summary().await;
    assert_eq!((host.orders().await.len(), summary.order_events, summary.duplicates), (1, 0, 2));
    assert!(host.exceptions().await.is_empty());
    host.send_shop(&with("customer_note", "leave it at the gate")).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.summary().await.order_events, 1);
    assert_eq!(exceptions(&host).await[0].0, "changed-order");
    // People may have carried that out: as it came is something else now, also where it comes together
    // with what changed it.
    host.send_shop(&with("updated_at", "2026-03-02 11:00:00")).await.unwrap();
    host.decide_all().await;
    assert_eq!((host.summary().await.order_events, exceptions(&host).await.len()), (2, 2));
    let other = Basket { entity_id: 2, sku: "FST-1007", quantity: 2, price_minor: 1_840 };
    host.send_shop(&other.placed()).await.unwrap();
    host.decide_all().await;
    let mut changed: serde_json::Value = serde_json::from_slice(&other.placed()).unwrap();
    for (name, value) in [("customer_note", "leave it at the gate"), ("updated_at", "2026-03-02 12:00:00")] {
        changed[name] = value.into();
        host.send_shop(changed.to_string().as_bytes()).await.unwrap();
        changed["customer_note"] = serde_json::Value::Null;
    }
    host.decide_all().await;
    assert_eq!(host.summary().await.order_events, 4);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_change_that_comes_again_is_the_same_one_and_another_one_is_another() {
    let host = TestHost::demo().await;
    let first = PurchaseOrder::clean("PO-1");
    let sent = [first.clone(), changed("PO-1", 7), changed("PO-1", 7), changed("PO-1", 8), first, changed("PO-1", 7)];
    decided(&host, &(1..).zip(&sent).map(|(control, order)| x12(control, order)).collect::<Vec<_>>()).await;
    let order = host.order("PO-1").await;
    let summary = host.summary().await;
    assert_eq!((summary.order_events, summary.duplicates, host.orders().await.len()), (2, 3, 1));
    let mut quantities = Vec::new();
    for event in events(&host, order.id).await {
        let Event::OrderChanged(change) = said(&host, &event).await else { panic!("another event") };
        quantities.push(change.order.lines[0].quantity.value);
    }
    assert_eq!(quantities, [7, 8]);
}

#[tokio::test]
async fn a_change_is_seen_by_whoever_brings_it_and_in_the_story_of_its_order() {
    let host = TestHost::demo().await;
    decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1"))]).await;
    let door = host.front_door().await;
    let bearer = format!("Bearer {EDI_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("accept", portreeve_api::outcome::MEDIA_TYPE)];
    let mut types = Vec::new();
    for body in [
        x12(2, &changed("PO-1", 7)),
        with_purpose(3, &changed("PO-1", 8), "05"),
        cancel(4, "PO-1"),
        x12(5, &PurchaseOrder::clean("PO-2")),
        with_purpose(6, &changed("PO-1", 8), "22"),
    ] {
        let answer = door.post("edi", &headers, &body).await;
        let outcome: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        match outcome["events"].as_array().unwrap().as_slice() {
            [event] => types.push(event["type"].as_str().unwrap().to_owned()),
            _ => types.push(format!("{} at {}", outcome["problems"][0]["code"], outcome["problems"][0]["where"])),
        }
    }
    let unknown = "\"unsupported-purpose\" at \"BEG/01\"";
    assert_eq!(types, ["order.changed", "order.changed", "order.cancel-requested", "order.created", unknown]);
    host.decide_all().await;

    let order = host.order("PO-1").await;
    let story: serde_json::Value = serde_json::from_str(&door.ask(&format!("/v1/orders/{}", order.id)).await).unwrap();
    let events = story["events"].as_array().unwrap();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["order.changed", "order.changed", "order.cancel-requested"]);
    assert_eq!(events[0]["data"]["order"]["lines"][0]["quantity"]["value"], "7");
    assert_eq!(events[1]["data"]["revision"], "20260302");
    assert_eq!(events[2]["data"]["orderNumber"], "PO-1");
    let audit: Vec<_> = story["audit"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
    assert!(events.iter().all(|event| audit.contains(&event["leaf"])));
    assert_eq!(story["exceptions"].as_array().unwrap().len(), 3);
    door.close().await;
}

#[tokio::test]
async fn a_cancelled_order_that_did_not_leave_yet_never_does() {
    let host = TestHost::demo().await;
    decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1")), x12(2, &PurchaseOrder::clean("PO-2"))]).await;
    decided(&host, &[cancel(3, "PO-1")]).await;
    host.deliver_all().await;
    let order = host.order("PO-1").await;
    assert_eq!(delivery(&order), (OrderState::Held, "withheld"), "{}", order.why);
    assert_eq!(order.queue.as_deref(), Some("integration"));
    assert_eq!(delivery(&host.order("PO-2").await), (OrderState::Released, "delivered"));
    assert_eq!(host.erp.sales_orders().len(), 1);
    assert_eq!(exceptions(&host).await, [("cancel-requested".to_owned(), Some(order.id))]);
    let trail = host.store.order_trail(order.id).await.unwrap().unwrap();
    assert_eq!((trail.holds.len(), trail.holds[0].reason.as_str()), (1, "cancel-requested"));
    assert_eq!((host.summary().await.withheld, host.summary().await.pending), (1, 0));

    // It stays so after a restart, however long one waits.
    let host = host.restart().await;
    host.clock.advance_to(host.clock.now().plus_ms(7 * 86_400_000));
    host.deliver_all().await;
    assert_eq!((host.erp.sales_orders().len(), host.store.next_due().await.unwrap()), (1, None));
    // The same cancellation in another interchange is no second one.
    decided(&host, &[cancel(4, "PO-1")]).await;
    assert_eq!((host.summary().await.order_events, host.summary().await.duplicates), (1, 1));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_and_its_cancellation_in_one_batch_leave_together_for_nowhere() {
    let host = TestHost::demo().await;
    send(&host, &x12(1, &PurchaseOrder::clean("PO-1"))).await;
    send(&host, &cancel(2, "PO-1")).await;
    send(&host, &cancel(3, "PO-2")).await;
    send(&host, &x12(4, &PurchaseOrder::clean("PO-2"))).await;
    host.decide_all().await;
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 0);
    assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Held, "withheld"));
    assert_eq!(host.order("PO-2").await.state, OrderState::Held, "its cancellation came first");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_that_comes_after_its_cancellation_is_held() {
    let host = TestHost::demo().await;
    decided(&host, &[cancel(1, "PO-1")]).await;
    assert_eq!(exceptions(&host).await, [("cancel-requested".to_owned(), None)]);
    let host = host.restart().await;
    decided(&host, &[x12(2, &PurchaseOrder::clean("PO-1"))]).await;
    let order = host.order("PO-1").await;
    assert_eq!((order.state, order.deliveries.len()), (OrderState::Held, 0), "{}", order.why);
    assert!(order.why.starts_with("cancel-requested: found a request to cancel"), "{}", order.why);
    let record = host.decision(&order).await;
    assert_eq!(record.findings[0].code, "cancel-requested");
    assert_eq!(events(&host, order.id).await.len(), 1, "the cancellation is in its story");
    let rederived = host.rederive(order.id).await.unwrap();
    assert!(matches!(rederived, Rederived::Same(_)), "{rederived:?}");
    let held = |leaf: &LeafBody| match leaf {
        LeafBody::Decide(decide) => {
            decide.order == Some(order.id) && decide.policy_holds.shown()[0].as_str() == "cancel-requested"
        }
        _ => false,
    };
    assert_eq!(host.leaves().await.iter().filter(|leaf| held(&leaf.body)).count(), 1);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_cancellation_of_what_was_delivered_is_for_a_person() {
    let host = TestHost::demo().await;
    decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1"))]).await;
    host.deliver_all().await;
    decided(&host, &[cancel(2, "PO-1")]).await;
    let order = host.order("PO-1").await;
    assert_eq!(delivery(&order), (OrderState::Released, "delivered"));
    assert_eq!(exceptions(&host).await, [("cancel-requested".to_owned(), Some(order.id))]);
    assert_eq!(host.store.order_trail(order.id).await.unwrap().unwrap().holds, [], "nothing is left to hold");
}

#[tokio::test]
async fn a_cancellation_stops_whoever_has_claimed_the_delivery_and_not_begun() {
    let host = TestHost::demo().await;
    decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1"))]).await;
    let permit = claim(&host, host.clock.now()).await.pop().unwrap();
    decided(&host, &[cancel(2, "PO-1")]).await;
    let begun = host.store.begin_attempt(permit, lease(host.clock.now()), leaf(1)).await;
    assert!(matches!(begun, Err(StoreError::LeaseLost { .. })), "{begun:?}");
    assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Held, "withheld"));
    host.clock.advance_to(host.clock.now().plus_ms(3_600_000));
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 0);
}

#[tokio::test]
async fn a_delivery_under_way_when_its_order_is_cancelled_ends_as_it_ends_and_is_not_tried_again() {
    let host = TestHost::demo().await;
    let numbers = ["PO-1", "PO-2", "PO-3"];
    decided(&host, &numbers.map(|number| x12(number.as_bytes()[3].into(), &PurchaseOrder::clean(number)))).await;
    let now = host.clock.now();
    let permits = claim(&host, now).await;
    let mut attempts = Vec::new();
    for (permit, number) in permits.into_iter().zip(1..) {
        attempts.push(host.store.begin_attempt(permit, lease(now.plus_ms(60_000)), leaf(number)).await.unwrap());
    }
    decided(&host, &numbers.map(|number| cancel(100 + u32::from(number.as_bytes()[3]), number))).await;
    for number in numbers {
        assert_eq!(delivery(&host.order(number).await), (OrderState::Released, "in-doubt"), "it may still arrive");
    }
    let exception = NewException {
        kind: ExceptionKind::Delivery,
        stage: "deliver",
        code: "deadline".to_owned(),
        detail: String::new(),
        queue: "integration".to_owned(),
        due_at: None,
    };
    let ends = [
        Settlement::Applied { external_id: "S-1".to_owned() },
        Settlement::Unknown { due_at: now, code: "unknown-outcome".to_owned() },
        Settlement::Dead { exception, blocks: true },
    ];
    for ((attempt, end), number) in attempts.into_iter().zip(ends).zip(11..) {
        host.store.settle(attempt, end, now, leaf(number)).await.unwrap();
    }
    assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Released, "delivered"));
    assert_eq!(delivery(&host.order("PO-2").await), (OrderState::Released, "in-doubt"), "nobody knows");
    assert_eq!(delivery(&host.order("PO-3").await), (OrderState::Released, "dead"));
    let mut to_ask = claim(&host, now).await;
    assert_eq!((to_ask.len(), to_ask[0].withheld()), (1, true));
    host.store.settle_unattempted(to_ask.remove(0), Settlement::Absent, now, leaf(14)).await.unwrap();
    assert_eq!(delivery(&host.order("PO-2").await), (OrderState::Held, "withheld"));
    assert_eq!(claim(&host, now.plus_ms(3_600_000)).await.len(), 0);

    // Whoever would have the dead one tried again is told, and may give it up.
    let dead = host.store.dead_letters(0, 10).await.unwrap().pop().unwrap();
    let ops = host.ops().await;
    let replayed = exceptions::decide(&host, &ops, dead.exception, ExceptionAction::Retry).await.unwrap_err();
    assert!(replayed.to_string().contains("asked to cancel the order"), "{replayed}");
    let still = host.store.dead_letters(0, 10).await.unwrap();
    assert_eq!((still.len(), &still[0]), (1, &dead), "the refusal changed nothing");
    exceptions::decide(&host, &ops, dead.exception, ExceptionAction::Abandon).await.unwrap();
}

#[tokio::test]
async fn an_order_that_is_cancelled_during_a_delivery_whose_host_ends_is_held_when_the_target_has_said_no() {
    let host = TestHost::demo().await;
    decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1"))]).await;
    let permit = claim(&host, host.clock.now()).await.pop().unwrap();
    host.store.begin_attempt(permit, lease(host.clock.now().plus_ms(60_000)), leaf(1)).await.unwrap();
    decided(&host, &[cancel(2, "PO-1")]).await;
    let host = host.restart().await;
    assert_eq!(host.deliver_due().await, 0, "the target may still be at it");
    assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Released, "in-doubt"));
    host.deliver_all().await;
    assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Held, "withheld"));
    assert_eq!(host.erp.sales_orders().len(), 0);
}

#[tokio::test]
async fn a_delivery_whose_answer_got_lost_is_asked_about_though_its_order_is_to_be_cancelled() {
    let drops = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let fails = Mischief { fail_before_per_mille: 1_000, ..Mischief::default() };
    let (arrived, held) = ((OrderState::Released, "delivered"), (OrderState::Held, "withheld"));
    for (mischief, end, sales_orders) in [(drops, arrived, 1), (fails, held, 0)] {
        let host = Setup::demo().mischief(mischief).start().await;
        decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1"))]).await;
        assert_eq!(host.deliver_due().await, 1);
        decided(&host, &[cancel(2, "PO-1")]).await;
        assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Released, "in-doubt"), "it may have arrived");
        host.deliver_all().await;
        assert_eq!((delivery(&host.order("PO-1").await), host.erp.sales_orders().len()), (end, sales_orders));
        assert_eq!(host.verify().await.unwrap().unsettled, 0);
    }
}

#[tokio::test]
async fn a_cancellation_of_a_held_order_is_one_more_hold() {
    let host = TestHost::demo().await;
    // A price that is not ours.
    let held = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "25.00")]);
    decided(&host, &[x12(1, &held)]).await;
    let before = host.order("PO-1").await;
    assert_eq!(before.state, OrderState::Held, "{}", before.why);
    let holds = host.store.order_trail(before.id).await.unwrap().unwrap().holds.len();
    decided(&host, &[with_purpose(2, &held, "01")]).await;
    let after = host.order("PO-1").await;
    assert_eq!((after.state, &after.why), (OrderState::Held, &before.why));
    let trail = host.store.order_trail(after.id).await.unwrap().unwrap();
    assert_eq!((trail.holds.len(), trail.holds[holds].reason.as_str()), (holds + 1, "cancel-requested"));
}

#[tokio::test]
async fn a_cancellation_of_what_people_rejected_is_on_record_and_asks_nobody() {
    let host = Setup::demo().scorers(&[]).start().await;
    let held = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "25.00")]);
    decided(&host, &[x12(1, &held)]).await;
    let order = host.order("PO-1").await.id;
    let waits = exceptions::about(&host, order, ExceptionKind::Held).await.unwrap();
    exceptions::decide(&host, &host.ops().await, waits, ExceptionAction::Reject).await.unwrap();
    decided(&host, &[with_purpose(2, &held, "01")]).await;
    assert_eq!((host.order("PO-1").await.state, exceptions(&host).await), (OrderState::Refused, vec![]));
    let host = host.restart().await;
    decided(&host, &[with_purpose(3, &held, "01")]).await;
    let kinds: Vec<_> = events(&host, order).await.into_iter().map(|event| event.kind).collect();
    assert_eq!(
        (kinds, exceptions(&host).await),
        (vec![OrderEventKind::CancelRequested], vec![]),
        "said twice, and once"
    );
    let trail = host.store.order_trail(order).await.unwrap().unwrap();
    assert!(trail.holds.iter().all(|hold| hold.closed.is_some()), "nothing keeps it back: {:?}", trail.holds);
    host.deliver_all().await;
    assert_eq!(host.erp.sales_order_count(), 0);
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(_)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_cancellation_is_about_its_senders_own_order_and_the_release_that_it_names() {
    let host = TestHost::demo().await;
    let released = |body: Vec<u8>| {
        let text = String::from_utf8(body).unwrap();
        text.replace("*SA*PO-2**20260302", "*SA*PO-2*R-1*20260302").into_bytes()
    };
    let blanket = released(x12(2, &PurchaseOrder::clean("PO-2")));
    decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1")), blanket]).await;
    let stranger = PurchaseOrder::clean("PO-1").of_customer("C1202");
    decided(&host, &[with_purpose(3, &stranger, "01"), cancel(4, "PO-2")]).await;
    assert_eq!(exceptions(&host).await.iter().filter(|(_, order)| order.is_none()).count(), 2);
    assert_eq!((host.summary().await.withheld, host.summary().await.pending), (0, 2));
    decided(&host, &[released(cancel(5, "PO-2"))]).await;
    host.deliver_all().await;
    assert_eq!(delivery(&host.order("PO-1").await), (OrderState::Released, "delivered"));
    assert_eq!(delivery(&host.order("PO-2").await), (OrderState::Held, "withheld"));
}

/// Orders named `LATER` wait for their scorer.
pub(crate) async fn patient() -> TestHost {
    Setup::demo().scorers(&["obeys-the-sender"]).plugin("obeys-the-sender", "{}").start().await
}

#[tokio::test]
async fn what_is_said_about_an_order_that_waits_is_decided_after_it_and_other_orders_are_not_held_up() {
    for in_one_batch in [false, true] {
        let host = patient().await;
        let order = PurchaseOrder::clean("LATER-1");
        for body in [x12(1, &order), with_purpose(2, &order, "05"), x12(3, &PurchaseOrder::clean("PO-3"))] {
            send(&host, &body).await;
            if !in_one_batch {
                host.decide_all().await;
            }
        }
        host.decide_all().await;
        assert_eq!((host.summary().await.undecided, exceptions(&host).await), (2, Vec::new()));
        assert_eq!(host.order("PO-3").await.state, OrderState::Released);
        // One more, and each try of the first.
        send(&host, &with_purpose(4, &order, "01")).await;
        for _ in 0..4 {
            host.decide_all().await;
            assert_eq!(host.summary().await.undecided, 3);
            host.clock.advance_to(host.clock.now().plus_ms(60_000));
        }
        host.decide_in_batches(2).await;
        let order = host.order("LATER-1").await;
        let kinds: Vec<_> = events(&host, order.id).await.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [OrderEventKind::Changed, OrderEventKind::CancelRequested]);
        let said: Vec<String> = host.exceptions().await.into_iter().map(|exception| exception.detail).collect();
        assert_eq!(said.iter().filter(|detail| detail.contains("that is not here")).count(), 0, "{said:?}");
        assert_eq!((said.len(), host.summary().await.undecided), (3, 0));
        host.verify().await.unwrap();
    }
}

/// What a sender and the host may do, in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// One of three orders, with one of these contents.
    Send {
        order: u8,
        content: u8,
        purpose: &'static str,
    },
    Decide(u32),
    Deliver,
    Restart,
}

/// Purposes in BEG01, most of them new orders.
pub(crate) fn purpose() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["00", "00", "00", "05", "01"])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u8, 0..2_u8, purpose()).prop_map(|(order, content, purpose)| Step::Send { order, content, purpose }),
        3 => (1..3_u32).prop_map(Step::Decide),
        3 => Just(Step::Deliver),
        1 => Just(Step::Restart),
    ]
}

#[test]
fn whatever_is_sent_about_an_order_it_arrives_once_or_not_at_all_and_somebody_sees_the_rest() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mischief = Mischief { throttle_per_mille: 200, drop_after_per_mille: 300, ..Mischief::default() };
    let start = Setup::demo().scorers(&[]).mischief(mischief).start();
    let host = RefCell::new(Some(runtime.block_on(start)));
    let cases = Cell::new(0_u32);
    let config = Config { cases: 20, failure_persistence: None, max_shrink_iters: 30, ..Config::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 1..24), |steps| {
            cases.set(cases.get() + 1);
            let (again, result) = runtime.block_on(walk(host.take().unwrap(), cases.get(), &steps));
            host.replace(Some(again));
            result
        })
        .unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(host.take().unwrap().verify()).unwrap();
}

/// Each case has order and control numbers of its own; the host goes on to the next.
async fn walk(mut host: TestHost, case: u32, steps: &[Step]) -> (TestHost, Result<(), TestCaseError>) {
    let number = |order: u8| format!("L{case}-{order}");
    // Per order: what the sender said about it, each thing once, and whether it was
    // to be cancelled before anything of it left.
    let mut said: BTreeMap<u8, BTreeSet<(&str, u8)>> = BTreeMap::new();
    let mut never: BTreeSet<u8> = BTreeSet::new();
    for (step, index) in steps.iter().zip(0_u32..) {
        match *step {
            Step::Send { order, content, purpose } => {
                let purchase = changed(&number(order), 5 + u32::from(content));
                send(&host, &with_purpose(case * 100 + index, &purchase, purpose)).await;
                said.entry(order).or_default().insert((purpose, content));
            }
            Step::Decide(documents) => drop(host.host.pipeline.decide(documents).await.unwrap()),
            Step::Deliver => drop(host.deliver_due().await),
            Step::Restart => host = host.restart().await,
        }
        // Once cancelled and not begun, an order never leaves.
        let orders = host.orders().await;
        for order in orders.iter().filter(|order| order.state == OrderState::Held) {
            if let Some(known) = said.keys().find(|known| number(**known) == order.number)
                && order.deliveries.iter().all(|delivery| delivery.attempts == 0)
            {
                never.insert(*known);
            }
        }
    }
    host.decide_all().await;
    host.deliver_all().await;
    let result = check(&host, &said, &never, number).await;
    (host, result)
}

async fn check(
    host: &TestHost,
    said: &BTreeMap<u8, BTreeSet<(&str, u8)>>,
    never: &BTreeSet<u8>,
    number: impl Fn(u8) -> String,
) -> Result<(), TestCaseError> {
    let orders = host.orders().await;
    let booked = host.erp.sales_orders();
    for (order, said) in said {
        let created = said.iter().filter(|(purpose, _)| *purpose == "00").count();
        let found: Vec<_> = orders.iter().filter(|known| known.number == number(*order)).collect();
        prop_assert_eq!(found.len(), created.min(1), "{:?}", said);
        let Some(found) = found.first() else { continue };
        let id = found.id.to_string().replace('-', "");
        let arrived = booked.iter().filter(|booked| booked.external_document_number == id).count();
        let delivered = found.deliveries.iter().filter(|delivery| delivery.state == "delivered").count();
        prop_assert!(arrived <= 1 && delivered == arrived, "{:?}", found);
        prop_assert!(!(never.contains(order) && arrived > 0), "{:?}", found);
        // Whatever else was said is an event with its exception.
        let trail = host.store.order_trail(found.id).await.unwrap().unwrap();
        prop_assert_eq!(trail.events.len(), said.len() - 1, "{:?}", said);
        let cancelled = said.iter().any(|(purpose, _)| *purpose == "01");
        prop_assert!(cancelled || (found.state == OrderState::Released && delivered == 1), "{:?}", found);
        prop_assert!(!cancelled || found.state == OrderState::Held || arrived == 1, "{:?}", found);
    }
    Ok(())
}

#[tokio::test]
async fn a_shops_order_that_comes_again_as_cancelled_is_a_cancellation() {
    let host = TestHost::demo().await;
    host.send_shop(&sample("adobe-commerce", "0022")).await.unwrap();
    host.decide_all().await;
    host.send_shop(&sample("adobe-commerce", "0121")).await.unwrap();
    host.decide_all().await;
    let order = &host.orders().await[0];
    assert_eq!(host.store.order(order.id).await.unwrap().unwrap().position, DocumentPosition(1));
    let events = events(&host, order.id).await;
    assert_eq!((events.len(), events[0].kind), (1, OrderEventKind::CancelRequested));
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 0);
}

#[tokio::test]
async fn who_erases_a_customer_erases_what_came_later_about_its_orders() {
    let host = TestHost::demo().await;
    decided(&host, &[x12(1, &PurchaseOrder::clean("PO-1")), x12(2, &changed("PO-1", 7)), cancel(3, "PO-1")]).await;
    let order = host.order("PO-1").await;
    let database = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    let subject: [u8; 32] = database
        .query_row(
            "SELECT subject FROM payload_key WHERE payload = (SELECT id FROM payload WHERE commitment = ?1)",
            [order.decision.commitment.as_bytes()],
            |row| row.get(0),
        )
        .unwrap();
    let about = host.store.payloads_about(portreeve_model::Digest::from_bytes(subject)).await.unwrap();
    // Input, document, event and decision of each.
    assert_eq!(about.len(), 12);
    for event in events(&host, order.id).await {
        assert!(about.contains(&event.event) && about.contains(&event.decision));
    }
}
