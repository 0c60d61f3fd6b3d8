//! People: who acts, how it is proved, and how accounts change.
//!
//! ```text
//! name + password ─▶ sign_in ─▶ token ─▶ authenticate ─▶ SignedIn ─▶ whatever a person decides
//!                                 ▲
//!        an administrator ─▶ make_key
//! ```
//!
//! A [`SignedIn`] is the proof. It comes from [`Pipeline::authenticate`] and from nowhere
//! else, so an action without an authenticated person does not compile. A session and a key
//! are both tokens; what they may do is asked again for each request, of the account as it is
//! then: roles that were taken away, a disabled account and a revoked key count at once.
//!
//! Dangers, and what stops them:
//!
//! - *Guessing.* Five wrong passwords lock an account for a quarter of an hour, in the store,
//!   whatever host they came to. Whoever knows a name can lock its owner out that long, and
//!   no longer at a time; sessions and keys that there are go on. A right password meanwhile
//!   is answered as a wrong one is: else the lock would tell who guessed right.
//! - *Asking who has an account.* A name that nobody has costs the same hashing, is told the
//!   same sentence, and no refusal comes sooner than [`REFUSED_NOT_BEFORE`].
//! - *Hashing as an attack.* Two at once, eight that wait, and everybody else is told that the
//!   host is busy (`password.rs`).
//! - *A flood that fills the log.* Each wrong password of an account is on record, and the
//!   lock bounds them; what comes while it is locked, or for no account, is counted, and a
//!   record a minute says how many there were (`refusals.rs`).
//! - *Reading the store.* It has the hash of a password and the digest of a token.

mod password;

mod refusals;

mod change;

mod token;

use std::time::Duration;

use portreeve_authority::people::{Act, Actor, Denied};
use portreeve_model::{Digest, Instant, PersonName};
use portreeve_record::leaf::{Code, Label, SessionLeaf, SessionStep};
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    Credential, CredentialKind, NewCredential, NewPersonChange, PasswordHash, Person, PersonChange, Presented,
};

use crate::Pipeline;
pub use change::{AccountError, NewAccount};
use password::Passwords;
pub use password::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use refusals::Refusals;
pub use token::Token;

/// How long a session lasts at most: a working day. Nobody comes back the next morning to a
/// desk that somebody else sat at.
pub const SESSION_MS: i64 = 12 * 60 * Instant::MINUTE_MS;

/// How long a session lasts that nobody uses: whoever leaves a desk does not sign out.
pub const IDLE_MS: i64 = 30 * Instant::MINUTE_MS;

/// How often it is written down that a token was shown: a page that asks every second must
/// not make a write every second.
const USED_EVERY_MS: i64 = Instant::MINUTE_MS;

/// So many wrong passwords in a row lock an account.
const LOCKED_AFTER: u32 = 5;

/// For so long. Guessing at it comes to 480 passwords a day.
const LOCK_MS: i64 = 15 * Instant::MINUTE_MS;

/// No refusal comes sooner: that a wrong password of an account is written down, and a name
/// that nobody has is not, would be told by the time.
pub const REFUSED_NOT_BEFORE: Duration = Duration::from_millis(250);

/// How often a change is tried again when something else happened to the account meanwhile.
const TRIES_MAX: u32 = 8;

/// What the door for people is made of.
#[derive(Debug, Default)]
pub struct Accounts {
    passwords: Passwords,
    refusals: Refusals,
}

/// How somebody proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvedBy {
    /// A session, for which a password was shown.
    Session,
    /// A key.
    Key,
}

/// Somebody who proved who it is. See the module's description.
///
/// INVARIANT: made in this file only, of a token that counts now.
#[derive(Debug)]
pub struct SignedIn {
    name: PersonName,
    email: Option<String>,
    roles: Vec<String>,
    by: ProvedBy,
    credential: Digest,
    expires_at: Option<Instant>,
}

impl SignedIn {
    /// The account.
    #[must_use]
    pub fn name(&self) -> &PersonName {
        &self.name
    }

    /// The address by which grants name an owner.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// Ids of the account's roles.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// What was shown.
    #[must_use]
    pub fn proved_by(&self) -> ProvedBy {
        self.by
    }

    /// When it stops to count, however much it is used; none for never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Who asks, for authority.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        Actor { name: self.name.as_str(), email: self.email.as_deref(), roles: &self.roles }
    }
}

/// A session that begins.
#[derive(Debug)]
pub struct Opened {
    /// What its owner shows from now on. It is nowhere else.
    pub token: Token,
    /// When it stops to count, however much it is used.
    pub expires_at: Instant,
    /// The account.
    pub name: PersonName,
    /// Its roles.
    pub roles: Vec<String>,
}

/// Nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Says nothing about what was wrong: a stranger would learn it as well.
    #[error(
        "this name and password sign nobody in; check both, and after five wrong ones wait for a quarter of an hour"
    )]
    Refused,
    /// Others are being signed in.
    #[error("too many sign-ins are under way")]
    Busy,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// Hashing, or the system's random numbers, failed.
    #[error("the host could not do its part: {0}")]
    Host(String),
}

