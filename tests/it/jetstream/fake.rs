//! A NATS server in a hundred lines, for what a real one cannot be made to do: to name servers that
//! are none of its own, to lose an acknowledgement after it stored the message, to say nothing, to
//! say anything, to say it without an end.
//!
//! It has one stream, `ORDERS`, and knows a message again by `Nats-Msg-Id`, as JetStream does.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How it greets.
#[derive(Debug, Clone)]
pub(crate) enum Greets {
    /// As a server of this version, which names these others.
    As(&'static str, Vec<String>),
    /// As a server the first time, and with this whenever it is asked again.
    WellAndThen(&'static [u8]),
    /// With this.
    With(&'static [u8]),
    /// With a line that never ends.
    Endlessly,
    /// Not at all.
    Never,
}

/// A message that it stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) expected_stream: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    /// How often it came.
    pub(crate) times: u32,
}

/// What happened to it.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Connections.
    pub(crate) visits: u32,
    /// What clients said of themselves.
    pub(crate) introduced: Vec<Value>,
    pub(crate) stored: Vec<Stored>,
    /// Acknowledgements that are still to be lost.
    pub(crate) lose_acks: u32,
    /// Whether it lets its last message under a subject be looked at.
    pub(crate) is_open: bool,
    /// What it answers instead of acknowledging.
    pub(crate) answer: Option<Value>,
}

/// A running one.
pub(crate) struct Fake {
    port: u16,
    books: Arc<Mutex<Books>>,
    serving: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Fake {
    pub(crate) async fn start(greets: Greets) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let books = Arc::<Mutex<Books>>::default();
        let kept = Arc::clone(&books);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (greets, books) = (greets.clone(), Arc::clone(&kept));
                // Whoever hangs up in the middle has done so.
                tokio::spawn(async move { drop(serve(stream, greets, books).await) });
            }
        });
        Self { port, books, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}

fn greeting(version: &str, others: &[String]) -> String {
    let info = json!({
        "server_id": "FAKE", "version": version, "headers": true, "max_payload": 1_048_576, "jetstream": true,
        "proto": 1, "host": "127.0.0.1", "port": 4222, "connect_urls": others
    });
    format!("INFO {info}\r\n")
}

async fn serve(stream: TcpStream, greets: Greets, books: Arc<Mutex<Books>>) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let visits = {
        let mut books = books.lock().unwrap();
        books.visits += 1;
        books.visits
    };
    match greets {
        Greets::As(version, others) => writing.write_all(greeting(version, &others).as_bytes()).await?,
        Greets::WellAndThen(_) if visits == 1 => writing.write_all(greeting("2.10.0", &[]).as_bytes()).await?,
        Greets::WellAndThen(bytes) | Greets::With(bytes) => {
            writing.write_all(bytes).await?;
            return writing.shutdown().await;
        }
        Greets::Endlessly => {
            writing.write_all(b"INFO {\"version\":\"").await?;
            loop {
                writing.write_all(&[b'9'; 4096]).await?;
            }
        }
        Greets::Never => {}
    }
    let mut reader = BufReader::new(reading);
    let mut answers_to = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first().copied().unwrap_or_default() {
            "CONNECT" => {
                let said = line.trim_start_matches("CONNECT").trim();
                books.lock().unwrap().introduced.push(serde_json::from_str(said).unwrap());
            }
            "PING" => writing.write_all(b"PONG\r\n").await?,
            "SUB" => answers_to = words.last().unwrap().to_string(),
            "PUB" | "HPUB" => {
                let sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
                let mut payload = vec![0; sizes.last().unwrap() + 2];
                reader.read_exact(&mut payload).await?;
                payload.truncate(payload.len() - 2);
                let (subject, reply) = (words[1], words[2]);
                let head = if words[0] == "HPUB" { sizes[0] } else { 0 };
                let answer = books.lock().unwrap().answer(subject, &payload[..head], &payload[head..]);
                let Some(answer) = answer.map(|answer| answer.to_string()) else {
                    return writing.shutdown().await;
                };
                let head = format!("MSG {reply} {answers_to} {}\r\n{answer}\r\n", answer.len());
                writing.write_all(head.as_bytes()).await?;
            }
            _ => {}
        }
    }
}

impl Books {
    fn answer(&mut self, subject: &str, head: &[u8], body: &[u8]) -> Option<Value> {
        match subject {
            "$JS.API.STREAM.INFO.ORDERS" => Some(stream_info()),
            "$JS.API.STREAM.MSG.GET.ORDERS" => Some(self.last(body)),
            _ => self.take(subject, head, body),
        }
    }

    /// The last message under a subject.
    fn last(&self, asked: &[u8]) -> Value {
        let asked: Value = serde_json::from_slice(asked).unwrap();
        let (place, found) = match self.stored.iter().enumerate().rfind(|(_, one)| one.subject == asked["last_by_subj"])
        {
            Some(found) if self.is_open => found,
            _ => return json!({"error": {"code": 404, "err_code": 10037, "description": "no message found"}}),
        };
        let head = STANDARD.encode(format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", found.id));
        let (seq, time) = (place + 1, "2026-03-02T08:00:00Z");
        json!({"message": {"subject": found.subject, "seq": seq, "hdrs": head, "data": "", "time": time}})
    }

    /// The answer; none where it gets lost with the connection.
    fn take(&mut self, subject: &str, head: &[u8], body: &[u8]) -> Option<Value> {
        if let Some(answer) = &self.answer {
            return Some(answer.clone());
        }
        let head = std::str::from_utf8(head).unwrap();
        let header = |name: &str| {
            let values = head.lines().filter_map(|line| line.split_once(':'));
            let mut values = values.filter(|(found, _)| found.eq_ignore_ascii_case(name));
            values.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let id = header("Nats-Msg-Id");
        let known = self.stored.iter().position(|stored| stored.id == id);
        let place = known.unwrap_or_else(|| {
            self.stored.push(Stored {
                subject: subject.to_owned(),
                id,
                expected_stream: header("Nats-Expected-Stream"),
                content_type: header("content-type"),
                body: serde_json::from_slice(body).unwrap(),
                times: 0,
            });
            self.stored.len() - 1
        });
        self.stored[place].times += 1;
        if self.lose_acks > 0 {
            self.lose_acks -= 1;
            return None;
        }
        Some(json!({"stream": "ORDERS", "seq": place + 1, "duplicate": known.is_some()}))
    }
}

fn stream_info() -> Value {
    json!({
        "type": "io.nats.jetstream.api.v1.stream_info_response",
        "config": {
            "name": "ORDERS", "subjects": ["orders.>"], "retention": "limits", "max_consumers": -1, "max_msgs": -1,
            "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1, "discard": "old", "storage": "file",
            "num_replicas": 1, "duplicate_window": 120_000_000_000_u64
        },
        "created": "2026-03-02T08:00:00Z",
        "state": {
            "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "0001-01-01T00:00:00Z", "last_seq": 0,
            "last_ts": "0001-01-01T00:00:00Z", "consumer_count": 0
        }
    })
}
