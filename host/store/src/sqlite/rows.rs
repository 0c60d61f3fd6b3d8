//! Rows: each function is one operation of the contract, inside somebody
//! else's transaction (writes) or on the reading connection (reads).
//!
//! INVARIANT: a function that changes state takes a leaf and inserts it; nothing
//! here begins or commits.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::reference::Row as ReferenceRow;
use portreeve_model::{
    ChannelId, Currency, Digest, ExceptionKind, Instant, ItemId, Matter, Money, OrderId, PluginName, Reply, SenderId,
};
use portreeve_record::{Leaf, PayloadKey, Sealed};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::contract::{
    Configuration, Content, Decided, DecisionCommit, DeliveryView, Disposition, DocumentPosition, GONE, HoldOwner,
    InputId, InterchangeAnswer, JournalEntry, JournalOutcome, Lease, NewHold, NewOrder, NewOutbox, NewPayload,
    OpenPayload, OrderState, OrderView, OutboxId, PartKind, PayloadRef, ReferenceTable, ReferenceWanted, Room,
    Settlement, StateChanges, StoreError, TreeHead, UnsequencedLeaf,
};
use crate::proof::{Committed, FirstDocument, Journaled, Permit, Settled, Taken};
use crate::sqlite::order_numbers::Numbers;
use crate::sqlite::{
    budget, credit, dead_letter, envelope, exception, failed, find, history, interchange, level, operation,
    order_event, oversight, package, poll, trail,
};

pub(super) type Result<T> = std::result::Result<T, StoreError>;

// --- configuration and reference tables -------------------------------------------------------

pub(super) fn activate_configuration(tx: &Connection, bytes: &[u8], at: Instant, leaves: &[Leaf]) -> Result<u64> {
    let (own, about_plugins) =
        leaves.split_first().ok_or_else(|| StoreError::Failed("a configuration came without a leaf".into()))?;
    let digest = Digest::of(bytes);
    let version = match active_configuration(tx)? {
        Some(active) if active.digest == digest => active.version,
        _ => {
            let version = insert_configuration(tx, bytes, at)?;
            package::unstage_all(tx)?;
            operation::enter(tx, insert_leaf_alone(tx, own)?, at)?;
            version
        }
    };
    about_plugins.iter().try_for_each(|leaf| operation::enter(tx, insert_leaf(tx, leaf)?, at))?;
    Ok(version)
}

/// The version after one that the caller built on, if that one is still the last.
pub(super) fn next_configuration(tx: &Connection, after: u64, bytes: &[u8], at: Instant) -> Result<()> {
    let found = active_configuration(tx)?.map_or(0, |active| active.version);
    if found != after {
        return Err(StoreError::ConfigurationMoved { expected: after, found });
    }
    insert_configuration(tx, bytes, at).map(|_| ())
}

fn insert_configuration(tx: &Connection, bytes: &[u8], at: Instant) -> Result<u64> {
    tx.execute(
        "INSERT INTO configuration (digest, bytes, activated_at) VALUES (?1, ?2, ?3)",
        params![Digest::of(bytes).as_bytes(), bytes, at.0],
    )
    .map_err(failed)?;
    unsigned(tx.last_insert_rowid())
}

pub(super) fn active_configuration(connection: &Connection) -> Result<Option<Configuration>> {
    connection
        .prepare_cached("SELECT version, digest, bytes FROM configuration ORDER BY version DESC LIMIT 1")
        .map_err(failed)?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, digest(row, 1)?, row.get(2)?)))
        .optional()
        .map_err(failed)?
        .map(|(version, digest, bytes)| Ok(Configuration { version: unsigned(version)?, digest, bytes }))
        .transpose()
}

pub(super) fn load_reference(
    tx: &Connection,
    table: &str,
    rows: &[(String, ReferenceRow)],
    leaf: &Leaf,
) -> Result<u64> {
    if let Some(version) = loaded_before(tx, table, rows, leaf)? {
        return Ok(version);
    }
    let at = Leaf::parse(leaf.bytes()).map_err(|error| StoreError::Failed(error.to_string()))?.at;
    let loaded_at = credit::table_loaded(tx, table, rows, at)?;
    tx.execute("DELETE FROM reference_row WHERE name = ?1", [table]).map_err(failed)?;
    let mut insert =
        tx.prepare_cached("INSERT INTO reference_row (name, key, row) VALUES (?1, ?2, ?3)").map_err(failed)?;
    for (key, row) in rows {
        let json = row.to_json().map_err(|error| StoreError::Failed(error.to_string()))?;
        insert.execute(params![table, key, json]).map_err(failed)?;
    }
    let version: i64 = tx
        .query_row(
            "INSERT INTO reference_table (name, version, loaded_at) VALUES (?1, 1, ?2)
             ON CONFLICT (name) DO UPDATE SET version = version + 1, loaded_at = excluded.loaded_at
             RETURNING version",
            params![table, loaded_at.0],
            |row| row.get(0),
        )
        .map_err(failed)?;
    insert_leaf_alone(tx, leaf)?;
    unsigned(version)
}

/// All in one read, which is a snapshot: a configuration that is activated replaces
/// several at once, and nobody may see some of the old ones beside some of the new.
pub(super) fn references(connection: &Connection, wanted: &[ReferenceWanted]) -> Result<Vec<Option<ReferenceTable>>> {
    wanted.iter().map(|wanted| reference(connection, wanted)).collect()
}

