//! The load generator: partners who send batches over connections that they keep.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::role::{Role, answer, usage};
use crate::setup::{CUSTOMERS, EDI_TOKEN, customer};

/// How long a sender waits after 429, as `Retry-After` would have it at least.
const WAIT: Duration = Duration::from_millis(20);

/// An item, and a price of it within the tolerance of prices and below the item's floor.
const NEAR_FLOOR: (&str, &str) = ("MRG-0001", "18.20");

/// What orders are like, and how they come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Orders in one interchange.
    pub(crate) per_input: u32,
    /// Connections.
    pub(crate) senders: u32,
    /// A model wants something about each so many-th order; 0 is none.
    pub(crate) advised_every: u32,
    /// Lines of an order, one or two.
    pub(crate) lines: u32,
    /// Orders in a second; 0 is as many as the host takes.
    pub(crate) per_second: u32,
}

/// Starts the load generator with so many orders, from the one after `first` on.
pub(crate) fn start(address: &str, first: u32, orders: u32, shape: Shape) -> anyhow::Result<Role> {
    let Shape { per_input, senders, advised_every, lines, per_second } = shape;
    let numbers =
        [first, orders, per_input, senders, advised_every, lines, per_second].map(|number| number.to_string());
    Role::start("load", &[&[address.to_owned()], &numbers[..]].concat())
}

/// Where to and as whom something is posted.
pub(crate) struct Post<'a> {
    pub(crate) channel: &'a str,
    /// The header that proves who sends, and its value.
    pub(crate) proof: (&'a str, &'a str),
    pub(crate) content_type: &'a str,
}

/// What one connection has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) reply_us: Vec<u64>,
    pub(crate) busy: u64,
}

/// Sends all orders; answers its CPU, how often the host was busy, and the median
/// and 99th percentile of the time to a reply in microseconds.
pub(crate) async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [address, numbers @ ..] = arguments else { bail!("the load needs an address") };
    let numbers = numbers.iter().map(|number| number.parse()).collect::<Result<Vec<u32>, _>>()?;
    let [first, orders, per_input, senders, advised_every, lines, per_second] = numbers[..] else {
        bail!("the load needs seven numbers behind the address")
    };
    let shape = Shape { per_input, senders, advised_every, lines, per_second };
    let address: SocketAddr = address.parse()?;
    let orders = first.saturating_add(orders);
    let (next, inputs) = (Arc::new(AtomicU32::new(first.div_ceil(per_input))), orders.div_ceil(per_input));
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..senders {
        let next = Arc::clone(&next);
        running.spawn(async move {
            let bearer = format!("Bearer {EDI_TOKEN}");
            let proof = ("authorization", bearer.as_str());
            let post = Post { channel: "edi", proof, content_type: "application/edi-x12" };
            let mut seen = Seen::default();
            let mut sender = connect(address).await?;
            loop {
                let input = next.fetch_add(1, Ordering::Relaxed);
                if input >= inputs {
                    return anyhow::Ok(seen);
                }
                let number = input * per_input;
                if per_second > 0 {
                    let at = f64::from(number - first) / f64::from(per_second);
                    tokio::time::sleep_until((began + Duration::from_secs_f64(at)).into()).await;
                }
                let body = Bytes::from(interchange(input + 1, number..orders.min(number + per_input), shape));
                send(&mut sender, address, &post, &body, &mut seen).await?;
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

pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.context("the host does not listen")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Posts until the host is not too busy.
pub(crate) async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    post: &Post<'_>,
    body: &Bytes,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    loop {
        let request = Request::post(format!("/v1/channels/{}", post.channel))
            .header("host", address.to_string())
            .header(post.proof.0, post.proof.1)
            .header("content-type", post.content_type)
            .body(Full::new(body.clone()))?;
        let began = Instant::now();
        // The host closes what is idle for long, as beside a slow pace.
        if sender.ready().await.is_err() {
            *sender = connect(address).await?;
        }
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

/// A partner's batch: orders of a line or two each, nothing wrong with any but that each so
/// many-th has a low price.
fn interchange(control: u32, orders: std::ops::Range<u32>, shape: Shape) -> String {
    let buyer = customer(control % CUSTOMERS);
    let sender = buyer.replace('-', "");
    let mut text = format!(
        "ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*PORTREEVE      *260302*0800*U*00401*{control:09}*0*P*>~\n\
         GS*PO*{sender}*PORTREEVE*20260302*0800*{control}*X*004010~\n"
    );
    let count = orders.len();
    for (set, order) in (1_u32..).zip(orders) {
        let advised = order.checked_rem(shape.advised_every) == Some(0);
        let (item, price) = if advised { NEAR_FLOOR } else { ("FST-1007", "18.40") };
        let second = if shape.lines > 1 { "PO1*2*4*EA*11.75*PE*VP*ELC-1049~\n" } else { "" };
        // Writing to a String does not fail.
        write!(
            text,
            "ST*850*{set:04}~\nBEG*00*SA*B{order:08}**20260302~\nDTM*002*20300330~\nN1*BY*The Customer*92*{buyer}~\n\
             N1*ST*The Customer*92*{buyer}-01~\nN3*230 Commerce Ave~\nN4*Tucson*AZ*85701*US~\n\
             PO1*1*{}*BX*{price}*PE*VP*{item}~\n{second}CTT*{}~\nSE*{}*{set:04}~\n",
            1 + order % 20,
            shape.lines,
            9 + shape.lines
        )
        .unwrap_or_default();
    }
    write!(text, "GE*{count}*{control}~\nIEA*1*{control:09}~\n").unwrap_or_default();
    text
}
