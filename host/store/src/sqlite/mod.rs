//! The contract on SQLite: one file, one writer thread, group commit.
//!
//! Writes queue up (bounded) for the writer thread, which takes all that wait,
//! runs them in one transaction, commits, and only then answers: sixty-four orders
//! cost one fsync instead of sixty-four. A write that fails leaves its neighbours
//! alone (`writer.rs` says how); a commit that fails answers everybody with
//! [`StoreError::Unknown`].
//!
//! Reads use connections of their own, each with its thread (`reader.rs`): WAL readers see what is
//! committed and never wait for the writer.

mod rows;

mod billed;

mod budget;

mod credit;

mod kept_back;
mod known;
mod level;
mod measure;
mod oversight;

mod trail;

mod counts;

mod dead_letter;

mod due;

mod envelope;

mod exception;

mod find;

mod history;

mod interchange;

mod order_event;
mod order_numbers;

mod notice;

mod operation;

mod package;
mod pages;

mod pause;

mod person;

mod poll;
mod subscription;

mod progress;

mod reader;

mod reconcile;

mod replay;

mod retention;

mod untaken;

mod worker;
mod writer;

#[cfg(test)]
mod flat;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use portreeve_model::reference::Row;
use portreeve_model::{ChannelId, Currency, Digest, Instant, ItemId, OrderId, PersonName, PluginName, Reply, SenderId};
use portreeve_record::{Leaf, PayloadKey};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::contract::{
    After, Configuration, CreditQuery, CustomerAggregate, DeadLetter, DecisionCommit, DeliveredPage, DeliveredWanted,
    DocumentPosition, DocumentView, DueRule, EarlyEvent, ExceptionTrail, ExceptionView, ExceptionsWanted, Finding,
    Forgotten, Happening, HistoryQuery, InputContent, InputId, InterchangeView, ItemStanding, JournalEntry,
    JournalOutcome, JudgedHold, Kept, KeptBack, KeptInput, LateMessage, Lease, MeasuredOrder, NewException,
    NewPersonChange, NewReference, NewReplay, NewReview, NewRun, NewStep, NoticePlace, Numbering, OpenHolds,
    OpenPayload, OperationLeaf, OrderEventView, OrderName, OrderOrigin, OrderStanding, OrderState, OrderTrail,
    OrderView, OrdersAtPage, OrdersAtWanted, PackageChange, PackageView, Part, PartView, PauseAbout, PayloadRef,
    Period, Person, PersonView, PluginUsage, PollEnd, PollView, PolledChange, Presented, ReconciliationView,
    ReferenceTable, ReferenceWanted, ReplayView, Room, SaidPage, SaidWanted, Settlement, StepTaken, Store, StoreError,
    SubscriptionEnd, SubscriptionView, Summary, TreeHead, UnsequencedLeaf, UntakenInput, UntakenWanted,
    WaitingDeliveries, WaitingOrders, WeighedProposal,
};
use crate::proof::{Attempt, Committed, Journaled, Permit, PollPermit, Settled, SubscriptionPermit};
use order_numbers::Numbers;
use pages::WritersPages;
use reader::Reader;
use writer::Writer;

/// The schema that this program writes.
const SCHEMA_VERSION: i64 = 12;

/// Its tables, but for those of packages.
const SCHEMA: &str = concat!(
    include_str!("schema.sql"),
    include_str!("budget.sql"),
    include_str!("kept_back.sql"),
    include_str!("person.sql"),
    include_str!("exception.sql"),
    include_str!("progress.sql"),
    include_str!("effect.sql"),
    include_str!("line.sql"),
    include_str!("cancelled.sql"),
    include_str!("interchange.sql"),
    include_str!("level.sql"),
    include_str!("numbers.sql")
);

/// What brings a folder of an earlier schema up to date: each change with the schema that it is made to.
const CHANGES: [(i64, &str); 9] = [
    (2, concat!(include_str!("budget.sql"), include_str!("schema-3.sql"))),
    (3, include_str!("kept_back.sql")),
    (4, concat!(include_str!("person.sql"), include_str!("exception.sql"))),
    (6, include_str!("progress.sql")),
    (7, include_str!("effect.sql")),
    (8, concat!(include_str!("line.sql"), include_str!("cancelled.sql"))),
    (9, include_str!("interchange.sql")),
    (10, include_str!("level.sql")),
    (11, include_str!("numbers.sql")),
];

/// What people ask is rarely asked twice.
const PEOPLES_CACHE_KIB: i64 = 8192;

