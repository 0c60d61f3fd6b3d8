//! Numbered interchanges: numbers that a delivery keeps, and what receivers say of them.
//!
//! INVARIANT: a number is taken in the transaction that gives it to a delivery, and a delivery
//! has one. So no number is given twice, and none is lost between two deliveries.

use portreeve_model::{ChannelId, Instant, OrderId, SenderId};
use portreeve_record::Leaf;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{self, About, Kept, Result, content, damaged, outbox_id, signed, unsigned};
use super::{dead_letter, exception, failed, trail};
use crate::contract::{
    DecisionCommit, DocumentPosition, Interchange, InterchangeAnswer, InterchangeView, NewAnswer, NewException,
    Numbering, StoreError,
};

/// The range of a receiver's numbers.
fn range(partner: &str) -> String {
    format!("interchange/{partner}")
}

/// The number of a delivery that somebody has claimed: its own, or the receiver's next. None
/// when the claim passed to somebody else.
pub(super) fn number(
    tx: &Connection,
    outbox: i64,
    epoch: i64,
    numbering: &Numbering,
    at: Instant,
) -> Result<Option<Interchange>> {
    let held = tx
        .prepare_cached("SELECT 1 FROM outbox WHERE seq = ?1 AND epoch = ?2 AND state = 'pending'")
        .and_then(|mut held| held.exists([outbox, epoch]))
        .map_err(failed)?;
    if !held {
        return Ok(None);
    }
    if let Some(known) = of(tx, outbox)? {
        return Ok(Some(known));
    }
    let number = rows::lease_numbers(tx, &range(&numbering.partner), 1)?;
    tx.prepare_cached(
        "INSERT INTO interchange (outbox, partner, number, numbered_at, within_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .and_then(|mut insert| {
        insert.execute(params![outbox, numbering.partner, signed_number(number), at.0, numbering.within_ms])
    })
    .map_err(failed)?;
    Ok(Some(Interchange { partner: numbering.partner.clone(), number, numbered_at: at, answer: None }))
}

/// A range that ran past what the database counts is a fault that the unique index finds.
fn signed_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a delivery is known by, where it has a number.
pub(super) fn of(connection: &Connection, outbox: i64) -> Result<Option<Interchange>> {
    let mut statement = connection
        .prepare_cached("SELECT partner, number, numbered_at, answer FROM interchange WHERE outbox = ?1")
        .map_err(failed)?;
    let mut rows = statement.query([outbox]).map_err(failed)?;
    rows.next().map_err(failed)?.map(|row| interchange(row, 0)).transpose()
}

/// What a row tells from a column on: partner, number, time and answer. None where it has no
/// number.
pub(super) fn if_numbered(row: &Row<'_>, column: usize) -> Result<Option<Interchange>> {
    let partner: Option<String> = row.get(column).map_err(failed)?;
    partner.map(|_| interchange(row, column)).transpose()
}

fn interchange(row: &Row<'_>, column: usize) -> Result<Interchange> {
    let answer: Option<String> = row.get(column.saturating_add(3)).map_err(failed)?;
    Ok(Interchange {
        partner: row.get(column).map_err(failed)?,
        number: unsigned(row.get(column.saturating_add(1)).map_err(failed)?)?,
        numbered_at: Instant(row.get(column.saturating_add(2)).map_err(failed)?),
        answer: answer.map(|word| read(&word)).transpose()?,
    })
}

fn read(word: &str) -> Result<InterchangeAnswer> {
    let known = InterchangeAnswer::parse(word);
    known.ok_or_else(|| StoreError::Damaged(format!("an interchange has the unknown answer `{word}`")))
}

/// The delivery is done: from now on the receiver's time runs.
pub(super) fn sent(tx: &Connection, outbox: i64, at: Instant) -> Result<()> {
    tx.prepare_cached("UPDATE interchange SET due_at = ?2 + within_ms WHERE outbox = ?1 AND answer IS NULL")
        .and_then(|mut update| update.execute([outbox, at.0]))
        .map_err(failed)?;
    Ok(())
}

/// Whether an attempt of a delivery did not surely do nothing.
const SENT: &str = "(outbox.unresolved OR outbox.doubts > 0 OR outbox.state = 'delivered')";

fn view_sql() -> String {
    format!(
        "SELECT interchange.partner, interchange.number, numbered_at, answer, interchange.said, interchange.due_at,
                outbox.order_id, outbox.target, outbox.kind, outbox.said, orders.channel, orders.sender, {SENT}
         FROM interchange JOIN outbox ON outbox.seq = interchange.outbox JOIN orders ON orders.seq = outbox.order_seq"
    )
}

fn view(row: &Row<'_>) -> Result<InterchangeView> {
    let order: String = row.get(6).map_err(failed)?;
    let target: String = row.get(7).map_err(failed)?;
    let said: Option<i64> = row.get(4).map_err(failed)?;
    let (channel, sender): (String, String) = (row.get(10).map_err(failed)?, row.get(11).map_err(failed)?);
    Ok(InterchangeView {
        interchange: interchange(row, 0)?,
        said: said.map(unsigned).transpose()?.map(DocumentPosition),
        sent: row.get(12).map_err(failed)?,
        due_at: row.get::<_, Option<i64>>(5).map_err(failed)?.map(Instant),
        outbox: outbox_id(row, 6, &target, 8, 9)?,
        order: OrderId::parse(&order).map_err(|error| damaged("an order id", &error))?,
        channel: ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?,
        sender: SenderId::authenticated(sender),
        kind: row.get(8).map_err(failed)?,
        content: content(row.get(9).map_err(failed)?),
        target,
    })
}

