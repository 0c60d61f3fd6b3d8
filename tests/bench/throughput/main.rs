//! How many orders a host takes, decides, delivers and proves in a second.
//!
//! ```text
//! cargo bench -p portreeve-bench --bench throughput                    20,000 orders, a table
//! cargo bench -p portreeve-bench --bench throughput -- --json          one JSON object
//! … -- --orders 300000 --per-input 20 --senders 8
//! … -- --orders 300000 --rounds 10                         CPU by stage, round by round
//! … -- --advised-every 20                                  a model wants something about each 20th
//! … -- --advised-every 20 --without-budgets                the same orders, no grant and no credit
//! ```
//!
//! Three processes, so that each one's CPU is its own: the load generator posts X12
//! interchanges to the host's front door, the host does everything that `serve`
//! does, and the ERP stand-in books sales orders. The parent only watches. An order
//! counts when the stand-in has booked it and its receipt is committed with its
//! record. The clock runs from the first post to the last receipt.
//!
//! With `--rounds` the stages run one after the other instead of side by side, so that
//! the host's CPU of each is its own; the store grows from round to round, and the last
//! round is to cost what the first one did.
//!
//! The grants are the demo's. An order that a model wants to keep has a line below the floor
//! of its item: the grant lets the first ones of the hour be held, and the rest goes on when
//! its budget is spent. Held orders count as settled when they are decided.
//!
//! Every sent order is checked: as many sales orders as orders that are not held, none twice, and the
//! audit log verifies.

mod erp;
mod host;
mod load;
mod report;
#[path = "../role.rs"]
mod role;

mod setup;
mod stages;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use self::role::Role;

/// Orders of a full run.
const ORDERS: u32 = 20_000;
/// Orders in one interchange: a partner's batch.
const PER_INPUT: u32 = 20;
/// A run that takes longer than this is stuck.
const PATIENCE: Duration = Duration::from_secs(900);
/// Connections of the load generator.
const SENDERS: u32 = 8;

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) json: bool,
    pub(crate) orders: u32,
    pub(crate) per_input: u32,
    pub(crate) senders: u32,
    /// A model wants something about each so many-th order; 0 is none.
    pub(crate) advised_every: u32,
    /// Without grants and without credit.
    pub(crate) without_budgets: bool,
    /// Rounds of stages; none measures the throughput.
    pub(crate) rounds: Option<u32>,
    role: Option<String>,
    rest: Vec<String>,
}

impl Options {
    pub(crate) fn load(&self) -> load::Shape {
        let Self { per_input, senders, advised_every, .. } = *self;
        load::Shape { per_input, senders, advised_every, lines: 2, per_second: 0 }
    }

    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self {
            json: false,
            orders: ORDERS,
            per_input: PER_INPUT,
            senders: SENDERS,
            advised_every: 0,
            without_budgets: false,
            rounds: None,
            role: None,
            rest: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut number = || -> anyhow::Result<u32> {
                let text = arguments.next().with_context(|| format!("`{argument}` needs a number"))?;
                let number = text.parse().with_context(|| format!("`{text}` is no number"))?;
                ensure!(number > 0, "`{argument}` needs a number above 0");
                Ok(number)
            };
            match argument.as_str() {
                "--json" => options.json = true,
                "--orders" => options.orders = number()?,
                "--per-input" => options.per_input = number()?,
                "--senders" => options.senders = number()?,
                "--advised-every" => options.advised_every = number()?,
                "--without-budgets" => options.without_budgets = true,
                "--rounds" => options.rounds = Some(number()?),
                "--role" => {
                    options.role = arguments.next();
                    options.rest = arguments.collect();
                    break;
                }
                // Cargo says so to every benchmark.
                "--bench" => {}
                other => {
                    bail!(
                        "`{other}` is unknown; expected --json, --orders N, --per-input N, --senders N, --advised-every N, --without-budgets or --rounds N"
                    )
                }
            }
        }
        Ok(options)
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match options.role.as_deref() {
        None if options.rounds.is_some() => stages::measure(&options),
        None => measure(&options),
        Some("erp") => runtime.block_on(erp::run()),
        Some("init") => runtime.block_on(host::init(&options.rest)),
        Some("host") => runtime.block_on(host::run(&options.rest)),
        Some("stages") => runtime.block_on(host::stages(&options.rest)),
        Some("load") => runtime.block_on(load::run(&options.rest)),
        Some(other) => bail!("there is no role `{other}`"),
    }
}

fn measure(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let mut erp = Role::start("erp", &[])?;
    let origin = erp.line()?;
    let path = folder.path().to_str().context("the temporary folder's name is no text")?.to_owned();
    setup::write(folder.path(), &origin, options.without_budgets)?;
    let mut host = Role::host("host", path)?;
    let address = host.line()?;

    let idle = host.ask("usage")?;
    let began = Instant::now();
    let orders = options.orders;
    let mut load = load::start(&address, 0, orders, options.load())?;
    let sent = load.line()?;
    let acknowledged = began.elapsed();
    // All but those that may be held.
    let surely =
        orders - orders.checked_div(options.advised_every).map_or(0, |advised| advised.saturating_add(1)).min(orders);
    loop {
        let booked: u32 = erp.ask("count")?.parse()?;
        if booked >= surely {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "{booked} of {surely} orders arrived in {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
    // The last decisions and receipts.
    let held = host.ask("settled")?;
    let elapsed = began.elapsed();
    let busy = host.ask("usage")?;
    let erp_usage = erp.ask("usage")?;
    let proof = host.ask("verify")?;
    let booked = erp.ask("count")?;
    host.stop()?;
    erp.stop()?;
    load.stop()?;

    let report = report::Report::of(
        options,
        &report::Measured {
            elapsed,
            acknowledged,
            sent,
            idle,
            busy,
            erp: erp_usage,
            proof,
            booked,
            held,
            store: folder.path().join("data/store/portreeve.db"),
        },
    )?;
    let mut out = std::io::stdout().lock();
    if options.json { writeln!(out, "{}", report.json()) } else { write!(out, "{}", report.table()) }
        .context("failed to write the report")
}
