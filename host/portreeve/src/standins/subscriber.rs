//! A subscriber of the event feed: a receiver of Standard Webhooks that keeps what it heard.
//!
//! ```text
//! POST /hooks/orders    204            it has the event now, or had it before
//!                       400            the headers or the CloudEvent are not what they have to be
//!                       401            nobody signed it, or somebody else, or too long ago
//!                       410            it wants to hear no more (`leave`)
//! ```
//!
//! As the standard has it, it looks at the signature before anything else, takes none that is
//! five minutes away from its clock, and knows a message again by `webhook-id`, which it answers
//! as it did the first time. So a message that comes twice is no second one here, and
//! [`Heard::times`] says that it came twice. One that comes again with other bytes would be two
//! messages under one id: [`Heard::changed`] counts those.
//!
//! [`Mischief`] is that of the other stand-ins, by `webhook-id` and attempt. Its clock is given,
//! since that of a demo stands in another year.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use portreeve_model::{Digest, Instant};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use super::mischief::{Mischief, RETRY_AFTER, SLOW_ANSWER, Trick, hung_up};
use super::serving::{Serving, entry};

/// Where it listens below its origin.
const PATH: &str = "/hooks/orders";

/// How far a message's time may be from the clock: the standard's libraries have five minutes.
const TOLERANCE_S: i64 = 5 * 60;

/// Bytes of a message. A larger one would only fill the memory of the process under test.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages that are kept, and refusals.
const KEPT_MAX: usize = 1_000_000;

/// The media type of a CloudEvent in structured mode.
const STRUCTURED: &str = "application/cloudevents+json";

/// A message that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its place among the entries of all ledgers of the process.
    pub place: u64,
    /// By what it is known again.
    pub webhook_id: String,
    /// The CloudEvent's id.
    pub id: String,
    /// The CloudEvent's source.
    pub source: String,
    /// The CloudEvent's type.
    pub kind: String,
    /// The host's id of the order.
    pub subject: String,
    /// When it happened, as the sender has it.
    pub time: String,
    /// What it says.
    pub data: Value,
    /// How often it came, well signed.
    pub times: u32,
    /// How often of those with other bytes than the first time.
    pub changed: u32,
    body: Digest,
}

/// A running subscriber. It stops when this is dropped; [`Subscriber::stop`] also waits for it.
#[derive(Debug)]
pub struct Subscriber {
    serving: Serving,
    ledger: Ledger,
}

impl Subscriber {
    /// Starts on a free loopback port. `secret` is the `whsec_…` that messages are signed with,
    /// `now` its clock.
    ///
    /// # Errors
    /// When the secret is none, or no port can be bound.
    pub async fn start(
        secret: &str,
        mischief: Mischief,
        now: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let key = key.ok_or_else(|| io::Error::other("the secret is no `whsec_` with base64 behind it"))?;
        let ledger = Ledger { key: key.into(), mischief, now: Now(Arc::new(now)), books: Arc::default() };
        Ok(Self { serving: Serving::start(routes(ledger.clone())).await?, ledger })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.serving.origin()
    }

    /// Where messages are posted.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.serving.origin())
    }

    /// Everything that it has, in the order in which it came first.
    #[must_use]
    pub fn ledger(&self) -> Vec<Heard> {
        let mut heard: Vec<Heard> = self.ledger.lock().heard.values().cloned().collect();
        heard.sort_by_key(|heard| heard.place);
        heard
    }

    /// How many messages it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ledger.lock().heard.len()
    }

    /// Why it refused what it refused, in order.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        self.ledger.lock().refusals.clone()
    }

    /// It wants to hear no more, or again: 410 to everything, well signed or not.
    pub fn leave(&self, is_gone: bool) {
        self.ledger.lock().is_gone = is_gone;
    }

    /// Stops: requests under way are answered, new ones find the port closed.
    ///
    /// # Errors
    /// When the server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        self.serving.stop().await
    }
}

