//! What fails again and again is not called for a while: for whom, what its events do
//! meanwhile, what the log and the metrics say, and how it is called again.

use portreeve_api::package::Lifecycle;
use portreeve_model::Instant;
use portreeve_pipeline::{Accepted, Clock, Credential};
use portreeve_record::LeafBody;
use portreeve_record::leaf::{CauseRecord, Code, Label, PackageStep};
use portreeve_registry::quarantine::{IN_A_ROW_MAX, PAUSE_MS};
use portreeve_store::contract::OrderState;

use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, x12};

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
    assert_eq!((host.summary().await.undecided, host.exceptions().await.len()), (3, 5));
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
    assert_eq!(host.exceptions().await.len(), 5);
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
