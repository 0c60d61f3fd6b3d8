//! From a file to what routes call, and back: each step by itself, what it refuses, and
//! what the log says about it.

use std::path::PathBuf;
use std::sync::Arc;

use portreeve_api::package::{Act, Lifecycle, Refusal};
use portreeve_model::Digest;
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::{Active, Clock as _, Slot, Why};
use portreeve_record::LeafBody;
use portreeve_record::leaf::PackageStep;
use portreeve_store::contract::OrderState;

use super::{changed, name, of_version};
use crate::faults::{Fault, FaultyStore};
use crate::support::{MORNING, PurchaseOrder, Setup, TestHost, component, publisher, sign, trust_in, x12};

/// Steps of packages in the log, with the component and the version of each.
async fn steps(host: &TestHost) -> Vec<(PackageStep, Digest, Option<u64>)> {
    let leaves = host.leaves().await.into_iter();
    let steps = leaves.filter_map(|leaf| match leaf.body {
        LeafBody::Package(package) => Some((package.step, package.component, package.configuration)),
        _ => None,
    });
    steps.collect()
}

async fn refusal<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().to_string()
}

/// Which component scored the order of this number.
async fn scored_by(host: &TestHost, number: &str, plugin: &str) -> (Digest, u64) {
    let order = host.order(number).await;
    let decision = host.decision(&order).await;
    let scoring = decision.scorings.iter().find(|scoring| scoring.plugin.as_str() == plugin).unwrap();
    (scoring.component, decision.configuration)
}

