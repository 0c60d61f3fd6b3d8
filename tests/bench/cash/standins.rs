//! The systems around the host, as one process: an ERP, a warehouse, a tax service, customers with
//! their payment processor, a demand plan and a subscriber of the event feed. For an outage the last
//! two stand behind ports that can be closed and opened.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use portreeve::clock::SystemClock;
use portreeve::standins::tax::TaxTransaction;
use portreeve::standins::wms::NODE;
use portreeve::standins::{Erp, Mischief, Subscriber, TaxStatus, Taxes, Wms};
use portreeve_model::value::Decimal;
use portreeve_pipeline::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::customers::{Customers, Heard};
use crate::finance::FEED_SECRET;
use crate::load::{Post, Seen, connect, send};
use crate::road::{Road, WAREHOUSE_TOKEN};
use crate::role::{Role, answer, numbers, questions, usage};

/// What the load generator orders.
const SKU: &str = "FST-1007";

/// More than anybody orders.
const STOCK: i64 = 1_000_000_000;

/// What the warehouse says in one request.
const SAID_AT_ONCE: usize = 32;

/// Requests that the warehouse makes side by side.
const CONNECTIONS: usize = 4;

/// The warehouse takes each release a step on so often, and so often customers look what they owe.
const STEP_EVERY: Duration = Duration::from_millis(10);

/// Where the systems are: scheme, host and port of each.
pub(crate) struct Origins {
    pub(crate) erp: String,
    pub(crate) warehouse: String,
    pub(crate) plan: String,
    pub(crate) taxes: String,
    pub(crate) customers: String,
    pub(crate) payments: String,
    pub(crate) feed: String,
}

/// What their books say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Books {
    /// Sales orders that the ERP ever booked.
    pub(crate) booked: u32,
    /// Sales orders that are not posted.
    pub(crate) open: u32,
    /// Releases in the warehouse.
    pub(crate) released: u32,
    /// Shipments that left.
    pub(crate) shipped: u32,
    /// Orders that the plan ever booked.
    pub(crate) planned: u32,
    /// Orders that are in the plan now.
    pub(crate) still_planned: u32,
    /// Invoices that the ERP posted.
    pub(crate) invoiced: u32,
    /// Tax transactions that are committed.
    pub(crate) taxed: u32,
    /// Orders of which customers heard that they are accepted, that they left, and what they cost.
    pub(crate) acknowledged: u32,
    pub(crate) announced: u32,
    pub(crate) charged: u32,
    /// Payments of which the host knows.
    pub(crate) paid: u32,
    /// Events that the feed's subscriber heard of.
    pub(crate) fed: u32,
}

impl Books {
    /// What they say when all of so many orders went to the end of the road, each once.
    pub(crate) fn all_of(orders: u32, road: Road) -> Self {
        let (open, planned, at_the_end) = match road {
            Road::Short => (orders, orders, 0),
            Road::Whole => (0, 0, orders),
        };
        Self {
            booked: orders,
            open,
            released: orders,
            shipped: orders,
            planned,
            still_planned: 0,
            invoiced: at_the_end,
            taxed: at_the_end,
            acknowledged: at_the_end,
            announced: at_the_end,
            charged: at_the_end,
            paid: at_the_end,
            fed: at_the_end * Road::Whole.that_goes_down().deliveries,
        }
    }

    /// Whether all systems have all of so many orders, the one that may be down apart.
    pub(crate) fn are_whole_but_for_one(self, orders: u32, road: Road) -> bool {
        let all = Self::all_of(orders, road);
        let has_all = self.grown().into_iter().zip(all.grown()).all(|(found, wanted)| found >= wanted);
        has_all && self.open <= all.open
    }

    /// Whether all systems have all of them.
    pub(crate) fn are_whole(self, orders: u32, road: Road) -> bool {
        let all = Self::all_of(orders, road);
        let has_plan = self.planned >= all.planned && self.still_planned == 0;
        self.are_whole_but_for_one(orders, road) && has_plan && self.fed >= all.fed
    }

