//! Changes of accounts: by somebody who administers, and of the own password by its owner.
//!
//! The first account of a folder is nobody's to allow, since there is nobody: whoever may
//! write to the folder makes it, and it has to administer, or there would never be another.

use portreeve_authority::people::{Act, Actor, Denied};
use portreeve_model::id::IdError;
use portreeve_model::{Instant, PersonName};
use portreeve_record::leaf::{Label, Listed, PersonLeaf, PersonStep};
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::StoreError;
use portreeve_store::contract::{CredentialKind, NewCredential, NewPersonChange, Person, PersonChange};

use super::{
    ChangeError, Done, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, ProvedBy, SignInError, SignedIn, TRIES_MAX, Token, nonce,
};
use crate::Pipeline;

/// An address has to fit into a table, and nobody's is longer (RFC 5321, 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;

/// What a key is called, for whoever revokes it.
const LABEL_BYTES_MAX: usize = 64;

/// An account that is to be made.
#[derive(Clone, Default)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// The address by which grants name an owner.
    pub email: Option<String>,
    /// Without one it has keys alone.
    pub password: Option<String>,
    /// Ids of its roles.
    pub roles: Vec<String>,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount").field("name", &self.name).field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Whoever asks may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The name is none.
    #[error(transparent)]
    Name(#[from] IdError),
    /// A role that there is not.
    #[error("there is no role `{found}` in `people.toml`; it has {known}")]
    Role {
        /// What was found.
        found: String,
        /// The roles that there are.
        known: String,
    },
    /// The first account could not make a second one.
    #[error("found no role that administers, expected one: the first account makes the others; {would} would do")]
    FirstAdministers {
        /// Roles that administer.
        would: String,
    },
    /// A password that is too short or too long.
    #[error(
        "found a password of {found} bytes, expected {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX}; a few words that belong together nowhere else are long enough"
    )]
    Password {
        /// How long it is.
        found: usize,
    },
    /// Whoever changes the own password shows the old one: a session may be somebody else's by now.
    #[error(
        "the present password does not fit, and without it nobody changes the own one; an administrator can set another one"
    )]
    PresentPassword,
    /// No address.
    #[error(
        "`{0}` is not an e-mail address; expected something like `anna@example.com`, at most {EMAIL_BYTES_MAX} bytes"
    )]
    Email(String),
    /// What a key is called.
    #[error(
        "found a label of {found} bytes, expected 1 to {LABEL_BYTES_MAX} without control characters: whoever revokes the key has to know it"
    )]
    Label {
        /// How long it is.
        found: usize,
    },
    /// A key that would never count.
    #[error("found an expiry that is over already ({0}), expected one to come")]
    Expiry(Instant),
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

impl From<ChangeError> for AccountError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::Record(error) => Self::Record(error),
            ChangeError::Host(why) => Self::Host(why),
        }
    }
}

/// What hashing says; a comparison has its own words for what does not fit.
impl From<SignInError> for AccountError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Refused => Self::PresentPassword,
            SignInError::Busy => Self::Busy,
            SignInError::Store(error) => Self::Store(error),
            SignInError::Record(error) => Self::Record(error),
            SignInError::Host(why) => Self::Host(why),
        }
    }
}

impl Pipeline {
    /// Makes the first account, which has to administer. `machine` is the account of the
    /// machine that does it, for the record.
    ///
    /// # Errors
    /// See [`AccountError`]; [`StoreError::NotTheFirstPerson`] where there is one already.
    pub async fn add_first_person(&self, machine: &str, account: NewAccount) -> Result<PersonName, AccountError> {
        let roles = self.known_roles(&account.roles)?;
        let actor = Actor { name: &account.name, email: None, roles: &roles };
        if self.people.may(actor, Act::Administer).is_err() {
            return Err(AccountError::FirstAdministers { would: listed(&self.administering()) });
        }
        self.make(account, machine, PersonStep::First).await
    }

