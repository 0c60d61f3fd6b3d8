//! Polls: claimed by one host at a time, and moved on with what they brought.
//!
//! INVARIANT: a row is written only by whoever has its newest epoch, but for what wakes it.

use std::collections::BTreeMap;

use portreeve_model::{Digest, Instant, PluginName};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{self, About, Result};
use super::{exception, failed, has_table};
use crate::contract::{JournalEntry, JournalOutcome, PollEnd, PollView, PolledChange, StoreError};
use crate::proof::PollPermit;

/// The scope of what a connector remembers of a poll.
fn scope(poll: &str) -> String {
    format!("poll/{poll}")
}

pub(super) fn one(connection: &Connection, poll: &str) -> Result<Option<PollView>> {
    // A folder that is only read is as its build left it: one that noted nothing of what went well
    // knows the rest all the same, and one that knew no polls has none.
    let sql = if has_table(connection, "poll_well")? {
        "SELECT cursor, due_at, lease_until, failures, failing_since, code, worked_at, moved_at
         FROM poll LEFT JOIN poll_well USING (id) WHERE id = ?1"
    } else if has_table(connection, "poll")? {
        "SELECT cursor, due_at, lease_until, failures, failing_since, code, NULL, NULL FROM poll WHERE id = ?1"
    } else {
        return Ok(None);
    };
    connection.prepare_cached(sql).and_then(|mut one| one.query_row([poll], view).optional()).map_err(failed)
}

fn view(row: &Row<'_>) -> rusqlite::Result<PollView> {
    Ok(PollView {
        cursor: row.get(0)?,
        due_at: Instant(row.get(1)?),
        leased_until: Instant(row.get(2)?),
        failures: row.get(3)?,
        failing_since: row.get::<_, Option<i64>>(4)?.map(Instant),
        code: row.get(5)?,
        worked_at: row.get::<_, Option<i64>>(6)?.map(Instant),
        moved_at: row.get::<_, Option<i64>>(7)?.map(Instant),
    })
}

/// Takes a poll that is due and that nobody has. A cursor of another connector is none.
pub(super) fn claim(
    tx: &Connection,
    poll: &str,
    connector: &PluginName,
    now: Instant,
    lease_until: Instant,
) -> Result<Option<PollPermit>> {
    let claimed = "INSERT INTO poll (id, due_at, lease_until, epoch) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, epoch = epoch + 1, woken = 0
           WHERE poll.due_at <= ?2 AND poll.lease_until <= ?2
         RETURNING epoch, CASE WHEN connector = ?4 THEN cursor END, failures, exception,
                   (SELECT said FROM poll_well WHERE poll_well.id = poll.id)";
    let permit = |row: &Row<'_>| -> rusqlite::Result<PollPermit> {
        Ok(PollPermit {
            poll: poll.to_owned(),
            connector: connector.clone(),
            epoch: row.get(0)?,
            cursor: row.get(1)?,
            failures: row.get(2)?,
            told: row.get(3)?,
            said: row.get::<_, Option<[u8; 32]>>(4)?.map(Digest::from_bytes),
        })
    };
    tx.prepare_cached(claimed)
        .and_then(|mut claim| {
            claim.query_row(params![poll, now.0, lease_until.0, connector.as_str()], permit).optional()
        })
        .map_err(failed)
}

/// Writes down what a poll brought, with where it is now.
pub(super) fn journal(
    tx: &Connection,
    permit: &PollPermit,
    entry: &JournalEntry,
    change: &PolledChange,
) -> Result<JournalOutcome> {
    let outcome = rows::journal(tx, entry)?;
    if let JournalOutcome::Known { .. } = outcome {
        return Err(StoreError::Failed("what a poll brings has no envelopes".to_owned()));
    }
    let at = entry.received_at;
    // The same content was journaled before, so its cursor stands there already.
    if let (JournalOutcome::Committed { .. }, Some(told)) = (&outcome, permit.told) {
        exception::clear_one(tx, told, at, rows::leaf_of_input(tx, entry)?)?;
    }
    let told = if matches!(outcome, JournalOutcome::Committed { .. }) { None } else { permit.told };
    let moved = tx
        .prepare_cached(
            "UPDATE poll SET cursor = CASE WHEN ?4 IS NOT NULL THEN ?4 WHEN connector = ?5 THEN cursor END,
                             connector = ?5, due_at = CASE WHEN woken THEN min(?6, ?7) ELSE ?6 END, lease_until = 0,
                             woken = 0, failures = 0, failing_since = NULL, code = NULL, exception = ?8
             WHERE id = ?1 AND epoch = ?2 AND lease_until > 0
               AND (CASE WHEN connector = ?5 THEN cursor END) IS ?3",
        )
        .and_then(|mut update| {
            update.execute(params![
                permit.poll,
                permit.epoch,
                permit.cursor,
                change.cursor,
                permit.connector.as_str(),
                change.due_at.0,
                at.0,
                told,
            ])
        })
        .map_err(failed)?;
    held(moved, permit)?;
    let moved_at = change.cursor.as_ref().map(|_| at);
    went_well(tx, permit, at, moved_at, change.said)?;
    rows::remember_in(tx, &permit.connector, &scope(&permit.poll), &change.state)?;
    Ok(outcome)
}

