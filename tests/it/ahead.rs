//! The next batch is read while the last one is committed. Nothing that is decided shows
//! it: not its content, not its order, and not which plugin answered.

use portreeve_api::package::{Act, Lifecycle as _};
use portreeve_model::Digest;
use portreeve_pipeline::{Clock as _, Decisions};
use portreeve_store::contract::{DocumentPosition, OrderEventKind, OrderState};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::faults::FaultyStore;
use crate::invariants::leaf;
use crate::later::{changed, patient, purpose, with_purpose};
use crate::packages::{name, of_version};
use crate::support::{PurchaseOrder, TestHost, sign, x12};

/// What a sender may say, and how far the host gets.
#[derive(Debug, Clone, Copy)]
enum Step {
    Send {
        /// Every third waits for its scorer.
        order: u8,
        content: u8,
        purpose: &'static str,
    },
    Decide,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, 0..2_u8, purpose()).prop_map(|(order, content, purpose)| Step::Send { order, content, purpose }),
        1 => Just(Step::Decide),
    ]
}

/// Decides what is left, one document after the other; in which order.
async fn decided(mut decisions: Decisions) -> Vec<DocumentPosition> {
    let mut positions = Vec::new();
    while let Some(decided) = decisions.next().await.unwrap().pop() {
        positions.push(decided.unwrap().position());
    }
    positions
}

/// Everything that can be seen of the orders whose numbers end so.
async fn seen(host: &TestHost, case: u32) -> Vec<(String, OrderState, String, Digest, Vec<OrderEventKind>)> {
    let mut seen = Vec::new();
    let orders = host.orders().await.into_iter();
    for order in orders.filter(|order| order.number.ends_with(&format!("-{case}"))) {
        let events = host.store.order_trail(order.id).await.unwrap().unwrap().events;
        let kinds = events.iter().map(|event| event.kind).collect();
        let fingerprint = host.decision(&order).await.fingerprint().unwrap();
        seen.push((order.number, order.state, order.why, fingerprint, kinds));
    }
    seen
}

/// One host reads ahead, the other does not; both are sent the same.
async fn walk(hosts: [&TestHost; 2], case: u32, documents: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let [reads_ahead, does_not] = hosts;
    let mut decisions = Decisions::new(reads_ahead.host.pipeline.clone(), documents);
    for (step, index) in steps.iter().zip(0_u32..) {
        match *step {
            Step::Send { order, content, purpose } => {
                // Whether those that wait count in a customer's history is up to the batch
                // that they are tried in, so they are another customer's.
                let (kind, customer) = if order % 3 == 0 { ("LATER", "C1202") } else { ("PO", "C1201") };
                let purchase = changed(&format!("{kind}-{order}-{case}"), 5 + u32::from(content));
                let purchase = purchase.of_customer(customer);
                let body = with_purpose(case * 100 + index, &purchase, purpose);
                for host in hosts {
                    host.send_edi(&body).await.unwrap();
                }
            }
            Step::Decide => {
                decisions.next().await.unwrap();
                does_not.host.pipeline.decide(documents).await.unwrap();
            }
        }
    }
    // What waits has all of its tries.
    for _ in 0..6 {
        // A batch of which all wait is empty, and others may be behind it.
        for _ in 0..=steps.len() {
            decisions.next().await.unwrap();
            does_not.host.pipeline.decide(documents).await.unwrap();
        }
        for host in hosts {
            host.clock.advance_to(host.clock.now().plus_ms(60_000));
        }
    }
    prop_assert_eq!(reads_ahead.summary().await.undecided, 0);
    prop_assert_eq!(seen(reads_ahead, case).await, seen(does_not, case).await);
    Ok(())
}

#[test]
fn whatever_is_sent_reading_ahead_decides_what_one_batch_after_the_other_decides() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (reads_ahead, does_not) = runtime.block_on(async { (patient().await, patient().await) });
    let cases = std::cell::Cell::new(0_u32);
    let config = Config { cases: 24, failure_persistence: None, max_shrink_iters: 30, ..Config::default() };
    TestRunner::new(config)
        .run(&(1..4_u32, proptest::collection::vec(step(), 4..24)), |(documents, steps)| {
            cases.set(cases.get() + 1);
            runtime.block_on(walk([&reads_ahead, &does_not], cases.get(), documents, &steps))
        })
        .unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(reads_ahead.verify()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_the_host_fails_on_is_decided_before_those_that_were_read_meanwhile() {
    let host = TestHost::demo().await;
    let (host, store) = host.restart_behind(FaultyStore::sound).await;
    let order = PurchaseOrder::clean("PO-1");
    host.send_edi(&x12(1, &order)).await.unwrap();
    host.send_edi(&with_purpose(2, &order, "01")).await.unwrap();
    store.panic_at(DocumentPosition(1));
    let mut decisions = Decisions::new(host.host.pipeline.clone(), 1);
    assert!(decisions.next().await.unwrap().pop().unwrap().is_err(), "it is set aside");
    assert_eq!(decided(decisions).await, [DocumentPosition(1), DocumentPosition(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_waited_for_another_of_its_key_comes_before_those_that_were_read_meanwhile() {
    let host = TestHost::demo().await;
    let bodies = [
        x12(1, &changed("PO-1", 5)),
        x12(2, &changed("PO-1", 6)),
        with_purpose(3, &PurchaseOrder::clean("PO-1"), "01"),
        x12(4, &PurchaseOrder::clean("PO-2")),
    ];
    for body in &bodies {
        host.send_edi(body).await.unwrap();
    }
    let decisions = Decisions::new(host.host.pipeline.clone(), 1);
    assert_eq!(decided(decisions).await, [1, 2, 3, 4].map(DocumentPosition));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_loaded_meanwhile_is_what_the_next_batch_is_decided_with() {
    let host = TestHost::demo().await;
    for control in [1, 2] {
        host.send_edi(&x12(control, &PurchaseOrder::clean(&format!("PO-{control}")))).await.unwrap();
    }
    let mut decisions = Decisions::new(host.host.pipeline.clone(), 1);
    decisions.next().await.unwrap();
    let (_, rows) = host.store.reference("customer").await.unwrap().unwrap();
    host.store.load_reference("customer", rows, leaf(1)).await.unwrap();
    decisions.next().await.unwrap();
    let version = async |number: &str| host.decision(&host.order(number).await).await.reference["customer"].clone();
    assert_eq!((version("PO-1").await.as_str(), version("PO-2").await.as_str()), ("1", "2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_by_a_plugin_that_another_took_the_place_of_is_read_again() {
    let host = TestHost::demo().await;
    let bytes = of_version("x12-orders", "0.2.0");
    let (plugin, new) = (name("x12-orders"), Digest::of(&bytes));
    let packages = &host.host.packages;
    packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    packages.act(&plugin, Act::Stage { component: new, grant: None }, "ops").await.unwrap();
    for control in [1, 2] {
        host.send_edi(&x12(control, &PurchaseOrder::clean(&format!("PO-{control}")))).await.unwrap();
    }
    let mut decisions = Decisions::new(host.host.pipeline.clone(), 1);
    decisions.next().await.unwrap();
    packages.act(&plugin, Act::Activate { component: None }, "ops").await.unwrap();
    decisions.next().await.unwrap();
    let (first, second) = (host.order("PO-1").await, host.order("PO-2").await);
    assert_eq!((host.decision(&first).await.configuration, host.decision(&second).await.configuration), (1, 2));
}
