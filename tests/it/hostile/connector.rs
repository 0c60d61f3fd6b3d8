//! One hostile connector, and every act that it tries at the border: the egress
//! wall, and what the host keeps for a guest.
//!
//! Each limit is tried at its value and just beyond. The connector reports what it
//! was told; what counts is what the crossing recorded and the target saw.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hyper::{HeaderMap, StatusCode};
use portreeve::host::Locations;
use portreeve_model::document::{CheckRequest, Delivery, FindQuery, Inbound, Message, PollRequest, Receipt, Setting};
use portreeve_model::{PluginName, SenderId};
use portreeve_registry::{CodeCache, Registry};
use portreeve_sandbox::{
    Call, CallContext, CallFailure, Crossed, Crossing, Egress, EgressRefused, EgressRequest, Ended, Kv,
    LOG_LINE_BYTES_MAX, Limits, Numbers, NumbersError, Passage, Permitted, Plugin, RequestOutcome, Sandbox,
    SandboxOptions, Signature, ToSign,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{MORNING, component, install, tree};

/// What an act came to: the guest's report, or how its call ended.
pub(super) type Told = Result<String, CallFailure>;

/// The hostile connector in a sandbox of its own, and a target that it may reach.
pub(super) struct Border {
    plugin: Plugin,
    pub(super) target: Target,
    /// The way out; none is one that lets everything through.
    pub(super) egress: Option<Arc<dyn Egress>>,
    // Last: the folder of the cache's key.
    _folder: tempfile::TempDir,
}

impl Border {
    pub(super) async fn new(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shared = Locations::below(folder.path(), &tree().target().join("portreeve"));
        let cache = CodeCache::open(&shared.cache, &shared.cache_key).unwrap();
        let registry = Registry::new(Sandbox::new(SandboxOptions::default()).unwrap(), cache);
        let limits: serde_json::Value = serde_json::from_str(limits).unwrap();
        let grant = serde_json::json!({
            "log": true, "kv": true, "numbers": ["control"], "http": ["GET", "POST"], "limits": limits,
        });
        let bytes = std::fs::read(component("hostile-connector")).unwrap();
        let name = PluginName::parse("hostile-connector").unwrap();
        let installed = install(&registry, &name, &bytes, &serde_json::from_value(grant).unwrap()).unwrap();
        Self { plugin: installed.plugin, target: Target::start().await, egress: None, _folder: folder }
    }

    /// Has the connector try an act in one of its exports.
    pub(super) async fn act(&self, call: Call, settings: &[(&str, &str)]) -> (Told, Crossing) {
        let setting = |(name, value): (&str, &str)| Setting { name: name.to_owned(), value: value.to_owned() };
        let mut all: Vec<Setting> = settings.iter().copied().map(setting).collect();
        all.push(setting(("authority", &self.target.address.to_string())));
        let context = self.context();
        match call {
            Call::Receive => told(self.plugin.receive(&context, &inbound(all)).await, |received| received.reply.body),
            Call::Deliver => told(self.plugin.deliver(&context, &delivery(all)).await, detail),
            Call::Find => {
                let query = FindQuery { kind: "some/kind".to_owned(), natural_key: "key".to_owned(), settings: all };
                told(self.plugin.find(&context, &query).await, |found| found.map_or_else(Vec::new, detail))
            }
            Call::Poll => {
                let request = PollRequest { cursor: None, now: MORNING, settings: all };
                told(self.plugin.poll(&context, &request).await, |polled| polled.cursor.unwrap_or_default())
            }
            _ => {
                let request = CheckRequest { settings: all };
                told(self.plugin.check(&context, &request).await, |report| report.detail.into_bytes())
            }
        }
    }

    /// The same in `deliver`, which may most; only what it was told.
    async fn try_act(&self, settings: &[(&str, &str)]) -> Told {
        self.act(Call::Deliver, settings).await.0
    }

    /// Sends one request in an export; what it was told, how it ended on record.
    pub(super) async fn send(&self, call: Call, settings: &[(&str, &str)]) -> (String, RequestOutcome) {
        let mut all = vec![("act", "send"), ("scheme", "http"), ("path", "/")];
        all.retain(|(name, _)| !settings.iter().any(|(other, _)| name == other));
        all.extend(settings);
        let (told, mut crossing) = self.act(call, &all).await;
        assert_eq!(crossing.requests.len(), 1, "{told:?}");
        (told.unwrap(), crossing.requests.remove(0).outcome)
    }

    fn context(&self) -> CallContext {
        let mut context = CallContext::with_nothing(MORNING);
        let granted = Arc::new(Granted(self.target.address));
        context.numbers = granted.clone();
        context.kv = granted.clone();
        context.egress = self.egress.clone().unwrap_or(granted);
        context
    }
}

fn told<T, E: std::fmt::Debug>(crossed: Crossed<Result<T, E>>, report: impl FnOnce(T) -> Vec<u8>) -> (Told, Crossing) {
    let told = crossed.outcome.map(|answer| String::from_utf8(report(answer.unwrap())).unwrap());
    (told.map_err(|error| error.failure), crossed.crossing)
}

fn detail(receipt: Receipt) -> Vec<u8> {
    receipt.detail.unwrap().into_bytes()
}

fn inbound(settings: Vec<Setting>) -> Inbound {
    Inbound {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        received_at: MORNING,
        sender: SenderId::authenticated("somebody"),
        settings,
    }
}

fn delivery(settings: Vec<Setting>) -> Delivery {
    let message = Message { kind: "some/kind".to_owned(), content_type: "text/plain".to_owned(), body: Vec::new() };
    let key = "key".to_owned();
    Delivery { message, idempotency_key: key.clone(), natural_key: key, attempt: 1, settings }
}

/// Everything that a connector can be granted; the host's credential goes with each request.
struct Granted(SocketAddr);

#[async_trait]
impl Egress for Granted {
    async fn authorize(&self, request: EgressRequest<'_>) -> Result<Permitted, EgressRefused> {
        let authority = self.0.to_string();
        let path = request.url.split_once(&authority).map_or("/", |(_, path)| path);
        Ok(Permitted {
            addresses: vec![self.0],
            path_and_query: path.to_owned(),
            authority,
            tls: None,
            tray: None,
            passage: Box::new(Signed),
        })
    }
}

/// The host's credential goes with each request.
struct Signed;

#[async_trait]
impl Passage for Signed {
    async fn sign(&self, _request: ToSign<'_>) -> Result<Signature, EgressRefused> {
        let headers = vec![("authorization".to_owned(), "the host's".to_owned())];
        Ok(Signature { headers, secrets: vec![b"the host's".to_vec()], ..Signature::default() })
    }

    async fn renew(&self, _status: u16) -> bool {
        false
    }

    fn ended(&self, _ended: Ended) {}
}

#[async_trait]
impl Numbers for Granted {
    async fn next(&self, _range: &str) -> Result<u64, NumbersError> {
        Ok(1)
    }
}

#[async_trait]
impl Kv for Granted {
    async fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        Ok(BTreeMap::new())
    }
}

