//! What an outage of one destination does to the others, and what is left of it afterwards.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rusqlite::Connection;
use serde_json::json;

use crate::road::Road;
use crate::run::Session;
use crate::{Options, load, report};

/// What an order waits for, and how long each took: the systems that are not down, by their
/// deliveries, and the warehouse's word, by its decision.
const WAITS: [(&str, &str); 3] = [
    (
        "an order's receipt to its booking in the ERP",
        "SELECT outbox.due_at - document.received_at AS ms FROM outbox
         JOIN orders ON orders.seq = outbox.order_seq JOIN document ON document.position = orders.position
         WHERE outbox.target = 'erp' AND outbox.said = 0 AND outbox.state = 'delivered' ORDER BY ms",
    ),
    (
        "an order's receipt to its release in the warehouse",
        "SELECT outbox.due_at - document.received_at AS ms FROM outbox
         JOIN orders ON orders.seq = outbox.order_seq JOIN document ON document.position = orders.position
         WHERE outbox.target = 'warehouse' AND outbox.state = 'delivered' ORDER BY ms",
    ),
    (
        "what the warehouse says to its decision",
        "SELECT order_event.decided_at - document.received_at AS ms FROM order_event
         JOIN document ON document.position = order_event.position WHERE document.channel = 'wms' ORDER BY ms",
    ),
];

/// What it waits for after its goods left.
const WAITS_AFTER: [(&str, &str); 4] = [
    (
        "word of a shipment to its posting in the ERP",
        "SELECT outbox.due_at - document.received_at AS ms FROM outbox
         JOIN document ON document.position = outbox.said
         WHERE outbox.target = 'erp' AND outbox.state = 'delivered' ORDER BY ms",
    ),
    (
        "an invoice's receipt to its tax",
        "SELECT outbox.due_at - document.received_at AS ms FROM outbox
         JOIN document ON document.position = outbox.said
         WHERE outbox.target = 'tax' AND outbox.state = 'delivered' ORDER BY ms",
    ),
    (
        "an invoice's receipt to the customer's copy",
        "SELECT outbox.due_at - document.received_at AS ms FROM outbox
         JOIN document ON document.position = outbox.said
         WHERE outbox.target = 'customers' AND outbox.kind = 'x12/810' AND outbox.state = 'delivered' ORDER BY ms",
    ),
    (
        "what the payment processor says to its decision",
        "SELECT order_event.decided_at - document.received_at AS ms FROM order_event
         JOIN document ON document.position = order_event.position WHERE document.channel = 'payments' ORDER BY ms",
    ),
];

/// What orders wait for on a road.
fn waits(road: Road) -> Vec<(&'static str, &'static str)> {
    let after: &[_] = if road == Road::Whole { &WAITS_AFTER } else { &[] };
    WAITS.iter().chain(after).copied().collect()
}

/// Deliveries whose order got a later one of the same target before it. A delivered row's last
/// change is its settlement.
const OUT_OF_TURN: &str = "SELECT count(*) FROM outbox AS earlier JOIN outbox AS later
     ON later.order_seq = earlier.order_seq AND later.target = earlier.target AND later.seq > earlier.seq
     WHERE later.due_at < earlier.due_at";

/// One run, with or without an outage.
struct Ran {
    /// Median and 99th percentile of each of [`waits`], in milliseconds.
    waits: Vec<[f64; 2]>,
    host_cpu_us: f64,
    /// From when its port was opened again until nothing was left.
    drained: Option<Duration>,
    /// Attempts at the one that is down.
    attempts: u32,
}

/// Runs both and prints them side by side. The usual runs are before and after the other: the hours of
/// a shared machine are no part of the comparison.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let before = run(options, false)?;
    let outage = run(options, true)?;
    let usual = between(&before, &run(options, false)?);
    let (orders, down) = (f64::from(options.orders), options.road.that_goes_down());
    let waited = f64::from(options.orders * down.deliveries);
    let drained = outage.drained.unwrap_or_default().as_secs_f64();
    let rows = waits(options.road).into_iter().zip(usual.waits.iter().zip(&outage.waits));
    let rows: Vec<_> = rows.map(|((name, _), (usual, outage))| (name, *usual, *outage, outage[1] / usual[1])).collect();
    let json = json!({
        "orders": options.orders,
        "road": options.road.to_string(),
        "per_second": options.load.per_second,
        "waits ms": rows.iter().map(|(name, usual, outage, ratio)| json!({
            "of": name, "usual": { "p50": usual[0], "p99": usual[1] },
            "outage": { "p50": outage[0], "p99": outage[1] }, "p99 ratio": ratio,
        })).collect::<Vec<_>>(),
        "host cpu us per order": { "usual": usual.host_cpu_us / orders, "outage": outage.host_cpu_us / orders },
        "drained s": drained,
        "drained per s": waited / drained,
        "down": down.called,
        "attempts at it": { "usual": usual.attempts, "outage": outage.attempts },
    });
    let mut table = format!(
        "{} orders on the {} road, {} in a second; with {} down from the first on, {waited} deliveries waited for it\n{:<54} {:>21} {:>21} {:>7}\n",
        options.orders,
        options.road,
        options.load.per_second,
        down.called,
        "milliseconds",
        "usual p50 / p99",
        "outage p50 / p99",
        "p99"
    );
    for (name, [usual_p50, usual_p99], [p50, p99], ratio) in rows {
        table.push_str(&format!(
            "{name:<54} {usual_p50:>10.0} {usual_p99:>10.0} {p50:>10.0} {p99:>10.0} {ratio:>6.2}x\n"
        ));
    }
    table.push_str(&format!(
        "host CPU per order {:.0} µs, with the outage {:.0} µs; attempts at it {}, with the outage {}\n\
         drained in {drained:.1} s, {:.0} deliveries in a second; each order in its turn, nothing doubled\n",
        usual.host_cpu_us / orders,
        outage.host_cpu_us / orders,
        usual.attempts,
        outage.attempts,
        waited / drained,
    ));
    report::write(options, json, table)
}

