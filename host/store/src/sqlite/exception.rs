//! Exceptions: opened by the road, worked on by people, closed by what they decided.
//!
//! INVARIANT: a step is made on the revision that somebody saw. Any other step in between,
//! whoever's, makes it a step on something else, and it fails. So of two who claim, approve
//! or decide at once one does, and the other looks again.
//!
//! INVARIANT: what a decision causes is written with the step that says so. An exception that
//! is closed was carried out.

use std::collections::BTreeSet;

use portreeve_model::{ChannelId, Digest, ExceptionAction, ExceptionKind, Instant, OrderId, SenderId};
use rusqlite::{Connection, Row, params};

use super::rows::{self, About, Result, damaged, digest, journal, outbox_id, payload_ref, signed, unsigned};
use super::{credit, dead_letter, failed, kept_back, pause, trail};
use crate::contract::{
    CLEARED, ClosedException, Content, DeliveryAbout, Disposition, DocumentPosition, EARLY_EVENT, Effect,
    ExceptionAbout, ExceptionChange, ExceptionTrail, ExceptionView, ExceptionsWanted, InputId, NewException, NewOutbox,
    NewProposal, NewReview, NewStep, ProposalView, Resolution, STEPS_MAX, STEPS_SHOWN_MAX, Saying, StepView,
    StoreError,
};

pub(super) const COLUMNS: &str = "id, order_id, stage, code, detail, queue, opened_at, kind, due_at, escalated_at,
    claimed_by, claimed_at, revision, closed_at, closed_by, closed_how,
    (SELECT number FROM orders WHERE orders.id = exception.order_id),
    coalesce((SELECT channel FROM orders WHERE orders.id = exception.order_id),
             (SELECT channel FROM document WHERE document.position = exception.position),
             (SELECT channel FROM input WHERE input.id = exception.input)),
    coalesce((SELECT target FROM outbox WHERE outbox.seq = abs(exception.outbox)),
             (SELECT target FROM due_message WHERE due_message.exception = exception.id))";

/// What stands for a delivery where an exception is about it and not its end. Numbers of deliveries
/// are above nothing, so below nothing no dead letter, replay or measure finds it; whose target it
/// is does whoever asks for an owner.
pub(super) fn beside(outbox: i64) -> i64 {
    outbox.saturating_neg()
}

pub(super) fn view(row: &Row<'_>) -> Result<ExceptionView> {
    let get = |column| row.get::<_, Option<i64>>(column).map_err(failed).map(|at| at.map(Instant));
    let order: Option<String> = row.get(1).map_err(failed)?;
    let kind: String = row.get(7).map_err(failed)?;
    let claimed: Option<String> = row.get(10).map_err(failed)?;
    let closed_by = row.get(14).map_err(failed)?;
    let how: Option<String> = row.get(15).map_err(failed)?;
    let channel: Option<String> = row.get(17).map_err(failed)?;
    Ok(ExceptionView {
        id: unsigned(row.get(0).map_err(failed)?)?,
        kind: ExceptionKind::parse(&kind)
            .ok_or_else(|| StoreError::Damaged(format!("an exception has the unknown kind `{kind}`")))?,
        order: order.map(|id| OrderId::parse(&id).map_err(|error| damaged("an order id", &error))).transpose()?,
        order_number: row.get(16).map_err(failed)?,
        stage: row.get(2).map_err(failed)?,
        code: row.get(3).map_err(failed)?,
        detail: row.get(4).map_err(failed)?,
        queue: row.get(5).map_err(failed)?,
        channel: channel.map(|id| ChannelId::parse(&id).map_err(|error| damaged("a channel", &error))).transpose()?,
        target: row.get(18).map_err(failed)?,
        opened_at: Instant(row.get(6).map_err(failed)?),
        due_at: get(8)?,
        escalated_at: get(9)?,
        claimed: claimed.zip(get(11)?),
        revision: unsigned(row.get(12).map_err(failed)?)?,
        closed: get(13)?.map(|at| ClosedException { at, who: closed_by, how: how.unwrap_or_default() }),
    })
}

pub(super) fn insert(tx: &Connection, exception: &NewException, about: &About, at: Instant) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO exception (order_id, input, position, outbox, stage, code, detail, queue, opened_at, kind,
                                due_at, customer)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            about.order.map(|order| order.to_string()),
            about.input.map(|input| input.0.as_bytes().to_vec()),
            about.position,
            about.outbox,
            exception.stage,
            exception.code,
            exception.detail,
            exception.queue,
            at.0,
            exception.kind.as_str(),
            exception.due_at.map(|at| at.0),
            about.customer.map(|customer| customer.as_bytes().to_vec()),
        ])
    })
    .map_err(failed)?;
    Ok(())
}

// --- reading -------------------------------------------------------------------------------------

/// Each queue's page by its own index, however many wait in others.
pub(super) fn list(connection: &Connection, wanted: &ExceptionsWanted) -> Result<Vec<ExceptionView>> {
    let queues: BTreeSet<&str> = wanted.queues.iter().map(String::as_str).collect();
    if queues.is_empty() {
        return page(connection, wanted, None);
    }
    let mut found = Vec::new();
    for queue in queues {
        found.extend(page(connection, wanted, Some(queue))?);
    }
    found.sort_by_key(|exception| exception.id);
    found.truncate(usize::try_from(wanted.limit).unwrap_or(usize::MAX));
    Ok(found)
}

