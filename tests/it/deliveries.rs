//! Deliveries that do not go well: what is asked, what is sent, who hears of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Method;
use portreeve_model::{Digest, ExceptionAction, Instant};
use portreeve_pipeline::exception::ExceptionError;
use portreeve_pipeline::{Clock, Deliveries};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::StoreError;
use portreeve_store::contract::{DeadLetter, OrderState};

use tokio::sync::Notify;

use crate::faults::{Fault, FaultyStore};
use crate::support::exceptions::decide;
use crate::support::{PurchaseOrder, ScriptedTarget, Setup, TestHost, x12};

/// A target that answers posts from a list, the last one for ever, and look-ups
/// from what it has booked.
struct Target {
    scripted: ScriptedTarget,
    posts: Arc<AtomicU32>,
    asked: Arc<AtomicU32>,
    booked: Arc<Mutex<bool>>,
}

impl Target {
    async fn answering(statuses: &'static [u16]) -> Self {
        let (posts, asked, booked) =
            (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(false)));
        let scripted = ScriptedTarget::start({
            let (posts, asked, booked) = (Arc::clone(&posts), Arc::clone(&asked), Arc::clone(&booked));
            move |method, _| {
                let answer = if method == Method::POST {
                    let earlier = usize::try_from(posts.fetch_add(1, Ordering::Relaxed)).unwrap();
                    let status = *statuses.get(earlier).or(statuses.last()).unwrap();
                    (status, r#"{"id":"1","number":"S-1"}"#.to_owned())
                } else {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let found = if *booked.lock().unwrap() { r#"{"id":"1","number":"S-1"}"# } else { "" };
                    (200, format!("{{\"value\":[{found}]}}"))
                };
                async { answer }
            }
        })
        .await;
        Self { scripted, posts, asked, booked }
    }

    fn posts(&self) -> u32 {
        self.posts.load(Ordering::Relaxed)
    }

    /// How often it was looked up: a look-up that finds no sales order asks for what was posted
    /// of it as well, by two more questions.
    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed).div_ceil(3)
    }

    /// A host with one released order for this target.
    async fn host(&self, setup: Setup) -> TestHost {
        let host = setup.erp_origin(self.scripted.origin()).start().await;
        host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
        host
    }
}

async fn dead_letters(host: &TestHost) -> Vec<DeadLetter> {
    host.store.dead_letters(0, 10).await.unwrap()
}

async fn resolve(host: &TestHost, exception: u64, action: ExceptionAction) -> Result<(), ExceptionError> {
    decide(host, &host.ops().await, exception, action).await.map(drop)
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_is_looked_up_and_then_sent_once_more() {
    let target = Target::answering(&[422, 201]).await;
    let host = target.host(Setup::demo()).await;
    host.deliver_all().await;
    let dead = dead_letters(&host).await;
    assert_eq!((dead.len(), dead[0].number.as_str(), dead[0].attempts, dead[0].replays), (1, "PO-1", 1, 0));

    resolve(&host, dead[0].exception, ExceptionAction::Retry).await.unwrap();
    assert_eq!((dead_letters(&host).await.len(), host.exceptions().await.len()), (0, 0));
    host.deliver_all().await;
    assert_eq!((target.asked(), target.posts()), (1, 2), "asked before it was sent again");
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 2));
    host.verify().await.unwrap();

    // Who decided is in the order's story, and named.
    let story = host.store.order_trail(dead[0].matter.order().unwrap()).await.unwrap().unwrap().leaves;
    let said = story.iter().find_map(|leaf| match Leaf::parse(&leaf.bytes).unwrap().body {
        LeafBody::Exception(said) => Some(said),
        _ => None,
    });
    let said = said.unwrap();
    assert_eq!((said.code.as_str(), said.order), ("replayed", dead[0].matter.order()));
    assert_eq!(said.outbox, Some(Digest::of(dead[0].outbox.0.as_bytes())));
    assert_eq!(said.who.unwrap().as_str(), "ops");

    // What is done cannot be done again.
    let again = resolve(&host, dead[0].exception, ExceptionAction::Retry).await.unwrap_err();
    assert!(matches!(again, ExceptionError::Store(StoreError::ExceptionClosed { .. })), "{again}");
}

