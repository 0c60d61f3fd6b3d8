//! The conformance suite on SQLite, and what only SQLite can do wrong.
//!
//! Commits fail by SQLite's own hooks: its commit hook turns a commit into a
//! rollback, and an error of its write-ahead-log hook is reported by a commit that
//! has persisted.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use portreeve_model::{Currency, Digest, ExceptionAction, ExceptionKind, PluginName};
use rusqlite::{Connection, StatementStatus, hooks::Wal};
use tempfile::TempDir;

use super::order_numbers::{by_id, by_number};
use super::writer::QUEUE_MAX;
use super::{PEOPLES_CACHE_KIB, SCHEMA_VERSION, SqliteStore, failed, order_event, pages};
use crate::conformance::fixture::{
    ALL, ASK_MS, HOLD_MS, NOW, abandon, about_order, applied, ask_to_cancel, claim, cleared, commit, dead, decision_of,
    event_in, held, hold_back, input, input_id, keep, kept_back, leaf, lease, leaves, next, observe, order_id,
    order_in, release, released, resolved, sealed, step, waiting, waits,
};
use crate::conformance::{Fault, Harm, Maker, interchange as numbered, person as accounts, suite};
use crate::contract::{
    After, ClosedException, ClosedHold, Content, Decided, Effect, EventOutcome, ExceptionsWanted, JournalOutcome,
    NewException, NewOutbox, NewReview, NewStep, OrderEventKind, OrderState, OutboxId, Part, PartKind, PartView, Store,
    StoreError,
};
use crate::proof::Permit;

/// A folder, and the fault that the next commit of its writer meets.
struct Folder {
    folder: TempDir,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Folder {
    fn raw(&self) -> Connection {
        Connection::open(self.folder.path().join("portreeve.db")).unwrap()
    }

    fn try_open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(self.folder.path(), |connection| {
            let (before, after) = (Arc::clone(&self.fault), Arc::clone(&self.fault));
            connection.commit_hook(Some(move || take(&before, Fault::NotPersisted)))?;
            connection.wal_hook(Some(move |_: &mut Wal, _| {
                if take(&after, Fault::Persisted) { Err(rusqlite::Error::InvalidQuery) } else { Ok(()) }
            }))
        })
    }
}

/// Whether this is the fault that was asked for; each is met once.
fn take(asked: &Mutex<Option<Fault>>, met: Fault) -> bool {
    asked.lock().unwrap().take_if(|fault| *fault == met).is_some()
}

impl Maker for Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), fault: Arc::default() }
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.try_open().unwrap())
    }

    async fn open_two(&self) -> (Arc<dyn Store>, Arc<dyn Store>) {
        // One process has the folder; its tasks are many.
        let store = self.open().await;
        (Arc::clone(&store), store)
    }

    fn fail_next_commit(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn harm(&self, harm: Harm) {
        let (sql, commitment) = match harm {
            Harm::Erase(commitment) => {
                ("DELETE FROM payload_key WHERE payload = (SELECT id FROM payload WHERE commitment = ?1)", commitment)
            }
            Harm::Lose(commitment) => ("DELETE FROM payload WHERE commitment = ?1", commitment),
            Harm::Damage(commitment) => ("UPDATE payload SET ciphertext = x'00' WHERE commitment = ?1", commitment),
        };
        assert_eq!(self.raw().execute(sql, [commitment.as_bytes()]).unwrap(), 1);
    }
}

suite!(Folder);

#[tokio::test]
async fn a_damaged_control_number_or_answer_is_said_to_be_and_shows_as_no_other() {
    let folder = Folder::new();
    let store = folder.open().await;
    numbered::sent(&store, 1, "PO-1", "ZZ:A").await;
    for (damage, mended) in [("number = -1", "number = 1"), ("answer = 'perhaps'", "answer = 'accepted'")] {
        let set = |what: &str| folder.raw().execute(&format!("UPDATE interchange SET {what}"), []).unwrap();
        set(damage);
        let shown = store.order(order_id("PO-1")).await;
        assert!(matches!(shown, Err(StoreError::Damaged(_))), "{damage}: {shown:?}");
        set(mended);
        assert!(store.order(order_id("PO-1")).await.unwrap().unwrap().deliveries.remove(0).interchange.is_some());
    }
}

