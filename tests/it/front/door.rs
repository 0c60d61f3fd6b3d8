//! What visitors hear at the front door: the channel's own reply, the host's, or
//! problem details; and what operators can read of an order.

use hyper::Method;
use portreeve::client::Answer;
use portreeve_store::contract::OrderState;
use serde_json::Value;

use crate::support::{EDI_TOKEN, FrontDoor, OPERATOR_TOKEN, PurchaseOrder, Setup, TestHost, shop_signature, tree, x12};

pub(super) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&answer.body)))
}

/// A problem of this status and code, as RFC 9457 wants it.
pub(super) fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let found = json(answer);
    assert_eq!(answer.status, status, "{found}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(found["type"], format!("urn:portreeve:problem:{code}"), "{found}");
    assert_eq!(found["status"], status);
    assert!(found["title"].is_string() && found["detail"].is_string());
    found
}

pub(super) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(super) async fn ask(door: &FrontDoor, path: &str) -> Value {
    serde_json::from_str(&door.ask(path).await).unwrap()
}

#[tokio::test]
async fn a_duplicate_gets_the_first_reply_and_a_header_that_says_so() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let edi = x12(1, &PurchaseOrder::clean("PO-1"));
    let first = door.post("edi", &[("authorization", &bearer(EDI_TOKEN))], &edi).await;
    let again = door.post("edi", &[("authorization", &bearer(EDI_TOKEN))], &edi).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.header("x-portreeve-duplicate"), Some("false"));
    assert_eq!(again.header("x-portreeve-duplicate"), Some("true"));
    assert_eq!(first.header("x-portreeve-input"), again.header("x-portreeve-input"));
    assert!(first.body.starts_with(b"ISA"), "an EDI sender gets a 997");
    assert_eq!(first.body, again.body);
    door.close().await;
}

/// A long order makes the connector fail; the input is then kept for a person.
fn short_spoken_connector() -> Setup {
    Setup::demo().grant("x12", "{ numbers = [\"x12-interchange\", \"x12-group\"], limits = { output_bytes = 4000 } }")
}

#[tokio::test]
async fn an_input_whose_connector_has_no_reply_is_answered_by_the_host() {
    let host = short_spoken_connector().start().await;
    let door = host.front_door().await;
    let long = x12(1, &PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 1, "BX", "18.40"); 200]));
    let kept = door.post("edi", &[("authorization", &bearer(EDI_TOKEN))], &long).await;
    assert_eq!(kept.status, 202);
    assert_eq!(json(&kept)["input"].as_str(), kept.header("x-portreeve-input"));
    let again = door.post("edi", &[("authorization", &bearer(EDI_TOKEN))], &long).await;
    assert_eq!(again.status, 200);
    assert_eq!(json(&again)["duplicate"], true);
    door.close().await;
}

