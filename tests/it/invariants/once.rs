//! Invariant 4: nothing lost, nothing twice. Whatever is repeated, dropped or cut
//! short, an accepted order becomes one order and one effect.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Method;
use portreeve::standins::Mischief;
use portreeve_pipeline::{AcceptError, Clock};
use portreeve_store::contract::{OrderState, Room, Settlement};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::Notify;

use super::{leaf, lease};
use crate::support::{EDI_TOKEN, MORNING, PurchaseOrder, ScriptedTarget, Setup, TestHost, sample, shop_signature, x12};

const DROPS_EVERY_ANSWER: Mischief = Mischief {
    throttle_per_mille: 0,
    fail_before_per_mille: 0,
    drop_after_per_mille: 1_000,
    reject_per_mille: 0,
    slow_per_mille: 0,
};

#[tokio::test]
async fn invariant_4_nothing_twice_the_same_input_gets_the_same_reply_and_has_no_second_effect() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let (edi, shop) = (x12(1, &PurchaseOrder::clean("PO-1")), sample("adobe-commerce", "0001"));
    let bearer = format!("Bearer {EDI_TOKEN}");
    let signature = shop_signature(&shop);
    let inputs = [
        ("edi", ("authorization", bearer.as_str()), &edi),
        ("shop", ("x-portreeve-signature", signature.as_str()), &shop),
    ];
    for (channel, credential, body) in inputs {
        let first = door.post(channel, &[credential], body).await;
        assert_eq!(first.status, 200);
        host.clock.advance_to(MORNING.plus_ms(1_000));
        let again = door.post(channel, &[credential], body).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{channel}");
        host.decide_all().await;
        let later = door.post(channel, &[credential], body).await;
        assert_eq!((later.status, &later.body), (first.status, &first.body), "{channel}");
    }
    host.decide_all().await;
    host.deliver_all().await;
    let summary = host.summary().await;
    assert_eq!((summary.inputs, summary.duplicates, host.orders().await.len()), (2, 0, 2));
    assert_eq!(u64::try_from(host.erp.sales_orders().len()).unwrap(), summary.delivered);
    door.close().await;
}

#[tokio::test]
async fn invariant_4_nothing_twice_the_same_envelope_with_other_content_is_refused() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let bearer = format!("Bearer {EDI_TOKEN}");
    let credential = [("authorization", bearer.as_str())];
    let first = x12(1, &PurchaseOrder::clean("PO-1"));
    let other = x12(1, &PurchaseOrder::clean("PO-2"));
    assert_eq!(door.post("edi", &credential, &first).await.status, 200);
    let refused = door.post("edi", &credential, &other).await;
    assert_eq!(refused.status, 422);
    let answer = String::from_utf8(refused.body.to_vec()).unwrap();
    assert!(answer.contains("TA1*000000001*260302*0800*R*025~") && !answer.contains("AK5"), "{answer}");
    assert!(matches!(host.send_edi(&other).await, Err(AcceptError::Conflict { reply: Some(_), .. })));
    assert_eq!(host.summary().await.inputs, 1);
    // The first one is still answered as it was.
    assert_eq!(door.post("edi", &credential, &first).await.status, 200);
    door.close().await;
}

/// Channel, headers and body of somebody who is not heard.
type Stranger<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8]);

