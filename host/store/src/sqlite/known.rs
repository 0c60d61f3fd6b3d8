//! What the host knows of orders, for whoever compares it with what another system lists.
//!
//! Open orders are looked for by their numbers, so many rows at once: what is over costs a look at
//! its progress and nothing else. Those that a list names are found by their ids.

use portreeve_model::{ChannelId, Instant, OrderId};
use rusqlite::types::Null;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::rows::{Result, damaged, payload_ref, signed, unsigned};
use super::{failed, progress};
use crate::contract::{
    ORDERS_LOOKED_AT_MAX, OrderAt, OrderEventKind, OrdersAt, OrdersAtPage, OrdersAtWanted, PayloadRef,
    SAID_LOOKED_AT_MAX, SaidAt, SaidPage, SaidWanted,
};

/// A payload that is gone comes with a commitment that nothing has: opening it says so.
const ORDERS: &str =
    "SELECT orders.seq, orders.id, orders.number, coalesce(own.commitment, zeroblob(32)), orders.event,
            order_progress.version, order_progress.state, coalesce(record.commitment, zeroblob(32)),
            order_progress.record,
            max(orders.decided_at,
                coalesce((SELECT max(decided_at) FROM order_event INDEXED BY order_event_order
                          WHERE order_seq = orders.seq), orders.decided_at),
                coalesce((SELECT max(due_at) FROM outbox INDEXED BY outbox_order
                          WHERE order_seq = orders.seq AND target = ?1 AND outbox.state = 'delivered'),
                         orders.decided_at),
                coalesce((SELECT max(closed_at) FROM exception INDEXED BY exception_order
                          WHERE order_id = orders.id AND exception.kind = 'change' AND closed_how = 'accept-change'),
                         orders.decided_at)),
            EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
                    WHERE order_seq = orders.seq AND target = ?1
                      AND (outbox.state = 'pending' OR (outbox.state = 'withheld' AND unresolved))),
            EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
                    WHERE order_seq = orders.seq AND target = ?1 AND outbox.state = 'delivered'
                      AND ((kind IN (?2, ?3) AND said = 0)
                           OR (kind = ?4 AND said = orders.position
                               AND NOT EXISTS (SELECT 1 FROM outbox AS undone
                                               WHERE undone.order_seq = orders.seq AND undone.target = ?1
                                                 AND undone.kind = ?5 AND undone.said = orders.position
                                                 AND undone.state = 'delivered')))),
            coalesce(agreed_own.commitment, zeroblob(32)), agreed.event
     FROM orders LEFT JOIN payload AS own ON own.id = orders.event
          LEFT JOIN order_progress ON order_progress.order_seq = orders.seq
          LEFT JOIN payload AS record ON record.id = order_progress.record
          LEFT JOIN order_event AS agreed ON agreed.position =
            (SELECT exception.position FROM exception INDEXED BY exception_order
             WHERE exception.order_id = orders.id AND exception.kind = 'change'
               AND exception.closed_how = 'accept-change'
             ORDER BY exception.closed_at DESC,
                      (SELECT max(seq) FROM exception_step WHERE exception_step.exception = exception.id) DESC LIMIT 1)
          LEFT JOIN payload AS agreed_own ON agreed_own.id = agreed.event";

/// Those that are over, and those that the target neither has nor gets, are nothing to compare.
const OPEN: &str = "WHERE orders.seq > ?6 AND orders.seq <= ?7 AND orders.decided_at >= ?8
       AND (order_progress.state IS NULL OR order_progress.state NOT IN
            ('shipped', 'invoiced', 'settled', 'cancelled', 'returning', 'returned', 'credited'))
       AND EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
                   WHERE order_seq = orders.seq AND target = ?1
                     AND (outbox.state IN ('delivered', 'pending') OR (outbox.state = 'withheld' AND unresolved))
                     AND ((kind IN (?2, ?3) AND said = 0)
                          OR (kind = ?4 AND said = orders.position AND orders.state <> 'refused')))
     ORDER BY orders.seq LIMIT ?9";

