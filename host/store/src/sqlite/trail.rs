//! Reading for people: an order's whole story, and pages of orders and exceptions.
//!
//! A leaf names its order inside its canonical bytes, where no index looks. So
//! inputs, orders and their later events name the leaf that they came with, and
//! whatever else is about an order has a row that says so, in the same transaction;
//! an order's story costs as much as the order has leaves, however long the log is.

use portreeve_model::{ChannelId, Instant, OrderId, SenderId};
use portreeve_record::Leaf;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, Result};
use crate::contract::{
    DocumentPosition, DocumentView, ExceptionView, InputId, InputView, OrderState, OrderTrail, OrderView, TrailLeaf,
};
use crate::sqlite::order_numbers::Numbers;
use crate::sqlite::{exception, failed, kept_back, order_event};

/// Keeps a leaf, and that it is about the order with this number. Says the leaf's own.
pub(super) fn leaf_about_order(tx: &Connection, leaf: &Leaf, order_seq: i64) -> Result<i64> {
    let leaf = rows::insert_leaf(tx, leaf)?;
    tx.prepare_cached("INSERT INTO order_leaf (order_seq, leaf) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute([order_seq, leaf]))
        .map_err(failed)?;
    Ok(leaf)
}

pub(super) fn order_trail(connection: &Connection, id: OrderId, numbers: &Numbers) -> Result<Option<OrderTrail>> {
    let text = id.to_string();
    let found = connection
        .prepare_cached(
            "SELECT input.id, document.idx, document.kind, input.channel, input.sender, input.received_at,
                    input.disposition
             FROM orders JOIN document ON document.position = orders.position JOIN input ON input.seq = document.input
             WHERE orders.id = ?1",
        )
        .map_err(failed)?
        .query_row([&text], |row| {
            Ok((
                rows::digest(row, 0)?,
                row.get::<_, u32>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, i64>(5)?,
                row.get::<_, String>(6)?,
            ))
        })
        .optional()
        .map_err(failed)?;
    let Some((input, document, kind, channel, sender, received_at, disposition)) = found else { return Ok(None) };
    let input = InputView {
        id: InputId(input),
        document,
        kind,
        channel: ChannelId::parse(&channel).map_err(|error| rows::damaged("a channel", &error))?,
        sender,
        received_at: Instant(received_at),
        disposition,
    };
    let holds = kept_back::holds(connection, &text)?;
    let reviews = kept_back::reviews(connection, &text)?;
    let exceptions = exceptions_of(connection, &text, input.id)?;
    let leaves = leaves(connection, &text)?;
    let events = order_event::latest(connection, &text)?;
    let progress = order_event::standing(connection, id, numbers)?.progress;
    Ok(Some(OrderTrail { input, holds, reviews, exceptions, events, progress, leaves }))
}

/// Those of the order, and those of its whole input.
fn exceptions_of(connection: &Connection, order: &str, input: InputId) -> Result<Vec<ExceptionView>> {
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {} FROM exception WHERE order_id = ?1
             UNION SELECT {} FROM exception WHERE input = ?2 AND order_id IS NULL AND position IS NULL ORDER BY 1",
            exception::COLUMNS,
            exception::COLUMNS
        ))
        .map_err(failed)?;
    let mut found = statement.query(params![order, input.0.as_bytes()]).map_err(failed)?;
    let mut exceptions = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        exceptions.push(exception::view(row)?);
    }
    Ok(exceptions)
}

pub(super) const LEAVES: &str = "WITH own AS (SELECT orders.seq AS seq, orders.leaf AS decided, input.leaf AS accepted,
                         input.forgotten_leaf AS forgotten
                  FROM orders JOIN document ON document.position = orders.position
                       JOIN input ON input.seq = document.input
                  WHERE orders.id = ?1)
     SELECT leaf.seq, leaf.id, leaf.bytes FROM leaf
     WHERE leaf.seq IN (SELECT accepted FROM own UNION SELECT decided FROM own UNION SELECT forgotten FROM own
                        UNION SELECT order_event.leaf FROM own JOIN order_event ON order_event.order_seq = own.seq
                        UNION SELECT order_leaf.leaf FROM own JOIN order_leaf ON order_leaf.order_seq = own.seq)
     ORDER BY leaf.seq";

