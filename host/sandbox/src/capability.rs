//! What the host can do for a guest, as small traits that the pipeline implements.
//!
//! The sandbox checks the declaration, counts, limits and records; an
//! implementation only answers. Its answers are trusted to be of a sane size.
//! Futures are dropped when a call's time is up, so an implementation must not
//! leave anything half done at an `await`. [`Nothing`] denies everything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use portreeve_model::id::{Digest, PluginName};
use portreeve_model::reference::Row;
use portreeve_model::value::Instant;

use crate::outcome::Call;
use crate::tls::ClientTls;

/// Everything around one call.
#[derive(Clone)]
pub struct CallContext {
    /// The guest's clock: when the input was received.
    pub received_at: Instant,
    /// Reference tables.
    pub lookup: Arc<dyn Lookup>,
    /// Number ranges.
    pub numbers: Arc<dyn Numbers>,
    /// Model files.
    pub artifacts: Arc<dyn Artifacts>,
    /// The connector's state, in the scope of this call's order or poll.
    pub kv: Arc<dyn Kv>,
    /// The way to the network.
    pub egress: Arc<dyn Egress>,
}

impl CallContext {
    /// A context in which every capability denies.
    #[must_use]
    pub fn with_nothing(received_at: Instant) -> Self {
        let nothing = Arc::new(Nothing);
        Self {
            received_at,
            lookup: nothing.clone(),
            numbers: nothing.clone(),
            artifacts: nothing.clone(),
            kv: nothing.clone(),
            egress: nothing,
        }
    }
}

/// Why a look-up has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The platform team did not grant it.
    #[error("table `{0}` is not granted to this plugin")]
    Denied(String),
    /// There is no such table.
    #[error("there is no reference table `{0}`")]
    UnknownTable(String),
    /// It cannot be read now.
    #[error("{0}")]
    Unavailable(String),
}

/// Reference tables, read-only. The same question within one call must get the
/// same answer, and the answer of the decision is recorded with it.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// The row with this key, keys compared byte by byte.
    ///
    /// # Errors
    /// See [`LookupError`].
    async fn get(&self, table: &str, key: &str) -> Result<Option<Arc<Row>>, LookupError>;
}

/// Why there is no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumbersError {
    /// The platform team did not grant it.
    #[error("number range `{0}` is not granted to this plugin")]
    Denied(String),
    /// The range is used up; one sentence.
    #[error("{0}")]
    Exhausted(String),
    /// No number can be had now; one sentence.
    #[error("{0}")]
    Unavailable(String),
}

/// Number ranges. A number is used up only when the caller commits the crossing
/// that lists it; dropped otherwise, and given again.
#[async_trait]
pub trait Numbers: Send + Sync {
    /// The next number of a range, within this call.
    ///
    /// # Errors
    /// See [`NumbersError`].
    async fn next(&self, range: &str) -> Result<u64, NumbersError>;
}

/// Model files by digest, read-only and immutable.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// The file's size in bytes; none when there is no such file.
    async fn size(&self, digest: &Digest) -> Option<u64>;

    /// Up to `length_bytes` from `offset_bytes`, fewer only at the end; none when
    /// there is no such file.
    async fn read(&self, digest: &Digest, offset_bytes: u64, length_bytes: u64) -> Option<Vec<u8>>;
}

/// A connector's state, read here and written through [`crate::Crossing::kv_writes`]:
/// nothing that a guest sets exists before the caller commits it.
#[async_trait]
pub trait Kv: Send + Sync {
    /// All that is committed in the scope of this call, by key. Asked once in a call, and
    /// only of a call that uses its state.
    ///
    /// # Errors
    /// One sentence when it cannot be read now, or the call has none.
    async fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, String>;
}

/// An HTTP request that wants to leave.
#[derive(Debug, Clone, Copy)]
pub struct EgressRequest<'a> {
    /// Who wants to send it.
    pub plugin: &'a PluginName,
    /// In which export; the method already is within what the export and the
    /// manifest allow.
    pub call: Call,
    /// Upper case.
    pub method: &'a str,
    /// The whole URL, as the guest wrote it.
    pub url: &'a str,
}

/// Why a request does not leave; each with one sentence: what is refused and what
/// would allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressRefused {
    /// Nobody granted it.
    #[error("{0}")]
    Denied(String),
    /// Its name leads where nobody may go.
    #[error("{0}")]
    Address(String),
    /// Its name leads nowhere.
    #[error("{0}")]
    Unresolved(String),
    /// Not now: too much was sent, or the target is down.
    #[error("{why}")]
    Later {
        /// Milliseconds until it may be tried again.
        after_ms: u64,
        /// The sentence.
        why: String,
    },
}

