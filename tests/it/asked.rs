//! Kinds of messages: what targets and effects ask for is what their plugins make and take, and a
//! configuration that asks for anything else is told so before it becomes active.

use std::collections::BTreeSet;

use portreeve_api::package::{Act, Acted, Lifecycle, Refusal};
use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_pipeline::Routes;
use portreeve_registry::Manifest;

use crate::front::commands::run;
use crate::interchanges::{agreed, to_customers};
use crate::packages::changed;
use crate::settings::{source_of, told};
use crate::support::{Setup, TestHost, sign, tree};

/// Nothing is sent there.
const PARTNERS: &str = "http://127.0.0.1:9";

fn customers() -> Setup {
    to_customers(Setup::demo().scorers(&[]), PARTNERS, &agreed(PARTNERS, ""))
}

#[tokio::test]
async fn whatever_would_fail_each_time_that_it_is_due_is_told_at_once_where_it_is_written() {
    let accepted = "on = \"order.accepted\"\ntarget = \"customers\"\nkind = \"x12/855\"\n";
    let setup = customers()
        .replace("portreeve.toml", "kind = \"x12/856\"", "kind = \"x12/899\"")
        .replace("portreeve.toml", accepted, &format!("{accepted}sends = \"order\"\n"))
        .replace("portreeve.toml", "partner_parts = 2", "partner_parts = 2\npartner = \"C1201\"")
        .append("portreeve.toml", "\n[[effect]]\non = \"order.held\"\ntarget = \"customers\"\nkind = \"x12/865\"\n");
    let makes = "which its transformer `x12-out` does not make; expected one of `x12/810`, `x12/855`, `x12/855-held`, `x12/856`, `x12/865-accepted`, `x12/865-refused`, `x12/940`";
    let unmade =
        format!("an effect of `shipment.confirmed` on target `customers` asks for messages of kind `x12/899`, {makes}");
    // That one is what others of its words become, and none itself.
    let renamed =
        format!("an effect of `order.held` on target `customers` asks for messages of kind `x12/865`, {makes}");
    let sentences = [
        unmade.as_str(),
        renamed.as_str(),
        "an effect of `order.accepted` on target `customers` asks for messages of kind `x12/855` of `order.created`, and `x12-out` makes them of `order.accepted`, `order.rejected` alone; leave out `sends`",
        "`partner` in [target.interchange] of target `customers` is `C1201`, and `x12-send` takes 2 to 3 parts between colons",
    ];
    told(setup, &sentences).await;
    let folder = tempfile::tempdir().unwrap();
    let right = customers().configuration(folder.path());
    run(&["route", "check", "--config", right.to_str().unwrap()]).await.unwrap();
}

#[tokio::test]
async fn a_target_whose_plugins_make_no_message_or_are_of_another_kind_is_told_so() {
    let to_erp = "connector = \"erp-rest\"\ntransformer = \"business-central\"\n";
    let target = |connector: &str, transformer: &str| {
        let plugins = format!("connector = \"{connector}\"\ntransformer = \"{transformer}\"\n");
        Setup::demo().replace("portreeve.toml", to_erp, &plugins)
    };
    let unmade = "target `erp` asks for messages of kind `business-central/sales-order`, which its transformer `x12-orders` does not make; expected another plugin, since that one has none";
    told(target("erp-rest", "x12-orders"), &[unmade]).await;
    let connector =
        "target `erp` uses plugin `x12-orders` as a connector, and it is a transformer; name a connector there";
    let transformer =
        "target `erp` uses plugin `x12` as a transformer, and it is a connector; name a transformer there";
    told(target("x12-orders", "x12"), &[connector, transformer]).await;
}

