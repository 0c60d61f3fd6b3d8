//! Messages that have to go out by a time: what is waited for, what was late, and that it is over.
//!
//! INVARIANT: a rule's place moves in the transaction that has kept what it passes. So nothing is
//! waited for twice, and nothing is passed over. What goes out writes nothing here: whether it has is
//! read from the outbox, by the order.

use portreeve_model::{Instant, OrderId};
use portreeve_record::Leaf;
use rusqlite::{Connection, OptionalExtension, Params, Row, Rows, params};

use super::rows::{About, Result, damaged, signed, unsigned};
use super::{exception, failed, has_table, trail};
use crate::contract::{DueAfter, DueRule, LateMessage, NewException};

/// That the message `d` went out: its target took it, and gave it a name. One that people had sent again
/// after that keeps the name; one that they had tried again, and that never went out, has none.
const SENT: &str = "EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
     WHERE outbox.order_seq = d.order_seq AND outbox.target = d.target AND outbox.kind = d.kind
       AND (d.said = 0 OR outbox.said = d.said) AND outbox.external_id IS NOT NULL)";

/// That it did so in time: what is delivered has the time of that. Of one that people had sent again
/// after its target took it nobody knows it any more, and nobody complained of it.
const IN_TIME: &str = "EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
     WHERE outbox.order_seq = d.order_seq AND outbox.target = d.target AND outbox.kind = d.kind
       AND (d.said = 0 OR outbox.said = d.said) AND outbox.external_id IS NOT NULL
       AND (outbox.due_at <= d.due_at OR outbox.state <> 'delivered'
            OR (outbox.replays > 0
                AND EXISTS (SELECT 1 FROM replay_delivery WHERE replay_delivery.outbox = outbox.seq))))";

/// That nothing sends it any more: all that there was of it was given up, or the order that it is to be
/// told of was refused, or is cancelled, and no word of that goes the same way; or the event that it was to
/// be made of waits no more, and nothing followed from it.
const GIVEN_UP: &str = "NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
     WHERE outbox.order_seq = d.order_seq AND outbox.target = d.target AND outbox.kind = d.kind
       AND (d.said = 0 OR outbox.said = d.said) AND outbox.state <> 'abandoned')
   AND (EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
                WHERE outbox.order_seq = d.order_seq AND outbox.target = d.target AND outbox.kind = d.kind
                  AND (d.said = 0 OR outbox.said = d.said))
        OR (d.said = 0
            AND (EXISTS (SELECT 1 FROM orders WHERE orders.seq = d.order_seq AND orders.state = 'refused')
                 OR EXISTS (SELECT 1 FROM order_progress
                            WHERE order_progress.order_seq = d.order_seq AND order_progress.state = 'cancelled')))
        OR (d.said > 0
            AND NOT EXISTS (SELECT 1 FROM order_event
                            WHERE order_event.position = d.said AND order_event.outcome = 'early')))";

/// A message that is to go out.
struct Awaited {
    order_seq: i64,
    said: i64,
    due_at: Instant,
}

pub(super) fn begin(tx: &Connection, rules: &[DueRule]) -> Result<()> {
    let mut statement = tx.prepare_cached("SELECT due FROM due_place").map_err(failed)?;
    let known = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    let known: Vec<String> = known.collect::<rusqlite::Result<_>>().map_err(failed)?;
    for gone in known.iter().filter(|known| !rules.iter().any(|rule| rule.name == **known)) {
        tx.execute("DELETE FROM due_place WHERE due = ?1", [gone]).map_err(failed)?;
        tx.execute("DELETE FROM due_early WHERE due = ?1", [gone]).map_err(failed)?;
        tx.execute("DELETE FROM due_message WHERE due = ?1 AND exception IS NULL", [gone]).map_err(failed)?;
    }
    for new in rules.iter().filter(|rule| !known.contains(&rule.name)) {
        let sql = match new.after {
            DueAfter::Order => "INSERT INTO due_place (due, place) SELECT ?1, coalesce(max(seq), 0) FROM orders",
            DueAfter::Event(_) => "INSERT INTO due_place (due, place) SELECT ?1, coalesce(max(seq), 0) FROM outbox",
        };
        tx.execute(sql, [&new.name]).map_err(failed)?;
    }
    for rule in rules {
        let sql = match rule.while_early {
            true => "INSERT OR IGNORE INTO due_early (due, place) SELECT ?1, coalesce(max(seq), 0) FROM leaf",
            false => "DELETE FROM due_early WHERE due = ?1",
        };
        tx.execute(sql, [&rule.name]).map_err(failed)?;
    }
    Ok(())
}

