//! How much of everything there is.
//!
//! No row is ever removed, so the last number of a table says how many rows it has. What
//! is not usual stands in a partial index and is counted there, and what is usual is the
//! rest: a report costs nothing for an order that went through, however many did.

use portreeve_model::Instant;
use rusqlite::{Connection, Params};

use super::rows::{Result, unsigned};
use super::{failed, trail};
use crate::contract::{OPEN_HOLDS_MAX, OpenHolds, OrderState, Summary, WaitingDeliveries};

const INPUTS: &str = "SELECT coalesce(max(seq), 0) FROM input";
const INPUTS_ENDED: &str = "SELECT count(*) FROM input WHERE disposition = ?1 AND disposition <> 'documents'";
const WITHOUT_ORDER: &str = "SELECT count(*) FROM document WHERE state = ?1 AND state IN ('duplicate', 'unmapped')";
const UNDECIDED: &str = "SELECT count(*) FROM document WHERE state = 'undecided'";
const BEHIND: &str = "SELECT count(*) FROM document WHERE state = 'behind'";
const ORDERS: &str = "SELECT coalesce(max(seq), 0) FROM orders";
const ORDERS_NOT_RELEASED: &str = "SELECT count(*) FROM orders WHERE state = ?1 AND state <> 'released'";
const RECOMMENDED: &str = "SELECT count(*) FROM orders WHERE recommended = 1";
const ORDER_EVENTS: &str = "SELECT count(*) FROM order_event";
const DELIVERIES: &str = "SELECT coalesce(max(seq), 0) FROM outbox";
const PENDING: &str = "SELECT count(*) FROM outbox WHERE bars AND state = 'pending'";
const STUCK: &str = "SELECT count(*) FROM outbox WHERE state NOT IN ('pending', 'delivered')";
const STUCK_AS: &str = "SELECT count(*) FROM outbox WHERE state = ?1 AND state NOT IN ('pending', 'delivered')";
const RETRIED: &str = "SELECT coalesce(sum(attempts - 1), 0) FROM outbox WHERE attempts > 1";
/// Done and not answered, in time and overdue.
const UNACKNOWLEDGED: &str =
    "SELECT count(*) FROM interchange WHERE answer IS NULL AND exception IS NULL AND due_at IS NOT NULL";
const OVERDUE: &str = "SELECT count(*) FROM interchange WHERE answer IS NULL AND exception IS NOT NULL";
const UNSEQUENCED: &str = "SELECT coalesce((SELECT max(seq) FROM leaf), 0) - coalesce((SELECT size FROM tree_head), 0)";

/// By the orders that are kept back, which are few, and not by all holds that ever were.
const OPEN_HOLDS: &str =
    "SELECT hold.owner, hold.plugin, CASE hold.owner WHEN 'policy' THEN hold.reason ELSE hold.owner END, hold.queue, count(*), min(hold.opened_at), sum(hold.expires_at <= ?1)
     FROM orders JOIN hold ON hold.order_id = orders.id
     WHERE orders.state IN ('held', 'routed', 'exception') AND orders.state <> 'released' AND hold.closed_at IS NULL
     GROUP BY 1, 2, 3, 4 ORDER BY 6, 1, 2, 3, 4 LIMIT ?2";

/// By what keeps its order's line waiting, which is little beside what was delivered.
const WAITING: &str = "SELECT target, count(*), sum(behind), min(deadline_from) FROM outbox INDEXED BY outbox_line
     WHERE bars AND state = 'pending' GROUP BY target ORDER BY target";

/// Every question above.
#[cfg(test)]
pub(super) const ALL: [&str; 19] = [
    INPUTS,
    INPUTS_ENDED,
    WITHOUT_ORDER,
    UNDECIDED,
    BEHIND,
    ORDERS,
    ORDERS_NOT_RELEASED,
    RECOMMENDED,
    ORDER_EVENTS,
    DELIVERIES,
    PENDING,
    STUCK,
    STUCK_AS,
    RETRIED,
    UNACKNOWLEDGED,
    OVERDUE,
    UNSEQUENCED,
    OPEN_HOLDS,
    WAITING,
];

pub(super) fn summary(connection: &Connection) -> Result<Summary> {
    let count = |sql: &str| counted(connection, sql, []);
    let count_as = |sql: &str, word: &str| counted(connection, sql, [word]);

    let mut released = count(ORDERS)?;
    let mut orders = Vec::new();
    for state in OrderState::ALL.into_iter().filter(|state| *state != OrderState::Released) {
        let counted = count_as(ORDERS_NOT_RELEASED, state.as_str())?;
        released = released.saturating_sub(counted);
        orders.push((state, counted));
    }
    orders.insert(0, (OrderState::Released, released));
    let pending = count(PENDING)?;
    let refused_inputs = count_as(INPUTS_ENDED, "refused")?;

    Ok(Summary {
        inputs: count(INPUTS)?.saturating_sub(refused_inputs),
        orders,
        unmapped: count_as(WITHOUT_ORDER, "unmapped")?,
        order_events: count(ORDER_EVENTS)?,
        duplicates: count_as(WITHOUT_ORDER, "duplicate")?,
        rejected_inputs: count_as(INPUTS_ENDED, "rejected")?,
        refused_inputs,
        unparsed_inputs: count_as(INPUTS_ENDED, "unparsed")?,
        recommended: count(RECOMMENDED)?,
        undecided: count(UNDECIDED)?.saturating_add(count(BEHIND)?),
        delivered: count(DELIVERIES)?.saturating_sub(pending).saturating_sub(count(STUCK)?),
        retried: count(RETRIED)?,
        dead: count_as(STUCK_AS, "dead")?,
        pending,
        withheld: count_as(STUCK_AS, "withheld")?,
        unsequenced: count(UNSEQUENCED)?,
        exceptions_open: trail::exceptions_open(connection)?,
        unacknowledged: count(UNACKNOWLEDGED)?,
        acknowledgements_overdue: count(OVERDUE)?,
    })
}

pub(super) fn open_holds(connection: &Connection, at: Instant) -> Result<Vec<OpenHolds>> {
    let mut statement = connection.prepare_cached(OPEN_HOLDS).map_err(failed)?;
    let mut rows = statement.query((at.0, OPEN_HOLDS_MAX)).map_err(failed)?;
    let mut open = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        open.push(OpenHolds {
            owner: row.get(0).map_err(failed)?,
            plugin: row.get(1).map_err(failed)?,
            reason: row.get(2).map_err(failed)?,
            queue: row.get(3).map_err(failed)?,
            count: unsigned(row.get(4).map_err(failed)?)?,
            oldest_at: Instant(row.get(5).map_err(failed)?),
            overdue: unsigned(row.get(6).map_err(failed)?)?,
        });
    }
    Ok(open)
}

pub(super) fn waiting(connection: &Connection) -> Result<Vec<WaitingDeliveries>> {
    let mut statement = connection.prepare_cached(WAITING).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        waiting.push(WaitingDeliveries {
            target: row.get(0).map_err(failed)?,
            pending: unsigned(row.get(1).map_err(failed)?)?,
            behind: unsigned(row.get(2).map_err(failed)?)?,
            oldest_since: Instant(row.get(3).map_err(failed)?),
        });
    }
    Ok(waiting)
}

fn counted(connection: &Connection, sql: &str, words: impl Params) -> Result<u64> {
    let found = connection.prepare_cached(sql).and_then(|mut count| count.query_row(words, |row| row.get::<_, i64>(0)));
    found.map_err(failed).and_then(unsigned)
}
