//! Credentials: the host's in every direction. What a target repeats, a guest forges or
//! an operator rotates, the guest never sees one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use portreeve_pipeline::egress::CredentialEntry;
use portreeve_sandbox::{Call, RequestOutcome};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::connector::{Border, refused};
use super::egress::Way;
use crate::support::{MORNING, PurchaseOrder, Setup};

const SECRET: &str = "s3cret-Of-the-tests";

fn entry(text: &str) -> CredentialEntry {
    let entry: CredentialEntry = toml::from_str(text).unwrap();
    assert!(entry.problems().is_empty(), "{:?}", entry.problems());
    entry
}

/// A target that answers by a function of the request: status and body. The body repeats
/// whatever headers came.
async fn target(
    answer: impl Fn(&Request) -> u16 + Clone + Send + Sync + 'static,
) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let routes = axum::Router::new().fallback(move |request: Request| {
        let status = hyper::StatusCode::from_u16(answer(&request)).unwrap();
        let headers = format!("{:?}", request.headers());
        keep.lock().unwrap().push(headers.clone());
        let repeated = [("x-repeated", headers.clone())];
        std::future::ready((status, repeated, headers))
    });
    tokio::spawn(axum::serve(listener, routes).into_future());
    (address, seen)
}

/// The hostile connector, on its way to a target that wants this credential.
async fn border(way: &Way, address: std::net::SocketAddr, base: &Path) -> Border {
    let mut border = Border::new("{}").await;
    border.target.address = address;
    way.open(&mut border, &format!("http://{address}"), base);
    border
}

async fn post(border: &Border, header: (&str, &str)) -> (String, RequestOutcome) {
    let settings = [("method", "POST"), ("show", "body"), ("header", header.0), ("header-value", header.1)];
    border.send(Call::Deliver, &settings).await
}

#[tokio::test]
async fn a_secret_goes_to_the_target_and_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), format!("{SECRET}\n")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(b"");
    let of_nothing = hex::encode(mac.finalize().into_bytes());
    for (text, header, sent) in [
        ("kind = \"header\"\nname = \"x-api-key\"", "x-api-key", SECRET.to_owned()),
        ("kind = \"header\"\nname = \"authorization\"\nprefix = \"Bearer \"", "x-a", format!("Bearer {SECRET}")),
        // `portreeve:s3cret-Of-the-tests`
        ("kind = \"basic\"\nuser = \"portreeve\"", "x-a", "Basic cG9ydHJlZXZlOnMzY3JldC1PZi10aGUtdGVzdHM=".to_owned()),
        (
            "kind = \"hmac\"\nheader = \"x-signature\"\nprefix = \"sha256=\"",
            "x-signature",
            format!("sha256={of_nothing}"),
        ),
    ] {
        for source in ["{ file = \"key\" }", "{ command = [\"cat\", \"key\"] }"] {
            let credential = entry(&format!("{text}\nsecret = {source}"));
            let way = Way { credential: Some(credential), ..Way::granted("") };
            let (address, seen) = target(|_| 200).await;
            let border = border(&way, address, folder.path()).await;
            // A guest's own copy of the header is replaced.
            let (told, _) = post(&border, (header, "forged")).await;
            let seen = seen.lock().unwrap().remove(0);
            assert!(seen.contains(&sent), "{sent} in {seen}");
            assert!(!seen.contains("forged") || header == "x-a", "{seen}");
            assert!(told.starts_with("200 "), "{told}");
            for hidden in [SECRET, sent.as_str(), sent.rsplit(' ').next().unwrap()] {
                assert!(!told.contains(hidden), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn the_id_the_time_and_the_signature_of_a_message_are_the_hosts() {
    let folder = tempfile::tempdir().unwrap();
    // The vector of Standard Webhooks' own libraries.
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    std::fs::write(folder.path().join("key"), secret).unwrap();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap()).unwrap();
    mac.update(b"msg_1.1772438400.");
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    for message in [Some("msg_1".to_owned()), None] {
        let credential = Some(entry("kind = \"standard-webhooks\"\nsecret = { file = \"key\" }"));
        let way = Way { credential, message: message.clone(), ..Way::granted("") };
        let (address, seen) = target(|_| 200).await;
        let border = border(&way, address, folder.path()).await;
        for (header, expected) in
            [("webhook-id", "msg_1"), ("webhook-timestamp", "1772438400"), ("webhook-signature", signature.as_str())]
        {
            let (told, _) = post(&border, (header, "forged")).await;
            let seen = seen.lock().unwrap().remove(0);
            assert!(!seen.contains("forged"), "{seen}");
            let shown = format!("\"{header}\": \"{expected}\"");
            // Whoever only asks has no message, and may not make one up.
            assert_eq!(seen.contains(&shown), message.is_some(), "{shown} in {seen}");
            assert!(told.starts_with("200 ") && !told.contains(secret), "{told}");
        }
    }
}

#[tokio::test]
async fn a_credential_goes_with_the_granted_methods_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), SECRET).unwrap();
    let text = "kind = \"header\"\nname = \"x-api-key\"\nmethods = [\"GET\"]\nsecret = { file = \"key\" }";
    let way = Way { credential: Some(entry(text)), ..Way::granted("") };
    let (address, seen) = target(|_| 200).await;
    let border = border(&way, address, folder.path()).await;
    post(&border, ("x-api-key", "forged")).await;
    border.send(Call::Find, &[("method", "GET")]).await;
    let seen = seen.lock().unwrap().clone();
    assert!(!seen[0].contains(SECRET) && !seen[0].contains("forged"), "{}", seen[0]);
    assert!(seen[1].contains(SECRET), "{}", seen[1]);
}

