//! Who may knock where: one table, from which every request is let in or not.
//!
//! Danger: a route that somebody adds and forgets to guard. So a handler guards nothing; the
//! door looks its address up here before anything of the request is read, and what is not in
//! the table is let in for nobody. The tests go through the table with every role.
//!
//! Three visitors show a bearer token: a machine that has the operator token and only reads,
//! a person with a session, and whoever has a key. What a handler then gets is the visitor,
//! and one that acts takes a `Person`: without one it does not run.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use portreeve_authority::people::Act;
use portreeve_model::Digest;
use portreeve_pipeline::SignedIn;
use portreeve_pipeline::people::NotSignedIn;
use subtle::ConstantTimeEq;

use crate::Door;
use crate::input::bearer;
use crate::problem::Problem;

/// What a visitor has to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A sender's credential, which its channel knows.
    Sender,
    /// The operator token, or an account.
    Reader,
    /// An account. Which one, what the request is about decides.
    Person,
    /// An account with a role for one of these.
    Act(&'static [Act]),
}

/// A route, and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The method.
    pub method: &'static str,
    /// The path, as the description has it.
    pub path: &'static str,
    /// What a visitor has to prove.
    pub needs: Needs,
}

const fn get(path: &'static str, needs: Needs) -> Access {
    Access { method: "GET", path, needs }
}

const fn post(path: &'static str, needs: Needs) -> Access {
    Access { method: "POST", path, needs }
}

const fn delete(path: &'static str, needs: Needs) -> Access {
    Access { method: "DELETE", path, needs }
}

const OPERATE: Needs = Needs::Act(&[Act::Operate]);
const PUBLISH: Needs = Needs::Act(&[Act::Publish]);
const PUBLISH_OR_OPERATE: Needs = Needs::Act(&[Act::Publish, Act::Operate]);
const ADMINISTER: Needs = Needs::Act(&[Act::Administer]);

/// Every route.
pub const ROUTES: &[Access] = &[
    get("/healthz", Needs::Nothing),
    get("/readyz", Needs::Nothing),
    get("/v1/openapi.json", Needs::Nothing),
    get("/v1/channels/{channel}", Needs::Sender),
    post("/v1/channels/{channel}", Needs::Sender),
    get("/v1/channels/{channel}/{below}", Needs::Sender),
    post("/v1/channels/{channel}/{below}", Needs::Sender),
    // Nobody is signed in before.
    post("/v1/session", Needs::Nothing),
    get("/v1/session", Needs::Person),
    delete("/v1/session", Needs::Person),
    get("/v1/people", ADMINISTER),
    post("/v1/people", ADMINISTER),
    post("/v1/people/{name}/roles", ADMINISTER),
    // One's own, with the present one.
    post("/v1/people/{name}/password", Needs::Person),
    post("/v1/people/{name}/disable", ADMINISTER),
    post("/v1/people/{name}/enable", ADMINISTER),
    post("/v1/people/{name}/keys", ADMINISTER),
    // One's own.
    delete("/v1/people/{name}/credentials", Needs::Person),
    get("/v1/orders", Needs::Reader),
    get("/v1/orders/{id}", Needs::Reader),
    get("/v1/exceptions", Needs::Reader),
    get("/v1/exceptions/{exception}", Needs::Reader),
    // Whoever works on its queue, or approves in it.
    get("/v1/exceptions/{exception}/message", Needs::Person),
    post("/v1/exceptions/{exception}/claim", Needs::Person),
    post("/v1/exceptions/{exception}/give-back", Needs::Person),
    post("/v1/exceptions/{exception}/assign", Needs::Person),
    post("/v1/exceptions/{exception}/comment", Needs::Person),
    post("/v1/exceptions/{exception}/decide", Needs::Person),
    post("/v1/exceptions/{exception}/approve", Needs::Person),
    post("/v1/exceptions/{exception}/refuse", Needs::Person),
    get("/v1/exceptions/{exception}/customer", Needs::Reader),
    post("/v1/exceptions/{exception}/customer", Needs::Person),
    get("/v1/inputs", Needs::Reader),
    get("/v1/inputs/{input}", Needs::Reader),
    // Whoever works on its channel's queue, or approves in it.
    get("/v1/inputs/{input}/content", Needs::Person),
    get("/v1/dead-letters", Needs::Reader),
    get("/v1/dead-letters/together", Needs::Reader),
    // Whoever works on the queues of the target's exceptions.
    post("/v1/dead-letters/together", Needs::Person),
    get("/v1/polls", Needs::Reader),
    get("/v1/targets", Needs::Reader),
    get("/v1/reconciliations", Needs::Reader),
    post("/v1/reconciliations/{reconciliation}/runs", OPERATE),
    get("/v1/replays", Needs::Reader),
    get("/v1/replays/dry-run", Needs::Reader),
    post("/v1/replays", OPERATE),
    post("/v1/reference/{table}", OPERATE),
    get("/v1/plugins", Needs::Reader),
    post("/v1/plugins", PUBLISH),
    // Whoever sees that something goes wrong stops it; who made it go goes on.
    post("/v1/plugins/halt", PUBLISH_OR_OPERATE),
    post("/v1/plugins/resume", PUBLISH),
    post("/v1/plugins/{plugin}/stage", PUBLISH),
    post("/v1/plugins/{plugin}/activate", PUBLISH),
    post("/v1/plugins/{plugin}/rollback", PUBLISH),
    post("/v1/plugins/{plugin}/disable", PUBLISH),
    post("/v1/trust", ADMINISTER),
    get("/v1/authority", Needs::Reader),
    get("/v1/events/catalogue", Needs::Reader),
    get("/v1/oversight", Needs::Reader),
    get("/v1/measures", Needs::Reader),
    get("/v1/summary", Needs::Reader),
    get("/v1/audit/checkpoint", Needs::Reader),
    get("/metrics", Needs::Reader),
];

