//! Retention: what content may go, and its going.
//!
//! Danger: whatever is still open needs its content, and an input is judged here,
//! long after somebody looked. So the transaction that removes judges once more. All
//! look-ups begin at one input and follow indices; inputs that were forgotten are in
//! none that is asked, so history costs nothing.

use portreeve_model::{Instant, Reply};
use portreeve_record::Leaf;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, Result, damaged, digest, payload_ref, unsigned};
use super::{budget, credit, failed};
use crate::contract::{FORGOTTEN, Forgotten, InputId, KeptInput, StoreError};

/// Whether the input `input` is finished before `?1`. One line for each way to be open.
const FINISHED: &str = "input.received_at < ?1
     AND NOT EXISTS (SELECT 1 FROM document WHERE document.input = input.seq AND document.state IN ('undecided', 'behind'))
     AND NOT EXISTS (SELECT 1 FROM exception WHERE exception.input = input.id
                       AND (exception.closed_at IS NULL OR exception.closed_at >= ?1))
     AND NOT EXISTS (SELECT 1 FROM document JOIN order_event ON order_event.position = document.position
                       JOIN order_event AS other ON other.order_seq = order_event.order_seq
                     WHERE document.input = input.seq AND (other.decided_at >= ?1 OR other.outcome = 'early'))
     AND NOT EXISTS (SELECT 1 FROM document JOIN order_event ON order_event.position = document.position
                       JOIN order_event AS other ON other.order_id = order_event.order_id AND other.order_seq IS NULL
                     WHERE document.input = input.seq AND order_event.order_seq IS NULL
                       AND (other.decided_at >= ?1 OR other.outcome = 'early'))
     AND NOT EXISTS (SELECT 1 FROM document JOIN order_event ON order_event.position = document.position
                       JOIN orders ON orders.seq = order_event.order_seq
                       JOIN order_progress ON order_progress.order_seq = orders.seq
                     WHERE document.input = input.seq AND orders.state <> 'refused'
                       AND order_progress.state NOT IN ('settled', 'cancelled', 'credited'))
     AND NOT EXISTS (SELECT 1 FROM document JOIN orders ON orders.position = document.position
                       JOIN order_event ON order_event.order_seq = orders.seq
                     WHERE document.input = input.seq AND (order_event.decided_at >= ?1 OR order_event.outcome = 'early'))
     AND NOT EXISTS (SELECT 1 FROM document JOIN orders ON orders.position = document.position
                       JOIN order_progress ON order_progress.order_seq = orders.seq
                     WHERE document.input = input.seq AND orders.state <> 'refused'
                       AND order_progress.state NOT IN ('settled', 'cancelled', 'credited'))
     AND NOT EXISTS (SELECT 1 FROM document JOIN orders ON orders.position = document.position
                     WHERE document.input = input.seq
                       AND (orders.decided_at >= ?1 OR orders.state IN ('held', 'routed', 'exception')))
     AND NOT EXISTS (SELECT 1 FROM document JOIN orders ON orders.position = document.position
                       JOIN order_review ON order_review.order_seq = orders.seq
                     WHERE document.input = input.seq AND order_review.at >= ?1)
     AND NOT EXISTS (SELECT 1 FROM document JOIN orders ON orders.position = document.position
                       JOIN outbox ON outbox.order_seq = orders.seq
                     WHERE document.input = input.seq
                       AND (outbox.due_at >= ?1 OR outbox.state NOT IN ('delivered', 'abandoned')))
     AND NOT EXISTS (SELECT 1 FROM document JOIN order_event ON order_event.position = document.position
                       JOIN orders ON orders.seq = order_event.order_seq
                       JOIN outbox ON outbox.order_seq = orders.seq
                     WHERE document.input = input.seq
                       AND (outbox.due_at >= ?1 OR outbox.state NOT IN ('delivered', 'abandoned')))
     AND NOT EXISTS (SELECT 1 FROM document JOIN item_level ON item_level.position = document.position
                     WHERE document.input = input.seq AND item_level.decided_at >= ?1)
     AND NOT EXISTS (SELECT 1 FROM document JOIN item_level ON item_level.position = document.position
                       JOIN outbox ON outbox.order_seq = -item_level.item AND outbox.said = -item_level.position
                     WHERE document.input = input.seq AND outbox.bars)
     AND NOT EXISTS (SELECT 1 FROM document JOIN orders ON orders.position = document.position
                       JOIN exception ON exception.order_id = orders.id
                     WHERE document.input = input.seq
                       AND (exception.closed_at IS NULL OR exception.closed_at >= ?1))";