pub(super) fn watch(tx: &Connection, rule: &DueRule, at: Instant, limit: u32) -> Result<bool> {
    let swept = sweep(tx, at, limit)?;
    let more = watch_early(tx, rule, limit)? || swept;
    let place: Option<i64> = tx
        .prepare_cached("SELECT place FROM due_place WHERE due = ?1")
        .and_then(|mut place| place.query_row([&rule.name], |row| row.get(0)).optional())
        .map_err(failed)?;
    // Nobody began with it.
    let Some(place) = place else { return Ok(more) };
    let end = match rule.after {
        DueAfter::Order => "SELECT coalesce(max(seq), 0) FROM orders",
        DueAfter::Event(_) => "SELECT coalesce(max(seq), 0) FROM outbox",
    };
    let end: i64 = tx.prepare_cached(end).and_then(|mut end| end.query_row([], |row| row.get(0))).map_err(failed)?;
    let until = place.saturating_add(i64::from(limit)).min(end);
    if until <= place {
        return Ok(more);
    }
    for awaited in awaited(tx, rule, place, until)? {
        wait_for(tx, rule, &awaited)?;
    }
    tx.prepare_cached("UPDATE due_place SET place = ?2 WHERE due = ?1")
        .and_then(|mut update| update.execute(params![rule.name, until]))
        .map_err(failed)?;
    Ok(more || until < end)
}

/// The last leaf of the next events of a kind that wait for their turn, and how many those are. It costs
/// all that wait.
const EARLY_PAGE: &str = "SELECT count(*), coalesce(max(leaf), 0) FROM
     (SELECT leaf FROM order_event INDEXED BY order_event_early
      WHERE outcome = 'early' AND kind = ?1 AND leaf > ?2 ORDER BY leaf LIMIT ?3)";

const EARLY: &str = "SELECT orders.seq, waiting.position, orders.channel, own.partner, said.received_at
     FROM order_event AS waiting INDEXED BY order_event_early
          CROSS JOIN document AS said ON said.position = waiting.position
          CROSS JOIN orders ON orders.seq = waiting.order_seq
          CROSS JOIN document AS own ON own.position = orders.position
     WHERE waiting.outcome = 'early' AND waiting.kind = ?3 AND waiting.leaf > ?1 AND waiting.leaf <= ?2
     ORDER BY waiting.leaf";

