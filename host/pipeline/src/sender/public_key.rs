//! An RSA public key in a file, of a sender that signs with a key nobody else has.
//!
//! ```text
//! -----BEGIN PUBLIC KEY-----
//! base64 of SubjectPublicKeyInfo (RFC 5280, 4.1) with rsaEncryption and NULL (RFC 3279, 2.3.1)
//! -----END PUBLIC KEY-----
//! ```
//!
//! The file decides who is let in, so it is read strictly: one block of this kind and nothing
//! else, in DER's one encoding, of a size that nobody breaks. What is not understood is refused
//! when the host starts, with what to do. A key that takes the file's place counts from the next
//! input on; a file that is just being replaced, or was broken, leaves the last one.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portreeve_model::Digest;
use portreeve_registry::file::{self, FileError, SMALL_BYTES_MAX};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Bits of a modulus. Shorter ones can be factored with enough money; longer ones cost whoever
/// checks more time than strangers may take of it.
const BITS_MIN: usize = 2_048;
const BITS_MAX: usize = 8_192;

/// Bytes of an exponent, and its largest value: each of its bits costs a multiplication of every
/// stranger's signature.
const EXPONENT_BYTES_MAX: usize = 5;
const EXPONENT_MAX: u64 = (1 << 33) - 1;

/// DER's tags.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The algorithm identifier: 1.2.840.113549.1.1.1, and NULL.
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// SHA-256 of the modulus of `testRSA2048` (RFC 9500, 2.1), by which the demo's shop signs.
const PUBLISHED: &str = "sha256:d5246bc377541fb76508de53d527eb973a81b755144ab531a6a0b7b4af0e7088";

/// A public key, as its file has it now.
pub struct PublicKeyFile {
    file: PathBuf,
    /// Whether a published test key counts.
    takes_published: bool,
    /// What it was when it could last be read.
    last: Mutex<RsaKey>,
}

/// A file holds no public key that counts.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeyError {
    /// It cannot be read at all.
    #[error(transparent)]
    Unreadable(#[from] FileError),
    /// What it holds is none.
    #[error("`{}` holds no public key that can be used: {problem}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: KeyProblem,
    },
}

/// What is wrong with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// It is not the one block of text that it is to be.
    #[error(
        "expected one block from `{BEGIN}` to `{END}` and nothing else; copy the key there as the sender's configuration shows it"
    )]
    NoBlock,
    /// It is the half that signs.
    #[error(
        "it holds a private key, with which anybody could sign; leave that one with the sender and put its public key there, for example with `openssl pkey -pubout`"
    )]
    Private,
    /// Its private half is printed in an RFC.
    #[error("it is a published test key, with which anybody can sign; put the shop's own there")]
    Published,
    /// It is a key of another kind, or damaged.
    #[error("it is no RSA key, or a damaged one; expected an RSA key as SubjectPublicKeyInfo, so copy it there again")]
    NotRsa,
    /// It is too short or too long.
    #[error("its RSA key has {0} bits; expected {BITS_MIN} to {BITS_MAX}, so have the sender make another pair")]
    Bits(usize),
    /// Its exponent is one that no signature is checked with.
    #[error(
        "its RSA key has an exponent that is even, below 3 or above {EXPONENT_MAX}; expected 65537, so have the sender make another pair"
    )]
    Exponent,
}

impl PublicKeyFile {
    /// The key in a file. A published test key, by which anybody can sign, counts where it is said to.
    ///
    /// # Errors
    /// When it cannot be read, or is none that counts.
    pub fn read(file: PathBuf, takes_published: bool) -> Result<Self, PublicKeyError> {
        let last = Mutex::new(RsaKey::in_file(&file, takes_published)?);
        Ok(Self { file, takes_published, last })
    }

    pub(super) fn current(&self) -> RsaKey {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match RsaKey::in_file(&self.file, self.takes_published) {
            Ok(key) => *last = key,
            Err(error) => {
                let error = error.why();
                tracing::error!(error, "a sender's public key file holds no key any more; the last one counts");
            }
        }
        last.clone()
    }
}

