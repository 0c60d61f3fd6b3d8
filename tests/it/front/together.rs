//! All orders of one customer that are kept back: over HTTP, on the command line and on the page.

use hyper::Method;
use portreeve_store::contract::OrderState;
use serde_json::{Value, json as body};

use super::commands::{json as printed, refused, run, stopped, text};
use super::console::sign_in;
use super::door::{ask, json, problem};
use crate::browser::{DESK, PHONE, browser_or_skip, picture};
use crate::support::exceptions::waiting;
use crate::support::{PurchaseOrder, Setup, TestHost, people, x12};

fn dear(number: &str, boxes: u32) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", boxes, "BX", "20.00")])
}

async fn held(host: &TestHost) -> Vec<u64> {
    waiting(host).await.into_iter().map(|open| open.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_orders_are_released_and_approved_over_http() {
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&[dear("PO-1", 200), dear("PO-2", 200), dear("PO-OTHER", 1).of_customer("C1202")]).await;
    let numbers = held(&host).await;
    let door = host.front_door().await;
    let (anna, ben) = (door.key_of("anna", &["pricing-resolver"]).await, door.key_of("ben", &["approver"]).await);
    let with = |key: &str| [("authorization", key.to_owned()), ("content-type", "application/json".to_owned())];
    let post = async |key: &str, path: &str, body: Value| {
        let headers = with(key);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        door.send(Method::POST, path, &headers, body.to_string().as_bytes()).await
    };
    let path = format!("/v1/exceptions/{}/customer", numbers[1]);
    // A machine that reads is shown all.
    let shown = ask(&door, &path).await;
    let ids: Vec<u64> = shown["members"].as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect();
    assert_eq!(
        (ids, shown["worth"][0].as_str(), shown["more"].as_u64()),
        (numbers[..2].to_vec(), Some("8000.00 USD"), Some(0))
    );
    assert_eq!(shown["members"][0]["orderFacts"]["holds"][0]["reason"], "price-out-of-tolerance");
    // No word in it is the customer's.
    let names: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(names, ["exception", "shown", "worth", "members", "apart", "more", "proposal"]);
    assert!(!shown.to_string().contains("C1201"), "{shown}");

    let request = |shown: &Value| body!({ "shown": shown, "reason": "the buyer called" });
    problem(&post(&anna, &path, request(&"no digest".into())).await, 400, "bad-request");
    problem(&post(&anna, &path, body!({ "shown": shown["shown"], "reason": " " })).await, 400, "bad-request");
    let waits = post(&anna, &path, request(&shown["shown"])).await;
    assert_eq!((waits.status, json(&waits)["approvalsMissing"].as_u64()), (202, Some(1)));
    let proposal = body!({ "proposal": json(&waits)["proposal"] });
    let story = ask(&door, &format!("/v1/exceptions/{}", numbers[0])).await;
    assert_eq!(story["proposal"]["together"], body!([numbers[0].to_string(), numbers[1].to_string()]));
    assert_eq!(ask(&door, &path).await["proposal"]["by"], "anna");
    let approve = format!("/v1/exceptions/{}/approve", numbers[0]);
    let denied = problem(&post(&anna, &approve, proposal.clone()).await, 403, "forbidden");
    let why = format!("nothing was done, since exception {} cannot go with the others: no role of `anna`", numbers[0]);
    assert!(denied["detail"].as_str().unwrap().starts_with(&why), "{denied}");
    let done = post(&ben, &approve, proposal.clone()).await;
    let orders = json(&done)["orders"].clone();
    assert_eq!((done.status, &orders[0]["number"], &orders[1]["state"]), (200, &"PO-1".into(), &"released".into()));
    problem(&post(&ben, &approve, proposal).await, 409, "closed");
    problem(&door.get(&path, &[("authorization", &anna)]).await, 409, "closed");
    problem(&door.get("/v1/exceptions/99/customer", &[("authorization", &anna)]).await, 404, "not-found");
    assert_eq!(host.order("PO-OTHER").await.state, OrderState::Held);
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_orders_are_released_with_two_commands_of_a_running_host() {
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&[dear("PO-1", 10), dear("PO-2", 20)]).await;
    let first = held(&host).await[0].to_string();
    let door = host.front_door().await;
    let (token, server) = (host.ops_key_file().await, format!("http://{}", door.address()));
    let server = ["--server", &server, "--token-file", text(&token)];
    let look = ["exception", "customer", &first];
    let shown = run(&[&look[..], &server].concat()).await.unwrap();
    assert_eq!(shown, run(&[&look[..], &["--data-dir", text(host.folder())]].concat()).await.unwrap());
    let last = shown.lines().last().unwrap();
    assert!(last.starts_with("2 together, worth 600.00 USD; shown "), "{shown}");
    assert!(shown.lines().any(|line| line.contains("PO-2") && line.contains("400.00 USD  price-out-of")), "{shown}");
    let digits = last.rsplit(' ').next().unwrap();
    let release = ["exception", "release-customer", &first, "--reason", "the buyer called", "--shown"];
    let other = "0".repeat(12);
    refused(&[&release[..], &[&other], &server].concat(), &["exception customer", "shows what it is now"]).await;
    refused(&[&release[..], &["12"], &server].concat(), &["expected at least the 12 digits"]).await;
    let done = run(&[&release[..], &[digits], &server].concat()).await.unwrap();
    let lines: Vec<&str> = done.lines().map(|line| line.split(';').next().unwrap()).collect();
    assert_eq!(lines, ["order PO-1 is released: released by ops", "order PO-2 is released: released by ops"]);
    refused(&[&look[..], &server].concat(), &["the server answered 409", "closed already"]).await;
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_orders_are_released_and_approved_in_a_stopped_hosts_folder() {
    let setup = Setup::demo().with_tiers().scorers(&["margin"]);
    let folder = stopped(&setup, "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let file = folder.path().join("orders.edi");
    for number in 1..=2_u32 {
        let order = String::from_utf8(x12(number, &dear(&format!("PO-{number}"), 200))).unwrap();
        std::fs::write(&file, order.replace("DTM*002*20260330", "DTM*002*20991231")).unwrap();
        run(&["ingest", "--channel", "edi", "--data-dir", data, "--drain", text(&file)]).await.unwrap();
    }
    let password = folder.path().join("password");
    std::fs::write(&password, "three words and more\n").unwrap();
    let mut by: Vec<&str> = Vec::new();
    for (name, roles) in [("anna", ["pricing-resolver", "administrator"]), ("ben", ["approver", "viewer"])] {
        let add = ["person", "add", name, "--role", roles[0], "--role", roles[1], "--data-dir", data];
        run(&[&add[..], &["--password-file", text(&password)], &by].concat()).await.unwrap();
        by = vec!["--as", "anna", "--as-password-file", text(&password)];
    }
    let at = |name: &'static str| ["--data-dir", data, "--as", name, "--as-password-file", text(&password)];
    let first = printed(&["exception", "list", "--data-dir", data]).await[0]["id"].to_string();
    let look = ["exception", "customer", &first];
    let shown = printed(&[&look[..], &at("anna")].concat()).await.remove(0);
    assert_eq!(shown["members"].as_array().unwrap().len(), 2, "{shown}");
    let seen = shown["shown"].as_str().unwrap();
    let release = ["exception", "release-customer", &first, "--reason", "the buyer called", "--shown", seen];
    refused(&[&release[..], &["--data-dir", data]].concat(), &["nobody is named", "--as"]).await;
    let waits = printed(&[&release[..], &at("anna")].concat()).await.remove(0);
    assert_eq!(waits["approvalsMissing"], 1, "{waits}");
    let proposed = run(&[&look[..], &["--data-dir", data]].concat()).await.unwrap();
    assert!(proposed.contains("2 together, worth 8000.00 USD; anna proposed to release them"), "{proposed}");
    let story = run(&["exception", "show", &first, "--data-dir", data]).await.unwrap();
    assert!(story.contains(&format!("exception customer {first} shows all of them")), "{story}");
    let proposal = waits["proposal"].as_str().unwrap();
    let approve = ["exception", "approve", &first, "--proposal", proposal];
    let done = printed(&[&approve[..], &at("ben")].concat()).await.remove(0);
    assert_eq!((&done["orders"][0]["state"], &done["orders"][1]["state"]), (&"released".into(), &"released".into()));
    assert_eq!(printed(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_orders_are_released_and_approved_on_the_page_with_the_keyboard_alone() {
    let Some(browser) = browser_or_skip().await else { return };
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&[dear("PO-1", 200), dear("PO-2", 200), dear("<b>3</b>", 1)]).await;
    for (name, roles) in [("anna", &["pricing-resolver"][..]), ("ben", &["approver"])] {
        people::add(&host.host.pipeline, name, roles).await;
    }
    let numbers = held(&host).await;
    let door = host.front_door().await;
    let address = |place: &str| format!("http://{}/console/exceptions/{}{place}", door.address(), numbers[0]);
    let mut page = browser.page().await;
    page.without_javascript().await;
    sign_in(&mut page, &door, "anna").await;
    for (width, name) in [(PHONE, "phone"), (DESK, "desk")] {
        page.at_width(width).await;
        page.open(&address("")).await;
        page.assert_accessible().await;
        page.tab_to("2 other orders of this customer are kept back").await;
        page.press_and_load("Enter").await;
        page.sees("3 together").await;
        page.sees("8020.00 USD").await;
        page.sees("Order <b>3</b>").await;
        page.assert_accessible().await;
        page.assert_fits().await;
        page.screenshot(picture(&format!("console-customer-{name}"))).await;
    }
    let mut other = browser.page().await;
    other.without_javascript().await;
    sign_in(&mut other, &door, "ben").await;
    other.open(&address("/customer")).await;
    other.sees("None of them is in a queue of a role of yours.").await;
    other.sees("In other queues").await;
    other.assert_accessible().await;

    // One more comes while she looks: nothing is done, and what she typed is kept.
    host.send_edi(&x12(9, &dear("PO-4", 1))).await.unwrap();
    host.decide_all().await;
    page.tab_to("Why, for the record").await;
    page.type_text("the buyer agreed to all").await;
    page.tab_to("Release 3 orders").await;
    page.press_and_load("Enter").await;
    page.sees("Nothing was done.").await;
    page.sees("there came exception").await;
    page.assert_accessible().await;
    page.tab_to("Release 4 orders").await;
    page.press_and_load("Enter").await;
    page.sees("Others have to agree").await;
    page.sees("Look at all 4 orders").await;
    assert_eq!(host.order("PO-1").await.state, OrderState::Held);

    other.open(&address("")).await;
    other.tab_to("Look at all 4 orders").await;
    other.press_and_load("Enter").await;
    other.sees("the buyer agreed to all").await;
    let headings = other.texts("h2").await;
    assert_eq!(headings[..4], ["Order PO-1", "Order PO-2", "Order <b>3</b>", "Order PO-4"]);
    other.assert_accessible().await;
    other.screenshot(picture("console-customer-approve")).await;
    other.tab_to("Approve").await;
    other.press_and_load("Enter").await;
    other.sees("It is done, and on record.").await;
    for number in ["PO-1", "PO-2", "<b>3</b>", "PO-4"] {
        assert_eq!(host.order(number).await.state, OrderState::Released, "{number}");
    }
    for page in [&page, &other] {
        assert!(page.complaints().is_empty(), "{:?}", page.complaints());
    }
    door.close().await;
    host.verify().await.unwrap();
}
