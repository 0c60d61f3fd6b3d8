//! What came about an order after it: kept beside the order, which stays as it was
//! decided. A request to cancel stops what has not begun.
//!
//! INVARIANT: stopping and the request's leaf are one transaction. So no delivery
//! begins after a request that is on record, and none that is under way loses its
//! outcome: it settles as before, and only a further attempt does not happen.

use portreeve_model::{ChannelId, Instant, OrderId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::contract::{
    CLEARED, DecisionCommit, DocumentPosition, EVENTS_SHOWN_MAX, InputId, NewHold, NewOrderEvent, OrderEventKind,
    OrderEventView, OrderName, OrderOrigin, OrderStanding, OrderState, PayloadRef, Room, Stop, StoreError,
};
use crate::proof::Permit;
use crate::sqlite::order_numbers::Numbers;
use crate::sqlite::rows::{
    About, Its, Kept, Result, damaged, digest, insert_hold, insert_outbox, journal, order_state, outbox_id,
    payload_ref, signed, unsigned,
};
use crate::sqlite::{billed, credit, exception, failed, kept_back, progress};

/// Of the order that an event is about: its state, and its own event.
pub(super) const KNOWN: &str = "orders.state, orders.event FROM orders";

/// Keeps an event, and what it does to its order.
pub(super) fn insert(
    tx: &Connection,
    decision: &DecisionCommit,
    event: &NewOrderEvent,
    position: i64,
    kept: &Kept,
    numbers: &Numbers,
) -> Result<()> {
    let order = event.order.to_string();
    let (content, record) = (kept.place(event.event)?, kept.place(event.decision)?);
    let known: Option<(i64, String, i64)> = numbers.find(tx, KNOWN, event.order, |order_seq, row| {
        Ok((order_seq, row.get(1).map_err(failed)?, row.get(2).map_err(failed)?))
    })?;
    let order_seq = known.as_ref().map(|(seq, ..)| *seq);
    tx.prepare_cached(
        "INSERT INTO order_event (position, order_id, order_seq, kind, event, decision, decided_at, leaf, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .and_then(|mut insert| {
        let (kind, outcome) = (event.kind.as_str(), event.outcome.as_str());
        insert.execute(params![position, order, order_seq, kind, content, record, decision.at.0, kept.leaf, outcome])
    })
    .map_err(failed)?;
    // Whoever is about to decide about the order has not seen this.
    exception::touch_held(tx, &order)?;
    match (&known, &event.stops) {
        (Some((order_seq, state, _)), Some(Stop::Held(hold))) => {
            keep_back(tx, *order_seq, &order, state, hold, decision.at)?;
        }
        (Some((order_seq, ..)), Some(Stop::GivenUp)) => give_up(tx, *order_seq)?,
        (None, _) | (_, None) => {}
    }
    if let Some(new) = &event.progress {
        progress::advance(tx, event.order, order_seq, new, record)?;
    }
    if let Some(number) = &event.invoice {
        billed::enter(tx, number, &order)?;
    }
    for caught_up in &event.caught_up {
        progress::catch_up(tx, &order, caught_up, decision.at)?;
    }
    for code in &event.settled {
        exception::clear_settled(tx, &order, code, decision.at)?;
    }
    // After what waited is known: its deliveries may be among these.
    for row in &event.outbox {
        let (order_seq, _, event) = known.as_ref().ok_or_else(|| not_its_own(&order))?;
        let its = Its { order_seq: *order_seq, order: &order, event: *event };
        insert_outbox(tx, its, row, decision.at)?;
    }
    event.says.as_deref().map_or(Ok(()), |said| journal(tx, said).map(drop))?;
    let about = About {
        order: known.is_some().then_some(event.order),
        input: Some(decision.document.input),
        position: Some(position),
        ..About::default()
    };
    event.exceptions.iter().try_for_each(|new| exception::insert(tx, new, &about, decision.at))
}

pub(super) const JOINS: &str = "UPDATE order_event SET order_seq = ?2 WHERE order_id = ?1 AND order_seq IS NULL";