pub(super) fn all(connection: &Connection, after: u64, limit: u32) -> Result<Vec<ExceptionView>> {
    page(connection, &ExceptionsWanted { after, limit, ..ExceptionsWanted::default() }, None)
}

fn page(connection: &Connection, wanted: &ExceptionsWanted, queue: Option<&str>) -> Result<Vec<ExceptionView>> {
    let customer = wanted.customer.map(|customer| customer.as_bytes().to_vec());
    let sql = page_sql(customer.is_some(), queue.is_some());
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let kind = wanted.kind.map(ExceptionKind::as_str);
    views(statement.query(params![signed(wanted.after)?, wanted.limit, customer, queue, kind]).map_err(failed)?)
}

/// A page of exceptions; what is not asked for is null. A kind has no index: whoever asks for one goes
/// through what waits, and that much people have to do.
pub(super) fn page_sql(of_customer: bool, of_queue: bool) -> String {
    let (index, which) = match (of_customer, of_queue) {
        (true, true) => ("exception_customer", "customer = ?3 AND queue = ?4"),
        (true, false) => ("exception_customer", "customer = ?3 AND ?4 IS NULL"),
        (false, true) => ("exception_queue", "?3 IS NULL AND queue = ?4"),
        (false, false) => ("exception_open", "?3 IS NULL AND ?4 IS NULL"),
    };
    format!(
        "SELECT {COLUMNS} FROM exception INDEXED BY {index}
         WHERE closed_at IS NULL AND id > ?1 AND {which} AND (?5 IS NULL OR kind = ?5) ORDER BY id LIMIT ?2"
    )
}

/// Those that are due by then, and that nobody was told of yet.
pub(super) fn due(connection: &Connection, at: Instant, limit: u32) -> Result<Vec<ExceptionView>> {
    let mut statement = connection.prepare_cached(&due_sql()).map_err(failed)?;
    views(statement.query(params![at.0, limit]).map_err(failed)?)
}

pub(super) fn due_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM exception INDEXED BY exception_due
         WHERE closed_at IS NULL AND escalated_at IS NULL AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2"
    )
}

pub(super) const EXPIRED: &str = "SELECT exception FROM proposal INDEXED BY proposal_expires
     WHERE ended IS NULL AND expires_at <= ?1 ORDER BY expires_at, seq LIMIT ?2";

/// Those of which a proposal expired by then.
pub(super) fn with_expired_proposals(connection: &Connection, at: Instant, limit: u32) -> Result<Vec<u64>> {
    let mut statement = connection.prepare_cached(EXPIRED).map_err(failed)?;
    let mut found = statement.query(params![at.0, limit]).map_err(failed)?;
    let mut numbers = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        numbers.push(unsigned(row.get(0).map_err(failed)?)?);
    }
    Ok(numbers)
}

pub(super) fn views(mut found: rusqlite::Rows<'_>) -> Result<Vec<ExceptionView>> {
    let mut exceptions = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        exceptions.push(view(row)?);
    }
    Ok(exceptions)
}

pub(super) fn trail(connection: &Connection, number: u64) -> Result<Option<ExceptionTrail>> {
    let id = signed(number)?;
    let Some(exception) = one(connection, id)? else { return Ok(None) };
    Ok(Some(ExceptionTrail {
        exception,
        about: about(connection, id)?,
        steps: steps(connection, id)?,
        proposal: open_proposal(connection, id)?,
    }))
}

pub(super) fn one(connection: &Connection, id: i64) -> Result<Option<ExceptionView>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM exception WHERE id = ?1")).map_err(failed)?;
    let mut found = statement.query([id]).map_err(failed)?;
    found.next().map_err(failed)?.map(view).transpose()
}

// A payload that is gone comes with a commitment that nothing has, and opening it says what is
// wrong: what cannot be read any more can still be decided about.
pub(super) const ABOUT: &str = "SELECT input.id, coalesce(payload.commitment, zeroblob(32)), input.payload,
            exception.position, outbox.target, outbox.order_id, outbox.kind, outbox.state, outbox.attempts,
            outbox.replays, input.seq, input.disposition, outbox.said
     FROM exception
       LEFT JOIN outbox ON outbox.seq = exception.outbox
       LEFT JOIN orders ON orders.id = exception.order_id
       LEFT JOIN document ON document.position = coalesce(exception.position, orders.position)
       LEFT JOIN input ON input.seq = coalesce(document.input, (SELECT seq FROM input WHERE id = exception.input))
       LEFT JOIN payload ON payload.id = input.payload
     WHERE exception.id = ?1";

