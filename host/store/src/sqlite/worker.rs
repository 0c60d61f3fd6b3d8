//! A thread of the store with the queue that it works off: the writer's, and those that read.
//!
//! Who drops it waits for the thread. The file is closed then, not some time later: whoever opens,
//! copies or removes the folder next must not meet a connection that is still writing its last page.

use std::thread::JoinHandle;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::contract::StoreError;

/// The asking side of a thread's queue.
pub(super) struct Worker<J> {
    /// How people call it.
    called: &'static str,
    /// Taken when it is dropped: the thread ends when the queue is gone.
    jobs: Option<Sender<J>>,
    thread: Option<JoinHandle<()>>,
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("{} of the store panicked", self.called);
        }
    }
}

impl<J: Send + 'static> Worker<J> {
    /// Starts the thread, with a name for the operating system and one for people; it ends when the
    /// last sender is gone.
    pub(super) fn start(
        (name, called): (&str, &'static str),
        queue_max: usize,
        work: impl FnOnce(&mut Receiver<J>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, mut queue) = channel(queue_max);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&mut queue))
            .map_err(|error| StoreError::Failed(format!("{called} cannot start: {error}")))?;
        Ok(Self { called, jobs: Some(jobs), thread: Some(thread) })
    }

    /// One without a thread: what waits for it is in the queue.
    #[cfg(test)]
    pub(super) fn idle(queue_max: usize) -> (Self, Receiver<J>) {
        let (jobs, queue) = channel(queue_max);
        (Self { called: "no thread", jobs: Some(jobs), thread: None }, queue)
    }

    /// Where its jobs go; none while it is being dropped.
    pub(super) fn jobs(&self) -> Option<&Sender<J>> {
        self.jobs.as_ref()
    }
}