/// Tells events that came before their order its number, by which they are found from then on.
pub(super) fn joins(tx: &Connection, order: &str, order_seq: i64) -> Result<()> {
    tx.prepare_cached(JOINS).and_then(|mut update| update.execute(params![order, order_seq])).map(drop).map_err(failed)
}

/// The place of what a document said of an order, be it the order's own.
pub(super) fn said(tx: &Connection, order: &str, position: DocumentPosition) -> Result<i64> {
    let position = signed(position.0)?;
    let said = tx
        .prepare_cached(
            "SELECT event FROM order_event WHERE position = ?1 AND order_id = ?2
             UNION ALL SELECT event FROM orders WHERE position = ?1 AND id = ?2",
        )
        .and_then(|mut said| said.query_row(params![position, order], |row| row.get(0)).optional())
        .map_err(failed)?;
    said.ok_or_else(|| not_its_own(order))
}

/// A fault of the host.
fn not_its_own(order: &str) -> StoreError {
    StoreError::Failed(format!("a delivery for order `{order}` is made of what nobody said of it"))
}

/// Ends an order's deliveries that have not begun: what would bring it on is to be undone. One
/// that has begun is withheld: it may have arrived.
fn give_up(tx: &Connection, order_seq: i64) -> Result<()> {
    tx.prepare_cached(
        "UPDATE outbox SET state = CASE WHEN unresolved THEN 'withheld' ELSE 'abandoned' END
         WHERE order_seq = ?1 AND state = 'pending' AND said = 0",
    )
    .and_then(|mut update| update.execute([order_seq]))
    .map_err(failed)?;
    credit::give_back(tx, order_seq)
}

/// Stops an order's deliveries that are not done, and holds what is thereby kept back.
/// What is delivered or refused already is past holding: the exception is about that.
fn keep_back(tx: &Connection, order_seq: i64, order: &str, state: &str, hold: &NewHold, at: Instant) -> Result<()> {
    // A system has it: nothing else gets it, and what has it is the exception's.
    let arrived = tx
        .prepare_cached("SELECT 1 FROM outbox WHERE order_seq = ?1 AND said = 0 AND state = 'delivered'")
        .and_then(|mut arrived| arrived.exists([order_seq]))
        .map_err(failed)?;
    if arrived {
        return give_up(tx, order_seq);
    }
    let withheld = tx
        .prepare_cached(
            "UPDATE outbox SET state = 'withheld'
             WHERE order_seq = (SELECT seq FROM orders WHERE id = ?1) AND state = 'pending' AND said = 0",
        )
        .and_then(|mut update| update.execute([order]))
        .map_err(failed)?;
    let released = state == OrderState::Released.as_str();
    if state == OrderState::Refused.as_str() || (released && withheld == 0) {
        return Ok(());
    }
    insert_hold(tx, order, hold, at, None)?;
    held_when_nothing_is_in_doubt(tx, order)
}

/// How an attempt ended whose delivery was withheld meanwhile: as it ended, but there is
/// no further one. Returns how many rows it was, as for any other: none where no attempt
/// had begun, since then nothing has to be known of it.
pub(super) fn settle_withheld(tx: &Connection, permit: &Permit, settled: impl Params, at: Instant) -> Result<usize> {
    let changed = tx
        .prepare_cached(
            "UPDATE outbox SET state = CASE ?3 WHEN 'pending' THEN 'withheld' ELSE ?3 END, unresolved = ?4,
                    due_at = coalesce(?5, due_at), external_id = coalesce(?6, external_id), last_code = ?7, blocks = ?8,
                    doubts = coalesce(?9, doubts), lease_until = 0
             WHERE seq = ?1 AND epoch = ?2 AND state = 'withheld' AND attempts > 0",
        )
        .and_then(|mut update| update.execute(settled))
        .map_err(failed)?;
    // Nothing withholds what is told of an item.
    let Some(order) = permit.order().map(|order| order.to_string()) else { return Ok(changed) };
    give_up_unless_held(tx, permit, &order)?;
    held_when_nothing_is_in_doubt(tx, &order)?;
    // Nothing is left that its holds withhold: it went out all the same, or was given up.
    let withholds = tx
        .prepare_cached(
            "SELECT 1 FROM orders WHERE seq = ?1 AND state <> 'released'
             UNION ALL SELECT 1 FROM outbox WHERE order_seq = ?1 AND outbox.state = 'withheld'",
        )
        .and_then(|mut withheld| withheld.exists([permit.order_seq]))
        .map_err(failed)?;
    if !withholds {
        kept_back::close_all(tx, &order, at, None, CLEARED)?;
        exception::clear_held(tx, &order, at)?;
    }
    Ok(changed)
}

