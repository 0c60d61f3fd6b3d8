//! Levels of items: which counts, and what is still to be told of them.
//!
//! INVARIANT: of an item one level is to be told to a target at most, beside one that is under
//! way. A newer one that commits ends the deliveries of older ones in the same transaction: those
//! that wait, and those that a person was to look at. So an older level never goes out after a
//! newer one, and ten thousand that come while a target is down cost it one message.

use portreeve_model::{Instant, ItemId};
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{Kept, Result, damaged, digest, unsigned};
use super::{exception, failed};
use crate::contract::{Content, DecisionCommit, DocumentPosition, ItemStanding, LevelOutcome, NewLevel, StoreError};
use crate::proof::Permit;

const STANDING: &str = "SELECT as_of, said, position, seq FROM item WHERE id = ?1";

pub(super) fn standing(connection: &Connection, item: ItemId) -> Result<Option<ItemStanding>> {
    Ok(known(connection, item)?.map(|(standing, _)| standing))
}

/// The newest level of an item, and the item's number.
fn known(connection: &Connection, item: ItemId) -> Result<Option<(ItemStanding, i64)>> {
    let mut statement = connection.prepare_cached(STANDING).map_err(failed)?;
    let mut rows = statement.query([item.to_string()]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let standing = ItemStanding {
        as_of: Instant(row.get(0).map_err(failed)?),
        said: digest(row, 1).map_err(|error| damaged("what was said of an item", &error))?,
        position: DocumentPosition(unsigned(row.get(2).map_err(failed)?)?),
    };
    Ok(Some((standing, row.get(3).map_err(failed)?)))
}

/// Keeps a level, and what is to be told of it.
pub(super) fn insert(
    tx: &Connection,
    decision: &DecisionCommit,
    level: &NewLevel,
    position: i64,
    kept: &Kept,
) -> Result<()> {
    let before = known(tx, level.item)?;
    if before.map(|(standing, _)| standing.position) != level.after {
        return Err(StoreError::LevelMoved { item: level.item });
    }
    let counts = level.outcome == LevelOutcome::Applied;
    let item = match before {
        Some((_, item)) if counts => {
            tx.prepare_cached("UPDATE item SET as_of = ?2, said = ?3, position = ?4 WHERE seq = ?1")
                .and_then(|mut update| update.execute(params![item, level.as_of.0, level.said.as_bytes(), position]))
                .map_err(failed)?;
            item
        }
        Some((_, item)) => item,
        None => first(tx, level, position)?,
    };
    let event = kept.place(level.event)?;
    tx.prepare_cached(
        "INSERT INTO item_level (position, item, event, outcome, decided_at, leaf) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut insert| {
        insert.execute(params![position, item, event, level.outcome.as_str(), decision.at.0, kept.leaf])
    })
    .map_err(failed)?;
    for row in &level.outbox {
        if row.content != Content::Level(decision.document.position) {
            let why = format!("a delivery of item `{}` is made of something else than its level", level.item);
            return Err(StoreError::Failed(why));
        }
        let waited = end_older(tx, item, &row.target, &row.kind, i64::MAX, decision.at, kept.leaf)?;
        // It waits as long as what it takes the place of had to, and no longer in all: a target
        // that is down is asked no sooner, and told of no later, for each level that comes.
        let due_at = waited.due_at.map_or(decision.at.0, |due_at| due_at.max(decision.at.0));
        let deadline_from = waited.deadline_from.unwrap_or(decision.at.0);
        tx.prepare_cached(
            "INSERT INTO outbox (order_seq, order_id, target, kind, said, event, due_at, deadline_from, epoch)
             VALUES (-?1, ?2, ?3, ?4, -?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut insert| {
            let (id, epoch) = (level.item.to_string(), i64::from(waited.deadline_from.is_some()));
            insert.execute(params![item, id, row.target, row.kind, position, event, due_at, deadline_from, epoch])
        })
        .map_err(failed)?;
    }
    Ok(())
}

fn first(tx: &Connection, level: &NewLevel, position: i64) -> Result<i64> {
    tx.prepare_cached("INSERT INTO item (id, sku, node, as_of, said, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut insert| {
            insert.execute(params![
                level.item.to_string(),
                level.sku,
                level.node,
                level.as_of.0,
                level.said.as_bytes(),
                position
            ])
        })
        .map_err(failed)?;
    Ok(tx.last_insert_rowid())
}