#[tokio::test]
async fn a_secret_is_rotated_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "first-secret").unwrap();
    let text = "kind = \"header\"\nname = \"x-api-key\"\nsecret = { file = \"key\" }";
    let way = Way { credential: Some(entry(text)), ..Way::granted("") };
    let accepted = Arc::new(Mutex::new("first-secret".to_owned()));
    let (accepts, rotate) = (Arc::clone(&accepted), file.clone());
    let (address, seen) = target(move |request| {
        let shown = request.headers().get("x-api-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if shown == *accepts.lock().unwrap() {
            return 200;
        }
        // The target was faster than the file, which follows while the request is under way.
        std::fs::write(&rotate, accepts.lock().unwrap().as_str()).unwrap();
        401
    })
    .await;
    let border = border(&way, address, folder.path()).await;
    assert!(post(&border, ("x-a", "b")).await.0.starts_with("200"));

    std::fs::write(&file, "second-secret").unwrap();
    assert!(post(&border, ("x-a", "b")).await.0.starts_with("200"), "what the file said is kept for a second");
    *accepted.lock().unwrap() = "second-secret".to_owned();
    way.clock.advance_to(MORNING.plus_ms(1_000));
    assert!(post(&border, ("x-a", "b")).await.0.starts_with("200"), "then it is read again");

    *accepted.lock().unwrap() = "third-secret".to_owned();
    let settings = [("act", "send"), ("method", "POST"), ("scheme", "http"), ("path", "/"), ("show", "body")];
    let (told, crossing) = border.act(Call::Deliver, &settings).await;
    assert!(told.unwrap().starts_with("200"), "it was read again after the 401");
    let statuses: Vec<u16> = crossing
        .requests
        .iter()
        .map(|request| match request.outcome {
            RequestOutcome::Answered { status, .. } => status,
            _ => 0,
        })
        .collect();
    assert_eq!(statuses, [401, 200], "both are on record");
    assert_eq!(seen.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn what_is_sent_once_more_counts_once_more_in_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "first-secret").unwrap();
    let text = "kind = \"header\"\nname = \"x-api-key\"\nsecret = { file = \"key\" }";
    let way = Way { credential: Some(entry(text)), ..Way::granted("window = { requests_max = 2, seconds = 10 }") };
    let (address, seen) = target(move |request| {
        if request.headers().get("x-api-key").is_some_and(|shown| shown == "second-secret") {
            return 200;
        }
        std::fs::write(&file, "second-secret").unwrap();
        401
    })
    .await;
    let border = border(&way, address, folder.path()).await;
    let settings = [("act", "send"), ("method", "POST"), ("scheme", "http"), ("path", "/"), ("show", "body")];
    let (told, crossing) = border.act(Call::Deliver, &settings).await;
    assert!(told.unwrap().starts_with("200"));
    assert_eq!(crossing.requests.len(), 2);
    let (_, outcome) = post(&border, ("x-a", "b")).await;
    let RequestOutcome::Deferred { why, .. } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("`window`"), "{why}");
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_asked_for_at_a_counted_origin_counts_in_its_window() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), SECRET).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = axum::Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(r#"{"access_token":"access-token-1","token_type":"Bearer","expires_in":3600}"#)
    });
    tokio::spawn(axum::serve(listener, routes).into_future());
    let text = format!(
        "kind = \"oauth2\"\ntoken_url = \"http://{address}/token\"\nclient_id = \"portreeve\"\nsecret = {{ file = \"key\" }}"
    );
    let way = Way { credential: Some(entry(&text)), ..Way::granted("window = { requests_max = 3, seconds = 10 }") };
    let border = border(&way, address, folder.path()).await;
    for _ in 0..2 {
        assert!(post(&border, ("x-a", "b")).await.0.starts_with("200"));
    }
    let (_, outcome) = post(&border, ("x-a", "b")).await;
    let RequestOutcome::Deferred { why, .. } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("`window`"), "{why}");
    assert_eq!(asked.load(Ordering::SeqCst), 3, "a token and two requests");
}