#[tokio::test]
async fn a_kind_of_document_that_no_connector_makes_or_its_transformer_does_not_read_is_told_so() {
    let (documents, orders) =
        ("documents = { \"x12/850\" = \"x12-orders\" }", "documents = { \"adobe/order\" = \"adobe-orders\" }");
    let setup = Setup::demo().replace("portreeve.toml", documents, &documents.replace("850", "851")).replace(
        "portreeve.toml",
        orders,
        &orders.replace("adobe-orders", "x12-orders"),
    );
    let sentences = [
        "no connector of channel `edi` (`x12`) makes documents of kind `x12/851`; expected one of `x12/820`, `x12/850`, `x12/860`, `x12/945`, `x12/997`, `x12/ta1`",
        "channel `shop` has documents of kind `adobe/order` read by `x12-orders`, which does not read them; expected one of `x12/850`, `x12/860`",
    ];
    told(setup, &sentences).await;
}

#[tokio::test]
async fn a_partner_or_ourselves_in_parts_that_no_envelope_carries_are_told_so() {
    let setup = customers()
        .replace("portreeve.toml", "partner_parts = 2", "partner_parts = 2\npartner = \"ZZZ:C1201\"")
        .replace("portreeve.toml", "sender = \"ZZ:PORTREEVE\"", "sender = \"ZZ:PORTREEVE-ON-THE-QUAY\"");
    let sentences = [
        "`partner` in [target.interchange] of target `customers` is `ZZZ:C1201`, and `x12-send` takes 2 to 3 parts between colons, of 2, 1 to 15 and 2 to 15 characters",
        "setting `sender` of target `customers` is `ZZ:PORTREEVE-ON-THE-QUAY`, and `x12-send` takes 2 to 3 parts between colons, of 2, 1 to 15 and 2 to 15 characters",
    ];
    told(setup, &sentences).await;
}

#[tokio::test]
async fn a_target_of_numbered_messages_without_a_word_of_whom_they_go_to_is_told_so() {
    let interchange = "\n[target.interchange]\nknows_repeats = true\npartner_parts = 2\n";
    let sentence = "target `customers` has no [target.interchange], by which the host tells `x12-send` whom its messages go to and under which number; add it";
    told(customers().replace("portreeve.toml", interchange, "\n"), &[sentence]).await;
}

#[tokio::test]
async fn channels_that_bring_no_orders_may_name_a_target_of_what_is_said_of_orders() {
    let of_events = "documents = { \"cloudevents/event\" = \"cloudevents-events\" }\n";
    let channel = |id: &str, documents: &str| {
        format!(
            "\n[[channel]]\nid = \"{id}\"\nconnector = \"x12\"\ndocuments = {{ {documents} }}\n\
             target = \"customers\"\nexception_queue = \"integration\"\n"
        )
    };
    let acknowledgements = "\"x12/997\" = \"x12-acknowledgements\", \"x12/ta1\" = \"x12-acknowledgements\"";
    let setup = customers()
        .replace(
            "portreeve.toml",
            &format!("{of_events}target = \"erp\""),
            &format!("{of_events}target = \"customers\""),
        )
        .blindfolded("x12-acknowledgements")
        .append("portreeve.toml", &channel("wakes", ""))
        .append("portreeve.toml", &channel("acknowledges", acknowledgements));
    let folder = tempfile::tempdir().unwrap();
    let config = setup.configuration(folder.path());
    run(&["route", "check", "--config", config.to_str().unwrap()]).await.unwrap();
    setup.start().await;
}