/// The numbers of everything that an input and its orders say, and of what people said about
/// their exceptions; a proposal's words are those of its step.
pub(super) const PAYLOADS: &str = "SELECT payload FROM input WHERE seq = ?1
     UNION SELECT payload FROM document WHERE input = ?1
     UNION SELECT orders.event FROM document JOIN orders ON orders.position = document.position WHERE document.input = ?1
     UNION SELECT orders.decision FROM document JOIN orders ON orders.position = document.position WHERE document.input = ?1
     UNION SELECT order_review.record FROM document JOIN orders ON orders.position = document.position
           JOIN order_review ON order_review.order_seq = orders.seq WHERE document.input = ?1
     UNION SELECT order_event.event FROM document JOIN order_event ON order_event.position = document.position
           WHERE document.input = ?1
     UNION SELECT order_event.decision FROM document JOIN order_event ON order_event.position = document.position
           WHERE document.input = ?1
     UNION SELECT item_level.event FROM document JOIN item_level ON item_level.position = document.position
           WHERE document.input = ?1
     UNION SELECT exception_step.record FROM document JOIN orders ON orders.position = document.position
           JOIN exception ON exception.order_id = orders.id
           JOIN exception_step ON exception_step.exception = exception.id
           WHERE document.input = ?1 AND exception_step.record IS NOT NULL
     UNION SELECT exception_step.record FROM input JOIN exception ON exception.input = input.id
           JOIN exception_step ON exception_step.exception = exception.id
           WHERE input.seq = ?1 AND exception_step.record IS NOT NULL";

pub(super) fn kept_inputs(
    connection: &Connection,
    before: Instant,
    after: Option<(Instant, InputId)>,
    limit: u32,
) -> Result<Vec<KeptInput>> {
    let (time, id) = after.map_or((i64::MIN, Vec::new()), |(time, id)| (time.0, id.0.as_bytes().to_vec()));
    connection
        .prepare_cached(&kept())
        .map_err(failed)?
        .query_map(params![before.0, time, id, limit], |row| {
            Ok(KeptInput {
                id: InputId(digest(row, 0)?),
                content: payload_ref(row, 1)?,
                received_at: Instant(row.get(3)?),
                documents: row.get(4)?,
                finished: row.get(5)?,
            })
        })
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)
}

pub(super) fn kept() -> String {
    format!(
        "SELECT id, coalesce((SELECT commitment FROM payload WHERE payload.id = input.payload), zeroblob(32)), payload, received_at, (SELECT count(*) FROM document WHERE document.input = input.seq), {FINISHED}
         FROM input INDEXED BY input_kept
         WHERE forgotten_at IS NULL AND received_at < ?1 AND (received_at, id) > (?2, ?3)
         ORDER BY received_at, id LIMIT ?4"
    )
}

pub(super) fn forget(
    tx: &Connection,
    inputs: &[InputId],
    before: Instant,
    at: Instant,
    leaf: &Leaf,
) -> Result<Option<Forgotten>> {
    let mut forgotten = Forgotten::default();
    let mut finished = Vec::with_capacity(inputs.len());
    for input in inputs {
        // Nothing is written before all have passed: the caller hears of none.
        let Some(seq) = finished_input(tx, *input, before)? else { return Ok(None) };
        finished.push((*input, seq));
    }
    let leaf = rows::insert_leaf(tx, leaf)?;
    budget::forget(tx, before)?;
    credit::forget(tx, before)?;
    for (input, seq) in finished {
        let payloads = payloads(tx, seq)?;
        forgotten.payloads = forgotten.payloads.saturating_add(remove(tx, &payloads)?);
        forgotten.orders = forgotten.orders.saturating_add(forget_sentences(tx, input, seq)?);
        forget_reply(tx, seq, at, leaf)?;
        forgotten.inputs = forgotten.inputs.saturating_add(1);
    }
    Ok(Some(forgotten))
}

/// The number of a finished input.
fn finished_input(tx: &Connection, input: InputId, before: Instant) -> Result<Option<i64>> {
    tx.prepare_cached(&format!("SELECT seq FROM input WHERE id = ?2 AND forgotten_at IS NULL AND {FINISHED}"))
        .and_then(|mut judge| judge.query_row(params![before.0, input.0.as_bytes()], |row| row.get(0)).optional())
        .map_err(failed)
}

