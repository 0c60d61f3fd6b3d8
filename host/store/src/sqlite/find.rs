//! A leaf by its id, without an index over ids.
//!
//! Ids are hashes: an index over all of them costs each new leaf a page somewhere in
//! it, which nobody else of its commit writes, and there are three leaves an order. Who
//! asks by id is a person who wants a proof, now and then. So ids are sorted in runs of
//! [`RUN_LEAVES`], once each, when the log has covered them, and a question looks into
//! every run: eight bytes of each id and the leaf's place in the run.
//!
//! ```text
//! leaf_run.first   number of the run's first leaf
//! leaf_run.ids     RUN_LEAVES times, sorted:  8 bytes of the id | 2 bytes, place, big-endian
//! ```
//!
//! A run only says where to look: what is there is compared with the whole id.

use portreeve_model::Digest;
use rusqlite::{Connection, OptionalExtension, params};

use super::failed;
use super::rows::{Result, damaged, digest};

/// Leaves in a run: a million orders are then some 750 runs of 40 KiB, and what is not in a
/// run yet is read in a millisecond or two. Places fit two bytes.
const RUN_LEAVES: i64 = 4096;

const PREFIX_BYTES: usize = 8;
const PLACE_BYTES: usize = 2;
const ENTRY_BYTES: usize = PREFIX_BYTES + PLACE_BYTES;

/// Makes the runs that the log covers by now.
pub(super) fn index_runs(tx: &Connection, sequenced_to: i64) -> Result<()> {
    let mut first = after_runs(tx).map_err(failed)?;
    while first.saturating_add(RUN_LEAVES - 1) <= sequenced_to {
        let ids = sorted(tx, first)?;
        tx.prepare_cached("INSERT INTO leaf_run (first, ids) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![first, ids]))
            .map_err(failed)?;
        first = first.saturating_add(RUN_LEAVES);
    }
    Ok(())
}

/// The number of a leaf, if it is one of the first `sequenced_to`.
pub(super) fn leaf(connection: &Connection, id: Digest, sequenced_to: i64) -> Result<Option<i64>> {
    let mut runs = connection.prepare_cached("SELECT first, ids FROM leaf_run ORDER BY first DESC").map_err(failed)?;
    let mut runs = runs.query([]).map_err(failed)?;
    while let Some(run) = runs.next().map_err(failed)? {
        let first: i64 = run.get(0).map_err(failed)?;
        let ids = run.get_ref(1).map_err(failed)?.as_blob().map_err(|error| damaged("a run of leaves", &error))?;
        for place in places(ids, id) {
            let seq = first.saturating_add(i64::from(place));
            if id_at(connection, seq)? == Some(id) {
                return Ok(Some(seq));
            }
        }
    }
    connection
        .prepare_cached("SELECT seq FROM leaf WHERE seq >= ?1 AND seq <= ?2 AND id = ?3")
        .and_then(|mut rest| {
            rest.query_row(params![after_runs(connection)?, sequenced_to, id.as_bytes()], |row| row.get(0)).optional()
        })
        .map_err(failed)
}

/// The number of the first leaf that is in no run.
fn after_runs(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT coalesce(max(first) + ?1, 1) FROM leaf_run")
        .and_then(|mut last| last.query_row([RUN_LEAVES], |row| row.get(0)))
}

/// The entries of the run that begins with a leaf.
fn sorted(tx: &Connection, first: i64) -> Result<Vec<u8>> {
    let mut ids = tx
        .prepare_cached("SELECT id FROM leaf WHERE seq >= ?1 ORDER BY seq LIMIT ?2")
        .map_err(failed)?
        .query_map([first, RUN_LEAVES], |row| digest(row, 0))
        .map_err(failed)?
        .zip(0_u16..)
        .map(|(id, place)| id.map(|id| entry(id, place)))
        .collect::<rusqlite::Result<Vec<_>>>()
        .map_err(failed)?;
    ids.sort_unstable();
    Ok(ids.concat())
}

fn entry(id: Digest, place: u16) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    for (to, from) in entry.iter_mut().zip(id.as_bytes().iter().take(PREFIX_BYTES).chain(&place.to_be_bytes())) {
        *to = *from;
    }
    entry
}

