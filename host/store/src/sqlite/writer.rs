//! The writer thread: takes what waits, commits it together, then answers.
//!
//! The queue is bounded, and who meets it full is treated in two ways. A new input
//! is refused at once: the sender hears 429 and keeps its order, which is better
//! than a host that runs out of memory with ten thousand acknowledged-soon
//! promises. Whatever belongs to work that was accepted waits its turn: a receipt
//! that got lost would be an effect that nobody knows of.
//!
//! A write that fails undoes itself and nothing else. A savepoint around each is how,
//! and costs a fifth of the writer's time in copies of pages that nearly nobody ever
//! needs. So a group runs twice at worst: first without savepoints; when one write of
//! it fails, all is rolled back, and the group runs again with one around each.
//!
//! While there is more to write than the disk keeps up with, a group waits a moment for
//! others to join it; a write that comes alone is committed at once.
//!
//! A write that panics ends the thread: the outcome of its group is unknown, and every
//! later write hears that nobody writes any more, so that the host stops instead of
//! promising to try again for ever.

use std::cell::Cell;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::oneshot;

use crate::contract::StoreError;
use crate::sqlite::failed;
use crate::sqlite::pages::WritersPages;
use crate::sqlite::worker::Worker;

/// Writes that may wait for the writer. A burst beyond it is answered with busy.
pub(super) const QUEUE_MAX: usize = 1024;

/// Writes in one transaction; more would make the first one wait too long.
const GROUP_MAX: usize = 256;

/// How long a group is kept open for more writes, where the last one had company
/// ([`COMPANY_MIN`]). Each commit writes the pages at the end of every table and waits for
/// the disk: without the pause a busy host made a thousand small commits a second and
/// spent a tenth of its CPU on them. PostgreSQL calls the pair `commit_delay` and
/// `commit_siblings`.
const GATHERING: Duration = Duration::from_millis(4);

/// Writes in the last group from which on others are expected soon. A caller that writes
/// one at a time and waits for each is never kept waiting.
const COMPANY_MIN: usize = 4;

/// A write that waits, perhaps run already.
trait Job: Send {
    /// Runs it inside the transaction. It may run again after a rollback.
    fn run(&mut self, transaction: &Transaction<'_>);

    /// Answers the caller, given whether the transaction committed.
    fn answer(self: Box<Self>, committed: Result<(), &StoreError>);
}

/// What a write runs in: the connection, inside a transaction.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    /// Whether writes are kept apart by savepoints.
    careful: bool,
    /// Whether one failed that a savepoint would have undone.
    spoilt: Cell<bool>,
}

impl<'a> Transaction<'a> {
    fn of(connection: &'a Connection, careful: bool) -> Self {
        Self { connection, careful, spoilt: Cell::new(false) }
    }

    /// Runs a write so that its failure undoes it and nothing else.
    pub(super) fn alone<T>(&self, write: impl FnOnce(&Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // SQLite gives a whole transaction up when a disk is full. Nothing may run after
        // that: outside of one, each statement would commit by itself.
        if self.connection.is_autocommit() {
            return Err(StoreError::Failed(GIVEN_UP.to_owned()));
        }
        if !self.careful {
            return write(self).inspect_err(|_| self.spoilt.set(true));
        }
        run_cached(self.connection, "SAVEPOINT write_of_one").map_err(failed)?;
        match write(self) {
            Ok(value) => {
                run_cached(self.connection, "RELEASE write_of_one").map_err(failed)?;
                Ok(value)
            }
            Err(error) if self.connection.is_autocommit() => Err(error),
            Err(error) => {
                self.connection.execute_batch("ROLLBACK TO write_of_one; RELEASE write_of_one").map_err(failed)?;
                Err(error)
            }
        }
    }
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// The sending side of the writer's queue; none where the store is open for reading.
pub(super) struct Writer(Option<Worker<Box<dyn Job>>>);

impl Writer {
    /// Starts the thread; it ends when the last sender is gone.
    pub(super) fn start(connection: Connection, mut pages: WritersPages) -> Result<Self, StoreError> {
        let name = ("portreeve-store", "the writer thread");
        Worker::start(name, QUEUE_MAX, move |queue| run(&connection, &mut pages, queue))
            .map(|worker| Self(Some(worker)))
    }

    /// No writer: the store is open for reading.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Queues a write of accepted work, behind a full queue if it has to, and waits
    /// until it is durable or has failed.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = job(write);
        self.jobs()?.send(job).await.map_err(|_| StoreError::WriterEnded)?;
        answered(answer).await
    }

    /// The same for new work, which a full queue refuses.
    pub(super) async fn write_or_refuse<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = job(write);
        self.jobs()?.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy { queued: QUEUE_MAX },
            TrySendError::Closed(_) => StoreError::WriterEnded,
        })?;
        answered(answer).await
    }

    fn jobs(&self) -> Result<&Sender<Box<dyn Job>>, StoreError> {
        self.0
            .as_ref()
            .and_then(Worker::jobs)
            .ok_or_else(|| StoreError::Failed("it is open for reading alone".to_owned()))
    }
}

