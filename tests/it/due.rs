//! 855 and 856 by the times that are agreed with customers: who is told of one that is late, once, and
//! when it is over.

use portreeve::standins::Mischief;
use portreeve::standins::partner::Partner;
use portreeve_model::{ExceptionKind, Instant};
use portreeve_pipeline::Clock;
use portreeve_record::LeafBody;
use portreeve_record::leaf::LateStep;
use portreeve_store::contract::OrderState;

use crate::front::commands::refused;
use crate::interchanges::{accepted, agreed, shipped_and_invoiced, to_customers};
use crate::kept_back::dear;
use crate::support::{Setup, TestHost, x12};

const MINUTE_MS: i64 = 60_000;

/// A day for the 855 and two hours for the 856.
const AGREED: &str = "
[[due]]
id = \"855\"
target = \"customers\"
after = \"order.created\"
within_minutes = 1440
channels = [\"edi\"]

[[due]]
id = \"856\"
target = \"customers\"
kind = \"x12/856\"
after = \"shipment.confirmed\"
within_minutes = 120
";

async fn partners(due: &str) -> (Partner, TestHost) {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let setup = to_customers(Setup::demo().scorers(&[]), &partner.origin(), &agreed(&partner.origin(), ""));
    (partner, setup.append("portreeve.toml", due).start().await)
}

async fn told(host: &TestHost) -> u64 {
    host.host.pipeline.tell_late(|| false).await.unwrap()
}

/// So long after a time, and a moment before.
async fn around(host: &TestHost, since: Instant, minutes: i64) -> (u64, u64) {
    let due = since.plus_ms(minutes * MINUTE_MS);
    host.clock.advance_to(due.plus_ms(-1));
    let before = told(host).await;
    host.clock.advance_to(due);
    (before, told(host).await)
}

/// What is on record of messages that are late.
async fn steps(host: &TestHost) -> Vec<(String, LateStep)> {
    let late = host.leaves().await.into_iter().filter_map(|leaf| match leaf.body {
        LeafBody::Late(late) => Some((late.message.to_string(), late.step)),
        _ => None,
    });
    late.collect()
}

#[tokio::test]
async fn an_855_that_is_not_sent_in_time_is_told_once_with_its_owner_and_over_when_it_goes() {
    let (partner, host) = partners(AGREED).await;
    let received_at = host.clock.now();
    // The ERP has not got it yet, so there is nothing to answer.
    let order = accepted(&host, "PO-1", "C1201").await;
    assert_eq!(around(&host, received_at, 1_440).await, (0, 1));
    assert_eq!(told(&host).await, 0, "once");
    let counted = host.host.pipeline.metrics.text(&[]);
    let metric = |result: &str| {
        format!("portreeve_late_messages_total{{target=\"customers\",message=\"x12/855\",result=\"{result}\"}} 1")
    };
    assert!(counted.contains(&metric("told")), "{counted}");
    let host = host.restart().await;
    assert_eq!(told(&host).await, 0, "nor after a restart");
    let waits = host.exceptions().await.remove(0);
    assert_eq!((waits.code.as_str(), waits.kind, waits.order), ("message-late", ExceptionKind::Order, Some(order)));
    let due_at = received_at.plus_ms(1_440 * MINUTE_MS);
    for part in ["found no `x12/855` of order `PO-1` of partner `ZZ:C1201", "target `customers`", &due_at.to_string()] {
        assert!(waits.detail.contains(part), "{part}: {}", waits.detail);
    }
    let owner = host.host.pipeline.routes.owner_of(&waits).unwrap();
    assert_eq!((owner.part.as_str(), owner.name), ("systems", "erp-team@distributor.example"));

    host.come_to_rest().await;
    assert_eq!(partner.ledger().len(), 1);
    assert_eq!((told(&host).await, host.codes().await), (0, vec![]));
    let counted = host.host.pipeline.metrics.text(&[]);
    assert!(counted.contains(&metric("sent")), "{counted}");
    let expected = [LateStep::Told, LateStep::Sent].map(|step| ("x12/855".to_owned(), step));
    assert_eq!(steps(&host).await, expected);
    host.verify().await.unwrap();
    host.rederive(order).await.unwrap();
}

#[tokio::test]
async fn a_late_message_is_the_systems_owners_of_its_target() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let target = format!("{}\nsystems_owner = \"edi-team@distributor.example\"", agreed(&partner.origin(), ""));
    let setup = to_customers(Setup::demo().scorers(&[]), &partner.origin(), &target);
    let host = setup.append("portreeve.toml", AGREED).start().await;
    let received_at = host.clock.now();
    accepted(&host, "PO-1", "C1201").await;
    assert_eq!(around(&host, received_at, 1_440).await, (0, 1));
    let waits = host.exceptions().await.remove(0);
    assert_eq!((waits.code.as_str(), waits.target.as_deref()), ("message-late", Some("customers")));
    let owner = host.host.pipeline.routes.owner_of(&waits).unwrap();
    assert_eq!((owner.part.as_str(), owner.name), ("systems", "edi-team@distributor.example"));
}