/// The store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    reader: Arc<Reader>,
    people: Arc<Reader>,
    numbers: Arc<Numbers>,
    /// Held as long as the store lives: a second process is refused. A reader needs none.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens or creates the store in a folder.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has the folder,
    /// [`StoreError::NewerSchema`] when a newer program wrote it,
    /// [`StoreError::OlderSchema`] when an older one did and no migration is known,
    /// [`StoreError::Failed`] when it cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, |_| Ok(()))
    }

    /// The same. What the tests do to the writer's connection, they do here: SQLite's
    /// own hooks make a commit fail, before it persists or after.
    fn open_with(
        folder: &Path,
        prepare: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| {
            StoreError::Failed(format!("the folder `{}` cannot be made: {error}", folder.display()))
        })?;
        let lock = lock(folder)?;
        let file = folder.join("portreeve.db");
        let mut connection = connect(&file)?;
        let pages = WritersPages::of(&connection)?;
        migrate(&mut connection)?;
        rows::end_claims(&connection)?;
        prepare(&mut connection).map_err(failed)?;
        let reader = Arc::new(Reader::start("portreeve-reads", connect(&file)?)?);
        let people = connect(&file)?;
        people.pragma_update(None, "cache_size", -PEOPLES_CACHE_KIB).map_err(failed)?;
        let people = Arc::new(Reader::start("portreeve-views", people)?);
        Ok(Self {
            writer: Writer::start(connection, pages)?,
            reader,
            people,
            numbers: Arc::default(),
            _lock: Some(lock),
        })
    }

    /// Opens an existing store for reading alone, also while a host works on it:
    /// WAL readers see what is committed and hold nobody up. Every write fails.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], but never [`StoreError::InUse`].
    pub fn open_to_read(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join("portreeve.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(failed)?;
        connection.execute_batch("PRAGMA busy_timeout = 5000;").map_err(failed)?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        known_schema(found)?;
        // A build that waited for no messages has none of which an exception could name the target.
        if !has_table(&connection, "due_message")? {
            connection
                .execute_batch("CREATE TEMP TABLE due_message (exception INTEGER, target TEXT) STRICT;")
                .map_err(failed)?;
        }
        let reader = Arc::new(Reader::start("portreeve-reads", connection)?);
        let people = Arc::clone(&reader);
        Ok(Self { writer: Writer::none(), reader, people, numbers: Arc::default(), _lock: None })
    }

    /// A read that an order waits for.
    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.reader.read(read).await
    }

    /// A read that a person waits for. It may take long, and no order waits behind it.
    async fn read_for_people<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.people.read(read).await
    }
}

/// One process per folder: two sequencers or two writers would each be right alone.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path: PathBuf = folder.join("lock");
    let failed = |error: &dyn std::fmt::Display| {
        StoreError::Failed(format!("the lock file `{}` cannot be used: {error}", path.display()))
    };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { folder: folder.display().to_string() }),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(&error)),
    }
}

fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(file).map_err(failed)?;
    // FULL: a commit is acknowledged after its fsync. secure_delete: an erased
    // key must not survive in a free page. temp_store: what a savepoint may have to
    // undo is a few pages, and needs no file. wal_autocheckpoint: a page that changes in
    // every commit is copied to its place once for 32 MiB of log instead of for 4.
    // cache_size: what a usual commit touches, and not much more; `pages` says why not, and when the writer keeps
    // more.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 8192;
             PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;",
        )
        .map_err(failed)?;
    // Or SQLite looks at bound values for a better plan, and compiles statements anew
    // for most of them; plans here depend on no value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    // More than there are statements: one that falls out is compiled again at each use.
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let changes: Vec<&str> = if found == 0 {
        vec![SCHEMA]
    } else {
        CHANGES.into_iter().filter(|(from, _)| *from >= found).map(|(_, change)| change).collect()
    };
    if found != 0 && !CHANGES.iter().any(|(from, _)| *from == found) {
        known_schema(found)?;
    }
    if !changes.is_empty() {
        let transaction = connection.transaction().map_err(failed)?;
        changes.into_iter().try_for_each(|change| transaction.execute_batch(change)).map_err(failed)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    let more = concat!(
        include_str!("package.sql"),
        include_str!("poll.sql"),
        include_str!("subscription.sql"),
        include_str!("replay.sql"),
        include_str!("due.sql")
    );
    connection.execute_batch(more).map_err(failed)?;
    operation::prepare(connection)
}