/// What an older delivery waited for.
#[derive(Default)]
struct Waited {
    due_at: Option<i64>,
    /// From when its deadline counts, where it was taken up before.
    deadline_from: Option<i64>,
}

/// What bars an item's line before a delivery: it was not told, and nobody is telling it now.
pub(super) const OLDER: &str = "SELECT seq, state, due_at, deadline_from, epoch FROM outbox INDEXED BY outbox_line
     WHERE order_seq = -?1 AND target = ?2 AND bars AND seq < ?3 AND kind = ?4
       AND (state = 'dead' OR lease_until <= ?5) ORDER BY seq";

/// Ends deliveries of older levels that are not under way. One in doubt is among them: what it
/// may have said is out of date, and the newer one says how things are.
fn end_older(
    tx: &Connection,
    item: i64,
    target: &str,
    kind: &str,
    before: i64,
    at: Instant,
    leaf: i64,
) -> Result<Waited> {
    let mut waited = Waited::default();
    let mut statement = tx.prepare_cached(OLDER).map_err(failed)?;
    let found: Vec<(i64, String, i64, i64, i64)> = statement
        .query_map(params![item, target, before, kind, at.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)?;
    for (seq, state, due_at, deadline_from, epoch) in found {
        tx.prepare_cached("UPDATE outbox SET state = 'abandoned', unresolved = 0 WHERE seq = ?1")
            .and_then(|mut end| end.execute([seq]))
            .map_err(failed)?;
        if state == "dead" {
            exception::clear_delivery(tx, seq, at, leaf)?;
        } else {
            waited.due_at = waited.due_at.max(Some(due_at));
            let taken_up = (epoch > 0).then_some(deadline_from);
            waited.deadline_from = waited.deadline_from.into_iter().chain(taken_up).min();
        }
    }
    Ok(waited)
}

/// What stands behind a delivery in its line.
pub(super) const NEXT: &str = "SELECT min(seq) FROM outbox INDEXED BY outbox_line
     WHERE order_seq = ?1 AND target = ?2 AND bars AND seq > ?3 AND kind = ?4";

/// Nobody was told of a level for now, or for good: if a newer one waits behind it, that is told in
/// its place, when the older one would have been.
pub(super) fn not_told(tx: &Connection, permit: &Permit, at: Instant, leaf: i64) -> Result<()> {
    let next: Option<i64> = tx
        .prepare_cached(NEXT)
        .and_then(|mut next| {
            next.query_row(params![permit.order_seq, permit.target, permit.seq, permit.kind], |row| row.get(0))
        })
        .map_err(failed)?;
    let Some(next) = next else { return Ok(()) };
    let item = permit.order_seq.saturating_neg();
    let waited = end_older(tx, item, &permit.target, &permit.kind, next, at, leaf)?;
    tx.prepare_cached(
        "UPDATE outbox SET due_at = max(due_at, coalesce(?2, due_at)), epoch = max(epoch, ?3 IS NOT NULL),
                deadline_from = coalesce(?3, deadline_from)
         WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute(params![next, waited.due_at, waited.deadline_from]))
    .map_err(failed)?;
    Ok(())
}

/// How people know an item by its number: what it is, and where.
pub(super) fn name(connection: &Connection, item: i64) -> Result<String> {
    connection
        .prepare_cached("SELECT sku || ' at ' || node FROM item WHERE seq = ?1")
        .and_then(|mut name| name.query_row([item], |row| row.get(0)).optional())
        .map_err(failed)?
        .ok_or_else(|| damaged("the item of a delivery", &"it is not there"))
}