fn reference(connection: &Connection, wanted: &ReferenceWanted) -> Result<Option<ReferenceTable>> {
    let Some(version) = reference_version(connection, &wanted.table)? else { return Ok(None) };
    if wanted.known == Some(version) {
        return Ok(Some(ReferenceTable { version, rows: None }));
    }
    let mut statement =
        connection.prepare_cached("SELECT key, row FROM reference_row WHERE name = ?1 ORDER BY key").map_err(failed)?;
    let rows = statement
        .query_map([&wanted.table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .map_err(failed)?
        .map(|row| {
            let (key, json) = row.map_err(failed)?;
            let row = ReferenceRow::from_json(&json).map_err(|error| damaged("a reference row", &error))?;
            Ok((key, row))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(ReferenceTable { version, rows: Some(rows) }))
}

/// The version that this very write made before. A known leaf that came with other
/// rows is no repetition, and then fails as any leaf that cannot be entered.
fn loaded_before(tx: &Connection, table: &str, rows: &[(String, ReferenceRow)], leaf: &Leaf) -> Result<Option<u64>> {
    if !leaf_known(tx, leaf)? {
        return Ok(None);
    }
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let loaded = reference(tx, &ReferenceWanted { table: table.to_owned(), known: None })?;
    let same = |table: &ReferenceTable| table.rows.as_ref().is_some_and(|known| known.iter().eq(rows.iter().copied()));
    Ok(loaded.filter(same).map(|table| table.version))
}

fn reference_version(connection: &Connection, table: &str) -> Result<Option<u64>> {
    connection
        .prepare_cached("SELECT version FROM reference_table WHERE name = ?1")
        .map_err(failed)?
        .query_row([table], |row| row.get(0))
        .optional()
        .map_err(failed)?
        .map(unsigned)
        .transpose()
}

// --- accept ------------------------------------------------------------------------------------

pub(super) fn journal(tx: &Connection, entry: &JournalEntry) -> Result<JournalOutcome> {
    let input = InputId::derive(&entry.channel, &entry.sender, entry.content);
    if let Some(reply) = reply_to(tx, input)? {
        return Ok(JournalOutcome::Duplicate { input, reply });
    }
    let known = envelope::known(tx, entry)?;
    if !known.is_empty() {
        return Ok(JournalOutcome::Known { envelopes: known });
    }
    let payload = insert_payload(tx, &entry.payload)?.place;
    let leaf = insert_leaf(tx, &entry.leaf)?;
    let reply = entry.reply.to_json().map_err(|error| StoreError::Failed(error.to_string()))?;
    tx.prepare_cached(
        "INSERT INTO input (id, channel, sender, received_at, disposition, payload, reply, leaf)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            input.0.as_bytes(),
            entry.channel.as_str(),
            entry.sender.as_str(),
            entry.received_at.0,
            entry.disposition.as_str(),
            payload,
            reply,
            leaf,
        ])
    })
    .map_err(failed)?;
    let input_seq = tx.last_insert_rowid();
    if entry.disposition == Disposition::Documents {
        operation::used(tx, PartKind::Channel, entry.channel.as_str(), entry.received_at)?;
    }
    envelope::insert(tx, entry, input)?;
    for (index, document) in entry.documents.iter().enumerate() {
        let payload = insert_payload(tx, &document.payload)?.place;
        let before = last_of_key(tx, entry, &document.key)?;
        tx.prepare_cached(
            "INSERT INTO document (input, idx, channel, sender, received_at, key, partner, kind, content, payload,
                                   repeated, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                input_seq,
                i64::try_from(index).unwrap_or(i64::MAX),
                entry.channel.as_str(),
                entry.sender.as_str(),
                entry.received_at.0,
                document.key,
                document.partner,
                document.kind,
                document.content.as_bytes(),
                payload,
                before.is_some(),
                if before.is_some_and(|before| before.waits) { "behind" } else { "undecided" },
            ])
        })
        .map_err(failed)?;
    }
    for new in &entry.exceptions {
        exception::insert(tx, new, &About { input: Some(input), ..About::default() }, entry.received_at)?;
    }
    if let Some(poll) = &entry.wakes {
        poll::wake(tx, poll, entry.received_at)?;
    }
    if let Some(who) = &entry.mended_by {
        tx.prepare_cached("INSERT INTO input_maker (input, who) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![input_seq, who]))
            .map_err(failed)?;
    }
    Ok(JournalOutcome::Committed { input, documents: entry.documents.len() })
}

/// The leaf of an input that is in the journal.
pub(super) fn leaf_of_input(tx: &Connection, entry: &JournalEntry) -> Result<i64> {
    let input = InputId::derive(&entry.channel, &entry.sender, entry.content);
    tx.prepare_cached("SELECT leaf FROM input WHERE id = ?1")
        .and_then(|mut leaf| leaf.query_row([input.0.as_bytes()], |row| row.get(0)))
        .map_err(failed)
}

/// The last document of a business key.
#[derive(Clone, Copy)]
struct LastOfKey {
    /// Undecided, or behind one that is. Those of a key are decided in their order, so when the
    /// last one does not wait none does, but for those that are decided on again.
    waits: bool,
}

fn last_of_key(tx: &Connection, entry: &JournalEntry, key: &str) -> Result<Option<LastOfKey>> {
    tx.prepare_cached(
        "SELECT state IN ('undecided', 'behind') OR EXISTS (
           SELECT 1 FROM document AS again INDEXED BY document_again
           WHERE again.channel = ?1 AND again.sender = ?2 AND again.key = ?3 AND again.again = 1
             AND again.state IN ('undecided', 'behind'))
         FROM document WHERE channel = ?1 AND sender = ?2 AND key = ?3 ORDER BY position DESC LIMIT 1",
    )
    .and_then(|mut last| {
        let key = params![entry.channel.as_str(), entry.sender.as_str(), key];
        last.query_row(key, |row| Ok(LastOfKey { waits: row.get(0)? })).optional()
    })
    .map_err(failed)
}

pub(super) fn refuse(tx: &Connection, leaf: &Leaf) -> Result<()> {
    if leaf_known(tx, leaf)? { Ok(()) } else { insert_leaf_alone(tx, leaf).map(drop) }
}

pub(super) fn reply_to(connection: &Connection, input: InputId) -> Result<Option<Reply>> {
    connection
        .prepare_cached("SELECT reply FROM input WHERE id = ?1")
        .map_err(failed)?
        .query_row([input.0.as_bytes()], |row| row.get::<_, Vec<u8>>(0))
        .optional()
        .map_err(failed)?
        .map(|json| Reply::from_json(&json).map_err(|error| damaged("a stored reply", &error)))
        .transpose()
}

pub(super) fn lease_numbers(tx: &Connection, range: &str, count: u32) -> Result<u64> {
    let next: i64 = tx
        .prepare_cached(
            "INSERT INTO number_range (name, next) VALUES (?1, 1 + ?2)
             ON CONFLICT (name) DO UPDATE SET next = next + ?2 RETURNING next",
        )
        .and_then(|mut lease| lease.query_row(params![range, count], |row| row.get(0)))
        .map_err(failed)?;
    unsigned(next - i64::from(count))
}

// --- decide ------------------------------------------------------------------------------------

// A payload that is gone is the fate of the document or delivery that has it, and of no
// other: it comes with a commitment that nothing has, and opening it says what is wrong.
pub(super) const UNDECIDED: &str =
    "SELECT position, input.id, idx, document.channel, document.sender, document.received_at, key, partner,
            kind, content, document.payload,
            coalesce((SELECT commitment FROM payload WHERE payload.id = input.payload), zeroblob(32)), again
     FROM document JOIN input ON input.seq = document.input
     WHERE state = 'undecided' AND position NOT IN (SELECT value FROM json_each(?2))
     ORDER BY position LIMIT ?1";

/// Positions as one value that a statement can read: however many there are, it is the same statement.
pub(super) fn json_of(positions: &[DocumentPosition]) -> String {
    let positions: Vec<String> = positions.iter().map(|position| position.0.to_string()).collect();
    format!("[{}]", positions.join(","))
}

pub(super) fn undecided(connection: &Connection, limit: u32, without: &str) -> Result<Vec<Journaled>> {
    let mut statement = connection.prepare_cached(UNDECIDED).map_err(failed)?;
    let found = statement
        .query_map(params![limit, without], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                digest(row, 1)?,
                row.get::<_, u32>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, i64>(5)?,
                row.get::<_, String>(6)?,
                row.get::<_, String>(7)?,
                row.get::<_, String>(8)?,
                digest(row, 9)?,
                row.get::<_, i64>(10)?,
                digest(row, 11)?,
                row.get::<_, bool>(12)?,
            ))
        })
        .map_err(failed)?;
    let mut documents = Vec::new();
    for row in found {
        let (
            position,
            input,
            index,
            channel,
            sender,
            received_at,
            key,
            partner,
            kind,
            content,
            place,
            input_commitment,
            again,
        ) = row.map_err(failed)?;
        let first = if again {
            first_decided(connection, &channel, &sender, &key, position, content)?
        } else {
            first_document(connection, &channel, &sender, &key, position, content)?
        };
        let (body, payload_key) = readable(payload_at(connection, place).map(|(_, opened)| opened))?;
        documents.push(Journaled {
            position: DocumentPosition(unsigned(position)?),
            input: InputId(input),
            input_commitment,
            index,
            channel: ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?,
            sender: SenderId::authenticated(sender),
            received_at: Instant(received_at),
            key,
            partner,
            kind,
            content,
            body,
            payload_key,
            first,
        });
    }
    Ok(documents)
}

