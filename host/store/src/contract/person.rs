//! Accounts of people, and what they prove themselves with.
//!
//! A password is kept as its hash, a token as its digest: nothing that is kept here signs
//! anybody in. Who may change what is not this room's question; that the last account that
//! could answer it does not vanish, is.

use std::fmt;

use portreeve_model::{Digest, Instant, PersonName};
use portreeve_record::Leaf;

/// Sessions of one account at a time. Who signs in again and again, as a script does, ends
/// the oldest, or the table would grow with every sign-in.
pub const SESSIONS_MAX: u32 = 16;

/// Keys of one account that did not end. Each was made by a person; a listing shows them all.
pub const KEYS_MAX: u32 = 32;

/// The hash of a password, as a PHC string. Never printed: who has it can guess at leisure.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps what a password hash function made.
    #[must_use]
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Its name, for good.
    pub name: PersonName,
    /// The address by which grants name an owner.
    pub email: Option<String>,
    /// What its password has to fit; none where it has keys alone.
    pub password: Option<PasswordHash>,
    /// Ids of its roles.
    pub roles: Vec<String>,
    /// When it was made.
    pub made_at: Instant,
    /// The account that made it; of the first one, that of the machine.
    pub made_by: String,
    /// Since when it proves nothing; none while it does.
    pub disabled_at: Option<Instant>,
    /// Sign-ins that failed since the last one that did not.
    pub failures: u32,
    /// Until when no password signs in, right or wrong.
    pub locked_until: Option<Instant>,
    /// How many changes of it are on record. A change names the last one that its maker saw.
    pub changes: u64,
}

/// An account with what proves it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// The account.
    pub person: Person,
    /// Its sessions and keys that did not end, oldest first. Some may have expired.
    pub credentials: Vec<Credential>,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// Got for a password, and ends by itself.
    Session,
    /// Made by an administrator, for a machine or for a person without a password.
    Key,
}

impl CredentialKind {
    /// The word in tables and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Key => "key",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Session, Self::Key].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A token that begins to count. The token itself is with its owner alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// SHA-256 of the token, which is 256 random bits.
    pub digest: Digest,
    /// What its maker calls it; of keys.
    pub label: Option<String>,
    /// When it stops by itself; none for never.
    pub expires_at: Option<Instant>,
}

/// A token as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// SHA-256 of it.
    pub digest: Digest,
    /// Whose it is.
    pub person: PersonName,
    /// What it is.
    pub kind: CredentialKind,
    /// What its maker calls it.
    pub label: Option<String>,
    /// When it was made.
    pub made_at: Instant,
    /// When it stops by itself.
    pub expires_at: Option<Instant>,
    /// When it was last shown, as far as anybody wrote that down; at first, when it was made.
    pub last_used_at: Instant,
    /// When it was ended.
    pub ended_at: Option<Instant>,
    /// The account that ended it.
    pub ended_by: Option<String>,
}

/// A change of one account.
#[derive(Debug)]
pub struct NewPersonChange {
    /// Which account.
    pub name: PersonName,
    /// [`Person::changes`] as its maker saw it; 0 for an account that is made.
    pub after: u64,
    /// What.
    pub change: PersonChange,
    /// The account that does it, for what it ends; of the first account, that of the machine.
    pub who: String,
    /// When.
    pub at: Instant,
    /// Its leaf.
    pub leaf: Leaf,
}

/// What happens to an account.
#[derive(Debug)]
pub enum PersonChange {
    /// It is made.
    Add {
        /// By which grants name an owner.
        email: Option<String>,
        /// Without one it has keys alone.
        password: Option<PasswordHash>,
        /// Its roles.
        roles: Vec<String>,
        /// Whether it is made without anybody's leave, which only the first one is.
        first: bool,
    },
    /// It has these roles, and its sessions end.
    SetRoles {
        /// Its roles.
        roles: Vec<String>,
        /// Roles that administer: one enabled account has one of them always.
        administer: Vec<String>,
    },
    /// It has this password and is not locked, and its sessions end.
    SetPassword(PasswordHash),
    /// It proves nothing any more; its sessions and keys end.
    Disable {
        /// As with `SetRoles`.
        administer: Vec<String>,
    },
    /// It does again, and is not locked. What ended stays ended.
    Enable,
    /// A key counts from now on.
    AddKey(NewCredential),
    /// Its sessions and keys end.
    EndCredentials,
    /// A session begins. It is nobody's where the account was disabled or locked, or has
    /// another password by now.
    SignIn {
        /// The session.
        session: NewCredential,
        /// What the password was compared with.
        verified: PasswordHash,
    },
    /// A session ends.
    SignOut(Digest),
    /// A sign-in failed; with a time, the account is locked until then.
    Failed {
        /// Until when.
        locked_until: Option<Instant>,
    },
}

/// A token that was shown, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The token.
    pub credential: Credential,
    /// Its owner.
    pub person: Person,
}
