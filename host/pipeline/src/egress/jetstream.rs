//! The way to a NATS JetStream: the host publishes by itself, for no guest speaks NATS.
//!
//! ```text
//! connect  resolve once ─▶ every address allowed? ─▶ its greeting ─▶ client, at that address
//!          ─▶ the stream: is it there, on disk, does it acknowledge, does it know messages again?
//! publish  (again: does it lie there?) ─▶ subject, `Nats-Msg-Id`, `Nats-Expected-Stream`, CloudEvent
//!          ─▶ PubAck ─▶ receipt
//! ```
//!
//! A message is a CloudEvent in structured mode (CloudEvents 1.0, NATS protocol binding), and its id
//! is the same however often it is sent: within the stream's `duplicate_window` the server stores it
//! once. After that, where an attempt may have worked, the host looks at the last message under the
//! subject before it sends again: with `{event}` and `{order}` in the subject that is the one in
//! doubt, since of an order one waits for the other. What comes twice all the same has the
//! CloudEvent's id of the first.
//!
//! Danger: the client connects by itself. So it is given one address at a time, which was resolved
//! and judged as for guests, with a TLS that asks for the name; what other servers a server names is
//! ignored; and a connection that was lost is not used again: the next one is resolved, judged and
//! looked at anew. (At the moment of the loss the client tries the same address once more.)
//!
//! What no client can see is whether the server writes to its disk before it acknowledges
//! (`sync_interval: always`). That is its operator's word.
//!
//! Known limit: a server that greets well and then sends a line without an end is read to its end,
//! for as long as a connection may take.

mod greeting;
mod subject;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::{GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, StorageType};
use async_nats::jetstream::{self, Context, ContextBuilder};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, HeaderValue};
use bytes::Bytes;
use ipnet::IpNet;
use portreeve_model::Matter;
use portreeve_model::document::Message;
use portreeve_sandbox::ClientTls;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::destination::{Destination, Origin, Refused};
use super::pace::{Breaker, Turn};
use super::secret::{self, Secret, SecretError, SecretSource};
use super::{Resolver, resolved};
use crate::Clock;

use subject::Template;

/// The port where nothing is said.
const PORT: u16 = 4222;

/// How long a server may take for each of its answers, where nothing is said.
const ANSWER_MS: u32 = 10_000;

/// The most of that: with eight addresses, each of which takes three answers, an attempt is over
/// well before its lease is.
pub(crate) const ANSWER_MS_MAX: u32 = 15_000;

/// Nobody was met there.
const NO_CONNECTION: &str = "no-connection";

/// Bytes of a stream's name.
const NAME_BYTES_MAX: usize = 255;

/// Bytes of a server's own words in a sentence of ours.
const WORDS_MAX: usize = 200;

/// JetStream's number for an account that has used up what it may have. Its status says that the
/// request is wrong, and it is right when there is room again.
const ACCOUNT_IS_FULL: u64 = 10002;

/// A stream (`nats` of a `[[subscriber]]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsEntry {
    /// `tls://HOST:PORT`, or `nats://HOST:PORT` where nobody on the way can read along. The port is
    /// 4222 where nothing is said.
    pub server: String,
    /// The stream; its operator makes it.
    pub stream: String,
    /// The subject of messages, such as `orders.{event}.{order}`.
    pub subject: String,
    /// Networks that are not public and that the server's name may lead to.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// How the host proves itself, beside a certificate in `tls`.
    pub credential: Option<NatsCredential>,
}

/// How the host proves itself to a NATS server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum NatsCredential {
    /// A token.
    Token {
        /// Where it comes from.
        secret: SecretSource,
    },
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// Where the password comes from.
        secret: SecretSource,
    },
}

impl NatsCredential {
    fn secret(&self) -> &SecretSource {
        match self {
            Self::Token { secret } | Self::Password { secret, .. } => secret,
        }
    }
}

