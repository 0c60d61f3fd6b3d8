//! Credit: what releases took of accounts that the accounts' own figures do not know yet.
//!
//! An account's figures come from elsewhere and are of some time. What no target has taken
//! is not in them, and what one took after that time is not either; what one took before is,
//! so it counts no more. A sum is one row, and a row for each minute since.
//!
//! INVARIANT: rows change in the transaction that releases, delivers or stops the order, and
//! are compared with the limit after that: ten orders at once do not see the same room.
//!
//! Danger: a minute of a clock that was set back lies before figures that know nothing of
//! it. Two things tell that a clock is behind, and each of them by a day at most, beyond which
//! a clock had gone ahead instead, and would hold everything up:
//!
//! - A delivery whose time is before what is on record already has no minute.
//! - Figures that come from more than [`CLOCKS_DIFFER_MS`] ahead of it: whatever it said within
//!   a day and since the figures before has no minute any more.
//!
//! What has no minute counts for all figures, until others are loaded by a clock that nothing
//! contradicts, or that come from ahead again and are later than those: figures are made
//! after the ones before were loaded.
//!
//! ASSUMPTION: figures that were made while the clock was behind by more than
//! [`CLOCKS_DIFFER_MS`] arrive while they are as much ahead of it. Of such that arrive later
//! nothing here could know that they are older than a delivery that an earlier minute names.

use std::collections::BTreeMap;

use portreeve_model::reference::{CLOCKS_DIFFER_MS, CREDIT_TABLE, Row as ReferenceRow};
use portreeve_model::{Digest, Instant};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::failed;
use super::rows::{Result, digest};
use crate::contract::{CreditQuery, CreditReservation, SUM_MINOR_MAX, StoreError};

/// How far amounts that no target took add up. An order that would go beyond adds what is
/// left: sums that are read stop long before, and one that overflowed would fail every later
/// release of its account.
const OPEN_MINOR_MAX: i64 = i64::MAX;

/// The minute of what nobody knows the time of: later than all.
const NO_MINUTE: i64 = i64::MAX;

/// The same, where it was before the last figures were loaded.
const NO_MINUTE_BEFORE: i64 = NO_MINUTE - 1;

/// Minutes for which rows are kept however little else is: no figures are older.
const KEPT_MINUTES: i64 = 367 * 24 * 60;

pub(super) fn reserved(connection: &Connection, query: &CreditQuery) -> Result<i64> {
    connection
        .prepare_cached(
            "SELECT min(?4, min(?4, coalesce((SELECT minor FROM credit_open WHERE account = ?1 AND currency = ?2), 0))
                    + CAST(min(?4, (SELECT total(minor) FROM credit_taken
                                    WHERE account = ?1 AND currency = ?2 AND minute >= ?3)) AS INTEGER))",
        )
        .and_then(|mut sum| {
            let since = minute(query.since);
            sum.query_row(params![query.account.as_bytes(), query.currency.code(), since, SUM_MINOR_MAX], |row| {
                row.get(0)
            })
        })
        .map_err(failed)
}