/// Waits for the messages of events that wait for their turn themselves: the warehouse has shipped, and the
/// ERP does not answer. Says whether there may be more.
fn watch_early(tx: &Connection, rule: &DueRule, limit: u32) -> Result<bool> {
    let DueAfter::Event(kind) = rule.after else { return Ok(false) };
    let place: Option<i64> = tx
        .prepare_cached("SELECT place FROM due_early WHERE due = ?1")
        .and_then(|mut place| place.query_row([&rule.name], |row| row.get(0)).optional())
        .map_err(failed)?;
    let Some(place) = place else { return Ok(false) };
    let end: i64 = tx
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM leaf")
        .and_then(|mut end| end.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    let (found, last): (u32, i64) = tx
        .prepare_cached(EARLY_PAGE)
        .and_then(|mut page| page.query_row(params![kind.as_str(), place, limit], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(failed)?;
    let until = if found > 0 && found >= limit { last } else { end };
    if until <= place {
        return Ok(false);
    }
    let awaited = {
        let mut statement = tx.prepare_cached(EARLY).map_err(failed)?;
        of_rule(rule, statement.query(params![place, until, kind.as_str()]).map_err(failed)?)?
    };
    for awaited in awaited {
        wait_for(tx, rule, &awaited)?;
    }
    tx.prepare_cached("UPDATE due_early SET place = ?2 WHERE due = ?1")
        .and_then(|mut update| update.execute(params![rule.name, until]))
        .map_err(failed)?;
    Ok(until < end)
}

/// What went out in time, or never will, is waited for no more, and neither is what people closed: they
/// know. Says whether there may be more of it.
fn sweep(tx: &Connection, at: Instant, limit: u32) -> Result<bool> {
    let over = format!(
        "DELETE FROM due_message WHERE seq IN (
           SELECT d.seq FROM due_message AS d
           WHERE d.exception IS NULL AND d.due_at <= ?1 AND ({IN_TIME} OR ({GIVEN_UP}))
           ORDER BY d.due_at, d.seq LIMIT ?2)"
    );
    let closed = "DELETE FROM due_message WHERE seq IN (
           SELECT d.seq FROM due_message AS d JOIN exception ON exception.id = d.exception
           WHERE d.exception IS NOT NULL AND exception.closed_at IS NOT NULL LIMIT ?1)";
    let over = tx.prepare_cached(&over).and_then(|mut delete| delete.execute(params![at.0, limit])).map_err(failed)?;
    let closed = tx.prepare_cached(closed).and_then(|mut delete| delete.execute([limit])).map_err(failed)?;
    let is_full = |deleted: usize| u32::try_from(deleted).is_ok_and(|deleted| deleted >= limit && limit > 0);
    Ok(is_full(over) || is_full(closed))
}

const ORDERS: &str = "SELECT orders.seq, 0, orders.channel, own.partner, own.received_at
     FROM orders CROSS JOIN document AS own ON own.position = orders.position
     WHERE orders.seq > ?1 AND orders.seq <= ?2 ORDER BY orders.seq";

/// The tables are read in this order: a place is a number, and everything else is found by the row before it.
const DELIVERIES: &str = "SELECT orders.seq, outbox.said, orders.channel, own.partner, said.received_at
     FROM outbox NOT INDEXED CROSS JOIN order_event ON order_event.position = outbox.said
          CROSS JOIN document AS said ON said.position = outbox.said
          CROSS JOIN orders ON orders.seq = outbox.order_seq
          CROSS JOIN document AS own ON own.position = orders.position
     WHERE outbox.seq > ?1 AND outbox.seq <= ?2 AND outbox.target = ?3 AND outbox.kind = ?4
       AND order_event.kind = ?5
     ORDER BY outbox.seq";

/// What has to go out of what came behind a place, up to another one.
fn awaited(tx: &Connection, rule: &DueRule, place: i64, until: i64) -> Result<Vec<Awaited>> {
    match rule.after {
        DueAfter::Order => {
            let mut statement = tx.prepare_cached(ORDERS).map_err(failed)?;
            of_rule(rule, statement.query([place, until]).map_err(failed)?)
        }
        DueAfter::Event(kind) => {
            let mut statement = tx.prepare_cached(DELIVERIES).map_err(failed)?;
            let values = params![place, until, rule.target, rule.kind, kind.as_str()];
            of_rule(rule, statement.query(values).map_err(failed)?)
        }
    }
}

fn of_rule(rule: &DueRule, mut rows: Rows<'_>) -> Result<Vec<Awaited>> {
    let mut awaited = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let (channel, partner): (String, String) = (row.get(2).map_err(failed)?, row.get(3).map_err(failed)?);
        let Some(within_ms) = rule.within_ms(&channel, &partner) else { continue };
        let received_at = Instant(row.get(4).map_err(failed)?);
        awaited.push(Awaited {
            order_seq: row.get(0).map_err(failed)?,
            said: row.get(1).map_err(failed)?,
            due_at: received_at.plus_ms(within_ms),
        });
    }
    Ok(awaited)
}

/// Waits for a message, unless it went out already: nearly all have by then. One that was waited for
/// already, while its event waited for its turn, is the same.
fn wait_for(tx: &Connection, rule: &DueRule, awaited: &Awaited) -> Result<()> {
    let sql = format!(
        "INSERT INTO due_message (due, order_seq, target, kind, said, due_at)
         SELECT d.due, d.order_seq, d.target, d.kind, d.said, d.due_at
         FROM (SELECT ?1 AS due, ?2 AS order_seq, ?3 AS target, ?4 AS kind, ?5 AS said, ?6 AS due_at) AS d
         WHERE NOT {IN_TIME}
           AND NOT EXISTS (SELECT 1 FROM due_message AS known
                           WHERE known.said > 0 AND known.said = d.said AND known.due = d.due
                             AND known.order_seq = d.order_seq)"
    );
    tx.prepare_cached(&sql)
        .and_then(|mut insert| {
            let Awaited { order_seq, said, due_at } = awaited;
            insert.execute(params![rule.name, order_seq, rule.target, rule.kind, said, due_at.0])
        })
        .map_err(failed)?;
    Ok(())
}

