//! Polls: what a source has becomes documents together with the place up to which it was asked,
//! once, whatever fails in between, and a source that does not answer is heard of.

use portreeve_model::reference::{Field, FieldValue, Row};
use portreeve_model::{Digest, ExceptionAction, ExceptionKind};
use portreeve_pipeline::poll::{FAILURES_TOLD, PollError, PollRun};
use portreeve_pipeline::{Clock, Credential};
use portreeve_record::leaf::{AcceptOutcome, Code, PollStep, ReferenceLeaf};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::StoreError;
use portreeve_store::contract::ExceptionView;
use serde_json::{Value, json};

use crate::faults::{Fault, FaultyStore};
use crate::support::{PurchaseOrder, Setup, TestHost};

const EVERY_SECONDS: i64 = 60;

/// A source that a test writes, asked each minute, and who may say that there is something new.
fn setup() -> Setup {
    let token = Digest::of(b"token-of-the-bell");
    Setup::demo()
        .plugin("scripted-poll", "{ lookup = [\"script\"], kv = true, http = [\"GET\"] }")
        .blindfolded("cloudevents")
        .blindfolded("cloudevents-events")
        .append(
            "portreeve.toml",
            &format!(
                "\n[[channel]]\nid = \"source\"\nconnector = \"scripted-poll\"\n\
                 documents = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\ntarget = \"erp\"\n\
                 exception_queue = \"integration\"\nsays = [\"shipment.picked\"]\n\n\
                 [[poll]]\nid = \"source\"\nchannel = \"source\"\nevery_seconds = {EVERY_SECONDS}\n\
                 origin = \"${{ERP_ORIGIN}}\"\n\n\
                 [[sender]]\nchannel = \"bell\"\nid = \"bell\"\ntoken_sha256 = \"{token}\"\n\n\
                 [[channel]]\nid = \"bell\"\nconnector = \"cloudevents\"\ndocuments = {{}}\ntarget = \"erp\"\n\
                 exception_queue = \"integration\"\nwakes = {{ poll = \"source\", kinds = [\"cloudevents/event\"] }}\n"
            ),
        )
}

/// Writes what the source has behind each cursor; the number makes its leaf.
async fn script(host: &TestHost, number: u64, rows: &[(&str, Value)]) {
    let row = |(key, says): &(&str, Value)| {
        let says = Field { name: "says".to_owned(), value: FieldValue::Text(says.to_string()) };
        ((*key).to_owned(), Row(vec![says]))
    };
    let digest = Digest::of(&number.to_be_bytes());
    let body = ReferenceLeaf { table: Code::of("script"), version: number, digest, rows: 0, who: None };
    let leaf = Leaf::new("test", host.clock.now(), LeafBody::Reference(body)).unwrap();
    host.store.load_reference("script", rows.iter().map(row).collect(), leaf).await.unwrap();
}

/// An event about a picked shipment of an order.
fn picked(order: &str, shipment: &str) -> Value {
    let data = json!({"orderNumber": order, "shipmentNumber": shipment});
    let event = json!({
        "specversion": "1.0", "id": shipment, "source": "/source", "type": "shipment.picked", "data": data,
    });
    json!({"key": shipment, "body": event.to_string()})
}

/// Makes the poll, where it is due.
async fn poll(host: &TestHost) -> Result<PollRun, PollError> {
    let mut made = host.host.pipeline.poll_due().await;
    assert_eq!(made.len(), 1);
    made.remove(0).1
}

async fn polled(host: &TestHost) -> PollRun {
    poll(host).await.unwrap()
}

async fn cursor(host: &TestHost) -> Option<String> {
    let found = host.store.poll("source").await.unwrap().unwrap();
    found.cursor.map(|cursor| String::from_utf8(cursor).unwrap())
}

async fn undecided(host: &TestHost) -> Vec<String> {
    let found = host.store.undecided(100, &[]).await.unwrap();
    found.iter().map(|document| document.key().to_owned()).collect()
}

async fn open(host: &TestHost) -> Vec<ExceptionView> {
    host.store.exceptions(100).await.unwrap()
}

