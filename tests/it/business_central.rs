//! Notifications of Business Central: what the endpoint makes of them, that its answer never
//! costs a subscription, and how a subscription is made.

use std::collections::BTreeSet;

use hyper::Method;
use portreeve_model::{Failure, Received};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::at_the_plugin::Plugins;
use crate::support::{Setup, sample, say, tree};

const CONNECTOR: &str = "business-central-webhooks";
const TOKEN: &str = "token-of-the-webhooks";

/// `printf %s token-of-the-webhooks | sha256sum`, worked out here.
fn token_sha256() -> String {
    portreeve_model::Digest::of(TOKEN.as_bytes()).to_string()
}

/// A channel for notifications, whose sender shows a token.
fn channel() -> String {
    format!(
        "\n[[sender]]\nchannel = \"erp-webhooks\"\nid = \"erp\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\n\
         id = \"erp-webhooks\"\nconnector = \"{CONNECTOR}\"\ndocuments = {{}}\ntarget = \"erp\"\n\
         exception_queue = \"integration\"\nchallenges = true\n",
        token_sha256()
    )
}

struct Webhooks(Plugins);

impl Webhooks {
    async fn start() -> Self {
        Self(Plugins::of(Setup::demo().blindfolded(CONNECTOR)).await)
    }

    async fn asked(&self, method: &str, path: &str, body: &[u8]) -> Result<Received, Failure> {
        let json = [("content-type", "application/json")];
        self.0.answer(CONNECTOR, method, path, &json, body, &[]).await
    }

    /// What becomes of a notification of which something is taken. It is always answered alike.
    async fn post(&self, body: &[u8]) -> Received {
        let received = self.asked("POST", "", body).await.unwrap();
        assert_eq!((received.reply.status, received.reply.body.as_slice()), (202, &b""[..]));
        received
    }