#[tokio::test]
async fn a_delivery_that_is_under_way_is_sent_once_wherever_the_clock_leaps() {
    let (posts, answer) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let arrived = Arc::new(Notify::new());
    let target = ScriptedTarget::start({
        let (posts, answer, arrived) = (Arc::clone(&posts), Arc::clone(&answer), Arc::clone(&arrived));
        move |_, _| {
            let (answer, arrived) = (Arc::clone(&answer), Arc::clone(&arrived));
            posts.fetch_add(1, Ordering::Relaxed);
            async move {
                arrived.notify_one();
                answer.notified().await;
                (201, r#"{"id":"1","number":"S-1"}"#.to_owned())
            }
        }
    })
    .await;
    let host = Setup::demo().erp_origin(target.origin()).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let mut deliveries = Deliveries::new(Arc::clone(&host.host.pipeline), 8);
    assert_eq!(deliveries.start_due().await.unwrap(), 1);
    arrived.notified().await;
    // The machine slept, or somebody set its clock.
    host.clock.advance_to(host.clock.now().plus_ms(30 * Instant::DAY_MS));
    assert_eq!(deliveries.start_due().await.unwrap(), 0, "every lease is over, and the call is not");
    answer.notify_one();
    deliveries.ended().await.unwrap().into_iter().for_each(|ended| drop(ended.unwrap()));
    assert_eq!((posts.load(Ordering::Relaxed), deliveries.start_due().await.unwrap()), (1, 0));
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
}

#[tokio::test]
async fn deliveries_whose_events_cannot_be_read_now_are_given_back_at_once() {
    let host = TestHost::demo().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2")]).await;
    let (host, store) = host.restart_behind(|store| FaultyStore::new(store, "payloads", Fault::NotPersisted, 0)).await;
    assert_eq!(host.deliver_due().await, 2);
    assert!(store.has_failed());
    let due = host.store.next_due().await.unwrap().unwrap();
    assert!(due.0 - host.clock.now().0 < 2_000, "they wait for the back-off, not for a lease");
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 2);
    let attempts: Vec<_> = host.orders().await.iter().map(|order| order.deliveries[0].attempts).collect();
    assert_eq!(attempts, [1, 1], "a failure of the store is no attempt");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_down_over_night_wakes_nobody() {
    // It takes nothing for half a day of back-offs, and then it does.
    let target = Target::answering(&[429, 429, 429, 429, 429, 429, 429, 429, 429, 429, 429, 429, 429, 429, 201]).await;
    let host = target.host(Setup::demo()).await;
    let released = host.clock.now();
    host.deliver_all().await;
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 15), "{:?}", host.exceptions().await);
    assert_eq!(target.asked(), 0, "nothing was in doubt");
    assert!(host.clock.now().0 - released.0 > 2 * 3_600_000);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_waits_for_a_target_that_is_down_is_left_alone_while_one_at_a_time_tries() {
    let target = Target::answering(&[503, 503, 503, 201]).await;
    let setup = Setup::demo()
        .replace("portreeve.toml", "paths = [\"/api/v2.0\"]\n", "paths = [\"/api/v2.0\"]\nbreaker_failures = 2\n")
        .replace("portreeve.toml", "attempts_max = 6\n", "attempts_max = 6\ndeliveries_max = 2\n");
    let host = setup.erp_origin(target.scripted.origin()).start().await;
    let numbers = ["PO-1", "PO-2", "PO-3", "PO-4", "PO-5", "PO-6"];
    host.decide_orders(&numbers.map(PurchaseOrder::clean)).await;
    let mut deliveries = Deliveries::waiting(Arc::clone(&host.host.pipeline), 8);
    let mut started = Vec::new();
    while started.iter().sum::<usize>() < 9 {
        let begun = deliveries.start_due().await.unwrap();
        started.push(begun);
        while let Some(ended) = deliveries.ended().await {
            ended.into_iter().for_each(|ended| drop(ended.unwrap()));
        }
        if begun == 0 {
            host.clock.advance_to(host.clock.now().plus_ms(10_000));
        }
        assert!(started.len() < 100, "{started:?}");
    }
    // Two fail, then one, and the next one finds it up: those that nobody tried go first, as they fell due.
    // The target is asked about each of the three that failed before it is sent again.
    assert_eq!(started, [2, 0, 1, 0, 1, 2, 2, 1]);
    let mut attempts = Vec::new();
    for number in numbers {
        let delivery = host.order(number).await.deliveries.remove(0);
        assert_eq!(delivery.state, "delivered");
        attempts.push(delivery.attempts);
    }
    assert_eq!((attempts, target.posts(), target.asked()), (vec![2, 2, 2, 1, 1, 1], 9, 3));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_target_that_stays_down_is_for_a_person_after_the_deadline() {
    // Nobody listens there.
    let host = Setup::demo().erp_origin("http://127.0.0.1:9").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let released = host.clock.now();
    host.deliver_all().await;
    let exception = host.exceptions().await.remove(0);
    assert_eq!(exception.code, "deadline");
    let hours = (host.clock.now().0 - released.0) / 3_600_000;
    assert!((24..26).contains(&hours), "{hours} hours");
}

#[tokio::test]
async fn attempts_that_may_have_done_something_are_counted_and_others_are_not() {
    let target = Target::answering(&[429, 500, 429, 429, 500, 429]).await;
    let host = target.host(Setup::demo().replace("portreeve.toml", "attempts_max = 6", "attempts_max = 2")).await;
    host.deliver_all().await;
    let exception = host.exceptions().await.remove(0);
    assert_eq!((exception.code.as_str(), target.posts()), ("attempts-exhausted", 5), "{}", exception.detail);
    assert!(exception.detail.starts_with("2 attempts may have done something"), "{}", exception.detail);
}

#[tokio::test]
async fn a_replay_begins_with_the_first_back_off_again() {
    let target = Target::answering(&[500, 500, 500, 422, 500]).await;
    let host = target.host(Setup::demo()).await;
    host.deliver_all().await;
    let dead = dead_letters(&host).await.remove(0);
    assert_eq!(dead.attempts, 4);
    resolve(&host, dead.exception, ExceptionAction::Retry).await.unwrap();
    assert_eq!(host.deliver_due().await, 1);
    let wait_ms = host.store.next_due().await.unwrap().unwrap().0 - host.clock.now().0;
    assert!((1_000..1_250).contains(&wait_ms), "{wait_ms} ms after the first attempt of the replay");
}

#[tokio::test]
async fn a_dead_letter_that_had_worked_after_all_is_found_and_not_sent() {
    let target = Target::answering(&[422]).await;
    let host = target.host(Setup::demo()).await;
    host.deliver_all().await;
    *target.booked.lock().unwrap() = true;
    resolve(&host, dead_letters(&host).await[0].exception, ExceptionAction::Retry).await.unwrap();
    host.deliver_all().await;
    assert_eq!(target.posts(), 1);
    assert_eq!(host.order("PO-1").await.deliveries[0].external_id.as_deref(), Some("S-1"));
}

#[tokio::test]
async fn an_abandoned_dead_letter_stays_abandoned() {
    let target = Target::answering(&[422]).await;
    let host = target.host(Setup::demo()).await;
    host.deliver_all().await;
    let exception = dead_letters(&host).await[0].exception;
    resolve(&host, exception, ExceptionAction::Abandon).await.unwrap();
    host.deliver_all().await;
    assert_eq!(target.posts(), 1);
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "abandoned");
    for action in [ExceptionAction::Retry, ExceptionAction::Abandon] {
        assert!(resolve(&host, exception, action).await.is_err());
    }
    host.verify().await.unwrap();
}

