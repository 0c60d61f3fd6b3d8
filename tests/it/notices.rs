//! Notices by webhook: who hears what, in which order and how often, and what a subscriber
//! that is down, refuses or means ill comes to.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use portreeve_model::{ExceptionAction, ExceptionKind, Instant};
use portreeve_pipeline::Clock;
use portreeve_pipeline::exception::{Decision, Outcome, Work};
use portreeve_pipeline::notice::{NoticeEntry, NotifyError, Subscriber, Told};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::faults::{Fault, FaultyStore};
use crate::support::exceptions::{about, decision};
use crate::support::{PurchaseOrder, Setup, TestHost, tree, x12};

/// The key of every subscriber here.
const KEY: &[u8] = b"a key of twenty-four bytes or more";

/// A notice as it came.
#[derive(Debug, Clone)]
struct Heard {
    headers: HeaderMap,
    bytes: Bytes,
}

impl Heard {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// The event and the number of its exception.
    fn event(&self) -> (String, String) {
        let body = self.body();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&body["type"]).replace("exception.", ""), text(&body["data"]["exception"]))
    }

    /// Whether it is signed as the standard says.
    fn is_signed(&self) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.bytes);
        self.header("webhook-signature") == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// What a subscriber answers: a status with a header, or nothing at all.
