//! What a governed call leaves behind: its result, or a typed failure, and the
//! crossing: the record of everything that went over the border, whichever it was.

use std::fmt;
use std::sync::Arc;

use portreeve_model::id::{Digest, PluginName};
use portreeve_model::reference::Row;

/// An export of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// A connector judges the syntax of an input.
    Receive,
    /// A connector causes an effect.
    Deliver,
    /// A connector looks an effect up.
    Find,
    /// A connector fetches what is new.
    Poll,
    /// A connector tests its target.
    Check,
    /// A transformer reads a document.
    ToCanonical,
    /// A transformer writes a message.
    FromCanonical,
    /// A scorer assesses an order.
    Score,
}

impl Call {
    /// The export's name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Deliver => "deliver",
            Self::Find => "find",
            Self::Poll => "poll",
            Self::Check => "check",
            Self::ToCanonical => "to-canonical",
            Self::FromCanonical => "from-canonical",
            Self::Score => "score",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call that came to an end: well or badly, its crossing is on record.
#[derive(Debug)]
#[must_use]
pub struct Crossed<T> {
    /// What the plugin returned, or why it did not.
    pub outcome: Result<T, CallError>,
    /// What went over the border meanwhile.
    pub crossing: Crossing,
}

/// The record of one call.
#[derive(Debug, Clone)]
pub struct Crossing {
    /// Who was called.
    pub plugin: PluginName,
    /// The component's digest.
    pub digest: Digest,
    /// Which export.
    pub call: Call,
    /// Whether a guest ran. A call that ended before (no sandbox, a kind of document that
    /// the plugin does not declare) says nothing about it.
    pub ran: bool,
    /// SHA-256 over the host calls in order: name, arguments and answer, each
    /// framed by its length. A log line goes in whole with its level and whether it
    /// was kept; a write to the state with whether it was taken. HTTP exchanges
    /// follow in the order of their requests, as [`Crossing::requests`] has them. A
    /// host call that ended the call is not in it: the failure says which limit.
    pub transcript: Digest,
    /// Host functions that were called.
    pub host_calls: u64,
    /// Fuel that was burned; none for connectors, which run on a clock.
    pub fuel_used: Option<u64>,
    /// Microseconds of CPU, instantiation included; none for scorers and
    /// transformers, which run on fuel.
    pub cpu_us: Option<u64>,
    /// Microseconds from the permit to the end.
    pub wall_us: u64,
    /// Look-ups with their answers, in order: deciding again needs them.
    pub lookups: Vec<RecordedLookup>,
    /// Numbers that were drawn. They are used up when the effect commits.
    pub numbers: Vec<(String, u64)>,
    /// State to be committed with the journal entry or the receipt, last write
    /// per key, in the order of the keys. Empty when the call failed.
    pub kv_writes: Vec<KvWrite>,
    /// HTTP requests, in order.
    pub requests: Vec<RecordedRequest>,
    /// Log lines that were kept.
    pub logs: Vec<LogLine>,
    /// Log lines beyond the limits.
    pub logs_dropped: u64,
}

/// A look-up and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedLookup {
    /// The table's name, as the guest wrote it.
    pub table: String,
    /// The key, as the guest wrote it.
    pub key: String,
    /// What it was told.
    pub answer: LookupAnswer,
}

/// What a look-up was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupAnswer {
    /// The row.
    Row(Arc<Row>),
    /// The table has no such key.
    NoRow,
    /// Neither declared nor granted.
    Denied,
    /// There is no such table.
    UnknownTable,
    /// The table could not be read.
    Unavailable,
}

/// A change to a connector's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvWrite {
    /// The key, unique within the call's scope.
    pub key: String,
    /// The new value; none deletes.
    pub value: Option<Vec<u8>>,
}

/// An HTTP request of a guest. Header values and bodies are not here: they may
/// hold credentials and personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// Scheme, host with its port, and path; credentials and query are left out.
    pub url: String,
    /// Host and port of the target, in the configuration's words; none for a request
    /// that was not permitted.
    pub authority: Option<String>,
    /// Digest of the request's body, once it was complete.
    pub body: Option<Digest>,
    /// Its length.
    pub body_bytes: u64,
    /// Milliseconds from the guest's handing it over to its end.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: RequestOutcome,
}

