//! What people do about an order that is kept back: they see what keeps it, end holds by
//! their numbers, and read who did so and why; over HTTP and with the command line.

use clap::Parser;
use hyper::Method;
use portreeve::client::Answer;
use portreeve::command::{self, BadUsage, CommandLine};
use portreeve::output::Output;
use portreeve_pipeline::Clock;
use portreeve_store::contract::OrderState;
use serde_json::{Value, json};

use super::commands::{json as told, refused, run, text};
use super::door::{ask, bearer, json as answered, problem};
use crate::later::with_purpose;
use crate::support::{FrontDoor, PurchaseOrder, Setup, TestHost, x12};

/// Both lines are priced as nobody would: two holds, one for each.
fn twice_too_dear(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", 10, "BX", "25.00"), ("ELC-1049", 4, "EA", "20.00")])
}

/// Only the host's own rules keep an order back.
fn without_scorers() -> Setup {
    Setup::demo().scorers(&[])
}

/// A host with an order of this number that two holds keep back, and their numbers.
async fn with_held(number: &str) -> (TestHost, [u64; 2]) {
    let host = without_scorers().start().await;
    host.decide_orders(&[twice_too_dear(number)]).await;
    let order = host.order(number).await;
    assert_eq!(order.state, OrderState::Held, "{}", order.why);
    let holds = host.store.order_trail(order.id).await.unwrap().unwrap().holds;
    let numbers = holds.iter().map(|hold| hold.number).collect::<Vec<_>>().try_into().unwrap();
    (host, numbers)
}

async fn post(door: &FrontDoor, order: &str, body: &str) -> Answer {
    let token = door.ops().await;
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    door.send(Method::POST, &format!("/v1/orders/{order}/release"), &headers, body.as_bytes()).await
}

async fn release(door: &FrontDoor, order: &str, holds: &[u64], reason: &str) -> Answer {
    post(door, order, &json!({ "holds": holds, "reason": reason }).to_string()).await
}

/// A refusal of this status and code, with these words in its sentence.
fn refuses(answer: &Answer, (status, code): (u16, &str), words: &[&str]) {
    let found = problem(answer, status, code);
    let detail = found["detail"].as_str().unwrap();
    assert!(words.iter().all(|word| detail.contains(word)), "expected {words:?} in: {detail}");
}

