//! Settings: what plugins declare is what their sources ask for and what the page of the plugins
//! says, and a configuration is held to it before it becomes active.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use portreeve_api::package::{Act, Acted, Lifecycle, Refusal};
use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_registry::{DeclaredSettings, Manifest};

use crate::front::commands::{json, refused, run};
use crate::packages::changed;
use crate::support::{Setup, TestHost, component, sign, tree};

/// What the demo's channel of X12 gives its plugins.
const GIVEN: &str = "settings = { currency = \"USD\" }";

fn given(settings: &str) -> Setup {
    Setup::demo().replace("portreeve.toml", GIVEN, &format!("settings = {{ {settings} }}"))
}

/// A check says all of this, and the configuration does not become active for the same reasons.
pub(crate) async fn told(setup: Setup, sentences: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let config = setup.configuration(folder.path());
    refused(&["route", "check", "--config", config.to_str().unwrap()], sentences).await;
    let told = setup.try_start().await.err().unwrap().to_string();
    for sentence in sentences {
        assert!(told.contains(sentence), "expected `{sentence}` in: {told}");
    }
}

#[tokio::test]
async fn a_setting_of_another_kind_is_told_by_a_check_and_keeps_a_configuration_from_becoming_active() {
    let sentence = "setting `count-mismatch@ZZ:ACME` of channel `edi` is `maybe`, and `x12` takes one of `accept`, `reject`; correct it";
    told(given("currency = \"USD\", \"count-mismatch@ZZ:ACME\" = \"maybe\""), &[sentence]).await;
    let right = given("currency = \"USD\", \"count-mismatch@ZZ:ACME\" = \"reject\"");
    let folder = tempfile::tempdir().unwrap();
    let config = right.configuration(folder.path());
    run(&["route", "check", "--config", config.to_str().unwrap()]).await.unwrap();
}

#[tokio::test]
async fn a_plugin_that_is_not_built_is_named_and_not_taken_for_one_that_was_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let config = given("count-mismatch = \"maybe\"").configuration(folder.path());
    std::fs::remove_file(config.join("x12.wasm")).unwrap();
    let config = config.to_str().unwrap();
    let checked = run(&["route", "check", "--config", config]).await.unwrap();
    assert!(checked.contains("the settings and messages of `x12` were not looked at"), "{checked}");
    let checked = json(&["route", "check", "--config", config]).await.remove(0);
    assert_eq!(checked["settings_not_looked_at"], serde_json::json!(["x12"]));
}

#[tokio::test]
async fn whoever_looks_at_a_package_sees_its_settings() {
    let inspected = run(&["plugin", "inspect", component("x12").to_str().unwrap()]).await.unwrap();
    let sets = "setting  sets: some of `850`, `860`, `820`, `945`, `997`, `850` unless set; read on receive: The sets that are taken";
    assert!(inspected.contains(sets), "{inspected}");
    let inspected = json(&["plugin", "inspect", component("x12").to_str().unwrap()]).await.remove(0);
    assert_eq!(inspected["manifest"]["settings"]["sets"]["kind"], "choices");
}

#[tokio::test]
async fn unknown_and_missing_settings_of_every_place_are_told_at_once() {
    let setup = given("curency = \"USD\"")
        .replace("portreeve.toml", "freight-account = \"6130\"", "freight-acount = \"6130\", poll-page = \"50\"")
        .replace("portreeve.toml", "company = \"6b3a3a3e-6c1f-4a0e-9a53-0d1c5a7e2f10\", ", "")
        .append(
            "portreeve.toml",
            "\n[[poll]]\nid = \"fetched\"\nchannel = \"shop\"\nconnector = \"erp-rest\"\nevery_seconds = 60\n\
             origin = \"${ERP_ORIGIN}\"\n[poll.settings]\nbase-url = \"${ERP_ORIGIN}/api/v2.0\"\npoll-page = \"201\"\n",
        );
    let sentences = [
        "no plugin of channel `edi` (`x12`, `x12-orders`) reads a setting `curency` (read are `control-mismatch`, ",
        "`sets`); did you mean `currency`?",
        "no plugin of target `erp` (`business-central`, `erp-rest`) reads a setting `freight-acount` (read are \
         `answer-timeout-ms`, `base-url`, `company`, `freight-account`, `substitutes`); did you mean `freight-account`?",
        "no plugin of target `erp` (`business-central`, `erp-rest`) reads a setting `poll-page` (read are \
         `answer-timeout-ms`, `base-url`, `company`, `freight-account`, `substitutes`); take it out",
        "target `erp` has no setting `company`, which `erp-rest` needs; add it (The id of a company of the ERP)",
        "poll `fetched` has no setting `company`, which `erp-rest` needs; add it (The id of a company of the ERP)",
        "setting `poll-page` of poll `fetched` is `201`, and `erp-rest` takes a whole number from 1 to 200; correct it",
    ];
    told(setup, &sentences).await;
}

