//! Budgets: what plugins caused, by the minute and by the day.
//!
//! A sum over a window is a sum of at most sixty-one rows, whatever was granted. The windows
//! are the minute that runs and the sixty before it, so no sixty minutes in a row see more
//! than a ceiling allows; and a day, from midnight UTC. A row in the time to come, which a
//! clock left behind that was set back, counts as if it were now: nothing is minted by it.
//!
//! INVARIANT: rows change in the transaction that writes the holds that they count, and are
//! compared with the ceilings after that, so no two decisions see the same last place.

use std::collections::BTreeSet;

use portreeve_model::{Currency, Instant, Money, PluginName};
use rusqlite::{Connection, params};

use super::failed;
use super::rows::Result;
use crate::contract::{HoldOwner, NewHold, PluginUsage, SUM_MINOR_MAX, Spends, StoreError};

/// Minutes of a window before the one that runs.
const MINUTES: i64 = 60;

pub(super) fn usage(
    connection: &Connection,
    plugin: &PluginName,
    currency: Currency,
    at: Instant,
) -> Result<PluginUsage> {
    let (holds, routes) = per_hour(connection, plugin, at)?;
    let value_held_minor = value_held(connection, plugin, currency, at)?;
    let orders = orders(connection, at)?;
    Ok(PluginUsage { holds, routes, value_held_minor, orders })
}

/// Two steps for any number of orders: none is ever missing between the first and the last.
fn orders(connection: &Connection, at: Instant) -> Result<u32> {
    connection
        .prepare_cached(
            "SELECT coalesce((SELECT max(seq) FROM orders) + 1
                    - (SELECT seq FROM orders INDEXED BY orders_decided WHERE decided_at BETWEEN ?1 AND ?2
                       ORDER BY decided_at, seq LIMIT 1), 0)",
        )
        .and_then(|mut count| count.query_row([at.plus_ms(-Instant::HOUR_MS).0, at.0], |row| row.get(0)))
        .map_err(failed)
}

/// Takes what the holds of a new order use up of their plugins' budgets; fails when one of
/// them goes beyond.
pub(super) fn spend(tx: &Connection, holds: &[NewHold], value: Money, at: Instant) -> Result<()> {
    let mut valued = BTreeSet::new();
    for hold in holds {
        match &hold.owner {
            HoldOwner::Advice(spends) => {
                // Several holds of an order keep its value once.
                if valued.insert(&spends.plugin) {
                    add_value(tx, &spends.plugin, value, at)?;
                }
                spend_one(tx, spends, (1, 0), value.currency, at)?;
            }
            HoldOwner::Route(spends) => spend_one(tx, spends, (0, 1), value.currency, at)?,
            HoldOwner::Policy | HoldOwner::SpentBudget(_) => {}
        }
    }
    Ok(())
}

fn spend_one(
    tx: &Connection,
    spends: &Spends,
    (holds, routes): (u32, u32),
    currency: Currency,
    at: Instant,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO budget_minute (plugin, minute, holds, routes) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET holds = holds + excluded.holds, routes = routes + excluded.routes",
    )
    .and_then(|mut add| add.execute(params![spends.plugin.as_str(), minute(at), holds, routes]))
    .map_err(failed)?;
    let (holds_now, routes_now) = per_hour(tx, &spends.plugin, at)?;
    let count = if holds > 0 { holds_now } else { routes_now };
    let within = count <= spends.per_hour_max
        && match spends.held_share {
            Some(share) => count <= share.holds_max(orders(tx, at)?),
            None => true,
        }
        && match spends.value_held_per_day_max_minor {
            Some(most) => value_held(tx, &spends.plugin, currency, at)? <= most,
            None => true,
        };
    if within { Ok(()) } else { Err(StoreError::BudgetSpent { plugin: spends.plugin.clone() }) }
}

fn add_value(tx: &Connection, plugin: &PluginName, value: Money, at: Instant) -> Result<()> {
    // An order below nothing would give budget back.
    let value_minor = value.minor.clamp(0, SUM_MINOR_MAX);
    tx.prepare_cached(
        "INSERT INTO budget_day (plugin, currency, day, value_minor) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET value_minor = min(value_minor + excluded.value_minor, ?5)",
    )
    .and_then(|mut add| {
        add.execute(params![plugin.as_str(), value.currency.code(), day(at), value_minor, SUM_MINOR_MAX])
    })
    .map_err(failed)?;
    Ok(())
}

/// Removes what no window that ends after this time reaches.
pub(super) fn forget(tx: &Connection, before: Instant) -> Result<()> {
    tx.execute("DELETE FROM budget_minute WHERE minute < ?1", [minute(before).saturating_sub(MINUTES)])
        .map_err(failed)?;
    tx.execute("DELETE FROM budget_day WHERE day < ?1", [day(before)]).map_err(failed)?;
    Ok(())
}

/// Holds and routes of the window.
fn per_hour(connection: &Connection, plugin: &PluginName, at: Instant) -> Result<(u32, u32)> {
    connection
        .prepare_cached(
            "SELECT coalesce(sum(holds), 0), coalesce(sum(routes), 0) FROM budget_minute
             WHERE plugin = ?1 AND minute >= ?2",
        )
        .and_then(|mut sum| {
            sum.query_row(params![plugin.as_str(), minute(at).saturating_sub(MINUTES)], |row| {
                Ok((whole(row.get(0)?), whole(row.get(1)?)))
            })
        })
        .map_err(failed)
}

fn value_held(connection: &Connection, plugin: &PluginName, currency: Currency, at: Instant) -> Result<i64> {
    connection
        .prepare_cached(
            "SELECT min(coalesce(sum(value_minor), 0), ?4) FROM budget_day
             WHERE plugin = ?1 AND currency = ?2 AND day >= ?3",
        )
        .and_then(|mut sum| {
            sum.query_row(params![plugin.as_str(), currency.code(), day(at), SUM_MINOR_MAX], |row| row.get(0))
        })
        .map_err(failed)
}

fn minute(at: Instant) -> i64 {
    at.0.div_euclid(Instant::MINUTE_MS)
}

fn day(at: Instant) -> i64 {
    at.0.div_euclid(Instant::DAY_MS)
}

fn whole(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
