//! Deliveries that wait for a person: seen, sent again, or given up.

use portreeve_model::Instant;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::contract::{DeadLetter, GONE, OutboxId, PayloadRef, REPLAYS_MAX, StoreError};
use crate::sqlite::rows::{Result, content, matter, outbox_id, payload_ref, signed, unsigned};
use crate::sqlite::{credit, exception, failed, has_table, level, order_event};

const LETTERS: &str =
    "SELECT exception.id, outbox.order_id, orders.number, target, outbox.kind, attempts, replays, blocks,
             code, detail, exception.queue, opened_at, said,
             coalesce((SELECT commitment FROM payload WHERE payload.id = outbox.event), zeroblob(32)), outbox.event,
             order_seq, outbox.seq
      FROM exception JOIN outbox ON outbox.seq = exception.outbox
           LEFT JOIN orders ON orders.seq = outbox.order_seq
      WHERE closed_at IS NULL AND exception.id > ?1 AND outbox.state = 'dead'";

pub(super) fn list(connection: &Connection, after: u64, limit: u32) -> Result<Vec<DeadLetter>> {
    let sql = format!("{LETTERS} ORDER BY exception.id LIMIT ?2");
    read(connection, &sql, params![signed(after)?, limit])
}

pub(super) fn of(
    connection: &Connection,
    target: &str,
    code: Option<&str>,
    after: u64,
    limit: u32,
) -> Result<Vec<DeadLetter>> {
    let sql = format!("{LETTERS} AND target = ?3 AND (?4 IS NULL OR code = ?4) ORDER BY exception.id LIMIT ?2");
    read(connection, &sql, params![signed(after)?, limit, target, code])
}

fn read(connection: &Connection, sql: &str, values: impl Params) -> Result<Vec<DeadLetter>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(values).map_err(failed)?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        letters.push(letter(connection, row)?);
    }
    Ok(letters)
}

fn letter(connection: &Connection, row: &Row<'_>) -> Result<DeadLetter> {
    let of: String = row.get(1).map_err(failed)?;
    let (target, kind): (String, String) = (row.get(3).map_err(failed)?, row.get(4).map_err(failed)?);
    let content = content(row.get(12).map_err(failed)?);
    let matter = matter(&of, content)?;
    let replays: u32 = row.get(6).map_err(failed)?;
    let number: Option<String> = row.get(2).map_err(failed)?;
    let number = match (number, row.get::<_, i64>(15).map_err(failed)?) {
        (Some(number), _) => number,
        (None, item) => level::name(connection, item.saturating_neg())?,
    };
    Ok(DeadLetter {
        exception: unsigned(row.get(0).map_err(failed)?)?,
        outbox: OutboxId::derive(matter, &target, &kind, content),
        matter,
        number,
        target,
        kind,
        content,
        event: payload_ref(row, 13).map_err(failed)?,
        correction: if replays > 0 { correction_seen(connection, row.get(16).map_err(failed)?)? } else { None },
        attempts: row.get(5).map_err(failed)?,
        replays,
        // A newer level ends an older one that was given up: nothing waits for that.
        blocks: row.get(7).map_err(failed)? && matter.order().is_some(),
        overtaken: order_event::overtaken(connection, row.get(16).map_err(failed)?)?,
        code: row.get(8).map_err(failed)?,
        detail: row.get(9).map_err(failed)?,
        queue: row.get(10).map_err(failed)?,
        since: Instant(row.get(11).map_err(failed)?),
    })
}

/// Makes the delivery of an exception that a person decided about due again.
pub(super) fn replay(tx: &Connection, exception: i64, at: Instant) -> Result<()> {
    let letter = dead(tx, exception)?;
    if order_event::cancel_requested(tx, letter.seq)? {
        return Err(StoreError::CancelRequested { outbox: letter.outbox.0 });
    }
    // An attempt that was given up may have worked after all: it is looked up first. The first of what
    // its target did not want goes before the others.
    let replays: u32 = tx
        .prepare_cached(
            "UPDATE outbox SET state = 'pending', unresolved = (attempts > 0), deadline_from = ?2,
                    due_at = CASE WHEN last_code = ?3 THEN due_at ELSE ?2 END,
                    doubts = 0, lease_until = 0, replays = replays + 1, attempts_before = attempts, blocks = 0
             WHERE seq = ?1 RETURNING replays",
        )
        .and_then(|mut update| update.query_row(params![letter.seq, at.0, GONE], |row| row.get(0)))
        .map_err(failed)?;
    if replays > REPLAYS_MAX {
        return Err(StoreError::ReplaysSpent { outbox: letter.outbox.0, replays: REPLAYS_MAX });
    }
    begin_anew(tx, &letter, at)
}

/// What waits for a target that wanted nothing has its whole time again, now that people have seen
/// to it: what was on its way then, and what was tried before, also where that stands behind another
/// delivery of its order by now. The others have none that runs.
fn begin_anew(tx: &Connection, letter: &Dead, at: Instant) -> Result<()> {
    if letter.code.as_deref() != Some(GONE) {
        return Ok(());
    }
    tx.prepare_cached(
        "UPDATE outbox INDEXED BY outbox_line SET deadline_from = max(deadline_from, ?2), attempts_before = attempts
         WHERE bars AND state = 'pending' AND target = ?1 AND epoch > 0",
    )
    .and_then(|mut update| update.execute(params![letter.target, at.0]))
    .map_err(failed)?;
    Ok(())
}