#[tokio::test]
async fn a_token_that_waits_for_a_window_has_its_request_come_back_when_that_has_room() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), SECRET).unwrap();
    let (address, seen) = target(|_| 200).await;
    let text = tokens_of(address);
    // The request itself is the one that the window has room for.
    let way = Way { credential: Some(entry(&text)), ..Way::granted("window = { requests_max = 1, seconds = 300 }") };
    let border = border(&way, address, folder.path()).await;
    let (_, outcome) = post(&border, ("x-a", "b")).await;
    let RequestOutcome::Deferred { after_ms, why } = outcome else { panic!("{outcome:?}") };
    assert!((300_001..=305_000).contains(&after_ms), "{after_ms}");
    assert!(why.contains("no credential for this target now") && why.contains("`window`"), "{why}");
    assert_eq!(seen.lock().unwrap().len(), 0, "neither a token was asked for nor anything sent");
}

#[tokio::test]
async fn a_token_is_asked_for_once_kept_and_asked_for_again_after_a_401() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), SECRET).unwrap();
    let issued = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&issued);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let login = listener.local_addr().unwrap();
    let routes = axum::Router::new().fallback(move |request: Request| {
        // `portreeve:s3cret-Of-the-tests`
        assert_eq!(request.headers()["authorization"], "Basic cG9ydHJlZXZlOnMzY3JldC1PZi10aGUtdGVzdHM=");
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let token =
            format!("{{\"access_token\":\"access-token-{number}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
        std::future::ready(token)
    });
    tokio::spawn(axum::serve(listener, routes).into_future());

    let text = format!(
        "kind = \"oauth2\"\ntoken_url = \"http://{login}/token\"\nclient_id = \"portreeve\"\nscope = \"orders write\"\nsecret = {{ file = \"key\" }}"
    );
    let way = Way { credential: Some(entry(&text)), ..Way::granted("") };
    let wanted = Arc::new(Mutex::new("Bearer access-token-1".to_owned()));
    let wants = Arc::clone(&wanted);
    let (address, seen) = target(move |request| {
        let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if shown == Some(wants.lock().unwrap().as_str()) { 200 } else { 401 }
    })
    .await;
    let border = border(&way, address, folder.path()).await;
    for _ in 0..3 {
        let (told, _) = post(&border, ("x-a", "b")).await;
        assert!(told.starts_with("200") && !told.contains("access-token"), "{told}");
    }
    assert_eq!(issued.load(Ordering::SeqCst), 1);

    // Revoked: one more token, and with it the same request again.
    *wanted.lock().unwrap() = "Bearer access-token-2".to_owned();
    let settings = [("act", "send"), ("method", "POST"), ("scheme", "http"), ("path", "/"), ("show", "body")];
    let (told, crossing) = border.act(Call::Deliver, &settings).await;
    assert!(told.unwrap().starts_with("200"));
    assert_eq!((issued.load(Ordering::SeqCst), crossing.requests.len()), (2, 2));

    // No longer wanted at all: the guest hears of it, and only after a minute it is tried once more.
    *wanted.lock().unwrap() = "nothing".to_owned();
    for (after_ms, tokens, requests) in [(0, 2, 1), (59_999, 2, 1), (60_000, 3, 2), (60_000, 3, 1)] {
        way.clock.advance_to(crate::support::MORNING.plus_ms(after_ms));
        let (told, crossing) = border.act(Call::Deliver, &settings).await;
        assert!(told.unwrap().starts_with("401"));
        assert_eq!((issued.load(Ordering::SeqCst), crossing.requests.len()), (tokens, requests), "{after_ms}");
    }

    // Out of date: before it ends.
    *wanted.lock().unwrap() = "Bearer access-token-4".to_owned();
    way.clock.advance_to(crate::support::MORNING.plus_ms(60_000 + 3_600_000 - 30_000));
    assert!(post(&border, ("x-a", "b")).await.0.starts_with("200"));
    assert_eq!(issued.load(Ordering::SeqCst), 4);
    assert!(!format!("{:?}", seen.lock().unwrap()).contains(SECRET), "the client's secret is the token server's");
}

