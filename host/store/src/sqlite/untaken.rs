//! Inputs of which nothing was taken, and the bytes of any. The index of dispositions leaves out what
//! nearly all inputs are, so a page costs what there is of the others, however many inputs there are.

use portreeve_model::{ChannelId, Instant};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::contract::{InputContent, InputId, Untaken, UntakenInput, UntakenWanted};
use crate::sqlite::failed;
use crate::sqlite::rows::{Result, damaged, digest, payload_ref, signed, unsigned};

const INPUTS: &str = "SELECT input.seq, input.id, input.channel, input.sender, input.received_at, input.disposition,
            coalesce((SELECT commitment FROM payload WHERE payload.id = input.payload), zeroblob(32)), input.payload,
            (SELECT bytes FROM leaf WHERE leaf.seq = input.leaf), input.forgotten_at, exception.id, exception.detail
     FROM input";

/// The first exception about the whole of one.
const ABOUT: &str = "LEFT JOIN exception ON exception.id =
          (SELECT min(about.id) FROM exception AS about
           WHERE about.input = input.id AND about.order_id IS NULL AND about.position IS NULL)";

/// Those of one disposition, in the order of the index.
pub(super) fn page() -> String {
    format!(
        "{INPUTS} INDEXED BY input_disposition {ABOUT}
         WHERE input.disposition = ?1 AND input.disposition <> 'documents' AND input.seq > ?2
           AND (?3 IS NULL OR input.channel = ?3) AND (?4 IS NULL OR input.received_at >= ?4)
         ORDER BY input.seq LIMIT ?5"
    )
}

pub(super) fn list(connection: &Connection, wanted: &UntakenWanted) -> Result<Vec<UntakenInput>> {
    let mut inputs = Vec::new();
    for how in Untaken::ALL.into_iter().filter(|how| wanted.how.is_none_or(|wanted| wanted == *how)) {
        let mut statement = connection.prepare_cached(&page()).map_err(failed)?;
        let (channel, since) = (wanted.channel.as_ref().map(ChannelId::as_str), wanted.since.map(|since| since.0));
        let values = params![how.as_str(), signed(wanted.after)?, channel, since, wanted.limit];
        let mut rows = statement.query(values).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            inputs.push(input(row)?);
        }
    }
    inputs.sort_unstable_by_key(|input| input.number);
    inputs.truncate(usize::try_from(wanted.limit).unwrap_or(usize::MAX));
    Ok(inputs)
}

pub(super) fn one(connection: &Connection, id: InputId) -> Result<Option<UntakenInput>> {
    let mut statement = connection
        .prepare_cached(&format!("{INPUTS} {ABOUT} WHERE input.id = ?1 AND input.disposition <> 'documents'"))
        .map_err(failed)?;
    statement.query_row([id.0.as_bytes()], |row| Ok(input(row))).optional().map_err(failed)?.transpose()
}

/// Of any input its channel and its bytes.
pub(super) const CONTENT: &str =
    "SELECT channel, coalesce((SELECT commitment FROM payload WHERE payload.id = input.payload), zeroblob(32)),
            payload, forgotten_at
     FROM input WHERE id = ?1";

pub(super) fn content(connection: &Connection, id: InputId) -> Result<Option<InputContent>> {
    let mut statement = connection.prepare_cached(CONTENT).map_err(failed)?;
    let mut rows = statement.query([id.0.as_bytes()]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let channel: String = row.get(0).map_err(failed)?;
    Ok(Some(InputContent {
        channel: ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?,
        content: payload_ref(row, 1).map_err(failed)?,
        forgotten_at: row.get::<_, Option<i64>>(3).map_err(failed)?.map(Instant),
    }))
}

fn input(row: &Row<'_>) -> Result<UntakenInput> {
    let (channel, how): (String, String) = (row.get(2).map_err(failed)?, row.get(5).map_err(failed)?);
    let exception: Option<i64> = row.get(10).map_err(failed)?;
    let detail: Option<String> = row.get(11).map_err(failed)?;
    Ok(UntakenInput {
        number: unsigned(row.get(0).map_err(failed)?)?,
        id: InputId(digest(row, 1).map_err(failed)?),
        channel: ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?,
        sender: row.get(3).map_err(failed)?,
        received_at: Instant(row.get(4).map_err(failed)?),
        how: Untaken::parse(&how).ok_or_else(|| damaged("a disposition", &how))?,
        content: payload_ref(row, 6).map_err(failed)?,
        leaf: row.get(8).map_err(failed)?,
        exception: exception.map(unsigned).transpose()?.zip(detail),
        forgotten_at: row.get::<_, Option<i64>>(9).map_err(failed)?.map(Instant),
    })
}
