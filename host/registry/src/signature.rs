//! The signature of a package: a small file beside the component, `NAME.wasm.sig`.
//!
//! ```text
//! portreeve package 1
//! name large-order
//! version 0.1.0
//! digest sha256:4f0c…
//!
//! — acme Az3g…=
//! — reviewer.example/2026 Qk1v…=
//! ```
//!
//! It is a signed note (C2SP `signed-note`, Ed25519) over four lines. The first says what
//! kind of statement this is: a checkpoint of a log begins with a name without blanks, so
//! neither can be taken for the other. The digest is that of the whole component, manifest
//! included, so nothing of it can be changed under a signature; name and version are
//! there for people, and have to be the manifest's. Each signature line is by one key, and
//! a second publisher countersigns by adding a line. Whose keys count is no business of
//! the file: [`crate::trust`] says so.

use std::path::{Path, PathBuf};

use portreeve_model::{Digest, PluginName};
use portreeve_record::note::VerifierKey;
use portreeve_record::{Note, NoteError, NoteKey};

use crate::manifest::Manifest;

/// The first line: kind and version of the statement.
const KIND: &str = "portreeve package 1";

/// Why a signature file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no signed note, or a signature in it is wrong.
    #[error("its signature file cannot be used: {0}; sign it again with `portreeve plugin sign`")]
    Note(#[from] NoteError),
    /// The text is no statement about a package.
    #[error("line {line} of its signature file is `{found}`; expected {expected}")]
    Statement {
        /// One-based.
        line: usize,
        /// What is there, at most 80 characters of it.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// It is about something else.
    #[error(
        "its signature file is about {what} `{found}`, the component is `{expected}`; take the file that belongs to it, or sign it again"
    )]
    OtherPackage {
        /// `digest`, `plugin` or `version`.
        what: &'static str,
        /// What was signed.
        found: String,
        /// What the component is.
        expected: String,
    },
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The plugin's name.
    pub name: PluginName,
    /// Its version.
    pub version: String,
    /// Digest of the component.
    pub digest: Digest,
}

impl Statement {
    /// What a publisher says about a component.
    #[must_use]
    pub fn of(manifest: &Manifest, digest: Digest) -> Self {
        Self { name: manifest.plugin.name.clone(), version: manifest.plugin.version.clone(), digest }
    }

    fn to_text(&self) -> String {
        format!("{KIND}\nname {}\nversion {}\ndigest {}\n", self.name, self.version, self.digest)
    }

    fn parse(text: &str) -> Result<Self, SignatureError> {
        let mut lines = text.split_terminator('\n');
        let mut line = 0_usize;
        let mut next = |start: &'static str, expected: &'static str| {
            line = line.saturating_add(1);
            let found = lines.next().unwrap_or_default();
            let wrong = SignatureError::Statement { line, found: found.chars().take(80).collect(), expected };
            found.strip_prefix(start).ok_or(wrong.clone()).map(|rest| (rest.to_owned(), wrong))
        };
        let (rest, wrong) = next(KIND, "`portreeve package 1`")?;
        if !rest.is_empty() {
            return Err(wrong);
        }
        let (name, wrong) = next("name ", "`name` and the plugin's name")?;
        let name = PluginName::parse(&name).map_err(|_| wrong)?;
        let (version, wrong) = next("version ", "`version` and a semantic version")?;
        semver::Version::parse(&version).map_err(|_| wrong)?;
        let (digest, wrong) = next("digest ", "`digest` and `sha256:…`")?;
        let digest = Digest::parse(&digest).map_err(|_| wrong)?;
        match lines.next() {
            None => Ok(Self { name, version, digest }),
            Some(found) => Err(SignatureError::Statement {
                line: 5,
                found: found.chars().take(80).collect(),
                expected: "the empty line before the signatures",
            }),
        }
    }
}

/// A signature file that was read. Who signed is known only after [`Signature::is_by`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    statement: Statement,
    note: Note,
}

impl Signature {
    /// Where the signature of a component lies: beside it.
    #[must_use]
    pub fn beside(component: &Path) -> PathBuf {
        let mut name = component.as_os_str().to_owned();
        name.push(".sig");
        PathBuf::from(name)
    }

