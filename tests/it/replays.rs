//! Replay from history: a target that lost what it had taken gets it again, once, and what it kept is
//! left alone.

use std::collections::BTreeSet;

use hyper::Method;
use portreeve::standins::Mischief;
use portreeve::standins::partner::Partner;
use portreeve_model::{Digest, Instant};
use portreeve_pipeline::Clock;
use portreeve_pipeline::replay::{LeftOut, Replay, ReplayError, ReplayWanted, Replayed};
use portreeve_record::LeafBody;
use portreeve_record::leaf::ReceiptOutcome;
use portreeve_store::StoreError;
use portreeve_store::contract::Delivered;

use crate::faults::{Fault, FaultyStore};
use crate::front::commands::{json, refused, run};
use crate::interchanges::{accepted, agreed, to_customers};
use crate::support::{PurchaseOrder, Setup, TestHost, x12};

const REASON: &str = "the ERP restored its backup of last night";

/// Everything that the ERP took until now.
fn from(host: &TestHost, since: Instant) -> ReplayWanted<'static> {
    ReplayWanted { target: "erp", channel: None, kind: None, since, until: host.clock.now(), shipped: false, most: 100 }
}

async fn shown(host: &TestHost, wanted: ReplayWanted<'_>) -> Replay {
    host.host.pipeline.show_replay(wanted).await.unwrap()
}

async fn replay(host: &TestHost, wanted: ReplayWanted<'_>, seen: Digest) -> Result<Replayed, ReplayError> {
    host.host.pipeline.replay(&host.ops().await, wanted, seen, REASON).await
}

fn numbers(deliveries: &[Delivered]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.number.as_str()).collect()
}

/// Orders that are released and that the ERP has taken; the time is one later than all that.
async fn taken(host: &TestHost, first_control: u32, orders: &[&str]) {
    for (control, number) in (first_control..).zip(orders) {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
    }
    host.decide_all().await;
    host.deliver_all().await;
    for number in orders {
        assert_eq!(host.order(number).await.deliveries[0].state, "delivered", "{number}");
    }
    host.clock.advance_to(host.clock.now().plus_ms(1));
}

/// The numbers of the orders that the ERP has, each once.
fn in_the_erp(host: &TestHost) -> Vec<String> {
    let orders = host.erp.sales_orders();
    let documents: BTreeSet<_> = orders.iter().map(|order| order.external_document_number.clone()).collect();
    assert_eq!(documents.len(), orders.len(), "one of them is there twice: {orders:?}");
    documents.into_iter().collect()
}