/// A schema is read by the programs that know it; an empty file has schema 0.
fn known_schema(found: i64) -> Result<(), StoreError> {
    match found.cmp(&SCHEMA_VERSION) {
        Ordering::Less => Err(StoreError::OlderSchema { found, known: SCHEMA_VERSION }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::NewerSchema { found, known: SCHEMA_VERSION }),
    }
}

/// Whether a table is there: a folder that is opened to be read alone may be of a build that made none
/// of that name.
fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1")
        .and_then(|mut there| there.exists([name]))
        .map_err(failed)
}

/// SQLite's error as ours; its text names tables and constraints, never values.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

#[async_trait]
impl Store for SqliteStore {
    async fn activate_configuration(
        &self,
        bytes: Vec<u8>,
        tables: Vec<NewReference>,
        at: Instant,
        leaves: Vec<Leaf>,
        parts: Vec<Part>,
    ) -> Result<u64, StoreError> {
        self.writer
            .write(move |tx| {
                for new in &tables {
                    rows::load_reference(tx, &new.table, &new.rows, &new.leaf)?;
                }
                operation::configured(tx, &parts, at)?;
                rows::activate_configuration(tx, &bytes, at, &leaves)
            })
            .await
    }

    async fn active_configuration(&self) -> Result<Option<Configuration>, StoreError> {
        self.read(rows::active_configuration).await
    }

    async fn change_packages(&self, change: PackageChange, at: Instant, leaves: Vec<Leaf>) -> Result<(), StoreError> {
        self.writer.write(move |tx| package::change(tx, &change, at, &leaves)).await
    }

    async fn packages(&self) -> Result<Vec<PackageView>, StoreError> {
        self.read_for_people(package::list).await
    }

    async fn load_reference(&self, table: &str, rows: Vec<(String, Row)>, leaf: Leaf) -> Result<u64, StoreError> {
        let table = table.to_owned();
        self.writer.write(move |tx| rows::load_reference(tx, &table, &rows, &leaf)).await
    }

    async fn references(&self, wanted: Vec<ReferenceWanted>) -> Result<Vec<Option<ReferenceTable>>, StoreError> {
        self.read(move |connection| rows::references(connection, &wanted)).await
    }

    async fn reference(&self, table: &str) -> Result<Option<(u64, Vec<(String, Row)>)>, StoreError> {
        let wanted = [ReferenceWanted { table: table.to_owned(), known: None }];
        let found = self.read(move |connection| rows::references(connection, &wanted)).await?;
        let found = found.into_iter().next().flatten();
        Ok(found.map(|table| (table.version, table.rows.unwrap_or_default())))
    }

    async fn journal(&self, entry: JournalEntry) -> Result<JournalOutcome, StoreError> {
        self.writer.write_or_refuse(move |tx| rows::journal(tx, &entry)).await
    }

    async fn poll(&self, poll: &str) -> Result<Option<PollView>, StoreError> {
        let poll = poll.to_owned();
        self.read(move |connection| poll::one(connection, &poll)).await
    }

    async fn known_keys(
        &self,
        channel: &ChannelId,
        sender: &SenderId,
        keys: Vec<String>,
    ) -> Result<Vec<bool>, StoreError> {
        let (channel, sender) = (channel.clone(), sender.clone());
        self.read(move |connection| rows::known_keys(connection, &channel, &sender, &keys)).await
    }

