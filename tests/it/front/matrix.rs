//! The authorisation matrix: every route of the API's description, and everybody who may knock.
//! What is expected stands here once more, by hand: a table that is compared with itself finds
//! nothing.

use std::collections::BTreeSet;

use hyper::Method;
use portreeve_api::access::ROUTES;
use portreeve_pipeline::Clock;
use portreeve_pipeline::people::SESSION_MS;
use serde_json::{Value, json};

use super::door::bearer;
use crate::support::exceptions::waiting;
use crate::support::{EVERY_ROLE, FrontDoor, OPERATOR_TOKEN, PASSWORD, PurchaseOrder, Setup, TestHost, people};

/// Who is let in.
#[derive(Debug, Clone, Copy)]
enum Who {
    /// Whoever comes, with or without a credential.
    Everybody,
    /// Senders, who are none of those that knock here: all of them hear the same.
    Senders,
    /// The operator token, and every account.
    Readers,
    /// Every account.
    People,
    /// Accounts with one of these roles.
    Roles(&'static [&'static str]),
}

use Who::{Everybody, People, Readers, Roles, Senders};

const ADMINISTRATORS: Who = Roles(&["administrator"]);
const OPERATORS: Who = Roles(&["operator"]);
const PUBLISHERS: Who = Roles(&["publisher"]);

const MATRIX: &[(&str, &str, Who)] = &[
    ("GET", "/healthz", Everybody),
    ("GET", "/readyz", Everybody),
    ("GET", "/metrics", Readers),
    ("GET", "/v1/openapi.json", Everybody),
    ("GET", "/v1/channels/{channel}", Senders),
    ("POST", "/v1/channels/{channel}", Senders),
    ("GET", "/v1/channels/{channel}/{below}", Senders),
    ("POST", "/v1/channels/{channel}/{below}", Senders),
    ("POST", "/v1/session", Everybody),
    ("GET", "/v1/session", People),
    ("DELETE", "/v1/session", People),
    ("GET", "/v1/people", ADMINISTRATORS),
    ("POST", "/v1/people", ADMINISTRATORS),
    ("POST", "/v1/people/{name}/roles", ADMINISTRATORS),
    // Somebody else's, as here.
    ("POST", "/v1/people/{name}/password", ADMINISTRATORS),
    ("POST", "/v1/people/{name}/disable", ADMINISTRATORS),
    ("POST", "/v1/people/{name}/enable", ADMINISTRATORS),
    ("POST", "/v1/people/{name}/keys", ADMINISTRATORS),
    ("DELETE", "/v1/people/{name}/credentials", ADMINISTRATORS),
    ("GET", "/v1/orders", Readers),
    ("GET", "/v1/orders/{id}", Readers),
    // The order that is kept back here waits in `pricing`.
    ("GET", "/v1/exceptions", Readers),
    ("GET", "/v1/exceptions/{exception}", Readers),
    ("GET", "/v1/exceptions/{exception}/message", Roles(&["pricing-resolver", "approver", "senior-approver"])),
    ("POST", "/v1/exceptions/{exception}/claim", Roles(&["pricing-resolver"])),
    ("POST", "/v1/exceptions/{exception}/give-back", Roles(&["pricing-resolver"])),
    ("POST", "/v1/exceptions/{exception}/assign", Roles(&["pricing-resolver"])),
    ("POST", "/v1/exceptions/{exception}/comment", Roles(&["pricing-resolver"])),
    ("POST", "/v1/exceptions/{exception}/decide", Roles(&["pricing-resolver"])),
    // There is none to approve or refuse; who may, the tests of exceptions say.
    ("POST", "/v1/exceptions/{exception}/approve", People),
    ("POST", "/v1/exceptions/{exception}/refuse", People),
    ("GET", "/v1/exceptions/{exception}/customer", Readers),
    ("POST", "/v1/exceptions/{exception}/customer", Roles(&["pricing-resolver"])),
    ("GET", "/v1/inputs", Readers),
    ("GET", "/v1/inputs/{input}", Readers),
    // There is none of which nothing was taken; who sees its bytes, the tests of those say.
    ("GET", "/v1/inputs/{input}/content", People),
    ("GET", "/v1/dead-letters", Readers),
    ("GET", "/v1/dead-letters/together", Readers),
    // There is none to try again; who may, the tests of dead letters say.
    ("POST", "/v1/dead-letters/together", People),
    ("GET", "/v1/polls", Readers),
    ("GET", "/v1/targets", Readers),
    ("GET", "/v1/reconciliations", Readers),
    ("POST", "/v1/reconciliations/{reconciliation}/runs", OPERATORS),
    ("GET", "/v1/replays", Readers),
    ("GET", "/v1/replays/dry-run", Readers),
    ("POST", "/v1/replays", OPERATORS),
    ("POST", "/v1/reference/{table}", OPERATORS),
    ("GET", "/v1/plugins", Readers),
    ("POST", "/v1/plugins", PUBLISHERS),
    ("POST", "/v1/plugins/{plugin}/stage", PUBLISHERS),
    ("POST", "/v1/plugins/{plugin}/activate", PUBLISHERS),
    ("POST", "/v1/plugins/{plugin}/rollback", PUBLISHERS),
    ("POST", "/v1/plugins/{plugin}/disable", PUBLISHERS),
    ("POST", "/v1/plugins/halt", Roles(&["publisher", "operator"])),
    ("POST", "/v1/plugins/resume", PUBLISHERS),
    ("POST", "/v1/trust", ADMINISTRATORS),
    ("GET", "/v1/authority", Readers),
    ("GET", "/v1/events/catalogue", Readers),
    ("GET", "/v1/oversight", Readers),
    ("GET", "/v1/measures", Readers),
    ("GET", "/v1/summary", Readers),
    ("GET", "/v1/audit/checkpoint", Readers),
];

