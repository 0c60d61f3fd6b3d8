//! Orders that are kept back: what keeps them, and what ends it.
//!
//! INVARIANT: a review is of the holds that were open when somebody looked. Any other
//! write about them in between, whoever's, makes it a review of nothing.

use portreeve_model::{Digest, ExceptionAction, Instant, OrderId, SenderId};
use rusqlite::{Connection, Row, params};

use super::rows::{self, Its, Result, damaged, digest, payload_ref, signed, unsigned};
use super::{credit, exception, failed, order_event, oversight, trail};
use crate::contract::{
    ClosedHold, DocumentPosition, HoldOwner, HoldView, Kept, KeptBack, NewReview, OrderEventKind, OrderState,
    ReviewView, StoreError, WaitingOrders,
};

/// What [`kept_back`] reads.
const KEPT_BACK: &str = "SELECT orders.id, orders.sender, document.partner, document.received_at
     FROM orders JOIN document ON document.position = orders.position
     WHERE orders.state IN ('held', 'routed', 'exception')";

/// The same, page by page: the join must not tempt anybody away from the index.
const PAGE_OF_KEPT_BACK: &str = "SELECT orders.id, orders.sender, document.partner, document.received_at
     FROM orders INDEXED BY orders_kept_back CROSS JOIN document ON document.position = orders.position
     WHERE orders.state IN ('held', 'routed', 'exception') AND orders.position > ?1";

/// Those that a rule keeps back.
const BY_RULES: &str = "AND EXISTS (SELECT 1 FROM hold WHERE hold.order_id = orders.id AND closed_at IS NULL
       AND owner = 'policy' AND reason <> 'cancel-requested')";

pub(super) fn list(connection: &Connection, which: Kept, after: DocumentPosition, limit: u32) -> Result<Vec<KeptBack>> {
    let which = if which == Kept::ByRules { BY_RULES } else { "" };
    let mut statement = connection
        .prepare_cached(&format!("{PAGE_OF_KEPT_BACK} {which} ORDER BY orders.position LIMIT ?2"))
        .map_err(failed)?;
    let mut found = statement.query(params![signed(after.0)?, limit]).map_err(failed)?;
    let mut orders = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        orders.extend(kept_back(connection, row)?);
    }
    Ok(orders)
}

pub(super) fn one(connection: &Connection, order: OrderId) -> Result<Option<KeptBack>> {
    let mut statement = connection.prepare_cached(&format!("{KEPT_BACK} AND orders.id = ?1")).map_err(failed)?;
    let mut found = statement.query([order.to_string()]).map_err(failed)?;
    match found.next().map_err(failed)? {
        Some(row) => kept_back(connection, row),
        None => Ok(None),
    }
}

fn kept_back(connection: &Connection, row: &Row<'_>) -> Result<Option<KeptBack>> {
    let text: String = row.get(0).map_err(failed)?;
    let id = OrderId::parse(&text).map_err(|error| damaged("an order id", &error))?;
    let Some(order) = rows::order(connection, id)? else { return Ok(None) };
    let sender: String = row.get(1).map_err(failed)?;
    Ok(Some(KeptBack {
        id,
        position: order.position,
        channel: order.channel,
        sender: SenderId::authenticated(&sender),
        partner: row.get(2).map_err(failed)?,
        number: order.number,
        received_at: Instant(row.get(3).map_err(failed)?),
        state: order.state,
        queue: order.queue,
        value: order.value,
        event: order.event,
        cancel_requested: order_event::has(connection, id, OrderEventKind::CancelRequested)?,
        changed: order_event::has(connection, id, OrderEventKind::Changed)?,
        holds: holds(connection, &text)?,
    }))
}

/// By what is kept back, and by what keeps its order's line waiting.
const WAITING: &str = "SELECT outbox.target, outbox.kind, 0, count(*), min(orders.number)
     FROM orders INDEXED BY orders_kept_back
          CROSS JOIN outbox INDEXED BY outbox_order
                  ON outbox.order_seq = orders.seq AND outbox.said = orders.position
     WHERE orders.state IN ('held', 'routed', 'exception') AND orders.position > 0
     GROUP BY outbox.target, outbox.kind
     UNION ALL
     SELECT outbox.target, outbox.kind, 1, count(*), min(orders.number)
     FROM outbox INDEXED BY outbox_line CROSS JOIN orders ON orders.seq = outbox.order_seq
     WHERE outbox.bars AND outbox.said = 0
     GROUP BY outbox.target, outbox.kind
     ORDER BY 3, 1, 2";