impl PublicKeyError {
    /// The same without the file's name, for a log that does not name files.
    fn why(&self) -> String {
        match self {
            Self::Unreadable(error) => error.why(),
            Self::Unusable { problem, .. } => problem.to_string(),
        }
    }
}

/// An RSA public key whose parts are within their limits.
#[derive(Clone)]
pub(super) struct RsaKey {
    /// Without leading zeros, as `ring` wants it, and so the exponent.
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    fn in_file(path: &Path, takes_published: bool) -> Result<Self, PublicKeyError> {
        let bytes = file::read(path, SMALL_BYTES_MAX)?;
        let key = Self::parse(&bytes).and_then(|key| match key.is_published() && !takes_published {
            true => Err(KeyProblem::Published),
            false => Ok(key),
        });
        key.map_err(|problem| PublicKeyError::Unusable { path: path.to_owned(), problem })
    }

    fn is_published(&self) -> bool {
        Digest::of(&self.modulus).to_string() == PUBLISHED
    }

    fn parse(pem: &[u8]) -> Result<Self, KeyProblem> {
        let key = Self::of_info(&block(pem)?).ok_or(KeyProblem::NotRsa)?;
        let bits = key.bits();
        if !(BITS_MIN..=BITS_MAX).contains(&bits) {
            return Err(KeyProblem::Bits(bits));
        }
        if !is_usable(&key.exponent) {
            return Err(KeyProblem::Exponent);
        }
        Ok(key)
    }

    /// The key of a SubjectPublicKeyInfo.
    fn of_info(der: &[u8]) -> Option<Self> {
        let info = whole(der, SEQUENCE)?;
        let (algorithm, info) = element(info, SEQUENCE)?;
        if algorithm != RSA_ENCRYPTION {
            return None;
        }
        // The first byte says how many bits of the last one do not count: none.
        let key = whole(info, BIT_STRING)?.strip_prefix(&[0])?;
        let (modulus, key) = element(whole(key, SEQUENCE)?, INTEGER)?;
        let (modulus, exponent) = (positive(modulus)?, positive(whole(key, INTEGER)?)?);
        // A product of two odd primes is odd.
        modulus.last().filter(|last| *last % 2 == 1)?;
        Some(Self { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    fn bits(&self) -> usize {
        let unused = self.modulus.first().map_or(0, |first| first.leading_zeros());
        (self.modulus.len() * 8).saturating_sub(usize::try_from(unused).unwrap_or(0))
    }

    /// Whether a signature with PKCS #1 v1.5 and SHA-256 is this key's and of this message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }
}

/// The bytes of the one block that a file is.
fn block(pem: &[u8]) -> Result<Vec<u8>, KeyProblem> {
    let text = std::str::from_utf8(pem).map_err(|_| KeyProblem::NoBlock)?.trim_ascii();
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyProblem::Private);
    }
    let base64 = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END)).ok_or(KeyProblem::NoBlock)?;
    let base64: String = base64.split_ascii_whitespace().collect();
    STANDARD.decode(base64).map_err(|_| KeyProblem::NoBlock)
}

/// What is in an element of this tag, which is all that there is.
fn whole(input: &[u8], tag: u8) -> Option<&[u8]> {
    let (content, rest) = element(input, tag)?;
    rest.is_empty().then_some(content)
}

/// What is in the element of this tag that the input begins with, and what follows it. A length
/// has one encoding, the shortest; one of more than two bytes is longer than any such key.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (_, input) = input.split_first().filter(|(found, _)| **found == tag)?;
    let (first, input) = input.split_first()?;
    let (length, input) = match first {
        0..=0x7f => (usize::from(*first), input),
        0x81 => {
            input.split_first().map(|(byte, rest)| (usize::from(*byte), rest)).filter(|(length, _)| *length > 0x7f)?
        }
        0x82 => input
            .split_first_chunk::<2>()
            .map(|(bytes, rest)| (usize::from(u16::from_be_bytes(*bytes)), rest))
            .filter(|(length, _)| *length > 0xff)?,
        _ => return None,
    };
    input.split_at_checked(length)
}

