//! What the store does costs the same however much it holds.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{Digest, Instant, OrderId};
use rusqlite::{Connection, StatementStatus, params};

use super::order_numbers::{Numbers, by_id, by_number};
use super::rows::{self, digest};
use super::{
    billed, counts, credit, dead_letter, exception, interchange, level, measure, notice, operation, order_event,
    oversight, pause, retention, trail, untaken,
};
use crate::contract::{After, ExceptionsWanted, Room, Shares};

fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::sqlite::SCHEMA).unwrap();
    let more = concat!(include_str!("replay.sql"), include_str!("due.sql"), include_str!("operation.sql"));
    connection.execute_batch(more).unwrap();
    connection
}

/// Steps that a statement has taken so far.
fn steps(connection: &Connection, sql: &str) -> i32 {
    connection.prepare_cached(sql).unwrap().get_status(StatementStatus::VmStep)
}

fn content(number: i64) -> [u8; 32] {
    let mut content = [0; 32];
    content[..8].copy_from_slice(&number.to_be_bytes());
    content
}

/// Documents of one key, each with its own content: half of them decided, the next
/// one undecided, the rest behind it.
fn one_key(documents: i64) -> Connection {
    let connection = empty();
    let transaction = connection.unchecked_transaction().unwrap();
    connection
        .execute(
            "INSERT INTO input (id, channel, sender, received_at, disposition, payload, reply, leaf)
             VALUES (?1, 'edi', 'acme', 0, 'documents', 1, ?1, 1)",
            [content(0)],
        )
        .unwrap();
    for number in 1..=documents {
        let state = match number.cmp(&(documents / 2 + 1)) {
            std::cmp::Ordering::Less => "decided",
            std::cmp::Ordering::Equal => "undecided",
            std::cmp::Ordering::Greater => "behind",
        };
        connection
            .prepare_cached(
                "INSERT INTO document (input, idx, channel, sender, received_at, key, partner, kind, content, payload,
                                       repeated, state)
                 VALUES (1, ?1, 'edi', 'acme', 0, 'PO-1', '', 'order', ?2, 1, ?3, ?4)",
            )
            .unwrap()
            .execute(params![number, content(number), number > 1, state])
            .unwrap();
    }
    transaction.commit().unwrap();
    connection
}

