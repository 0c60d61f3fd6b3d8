//! Checkpoints: a tree head that the log's key has signed, in the text form that
//! other tools read (C2SP `tlog-checkpoint` and `signed-note`).
//!
//! ```text
//! example.com/portreeve            the origin, also the key's name
//! 1234                             leaves in the tree
//! CsUYapGGPo4dkMgIAUqom/…=         the root, base64
//!
//! — example.com/portreeve Az3g…=   base64(key id (4 bytes) ‖ Ed25519 signature)
//! ```
//!
//! A tree head in a database proves nothing: whoever owns the database can
//! compute another. A checkpoint kept elsewhere fixes the past, because a log
//! must never sign two trees of which neither continues the other. This module
//! makes and checks the text; keeping and comparing it is the audit room's.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use portreeve_model::Digest;

use crate::note::{self, NOTE_BYTES_MAX, Note, NoteError, NoteKey};

pub use crate::note::VerifierKey;

/// Bytes of a checkpoint that are read. Somebody who can put a file where a
/// checkpoint is expected could otherwise fill the memory.
pub const CHECKPOINT_BYTES_MAX: usize = NOTE_BYTES_MAX;

/// Bytes of an origin. It becomes part of file names and of every checkpoint.
pub const ORIGIN_BYTES_MAX: usize = note::NAME_BYTES_MAX;

/// What is wrong with a checkpoint or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// An origin that cannot be a key name or part of a file name.
    #[error(
        "`{0}` cannot be a log's origin; use 1 to {ORIGIN_BYTES_MAX} letters, digits and `.-_/`, such as `example.com/portreeve`"
    )]
    Origin(String),
    /// Text that is no signed note.
    #[error("the checkpoint is not a signed note: {0}")]
    Malformed(&'static str),
    /// Text that is no verifier key.
    #[error("`{0}` is not a verifier key; expected `name+hash+base64`")]
    VerifierKey(String),
    /// No line was signed by the key.
    #[error("the checkpoint has no signature by `{expected}`")]
    NotSigned {
        /// Name and hash of the key.
        expected: String,
    },
    /// A line claims the key and does not verify.
    #[error("the checkpoint's signature by `{key}` is wrong; the text was changed or another key signed it")]
    BadSignature {
        /// Name and hash of the key.
        key: String,
    },
    /// Another log's checkpoint.
    #[error("the checkpoint is of log `{found}`; expected `{expected}`")]
    OtherLog {
        /// Origin in the text.
        found: String,
        /// Name of the key.
        expected: String,
    },
    /// The operating system gave no randomness.
    #[error("no random numbers for a new key: {0}")]
    Random(String),
}

impl From<NoteError> for CheckpointError {
    fn from(error: NoteError) -> Self {
        match error {
            NoteError::Name(name) => Self::Origin(name),
            NoteError::Malformed(why) => Self::Malformed(why),
            NoteError::VerifierKey(text) => Self::VerifierKey(text),
            NoteError::PrivateKey => Self::Malformed("the log's key is no private key"),
            NoteError::NotSigned { expected } => Self::NotSigned { expected },
            NoteError::BadSignature { key } => Self::BadSignature { key },
            NoteError::Random(why) => Self::Random(why),
        }
    }
}

/// A log's private key, with the log's name. It never appears in `Debug`.
#[derive(Debug)]
pub struct LogKey(NoteKey);

impl LogKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the origin has another form, or there is no randomness.
    pub fn generate(origin: &str) -> Result<Self, CheckpointError> {
        Ok(Self(NoteKey::generate(origin)?))
    }

    /// The key with these 32 secret bytes.
    ///
    /// # Errors
    /// When the origin has another form.
    pub fn from_bytes(origin: &str, secret: &[u8; 32]) -> Result<Self, CheckpointError> {
        Ok(Self(NoteKey::from_bytes(origin, secret)?))
    }

    /// The 32 secret bytes, for the file that keeps them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.0.name()
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.0.verifier()
    }

    /// Signs a tree head. The caller answers for never signing two trees of
    /// which neither continues the other.
    #[must_use]
    pub fn sign(&self, size: u64, root: Digest) -> SignedCheckpoint {
        let claimed = Checkpoint { origin: self.origin().to_owned(), size, root };
        SignedCheckpoint { note: Note::signed(claimed.to_text(), &self.0), claimed }
    }
}

/// A tree head. One from [`SignedCheckpoint::verify`] was signed by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Digest,
}

impl Checkpoint {
    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root
    }

    fn to_text(&self) -> String {
        let root = BASE64.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    fn parse(body: &str) -> Result<Self, CheckpointError> {
        let mut lines = body.strip_suffix('\n').unwrap_or(body).split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Malformed("it has fewer than three lines"));
        };
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Malformed("it has an empty extension line"));
        }
        let size_number: u64 =
            size.parse().map_err(|_| CheckpointError::Malformed("the second line is no tree size"))?;
        if size_number.to_string() != size {
            return Err(CheckpointError::Malformed("the tree size has leading characters"));
        }
        let root = BASE64
            .decode(root)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or(CheckpointError::Malformed("the third line is no SHA-256 in base64"))?;
        Ok(Self { origin: checked_origin(origin)?, size: size_number, root: Digest::from_bytes(root) })
    }
}

