//! Sealing of payloads: the log refers to a payload by a commitment, the store
//! keeps it encrypted, and forgetting its key forgets it everywhere.
//!
//! A plain digest of an order would be personal data for ever: whoever guesses
//! the customer confirms the guess with the digest. So each payload has a fresh
//! salt under its commitment and a fresh key over its bytes, and both are erased
//! together. What stays in the log is 32 bytes that say nothing.
//!
//! ```text
//! commitment = SHA-256(len ‖ "portreeve/payload/v1" ‖ len ‖ salt ‖ len ‖ plaintext)
//! ciphertext = nonce (24) ‖ XChaCha20-Poly1305(key, nonce, plaintext, aad = commitment)
//! ```
//!
//! Commitments differ from run to run, since salts are random; nothing that has
//! to be repeatable may be derived from them. Where keys are kept, and by whom
//! they are indexed, is the store's.

use std::fmt;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use portreeve_model::Digest;

/// Separates commitments to payloads from every other digest.
const COMMITMENT_DOMAIN: &[u8] = b"portreeve/payload/v1";

/// Separates blinded texts from commitments under the same salt.
pub const BLIND_DOMAIN: &[u8] = b"portreeve/blind/v1";

/// Bytes of the nonce in front of a ciphertext; long enough to be random.
const NONCE_BYTES: usize = 24;

/// Why a payload could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The operating system gave no randomness.
    #[error("no random numbers to seal a payload with: {0}")]
    Random(String),
    /// The cipher refused the plaintext.
    #[error("a payload of {found_bytes} bytes cannot be sealed")]
    TooLarge {
        /// Size of the plaintext in bytes.
        found_bytes: usize,
    },
    /// Stored bytes that are no key.
    #[error("a payload key has {found_bytes} bytes; expected 64")]
    KeyLength {
        /// Bytes given.
        found_bytes: usize,
    },
    /// The ciphertext was changed, or it is not this key's or this commitment's.
    #[error("the sealed payload `{commitment}` does not open; its bytes were changed or its key is another one's")]
    DoesNotOpen {
        /// The commitment that it is stored under.
        commitment: Digest,
    },
    /// It opened, but to something that the commitment is not about.
    #[error("the sealed payload opens to `{found}`; expected `{expected}`")]
    OtherPayload {
        /// The commitment of what was found.
        found: Digest,
        /// The commitment that it is stored under.
        expected: Digest,
    },
}

/// A payload as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    commitment: Digest,
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// Puts together what a store kept apart; [`open`] checks that it belongs together.
    #[must_use]
    pub fn from_parts(commitment: Digest, ciphertext: Vec<u8>) -> Self {
        Self { commitment, ciphertext }
    }

    /// What leaves say instead of the payload.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        self.commitment
    }

    /// Nonce and ciphertext, 40 bytes longer than the payload.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }
}

/// Key and salt of one payload. Whoever loses it can neither read the payload
/// nor tell by its commitment what it was. It never appears in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PayloadKey {
    key: [u8; 32],
    salt: [u8; 32],
}

impl PayloadKey {
    /// A key of no payload. What it blinds nobody can ever compare, unless the
    /// key is kept.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn random() -> Result<Self, SealError> {
        Ok(Self { key: random()?, salt: random()? })
    }

    /// Key, then salt.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let (key, salt) = bytes.split_at_mut(32);
        key.copy_from_slice(&self.key);
        salt.copy_from_slice(&self.salt);
        bytes
    }

    /// What blinds digests. With it they can be made again; nothing is opened by it.
    #[must_use]
    pub fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    /// Reads what [`PayloadKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// When there are not 64 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let wrong = || SealError::KeyLength { found_bytes: bytes.len() };
        let (key, salt) = bytes.split_first_chunk::<32>().ok_or_else(wrong)?;
        Ok(Self { key: *key, salt: salt.try_into().map_err(|_| wrong())? })
    }

    /// A digest of a short text that belongs to the payload (a business key),
    /// which nobody can guess the text from without this key, nor anybody at all
    /// once it is erased.
    #[must_use]
    pub fn blind(&self, text: &str) -> Digest {
        Digest::of_parts(&[BLIND_DOMAIN, &self.salt, text.as_bytes()])
    }

    /// The same for content that is known by its digest: a plain digest of a few
    /// rows or of an answer lets anybody confirm a guess, for ever.
    #[must_use]
    pub fn blind_digest(&self, digest: &Digest) -> Digest {
        Digest::of_parts(&[BLIND_DOMAIN, &self.salt, digest.as_bytes()])
    }

    /// What leaves would say of this plaintext under this key's salt.
    fn commitment(&self, plaintext: &[u8]) -> Digest {
        Digest::of_parts(&[COMMITMENT_DOMAIN, &self.salt, plaintext])
    }
}

