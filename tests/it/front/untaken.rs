//! Inputs of which nothing was taken: that people see what came and why, over HTTP and in a folder,
//! and that its bytes, and those of any other input, are shown to those alone whose work it is.

use std::path::Path;

use hyper::Method;
use portreeve_model::ExceptionKind;
use portreeve_pipeline::AcceptError;
use serde_json::Value;

use super::commands::{json, refused, run, stopped, text};
use super::door::{ask, bearer, problem};
use crate::later::with_purpose;
use crate::support::{FrontDoor, MORNING, OPERATOR_TOKEN, PurchaseOrder, Setup, TestHost, shop_signature, x12};

/// A host that took one order, refused an interchange twice that has its number, rejected what is
/// none, and refused the shop's XML.
async fn refusing() -> (TestHost, FrontDoor, Vec<u8>) {
    let json_only = Setup::demo().replace(
        "portreeve.toml",
        "id = \"shop\"\n",
        "id = \"shop\"\ncontent_types = [\"application/json\"]\n",
    );
    let host = json_only.start().await;
    let (first, other) = (x12(1, &PurchaseOrder::clean("PO-1")), x12(1, &PurchaseOrder::clean("PO-2")));
    host.send_edi(&first).await.unwrap();
    for _ in 0..2 {
        let refused = host.send_edi(&other).await;
        assert!(matches!(refused, Err(AcceptError::Conflict { .. })), "{refused:?}");
    }
    host.send_edi(b"no interchange").await.unwrap();
    let door = host.front_door().await;
    let signature = shop_signature(b"{}");
    let as_xml = [("x-portreeve-signature", signature.as_str()), ("content-type", "text/xml")];
    problem(&door.post("shop", &as_xml, b"{}").await, 415, "media-type");
    (host, door, other)
}

