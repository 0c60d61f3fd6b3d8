//! Reading the log: going through all of it, and proving one leaf.
//!
//! Entries are read in batches; an index that is missing is an error, never a
//! shorter answer. Readers hold no lock: the log only grows, and everything is
//! checked against the head that was read first.

use std::ops::Range;
use std::sync::Arc;

use portreeve_model::Digest;
use portreeve_record::merkle::inclusion_ranges;
use portreeve_record::{Edge, InclusionProof, SignedCheckpoint, Verifier, VerifierKey, VerifyReport};
use portreeve_store::Store;
use portreeve_store::contract::TreeHead;

use crate::error::AuditError;

/// Entries that are read at once; at 16 KiB each at most 4 MiB.
const READ_BATCH: u32 = 256;

/// Reads the log of one store.
#[derive(Clone)]
pub struct LogReader {
    store: Arc<dyn Store>,
}

impl LogReader {
    /// Reads from this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The last checkpoint.
    ///
    /// # Errors
    /// When there is none yet, or the store's is no checkpoint.
    pub async fn checkpoint(&self) -> Result<SignedCheckpoint, AuditError> {
        let head = self.store.tree_head().await?;
        parse_head(&head.ok_or(AuditError::NoCheckpoint)?)
    }

    /// Verifies the whole log against its head, and that it continues the
    /// outside checkpoint. Reads every record once; entries that are appended
    /// meanwhile are left for the next time.
    ///
    /// # Errors
    /// At the first entry that is missing, changed, no record or out of order,
    /// or when a checkpoint is not that of these entries.
    pub async fn verify(
        &self,
        key: &VerifierKey,
        outside: Option<&SignedCheckpoint>,
    ) -> Result<VerifyReport, AuditError> {
        let head = self.store.tree_head().await?.ok_or(AuditError::NoCheckpoint)?;
        let mut verifier = Verifier::new(&parse_head(&head)?, key, outside)?;
        while verifier.next_index() < head.size {
            for (id, bytes) in self.batch(verifier.next_index()..head.size).await? {
                verifier.leaf(Some(&id), &bytes)?;
            }
        }
        Ok(verifier.finish()?)
    }

    /// A proof, checked with the key, that a leaf is under the last checkpoint.
    /// Reads the whole log once and keeps some hundred bytes of it.
    ///
    /// # Errors
    /// When the leaf has no index, or the log does not verify around it.
    pub async fn prove(&self, leaf: Digest, key: &VerifierKey) -> Result<InclusionProof, AuditError> {
        // Index before head: a head that is read later covers it.
        let index = self.store.leaf_index(leaf).await?;
        let index = index.ok_or(AuditError::NotSequenced(leaf))?;
        let head = self.store.tree_head().await?.ok_or(AuditError::NoCheckpoint)?;
        let mut hashes = Vec::new();
        for range in inclusion_ranges(index, head.size)? {
            hashes.push(self.subtree_root(range).await?);
        }
        let entry = self.batch(index..index.saturating_add(1)).await?;
        let (_, bytes) = entry.into_iter().next().ok_or(AuditError::Gap { expected: index })?;
        let proof = InclusionProof::new(index, hashes, parse_head(&head)?);
        proof.verify(&bytes, key)?;
        Ok(proof)
    }

    /// The root over a range of entries, as their bytes say.
    async fn subtree_root(&self, range: Range<u64>) -> Result<Digest, AuditError> {
        let mut edge = Edge::new();
        self.append(&mut edge, range).await?;
        Ok(edge.root())
    }

    /// Appends a range of entries to an edge, as their bytes say.
    pub(crate) async fn append(&self, edge: &mut Edge, range: Range<u64>) -> Result<(), AuditError> {
        let mut next = range.start;
        while next < range.end {
            for (id, bytes) in self.batch(next..range.end).await? {
                let found = portreeve_record::merkle::leaf_hash(&bytes);
                if found != id {
                    return Err(AuditError::LeafChanged { id, found });
                }
                edge.append(found)?;
                next = next.saturating_add(1);
            }
        }
        Ok(())
    }

    /// The first entries of a range, at least one, without gaps.
    async fn batch(&self, range: Range<u64>) -> Result<Vec<(Digest, Vec<u8>)>, AuditError> {
        let wanted = range.end.saturating_sub(range.start);
        let limit = u32::try_from(wanted).unwrap_or(u32::MAX).min(READ_BATCH);
        let entries = self.store.sequenced(range.start, limit).await?;
        if entries.is_empty() {
            return Err(AuditError::Gap { expected: range.start });
        }
        range
            .zip(entries)
            .map(
                |(expected, (index, id, bytes))| {
                    if index == expected { Ok((id, bytes)) } else { Err(AuditError::Gap { expected }) }
                },
            )
            .collect()
    }
}

fn parse_head(head: &TreeHead) -> Result<SignedCheckpoint, AuditError> {
    SignedCheckpoint::parse(&head.checkpoint).map_err(AuditError::Head)
}