#[tokio::test]
async fn a_credential_that_cannot_be_had_holds_the_request_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, SECRET).unwrap();
    let text = "kind = \"header\"\nname = \"x-api-key\"\nsecret = { file = \"key\" }";
    let way = Way { credential: Some(entry(text)), ..Way::granted("") };
    let (address, seen) = target(|_| 200).await;
    let border = border(&way, address, folder.path()).await;
    std::fs::remove_file(&file).unwrap();
    let (_, outcome) = post(&border, ("x-a", "b")).await;
    let RequestOutcome::Deferred { why, .. } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("the secret cannot be read from"), "{why}");
    assert!(seen.lock().unwrap().is_empty());
}

/// A token server that takes its time: it answers whenever it may, and counts who asked.
async fn slow_login() -> (std::net::SocketAddr, Arc<AtomicUsize>, Arc<Notify>) {
    let (asked, may_answer): (Arc<AtomicUsize>, Arc<Notify>) = Default::default();
    let (count, waits) = (Arc::clone(&asked), Arc::clone(&may_answer));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let login = listener.local_addr().unwrap();
    let routes = axum::Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let waits = Arc::clone(&waits);
        async move {
            waits.notified().await;
            "{\"access_token\":\"access-token\",\"token_type\":\"Bearer\"}"
        }
    });
    tokio::spawn(axum::serve(listener, routes).into_future());
    (login, asked, may_answer)
}

fn tokens_of(login: std::net::SocketAddr) -> String {
    format!("kind = \"oauth2\"\ntoken_url = \"http://{login}/\"\nclient_id = \"a\"\nsecret = {{ file = \"key\" }}\n")
}

#[tokio::test]
async fn what_a_target_writes_in_another_way_is_hidden_as_well() {
    let secret = "s3\"cret/Of-the+tests";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), secret).unwrap();
    let forms = [
        "s3\\\"cret\\/Of-the+tests",
        "s3%22cret%2FOf-the%2Btests",
        "czMiY3JldC9PZi10aGUrdGVzdHM=",
        "YTpzMyJjcmV0L09mLXRoZSt0ZXN0cw",
    ];
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = axum::Router::new()
        .fallback(move || std::future::ready(([("location", format!("/?a={}", forms[1]))], forms.join(" kept "))));
    tokio::spawn(axum::serve(listener, routes).into_future());

    let text = "kind = \"header\"\nname = \"x-api-key\"\nsecret = { file = \"key\" }";
    let way = Way { credential: Some(entry(text)), ..Way::granted("") };
    let border = border(&way, address, folder.path()).await;
    let (told, _) = post(&border, ("x-a", "b")).await;
    assert!(told.starts_with("200") && told.matches(" kept ").count() == 3, "{told}");
    for form in forms {
        assert!(!told.contains(form), "{form} in {told}");
    }
}

