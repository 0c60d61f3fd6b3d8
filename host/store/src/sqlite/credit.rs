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
//! it. So a delivery whose time is before what is on record already has no minute: it counts
//! for all figures, until a table is loaded by a clock that nothing contradicts, and is then
//! taken to be of that minute, before which it was. Figures that come from ahead of the clock
//! tell as well that it is behind, and whatever it said within a day says nothing any more.
//! What lies more than a day ahead of the clock says nothing: it is of one that had gone
//! ahead, and would hold everything up.
//!
//! ASSUMPTION: figures that were made while the clock was behind by more than
//! [`CLOCKS_DIFFER_MS`] arrive before it has come to their time. Of such that arrive later
//! nothing here could know that they are older than a delivery that an earlier minute names.

use portreeve_model::reference::CLOCKS_DIFFER_MS;
use portreeve_model::{Digest, Instant};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failed;
use super::rows::{Result, digest};
use crate::contract::{CreditQuery, CreditReservation, SUM_MINOR_MAX, StoreError};

/// How far amounts that no target took add up. An order that would go beyond adds what is
/// left: sums that are read stop long before, and one that overflowed would fail every later
/// release of its account.
const OPEN_MINOR_MAX: i64 = i64::MAX;

/// The minute of what nobody knows the time of: later than all.
const NO_MINUTE: i64 = i64::MAX;

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

/// Whether no decision and no table on record is later than `?1`, but for those after `?2`.
macro_rules! is_later_than_all {
    () => {
        "NOT EXISTS (SELECT 1 FROM orders INDEXED BY orders_decided WHERE decided_at > ?1 AND decided_at <= ?2)
         AND NOT EXISTS (SELECT 1 FROM reference_table WHERE loaded_at > ?1 AND loaded_at <= ?2)"
    };
}

/// In one statement, since it runs at each delivery: the time counts where nothing on record is
/// later, the order's own reviews among it.
const TAKEN: &str = concat!(
    "UPDATE credit_order SET taken_minute = iif(",
    is_later_than_all!(),
    " AND NOT EXISTS (SELECT 1 FROM order_review WHERE order_review.order_seq = ?3 AND at > ?1), ?4, ?5)
     WHERE order_seq = ?3 AND taken_minute IS NULL
     RETURNING account, currency, minor, taken_minute"
);

/// Whether no decision and no table on record is later, but for those more than a day ahead.
fn is_later_than_all(tx: &Connection, at: Instant) -> Result<bool> {
    tx.prepare_cached(concat!("SELECT ", is_later_than_all!()))
        .and_then(|mut latest| latest.query_row([at.0, at.plus_ms(Instant::DAY_MS).0], |row| row.get(0)))
        .map_err(failed)
}

/// A table is loaded at this time, of which the newest row is as of a time, where rows say
/// that. Up to when nothing can have been after it.
///
/// By a clock that nothing contradicts, whatever a target took without a minute, or in one of
/// the time to come, was before.
pub(super) fn table_loaded(tx: &Connection, at: Instant, as_of: Option<Instant>) -> Result<Instant> {
    let since = as_of.map_or(at, |as_of| as_of.plus_ms(-CLOCKS_DIFFER_MS));
    if since > at && since <= at.plus_ms(Instant::DAY_MS) {
        // The clock is behind: each of its last minutes may have been after those figures.
        restamp(tx, minute(at.plus_ms(-Instant::DAY_MS)), NO_MINUTE)?;
        return Ok(since);
    }
    if is_later_than_all(tx, at)? {
        restamp(tx, minute(at), minute(at))?;
    }
    Ok(at)
}

/// What targets took after a minute, they took in another one.
fn restamp(tx: &Connection, after: i64, other: i64) -> Result<()> {
    let later: Vec<(Digest, String, i64)> = tx
        .prepare_cached(
            "SELECT account, currency, CAST(min(?2, total(minor)) AS INTEGER) FROM credit_taken
             WHERE minute > ?1 GROUP BY account, currency",
        )
        .map_err(failed)?
        .query_map([after, SUM_MINOR_MAX], of_row)
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)?;
    tx.execute("DELETE FROM credit_taken WHERE minute > ?1", [after]).map_err(failed)?;
    later.into_iter().try_for_each(|(account, currency, minor)| add_taken(tx, account, &currency, other, minor))
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
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.order_seq = ?1 AND outbox.state <> 'abandoned'
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
