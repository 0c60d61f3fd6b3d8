//! What can be wrong with the log, in sentences that say what to do about it.

use std::path::PathBuf;

use portreeve_model::Digest;
use portreeve_record::{CheckpointError, MerkleError, ProofError, VerifyError};
use portreeve_store::StoreError;

/// Why the log could not be continued, verified or proved.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data are older than the last checkpoint that was kept elsewhere.
    #[error(
        "the log has {found} entries, but the checkpoint in `{}` was signed over {expected}: the data were rolled back; restore the newer data", .path.display()
    )]
    RolledBack {
        /// Entries in the store.
        found: u64,
        /// Entries under the outside checkpoint.
        expected: u64,
        /// Where the outside checkpoint is.
        path: PathBuf,
    },
    /// The data do not continue the last checkpoint that was kept elsewhere.
    #[error(
        "the first {size} entries of the log have root {found}, but the checkpoint in `{}` says {expected}: the log was rewritten; restore the data that it was signed over", .path.display()
    )]
    Rewritten {
        /// Entries under the root.
        size: u64,
        /// The root over the store's entries.
        found: Digest,
        /// The root that was signed.
        expected: Digest,
        /// Where the outside checkpoint is.
        path: PathBuf,
    },
    /// The head in the store is not a head that this log's key signed.
    #[error("the head of the log does not verify: {0}; restore the data, or the key that they were signed with")]
    Head(CheckpointError),
    /// The outside checkpoint is not one that this log's key signed.
    #[error("the checkpoint in `{}` does not verify: {reason}; it belongs to another log or was changed", .path.display())]
    OutsideCheckpoint {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: CheckpointError,
    },
    /// The head's parts contradict each other.
    #[error("the head of the log says {expected} in its checkpoint and {found} in its right edge; restore the data")]
    EdgeDiffers {
        /// Size and root of the edge.
        found: String,
        /// Size and root that were signed.
        expected: String,
    },
    /// Entries near the end are not those under the head.
    #[error(
        "with entries {start} to {end} the log has root {found}, but its head was signed over {expected}: they were changed; restore the data"
    )]
    TailDiffers {
        /// Index of the first entry.
        start: u64,
        /// Index after the last entry.
        end: u64,
        /// The root with what is stored.
        found: Digest,
        /// The root under the head.
        expected: Digest,
    },
    /// A leaf's bytes are not those that its id was made of.
    #[error("the record of leaf {id} was changed: its bytes hash to {found}; restore the data")]
    LeafChanged {
        /// The id that the store keeps.
        id: Digest,
        /// The hash of the bytes beside it.
        found: Digest,
    },
    /// An index without an entry.
    #[error("entry {expected} of the log is missing; restore the data")]
    Gap {
        /// The index that should have come next.
        expected: u64,
    },
    /// A stored edge that is none.
    #[error("the tree of the log is damaged: {0}; restore the data")]
    Tree(#[from] MerkleError),
    /// The outside checkpoint could not be read or written.
    #[error("the outside checkpoint `{}` cannot be {action}: {reason}; make its folder writable or configure another", .path.display())]
    OutsideFile {
        /// Where it is.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// The system's word.
        reason: std::io::Error,
    },
    /// The process is ending.
    #[error("work on the outside checkpoint was interrupted: {0}")]
    Interrupted(String),
    /// Nothing has been signed yet.
    #[error("the log has no checkpoint yet; it gets one with its first entry")]
    NoCheckpoint,
    /// A leaf that has no index.
    #[error("leaf {0} is not in the log, or has no index yet; new leaves get one within a second")]
    NotSequenced(Digest),
    /// The log does not verify.
    #[error("the log does not verify: {0}")]
    Verify(#[from] VerifyError),
    /// A proof that was just made does not verify.
    #[error("the log proves nothing about this leaf: {0}; run `portreeve audit verify`")]
    Proof(#[from] ProofError),
}

impl AuditError {
    /// Whether trying again may help: the store was busy or failed, or the
    /// outside file could not be written. Anything else is damage or tampering.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => {
                matches!(error, StoreError::Busy { .. } | StoreError::Unknown(_) | StoreError::Failed(_))
            }
            Self::OutsideFile { .. } | Self::Interrupted(_) => true,
            _ => false,
        }
    }
}