pub(super) fn numbered_sql() -> String {
    format!("{} WHERE interchange.partner = ?1 AND interchange.number = ?2", view_sql())
}

pub(super) fn numbered(connection: &Connection, partner: &str, number: u64) -> Result<Option<InterchangeView>> {
    // No number is above what the database counts.
    let Ok(number) = signed(number) else { return Ok(None) };
    let mut statement = connection.prepare_cached(&numbered_sql()).map_err(failed)?;
    let mut rows = statement.query(params![partner, number]).map_err(failed)?;
    rows.next().map_err(failed)?.map(view).transpose()
}

pub(super) fn overdue_sql() -> String {
    format!(
        "{} WHERE answer IS NULL AND interchange.exception IS NULL AND interchange.due_at <= ?1
         ORDER BY interchange.due_at, interchange.outbox LIMIT ?2",
        view_sql()
    )
}

/// What was to be answered by then, and of which nobody was told yet.
pub(super) fn overdue(connection: &Connection, at: Instant, limit: u32) -> Result<Vec<InterchangeView>> {
    let mut statement = connection.prepare_cached(&overdue_sql()).map_err(failed)?;
    let mut rows = statement.query(params![at.0, limit]).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(view(row)?);
    }
    Ok(found)
}

/// Tells people that an answer did not come; false when it came meanwhile, or they know.
pub(super) fn tell_overdue(
    tx: &Connection,
    partner: &str,
    number: u64,
    new: &NewException,
    at: Instant,
    leaf: &Leaf,
) -> Result<bool> {
    let waits: Option<(i64, i64, String)> = tx
        .prepare_cached(
            "SELECT interchange.outbox, outbox.order_seq, outbox.order_id
             FROM interchange JOIN outbox ON outbox.seq = interchange.outbox
             WHERE interchange.partner = ?1 AND interchange.number = ?2 AND answer IS NULL
               AND interchange.exception IS NULL AND interchange.due_at <= ?3",
        )
        .and_then(|mut waits| {
            waits
                .query_row(params![partner, signed_number(number), at.0], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()
        })
        .map_err(failed)?;
    let Some((outbox, order_seq, order)) = waits else { return Ok(false) };
    let order = OrderId::parse(&order).map_err(|error| damaged("an order id", &error))?;
    let about = About { order: Some(order), outbox: Some(exception::beside(outbox)), ..About::default() };
    exception::insert(tx, new, &about, at)?;
    let told = tx.last_insert_rowid();
    tx.prepare_cached("UPDATE interchange SET exception = ?2 WHERE outbox = ?1")
        .and_then(|mut update| update.execute([outbox, told]))
        .map_err(failed)?;
    trail::leaf_about_order(tx, leaf, order_seq)?;
    Ok(true)
}

/// Keeps what a receiver says of a delivery.
pub(super) fn answer(
    tx: &Connection,
    decision: &DecisionCommit,
    new: &NewAnswer,
    position: i64,
    kept: &Kept,
) -> Result<()> {
    let found = tx
        .prepare_cached(&format!(
            "SELECT interchange.outbox, outbox.order_seq, interchange.exception, answer, {SENT}
             FROM interchange JOIN outbox ON outbox.seq = interchange.outbox
             WHERE interchange.partner = ?1 AND interchange.number = ?2 AND outbox.order_id = ?3"
        ))
        .and_then(|mut found| {
            found
                .query_row(params![new.partner, signed_number(new.number), new.order.to_string()], |row| {
                    let (outbox, order_seq): (i64, i64) = (row.get(0)?, row.get(1)?);
                    let (told, before): (Option<i64>, Option<String>) = (row.get(2)?, row.get(3)?);
                    Ok((outbox, order_seq, told, before, row.get::<_, bool>(4)?))
                })
                .optional()
        })
        .map_err(failed)?;
    let unknown = || StoreError::Failed(format!("an answer names number {} of nobody's delivery", new.number));
    let (outbox, order_seq, told, before, sent) = found.ok_or_else(unknown)?;
    // The attempt that was under way when this was decided did nothing: there is nothing to answer.
    if !sent {
        return Err(StoreError::ProgressMoved { order: new.order });
    }
    if let Some(answer) = new.answer {
        // Another one was decided meanwhile: whoever decided this one had not seen it.
        if before.is_some() {
            return Err(StoreError::ProgressMoved { order: new.order });
        }
        tx.prepare_cached("UPDATE interchange SET answer = ?2, answered_at = ?3, said = ?4 WHERE outbox = ?1")
            .and_then(|mut update| update.execute(params![outbox, answer.as_str(), decision.at.0, position]))
            .map_err(failed)?;
        if let Some(told) = told {
            exception::clear_one(tx, told, decision.at, kept.leaf)?;
        }
        if answer != InterchangeAnswer::Rejected {
            dead_letter::arrived(tx, outbox, decision.at, kept.leaf)?;
        }
    }
    tx.prepare_cached("INSERT INTO order_leaf (order_seq, leaf) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute([order_seq, kept.leaf]))
        .map_err(failed)?;
    let about = About {
        order: Some(new.order),
        input: Some(decision.document.input),
        position: Some(position),
        ..About::default()
    };
    new.exceptions.iter().try_for_each(|new| exception::insert(tx, new, &about, decision.at))
}
