//! The event feed into a NATS JetStream: what lies in the stream after everything that can go wrong
//! on the way there, and to whom the host does not speak.
//!
//! Against a real server where there is one, and against one that misbehaves.

mod fake;
mod server;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::stream::StorageType;
use portreeve_model::OrderId;
use portreeve_pipeline::Clock;
use portreeve_pipeline::rederive::Rederived;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use self::fake::{Fake, Greets};
use self::server::NatsServer;
use crate::feed::{TRANSFORMER, WHOLE, shipped, with_feed};
use crate::process::{released, ten};
use crate::support::{Setup, TestHost, x12};

/// Where nobody answers a test does not wait as long as production does.
const PATIENCE_MS: u32 = 2_000;

/// An entry of the configuration, with more below `nats`.
fn entry(server: &str, more: &str) -> String {
    format!(
        "\n[[subscriber]]\nid = \"lake\"\ntransformer = \"{TRANSFORMER}\"\nexception_queue = \"integration\"\n\
         answer_timeout_ms = {PATIENCE_MS}\n[subscriber.nats]\nserver = \"{server}\"\nstream = \"ORDERS\"\n\
         subject = \"orders.{{event}}.{{order}}\"\n{more}\n"
    )
}

fn setup(server: &str, more: &str) -> Setup {
    with_feed(Setup::demo(), &[]).append("portreeve.toml", &entry(server, more))
}

async fn host_of(server: &str, more: &str) -> TestHost {
    setup(server, more).start().await
}

/// Why an order's first message is not delivered, after one attempt.
async fn problem(host: &TestHost, number: &str) -> Option<String> {
    let deliveries = host.order(number).await.deliveries;
    let delivery = deliveries.into_iter().find(|delivery| delivery.target == "lake").unwrap();
    assert_eq!(delivery.state, if delivery.problem.is_some() { "pending" } else { "delivered" });
    delivery.problem
}

/// The same of a server that greets so.
async fn met_with(greets: Greets) -> (Fake, Option<String>) {
    let fake = Fake::start(greets).await;
    let host = host_of(&fake.url(), "").await;
    released(&host, "PO-1").await;
    host.deliver_due().await;
    let problem = problem(&host, "PO-1").await;
    host.verify().await.unwrap();
    (fake, problem)
}

#[tokio::test]
async fn a_stream_gets_each_event_as_a_cloudevent_under_its_subject_and_in_its_order() {
    let fake = Fake::start(Greets::As("2.10.0", vec![])).await;
    let host = host_of(&fake.url(), "").await;
    let order = shipped(&host, "PO-1").await;
    let stored = fake.books().stored.clone();
    let subjects: Vec<String> = stored.iter().map(|stored| stored.subject.clone()).collect();
    assert_eq!(subjects, WHOLE.map(|event| format!("orders.{event}.{order}")));
    for (stored, event) in stored.iter().zip(WHOLE) {
        assert_eq!((stored.times, stored.expected_stream.as_str()), (1, "ORDERS"));
        assert_eq!(stored.content_type, "application/cloudevents+json");
        assert_eq!((&stored.body["type"], &stored.body["subject"]), (&json!(event), &json!(order)));
        assert!(stored.id.starts_with("msg_"), "{}", stored.id);
    }
    let deliveries = host.order("PO-1").await.deliveries;
    let receipts: Vec<&str> = deliveries
        .iter()
        .filter(|delivery| delivery.target == "lake")
        .map(|delivery| delivery.external_id.as_deref().unwrap())
        .collect();
    assert_eq!(receipts, ["ORDERS/1", "ORDERS/2", "ORDERS/3", "ORDERS/4"]);
    let report = host.verify().await.unwrap();
    assert_eq!(report.kinds.attempt, 5, "one of the ERP's, and each message was on record before it left");
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(_)));
    assert_eq!(fake.books().visits, 2, "one connection for all of them, and the look before it");
}