/// A checkpoint with its signatures. What it claims is known only after
/// [`SignedCheckpoint::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: Note,
    claimed: Checkpoint,
}

impl SignedCheckpoint {
    /// Reads the text form; signatures are not checked.
    ///
    /// # Errors
    /// When it is no signed note or no checkpoint.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        let note = Note::parse(note)?;
        Ok(Self { claimed: Checkpoint::parse(note.text())?, note })
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.note.as_str()
    }

    /// Checks the signature and returns what was signed. Lines by unknown keys
    /// (witnesses, a successor key) are passed over.
    ///
    /// # Errors
    /// When the key signed nothing here, its signature is wrong, or the
    /// checkpoint is another log's.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, CheckpointError> {
        self.note.verify(key)?;
        if self.claimed.origin != key.origin() {
            return Err(CheckpointError::OtherLog {
                found: self.claimed.origin.clone(),
                expected: key.origin().to_owned(),
            });
        }
        Ok(self.claimed.clone())
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn checked_origin(origin: &str) -> Result<String, CheckpointError> {
    Ok(note::checked_name(origin)?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const ORIGIN: &str = "example.com/portreeve";

    fn key() -> LogKey {
        LogKey::from_bytes(ORIGIN, &[7; 32]).unwrap()
    }

    #[test]
    fn reads_back_what_it_signed() {
        let root = Digest::of(b"root");
        let signed = key().sign(42, root);
        let verifier = VerifierKey::parse(&key().verifier().to_string()).unwrap();
        let read = SignedCheckpoint::parse(signed.as_str()).unwrap();
        let checkpoint = read.verify(&verifier).unwrap();
        assert_eq!((checkpoint.origin(), checkpoint.size(), checkpoint.root()), (ORIGIN, 42, root));
    }

    #[test]
    fn agrees_with_the_reference_implementation_on_keys_and_key_hashes() {
        // golang.org/x/mod/sumdb/note, its documented example key.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(VerifierKey::parse(text).unwrap().to_string(), text);
        assert!(VerifierKey::parse(&text.replace("c74f20a3", "c74f20a4")).is_err());
    }

    #[test]
    fn refuses_a_changed_text() {
        let signed = key().sign(42, Digest::of(b"root"));
        let changed = signed.as_str().replace("\n42\n", "\n43\n");
        let found = SignedCheckpoint::parse(&changed).unwrap().verify(&key().verifier());
        assert!(matches!(found, Err(CheckpointError::BadSignature { .. })), "{found:?}");
    }

    #[test]
    fn refuses_another_key_of_the_same_name() {
        let other = LogKey::from_bytes(ORIGIN, &[8; 32]).unwrap();
        let signed = other.sign(42, Digest::of(b"root"));
        let found = signed.verify(&key().verifier());
        assert!(matches!(found, Err(CheckpointError::NotSigned { .. })), "{found:?}");
    }

    #[test]
    fn passes_over_a_witness() {
        let note = key().sign(1, Digest::of(b"root")).to_string();
        let witnessed = format!("{note}\u{2014} witness.example/w {}\n", BASE64.encode([0; 76]));
        let read = SignedCheckpoint::parse(&witnessed).unwrap();
        assert_eq!(read.verify(&key().verifier()).unwrap().size(), 1);
    }

    #[test]
    fn refuses_text_that_is_no_checkpoint() {
        let note = key().sign(42, Digest::of(b"root")).to_string();
        for changed in [
            note.replace("\n42\n", "\n042\n"),
            note.replace("\n42\n", "\n-1\n"),
            note.replace("\n42\n", "\n42\n\n"),
            note.replace("\n\n", "\n"),
            note.trim_end().to_owned(),
            note.replace("42", "4\t2"),
            "x".repeat(CHECKPOINT_BYTES_MAX + 1),
        ] {
            assert!(SignedCheckpoint::parse(&changed).is_err(), "{changed:?}");
        }
    }

    #[test]
    fn shows_no_secret() {
        let shown = format!("{:?}", key());
        assert!(shown.starts_with("LogKey(example.com/portreeve+"), "{shown}");
        assert!(!shown.contains("07, 7") && !shown.contains("0707"), "{shown}");
    }

    #[test]
    fn refuses_an_origin_that_could_leave_its_line() {
        for origin in ["", "a b", "a+b", "a\nb", "é", &"x".repeat(ORIGIN_BYTES_MAX + 1)] {
            assert!(LogKey::generate(origin).is_err(), "{origin:?}");
        }
        LogKey::generate(ORIGIN).unwrap();
    }
}
