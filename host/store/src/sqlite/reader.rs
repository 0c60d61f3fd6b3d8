//! A reading thread: takes what waits, reads it in one snapshot, and answers each as it is read.
//!
//! SQLite's calls are not asynchronous, and a connection reads one thing at a time. On the
//! runtime's threads for what blocks, hundreds of reads waited for the connection at once, each with
//! a thread, its stack and its heap of its own: a host with many deliveries under way had more
//! memory in threads that waited than in all it worked on. Here the queue is what waits.
//!
//! What is asked together is read in one snapshot, which is made when all of it was asked: each
//! sees what was committed before it asked, and pages that one had read are there for the next. It is
//! made anew where reads take long: what is written meanwhile stays in the log for as long as it lasts. Who
//! went away meanwhile is not read for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use crate::contract::StoreError;
use crate::sqlite::failed;
use crate::sqlite::worker::Worker;
use crate::sqlite::writer::run_cached;

/// Reads that may wait; whoever comes then waits for a place.
const QUEUE_MAX: usize = 1024;

/// Reads of one snapshot. What is written meanwhile cannot be moved out of the log to its place.
const SNAPSHOT_MAX: usize = 64;

/// After so long the next read has a snapshot of its own. Reads of people may take as long each.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_millis(100);

/// A read that waits: it gets the snapshot or why there is none, and answers.
type Job = Box<dyn FnOnce(Result<&Connection, &StoreError>) + Send>;

/// The asking side of a reader's queue.
pub(super) struct Reader(Worker<Job>);

impl Reader {
    /// Starts the thread; it ends when the last sender is gone.
    pub(super) fn start(name: &str, connection: Connection) -> Result<Self, StoreError> {
        Worker::start((name, "a reading thread"), QUEUE_MAX, move |queue| run(&connection, queue)).map(Self)
    }

    /// Queues a read and waits for it. All of its statements see the same commit, one that
    /// was there when it was asked or a later one.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let cut_short = || StoreError::Failed("a read was cut short; the log says where it panicked".to_owned());
        let (caller, answer) = oneshot::channel();
        let job: Job = Box::new(move |snapshot| {
            if caller.is_closed() {
                return;
            }
            let result = snapshot.map_err(|error| StoreError::Failed(error.to_string())).and_then(read);
            // A caller that went away needs no answer.
            drop(caller.send(result));
        });
        let jobs = self.0.jobs().ok_or_else(cut_short)?;
        jobs.send(job).await.map_err(|_| cut_short())?;
        answer.await.map_err(|_| cut_short())?
    }
}

fn run(connection: &Connection, queue: &mut Receiver<Job>) {
    let mut together = Vec::with_capacity(SNAPSHOT_MAX);
    while queue.blocking_recv_many(&mut together, SNAPSHOT_MAX) > 0 {
        let mut jobs = together.drain(..).peekable();
        while jobs.peek().is_some() {
            in_one_snapshot(connection, &mut jobs, SNAPSHOT_TIME_MAX);
        }
    }
}

/// Does what waits until it has taken so long that the rest gets another snapshot; one at least.
fn in_one_snapshot(connection: &Connection, jobs: &mut impl Iterator<Item = Job>, time_max: Duration) {
    let begun_at = Instant::now();
    let begun = run_cached(connection, "BEGIN DEFERRED").map_err(failed);
    let snapshot = begun.as_ref().map(|()| connection);
    for job in jobs {
        // A read that panicked changed nothing, and the others have their own answers.
        if catch_unwind(AssertUnwindSafe(|| job(snapshot))).is_err() {
            tracing::error!("a read of the store panicked");
        }
        if begun_at.elapsed() >= time_max {
            break;
        }
    }
    if begun.is_ok()
        && let Err(error) = run_cached(connection, "COMMIT")
    {
        tracing::error!(%error, "a snapshot of the store could not be ended");
        drop(connection.execute_batch("ROLLBACK"));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn reader() -> Reader {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (7)").unwrap();
        Reader::start("portreeve-test", connection).unwrap()
    }

    fn number(connection: &Connection) -> Result<i64, StoreError> {
        connection.query_row("SELECT n FROM t", [], |row| row.get(0)).map_err(failed)
    }

    #[tokio::test]
    async fn a_read_that_fails_or_panics_is_its_callers_matter_and_the_next_one_is_answered() {
        let reader = reader();
        let fails = reader.read(|_| Err::<i64, _>(StoreError::Failed("not there".to_owned())));
        let panics = reader.read(|_| -> Result<i64, StoreError> { panic!("as a test has it") });
        let (fails, panics, number) = tokio::join!(fails, panics, reader.read(number));
        assert_eq!(fails.unwrap_err().to_string(), StoreError::Failed("not there".to_owned()).to_string());
        assert!(panics.unwrap_err().to_string().contains("cut short"));
        assert_eq!(number.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_takes_no_other_ones_answer_with_it() {
        let reader = reader();
        let gone = tokio::time::timeout(std::time::Duration::ZERO, reader.read(number)).await;
        drop(gone);
        assert_eq!(reader.read(number).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_read() {
        let (worker, mut queue) = Worker::idle(QUEUE_MAX);
        let reader = Reader(worker);
        let read = reader.read(|_| -> Result<i64, StoreError> { panic!("nobody waits for it") });
        let gone = tokio::time::timeout(Duration::ZERO, read).await;
        drop(gone);
        let job = queue.try_recv().unwrap();
        job(Ok(&Connection::open_in_memory().unwrap()));
    }

    #[test]
    fn what_comes_late_in_a_snapshot_is_read_in_another_one() {
        let connection = Connection::open_in_memory().unwrap();
        // A savepoint is gone when its transaction is over.
        let released = |time_max: Duration| {
            let (tell, told) = std::sync::mpsc::channel();
            let job = |sql: &'static str| -> Job {
                let tell = tell.clone();
                Box::new(move |snapshot: Result<&Connection, &StoreError>| {
                    tell.send(snapshot.unwrap().execute_batch(sql).is_ok()).unwrap();
                })
            };
            let mut jobs = [job("SAVEPOINT mark"), job("RELEASE mark")].into_iter().peekable();
            while jobs.peek().is_some() {
                in_one_snapshot(&connection, &mut jobs, time_max);
            }
            told.try_iter().collect::<Vec<bool>>()
        };
        assert_eq!(released(Duration::MAX), [true, true]);
        assert_eq!(released(Duration::ZERO), [true, false]);
    }
}