/// An exception about an order has a position, and by it an input; one about an input has that.
fn about(connection: &Connection, id: i64) -> Result<ExceptionAbout> {
    let mut statement = connection.prepare_cached(ABOUT).map_err(failed)?;
    let mut found = statement.query([id]).map_err(failed)?;
    let Some(row) = found.next().map_err(failed)? else { return Ok(ExceptionAbout::default()) };
    let input: Option<i64> = row.get(10).map_err(failed)?;
    let target: Option<String> = row.get(4).map_err(failed)?;
    let delivery = match target {
        Some(target) => Some(DeliveryAbout {
            outbox: outbox_id(row, 5, &target, 6, 12)?,
            target,
            state: row.get(7).map_err(failed)?,
            attempts: row.get(8).map_err(failed)?,
            replays: row.get(9).map_err(failed)?,
        }),
        None => None,
    };
    let position: Option<i64> = row.get(3).map_err(failed)?;
    Ok(ExceptionAbout {
        input: match input {
            Some(_) => Some((
                InputId(digest(row, 0).map_err(failed)?),
                payload_ref(row, 1).map_err(|error| damaged("the bytes of an input", &error))?,
            )),
            None => None,
        },
        disposition: row
            .get::<_, Option<String>>(11)
            .map_err(failed)?
            .and_then(|word| Disposition::ALL.into_iter().find(|known| known.as_str() == word)),
        document: position.map(unsigned).transpose()?.map(DocumentPosition),
        delivery,
        makers: match input {
            Some(input) => makers(connection, input)?,
            None => Vec::new(),
        },
        plugin: pause::about(connection, id)?,
    })
}

/// Whose an input is.
pub(super) fn input_sender(connection: &Connection, input: InputId) -> Result<Option<(ChannelId, SenderId)>> {
    let mut statement = connection.prepare_cached("SELECT channel, sender FROM input WHERE id = ?1").map_err(failed)?;
    let mut found = statement.query([input.0.as_bytes()]).map_err(failed)?;
    let Some(row) = found.next().map_err(failed)? else { return Ok(None) };
    let (channel, sender): (String, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
    let channel = ChannelId::parse(&channel).map_err(|error| damaged("a channel", &error))?;
    Ok(Some((channel, SenderId::authenticated(&sender))))
}

fn makers(connection: &Connection, input: i64) -> Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT who FROM input_maker WHERE input = ?1 ORDER BY who").map_err(failed)?;
    let makers = statement.query_map([input], |row| row.get(0)).map_err(failed)?;
    makers.collect::<rusqlite::Result<_>>().map_err(failed)
}

pub(super) const STEPS: &str =
    "SELECT at, who, step, addressee, coalesce(payload.commitment, zeroblob(32)), step.record
             FROM (SELECT * FROM exception_step WHERE exception = ?1 ORDER BY seq DESC LIMIT ?2) AS step
                  LEFT JOIN payload ON payload.id = step.record
             ORDER BY step.seq";

fn steps(connection: &Connection, id: i64) -> Result<Vec<StepView>> {
    let mut statement = connection.prepare_cached(STEPS).map_err(failed)?;
    let mut found = statement.query(params![id, STEPS_SHOWN_MAX]).map_err(failed)?;
    let mut steps = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let record: Option<i64> = row.get(5).map_err(failed)?;
        steps.push(StepView {
            at: Instant(row.get(0).map_err(failed)?),
            who: row.get(1).map_err(failed)?,
            step: row.get(2).map_err(failed)?,
            to: row.get(3).map_err(failed)?,
            record: record
                .map(|_| payload_ref(row, 4).map_err(|error| damaged("the words of a step", &error)))
                .transpose()?,
        });
    }
    Ok(steps)
}

pub(super) const OPEN_PROPOSAL: &str =
    "SELECT digest, action, coalesce(payload.commitment, zeroblob(32)), proposal.record, by_whom, at, expires_at,
                    approvals_needed, proposal.seq
             FROM proposal LEFT JOIN payload ON payload.id = proposal.record WHERE exception = ?1 AND ended IS NULL";

fn open_proposal(connection: &Connection, id: i64) -> Result<Option<ProposalView>> {
    let mut statement = connection.prepare_cached(OPEN_PROPOSAL).map_err(failed)?;
    let mut found = statement.query([id]).map_err(failed)?;
    let Some(row) = found.next().map_err(failed)? else { return Ok(None) };
    let action: String = row.get(1).map_err(failed)?;
    Ok(Some(ProposalView {
        digest: digest(row, 0).map_err(failed)?,
        action: ExceptionAction::parse(&action)
            .ok_or_else(|| StoreError::Damaged(format!("a proposal has the unknown action `{action}`")))?,
        record: payload_ref(row, 2).map_err(|error| damaged("a proposed action", &error))?,
        by: row.get(4).map_err(failed)?,
        at: Instant(row.get(5).map_err(failed)?),
        expires_at: Instant(row.get(6).map_err(failed)?),
        approvals_needed: row.get(7).map_err(failed)?,
        approved_by: approved_by(connection, row.get(8).map_err(failed)?)?,
    }))
}

fn approved_by(connection: &Connection, proposal: i64) -> Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT who FROM approval WHERE proposal = ?1 ORDER BY nth").map_err(failed)?;
    let who = statement.query_map([proposal], |row| row.get(0)).map_err(failed)?;
    who.collect::<rusqlite::Result<_>>().map_err(failed)
}

