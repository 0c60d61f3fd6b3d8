//! People: they sign in, and what that is worth ends when it has to; whoever administers
//! changes accounts; all of it is on record, and no secret is anywhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use hyper::Method;
use portreeve::client::Answer;
use portreeve::command::{self, BadUsage, CommandLine};
use portreeve::host::Host;
use portreeve::output::Output;
use portreeve_model::{Instant, PersonName};
use portreeve_pipeline::people::{AccountError, IDLE_MS, NotSignedIn, SESSION_MS, SignInError};
use portreeve_pipeline::{Clock, Pipeline};
use portreeve_record::LeafBody;
use portreeve_record::leaf::{PersonStep, SessionLeaf, SessionStep};
use portreeve_store::StoreError;
use serde_json::{Value, json};

use super::commands::{json as told, refused, run, stopped, text};
use super::door::{bearer, json as answered, problem};
use crate::support::people::{self, PASSWORD};
use crate::support::{FrontDoor, Setup, TestHost};

const WRONG: &str = "not the password of anybody";

/// A quarter of an hour.
const LOCK_MS: i64 = 15 * Instant::MINUTE_MS;

async fn sign_in(door: &FrontDoor, name: &str, password: &str) -> Answer {
    let body = json!({ "name": name, "password": password }).to_string();
    door.send(Method::POST, "/v1/session", &[("content-type", "application/json")], body.as_bytes()).await
}

/// The credential of a session that begins.
async fn session(door: &FrontDoor, name: &str) -> String {
    let answer = sign_in(door, name, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answered(&answer));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    bearer(answered(&answer)["token"].as_str().unwrap())
}

async fn who(door: &FrontDoor, credential: &str) -> Answer {
    door.get("/v1/session", &[("authorization", credential)]).await
}

async fn post(door: &FrontDoor, credential: &str, path: &str, body: Value) -> Answer {
    let headers = [("authorization", credential), ("content-type", "application/json")];
    door.send(Method::POST, path, &headers, body.to_string().as_bytes()).await
}

async fn has_roles(door: &FrontDoor, credential: &str) -> Vec<String> {
    let shown = who(door, credential).await;
    assert_eq!(shown.status, 200, "{}", answered(&shown));
    serde_json::from_value(answered(&shown)["roles"].clone()).unwrap()
}

/// What the log says about sign-ins, in its order.
async fn sessions_on_record(host: &TestHost) -> Vec<SessionLeaf> {
    let leaves = host.leaves().await.into_iter();
    leaves.filter_map(|leaf| if let LeafBody::Session(said) = leaf.body { Some(said) } else { None }).collect()
}

/// The same, but for what `root` did to set a test up: step, reason, number.
async fn told_of(host: &TestHost, name: Option<&str>) -> Vec<(SessionStep, Option<String>, u64)> {
    let about = |said: &SessionLeaf| said.person.as_ref().map(|name| name.as_str().to_owned());
    let said = sessions_on_record(host).await.into_iter().filter(|said| about(said).as_deref() == name);
    said.map(|said| (said.step, said.why.map(|why| why.to_string()), said.count)).collect()
}