#[tokio::test]
async fn a_message_whose_acknowledgement_is_lost_comes_again_under_the_same_id() {
    let fake = Fake::start(Greets::As("2.10.0", vec![])).await;
    fake.books().lose_acks = 3;
    let host = host_of(&fake.url(), "").await;
    let order = shipped(&host, "PO-1").await;
    let stored = fake.books().stored.clone();
    assert_eq!(stored.len(), WHOLE.len(), "each is one message");
    assert_eq!(stored.iter().map(|stored| stored.times).sum::<u32>(), 7);
    let deliveries = host.order("PO-1").await.deliveries;
    let receipts: Vec<_> = deliveries.into_iter().filter_map(|delivery| delivery.external_id).collect();
    assert!(receipts.contains(&"ORDERS/1 duplicate".to_owned()), "{receipts:?}");
    assert_eq!(host.codes().await, Vec::<String>::new(), "nobody is asked to look");
    let counted = host.host.pipeline.metrics.text(&[]);
    for expected in ["result=\"connection-lost\"} 3", "result=\"duplicate\"} 1", "result=\"stored\"} 3"] {
        let expected = format!("portreeve_stream_messages_total{{subscriber=\"lake\",{expected}");
        assert!(counted.contains(&expected), "{expected}\n{counted}");
    }
    assert!(stored.iter().all(|stored| stored.body["subject"] == json!(order)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_message_that_lies_there_already_is_not_sent_again() {
    let fake = Fake::start(Greets::As("2.10.0", vec![])).await;
    (fake.books().lose_acks, fake.books().is_open) = (2, true);
    let host = host_of(&fake.url(), "").await;
    shipped(&host, "PO-1").await;
    let times: Vec<u32> = fake.books().stored.iter().map(|stored| stored.times).collect();
    assert_eq!(times, [1; 4], "however short the server's memory of ids is");
    let deliveries = host.order("PO-1").await.deliveries;
    let receipts: Vec<_> = deliveries.into_iter().filter_map(|delivery| delivery.external_id).collect();
    assert!(receipts.contains(&"ORDERS/1 duplicate".to_owned()), "{receipts:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_other_servers_a_server_names_is_never_connected_to() {
    let other = Fake::start(Greets::As("2.10.0", vec![])).await;
    let fake = Fake::start(Greets::As("2.10.0", vec![format!("127.0.0.1:{}", other.port())])).await;
    // Each of these ends its connection, and the client looks for another one.
    fake.books().lose_acks = 6;
    let host = host_of(&fake.url(), "").await;
    shipped(&host, "PO-1").await;
    assert!(fake.books().visits > 6);
    assert_eq!((fake.books().stored.len(), other.books().visits), (WHOLE.len(), 0));
}

#[tokio::test]
async fn a_name_that_leads_into_a_network_nobody_named_is_not_connected_to() {
    let fake = Fake::start(Greets::As("2.10.0", vec![])).await;
    let authority = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&authority).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    // A name is not private by itself, so it takes TLS.
    let server = format!("tls://localhost:{}", fake.port());
    let tls = format!("[subscriber.tls]\nca_file = \"{}\"", folder.path().join("ca.pem").display());
    let host = host_of(&server, &tls).await;
    released(&host, "PO-1").await;
    host.deliver_due().await;
    assert_eq!((problem(&host, "PO-1").await.as_deref(), fake.books().visits), (Some("address"), 0));
}

#[tokio::test]
async fn nothing_is_said_to_what_does_not_greet_as_a_server_that_keeps_its_word() {
    for (greets, expected) in [
        (Greets::As("2.9.21", vec![]), "old-server"),
        (Greets::With(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no-greeting"),
        (Greets::With(b""), "no-greeting"),
        (Greets::With(b"INFO {\r\n"), "no-greeting"),
        (Greets::Endlessly, "no-greeting"),
        (Greets::Never, "no-greeting"),
    ] {
        let (fake, problem) = met_with(greets.clone()).await;
        assert_eq!(problem.as_deref(), Some(expected), "{greets:?}");
        let books = fake.books();
        assert_eq!((books.visits, books.introduced.len()), (1, 0), "{greets:?}");
    }
}

#[tokio::test]
async fn whatever_a_server_says_later_the_message_waits() {
    for later in [
        &b"-ERR\r\n"[..],
        b"-ERR 'maximum connections exceeded'\r\n",
        b"\xff\xfe\r\n",
        b"MSG a 0 99999999999999999999\r\n",
        b"",
    ] {
        let (_fake, problem) = met_with(Greets::WellAndThen(later)).await;
        assert_eq!(problem.as_deref(), Some("no-connection"), "{}", later.escape_ascii());
    }
}

#[tokio::test]
async fn what_is_no_acknowledgement_is_none() {
    for (answer, state, expected) in [
        (json!("thanks"), "pending", "unreadable-answer"),
        (
            json!({"error": {"code": 503, "err_code": 10077, "description": "maximum messages exceeded"}}),
            "pending",
            "not-stored",
        ),
        (json!({"error": {"code": 400, "err_code": 10054, "description": "too large"}}), "dead", "rejected"),
        (json!({"stream": "OTHER", "seq": 1}), "dead", "other-stream"),
    ] {
        let fake = Fake::start(Greets::As("2.10.0", vec![])).await;
        fake.books().answer = Some(answer.clone());
        let host = host_of(&fake.url(), "").await;
        released(&host, "PO-1").await;
        host.deliver_due().await;
        let deliveries = host.order("PO-1").await.deliveries;
        let lake = deliveries.iter().find(|delivery| delivery.target == "lake").unwrap();
        assert_eq!((lake.state.as_str(), lake.problem.as_deref()), (state, Some(expected)), "{answer}");
        assert_eq!(host.codes().await.len(), usize::from(state == "dead"), "{answer}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_down_keeps_nobody_else_waiting_and_gets_everything_when_it_is_back() {
    let fake = Fake::start(Greets::As("2.10.0", vec![])).await;
    let setup = setup("nats://127.0.0.1:9", "");
    let host = setup.start().await;
    let order = taken(&host, "PO-1").await;
    assert_eq!(host.erp.sales_orders().len(), 1);
    assert_eq!(problem(&host, "PO-1").await.as_deref(), Some("no-connection"));
    // The same subscriber, elsewhere.
    let host = host.restart_as(self::setup(&fake.url(), "")).await;
    host.come_to_rest().await;
    let subjects: Vec<String> = fake.books().stored.iter().map(|stored| stored.subject.clone()).collect();
    assert_eq!(subjects, ["order.created", "order.accepted"].map(|event| format!("orders.{event}.{order}")));
    host.verify().await.unwrap();
}

/// An order that the ERP takes, in a few rounds.
async fn taken(host: &TestHost, number: &str) -> OrderId {
    let order = released(host, number).await;
    for _ in 0..3 {
        host.deliver_due().await;
        host.decide_all().await;
    }
    order
}

#[tokio::test]
async fn a_stream_that_cannot_be_kept_is_refused_with_all_that_is_wrong() {
    let wrong = entry("nats://nats.example", "").replace("\"ORDERS\"", "\"OR DERS\"").replace("{event}", "*");
    let both = entry("tls://nats.example", "")
        .replace("\"lake\"", "\"both\"")
        .replace("answer_timeout_ms = 2000", "answer_timeout_ms = 60000")
        .replace("[subscriber.nats]", "url = \"https://a.example/b\"\n[subscriber.nats]");
    let neither =
        "\n[[subscriber]]\nid = \"none\"\ntransformer = \"cloudevents-documents\"\nexception_queue = \"integration\"\n";
    let setup = with_feed(Setup::demo(), &[]);
    let setup =
        setup.append("portreeve.toml", &wrong).append("portreeve.toml", &both).append("portreeve.toml", neither);
    let Err(refused) = setup.try_start().await else { panic!("it starts") };
    let refused = format!("{refused:#}");
    for expected in [
        "[[subscriber]] `lake`: `nats`: `server` is `nats://…`, where everybody on the way can read it",
        "[[subscriber]] `lake`: `nats`: `stream` is no name",
        "[[subscriber]] `lake`: `nats`: `subject` is no subject",
        "[[subscriber]] `both`: `url` has no effect beside `nats`",
        "[[subscriber]] `both`: `answer_timeout_ms` is 60000; expected 1 to 15000 beside `nats`",
        "[[subscriber]] `none`: `url` is missing; add it, or say `nats` in its place",
        "[[subscriber]] `none`: `secret` is missing",
        "[[subscriber]] `none`: `connector` is missing",
    ] {
        assert!(refused.contains(expected), "{expected}\n{refused}");
    }
    assert!(refused.contains("has 8 problem(s)"), "{refused}");

    // A secret that is not there does not become active.
    let missing = "credential = { kind = \"token\", secret = { file = \"no-such-file\" } }";
    let Err(refused) = self::setup("nats://127.0.0.1:9", missing).try_start().await else { panic!("it starts") };
    assert!(format!("{refused:#}").contains("no-such-file"), "{refused:#}");
}

#[tokio::test]
async fn a_real_server_that_is_killed_again_and_again_has_everything_once() {
    let Some(mut server) = NatsServer::start_or_skip("") else { return };
    // By then it has forgotten every id: the host has to look.
    server.with_stream(|config| config.duplicate_window = Duration::from_millis(100)).await;
    let host = host_of(&server.url(), "").await;
    for round in 0..4 {
        for number in 1..=24 {
            let control = round * 24 + number;
            host.send_edi(&x12(control, &ten(&format!("PO-{control}")))).await.unwrap();
        }
        host.decide_all().await;
        let operator = server.operator().await;
        let mut stream = operator.get_stream("ORDERS").await.unwrap();
        let before = stream.info().await.unwrap().state.last_sequence;
        let is_over = AtomicBool::new(false);
        let delivering = async {
            host.deliver_due().await;
            is_over.store(true, Ordering::SeqCst);
        };
        tokio::join!(delivering, async {
            // In the middle: some are stored, and others are on their way.
            while !is_over.load(Ordering::SeqCst)
                && stream.info().await.unwrap().state.last_sequence <= before + u64::from(round)
            {
                tokio::task::yield_now().await;
            }
            server.kill();
        });
        server.start_again();
        // Whoever tries first finds it there again.
        host.clock.advance_to(host.clock.now().plus_ms(60_000));
        host.deliver_due().await;
    }
    let counted = host.host.pipeline.metrics.text(&[]);
    assert!(counted.contains("result=\"connection-lost\""), "no attempt was cut off, so nothing was tried: {counted}");
    // The host ends in between as well.
    let host = host.restart().await;
    host.come_to_rest().await;

    let mut orders: Vec<OrderId> = host.orders().await.into_iter().map(|order| order.id).collect();
    orders.sort();
    assert_eq!(orders.len(), 4 * 24);
    let ledger = server.ledger().await;
    let mut ids = BTreeMap::<&str, u32>::new();
    let mut heard = BTreeMap::<OrderId, Vec<&str>>::new();
    for lies in &ledger {
        assert_eq!(lies.content_type, "application/cloudevents+json");
        *ids.entry(&lies.id).or_default() += 1;
        let order = OrderId::parse(lies.event["subject"].as_str().unwrap()).unwrap();
        let event = lies.event["type"].as_str().unwrap();
        assert_eq!(lies.subject, format!("orders.{event}.{order}"));
        heard.entry(order).or_default().push(event);
    }
    assert!(ids.values().all(|times| *times == 1), "doubled: {ids:?}");
    assert_eq!(heard.keys().copied().collect::<Vec<_>>(), orders, "lost");
    assert!(heard.values().all(|events| *events == ["order.created", "order.accepted"]), "{heard:?}");
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_real_server_is_spoken_to_over_tls_as_whom_it_has_to_prove_to_be_and_lets_the_host_in_by_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let ca = file("ca.pem", &authority.pem());
    for (name, token, expected) in [
        ("localhost", "s3cret", None),
        // Right for the address, and not for the name.
        ("127.0.0.1", "s3cret", Some("no-connection")),
        ("localhost", "another", Some("credential")),
    ] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let (certificate, key) = (file("server.pem", &certificate.pem()), file("server.key", &key.serialize_pem()));
        let more = format!(
            "tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}\nauthorization {{ token: \"s3cret\" }}"
        );
        let Some(server) = NatsServer::start_or_skip(&more) else { return };
        let operator = async_nats::ConnectOptions::with_token("s3cret".to_owned());
        let operator = operator.add_root_certificates(folder.path().join("ca.pem")).require_tls(true);
        // One that trusts by address or by name, whichever the certificate is for.
        let operator = operator.connect(format!("tls://{name}:{}", server.port)).await.unwrap();
        let config = async_nats::jetstream::stream::Config {
            name: "ORDERS".to_owned(),
            subjects: vec!["orders.>".to_owned()],
            ..Default::default()
        };
        async_nats::jetstream::new(operator).create_stream(config).await.unwrap();

        let secret = file("token", token);
        let more = format!(
            "addresses = [\"127.0.0.0/8\", \"::1/128\"]\ncredential = {{ kind = \"token\", secret = {{ file = \"{secret}\" }} }}\n\
             [subscriber.tls]\nca_file = \"{ca}\""
        );
        let host = host_of(&format!("tls://localhost:{}", server.port), &more).await;
        released(&host, "PO-1").await;
        host.deliver_due().await;
        assert_eq!(problem(&host, "PO-1").await.as_deref(), expected, "{name} {token}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_real_stream_that_is_not_there_is_in_memory_or_is_full_is_waited_for() {
    let Some(server) = NatsServer::start_or_skip("") else { return };
    let host = host_of(&server.url(), "").await;
    released(&host, "PO-1").await;
    host.deliver_due().await;
    assert_eq!(problem(&host, "PO-1").await.as_deref(), Some("no-stream"));

    let operator = server.operator().await;
    server.with_stream(|config| config.storage = StorageType::Memory).await;
    let again = async || {
        host.clock.advance_to(host.store.next_due().await.unwrap().unwrap());
        host.deliver_due().await;
        problem(&host, "PO-1").await
    };
    assert_eq!(again().await.as_deref(), Some("unfit-stream"));
    operator.delete_stream("ORDERS").await.unwrap();

    server.with_stream(|config| config.subjects = vec!["other.>".to_owned()]).await;
    assert_eq!(again().await.as_deref(), Some("other-subjects"));
    operator.delete_stream("ORDERS").await.unwrap();

    server
        .with_stream(|config| {
            config.max_messages = 1;
            config.discard = async_nats::jetstream::stream::DiscardPolicy::New;
        })
        .await;
    operator.publish("orders.other", "{}".into()).await.unwrap().await.unwrap();
    assert_eq!(again().await.as_deref(), Some("not-stored"));
    operator.get_stream("ORDERS").await.unwrap().purge().await.unwrap();
    assert_eq!(again().await, None);
    assert_eq!(server.ledger().await.len(), 1);
    host.verify().await.unwrap();
}