/// A target that keeps what it saw, and answers what the path asks for:
/// `/headers/N`, `/header-bytes/N`, `/body/N`, `/redirect`; a session to everybody.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<(String, HeaderMap)>>> = Arc::default();
        let keep = seen.clone();
        let routes = axum::Router::new().fallback(move |request: Request| {
            keep.lock().unwrap().push((request.method().to_string(), request.headers().clone()));
            std::future::ready(answer(request.uri().path()))
        });
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, seen, serving }
    }

    pub(super) fn seen(&self) -> Vec<(String, HeaderMap)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer(path: &str) -> Response {
    let mut parts = path.trim_matches('/').split('/');
    let (what, count) = (parts.next().unwrap(), parts.next().and_then(|count| count.parse().ok()).unwrap_or(0_usize));
    let mut headers = HeaderMap::new();
    headers.insert("set-cookie", "session=secret".parse().unwrap());
    match what {
        "headers" => (0..count).for_each(|index| {
            headers.insert(hyper::header::HeaderName::try_from(format!("x-{index}")).unwrap(), "a".parse().unwrap());
        }),
        "redirect" => {
            headers.insert("location", "http://169.254.169.254/latest/meta-data/".parse().unwrap());
            return (StatusCode::FOUND, headers, String::new()).into_response();
        }
        "header-bytes" => drop(headers.insert("x-long", "a".repeat(count).parse().unwrap())),
        _ => {}
    }
    let body = if what == "body" { "a".repeat(count) } else { String::new() };
    (StatusCode::OK, headers, body).into_response()
}