/// What is usual by two runs.
fn between(before: &Ran, after: &Ran) -> Ran {
    let mean = |one: f64, other: f64| f64::midpoint(one, other);
    let waits = before.waits.iter().zip(&after.waits);
    Ran {
        waits: waits.map(|(one, other)| [mean(one[0], other[0]), mean(one[1], other[1])]).collect(),
        host_cpu_us: mean(before.host_cpu_us, after.host_cpu_us),
        drained: None,
        attempts: u32::midpoint(before.attempts, after.attempts),
    }
}

fn run(options: &Options, is_down: bool) -> anyhow::Result<Ran> {
    let (orders, road) = (options.orders, options.road);
    let mut session = Session::with_an_outage(road)?;
    let address = session.address.clone();
    session.standins.told(&format!("work {address}"))?;
    if is_down {
        session.standins.told("close")?;
    }
    let idle_us = session.host.cpu_us()?;
    let mut load = load::start(&address, 0, orders, options.load)?;
    load.line()?;
    load.stop()?;
    session.until(Duration::from_millis(500), |books| books.are_whole_but_for_one(orders, road))?;
    // Recovery, once all others have what they get.
    let opened = Instant::now();
    if is_down {
        let (down, heard) = (road.that_goes_down(), session.standins.books()?.of_the_one(road));
        ensure!(heard == 0, "{} took {heard} messages while its port was closed", down.called);
        session.standins.told("open")?;
    }
    session.until(Duration::from_millis(100), |books| books.are_whole(orders, road))?;
    session.host.ask("settled")?;
    let drained = is_down.then(|| opened.elapsed());
    let host_cpu_us = session.host.cpu_us()? - idle_us;
    session.proved(orders)?;
    let store = session.store();
    let folder = session.stop()?;
    let (waits, attempts) = looked_up(&store, options)?;
    drop(folder);
    Ok(Ran { waits, host_cpu_us, drained, attempts })
}

/// How long all took and how often the one that is down was tried. Check: each order had its deliveries in turn
/// and is at the end of its road.
fn looked_up(store: &Path, options: &Options) -> anyhow::Result<(Vec<[f64; 2]>, u32)> {
    let connection = Connection::open(store)?;
    let out_of_turn: u32 = connection.query_row(OUT_OF_TURN, [], |row| row.get(0))?;
    ensure!(out_of_turn == 0, "{out_of_turn} deliveries came before an earlier one of their order and target");
    let exceptions: u32 = connection.query_row("SELECT count(*) FROM exception", [], |row| row.get(0))?;
    ensure!(exceptions == 0, "{exceptions} exceptions wait for somebody");
    let Options { orders, road, .. } = options;
    let at_the_end = "SELECT count(*) FROM order_progress WHERE state = ?1";
    let ended: u32 = connection.query_row(at_the_end, [road.last_state()], |row| row.get(0))?;
    ensure!(ended == *orders, "{ended} of {orders} orders are {}", road.last_state());
    let mut all = Vec::new();
    let wanted = usize::try_from(*orders)?;
    for (name, sql) in waits(*road) {
        let mut statement = connection.prepare(sql)?;
        let times = statement.query_map([], |row| row.get::<_, f64>(0))?.collect::<Result<Vec<_>, _>>()?;
        ensure!(times.len() >= wanted, "{name}: found {} times of {wanted} orders", times.len());
        let at = |per_cent: usize| times.get(times.len() * per_cent / 100).copied().unwrap_or_default();
        all.push([at(50), at(99)]);
    }
    let attempts = "SELECT sum(attempts) FROM outbox WHERE target = ?1";
    Ok((all, connection.query_row(attempts, [road.that_goes_down().target], |row| row.get(0))?))
}