async fn numbers(door: &FrontDoor, query: &str) -> Vec<u64> {
    let page = ask(door, &format!("/v1/inputs{query}")).await;
    page["inputs"].as_array().unwrap().iter().map(|input| input["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn what_was_refused_is_listed_with_its_reason_and_found_by_outcome_channel_and_time() {
    let (host, door, _) = refusing().await;
    let page = ask(&door, "/v1/inputs").await;
    let inputs = page["inputs"].as_array().unwrap();
    let told: Vec<_> = inputs
        .iter()
        .map(|input| {
            let text = |name: &str| input[name].as_str().unwrap();
            (input["number"].as_u64().unwrap(), text("outcome"), text("channel"))
        })
        .collect();
    assert_eq!(told, [(2, "refused", "edi"), (3, "rejected", "edi"), (4, "refused", "shop")], "{page}");
    let why: Vec<&str> = inputs.iter().map(|input| input["why"].as_str().unwrap()).collect();
    assert!(why[0].starts_with("an envelope of it came before with other content"), "{page}");
    assert!(why[1].ends_with("the first is `data-outside-interchange` at byte 0"), "{page}");
    assert_eq!(why[2], "channel `shop` does not take its media type");
    assert!(inputs.iter().all(|input| input["content"].as_str().unwrap().starts_with("sha256:")), "{page}");
    assert!(page["next"].is_null() && !page.to_string().contains("PO-2"), "nobody reads here what it said: {page}");

    for (query, expected) in [
        ("?outcome=refused", vec![2, 4]),
        ("?outcome=refused&channel=edi", vec![2]),
        ("?outcome=unparsed", vec![]),
        ("?since=2026-01-01T00:00:00Z", vec![2, 3, 4]),
        ("?since=2030-01-01T00:00:00Z", vec![]),
        ("?after=2&limit=1", vec![3]),
    ] {
        assert_eq!(numbers(&door, query).await, expected, "{query}");
    }
    assert_eq!(ask(&door, "/v1/inputs?limit=2").await["next"], 3);
    let operator = bearer(OPERATOR_TOKEN);
    let operator = [("authorization", operator.as_str())];
    for query in ["outcome=documents", "outcome=lost", "since=yesterday", "channel=a.b", "limit=0", "colour=red"] {
        problem(&door.get(&format!("/v1/inputs?{query}"), &operator).await, 400, "bad-request");
    }
    assert_eq!(ask(&door, "/v1/inputs/3").await, inputs[1]);
    let id = inputs[1]["id"].as_str().unwrap();
    assert_eq!(ask(&door, &format!("/v1/inputs/{id}")).await, inputs[1]);
    // Of the first one an order was taken.
    for named in ["1", "9", "nothing"] {
        problem(&door.get(&format!("/v1/inputs/{named}"), &operator).await, 404, "not-found");
    }
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn the_bytes_of_what_was_refused_are_shown_to_those_alone_whose_work_it_is_and_while_they_are_kept() {
    let (host, door, other) = refusing().await;
    let (works, approves) = (door.key_of("ina", &["integration"]).await, door.key_of("adam", &["approver"]).await);
    for key in [&works, &approves] {
        let answer = door.get("/v1/inputs/2/content", &[("authorization", key.as_str())]).await;
        assert_eq!((answer.status, &answer.body[..]), (200, other.as_slice()));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("content-disposition"), Some("attachment"));
    }
    let works = [("authorization", works.as_str())];
    assert_eq!(&door.get("/v1/inputs/4/content", &works).await.body[..], b"{}");
    problem(&door.get("/v1/inputs/1/content", &works).await, 404, "not-found");
    let (looks, prices) = (door.key_of("vera", &["viewer"]).await, door.key_of("paul", &["pricing-resolver"]).await);
    for nobody in [looks, prices, bearer(OPERATOR_TOKEN)] {
        let answer = door.get("/v1/inputs/2/content", &[("authorization", nobody.as_str())]).await;
        problem(&answer, 403, "forbidden");
    }
    assert_eq!(door.send(Method::POST, "/v1/inputs/2/content", &works, b"").await.status, 405);

    host.host.pipeline.forget_finished(MORNING.plus_ms(1_000), || false).await.unwrap();
    problem(&door.get("/v1/inputs/2/content", &works).await, 410, "erased");
    let removed = ask(&door, "/v1/inputs/2").await;
    assert!(removed["removedAt"].is_string() && removed["why"].is_string(), "{removed}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_read_in_a_folder_and_of_a_running_host_by_the_same_lines() {
    let (host, door, other) = refusing().await;
    let token = host.ops_key_file().await;
    let server = format!("http://{}", door.address());
    let (server, data) = (["--server", &server, "--token-file", text(&token)], ["--data-dir", text(host.folder())]);
    let asked = ask(&door, "/v1/inputs").await;
    for place in [&server[..], &data[..]] {
        assert_eq!(Value::from(json(&[&["input", "list"][..], place].concat()).await), asked["inputs"]);
        let of_shop = ["input", "list", "--outcome", "refused", "--channel", "shop", "--since", "2026-01-01T00:00:00Z"];
        assert_eq!(json(&[&of_shop[..], place].concat()).await, [asked["inputs"][2].clone()]);
        let told = run(&[&["input", "show", "3"][..], place].concat()).await.unwrap();
        for part in ["problem: `data-outside-interchange` at byte 0", "input content 3 --out FILE"] {
            assert!(told.contains(part), "expected `{part}` in {told}");
        }
        refused(&[&["input", "show", "9"][..], place].concat(), &["there is no input `9` of which nothing was taken"])
            .await;
        refused(&[&["input", "list", "--outcome", "lost"][..], place].concat(), &["found `lost` as the outcome"]).await;
    }
    let out = host.folder().join("refused.edi");
    run(&[&["input", "content", "2", "--out", text(&out)][..], &server].concat()).await.unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), other);
    let nobody = [&["input", "content", "2", "--out", text(&out)][..], &data].concat();
    refused(&nobody, &["nobody is named", "--as"]).await;
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_says_by_which_command_the_bytes_that_it_came_in_are_seen_also_where_they_were_taken() {
    // Nobody reads the set: the input was taken, and its document is a person's.
    let reads = "\"x12/850\" = \"x12-orders\"";
    let host = Setup::demo().replace("portreeve.toml", reads, "\"x12/860\" = \"x12-orders\"").start().await;
    let sent = x12(1, &PurchaseOrder::clean("PO-1"));
    host.send_edi(&sent).await.unwrap();
    host.decide_all().await;
    let exception = host.exceptions().await.remove(0).id.to_string();
    let (door, token) = (host.front_door().await, host.ops_key_file().await);
    let server = format!("http://{}", door.address());
    let server = ["--server", &server, "--token-file", text(&token)];
    let told = run(&[&["exception", "show", &exception][..], &server].concat()).await.unwrap();
    assert!(told.contains("it came by edi from edi-gateway\n"), "{told}");
    let (out, command) = (host.folder().join("came.edi"), named_for_the_bytes(&told));
    assert_eq!(came(&command, &out).await, sent);
    let input = command.split(' ').nth(2).unwrap();

    // To nobody else, and nothing beside the bytes.
    let looks = door.key_of("vera", &["viewer"]).await;
    let looks = [("authorization", looks.as_str())];
    problem(&door.get(&format!("/v1/inputs/{input}/content"), &looks).await, 403, "forbidden");
    problem(&door.get(&format!("/v1/inputs/{input}"), &looks).await, 404, "not-found");
    let taken = ["came by `edi` from `edi-gateway`, was taken", "by `portreeve input content`"];
    for place in [&server[..], &["--data-dir", text(host.folder())]] {
        refused(&[&["input", "show", input][..], place].concat(), &taken).await;
    }
    let wrong = ["input", "content", "9", "--out", text(&out)];
    refused(&[&wrong[..], &server].concat(), &["there is no input `9`; expected its id"]).await;
    door.close().await;
}

/// The command that an exception names for the bytes that it came in, as it is typed behind `portreeve`.
fn named_for_the_bytes(told: &str) -> String {
    let before = "the bytes that it came in, for whoever works on the channel's queue: portreeve ";
    let command = told.lines().find_map(|line| line.strip_prefix(before));
    command.unwrap_or_else(|| panic!("no command in {told}")).to_owned()
}

/// What is written by that command, with a file of one's own.
async fn came(command: &str, out: &Path) -> Vec<u8> {
    let typed = command.replacen("--out FILE", &format!("--out {}", text(out)), 1);
    run(&typed.split(' ').collect::<Vec<_>>()).await.unwrap();
    std::fs::read(out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_about_an_order_names_the_bytes_of_the_document_that_brought_it_or_asked_for_something_else() {
    let host = Setup::demo().scorers(&[]).start().await;
    let dear = x12(1, &PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 1, "BX", "20.00")]));
    let good = x12(2, &PurchaseOrder::clean("PO-2"));
    let fewer = PurchaseOrder::clean("PO-2").with_lines(&[("FST-1007", 3, "BX", "18.40")]);
    let change = with_purpose(3, &fewer, "05");
    for sent in [&dear, &good, &change] {
        host.send_edi(sent).await.unwrap();
        host.decide_all().await;
    }
    let open = host.exceptions().await;
    let (door, token) = (host.front_door().await, host.ops_key_file().await);
    let server = format!("http://{}", door.address());
    let (server, data) = (["--server", &server, "--token-file", text(&token)], text(host.folder()));
    for (kind, sent) in [(ExceptionKind::Held, &dear), (ExceptionKind::Change, &change)] {
        let number = open.iter().find(|open| open.kind == kind).unwrap().id.to_string();
        let show = ["exception", "show", &number];
        let told = run(&[&show[..], &server].concat()).await.unwrap();
        let command = named_for_the_bytes(&told);
        assert_eq!(&came(&command, &host.folder().join(format!("{number}.edi"))).await, sent, "{kind:?}");
        let (command, _) = command.split_once(" --server").unwrap();
        let told = run(&[&show[..], &["--data-dir", data]].concat()).await.unwrap();
        let in_folder = format!("{command} --data-dir {data} --as NAME --key-file FILE");
        assert_eq!(named_for_the_bytes(&told), in_folder);
        let story = ask(&door, &format!("/v1/exceptions/{number}")).await;
        assert_eq!((&story["channel"], &story["sender"]), (&"edi".into(), &"edi-gateway".into()));
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_what_was_rejected_are_written_for_somebody_who_proves_who_it_is_in_a_stopped_hosts_folder() {
    let folder = stopped(&Setup::demo(), "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let file = |name: &str, body: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, body).unwrap();
        text(&path).to_owned()
    };
    let garbage = file("garbage.edi", b"no interchange");
    let password = file("password", b"three words and more\n");
    assert_eq!(json(&["ingest", "--channel", "edi", "--data-dir", data, &garbage]).await[0]["disposition"], "rejected");
    for (name, role) in [("root", "administrator"), ("ina", "integration")] {
        let add = ["person", "add", name, "--role", role, "--data-dir", data, "--password-file", &password];
        let by = ["--as", "root", "--as-password-file", &password];
        // The first one is made by whoever has the folder.
        let by = if name == "root" { &[][..] } else { &by[..] };
        run(&[&add[..], by].concat()).await.unwrap();
    }
    let out = folder.path().join("out.edi");
    let write = ["input", "content", "1", "--data-dir", data, "--out", text(&out), "--as-password-file", &password];
    run(&[&write[..], &["--as", "ina"]].concat()).await.unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), b"no interchange");
    refused(&[&write[..], &["--as", "root"]].concat(), &["`integration`"]).await;
}
