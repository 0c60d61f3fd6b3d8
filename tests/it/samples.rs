//! Samples of what connectors deliver: a message, what the target is asked with it and answers, and
//! what comes of it. Each is a file of the connector, which this plays against a target of its own:
//!
//! ```toml
//! kind = "business-central/sales-order"
//! content_type = "application/json"
//! natural_key = "62a62da1-dd67-5df3-9650-8f4b016fd91e"
//! body = '{"externalDocumentNumber":"62a62da1dd675df396508f4b016fd91e"}'
//! settings = { base-url = "TARGET/api/v2.0", company = "1" }   # TARGET: whoever listens
//! outcome = { receipt = "S-ORD101001" }    # or { invalid = CODE }, "retry", "permanent", "unknown-outcome"
//!
//! [[exchange]]                             # in their order, and no others
//! method = "POST"
//! path = "/api/v2.0/companies(1)/salesOrders"
//! sends = '{}'                             # without it the message's body as it is
//! status = 201
//! answers = '{"number":"S-ORD101001"}'     # without it nothing
//! ```

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::{Method, StatusCode, Uri};
use portreeve_model::Failure;
use portreeve_model::document::{Message, Receipt};
use portreeve_registry::Manifest;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::at_the_plugin::Plugins;
use crate::support::{Setup, tree};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    kind: String,
    content_type: String,
    natural_key: String,
    body: String,
    settings: BTreeMap<String, String>,
    exchange: Vec<Exchange>,
    outcome: CameOf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    method: String,
    path: String,
    sends: Option<String>,
    status: u16,
    #[serde(default)]
    answers: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CameOf {
    Receipt(String),
    Invalid(String),
    Retry,
    Permanent,
    UnknownOutcome,
}

impl CameOf {
    fn of(result: Result<Receipt, Failure>) -> Self {
        match result {
            Ok(receipt) => Self::Receipt(receipt.external_id),
            Err(Failure::Invalid(problems)) => Self::Invalid(problems[0].code.clone()),
            Err(Failure::Retry(_)) => Self::Retry,
            Err(Failure::Permanent(_)) => Self::Permanent,
            Err(Failure::UnknownOutcome(_)) => Self::UnknownOutcome,
        }
    }
}

/// Method, path and body of a request.
type Asked = (String, String, String);

/// Plays a sample; says how it went otherwise than it says.
async fn play(plugins: &Plugins, connector: &str, text: &str) -> Result<(), String> {
    let sample: Sample = toml::from_str(text).map_err(|error| error.to_string())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let (seen, exchanges) = (Arc::clone(&asked), sample.exchange.clone());
    let routes = axum::Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
        let mut seen = seen.lock().unwrap();
        let answer = exchanges.get(seen.len()).map(|exchange| (exchange.status, exchange.answers.clone()));
        seen.push((method.to_string(), uri.to_string(), String::from_utf8_lossy(&body).into_owned()));
        // What nobody expected is told by what was asked.
        let (status, body) = answer.unwrap_or((404, String::new()));
        async move { (StatusCode::from_u16(status).unwrap(), body) }
    });
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });

    let origin = format!("http://{address}");
    let settings: Vec<(String, String)> =
        sample.settings.into_iter().map(|(name, value)| (name, value.replace("TARGET", &origin))).collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (kind, content_type) = (sample.kind, sample.content_type);
    let message = Message { kind, content_type, body: sample.body.clone().into_bytes() };
    let result = plugins.deliver_to(connector, address, message, &sample.natural_key, &settings).await;
    serving.abort();

    let expected: Vec<Asked> = sample
        .exchange
        .into_iter()
        .map(|exchange| (exchange.method, exchange.path, exchange.sends.unwrap_or_else(|| sample.body.clone())))
        .collect();
    let asked = asked.lock().unwrap().clone();
    if asked != expected {
        return Err(format!("the target was asked\n{asked:#?}\nexpected\n{expected:#?}\nand it came to {result:?}"));
    }
    let said = format!("{result:?}");
    if CameOf::of(result) == sample.outcome { Ok(()) } else { Err(format!("{said}; expected {:?}", sample.outcome)) }
}

/// The folders of connectors, and whether each delivers.
fn connectors() -> Vec<(String, PathBuf, bool)> {
    let folders =
        tree().plugins().unwrap().into_iter().filter(|folder| folder.parent().unwrap().ends_with("connectors"));
    let connector = |folder: PathBuf| {
        let manifest = Manifest::parse(&std::fs::read_to_string(folder.join("plugin.toml")).unwrap()).unwrap();
        (manifest.plugin.name.to_string(), folder, !manifest.handles.delivers.is_empty())
    };
    folders.map(connector).collect()
}

fn samples(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join("samples")) else { return Vec::new() };
    let mut samples: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    samples.sort();
    samples
}

async fn plugins() -> Plugins {
    let http = "{ http = [\"GET\", \"POST\"] }";
    let setup = Setup::demo()
        .plugin("adobe-commerce-rest", http)
        .plugin("avatax", http)
        .plugin("standard-webhooks", "{ http = [\"POST\"] }")
        .plugin("x12-send", "{ http = [\"POST\"] }");
    Plugins::of(setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_a_message_asks_its_target_what_it_says_and_comes_to_what_it_says() {
    let plugins = plugins().await;
    let mut played = BTreeMap::new();
    let mut wrong = Vec::new();
    for (connector, folder, delivers) in connectors() {
        for path in samples(&folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "toml")) {
            assert!(delivers, "{} is of a connector that delivers nothing", path.display());
            let result = play(&plugins, &connector, &std::fs::read_to_string(&path).unwrap()).await;
            wrong.extend(result.err().map(|error| format!("{}: {error}", path.display())));
            *played.entry(connector.clone()).or_insert(0) += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let played: Vec<&str> = played.keys().map(String::as_str).collect();
    assert_eq!(played, ["adobe-commerce-rest", "avatax", "erp-rest", "standard-webhooks", "x12-send"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_asks_or_comes_to_something_else_is_told() {
    let plugins = plugins().await;
    let folder = tree().root().join("plugins/connectors/erp-rest");
    let text = std::fs::read_to_string(&samples(&folder)[0]).unwrap();
    assert_eq!(play(&plugins, "erp-rest", &text).await, Ok(()));
    for (from, to, told) in [
        ("/salesOrders\"", "/salesQuotes\"", "salesQuotes"),
        ("receipt = \"S-ORD101001\"", "receipt = \"S-ORD101002\"", "S-ORD101002"),
        ("status = 201", "sends = '{}'\nstatus = 201", "{}"),
        ("[[exchange]]", "[[exchange]]\nmethod = \"GET\"\npath = \"/\"\nstatus = 200\n\n[[exchange]]", "GET"),
    ] {
        assert!(text.contains(from), "the sample has no `{from}` any more");
        let error = play(&plugins, "erp-rest", &text.replace(from, to)).await.unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn every_connector_has_samples() {
    let without = connectors().into_iter().filter(|(_, folder, _)| samples(folder).is_empty());
    assert_eq!(without.map(|(name, ..)| name).collect::<Vec<_>>(), Vec::<String>::new());
}