#[tokio::test]
async fn whatever_goes_wrong_is_told_as_a_problem() {
    let json_only = Setup::demo().replace(
        "portreeve.toml",
        "id = \"shop\"\n",
        "id = \"shop\"\ncontent_types = [\"application/json\"]\n",
    );
    let host = json_only.start().await;
    let door = host.front_door().await;
    let operator = bearer(OPERATOR_TOKEN);
    let operator = [("authorization", operator.as_str())];
    problem(&door.get("/nowhere", &[]).await, 404, "not-found");
    problem(&door.get("/v1/orders/3f0c6a51-6d7e-5b1a-9f44-0a8f5c1d2e3b", &operator).await, 404, "not-found");
    problem(&door.get("/v1/channels/shop?challenge=1", &[]).await, 404, "not-found");
    let refused = door.send(Method::DELETE, "/v1/orders", &operator, b"").await;
    problem(&refused, 405, "method-not-allowed");
    assert!(refused.header("allow").unwrap().contains("GET"), "{:?}", refused.headers);
    for query in ["limit=many", "limit=0", "state=lost", "colour=red"] {
        problem(&door.get(&format!("/v1/orders?{query}"), &operator).await, 400, "bad-request");
    }
    problem(&door.get("/v1/orders/nonsense", &operator).await, 404, "not-found");
    problem(&door.get("/v1/orders?number=PO-1&state=held", &operator).await, 400, "bad-request");
    let in_lower_case = format!("bearer {OPERATOR_TOKEN}");
    assert_eq!(door.get("/v1/orders", &[("authorization", &in_lower_case)]).await.status, 200);
    let unknown = door.get("/v1/orders", &[]).await;
    problem(&unknown, 401, "unauthorized");
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));

    let signature = shop_signature(b"{}");
    let as_xml = [("x-portreeve-signature", signature.as_str()), ("content-type", "text/xml")];
    problem(&door.post("shop", &as_xml, b"{}").await, 415, "media-type");
    // Whoever sends it is known: it is kept, and the same bytes are taken when they are called what they are.
    let summary = host.summary().await;
    assert_eq!((summary.inputs, summary.refused_inputs), (0, 1));
    let strange = [("x-portreeve-signature", "00"), ("content-type", "text/xml")];
    assert_eq!(door.post("shop", &strange, b"{}").await.status, 401);
    let as_json = [("x-portreeve-signature", signature.as_str()), ("content-type", "Application/JSON; charset=utf-8")];
    assert_ne!(door.post("shop", &as_json, b"{}").await.status, 415);
    let summary = host.summary().await;
    assert_eq!((summary.inputs, summary.refused_inputs), (1, 1));
    // The length alone is enough: nobody reads such a body.
    let long = [("authorization", "Bearer edi-token-of-the-tests"), ("content-length", "5000000")];
    let large = door.announce("/v1/channels/edi", &long).await;
    assert!(large.starts_with("HTTP/1.1 413 ") && large.contains("problem:too-large"), "{large}");
    door.close().await;
}

#[tokio::test]
async fn a_challenge_is_answered_where_the_channel_takes_any_and_leaves_nothing() {
    let host =
        Setup::demo().replace("portreeve.toml", "id = \"shop\"\n", "id = \"shop\"\nchallenges = true\n").start().await;
    let door = host.front_door().await;
    let echoed = door.get("/v1/channels/shop?challenge=7c9e-1", &[]).await;
    assert_eq!((echoed.status, &echoed.body[..]), (200, &b"7c9e-1"[..]));
    problem(&door.get("/v1/channels/shop?challenge=%3Cscript%3E", &[]).await, 404, "not-found");
    problem(&door.get("/v1/channels/edi?challenge=7c9e-1", &[]).await, 404, "not-found");
    assert_eq!(host.summary().await.inputs, 0);
    door.close().await;
}

#[tokio::test]
async fn orders_and_exceptions_are_read_in_pages_and_by_state() {
    let host = short_spoken_connector().start().await;
    let unknown_item = PurchaseOrder::clean("PO-0").with_lines(&[("NO-SUCH", 1, "EA", "1.00")]);
    let mut orders = vec![unknown_item];
    orders.extend((1..=4).map(|number| PurchaseOrder::clean(&format!("PO-{number}"))));
    let decided = host.decide_orders(&orders).await;
    let door = host.front_door().await;

    let (mut after, mut numbers) = (0, Vec::new());
    loop {
        let page = ask(&door, &format!("/v1/orders?after={after}&limit=2")).await;
        numbers.extend(page["orders"].as_array().unwrap().iter().map(|order| order["number"].clone()));
        let Some(next) = page["next"].as_u64() else { break };
        after = next;
    }
    assert_eq!(numbers, ["PO-0", "PO-1", "PO-2", "PO-3", "PO-4"]);
    for state in OrderState::ALL {
        let page = ask(&door, &format!("/v1/orders?state={}", state.as_str())).await;
        let expected = decided.iter().filter(|order| order.state == state).count();
        assert_eq!(page["orders"].as_array().unwrap().len(), expected, "{}", state.as_str());
    }

    let long = PurchaseOrder::clean("PO-9").with_lines(&[("FST-1007", 1, "BX", "18.40"); 200]);
    for control in 10..13 {
        host.send_edi(&x12(control, &long)).await.unwrap();
    }
    host.decide_all().await;
    let open = host.exceptions().await;
    assert!(open.len() >= 2, "{open:?}");
    let first = ask(&door, "/v1/exceptions?limit=1").await;
    assert_eq!(first["exceptions"][0]["id"], open[0].id);
    let rest = ask(&door, &format!("/v1/exceptions?after={}", first["next"])).await;
    assert_eq!(rest["exceptions"].as_array().unwrap().len(), open.len() - 1);
    assert!(rest["next"].is_null());
    let metrics = door.ask("/metrics").await;
    assert!(metrics.contains(&format!("portreeve_count{{what=\"open-exceptions\"}} {}\n", open.len())), "{metrics}");
    door.close().await;
}