/// Those of the order and of its whole input.
fn leaves(connection: &Connection, order: &str) -> Result<Vec<TrailLeaf>> {
    let sequenced_to = rows::sequenced_to(connection)?;
    connection
        .prepare_cached(LEAVES)
        .map_err(failed)?
        .query_map([order], |row| Ok((row.get::<_, i64>(0)?, rows::digest(row, 1)?, row.get(2)?)))
        .map_err(failed)?
        .map(|row| {
            let (seq, id, bytes) = row.map_err(failed)?;
            Ok(TrailLeaf { index: rows::index_of(seq, sequenced_to)?, id, bytes })
        })
        .collect()
}

pub(super) fn input_documents(connection: &Connection, input: InputId, limit: u32) -> Result<Vec<DocumentView>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT position, kind, key, channel, sender, received_at, payload, content, again FROM document
             WHERE input = (SELECT seq FROM input WHERE id = ?1) ORDER BY idx LIMIT ?2",
        )
        .map_err(failed)?;
    let mut found = statement.query(params![input.0.as_bytes(), limit]).map_err(failed)?;
    let mut documents = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let channel: String = row.get(3).map_err(failed)?;
        let sender: String = row.get(4).map_err(failed)?;
        let (position, key): (i64, String) = (row.get(0).map_err(failed)?, row.get(2).map_err(failed)?);
        let content = rows::digest(row, 7).map_err(failed)?;
        documents.push(DocumentView {
            position: DocumentPosition(rows::unsigned(position)?),
            kind: row.get(1).map_err(failed)?,
            first: if row.get(8).map_err(failed)? {
                rows::first_decided(connection, &channel, &sender, &key, position, content)?
            } else {
                rows::first_document(connection, &channel, &sender, &key, position, content)?
            },
            key,
            channel: ChannelId::parse(&channel).map_err(|error| rows::damaged("a channel", &error))?,
            sender: SenderId::authenticated(&sender),
            received_at: Instant(row.get(5).map_err(failed)?),
            body: rows::payload_at(connection, row.get(6).map_err(failed)?)?.1.0,
        });
    }
    Ok(documents)
}

pub(super) fn document_received(
    connection: &Connection,
    document: DocumentPosition,
) -> Result<Option<(ChannelId, Instant)>> {
    let position = rows::signed(document.0)?;
    let found: Option<(String, i64)> = connection
        .prepare_cached("SELECT channel, received_at FROM document WHERE position = ?1")
        .and_then(|mut found| found.query_row([position], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    let Some((channel, received_at)) = found else { return Ok(None) };
    let channel = ChannelId::parse(&channel).map_err(|error| rows::damaged("a channel", &error))?;
    Ok(Some((channel, Instant(received_at))))
}

pub(super) fn orders_in(
    connection: &Connection,
    state: OrderState,
    after: DocumentPosition,
    limit: u32,
) -> Result<Vec<OrderView>> {
    // The index leaves out what nearly all orders are.
    let unusual = if state == OrderState::Released { "" } else { "AND state <> 'released'" };
    let mut statement = connection
        .prepare_cached(&format!(
            "{} WHERE state = ?1 {unusual} AND position > ?2 ORDER BY position LIMIT ?3",
            rows::ORDERS
        ))
        .map_err(failed)?;
    let mut found = statement.query(params![state.as_str(), rows::signed(after.0)?, limit]).map_err(failed)?;
    let mut orders = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        orders.push(rows::order_view(connection, row)?);
    }
    Ok(orders)
}

pub(super) fn orders_numbered(connection: &Connection, number: &str, limit: u32) -> Result<Vec<OrderView>> {
    let mut statement = connection
        .prepare_cached(&format!("{} WHERE number = ?1 ORDER BY position LIMIT ?2", rows::ORDERS))
        .map_err(failed)?;
    let mut found = statement.query(params![number, limit]).map_err(failed)?;
    let mut orders = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        orders.push(rows::order_view(connection, row)?);
    }
    Ok(orders)
}

pub(super) fn exceptions_open(connection: &Connection) -> Result<u64> {
    let count: i64 = connection
        .query_row("SELECT count(*) FROM exception WHERE closed_at IS NULL", [], |row| row.get(0))
        .map_err(failed)?;
    rows::unsigned(count)
}
