//! What became of orders that were decided in a period, for those who measure the work.
//!
//! The orders are found by when they were decided, and everything else by its order: a page
//! costs what its orders have, whatever else the store holds. Events and exceptions are added
//! up here, since an order may have thousands, and only their kinds count.

use portreeve_model::{ChannelId, Instant};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{Result, damaged, payload_ref, signed, unsigned};
use super::{failed, progress};
use crate::contract::{
    After, DeliveryMade, EventOutcome, ExceptionsOfOrder, MeasuredOrder, OrderEventKind, PayloadRef, SaidOfOrder,
};

/// A record that is gone comes with a commitment that nothing has: opening it says what is wrong.
pub(super) const ORDERS: &str = "SELECT orders.seq, orders.id, orders.channel, document.received_at, decided_at,
            order_progress.version, order_progress.state, coalesce(payload.commitment, zeroblob(32)),
            order_progress.record
     FROM orders INDEXED BY orders_decided
          JOIN document ON document.position = orders.position
          LEFT JOIN order_progress ON order_progress.order_seq = orders.seq
          LEFT JOIN payload ON payload.id = order_progress.record
     WHERE (decided_at, orders.seq) > (?1, ?2) AND decided_at < ?3 ORDER BY decided_at, orders.seq LIMIT ?4";

pub(super) const SAID: &str = "SELECT order_event.kind, outcome, count(*), min(received_at), max(received_at)
     FROM order_event INDEXED BY order_event_order JOIN document ON document.position = order_event.position
     WHERE order_seq = ?1 GROUP BY order_event.kind, outcome";

pub(super) const SHIPPED: &str = "SELECT coalesce(payload.commitment, zeroblob(32)), order_event.event
     FROM order_event INDEXED BY order_event_order JOIN document ON document.position = order_event.position
          LEFT JOIN payload ON payload.id = order_event.event
     WHERE order_seq = ?1 AND order_event.kind = 'shipment.confirmed' AND outcome = 'applied'
     ORDER BY received_at, order_event.position LIMIT 1";

pub(super) const EXCEPTIONS: &str = "SELECT stage, code, order_event.kind, count(*),
            sum((SELECT count(*) FROM exception_step INDEXED BY exception_step_exception
                 WHERE exception_step.exception = exception.id AND who IS NOT NULL))
     FROM exception INDEXED BY exception_order
          LEFT JOIN outbox ON outbox.seq = exception.outbox
          LEFT JOIN order_event ON order_event.position = coalesce(exception.position, outbox.said)
     WHERE exception.order_id = ?1 GROUP BY stage, code, order_event.kind";

pub(super) const DELIVERIES: &str = "SELECT target, attempts, replays > 0, deadline_from,
            CASE state WHEN 'delivered' THEN due_at END,
            EXISTS (SELECT 1 FROM exception INDEXED BY exception_order
                    WHERE exception.order_id = ?2 AND exception.outbox = outbox.seq)
     FROM outbox INDEXED BY outbox_order WHERE order_seq = ?1 ORDER BY seq";

pub(super) fn orders(connection: &Connection, after: After, until: Instant, limit: u32) -> Result<Vec<MeasuredOrder>> {
    let mut statement = connection.prepare_cached(ORDERS).map_err(failed)?;
    let mut found = statement.query(params![after.at.0, signed(after.number)?, until.0, limit]).map_err(failed)?;
    let mut orders = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        orders.push(order(connection, row)?);
    }
    Ok(orders)
}

fn order(connection: &Connection, row: &Row<'_>) -> Result<MeasuredOrder> {
    let (seq, id): (i64, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
    let channel: String = row.get(2).map_err(failed)?;
    let said = said(connection, seq)?;
    let has_left =
        said.iter().any(|said| (said.kind, said.outcome) == (OrderEventKind::ShipmentConfirmed, EventOutcome::Applied));
    Ok(MeasuredOrder {
        number: unsigned(seq)?,
        channel: ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?,
        received_at: Instant(row.get(3).map_err(failed)?),
        decided_at: Instant(row.get(4).map_err(failed)?),
        progress: progress::of(row, 5)?,
        shipped_as: if has_left { shipped(connection, seq)? } else { None },
        said,
        exceptions: exceptions(connection, &id)?,
        deliveries: deliveries(connection, seq, &id)?,
    })
}

fn said(connection: &Connection, order_seq: i64) -> Result<Vec<SaidOfOrder>> {
    let mut statement = connection.prepare_cached(SAID).map_err(failed)?;
    let mut found = statement.query([order_seq]).map_err(failed)?;
    let mut said = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        said.push(SaidOfOrder {
            kind: kind(&row.get::<_, String>(0).map_err(failed)?)?,
            outcome: progress::outcome(row, 1)?,
            count: unsigned(row.get(2).map_err(failed)?)?,
            first_at: Instant(row.get(3).map_err(failed)?),
            last_at: Instant(row.get(4).map_err(failed)?),
        });
    }
    Ok(said)
}

fn shipped(connection: &Connection, order_seq: i64) -> Result<Option<PayloadRef>> {
    connection
        .prepare_cached(SHIPPED)
        .and_then(|mut shipped| shipped.query_row([order_seq], |row| payload_ref(row, 0)).optional())
        .map_err(failed)
}

fn exceptions(connection: &Connection, order: &str) -> Result<Vec<ExceptionsOfOrder>> {
    let mut statement = connection.prepare_cached(EXCEPTIONS).map_err(failed)?;
    let mut found = statement.query([order]).map_err(failed)?;
    let mut exceptions = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let about: Option<String> = row.get(2).map_err(failed)?;
        exceptions.push(ExceptionsOfOrder {
            stage: row.get(0).map_err(failed)?,
            code: row.get(1).map_err(failed)?,
            about: about.as_deref().map(kind).transpose()?,
            count: unsigned(row.get(3).map_err(failed)?)?,
            touches: unsigned(row.get(4).map_err(failed)?)?,
        });
    }
    Ok(exceptions)
}

fn deliveries(connection: &Connection, order_seq: i64, order: &str) -> Result<Vec<DeliveryMade>> {
    let mut statement = connection.prepare_cached(DELIVERIES).map_err(failed)?;
    let mut found = statement.query(params![order_seq, order]).map_err(failed)?;
    let mut deliveries = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        deliveries.push(DeliveryMade {
            target: row.get(0).map_err(failed)?,
            attempts: row.get(1).map_err(failed)?,
            replayed: row.get(2).map_err(failed)?,
            taken_up_at: Instant(row.get(3).map_err(failed)?),
            delivered_at: row.get::<_, Option<i64>>(4).map_err(failed)?.map(Instant),
            given_up: row.get(5).map_err(failed)?,
        });
    }
    Ok(deliveries)
}

fn kind(name: &str) -> Result<OrderEventKind> {
    OrderEventKind::of(name).ok_or_else(|| damaged("an order's event", &format!("unknown kind `{name}`")))
}
