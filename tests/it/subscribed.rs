//! Subscriptions: the ERP is asked to say by itself that it posted something, once more before that
//! is over and anew where it was lost; and what it says is fetched, to the customer's credit memo and
//! refund.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine as _;
use portreeve::client;
use portreeve::standins::erp::COMPANY;
use portreeve::standins::partner::Partner;
use portreeve::standins::{Mischief, Payments};
use portreeve_model::{ExceptionKind, Instant, ProcessState};
use portreeve_pipeline::poll::{FAILURES_TOLD, PollError, Subscribed};
use portreeve_pipeline::{Clock, Poll};
use portreeve_record::LeafBody;
use portreeve_record::leaf::SubscriptionStep;
use portreeve_store::contract::SubscriptionView;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::faults::{Fault, FaultyStore};
use crate::posted::{fetching, invoiced, poll};
use crate::posting::{accepted, boxes, say};
use crate::support::{FrontDoor, Setup, TestHost};

const INVOICES: &str = "client-state-of-the-invoices";
const MEMOS: &str = "client-state-of-the-memos";

const DAY_MS: i64 = Instant::DAY_MS;

/// An address that is known before the host has one, and leads to its front door when that is open.
struct Relay {
    address: SocketAddr,
    door: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    async fn start() -> Self {
        let door: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let known = Arc::clone(&door);
        let forward = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let to = *known.lock().unwrap();
            async move {
                let Some(to) = to else { return (StatusCode::BAD_GATEWAY, Bytes::new()) };
                let media = headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
                let headers: Vec<(&str, &str)> = media.iter().map(|media| ("content-type", media.as_str())).collect();
                let answer = client::send(to, method, &uri.to_string(), &headers, body).await.unwrap();
                (StatusCode::from_u16(answer.status).unwrap(), answer.body)
            }
        };
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = axum::Router::new().fallback(forward);
        drop(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
        Self { address, door }
    }

    fn leads_to(&self, door: Option<&FrontDoor>) {
        *self.door.lock().unwrap() = door.map(FrontDoor::address);
    }

    fn url(&self, channel: &str) -> String {
        format!("http://{}/v1/channels/{channel}", self.address)
    }
}

/// A host that fetches what the ERP posted, and has it say so.
fn subscribing(mischief: Mischief, relay: &Relay, folder: &Path) -> Setup {
    let channel = |id: &str, poll: &str, secret: &str| {
        let file = folder.join(id);
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        format!(
            "\n[[sender]]\nchannel = \"{id}\"\nid = \"erp\"\nclient_state_file = \"{}\"\n\n\
             [[channel]]\nid = \"{id}\"\nconnector = \"business-central-webhooks\"\ndocuments = {{}}\n\
             target = \"erp\"\nexception_queue = \"integration\"\nchallenges = true\n\n[channel.wakes]\n\
             poll = \"{poll}\"\nkinds = [\"business-central/changed\", \"business-central/collection\"]\n",
            file.display()
        )
    };
    let subscription = |id: &str, list: &str| {
        format!(
            "\n[poll.subscription]\nchannel = \"{id}\"\nurl = \"{}\"\n\
             resource = \"/api/v2.0/companies({COMPANY})/{list}\"\nkind = \"business-central/subscription\"\n",
            relay.url(id)
        )
    };
    let memos = "\n[[poll]]\nid = \"memos\"";
    fetching(mischief, "")
        .replace("portreeve.toml", memos, &format!("{}{memos}", subscription("erp-invoices", "salesInvoices")))
        .append("portreeve.toml", &subscription("erp-memos", "salesCreditMemos"))
        .blindfolded("business-central-webhooks")
        .append("portreeve.toml", &channel("erp-invoices", "invoices", INVOICES))
        .append("portreeve.toml", &channel("erp-memos", "memos", MEMOS))
}

/// A host whose front door the ERP finds.
struct Desk {
    host: TestHost,
    door: FrontDoor,
    relay: Relay,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn start(mischief: Mischief) -> Self {
        Self::of(mischief, |setup| setup).await
    }