const ONE: &str = "WHERE orders.id = ?6";

pub(super) fn orders_at(connection: &Connection, wanted: &OrdersAtWanted) -> Result<OrdersAtPage> {
    match &wanted.which {
        OrdersAt::Open(after) => open(connection, wanted, signed(*after)?),
        OrdersAt::These(ids) => {
            let [target, kind, clear, create, cancel] = of_target(wanted);
            let mut orders = Vec::new();
            for id in ids {
                let id = id.to_string();
                let values: [&dyn ToSql; 6] = [target, kind, clear, create, cancel, &id];
                orders.extend(read(connection, ONE, &values)?.into_iter().map(|(_, order)| order));
            }
            Ok(OrdersAtPage { orders, next: None })
        }
    }
}

fn open(connection: &Connection, wanted: &OrdersAtWanted, after: i64) -> Result<OrdersAtPage> {
    let last: i64 =
        connection.query_row("SELECT coalesce(max(seq), 0) FROM orders", [], |row| row.get(0)).map_err(failed)?;
    let until = after.saturating_add(i64::from(ORDERS_LOOKED_AT_MAX)).min(last);
    let since = wanted.since.map_or(i64::MIN, |since| since.0);
    let [target, kind, clear, create, cancel] = of_target(wanted);
    let values: [&dyn ToSql; 9] = [target, kind, clear, create, cancel, &after, &until, &since, &wanted.limit];
    let found = read(connection, OPEN, &values)?;
    let full = u32::try_from(found.len()).is_ok_and(|found| found == wanted.limit);
    let next = match found.last() {
        Some((seq, _)) if full => Some(*seq),
        _ => (until < last).then(|| unsigned(until)).transpose()?,
    };
    Ok(OrdersAtPage { orders: found.into_iter().map(|(_, order)| order).collect(), next })
}

/// The target, and the kinds of messages by which it has orders: its own, and those of a block.
fn of_target(wanted: &OrdersAtWanted) -> [&dyn ToSql; 5] {
    let [clear, create, cancel]: [&dyn ToSql; 3] = match &wanted.blocked {
        Some(kinds) => [&kinds.clear, &kinds.create, &kinds.cancel],
        None => [&Null, &Null, &Null],
    };
    [&wanted.target, &wanted.kind, clear, create, cancel]
}

fn read(connection: &Connection, which: &str, values: &[&dyn ToSql]) -> Result<Vec<(u64, OrderAt)>> {
    let mut statement = connection.prepare_cached(&format!("{ORDERS} {which}")).map_err(failed)?;
    let mut rows = statement.query(values).map_err(failed)?;
    let mut orders = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        orders.push((unsigned(row.get(0).map_err(failed)?)?, order(row)?));
    }
    Ok(orders)
}

fn order(row: &Row<'_>) -> Result<OrderAt> {
    let id: String = row.get(1).map_err(failed)?;
    Ok(OrderAt {
        id: OrderId::parse(&id).map_err(|error| damaged("an order id", &error))?,
        number: row.get(2).map_err(failed)?,
        event: payload_ref(row, 3).map_err(|error| damaged("the event of an order", &error))?,
        progress: progress::of(row, 5)?,
        changed_at: Instant(row.get(9).map_err(failed)?),
        is_under_way: row.get(10).map_err(failed)?,
        is_there: row.get(11).map_err(failed)?,
        agreed: agreed(row)?,
    })
}

fn agreed(row: &Row<'_>) -> Result<Option<PayloadRef>> {
    let place: Option<i64> = row.get(13).map_err(failed)?;
    let agreed = place.map(|_| payload_ref(row, 12)).transpose();
    agreed.map_err(|error| damaged("an accepted change of an order", &error))
}