impl NatsEntry {
    /// Host and port, and whether it is TLS, as an origin of HTTP: what follows from the two is the
    /// same. None of a text that names no server.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let (scheme, rest) = self.server.split_once("://")?;
        let scheme = match scheme {
            "tls" => "https",
            "nats" => "http",
            _ => return None,
        };
        // A port that is some scheme's own is left out by that scheme alone.
        let has_port = url::Url::parse(&format!("nats://{rest}")).ok()?.port().is_some();
        let port = if has_port { String::new() } else { format!(":{PORT}") };
        Origin::parse(&format!("{scheme}://{rest}{port}")).ok()
    }

    /// What is wrong with it beyond its grammar.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match self.origin() {
            None => problems.push("`server` names none; expected `tls://HOST` or `nats://HOST:PORT`".to_owned()),
            Some(origin) if !origin.is_private() => problems
                .push("`server` is `nats://…`, where everybody on the way can read it; write `tls://…`".to_owned()),
            Some(_) => {}
        }
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if self.stream.is_empty() || self.stream.len() > NAME_BYTES_MAX || !self.stream.bytes().all(letter) {
            problems.push("`stream` is no name; expected letters, digits, `-` and `_`".to_owned());
        }
        problems.extend(Template::parse(&self.subject).err().map(|wrong| format!("`subject` {wrong}")));
        problems
    }
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// Under what.
    pub(crate) subject: String,
    /// By what the server knows it again.
    pub(crate) id: String,
    /// Whether an earlier attempt may have worked.
    pub(crate) in_doubt: bool,
}

/// The server has the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    stream: String,
    sequence: u64,
    had_it: bool,
}

impl Published {
    /// How it is counted.
    pub(crate) fn result(&self) -> &'static str {
        if self.had_it { "duplicate" } else { "stored" }
    }

    /// Where it lies, and whether it lay there before.
    pub(crate) fn receipt(&self) -> String {
        let had_it = if self.had_it { " duplicate" } else { "" };
        format!("{}/{}{had_it}", self.stream, self.sequence)
    }
}

/// The server has no message of this attempt, as far as anybody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotPublished {
    /// It has none; later it may.
    NotNow {
        /// A stable word.
        code: &'static str,
        /// One sentence.
        why: String,
        /// Not before so many milliseconds.
        after_ms: i64,
    },
    /// It may have it.
    InDoubt {
        /// A stable word.
        code: &'static str,
        /// One sentence.
        why: String,
    },
    /// It will never take this message.
    Refused {
        /// A stable word.
        code: &'static str,
        /// One sentence.
        why: String,
    },
}

impl NotPublished {
    fn not_now(code: &'static str, why: impl Into<String>) -> Self {
        Self::NotNow { code, why: why.into(), after_ms: 0 }
    }

    fn in_doubt(code: &'static str, why: impl Into<String>) -> Self {
        Self::InDoubt { code, why: why.into() }
    }

    pub(crate) fn refused(code: &'static str, why: impl Into<String>) -> Self {
        Self::Refused { code, why: why.into() }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotNow { code, .. } | Self::InDoubt { code, .. } | Self::Refused { code, .. } => code,
        }
    }

    pub(crate) fn why(&self) -> &str {
        match self {
            Self::NotNow { why, .. } | Self::InDoubt { why, .. } | Self::Refused { why, .. } => why,
        }
    }
}

/// What a stream is opened with, beside its entry.
pub(super) struct Opening {
    pub(super) tls: Option<ClientTls>,
    /// Where relative paths begin.
    pub(super) base: PathBuf,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) answer_timeout_ms: Option<u32>,
}

/// One stream at work.
pub(crate) struct Stream {
    subscriber: String,
    entry: NatsEntry,
    template: Template,
    there: Destination,
    opening: Opening,
    slot: tokio::sync::Mutex<Slot>,
    /// Connections that came to nothing, counted.
    failures: AtomicU64,
    breaker: Mutex<Breaker>,
}

/// The connection that everybody uses, or why there is none.
#[derive(Default)]
struct Slot {
    open: Option<Arc<Connection>>,
    failed: Option<NotPublished>,
}

/// A client that was let in, and the stream as it was then.
struct Connection {
    client: Client,
    context: Context,
    stream: jetstream::stream::Stream,
    lost: watch::Receiver<bool>,
}

impl Connection {
    fn subjects(&self) -> &[String] {
        &self.stream.cached_info().config.subjects
    }

    /// The place of a message, if it is the last one under its subject.
    async fn holds(&self, subject: &str, id: &str) -> Option<u64> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(last) => {
                let is_it = last.headers.get(NATS_MESSAGE_ID).is_some_and(|found| found.as_str() == id);
                is_it.then_some(last.sequence)
            }
            Err(error) => {
                // Looking only spares a repetition: the same id is sent next.
                if error.kind() != LastRawMessageErrorKind::NoMessageFound {
                    tracing::debug!(
                        error = words(&error.to_string()),
                        "a stream's last message could not be looked at"
                    );
                }
                None
            }
        }
    }

    /// Ends when it is lost.
    async fn loss(&self) {
        // Where nobody can tell any more, the client is gone.
        drop(self.lost.clone().wait_for(|lost| *lost).await);
    }

    fn is_alive(&self) -> bool {
        !*self.lost.borrow() && self.client.connection_state() == async_nats::connection::State::Connected
    }
}