// --- steps ---------------------------------------------------------------------------------------

/// An exception that is about to change.
struct Open {
    id: i64,
    kind: ExceptionKind,
    order: Option<String>,
    order_seq: Option<i64>,
    position: Option<i64>,
    queue: String,
}

/// Takes a step that a person or the host decided on.
pub(super) fn step(tx: &Connection, step: &NewStep) -> Result<()> {
    if reviews_holds(step) {
        return Err(StoreError::Failed("holds are reviewed with the review that says which".to_owned()));
    }
    take(tx, step, &open(tx, step)?)
}

/// Takes the step that a review carries out: it is about what keeps that order back.
pub(super) fn step_of_review(tx: &Connection, step: &NewStep, order: &str) -> Result<()> {
    let open = open(tx, step)?;
    if !reviews_holds(step) || open.kind != ExceptionKind::Held || open.order.as_deref() != Some(order) {
        return Err(StoreError::Failed("a review carries out a decision about its own order's holds".to_owned()));
    }
    take(tx, step, &open)
}

fn reviews_holds(step: &NewStep) -> bool {
    matches!(&step.change, ExceptionChange::Resolved(resolution) if resolution.effect == Effect::ReviewHolds)
}

fn take(tx: &Connection, step: &NewStep, open: &Open) -> Result<()> {
    let record = step.record.as_ref().map(|record| rows::insert_payload(tx, record)).transpose()?;
    let leaf = match open.order_seq {
        Some(order) => trail::leaf_about_order(tx, &step.leaf, order)?,
        None => rows::insert_leaf(tx, &step.leaf)?,
    };
    let record = record.map(|record| record.place);
    let addressee = change(tx, open, step, record)?;
    tx.prepare_cached(
        "INSERT INTO exception_step (exception, at, who, step, addressee, record, leaf, queue, since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            open.id,
            step.at.0,
            step.who,
            step.change.as_str(),
            addressee,
            record,
            leaf,
            open.queue,
            step.since.0,
        ])
    })
    .map_err(failed)?;
    changed(tx, open.id)
}

/// Counts a change. INVARIANT: when nothing but a decision is left nobody has it, or whoever
/// claimed it last would keep everybody else from deciding for good.
fn changed(tx: &Connection, id: i64) -> Result<()> {
    run(
        tx,
        "UPDATE exception SET revision = revision + 1,
                claimed_by = CASE WHEN revision + 1 < ?2 THEN claimed_by END,
                claimed_at = CASE WHEN revision + 1 < ?2 THEN claimed_at END
         WHERE id = ?1",
        params![id, signed(STEPS_MAX)?],
    )
}