#[tokio::test]
async fn an_order_goes_when_an_operator_has_released_its_holds_by_their_numbers() {
    let (host, [first, second]) = with_held("PO-1").await;
    let door = host.front_door().await;
    let story = ask(&door, "/v1/orders/PO-1").await;
    assert_eq!((&story["holds"][0]["number"], &story["holds"][1]["number"]), (&first.into(), &second.into()));
    for missing in ["escalatedAt", "closedAt", "closedBy"] {
        assert!(story["holds"][0][missing].is_null(), "{story}");
    }
    assert_eq!(story["reviews"], json!([]));

    let held = release(&door, "PO-1", &[first], "the buyer confirmed 25.00").await;
    assert_eq!(held.status, 200, "{}", answered(&held));
    let held = answered(&held);
    assert_eq!(
        (&held["number"], &held["state"], &held["closed"], &held["opened"]),
        (&"PO-1".into(), &"held".into(), &json!([first]), &json!([]))
    );
    assert!(held["why"].as_str().unwrap().ends_with(&format!("hold {second} is left")), "{held}");
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 0);

    let id = story["id"].as_str().unwrap();
    let released = answered(&release(&door, id, &[second], "so was 20.00").await);
    assert_eq!((&released["order"], &released["state"]), (&id.into(), &"released".into()), "{released}");
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 1);

    let story = ask(&door, "/v1/orders/PO-1").await;
    assert_eq!((&story["state"], &story["queue"]), (&"released".into(), &Value::Null));
    for hold in story["holds"].as_array().unwrap() {
        assert_eq!((&hold["closedBy"], hold["closedAt"].is_string()), (&"ops".into(), true), "{hold}");
    }
    let reviews = story["reviews"].as_array().unwrap();
    let [one, other] = &reviews[..] else { panic!("{story}") };
    assert_eq!((&one["who"], &one["reason"]), (&"ops".into(), &"the buyer confirmed 25.00".into()));
    assert_eq!((&one["state"], &one["closed"], &one["erased"]), (&"held".into(), &json!([first]), &false.into()));
    assert_eq!((&other["state"], &other["closed"]), (&"released".into(), &json!([second])));
    let quiet: Vec<&Value> = other["findings"].as_array().unwrap().iter().map(|finding| &finding["quiet"]).collect();
    assert_eq!(quiet, [true, true], "both lines are as dear as they were: {other}");
    let entries = story["audit"].as_array().unwrap();
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["accept", "decide", "review", "review", "attempt", "receipt"]);
    assert!(entries.iter().any(|entry| entry["id"] == one["leaf"]), "{story}");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_released_is_refused_with_a_sentence_and_a_code() {
    let (host, [first, second]) = with_held("PO-1").await;
    let door = host.front_door().await;
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    host.decide_all().await;
    door.ops().await;
    let leaves = host.leaves().await.len();

    for body in ["", "{}", "{\"holds\":[1]}", "{\"reason\":\"x\"}", "{\"holds\":[-1],\"reason\":\"x\"}"] {
        refuses(&post(&door, "PO-1", body).await, (400, "bad-request"), &["/v1/openapi.json"]);
    }
    let unknown_key = format!("{{\"holds\":[{first}],\"reason\":\"x\",\"who\":\"me\"}}");
    refuses(&post(&door, "PO-1", &unknown_key).await, (400, "bad-request"), &["who"]);
    refuses(&release(&door, "PO-1", &[], "x").await, (400, "no-holds"), &["no hold was named", "order show"]);
    for (reason, found) in [("", "is blank"), (" \n", "is blank"), (&"x".repeat(1_001), "1001 bytes")] {
        refuses(&release(&door, "PO-1", &[first], reason).await, (400, "release-reason"), &[found, "1 to 1000"]);
    }
    refuses(&release(&door, "PO-9", &[first], "x").await, (404, "not-found"), &["no order with this id or number"]);
    refuses(&release(&door, "PO-2", &[first], "x").await, (409, "not-kept-back"), &["is not kept back"]);
    let open = format!("{first}, {second}");
    refuses(&release(&door, "PO-1", &[first, 99], "x").await, (409, "unknown-hold"), &["hold 99", &open]);
    for token in ["", "edi-token-of-the-tests"] {
        let token = bearer(token);
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        let body = format!("{{\"holds\":[{first}],\"reason\":\"x\"}}");
        let answer = door.send(Method::POST, "/v1/orders/PO-1/release", &headers, body.as_bytes()).await;
        problem(&answer, 401, "unauthorized");
    }
    assert_eq!(host.leaves().await.len(), leaves, "a refusal changes nothing");

    host.send_edi(&with_purpose(3, &twice_too_dear("PO-1"), "01")).await.unwrap();
    host.decide_all().await;
    let story = ask(&door, "/v1/orders/PO-1").await;
    let cancelled = story["holds"][2]["number"].as_u64().unwrap();
    let words = ["the sender's wish to cancel", "which no release overrides"];
    refuses(&release(&door, "PO-1", &[first, cancelled], "x").await, (409, "cancel-requested"), &words);
    assert!(
        run(&["order", "show", "PO-1", "--data-dir", text(host.folder())])
            .await
            .is_ok_and(|shown| { shown.contains("cancel-requested") && !shown.contains("release it with") })
    );
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_whose_channel_is_gone_is_not_released_to_nowhere() {
    let (host, [first, second]) = with_held("PO-1").await;
    let elsewhere = without_scorers().replace("portreeve.toml", "id = \"edi\"", "id = \"edi-2\"").replace(
        "portreeve.toml",
        "channel = \"edi\"",
        "channel = \"edi-2\"",
    );
    let host = host.restart_as(elsewhere).await;
    let door = host.front_door().await;
    let answer = release(&door, "PO-1", &[first, second], "x").await;
    refuses(&answer, (409, "no-target"), &["channel `edi`", "would go nowhere"]);
    door.close().await;
}

#[tokio::test]
async fn of_two_who_release_the_same_hold_one_does() {
    let (host, holds) = with_held("PO-1").await;
    let door = host.front_door().await;
    let both = tokio::join!(release(&door, "PO-1", &holds, "one"), release(&door, "PO-1", &holds, "other"));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 1);
    door.close().await;
}