#[tokio::test]
async fn an_upgrade_that_takes_or_makes_less_than_is_asked_of_it_is_refused() {
    let host = customers().start().await;
    let (was, version) = ("version = \"0.1.0\"", ("version = \"0.1.0\"", "version = \"0.2.0\""));
    let order = ("\"business-central/sales-order\", ", "");
    let refused = stage(&host, "erp-rest", &[version, order]).await.unwrap_err().to_string();
    let sentence = "`erp-rest` 0.2.0 has other messages than the configuration asks for: target `erp` asks for messages of kind `business-central/sales-order`, which its connector `erp-rest` does not take; expected one of `business-central/change`";
    assert!(refused.contains(sentence), "{refused}");
    let of_fewer = ("[\"order.accepted\", \"order.rejected\"]", "[\"order.rejected\"]");
    let refused = stage(&host, "x12-out", &[version, of_fewer]).await.unwrap_err().to_string();
    let sentence = "an effect of `order.accepted` on target `customers` asks for messages of kind `x12/855` of `order.accepted`, and `x12-out` makes them of `order.rejected` alone";
    assert!(refused.contains(sentence), "{refused}");
    let unread = ("\"x12/850\", ", "");
    let refused = stage(&host, "x12-orders", &[version, unread]).await.unwrap_err().to_string();
    let sentence = "`x12-orders` 0.2.0 has other documents than the configuration names: channel `edi` has documents of kind `x12/850` read by `x12-orders`, which does not read them; expected one of `x12/860`";
    assert!(refused.contains(sentence), "{refused}");
    let refused = stage(&host, "x12", &[version, unread]).await.unwrap_err().to_string();
    let sentence = "`x12` 0.2.0 has other documents than the configuration names: no connector of channel `edi` (`x12`) makes documents of kind `x12/850`";
    assert!(refused.contains(sentence), "{refused}");
    // What nobody asks for may go.
    let unasked = (", \"business-central/close\"", "");
    let next = (was, "version = \"0.3.0\"");
    assert_eq!(stage(&host, "erp-rest", &[next, unasked]).await.unwrap().state, "staged");
}

/// Installs a plugin with another manifest, and stages it.
async fn stage(host: &TestHost, plugin: &str, changes: &[(&str, &str)]) -> Result<Acted, Refusal> {
    let (packages, bytes) = (&host.host.packages, changed(plugin, changes));
    packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    let stage = Act::Stage { component: Digest::of(&bytes), grant: None };
    packages.act(&PluginName::parse(plugin).unwrap(), stage, "ops").await
}

#[test]
fn each_kind_that_a_transformer_may_be_asked_for_is_one_that_its_source_knows_and_made_of_events_of_the_catalogue() {
    let events: BTreeSet<&str> = Routes::default().catalogue().iter().map(|entry| entry.event).collect();
    let (mut looked_at, mut made_of) = (0, 0);
    for folder in tree().plugins().unwrap() {
        let manifest = Manifest::parse(&std::fs::read_to_string(folder.join("plugin.toml")).unwrap()).unwrap();
        if manifest.plugin.kind != PluginKind::Transformer {
            continue;
        }
        let source = source_of(&folder);
        for kind in manifest.may_be_asked_for() {
            assert!(source.contains(&format!("\"{kind}\"")), "`{}` does not know `{kind}`", manifest.plugin.name);
            looked_at += 1;
        }
        for (kind, message) in &manifest.messages {
            for event in &message.of {
                assert!(events.contains(event.as_str()), "`{}` makes `{kind}` of `{event}`", manifest.plugin.name);
                made_of += 1;
            }
        }
    }
    assert!(looked_at > 30 && made_of > 30, "{looked_at} {made_of}");
}

/// The first example below a heading of the page of the plugins.
fn example(heading: &str) -> String {
    let page = std::fs::read_to_string(tree().root().join("plugins/README.md")).unwrap();
    let section = page.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let block = section.split_once("\n```toml\n").unwrap().1;
    block.split_once("\n```\n").unwrap().0.to_owned()
}

#[tokio::test]
async fn what_the_page_shows_of_partners_over_x12_is_a_configuration_that_a_check_takes() {
    let receipt = "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"";
    let setup = Setup::demo()
        .replace("portreeve.toml", "kind = \"business-central/sales-order\"", receipt)
        .append("portreeve.toml", &format!("\n{}\n", example("Partners over X12")));
    let folder = tempfile::tempdir().unwrap();
    let config = setup.configuration(folder.path());
    let checked = run(&["route", "check", "--config", config.to_str().unwrap()]).await.unwrap();
    assert!(checked.contains("2 target(s)") && !checked.contains("not looked at"), "{checked}");
}