/// Check: it is open, and as somebody saw it.
fn open(tx: &Connection, step: &NewStep) -> Result<Open> {
    let id = signed(step.exception)?;
    let exception = step.exception;
    let found = one(tx, id)?.ok_or(StoreError::NoException { exception })?;
    if let Some(ClosedException { how, who, .. }) = found.closed {
        return Err(StoreError::ExceptionClosed { exception, how, who });
    }
    if found.revision != step.revision {
        return Err(StoreError::ExceptionMoved { exception });
    }
    if found.revision >= STEPS_MAX && step.who.is_some() && !step.change.decides() {
        return Err(StoreError::StepsSpent { exception, steps: STEPS_MAX });
    }
    let (position, order_seq) = tx
        .prepare_cached(
            "SELECT exception.position, orders.seq FROM exception LEFT JOIN orders ON orders.id = exception.order_id
             WHERE exception.id = ?1",
        )
        .and_then(|mut places| places.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(failed)?;
    let order = found.order.map(|order| order.to_string());
    Ok(Open { id, kind: found.kind, order, order_seq, position, queue: found.queue })
}

/// What a step changes; whom or what it is addressed to.
fn change(tx: &Connection, open: &Open, step: &NewStep, record: Option<i64>) -> Result<Option<String>> {
    let id = open.id;
    match &step.change {
        ExceptionChange::Claimed if step.who.is_none() => {
            return Err(StoreError::Failed("a claim is somebody's".to_owned()));
        }
        ExceptionChange::Claimed => {
            let free = "UPDATE exception SET claimed_by = ?2, claimed_at = ?3 WHERE id = ?1 AND claimed_by IS NULL";
            one_row(tx, free, params![id, step.who, step.at.0], step)?;
        }
        ExceptionChange::GivenBack => {
            run(tx, "UPDATE exception SET claimed_by = NULL, claimed_at = NULL WHERE id = ?1", params![id])?;
        }
        ExceptionChange::Assigned { to } => {
            let assign = "UPDATE exception SET claimed_by = ?2, claimed_at = ?3 WHERE id = ?1";
            run(tx, assign, params![id, to, step.at.0])?;
            return Ok(Some(to.clone()));
        }
        ExceptionChange::Commented => {}
        ExceptionChange::Rerouted { queue, due_at } => {
            let reroute = "UPDATE exception SET queue = ?2, due_at = ?3, escalated_at = NULL, claimed_by = NULL,
                                  claimed_at = NULL WHERE id = ?1";
            run(tx, reroute, params![id, queue, due_at.map(|at| at.0)])?;
            end_open_proposal(tx, open, step.at)?;
            move_order(tx, open, queue)?;
            return Ok(Some(queue.clone()));
        }
        ExceptionChange::Escalated { queue } => {
            let escalate = "UPDATE exception SET escalated_at = ?2 WHERE id = ?1 AND escalated_at IS NULL";
            one_row(tx, escalate, params![id, step.at.0], step)?;
            if let Some(queue) = queue {
                let elsewhere = "UPDATE exception SET queue = ?2, claimed_by = NULL, claimed_at = NULL WHERE id = ?1";
                run(tx, elsewhere, params![id, queue])?;
                end_open_proposal(tx, open, step.at)?;
                move_order(tx, open, queue)?;
            }
            return Ok(queue.clone());
        }
        ExceptionChange::Confirmed { .. } if open.kind != ExceptionKind::Held => {
            return Err(StoreError::Failed("where no hold keeps anything back none can be confirmed".to_owned()));
        }
        ExceptionChange::Confirmed { due_at } => {
            let confirm = "UPDATE exception SET due_at = ?2, escalated_at = NULL WHERE id = ?1";
            run(tx, confirm, params![id, due_at.map(|at| at.0)])?;
            if let Some(order) = &open.order {
                kept_back::confirm_all(tx, order, step.at, step.change.as_str())?;
            }
        }
        ExceptionChange::Proposed(proposal) => propose(tx, open, proposal, step, record)?,
        ExceptionChange::Approved { proposal } => {
            approve(tx, open, *proposal, step)?;
            // Whoever is the last to agree carries it out, or one more would have to agree to that.
            let more = "SELECT 1 FROM proposal WHERE exception = ?1 AND digest = ?2 AND ended IS NULL
                          AND (SELECT count(*) FROM approval WHERE approval.proposal = proposal.seq) < approvals_needed";
            let mut more = tx.prepare_cached(more).map_err(failed)?;
            if !more.exists(params![id, proposal.as_bytes()]).map_err(failed)? {
                return Err(StoreError::ExceptionMoved { exception: step.exception });
            }
        }
        ExceptionChange::Cleared if open.kind != ExceptionKind::Plugin => {
            return Err(StoreError::Failed("only what pauses a plugin ends with the host that paused it".to_owned()));
        }
        ExceptionChange::Cleared => close(tx, id, step.at, None, CLEARED)?,
        ExceptionChange::ProposalEnded { how, proposal } => {
            let end = "UPDATE proposal SET ended = ?3, ended_at = ?4
                       WHERE exception = ?1 AND digest = ?2 AND ended IS NULL";
            one_row(tx, end, params![id, proposal.as_bytes(), how, step.at.0], step)?;
        }
        ExceptionChange::Resolved(resolution) => resolve(tx, open, resolution, step, record)?,
    }
    Ok(None)
}

fn propose(tx: &Connection, open: &Open, proposal: &NewProposal, step: &NewStep, record: Option<i64>) -> Result<()> {
    let (Some(record), Some(who)) = (record, &step.who) else {
        return Err(StoreError::Failed("a proposal is somebody's, in words".to_owned()));
    };
    let open_already = "SELECT 1 FROM proposal WHERE exception = ?1 AND ended IS NULL";
    if tx.prepare_cached(open_already).and_then(|mut open_already| open_already.exists([open.id])).map_err(failed)? {
        return Err(StoreError::ExceptionMoved { exception: step.exception });
    }
    run(
        tx,
        "INSERT INTO proposal (exception, digest, action, record, by_whom, at, expires_at, approvals_needed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            open.id,
            proposal.digest.as_bytes(),
            proposal.action.as_str(),
            record,
            who,
            step.at.0,
            proposal.expires_at.0,
            proposal.approvals_needed
        ],
    )
}

const APPROVE: &str = "INSERT INTO approval (proposal, nth, who, at)
         SELECT seq, (SELECT count(*) FROM approval WHERE approval.proposal = proposal.seq), ?3, ?4
         FROM proposal
         WHERE exception = ?1 AND digest = ?2 AND ended IS NULL AND expires_at > ?4 AND by_whom <> ?3
           AND NOT EXISTS (SELECT 1 FROM approval WHERE approval.proposal = proposal.seq AND who = ?3)";

/// Somebody agrees. INVARIANT: nobody does to an own proposal, nor twice, nor after its end.
fn approve(tx: &Connection, open: &Open, proposal: Digest, step: &NewStep) -> Result<()> {
    one_row(tx, APPROVE, params![open.id, proposal.as_bytes(), step.who, step.at.0], step)
}

/// Ends the proposal that is open, if any: it is about what is over.
fn end_open_proposal(tx: &Connection, open: &Open, at: Instant) -> Result<()> {
    let end = "UPDATE proposal SET ended = 'stale', ended_at = ?2 WHERE exception = ?1 AND ended IS NULL";
    run(tx, end, params![open.id, at.0])
}

