//! Invariant 3: the guest is an adversary, and a knob that does not bind is a
//! defect. For every limit that a grant can name, a well-behaved plugin gets less
//! than it needs, and the failure names that number. What hostile guests try is in
//! `hostile`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use portreeve::host::Locations;
use portreeve_model::advice::ScoringRequest;
use portreeve_model::document::{Delivery, Inbound, Message, Setting};
use portreeve_model::reference::Row;
use portreeve_model::{Event, PluginName, SenderId};
use portreeve_registry::{CodeCache, InstallError, Installed, PlatformGrant, Registry};
use portreeve_sandbox::{
    CallContext, CallFailure, Crossing, Egress, EgressRefused, EgressRequest, Ended, Kv, LimitChoices, Lookup,
    LookupError, Numbers, NumbersError, Passage, Permitted, RequestOutcome, Sandbox, SandboxOptions, Signature,
    TimeLimit, ToSign,
};

use crate::support::{MORNING, PurchaseOrder, ScriptedTarget, Setup, TestHost, component, install, tree, x12_of};

/// The file that `artifact-prier` reads, and the digest that its manifest names.
const MODEL: &[u8] = b"the model of the tests";
const MODEL_DIGEST: &str = "sha256:846f9135add0a085d8f1142876db7953cc2675860d753abc19748dfe439aa53d";

/// Who is called with too little.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// `well-behaved` scores an order of two lines: one log line, one look-up.
    Score,
    /// `x12` reads an interchange of four thousand orders.
    Receive,
    /// `erp-rest` delivers to a target that answers.
    Deliver,
    /// `erp-rest` delivers to a target that never does.
    DeliverToNobody,
    /// `erp-rest` delivers to a target whose name nobody resolves.
    DeliverToNowhere,
    /// `hostile-connector` remembers three keys of eight bytes with ten bytes each.
    Remember,
    /// The host reads the model file of `artifact-prier`.
    Model,
}

/// What too little of something looks like.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The call fails with this limit and this number.
    OutOfTime(TimeLimit),
    /// The call does not begin.
    Busy,
    TooOften,
    TooLarge(&'static str),
    /// The call goes on: what is too much is dropped, and counted.
    LogsDropped,
    /// The guest is told and reports it; there is no request.
    NoRequest,
    /// The guest is told and reports it; the request's record names the number.
    RequestFails,
    /// The guest is told, and not all that it wrote is kept.
    WritesRefused,
    /// The host does not start, and says the number.
    NotStarted,
}

/// Every limit with a value that is too small for the probe.
const CASES: &[(&str, u64, Probe, Expected)] = &[
    // The plugin begins with more.
    ("memory_bytes", 65_536, Probe::Score, Expected::NotStarted),
    ("table_elements", 0, Probe::Score, Expected::NotStarted),
    ("instances", 1, Probe::Score, Expected::NotStarted),
    ("fuel", 1_000, Probe::Score, Expected::OutOfTime(TimeLimit::Fuel)),
    ("cpu_ms", 2, Probe::Receive, Expected::OutOfTime(TimeLimit::Cpu)),
    // The guest hears a twentieth before its call would end, which has to be enough for it on
    // a busy machine, too.
    ("wall_ms", 1_000, Probe::DeliverToNobody, Expected::RequestFails),
    ("host_calls", 1, Probe::Score, Expected::TooLarge("host calls")),
    ("calls_at_once", 0, Probe::Score, Expected::Busy),
    ("calls_per_second", 0, Probe::Score, Expected::TooOften),
    ("host_call_bytes", 5, Probe::Score, Expected::TooLarge("bytes of host calls")),
    ("log_lines", 0, Probe::Score, Expected::LogsDropped),
    ("log_bytes", 5, Probe::Score, Expected::LogsDropped),
    ("output_bytes", 10, Probe::Score, Expected::TooLarge("output bytes")),
    ("output_items", 1, Probe::Score, Expected::TooLarge("output items")),
    ("handles", 1, Probe::Deliver, Expected::TooLarge("handles")),
    ("numbers", 1, Probe::Receive, Expected::TooLarge("numbers")),
    ("kv_keys", 2, Probe::Remember, Expected::WritesRefused),
    ("kv_value_bytes", 9, Probe::Remember, Expected::WritesRefused),
    ("kv_bytes", 40, Probe::Remember, Expected::WritesRefused),
    ("artifact_bytes", 5, Probe::Model, Expected::NotStarted),
    ("http_header_bytes", 5, Probe::Deliver, Expected::TooLarge("bytes of HTTP headers")),
    ("http_connect_ms", 50, Probe::DeliverToNowhere, Expected::RequestFails),
    ("http_total_ms", 50, Probe::DeliverToNobody, Expected::RequestFails),
    ("http_bytes", 50, Probe::Deliver, Expected::RequestFails),
    ("http_requests", 0, Probe::Deliver, Expected::NoRequest),
    ("http_request_bytes", 5, Probe::Deliver, Expected::RequestFails),
    ("http_response_bytes", 5, Probe::Deliver, Expected::RequestFails),
];