    /// Why nothing is taken: the failure that the host keeps for a person and answers with a success.
    async fn unusable(&self, method: &str, body: &[u8]) -> String {
        match self.asked(method, "", body).await {
            Err(Failure::Permanent(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    async fn told(&self, entries: &[Value]) -> Received {
        self.post(json!({"value": entries}).to_string().as_bytes()).await
    }
}

/// An entry about a sales invoice, with other values at some members; a null is left out.
fn entry(with: &[(&str, Value)]) -> Value {
    let mut entry = json!({
        "subscriptionId": "sub-1", "clientState": "", "expirationDateTime": "2026-03-05T07:30:00Z",
        "resource": "api/v2.0/companies(1)/salesInvoices(2)", "changeType": "updated",
        "lastModifiedDateTime": "2026-03-02T07:58:12.467Z",
    });
    for (name, value) in with {
        match value {
            Value::Null => drop(entry.as_object_mut().unwrap().remove(*name)),
            value => entry[*name] = value.clone(),
        }
    }
    entry
}

fn kinds_and_keys(received: &Received) -> Vec<(&str, &str)> {
    received.documents.iter().map(|document| (document.kind.as_str(), document.key.as_str())).collect()
}

fn problems(received: &Received) -> Vec<(&str, &str)> {
    let told = received.problems.iter();
    told.map(|problem| (problem.code.as_str(), problem.position.path.as_str())).collect()
}

const CHANGED_KEY: &str = "2026-03-02T07:58:12.467Z/updated/sub-1/api/v2.0/companies(1)/salesInvoices(2)";

// --- the public files ---

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    file: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    path: String,
    refusal: Option<String>,
    #[serde(default)]
    document: Vec<ExpectedDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedDocument {
    kind: String,
    key: String,
    entry: Option<usize>,
    body: Option<String>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_file_means_what_was_written_down_from_reading_it() {
    let text = std::fs::read_to_string(tree().root().join("tests/fixtures-expected-business-central.toml")).unwrap();
    let expectations: Expectations = toml::from_str(&text).unwrap();
    let Some(folder) = tree().root().parent().map(|parent| parent.join("shared/fixtures")).filter(|it| it.is_dir())
    else {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    };
    let present: BTreeSet<_> =
        std::fs::read_dir(folder.join("business-central")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let known: BTreeSet<_> = expectations.file.iter().map(|expected| folder.join(&expected.path)).collect();
    assert_eq!(known, present, "each file has its expectation");

    let webhooks = Webhooks::start().await;
    let mut documents = 0;
    for expected in &expectations.file {
        let bytes = std::fs::read(folder.join(&expected.path)).unwrap();
        if let Some(code) = &expected.refusal {
            let why = webhooks.unusable("POST", &bytes).await;
            assert!(why.starts_with(&format!("{code}: ")) && expected.document.is_empty(), "{}: {why}", expected.path);
            continue;
        }
        let received = webhooks.post(&bytes).await;
        assert_eq!(received.problems, [], "{}", expected.path);
        let wanted: Vec<_> = expected.document.iter().map(|it| (it.kind.as_str(), it.key.as_str())).collect();
        assert_eq!(kinds_and_keys(&received), wanted, "{}", expected.path);
        for (found, wanted) in received.documents.iter().zip(&expected.document) {
            documents += 1;
            let call = || serde_json::from_slice::<Call<'_>>(&bytes).unwrap();
            let entry = wanted.entry.map(|index| call().value[index].get().to_owned());
            let body = entry.or(wanted.body.clone()).unwrap();
            assert_eq!(String::from_utf8(found.body.clone()).unwrap(), body, "{}", found.key);
        }
    }
    say(&format!("read {} public files of Business Central, as {documents} documents", present.len()));
    assert_eq!(documents, 5);
}

// --- what a notification becomes ---

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_told_by_kind() {
    let webhooks = Webhooks::start().await;
    let (changed, collection) = ("business-central/changed", "business-central/collection");
    for (number, kinds) in [
        ("0001", vec![changed, changed]),
        ("0002", vec![collection]),
        ("0003", vec![changed, "business-central/subscription-expired"]),
    ] {
        let received = webhooks.post(&sample(CONNECTOR, number)).await;
        assert_eq!(received.problems, [], "{number}");
        let found: Vec<&str> = received.documents.iter().map(|document| document.kind.as_str()).collect();
        assert_eq!(found, kinds, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_has_one_key_however_its_resource_is_written() {
    let webhooks = Webhooks::start().await;
    let slash = entry(&[("resource", json!("/api/v2.0/companies(1)/salesInvoices(2)"))]);
    let changed = ("business-central/changed", CHANGED_KEY);
    let plain = webhooks.told(&[entry(&[])]).await;
    assert_eq!((kinds_and_keys(&plain), plain.problems.len()), (vec![changed], 0));
    assert_eq!(kinds_and_keys(&webhooks.told(std::slice::from_ref(&slash)).await), [changed]);
    // Told twice in one call it is one document, the first.
    let twice = webhooks.told(&[slash.clone(), entry(&[])]).await;
    assert_eq!(kinds_and_keys(&twice), [changed]);
    assert_eq!(twice.documents[0].body, slash.to_string().as_bytes());
    assert_eq!(twice.documents[0].position.path, "value[0]");
    // A slash in a subscription's name cannot make it another's key.
    let odd = webhooks.told(&[entry(&[("subscriptionId", json!("a/b%"))])]).await;
    assert_eq!(odd.documents[0].key, CHANGED_KEY.replace("sub-1", "a%2Fb%25"));
    // Before version 19 each began with a byte order mark.
    let marked = [&b"\xEF\xBB\xBF"[..], json!({"value": [entry(&[])]}).to_string().as_bytes()].concat();
    assert_eq!(kinds_and_keys(&webhooks.post(&marked).await), [changed]);
    let nothing = webhooks.told(&[]).await;
    assert_eq!((nothing.documents.len(), nothing.problems.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_no_repetition_of_the_update_before_it() {
    let webhooks = Webhooks::start().await;
    // What is gone has no later time: both tell the one at which it was modified last.
    let told = ["created", "updated", "deleted", "deleted"].map(|what| entry(&[("changeType", json!(what))]));
    let received = webhooks.told(&told).await;
    let keys = ["created", "updated", "deleted"].map(|what| CHANGED_KEY.replace("updated", what));
    assert_eq!(kinds_and_keys(&received), keys.each_ref().map(|key| ("business-central/changed", key.as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_ended_is_told_once_and_by_nothing_but_the_entry() {
    let webhooks = Webhooks::start().await;
    let ended = ("business-central/subscription-expired", "2026-03-01T09:00:00Z/sub-1");
    let expired =
        |resource: &str| entry(&[("expirationDateTime", json!("2026-03-01T09:00:00Z")), ("resource", json!(resource))]);
    let received = webhooks.told(&[expired("a"), expired("b"), expired("c")]).await;
    let told: Vec<_> = kinds_and_keys(&received).into_iter().filter(|found| *found == ended).collect();
    assert_eq!((told.len(), received.documents.len()), (1, 4));
    let body = r#"{"subscriptionId":"sub-1","expirationDateTime":"2026-03-01T09:00:00Z"}"#;
    assert_eq!(received.documents[1].body, body.as_bytes());
    // The same however it is told next time: a document of one key has one content.
    let later = entry(&[
        ("expirationDateTime", json!("2026-03-01T09:00:00Z")),
        ("clientState", json!("another")),
        ("lastModifiedDateTime", json!("2026-03-02T09:00:00Z")),
    ]);
    assert_eq!(webhooks.told(&[later]).await.documents[1].body, body.as_bytes());

    for (modified, expires, is_over) in [
        ("2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z", true),
        ("2026-03-02T08:00:00Z", "2026-03-02T08:00:00.001Z", false),
        ("2026-03-02T08:00:00.0011Z", "2026-03-02T08:00:00.001Z", true),
        ("2026-03-02T08:00:00+02:00", "2026-03-02T07:00:00Z", false),
        ("2026-03-02T08:00:00-02:00", "2026-03-02T09:00:00Z", true),
        // Long before the host received it, and after the change: it may be renewed by now.
        ("2018-10-26T12:54:20.467Z", "2018-10-29T07:52:31Z", false),
    ] {
        let times = [("lastModifiedDateTime", json!(modified)), ("expirationDateTime", json!(expires))];
        let received = webhooks.told(&[entry(&times)]).await;
        assert_eq!((received.problems.len(), received.documents.len()), (0, 1 + usize::from(is_over)), "{expires}");
    }
    let endless = webhooks.told(&[entry(&[("expirationDateTime", Value::Null)])]).await;
    assert_eq!((endless.documents.len(), endless.problems.len()), (1, 0));
    // What is wrong with the end takes nothing from the change.
    let unclear = webhooks.told(&[entry(&[("expirationDateTime", json!("soon"))])]).await;
    assert_eq!(unclear.documents.len(), 1);
    assert_eq!(problems(&unclear), [("member-malformed", "value[0].expirationDateTime")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_entry_is_told_to_the_host_and_stops_no_other() {
    let webhooks = Webhooks::start().await;
    let long = "x".repeat(250);
    for (bad, code, member) in [
        (entry(&[("subscriptionId", Value::Null)]), "member-missing", ".subscriptionId"),
        (entry(&[("subscriptionId", json!("a\nb"))]), "member-malformed", ".subscriptionId"),
        (entry(&[("resource", json!(" "))]), "member-malformed", ".resource"),
        (entry(&[("resource", json!({"a": 1}))]), "member-malformed", ".resource"),
        (entry(&[("resource", json!(long))]), "key-too-long", ".resource"),
        (entry(&[("changeType", json!("renamed"))]), "unsupported-change", ".changeType"),
        (entry(&[("lastModifiedDateTime", Value::Null)]), "member-missing", ".lastModifiedDateTime"),
        (
            entry(&[("lastModifiedDateTime", json!("2026-02-30T08:00:00Z"))]),
            "member-malformed",
            ".lastModifiedDateTime",
        ),
        (entry(&[("lastModifiedDateTime", json!("2026-03-02T08:00:00"))]), "member-malformed", ".lastModifiedDateTime"),
        (entry(&[("lastModifiedDateTime", json!("20260302T08:00:00Z"))]), "member-malformed", ".lastModifiedDateTime"),
        (entry(&[("clientState", json!("s".repeat(70_000)))]), "entry-too-large", ""),
        (json!(["sub-1"]), "malformed-entry", ""),
        (json!("sub-1"), "malformed-entry", ""),
    ] {
        let received = webhooks.told(&[bad, entry(&[])]).await;
        assert_eq!(problems(&received), [(code, format!("value[0]{member}").as_str())]);
        let message = &received.problems[0].message;
        assert!(message.contains("; expected ") && !message.contains("renamed"), "{message}");
        assert_eq!(kinds_and_keys(&received), [("business-central/changed", CHANGED_KEY)], "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_is_answered_so_that_no_subscription_is_deleted() {
    let webhooks = Webhooks::start().await;
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let (large, nested) = (" ".repeat(3 * 1024 * 1024 + 1), format!("{{\"value\":[{deep}]}}"));
    for (body, code) in [
        ("", "malformed-json"),
        ("{\"value\":[", "malformed-json"),
        ("\u{1}", "malformed-json"),
        ("[]", "not-a-notification"),
        ("[[]]", "not-a-notification"),
        ("{}", "not-a-notification"),
        (r#"{"value":{}}"#, "not-a-notification"),
        (r#"{"value":[],"value":[]}"#, "not-a-notification"),
        (&large, "input-too-large"),
        (&nested, "malformed-entry"),
    ] {
        let why = webhooks.unusable("POST", body.as_bytes()).await;
        assert!(
            why.starts_with(&format!("{code}: found")) || code == "malformed-json" && why.starts_with(code),
            "{why}"
        );
        assert!(why.contains("; expected "), "{why}");
    }
    // A call that is longer than Business Central's own longest loses nothing in silence.
    let many = |count: usize| (0..count).map(|it| entry(&[("resource", json!(format!("r{it}")))])).collect::<Vec<_>>();
    let whole = webhooks.told(&many(1_000)).await;
    assert_eq!((whole.documents.len(), whole.problems.len()), (1_000, 0));
    let beyond = webhooks.told(&many(1_001)).await;
    assert_eq!((beyond.documents.len(), problems(&beyond)), (1_000, vec![("too-many-notifications", "value")]));
    let flood = webhooks.unusable("POST", format!("{{\"value\":[{}1]}}", "1,".repeat(1_000_000)).as_bytes()).await;
    assert!(flood.contains("(at `value[0]`, and 1000 more problems)"), "{flood}");
    for method in ["PUT", "GET"] {
        let why = webhooks.unusable(method, b"{}").await;
        assert!(why.starts_with("not-posted: "), "{why}");
    }
}

// --- how a subscription is made ---

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_echoed_as_plain_text_and_nothing_else_is() {
    let webhooks = Webhooks::start().await;
    for (query, token) in [
        ("?validationToken=8ec8d794-e0ab-42df-9017-e3dada8e84f7", "8ec8d794-e0ab-42df-9017-e3dada8e84f7"),
        ("/below?tenant=1&validationToken=a%2Bb%2f%3D%3d+c%20d", "a+b/== c d"),
        ("?validationtoken=x", "x"),
    ] {
        for method in ["GET", "POST"] {
            let received = webhooks.asked(method, query, b"").await.unwrap();
            assert_eq!((received.reply.status, received.reply.body.as_slice()), (200, token.as_bytes()), "{query}");
            assert_eq!((received.documents.len(), received.problems.len()), (0, 0));
            let headers: Vec<_> = received.reply.headers.iter().map(|header| header.value.as_str()).collect();
            assert_eq!(headers, ["text/plain"]);
        }
    }
    let long = format!("?validationToken={}", "x".repeat(513));
    for query in [
        "?validationToken=",
        "?validationToken=%3Cscript%3E",
        "?validationToken=<b>",
        "?validationToken=a%0Ab",
        "?validationToken=%e4",
        "?validationToken=%4",
        "?validationToken=%zz",
        &long,
    ] {
        let received = webhooks.asked("POST", query, b"").await.unwrap();
        assert_eq!((received.reply.status, received.reply.body.as_slice()), (400, &b""[..]), "{query}");
        assert_eq!(problems(&received), [("token-malformed", "validationToken")], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_echoes_a_strangers_token_and_keeps_what_a_sender_tells() {
    let host = Setup::demo().blindfolded(CONNECTOR).append("portreeve.toml", &channel()).start().await;
    let door = host.front_door().await;
    let at = |query: &str| format!("/v1/channels/erp-webhooks{query}");
    let asked = door.send(Method::GET, &at("?validationToken=abc-1"), &[], b"").await;
    assert_eq!((asked.status, &asked.body[..]), (200, &b"abc-1"[..]));
    assert_eq!(door.send(Method::GET, &at(""), &[], b"").await.status, 404);
    assert_eq!(door.send(Method::GET, &at("?validationToken=%3Cb%3E"), &[], b"").await.status, 404);
    assert_eq!(host.summary().await.inputs, 0, "a challenge is not kept");

    let body = sample(CONNECTOR, "0003");
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    assert_eq!(door.post("erp-webhooks", &headers[..1], &body).await.status, 401);
    let asked = door.send(Method::POST, &at("?validationToken=abc-2"), &headers[1..], b"").await;
    assert_eq!((asked.status, &asked.body[..]), (200, &b"abc-2"[..]));
    for _ in 0..2 {
        let told = door.post("erp-webhooks", &headers, &body).await;
        assert_eq!((told.status, &told.body[..]), (202, &b""[..]));
    }
    assert_eq!(host.summary().await.inputs, 2, "the question and the notification");
    // Any other answer would end the subscription, and nobody would hear what was wrong.
    let partly = json!({"value": [entry(&[]), "sub-1"]}).to_string();
    for body in ["{", r#"{"error":"none"}"#, &partly] {
        assert_eq!(door.post("erp-webhooks", &headers, body.as_bytes()).await.status, 202, "{body}");
    }
    host.decide_all().await;
    let exceptions = host.exceptions().await;
    let mut codes: Vec<&str> = exceptions.iter().map(|exception| exception.code.as_str()).collect();
    codes.sort_unstable();
    // What changed has no transformer: the host would have to fetch it.
    let unmapped = "no-transformer";
    assert_eq!(codes, ["accepted-with-problems", unmapped, unmapped, unmapped, "permanent", "permanent"]);
    assert!(exceptions.iter().any(|exception| exception.detail.contains("not-a-notification: found")));
    door.close().await;
    host.verify().await.unwrap();
}