/// Carries out what was decided. INVARIANT: a proposal is carried out by as many as it needs.
fn resolve(tx: &Connection, open: &Open, resolution: &Resolution, step: &NewStep, record: Option<i64>) -> Result<()> {
    if !carries_out(open.kind, resolution.action, &resolution.effect) {
        return Err(StoreError::Failed(format!(
            "what was to happen is not what `{}` does to an exception of kind `{}`",
            resolution.action.as_str(),
            open.kind.as_str()
        )));
    }
    if let Some(proposal) = resolution.proposal {
        approve(tx, open, proposal, step)?;
        one_row(
            tx,
            "UPDATE proposal SET ended = 'done', ended_at = ?3
             WHERE exception = ?1 AND digest = ?2 AND ended IS NULL AND action = ?4
               AND (SELECT count(*) FROM approval WHERE approval.proposal = proposal.seq) >= approvals_needed",
            params![open.id, proposal.as_bytes(), step.at.0, resolution.action.as_str()],
            step,
        )?;
    }
    end_open_proposal(tx, open, step.at)?;
    match &resolution.effect {
        Effect::Close => {}
        Effect::ReviewHolds => return Ok(()),
        Effect::RejectOrder { why, outbox } => {
            reject(tx, open, why, resolution.action, step)?;
            undo(tx, open, outbox, step)?;
            say(tx, open, step)?;
        }
        Effect::ReplayDelivery => dead_letter::replay(tx, open.id, step.at)?,
        Effect::CorrectDelivery => {
            let Some(record) = record else {
                return Err(StoreError::Failed("a correction is somebody's, in words".to_owned()));
            };
            dead_letter::correct(tx, open.id, record, step.at)?;
        }
        Effect::AbandonDelivery => dead_letter::abandon(tx, open.id, step.at)?,
        Effect::DecideAgain => decide_again(tx, open, step)?,
        Effect::AnswerChange { outbox } => {
            answer_change(tx, open, outbox, step)?;
            say(tx, open, step)?;
        }
    }
    close(tx, open.id, step.at, step.who.as_deref(), resolution.action.as_str())
}

/// Check: what happens is what the action says. INVARIANT: a delivery that was given up and a
/// document without an order keep their exception until something becomes of them.
fn carries_out(kind: ExceptionKind, action: ExceptionAction, effect: &Effect) -> bool {
    use ExceptionAction::{Abandon, AcceptChange, Correct, RefuseChange, Reject, ReleaseHolds, Resubmit, Retry};
    kind.actions().contains(&action)
        && match effect {
            Effect::ReviewHolds => action == ReleaseHolds,
            Effect::RejectOrder { .. } => action == Reject,
            Effect::ReplayDelivery => (action, kind) == (Retry, ExceptionKind::Delivery),
            Effect::CorrectDelivery => (action, kind) == (Correct, ExceptionKind::Delivery),
            Effect::AbandonDelivery => (action, kind) == (Abandon, ExceptionKind::Delivery),
            Effect::DecideAgain => (action, kind) == (Retry, ExceptionKind::Document),
            Effect::AnswerChange { .. } => matches!(action, AcceptChange | RefuseChange),
            Effect::Close => match kind {
                ExceptionKind::Input => matches!(action, Resubmit | Retry | Abandon),
                ExceptionKind::Plugin => matches!(action, Retry | Abandon),
                ExceptionKind::Order | ExceptionKind::Document | ExceptionKind::Poll | ExceptionKind::Difference => {
                    action == Abandon
                }
                ExceptionKind::Held | ExceptionKind::Delivery | ExceptionKind::Change => false,
            },
        }
}

const REJECT: &str = "UPDATE orders SET state = 'refused', why = ?2
         WHERE id = ?1 AND state IN ('held', 'routed', 'exception')
           AND NOT EXISTS (SELECT 1 FROM outbox WHERE order_seq = orders.seq AND said = 0
                             AND (outbox.state IN ('pending', 'delivered') OR outbox.unresolved))";

const GIVE_UP: &str = "UPDATE outbox SET state = 'abandoned' WHERE order_seq = ?1 AND state = 'withheld'";

/// The order will never be delivered from here: nothing of it is on its way, and its holds end.
fn reject(tx: &Connection, open: &Open, why: &str, action: ExceptionAction, step: &NewStep) -> Result<()> {
    let (Some(order), Some(order_seq)) = (open.order.as_deref(), open.order_seq) else {
        return Err(StoreError::ExceptionMoved { exception: step.exception });
    };
    one_row(tx, REJECT, params![order, why], step)?;
    run(tx, GIVE_UP, params![order_seq])?;
    credit::give_back(tx, order_seq)?;
    kept_back::close_all(tx, order, step.at, step.who.as_deref(), action.as_str())?;
    close_held(tx, order, step.at, step.who.as_deref(), action.as_str())
}

