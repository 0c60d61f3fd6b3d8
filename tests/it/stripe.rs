//! Payments in the shape of Stripe: what its events become, what proves them, and refunds at
//! a processor that answers badly.

use std::collections::BTreeSet;
use std::path::Path;

use hyper::Method;
use portreeve::standins::payment::{self, Dispute, Payment, WEBHOOK_SECRET};
use portreeve::standins::{Mischief, Payments};
use portreeve_model::document::{Delivery, FindQuery, Message, Position};
use portreeve_model::event::{Refund, RefundCause, Settlement};
use portreeve_model::value::{Extension, Money};
use portreeve_model::{Currency, Document, Event, Failure, Instant, OrderId, Problem, Received, UnreadableRow};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::at_the_plugin::{Plugins, given, order_id};
use crate::support::{FrontDoor, MORNING, PurchaseOrder, ScriptedTarget, Setup, TestHost, sample, say, tree};

/// MORNING in Stripe's seconds.
const NOW_S: i64 = MORNING.0 / 1_000;

/// A day of old, as a moment: 2009-02-13T23:31:30Z. It stands in every public file.
const LONG_AGO_S: i64 = 1_234_567_890;

const ORDER: &str = "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10";

/// The demo's host with the two plugins, and refunds that go to this origin.
fn with_stripe(setup: Setup, origin: &str) -> Setup {
    let target = format!(
        "[[plugin.egress]]\norigin = \"{origin}\"\n\n[[target]]\nid = \"refunds\"\nconnector = \"stripe\"\n\
         transformer = \"stripe-events\"\nkind = \"stripe/refund\"\norigin = \"{origin}\"\n\
         exception_queue = \"integration\"\nfind = true\nsettings = {{ base-url = \"{origin}\" }}\n"
    );
    setup
        .plugin("stripe", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 85000 } }")
        .append("portreeve.toml", &target)
        .blindfolded("stripe-events")
}

/// A channel for its events, signed with the secret of a file.
fn channel(secret: &Path) -> String {
    format!(
        "\n[[sender]]\nchannel = \"payments\"\nid = \"stripe\"\nstripe_secret_file = \"{}\"\n\n[[channel]]\n\
         id = \"payments\"\nconnector = \"stripe\"\ndocuments = {{ \"stripe/event\" = \"stripe-events\" }}\n\
         target = \"erp\"\nexception_queue = \"integration\"\nsays = [\"payment.settled\", \"refund.issued\"]\n",
        secret.display()
    )
}

/// The two plugins, and the way to a processor.
struct Stripe(Plugins, String);

impl Stripe {
    async fn start() -> Self {
        Self::before("http://127.0.0.1:9").await
    }

    async fn before(origin: &str) -> Self {
        Self(Plugins::of(with_stripe(Setup::demo(), origin)).await, origin.to_owned())
    }

    async fn post(&self, body: &[u8]) -> Received {
        let json = [("content-type", "application/json; charset=utf-8")];
        self.0.answer("stripe", "POST", "", &json, body, &[]).await.unwrap()
    }

    async fn map(&self, document: &Document) -> Result<Vec<Event>, Failure> {
        self.0.map("stripe-events", document, &[]).await
    }

    /// What an event of a type about an object becomes.
    async fn told(&self, kind: &str, object: &Value) -> Result<Event, (String, String, String)> {
        let received = self.post(event(kind, object).to_string().as_bytes()).await;
        assert_eq!(received.problems, [], "{object}");
        match self.map(&received.documents[0]).await {
            Ok(mut events) if events.len() == 1 => Ok(events.remove(0)),
            Err(Failure::Invalid(mut problems)) if problems.len() == 1 => {
                let Problem { code, message, position } = problems.remove(0);
                Err((code, position.path, message))
            }
            other => panic!("{kind} of {object} became {other:?}"),
        }
    }

    async fn settled(&self, kind: &str, object: &Value) -> Settlement {
        match self.told(kind, object).await {
            Ok(Event::PaymentSettled(settlement)) => settlement,
            other => panic!("{kind} of {object} became {other:?}"),
        }
    }

    async fn refused(&self, kind: &str, object: &Value) -> (String, String) {
        let (code, path, _) = self.told(kind, object).await.unwrap_err();
        (code, path)
    }