#[tokio::test]
async fn a_second_process_on_the_folder_hears_one_sentence() {
    let folder = Folder::new();
    let store = folder.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let Err(error) = SqliteStore::open(folder.folder.path()) else { unreachable!("two processes have the folder") };
    assert!(matches!(error, StoreError::InUse { .. }));
    let expected = format!(
        "the data folder `{}` is in use by another process; stop it, or choose another folder with --data-dir",
        folder.folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    // The first one goes on, and whoever only reads may look.
    keep(&store, input(2, &["PO-2"])).await;
    let reader: Arc<dyn Store> = Arc::new(SqliteStore::open_to_read(folder.folder.path()).unwrap());
    assert_eq!(observe(&reader).await, observe(&store).await);
    assert!(matches!(reader.refuse(leaf(9)).await, Err(StoreError::Failed(_))));
    drop((store, reader));
    keep(&folder.open().await, input(3, &["PO-3"])).await;
}

#[tokio::test]
async fn whoever_only_reads_a_folder_of_a_build_that_waited_for_no_messages_sees_its_exceptions() {
    let folder = Folder::new();
    let store = folder.open().await;
    hold_back(&store, 1, "PO-1", &["credit-limit"]).await;
    let expected = store.exceptions(ALL).await.unwrap();
    assert_eq!(expected.len(), 1);
    drop(store);
    folder.raw().execute_batch("DROP TABLE due_message; DROP TABLE due_place;").unwrap();
    let reader: Arc<dyn Store> = Arc::new(SqliteStore::open_to_read(folder.folder.path()).unwrap());
    assert_eq!(reader.exceptions(ALL).await.unwrap(), expected);
    assert_eq!(reader.late_messages(NOW, ALL).await.unwrap(), []);
}

#[tokio::test]
async fn of_a_small_file_the_writer_keeps_what_others_keep() {
    let folder = Folder::new();
    let store = folder.try_open().unwrap();
    let kept_kib = |connection: &Connection| {
        let kept = connection.query_row("PRAGMA cache_size", [], |row| row.get::<_, i64>(0));
        kept.map(i64::saturating_neg).map_err(failed)
    };
    assert_eq!(store.writer.write(move |tx| kept_kib(tx)).await.unwrap(), pages::SMALL_KIB);
    assert_eq!(store.read(kept_kib).await.unwrap(), pages::SMALL_KIB);
    assert_eq!(store.read_for_people(kept_kib).await.unwrap(), PEOPLES_CACHE_KIB);
}

#[tokio::test]
async fn what_is_said_of_an_order_that_came_lately_looks_for_no_id() {
    let folder = Folder::new();
    let own = Arc::new(folder.try_open().unwrap());
    let store: Arc<dyn Store> = Arc::clone(&own) as _;
    release(&store, 1, "PO-1", &[]).await;
    keep(&store, input(11, &["LATER"])).await;
    let document = next(&store).await;
    assert!(store.order_standings(vec![order_id("PO-1")]).await.unwrap().remove(0).exists);
    commit(&store, about_order(document, "PO-1", OrderEventKind::Changed, leaf(12))).await.unwrap();
    let ran = |connection: &Connection, columns: &str| {
        [by_id(columns), by_number(columns)]
            .map(|sql| connection.prepare_cached(&sql).unwrap().get_status(StatementStatus::Run))
    };
    assert_eq!(own.writer.write(move |tx| Ok(ran(tx, order_event::KNOWN))).await.unwrap(), [0, 1]);
    assert_eq!(own.read(move |connection| Ok(ran(connection, order_event::STANDING))).await.unwrap(), [0, 1]);
}

/// Polled once, without tokio's budget for a task, which a thousand of these exceed.
fn begun<T>(run: impl Future<Output = T>) -> (Pin<Box<impl Future<Output = T>>>, Poll<T>) {
    let mut run = Box::pin(tokio::task::unconstrained(run));
    let polled = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    (run, polled)
}

#[tokio::test]
async fn a_full_queue_refuses_new_inputs_and_accepted_work_waits_its_turn() {
    let folder = Folder::new();
    let store = folder.try_open().unwrap();
    // A write that does not end before it is told to.
    let (begins, mut began) = tokio::sync::mpsc::unbounded_channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let (slow, polled) = begun(store.writer.write(move |_| {
        begins.send(()).unwrap();
        ends.recv().unwrap();
        Ok(())
    }));
    assert!(polled.is_pending());
    began.recv().await.unwrap();

    let number = || begun(store.lease_numbers("documents", 1));
    let mut accepted = Vec::new();
    for _ in 0..QUEUE_MAX {
        accepted.push(number().0);
    }
    let busy = |polled| matches!(polled, Poll::Ready(Err(StoreError::Busy { queued: QUEUE_MAX })));
    assert!(busy(begun(store.journal(input(1, &["PO-1"]))).1.map_ok(drop)));
    assert!(busy(begun(store.refuse(leaf(1))).1));
    let (last, polled) = number();
    assert!(polled.is_pending(), "it is not refused");
    accepted.push(last);

    end.send(()).unwrap();
    slow.await.unwrap();
    let first = accepted.remove(0).await.unwrap();
    for (number, place) in accepted.into_iter().zip(1..) {
        assert_eq!(number.await.unwrap(), first + place, "in the order in which they came");
    }
    let store: Arc<dyn Store> = Arc::new(store);
    assert_eq!(store.summary().await.unwrap().inputs, 0, "nothing is kept of what was refused");
    keep(&store, input(1, &["PO-1"])).await;
}

#[test]
fn a_folder_of_another_schema_is_named_older_or_newer() {
    for (found, sentence) in
        [(SCHEMA_VERSION + 1, "knows schemas up to"), (1, "let `portreeve serve` bring the folder up to date first")]
    {
        let folder = Folder::new();
        drop(folder.try_open().unwrap());
        folder.raw().pragma_update(None, "user_version", found).unwrap();
        for opened in [folder.try_open(), SqliteStore::open_to_read(folder.folder.path())] {
            let Err(error) = opened else { unreachable!("schema {found} was opened") };
            assert!(error.to_string().contains(sentence), "{error}");
        }
    }
    // A host that was killed before its first commit left an empty file.
    let folder = Folder::new();
    folder.raw().pragma_update(None, "journal_mode", "wal").unwrap();
    let Err(error) = SqliteStore::open_to_read(folder.folder.path()) else { unreachable!("it has no tables") };
    assert!(matches!(error, StoreError::OlderSchema { found: 0, known: SCHEMA_VERSION }));
    drop(folder.try_open().unwrap());
    SqliteStore::open_to_read(folder.folder.path()).unwrap();
    // Schema 5 was never released, and nothing brings it up to date.
    folder.raw().pragma_update(None, "user_version", 5).unwrap();
    assert!(matches!(folder.try_open(), Err(StoreError::OlderSchema { found: 5, known: SCHEMA_VERSION })));
}

/// Makes a folder of schema 11 of one of schema 12: digests and random ids were indexed.
const WITHOUT_SCHEMA_12: &str = "DROP INDEX order_event_alone; DROP INDEX order_event_order;
     ALTER TABLE order_event DROP COLUMN order_seq; CREATE INDEX order_event_order ON order_event (order_id, position);
     CREATE INDEX payload_key_subject ON payload_key (subject) WHERE subject IS NOT NULL; PRAGMA user_version = 11;";

/// Makes a folder of schema 10 of one of schema 11: nobody was told of items.
const WITHOUT_SCHEMA_11: &str =
    "DROP INDEX exception_delivery; DROP TABLE item_level; DROP TABLE item; PRAGMA user_version = 10;";

/// Makes a folder of schema 9 of one of schema 10: no delivery had a number.
const WITHOUT_SCHEMA_10: &str = "DROP TABLE interchange; PRAGMA user_version = 9;";

/// Makes a folder of schema 8 of one of schema 9: a claim looked at all that was due.
const WITHOUT_SCHEMA_9: &str = "DROP INDEX order_event_cancel; DROP TRIGGER outbox_joins; DROP TRIGGER outbox_leaves; DROP TRIGGER outbox_returns;
     DROP INDEX outbox_head; DROP INDEX outbox_line; ALTER TABLE outbox DROP COLUMN behind; ALTER TABLE outbox DROP COLUMN bars;
     CREATE INDEX outbox_pending ON outbox (target, due_at, seq) WHERE state = 'pending'; PRAGMA user_version = 8;";

/// Makes a folder of schema 7 of one of schema 8: a target got a kind of message of an order once.
const WITHOUT_SCHEMA_8: &str =
    "DROP INDEX outbox_external; DROP INDEX outbox_order; ALTER TABLE outbox DROP COLUMN said;
     CREATE UNIQUE INDEX outbox_order ON outbox (order_seq, target, kind); PRAGMA user_version = 7;";

/// Makes a folder of schema 6 of one of schema 7: nothing moved an order.
const WITHOUT_SCHEMA_7: &str = "DROP INDEX order_event_early; ALTER TABLE order_event DROP COLUMN outcome;
     DROP TABLE order_progress; PRAGMA user_version = 6;";

/// Makes a folder of schema 4 of one of schema 6: no exception was about what keeps an order back.
const WITHOUT_SCHEMA_5: &str = "DELETE FROM exception WHERE kind = 'held'
       AND EXISTS (SELECT 1 FROM orders WHERE orders.id = exception.order_id AND orders.state <> 'exception');
     DROP INDEX exception_due; DROP INDEX exception_customer; DROP INDEX exception_queue; DROP INDEX document_again;
     ALTER TABLE exception DROP COLUMN kind; ALTER TABLE exception DROP COLUMN due_at;
     ALTER TABLE exception DROP COLUMN escalated_at; ALTER TABLE exception DROP COLUMN claimed_by;
     ALTER TABLE exception DROP COLUMN claimed_at; ALTER TABLE exception DROP COLUMN revision;
     ALTER TABLE exception DROP COLUMN closed_by; ALTER TABLE exception DROP COLUMN closed_how;
     ALTER TABLE exception DROP COLUMN customer; ALTER TABLE document DROP COLUMN again;
     ALTER TABLE hold ADD COLUMN escalated_at INTEGER; ALTER TABLE hold ADD COLUMN exception INTEGER;
     CREATE INDEX hold_due ON hold (expires_at, id) WHERE closed_at IS NULL AND escalated_at IS NULL;
     DROP TABLE exception_step; DROP TABLE proposal; DROP TABLE approval; DROP TABLE input_maker; DROP TABLE weighed_hour;
     DROP INDEX hold_judged; ALTER TABLE hold DROP COLUMN component;
     ALTER TABLE hold DROP COLUMN judged_at; ALTER TABLE hold DROP COLUMN judged_how;
     DROP TABLE credential; DROP TABLE person;
     DROP INDEX exception_plugin; ALTER TABLE exception DROP COLUMN plugin; ALTER TABLE exception DROP COLUMN component;
     ALTER TABLE exception DROP COLUMN cause; ALTER TABLE exception DROP COLUMN failure;
     ALTER TABLE exception DROP COLUMN pauses; ALTER TABLE exception DROP COLUMN paused_until;
     DROP TABLE notice_place;
     PRAGMA user_version = 4;";

/// Makes a folder of schema 3 of one of schema 4.
const WITHOUT_SCHEMA_4: &str = "DROP INDEX hold_due;
     ALTER TABLE hold DROP COLUMN escalated_at; ALTER TABLE hold DROP COLUMN exception;
     ALTER TABLE hold DROP COLUMN closed_at; ALTER TABLE hold DROP COLUMN closed_by;
     DROP INDEX orders_kept_back; ALTER TABLE reference_table DROP COLUMN loaded_at; DROP TABLE order_review; DROP TABLE credit_order; DROP TABLE credit_open; DROP TABLE credit_taken;
     PRAGMA user_version = 3;";

/// What makes a folder of an earlier schema of a new one. Schema 5 was never released.
fn back_to(schema: i64) -> String {
    let steps = [
        (11, WITHOUT_SCHEMA_12),
        (10, WITHOUT_SCHEMA_11),
        (9, WITHOUT_SCHEMA_10),
        (8, WITHOUT_SCHEMA_9),
        (7, WITHOUT_SCHEMA_8),
        (6, WITHOUT_SCHEMA_7),
        (4, WITHOUT_SCHEMA_5),
        (3, WITHOUT_SCHEMA_4),
    ];
    steps.into_iter().filter(|(made, _)| *made >= schema).map(|(_, step)| step).collect()
}

#[tokio::test]
async fn of_a_folder_of_schema_4_each_order_that_is_kept_back_has_one_exception() {
    let folder = Folder::new();
    let store = folder.open().await;
    let found = hold_back(&store, 1, "PO-HELD", &["credit-limit", "new-customer"]).await;
    // An order that failed, and that a hold keeps back, too.
    keep(&store, input(11, &["PO-FAILED"])).await;
    let mut failed = held(next(&store).await, &["price"], leaf(12));
    order_in(&mut failed).state = OrderState::Exception;
    order_in(&mut failed).exception = Some(waits(ExceptionKind::Held, "scorer-timeout"));
    commit(&store, failed).await.unwrap();
    hold_back(&store, 21, "PO-RELEASED", &["price"]).await;
    store.commit_review(cleared(&kept_back(&store, "PO-RELEASED").await, leaf(23))).await.unwrap();
    keep(&store, input(31, &["PO-UNMAPPED"])).await;
    let unmapped = Decided::Unmapped(waits(ExceptionKind::Document, "unmapped"));
    commit(&store, decision_of(next(&store).await, unmapped, Vec::new(), leaf(32))).await.unwrap();
    let mut unread = input(41, &[]);
    unread.exceptions = vec![NewException { stage: "accept", ..waits(ExceptionKind::Input, "unread") }];
    keep(&store, unread).await;
    release(&store, 51, "PO-DEAD", &[("erp", "order")]).await;
    for permit in claim(&store, 0).await {
        store.settle_unattempted(permit, dead(true), NOW, leaf(53)).await.unwrap();
    }
    keep(&store, input(61, &["CHANGE"])).await;
    commit(&store, about_order(next(&store).await, "PO-DEAD", OrderEventKind::Changed, leaf(62))).await.unwrap();
    drop(store);
    folder.raw().execute_batch(&back_to(4)).unwrap();
    // The first of its holds is due later, and the second one had escalated.
    let [first, second] = &found.holds[..] else { unreachable!("two holds") };
    let (first, second) = (first.number, second.number);
    folder
        .raw()
        .execute_batch(&format!(
            "INSERT INTO exception (order_id, stage, code, detail, queue, opened_at)
               VALUES ('{order}', 'decide', 'hold-due', 'found', 'leads', {now});
             UPDATE hold SET expires_at = {now} + 77 WHERE id = {first};
             UPDATE hold SET expires_at = {now} + 7, escalated_at = {now} + 8, exception = last_insert_rowid()
               WHERE id = {second};
             UPDATE hold SET expires_at = {now} + 9 WHERE reason = 'price';",
            order = order_id("PO-HELD"),
            now = NOW.0
        ))
        .unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 4, .. })));
    for _ in 0..2 {
        let store = folder.open().await;
        let mut open: Vec<_> = store.exceptions(ALL).await.unwrap();
        open.sort_by(|a, b| (a.kind, &a.code).cmp(&(b.kind, &b.code)));
        let seen: Vec<_> = open
            .iter()
            .map(|found| (found.kind, found.code.as_str(), found.queue.as_str(), found.due_at.map(|at| at.0 - NOW.0)))
            .collect();
        let expected = [
            (ExceptionKind::Held, "new-customer", "order-desk", Some(7)),
            (ExceptionKind::Held, "scorer-timeout", "integration", Some(9)),
            (ExceptionKind::Order, "order.changed", "integration", None),
            (ExceptionKind::Document, "unmapped", "integration", None),
            (ExceptionKind::Input, "unread", "integration", None),
            (ExceptionKind::Delivery, "refused", "integration", None),
            (ExceptionKind::Delivery, "refused", "integration", None),
        ];
        assert_eq!(seen, expected);
        assert!(open.iter().all(|found| found.revision == 0 && found.escalated_at.is_none()));
        let story = store.order_trail(order_id("PO-HELD")).await.unwrap().unwrap();
        let closed: Vec<_> = story.exceptions.iter().filter_map(|found| found.closed.as_ref()).collect();
        assert!(matches!(closed[..], [ClosedException { who: None, how, .. }] if how == "cleared"), "{closed:?}");
        let due = store.due_exceptions(NOW.plus_ms(9), ALL).await.unwrap();
        assert_eq!(due.iter().map(|found| found.code.as_str()).collect::<Vec<_>>(), ["new-customer", "scorer-timeout"]);
        let customer = Some(Digest::of(b"customer"));
        let wanted = ExceptionsWanted { customer, limit: ALL, ..ExceptionsWanted::default() };
        let of_customer = store.exceptions_wanted(wanted).await.unwrap();
        assert!(of_customer.len() == 2 && of_customer.iter().all(|found| found.kind == ExceptionKind::Held));
    }
    SqliteStore::open_to_read(folder.folder.path()).unwrap();
    // What waited before is decided as anything else.
    let store = folder.open().await;
    let ends = resolved(ExceptionAction::ReleaseHolds, Effect::ReviewHolds);
    let number = waiting(&store, "PO-HELD").await;
    let review = NewReview {
        who: Some("ada".to_owned()),
        step: Some(step(&store, number, "ada", ends, leaf(71)).await),
        ..cleared(&kept_back(&store, "PO-HELD").await, leaf(72))
    };
    store.commit_review(review).await.unwrap();
    let reject =
        resolved(ExceptionAction::Reject, Effect::RejectOrder { why: "rejected".to_owned(), outbox: Vec::new() });
    let number = waiting(&store, "PO-FAILED").await;
    store.step_exception(step(&store, number, "ada", reject, leaf(73)).await).await.unwrap();
    for letter in store.dead_letters(0, ALL).await.unwrap() {
        abandon(&store, letter.exception, NOW, leaf(80 + letter.exception)).await.unwrap();
    }
    assert_eq!(store.exceptions(ALL).await.unwrap().len(), 3);
}