    /// Signs a statement.
    #[must_use]
    pub fn made(statement: Statement, key: &NoteKey) -> Self {
        Self { note: Note::signed(statement.to_text(), key), statement }
    }

    /// Adds a key's line; a line that the key has already is replaced.
    ///
    /// # Errors
    /// When there are too many lines.
    pub fn countersigned(&self, key: &NoteKey) -> Result<Self, SignatureError> {
        Ok(Self { statement: self.statement.clone(), note: self.note.countersigned(key)? })
    }

    /// Reads a file; signatures are not checked.
    ///
    /// # Errors
    /// When it is no signed statement about a package.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let note = Note::parse(text)?;
        // A line that is none must not wait for the day when its key is asked for.
        note.claimed()?;
        Ok(Self { statement: Statement::parse(note.text())?, note })
    }

    /// The file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.note.as_str()
    }

    /// What was signed.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Whether this key signed it.
    ///
    /// # Errors
    /// When a line claims the key and its signature is wrong.
    pub fn is_by(&self, key: &VerifierKey) -> Result<bool, SignatureError> {
        match self.note.verify(key) {
            Ok(()) => Ok(true),
            Err(NoteError::NotSigned { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// `name+hash` of the keys that claim to have signed it, for messages.
    #[must_use]
    pub fn claimed(&self) -> Vec<String> {
        // Read when it was parsed.
        self.note.claimed().unwrap_or_default()
    }

    /// Everything in which it differs from a component.
    #[must_use]
    pub fn differs_from(&self, manifest: &Manifest, digest: Digest) -> Vec<SignatureError> {
        let (said, is) = (&self.statement, Statement::of(manifest, digest));
        let pairs = [
            ("digest", said.digest.to_string(), is.digest.to_string()),
            ("plugin", said.name.to_string(), is.name.to_string()),
            ("version", said.version.clone(), is.version),
        ];
        let differ = pairs.into_iter().filter(|(_, found, expected)| found != expected);
        differ.map(|(what, found, expected)| SignatureError::OtherPackage { what, found, expected }).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn statement() -> Statement {
        Statement {
            name: PluginName::parse("large-order").unwrap(),
            version: "0.1.0".to_owned(),
            digest: Digest::of(b"component"),
        }
    }

    fn key(byte: u8) -> NoteKey {
        NoteKey::from_bytes("acme", &[byte; 32]).unwrap()
    }

    #[test]
    fn what_was_signed_is_read_and_by_whom() {
        let made = Signature::made(statement(), &key(1)).countersigned(&key(2)).unwrap();
        let read = Signature::parse(made.as_str()).unwrap();
        assert_eq!(read.statement(), &statement());
        assert!(read.is_by(&key(1).verifier()).unwrap() && read.is_by(&key(2).verifier()).unwrap());
        assert!(!read.is_by(&key(3).verifier()).unwrap());
        assert_eq!(read.claimed().len(), 2);
    }

    #[test]
    fn the_statement_keeps_its_bytes_for_ever() {
        let expected =
            format!("portreeve package 1\nname large-order\nversion 0.1.0\ndigest {}\n", Digest::of(b"component"));
        assert_eq!(statement().to_text(), expected);
    }

    #[test]
    fn a_statement_of_another_kind_or_with_another_line_is_none_and_the_line_is_named() {
        let signed = Signature::made(statement(), &key(1));
        for (from, to, line) in [
            ("portreeve package 1", "portreeve package 2", 1),
            ("portreeve package 1", "portreeve.example/demo", 1),
            ("name large-order", "name Large Order", 2),
            ("version 0.1.0", "version 1", 3),
            ("digest sha256:", "digest sha512:", 4),
            ("\n\n", "\nmore\n\n", 5),
        ] {
            let error = Signature::parse(&signed.as_str().replacen(from, to, 1)).unwrap_err();
            assert!(matches!(error, SignatureError::Statement { line: found, .. } if found == line), "{error}");
        }
        let broken = signed.as_str().replace("\u{2014} acme ", "\u{2014} acme !");
        assert!(matches!(Signature::parse(&broken), Err(SignatureError::Note(_))));
    }
}