fn routes(ledger: Ledger) -> Router {
    Router::new().route(PATH, post(take)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(ledger)
}

async fn take(
    State(ledger): State<Ledger>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    if ledger.lock().is_gone {
        return Ok(StatusCode::GONE.into_response());
    }
    let taken = body.map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()));
    let trick = taken.and_then(|body| ledger.take(&headers, &body)).inspect_err(|refusal| ledger.refused(refusal))?;
    match trick {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(Trick::Throttle) => Ok((StatusCode::TOO_MANY_REQUESTS, RETRY_AFTER).into_response()),
        Some(Trick::FailBefore) => Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        Some(Trick::Reject) => Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response()),
        Some(Trick::DropAfter) => Ok(hung_up()),
        Some(Trick::SlowAfter) => {
            tokio::time::sleep(SLOW_ANSWER).await;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    }
}

/// What it refuses, and why.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

fn unsigned(why: &str) -> Refusal {
    Refusal(StatusCode::UNAUTHORIZED, why.to_owned())
}

fn unread(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why.into())
}

/// A CloudEvent in structured mode, with what this one needs of it.
#[derive(Deserialize)]
struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: String,
    datacontenttype: String,
    data: Value,
}

/// Its clock.
#[derive(Clone)]
struct Now(Arc<dyn Fn() -> Instant + Send + Sync>);

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

/// Its memory, shared with the handler. The lock is never held across an `await`.
#[derive(Debug, Clone)]
struct Ledger {
    key: Arc<[u8]>,
    mischief: Mischief,
    now: Now,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    heard: BTreeMap<String, Heard>,
    attempts: BTreeMap<String, u32>,
    refusals: Vec<String>,
    is_gone: bool,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, refusal: &Refusal) {
        let mut books = self.lock();
        if books.refusals.len() < KEPT_MAX {
            books.refusals.push(refusal.1.clone());
        }
    }

    /// Looks at a message, keeps it unless mischief befalls it, and says what that is.
    fn take(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<Trick>, Refusal> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| unsigned(&format!("the header `{name}` is missing")))
        };
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        self.signed(id, timestamp, header("webhook-signature")?, body)?;
        if header("content-type")? != STRUCTURED {
            return Err(unread(format!("expected the media type {STRUCTURED}")));
        }
        let event: CloudEvent =
            serde_json::from_slice(body).map_err(|error| unread(format!("it is no CloudEvent: {error}")))?;
        if event.specversion != "1.0" || event.datacontenttype != "application/json" {
            return Err(unread("expected CloudEvents 1.0 with JSON in it"));
        }
        self.lock().take(id, event, Digest::of(body), &self.mischief)
    }

    fn signed(&self, id: &str, timestamp: &str, signatures: &str, body: &[u8]) -> Result<(), Refusal> {
        let said: i64 = timestamp.parse().map_err(|_| unsigned("the timestamp is no number of seconds"))?;
        let now = (self.now.0)().0.div_euclid(1_000);
        if said.abs_diff(now) > TOLERANCE_S.unsigned_abs() {
            return Err(unsigned("the timestamp is too far from the clock"));
        }
        let matches = |text: &str| {
            let signature = text.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
            let mac = Hmac::<Sha256>::new_from_slice(&self.key).ok().map(|mut mac| {
                for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                    mac.update(part);
                }
                mac
            });
            mac.zip(signature).is_some_and(|(mac, signature)| mac.verify_slice(&signature).is_ok())
        };
        // While a secret is replaced there may be two, with a space between them.
        if signatures.split(' ').any(matches) { Ok(()) } else { Err(unsigned("no signature fits")) }
    }
}