/// Writes down that a poll brought nothing, failed, or was held back.
pub(super) fn end(tx: &Connection, permit: &PollPermit, end: &PollEnd, at: Instant) -> Result<()> {
    if end.failure.is_none() && end.said.is_none() {
        return put_off(tx, permit, end.due_at);
    }
    let without_leaf = || StoreError::Failed("what people are told of a poll came without a leaf".to_owned());
    let leaf = end.leaf.as_ref().map(|leaf| rows::insert_leaf(tx, leaf)).transpose()?;
    let mut told = permit.told;
    match &end.failure {
        None => {
            if let Some(told) = told.take() {
                exception::clear_one(tx, told, at, leaf.ok_or_else(without_leaf)?)?;
            }
        }
        Some(failure) => {
            if let Some(new) = &failure.exception {
                leaf.ok_or_else(without_leaf)?;
                exception::insert(tx, new, &About::default(), at)?;
                told = Some(tx.last_insert_rowid());
            }
        }
    }
    let code = end.failure.as_ref().map(|failure| failure.code.as_str());
    // What is wanted of a poll that fails waits for its next try: each notification would
    // otherwise be one more request of a source that asked to be left alone.
    let ended = tx
        .prepare_cached(
            "UPDATE poll SET due_at = CASE WHEN woken AND ?4 IS NULL THEN min(?3, ?5) ELSE ?3 END, lease_until = 0,
                             woken = 0, failures = CASE WHEN ?4 IS NULL THEN 0 ELSE failures + 1 END,
                             failing_since = CASE WHEN ?4 IS NULL THEN NULL ELSE coalesce(failing_since, ?5) END,
                             code = ?4, exception = ?6
             WHERE id = ?1 AND epoch = ?2 AND lease_until > 0",
        )
        .and_then(|mut update| update.execute(params![permit.poll, permit.epoch, end.due_at.0, code, at.0, told]))
        .map_err(failed)?;
    held(ended, permit)?;
    end.said.map_or(Ok(()), |said| went_well(tx, permit, at, None, said))
}

/// Gives a claimed poll back as it was, but for when it is due.
fn put_off(tx: &Connection, permit: &PollPermit, due_at: Instant) -> Result<()> {
    let put_off = "UPDATE poll SET due_at = ?3, lease_until = 0, woken = 0
                   WHERE id = ?1 AND epoch = ?2 AND lease_until > 0";
    let put_off = tx
        .prepare_cached(put_off)
        .and_then(|mut update| update.execute(params![permit.poll, permit.epoch, due_at.0]))
        .map_err(failed)?;
    held(put_off, permit)
}

/// Writes down when it went well, and what its source said.
fn went_well(tx: &Connection, permit: &PollPermit, at: Instant, moved_at: Option<Instant>, said: Digest) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO poll_well (id, worked_at, moved_at, said) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET worked_at = ?2, moved_at = coalesce(?3, moved_at), said = ?4",
    )
    .and_then(|mut well| well.execute(params![permit.poll, at.0, moved_at.map(|at| at.0), said.as_bytes()]))
    .map_err(failed)?;
    Ok(())
}

/// Somebody else claimed it since, or its cursor is another one.
fn held(changed: usize, permit: &PollPermit) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(StoreError::PollMoved { poll: permit.poll.clone() }) }
}

/// Has a poll made at once. One that fails waits for its next try all the same.
pub(super) fn wake(tx: &Connection, poll: &str, at: Instant) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO poll (id, due_at) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET woken = 1, due_at = CASE WHEN failures = 0 THEN min(due_at, ?2) ELSE due_at END",
    )
    .and_then(|mut wake| wake.execute(params![poll, at.0]))
    .map_err(failed)?;
    Ok(())
}

/// What a connector remembers of a poll.
pub(super) fn state(connection: &Connection, plugin: &PluginName, poll: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    rows::state_in(connection, plugin, &scope(poll))
}
