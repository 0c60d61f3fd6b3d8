//! Retention: the content of what is finished goes when its time has come.
//!
//! The store says what is finished and judges once more when it removes; here are the
//! pace and the record. A pass goes through old inputs in small batches, each one
//! transaction with a leaf that names its inputs, so that orders on the road never
//! wait long behind it, and a host that is told to stop stops between two of them.

use portreeve_model::{Digest, Instant};
use portreeve_record::leaf::{Listed, RetentionLeaf};
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::StoreError;
use portreeve_store::contract::{Forgotten, InputId, KeptInput};

use crate::Pipeline;

/// Inputs that are looked at together.
const PAGE: u32 = 64;

/// Documents whose content goes in one transaction, unless one input has more: what
/// is on the road waits behind it in the writer's queue.
const BATCH_DOCUMENTS_MAX: u32 = 64;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// What it removed.
    pub forgotten: Forgotten,
    /// Inputs that are old enough and of which something is still open, or came to
    /// rest too late.
    pub open: u64,
}

/// Why a pass ended early. What it removed until then is on record.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
}

impl Pipeline {
    /// Removes the content of what was finished before a time, until nothing is left
    /// or the caller wants to stop.
    ///
    /// # Errors
    /// See [`RetentionError`].
    pub async fn forget_finished(&self, before: Instant, stop: impl Fn() -> bool) -> Result<Retained, RetentionError> {
        let mut retained = Retained::default();
        let mut after = None;
        loop {
            let page = self.store.kept_inputs(before, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(retained) };
            after = Some((last.received_at, last.id));
            let (finished, open): (Vec<_>, Vec<_>) = page.into_iter().partition(|input| input.finished);
            retained.open = retained.open.saturating_add(count(open.len()));
            for batch in batches(finished) {
                if stop() {
                    return Ok(retained);
                }
                match self.forget_batch(&batch, before).await? {
                    Some(forgotten) => retained.forgotten = sum(retained.forgotten, forgotten),
                    // Something of it was opened since; the next pass looks again.
                    None => retained.open = retained.open.saturating_add(count(batch.len())),
                }
            }
        }
    }

    async fn forget_batch(&self, batch: &[KeptInput], before: Instant) -> Result<Option<Forgotten>, RetentionError> {
        let now = self.clock.now();
        let commitments: Vec<Digest> = batch.iter().map(|input| input.content.commitment).collect();
        let body = LeafBody::Retention(RetentionLeaf { before, inputs: Listed::of(commitments)? });
        let inputs: Vec<InputId> = batch.iter().map(|input| input.id).collect();
        let forgotten = self.store.forget(inputs, before, now, Leaf::new(&self.host, now, body)?).await?;
        if let Some(forgotten) = forgotten {
            self.metrics.forgotten(forgotten);
        }
        Ok(forgotten)
    }
}

/// Cuts a page so that no batch has too many documents; each has one input at least.
fn batches(page: Vec<KeptInput>) -> Vec<Vec<KeptInput>> {
    let mut batches: Vec<Vec<KeptInput>> = Vec::new();
    let mut documents = 0_u32;
    for input in page {
        documents = documents.saturating_add(input.documents.max(1));
        match batches.last_mut() {
            Some(batch) if documents <= BATCH_DOCUMENTS_MAX => batch.push(input),
            _ => {
                documents = input.documents.max(1);
                batches.push(vec![input]);
            }
        }
    }
    batches
}

fn sum(a: Forgotten, b: Forgotten) -> Forgotten {
    Forgotten {
        inputs: a.inputs.saturating_add(b.inputs),
        orders: a.orders.saturating_add(b.orders),
        payloads: a.payloads.saturating_add(b.payloads),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use portreeve_store::contract::PayloadRef;

    use super::*;

    #[test]
    fn a_batch_has_few_documents_or_one_input() {
        let input = |documents| KeptInput {
            id: InputId(Digest::of(b"input")),
            content: PayloadRef { commitment: Digest::of(b"commitment"), place: 1 },
            received_at: Instant(0),
            documents,
            finished: true,
        };
        let page = [0, 60, 3, 1, 500, 2, 62, 1].map(input).to_vec();
        let cut: Vec<Vec<u32>> =
            batches(page).iter().map(|batch| batch.iter().map(|input| input.documents).collect()).collect();
        assert_eq!(cut, [vec![0, 60, 3], vec![1], vec![500], vec![2, 62], vec![1]]);
        assert!(batches(Vec::new()).is_empty());
    }
}
