//! The load generator: partners who send batches over connections that they keep.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::host::{answer, usage};
use crate::setup::{CUSTOMERS, EDI_TOKEN, customer};

/// How long a sender waits after 429, as `Retry-After` would have it at least.
const WAIT: Duration = Duration::from_millis(20);

/// An item, and a price of it within the tolerance of prices and below the item's floor.
const NEAR_FLOOR: (&str, &str) = ("MRG-0001", "18.20");

/// What one connection has seen.
#[derive(Default)]
struct Seen {
    reply_us: Vec<u64>,
    busy: u64,
}

/// Sends all orders; answers its CPU, how often the host was busy, and the median
/// and 99th percentile of the time to a reply in microseconds.
pub(crate) async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [address, first, orders, per_input, senders, advised_every] = arguments else {
        anyhow::bail!("the load needs six arguments")
    };
    let address: SocketAddr = address.parse()?;
    let (first, orders): (u32, u32) = (first.parse()?, orders.parse()?);
    let (per_input, senders): (u32, u32) = (per_input.parse()?, senders.parse()?);
    let advised_every: u32 = advised_every.parse()?;
    let orders = first.saturating_add(orders);
    let next = Arc::new(AtomicU32::new(first.div_ceil(per_input)));
    let inputs = orders.div_ceil(per_input);
    let mut running = JoinSet::new();
    for _ in 0..senders {
        let next = Arc::clone(&next);
        running.spawn(async move {
            let mut seen = Seen::default();
            let mut sender = connect(address).await?;
            loop {
                let input = next.fetch_add(1, Ordering::Relaxed);
                if input >= inputs {
                    return anyhow::Ok(seen);
                }
                let first = input * per_input;
                let body = Bytes::from(interchange(input + 1, first..orders.min(first + per_input), advised_every));
                send(&mut sender, address, &body, &mut seen).await?;
            }
        });
    }
    let mut all = Seen::default();
    while let Some(seen) = running.join_next().await {
        let seen = seen??;
        all.reply_us.extend(seen.reply_us);
        all.busy += seen.busy;
    }
    all.reply_us.sort_unstable();
    let at = |per_cent: usize| all.reply_us.get(all.reply_us.len() * per_cent / 100).copied().unwrap_or(0);
    answer(&format!("{} {} {} {}", usage()?, all.busy, at(50), at(99)));
    Ok(())
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.context("the host does not listen")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    body: &Bytes,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    loop {
        let request = Request::post("/v1/channels/edi")
            .header("host", address.to_string())
            .header("authorization", format!("Bearer {EDI_TOKEN}"))
            .header("content-type", "application/edi-x12")
            .body(Full::new(body.clone()))?;
        let began = Instant::now();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let reply = response.into_body().collect().await?.to_bytes();
        if status == hyper::StatusCode::TOO_MANY_REQUESTS {
            seen.busy += 1;
            tokio::time::sleep(WAIT).await;
            continue;
        }
        ensure!(status.is_success(), "the host answered {status}: {}", String::from_utf8_lossy(&reply));
        seen.reply_us.push(u64::try_from(began.elapsed().as_micros())?);
        return Ok(());
    }
}

/// A partner's batch: orders of two lines each, nothing wrong with any but that each so
/// many-th has a low price.
fn interchange(control: u32, orders: std::ops::Range<u32>, advised_every: u32) -> String {
    let buyer = customer(control % CUSTOMERS);
    let sender = buyer.replace('-', "");
    let mut text = format!(
        "ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*PORTREEVE      *260302*0800*U*00401*{control:09}*0*P*>~\n\
         GS*PO*{sender}*PORTREEVE*20260302*0800*{control}*X*004010~\n"
    );
    let count = orders.len();
    for (set, order) in (1_u32..).zip(orders) {
        let advised = order.checked_rem(advised_every) == Some(0);
        let (item, price) = if advised { NEAR_FLOOR } else { ("FST-1007", "18.40") };
        // Writing to a String does not fail.
        write!(
            text,
            "ST*850*{set:04}~\nBEG*00*SA*B{order:08}**20260302~\nDTM*002*20300330~\nN1*BY*The Customer*92*{buyer}~\n\
             N1*ST*The Customer*92*{buyer}-01~\nN3*230 Commerce Ave~\nN4*Tucson*AZ*85701*US~\n\
             PO1*1*{}*BX*{price}*PE*VP*{item}~\nPO1*2*4*EA*11.75*PE*VP*ELC-1049~\nCTT*2~\nSE*11*{set:04}~\n",
            1 + order % 20
        )
        .unwrap_or_default();
    }
    write!(text, "GE*{count}*{control}~\nIEA*1*{control:09}~\n").unwrap_or_default();
    text
}