#[tokio::test]
async fn what_was_erased_is_neither_told_nor_released() {
    let (host, [first, second]) = with_held("PO-1").await;
    let door = host.front_door().await;
    assert_eq!(release(&door, "PO-1", &[first], "a customer's secret").await.status, 200);
    let order = host.order("PO-1").await;
    let review = host.store.order_trail(order.id).await.unwrap().unwrap().reviews.remove(0);
    let database = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    for payload in [order.event, review.record] {
        let erased = database.execute(
            "DELETE FROM payload_key WHERE payload = (SELECT id FROM payload WHERE commitment = ?1)",
            [payload.commitment.as_bytes()],
        );
        assert_eq!(erased, Ok(1));
    }
    refuses(&release(&door, "PO-1", &[second], "x").await, (410, "erased"), &["content erased", "nothing was changed"]);
    let story = ask(&door, "/v1/orders/PO-1").await;
    let review = &story["reviews"][0];
    assert_eq!((&review["erased"], &review["who"], &review["reason"]), (&true.into(), &"ops".into(), &Value::Null));
    let shown = run(&["order", "show", "PO-1", "--data-dir", text(host.folder())]).await.unwrap();
    assert!(shown.contains("by ops; why, and what ended, was erased"), "{shown}");
    let shown = told(&["order", "show", "PO-1", "--data-dir", text(host.folder())]).await.remove(0);
    assert_eq!(&shown["reviews"], &story["reviews"]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_releases_an_order_in_a_stopped_hosts_folder() {
    let (host, [first, second]) = with_held("PO-1").await;
    let key = host.ops_key_file().await;
    let key = text(&key);
    let stopped = host.stop().await;
    let data = text(stopped.folder());
    let show = ["order", "show", "PO-1", "--data-dir", data];
    let shown = run(&show).await.unwrap();
    let line = format!("release it with `portreeve order release PO-1 --hold {first} --hold {second} --reason \"…\"`");
    assert!(shown.lines().any(|shown| shown == line), "{shown}");

    let (one, other) = (first.to_string(), second.to_string());
    let bad_usage = ["order", "release", "PO-1", "--reason", "x", "--data-dir", data];
    refused(&bad_usage, &["no hold was named", "`portreeve order show`"]).await;
    let long = "x".repeat(1_001);
    let with_reason = |reason| ["order", "release", "PO-1", "--hold", &one, "--reason", reason, "--data-dir", data];
    let (blank, too_long) = (with_reason(" "), with_reason(&long));
    refused(&blank, &["the reason is blank, expected 1 to 1000 bytes"]).await;
    refused(&too_long, &["a reason of 1001 bytes, expected 1 to 1000 bytes"]).await;
    for arguments in [&bad_usage[..], &blank, &too_long] {
        let line = CommandLine::try_parse_from(["portreeve"].iter().chain(arguments)).unwrap();
        let error = command::dispatch(line, &mut Output::silent()).await.unwrap_err();
        assert!(error.is::<BadUsage>(), "exit code 2: {error}");
    }
    let no_number = ["order", "release", "PO-1", "--hold", "zwei", "--reason", "x"];
    refused(&no_number, &["'zwei'", "expected the number of a hold, as `portreeve order show` lists it"]).await;
    refused(&["order", "list", "--help"], &["released, held, routed, refused, exception"]).await;
    refused(&["order", "release", "PO-1", "--hold", &one, "--data-dir", data], &["--reason"]).await;
    let by_nobody = ["order", "release", "PO-1", "--hold", &one, "--reason", "x", "--data-dir", data];
    refused(&by_nobody, &["nobody is named who does this", "--as NAME"]).await;
    let line = CommandLine::try_parse_from(["portreeve"].iter().chain(&by_nobody)).unwrap();
    assert!(command::dispatch(line, &mut Output::silent()).await.unwrap_err().is::<BadUsage>(), "exit code 2");
    let of_another = [&by_nobody[..], &["--as", "anna", "--key-file", key]].concat();
    refused(&of_another, &["a key of another account"]).await;

    let release = |hold: &str, reason: &str| {
        let asked = ["order", "release", "PO-1", "--hold", hold, "--reason", reason, "--data-dir", data];
        [&asked[..], &["--as", "ops", "--key-file", key]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let as_asked = async |hold: &str, reason: &str, json: &[&str]| {
        let arguments = release(hold, reason);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(json.iter().copied()).collect();
        run(&arguments).await
    };
    let refusal = as_asked("99", "x", &[]).await.unwrap_err();
    assert!(refusal.contains("hold 99 does not keep order PO-1 back; these do: "), "{refusal}");
    let held = as_asked(&one, "confirmed\nby the buyer", &[]).await.unwrap();
    assert!(held.starts_with("order PO-1 is held: ") && held.ends_with(&format!("; hold(s) {one} ended\n")), "{held}");

    let shown = run(&show).await.unwrap();
    let holds: Vec<&str> = shown.lines().filter(|line| line.starts_with("hold ")).collect();
    let [open, closed] = holds[..] else { panic!("{shown}") };
    assert!(open.starts_with(&format!("hold {other} (policy)")) && open.contains(", escalates "), "{shown}");
    assert!(closed.starts_with(&format!("hold {one} (policy)")) && closed.contains(", closed 2"), "{shown}");
    let review = shown.lines().find(|line| line.starts_with("looked at again ")).unwrap();
    assert!(review.ends_with(&format!(": hold(s) {one} ended, confirmed by the buyer; then held")), "{review}");

    let released: Value = serde_json::from_str(&as_asked(&other, "so was this", &["--json"]).await.unwrap()).unwrap();
    assert_eq!((&released["number"], &released["state"]), (&"PO-1".into(), &"released".into()), "{released}");
    let shown = told(&show).await.remove(0);
    let who = &shown["holds"][0]["closedBy"];
    assert_eq!((&shown["holds"][0]["number"], who), (&first.into(), &shown["reviews"][0]["who"]));
    assert_eq!((who, &shown["reviews"][1]["closed"]), (&"ops".into(), &json!([second])));
    assert!(!run(&show).await.unwrap().contains("release it with"));
    let entries = run(&["audit", "show", "--order", "PO-1", "--data-dir", data]).await.unwrap();
    assert!(!entries.lines().any(|line| line.trim_start().starts_with('-')), "each has its index: {entries}");
    assert_eq!(told(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_releases_an_order_of_a_running_host() {
    // A number that means something in an address, and in a shell.
    let number = "PO 1/7?#$(x)";
    let (host, [first, second]) = with_held(number).await;
    let door = host.front_door().await;
    let token = host.ops_key_file().await;
    let (server, data) = (format!("http://{}", door.address()), text(host.folder()));
    let shown = run(&["order", "show", number, "--data-dir", data]).await.unwrap();
    let id = host.order(number).await.id;
    let line = format!("release it with `portreeve order release {id} --hold {first} --hold {second} --reason \"…\"`");
    assert!(shown.lines().any(|shown| shown == line), "{shown}");

    let (one, other) = (first.to_string(), second.to_string());
    let running = ["--server", &server, "--token-file", text(&token)];
    let release = ["order", "release", number, "--reason", "the buyer confirmed"];
    refused(&[&release[..], &["--hold", "99"], &running].concat(), &["the server answered 409", "hold 99"]).await;
    let released = run(&[&release[..], &["--hold", &one, "--hold", &other], &running].concat()).await.unwrap();
    let expected = format!("order {number} is released: released by ops; hold(s) {one}, {other} ended\n");
    assert_eq!(released, expected);
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 1);
    let again = [&release[..], &["--hold", &one], &running].concat();
    let by_whom = format!("order {number} is not kept back: released {} by operator", host.clock.now());
    refused(&again, &["the server answered 409", &by_whom]).await;
    std::fs::write(&token, "another").unwrap();
    refused(&again, &["the server answered 401", "no session and no key"]).await;
    door.close().await;
}

#[tokio::test]
async fn a_hold_that_escalated_says_since_when() {
    let (host, [first, _]) = with_held("PO-1").await;
    let due = host.store.order_trail(host.order("PO-1").await.id).await.unwrap().unwrap().holds[0].expires_at;
    host.clock.advance_to(due);
    assert_eq!(host.host.pipeline.escalate_due(|| false).await.unwrap(), 2);
    let door = host.front_door().await;
    let story = ask(&door, "/v1/orders/PO-1").await;
    assert_eq!(story["holds"][0]["escalatedAt"], due.to_string());
    let shown = run(&["order", "show", "PO-1", "--data-dir", text(host.folder())]).await.unwrap();
    let line = shown.lines().find(|line| line.starts_with(&format!("hold {first} "))).unwrap();
    assert!(line.ends_with(&format!(", due {due}, escalated since {due}")), "{line}");
    door.close().await;
}
