//! What the attacks came to.

use std::io::Write;
use std::time::Duration;

use crate::attack::Attack;

/// What a neighbour may feel of an attack, times its own p99.
const NEIGHBOUR_MAX: f64 = 1.5;

/// Samples of one attack.
pub(crate) struct Measured {
    /// From the call to its failure.
    pub(crate) killed: Vec<Duration>,
    /// The guest's CPU meanwhile, where a clock stops it.
    pub(crate) cpu: Vec<Duration>,
    /// The neighbour's calls before the attack, and beside it.
    pub(crate) alone: Vec<Duration>,
    pub(crate) beside: Vec<Duration>,
}

/// All attacks.
pub(crate) struct Report {
    rows: Vec<Row>,
    kills: u32,
}

/// One attack; times in milliseconds, the neighbour's in microseconds.
struct Row {
    attack: Attack,
    kill_ms: [f64; 2],
    cpu_p99_ms: Option<f64>,
    alone_p99_us: f64,
    beside_p99_us: f64,
    neighbour_calls: usize,
}

impl Row {
    fn of(attack: Attack, measured: &Measured) -> Self {
        let ms = |samples: &[Duration], percent| at(samples, percent) * 1e3;
        Self {
            kill_ms: [ms(&measured.killed, 50), ms(&measured.killed, 99)],
            cpu_p99_ms: (!measured.cpu.is_empty()).then(|| ms(&measured.cpu, 99)),
            alone_p99_us: at(&measured.alone, 99) * 1e6,
            beside_p99_us: at(&measured.beside, 99) * 1e6,
            neighbour_calls: measured.beside.len(),
            attack,
        }
    }

    fn allowed_ms(&self) -> Option<f64> {
        self.attack.allowed.map(|allowed| allowed.as_secs_f64() * 1e3)
    }

    /// Whether it was stopped in time, by the clock that its limit is about; none where the
    /// limit is no time.
    fn in_time(&self) -> Option<bool> {
        let [_, wall_ms] = self.kill_ms;
        let took_ms = if self.attack.limit == "cpu_ms" { self.cpu_p99_ms.unwrap_or(wall_ms) } else { wall_ms };
        self.allowed_ms().map(|allowed| took_ms <= allowed)
    }

    fn ratio(&self) -> f64 {
        self.beside_p99_us / self.alone_p99_us
    }

    fn neighbour_is_well(&self) -> bool {
        self.ratio() <= NEIGHBOUR_MAX
    }
}

impl Report {
    pub(crate) fn of(rows: Vec<(Attack, Measured)>, kills: u32) -> Self {
        Self { rows: rows.into_iter().map(|(attack, measured)| Row::of(attack, &measured)).collect(), kills }
    }

    fn all_in_time(&self) -> bool {
        self.rows.iter().all(|row| row.in_time() != Some(false))
    }

    fn all_neighbours_well(&self) -> bool {
        self.rows.iter().all(Row::neighbour_is_well)
    }

    pub(crate) fn table(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{:<18} {:<13} {:>9} | {:>8} {:>8} {:>8} {:>8} {:<8} | {:>8} {:>8} {:>6}",
            "attack", "limit", "budget", "p50 ms", "p99 ms", "CPU p99", "allowed", "", "alone µs", "beside", "×"
        )?;
        for row in &self.rows {
            let verdict = row.in_time().map_or("", |held| if held { "held" } else { "NOT HELD" });
            writeln!(
                out,
                "{:<18} {:<13} {:>9} | {:>8.2} {:>8.2} {:>8} {:>8} {verdict:<8} | {:>8.1} {:>8.1} {:>6.2}",
                row.attack.name,
                row.attack.limit,
                row.attack.value,
                row.kill_ms[0],
                row.kill_ms[1],
                optional(row.cpu_p99_ms),
                optional(row.allowed_ms()),
                row.alone_p99_us,
                row.beside_p99_us,
                row.ratio()
            )?;
        }
        writeln!(
            out,
            "\n{} kills each; the neighbour's columns are the p99 of its calls\n\
             every clock in time: {}; every neighbour within {NEIGHBOUR_MAX} × alone: {}",
            self.kills,
            yes(self.all_in_time()),
            yes(self.all_neighbours_well())
        )
    }

    pub(crate) fn json(&self, out: &mut impl Write) -> std::io::Result<()> {
        let rows: Vec<serde_json::Value> = self
            .rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "attack": row.attack.name,
                    "limit": row.attack.limit,
                    "budget": row.attack.value,
                    "kill_p50_ms": row.kill_ms[0],
                    "kill_p99_ms": row.kill_ms[1],
                    "cpu_p99_ms": row.cpu_p99_ms,
                    "allowed_ms": row.allowed_ms(),
                    "in_time": row.in_time(),
                    "neighbour_alone_p99_us": row.alone_p99_us,
                    "neighbour_beside_p99_us": row.beside_p99_us,
                    "neighbour_ratio": row.ratio(),
                    "neighbour_calls": row.neighbour_calls,
                })
            })
            .collect();
        let report = serde_json::json!({
            "kills": self.kills,
            "rows": rows,
            "every_clock_in_time": self.all_in_time(),
            "every_neighbour_well": self.all_neighbours_well(),
        });
        writeln!(out, "{report}")
    }
}

fn yes(held: bool) -> &'static str {
    if held { "yes" } else { "NO" }
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

/// Seconds below which so many percent of the samples are.
fn at(samples: &[Duration], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let index = sorted.len().saturating_sub(1).saturating_mul(percent) / 100;
    sorted.get(index).map_or(f64::NAN, Duration::as_secs_f64)
}