pub(super) fn waiting(connection: &Connection) -> Result<Vec<WaitingOrders>> {
    let mut statement = connection.prepare_cached(WAITING).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        waiting.push(WaitingOrders {
            target: row.get(0).map_err(failed)?,
            kind: row.get(1).map_err(failed)?,
            is_order: row.get(2).map_err(failed)?,
            orders: unsigned(row.get(3).map_err(failed)?)?,
            number: row.get(4).map_err(failed)?,
        });
    }
    Ok(waiting)
}

/// All holds that an order ever had, oldest first.
pub(super) fn holds(connection: &Connection, order: &str) -> Result<Vec<HoldView>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, owner, plugin, reason, queue, lines, opened_at, expires_at, closed_at, closed_by, component
             FROM hold WHERE order_id = ?1 ORDER BY id",
        )
        .map_err(failed)?;
    let mut found = statement.query([order]).map_err(failed)?;
    let mut holds = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let lines: String = row.get(5).map_err(failed)?;
        let closed_at: Option<i64> = row.get(8).map_err(failed)?;
        let who = row.get(9).map_err(failed)?;
        holds.push(HoldView {
            number: unsigned(row.get(0).map_err(failed)?)?,
            owner: row.get(1).map_err(failed)?,
            plugin: row.get(2).map_err(failed)?,
            component: component(row)?,
            reason: row.get(3).map_err(failed)?,
            queue: row.get(4).map_err(failed)?,
            lines: lines.lines().map(str::to_owned).collect(),
            opened_at: Instant(row.get(6).map_err(failed)?),
            expires_at: Instant(row.get(7).map_err(failed)?),
            closed: closed_at.map(|at| ClosedHold { at: Instant(at), who }),
        });
    }
    Ok(holds)
}

fn component(row: &rusqlite::Row<'_>) -> Result<Option<Digest>> {
    let bytes: Option<[u8; 32]> = row.get(10).map_err(failed)?;
    Ok(bytes.map(Digest::from_bytes))
}

pub(super) fn reviews(connection: &Connection, order: &str) -> Result<Vec<ReviewView>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT at, who, configuration, payload.commitment, payload.id, leaf.id
             FROM order_review LEFT JOIN payload ON payload.id = record LEFT JOIN leaf ON leaf.seq = order_review.leaf
             WHERE order_seq = (SELECT seq FROM orders WHERE orders.id = ?1) ORDER BY order_review.seq",
        )
        .map_err(failed)?;
    let mut found = statement.query([order]).map_err(failed)?;
    let mut reviews = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        reviews.push(ReviewView {
            at: Instant(row.get(0).map_err(failed)?),
            who: row.get(1).map_err(failed)?,
            configuration: unsigned(row.get(2).map_err(failed)?)?,
            record: payload_ref(row, 3).map_err(|error| damaged("the record of a review", &error))?,
            leaf: digest(row, 5).map_err(|error| damaged("the leaf of a review", &error))?,
        });
    }
    Ok(reviews)
}

