//! The log holds ids, codes and counts, and nothing that an order, a sender or a
//! target says, whatever its level and form.
//!
//! The host is the product's command in a process of its own, this test binary
//! started again: what is read is what an operator's collector gets.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use clap::Parser;
use hyper::Method;
use portreeve::client::{self, Answer};
use portreeve::command::{self, CommandLine};
use serde_json::Value;

use super::commands::stopped;
use crate::support::{EDI_TOKEN, OPERATOR_TOKEN, PurchaseOrder, ScriptedTarget, Setup, sample, shop_signature, x12};

/// What tells this binary to be the product: its arguments.
const ARGUMENTS: &str = "PORTREEVE_LOGGING_ARGUMENTS";
/// Where the line with the address begins.
const LISTENING: &str = "listening on http://";

/// What must not be in a log, each told by one word that occurs nowhere else.
const MARKED: [&str; 7] =
    ["Quillfeather", "Marmalade Lane", "quill@inkwell", "5550199", "token-of-mine", "UNLIKELY", "forged"];

/// The product, until it is stopped. In a run of the tests it is told nothing and has
/// nothing to do.
#[test]
fn the_process_that_logs() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments = ["portreeve"].into_iter().chain(arguments.lines());
    command::run(CommandLine::try_parse_from(arguments).unwrap()).unwrap();
}

struct Process {
    child: Child,
    // Kept: whoever says its last word to nobody fails.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Process {
    fn start(folder: &str, format: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "front::logs::the_process_that_logs", "--nocapture"])
            .env(ARGUMENTS, ["serve", "--data-dir", folder, "--log-format", format].join("\n"))
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = stdout.by_ref().lines().map_while(Result::ok);
        let address = lines.into_iter().find_map(|line| line.split_once(LISTENING)?.1.trim().parse().ok());
        Self { child, _stdout: stdout, address: address.expect("it does not listen") }
    }

    async fn post(&self, channel: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (path, body) = (format!("/v1/channels/{channel}"), Bytes::copy_from_slice(body));
        client::send(self.address, Method::POST, &path, headers, body).await.unwrap()
    }

    /// An order of the EDI gateway.
    async fn order(&self, body: &[u8]) -> Answer {
        self.post("edi", &[("authorization", &format!("Bearer {EDI_TOKEN}"))], body).await
    }

    async fn summary(&self) -> Value {
        let bearer = format!("Bearer {OPERATOR_TOKEN}");
        let headers = [("authorization", bearer.as_str())];
        let answer = client::send(self.address, Method::GET, "/v1/summary", &headers, Bytes::new()).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Stops it, and returns all that it logged. The reader is another thread, or a
    /// full pipe would stop the host.
    fn stop(mut self, log: std::thread::JoinHandle<String>) -> String {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
        assert!(self.child.wait().unwrap().success());
        log.join().unwrap()
    }

    fn log(&mut self) -> std::thread::JoinHandle<String> {
        let mut stderr = self.child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        })
    }
}

/// An order with a name, a street, an address and a telephone number in its segments.
fn marked(control: u32) -> String {
    let order = String::from_utf8(x12(control, &PurchaseOrder::clean(&format!("PO-{control}")))).unwrap();
    order
        .replace("DTM*002*20260330", "DTM*002*20991231")
        .replace("The Customer", "Zephyrine Quillfeather")
        .replace("230 Commerce Ave", "77 Marmalade Lane")
        .replace("N4*Tucson", "PER*BD*Zephyrine Quillfeather*EM*quill@inkwell.example*TE*5550199~\nN4*Tucson")
        // One segment more.
        .replace("SE*12*", "SE*13*")
}

/// An order of the shop, its personal values replaced.
fn marked_shop_order() -> Vec<u8> {
    let mut order: Value = serde_json::from_slice(&sample("adobe-commerce", "0001")).unwrap();
    order["customer_lastname"] = "Quillfeather".into();
    order["customer_email"] = "quill@inkwell.example".into();
    order["billing_address"]["street"] = serde_json::json!(["77 Marmalade Lane"]);
    order["order_currency_code"] = "UNLIKELY".into();
    serde_json::to_vec(&order).unwrap()
}