/// The bytes of a number above nothing. DER has a zero in front of one whose first bit is set, and
/// nowhere else.
fn positive(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first > 0x7f) => Some(rest),
        [1..=0x7f, ..] => Some(integer),
        _ => None,
    }
}

/// Whether signatures are checked with an exponent.
fn is_usable(exponent: &[u8]) -> bool {
    let value = exponent.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    exponent.len() <= EXPONENT_BYTES_MAX && (3..=EXPONENT_MAX).contains(&value) && value % 2 == 1
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::sender::samples::{OTHER, PUBLISHED as OF_THE_RFC};

    const SHORT: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCh63KPlbE4Y20jUxNHb7Q7iBj
Ri35D3t2LAYgQSsuYhVeyW0/jNcg16+S/W75rRBoaIM0y6gD7eW1VNkyPmOMZjnl
5OFBT3/bdrsiusVCatQlWpn6EcXrQ5cq7JbKyYGEAA0o6NtytIfv8QOgiVMw3oKt
vQ46gAm3Yn2cA2d0mwIDAQAB
-----END PUBLIC KEY-----
";

    const ELLIPTIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEjxu22plYqKhuYTNNvSOu74jcX+r6
XOdV5l63YHKRwVWE99p4Sx9sKv8XPYynJo/0c8jyMezPgovSGRS2mtmHtw==
-----END PUBLIC KEY-----
";

    fn problem(pem: &str) -> Option<KeyProblem> {
        RsaKey::parse(pem.as_bytes()).err()
    }

    /// An element in DER.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = match length {
            [0, length @ 0..=0x7f] => vec![tag, length],
            [0, length] => vec![tag, 0x81, length],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [head, content.to_vec()].concat()
    }

    fn pem(info: &[u8]) -> String {
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(info))
    }

    /// A key with these two integers, as DER has them.
    fn with(modulus: &[u8], exponent: &[u8]) -> String {
        let key = der(SEQUENCE, &[der(INTEGER, modulus), der(INTEGER, exponent)].concat());
        let key = der(BIT_STRING, &[vec![0], key].concat());
        pem(&der(SEQUENCE, &[der(SEQUENCE, RSA_ENCRYPTION), key].concat()))
    }

    /// An odd modulus of so many bytes, its first bit set.
    fn modulus(bytes: usize) -> Vec<u8> {
        [vec![0], vec![0xff; bytes]].concat()
    }

    #[test]
    fn a_key_is_read_as_openssl_writes_it_and_however_its_lines_end() {
        for pem in [OF_THE_RFC, OTHER] {
            let key = RsaKey::parse(pem.as_bytes()).unwrap();
            assert_eq!((key.bits(), key.exponent.as_slice()), (2_048, [1, 0, 1].as_slice()));
        }
        assert_eq!(problem(&OF_THE_RFC.replace('\n', "\r\n")), None);
        assert_eq!(problem(&format!("\n{}", OF_THE_RFC.trim_end())), None);
        assert_eq!(problem(&with(&modulus(256), &[1, 0, 1])), None);
    }

    #[test]
    fn what_is_not_one_block_with_a_public_key_is_refused() {
        for text in [
            String::new(),
            "a-secret-of-the-shop".to_owned(),
            STANDARD.encode(block(OF_THE_RFC.as_bytes()).unwrap()),
            OF_THE_RFC.replace("PUBLIC KEY", "RSA PUBLIC KEY"),
            OF_THE_RFC.replace("PUBLIC KEY", "CERTIFICATE"),
            OF_THE_RFC.replace("-----END", "----END"),
            OF_THE_RFC.replacen("MIIB", "MI!B", 1),
            format!("{OF_THE_RFC}{OTHER}"),
            format!("the shop's key\n{OF_THE_RFC}"),
            format!("\u{feff}{OF_THE_RFC}"),
        ] {
            assert_eq!(problem(&text), Some(KeyProblem::NoBlock), "{text}");
        }
        assert!(RsaKey::parse(&[0xff, 0xfe]).is_err());
        for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            assert_eq!(problem(&OF_THE_RFC.replace("PUBLIC KEY", kind)), Some(KeyProblem::Private), "{kind}");
        }
    }

    #[test]
    fn a_key_of_another_kind_size_or_exponent_is_refused() {
        assert_eq!(problem(ELLIPTIC), Some(KeyProblem::NotRsa));
        assert_eq!(problem(SHORT), Some(KeyProblem::Bits(1_024)));
        for (bytes, expected) in [(255, Some(2_040)), (256, None), (1_024, None), (1_025, Some(8_200))] {
            assert_eq!(problem(&with(&modulus(bytes), &[1, 0, 1])), expected.map(KeyProblem::Bits), "{bytes}");
        }
        let a_bit_less = [vec![0x7f], vec![0xff; 255]].concat();
        assert_eq!(problem(&with(&a_bit_less, &[1, 0, 1])), Some(KeyProblem::Bits(2_047)));
        for (exponent, expected) in [
            (vec![1], Some(KeyProblem::Exponent)),
            (vec![2], Some(KeyProblem::Exponent)),
            (vec![3], None),
            (vec![1, 0, 0], Some(KeyProblem::Exponent)),
            (vec![1, 0xff, 0xff, 0xff, 0xff], None),
            (vec![2, 0, 0, 0, 1], Some(KeyProblem::Exponent)),
            (vec![1, 0, 0, 0, 0, 0, 0, 0, 3], Some(KeyProblem::Exponent)),
        ] {
            assert_eq!(problem(&with(&modulus(256), &exponent)), expected, "{exponent:?}");
        }
    }

    #[test]
    fn a_key_that_is_encoded_in_another_way_than_ders_is_refused() {
        let even = [modulus(255), vec![0xfe]].concat();
        let below_nothing = vec![0xff; 256];
        let padded = [vec![0], modulus(256)].concat();
        for wrong in [even, below_nothing, padded, Vec::new(), vec![0]] {
            assert_eq!(problem(&with(&wrong, &[1, 0, 1])), Some(KeyProblem::NotRsa), "{wrong:?}");
        }
        for wrong in [&[][..], &[0], &[0, 1, 0, 1], &[0x81]] {
            assert_eq!(problem(&with(&modulus(256), wrong)), Some(KeyProblem::NotRsa), "{wrong:?}");
        }
        let info = block(OF_THE_RFC.as_bytes()).unwrap();
        assert_eq!(problem(&pem(&info)), None);
        assert_eq!(problem(&pem(&[info.as_slice(), &[0]].concat())), Some(KeyProblem::NotRsa), "a byte more");
        for length in 0..info.len() {
            let cut = info.get(..length).unwrap();
            assert_eq!(problem(&pem(cut)), Some(KeyProblem::NotRsa), "cut after {length}");
        }
        // A length that is written longer than it has to be.
        let heads = [(5, vec![0x81, 5]), (5, vec![0x82, 0, 5]), (0x80, vec![0x82, 0, 0x80]), (5, vec![0x80])];
        for (bytes, length) in heads {
            let integer = [vec![INTEGER], length.clone(), vec![1; bytes]].concat();
            assert_eq!(element(&integer, INTEGER), None, "{length:?}");
        }
    }

    #[test]
    fn the_published_key_is_known_for_it_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for (pem, published) in [(OF_THE_RFC, true), (OTHER, false)] {
            let file = folder.path().join("key.pem");
            std::fs::write(&file, pem).unwrap();
            assert_eq!(PublicKeyFile::read(file.clone(), false).is_err(), published);
            assert!(PublicKeyFile::read(file, true).is_ok());
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name_and_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let said = || PublicKeyFile::read(file.clone(), false).err().unwrap().to_string();
        assert!(said().contains("key.pem` cannot be read"), "{}", said());
        std::fs::write(&file, "a-secret-of-the-shop").unwrap();
        assert!(said().contains("key.pem` holds no public key") && !said().contains("a-secret"), "{}", said());
        std::fs::write(&file, SHORT).unwrap();
        assert!(said().contains("has 1024 bits; expected 2048 to 8192"), "{}", said());
    }
}