#[tokio::test]
async fn a_wrong_password_and_a_name_that_nobody_has_get_the_same_answer() {
    let host = TestHost::demo().await;
    people::add(&host.host.pipeline, "anna", &["viewer"]).await;
    people::add(&host.host.pipeline, "gone", &["viewer"]).await;
    let root = people::root(&host.host.pipeline).await;
    host.host.pipeline.disable_person(&root, "gone").await.unwrap();
    let door = host.front_door().await;
    let mut said = Vec::new();
    for (name, password) in
        [("anna", WRONG), ("nobody", WRONG), ("anna", ""), ("", ""), ("gone", PASSWORD), ("Anna", PASSWORD)]
    {
        let answer = sign_in(&door, name, password).await;
        problem(&answer, 401, "not-signed-in");
        said.push(answer.body.to_vec());
    }
    said.dedup();
    assert_eq!(said.len(), 1);
    let shown = who(&door, &session(&door, "anna").await).await;
    let shown = answered(&shown);
    assert_eq!((&shown["name"], &shown["provedBy"], &shown["may"]), (&"anna".into(), &"session".into(), &json!([])));
    door.close().await;

    use SessionStep::{Refused, SignedIn};
    let wrong = || (Refused, Some("wrong-password".to_owned()), 1);
    assert_eq!(told_of(&host, Some("anna")).await, [wrong(), wrong(), (SignedIn, None, 1)]);
    assert_eq!(told_of(&host, Some("gone")).await, [(Refused, Some("disabled".to_owned()), 1)]);
    assert_eq!(told_of(&host, None).await, [(Refused, Some("unknown".to_owned()), 1)], "and two more are counted");
    host.host.pipeline.note_refused_sign_ins(true).await;
    assert_eq!(told_of(&host, None).await[1], (Refused, Some("unknown".to_owned()), 2));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn five_wrong_passwords_lock_an_account_and_the_clock_opens_it() {
    let host = TestHost::demo().await;
    people::add(&host.host.pipeline, "anna", &["viewer"]).await;
    let key = people::key_of(&host.host.pipeline, "anna", &[]).await;
    let door = host.front_door().await;
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(sign_in(&door, "anna", WRONG).await.body);
    }
    // Right by now, and told the same.
    for password in [PASSWORD, WRONG, PASSWORD] {
        said.push(sign_in(&door, "anna", password).await.body);
    }
    said.dedup();
    assert_eq!(said.len(), 1, "nobody is told that it is locked");
    assert_eq!(who(&door, &bearer(&key)).await.status, 200, "what proved it before still does");
    host.clock.advance_to(host.clock.now().plus_ms(LOCK_MS - 1));
    assert_eq!(sign_in(&door, "anna", PASSWORD).await.status, 401);
    host.clock.advance_to(host.clock.now().plus_ms(1));
    assert_eq!(sign_in(&door, "anna", WRONG).await.status, 401);
    session(&door, "anna").await;
    door.close().await;

    use SessionStep::{LockedOut, Refused, SignedIn};
    let wrong = |step| (step, Some("wrong-password".to_owned()), 1);
    let locked = |count| (Refused, Some("locked".to_owned()), count);
    let mut expected = vec![wrong(Refused); 4];
    // Three came at once: the first is told, the two others with the one that came later.
    expected.extend([wrong(LockedOut), locked(1), locked(3), wrong(Refused), (SignedIn, None, 1)]);
    assert_eq!(told_of(&host, Some("anna")).await, expected);
    let until = sessions_on_record(&host).await.into_iter().find_map(|said| said.until);
    assert_eq!(until, Some(crate::support::MORNING.plus_ms(LOCK_MS)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn somebody_who_administers_opens_an_account_before_its_time() {
    let host = TestHost::demo().await;
    let pipeline = &host.host.pipeline;
    people::add(pipeline, "anna", &["viewer"]).await;
    for _ in 0..5 {
        pipeline.sign_in("anna", WRONG).await.unwrap_err();
    }
    assert!(matches!(pipeline.sign_in("anna", PASSWORD).await, Err(SignInError::Refused)));
    pipeline.enable_person(&people::root(pipeline).await, "anna").await.unwrap();
    pipeline.sign_in("anna", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_session_ends_when_it_is_old_or_nobody_used_it() {
    let host = TestHost::demo().await;
    people::add(&host.host.pipeline, "anna", &["viewer"]).await;
    let door = host.front_door().await;
    let idle = session(&door, "anna").await;
    host.clock.advance_to(host.clock.now().plus_ms(IDLE_MS - 1));
    assert_eq!(who(&door, &idle).await.status, 200);
    host.clock.advance_to(host.clock.now().plus_ms(IDLE_MS - 1));
    assert_eq!(who(&door, &idle).await.status, 200, "it was used meanwhile");
    host.clock.advance_to(host.clock.now().plus_ms(IDLE_MS));
    problem(&who(&door, &idle).await, 401, "unauthorized");

    let old = session(&door, "anna").await;
    let ends_at = host.clock.now().plus_ms(SESSION_MS);
    while host.clock.now().plus_ms(IDLE_MS / 2) < ends_at {
        host.clock.advance_to(host.clock.now().plus_ms(IDLE_MS / 2));
        assert_eq!(who(&door, &old).await.status, 200);
    }
    host.clock.advance_to(ends_at);
    problem(&who(&door, &old).await, 401, "unauthorized");

    let ended = session(&door, "anna").await;
    let answer = door.send(Method::DELETE, "/v1/session", &[("authorization", &ended)], b"").await;
    assert_eq!(answer.status, 204);
    problem(&who(&door, &ended).await, 401, "unauthorized");
    let key = door.key_of("anna", &[]).await;
    let answer = door.send(Method::DELETE, "/v1/session", &[("authorization", &key)], b"").await;
    problem(&answer, 409, "not-a-session");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_is_taken_away_counts_at_the_next_request() {
    let host = TestHost::demo().await;
    people::add(&host.host.pipeline, "anna", &["viewer", "operator"]).await;
    let door = host.front_door().await;
    let olga = door.key_of("olga", &["administrator"]).await;
    let (mine, key) = (session(&door, "anna").await, door.key_of("anna", &[]).await);

    // Roles: the sessions end, a key has the new ones at once.
    let changed = post(&door, &olga, "/v1/people/anna/roles", json!({ "roles": ["viewer"] })).await;
    assert_eq!(answered(&changed), json!({ "name": "anna", "change": "roles" }));
    assert_eq!(who(&door, &mine).await.status, 401);
    assert_eq!(has_roles(&door, &key).await, ["viewer"]);
    problem(&post(&door, &key, "/v1/reference/stock", Value::Null).await, 403, "forbidden");

    // The own password, with the present one.
    let mine = session(&door, "anna").await;
    let other = "another one of many words";
    let new = |present: Value| json!({ "password": other, "present": present });
    for present in [Value::Null, WRONG.into()] {
        problem(&post(&door, &mine, "/v1/people/anna/password", new(present)).await, 403, "forbidden");
    }
    problem(&post(&door, &mine, "/v1/people/olga/password", new(PASSWORD.into())).await, 403, "forbidden");
    assert_eq!(post(&door, &mine, "/v1/people/anna/password", new(PASSWORD.into())).await.status, 200);
    assert_eq!(who(&door, &mine).await.status, 401);
    assert_eq!(sign_in(&door, "anna", PASSWORD).await.status, 401);
    let mine = bearer(answered(&sign_in(&door, "anna", other).await)["token"].as_str().unwrap());

    // Revoked, one's own and by somebody who administers.
    let revoke = async |credential: &str, name: &str| {
        let path = format!("/v1/people/{name}/credentials");
        door.send(Method::DELETE, &path, &[("authorization", credential)], b"").await.status
    };
    assert_eq!(revoke(&mine, "olga").await, 403);
    assert_eq!(revoke(&key, "anna").await, 403, "a key that was lost ends no session");
    assert_eq!(revoke(&mine, "anna").await, 200);
    assert_eq!((who(&door, &mine).await.status, who(&door, &key).await.status), (401, 401));

    // Disabled.
    let key = door.key_of("anna", &[]).await;
    assert_eq!(post(&door, &olga, "/v1/people/anna/disable", Value::Null).await.status, 200);
    assert_eq!(who(&door, &key).await.status, 401);
    assert_eq!(sign_in(&door, "anna", other).await.status, 401);
    problem(&post(&door, &olga, "/v1/people/anna/keys", json!({ "label": "x" })).await, 409, "refused");
    assert_eq!(post(&door, &olga, "/v1/people/anna/enable", Value::Null).await.status, 200);
    assert_eq!(sign_in(&door, "anna", other).await.status, 200);
    assert_eq!(who(&door, &key).await.status, 401, "what ended stays ended");
    door.close().await;

    let steps = |name: &'static str| {
        let leaves = host.leaves();
        async move {
            let of = |leaf: LeafBody| match leaf {
                LeafBody::Person(said) if said.person.as_str() == name => Some((said.step, said.who.to_string())),
                _ => None,
            };
            leaves.await.into_iter().filter_map(|leaf| of(leaf.body)).collect::<Vec<_>>()
        }
    };
    use PersonStep::{Added, Disabled, Enabled, First, Key, Password, Revoked, Roles};
    let by = |who: &str, step| (step, who.to_owned());
    let expected = [
        by("root", Added),
        by("root", Key),
        by("olga", Roles),
        by("anna", Password),
        by("anna", Revoked),
        by("root", Key),
        by("olga", Disabled),
        by("olga", Enabled),
    ];
    assert_eq!(steps("anna").await, expected);
    assert_eq!(steps("root").await, [by("the-tests", First)]);
    let report = host.verify().await.unwrap();
    assert!(report.kinds.person >= 11 && report.kinds.session > 5, "{report:?}");
}

#[tokio::test]
async fn the_last_who_administers_stays() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let olga = door.key_of("olga", &["administrator"]).await;
    let of = |name: &str, what: &str| format!("/v1/people/{name}/{what}");
    assert_eq!(post(&door, &olga, &of("root", "disable"), Value::Null).await.status, 200);
    for (path, body) in [("disable", Value::Null), ("roles", json!({ "roles": ["viewer"] }))] {
        let refused = post(&door, &olga, &of("olga", path), body).await;
        let said = problem(&refused, 409, "refused");
        assert!(said["detail"].as_str().unwrap().contains("last enabled account"), "{said}");
    }
    problem(&post(&door, &olga, "/v1/people/nobody/disable", Value::Null).await, 404, "not-found");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn accounts_that_are_none_are_refused_with_what_would_be_one() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let olga = door.key_of("olga", &["administrator"]).await;
    let leaves = host.leaves().await.len();
    let account = |name: &str, more: Value| {
        let mut account = json!({ "name": name, "roles": [], "password": PASSWORD });
        account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        account
    };
    for (body, code, words) in [
        (account("Anna", json!({})), "account", "lower-case letters, digits, dots and dashes"),
        (account("<script>alert(1)</script>", json!({})), "account", "is not the name of an account"),
        (account("an\u{7}na\r\nx", json!({})), "account", "is not the name of an account"),
        (account("anna", json!({ "roles": [7] })), "bad-request", "found a number in `roles[0]`, expected text"),
        (account("anna", json!({ "roles": ["king"] })), "account", "there is no role `king`"),
        (account("anna", json!({ "password": "short" })), "account", "found a password of 5 bytes, expected 12 to 256"),
        (account("anna", json!({ "password": "x".repeat(257) })), "account", "found a password of 257 bytes"),
        (account("anna", json!({ "email": "anna" })), "account", "`anna` is not an e-mail address"),
        (account("anna", json!({ "email": "<b>@x" })), "account", "is not an e-mail address"),
        (account("anna", json!({ "king": true })), "bad-request", "found `king`, which is not known, expected"),
        (account("anna", json!({ "password": 7 })), "bad-request", "found a number in `password`, expected text"),
        (json!([]), "bad-request", "expected an object; /v1/openapi.json shows what is expected"),
    ] {
        let said = problem(&post(&door, &olga, "/v1/people", body).await, 400, code);
        let detail = said["detail"].as_str().unwrap();
        assert!(detail.contains(words) && !detail.contains(['\u{7}', '\n']), "{detail}");
        assert!(!detail.contains(PASSWORD));
    }
    problem(&post(&door, &olga, "/v1/people", account("olga", json!({}))).await, 409, "refused");
    for (label, expires_at) in [
        ("", Value::Null),
        (&*"x".repeat(65), Value::Null),
        ("a\nb", Value::Null),
        ("x", "1999-01-01T00:00:00Z".into()),
        ("x", "soon".into()),
    ] {
        let body = json!({ "label": label, "expiresAt": expires_at });
        assert_eq!(post(&door, &olga, "/v1/people/olga/keys", body).await.status, 400, "{label:?}");
    }
    // Ten megabytes are not read, neither of a stranger nor of anybody.
    for (path, credential) in [("/v1/session", "Bearer none"), ("/v1/people", olga.as_str())] {
        let headers =
            [("authorization", credential), ("content-type", "application/json"), ("content-length", "10485760")];
        let said = door.announce(path, &headers).await;
        assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("expected at most 16384 bytes"), "{said}");
    }
    // A form of another site cannot call itself JSON.
    let form = door.send(Method::POST, "/v1/session", &[("content-type", "text/plain")], b"{}").await;
    problem(&form, 400, "bad-request");
    assert_eq!(host.leaves().await.len(), leaves, "what is refused is not there");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_flood_of_guesses_is_one_record_a_minute() {
    let host = TestHost::demo().await;
    let pipeline = Arc::clone(&host.host.pipeline);
    people::add(&pipeline, "anna", &["viewer"]).await;
    let leaves = host.leaves().await.len();
    for round in 0..40 {
        let guess = |number: usize| {
            let pipeline = Arc::clone(&pipeline);
            let name = if number == 0 { "anna".to_owned() } else { format!("nobody-{round}-{number}") };
            async move { guessed(&pipeline, &name).await }
        };
        let ((), (), ()) = tokio::join!(guess(0), guess(1), guess(2));
    }
    let written = host.leaves().await.len() - leaves;
    // Five for the account, one while it is locked, one for everybody else.
    assert_eq!(written, 7, "of 120");
    host.clock.advance_to(host.clock.now().plus_ms(Instant::MINUTE_MS));
    pipeline.note_refused_sign_ins(false).await;
    let counted: u64 = sessions_on_record(&host)
        .await
        .iter()
        .filter(|said| said.step != SessionStep::SignedIn)
        .map(|said| said.count)
        .sum();
    assert_eq!(counted, 120, "each is counted once");
    let metrics = pipeline.metrics.text(&[]);
    assert!(metrics.contains("portreeve_sign_ins_refused_total{reason=\"unknown\"} 80"), "{metrics}");
    assert!(!metrics.contains("nobody-"), "no name is a label");
    host.verify().await.unwrap();
}

async fn guessed(pipeline: &Pipeline, name: &str) {
    // Whoever is told that the host is busy guesses again.
    while matches!(pipeline.sign_in(name, WRONG).await, Err(SignInError::Busy)) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_hosts_over_one_store_know_the_same_people() {
    let host = TestHost::demo().await;
    let clock: Arc<dyn Clock> = host.clock.clone();
    let other = Host::open(Arc::clone(&host.store), host.locations(), clock, Some(2)).await.unwrap();
    let (one, other) = (&host.host.pipeline, &other.pipeline);
    people::add(one, "anna", &["viewer"]).await;
    let opened = other.sign_in("anna", PASSWORD).await.unwrap();
    let token = opened.token.reveal();
    assert_eq!(one.authenticate(token).await.unwrap().name().as_str(), "anna");
    for round in 0..5 {
        let asked = if round % 2 == 0 { one } else { other };
        asked.sign_in("anna", WRONG).await.unwrap_err();
    }
    for asked in [one, other] {
        assert!(matches!(asked.sign_in("anna", PASSWORD).await, Err(SignInError::Refused)), "locked for both");
    }
    // At the same time at both: none of the failures is lost, and neither lets anybody in.
    one.enable_person(&people::root(one).await, "anna").await.unwrap();
    let both = tokio::join!(one.sign_in("anna", WRONG), other.sign_in("anna", WRONG));
    assert!(both.0.is_err() && both.1.is_err());
    let name = PersonName::parse("anna").unwrap();
    assert_eq!(host.store.person(&name).await.unwrap().unwrap().failures, 2);
    one.end_credentials(&people::root(one).await, "anna").await.unwrap();
    assert!(matches!(other.authenticate(token).await, Err(NotSignedIn::Refused)), "at once, everywhere");
    let made =
        tokio::join!(async { one.add_person(&people::root(one).await, people::account("ben", &[])).await }, async {
            other.add_person(&people::root(other).await, people::account("ben", &[])).await
        });
    let exists =
        |made: &Result<PersonName, AccountError>| matches!(made, Err(AccountError::Store(StoreError::PersonExists(_))));
    assert!(made.0.is_ok() != made.1.is_ok() && (exists(&made.0) || exists(&made.1)), "{made:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_restart_ends_no_session_and_no_lock() {
    let host = TestHost::demo().await;
    let pipeline = &host.host.pipeline;
    people::add(pipeline, "anna", &["viewer"]).await;
    people::add(pipeline, "ben", &["viewer"]).await;
    let token = pipeline.sign_in("anna", PASSWORD).await.unwrap().token.reveal().to_owned();
    for _ in 0..5 {
        pipeline.sign_in("ben", WRONG).await.unwrap_err();
    }
    let host = host.restart().await;
    let pipeline = &host.host.pipeline;
    assert_eq!(pipeline.authenticate(&token).await.unwrap().name().as_str(), "anna");
    assert!(matches!(pipeline.sign_in("ben", PASSWORD).await, Err(SignInError::Refused)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_password_or_a_token_is_nowhere_in_the_folder() {
    let host = TestHost::demo().await;
    let pipeline = &host.host.pipeline;
    people::add(pipeline, "anna", &["viewer"]).await;
    let session = pipeline.sign_in("anna", PASSWORD).await.unwrap();
    let key = people::key_of(pipeline, "anna", &[]).await;
    pipeline.sign_in("anna", "mistyped: a secret of mine").await.unwrap_err();
    pipeline.sign_in("a secret of mine", "anna").await.unwrap_err();
    let digest_is_there = session.token.reveal().to_owned();
    host.host.sequencer.sequence_all().await.unwrap();
    let secrets = [PASSWORD, "a secret of mine", digest_is_there.as_str(), key.as_str()];
    let folder = host.stop().await;
    let mut looked_at = 0;
    let mut places = vec![folder.folder().to_owned()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                places.push(entry);
                continue;
            }
            let bytes = std::fs::read(&entry).unwrap();
            looked_at += bytes.len();
            for secret in secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds a secret", entry.display());
            }
        }
    }
    assert!(looked_at > 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_and_changed_in_a_stopped_hosts_folder() {
    let folder = stopped(&Setup::demo(), "http://127.0.0.1:9").await;
    let data = text(folder.path());
    let (password, key) = (folder.path().join("password"), folder.path().join("keys/olga.key"));
    std::fs::write(&password, format!("{PASSWORD}\r\n")).unwrap();
    let (password, key) = (text(&password), text(&key));
    let at = |arguments: &[&'static str], more: &[&str]| -> Vec<String> {
        arguments.iter().copied().chain(more.iter().copied()).chain(["--data-dir", data]).map(str::to_owned).collect()
    };
    let lines = async |arguments: Vec<String>| run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;

    // The first one needs nobody, and has to administer.
    let first = at(&["person", "add", "olga", "--role", "viewer", "--password-file"], &[password]);
    let refusal = lines(first).await.unwrap_err();
    assert!(refusal.contains("the first account makes the others; `administrator` would do"), "{refusal}");
    let first = at(
        &["person", "add", "olga", "--role", "administrator", "--email", "olga@distributor.example", "--password-file"],
        &[password],
    );
    assert_eq!(lines(first).await.unwrap(), "account `olga`: it is there\n");

    // Any other is somebody's.
    let second = ["person", "add", "anna", "--role", "order-desk", "--no-password"];
    let by_nobody = at(&second, &[]);
    let line = CommandLine::try_parse_from(["portreeve".to_owned()].into_iter().chain(by_nobody)).unwrap();
    let error = command::dispatch(line, &mut Output::silent()).await.unwrap_err();
    assert!(error.is::<BadUsage>() && error.to_string().contains("--as NAME"), "{error}");
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, WRONG).unwrap();
    let refusal = lines(at(&second, &["--as", "olga", "--as-password-file", text(&wrong)])).await.unwrap_err();
    assert!(refusal.contains("sign nobody in"), "{refusal}");
    lines(at(&second, &["--as", "olga", "--as-password-file", password])).await.unwrap();

    // A key lies where only its owner reads it, and is not printed.
    let made = lines(at(
        &["person", "key", "olga", "--label", "desk"],
        &["--out", key, "--as", "olga", "--as-password-file", password],
    ))
    .await
    .unwrap();
    let written = std::fs::read_to_string(key).unwrap();
    assert!(written.starts_with("portreeve-key-") && !made.contains(&written), "{made}");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let by = ["--as", "olga", "--key-file", key];
    let printed = lines(at(
        &["person", "key", "anna", "--label", "script", "--out", "-", "--expires", "2090-01-01T00:00:00Z"],
        &by,
    ))
    .await
    .unwrap();
    assert!(printed.starts_with("portreeve-key-") && printed.lines().count() == 1, "{printed}");

    for (command, said) in [
        (&["person", "roles", "anna", "--role", "order-desk", "--role", "operator"][..], "it has these roles"),
        (&["person", "disable", "anna"], "it is disabled"),
        (&["person", "enable", "anna"], "it may sign in"),
        (&["person", "revoke", "anna"], "its sessions and keys ended"),
    ] {
        let shown = lines(at(command, &by)).await.unwrap();
        assert!(shown.starts_with("account `anna`: ") && shown.contains(said), "{shown}");
    }
    lines(at(&["person", "password", "anna", "--password-file"], &[&[password][..], &by].concat())).await.unwrap();
    let shown = run(&["person", "list", "--data-dir", data]).await.unwrap();
    let anna = shown.lines().next().unwrap();
    assert!(
        anna.starts_with("anna") && anna.contains("enabled  order-desk operator  a password, 0 session(s), 0 key(s)"),
        "{shown}"
    );
    assert!(shown.contains("    key `desk` since 2"), "{shown}");
    let rows = told(&["person", "list", "--data-dir", data]).await;
    assert_eq!((&rows[1]["name"], &rows[1]["madeBy"].is_string()), (&"olga".into(), &true));
    refused(
        &["person", "disable", "olga", "--data-dir", data, "--as", "olga", "--key-file", key],
        &["last enabled account"],
    )
    .await;

    let log = run(&["audit", "show", "--data-dir", data]).await;
    assert!(log.is_err() || !log.unwrap().contains(PASSWORD));
    assert_eq!(told(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_at_a_running_host_and_works_there_with_the_same_lines() {
    let host = TestHost::demo().await;
    people::add(&host.host.pipeline, "olga", &["administrator"]).await;
    let door = host.front_door().await;
    let server = format!("http://{}", door.address());
    let (password, token) = (host.folder().join("password"), host.folder().join("olga.session"));
    std::fs::write(&password, PASSWORD).unwrap();
    let sign_in =
        ["sign-in", "--server", &server, "--name", "olga", "--password-file", text(&password), "--out", text(&token)];
    let said = run(&sign_in).await.unwrap();
    let written = std::fs::read_to_string(&token).unwrap();
    assert!(said.starts_with("`olga` is signed in until 2026-03-02T20:00:00") && !said.contains(&written), "{said}");
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);

    let running = ["--server", &server, "--token-file", text(&token)];
    let key = host.folder().join("ben.key");
    let lines: [Vec<&str>; 4] = [
        vec!["person", "add", "ben", "--role", "viewer", "--no-password"],
        vec!["person", "roles", "ben", "--role", "approver"],
        vec!["person", "key", "ben", "--label", "a machine", "--out", text(&key)],
        vec!["person", "disable", "ben"],
    ];
    for line in lines {
        run(&[&line[..], &running].concat()).await.unwrap();
    }
    let rows = told(&[&["person", "list"][..], &running].concat()).await;
    assert_eq!(
        (&rows[0]["name"], &rows[0]["roles"], rows[0]["disabledAt"].is_string()),
        (&"ben".into(), &json!(["approver"]), true)
    );
    refused(
        &[&["person", "enable", "ben"][..], &["--server", &server, "--token-file", text(&key)]].concat(),
        &["the server answered 401"],
    )
    .await;
    refused(&[&["person", "list", "--as", "olga"][..], &running].concat(), &["--as"]).await;
    assert_eq!(run(&[&["sign-out"][..], &running].concat()).await.unwrap(), "the session ended\n");
    assert!(!Path::new(&token).exists());
    std::fs::write(&password, WRONG).unwrap();
    refused(&sign_in, &["the server answered 401", "sign nobody in"]).await;
    door.close().await;
    host.verify().await.unwrap();
}