#[tokio::test]
async fn of_a_folder_of_schema_3_the_holds_that_keep_nothing_back_are_closed() {
    let folder = Folder::new();
    let store = folder.open().await;
    hold_back(&store, 1, "PO-HELD", &["credit-limit", "new-customer"]).await;
    keep(&store, input(11, &["PO-REFUSED"])).await;
    let mut refused = held(next(&store).await, &["embargo"], leaf(12));
    order_in(&mut refused).state = OrderState::Refused;
    commit(&store, refused).await.unwrap();
    // Under way when its sender asked to cancel it: one arrived, and one is in doubt.
    for (number, key) in [(21, "PO-ARRIVED"), (31, "PO-IN-DOUBT")] {
        release(&store, number, key, &[("erp", "order")]).await;
        let permit = claim(&store, 0).await.remove(0);
        let attempt = store.begin_attempt(permit, lease(0), leaf(number + 2)).await.unwrap();
        ask_to_cancel(&store, number + 3, key).await;
        if key == "PO-ARRIVED" {
            store.settle(attempt, applied(), NOW, leaf(number + 5)).await.unwrap();
        }
    }
    drop(store);
    folder.raw().execute_batch(&back_to(3)).unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 3, .. })));
    for _ in 0..2 {
        let store = folder.open().await;
        let mut closed = Vec::new();
        for key in ["PO-HELD", "PO-REFUSED", "PO-ARRIVED", "PO-IN-DOUBT"] {
            let trail = store.order_trail(order_id(key)).await.unwrap().unwrap();
            closed.extend(trail.holds.into_iter().map(|hold| hold.closed));
        }
        let past = Some(ClosedHold { at: NOW, who: None });
        assert_eq!(closed, [None, None, past.clone(), past, None]);
        let due = store.due_exceptions(NOW.plus_ms(HOLD_MS), ALL).await.unwrap();
        assert_eq!(due.iter().map(|found| found.order).collect::<Vec<_>>(), [Some(order_id("PO-HELD"))]);
    }
    SqliteStore::open_to_read(folder.folder.path()).unwrap();
    // What was held before is looked at again as anything else.
    let store = folder.open().await;
    store.commit_review(cleared(&kept_back(&store, "PO-HELD").await, leaf(91))).await.unwrap();
    assert_eq!(claim(&store, 0).await.len(), 1);
}

