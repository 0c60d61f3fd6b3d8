//! A real NATS server with a JetStream that writes to its disk before it acknowledges, on a free
//! loopback port, which the test kills and starts again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Config;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{say, tree};

/// Names the program; without it one is looked for on the path, and where `.ci/run` puts one.
const CHOSEN: &str = "PORTREEVE_NATS_SERVER";

/// A server that says nothing for so long is none.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct NatsServer {
    program: PathBuf,
    folder: TempDir,
    more: String,
    pub(crate) port: u16,
    child: Child,
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A message of the stream, as it lies there.
#[derive(Debug, Clone)]
pub(crate) struct Lies {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) content_type: String,
    pub(crate) event: Value,
}

impl NatsServer {
    /// With more lines in its configuration; none, said aloud, where there is no program.
    pub(crate) fn start_or_skip(more: &str) -> Option<Self> {
        let Some(program) = program() else {
            say(&format!(
                "SKIPPED: a test against a real NATS server was not run: there is no nats-server of version 2.10 or later; install one, or let `{CHOSEN}` name it"
            ));
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (child, port) = run(&program, folder.path(), more, None);
        Some(Self { program, folder, more: more.to_owned(), port, child })
    }

    /// As an operating system kills.
    pub(crate) fn kill(&mut self) {
        // It may be dead already.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    /// Again, where it was and with what it has.
    pub(crate) fn start_again(&mut self) {
        let (child, port) = run(&self.program, self.folder.path(), &self.more, Some(self.port));
        assert_eq!(port, self.port);
        self.child = child;
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its operator.
    pub(crate) async fn operator(&self) -> Context {
        async_nats::jetstream::new(async_nats::connect(self.url()).await.unwrap())
    }

    /// Makes the stream.
    pub(crate) async fn with_stream(&self, change: impl FnOnce(&mut Config)) {
        let (name, subjects) = ("ORDERS".to_owned(), vec!["orders.>".to_owned()]);
        let mut config = Config { name, subjects, duplicate_window: Duration::from_secs(120), ..Config::default() };
        change(&mut config);
        self.operator().await.create_stream(config).await.unwrap();
    }

    /// Everything that lies in the stream, in order.
    pub(crate) async fn ledger(&self) -> Vec<Lies> {
        let operator = self.operator().await;
        let stream = operator.get_stream("ORDERS").await.unwrap();
        let state = &stream.cached_info().state;
        let mut lies = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            lies.push(read(&stream.get_raw_message(sequence).await.unwrap()));
        }
        lies
    }
}

fn read(message: &StreamMessage) -> Lies {
    let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
    Lies {
        subject: message.subject.to_string(),
        id: header("Nats-Msg-Id"),
        content_type: header("content-type"),
        event: serde_json::from_slice(&message.payload).unwrap(),
    }
}

fn program() -> Option<PathBuf> {
    if let Some(chosen) = std::env::var_os(CHOSEN) {
        let chosen = PathBuf::from(chosen);
        assert!(
            is_recent(&chosen),
            "`{CHOSEN}` names `{}`, which is no nats-server of 2.10 or later",
            chosen.display()
        );
        return Some(chosen);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([tree().target().join("nats/usr/sbin")]);
    folders.map(|folder| folder.join("nats-server")).find(|program| program.is_file() && is_recent(program))
}

/// `nats-server: v2.15.1`.
fn is_recent(program: &Path) -> bool {
    let Ok(said) = Command::new(program).arg("--version").output() else { return false };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut parts = said.trim().rsplit('v').next().unwrap_or_default().split('.').map(|part| part.parse::<u32>().ok());
    matches!((parts.next(), parts.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) >= (2, 10))
}

fn run(program: &Path, folder: &Path, more: &str, port: Option<u16>) -> (Child, u16) {
    let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    let store = folder.join("store");
    let config = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n{more}\n",
        store.display()
    );
    let file = folder.join("nats.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (tell, hear) = channel();
    std::thread::spawn(move || {
        // To its end: a server whose output nobody reads stands still.
        for line in stderr.lines().map_while(Result::ok) {
            drop(tell.send(line));
        }
    });
    (child, ready(&hear))
}

/// Waits until it takes clients; gives the port.
fn ready(hear: &Receiver<String>) -> u16 {
    let (mut port, mut said) = (None, Vec::new());
    while let Ok(line) = hear.recv_timeout(READY_WITHIN) {
        if let Some((_, address)) = line.split_once("Listening for client connections on ") {
            port = address.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        }
        let is_ready = line.contains("Server is ready");
        said.push(line);
        if let (true, Some(port)) = (is_ready, port) {
            return port;
        }
    }
    panic!("the NATS server does not start:\n{}", said.join("\n"));
}
