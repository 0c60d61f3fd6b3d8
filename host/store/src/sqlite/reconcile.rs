//! Findings of reconciliations: opened, kept up to date and closed with the run that says so.
//!
//! They stand in `kv`, whose rows of a plugin belong to its name: nobody has the empty one, so
//! these are the host's. One scope is one reconciliation; its row without a subject says how far it
//! is.
//!
//! ```text
//! subject   content (32), number of the exception (8)
//! ""        runs (8), last_at (8), figures: at, compared, agreeing, unsettled, differences (8 each)
//!           what is not there yet is left out: 8, 16 or 56 bytes
//! ```
//!
//! A scope beside it has the key that blinds the digests of the last run: one row without a subject,
//! of 64 bytes.
//!
//! INVARIANT: a subject has one finding, and at most its exception is open.

use portreeve_model::{Digest, Instant};
use portreeve_record::PayloadKey;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, About, Result, signed, unsigned};
use super::{exception, failed, operation};
use crate::contract::{Figures, Finding, NewRun, ReconciliationView, StandingFinding, StoreError};

/// Whose rows these are.
const HOST: &str = "";

/// The row that says how far a reconciliation is.
const STANDING: &str = "";

const WRITE: &str = "INSERT INTO kv (plugin, scope, key, value) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (plugin, scope, key) DO UPDATE SET value = excluded.value";

pub(super) const PAGE: &str = "SELECT key, value FROM kv
     WHERE plugin = ?1 AND scope = ?2 AND key > ?3 ORDER BY key LIMIT ?4";

/// How the exception of an open finding says what it is like now.
const SAY: &str = "UPDATE exception SET detail = ?2, revision = revision + 1
     WHERE id = ?1 AND closed_at IS NULL AND detail <> ?2";

fn scope(reconciliation: &str) -> String {
    format!("reconciliation/{reconciliation}")
}

fn key_scope(reconciliation: &str) -> String {
    format!("reconciliation-key/{reconciliation}")
}

/// What blinds the digests of the last run.
pub(super) fn key(connection: &Connection, reconciliation: &str) -> Result<Option<PayloadKey>> {
    let kept: Option<Vec<u8>> = connection
        .prepare_cached("SELECT value FROM kv WHERE plugin = ?1 AND scope = ?2 AND key = ?3")
        .and_then(|mut key| {
            key.query_row(params![HOST, key_scope(reconciliation), STANDING], |row| row.get(0)).optional()
        })
        .map_err(failed)?;
    kept.map(|bytes| PayloadKey::from_bytes(&bytes).map_err(|_| other_form())).transpose()
}

pub(super) fn view(connection: &Connection, reconciliation: &str) -> Result<ReconciliationView> {
    value(connection, reconciliation, STANDING)?.map_or_else(|| Ok(ReconciliationView::default()), |bytes| read(&bytes))
}

pub(super) fn findings(
    connection: &Connection,
    reconciliation: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<(String, Finding)>> {
    let mut statement = connection.prepare_cached(PAGE).map_err(failed)?;
    let after = after.unwrap_or(STANDING);
    let mut found = statement.query(params![HOST, scope(reconciliation), after, limit]).map_err(failed)?;
    let mut findings = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let (subject, value): (String, Vec<u8>) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        let (content, id) = finding(&value)?;
        let is_open = is_open(connection, id)?;
        findings.push((subject, Finding { content, exception: unsigned(id)?, is_open }));
    }
    Ok(findings)
}

/// Keeps a run.
pub(super) fn commit(tx: &Connection, run: &NewRun) -> Result<()> {
    if rows::leaf_known(tx, &run.leaf)? {
        return Ok(());
    }
    let before = view(tx, &run.reconciliation)?;
    if before.runs != run.after {
        return Err(StoreError::ReconciliationMoved { reconciliation: run.reconciliation.clone() });
    }
    let leaf = rows::insert_leaf_alone(tx, &run.leaf)?;
    operation::enter(tx, leaf, run.at)?;
    let mut now = ReconciliationView { runs: before.runs.saturating_add(1), ..before };
    if !run.is_dry {
        now = ReconciliationView { last_at: Some(run.at), figures: run.figures.or(before.figures), ..now };
        for new in &run.opened {
            exception::insert(tx, &new.exception, &About::default(), run.at)?;
            put_finding(tx, run, &new.subject, new.content, tx.last_insert_rowid())?;
        }
        run.standing.iter().try_for_each(|standing| stand(tx, run, standing))?;
        run.gone.iter().try_for_each(|subject| end(tx, run, subject, leaf))?;
    }
    tx.prepare_cached(WRITE)
        .and_then(|mut write| {
            write.execute(params![HOST, key_scope(&run.reconciliation), STANDING, run.key.to_bytes().as_slice()])
        })
        .map_err(failed)?;
    put(tx, &run.reconciliation, STANDING, &written(&now)?)
}

