//! Customers and their payment processor, from where the host stands: they read what they are sent,
//! and each invoice is paid as it says, told of by a webhook as the processor signs it.
//!
//! What a customer pays is what the 810 charges him, and for the order that it names: an amount or an
//! order that was written wrongly on the way there leaves an order that is not settled.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use portreeve::clock::SystemClock;
use portreeve::standins::partner::{Answers, Entry, Partner};
use portreeve::standins::payment::{Payment, Webhook};
use portreeve::standins::{Mischief, Payments};
use portreeve_model::OrderId;
use portreeve_pipeline::Clock;
use tokio::task::JoinSet;

use crate::load::{Post, Seen, connect, send};

/// What customers are sent of an order, once each.
const SETS: [&str; 3] = ["855", "856", "810"];

/// Webhooks that the processor sends side by side, each over a connection that it keeps: one waits
/// for its answer, which comes with a commit.
const LINES: usize = 64;

/// Customers with one mailbox, and their processor.
pub(crate) struct Customers {
    mailbox: Partner,
    payments: Payments,
    read: Mutex<Read>,
    lines: tokio::sync::Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// What was read so far.
#[derive(Default)]
struct Read {
    /// Messages.
    count: usize,
    /// The orders that messages of each of [`SETS`] were about.
    orders: [BTreeSet<OrderId>; SETS.len()],
    /// Invoices that are not paid yet.
    owed: Vec<Owed>,
    /// Payments of which the host knows.
    paid: usize,
}

/// What a customer owes.
struct Owed {
    order: OrderId,
    minor: i64,
}

/// How many orders customers were told of, by each of [`SETS`], and how many are paid.
pub(crate) struct Heard {
    pub(crate) told: [usize; SETS.len()],
    pub(crate) paid: usize,
}

impl Customers {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mailbox = Partner::start(Mischief::default()).await?;
        mailbox.answer(Answers::Never);
        let payments = Payments::start(Mischief::default()).await?;
        Ok(Self { mailbox, payments, read: Mutex::default(), lines: tokio::sync::Mutex::default() })
    }

    /// Where they take what they are sent, and where their processor is.
    pub(crate) fn origins(&self) -> [String; 2] {
        [self.mailbox.origin(), self.payments.origin()]
    }

    pub(crate) fn heard(&self) -> anyhow::Result<Heard> {
        self.look()?;
        let read = self.read();
        Ok(Heard { told: read.orders.each_ref().map(BTreeSet::len), paid: read.paid })
    }

    /// Pays what is owed, and tells the host. How much that was.
    pub(crate) async fn pay(self: &Arc<Self>, host: SocketAddr) -> anyhow::Result<usize> {
        self.look()?;
        let owed = std::mem::take(&mut self.read().owed);
        let count = owed.len();
        let owed = Arc::new(Mutex::new(owed.into_iter()));
        let mut lines = self.lines.lock().await;
        let wanted = count.min(LINES);
        while lines.len() < wanted {
            lines.push(connect(host).await?);
        }
        let mut paying = JoinSet::new();
        for mut line in lines.drain(..wanted) {
            let (customers, owed) = (Arc::clone(self), Arc::clone(&owed));
            paying.spawn(async move {
                let next = || owed.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(owed) = next() {
                    customers.tell(&mut line, host, &owed).await?;
                }
                anyhow::Ok(line)
            });
        }
        while let Some(line) = paying.join_next().await {
            lines.push(line??);
        }
        Ok(count)
    }

    /// The processor takes a payment and says so.
    async fn tell(&self, line: &mut SendRequest<Full<Bytes>>, host: SocketAddr, owed: &Owed) -> anyhow::Result<()> {
        let payment = self.payments.pay(&owed.order.to_string(), owed.minor, "usd");
        let Webhook { body, signature } = self.payments.paid(&payment, SystemClock.now().0 / 1_000);
        let proof = ("stripe-signature", signature.as_str());
        let post = Post { channel: "payments", proof, content_type: "application/json" };
        send(line, host, &post, &Bytes::from(body), &mut Seen::default()).await?;
        self.read().paid += 1;
        Ok(())
    }

    /// Reads what came since.
    fn look(&self) -> anyhow::Result<()> {
        let mut read = self.read();
        let came = self.mailbox.ledger_after(read.count);
        read.count += came.len();
        for message in came {
            let (set, order) = (set_of(&message)?, order_of(&message)?);
            if message.set == "810" {
                let total = message.element("TDS", 1);
                let minor =
                    total.parse::<i64>().with_context(|| format!("found `{total}` in TDS01, expected cents"))?;
                read.owed.push(Owed { order, minor });
            }
            if let Some(orders) = read.orders.get_mut(set) {
                orders.insert(order);
            }
        }
        Ok(())
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Check: nobody was told anything twice, or in an envelope that is none.
    pub(crate) fn were_told_once(&self) -> anyhow::Result<()> {
        let faults = self.mailbox.faults();
        if let Some(first) = faults.first() {
            bail!("customers could not read {} messages, the first: {first}", faults.len());
        }
        self.look()?;
        let read = self.read();
        let orders: usize = read.orders.iter().map(BTreeSet::len).sum();
        ensure!(read.count == orders, "customers were told {} times of what happened {orders} times", read.count);
        Ok(())
    }

    pub(crate) fn payments(&self) -> Vec<Payment> {
        self.payments.payments()
    }
}

fn set_of(message: &Entry) -> anyhow::Result<usize> {
    let place = SETS.iter().position(|set| message.set == *set);
    place.with_context(|| format!("a customer was sent a set {}, expected {}", message.set, SETS.join(", ")))
}

/// The order that a message is about, by the host's id of it.
fn order_of(message: &Entry) -> anyhow::Result<OrderId> {
    let mut segments = message.segments.iter();
    let own = segments.find(|segment| segment.get(2).is_some_and(|name| name == "PORTREEVE-ORDER"));
    let order = own.and_then(|segment| segment.get(3));
    let order = order.with_context(|| format!("a {} names no order of the host", message.set))?;
    Ok(OrderId::parse(order)?)
}