    async fn poll_state(&self, plugin: &PluginName, poll: &str) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let (plugin, poll) = (plugin.clone(), poll.to_owned());
        self.read(move |connection| poll::state(connection, &plugin, &poll)).await
    }

    async fn claim_poll(
        &self,
        poll: &str,
        connector: &PluginName,
        now: Instant,
        lease_until: Instant,
    ) -> Result<Option<PollPermit>, StoreError> {
        let (poll, connector) = (poll.to_owned(), connector.clone());
        self.writer.write(move |tx| poll::claim(tx, &poll, &connector, now, lease_until)).await
    }

    async fn journal_polled(
        &self,
        permit: PollPermit,
        entry: JournalEntry,
        change: PolledChange,
    ) -> Result<JournalOutcome, StoreError> {
        self.writer.write(move |tx| poll::journal(tx, &permit, &entry, &change)).await
    }

    async fn end_poll(&self, permit: PollPermit, end: PollEnd, at: Instant) -> Result<(), StoreError> {
        self.writer.write(move |tx| poll::end(tx, &permit, &end, at)).await
    }

    async fn subscription(&self, poll: &str) -> Result<Option<SubscriptionView>, StoreError> {
        let poll = poll.to_owned();
        self.read(move |connection| subscription::one(connection, &poll)).await
    }

    async fn claim_subscription(
        &self,
        poll: &str,
        about: Digest,
        now: Instant,
        lease_until: Instant,
        leaf: Leaf,
    ) -> Result<Option<SubscriptionPermit>, StoreError> {
        let poll = poll.to_owned();
        self.writer.write(move |tx| subscription::claim(tx, &poll, about, now, lease_until, &leaf)).await
    }

    async fn end_subscription(
        &self,
        permit: SubscriptionPermit,
        end: SubscriptionEnd,
        at: Instant,
    ) -> Result<(), StoreError> {
        self.writer.write(move |tx| subscription::end(tx, &permit, &end, at)).await
    }

    async fn refuse(&self, leaf: Leaf) -> Result<(), StoreError> {
        self.writer.write_or_refuse(move |tx| rows::refuse(tx, &leaf)).await
    }

    async fn reply_to(&self, input: InputId) -> Result<Option<Reply>, StoreError> {
        self.read(move |connection| rows::reply_to(connection, input)).await
    }

    async fn lease_numbers(&self, range: &str, count: u32) -> Result<u64, StoreError> {
        let range = range.to_owned();
        self.writer.write(move |tx| rows::lease_numbers(tx, &range, count)).await
    }

    async fn undecided(&self, limit: u32, without: &[DocumentPosition]) -> Result<Vec<Journaled>, StoreError> {
        let without = rows::json_of(without);
        self.read(move |connection| rows::undecided(connection, limit, &without)).await
    }

    async fn customer_histories(&self, queries: Vec<HistoryQuery>) -> Result<Vec<CustomerAggregate>, StoreError> {
        self.read(move |connection| queries.iter().map(|query| history::customer_history(connection, query)).collect())
            .await
    }

    async fn plugin_usage(
        &self,
        plugin: &PluginName,
        currency: Currency,
        at: Instant,
    ) -> Result<PluginUsage, StoreError> {
        let plugin = plugin.clone();
        self.read(move |connection| budget::usage(connection, &plugin, currency, at)).await
    }

    async fn open_holds(&self, at: Instant) -> Result<Vec<OpenHolds>, StoreError> {
        self.read_for_people(move |connection| counts::open_holds(connection, at)).await
    }

    async fn waiting_deliveries(&self) -> Result<Vec<WaitingDeliveries>, StoreError> {
        self.read_for_people(counts::waiting).await
    }

    async fn commit_decisions(
        &self,
        decisions: Vec<DecisionCommit>,
    ) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
        let numbers = Arc::clone(&self.numbers);
        self.writer
            .write(move |tx| {
                let mut waits = BTreeSet::new();
                let committed = decisions.iter().map(|decision| {
                    let order = decision.decided.order();
                    let result = match order.filter(|order| waits.contains(order)) {
                        Some(order) => Err(StoreError::OrderWaits { order }),
                        None => tx.alone(|tx| rows::commit_decision(tx, decision, &numbers)),
                    };
                    if result.is_err() {
                        waits.extend(order);
                    }
                    result
                });
                Ok(committed.collect())
            })
            .await
    }

    async fn credit_reserved(&self, queries: Vec<CreditQuery>) -> Result<Vec<i64>, StoreError> {
        self.read(move |connection| queries.iter().map(|query| credit::reserved(connection, query)).collect()).await
    }

    async fn kept_back(&self, which: Kept, after: DocumentPosition, limit: u32) -> Result<Vec<KeptBack>, StoreError> {
        self.read_for_people(move |connection| kept_back::list(connection, which, after, limit)).await
    }

    async fn kept_back_order(&self, order: OrderId) -> Result<Option<KeptBack>, StoreError> {
        self.read_for_people(move |connection| kept_back::one(connection, order)).await
    }

    async fn waiting_orders(&self) -> Result<Vec<WaitingOrders>, StoreError> {
        self.read_for_people(kept_back::waiting).await
    }

    async fn commit_review(&self, review: NewReview) -> Result<(), StoreError> {
        self.writer.write(move |tx| kept_back::review(tx, &review)).await
    }

    async fn claim(
        &self,
        now: Instant,
        lease_until: Instant,
        limit: u32,
        room: Room,
    ) -> Result<Vec<Permit>, StoreError> {
        self.writer.write(move |tx| rows::claim(tx, now, lease_until, limit, &room)).await
    }

    async fn number_delivery(&self, permit: Permit, numbering: Numbering, at: Instant) -> Result<Permit, StoreError> {
        let (seq, epoch) = (permit.seq, permit.epoch);
        let numbered = self.writer.write(move |tx| interchange::number(tx, seq, epoch, &numbering, at)).await?;
        rows::held(usize::from(numbered.is_some()), &permit)?;
        Ok(Permit { interchange: numbered, ..permit })
    }

    async fn interchange(&self, partner: &str, number: u64) -> Result<Option<InterchangeView>, StoreError> {
        let partner = partner.to_owned();
        self.read(move |connection| interchange::numbered(connection, &partner, number)).await
    }

    async fn overdue_interchanges(&self, at: Instant, limit: u32) -> Result<Vec<InterchangeView>, StoreError> {
        self.read_for_people(move |connection| interchange::overdue(connection, at, limit)).await
    }

    async fn tell_overdue(
        &self,
        partner: &str,
        number: u64,
        exception: NewException,
        at: Instant,
        leaf: Leaf,
    ) -> Result<bool, StoreError> {
        let partner = partner.to_owned();
        self.writer.write(move |tx| interchange::tell_overdue(tx, &partner, number, &exception, at, &leaf)).await
    }

    async fn begin_due(&self, rules: Vec<DueRule>) -> Result<(), StoreError> {
        self.writer.write(move |tx| due::begin(tx, &rules)).await
    }

    async fn watch_due(&self, rule: DueRule, at: Instant, limit: u32) -> Result<bool, StoreError> {
        self.writer.write(move |tx| due::watch(tx, &rule, at, limit)).await
    }

    async fn late_messages(&self, at: Instant, limit: u32) -> Result<Vec<LateMessage>, StoreError> {
        self.read_for_people(move |connection| due::late(connection, at, limit)).await
    }

    async fn tell_late(
        &self,
        message: u64,
        exception: NewException,
        at: Instant,
        leaf: Leaf,
    ) -> Result<bool, StoreError> {
        self.writer.write(move |tx| due::tell(tx, message, &exception, at, &leaf)).await
    }

    async fn end_late(&self, message: u64, at: Instant, leaf: Leaf) -> Result<bool, StoreError> {
        self.writer.write(move |tx| due::end(tx, message, at, &leaf)).await
    }

    async fn reconciliation(&self, reconciliation: &str) -> Result<ReconciliationView, StoreError> {
        let reconciliation = reconciliation.to_owned();
        self.read_for_people(move |connection| reconcile::view(connection, &reconciliation)).await
    }

    async fn reconciliation_key(&self, reconciliation: &str) -> Result<Option<PayloadKey>, StoreError> {
        let reconciliation = reconciliation.to_owned();
        self.read_for_people(move |connection| reconcile::key(connection, &reconciliation)).await
    }

    async fn orders_at(&self, wanted: OrdersAtWanted) -> Result<OrdersAtPage, StoreError> {
        self.read_for_people(move |connection| known::orders_at(connection, &wanted)).await
    }

    async fn said_at(&self, wanted: SaidWanted) -> Result<SaidPage, StoreError> {
        self.read_for_people(move |connection| known::said_at(connection, &wanted)).await
    }

    async fn findings(
        &self,
        reconciliation: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Finding)>, StoreError> {
        let (reconciliation, after) = (reconciliation.to_owned(), after.map(str::to_owned));
        self.read_for_people(move |connection| {
            reconcile::findings(connection, &reconciliation, after.as_deref(), limit)
        })
        .await
    }

    async fn commit_run(&self, run: NewRun) -> Result<(), StoreError> {
        self.writer.write(move |tx| reconcile::commit(tx, &run)).await
    }

    async fn begin_attempt(&self, permit: Permit, lease: Lease, leaf: Leaf) -> Result<Attempt, StoreError> {
        let (seq, epoch, attempt, order_seq) = (permit.seq, permit.epoch, permit.attempt, permit.order_seq);
        let begun =
            self.writer.write(move |tx| rows::begin_attempt(tx, seq, epoch, attempt, order_seq, lease, &leaf)).await?;
        rows::held(begun, &permit)?;
        Ok(Attempt { permit, state: None })
    }

    async fn settle(
        &self,
        attempt: Attempt,
        settlement: Settlement,
        at: Instant,
        leaf: Leaf,
    ) -> Result<Settled, StoreError> {
        let Attempt { permit, state } = attempt;
        self.writer
            .write(move |tx| {
                let settled = rows::settle(tx, &permit, &settlement, at, &leaf)?;
                let remembered = state.iter().zip(permit.order());
                remembered.into_iter().try_for_each(|(state, order)| rows::remember(tx, order, state))?;
                Ok(settled)
            })
            .await
    }

    async fn settle_unattempted(
        &self,
        permit: Permit,
        settlement: Settlement,
        at: Instant,
        leaf: Leaf,
    ) -> Result<Settled, StoreError> {
        self.writer.write(move |tx| rows::settle(tx, &permit, &settlement, at, &leaf)).await
    }

    async fn untaken_inputs(&self, wanted: UntakenWanted) -> Result<Vec<UntakenInput>, StoreError> {
        self.read_for_people(move |connection| untaken::list(connection, &wanted)).await
    }

    async fn untaken_input(&self, input: InputId) -> Result<Option<UntakenInput>, StoreError> {
        self.read_for_people(move |connection| untaken::one(connection, input)).await
    }

    async fn input_content(&self, input: InputId) -> Result<Option<InputContent>, StoreError> {
        self.read_for_people(move |connection| untaken::content(connection, input)).await
    }

    async fn dead_letters(&self, after: u64, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        self.read_for_people(move |connection| dead_letter::list(connection, after, limit)).await
    }

    async fn dead_letters_of(
        &self,
        target: &str,
        code: Option<&str>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (target, code) = (target.to_owned(), code.map(str::to_owned));
        self.read_for_people(move |connection| dead_letter::of(connection, &target, code.as_deref(), after, limit))
            .await
    }

    async fn delivered(&self, wanted: DeliveredWanted) -> Result<DeliveredPage, StoreError> {
        self.read_for_people(move |connection| replay::delivered(connection, &wanted)).await
    }

    async fn replay_delivered(&self, replay: NewReplay) -> Result<bool, StoreError> {
        self.writer.write(move |tx| replay::replay(tx, &replay)).await
    }

    async fn replay_shown(&self, digest: Digest) -> Result<Option<ReplayView>, StoreError> {
        self.read_for_people(move |connection| replay::shown(connection, digest)).await
    }

    async fn replays(&self, after: u64, limit: u32) -> Result<Vec<ReplayView>, StoreError> {
        self.read_for_people(move |connection| replay::list(connection, after, limit)).await
    }

    async fn exceptions_wanted(&self, wanted: ExceptionsWanted) -> Result<Vec<ExceptionView>, StoreError> {
        self.read_for_people(move |connection| exception::list(connection, &wanted)).await
    }

    async fn exception(&self, exception: u64) -> Result<Option<ExceptionTrail>, StoreError> {
        self.read_for_people(move |connection| exception::trail(connection, exception)).await
    }

    async fn weighed(&self, period: Period) -> Result<BTreeMap<WeighedProposal, u64>, StoreError> {
        self.read_for_people(move |connection| oversight::weighed_in(connection, period)).await
    }

    async fn judged_holds(&self, after: After, until: Instant, limit: u32) -> Result<Vec<JudgedHold>, StoreError> {
        self.read_for_people(move |connection| oversight::judged(connection, after, until, limit)).await
    }

    async fn steps_taken(&self, after: After, until: Instant, limit: u32) -> Result<Vec<StepTaken>, StoreError> {
        self.read_for_people(move |connection| oversight::steps_taken(connection, after, until, limit)).await
    }

    async fn measured_orders(
        &self,
        after: After,
        until: Instant,
        limit: u32,
    ) -> Result<Vec<MeasuredOrder>, StoreError> {
        self.read_for_people(move |connection| measure::orders(connection, after, until, limit)).await
    }

    async fn operation_leaves(
        &self,
        after: After,
        until: Instant,
        limit: u32,
    ) -> Result<Vec<OperationLeaf>, StoreError> {
        self.read_for_people(move |connection| operation::leaves(connection, after, until, limit)).await
    }

    async fn parts(&self) -> Result<Vec<PartView>, StoreError> {
        self.read_for_people(operation::parts).await
    }

    async fn due_exceptions(&self, at: Instant, limit: u32) -> Result<Vec<ExceptionView>, StoreError> {
        self.read_for_people(move |connection| exception::due(connection, at, limit)).await
    }

    async fn expired_proposals(&self, at: Instant, limit: u32) -> Result<Vec<u64>, StoreError> {
        self.read_for_people(move |connection| exception::with_expired_proposals(connection, at, limit)).await
    }

    async fn paused_plugins(&self, after: u64, limit: u32) -> Result<Vec<(ExceptionView, PauseAbout)>, StoreError> {
        self.read_for_people(move |connection| pause::open(connection, after, limit)).await
    }

    async fn input_sender(&self, input: InputId) -> Result<Option<(ChannelId, SenderId)>, StoreError> {
        self.read_for_people(move |connection| exception::input_sender(connection, input)).await
    }

    async fn begin_notices(&self, subscribers: Vec<String>) -> Result<(), StoreError> {
        self.writer.write(move |tx| notice::begin(tx, &subscribers)).await
    }

    async fn notice_place(&self, subscriber: &str) -> Result<Option<NoticePlace>, StoreError> {
        let subscriber = subscriber.to_owned();
        self.read_for_people(move |connection| notice::place(connection, &subscriber)).await
    }

    async fn happenings(&self, after: NoticePlace, limit: u32) -> Result<Vec<Happening>, StoreError> {
        self.read_for_people(move |connection| notice::happenings(connection, after, limit)).await
    }

    async fn move_notices(&self, subscriber: &str, from: NoticePlace, to: NoticePlace) -> Result<bool, StoreError> {
        let subscriber = subscriber.to_owned();
        self.writer.write(move |tx| notice::advance(tx, &subscriber, from, to)).await
    }

    async fn step_exception(&self, step: NewStep) -> Result<(), StoreError> {
        self.writer.write(move |tx| exception::step(tx, &step)).await
    }

    async fn next_due(&self) -> Result<Option<Instant>, StoreError> {
        self.next_due_without(BTreeSet::new()).await
    }

    async fn next_due_without(&self, targets: BTreeSet<String>) -> Result<Option<Instant>, StoreError> {
        self.read(move |connection| rows::next_due(connection, &targets)).await
    }

    async fn waits_since_gone(&self, target: &str) -> Result<bool, StoreError> {
        let target = target.to_owned();
        self.read(move |connection| rows::waits_since_gone(connection, &target)).await
    }

    async fn payload(&self, kept: PayloadRef) -> Result<Vec<u8>, StoreError> {
        self.read(move |connection| rows::payload(connection, kept)).await.map(|(bytes, _)| bytes)
    }

    async fn payloads(&self, kept: Vec<PayloadRef>) -> Result<Vec<Result<OpenPayload, StoreError>>, StoreError> {
        self.read(move |connection| Ok(kept.iter().map(|one| rows::payload(connection, *one)).collect())).await
    }

    async fn payloads_about(&self, subject: Digest) -> Result<Vec<PayloadRef>, StoreError> {
        self.read_for_people(move |connection| rows::payloads_about(connection, subject)).await
    }

    async fn kept_inputs(
        &self,
        before: Instant,
        after: Option<(Instant, InputId)>,
        limit: u32,
    ) -> Result<Vec<KeptInput>, StoreError> {
        self.read(move |connection| retention::kept_inputs(connection, before, after, limit)).await
    }

    async fn forget(
        &self,
        inputs: Vec<InputId>,
        before: Instant,
        at: Instant,
        leaf: Leaf,
    ) -> Result<Option<Forgotten>, StoreError> {
        self.writer.write(move |tx| retention::forget(tx, &inputs, before, at, &leaf)).await
    }

    async fn state(&self, plugin: &PluginName, order: OrderId) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let plugin = plugin.clone();
        self.read(move |connection| rows::state(connection, &plugin, order)).await
    }

    async fn unsequenced(&self, limit: u32) -> Result<Vec<UnsequencedLeaf>, StoreError> {
        self.read(move |connection| rows::unsequenced(connection, limit)).await
    }

    async fn tree_head(&self) -> Result<Option<TreeHead>, StoreError> {
        self.read(rows::tree_head).await
    }

    async fn append_sequenced(
        &self,
        expected_size: u64,
        leaves: Vec<Digest>,
        head: TreeHead,
    ) -> Result<bool, StoreError> {
        self.writer.write(move |tx| rows::append_sequenced(tx, expected_size, &leaves, &head)).await
    }

    async fn sequenced(&self, from: u64, limit: u32) -> Result<Vec<(u64, Digest, Vec<u8>)>, StoreError> {
        self.read_for_people(move |connection| rows::sequenced(connection, from, limit)).await
    }

    async fn leaf_index(&self, id: Digest) -> Result<Option<u64>, StoreError> {
        self.read_for_people(move |connection| rows::leaf_index(connection, id)).await
    }

    async fn summary(&self) -> Result<Summary, StoreError> {
        self.read_for_people(counts::summary).await
    }

    async fn orders(&self, after: DocumentPosition, limit: u32) -> Result<Vec<OrderView>, StoreError> {
        self.read_for_people(move |connection| rows::orders(connection, after, limit)).await
    }

    async fn order_standings(&self, ids: Vec<OrderId>) -> Result<Vec<OrderStanding>, StoreError> {
        let numbers = Arc::clone(&self.numbers);
        let standing = move |connection: &_, id: &OrderId| order_event::standing(connection, *id, &numbers);
        self.read(move |connection| ids.iter().map(|id| standing(connection, id)).collect()).await
    }

    async fn item_standings(&self, ids: Vec<ItemId>) -> Result<Vec<Option<ItemStanding>>, StoreError> {
        self.read(move |connection| ids.iter().map(|id| level::standing(connection, *id)).collect()).await
    }

    async fn orders_named(&self, names: Vec<OrderName>) -> Result<Vec<Vec<OrderId>>, StoreError> {
        self.read(move |connection| names.iter().map(|name| order_event::named(connection, name)).collect()).await
    }

    async fn order_origin(&self, order: OrderId) -> Result<Option<OrderOrigin>, StoreError> {
        let numbers = Arc::clone(&self.numbers);
        self.read(move |connection| order_event::origin(connection, order, &numbers)).await
    }

    async fn order_events(&self, order: OrderId, after: u64, limit: u32) -> Result<Vec<OrderEventView>, StoreError> {
        self.read_for_people(move |connection| order_event::after(connection, order, after, limit)).await
    }

    async fn early_events(&self, order: OrderId) -> Result<Vec<EarlyEvent>, StoreError> {
        self.read(move |connection| progress::early(connection, order)).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<OrderView>, StoreError> {
        self.read_for_people(move |connection| rows::order(connection, id)).await
    }

    async fn orders_numbered(&self, number: &str, limit: u32) -> Result<Vec<OrderView>, StoreError> {
        let number = number.to_owned();
        self.read_for_people(move |connection| trail::orders_numbered(connection, &number, limit)).await
    }

    async fn orders_in(
        &self,
        state: OrderState,
        after: DocumentPosition,
        limit: u32,
    ) -> Result<Vec<OrderView>, StoreError> {
        self.read_for_people(move |connection| trail::orders_in(connection, state, after, limit)).await
    }

    async fn order_trail(&self, id: OrderId) -> Result<Option<OrderTrail>, StoreError> {
        let numbers = Arc::clone(&self.numbers);
        self.read_for_people(move |connection| trail::order_trail(connection, id, &numbers)).await
    }

    async fn input_documents(&self, input: InputId, limit: u32) -> Result<Vec<DocumentView>, StoreError> {
        self.read(move |connection| trail::input_documents(connection, input, limit)).await
    }

    async fn document_received(&self, document: DocumentPosition) -> Result<Option<(ChannelId, Instant)>, StoreError> {
        self.read(move |connection| trail::document_received(connection, document)).await
    }

    async fn exceptions_after(&self, after: u64, limit: u32) -> Result<Vec<ExceptionView>, StoreError> {
        self.read_for_people(move |connection| exception::all(connection, after, limit)).await
    }

    async fn exceptions(&self, limit: u32) -> Result<Vec<ExceptionView>, StoreError> {
        self.read_for_people(move |connection| exception::all(connection, 0, limit)).await
    }

    async fn decision_fingerprints(
        &self,
        after: DocumentPosition,
        limit: u32,
    ) -> Result<Vec<(DocumentPosition, Digest)>, StoreError> {
        self.read_for_people(move |connection| rows::decision_fingerprints(connection, after, limit)).await
    }

    async fn change_person(&self, change: NewPersonChange) -> Result<(), StoreError> {
        self.writer.write(move |tx| person::change(tx, &change)).await
    }

    async fn credential_used(&self, credential: Digest, at: Instant) -> Result<(), StoreError> {
        self.writer.write(move |tx| person::used(tx, credential, at)).await
    }

    async fn person(&self, name: &PersonName) -> Result<Option<Person>, StoreError> {
        let name = name.clone();
        self.read_for_people(move |connection| person::one(connection, &name)).await
    }

    async fn people(&self, after: Option<&PersonName>, limit: u32) -> Result<Vec<PersonView>, StoreError> {
        let after = after.map(|name| name.as_str().to_owned());
        self.read_for_people(move |connection| person::list(connection, after.as_deref(), limit)).await
    }

    async fn presented(&self, credential: Digest) -> Result<Option<Presented>, StoreError> {
        self.read_for_people(move |connection| person::presented(connection, credential)).await
    }
}