/// Takes what the release of an order adds; fails when that goes beyond.
pub(super) fn reserve(tx: &Connection, order_seq: i64, reservation: &CreditReservation) -> Result<()> {
    let CreditReservation { account, amount, most_minor, since } = reservation;
    let currency = amount.currency.code();
    let left = OPEN_MINOR_MAX.saturating_sub(open(tx, *account, currency)?);
    // An order below nothing would give credit back.
    let minor = amount.minor.clamp(0, SUM_MINOR_MAX).min(left);
    tx.prepare_cached("INSERT INTO credit_order (order_seq, account, currency, minor) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut insert| insert.execute(params![order_seq, account.as_bytes(), currency, minor]))
        .map_err(failed)?;
    add_open(tx, *account, currency, minor)?;
    let Some(most_minor) = most_minor else { return Ok(()) };
    let query = CreditQuery { account: *account, currency: amount.currency, since: *since };
    if reserved(tx, &query)? <= *most_minor { Ok(()) } else { Err(StoreError::CreditSpent) }
}

/// A target of the order took it over at this time. The first one counts.
pub(super) fn taken(tx: &Connection, order_seq: i64, at: Instant) -> Result<()> {
    let found = tx
        .prepare_cached(TAKEN)
        .and_then(|mut take| {
            let until = at.plus_ms(Instant::DAY_MS).0;
            let row = take.query_row(params![at.0, until, order_seq, minute(at), NO_MINUTE], |row| {
                Ok((of_row(row)?, row.get(3)?))
            });
            row.optional()
        })
        .map_err(failed)?;
    // Nobody looked at credit, or another target took it before.
    let Some(((account, currency, minor), minute)) = found else { return Ok(()) };
    add_open(tx, account, &currency, minor.saturating_neg())?;
    add_taken(tx, account, &currency, minute, minor)
}

/// In one statement, since it runs at each delivery: the time counts where nothing on record is
/// later, the order's own reviews among it.
const TAKEN: &str = "UPDATE credit_order SET taken_minute = iif(
         NOT EXISTS (SELECT 1 FROM orders INDEXED BY orders_decided WHERE decided_at > ?1 AND decided_at <= ?2)
         AND NOT EXISTS (SELECT 1 FROM reference_table WHERE loaded_at > ?1 AND loaded_at <= ?2)
         AND NOT EXISTS (SELECT 1 FROM order_review WHERE order_review.order_seq = ?3 AND at > ?1), ?4, ?5)
     WHERE order_seq = ?3 AND taken_minute IS NULL
     RETURNING account, currency, minor, taken_minute";

/// A table is loaded at this time; up to when nothing can have been after it, as far as it
/// tells. Only finance's figures say anything of what targets took.
pub(super) fn table_loaded(
    tx: &Connection,
    table: &str,
    rows: &[(String, ReferenceRow)],
    at: Instant,
) -> Result<Instant> {
    let before = loaded_at(tx, table)?;
    let newest = at.plus_ms(Instant::DAY_MS);
    if table == CREDIT_TABLE {
        let known = rows.iter().filter_map(|(_, row)| row.as_of()).map(|as_of| as_of.plus_ms(-CLOCKS_DIFFER_MS));
        // What is later than that says nothing, and says nothing about the others either.
        if let Some(known) = known.filter(|known| *known <= newest).max().filter(|known| *known > at) {
            clock_is_behind(tx, before, known, at)?;
            return Ok(known);
        }
    }
    if contradicted(tx, table, at)? {
        return Ok(before.filter(|before| (at..=newest).contains(before)).unwrap_or(at));
    }
    if table == CREDIT_TABLE {
        let all = take(tx, "minute > ?1", [minute(at)])?;
        put(tx, all, minute(at))?;
    }
    Ok(at)
}

/// Figures come from ahead of the clock, and know what was taken before `known`.
fn clock_is_behind(tx: &Connection, before: Option<Instant>, known: Instant, at: Instant) -> Result<()> {
    // What had no minute when the figures before were loaded was before these were made.
    let past = match before {
        Some(before) if known > before => Some((take(tx, "minute = ?1", [NO_MINUTE_BEFORE])?, minute(before))),
        Some(_) | None => None,
    };
    // Each minute since then may be after these.
    let since = before.map_or(i64::MIN, minute).max(minute(at.plus_ms(-Instant::DAY_MS)));
    let unknown = take(tx, "minute >= ?1 AND minute <> ?2", [since, NO_MINUTE_BEFORE])?;
    put(tx, unknown, NO_MINUTE_BEFORE)?;
    past.map_or(Ok(()), |(past, minute)| put(tx, past, minute))
}

fn loaded_at(tx: &Connection, table: &str) -> Result<Option<Instant>> {
    tx.prepare_cached("SELECT loaded_at FROM reference_table WHERE name = ?1")
        .and_then(|mut loaded| loaded.query_row([table], |row| row.get(0).map(Instant)).optional())
        .map_err(failed)
}

