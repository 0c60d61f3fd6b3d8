//! Chromium's DevTools protocol: commands, answers and events as JSON, each ended by a
//! NUL byte, over two pipes.
//!
//! ```text
//! {"id":7,"sessionId":"A1…","method":"Page.navigate","params":{…}}\0   ─▶ Chromium
//! {"id":7,"sessionId":"A1…","result":{…}}\0                            ◀─
//! {"sessionId":"A1…","method":"Page.lifecycleEvent","params":{…}}\0    ◀─
//! ```
//!
//! Threads read and write, so that a browser that is busy stops nobody; who asks awaits
//! the answer. A session is one page; its events go to whoever listens for it.
//!
//! <https://chromedevtools.github.io/devtools-protocol/>

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::WAIT_MAX;

type Answer = Result<Value, String>;
type Listener = Box<dyn FnMut(&str, &Value) + Send>;

/// The way to one browser.
pub(super) struct Wire {
    next_id: AtomicU64,
    out: Sender<Vec<u8>>,
    heard: Arc<Mutex<Heard>>,
    written: Arc<Mutex<Vec<u8>>>,
}

/// Who waits for what comes back.
#[derive(Default)]
struct Heard {
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    listening: HashMap<String, Listener>,
    ended: bool,
}

impl Wire {
    /// Speaks to a browser that reads and writes here; `written` is what it complains of.
    pub(super) fn open(
        mut to: impl Write + Send + 'static,
        from: impl Read + Send + 'static,
        written: Arc<Mutex<Vec<u8>>>,
    ) -> Self {
        let (out, commands) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || {
            for command in commands {
                // A browser that has ended is noticed where it is read from.
                if to.write_all(&command).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
        });
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hear = Arc::clone(&heard);
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut message = Vec::new();
            while let Ok(1..) = from.read_until(0, &mut message) {
                message.pop();
                hear.lock().unwrap().message(&serde_json::from_slice(&message).unwrap_or_default());
                message.clear();
            }
            hear.lock().unwrap().end();
        });
        Self { next_id: AtomicU64::new(1), out, heard, written }
    }

    /// Calls this with each event of a session, in their order, on the reading thread.
    pub(super) fn listen(&self, session: &str, listener: impl FnMut(&str, &Value) + Send + 'static) {
        self.heard.lock().unwrap().listening.insert(session.to_owned(), Box::new(listener));
    }

    /// What writes without waiting for an answer, for listeners.
    pub(super) fn teller(&self, session: &str, method: &'static str, params: Value) -> impl Fn() + Send + 'static {
        let out = self.out.clone();
        // No answer is awaited under id 0.
        let command = command(0, session, method, &params);
        // A browser that has ended has nobody to tell.
        move || drop(out.send(command.clone()))
    }

    /// Does what the test cannot go on without.
    pub(super) async fn ask(&self, session: &str, method: &str, params: Value) -> Value {
        self.try_ask(session, method, params).await.unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// The browser's answer to a command, or what it has against it.
    pub(super) async fn try_ask(&self, session: &str, method: &str, params: Value) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.heard.lock().unwrap().wait(id, answer);
        drop(self.out.send(command(id, session, method, &params)));
        match tokio::time::timeout(WAIT_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => panic!("{method}: the browser has ended. It wrote:\n{}", self.written()),
            Err(_) => panic!("{method}: no answer within {WAIT_MAX:?}. The browser wrote:\n{}", self.written()),
        }
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }
}

fn command(id: u64, session: &str, method: &str, params: &Value) -> Vec<u8> {
    let mut command = json!({ "id": id, "method": method, "params": params });
    if !session.is_empty() {
        command["sessionId"] = session.into();
    }
    let mut bytes = serde_json::to_vec(&command).unwrap();
    bytes.push(0);
    bytes
}

impl Heard {
    /// After the end nobody is kept waiting: the sender is dropped at once.
    fn wait(&mut self, id: u64, answer: oneshot::Sender<Answer>) {
        if !self.ended {
            self.waiting.insert(id, answer);
        }
    }

    fn message(&mut self, message: &Value) {
        if let Some(waiting) = message["id"].as_u64().and_then(|id| self.waiting.remove(&id)) {
            let answer = match &message["error"] {
                Value::Null => Ok(message["result"].clone()),
                error => Err(error["message"].as_str().unwrap_or_default().to_owned()),
            };
            // Who gave up waiting has said so.
            drop(waiting.send(answer));
        } else if let Some(method) = message["method"].as_str() {
            let session = message["sessionId"].as_str().unwrap_or_default();
            if let Some(listener) = self.listening.get_mut(session) {
                listener(method, &message["params"]);
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.waiting.clear();
        self.listening.clear();
    }
}
