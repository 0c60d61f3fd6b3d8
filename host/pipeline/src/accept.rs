//! Accept: bytes of an authenticated sender become durable documents, and only
//! then does the sender get its reply.
//!
//! Accepted bytes always commit: as documents, as a rejection, or, when the
//! connector failed, as they are, with an exception. A connector judges syntax;
//! what fails later never changes the reply.

pub(crate) mod envelopes;

pub(crate) mod judged;

mod looking;

mod refused;

use std::sync::Arc;

use portreeve_model::document::{Header, Inbound};
use portreeve_model::{Digest, Failure, Instant, PluginName, Problem, Received, Reply};
use portreeve_record::leaf::EnvelopeOutcome;
use portreeve_record::{Leaf, LeafBody, RecordError, SealError};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, CallError, Crossed};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    Disposition, InputId, JournalEntry, JournalOutcome, KnownEnvelope, NewDocument, NewPayload,
};

use self::envelopes::Memory;
use self::judged::{Again, Judged};
pub use self::looking::ContentError;
use self::refused::{CHANGED, Refused};
use crate::exception::Limits;
use crate::leaf::{self, AcceptFacts};
use crate::numbers::Draw;
use crate::passing::passing;
use crate::plugins::Absent;
use crate::route::{self, Channel, WhenStopped};
use crate::{Pipeline, Sender, reply};

/// When a sender whom the sandbox had no room for may come again.
const RETRY_AFTER_MS: u32 = 1_000;

/// How often an input is judged: as new, with what the journal knows, and as often
/// again as others bring one of its envelopes in between.
const JUDGED_MAX: u32 = 4;

/// An input as it came off the wire.
#[derive(Debug, Clone)]
pub struct Input {
    /// HTTP method, or the equivalent of another transport.
    pub method: String,
    /// Path and query below the channel.
    pub path: String,
    /// Headers, names in lower case; credentials are taken out by the transport.
    pub headers: Vec<Header>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// What the sender gets to know.
#[derive(Debug)]
pub struct Accepted {
    /// The input's id.
    pub input: InputId,
    /// The protocol's reply.
    pub reply: Reply,
    /// Whether the input had been received before, at once or in parts.
    pub duplicate: bool,
    /// What the connector made of it; none for a duplicate, of which nothing is new.
    pub finding: Option<Finding>,
}

/// What the connector made of an input.
#[derive(Debug)]
pub struct Finding {
    /// What it amounts to.
    pub disposition: Disposition,
    /// What is wrong with it; where it could not be read at all, why.
    pub problems: Vec<Problem>,
}

/// Why an input was not accepted. Nothing of it was kept but, where its envelope
/// was the reason, its bytes and the record of the refusal.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The channel is not configured.
    #[error("there is no channel `{0}`; use one of the configured channels")]
    UnknownChannel(String),
    /// An envelope came before with other content, and nothing else of the input is
    /// new, or the protocol has no word to refuse that envelope alone.
    #[error("envelope `{envelope}` came before with other content; send a new control number or event id")]
    Conflict {
        /// The envelope key.
        envelope: String,
        /// What the sender gets, where the protocol has words for it.
        reply: Option<Reply>,
    },
    /// Nobody looked at it: all of the connector's sandboxes are taken, or it asks
    /// for another try; or its envelopes kept being taken by other inputs meanwhile.
    #[error("connector `{plugin}` cannot take the input now; send it again in {after_ms} ms")]
    Later {
        /// The connector.
        plugin: PluginName,
        /// When to try again, milliseconds.
        after_ms: u32,
    },
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be made.
    #[error("the audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// The payload could not be sealed.
    #[error("the input could not be sealed: {0}")]
    Seal(#[from] SealError),
}

impl AcceptError {
    /// A stable word for monitors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownChannel(_) => "unknown-channel",
            Self::Conflict { .. } => "conflict",
            Self::Later { .. } | Self::Store(StoreError::Busy { .. }) => "busy",
            Self::Store(_) => "store",
            Self::Record(_) | Self::Seal(_) => "internal",
        }
    }
}

