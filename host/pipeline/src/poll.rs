//! Poll: a source is asked for what is new, and what it has becomes durable documents together
//! with the place up to which it was asked.
//!
//! ```text
//! due ─claim─▶ PollPermit ─▶ poll ─▶ judged as an input ─▶ journal: documents, cursor, leaf
//!     store    the cursor    connector                      one transaction
//! ```
//!
//! A poll proves its own sender: the host asks, at an origin of the configuration, so what comes is
//! that source's. Who may poll is the store's word ([`PollPermit`]): of several hosts one does. A
//! crash between the answer and the commit leaves the cursor where it was, and the same is asked
//! for again; what had come by then is known by its business key, as in any input.
//!
//! What goes wrong with a document stops neither its neighbours nor the next poll: it is a
//! person's, with what the connector could read of it. A poll that fails as a whole waits, longer
//! each time, and after [`FAILURES_TOLD`] failures in a row people are told, once, until it works
//! again; at once where its source wants to be left alone for longer than the poll has patience. A poll that brings nothing writes nothing but when it is due again: each minute's silence
//! would otherwise be a record for ever. One that the host itself held back, since its source had all the requests that a
//! window lets through, has not failed: it is due when the window lets it go on (`poll/held.rs`).

mod held;
mod subscription;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use portreeve_model::document::{PollRequest, Polled};
use portreeve_model::{ChannelId, Digest, ExceptionKind, Failure, Instant, PluginName, Problem, Received, SenderId};
use portreeve_record::leaf::{AcceptOutcome, Code, PollLeaf, PollStep};
use portreeve_record::{Leaf, LeafBody, RecordError, SealError};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, Crossed, Crossing, Kv, RequestOutcome};
use portreeve_store::contract::{
    JournalEntry, JournalOutcome, NewException, NewPayload, PollEnd, PollFailure, PollView, PolledChange,
};
use portreeve_store::{PollPermit, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::accept::envelopes::Memory;
use crate::accept::judged::Judged;
use crate::accept::{call_error_code, sealed};
use crate::egress::{CredentialEntry, Origin};
use crate::exception::Limits;
use crate::leaf::{self, AcceptFacts};
use crate::plugins::Absent;
use crate::reply;
use crate::route::{self, Channel, Routes, TargetTls};
use crate::{Pipeline, Sender, told};

pub use subscription::{Subscribed, Subscription};

/// How often a source is asked again at once that has more. The attack is a connector that moves
/// its cursor for ever and keeps a sandbox and the writer busy.
const ASKED_MAX: u32 = 16;

/// Bytes of a cursor, which is written with each poll that moves it.
const CURSOR_BYTES_MAX: usize = 64 * 1024;

/// Failures in a row after which people are told.
pub const FAILURES_TOLD: u32 = 5;

/// How long a poll waits after its first failure; each further one doubles it.
const BACKOFF_MS: i64 = 10_000;

/// The longest wait, where the source does not ask for more and the poll is not made more rarely.
const BACKOFF_MS_MAX: i64 = Instant::HOUR_MS;

/// A day: whoever asks more rarely wants a report, not a poll.
const EVERY_SECONDS_MAX: u32 = 86_400;

/// Minutes that a source may want to be left alone, unless a poll says otherwise.
const PATIENCE_MINUTES: u32 = 60;

/// The code of what people are told.
const FAILS: &str = "poll-fails";

/// The code of what is wrong with all that a poll brought.
const UNUSABLE: &str = "polled-unusable";

/// A source that is asked for what is new. Its connector, transformers and what it may say of
/// orders are its channel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Its name; its sender is `poll/ID`.
    pub id: String,
    /// The channel that its documents come in by.
    pub channel: ChannelId,
    /// The connector that asks; its channel's, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<PluginName>,
    /// The sender of its channel whose documents they are: what its source says by itself and what
    /// it is asked for are then one sender's. A sender of its own, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Whether documents are left out whose business key came from their sender before: it fetches
    /// what is missing, and no news of what is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_missing: bool,
    /// Seconds from one poll to the next, where nothing wakes it.
    pub every_seconds: u32,
    /// Up to so many seconds more, another number each time: sources that are asked by many at the
    /// full minute answer worst then.
    #[serde(default)]
    pub jitter_seconds: u32,
    /// Minutes that its source may want to be left alone: of more people hear at once.
    #[serde(default = "patience_minutes_default")]
    pub patience_minutes: u32,
    /// Scheme, host and port that the connector may ask, nothing else, and that within what it
    /// was granted (`[[plugin.egress]]`).
    pub origin: Origin,
    /// Whom to trust there beside the machine's authorities, and as whom the host comes.
    #[serde(default)]
    pub tls: TargetTls,
    /// How the host proves itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialEntry>,
    /// Non-secret settings for the connector, beside those of the channel.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What its source is asked to tell of by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
}

