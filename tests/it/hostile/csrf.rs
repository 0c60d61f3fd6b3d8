//! Sessions with a CSRF token, as SAP Gateway has them: the host begins and keeps them, a
//! guest neither sees, sets nor breaks one.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hyper::header::{HeaderMap, SET_COOKIE};
use hyper::{Method, StatusCode};
use portreeve_pipeline::egress::CredentialEntry;
use portreeve_sandbox::{Call, RequestOutcome};
use tokio::net::TcpListener;

use super::connector::Border;
use super::egress::Way;

const PASSWORD: &str = "s3cret-Of-the-tests";

/// `portreeve:s3cret-Of-the-tests`
const PROOF: &str = "Basic cG9ydHJlZXZlOnMzY3JldC1PZi10aGUtdGVzdHM=";

const BASIC: &str = "kind = \"basic\"\nuser = \"portreeve\"\nsecret = { file = \"key\" }";

const CSRF: &str = "csrf = { path = \"/sap/orders/?sap-client=100\" }";

/// What the gateway is at the moment, and what it saw.
#[derive(Default)]
struct Gateway {
    /// Sessions that were begun; the last one counts.
    begun: usize,
    /// The status of a question for a token, where it is none that gives one.
    fetch_status: Option<u16>,
    /// Whether no token is ever right.
    stubborn: bool,
    /// What proves the host.
    proof: String,
    /// Method, path and headers of each request.
    seen: Vec<(Method, String, HeaderMap)>,
}

impl Gateway {
    fn token(&self) -> String {
        format!("token-of-session-{}==", self.begun)
    }

    fn session(&self) -> String {
        format!("SAP_SESSIONID_PRT_100=0123456789abcdef-{}", self.begun)
    }