impl fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadKey(secret)")
    }
}

/// Seals a payload under a key of its own.
///
/// # Errors
/// When there is no randomness, or the payload is beyond the cipher's 256 GiB.
pub fn seal(plaintext: &[u8]) -> Result<(Sealed, PayloadKey), SealError> {
    let key = PayloadKey::random()?;
    let nonce: [u8; NONCE_BYTES] = random()?;
    let commitment = key.commitment(plaintext);
    let too_large = || SealError::TooLarge { found_bytes: plaintext.len() };
    let payload = Payload { msg: plaintext, aad: commitment.as_bytes() };
    let encrypted =
        XChaCha20Poly1305::new(&key.key.into()).encrypt(&XNonce::from(nonce), payload).map_err(|_| too_large())?;
    let mut ciphertext = nonce.to_vec();
    ciphertext.extend_from_slice(&encrypted);
    Ok((Sealed { commitment, ciphertext }, key))
}

/// Opens a payload and checks that it is what its commitment is about.
///
/// # Errors
/// When the ciphertext, the key or the commitment do not belong together.
pub fn open(sealed: &Sealed, key: &PayloadKey) -> Result<Vec<u8>, SealError> {
    let does_not_open = || SealError::DoesNotOpen { commitment: sealed.commitment };
    let (nonce, encrypted) = sealed.ciphertext.split_first_chunk::<NONCE_BYTES>().ok_or_else(does_not_open)?;
    let payload = Payload { msg: encrypted, aad: sealed.commitment.as_bytes() };
    let plaintext =
        XChaCha20Poly1305::new(&key.key.into()).decrypt(&XNonce::from(*nonce), payload).map_err(|_| does_not_open())?;
    // The cipher does not bind the salt: a key with another salt would open the
    // payload and then prove nothing.
    let found = key.commitment(&plaintext);
    if found != sealed.commitment {
        return Err(SealError::OtherPayload { found, expected: sealed.commitment });
    }
    Ok(plaintext)
}

fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| SealError::Random(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

    use super::*;

    #[test]
    fn opens_what_it_sealed() {
        for plaintext in [b"".as_slice(), b"an order", &[0; 100_000]] {
            let (sealed, key) = seal(plaintext).unwrap();
            let stored = PayloadKey::from_bytes(&key.to_bytes()).unwrap();
            let again = Sealed::from_parts(sealed.commitment(), sealed.ciphertext().to_vec());
            assert_eq!(open(&again, &stored).unwrap(), plaintext);
            assert_eq!(sealed.ciphertext().len(), plaintext.len() + 40);
        }
    }

    #[test]
    fn seals_the_same_payload_differently_each_time() {
        let (first, _) = seal(b"an order").unwrap();
        let (second, _) = seal(b"an order").unwrap();
        assert_ne!(first.commitment(), second.commitment());
        assert_ne!(first.ciphertext(), second.ciphertext());
        assert_ne!(first.commitment(), Digest::of(b"an order"));
    }

    #[test]
    fn refuses_changed_bytes_other_keys_and_other_commitments() {
        let (sealed, key) = seal(b"an order").unwrap();
        let (other, other_key) = seal(b"an order").unwrap();
        assert!(open(&sealed, &other_key).is_err());
        for at in 0..sealed.ciphertext().len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert!(open(&changed, &key).is_err(), "byte {at}");
        }
        let swapped = Sealed::from_parts(other.commitment(), sealed.ciphertext().to_vec());
        assert!(open(&swapped, &key).is_err());
        assert!(open(&Sealed::from_parts(sealed.commitment(), vec![0; 5]), &key).is_err());
    }

    #[test]
    fn refuses_the_right_key_with_another_salt() {
        let (sealed, mut key) = seal(b"an order").unwrap();
        key.salt[0] ^= 1;
        let found = open(&sealed, &key);
        assert!(matches!(found, Err(SealError::OtherPayload { .. })), "{found:?}");
    }

    #[test]
    fn blinds_a_text_under_each_key_differently() {
        let ((_, key), (_, other)) = (seal(b"").unwrap(), seal(b"").unwrap());
        assert_eq!(key.blind("PO-1"), key.blind("PO-1"));
        assert_ne!(key.blind("PO-1"), other.blind("PO-1"));
        assert_ne!(key.blind(""), key.commitment(b""));
    }

    #[test]
    fn shows_no_secret() {
        let (_, key) = seal(b"an order").unwrap();
        assert_eq!(format!("{key:?}"), "PayloadKey(secret)");
    }
}
