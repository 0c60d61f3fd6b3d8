//! What was measured, as a table and as JSON.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::Options;
use crate::role::numbers;

/// What the processes said.
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) acknowledged: Duration,
    pub(crate) sent: String,
    pub(crate) idle: String,
    pub(crate) busy: String,
    pub(crate) erp: String,
    pub(crate) proof: String,
    pub(crate) booked: String,
    pub(crate) held: String,
    pub(crate) store: PathBuf,
}

/// The figures.
pub(crate) struct Report {
    figures: Vec<(&'static str, f64, &'static str)>,
    options: Options,
}

impl Report {
    pub(crate) fn of(options: &Options, measured: &Measured) -> anyhow::Result<Self> {
        let orders = f64::from(options.orders);
        let ([idle_us, _], [busy_us, peak_kib]) = (numbers(&measured.idle)?, numbers(&measured.busy)?);
        let [erp_us, _] = numbers(&measured.erp)?;
        let [load_us, _, refused, reply_p50, reply_p99] = numbers(&measured.sent)?;
        let [booked] = numbers(&measured.booked)?;
        let [entries] = numbers(&measured.proof)?;
        let [held] = numbers(&measured.held)?;
        ensure!(
            booked + held == orders,
            "{booked} sales orders and {held} held of {orders} orders: something was lost or sent twice"
        );
        ensure!(
            held > 0.0 || options.advised_every == 0 || options.without_budgets,
            "nothing was held, so no budget was tried"
        );
        let latency = Latency::read(&measured.store)?;
        let per_order = |us: f64| us / orders;
        Ok(Self {
            figures: vec![
                ("orders per second, acknowledged to settled", orders / measured.elapsed.as_secs_f64(), "1/s"),
                ("orders per second, acknowledged", orders / measured.acknowledged.as_secs_f64(), "1/s"),
                ("host CPU per order", per_order(busy_us - idle_us), "µs"),
                ("load generator CPU per order", per_order(load_us), "µs"),
                ("ERP stand-in CPU per order", per_order(erp_us), "µs"),
                ("receipt to delivery, median", latency.median_ms, "ms"),
                ("receipt to delivery, 99th percentile", latency.p99_ms, "ms"),
                ("reply to an input, median", reply_p50 / 1_000.0, "ms"),
                ("reply to an input, 99th percentile", reply_p99 / 1_000.0, "ms"),
                ("inputs answered 429 and sent again", refused, ""),
                ("orders held", held, ""),
                ("host peak resident memory", peak_kib / 1_024.0, "MiB"),
                ("audit entries per order, all verified", entries / orders, ""),
                ("store per order", latency.store_bytes / orders, "bytes"),
            ],
            options: options.clone(),
        })
    }

    pub(crate) fn table(&self) -> String {
        let Options { orders, per_input, senders, .. } = &self.options;
        let mut text = format!("{orders} orders, {per_input} in an interchange, {senders} senders\n");
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
        json!({
            "orders": self.options.orders,
            "per_input": self.options.per_input,
            "senders": self.options.senders,
            "figures": figures,
        })
    }
}

/// From the receipt of an order's input to its settled delivery, by the host's clock.
struct Latency {
    median_ms: f64,
    p99_ms: f64,
    store_bytes: f64,
}

impl Latency {
    fn read(store: &std::path::Path) -> anyhow::Result<Self> {
        let connection = rusqlite::Connection::open(store)?;
        // A delivered row's last change is its settlement.
        let mut statement = connection.prepare(
            "SELECT outbox.due_at - document.received_at AS ms FROM outbox
             JOIN orders ON orders.id = outbox.order_id JOIN document ON document.position = orders.position
             WHERE outbox.state = 'delivered' ORDER BY ms",
        )?;
        let times = statement.query_map([], |row| row.get::<_, f64>(0))?.collect::<Result<Vec<_>, _>>()?;
        let at = |per_cent: usize| times.get(times.len() * per_cent / 100).copied().unwrap_or_default();
        let bytes: i64 = connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            [],
            |row| row.get(0),
        )?;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(Self { median_ms: at(50), p99_ms: at(99), store_bytes: bytes as f64 })
    }
}