    /// What the one that may be down has.
    pub(crate) fn of_the_one(self, road: Road) -> u32 {
        match road {
            Road::Short => self.planned,
            Road::Whole => self.fed,
        }
    }

    /// What becomes more with each order, the one that may be down apart.
    fn grown(self) -> [u32; 9] {
        let Self { booked, released, shipped, invoiced, taxed, acknowledged, announced, charged, paid, .. } = self;
        [booked, released, shipped, invoiced, taxed, acknowledged, announced, charged, paid]
    }
}

/// The process, from the benchmark's side.
pub(crate) struct StandIns(pub(crate) Role);

impl StandIns {
    /// Starts them. What stands behind a port that can be closed has a way more.
    pub(crate) fn start(may_close: bool) -> anyhow::Result<(Self, Origins)> {
        let arguments = if may_close { vec![MAY_CLOSE.to_owned()] } else { Vec::new() };
        let mut role = Role::start("standins", &arguments)?;
        let line = role.line()?;
        let [erp, warehouse, plan, taxes, customers, payments, feed] =
            line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().ok().context("seven origins")?;
        Ok((Self(role), Origins { erp, warehouse, plan, taxes, customers, payments, feed }))
    }

    pub(crate) fn books(&mut self) -> anyhow::Result<Books> {
        let [booked, open, planned, still_planned, rest @ ..] = numbers::<13>(&self.0.ask("books")?)?.map(count);
        let [released, shipped, invoiced, taxed, acknowledged, announced, charged, paid, fed] = rest;
        Ok(Books {
            booked,
            open,
            released,
            shipped,
            planned,
            still_planned,
            invoiced,
            taxed,
            acknowledged,
            announced,
            charged,
            paid,
            fed,
        })
    }

    /// Check: no order is in any book twice, and each was paid as it was invoiced.
    pub(crate) fn judged(&mut self) -> anyhow::Result<()> {
        let found = self.0.ask("judge")?;
        ensure!(found == RIGHT, "the systems' books: {found}");
        Ok(())
    }

    /// Has everything in the warehouse go a step on, and says how much it had to say.
    pub(crate) fn step(&mut self, host: &str) -> anyhow::Result<u32> {
        let [said] = numbers(&self.0.ask(&format!("step {host}"))?)?.map(count);
        Ok(said)
    }

    /// Has customers pay what they owe, and says how many invoices that were.
    pub(crate) fn pay(&mut self, host: &str) -> anyhow::Result<u32> {
        let [paid] = numbers(&self.0.ask(&format!("pay {host}"))?)?.map(count);
        Ok(paid)
    }