/// What is wrong with one payload is that document's fate, not the batch's. What
/// is recorded about it is then blinded with a key that nobody keeps.
fn readable(payload: Result<(Vec<u8>, PayloadKey)>) -> Result<(std::result::Result<Vec<u8>, String>, PayloadKey)> {
    match payload {
        Ok((bytes, key)) => Ok((Ok(bytes), key)),
        Err(error @ (StoreError::Erased(_) | StoreError::Damaged(_))) => {
            let key = PayloadKey::random().map_err(|error| StoreError::Failed(error.to_string()))?;
            Ok((Err(error.to_string()), key))
        }
        Err(error) => Err(error),
    }
}

/// A document that became no order is no first one: after the repair the sender's
/// second try has to count. Nor is one that waits to be decided on again.
pub(super) const FIRST_OF_KEY: &str = "SELECT position, content FROM document INDEXED BY document_key
     WHERE channel = ?1 AND sender = ?2 AND key = ?3 AND position < ?4
       AND state IN ('undecided', 'behind', 'decided') AND (again = 0 OR state = 'decided')
     ORDER BY position LIMIT 1";

pub(super) const FIRST_ALIKE: &str = "SELECT position FROM document INDEXED BY document_repeated
     WHERE channel = ?1 AND sender = ?2 AND key = ?3 AND content = ?5 AND repeated = 1 AND position < ?4
       AND state IN ('undecided', 'behind', 'decided') AND (again = 0 OR state = 'decided')
     ORDER BY position LIMIT 1";

/// Of which keys there is a first document.
pub(super) fn known_keys(
    connection: &Connection,
    channel: &ChannelId,
    sender: &SenderId,
    keys: &[String],
) -> Result<Vec<bool>> {
    let mut first = connection.prepare_cached(FIRST_OF_KEY).map_err(failed)?;
    let known = keys.iter().map(|key| first.exists(params![channel.as_str(), sender.as_str(), key, i64::MAX]));
    known.collect::<rusqlite::Result<_>>().map_err(failed)
}

/// The first document of the key with this content, or else the first of the key.
pub(super) fn first_document(
    connection: &Connection,
    channel: &str,
    sender: &str,
    key: &str,
    below: i64,
    content: Digest,
) -> Result<Option<FirstDocument>> {
    let first = connection
        .prepare_cached(FIRST_OF_KEY)
        .map_err(failed)?
        .query_row(params![channel, sender, key, below], |row| Ok((row.get::<_, i64>(0)?, digest(row, 1)?)))
        .optional()
        .map_err(failed)?;
    let Some((first, first_content)) = first else { return Ok(None) };
    let alike = if first_content == content {
        Some(first)
    } else {
        connection
            .prepare_cached(FIRST_ALIKE)
            .map_err(failed)?
            .query_row(params![channel, sender, key, below, content.as_bytes()], |row| row.get(0))
            .optional()
            .map_err(failed)?
    };
    let position = DocumentPosition(unsigned(alike.unwrap_or(first))?);
    Ok(Some(FirstDocument { position, same_content: alike.is_some() }))
}

/// The same for a document that is decided on again: whatever of its key was decided meanwhile
/// came first, also from behind it. A person asks for it, so its key's documents are gone through.
pub(super) fn first_decided(
    connection: &Connection,
    channel: &str,
    sender: &str,
    key: &str,
    position: i64,
    content: Digest,
) -> Result<Option<FirstDocument>> {
    let found = connection
        .prepare_cached(
            "SELECT position, content = ?5 FROM document INDEXED BY document_key
             WHERE channel = ?1 AND sender = ?2 AND key = ?3 AND position <> ?4 AND state = 'decided'
             ORDER BY content = ?5 DESC, position LIMIT 1",
        )
        .map_err(failed)?
        .query_row(params![channel, sender, key, position, content.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })
        .optional()
        .map_err(failed)?;
    found
        .map(|(position, same_content)| {
            Ok(FirstDocument { position: DocumentPosition(unsigned(position)?), same_content })
        })
        .transpose()
}

pub(super) fn commit_decision(tx: &Connection, decision: &DecisionCommit, numbers: &Numbers) -> Result<Committed> {
    let position = signed(decision.document.position.0)?;
    let state = match &decision.decided {
        Decided::Order(_) | Decided::Event(_) | Decided::Level(_) | Decided::Answered(_) => "decided",
        Decided::Duplicate { .. } => "duplicate",
        Decided::Unmapped(_) => "unmapped",
    };
    let fingerprint = match &decision.decided {
        Decided::Order(order) => order.fingerprint,
        Decided::Event(event) => event.fingerprint,
        Decided::Level(level) => level.fingerprint,
        Decided::Answered(answer) => Digest::of(
            format!(
                "{} {}: {}",
                answer.partner,
                answer.number,
                answer.answer.map_or("received", InterchangeAnswer::as_str)
            )
            .as_bytes(),
        ),
        Decided::Duplicate { of } => Digest::of(format!("duplicate of {}", of.0).as_bytes()),
        Decided::Unmapped(exception) => Digest::of(format!("unmapped {}", exception.code).as_bytes()),
    };
    let changed = tx
        .prepare_cached("UPDATE document SET state = ?2, fingerprint = ?3 WHERE position = ?1 AND state = 'undecided'")
        .and_then(|mut update| update.execute(params![position, state, fingerprint.as_bytes()]))
        .map_err(failed)?;
    let order = match &decision.decided {
        Decided::Order(order) => Some(order.id),
        Decided::Event(_)
        | Decided::Level(_)
        | Decided::Answered(_)
        | Decided::Duplicate { .. }
        | Decided::Unmapped(_) => None,
    };
    let committed = Committed { position: decision.document.position, order };
    // Decided before: another decision has no second effect, and hears of the first.
    if changed == 0 {
        return Ok(Committed { order: order_at(tx, position)?, ..committed });
    }
    let document = &decision.document;
    tx.prepare_cached(
        "UPDATE document SET state = 'undecided' WHERE position =
           (SELECT position FROM document INDEXED BY document_behind
            WHERE channel = ?1 AND sender = ?2 AND key = ?3 AND state = 'behind' ORDER BY position LIMIT 1)",
    )
    .and_then(|mut next| next.execute(params![document.channel.as_str(), document.sender.as_str(), document.key]))
    .map_err(failed)?;
    let kept = Kept::insert(tx, decision)?;
    match &decision.decided {
        Decided::Order(order) => {
            let order_seq = insert_order(tx, decision, order, position, &kept)?;
            numbers.keep(order.id, order_seq);
        }
        Decided::Event(event) => order_event::insert(tx, decision, event, position, &kept, numbers)?,
        Decided::Level(new) => level::insert(tx, decision, new, position, &kept)?,
        Decided::Answered(answer) => interchange::answer(tx, decision, answer, position, &kept)?,
        Decided::Duplicate { .. } => {}
        Decided::Unmapped(new) => {
            let about = About { position: Some(position), input: Some(decision.document.input), ..About::default() };
            exception::insert(tx, new, &about, decision.at)?;
        }
    }
    Ok(committed)
}

/// What a decision keeps beside its rows, by the numbers that they name it by.
pub(super) struct Kept {
    pub(super) leaf: i64,
    payloads: Vec<PayloadRef>,
}

impl Kept {
    fn insert(tx: &Connection, decision: &DecisionCommit) -> Result<Self> {
        let payloads = decision.payloads.iter().map(|payload| insert_payload(tx, payload)).collect::<Result<_>>()?;
        Ok(Self { leaf: insert_leaf(tx, &decision.leaf)?, payloads })
    }