fn patience_minutes_default() -> u32 {
    PATIENCE_MINUTES
}

impl Poll {
    /// By what the way to its source is known; no target has such a name.
    #[must_use]
    pub fn way(&self) -> String {
        format!("poll/{}", self.id)
    }

    /// Who brings its documents.
    pub(crate) fn sender(&self) -> SenderId {
        SenderId::authenticated(self.sender.clone().unwrap_or_else(|| self.way()))
    }

    /// Who asks for its channel.
    pub(crate) fn connector<'a>(&'a self, channel: &'a Channel) -> &'a PluginName {
        self.connector.as_ref().unwrap_or(&channel.connector)
    }

    fn every_ms(&self) -> i64 {
        i64::from(self.every_seconds).saturating_mul(1_000)
    }

    /// When it is due again. How much more than the interval follows from the claim.
    fn next(&self, now: Instant, epoch: i64) -> Instant {
        let seed = Digest::of_parts(&[self.id.as_bytes(), &epoch.to_be_bytes()]);
        let spread = seed.as_bytes().first_chunk::<2>().copied().map_or(0, u16::from_be_bytes);
        let jitter_ms = i64::from(self.jitter_seconds).saturating_mul(1_000);
        now.plus_ms(self.every_ms().saturating_add(jitter_ms.saturating_mul(i64::from(spread)) / i64::from(u16::MAX)))
    }

    /// Whether a source that wants to be left alone for so long is a person's matter.
    fn is_too_long(&self, asked_ms: i64) -> bool {
        asked_ms > i64::from(self.patience_minutes).saturating_mul(Instant::MINUTE_MS)
    }

    /// How long it waits after so many failures and this one.
    fn backoff_ms(&self, failures: u32) -> i64 {
        let doubled = BACKOFF_MS.saturating_mul(1 << failures.min(20));
        doubled.min(BACKOFF_MS_MAX.max(self.every_ms()))
    }
}

impl Routes {
    /// A poll by name.
    #[must_use]
    pub fn poll(&self, id: &str) -> Option<&Poll> {
        self.polls.iter().find(|poll| poll.id == id)
    }