#[tokio::test]
async fn a_subscriber_is_held_to_its_connectors_bounds_and_asked_for_no_setting_of_its_own() {
    let subscriber = |more: &str| {
        let key = "secret = { file = \"crm.key\" }";
        Setup::demo()
            .plugin("standard-webhooks", "{ http = [\"POST\"], limits = { wall_ms = 45000 } }")
            .append("portreeve.toml", "[[plugin.egress]]\norigin = \"https://crm.example\"\n")
            .blindfolded("cloudevents-documents")
            .append(
                "portreeve.toml",
                &format!(
                    "\n[[subscriber]]\nid = \"crm\"\nurl = \"https://crm.example/hooks\"\n{key}\n{more}\
                     connector = \"standard-webhooks\"\ntransformer = \"cloudevents-documents\"\n\
                     exception_queue = \"integration\"\n"
                ),
            )
    };
    let folder = tempfile::tempdir().unwrap();
    let check = async |setup: Setup| {
        let config = setup.configuration(folder.path());
        run(&["route", "check", "--config", config.to_str().unwrap()]).await
    };
    let right = check(subscriber("")).await;
    assert!(right.is_ok(), "{right:?}");
    let wrong = check(subscriber("answer_timeout_ms = 25001\n")).await.unwrap_err();
    let expected = "`answer_timeout_ms` of subscriber `crm` is `25001`, and `standard-webhooks` takes a whole number from 1 to 25000";
    assert!(wrong.contains(expected) && !wrong.contains("answer-timeout-ms"), "{wrong}");
}

#[tokio::test]
async fn an_upgrade_that_has_other_settings_than_the_configuration_gives_is_refused() {
    let host = Setup::demo().start().await;
    let needs = [(VERSION, "version = \"0.2.0\""), (CURRENCY, NEEDS_A_UNIT)];
    let told = stage(&host, &needs).await.unwrap_err().to_string();
    let sentence = "`x12-orders` 0.2.0 has other settings than the configuration: channel `edi` has no setting `unit`, which `x12-orders` needs";
    assert!(told.contains(sentence), "{told}");
    let renamed = [(VERSION, "version = \"0.3.0\""), (CURRENCY, "[settings.iso-currency]")];
    let told = stage(&host, &renamed).await.unwrap_err().to_string();
    assert!(told.contains("reads a setting `currency`"), "{told}");
    let same = [(VERSION, "version = \"0.4.0\"")];
    assert_eq!(stage(&host, &same).await.unwrap().state, "staged");
}

