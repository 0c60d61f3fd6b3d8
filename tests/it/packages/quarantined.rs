//! What fails again and again is not called for a while: for whom, what its events do
//! meanwhile, what the log and the metrics say, and how it is called again.

use hyper::Method;
use portreeve_api::package::{Act, Lifecycle};
use portreeve_model::{ExceptionAction, ExceptionKind, Instant};
use portreeve_pipeline::exception::ExceptionError;
use portreeve_pipeline::{Accepted, Clock, Credential};
use portreeve_record::LeafBody;
use portreeve_record::leaf::{CauseRecord, Code, Label, PackageStep};
use portreeve_registry::quarantine::{IN_A_ROW_MAX, PAUSE_MS};
use portreeve_store::contract::{OrderState, PauseAbout};

use super::name;
use crate::faults::{Fault, FaultyStore};
use crate::support::exceptions::{decide, waiting};
use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, trust_in, x12};

/// The channel of the demo, and one more beside it that does the same.
const EDI: &str = "edi";
const OTHER: &str = "other";

/// A host whose only scorer does what the order's number says.
fn with_obedient() -> Setup {
    Setup::demo().scorers(&["obeys-the-sender"]).plugin("obeys-the-sender", "{}")
}

/// A channel with a sender of its own.
fn channel(id: &str, rest: &str) -> String {
    format!(
        "\n[[channel]]\nid = \"{id}\"\nexception_queue = \"integration\"\n{rest}\n\n\
         [[sender]]\nchannel = \"{id}\"\nid = \"{id}-sender\"\ntoken_sha256 = \"${{EDI_TOKEN_SHA256}}\"\n"
    )
}

/// A channel like the demo's, with this scorer and this target.
fn like_edi(scorers: &str, target: &str) -> String {
    let rest = format!(
        "connector = \"x12\"\ndocuments = {{ \"x12/850\" = \"x12-orders\" }}\nscorers = [{scorers}]\n\
         target = \"{target}\"\nsettings = {{ currency = \"USD\" }}"
    );
    channel(OTHER, &rest)
}

/// The same with a second sender, on a channel of its own.
fn with_two_senders() -> Setup {
    with_obedient().append("portreeve.toml", &like_edi("\"obeys-the-sender\"", "erp"))
}

async fn send_on(host: &TestHost, channel: &str, body: &[u8]) -> Accepted {
    host.send(channel, Credential::Bearer(EDI_TOKEN), body).await.unwrap()
}

async fn send(host: &TestHost, channel: &str, control: u32, number: &str) {
    send_on(host, channel, &x12(control, &PurchaseOrder::clean(number))).await;
}

/// The turns of the quarantine on record, each with whose calls it is about.
async fn turns(host: &TestHost) -> Vec<(PackageStep, Option<CauseRecord>)> {
    let leaves = host.leaves().await.into_iter();
    leaves
        .filter_map(|leaf| match leaf.body {
            LeafBody::Package(package) => Some((package.step, package.cause)),
            _ => None,
        })
        .collect()
}

/// A scorer's calls about this sender's orders.
fn scored(channel: &str, sender: &str) -> Option<CauseRecord> {
    let channel = portreeve_model::ChannelId::parse(channel).unwrap();
    Some(CauseRecord::Sender { call: Code::of("score"), channel, sender: Label::of(sender) })
}

/// As many orders that kill the scorer as it takes.
async fn provoke(host: &TestHost, channel: &str) {
    for control in 1..=IN_A_ROW_MAX {
        send(host, channel, control, &format!("TRAP-{channel}-{control}")).await;
        host.decide_all().await;
    }
}

async fn state(host: &TestHost, plugin: &str) -> String {
    let rows = host.host.packages.list().await.unwrap();
    rows.into_iter().find(|row| row.plugin == plugin).unwrap().state
}

fn says(host: &TestHost, lines: &[&str]) {
    let metrics = host.host.pipeline.metrics.text(&[]);
    for line in lines {
        assert!(metrics.contains(line), "expected `{line}` in:\n{metrics}");
    }
}

