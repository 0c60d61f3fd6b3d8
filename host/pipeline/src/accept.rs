//! Accept: bytes of an authenticated sender become durable documents, and only
//! then does the sender get its reply.
//!
//! Accepted bytes always commit: as documents, as a rejection, or, when the
//! connector failed, as they are, with an exception. A connector judges syntax;
//! what fails later never changes the reply.

use std::sync::Arc;

use portreeve_model::document::{Header, Inbound};
use portreeve_model::{Digest, Failure, Instant, PluginName, Problem, Received, Reply};
use portreeve_record::leaf::{AcceptLeaf, AcceptOutcome};
use portreeve_record::{Leaf, LeafBody, RecordError, SealError};
use portreeve_sandbox::{CallError, Crossed, Crossing};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    Disposition, InputId, JournalEntry, JournalOutcome, NewDocument, NewException, NewPayload,
};

use crate::capability::Tables;
use crate::leaf::{self, AcceptFacts};
use crate::numbers::Draw;
use crate::passing::passing;
use crate::reply;
use crate::route::{self, Channel};
use crate::{Pipeline, Sender};

/// When a sender whom the sandbox had no room for may come again.
const RETRY_AFTER_MS: u32 = 1_000;

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
    /// Whether the input had been received before.
    pub duplicate: bool,
    /// What the connector made of it; none for a duplicate, which nobody looks at.
    pub finding: Option<Finding>,
}