#[tokio::test]
async fn what_is_wrong_since_a_rollback_keeps_no_newer_component_out_and_what_it_brings_by_itself_does() {
    // A component and a configuration that call a setting otherwise become active together.
    let folder = tempfile::tempdir().unwrap();
    let renamed = folder.path().join("x12-orders.wasm");
    let changes = [(VERSION, "version = \"0.2.0\""), (CURRENCY, "[settings.iso-currency]")];
    std::fs::write(&renamed, changed("x12-orders", &changes)).unwrap();
    let host = Setup::demo().start().await;
    let otherwise = "settings = { iso-currency = \"USD\" }";
    let host = host
        .restart_with(|setup| setup.shipped_as("x12-orders", &renamed).replace("portreeve.toml", GIVEN, otherwise))
        .await;

    // The component before them knows the setting by its old name only.
    let orders = PluginName::parse("x12-orders").unwrap();
    let back = host.host.packages.act(&orders, Act::Rollback, "ops").await.unwrap();
    let first = Digest::of(&std::fs::read(component("x12-orders")).unwrap());
    assert_eq!(back.component, first.to_string());

    // So does a third one, which reads more: people hear the same in other words.
    let needs = [(VERSION, "version = \"0.3.0\""), (CURRENCY, NEEDS_A_UNIT)];
    let told = stage(&host, &needs).await.unwrap_err().to_string();
    assert!(told.contains("channel `edi` has no setting `unit`") && !told.contains("iso-currency"), "{told}");
    let may_have = NEEDS_A_UNIT.replace("required = true\n", "");
    let may_have = [(VERSION, "version = \"0.4.0\""), (CURRENCY, may_have.as_str())];
    assert_eq!(stage(&host, &may_have).await.unwrap().state, "staged");

    // What it says of itself counts as well while it is not called.
    host.host.packages.act(&orders, Act::Disable, "ops").await.unwrap();
    assert_eq!(stage(&host, &[(VERSION, "version = \"0.5.0\"")]).await.unwrap().state, "staged");
}

/// Installs `x12-orders` with another manifest, and stages it.
async fn stage(host: &TestHost, changes: &[(&str, &str)]) -> Result<Acted, Refusal> {
    let (packages, orders) = (&host.host.packages, PluginName::parse("x12-orders").unwrap());
    let bytes = changed("x12-orders", changes);
    packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    packages.act(&orders, Act::Stage { component: Digest::of(&bytes), grant: None }, "ops").await
}

const VERSION: &str = "version = \"0.1.0\"";

const CURRENCY: &str = "[settings.currency]";

const NEEDS_A_UNIT: &str =
    "[settings.unit]\nabout = \"A unit\"\nkind = \"text\"\nrequired = true\n\n[settings.currency]";

/// What the host gives by itself, and no plugin declares.
const THE_HOSTS: [&str; 10] = [
    "order-number",
    "order-date",
    "order-partner",
    "interchange-partner",
    "interchange-number",
    "interchange-at",
    "event-id",
    "event-source",
    "event-time",
    "list-since",
];

/// The connectors and transformers of `plugins/`, each with its folder and its settings.
fn declared() -> BTreeMap<String, (PathBuf, DeclaredSettings)> {
    let mut declared = BTreeMap::new();
    for folder in tree().plugins().unwrap() {
        let manifest = Manifest::parse(&std::fs::read_to_string(folder.join("plugin.toml")).unwrap()).unwrap();
        let name = manifest.plugin.name.to_string();
        if manifest.plugin.kind != PluginKind::Scorer {
            let settings = manifest.settings.unwrap_or_else(|| panic!("`{name}` does not say which settings it reads"));
            declared.insert(name, (folder, settings));
        }
    }
    declared
}

/// What is given to one of these, as text: `setting(&request.settings, "unit")`.
const ASKING: [&str; 6] = ["setting(", "flag(", "whole_number(", "told(", "agreed(", "comment("];

/// What guests share asks for as well.
const SHARED: [(&str, &[&str]); 4] = [
    (".base_url(", &["base-url"]),
    ("patient(", &["answer-timeout-ms"]),
    ("PATIENCE.with(", &["answer-timeout-ms"]),
    ("Agreement::with(", &["count-mismatch", "control-mismatch", "isa-repair"]),
];

/// The settings that a source asks for by their names; one that ends in `*` stands for all that
/// begin so, and is asked for part by part.
fn asked(source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut asked = BTreeSet::new();
    for asking in ASKING {
        for (at, _) in code.match_indices(asking) {
            let (before, call) = code.split_at(at);
            if before.ends_with(|last: char| last.is_alphanumeric() || last == '_') || before.ends_with("fn ") {
                continue;
            }
            let arguments = arguments(call.split_at(asking.len()).1);
            if asking == "agreed(" || arguments.contains("settings") {
                asked.extend(literals(arguments).filter_map(name));
            }
        }
    }
    for (asking, names) in SHARED {
        if code.contains(asking) {
            asked.extend(names.iter().map(|name| (*name).to_owned()));
        }
    }
    asked
}