pub(super) fn refused(outcome: &RequestOutcome) -> &str {
    match outcome {
        RequestOutcome::Refused(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn failed(outcome: &RequestOutcome) -> &str {
    match outcome {
        RequestOutcome::Failed(why) => why,
        other => panic!("it did not fail: {other:?}"),
    }
}

// --- the egress wall ---

#[tokio::test]
async fn what_an_export_may_send_is_its_own_and_the_manifests_choice() {
    let border = Border::new("{}").await;
    // Who sends what, and the refusal; none goes through.
    let cases: [(Call, &str, Option<&str>); 12] = [
        (Call::Receive, "GET", Some("`receive` may not send GET")),
        (Call::Receive, "POST", Some("`receive` may not send POST")),
        (Call::Poll, "POST", Some("`poll` may not send POST")),
        (Call::Find, "POST", Some("`find` may not send POST")),
        (Call::Check, "POST", Some("`check` may not send POST")),
        (Call::Check, "DELETE", Some("`check` may not send DELETE")),
        (Call::Deliver, "PUT", Some("PUT is not declared")),
        (Call::Deliver, "BREW", Some("BREW is not declared")),
        // HEAD has no effect, but the manifest does not name it.
        (Call::Find, "HEAD", Some("HEAD is not declared")),
        (Call::Find, "GET", None),
        (Call::Poll, "GET", None),
        (Call::Deliver, "POST", None),
    ];
    for (call, method, refusal) in cases {
        let before = border.target.seen().len();
        let (told, outcome) = border.send(call, &[("method", method)]).await;
        let arrived = border.target.seen().len() - before;
        match refusal {
            Some(why) => {
                assert!(refused(&outcome).contains(why), "{call} {method}: {outcome:?}");
                assert_eq!((told.contains("HttpRequestDenied"), arrived), (true, 0), "{call} {method}: {told}");
            }
            None => assert_eq!((told.contains("answered 200"), arrived), (true, 1), "{call} {method}: {told}"),
        }
    }
}

#[tokio::test]
async fn credentials_are_the_hosts_in_both_directions() {
    let border = Border::new("{}").await;
    let others = ["X-HTTP-Method-Override", "x-http-method", "x-original-url", "x-rewrite-url", "x-forwarded-host"];
    for header in ["authorization", "Authorization", "cookie", "host", "proxy-authorization"].iter().chain(&others) {
        let send = [("act", "send"), ("method", "POST"), ("path", "/"), ("header", header), ("header-value", "guest")];
        let told = border.try_act(&send).await.unwrap();
        assert!(told.starts_with("header: ") && told.contains("Forbidden"), "{header}: {told}");
    }
    assert!(border.target.seen().is_empty());

    let (told, _) = border.send(Call::Deliver, &[("method", "POST"), ("header", "x-a"), ("header-value", "b")]).await;
    let seen = border.target.seen().remove(0).1;
    assert_eq!((&seen["authorization"], &seen["x-a"]), (&"the host's".parse().unwrap(), &"b".parse().unwrap()));
    assert!(told.contains("answered 200") && !told.contains("cookie"), "{told}");
}

#[tokio::test]
async fn a_url_is_recorded_so_it_is_short() {
    let border = Border::new("{}").await;
    let fixed = format!("http://{}", border.target.address).len();
    for (length, fits) in [(4096, true), (4097, false)] {
        let bytes = (length - fixed).to_string();
        let (told, outcome) = border.send(Call::Deliver, &[("method", "POST"), ("bytes", &bytes)]).await;
        assert_eq!(told.contains("answered 200"), fits, "{length}: {told}");
        assert!(fits || refused(&outcome).contains("more than 4096 bytes"), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_has_few_and_short_headers() {
    let border = Border::new("{}").await;
    // The target adds four, of which the guest sees three: not the session.
    for (path, headers) in [("/headers/60", Some(63)), ("/headers/61", None)] {
        let (told, outcome) = border.send(Call::Find, &[("method", "GET"), ("path", path)]).await;
        match headers {
            Some(count) => assert!(told.contains(&format!("{count} headers")), "{told}"),
            None => assert!(failed(&outcome).contains("exchange broke off"), "{outcome:?}"),
        }
    }
    for (path, fits) in [("/header-bytes/16000", true), ("/header-bytes/16384", false)] {
        let (told, outcome) = border.send(Call::Find, &[("method", "GET"), ("path", path)]).await;
        assert_eq!(told.contains("answered 200"), fits, "{path}: {told} {outcome:?}");
    }
}

// --- connections that stay open ---

/// How a target ends its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Never,
    /// It says so with each answer.
    AfterEachAnswer,
    /// It reads the second request and hangs up.
    UnderTheSecondRequest,
}

/// A target that answers every request and counts its connections.
async fn counting(ends: Ends) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut answered = 0;
                let mut read = Vec::new();
                loop {
                    let mut some = [0; 1024];
                    let count = stream.read(&mut some).await.unwrap_or(0);
                    read.extend_from_slice(&some[..count]);
                    if count == 0 {
                        return;
                    }
                    if !read.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    read.clear();
                    if ends == Ends::UnderTheSecondRequest && answered == 1 {
                        return;
                    }
                    let close = if ends == Ends::AfterEachAnswer { "connection: close\r\n" } else { "" };
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{close}\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    answered += 1;
                    if ends == Ends::AfterEachAnswer {
                        return;
                    }
                }
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_connection_stays_open_for_the_next_call_unless_the_target_closes_it() {
    for (ends, expected) in [(Ends::Never, 1), (Ends::AfterEachAnswer, 3)] {
        let mut border = Border::new("{}").await;
        let (address, connections) = counting(ends).await;
        border.target.address = address;
        for _ in 0..3 {
            let (told, outcome) = border.send(Call::Find, &[("method", "GET")]).await;
            assert!(told.contains("answered 200"), "{ends:?}: {told} {outcome:?}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), expected, "{ends:?}");
    }
}

#[tokio::test]
async fn a_request_that_went_out_over_a_kept_connection_is_in_doubt_when_it_breaks() {
    let mut border = Border::new("{}").await;
    let (address, connections) = counting(Ends::UnderTheSecondRequest).await;
    border.target.address = address;
    border.send(Call::Find, &[("method", "GET")]).await;
    let (_, outcome) = border.send(Call::Find, &[("method", "GET")]).await;
    assert!(failed(&outcome).contains("exchange broke off"), "{outcome:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "it was not sent a second time");
}

// --- what the host keeps for a guest ---

#[tokio::test]
async fn requests_that_nobody_sends_hold_little_of_the_host() {
    let border = Border::new("{}").await;
    let keep = async |part: &str, count: &str, bytes: &str| {
        border.try_act(&[("act", "keep"), ("part", part), ("count", count), ("bytes", bytes)]).await
    };
    for (part, fits, beyond) in [
        ("method", "32", "33"),
        ("scheme", "32", "33"),
        ("authority", "4096", "4097"),
        ("path", "4096", "4097"),
        ("authority", "4096", "1000000"),
    ] {
        assert_eq!(keep(part, "3", fits).await.unwrap(), "3", "{part} of {fits} bytes");
        assert_eq!(keep(part, "3", beyond).await.unwrap(), "0", "{part} of {beyond} bytes");
    }
}

#[tokio::test]
async fn all_exchanges_of_a_call_together_are_bounded() {
    let border = Border::new(r#"{"http_bytes": 100000}"#).await;
    // Texts of requests that are never sent.
    let keep = [("act", "keep"), ("part", "authority"), ("count", "25"), ("bytes", "4096")];
    let failure = border.try_act(&keep).await.unwrap_err();
    assert_eq!(failure, CallFailure::TooLarge { what: "HTTP bytes", found: 25 * 4096, allowed: 100_000 });

    // Bodies that would fit one by one: three go, the fourth is refused.
    let send = |path: &'static str, body: &'static str| {
        [("act", "send"), ("method", "POST"), ("path", path), ("body", body), ("count", "4")]
    };
    let (told, crossing) = border.act(Call::Deliver, &send("/", "32768")).await;
    assert!(told.unwrap().contains("HttpRequestBodySize"));
    let ended: Vec<bool> =
        crossing.requests.iter().map(|request| matches!(request.outcome, RequestOutcome::Answered { .. })).collect();
    assert_eq!(ended, [true, true, true, false]);
    assert!(refused(&crossing.requests[3].outcome).contains("100000"), "{:?}", crossing.requests[3]);

    // The same with answers.
    let (told, crossing) = border.act(Call::Deliver, &send("/body/32768", "0")).await;
    assert!(told.unwrap().contains("HttpResponseBodySize"));
    assert!(failed(&crossing.requests[3].outcome).contains("100000"), "{:?}", crossing.requests[3]);
}

#[tokio::test]
async fn a_body_without_an_end_is_refused_in_either_direction() {
    let border = Border::new(r#"{"http_request_bytes": 10000, "http_response_bytes": 10000}"#).await;
    let (told, outcome) = border.send(Call::Deliver, &[("method", "POST"), ("body", "1000000")]).await;
    assert!(told.contains("HttpRequestBodySize") && refused(&outcome).contains("10000"), "{told}: {outcome:?}");
    assert!(border.target.seen().is_empty());
    for (path, fits) in [("/body/10000", true), ("/body/10001", false)] {
        let (told, outcome) = border.send(Call::Deliver, &[("method", "POST"), ("path", path)]).await;
        assert_eq!(told.contains("answered 200 with 10000 bytes"), fits, "{path}: {told}");
        assert!(fits || failed(&outcome).contains("10000"), "{outcome:?}");
    }
}

#[tokio::test]
async fn headers_of_a_request_are_bounded() {
    let border = Border::new("{}").await;
    let fields = |count| [("act", "fields"), ("count", count), ("bytes", "1000")];
    assert_eq!(border.try_act(&fields("12")).await.unwrap(), "taken");
    let failure = border.try_act(&fields("20")).await.unwrap_err();
    assert!(
        matches!(failure, CallFailure::TooLarge { what: "bytes of HTTP headers", allowed: 16_384, .. }),
        "{failure}"
    );
}

#[tokio::test]
async fn requests_handles_and_numbers_are_counted() {
    let border = Border::new("{}").await;
    let (told, crossing) =
        border.act(Call::Deliver, &[("act", "send"), ("method", "POST"), ("path", "/"), ("count", "33")]).await;
    assert_eq!(told.unwrap(), "ErrorCode::ConnectionLimitReached");
    assert_eq!((crossing.requests.len(), border.target.seen().len()), (32, 32));

    for (act, fits, beyond, what, allowed) in [
        ("handles", "1000", "1100", "handles", Limits::DEFAULT.handles),
        ("numbers", "64", "65", "numbers", Limits::DEFAULT.numbers),
    ] {
        assert_eq!(border.try_act(&[("act", act), ("count", fits)]).await.unwrap(), fits);
        let (told, crossing) = border.act(Call::Receive, &[("act", act), ("count", beyond)]).await;
        let failure = told.unwrap_err();
        assert_eq!(failure, CallFailure::TooLarge { what, found: allowed + 1, allowed });
        assert!(u64::try_from(crossing.numbers.len()).unwrap() <= Limits::DEFAULT.numbers);
    }
}

#[tokio::test]
async fn state_is_small_and_belongs_to_a_call_that_ended_well() {
    let border = Border::new("{}").await;
    for (count, key_bytes, bytes, refusal) in [
        ("64", "256", "100", None),
        ("1", "8", "65536", None),
        ("1", "257", "1", Some("the key has 257 bytes; at most 256")),
        ("1", "8", "65537", Some("the value has 65537 bytes; at most 65536")),
        ("65", "8", "1", Some("there may be 64 keys")),
        ("4", "8", "65536", Some("all keys and values have 262176 bytes; at most 262144")),
    ] {
        let act = [("act", "keys"), ("count", count), ("key-bytes", key_bytes), ("bytes", bytes)];
        let (told, crossing) = border.act(Call::Deliver, &act).await;
        let told = told.unwrap();
        match refusal {
            Some(why) => assert!(told.contains(why), "{told}"),
            None => assert_eq!((told.as_str(), crossing.kv_writes.len().to_string()), ("taken", count.to_owned())),
        }
        assert!(crossing.kv_writes.len() <= 64);
    }

    let (told, crossing) = border.act(Call::Deliver, &[("act", "write-and-trap")]).await;
    assert!(matches!(told, Err(CallFailure::Trap { .. })), "{told:?}");
    assert!(crossing.kv_writes.is_empty());
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_and_counted() {
    let border = Border::new("{}").await;
    let (told, crossing) = border.act(Call::Deliver, &[("act", "log"), ("count", "1000"), ("bytes", "100")]).await;
    assert_eq!((told.unwrap().as_str(), crossing.logs.len(), crossing.logs_dropped), ("written", 100, 900));

    let (_, crossing) = border.act(Call::Deliver, &[("act", "log"), ("bytes", "4000")]).await;
    assert_eq!(crossing.logs[0].message.len(), LOG_LINE_BYTES_MAX);
}

#[tokio::test]
async fn a_flood_of_long_lines_is_cut_and_counted() {
    let border = Border::new(r#"{"log_bytes": 5000}"#).await;
    let (told, crossing) = border.act(Call::Deliver, &[("act", "log"), ("count", "10"), ("bytes", "2000")]).await;
    assert_eq!((told.unwrap().as_str(), crossing.logs.len(), crossing.logs_dropped), ("written", 2, 8));
}

#[tokio::test]
async fn nothing_that_a_guest_remembers_reaches_the_next_call() {
    let border = Border::new("{}").await;
    for _ in 0..3 {
        assert_eq!(border.try_act(&[("act", "remember")]).await.unwrap(), "1");
    }
}

#[tokio::test]
async fn a_document_of_a_kind_that_is_not_declared_breaks_the_contract() {
    let border = Border::new("{}").await;
    for call in [Call::Receive, Call::Poll] {
        let (told, _) = border.act(call, &[("act", "remember"), ("kind", "some/kind")]).await;
        assert_eq!(told.unwrap(), "1");
        let (told, _) = border.act(call, &[("act", "remember"), ("kind", "bank/payment")]).await;
        let Err(CallFailure::ContractViolation { message }) = told else { panic!("{call}: {told:?}") };
        assert!(message.contains("`bank/payment` in `handles.receives`"), "{message}");
    }

    // And a message of another kind is not even given to it.
    let mut delivery = delivery(Vec::new());
    delivery.message.kind = "bank/payment".to_owned();
    let crossed = border.plugin.deliver(&border.context(), &delivery).await;
    let failure = crossed.outcome.unwrap_err().failure;
    assert!(failure.to_string().contains("`handles.delivers`"), "{failure}");
}

#[tokio::test]
async fn an_envelope_that_points_beyond_or_into_another_breaks_the_contract() {
    let border = Border::new("{}").await;
    // The input is empty, the reply is one byte.
    for (setting, spans, fits) in [
        ("answers", "0+1", true),
        ("answers", "0+0 0+1 1+0", true),
        ("answers", "0+2", false),
        ("answers", "2+0", false),
        ("answers", "0+1 0+1", false),
        ("answers", "18446744073709551615+2", false),
        ("parts", "0+0", true),
        ("parts", "0+1", false),
        ("parts", "1+18446744073709551615", false),
    ] {
        let (told, _) = border.act(Call::Receive, &[("act", "remember"), (setting, spans)]).await;
        match told {
            Ok(_) => assert!(fits, "{setting} {spans}"),
            Err(CallFailure::ContractViolation { message }) => {
                assert!(
                    !fits && message.starts_with(&format!("`envelopes.{}`", setting.trim_end_matches('s'))),
                    "{message}"
                );
            }
            Err(other) => panic!("{setting} {spans}: {other}"),
        }
    }
}