/// A token proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// Says nothing about why: unknown, ended, expired, idle or of a disabled account.
    #[error("this token is no session and no key that counts now; sign in again, or ask an administrator for a key")]
    Refused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum SignOutError {
    /// It is none.
    #[error("`{0}` shows a key, and a key is no session that could be ended; an administrator revokes keys")]
    Key(PersonName),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// The system's random numbers failed.
    #[error("the host could not do its part: {0}")]
    Host(String),
}

impl Pipeline {
    /// Begins a session of whoever has this name and password.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn sign_in(&self, name: &str, password: &str) -> Result<Opened, SignInError> {
        let begun = tokio::time::Instant::now();
        let opened = match self.compare(name, password).await {
            Ok((person, verified)) => self.open(person, verified).await,
            Err(error) => Err(error),
        };
        if matches!(opened, Err(SignInError::Refused)) {
            tokio::time::sleep_until(begun + REFUSED_NOT_BEFORE).await;
        }
        self.metrics.signed_in(match &opened {
            Ok(_) => "ok",
            Err(SignInError::Refused) => "refused",
            Err(SignInError::Busy) => "busy",
            Err(_) => "failed",
        });
        opened
    }

    /// Finds out whose token this is.
    ///
    /// # Errors
    /// [`NotSignedIn::Refused`] when it does not count now, whyever.
    pub async fn authenticate(&self, token: &str) -> Result<SignedIn, NotSignedIn> {
        let refused = || {
            self.metrics.token_refused();
            NotSignedIn::Refused
        };
        // Looked up by its digest: how much of a token was right, no time tells.
        let digest = token::digest(token).ok_or_else(refused)?;
        let Some(Presented { credential, person }) = self.store.presented(digest).await? else {
            return Err(refused());
        };
        let now = self.clock.now();
        if !counts(&credential, &person, now) {
            return Err(refused());
        }
        self.used(&credential, now).await;
        let by = match credential.kind {
            CredentialKind::Session => ProvedBy::Session,
            CredentialKind::Key => ProvedBy::Key,
        };
        let Person { name, email, roles, .. } = person;
        Ok(SignedIn { name, email, roles, by, credential: digest, expires_at: credential.expires_at })
    }

    /// Ends the session that somebody is signed in with.
    ///
    /// # Errors
    /// See [`SignOutError`].
    pub async fn sign_out(&self, who: &SignedIn) -> Result<(), SignOutError> {
        if who.by == ProvedBy::Key {
            return Err(SignOutError::Key(who.name.clone()));
        }
        for _ in 0..TRIES_MAX {
            let now = self.clock.now();
            // Somebody else ended it meanwhile, with the record of that.
            let shown = self.store.presented(who.credential).await?;
            let Some(shown) = shown.filter(|shown| shown.credential.ended_at.is_none()) else { return Ok(()) };
            let mut body = session(&shown.person, SessionStep::SignedOut)?;
            body.credential = Some(who.credential);
            let change = PersonChange::SignOut(who.credential);
            match self.change_session(&shown.person, change, body, now).await? {
                Done::Written => return Ok(()),
                Done::Moved => {}
            }
        }
        Err(StoreError::PersonMoved(who.name.clone()).into())
    }

    /// Whether somebody may do something beside working on cases.
    ///
    /// # Errors
    /// Which roles would allow it.
    pub fn may(&self, who: &SignedIn, act: Act) -> Result<(), Denied> {
        self.people.may(who.actor(), act)
    }

    /// Compares a password with an account's. What does not fit is on record, or counted.
    async fn compare(&self, name: &str, password: &str) -> Result<(Person, PasswordHash), SignInError> {
        let known = match PersonName::parse(name) {
            Ok(name) => self.store.person(&name).await?,
            Err(_) => None,
        };
        let expected = known.as_ref().and_then(|person| person.password.clone());
        let fits = self.accounts.passwords.fits(password, expected.as_ref()).await?;
        let Some(mut person) = known else {
            self.count_refused(None, "unknown").await;
            return Err(SignInError::Refused);
        };
        for _ in 0..TRIES_MAX {
            let now = self.clock.now();
            if is_locked(&person, now) {
                self.count_refused(Some(&person.name), "locked").await;
                return Err(SignInError::Refused);
            }
            let why = match &person.password {
                _ if person.disabled_at.is_some() => "disabled",
                None => "no-password",
                Some(verified) if fits && person.password == expected => {
                    let verified = verified.clone();
                    return Ok((person, verified));
                }
                Some(_) => "wrong-password",
            };
            match self.fail(&person, why, now).await? {
                Done::Written => return Err(SignInError::Refused),
                Done::Moved => {
                    person = self.store.person(&person.name).await?.ok_or(SignInError::Refused)?;
                }
            }
        }
        Err(StoreError::PersonMoved(person.name).into())
    }

    /// Puts a wrong password on record, and locks the account where it is one too many.
    async fn fail(&self, person: &Person, why: &'static str, now: Instant) -> Result<Done, SignInError> {
        let failures = person.failures.saturating_add(1);
        let locks = failures.checked_rem(LOCKED_AFTER) == Some(0);
        let until = locks.then(|| now.plus_ms(LOCK_MS));
        let step = if locks { SessionStep::LockedOut } else { SessionStep::Refused };
        let body = SessionLeaf { why: Some(Code::of(why)), until, ..session(person, step)? };
        if locks {
            tracing::warn!(account = %person.name, failures, "an account is locked after wrong passwords");
        }
        let done = self.change_session(person, PersonChange::Failed { locked_until: until }, body, now).await?;
        if done == Done::Written {
            self.metrics.sign_in_refused(why);
        }
        Ok(done)
    }

    /// Begins a session of an account that a password fits.
    async fn open(&self, mut person: Person, verified: PasswordHash) -> Result<Opened, SignInError> {
        let token = Token::new(CredentialKind::Session).map_err(|error| SignInError::Host(error.to_string()))?;
        for _ in 0..TRIES_MAX {
            let now = self.clock.now();
            let expires_at = now.plus_ms(SESSION_MS);
            let opened = NewCredential { digest: token.digest(), label: None, expires_at: Some(expires_at) };
            let mut body = session(&person, SessionStep::SignedIn)?;
            body.credential = Some(opened.digest);
            let change = PersonChange::SignIn { session: opened, verified: verified.clone() };
            if let Done::Written = self.change_session(&person, change, body, now).await? {
                let Person { name, roles, .. } = person;
                return Ok(Opened { token, expires_at, name, roles });
            }
            person = self.store.person(&person.name).await?.ok_or(SignInError::Refused)?;
            let other_password = person.password.as_ref() != Some(&verified);
            if other_password || person.disabled_at.is_some() || is_locked(&person, self.clock.now()) {
                return Err(SignInError::Refused);
            }
        }
        Err(StoreError::PersonMoved(person.name).into())
    }

    async fn change_session(
        &self,
        person: &Person,
        change: PersonChange,
        body: SessionLeaf,
        at: Instant,
    ) -> Result<Done, ChangeError> {
        let leaf = Leaf::new(&self.host, at, LeafBody::Session(body))?;
        self.write_change(person, change, person.name.as_str(), at, leaf).await
    }

    async fn write_change(
        &self,
        person: &Person,
        change: PersonChange,
        who: &str,
        at: Instant,
        leaf: Leaf,
    ) -> Result<Done, ChangeError> {
        let (name, who) = (person.name.clone(), who.to_owned());
        let new = NewPersonChange { name, after: person.changes, change, who, at, leaf };
        match self.store.change_person(new).await {
            Ok(()) => Ok(Done::Written),
            Err(StoreError::PersonMoved(_)) => Ok(Done::Moved),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down that a token was shown. It counts whether that succeeds or not: then a
    /// session ends earlier for want of use than it had to.
    async fn used(&self, credential: &Credential, now: Instant) {
        if now.0.saturating_sub(credential.last_used_at.0) < USED_EVERY_MS {
            return;
        }
        if let Err(error) = self.store.credential_used(credential.digest, now).await {
            tracing::warn!(%error, account = %credential.person, "that a token was shown could not be written down");
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Written,
    /// Something else happened to the account first; look at it again.
    Moved,
}

/// Why a change was not written.
#[derive(Debug, thiserror::Error)]
enum ChangeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the host could not do its part: {0}")]
    Host(String),
}

impl From<ChangeError> for SignInError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::Record(error) => Self::Record(error),
            ChangeError::Host(why) => Self::Host(why),
        }
    }
}