/// What no hold withholds is to be undone, and surely did not arrive: it never will.
fn give_up_unless_held(tx: &Connection, permit: &Permit, order: &str) -> Result<()> {
    let given_up = tx
        .prepare_cached(
            "UPDATE outbox SET state = 'abandoned' WHERE seq = ?1 AND state = 'withheld' AND NOT unresolved
               AND NOT EXISTS (SELECT 1 FROM hold WHERE order_id = ?2 AND closed_at IS NULL)",
        )
        .and_then(|mut update| update.execute(params![permit.seq, order]))
        .map_err(failed)?;
    if given_up == 0 { Ok(()) } else { credit::give_back(tx, permit.order_seq) }
}

/// Withheld deliveries of which nobody knows whether they arrived, that are due to be asked about
/// and have room, which they take: what waits for one target keeps no question from another. There
/// are few of them.
pub(super) fn due_questions(tx: &Connection, now: Instant, limit: u32, room: &mut Room) -> Result<Vec<i64>> {
    let mut statement = tx
        .prepare_cached(
            "SELECT seq, target, order_id, kind, said FROM outbox
             WHERE state = 'withheld' AND unresolved = 1 AND due_at <= ?1 AND lease_until <= ?1
             ORDER BY due_at, seq",
        )
        .map_err(failed)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rows = statement.query([now.0]).map_err(failed)?;
    let mut due = Vec::new();
    while due.len() < limit
        && let Some(row) = rows.next().map_err(failed)?
    {
        let target: String = row.get(1).map_err(failed)?;
        if room.shares.left(&target) > 0 && !room.under_way.contains(&outbox_id(row, 2, &target, 3, 4)?) {
            due.push(row.get(0).map_err(failed)?);
            let taken = room.shares.taken.entry(target).or_insert(0);
            *taken = taken.saturating_add(1);
        }
    }
    Ok(due)
}

/// A released order whose deliveries are withheld is a held one, from when nothing of it
/// is in doubt any more: until then it may have arrived. An attempt that has begun is
/// unresolved until it is settled, and after an unknown outcome until the target says.
fn held_when_nothing_is_in_doubt(tx: &Connection, order: &str) -> Result<()> {
    let held: Option<i64> = tx
        .prepare_cached(
            "UPDATE orders SET state = 'held', queue = hold.queue, why = hold.reason || ': a delivery is withheld'
         FROM (SELECT queue, reason FROM hold WHERE order_id = ?1 AND closed_at IS NULL ORDER BY id DESC LIMIT 1) AS hold
         WHERE orders.id = ?1 AND orders.state = 'released'
           AND EXISTS (SELECT 1 FROM outbox WHERE order_seq = orders.seq AND outbox.state = 'withheld')
           AND NOT EXISTS (SELECT 1 FROM outbox
                           WHERE order_seq = orders.seq AND outbox.state = 'withheld' AND unresolved)
         RETURNING orders.seq",
        )
        .and_then(|mut update| update.query_row([order], |row| row.get(0)).optional())
        .map_err(failed)?;
    held.map_or(Ok(()), |order_seq| credit::give_back(tx, order_seq))
}

/// What is known of an order that is here: whether it is to be cancelled, and how far it is. The
/// order is looked for once. A payload that is gone is that order's fate, as everywhere.
pub(super) const STANDING: &str = "orders.state, coalesce(own.commitment, zeroblob(32)), orders.event,
            EXISTS (SELECT 1 FROM order_event WHERE order_id = ?1 AND kind = 'order.cancel-requested'),
            (SELECT count(*) FROM order_event WHERE order_id = ?1 AND outcome = 'early'),
            order_progress.version, order_progress.state, coalesce(record.commitment, zeroblob(32)),
            order_progress.record, orders.channel
     FROM orders LEFT JOIN payload AS own ON own.id = orders.event
          LEFT JOIN order_progress ON order_progress.order_seq = orders.seq
          LEFT JOIN payload AS record ON record.id = order_progress.record";