/// A target that takes the first order and answers every other with what it was sent.
async fn echo() -> ScriptedTarget {
    let posts = Arc::new(AtomicU32::new(0));
    ScriptedTarget::start(move |method, body: Bytes| {
        let first = method == Method::POST && posts.fetch_add(1, Ordering::Relaxed) == 0;
        let said = String::from_utf8_lossy(&body).into_owned();
        async move { if first { (201, r#"{"id":"1","number":"S-1"}"#.to_owned()) } else { (400, said) } }
    })
    .await
}

/// All that can be said to a host in one morning, and what it logs about it.
async fn log_of(format: &str) -> String {
    let erp = echo().await;
    let drops = tempfile::tempdir().unwrap();
    let mut entry = "\n[[folder]]\nchannel = \"edi\"\npoll_ms = 1\n".to_owned();
    for (key, place) in [("inbox", "in"), ("outbox", "out"), ("failed", "failed")] {
        std::fs::create_dir(drops.path().join(place)).unwrap();
        entry.push_str(&format!("{key} = \"{}\"\n", drops.path().join(place).display()));
    }
    let setup = Setup::demo()
        .scorers(&["margin"])
        .replace("portreeve.toml", "127.0.0.1:8080", "127.0.0.1:0")
        .append("portreeve.toml", &entry);
    let folder = stopped(&setup, erp.origin()).await;
    let mut host = Process::start(folder.path().to_str().unwrap(), format);
    let log = host.log();

    // Taken, decided, delivered or refused by the target with the order in its words.
    for control in 1..=2 {
        let answer = host.order(marked(control).as_bytes()).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(host.order(marked(1).as_bytes()).await.header("x-portreeve-duplicate"), Some("true"));
    // Refused: another content in the same envelope, no interchange, an unknown item,
    // a currency that is none, strangers with a token of somebody's, a forged line.
    assert_eq!(host.order(marked(1).replace("Lane", "Lane 78").as_bytes()).await.status, 422);
    host.order(b"Zephyrine Quillfeather, 77 Marmalade Lane").await;
    host.order(marked(3).replace("FST-1007", "UNLIKELY-ITEM").as_bytes()).await;
    host.order(marked(4).replace("N1*BY", "CUR*BY*UNLIKELY~\nN1*BY").as_bytes()).await;
    let shop = marked_shop_order();
    host.post("shop", &[("x-portreeve-signature", &shop_signature(&shop))], &shop).await;
    host.post("shop", &[("x-portreeve-signature", "token-of-mine")], &shop).await;
    let stranger = [("authorization", "Bearer token-of-mine")];
    assert_eq!(host.post("edi", &stranger, marked(9).as_bytes()).await.status, 401);
    assert_eq!(host.post("Quillfeather%0Aforged", &stranger, b"").await.status, 401);
    // A file that is taken and one that is not, both named after somebody.
    std::fs::write(drops.path().join("Quillfeather.part"), marked(5)).unwrap();
    std::fs::rename(drops.path().join("Quillfeather.part"), drops.path().join("in/Quillfeather.edi")).unwrap();
    std::fs::create_dir(drops.path().join("in/Zephyrine Quillfeather")).unwrap();
    loop {
        let summary = host.summary().await;
        let count = |what: &str| summary[what].as_u64().unwrap();
        let failed = std::fs::read_dir(drops.path().join("failed")).unwrap().count();
        if count("delivered") == 1 && count("dead") == 2 && count("undecided") == 0 && failed == 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    host.stop(log)
}

fn leaks(log: &str) -> Vec<&str> {
    log.lines().filter(|line| MARKED.iter().any(|marked| line.contains(marked))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_holds_what_an_order_a_sender_or_a_target_says() {
    assert_eq!(leaks("an order\nof Zephyrine Quillfeather\n"), ["of Zephyrine Quillfeather"]);
    for format in ["text", "json"] {
        let log = log_of(format).await;
        assert!(leaks(&log).is_empty(), "{format}: {:#?}", leaks(&log));
        // It is no silent log that holds nothing.
        for told in ["the plugins are loaded", "its sender is not authenticated", "a file was refused", "not-a-file"] {
            assert!(log.contains(told), "{format}: `{told}` is missing in {log}");
        }
        if format == "json" {
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                let parts = ["timestamp", "level", "target"].map(|part| line[part].is_string());
                assert_eq!((parts, line["fields"].is_object()), ([true; 3], true), "{line}");
            }
        }
    }
}