#[tokio::test]
async fn replays_have_an_end() {
    let target = Target::answering(&[422]).await;
    let host = target.host(Setup::demo()).await;
    let mut replays = 0;
    let refused = loop {
        host.deliver_all().await;
        match resolve(&host, dead_letters(&host).await[0].exception, ExceptionAction::Retry).await {
            Ok(()) => replays += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((replays, target.posts()), (10, 11));
    assert!(refused.to_string().contains("abandon it"), "{refused}");
    assert_eq!(dead_letters(&host).await.len(), 1, "the refusal changed nothing");
}

#[tokio::test]
async fn a_doubt_outlives_an_attempt_that_surely_did_nothing() {
    // Unknown, then throttled: the first attempt may still have worked.
    let target = Target::answering(&[500, 429, 201]).await;
    let host = target.host(Setup::demo()).await;
    host.deliver_all().await;
    assert_eq!((target.posts(), target.asked()), (3, 2), "asked before the second and before the third attempt");
}

#[tokio::test]
async fn a_target_that_is_slow_to_book_is_not_asked_too_early() {
    let target = Target::answering(&[500]).await;
    let setup = Setup::demo().replace("portreeve.toml", "find_after_ms = 1000", "find_after_ms = 45000");
    let host = target.host(setup).await;
    host.deliver_due().await;
    host.clock.advance_to(host.clock.now().plus_ms(44_999));
    assert_eq!((host.deliver_due().await, target.asked()), (0, 0));
    *target.booked.lock().unwrap() = true;
    host.clock.advance_to(host.clock.now().plus_ms(1));
    assert_eq!((host.deliver_due().await, target.asked(), target.posts()), (1, 1, 1));
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
}

#[tokio::test]
async fn a_document_that_cannot_be_read_any_more_goes_to_a_person_and_leaves_the_others_alone() {
    let host = TestHost::demo().await;
    for (control, number) in (1..).zip(["PO-1", "PO-2", "PO-3"]) {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
    }
    // The key of the second document is destroyed, as an erasure does.
    let erased = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap().execute(
        "DELETE FROM payload_key WHERE payload =
             (SELECT payload FROM document WHERE position = 2)",
        [],
    );
    assert_eq!(erased, Ok(1));
    host.decide_all().await;
    assert_eq!(host.count(OrderState::Released).await, 2);
    let exceptions = host.exceptions().await;
    assert_eq!((exceptions.len(), exceptions[0].code.as_str()), (1, "unreadable"));
    assert!(exceptions[0].detail.contains("was erased"), "{}", exceptions[0].detail);
    assert_eq!(host.summary().await.undecided, 0);
}

#[tokio::test]
async fn a_second_try_counts_where_the_first_document_became_no_order() {
    let host = TestHost::demo().await;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    rusqlite::Connection::open(host.folder().join("data/store/portreeve.db"))
        .unwrap()
        .execute(
            "DELETE FROM payload_key WHERE payload =
             (SELECT payload FROM document)",
            [],
        )
        .unwrap();
    host.decide_all().await;
    assert_eq!(host.orders().await.len(), 0);
    // The sender's next interchange has the order again.
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    host.decide_all().await;
    assert_eq!((host.orders().await.len(), host.summary().await.duplicates), (1, 0));
}

/// A target that leaves every attempt in doubt, and a connector whose `find` ends so.
fn in_doubt(find: &str) -> Setup {
    let settings = format!("settings = {{ deliver = \"unknown\", find = \"{find}\", base-url");
    Setup::demo()
        .plugin("hostile-connector", "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }")
        .replace("portreeve.toml", "connector = \"erp-rest\"", "connector = \"hostile-connector\"")
        .replace("portreeve.toml", "settings = { base-url", &settings)
}

#[tokio::test]
async fn a_target_that_refuses_to_be_asked_is_not_asked_for_a_day() {
    let host = in_doubt("permanent").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_due().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "pending", "in doubt, and not asked yet");
    host.clock.advance_to(host.store.next_due().await.unwrap().unwrap());
    host.deliver_due().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "dead");
    let exception = host.exceptions().await.remove(0);
    assert_eq!((exception.stage.as_str(), exception.code.as_str()), ("deliver", "unknown-outcome"));
    assert!(exception.detail.contains("refuses to be asked (the settings say so)"), "{}", exception.detail);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_target_that_cannot_be_asked_now_is_asked_again() {
    let host = in_doubt("retry").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    for _ in 0..3 {
        host.deliver_due().await;
        host.clock.advance_to(host.store.next_due().await.unwrap().unwrap());
    }
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "pending");
    assert!(host.exceptions().await.is_empty());
}