/// What was said of an order that is not here.
const SAID_OF_NONE: &str =
    "SELECT EXISTS (SELECT 1 FROM order_event WHERE order_id = ?1 AND kind = 'order.cancel-requested'),
            (SELECT count(*) FROM order_event WHERE order_id = ?1 AND outcome = 'early')";

pub(super) fn standing(connection: &Connection, order: OrderId, numbers: &Numbers) -> Result<OrderStanding> {
    let here = numbers.find(connection, STANDING, order, |_, row| {
        Ok(OrderStanding {
            exists: true,
            decided: Some(decided(row)?),
            cancel_requested: row.get(4).map_err(failed)?,
            early: row.get(5).map_err(failed)?,
            progress: progress::of(row, 6)?,
            channel: Some(channel(row, 10)?),
        })
    })?;
    if let Some(here) = here {
        return Ok(here);
    }
    let mut statement = connection.prepare_cached(SAID_OF_NONE).map_err(failed)?;
    let (cancel_requested, early) =
        statement.query_row([order.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    Ok(OrderStanding { cancel_requested, early, ..OrderStanding::default() })
}

fn channel(row: &Row<'_>, column: usize) -> Result<ChannelId> {
    let channel: String = row.get(column).map_err(failed)?;
    ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))
}

fn decided(row: &Row<'_>) -> Result<(OrderState, PayloadRef)> {
    let event = payload_ref(row, 2).map_err(|error| damaged("the event of an order", &error))?;
    Ok((order_state(row, 1)?, event))
}

/// Where an order came from. A payload that is gone is that order's fate, as everywhere.
pub(super) const ORIGIN: &str =
    "orders.number, document.partner, coalesce(payload.commitment, zeroblob(32)), orders.event
     FROM orders JOIN document ON document.position = orders.position
          LEFT JOIN payload ON payload.id = orders.event";

pub(super) fn origin(connection: &Connection, order: OrderId, numbers: &Numbers) -> Result<Option<OrderOrigin>> {
    numbers.find(connection, ORIGIN, order, |_, row| {
        let (number, partner) = (row.get(1).map_err(failed)?, row.get(2).map_err(failed)?);
        let event = payload_ref(row, 3).map_err(|error| damaged("the event of an order", &error))?;
        Ok(OrderOrigin { number, partner, event })
    })
}

/// The orders that somebody means by a name, two at most.
pub(super) fn named(connection: &Connection, name: &OrderName) -> Result<Vec<OrderId>> {
    let (sql, of, name) = match name {
        OrderName::Invoice { number } => return billed::orders(connection, number),
        OrderName::Number { channel, number } => {
            ("SELECT id FROM orders WHERE channel = ?1 AND number = ?2 ORDER BY seq LIMIT 2", channel.as_str(), number)
        }
        OrderName::Receipt { target, external_id } => (
            "SELECT DISTINCT order_id FROM outbox WHERE target = ?1 AND external_id = ?2 AND said = 0 LIMIT 2",
            target.as_str(),
            external_id,
        ),
    };
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let found = statement.query_map([of, name], |row| row.get::<_, String>(0)).map_err(failed)?;
    let order = |text: String| OrderId::parse(&text).map_err(|error| damaged("an order id", &error));
    found.map(|found| found.map_err(failed).and_then(order)).collect()
}

pub(super) const HAS: &str =
    "SELECT 1 FROM order_event WHERE order_seq = (SELECT seq FROM orders WHERE id = ?1) AND kind = ?2";

/// Whether something of this kind came about an order that is here.
pub(super) fn has(connection: &Connection, order: OrderId, kind: OrderEventKind) -> Result<bool> {
    connection
        .prepare_cached(HAS)
        .and_then(|mut has| has.exists(params![order.to_string(), kind.as_str()]))
        .map_err(failed)
}