/// How an HTTP request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The call ended before the host had begun to send it: the target has seen nothing.
    Unsent,
    /// The call ended first. The target may or may not have seen the request.
    Unfinished,
    /// The host did not send it; one sentence.
    Refused(String),
    /// The host did not send it now; one sentence.
    Deferred {
        /// Milliseconds until it may be tried again.
        after_ms: u64,
        /// The sentence.
        why: String,
    },
    /// It failed on the way; one sentence. The target may have seen it.
    Failed(String),
    /// The target answered.
    Answered {
        /// HTTP status.
        status: u16,
        /// Digest of the body.
        body: Digest,
        /// Its length.
        body_bytes: u64,
    },
}

impl RequestOutcome {
    /// A stable word, for records and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Unfinished => "unfinished",
            Self::Refused(_) => "refused",
            Self::Deferred { .. } => "deferred",
            Self::Failed(_) => "failed",
            Self::Answered { .. } => "answered",
        }
    }
}

/// A line of a guest's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How important the guest finds it.
    pub level: LogLevel,
    /// At most [`crate::LOG_LINE_BYTES_MAX`] bytes, without control characters.
    pub message: String,
}

/// The importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For the author.
    Debug,
    /// For the record.
    Info,
    /// Somebody should look.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// Its name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A call that did not come to a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{plugin}` failed in `{call}`: {failure}")]
pub struct CallError {
    /// Who.
    pub plugin: PluginName,
    /// In which export.
    pub call: Call,
    /// Why.
    pub failure: CallFailure,
}

/// Why a call did not come to a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The guest stopped itself: a panic, a failed assertion, an access out of bounds.
    #[error("it trapped: {message}")]
    Trap {
        /// The trap in wasmtime's words, without host paths.
        message: String,
    },
    /// It ran too long.
    #[error("it used up {allowed} {unit} of {limit}")]
    OutOfTime {
        /// Which clock.
        limit: TimeLimit,
        /// How much there was.
        allowed: u64,
        /// `units` or `ms`.
        unit: &'static str,
    },
    /// It wanted more memory.
    #[error("it asked for {asked_bytes} bytes of memory; {allowed_bytes} are allowed")]
    OutOfMemory {
        /// The size of all its memories, had it got what it asked for.
        asked_bytes: u64,
        /// What it may have.
        allowed_bytes: u64,
    },
    /// It recursed too deeply.
    #[error("it overflowed its stack of {allowed_bytes} bytes")]
    StackOverflow {
        /// The stack's size.
        allowed_bytes: u64,
    },
    /// It produced or used too much of something else.
    #[error("too many or too large {what}: found {found}, allowed {allowed}")]
    TooLarge {
        /// Of what, with its unit: `output bytes`, `host calls`.
        what: &'static str,
        /// How much; at least this, where counting stopped at the limit.
        found: u64,
        /// How much is allowed.
        allowed: u64,
    },
    /// What it returned is not what the contract says.
    #[error("it broke the contract: {message}")]
    ContractViolation {
        /// The field and what is wrong with it.
        message: String,
    },
    /// It was built for something that this host does not give it.
    #[error("it imports `{import}`, {why}")]
    RefusedImport {
        /// The interface.
        import: String,
        /// Why not, and what would allow it.
        why: String,
    },
    /// It is called more often than it may be, where a call that fills and closes much memory
    /// counts as several. Nothing happened; try again.
    #[error("it was called more than {allowed_per_second} times in a second, or grew and left as much memory instead")]
    TooOften {
        /// How often it may be called.
        allowed_per_second: u64,
    },
    /// All sandboxes were busy. Nothing happened; try again.
    #[error("no sandbox became free within {waited_ms} ms")]
    Busy {
        /// How long the call waited.
        waited_ms: u64,
    },
}

impl CallFailure {
    /// A stable word, for records, metrics and logs: it has nothing of what the guest
    /// or a sender said.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "trap",
            Self::OutOfTime { limit: TimeLimit::Fuel, .. } => "out-of-time",
            // The host's outcome: it depends on how busy the machine is.
            Self::OutOfTime { limit: TimeLimit::Cpu | TimeLimit::Wall, .. } => "host-out-of-time",
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::StackOverflow { .. } => "stack-overflow",
            Self::TooLarge { .. } => "too-large",
            Self::ContractViolation { .. } => "contract-violation",
            Self::RefusedImport { .. } => "refused-import",
            Self::TooOften { .. } => "too-often",
            Self::Busy { .. } => "busy",
        }
    }
}

/// The clock that ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// Instructions, repeatably.
    Fuel,
    /// CPU time of the call.
    Cpu,
    /// Wall clock: the host's outcome, not re-executed.
    Wall,
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fuel => "fuel",
            Self::Cpu => "CPU time",
            Self::Wall => "wall-clock time",
        })
    }
}