#[tokio::test]
async fn a_token_server_that_is_slow_holds_requests_back_and_what_it_says_is_there_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), SECRET).unwrap();
    let (login, asked, may_answer) = slow_login().await;
    let way = Way { credential: Some(entry(&tokens_of(login))), ..Way::granted("breaker_failures = 1") };
    let (address, seen) = target(|_| 200).await;
    let mut border = Border::new(r#"{"http_connect_ms": 300}"#).await;
    border.target.address = address;
    way.open(&mut border, &format!("http://{address}"), folder.path());
    for _ in 0..2 {
        // The second time as well: it is nobody's failure that the breaker would count.
        let (told, outcome) = post(&border, ("x-a", "b")).await;
        let RequestOutcome::Deferred { why, .. } = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("no credential for this target within 300 ms"), "{why}");
        assert!(told.contains("ConnectionLimitReached"), "known not to be sent: {told}");
    }
    assert!(seen.lock().unwrap().is_empty());

    may_answer.notify_one();
    assert!(post(&border, ("x-a", "b")).await.0.starts_with("200"));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "nobody's giving up ended the question");
}

#[tokio::test]
async fn a_delivery_without_a_credential_in_time_is_tried_again_without_a_doubt() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), SECRET).unwrap();
    let (login, _, may_answer) = slow_login().await;
    let file = format!("file = \"{}\"", folder.path().join("key").display());
    let credential = format!("\n[target.credential]\n{}", tokens_of(login).replace("file = \"key\"", &file));
    // The call has less time than the host gives a token server.
    let host = Setup::demo()
        .replace("portreeve.toml", "wall_ms = 125000", "wall_ms = 5000")
        .append("portreeve.toml", &credential)
        .start()
        .await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_due().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "pending");
    let leaves = serde_json::to_string(&host.leaves().await).unwrap();
    assert!(leaves.contains("\"failure\":\"deferred\"") && !leaves.contains("\"outcome\":\"unknown\""), "{leaves}");

    may_answer.notify_one();
    host.deliver_all().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
    let leaves = serde_json::to_string(&host.leaves().await).unwrap();
    assert!(!leaves.contains("\"method\":\"get\""), "sent again without being looked up: {leaves}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_secret_is_in_no_file_of_the_host_and_in_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, SECRET).unwrap();
    let credential = format!(
        "\n[target.credential]\nkind = \"basic\"\nuser = \"portreeve\"\nsecret = {{ file = \"{}\" }}\n",
        key.display()
    );
    let host = Setup::demo().append("portreeve.toml", &credential).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
    let mut looked = 0;
    let mut folders = vec![host.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for hidden in [SECRET, "cG9ydHJlZXZlOnMzY3JldC1PZi10aGUtdGVzdHM="] {
                let found = bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes());
                assert!(!found, "{hidden} in {}", path.display());
            }
            looked += 1;
        }
    }
    assert!(looked > 10, "{looked}");
    let text =
        format!("{}{:?}{:?}", host.host.pipeline.metrics.text(&[]), host.exceptions().await, host.leaves().await);
    assert!(!text.contains(SECRET));

    // A start that fails does not say it either.
    let broken = credential.replace("portreeve\"", "a:b\"");
    let refused = format!("{:#}", Setup::demo().append("portreeve.toml", &broken).try_start().await.err().unwrap());
    assert!(refused.contains("`user` has a colon") && !refused.contains(SECRET), "{refused}");
    std::fs::remove_file(&key).unwrap();
    let refused = format!("{:#}", Setup::demo().append("portreeve.toml", &credential).try_start().await.err().unwrap());
    assert!(refused.contains("credential of target `erp`") && refused.contains("cannot be read from"), "{refused}");
}