#[tokio::test]
async fn an_856_counts_from_when_the_shipment_was_heard_of() {
    let (_partner, host) = partners(AGREED).await;
    let order = accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    host.clock.advance_to(host.clock.now().plus_ms(3 * 60 * MINUTE_MS));
    let shipped_at = host.clock.now();
    shipped_and_invoiced(&host, order, 1).await;
    host.decide_all().await;
    assert_eq!(around(&host, shipped_at, 120).await, (0, 1));
    let waits = host.exceptions().await.remove(0);
    assert!(waits.detail.contains("`x12/856` of order `PO-1`"), "{}", waits.detail);
    host.come_to_rest().await;
    assert_eq!((told(&host).await, host.codes().await), (0, vec![]));
    assert_eq!(steps(&host).await, [LateStep::Told, LateStep::Sent].map(|step| ("x12/856".to_owned(), step)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_856_of_a_shipment_that_is_heard_of_before_the_erp_took_the_order_is_due_as_well() {
    let (_partner, host) = partners(AGREED).await;
    let order = accepted(&host, "PO-1", "C1201").await;
    let shipped_at = host.clock.now();
    shipped_and_invoiced(&host, order, 1).await;
    host.decide_all().await;
    // Nothing follows from it yet, so there is no delivery that could be late.
    assert!(host.codes().await.contains(&"early-event".to_owned()));
    assert_eq!(around(&host, shipped_at, 120).await, (0, 1));
    assert!(host.codes().await.contains(&"message-late".to_owned()));
    host.come_to_rest().await;
    assert_eq!((told(&host).await, host.codes().await), (0, vec![]));
    assert_eq!(steps(&host).await, [LateStep::Told, LateStep::Sent].map(|step| ("x12/856".to_owned(), step)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_goes_out_in_time_is_told_to_nobody() {
    let (partner, host) = partners(AGREED).await;
    let received_at = host.clock.now();
    let order = accepted(&host, "PO-1", "C1201").await;
    assert_eq!(told(&host).await, 0);
    host.come_to_rest().await;
    shipped_and_invoiced(&host, order, 1).await;
    host.come_to_rest().await;
    assert_eq!(partner.ledger().len(), 3);
    assert_eq!(around(&host, received_at, 1_440).await, (0, 0));
    assert_eq!((host.codes().await, steps(&host).await), (vec![], vec![]));
}

#[tokio::test]
async fn an_order_that_is_held_is_answered_in_time_or_told_as_well() {
    let (_partner, host) = partners(AGREED).await;
    let received_at = host.clock.now();
    host.send_edi(&x12(1, &dear("PO-1"))).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.order("PO-1").await.state, OrderState::Held);
    assert_eq!(around(&host, received_at, 1_440).await, (0, 1));
    assert!(host.codes().await.contains(&"message-late".to_owned()));
}

#[tokio::test]
async fn a_partner_may_have_a_time_of_its_own() {
    let (_partner, host) = partners(AGREED).await;
    host.send_edi(&x12(1, &dear("PO-1"))).await.unwrap();
    host.decide_all().await;
    let partner = host.store.order_origin(host.order("PO-1").await.id).await.unwrap().unwrap().partner;
    drop(host);

    let own = AGREED.replace("channels = [\"edi\"]", &format!("partners = {{ \"{partner}\" = 30 }}"));
    let (_partner, host) = partners(&own).await;
    let received_at = host.clock.now();
    host.send_edi(&x12(1, &dear("PO-1"))).await.unwrap();
    host.decide_all().await;
    assert_eq!(around(&host, received_at, 30).await, (0, 1));
}

#[tokio::test]
async fn a_due_time_that_nothing_could_keep_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let origin = "http://127.0.0.1:9";
    let setup = to_customers(Setup::demo(), origin, &agreed(origin, ""));
    let wrong = AGREED.replace("\"x12/856\"", "\"x12/857\"").replace("1440", "0");
    let config = setup.append("portreeve.toml", &wrong).configuration(folder.path());
    let sentences = ["[[due]] `855` has 0 `within_minutes`", "[[due]] `856` waits for `x12/857`, which nothing sends"];
    refused(&["route", "check", "--config", config.to_str().unwrap()], &sentences).await;
}
