//! Batch after batch, the next one read while the last one is committed: a commit waits
//! for the disk, and reading needs only what no commit changes.
//!
//! Danger: what was read ahead was read before it was known how the batch before ended.
//! Something of that may have to come once more, a document may have waited for one of
//! them, and one that waited may be due by now: each has a lower position and comes first.
//! So the store is asked again whether anything does, and then what was read ahead is thrown
//! away and read again in its turn. The same where plugins were replaced, tables loaded, or
//! the waiting woken since. Reading twice changes nothing but that a plugin's failures count
//! twice towards its quarantine.

use std::sync::Arc;

use portreeve_store::{Committed, Journaled};
use tokio::task::JoinHandle;

use super::{Batch, DecideError, tables_in_use};
use crate::Pipeline;

/// Decides as [`Pipeline::decide`] does, for as long as there is something to decide.
pub struct Decisions {
    pipeline: Arc<Pipeline>,
    /// Documents in a batch.
    limit: u32,
    /// A batch that is being read.
    ahead: Option<JoinHandle<Result<Batch, DecideError>>>,
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
        let batch = match self.read_ahead().await? {
            Some(batch) => batch,
            None => self.pipeline.read(self.limit, &[]).await?,
        };
        let judged = self.pipeline.judge(batch).await?;
        // Behind a batch that was not full may be what came while it was thought through.
        if !judged.positions.is_empty() {
            let (pipeline, limit) = (Arc::clone(&self.pipeline), self.limit);
            let in_hand: Vec<_> = judged.positions.iter().copied().collect();
            self.ahead = Some(tokio::spawn(async move { pipeline.read(limit, &in_hand).await }));
        }
        self.pipeline.commit(judged).await
    }

    /// Waits for what is being read, and forgets it. A call of a plugin that were cut short
    /// could leave a pause of it without its record.
    pub async fn end(mut self) {
        drop(self.was_read().await);
    }

    async fn was_read(&mut self) -> Option<Batch> {
        let read = self.ahead.take()?.await;
        // What stays an error comes again when it is read in its turn.
        let read = read.inspect_err(|error| tracing::error!(%error, "reading ahead was cut short")).ok()?;
        read.inspect_err(|error| tracing::warn!(%error, "documents could not be read ahead")).ok()
    }

    /// What was read ahead, if it is what would be read now.
    async fn read_ahead(&mut self) -> Result<Option<Batch>, DecideError> {
        let Some(batch) = self.was_read().await else { return Ok(None) };
        let pipeline = &self.pipeline;
        let Some(last) = batch.positions.last().copied() else { return Ok(None) };
        if !Arc::ptr_eq(&batch.active, &pipeline.plugins.now()) || batch.woken != pipeline.set_aside.woken() {
            return Ok(None);
        }
        let tables = pipeline.tables.read(&pipeline.store, &tables_in_use(&batch.active)).await?;
        if tables.versions() != batch.tables.versions() {
            return Ok(None);
        }
        let mut left_out = pipeline.set_aside.left_out(batch.now);
        left_out.extend(&batch.positions);
        let others = pipeline.store.undecided(1, &left_out).await?;
        Ok(others.iter().map(Journaled::position).all(|other| other > last).then_some(batch))
    }
}