/// Permission to send one request to one place.
pub struct Permitted {
    /// The addresses to connect to, best first. The host resolves and checks a name
    /// once; resolving again at connect time would let a name change its mind.
    pub addresses: Vec<SocketAddr>,
    /// Host and port as the `host` header has them. The configuration's word, not the guest's.
    pub authority: String,
    /// Path and query as they were checked: what is sent.
    pub path_and_query: String,
    /// Whom to trust, and the name to prove; none for plain HTTP.
    pub tls: Option<(ClientTls, String)>,
    /// A place of this host that takes the request in the stead of the network; `addresses` and
    /// `tls` say nothing then.
    pub tray: Option<Arc<dyn OutTray>>,
    /// Credentials and account of this request.
    pub passage: Box<dyn Passage>,
}

/// A place of this host that takes whole requests as a target does: a folder that somebody else
/// empties.
#[async_trait]
pub trait OutTray: Send + Sync {
    /// Takes a request, and answers with an HTTP status that means what it means of any target:
    /// after 4xx nothing was done, after 2xx all of it.
    ///
    /// # Errors
    /// One sentence when it may have been done.
    async fn take(&self, method: &str, path_and_query: &str, body: &[u8]) -> Result<u16, String>;
}

/// A request whose body is complete.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Scheme, host and port.
    pub authority: &'a str,
    /// As it is sent.
    pub path_and_query: &'a str,
    /// As it is sent, where it says one.
    pub content_type: Option<&'a str>,
    /// As it is sent.
    pub body: &'a [u8],
}

/// What the host adds to a request.
#[derive(Default)]
pub struct Signature {
    /// Headers that replace the guest's of the same name.
    pub headers: Vec<(String, String)>,
    /// Headers that a guest may not set here, whether the host sets them or not.
    pub reserved: Vec<String>,
    /// What must not come back to the guest in an answer.
    pub secrets: Vec<Vec<u8>>,
    /// Whether a 401 may mean that a credential ran out: the request is then signed and
    /// sent once more.
    pub renewable: bool,
    /// What is sent in the place of the guest's body: the same with a secret in it that the guest
    /// does not have. What the record says of a body is of the guest's.
    pub body: Option<Vec<u8>>,
    /// Whether it goes within a session with a CSRF token: a 403 that asks for a token means
    /// that the session is over, and is renewed as well.
    pub has_session: bool,
}

impl Signature {
    /// Whether other credentials might do where the target answers so.
    pub(crate) fn is_renewable(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let wants_token =
            || headers.get("x-csrf-token").is_some_and(|word| word.as_bytes().eq_ignore_ascii_case(b"required"));
        match status {
            StatusCode::UNAUTHORIZED => self.renewable,
            StatusCode::FORBIDDEN => self.has_session && wants_token(),
            _ => false,
        }
    }
}

/// How a request ended, for whoever keeps count of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The target answered.
    Answered {
        /// HTTP status.
        status: u16,
    },
    /// The target could not be reached, or did not answer as it should.
    Failed,
}

/// Credentials and account of one permitted request. Dropped without [`Passage::ended`]
/// when the guest gave it up or it never left.
#[async_trait]
pub trait Passage: Send + Sync {
    /// What the host adds.
    ///
    /// # Errors
    /// When there are no credentials now.
    async fn sign(&self, request: ToSign<'_>) -> Result<Signature, EgressRefused>;

    /// After a 401, or a 403 that says that a session is over: whether there are other
    /// credentials, or another session, by now than it was signed with.
    async fn renew(&self, status: u16) -> bool;

    /// Takes note of the end.
    fn ended(&self, ended: Ended);
}

/// The way to the network.
#[async_trait]
pub trait Egress: Send + Sync {
    /// Decides on one request.
    ///
    /// # Errors
    /// See [`EgressRefused`].
    async fn authorize(&self, request: EgressRequest<'_>) -> Result<Permitted, EgressRefused>;
}

/// Denies everything.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

#[async_trait]
impl Lookup for Nothing {
    async fn get(&self, table: &str, _key: &str) -> Result<Option<Arc<Row>>, LookupError> {
        Err(LookupError::Denied(table.to_owned()))
    }
}

#[async_trait]
impl Numbers for Nothing {
    async fn next(&self, range: &str) -> Result<u64, NumbersError> {
        Err(NumbersError::Denied(range.to_owned()))
    }
}

#[async_trait]
impl Artifacts for Nothing {
    async fn size(&self, _digest: &Digest) -> Option<u64> {
        None
    }

    async fn read(&self, _: &Digest, _offset_bytes: u64, _length_bytes: u64) -> Option<Vec<u8>> {
        None
    }
}

#[async_trait]
impl Kv for Nothing {
    async fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        Err("this call has no state; `deliver` and `find` have that of their order".to_owned())
    }
}

#[async_trait]
impl Egress for Nothing {
    async fn authorize(&self, request: EgressRequest<'_>) -> Result<Permitted, EgressRefused> {
        let why = format!("`{}` has no target in this call, so it may send nothing", request.plugin);
        Err(EgressRefused::Denied(why))
    }
}
