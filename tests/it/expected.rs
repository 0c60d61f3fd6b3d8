//! The public files of the two channels against `tests/fixtures-expected.toml`:
//! the right events with the right sums, or the right refusal with its reason.
//!
//! The files are not part of the project; where they are absent the test says so.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portreeve_model::{Event, Failure, Order, Received};
use serde::Deserialize;

use crate::at_the_plugin::Plugins;
use crate::support::{say, tree};

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
    disposition: &'static str,
    problems: Vec<String>,
    answers: Vec<String>,
    repeated: usize,
    events: Vec<ExpectedEvent>,
    persons: Vec<Vec<String>>,
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

    let plugins = Plugins::demo().await;
    let (mut orders, mut refused, mut wrong) = (0, 0, Vec::new());
    for expected in expectations.file {
        let bytes = std::fs::read(folder.join(&expected.path)).unwrap();
        let (connector, transformer) =
            if expected.path.starts_with("x12/") { ("x12", "x12-orders") } else { ("adobe-commerce", "adobe-orders") };
        let received = plugins.receive(connector, &bytes, &[]).await;
        let position = received.problems.first().map(|problem| problem.position.clone());
        let found = found(&plugins, transformer, &bytes, received).await;
        orders += found.events.len();
        refused += usize::from(found.disposition == "rejected");
        if let Some(offset) = expected.offset {
            assert_eq!(position.as_ref().unwrap().offset_bytes, Some(offset), "{}", expected.path);
        }
        if let Some(line) = expected.line {
            assert_eq!(position.unwrap().segment, Some(line), "{}", expected.path);
        }
        let wanted = Found {
            disposition: match expected.disposition.as_str() {
                "accepted" => "accepted",
                "rejected" => "rejected",
                "accepted-with-exception" => "accepted-with-exception",
                other => panic!("`{other}` is no disposition"),
            },
            problems: expected.problems,
            answers: expected.answers,
            repeated: expected.repeated,
            events: expected.event,
            persons: expected.person.into_iter().map(|person| person.problems).collect(),
        };
        if found != wanted {
            wrong.push(format!("{}\n  found    {found:?}\n  expected {wanted:?}", expected.path));
        }
    }
    say(&format!("read {} public files: {orders} orders, {refused} refused", present.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn found(plugins: &Plugins, transformer: &str, bytes: &[u8], received: Received) -> Found {
    let mut digests = BTreeSet::new();
    let repeated = |envelope: u32| {
        let envelope = &received.envelopes[usize::try_from(envelope).unwrap()];
        !digests.insert((envelope.key.clone(), envelope.digest(bytes).unwrap()))
    };
    let again: Vec<bool> = (0..).take(received.envelopes.len()).map(repeated).collect();
    let (mut events, mut persons) = (Vec::new(), Vec::new());
    for document in &received.documents {
        if document.envelope.is_some_and(|envelope| again[usize::try_from(envelope).unwrap()]) {
            continue;
        }
        match plugins.map(transformer, document, &[]).await {
            Ok(of_document) => events.extend(of_document.iter().map(summary)),
            Err(Failure::Invalid(problems)) => {
                persons.push(problems.into_iter().map(|problem| problem.code).collect());
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
    let problems: BTreeSet<String> = received.problems.iter().map(|problem| problem.code.clone()).collect();
    Found {
        // As the host tells them apart.
        disposition: match (received.documents.is_empty(), problems.is_empty()) {
            (_, true) => "accepted",
            (true, false) => "rejected",
            (false, false) => "accepted-with-exception",
        },
        problems: problems.into_iter().collect(),
        answers: answers(&received),
        repeated: again.into_iter().filter(|again| *again).count(),
        events,
        persons,
    }
}

/// The judging segments of an X12 reply, or the shop's operation.
fn answers(received: &Received) -> Vec<String> {
    let text = String::from_utf8(received.reply.body.clone()).unwrap();
    if let Ok(operations) = serde_json::from_str::<Vec<serde_json::Value>>(&text) {
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