/// A digest of nothing that was shown or proposed.
const NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The roles of the demo's `people.toml`.
const ROLES: &[&str] = &[
    "administrator",
    "approver",
    "credit-resolver",
    "fraud-resolver",
    "integration",
    "operator",
    "order-desk",
    // What this one is let in to changes what others find.
    "pricing-resolver",
    "publisher",
    "senior-approver",
    "viewer",
];

/// Somebody who knocks.
struct Visitor {
    called: String,
    shows: Option<String>,
    /// Of an account that counts.
    role: Option<&'static str>,
}

impl Visitor {
    fn stranger(called: &str, shows: Option<&str>) -> Self {
        Self { called: called.to_owned(), shows: shows.map(bearer), role: None }
    }

    /// What is to be heard: whether it is let in, and otherwise 401 or 403.
    fn expected(&self, who: Who) -> Option<u16> {
        let is_operator = self.called == "the operator token";
        match (who, self.role) {
            (Everybody | Senders, _) | (Readers | People, Some(_)) => None,
            (Readers, None) if is_operator => None,
            (Roles(roles), Some(role)) if roles.contains(&role) => None,
            (Roles(_), Some(_)) => Some(403),
            (People | Roles(_), None) if is_operator => Some(403),
            (Readers | People | Roles(_), None) => Some(401),
        }
    }
}

/// Everybody who may knock, those last who change something when they are let in.
async fn visitors(host: &TestHost) -> Vec<Visitor> {
    let pipeline = &host.host.pipeline;
    let mut roles: Vec<&str> = ROLES.to_vec();
    assert_eq!(pipeline.people.roles().collect::<Vec<_>>(), roles, "a role that the matrix does not have");
    roles.sort_by_key(|role| *role == "pricing-resolver");

    let disabled = people::key_of(pipeline, "gone", EVERY_ROLE).await;
    let root = people::root(pipeline).await;
    pipeline.disable_person(&root, "gone").await.unwrap();
    people::add(pipeline, "late", EVERY_ROLE).await;
    let expired = pipeline.sign_in("late", PASSWORD).await.unwrap().token.reveal().to_owned();
    host.clock.advance_to(host.clock.now().plus_ms(SESSION_MS));

    let mut visitors = vec![
        Visitor::stranger("nobody", None),
        Visitor::stranger("an empty token", Some("")),
        Visitor::stranger("a token that is none", Some("portreeve-key-of-nobody")),
        Visitor::stranger("the operator token", Some(OPERATOR_TOKEN)),
        Visitor::stranger("somebody who is disabled", Some(&disabled)),
        Visitor::stranger("a session that is over", Some(&expired)),
    ];
    for role in roles {
        let key = people::key_of(pipeline, &format!("with-{role}"), &[role]).await;
        visitors.push(Visitor { called: format!("the role `{role}`"), shows: Some(bearer(&key)), role: Some(role) });
    }
    visitors
}

