//! The systems around the host, as one process: an ERP, a warehouse, and a demand plan that can be
//! closed and opened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use portreeve::standins::wms::NODE;
use portreeve::standins::{Erp, Mischief, Wms};
use portreeve_model::value::Decimal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::load::{Post, Seen, connect, send};
use crate::road::WAREHOUSE_TOKEN;
use crate::role::{Role, answer, numbers, questions, usage};

/// What the load generator orders.
const SKU: &str = "FST-1007";

/// More than anybody orders.
const STOCK: i64 = 1_000_000_000;

/// What the warehouse says in one request.
const SAID_AT_ONCE: usize = 32;

/// Requests that the warehouse makes side by side.
const CONNECTIONS: usize = 4;

/// The warehouse takes each release a step on so often.
const STEP_EVERY: Duration = Duration::from_millis(10);

/// Where the systems are: scheme, host and port of each.
pub(crate) struct Origins {
    pub(crate) erp: String,
    pub(crate) warehouse: String,
    pub(crate) plan: String,
}

/// What their books say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Books {
    /// Sales orders in the ERP.
    pub(crate) booked: u32,
    /// Releases in the warehouse.
    pub(crate) released: u32,
    /// Shipments that left.
    pub(crate) shipped: u32,
    /// Orders that the plan ever booked.
    pub(crate) planned: u32,
    /// Orders that are in the plan now.
    pub(crate) still_planned: u32,
}

impl Books {
    /// What they say when all of so many orders went the whole way, each once.
    pub(crate) fn all_of(orders: u32) -> Self {
        Self { booked: orders, released: orders, shipped: orders, planned: orders, still_planned: 0 }
    }

    /// Whether the ERP and the warehouse have done all that there is to do.
    pub(crate) fn are_shipped(self, orders: u32) -> bool {
        self.booked >= orders && self.shipped >= orders
    }
}

/// The process, from the benchmark's side.
pub(crate) struct StandIns(pub(crate) Role);

impl StandIns {
    pub(crate) fn start() -> anyhow::Result<(Self, Origins)> {
        let mut role = Role::start("standins", &[])?;
        let line = role.line()?;
        let [erp, warehouse, plan] =
            line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().ok().context("three origins")?;
        Ok((Self(role), Origins { erp, warehouse, plan }))
    }

    pub(crate) fn books(&mut self) -> anyhow::Result<Books> {
        let [booked, released, shipped, planned, still_planned] = numbers(&self.0.ask("books")?)?.map(count);
        Ok(Books { booked, released, shipped, planned, still_planned })
    }

    /// Has everything in the warehouse go a step on, and says how much it had to say.
    pub(crate) fn step(&mut self, host: &str) -> anyhow::Result<u32> {
        let [said] = numbers(&self.0.ask(&format!("step {host}"))?)?.map(count);
        Ok(said)
    }

    /// Has the warehouse work from now on, and the plan open or closed.
    pub(crate) fn told(&mut self, what: &str) -> anyhow::Result<()> {
        self.0.ask(what).map(drop)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count before")]
fn count(number: f64) -> u32 {
    number as u32
}

/// The process.
pub(crate) async fn run() -> anyhow::Result<()> {
    let erp = Erp::start(Mischief::default()).await?;
    let plan = Erp::start(Mischief::default()).await?;
    let wms = Arc::new(Wms::start(Mischief::default()).await?);
    wms.put(NODE, SKU, Decimal { units: STOCK, scale: 0 });
    let gate = Gate::open(&plan.origin()).await?;
    answer(&format!("{} {} {}", erp.origin(), wms.origin(), gate.origin));
    let mut questions = questions();
    let mut working = JoinSet::new();
    while let Some(question) = questions.next_line().await? {
        match question.split_once(' ').unwrap_or((question.as_str(), "")) {
            ("usage", _) => answer(&usage()?),
            ("books", _) => answer(&format!(
                "{} {} {} {} {}",
                erp.sales_order_count(),
                wms.releases().len(),
                wms.shipments().len(),
                plan.sales_orders_made(),
                plan.sales_order_count()
            )),
            ("step", host) => answer(&say(&wms, host.parse()?).await?.to_string()),
            ("work", host) => {
                let (wms, host) = (Arc::clone(&wms), host.parse()?);
                working.spawn(async move {
                    loop {
                        if let Err(error) = say(&wms, host).await {
                            return error;
                        }
                        tokio::time::sleep(STEP_EVERY).await;
                    }
                });
                answer("working");
            }
            ("close", _) => {
                gate.is_open.send_replace(false);
                answer("closed");
            }
            ("open", _) => {
                gate.is_open.send_replace(true);
                answer("opened");
            }
            (other, _) => bail!("the stand-ins have no answer to `{other}`"),
        }
        // What the warehouse could not say would be waited for in vain.
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
            let post = Post { channel: "wms", token: WAREHOUSE_TOKEN, content_type: "application/json" };
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
