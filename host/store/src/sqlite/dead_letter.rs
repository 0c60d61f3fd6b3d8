//! Deliveries that wait for a person: seen, sent again, or given up.

use portreeve_model::{Instant, OrderId};
use portreeve_record::Leaf;
use rusqlite::{Connection, OptionalExtension, params};

use crate::contract::{DeadLetter, OutboxId, REPLAYS_MAX, StoreError};
use crate::sqlite::rows::{Result, damaged, signed, unsigned};
use crate::sqlite::{failed, order_event, trail};

pub(super) fn list(connection: &Connection, after: u64, limit: u32) -> Result<Vec<DeadLetter>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT exception.id, outbox.id, outbox.order_id, orders.number, target, kind, attempts, replays, blocks,
                    code, detail, exception.queue, opened_at
             FROM exception JOIN outbox ON outbox.id = exception.outbox JOIN orders ON orders.id = outbox.order_id
             WHERE closed_at IS NULL AND exception.id > ?1 AND outbox.state = 'dead'
             ORDER BY exception.id LIMIT ?2",
        )
        .map_err(failed)?;
    let mut rows = statement.query(params![signed(after)?, limit]).map_err(failed)?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let order: String = row.get(2).map_err(failed)?;
        letters.push(DeadLetter {
            exception: unsigned(row.get(0).map_err(failed)?)?,
            outbox: OutboxId(row.get(1).map_err(failed)?),
            order: order_id(&order)?,
            number: row.get(3).map_err(failed)?,
            target: row.get(4).map_err(failed)?,
            kind: row.get(5).map_err(failed)?,
            attempts: row.get(6).map_err(failed)?,
            replays: row.get(7).map_err(failed)?,
            blocks: row.get(8).map_err(failed)?,
            code: row.get(9).map_err(failed)?,
            detail: row.get(10).map_err(failed)?,
            queue: row.get(11).map_err(failed)?,
            since: Instant(row.get(12).map_err(failed)?),
        });
    }
    Ok(letters)
}

pub(super) fn replay(tx: &Connection, exception: u64, at: Instant, leaf: &Leaf) -> Result<OutboxId> {
    let outbox = close(tx, exception, at)?;
    if order_event::cancel_requested(tx, &outbox.0)? {
        return Err(StoreError::CancelRequested { outbox: outbox.0 });
    }
    // An attempt that was given up may have worked after all: it is looked up first.
    let (replays, order) = tx
        .prepare_cached(
            "UPDATE outbox SET state = 'pending', unresolved = (attempts > 0), due_at = ?2, deadline_from = ?2,
                    doubts = 0, lease_until = 0, replays = replays + 1, attempts_before = attempts, blocks = 0
             WHERE id = ?1 RETURNING replays, order_id",
        )
        .and_then(|mut update| {
            update.query_row(params![outbox.0, at.0], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))
        })
        .map_err(failed)?;
    if replays > REPLAYS_MAX {
        return Err(StoreError::ReplaysSpent { outbox: outbox.0, replays: REPLAYS_MAX });
    }
    trail::leaf_about_order(tx, leaf, order_id(&order)?)?;
    Ok(outbox)
}

pub(super) fn abandon(tx: &Connection, exception: u64, at: Instant, leaf: &Leaf) -> Result<OutboxId> {
    let outbox = close(tx, exception, at)?;
    let order: String = tx
        .prepare_cached("UPDATE outbox SET state = 'abandoned' WHERE id = ?1 RETURNING order_id")
        .and_then(|mut update| update.query_row([&outbox.0], |row| row.get(0)))
        .map_err(failed)?;
    trail::leaf_about_order(tx, leaf, order_id(&order)?)?;
    Ok(outbox)
}

fn order_id(text: &str) -> Result<OrderId> {
    OrderId::parse(text).map_err(|error| damaged("an order id", &error))
}

/// Closes the exception of a dead letter, and names the delivery.
fn close(tx: &Connection, exception: u64, at: Instant) -> Result<OutboxId> {
    let number = signed(exception)?;
    tx.prepare_cached(
        "UPDATE exception SET closed_at = ?2
         WHERE id = ?1 AND closed_at IS NULL
           AND EXISTS (SELECT 1 FROM outbox WHERE outbox.id = exception.outbox AND outbox.state = 'dead')
         RETURNING outbox",
    )
    .and_then(|mut update| update.query_row(params![number, at.0], |row| row.get(0)).optional())
    .map_err(failed)?
    .map(OutboxId)
    .ok_or(StoreError::NotDead { exception })
}
