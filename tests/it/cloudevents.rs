//! Canonical events as CloudEvents: what the connector takes and how it answers, and
//! that what the transformer makes of the data is the event that the host would read.

use portreeve_model::{Digest, Document, Event, Failure, Problem, Received};
use portreeve_pipeline::Credential;
use serde_json::{Value, json};

use crate::at_the_plugin::Plugins;
use crate::support::{Setup, sample, tree};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// Types that other systems say something with, in the order of the golden file.
const SUPPORTED: [&str; 14] = [
    "order.accepted",
    "order.rejected",
    "inventory.level",
    "inventory.allocated",
    "shipment.picked",
    "shipment.packed",
    "shipment.dispatched",
    "shipment.confirmed",
    "shipment.delayed",
    "invoice.posted",
    "payment.settled",
    "return.requested",
    "return.received",
    "refund.issued",
];

/// The two plugins, which the demo does not have.
struct CloudEvents(Plugins);

impl CloudEvents {
    async fn start() -> Self {
        Self(Plugins::of(Setup::demo().blindfolded("cloudevents").blindfolded("cloudevents-events")).await)
    }

    async fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Received {
        self.0.answer("cloudevents", "POST", "", headers, body, &[]).await.unwrap()
    }

    async fn structured(&self, event: &Value) -> Received {
        self.post(&[("content-type", STRUCTURED)], event.to_string().as_bytes()).await
    }

    async fn batch(&self, events: &[Value]) -> Received {
        self.post(&[("content-type", BATCH)], Value::from(events).to_string().as_bytes()).await
    }

    async fn map(&self, document: &Document) -> Result<Vec<Event>, Failure> {
        self.0.map("cloudevents-events", document, &[]).await
    }

    /// The one event that structured mode makes of a type and its data.
    async fn event(&self, kind: &str, data: &Value) -> Result<Event, Failure> {
        let received = self.structured(&cloud_event("1", kind, data)).await;
        assert_eq!(received.problems, [], "{data}");
        let mut events = self.map(&received.documents[0]).await?;
        assert_eq!(events.len(), 1);
        Ok(events.remove(0))
    }

    /// What is wrong with the data, as code, path and message.
    async fn wrong(&self, kind: &str, data: &Value) -> (String, String, String) {
        let Err(Failure::Invalid(mut problems)) = self.event(kind, data).await else { panic!("{kind} took {data}") };
        assert_eq!(problems.len(), 1);
        let Problem { code, message, position } = problems.remove(0);
        (code, position.path, message)
    }
}

fn cloud_event(id: &str, kind: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/warehouse/east", "type": kind, "data": data})
}

fn picked(id: &str) -> Value {
    cloud_event(id, "shipment.picked", &json!({"orderNumber": "4711", "shipmentNumber": "SH-1"}))
}

/// The golden file's events of the supported types.
fn golden() -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(tree().root().join("tests/golden/events.json")).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let named = events.into_iter().map(|event| (event["type"].as_str().unwrap().to_owned(), event));
    named.filter(|(kind, _)| SUPPORTED.contains(&kind.as_str())).collect()
}

fn example(kind: &str) -> Value {
    golden().into_iter().find(|(name, _)| name == kind).unwrap().1["data"].take()
}

fn answer(received: &Received) -> Value {
    serde_json::from_slice(&received.reply.body).unwrap()
}

/// Code and path of each problem, with the reply's status.
fn refused(received: &Received) -> (u16, Vec<(String, String)>) {
    let problems = received.problems.iter();
    let told = problems.map(|problem| (problem.code.clone(), problem.position.path.clone())).collect();
    let reply = answer(received);
    assert_eq!(reply["accepted"], received.documents.len());
    for (problem, told) in received.problems.iter().zip(reply["problems"].as_array().unwrap()) {
        let expected = json!({"code": problem.code, "message": problem.message, "path": problem.position.path});
        assert_eq!(told, &expected);
    }
    (received.reply.status, told)
}

fn one(status: u16, code: &str, path: &str) -> (u16, Vec<(String, String)>) {
    (status, vec![(code.to_owned(), path.to_owned())])
}

