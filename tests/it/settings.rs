//! Settings: a configuration is held to what plugins declare before it becomes active.

use crate::front::commands::{json, refused, run};
use crate::support::{Setup, component};

/// What the demo's channel of X12 gives its plugins.
const GIVEN: &str = "settings = { currency = \"USD\" }";

fn given(settings: &str) -> Setup {
    Setup::demo().replace("portreeve.toml", GIVEN, &format!("settings = {{ {settings} }}"))
}

/// A check says all of this, and the configuration does not become active for the same reasons.
async fn told(setup: Setup, sentences: &[&str]) {
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
    assert!(checked.contains("the settings of `x12` were not looked at"), "{checked}");
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
