//! How far orders are, and the events about them that wait for their turn.
//!
//! INVARIANT: an order is moved in the transaction that keeps the event which moves it, and
//! from the version that its decision was built on. So no event counts twice, and none is
//! counted on a state that another one changed meanwhile.

use portreeve_model::{Instant, OrderId, ProcessState};
use rusqlite::{Connection, Row, params};

use super::rows::{Result, damaged, payload_ref, signed, unsigned};
use super::{exception, failed};
use crate::contract::{
    CaughtUp, DocumentPosition, EARLY_MAX, EarlyEvent, EventOutcome, NewProgress, ProgressView, StoreError,
};

/// How far an order is by a row's version, state and record, from a column on; none where nothing
/// moved it yet.
pub(super) fn of(row: &Row<'_>, column: usize) -> Result<Option<ProgressView>> {
    let Some(version) = row.get(column).map_err(failed)? else { return Ok(None) };
    let state: String = row.get(column.saturating_add(1)).map_err(failed)?;
    let record = payload_ref(row, column.saturating_add(2));
    Ok(Some(ProgressView {
        version: unsigned(version)?,
        state: ProcessState::of(&state)
            .ok_or_else(|| damaged("an order's progress", &format!("unknown state `{state}`")))?,
        record: record.map_err(|error| damaged("the record of an order's progress", &error))?,
    }))
}

/// Moves an order on.
pub(super) fn advance(
    tx: &Connection,
    order: OrderId,
    order_seq: Option<i64>,
    new: &NewProgress,
    record: i64,
) -> Result<()> {
    let moved = StoreError::ProgressMoved { order };
    // What is not here is moved by nothing.
    let Some(order_seq) = order_seq else { return Err(moved) };
    let sql = match new.after {
        0 => {
            "INSERT INTO order_progress (order_seq, version, state, record) VALUES (?1, ?2 + 1, ?3, ?4)
              ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE order_progress SET version = version + 1, state = ?3, record = ?4
              WHERE order_seq = ?1 AND version = ?2"
        }
    };
    let after = signed(new.after)?;
    let changed = tx
        .prepare_cached(sql)
        .and_then(|mut advance| advance.execute(params![order_seq, after, new.state.as_str(), record]))
        .map_err(failed)?;
    if changed == 1 { Ok(()) } else { Err(moved) }
}

/// An event that waited does no more.
pub(super) fn catch_up(tx: &Connection, order: &str, caught_up: &CaughtUp, at: Instant) -> Result<()> {
    let position = signed(caught_up.position.0)?;
    let changed = tx
        .prepare_cached(
            "UPDATE order_event SET outcome = ?3 WHERE position = ?1 AND order_id = ?2 AND outcome = 'early'",
        )
        .and_then(|mut update| update.execute(params![position, order, caught_up.outcome.as_str()]))
        .map_err(failed)?;
    if changed != 1 {
        return Err(damaged("an event that waits", &format!("document {position} of order {order} does not wait")));
    }
    exception::clear_early(tx, order, position, at)
}

/// Events of an order that wait for their turn, in journal order.
pub(super) fn early(connection: &Connection, order: OrderId) -> Result<Vec<EarlyEvent>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT position, commitment, payload.id
             FROM order_event INDEXED BY order_event_early LEFT JOIN payload ON payload.id = event
             WHERE order_id = ?1 AND outcome = 'early' ORDER BY position LIMIT ?2",
        )
        .map_err(failed)?;
    let mut rows = statement.query(params![order.to_string(), EARLY_MAX]).map_err(failed)?;
    let mut early = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        early.push(EarlyEvent {
            position: DocumentPosition(unsigned(row.get(0).map_err(failed)?)?),
            event: payload_ref(row, 1).map_err(|error| damaged("an event that waits", &error))?,
        });
    }
    Ok(early)
}

pub(super) fn outcome(row: &Row<'_>, column: usize) -> Result<EventOutcome> {
    let word: String = row.get(column).map_err(failed)?;
    let known = EventOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
    known.ok_or_else(|| damaged("what became of an order's event", &format!("unknown outcome `{word}`")))
}
