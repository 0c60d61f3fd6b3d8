//! The public files of the two channels against `tests/fixtures-expected.toml`:
//! the right events with the right sums, or the right refusal with its reason, as
//! `portreeve ingest` prints them. Each file comes on a channel of its own, so that none is
//! the duplicate of another one.
//!
//! The files are not part of the project; where they are absent the test says so.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portreeve_api::outcome::Outcome;
use portreeve_model::{Event, Order};
use portreeve_pipeline::Credential;
use portreeve_pipeline::preview::Preview;
use portreeve_record::LeafBody;
use portreeve_record::leaf::EnvelopeOutcome;
use portreeve_store::contract::InputId;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::support::{EDI_TOKEN, Setup, TestHost, say, shop_signature, tree};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    file: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    path: String,
    disposition: String,
    problems: Vec<String>,
    answers: Vec<String>,
    offset: Option<u64>,
    line: Option<u32>,
    #[serde(default)]
    repeated: usize,
    #[serde(default)]
    event: Vec<ExpectedEvent>,
    #[serde(default)]
    person: Vec<ExpectedProblems>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ExpectedEvent {
    event: String,
    number: String,
    customer: String,
    ship_to: Option<String>,
    placed: Option<String>,
    requested: Option<String>,
    currency: String,
    usage: Option<String>,
    lines: Vec<String>,
    total: String,
    #[serde(default)]
    stated: ExpectedTotals,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedTotals {
    lines: Option<String>,
    shipping: Option<String>,
    tax: Option<String>,
    discount: Option<String>,
    grand: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedProblems {
    problems: Vec<String>,
}

/// Everything that was found in a file.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    disposition: String,
    /// Of its syntax, and of the documents that a person has to look at.
    problems: BTreeSet<String>,
    answers: Vec<String>,
    events: Vec<ExpectedEvent>,
    persons: usize,
}

impl Expected {
    fn is_x12(&self) -> bool {
        self.path.starts_with("x12/")
    }

    fn found(self) -> Found {
        let of_persons = self.person.iter().flat_map(|person| &person.problems).cloned();
        Found {
            disposition: self.disposition,
            problems: of_persons.chain(self.problems).collect(),
            answers: self.answers,
            events: self.event,
            persons: self.person.len(),
        }
    }
}

/// A host with a channel for each file, like the demo's channel of its format.
async fn host_for(files: &[Expected]) -> TestHost {
    let mut setup = Setup::demo();
    for (number, expected) in files.iter().enumerate() {
        let (connector, documents, proof) = match expected.is_x12() {
            true => ("x12", "\"x12/850\" = \"x12-orders\"", "token_sha256 = \"${EDI_TOKEN_SHA256}\""),
            false => ("adobe-commerce", "\"adobe/order\" = \"adobe-orders\"", "secret_file = \"${SHOP_SECRET_FILE}\""),
        };
        // What a partner agrees who names no currency, and a shop, which names no unit.
        let agreed = if expected.is_x12() { "currency = \"USD\"" } else { "unit = \"EA\"" };
        let channel = format!(
            "\n[[sender]]\nchannel = \"file-{number}\"\nid = \"sender\"\n{proof}\n\n\
             [[channel]]\nid = \"file-{number}\"\nconnector = \"{connector}\"\ndocuments = {{ {documents} }}\n\
             scorers = []\ntarget = \"erp\"\nexception_queue = \"integration\"\nsettings = {{ {agreed} }}\n"
        );
        setup = setup.append("portreeve.toml", &channel);
    }
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_file_becomes_what_was_written_down_from_reading_it() {
    let text = std::fs::read_to_string(tree().root().join("tests/fixtures-expected.toml")).unwrap();
    let expectations: Expectations = toml::from_str(&text).unwrap();
    let Some(folder) = tree().root().parent().map(|parent| parent.join("shared/fixtures")).filter(|it| it.is_dir())
    else {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    };
    let known: BTreeSet<PathBuf> = expectations.file.iter().map(|expected| folder.join(&expected.path)).collect();
    let present: BTreeSet<PathBuf> =
        ["x12", "adobe-commerce"].iter().flat_map(|channel| crate::fixtures::fixtures(channel)).collect();
    assert_eq!(known, present, "each file has its expectation");

    let host = host_for(&expectations.file).await;
    let (mut orders, mut refused, mut repeated, mut wrong) = (0, 0, 0, Vec::new());
    for (number, expected) in expectations.file.into_iter().enumerate() {
        let bytes = std::fs::read(folder.join(&expected.path)).unwrap();
        let signature = shop_signature(&bytes);
        let credential = match expected.is_x12() {
            true => Credential::Bearer(EDI_TOKEN),
            false => Credential::Signature { hex: &signature, body: &bytes },
        };
        let accepted = host.send(&format!("file-{number}"), credential, &bytes).await.unwrap();
        let syntax = accepted.finding.as_ref().unwrap().problems.clone();
        let persons = for_persons(&host, accepted.input).await;
        let found = found(Outcome::of(&host.host.pipeline, accepted).await.unwrap(), persons);
        orders += found.events.len();
        refused += usize::from(found.disposition == "rejected");
        repeated += expected.repeated;
        if let Some(offset) = expected.offset {
            assert_eq!(syntax[0].position.offset_bytes, Some(offset), "{}", expected.path);
        }
        if let Some(line) = expected.line {
            assert_eq!(syntax[0].position.segment, Some(line), "{}", expected.path);
        }
        let (path, wanted) = (expected.path.clone(), expected.found());
        if found != wanted {
            wrong.push(format!("{path}\n  found    {found:?}\n  expected {wanted:?}"));
        }
    }
    say(&format!("read {} public files: {orders} orders, {refused} refused", present.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(repetitions(&host).await, repeated, "interchanges that repeat an earlier one of their file");
    host.verify().await.unwrap();
}

/// Interchanges on record that came before.
async fn repetitions(host: &TestHost) -> usize {
    let in_leaf = |body: &LeafBody| match body {
        LeafBody::Accept(accept) => {
            let shown = accept.envelopes.shown().iter();
            shown.filter(|envelope| envelope.outcome == EnvelopeOutcome::Repeated).count()
        }
        _ => 0,
    };
    host.leaves().await.iter().map(|leaf| in_leaf(&leaf.body)).sum()
}

/// Documents that nothing can be made of, whatever is wrong with each.
async fn for_persons(host: &TestHost, input: InputId) -> usize {
    let pipeline = &host.host.pipeline;
    let mut persons = 0;
    for document in pipeline.store.input_documents(input, u32::MAX).await.unwrap() {
        persons += usize::from(matches!(pipeline.preview(&document).await, Preview::Unmapped(_)));
    }
    persons
}

/// What is printed of a file of which so many documents are a person's.
fn found(outcome: Outcome, persons: usize) -> Found {
    let Outcome { disposition, events, acknowledgement, problems } = outcome;
    let event = |event: Box<RawValue>| {
        let event: serde_json::Value = serde_json::from_str(event.get()).unwrap();
        let json = serde_json::json!({ "type": event["type"], "data": event["data"] });
        summary(&Event::from_json(&serde_json::to_vec(&json).unwrap()).unwrap())
    };
    Found {
        disposition,
        answers: answers(&acknowledgement.unwrap_or_default()),
        events: events.into_iter().map(event).collect(),
        persons,
        problems: problems.into_iter().map(|problem| problem.code).collect(),
    }
}

/// The judging segments of an X12 reply, or the shop's operation.
fn answers(text: &str) -> Vec<String> {
    if let Ok(operations) = serde_json::from_str::<Vec<serde_json::Value>>(text) {
        return operations.iter().map(|operation| operation["op"].as_str().unwrap().to_owned()).collect();
    }
    let segments =
        text.split("~\n").filter(|segment| ["TA1*", "AK5*", "AK9*"].iter().any(|tag| segment.starts_with(tag)));
    segments.map(str::to_owned).collect()
}

fn summary(event: &Event) -> ExpectedEvent {
    let Event::OrderCreated(order) = event else { panic!("not a created order: {event:?}") };
    let amount = |amount: portreeve_model::Money| amount.to_string().replace(" USD", "");
    let mut total = 0;
    let lines = order.lines.iter().map(|line| {
        let extended = line.unit_price.extended(&line.quantity).unwrap();
        total += extended.minor;
        let buyer = line.buyer_sku.as_deref().unwrap_or_default();
        let price = line.unit_price.to_string().replace(" USD", "");
        format!("{} | {} | {buyer} | {} | {price} | {}", line.number, line.sku, line.quantity, amount(extended))
    });
    let lines = lines.collect();
    ExpectedEvent {
        event: "order.created".to_owned(),
        number: order.number.clone(),
        customer: order.customer.id.clone(),
        ship_to: order.ship_to.as_ref().and_then(|place| place.id.clone()),
        placed: order.placed_at.and_then(|at| at.date()).map(|date| date.to_string()),
        requested: order.requested_delivery.map(|date| date.to_string()),
        currency: order.currency.to_string(),
        usage: usage(order),
        lines,
        total: amount(portreeve_model::Money { minor: total, currency: order.currency }),
        stated: ExpectedTotals {
            lines: order.totals.lines.map(amount),
            shipping: order.totals.shipping.map(amount),
            tax: order.totals.tax.map(amount),
            discount: order.totals.discount.map(amount),
            grand: order.totals.grand.map(amount),
        },
    }
}

/// ISA15 as the order carries it: no word means production. Shops have none.
fn usage(order: &Order) -> Option<String> {
    let extension = |name: &str| order.extensions.iter().find(|extension| extension.name == name);
    extension("x12:version")?;
    Some(extension("x12:usage").map_or("P", |extension| extension.value.as_str()).to_owned())
}
