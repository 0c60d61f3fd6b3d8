//! Plugins that are not called: what waits for a person because of that, opened and closed with
//! the record of the pause.
//!
//! INVARIANT: of one component and cause at most one exception is open. A pause that goes on, or
//! comes again before somebody decided, is the same one.

use portreeve_model::{Digest, Instant, PluginName};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{About, Result, damaged, digest, signed};
use super::{exception, failed};
use crate::contract::{CLEARED, ExceptionView, NewPause, PauseAbout, StoreError};

/// All calls, where one cause is meant otherwise.
const ALL_CALLS: &str = "";

const GOES_ON: &str = "UPDATE exception SET pauses = pauses + 1, paused_until = ?4, failure = ?5
         WHERE plugin = ?1 AND component = ?2 AND cause = ?3 AND closed_at IS NULL AND plugin IS NOT NULL";

/// A plugin is not called for a while. How long is no change of its exception: a pause of ten
/// minutes would use up the steps that people have in a week.
pub(super) fn begin(tx: &Connection, pause: &NewPause, at: Instant, leaf: i64) -> Result<()> {
    let (plugin, component) = (pause.plugin.as_str(), pause.component.as_bytes());
    let cause = pause.cause.as_deref().unwrap_or(ALL_CALLS);
    if pause.cause.is_none() {
        // Those of single causes are a part of it from now on.
        let causes = "plugin = ?1 AND component = ?2 AND cause <> ?3";
        clear(tx, causes, params![plugin, component, ALL_CALLS], at, leaf)?;
    }
    let known = tx
        .prepare_cached(GOES_ON)
        .and_then(|mut goes_on| goes_on.execute(params![plugin, component, cause, pause.until.0, pause.failure]))
        .map_err(failed)?;
    if known == 1 {
        return Ok(());
    }
    exception::insert(tx, &pause.exception, &About::default(), at)?;
    tx.prepare_cached(
        "UPDATE exception SET plugin = ?2, component = ?3, cause = ?4, failure = ?5, pauses = 1, paused_until = ?6
         WHERE id = ?1",
    )
    .and_then(|mut name| {
        name.execute(params![tx.last_insert_rowid(), plugin, component, cause, pause.failure, pause.until.0])
    })
    .map_err(failed)?;
    Ok(())
}

/// A component is called again, for one cause or altogether.
pub(super) fn end(
    tx: &Connection,
    plugin: &PluginName,
    component: Digest,
    cause: Option<&str>,
    at: Instant,
    leaf: i64,
) -> Result<()> {
    let which = "plugin = ?1 AND component = ?2 AND (?3 IS NULL OR cause = ?3)";
    clear(tx, which, params![plugin.as_str(), component.as_bytes(), cause], at, leaf)
}

/// A plugin begins anew, or ends.
pub(super) fn end_all(tx: &Connection, plugin: &PluginName, at: Instant, leaf: i64) -> Result<()> {
    clear(tx, "plugin = ?1", params![plugin.as_str()], at, leaf)
}

fn clear(tx: &Connection, which: &str, values: &[&dyn rusqlite::ToSql], at: Instant, leaf: i64) -> Result<()> {
    let open = format!(
        "SELECT id FROM exception INDEXED BY exception_plugin
         WHERE closed_at IS NULL AND plugin IS NOT NULL AND {which} ORDER BY id"
    );
    let open: Vec<i64> = tx
        .prepare_cached(&open)
        .and_then(|mut open| open.query_map(values, |row| row.get(0))?.collect())
        .map_err(failed)?;
    open.into_iter().try_for_each(|id| {
        exception::close(tx, id, at, None, CLEARED)?;
        exception::note_step(tx, id, at, CLEARED, leaf)
    })
}

/// Those that are open.
pub(super) fn open(connection: &Connection, after: u64, limit: u32) -> Result<Vec<(ExceptionView, PauseAbout)>> {
    let mut statement = connection.prepare_cached(&open_sql()).map_err(failed)?;
    let open = exception::views(statement.query(params![signed(after)?, limit]).map_err(failed)?)?;
    let with_pause = |exception: ExceptionView| {
        let pause = about(connection, signed(exception.id)?)?;
        let missing = || StoreError::Damaged(format!("exception {} is about no pause", exception.id));
        pause.ok_or_else(missing).map(|pause| (exception, pause))
    };
    open.into_iter().map(with_pause).collect()
}

pub(super) fn open_sql() -> String {
    format!(
        "SELECT {} FROM exception INDEXED BY exception_plugin
         WHERE closed_at IS NULL AND plugin IS NOT NULL AND id > ?1 ORDER BY id LIMIT ?2",
        exception::COLUMNS
    )
}

/// The pause that an exception is about, where it is about one.
pub(super) fn about(connection: &Connection, id: i64) -> Result<Option<PauseAbout>> {
    connection
        .prepare_cached(
            "SELECT plugin, component, cause, failure, pauses, paused_until FROM exception
             WHERE id = ?1 AND plugin IS NOT NULL",
        )
        .and_then(|mut about| about.query_row([id], |row| Ok(read(row))).optional())
        .map_err(failed)?
        .transpose()
}

fn read(row: &Row<'_>) -> Result<PauseAbout> {
    let (plugin, cause): (String, String) = (row.get(0).map_err(failed)?, row.get(2).map_err(failed)?);
    Ok(PauseAbout {
        plugin: PluginName::parse(&plugin).map_err(|error| damaged("a plugin's name", &error))?,
        component: digest(row, 1).map_err(failed)?,
        cause: Some(cause).filter(|cause| cause != ALL_CALLS),
        failure: row.get(3).map_err(failed)?,
        pauses: row.get(4).map_err(failed)?,
        until: Instant(row.get(5).map_err(failed)?),
    })
}

/// Writes that look for what they change.
#[cfg(test)]
pub(super) const WRITES: [&str; 1] = [GOES_ON];
