//! Batch after batch, the next one read while the last one is committed: a commit waits
//! for the disk, and reading needs only what no commit changes.
//!
//! Danger: what was read ahead was read before it was known how the batch before ended.
//! Whatever of that has to come once more has a lower position and comes first, so then
//! what was read ahead is thrown away, and read again in its turn. The same where it was
//! read with plugins that others took the place of, or past documents that had to wait and
//! were woken since. Reading has no effect, so reading twice has none.

use std::sync::Arc;

use portreeve_store::Committed;
use tokio::task::JoinHandle;

use super::{Batch, DecideError};
use crate::Pipeline;

/// Decides as [`Pipeline::decide`] does, for as long as there is something to decide.
pub struct Decisions {
    pipeline: Arc<Pipeline>,
    /// Documents in a batch.
    limit: u32,
    ahead: Option<ReadAhead>,
}

/// A batch that is being read.
struct ReadAhead(JoinHandle<Result<Batch, DecideError>>);

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Decisions {
    /// Nothing is read yet; batches are of `limit` documents at most.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, limit: u32) -> Self {
        Self { pipeline, limit, ahead: None }
    }

    /// Decides the next batch.
    ///
    /// # Errors
    /// Those of [`Pipeline::decide`].
    pub async fn next(&mut self) -> Result<Vec<Result<Committed, DecideError>>, DecideError> {
        let batch = match self.read_ahead().await {
            Some(batch) => batch,
            None => self.pipeline.read(self.limit, &[]).await?,
        };
        let judged = self.pipeline.judge(batch).await?;
        // Behind a batch that was not full there is nothing yet.
        let full = u32::try_from(judged.positions.len()).is_ok_and(|count| count >= self.limit);
        let ahead = full.then(|| {
            let (pipeline, limit) = (Arc::clone(&self.pipeline), self.limit);
            let in_hand: Vec<_> = judged.positions.iter().copied().collect();
            ReadAhead(tokio::spawn(async move { pipeline.read(limit, &in_hand).await }))
        });
        let committed = self.pipeline.commit(judged).await?;
        self.ahead = ahead.filter(|_| committed.iter().all(Result::is_ok));
        Ok(committed)
    }

    /// What was read ahead, if it is what would be read now.
    async fn read_ahead(&mut self) -> Option<Batch> {
        let mut ahead = self.ahead.take()?;
        // An error, or a panic, comes again where it stays one.
        let batch = (&mut ahead.0).await.ok()?.ok()?;
        let as_read = Arc::ptr_eq(&batch.active, &self.pipeline.plugins.now())
            && batch.woken == self.pipeline.set_aside.woken()
            && !batch.positions.is_empty();
        as_read.then_some(batch)
    }
}