impl Stream {
    /// Reads its secret once: what no host can use must not become active.
    ///
    /// # Errors
    /// When it cannot be read; the rest is looked at before.
    pub(super) fn open(
        subscriber: &str,
        entry: &NatsEntry,
        origin: Origin,
        opening: Opening,
    ) -> Result<Option<Self>, SecretError> {
        let Ok(template) = Template::parse(&entry.subject) else { return Ok(None) };
        if let Some(credential) = &entry.credential {
            credential.secret().read(&opening.base)?.text()?;
        }
        let there = Destination::of_the_host(origin, entry.addresses.clone());
        let (slot, failures, breaker) = Default::default();
        let (subscriber, entry) = (subscriber.to_owned(), entry.clone());
        Ok(Some(Self { subscriber, entry, template, there, opening, slot, failures, breaker }))
    }

    /// The subject of an event about a matter.
    pub(crate) fn subject(&self, event: &str, matter: Matter) -> Result<String, NotPublished> {
        let no_subject = || NotPublished::refused("no-subject", "the event has no name that may stand in a subject");
        self.template.subject(event, matter).ok_or_else(no_subject)
    }

    /// Why there is no connection, if that is why messages wait.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.slot.try_lock().ok()?.failed.as_ref().map(|failed| failed.why().to_owned())
    }

    /// How long an attempt takes at most: to connect, to look at the stream, and to publish.
    pub(crate) fn takes_ms(&self) -> i64 {
        i64::from(self.answer_ms()).saturating_mul(8)
    }

    fn answer_ms(&self) -> u32 {
        self.opening.answer_timeout_ms.unwrap_or(ANSWER_MS)
    }

    fn within(&self) -> Duration {
        Duration::from_millis(u64::from(self.answer_ms()))
    }

    /// How many messages would be let through now.
    pub(super) fn room(&self) -> u32 {
        self.breaker().room(self.opening.clock.now())
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes a message once, and waits for the server to say that it has it. One that may lie
    /// there from before is looked for first.
    pub(crate) async fn publish(&self, outgoing: Outgoing, message: Message) -> Result<Published, NotPublished> {
        let turn = self.enter()?;
        let published = self.through(outgoing, message).await;
        let well = matches!(published, Ok(_) | Err(NotPublished::Refused { .. }));
        let (failures_max, open_ms) = (self.there.breaker_failures, self.there.breaker_open_ms);
        self.breaker().ended(turn, well, failures_max, open_ms, self.opening.clock.now());
        published
    }

    fn enter(&self) -> Result<Turn, NotPublished> {
        let held_back = |after_ms: u64| NotPublished::NotNow {
            code: "deferred",
            why: "the NATS server failed again and again; nothing is sent there now".to_owned(),
            after_ms: i64::try_from(after_ms).unwrap_or(i64::MAX),
        };
        self.breaker().enter(self.there.breaker_open_ms, self.opening.clock.now()).map_err(held_back)
    }

    async fn through(&self, outgoing: Outgoing, message: Message) -> Result<Published, NotPublished> {
        let Outgoing { subject, id, in_doubt } = outgoing;
        let content_type = HeaderValue::from_str(&message.content_type);
        let content_type = content_type
            .map_err(|_| NotPublished::refused("content-type", "the message has a media type of more than one line"))?;
        let connection = self.connection().await?;
        if !connection.subjects().iter().any(|pattern| subject::covers(pattern, &subject)) {
            // Its operator may let it take them.
            self.forget(&connection).await;
            let (stream, takes) = (&self.entry.stream, connection.subjects().join(", "));
            return Err(NotPublished::not_now(
                "other-subjects",
                format!(
                    "the stream `{stream}` takes `{takes}`, of which a message's subject is none; change its subjects, or `subject`"
                ),
            ));
        }
        if in_doubt && let Some(sequence) = connection.holds(&subject, &id).await {
            return Ok(Published { stream: self.entry.stream.clone(), sequence, had_it: true });
        }
        let message = PublishMessage::build()
            .payload(Bytes::from(message.body))
            .header("content-type", content_type)
            .message_id(&id)
            .expected_stream(&self.entry.stream);
        let sending = async { connection.context.send_publish(subject, message).await?.await };
        let acknowledged = tokio::select! {
            acknowledged = sending => acknowledged.map_err(|error| not_acknowledged(&error)),
            () = connection.loss() => Err(NotPublished::in_doubt("connection-lost", "the connection was lost before the server had answered")),
        };
        match acknowledged {
            Ok(ack) if ack.stream == self.entry.stream => {
                Ok(Published { stream: ack.stream, sequence: ack.sequence, had_it: ack.duplicate })
            }
            Ok(_) => Err(NotPublished::refused(
                "other-stream",
                "another stream than the configured one took the message; no two may take one subject",
            )),
            Err(why) => {
                // The client remembers each answer that did not come, as long as it is connected.
                if matches!(why, NotPublished::InDoubt { .. }) {
                    self.forget(&connection).await;
                }
                Err(why)
            }
        }
    }

    /// The connection, made where there is none. One connects at a time, and whoever waited for it
    /// hears what it heard: a server that is down is waited for once.
    async fn connection(&self) -> Result<Arc<Connection>, NotPublished> {
        let seen = self.failures.load(Ordering::Acquire);
        let mut slot = self.slot.lock().await;
        if let Some(open) = slot.open.as_ref().filter(|open| open.is_alive()) {
            return Ok(Arc::clone(open));
        }
        if let Some(failed) = slot.failed.as_ref().filter(|_| self.failures.load(Ordering::Acquire) != seen) {
            return Err(failed.clone());
        }
        *slot = Slot::default();
        match self.connect().await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                slot.open = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(failed) => {
                self.failures.fetch_add(1, Ordering::AcqRel);
                tracing::warn!(
                    subscriber = self.subscriber,
                    code = failed.code(),
                    why = failed.why(),
                    "there is no way to a stream"
                );
                slot.failed = Some(failed.clone());
                Err(failed)
            }
        }
    }

    async fn forget(&self, connection: &Arc<Connection>) {
        let mut slot = self.slot.lock().await;
        if slot.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, connection)) {
            slot.open = None;
        }
    }

    async fn connect(&self) -> Result<Connection, NotPublished> {
        let refused = |refused: Refused| {
            let code = if matches!(refused, Refused::Address { .. }) { "address" } else { "unresolved" };
            NotPublished::not_now(code, refused.to_string())
        };
        let looking_up = tokio::time::timeout(self.within(), resolved(&*self.opening.resolver, &self.there.origin));
        let late = |_| NotPublished::not_now("unresolved", "its name was not looked up in time");
        let found = looking_up.await.map_err(late)?.map_err(refused)?;
        let addresses = self.there.pin(&found).map_err(refused)?;
        let mut failed = NotPublished::not_now(NO_CONNECTION, "it has no address");
        for address in addresses {
            match self.connect_to(address).await {
                Ok(connection) => return Ok(connection),
                // Where somebody answers, what he said says more than that nobody does elsewhere.
                Err(why) if failed.code() == NO_CONNECTION => failed = why,
                Err(_) => {}
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Connection, NotPublished> {
        greeting::look(address, self.there.origin.is_https(), self.within()).await?;
        let (tell, lost) = watch::channel(false);
        let options = self.options(self.secret().await?, tell)?;
        // On a task of its own: what a server says may make the client panic.
        let connecting = tokio::spawn(options.connect(format!("nats://{address}")));
        let client = connecting
            .await
            .map_err(|_| NotPublished::not_now(NO_CONNECTION, "the client failed on what the NATS server said"))?;
        let client = client.map_err(|error| match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                NotPublished::not_now("credential", "the NATS server does not let the host in; look at `credential`")
            }
            kind => NotPublished::not_now(NO_CONNECTION, format!("no connection: {}", words(&causes(&kind, &error)))),
        })?;
        let context = ContextBuilder::new().timeout(self.within()).build(client.clone());
        let stream = self.look_at_stream(&context).await?;
        Ok(Connection { client, context, stream, lost })
    }

    fn options(&self, secret: Option<Secret>, tell: watch::Sender<bool>) -> Result<ConnectOptions, NotPublished> {
        let subscriber = self.subscriber.clone();
        let mut options = ConnectOptions::new()
            .name(concat!("portreeve/", env!("CARGO_PKG_VERSION")))
            .ignore_discovered_servers()
            .retain_servers_order()
            // The first time, and once more to the same address when the connection is lost.
            .max_reconnects(1)
            .reconnect_delay_callback(|_| Duration::ZERO)
            .connection_timeout(self.within())
            .request_timeout(Some(self.within()))
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => {
                        tell.send_replace(true);
                    }
                    Event::ServerError(error) => {
                        tracing::warn!(subscriber, error = words(&error.to_string()), "a NATS server reports an error");
                    }
                    _ => {}
                }
                std::future::ready(())
            });
        if let Some(tls) = &self.opening.tls {
            let config = tls.for_name(&self.there.origin.host_text());
            let config = config.map_err(|error| NotPublished::not_now("no-tls", error.to_string()))?;
            options = options.require_tls(true).tls_client_config(config);
        } else if self.there.origin.is_https() {
            return Err(NotPublished::not_now("no-tls", "it is `tls://`, and there is no TLS for it"));
        }
        let no_text = |error: SecretError| NotPublished::not_now("no-credential", error.to_string());
        let text = secret.as_ref().map(Secret::text).transpose().map_err(no_text)?.unwrap_or_default().to_owned();
        Ok(match &self.entry.credential {
            None => options,
            Some(NatsCredential::Token { .. }) => options.token(text),
            Some(NatsCredential::Password { user, .. }) => options.user_and_password(user.clone(), text),
        })
    }

    /// Read for each connection: a new secret counts from the next one on.
    async fn secret(&self) -> Result<Option<Secret>, NotPublished> {
        let Some(credential) = &self.entry.credential else { return Ok(None) };
        let (source, base) = (credential.secret().clone(), self.opening.base.clone());
        let read = secret::apart(move || source.read(&base)).await;
        read.map(Some).map_err(|why| NotPublished::not_now("no-credential", why))
    }

    /// The stream, if it keeps what it acknowledges.
    async fn look_at_stream(&self, context: &Context) -> Result<jetstream::stream::Stream, NotPublished> {
        let name = &self.entry.stream;
        let stream = context.get_stream(name).await.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.code() == 404 => NotPublished::not_now(
                "no-stream",
                format!("the NATS server has no stream `{name}`; make it there, with `storage: file`"),
            ),
            kind => NotPublished::not_now(
                "no-jetstream",
                format!("nothing can be learned of the stream `{name}`: {}; JetStream has to be on, and the host's account may ask `$JS.API.STREAM.INFO.{name}`", words(&causes(&kind, &error))),
            ),
        })?;
        match unfit(&stream.cached_info().config) {
            Some(what) => Err(NotPublished::not_now("unfit-stream", format!("the stream `{name}` {what}"))),
            None => Ok(stream),
        }
    }
}