/// What stands between the parenthesis that was opened and the one that closes it.
fn arguments(rest: &str) -> &str {
    let mut open = 1;
    let end = rest.char_indices().find(|(_, character)| {
        open += i32::from(*character == '(') - i32::from(*character == ')');
        open == 0
    });
    end.map_or(rest, |(end, _)| rest.split_at(end).0)
}

/// What stands in quotation marks.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').skip(1).step_by(2)
}

/// A literal as the name of a setting; `ship-from-{part}` is `ship-from-*`.
fn name(literal: &str) -> Option<String> {
    let (start, more) = literal.split_once('{').map_or((literal, ""), |(start, _)| (start, "*"));
    let is_name = start.starts_with(|first: char| first.is_ascii_lowercase())
        && start.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    is_name.then(|| format!("{start}{more}"))
}

/// What a plugin asks for and does not declare, and declares and does not ask for.
fn differences(plugin: &str, declared: &[&str], source: &str) -> Vec<String> {
    let asked = asked(source);
    let fits = |asked: &str, declared: &str| match asked.strip_suffix('*') {
        Some(start) => declared.starts_with(start),
        None => asked == declared,
    };
    let undeclared = asked.iter().filter(|asked| !THE_HOSTS.contains(&asked.as_str()));
    let undeclared = undeclared.filter(|asked| !declared.iter().any(|declared| fits(asked, declared)));
    let undeclared =
        undeclared.map(|asked| format!("`{plugin}` asks for the setting `{asked}`; declare it in its plugin.toml"));
    let unasked = declared.iter().filter(|declared| !asked.iter().any(|asked| fits(asked, declared)));
    let unasked = unasked.map(|declared| format!("`{plugin}` declares the setting `{declared}` and never asks for it"));
    undeclared.chain(unasked).collect()
}

pub(crate) fn source_of(folder: &Path) -> String {
    let mut sources = Vec::new();
    let mut open = vec![folder.join("src")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                sources.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    sources.join("\n")
}

#[test]
fn every_setting_that_a_plugin_asks_for_is_declared_and_every_declared_one_is_asked_for() {
    let all = declared();
    assert!(all.len() > 20);
    let found = all.iter().flat_map(|(name, (folder, settings))| {
        let declared: Vec<&str> = settings.keys().map(String::as_str).collect();
        differences(name, &declared, &source_of(folder))
    });
    assert_eq!(found.collect::<Vec<_>>(), Vec::<String>::new());

    // It is seen where one is forgotten, and where one is left over.
    let source =
        "let unit = setting(&request.settings, \"unit\");\nlet part = setting(settings, &format!(\"from-{part}\"));";
    assert_eq!(differences("one", &["unit", "from-city"], source), Vec::<String>::new());
    assert_eq!(differences("one", &["unit"], source).len(), 1);
    assert_eq!(differences("one", &["unit", "from-city", "currency"], source).len(), 1);
    assert_eq!(differences("one", &[], "// setting(settings, \"unit\")"), Vec::<String>::new());
    assert_eq!(differences("one", &[], "setting(settings, \"list-since\")"), Vec::<String>::new());
    assert_eq!(differences("one", &[], "ERP.base_url(settings)").len(), 1);
}

#[test]
fn the_page_of_the_plugins_has_every_setting_and_no_other() {
    let page = std::fs::read_to_string(tree().root().join("plugins/README.md")).unwrap();
    let of_settings = page.split_once("\n## Settings\n").unwrap().1;
    let of_settings = of_settings.split_once("\n## ").map_or(of_settings, |(section, _)| section);
    let said: Vec<&str> = of_settings.lines().filter(|line| line.starts_with("| `")).collect();
    let mut expected = Vec::new();
    for (plugin, (_, settings)) in declared() {
        for (name, setting) in settings {
            let (holds, about) = (setting.described(), &setting.about);
            expected.push(format!("| `{plugin}` | `{name}` | {holds} | {about} |"));
        }
    }
    for (said, expected) in said.iter().zip(&expected) {
        assert_eq!(said, expected, "the table below `## Settings` of plugins/README.md");
    }
    assert_eq!(said.len(), expected.len(), "rows below `## Settings` of plugins/README.md");
}