#[tokio::test]
async fn an_order_tells_its_whole_story() {
    let host = TestHost::demo().await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await.remove(0);
    host.deliver_all().await;
    host.verify().await.unwrap();
    let door = host.front_door().await;
    let story = ask(&door, &format!("/v1/orders/{}", order.id)).await;
    assert_eq!(story["number"], "PO-1");
    assert_eq!(
        (&story["input"]["sender"], &story["input"]["kind"]),
        (&Value::from("edi-gateway"), &Value::from("x12/850"))
    );
    assert_eq!(story["decision"]["scores"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&story["attempts"][0]["number"], &story["attempts"][0]["outcome"]),
        (&Value::from(1), &Value::from("applied"))
    );
    assert_eq!(story["attempts"][0]["target"], "erp");
    let kinds: Vec<&str> =
        story["audit"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["accept", "decide", "attempt", "receipt"]);
    assert!(story["audit"].as_array().unwrap().iter().all(|entry| entry["index"].is_u64()), "{}", story["audit"]);

    let held =
        host.send_edi(&x12(9, &PurchaseOrder::clean("PO-9").with_lines(&[("FST-1007", 10, "BX", "1.00")]))).await;
    assert_eq!(held.unwrap().reply.status, 200);
    host.decide_all().await;
    let id = host.order("PO-9").await.id;
    let story = ask(&door, &format!("/v1/orders/{id}")).await;
    assert_eq!(story["state"], "held", "{story}");
    assert!(story["holds"][0]["reason"].is_string() && story["holds"][0]["expiresAt"].is_string(), "{story}");
    door.close().await;
}