    async fn of(mischief: Mischief, change: impl FnOnce(Setup) -> Setup) -> Self {
        let (relay, folder) = (Relay::start().await, tempfile::tempdir().unwrap());
        let host = change(subscribing(mischief, &relay, folder.path())).start().await;
        host.erp.know_the_time(Arc::clone(&host.clock) as Arc<dyn Clock>);
        let door = host.front_door().await;
        relay.leads_to(Some(&door));
        Self { host, door, relay, folder }
    }

    async fn subscribe(&self, id: &str) -> Result<Option<Subscribed>, PollError> {
        let pipeline = &self.host.host.pipeline;
        let poll: Poll = pipeline.routes.poll(id).unwrap().clone();
        pipeline.subscribe(&poll).await
    }

    async fn subscribed(&self) -> Option<Subscribed> {
        self.subscribe("invoices").await.unwrap()
    }

    /// Asks until it is given; how often it was not.
    async fn given(&self) -> u32 {
        let mut failures = 0;
        loop {
            match self.subscribed().await {
                Some(Subscribed::Until(..)) => return failures,
                Some(Subscribed::Failed(_)) => failures += 1,
                None => self.host.clock.advance_to(self.view().await.due_at),
            }
            assert!(failures < 12, "it is never given");
        }
    }

    async fn view(&self) -> SubscriptionView {
        self.host.store.subscription("invoices").await.unwrap().unwrap()
    }

    fn later(&self, ms: i64) {
        self.host.clock.advance_to(self.host.clock.now().plus_ms(ms));
    }

    fn now(&self) -> Instant {
        self.host.clock.now()
    }

    /// Has the ERP's calls come that tell of all after so many changes.
    async fn hears(&self, after: usize) -> usize {
        let told = self.host.erp.told(after);
        for (url, body) in &told {
            let channel = url.rsplit('/').next().unwrap();
            let answer = self.door.post(channel, &[("content-type", "application/json")], body.as_bytes()).await;
            assert_eq!(answer.status, 202, "{body}");
        }
        told.len()
    }

    async fn steps(&self) -> Vec<SubscriptionStep> {
        let leaves = self.host.leaves().await.into_iter();
        leaves
            .filter_map(|leaf| match leaf.body {
                LeafBody::Subscription(leaf) => Some(leaf.step),
                _ => None,
            })
            .collect()
    }

    async fn end(self) {
        self.host.verify().await.unwrap();
        self.door.close().await;
    }
}

