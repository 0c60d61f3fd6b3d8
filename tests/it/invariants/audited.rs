//! Invariant 1: no audit, no action. A state change and its leaf are one
//! transaction, and an effect follows its committed attempt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use portreeve::host::Host;
use portreeve::standins::Mischief;
use portreeve_model::{Digest, OrderId};
use portreeve_record::{Leaf, LeafBody, LeafRecord};
use portreeve_store::contract::{
    DocumentPosition, JournalEntry, JournalOutcome, NewDocument, NewEnvelope, OpenPayload, PayloadRef, Room, Settlement,
};
use portreeve_store::{Store, StoreError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{oneshot, watch};

use super::{commit, decision_by_hand, leaf, lease, sealed};
use crate::faults::{Fault, FaultyStore};
use crate::support::{EDI_TOKEN, MORNING, PurchaseOrder, ScriptedTarget, Setup, TestHost, sample, x12};

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Leaves about an order: accepts, decisions, attempts, receipts.
type PerOrder = BTreeMap<OrderId, [usize; 4]>;

#[tokio::test]
async fn invariant_1_no_audit_no_action_every_state_change_has_its_leaf() {
    let mischief = Mischief { throttle_per_mille: 300, drop_after_per_mille: 300, ..Mischief::default() };
    let host = Setup::demo().mischief(mischief).start().await;
    for order in 1..=6 {
        host.send_edi(&x12(order, &PurchaseOrder::clean(&format!("PO-{order}")))).await.unwrap();
    }
    let junk = [sample("x12", "0087"), sample("x12", "0091"), x12(7, &PurchaseOrder::clean("PO-1"))];
    for body in &junk {
        host.send_edi(body).await.unwrap();
    }
    for start in ["0001", "0122", "0123"] {
        host.send_shop(&sample("adobe-commerce", start)).await.unwrap();
    }
    host.decide_all().await;
    host.deliver_all().await;

    let leaves = host.leaves().await;
    let kinds = host.verify().await.unwrap().kinds;
    let (summary, orders) = (host.summary().await, host.orders().await);
    assert_eq!(kinds.accept, summary.inputs);
    assert_eq!(kinds.accept, 12);
    let decided: u64 = summary.orders.iter().map(|(_, count)| count).sum::<u64>()
        + summary.duplicates
        + summary.unmapped
        + summary.order_events;
    assert_eq!(kinds.decide, decided);

    let per_order = per_order(&leaves);
    assert_eq!(per_order.len(), orders.len());
    for order in &orders {
        let attempts = order.deliveries.iter().map(|delivery| delivery.attempts).sum::<u32>();
        let attempts = usize::try_from(attempts).unwrap();
        let [accepts, decisions, attempted, receipts] = per_order[&order.id];
        assert_eq!((accepts, decisions, attempted), (1, 1, attempts), "order `{}`", order.number);
        // An attempt without an answer has a second receipt: what the target said when it was asked.
        assert!(receipts >= attempts, "order `{}`", order.number);
    }
    let without_retries = orders.iter().filter(|order| order.deliveries.iter().all(|delivery| delivery.attempts == 1));
    let four: Vec<_> = without_retries.filter(|order| per_order[&order.id] == [1, 1, 1, 1]).collect();
    assert!(!four.is_empty() && four.len() < orders.len(), "the ERP was to misbehave for some and not for all");
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_the_attempt_is_on_record_before_the_target_hears_of_it() {
    let (store, heard) = (Arc::new(OnceLock::<Arc<dyn Store>>::new()), Arc::new(Mutex::new(Vec::new())));
    let target = ScriptedTarget::start({
        let (store, heard) = (Arc::clone(&store), Arc::clone(&heard));
        move |_, body| {
            let (store, heard) = (Arc::clone(&store), Arc::clone(&heard));
            async move {
                let leaves = store.get().unwrap().unsequenced(1_000).await.unwrap();
                let on_record = leaves.iter().filter_map(|leaf| match Leaf::parse(&leaf.bytes).unwrap().body {
                    LeafBody::Attempt(attempt) => attempt.message,
                    _ => None,
                });
                // With the key of the order's event, what arrived can be told in the record; without it, it cannot.
                let sent = Digest::of_parts(&[b"business-central/sales-order", b"application/json", &body]);
                let mut confirmed = 0;
                for message in on_record {
                    for order in store.get().unwrap().orders(DocumentPosition(0), 10).await.unwrap() {
                        let (_, key) = opened(store.get().unwrap(), order.event).await;
                        confirmed += usize::from(key.blind_digest(&sent) == message);
                    }
                    assert_ne!(message, sent);
                }
                heard.lock().unwrap().push(confirmed);
                (201, r#"{"id":"1","number":"S-1"}"#.to_owned())
            }
        }
    })
    .await;
    let host = Setup::demo().erp_origin(target.origin()).start().await;
    store.set(Arc::clone(&host.store)).ok().unwrap();
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2")]).await;
    host.deliver_all().await;
    assert_eq!(*heard.lock().unwrap(), [1, 1], "the bytes that arrived are those of one attempt on record");
    assert_eq!(host.summary().await.delivered, 2);
}

async fn opened(store: &Arc<dyn Store>, kept: PayloadRef) -> OpenPayload {
    store.payloads(vec![kept]).await.unwrap().remove(0).unwrap()
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_and_nobody_can_guess_from_the_log_what_an_order_said() {
    let host = TestHost::demo().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    let order = host.order("PO-1").await;
    let record = host.decision(&order).await;
    let leaves = host.leaves().await;
    let log = serde_json::to_string(&leaves).unwrap();

    let external_id = order.deliveries[0].external_id.as_ref().unwrap();
    let event = host.store.payload(order.event).await.unwrap();
    let mut guesses = vec![Digest::of(external_id.as_bytes()), Digest::of(&event)];
    for scoring in &record.scorings {
        let assessment = portreeve_record::canonical_digest(scoring.assessment.as_ref().unwrap()).unwrap();
        guesses.extend([scoring.input, scoring.transcript, assessment]);
    }
    assert!(guesses.len() > 7, "the demo asks three scorers");
    for guess in guesses {
        assert!(!log.contains(&guess.to_string()), "{guess}");
    }

    // Who may open the decision can compare.
    let (_, key) = opened(&host.store, order.decision).await;
    for scoring in &record.scorings {
        assert!(log.contains(&key.blind_digest(&scoring.transcript).to_string()), "{}", scoring.plugin);
    }
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_an_attempt_without_an_effect_is_on_record_too() {
    // A port that was free a moment ago: nobody answers there.
    let gone = ScriptedTarget::start(|_, _| async { (500, String::new()) }).await.origin().to_owned();
    tokio::task::yield_now().await;
    // At once, after half a minute and after a whole one: the connector asks for so long.
    let setup = Setup::demo().replace("portreeve.toml", "attempts_max = 6", "deadline_minutes = 1");
    let host = setup.erp_origin(&gone).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    let order = host.order("PO-1").await;
    assert_eq!((order.deliveries[0].state.as_str(), order.deliveries[0].attempts), ("dead", 3));
    // The last receipt is of the permit that was given up.
    assert_eq!(per_order(&host.leaves().await)[&order.id], [1, 1, 3, 4]);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_what_cannot_be_recorded_is_not_done() {
    let host = TestHost::demo().await;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();

    // One leaf cannot be entered, as when a disk fails at it.
    let taken = 7;
    let database = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    let trigger = format!(
        "CREATE TRIGGER not_this_one BEFORE INSERT ON leaf WHEN lower(hex(NEW.id)) = '{}'
         BEGIN SELECT RAISE(ABORT, 'it fails here'); END",
        leaf(taken).id().to_string().trim_start_matches("sha256:")
    );
    database.execute_batch(&trigger).unwrap();
    let first = host.store.undecided(1, &[]).await.unwrap().pop().unwrap();
    commit(&host, decision_by_hand(first, &["first"], leaf(6))).await.unwrap();
    let before = host.summary().await;

    let second = || async { host.store.undecided(1, &[]).await.unwrap().pop().unwrap() };
    let refused = commit(&host, decision_by_hand(second().await, &["first"], leaf(taken))).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert_eq!(host.summary().await, before, "neither order nor outbox nor the document's state");

    let refused = host.store.journal(input(b"input", leaf(taken))).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert_eq!(host.summary().await, before);
    let taken_by_journal = host.store.journal(input(b"input", leaf(8))).await.unwrap();
    assert!(matches!(taken_by_journal, JournalOutcome::Committed { .. }), "{taken_by_journal:?}");

    let claim = || host.store.claim(MORNING, MORNING, 1, Room::default());
    let permit = claim().await.unwrap().pop().unwrap();
    let refused = host.store.begin_attempt(permit, lease(MORNING), leaf(taken)).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    let permit = claim().await.unwrap().pop().unwrap();
    assert_eq!((permit.attempt(), permit.unresolved()), (1, false), "the attempt was not begun");

    let attempt = host.store.begin_attempt(permit, lease(MORNING), leaf(9)).await.unwrap();
    let applied = Settlement::Applied { external_id: "S-1".to_owned() };
    let refused = host.store.settle(attempt, applied, MORNING, leaf(taken)).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    let permit = claim().await.unwrap().pop().unwrap();
    assert!(permit.unresolved(), "without its leaf the outcome is as unknown as before");

    host.store.load_reference("a-table", Vec::new(), leaf(taken)).await.unwrap_err();
    assert_eq!(host.store.reference("a-table").await.unwrap(), None);
    let active = host.store.active_configuration().await.unwrap();
    host.store
        .activate_configuration(b"other".to_vec(), Vec::new(), MORNING, vec![leaf(taken)], Vec::new())
        .await
        .unwrap_err();
    assert_eq!(host.store.active_configuration().await.unwrap(), active);
    assert_eq!(host.store.orders(DocumentPosition(0), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_a_host_with_a_damaged_log_stops() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let (stop, stopping) = watch::channel(false);
    let stranger = async {
        until(|| async { door.get("/readyz", &[]).await.status == 200 }).await;
        // From now on somebody changes every record at the moment when it is written.
        let database = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
        let trigger = "CREATE TRIGGER forge AFTER INSERT ON leaf
                       BEGIN UPDATE leaf SET bytes = x'7b7d' WHERE seq = NEW.seq; END";
        database.execute_batch(trigger).unwrap();
        host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    };
    let worked = tokio::time::timeout(PATIENCE, async { tokio::join!(host.host.work(stopping), stranger).0 });
    let ended = worked.await.expect("the host goes on over a damaged log");
    let error = format!("{:#}", ended.unwrap_err());
    assert!(error.contains("was changed"), "{error}");
    assert_eq!(door.get("/readyz", &[]).await.status, 503);
    assert!(!*stop.borrow(), "nobody told it to");
    door.close().await;
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_a_host_whose_store_writes_no_more_stops() {
    let host = TestHost::demo().await;
    // An idle host, which finds nothing to write but claims.
    let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "claim", Fault::WriterEnded, 3)).await;
    let door = host.front_door().await;
    let (stop, stopping) = watch::channel(false);
    let ended = tokio::time::timeout(PATIENCE, host.host.work(stopping)).await.expect("the host goes on");
    let error = format!("{:#}", ended.unwrap_err());
    assert!(error.starts_with("the store cannot go on") && error.contains("restart the host"), "{error}");
    assert_eq!(door.get("/readyz", &[]).await.status, 503);
    assert!(!*stop.borrow(), "nobody told it to");
    door.close().await;
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_what_comes_in_while_the_host_stops_gets_its_index() {
    let host = TestHost::demo().await;
    let listener = portreeve_api::listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = oneshot::channel::<()>();
    let told = async {
        stopping.await.unwrap();
        Ok(())
    };
    let sender = async {
        let body = x12(1, &PurchaseOrder::clean("PO-1"));
        let head = format!(
            "POST /v1/channels/edi HTTP/1.1\r\nhost: portreeve\r\nauthorization: Bearer {EDI_TOKEN}\r\n\
             content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 12];
        connection.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100");
        // The request is under way. Now the host is told to stop, and does not yet.
        stop.send(()).unwrap();
        until(|| async { tokio::net::TcpStream::connect(address).await.is_err() }).await;
        connection.write_all(&body).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("HTTP/1.1 200"), "{answer}");
    };
    let (served, ()) = tokio::join!(host.host.serve(listener, told), sender);
    served.unwrap();
    let summary = host.summary().await;
    assert_eq!((summary.inputs, summary.unsequenced), (1, 0));
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_a_log_that_lost_its_key_gets_no_other_one() {
    let host = TestHost::demo().await;
    host.verify().await.unwrap();
    let key = host.folder().join("state/log.key");
    std::fs::remove_file(&key).unwrap();
    let reading = host.locations().log_key(&host.host.settings.origin).map(drop);
    let opening = Host::open(Arc::clone(&host.store), host.locations(), host.clock.clone(), None).await.map(drop);
    for refused in [reading, opening] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("there is no log key") && error.contains("restore it"), "{error}");
    }
    assert!(!key.exists(), "a new key would make the old log look forged");
}

#[tokio::test]
async fn invariant_1_no_audit_no_action_a_checkpoint_that_is_gone_is_told_to_monitors() {
    const GONE: &str = "portreeve_audit_outside_checkpoint_missing 1\n";
    let host = TestHost::demo().await;
    host.verify().await.unwrap();
    assert!(!host.host.pipeline.metrics.text(&[]).contains(GONE));
    std::fs::remove_file(host.locations().outside(&host.host.settings.origin).path()).unwrap();
    let again = Host::open(Arc::clone(&host.store), host.locations(), host.clock.clone(), None).await.unwrap();
    let text = again.pipeline.metrics.text(&[]);
    assert!(text.contains(GONE), "{text}");
}

/// Lets others work until something is so.
async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("it never came to be so");
}

fn input(bytes: &[u8], leaf: Leaf) -> JournalEntry {
    let document = NewDocument {
        key: "key".to_owned(),
        partner: "partner".to_owned(),
        kind: "x12/850".to_owned(),
        content: Digest::of(bytes),
        payload: sealed(bytes),
    };
    JournalEntry {
        channel: portreeve_model::ChannelId::parse("edi").unwrap(),
        sender: portreeve_model::SenderId::authenticated("edi-gateway"),
        received_at: MORNING,
        content: Digest::of(bytes),
        envelopes: vec![NewEnvelope { key: "an-envelope".to_owned(), content: Digest::of(bytes), answer: None }],
        disposition: portreeve_store::contract::Disposition::Documents,
        payload: sealed(bytes),
        reply: portreeve_model::Reply { status: 200, headers: Vec::new(), body: Vec::new() },
        documents: vec![document],
        exceptions: Vec::new(),
        mended_by: None,
        wakes: None,
        leaf,
    }
}

fn per_order(leaves: &[LeafRecord]) -> PerOrder {
    let mut inputs = BTreeMap::new();
    let mut counts = PerOrder::new();
    for leaf in leaves {
        match &leaf.body {
            LeafBody::Accept(accept) => *inputs.entry(accept.input).or_insert(0) += 1,
            LeafBody::Decide(decide) => {
                let Some(order) = decide.order else { continue };
                let count = counts.entry(order).or_default();
                count[0] = inputs[&decide.document.input];
                count[1] += 1;
            }
            LeafBody::Attempt(attempt) => counts.entry(attempt.order.unwrap()).or_default()[2] += 1,
            LeafBody::Receipt(receipt) => counts.entry(receipt.order.unwrap()).or_default()[3] += 1,
            LeafBody::Configuration(_)
            | LeafBody::Reference(_)
            | LeafBody::Exception(_)
            | LeafBody::Retention(_)
            | LeafBody::Package(_)
            | LeafBody::Review(_)
            | LeafBody::Escalation(_)
            | LeafBody::Person(_)
            | LeafBody::Session(_)
            | LeafBody::Overdue(_)
            | LeafBody::Late(_)
            | LeafBody::Poll(_)
            | LeafBody::Subscription(_)
            | LeafBody::Reconciliation(_)
            | LeafBody::Replay(_) => {}
        }
    }
    counts
}