fn later(host: &TestHost, ms: i64) {
    host.clock.advance_to(host.clock.now().plus_ms(ms));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_senders_poison_stops_the_scorer_for_that_sender_and_for_nobody_else() {
    let host = with_two_senders().start().await;
    provoke(&host, EDI).await;
    assert_eq!(host.count(OrderState::Exception).await, 5, "each that killed it has its exception");
    let expected = "quarantined for sender `edi-gateway` of channel `edi` in `score` until 2026-03-02T08:00:30";
    assert!(state(&host, "obeys-the-sender").await.starts_with(expected), "{}", state(&host, "obeys-the-sender").await);

    for control in 10..13 {
        send(&host, EDI, control, &format!("GOOD-{control}")).await;
    }
    assert!(host.decide_all().await.is_empty(), "they wait");
    assert_eq!((host.summary().await.undecided, host.exceptions().await.len()), (3, 5 + 1));
    send(&host, OTHER, 1, "GOOD-OTHER").await;
    host.decide_all().await;
    assert_eq!(host.order("GOOD-OTHER").await.state, OrderState::Released);
    let door = host.front_door().await;
    let metrics = door.ask("/metrics").await;
    for line in [
        "portreeve_quarantined_causes{plugin=\"obeys-the-sender\"} 1",
        "portreeve_quarantine_turns_total{plugin=\"obeys-the-sender\",turn=\"quarantined\",scope=\"cause\"} 1",
        "portreeve_not_called_total{plugin=\"obeys-the-sender\",reason=\"quarantined\"} 3",
    ] {
        assert!(metrics.contains(line), "expected `{line}` in:\n{metrics}");
    }
    assert!(!metrics.contains("portreeve_quarantined{plugin=\"obeys-the-sender\"} 1"), "{metrics}");
    door.close().await;

    // One order is tried, the others go on after it.
    later(&host, PAUSE_MS);
    host.decide_all().await;
    later(&host, Instant::MINUTE_MS);
    host.decide_all().await;
    assert_eq!(host.count(OrderState::Released).await, 4);
    let of = scored("edi", "edi-gateway");
    assert_eq!(turns(&host).await, [(PackageStep::Quarantined, of.clone()), (PackageStep::Restored, of)]);
    assert_eq!(state(&host, "obeys-the-sender").await, "active");
    says(&host, &["portreeve_quarantined_causes{plugin=\"obeys-the-sender\"} 0"]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scorer_that_fails_for_two_senders_is_called_for_none_until_one_call_of_it_does_not_fail() {
    let host = with_two_senders().start().await;
    provoke(&host, EDI).await;
    provoke(&host, OTHER).await;
    let expected = "quarantined until 2026-03-02T08:00:30";
    assert!(state(&host, "obeys-the-sender").await.starts_with(expected), "{}", state(&host, "obeys-the-sender").await);
    says(
        &host,
        &[
            "portreeve_quarantined{plugin=\"obeys-the-sender\"} 1",
            "portreeve_quarantined_causes{plugin=\"obeys-the-sender\"} 0",
            "portreeve_quarantine_turns_total{plugin=\"obeys-the-sender\",turn=\"quarantined\",scope=\"plugin\"} 1",
        ],
    );
    send(&host, EDI, 10, "GOOD-1").await;
    send(&host, OTHER, 10, "GOOD-2").await;
    assert!(host.decide_all().await.is_empty(), "both wait");

    later(&host, PAUSE_MS);
    host.decide_all().await;
    later(&host, Instant::MINUTE_MS);
    host.decide_all().await;
    assert_eq!(host.count(OrderState::Released).await, 2);
    assert_eq!(
        turns(&host).await,
        [
            (PackageStep::Quarantined, scored("edi", "edi-gateway")),
            (PackageStep::Quarantined, None),
            (PackageStep::Restored, None)
        ]
    );
    assert_eq!(state(&host, "obeys-the-sender").await, "active");
    says(&host, &["portreeve_quarantined{plugin=\"obeys-the-sender\"} 0"]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_when_it_is_tried_makes_the_pause_longer() {
    // With one worker the first of the two is the one that is tried.
    let host = with_obedient().workers(1).start().await;
    provoke(&host, EDI).await;
    send(&host, EDI, 9, "TRAP-9").await;
    send(&host, EDI, 10, "GOOD-10").await;
    assert!(host.decide_all().await.is_empty());
    later(&host, PAUSE_MS);
    assert_eq!(host.decide_all().await.len(), 1, "the other one waits on");
    assert_eq!(host.order("TRAP-9").await.state, OrderState::Exception);
    let steps: Vec<_> = turns(&host).await.into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [PackageStep::Quarantined; 2]);
    assert!(state(&host, "obeys-the-sender").await.contains("08:01:30"), "{}", state(&host, "obeys-the-sender").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_says_so_gives_its_orders_to_a_person_at_once() {
    let exception = "target = \"erp\"\nwhen_stopped = \"exception\"\n";
    let host = with_obedient().replace("portreeve.toml", "target = \"erp\"\n", exception).start().await;
    provoke(&host, EDI).await;
    send(&host, EDI, 10, "GOOD-10").await;
    host.decide_all().await;
    let order = host.order("GOOD-10").await;
    assert_eq!(order.state, OrderState::Exception);
    let exceptions = host.exceptions().await;
    let exception = exceptions.iter().find(|exception| exception.order == Some(order.id)).unwrap();
    assert_eq!(exception.code, "scorer-quarantined");
    let decision = host.decision(&order).await;
    assert_eq!(decision.scorings[0].failure.as_deref(), Some("quarantined"));
    let rederived = format!("{:?}", host.rederive(order.id).await.unwrap());
    assert!(rederived.contains("host_caused: 1"), "{rederived}");
}

/// A connector that fails at everything on one channel, and serves another.
fn with_hostile(settings: &str) -> Setup {
    let hostile = |id: &str, more: &str| {
        channel(id, &format!("connector = \"hostile-connector\"\ndocuments = {{}}\ntarget = \"erp\"\n{more}"))
    };
    let grant = "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }";
    Setup::demo()
        .plugin("hostile-connector", grant)
        .append("portreeve.toml", &hostile("fails", &format!("challenges = true\nsettings = {{ {settings} }}")))
        .append("portreeve.toml", &hostile("works", ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_make_a_connector_fail_with_challenges_stop_it_for_nobody() {
    let host = with_hostile("act = \"handles\", count = \"2000\"").start().await;
    let pipeline = &host.host.pipeline;
    for _ in 0..10 * IN_A_ROW_MAX {
        assert!(pipeline.challenge("fails", String::new(), Vec::new()).await.is_none());
    }
    let calls = |result: &str, count: u32| {
        format!("portreeve_calls_total{{plugin=\"hostile-connector\",call=\"receive\",result=\"{result}\"}} {count}")
    };
    says(&host, &[&calls("too-large", 50)]);
    assert_eq!(state(&host, "hostile-connector").await, "active");

    // Nor are they served while it is paused for whose channel it is, and others are.
    for number in 0..IN_A_ROW_MAX {
        let kept = send_on(&host, "fails", format!("input {number}").as_bytes()).await;
        assert_eq!(kept.reply.status, 202, "kept for a person");
    }
    assert!(pipeline.challenge("fails", String::new(), Vec::new()).await.is_none());
    says(&host, &[&calls("too-large", 55)]);
    assert_eq!(send_on(&host, "works", b"input").await.reply.status, 200);
    let of = Some(CauseRecord::Sender {
        call: Code::of("receive"),
        channel: portreeve_model::ChannelId::parse("fails").unwrap(),
        sender: Label::of("fails-sender"),
    });
    assert_eq!(turns(&host).await, [(PackageStep::Quarantined, of)]);
    assert_eq!(host.exceptions().await.len(), 5 + 1);
    send_on(&host, "fails", b"one more").await;
    let told = host.exceptions().await.into_iter().find(|exception| exception.code == "quarantined").unwrap().detail;
    let expected = "again in `receive` for sender `fails-sender` of channel `fails` and is tried again there at 2026-03-02T08:00:30";
    assert!(told.contains(expected), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_where_a_connector_fails_keeps_its_own_deliveries_back_and_no_other_targets() {
    let target = "\n[[target]]\nid = \"works\"\nconnector = \"hostile-connector\"\n\
        transformer = \"business-central\"\nkind = \"business-central/sales-order\"\norigin = \"${ERP_ORIGIN}\"\n\
        exception_queue = \"integration\"\nfind = true\nsettings = { freight-account = \"6130\" }\n";
    let grant = "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }";
    let host = Setup::demo()
        .plugin("hostile-connector", grant)
        .replace("portreeve.toml", "connector = \"erp-rest\"", "connector = \"hostile-connector\"")
        .replace("portreeve.toml", "settings = { base-url", "settings = { act = \"write-and-trap\", base-url")
        .append("portreeve.toml", target)
        .append("portreeve.toml", &like_edi("", "works"))
        .start()
        .await;
    for control in 1..=IN_A_ROW_MAX {
        send(&host, EDI, control, &format!("PO-{control}")).await;
    }
    host.decide_all().await;
    host.deliver_due().await;
    let expected = "quarantined for target `erp` in `deliver` until 2026-03-02T08:00:30";
    let found = state(&host, "hostile-connector").await;
    assert!(found.starts_with(expected), "{found}");

    send(&host, EDI, 10, "PO-10").await;
    send(&host, OTHER, 10, "PO-OTHER").await;
    host.decide_all().await;
    host.deliver_due().await;
    assert_eq!(host.order("PO-OTHER").await.deliveries[0].state, "delivered");
    let waits = &host.order("PO-10").await.deliveries[0];
    assert_eq!((waits.state.as_str(), waits.attempts), ("pending", 0));
    let of = Some(CauseRecord::Target { call: Code::of("deliver"), target: Code::of("erp") });
    assert_eq!(turns(&host).await, [(PackageStep::Quarantined, of)]);
    host.verify().await.unwrap();
}

/// What is open about plugins that are not called, with its number.
async fn paused(host: &TestHost) -> Vec<(u64, PauseAbout)> {
    let mut open = Vec::new();
    for exception in waiting(host).await.into_iter().filter(|open| open.kind == ExceptionKind::Plugin) {
        let about = host.store.exception(exception.id).await.unwrap().unwrap().about;
        open.push((exception.id, about.plugin.unwrap()));
    }
    open
}

/// How an exception ended.
async fn how(host: &TestHost, exception: u64) -> Option<String> {
    let found = host.store.exception(exception).await.unwrap().unwrap();
    found.exception.closed.map(|closed| closed.how)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_waits_for_a_person_once_and_no_more_when_the_plugin_is_called_again() {
    let host = with_obedient().workers(1).start().await;
    provoke(&host, EDI).await;
    let (exception, pause) = paused(&host).await.remove(0);
    let expected = PauseAbout {
        plugin: name("obeys-the-sender"),
        component: pause.component,
        cause: Some("`score` for sender `edi-gateway` of channel `edi`".to_owned()),
        failure: "trap".to_owned(),
        pauses: 1,
        until: host.clock.now().plus_ms(PAUSE_MS),
    };
    assert_eq!(pause, expected);
    let found = host.store.exception(exception).await.unwrap().unwrap().exception;
    let expected = ("plugin", "plugin-quarantined", "integration", true);
    let said = (found.stage.as_str(), found.code.as_str(), found.queue.as_str(), found.due_at.is_some());
    assert_eq!(said, expected);

    // Tried in vain: a longer pause, and the same exception.
    send(&host, EDI, 9, "TRAP-9").await;
    send(&host, EDI, 10, "GOOD-10").await;
    later(&host, PAUSE_MS);
    host.decide_all().await;
    let (again, longer) = paused(&host).await.remove(0);
    assert_eq!((again, longer.pauses, paused(&host).await.len()), (exception, 2, 1));
    later(&host, 2 * PAUSE_MS);
    host.decide_all().await;
    assert_eq!(host.order("GOOD-10").await.state, OrderState::Released);
    assert_eq!((paused(&host).await, how(&host, exception).await.as_deref()), (Vec::new(), Some("cleared")));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_all_calls_takes_the_place_of_its_senders() {
    let host = with_two_senders().start().await;
    provoke(&host, EDI).await;
    let (of_edi, _) = paused(&host).await.remove(0);
    provoke(&host, OTHER).await;
    let found = paused(&host).await;
    assert_eq!((found.len(), found[0].1.cause.clone()), (1, None), "{found:?}");
    assert_eq!(how(&host, of_edi).await.as_deref(), Some("cleared"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_a_paused_plugin_tried_at_once_or_says_that_nobody_has_to_look() {
    let host = with_obedient().workers(1).start().await;
    let (ivan, olga) = (host.acts_as("ivan", &["integration"]).await, host.acts_as("olga", &["order-desk"]).await);
    provoke(&host, EDI).await;
    send(&host, EDI, 9, "TRAP-9").await;
    let (first, _) = paused(&host).await.remove(0);
    later(&host, 1_000);
    let denied = decide(&host, &olga, first, ExceptionAction::Retry).await;
    assert!(matches!(denied, Err(ExceptionError::Denied(_))), "{denied:?}");
    assert!(host.decide_all().await.is_empty(), "it waits");
    decide(&host, &ivan, first, ExceptionAction::Retry).await.unwrap();
    assert_eq!(host.decide_all().await.len(), 1, "it is tried at once, in vain");
    assert_eq!(how(&host, first).await.as_deref(), Some("retry"));
    let (second, pause) = paused(&host).await.remove(0);
    assert!(second != first && pause.until == host.clock.now().plus_ms(2 * PAUSE_MS), "{pause:?}");
    let by_ivan = host.leaves().await.into_iter().filter_map(|leaf| match leaf.body {
        LeafBody::Exception(said) if said.exception == first => Some((said.code, said.who)),
        _ => None,
    });
    assert_eq!(by_ivan.collect::<Vec<_>>(), [(Code::of("retry"), Some(Label::of("ivan")))]);

    send(&host, EDI, 10, "GOOD-10").await;
    let door = host.front_door().await;
    let (path, key) = (format!("/v1/exceptions/{second}"), door.key_of("ivan", &["integration"]).await);
    let shown: serde_json::Value = serde_json::from_str(&door.ask(&path).await).unwrap();
    assert_eq!(shown["plugin"]["pauses"], 1, "{shown}");
    assert_eq!((&shown["plugin"]["failure"], &shown["plugin"]["plugin"]), (&"trap".into(), &"obeys-the-sender".into()));
    let body = serde_json::json!({ "shown": shown["shown"], "action": "abandon", "reason": "it is known" }).to_string();
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    let decided = door.send(Method::POST, &format!("{path}/decide"), &headers, body.as_bytes()).await;
    assert_eq!(decided.status, 200, "{decided:?}");
    door.close().await;
    assert_eq!((paused(&host).await, how(&host, second).await.as_deref()), (Vec::new(), Some("abandon")));
    assert!(host.decide_all().await.is_empty(), "it is paused all the same");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_pause_otherwise_closes_its_exception_too() {
    let host = with_obedient().start().await;
    provoke(&host, EDI).await;
    let (first, _) = paused(&host).await.remove(0);
    let host = host.restart().await;
    assert_eq!((paused(&host).await, how(&host, first).await.as_deref()), (Vec::new(), Some("cleared")), "a restart");
    later(&host, 1_000);
    for control in 21..=20 + IN_A_ROW_MAX {
        send(&host, EDI, control, &format!("TRAP-{control}")).await;
        host.decide_all().await;
    }
    let (second, _) = paused(&host).await.remove(0);
    host.host.packages.act(&name("obeys-the-sender"), Act::Disable, "olga").await.unwrap();
    assert_eq!((paused(&host).await, how(&host, second).await.as_deref()), (Vec::new(), Some("cleared")), "disabled");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_a_plugin_that_nobody_trusts_any_more_waits_for_nobody() {
    let host = with_obedient().start().await;
    provoke(&host, EDI).await;
    let (exception, _) = paused(&host).await.remove(0);
    let stopped = host.host.packages.trust(trust_in("portreeve"), "olga").await.unwrap();
    assert_eq!(stopped.stopped, ["obeys-the-sender"]);
    assert_eq!((paused(&host).await, how(&host, exception).await.as_deref()), (Vec::new(), Some("cleared")));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_ends_while_it_is_put_on_record_leaves_nothing_open() {
    let host = with_obedient().workers(1).start().await;
    let (host, store) = host.restart_behind(FaultyStore::sound).await;
    // As when an operator activates the component again, between the last failure and its record.
    let component = host.host.pipeline.plugins.now().installed(&name("obeys-the-sender")).unwrap().digest;
    let quarantine = host.host.pipeline.quarantine.clone();
    store.before("change_packages", move || quarantine.forget(component));
    provoke(&host, EDI).await;
    // Whoever does that looks afterwards what stands.
    host.host.pipeline.close_pauses().await.unwrap();
    assert_eq!(paused(&host).await, Vec::new());
    let steps: Vec<PackageStep> = turns(&host).await.into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [PackageStep::Quarantined], "what happened is on record all the same");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_whose_end_could_not_be_written_is_closed_by_whoever_looks_next() {
    let host = with_obedient().workers(1).start().await;
    let (host, _) =
        host.restart_behind(|store| FaultyStore::new(store, "change_packages", Fault::NotPersisted, 1)).await;
    provoke(&host, EDI).await;
    assert_eq!(paused(&host).await.len(), 1);
    host.host.pipeline.close_pauses().await.unwrap();
    assert_eq!(paused(&host).await.len(), 1, "it stands");
    later(&host, PAUSE_MS);
    send(&host, EDI, 31, "PO-31").await;
    host.decide_all().await;
    assert_eq!(state(&host, "obeys-the-sender").await, "active");
    assert_eq!(paused(&host).await.len(), 1, "its end is not on record");
    host.host.pipeline.close_pauses().await.unwrap();
    assert_eq!(paused(&host).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_whose_record_fails_stands_and_its_next_turn_opens_the_exception() {
    let host = with_obedient().workers(1).start().await;
    let (host, _) =
        host.restart_behind(|store| FaultyStore::new(store, "change_packages", Fault::NotPersisted, 0)).await;
    provoke(&host, EDI).await;
    assert!(paused(&host).await.is_empty() && turns(&host).await.is_empty(), "both or neither");
    assert!(state(&host, "obeys-the-sender").await.starts_with("quarantined"));
    send(&host, EDI, 9, "TRAP-9").await;
    later(&host, PAUSE_MS);
    host.decide_all().await;
    assert_eq!((paused(&host).await.len(), turns(&host).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_plugins_has_to_be_one_and_is_else_that_of_whom_they_failed_for() {
    let named = "plugin_queue = \"integration\"\n";
    let wrong = Setup::demo().replace("portreeve.toml", named, "plugin_queue = \"nobody\"\n").try_start().await;
    let wrong = wrong.err().unwrap().to_string();
    assert!(wrong.contains("queue `nobody` is not in `queues`"), "{wrong}");
    let host = with_obedient()
        .replace("portreeve.toml", named, "")
        .replace(
            "portreeve.toml",
            "exception_queue = \"integration\"\nsettings = { currency",
            "exception_queue = \"order-desk\"\nsettings = { currency",
        )
        .start()
        .await;
    provoke(&host, EDI).await;
    let (exception, _) = paused(&host).await.remove(0);
    assert_eq!(host.store.exception(exception).await.unwrap().unwrap().exception.queue, "order-desk");
}
