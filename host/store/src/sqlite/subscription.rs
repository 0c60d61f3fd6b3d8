//! Subscriptions: asked for by one host at a time, with a leaf before and one behind.
//!
//! INVARIANT: a row is written only by whoever has its newest epoch.

use portreeve_model::{Digest, Instant};
use portreeve_record::Leaf;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{self, About, Result};
use super::{exception, failed, has_table, poll};
use crate::contract::{HeldSubscription, StoreError, SubscriptionEnd, SubscriptionView};
use crate::proof::SubscriptionPermit;

pub(super) fn one(connection: &Connection, id: &str) -> Result<Option<SubscriptionView>> {
    // A folder that is only read may be of a build that knew no subscriptions.
    if !has_table(connection, "subscription")? {
        return Ok(None);
    }
    connection
        .prepare_cached(
            "SELECT about, external_id, held_until, renewed_at, due_at, lease_until, failures, failing_since, code
             FROM subscription WHERE id = ?1",
        )
        .and_then(|mut one| one.query_row([id], view).optional())
        .map_err(failed)
}

fn view(row: &Row<'_>) -> rusqlite::Result<SubscriptionView> {
    Ok(SubscriptionView {
        about: rows::digest(row, 0)?,
        held: held_in(row, 1)?,
        renewed_at: row.get::<_, Option<i64>>(3)?.map(Instant),
        due_at: Instant(row.get(4)?),
        leased_until: Instant(row.get(5)?),
        failures: row.get(6)?,
        failing_since: row.get::<_, Option<i64>>(7)?.map(Instant),
        code: row.get(8)?,
    })
}

/// What the source gave: its name and the time beside it.
fn held_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<HeldSubscription>> {
    let (external_id, until) =
        (row.get::<_, Option<String>>(column)?, row.get::<_, Option<i64>>(column.saturating_add(1))?);
    Ok(external_id.zip(until).map(|(external_id, until)| HeldSubscription { external_id, until: Instant(until) }))
}

/// Takes a subscription that is due and that nobody asks for. Where it was asked for with something
/// else before, what the source gave then is none of this one.
pub(super) fn claim(
    tx: &Connection,
    id: &str,
    about: Digest,
    now: Instant,
    lease_until: Instant,
    leaf: &Leaf,
) -> Result<Option<SubscriptionPermit>> {
    let claimed = "INSERT INTO subscription (id, about, due_at, lease_until, epoch) VALUES (?1, ?2, ?3, ?4, 1)
         ON CONFLICT (id) DO UPDATE SET
           external_id = CASE WHEN about = ?2 THEN external_id END,
           held_until = CASE WHEN about = ?2 THEN held_until END,
           renewed_at = CASE WHEN about = ?2 THEN renewed_at END,
           about = ?2, lease_until = ?4, epoch = epoch + 1
           WHERE (subscription.due_at <= ?3 OR subscription.about <> ?2) AND subscription.lease_until <= ?3
         RETURNING external_id, held_until, epoch, failures, exception";
    let permit = |row: &Row<'_>| -> rusqlite::Result<SubscriptionPermit> {
        Ok(SubscriptionPermit {
            id: id.to_owned(),
            held: held_in(row, 0)?,
            epoch: row.get(2)?,
            failures: row.get(3)?,
            told: row.get(4)?,
        })
    };
    let claimed = tx
        .prepare_cached(claimed)
        .and_then(|mut claim| claim.query_row(params![id, about.as_bytes(), now.0, lease_until.0], permit).optional())
        .map_err(failed)?;
    if claimed.is_some() && !rows::leaf_known(tx, leaf)? {
        rows::insert_leaf_alone(tx, leaf)?;
    }
    Ok(claimed)
}

/// Writes down what came of asking.
pub(super) fn end(tx: &Connection, permit: &SubscriptionPermit, end: &SubscriptionEnd, at: Instant) -> Result<()> {
    let leaf = rows::insert_leaf(tx, &end.leaf)?;
    let mut told = permit.told;
    let code = match &end.outcome {
        Ok(_) => {
            if let Some(told) = told.take() {
                exception::clear_one(tx, told, at, leaf)?;
            }
            None
        }
        Err(failure) => {
            if let Some(new) = &failure.exception {
                exception::insert(tx, new, &About::default(), at)?;
                told = Some(tx.last_insert_rowid());
            }
            Some(failure.code.as_str())
        }
    };
    let held = end.outcome.as_ref().ok();
    let ended = tx
        .prepare_cached(
            "UPDATE subscription SET due_at = ?3, lease_until = 0,
                    external_id = coalesce(?4, external_id), held_until = coalesce(?5, held_until),
                    renewed_at = CASE WHEN ?6 IS NULL THEN ?7 ELSE renewed_at END,
                    failures = CASE WHEN ?6 IS NULL THEN 0 ELSE failures + 1 END,
                    failing_since = CASE WHEN ?6 IS NULL THEN NULL ELSE coalesce(failing_since, ?7) END,
                    code = ?6, exception = ?8
             WHERE id = ?1 AND epoch = ?2 AND lease_until > 0",
        )
        .and_then(|mut update| {
            update.execute(params![
                permit.id,
                permit.epoch,
                end.due_at.0,
                held.map(|held| held.external_id.as_str()),
                held.map(|held| held.until.0),
                code,
                at.0,
                told,
            ])
        })
        .map_err(failed)?;
    if ended != 1 {
        return Err(StoreError::SubscriptionMoved { poll: permit.id.clone() });
    }
    if end.wakes { poll::wake(tx, &permit.id, at) } else { Ok(()) }
}