#[tokio::test]
async fn an_order_is_found_by_its_senders_number_where_that_names_one() {
    let host = TestHost::demo().await;
    let twice = [PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2"), PurchaseOrder::clean("PO-2")];
    let [first, second, third] = twice;
    host.decide_orders(&[first, second, third.of_customer("C1202")]).await;
    let door = host.front_door().await;
    let story = ask(&door, "/v1/orders/PO-1").await;
    assert_eq!((&story["number"], &story["id"]), (&"PO-1".into(), &host.order("PO-1").await.id.to_string().into()));
    let both = ask(&door, "/v1/orders?number=PO-2").await;
    assert_eq!(both["orders"].as_array().unwrap().len(), 2, "{both}");
    let bearer = bearer(OPERATOR_TOKEN);
    let several = problem(&door.get("/v1/orders/PO-2", &[("authorization", &bearer)]).await, 409, "ambiguous");
    assert!(several["detail"].as_str().unwrap().contains("?number="), "{several}");
    door.close().await;
}

/// A host with two dead letters: the ERP is not there, and nobody waits for it.
async fn with_dead_letters() -> TestHost {
    let setup = Setup::demo().erp_origin("http://127.0.0.1:9");
    let host = setup.replace("portreeve.toml", "attempts_max = 6", "deadline_minutes = 1").start().await;
    // One after the other: numbers are in the order in which deliveries are given up.
    for (control, number) in [(1, "PO-1"), (2, "PO-2")] {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
        host.decide_all().await;
        host.deliver_all().await;
    }
    host
}

/// Decides about an exception as it is now.
async fn decide(door: &FrontDoor, credential: &[(&str, &str)], path: &str, action: &str) -> Answer {
    let shown = json(&door.get(path, credential).await)["shown"].clone();
    let body = serde_json::json!({ "shown": shown, "action": action, "reason": "the ERP is back" }).to_string();
    let headers = [credential, &[("content-type", "application/json")]].concat();
    door.send(Method::POST, &format!("{path}/decide"), &headers, body.as_bytes()).await
}

#[tokio::test]
async fn somebody_decides_about_dead_letters_while_the_host_runs() {
    let host = with_dead_letters().await;
    let door = host.front_door().await;
    let token = door.ops().await;
    let operator = [("authorization", token.as_str())];

    let first = ask(&door, "/v1/dead-letters?limit=1").await;
    let rest = ask(&door, &format!("/v1/dead-letters?after={}", first["next"])).await;
    let letters = [&first["deadLetters"][0], &rest["deadLetters"][0]];
    assert_eq!((&letters[0]["orderNumber"], &letters[1]["orderNumber"]), (&"PO-1".into(), &"PO-2".into()));
    assert!(rest["next"].is_null() && letters[0]["blocks"] == true, "{first} {rest}");

    let path = |letter: &Value| format!("/v1/exceptions/{}", letter["number"]);
    for credential in [&[][..], &[("authorization", "Bearer edi-token-of-the-tests")]] {
        let refused = door.send(Method::POST, &format!("{}/decide", path(letters[0])), credential, b"").await;
        problem(&refused, 401, "unauthorized");
    }
    let leaves_before = host.leaves().await.len();
    for (letter, action) in [(letters[0], "retry"), (letters[1], "abandon")] {
        let answer = decide(&door, &operator, &path(letter), action).await;
        assert_eq!((answer.status, json(&answer)["done"].as_bool()), (200, Some(true)), "{}", json(&answer));
    }
    assert_eq!(host.leaves().await.len(), leaves_before + 2, "each decision is on record");
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "pending");
    assert_eq!(host.order("PO-2").await.deliveries[0].state, "abandoned");

    problem(&decide(&door, &operator, &path(letters[1]), "retry").await, 409, "closed");
    problem(&door.send(Method::POST, "/v1/exceptions/none/claim", &operator, b"").await, 400, "bad-request");
    problem(&door.send(Method::POST, "/v1/exceptions/99/claim", &operator, b"").await, 404, "not-found");
    problem(&door.get("/v1/dead-letters?limit=0", &operator).await, 400, "bad-request");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn deliveries_that_an_outage_gave_up_are_tried_again_together_up_to_a_number_and_as_they_were_shown() {
    let host = with_dead_letters().await;
    let door = host.front_door().await;
    let token = door.ops().await;
    let operator = [("authorization", token.as_str())];
    let asked = "/v1/dead-letters/together?target=erp&code=deadline";
    let ask_for = async |most: u32| json(&door.get(&format!("{asked}&most={most}"), &operator).await);
    let retry = async |credential: &str, most: u32, shown: &Value| {
        let (target, code, reason) = ("erp", "deadline", "the ERP is back");
        let body =
            serde_json::json!({ "target": target, "code": code, "most": most, "shown": shown, "reason": reason });
        let headers = [("authorization", credential), ("content-type", "application/json")];
        door.send(Method::POST, "/v1/dead-letters/together", &headers, body.to_string().as_bytes()).await
    };
    let pending = async || {
        let states = [host.order("PO-1").await, host.order("PO-2").await];
        states.map(|mut order| order.deliveries.remove(0).state == "pending")
    };

    let one = ask_for(1).await;
    assert_eq!((one["deadLetters"].as_array().unwrap().len(), &one["more"]), (1, &true.into()), "{one}");
    let both = ask_for(500).await;
    assert_eq!((both["deadLetters"].as_array().unwrap().len(), &both["more"]), (2, &false.into()), "{both}");
    let others = door.get("/v1/dead-letters/together?target=erp&code=absent&most=9", &operator).await;
    assert!(json(&others)["deadLetters"].as_array().unwrap().is_empty(), "no other cause is among them");
    for most in [0, 501] {
        problem(&door.get(&format!("{asked}&most={most}"), &operator).await, 400, "bad-request");
        problem(&retry(&token, most, &both["shown"]).await, 400, "bad-request");
    }

    // Who reads all of it may not; nor does anything go that was not shown.
    problem(&retry(&bearer(OPERATOR_TOKEN), 500, &both["shown"]).await, 403, "forbidden");
    let viewer = door.key_of("viktor", &["viewer"]).await;
    problem(&retry(&viewer, 500, &both["shown"]).await, 403, "forbidden");
    problem(&retry(&token, 500, &one["shown"]).await, 409, "stale");
    assert_eq!(pending().await, [false, false]);

    let leaves = host.leaves().await.len();
    let done = json(&retry(&token, 1, &one["shown"]).await);
    assert_eq!(
        (done["letters"].as_array().unwrap().len(), &done["letters"][0]["retried"]),
        (1, &true.into()),
        "{done}"
    );
    assert_eq!((pending().await, host.leaves().await.len()), ([true, false], leaves + 1), "one went, on record");

    // The first is no dead letter any more, so what was shown before is something else now.
    problem(&retry(&token, 500, &both["shown"]).await, 409, "stale");
    // Somebody else works on the other one: it is told, and stays.
    let left = ask_for(500).await;
    let number = left["deadLetters"][0]["number"].to_string();
    let other = door.key_of("otto", &["integration"]).await;
    let claim = format!("/v1/exceptions/{number}/claim");
    assert_eq!(door.send(Method::POST, &claim, &[("authorization", &other)], b"").await.status, 200);
    let done = json(&retry(&token, 500, &left["shown"]).await);
    let why = done["letters"][0]["why"].as_str().unwrap();
    assert!(why.contains("otto") && pending().await == [true, false], "{done}");
    let done = json(&retry(&other, 500, &left["shown"]).await);
    assert_eq!((&done["letters"][0]["retried"], pending().await), (&true.into(), [true, true]), "{done}");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_delivery_that_was_replayed_too_often_is_not_replayed_again() {
    let host = with_dead_letters().await;
    let door = host.front_door().await;
    let token = door.ops().await;
    let operator = [("authorization", token.as_str())];
    loop {
        let letters = ask(&door, "/v1/dead-letters").await;
        let letter = letters["deadLetters"].as_array().unwrap().iter().find(|letter| letter["orderNumber"] == "PO-1");
        let letter = letter.unwrap();
        let path = format!("/v1/exceptions/{}", letter["number"]);
        let answer = decide(&door, &operator, &path, "retry").await;
        if answer.status == 200 {
            assert!(letter["replays"].as_u64().unwrap() < 10, "{letter}");
            host.deliver_all().await;
            continue;
        }
        let refused = problem(&answer, 409, "replays-spent");
        assert!(refused["detail"].as_str().unwrap().contains("abandon it"), "{refused}");
        break;
    }
    door.close().await;
}

#[tokio::test]
async fn the_api_is_described_by_the_code_that_answers() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let served = json(&door.get("/v1/openapi.json", &[]).await);
    assert_eq!(served["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    let written: Value = serde_json::from_str(&portreeve_api::openapi().unwrap()).unwrap();
    assert_eq!(served, written);
    for path in served["paths"].as_object().unwrap().keys() {
        let path = path
            .replace("{channel}", "edi")
            .replace("{id}", "3f0c6a51-6d7e-5b1a-9f44-0a8f5c1d2e3b")
            .replace("{exception}", "1")
            .replace("{name}", "anna")
            .replace("{below}", "orders/7");
        let known = door.send(Method::PUT, &path, &[], b"").await;
        assert_eq!(known.status, 405, "`{path}` is described, but nothing is there");
    }
    door.close().await;

    let golden = tree().root().join("tests/golden/openapi.json");
    let written = format!("{}\n", portreeve_api::openapi().unwrap());
    if std::env::var_os("PORTREEVE_WRITE_GOLDEN").is_some() {
        std::fs::write(&golden, &written).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        written, expected,
        "the API changed; look at the difference and run again with PORTREEVE_WRITE_GOLDEN=1"
    );
}