impl Pipeline {
    /// Takes an input of an authenticated sender.
    ///
    /// When this returns `Ok`, the input is durable with its leaf, and so it is with
    /// [`AcceptError::Conflict`], as one that is refused. When it returns another error,
    /// nothing was kept and the sender may send again.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept(&self, sender: &Sender, input: Input) -> Result<Accepted, AcceptError> {
        let channel = self
            .routes
            .channel(sender.channel())
            .ok_or_else(|| AcceptError::UnknownChannel(sender.channel().to_string()))?;
        let content = input.digest();
        let id = InputId::derive(sender.channel(), sender.id(), content);
        // The same request again: the same reply, and no second look at it.
        if let Some(reply) = self.store.reply_to(id).await? {
            return Ok(Accepted { input: id, reply, duplicate: true, finding: None });
        }

        let received_at = self.clock.now();
        let numbers = Draw::new(&self.store, &self.numbers);
        let received = self.receive(channel, sender, &input, received_at, &numbers).await;
        // To keep such an input for a person would make a passing trouble a permanent one:
        // nothing is kept, nothing is acknowledged, and the sender sends it again.
        match &received {
            Ok(received) => {
                if let Some(asked_ms) = passing(&received.outcome) {
                    let after_ms = if asked_ms == 0 { RETRY_AFTER_MS } else { asked_ms };
                    return Err(AcceptError::Later { plugin: received.crossing.plugin.clone(), after_ms });
                }
            }
            Err(Absent::Stopped(stopped)) if channel.when_stopped == Some(WhenStopped::Wait) => {
                let now = self.clock.now();
                let after_ms = u32::try_from(stopped.ask_at(now).0.saturating_sub(now.0)).unwrap_or(u32::MAX);
                return Err(AcceptError::Later { plugin: stopped.plugin.clone(), after_ms });
            }
            // Kept as it is, with an exception.
            Err(_) => {}
        }
        // First as if all of it were new. The journal says otherwise, and then writes nothing.
        let mut memory = Memory::default();
        for _ in 0..JUDGED_MAX {
            let judged = Judged::of(channel, &input.body, &received, &memory);
            if let Again::Repeated { whole: Some(first) } = judged.again
                && let Some(reply) = self.store.reply_to(first).await?
            {
                return Ok(Accepted { input: first, reply, duplicate: true, finding: None });
            }
            match self.take(channel, sender, content, &input, received_at, judged, &numbers).await? {
                Taken::Done(accepted) => return Ok(accepted),
                Taken::Known(envelopes) => self.recall(envelopes, &mut memory).await?,
            }
        }
        // Each time somebody else was faster with one more of its envelopes.
        Err(AcceptError::Later { plugin: channel.connector.clone(), after_ms: RETRY_AFTER_MS })
    }

    /// Writes down what an input amounts to, unless the journal knows better.
    #[expect(clippy::too_many_arguments, reason = "what one input is, and nothing that is kept together elsewhere")]
    async fn take(
        &self,
        channel: &Channel,
        sender: &Sender,
        content: Digest,
        input: &Input,
        received_at: Instant,
        judged: Judged<'_>,
        numbers: &Draw,
    ) -> Result<Taken, AcceptError> {
        let told = judged.told();
        let subject = Some(Digest::of(sender.id().as_str().as_bytes()));
        let payload = NewPayload::seal(&input.body, subject)?;
        // What says only that something is new is no document: the input is kept, and the poll is made.
        let (woken, kept) = channel.waking(judged.documents);
        let wakes = channel.wakes.as_ref().filter(|_| woken > 0).map(|wakes| wakes.poll.clone());
        let documents = sealed(&kept, subject)?;
        let record = leaf::accept(&AcceptFacts {
            channel: sender.channel(),
            sender: sender.id(),
            content: payload.sealed.commitment(),
            key: &payload.key,
            kinds: &|kind| channel.documents.contains_key(kind),
            crossing: judged.crossing,
            failure: judged.failure.as_deref(),
            documents: &documents,
            problems: &judged.problems,
            settled: &judged.settled,
            outcome: judged.outcome,
        })?;
        if let Again::Conflict { envelope, answered } = judged.again {
            let record = leaf::refused(record, answered)?;
            // Nobody hears what the connector says of an envelope that it cannot refuse alone.
            let reply = if answered { judged.reply } else { reply::rejected(&judged.problems) };
            let refused = Refused { why: CHANGED, content, payload, record, reply };
            let heard = self.keep_refused(sender, refused, answered.then_some(numbers)).await?;
            return Err(AcceptError::Conflict { envelope, reply: answered.then_some(heard) });
        }
        let changed = judged.settled.iter().filter(|(_, outcome)| *outcome == EnvelopeOutcome::Changed).count();
        let duplicate = matches!(judged.again, Again::Repeated { .. });
        let entry = JournalEntry {
            channel: sender.channel().clone(),
            sender: sender.id().clone(),
            received_at,
            content,
            envelopes: judged.envelopes,
            disposition: judged.disposition,
            payload,
            reply: judged.reply.clone(),
            documents,
            exceptions: judged
                .exceptions
                .into_iter()
                .map(|exception| {
                    let limits = Limits { channel: Some((channel, received_at)), ..Limits::default() };
                    self.dated(exception, received_at, limits)
                })
                .collect(),
            mended_by: sender.mended_by().map(str::to_owned),
            wakes,
            leaf: Leaf::new(&self.host, received_at, LeafBody::Accept(record))?,
        };
        // A queued write is carried out whoever still waits for it: from here on nobody
        // else may get these numbers, unless the store says that nothing was written.
        let spent = numbers.spend();
        match self.store.journal(entry).await {
            Ok(JournalOutcome::Committed { input, .. }) => {
                (0..changed).for_each(|_| self.metrics.refused("conflict"));
                let finding = Finding { disposition: judged.disposition, problems: told };
                let finding = Some(finding).filter(|_| !duplicate);
                Ok(Taken::Done(Accepted { input, reply: judged.reply, duplicate, finding }))
            }
            Ok(JournalOutcome::Duplicate { input, reply }) => {
                numbers.unspent(spent);
                Ok(Taken::Done(Accepted { input, reply, duplicate: true, finding: None }))
            }
            Ok(JournalOutcome::Known { envelopes }) => {
                numbers.unspent(spent);
                Ok(Taken::Known(envelopes))
            }
            Err(error) => {
                if !matches!(error, StoreError::Unknown(_)) {
                    numbers.unspent(spent);
                }
                Err(error.into())
            }
        }
    }

    async fn receive(
        &self,
        channel: &Channel,
        sender: &Sender,
        input: &Input,
        received_at: Instant,
        numbers: &Arc<Draw>,
    ) -> Result<Crossed<Result<Received, Failure>>, Absent> {
        let active = self.plugins.now();
        let cause = Cause::Sender { channel: &channel.id, sender: sender.id() };
        let connector = self.plugin(&active, &channel.connector, Call::Receive, cause)?;
        let mut context = active.context(received_at);
        context.numbers = Arc::clone(numbers) as _;
        context.lookup = self.tables.of(&self.store, &connector.manifest.imports.lookup).await;
        let inbound = Inbound {
            method: input.method.clone(),
            path: input.path.clone(),
            headers: input.headers.clone(),
            body: input.body.clone(),
            received_at,
            sender: sender.id().clone(),
            settings: route::settings(&channel.settings),
        };
        Ok(self.call(connector, Call::Receive, cause, connector.plugin.receive(&context, &inbound)).await?)
    }
}

