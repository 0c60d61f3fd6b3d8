//! Invoices by their numbers, and the orders that they are of: whoever advises of a payment names
//! nothing else.
//!
//! They stand in `kv` under the empty name, which is the host's: no plugin's rows can be there. A
//! number is a scope and each of its orders a row. They are written only where somebody may ask, as
//! they are a row for each invoice.

use portreeve_model::OrderId;
use rusqlite::{Connection, params};

use super::failed;
use super::rows::{Result, damaged};

/// Whose rows these are.
const HOST: &str = "";

const ENTER: &str = "INSERT INTO kv (plugin, scope, key, value) VALUES (?1, ?2, ?3, x'') ON CONFLICT DO NOTHING";

pub(super) const ORDERS: &str = "SELECT key FROM kv WHERE plugin = ?1 AND scope = ?2 ORDER BY key LIMIT 2";

fn scope(number: &str) -> String {
    format!("invoice/{number}")
}

/// An order is found by this invoice from now on.
pub(super) fn enter(tx: &Connection, number: &str, order: &str) -> Result<()> {
    tx.prepare_cached(ENTER)
        .and_then(|mut enter| enter.execute(params![HOST, scope(number), order]))
        .map(drop)
        .map_err(failed)
}

/// The orders of an invoice, two at most.
pub(super) fn orders(connection: &Connection, number: &str) -> Result<Vec<OrderId>> {
    let mut statement = connection.prepare_cached(ORDERS).map_err(failed)?;
    let found = statement.query_map(params![HOST, scope(number)], |row| row.get::<_, String>(0)).map_err(failed)?;
    let order = |text: String| OrderId::parse(&text).map_err(|error| damaged("an order id", &error));
    found.map(|found| found.map_err(failed).and_then(order)).collect()
}