    /// Has the warehouse work and customers pay from now on, and what may be closed closed or open.
    pub(crate) fn told(&mut self, what: &str) -> anyhow::Result<()> {
        self.0.ask(what).map(drop)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count before")]
fn count(number: f64) -> u32 {
    number as u32
}

/// Has the plan and the subscriber stand behind ports that can be closed.
const MAY_CLOSE: &str = "may-close";

/// The answer of books in which nothing is wrong.
const RIGHT: &str = "right";

/// All of them.
struct Systems {
    erp: Erp,
    plan: Erp,
    warehouse: Wms,
    taxes: Taxes,
    customers: Arc<Customers>,
    feed: Subscriber,
}

impl Systems {
    async fn start() -> anyhow::Result<Self> {
        let erp = Erp::start(Mischief::default()).await?;
        // What it posts is fetched by when it was posted.
        erp.know_the_time(Arc::new(SystemClock));
        let warehouse = Wms::start(Mischief::default()).await?;
        warehouse.put(NODE, SKU, Decimal { units: STOCK, scale: 0 });
        Ok(Self {
            erp,
            plan: Erp::start(Mischief::default()).await?,
            warehouse,
            taxes: Taxes::start(Mischief::default()).await?,
            customers: Arc::new(Customers::start().await?),
            feed: Subscriber::start(FEED_SECRET, Mischief::default(), || SystemClock.now()).await?,
        })
    }

    /// The figures of [`Books`], as [`StandIns::books`] reads them.
    fn books(&self) -> anyhow::Result<String> {
        let Heard { told: [acknowledged, announced, charged], paid } = self.customers.heard()?;
        let figures = [
            self.erp.sales_orders_made(),
            self.erp.sales_order_count(),
            self.plan.sales_orders_made(),
            self.plan.sales_order_count(),
            self.warehouse.release_count(),
            self.warehouse.shipment_count(),
            self.erp.invoice_count(),
            self.taxes.count(TaxStatus::Committed),
            acknowledged,
            announced,
            charged,
            paid,
            self.feed.count(),
        ];
        Ok(figures.map(|figure| figure.to_string()).join(" "))
    }

    /// Check: each book has an order once, no transaction was written over, each payment is the
    /// invoice's, and no event was told twice.
    fn judge(&self) -> anyhow::Result<()> {
        let (invoices, payments) = (self.erp.invoices(), self.customers.payments());
        once("released", self.warehouse.releases().iter().map(|release| bare(&release.order_id)))?;
        once("shipped", self.warehouse.shipments().iter().map(|shipment| bare(&shipment.order_id)))?;
        once("invoiced", invoices.iter().map(|invoice| bare(&invoice.external_document_number)))?;
        once("paid", payments.iter().map(|payment| bare(&payment.order_id)))?;
        self.customers.were_told_once()?;
        let heard = self.feed.ledger();
        once("told", heard.iter().map(|heard| format!("{} of {}", heard.kind, heard.subject)))?;
        if let Some(again) = heard.iter().find(|heard| heard.times != 1) {
            bail!("{} of {} was told {} times", again.kind, again.subject, again.times);
        }
        let posted: BTreeMap<&str, Decimal> =
            invoices.iter().map(|invoice| (invoice.number.as_str(), invoice.total)).collect();
        for TaxTransaction { code, written, total_amount, .. } in self.taxes.transactions() {
            ensure!(written == 1, "the tax of {code} was written {written} times");
            let total = posted.get(code.as_str()).copied();
            ensure!(total == Some(total_amount), "{code} was taxed as {total_amount}, and posted as {total:?}");
        }
        let owed: BTreeMap<String, Decimal> =
            invoices.iter().map(|invoice| (bare(&invoice.external_document_number), invoice.total)).collect();
        for payment in payments {
            let paid = Decimal { units: payment.amount, scale: 2 };
            let owed = owed.get(&bare(&payment.order_id)).copied();
            ensure!(owed == Some(paid), "order {} was paid {paid}, invoiced {owed:?}", payment.order_id);
        }
        Ok(())
    }
}

/// Check: none of these orders is there twice.
fn once(what: &str, orders: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let mut known = BTreeSet::new();
    for order in orders {
        if let Some(twice) = known.replace(order) {
            bail!("order {twice} was {what} twice");
        }
    }
    Ok(())
}

/// An order as systems name it that keep no hyphens.
fn bare(order: &str) -> String {
    order.replace('-', "")
}

/// The process.
pub(crate) async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let systems = Arc::new(Systems::start().await?);
    // The plan, and the subscriber.
    let (mut lasts, mut gates) = ([systems.plan.origin(), systems.feed.origin()], Vec::new());
    if arguments.iter().any(|argument| argument == MAY_CLOSE) {
        for origin in &mut lasts {
            let gate = Gate::open(origin).await?;
            origin.clone_from(&gate.origin);
            gates.push(gate);
        }
    }
    let [plan, feed] = lasts;
    let [customers, payments] = systems.customers.origins();
    let (erp, warehouse, taxes) = (systems.erp.origin(), systems.warehouse.origin(), systems.taxes.origin());
    answer(&[&erp, &warehouse, &plan, &taxes, &customers, &payments, &feed].map(String::as_str).join(" "));
    let mut questions = questions();
    let mut working = JoinSet::new();
    while let Some(question) = questions.next_line().await? {
        match question.split_once(' ').unwrap_or((question.as_str(), "")) {
            ("usage", _) => answer(&usage()?),
            ("books", _) => answer(&systems.books()?),
            ("judge", _) => match systems.judge() {
                Ok(()) => answer(RIGHT),
                Err(wrong) => answer(&wrong.to_string()),
            },
            ("step", host) => answer(&say(&systems.warehouse, host.parse()?).await?.to_string()),
            ("pay", host) => answer(&systems.customers.pay(host.parse()?).await?.to_string()),
            ("work", host) => {
                let host: SocketAddr = host.parse()?;
                let at_work = Arc::clone(&systems);
                working.spawn(async move {
                    loop {
                        if let Err(error) = say(&at_work.warehouse, host).await {
                            return error;
                        }
                        tokio::time::sleep(STEP_EVERY).await;
                    }
                });
                let paying = Arc::clone(&systems.customers);
                working.spawn(async move {
                    loop {
                        if let Err(error) = paying.pay(host).await {
                            return error;
                        }
                        tokio::time::sleep(STEP_EVERY).await;
                    }
                });
                answer("working");
            }
            ("close", _) => {
                for gate in &gates {
                    gate.is_open.send_replace(false);
                }
                answer("closed");
            }
            ("open", _) => {
                for gate in &gates {
                    gate.is_open.send_replace(true);
                }
                answer("opened");
            }
            (other, _) => bail!("the stand-ins have no answer to `{other}`"),
        }
        // What the warehouse or the processor could not say would be waited for in vain.
        if let Some(failed) = working.try_join_next() {
            return Err(failed?);
        }
    }
    Ok(())
}

/// Has everything in the warehouse go a step on, and posts what it says, all of it before the
/// next step: what comes of an order comes in its order.
async fn say(wms: &Wms, host: SocketAddr) -> anyhow::Result<usize> {
    let said = wms.work()?;
    let mut posting = JoinSet::new();
    let lists: Vec<Bytes> = said.chunks(SAID_AT_ONCE).map(|bodies| format!("[{}]", bodies.join(",")).into()).collect();
    for lists in lists.chunks(lists.len().div_ceil(CONNECTIONS).max(1)) {
        let lists = lists.to_vec();
        posting.spawn(async move {
            let bearer = format!("Bearer {WAREHOUSE_TOKEN}");
            let proof = ("authorization", bearer.as_str());
            let post = Post { channel: "wms", proof, content_type: "application/json" };
            let (mut sender, mut seen) = (connect(host).await?, Seen::default());
            for body in &lists {
                send(&mut sender, host, &post, body, &mut seen).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(posted) = posting.join_next().await {
        posted??;
    }
    Ok(said.len())
}

/// A port in front of a system: while it is closed nobody listens there, and connections that
/// there were are cut.
struct Gate {
    origin: String,
    is_open: watch::Sender<bool>,
}

impl Gate {
    async fn open(system: &str) -> anyhow::Result<Self> {
        let system: SocketAddr = system.trim_start_matches("http://").parse()?;
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (is_open, opened) = watch::channel(true);
        tokio::spawn(keep(listener, address, system, opened));
        Ok(Self { origin: format!("http://{address}"), is_open })
    }
}

/// Listens while it is open.
async fn keep(
    mut listener: TcpListener,
    address: SocketAddr,
    system: SocketAddr,
    mut opened: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        let mut through = JoinSet::new();
        while *opened.borrow_and_update() {
            tokio::select! {
                Ok((from, _)) = listener.accept() => {
                    through.spawn(pass(from, system));
                }
                changed = opened.changed() => changed?,
            }
        }
        // Dropped with what goes through.
        drop((listener, through));
        opened.wait_for(|is_open| *is_open).await?;
        listener = TcpListener::bind(address).await?;
    }
}

async fn pass(mut from: TcpStream, system: SocketAddr) -> anyhow::Result<()> {
    let mut to = TcpStream::connect(system).await?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut from, &mut to).await?;
    Ok(())
}
