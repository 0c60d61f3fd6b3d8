//! A NATS server with one JetStream stream that whoever analyses orders reads: as much of the
//! protocol as a publisher speaks.
//!
//! ```text
//! S: INFO {"version","jetstream",…}            C: CONNECT {…}   PING   S: PONG
//! C: SUB inbox.* sid
//! C: PUB|HPUB subject reply sizes, payload     S: MSG reply sid size, payload
//!      $JS.API.STREAM.INFO.ORDERS              what the stream is
//!      $JS.API.STREAM.MSG.GET.ORDERS           {"last_by_subj"}: the last message under a subject
//!      anything else                           {"stream","seq"[,"duplicate"]} once it lies there
//! ```
//!
//! As JetStream does, it knows a message again by `Nats-Msg-Id` and stores it once;
//! [`Streamed::times`] says how often it came, [`Streamed::changed`] how often with other bytes.
//! [`Mischief`] is that of the other stand-ins, by id and attempt: an answer that is lost takes the
//! connection with it, and the answers of all that was under way there.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portreeve_model::Digest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::mischief::{Mischief, SLOW_ANSWER, Trick};
use super::serving::entry;

/// The name of its stream, which has every subject below `orders.`.
pub const STREAM: &str = "ORDERS";

/// The version that it says it is: the first whose acknowledgement means that a message is synced.
const VERSION: &str = "2.10.0";

/// Bytes of a message, of a line of the protocol, and messages that are kept. A sender in a loop
/// meets a refusal before the process runs out of memory.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
const LINE_BYTES_MAX: u64 = 64 * 1024;
const KEPT_MAX: usize = 100_000;

/// A message that it stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streamed {
    /// Its place among the entries of all ledgers of the process.
    pub place: u64,
    /// `Nats-Msg-Id`.
    pub id: String,
    /// Where it lies in the stream.
    pub subject: String,
    /// The CloudEvent's type.
    pub kind: String,
    /// The host's id of the order.
    pub order: String,
    /// How often it came.
    pub times: u32,
    /// How often of those with other bytes than the first time.
    pub changed: u32,
    body: Digest,
}

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct Stream {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Books {
    mischief: Mischief,
    stored: Vec<Streamed>,
    attempts: BTreeMap<String, u32>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Stream {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(mischief: Mischief) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let books = Arc::new(Mutex::new(Books { mischief, ..Books::default() }));
        let kept = Arc::clone(&books);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let books = Arc::clone(&kept);
                // Whoever hangs up in the middle has done so: the ledger has what was stored.
                tokio::spawn(async move { drop(serve(stream, &books).await) });
            }
        });
        Ok(Self { address, books, serving })
    }

    /// Where it is: `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// What lies in the stream, in its order.
    #[must_use]
    pub fn ledger(&self) -> Vec<Streamed> {
        lock(&self.books).stored.clone()
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a request.
enum Ended {
    Answered(Value),
    /// The connection goes with it.
    Lost,
    /// It is answered when nobody waits any more.
    Late(Value),
}

async fn serve(stream: TcpStream, books: &Mutex<Books>) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let info = json!({
        "server_id": "STANDIN", "version": VERSION, "headers": true, "max_payload": PAYLOAD_BYTES_MAX,
        "jetstream": true, "proto": 1, "host": "127.0.0.1", "port": 4222,
    });
    writing.write_all(format!("INFO {info}\r\n").as_bytes()).await?;
    let mut reader = BufReader::new(reading);
    let mut answers_to = String::new();
    loop {
        let mut line = String::new();
        if (&mut reader).take(LINE_BYTES_MAX).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => writing.write_all(b"PONG\r\n").await?,
            ["SUB", .., sid] => answers_to = (*sid).to_owned(),
            ["PUB", subject, reply, size] => {
                let (_, body) = payload(&mut reader, "0", size).await?;
                let ended = lock(books).ended(subject, "", &body);
                answer(&mut writing, (reply, &answers_to), ended).await?;
            }
            ["HPUB", subject, reply, head, size] => {
                let (head, body) = payload(&mut reader, head, size).await?;
                let ended = lock(books).ended(subject, &String::from_utf8_lossy(&head), &body);
                answer(&mut writing, (reply, &answers_to), ended).await?;
            }
            _ => {}
        }
    }
}

/// Headers and body of what is published.
async fn payload(reader: &mut (impl AsyncReadExt + Unpin), head: &str, size: &str) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let size = size.parse().ok().filter(|size| *size <= PAYLOAD_BYTES_MAX).ok_or_else(unread)?;
    let mut bytes = vec![0; size];
    reader.read_exact(&mut bytes).await?;
    reader.read_exact(&mut [0; 2]).await?;
    let head = head.parse().ok().filter(|head| *head <= size).ok_or_else(unread)?;
    let body = bytes.split_off(head);
    Ok((bytes, body))
}

fn unread() -> io::Error {
    io::Error::other("found another size than a message has")
}

async fn answer(
    writing: &mut (impl AsyncWriteExt + Unpin),
    (reply, sid): (&str, &str),
    ended: Ended,
) -> io::Result<()> {
    let answer = match ended {
        Ended::Answered(answer) => answer,
        Ended::Late(answer) => {
            tokio::time::sleep(SLOW_ANSWER).await;
            answer
        }
        Ended::Lost => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
    };
    let answer = answer.to_string();
    writing.write_all(format!("MSG {reply} {sid} {}\r\n{answer}\r\n", answer.len()).as_bytes()).await
}

