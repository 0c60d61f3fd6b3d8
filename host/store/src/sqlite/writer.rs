//! The writer thread: takes what waits, commits it together, then answers.
//!
//! The queue is bounded, and who meets it full is treated in two ways. A new input
//! is refused at once: the sender hears 429 and keeps its order, which is better
//! than a host that runs out of memory with ten thousand acknowledged-soon
//! promises. Whatever belongs to work that was accepted waits its turn: a receipt
//! that got lost would be an effect that nobody knows of.

use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use crate::contract::StoreError;
use crate::sqlite::failed;

/// Writes that may wait for the writer. A burst beyond it is answered with busy.
const QUEUE_MAX: usize = 1024;

/// Writes in one transaction; more would make the first one wait too long.
const GROUP_MAX: usize = 64;

/// A write: runs inside the transaction, and returns what to do after the commit.
/// Without a transaction it hears why, and must not touch the connection: a
/// savepoint outside a transaction would commit by itself.
type Job = Box<dyn FnOnce(Result<&Connection, &str>) -> Answer + Send>;

/// Answers the caller, given whether the transaction committed.
type Answer = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// The sending side of the writer's queue.
pub(super) struct Writer {
    /// Taken when the writer is dropped: the thread ends when the queue is gone.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The file is closed when this returns, not some time later: whoever opens,
/// copies or removes the folder next must not meet a connection that is still
/// writing its last page.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

impl Writer {
    /// Starts the thread; it ends when the last sender is gone.
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (jobs, mut queue) = channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("portreeve-store".to_owned())
            .spawn(move || run(&connection, &mut queue))
            .map_err(|error| StoreError::Failed(format!("the writer thread cannot start: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// No writer: the store is open for reading.
    pub(super) fn none() -> Self {
        Self { jobs: None, thread: None }
    }

    /// Queues a write of accepted work, behind a full queue if it has to, and waits
    /// until it is durable or has failed.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = job(write);
        self.jobs()?.send(job).await.map_err(|_| ended())?;
        answered(answer).await
    }

    /// The same for new work, which a full queue refuses.
    pub(super) async fn write_or_refuse<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = job(write);
        self.jobs()?.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy { queued: QUEUE_MAX },
            TrySendError::Closed(_) => ended(),
        })?;
        answered(answer).await
    }

    fn jobs(&self) -> Result<&Sender<Job>, StoreError> {
        self.jobs.as_ref().ok_or_else(|| StoreError::Failed("it is open for reading alone".to_owned()))
    }
}

/// A write, and where its answer arrives.
fn job<T, F>(write: F) -> (Job, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let job: Job = Box::new(move |transaction| {
        let result = match transaction {
            Ok(connection) => savepoint(connection, write),
            Err(why) => Err(StoreError::Failed(why.to_owned())),
        };
        Box::new(move |committed| {
            let answer = match committed {
                Ok(()) => result,
                // What failed by itself persisted nothing, whatever became of the others.
                Err(why) => result.and_then(|_| Err(StoreError::Unknown(why.to_owned()))),
            };
            // A caller that went away loses the answer, not the write: it is
            // committed, and idempotency tells a later caller so.
            drop(sender.send(answer));
        })
    });
    (job, receiver)
}

async fn answered<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.await.map_err(|_| StoreError::Unknown("the writer thread ended during the write".to_owned()))?
}

fn ended() -> StoreError {
    StoreError::Failed("the writer thread has ended".to_owned())
}

fn run(connection: &Connection, queue: &mut Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while queue.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        commit_group(connection, std::mem::replace(&mut group, Vec::with_capacity(GROUP_MAX)));
    }
}

fn commit_group(connection: &Connection, group: Vec<Job>) {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        let why = format!("no transaction could begin: {error}");
        for job in group {
            job(Err(&why))(Ok(()));
        }
        return;
    }
    let answers: Vec<Answer> = group.into_iter().map(|job| job(Ok(connection))).collect();
    if connection.is_autocommit() {
        for answer in answers {
            answer(Err(GIVEN_UP));
        }
        return;
    }
    let committed = connection.execute_batch("COMMIT").map_err(|error| {
        let why = format!("the transaction could not commit: {error}");
        match connection.execute_batch("ROLLBACK") {
            Ok(()) => why,
            Err(also) => format!("{why}; nor roll back: {also}"),
        }
    });
    for answer in answers {
        answer(committed.as_ref().copied().map_err(String::as_str));
    }
}

/// What SQLite does when a disk is full or fails at the wrong moment.
const GIVEN_UP: &str = "the transaction was given up, as happens when a disk is full; look at the disk";

/// Runs a write so that its failure undoes it and nothing else.
pub(super) fn savepoint<T>(
    connection: &Connection,
    write: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // A neighbour in the group may have met the end of the whole transaction.
    if connection.is_autocommit() {
        return Err(StoreError::Failed(GIVEN_UP.to_owned()));
    }
    connection.execute_batch("SAVEPOINT write_of_one").map_err(failed)?;
    match write(connection) {
        Ok(value) => {
            connection.execute_batch("RELEASE write_of_one").map_err(failed)?;
            Ok(value)
        }
        Err(error) if connection.is_autocommit() => Err(error),
        Err(error) => {
            connection.execute_batch("ROLLBACK TO write_of_one; RELEASE write_of_one").map_err(failed)?;
            Err(error)
        }
    }
}