    /// Where a payload of this decision lies.
    pub(super) fn place(&self, commitment: Digest) -> Result<i64> {
        let found = self.payloads.iter().find(|payload| payload.commitment == commitment);
        found.map(|payload| payload.place).ok_or_else(|| {
            StoreError::Failed(format!("a decision names payload {commitment}, which is not among its own"))
        })
    }
}

fn order_at(tx: &Connection, position: i64) -> Result<Option<OrderId>> {
    tx.query_row("SELECT id FROM orders WHERE position = ?1", [position], |row| row.get::<_, String>(0))
        .optional()
        .map_err(failed)?
        .map(|id| OrderId::parse(&id).map_err(|error| damaged("an order id", &error)))
        .transpose()
}

/// Returns the order's number.
fn insert_order(
    tx: &Connection,
    decision: &DecisionCommit,
    order: &NewOrder,
    position: i64,
    kept: &Kept,
) -> Result<i64> {
    let document = &decision.document;
    let id = order.id.to_string();
    // INVARIANT: a hold holds. Of an order that is not released there is word, whoever decides.
    if order.state != OrderState::Released && order.outbox.iter().any(|row| row.content == Content::Order) {
        return Err(StoreError::Failed(format!(
            "order `{id}` is `{}` and goes nowhere as it came",
            order.state.as_str()
        )));
    }
    let (event, record) = (kept.place(order.event)?, kept.place(order.decision)?);
    tx.prepare_cached(
        "INSERT INTO orders (id, position, channel, sender, number, state, queue, value_minor, currency, recommended,
                             why, event, decision, configuration, decided_at, leaf)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            id,
            position,
            document.channel.as_str(),
            document.sender.as_str(),
            order.number,
            order.state.as_str(),
            order.queue,
            order.value.minor,
            order.value.currency.code(),
            order.recommended,
            order.why,
            event,
            record,
            i64::try_from(decision.configuration).unwrap_or(i64::MAX),
            decision.at.0,
            kept.leaf,
        ])
    })
    .map_err(failed)?;
    let order_seq = tx.last_insert_rowid();
    order_event::joins(tx, &id, order_seq)?;
    // What is refused is past holding, and so is what is released in spite of a hold.
    let past_holding = matches!(order.state, OrderState::Refused | OrderState::Released);
    let closed_at = past_holding.then_some(decision.at);
    for hold in &order.holds {
        insert_hold(tx, &id, hold, decision.at, closed_at)?;
    }
    let its = Its { order_seq, order: &id, event };
    order.outbox.iter().try_for_each(|row| insert_outbox(tx, its, row, decision.at))?;
    history::insert(tx, &order.customer_event, position)?;
    oversight::weighed(tx, &order.weighed, decision.at)?;
    if let Some(new) = &order.exception {
        let customer = (new.kind == ExceptionKind::Held).then_some(order.customer_event.customer);
        let about = About { order: Some(order.id), position: Some(position), customer, ..About::default() };
        exception::insert(tx, new, &about, decision.at)?;
    }
    // Last: what others wait for is held for as short as can be.
    budget::spend(tx, &order.holds, order.value, decision.at)?;
    order.credit.iter().try_for_each(|reservation| credit::reserve(tx, order_seq, reservation))?;
    Ok(order_seq)
}

/// Whose a delivery is.
#[derive(Clone, Copy)]
pub(super) struct Its<'a> {
    pub(super) order_seq: i64,
    pub(super) order: &'a str,
    /// The place of the order's own event.
    pub(super) event: i64,
}

/// Makes a delivery due, unless it is there already.
pub(super) fn insert_outbox(tx: &Connection, its: Its<'_>, row: &NewOutbox, at: Instant) -> Result<()> {
    let (said, event) = match row.content {
        Content::Order => (0, its.event),
        Content::Said(position) => (signed(position.0)?, order_event::said(tx, its.order, position)?),
        Content::Level(_) => {
            return Err(StoreError::Failed(format!("a delivery of order `{}` is made of an item's level", its.order)));
        }
    };
    tx.prepare_cached(
        "INSERT INTO outbox (order_seq, order_id, target, kind, said, event, due_at, deadline_from)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT DO NOTHING",
    )
    .and_then(|mut insert| insert.execute(params![its.order_seq, its.order, row.target, row.kind, said, event, at.0]))
    .map_err(failed)?;
    Ok(())
}

pub(super) fn insert_hold(
    tx: &Connection,
    order: &str,
    hold: &NewHold,
    at: Instant,
    closed_at: Option<Instant>,
) -> Result<()> {
    let (owner, plugin) = match &hold.owner {
        HoldOwner::Policy => ("policy", None),
        HoldOwner::Advice(spends) => ("advice", Some(spends.plugin.as_str())),
        HoldOwner::Route(spends) => ("route", Some(spends.plugin.as_str())),
        HoldOwner::SpentBudget(plugin) => ("spent-budget", Some(plugin.as_str())),
    };
    tx.prepare_cached(
        "INSERT INTO hold (order_id, owner, plugin, reason, queue, lines, opened_at, expires_at, closed_at, component)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            order,
            owner,
            plugin,
            hold.reason,
            hold.queue,
            hold.lines.join("\n"),
            at.0,
            hold.expires_at.0,
            closed_at.map(|at| at.0),
            hold.component.map(|component| component.as_bytes().to_vec()),
        ])
    })
    .map_err(failed)?;
    Ok(())
}

pub(super) fn decision_fingerprints(
    connection: &Connection,
    after: DocumentPosition,
    limit: u32,
) -> Result<Vec<(DocumentPosition, Digest)>> {
    let mut statement = connection
        .prepare_cached("SELECT position, fingerprint FROM document WHERE position > ?1 AND fingerprint IS NOT NULL ORDER BY position LIMIT ?2")
        .map_err(failed)?;
    let rows = statement
        .query_map(params![signed(after.0)?, limit], |row| Ok((row.get::<_, i64>(0)?, digest(row, 1)?)))
        .map_err(failed)?;
    rows.map(|row| {
        let (position, fingerprint) = row.map_err(failed)?;
        Ok((DocumentPosition(unsigned(position)?), fingerprint))
    })
    .collect()
}

// --- deliver -----------------------------------------------------------------------------------

pub(super) fn claim(
    tx: &Connection,
    now: Instant,
    lease_until: Instant,
    limit: u32,
    room: &Room,
) -> Result<Vec<Permit>> {
    let mut permits: Vec<Permit> = Vec::new();
    let mut room = room.clone();
    let mut limit = limit;
    for seq in order_event::due_questions(tx, now, limit, &mut room)? {
        permits.push(claim_one(tx, seq, now, lease_until)?);
        limit = limit.saturating_sub(1);
    }
    for target in pending_targets(tx)? {
        for seq in due_rows(tx, &target, now, room.shares.left(&target).min(limit), &room.under_way)? {
            permits.push(claim_one(tx, seq, now, lease_until)?);
            limit = limit.saturating_sub(1);
        }
    }
    Ok(permits)
}

/// Ends the claims of earlier processes: who opens the folder has its lock, so none of
/// them lives. What one of them may have sent is asked about no sooner than it said.
pub(super) fn end_claims(connection: &Connection) -> Result<()> {
    END_CLAIMS.iter().try_for_each(|end| connection.execute(end, []).map(drop)).map_err(failed)
}