#[tokio::test]
async fn what_waits_in_a_folder_of_schema_8_goes_in_its_old_order() {
    let folder = Folder::new();
    let store = folder.open().await;
    for (number, key) in [(1, "PO-WAITS"), (11, "PO-BLOCKED"), (21, "PO-PASSED"), (31, "PO-IN-DOUBT")] {
        release(&store, number, key, &[("erp", "order"), ("erp", "note"), ("wms", "release")]).await;
    }
    let first = claim(&store, 0).await.into_iter().filter(|permit| permit.target() == "erp");
    for (permit, number) in first.zip([41, 51, 61, 71]) {
        let order = permit.order().unwrap();
        if order == order_id("PO-BLOCKED") || order == order_id("PO-PASSED") {
            let dead = dead(order == order_id("PO-BLOCKED"));
            store.settle_unattempted(permit, dead, NOW, leaf(number)).await.unwrap();
        } else if order == order_id("PO-IN-DOUBT") {
            store.begin_attempt(permit, lease(0), leaf(number)).await.unwrap();
        }
    }
    ask_to_cancel(&store, 81, "PO-IN-DOUBT").await;
    keep(&store, input(91, &["LATER"])).await;
    let document = next(&store).await;
    let content = Content::Said(document.position());
    let mut later = about_order(document, "PO-IN-DOUBT", OrderEventKind::Changed, leaf(92));
    event_in(&mut later).outbox = vec![NewOutbox { target: "erp".to_owned(), kind: "undo".to_owned(), content }];
    commit(&store, later).await.unwrap();
    drop(store);
    folder.raw().execute_batch(&back_to(8)).unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 8, .. })));

    let store = folder.open().await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
    let permits = claim(&store, ASK_MS).await;
    let seen: Vec<_> = permits.iter().map(|permit| (permit.order(), permit.kind(), permit.withheld())).collect();
    let expected = [
        ("PO-IN-DOUBT", "order", true),
        ("PO-WAITS", "order", false),
        ("PO-PASSED", "note", false),
        ("PO-WAITS", "release", false),
        ("PO-BLOCKED", "release", false),
        ("PO-PASSED", "release", false),
    ];
    assert_eq!(seen, expected.map(|(key, kind, withheld)| (Some(order_id(key)), kind, withheld)));
    // Each that goes lets the next one go, as anywhere.
    for (permit, number) in permits.into_iter().take(2).zip([101, 111]) {
        store.settle_unattempted(permit, applied(), NOW, leaf(number)).await.unwrap();
    }
    let permits = claim(&store, ASK_MS).await;
    assert_eq!(permits.iter().map(Permit::kind).collect::<Vec<_>>(), ["note", "undo"]);
    let letter = store.dead_letters(0, ALL).await.unwrap().into_iter().find(|letter| letter.blocks).unwrap();
    abandon(&store, letter.exception, NOW, leaf(121)).await.unwrap();
    let permits = claim(&store, ASK_MS).await;
    assert_eq!(permits.iter().map(Permit::kind).collect::<Vec<_>>(), ["note"], "it was blocked");
}