/// Whether a decision or another table on record is later, but for those more than a day ahead.
fn contradicted(tx: &Connection, table: &str, at: Instant) -> Result<bool> {
    tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM orders INDEXED BY orders_decided WHERE decided_at > ?1 AND decided_at <= ?2)
             OR EXISTS (SELECT 1 FROM reference_table WHERE name <> ?3 AND loaded_at > ?1 AND loaded_at <= ?2)",
    )
    .and_then(|mut later| later.query_row(params![at.0, at.plus_ms(Instant::DAY_MS).0, table], |row| row.get(0)))
    .map_err(failed)
}

/// Sums by account and currency.
type Sums = BTreeMap<(Digest, String), i64>;

/// Takes out what was taken in some minutes.
fn take<const N: usize>(tx: &Connection, minutes: &str, values: [i64; N]) -> Result<Sums> {
    let take = format!("DELETE FROM credit_taken WHERE {minutes} RETURNING account, currency, minor");
    let mut take = tx.prepare_cached(&take).map_err(failed)?;
    let values = values.each_ref().map(|value| value as &dyn ToSql);
    let found = take.query_map(&values[..], of_row).map_err(failed)?;
    let mut sums = Sums::new();
    for row in found {
        let (account, currency, minor) = row.map_err(failed)?;
        let sum = sums.entry((account, currency)).or_default();
        *sum = sum.saturating_add(minor).min(SUM_MINOR_MAX);
    }
    Ok(sums)
}

fn put(tx: &Connection, sums: Sums, minute: i64) -> Result<()> {
    sums.into_iter().try_for_each(|((account, currency), minor)| add_taken(tx, account, &currency, minute, minor))
}

fn add_taken(tx: &Connection, account: Digest, currency: &str, minute: i64, minor: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO credit_taken (account, currency, minute, minor) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET minor = min(minor, ?5) + excluded.minor",
    )
    .and_then(|mut add| add.execute(params![account.as_bytes(), currency, minute, minor, SUM_MINOR_MAX]))
    .map_err(failed)?;
    Ok(())
}

/// Gives back what the order took, where it goes to no target any more: each of its deliveries
/// is given up, or withheld and surely not made.
pub(super) fn give_back(tx: &Connection, order_seq: i64) -> Result<()> {
    let found = tx
        .prepare_cached(
            "DELETE FROM credit_order WHERE order_seq = ?1 AND taken_minute IS NULL
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.order_seq = ?1 AND said = 0 AND outbox.state <> 'abandoned'
                                 AND (outbox.state <> 'withheld' OR outbox.unresolved))
             RETURNING account, currency, minor",
        )
        .and_then(|mut delete| delete.query_row([order_seq], of_row).optional())
        .map_err(failed)?;
    let Some((account, currency, minor)) = found else { return Ok(()) };
    add_open(tx, account, &currency, minor.saturating_neg())
}

/// Removes what no figures that are of this time or later need.
pub(super) fn forget(tx: &Connection, before: Instant) -> Result<()> {
    tx.execute("DELETE FROM credit_taken WHERE minute < ?1", [minute(before).saturating_sub(KEPT_MINUTES)])
        .map_err(failed)?;
    Ok(())
}

fn open(tx: &Connection, account: Digest, currency: &str) -> Result<i64> {
    tx.prepare_cached("SELECT coalesce((SELECT minor FROM credit_open WHERE account = ?1 AND currency = ?2), 0)")
        .and_then(|mut open| open.query_row(params![account.as_bytes(), currency], |row| row.get(0)))
        .map_err(failed)
}

fn add_open(tx: &Connection, account: Digest, currency: &str, minor: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO credit_open (account, currency, minor) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET minor = minor + excluded.minor",
    )
    .and_then(|mut add| add.execute(params![account.as_bytes(), currency, minor]))
    .map_err(failed)?;
    Ok(())
}

/// Account, currency and amount.
fn of_row(row: &Row<'_>) -> rusqlite::Result<(Digest, String, i64)> {
    Ok((digest(row, 0)?, row.get(1)?, row.get(2)?))
}

fn minute(at: Instant) -> i64 {
    at.0.div_euclid(Instant::MINUTE_MS)
}

/// Writes that look for what they change.
#[cfg(test)]
pub(super) const WRITES: [&str; 1] = [TAKEN];
