//! What targets took, and what of it is sent again.
//!
//! INVARIANT: a delivery is due again in the transaction of the leaf that lets it go, and only as
//! somebody was shown it. From then on it is what a delivery in doubt is: the target is asked first.

use portreeve_model::{ChannelId, Digest, Instant, OrderId, ProcessState};
use rusqlite::{Connection, Row, params};

use super::rows::{
    Result, content, damaged, digest, insert_leaf, insert_payload, order_state, outbox_id, payload_ref, signed,
    unsigned,
};
use super::{failed, has_table, order_event};
use crate::contract::{
    Delivered, DeliveredPage, DeliveredWanted, LOOKED_AT_MAX, NewReplay, OrderEventKind, REPLAYS_MAX, ReplayPart,
    ReplayView, StoreError,
};

/// Rows of a part of the outbox.
const DELIVERED: &str = "SELECT outbox.seq, outbox.order_id, orders.number, orders.channel, outbox.target, outbox.kind,
            outbox.said, order_event.kind, outbox.due_at, outbox.external_id, outbox.attempts, outbox.replays,
            orders.state,
            EXISTS (SELECT 1 FROM order_event AS wish
                    WHERE wish.order_id = outbox.order_id AND wish.kind = 'order.cancel-requested'),
            order_progress.state,
            EXISTS (SELECT 1 FROM payload_key WHERE payload_key.payload = outbox.event),
            EXISTS (SELECT 1 FROM interchange WHERE interchange.outbox = outbox.seq AND answer = 'rejected')
     FROM outbox JOIN orders ON orders.seq = outbox.order_seq
          LEFT JOIN order_event ON order_event.position = outbox.said AND order_event.order_id = outbox.order_id
          LEFT JOIN order_progress ON order_progress.order_seq = outbox.order_seq
     WHERE outbox.state = 'delivered' AND outbox.seq > ?1 AND outbox.seq <= ?2";

pub(super) fn delivered(connection: &Connection, wanted: &DeliveredWanted) -> Result<DeliveredPage> {
    let after = signed(wanted.after)?;
    let last: i64 =
        connection.query_row("SELECT coalesce(max(seq), 0) FROM outbox", [], |row| row.get(0)).map_err(failed)?;
    let until = after.saturating_add(i64::from(LOOKED_AT_MAX)).min(last);
    let sql = format!(
        "{DELIVERED} AND target = ?3 AND due_at >= ?4 AND due_at < ?5 AND (?6 IS NULL OR orders.channel = ?6)
           AND (?7 IS NULL OR outbox.kind = ?7)
         ORDER BY outbox.seq LIMIT ?8"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let channel = wanted.channel.as_ref().map(ChannelId::as_str);
    let values =
        params![after, until, wanted.target, wanted.since.0, wanted.until.0, channel, wanted.kind, wanted.limit];
    let mut rows = statement.query(values).map_err(failed)?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        deliveries.push(read(connection, row)?);
    }
    let full = u32::try_from(deliveries.len()).is_ok_and(|found| found == wanted.limit);
    let next = match deliveries.last() {
        Some(delivery) if full => Some(delivery.row),
        _ => (until < last).then(|| unsigned(until)).transpose()?,
    };
    Ok(DeliveredPage { deliveries, next })
}

fn read(connection: &Connection, row: &Row<'_>) -> Result<Delivered> {
    let (order, channel): (String, String) = (row.get(1).map_err(failed)?, row.get(3).map_err(failed)?);
    let target: String = row.get(4).map_err(failed)?;
    let said: Option<String> = row.get(7).map_err(failed)?;
    let process: Option<String> = row.get(14).map_err(failed)?;
    let said_of = |name: String| {
        OrderEventKind::of(&name).ok_or_else(|| damaged("an order's event", &format!("unknown kind `{name}`")))
    };
    let state_of = |name: String| {
        ProcessState::of(&name).ok_or_else(|| damaged("an order's progress", &format!("unknown state `{name}`")))
    };
    let seq: i64 = row.get(0).map_err(failed)?;
    Ok(Delivered {
        row: unsigned(seq)?,
        outbox: outbox_id(row, 1, &target, 5, 6)?,
        order: OrderId::parse(&order).map_err(|error| damaged("an order id", &error))?,
        number: row.get(2).map_err(failed)?,
        channel: ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?,
        target,
        kind: row.get(5).map_err(failed)?,
        content: content(row.get(6).map_err(failed)?),
        said: said.map(said_of).transpose()?,
        taken_at: Instant(row.get(8).map_err(failed)?),
        external_id: row.get(9).map_err(failed)?,
        attempts: row.get(10).map_err(failed)?,
        replays: row.get(11).map_err(failed)?,
        state: order_state(row, 12)?,
        cancel_requested: row.get(13).map_err(failed)?,
        process: process.map(state_of).transpose()?,
        readable: row.get(15).map_err(failed)?,
        rejected: row.get(16).map_err(failed)?,
        overtaken: order_event::overtaken(connection, seq)?,
    })
}

pub(super) fn replay(tx: &Connection, new: &NewReplay) -> Result<bool> {
    let known = tx
        .prepare_cached("SELECT 1 FROM replay WHERE digest = ?1")
        .and_then(|mut known| known.exists([new.digest.as_bytes()]))
        .map_err(failed)?;
    if known {
        return Ok(false);
    }
    if new.parts.iter().all(|part| part.deliveries.is_empty()) {
        return Err(StoreError::Failed("a replay came without a delivery".to_owned()));
    }
    let record = insert_payload(tx, &new.record)?.place;
    let wanted = &new.wanted;
    tx.prepare_cached(
        "INSERT INTO replay (digest, target, channel, kind, since, until, at, who, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            new.digest.as_bytes(),
            wanted.target,
            wanted.channel.as_ref().map(ChannelId::as_str),
            wanted.kind,
            wanted.since.0,
            wanted.until.0,
            new.at.0,
            new.who,
            record,
        ])
    })
    .map_err(failed)?;
    let number = tx.last_insert_rowid();
    new.parts.iter().try_for_each(|part| replay_part(tx, number, part, new.at))?;
    Ok(true)
}