    /// What is wrong with polls, and with what wakes them.
    pub(crate) fn poll_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, poll) in self.polls.iter().enumerate() {
            let Poll { id, channel, every_seconds, jitter_seconds, .. } = poll;
            if ChannelId::parse(id).is_err() {
                problems.push(format!(
                    "poll `{}` has a name that is none; expected lower-case letters, digits and hyphens",
                    id.chars().filter(|character| !character.is_control()).take(64).collect::<String>()
                ));
            }
            if self.polls.iter().take(index).any(|earlier| earlier.id == *id) {
                problems.push(format!("poll `{id}` is there twice; give each its own id"));
            }
            if self.target(&poll.way()).is_some() {
                problems.push(format!("target `{}` has the name of the way of poll `{id}`; rename it", poll.way()));
            }
            for (key, seconds, least) in [("every_seconds", every_seconds, 1), ("jitter_seconds", jitter_seconds, 0)] {
                if !(least..=EVERY_SECONDS_MAX).contains(seconds) {
                    problems
                        .push(format!("`{key}` of poll `{id}` is {seconds}; expected {least} to {EVERY_SECONDS_MAX}"));
                }
            }
            match self.channel(channel) {
                None => problems.push(format!(
                    "poll `{id}` is of channel `{channel}`, which does not exist; add a [[channel]] with that id"
                )),
                Some(of) => {
                    problems.extend(poll.settings.keys().filter(|name| of.settings.contains_key(*name)).map(|name| {
                        format!("setting `{name}` is both poll `{id}`'s and its channel's; keep one of them")
                    }))
                }
            }
            problems.extend(self.subscription_problems(poll));
            let called = format!("poll `{id}`");
            problems.extend(route::source_problems(&called, &poll.origin, poll.credential.as_ref(), &poll.tls));
        }
        for channel in &self.channels {
            let Some(wakes) = &channel.wakes else { continue };
            if self.poll(&wakes.poll).is_none() {
                problems.push(format!(
                    "channel `{}` wakes poll `{}`, which does not exist; add a [[poll]] with that id",
                    channel.id, wakes.poll
                ));
            }
            if wakes.kinds.is_empty() {
                problems.push(format!(
                    "`wakes` of channel `{}` names no kinds of documents, so nothing wakes its poll; name some, or take it out",
                    channel.id
                ));
            }
            let read: BTreeSet<&String> =
                wakes.kinds.iter().filter(|kind| channel.documents.contains_key(*kind)).collect();
            for kind in read {
                problems.push(format!(
                    "`{kind}` on channel `{}` both wakes a poll and has a transformer, which would never read it; take one out",
                    channel.id
                ));
            }
        }
        problems
    }
}

/// What became of a poll that was due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollRun {
    /// How often the source was asked.
    pub asked: u32,
    /// Documents that wait for a decision now.
    pub documents: usize,
    /// Why it failed at last, where it did.
    pub failed: Option<String>,
}

