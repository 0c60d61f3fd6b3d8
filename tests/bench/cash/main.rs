//! How many events of order to cash a host carries in a second, what each stage of that costs, and
//! what an outage of one destination does to the others.
//!
//! ```text
//! cargo bench -p portreeve-bench --bench cash                          10,000 orders, a table
//! cargo bench -p portreeve-bench --bench cash -- --json                one JSON object
//! … -- --orders 100000 --per-input 20 --senders 8
//! … -- --orders 100000 --rounds 10          CPU by stage, round by round
//! … -- --orders 100000 --rounds 10 --pairs 5    then rounds over that store and a new one in turn
//! … -- --outage                             10,000 orders with and without an outage
//! … -- --outage --orders 10000 --per-second 100
//! ```
//!
//! ```text
//! 850 ──▶ order.created ──▶ ERP books it ──▶ order.accepted ─┬▶ the warehouse gets it
//!                           (its receipt says so)            └▶ the demand plan books it
//! the warehouse ──▶ inventory.allocated, shipment.picked, packed, dispatched, confirmed
//!                                                     └▶ the demand plan takes it out
//! ```
//!
//! So an order is eleven events: seven that come in (the order, the ERP's word, and five of the
//! warehouse) and four deliveries, each durable with its audit record. The demand plan is another
//! ERP, and gets two messages of each order: taking out comes after booking, or finds nothing.
//!
//! Each is a process of its own: the load generator, the host, which does everything that `serve`
//! does, and the stand-ins of the three systems. The warehouse's stand-in takes each release a
//! step on every few milliseconds and posts what it says as it would by webhook; its CPU is the
//! stand-ins'. The clock runs from the first post until all that there is to do is done.
//!
//! With `--rounds` the stages run one after the other, so that the host's CPU of each is its own;
//! the store grows from round to round, and the last round is to cost what the first one did, by a
//! ruler that the machine is measured with beside it.
//!
//! With `--outage` orders come at a pace that the host is not busy with, twice, each time into a
//! new folder. The second time the demand plan's port is closed from the first order on, until
//! the other systems have all they get. Then it is opened again.
//!
//! Each run ends with the systems' own books (each order booked, released, shipped and taken out
//! once), with no exception, and with an audit log that verifies.

#[path = "../throughput/host.rs"]
mod host;
#[path = "../throughput/load.rs"]
mod load;
mod outage;
mod report;
mod road;
#[path = "../role.rs"]
mod role;
mod run;
#[path = "../throughput/setup.rs"]
mod setup;
mod stages;
mod standins;

use anyhow::{Context, bail, ensure};

/// Orders of a full run.
const ORDERS: u32 = 10_000;
/// Orders in one interchange: a partner's batch.
const PER_INPUT: u32 = 20;
/// Connections of the load generator.
const SENDERS: u32 = 8;
/// Orders in a second beside an outage: a pace at which nobody waits for the host.
const PER_SECOND: u32 = 100;

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) json: bool,
    pub(crate) orders: u32,
    pub(crate) load: load::Shape,
    /// Rounds of stages.
    pub(crate) rounds: Option<u32>,
    /// Rounds over the grown store and a new one in turn, behind those.
    pub(crate) pairs: u32,
    pub(crate) outage: bool,
    role: Option<String>,
    rest: Vec<String>,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        // One line for each order: the stand-ins keep a million of them.
        let load =
            load::Shape { per_input: PER_INPUT, senders: SENDERS, advised_every: 0, lines: 1, per_second: PER_SECOND };
        let mut options = Self {
            json: false,
            orders: ORDERS,
            load,
            rounds: None,
            pairs: 0,
            outage: false,
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
                "--per-input" => options.load.per_input = number()?,
                "--senders" => options.load.senders = number()?,
                "--per-second" => options.load.per_second = number()?,
                "--rounds" => options.rounds = Some(number()?),
                "--pairs" => options.pairs = number()?,
                "--outage" => options.outage = true,
                "--role" => {
                    options.role = arguments.next();
                    options.rest = arguments.collect();
                    break;
                }
                // Cargo says so to every benchmark.
                "--bench" => {}
                other => {
                    bail!(
                        "`{other}` is unknown; expected --json, --orders N, --per-input N, --senders N, --rounds N, --pairs N, --outage or --per-second N"
                    )
                }
            }
        }
        ensure!(options.pairs == 0 || options.rounds.is_some(), "`--pairs N` comes behind `--rounds N`");
        Ok(options)
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match options.role.as_deref() {
        None if options.rounds.is_some() => stages::measure(&options),
        None if options.outage => outage::measure(&options),
        None => run::measure(&options),
        Some("standins") => runtime.block_on(standins::run()),
        Some("init") => runtime.block_on(host::init(&options.rest)),
        Some("host") => runtime.block_on(host::run(&options.rest)),
        Some("stages") => runtime.block_on(host::stages(&options.rest)),
        Some("load") => runtime.block_on(load::run(&options.rest)),
        Some(other) => bail!("there is no role `{other}`"),
    }
}
