//! Hostile guests: each ends in its typed failure, its order in an exception, and
//! the orders beside it go on as if nothing had happened.
//!
//! The guests are real components (`tests/guests`); they run as scorers of a
//! channel of their own, next to the demo's channel with well-behaved plugins. `road`
//! has those that no compiler writes, `loading` those that do not get as far as a call,
//! `connector` one connector's attacks at the border, `limits` the table of who tries
//! which limit, and `data` what senders write instead.

mod connector;

pub(crate) mod shell;

mod road;

mod loading;

mod limits;

mod artifact;
mod data;

mod client_certificate;
mod credential;
mod csrf;

mod egress;

mod state;

use portreeve_model::advice::{CustomerHistory, ScoringRequest};
use portreeve_model::{Event, Order, PluginName};
use portreeve_pipeline::Credential;
use portreeve_sandbox::{Call, CallContext, CallFailure, TimeLimit};
use portreeve_store::contract::OrderState;

use crate::support::{EDI_TOKEN, MORNING, PurchaseOrder, Setup, TestHost, say, x12};

/// The demo's host with one more channel, whose orders the guest scores.
fn beside(guest: &str, grant: &str) -> Setup {
    let channel = format!(
        r#"
[[channel]]
id = "hostile"
connector = "x12"
documents = {{ "x12/850" = "x12-orders" }}
scorers = ["{guest}", "margin"]
target = "erp"
exception_queue = "integration"
settings = {{ currency = "USD" }}

[[sender]]
channel = "hostile"
id = "edi-gateway"
token_sha256 = "${{EDI_TOKEN_SHA256}}"
"#
    );
    Setup::demo().plugin(guest, grant).append("portreeve.toml", &channel)
}

/// Runs one order past the guest and others past the well-behaved scorers, in one
/// batch, and calls the guest once directly for the failure with its numbers.
async fn check(guest: &str, grant: &str, code: &str) -> CallFailure {
    let host = beside(guest, grant).start().await;
    for number in 1..=3_u32 {
        let order = PurchaseOrder::clean(&format!("GOOD-{number}"));
        host.send_edi(&x12(number, &order)).await.unwrap();
    }
    let order = PurchaseOrder::clean("HOSTILE-1");
    host.send("hostile", Credential::Bearer(EDI_TOKEN), &x12(9, &order)).await.unwrap();
    for number in 4..=6_u32 {
        let order = PurchaseOrder::clean(&format!("GOOD-{number}"));
        host.send_edi(&x12(number, &order)).await.unwrap();
    }
    host.decide_all().await;
    host.deliver_all().await;

    // Its order waits for a person, with the failure and the other scorer's advice on record.
    let order = host.order("HOSTILE-1").await;
    assert_eq!(order.state, OrderState::Exception, "{}", order.why);
    assert!(order.deliveries.is_empty());
    let decision = host.decision(&order).await;
    let failures: Vec<Option<&str>> = decision.scorings.iter().map(|scoring| scoring.failure.as_deref()).collect();
    assert_eq!(failures, [Some(code), None]);
    let exceptions = host.exceptions().await;
    let exception = exceptions.iter().find(|exception| exception.order == Some(order.id)).unwrap();
    assert_eq!(exception.code, format!("scorer-{code}"));
    assert!(exception.detail.contains(guest), "{}", exception.detail);

    // The others went all the way, and the log holds both.
    assert_eq!(host.erp.sales_orders().len(), 6);
    assert_eq!(host.count(OrderState::Released).await, 6);
    host.verify().await.unwrap();

    let failure = called(&host, guest).await;
    say(&format!("{guest}: {failure}"));
    failure
}

/// The guest's failure with its numbers; it names plugin and call.
async fn called(host: &TestHost, guest: &str) -> CallFailure {
    let active = host.host.pipeline.plugins.now();
    let installed = active.installed(&PluginName::parse(guest).unwrap()).unwrap();
    let crossed = installed.plugin.score(&CallContext::with_nothing(MORNING), &scoring_request(host).await).await;
    let error = crossed.outcome.unwrap_err();
    assert_eq!((error.plugin.as_str(), error.call), (guest, Call::Score));
    error.failure
}

async fn scoring_request(host: &TestHost) -> ScoringRequest {
    let order = host.order("GOOD-1").await;
    let event = host.store.payload(order.event).await.unwrap();
    let Event::OrderCreated(order) = Event::from_json(&event).unwrap() else { panic!("not an order") };
    scoring(order)
}

fn scoring(order: Order) -> ScoringRequest {
    let history = CustomerHistory {
        orders_1h: 0,
        orders_24h: 0,
        orders_30d: 0,
        value_24h_minor: 0,
        value_30d_minor: 0,
        largest_30d_minor: 0,
        first_order_at: None,
        ship_to_places_30d: 0,
        ship_to_known: true,
    };
    ScoringRequest { order, received_at: MORNING, history, seed: 7, extensions: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_runs_out_of_fuel() {
    let failure = check("endless-loop", "{ limits = { fuel = 20000000 } }", "out-of-time").await;
    assert!(matches!(failure, CallFailure::OutOfTime { limit: TimeLimit::Fuel, allowed: 20_000_000, .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_growth_names_what_was_asked_and_what_is_allowed() {
    let failure = check("memory-growth", "{ limits = { memory_bytes = 8388608 } }", "out-of-memory").await;
    let CallFailure::OutOfMemory { asked_bytes, allowed_bytes } = failure else { panic!("{failure}") };
    assert_eq!(allowed_bytes, 8_388_608);
    assert!(asked_bytes > allowed_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_overflows_its_own_stack_only() {
    let failure = check("deep-recursion", "{}", "stack-overflow").await;
    assert!(matches!(failure, CallFailure::StackOverflow { .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_no_outcome() {
    let failure = check("trap", "{}", "trap").await;
    let CallFailure::Trap { message } = failure else { panic!("{failure}") };
    assert!(!message.contains(".rs") && !message.contains('/'), "a path in `{message}`");
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_output_is_stopped_while_it_is_read() {
    let failure = check("huge-output", "{}", "too-large").await;
    assert!(matches!(failure, CallFailure::TooLarge { found, allowed, .. } if found > allowed), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_calls_in_a_loop_are_counted() {
    let grant = "{ log = true, lookup = [\"customer\"], limits = { host_calls = 500 } }";
    let failure = check("host-call-loop", grant, "too-large").await;
    assert!(matches!(failure, CallFailure::TooLarge { what: "host calls", allowed: 500, .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_import_is_refused_before_the_first_call() {
    // Even with the platform team's grant: what is not declared is not had.
    for grant in ["{}", "{ lookup = [\"customer\"] }"] {
        let error = beside("undeclared-import", grant).try_start().await.err().unwrap();
        let message = format!("{error:#}");
        for part in ["undeclared-import", "portreeve:plugin/lookup", "import"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_import_that_was_not_granted_is_refused_with_what_would_allow_it() {
    let error = beside("host-call-loop", "{ log = true }").try_start().await.err().unwrap();
    let message = format!("{error:#}");
    assert!(message.contains("`lookup` of `customer`") && message.contains("would allow it"), "{message}");
}
