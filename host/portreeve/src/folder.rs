//! Watched folders: a file that somebody puts into an inbox becomes an input, and
//! the reply a file in an outbox.
//!
//! ```text
//! inbox/NAME ─rename─▶ inbox/.taken/NAME ─accept─▶ journal ─▶ outbox/NAME.KEY.reply ─▶ archive/NAME.KEY
//!                              └── nothing was taken ─▶ failed/NAME.KEY.reason.json ─▶ failed/NAME.KEY
//!                                        └── and its sender is told: outbox/NAME.KEY.reply, before both
//! ```
//!
//! **When a file is whole.** When it has a name that is taken. Whoever writes into
//! an inbox writes under a name that begins with a dot or ends with `.tmp`, `.part`,
//! `.partial` or `.filepart`, and renames the file when it is whole; most programs
//! that transfer files do. A size that does not grow is no sign: that of a transfer
//! that hangs does not either.
//!
//! **After a crash.** What is in `.taken` is taken again, from the beginning: the same
//! bytes are the same input, whose first reply is written once more. So a file has
//! one effect wherever the host ended, and a reply that was fetched already may come
//! a second time, with the same name and the same bytes. The same holds for what a sender
//! is told of a file that is refused: what was refused once is refused with the same words.
//!
//! **The archive** has what is on record, whatever was made of it; the reply says
//! that, and exceptions ask people. In `failed` is what nothing was taken of: somebody
//! has to act. Where the protocol has words for that (of X12 a TA1), they are in the outbox,
//! where the sender looks for answers; of what never was an input nobody is told there.
//!
//! Directories are held as handles (`folder/places.rs`): no name, link or `..` leads out of
//! them.

mod patience;

mod places;

mod tray;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use portreeve_api::INPUT_BYTES_MAX;
use portreeve_model::{ChannelId, Instant, Reply};
use portreeve_pipeline::accept::{AcceptError, Input};
use portreeve_pipeline::{Channel, Pipeline, Senders, reply};
use portreeve_store::contract::InputId;
use serde::Serialize;

use self::patience::{PATIENCE_MINUTES, Patience};
use self::places::{NAME_BYTES_MAX, Places, Taken};
use crate::config::FolderEntry;

pub use self::tray::Tray;

/// Files of one scan: who waits for decisions hears of them, and the others come with
/// the next one.
const FILES_PER_SCAN: usize = 64;

/// A folder that is watched.
pub struct Watched {
    channel: ChannelId,
    sender: Option<String>,
    every: Duration,
    places: Arc<Places>,
    patience: Patience,
}

/// What became of a file.
#[derive(Debug)]
pub enum End {
    /// It is on record, its reply is in the outbox, and it is out of the inbox.
    OnRecord {
        /// The input.
        input: InputId,
        /// Whether the same bytes were there before.
        duplicate: bool,
    },
    /// Nothing was taken: it is among the failed ones, with the reason, and what the protocol says to its
    /// sender is in the outbox.
    Refused(Refusal),
    /// Something passing was in the way: it is tried again.
    Later {
        /// What.
        why: String,
        /// Not before.
        due_at: Instant,
    },
    /// Somebody took it away before the host did.
    Gone,
}

/// Why nothing of a file was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A link could lead anywhere, a pipe could block, a directory has no bytes.
    #[error("it is a {found}, expected a file; put the file itself into the inbox")]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// The name cannot be part of other names, or of a message.
    #[error(
        "its name is too long or no plain text; expected at most {NAME_BYTES_MAX} bytes of UTF-8 without control characters, rename it"
    )]
    Name,
    /// More than an input may have.
    #[error("it has {found_bytes} bytes, expected at most {INPUT_BYTES_MAX}; send it in parts")]
    TooLarge {
        /// How many, as far as it was read.
        found_bytes: u64,
    },
    /// The host's user may not read it.
    #[error("it cannot be read ({0}); let the host's user read it, and put it into the inbox again")]
    Unreadable(String),
    /// The channel refused it.
    #[error("{why}")]
    Conflict {
        /// Why.
        why: String,
        /// What the sender is to hear, in the protocol's own words, where it has any.
        answer: Option<Reply>,
    },
    /// What should have passed did not.
    #[error(
        "it could not be taken for {PATIENCE_MINUTES} minutes ({0}); put it into the inbox again when that is over"
    )]
    Unpassed(String),
}

