//! Envelopes: which input was the first to bring one, and where that input's reply
//! answers it. The answer itself is not kept a second time.

use portreeve_model::document::Span;
use rusqlite::{Connection, OptionalExtension, params};

use crate::contract::{InputId, JournalEntry, KnownEnvelope, NewEnvelope};
use crate::sqlite::failed;
use crate::sqlite::rows::{Result, digest, signed, unsigned};

/// Those of an input's envelopes that an earlier one brought.
pub(super) fn known(tx: &Connection, entry: &JournalEntry) -> Result<Vec<KnownEnvelope>> {
    let mut statement = tx
        .prepare_cached(
            "SELECT content, input, answer_offset, answer_length FROM envelope
             WHERE channel = ?1 AND sender = ?2 AND key = ?3",
        )
        .map_err(failed)?;
    let mut known = Vec::new();
    for NewEnvelope { key, .. } in &entry.envelopes {
        let found = statement
            .query_row(params![entry.channel.as_str(), entry.sender.as_str(), key], |row| {
                let answer = row.get::<_, Option<i64>>(2)?.zip(row.get::<_, Option<i64>>(3)?);
                Ok((digest(row, 0)?, digest(row, 1)?, answer))
            })
            .optional()
            .map_err(failed)?;
        if let Some((content, input, answer)) = found {
            let answer = answer.map(|(offset, length)| span(offset, length)).transpose()?;
            known.push(KnownEnvelope {
                input: InputId(input),
                first: NewEnvelope { key: key.clone(), content, answer },
            });
        }
    }
    Ok(known)
}

/// Keeps the envelopes of an input that is the first to bring each of them.
pub(super) fn insert(tx: &Connection, entry: &JournalEntry, input: InputId) -> Result<()> {
    let mut statement = tx
        .prepare_cached(
            "INSERT INTO envelope (channel, sender, key, content, input, answer_offset, answer_length)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .map_err(failed)?;
    for NewEnvelope { key, content, answer } in &entry.envelopes {
        let offset = answer.map(|span| signed(span.offset_bytes)).transpose()?;
        let length = answer.map(|span| signed(span.length_bytes)).transpose()?;
        statement
            .execute(params![
                entry.channel.as_str(),
                entry.sender.as_str(),
                key,
                content.as_bytes(),
                input.0.as_bytes(),
                offset,
                length
            ])
            .map_err(failed)?;
    }
    Ok(())
}

fn span(offset: i64, length: i64) -> Result<Span> {
    Ok(Span { offset_bytes: unsigned(offset)?, length_bytes: unsigned(length)? })
}