#[tokio::test]
async fn in_a_folder_of_schema_11_orders_keep_their_events_and_subjects_what_is_about_them() {
    let folder = Folder::new();
    let store = folder.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    ask_to_cancel(&store, 11, "PO-1").await;
    // One comes before its order.
    ask_to_cancel(&store, 21, "PO-2").await;
    let customer = Digest::of(b"customer");
    let (events, about) =
        (store.order_events(order_id("PO-1"), 0, ALL).await.unwrap(), store.payloads_about(customer).await.unwrap());
    assert!(events.len() == 1 && about.len() > 4);
    drop(store);
    folder.raw().execute_batch(&back_to(11)).unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 11, .. })));

    let store = folder.open().await;
    assert_eq!(store.order_events(order_id("PO-1"), 0, ALL).await.unwrap(), events);
    assert_eq!(store.payloads_about(customer).await.unwrap(), about);
    release(&store, 31, "PO-2", &[]).await;
    assert_eq!(store.order_events(order_id("PO-2"), 0, ALL).await.unwrap().len(), 1, "it waited for its order");
}

#[tokio::test]
async fn what_waits_in_a_folder_of_schema_7_is_delivered_as_the_order_that_it_was() {
    let folder = Folder::new();
    let store = folder.open().await;
    release(&store, 1, "PO-1", &[("erp", "order"), ("erp", "note")]).await;
    drop(store);
    folder.raw().execute_batch(&back_to(7)).unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 7, .. })));
    let store = folder.open().await;
    let permit = claim(&store, 0).await.remove(0);
    assert_eq!((permit.kind(), permit.content()), ("order", Content::Order));
    let known = OutboxId("{order}/erp/order".replace("{order}", &order_id("PO-1").to_string()));
    assert_eq!(permit.outbox(), &known, "an attempt of before is found again by what it was sent with");
}