impl Books {
    fn take(
        &mut self,
        id: &str,
        event: CloudEvent,
        body: Digest,
        mischief: &Mischief,
    ) -> Result<Option<Trick>, Refusal> {
        if self.attempts.len() >= KEPT_MAX && !self.attempts.contains_key(id) {
            return Err(Refusal(StatusCode::INSUFFICIENT_STORAGE, "it keeps no more".to_owned()));
        }
        let count = self.attempts.entry(id.to_owned()).or_default();
        let attempt = *count;
        *count = count.saturating_add(1);
        let trick = mischief.trick(id, attempt);
        if matches!(trick, Some(Trick::Throttle | Trick::FailBefore | Trick::Reject)) {
            return Ok(trick);
        }
        let CloudEvent { id: event_id, source, kind, subject, time, data, .. } = event;
        let heard = self.heard.entry(id.to_owned()).or_insert_with(|| Heard {
            place: entry(),
            webhook_id: id.to_owned(),
            id: event_id,
            source,
            kind,
            subject,
            time,
            data,
            times: 0,
            changed: 0,
            body,
        });
        heard.times = heard.times.saturating_add(1);
        heard.changed = heard.changed.saturating_add(u32::from(heard.body != body));
        Ok(trick)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    /// The vector of the specification's libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn headers(id: &str, timestamp: i64, body: &[u8]) -> HeaderMap {
        let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let signature = format!("v1a,AAAA v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let named = [
            ("content-type", STRUCTURED.to_owned()),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ];
        let named = named.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(value).unwrap()));
        named.into_iter().collect()
    }

    fn event(id: &str) -> Vec<u8> {
        let event = serde_json::json!({
            "specversion": "1.0", "id": id, "source": "/test", "type": "order.created", "subject": "ORDER",
            "time": "2026-03-02T08:00:00Z", "datacontenttype": "application/json", "data": {}
        });
        serde_json::to_vec(&event).unwrap()
    }

    #[tokio::test]
    async fn only_what_is_signed_now_is_kept_and_once() {
        let subscriber = Subscriber::start(SECRET, Mischief::default(), || Instant(1_000_000_000)).await.unwrap();
        let ledger = &subscriber.ledger;
        let body = event("1");
        assert!(ledger.take(&headers("msg_1", 1_000_000, &body), &body).is_ok());
        assert!(ledger.take(&headers("msg_1", 1_000_300, &body), &body).is_ok());
        assert!(ledger.take(&headers("msg_1", 1_000_000, &event("2")), &event("2")).is_ok());
        for (headers, why) in [
            (headers("msg_2", 1_000_301, &body), "too far"),
            (headers("msg_2", 999_699, &body), "too far"),
            (headers("msg_2", 1_000_000, b"other"), "no signature fits"),
            (HeaderMap::new(), "`webhook-id` is missing"),
        ] {
            let refused = ledger.take(&headers, &body).err().unwrap();
            assert!(refused.0 == StatusCode::UNAUTHORIZED && refused.1.contains(why), "{}", refused.1);
        }
        let heard = subscriber.ledger();
        assert_eq!(heard.len(), 1);
        assert_eq!((heard[0].times, heard[0].changed, heard[0].id.as_str()), (3, 1, "1"));
        subscriber.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_lost_answer_is_of_a_message_that_it_has_and_a_throttled_one_of_none() {
        let drops = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
        let throttles = Mischief { throttle_per_mille: 1_000, ..Mischief::default() };
        for (mischief, trick, kept) in [(drops, Trick::DropAfter, 1), (throttles, Trick::Throttle, 0)] {
            let subscriber = Subscriber::start(SECRET, mischief, || Instant(1_000_000_000)).await.unwrap();
            let body = event("1");
            let met = subscriber.ledger.take(&headers("msg_1", 1_000_000, &body), &body);
            assert_eq!((met.ok().unwrap(), subscriber.ledger().len()), (Some(trick), kept));
        }
    }

    #[tokio::test]
    async fn without_a_secret_there_is_no_subscriber() {
        for wrong in ["", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(Subscriber::start(wrong, Mischief::default(), || Instant(0)).await.is_err(), "{wrong}");
        }
    }
}
