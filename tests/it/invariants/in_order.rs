//! Invariant 5: per key, in order; different orders in parallel; a stuck order
//! never blocks another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portreeve_store::contract::{OrderState, Room, Settlement};
use portreeve_store::{Permit, Store};
use tokio::sync::watch;

use super::{commit, decision_by_hand, leaf, lease};
use crate::support::{MORNING, PurchaseOrder, ScriptedTarget, Setup, TestHost, x12};

#[tokio::test]
async fn invariant_5_in_order_a_second_effect_of_an_order_waits_for_the_first() {
    let host = TestHost::demo().await;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    for (document, number) in host.store.undecided(2, &[]).await.unwrap().into_iter().zip(1..) {
        commit(&host, decision_by_hand(document, &["first", "second"], leaf(number))).await.unwrap();
    }
    let claim = |at: i64| claim(&host.store, at);

    let permits = claim(0).await;
    assert_eq!(kinds(&permits), ["first", "first"], "both orders at once, each with its oldest effect");
    assert_eq!(claim(1).await.len(), 0, "nothing of an order while its first effect is under way");

    // One order's first effect is to be repeated later, the other's is done.
    let mut permits = permits.into_iter();
    let (stuck, done) = (permits.next().unwrap(), permits.next().unwrap());
    let (stuck_order, done_order) = (stuck.order(), done.order());
    let stuck = host.store.begin_attempt(stuck, lease(MORNING), leaf(11)).await.unwrap();
    let retry = Settlement::Retry { due_at: MORNING.plus_ms(1_000), code: "retry".to_owned() };
    host.store.settle(stuck, retry, MORNING, leaf(12)).await.unwrap();
    let done = host.store.begin_attempt(done, lease(MORNING), leaf(13)).await.unwrap();
    let applied = || Settlement::Applied { external_id: "S-1".to_owned() };
    host.store.settle(done, applied(), MORNING, leaf(14)).await.unwrap();

    let permits = claim(2).await;
    assert_eq!(kinds(&permits), ["second"]);
    assert_eq!(permits[0].order(), done_order, "the stuck order holds up itself and nobody else");

    let permits = claim(1_000).await;
    assert_eq!((kinds(&permits), permits[0].order()), (vec!["first"], stuck_order));
    let again = host.store.begin_attempt(permits.into_iter().next().unwrap(), lease(MORNING), leaf(15)).await.unwrap();
    host.store.settle(again, applied(), MORNING, leaf(16)).await.unwrap();
    let permits = claim(1_001).await;
    assert_eq!((kinds(&permits), permits[0].order()), (vec!["second"], stuck_order));
}

async fn claim(store: &Arc<dyn Store>, at: i64) -> Vec<Permit> {
    let now = MORNING.plus_ms(at);
    store.claim(now, now.plus_ms(600_000), 10, Room::default()).await.unwrap()
}

fn kinds(permits: &[Permit]) -> Vec<&str> {
    permits.iter().map(Permit::kind).collect()
}

#[tokio::test]
async fn invariant_5_a_stuck_order_blocks_no_other_a_scorer_dies_of_it_or_never_ends() {
    let host = Setup::demo()
        .scorers(&["obeys-the-sender", "fraud"])
        // The endless one is stopped by fuel; less of it is a shorter test.
        .plugin("obeys-the-sender", "{ limits = { fuel = 2000000 } }")
        .start()
        .await;
    let numbers = ["PO-1", "TRAP-2", "PO-3", "SPIN-4", "TRAP-5", "PO-6"];
    let customers = ["C1201", "C1202", "C1203", "C1204", "C1205", "C1206"];
    let orders: Vec<_> =
        numbers.iter().zip(customers).map(|(number, from)| PurchaseOrder::clean(number).of_customer(from)).collect();
    let orders = host.decide_orders(&orders).await;
    for order in &orders {
        let expected = if order.number.starts_with("PO") { OrderState::Released } else { OrderState::Exception };
        assert_eq!(order.state, expected, "{}: {}", order.number, order.why);
    }
    let codes: Vec<_> = host.exceptions().await.into_iter().map(|exception| exception.code).collect();
    assert_eq!(codes, ["scorer-trap", "scorer-out-of-time", "scorer-trap"]);
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 3);
}

