//! How many events of order to cash a host carries in a second, what each stage of that costs, and
//! what an outage of one destination does to the others.
//!
//! ```text
//! cargo bench -p portreeve-bench --bench cash                          10,000 orders, a table
//! cargo bench -p portreeve-bench --bench cash -- --json                one JSON object
//! … -- --road short                         the same without what comes after the goods
//! … -- --orders 100000 --per-input 20 --senders 8
//! … -- --orders 100000 --rounds 10          CPU by stage, round by round, on the short road
//! … -- --road whole --orders 50000 --rounds 5    the same on the whole one
//! … -- --orders 100000 --rounds 10 --pairs 5    then rounds over that store and a new one in turn
//! … -- --orders 2000 --rounds 1 --pairs 30 --store FOLDER    the same over the store of an earlier run
//! … -- --outage                             10,000 orders with and without an outage
//! … -- --outage --orders 10000 --per-second 100
//! ```
//!
//! ```text
//! 850 ──▶ order.created ──▶ ERP books it ──▶ order.accepted ─┬▶ the warehouse gets it
//!                           (its receipt says so)            └▶ the customer gets an 855
//! the warehouse ──▶ inventory.allocated, shipment.picked, packed, dispatched, confirmed
//!                                                     ├▶ the customer gets an 856
//!                                                     └▶ the ERP ships and invoices what left
//! the ERP, when it is asked what it posted ──▶ invoice.posted ─┬▶ the tax service gets it, committed
//!                                                              └▶ the customer gets an 810
//! the customer pays ──▶ payment.settled, by the processor's signed webhook: the order is `settled`
//! each of the nine events ──▶ the feed's subscriber hears it as a CloudEvent
//! ```
//!
//! So an order is twenty-five events: nine that come in (the order, the ERP's word, five of the
//! warehouse, the invoice and the payment), seven deliveries to systems and customers, and nine to the
//! feed's subscriber, each durable with its audit record, and each over HTTP.
//!
//! With `--road short` the road ends where the goods left, nobody is told of invoices, and there is no
//! feed; a demand plan, which is another ERP, gets two messages of each order: it books it with the
//! warehouse's release, and takes it out when it left. An order is eleven events there: seven that
//! come in, and the four deliveries to ERP, warehouse and plan.
//!
//! Each is a process of its own: the load generator, the host, which does everything that `serve`
//! does, and the stand-ins of all systems. The warehouse's stand-in takes each release a step on
//! every few milliseconds and posts what it says as it would by webhook, and customers pay what their
//! 810 says; that CPU is the stand-ins'. The clock runs from the first post until all that there is to
//! do is done.
//!
//! With `--rounds` the stages run one after the other, so that the host's CPU of each is its own, what
//! the ERP is asked for counted with what comes in; the store grows from round to round, and the last
//! round is to cost what the first one did, by a ruler that the machine is measured with beside it.
//! They take the short road unless it is said: a million orders of it are 60 GB. With `--store` the store
//! that grows lies in a folder of its own and stays there, and a later run goes on with what it has.
//!
//! With `--outage` orders come at a pace that the host is not busy with, three times, each time into a
//! new folder. The second time one system's port is closed from the first order on, until the others
//! have all they get: the subscriber's, or the demand plan's on the short road. Then it is opened
//! again. What is usual is the mean of the runs before and after.
//!
//! Each run ends with the systems' own books (each order booked, released, shipped, invoiced, taxed,
//! told to its customer and paid once, and paid as it was invoiced, each event told once, or the order
//! taken out of the plan), with every order at the end of its road, with no exception, and with an
//! audit log that verifies.

mod customers;
mod finance;
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

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};

use self::road::Road;

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
    pub(crate) road: Road,
    pub(crate) orders: u32,
    pub(crate) load: load::Shape,
    /// Rounds of stages.
    pub(crate) rounds: Option<u32>,
    /// Rounds over the grown store and a new one in turn, behind those.
    pub(crate) pairs: u32,
    /// Where the store that grows lies, if it is to stay.
    pub(crate) store: Option<PathBuf>,
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
            road: Road::Whole,
            orders: ORDERS,
            load,
            rounds: None,
            pairs: 0,
            store: None,
            outage: false,
            role: None,
            rest: Vec::new(),
        };
        let mut road = None;
        while let Some(argument) = arguments.next() {
            let mut number = || -> anyhow::Result<u32> {
                let text = arguments.next().with_context(|| format!("`{argument}` needs a number"))?;
                let number = text.parse().with_context(|| format!("`{text}` is no number"))?;
                ensure!(number > 0, "`{argument}` needs a number above 0");
                Ok(number)
            };
            match argument.as_str() {
                "--json" => options.json = true,
                "--road" => {
                    let word = arguments.next().context("`--road` needs a road; expected short or whole")?;
                    road = Some(Road::parse(&word)?);
                }
                "--orders" => options.orders = number()?,
                "--per-input" => options.load.per_input = number()?,
                "--senders" => options.load.senders = number()?,
                "--per-second" => options.load.per_second = number()?,
                "--rounds" => options.rounds = Some(number()?),
                "--pairs" => options.pairs = number()?,
                "--store" => {
                    options.store = Some(arguments.next().context("`--store` needs a folder")?.into());
                }
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
                        "`{other}` is unknown; expected --json, --road short|whole, --orders N, --per-input N, --senders N, --rounds N, --pairs N, --store FOLDER, --outage or --per-second N"
                    )
                }
            }
        }
        // A million orders of the whole road are more than the disk of such a machine holds.
        options.road = road.unwrap_or(if options.rounds.is_some() { Road::Short } else { Road::Whole });
        ensure!(options.pairs == 0 || options.rounds.is_some(), "`--pairs N` comes behind `--rounds N`");
        // The ERP of another run would give its numbers a second time, by which invoices find their orders.
        ensure!(
            options.store.is_none() || (options.rounds.is_some() && options.road == Road::Short),
            "`--store FOLDER` comes with `--rounds N` on the short road"
        );
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
        Some("standins") => runtime.block_on(standins::run(&options.rest)),
        Some("init") => runtime.block_on(host::init(&options.rest)),
        Some("host") => runtime.block_on(host::run(&options.rest)),
        Some("stages") => runtime.block_on(host::stages(&options.rest)),
        Some("load") => runtime.block_on(load::run(&options.rest)),
        Some(other) => bail!("there is no role `{other}`"),
    }
}