type Answer = Option<(u16, Option<(&'static str, String)>)>;

/// What it answers to a notice.
type Mood = Arc<dyn Fn(&Heard) -> Answer + Send + Sync>;

/// A subscriber on a free loopback port, and its key in a file.
struct Hook {
    origin: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    news: Arc<Notify>,
    mood: Arc<Mutex<Mood>>,
    keys: TempDir,
    serving: JoinHandle<()>,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Hook {
    /// One that takes everything.
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (heard, news): (Arc<Mutex<Vec<Heard>>>, Arc<Notify>) = (Arc::default(), Arc::default());
        let mood: Mood = Arc::new(|_| Some((204, None)));
        let mood = Arc::new(Mutex::new(mood));
        let (hears, tells, answers) = (Arc::clone(&heard), Arc::clone(&news), Arc::clone(&mood));
        let routes = axum::Router::new().fallback(move |headers: HeaderMap, bytes: Bytes| {
            let one = Heard { headers, bytes };
            hears.lock().unwrap().push(one.clone());
            tells.notify_one();
            let mood = Arc::clone(&answers.lock().unwrap());
            async move {
                let Some((status, header)) = mood(&one) else { return std::future::pending().await };
                let mut headers = HeaderMap::new();
                if let Some((name, value)) = header {
                    headers.insert(name, value.parse().unwrap());
                }
                (StatusCode::from_u16(status).unwrap(), headers)
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let keys = tempfile::tempdir().unwrap();
        std::fs::write(keys.path().join("key"), format!("whsec_{}\n", STANDARD.encode(KEY))).unwrap();
        Self { origin, heard, news, mood, keys, serving }
    }

    fn answers(&self, mood: impl Fn(&Heard) -> Answer + Send + Sync + 'static) {
        *self.mood.lock().unwrap() = Arc::new(mood);
    }

    /// The same to everything.
    fn answers_always(&self, status: u16) {
        self.answers(move |_| Some((status, None)));
    }

    fn key(&self) -> PathBuf {
        self.keys.path().join("key")
    }

    /// The configuration's words about it.
    fn entry(&self, id: &str, more: &str) -> String {
        let (url, key) = (format!("{}/hooks/S3CRET", self.origin), self.key());
        format!("\n[[notice]]\nid = \"{id}\"\nurl = \"{url}\"\nsecret = {{ file = \"{}\" }}\n{more}", key.display())
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn events(&self) -> Vec<(String, String)> {
        self.heard().iter().map(Heard::event).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.heard().iter().map(Heard::id).collect()
    }
}

fn told_to(entries: &[String]) -> Setup {
    entries.iter().fold(Setup::demo(), |setup, entry| setup.append("portreeve.toml", entry))
}

fn subscriber(host: &TestHost, id: &str) -> Arc<Subscriber> {
    let mut all = host.host.pipeline.notices.subscribers();
    Arc::clone(all.find(|subscriber| subscriber.id() == id).unwrap())
}

async fn notify(host: &TestHost, id: &str) -> Result<Told, NotifyError> {
    host.host.pipeline.notify(&subscriber(host, id)).await
}

async fn sent(host: &TestHost, id: &str) -> u64 {
    notify(host, id).await.unwrap().sent
}

/// Orders that are held in `pricing`, one exception each.
async fn hold(host: &TestHost, numbers: &[&str]) -> Vec<u64> {
    for number in numbers {
        let control = number.trim_start_matches("PO-").parse().unwrap();
        let dear = PurchaseOrder::clean(number).with_lines(&[("FST-1007", 1, "BX", "20.00")]);
        host.send_edi(&x12(control, &dear)).await.unwrap();
    }
    host.decide_all().await;
    let mut held = Vec::new();
    for number in numbers {
        held.push(about(host, host.order(number).await.id, ExceptionKind::Held).await.unwrap());
    }
    held
}

fn later(host: &TestHost, ms: i64) {
    host.clock.advance_to(host.clock.now().plus_ms(ms));
}

fn says(host: &TestHost, lines: &[&str]) {
    let metrics = host.host.pipeline.metrics.text(&[]);
    for line in lines {
        assert!(metrics.contains(line), "expected `{line}` in:\n{metrics}");
    }
}

fn events(expected: &[(&str, u64)]) -> Vec<(String, String)> {
    expected.iter().map(|(event, exception)| ((*event).to_owned(), exception.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_in_order_what_happens_signed_and_without_a_word_of_anybody() {
    let hook = Hook::start().await;
    let host = told_to(&[hook.entry("desk", "")]).start().await;
    let anna = host.acts_as("anna", &["pricing-resolver", "order-desk"]).await;
    let held = hold(&host, &["PO-1", "PO-2"]).await;
    let pipeline = &host.host.pipeline;
    pipeline.work_on_exception(&anna, held[0], Work::Comment("Mrs Quillfeather called")).await.unwrap();
    pipeline.work_on_exception(&anna, held[0], Work::Assign("anna")).await.unwrap();
    let reroute = decision(&host, held[1], ExceptionAction::Reroute).await;
    pipeline.decide_exception(&anna, Decision { queue: Some("order-desk"), ..reroute }).await.unwrap();
    let reject = decision(&host, held[1], ExceptionAction::Reject).await;
    pipeline.decide_exception(&anna, reject).await.unwrap();
    later(&host, 3 * Instant::DAY_MS);
    pipeline.escalate_due(|| false).await.unwrap();

    assert_eq!(sent(&host, "desk").await, 6);
    let (first, second) = (held[0], held[1]);
    let expected = [
        ("opened", first),
        ("opened", second),
        ("assigned", first),
        ("rerouted", second),
        ("resolved", second),
        ("escalated", first),
    ];
    assert_eq!(hook.events(), events(&expected));
    let heard = hook.heard();
    assert!(heard.iter().all(Heard::is_signed));
    let now_s = (host.clock.now().0 / 1_000).to_string();
    assert!(heard.iter().all(|one| one.header("webhook-timestamp") == now_s && !one.id().contains('.')));
    let ids: std::collections::BTreeSet<String> = hook.ids().into_iter().collect();
    assert_eq!(ids.len(), 6);
    let rerouted = heard[3].body();
    let expected = serde_json::json!({
        "type": "exception.rerouted",
        "timestamp": "2026-03-02T08:00:00.000Z",
        "data": {
            "exception": second.to_string(), "kind": "held", "queue": "order-desk", "code": "price-out-of-tolerance",
            "isOpen": false, "dueAt": rerouted["data"]["dueAt"], "orderNumber": "PO-2", "who": "anna",
            "from": "pricing", "to": "order-desk", "path": format!("/console/exceptions/{second}"),
            "routeOwner": { "part": "business", "name": "order-desk@distributor.example" },
        },
    });
    assert_eq!(rerouted, expected);
    assert_eq!(heard[4].body()["data"]["decided"], "reject");
    let all: Vec<u8> = heard.iter().flat_map(|one| one.bytes.to_vec()).collect();
    let all = String::from_utf8(all).unwrap();
    assert!(!all.contains("Quillfeather") && !all.contains("the buyer called"), "{all}");
    assert_eq!(sent(&host, "desk").await, 0, "once");
    says(&host, &["portreeve_notices_sent_total{subscriber=\"desk\"} 6"]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscriber_hears_of_what_comes_in_its_queues_and_of_its_events() {
    let hook = Hook::start().await;
    let host = TestHost::demo().await;
    hold(&host, &["PO-1"]).await;
    let setup = told_to(&[
        hook.entry("pricing", "queues = [\"pricing\"]\nevents = [\"opened\"]\n"),
        hook.entry("fraud", "queues = [\"fraud-review\"]\n"),
    ]);
    let host = host.restart_as(setup).await;
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let held = hold(&host, &["PO-2"]).await;
    host.host.pipeline.work_on_exception(&anna, held[0], Work::Assign("anna")).await.unwrap();
    assert_eq!((sent(&host, "pricing").await, sent(&host, "fraud").await), (1, 0));
    assert_eq!(hook.events(), events(&[("opened", held[0])]));
    // What nobody wanted is not looked at again.
    for id in ["pricing", "fraud"] {
        let place = host.store.notice_place(id).await.unwrap().unwrap();
        assert!(host.store.happenings(place, 9).await.unwrap().is_empty(), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_down_hears_everything_once_when_it_is_back_and_as_soon_as_it_asked_for() {
    let hook = Hook::start().await;
    let host = told_to(&[hook.entry("desk", "")]).start().await;
    let held = hold(&host, &["PO-1", "PO-2", "PO-3"]).await;
    hook.answers(|_| Some((503, Some(("retry-after", "600".to_owned())))));
    assert_eq!((sent(&host, "desk").await, hook.heard().len()), (0, 1));
    for (ms, tries) in [(599_999, 1), (1, 2)] {
        later(&host, ms);
        assert_eq!((sent(&host, "desk").await, hook.heard().len()), (0, tries), "after {ms} ms");
    }
    // By itself it waits longer each time, up to a quarter of an hour and a quarter of that.
    hook.answers_always(500);
    for _ in 0..40 {
        later(&host, 19 * Instant::MINUTE_MS);
        sent(&host, "desk").await;
    }
    assert_eq!(hook.heard().len(), 42, "each time that it may");
    sent(&host, "desk").await;
    assert_eq!(hook.heard().len(), 42, "and not before");
    let ids = hook.ids();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same notice: {ids:?}");
    assert!(hook.heard().iter().all(Heard::is_signed), "each with its own time");
    says(&host, &["portreeve_notices_failed_total{subscriber=\"desk\"} 42"]);

    hook.heard.lock().unwrap().clear();
    hook.answers_always(200);
    later(&host, 19 * Instant::MINUTE_MS);
    assert_eq!(sent(&host, "desk").await, 3);
    assert_eq!(hook.events(), events(&[("opened", held[0]), ("opened", held[1]), ("opened", held[2])]));
    assert_eq!(hook.ids()[0], ids[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_came_and_was_not_noted_comes_again_with_the_same_id() {
    for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
        let hook = Hook::start().await;
        let host = told_to(&[hook.entry("desk", "")]).start().await;
        let (host, store) = host.restart_behind(|store| FaultyStore::new(store, "move_notices", fault, 1)).await;
        hold(&host, &["PO-1", "PO-2", "PO-3"]).await;
        notify(&host, "desk").await.unwrap_err();
        assert!(store.has_failed());
        drop(store);
        let host = host.restart().await;
        sent(&host, "desk").await;
        let mut ids = hook.ids();
        let again = if matches!(fault, Fault::NotPersisted) { 1 } else { 0 };
        assert_eq!(ids.len(), 3 + again, "{ids:?}");
        if again == 1 {
            assert_eq!(ids[1], ids[2], "the one of which nobody knew");
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_place_cannot_be_written_the_same_notice_comes_with_longer_and_longer_waits() {
    let hook = Hook::start().await;
    let host = told_to(&[hook.entry("desk", "")]).start().await;
    let (host, store) =
        host.restart_behind(|store| FaultyStore::new(store, "move_notices", Fault::NeverPersisted, 0)).await;
    hold(&host, &["PO-1"]).await;
    let mut tries = Vec::new();
    for second in 0..120_i64 {
        if hook.heard().len() > tries.len() {
            tries.push(second);
        }
        notify(&host, "desk").await.ok();
        later(&host, 1_000);
    }
    assert!((3..7).contains(&tries.len()), "at 0, 5, 15, 35 and 75 seconds, and a quarter later: {tries:?}");
    drop(store);
    let host = host.restart().await;
    sent(&host, "desk").await;
    let mut ids = hook.ids();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_an_exception_to_another_queue_and_who_gets_it_hear_so_and_how_a_proposal_ended() {
    let hook = Hook::start().await;
    let more = |queue: &str| format!("queues = [\"{queue}\"]\nevents = [\"rerouted\", \"proposal-ended\"]\n");
    let setup = told_to(&[
        hook.entry("pricing", &more("pricing")),
        hook.entry("order-desk", &more("order-desk")),
        hook.entry("fraud", &more("fraud-review")),
    ]);
    let host = setup.with_tiers().start().await;
    let anna = host.acts_as("anna", &["pricing-resolver", "order-desk"]).await;
    // Worth enough for somebody else to have to agree.
    host.decide_orders(&[PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 400, "BX", "20.00")])]).await;
    let held = [about(&host, host.order("PO-1").await.id, ExceptionKind::Held).await.unwrap()];
    let pipeline = &host.host.pipeline;
    let holds = pipeline.show_exception(held[0]).await.unwrap().open_holds();
    let release = Decision { holds: &holds, ..decision(&host, held[0], ExceptionAction::ReleaseHolds).await };
    let Outcome::Waits { proposal, .. } = pipeline.decide_exception(&anna, release).await.unwrap() else {
        panic!("nobody else had to agree")
    };
    pipeline.refuse(&anna, held[0], proposal).await.unwrap();
    assert_eq!((sent(&host, "pricing").await, sent(&host, "order-desk").await), (1, 0));
    let ended = hook.heard.lock().unwrap().remove(0).body();
    assert_eq!((&ended["type"], &ended["data"]["decided"]), (&"exception.proposal-ended".into(), &"withdrawn".into()));
    let reroute = decision(&host, held[0], ExceptionAction::Reroute).await;
    pipeline.decide_exception(&anna, Decision { queue: Some("order-desk"), ..reroute }).await.unwrap();
    let told = [sent(&host, "pricing").await, sent(&host, "order-desk").await, sent(&host, "fraud").await];
    assert_eq!(told, [1, 1, 0]);
    let heard = hook.heard();
    for one in &heard {
        let body = one.body();
        assert_eq!((&body["data"]["from"], &body["data"]["to"]), (&"pricing".into(), &"order-desk".into()));
    }
    assert_ne!(heard[0].id(), heard[1].id(), "each subscriber tells its own from each other");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_tell_the_same_subscriber_leave_nothing_out() {
    let hook = Hook::start().await;
    let host = told_to(&[hook.entry("desk", "")]).start().await;
    hold(&host, &["PO-1", "PO-2", "PO-3"]).await;
    let desk = subscriber(&host, "desk");
    for _ in 0..3 {
        let (one, other) = tokio::join!(host.host.pipeline.notify(&desk), host.host.pipeline.notify(&desk));
        assert!(one.is_ok() && other.is_ok());
    }
    let mut ids = hook.ids();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each, if more than once with the same id");
    assert_eq!(sent(&host, "desk").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_or_answers_500_for_ever_keeps_nobody_else_back_and_no_host_from_stopping() {
    let (hangs, fails, works) = (Hook::start().await, Hook::start().await, Hook::start().await);
    hangs.answers(|_| None);
    fails.answers_always(500);
    let entries = [hangs.entry("hangs", ""), fails.entry("fails", ""), works.entry("works", "")];
    let host = told_to(&entries).start().await;
    hold(&host, &["PO-1", "PO-2"]).await;
    let (stop, stopping) = watch::channel(false);
    let all_heard = async {
        while works.heard().len() < 2 || fails.heard().is_empty() || hangs.heard().is_empty() {
            tokio::select! {
                () = works.news.notified() => {}
                () = fails.news.notified() => {}
                () = hangs.news.notified() => {}
            }
        }
        stop.send_replace(true);
    };
    let (worked, ()) = tokio::join!(host.host.work(stopping), all_heard);
    worked.unwrap();
    assert_eq!((works.heard().len(), hangs.heard().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_is_refused_for_what_it_is_or_too_old_is_left_out_and_the_next_one_comes() {
    let hook = Hook::start().await;
    let host = told_to(&[hook.entry("desk", "")]).start().await;
    let held = hold(&host, &["PO-1", "PO-2", "PO-3"]).await;
    // The first one is poison; the second one meets a subscriber that is down.
    let (poison, down) = (held[0].to_string(), held[1].to_string());
    hook.answers(move |heard| match heard.event().1 {
        exception if exception == poison => Some((422, None)),
        exception if exception == down => Some((500, None)),
        _ => Some((200, None)),
    });
    let mut skipped = Vec::new();
    for round in 0..8 {
        let told = notify(&host, "desk").await.unwrap();
        skipped.push((round, told.skipped));
        later(&host, 19 * Instant::MINUTE_MS);
    }
    assert_eq!(skipped.iter().filter(|(_, skipped)| *skipped == 1).collect::<Vec<_>>(), [&(7, 1)], "at the eighth");
    let mut rounds = 0;
    while notify(&host, "desk").await.unwrap().sent == 0 {
        rounds += 1;
        later(&host, 19 * Instant::MINUTE_MS);
        assert!(rounds < 300, "it never came");
    }
    assert!(rounds > 200, "what may be over by then is sent for three days: {rounds}");
    assert_eq!(hook.events().last(), events(&[("opened", held[2])]).last());
    says(
        &host,
        &[
            "portreeve_notices_skipped_total{subscriber=\"desk\"} 2",
            "portreeve_notices_sent_total{subscriber=\"desk\"} 1",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_elsewhere_by_a_redirect() {
    let (hook, elsewhere) = (Hook::start().await, Hook::start().await);
    let host = told_to(&[hook.entry("desk", "")]).start().await;
    hold(&host, &["PO-1"]).await;
    let location = format!("{}/taken", elsewhere.origin);
    hook.answers(move |_| Some((307, Some(("location", location.clone())))));
    assert_eq!(sent(&host, "desk").await, 0);
    assert_eq!((hook.heard().len(), elsewhere.heard().len()), (1, 0));
    says(&host, &["portreeve_notices_failed_total{subscriber=\"desk\"} 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_is_refused_at_load_and_no_refusal_repeats_a_secret() {
    let hook = Hook::start().await;
    let entry = hook.entry("desk", "");
    let with = |from: &str, to: &str| {
        assert!(entry.contains(from), "{from}");
        entry.replace(from, to)
    };
    let missing = with("/key\"", "/missing\"");
    let wrong = with(&format!("file = \"{}\"", hook.key().display()), "command = [\"echo\", \"s3cret-of-ours\"]");
    for (entries, why) in [
        (vec![missing], "the notices to `desk`: the secret cannot be read from"),
        (vec![wrong], "the secret is no `whsec_`"),
        (vec![with("id = \"desk\"", "id = \"The Desk\"")], "`id` is none"),
        (vec![with(&hook.origin, "http://hooks.example")], "`url` is http"),
        (vec![with(&hook.origin, "ftp://hooks.example")], "`url` is no http or https URL with a host"),
        (vec![with(&hook.origin, "hooks.example/s3cret-of-ours")], "`url` is no http or https URL with a host"),
        (vec![hook.entry("desk", "queues = [\"nobody\"]\n")], "queue `nobody` is not in `queues`"),
        (vec![hook.entry("desk", "events = [\"claimed\"]\n")], "unknown variant `claimed`, expected one of `opened`"),
        (vec![hook.entry("desk", "ca_file = \"ca.pem\"\n")], "`ca_file` has no effect"),
        (vec![hook.entry("desk", "colour = \"red\"\n")], "unknown field `colour`"),
        (vec![entry.clone(), entry.clone()], "[[notice]] `desk` is there twice"),
    ] {
        let refused = told_to(&entries).try_start().await.err().unwrap();
        let refused = format!("{refused:#}");
        assert!(refused.contains(why) && !refused.contains("s3cret-of-ours"), "{why}: {refused}");
    }
}

#[test]
fn the_sample_in_the_demos_configuration_is_one_that_a_host_takes() {
    let text = std::fs::read_to_string(tree().demo().join("portreeve.toml")).unwrap();
    let (_, sample) = text.split_once("# [[notice]]\n").unwrap();
    let lines: Vec<&str> = sample.lines().map_while(|line| line.strip_prefix("# ")).collect();
    let entry: NoticeEntry = toml::from_str(&lines.join("\n")).unwrap();
    assert_eq!(entry.problems(), Vec::<String>::new());
    assert_eq!((entry.queues.len(), entry.events.len(), entry.addresses.len()), (2, 2, 1));
}
