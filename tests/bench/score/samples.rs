//! Times, and what is said about them.

use std::time::Duration;

/// What one thing took, again and again.
pub(crate) struct Samples {
    pub(crate) name: &'static str,
    nanos: Vec<f64>,
}

impl Samples {
    pub(crate) fn of(name: &'static str) -> Self {
        Self { name, nanos: Vec::new() }
    }

    /// Adds one time of `calls` calls in a row.
    pub(crate) fn add(&mut self, took: Duration, calls: u32) {
        self.nanos.push(took.as_secs_f64() * 1e9 / f64::from(calls));
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut sorted = self.nanos.clone();
        sorted.sort_by(f64::total_cmp);
        Summary { median_us: at(&sorted, 50) / 1e3, p99_us: at(&sorted, 99) / 1e3, samples: sorted.len() }
    }
}

/// The middle and the tail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) samples: usize,
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    let index = sorted.len().saturating_sub(1).saturating_mul(percent) / 100;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