/// The next minute.
fn later(host: &TestHost) {
    host.clock.advance_to(host.clock.now().plus_ms(EVERY_SECONDS * 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_has_moves_orders_once_and_the_source_is_asked_again_while_it_has_more() {
    let host = setup().start().await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await[0].id.to_string();
    host.deliver_all().await;
    script(
        &host,
        1,
        &[
            ("start", json!({"documents": [picked(&order, "SH-1"), picked(&order, "SH-2")], "cursor": "1"})),
            // The overlap: what came before comes again.
            ("1", json!({"documents": [picked(&order, "SH-2"), picked(&order, "SH-3")], "cursor": "2"})),
        ],
    )
    .await;
    assert_eq!(polled(&host).await, PollRun { asked: 3, documents: 4, failed: None });
    assert_eq!(cursor(&host).await.as_deref(), Some("2"));
    host.decide_all().await;
    let trail = host.store.order_trail(portreeve_model::OrderId::parse(&order).unwrap()).await.unwrap().unwrap();
    let picked: Vec<_> = trail.events.iter().filter(|event| event.kind.as_str() == "shipment.picked").collect();
    assert_eq!(picked.len(), 3, "each shipment once");
    assert_eq!(host.summary().await.duplicates, 1);

    // Before it is due nobody asks, and what is empty leaves no trace.
    let leaves = host.leaves().await.len();
    assert_eq!(polled(&host).await, PollRun::default());
    later(&host);
    assert_eq!(polled(&host).await, PollRun { asked: 1, documents: 0, failed: None });
    assert_eq!((cursor(&host).await.as_deref(), host.leaves().await.len()), (Some("2"), leaves));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_and_its_documents_are_there_together_or_not_at_all_and_nothing_is_doubled() {
    for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
        let host = setup().start().await;
        let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await[0].id.to_string();
        script(&host, 1, &[("start", json!({"documents": [picked(&order, "SH-1")], "cursor": "1"}))]).await;
        let (host, store) = host.restart_behind(|store| FaultyStore::new(store, "journal_polled", fault, 0)).await;
        let failed = poll(&host).await;
        assert!(matches!(failed, Err(PollError::Store(_))), "{fault:?}: {failed:?}");
        assert!(store.has_failed());
        let persisted = matches!(fault, Fault::PersistedButFailed);
        assert_eq!(cursor(&host).await.is_some(), persisted, "{fault:?}");
        assert_eq!(undecided(&host).await.len(), usize::from(persisted), "{fault:?}");
        drop(store);
        // As after a crash between the answer and the commit.
        let host = host.restart().await;
        host.clock.advance_to(host.clock.now().plus_ms(1));
        assert_eq!(polled(&host).await.documents, usize::from(!persisted), "{fault:?}");
        assert_eq!((undecided(&host).await, cursor(&host).await.as_deref()), (vec!["SH-1".to_owned()], Some("1")));
        host.decide_all().await;
        assert_eq!(host.summary().await.duplicates, 0);
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_poll_at_once_one_asks() {
    let host = setup().start().await;
    script(&host, 1, &[("start", json!({"documents": [picked("x", "SH-1")], "cursor": "1"}))]).await;
    let made = tokio::join!(polled(&host), polled(&host), polled(&host));
    let documents = made.0.documents + made.1.documents + made.2.documents;
    assert_eq!((documents, undecided(&host).await.len()), (1, 1));
    // Somebody who took longer than his claim changes nothing.
    later(&host);
    let (now, connector) = (host.clock.now(), portreeve_model::PluginName::parse("scripted-poll").unwrap());
    let claimed = host.store.claim_poll("source", &connector, now, now.plus_ms(1)).await.unwrap().unwrap();
    host.clock.advance_to(now.plus_ms(1));
    assert_eq!(polled(&host).await.asked, 1);
    let end = portreeve_store::contract::PollEnd { due_at: now, failure: None, said: None, leaf: None };
    let late = host.store.end_poll(claimed, end, now).await;
    assert!(matches!(late, Err(StoreError::PollMoved { .. })), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_cannot_be_read_stops_neither_its_neighbours_nor_the_next_poll() {
    let host = setup().start().await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await[0].id.to_string();
    script(
        &host,
        1,
        &[
            ("start", json!({"documents": [picked(&order, "SH-1")], "problems": ["no-number"], "cursor": "1"})),
            ("1", json!({"problems": ["no-number", "no-number"], "cursor": "2"})),
            ("2", json!({"documents": [{"key": "SH-2", "body": "{"}, picked(&order, "SH-3")], "cursor": "3"})),
        ],
    )
    .await;
    assert_eq!(polled(&host).await, PollRun { asked: 4, documents: 3, failed: None });
    host.decide_all().await;
    let waiting = open(&host).await;
    // That it was picked before the ERP had the order is another story.
    let of_polls = waiting.iter().filter(|open| open.kind != ExceptionKind::Order);
    let mut waiting: Vec<_> = of_polls.map(|open| (open.kind.as_str(), open.code.as_str())).collect();
    waiting.sort_unstable();
    assert_eq!(
        waiting,
        [("document", "malformed-document"), ("input", "accepted-with-problems"), ("input", "polled-unusable")]
    );
    let outcomes: Vec<_> = host
        .leaves()
        .await
        .into_iter()
        .filter_map(|leaf| match leaf.body {
            LeafBody::Accept(accept) if accept.channel.as_str() == "source" => Some(accept.outcome),
            _ => None,
        })
        .collect();
    assert_eq!(outcomes, [AcceptOutcome::Documents, AcceptOutcome::Rejected, AcceptOutcome::Documents]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_a_cursor_tells_the_same_each_time_and_it_is_kept_once() {
    let host = setup().start().await;
    script(&host, 1, &[("start", json!({"documents": [picked("x", "SH-1")], "problems": ["no-number"]}))]).await;
    assert_eq!(polled(&host).await, PollRun { asked: 1, documents: 1, failed: None });
    let (leaves, waiting) = (host.leaves().await.len(), open(&host).await.len());
    for _ in 0..3 {
        later(&host);
        assert_eq!(polled(&host).await, PollRun { asked: 1, documents: 0, failed: None });
    }
    assert_eq!((host.leaves().await.len(), open(&host).await.len()), (leaves, waiting));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_without_a_cursor_says_again_after_something_else_is_an_input_again() {
    let host = setup().start().await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await[0].id.to_string();
    let before = host.summary().await.inputs;
    let says = |problem: &str| json!({"documents": [picked(&order, "SH-1")], "problems": [problem]});
    let mut inputs = Vec::new();
    for (number, says) in [(1, says("a")), (2, says("b")), (3, says("a")), (4, json!({})), (5, says("a"))] {
        script(&host, number, &[("start", says)]).await;
        for _ in 0..2 {
            assert_eq!(polled(&host).await.asked, 1);
            later(&host);
        }
        inputs.push(host.summary().await.inputs - before);
    }
    assert_eq!(inputs, [1, 2, 3, 3, 4], "each once while it is said");
    // A document is known by its key and content, as from anybody.
    host.decide_all().await;
    assert_eq!(host.summary().await.duplicates, 3);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connector_remembers_of_a_poll_commits_with_it() {
    let host = setup().start().await;
    let says = |word: &str| json!({"documents": [{"key": "of ", "body": "{}"}], "remember": word});
    script(&host, 1, &[("start", says("one"))]).await;
    assert_eq!(polled(&host).await.documents, 1);
    script(&host, 2, &[("start", says("two"))]).await;
    later(&host);
    assert_eq!(polled(&host).await.documents, 1);
    assert_eq!(undecided(&host).await, ["of ", "of one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_moves_for_ever_is_asked_so_often_and_no_more() {
    let host = setup().start().await;
    let step = |to: u32| json!({"cursor": to.to_string()});
    let rows: Vec<(String, Value)> = (1..40).map(|from| (from.to_string(), step(from + 1))).collect();
    let mut rows: Vec<(&str, Value)> = rows.iter().map(|(key, says)| (key.as_str(), says.clone())).collect();
    rows.push(("start", step(1)));
    script(&host, 1, &rows).await;
    assert_eq!(polled(&host).await, PollRun { asked: 16, documents: 0, failed: None });
    assert_eq!(polled(&host).await, PollRun::default(), "the rest waits for the interval");
    later(&host);
    assert_eq!(polled(&host).await.asked, 16);
    assert_eq!(cursor(&host).await.as_deref(), Some("32"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_fails_waits_longer_each_time_and_people_hear_of_it_once_until_it_works() {
    let host = setup().start().await;
    script(&host, 1, &[("start", json!({"fails": "permanent"}))]).await;
    let mut waits = Vec::new();
    for _ in 0..=FAILURES_TOLD {
        let before = host.clock.now();
        assert_eq!(polled(&host).await.failed.as_deref(), Some("permanent"));
        let due = host.store.poll("source").await.unwrap().unwrap().due_at;
        waits.push((due.0 - before.0) / 1_000);
        host.clock.advance_to(due);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320]);
    let waiting = open(&host).await;
    let told: Vec<_> = waiting.iter().map(|open| (open.kind, open.code.as_str(), open.queue.as_str())).collect();
    assert_eq!(told, [(ExceptionKind::Poll, "poll-fails", "integration")]);
    assert!(waiting[0].detail.contains("the script says so"), "{}", waiting[0].detail);
    assert_eq!(ExceptionKind::Poll.actions(), [ExceptionAction::Reroute, ExceptionAction::Abandon]);
    let metrics = host.host.pipeline.metrics.text(&[]);
    assert!(metrics.contains("portreeve_poll_failures{poll=\"source\"} 6"), "{metrics}");

    script(&host, 2, &[]).await;
    assert_eq!(polled(&host).await, PollRun { asked: 1, documents: 0, failed: None });
    assert!(open(&host).await.is_empty(), "it works again");
    let steps: Vec<_> = host
        .leaves()
        .await
        .into_iter()
        .filter_map(|leaf| match leaf.body {
            LeafBody::Poll(poll) => Some((poll.step, poll.failures)),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [(PollStep::Failing, FAILURES_TOLD), (PollStep::Restored, FAILURES_TOLD + 1)]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_and_a_source_that_asks_for_patience_are_failures_with_their_own_words() {
    let host = setup().start().await;
    for (number, fails, code, wait_s) in
        [(1, "retry", "retry", 90), (2, "trap", "trap", 20), (3, "invalid", "invalid", 40)]
    {
        script(&host, number, &[("start", json!({"fails": fails}))]).await;
        let before = host.clock.now();
        assert_eq!(polled(&host).await.failed.as_deref(), Some(code));
        let found = host.store.poll("source").await.unwrap().unwrap();
        assert_eq!((found.code.as_deref(), (found.due_at.0 - before.0) / 1_000), (Some(code), wait_s));
        host.clock.advance_to(found.due_at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_wants_to_be_left_alone_for_longer_than_there_is_patience_is_told_of_at_once() {
    for (patience_minutes, is_told) in [(None, true), (Some(1_440), false), (Some(1_439), true)] {
        let more = patience_minutes.map_or_else(String::new, |minutes| format!("\npatience_minutes = {minutes}"));
        let host = setup().replace("portreeve.toml", "every_seconds = 60", &format!("every_seconds = 60{more}"));
        let host = host.start().await;
        script(&host, 1, &[("start", json!({"fails": "tomorrow"}))]).await;
        assert_eq!(polled(&host).await.failed.as_deref(), Some("retry"));
        let waiting = open(&host).await;
        assert_eq!(waiting.len(), usize::from(is_told), "{patience_minutes:?}");
        let Some(told) = waiting.first() else { continue };
        assert_eq!((told.kind, told.code.as_str()), (ExceptionKind::Poll, "poll-fails"));
        let tomorrow = host.clock.now().plus_ms(86_400_000);
        assert!(told.detail.contains(&format!("asked again at {tomorrow} only")), "{}", told.detail);
        script(&host, 2, &[]).await;
        host.clock.advance_to(tomorrow);
        assert_eq!(polled(&host).await.failed, None);
        assert!(open(&host).await.is_empty(), "it works again");
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_reads_sees_how_each_poll_goes() {
    let host = setup().start().await;
    let door = host.front_door().await;
    let seen = async || -> Value {
        let ops = door.ops().await;
        let answer = door.get("/v1/polls", &[("authorization", &ops)]).await;
        assert_eq!(answer.status, 200);
        let listed: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(listed["polls"].as_array().unwrap().len(), 1);
        listed["polls"][0].clone()
    };
    let never = seen().await;
    assert_eq!((&never["id"], &never["everySeconds"], &never["failures"]), (&json!("source"), &json!(60), &json!(0)));
    assert!(never.get("dueAt").is_none() && never.get("workedAt").is_none(), "{never}");
    script(&host, 1, &[("start", json!({"documents": [picked("x", "SH-1")], "cursor": "1"}))]).await;
    let began = host.clock.now();
    assert_eq!(polled(&host).await.documents, 1);
    later(&host);
    assert_eq!(polled(&host).await.failed, None);
    script(&host, 2, &[("1", json!({"fails": "permanent"}))]).await;
    later(&host);
    polled(&host).await;
    let now = host.clock.now();
    let told = seen().await;
    assert_eq!(told["workedAt"], json!(began.plus_ms(60_000).to_string()));
    assert_eq!((&told["cursorMovedAt"], &told["cursorAgeSeconds"]), (&json!(began.to_string()), &json!(120)));
    assert_eq!((&told["failures"], &told["code"]), (&json!(1), &json!("permanent")));
    assert_eq!((&told["failingSince"], &told["isUnderWay"]), (&json!(now.to_string()), &json!(false)));
    assert_eq!(told["dueAt"], json!(now.plus_ms(10_000).to_string()));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_that_something_is_new_has_the_poll_made_at_once_and_is_no_document() {
    let host = setup().start().await;
    script(&host, 1, &[]).await;
    polled(&host).await;
    let ring = async |id: &str| {
        let event = json!({"specversion": "1.0", "id": id, "source": "/s", "type": "x.changed", "data": {}});
        let token = Credential::Bearer("token-of-the-bell");
        let body = event.to_string();
        let pipeline = &host.host.pipeline;
        let sender = pipeline.senders.authenticate("bell", token).unwrap();
        let headers = vec![portreeve_model::document::Header {
            name: "content-type".to_owned(),
            value: "application/cloudevents+json".to_owned(),
        }];
        let input = portreeve_pipeline::accept::Input {
            method: "POST".to_owned(),
            path: String::new(),
            headers,
            body: body.into_bytes(),
        };
        pipeline.accept(&sender, input).await.unwrap()
    };
    assert_eq!(polled(&host).await.asked, 0);
    assert!(!ring("1").await.duplicate);
    assert_eq!(polled(&host).await.asked, 1, "at once");
    assert_eq!(polled(&host).await.asked, 0, "and once");
    assert!(ring("1").await.duplicate);
    assert_eq!(polled(&host).await.asked, 0, "what was heard before wakes nothing");
    host.decide_all().await;
    assert_eq!((undecided(&host).await.len(), open(&host).await.len()), (0, 0));
    // What nobody rang for is found by the interval.
    script(&host, 2, &[("start", json!({"documents": [picked("x", "SH-1")], "cursor": "1"}))]).await;
    assert_eq!(polled(&host).await.asked, 0);
    later(&host);
    assert_eq!(polled(&host).await.documents, 1);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_poll_in_the_configuration_is_said() {
    for (from, to, expected) in [
        ("every_seconds = 60", "every_seconds = 0", "`every_seconds` of poll `source` is 0"),
        ("every_seconds = 60", "every_seconds = 60\njitter_seconds = 86401", "`jitter_seconds` of poll `source`"),
        ("[[poll]]\nid = \"source\"", "[[poll]]\nid = \"So\"", "poll `So` has a name that is none"),
        (
            "[[poll]]\nid = \"source\"\nchannel = \"source\"",
            "[[poll]]\nid = \"source\"\nchannel = \"nowhere\"",
            "poll `source` is of channel `nowhere`",
        ),
        ("[[poll]]\nid = \"source\"", "[[poll]]\nid = \"other\"", "wakes poll `source`, which does not exist"),
        ("kinds = [\"cloudevents/event\"]", "kinds = []", "names no kinds of documents"),
        ("every_seconds = 60", "every_seconds = 60\nsurprise = 1", "surprise"),
        (
            "every_seconds = 60\norigin = \"${ERP_ORIGIN}\"",
            "every_seconds = 60\norigin = \"https://elsewhere.example\"",
            "poll `source` asks `https://elsewhere.example`, where its connector `scripted-poll` may not go",
        ),
        (
            "every_seconds = 60\norigin = \"${ERP_ORIGIN}\"",
            "every_seconds = 60\norigin = \"http://elsewhere.example\"\ncredential = { kind = \"header\", name = \"x\", secret = { file = \"key\" } }",
            "poll `source` has a credential and its origin is http",
        ),
    ] {
        let error = setup().replace("portreeve.toml", from, to).try_start().await.err();
        let error = format!("{:#}", error.unwrap_or_else(|| panic!("{to} is taken")));
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}