/// Systems that have the order with a block hear that it is not wanted. INVARIANT: it is made of the
/// order's own document, so a rejected order goes nowhere by it.
fn undo(tx: &Connection, open: &Open, outbox: &[NewOutbox], step: &NewStep) -> Result<()> {
    let (false, Some(order), Some(order_seq)) = (outbox.is_empty(), open.order.as_deref(), open.order_seq) else {
        return Ok(());
    };
    let (position, event): (i64, i64) = tx
        .prepare_cached("SELECT position, event FROM orders WHERE seq = ?1")
        .and_then(|mut own| own.query_row([order_seq], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(failed)?;
    let own = Content::Said(DocumentPosition(unsigned(position)?));
    if outbox.iter().any(|row| row.content != own) {
        return Err(StoreError::Failed(
            "what undoes a rejected order is made of something else than its own word".to_owned(),
        ));
    }
    outbox.iter().try_for_each(|row| rows::insert_outbox(tx, rows::Its { order_seq, order, event }, row, step.at))
}

/// Whether a payment for the order was said, and counts or waits.
pub(super) const IS_PAID: &str = "SELECT EXISTS (SELECT 1 FROM order_event
         WHERE order_seq = ?1 AND kind = 'payment.settled' AND outcome IN ('applied', 'early'))";

/// What the host says of an order with a step: somebody hears it, or its money is somebody's to see to.
fn say(tx: &Connection, open: &Open, step: &NewStep) -> Result<()> {
    let Some(Saying { word, is_heard }) = &step.says else { return Ok(()) };
    let is_paid = || tx.prepare_cached(IS_PAID).and_then(|mut paid| paid.query_row([open.order_seq], |row| row.get(0)));
    if *is_heard || is_paid().map_err(failed)? { journal(tx, word).map(drop) } else { Ok(()) }
}

/// Who is to hear what became of a change hears it in the order's turn. INVARIANT: it is made of
/// the change itself, so the order goes nowhere by it.
fn answer_change(tx: &Connection, open: &Open, outbox: &[NewOutbox], step: &NewStep) -> Result<()> {
    let (Some(order), Some(order_seq)) = (open.order.as_deref(), open.order_seq) else {
        return Err(StoreError::ExceptionMoved { exception: step.exception });
    };
    let own = open.position.map(unsigned).transpose()?.map(|position| Content::Said(DocumentPosition(position)));
    if outbox.iter().any(|row| Some(row.content) != own) {
        return Err(StoreError::Failed("an answer to a change is made of something else than the change".to_owned()));
    }
    let event = tx
        .prepare_cached("SELECT event FROM orders WHERE seq = ?1")
        .and_then(|mut event| event.query_row([order_seq], |row| row.get(0)))
        .map_err(failed)?;
    outbox.iter().try_for_each(|row| rows::insert_outbox(tx, rows::Its { order_seq, order, event }, row, step.at))
}

const AGAIN: &str = "UPDATE document SET fingerprint = NULL, again = 1, state = CASE WHEN EXISTS (
           SELECT 1 FROM document AS other INDEXED BY document_key
           WHERE other.channel = document.channel AND other.sender = document.sender AND other.key = document.key
             AND other.state = 'undecided') THEN 'behind' ELSE 'undecided' END
         WHERE position = ?1 AND state = 'unmapped'";

/// The document is decided on once more: at once, or after the one of its key that is undecided
/// and before all that stand behind that.
fn decide_again(tx: &Connection, open: &Open, step: &NewStep) -> Result<()> {
    one_row(tx, AGAIN, params![open.position], step)
}

pub(super) fn close(tx: &Connection, id: i64, at: Instant, who: Option<&str>, how: &str) -> Result<()> {
    let close = "UPDATE exception SET closed_at = ?2, closed_by = ?3, closed_how = ?4 WHERE id = ?1";
    run(tx, close, params![id, at.0, who, how])
}

/// Notes a step that came with something else, whose leaf says it.
pub(super) fn note_step(tx: &Connection, id: i64, at: Instant, step: &str, leaf: i64) -> Result<()> {
    let note = "INSERT INTO exception_step (exception, at, step, leaf, queue, since)
                SELECT id, ?2, ?3, ?4, queue, opened_at FROM exception WHERE id = ?1";
    run(tx, note, params![id, at.0, step, leaf])?;
    changed(tx, id)
}

/// The order's place in lists goes with its exception.
fn move_order(tx: &Connection, open: &Open, queue: &str) -> Result<()> {
    if open.kind != ExceptionKind::Held {
        return Ok(());
    }
    run(tx, "UPDATE orders SET queue = ?2 WHERE id = ?1", params![open.order, queue])
}

// --- with what becomes of an order ------------------------------------------------------------------

const CLOSE_HELD: &str = "UPDATE exception SET closed_at = ?2, closed_by = ?3, closed_how = ?4
         WHERE order_id = ?1 AND kind = 'held' AND closed_at IS NULL";

/// What kept an order back is over: so is what waited for a person because of it.
pub(super) fn close_held(tx: &Connection, order: &str, at: Instant, who: Option<&str>, how: &str) -> Result<()> {
    end_proposals_of_held(tx, order, at)?;
    run(tx, CLOSE_HELD, params![order, at.0, who, how])
}

/// The same, where it was the host.
pub(super) fn clear_held(tx: &Connection, order: &str, at: Instant) -> Result<()> {
    close_held(tx, order, at, None, CLEARED)
}