/// Claims that are to be ended are of deliveries that are pending or in doubt; all of those are in the two indexes.
pub(super) const END_CLAIMS: [&str; 4] = [
    "UPDATE outbox INDEXED BY outbox_line
     SET lease_until = CASE WHEN unresolved THEN min(lease_until, ask_at) ELSE 0 END
     WHERE bars AND state = 'pending' AND lease_until > 0",
    "UPDATE outbox INDEXED BY outbox_in_doubt SET lease_until = min(lease_until, ask_at)
     WHERE state = 'withheld' AND unresolved = 1 AND lease_until > 0",
    "UPDATE poll SET lease_until = 0 WHERE lease_until > 0",
    "UPDATE subscription SET lease_until = 0 WHERE lease_until > 0",
];

/// The targets of rows that are the first in line: a step in the index for each, however many
/// rows it has.
pub(super) const PENDING_TARGETS: &str = "WITH RECURSIVE found (target) AS (
         SELECT min(target) FROM outbox WHERE state = 'pending' AND behind = 0
         UNION ALL
         SELECT (SELECT min(target) FROM outbox WHERE state = 'pending' AND behind = 0 AND target > found.target)
         FROM found WHERE found.target IS NOT NULL)
     SELECT target FROM found WHERE target IS NOT NULL";

fn pending_targets(connection: &Connection) -> Result<Vec<String>> {
    targets(connection, PENDING_TARGETS)
}

fn targets(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    connection
        .prepare_cached(sql)
        .map_err(failed)?
        .query_map([], |row| row.get(0))
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)
}

/// Due rows that are the first in line of what their order has for the target. Targets do not
/// wait for each other: the shop hears of a shipment though finance is down.
pub(super) const DUE: &str = "SELECT seq, order_id, kind, said FROM outbox INDEXED BY outbox_head
     WHERE state = 'pending' AND behind = 0 AND target = ?1 AND due_at <= ?2 AND lease_until <= ?2
     ORDER BY due_at, seq";

fn due_rows(
    tx: &Connection,
    target: &str,
    now: Instant,
    limit: u32,
    under_way: &BTreeSet<OutboxId>,
) -> Result<Vec<i64>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut statement = tx.prepare_cached(DUE).map_err(failed)?;
    // Rows are read as they are needed, so nothing but `limit` bounds them.
    let mut rows = statement.query(params![target, now.0]).map_err(failed)?;
    let mut due = Vec::new();
    while due.len() < limit
        && let Some(row) = rows.next().map_err(failed)?
    {
        if !under_way.contains(&outbox_id(row, 1, target, 2, 3)?) {
            due.push(row.get(0).map_err(failed)?);
        }
    }
    Ok(due)
}

/// A delivery's id from its order or item, its target, its kind and its content.
pub(super) fn outbox_id(row: &Row<'_>, of: usize, target: &str, kind: usize, said: usize) -> Result<OutboxId> {
    let of: String = row.get(of).map_err(failed)?;
    let kind: String = row.get(kind).map_err(failed)?;
    let content = content(row.get(said).map_err(failed)?);
    Ok(OutboxId::derive(matter(&of, content)?, target, &kind, content))
}

/// What a delivery is made of; no document has the number 0, and that of a level has a minus.
pub(super) fn content(said: i64) -> Content {
    match (said, DocumentPosition(said.unsigned_abs())) {
        (0, _) => Content::Order,
        (1.., position) => Content::Said(position),
        (_, position) => Content::Level(position),
    }
}

/// What a delivery is about, by the id in its row.
pub(super) fn matter(id: &str, content: Content) -> Result<Matter> {
    match content {
        Content::Order | Content::Said(_) => {
            OrderId::parse(id).map(Matter::Order).map_err(|error| damaged("an order id", &error))
        }
        Content::Level(_) => ItemId::parse(id).map(Matter::Item).map_err(|error| damaged("an item's id", &error)),
    }
}