#[tokio::test]
async fn invariant_4_nobody_without_a_proof_is_heard() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let (edi, shop) = (x12(1, &PurchaseOrder::clean("PO-1")), sample("adobe-commerce", "0001"));
    let of_another_body = shop_signature(&edi);
    let bearer = format!("Bearer {EDI_TOKEN}");
    let strangers: [Stranger<'_>; 6] = [
        ("edi", &[], &edi),
        ("edi", &[("authorization", "Bearer wrong")], &edi),
        ("edi", &[("authorization", EDI_TOKEN)], &edi),
        ("shop", &[("authorization", &bearer)], &shop),
        ("shop", &[("x-portreeve-signature", &of_another_body)], &shop),
        ("nowhere", &[("authorization", &bearer)], &edi),
    ];
    for (channel, headers, body) in strangers {
        assert_eq!(door.post(channel, headers, body).await.status, 401, "{channel} {headers:?}");
    }
    for path in ["/v1/orders", "/v1/exceptions", "/v1/summary", "/v1/audit/checkpoint", "/metrics"] {
        assert_eq!(door.get(path, &[]).await.status, 401, "{path}");
        assert_eq!(door.get(path, &[("authorization", &bearer)]).await.status, 401, "{path}");
    }
    assert_eq!(host.summary().await.inputs, 0);
    door.close().await;
}

#[tokio::test]
async fn invariant_4_nothing_twice_a_lost_answer_is_looked_up_before_anything_is_sent_again() {
    let host = Setup::demo().mischief(DROPS_EVERY_ANSWER).start().await;
    let orders: Vec<_> = (0..8).map(|number| PurchaseOrder::clean(&format!("PO-{number}"))).collect();
    host.decide_orders(&orders).await;
    let released = host.count(OrderState::Released).await;
    host.deliver_all().await;
    let summary = host.summary().await;
    assert_eq!((summary.delivered, summary.dead), (u64::try_from(released).unwrap(), 0));
    let booked = host.erp.sales_orders();
    assert_eq!(booked.len(), released);
    for order in host.orders().await.iter().filter(|order| order.state == OrderState::Released) {
        let external = order.deliveries[0].external_id.as_ref().unwrap();
        assert!(booked.iter().any(|sales_order| sales_order.number == *external), "{external}");
    }
}

#[tokio::test]
async fn invariant_4_nothing_twice_the_last_attempt_is_looked_up_as_well() {
    let setup =
        Setup::demo().mischief(DROPS_EVERY_ANSWER).replace("portreeve.toml", "attempts_max = 6", "attempts_max = 1");
    let host = setup.start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 1);
    let order = host.order("PO-1").await;
    assert_eq!(order.deliveries[0].state, "delivered", "{:?}", host.exceptions().await);
}

#[tokio::test]
async fn invariant_4_nothing_twice_a_target_that_cannot_be_asked_gets_an_exception_not_a_blind_retry() {
    let setup = Setup::demo().mischief(DROPS_EVERY_ANSWER).replace("portreeve.toml", "find = true", "find = false");
    let host = setup.start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 1);
    let order = host.order("PO-1").await;
    assert_eq!((order.deliveries[0].state.as_str(), order.deliveries[0].attempts), ("dead", 1));
    let exceptions = host.exceptions().await;
    assert_eq!(exceptions.len(), 1);
    assert_eq!((exceptions[0].code.as_str(), exceptions[0].order), ("unknown-outcome", Some(order.id)));
}

