//! A proof for one leaf that travels alone (C2SP `tlog-proof`): with the leaf's
//! bytes and the log's verifier key it shows, without the log, that the leaf was
//! recorded.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! index 73894
//! gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=    sibling hashes, leaf to root
//!
//! example.com/portreeve                           the checkpoint, as it is
//! …
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use portreeve_model::Digest;

use crate::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, CheckpointError, SignedCheckpoint, VerifierKey};
use crate::merkle::{self, MerkleError};

/// The first line, which names the format and its version.
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Hashes in a proof: a tree of 2^64 leaves needs no more. A longer list is
/// somebody's attempt to make the reader hash for ever.
const HASHES_MAX: usize = 64;

/// Bytes of a proof that are read: its hashes, its checkpoint and some lines.
const PROOF_BYTES_MAX: usize = CHECKPOINT_BYTES_MAX + 64 * 64;

/// What is wrong with a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Text that is no proof.
    #[error("the text is not a `{FIRST_LINE}` proof: {0}")]
    Malformed(&'static str),
    /// Its checkpoint is wrong.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its hashes lead elsewhere.
    #[error(transparent)]
    Merkle(#[from] MerkleError),
}

/// That the leaf at an index is in the tree of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    index: u64,
    hashes: Vec<Digest>,
    checkpoint: SignedCheckpoint,
}

impl InclusionProof {
    /// Puts a proof together; [`InclusionProof::verify`] checks it.
    #[must_use]
    pub fn new(index: u64, hashes: Vec<Digest>, checkpoint: SignedCheckpoint) -> Self {
        Self { index, hashes, checkpoint }
    }

    /// The leaf's index, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Checks that a leaf with these bytes is in the log, and returns the tree
    /// head that it was found under.
    ///
    /// # Errors
    /// When the checkpoint is not signed by the key, or the hashes do not lead
    /// from these bytes to its root.
    pub fn verify(&self, leaf_bytes: &[u8], key: &VerifierKey) -> Result<Checkpoint, ProofError> {
        let checkpoint = self.checkpoint.verify(key)?;
        merkle::verify_inclusion(
            &merkle::leaf_hash(leaf_bytes),
            self.index,
            checkpoint.size(),
            &checkpoint.root(),
            &self.hashes,
        )?;
        Ok(checkpoint)
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nindex {}\n", self.index);
        for hash in &self.hashes {
            text.push_str(&BASE64.encode(hash.as_bytes()));
            text.push('\n');
        }
        format!("{text}\n{}", self.checkpoint.as_str())
    }

    /// Reads the text form. An `extra` line is passed over.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofError::Malformed("it is too long"));
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(ProofError::Malformed("no empty line precedes the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(ProofError::Malformed("the first line is another one"));
        }
        // Not covered by the proof, so nobody may rely on it.
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|digits| digits.parse::<u64>().ok().filter(|n| n.to_string() == digits))
            .ok_or(ProofError::Malformed("the index line is missing or wrong"))?;
        let hashes: Vec<Digest> = lines.take(HASHES_MAX + 1).map(parse_hash).collect::<Result<_, _>>()?;
        if hashes.len() > HASHES_MAX {
            return Err(ProofError::Malformed("it has more than 64 hashes"));
        }
        Ok(Self::new(index, hashes, SignedCheckpoint::parse(checkpoint)?))
    }
}

fn parse_hash(line: &str) -> Result<Digest, ProofError> {
    BASE64
        .decode(line)
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .map(Digest::from_bytes)
        .ok_or(ProofError::Malformed("a hash is no SHA-256 in base64"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::LogKey;

    #[test]
    fn proves_one_leaf_without_the_log() {
        let key = LogKey::from_bytes("example.com/log", &[1; 32]).unwrap();
        let leaves: Vec<Digest> = [b"a", b"b", b"c"].iter().map(|bytes| merkle::leaf_hash(*bytes)).collect();
        let head = key.sign(3, merkle::root(&leaves).unwrap());
        let hashes = merkle::inclusion_proof(&leaves, 1).unwrap();
        let text = InclusionProof::new(1, hashes, head).to_text();

        let proof = InclusionProof::parse(&text).unwrap();
        assert_eq!(proof.verify(b"b", &key.verifier()).unwrap().size(), 3);
        assert!(proof.verify(b"x", &key.verifier()).is_err());
        let elsewhere = InclusionProof::parse(&text.replace("index 1", "index 0")).unwrap();
        assert!(elsewhere.verify(b"b", &key.verifier()).is_err());
        assert!(InclusionProof::parse(&text.replace("index 1", "index 01")).is_err());
        assert!(InclusionProof::parse(&text.replace("@v1", "@v2")).is_err());
    }
}