#[tokio::test]
async fn what_came_about_orders_of_a_folder_of_schema_6_was_noted_and_moved_nothing() {
    let folder = Folder::new();
    let store = folder.open().await;
    release(&store, 1, "PO-1", &[]).await;
    keep(&store, input(11, &["CHANGE"])).await;
    commit(&store, about_order(next(&store).await, "PO-1", OrderEventKind::Changed, leaf(12))).await.unwrap();
    drop(store);
    folder.raw().execute_batch(&back_to(6)).unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 6, .. })));
    let store = folder.open().await;
    let trail = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    let outcomes: Vec<EventOutcome> = trail.events.iter().map(|event| event.outcome).collect();
    assert_eq!((outcomes, trail.progress), (vec![EventOutcome::Noted], None));
}

#[tokio::test]
async fn a_folder_of_schema_4_has_nobody_and_takes_a_first_one() {
    let folder = Folder::new();
    let store = folder.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let before = observe(&store).await;
    drop(store);
    folder.raw().execute_batch(&back_to(4)).unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 4, .. })));
    let store = folder.open().await;
    assert_eq!(observe(&store).await, before);
    let first = accounts::change("anna", 0, accounts::add(&["administrator"], true), 91);
    store.change_person(first).await.unwrap();
    assert_eq!(store.people(None, ALL).await.unwrap().len(), 1);
}

#[tokio::test]
async fn budgets_of_a_folder_of_schema_2_are_what_its_holds_say() {
    let folder = Folder::new();
    drop(folder.try_open().unwrap());
    let older = back_to(3);
    folder
        .raw()
        .execute_batch(&format!(
            "{older}
             DROP TABLE budget_minute; DROP TABLE budget_day;
             ALTER TABLE hold ADD COLUMN value_minor INTEGER NOT NULL DEFAULT 0;
             CREATE INDEX hold_plugin ON hold (plugin, opened_at) WHERE plugin IS NOT NULL;
             INSERT INTO orders (id, position, channel, sender, number, state, value_minor, currency, recommended, why,
                                 event, decision, configuration, decided_at, leaf)
               VALUES ('a', 1, 'edi', 'p', 'PO-1', 'held', 700, 'USD', 0, '', 1, 2, 1, {now}, 1),
                      ('b', 2, 'edi', 'p', 'PO-2', 'held', -5, 'USD', 0, '', 3, 4, 1, {now}, 2);
             INSERT INTO hold (order_id, owner, plugin, reason, queue, lines, opened_at, expires_at, value_minor)
               VALUES ('a', 'advice', 'fraud', '', '', '1', {now}, {now}, 700),
                      ('a', 'advice', 'fraud', '', '', '2', {now}, {now}, 700),
                      ('b', 'advice', 'fraud', '', '', '', {now}, {now}, -5),
                      ('b', 'route', 'fraud', '', '', '', {now}, {now}, -5),
                      ('b', 'spent-budget', 'fraud', '', '', '', {now}, {now}, -5),
                      ('b', 'policy', NULL, '', '', '', {now}, {now}, -5);
             PRAGMA user_version = 2;",
            now = NOW.0
        ))
        .unwrap();
    assert!(matches!(SqliteStore::open_to_read(folder.folder.path()), Err(StoreError::OlderSchema { found: 2, .. })));
    for _ in 0..2 {
        let store = folder.try_open().unwrap();
        let (fraud, usd) = (PluginName::parse("fraud").unwrap(), Currency::parse("USD").unwrap());
        let usage = store.plugin_usage(&fraud, usd, NOW).await.unwrap();
        assert_eq!((usage.holds, usage.routes, usage.value_held_minor), (3, 1, 700));
    }
    SqliteStore::open_to_read(folder.folder.path()).unwrap();
}

