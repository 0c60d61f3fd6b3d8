//! Signed notes (C2SP `signed-note`): a text, an empty line, and under it who signed
//! the text. Checkpoints of the log are notes, and so are the signatures of packages.
//!
//! ```text
//! first line                       the text; what it means is not this module's
//! last line
//!
//! — acme Az3g…=                    base64(key id (4 bytes) ‖ Ed25519 signature)
//! — reviewer.example/2026 Qk1v…=   somebody else signed the same text
//! ```
//!
//! A key has a name beside its bytes; its id is a hash of both. Lines by keys that the
//! reader does not know are passed over, which is what lets others countersign. A text
//! has to say what kind of statement it is: a signature under one kind must mean
//! nothing under another.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Bytes of a note that are read. Somebody who can put a file where a note is
/// expected could otherwise fill the memory.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Signature lines that are looked at; the specification asks for at least 16.
/// Each may cost a signature check.
pub const SIGNATURES_MAX: usize = 32;

/// Bytes of a key's name. It becomes part of file names and of every signature line.
pub const NAME_BYTES_MAX: usize = 128;

/// The signature type byte of Ed25519 in signed notes.
const TYPE_ED25519: u8 = 0x01;

/// What a signature line starts with: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// What the text form of a private key starts with, as Go's `note` package has it.
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

/// What is wrong with a note or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A name that cannot be a key's.
    #[error(
        "`{0}` cannot be the name of a key; use 1 to {NAME_BYTES_MAX} letters, digits and `.-_/`, such as `acme.example/plugins`"
    )]
    Name(String),
    /// Text that is no signed note.
    #[error("it is not a signed note: {0}")]
    Malformed(&'static str),
    /// Text that is no verifier key.
    #[error("`{0}` is not a verifier key; expected `name+hash+base64`")]
    VerifierKey(String),
    /// Text that is no private key. The text is not repeated: it may be one with a slip.
    #[error("it is not a private key; expected one line `PRIVATE+KEY+name+hash+base64`")]
    PrivateKey,
    /// No line was signed by the key.
    #[error("it has no signature by `{expected}`")]
    NotSigned {
        /// Name and hash of the key.
        expected: String,
    },
    /// A line claims the key and does not verify.
    #[error("its signature by `{key}` is wrong; the text was changed or another key signed it")]
    BadSignature {
        /// Name and hash of the key.
        key: String,
    },
    /// The operating system gave no randomness.
    #[error("no random numbers for a new key: {0}")]
    Random(String),
}

/// A private key with its name. It never appears in `Debug`.
pub struct NoteKey {
    name: String,
    signing: SigningKey,
}

impl NoteKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the name has another form, or there is no randomness.
    pub fn generate(name: &str) -> Result<Self, NoteError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| NoteError::Random(error.to_string()))?;
        Self::from_bytes(name, &secret)
    }

    /// The key with these 32 secret bytes.
    ///
    /// # Errors
    /// When the name has another form.
    pub fn from_bytes(name: &str, secret: &[u8; 32]) -> Result<Self, NoteError> {
        Ok(Self { name: checked_name(name)?, signing: SigningKey::from_bytes(secret) })
    }

    /// Reads the text form of [`NoteKey::to_text`].
    ///
    /// # Errors
    /// When it has another form, or its hash does not belong to it.
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let parts = text.trim().strip_prefix(PRIVATE_PREFIX).ok_or(NoteError::PrivateKey)?;
        let (name, hash, bytes) = key_parts(parts).ok_or(NoteError::PrivateKey)?;
        let key = Self::from_bytes(name, &bytes)?;
        if hex::encode(key.verifier().id()) != hash {
            return Err(NoteError::PrivateKey);
        }
        Ok(key)
    }

    /// `PRIVATE+KEY+name+hash+base64(0x01 ‖ secret)`, for the file that keeps it and for
    /// nothing else.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut key = vec![TYPE_ED25519];
        key.extend_from_slice(&self.to_bytes());
        format!("{PRIVATE_PREFIX}{}+{}", self.verifier().name_and_hash(), BASE64.encode(key))
    }

    /// The 32 secret bytes, for the file that keeps them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.signing.to_bytes()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), verifying: self.signing.verifying_key() }
    }

    fn signature_line(&self, text: &str) -> String {
        let mut signed = self.verifier().id().to_vec();
        signed.extend_from_slice(&self.signing.sign(text.as_bytes()).to_bytes());
        format!("{SIGNATURE_PREFIX}{} {}\n", self.name, BASE64.encode(signed))
    }
}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, secret", self.verifier().name_and_hash())
    }
}