/// A write with whoever waits for it.
struct Waiting<T, F> {
    write: F,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Waiting<T, F>
where
    T: Send,
    F: FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) {
        self.result = Some(transaction.alone(&mut self.write));
    }

    fn answer(self: Box<Self>, committed: Result<(), &StoreError>) {
        let answer = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Failed("the write was not run".to_owned())),
            // What failed by itself persisted nothing, whatever became of the others.
            (Err(_), Some(Err(own))) => Err(own),
            (Err(StoreError::Unknown(why)), _) => Err(StoreError::Unknown(why.clone())),
            (Err(StoreError::Failed(why)), _) => Err(StoreError::Failed(why.clone())),
            (Err(error), _) => Err(StoreError::Failed(error.to_string())),
        };
        // A caller that went away loses the answer, not the write: it is
        // committed, and idempotency tells a later caller so.
        drop(self.caller.send(answer));
    }
}

/// A write, and where its answer arrives.
fn job<T, F>(write: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (caller, receiver) = oneshot::channel();
    (Box::new(Waiting { write, result: None, caller }), receiver)
}

async fn answered<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.await.map_err(|_| StoreError::Unknown("the writer thread ended during the write".to_owned()))?
}

fn run(connection: &Connection, pages: &mut WritersPages, queue: &mut Receiver<Box<dyn Job>>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut last = 0;
    while queue.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        if last >= COMPANY_MIN && group.len() < GROUP_MAX {
            std::thread::sleep(GATHERING);
            group.extend(std::iter::from_fn(|| queue.try_recv().ok()).take(GROUP_MAX - group.len()));
        }
        last = group.len();
        let committed = commit_group(connection, &mut group);
        for job in group.drain(..) {
            job.answer(committed.as_ref().copied());
        }
        pages.after_a_commit(connection);
    }
}

fn commit_group(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    if !run_group(connection, group, false)? {
        run_group(connection, group, true)?;
    }
    run_cached(connection, "COMMIT").map_err(|error| {
        let why = format!("the transaction could not commit: {error}");
        StoreError::Unknown(match connection.execute_batch("ROLLBACK") {
            Ok(()) => why,
            Err(also) => format!("{why}; nor roll back: {also}"),
        })
    })
}

/// What SQLite does when a disk is full or fails at the wrong moment.
const GIVEN_UP: &str = "the transaction was given up, as happens when a disk is full; look at the disk";

/// Runs the writes in a transaction and leaves it open; false when it was rolled
/// back because one of them failed.
fn run_group(connection: &Connection, group: &mut [Box<dyn Job>], careful: bool) -> Result<bool, StoreError> {
    run_cached(connection, "BEGIN IMMEDIATE")
        .map_err(|error| StoreError::Failed(format!("no transaction could begin: {error}")))?;
    let transaction = Transaction::of(connection, careful);
    for job in group {
        job.run(&transaction);
        if transaction.spoilt.get() {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK").map_err(|error| {
                    StoreError::Failed(format!("the transaction could not be rolled back: {error}"))
                })?;
            }
            return Ok(false);
        }
        if connection.is_autocommit() {
            return Err(StoreError::Failed(GIVEN_UP.to_owned()));
        }
    }
    Ok(true)
}

/// Runs a statement that was compiled before: these stand around every write, and around reads.
pub(super) fn run_cached(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}