#[tokio::test]
async fn a_target_that_lost_a_day_gets_that_day_again_and_what_it_kept_is_found_and_not_sent() {
    let host = TestHost::demo().await;
    taken(&host, 1, &["PO-1"]).await;
    let morning = host.clock.now();
    taken(&host, 2, &["PO-2"]).await;
    taken(&host, 3, &["PO-3"]).await;
    let (had, made) = (in_the_erp(&host), host.erp.sales_orders_made());
    // Its backup has the first order of that day, and not the second.
    host.erp.restore(2);

    let (wanted, leaves) = (from(&host, morning), host.leaves().await.len());
    let plan = shown(&host, wanted).await;
    assert_eq!(numbers(&plan.deliveries), ["PO-2", "PO-3"], "the day before is left alone");
    assert!(!plan.more && plan.left_out.is_empty());
    let lost = plan.deliveries[1].clone();
    assert_eq!(lost.external_id, host.order("PO-3").await.deliveries[0].external_id);
    assert_eq!((host.leaves().await.len(), host.summary().await.pending), (leaves, 0), "a dry run writes nothing");

    let done = replay(&host, wanted, plan.digest).await.unwrap();
    assert!(!done.before);
    assert_eq!((done.replay.deliveries, done.replay.done, done.replay.who.as_str()), (2, 0, "ops"));
    assert_eq!(host.summary().await.pending, 2);
    host.deliver_all().await;
    assert_eq!((in_the_erp(&host), host.erp.sales_orders_made()), (had, made + 1), "one was made again");
    let [kept, again] =
        [host.order("PO-2").await, host.order("PO-3").await].map(|mut order| order.deliveries.remove(0));
    assert_eq!((kept.state.as_str(), kept.attempts), ("delivered", 1), "it was asked about and found");
    assert_eq!((again.state.as_str(), again.attempts), ("delivered", 2));
    assert_ne!(again.external_id, lost.external_id, "the ERP gave it another number");
    assert_eq!(host.codes().await, Vec::<String>::new());

    // The same once more does nothing, whatever is to go by now.
    let again = replay(&host, wanted, plan.digest).await.unwrap();
    assert!(again.before && again.replay.done == 2);
    assert_eq!((host.summary().await.pending, host.erp.sales_orders_made()), (0, made + 1));
    assert!(shown(&host, wanted).await.deliveries.is_empty(), "they were taken later than that day by now");

    let leaves = host.leaves().await;
    let said: Vec<_> = leaves
        .iter()
        .filter_map(|leaf| if let LeafBody::Replay(said) = &leaf.body { Some(said) } else { None })
        .collect();
    assert_eq!((said.len(), said[0].count, said[0].who.as_str(), said[0].replay), (1, 2, "ops", plan.digest));
    assert_eq!((said[0].since, said[0].until), (morning, wanted.until));
    let rows: Vec<_> = plan.deliveries.iter().map(|delivery| Digest::of(delivery.outbox.0.as_bytes())).collect();
    assert_eq!(said[0].outboxes.shown(), rows);
    let found = leaves
        .iter()
        .filter(|leaf| matches!(&leaf.body, LeafBody::Receipt(receipt) if receipt.outcome == ReceiptOutcome::Found));
    assert_eq!(found.count(), 1);
    let reason = host.host.pipeline.reason_of(done.replay.record).await.unwrap();
    assert_eq!(reason.as_deref(), Some(REASON));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_target_that_still_has_everything_and_loses_answers_gets_nothing_twice() {
    let mischief = Mischief {
        throttle_per_mille: 150,
        fail_before_per_mille: 150,
        drop_after_per_mille: 300,
        ..Mischief::default()
    };
    let host = Setup::demo().mischief(mischief).start().await;
    let since = host.clock.now();
    let orders: Vec<String> = (0..12).map(|number| format!("PO-{number}")).collect();
    taken(&host, 1, &orders.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (had, made) = (in_the_erp(&host), host.erp.sales_orders_made());
    // Only so many at once, and the rest after them.
    let wanted = |host: &TestHost| ReplayWanted { most: 8, ..from(host, since) };
    let range = wanted(&host);
    for (expected, more) in [(8, true), (4, false)] {
        let plan = shown(&host, range).await;
        assert_eq!((plan.deliveries.len(), plan.more), (expected, more));
        replay(&host, range, plan.digest).await.unwrap();
        host.deliver_all().await;
    }
    assert_eq!((in_the_erp(&host), host.erp.sales_orders_made()), (had, made));
    assert_eq!(host.codes().await, Vec::<String>::new());
    assert_eq!(host.store.replays(0, 10).await.unwrap().iter().map(|replay| replay.done).collect::<Vec<_>>(), [8, 4]);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_is_erased_or_to_be_cancelled_is_told_and_not_sent() {
    let host = TestHost::demo().await;
    let since = host.clock.now();
    taken(&host, 1, &["PO-1", "PO-2", "PO-3"]).await;
    host.erp.restore(0);
    let erased = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db"))
        .unwrap()
        .execute("DELETE FROM payload_key WHERE payload = (SELECT event FROM orders WHERE number = 'PO-1')", []);
    assert_eq!(erased, Ok(1));
    let wanted = from(&host, since);
    let before = shown(&host, wanted).await;
    assert_eq!(numbers(&before.deliveries), ["PO-2", "PO-3"]);
    let cancel = String::from_utf8(x12(9, &PurchaseOrder::clean("PO-2"))).unwrap().replace("BEG*00*", "BEG*01*");
    host.send_edi(cancel.as_bytes()).await.unwrap();
    host.decide_all().await;

    // What was shown is not what would go any more.
    let stale = replay(&host, wanted, before.digest).await.unwrap_err();
    assert!(matches!(stale, ReplayError::Stale { now: 1, .. }), "{stale}");
    assert_eq!(host.summary().await.pending, 0);
    let plan = shown(&host, wanted).await;
    let left_out: Vec<_> = plan.left_out.iter().map(|(delivery, why)| (delivery.number.as_str(), *why)).collect();
    assert_eq!(left_out, [("PO-1", LeftOut::Erased), ("PO-2", LeftOut::Cancelled)]);
    assert_eq!((numbers(&plan.deliveries), plan.left_out_count), (vec!["PO-3"], 2));
    replay(&host, wanted, plan.digest).await.unwrap();
    host.deliver_all().await;
    let documents = host.erp.sales_orders();
    assert_eq!(documents.len(), 1, "{documents:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_in_a_sentence() {
    let host = TestHost::demo().await;
    let since = host.clock.now();
    taken(&host, 1, &["PO-1"]).await;
    let wanted = from(&host, since);
    let seen = shown(&host, wanted).await.digest;
    let pipeline = &host.host.pipeline;
    let viewer = host.acts_as("viktor", &["viewer"]).await;
    let denied = pipeline.replay(&viewer, wanted, seen, REASON).await.unwrap_err();
    assert!(matches!(denied, ReplayError::Denied(_)) && denied.to_string().contains("operate"), "{denied}");
    for blank in ["", "  "] {
        let refused = pipeline.replay(&host.ops().await, wanted, seen, blank).await.unwrap_err();
        assert!(matches!(refused, ReplayError::Words { found: 0 }), "{refused}");
    }
    let to_come = ReplayWanted { until: host.clock.now().plus_ms(1), ..wanted };
    let refused = pipeline.show_replay(to_come).await.unwrap_err();
    assert!(refused.to_string().contains("is over by now"), "{refused}");
    let nobody = pipeline.show_replay(ReplayWanted { target: "shop", ..wanted }).await.unwrap_err();
    assert!(nobody.to_string().contains("target `shop` is not configured"), "{nobody}");
    let before = ReplayWanted { since: Instant(0), until: since, ..wanted };
    let nothing = shown(&host, before).await;
    assert!(nothing.deliveries.is_empty());
    let refused = replay(&host, before, nothing.digest).await.unwrap_err();
    assert!(matches!(refused, ReplayError::Nothing { .. }), "{refused}");
    assert_eq!((host.summary().await.pending, host.store.replays(0, 10).await.unwrap().len()), (0, 0));

    let host = host.restart_as(Setup::demo().replace("portreeve.toml", "find = true", "find = false")).await;
    let refused = host.host.pipeline.show_replay(from(&host, since)).await.unwrap_err();
    assert!(matches!(refused, ReplayError::CannotBeAsked { .. }), "{refused}");
}

#[tokio::test]
async fn whatever_fails_around_the_replay_each_delivery_is_made_again_once() {
    for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
        let host = TestHost::demo().await;
        let since = host.clock.now();
        taken(&host, 1, &["PO-1", "PO-2"]).await;
        let had = in_the_erp(&host);
        host.erp.restore(0);
        let (host, store) = host.restart_behind(|store| FaultyStore::new(store, "replay_delivered", fault, 0)).await;
        let wanted = from(&host, since);
        let plan = shown(&host, wanted).await;
        let failed = replay(&host, wanted, plan.digest).await.unwrap_err();
        let unknown = matches!(failed, ReplayError::Store(StoreError::Unknown(_)));
        assert!(store.has_failed() && unknown == (fault == Fault::PersistedButFailed), "{failed}");
        drop(store);
        // Whoever does not know what became of it does the same again, after the host began anew.
        let host = host.restart().await;
        let again = replay(&host, wanted, plan.digest).await.unwrap();
        assert_eq!(again.before, fault == Fault::PersistedButFailed);
        host.deliver_all().await;
        assert_eq!((in_the_erp(&host), host.erp.sales_orders_made()), (had, 4), "{fault:?}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_ends_in_the_middle_of_a_replay_goes_on_where_it_was() {
    for write in ["begin_attempt", "settle", "settle_unattempted"] {
        for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
            let host = TestHost::demo().await;
            let since = host.clock.now();
            taken(&host, 1, &["PO-1", "PO-2", "PO-3", "PO-4"]).await;
            let had = in_the_erp(&host);
            host.erp.restore(2);
            let wanted = from(&host, since);
            let plan = shown(&host, wanted).await;
            replay(&host, wanted, plan.digest).await.unwrap();
            let (host, store) = host.restart_behind(|store| FaultyStore::new(store, write, fault, 1)).await;
            // One of them fails, and the host is gone before anybody cares.
            drop(host.host.pipeline.deliver_due(64).await.unwrap());
            assert!(store.has_failed(), "{write}");
            drop(store);
            let host = host.restart().await;
            host.deliver_all().await;
            assert_eq!((in_the_erp(&host), host.erp.sales_orders_made()), (had, 6), "{write}, {fault:?}");
            assert_eq!(host.store.replays(0, 10).await.unwrap()[0].done, 4);
            assert_eq!(host.codes().await, Vec::<String>::new());
            host.verify().await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_target_says_by_taking_a_message_is_not_heard_a_second_time() {
    let receipt = "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"";
    let setup = Setup::demo().replace("portreeve.toml", "kind = \"business-central/sales-order\"", receipt);
    let host = setup.start().await;
    let since = host.clock.now();
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.come_to_rest().await;
    let order = host.order("PO-1").await.id;
    let events = async || host.store.order_trail(order).await.unwrap().unwrap().events.len();
    assert_eq!(events().await, 1, "it was accepted");
    host.erp.restore(0);
    host.clock.advance_to(host.clock.now().plus_ms(1));
    let wanted = from(&host, since);
    let plan = shown(&host, wanted).await;
    replay(&host, wanted, plan.digest).await.unwrap();
    host.come_to_rest().await;
    assert_eq!((in_the_erp(&host).len(), events().await, host.codes().await), (1, 1, vec![]));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_partner_gets_an_interchange_again_under_the_number_that_it_had() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let agreed = agreed(&partner.origin(), "");
    let host = to_customers(Setup::demo(), &partner.origin(), &agreed).start().await;
    let since = host.clock.now();
    for number in ["PO-1", "PO-2"] {
        accepted(&host, number, "C1201").await;
        host.come_to_rest().await;
    }
    host.clock.advance_to(host.clock.now().plus_ms(1));
    let came =
        || partner.ledger().iter().map(|entry| (entry.control, entry.set.clone(), entry.times)).collect::<Vec<_>>();
    assert_eq!(came(), [(1, "855".to_owned(), 1), (2, "855".to_owned(), 1)]);
    let wanted = ReplayWanted { target: "customers", ..from(&host, since) };
    let plan = shown(&host, wanted).await;
    assert_eq!(numbers(&plan.deliveries), ["PO-1", "PO-2"]);
    replay(&host, wanted, plan.digest).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(came(), [(1, "855".to_owned(), 2), (2, "855".to_owned(), 2)]);
    assert_eq!((partner.faults(), host.codes().await), (vec![], vec![]));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_was_sent_before_its_target_counted_numbers_gets_none_and_is_a_persons() {
    let host = TestHost::demo().await;
    let since = host.clock.now();
    taken(&host, 1, &["PO-1"]).await;
    let made = host.erp.sales_orders_made();
    let counting = Setup::demo()
        .replace("portreeve.toml", "find = true", "find = false")
        .append("portreeve.toml", "\n[target.interchange]\nknows_repeats = true\npartner = \"ZZ:ERP\"\n");
    let host = host.restart_as(counting).await;
    let wanted = from(&host, since);
    let plan = shown(&host, wanted).await;
    assert_eq!(numbers(&plan.deliveries), ["PO-1"]);
    replay(&host, wanted, plan.digest).await.unwrap();
    host.deliver_all().await;
    // A number that it never had would be another message to whoever counts by numbers.
    assert_eq!((host.erp.sales_orders_made(), host.codes().await), (made, vec!["unknown-outcome".to_owned()]));
    assert!(host.order("PO-1").await.deliveries[0].interchange.is_none());
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_what_would_be_sent_again_have_just_that_sent_and_see_how_far_it_is() {
    let host = TestHost::demo().await;
    let since = host.clock.now();
    taken(&host, 1, &["PO-1", "PO-2"]).await;
    host.erp.restore(0);
    let until = host.clock.now();
    let door = host.front_door().await;
    let token = host.ops_key_file().await;
    let (url, token) = (format!("http://{}", door.address()), token.to_str().unwrap().to_owned());
    let server = ["--server", &url, "--token-file", &token];
    let (since, until) = (since.to_string(), until.to_string());
    let those = ["--target", "erp", "--from", &since, "--until", &until, "--most", "5"];
    let dry_run = [&["replay", "dry-run"][..], &those, &server].concat();
    let told = run(&dry_run).await.unwrap();
    let number = host.order("PO-2").await.deliveries[0].external_id.clone().unwrap();
    for part in ["PO-1", "PO-2", &number, "2 would be sent again, 0 not; shown "] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    let digits = told.trim_end().rsplit(' ').next().unwrap();
    let plan = json(&dry_run).await.remove(0);
    assert_eq!((plan["deliveries"].as_array().unwrap().len(), &plan["leftOutCount"]), (2, &0.into()));

    let go = ["replay", "run", "--reason", REASON, "--shown"];
    let other = [&go[..], &["0123456789ab"], &those, &server].concat();
    refused(&other, &["is not what `0123456789ab` was shown of", "replay dry-run"]).await;
    let this = [&go[..], &[digits], &those, &server].concat();
    let done = json(&this).await.remove(0);
    assert_eq!(
        (&done["before"], &done["replay"]["deliveries"], &done["replay"]["who"]),
        (&false.into(), &2.into(), &"ops".into())
    );
    host.deliver_all().await;
    let again = run(&this).await.unwrap();
    assert!(again.contains("was done before") && again.contains("2 there again"), "{again}");
    assert_eq!(in_the_erp(&host).len(), 2);
    let list = json(&[&["replay", "list"][..], &server].concat()).await;
    assert_eq!((list.len(), &list[0]["reason"], &list[0]["done"]), (1, &REASON.into(), &2.into()));
    let in_folder = ["replay", "list", "--data-dir", host.folder().to_str().unwrap()];
    assert_eq!(json(&in_folder).await, list);

    // Who only reads looks, and does nothing.
    let viewer = door.key_of("viktor", &["viewer"]).await;
    let headers = [("authorization", viewer.as_str()), ("content-type", "application/json")];
    assert_eq!(door.send(Method::POST, "/v1/replays", &headers, b"{}").await.status, 403);
    let path = format!("/v1/replays/dry-run?target=erp&from={since}&until={until}&most=0");
    assert_eq!(door.get(&path, &headers[..1]).await.status, 400);
    door.close().await;
    host.verify().await.unwrap();
}