    async fn form(&self, refund: Refund) -> Result<String, Vec<(String, String)>> {
        match self.0.rendered("stripe-events", "stripe/refund", Event::RefundIssued(refund), &[]).await {
            Ok(message) => {
                assert_eq!(message.content_type, "application/x-www-form-urlencoded");
                Ok(String::from_utf8(message.body).unwrap())
            }
            Err(Failure::Invalid(problems)) => {
                Err(problems.into_iter().map(|problem| (problem.code, problem.position.path)).collect())
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Delivers a refund under a key.
    async fn deliver(&self, key: &str, refund: Refund) -> Result<String, Failure> {
        let form = self.form(refund).await.unwrap();
        self.deliver_form(key, &form).await
    }

    async fn deliver_form(&self, key: &str, form: &str) -> Result<String, Failure> {
        let delivery = Delivery {
            message: Message {
                kind: "stripe/refund".to_owned(),
                content_type: "application/x-www-form-urlencoded".to_owned(),
                body: form.as_bytes().to_vec(),
            },
            idempotency_key: key.to_owned(),
            natural_key: format!("{}/RF-7", order_id()),
            attempt: 1,
            settings: given(&[("base-url", &self.1)]),
        };
        self.0.deliver("stripe", "refunds", &delivery).await.map(|receipt| receipt.external_id)
    }

    async fn find(&self, number: &str) -> Result<Option<String>, Failure> {
        self.find_key(&format!("{}/{number}", order_id())).await
    }

    async fn find_key(&self, natural_key: &str) -> Result<Option<String>, Failure> {
        let settings = given(&[("base-url", &self.1)]);
        let query = FindQuery { kind: "stripe/refund".to_owned(), natural_key: natural_key.to_owned(), settings };
        self.0.find("stripe", "refunds", &query).await.map(|found| found.map(|receipt| receipt.external_id))
    }
}

fn event(kind: &str, object: &Value) -> Value {
    json!({
        "id": "evt_test", "object": "event", "api_version": null, "created": LONG_AGO_S, "livemode": false,
        "pending_webhooks": 1, "type": kind, "data": {"object": object},
    })
}

/// A charge of 75.41 USD, captured.
fn charge() -> Value {
    json!({
        "id": "ch_1", "object": "charge", "status": "succeeded", "captured": true, "amount": 9_000,
        "amount_captured": 7_541, "currency": "usd", "created": LONG_AGO_S, "payment_intent": "pi_1",
        "balance_transaction": "txn_1", "metadata": {"order_id": ORDER},
    })
}

fn refund_object() -> Value {
    json!({
        "id": "re_1", "object": "refund", "status": "succeeded", "amount": 754, "currency": "usd",
        "created": LONG_AGO_S, "charge": "ch_1", "payment_intent": "pi_1",
        "metadata": {"order_id": ORDER, "refund_number": "RF-7", "cause": "goods-return", "return_number": "RMA-3"},
    })
}

fn dispute_object() -> Value {
    json!({
        "id": "dp_1", "object": "dispute", "status": "needs_response", "amount": 2_500, "currency": "usd",
        "charge": "ch_1", "metadata": {"order_id": ORDER}, "balance_transactions": [],
    })
}

/// The object with another value at a place.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: Currency::parse(currency).unwrap() }
}

/// A refund of a payment.
fn refund(of: &[(&str, &str)], amount: Money) -> Refund {
    let extension = |(name, value): &(&str, &str)| Extension { name: (*name).into(), value: (*value).into() };
    Refund {
        refund_number: "RF-7".to_owned(),
        order_number: ORDER.to_owned(),
        cause: RefundCause::GoodsReturn,
        return_number: Some("RMA-3".to_owned()),
        amount,
        issued_at: None,
        extensions: of.iter().map(extension).collect(),
    }
}

fn refund_of(payment: &Payment, amount: i64) -> Refund {
    refund(&[("stripe:payment-intent", &payment.payment_intent)], money(amount, "USD"))
}

fn problem(failure: Failure) -> String {
    match failure {
        Failure::Invalid(problems) if problems.len() == 1 => problems[0].code.clone(),
        other => panic!("{other:?}"),
    }
}

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
    sent: String,
    event: Vec<ExpectedEvent>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExpectedEvent {
    #[serde(rename = "type")]
    kind: String,
    with: Option<String>,
    refusal: Option<String>,
    at: Option<String>,
    means: Option<String>,
    reference: Option<String>,
    order: Option<String>,
    amount: Option<String>,
    fee: Option<String>,
    cause: Option<String>,
    day: Option<String>,
}

impl ExpectedEvent {
    /// What was found, beside what was asked.
    fn found(&self, outcome: Result<Event, (String, String, String)>) -> Self {
        let asked = Self { kind: self.kind.clone(), with: self.with.clone(), ..Self::default() };
        let means = outcome.as_ref().ok().map(|event| event.name().to_owned());
        let day = |at: Option<Instant>| at.and_then(|at| at.date()).map(|date| date.to_string());
        match outcome {
            Err((code, path, _)) => Self { refusal: Some(code), at: Some(path), ..asked },
            Ok(Event::PaymentSettled(settlement)) => Self {
                means,
                reference: Some(settlement.payment_reference),
                order: settlement.order_number,
                amount: Some(settlement.amount.to_string()),
                fee: settlement.fee.map(|fee| fee.to_string()),
                day: day(settlement.settled_at),
                ..asked
            },
            Ok(Event::RefundIssued(refund)) => Self {
                means,
                reference: Some(refund.refund_number),
                order: Some(refund.order_number),
                amount: Some(refund.amount.to_string()),
                cause: serde_json::to_value(refund.cause).unwrap().as_str().map(str::to_owned),
                day: day(refund.issued_at),
                ..asked
            },
            Ok(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_file_means_what_was_written_down_from_reading_it() {
    let text = std::fs::read_to_string(tree().root().join("tests/fixtures-expected-stripe.toml")).unwrap();
    let expectations: Expectations = toml::from_str(&text).unwrap();
    let Some(folder) = tree().root().parent().map(|parent| parent.join("shared/fixtures")).filter(|it| it.is_dir())
    else {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    };
    let present: BTreeSet<_> =
        std::fs::read_dir(folder.join("stripe")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let known: BTreeSet<_> = expectations.file.iter().map(|expected| folder.join(&expected.path)).collect();
    assert_eq!(known, present, "each file has its expectation");

    let stripe = Stripe::start().await;
    let (mut events, mut wrong) = (0, Vec::new());
    for expected in &expectations.file {
        let bytes = std::fs::read(folder.join(&expected.path)).unwrap();
        let received = stripe.post(&bytes).await;
        let sent = received.problems.first().map_or("document", |problem| problem.code.as_str());
        assert_eq!((sent, received.documents.is_empty()), (expected.sent.as_str(), sent != "document"));
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        for event in &expected.event {
            events += 1;
            let mut object = if sent == "document" { file["data"]["object"].clone() } else { file.clone() };
            let changes: Value = serde_json::from_str(event.with.as_deref().unwrap_or("{}")).unwrap();
            for (name, value) in changes.as_object().unwrap() {
                object[name] = value.clone();
            }
            assert!(sent != "document" || file["type"] == event.kind, "{}", expected.path);
            let found = event.found(stripe.told(&event.kind, &object).await);
            if found != *event {
                wrong.push(format!("{}\n  found    {found:?}\n  expected {event:?}", expected.path));
            }
        }
    }
    say(&format!("read {} public files in Stripe's shape, as {events} events", present.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// --- what an endpoint takes ---

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_document_under_its_id_and_is_answered_with_a_success() {
    let stripe = Stripe::start().await;
    let body = event("charge.captured", &charge()).to_string();
    let received = stripe.post(format!("{body}\n").as_bytes()).await;
    assert_eq!((received.reply.status, received.reply.body.as_slice()), (200, &br#"{"received":true}"#[..]));
    let [document] = received.documents.as_slice() else { panic!("{received:?}") };
    assert_eq!((document.key.as_str(), document.kind.as_str()), ("evt_test", "stripe/event"));
    assert_eq!(document.body, body.as_bytes());
    // As a file of a watched folder, which has no media type.
    let file = stripe.0.answer("stripe", "POST", "", &[], body.as_bytes(), &[]).await.unwrap();
    assert_eq!(file.documents, received.documents);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_received_and_is_the_money_that_it_names() {
    let stripe = Stripe::start().await;
    for (sample_number, kind, amount) in [
        ("0001", "payment.settled", "754.10 USD"),
        ("0002", "payment.settled", "987.50 USD"),
        ("0003", "refund.issued", "18.40 USD"),
        ("0004", "payment.settled", "-735.70 USD"),
    ] {
        let received = stripe.post(&sample("stripe", sample_number)).await;
        assert_eq!(received.problems, [], "{sample_number}");
        let event = stripe.map(&received.documents[0]).await.unwrap().remove(0);
        let found = match &event {
            Event::PaymentSettled(settlement) => settlement.amount,
            Event::RefundIssued(refund) => refund.amount,
            other => panic!("{other:?}"),
        };
        assert_eq!((event.name(), found.to_string().as_str()), (kind, amount));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_refused_with_its_place() {
    let stripe = Stripe::start().await;
    let good = || event("charge.captured", &charge());
    let long = |bytes: usize| json!("i".repeat(bytes));
    for (body, code, path) in [
        (charge(), "not-an-event", "object"),
        (json!([good()]), "not-an-event", "object"),
        (json!({"object": "list", "data": [good()]}), "not-an-event", "object"),
        (with(good(), "/object", json!(["event"])), "not-an-event", "object"),
        (with(good(), "/id", Value::Null), "field-missing", "id"),
        (with(good(), "/id", json!("")), "field-malformed", "id"),
        (with(good(), "/id", json!("a\nb")), "field-malformed", "id"),
        (with(good(), "/id", long(257)), "field-malformed", "id"),
        (with(good(), "/id", json!(7)), "field-malformed", "id"),
        (with(good(), "/type", Value::Null), "field-missing", "type"),
        (with(good(), "/data", json!([charge()])), "field-missing", "data.object"),
        (with(good(), "/data", json!({})), "field-missing", "data.object"),
        (with(good(), "/data/object", json!("ch_1")), "field-malformed", "data.object"),
        (with(good(), "/note", long(256 * 1024)), "event-too-large", ""),
    ] {
        let received = stripe.post(body.to_string().as_bytes()).await;
        let [found] = received.problems.as_slice() else { panic!("{code}: {received:?}") };
        assert_eq!((found.code.as_str(), found.position.path.as_str()), (code, path), "{}", found.message);
        let reply: Value = serde_json::from_slice(&received.reply.body).unwrap();
        let told = json!([{"code": found.code, "message": found.message, "path": found.position.path}]);
        assert_eq!((received.reply.status, reply), (422, json!({"received": false, "problems": told})));
        assert_eq!(received.documents, []);
    }
    assert_eq!(stripe.post(with(good(), "/id", long(256)).to_string().as_bytes()).await.documents.len(), 1);
    let twice = br#"{"object":"event","object":"event","id":"1","type":"t","data":{"object":{}}}"#;
    for (body, code) in [
        (&twice[..], "not-an-event"),
        (b"", "malformed-json"),
        (b"{\"id\"", "malformed-json"),
        (b"\xFF", "malformed-json"),
    ] {
        assert_eq!(stripe.post(body).await.problems[0].code, code);
    }
    let asked = async |method, content_type: &str| {
        let headers = [("content-type", content_type)];
        let received =
            stripe.0.answer("stripe", method, "", &headers, good().to_string().as_bytes(), &[]).await.unwrap();
        received.problems[0].code.clone()
    };
    assert_eq!(asked("GET", "application/json").await, "not-posted");
    assert_eq!(asked("POST", "application/x-www-form-urlencoded").await, "media-type");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_makes_deep_or_large_is_read_or_refused_and_breaks_no_plugin() {
    let stripe = Stripe::start().await;
    let text = event("charge.captured", &charge()).to_string();
    let put = |place: &str, value: &str| text.replace(place, &format!("\"more\":{value},{place}"));
    let (lists, objects) = (
        format!("{}{}", "[".repeat(50_000), "]".repeat(50_000)),
        format!("{}1{}", "{\"a\":".repeat(40_000), "}".repeat(40_000)),
    );
    let flood = format!("[{}1]", "1,".repeat(120_000));
    for value in [lists.as_str(), &objects, &flood, &format!("\"{}\"", "x".repeat(250_000))] {
        for place in ["\"amount_captured\"", "\"order_id\""] {
            let received = stripe.post(put(place, value).as_bytes()).await;
            assert_eq!(stripe.map(&received.documents[0]).await.unwrap().len(), 1, "a member that nobody reads");
        }
        let received = stripe.post(text.replace("\"ch_1\"", value).as_bytes()).await;
        let mapped = stripe.map(&received.documents[0]).await;
        assert!(matches!(&mapped, Err(Failure::Invalid(problems)) if problems[0].code == "wrong-value"), "{mapped:?}");
    }
}

// --- what moves money ---

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_charge_settles_what_was_captured_and_the_rest_tells_nothing_twice() {
    let stripe = Stripe::start().await;
    let settlement = stripe.settled("charge.succeeded", &charge()).await;
    let expected = Settlement {
        payment_reference: "ch_1".to_owned(),
        order_number: Some(ORDER.to_owned()),
        invoice_number: None,
        amount: money(7_541, "USD"),
        fee: None,
        settled_at: Some(Instant(LONG_AGO_S * 1_000)),
        extensions: vec![Extension { name: "stripe:payment-intent".to_owned(), value: "pi_1".to_owned() }],
    };
    assert_eq!(settlement, expected);
    let later = stripe.settled("charge.captured", &charge()).await;
    assert_eq!(later, Settlement { settled_at: None, ..expected.clone() }, "`created` is when it was authorised");

    // Objects in the place of identifiers, and the fee with them.
    let transaction =
        json!({"id": "txn_1", "object": "balance_transaction", "amount": 7_541, "fee": 249, "currency": "usd"});
    let expanded = with(with(charge(), "/balance_transaction", transaction), "/payment_intent", json!({"id": "pi_1"}));
    let settlement = stripe.settled("charge.succeeded", &expanded).await;
    assert_eq!(settlement, Settlement { fee: Some(money(249, "USD")), ..expected });

    for (kind, object, code, path) in [
        ("charge.succeeded", with(charge(), "/captured", json!(false)), "nothing-moved", "data.object.captured"),
        ("charge.succeeded", with(charge(), "/status", json!("pending")), "nothing-moved", "data.object.status"),
        ("charge.failed", charge(), "nothing-moved", "type"),
        ("charge.updated", charge(), "nothing-moved", "type"),
        ("charge.refunded", charge(), "told-elsewhere", "type"),
        ("payment_intent.succeeded", json!({"object": "payment_intent"}), "told-elsewhere", "type"),
        ("payment_intent.payment_failed", json!({}), "nothing-moved", "type"),
        ("checkout.session.completed", json!({}), "unsupported-type", "type"),
        ("charge.captured", refund_object(), "wrong-object", "data.object.object"),
        (
            "charge.captured",
            with(charge(), "/amount_captured", json!(0)),
            "wrong-amount",
            "data.object.amount_captured",
        ),
    ] {
        assert_eq!(stripe.refused(kind, &object).await, (code.to_owned(), path.to_owned()), "{kind}");
    }
    let (_, _, message) = stripe.told(&"a".repeat(200), &json!({})).await.unwrap_err();
    assert!(message.len() < 400 && message.contains("charge.dispute.funds_reinstated"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_named_by_its_id_or_else_by_its_number() {
    let stripe = Stripe::start().await;
    let order = async |metadata: Value| {
        stripe.settled("charge.captured", &with(charge(), "/metadata", metadata)).await.order_number
    };
    assert_eq!(order(json!({"order_id": ORDER, "order_number": "4711"})).await.as_deref(), Some(ORDER));
    assert_eq!(order(json!({"order_id": "", "order_number": "4711"})).await.as_deref(), Some("4711"));
    for metadata in [Value::Null, json!({}), json!({"order_id": "", "order": "4711"})] {
        let refused = stripe.refused("charge.captured", &with(charge(), "/metadata", metadata)).await;
        assert_eq!(refused, ("order-missing".to_owned(), "data.object.metadata.order_id".to_owned()));
    }
    let unnamed = with(dispute_object(), "/metadata", json!({}));
    let (_, _, message) = stripe.told("charge.dispute.funds_withdrawn", &unnamed).await.unwrap_err();
    assert!(message.contains("charge ch_1"), "a person finds the order by it: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_told_by_its_place_and_is_not_quoted() {
    let stripe = Stripe::start().await;
    let secret = "Jane Doe";
    for (pointer, value, path) in [
        ("/amount_captured", json!("7541"), "amount_captured"),
        ("/amount_captured", json!(75.41), "amount_captured"),
        ("/amount_captured", json!(1e30), "amount_captured"),
        ("/captured", json!(secret), "captured"),
        ("/id", json!("x".repeat(257)), "id"),
        ("/created", json!(secret), "created"),
        ("/created", json!(i64::MAX), "created"),
        ("/metadata", json!([secret]), "metadata"),
        ("/metadata/order_id", json!({secret: 1}), "metadata.order_id"),
        ("/metadata/order_id", json!(format!("{secret}\n")), "metadata.order_id"),
        ("/payment_intent", json!(7), "payment_intent"),
        ("/balance_transaction", json!({"fee": secret, "currency": "usd"}), "balance_transaction"),
    ] {
        let (code, place, message) =
            stripe.told("charge.succeeded", &with(charge(), pointer, value)).await.unwrap_err();
        assert_eq!((code.as_str(), place), ("wrong-value", format!("data.object.{path}")), "{message}");
        assert!(message.contains("; expected ") && !message.contains(secret), "{message}");
    }
    for missing in ["id", "status", "captured", "amount_captured", "currency", "created"] {
        let without = with(charge(), &format!("/{missing}"), Value::Null);
        let refused = stripe.refused("charge.succeeded", &without).await;
        assert_eq!(refused, ("field-missing".to_owned(), format!("data.object.{missing}")));
    }
    for currency in [json!("usdollar"), json!("xyz"), json!(secret), json!("iqd")] {
        let (code, path, message) =
            stripe.told("charge.succeeded", &with(charge(), "/currency", currency)).await.unwrap_err();
        assert_eq!((code.as_str(), path.as_str()), ("wrong-currency", "data.object.currency"));
        assert!(!message.contains(secret), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_unit_of_stripe_is_not_always_that_of_iso_4217() {
    let stripe = Stripe::start().await;
    // Stripe's amount, the same in minor units of ISO 4217, and the same in words.
    for (currency, theirs, ours, shown) in [
        ("USD", 7_541, 7_541, "75.41 USD"),
        ("JPY", 500, 500, "500 JPY"),
        ("KWD", 5_120, 5_120, "5.120 KWD"),
        ("ISK", 500, 5, "5 ISK"),
        ("UGX", 500, 5, "5 UGX"),
        ("MGA", 500, 50_000, "500.00 MGA"),
        ("HUF", 1_045, 1_045, "10.45 HUF"),
        ("TWD", 80_045, 80_045, "800.45 TWD"),
    ] {
        let paid = with(with(charge(), "/currency", json!(currency.to_lowercase())), "/amount_captured", json!(theirs));
        let amount = stripe.settled("charge.captured", &paid).await.amount;
        assert_eq!((amount, amount.to_string().as_str()), (money(ours, currency), shown));
        let form = stripe.form(refund(&[("stripe:charge", "ch_1")], money(ours, currency))).await.unwrap();
        assert!(form.contains(&format!("&amount={theirs}&")), "{form}");
    }
    for currency in ["isk", "ugx"] {
        let paid = with(with(charge(), "/currency", json!(currency)), "/amount_captured", json!(550));
        let refused = stripe.refused("charge.captured", &paid).await;
        assert_eq!(refused, ("wrong-amount".to_owned(), "data.object.amount_captured".to_owned()), "five and a half");
    }
    for amount in [
        money(5_124, "KWD"),
        money(50_050, "MGA"),
        money(0, "USD"),
        money(-1, "USD"),
        money(7, "IQD"),
        money(i64::MAX, "ISK"),
    ] {
        let refused = stripe.form(refund(&[("stripe:charge", "ch_1")], amount)).await.unwrap_err();
        assert_eq!(refused, [("wrong-amount".to_owned(), "amount".to_owned())], "{amount}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_succeeded_is_issued_and_every_telling_of_it_is_the_same() {
    let stripe = Stripe::start().await;
    let expected = Refund {
        order_number: ORDER.to_owned(),
        issued_at: Some(Instant(LONG_AGO_S * 1_000)),
        ..refund(
            &[("stripe:charge", "ch_1"), ("stripe:payment-intent", "pi_1"), ("stripe:refund", "re_1")],
            money(754, "USD"),
        )
    };
    for kind in ["refund.created", "refund.updated", "charge.refund.updated"] {
        let told = with(refund_object(), "/destination_details", json!({"card": {"reference": kind}}));
        assert_eq!(stripe.told(kind, &told).await.unwrap(), Event::RefundIssued(expected.clone()), "{kind}");
    }
    // What Stripe told of is not asked of it: the money went back already.
    let again = stripe.form(expected).await.unwrap_err();
    assert_eq!(again, [("refunded-already".to_owned(), "extensions".to_owned())]);
    let by_hand = with(refund_object(), "/metadata", json!({"order_number": "4711"}));
    let Event::RefundIssued(by_hand) = stripe.told("refund.created", &by_hand).await.unwrap() else { panic!() };
    assert_eq!(
        (by_hand.refund_number.as_str(), by_hand.cause, by_hand.return_number),
        ("re_1", RefundCause::Other, None)
    );
    for (kind, pointer, value, code, path) in [
        ("refund.created", "/status", json!("pending"), "nothing-moved", "status"),
        ("refund.updated", "/status", json!("requires_action"), "nothing-moved", "status"),
        ("refund.updated", "/status", json!("canceled"), "nothing-moved", "status"),
        ("refund.updated", "/status", json!("failed"), "refund-failed", "status"),
        ("refund.failed", "/status", json!("succeeded"), "refund-failed", "status"),
        ("refund.created", "/metadata/cause", json!("goods return"), "wrong-value", "metadata.cause"),
        ("refund.created", "/metadata/order_id", Value::Null, "order-missing", "metadata.order_id"),
        ("refund.created", "/amount", json!(-754), "wrong-amount", "amount"),
    ] {
        let refused = stripe.refused(kind, &with(refund_object(), pointer, value)).await;
        assert_eq!(refused, (code.to_owned(), format!("data.object.{path}")), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dispute_withdraws_and_gives_back_are_two_movements_of_what_moved() {
    let stripe = Stripe::start().await;
    let (out, back) = ("charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated");
    let moved = |list: Value| with(dispute_object(), "/balance_transactions", list);
    let gone = |amount: i64, currency: &str| json!({"amount": -amount, "currency": currency, "fee": 1_500});
    let came = |amount: i64, currency: &str| json!({"amount": amount, "currency": currency, "fee": 0});
    for (kind, object, reference, minor, fee) in [
        (out, dispute_object(), "dp_1", -2_500, None),
        (back, dispute_object(), "dp_1-reinstated", 2_500, None),
        (out, moved(json!([gone(2_400, "usd")])), "dp_1", -2_400, Some(money(1_500, "USD"))),
        // Half of it was refunded meanwhile.
        (back, moved(json!([gone(2_500, "usd"), came(1_250, "usd")])), "dp_1-reinstated", 1_250, Some(money(0, "USD"))),
        // The account is kept in another currency than the customer paid in.
        (out, moved(json!([gone(2_300, "eur")])), "dp_1", -2_500, Some(money(1_500, "EUR"))),
        (back, moved(json!([gone(2_300, "eur"), came(2_300, "eur")])), "dp_1-reinstated", 2_500, Some(money(0, "EUR"))),
    ] {
        let settlement = stripe.settled(kind, &object).await;
        assert_eq!((settlement.payment_reference.as_str(), settlement.amount), (reference, money(minor, "USD")));
        assert_eq!((settlement.fee, settlement.order_number.as_deref()), (fee, Some(ORDER)));
        assert_eq!(settlement.extensions[0].value, "ch_1");
    }
    let many = json!(vec![0; 40_000]);
    for (kind, object, code, path) in [
        (out, with(dispute_object(), "/status", json!("warning_under_review")), "nothing-moved", "status"),
        (back, with(dispute_object(), "/status", json!("warning_closed")), "nothing-moved", "status"),
        (back, moved(json!([gone(2_300, "eur"), came(1_150, "eur")])), "reinstated-in-part", "balance_transactions"),
        (out, moved(json!([gone(1, "usd"), gone(2, "usd")])), "moved-twice", "balance_transactions"),
        (out, moved(json!(["txn_1"])), "wrong-value", "balance_transactions"),
        (out, moved(many), "wrong-value", "balance_transactions"),
    ] {
        assert_eq!(stripe.refused(kind, &object).await, (code.to_owned(), format!("data.object.{path}")), "{object}");
    }
}

// --- refunds to Stripe ---

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_a_form_that_names_payment_order_and_cause() {
    let stripe = Stripe::start().await;
    let order = order_id();
    let both = refund(&[("stripe:charge", "ch_1"), ("stripe:payment-intent", "pi_1")], money(754, "USD"));
    assert_eq!(
        stripe.form(both).await.unwrap(),
        format!(
            "payment_intent=pi_1&amount=754&reason=requested_by_customer&metadata%5Border_id%5D={order}\
             &metadata%5Brefund_number%5D=RF-7&metadata%5Bcause%5D=goods-return&metadata%5Breturn_number%5D=RMA-3"
        )
    );
    let plain = Refund {
        refund_number: "R&F=7 ä".to_owned(),
        cause: RefundCause::PriceCorrection,
        return_number: None,
        ..refund(&[("stripe:charge", "ch_1")], money(754, "USD"))
    };
    assert_eq!(
        stripe.form(plain).await.unwrap(),
        format!(
            "charge=ch_1&amount=754&metadata%5Border_id%5D={order}&metadata%5Brefund_number%5D=R%26F%3D7+%C3%A4\
             &metadata%5Bcause%5D=price-correction"
        )
    );
    let nothing = refund(&[], money(0, "USD"));
    assert_eq!(stripe.form(nothing).await.unwrap_err(), [("wrong-amount".to_owned(), "amount".to_owned())]);
    let other = Event::PaymentSettled(stripe.settled("charge.captured", &charge()).await);
    let refused = stripe.0.rendered("stripe-events", "stripe/refund", other, &[]).await;
    assert!(matches!(refused, Err(Failure::Permanent(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_without_a_payment_is_of_the_only_one_of_its_order() {
    let payments = Payments::start(Mischief::default()).await.unwrap();
    let stripe = Stripe::before(&payments.origin()).await;
    let without = |amount| refund(&[], money(amount, "USD"));
    let early = stripe.deliver("key-1", without(754)).await;
    assert!(matches!(early, Err(Failure::Retry(60_000))), "Stripe does not know of it yet: {early:?}");
    let payment = payments.pay(&order_id().to_string(), 7_541, "usd");
    drop(payments.pay(ORDER, 7_541, "usd"));
    stripe.deliver("key-1", without(754)).await.unwrap();
    assert_eq!(payments.refunds()[0].charge, payment.charge, "and not of another order's");
    drop(payments.pay(&order_id().to_string(), 100, "usd"));
    match stripe.deliver("key-2", without(100)).await {
        Err(Failure::Permanent(why)) => assert!(why.starts_with("payments-several: "), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(payments.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_made_once_for_a_key_and_never_above_what_is_left() {
    let payments = Payments::start(Mischief::default()).await.unwrap();
    let stripe = Stripe::before(&payments.origin()).await;
    let payment = payments.pay(&order_id().to_string(), 7_541, "usd");
    let first = stripe.deliver("key-1", refund_of(&payment, 754)).await.unwrap();
    assert_eq!(stripe.deliver("key-1", refund_of(&payment, 754)).await.unwrap(), first);
    let made = payments.refunds();
    assert_eq!((made.len(), made[0].id.as_str(), made[0].amount), (1, first.as_str(), 754));
    assert_eq!(made[0].metadata["order_id"], order_id().to_string());
    assert_eq!(
        (made[0].metadata["refund_number"].as_str(), made[0].charge.as_str()),
        ("RF-7", payment.charge.as_str())
    );

    let refused = async |key, refund| problem(stripe.deliver(key, refund).await.unwrap_err());
    assert_eq!(refused("key-1", refund_of(&payment, 755)).await, "idempotency-error");
    assert_eq!(refused("key-2", refund_of(&payment, 6_788)).await, "amount-too-large");
    let unknown = refund(&[("stripe:charge", "ch_unknown")], money(1, "USD"));
    assert_eq!(refused("key-3", unknown).await, "resource-missing");
    stripe.deliver("key-4", refund_of(&payment, 6_787)).await.unwrap();
    assert_eq!(refused("key-5", refund_of(&payment, 1)).await, "charge-already-refunded");
    assert_eq!(payments.refunds().len(), 2);

    let report = stripe.0.check("stripe", "refunds", &[("base-url", &stripe.1)]).await.unwrap();
    assert!(report.ok, "{}", report.detail);
    payments.stop().await.unwrap();
    let report = stripe.0.check("stripe", "refunds", &[("base-url", &stripe.1)]).await.unwrap();
    assert_eq!((report.ok, report.detail.as_str()), (false, "Stripe could not be reached"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_was_lost_is_found_by_its_order_and_number() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let payments = Payments::start(lost).await.unwrap();
    let stripe = Stripe::before(&payments.origin()).await;
    // Nobody knows the payment: whether it was refunded cannot be told, and is asked again.
    assert!(matches!(stripe.find("RF-7").await, Err(Failure::Retry(60_000))));
    let (_, payment) = (payments.pay(ORDER, 1, "usd"), payments.pay(&order_id().to_string(), 7_541, "usd"));
    assert_eq!(stripe.find("RF-7").await.unwrap(), None);
    let unknown = stripe.deliver("key", refund_of(&payment, 754)).await.unwrap_err();
    assert!(matches!(unknown, Failure::UnknownOutcome(_)), "{unknown:?}");
    assert_eq!(stripe.find("RF-7").await.unwrap(), Some(payments.refunds()[0].id.clone()));
    assert_eq!(stripe.find("RF-8").await.unwrap(), None);
    // Sent again it is the same one.
    drop(stripe.deliver("key", refund_of(&payment, 754)).await);
    assert_eq!(payments.refunds().len(), 1);
    for nameless in [order_id().to_string(), format!("{}/", order_id()), "a\" OR amount>\"0/RF-7".to_owned()] {
        assert!(matches!(stripe.find_key(&nameless).await, Err(Failure::Permanent(_))), "{nameless}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_found_behind_hundreds_of_others_of_the_order() {
    let payments = Payments::start(Mischief::default()).await.unwrap();
    let stripe = Stripe::before(&payments.origin()).await;
    let order = order_id().to_string();
    // Two payments, as after a card that was declined in the middle; the first one's oldest refund.
    let (first, second) = (payments.pay(&order, 10_000, "usd"), payments.pay(&order, 10_000, "usd"));
    for (number, payment) in (0..250).map(|number| (number, &first)).chain([(250, &second)]) {
        let refund = Refund { refund_number: format!("RF-{number}"), ..refund_of(payment, 1) };
        stripe.deliver(&format!("key-{number}"), refund).await.unwrap();
    }
    let made = payments.refunds();
    for number in [0, 99, 100, 249, 250] {
        assert_eq!(stripe.find(&format!("RF-{number}")).await.unwrap().as_ref(), Some(&made[number].id), "{number}");
    }
    assert_eq!(stripe.find("RF-251").await.unwrap(), None);
    // The same number twice: the customer has the money twice.
    let again =
        stripe.deliver("another-key", Refund { refund_number: "RF-0".to_owned(), ..refund_of(&second, 1) }).await;
    let failure = stripe.find("RF-0").await.unwrap_err();
    let Failure::Permanent(why) = failure else { panic!("{failure:?}") };
    assert!(why.contains("refund-twice") && why.contains(&made[0].id) && why.contains(&again.unwrap()), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_does_not_end_is_not_taken_for_one_without_the_refund() {
    let endless = async |_: Method, _: bytes::Bytes| {
        (200, json!({"data": [{"id": "ch_1", "metadata": {}}], "has_more": true}).to_string())
    };
    let target = ScriptedTarget::start(endless).await;
    let failure = Stripe::before(target.origin()).await.find("RF-7").await.unwrap_err();
    let Failure::Permanent(why) = failure else { panic!("{failure:?}") };
    assert!(why.contains("more charges of order"), "{why}");

    let pages = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let asked = std::sync::Arc::clone(&pages);
    let target = ScriptedTarget::start(move |_: Method, _: bytes::Bytes| {
        let page = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let answer = json!({"data": [{"id": format!("x_{page}")}], "has_more": page > 0});
        async move { (200, answer.to_string()) }
    })
    .await;
    let failure = Stripe::before(target.origin()).await.find("RF-7").await.unwrap_err();
    let Failure::Permanent(why) = failure else { panic!("{failure:?}") };
    assert!(why.contains("more refunds of the order"), "{why}");
    assert_eq!(pages.load(std::sync::atomic::Ordering::Relaxed), 21, "one search and twenty pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_missing_or_wrong_are_named() {
    let payments = Payments::start(Mischief::default()).await.unwrap();
    let stripe = Stripe::before(&payments.origin()).await;
    let checked = async |settings: &[(&str, &str)]| stripe.0.check("stripe", "refunds", settings).await;
    let missing = checked(&[]).await;
    assert!(matches!(&missing, Err(Failure::Permanent(why)) if why.contains("`base-url` is missing")), "{missing:?}");
    for (ms, ok) in [("1000", true), ("25000", true), ("25001", false), ("0", false), ("soon", false)] {
        let report = checked(&[("base-url", &format!("{}/", stripe.1)), ("answer-timeout-ms", ms)]).await.unwrap();
        assert_eq!(report.ok, ok, "{ms}: {}", report.detail);
        assert!(ok || report.detail.contains("`answer-timeout-ms` is no whole number"), "{}", report.detail);
    }
}

/// A movement of money, with what moved in its place.
fn movement(kind: &str, amount: i64, source: &Value) -> Value {
    json!({
        "id": "txn_1", "object": "balance_transaction", "type": kind, "amount": amount, "currency": "eur",
        "created": LONG_AGO_S + 86_400, "source": source,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_is_told_out_of_a_list_of_movements_and_when_it_did() {
    let stripe = Stripe::start().await;
    let mapped = async |rows: Value| {
        let position = Position { offset_bytes: None, segment: None, path: "data".to_owned() };
        let body = rows.to_string().into_bytes();
        let (key, partner, kind) = ("page".to_owned(), String::new(), "stripe/list".to_owned());
        stripe.map(&Document { key, partner, kind, position, envelope: None, body }).await
    };
    let mine = |object: Value| with(object, "/metadata", json!({"order_number": "4711"}));
    let events = mapped(json!([
        movement("charge", 6_900, &charge()),
        movement("payment_refund", -700, &refund_object()),
        movement("adjustment", -2_400, &dispute_object()),
        movement("adjustment", 2_400, &dispute_object()),
        movement("payment", 1, &mine(charge())),
        // None of an order's, or none that moved anything.
        movement("payout", -5_000, &json!({"id": "po_1", "object": "payout"})),
        movement("stripe_fee", -5, &Value::Null),
        movement("adjustment", 5, &json!({"id": "re_1", "object": "refund"})),
        movement("adjustment", 0, &dispute_object()),
        movement("charge", 6_900, &with(charge(), "/metadata", json!({}))),
        movement("charge", 6_900, &with(charge(), "/status", json!("failed"))),
        movement("refund", -700, &with(refund_object(), "/status", json!("pending"))),
    ]))
    .await
    .unwrap();
    let moved_at = Some(Instant((LONG_AGO_S + 86_400) * 1_000));
    let told: Vec<(String, Money, Option<String>)> = events
        .into_iter()
        .map(|event| {
            let (name, amount, order, at, extensions) = match event {
                Event::PaymentSettled(paid) => {
                    (paid.payment_reference, paid.amount, paid.order_number, paid.settled_at, paid.extensions)
                }
                Event::RefundIssued(back) => {
                    (back.refund_number, back.amount, Some(back.order_number), back.issued_at, back.extensions)
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(at, moved_at, "{name}");
            let changed_at = moved_at.map(|at| at.0.to_string());
            assert_eq!(extensions.into_iter().find(|of| of.name == "changed-at").map(|of| of.value), changed_at);
            (name, amount, order)
        })
        .collect();
    let (id, usd) = (|| Some(ORDER.to_owned()), |minor| money(minor, "USD"));
    let expected = [
        ("ch_1", usd(7_541), id()),
        ("RF-7", usd(754), id()),
        ("dp_1", usd(-2_500), id()),
        ("dp_1-reinstated", usd(2_500), id()),
        ("ch_1", usd(7_541), Some("4711".to_owned())),
    ];
    assert_eq!(told, expected.map(|(name, amount, order)| (name.to_owned(), amount, order)));

    for (row, expected) in [
        (charge(), ("wrong-object", "data[0].object")),
        (movement("charge", 1, &json!("ch_1")), ("source-missing", "data[0].source")),
    ] {
        let Err(Failure::Invalid(mut problems)) = mapped(json!([row])).await else { panic!("{row} was read") };
        let Problem { code, position, .. } = problems.remove(0);
        assert_eq!((code.as_str(), position.path.as_str()), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_movement_that_cannot_be_read_is_told_by_its_name_and_the_others_as_what_they_are() {
    let stripe = Stripe::start().await;
    let position = Position { offset_bytes: None, segment: None, path: "data".to_owned() };
    let untimed = |kind: &str, amount, source: &Value| with(movement(kind, amount, source), "/created", json!("now"));
    let dear = |source: Value| with(source, "/currency", json!("gold"));
    let rows = json!([
        movement("charge", 1, &dear(charge())),
        untimed("refund", -1, &refund_object()),
        untimed("adjustment", 1, &dispute_object()),
        movement("charge", 1, &with(charge(), "/metadata", json!({"order_id": 5}))),
        movement("charge", 1, &charge()),
    ]);
    let (key, partner, kind) = ("page".to_owned(), String::new(), "stripe/list".to_owned());
    let body = rows.to_string().into_bytes();
    let events = stripe.map(&Document { key, partner, kind, position, envelope: None, body }).await.unwrap();
    let told = events.iter().map(|event| match event {
        Event::Other(other) if other.kind == UnreadableRow::KIND => {
            let UnreadableRow { of, number, order, why, .. } = UnreadableRow::from_json(&other.body).unwrap();
            assert!(why.contains("expected") && why.contains(" at ") && !why.contains("data["), "{why}");
            (of, number, order)
        }
        Event::PaymentSettled(paid) => ("read".to_owned(), paid.payment_reference.clone(), paid.order_number.clone()),
        other => panic!("{other:?}"),
    });
    let expected = [
        ("payment.settled", "ch_1", Some(ORDER)),
        ("refund.issued", "RF-7", Some(ORDER)),
        ("payment.settled", "dp_1-reinstated", Some(ORDER)),
        ("payment.settled", "ch_1", None),
        ("read", "ch_1", Some(ORDER)),
    ];
    let expected = expected.map(|(of, number, order)| (of.to_owned(), number.to_owned(), order.map(str::to_owned)));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// What delivering and finding make of one answer to everything.
async fn answered(status: u16, body: &'static str) -> (Result<String, Failure>, Result<Option<String>, Failure>) {
    let target =
        ScriptedTarget::start(move |_: Method, _: bytes::Bytes| async move { (status, body.to_owned()) }).await;
    let stripe = Stripe::before(target.origin()).await;
    (stripe.deliver_form("key", "charge=ch_1").await, stripe.find("RF-7").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_means_what_stripe_says_of_it() {
    let error = r#"{"error":{"type":"card_error","code":"Not a code!","message":"No."}}"#;
    for status in [400, 402] {
        let (made, found) = answered(status, error).await;
        assert_eq!(problem(made.unwrap_err()), "refused-by-stripe");
        assert!(matches!(found, Err(Failure::Permanent(_))));
    }
    for (status, body) in [(401, error), (403, error), (404, "not here"), (302, "")] {
        let (made, found) = answered(status, body).await;
        assert!(matches!(made, Err(Failure::Permanent(_))), "{status}: {made:?}");
        assert!(matches!(found, Err(Failure::Permanent(_))), "{status}: {found:?}");
    }
    for status in [409, 429] {
        let (made, found) = answered(status, error).await;
        assert!(matches!((made, found), (Err(Failure::Retry(_)), Err(Failure::Retry(_)))), "{status}");
    }
    for status in [408, 424, 500, 503] {
        let (made, found) = answered(status, error).await;
        assert!(matches!((made, found), (Err(Failure::UnknownOutcome(_)), Err(Failure::Retry(_)))), "{status}");
    }
    let (made, found) = answered(200, "taken").await;
    assert!(matches!((made, found), (Err(Failure::UnknownOutcome(_)), Err(Failure::Permanent(_)))));
    // Of every list it is the charge, the refund that failed, and the refund that was made.
    let failed = r#"{"id":"re_1","status":"failed","data":[{"id":"re_1","status":"failed","metadata":{"refund_number":"RF-7"}}],"has_more":false}"#;
    let (made, found) = answered(200, failed).await;
    assert_eq!(problem(made.unwrap_err()), "refund-failed");
    assert!(matches!(&found, Err(Failure::Permanent(why)) if why.contains("refund-failed")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_is_busy_or_fails_first_makes_the_refund_in_the_end() {
    let kinds = [
        Mischief { throttle_per_mille: 1_000, ..Mischief::default() },
        Mischief { fail_before_per_mille: 1_000, ..Mischief::default() },
    ];
    for mischief in kinds {
        let payments = Payments::start(mischief).await.unwrap();
        let stripe = Stripe::before(&payments.origin()).await;
        let payment = payments.pay(&order_id().to_string(), 7_541, "usd");
        for _ in 0..2 {
            let failure = stripe.deliver("key", refund_of(&payment, 754)).await.unwrap_err();
            match mischief.throttle_per_mille {
                0 => assert!(matches!(failure, Failure::UnknownOutcome(_)), "{failure:?}"),
                _ => assert!(matches!(failure, Failure::Retry(1_000)), "{failure:?}"),
            }
            assert_eq!((stripe.find("RF-7").await.unwrap(), payments.refunds().len()), (None, 0));
        }
        stripe.deliver("key", refund_of(&payment, 754)).await.unwrap();
        assert_eq!(payments.refunds().len(), 1);
    }
}

// --- a host with an endpoint ---

/// A host with a channel for events, and the processor that sends them.
struct Endpoint {
    host: TestHost,
    payments: Payments,
    secret: tempfile::TempDir,
}

impl Endpoint {
    async fn start() -> Self {
        let payments = Payments::start(Mischief::default()).await.unwrap();
        let secret = tempfile::tempdir().unwrap();
        let file = secret.path().join("endpoint");
        std::fs::write(&file, format!("{WEBHOOK_SECRET}\n")).unwrap();
        let setup = with_stripe(Setup::demo(), &payments.origin()).append("portreeve.toml", &channel(&file));
        Self { host: setup.start().await, payments, secret }
    }

    /// The id of a released order.
    async fn order(&self) -> OrderId {
        self.host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await[0].id
    }
}

/// Posts a body with a signature's header, and tells the status and the answer.
async fn posted(door: &FrontDoor, body: &str, signature: Option<&str>) -> (u16, String) {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(signature.map(|signature| ("stripe-signature", signature)));
    let answer = door.post("payments", &headers, body.as_bytes()).await;
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_endpoints_secret_signed_just_now_is_let_in() {
    let endpoint = Endpoint::start().await;
    let door = endpoint.host.front_door().await;
    let body = event("charge.captured", &charge()).to_string();
    let signed = |secret: &str, at_s: i64| payment::signature(secret, at_s, body.as_bytes());
    let v1 = |secret: &str| signed(secret, NOW_S).split_once("v1=").unwrap().1.to_owned();
    let (right, wrong) = (v1(WEBHOOK_SECRET), v1("whsec_another-endpoints-secret"));
    for refused in [
        Some(signed("whsec_another-endpoints-secret", NOW_S)),
        Some(signed(WEBHOOK_SECRET, NOW_S - 301)),
        Some(signed(WEBHOOK_SECRET, NOW_S + 301)),
        Some(format!("t={NOW_S},v1={wrong},v1={wrong}")),
        Some(format!("t={NOW_S},v0={right}")),
        Some(format!("t={},v1={right}", NOW_S + 1)),
        Some(right.clone()),
        Some(String::new()),
        None,
    ] {
        assert_eq!(posted(&door, &body, refused.as_deref()).await.0, 401, "{refused:?}");
    }
    let mut changed = body.clone();
    changed.push('\n');
    assert_eq!(posted(&door, &changed, Some(&signed(WEBHOOK_SECRET, NOW_S))).await.0, 401, "a byte more");
    // The host's own kind of signature is another one.
    let own = crate::support::shop_signature(body.as_bytes());
    assert_eq!(door.post("payments", &[("x-portreeve-signature", &own)], body.as_bytes()).await.status, 401);
    let shop = door.post("shop", &[("stripe-signature", &signed(WEBHOOK_SECRET, NOW_S))], body.as_bytes()).await;
    assert_eq!(shop.status, 401);
    assert_eq!(endpoint.host.summary().await.inputs, 0, "nothing of all that was kept");

    let answer = (200, r#"{"received":true}"#.to_owned());
    let rolled = format!("t={NOW_S},v1={wrong},v1={right}");
    assert_eq!(posted(&door, &body, Some(&rolled)).await, answer, "either secret, while it is rolled");
    assert_eq!(posted(&door, &body, Some(&signed(WEBHOOK_SECRET, NOW_S - 300))).await, answer, "the same again");
    assert_eq!(endpoint.host.summary().await.inputs, 1);
    endpoint.host.clock.advance_to(MORNING.plus_ms(300_001));
    assert_eq!(posted(&door, &body, Some(&rolled)).await.0, 401, "kept by somebody and sent again");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_secret_counts_from_the_next_event_on() {
    let endpoint = Endpoint::start().await;
    let door = endpoint.host.front_door().await;
    let body = event("charge.captured", &charge()).to_string();
    let takes = async |secret: &str| {
        posted(&door, &body, Some(&payment::signature(secret, NOW_S, body.as_bytes()))).await.0 == 200
    };
    let rolled = "whsec_bmV3LXNlY3JldC1vZi10aGUtdGVzdHM";
    assert!(takes(WEBHOOK_SECRET).await && !takes(rolled).await);
    std::fs::write(endpoint.secret.path().join("endpoint"), rolled).unwrap();
    assert!(takes(rolled).await && !takes(WEBHOOK_SECRET).await);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_has_one_proof_and_an_api_key_is_no_endpoints_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endpoint");
    let refused = async |secret: &str, more: &str| {
        std::fs::write(&file, secret).unwrap();
        let channel = channel(&file).replace("id = \"stripe\"\n", &format!("id = \"stripe\"\n{more}"));
        let setup = with_stripe(Setup::demo(), "http://127.0.0.1:9").append("portreeve.toml", &channel);
        setup.try_start().await.err().map(|error| format!("{error:#}"))
    };
    assert_eq!(refused(WEBHOOK_SECRET, "").await, None);
    let both = refused(WEBHOOK_SECRET, &format!("secret_file = \"{}\"\n", file.display())).await.unwrap();
    assert!(
        both.contains(
            "exactly one of `token_sha256`, `secret_file`, `stripe_secret_file`, `adobe_public_key_file` and `client_state_file`"
        ),
        "{both}"
    );
    let key = refused("sk_live_51H8a9b8c7d6e5f4", "").await.unwrap();
    assert!(key.contains("does not begin with `whsec_`") && !key.contains("51H8"), "{key}");
    let short = refused("whsec_short", "").await.unwrap();
    assert!(short.contains("expected 16 or more"), "{short}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_its_refund_and_its_chargeback_are_counted_once_each() {
    let endpoint = Endpoint::start().await;
    let (host, payments) = (&endpoint.host, &endpoint.payments);
    let order = endpoint.order().await;
    let door = host.front_door().await;
    let payment = payments.pay(&order.to_string(), 23_100, "usd");
    let stripe = Stripe::before(&payments.origin()).await;
    let form = format!(
        "payment_intent={}&amount=1840&metadata[order_id]={order}&metadata[refund_number]=RF-7&metadata[cause]=price-correction",
        payment.payment_intent
    );
    stripe.deliver_form("key", &form).await.unwrap();
    let refund = payments.refunds().remove(0);
    let paid = payments.paid(&payment, NOW_S);
    // Another endpoint has answered meanwhile, so the same event comes with other bytes.
    let again = paid.body.replace("\"pending_webhooks\":1", "\"pending_webhooks\":0");
    assert_ne!(again, paid.body);
    let again_signed = payment::signature(WEBHOOK_SECRET, NOW_S, again.as_bytes());
    let events = [
        (paid.body, paid.signature),
        (again, again_signed),
        // One payment, told by another event of its own id.
        {
            let webhook = payments.paid(&payment, NOW_S);
            (webhook.body, webhook.signature)
        },
        {
            let webhook = payments.refunded(&refund, NOW_S);
            (webhook.body, webhook.signature)
        },
        {
            let webhook = payments.refunded(&refund, NOW_S + 1);
            (webhook.body, webhook.signature)
        },
        {
            let webhook = payments.disputed(&payment, Dispute::Withdrawn, NOW_S);
            (webhook.body, webhook.signature)
        },
    ];
    for (body, signature) in &events {
        assert_eq!(posted(&door, body, Some(signature)).await.0, 200);
    }
    host.decide_all().await;
    let counted = host.progress(order).await.money;
    assert_eq!((counted.paid_minor, counted.refunded_minor), (0, 1_840), "paid, and withdrawn again");

    let back = payments.disputed(&payment, Dispute::Reinstated, NOW_S);
    assert_eq!(posted(&door, &back.body, Some(&back.signature)).await.0, 200);
    host.decide_all().await;
    let counted = host.progress(order).await.money;
    assert_eq!((counted.paid_minor, counted.refunded_minor), (23_100, 1_840));

    // What moved nothing, what is told elsewhere and what nobody can place are a person's.
    for (kind, object, code) in [
        ("charge.succeeded", with(charge(), "/captured", json!(false)), "nothing-moved"),
        ("payment_intent.succeeded", json!({"object": "payment_intent"}), "told-elsewhere"),
        ("charge.captured", with(charge(), "/metadata", json!({})), "order-missing"),
        ("plan.created", json!({}), "unsupported-type"),
    ] {
        let before = host.exceptions().await.len();
        let webhook = payments.event(kind, object, NOW_S);
        assert_eq!(posted(&door, &webhook.body, Some(&webhook.signature)).await.0, 200, "{kind}");
        host.decide_all().await;
        let exceptions = host.exceptions().await;
        assert_eq!(exceptions.len(), before + 1, "{kind}");
        assert!(
            exceptions.iter().any(|exception| exception.code == code && exception.detail.contains("; expected ")),
            "{kind}"
        );
    }
    door.close().await;
    host.verify().await.unwrap();
}