/// Documents as they are kept.
pub(crate) fn sealed(
    documents: &[&portreeve_model::Document],
    subject: Option<Digest>,
) -> Result<Vec<NewDocument>, SealError> {
    let sealed = documents.iter().map(|document| {
        Ok(NewDocument {
            content: Digest::of(&document.body),
            payload: NewPayload::seal(&document.body, subject)?,
            key: document.key.clone(),
            partner: document.partner.clone(),
            kind: document.kind.clone(),
        })
    });
    sealed.collect()
}

/// What came of writing an input down.
enum Taken {
    Done(Accepted),
    /// Nothing was written: earlier inputs brought these of its envelopes.
    Known(Vec<KnownEnvelope>),
}

impl Input {
    /// A file that somebody brings; of the transport's headers it has the media type alone.
    #[must_use]
    pub fn of_file(body: Vec<u8>, content_type: Option<&str>) -> Self {
        let headers = content_type.map(|value| Header { name: "content-type".to_owned(), value: value.to_owned() });
        Self { method: "POST".to_owned(), path: String::new(), headers: headers.into_iter().collect(), body }
    }

    /// What makes a request the same: a webhook's topic is in its path as often as
    /// in its body. Headers change with every delivery and are left out.
    fn digest(&self) -> Digest {
        Digest::of_parts(&[self.method.as_bytes(), self.path.as_bytes(), &self.body])
    }
}

/// The stable code of a failed call, for exceptions, leaves and metrics.
pub(crate) fn call_error_code(error: &CallError) -> String {
    error.failure.code().to_owned()
}