/// Why a stream cannot have the host's events; none where it can.
fn unfit(config: &Config) -> Option<&'static str> {
    if config.storage != StorageType::File {
        return Some("is kept in memory, where a restart loses what was acknowledged; expected `storage: file`");
    }
    if config.no_ack {
        return Some("acknowledges nothing; expected `no_ack: false`");
    }
    if config.sealed {
        return Some("is sealed and takes nothing any more; name another one");
    }
    if config.mirror.is_some() {
        return Some("is another stream's mirror and takes nothing by itself; name that one");
    }
    if config.duplicate_window.is_zero() {
        return Some("knows no message again; expected a `duplicate_window`, of an hour or more");
    }
    None
}

/// What it means that there is no acknowledgement.
fn not_acknowledged(error: &PublishError) -> NotPublished {
    match error.kind() {
        // Nobody heard it, so nobody has it.
        PublishErrorKind::StreamNotFound => NotPublished::not_now(
            "no-responders",
            "no JetStream takes the subject now; look at the server and its stream",
        ),
        PublishErrorKind::MaxAckPending => NotPublished::not_now("busy", "too many messages wait for their answer"),
        PublishErrorKind::MaxPayloadExceeded => NotPublished::refused(
            "too-large",
            "the message is larger than the NATS server takes; raise its `max_payload`",
        ),
        PublishErrorKind::TimedOut => {
            NotPublished::in_doubt("no-acknowledgement", "the NATS server did not acknowledge the message in time")
        }
        PublishErrorKind::BrokenPipe => {
            NotPublished::in_doubt("connection-lost", "the connection was lost before the server had answered")
        }
        PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence | PublishErrorKind::Other => {
            match error.source().and_then(|source| source.downcast_ref::<jetstream::Error>()) {
                Some(answer) => answered(answer),
                None => NotPublished::in_doubt("unreadable-answer", "what answered the message is no acknowledgement"),
            }
        }
    }
}

