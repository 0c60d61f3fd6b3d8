//! What the store does costs the same however much it holds.
#![expect(clippy::unwrap_used, reason = "tests")]

use rusqlite::{Connection, StatementStatus, params};

use super::counts;
use super::rows::{self, digest};

fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::sqlite::SCHEMA).unwrap();
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