/// One row's claim. It is written, then read: RETURNING would make a table of its one row.
fn claim_one(tx: &Connection, seq: i64, now: Instant, lease_until: Instant) -> Result<Permit> {
    tx.prepare_cached(
        "UPDATE outbox SET lease_until = ?2, epoch = epoch + 1,
                deadline_from = CASE epoch WHEN 0 THEN max(deadline_from, ?3) ELSE deadline_from END
         WHERE seq = ?1",
    )
    .and_then(|mut claim| claim.execute(params![seq, lease_until.0, now.0]))
    .map_err(failed)?;
    let (
        order_seq,
        of,
        target,
        kind,
        event,
        commitment,
        attempts,
        epoch,
        unresolved,
        deadline_from,
        attempts_before,
        doubts,
        withheld,
        said,
        taken_before,
        replays,
    ) = tx
        .prepare_cached(
            "SELECT order_seq, order_id, target, kind, event,
                    coalesce((SELECT commitment FROM payload WHERE payload.id = event), zeroblob(32)), attempts,
                    epoch, unresolved,
                    deadline_from, attempts_before, doubts, state = 'withheld', said, external_id IS NOT NULL, replays
             FROM outbox WHERE seq = ?1",
        )
        .map_err(failed)?
        .query_row([seq], |row| {
            Ok((
                row.get(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get(4)?,
                digest(row, 5)?,
                row.get::<_, u32>(6)?,
                row.get(7)?,
                row.get(8)?,
                row.get(9)?,
                row.get::<_, u32>(10)?,
                row.get(11)?,
                row.get(12)?,
                row.get(13)?,
                row.get::<_, bool>(14)?,
                row.get::<_, u32>(15)?,
            ))
        })
        .map_err(failed)?;
    // Whoever corrects a message has it sent again by that, so of nearly no delivery anything is asked.
    let correction = if replays > 0 { dead_letter::correction(tx, seq)? } else { None };
    let taken = match (taken_before, correction) {
        (true, Some(_)) if dead_letter::replayed_since_corrected(tx, seq)? => Taken::Corrected,
        (true, _) => Taken::Before,
        (false, _) => Taken::Never,
    };
    let content = content(said);
    let matter = matter(&of, content)?;
    Ok(Permit {
        seq,
        order_seq,
        outbox: OutboxId::derive(matter, &target, &kind, content),
        content,
        matter,
        target,
        kind,
        event: PayloadRef { commitment, place: event },
        attempt: attempts.saturating_add(1),
        tries: attempts.saturating_sub(attempts_before).saturating_add(1),
        epoch,
        unresolved,
        withheld,
        taken,
        correction,
        telling: None,
        doubts,
        deadline_from: Instant(deadline_from),
        interchange: interchange::of(tx, seq)?,
        said: None,
    })
}

/// Rows that began their attempt: none when the lease has passed to another worker.
pub(super) fn begin_attempt(
    tx: &Connection,
    seq: i64,
    epoch: i64,
    attempt: u32,
    order_seq: i64,
    lease: Lease,
    leaf: &Leaf,
) -> Result<usize> {
    // From here until the settlement the outcome is unknown: a crash in between
    // leaves the mark, and the next permit asks the target before it sends.
    let changed = tx
        .prepare_cached(
            "UPDATE outbox SET attempts = ?3, doubts = doubts + 1, unresolved = 1, lease_until = max(?4, ?5), ask_at = ?5
             WHERE seq = ?1 AND epoch = ?2 AND state = 'pending'",
        )
        .and_then(|mut update| update.execute(params![seq, epoch, attempt, lease.until.0, lease.ask_at.0]))
        .map_err(failed)?;
    if changed == 1 {
        trail::leaf_about_order(tx, leaf, order_seq)?;
    }
    Ok(changed)
}

pub(super) fn settle(
    tx: &Connection,
    permit: &Permit,
    settlement: &Settlement,
    at: Instant,
    leaf: &Leaf,
) -> Result<Settled> {
    let (state, unresolved, due_at, external_id, code) = match settlement {
        Settlement::Applied { external_id } => ("delivered", false, Some(at), Some(external_id.as_str()), None),
        // An earlier attempt stays in doubt, whatever became of this one, which did nothing.
        Settlement::Retry { due_at, code } => ("pending", permit.unresolved, Some(*due_at), None, Some(code.as_str())),
        Settlement::Parked => ("pending", permit.unresolved, None, None, Some(GONE)),
        Settlement::Unknown { due_at, code } => ("pending", true, Some(*due_at), None, Some(code.as_str())),
        Settlement::Absent => ("pending", false, Some(at), None, None),
        // Where its target wants nothing, it goes first when that wants something again.
        Settlement::Dead { exception, .. } if exception.code == GONE => ("dead", false, None, None, Some(GONE)),
        Settlement::Dead { exception, .. } => ("dead", false, Some(at), None, Some(exception.code.as_str())),
    };
    let due_at = due_at.map(|at| at.0);
    // A level that was given up stands in its line until a newer one ends it.
    let is_level = matches!(permit.content, Content::Level(_));
    let blocks = matches!(settlement, Settlement::Dead { blocks, .. } if *blocks || is_level);
    let doubts = matches!(settlement, Settlement::Retry { .. } | Settlement::Parked).then_some(permit.doubts);
    // What is sent again keeps the name that its target gave it until that one gives another.
    let settled = params![permit.seq, permit.epoch, state, unresolved, due_at, external_id, code, blocks, doubts];
    let mut changed = tx
        .prepare_cached(
            "UPDATE outbox SET state = ?3, unresolved = ?4, due_at = coalesce(?5, due_at),
                    external_id = coalesce(?6, external_id), last_code = ?7, blocks = ?8, doubts = coalesce(?9, doubts), lease_until = 0
             WHERE seq = ?1 AND epoch = ?2 AND state = 'pending'",
        )
        .and_then(|mut update| update.execute(settled))
        .map_err(failed)?;
    if changed == 0 {
        changed = order_event::settle_withheld(tx, permit, settled, at)?;
    }
    held(changed, permit)?;
    if let Settlement::Dead { exception: new, .. } = settlement {
        let about = About { order: permit.order(), outbox: Some(permit.seq), ..About::default() };
        let mut new = new.clone();
        if is_level {
            // Of an order people see the number; an item is named nowhere else.
            new.detail = format!("{}: {}", level::name(tx, permit.order_seq.saturating_neg())?, new.detail);
        }
        exception::insert(tx, &new, &about, at)?;
    }
    if let Settlement::Applied { .. } = settlement {
        if permit.content == Content::Order {
            credit::taken(tx, permit.order_seq, at)?;
        }
        if permit.interchange.is_some() {
            interchange::sent(tx, permit.seq, at)?;
        }
        operation::used(tx, PartKind::Target, &permit.target, at)?;
        if let Some(new) = &permit.telling {
            let about =
                About { order: permit.order(), outbox: Some(exception::beside(permit.seq)), ..About::default() };
            exception::insert(tx, new, &about, at)?;
        }
        // The same word again is the same input.
        permit.said.as_deref().map_or(Ok(()), |said| journal(tx, said).map(drop))?;
    }
    let leaf = trail::leaf_about_order(tx, leaf, permit.order_seq)?;
    if is_level && !matches!(settlement, Settlement::Applied { .. }) {
        level::not_told(tx, permit, at, leaf)?;
    }
    Ok(Settled { outbox: permit.outbox.clone() })
}

pub(super) fn held(changed: usize, permit: &Permit) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(StoreError::LeaseLost { outbox: permit.outbox.0.clone() }) }
}

/// When what is the first in line for a target falls due, in that order, and until when it is leased.
pub(super) const NEXT_OF_TARGET: &str = "SELECT due_at, lease_until FROM outbox INDEXED BY outbox_head
     WHERE state = 'pending' AND behind = 0 AND target = ?1 ORDER BY due_at, seq";

/// Looks at all that is first in line of its order where none of it came back: once in a process's life.
const WAITS_SINCE: &str = "SELECT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_head
     WHERE state = 'pending' AND behind = 0 AND target = ?1 AND last_code = ?2)";

pub(super) fn waits_since_gone(connection: &Connection, target: &str) -> Result<bool> {
    connection
        .prepare_cached(WAITS_SINCE)
        .and_then(|mut waits| waits.query_row([target, GONE], |row| row.get(0)))
        .map_err(failed)
}

/// When what is to be asked about at a target may be claimed, as for [`NEXT_OF_TARGET`]; there is little of it.
const NEXT_IN_DOUBT: &str = "SELECT due_at, lease_until FROM outbox
     WHERE state = 'withheld' AND unresolved = 1 AND target = ?1 ORDER BY due_at, seq";

const TARGETS_IN_DOUBT: &str = "SELECT DISTINCT target FROM outbox WHERE state = 'withheld' AND unresolved = 1";

/// When something may be claimed, where these targets take nothing.
pub(super) fn next_due(connection: &Connection, without: &BTreeSet<String>) -> Result<Option<Instant>> {
    let in_doubt = targets(connection, TARGETS_IN_DOUBT)?.into_iter().map(|target| (NEXT_IN_DOUBT, target));
    let pending = pending_targets(connection)?.into_iter().map(|target| (NEXT_OF_TARGET, target));
    let mut earliest = None;
    for (next, target) in in_doubt.chain(pending).filter(|(_, target)| !without.contains(target)) {
        let first = first_free(connection, next, [target])?;
        earliest = earliest.into_iter().chain(first).min();
    }
    Ok(earliest.map(Instant))
}

/// When the first of some rows may be claimed: later ones than what is found already are not read,
/// so that only those under way cost anything.
fn first_free(connection: &Connection, sql: &str, of: impl Params) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(of).map_err(failed)?;
    let mut earliest: Option<i64> = None;
    while let Some(row) = rows.next().map_err(failed)? {
        let (due, lease): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        if earliest.is_some_and(|earliest| earliest <= due) {
            break;
        }
        earliest = earliest.into_iter().chain([due.max(lease)]).min();
    }
    Ok(earliest)
}

// --- payloads and small state --------------------------------------------------------------------

pub(super) fn insert_payload(tx: &Connection, payload: &NewPayload) -> Result<PayloadRef> {
    let commitment = payload.sealed.commitment();
    tx.prepare_cached("INSERT INTO payload (commitment, ciphertext) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![commitment.as_bytes(), payload.sealed.ciphertext()]))
        .map_err(failed)?;
    let place = tx.last_insert_rowid();
    tx.prepare_cached("INSERT INTO payload_key (payload, key, subject) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| {
            let subject = payload.subject.as_ref().map(Digest::as_bytes);
            insert.execute(params![place, payload.key.to_bytes().as_slice(), subject])
        })
        .map_err(failed)?;
    Ok(PayloadRef { commitment, place })
}

/// Opens what a row of the road names; it must be what the caller knows it by.
pub(super) fn payload(connection: &Connection, kept: PayloadRef) -> Result<OpenPayload> {
    let (commitment, opened) = payload_at(connection, kept.place)?;
    if commitment != kept.commitment {
        return Err(StoreError::Damaged(format!(
            "payload {} is missing: {commitment} is in its place",
            kept.commitment
        )));
    }
    Ok(opened)
}