impl Refusal {
    /// A stable word for monitors and reasons.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAFile { .. } => "not-a-file",
            Self::Name => "name",
            Self::TooLarge { .. } => "too-large",
            Self::Unreadable(_) => "unreadable",
            Self::Conflict { .. } => "conflict",
            Self::Unpassed(_) => "busy",
        }
    }

    /// What the sender finds in the outbox: the protocol's own words, where it has any.
    fn reply_file(&self) -> Option<Vec<u8>> {
        let Self::Conflict { answer: Some(answer), .. } = self else { return None };
        let is_protocols = !reply::is_hosts(answer) && !reply::is_problem(answer) && !answer.body.is_empty();
        is_protocols.then(|| answer.body.clone())
    }
}

/// Why a file was not taken.
enum Trouble {
    Refused(Refusal),
    /// Another try may not meet it.
    Passing {
        why: String,
        after_ms: u32,
    },
}

/// Opens folders; relative paths begin at `base`.
///
/// # Errors
/// See [`Watched::open`]; also when one's inbox is a place of another one: the host
/// would take its own replies for orders.
pub fn open_all(entries: &[FolderEntry], base: &Path, senders: &Senders) -> anyhow::Result<Vec<Watched>> {
    let mut watched: Vec<Watched> = Vec::new();
    for entry in entries {
        let folder = Watched::open(entry, base, senders)?;
        for other in &watched {
            folder.places.apart_from(&other.places)?;
        }
        watched.push(folder);
    }
    Ok(watched)
}

impl Watched {
    /// Opens the places of a folder and makes sure that nobody else watches it.
    /// Relative paths begin at `base`.
    ///
    /// # Errors
    /// When a place is missing, cannot be written or is part of another one, or the
    /// channel has no such sender.
    pub fn open(entry: &FolderEntry, base: &Path, senders: &Senders) -> anyhow::Result<Self> {
        let what =
            || format!("the folder `{}` of channel `{}` cannot be watched", entry.inbox.display(), entry.channel);
        senders.of_local_file(entry.channel.as_str(), entry.sender.as_deref()).with_context(what)?;
        Ok(Self {
            channel: entry.channel.clone(),
            sender: entry.sender.clone(),
            every: Duration::from_millis(entry.poll_ms.into()),
            places: Arc::new(Places::open(entry, base).with_context(what)?),
            patience: Patience::default(),
        })
    }

    /// How long to wait before looking again when there was nothing.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }

    /// The channel that its files are for.
    #[must_use]
    pub fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// Takes what lies there: first what a crash or a passing trouble left, then the
    /// inbox in the order of names. A file that has to wait lets the others pass.
    /// Begins no further one when `go_on` says no. Nobody else may scan at the same
    /// time.
    ///
    /// # Errors
    /// When the inbox cannot be read. What goes wrong with one file is its end.
    pub async fn scan(
        &self,
        pipeline: &Pipeline,
        go_on: &(dyn Fn() -> bool + Send + Sync),
    ) -> anyhow::Result<Vec<(OsString, End)>> {
        let now = pipeline.clock.now();
        let listed = self.on_disk(Places::list).await?.context("the inbox cannot be read")?;
        let mut ends = Vec::new();
        for name in listed.into_iter().filter(|name| !self.patience.waits(name, now)).take(FILES_PER_SCAN) {
            if !go_on() {
                break;
            }
            let end = self.take(pipeline, &name).await?;
            self.tell(pipeline, &end);
            if !matches!(end, End::Later { .. }) {
                self.patience.forget(&name);
            }
            ends.push((name, end));
        }
        Ok(ends)
    }

    /// One file, from the inbox to its end.
    async fn take(&self, pipeline: &Pipeline, name: &OsStr) -> anyhow::Result<End> {
        let wanted = name.to_owned();
        let body = match self.on_disk(move |places| places.take(&wanted)).await? {
            Ok(Taken::Bytes(body)) => body,
            Ok(Taken::Gone) => return Ok(End::Gone),
            Ok(Taken::Unusable(refusal)) => return self.not_taken(pipeline, name, Trouble::Refused(refusal)).await,
            Err(error) => {
                let trouble = Trouble::Passing { why: error.to_string(), after_ms: 0 };
                return self.not_taken(pipeline, name, trouble).await;
            }
        };
        let sender = pipeline.senders.of_local_file(self.channel.as_str(), self.sender.as_deref())?;
        let channel = pipeline.routes.channel(&self.channel);
        let input = Input::of_file(body, channel.and_then(Channel::type_of_files));
        let accepted = match pipeline.accept(&sender, input).await {
            Ok(accepted) => accepted,
            Err(error) => return self.not_taken(pipeline, name, trouble(error)).await,
        };
        // From here on it is on record: whatever fails now only has to be done again.
        let (taken, key, reply) =
            (name.to_owned(), accepted.input.0.short(), reply_file(&accepted.input, accepted.reply)?);
        match self.on_disk(move |places| places.answer_and_archive(&taken, &key, &reply)).await? {
            Ok(()) => Ok(End::OnRecord { input: accepted.input, duplicate: accepted.duplicate }),
            Err(error) => {
                let why =
                    format!("it is on record, but its reply or the file itself could not be put in place: {error}");
                Ok(End::Later { why, due_at: self.patience.again(name, pipeline.clock.now()) })
            }
        }
    }