/// What the connector made of an input.
#[derive(Debug)]
pub struct Finding {
    /// What it amounts to.
    pub disposition: Disposition,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// Why an input was not accepted. Nothing of it was kept but, where its envelope
/// was the reason, the record of the refusal.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The channel is not configured.
    #[error("there is no channel `{0}`; use one of the configured channels")]
    UnknownChannel(String),
    /// The envelope came before with other content.
    #[error("envelope `{envelope}` came before with other content; send a new control number or event id")]
    Conflict {
        /// The envelope key.
        envelope: String,
    },
    /// Nobody looked at it: all of the connector's sandboxes are taken, or it asks
    /// for another try.
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
    /// When this returns `Ok`, the input is durable with its leaf. When it
    /// returns an error, nothing was kept and the sender may send again.
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
        if let Some(received) = &received
            && let Some(asked_ms) = passing(&received.outcome)
        {
            let after_ms = if asked_ms == 0 { RETRY_AFTER_MS } else { asked_ms };
            return Err(AcceptError::Later { plugin: received.crossing.plugin.clone(), after_ms });
        }
        let (entry, record, finding) = self.journal_entry(channel, sender, content, &input, received_at, received)?;
        let reply = entry.reply.clone();
        match self.store.journal(entry).await {
            Ok(JournalOutcome::Committed { input, .. }) => {
                numbers.used_up();
                Ok(Accepted { input, reply, duplicate: false, finding: Some(finding) })
            }
            Ok(JournalOutcome::Duplicate { input, reply }) => {
                Ok(Accepted { input, reply, duplicate: true, finding: None })
            }
            Ok(JournalOutcome::Conflict { envelope }) => {
                let refused = LeafBody::Accept(leaf::refused(record)?);
                self.store.refuse(Leaf::new(&self.host, received_at, refused)?).await?;
                Err(AcceptError::Conflict { envelope })
            }
            Err(error) => {
                if matches!(error, StoreError::Unknown(_)) {
                    numbers.used_up();
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
    ) -> Option<Crossed<Result<Received, Failure>>> {
        let connector = self.plugin(&channel.connector)?;
        let mut context = self.context(received_at);
        context.numbers = Arc::clone(numbers) as _;
        context.lookup = Tables::of(&self.store, &connector.manifest.imports.lookup).await;
        let inbound = Inbound {
            method: input.method.clone(),
            path: input.path.clone(),
            headers: input.headers.clone(),
            body: input.body.clone(),
            received_at,
            sender: sender.id().clone(),
            settings: route::settings(&channel.settings),
        };
        Some(self.metrics.called(connector.plugin.receive(&context, &inbound).await))
    }

    fn journal_entry(
        &self,
        channel: &Channel,
        sender: &Sender,
        content: Digest,
        input: &Input,
        received_at: Instant,
        received: Option<Crossed<Result<Received, Failure>>>,
    ) -> Result<(JournalEntry, AcceptLeaf, Finding), AcceptError> {
        let judged = Judged::of(channel, received);
        let subject = Some(Digest::of(sender.id().as_str().as_bytes()));
        let payload = NewPayload::seal(&input.body, subject)?;
        let documents = judged
            .documents
            .into_iter()
            .map(|document| {
                Ok(NewDocument {
                    content: Digest::of(&document.body),
                    payload: NewPayload::seal(&document.body, subject)?,
                    key: document.key,
                    partner: document.partner,
                    kind: document.kind,
                })
            })
            .collect::<Result<Vec<_>, SealError>>()?;
        let record = leaf::accept(&AcceptFacts {
            channel: sender.channel(),
            sender: sender.id(),
            content: payload.sealed.commitment(),
            key: &payload.key,
            kinds: &channel.documents,
            crossing: judged.crossing.as_ref(),
            failure: judged.failure.as_deref(),
            documents: &documents,
            problems: &judged.problems,
            outcome: judged.outcome,
        })?;
        let leaf = Leaf::new(&self.host, received_at, LeafBody::Accept(record.clone()))?;
        let entry = JournalEntry {
            channel: sender.channel().clone(),
            sender: sender.id().clone(),
            received_at,
            content,
            envelopes: judged.envelopes,
            disposition: judged.disposition,
            payload,
            reply: judged.reply,
            documents,
            exceptions: judged.exceptions,
            leaf,
        };
        let finding = Finding { disposition: judged.disposition, problems: judged.problems };
        Ok((entry, record, finding))
    }
}

impl Input {
    /// What makes a request the same: a webhook's topic is in its path as often as
    /// in its body. Headers change with every delivery and are left out.
    fn digest(&self) -> Digest {
        Digest::of_parts(&[self.method.as_bytes(), self.path.as_bytes(), &self.body])
    }
}

/// What an input amounts to, whatever the connector did.
struct Judged {
    disposition: Disposition,
    outcome: AcceptOutcome,
    envelopes: Vec<String>,
    documents: Vec<portreeve_model::Document>,
    problems: Vec<Problem>,
    reply: Reply,
    exceptions: Vec<NewException>,
    crossing: Option<Crossing>,
    failure: Option<String>,
}

impl Judged {
    fn of(channel: &Channel, received: Option<Crossed<Result<Received, Failure>>>) -> Self {
        match received {
            None => Self::unparsed(
                channel,
                None,
                "connector-missing".to_owned(),
                "the channel's connector is not installed".to_owned(),
            ),
            Some(Crossed { outcome: Ok(Ok(received)), crossing }) => Self::received(channel, received, crossing),
            Some(Crossed { outcome: Ok(Err(Failure::Invalid(problems))), crossing }) => {
                Self::rejected(problems, crossing)
            }
            Some(Crossed { outcome: Ok(Err(failure)), crossing }) => {
                let (code, detail) = leaf::failure_words(&failure);
                Self::unparsed(channel, Some(crossing), code, detail)
            }
            Some(Crossed { outcome: Err(error), crossing }) => {
                let code = call_error_code(&error);
                Self::unparsed(channel, Some(crossing), code, error.to_string())
            }
        }
    }

    fn received(channel: &Channel, received: Received, crossing: Crossing) -> Self {
        let nothing_usable = received.documents.is_empty() && !received.problems.is_empty();
        let (disposition, outcome) = if nothing_usable {
            (Disposition::Rejected, AcceptOutcome::Rejected)
        } else {
            (Disposition::Documents, AcceptOutcome::Documents)
        };
        // Accepted with problems: somebody has to know, though nothing stops.
        let exceptions = if nothing_usable {
            Vec::new()
        } else {
            received
                .problems
                .first()
                .map(|problem| accepted_with_problems(channel, problem, received.problems.len()))
                .into_iter()
                .collect()
        };
        Self {
            disposition,
            outcome,
            envelopes: received.envelopes.into_iter().map(|envelope| envelope.key).collect(),
            documents: received.documents,
            problems: received.problems,
            reply: received.reply,
            exceptions,
            crossing: Some(crossing),
            failure: None,
        }
    }

    /// The connector could not make a protocol's answer; the host makes one.
    fn rejected(problems: Vec<Problem>, crossing: Crossing) -> Self {
        let reply = reply::rejected(&problems);
        Self {
            disposition: Disposition::Rejected,
            outcome: AcceptOutcome::Rejected,
            envelopes: Vec::new(),
            documents: Vec::new(),
            problems,
            reply,
            exceptions: Vec::new(),
            crossing: Some(crossing),
            failure: Some("invalid".to_owned()),
        }
    }

    /// The connector failed: the bytes are kept for a person, and the sender
    /// hears success with the input's id, for sending again would change nothing.
    fn unparsed(channel: &Channel, crossing: Option<Crossing>, code: String, detail: String) -> Self {
        Self {
            disposition: Disposition::Unparsed,
            outcome: AcceptOutcome::Unparsed,
            envelopes: Vec::new(),
            documents: Vec::new(),
            problems: Vec::new(),
            reply: reply::kept(),
            exceptions: vec![NewException {
                stage: "accept",
                code: code.clone(),
                detail,
                queue: channel.exception_queue.clone(),
            }],
            crossing,
            failure: Some(code),
        }
    }
}

fn accepted_with_problems(channel: &Channel, first: &Problem, count: usize) -> NewException {
    NewException {
        stage: "accept",
        code: "accepted-with-problems".to_owned(),
        detail: format!("{count} problem(s), the first at {}: `{}`", first.position.path, first.code),
        queue: channel.exception_queue.clone(),
    }
}

/// The stable code of a failed call, for exceptions, leaves and metrics.
pub(crate) fn call_error_code(error: &CallError) -> String {
    error.failure.code().to_owned()
}