/// An input that takes many pages.
fn bulky(number: u64) -> crate::contract::JournalEntry {
    let mut entry = input(number, &[&format!("PO-{number}")]);
    entry.payload = sealed(&vec![7; 64 * 1024], None);
    entry
}

#[tokio::test]
async fn in_a_folder_of_an_earlier_build_what_was_in_use_is_known_to_be_and_not_since_when_it_was_configured() {
    let folder = Folder::new();
    let store = folder.open().await;
    release(&store, 1, "PO-1", &[("erp", "order"), ("wms", "release")]).await;
    let permit = claim(&store, 5).await.into_iter().find(|permit| permit.target() == "erp").unwrap();
    let attempt = store.begin_attempt(permit, lease(5), leaf(11)).await.unwrap();
    store.settle(attempt, applied(), NOW.plus_ms(6), leaf(12)).await.unwrap();
    assert_eq!(store.parts().await.unwrap(), [], "no configuration has them");
    drop(store);
    folder.raw().execute_batch("DROP TABLE part; DROP TABLE operation_leaf;").unwrap();
    let read: Arc<dyn Store> = Arc::new(SqliteStore::open_to_read(folder.folder.path()).unwrap());
    assert_eq!(read.parts().await.unwrap(), [], "who only reads makes no tables");
    assert_eq!(read.operation_leaves(After::from(NOW), NOW.plus_ms(1_000), ALL).await.unwrap(), []);
    drop(read);
    let store = folder.open().await;
    let (edi, erp, wms) = (("channel", "edi"), ("target", "erp"), ("target", "wms"));
    let part = |(kind, id): (&str, &str)| Part { kind: PartKind::of(kind).unwrap(), id: id.to_owned() };
    let parts = [edi, erp, wms].map(part).to_vec();
    store.activate_configuration(b"one".to_vec(), Vec::new(), NOW.plus_ms(50), vec![leaf(20)], parts).await.unwrap();
    let view = |of, configured_ms: Option<i64>, used_ms: Option<i64>| PartView {
        part: part(of),
        configured_at: configured_ms.map(|ms| NOW.plus_ms(ms)),
        used_at: used_ms.map(|ms| NOW.plus_ms(ms)),
    };
    let expected = [view(edi, None, Some(1)), view(erp, None, Some(6)), view(wms, Some(50), None)];
    assert_eq!(store.parts().await.unwrap(), expected);
}

#[tokio::test]
async fn a_folder_of_an_earlier_build_that_is_only_read_tells_of_its_polls_what_it_knows() {
    let folder = Folder::new();
    let store = folder.open().await;
    let connector = PluginName::parse("erp-rest").unwrap();
    assert!(store.claim_poll("erp", &connector, NOW, NOW.plus_ms(1_000)).await.unwrap().is_some());
    let known = store.poll("erp").await.unwrap().unwrap();
    drop(store);
    folder.raw().execute_batch("DROP TABLE poll_well; DROP TABLE subscription;").unwrap();
    let read: Arc<dyn Store> = Arc::new(SqliteStore::open_to_read(folder.folder.path()).unwrap());
    assert_eq!(read.poll("erp").await.unwrap(), Some(known));
    assert_eq!(read.poll("other").await.unwrap(), None);
    assert_eq!(read.subscription("erp").await.unwrap(), None);
    drop(read);
    folder.raw().execute_batch("DROP TABLE poll;").unwrap();
    let read: Arc<dyn Store> = Arc::new(SqliteStore::open_to_read(folder.folder.path()).unwrap());
    assert_eq!(read.poll("erp").await.unwrap(), None);
}

#[tokio::test]
async fn a_full_disk_refuses_in_words_keeps_nothing_half_and_loses_nothing() {
    let folder = Folder::new();
    drop(folder.open().await);
    let full = SqliteStore::open_with(folder.folder.path(), |connection| {
        connection.pragma_update_and_check(None, "max_page_count", 150, |_| Ok(()))
    });
    let store: Arc<dyn Store> = Arc::new(full.unwrap());
    let mut kept = 0;
    let error = loop {
        let before = observe(&store).await;
        match store.journal(bulky(kept + 1)).await {
            Ok(JournalOutcome::Committed { .. }) => kept += 1,
            Ok(other) => unreachable!("{other:?}"),
            Err(error) => {
                assert_eq!(observe(&store).await, before, "nothing half");
                break error;
            }
        }
        assert!(kept < 100, "the disk does not fill");
    };
    assert!(kept > 0, "the disk was full from the beginning");
    assert!(matches!(&error, StoreError::Failed(why) if why.contains("full")), "{error}");
    // What is small and was accepted before still goes on.
    let document = next(&store).await;
    commit(&store, released(document, &[], leaf(1_000))).await.unwrap();
    drop(store);

    // With room again the same input is taken, and what was acknowledged is there.
    let store = folder.open().await;
    keep(&store, bulky(kept + 1)).await;
    assert_eq!(store.undecided(ALL, &[]).await.unwrap().len(), usize::try_from(kept).unwrap());
    assert_eq!(store.summary().await.unwrap().inputs, kept + 1);
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_refuses_in_words_and_is_read_all_the_same() {
    let folder = Folder::new();
    keep(&folder.open().await, input(1, &["PO-1"])).await;
    let read_only =
        SqliteStore::open_with(folder.folder.path(), |connection| connection.pragma_update(None, "query_only", true));
    let store: Arc<dyn Store> = Arc::new(read_only.unwrap());
    let before = observe(&store).await;
    let document = next(&store).await;
    let refused = [
        store.journal(input(2, &["PO-2"])).await.map(|_| ()),
        commit(&store, released(document, &[], leaf(3))).await.map(|_| ()),
        store.lease_numbers("interchange", 1).await.map(|_| ()),
    ];
    for refused in refused {
        assert!(matches!(&refused, Err(StoreError::Failed(why)) if why.contains("readonly")), "{refused:?}");
    }
    assert_eq!(observe(&store).await, before);
}

/// Writes three inputs in one group: they wait behind a gate. What is to happen to
/// the group happens inside it.
async fn three_at_once(
    store: &SqliteStore,
    mut happens: impl FnMut() + Send + 'static,
) -> [Result<JournalOutcome, StoreError>; 3] {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let gate = store.writer.write(move |_| {
        begin.send(()).unwrap();
        gate.recv().map_err(|error| StoreError::Failed(error.to_string()))
    });
    // Until the gate is a group of its own, a quick writer would take others with it.
    let alone = async { begun.recv().unwrap() };
    let happens = store.writer.write(move |_| {
        happens();
        Ok(())
    });
    let (first, second, third) =
        (store.journal(input(1, &["PO-1"])), store.journal(input(2, &["PO-2"])), store.journal(input(3, &["PO-3"])));
    let opened = async { open.send(()).unwrap() };
    let (_, (), _, first, second, third, ()) = tokio::join!(gate, alone, happens, first, second, third, opened);
    [first, second, third]
}

#[tokio::test]
async fn a_group_whose_commit_fails_is_unknown_to_all_of_it() {
    for (fault, kept) in [(Fault::NotPersisted, 0), (Fault::Persisted, 3)] {
        let folder = Folder::new();
        let store = folder.try_open().unwrap();
        let asked = Arc::clone(&folder.fault);
        let outcomes = three_at_once(&store, move || *asked.lock().unwrap() = Some(fault)).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(StoreError::Unknown(_)))), "{outcomes:?}");
        drop(store);
        let store = folder.open().await;
        assert_eq!(
            (store.summary().await.unwrap().inputs, leaves(&store).await.len()),
            (kept, usize::try_from(kept).unwrap())
        );
    }
}

