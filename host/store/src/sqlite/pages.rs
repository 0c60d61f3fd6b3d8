//! How much of the file the writer keeps in memory.
//!
//! What it looks up and enters by a random key (an input's digest, an order's id, a document's key) lies anywhere
//! in an index, and a page that is not here is asked of the operating system. So it keeps more as soon as the
//! file is large.
//!
//! It does not before. Where SQLite splits a page and sorts the parts, one has for a moment the number of the
//! lock-byte page, 1 GiB into the file, and where the file ends before it all that is kept is looked through at
//! that commit. A file that reaches behind it has a later last page.
//!
//! Who reads has no use for more: what it keeps is gone when somebody has written, which on a busy host is
//! before its next snapshot.

use rusqlite::Connection;

use super::failed;
use crate::contract::StoreError;

/// What is kept of a small file, as other connections keep: what a usual commit touches, and not much more.
pub(super) const SMALL_KIB: i64 = 16_384;

/// What is kept of a large one.
pub(super) const LARGE_KIB: i64 = 65_536;

/// Where the lock-byte page lies (`PENDING_BYTE`; "The Lock-Byte Page" in SQLite's file format).
const LOCK_BYTE: i64 = 1 << 30;

/// Commits from one look at the file's size to the next.
const LOOKS_EVERY: u32 = 256;

/// What the writer keeps.
pub(super) struct WritersPages {
    large_from_bytes: i64,
    is_large: bool,
    /// Commits until it looks at the file's size.
    looks_in: u32,
}

impl WritersPages {
    /// Has the connection keep what the file is large enough for.
    pub(super) fn of(connection: &Connection) -> Result<Self, StoreError> {
        Self::large_from(connection, LOCK_BYTE).map_err(failed)
    }

    fn large_from(connection: &Connection, large_from_bytes: i64) -> rusqlite::Result<Self> {
        let mut pages = Self { large_from_bytes, is_large: false, looks_in: LOOKS_EVERY };
        keep(connection, SMALL_KIB)?;
        pages.look(connection)?;
        Ok(pages)
    }

    /// Has it keep more if the file has become large.
    pub(super) fn after_a_commit(&mut self, connection: &Connection) {
        self.looks_in = self.looks_in.saturating_sub(1);
        if self.is_large || self.looks_in > 0 {
            return;
        }
        self.looks_in = LOOKS_EVERY;
        // It is slower then, and nothing else.
        if let Err(error) = self.look(connection) {
            tracing::warn!(%error, "how much of the store the writer keeps in memory could not be set");
        }
    }

    fn look(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if bytes(connection)? > self.large_from_bytes {
            keep(connection, LARGE_KIB)?;
            self.is_large = true;
        }
        Ok(())
    }
}

fn keep(connection: &Connection, kib: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -kib)
}

/// The size of the file, with what is still in the log beside it.
fn bytes(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn kept_kib(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA cache_size", [], |row| row.get::<_, i64>(0)).unwrap().saturating_neg()
    }

    #[test]
    fn the_writer_keeps_more_from_when_the_file_is_large_and_not_less_when_it_shrinks() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (b BLOB)").unwrap();
        let mut pages = WritersPages::large_from(&connection, 100_000).unwrap();
        assert_eq!(kept_kib(&connection), SMALL_KIB);
        let mut commits = |sql: &str, commits: u32| {
            connection.execute_batch(sql).unwrap();
            (0..commits).for_each(|_| pages.after_a_commit(&connection));
            kept_kib(&connection)
        };
        assert_eq!(commits("INSERT INTO t VALUES (zeroblob(50000))", LOOKS_EVERY), SMALL_KIB);
        assert_eq!(commits("INSERT INTO t VALUES (zeroblob(50000))", LOOKS_EVERY - 1), SMALL_KIB);
        assert_eq!(commits("", 1), LARGE_KIB);
        assert_eq!(commits("DELETE FROM t; VACUUM", LOOKS_EVERY), LARGE_KIB);
        // Whoever opens it again begins with what there is.
        WritersPages::large_from(&connection, 100_000).unwrap();
        assert_eq!(kept_kib(&connection), SMALL_KIB);
        WritersPages::large_from(&connection, 1).unwrap();
        assert_eq!(kept_kib(&connection), LARGE_KIB);
    }
}
