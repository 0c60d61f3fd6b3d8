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
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use portreeve_model::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes of a checkpoint that are read. Somebody who can put a file where a
/// checkpoint is expected could otherwise fill the memory.
pub const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

/// Signature lines that are looked at; the specification asks for at least 16.
/// Each may cost a signature check.
pub const SIGNATURES_MAX: usize = 32;

/// Bytes of an origin. It becomes part of file names and of every checkpoint.
pub const ORIGIN_BYTES_MAX: usize = 128;

/// The signature type byte of Ed25519 in signed notes.
const TYPE_ED25519: u8 = 0x01;

/// What a signature line starts with: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

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

/// A log's private key, with the log's name. It never appears in `Debug`.
pub struct LogKey {
    origin: String,
    signing: SigningKey,
}

impl LogKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the origin has another form, or there is no randomness.
    pub fn generate(origin: &str) -> Result<Self, CheckpointError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| CheckpointError::Random(error.to_string()))?;
        Self::from_bytes(origin, &secret)
    }

    /// The key with these 32 secret bytes.
    ///
    /// # Errors
    /// When the origin has another form.
    pub fn from_bytes(origin: &str, secret: &[u8; 32]) -> Result<Self, CheckpointError> {
        Ok(Self { origin: checked_origin(origin)?, signing: SigningKey::from_bytes(secret) })
    }

    /// The 32 secret bytes, for the file that keeps them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.signing.to_bytes()
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { origin: self.origin.clone(), verifying: self.signing.verifying_key() }
    }

    /// Signs a tree head. The caller answers for never signing two trees of
    /// which neither continues the other.
    #[must_use]
    pub fn sign(&self, size: u64, root: Digest) -> SignedCheckpoint {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root };
        let text = checkpoint.to_text();
        let signature = self.signing.sign(text.as_bytes()).to_bytes();
        let mut signed = self.verifier().id().to_vec();
        signed.extend_from_slice(&signature);
        let note = format!("{text}\n{SIGNATURE_PREFIX}{} {}\n", self.origin, BASE64.encode(signed));
        SignedCheckpoint { body_bytes: text.len(), claimed: checkpoint, note }
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({}, secret)", self.verifier().name_and_hash())
    }
}

/// What somebody needs to check a log's signatures. Text form:
/// `name+hash+base64(0x01 ‖ public key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    origin: String,
    verifying: VerifyingKey,
}

impl VerifierKey {
    /// Reads the text form.
    ///
    /// # Errors
    /// When it has another form, its hash does not belong to it, or the key is
    /// one that verifies signatures that nobody made.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let wrong = || CheckpointError::VerifierKey(text.chars().take(160).collect());
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let bytes = BASE64.decode(encoded).map_err(|_| wrong())?;
        let Some((&TYPE_ED25519, public)) = bytes.split_first() else {
            return Err(wrong());
        };
        let public: &[u8; 32] = public.try_into().map_err(|_| wrong())?;
        let verifying = VerifyingKey::from_bytes(public).map_err(|_| wrong())?;
        let key = Self { origin: checked_origin(name)?, verifying };
        if verifying.is_weak() || hex::encode(key.id()) != hash {
            return Err(wrong());
        }
        Ok(key)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
    fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.origin.as_bytes());
        hasher.update([b'\n', TYPE_ED25519]);
        hasher.update(self.verifying.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    fn name_and_hash(&self) -> String {
        format!("{}+{}", self.origin, hex::encode(self.id()))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![TYPE_ED25519];
        key.extend_from_slice(self.verifying.as_bytes());
        write!(f, "{}+{}", self.name_and_hash(), BASE64.encode(key))
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
    note: String,
    /// Bytes of the signed text at the start of `note`.
    body_bytes: usize,
    claimed: Checkpoint,
}

impl SignedCheckpoint {
    /// Reads the text form; signatures are not checked.
    ///
    /// # Errors
    /// When it is no signed note or no checkpoint.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        if note.len() > CHECKPOINT_BYTES_MAX {
            return Err(CheckpointError::Malformed("it is longer than 65536 bytes"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(CheckpointError::Malformed("it contains control characters"));
        }
        // The text itself may have empty lines; the last one ends it.
        let (before, signatures) =
            note.rsplit_once("\n\n").ok_or(CheckpointError::Malformed("no empty line precedes the signatures"))?;
        if !signatures.ends_with('\n') {
            return Err(CheckpointError::Malformed("the last line has no end"));
        }
        if signatures.lines().count() > SIGNATURES_MAX {
            return Err(CheckpointError::Malformed("it has more than 32 signatures"));
        }
        Ok(Self { body_bytes: before.len() + 1, claimed: Checkpoint::parse(before)?, note: note.to_owned() })
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.note
    }

    /// Checks the signature and returns what was signed. Lines by unknown keys
    /// (witnesses, a successor key) are passed over.
    ///
    /// # Errors
    /// When the key signed nothing here, its signature is wrong, or the
    /// checkpoint is another log's.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, CheckpointError> {
        let (text, lines) = self
            .note
            .split_at_checked(self.body_bytes)
            .ok_or(CheckpointError::Malformed("its text is shorter than it was"))?;
        let mut signed = false;
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let (name, signature) = parse_signature(line)?;
            let Some((id, signature)) = signature.split_first_chunk::<4>() else {
                return Err(CheckpointError::Malformed("a signature has fewer than 4 bytes"));
            };
            if name != key.origin || *id != key.id() {
                continue;
            }
            let bad = || CheckpointError::BadSignature { key: key.name_and_hash() };
            let signature = Signature::from_slice(signature).map_err(|_| bad())?;
            key.verifying.verify_strict(text.as_bytes(), &signature).map_err(|_| bad())?;
            signed = true;
        }
        if !signed {
            return Err(CheckpointError::NotSigned { expected: key.name_and_hash() });
        }
        if self.claimed.origin != key.origin {
            return Err(CheckpointError::OtherLog { found: self.claimed.origin.clone(), expected: key.origin.clone() });
        }
        Ok(self.claimed.clone())
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

fn parse_signature(line: &str) -> Result<(&str, Vec<u8>), CheckpointError> {
    let (name, encoded) = line
        .strip_prefix(SIGNATURE_PREFIX)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(CheckpointError::Malformed("a signature line is not `— name base64`"))?;
    let bytes = BASE64.decode(encoded).map_err(|_| CheckpointError::Malformed("a signature is not base64"))?;
    Ok((name, bytes))
}

fn checked_origin(origin: &str) -> Result<String, CheckpointError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
    if (1..=ORIGIN_BYTES_MAX).contains(&origin.len()) && origin.bytes().all(allowed) {
        Ok(origin.to_owned())
    } else {
        Err(CheckpointError::Origin(origin.chars().take(160).collect()))
    }
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