/// Why a poll came to no end. Its claim ends by itself, and it is made again from where it was.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// Its channel is not configured, which a checked configuration rules out.
    #[error("poll `{poll}` is of channel `{channel}`, which is not configured; add it")]
    NoChannel {
        /// The poll.
        poll: String,
        /// Its channel.
        channel: ChannelId,
    },
    /// Nobody's secret is on the channel of its notifications, which a checked configuration rules
    /// out.
    #[error(
        "the subscription of poll `{poll}` has no secret, since no sender of channel `{channel}` has a `client_state_file`; add one"
    )]
    NoClientState {
        /// The poll.
        poll: String,
        /// The channel of its notifications.
        channel: ChannelId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be made.
    #[error("the audit record of a poll could not be made: {0}")]
    Record(#[from] RecordError),
    /// What it brought could not be sealed.
    #[error("what a poll brought could not be sealed: {0}")]
    Seal(#[from] SealError),
}

/// How one call ended.
enum Ended {
    /// It is asked again at once.
    More(usize),
    /// It rests until it is due.
    Rest(usize),
    Failed(String),
}

/// A failure as people hear it.
struct Failing {
    code: String,
    why: String,
    /// What was asked for, milliseconds.
    after_ms: i64,
}

impl Pipeline {
    /// Each poll, and where it is; nowhere, where it was never due.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn polls(&self) -> Result<Vec<(&Poll, Option<PollView>)>, StoreError> {
        let mut polls = Vec::new();
        for poll in &self.routes.polls {
            polls.push((poll, self.store.poll(&poll.id).await?));
        }
        Ok(polls)
    }

    /// Makes each poll that is due, one after the other.
    pub async fn poll_due(&self) -> Vec<(String, Result<PollRun, PollError>)> {
        let mut made = Vec::new();
        for poll in &self.routes.polls {
            made.push((poll.id.clone(), self.poll(poll).await));
        }
        made
    }

    /// Makes a poll, if it is due and nobody else makes it; and again while it brings more.
    ///
    /// # Errors
    /// See [`PollError`]; nothing is lost by one.
    pub async fn poll(&self, poll: &Poll) -> Result<PollRun, PollError> {
        let no_channel = || PollError::NoChannel { poll: poll.id.clone(), channel: poll.channel.clone() };
        let channel = self.routes.channel(&poll.channel).ok_or_else(no_channel)?;
        let mut run = PollRun::default();
        while run.asked < ASKED_MAX {
            let now = self.clock.now();
            // To look costs no write; what a look misses, the claim sees.
            if self.store.poll(&poll.id).await?.is_some_and(|found| !found.is_due(now)) {
                break;
            }
            let lease_until = now.plus_ms(self.clock.lease_ms());
            let claimed = self.store.claim_poll(&poll.id, poll.connector(channel), now, lease_until).await?;
            let Some(permit) = claimed else { break };
            run.asked = run.asked.saturating_add(1);
            let (documents, more) = match self.ask(poll, channel, permit, run.asked < ASKED_MAX).await? {
                Ended::More(documents) => (documents, true),
                Ended::Rest(documents) => (documents, false),
                Ended::Failed(code) => {
                    run.failed = Some(code);
                    (0, false)
                }
            };
            run.documents = run.documents.saturating_add(documents);
            if !more {
                break;
            }
        }
        Ok(run)
    }

    /// One call of the connector, up to what is on record of it.
    async fn ask(&self, poll: &Poll, channel: &Channel, permit: PollPermit, again: bool) -> Result<Ended, PollError> {
        let sender = Sender::polled(poll);
        let cause = Cause::Sender { channel: &channel.id, sender: sender.id() };
        let active = self.plugins.now();
        let received_at = self.clock.now();
        let connector = match self.plugin(&active, poll.connector(channel), Call::Poll, cause) {
            Ok(connector) => connector,
            Err(absent) => return self.failed(poll, channel, permit, not_polled(absent, received_at)).await,
        };

        let mut context = active.context(received_at);
        context.lookup = self.tables.of(&self.store, &connector.manifest.imports.lookup).await;
        context.egress = self.outbound.to(&poll.way());
        context.kv = Arc::new(PollState {
            store: Arc::clone(&self.store),
            plugin: poll.connector(channel).clone(),
            poll: poll.id.clone(),
        });
        let settings = [route::settings(&channel.settings), route::settings(&poll.settings)].concat();
        let request = PollRequest { cursor: permit.cursor().map(<[u8]>::to_vec), now: received_at, settings };
        let asking = connector.plugin.poll(&context, &request);
        let crossed = match self.call(connector, Call::Poll, cause, asking).await {
            Ok(crossed) => crossed,
            Err(stopped) => {
                let failing = not_polled(Absent::Stopped(stopped), received_at);
                return self.failed(poll, channel, permit, failing).await;
            }
        };

        let Crossed { outcome, crossing } = crossed;
        let held_until = is_deferred(&crossing).then(|| self.outbound.held_until(&poll.way(), received_at)).flatten();
        let polled = match (outcome, held_until) {
            (Ok(Ok(polled)), _) => polled,
            (_, Some(until)) => return self.held_back(poll, channel, permit, until).await,
            (Ok(Err(failure)), None) => return self.failed(poll, channel, permit, said(&failure)).await,
            (Err(error), None) => {
                let (code, why) = (call_error_code(&error), error.to_string());
                return self.failed(poll, channel, permit, Failing { code, why, after_ms: 0 }).await;
            }
        };
        if let Some(found) = polled.cursor.as_ref().map(Vec::len).filter(|found| *found > CURSOR_BYTES_MAX) {
            let why =
                format!("found a cursor of {found} bytes, expected {CURSOR_BYTES_MAX} at most; repair the connector");
            let failing = Failing { code: "cursor-too-large".to_owned(), why, after_ms: 0 };
            return self.failed(poll, channel, permit, failing).await;
        }
        self.brought(poll, channel, permit, (polled, crossing), again).await
    }

    /// Writes down what a poll brought.
    async fn brought(
        &self,
        poll: &Poll,
        channel: &Channel,
        permit: PollPermit,
        (mut polled, crossing): (Polled, Crossing),
        again: bool,
    ) -> Result<Ended, PollError> {
        let sender = Sender::polled(poll);
        let now = self.clock.now();
        let state: Vec<_> = crossing.kv_writes.iter().map(|write| (write.key.clone(), write.value.clone())).collect();
        let cursor = polled.cursor.clone().filter(|cursor| permit.cursor() != Some(cursor.as_slice()));
        let is_moved = cursor.is_some() || !state.is_empty();
        let said = said_by(poll, &polled);
        let is_nothing = polled.documents.is_empty() && polled.problems.is_empty();
        // Without a cursor of its own a source tells the same each time, until it tells something
        // else; what it told before that is new again.
        if !is_moved && (is_nothing || permit.said() == Some(said)) {
            return self.rested(poll, permit, said, now).await;
        }
        let content = Digest::of_parts(&[said.as_bytes(), &permit.epoch().to_be_bytes()]);
        if poll.only_missing {
            let keys = polled.documents.iter().map(|document| document.key.clone()).collect();
            let mut known = self.store.known_keys(sender.channel(), sender.id(), keys).await?.into_iter();
            polled.documents.retain(|_| known.next() != Some(true));
        }

        let body = polled.documents.iter().map(|document| document.body.as_slice()).collect::<Vec<_>>().join(&b'\n');
        let problems = polled.problems.clone();
        let received: Result<Crossed<Result<Received, Failure>>, Absent> = Ok(Crossed {
            outcome: Ok(Ok(Received {
                envelopes: Vec::new(),
                documents: polled.documents,
                problems: polled.problems,
                reply: reply::kept(),
            })),
            crossing,
        });
        let judged = Judged::of(channel, &body, &received, &Memory::default());
        let mut exceptions = judged.exceptions;
        // Whoever is asked hears nothing of what is wrong with the answer: people do.
        if judged.outcome == AcceptOutcome::Rejected {
            exceptions.extend((!problems.is_empty()).then(|| unusable(channel, &problems)));
        }
        let exceptions = exceptions.into_iter().map(|exception| self.dated(exception, now, Limits::default()));

        let subject = Some(Digest::of(sender.id().as_str().as_bytes()));
        let payload = NewPayload::seal(&body, subject)?;
        let documents = sealed(&judged.documents, subject)?;
        let record = leaf::accept(&AcceptFacts {
            channel: sender.channel(),
            sender: sender.id(),
            content: payload.sealed.commitment(),
            key: &payload.key,
            kinds: &|kind| channel.documents.contains_key(kind),
            crossing: judged.crossing,
            failure: None,
            documents: &documents,
            problems: &judged.problems,
            settled: &[],
            outcome: judged.outcome,
        })?;
        let entry = JournalEntry {
            channel: sender.channel().clone(),
            sender: sender.id().clone(),
            received_at: now,
            content,
            envelopes: Vec::new(),
            disposition: judged.disposition,
            payload,
            reply: reply::kept(),
            documents,
            exceptions: exceptions.collect(),
            mended_by: None,
            wakes: None,
            leaf: Leaf::new(&self.host, now, LeafBody::Accept(record))?,
        };
        let more = again && cursor.is_some();
        let due_at = if more { now } else { poll.next(now, permit.epoch()) };
        match self.store.journal_polled(permit, entry, PolledChange { cursor, state, due_at, said }).await? {
            JournalOutcome::Committed { documents, .. } => {
                self.metrics.polled(&poll.id, "documents", 0);
                Ok(if more { Ended::More(documents) } else { Ended::Rest(documents) })
            }
            JournalOutcome::Duplicate { .. } | JournalOutcome::Known { .. } => Ok(Ended::Rest(0)),
        }
    }

    /// There was nothing. Where people were told that it fails, they hear that it works.
    async fn rested(&self, poll: &Poll, permit: PollPermit, said: Digest, now: Instant) -> Result<Ended, PollError> {
        let leaf = permit.is_told().then(|| self.turn(poll, PollStep::Restored, permit.failures(), None, now));
        let due_at = poll.next(now, permit.epoch());
        let end = PollEnd { due_at, failure: None, said: Some(said), leaf: leaf.transpose()? };
        self.store.end_poll(permit, end, now).await?;
        self.metrics.polled(&poll.id, "nothing", 0);
        Ok(Ended::Rest(0))
    }

    /// It failed: it waits, and people are told when it does so again and again.
    async fn failed(
        &self,
        poll: &Poll,
        channel: &Channel,
        permit: PollPermit,
        failing: Failing,
    ) -> Result<Ended, PollError> {
        let now = self.clock.now();
        let Failing { code, why, after_ms } = failing;
        let failures = permit.failures().saturating_add(1);
        let due_at = now.plus_ms(after_ms.max(poll.backoff_ms(permit.failures())));
        tracing::warn!(poll = poll.id, code, failures, %due_at, "a poll failed");
        let (mut leaf, mut exception) = (None, None);
        let is_too_long = poll.is_too_long(after_ms);
        if (failures >= FAILURES_TOLD || is_too_long) && !permit.is_told() {
            leaf = Some(self.turn(poll, PollStep::Failing, failures, Some(&code), now)?);
            let new = NewException {
                kind: ExceptionKind::Poll,
                stage: "poll",
                code: FAILS.to_owned(),
                detail: match is_too_long {
                    true => format!(
                        "poll `{}` is asked again at {due_at} only, since its source wants to be left alone for longer than {} minute(s) (`patience_minutes`): {why}; nothing of it comes in meanwhile: see what is wrong there, this is closed by itself when it works again",
                        poll.id, poll.patience_minutes
                    ),
                    false => format!(
                        "poll `{}` failed {failures} times in a row, the last time since {why}; nothing of its source comes in meanwhile: it goes on by itself, and this is closed, when it works again",
                        poll.id
                    ),
                },
                queue: channel.exception_queue.clone(),
                due_at: None,
            };
            exception = Some(self.dated(new, now, Limits::default()));
        }
        let failure = Some(PollFailure { code: code.clone(), exception });
        self.store.end_poll(permit, PollEnd { due_at, failure, said: None, leaf }, now).await?;
        self.metrics.polled(&poll.id, "failed", failures);
        Ok(Ended::Failed(code))
    }

    fn turn(
        &self,
        poll: &Poll,
        step: PollStep,
        failures: u32,
        code: Option<&str>,
        now: Instant,
    ) -> Result<Leaf, PollError> {
        let plugin = self.routes.channel(&poll.channel).map(|channel| poll.connector(channel).clone());
        let plugin =
            plugin.ok_or_else(|| PollError::NoChannel { poll: poll.id.clone(), channel: poll.channel.clone() })?;
        let body = PollLeaf {
            poll: Code::of(&poll.id),
            channel: poll.channel.clone(),
            plugin,
            step,
            failures,
            code: code.map(Code::of),
        };
        Ok(Leaf::new(&self.host, now, LeafBody::Poll(body))?)
    }
}

/// Why its connector was not called.
fn not_polled(absent: Absent, now: Instant) -> Failing {
    match absent {
        Absent::NotInstalled => Failing {
            code: "connector-missing".to_owned(),
            why: "the channel's connector is not installed".to_owned(),
            after_ms: 0,
        },
        Absent::Stopped(stopped) => Failing {
            code: stopped.code().to_owned(),
            why: stopped.to_string(),
            after_ms: stopped.ask_at(now).0.saturating_sub(now.0),
        },
    }
}

/// Whether the host let a request of a call wait.
fn is_deferred(crossing: &Crossing) -> bool {
    crossing.requests.iter().any(|request| matches!(request.outcome, RequestOutcome::Deferred { .. }))
}

/// What a connector's failure means for its poll.
fn said(failure: &Failure) -> Failing {
    let (_, why) = leaf::failure_words(failure);
    let (code, after_ms) = match failure {
        Failure::Invalid(_) => ("invalid", 0),
        Failure::Retry(after_ms) => ("retry", i64::from(*after_ms)),
        Failure::Permanent(_) => ("permanent", 0),
        Failure::UnknownOutcome(_) => ("unknown-outcome", 0),
    };
    Failing { code: code.to_owned(), why, after_ms }
}

/// What makes the answer to a poll the same. As an input each is another one, of its claim: only
/// with the answer before it is one compared.
fn said_by(poll: &Poll, polled: &Polled) -> Digest {
    let mut parts: Vec<&[u8]> = vec![b"poll", poll.id.as_bytes()];
    for document in &polled.documents {
        parts.extend([document.kind.as_bytes(), document.key.as_bytes(), &document.body]);
    }
    for problem in &polled.problems {
        parts.extend([b"problem", problem.code.as_bytes(), problem.position.path.as_bytes()]);
    }
    Digest::of_parts(&parts)
}

/// Nothing of what came could be taken, and nobody else knows.
fn unusable(channel: &Channel, problems: &[Problem]) -> NewException {
    NewException {
        kind: ExceptionKind::Input,
        stage: "accept",
        code: UNUSABLE.to_owned(),
        detail: format!(
            "found nothing to take in what was fetched, but {}; look at it in the source, the poll goes on behind it",
            told::all(problems.iter().map(told::by_code))
        ),
        queue: channel.exception_queue.clone(),
        due_at: None,
    }
}

/// A connector's state about one poll.
struct PollState {
    store: Arc<dyn Store>,
    plugin: PluginName,
    poll: String,
}

#[async_trait]
impl Kv for PollState {
    async fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        self.store.poll_state(&self.plugin, &self.poll).await.map_err(|error| {
            tracing::error!(%error, plugin = %self.plugin, "a connector's state about a poll could not be read");
            "the state cannot be read now".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    pub(super) fn poll(every_seconds: u32, jitter_seconds: u32) -> Poll {
        Poll {
            id: "erp".to_owned(),
            channel: ChannelId::parse("erp").unwrap(),
            every_seconds,
            jitter_seconds,
            patience_minutes: patience_minutes_default(),
            connector: None,
            sender: None,
            only_missing: false,
            origin: serde_json::from_str("\"https://erp.example\"").unwrap(),
            tls: TargetTls::default(),
            credential: None,
            settings: BTreeMap::new(),
            subscription: None,
        }
    }

    #[test]
    fn the_next_poll_is_the_interval_away_and_up_to_the_jitter_more() {
        let now = Instant(0);
        assert_eq!(poll(60, 0).next(now, 7), Instant(60_000));
        let jittered: Vec<i64> = (0..100).map(|epoch| poll(60, 30).next(now, epoch).0).collect();
        assert!(jittered.iter().all(|at| (60_000..=90_000).contains(at)), "{jittered:?}");
        assert!(jittered.iter().any(|at| *at > 75_000) && jittered.iter().any(|at| *at < 75_000));
        assert_eq!(poll(60, 30).next(now, 3), poll(60, 30).next(now, 3));
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_an_hour_or_the_interval() {
        let waits = |every: u32| [0, 1, 5, 20, 4_000_000_000].map(|failures| poll(every, 0).backoff_ms(failures));
        assert_eq!(waits(60), [10_000, 20_000, 320_000, 3_600_000, 3_600_000]);
        assert_eq!(waits(7_200).last(), Some(&7_200_000));
    }
}