    fn answer(&mut self, request: &Request) -> Response {
        let headers = request.headers();
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        self.seen.push((request.method().clone(), request.uri().to_string(), headers.clone()));
        if header("authorization") != self.proof && header("x-api-key") != self.proof {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        if header("x-csrf-token").eq_ignore_ascii_case("fetch") {
            return self.begin();
        }
        let cookies = format!("{}; sap-usercontext=sap-client=100", self.session());
        let is_within = header("x-csrf-token") == self.token() && header("cookie") == cookies && !self.stubborn;
        if request.method() == Method::POST && !is_within {
            return (StatusCode::FORBIDDEN, [("x-csrf-token", "Required")], "CSRF token validation failed")
                .into_response();
        }
        // It repeats all it was told, and sets what it likes.
        let told = format!("{headers:?}");
        let set = [("x-repeated", told.clone()), ("x-csrf-token", self.token()), ("set-cookie", self.session())];
        (StatusCode::CREATED, set, told).into_response()
    }

    fn begin(&mut self) -> Response {
        if let Some(status) = self.fetch_status {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        self.begun += 1;
        let mut headers = HeaderMap::new();
        headers.insert("x-csrf-token", self.token().parse().unwrap());
        headers.append(SET_COOKIE, format!("{}; path=/; secure; HttpOnly", self.session()).parse().unwrap());
        headers.append(SET_COOKIE, "sap-usercontext=sap-client=100; path=/".parse().unwrap());
        (headers, "a long service document".repeat(10_000)).into_response()
    }

    /// Requests of one method so far.
    fn count(&self, method: &Method) -> usize {
        self.seen.iter().filter(|(seen, _, _)| seen == method).count()
    }
}

/// The hostile connector, on its way to a gateway that wants sessions.
struct Set {
    border: Border,
    gateway: Arc<Mutex<Gateway>>,
    folder: tempfile::TempDir,
}

impl Set {
    async fn with(credential: &str, granted: &'static str) -> Self {
        let credential: CredentialEntry = toml::from_str(credential).unwrap();
        assert!(credential.problems().is_empty(), "{:?}", credential.problems());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), PASSWORD).unwrap();
        let gateway = Arc::new(Mutex::new(Gateway { proof: PROOF.to_owned(), ..Gateway::default() }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::clone(&gateway);
        let routes = axum::Router::new()
            .fallback(move |request: Request| std::future::ready(answers.lock().unwrap().answer(&request)));
        tokio::spawn(axum::serve(listener, routes).into_future());
        let mut border = Border::new("{}").await;
        border.target.address = address;
        let way = Way { credential: Some(credential), ..Way::granted(granted) };
        way.open(&mut border, &format!("http://{address}"), Path::new(folder.path()));
        Self { border, gateway, folder }
    }

    async fn basic(granted: &'static str) -> Self {
        Self::with(&format!("{BASIC}\n{CSRF}"), granted).await
    }

    /// One request of the guest's: what it was told, and how each try ended on record.
    async fn send(&self, method: &str, header: (&str, &str)) -> (String, Vec<RequestOutcome>) {
        let settings = [
            ("act", "send"),
            ("method", method),
            ("scheme", "http"),
            ("path", "/sap/orders/Orders"),
            ("show", "body"),
            ("header", header.0),
            ("header-value", header.1),
        ];
        let (told, crossing) = self.border.act(Call::Deliver, &settings).await;
        (told.unwrap(), crossing.requests.into_iter().map(|request| request.outcome).collect())
    }

    async fn post(&self) -> (String, Vec<RequestOutcome>) {
        self.send("POST", ("x-a", "b")).await
    }

    /// Sessions that were begun, and requests that change something.
    fn counts(&self) -> (usize, usize) {
        let gateway = self.gateway();
        (gateway.begun, gateway.count(&Method::POST))
    }

    /// The gateway, to be looked at or changed.
    fn gateway(&self) -> std::sync::MutexGuard<'_, Gateway> {
        self.gateway.lock().unwrap()
    }
}

/// That a guest was told nothing of session and credential.
fn hides_all(told: &str) {
    for hidden in ["token-of-session", "0123456789abcdef", "SAP_SESSIONID", PASSWORD, PROOF] {
        assert!(!told.contains(hidden), "{hidden} in {told}");
    }
}

#[tokio::test]
async fn a_session_is_begun_once_and_goes_with_what_changes_something_and_no_guest_sees_it() {
    let set = Set::basic("").await;
    // A guest's own token is replaced, and so is its question for one.
    for (method, token) in [("POST", "forged"), ("POST", "Fetch"), ("GET", "Fetch"), ("GET", "forged")] {
        let (told, outcomes) = set.send(method, ("x-csrf-token", token)).await;
        assert!(told.starts_with("201 "), "{method} {token}: {told}");
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        hides_all(&told);
    }
    let gateway = set.gateway();
    let (method, path, asked) = &gateway.seen[0];
    assert_eq!((method, path.as_str()), (&Method::GET, "/sap/orders/?sap-client=100"));
    assert_eq!((&asked["x-csrf-token"], &asked["authorization"]), (&"Fetch".parse().unwrap(), &PROOF.parse().unwrap()));
    assert_eq!((gateway.begun, gateway.count(&Method::POST), gateway.count(&Method::GET)), (1, 2, 3));
    for (_, _, headers) in gateway.seen.iter().filter(|(method, path, _)| method == Method::GET && !path.contains('?'))
    {
        assert!(!headers.contains_key("x-csrf-token") && !headers.contains_key("cookie"), "{headers:?}");
    }
}

#[tokio::test]
async fn a_session_is_asked_for_as_the_configuration_says() {
    let head = "csrf = { path = \"/sap/\", method = \"HEAD\" }";
    let set = Set::with(&format!("{BASIC}\n{head}\nmethods = [\"POST\"]"), "").await;
    let (told, _) = set.post().await;
    assert!(told.starts_with("201 "), "{told}");
    let (method, path, _) = set.gateway().seen[0].clone();
    assert_eq!((method, path.as_str()), (Method::HEAD, "/sap/"));
    // Without the credential there is no session either.
    let (told, _) = set.send("GET", ("x-csrf-token", "Fetch")).await;
    assert!(told.starts_with("401 "), "{told}");
    assert!(!set.gateway().seen[2].2.contains_key("x-csrf-token"));
}

#[tokio::test]
async fn a_session_that_is_begun_counts_in_the_window_of_its_target() {
    let set = Set::basic("window = { requests_max = 3, seconds = 10 }").await;
    for _ in 0..2 {
        assert!(set.post().await.0.starts_with("201 "));
    }
    let (_, outcomes) = set.post().await;
    assert!(matches!(outcomes.as_slice(), [RequestOutcome::Deferred { .. }]), "{outcomes:?}");
    assert_eq!(set.counts(), (1, 2));

    // Where nothing is left to begin one with, nobody is asked and it is nobody's failure.
    let set = Set::basic("window = { requests_max = 1, seconds = 10 }\nbreaker_failures = 1").await;
    for _ in 0..2 {
        let (_, outcomes) = set.post().await;
        let [RequestOutcome::Deferred { why, .. }] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert!(why.contains("`window`"), "{why}");
    }
    assert!(set.gateway().seen.is_empty());
}

#[tokio::test]
async fn deliveries_side_by_side_begin_one_session() {
    let set = Set::basic("").await;
    let (first, second, third) = tokio::join!(set.post(), set.post(), set.post());
    for (told, _) in [first, second, third] {
        assert!(told.starts_with("201 "), "{told}");
    }
    assert_eq!(set.gateway().begun, 1);
}

#[tokio::test]
async fn a_session_that_is_over_is_renewed_once() {
    let set = Set::basic("").await;
    assert!(set.post().await.0.starts_with("201 "));
    // The gateway forgot it; both tries are on record.
    set.gateway().begun += 1;
    let (told, outcomes) = set.post().await;
    assert!(told.starts_with("201 "), "{told}");
    hides_all(&told);
    assert!(
        matches!(
            outcomes[..],
            [RequestOutcome::Answered { status: 403, .. }, RequestOutcome::Answered { status: 201, .. }]
        ),
        "{outcomes:?}"
    );
    assert_eq!(set.counts(), (3, 3));

    // One that takes no session at all is asked twice, not for ever; the guest hears the 403.
    set.gateway().stubborn = true;
    let (told, outcomes) = set.post().await;
    assert!(told.starts_with("403 ") && !told.contains("Required"), "{told}");
    assert_eq!((outcomes.len(), set.counts()), (2, (4, 5)));

    // Where there is no new one, the first answer stands.
    set.gateway().fetch_status = Some(500);
    let (told, outcomes) = set.post().await;
    assert!(told.starts_with("403 "), "{told}");
    assert_eq!((outcomes.len(), set.gateway().count(&Method::POST)), (1, 6));
}

#[tokio::test]
async fn without_a_session_nothing_is_changed_and_the_request_comes_later() {
    for (status, why) in
        [(200, "without a token in `X-CSRF-Token`"), (404, "was answered 404"), (401, "was answered 401")]
    {
        let set = Set::basic("").await;
        set.gateway().fetch_status = Some(status);
        let (_, outcomes) = set.post().await;
        let [RequestOutcome::Deferred { why: found, .. }] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert!(found.contains(why) && found.contains("GET `/sap/orders/?sap-client=100`"), "{found}");
        hides_all(found);
        assert_eq!(set.gateway().count(&Method::POST), 0);
        set.gateway().fetch_status = None;
        assert!(set.post().await.0.starts_with("201 "), "{status}");
    }
}

#[tokio::test]
async fn a_target_that_fails_to_begin_sessions_is_left_alone_as_any_other_that_fails() {
    let set = Set::basic("breaker_failures = 1").await;
    set.gateway().fetch_status = Some(503);
    let (_, outcomes) = set.post().await;
    assert!(
        matches!(&outcomes[..], [RequestOutcome::Deferred { why, .. }] if why.contains("answered 503")),
        "{outcomes:?}"
    );
    let (_, outcomes) = set.post().await;
    assert!(
        matches!(&outcomes[..], [RequestOutcome::Deferred { why, .. }] if why.contains("in a row")),
        "{outcomes:?}"
    );
    assert_eq!(set.gateway().seen.len(), 1);
}

#[tokio::test]
async fn a_session_belongs_to_the_credential_that_it_was_begun_with() {
    let text = format!("kind = \"header\"\nname = \"x-api-key\"\nsecret = {{ command = [\"cat\", \"key\"] }}\n{CSRF}");
    let set = Set::with(&text, "").await;
    set.gateway().proof = PASSWORD.to_owned();
    assert!(set.post().await.0.starts_with("201 "));
    // Another key by the time: what the command said last is refused, and asked for again.
    std::fs::write(set.folder.path().join("key"), "another-Secret").unwrap();
    set.gateway().proof = "another-Secret".to_owned();
    let (told, outcomes) = set.post().await;
    assert!(told.starts_with("201 "), "{told}");
    assert!(
        matches!(
            outcomes[..],
            [RequestOutcome::Answered { status: 401, .. }, RequestOutcome::Answered { status: 201, .. }]
        ),
        "{outcomes:?}"
    );
    assert_eq!(set.gateway().begun, 2);

    // Where the session is begun the old key is found out before anything is sent.
    let set = Set::with(&text, "").await;
    set.gateway().proof = PASSWORD.to_owned();
    assert!(set.send("GET", ("x-a", "b")).await.0.starts_with("201 "));
    std::fs::write(set.folder.path().join("key"), "another-Secret").unwrap();
    set.gateway().proof = "another-Secret".to_owned();
    let (told, outcomes) = set.post().await;
    assert!(told.starts_with("201 ") && outcomes.len() == 1, "{told} {outcomes:?}");
    assert_eq!(set.counts(), (1, 1));
}