    /// Makes an account.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn add_person(&self, by: &SignedIn, account: NewAccount) -> Result<PersonName, AccountError> {
        self.may(by, Act::Administer)?;
        self.make(account, by.name().as_str(), PersonStep::Added).await
    }

    /// Gives an account these roles in place of those that it has. Its sessions end.
    ///
    /// # Errors
    /// See [`AccountError`]; [`StoreError::LastAdministrator`] where nobody else administers.
    pub async fn set_roles(&self, by: &SignedIn, name: &str, roles: &[String]) -> Result<(), AccountError> {
        self.may(by, Act::Administer)?;
        let roles = self.known_roles(roles)?;
        let record = Record { roles: Some(&roles), ..Record::of(PersonStep::Roles) };
        let change = || PersonChange::SetRoles { roles: roles.clone(), administer: self.administering() };
        self.change_account(by, &PersonName::parse(name)?, record, change).await
    }

    /// Gives an account another password; its sessions end, and so does a lock. Its owner
    /// shows the present one, somebody who administers needs none.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn set_password(
        &self,
        by: &SignedIn,
        name: &str,
        password: &str,
        present: Option<&str>,
    ) -> Result<(), AccountError> {
        let name = PersonName::parse(name)?;
        let may = self.may(by, Act::Administer);
        if may.is_err() && by.name() != &name {
            return Ok(may?);
        }
        fits(password)?;
        if may.is_err() {
            self.compare(name.as_str(), present.unwrap_or_default()).await?;
        }
        let hash = self.accounts.passwords.hash(password).await?;
        let change = || PersonChange::SetPassword(hash.clone());
        self.change_account(by, &name, Record::of(PersonStep::Password), change).await
    }

    /// Stops an account: its sessions and keys end, and none begins.
    ///
    /// # Errors
    /// See [`AccountError`]; [`StoreError::LastAdministrator`] where nobody else administers.
    pub async fn disable_person(&self, by: &SignedIn, name: &str) -> Result<(), AccountError> {
        self.may(by, Act::Administer)?;
        let change = || PersonChange::Disable { administer: self.administering() };
        self.change_account(by, &PersonName::parse(name)?, Record::of(PersonStep::Disabled), change).await
    }

    /// Lets an account sign in again, also where it was locked. What ended stays ended.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn enable_person(&self, by: &SignedIn, name: &str) -> Result<(), AccountError> {
        self.may(by, Act::Administer)?;
        let change = || PersonChange::Enable;
        self.change_account(by, &PersonName::parse(name)?, Record::of(PersonStep::Enabled), change).await
    }

    /// Makes a key for an account. It is told once, here.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn make_key(
        &self,
        by: &SignedIn,
        name: &str,
        label: &str,
        expires_at: Option<Instant>,
    ) -> Result<Token, AccountError> {
        self.may(by, Act::Administer)?;
        let name = PersonName::parse(name)?;
        if !(1..=LABEL_BYTES_MAX).contains(&label.len()) || label.chars().any(char::is_control) {
            return Err(AccountError::Label { found: label.len() });
        }
        if let Some(over) = expires_at.filter(|at| *at <= self.clock.now()) {
            return Err(AccountError::Expiry(over));
        }
        let token = Token::new(CredentialKind::Key).map_err(|error| AccountError::Host(error.to_string()))?;
        let key = NewCredential { digest: token.digest(), label: Some(label.to_owned()), expires_at };
        let record = Record { credential: Some(token.digest()), ..Record::of(PersonStep::Key) };
        self.change_account(by, &name, record, || PersonChange::AddKey(key.clone())).await?;
        Ok(token)
    }

    /// Ends all sessions and keys of an account; those of one's own, everybody may.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn end_credentials(&self, by: &SignedIn, name: &str) -> Result<(), AccountError> {
        let name = PersonName::parse(name)?;
        if by.name() != &name || by.proved_by() == ProvedBy::Key {
            self.may(by, Act::Administer)?;
        }
        let change = || PersonChange::EndCredentials;
        self.change_account(by, &name, Record::of(PersonStep::Revoked), change).await
    }

    async fn make(&self, account: NewAccount, who: &str, step: PersonStep) -> Result<PersonName, AccountError> {
        let NewAccount { name, email, password, roles } = account;
        let name = PersonName::parse(&name)?;
        let roles = self.known_roles(&roles)?;
        if let Some(wrong) = email.as_deref().filter(|email| !is_address(email)) {
            return Err(AccountError::Email(wrong.chars().filter(|c| !c.is_control()).take(80).collect()));
        }
        let password = match password {
            Some(password) => {
                fits(&password)?;
                Some(self.accounts.passwords.hash(&password).await?)
            }
            None => None,
        };
        let at = self.clock.now();
        let record = Record { roles: Some(&roles), ..Record::of(step) };
        let leaf = self.account_leaf(&name, 1, record, who, at)?;
        let change = PersonChange::Add { email, password, roles: roles.clone(), first: step == PersonStep::First };
        let new = NewPersonChange { name: name.clone(), after: 0, change, who: who.to_owned(), at, leaf };
        self.store.change_person(new).await?;
        Ok(name)
    }

    /// Changes an account as it is now. That somebody signs in meanwhile is no reason to fail.
    async fn change_account(
        &self,
        by: &SignedIn,
        name: &PersonName,
        record: Record<'_>,
        change: impl Fn() -> PersonChange + Send + Sync,
    ) -> Result<(), AccountError> {
        let who = by.name().as_str();
        for _ in 0..TRIES_MAX {
            let person: Person =
                self.store.person(name).await?.ok_or_else(|| StoreError::UnknownPerson(name.clone()))?;
            let at = self.clock.now();
            let leaf = self.account_leaf(name, person.changes.saturating_add(1), record, who, at)?;
            if self.write_change(&person, change(), who, at, leaf).await? == Done::Written {
                return Ok(());
            }
        }
        Err(StoreError::PersonMoved(name.clone()).into())
    }

    fn account_leaf(
        &self,
        name: &PersonName,
        change: u64,
        record: Record<'_>,
        who: &str,
        at: Instant,
    ) -> Result<Leaf, ChangeError> {
        let roles = record.roles.unwrap_or_default().iter().map(|role| Label::of(role)).collect();
        let body = PersonLeaf {
            person: Label::of(name.as_str()),
            change,
            nonce: nonce()?,
            step: record.step,
            roles: Listed::of(roles)?,
            credential: record.credential,
            who: Label::of(who),
        };
        Ok(Leaf::new(&self.host, at, LeafBody::Person(body))?)
    }

    /// Check: each role is one of the file's. Each once.
    fn known_roles(&self, roles: &[String]) -> Result<Vec<String>, AccountError> {
        let known: Vec<String> = self.people.roles().map(str::to_owned).collect();
        let mut kept = Vec::new();
        for role in roles {
            if !known.contains(role) {
                let found = role.chars().filter(|c| !c.is_control()).take(80).collect();
                return Err(AccountError::Role { found, known: listed(&known) });
            }
            if !kept.contains(role) {
                kept.push(role.clone());
            }
        }
        Ok(kept)
    }

    /// Roles of which each alone lets an account administer.
    fn administering(&self) -> Vec<String> {
        let administers = |role: &String| {
            let actor = Actor { name: "", email: None, roles: std::slice::from_ref(role) };
            self.people.may(actor, Act::Administer).is_ok()
        };
        self.people.roles().map(str::to_owned).filter(administers).collect()
    }
}

/// What is on record of a change, beside whose it is.
#[derive(Debug, Clone, Copy)]
struct Record<'a> {
    step: PersonStep,
    roles: Option<&'a [String]>,
    credential: Option<portreeve_model::Digest>,
}

impl Record<'_> {
    fn of(step: PersonStep) -> Self {
        Self { step, roles: None, credential: None }
    }
}

/// Check: whoever guesses has something to do, and hashing does not.
fn fits(password: &str) -> Result<(), AccountError> {
    match password.len() {
        PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX => Ok(()),
        found => Err(AccountError::Password { found }),
    }
}

/// Whether a grant could name an owner like this. That a letter arrives, nobody tries.
fn is_address(text: &str) -> bool {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\".contains(&byte));
    let parts = text.split_once('@').is_some_and(|(who, place)| !who.is_empty() && !place.is_empty());
    text.len() <= EMAIL_BYTES_MAX && visible && parts && text.matches('@').count() == 1
}

fn listed(roles: &[String]) -> String {
    if roles.is_empty() {
        return "none".to_owned();
    }
    roles.iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(", ")
}
