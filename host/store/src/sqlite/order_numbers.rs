//! The numbers of orders that were spoken of lately.
//!
//! Whoever says something of an order names it by its id, a random key: looking for it reads pages anywhere in
//! an index, at a million orders three of them on another way each time. Its number says where its row is, among
//! those of orders that came when it did, and never changes. Most that is said is about orders of which something
//! was said lately.
//!
//! A number is taken for nothing but a place to look first: the row there has to have the id. So a write that was
//! rolled back, whose number another order got, misleads nobody.

use std::sync::{Mutex, PoisonError};

use hashlink::LruCache;
use portreeve_model::OrderId;
use rusqlite::{Connection, Params, Row};

use super::failed;
use super::rows::Result;

/// Orders whose numbers are kept, in some 4 MiB: a week's at 9,000 a day. Others are looked for by their ids.
const KEPT_MAX: usize = 65_536;

/// Shared by those who read and who write.
pub(super) struct Numbers(Mutex<LruCache<OrderId, i64>>);

impl Default for Numbers {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT_MAX)))
    }
}

impl Numbers {
    /// What there is of an order: these columns, from the second one on, behind its number. They may name the id
    /// as `?1`, and end with the tables.
    pub(super) fn find<T>(
        &self,
        connection: &Connection,
        columns: &str,
        order: OrderId,
        read: impl Fn(i64, &Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let id = order.to_string();
        if let Some(seq) = self.kept(order)
            && let Some((_, found)) = one(connection, &by_number(columns), (&id, seq), &read)?
        {
            return Ok(Some(found));
        }
        let Some((seq, found)) = one(connection, &by_id(columns), [&id], &read)? else { return Ok(None) };
        self.keep(order, seq);
        Ok(Some(found))
    }

    fn kept(&self, order: OrderId) -> Option<i64> {
        self.with(|kept| kept.get(&order).copied())
    }

    /// Keeps the number that an order has, or will have if its write is committed.
    pub(super) fn keep(&self, order: OrderId, seq: i64) {
        self.with(|kept| kept.insert(order, seq));
    }

    fn with<T>(&self, what: impl FnOnce(&mut LruCache<OrderId, i64>) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn by_number(columns: &str) -> String {
    format!("SELECT orders.seq, {columns} WHERE orders.seq = ?2 AND orders.id = ?1")
}

pub(super) fn by_id(columns: &str) -> String {
    format!("SELECT orders.seq, {columns} WHERE orders.id = ?1")
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl Fn(i64, &Row<'_>) -> Result<T>,
) -> Result<Option<(i64, T)>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(values).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let seq = row.get(0).map_err(failed)?;
    Ok(Some((seq, read(seq, row)?)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use rusqlite::StatementStatus;

    use super::*;

    const NUMBER: &str = "orders.number FROM orders";

    fn order(nth: u32) -> OrderId {
        OrderId::parse(&format!("{nth:08x}-0000-5000-8000-000000000000")).unwrap()
    }

    /// Orders 1 to 3 by these numbers.
    fn store() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE orders (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, number TEXT)")
            .unwrap();
        for nth in 1..=3 {
            let insert = "INSERT INTO orders (id, number) VALUES (?1, ?2)";
            connection.execute(insert, [order(nth).to_string(), format!("PO-{nth}")]).unwrap();
        }
        connection
    }

    fn number(numbers: &Numbers, connection: &Connection, nth: u32) -> Option<String> {
        numbers.find(connection, NUMBER, order(nth), |_, row| row.get(1).map_err(failed)).unwrap()
    }

    fn runs(connection: &Connection, sql: &str) -> i32 {
        connection.prepare_cached(sql).unwrap().get_status(StatementStatus::Run)
    }

    #[test]
    fn an_order_is_looked_for_by_its_id_once_and_by_its_number_from_then_on() {
        let (numbers, connection) = (Numbers::default(), store());
        for _ in 0..3 {
            assert_eq!(number(&numbers, &connection, 2).unwrap(), "PO-2");
        }
        assert_eq!((runs(&connection, &by_id(NUMBER)), runs(&connection, &by_number(NUMBER))), (1, 2));
        numbers.keep(order(3), 3);
        assert_eq!(number(&numbers, &connection, 3).unwrap(), "PO-3");
        assert_eq!(runs(&connection, &by_id(NUMBER)), 1);
    }

    #[test]
    fn a_number_that_another_order_has_or_none_misleads_nobody() {
        let (numbers, connection) = (Numbers::default(), store());
        for wrong in [2, 7] {
            numbers.keep(order(1), wrong);
            assert_eq!(number(&numbers, &connection, 1).unwrap(), "PO-1");
            // And it is known where it is now.
            assert_eq!(numbers.kept(order(1)), Some(1));
        }
        numbers.keep(order(9), 1);
        assert_eq!(number(&numbers, &connection, 9), None);
    }

    #[test]
    fn numbers_are_kept_of_so_many_orders_and_no_more_those_that_were_asked_for_last() {
        let numbers = Numbers::default();
        for nth in 0..70_000 {
            numbers.keep(order(nth), i64::from(nth));
            assert_eq!(numbers.kept(order(0)), Some(0));
        }
        assert_eq!(numbers.with(|kept| kept.len()), KEPT_MAX);
        assert_eq!(numbers.kept(order(1)), None);
    }
}