/// What an error that JetStream answered means: nothing was stored.
fn answered(error: &jetstream::Error) -> NotPublished {
    let why = format!("JetStream answered: {}", words(&error.to_string()));
    match (error.code(), error.error_code().0) {
        // Full, without a leader, or busy with the same message: this passes.
        (408 | 409 | 429 | 500..=599, _) | (_, ACCOUNT_IS_FULL) => NotPublished::not_now("not-stored", why),
        _ => NotPublished::refused("rejected", why),
    }
}

fn causes(kind: &dyn std::fmt::Display, error: &dyn Error) -> String {
    error.source().map_or_else(|| kind.to_string(), |source| format!("{kind}: {source}"))
}

/// A server's own words: short, and on one line.
fn words(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    fn entry(server: &str) -> NatsEntry {
        NatsEntry {
            server: server.to_owned(),
            stream: "ORDERS".to_owned(),
            subject: "orders.{event}.{order}".to_owned(),
            addresses: Vec::new(),
            credential: None,
        }
    }

    #[test]
    fn a_server_is_a_host_a_port_and_whether_it_is_tls() {
        for (server, expected) in [
            ("tls://nats.example", Some("https://nats.example:4222")),
            ("tls://nats.example:443", Some("https://nats.example")),
            ("nats://127.0.0.1:80", Some("http://127.0.0.1")),
            ("nats://[::1]", Some("http://[::1]:4222")),
            ("nats.example:4222", None),
            ("ws://nats.example", None),
            ("https://nats.example", None),
            ("nats://user:secret@nats.example", None),
            ("nats://nats.example/path", None),
            ("nats://", None),
        ] {
            assert_eq!(entry(server).origin().map(|origin| origin.to_string()).as_deref(), expected, "{server}");
        }
    }

    #[test]
    fn what_nobody_can_publish_to_is_refused_with_all_that_is_wrong() {
        assert_eq!(entry("tls://nats.example").problems(), Vec::<String>::new());
        let wrong = NatsEntry { stream: "OR.DERS".to_owned(), subject: "*".to_owned(), ..entry("nats://nats.example") };
        let problems = wrong.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("everybody on the way")), "{problems:?}");
    }

    #[test]
    fn a_stream_that_could_lose_what_it_acknowledged_is_not_published_to() {
        let fit = Config { duplicate_window: Duration::from_secs(120), ..Config::default() };
        assert_eq!(unfit(&fit), None);
        for (config, word) in [
            (Config { storage: StorageType::Memory, ..fit.clone() }, "memory"),
            (Config { no_ack: true, ..fit.clone() }, "acknowledges nothing"),
            (Config { sealed: true, ..fit.clone() }, "sealed"),
            (Config { mirror: Some(jetstream::stream::Source::default()), ..fit.clone() }, "mirror"),
            (Config { duplicate_window: Duration::ZERO, ..fit }, "duplicate_window"),
        ] {
            assert!(unfit(&config).unwrap().contains(word), "{word}");
        }
    }

    #[test]
    fn an_error_answer_means_later_where_it_passes_and_never_where_it_does_not() {
        for (answer, expected) in [
            (r#"{"code":503,"err_code":10077,"description":"maximum messages exceeded"}"#, "not-stored"),
            (r#"{"code":503,"err_code":10023}"#, "not-stored"),
            (r#"{"code":400,"err_code":10002}"#, "not-stored"),
            (r#"{"code":409,"err_code":10158}"#, "not-stored"),
            (r#"{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}"#, "rejected"),
            (r#"{"code":400,"err_code":10060,"description":"expected stream does not match"}"#, "rejected"),
        ] {
            assert_eq!(answered(&serde_json::from_str(answer).unwrap()).code(), expected, "{answer}");
        }
    }

    #[test]
    fn a_receipt_says_where_the_message_lies_and_whether_it_lay_there() {
        let published = Published { stream: "ORDERS".to_owned(), sequence: 7, had_it: false };
        assert_eq!(published.receipt(), "ORDERS/7");
        assert_eq!(Published { had_it: true, ..published }.receipt(), "ORDERS/7 duplicate");
    }
}