/// What was said from a place back, so many documents at once: their places are in the order of their
/// receipt, so what is older ends it.
const SAID: &str = "SELECT order_event.position, order_event.order_id, order_event.kind,
            coalesce(payload.commitment, zeroblob(32)), order_event.event, document.received_at,
            max(order_event.decided_at,
                coalesce((SELECT max(due_at) FROM outbox INDEXED BY outbox_order
                          WHERE order_seq = orders.seq AND target = ?1 AND said = order_event.position
                            AND outbox.state = 'delivered'), order_event.decided_at)),
            EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_order
                    WHERE order_seq = orders.seq AND target = ?1 AND said = order_event.position
                      AND (outbox.state = 'pending' OR (outbox.state = 'withheld' AND unresolved)))
     FROM order_event JOIN document ON document.position = order_event.position
          LEFT JOIN orders ON orders.seq = order_event.order_seq
          LEFT JOIN payload ON payload.id = order_event.event
     WHERE order_event.position < ?2 AND order_event.position >= ?3 AND outcome IN ('applied', 'early')
       AND document.received_at >= ?4 AND order_event.kind IN (SELECT value FROM json_each(?5))
       AND (?7 = '[]' OR document.channel IN (SELECT value FROM json_each(?7)))
     ORDER BY order_event.position DESC LIMIT ?6";

/// When the document was received behind which a page ends.
const RECEIVED: &str = "SELECT received_at FROM document WHERE position < ?1 ORDER BY position DESC LIMIT 1";

pub(super) fn said_at(connection: &Connection, wanted: &SaidWanted) -> Result<SaidPage> {
    let before = match wanted.before {
        Some(before) => signed(before)?,
        None => i64::MAX,
    };
    let newest: i64 = connection
        .prepare_cached("SELECT coalesce(max(position), 0) FROM document WHERE position < ?1")
        .and_then(|mut newest| newest.query_row([before], |row| row.get(0)))
        .map_err(failed)?;
    let floor = newest.saturating_add(1).saturating_sub(i64::from(SAID_LOOKED_AT_MAX)).max(0);
    let kinds = list(wanted.kinds.iter().map(|kind| kind.as_str()));
    let channels = list(wanted.channels.iter().map(ChannelId::as_str));
    let values: [&dyn ToSql; 7] = [&wanted.target, &before, &floor, &wanted.since.0, &kinds, &wanted.limit, &channels];
    let mut statement = connection.prepare_cached(SAID).map_err(failed)?;
    let mut rows = statement.query(&values[..]).map_err(failed)?;
    let (mut said, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next().map_err(failed)? {
        last = Some(unsigned(row.get(0).map_err(failed)?)?);
        said.push(said_of(row)?);
    }
    let full = u32::try_from(said.len()).is_ok_and(|found| found == wanted.limit);
    let before = if full { last } else { goes_on(connection, floor, wanted.since)? };
    Ok(SaidPage { said, before })
}

/// Words without a quote, as JSON.
fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(","))
}

/// Where it goes on behind a page that was looked at whole.
fn goes_on(connection: &Connection, floor: i64, since: Instant) -> Result<Option<u64>> {
    let received: Option<i64> = connection
        .prepare_cached(RECEIVED)
        .and_then(|mut received| received.query_row([floor], |row| row.get(0)).optional())
        .map_err(failed)?;
    received.filter(|at| *at >= since.0).map(|_| unsigned(floor)).transpose()
}

fn said_of(row: &Row<'_>) -> Result<SaidAt> {
    let (order, kind): (String, String) = (row.get(1).map_err(failed)?, row.get(2).map_err(failed)?);
    Ok(SaidAt {
        order: OrderId::parse(&order).map_err(|error| damaged("an order id", &error))?,
        kind: OrderEventKind::of(&kind)
            .ok_or_else(|| damaged("an order's event", &format!("unknown kind `{kind}`")))?,
        event: payload_ref(row, 3).map_err(|error| damaged("an order's later event", &error))?,
        received_at: Instant(row.get(5).map_err(failed)?),
        changed_at: Instant(row.get(6).map_err(failed)?),
        is_under_way: row.get(7).map_err(failed)?,
    })
}