/// A request that means something there, and breaks nothing.
fn request(method: &str, path: &str, exception: u64) -> (String, String) {
    let body = match (method, path) {
        ("POST", "/v1/session") => json!({ "name": "nobody", "password": "" }),
        ("POST", "/v1/people") => json!({ "name": "Not A Name", "roles": [] }),
        ("POST", "/v1/people/{name}/roles") => json!({ "roles": [] }),
        ("POST", "/v1/people/{name}/password") => json!({ "password": "long enough for one" }),
        ("POST", "/v1/people/{name}/keys") => json!({ "label": "of nobody" }),
        ("POST", "/v1/exceptions/{exception}/assign") => json!({ "to": "with-pricing-resolver" }),
        ("POST", "/v1/exceptions/{exception}/comment") => json!({ "words": "look at the price" }),
        ("POST", "/v1/exceptions/{exception}/decide") => {
            json!({ "shown": NOTHING, "action": "reroute", "queue": "credit", "reason": "not ours" })
        }
        ("POST", "/v1/exceptions/{exception}/customer") => json!({ "shown": NOTHING, "reason": "looked at" }),
        ("POST", "/v1/exceptions/{exception}/approve" | "/v1/exceptions/{exception}/refuse") => {
            json!({ "proposal": NOTHING })
        }
        _ => Value::Null,
    };
    let path = path
        .replace("{channel}", "edi")
        .replace("{below}", "more")
        .replace("{name}", "nobody")
        .replace("{id}", "PO-1")
        .replace("{exception}", &exception.to_string())
        .replace("{table}", "Not-a-table")
        .replace("{reconciliation}", "nothing")
        .replace("{plugin}", "nothing")
        .replace("{input}", "7");
    (path, if body.is_null() { String::new() } else { body.to_string() })
}

/// Every operation of the description.
fn described() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_str(&portreeve_api::openapi().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = |(path, item): (&String, &Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(operations).collect()
}

fn pairs<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeSet<(String, String)> {
    rows.map(|(method, path)| (method.to_owned(), path.to_owned())).collect()
}

#[test]
fn every_route_is_in_the_matrix_and_in_the_table_of_who_may_knock() {
    let described = described();
    assert_eq!(described, pairs(MATRIX.iter().map(|(method, path, _)| (*method, *path))));
    assert_eq!(described, pairs(ROUTES.iter().map(|row| (row.method, row.path))));
}

#[tokio::test]
async fn everybody_is_let_in_where_the_matrix_says_and_nowhere_else() {
    let setup = Setup::demo().scorers(&[]);
    let host = setup.start().await;
    let dear = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "25.00")]);
    host.decide_orders(&[dear]).await;
    let waits = waiting(&host).await.remove(0);
    assert_eq!(waits.queue, "pricing");

    let visitors = visitors(&host).await;
    host.host.sequencer.sequence_all().await.unwrap();
    let door = host.front_door().await;
    for (method, template, who) in MATRIX {
        let (path, body) = request(method, template, waits.id);
        // What a sender or a password proves is not what is shown here.
        let proves_otherwise = matches!(who, Senders) || (*method, *template) == ("POST", "/v1/session");
        let mut heard = BTreeSet::new();
        for visitor in &visitors {
            let status = knock(&door, method, &path, &body, visitor).await;
            heard.insert(status);
            let called = &visitor.called;
            match visitor.expected(*who) {
                Some(expected) => assert_eq!(status, expected, "{method} {template}: {called}"),
                None if proves_otherwise => {}
                None => assert!(![401, 403].contains(&status), "{method} {template}: {called} hears {status}"),
            }
        }
        if proves_otherwise {
            assert_eq!(heard.len(), 1, "{method} {template} says {heard:?}, and not the same to everybody");
        }
    }
    door.close().await;
    host.verify().await.unwrap();
}

async fn knock(door: &FrontDoor, method: &str, path: &str, body: &str, visitor: &Visitor) -> u16 {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(visitor.shows.as_deref().map(|shows| ("authorization", shows)));
    door.send(Method::from_bytes(method.as_bytes()).unwrap(), path, &headers, body.as_bytes()).await.status
}

#[tokio::test]
async fn what_a_role_does_not_allow_is_refused_with_those_that_would() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let key = door.key_of("vera", &["viewer"]).await;
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    for (path, role) in [
        ("/v1/reference/stock", "no role of `vera` may operate; `operator` would allow it"),
        ("/v1/trust", "no role of `vera` may administer; `administrator` would allow it"),
    ] {
        let answer = door.send(Method::POST, path, &headers, b"").await;
        let problem = super::door::problem(&answer, 403, "forbidden");
        assert_eq!(problem["detail"], role);
    }
    let halt = door.send(Method::POST, "/v1/plugins/halt", &headers, b"").await;
    super::door::problem(&halt, 403, "forbidden");
    let token = bearer(OPERATOR_TOKEN);
    let reads = door.send(Method::POST, "/v1/plugins/halt", &[("authorization", token.as_str())], b"").await;
    let said = super::door::problem(&reads, 403, "forbidden");
    assert!(said["detail"].as_str().unwrap().contains("the operator token only reads"), "{said}");
    door.close().await;
}
