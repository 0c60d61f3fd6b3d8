//! A customer's history. A decision asks for it, so it must cost the same for a
//! customer with a million orders this month as for one with ten.
//!
//! Each order keeps what had been counted up to it, in its currency. So a window is the
//! difference of two rows, its last and its first, and each of them is one step in the
//! table; the largest order is the largest of some thirty days, and each day's last row
//! knows that day's. For this an order stands where its customer's orders have come to:
//! a clock that was set back does not put it before them.
//!
//! A document that waited for another try is decided after higher ones. What counts
//! below it is then added up row by row: rare, and as slow as it sounds.

use std::collections::BTreeSet;

use portreeve_model::{Digest, Instant};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::failed;
use super::rows::{Result, digest, signed};
use crate::contract::{CustomerAggregate, CustomerEvent, HistoryQuery, SHIP_TO_PLACES_MAX, SUM_MINOR_MAX};

const LAST: &str = "SELECT at, nth, total, value_minor, day_largest, highest FROM customer_event
     WHERE customer = ?1 AND currency = ?2 ORDER BY at DESC, nth DESC LIMIT 1";

const LAST_BEFORE: &str = "SELECT at, nth, total, value_minor, day_largest, highest FROM customer_event
     WHERE customer = ?1 AND currency = ?2 AND at < ?3 ORDER BY at DESC, nth DESC LIMIT 1";

const FIRST_SINCE: &str = "SELECT at, nth, total, value_minor, day_largest, highest FROM customer_event
     WHERE customer = ?1 AND currency = ?2 AND at >= ?3 ORDER BY at, nth LIMIT 1";

const NEXT_CURRENCY: &str = "SELECT currency FROM customer_event WHERE customer = ?1 AND currency > ?2
     ORDER BY currency LIMIT 1";

const PLACE_KNOWN: &str = "SELECT 1 FROM customer_place WHERE customer = ?1 AND ship_to = ?2";

const PLACES: &str = "SELECT ship_to FROM customer_place INDEXED BY customer_place_recent
     WHERE customer = ?1 AND last_day >= ?2 LIMIT ?3";

/// An order among its customer's in its currency, with what had been counted up to it.
struct Entry {
    at: i64,
    nth: i64,
    total: i128,
    value_minor: i64,
    day_largest: i64,
    highest: i64,
}

impl Entry {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let total: Vec<u8> = row.get(2)?;
        let total = <[u8; 16]>::try_from(total).map_err(|_| FromSqlError::InvalidType)?;
        Ok(Self {
            at: row.get(0)?,
            nth: row.get(1)?,
            total: i128::from_be_bytes(total),
            value_minor: row.get(3)?,
            day_largest: row.get(4)?,
            highest: row.get(5)?,
        })
    }

    fn find(connection: &Connection, sql: &str, which: &[&dyn ToSql]) -> Result<Option<Self>> {
        connection.prepare_cached(sql).map_err(failed)?.query_row(which, Self::of).optional().map_err(failed)
    }
}

/// The unit of whatever is no count or sum.
fn day(at: i64) -> i64 {
    Instant(at).day()
}

pub(super) fn insert(tx: &Connection, event: &CustomerEvent, position: i64) -> Result<()> {
    let (customer, currency) = (event.customer.as_bytes(), event.value.currency.code());
    let value_minor = event.value.minor;
    let last = Entry::find(tx, LAST, &[&customer, &currency])?;
    let at = last.as_ref().map_or(event.received_at.0, |last| last.at.max(event.received_at.0));
    let (nth, total, highest) = last.as_ref().map_or((1, i128::from(value_minor), position), |last| {
        (last.nth + 1, last.total + i128::from(value_minor), last.highest.max(position))
    });
    let same_day = last.filter(|last| day(last.at) == day(at));
    let day_largest = same_day.map_or(value_minor, |last| last.day_largest.max(value_minor));
    let ship_to = event.ship_to.as_ref().map(Digest::as_bytes);
    tx.prepare_cached(
        "INSERT INTO customer_event
           (customer, currency, at, nth, position, highest, value_minor, total, day_largest, ship_to)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .and_then(|mut insert| {
        let total = total.to_be_bytes();
        insert.execute(params![
            customer,
            currency,
            at,
            nth,
            position,
            highest,
            value_minor,
            total,
            day_largest,
            ship_to
        ])
    })
    .map_err(failed)?;
    if let Some(ship_to) = ship_to {
        tx.prepare_cached(
            "INSERT INTO customer_place (customer, ship_to, last_day) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET last_day = excluded.last_day WHERE last_day < excluded.last_day",
        )
        .and_then(|mut insert| insert.execute(params![customer, ship_to, day(at)]))
        .map_err(failed)?;
    }
    Ok(())
}

pub(super) fn customer_history(connection: &Connection, query: &HistoryQuery) -> Result<CustomerAggregate> {
    let (customer, below) = (query.customer.as_bytes(), signed(query.below.0)?);
    let month = Window::Month.start(query.at);
    let mut known = CustomerAggregate::default();
    let mut currency = String::new();
    while let Some(next) = next_currency(connection, query.customer, &currency)? {
        currency = next;
        let Some(last) = Entry::find(connection, LAST, &[&customer, &currency])? else { break };
        if last.highest >= below {
            return counted_row_by_row(connection, query);
        }
        for window in Window::ALL {
            let start = window.start(query.at);
            if let Some(first) = Entry::find(connection, FIRST_SINCE, &[&customer, &currency, &start])? {
                let value_minor = if currency == query.currency {
                    last.total - first.total + i128::from(first.value_minor)
                } else {
                    0
                };
                window.add(&mut known, last.nth - first.nth + 1, value_minor);
            }
        }
        if currency == query.currency {
            known.largest_30d_minor = largest(connection, query, month)?;
        }
        if let Some(first) = Entry::find(connection, FIRST_SINCE, &[&customer, &currency, &i64::MIN])? {
            known.since(first.at);
        }
        known.latest_at.insert(currency.clone(), Instant(last.at));
    }
    if let Some(place) = query.ship_to {
        let mut statement = connection.prepare_cached(PLACE_KNOWN).map_err(failed)?;
        known.ship_to_known = statement.exists(params![customer, place.as_bytes()]).map_err(failed)?;
    }
    let places_max = i64::try_from(SHIP_TO_PLACES_MAX).unwrap_or(i64::MAX);
    known.ship_to_places = connection
        .prepare_cached(PLACES)
        .map_err(failed)?
        .query_map(params![customer, day(month), places_max], |row| digest(row, 0))
        .map_err(failed)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failed)?;
    Ok(known)
}