#[test]
fn invariant_3_the_guest_is_an_adversary_no_limit_is_without_its_case() {
    let choices = serde_json::to_value(LimitChoices::default()).unwrap();
    let limits: BTreeSet<String> = choices.as_object().unwrap().keys().cloned().collect();
    let cases: BTreeSet<String> = CASES.iter().map(|(limit, ..)| (*limit).to_owned()).collect();
    assert_eq!(limits, cases);
}

#[tokio::test]
async fn invariant_3_the_guest_is_an_adversary_every_limit_of_a_grant_binds() {
    let bench = Bench::new().await;
    let mut wrong = Vec::new();
    for (limit, value, probe, expected) in CASES {
        let outcome = bench.run(*probe, Some((limit, *value))).await;
        if !judge(&outcome, *value, *expected) {
            wrong.push(format!("`{limit}` of {value}: expected {expected:?}, found {outcome:?}"));
        }
        // The same call without that grant works, so it was this limit that bound.
        if !matches!(probe, Probe::DeliverToNobody | Probe::DeliverToNowhere) {
            let outcome = bench.run(*probe, None).await;
            assert!(matches!(&outcome, Outcome::Done { ok: true, logs_dropped: 0, .. }), "{probe:?}: {outcome:?}");
            let requests = matches!(&outcome, Outcome::Done { requests, .. } if requests.len() == 1);
            assert_eq!(requests, matches!(probe, Probe::Deliver), "{outcome:?}");
            let writes = matches!(&outcome, Outcome::Done { writes: 3, .. });
            assert_eq!(writes, matches!(probe, Probe::Remember), "{outcome:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn invariant_3_the_guest_is_an_adversary_a_limit_that_nobody_knows_is_refused() {
    let setup = Setup::demo().plugin("well-behaved", "{ log = true, lookup = [\"customer\"], limits = { fule = 5 } }");
    let refused = setup.try_start().await.err().unwrap().to_string();
    assert!(refused.contains("fule"), "{refused}");

    let manifest = std::fs::read_to_string(tree().root().join("tests/guests/well-behaved/plugin.toml")).unwrap();
    portreeve_registry::Manifest::parse(&manifest).unwrap();
    let refused = portreeve_registry::Manifest::parse(&format!("{manifest}\n[limits]\nmemory = 5\n")).unwrap_err();
    assert!(refused.to_string().contains("memory"), "{refused}");
}

/// What a probe came to.
#[derive(Debug)]
enum Outcome {
    /// The guest returned; whether it reported success.
    Done {
        ok: bool,
        logs_dropped: u64,
        requests: Vec<RequestOutcome>,
        writes: usize,
    },
    Failed(CallFailure),
    NotStarted(String),
}

fn judge(outcome: &Outcome, value: u64, expected: Expected) -> bool {
    match (expected, outcome) {
        (Expected::LogsDropped, Outcome::Done { ok, logs_dropped, .. }) => *ok && *logs_dropped == 1,
        (Expected::WritesRefused, Outcome::Done { ok: true, writes, .. }) => *writes < 3,
        (Expected::NotStarted, Outcome::NotStarted(why)) => why.contains(&value.to_string()),
        (Expected::NoRequest, Outcome::Done { ok: false, requests, .. }) => requests.is_empty(),
        (Expected::RequestFails, Outcome::Done { ok: false, requests, .. }) => matches!(
            requests.as_slice(),
            [RequestOutcome::Refused(why) | RequestOutcome::Failed(why)] if why.contains(&value.to_string())
        ),
        (Expected::OutOfTime(clock), Outcome::Failed(CallFailure::OutOfTime { limit, allowed, .. })) => {
            *limit == clock && *allowed == value
        }
        (Expected::Busy, Outcome::Failed(CallFailure::Busy { .. })) => true,
        (Expected::TooOften, Outcome::Failed(CallFailure::TooOften { allowed_per_second })) => {
            *allowed_per_second == value
        }
        (Expected::TooLarge(of), Outcome::Failed(CallFailure::TooLarge { what, found, allowed })) => {
            *what == of && *allowed == value && *found > value
        }
        _ => false,
    }
}

/// Everything that the probes need.
struct Bench {
    registry: Registry,
    request: ScoringRequest,
    interchange: Vec<u8>,
    target: ScriptedTarget,
    nobody: ScriptedTarget,
}

impl Bench {
    async fn new() -> Self {
        let host = TestHost::demo().await;
        let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await.remove(0);
        let record = host.decision(&order).await;
        let event = Event::from_json(&host.store.payload(order.event).await.unwrap()).unwrap();
        let Event::OrderCreated(order) = event else { panic!("{event:?}") };
        let request = ScoringRequest {
            order,
            received_at: MORNING,
            history: record.history.unwrap(),
            seed: 1,
            extensions: Vec::new(),
        };
        let orders: Vec<_> = (0..4_000).map(|number| PurchaseOrder::clean(&format!("PO-{number}"))).collect();
        let shared = Locations::below(host.folder(), &tree().target().join("portreeve"));
        let cache = CodeCache::open(&shared.cache, &shared.cache_key).unwrap();
        Self {
            registry: Registry::new(Sandbox::new(SandboxOptions::default()).unwrap(), cache),
            request,
            interchange: x12_of(1, &orders),
            target: ScriptedTarget::start(|_, _| async { (201, r#"{"id":"1","number":"S-1"}"#.to_owned()) }).await,
            nobody: ScriptedTarget::start(|_, _| std::future::pending()).await,
        }
    }

    async fn run(&self, probe: Probe, limit: Option<(&str, u64)>) -> Outcome {
        let installed = match self.install(probe, limit) {
            Ok(installed) => installed,
            Err(refused) => return Outcome::NotStarted(refused.to_string()),
        };
        match probe {
            Probe::Score => outcome(installed.plugin.score(&context(None), &self.request).await),
            Probe::Receive => outcome(installed.plugin.receive(&context(None), &inbound(&self.interchange)).await),
            Probe::Deliver => deliver(&installed, &self.target).await,
            Probe::DeliverToNobody => deliver(&installed, &self.nobody).await,
            Probe::DeliverToNowhere => {
                let mut context = context(None);
                context.egress = Arc::new(Open);
                deliver_within(&installed, &self.target, &context).await
            }
            Probe::Remember => {
                let mut context = context(None);
                context.kv = Arc::new(Open);
                let setting = |(name, value): (&str, &str)| Setting { name: name.to_owned(), value: value.to_owned() };
                let settings = [("act", "keys"), ("count", "3"), ("bytes", "10")].map(setting).to_vec();
                outcome(installed.plugin.deliver(&context, &delivery("some/kind", settings)).await)
            }
            Probe::Model => {
                let folder = tempfile::tempdir().unwrap();
                let name = MODEL_DIGEST.trim_start_matches("sha256:");
                std::fs::write(folder.path().join(name), MODEL).unwrap();
                let plugins = std::collections::BTreeMap::from([(installed.plugin.spec().name.clone(), installed)]);
                match portreeve::models::ModelFiles::default().next(Some(folder.path()), &plugins) {
                    Ok(_) => Outcome::Done { ok: true, logs_dropped: 0, requests: Vec::new(), writes: 0 },
                    Err(error) => Outcome::NotStarted(format!("{error:#}")),
                }
            }
        }
    }

    fn install(&self, probe: Probe, limit: Option<(&str, u64)>) -> Result<Installed, InstallError> {
        let (name, acts) = match probe {
            Probe::Score => ("well-behaved", serde_json::json!({"log": true, "lookup": ["customer"]})),
            Probe::Receive => ("x12", serde_json::json!({"numbers": ["x12-interchange", "x12-group"]})),
            Probe::Deliver | Probe::DeliverToNobody | Probe::DeliverToNowhere => {
                ("erp-rest", serde_json::json!({"http": ["GET", "POST", "PATCH", "DELETE"]}))
            }
            Probe::Remember => {
                let all = serde_json::json!({"log": true, "kv": true, "numbers": ["control"], "http": ["GET", "POST"]});
                ("hostile-connector", all)
            }
            Probe::Model => ("artifact-prier", serde_json::json!({"artifact": [MODEL_DIGEST]})),
        };
        let mut grant = acts;
        if let Some((limit, value)) = limit {
            grant["limits"] = serde_json::json!({ limit: value });
        }
        let grant: PlatformGrant = serde_json::from_value(grant).unwrap();
        let bytes = std::fs::read(component(name)).unwrap();
        install(&self.registry, &PluginName::parse(name).unwrap(), &bytes, &grant)
    }
}

fn outcome<T, E>(crossed: portreeve_sandbox::Crossed<Result<T, E>>) -> Outcome {
    let Crossing { logs_dropped, requests, kv_writes, .. } = crossed.crossing;
    let writes = kv_writes.len();
    let requests = requests.into_iter().map(|request| request.outcome).collect();
    match crossed.outcome {
        Ok(returned) => Outcome::Done { ok: returned.is_ok(), logs_dropped, requests, writes },
        Err(error) => Outcome::Failed(error.failure),
    }
}

fn inbound(body: &[u8]) -> Inbound {
    Inbound {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: Vec::new(),
        body: body.to_vec(),
        received_at: MORNING,
        sender: SenderId::authenticated("edi-gateway"),
        settings: Vec::new(),
    }
}

async fn deliver(installed: &Installed, target: &ScriptedTarget) -> Outcome {
    deliver_within(installed, target, &context(Some(target))).await
}

async fn deliver_within(installed: &Installed, target: &ScriptedTarget, context: &CallContext) -> Outcome {
    let setting = |name: &str, value: &str| Setting { name: name.to_owned(), value: value.to_owned() };
    let settings = vec![setting("base-url", target.origin()), setting("company", "1")];
    outcome(installed.plugin.deliver(context, &delivery("business-central/sales-order", settings)).await)
}

fn delivery(kind: &str, settings: Vec<Setting>) -> Delivery {
    Delivery {
        message: Message {
            kind: kind.to_owned(),
            content_type: "application/json".to_owned(),
            body: b"{\"some\":\"order\"}".to_vec(),
        },
        idempotency_key: "key".to_owned(),
        natural_key: "key".to_owned(),
        attempt: 1,
        settings,
    }
}

/// A context with a table without rows, numbers without end, and one target.
fn context(target: Option<&ScriptedTarget>) -> CallContext {
    let mut context = CallContext::with_nothing(MORNING);
    context.lookup = Arc::new(Open);
    context.numbers = Arc::new(Open);
    if let Some(target) = target {
        context.egress = Arc::new(To(target.origin().trim_start_matches("http://").parse().unwrap()));
    }
    context
}

struct Open;

#[async_trait]
impl Lookup for Open {
    async fn get(&self, _table: &str, _key: &str) -> Result<Option<Arc<Row>>, LookupError> {
        Ok(None)
    }
}

#[async_trait]
impl Numbers for Open {
    async fn next(&self, _range: &str) -> Result<u64, NumbersError> {
        Ok(1)
    }
}

struct To(std::net::SocketAddr);

#[async_trait]
impl Kv for Open {
    async fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        Ok(BTreeMap::new())
    }
}

#[async_trait]
impl Egress for Open {
    async fn authorize(&self, _request: EgressRequest<'_>) -> Result<Permitted, EgressRefused> {
        std::future::pending().await
    }
}

#[async_trait]
impl Egress for To {
    async fn authorize(&self, request: EgressRequest<'_>) -> Result<Permitted, EgressRefused> {
        let authority = self.0.to_string();
        let path = request.url.split_once(&authority).map_or("/", |(_, path)| path).to_owned();
        let passage = Box::new(Open);
        Ok(Permitted { addresses: vec![self.0], path_and_query: path, authority, tls: None, tray: None, passage })
    }
}

#[async_trait]
impl Passage for Open {
    async fn sign(&self, _request: ToSign<'_>) -> Result<Signature, EgressRefused> {
        Ok(Signature::default())
    }

    async fn renew(&self, _status: u16) -> bool {
        false
    }

    fn ended(&self, _ended: Ended) {}
}