/// A payload with its commitment, which the seal binds to the bytes.
pub(super) fn payload_at(connection: &Connection, place: i64) -> Result<(Digest, OpenPayload)> {
    let found = connection
        .prepare_cached(
            "SELECT payload.commitment, payload.ciphertext, payload_key.key FROM payload
             LEFT JOIN payload_key ON payload_key.payload = payload.id WHERE payload.id = ?1",
        )
        .map_err(failed)?
        .query_row([place], |row| Ok((digest(row, 0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?)))
        .optional()
        .map_err(failed)?;
    let Some((commitment, ciphertext, key)) = found else {
        return Err(StoreError::Damaged(format!("payload {place} is missing")));
    };
    let Some(key) = key else { return Err(StoreError::Erased(commitment)) };
    let key = PayloadKey::from_bytes(&key).map_err(|error| damaged("a payload key", &error))?;
    let sealed = Sealed::from_parts(commitment, ciphertext);
    let bytes = portreeve_record::open(&sealed, &key).map_err(|error| damaged("a sealed payload", &error))?;
    Ok((commitment, (bytes, key)))
}

/// Whoever asks has time: keys are looked through from the first to the last, since an index over
/// subjects would cost every payload a page of its own.
pub(super) fn payloads_about(connection: &Connection, subject: Digest) -> Result<Vec<PayloadRef>> {
    connection
        .prepare(
            "WITH sealed AS MATERIALIZED (SELECT payload AS id FROM payload_key WHERE subject = ?1),
                  own AS (SELECT id, seq, position FROM orders WHERE event IN (SELECT id FROM sealed)),
                  later AS (SELECT position, event, decision FROM order_event
                            WHERE order_seq IN (SELECT seq FROM own) OR event IN (SELECT id FROM sealed)),
                  found AS (SELECT document.payload AS document, input.payload AS input, input.id AS id
                            FROM document JOIN input ON input.seq = document.input
                            WHERE position IN (SELECT position FROM own UNION SELECT position FROM later)),
                  about AS (SELECT id FROM exception
                            WHERE order_id IN (SELECT id FROM own) OR input IN (SELECT id FROM found)
                              OR input IN (SELECT id FROM input WHERE payload IN (SELECT id FROM sealed)))
             SELECT commitment, id FROM payload
             WHERE id IN (SELECT id FROM sealed UNION SELECT document FROM found UNION SELECT input FROM found
                          UNION SELECT event FROM later UNION SELECT decision FROM later
                          UNION SELECT record FROM exception_step
                                WHERE exception IN (SELECT id FROM about) AND record IS NOT NULL)
             ORDER BY id",
        )
        .map_err(failed)?
        .query_map([subject.as_bytes()], |row| payload_ref(row, 0))
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)
}

/// Every order is a scope of its own.
pub(super) fn state(connection: &Connection, plugin: &PluginName, order: OrderId) -> Result<BTreeMap<String, Vec<u8>>> {
    state_in(connection, plugin, &order.to_string())
}

pub(super) fn state_in(connection: &Connection, plugin: &PluginName, scope: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    connection
        .prepare_cached("SELECT key, value FROM kv WHERE plugin = ?1 AND scope = ?2")
        .map_err(failed)?
        .query_map(params![plugin.as_str(), scope], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)
}

pub(super) fn remember(tx: &Connection, order: OrderId, state: &StateChanges) -> Result<()> {
    remember_in(tx, &state.plugin, &order.to_string(), &state.changes)
}

pub(super) fn remember_in(
    tx: &Connection,
    plugin: &PluginName,
    scope: &str,
    changes: &[(String, Option<Vec<u8>>)],
) -> Result<()> {
    let plugin = plugin.as_str();
    for (key, value) in changes {
        let written = match value {
            Some(value) => tx
                .prepare_cached(
                    "INSERT INTO kv (plugin, scope, key, value) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (plugin, scope, key) DO UPDATE SET value = excluded.value",
                )
                .and_then(|mut write| write.execute(params![plugin, scope, key, value])),
            None => tx
                .prepare_cached("DELETE FROM kv WHERE plugin = ?1 AND scope = ?2 AND key = ?3")
                .and_then(|mut write| write.execute(params![plugin, scope, key])),
        };
        written.map_err(failed)?;
    }
    Ok(())
}

// --- audit -------------------------------------------------------------------------------------

/// Enters a leaf of a write that has a key of its own, and says its number.
pub(super) fn insert_leaf(tx: &Connection, leaf: &Leaf) -> Result<i64> {
    enter_leaf(tx, leaf, false)
}

/// Enters a leaf by which its write is known when it is repeated; see [`leaf_known`].
pub(super) fn insert_leaf_alone(tx: &Connection, leaf: &Leaf) -> Result<i64> {
    enter_leaf(tx, leaf, true)
}

fn enter_leaf(tx: &Connection, leaf: &Leaf, alone: bool) -> Result<i64> {
    tx.prepare_cached("INSERT INTO leaf (id, bytes, alone) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![leaf.id().as_bytes(), leaf.bytes(), alone]))
        .map_err(failed)?;
    Ok(tx.last_insert_rowid())
}

/// Whether a write that has no key but its leaf was committed before.
pub(super) fn leaf_known(connection: &Connection, leaf: &Leaf) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM leaf WHERE id = ?1 AND alone = 1")
        .and_then(|mut known| known.exists([leaf.id().as_bytes()]))
        .map_err(failed)
}

pub(super) fn unsequenced(connection: &Connection, limit: u32) -> Result<Vec<UnsequencedLeaf>> {
    connection
        .prepare_cached("SELECT id, bytes FROM leaf WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .map_err(failed)?
        .query_map(params![sequenced_to(connection)?, limit], |row| {
            Ok(UnsequencedLeaf { id: digest(row, 0)?, bytes: row.get(1)? })
        })
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)
}

pub(super) fn tree_head(connection: &Connection) -> Result<Option<TreeHead>> {
    connection
        .prepare_cached("SELECT size, edge, checkpoint FROM tree_head")
        .map_err(failed)?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(failed)?
        .map(|(size, edge, checkpoint)| Ok(TreeHead { size: unsigned(size)?, edge, checkpoint }))
        .transpose()
}

/// The number of the last leaf that has an index: as many as the head covers.
pub(super) fn sequenced_to(connection: &Connection) -> Result<i64> {
    let size = connection
        .prepare_cached("SELECT size FROM tree_head")
        .and_then(|mut head| head.query_row([], |row| row.get(0)).optional());
    Ok(size.map_err(failed)?.unwrap_or(0))
}

/// The index of the leaf with this number, if it has one.
pub(super) fn index_of(seq: i64, sequenced_to: i64) -> Result<Option<u64>> {
    (seq <= sequenced_to).then(|| unsigned(seq.saturating_sub(1))).transpose()
}

pub(super) fn append_sequenced(
    tx: &Connection,
    expected_size: u64,
    leaves: &[Digest],
    head: &TreeHead,
) -> Result<bool> {
    let (size, new_size) = (sequenced_to(tx)?, signed(head.size)?);
    if unsigned(size)? != expected_size {
        return Ok(false);
    }
    let added = u64::try_from(leaves.len()).map_err(|_| StoreError::Failed("too many leaves at once".to_owned()))?;
    if expected_size.checked_add(added) != Some(head.size) {
        return Err(StoreError::Failed(format!(
            "a head of size {} does not fit {size} entries and {added} more",
            head.size
        )));
    }
    for (seq, leaf) in (1..).map(|nth| size.saturating_add(nth)).zip(leaves) {
        if find::id_at(tx, seq)? != Some(*leaf) {
            return Err(StoreError::Damaged(format!("leaf {leaf} is missing, or is not the next one in the log")));
        }
    }
    tx.prepare_cached(
        "INSERT INTO tree_head (only_row, size, edge, checkpoint) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (only_row) DO UPDATE SET size = ?1, edge = ?2, checkpoint = ?3",
    )
    .and_then(|mut update| update.execute(params![new_size, head.edge, head.checkpoint]))
    .map_err(failed)?;
    find::index_runs(tx, new_size)?;
    Ok(true)
}

