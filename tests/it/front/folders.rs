//! Watched folders: what becomes of a file, wherever the host ends and whatever
//! the file is.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portreeve::config::Proposed;
use portreeve::folder::{End, Refusal};
use portreeve::host;
use portreeve_pipeline::Clock;
use portreeve_pipeline::accept::{AcceptError, Input};
use portreeve_store::Store;
use portreeve_store::contract::OrderState;
use serde_json::Value;
use tokio::sync::watch;

use crate::faults::{Fault, FaultyStore};
use crate::support::{MORNING, PurchaseOrder, Setup, TestHost, say, tree, x12};

/// The directories of a partner, and what lies in them.
struct Drops {
    folder: tempfile::TempDir,
}

impl Drops {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for place in ["in", "out", "failed", "done"] {
            std::fs::create_dir(folder.path().join(place)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    /// The demo with its EDI channel fed by these directories.
    fn setup(&self) -> Setup {
        self.setup_with("")
    }

    fn setup_with(&self, more: &str) -> Setup {
        Setup::demo().append("portreeve.toml", &self.entry(more))
    }

    fn entry(&self, more: &str) -> String {
        let path = |place: &str| self.path(place).display().to_string();
        format!(
            "\n[[folder]]\nchannel = \"edi\"\ninbox = \"{}\"\noutbox = \"{}\"\nfailed = \"{}\"\narchive = \"{}\"\n{more}\n",
            path("in"),
            path("out"),
            path("failed"),
            path("done")
        )
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path("in").join(name), bytes).unwrap();
    }

    /// Names in a place, the host's own folder aside.
    fn names(&self, place: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(place)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| ![".taken", ".lock"].contains(&name.as_str()));
        names.sort();
        names
    }

    fn bytes(&self, place: &str, name: &str) -> Vec<u8> {
        std::fs::read(self.path(place).join(name)).unwrap()
    }

    /// The only file of a place whose name ends so.
    fn only(&self, place: &str, ending: &str) -> (String, Vec<u8>) {
        let names = self.names(place);
        let [name] = &names.iter().filter(|name| name.ends_with(ending)).collect::<Vec<_>>()[..] else {
            panic!("{place}: {names:?}")
        };
        (name.to_string(), self.bytes(place, name))
    }

    /// Why the only failed file failed: its code.
    fn reason(&self) -> (String, Value) {
        let reason: Value = serde_json::from_slice(&self.only("failed", ".reason.json").1).unwrap();
        (reason["problems"][0]["code"].as_str().unwrap().to_owned(), reason)
    }
}

async fn watching(setup: Setup) -> TestHost {
    let mut host = setup.start().await;
    host.host.watch().unwrap();
    host
}

async fn scan(host: &TestHost) -> Vec<End> {
    let folder = &host.host.folders()[0];
    folder.scan(&host.host.pipeline, &|| true).await.unwrap().into_iter().map(|(_, end)| end).collect()
}

fn order(control: u32) -> Vec<u8> {
    x12(control, &PurchaseOrder::clean(&format!("PO-{control}")))
}