#[tokio::test]
async fn after_a_write_that_panics_nothing_is_promised_any_more_and_what_was_kept_is_there() {
    let folder = Folder::new();
    let store = folder.try_open().unwrap();
    store.journal(input(1, &["PO-1"])).await.unwrap();
    let panics = store.writer.write(|_| -> Result<(), StoreError> { unreachable!("the panic of this test") }).await;
    assert!(matches!(panics, Err(StoreError::Unknown(_))), "{panics:?}");
    // The thread is on its way out until its queue is closed.
    let refused = loop {
        match store.journal(input(2, &["PO-2"])).await.unwrap_err() {
            StoreError::Unknown(_) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert!(matches!(refused, StoreError::WriterEnded), "{refused}");
    let refused = store.refuse(leaf(2)).await.unwrap_err();
    assert!(refused.to_string().contains("restart the host"), "{refused}");
    assert_eq!(store.summary().await.unwrap().inputs, 1);
    drop(store);
    keep(&folder.open().await, input(2, &["PO-2"])).await;
}

#[tokio::test]
async fn when_sqlite_gives_a_whole_transaction_up_nobody_in_it_is_told_otherwise() {
    let folder = Folder::new();
    drop(folder.open().await);
    // A full disk may end the transaction, and with it the savepoints of a whole group.
    let gives_up = "CREATE TRIGGER gives_up BEFORE INSERT ON document WHEN NEW.key = 'PO-2'
                    BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END;";
    folder.raw().execute_batch(gives_up).unwrap();
    let store = folder.try_open().unwrap();
    let outcomes = three_at_once(&store, || {}).await;
    assert!(
        matches!(&outcomes, [Err(_), Err(StoreError::Failed(why)), Err(_)] if why.contains("full")),
        "{outcomes:?}"
    );
    drop(store);
    folder.raw().execute_batch("DROP TRIGGER gives_up;").unwrap();
    let store = folder.open().await;
    assert_eq!((store.summary().await.unwrap().inputs, leaves(&store).await.len()), (0, 0), "no later one by itself");
    for number in 1..=3 {
        keep(&store, input(number, &[&format!("PO-{number}")])).await;
    }
}

#[tokio::test]
async fn what_came_about_an_order_goes_when_a_person_has_closed_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    commit(&store, released(next(&store).await, &[], leaf(2))).await.unwrap();
    keep(&store, input(11, &["LATER"])).await;
    let change = about_order(next(&store).await, "PO-1", OrderEventKind::Changed, leaf(12));
    commit(&store, change).await.unwrap();
    let [event] = &store.order_trail(order_id("PO-1")).await.unwrap().unwrap().events[..] else { unreachable!() };
    let (event, later) = (event.clone(), NOW.plus_ms(1_000));
    assert_eq!(store.forget(vec![input_id(11)], later, later, leaf(20)).await.unwrap(), None);
    let number = store.exceptions(ALL).await.unwrap().remove(0).id;
    let done = step(&store, number, "ada", resolved(ExceptionAction::Abandon, Effect::Close), leaf(13)).await;
    store.step_exception(NewStep { record: None, at: NOW.plus_ms(5), ..done }).await.unwrap();
    let forgotten = store.forget(vec![input_id(11)], later, later, leaf(20)).await.unwrap().unwrap();
    assert_eq!((forgotten.inputs, forgotten.payloads), (1, 4), "input, document, event and decision");
    for gone in [event.event, event.decision] {
        assert!(matches!(store.payload(gone).await, Err(StoreError::Erased(_))));
    }
    assert_eq!(store.order_trail(order_id("PO-1")).await.unwrap().unwrap().events, [event], "its row stays");
}