#[tokio::test]
async fn invariant_5_a_stuck_order_blocks_no_other_a_transformer_that_cannot_read_it() {
    // Enough fuel for two lines, not for two hundred.
    let host = Setup::demo().grant("x12-orders", "{ limits = { fuel = 1000000 } }").start().await;
    let long = PurchaseOrder::clean("LONG-2").with_lines(&[("FST-1007", 1, "BX", "18.40"); 200]);
    let orders = host.decide_orders(&[PurchaseOrder::clean("PO-1"), long, PurchaseOrder::clean("PO-3")]).await;
    let numbers: Vec<_> = orders.iter().map(|order| order.number.as_str()).collect();
    assert_eq!(numbers, ["PO-1", "PO-3"]);
    assert_eq!(host.summary().await.unmapped, 1);
    assert_eq!(host.exceptions().await[0].code, "out-of-time");
}

#[tokio::test]
async fn invariant_5_a_stuck_order_blocks_no_other_absurd_amounts_stop_nobody() {
    let host = TestHost::demo().await;
    let absurd =
        |number: &str, quantity, price| PurchaseOrder::clean(number).with_lines(&[("FST-1007", quantity, "BX", price)]);
    // Each fits 64 bits of minor units; two of them together do not, nor 2^53.
    let orders = [
        absurd("HUGE-1", 1, "60000000000000000.00"),
        absurd("HUGE-2", 1, "60000000000000000.00"),
        absurd("HUGE-3", 1, "90071992547409.93"),
        absurd("HUGE-4", 999_999_999, "999999999999999.99"),
        PurchaseOrder::clean("PO-5"),
        PurchaseOrder::clean("PO-6").of_customer("C1202"),
    ];
    host.decide_orders(&orders).await;
    // The same customer again, in a batch of its own: sums come from the store now.
    host.send_edi(&x12(7, &PurchaseOrder::clean("PO-7"))).await.unwrap();
    host.send_edi(&x12(8, &PurchaseOrder::clean("PO-8").of_customer("C1203"))).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.summary().await.undecided, 0);
    assert_eq!(host.order("PO-6").await.state, OrderState::Released);
    assert_eq!(host.order("PO-8").await.state, OrderState::Released);
}

#[tokio::test]
async fn invariant_5_a_stuck_order_blocks_no_other_two_partners_may_use_the_same_number() {
    let host = TestHost::demo().await;
    let orders = ["C1201", "C1202", "C1203"].map(|customer| PurchaseOrder::clean("PO-1").of_customer(customer));
    let orders = host.decide_orders(&orders).await;
    assert_eq!(orders.len(), 3, "{:?}", host.exceptions().await);
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 3);
}

#[tokio::test]
async fn invariant_5_a_stuck_order_blocks_no_other_while_a_target_keeps_it_waiting() {
    // The first request is not answered before all others are.
    const ORDERS: usize = 6;
    let (answered, others) = (watch::channel(0_usize).0, Arc::new(AtomicUsize::new(0)));
    let target = ScriptedTarget::start({
        let (answered, arrived) = (answered.clone(), Arc::clone(&others));
        move |_, _| {
            let (answered, arrival) = (answered.clone(), arrived.fetch_add(1, Ordering::SeqCst));
            async move {
                if arrival == 0 {
                    answered.subscribe().wait_for(|count| *count == ORDERS - 1).await.unwrap();
                } else {
                    answered.send_modify(|count| *count += 1);
                }
                (201, format!("{{\"id\":\"{arrival}\",\"number\":\"S-{arrival}\"}}"))
            }
        }
    })
    .await;
    let host = Setup::demo().scorers(&[]).erp_origin(target.origin()).start().await;
    let orders: Vec<_> = (0..ORDERS).map(|number| PurchaseOrder::clean(&format!("PO-{number}"))).collect();
    host.decide_orders(&orders).await;
    assert_eq!(host.deliver_due().await, ORDERS);
    let summary = host.summary().await;
    assert_eq!((summary.delivered, summary.retried, summary.pending), (6, 0, 0));
}