fn payloads(tx: &Connection, input_seq: i64) -> Result<Vec<i64>> {
    tx.prepare_cached(PAYLOADS)
        .map_err(failed)?
        .query_map([input_seq], |row| row.get(0))
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)
}

/// Destroys keys, which is what forgets, and then the ciphertexts, which are only long.
fn remove(tx: &Connection, payloads: &[i64]) -> Result<u64> {
    let mut key = tx.prepare_cached("DELETE FROM payload_key WHERE payload = ?1").map_err(failed)?;
    let mut ciphertext = tx.prepare_cached("UPDATE payload SET ciphertext = x'' WHERE id = ?1").map_err(failed)?;
    let mut removed = 0_i64;
    for payload in payloads {
        key.execute([payload]).map_err(failed)?;
        ciphertext.execute([payload]).map_err(failed)?;
        removed = removed.saturating_add(1);
    }
    unsigned(removed)
}

/// The sentences about an input's orders and exceptions, and what connectors remember
/// about them; how many orders there are.
fn forget_sentences(tx: &Connection, input: InputId, input_seq: i64) -> Result<u64> {
    let of_orders = "SELECT orders.id FROM document JOIN orders ON orders.position = document.position
                     WHERE document.input = ?1";
    let run = |sql: &str| {
        tx.prepare_cached(sql).and_then(|mut update| update.execute(params![input_seq, FORGOTTEN])).map_err(failed)
    };
    tx.prepare_cached(&format!("DELETE FROM kv WHERE scope IN ({of_orders})"))
        .and_then(|mut forget| forget.execute([input_seq]))
        .map_err(failed)?;
    tx.prepare_cached("UPDATE exception SET detail = ?2 WHERE input = ?1")
        .and_then(|mut update| update.execute(params![input.0.as_bytes(), FORGOTTEN]))
        .map_err(failed)?;
    run(&format!("UPDATE exception SET detail = ?2 WHERE order_id IN ({of_orders})"))?;
    let orders = run(&format!("UPDATE orders SET why = ?2 WHERE id IN ({of_orders})"))?;
    u64::try_from(orders).map_err(|_| StoreError::Failed(format!("{orders} orders do not fit a count")))
}

/// A duplicate still hears what its protocol needs to hear, and nothing that was said.
fn forget_reply(tx: &Connection, input_seq: i64, at: Instant, leaf: i64) -> Result<()> {
    let json: Vec<u8> =
        tx.query_row("SELECT reply FROM input WHERE seq = ?1", [input_seq], |row| row.get(0)).map_err(failed)?;
    let reply = Reply::from_json(&json).map_err(|error| damaged("a stored reply", &error))?;
    let reply = Reply { status: reply.status, headers: Vec::new(), body: Vec::new() };
    let json = reply.to_json().map_err(|error| StoreError::Failed(error.to_string()))?;
    tx.prepare_cached("UPDATE input SET reply = ?2, forgotten_at = ?3, forgotten_leaf = ?4 WHERE seq = ?1")
        .and_then(|mut update| update.execute(params![input_seq, json, at.0, leaf]))
        .map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::Digest;

    use super::*;

    /// Ten inputs with content behind so many without.
    fn steps(forgotten: i64) -> i64 {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(crate::sqlite::SCHEMA).unwrap();
        connection.execute("INSERT INTO payload (commitment, ciphertext) VALUES (zeroblob(32), x'')", []).unwrap();
        for number in 0..forgotten + 10 {
            let id = Digest::of(&number.to_be_bytes());
            let forgotten_at = (number < forgotten).then_some(1);
            connection
                .execute(
                    "INSERT INTO input (id, channel, sender, received_at, disposition, payload, reply, leaf, forgotten_at)
                     VALUES (?1, 'edi', 'gateway', ?2, 'documents', 1, x'', 1, ?3)",
                    params![id.as_bytes(), number, forgotten_at],
                )
                .unwrap();
        }
        let found = kept_inputs(&connection, Instant(i64::MAX), None, 5).unwrap();
        assert_eq!(found.first().unwrap().received_at, Instant(forgotten));
        let statement = connection.prepare_cached(&kept()).unwrap();
        i64::from(statement.get_status(rusqlite::StatementStatus::VmStep))
    }

    #[test]
    fn what_was_forgotten_costs_nothing_any_more() {
        let (few, many) = (steps(10), steps(20_000));
        assert!(few > 0 && many <= few + few / 10, "{few} steps behind 10 forgotten inputs, {many} behind 20,000");
    }
}
