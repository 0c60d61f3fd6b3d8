//! Whose matter it is what waits for a person: the owners of routes, wherever exceptions are told.

use portreeve::standins::Mischief;
use portreeve_model::ExceptionKind;
use serde_json::{Value, json};

use crate::front::commands::{self, refused, run};
use crate::support::exceptions::about;
use crate::support::people::{self, PASSWORD};
use crate::support::{EVERY_ROLE, PurchaseOrder, Setup, TestHost};

/// What holds it is its price.
fn dear(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", 1, "BX", "20.00")])
}

/// An order whose delivery its ERP refuses, and one that is held: their exceptions.
async fn two_that_wait(setup: Setup) -> (TestHost, [u64; 2]) {
    let rejects = Mischief { reject_per_mille: 1_000, ..Mischief::default() };
    let host = setup.scorers(&[]).mischief(rejects).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1"), dear("PO-2")]).await;
    host.deliver_all().await;
    let (first, second) = (host.order("PO-1").await.id, host.order("PO-2").await.id);
    let dead = about(&host, first, ExceptionKind::Delivery).await.unwrap();
    let held = about(&host, second, ExceptionKind::Held).await.unwrap();
    (host, [dead, held])
}

fn owner(part: &str, name: &str) -> Value {
    json!({ "part": part, "name": name })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_person_names_the_owner_whose_matter_it_is_wherever_it_is_told() {
    let (host, [dead, held]) = two_that_wait(Setup::demo()).await;
    people::add(&host.host.pipeline, "anna", EVERY_ROLE).await;
    let door = host.front_door().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let credentials = format!("name=anna&password={}", PASSWORD.replace(' ', "+"));
    let begun = door.send(hyper::Method::POST, "/console/sign-in", &form, credentials.as_bytes()).await;
    let cookie = begun.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let data = host.folder().to_str().unwrap();

    let listed = commands::json(&["exception", "list", "--data-dir", data]).await;
    let page: Value = serde_json::from_str(&door.ask("/v1/exceptions?limit=100").await).unwrap();
    for (exception, part, name) in
        [(dead, "systems", "erp-team@distributor.example"), (held, "business", "order-desk@distributor.example")]
    {
        let number = exception.to_string();
        let expected = owner(part, name);
        let of = |rows: &[Value]| rows.iter().find(|row| row["id"] == exception).unwrap()["routeOwner"].clone();
        assert_eq!((of(&listed), of(page["exceptions"].as_array().unwrap())), (expected.clone(), expected.clone()));
        let shown = commands::json(&["exception", "show", &number, "--data-dir", data]).await.remove(0);
        assert_eq!(shown["routeOwner"], expected);
        let told = run(&["exception", "show", &number, "--data-dir", data]).await.unwrap();
        assert!(told.contains(&format!("{name} answers for it ({part})\n")), "{told}");
        let story: Value =
            serde_json::from_str(&door.ask(&format!("/v1/orders/{}", shown["order"].as_str().unwrap())).await).unwrap();
        assert_eq!(of(story["exceptions"].as_array().unwrap()), expected);
        let page = door.get(&format!("/console/exceptions/{exception}"), &[("cookie", &cookie)]).await;
        let page = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(page.contains(&format!("<dt>Owner ({part})</dt><dd>{name}</dd>")), "{page}");
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_and_a_target_may_name_owners_of_their_own() {
    let settings = "settings = { currency = \"USD\" }\n";
    let owners =
        "\n[channel.owners]\nbusiness = \"edi-desk\"\nsystems = \"edi-systems\"\nintegration = \"edi-contracts\"\n";
    let of_channel = Setup::demo().replace("portreeve.toml", settings, &format!("{settings}{owners}"));
    let queue = "exception_queue = \"integration\"\nfind = true\n";
    let of_both =
        of_channel.clone().replace("portreeve.toml", queue, &format!("{queue}systems_owner = \"night-shift\"\n"));
    for (setup, of_dead) in [(of_channel, "edi-systems"), (of_both, "night-shift")] {
        let (host, [dead, held]) = two_that_wait(setup).await;
        let data = host.folder().to_str().unwrap();
        let listed = commands::json(&["exception", "list", "--data-dir", data]).await;
        let of = |exception: u64| listed.iter().find(|row| row["id"] == exception).unwrap()["routeOwner"].clone();
        assert_eq!((of(dead), of(held)), (owner("systems", of_dead), owner("business", "edi-desk")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_nobody_answers_for_is_told_by_the_check_and_works_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let config = Setup::demo().configuration(folder.path());
    let file = config.join("portreeve.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("[owners]\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let check = ["route", "check", "--config", config.to_str().unwrap()];
    assert!(!run(&check).await.unwrap().contains("warning"));

    std::fs::write(&file, format!("{before}\n{after}")).unwrap();
    let told = run(&check).await.unwrap();
    for channel in ["edi", "shop"] {
        assert!(told.contains(&format!("warning: nobody answers for channel `{channel}`; name the owners")), "{told}");
    }
    let nobody = text.replace("business = \"order-desk@distributor.example\"", "business = \"\"");
    std::fs::write(&file, nobody).unwrap();
    refused(&check, &["`business` of [owners] is no name; expected a person's or a team's address"]).await;
    let two = text.replace("business = \"order-desk@distributor.example\"\n", "");
    std::fs::write(&file, two).unwrap();
    refused(&check, &["missing field `business`"]).await;
}