/// One value out of an `authorization` of OAuth 1.0a.
fn of_oauth1(seen: &str, name: &str) -> String {
    let (_, after) = seen.split_once(&format!("{name}=\\\"")).unwrap_or_else(|| panic!("no {name} in {seen}"));
    after.split('\\').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_request_is_signed_by_oauth_1_with_the_hosts_clock_and_a_nonce_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("consumer"), SECRET).unwrap();
    std::fs::write(folder.path().join("token"), "t0ken-Of-the-tests\n").unwrap();
    let text = "kind = \"oauth1\"\nconsumer_key = \"portreeve\"\nconsumer_secret = { file = \"consumer\" }\n\
        token = \"orders\"\ntoken_secret = { file = \"token\" }\nrealm = \"shop\"";
    let way = Way { credential: Some(entry(text)), ..Way::granted("") };
    let (address, seen) = target(|_| 200).await;
    let border = border(&way, address, folder.path()).await;
    let settings = [("method", "POST"), ("show", "body"), ("path", "/rest/V1/orders?b=2&a=1")];
    let form = [("header", "content-type"), ("header-value", "application/x-www-form-urlencoded"), ("body", "1")];
    let (json, _) = border.send(Call::Deliver, &settings).await;
    let (form, _) = border.send(Call::Deliver, &[settings.as_slice(), &form].concat()).await;

    let seen = seen.lock().unwrap().clone();
    // The connector writes whole pages of one letter, which is a parameter without a value.
    let parameter = format!("{}%3D%26", "a".repeat(4096));
    for (seen, of_form, told) in [(&seen[0], "", &json), (&seen[1], parameter.as_str(), &form)] {
        assert!(seen.contains("OAuth realm=\\\"shop\\\", oauth_consumer_key=\\\"portreeve\\\""), "{seen}");
        let (timestamp, nonce) = (of_oauth1(seen, "oauth_timestamp"), of_oauth1(seen, "oauth_nonce"));
        assert_eq!(timestamp, (crate::support::MORNING.0 / 1_000).to_string());
        // What the target makes of it by RFC 5849 3.4.1.
        let base = format!(
            "POST&http%3A%2F%2F127.0.0.1%3A{}%2Frest%2FV1%2Forders&a%3D1%26{of_form}b%3D2%26oauth_consumer_key%3Dportreeve\
             %26oauth_nonce%3D{nonce}%26oauth_signature_method%3DHMAC-SHA256%26oauth_timestamp%3D{timestamp}\
             %26oauth_token%3Dorders%26oauth_version%3D1.0",
            address.port()
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(format!("{SECRET}&t0ken-Of-the-tests").as_bytes()).unwrap();
        mac.update(base.as_bytes());
        let signature = of_oauth1(seen, "oauth_signature");
        let shown = signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        assert_eq!(shown, STANDARD.encode(mac.finalize().into_bytes()));
        assert!(told.starts_with("200 "), "{told}");
        for hidden in [SECRET, "t0ken-Of-the-tests", signature.as_str()] {
            assert!(!told.contains(hidden), "{told}");
        }
    }
    assert_ne!(of_oauth1(&seen[0], "oauth_nonce"), of_oauth1(&seen[1], "oauth_nonce"));

    // A guest that speaks of the protocol itself is told so, and nothing is sent.
    let send = [("method", "POST"), ("path", "/?oauth_token=mine")];
    let (_, outcome) = border.send(Call::Deliver, &send).await;
    assert!(refused(&outcome).contains("a parameter `oauth_…`"), "{outcome:?}");
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn either_secret_of_oauth_1_is_rotated_without_a_restart_and_named_when_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("consumer"), SECRET).unwrap();
    std::fs::write(file("token"), "first-token-secret").unwrap();
    let text = "kind = \"oauth1\"\nconsumer_key = \"portreeve\"\nconsumer_secret = { file = \"consumer\" }\n\
        token = \"orders\"\ntoken_secret = { file = \"token\" }\nsignature_method = \"hmac-sha1\"";
    let way = Way { credential: Some(entry(text)), ..Way::granted("") };
    let rotate = file("token");
    // The first request finds a secret that is out of date; the new one is there right after.
    let (address, seen) = target(move |_| {
        let fresh = std::fs::read_to_string(&rotate).unwrap() == "second-token-secret";
        std::fs::write(&rotate, "second-token-secret").unwrap();
        if fresh { 200 } else { 401 }
    })
    .await;
    let border = border(&way, address, folder.path()).await;
    let settings = [("act", "send"), ("method", "POST"), ("scheme", "http"), ("path", "/"), ("show", "body")];
    let (told, crossing) = border.act(Call::Deliver, &settings).await;
    assert!(told.unwrap().starts_with("200"));
    assert_eq!((crossing.requests.len(), seen.lock().unwrap().len()), (2, 2));
    assert!(seen.lock().unwrap()[1].contains("HMAC-SHA1"));

    std::fs::remove_file(file("token")).unwrap();
    way.clock.advance_to(MORNING.plus_ms(1_000));
    let (_, outcome) = post(&border, ("x-a", "b")).await;
    let RequestOutcome::Deferred { why, .. } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("token`") && why.contains("cannot be read") && !why.contains(SECRET), "{why}");
}