pub(super) fn review(tx: &Connection, review: &NewReview) -> Result<()> {
    let id = review.order.to_string();
    let moved = || StoreError::OrderMoved { order: review.order };
    let order = one(tx, review.order)?.ok_or_else(moved)?;
    let open: Vec<u64> = order.open_holds().map(|hold| hold.number).collect();
    let released = review.state == OrderState::Released;
    if open != review.open || (released && order.cancel_requested) {
        return Err(moved());
    }
    if order.state == OrderState::Exception && review.state != OrderState::Exception && review.who.is_none() {
        return Err(StoreError::Failed("an order that failed otherwise stays with its person".to_owned()));
    }
    let ends = |hold: &&HoldView| review.closed.contains(&hold.number);
    if review.who.is_none() && order.open_holds().filter(ends).any(|hold| hold.owner != "policy") {
        return Err(StoreError::Failed("the host ends holds of its own rules and no others".to_owned()));
    }
    fits(review, open.len()).map_err(|why| StoreError::Failed(why.to_owned()))?;
    for number in &review.closed {
        let judged = review.who.as_ref().map(|_| ExceptionAction::ReleaseHolds.as_str());
        close(tx, &id, *number, review.at, review.who.as_deref(), judged)?;
    }
    for hold in &review.opened {
        rows::insert_hold(tx, &id, hold, review.at, None)?;
    }
    let order_seq: i64 = tx
        .prepare_cached("UPDATE orders SET state = ?2, queue = ?3, why = ?4 WHERE id = ?1 RETURNING seq")
        .and_then(|mut update| {
            update.query_row(params![id, review.state.as_str(), review.queue, review.why], |row| row.get(0))
        })
        .map_err(failed)?;
    let (record, configuration) = (rows::insert_payload(tx, &review.record)?.place, signed(review.configuration)?);
    let leaf = trail::leaf_about_order(tx, &review.leaf, order_seq)?;
    tx.prepare_cached(
        "INSERT INTO order_review (order_seq, record, configuration, at, who, leaf) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut insert| insert.execute(params![order_seq, record, configuration, review.at.0, review.who, leaf]))
    .map_err(failed)?;
    let its = Its { order_seq, order: &id, event: order.event.place };
    review.outbox.iter().try_for_each(|row| rows::insert_outbox(tx, its, row, review.at))?;
    if let Some(step) = &review.step {
        exception::step_of_review(tx, step, &id)?;
    }
    if released {
        let how = review.step.as_ref().map_or(crate::contract::CLEARED, |step| step.change.as_str());
        exception::close_held(tx, &id, review.at, review.who.as_deref(), how)?;
    } else {
        exception::move_held(tx, &id, review)?;
    }
    // Last: what others wait for is held for as short as can be.
    review.credit.iter().try_for_each(|reservation| credit::reserve(tx, order_seq, reservation))
}

/// Check: what the review says agrees with itself. No order is left without a hold and without
/// a release, for nothing could ever move it again.
fn fits(review: &NewReview, open: usize) -> std::result::Result<(), &'static str> {
    let left = open.saturating_sub(review.closed.len()).saturating_add(review.opened.len());
    let released = review.state == OrderState::Released;
    if review.closed.is_empty() && review.opened.is_empty() && !(released && review.who.is_some()) {
        return Err("a review that changes nothing has nothing to write");
    }
    match review.state {
        OrderState::Released if left > 0 => return Err("an order is released when none of its holds is left"),
        OrderState::Held | OrderState::Routed if left == 0 => {
            return Err("an order is kept back by a hold, and none of its holds is left");
        }
        OrderState::Refused => return Err("a review refuses no order"),
        OrderState::Released | OrderState::Held | OrderState::Routed | OrderState::Exception => {}
    }
    if !released && (review.credit.is_some() || !review.outbox.is_empty()) {
        return Err("an order that is kept back is delivered to nobody and takes no credit");
    }
    if review.opened.iter().any(|hold| hold.owner != HoldOwner::Policy) {
        return Err("a review opens holds of the host's own rules and no others");
    }
    Ok(())
}

/// Closes all holds of an order that they keep back no more, whatever became of it.
pub(super) fn close_all(tx: &Connection, order: &str, at: Instant, who: Option<&str>, how: &str) -> Result<()> {
    let holds = holds(tx, order)?;
    let judged = if who.is_some() && !is_to_be_cancelled(tx, order)? { Some(how) } else { None };
    let mut open = holds.iter().filter(|hold| hold.closed.is_none());
    open.try_for_each(|hold| close(tx, order, hold.number, at, who, judged))
}

/// Whether its sender wants it cancelled: what a person decides then says nothing of a model.
fn is_to_be_cancelled(tx: &Connection, order: &str) -> Result<bool> {
    let order = OrderId::parse(order).map_err(|error| damaged("an order id", &error))?;
    order_event::has(tx, order, OrderEventKind::CancelRequested)
}

/// A person agrees with what keeps the order back.
pub(super) fn confirm_all(tx: &Connection, order: &str, at: Instant, how: &str) -> Result<()> {
    let (holds, cancelled) = (holds(tx, order)?, is_to_be_cancelled(tx, order)?);
    let mut open = holds.iter().filter(|hold| hold.closed.is_none() && !cancelled);
    open.try_for_each(|hold| oversight::judge(tx, signed(hold.number)?, at, how))
}

/// Ends a hold, and notes what a person said of a model's by that.
fn close(
    tx: &Connection,
    order: &str,
    number: u64,
    at: Instant,
    who: Option<&str>,
    judged: Option<&str>,
) -> Result<()> {
    let row_id = signed(number)?;
    if let Some(how) = judged {
        oversight::judge(tx, row_id, at, how)?;
    }
    let closed = tx
        .prepare_cached(
            "UPDATE hold SET closed_at = ?3, closed_by = ?4 WHERE id = ?2 AND order_id = ?1 AND closed_at IS NULL",
        )
        .and_then(|mut update| update.execute(params![order, row_id, at.0, who]))
        .map_err(failed)?;
    if closed != 1 {
        return Err(StoreError::Failed(format!("hold {number} is none that keeps the order back")));
    }
    Ok(())
}
