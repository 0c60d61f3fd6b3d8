//! What happened to exceptions, merged of the two tables that say it, and how far subscribers
//! were told.
//!
//! INVARIANT: both numbers grow in commit order, for one writer gives them out. So behind a
//! place there is everything that was not told yet, and nothing appears before it later.

use portreeve_model::Instant;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{Result, signed, unsigned};
use super::{exception, failed};
use crate::contract::{ExceptionView, Happened, Happening, NoticePlace, StoreError};

pub(super) fn begin(tx: &Connection, subscribers: &[String]) -> Result<()> {
    let mut statement = tx.prepare_cached("SELECT subscriber FROM notice_place").map_err(failed)?;
    let known = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    let known: Vec<String> = known.collect::<rusqlite::Result<_>>().map_err(failed)?;
    for gone in known.iter().filter(|known| !subscribers.contains(known)) {
        tx.execute("DELETE FROM notice_place WHERE subscriber = ?1", [gone]).map_err(failed)?;
    }
    for new in subscribers.iter().filter(|subscriber| !known.contains(subscriber)) {
        tx.execute(
            "INSERT INTO notice_place (subscriber, exception, step)
             SELECT ?1, coalesce((SELECT max(id) FROM exception), 0), coalesce((SELECT max(seq) FROM exception_step), 0)",
            [new],
        )
        .map_err(failed)?;
    }
    Ok(())
}

pub(super) fn place(connection: &Connection, subscriber: &str) -> Result<Option<NoticePlace>> {
    let found: Option<(i64, i64)> = connection
        .prepare_cached("SELECT exception, step FROM notice_place WHERE subscriber = ?1")
        .and_then(|mut place| place.query_row([subscriber], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    let read = |(exception, step)| Ok(NoticePlace { exception: unsigned(exception)?, step: unsigned(step)? });
    found.map(read).transpose()
}

pub(super) fn advance(tx: &Connection, subscriber: &str, from: NoticePlace, to: NoticePlace) -> Result<bool> {
    match place(tx, subscriber)? {
        Some(found) if found == to => return Ok(true),
        Some(found) if found == from => {}
        Some(_) | None => return Ok(false),
    }
    let (exception, step) = (signed(to.exception)?, signed(to.step)?);
    tx.prepare_cached("UPDATE notice_place SET exception = ?2, step = ?3 WHERE subscriber = ?1")
        .and_then(|mut update| update.execute(params![subscriber, exception, step]))
        .map_err(failed)?;
    Ok(true)
}

/// A step, and the exception that it is one of.
struct Stepped {
    seq: u64,
    at: Instant,
    exception: ExceptionView,
    what: Happened,
}

pub(super) fn happenings(connection: &Connection, after: NoticePlace, limit: u32) -> Result<Vec<Happening>> {
    let mut opened = opened(connection, after.exception, limit)?.into_iter().peekable();
    let mut steps = steps(connection, after.step, limit)?.into_iter().peekable();
    let (mut place, mut happened) = (after, Vec::new());
    // Neither list is longer than what is taken of both, so none ends before its table does.
    while happened.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
        let opens_first = match (opened.peek(), steps.peek()) {
            (None, None) => break,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            // What has a step, and whatever opened before that, was open before it.
            (Some(new), Some(step)) => step.exception.id >= new.id || new.opened_at <= step.at,
        };
        if opens_first {
            let Some(exception) = opened.next() else { break };
            place.exception = exception.id;
            happened.push(Happening { place, at: exception.opened_at, what: Happened::Opened, exception });
        } else {
            let Some(Stepped { seq, at, exception, what }) = steps.next() else { break };
            place.step = seq;
            happened.push(Happening { place, at, what, exception });
        }
    }
    Ok(happened)
}

pub(super) fn opened_sql() -> String {
    format!("SELECT {} FROM exception WHERE id > ?1 ORDER BY id LIMIT ?2", exception::COLUMNS)
}

fn opened(connection: &Connection, after: u64, limit: u32) -> Result<Vec<ExceptionView>> {
    let mut statement = connection.prepare_cached(&opened_sql()).map_err(failed)?;
    exception::views(statement.query(params![signed(after)?, limit]).map_err(failed)?)
}

pub(super) const STEPS: &str = "SELECT seq, at, who, step, addressee, exception, queue FROM exception_step
         WHERE seq > ?1 ORDER BY seq LIMIT ?2";

fn steps(connection: &Connection, after: u64, limit: u32) -> Result<Vec<Stepped>> {
    let mut statement = connection.prepare_cached(STEPS).map_err(failed)?;
    let mut found = statement.query(params![signed(after)?, limit]).map_err(failed)?;
    let mut steps = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let number: i64 = row.get(5).map_err(failed)?;
        let what = Happened::Step {
            step: row.get(3).map_err(failed)?,
            who: row.get(2).map_err(failed)?,
            to: row.get(4).map_err(failed)?,
            queue: row.get(6).map_err(failed)?,
        };
        let exception = exception::one(connection, number)?;
        steps.push(Stepped {
            seq: unsigned(row.get(0).map_err(failed)?)?,
            at: Instant(row.get(1).map_err(failed)?),
            exception: exception
                .ok_or_else(|| StoreError::Damaged(format!("a step is of exception {number}, which is not there")))?,
            what,
        });
    }
    Ok(steps)
}