fn next_currency(connection: &Connection, customer: Digest, after: &str) -> Result<Option<String>> {
    connection
        .prepare_cached(NEXT_CURRENCY)
        .map_err(failed)?
        .query_row(params![customer.as_bytes(), after], |row| row.get(0))
        .optional()
        .map_err(failed)
}

/// The largest order of the days since a time; the last row of each day knows that day's.
fn largest(connection: &Connection, query: &HistoryQuery, since: i64) -> Result<i64> {
    let customer = query.customer.as_bytes();
    let (mut largest, mut before) = (0, i64::MAX);
    while let Some(last) = Entry::find(connection, LAST_BEFORE, &[&customer, &query.currency, &before])? {
        if day(last.at) < day(since) {
            break;
        }
        largest = largest.max(last.day_largest);
        before = day(last.at).saturating_mul(Instant::DAY_MS);
    }
    Ok(largest)
}

/// The same answer for a document that higher ones have overtaken.
fn counted_row_by_row(connection: &Connection, query: &HistoryQuery) -> Result<CustomerAggregate> {
    let mut statement = connection
        .prepare_cached(
            "SELECT currency, at, value_minor, ship_to FROM customer_event WHERE customer = ?1 AND position < ?2",
        )
        .map_err(failed)?;
    let mut rows = statement.query(params![query.customer.as_bytes(), signed(query.below.0)?]).map_err(failed)?;
    let mut known = CustomerAggregate::default();
    let mut places = BTreeSet::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let (currency, at): (String, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        let value_minor = if currency == query.currency { row.get(2).map_err(failed)? } else { 0 };
        for window in Window::ALL {
            if at >= window.start(query.at) {
                window.add(&mut known, 1, i128::from(value_minor));
            }
        }
        let place = row.get::<_, Option<[u8; 32]>>(3).map_err(failed)?.map(Digest::from_bytes);
        if day(at) >= day(Window::Month.start(query.at)) {
            known.largest_30d_minor = known.largest_30d_minor.max(value_minor);
            places.extend(place);
        }
        known.ship_to_known |= place.is_some() && place == query.ship_to;
        known.since(at);
        let latest = known.latest_at.entry(currency).or_insert(Instant(at));
        *latest = Instant(latest.0.max(at));
    }
    known.ship_to_places = places.into_iter().take(SHIP_TO_PLACES_MAX).collect();
    Ok(known)
}

impl CustomerAggregate {
    /// There was an order at this time.
    fn since(&mut self, at: i64) {
        self.first_order_at = Some(self.first_order_at.map_or(Instant(at), |first| Instant(first.0.min(at))));
    }
}

/// What is counted and summed over.
#[derive(Clone, Copy)]
enum Window {
    Hour,
    Day,
    Month,
}

impl Window {
    const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    fn start(self, end: Instant) -> i64 {
        let length_ms = match self {
            Self::Hour => Instant::HOUR_MS,
            Self::Day => Instant::DAY_MS,
            Self::Month => 30 * Instant::DAY_MS,
        };
        end.plus_ms(-length_ms).0
    }

