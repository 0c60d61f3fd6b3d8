//! What was measured, as a table and as JSON.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::Options;
use crate::road::Road;
use crate::role::numbers;
use crate::run::Measured;

/// The figures of a run.
pub(crate) struct Report {
    figures: Vec<(&'static str, f64, &'static str)>,
    options: Options,
}

impl Report {
    pub(crate) fn of(options: &Options, measured: &Measured, store: &Path) -> anyhow::Result<Self> {
        let orders = f64::from(options.orders);
        let road = options.road;
        let kept = Kept::read(store, road)?;
        let whole = Kept {
            events_in: road.events_in() * u64::from(options.orders),
            delivered: road.deliveries() * u64::from(options.orders),
            ended: u64::from(options.orders),
            exceptions: 0,
            bytes: kept.bytes,
        };
        ensure!(kept == whole, "{kept:?} in the store, expected {whole:?}");
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let (events_in, delivered, bytes) = (kept.events_in as f64, kept.delivered as f64, kept.bytes as f64);
        let events = events_in + delivered;
        let ([idle_us, _], [busy_us, peak_kib]) = (numbers(&measured.idle)?, numbers(&measured.busy)?);
        let [load_us, _, refused, reply_p50, reply_p99] = numbers(&measured.sent)?;
        let seconds = measured.elapsed.as_secs_f64();
        Ok(Self {
            figures: vec![
                ("events per second, first post to last receipt", events / seconds, "1/s"),
                ("events per order, those that come in", events_in / orders, ""),
                ("events per order, deliveries", delivered / orders, ""),
                ("orders per second, the same", orders / seconds, "1/s"),
                ("orders per second, acknowledged", orders / measured.acknowledged.as_secs_f64(), "1/s"),
                ("host CPU per order", (busy_us - idle_us) / orders, "µs"),
                ("host CPU per event", (busy_us - idle_us) / events, "µs"),
                ("events per second of the host's own CPU", events / (busy_us - idle_us) * 1e6, "1/s"),
                ("stand-ins' CPU per order", measured.standins_cpu_us / orders, "µs"),
                ("load generator's CPU per order", load_us / orders, "µs"),
                ("reply to an input, median", reply_p50 / 1_000.0, "ms"),
                ("reply to an input, 99th percentile", reply_p99 / 1_000.0, "ms"),
                ("inputs answered 429 and sent again", refused, ""),
                ("host peak resident memory", peak_kib / 1_024.0, "MiB"),
                ("audit entries per order, all verified", measured.entries / orders, ""),
                ("store per order", bytes / orders, "bytes"),
            ],
            options: options.clone(),
        })
    }

    pub(crate) fn table(&self) -> String {
        let Options { orders, road, load, .. } = &self.options;
        let mut text = format!(
            "{orders} orders on the {road} road, {} in an interchange, {} senders\n",
            load.per_input, load.senders
        );
        for (name, value, unit) in &self.figures {
            text.push_str(&format!("{name:<48} {value:>12.1} {unit}\n"));
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let figures: serde_json::Map<String, Value> = self
            .figures
            .iter()
            .map(|(name, value, unit)| (format!("{name} {unit}").trim().to_owned(), json!(value)))
            .collect();
        let load = &self.options.load;
        json!({
            "orders": self.options.orders,
            "road": self.options.road.to_string(),
            "per_input": load.per_input,
            "senders": load.senders,
            "figures": figures,
        })
    }
}

/// What the store has after a run.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    events_in: u64,
    delivered: u64,
    /// Orders in the last state of their road.
    ended: u64,
    exceptions: u64,
    bytes: u64,
}

impl Kept {
    fn read(store: &Path, road: Road) -> anyhow::Result<Self> {
        let connection = rusqlite::Connection::open(store)?;
        let count = |sql: &str| -> anyhow::Result<u64> {
            let found: i64 = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(u64::try_from(found)?)
        };
        Ok(Self {
            events_in: count("SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_event)")?,
            delivered: count("SELECT count(*) FROM outbox WHERE state = 'delivered'")?,
            ended: count(&format!("SELECT count(*) FROM order_progress WHERE state = '{}'", road.last_state()))?,
            exceptions: count("SELECT count(*) FROM exception")?,
            bytes: count("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?,
        })
    }
}

/// Prints one of the two.
pub(crate) fn write(options: &Options, json: Value, table: String) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json { writeln!(out, "{json}") } else { write!(out, "{table}") }.context("failed to write the report")
}