fn view_sql() -> String {
    format!(
        "SELECT d.seq, orders.id, orders.number, own.partner, d.target, d.kind, d.due_at, {SENT}
         FROM due_message AS d JOIN orders ON orders.seq = d.order_seq
              JOIN document AS own ON own.position = orders.position"
    )
}

fn view(row: &Row<'_>) -> Result<LateMessage> {
    let order: String = row.get(1).map_err(failed)?;
    Ok(LateMessage {
        number: unsigned(row.get(0).map_err(failed)?)?,
        order: OrderId::parse(&order).map_err(|error| damaged("an order id", &error))?,
        order_number: row.get(2).map_err(failed)?,
        partner: row.get(3).map_err(failed)?,
        target: row.get(4).map_err(failed)?,
        kind: row.get(5).map_err(failed)?,
        due_at: Instant(row.get(6).map_err(failed)?),
        sent: row.get(7).map_err(failed)?,
    })
}

/// Those that nobody was told of, and those that were told and went out.
pub(super) fn late(connection: &Connection, at: Instant, limit: u32) -> Result<Vec<LateMessage>> {
    // A folder that is only read may be of a build that waited for none.
    if !has_table(connection, "due_message")? {
        return Ok(Vec::new());
    }
    let untold = format!(
        "{} WHERE d.exception IS NULL AND d.due_at <= ?1 AND NOT {IN_TIME} AND NOT ({GIVEN_UP})
         ORDER BY d.due_at, d.seq LIMIT ?2",
        view_sql()
    );
    let mut found = page(connection, &untold, params![at.0, limit])?;
    let left = u32::try_from(found.len()).map_or(0, |found| limit.saturating_sub(found));
    let over = format!("{} WHERE d.exception IS NOT NULL AND {SENT} ORDER BY d.seq LIMIT ?1", view_sql());
    found.extend(page(connection, &over, params![left])?);
    Ok(found)
}

fn page(connection: &Connection, sql: &str, values: impl Params) -> Result<Vec<LateMessage>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(values).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(view(row)?);
    }
    Ok(found)
}

/// Tells people that a message did not go out; false when it did meanwhile, or never will, or they know.
pub(super) fn tell(tx: &Connection, number: u64, new: &NewException, at: Instant, leaf: &Leaf) -> Result<bool> {
    let number = signed(number)?;
    let sql = format!(
        "SELECT d.order_seq, orders.id FROM due_message AS d JOIN orders ON orders.seq = d.order_seq
         WHERE d.seq = ?1 AND d.exception IS NULL AND d.due_at <= ?2 AND NOT {SENT} AND NOT ({GIVEN_UP})"
    );
    let waits: Option<(i64, String)> = tx
        .prepare_cached(&sql)
        .and_then(|mut waits| waits.query_row(params![number, at.0], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    let Some((order_seq, order)) = waits else { return Ok(false) };
    let order = OrderId::parse(&order).map_err(|error| damaged("an order id", &error))?;
    exception::insert(tx, new, &About { order: Some(order), ..About::default() }, at)?;
    let told = tx.last_insert_rowid();
    tx.prepare_cached("UPDATE due_message SET exception = ?2 WHERE seq = ?1")
        .and_then(|mut update| update.execute([number, told]))
        .map_err(failed)?;
    trail::leaf_about_order(tx, leaf, order_seq)?;
    Ok(true)
}

/// One that went out late is waited for no more; false when nobody waits for it.
pub(super) fn end(tx: &Connection, number: u64, at: Instant, leaf: &Leaf) -> Result<bool> {
    let number = signed(number)?;
    let sql = format!("SELECT d.order_seq, d.exception FROM due_message AS d WHERE d.seq = ?1 AND {SENT}");
    let waits: Option<(i64, Option<i64>)> = tx
        .prepare_cached(&sql)
        .and_then(|mut waits| waits.query_row([number], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    let Some((order_seq, told)) = waits else { return Ok(false) };
    let leaf = trail::leaf_about_order(tx, leaf, order_seq)?;
    if let Some(told) = told {
        exception::clear_one(tx, told, at, leaf)?;
    }
    tx.prepare_cached("DELETE FROM due_message WHERE seq = ?1")
        .and_then(|mut delete| delete.execute([number]))
        .map_err(failed)?;
    Ok(true)
}