/// A connector that posts and then asks for another try, and finds the order when it is asked.
fn asks_for_another_try() -> Setup {
    let settings = "settings = { act = \"send\", method = \"POST\", path = \"/\", authority = \"${ERP_AUTHORITY}\", delivered = \"retry\", base-url";
    Setup::demo()
        .plugin("hostile-connector", "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }")
        .replace("portreeve.toml", "connector = \"erp-rest\"", "connector = \"hostile-connector\"")
        .replace("portreeve.toml", "settings = { base-url", settings)
}

#[tokio::test]
async fn a_connector_that_asks_for_another_try_is_believed_only_where_nothing_can_have_been_done() {
    let cases: [(&[u16], bool); 5] =
        [(&[201], false), (&[500], false), (&[302], false), (&[429], true), (&[503], true)];
    for (status, believed) in cases {
        let target = Target::answering(status).await;
        let authority = target.scripted.origin().trim_start_matches("http://").to_owned();
        let setup = asks_for_another_try().replace("portreeve.toml", "${ERP_AUTHORITY}", &authority);
        let host = target.host(setup).await;
        host.deliver_due().await;
        assert_eq!(target.posts(), 1, "{status:?}");
        host.clock.advance_to(host.store.next_due().await.unwrap().unwrap());
        host.deliver_due().await;
        assert_eq!(target.posts(), if believed { 2 } else { 1 }, "{status:?}: looked up before it is sent again");
        let delivery = host.order("PO-1").await.deliveries.remove(0);
        assert_eq!(delivery.state, if believed { "pending" } else { "delivered" }, "{status:?}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_connector_whose_request_broke_off_gets_no_second_one_by_asking_for_another_try() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let connected = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&connected);
    tokio::spawn(async move {
        // Reads something, and hangs up without a word.
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 1024];
            if tokio::io::AsyncReadExt::read(&mut stream, &mut some).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let setup = asks_for_another_try()
        .replace("portreeve.toml", "${ERP_AUTHORITY}", &authority)
        .erp_origin(&format!("http://{authority}"));
    let host = setup.start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    for _ in 0..2 {
        host.deliver_due().await;
        if let Some(due) = host.store.next_due().await.unwrap() {
            host.clock.advance_to(due);
        }
    }
    assert_eq!(connected.load(Ordering::SeqCst), 1);
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered", "it was found");
}
