//! Retention: old content goes, with a record; what is open, what knows duplicates
//! and what proves stays.

use portreeve_pipeline::AcceptError;
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::retention::Retained;
use portreeve_record::LeafBody;
use portreeve_store::StoreError;
use portreeve_store::contract::{FORGOTTEN, Forgotten, OrderState};
use tokio::sync::watch;

use crate::support::{EDI_TOKEN, MORNING, PurchaseOrder, Setup, TestHost, x12};

const DAY_MS: i64 = 86_400_000;

/// A delivered order, a held one, and so many days.
async fn days_later(days: i64) -> TestHost {
    let keeping = Setup::demo().append("portreeve.toml", "\n[retention]\ncontent_days = 30\n");
    let host = keeping.start().await;
    let too_dear = PurchaseOrder::clean("PO-2").of_customer("C1202").with_lines(&[("FST-1007", 10, "BX", "99.00")]);
    let orders = host.decide_orders(&[PurchaseOrder::clean("PO-1"), too_dear]).await;
    assert_eq!((orders[0].state, orders[1].state), (OrderState::Released, OrderState::Held), "{}", orders[0].why);
    host.deliver_all().await;
    host.clock.advance_to(MORNING.plus_ms(days * DAY_MS));
    host
}

async fn forget(host: &TestHost) -> Retained {
    let before = host.host.retention.unwrap().before(portreeve_pipeline::Clock::now(host.clock.as_ref()));
    host.host.pipeline.forget_finished(before, || false).await.unwrap()
}

#[tokio::test]
async fn content_goes_when_its_time_has_come_and_the_record_stays() {
    let host = days_later(29).await;
    assert_eq!(forget(&host).await.forgotten, Forgotten::default(), "its time has not come");
    host.clock.advance_to(MORNING.plus_ms(31 * DAY_MS));
    let (leaves, orders) = (host.leaves().await.len(), host.orders().await);
    let retained = forget(&host).await;
    assert_eq!(retained.forgotten, Forgotten { inputs: 1, orders: 1, payloads: 4 });
    assert_eq!(retained.open, 1, "the held order's input");

    // One leaf, which names the input as its accept leaf does.
    let all = host.leaves().await;
    assert_eq!(all.len(), leaves + 1);
    let accepted = all.iter().find_map(|leaf| match &leaf.body {
        LeafBody::Accept(accept) => Some(accept.input),
        _ => None,
    });
    let LeafBody::Retention(said) = &all.last().unwrap().body else { panic!("the last leaf is {:?}", all.last()) };
    assert_eq!((said.inputs.count(), said.inputs.shown()), (1, [accepted.unwrap()].as_slice()));
    assert_eq!(host.verify().await.unwrap().kinds.retention, 1);

    let order = host.order("PO-1").await;
    assert_eq!((order.state, order.why.as_str()), (OrderState::Released, FORGOTTEN));
    assert!(matches!(host.store.payload(order.decision).await, Err(StoreError::Erased(_))));
    assert_eq!(host.rederive(order.id).await.unwrap(), Rederived::Erased);
    // What is open can be decided again, by its record.
    let held = host.order("PO-2").await;
    assert_eq!(held.why, orders[1].why);
    assert!(matches!(host.rederive(held.id).await.unwrap(), Rederived::Same(_)));

    assert_eq!(forget(&host).await, Retained { open: 1, ..Retained::default() }, "once is enough");
    assert_eq!(host.leaves().await.len(), leaves + 1, "nothing went, and no leaf says that something did");
    let metrics = host.host.pipeline.metrics.text(&[]);
    for line in ["portreeve_retention_inputs_total 1\n", "portreeve_retention_payloads_total 4\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn a_duplicate_of_what_went_is_still_a_duplicate() {
    let host = days_later(31).await;
    assert_eq!(forget(&host).await.forgotten.inputs, 1);
    let host = host.restart().await;
    host.clock.advance_to(MORNING.plus_ms(31 * DAY_MS));

    // The same bytes: the status of the first reply, and nothing of what it said.
    let again = host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    assert!(again.duplicate);
    assert_eq!((again.reply.status, again.reply.body.len(), again.reply.headers.len()), (200, 0, 0));
    let door = host.front_door().await;
    let headers = [("authorization", format!("Bearer {EDI_TOKEN}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = door.post("edi", &headers, &x12(1, &PurchaseOrder::clean("PO-1"))).await;
    assert_eq!((answer.status, answer.header("x-portreeve-duplicate")), (200, Some("true")));
    door.close().await;
    // The same envelope with other bytes.
    let other = host.send_edi(&x12(1, &PurchaseOrder::clean("PO-9"))).await;
    assert!(matches!(other, Err(AcceptError::Conflict { .. })));
    // The same order in a new envelope.
    host.send_edi(&x12(7, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    host.decide_all().await;
    host.deliver_all().await;
    assert_eq!((host.summary().await.duplicates, host.erp.sales_orders().len()), (1, 1));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_host_at_work_removes_old_content_by_itself() {
    let host = days_later(31).await;
    let (stop, stopped) = watch::channel(false);
    let gone = async {
        while host.store.kept_inputs(MORNING.plus_ms(DAY_MS), None, 10).await.unwrap().len() > 1 {
            tokio::task::yield_now().await;
        }
        stop.send_replace(true);
    };
    let (worked, ()) = tokio::join!(host.host.work(stopped), gone);
    worked.unwrap();
    assert_eq!(host.verify().await.unwrap().kinds.retention, 1);
}

#[tokio::test]
async fn a_retention_that_would_remove_everything_or_nothing_is_refused() {
    for days in ["0", "36501"] {
        let wrong = Setup::demo().append("portreeve.toml", &format!("\n[retention]\ncontent_days = {days}\n"));
        let Err(error) = wrong.try_start().await else { panic!("{days} days were taken") };
        let sentence = format!("{error:#}");
        assert!(
            sentence.contains(&format!("`content_days` in [retention] is {days}; expected 1 to 36500")),
            "{sentence}"
        );
    }
    assert!(TestHost::demo().await.host.retention.is_none(), "nothing goes unless somebody says so");
}
