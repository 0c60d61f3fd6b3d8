//! How the host is run: records that are about no order, by their time, and since when channels and
//! targets are configured and in use.
//!
//! Danger: what comes in and goes out marks its channel or target, and a row that every order writes
//! is one that every commit writes. So the mark is made once: later ones look at a row of a small
//! table, and change nothing.

use portreeve_model::Instant;
use rusqlite::{Connection, params};

use super::rows::{Result, damaged, signed, unsigned};
use super::{failed, has_table};
use crate::contract::{After, OperationLeaf, Part, PartKind, PartView};

pub(super) const LEAVES: &str = "SELECT operation_leaf.leaf, at, leaf.bytes
     FROM operation_leaf JOIN leaf ON leaf.seq = operation_leaf.leaf
     WHERE (at, operation_leaf.leaf) > (?1, ?2) AND at < ?3 ORDER BY at, operation_leaf.leaf LIMIT ?4";

const PARTS: &str = "SELECT kind, id, configured_at, used_at FROM part ORDER BY kind, id";

/// What was in use before anybody noted when it was configured.
const IN_USE: &str = "INSERT OR IGNORE INTO part (kind, id, used_at)
       SELECT 'channel', channel, min(received_at) FROM input WHERE disposition = 'documents' GROUP BY channel;
     INSERT OR IGNORE INTO part (kind, id, used_at)
       SELECT 'target', target, min(due_at) FROM outbox WHERE state = 'delivered' GROUP BY target;";

/// Makes the tables; in a folder of an earlier build that takes one look at all that came and went.
pub(super) fn prepare(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction().map_err(failed)?;
    if !are_there(&transaction)? {
        transaction.execute_batch(include_str!("operation.sql")).map_err(failed)?;
        transaction.execute_batch(IN_USE).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Whether there can be anything: a folder that is opened to be read alone may be of a build that
/// kept nothing of it.
fn are_there(connection: &Connection) -> Result<bool> {
    has_table(connection, "part")
}

/// Notes a record that is about no order.
pub(super) fn enter(tx: &Connection, leaf: i64, at: Instant) -> Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO operation_leaf (at, leaf) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute([at.0, leaf]))
        .map_err(failed)?;
    Ok(())
}

/// Notes what the configuration has that is active from now on. What it has no more and nobody used
/// begins anew when it comes back.
pub(super) fn configured(tx: &Connection, parts: &[Part], at: Instant) -> Result<()> {
    let unused = views(tx, "SELECT kind, id, configured_at, used_at FROM part WHERE used_at IS NULL")?;
    for PartView { part, .. } in unused.iter().filter(|view| !parts.contains(&view.part)) {
        tx.prepare_cached("DELETE FROM part WHERE kind = ?1 AND id = ?2")
            .and_then(|mut delete| delete.execute([part.kind.as_str(), &part.id]))
            .map_err(failed)?;
    }
    for part in parts {
        tx.prepare_cached("INSERT OR IGNORE INTO part (kind, id, configured_at) VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute(params![part.kind.as_str(), part.id, at.0]))
            .map_err(failed)?;
    }
    Ok(())
}

pub(super) const USED: &str = "UPDATE part SET used_at = ?3 WHERE kind = ?1 AND id = ?2 AND used_at IS NULL";

/// Notes that it is in use, where it is for the first time.
pub(super) fn used(tx: &Connection, kind: PartKind, id: &str, at: Instant) -> Result<()> {
    tx.prepare_cached(USED).and_then(|mut used| used.execute(params![kind.as_str(), id, at.0])).map_err(failed)?;
    Ok(())
}

pub(super) fn leaves(connection: &Connection, after: After, until: Instant, limit: u32) -> Result<Vec<OperationLeaf>> {
    if !are_there(connection)? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(LEAVES).map_err(failed)?;
    let mut found = statement.query(params![after.at.0, signed(after.number)?, until.0, limit]).map_err(failed)?;
    let mut leaves = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        leaves.push(OperationLeaf {
            number: unsigned(row.get(0).map_err(failed)?)?,
            at: Instant(row.get(1).map_err(failed)?),
            bytes: row.get(2).map_err(failed)?,
        });
    }
    Ok(leaves)
}

pub(super) fn parts(connection: &Connection) -> Result<Vec<PartView>> {
    if are_there(connection)? { views(connection, PARTS) } else { Ok(Vec::new()) }
}

fn views(connection: &Connection, sql: &str) -> Result<Vec<PartView>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    let mut parts = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let kind: String = row.get(0).map_err(failed)?;
        let kind = PartKind::of(&kind)
            .ok_or_else(|| damaged("a part of the configuration", &format!("unknown kind `{kind}`")))?;
        let at = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Instant)).map_err(failed);
        let part = Part { kind, id: row.get(1).map_err(failed)? };
        parts.push(PartView { part, configured_at: at(2)?, used_at: at(3)? });
    }
    Ok(parts)
}