impl From<ChangeError> for SignOutError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::Record(error) => Self::Record(error),
            ChangeError::Host(why) => Self::Host(why),
        }
    }
}

/// Whether a token proves something now.
fn counts(credential: &Credential, person: &Person, now: Instant) -> bool {
    let expired = credential.expires_at.is_some_and(|at| at <= now);
    let unused_ms = now.0.saturating_sub(credential.last_used_at.0);
    let idle = credential.kind == CredentialKind::Session && unused_ms >= IDLE_MS;
    credential.ended_at.is_none() && person.disabled_at.is_none() && !expired && !idle
}

fn is_locked(person: &Person, now: Instant) -> bool {
    person.locked_until.is_some_and(|until| until > now)
}

/// The next record of an account's sign-ins.
fn session(person: &Person, step: SessionStep) -> Result<SessionLeaf, ChangeError> {
    Ok(SessionLeaf {
        person: Some(Label::of(person.name.as_str())),
        change: Some(person.changes.saturating_add(1)),
        nonce: nonce()?,
        step,
        why: None,
        count: 1,
        credential: None,
        until: None,
    })
}

/// Tells a record from another of the same moment. Without it the second of two wrong
/// passwords would be taken for the first one, written again, and nobody would count it.
fn nonce() -> Result<Digest, ChangeError> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| ChangeError::Host(error.to_string()))?;
    Ok(Digest::from_bytes(bits))
}