#[test]
fn a_key_that_came_very_often_costs_a_document_what_any_other_costs() {
    let cost = |documents: i64| {
        let connection = one_key(documents);
        let mut undecided = connection.prepare_cached(rows::UNDECIDED).unwrap();
        let found: Vec<(i64, _)> = undecided
            .query_map(params![64, "[]"], |row| Ok((row.get(0)?, digest(row, 9)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        drop(undecided);
        assert_eq!(found.len(), 1, "those behind it are left alone");
        let (position, its_content) = found.first().copied().unwrap();
        assert_eq!(position, documents / 2 + 1);
        let first = rows::first_document(&connection, "edi", "acme", "PO-1", position, its_content).unwrap().unwrap();
        assert_eq!((first.position.0, first.same_content), (1, false));
        [rows::UNDECIDED, rows::FIRST_OF_KEY, rows::FIRST_ALIKE].map(|sql| steps(&connection, sql)).iter().sum::<i32>()
    };
    let (few, many) = (cost(10), cost(10_000));
    assert!(few > 0 && many <= few + few / 10, "{few} steps among 10 documents, {many} among 10,000");
}

/// Orders that were released and delivered, each with an input and a document.
fn delivered(orders: i64) -> Connection {
    let connection = empty();
    let transaction = connection.unchecked_transaction().unwrap();
    for number in 1..=orders {
        let bytes = content(number);
        for sql in [
            "INSERT INTO input (id, channel, sender, received_at, disposition, payload, reply, leaf)
             VALUES (?1, 'edi', 'acme', 0, 'documents', 1, ?1, 1)",
            "INSERT INTO document (input, idx, channel, sender, received_at, key, partner, kind, content, payload,
                                   repeated, state)
             VALUES ((SELECT max(seq) FROM input), 0, 'edi', 'acme', 0, hex(?1), '', 'order', ?1, 1, 0, 'decided')",
            "INSERT INTO orders (id, position, channel, sender, number, state, value_minor, currency, recommended, why,
                                 event, decision, configuration, decided_at, leaf)
             VALUES (hex(?1), (SELECT max(position) FROM document), 'edi', 'acme', hex(?1), 'released', 1, 'USD', 0, '',
                     1, 1, 1, 0, 1)",
            "INSERT INTO outbox (order_seq, order_id, target, kind, event, state, attempts, due_at, deadline_from)
             VALUES ((SELECT max(seq) FROM orders), hex(?1), 'erp', 'order.created', 1, 'delivered', 1, 0, 0)",
            "INSERT INTO leaf (id, bytes, alone) VALUES (?1, ?1, 0)",
        ] {
            connection.prepare_cached(sql).unwrap().execute([bytes]).unwrap();
        }
    }
    let head = "INSERT INTO tree_head (only_row, size, edge, checkpoint) VALUES (1, ?1, x'', '')";
    connection.execute(head, [orders]).unwrap();
    transaction.commit().unwrap();
    connection
}

#[test]
fn a_start_costs_nothing_for_deliveries_that_are_over() {
    let cost = |orders: i64| {
        let connection = delivered(orders);
        connection.execute_batch(concat!(include_str!("poll.sql"), include_str!("subscription.sql"))).unwrap();
        let pending = "UPDATE outbox SET state = 'pending', lease_until = 5 WHERE seq IN (2, ?1)";
        connection.execute(pending, [orders]).unwrap();
        rows::end_claims(&connection).unwrap();
        let ended = "SELECT count(*) FROM outbox WHERE state = 'pending' AND lease_until = 0";
        assert_eq!(connection.query_row(ended, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
        rows::END_CLAIMS.map(|sql| {
            let mut end = connection.prepare(sql).unwrap();
            end.execute([]).unwrap();
            end.get_status(StatementStatus::VmStep)
        })
    };
    let (few, many) = (cost(10), cost(10_000));
    assert!(few.iter().all(|steps| *steps > 0), "{few:?}");
    assert!(many.iter().zip(few).all(|(many, few)| *many <= few + few / 10), "{few:?} steps, then {many:?}");
}

#[test]
fn counting_for_a_report_costs_nothing_for_what_went_as_usual() {
    let cost = |orders: i64| {
        let connection = delivered(orders);
        let counts = counts::summary(&connection).unwrap();
        let expected = u64::try_from(orders).unwrap();
        assert_eq!((counts.inputs, counts.delivered), (expected, expected));
        assert_eq!(counts.orders.iter().map(|(_, count)| count).sum::<u64>(), expected);
        assert_eq!((counts.undecided, counts.pending, counts.dead, counts.unsequenced), (0, 0, 0, 0));
        counts::ALL.map(|sql| steps(&connection, sql)).iter().sum::<i32>()
    };
    let (few, many) = (cost(10), cost(1_000));
    assert!(few > 0 && many <= few + few / 10, "{few} steps for 10 orders, {many} for 1,000");
}

#[test]
fn what_is_known_of_an_order_costs_the_same_however_much_was_said_of_it() {
    let cost = |events: i64| {
        let connection = delivered(1);
        let order = "00000001-0000-5000-8000-000000000000";
        connection.execute("UPDATE orders SET id = ?1", [order]).unwrap();
        let transaction = connection.unchecked_transaction().unwrap();
        for position in 1..=events {
            connection
                .prepare_cached(
                    "INSERT INTO order_event (position, order_id, order_seq, kind, event, decision, decided_at, leaf)
                     VALUES (?1, ?2, 1, 'order.changed', 1, 1, 0, 1)",
                )
                .unwrap()
                .execute(params![position, order])
                .unwrap();
        }
        transaction.commit().unwrap();
        let numbers = Numbers::default();
        for _ in 0..2 {
            let standing = order_event::standing(&connection, OrderId::parse(order).unwrap(), &numbers).unwrap();
            assert!(standing.exists && !standing.cancel_requested && standing.progress.is_none());
        }
        [by_id, by_number].map(|which| steps(&connection, &which(order_event::STANDING)))
    };
    let (few, many) = (cost(10), cost(10_000));
    assert!(few.iter().all(|steps| *steps > 0), "{few:?}");
    assert!(many.iter().zip(few).all(|(many, few)| *many <= few + few / 10), "{few:?} steps, then {many:?}");
}

/// Orders that each have a delivery for a target that is up, and for one that is down so many, one
/// behind the other; and one more order whose delivery to the latter is under way.
fn waiting(orders: i64, behind: i64) -> Connection {
    let connection = empty();
    let transaction = connection.unchecked_transaction().unwrap();
    let insert = |order: i64, target: &str, said: i64| {
        connection
            .prepare_cached(
                "INSERT INTO outbox (order_seq, order_id, target, kind, said, event, due_at, deadline_from)
                 VALUES (?1, ?2, ?3, 'order.created', ?4, 1, 0, 0)",
            )
            .unwrap()
            .execute(params![order, format!("{order:08x}-0000-5000-8000-000000000000"), target, said])
            .unwrap();
    };
    insert(0, "down", 0);
    connection.execute("UPDATE outbox SET lease_until = 1000", []).unwrap();
    for order in 1..=orders {
        insert(order, "up", 0);
        (0..=behind).for_each(|said| insert(order, "down", said));
    }
    transaction.commit().unwrap();
    connection
}

#[test]
fn a_claim_costs_what_it_claims_however_many_wait_behind_others_or_for_room() {
    let cost = |orders: i64, behind: i64| {
        let connection = waiting(orders, behind);
        let room = |down: u32, up: u32, taken: u32| {
            let limits = BTreeMap::from([("down".to_owned(), down), ("up".to_owned(), up)]);
            Room { shares: Shares { limits, taken: BTreeMap::from([("down".to_owned(), taken)]) }, ..Room::default() }
        };
        let claimed = rows::claim(&connection, Instant(1), Instant(1_000), 64, &room(1, 5, 1)).unwrap();
        assert_eq!(claimed.iter().map(|permit| permit.target()).collect::<Vec<_>>(), ["up"; 5]);
        // Six are under way; the seventh is free.
        assert_eq!(rows::next_due(&connection, &BTreeSet::new()).unwrap(), Some(Instant(0)));
        let claimed = rows::claim(&connection, Instant(1), Instant(1_000), 64, &room(5, 0, 0)).unwrap();
        assert_eq!(claimed.iter().map(|permit| permit.order()).collect::<BTreeSet<_>>().len(), 5, "of each order one");
        assert_eq!(steps(&connection, dead_letter::CORRECTION), 0, "nobody had one of them sent again");
        [rows::PENDING_TARGETS, rows::DUE, rows::NEXT_OF_TARGET].map(|sql| steps(&connection, sql))
    };
    let few = cost(10, 1);
    assert!(few.iter().all(|steps| *steps > 0), "{few:?}");
    for many in [cost(2_000, 1), cost(10, 1_000)] {
        assert!(many.iter().zip(few).all(|(many, few)| *many <= few + few / 10), "{few:?} steps, then {many:?}");
    }
}

#[test]
fn a_delivery_leaves_and_joins_a_line_at_one_cost_however_long_it_is() {
    let (leaves, joins, comes_back) = (
        "UPDATE outbox SET state = 'delivered' WHERE seq = ?1",
        "INSERT INTO outbox (order_seq, order_id, target, kind, said, event, due_at, deadline_from)
         VALUES (1, '', 'down', 'order.changed', ?1, 1, 0, 0)",
        "UPDATE outbox SET state = 'pending' WHERE seq = ?1",
    );
    let cost = |behind: i64| {
        let connection = waiting(1, behind);
        let first: i64 =
            connection.query_row("SELECT min(seq) FROM outbox WHERE said = 1", [], |row| row.get(0)).unwrap();
        let heads = || -> Vec<i64> {
            let mut heads = connection
                .prepare("SELECT said FROM outbox WHERE bars AND NOT behind AND order_seq = 1 ORDER BY said")
                .unwrap();
            heads.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        for (sql, seq, expected) in [
            (leaves, first - 1, [0, 1]),
            (leaves, first, [0, 2]),
            (joins, behind + 1, [0, 2]),
            (comes_back, first, [0, 1]),
        ] {
            assert_eq!(connection.prepare_cached(sql).unwrap().execute([seq]).unwrap(), 1);
            assert_eq!(heads(), expected, "after {sql}");
        }
        [leaves, joins, comes_back].map(|sql| steps(&connection, sql))
    };
    let (few, many) = (cost(10), cost(10_000));
    assert!(few.iter().all(|steps| *steps > 0), "{few:?}");
    assert!(many.iter().zip(few).all(|(many, few)| *many <= few + few / 10), "{few:?} steps, then {many:?}");
}

/// Ten orders that were decided at one time, and so many before and after; each has an event, an
/// exception that somebody looked at and a delivery.
fn decided(before: i64, after: i64) -> Connection {
    let connection = delivered(before + 10 + after);
    connection
        .execute_batch(&format!(
            "UPDATE orders SET id = printf('%08x-0000-5000-8000-000000000000', seq),
               decided_at = CASE WHEN seq <= {before} THEN 10 WHEN seq <= {before} + 10 THEN 20 ELSE 30 END;
             INSERT INTO document (input, idx, channel, sender, received_at, key, partner, kind, content, payload,
                                   repeated, state)
               SELECT 1, seq, 'erp', 'erp', 0, id, '', 'note', zeroblob(32), 1, 0, 'decided' FROM orders ORDER BY seq;
             INSERT INTO order_event (position, order_id, order_seq, kind, event, decision, decided_at, leaf, outcome)
               SELECT document.position, orders.id, orders.seq, 'order.accepted', 1, 1, 0, 1, 'applied'
               FROM orders JOIN document ON document.idx = orders.seq;
             INSERT INTO exception (order_id, position, stage, code, detail, queue, opened_at)
               SELECT order_id, position, 'decide', 'x', '', 'desk', 0 FROM order_event;
             INSERT INTO exception_step (exception, at, who, step, leaf, queue, since)
               SELECT id, 0, 'ada', 'claimed', 1, 'desk', 0 FROM exception;"
        ))
        .unwrap();
    connection
}

#[test]
fn what_became_of_orders_costs_what_they_have_however_many_were_decided_before_and_after() {
    let cost = |before: i64, after: i64| {
        let connection = decided(before, after);
        let found = measure::orders(&connection, After::from(Instant(20)), Instant(30), 100).unwrap();
        assert_eq!(found.len(), 10);
        for order in found {
            let touches: Vec<u64> = order.exceptions.iter().map(|alike| alike.touches).collect();
            assert_eq!((order.said.len(), touches, order.deliveries.len()), (1, vec![1], 1));
        }
        [measure::ORDERS, measure::SAID, measure::EXCEPTIONS, measure::DELIVERIES].map(|sql| steps(&connection, sql))
    };
    let few = cost(10, 10);
    assert!(few.iter().all(|steps| *steps > 0), "{few:?}");
    for many in [cost(2_000, 10), cost(10, 2_000)] {
        assert!(many.iter().zip(few).all(|(many, few)| *many <= few + few / 10), "{few:?} steps, then {many:?}");
    }
}

/// Exceptions, of which the last ten are open, each with a proposal: of one customer, in one
/// queue, and due. So many others were closed, or are somebody else's, elsewhere and not due.
fn exceptions(closed: i64, elsewhere: i64) -> Connection {
    let connection = empty();
    let transaction = connection.unchecked_transaction().unwrap();
    for number in 1..=closed + elsewhere + 10 {
        let (is_closed, is_own) = (number <= closed, number > closed + elsewhere);
        connection
            .prepare_cached(
                "INSERT INTO exception (kind, stage, code, detail, queue, opened_at, closed_at, customer, due_at)
                 VALUES ('held', 'decide', '', '', ?1, 0, ?2, ?3, ?4)",
            )
            .unwrap()
            .execute(params![
                if is_own { "own" } else { "other" },
                is_closed.then_some(1),
                content(if is_own { 1 } else { 2 }),
                if is_own || is_closed { 1 } else { 1_000 },
            ])
            .unwrap();
        connection
            .prepare_cached(
                "INSERT INTO proposal (exception, digest, action, record, by_whom, at, expires_at, approvals_needed, ended)
                 VALUES (?1, ?2, 'reject', 1, 'ada', 0, ?3, 1, ?4)",
            )
            .unwrap()
            .execute(params![
                number,
                content(number),
                if is_own || is_closed { 1 } else { 1_000 },
                is_closed.then_some("done"),
            ])
            .unwrap();
    }
    transaction.commit().unwrap();
    connection
}

#[test]
fn a_queue_costs_what_waits_in_it_and_nothing_for_what_is_over_or_others() {
    let cost = |closed: i64, elsewhere: i64| {
        let connection = exceptions(closed, elsewhere);
        let customer = Some(Digest::from_bytes(content(1)));
        let queues = vec!["own".to_owned()];
        for wanted in [
            ExceptionsWanted { queues: queues.clone(), limit: 20, ..ExceptionsWanted::default() },
            ExceptionsWanted { customer, limit: 20, ..ExceptionsWanted::default() },
            ExceptionsWanted { queues, customer, limit: 20, ..ExceptionsWanted::default() },
        ] {
            assert_eq!(exception::list(&connection, &wanted).unwrap().len(), 10, "{wanted:?}");
        }
        assert_eq!(exception::all(&connection, 0, 10).unwrap().len(), 10);
        assert_eq!(exception::due(&connection, Instant(1), 20).unwrap().len(), 10);
        assert_eq!(exception::with_expired_proposals(&connection, Instant(1), 20).unwrap().len(), 10);
        [
            exception::page_sql(false, true),
            exception::page_sql(true, false),
            exception::page_sql(true, true),
            exception::page_sql(false, false),
            exception::due_sql(),
            exception::EXPIRED.to_owned(),
        ]
        .map(|sql| steps(&connection, &sql))
    };
    let few = cost(10, 10);
    assert!(few.iter().all(|steps| *steps > 0), "{few:?}");
    for many in [cost(10_000, 10), cost(10, 10_000)] {
        assert!(many.iter().zip(few).all(|(many, few)| *many <= few + few / 10), "{few:?} steps, then {many:?}");
    }
}

/// What a statement goes through row by row.
fn scans(connection: &Connection, sql: &str) -> Vec<String> {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Its values do not matter, and are not bound.
    let mut rows = plan.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        found.push(row.get::<_, String>(3).unwrap());
    }
    found.retain(|step| step.starts_with("SCAN") || step.contains("AUTOMATIC"));
    found
}

#[test]
fn what_is_shown_decided_or_forgotten_of_an_exception_is_found_by_indices() {
    let connection = empty();
    let opened = notice::opened_sql();
    let (numbered, overdue) = (interchange::numbered_sql(), interchange::overdue_sql());
    let (kept, views) = (retention::kept(), order_event::views());
    let untaken = untaken::page();
    let of_orders = [order_event::STANDING, order_event::ORIGIN, order_event::KNOWN];
    let of_orders = of_orders.map(|select| [by_id(select), by_number(select)]).concat();
    let looked_up = [
        oversight::WEIGHED,
        oversight::JUDGED,
        oversight::STEPS_TAKEN,
        measure::ORDERS,
        measure::SAID,
        measure::EXCEPTIONS,
        measure::DELIVERIES,
        measure::SHIPPED,
        operation::LEAVES,
        operation::USED,
        exception::ABOUT,
        exception::STEPS,
        exception::OPEN_PROPOSAL,
        retention::PAYLOADS,
        &kept,
        order_event::JOINS,
        order_event::HAS,
        billed::ORDERS,
        exception::IS_PAID,
        trail::LEAVES,
        level::OLDER,
        level::NEXT,
        exception::OF_DELIVERY,
        &opened,
        notice::STEPS,
        &numbered,
        &overdue,
        &untaken,
        untaken::CONTENT,
    ];
    let looked_up = looked_up.into_iter().chain(views.iter().chain(&of_orders).map(String::as_str)).collect::<Vec<_>>();
    for sql in looked_up.iter().chain(&exception::WRITES).chain(&pause::WRITES).chain(&credit::WRITES) {
        let found = scans(&connection, sql);
        let few = |step: &&String| {
            !["SCAN step", "SCAN reference_table", "SCAN own", "SCAN CONSTANT ROW"]
                .iter()
                .any(|few| step.starts_with(few))
        };
        let of_few: Vec<_> = found.iter().filter(few).collect();
        assert!(of_few.is_empty(), "{sql}: {found:?}");
    }
}

#[test]
fn an_order_whose_number_is_known_is_found_without_the_index_over_ids() {
    let connection = empty();
    for select in [order_event::STANDING, order_event::ORIGIN, order_event::KNOWN] {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", by_number(select))).unwrap();
        let mut rows = plan.raw_query();
        let first: String = rows.next().unwrap().unwrap().get(3).unwrap();
        assert_eq!(first, "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)", "{select}");
    }
}