    fn add(self, known: &mut CustomerAggregate, orders: i64, value_minor: i128) {
        let orders = u32::try_from(orders).unwrap_or(u32::MAX);
        let value_minor = i64::try_from(value_minor).unwrap_or(SUM_MINOR_MAX);
        let plus = |sum: i64| sum.saturating_add(value_minor).clamp(-SUM_MINOR_MAX, SUM_MINOR_MAX);
        match self {
            Self::Hour => known.orders_1h = known.orders_1h.saturating_add(orders),
            Self::Day => {
                known.orders_24h = known.orders_24h.saturating_add(orders);
                known.value_24h_minor = plus(known.value_24h_minor);
            }
            Self::Month => {
                known.orders_30d = known.orders_30d.saturating_add(orders);
                known.value_30d_minor = plus(known.value_30d_minor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::{Currency, Money};
    use proptest::prelude::*;

    use super::*;
    use crate::contract::DocumentPosition;

    const NOW: Instant = Instant(100 * Instant::DAY_MS);

    fn empty() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(crate::sqlite::SCHEMA).unwrap();
        connection
    }

    fn event(at: i64, minor: i64, currency: &str, place: Digest) -> CustomerEvent {
        let value = Money { minor, currency: Currency::parse(currency).unwrap() };
        CustomerEvent { customer: Digest::of(b"customer"), received_at: Instant(at), value, ship_to: Some(place) }
    }

    /// A customer with so many orders below position 1,000,000, of 100 each and to a place
    /// of its own each, the first on the day given and one a second then; and three within
    /// the last hour to the same place.
    fn store(orders: i64, from_day: i64) -> Connection {
        let connection = empty();
        let transaction = connection.unchecked_transaction().unwrap();
        for position in 1..=orders {
            let at = from_day * Instant::DAY_MS + position * 1_000;
            insert(&connection, &event(at, 100, "USD", Digest::of(&position.to_be_bytes())), position).unwrap();
        }
        for position in 1..=3 {
            let at = NOW.0 - (4 - position) * 60_000;
            insert(&connection, &event(at, 100, "USD", Digest::of(b"usual")), 1_000_000 + position).unwrap();
        }
        transaction.commit().unwrap();
        connection
    }

    fn query() -> HistoryQuery {
        HistoryQuery {
            customer: Digest::of(b"customer"),
            below: DocumentPosition(2_000_000),
            at: NOW,
            currency: "USD".to_owned(),
            ship_to: Some(Digest::of(b"elsewhere")),
        }
    }

    #[test]
    fn windows_hold_what_they_say_and_older_orders_are_known_to_exist() {
        let connection = store(10, 1);
        let known = customer_history(&connection, &query()).unwrap();
        assert_eq!((known.orders_1h, known.orders_24h, known.orders_30d), (3, 3, 3));
        assert_eq!((known.value_24h_minor, known.value_30d_minor, known.largest_30d_minor), (300, 300, 100));
        assert_eq!(known.first_order_at, Some(Instant(Instant::DAY_MS + 1_000)));
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

    proptest! {
        #[test]
        fn what_was_counted_in_advance_is_what_counting_finds(
            orders in prop::collection::vec(
                (-40_i64..=0, 0_i64..86_400_000, 0_i64..=i64::MAX, prop::sample::select(vec!["EUR", "JPY", "USD"]), 0_u8..4), 0..40),
            currency in prop::sample::select(vec!["EUR", "JPY", "USD"]),
        ) {
            let connection = empty();
            for (position, (days, ms, minor, currency, place)) in (1..).zip(&orders) {
                let at = NOW.0 + days * Instant::DAY_MS - ms;
                insert(&connection, &event(at, *minor, currency, Digest::of(&[*place])), position).unwrap();
            }
            let query = HistoryQuery {
                currency: currency.to_owned(), ship_to: Some(Digest::of(&[0])), ..query()
            };
            let mut known = customer_history(&connection, &query).unwrap();
            known.ship_to_places.sort();
            prop_assert_eq!(known, counted_row_by_row(&connection, &query).unwrap());
        }
    }

    fn steps_of(connection: &Connection, sql: &str) -> i64 {
        let statement = connection.prepare_cached(sql).unwrap();
        i64::from(statement.get_status(rusqlite::StatementStatus::VmStep))
    }

    #[test]
    fn a_customer_with_many_orders_costs_what_one_with_few_does() {
        let steps = |orders, from_day| {
            let connection = store(orders, from_day);
            let so_far = || {
                [LAST, LAST_BEFORE, FIRST_SINCE, NEXT_CURRENCY, PLACE_KNOWN]
                    .map(|sql| steps_of(&connection, sql))
                    .iter()
                    .sum::<i64>()
            };
            // Entering orders takes some of the same steps.
            let before = so_far();
            customer_history(&connection, &query()).unwrap();
            so_far() - before
        };
        // Long ago, and within the windows.
        for from_day in [1, 99] {
            let (few, many) = (steps(10, from_day), steps(20_000, from_day));
            assert!(few > 0 && many <= few + few / 10, "{few} steps for 10 orders, {many} for 20,000");
        }
        let places = store(20_000, 99);
        let known = customer_history(&places, &query()).unwrap();
        assert_eq!(known.ship_to_places.len(), SHIP_TO_PLACES_MAX, "places are counted as far as that");
        let steps = steps_of(&places, PLACES);
        assert!(usize::try_from(steps).unwrap() < SHIP_TO_PLACES_MAX * 8, "{steps} steps");
    }
}