/// Other holds keep the order back now: another queue's people begin anew, and what somebody
/// decided about those before is about what is over.
pub(super) fn move_held(tx: &Connection, order: &str, review: &NewReview) -> Result<()> {
    end_proposals_of_held(tx, order, review.at)?;
    run(
        tx,
        "UPDATE exception SET due_at = ?3, escalated_at = NULL, queue = coalesce(?2, queue),
                claimed_by = CASE WHEN coalesce(?2, queue) = queue THEN claimed_by END,
                claimed_at = CASE WHEN coalesce(?2, queue) = queue THEN claimed_at END
         WHERE order_id = ?1 AND kind = 'held' AND closed_at IS NULL",
        params![order, review.queue, review.due_at.map(|at| at.0)],
    )?;
    if review.step.is_none() { touch_held(tx, order) } else { Ok(()) }
}

/// Something else keeps the order back than what somebody saw.
pub(super) fn touch_held(tx: &Connection, order: &str) -> Result<()> {
    let mut held = tx
        .prepare_cached("SELECT id FROM exception WHERE order_id = ?1 AND kind = 'held' AND closed_at IS NULL")
        .map_err(failed)?;
    let held = held.query_map([order], |row| row.get(0)).map_err(failed)?;
    let held = held.collect::<rusqlite::Result<Vec<i64>>>().map_err(failed)?;
    held.into_iter().try_for_each(|id| changed(tx, id))
}

const END_PROPOSALS: &str = "UPDATE proposal SET ended = 'stale', ended_at = ?2 WHERE ended IS NULL AND exception IN
           (SELECT id FROM exception WHERE order_id = ?1 AND kind = 'held' AND closed_at IS NULL)";

fn end_proposals_of_held(tx: &Connection, order: &str, at: Instant) -> Result<()> {
    run(tx, END_PROPOSALS, params![order, at.0])
}

const CLOSE_SAID: &str = "UPDATE exception SET closed_at = ?2, closed_how = ?3
         WHERE order_id = ?1 AND kind = 'order' AND code = ?4 AND coalesce(?5, position) = position AND closed_at IS NULL";

const END_PROPOSALS_OF_SAID: &str =
    "UPDATE proposal SET ended = 'stale', ended_at = ?2 WHERE ended IS NULL AND exception IN
           (SELECT id FROM exception WHERE order_id = ?1 AND kind = 'order' AND code = ?3
                                       AND coalesce(?4, position) = position AND closed_at IS NULL)";

/// An event of the order waits for its turn no more: neither does anybody because of it.
pub(super) fn clear_early(tx: &Connection, order: &str, position: i64, at: Instant) -> Result<()> {
    clear_said(tx, order, EARLY_EVENT, Some(position), at)
}

/// What contradicted each other about an order does no more.
pub(super) fn clear_settled(tx: &Connection, order: &str, code: &str, at: Instant) -> Result<()> {
    clear_said(tx, order, code, None, at)
}

fn clear_said(tx: &Connection, order: &str, code: &str, position: Option<i64>, at: Instant) -> Result<()> {
    run(tx, END_PROPOSALS_OF_SAID, params![order, at.0, code, position])?;
    run(tx, CLOSE_SAID, params![order, at.0, CLEARED, code, position])
}

/// What one was about is over, where it is open still.
pub(super) fn clear_one(tx: &Connection, id: i64, at: Instant, leaf: i64) -> Result<()> {
    if one(tx, id)?.is_none_or(|found| found.closed.is_some()) {
        return Ok(());
    }
    run(
        tx,
        "UPDATE proposal SET ended = 'stale', ended_at = ?2 WHERE ended IS NULL AND exception = ?1",
        params![id, at.0],
    )?;
    close(tx, id, at, None, CLEARED)?;
    note_step(tx, id, at, CLEARED, leaf)
}

/// A delivery that was given up has nothing left to be looked at.
pub(super) fn clear_delivery(tx: &Connection, outbox: i64, at: Instant, leaf: i64) -> Result<()> {
    let mut open = tx.prepare_cached(OF_DELIVERY).map_err(failed)?;
    let found: Vec<i64> = open.query_map([outbox], |row| row.get(0)).and_then(Iterator::collect).map_err(failed)?;
    found.into_iter().try_for_each(|id| clear_one(tx, id, at, leaf))
}

pub(super) const OF_DELIVERY: &str =
    "SELECT id FROM exception INDEXED BY exception_delivery WHERE outbox = ?1 AND closed_at IS NULL";

/// Writes that look for what they change.
#[cfg(test)]
pub(super) const WRITES: [&str; 8] =
    [APPROVE, REJECT, GIVE_UP, AGAIN, CLOSE_HELD, END_PROPOSALS, CLOSE_SAID, END_PROPOSALS_OF_SAID];

fn run(tx: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<()> {
    tx.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(failed)?;
    Ok(())
}

/// A write that is about exactly one row, or about something that moved meanwhile.
fn one_row(tx: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql], step: &NewStep) -> Result<()> {
    let changed = tx.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(failed)?;
    if changed == 1 { Ok(()) } else { Err(StoreError::ExceptionMoved { exception: step.exception }) }
}
