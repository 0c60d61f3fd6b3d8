//! Invariant 3: the guest is an adversary, and a knob that does not bind is a
//! defect. For every limit that a grant can name, a well-behaved plugin gets less
//! than it needs, and the failure names that number. What hostile guests try is in
//! `hostile`.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use portreeve::host::Locations;
use portreeve_model::advice::ScoringRequest;
use portreeve_model::document::{Delivery, Inbound, Message, Setting};
use portreeve_model::reference::Row;
use portreeve_model::{Event, PluginName, SenderId};
use portreeve_registry::{CodeCache, Installed, PlatformGrant, Registry};
use portreeve_sandbox::{
    CallContext, CallFailure, Crossing, Egress, EgressRequest, LimitChoices, Lookup, LookupError, Numbers,
    NumbersError, Pinned, RequestOutcome, Sandbox, SandboxOptions, TimeLimit,
};

use crate::support::{MORNING, PurchaseOrder, ScriptedTarget, Setup, TestHost, component, install, tree, x12_of};

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
}

/// What too little of something looks like.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The call fails with this limit and this number.
    OutOfTime(TimeLimit),
    OutOfMemory,
    TooLarge(&'static str),
    /// The call goes on: what is too much is dropped, and counted.
    LogsDropped,
    /// The guest is told and reports it; there is no request.
    NoRequest,
    /// The guest is told and reports it; the request's record names the number.
    RequestFails,
}

/// Every limit with a value that is too small for the probe.
const CASES: &[(&str, u64, Probe, Expected)] = &[
    ("memory_bytes", 65_536, Probe::Score, Expected::OutOfMemory),
    ("table_elements", 0, Probe::Score, Expected::TooLarge("table elements")),
    ("instances", 1, Probe::Score, Expected::TooLarge("core instances")),
    ("fuel", 1_000, Probe::Score, Expected::OutOfTime(TimeLimit::Fuel)),
    ("cpu_ms", 2, Probe::Receive, Expected::OutOfTime(TimeLimit::Cpu)),
    ("wall_ms", 50, Probe::DeliverToNobody, Expected::OutOfTime(TimeLimit::Wall)),
    ("host_calls", 1, Probe::Score, Expected::TooLarge("host calls")),
    ("host_call_bytes", 5, Probe::Score, Expected::TooLarge("bytes of host calls")),
    ("log_lines", 0, Probe::Score, Expected::LogsDropped),
    ("log_bytes", 5, Probe::Score, Expected::LogsDropped),
    ("output_bytes", 10, Probe::Score, Expected::TooLarge("output bytes")),
    ("output_items", 1, Probe::Score, Expected::TooLarge("output items")),
    ("handles", 1, Probe::Deliver, Expected::TooLarge("handles")),
    ("numbers", 1, Probe::Receive, Expected::TooLarge("numbers")),
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
        if !matches!(probe, Probe::DeliverToNobody) {
            let outcome = bench.run(*probe, None).await;
            assert!(matches!(&outcome, Outcome::Done { ok: true, logs_dropped: 0, .. }), "{probe:?}: {outcome:?}");
            let requests = matches!(&outcome, Outcome::Done { requests, .. } if requests.len() == 1);
            assert_eq!(requests, matches!(probe, Probe::Deliver), "{outcome:?}");
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
    },
    Failed(CallFailure),
}

fn judge(outcome: &Outcome, value: u64, expected: Expected) -> bool {
    match (expected, outcome) {
        (Expected::LogsDropped, Outcome::Done { ok, logs_dropped, .. }) => *ok && *logs_dropped == 1,
        (Expected::NoRequest, Outcome::Done { ok: false, requests, .. }) => requests.is_empty(),
        (Expected::RequestFails, Outcome::Done { ok: false, requests, .. }) => matches!(
            requests.as_slice(),
            [RequestOutcome::Refused(why) | RequestOutcome::Failed(why)] if why.contains(&value.to_string())
        ),
        (Expected::OutOfTime(clock), Outcome::Failed(CallFailure::OutOfTime { limit, allowed, .. })) => {
            *limit == clock && *allowed == value
        }
        (Expected::OutOfMemory, Outcome::Failed(CallFailure::OutOfMemory { allowed_bytes, asked_bytes })) => {
            *allowed_bytes == value && *asked_bytes > value
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
        let event = Event::from_json(&host.store.payload(record.event).await.unwrap()).unwrap();
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
        let installed = self.install(probe, limit);
        match probe {
            Probe::Score => outcome(installed.plugin.score(&context(None), &self.request).await),
            Probe::Receive => outcome(installed.plugin.receive(&context(None), &inbound(&self.interchange)).await),
            Probe::Deliver => deliver(&installed, &self.target).await,
            Probe::DeliverToNobody => deliver(&installed, &self.nobody).await,
        }
    }

    fn install(&self, probe: Probe, limit: Option<(&str, u64)>) -> Installed {
        let (name, acts) = match probe {
            Probe::Score => ("well-behaved", serde_json::json!({"log": true, "lookup": ["customer"]})),
            Probe::Receive => ("x12", serde_json::json!({"numbers": ["x12-interchange", "x12-group"]})),
            Probe::Deliver | Probe::DeliverToNobody => ("erp-rest", serde_json::json!({"http": ["GET", "POST"]})),
        };
        let mut grant = acts;
        if let Some((limit, value)) = limit {
            grant["limits"] = serde_json::json!({ limit: value });
        }
        let grant: PlatformGrant = serde_json::from_value(grant).unwrap();
        let bytes = std::fs::read(component(name)).unwrap();
        install(&self.registry, &PluginName::parse(name).unwrap(), &bytes, &grant).unwrap()
    }
}

fn outcome<T, E>(crossed: portreeve_sandbox::Crossed<Result<T, E>>) -> Outcome {
    let Crossing { logs_dropped, requests, .. } = crossed.crossing;
    let requests = requests.into_iter().map(|request| request.outcome).collect();
    match crossed.outcome {
        Ok(returned) => Outcome::Done { ok: returned.is_ok(), logs_dropped, requests },
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
    let setting = |name: &str, value: &str| Setting { name: name.to_owned(), value: value.to_owned() };
    let delivery = Delivery {
        message: Message {
            kind: "business-central/sales-order".to_owned(),
            content_type: "application/json".to_owned(),
            body: b"{\"some\":\"order\"}".to_vec(),
        },
        idempotency_key: "key".to_owned(),
        natural_key: "key".to_owned(),
        attempt: 1,
        settings: vec![setting("base-url", target.origin()), setting("company", "1")],
    };
    outcome(installed.plugin.deliver(&context(Some(target)), &delivery).await)
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
impl Egress for To {
    async fn authorize(&self, _request: EgressRequest<'_>) -> Result<Pinned, String> {
        Ok(Pinned { address: self.0, headers: Vec::new() })
    }
}