impl Books {
    fn ended(&mut self, subject: &str, head: &str, body: &[u8]) -> Ended {
        let of = |request: &str| subject.strip_prefix(request).is_some_and(|stream| stream == STREAM);
        if of("$JS.API.STREAM.INFO.") {
            return Ended::Answered(stream_info());
        }
        if of("$JS.API.STREAM.MSG.GET.") {
            return Ended::Answered(self.last(body));
        }
        self.publish(subject, head, body)
    }

    /// The last message under a subject.
    fn last(&self, asked: &[u8]) -> Value {
        let asked: Value = serde_json::from_slice(asked).unwrap_or_default();
        let wanted = asked.get("last_by_subj").and_then(Value::as_str).unwrap_or_default();
        let found = (1_u64..).zip(&self.stored).filter(|(_, stored)| stored.subject == wanted).last();
        let Some((seq, stored)) = found else { return refused(404, 10_037, "no message found") };
        let head = STANDARD.encode(format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", stored.id));
        json!({"message": {
            "subject": stored.subject, "seq": seq, "hdrs": head, "data": "", "time": "2026-03-02T08:00:00Z",
        }})
    }

    fn publish(&mut self, subject: &str, head: &str, body: &[u8]) -> Ended {
        let id = header(head, "Nats-Msg-Id");
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let named = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if id.is_empty() || !subject.starts_with("orders.") || named("type").is_empty() {
            return Ended::Answered(refused(400, 10_054, "found no event of an order with an id"));
        }
        let attempts = self.attempts.entry(id.clone()).or_default();
        let trick = self.mischief.trick(&id, *attempts);
        *attempts = attempts.saturating_add(1);
        match trick {
            Some(Trick::Throttle) => return Ended::Answered(refused(503, 10_023, "insufficient resources")),
            Some(Trick::Reject) => {
                return Ended::Answered(refused(400, 10_054, "message size exceeds maximum allowed"));
            }
            Some(Trick::FailBefore) => return Ended::Lost,
            Some(Trick::DropAfter | Trick::SlowAfter) | None => {}
        }
        let known = self.stored.iter().position(|stored| stored.id == id);
        if known.is_none() && self.stored.len() >= KEPT_MAX {
            return Ended::Answered(refused(503, 10_077, "maximum messages exceeded"));
        }
        let seq = match known {
            Some(place) => place.saturating_add(1),
            None => {
                let (kind, order, body) = (named("type"), named("subject"), Digest::of(body));
                let subject = subject.to_owned();
                self.stored.push(Streamed { place: entry(), id, subject, kind, order, times: 0, changed: 0, body });
                self.stored.len()
            }
        };
        if let Some(stored) = self.stored.get_mut(seq.saturating_sub(1)) {
            stored.times = stored.times.saturating_add(1);
            stored.changed = stored.changed.saturating_add(u32::from(stored.body != Digest::of(body)));
        }
        let answer = json!({"stream": STREAM, "seq": seq, "duplicate": known.is_some()});
        match trick {
            Some(Trick::DropAfter) => Ended::Lost,
            Some(Trick::SlowAfter) => Ended::Late(answer),
            _ => Ended::Answered(answer),
        }
    }
}

/// The value of a header; empty where it has none.
fn header(head: &str, name: &str) -> String {
    let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
    let found = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

fn refused(code: u16, err_code: u32, description: &str) -> Value {
    json!({"error": {"code": code, "err_code": err_code, "description": description}})
}

fn stream_info() -> Value {
    json!({
        "type": "io.nats.jetstream.api.v1.stream_info_response",
        "config": {
            "name": STREAM, "subjects": ["orders.>"], "retention": "limits", "max_consumers": -1, "max_msgs": -1,
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

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn published(books: &mut Books, id: &str, order: &str) -> Option<Value> {
        let head = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
        let body = json!({"type": "order.created", "subject": order}).to_string();
        match books.ended("orders.order.created.1", &head, body.as_bytes()) {
            Ended::Answered(answer) | Ended::Late(answer) => Some(answer),
            Ended::Lost => None,
        }
    }

    #[test]
    fn what_comes_again_under_its_id_is_stored_once_and_under_another_id_twice() {
        let mut books = Books::default();
        let said = ["msg_1", "msg_1", "msg_2"].map(|id| published(&mut books, id, "A").unwrap_or_default());
        assert_eq!(
            said.map(|answer| (answer["seq"].clone(), answer["duplicate"].clone())),
            [(json!(1), json!(false)), (json!(1), json!(true)), (json!(2), json!(false)),]
        );
        drop(published(&mut books, "msg_2", "B"));
        let seen: Vec<_> = books.stored.iter().map(|one| (one.id.as_str(), one.times, one.changed)).collect();
        assert_eq!(seen, [("msg_1", 2, 0), ("msg_2", 2, 1)]);
        let last = books.last(br#"{"last_by_subj":"orders.order.created.1"}"#);
        assert_eq!(last["message"]["seq"], 2);
    }

    #[test]
    fn a_lost_answer_is_one_of_a_message_that_lies_there_and_a_failure_is_not() {
        for (mischief, stored) in [
            (Mischief { drop_after_per_mille: 1_000, ..Mischief::default() }, 1),
            (Mischief { fail_before_per_mille: 1_000, ..Mischief::default() }, 0),
        ] {
            let mut books = Books { mischief, ..Books::default() };
            assert_eq!((published(&mut books, "msg_1", "A"), books.stored.len()), (None, stored));
            drop(published(&mut books, "msg_1", "A"));
            assert!(published(&mut books, "msg_1", "A").is_some(), "whoever repeats arrives");
            assert_eq!(books.stored.len(), 1);
        }
        let mut books = Books::default();
        assert_eq!(published(&mut books, "", "A").unwrap_or_default()["error"]["code"], 400);
    }
}