/// A delivery that was given up is at its target after all: it is settled as what was found there,
/// like any other, and nobody has to look at it any more.
pub(super) fn arrived(tx: &Connection, outbox: i64, at: Instant, leaf: i64) -> Result<()> {
    let waits = tx
        .prepare_cached(
            "SELECT exception.id FROM outbox JOIN exception ON exception.order_id = outbox.order_id
             WHERE outbox.seq = ?1 AND outbox.state = 'dead' AND exception.outbox = ?1 AND closed_at IS NULL",
        )
        .and_then(|mut waits| waits.query_row([outbox], |row| row.get(0)).optional())
        .map_err(failed)?;
    let Some(waits) = waits else { return Ok(()) };
    tx.prepare_cached(
        "UPDATE outbox SET state = 'pending', unresolved = 1, due_at = ?2, deadline_from = ?2, lease_until = 0, blocks = 0
         WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute([outbox, at.0]))
    .map_err(failed)?;
    exception::clear_one(tx, waits, at, leaf)
}

/// The same, with what is said in a record to be sent instead.
pub(super) fn correct(tx: &Connection, exception: i64, record: i64, at: Instant) -> Result<()> {
    let letter = dead(tx, exception)?;
    tx.prepare_cached(
        "INSERT INTO correction (outbox, record) VALUES (?1, ?2)
         ON CONFLICT (outbox) DO UPDATE SET record = excluded.record",
    )
    .and_then(|mut correct| correct.execute([letter.seq, record]))
    .map_err(failed)?;
    replay(tx, exception, at)
}

pub(super) const CORRECTION: &str =
    "SELECT coalesce((SELECT commitment FROM payload WHERE payload.id = correction.record), zeroblob(32)), record
     FROM correction WHERE outbox = ?1";

/// The record that says what is sent in a delivery instead, where there is one. A record that is
/// gone comes with a commitment that nothing has: opening it says what is wrong.
pub(super) fn correction(connection: &Connection, outbox: i64) -> Result<Option<PayloadRef>> {
    connection
        .prepare_cached(CORRECTION)
        .and_then(|mut found| found.query_row([outbox], |row| payload_ref(row, 0)).optional())
        .map_err(failed)
}

/// Whether people had the delivery sent again from history after it was corrected. Only what a target
/// took is sent again so: its correction was dealt with by then. Records are numbered as they come.
pub(super) fn replayed_since_corrected(connection: &Connection, outbox: i64) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM correction JOIN replay_delivery ON replay_delivery.outbox = correction.outbox
                  JOIN replay ON replay.seq = replay_delivery.replay
             WHERE correction.outbox = ?1 AND replay.record > correction.record",
        )
        .and_then(|mut found| found.exists([outbox]))
        .map_err(failed)
}

/// A correction in a folder that is opened to be read alone: an earlier build knew none.
fn correction_seen(connection: &Connection, outbox: i64) -> Result<Option<PayloadRef>> {
    if has_table(connection, "correction")? { correction(connection, outbox) } else { Ok(None) }
}

/// Gives the delivery of an exception up for good.
pub(super) fn abandon(tx: &Connection, exception: i64, at: Instant) -> Result<()> {
    let letter = dead(tx, exception)?;
    tx.prepare_cached("UPDATE outbox SET state = 'abandoned' WHERE seq = ?1")
        .and_then(|mut update| update.execute([letter.seq]))
        .map_err(failed)?;
    begin_anew(tx, &letter, at)?;
    credit::give_back(tx, letter.order_seq)
}

/// A delivery that was given up.
struct Dead {
    seq: i64,
    order_seq: i64,
    outbox: OutboxId,
    target: String,
    /// Why it was.
    code: Option<String>,
}

/// Check: the exception is about a delivery that is dead.
fn dead(tx: &Connection, exception: i64) -> Result<Dead> {
    let mut found = tx
        .prepare_cached(
            "SELECT outbox.seq, order_seq, outbox.order_id, target, outbox.kind, said, last_code
             FROM exception JOIN outbox ON outbox.seq = exception.outbox
             WHERE exception.id = ?1 AND closed_at IS NULL AND outbox.state = 'dead'",
        )
        .map_err(failed)?;
    let mut found = found.query([exception]).map_err(failed)?;
    let Some(row) = found.next().map_err(failed)? else {
        return Err(StoreError::NotDead { exception: unsigned(exception)? });
    };
    let target: String = row.get(3).map_err(failed)?;
    Ok(Dead {
        seq: row.get(0).map_err(failed)?,
        order_seq: row.get(1).map_err(failed)?,
        outbox: outbox_id(row, 2, &target, 4, 5)?,
        target,
        code: row.get(6).map_err(failed)?,
    })
}