/// Whether the delivery with this number tells a change that was agreed on, after which a later one of the
/// same order was agreed on: sent again, it would take the place of that.
pub(super) fn overtaken(connection: &Connection, outbox_seq: i64) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM outbox JOIN order_event AS mine ON mine.position = outbox.said
                  JOIN order_event AS later ON later.order_seq = mine.order_seq AND later.position > mine.position
             WHERE outbox.seq = ?1 AND outbox.said > 0 AND mine.order_seq = outbox.order_seq
               AND mine.kind = 'order.changed' AND later.kind = 'order.changed' AND later.outcome = 'applied'",
        )
        .and_then(|mut found| found.exists([outbox_seq]))
        .map_err(failed)
}

/// Whether the delivery with this number brings an order on that its sender asked to cancel.
pub(super) fn cancel_requested(connection: &Connection, outbox_seq: i64) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM outbox JOIN order_event ON order_event.order_id = outbox.order_id
             WHERE outbox.seq = ?1 AND outbox.said = 0 AND order_event.kind = 'order.cancel-requested'",
        )
        .and_then(|mut found| found.exists([outbox_seq]))
        .map_err(failed)
}

const EVENTS: &str = "SELECT order_event.position, order_event.kind, input.id, document.received_at, decided_at,
           event.commitment, event.id, decision.commitment, decision.id, leaf.id, outcome, order_event.leaf
    FROM order_event JOIN document ON document.position = order_event.position
         JOIN input ON input.seq = document.input LEFT JOIN leaf ON leaf.seq = order_event.leaf
         LEFT JOIN payload AS event ON event.id = order_event.event
         LEFT JOIN payload AS decision ON decision.id = order_event.decision";

const LATEST: &str = "WHERE order_event.position IN (
         SELECT position FROM order_event WHERE order_seq = (SELECT seq FROM orders WHERE id = ?1)
         ORDER BY position DESC LIMIT ?2)
     ORDER BY order_event.position";

const AFTER: &str = "WHERE order_event.order_seq = (SELECT seq FROM orders WHERE orders.id = ?1)
       AND order_event.leaf > ?2 ORDER BY order_event.leaf LIMIT ?3";

/// The latest that came about an order that is here, in journal order.
pub(super) fn latest(connection: &Connection, order: &str) -> Result<Vec<OrderEventView>> {
    read(connection, LATEST, params![order, EVENTS_SHOWN_MAX])
}

/// What came about an order that is here after the event with this number, in the order in which it was decided.
pub(super) fn after(connection: &Connection, order: OrderId, after: u64, limit: u32) -> Result<Vec<OrderEventView>> {
    read(connection, AFTER, params![order.to_string(), signed(after)?, limit])
}

/// What the two read.
#[cfg(test)]
pub(super) fn views() -> [String; 2] {
    [LATEST, AFTER].map(|which| format!("{EVENTS} {which}"))
}

fn read(connection: &Connection, which: &str, values: impl Params) -> Result<Vec<OrderEventView>> {
    let mut statement = connection.prepare_cached(&format!("{EVENTS} {which}")).map_err(failed)?;
    let mut rows = statement.query(values).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let kind: String = row.get(1).map_err(failed)?;
        events.push(OrderEventView {
            number: unsigned(row.get(11).map_err(failed)?)?,
            position: DocumentPosition(unsigned(row.get(0).map_err(failed)?)?),
            kind: OrderEventKind::of(&kind)
                .ok_or_else(|| damaged("an order's event", &format!("unknown kind `{kind}`")))?,
            outcome: progress::outcome(row, 10)?,
            input: InputId(digest(row, 2).map_err(failed)?),
            received_at: Instant(row.get(3).map_err(failed)?),
            decided_at: Instant(row.get(4).map_err(failed)?),
            event: payload_ref(row, 5).map_err(|error| damaged("an order's later event", &error))?,
            decision: payload_ref(row, 7).map_err(|error| damaged("the decision on a later event", &error))?,
            leaf: digest(row, 9).map_err(|error| damaged("the leaf of a later event", &error))?,
        });
    }
    Ok(events)
}