#[tokio::test]
async fn a_file_becomes_an_order_and_its_reply_a_file() {
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    drops.put("po-1.edi", &order(1));
    let ends = scan(&host).await;
    let [End::OnRecord { input, duplicate: false }] = &ends[..] else { panic!("{ends:?}") };
    assert!(drops.names("in").is_empty() && drops.names("in/.taken").is_empty());
    let key = input.0.short();
    assert_eq!(drops.only("out", ".reply").0, format!("po-1.edi.{key}.reply"));
    assert!(drops.only("out", "").1.starts_with(b"ISA"), "an EDI sender gets a 997");
    assert_eq!(drops.only("done", ""), (format!("po-1.edi.{key}"), order(1)));
    host.decide_all().await;
    assert_eq!(host.order("PO-1").await.state, OrderState::Released);
    let trail = host.store.order_trail(host.order("PO-1").await.id).await.unwrap().unwrap();
    assert_eq!(trail.input.sender, "edi-gateway");
    assert!(scan(&host).await.is_empty());
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_left_until_it_has_its_name() {
    let drops = Drops::new();
    let host = watching(drops.setup_with("suffix = \".edi\"")).await;
    let half = &order(1)[..40];
    for name in ["po.edi.part", "po.edi.tmp", "po.edi.filepart", "po.edi.partial", ".po.edi", "notes.txt"] {
        drops.put(name, half);
    }
    assert!(scan(&host).await.is_empty());
    assert_eq!(drops.names("in").len(), 6);
    std::fs::write(drops.path("in/po.edi.part"), order(1)).unwrap();
    std::fs::rename(drops.path("in/po.edi.part"), drops.path("in/po.edi")).unwrap();
    assert!(matches!(scan(&host).await[..], [End::OnRecord { .. }]));
    assert_eq!(host.summary().await.inputs, 1);
}

/// The states in which the end of a host may leave a folder, in their order.
const STATES: [&str; 6] = ["in the inbox", "taken", "journaled", "reply begun", "reply there", "archived"];

/// Brings a folder into a state with the host's own steps, or their files.
async fn bring_to(state: &str, drops: &Drops, host: &TestHost, reply: &(String, Vec<u8>)) {
    let at_least = |other: &str| {
        let place = |wanted: &str| STATES.iter().position(|state| *state == wanted).unwrap();
        place(state) >= place(other)
    };
    drops.put("po-1.edi", &order(1));
    if at_least("taken") {
        std::fs::rename(drops.path("in/po-1.edi"), drops.path("in/.taken/po-1.edi")).unwrap();
    }
    if at_least("journaled") {
        let sender = host.host.pipeline.senders.of_local_file("edi", None).unwrap();
        let input = Input { method: "POST".to_owned(), path: String::new(), headers: Vec::new(), body: order(1) };
        host.host.pipeline.accept(&sender, input).await.unwrap();
    }
    if at_least("reply begun") {
        std::fs::write(drops.path("out").join(format!(".{}.part", reply.0)), &reply.1[..20]).unwrap();
    }
    if at_least("reply there") {
        std::fs::rename(drops.path("out").join(format!(".{}.part", reply.0)), drops.path("out").join(&reply.0))
            .unwrap();
        std::fs::write(drops.path("out").join(&reply.0), &reply.1).unwrap();
    }
    if at_least("archived") {
        let name = reply.0.strip_suffix(".reply").unwrap();
        std::fs::rename(drops.path("in/.taken/po-1.edi"), drops.path("done").join(name)).unwrap();
    }
}

#[tokio::test]
async fn wherever_the_host_ends_a_file_has_one_effect_and_one_reply() {
    let whole = Drops::new();
    let host = watching(whole.setup()).await;
    whole.put("po-1.edi", &order(1));
    scan(&host).await;
    let reply = whole.only("out", ".reply");
    for state in STATES {
        let drops = Drops::new();
        let host = watching(drops.setup()).await;
        bring_to(state, &drops, &host, &reply).await;
        let mut host = host.restart().await;
        host.host.watch().unwrap();
        let ends = scan(&host).await;
        assert!(ends.iter().all(|end| matches!(end, End::OnRecord { .. })), "{state}: {ends:?}");
        assert_eq!(ends.is_empty(), state == "archived", "{state}");

        assert_eq!(drops.names("out"), [reply.0.as_str()], "{state}: whole or absent, and nothing else");
        assert_eq!(drops.bytes("out", &reply.0), reply.1, "{state}");
        assert_eq!(drops.only("done", "").1, order(1), "{state}");
        assert!(drops.names("in").is_empty() && drops.names("in/.taken").is_empty(), "{state}");
        // The same bytes under another name are the same input.
        drops.put("po-1-again.edi", &order(1));
        assert!(matches!(scan(&host).await[..], [End::OnRecord { duplicate: true, .. }]), "{state}");
        host.decide_all().await;
        host.deliver_all().await;
        assert_eq!((host.summary().await.inputs, host.erp.sales_orders().len()), (1, 1), "{state}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_is_told_to_stop_begins_no_further_file() {
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    drops.put("a.edi", &order(1));
    drops.put("b.edi", &order(2));
    let begun = std::sync::atomic::AtomicU32::new(0);
    let once = || begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
    let ends = host.host.folders()[0].scan(&host.host.pipeline, &once).await.unwrap();
    assert!(matches!(&ends[..], [(name, End::OnRecord { .. })] if name == "a.edi"), "{ends:?}");
    assert_eq!(drops.names("in"), ["b.edi"], "the next start takes it");
}

#[tokio::test]
async fn a_file_of_the_same_name_neither_replaces_an_earlier_one_nor_its_reply() {
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    for control in 1..=2 {
        drops.put("po.edi", &order(control));
        assert!(matches!(scan(&host).await[..], [End::OnRecord { duplicate: false, .. }]));
    }
    assert_eq!((drops.names("out").len(), drops.names("done").len()), (2, 2));
}

#[tokio::test]
async fn what_is_no_file_or_too_much_of_one_is_set_aside_with_its_reason() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.edi");
    std::fs::write(&secret, order(9)).unwrap();
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    let inbox = drops.path("in");
    let long = format!("{}.edi", "x".repeat(220));
    let plan: [(&str, &dyn Fn()); 8] = [
        ("not-a-file", &|| std::os::unix::fs::symlink(&secret, inbox.join("link.edi")).unwrap()),
        ("not-a-file", &|| std::os::unix::fs::symlink("../../../secret", inbox.join("up.edi")).unwrap()),
        ("not-a-file", &|| {
            std::fs::create_dir(inbox.join("more.edi")).unwrap();
            std::fs::write(inbox.join("more.edi/inner.edi"), order(1)).unwrap();
        }),
        ("not-a-file", &|| {
            let made = std::process::Command::new("mkfifo").arg(inbox.join("pipe.edi")).status().unwrap();
            assert!(made.success());
        }),
        ("name", &|| std::fs::write(inbox.join(&long), order(1)).unwrap()),
        ("name", &|| std::fs::write(inbox.join("a\u{1b}[2J.edi"), order(1)).unwrap()),
        ("name", &|| {
            let name = std::ffi::OsStr::from_bytes(b"gr\xfc\xdfe.edi");
            std::fs::write(inbox.join(name), order(1)).unwrap();
        }),
        ("too-large", &|| std::fs::File::create(inbox.join("huge.edi")).unwrap().set_len(1 << 30).unwrap()),
    ];
    for (code, put) in plan {
        put();
        let ends = scan(&host).await;
        let [End::Refused(refusal)] = &ends[..] else { panic!("{code}: {ends:?}") };
        assert_eq!(refusal.code(), code, "{refusal}");
        let (found, reason) = drops.reason();
        assert_eq!((found.as_str(), &reason["disposition"]), (code, &"rejected".into()), "{reason}");
        assert_eq!(drops.names("failed").len(), 2, "the file and its reason");
        assert!(drops.names("in").is_empty() && drops.names("in/.taken").is_empty());
        for name in drops.names("failed") {
            let path = drops.path("failed").join(name);
            let is_dir = path.symlink_metadata().unwrap().is_dir();
            if is_dir { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        }
    }
    assert_eq!(std::fs::read(&secret).unwrap(), order(9), "what a link leads to is as it was");
    assert_eq!(host.summary().await.inputs, 0);
    assert!(drops.names("out").is_empty() && drops.names("done").is_empty());
    assert!(host.host.pipeline.metrics.text(&[]).contains("portreeve_refused_total{reason=\"too-large\"} 1"));
}

#[tokio::test]
async fn an_envelope_with_other_bytes_is_refused_with_the_channels_words() {
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    drops.put("a.edi", &x12(1, &PurchaseOrder::clean("PO-1")));
    drops.put("b.edi", &x12(1, &PurchaseOrder::clean("PO-2")));
    let ends = scan(&host).await;
    assert!(matches!(&ends[..], [End::OnRecord { .. }, End::Refused(Refusal::Conflict { .. })]), "{ends:?}");
    let (_, reason) = drops.reason();
    assert!(reason["problems"][0]["detail"].as_str().unwrap().contains("other content"), "{reason}");
    assert_eq!(reason["file"], "b.edi");
    // The partner finds its TA1 where it looks for answers, under the name that the failed file has.
    let (reason, failed) = (drops.only("failed", ".reason.json").0, drops.names("failed"));
    let kept = failed.iter().find(|name| !name.ends_with(".reason.json")).unwrap();
    let reply = drops.bytes("out", &format!("{kept}.reply"));
    assert!(String::from_utf8_lossy(&reply).contains("TA1*000000001*260302*0800*R*025~"), "{kept}");
    assert_eq!((reason, drops.names("out").len()), (format!("{kept}.reason.json"), 2), "one reply for each file");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn wherever_the_host_ends_a_refused_file_has_one_reply_and_it_is_whole() {
    for state in ["taken", "refused", "reply begun", "reply there", "reason there"] {
        let drops = Drops::new();
        let host = watching(drops.setup()).await;
        drops.put("a.edi", &x12(1, &PurchaseOrder::clean("PO-1")));
        scan(&host).await;
        let taken = drops.names("out");
        let other = x12(1, &PurchaseOrder::clean("PO-2"));
        drops.put("b.edi", &other);
        let answers = || drops.names("out").into_iter().filter(|name| !taken.contains(name)).collect::<Vec<_>>();
        let mut answered = None;
        if ["taken", "refused"].contains(&state) {
            std::fs::rename(drops.path("in/b.edi"), drops.path("in/.taken/b.edi")).unwrap();
            if state == "refused" {
                let sender = host.host.pipeline.senders.of_local_file("edi", None).unwrap();
                let input = Input { method: "POST".to_owned(), path: String::new(), headers: Vec::new(), body: other };
                match host.host.pipeline.accept(&sender, input).await {
                    Err(AcceptError::Conflict { reply: Some(reply), .. }) => answered = Some(reply.body),
                    sent => panic!("{sent:?}"),
                }
            }
        } else {
            // To its end, and back to the step before: a rename leaves a file what it is.
            scan(&host).await;
            let reason = drops.only("failed", ".reason.json").0;
            let name = reason.strip_suffix(".reason.json").unwrap();
            std::fs::rename(drops.path("failed").join(name), drops.path("in/.taken/b.edi")).unwrap();
            if state != "reason there" {
                std::fs::remove_file(drops.path("failed").join(&reason)).unwrap();
            }
            let reply = drops.path("out").join(format!("{name}.reply"));
            let whole = std::fs::read(&reply).unwrap();
            if state == "reply begun" {
                std::fs::remove_file(&reply).unwrap();
                std::fs::write(drops.path("out").join(format!(".{name}.reply.part")), &whole[..20]).unwrap();
            }
            answered = Some(whole);
        }
        host.clock.advance_to(MORNING.plus_ms(3_600_000));
        let mut host = host.restart().await;
        host.host.watch().unwrap();
        let ends = scan(&host).await;
        assert!(matches!(&ends[..], [End::Refused(Refusal::Conflict { .. })]), "{state}: {ends:?}");

        let [name] = &answers()[..] else { panic!("{state}: {:?}", drops.names("out")) };
        let reply = drops.bytes("out", name);
        assert!(String::from_utf8_lossy(&reply).contains("*R*025~"), "{state}");
        if let Some(answered) = answered {
            assert_eq!(reply, answered, "{state}: no second answer under another number");
        }
        assert_eq!(drops.names("failed").len(), 2, "{state}: the file and its reason");
        assert!(drops.names("in").is_empty() && drops.names("in/.taken").is_empty(), "{state}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_refusal_that_cannot_be_put_in_place_is_owed_and_the_file_stays_until_it_is() {
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    drops.put("a.edi", &x12(1, &PurchaseOrder::clean("PO-1")));
    drops.put("b.edi", &x12(1, &PurchaseOrder::clean("PO-2")));
    scan(&host).await;
    let reason = drops.only("failed", ".reason.json").0;
    let name = reason.strip_suffix(".reason.json").unwrap();
    std::fs::rename(drops.path("failed").join(name), drops.path("in/.taken/b.edi")).unwrap();
    std::fs::remove_file(drops.path("failed").join(&reason)).unwrap();
    let in_the_way = drops.path("out").join(format!("{name}.reply"));
    let reply = std::fs::read(&in_the_way).unwrap();
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    let ends = scan(&host).await;
    let [End::Later { due_at, .. }] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((drops.names("failed").len(), drops.names("in/.taken")), (0, vec!["b.edi".to_owned()]));
    std::fs::remove_dir(&in_the_way).unwrap();
    host.clock.advance_to(*due_at);
    assert!(matches!(&scan(&host).await[..], [End::Refused(_)]));
    assert_eq!((std::fs::read(&in_the_way).unwrap(), drops.names("failed").len()), (reply, 2));
}

#[tokio::test]
async fn a_file_that_the_host_may_not_read_is_refused() {
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    drops.put("po.edi", &order(1));
    let file = drops.path("in/po.edi");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read(&file).is_ok() {
        say("skipped: this user may read every file, so that none is unreadable");
        return;
    }
    let ends = scan(&host).await;
    assert!(matches!(&ends[..], [End::Refused(Refusal::Unreadable(_))]), "{ends:?}");
    assert_eq!(drops.reason().0, "unreadable");
}

#[tokio::test]
async fn passing_trouble_leaves_a_file_for_later_and_lets_others_pass() {
    let drops = Drops::new();
    let host = drops.setup().start().await;
    let (mut host, store) =
        host.restart_behind(|store| FaultyStore::new(store, "journal", Fault::NotPersisted, 0)).await;
    host.host.watch().unwrap();
    drops.put("a.edi", &order(1));
    drops.put("b.edi", &order(2));
    let ends = scan(&host).await;
    assert!(store.has_failed());
    let [End::Later { due_at, .. }, End::OnRecord { .. }] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!(drops.names("in/.taken"), ["a.edi"]);
    // A namesake does not take its place.
    drops.put("a.edi", &order(3));
    assert!(scan(&host).await.is_empty(), "its time has not come");
    host.clock.advance_to(*due_at);
    assert!(matches!(scan(&host).await[..], [End::OnRecord { duplicate: false, .. }]));
    assert!(matches!(scan(&host).await[..], [End::OnRecord { duplicate: false, .. }]));
    assert_eq!((host.summary().await.inputs, drops.names("done").len()), (3, 3));
}

#[tokio::test]
async fn trouble_that_does_not_pass_ends_with_the_failed_ones() {
    let drops = Drops::new();
    let setup = drops
        .setup()
        .plugin("hostile-connector", "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }")
        .replace("portreeve.toml", "connector = \"x12\"", "connector = \"hostile-connector\"")
        .replace("portreeve.toml", "documents = { \"x12/850\" = \"x12-orders\" }", "documents = {}")
        .replace("portreeve.toml", "settings = { currency = \"USD\" }", "settings = { receive = \"retry\" }");
    let host = watching(setup).await;
    drops.put("po.edi", &order(1));
    let mut tries = 0;
    let refusal = loop {
        match scan(&host).await.pop() {
            Some(End::Later { due_at, .. }) => host.clock.advance_to(due_at),
            Some(End::Refused(refusal)) => break refusal,
            other => panic!("{other:?}"),
        }
        tries += 1;
    };
    assert!((60..100).contains(&tries), "{tries}");
    assert_eq!(refusal.code(), "busy");
    let waited_minutes = (host.clock.now().0 - MORNING.0) / 60_000;
    assert!((60..62).contains(&waited_minutes), "{waited_minutes}");
    assert!(drops.reason().1["problems"][0]["detail"].as_str().unwrap().contains("into the inbox again"));
    assert_eq!(host.summary().await.inputs, 0);
}

#[tokio::test]
async fn a_reply_that_cannot_be_put_in_place_is_owed_until_it_is() {
    let drops = Drops::new();
    let host = watching(drops.setup()).await;
    drops.put("po.edi", &order(1));
    scan(&host).await;
    let (name, reply) = drops.only("out", ".reply");
    let in_the_way = drops.path("out").join(&name);
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    drops.put("po.edi", &order(1));
    let ends = scan(&host).await;
    let [End::Later { due_at, .. }] = &ends[..] else { panic!("{ends:?}") };
    assert!(drops.names("failed").is_empty(), "it is on record");
    std::fs::remove_dir(&in_the_way).unwrap();
    host.clock.advance_to(*due_at);
    assert!(matches!(scan(&host).await[..], [End::OnRecord { duplicate: true, .. }]));
    assert_eq!(drops.bytes("out", &name), reply);
}

#[tokio::test]
async fn without_an_archive_what_is_on_record_is_removed() {
    let drops = Drops::new();
    let entry = drops.entry("").lines().filter(|line| !line.starts_with("archive")).collect::<Vec<_>>().join("\n");
    let host = watching(Setup::demo().append("portreeve.toml", &format!("\n{entry}\n"))).await;
    drops.put("po.edi", &order(1));
    assert!(matches!(scan(&host).await[..], [End::OnRecord { .. }]));
    assert!(drops.names("done").is_empty() && drops.names("in/.taken").is_empty());
    assert_eq!(drops.names("out").len(), 1);
}

#[tokio::test]
async fn folders_that_cannot_be_watched_never_become_active() {
    let refused = |drops: &Drops, entry: String| {
        let config = Setup::demo().append("portreeve.toml", &entry).configuration(drops.folder.path());
        async move {
            let folder = tempfile::tempdir().unwrap();
            let locations = portreeve::host::Locations::below(folder.path(), &tree().target().join("portreeve"));
            let store: Arc<dyn Store> = locations.store().unwrap();
            let proposed = Proposed::read(&config);
            let error = match proposed {
                Ok(proposed) => host::activate(&store, &locations, &proposed, MORNING).await.unwrap_err(),
                Err(error) => error,
            };
            assert!(store.active_configuration().await.unwrap().is_none());
            format!("{error:#}")
        }
    };
    let drops = Drops::new();
    let entry = |more: &str| drops.entry(more);
    let replaced = |from: &str, to: &str| {
        let path = |place: &str| format!("\"{}\"", drops.path(place).display());
        entry("").replace(&path(from), &path(to))
    };
    for (entry, expected) in [
        (replaced("in", "nowhere"), "`inbox` is `"),
        (replaced("out", "nowhere"), "which is no folder that can be opened; make it first"),
        (replaced("out", "in"), "keep them apart"),
        (replaced("done", "in/.taken"), "no folder"),
        (entry("").replace("channel = \"edi\"", "channel = \"fax\""), "channel `fax` has no sender"),
        (entry("sender = \"nobody\""), "has no sender `nobody`"),
        (entry("poll_ms = 0"), "`poll_ms` of folder"),
        (entry("poll_seconds = 1"), "poll_seconds"),
    ] {
        let error = refused(&drops, entry).await;
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    }
    std::fs::create_dir(drops.path("in/done")).unwrap();
    assert!(refused(&drops, replaced("done", "in/done")).await.contains("is in or the same as `inbox`"));
    std::fs::remove_dir(drops.path("in/done")).unwrap();

    // Two folders that are each well in themselves must not feed each other.
    let others = Drops::new();
    let shared = |their: &str, our: &str| {
        let path = |drops: &Drops, place: &str| format!("\"{}\"", drops.path(place).display());
        format!("{}{}", entry(""), others.entry("").replace(&path(&others, their), &path(&drops, our)))
    };
    for (their, our, place) in
        [("out", "in", "outbox"), ("done", "in", "archive"), ("failed", "in", "failed"), ("in", "out", "outbox")]
    {
        let error = refused(&drops, shared(their, our)).await;
        let expected = format!("the `{place}` of another one: what the host puts there would come back as an input");
        assert!(error.contains(&expected), "expected `{expected}` in: {error}");
    }
    drop(watching(Setup::demo().append("portreeve.toml", &shared("out", "out"))).await);

    let host = watching(drops.setup()).await;
    let second = refused(&drops, entry("")).await;
    assert!(second.contains("another process watches the inbox"), "{second}");
    drop(host);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_works_takes_files_by_itself() {
    let drops = Drops::new();
    let host = watching(drops.setup_with("poll_ms = 1")).await;
    drops.put("po.edi", &order(1));
    let (stop, stopping) = watch::channel(false);
    let arrived = async {
        while host.erp.sales_orders().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.send_replace(true);
    };
    let (worked, ()) = tokio::join!(host.host.work(stopping), arrived);
    worked.unwrap();
    assert_eq!(drops.names("out").len(), 1);
    assert!(is_empty(&drops.path("in/.taken")));
    host.verify().await.unwrap();
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().all(|entry| entry.unwrap().file_name() == ".lock")
}
