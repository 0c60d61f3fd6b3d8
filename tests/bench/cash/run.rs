//! One run: all orders, from the first post until every system has what it gets.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::report::{Report, write};
use crate::road::{self, Road};
use crate::role::{Role, numbers};
use crate::standins::{Books, StandIns};
use crate::{Options, load};

/// A run that takes longer than this is stuck.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Where the store is in the folder of a run.
const STORE: &str = "data/store/portreeve.db";

/// A host in a folder of its own, with the systems around it.
pub(crate) struct Session {
    folder: TempDir,
    road: Road,
    /// Orders of earlier runs in its store, of which the systems around it know nothing.
    pub(crate) before: u32,
    pub(crate) standins: StandIns,
    pub(crate) host: Role,
    pub(crate) address: String,
}

impl Session {
    /// Starts everything; the host in one of its roles.
    pub(crate) fn start(role: &'static str, road: Road) -> anyhow::Result<Self> {
        Self::around(role, road, false, None)
    }

    /// The same, with one system whose port can be closed.
    pub(crate) fn with_an_outage(road: Road) -> anyhow::Result<Self> {
        Self::around("host", road, true, None)
    }

    /// The same, stage by stage, with a store that stays where it is, and goes on with what it has.
    pub(crate) fn with_a_store(store: Option<&Path>, road: Road) -> anyhow::Result<Self> {
        Self::around("stages", road, false, store)
    }

    fn around(role: &'static str, road: Road, may_close: bool, store: Option<&Path>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let (standins, origins) = StandIns::start(may_close)?;
        let before = match store {
            Some(store) => {
                for part in ["data", "state"] {
                    std::fs::create_dir_all(store.join(part))?;
                    std::os::unix::fs::symlink(std::path::absolute(store.join(part))?, folder.path().join(part))?;
                }
                orders_in(&folder.path().join(STORE))?
            }
            None => 0,
        };
        road::write(folder.path(), &origins, road, before)?;
        let path = folder.path().to_str().context("the temporary folder's name is no text")?.to_owned();
        let mut host = Role::host(role, path)?;
        let address = host.line()?;
        Ok(Self { folder, road, before, standins, host, address })
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join(STORE)
    }

    /// What the books say when all orders of the store, of which there are so many, went the whole way.
    pub(crate) fn all_books(&self, orders: u32) -> Books {
        Books::all_of(orders - self.before, self.road)
    }

    /// Waits until the books say something.
    pub(crate) fn until(&mut self, every: Duration, done: impl Fn(Books) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let books = self.standins.books()?;
            if done(books) {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "{books:?} after {} s", PATIENCE.as_secs());
            std::thread::sleep(every);
        }
    }

    /// Check: every order went to the end of its road once, nobody has to look at any, and the log verifies.
    /// Returns how many entries that has.
    pub(crate) fn proved(&mut self, orders: u32) -> anyhow::Result<f64> {
        let books = self.standins.books()?;
        ensure!(
            books == Books::all_of(orders, self.road),
            "{books:?} of {orders} orders: something was lost, doubled or out of turn"
        );
        self.standins.judged()?;
        let [held] = numbers(&self.host.ask("settled")?)?;
        ensure!(held == 0.0, "{held} orders were held");
        let [entries] = numbers(&self.host.ask("verify")?)?;
        Ok(entries)
    }

    pub(crate) fn stop(self) -> anyhow::Result<TempDir> {
        self.host.stop()?;
        self.standins.0.stop()?;
        Ok(self.folder)
    }
}

/// Orders in a store, if there is one. What a run left that was broken off would be told to this one's systems.
fn orders_in(store: &Path) -> anyhow::Result<u32> {
    if !store.exists() {
        return Ok(0);
    }
    let store = rusqlite::Connection::open_with_flags(store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let left = "SELECT EXISTS (SELECT 1 FROM document WHERE state = 'undecided')
                       OR EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_line WHERE bars)";
    ensure!(
        !store.query_row(left, [], |row| row.get::<_, bool>(0))?,
        "the run that grew the store was broken off, and orders of it are under way; begin with another folder"
    );
    Ok(store.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?)
}

/// What the processes said of a run.
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) acknowledged: Duration,
    /// What the load generator said.
    pub(crate) sent: String,
    pub(crate) idle: String,
    pub(crate) busy: String,
    pub(crate) standins_cpu_us: f64,
    pub(crate) entries: f64,
}

/// Runs it and prints it.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let (orders, road) = (options.orders, options.road);
    let mut session = Session::start("host", road)?;
    let address = session.address.clone();
    session.standins.told(&format!("work {address}"))?;
    let idle = session.host.ask("usage")?;
    let standins_idle_us = session.standins.0.cpu_us()?;

    let began = Instant::now();
    let mut load = load::start(&address, 0, orders, load::Shape { per_second: 0, ..options.load })?;
    let sent = load.line()?;
    let acknowledged = began.elapsed();
    session.until(Duration::from_millis(100), |books| books.are_whole(orders, road))?;
    // The last receipts.
    session.host.ask("settled")?;
    let elapsed = began.elapsed();
    let busy = session.host.ask("usage")?;
    let standins_cpu_us = session.standins.0.cpu_us()? - standins_idle_us;
    load.stop()?;
    let entries = session.proved(orders)?;
    let store = session.store();
    let folder = session.stop()?;

    let measured = Measured { elapsed, acknowledged, sent, idle, busy, standins_cpu_us, entries };
    let report = Report::of(options, &measured, &store)?;
    drop(folder);
    write(options, report.json(), report.table())
}