/// Places in a run whose ids begin as this one does.
fn places(run: &[u8], id: Digest) -> impl Iterator<Item = u16> {
    let (entries, _) = run.as_chunks::<ENTRY_BYTES>();
    let lowest = entry(id, 0);
    let from = entries.partition_point(|entry| *entry < lowest);
    let alike = move |entry: &&[u8; ENTRY_BYTES]| entry.iter().zip(&lowest).take(PREFIX_BYTES).all(|(a, b)| a == b);
    entries.iter().skip(from).take_while(alike).filter_map(|entry| entry.last_chunk().copied().map(u16::from_be_bytes))
}

/// The id of the leaf with this number.
pub(super) fn id_at(connection: &Connection, seq: i64) -> Result<Option<Digest>> {
    connection
        .prepare_cached("SELECT id FROM leaf WHERE seq = ?1")
        .and_then(|mut at| at.query_row([seq], |row| digest(row, 0)).optional())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// So many leaves; those of one kind of id share their first bytes.
    fn log(leaves: i64, id: impl Fn(i64) -> Digest) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(crate::sqlite::SCHEMA).unwrap();
        let transaction = connection.unchecked_transaction().unwrap();
        for number in 1..=leaves {
            let mut insert =
                connection.prepare_cached("INSERT INTO leaf (id, bytes, alone) VALUES (?1, x'', 0)").unwrap();
            insert.execute([id(number).as_bytes()]).unwrap();
        }
        transaction.commit().unwrap();
        connection
    }

    fn random(number: i64) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn every_leaf_is_found_by_its_id_in_a_run_or_after_the_last_one() {
        let leaves = 2 * RUN_LEAVES + 100;
        let connection = log(leaves, random);
        // As the log grows, also by more than a run at once.
        for covered in [0, 10, RUN_LEAVES, leaves - 50] {
            index_runs(&connection, covered).unwrap();
            for number in [1, 2, 10, RUN_LEAVES - 1, RUN_LEAVES, RUN_LEAVES + 1, 2 * RUN_LEAVES, leaves - 50, leaves] {
                let expected = (number <= covered).then_some(number);
                assert_eq!(leaf(&connection, random(number), covered).unwrap(), expected, "{number} of {covered}");
            }
            assert_eq!(leaf(&connection, random(leaves + 1), covered).unwrap(), None);
        }
        let runs: i64 = connection.query_row("SELECT count(*) FROM leaf_run", [], |row| row.get(0)).unwrap();
        assert_eq!(runs, 2, "each run is made once");
    }

    #[test]
    fn ids_that_begin_alike_are_told_apart() {
        let alike = |number: i64| {
            let mut bytes = [7; 32];
            bytes[24..].copy_from_slice(&number.to_be_bytes());
            Digest::from_bytes(bytes)
        };
        let connection = log(RUN_LEAVES, alike);
        index_runs(&connection, RUN_LEAVES).unwrap();
        for number in [1, 77, RUN_LEAVES] {
            assert_eq!(leaf(&connection, alike(number), RUN_LEAVES).unwrap(), Some(number));
        }
        assert_eq!(leaf(&connection, alike(0), RUN_LEAVES).unwrap(), None);
    }

    #[test]
    fn a_run_that_was_changed_misleads_nobody() {
        let connection = log(RUN_LEAVES, random);
        index_runs(&connection, RUN_LEAVES).unwrap();
        for ids in [vec![], vec![1, 2, 3], entry(random(5), 6).to_vec(), [u8::MAX; 3 * ENTRY_BYTES].to_vec()] {
            connection.execute("UPDATE leaf_run SET ids = ?1", [ids]).unwrap();
            assert_eq!(leaf(&connection, random(5), RUN_LEAVES).unwrap(), None);
        }
    }
}
