//! How models and people get on with each other: what is counted when it happens, and what is
//! gone through later.
//!
//! What scorers propose is counted by the hour, since there is as much of it as there are
//! orders. What people do is as little as there are exceptions, and is read row by row.

use std::collections::BTreeMap;

use portreeve_model::{ExceptionKind, Instant};
use rusqlite::{Connection, params};

use super::failed;
use super::rows::{Result, damaged, digest, signed, unsigned};
use crate::contract::{After, JudgedHold, Period, StepTaken, WeighedProposal};

fn hour(at: Instant) -> i64 {
    at.0.div_euclid(Instant::HOUR_MS)
}

/// Counts what became of an order's proposals.
pub(super) fn weighed(tx: &Connection, proposals: &[WeighedProposal], at: Instant) -> Result<()> {
    for weighed in proposals {
        tx.prepare_cached(
            "INSERT INTO weighed_hour (hour, plugin, component, proposed, outcome, clause, proposals)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)
             ON CONFLICT DO UPDATE SET proposals = proposals + 1",
        )
        .and_then(|mut count| {
            count.execute(params![
                hour(at),
                weighed.plugin,
                weighed.component.as_bytes(),
                weighed.proposed,
                weighed.outcome,
                weighed.clause,
            ])
        })
        .map_err(failed)?;
    }
    Ok(())
}

/// A person decided about what a model held: this is its last word on it.
pub(super) fn judge(tx: &Connection, hold: i64, at: Instant, how: &str) -> Result<()> {
    tx.prepare_cached(
        "UPDATE hold SET judged_at = ?2, judged_how = ?3 WHERE id = ?1 AND plugin IS NOT NULL AND component IS NOT NULL",
    )
    .and_then(|mut judge| judge.execute(params![hold, at.0, how]))
    .map_err(failed)?;
    Ok(())
}

/// What became of proposals, in hours that begin within the period.
pub(super) fn weighed_in(connection: &Connection, period: Period) -> Result<BTreeMap<WeighedProposal, u64>> {
    let mut statement = connection.prepare_cached(WEIGHED).map_err(failed)?;
    let mut found =
        statement.query(params![hour(period.from), hour(Instant(period.until.0.saturating_sub(1)))]).map_err(failed)?;
    let mut counts = BTreeMap::new();
    while let Some(row) = found.next().map_err(failed)? {
        let weighed = WeighedProposal {
            plugin: row.get(0).map_err(failed)?,
            component: digest(row, 1).map_err(failed)?,
            proposed: row.get(2).map_err(failed)?,
            outcome: row.get(3).map_err(failed)?,
            clause: row.get(4).map_err(failed)?,
        };
        counts.insert(weighed, unsigned(row.get(5).map_err(failed)?)?);
    }
    Ok(counts)
}

pub(super) const WEIGHED: &str = "SELECT plugin, component, proposed, outcome, clause, sum(proposals) FROM weighed_hour
     WHERE hour >= ?1 AND hour <= ?2 GROUP BY plugin, component, proposed, outcome, clause";

pub(super) const JUDGED: &str = "SELECT id, plugin, component, judged_how, opened_at, judged_at
     FROM hold INDEXED BY hold_judged
     WHERE judged_at IS NOT NULL AND (judged_at, id) > (?1, ?2) AND judged_at < ?3 ORDER BY judged_at, id LIMIT ?4";

pub(super) fn judged(connection: &Connection, after: After, until: Instant, limit: u32) -> Result<Vec<JudgedHold>> {
    let mut statement = connection.prepare_cached(JUDGED).map_err(failed)?;
    let mut found = statement.query(params![after.at.0, signed(after.number)?, until.0, limit]).map_err(failed)?;
    let mut holds = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        holds.push(JudgedHold {
            hold: unsigned(row.get(0).map_err(failed)?)?,
            plugin: row.get(1).map_err(failed)?,
            component: digest(row, 2).map_err(failed)?,
            how: row.get(3).map_err(failed)?,
            opened_at: Instant(row.get(4).map_err(failed)?),
            at: Instant(row.get(5).map_err(failed)?),
        });
    }
    Ok(holds)
}

pub(super) const STEPS_TAKEN: &str =
    "SELECT step.seq, step.exception, exception.opened_at, step.at, step.who, step.step,
            step.queue, step.since,
            CASE WHEN step.step IN ('claimed', 'assigned') THEN
              NOT EXISTS (SELECT 1 FROM exception_step AS before
                          WHERE before.exception = step.exception AND before.seq < step.seq
                            AND before.step IN ('claimed', 'assigned')) ELSE 0 END,
            exception.kind
     FROM exception_step AS step INDEXED BY exception_step_at JOIN exception ON exception.id = step.exception
     WHERE (step.at, step.seq) > (?1, ?2) AND step.at < ?3 ORDER BY step.at, step.seq LIMIT ?4";

pub(super) fn steps_taken(connection: &Connection, after: After, until: Instant, limit: u32) -> Result<Vec<StepTaken>> {
    let mut statement = connection.prepare_cached(STEPS_TAKEN).map_err(failed)?;
    let mut found = statement.query(params![after.at.0, signed(after.number)?, until.0, limit]).map_err(failed)?;
    let mut steps = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let kind: String = row.get(9).map_err(failed)?;
        steps.push(StepTaken {
            seq: unsigned(row.get(0).map_err(failed)?)?,
            exception: unsigned(row.get(1).map_err(failed)?)?,
            kind: ExceptionKind::parse(&kind)
                .ok_or_else(|| damaged("an exception", &format!("unknown kind `{kind}`")))?,
            opened_at: Instant(row.get(2).map_err(failed)?),
            at: Instant(row.get(3).map_err(failed)?),
            who: row.get(4).map_err(failed)?,
            step: row.get(5).map_err(failed)?,
            queue: row.get(6).map_err(failed)?,
            since: Instant(row.get(7).map_err(failed)?),
            is_first: row.get(8).map_err(failed)?,
        });
    }
    Ok(steps)
}