async fn order(host: &TestHost, control: u32) -> String {
    let number = format!("PO-{control}");
    host.send_edi(&x12(control, &PurchaseOrder::clean(&number))).await.unwrap();
    host.decide_all().await;
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_goes_from_a_file_to_what_routes_call_and_back_and_each_step_is_on_record() {
    let host = TestHost::demo().await;
    let packages = &host.host.packages;
    let fraud = name("fraud");
    let old = Digest::of(&std::fs::read(component("fraud")).unwrap());
    let first = order(&host, 1).await;
    assert_eq!(scored_by(&host, &first, "fraud").await, (old, 1));

    let bytes = of_version("fraud", "0.2.0");
    let new = Digest::of(&bytes);
    let row = packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    assert_eq!((row.version.as_str(), row.state.as_str(), row.digest), ("0.2.0", "installed", new.to_string()));
    let nothing = refusal(packages.act(&fraud, Act::Activate { component: None }, "ops").await).await;
    assert!(nothing.contains("nothing of `fraud` is staged"), "{nothing}");
    let staged = packages.act(&fraud, Act::Stage { component: new, grant: None }, "ops").await.unwrap();
    assert_eq!((staged.state.as_str(), staged.configuration, staged.grown.len()), ("staged", 1, 0));
    let second = order(&host, 2).await;
    assert_eq!(scored_by(&host, &second, "fraud").await, (old, 1), "what is staged is not called");

    let active = packages.act(&fraud, Act::Activate { component: None }, "ops").await.unwrap();
    assert_eq!((active.state.as_str(), active.configuration), ("active", 2));
    let third = order(&host, 3).await;
    assert_eq!(scored_by(&host, &third, "fraud").await, (new, 2));

    let back = packages.act(&fraud, Act::Rollback, "ops").await.unwrap();
    assert_eq!((back.component, back.configuration), (old.to_string(), 3));
    let fourth = order(&host, 4).await;
    assert_eq!(scored_by(&host, &fourth, "fraud").await, (old, 3));
    let no_further = refusal(packages.act(&fraud, Act::Rollback, "ops").await).await;
    assert!(no_further.contains("no earlier component"), "{no_further}");

    let expected = [
        (PackageStep::Installed, new, None),
        (PackageStep::Staged, new, Some(1)),
        (PackageStep::Activated, new, Some(2)),
        (PackageStep::RolledBack, old, Some(3)),
    ];
    assert_eq!(steps(&host).await, expected);
    assert_eq!(host.verify().await.unwrap().kinds.package, 4);
    // What is active is what the store says: also after a restart, whatever the folder has.
    let store = Arc::clone(&host.store);
    drop(host);
    assert_eq!(store.active_configuration().await.unwrap().unwrap().version, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_asks_for_more_is_told_what_grew_and_needs_a_grant_of_its_own() {
    // The grant that there is would cover it.
    let host = Setup::demo().grant("fraud", "{ lookup = [\"customer\", \"item\"] }").start().await;
    let packages = &host.host.packages;
    let bytes = changed(
        "fraud",
        &[
            ("version = \"0.1.0\"", "version = \"0.1.1\""),
            ("lookup = [\"customer\"]", "lookup = [\"customer\", \"item\"]\nlog = true\n[limits]\nfuel = 300000000"),
        ],
    );
    let new = Digest::of(&bytes);
    packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();

    let stage = |grant: Option<&str>| {
        let act = Act::Stage { component: new, grant: grant.map(str::to_owned) };
        async move { packages.act(&name("fraud"), act, "ops").await }
    };
    let told = refusal(stage(None).await).await;
    for part in [
        "asks for more than the version that is active",
        "`imports.lookup`: also item, before [customer]",
        "`imports.log`: true, before false",
        "`limits.fuel`: 300000000, before 200000000",
    ] {
        assert!(told.contains(part), "expected `{part}` in: {told}");
    }
    let told = refusal(stage(Some("lookup = [\"customer\"]")).await).await;
    assert!(told.contains("`log = true` in its grant") && told.contains("`item` in `lookup`"), "both gaps: {told}");
    let told = refusal(stage(Some("wish = 1")).await).await;
    assert!(told.contains("the grant cannot be understood"), "{told}");
    let grant = "log = true\nlookup = [\"customer\", \"item\"]\nlimits = { fuel = 300000000 }";
    assert_eq!(stage(Some(grant)).await.unwrap().grown.len(), 3);
    packages.act(&name("fraud"), Act::Activate { component: Some(new) }, "ops").await.unwrap();
    let active = host.host.pipeline.plugins.now();
    assert_eq!(active.installed(&name("fraud")).unwrap().plugin.spec().limits.fuel, 300_000_000);

    // Going back takes the grant of then along.
    packages.act(&name("fraud"), Act::Rollback, "ops").await.unwrap();
    let active = host.host.pipeline.plugins.now();
    assert_eq!(active.installed(&name("fraud")).unwrap().plugin.spec().limits.fuel, 200_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_takes_anothers_place_brings_the_model_file_that_it_declares() {
    let (model, earlier) = (&b"the model of the tests"[..], &b"an earlier model"[..]);
    let (digest, before) = (Digest::of(model), Digest::of(earlier));
    let folder = tempfile::tempdir().unwrap();
    let file = |digest: Digest| folder.path().join(hex::encode(digest.as_bytes()));
    std::fs::write(file(before), earlier).unwrap();
    // The version before declares another file, and nobody asks it.
    let old =
        changed("artifact-prier", &[("0.1.0\"\nkind", "0.0.1\"\nkind"), (&digest.to_string(), &before.to_string())]);
    let path = folder.path().join("old.wasm");
    std::fs::write(&path, &old).unwrap();
    let host = Setup::demo()
        .plugin_at("artifact-prier", &path, &format!("{{ artifact = [\"{before}\"] }}"))
        .scorers(&["artifact-prier"])
        .replace("portreeve.toml", "[host]\n", &format!("[host]\nmodels = \"{}\"\n", folder.path().display()))
        .start()
        .await;
    let (packages, prier) = (&host.host.packages, name("artifact-prier"));
    let bytes = std::fs::read(component("artifact-prier")).unwrap();
    packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    let stage = || {
        let grant = Some(format!("artifact = [\"{digest}\"]"));
        packages.act(&prier, Act::Stage { component: Digest::of(&bytes), grant }, "ops")
    };
    let told = refusal(stage().await).await;
    assert!(told.contains("reads model") && told.contains("cannot be read"), "{told}");
    std::fs::write(file(digest), model).unwrap();
    stage().await.unwrap();
    packages.act(&prier, Act::Activate { component: None }, "ops").await.unwrap();

    let number = order(&host, 1).await;
    let scored = host.order(&number).await;
    assert_eq!(host.decision(&scored).await.scorings[0].failure, None, "it traps without its own file");
    // What is held is not read again: the files of others may be gone when somebody has to act.
    std::fs::remove_file(file(digest)).unwrap();
    packages.act(&name("fulfilment"), Act::Disable, "ops").await.unwrap();
    assert!(matches!(host.rederive(scored.id).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_everything_as_it_was() {
    let host = TestHost::demo().await;
    let packages = &host.host.packages;
    let before = packages.list().await.unwrap().len();
    let good = of_version("fraud", "0.2.0");
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    for (bytes, signature, expected) in [
        (&cut, Some(sign(&good)), "this is no component"),
        (&good, None, "it is not signed"),
        (&good, Some("no signature".to_owned()), "signature file cannot be used"),
        (&good, Some(sign(&of_version("fraud", "0.3.0"))), "its signature file is about digest"),
    ] {
        let told = refusal(packages.install(bytes, signature.as_deref(), "ops").await).await;
        assert!(told.contains(expected), "expected `{expected}` in: {told}");
    }
    let unknown = Act::Stage { component: Digest::of(b"never"), grant: None };
    assert!(refusal(packages.act(&name("fraud"), unknown, "ops").await).await.contains("is installed"));
    for act in [Act::Rollback, Act::Disable, Act::Activate { component: None }] {
        let told = refusal(packages.act(&name("nobody"), act, "ops").await).await;
        assert!(told.contains("the configuration has no plugin `nobody`"), "{told}");
    }
    // Another kind under a name that routes call.
    let scorer = changed("margin", &[("name = \"margin\"", "name = \"x12-orders\"")]);
    packages.install(&scorer, Some(&sign(&scorer)), "ops").await.unwrap();
    let act = Act::Stage { component: Digest::of(&scorer), grant: Some("lookup = [\"item\"]".to_owned()) };
    let told = refusal(packages.act(&name("x12-orders"), act, "ops").await).await;
    assert!(told.contains("is a scorer now, and channel `edi` needs a transformer"), "{told}");

    assert_eq!(packages.list().await.unwrap().len(), before + 1);
    assert_eq!(host.store.active_configuration().await.unwrap().unwrap().version, 1);
    let kept = std::fs::read_dir(host.folder().join("data/components")).unwrap().count();
    assert_eq!(kept, 2 * (before + 1), "nothing is left of what was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_scorer_is_not_called_its_orders_wait_and_go_on_when_it_is_called_again() {
    let host = TestHost::demo().await;
    let packages = &host.host.packages;
    let fraud = name("fraud");
    packages.act(&fraud, Act::Disable, "ops").await.unwrap();
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    assert!(host.decide_all().await.is_empty());
    assert_eq!(host.summary().await.undecided, 1, "it waits, and nobody is asked");
    let door = host.front_door().await;
    let metrics = door.ask("/metrics").await;
    assert!(metrics.contains("portreeve_not_called_total{plugin=\"fraud\",reason=\"disabled\"} 1"), "{metrics}");
    door.close().await;
    let state = packages.list().await.unwrap().into_iter().find(|row| row.plugin == "fraud").unwrap().state;
    assert_eq!(state, "disabled");
    assert!(refusal(packages.act(&fraud, Act::Disable, "ops").await).await.contains("disabled already"));

    // A restart changes nothing about it, nor does the same folder again.
    let host = host.restart().await;
    assert!(host.decide_all().await.is_empty());
    let packages = &host.host.packages;
    packages.act(&fraud, Act::Activate { component: None }, "ops").await.unwrap();
    assert_eq!(host.decide_all().await.len(), 1);
    assert_eq!(host.order("PO-1").await.state, OrderState::Released);
    assert_eq!(
        steps(&host).await.iter().map(|step| step.0).collect::<Vec<_>>(),
        [PackageStep::Disabled, PackageStep::Activated]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_stops_all_plugins_and_what_was_accepted_before_goes_on_after_it() {
    let host = TestHost::demo().await;
    let packages = &host.host.packages;
    assert!(refusal(packages.resume("ops").await).await.contains("no plugins are stopped"));
    for (control, number) in [(1, "PO-1"), (2, "PO-2")] {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
        if control == 1 {
            host.decide_all().await;
        }
    }
    // One order is released and not delivered, one waits to be read, one is still to come.
    let halted = packages.halt("ops").await.unwrap();
    assert_eq!((halted.configuration, halted.plugins.len()), (2, 9));
    assert!(refusal(packages.halt("ops").await).await.contains("stopped already"));
    // Its connector is not called, so that nobody can read it; it is kept, and a person told.
    host.send_edi(&x12(3, &PurchaseOrder::clean("PO-3"))).await.unwrap();
    assert_eq!(host.summary().await.unparsed_inputs, 1);
    assert_eq!(host.exceptions().await.last().unwrap().code, "halted");
    assert!(host.decide_all().await.is_empty());
    host.deliver_due().await;
    assert!(host.erp.sales_orders().is_empty(), "no connector is called");
    assert!(packages.list().await.unwrap().iter().all(|row| row.state == "halted"));

    // A restart ends no halt, nor does what is done about one plugin.
    let host = host.restart().await;
    let packages = &host.host.packages;
    packages.act(&name("fraud"), Act::Disable, "ops").await.unwrap();
    packages.act(&name("fraud"), Act::Activate { component: None }, "ops").await.unwrap();
    host.clock.advance_to(host.clock.now().plus_ms(10 * 60_000));
    assert!(host.decide_all().await.is_empty());
    host.deliver_due().await;
    assert!(host.erp.sales_orders().is_empty());

    let resumed = packages.resume("boss").await.unwrap();
    assert!(!resumed.halted);
    host.decide_all().await;
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 2);
    assert_eq!(host.summary().await.unparsed_inputs, 1, "what came meanwhile is a person's");
    let steps: Vec<PackageStep> = steps(&host).await.into_iter().map(|step| step.0).collect();
    let changed = [PackageStep::Disabled, PackageStep::Activated];
    assert_eq!(steps, [&[PackageStep::Halted; 9][..], &changed, &[PackageStep::Resumed; 9]].concat());
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_keeps_nobody_from_stopping_all_plugins() {
    for (fault, recorded) in [(Fault::NotPersisted, false), (Fault::PersistedButFailed, true)] {
        let host = TestHost::demo().await;
        let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "change_packages", fault, 0)).await;
        let packages = &host.host.packages;
        host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
        let halted = packages.halt("ops").await;
        assert_eq!(halted.is_ok(), recorded, "{fault:?}: {halted:?}");
        if let Err(error) = halted {
            assert!(error.to_string().contains("are stopped in this process"), "{error}");
        }
        assert!(host.host.pipeline.plugins.is_halted());
        assert!(host.decide_all().await.is_empty(), "{fault:?}");
        // Once more, where it is not on record yet.
        assert_eq!(packages.halt("ops").await.is_ok(), !recorded, "{fault:?}");
        let host = host.restart().await;
        assert!(host.host.pipeline.plugins.is_halted() && host.decide_all().await.is_empty());
        host.host.packages.resume("ops").await.unwrap();
        assert_eq!(host.decide_all().await.len(), 1);
        let steps: Vec<PackageStep> = steps(&host).await.into_iter().map(|step| step.0).collect();
        assert_eq!(steps, [[PackageStep::Halted; 9], [PackageStep::Resumed; 9]].concat(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_stopped_is_not_called_any_more_also_in_the_middle_of_a_batch() {
    for stop_all in [true, false] {
        let host = TestHost::demo().await;
        let (host, store) = host.restart_behind(FaultyStore::sound).await;
        host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
        let pipeline = Arc::clone(&host.host.pipeline);
        store.meanwhile(move || {
            if stop_all {
                return pipeline.plugins.halt();
            }
            let now = pipeline.plugins.now();
            let (mut plugins, models) = (now.plugins.clone(), Arc::clone(&now.models));
            let component = now.installed(&name("fraud")).unwrap().digest;
            plugins.insert(name("fraud"), Slot::Stopped { component, why: Why::Disabled });
            pipeline.plugins.put(Active { configuration: 2, plugins, models });
        });
        assert!(host.decide_all().await.is_empty(), "it was read, and its scorer is not called");
        let metrics = host.host.pipeline.metrics.text(&[]);
        let reason = if stop_all { "halted" } else { "disabled" };
        let expected = format!("portreeve_not_called_total{{plugin=\"fraud\",reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&expected), "{metrics}");
        assert_eq!(host.summary().await.undecided, 1);
    }
}

/// The file of the component that a plugin has.
fn file_of(host: &TestHost, plugin: &str) -> PathBuf {
    let active = host.host.pipeline.plugins.now();
    let digest = active.installed(&name(plugin)).unwrap().digest;
    host.folder().join(format!("data/components/{}.wasm", hex::encode(digest.as_bytes())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_whose_component_cannot_be_read_is_stopped_all_the_same() {
    let host = TestHost::demo().await;
    let packages = &host.host.packages;
    for file in std::fs::read_dir(host.folder().join("data/components")).unwrap() {
        std::fs::write(file.unwrap().path(), "no component").unwrap();
    }
    packages.act(&name("fraud"), Act::Disable, "ops").await.unwrap();
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    assert!(host.decide_all().await.is_empty(), "fraud is not called");
    packages.act(&name("fraud"), Act::Activate { component: None }, "ops").await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_component_stops_its_plugin_alone_and_installing_it_again_mends_it() {
    let host = TestHost::demo().await;
    let (file, bytes) = (file_of(&host, "fraud"), std::fs::read(component("fraud")).unwrap());
    std::fs::write(&file, "no component").unwrap();
    let clock = Arc::clone(&host.clock);
    let host = host.with_clock(clock).await;
    let packages = &host.host.packages;
    let states = async || {
        let rows = packages.list().await.unwrap().into_iter();
        rows.map(|row| (row.plugin, row.state)).filter(|(_, state)| state != "active").collect::<Vec<_>>()
    };
    assert_eq!(states().await, [("fraud".to_owned(), "unreadable".to_owned())]);
    let number = order(&host, 1).await;
    assert!(host.orders().await.is_empty(), "its orders wait");
    // Nobody has to read it to change whom the host trusts, or to disable another plugin.
    let trusted = packages.trust(trust_in("portreeve"), "ops").await.unwrap();
    assert_eq!((trusted.stopped.len(), trusted.restored.len()), (0, 0));
    packages.act(&name("margin"), Act::Disable, "ops").await.unwrap();
    packages.act(&name("margin"), Act::Activate { component: None }, "ops").await.unwrap();
    // Nothing says what it asked for, so that any other version needs a grant of its own.
    let other = of_version("fraud", "0.2.0");
    packages.install(&other, Some(&sign(&other)), "ops").await.unwrap();
    let stage = Act::Stage { component: Digest::of(&other), grant: None };
    let told = refusal(packages.act(&name("fraud"), stage, "ops").await).await;
    assert!(told.contains("what the active version asks for is not known"), "{told}");

    packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    packages.act(&name("fraud"), Act::Activate { component: Some(Digest::of(&bytes)) }, "ops").await.unwrap();
    assert_eq!(states().await, [("fraud".to_owned(), "installed".to_owned())], "the other version");
    host.clock.advance_to(MORNING.plus_ms(2 * portreeve_model::Instant::MINUTE_MS));
    host.decide_all().await;
    assert_eq!(host.order(&number).await.state, OrderState::Released);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_was_withdrawn_does_not_come_back_with_an_earlier_component_or_a_staged_one() {
    let host = TestHost::demo().await;
    let (fraud, old) = (name("fraud"), Digest::of(&std::fs::read(component("fraud")).unwrap()));
    let take_in = async |host: &TestHost, version: &str, grant: Option<&str>| {
        let bytes = of_version("fraud", version);
        let component = Digest::of(&bytes);
        host.host.packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
        let stage = Act::Stage { component, grant: grant.map(str::to_owned) };
        host.host.packages.act(&fraud, stage, "ops").await.unwrap();
        component
    };
    let steps = async |host: &TestHost| {
        let now = host.host.pipeline.plugins.now();
        let installed = now.installed(&fraud).unwrap();
        let limits = installed.limits.iter().find(|settled| settled.limit.name == "fuel").unwrap();
        (installed.digest, limits.granted)
    };
    let second = take_in(&host, "0.2.0", None).await;
    host.host.packages.act(&fraud, Act::Activate { component: None }, "ops").await.unwrap();
    let third = take_in(&host, "0.3.0", Some("lookup = [\"customer\"]\nlimits = { fuel = 30_000_000 }")).await;
    host.host.packages.act(&fraud, Act::Activate { component: None }, "ops").await.unwrap();
    assert_eq!(steps(&host).await, (third, Some(30_000_000)));
    take_in(&host, "0.4.0", Some("lookup = [\"customer\"]\nlimits = { fuel = 31_000_000 }")).await;

    // The folder has the first component, and a grant that gives less than those before.
    let narrower = "grant = { lookup = [\"customer\"], limits = { fuel = 9_000_000 } }";
    let setup = Setup::demo().replace("portreeve.toml", "grant = { lookup = [\"customer\"] }", narrower);
    let host = host.restart_as(setup).await;
    assert_eq!(steps(&host).await, (old, Some(9_000_000)));
    let told = refusal(host.host.packages.act(&fraud, Act::Activate { component: None }, "ops").await).await;
    assert!(told.contains("nothing of `fraud` is staged"), "its grant is withdrawn: {told}");
    for earlier in [third, second] {
        host.host.packages.act(&fraud, Act::Rollback, "ops").await.unwrap();
        assert_eq!(steps(&host).await, (earlier, Some(9_000_000)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_publisher_stops_its_packages_at_the_next_call_and_its_events_do_as_their_route_says() {
    let exception = "target = \"erp\"\nwhen_stopped = \"exception\"\n";
    let host = Setup::demo().replace("portreeve.toml", "target = \"erp\"\n", exception).start().await;
    let packages = &host.host.packages;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    let trust = trust_in("portreeve").replace("[[publisher.key]]\n", "[[publisher.key]]\nrevoked = true\n");
    let told = refusal(packages.trust("[[publisher]]\nname = 1\n".to_owned(), "ops").await).await;
    assert!(told.contains("trust.toml:2") && told.contains("missing"), "all that is wrong: {told}");

    let stopped = packages.trust(trust, "ops").await.unwrap();
    assert_eq!((stopped.configuration, stopped.stopped.len(), stopped.restored.len()), (2, 9, 0));
    // A document that waits for its transformer, and an input for its connector.
    host.decide_all().await;
    let kept = host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    assert_eq!(kept.reply.status, 202, "the bytes are kept");
    let codes: Vec<String> = host.exceptions().await.into_iter().map(|exception| exception.code).collect();
    assert_eq!(codes, ["not-trusted", "not-trusted"]);
    // Nothing can be taken by that key any more, and nothing is gone back to.
    let bytes = of_version("fraud", "0.2.0");
    let told = refusal(packages.install(&bytes, Some(&sign(&bytes)), "ops").await).await;
    assert!(told.contains("was revoked"), "{told}");

    let clock = Arc::clone(&host.clock);
    let host = host.with_clock(clock).await;
    let packages = &host.host.packages;
    let states: Vec<String> = packages.list().await.unwrap().into_iter().map(|row| row.state).collect();
    assert!(states.iter().all(|state| state == "not-trusted"), "also after a restart: {states:?}");
    let again = packages.trust(trust_in("portreeve"), "ops").await.unwrap();
    assert_eq!((again.configuration, again.restored.len()), (3, 9));
    host.send_edi(&x12(3, &PurchaseOrder::clean("PO-3"))).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.order("PO-3").await.state, OrderState::Released);
    let steps: Vec<PackageStep> = steps(&host).await.iter().map(|step| step.0).collect();
    assert_eq!(steps, [[PackageStep::Distrusted; 9], [PackageStep::Activated; 9]].concat());
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_from_a_day_on_stops_its_packages_on_that_day_without_anybodys_doing() {
    let host = TestHost::demo().await;
    let trust = trust_in("portreeve").replace("[[publisher.key]]\n", "[[publisher.key]]\nrevoked = 2026-03-03\n");
    let changed = host.host.packages.trust(trust, "ops").await.unwrap();
    assert!(changed.stopped.is_empty());
    order(&host, 1).await;
    host.clock.advance_to(MORNING.plus_ms(portreeve_model::Instant::DAY_MS));
    let kept = host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    assert_eq!(kept.reply.status, 202);
    assert_eq!(host.exceptions().await[0].code, "not-trusted");
    let distrusted =
        async |host: &TestHost| steps(host).await.into_iter().filter(|step| step.0 == PackageStep::Distrusted).count();
    for _ in 0..2 {
        host.host.packages.lapse().await.unwrap();
        assert_eq!(distrusted(&host).await, 9, "once");
    }
    let states: Vec<String> = host.host.packages.list().await.unwrap().into_iter().map(|row| row.state).collect();
    assert!(states.iter().all(|state| state == "not-trusted"), "{states:?}");
    let clock = Arc::clone(&host.clock);
    let host = host.with_clock(clock).await;
    assert_eq!(distrusted(&host).await, 9, "a start finds it on record");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_ended_while_no_host_worked_is_on_record_at_the_next_start() {
    let host = TestHost::demo().await;
    let trust = trust_in("portreeve").replace("[[publisher.key]]\n", "[[publisher.key]]\nrevoked = 2026-03-03\n");
    host.host.packages.trust(trust, "ops").await.unwrap();
    let clock = Arc::clone(&host.clock);
    clock.advance_to(MORNING.plus_ms(portreeve_model::Instant::DAY_MS));
    let host = host.with_clock(Arc::clone(&clock) as _).await;
    assert_eq!(steps(&host).await.len(), 9);
    let host = host.with_clock(clock).await;
    let steps = steps(&host).await;
    assert_eq!(steps.len(), 9, "once");
    assert!(steps.iter().all(|step| step.0 == PackageStep::Distrusted && step.2.is_none()), "{steps:?}");
}

/// A host on which the second version of `fraud` is staged, and that fails at the next change.
async fn staged_before(fault: Fault) -> (TestHost, Digest) {
    let host = TestHost::demo().await;
    let bytes = of_version("fraud", "0.2.0");
    let new = Digest::of(&bytes);
    host.host.packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    host.host.packages.act(&name("fraud"), Act::Stage { component: new, grant: None }, "ops").await.unwrap();
    let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "change_packages", fault, 0)).await;
    (host, new)
}

fn called(host: &TestHost) -> (u64, Digest) {
    let active = host.host.pipeline.plugins.now();
    (active.configuration, active.installed(&name("fraud")).unwrap().digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_activates_nothing_and_one_that_is_only_said_to_fail_is_called() {
    let old = Digest::of(&std::fs::read(component("fraud")).unwrap());
    let (host, new) = staged_before(Fault::NotPersisted).await;
    let activate =
        async |host: &TestHost| host.host.packages.act(&name("fraud"), Act::Activate { component: None }, "ops").await;
    assert!(matches!(activate(&host).await, Err(Refusal::Store(_))));
    assert_eq!(called(&host), (1, old));
    activate(&host).await.unwrap();
    assert_eq!(called(&host), (2, new), "it is still staged");

    let (host, new) = staged_before(Fault::PersistedButFailed).await;
    activate(&host).await.unwrap();
    assert_eq!(called(&host), (2, new), "the store names it");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_in_the_middle_of_an_activation_opens_on_what_the_store_says() {
    let (host, new) = staged_before(Fault::PersistedAndSilent).await;
    let (fraud, act) = (name("fraud"), Act::Activate { component: None });
    // It commits, nobody hears of it, and whoever waited is gone.
    let unheard = host.host.packages.act(&fraud, act, "ops");
    tokio::select! {
        biased;
        _ = unheard => panic!("it was to be silent"),
        () = committed(&host, 2) => {}
    }
    assert_eq!(called(&host).0, 1, "the old one is called to the end");
    let clock = Arc::clone(&host.clock);
    let host = host.with_clock(clock).await;
    assert_eq!(called(&host), (2, new));
}

/// Until the store has this version.
async fn committed(host: &TestHost, version: u64) {
    while host.store.active_configuration().await.unwrap().unwrap().version != version {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_folder_again_keeps_what_operators_did_and_another_component_can_be_rolled_back() {
    let host = TestHost::demo().await;
    let bytes = of_version("fraud", "0.2.0");
    let new = Digest::of(&bytes);
    let old = Digest::of(&std::fs::read(component("fraud")).unwrap());
    host.host.packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    let fraud = name("fraud");
    host.host.packages.act(&fraud, Act::Stage { component: new, grant: None }, "ops").await.unwrap();
    host.host.packages.act(&fraud, Act::Activate { component: None }, "ops").await.unwrap();
    // The folder has the old one still: it becomes active again, and can be gone back from.
    let host = host.restart().await;
    let now = host.host.pipeline.plugins.now();
    assert_eq!((now.configuration, now.installed(&fraud).unwrap().digest), (3, old));
    let back = host.host.packages.act(&fraud, Act::Rollback, "ops").await.unwrap();
    assert_eq!(back.component, new.to_string());
    let key = publisher("portreeve").verifier().name_and_hash();
    let leaves = host.leaves().await;
    let signers = leaves.iter().rev().find_map(|leaf| match &leaf.body {
        LeafBody::Package(package) => Some(package.signers.shown().iter().map(ToString::to_string).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(signers.unwrap(), [key]);
}