fn stand(tx: &Connection, run: &NewRun, standing: &StandingFinding) -> Result<()> {
    let StandingFinding { subject, content, detail } = standing;
    let Some(known) = value(tx, &run.reconciliation, subject)? else { return Ok(()) };
    let (_, id) = finding(&known)?;
    // One that a person closed since keeps the values that he closed.
    if !is_open(tx, id)? {
        return Ok(());
    }
    tx.prepare_cached(SAY).and_then(|mut say| say.execute(params![id, detail])).map_err(failed)?;
    put_finding(tx, run, subject, *content, id)
}

fn end(tx: &Connection, run: &NewRun, subject: &str, leaf: i64) -> Result<()> {
    let Some(known) = value(tx, &run.reconciliation, subject)? else { return Ok(()) };
    let (_, id) = finding(&known)?;
    exception::clear_one(tx, id, run.at, leaf)?;
    tx.prepare_cached("DELETE FROM kv WHERE plugin = ?1 AND scope = ?2 AND key = ?3")
        .and_then(|mut delete| delete.execute(params![HOST, scope(&run.reconciliation), subject]))
        .map_err(failed)?;
    Ok(())
}

fn is_open(connection: &Connection, id: i64) -> Result<bool> {
    Ok(exception::one(connection, id)?.is_some_and(|exception| exception.closed.is_none()))
}

fn put_finding(tx: &Connection, run: &NewRun, subject: &str, content: Digest, id: i64) -> Result<()> {
    put(tx, &run.reconciliation, subject, &[content.as_bytes().as_slice(), &id.to_be_bytes()].concat())
}

fn put(tx: &Connection, reconciliation: &str, subject: &str, value: &[u8]) -> Result<()> {
    tx.prepare_cached(WRITE)
        .and_then(|mut write| write.execute(params![HOST, scope(reconciliation), subject, value]))
        .map_err(failed)?;
    Ok(())
}

fn value(connection: &Connection, reconciliation: &str, subject: &str) -> Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM kv WHERE plugin = ?1 AND scope = ?2 AND key = ?3")
        .and_then(|mut value| {
            value.query_row(params![HOST, scope(reconciliation), subject], |row| row.get(0)).optional()
        })
        .map_err(failed)
}

fn other_form() -> StoreError {
    StoreError::Damaged("what is kept of a reconciliation has another form than it is written in".to_owned())
}

fn finding(value: &[u8]) -> Result<(Digest, i64)> {
    let (content, id) = value.split_first_chunk::<32>().ok_or_else(other_form)?;
    let id = id.try_into().map_err(|_| other_form())?;
    Ok((Digest::from_bytes(*content), i64::from_be_bytes(id)))
}

fn written(view: &ReconciliationView) -> Result<Vec<u8>> {
    let mut numbers = vec![signed(view.runs)?];
    if let Some(last_at) = view.last_at {
        numbers.push(last_at.0);
    }
    if let (Some(_), Some(figures)) = (view.last_at, view.figures) {
        let Figures { at, compared, agreeing, unsettled, differences } = figures;
        numbers.push(at.0);
        for count in [compared, agreeing, unsettled, differences] {
            numbers.push(signed(count)?);
        }
    }
    Ok(numbers.into_iter().flat_map(i64::to_be_bytes).collect())
}

fn read(bytes: &[u8]) -> Result<ReconciliationView> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let numbers: Vec<i64> = chunks.iter().copied().map(i64::from_be_bytes).collect();
    match (numbers.as_slice(), rest) {
        (&[runs], []) => Ok(ReconciliationView { runs: unsigned(runs)?, ..ReconciliationView::default() }),
        (&[runs, last_at], []) => {
            Ok(ReconciliationView { runs: unsigned(runs)?, last_at: Some(Instant(last_at)), figures: None })
        }
        (&[runs, last_at, at, compared, agreeing, unsettled, differences], []) => {
            let figures = Figures {
                at: Instant(at),
                compared: unsigned(compared)?,
                agreeing: unsigned(agreeing)?,
                unsettled: unsigned(unsettled)?,
                differences: unsigned(differences)?,
            };
            Ok(ReconciliationView { runs: unsigned(runs)?, last_at: Some(Instant(last_at)), figures: Some(figures) })
        }
        _ => Err(other_form()),
    }
}