pub(super) fn sequenced(connection: &Connection, from: u64, limit: u32) -> Result<Vec<(u64, Digest, Vec<u8>)>> {
    let mut statement = connection
        .prepare_cached("SELECT seq, id, bytes FROM leaf WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3")
        .map_err(failed)?;
    let rows = statement
        .query_map(params![signed(from)?, sequenced_to(connection)?, limit], |row| {
            Ok((row.get::<_, i64>(0)?, digest(row, 1)?, row.get(2)?))
        })
        .map_err(failed)?;
    rows.map(|row| {
        let (seq, id, bytes) = row.map_err(failed)?;
        Ok((unsigned(seq.saturating_sub(1))?, id, bytes))
    })
    .collect()
}

pub(super) fn leaf_index(connection: &Connection, id: Digest) -> Result<Option<u64>> {
    let to = sequenced_to(connection)?;
    find::leaf(connection, id, to)?.map_or(Ok(None), |seq| index_of(seq, to))
}

// --- for people --------------------------------------------------------------------------------

/// What [`order_view`] reads.
pub(super) const ORDERS: &str = "SELECT orders.id, position, number, channel, state, queue, value_minor, currency,
            recommended, why, configuration, orders.seq, leaf.id, leaf.seq, event.commitment, event.id,
            decision.commitment, decision.id
     FROM orders LEFT JOIN leaf ON leaf.seq = orders.leaf LEFT JOIN payload AS event ON event.id = orders.event
          LEFT JOIN payload AS decision ON decision.id = orders.decision";

pub(super) fn orders(connection: &Connection, after: DocumentPosition, limit: u32) -> Result<Vec<OrderView>> {
    let mut statement = connection
        .prepare_cached(&format!("{ORDERS} WHERE position > ?1 ORDER BY position LIMIT ?2"))
        .map_err(failed)?;
    let mut rows = statement.query(params![signed(after.0)?, limit]).map_err(failed)?;
    let mut orders = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        orders.push(order_view(connection, row)?);
    }
    Ok(orders)
}

pub(super) fn order(connection: &Connection, id: OrderId) -> Result<Option<OrderView>> {
    let mut statement = connection.prepare_cached(&format!("{ORDERS} WHERE orders.id = ?1")).map_err(failed)?;
    let mut rows = statement.query([id.to_string()]).map_err(failed)?;
    rows.next().map_err(failed)?.map(|row| order_view(connection, row)).transpose()
}

pub(super) fn order_view(connection: &Connection, row: &Row<'_>) -> Result<OrderView> {
    let id: String = row.get(0).map_err(failed)?;
    let currency: String = row.get(7).map_err(failed)?;
    let currency = Currency::parse(&currency).map_err(|error| damaged("a currency", &error))?;
    let channel: String = row.get(3).map_err(failed)?;
    let deliveries = deliveries(connection, row.get(11).map_err(failed)?)?;
    Ok(OrderView {
        id: OrderId::parse(&id).map_err(|error| damaged("an order id", &error))?,
        position: DocumentPosition(unsigned(row.get(1).map_err(failed)?)?),
        number: row.get(2).map_err(failed)?,
        channel: ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?,
        state: order_state(row, 4)?,
        queue: row.get(5).map_err(failed)?,
        value: Money { minor: row.get(6).map_err(failed)?, currency },
        recommended: row.get(8).map_err(failed)?,
        why: row.get(9).map_err(failed)?,
        configuration: unsigned(row.get(10).map_err(failed)?)?,
        leaf: digest(row, 12).map_err(|error| damaged("the leaf of an order", &error))?,
        leaf_index: index_of(row.get(13).map_err(failed)?, sequenced_to(connection)?)?,
        event: payload_ref(row, 14).map_err(|error| damaged("the event of an order", &error))?,
        decision: payload_ref(row, 16).map_err(|error| damaged("the decision on an order", &error))?,
        deliveries,
    })
}

/// An order's deliveries, in the order in which they were decided.
fn deliveries(connection: &Connection, order_seq: i64) -> Result<Vec<DeliveryView>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT target, CASE WHEN state = 'withheld' AND unresolved THEN 'in-doubt' ELSE state END, attempts,
                    external_id, last_code,
                    CASE WHEN state = 'pending' OR (state = 'withheld' AND unresolved) THEN max(outbox.due_at, lease_until) END,
                    kind, outbox.said, partner, number, numbered_at, answer, interchange.due_at
             FROM outbox LEFT JOIN interchange ON interchange.outbox = outbox.seq
             WHERE order_seq = ?1 ORDER BY seq",
        )
        .map_err(failed)?;
    let mut rows = statement.query([order_seq]).map_err(failed)?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        deliveries.push(DeliveryView {
            target: row.get(0).map_err(failed)?,
            state: row.get(1).map_err(failed)?,
            attempts: row.get(2).map_err(failed)?,
            external_id: row.get(3).map_err(failed)?,
            problem: row.get(4).map_err(failed)?,
            next_at: row.get::<_, Option<i64>>(5).map_err(failed)?.map(Instant),
            kind: row.get(6).map_err(failed)?,
            said: match content(row.get(7).map_err(failed)?) {
                Content::Order => None,
                Content::Said(position) | Content::Level(position) => Some(position),
            },
            interchange: interchange::if_numbered(row, 8)?,
            acknowledge_by: row.get::<_, Option<i64>>(12).map_err(failed)?.map(Instant),
        });
    }
    Ok(deliveries)
}

/// Where an order stands, by its word in a row.
pub(super) fn order_state(row: &Row<'_>, column: usize) -> Result<OrderState> {
    let state: String = row.get(column).map_err(failed)?;
    let known = OrderState::ALL.into_iter().find(|known| known.as_str() == state);
    known.ok_or_else(|| StoreError::Damaged(format!("an order has the unknown state `{state}`")))
}

/// What an exception is about.
#[derive(Default)]
pub(super) struct About {
    pub(super) order: Option<OrderId>,
    pub(super) input: Option<InputId>,
    pub(super) position: Option<i64>,
    /// The number of the delivery whose end it is; of one that it is only about, `exception::beside`.
    pub(super) outbox: Option<i64>,
    /// The customer of the order.
    pub(super) customer: Option<Digest>,
}

// --- small conversions ---------------------------------------------------------------------------

pub(super) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    row.get::<_, [u8; 32]>(column).map(Digest::from_bytes)
}

/// A commitment, and the number of its payload beside it.
pub(super) fn payload_ref(row: &Row<'_>, column: usize) -> rusqlite::Result<PayloadRef> {
    Ok(PayloadRef { commitment: digest(row, column)?, place: row.get(column.saturating_add(1))? })
}

pub(super) fn damaged(what: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read: {error}"))
}

pub(super) fn unsigned(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| StoreError::Damaged(format!("a count is negative: {value}")))
}

pub(super) fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| StoreError::Failed(format!("{value} does not fit the database")))
}
