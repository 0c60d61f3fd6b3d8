//! The command line: what each command prints as JSON, and the sentence in which
//! it says what is wrong.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use hyper::StatusCode;
use portreeve::command::{self, CommandLine};
use portreeve::config::Proposed;
use portreeve::host::{self, Locations};
use portreeve::output::{self, Output};
use portreeve::standins::{Erp, Mischief};
use portreeve_api::exception::are_queues;
use portreeve_api::outcome::Outcome;
use portreeve_authority::Known;
use portreeve_authority::people::People;
use portreeve_model::strict::SourceFile;
use portreeve_model::{Digest, ExceptionKind};
use portreeve_pipeline::Clock;
use portreeve_store::Store;
use serde_json::Value;

use super::door::{ask, bearer, problem};
use crate::support::{MORNING, OPERATOR_TOKEN, PurchaseOrder, Setup, TestHost, tree, x12, x12_of};

/// What a command writes, for a test to read.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// Where it is written to.
    pub(crate) fn output(&self) -> Output {
        Output::to(Box::new(self.clone()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a command: its lines, or its sentence.
pub(crate) async fn run(arguments: &[&str]) -> Result<String, String> {
    let line = CommandLine::try_parse_from(["portreeve"].iter().chain(arguments)).map_err(|error| error.to_string())?;
    let written = Written::default();
    let result = command::dispatch(line, &mut written.output()).await;
    let text = written.text();
    result.map(|()| text.clone()).map_err(|error| format!("{text}{}", output::sentence(&error)))
}

pub(crate) async fn json(arguments: &[&str]) -> Vec<Value> {
    let text = run(&[arguments, &["--json"]].concat()).await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The sentence of a command that fails has all of this.
pub(crate) async fn refused(arguments: &[&str], expected: &[&str]) {
    let sentence = run(arguments).await.unwrap_err();
    for part in expected {
        assert!(sentence.contains(part), "{arguments:?}: expected `{part}` in: {sentence}");
    }
}

/// Commands go by the machine's clock: this order is wanted at a date that is far
/// off, and no scorer asks whether that is too late.
fn order(control: u32, number: &str) -> Vec<u8> {
    let order = String::from_utf8(x12(control, &PurchaseOrder::clean(number))).unwrap();
    order.replace("DTM*002*20260330", "DTM*002*20991231").into_bytes()
}

fn in_any_year() -> Setup {
    Setup::demo().scorers(&["margin"])
}

/// A folder with an active configuration that nobody works on.
pub(super) async fn stopped(setup: &Setup, erp: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = setup.configuration_with(folder.path(), erp);
    let locations = Locations::below(folder.path(), &tree().target().join("portreeve"));
    let store: Arc<dyn Store> = locations.store().unwrap();
    host::activate(&store, &locations, &Proposed::read(&config).unwrap(), MORNING).await.unwrap();
    folder
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_brought_in_by_hand_with_one_line_for_each() {
    let erp = Erp::start(Mischief::default()).await.unwrap();
    let folder = stopped(&in_any_year(), &erp.origin()).await;
    let data = text(folder.path());
    let file = |name: &str, body: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, body).unwrap();
        text(&path).to_owned()
    };
    let good = file("good.edi", &order(1, "PO-1"));
    let garbage = file("garbage.edi", b"no interchange");
    let lines = json(&["ingest", "--channel", "edi", "--data-dir", data, "--drain", &good, &garbage, &good]).await;
    let dispositions: Vec<&str> = lines.iter().map(|line| line["disposition"].as_str().unwrap()).collect();
    assert_eq!(dispositions, ["accepted", "rejected", "duplicate"]);
    let event = &lines[0]["events"][0];
    assert_eq!((&event["specversion"], &event["type"]), (&"1.0".into(), &"order.created".into()));
    assert_eq!((&event["source"], &event["data"]["number"]), (&"/v1/channels/edi".into(), &"PO-1".into()));
    assert!(lines[0]["acknowledgement"].as_str().unwrap().starts_with("ISA"));
    assert_eq!(lines[0]["file"], good.as_str());
    let problem = &lines[1]["problems"][0];
    assert_eq!((&problem["code"], &problem["where"]), (&"data-outside-interchange".into(), &"byte 0".into()));
    assert!(problem["detail"].is_string() && lines[1]["acknowledgement"].is_null(), "{}", lines[1]);
    assert_eq!(lines[2]["acknowledgement"], lines[0]["acknowledgement"]);

    let all = run(&["order", "list", "--data-dir", data]).await.unwrap();
    assert_eq!(erp.sales_orders().len(), 1, "--drain delivers: {all}");
    let orders = json(&["order", "list", "--data-dir", data, "--state", "released"]).await;
    assert_eq!((orders.len(), &orders[0]["number"]), (1, &"PO-1".into()));
    assert_eq!(json(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);

    refused(&["ingest", "--channel", "edi", "--data-dir", data, "nowhere.edi"], &["cannot be read", "1 of 1 files"])
        .await;
    refused(&["ingest", "--channel", "fax", "--data-dir", data, &good], &["channel `fax` has no sender"]).await;
    refused(
        &["ingest", "--channel", "edi", "--server", "https://x", "--token-file", "t", &good],
        &["expected `http://ADDRESS:PORT`"],
    )
    .await;
    refused(
        &["ingest", "--channel", "edi", "--data-dir", "/nowhere/at-all", &good],
        &["holds no Portreeve data", "init"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_cannot_commit_says_so_instead_of_trying_for_ever() {
    let erp = Erp::start(Mischief::default()).await.unwrap();
    let folder = stopped(&in_any_year(), &erp.origin()).await;
    let data = text(folder.path());
    let store = rusqlite::Connection::open(folder.path().join("data/store/portreeve.db")).unwrap();
    let trigger = "CREATE TRIGGER no_orders BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'no room'); END";
    store.execute_batch(trigger).unwrap();
    let file = folder.path().join("po.edi");
    std::fs::write(&file, order(1, "PO-1")).unwrap();
    let drain = ["ingest", "--channel", "edi", "--data-dir", data, "--drain", text(&file)];
    let expected = ["accepted, 1 event(s)", "is kept, but its decision could not be committed", "no room"];
    let told = tokio::time::timeout(Duration::from_secs(60), refused(&drain, &expected));
    told.await.expect("it tries for ever");
    store.execute_batch("DROP TRIGGER no_orders").unwrap();
    assert_eq!(json(&drain).await[0]["disposition"], "duplicate");
    assert_eq!(json(&["order", "list", "--data-dir", data]).await.len(), 1, "what was kept is decided later");
    assert_eq!(json(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
}

/// What files become: their dispositions and the types of their events.
async fn brought(data: &str, files: &[&Path]) -> Vec<(String, Vec<String>)> {
    let mut arguments = vec!["ingest", "--channel", "edi", "--data-dir", data];
    arguments.extend(files.iter().map(|file| text(file)));
    let words = |value: &Value| value.as_str().unwrap().to_owned();
    let said = |line: &Value| line["events"].as_array().unwrap().iter().map(|event| words(&event["type"])).collect();
    json(&arguments).await.iter().map(|line| (words(&line["disposition"]), said(line))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_came_before_under_another_envelope_is_no_event() {
    let folder = stopped(&in_any_year(), "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let other = PurchaseOrder::clean("PO-2").with_lines(&[("FST-1007", 7, "BX", "18.40")]);
    let [first, again, mixed, twice] = [
        x12(1, &PurchaseOrder::clean("PO-1")),
        x12(2, &PurchaseOrder::clean("PO-1")),
        x12_of(3, &[PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2"), other]),
        x12_of(4, &[PurchaseOrder::clean("PO-3"), PurchaseOrder::clean("PO-3")]),
    ]
    .map(|body| {
        let path = folder.path().join(format!("{}.edi", Digest::of(&body).short()));
        std::fs::write(&path, body).unwrap();
        path
    });
    let found = brought(data, &[&first, &again, &mixed, &twice]).await;
    let one = |disposition: &str, types: &[&str]| {
        (disposition.to_owned(), types.iter().map(|&kind| kind.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        found,
        [
            one("accepted", &["order.created"]),
            one("duplicate", &[]),
            one("accepted", &["order.created", "order.changed"]),
            one("accepted", &["order.created"]),
        ]
    );
}

#[tokio::test]
async fn an_outcome_has_every_document_or_says_that_there_are_more() {
    let host = TestHost::demo().await;
    let orders: Vec<PurchaseOrder> = (1..=1_001)
        .map(|number| PurchaseOrder::clean(&format!("PO-{number}")).with_lines(&[("FST-1007", 1, "BX", "18.40")]))
        .collect();
    let pipeline = &host.host.pipeline;
    let accepted = host.send_edi(&x12_of(1, &orders)).await.unwrap();
    let outcome = Outcome::of(pipeline, accepted).await.unwrap();
    assert_eq!((outcome.disposition.as_str(), outcome.events.len()), ("accepted", 1_001), "{:?}", outcome.problems);
    let one = outcome.events[0].get().len();

    let few: Vec<PurchaseOrder> = (1..=9).map(|number| PurchaseOrder::clean(&format!("PO-X{number}"))).collect();
    let accepted = host.send_edi(&x12_of(2, &few)).await.unwrap();
    let outcome = Outcome::at_most(one * 2, pipeline, accepted).await.unwrap();
    assert!((1..9).contains(&outcome.events.len()), "{}", outcome.events.len());
    let problem = outcome.problems.first().unwrap();
    let next = format!("document {}", outcome.events.len() + 1);
    assert_eq!((problem.code.as_str(), problem.r#where.as_str()), ("more-documents", next.as_str()), "{problem:?}");
    assert_eq!(outcome.disposition, "accepted-with-exception");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_has_a_place_and_an_unread_file_a_reason() {
    let setup = in_any_year()
        .grant("x12", "{ numbers = [\"x12-interchange\", \"x12-group\"], limits = { output_bytes = 4000 } }");
    let folder = stopped(&setup, "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let file = |name: &str, body: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, body).unwrap();
        text(&path).to_owned()
    };
    let long = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 1, "BX", "18.40"); 200]);
    let unread = file("long.edi", &x12(1, &long));
    let no_order = file("no-order.json", b"{\"hello\": 1}");
    let [first, other] = [("a.edi", "PO-2"), ("b.edi", "PO-3")].map(|(name, number)| file(name, &order(7, number)));
    let lines = [
        json(&["ingest", "--channel", "edi", "--data-dir", data, &unread]).await.remove(0),
        json(&["ingest", "--channel", "shop", "--data-dir", data, &no_order]).await.remove(0),
        {
            json(&["ingest", "--channel", "edi", "--data-dir", data, &first]).await;
            let again = run(&["ingest", "--channel", "edi", "--data-dir", data, "--json", &other]).await.unwrap_err();
            serde_json::from_str(again.lines().next().unwrap()).unwrap()
        },
    ];
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let problem = &line["problems"][0];
            assert!(problem["detail"].as_str().unwrap().len() > 20, "{line}");
            [&line["disposition"], &problem["code"], &problem["where"]].map(|word| word.as_str().unwrap_or("none"))
        })
        .collect();
    let [
        ["unparsed", "too-large", "whole input"],
        ["rejected", "order-missing", "whole input"],
        ["rejected", "conflict", envelope],
    ] = told[..]
    else {
        panic!("{told:?}")
    };
    assert!(envelope.starts_with("envelope ") && envelope.contains("000000007"), "{envelope}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sent_to_a_running_host_with_the_same_lines() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let file = host.folder().join("order.edi");
    std::fs::write(&file, x12(1, &PurchaseOrder::clean("PO-1"))).unwrap();
    let token = host.folder().join("token");
    std::fs::write(&token, format!("{}\n", crate::support::EDI_TOKEN)).unwrap();
    let server = format!("http://{}", door.address());
    let send = ["ingest", "--channel", "edi", "--server", &server, "--token-file", text(&token), text(&file)];
    let lines = json(&send).await;
    assert_eq!(
        (&lines[0]["disposition"], &lines[0]["events"][0]["data"]["number"]),
        (&"accepted".into(), &"PO-1".into())
    );
    assert_eq!(json(&send).await[0]["disposition"], "duplicate");
    std::fs::write(&token, "another").unwrap();
    refused(&send, &["the server answered 401"]).await;
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_the_type_that_its_channel_takes() {
    let typed = "id = \"edi\"\ncontent_types = [\"application/edi-x12\", \"text/plain\"]\n";
    let host = Setup::demo().replace("portreeve.toml", "id = \"edi\"\n", typed).start().await;
    let door = host.front_door().await;
    let (file, token) = (host.folder().join("order.edi"), host.folder().join("token"));
    std::fs::write(&file, x12(1, &PurchaseOrder::clean("PO-1"))).unwrap();
    std::fs::write(&token, crate::support::EDI_TOKEN).unwrap();
    let server = format!("http://{}", door.address());
    let send = ["ingest", "--channel", "edi", text(&file), "--server", &server, "--token-file", text(&token)];
    let help = ["this channel takes application/edi-x12, text/plain", "`--content-type`"];
    refused(&send, &help).await;
    let named = json(&[&send[..], &["--content-type", "Text/Plain; charset=utf-8"]].concat()).await;
    assert_eq!(named[0]["disposition"], "accepted");
    door.close().await;

    let data = text(host.folder()).to_owned();
    let stopped = host.stop().await;
    let bring = ["ingest", "--channel", "edi", text(&file), "--data-dir", &data];
    assert_eq!(json(&bring).await[0]["disposition"], "duplicate", "its type is the channel's first");
    refused(&[&bring[..], &["--content-type", "application/json"]].concat(), &help).await;
    drop(stopped);
}

/// A host that is busy for so many requests, and then has the file on record.
async fn busy_for(requests: u32) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let left = Arc::new(AtomicU32::new(requests));
    let routes = axum::Router::new().fallback(async move || {
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            let problem = r#"{"type":"urn:portreeve:problem:busy","detail":"full"}"#;
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], problem);
        }
        let outcome = r#"{"disposition":"accepted","events":[],"acknowledgement":null,"problems":[]}"#;
        (StatusCode::OK, [("x-portreeve-duplicate", "false")], outcome)
    });
    (origin, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_host_is_asked_again_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "any").unwrap();
    let token = text(&token);
    let (passing, serving) = busy_for(3).await;
    let send = ["ingest", "--channel", "edi", token, "--token-file", token, "--server"];
    assert_eq!(json(&[&send[..], &[&passing]].concat()).await[0]["disposition"], "accepted");
    serving.abort();
    let (lasting, serving) = busy_for(u32::MAX).await;
    refused(&[&send[..], &[&lasting]].concat(), &["busy at whole input: the server answered 429: full"]).await;
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_a_refused_interchange_show_what_they_are_wherever_they_are_brought() {
    let host = TestHost::demo().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let door = host.front_door().await;
    let other = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 7, "BX", "18.40")]);
    let (changed, reused) = (host.folder().join("changed.edi"), host.folder().join("reused.edi"));
    std::fs::write(&changed, x12(2, &other)).unwrap();
    std::fs::write(&reused, x12(1, &other)).unwrap();
    let token = host.folder().join("token");
    std::fs::write(&token, crate::support::EDI_TOKEN).unwrap();
    let server = format!("http://{}", door.address());
    let from = ["ingest", "--channel", "edi", "--json", "--server", &server, "--token-file", text(&token)];
    let show =
        |lines: &str| -> Vec<Value> { lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };

    let lines = show(&run(&[&from[..], &[text(&changed)]].concat()).await.unwrap());
    let event = &lines[0]["events"][0];
    assert_eq!((&lines[0]["disposition"], &event["type"]), (&"accepted".into(), &"order.changed".into()));
    assert_eq!(event["data"]["order"]["number"], "PO-1");
    let is_refused = |lines: String| {
        let line = &show(&lines)[0];
        assert_eq!((&line["disposition"], &line["problems"][0]["code"]), (&"rejected".into(), &"conflict".into()));
        let acknowledgement = line["acknowledgement"].as_str().unwrap();
        assert!(acknowledgement.contains("TA1*000000001*260302*0800*R*025~"), "{acknowledgement}");
    };
    is_refused(run(&[&from[..], &[text(&reused)]].concat()).await.unwrap_err());

    host.decide_all().await;
    let data = text(host.folder()).to_owned();
    let shown = &json(&["order", "show", "PO-1", "--data-dir", &data]).await[0];
    assert_eq!((&shown["state"], &shown["events"][0]["type"]), (&"released".into(), &"order.changed".into()));
    assert_eq!(shown["events"][0]["data"]["order"]["lines"][0]["quantity"]["value"], "7");
    let lines = run(&["order", "show", "PO-1", "--data-dir", &data]).await.unwrap();
    assert!(lines.contains("order.changed of 2026-03-02T08:00:00"), "{lines}");
    door.close().await;
    let stopped = host.stop().await;
    is_refused(run(&["ingest", "--channel", "edi", "--json", "--data-dir", &data, text(&reused)]).await.unwrap_err());
    drop(stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_work_beside_a_running_host_and_writers_are_told_to_stop_it() {
    let host = TestHost::demo().await;
    let number = "PO-1";
    host.decide_orders(&[PurchaseOrder::clean(number)]).await;
    host.verify().await.unwrap();
    let data = text(host.folder());
    assert_eq!(json(&["order", "list", "--data-dir", data]).await.len(), 1);
    assert_eq!(json(&["order", "show", number, "--data-dir", data]).await.len(), 1);
    assert_eq!(json(&["exception", "list", "--data-dir", data]).await.len(), 0);
    assert_eq!(json(&["dead-letter", "list", "--data-dir", data]).await.len(), 0);
    assert_eq!(json(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
    let checkpoint = json(&["audit", "checkpoint", "--data-dir", data]).await.remove(0);
    let note = checkpoint["checkpoint"].as_str().unwrap();
    assert!(note.starts_with("portreeve.example/demo\n"), "{note}");
    assert_eq!(run(&["audit", "checkpoint", "--data-dir", data]).await.unwrap().trim_end(), note.trim_end());
    let entry = host.store.sequenced(0, 1).await.unwrap().remove(0).1.to_string();
    let proof = json(&["audit", "prove", &entry, "--data-dir", data]).await.remove(0);
    assert_eq!(proof["entry"], entry.as_str());
    let told = run(&["audit", "prove", &entry, "--data-dir", data]).await.unwrap();
    assert_eq!(proof["proof"].as_str().unwrap().trim_end(), told.trim_end());
    let plugins = json(&["plugin", "list", "--data-dir", data]).await;
    assert!(plugins.iter().any(|plugin| plugin["plugin"] == "fraud" && plugin["kind"] == "scorer"), "{plugins:?}");
    // What the host writes next, the next reader sees.
    host.send_edi(&x12(7, &PurchaseOrder::clean("PO-7"))).await.unwrap();
    host.decide_all().await;
    assert_eq!(json(&["order", "list", "--data-dir", data]).await.len(), 2);

    let file = host.folder().join("config/reference/stock.csv");
    let in_use = ["is in use by another process", "stop it"];
    let ask_it = [&in_use[..], &["`--server URL --token-file FILE`"]].concat();
    refused(&["reference", "load", text(&file), "--data-dir", data], &ask_it).await;
    refused(&["ingest", "--channel", "edi", "--data-dir", data, text(&file)], &ask_it).await;
    refused(&["exception", "claim", "1", "--as", "ops", "--key-file", "none", "--data-dir", data], &ask_it).await;
    refused(&["plugin", "disable", "fraud", "--data-dir", data], &ask_it).await;
    refused(&["retention", "run", "--data-dir", data], &in_use).await;
    refused(&["order", "show", "PO-none", "--data-dir", data], &["there is no order `PO-none`"]).await;
    refused(
        &["order", "list", "--state", "lost", "--data-dir", data],
        &["invalid value 'lost'", "released, held, routed"],
    )
    .await;
    refused(&["dead-letter", "show", "9", "--data-dir", data], &["there is no dead letter 9"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_table_is_loaded_whole_and_on_record() {
    let folder = stopped(&Setup::demo(), "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let file = folder.path().join("stock.csv");
    std::fs::write(&file, "key,node:text\nA-1,DC\n").unwrap();
    let load = ["reference", "load", text(&file), "--data-dir", data];
    let loaded = json(&load).await;
    assert_eq!(
        (&loaded[0]["table"], &loaded[0]["version"], &loaded[0]["rows"]),
        (&"stock".into(), &2.into(), &1.into())
    );
    assert_eq!(json(&load).await[0]["changed"], false);
    let other = json(&[&load[..], &["--table", "spare"]].concat()).await;
    assert_eq!((&other[0]["table"], &other[0]["version"]), (&"spare".into(), &1.into()));
    let entries = run(&["audit", "show", "--json", "--data-dir", data]).await.unwrap();
    assert_eq!(entries.matches(r#""kind":"reference""#).count(), 8, "six by init, two by hand: {entries}");
    std::fs::write(&file, "key,node:text\nA-1,DC\nA-1,DC\n").unwrap();
    refused(&load, &["was not loaded", "repeats the key `A-1`"]).await;
    assert_eq!(json(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_seen_tried_again_or_ended() {
    // Nobody listens where the orders go.
    let setup = in_any_year().replace("portreeve.toml", "attempts_max = 6", "deadline_minutes = 0");
    let folder = stopped(&setup, "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let files: Vec<String> = (1..=2_u32)
        .map(|number| {
            let path = folder.path().join(format!("{number}.edi"));
            std::fs::write(&path, order(number, &format!("PO-{number}"))).unwrap();
            text(&path).to_owned()
        })
        .collect();
    run(&["ingest", "--channel", "edi", "--data-dir", data, "--drain", &files[0], &files[1]]).await.unwrap();
    let letters = json(&["dead-letter", "list", "--data-dir", data]).await;
    let all = run(&["order", "list", "--data-dir", data]).await.unwrap();
    assert_eq!(letters.len(), 2, "{letters:?} of {all}");
    let number = |letter: &Value| letter["number"].to_string();
    let shown = json(&["dead-letter", "show", &number(&letters[0]), "--data-dir", data]).await;
    assert_eq!(shown[0], letters[0]);
    let password = folder.path().join("password");
    std::fs::write(&password, "three words and more\n").unwrap();
    let add = ["person", "add", "olga", "--role", "integration", "--role", "administrator", "--data-dir", data];
    run(&[&add[..], &["--password-file", text(&password)]].concat()).await.unwrap();
    let by = ["--data-dir", data, "--as", "olga", "--as-password-file", text(&password)];
    let (first, second) = (number(&letters[0]), number(&letters[1]));
    let claim = ["exception", "claim", &first, "--data-dir", data];
    refused(&claim, &["nobody is named", "--as"]).await;
    let decide = async |exception: &str, action: &str, at: &[&str]| {
        let shown = json(&["exception", "show", exception, "--data-dir", data]).await.remove(0);
        let shown = shown["shown"].as_str().unwrap().to_owned();
        let what = ["exception", "decide", exception, action, "--shown", &shown, "--reason", "the ERP is back"];
        json(&[&what[..], at].concat()).await.remove(0)
    };
    let of_erp = ["--target", "erp", "--most", "1"];
    let together = json(&[&["dead-letter", "together", "--data-dir", data], &of_erp[..]].concat()).await.remove(0);
    assert_eq!((&together["deadLetters"][0], &together["more"]), (&letters[0], &true.into()));
    let retry = ["dead-letter", "retry", "--reason", "the ERP is back", "--shown"];
    let others = [&retry[..], &["0123456789ab"], &of_erp, &by].concat();
    refused(&others, &["is not what `0123456789ab` was shown of", "dead-letter together"]).await;
    let shown = together["shown"].as_str().unwrap();
    let retried = json(&[&retry[..], &[shown], &of_erp, &by].concat()).await;
    assert_eq!(
        (retried.len(), &retried[0]["number"], &retried[0]["retried"]),
        (1, &letters[0]["number"], &true.into())
    );
    assert_eq!(decide(&second, "abandon", &by).await["done"], true);
    assert!(json(&["dead-letter", "list", "--data-dir", data]).await.is_empty());
    let gone = ["exception", "claim", &second];
    refused(&[&gone[..], &by].concat(), &["is closed already: abandon by `olga`"]).await;
    assert_eq!(json(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
}

#[tokio::test]
async fn what_waits_for_another_attempt_tells_what_went_wrong_and_when_it_goes_on() {
    // Nobody listens there.
    let host = Setup::demo().erp_origin("http://127.0.0.1:9").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_due().await;
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("pending", 1));
    let (problem, next) = (delivery.problem.unwrap(), delivery.next_at.unwrap());
    assert!(next > host.clock.now(), "{problem} {next}");

    let show = ["order", "show", "PO-1", "--data-dir", text(host.folder())];
    let line = format!(
        "delivery of business-central/sales-order to erp: pending after 1 attempt(s), last problem `{problem}`, next attempt {next}, -"
    );
    let shown = run(&show).await.unwrap();
    assert!(shown.lines().any(|shown| shown == line), "`{line}` in {shown}");
    let delivery = &json(&show).await[0]["deliveries"][0];
    assert_eq!((&delivery["problem"], &delivery["nextAt"]), (&problem.into(), &next.to_string().into()));
    let door = host.front_door().await;
    assert_eq!(&ask(&door, "/v1/orders/PO-1").await["deliveries"][0], delivery);
    door.close().await;

    host.deliver_all().await;
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((delivery.state.as_str(), delivery.next_at), ("dead", None), "nobody tries it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_a_running_host_are_resolved_with_the_same_lines() {
    let setup = Setup::demo().erp_origin("http://127.0.0.1:9");
    let host = setup.replace("portreeve.toml", "attempts_max = 6", "deadline_minutes = 1").start().await;
    // One after the other: numbers are in the order in which deliveries are given up.
    for (control, number) in [(1, "PO-1"), (2, "PO-2")] {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
        host.decide_all().await;
        host.deliver_all().await;
    }
    let door = host.front_door().await;
    let token = host.ops_key_file().await;
    let server = format!("http://{}", door.address());
    let (server, data) = (["--server", &server, "--token-file", text(&token)], text(host.folder()));
    let list = ["dead-letter", "list"];
    let letters = json(&[&list[..], &server].concat()).await;
    assert_eq!(letters, json(&[&list[..], &["--data-dir", data]].concat()).await);
    assert_eq!(letters.len(), 2);

    let (first, second) = (letters[0]["number"].to_string(), letters[1]["number"].to_string());
    let shown = json(&[&["dead-letter", "show", &first][..], &server].concat()).await;
    assert_eq!(shown[0], letters[0]);
    let decide = async |exception: &str, action: &str| {
        let show = ["exception", "show", exception];
        let shown = json(&[&show[..], &server].concat()).await.remove(0)["shown"].as_str().unwrap().to_owned();
        // What a person types: the digits that `show` prints.
        let digits: String = shown.strip_prefix("sha256:").unwrap().chars().take(12).collect();
        let what = ["exception", "decide", exception, action, "--shown", &digits, "--reason", "the ERP is back"];
        run(&[&what[..], &server].concat()).await.unwrap()
    };
    let retried = decide(&first, "retry").await;
    let follows = "the delivery is tried again by the running host, and a new exception is opened where that fails\n";
    assert_eq!(retried, format!("exception {first} is decided\n{follows}"));
    assert_eq!(decide(&second, "abandon").await, format!("exception {second} is decided\n"));
    let states: Vec<String> =
        [host.order("PO-1").await, host.order("PO-2").await].map(|order| order.deliveries[0].state.clone()).into();
    assert_eq!(states, ["pending", "abandoned"]);
    let again = ["exception", "claim", &second];
    refused(&[&again[..], &server].concat(), &["the server answered 409", "closed already: abandon by `ops`"]).await;
    refused(&["exception", "claim", &first, "--server", "http://127.0.0.1:1"], &["--token-file"]).await;
    std::fs::write(&token, "another").unwrap();
    refused(&[&list[..], &server].concat(), &["the server answered 401", "no session and no key"]).await;
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_document_tried_again_hears_by_whom_and_that_a_new_exception_says_where_it_failed() {
    let (reads, other) = ("\"x12/850\" = \"x12-orders\"", "\"x12/860\" = \"x12-orders\"");
    let host = Setup::demo().replace("portreeve.toml", reads, other).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let (door, token) = (host.front_door().await, host.ops_key_file().await);
    let server = format!("http://{}", door.address());
    let server = ["--server", &server, "--token-file", text(&token)];
    let number = host.exceptions().await.remove(0).id.to_string();
    let shown = json(&[&["exception", "show", &number][..], &server].concat()).await.remove(0);
    let retry = ["exception", "decide", &number, "retry", "--reason", "it is mended", "--shown"];
    let told = run(&[&retry[..], &[shown["shown"].as_str().unwrap()], &server].concat()).await.unwrap();
    let follows = "the document is tried again by the running host, and a new exception is opened where that fails\n";
    assert_eq!(told, format!("exception {number} is decided\n{follows}"));
    assert!(host.exceptions().await.is_empty());
    host.decide_all().await;
    assert_ne!(host.exceptions().await.remove(0).id.to_string(), number);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_are_listed_by_queue_and_kind_and_one_that_is_none_is_refused_with_those_that_there_are() {
    let host = Setup::demo().scorers(&[]).start().await;
    let dear = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 1, "BX", "20.00")]);
    host.decide_orders(&[dear]).await;
    let open = host.exceptions().await.remove(0);
    assert_eq!((open.queue.as_str(), open.kind), ("pricing", ExceptionKind::Held));
    let (door, token) = (host.front_door().await, host.ops_key_file().await);
    let server = format!("http://{}", door.address());
    let (server, data) = (["--server", &server, "--token-file", text(&token)], ["--data-dir", text(host.folder())]);
    for place in [&server[..], &data[..]] {
        for (which, expected) in [
            (&["--queue", "pricing"][..], 1),
            (&["--queue", "credit"], 0),
            (&["--queue", "credit", "--queue", "pricing", "--kind", "held"], 1),
            (&["--kind", "held"], 1),
            (&["--kind", "input"], 0),
        ] {
            let listed = json(&[&["exception", "list"][..], which, place].concat()).await;
            assert_eq!(listed.len(), expected, "{which:?}");
        }
        let nonsense = ["exception", "list", "--queue", "pricing", "--queue", "nonsense"];
        let those = ["found `nonsense` as the queue, expected one of credit, customer-service, ", "pricing"];
        refused(&[&nonsense[..], place].concat(), &those).await;
        let nonsense = ["exception", "list", "--kind", "nonsense"];
        refused(&[&nonsense[..], place].concat(), &["invalid value 'nonsense'", "held, order"]).await;
    }
    assert_eq!(ask(&door, "/v1/exceptions?queue=pricing&kind=held").await["exceptions"][0]["id"], open.id);
    let operator = bearer(OPERATOR_TOKEN);
    for which in ["queue=nonsense", "kind=nonsense", "kind="] {
        let answer = door.get(&format!("/v1/exceptions?{which}"), &[("authorization", operator.as_str())]).await;
        problem(&answer, 400, "bad-request");
    }
    door.close().await;

    let (store, pipeline) = (host.store.as_ref(), &host.host.pipeline);
    // What waits in a queue that a later configuration has no more is still found.
    let renamed = |text: &str| text.replace("pricing", "margins");
    let text = renamed(&std::fs::read_to_string(tree().root().join("host/portreeve/demo/people.toml")).unwrap());
    let known = Known { queues: pipeline.people.queues().map(renamed).collect(), plugins: BTreeSet::new() };
    let later = People::load(&SourceFile { name: "people.toml", text: &text }, &known).unwrap();
    are_queues(store, &later, &["pricing".to_owned()]).await.unwrap();
    assert!(are_queues(store, &later, &["nonsense".to_owned()]).await.is_err());
    // Where nobody has queues, none is refused.
    are_queues(store, &People::nobody(), &["nonsense".to_owned()]).await.unwrap();
}

#[tokio::test]
async fn a_person_sees_what_holds_an_order_and_what_is_on_record_about_it() {
    let host = TestHost::demo().await;
    let cheap = PurchaseOrder::clean("PO-2").with_lines(&[("FST-1007", 10, "BX", "1.00")]);
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), cheap]).await;
    let last = PurchaseOrder::clean("PO-1").of_customer("C1202");
    host.deliver_all().await;
    let leaves = host.leaves().await.len();
    let data = text(host.folder());

    let shown = json(&["order", "show", "PO-2", "--data-dir", data]).await.remove(0);
    let holds = shown["holds"].as_array().unwrap();
    assert!(!holds.is_empty() && shown["findings"].is_array(), "{shown}");
    let told = run(&["order", "show", "PO-2", "--data-dir", data]).await.unwrap();
    for hold in holds {
        let parts = ["reason", "queue", "expiresAt"].map(|part| hold[part].as_str().unwrap());
        let begins = format!("hold {} (", hold["number"]);
        let line = told.lines().find(|line| line.starts_with(&begins) && parts.iter().all(|part| line.contains(part)));
        assert!(line.is_some(), "{hold} in {told}");
    }
    // What becomes of it is decided about its exceptions, and each is named with a command that is there.
    let waits = told.lines().find_map(|line| line.split_once("; see `portreeve ")?.1.strip_suffix('`'));
    let shown = run(&[waits.unwrap().split(' ').collect(), vec!["--data-dir", data]].concat()).await.unwrap();
    assert!(shown.contains("release-holds"), "{shown}");
    let released = json(&["order", "show", "PO-1", "--data-dir", data]).await.remove(0);
    assert!(released["erased"].is_null(), "{released}");
    assert_eq!(released["holds"].as_array().unwrap().len(), 0);

    let of_order = json(&["audit", "show", "--order", "PO-1", "--data-dir", data]).await;
    let kinds: Vec<&str> = of_order.iter().map(|leaf| leaf["body"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["accept", "decide", "attempt", "receipt"]);
    assert!(leaves > of_order.len());
    refused(&["audit", "show", "--order", "PO-9", "--data-dir", data], &["there is no order `PO-9`"]).await;
    refused(&["audit", "show", "--order", "PO-1", "--from", "3", "--data-dir", data], &["cannot be used with"]).await;

    host.send_edi(&x12(9, &last)).await.unwrap();
    host.decide_all().await;
    let several = ["2 orders have the number `PO-1`", "name one by its id"];
    refused(&["order", "show", "PO-1", "--data-dir", data], &several).await;
    let id = host.orders().await[2].id.to_string();
    let unsequenced = run(&["audit", "show", "--order", &id, "--data-dir", data]).await.unwrap();
    assert!(unsequenced.lines().all(|line| line.trim_start().starts_with("-  2026-")), "{unsequenced}");
}

#[tokio::test]
async fn what_a_model_holds_tells_the_cause_its_figures_and_the_clause_that_bound_it() {
    // Below its floor of 15.09, and within what the host's own rule lets pass.
    let cheap = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "15.00")]);
    let setup = Setup::demo().scorers(&["margin"]).replace(
        "rules.toml",
        "price_tolerance_bp = 500",
        "price_tolerance_bp = 5000",
    );
    let host = setup.start().await;
    host.decide_orders(&[cheap]).await;
    let order = host.order("PO-1").await;
    let shown = run(&["order", "show", "PO-1", "--data-dir", text(host.folder())]).await.unwrap();
    let line = shown.lines().find(|line| line.starts_with("held: ")).unwrap();
    assert_eq!(line, format!("held: {}", order.why));
    for part in [
        "held: below-floor: `margin` scores ",
        " bp (below-floor line 1 +",
        "`margin` asked to hold, hold 1 lines for ",
        "; hold_minutes_max: found 1440, required 480 or less",
    ] {
        assert!(line.contains(part), "expected `{part}` in {line}");
    }
}

#[tokio::test]
async fn people_read_the_log_in_lines_and_hear_where_it_goes_on() {
    let host = TestHost::demo().await;
    let cheap = PurchaseOrder::clean("PO-2").with_lines(&[("FST-1007", 10, "BX", "1.00")]);
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), cheap]).await;
    host.deliver_all().await;
    host.verify().await.unwrap();
    let data = text(host.folder());
    let all = run(&["audit", "show", "--data-dir", data]).await.unwrap();
    let count = host.leaves().await.len();
    assert_eq!(all.lines().count(), count, "nothing is left out, and so nothing is said of more: {all}");
    assert!(!all.contains('{'), "{all}");
    let [released, held] = [host.order("PO-1").await.id, host.order("PO-2").await.id];
    for told in [
        "configuration  version 1 is active, by ".to_owned(),
        "reference      table stock is version 1 with ".to_owned(),
        "accept         edi from edi-gateway: x12 receive; documents, 1 document(s)".to_owned(),
        format!(
            "decide         order {released}: x12-orders to-canonical, fraud score, margin score, fulfilment score; released"
        ),
        format!("decide         order {held}: "),
        "; held, held by price-out-of-tolerance".to_owned(),
        format!("attempt        order {released}: attempt 1 to erp; business-central from-canonical"),
        format!("receipt        order {released}: attempt 1, erp-rest deliver; applied"),
    ] {
        assert!(all.contains(&told), "expected `{told}` in {all}");
    }
    let few = run(&["audit", "show", "--from", "2", "--limit", "3", "--data-dir", data]).await.unwrap();
    let lines: Vec<&str> = few.lines().collect();
    assert_eq!(lines[..3], all.lines().skip(2).take(3).collect::<Vec<_>>());
    assert_eq!(lines[3..], ["there are more: read on with `portreeve audit show --from 5 --limit 3`"]);
    assert_eq!(json(&["audit", "show", "--limit", "3", "--data-dir", data]).await.len(), 3, "records alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_verify_says_that_it_does_not_look_at_the_tables_beside_the_log_and_does_not() {
    let help = |help: String| help.split_whitespace().collect::<Vec<_>>().join(" ");
    let verify = help(run(&["audit", "verify", "--help"]).await.unwrap_err());
    for part in ["Proved are the entries", "Not looked at is the rest of the store", "`portreeve order rederive`"] {
        assert!(verify.contains(part), "{verify}");
    }
    let audit = help(run(&["audit", "--help"]).await.unwrap_err());
    assert!(audit.contains("`portreeve audit verify --help` says what is covered"), "{audit}");

    let erp = Erp::start(Mischief::default()).await.unwrap();
    let folder = stopped(&in_any_year(), &erp.origin()).await;
    let data = text(folder.path());
    let file = folder.path().join("po.edi");
    std::fs::write(&file, order(1, "PO-1")).unwrap();
    json(&["ingest", "--channel", "edi", "--data-dir", data, "--drain", text(&file)]).await;
    let database = folder.path().join("data/store/portreeve.db");
    let tamper = |sql: &str| rusqlite::Connection::open(&database).unwrap().execute_batch(sql).unwrap();
    tamper("UPDATE orders SET why = 'as somebody would have it'");
    let shown = run(&["order", "show", "PO-1", "--data-dir", data]).await.unwrap();
    assert!(shown.contains("as somebody would have it"), "{shown}");
    assert_eq!(json(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
    tamper("UPDATE leaf SET bytes = CAST(replace(bytes, 'released', 'refused') AS BLOB)");
    refused(&["audit", "verify", "--data-dir", data], &["was changed"]).await;
}

#[tokio::test]
async fn whoever_checks_a_folder_hears_which_files_it_needs_before_and_when_one_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let config = Setup::demo().configuration(folder.path());
    let files = ["portreeve.toml", "grants.toml", "policies.cedar", "rules.toml", "people.toml", "trust.toml"];
    for [room, word] in [["route", "check"], ["route", "catalogue"], ["process", "draw"], ["grant", "check"]] {
        let help = run(&[room, word, "--help"]).await.unwrap_err();
        run(&[room, word, "--config", text(&config)]).await.unwrap();
        for file in files {
            assert!(help.contains(file), "{room} {word}: {help}");
            let (here, away) = (config.join(file), config.join("away"));
            std::fs::rename(&here, &away).unwrap();
            refused(&[room, word, "--config", text(&config)], &[file, "cannot be read"]).await;
            std::fs::rename(&away, &here).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_without_effect_is_said_when_it_becomes_active() {
    let init = async |setup: Setup| {
        let folder = tempfile::tempdir().unwrap();
        for place in ["data", "state"] {
            std::fs::create_dir(folder.path().join(place)).unwrap();
        }
        let config = setup.configuration(folder.path());
        let init = ["init", "--config", text(&config), "--data-dir", text(folder.path())];
        (json(&init).await.remove(0)["warnings"].clone(), run(&init).await.unwrap())
    };
    let (none, told) = init(Setup::demo()).await;
    assert_eq!(none.as_array().unwrap().len(), 0, "{none}");
    assert!(!told.contains("warning"), "{told}");

    let route = "@id(\"fraud-route-needs-score\")\npermit (principal == Plugin::\"fraud\", action == Action::\"route\"";
    let forbidden = route.replace("permit (", "forbid (");
    let setup = Setup::demo()
        .replace("policies.cedar", route, &forbidden)
        .grant("margin", "{ lookup = [\"item\"], limits = { wall_ms = 5001 } }")
        .plugin("well-behaved", "{ log = true, lookup = [\"customer\"] }");
    let (warnings, told) = init(setup).await;
    let warnings: Vec<&str> = warnings.as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect();
    let [grant, plugin, limit] = warnings[..] else { panic!("{warnings:?}") };
    assert!(grant.contains("grant `fraud-before-release` lets `fraud` route, and no policy permits it"), "{grant}");
    assert!(plugin.contains("plugin `well-behaved` is used by no channel and no target"), "{plugin}");
    assert!(limit.contains("the grant of `margin` gives `wall_ms` = 5001"), "{limit}");
    assert!(warnings.iter().all(|warning| told.contains(&format!("warning: {warning}"))), "{told}");
}

#[tokio::test]
async fn data_of_another_version_are_left_alone_with_a_sentence_for_each_direction() {
    let folder = stopped(&Setup::demo(), "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let with_schema = |schema: i64| {
        let store = rusqlite::Connection::open(folder.path().join("data/store/portreeve.db")).unwrap();
        store.pragma_update(None, "user_version", schema).unwrap();
    };
    with_schema(99);
    refused(&["order", "list", "--data-dir", data], &["has schema 99", "up to 12; use the newer version"]).await;
    with_schema(0);
    let older = ["has schema 0", "reads schema 12", "bring the folder up to date first"];
    refused(&["order", "list", "--data-dir", data], &older).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_writes_does_not_reach_the_terminal_as_it_is() {
    let host = TestHost::demo().await;
    // What no segment may hold an input is rejected for; what turns the line may be in one.
    let number = "PO-\u{202e}99\u{2066}";
    host.send_edi(&x12(1, &PurchaseOrder::clean(number))).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.orders().await[0].number, number, "it came through: {:?}", host.exceptions().await);
    let data = text(host.folder());
    for command in [&["order", "list"][..], &["order", "show", number], &["order", "list", "--json"]] {
        let shown = run(&[command, &["--data-dir", data]].concat()).await.unwrap();
        assert!(shown.contains("99"), "{command:?}: {shown}");
        assert!(!shown.chars().any(|c| matches!(c, '\u{202e}' | '\u{2066}')), "{command:?}: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_token_stays_out_of_what_is_printed() {
    let host = TestHost::demo().await;
    let data = text(host.folder());
    for words in [&["grant", "show"][..], &["plugin", "list"]] {
        let shown = run(&[words, &["--data-dir", data]].concat()).await.unwrap();
        assert!(!shown.contains(&Digest::of(OPERATOR_TOKEN.as_bytes()).to_string()), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_content_is_removed_by_hand_on_a_stopped_host() {
    const LONG_AGO: portreeve_model::Instant = portreeve_model::Instant(1_577_836_800_000);
    let keeping = in_any_year().append("portreeve.toml", "\n[retention]\ncontent_days = 1\n");
    let host = keeping.start().await.stop().await.start_at(LONG_AGO).await;
    host.send_edi(&order(1, "PO-1")).await.unwrap();
    host.decide_all().await;
    host.deliver_all().await;
    let at_work = text(host.folder()).to_owned();
    refused(&["retention", "run", "--data-dir", &at_work], &["is in use by another process"]).await;
    let stopped = host.stop().await;
    let data = text(stopped.folder());
    let done = json(&["retention", "run", "--data-dir", data]).await;
    assert_eq!((&done[0]["inputs"], &done[0]["orders"], &done[0]["payloads"]), (&1.into(), &1.into(), &4.into()));
    assert_eq!(done[0]["open"], 0);
    let again = run(&["retention", "run", "--data-dir", data]).await.unwrap();
    assert!(again.starts_with("the content of 0 input(s)"), "{again}");
    let verified = json(&["audit", "verify", "--data-dir", data]).await;
    assert_eq!(verified[0]["verified"], true);

    let shown = json(&["order", "show", "PO-1", "--data-dir", data]).await.remove(0);
    assert_eq!(
        (&shown["erased"], &shown["number"], &shown["state"]),
        (&true.into(), &"PO-1".into(), &"released".into())
    );
    let told = run(&["order", "show", "PO-1", "--data-dir", data]).await.unwrap();
    assert!(told.contains("delivered after 1 attempt(s)") && told.contains("its content was erased"), "{told}");

    let keeping_all = TestHost::demo().await.stop().await;
    let data = text(keeping_all.folder());
    refused(&["retention", "run", "--data-dir", data], &["keeps everything", "`content_days`", "portreeve init"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_limits_say_what_binds_and_who_set_it() {
    let grant = "{ lookup = [\"item\"], limits = { wall_ms = 100, host_calls = 10001 } }";
    let folder = stopped(&Setup::demo().grant("margin", grant), "http://127.0.0.1:9").await;
    let (data, config) = (text(folder.path()), folder.path().join("config"));
    let limits = |of: &Value| of["limits"].as_array().unwrap().clone();
    let find = |limits: &[Value], name: &str| limits.iter().find(|limit| limit["name"] == name).cloned();

    let margin = json(&["plugin", "limits", "margin", "--data-dir", data]).await.remove(0);
    let wall = find(&limits(&margin), "wall_ms").unwrap();
    assert_eq!((&wall["value"], &wall["set_by"], &wall["granted"]), (&100.into(), &"grant".into(), &100.into()));
    assert_eq!((&wall["default"], &wall["max"], &wall["unit"]), (&5_000.into(), &300_000.into(), &"ms a call".into()));
    assert!(wall["stops"].as_str().unwrap().contains("waiting for ever"));
    let fuel = find(&limits(&margin), "fuel").unwrap();
    assert_eq!((&fuel["value"], &fuel["set_by"]), (&200_000_000.into(), &"default".into()));
    assert!(find(&limits(&margin), "cpu_ms").is_none(), "a scorer has none");
    assert_eq!(find(&limits(&margin), "stack_bytes").unwrap()["set_by"], "host");
    assert!(margin["remarks"][0].as_str().unwrap().contains("`host_calls` = 10001"), "{margin}");

    let x12 = json(&["plugin", "limits", "x12", "--config", text(&config)]).await.remove(0);
    let cpu = find(&limits(&x12), "cpu_ms").unwrap();
    assert_eq!((&cpu["value"], &cpu["set_by"], &cpu["asked"]), (&10_000.into(), &"manifest".into(), &10_000.into()));
    assert!(find(&limits(&x12), "fuel").is_none() && x12["remarks"].as_array().unwrap().is_empty());

    let table = run(&["plugin", "limits", "margin", "--data-dir", data]).await.unwrap();
    assert_eq!(table.lines().count(), limits(&margin).len() + 3, "{table}");
    refused(&["plugin", "limits", "nobody", "--data-dir", data], &["no plugin `nobody`", "plugin list"]).await;
    refused(&["plugin", "limits", "Nobody", "--data-dir", data], &["Nobody"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_of_a_limit_without_effect_activates_nothing() {
    for (limits, expected) in [
        ("{ fule = 5 }", "fule"),
        ("{ cpu_ms = 5 }", "`limits.cpu_ms` for a scorer"),
        ("{ fuel = 10000000001 }", "at most 10000000000"),
        ("{ calls_at_once = 33 }", "at most 32"),
    ] {
        let setup = Setup::demo().grant("margin", &format!("{{ lookup = [\"item\"], limits = {limits} }}"));
        let error = format!("{:#}", setup.try_start().await.err().unwrap());
        assert!(error.contains(expected), "{limits}: {error}");
    }
}