use SubscriptionStep::{Asked, Failed, Made, Renewed};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_made_renewed_before_its_end_and_the_erp_has_one() {
    let desk = Desk::start(Mischief::default()).await;
    let began = desk.now();
    assert_eq!(desk.subscribed().await, Some(Subscribed::Until(began.plus_ms(3 * DAY_MS), Made)));
    assert_eq!(desk.subscribed().await, None, "it is not due");
    let there = desk.host.erp.subscriptions();
    assert_eq!((there.len(), there[0].client_state.as_str()), (1, INVOICES));
    assert_eq!(there[0].resource, format!("companies({COMPANY})/salesInvoices"));
    assert!(desk.host.store.poll("invoices").await.unwrap().unwrap().is_due(began), "what was before is fetched");
    assert_eq!(poll(&desk.host, "invoices").await.asked, 1);

    let renewal = desk.view().await.due_at;
    assert!((began.plus_ms(DAY_MS)..=began.plus_ms(3 * DAY_MS / 2)).contains(&renewal), "{renewal}");
    desk.host.clock.advance_to(renewal);
    assert_eq!(desk.subscribed().await, Some(Subscribed::Until(renewal.plus_ms(3 * DAY_MS), Renewed)));
    assert_eq!(poll(&desk.host, "invoices").await.asked, 1, "its interval is over");
    assert_eq!(poll(&desk.host, "invoices").await.asked, 0, "nothing was missed");
    let renewed = desk.host.erp.subscriptions();
    assert_eq!((renewed.len(), &renewed[0].id, renewed[0].version), (1, &there[0].id, 2));
    assert_eq!(desk.steps().await, [Asked, Made, Asked, Renewed]);
    assert!(desk.host.exceptions().await.is_empty());
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_on_no_record() {
    let desk = Desk::start(Mischief::default()).await;
    desk.subscribed().await;
    assert_eq!(desk.host.erp.subscriptions()[0].client_state, INVOICES);
    for leaf in desk.host.leaves().await {
        assert!(!format!("{leaf:?}").contains(INVOICES));
    }
    let leaves = desk.host.leaves().await;
    let crossing = leaves.iter().find_map(|leaf| match &leaf.body {
        LeafBody::Subscription(leaf) => leaf.crossing.clone(),
        _ => None,
    });
    let requests = crossing.unwrap().requests;
    let methods: Vec<String> = requests.shown().iter().map(|request| request.method.to_string()).collect();
    assert_eq!(methods, ["get", "post"], "it looks before it makes one");
    desk.end().await;
}

/// A source that answers with what it got, in each way in which something can be written down, and
/// what it got, by path.
async fn parrot() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let got: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let keep = Arc::clone(&got);
    let routes = axum::Router::new().fallback(move |uri: Uri, body: Bytes| {
        let body = String::from_utf8(body.to_vec()).unwrap();
        keep.lock().unwrap().push((uri.path().to_owned(), body.clone()));
        let encoded = base64::engine::general_purpose::STANDARD.encode(&body);
        let again = format!("{body}\n{}\n{encoded}", json!({ "again": body }));
        async move { (StatusCode::OK, [("x-again", body)], again) }
    });
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
    (origin, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_tells_all_it_gets_to_know_does_not_know_the_secret() {
    let (folder, (origin, got)) = (tempfile::tempdir().unwrap(), parrot().await);
    let file = folder.path().join("bell");
    std::fs::write(&file, format!("{INVOICES}\n")).unwrap();
    let setup = Setup::demo()
        .plugin("subscription-prier", "{ http = [\"GET\", \"POST\"] }")
        .append("portreeve.toml", &format!("[[plugin.egress]]\norigin = \"{origin}\"\n"))
        .blindfolded("cloudevents-events")
        .blindfolded("business-central-webhooks")
        .append(
            "portreeve.toml",
            &format!(
                "\n[[channel]]\nid = \"source\"\nconnector = \"subscription-prier\"\n\
                 documents = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\ntarget = \"erp\"\n\
                 exception_queue = \"integration\"\n\n\
                 [[sender]]\nchannel = \"bell\"\nid = \"erp\"\nclient_state_file = \"{}\"\n\n\
                 [[channel]]\nid = \"bell\"\nconnector = \"business-central-webhooks\"\ndocuments = {{}}\n\
                 target = \"erp\"\nexception_queue = \"integration\"\nchallenges = true\n\n[channel.wakes]\n\
                 poll = \"source\"\nkinds = [\"business-central/changed\", \"business-central/collection\"]\n\n\
                 [[poll]]\nid = \"source\"\nchannel = \"source\"\nevery_seconds = 60\norigin = \"{origin}\"\n\n\
                 [poll.settings]\nbase-url = \"{origin}\"\n\n\
                 [poll.subscription]\nchannel = \"bell\"\nurl = \"http://127.0.0.1:1/v1/channels/bell\"\n\
                 resource = \"/orders\"\nkind = \"some/subscription\"\n",
                file.display()
            ),
        );
    let host = setup.start().await;
    let poll: Poll = host.host.pipeline.routes.poll("source").unwrap().clone();
    let subscribed = host.host.pipeline.subscribe(&poll).await.unwrap();
    assert!(matches!(subscribed, Some(Subscribed::Until(_, Made))), "{subscribed:?}");

    let got = got.lock().unwrap().clone();
    let [(_, asked), (path, told)] = got.as_slice() else { panic!("{got:?}") };
    assert!(asked.contains(&format!("\"clientState\":\"{INVOICES}\"")), "the source has it: {asked}");
    assert_eq!(path, "/told");
    let known = String::from_utf8_lossy(&hex::decode(told).unwrap()).into_owned();
    assert!(known.contains("the-host-puts-the-client-state-here"), "it knows what stood in its place");
    assert!(known.contains("x-again: ") && known.contains("\"again\""), "and all of the answer: {known}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(asked);
    for secret in [INVOICES, encoded.as_str()] {
        assert!(!known.contains(secret), "{known}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_tells_has_the_poll_made_at_once() {
    let desk = Desk::start(Mischief::default()).await;
    desk.subscribed().await;
    assert_eq!(poll(&desk.host, "invoices").await.asked, 1);
    let order = invoiced(&desk.host, "PO-1").await;
    assert_eq!(poll(&desk.host, "invoices").await.asked, 0);
    assert_eq!(desk.hears(0).await, 1);
    assert_eq!(poll(&desk.host, "invoices").await.documents, 1);
    desk.host.decide_all().await;
    assert_eq!(desk.host.process_state(order).await, Some(ProcessState::Invoiced));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_lost_or_ended_is_made_anew_and_what_it_did_not_tell_is_fetched_at_once() {
    let desk = Desk::start(Mischief::default()).await;
    desk.subscribed().await;
    poll(&desk.host, "invoices").await;
    for (number, is_lost) in [("PO-1", true), ("PO-2", false)] {
        let before = desk.host.erp.change_count();
        if is_lost {
            desk.host.erp.end_subscriptions();
            desk.host.clock.advance_to(desk.view().await.due_at);
        } else {
            // The host was down for longer than it held.
            desk.later(4 * DAY_MS);
        }
        assert!(desk.host.erp.subscriptions().is_empty());
        poll(&desk.host, "invoices").await;
        let order = invoiced(&desk.host, number).await;
        assert_eq!((desk.hears(before).await, poll(&desk.host, "invoices").await.asked), (0, 0), "nobody told");
        let until = desk.now().plus_ms(3 * DAY_MS);
        assert_eq!(desk.subscribed().await, Some(Subscribed::Until(until, Made)));
        assert_eq!(poll(&desk.host, "invoices").await.documents, 1, "at once");
        desk.host.decide_all().await;
        assert_eq!(desk.host.process_state(order).await, Some(ProcessState::Invoiced));
    }
    assert_eq!(desk.host.erp.subscriptions().len(), 1);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_an_answer_is_lost_or_refused_for_now_the_erp_has_one() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let throttled = Mischief { throttle_per_mille: 1_000, ..Mischief::default() };
    let failing = Mischief { fail_before_per_mille: 1_000, ..Mischief::default() };
    for mischief in [lost, throttled, failing] {
        let desk = Desk::start(mischief).await;
        assert!(desk.given().await > 0, "the ERP was hard to talk to");
        assert_eq!(desk.host.erp.subscriptions().len(), 1);
        desk.host.clock.advance_to(desk.view().await.due_at);
        desk.given().await;
        let there = desk.host.erp.subscriptions();
        assert_eq!((there.len(), there[0].until), (1, desk.view().await.held.unwrap().until));
        assert!(desk.host.exceptions().await.is_empty(), "it was given in time");
        desk.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_somebody_else_changed_in_between_is_looked_at_once_more() {
    let desk = Desk::start(Mischief::default()).await;
    desk.subscribed().await;
    for (changes, expected) in [(1, Some(Renewed)), (2, None)] {
        desk.host.clock.advance_to(desk.view().await.due_at);
        desk.host.erp.change_before_renewals(changes);
        let step = match desk.subscribed().await.unwrap() {
            Subscribed::Until(_, step) => Some(step),
            Subscribed::Failed(_) => None,
        };
        assert_eq!(step, expected);
        assert_eq!(desk.host.erp.subscriptions().len(), 1, "and none is made beside it");
    }
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_given_is_told_while_the_old_one_holds_and_closed_when_it_is() {
    let desk = Desk::start(Mischief::default()).await;
    desk.subscribed().await;
    let until = desk.view().await.held.unwrap().until;
    // The front door is not to be found, so that nobody shakes hands.
    desk.relay.leads_to(None);
    for failure in 1..=FAILURES_TOLD {
        desk.host.clock.advance_to(desk.view().await.due_at);
        assert_eq!(desk.subscribed().await, Some(Subscribed::Failed("invalid".to_owned())));
        assert_eq!(desk.host.exceptions().await.len(), usize::from(failure == FAILURES_TOLD));
    }
    let told = desk.host.exceptions().await.remove(0);
    assert_eq!((told.kind, told.code.as_str()), (ExceptionKind::Poll, "subscription-fails"));
    assert!(
        told.detail.contains(&format!("ends {until}")) && told.detail.contains("validationToken"),
        "{}",
        told.detail
    );
    assert!(desk.now() < until.plus_ms(-DAY_MS), "well before its end");
    let standing = desk.view().await;
    assert_eq!((standing.failures, standing.held.unwrap().until), (FAILURES_TOLD, until));
    let listed = desk.door.get("/v1/polls", &[("authorization", &desk.door.ops().await)]).await;
    let listed: Value = serde_json::from_slice(&listed.body).unwrap();
    let shown = &listed["polls"][0]["subscription"];
    assert_eq!((&shown["holds"], &shown["until"]), (&json!(true), &json!(until.to_string())));
    assert_eq!((&shown["failures"], &shown["code"]), (&json!(FAILURES_TOLD), &json!("invalid")));

    desk.relay.leads_to(Some(&desk.door));
    desk.host.clock.advance_to(desk.view().await.due_at);
    assert!(matches!(desk.subscribed().await, Some(Subscribed::Until(_, Renewed))));
    assert!(desk.host.exceptions().await.is_empty(), "it works again");
    let steps = desk.steps().await;
    assert_eq!(steps.iter().filter(|step| **step == Failed).count(), usize::try_from(FAILURES_TOLD).unwrap());
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erp_with_no_room_for_another_one_is_told_of_and_asked_again() {
    let desk = Desk::start(Mischief::default()).await;
    desk.host.erp.allow_subscriptions(0);
    for _ in 0..FAILURES_TOLD {
        assert_eq!(desk.subscribed().await, Some(Subscribed::Failed("invalid".to_owned())));
        desk.host.clock.advance_to(desk.view().await.due_at);
    }
    let told = desk.host.exceptions().await.remove(0);
    assert!(told.detail.contains("the maximum") && told.detail.contains("there is none now"), "{}", told.detail);
    desk.host.erp.allow_subscriptions(1);
    assert!(matches!(desk.subscribed().await, Some(Subscribed::Until(_, Made))));
    assert!(desk.host.exceptions().await.is_empty());
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_source_wants_to_be_left_alone_for_longer_than_there_is_patience_is_told_of_at_once() {
    let every = "id = \"invoices\"\nchannel = \"ledger\"\nevery_seconds = 60";
    // The ERP wants to be left alone for a second.
    for (patience_minutes, told) in [(0, 1), (1, 0)] {
        let throttled = Mischief { throttle_per_mille: 1_000, ..Mischief::default() };
        let patient = format!("{every}\npatience_minutes = {patience_minutes}");
        let desk = Desk::of(throttled, |setup| setup.replace("portreeve.toml", every, &patient)).await;
        assert!(matches!(desk.subscribed().await, Some(Subscribed::Failed(_))));
        let (found, due_at) = (desk.host.exceptions().await, desk.view().await.due_at);
        assert_eq!(found.len(), told, "{patience_minutes}");
        assert!(found.iter().all(|told| told.detail.contains(&format!("asked for again at {due_at}"))));
        desk.given().await;
        assert!(desk.host.exceptions().await.is_empty(), "it works again");
        desk.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_who_would_ask_at_once_one_does_and_another_secret_is_another_subscription() {
    let desk = Desk::start(Mischief::default()).await;
    let asked = tokio::join!(desk.subscribed(), desk.subscribed(), desk.subscribed());
    let asked = [asked.0, asked.1, asked.2].into_iter().flatten().count();
    assert_eq!((asked, desk.host.erp.subscriptions().len()), (1, 1));
    std::fs::write(desk.folder.path().join("erp-invoices"), "another-secret-of-the-invoices\n").unwrap();
    desk.later(1);
    assert!(matches!(desk.subscribed().await, Some(Subscribed::Until(_, Made))));
    let there = desk.host.erp.subscriptions();
    assert_eq!((there.len(), there[0].client_state.as_str()), (1, "another-secret-of-the-invoices"));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_around_it_the_erp_has_one_and_each_request_is_on_record_before_it_is_sent() {
    for write in ["claim_subscription", "end_subscription"] {
        for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
            let Desk { host, door, relay, folder } = Desk::start(Mischief::default()).await;
            door.close().await;
            let (host, store) = host.restart_behind(|store| FaultyStore::new(store, write, fault, 0)).await;
            let door = host.front_door().await;
            relay.leads_to(Some(&door));
            let desk = Desk { host, door, relay, folder };
            assert!(matches!(desk.subscribe("invoices").await, Err(PollError::Store(_))), "{write} {fault:?}");
            assert!(store.has_failed());
            let was_sent = !desk.host.erp.subscriptions().is_empty();
            assert_eq!(was_sent, write == "end_subscription", "{fault:?}");
            let asked = desk.steps().await;
            assert!(!was_sent || asked.first() == Some(&Asked), "{write} {fault:?}: {asked:?}");
            drop(store);
            let Desk { host, door, relay, folder } = desk;
            door.close().await;
            let host = host.restart().await;
            let door = host.front_door().await;
            relay.leads_to(Some(&door));
            let desk = Desk { host, door, relay, folder };
            desk.later(1);
            desk.subscribed().await;
            assert_eq!(desk.host.erp.subscriptions().len(), 1, "{write} {fault:?}");
            assert!(desk.view().await.held.is_some());
            // And it goes on from there.
            desk.host.clock.advance_to(desk.view().await.due_at);
            assert!(matches!(desk.subscribed().await, Some(Subscribed::Until(_, Renewed))));
            desk.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_subscription_in_the_configuration_is_said() {
    let (relay, folder) = (Relay::start().await, tempfile::tempdir().unwrap());
    let setup = || subscribing(Mischief::default(), &relay, folder.path());
    let of_invoices = "[poll.subscription]\nchannel = \"erp-invoices\"";
    for (from, to, expected) in [
        (of_invoices, "[poll.subscription]\nchannel = \"nowhere\"", "on channel `nowhere`, which does not exist"),
        (of_invoices, "[poll.subscription]\nchannel = \"erp-memos\"", "which does not have this poll made"),
        (of_invoices, "[poll.subscription]\nsender = \"other\"\nchannel = \"erp-invoices\"", "finds 0 senders"),
        (
            of_invoices,
            "[poll.subscription]\nrenew_percent = 81\nchannel = \"erp-invoices\"",
            "`renew_percent` of the subscription of poll `invoices` is 81",
        ),
        (of_invoices, "[poll.subscription]\nsurprise = 1\nchannel = \"erp-invoices\"", "surprise"),
        ("challenges = true", "challenges = false", "which answers no challenge"),
        ("http://127.0.0.1", "http://portreeve.example", "is http, where everybody on the way can read it"),
        (
            "kind = \"business-central/subscription\"",
            "kind = \"\"",
            "`kind` of the subscription of poll `invoices` is empty",
        ),
    ] {
        let mut setup = setup();
        if from == "http://127.0.0.1" {
            let url = relay.url("erp-invoices");
            setup = setup.replace("portreeve.toml", &url, "http://portreeve.example/v1/channels/erp-invoices");
        } else {
            setup = setup.replace("portreeve.toml", from, to);
        }
        let error = setup.try_start().await.err();
        let error = format!("{:#}", error.unwrap_or_else(|| panic!("{to} is taken")));
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_memo_goes_the_whole_pulled_road_to_the_customers_810_and_refund() {
    let (partner, payments) =
        (Partner::start(Mischief::default()).await.unwrap(), Payments::start(Mischief::default()).await.unwrap());
    let (to_partner, to_payments) = (partner.origin(), payments.origin());
    let more = format!(
        "\n[[plugin.egress]]\norigin = \"{to_partner}\"\n\n[[target]]\nid = \"customers\"\nconnector = \"x12-send\"\n\
         transformer = \"x12-out\"\nkind = \"x12/810\"\norigin = \"{to_partner}\"\nexception_queue = \"integration\"\n\
         find = false\nfind_after_ms = 1000\nwith_order = true\nsettings = {{ base-url = \"{to_partner}\", \
         sender = \"ZZ:PORTREEVE\", usage = \"P\", credit-memo = \"CR\", credit-memo-amounts = \"below-zero\" }}\n\
         [target.interchange]\nknows_repeats = true\npartner_parts = 2\n\n\
         [[effect]]\non = \"invoice.posted\"\ntarget = \"customers\"\nkind = \"x12/810\"\n"
    );
    let refunds = format!(
        "\n[[plugin.egress]]\norigin = \"{to_payments}\"\n\n[[target]]\nid = \"payments\"\nconnector = \"stripe\"\n\
         transformer = \"stripe-events\"\nkind = \"stripe/refund\"\norigin = \"{to_payments}\"\n\
         exception_queue = \"integration\"\nfind = true\nfind_after_ms = 1000\nsettings = {{ base-url = \"{to_payments}\" }}\n\n\
         [refunds]\ntarget = \"payments\"\ncauses = [\"goods-return\"]\namount_max_minor = {{ USD = 20000 }}\n"
    );
    let says = "says = [\"shipment.confirmed\", \"return.received\"";
    let desk = Desk::of(Mischief::default(), |setup| {
        setup
            .replace("portreeve.toml", says, &format!("{says}, \"payment.settled\""))
            .plugin("x12-send", "{ http = [\"POST\"] }")
            .append("portreeve.toml", &more)
            .blindfolded("x12-out")
            .plugin("stripe", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 85000 } }")
            .append("portreeve.toml", &refunds)
            .blindfolded("stripe-events")
    })
    .await;
    for id in ["invoices", "memos"] {
        assert!(matches!(desk.subscribe(id).await.unwrap(), Some(Subscribed::Until(_, Made))));
        poll(&desk.host, id).await;
    }
    let host = &desk.host;
    let order = accepted(host, "PO-1").await;
    drop(payments.pay(&order.to_string(), 23_580, "usd"));
    let amount = json!({"minor": "23580", "currency": "USD"});
    say(host, "payment.settled", json!({"orderNumber": order, "paymentReference": "P-1", "amount": amount})).await;
    crate::posting::ship(host, order, "S-1", &[crate::posting::FIRST, crate::posting::SECOND]).await;
    host.come_to_rest().await;
    assert_eq!(desk.hears(0).await, 1);
    assert_eq!(poll(host, "invoices").await.documents, 1);
    host.come_to_rest().await;

    // Five of the ten boxes come back, for 92.00; the ERP posts the memo, says so, and it is fetched.
    let before = host.erp.change_count();
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": boxes("5"), "condition": "good"});
    say(host, "return.received", json!({"orderNumber": order, "returnNumber": "R-1", "lines": [line]})).await;
    host.come_to_rest().await;
    assert_eq!(host.erp.credit_memos().len(), 1);
    assert!(payments.refunds().is_empty(), "nothing goes back before it is credited");
    assert_eq!(poll(host, "memos").await.asked, 0, "nobody told yet");
    assert_eq!(desk.hears(before).await, 1);
    assert_eq!((poll(host, "invoices").await.asked, poll(host, "memos").await.documents), (0, 1));
    host.come_to_rest().await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    assert_eq!(host.process_state(order).await, Some(ProcessState::Credited));
    let refunds = payments.refunds();
    assert_eq!((refunds.len(), refunds[0].amount), (1, 9_200));
    let ledger = partner.ledger();
    let memo = host.erp.credit_memos().remove(0);
    let told: Vec<(&str, &str)> = ledger.iter().map(|entry| (entry.set.as_str(), entry.element("BIG", 7))).collect();
    assert_eq!(told, [("810", "DI"), ("810", "CR")]);
    assert_eq!((ledger[1].element("BIG", 2), ledger[1].element("TDS", 1)), (memo.number.as_str(), "-9200"));
    assert_eq!(partner.faults(), Vec::<String>::new());

    // Told and fetched again, nothing happens twice.
    desk.hears(before).await;
    desk.later(60_000);
    assert_eq!(poll(host, "memos").await.documents, 0);
    host.come_to_rest().await;
    assert_eq!((payments.refunds().len(), partner.ledger().len()), (1, 2));
    desk.end().await;
}