/// What somebody needs to check a key's signatures. Text form:
/// `name+hash+base64(0x01 ‖ public key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    verifying: VerifyingKey,
}

impl VerifierKey {
    /// Reads the text form.
    ///
    /// # Errors
    /// When it has another form, its hash does not belong to it, or the key is
    /// one that verifies signatures that nobody made.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = || NoteError::VerifierKey(text.chars().take(160).collect());
        let (name, hash, public) = key_parts(text.trim()).ok_or_else(wrong)?;
        let verifying = VerifyingKey::from_bytes(&public).map_err(|_| wrong())?;
        let key = Self { name: checked_name(name)?, verifying };
        if verifying.is_weak() || hex::encode(key.id()) != hash {
            return Err(wrong());
        }
        Ok(key)
    }

    /// Whether who signs with that key signs with this one: a signature says no name, so one
    /// key under two names is one signer.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.verifying == other.verifying
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, which is the log's where it is a log's key.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.name
    }

    /// `name+hash`: enough to tell keys apart, for messages and records.
    #[must_use]
    pub fn name_and_hash(&self) -> String {
        format!("{}+{}", self.name, hex::encode(self.id()))
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
    fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', TYPE_ED25519]);
        hasher.update(self.verifying.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![TYPE_ED25519];
        key.extend_from_slice(self.verifying.as_bytes());
        write!(f, "{}+{}", self.name_and_hash(), BASE64.encode(key))
    }
}

/// A text with the signatures under it. Who really signed it is known only after
/// [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    note: String,
    /// Bytes of the signed text at the start of `note`.
    text_bytes: usize,
}

impl Note {
    /// A text signed by a key. The text ends with a line's end.
    #[must_use]
    pub fn signed(text: String, key: &NoteKey) -> Self {
        let (text_bytes, line) = (text.len(), key.signature_line(&text));
        Self { note: format!("{text}\n{line}"), text_bytes }
    }

    /// Reads a note; signatures are not checked.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("it is longer than 65536 bytes"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed("it contains control characters"));
        }
        // The text itself may have empty lines; the last one ends it.
        let (before, signatures) =
            note.rsplit_once("\n\n").ok_or(NoteError::Malformed("no empty line precedes the signatures"))?;
        if !signatures.ends_with('\n') {
            return Err(NoteError::Malformed("the last line has no end"));
        }
        if signatures.lines().count() > SIGNATURES_MAX {
            return Err(NoteError::Malformed("it has more than 32 signatures"));
        }
        Ok(Self { text_bytes: before.len() + 1, note: note.to_owned() })
    }

    /// Adds a key's signature under the same text; one that it has from this key already
    /// is replaced.
    ///
    /// # Errors
    /// When a line is none, or there are too many.
    pub fn countersigned(&self, key: &NoteKey) -> Result<Self, NoteError> {
        let verifier = key.verifier();
        let mut note = format!("{}\n", self.text());
        for line in self.signature_lines() {
            if !signed_by(line, &verifier)? {
                note.push_str(line);
                note.push('\n');
            }
        }
        note.push_str(&key.signature_line(self.text()));
        Self::parse(&note)
    }

    /// The whole note.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.note
    }

    /// What was signed, with its last line's end.
    #[must_use]
    pub fn text(&self) -> &str {
        self.note.get(..self.text_bytes).unwrap_or_default()
    }

    /// Checks that a key signed it. Lines by other keys are passed over.
    ///
    /// # Errors
    /// When the key signed nothing here or its signature is wrong.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let mut signed = false;
        for line in self.signature_lines() {
            if !signed_by(line, key)? {
                continue;
            }
            let bad = || NoteError::BadSignature { key: key.name_and_hash() };
            let (_, bytes) = signature(line)?;
            let signature = bytes.get(4..).and_then(|bytes| Signature::from_slice(bytes).ok()).ok_or_else(bad)?;
            key.verifying.verify_strict(self.text().as_bytes(), &signature).map_err(|_| bad())?;
            signed = true;
        }
        if signed { Ok(()) } else { Err(NoteError::NotSigned { expected: key.name_and_hash() }) }
    }

    /// `name+hash` of every key that claims to have signed it, for messages.
    ///
    /// # Errors
    /// When a line is none.
    pub fn claimed(&self) -> Result<Vec<String>, NoteError> {
        let names = self.signature_lines().map(|line| {
            let (name, bytes) = signature(line)?;
            Ok(format!("{name}+{}", hex::encode(bytes.get(..4).unwrap_or_default())))
        });
        names.collect()
    }

    fn signature_lines(&self) -> impl Iterator<Item = &str> {
        self.note.get(self.text_bytes..).unwrap_or_default().lines().filter(|line| !line.is_empty())
    }
}