#[tokio::test]
async fn invariant_4_nothing_lost_a_target_that_never_answers_again_ends_with_a_person_not_with_a_question_for_ever() {
    let (asked, posted) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let target = ScriptedTarget::start({
        let (asked, posted) = (Arc::clone(&asked), Arc::clone(&posted));
        move |method, _| {
            if method == Method::POST { &posted } else { &asked }.fetch_add(1, Ordering::Relaxed);
            async { (500, String::new()) }
        }
    })
    .await;
    let host = Setup::demo().erp_origin(target.origin()).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    assert_eq!(posted.load(Ordering::Relaxed), 1, "nothing is sent blindly");
    assert!((2..100).contains(&asked.load(Ordering::Relaxed)), "{asked:?}");
    let exceptions = host.exceptions().await;
    assert_eq!((exceptions.len(), exceptions[0].code.as_str()), (1, "unknown-outcome"));
    assert!(exceptions[0].detail.contains("1440 minutes"), "{}", exceptions[0].detail);
    assert_eq!((host.summary().await.dead, host.summary().await.pending), (1, 0));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn invariant_4_nothing_lost_a_crash_at_any_stage_loses_no_order_and_doubles_none() {
    let host = TestHost::demo().await;
    let numbers = ["PO-1", "PO-2", "PO-3", "PO-4"];
    for (control, number) in (1..).zip(numbers) {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
    }
    // After the reply.
    let host = host.restart().await;
    assert_eq!(host.summary().await.undecided, 4);
    assert!(host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap().duplicate);
    // In the middle of the decisions.
    host.host.pipeline.decide(2).await.unwrap();
    let host = host.restart().await;
    host.decide_all().await;
    assert_eq!(host.orders().await.len(), 4);
    // After a claim, and after an attempt that sent nothing.
    let now = host.clock.now();
    let claimed = host.store.claim(now, now.plus_ms(60_000), 1, Room::default()).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let permit = host.store.claim(now, now.plus_ms(60_000), 1, Room::default()).await.unwrap().pop().unwrap();
    host.store.begin_attempt(permit, lease(now.plus_ms(60_000)), leaf(1)).await.unwrap();
    let host = host.restart().await;
    host.deliver_all().await;
    let host = host.restart().await;

    assert_eq!(host.summary().await.delivered, 4);
    assert_eq!(booked(&host).await, BTreeMap::from(numbers.map(|number| (number.to_owned(), 1))));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn invariant_4_nothing_twice_a_crash_between_the_effect_and_its_receipt_sends_nothing_again() {
    // The target takes the order and never answers; it can be asked later.
    let (taken, took) = (Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
    let target = ScriptedTarget::start({
        let (taken, took) = (Arc::clone(&taken), Arc::clone(&took));
        move |method, _| {
            let (taken, took) = (Arc::clone(&taken), Arc::clone(&took));
            async move {
                if method == Method::POST {
                    *taken.lock().unwrap() += 1;
                    took.notify_one();
                    return std::future::pending().await;
                }
                let found = if *taken.lock().unwrap() > 0 { r#"{"id":"1","number":"S-1"}"# } else { "" };
                (200, format!("{{\"value\":[{found}]}}"))
            }
        }
    })
    .await;
    let host = Setup::demo().erp_origin(target.origin()).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    tokio::select! {
        settled = host.host.pipeline.deliver_due(1) => panic!("the target never answers: {settled:?}"),
        () = took.notified() => {}
    }
    let host = host.restart().await;
    // The call might have gone on for 125 s, and the target may take a second more.
    let ask_at = MORNING.plus_ms(126_000);
    assert_eq!(host.deliver_due().await, 0, "the target may still be at it");
    assert_eq!(host.store.next_due().await.unwrap(), Some(ask_at), "nobody waits for the lease of who is gone");
    host.clock.advance_to(ask_at);
    assert_eq!(host.deliver_due().await, 1);
    assert_eq!(*taken.lock().unwrap(), 1);
    let order = host.order("PO-1").await;
    assert_eq!(order.deliveries[0].external_id.as_deref(), Some("S-1"));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn invariant_4_nothing_twice_who_lost_the_lease_changes_nothing() {
    let host = TestHost::demo().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let now = host.clock.now();
    let slow = host.store.claim(now, now.plus_ms(1), 1, Room::default()).await.unwrap().pop().unwrap();
    let later = now.plus_ms(2);
    let quick = host.store.claim(later, later.plus_ms(60_000), 1, Room::default()).await.unwrap().pop().unwrap();
    let begun = host.store.begin_attempt(quick, lease(later.plus_ms(60_000)), leaf(1)).await.unwrap();
    let error = host.store.begin_attempt(slow, lease(later), leaf(2)).await.unwrap_err();
    assert!(error.to_string().contains("passed to another worker"), "{error}");
    let applied = Settlement::Applied { external_id: "S-1".to_owned() };
    host.store.settle(begun, applied, later, leaf(3)).await.unwrap();
    assert_eq!(host.summary().await.delivered, 1);
}

/// What a sender and the host may do, in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// An order in an envelope; the variant is its content.
    Send {
        order: u8,
        envelope: u8,
        variant: u8,
    },
    Decide(u32),
    Deliver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, 0..4_u8, 0..2_u8).prop_map(|(order, envelope, variant)| Step::Send { order, envelope, variant }),
        2 => (1..4_u32).prop_map(Step::Decide),
        1 => Just(Step::Deliver),
    ]
}

#[test]
fn invariant_4_nothing_twice_whatever_is_sent_in_whatever_order_each_number_is_one_order() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mischief = Mischief { throttle_per_mille: 200, drop_after_per_mille: 400, ..Mischief::default() };
    let host = runtime.block_on(Setup::demo().mischief(mischief).start());
    // One host for all cases: each has order and control numbers of its own.
    let cases = AtomicU32::new(1);
    let config = Config { cases: 16, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 1..16);
    TestRunner::new(config)
        .run(&steps, |steps| runtime.block_on(walk(&host, cases.fetch_add(1, Ordering::Relaxed), &steps)))
        .unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(host.verify()).unwrap();
}

async fn walk(host: &TestHost, case: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut accepted: BTreeMap<String, u8> = BTreeMap::new();
    let mut envelopes: BTreeMap<u8, (u8, u8)> = BTreeMap::new();
    for step in steps {
        match *step {
            Step::Send { order, envelope, variant } => {
                let number = format!("CASE{case}-{order}");
                let quantity = 10 + u32::from(variant);
                let purchase = PurchaseOrder::clean(&number).with_lines(&[("FST-1007", quantity, "BX", "18.40")]);
                let sent = host.send_edi(&x12(case * 10 + u32::from(envelope), &purchase)).await;
                match envelopes.get(&envelope) {
                    Some(first) if *first == (order, variant) => prop_assert!(sent.unwrap().duplicate),
                    Some(_) => prop_assert!(matches!(sent, Err(AcceptError::Conflict { .. })), "{sent:?}"),
                    None => {
                        prop_assert!(!sent.unwrap().duplicate);
                        envelopes.insert(envelope, (order, variant));
                        accepted.entry(number).or_insert(variant);
                    }
                }
            }
            Step::Decide(documents) => drop(host.host.pipeline.decide(documents).await.unwrap()),
            Step::Deliver => drop(host.deliver_due().await),
        }
    }
    host.decide_all().await;
    host.deliver_all().await;

    let prefix = format!("CASE{case}-");
    let orders: Vec<_> = host.orders().await.into_iter().filter(|order| order.number.starts_with(&prefix)).collect();
    let numbers: Vec<_> = orders.iter().map(|order| order.number.clone()).collect();
    prop_assert_eq!(orders.len(), accepted.len(), "{:?}", numbers);
    let booked = booked(host).await;
    for order in &orders {
        // What came first counts: 10 or 11 boxes at 18.40.
        let minor = (10 + i64::from(accepted[&order.number])) * 1_840;
        prop_assert_eq!(order.value.minor, minor);
        let delivered = order.deliveries.iter().filter(|delivery| delivery.state == "delivered").count();
        prop_assert_eq!(booked.get(&order.number).copied().unwrap_or(0), delivered);
    }
    Ok(())
}

/// How many sales orders the ERP has per order number. It knows an order by the
/// host's id without hyphens.
async fn booked(host: &TestHost) -> BTreeMap<String, usize> {
    let orders = host.orders().await;
    let mut booked = BTreeMap::new();
    for sales_order in host.erp.sales_orders() {
        let id = &sales_order.external_document_number;
        let order = orders.iter().find(|order| order.id.to_string().replace('-', "") == *id);
        *booked.entry(order.unwrap().number.clone()).or_insert(0) += 1;
    }
    booked
}