/// Who was let in.
#[derive(Debug, Clone)]
enum Visitor {
    /// A machine with the operator token.
    Operator,
    /// Somebody.
    Person(Arc<SignedIn>),
}

/// A person who acts. A request without one does not reach a handler that takes one.
pub(crate) struct Person(pub(crate) Arc<SignedIn>);

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get() {
            Some(Visitor::Person(person)) => Ok(Self(Arc::clone(person))),
            Some(Visitor::Operator) => Err(only_reads()),
            None => Err(nobody()),
        }
    }
}

/// Who reads: somebody, or a machine, which is nobody.
pub(crate) struct Reader(pub(crate) Option<Arc<SignedIn>>);

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get() {
            Some(Visitor::Person(person)) => Ok(Self(Some(Arc::clone(person)))),
            Some(Visitor::Operator) => Ok(Self(None)),
            None => Err(nobody()),
        }
    }
}

/// Lets a request in, or says why not, before anything of its body is read.
pub(crate) async fn admit(
    State(door): State<Arc<Door>>,
    matched: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(path) = matched.as_ref().map(MatchedPath::as_str) else { return next.run(request).await };
    let Some(needs) = needs(request.method(), path) else { return not_this_method(path) };
    let shown = bearer(request.headers()).filter(|token| !token.is_empty());
    match visitor(&door, shown, needs).await {
        Ok(None) => {}
        Ok(Some(visitor)) => drop(request.extensions_mut().insert(visitor)),
        Err(problem) => return problem.into_response(),
    }
    next.run(request).await
}

/// The row of the table. A HEAD is a GET whose answer nobody reads.
fn needs(method: &Method, path: &str) -> Option<Needs> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    // The router says `{*below}`, the description cannot.
    let same = |row: &&Access| row.method == method && row.path == path.replace("{*", "{");
    ROUTES.iter().find(same).map(|row| row.needs)
}

fn not_this_method(path: &str) -> Response {
    let allowed = ROUTES.iter().filter(|row| row.path == path.replace("{*", "{"));
    let allowed: Vec<&str> =
        allowed.flat_map(|row| if row.method == "GET" { vec!["GET", "HEAD"] } else { vec![row.method] }).collect();
    let mut response = Problem::method_not_allowed().into_response();
    if let Ok(allowed) = HeaderValue::try_from(allowed.join(",")) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// Who knocks, if that is somebody whom the route lets in; nobody where it asks nobody here.
async fn visitor(door: &Door, shown: Option<&str>, needs: Needs) -> Result<Option<Visitor>, Problem> {
    if matches!(needs, Needs::Nothing | Needs::Sender) {
        return Ok(None);
    }
    let shown = shown.ok_or_else(|| if needs == Needs::Reader { no_reader() } else { nobody() })?;
    if door.front.is_operator(shown) {
        return if needs == Needs::Reader { Ok(Some(Visitor::Operator)) } else { Err(only_reads()) };
    }
    let pipeline = &door.front.pipeline;
    let person = pipeline.authenticate(shown).await.map_err(|error| match error {
        NotSignedIn::Refused => Problem::unauthorized(error.to_string()),
        NotSignedIn::Store(error) => error.into(),
    })?;
    if let Needs::Act(acts) = needs {
        let mut refused = None;
        let may = acts.iter().any(|act| pipeline.may(&person, *act).map_err(|denied| refused = Some(denied)).is_ok());
        if let Some(denied) = refused.filter(|_| !may) {
            return Err(Problem::forbidden(denied.to_string()));
        }
    }
    Ok(Some(Visitor::Person(Arc::new(person))))
}

impl crate::Front {
    fn is_operator(&self, token: &str) -> bool {
        let shown = Digest::of(token.as_bytes());
        self.operator_token.is_some_and(|expected| shown.as_bytes().ct_eq(expected.as_bytes()).into())
    }
}

fn no_reader() -> Problem {
    Problem::unauthorized("this needs the operator token, a session or a key as a bearer token")
}

fn nobody() -> Problem {
    Problem::unauthorized(
        "this needs a person: sign in with `POST /v1/session`, and show the session, or a key, as a bearer token",
    )
}

fn only_reads() -> Problem {
    Problem::forbidden(
        "the operator token only reads, and what is done is a person's: sign in with `POST /v1/session`, or show a key",
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_not_in_the_table_is_for_nobody() {
        assert_eq!(needs(&Method::HEAD, "/v1/orders"), Some(Needs::Reader));
        assert_eq!(needs(&Method::GET, "/v1/channels/{channel}/{*below}"), Some(Needs::Sender));
        for (method, path) in [(Method::PUT, "/v1/orders"), (Method::GET, "/v1/new")] {
            assert_eq!(needs(&method, path), None);
        }
        let response = not_this_method("/v1/session");
        assert_eq!(
            (response.status(), response.headers().get("allow").unwrap().to_str().unwrap()),
            (axum::http::StatusCode::METHOD_NOT_ALLOWED, "POST,GET,HEAD,DELETE")
        );
    }

    #[test]
    fn whatever_changes_something_needs_a_person() {
        for row in ROUTES.iter().filter(|row| row.method != "GET") {
            let open = matches!(row.path, "/v1/session") && row.method == "POST";
            assert!(open || !matches!(row.needs, Needs::Nothing | Needs::Reader), "{row:?}");
        }
        let mut rows: Vec<_> = ROUTES.iter().map(|row| (row.method, row.path)).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), ROUTES.len(), "each route has one row");
    }
}