    async fn not_taken(&self, pipeline: &Pipeline, name: &OsStr, trouble: Trouble) -> anyhow::Result<End> {
        let now = pipeline.clock.now();
        let refusal = match trouble {
            Trouble::Refused(refusal) => refusal,
            Trouble::Passing { why, after_ms } => match self.patience.wait(name, after_ms, now) {
                Some(due_at) => return Ok(End::Later { why, due_at }),
                None => Refusal::Unpassed(why),
            },
        };
        let (taken, reason, reply) = (name.to_owned(), reason_file(name, &refusal)?, refusal.reply_file());
        match self.on_disk(move |places| places.set_aside(&taken, &reason, reply.as_deref())).await? {
            Ok(()) => Ok(End::Refused(refusal)),
            Err(error) => {
                let why = format!("it is refused, but its reply or the file itself could not be put in place: {error}");
                Ok(End::Later { why, due_at: self.patience.again(name, now) })
            }
        }
    }

    /// Names of files are the sender's words and stay out of the log; the reason
    /// beside the file has them.
    fn tell(&self, pipeline: &Pipeline, end: &End) {
        let channel = self.channel.as_str();
        match end {
            End::OnRecord { input, duplicate } => {
                tracing::debug!(channel, input = %input.0, duplicate, "a file was taken");
            }
            End::Refused(refusal) => {
                pipeline.metrics.refused(refusal.code());
                tracing::warn!(channel, code = refusal.code(), "a file was refused; the reason is beside it");
            }
            End::Later { why, due_at } => {
                pipeline.metrics.refused("file-later");
                tracing::warn!(channel, why, %due_at, "a file waits in `.taken`");
            }
            End::Gone => {}
        }
    }

    /// Disks can hang: nobody else's work waits on this thread.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&Places) -> T + Send + 'static) -> anyhow::Result<T> {
        let places = Arc::clone(&self.places);
        tokio::task::spawn_blocking(move || work(&places)).await.context("work on a watched folder was cut short")
    }
}

fn trouble(error: AcceptError) -> Trouble {
    let why = error.to_string();
    match error {
        AcceptError::UnknownChannel(_) => Trouble::Refused(Refusal::Conflict { why, answer: None }),
        AcceptError::Conflict { reply, .. } => Trouble::Refused(Refusal::Conflict { why, answer: reply }),
        AcceptError::Later { after_ms, .. } => Trouble::Passing { why, after_ms },
        AcceptError::Store(_) | AcceptError::Record(_) | AcceptError::Seal(_) => Trouble::Passing { why, after_ms: 0 },
    }
}

/// The protocol's own reply; where it has none, the host's.
fn reply_file(input: &InputId, reply: Reply) -> anyhow::Result<Vec<u8>> {
    if !reply::is_hosts(&reply) {
        return Ok(reply.body);
    }
    // The same for a duplicate: a reply that is written again has to be the same.
    serde_json::to_vec(&serde_json::json!({ "input": input.0 })).context("the reply has no JSON")
}

/// As `portreeve ingest --json` says it.
#[derive(Serialize)]
struct Reason {
    file: String,
    #[serde(flatten)]
    outcome: portreeve_api::outcome::Outcome,
}

fn reason_file(name: &OsStr, refusal: &Refusal) -> anyhow::Result<Vec<u8>> {
    let file = name.to_string_lossy().into_owned();
    let mut outcome = portreeve_api::outcome::Outcome::not_taken(refusal.code(), refusal.to_string());
    if let Refusal::Conflict { answer: Some(answer), .. } = refusal {
        outcome.acknowledgement = portreeve_api::outcome::acknowledgement(answer.clone());
    }
    serde_json::to_vec(&Reason { file, outcome }).context("the reason has no JSON")
}