/// Whether a line claims to be by this key.
fn signed_by(line: &str, key: &VerifierKey) -> Result<bool, NoteError> {
    let (name, bytes) = signature(line)?;
    Ok(name == key.name && bytes.starts_with(&key.id()))
}

/// Name, and key id with signature.
fn signature(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let (name, encoded) = line
        .strip_prefix(SIGNATURE_PREFIX)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(NoteError::Malformed("a signature line is not `— name base64`"))?;
    let bytes = BASE64.decode(encoded).map_err(|_| NoteError::Malformed("a signature is not base64"))?;
    if bytes.len() < 4 {
        return Err(NoteError::Malformed("a signature has fewer than 4 bytes"));
    }
    Ok((name, bytes))
}

/// `name+hash+base64(0x01 ‖ 32 bytes)` as its parts.
fn key_parts(text: &str) -> Option<(&str, &str, [u8; 32])> {
    let mut parts = text.splitn(3, '+');
    let (name, hash, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = BASE64.decode(encoded).ok()?;
    match bytes.split_first()? {
        (&TYPE_ED25519, key) => Some((name, hash, key.try_into().ok()?)),
        _ => None,
    }
}

pub(crate) fn checked_name(name: &str) -> Result<String, NoteError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(NoteError::Name(name.chars().take(160).collect()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn key(name: &str, byte: u8) -> NoteKey {
        NoteKey::from_bytes(name, &[byte; 32]).unwrap()
    }

    #[test]
    fn a_second_publisher_signs_the_same_text_and_signs_again_without_a_second_line() {
        let (acme, review) = (key("acme", 1), key("review", 2));
        let note = Note::signed("statement\n".to_owned(), &acme);
        let both = note.countersigned(&review).unwrap();
        for signer in [&acme, &review] {
            both.verify(&signer.verifier()).unwrap();
        }
        assert_eq!(both.countersigned(&acme).unwrap().claimed().unwrap().len(), 2);
        assert_eq!(both.text(), "statement\n");
        let stranger = key("review", 3).verifier();
        assert!(matches!(both.verify(&stranger), Err(NoteError::NotSigned { .. })));
        let changed = Note::parse(&both.as_str().replace("statement", "Statement")).unwrap();
        assert!(matches!(changed.verify(&acme.verifier()), Err(NoteError::BadSignature { .. })));
    }

    #[test]
    fn a_private_key_comes_back_from_its_text_and_a_slip_is_no_key() {
        let text = key("acme", 1).to_text();
        assert_eq!(NoteKey::from_text(&text).unwrap().to_bytes(), [1; 32]);
        for wrong in ["", "PRIVATE+KEY+acme", &text.replace("acme", "acne"), &text.replace("PRIVATE", "PUBLIC")] {
            let error = NoteKey::from_text(wrong).unwrap_err();
            assert!(!error.to_string().contains("AQEB"), "{error}");
        }
    }
}