fn replay_part(tx: &Connection, number: i64, part: &ReplayPart, at: Instant) -> Result<()> {
    let leaf = insert_leaf(tx, &part.leaf)?;
    for delivery in &part.deliveries {
        again(tx, delivery, at)?;
        let row = signed(delivery.row)?;
        tx.prepare_cached("INSERT INTO replay_delivery (replay, outbox) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute([number, row]))
            .map_err(failed)?;
        // An order may have several deliveries in one part.
        tx.prepare_cached(
            "INSERT INTO order_leaf (order_seq, leaf) SELECT order_seq, ?2 FROM outbox WHERE seq = ?1
             ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| insert.execute([row, leaf]))
        .map_err(failed)?;
    }
    Ok(())
}

/// The delivery in this row, where its target took it.
fn one(tx: &Connection, row: i64) -> Result<Option<Delivered>> {
    let mut statement = tx.prepare_cached(DELIVERED).map_err(failed)?;
    let mut rows = statement.query([row.saturating_sub(1), row]).map_err(failed)?;
    rows.next().map_err(failed)?.map(|row| read(tx, row)).transpose()
}

/// Makes one due again that is as it was shown.
fn again(tx: &Connection, delivery: &Delivered, at: Instant) -> Result<()> {
    let moved = || StoreError::DeliveryMoved { outbox: delivery.outbox.0.clone() };
    let row = signed(delivery.row)?;
    if one(tx, row)?.as_ref() != Some(delivery) {
        return Err(moved());
    }
    if delivery.replays >= REPLAYS_MAX {
        return Err(StoreError::ReplaysSpent { outbox: delivery.outbox.0.clone(), replays: REPLAYS_MAX });
    }
    let changed = tx
        .prepare_cached(
            "UPDATE outbox SET state = 'pending', unresolved = 1, due_at = ?2, deadline_from = ?2, doubts = 0,
                    lease_until = 0, replays = replays + 1, attempts_before = attempts, blocks = 0, last_code = NULL
             WHERE seq = ?1 AND state = 'delivered'",
        )
        .and_then(|mut update| update.execute([row, at.0]))
        .map_err(failed)?;
    if changed != 1 {
        return Err(moved());
    }
    // What its receiver said of the number is of what it lost; and that people were told of its
    // silence, and need not be any more, is no reason not to tell them of the next one.
    tx.prepare_cached(
        "UPDATE interchange SET due_at = NULL, answer = NULL, answered_at = NULL, said = NULL,
                exception = (SELECT id FROM exception WHERE id = interchange.exception AND closed_at IS NULL)
         WHERE outbox = ?1",
    )
    .and_then(|mut update| update.execute([row]))
    .map_err(failed)?;
    Ok(())
}

/// What [`view`] reads.
const REPLAYS: &str = "SELECT seq, digest, target, channel, kind, since, until, at, who,
            coalesce((SELECT commitment FROM payload WHERE payload.id = replay.record), zeroblob(32)), record
     FROM replay";

pub(super) fn list(connection: &Connection, after: u64, limit: u32) -> Result<Vec<ReplayView>> {
    if !are_there(connection)? {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare_cached(&format!("{REPLAYS} WHERE seq > ?1 ORDER BY seq LIMIT ?2")).map_err(failed)?;
    let mut rows = statement.query(params![signed(after)?, limit]).map_err(failed)?;
    let mut replays = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        replays.push(view(connection, row)?);
    }
    Ok(replays)
}

pub(super) fn shown(connection: &Connection, digest: Digest) -> Result<Option<ReplayView>> {
    if !are_there(connection)? {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(&format!("{REPLAYS} WHERE digest = ?1")).map_err(failed)?;
    let mut rows = statement.query([digest.as_bytes()]).map_err(failed)?;
    rows.next().map_err(failed)?.map(|row| view(connection, row)).transpose()
}

/// Whether there can be any: a folder that is opened to be read alone may be of a build that knew
/// none.
fn are_there(connection: &Connection) -> Result<bool> {
    has_table(connection, "replay")
}

fn view(connection: &Connection, row: &Row<'_>) -> Result<ReplayView> {
    let number: i64 = row.get(0).map_err(failed)?;
    let channel: Option<String> = row.get(3).map_err(failed)?;
    let (deliveries, done, dead) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(state = 'delivered'), 0), coalesce(sum(state = 'dead'), 0)
             FROM replay_delivery JOIN outbox ON outbox.seq = replay_delivery.outbox WHERE replay = ?1",
        )
        .and_then(|mut counts| counts.query_row([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
        .map_err(failed)?;
    Ok(ReplayView {
        number: unsigned(number)?,
        digest: digest(row, 1).map_err(failed)?,
        target: row.get(2).map_err(failed)?,
        channel: channel
            .map(|channel| ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error)))
            .transpose()?,
        kind: row.get(4).map_err(failed)?,
        since: Instant(row.get(5).map_err(failed)?),
        until: Instant(row.get(6).map_err(failed)?),
        at: Instant(row.get(7).map_err(failed)?),
        who: row.get(8).map_err(failed)?,
        record: payload_ref(row, 9).map_err(failed)?,
        deliveries: unsigned(deliveries)?,
        done: unsigned(done)?,
        dead: unsigned(dead)?,
    })
}
