//! A customer's history. A decision asks for it, so it must cost the same for a
//! customer with a million orders as for one with ten: sums are over the last 30
//! days, and what is older is one step in an index each.

use portreeve_model::Instant;
use rusqlite::{Connection, OptionalExtension, params};

use super::failed;
use super::rows::{digest, signed, sum_minor};
use crate::contract::{CustomerAggregate, HistoryQuery, SHIP_TO_PLACES_MAX, StoreError};

/// Counts and sums of the last 30 days.
const WINDOWS: &str = "SELECT count(*) FILTER (WHERE received_at >= ?3),
            count(*) FILTER (WHERE received_at >= ?4),
            count(*),
            total(value_minor) FILTER (WHERE received_at >= ?4 AND currency = ?6),
            total(value_minor) FILTER (WHERE currency = ?6),
            coalesce(max(value_minor) FILTER (WHERE currency = ?6), 0)
     FROM customer_event INDEXED BY customer_event_time
     WHERE customer = ?1 AND received_at >= ?5 AND position < ?2";

/// The oldest order, which is the first entry of the index in nearly every case.
const FIRST: &str = "SELECT received_at FROM customer_event INDEXED BY customer_event_time
     WHERE customer = ?1 AND position < ?2 ORDER BY received_at LIMIT 1";

const PLACE_KNOWN: &str = "SELECT 1 FROM customer_event INDEXED BY customer_event_place
     WHERE customer = ?1 AND ship_to = ?3 AND position < ?2 LIMIT 1";

const PLACES: &str = "SELECT DISTINCT ship_to FROM customer_event INDEXED BY customer_event_time
     WHERE customer = ?1 AND received_at >= ?3 AND position < ?2 AND ship_to IS NOT NULL LIMIT ?4";

pub(super) fn customer_history(connection: &Connection, query: &HistoryQuery) -> Result<CustomerAggregate, StoreError> {
    let (customer, below) = (query.customer.as_bytes(), signed(query.below.0)?);
    let since = |ms: i64| query.at.plus_ms(-ms).0;
    let month = since(30 * Instant::DAY_MS);
    let windows = params![customer, below, since(Instant::HOUR_MS), since(Instant::DAY_MS), month, query.currency];
    let mut aggregate = connection
        .prepare_cached(WINDOWS)
        .map_err(failed)?
        .query_row(windows, |row| {
            Ok(CustomerAggregate {
                orders_1h: row.get(0)?,
                orders_24h: row.get(1)?,
                orders_30d: row.get(2)?,
                value_24h_minor: sum_minor(row.get(3)?),
                value_30d_minor: sum_minor(row.get(4)?),
                largest_30d_minor: row.get(5)?,
                ..CustomerAggregate::default()
            })
        })
        .map_err(failed)?;
    aggregate.first_order_at = connection
        .prepare_cached(FIRST)
        .map_err(failed)?
        .query_row(params![customer, below], |row| row.get::<_, i64>(0))
        .optional()
        .map_err(failed)?
        .map(Instant);
    if let Some(place) = query.ship_to {
        aggregate.ship_to_known = connection
            .prepare_cached(PLACE_KNOWN)
            .map_err(failed)?
            .exists(params![customer, below, place.as_bytes()])
            .map_err(failed)?;
    }
    let places_max = i64::try_from(SHIP_TO_PLACES_MAX).unwrap_or(i64::MAX);
    aggregate.ship_to_places = connection
        .prepare_cached(PLACES)
        .map_err(failed)?
        .query_map(params![customer, below, month, places_max], |row| digest(row, 0))
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)?;
    Ok(aggregate)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::Digest;

    use super::*;
    use crate::contract::DocumentPosition;

    const NOW: Instant = Instant(100 * Instant::DAY_MS);

    fn customer() -> Digest {
        Digest::of(b"customer")
    }

    /// A customer with so many orders, one a minute from day 1 on, each to a place of
    /// its own, and three within the last hour to the same one.
    fn store(old_orders: i64) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        let insert = |position: i64, at: i64, place: Digest| {
            connection
                .execute(
                    "INSERT INTO customer_event (customer, position, received_at, value_minor, currency, ship_to)
                     VALUES (?1, ?2, ?3, 100, 'USD', ?4)",
                    params![customer().as_bytes(), position, at, place.as_bytes()],
                )
                .unwrap();
        };
        for position in 1..=old_orders {
            insert(position, Instant::DAY_MS + position * 60_000, Digest::of(&position.to_be_bytes()));
        }
        for position in 1..=3 {
            insert(1_000_000 + position, NOW.0 - position * 60_000, Digest::of(b"usual"));
        }
        connection
    }

    fn query() -> HistoryQuery {
        HistoryQuery {
            customer: customer(),
            below: DocumentPosition(2_000_000),
            at: NOW,
            currency: "USD".to_owned(),
            ship_to: Some(Digest::of(b"elsewhere")),
        }
    }

    #[test]
    fn windows_hold_what_they_say_and_older_orders_are_known_to_exist() {
        let connection = store(10);
        let known = customer_history(&connection, &query()).unwrap();
        assert_eq!((known.orders_1h, known.orders_24h, known.orders_30d), (3, 3, 3));
        assert_eq!((known.value_24h_minor, known.value_30d_minor, known.largest_30d_minor), (300, 300, 100));
        assert_eq!(known.first_order_at, Some(Instant(Instant::DAY_MS + 60_000)));
        assert_eq!(known.ship_to_places, [Digest::of(b"usual")]);
        assert!(!known.ship_to_known);
        let old_place = HistoryQuery { ship_to: Some(Digest::of(&5_i64.to_be_bytes())), ..query() };
        assert!(customer_history(&connection, &old_place).unwrap().ship_to_known);
        // Lower positions only.
        let earlier = HistoryQuery { below: DocumentPosition(5), ..old_place };
        let known = customer_history(&connection, &earlier).unwrap();
        assert_eq!((known.orders_30d, known.ship_to_known), (0, false));
        assert!(known.first_order_at.is_some());
    }

    #[test]
    fn a_customer_with_many_old_orders_costs_what_one_with_few_does() {
        let steps = |old_orders| {
            let connection = store(old_orders);
            customer_history(&connection, &query()).unwrap();
            [WINDOWS, FIRST, PLACE_KNOWN, PLACES]
                .iter()
                .map(|sql| {
                    let statement = connection.prepare_cached(sql).unwrap();
                    i64::from(statement.get_status(rusqlite::StatementStatus::VmStep))
                })
                .sum::<i64>()
        };
        let (few, many) = (steps(10), steps(20_000));
        assert!(few > 0 && many <= few + few / 10, "{few} steps for 10 orders, {many} for 20,000");
    }
}