/// Leaves out every member that is null or an empty list.
fn slim(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null() && member.as_array().is_none_or(|list| !list.is_empty()));
            members.values_mut().for_each(slim);
        }
        Value::Array(items) => items.iter_mut().for_each(slim),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_received_and_is_the_event_that_it_names() {
    let plugins = CloudEvents::start().await;
    let kinds = ["inventory.allocated", "shipment.picked", "shipment.packed", "shipment.confirmed", "invoice.posted"];
    for (number, kind) in (1..).zip(kinds.into_iter().chain(["payment.settled"])) {
        let body = sample("cloudevents", &format!("{number:04}"));
        let received = plugins.post(&[("content-type", STRUCTURED)], &body).await;
        assert_eq!(refused(&received), (202, vec![]), "{kind}");
        assert_eq!(received.documents[0].body, body.trim_ascii());
        // As a file of a watched folder, which has no media type.
        assert_eq!(plugins.post(&[], &body).await.documents, received.documents);
        let events = plugins.map(&received.documents[0]).await.unwrap();
        assert_eq!(events.iter().map(Event::name).collect::<Vec<_>>(), [kind]);
        let json: Value = serde_json::from_slice(&events[0].to_json().unwrap()).unwrap();
        assert_eq!(json["data"]["orderNumber"], "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_supported_event_is_exactly_what_the_host_reads_from_the_same_json() {
    let plugins = CloudEvents::start().await;
    let golden = golden();
    assert_eq!(golden.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), SUPPORTED);
    for (kind, mut event) in golden {
        let expected = Event::from_json(event.to_string().as_bytes()).unwrap();
        assert_eq!(plugins.event(&kind, &event["data"]).await.unwrap(), expected);
        slim(&mut event);
        assert_eq!(plugins.event(&kind, &event["data"]).await.unwrap(), expected, "without what may be missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_need_not_be_there_may_be_left_out_or_null_and_everything_else_is_asked_for() {
    let plugins = CloudEvents::start().await;
    for (kind, event) in golden() {
        for (member, _) in event["data"].as_object().unwrap() {
            let mut without = event["data"].clone();
            without.as_object_mut().unwrap().remove(member);
            // The host's own reader wants every list; apart from that it takes the same.
            let mut with = event.clone();
            with["data"][member] = Value::Null;
            let by_host = |event: &Value| Event::from_json(event.to_string().as_bytes()).ok();
            assert_eq!(plugins.event(&kind, &with["data"]).await.ok(), by_host(&with), "{kind} with {member} null");
            if event["data"][member].is_array() {
                with["data"][member] = json!([]);
            }
            let mapped = plugins.event(&kind, &without).await;
            assert_eq!(mapped.clone().ok(), by_host(&with), "{kind} without {member}");
            if let Err(failure) = mapped {
                let Failure::Invalid(problems) = failure else { panic!("{failure:?}") };
                let told = (problems[0].code.as_str(), problems[0].position.path.clone());
                assert_eq!(told, ("field-missing", format!("data.{member}")));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_of_a_batch_is_told_with_its_place_and_stops_no_other() {
    let plugins = CloudEvents::start().await;
    let mut events: Vec<Value> = (0..5).map(|number| picked(&number.to_string())).collect();
    events[3].as_object_mut().unwrap().remove("id");
    let received = plugins.batch(&events).await;
    assert_eq!(refused(&received), one(202, "attribute-missing", "events[3].id"));
    let keys: Vec<&str> = received.documents.iter().map(|document| document.key.as_str()).collect();
    assert_eq!(
        keys,
        ["%2Fwarehouse%2Feast/0", "%2Fwarehouse%2Feast/1", "%2Fwarehouse%2Feast/2", "%2Fwarehouse%2Feast/4"]
    );
    let body = Value::from(events).to_string();
    for (document, place) in received.documents.iter().zip(["events[0]", "events[1]", "events[2]", "events[4]"]) {
        let offset = usize::try_from(document.position.offset_bytes.unwrap()).unwrap();
        assert!(body.as_bytes()[offset..].starts_with(&document.body));
        assert_eq!((document.position.path.as_str(), document.envelope), (place, None));
        assert_eq!(plugins.map(document).await.unwrap().len(), 1);
    }

    let received = plugins.batch(&[json!(1), json!([]), json!({}), json!({"id": []})]).await;
    let told = ["not-an-event", "not-an-event", "attribute-missing", "attribute-missing"];
    assert_eq!((received.reply.status, received.problems.len()), (422, told.len()));
    assert_eq!(received.problems.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), told);
    assert_eq!(refused(&plugins.batch(&[]).await), (202, vec![]), "an empty batch has nothing wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_at_most_500_events() {
    let plugins = CloudEvents::start().await;
    let mut events: Vec<Value> = (0..500).map(|number| picked(&number.to_string())).collect();
    assert_eq!(plugins.batch(&events).await.documents.len(), 500);
    events.push(picked("500"));
    assert_eq!(refused(&plugins.batch(&events).await), one(422, "too-many-events", "events"));
    // Each of them would be many times its own size.
    let flood = format!("[{}1]", "1,".repeat(1_000_000));
    let received = plugins.post(&[("content-type", BATCH)], flood.as_bytes()).await;
    assert_eq!(refused(&received), one(422, "too-many-events", "events"));
    assert!(received.problems[0].message.contains("1000001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_mode_is_refused_and_so_is_every_other_media_type() {
    let plugins = CloudEvents::start().await;
    let body = picked("1").to_string().into_bytes();
    for name in ["ce-specversion", "ce-id", "ce-type"] {
        for headers in [&[("content-type", "application/json"), (name, "1")][..], &[(name, "1")]] {
            let received = plugins.post(headers, &body).await;
            assert_eq!(refused(&received), one(422, "binary-mode", name));
            let message = &received.problems[0].message;
            assert!(message.contains(&format!("`{name}`")) && message.contains("structured or batched"), "{message}");
        }
    }
    // An event that says itself which one it is may say so in headers as well.
    let headers = [("content-type", "Application/CloudEvents+JSON; charset=utf-8"), ("ce-id", "2")];
    let received = plugins.post(&headers, &body).await;
    assert_eq!((refused(&received), received.documents[0].key.as_str()), ((202, vec![]), "%2Fwarehouse%2Feast/1"));
    for content_type in ["", "application/json", "application/xml", "application/cloudevents+avro"] {
        let received = plugins.post(&[("content-type", content_type)], &body).await;
        assert_eq!(refused(&received), one(422, "media-type", "content-type"), "{content_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_say_which_one_it_is_or_has_no_json_is_refused() {
    let plugins = CloudEvents::start().await;
    let long = |bytes: usize| json!("i".repeat(bytes));
    for (member, value, code, path) in [
        ("specversion", Value::Null, "attribute-missing", "specversion"),
        ("specversion", json!("0.3"), "specversion-unsupported", "specversion"),
        ("specversion", json!(1.0), "attribute-malformed", "specversion"),
        ("id", Value::Null, "attribute-missing", "id"),
        ("id", json!(""), "attribute-malformed", "id"),
        ("id", json!(" "), "attribute-malformed", "id"),
        ("id", json!(7), "attribute-malformed", "id"),
        ("id", json!("a\nb"), "attribute-malformed", "id"),
        // The source has 19 bytes when it is escaped, and a slash stands between.
        ("id", long(237), "key-too-long", "id"),
        ("source", Value::Null, "attribute-missing", "source"),
        ("source", json!("/".repeat(90)), "key-too-long", "id"),
        ("type", Value::Null, "attribute-missing", "type"),
        ("data", Value::Null, "data-missing", "data"),
        ("data_base64", json!("e30="), "data-base64", "data_base64"),
        ("datacontenttype", json!("application/xml"), "data-not-json", "datacontenttype"),
        ("datacontenttype", json!(1), "attribute-malformed", "datacontenttype"),
        ("comment", long(1024 * 1024), "event-too-large", ""),
    ] {
        let mut event = picked("1");
        event[member] = value;
        assert_eq!(refused(&plugins.structured(&event).await), one(422, code, path), "{member}");
    }
    let mut event = picked("1");
    event["id"] = long(236);
    event["datacontenttype"] = json!("application/vnd.wms+json; charset=utf-8");
    event["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let received = plugins.structured(&event).await;
    assert_eq!((refused(&received), received.documents[0].key.len()), ((202, vec![]), 256));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused_with_its_place_in_either_mode() {
    let plugins = CloudEvents::start().await;
    let good = picked("1").to_string().into_bytes();
    let deep = |opening: &str| opening.repeat(100_000).into_bytes();
    let bodies = [
        Vec::new(),
        good[..good.len() / 2].to_vec(),
        [&good[..], b"}"].concat(),
        [b"\xFF\xFE", &good[..]].concat(),
        // Latin-1 within a text.
        good.iter().map(|byte| if *byte == b'H' { 0xE9 } else { *byte }).collect(),
        deep("["),
        deep("{\"data\":"),
    ];
    for body in bodies {
        for content_type in [STRUCTURED, BATCH] {
            let received = plugins.post(&[("content-type", content_type)], &body).await;
            assert_eq!(refused(&received), one(422, "malformed-json", ""), "{content_type}");
        }
    }
    let twice = br#"{"specversion":"1.0","id":"1","id":"2","source":"/a","type":"t","data":{}}"#;
    assert_eq!(refused(&plugins.post(&[], twice).await), one(422, "not-an-event", ""));
    let marked = [b"\xEF\xBB\xBF", &good[..]].concat();
    assert_eq!(plugins.post(&[("content-type", STRUCTURED)], &marked).await.documents[0].body, good);
    let got = plugins.0.answer("cloudevents", "GET", "?challenge=1", &[], b"", &[]).await.unwrap();
    assert_eq!(refused(&got), one(422, "not-posted", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_nests_deeper_than_any_event_is_a_problem_of_its_sender() {
    let plugins = CloudEvents::start().await;
    for place in ["lines", "comment", "shipTo"] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
            let body =
                picked("1").to_string().replace("\"orderNumber\"", &format!("\"{place}\":{deep},\"orderNumber\""));
            let received = plugins.post(&[("content-type", STRUCTURED)], body.as_bytes()).await;
            let mapped = plugins.map(&received.documents[0]).await;
            assert!(matches!(&mapped, Err(Failure::Invalid(problems)) if problems.len() == 1), "{place}: {mapped:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_told_by_its_place_and_is_not_quoted() {
    let plugins = CloudEvents::start().await;
    let secret = "Jane Doe";
    let deep = "x".repeat(257);
    for (kind, pointer, value, path, found) in [
        ("shipment.confirmed", "/lines/0/shipped/value", json!(4), "lines[0].shipped.value", "found a number;"),
        ("shipment.confirmed", "/lines/0/shipped/value", json!("4.5"), "lines[0].shipped.value", "found another text;"),
        (
            "shipment.confirmed",
            "/lines/0/shipped/value",
            json!("9223372036854775808"),
            "lines[0].shipped.value",
            "found another text;",
        ),
        ("shipment.confirmed", "/lines/0/shipped/scale", json!("0"), "lines[0].shipped.scale", "found a text;"),
        ("shipment.confirmed", "/lines/0/shipped/scale", json!(10), "lines[0].shipped.scale", "found another number;"),
        ("shipment.confirmed", "/lines/0/shipped/scale", json!(-1), "lines[0].shipped.scale", "found a number;"),
        ("shipment.confirmed", "/lines/0/shipped/unit", json!(1), "lines[0].shipped.unit", "found a number;"),
        ("shipment.confirmed", "/lines/0/shipped/unit", json!(""), "lines[0].shipped.unit", "found another text;"),
        ("shipment.confirmed", "/lines/0/shipped/unit", Value::Null, "lines[0].shipped.unit", "found null;"),
        (
            "shipment.confirmed",
            "/lines/0/shipped",
            json!(secret),
            "lines[0].shipped",
            "found a text; expected a quantity",
        ),
        ("shipment.confirmed", "/lines/0/short", json!(secret), "lines[0].short", "expected one of `none` `backorder`"),
        ("shipment.confirmed", "/lines/0", json!(secret), "lines[0]", "found a text; expected a line"),
        ("shipment.confirmed", "/lines", json!({}), "lines", "found an object;"),
        ("shipment.confirmed", "/lines/0/shipped", json!(["5", 0, "EA"]), "lines[0].shipped", "found a list;"),
        ("shipment.confirmed", "/shipTo", json!(secret), "shipTo", "found a text; expected an address"),
        ("shipment.confirmed", "/shipTo/country", json!("usa"), "shipTo.country", "two upper-case letters"),
        ("shipment.confirmed", "/shipTo/lines/1", json!(true), "shipTo.lines[1]", "found true or false;"),
        ("shipment.confirmed", "/orderNumber", json!(deep), "orderNumber", "expected an identifier"),
        ("shipment.confirmed", "/orderNumber", json!("a\u{0}b"), "orderNumber", "expected an identifier"),
        (
            "shipment.confirmed",
            "/at",
            json!(1_772_443_800_123_i64),
            "at",
            "found a number; expected a whole number of 64 bits as text",
        ),
        ("shipment.confirmed", "/at", json!("2026-03-02T08:00:00Z"), "at", "found another text;"),
        ("shipment.delayed", "/expected", json!("2026-02-29"), "expected", "expected a date"),
        ("shipment.delayed", "/expected", json!("20260301"), "expected", "expected a date"),
        ("shipment.delayed", "/reason", json!("x".repeat(4_097)), "reason", "at most 4096 bytes"),
        ("invoice.posted", "/total/minor", json!(1.5), "total.minor", "found a number;"),
        ("invoice.posted", "/total/currency", json!("usd"), "total.currency", "expected a currency code"),
        ("invoice.posted", "/total", Value::Null, "total", "found null; expected an amount"),
        ("invoice.posted", "/lines/0/unitPrice/perQuantity", json!(0), "lines[0].unitPrice.perQuantity", "1 or more"),
        (
            "invoice.posted",
            "/lines/0/unitPrice/perQuantity",
            json!(4_294_967_296_i64),
            "lines[0].unitPrice.perQuantity",
            "1 or more",
        ),
        ("payment.settled", "/amount/minor", json!("+ 1"), "amount.minor", "found another text;"),
        ("refund.issued", "/cause", json!("refund"), "cause", "`goods-return`"),
        ("order.accepted", "/lines/0/status", json!("Accepted"), "lines[0].status", "`accepted`"),
    ] {
        let mut data = example(kind);
        *data.pointer_mut(pointer).unwrap() = value;
        let (code, place, message) = plugins.wrong(kind, &data).await;
        assert_eq!((code.as_str(), place), ("wrong-value", format!("data.{path}")), "{message}");
        assert!(message.contains(found) && !message.contains(secret), "{pointer}: {message}");
    }
    let (_, path, message) = plugins.wrong("payment.settled", &json!(secret)).await;
    assert_eq!((path.as_str(), message.as_str()), ("data", "found a text; expected a settlement: an object"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_nobody_knows_or_that_is_missing_is_named_with_its_place() {
    let plugins = CloudEvents::start().await;
    let mut data = example("shipment.confirmed");
    data["lines"][0]["weight"] = json!("12");
    let (code, path, message) = plugins.wrong("shipment.confirmed", &data).await;
    assert_eq!((code.as_str(), path.as_str()), ("unknown-field", "data.lines[0].weight"));
    assert!(message.contains("`weight`") && message.contains("`serials`"), "{message}");

    let mut data = example("shipment.confirmed");
    data["lines"][0]["shipped"].as_object_mut().unwrap().remove("unit");
    let (code, path, message) = plugins.wrong("shipment.confirmed", &data).await;
    assert_eq!((code.as_str(), path.as_str()), ("field-missing", "data.lines[0].shipped.unit"));
    assert_eq!(message, "found no `unit`; expected it here");

    let mut data = example("shipment.confirmed");
    data["a\n`, expected \u{1b}".to_owned() + &"b".repeat(5_000)] = json!(1);
    let (code, path, message) = plugins.wrong("shipment.confirmed", &data).await;
    assert_eq!(code, "unknown-field");
    assert!(!path.chars().chain(message.chars()).any(char::is_control), "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_is_not_supported_is_refused_with_those_that_are() {
    let plugins = CloudEvents::start().await;
    for kind in ["order.created", "remittance.received", "other", "Shipment.Picked", "com.example.thing"] {
        let Err(Failure::Invalid(problems)) = plugins.event(kind, &json!({})).await else { panic!("{kind}") };
        let Problem { code, message, position } = &problems[0];
        assert_eq!((code.as_str(), position.path.as_str()), ("unsupported-type", "type"));
        assert!(message.contains(&format!("`{kind}`")), "{message}");
        assert!(SUPPORTED.iter().all(|supported| message.contains(supported)), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_is_decided_once_and_so_is_one_in_other_words_between_its_neighbours() {
    let token = "token-of-the-warehouse";
    // Every event is the same new order here: what a host decides about an event of its own is not this test's.
    let channel = format!(
        "\n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"wms\"\nconnector = \
         \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"says-everything\" }}\nscorers = []\ntarget = \"erp\"\n\
         exception_queue = \"integration\"\n",
        Digest::of(token.as_bytes())
    );
    let setup = Setup::demo().blindfolded("cloudevents").plugin("says-everything", "{}");
    let host = setup.append("portreeve.toml", &channel).start().await;
    let send = async |events: &[Value]| {
        let body = Value::from(events).to_string();
        let accepted = host.send("wms", Credential::Bearer(token), body.as_bytes()).await.unwrap();
        let answer: Value = serde_json::from_slice(&accepted.reply.body).unwrap();
        assert_eq!((accepted.reply.status, answer), (202, json!({"accepted": events.len(), "problems": []})));
    };
    send(&[picked("1"), picked("1")]).await;
    send(&[picked("1")]).await;
    host.decide_all().await;
    send(&[picked("1"), picked("1"), picked("1")]).await;
    host.decide_all().await;
    let counted = async || {
        let summary = host.summary().await;
        (host.orders().await.len(), summary.order_events, summary.duplicates, summary.unmapped, summary.undecided)
    };
    assert_eq!(counted().await, (1, 0, 5, 0, 0));

    // Its bytes are others, and what the transformer makes of them is the same order.
    let reworded = cloud_event("1", "shipment.packed", &json!({"orderNumber": "4711", "shipmentNumber": "SH-1"}));
    send(&[picked("2"), reworded.clone(), picked("1"), picked("3")]).await;
    host.decide_all().await;
    assert_eq!(counted().await, (1, 0, 7, 2, 0), "two duplicates, and two neighbours with their own fate");
    let codes: Vec<_> = host.exceptions().await.into_iter().map(|exception| exception.code).collect();
    assert_eq!(codes, ["ship-to-unknown", "order-exists", "order-exists"], "in the batch's order");
    send(&[reworded, picked("1")]).await;
    host.decide_all().await;
    assert_eq!(counted().await, (1, 0, 9, 2, 0));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_makes_too_large_is_its_own_fault_and_not_the_plugins() {
    let plugins = CloudEvents::start().await;
    let serials = |count: usize| {
        let mut data = example("shipment.confirmed");
        data["lines"][0]["serials"] = (0..count).map(|number| json!(number.to_string())).collect();
        data
    };
    let Event::ShipmentConfirmed(shipment) = plugins.event("shipment.confirmed", &serials(18_900)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(shipment.lines[0].serials.len(), 18_900);
    for count in [19_001, 110_000] {
        let (code, path, _) = plugins.wrong("shipment.confirmed", &serials(count)).await;
        assert_eq!((code.as_str(), path.as_str()), ("event-too-large", "data"));
    }
    let mut data = example("shipment.confirmed");
    data["b".repeat(1_000_000)] = json!(1);
    assert_eq!(plugins.wrong("shipment.confirmed", &data).await.0, "unknown-field");
    assert_eq!(plugins.wrong(&"t".repeat(1_000_000), &json!({})).await.0, "unsupported-type");
    let mut data = example("shipment.confirmed");
    data["node"] = json!("b".repeat(1_000_000));
    assert_eq!(plugins.wrong("shipment.confirmed", &data).await.0, "wrong-value");

    let large: Vec<Value> = (0..5)
        .map(|number| {
            let mut event = picked(&number.to_string());
            event["comment"] = json!("x".repeat(750_000));
            event
        })
        .collect();
    assert_eq!(plugins.batch(&large[..4]).await.documents.len(), 4);
    assert_eq!(refused(&plugins.batch(&large).await), one(422, "input-too-large", ""));

    let half = picked("1").to_string().replace("SH-1", "\\ud800");
    let received = plugins.post(&[("content-type", STRUCTURED)], half.as_bytes()).await;
    let Err(Failure::Invalid(problems)) = plugins.map(&received.documents[0]).await else { panic!() };
    let Problem { code, position, .. } = &problems[0];
    assert_eq!((code.as_str(), position.path.as_str()), ("malformed-value", "data.shipmentNumber"));
}
