//! A release whose lines are to be others: until it is picked it becomes what is asked for.
//!
//! A change states all lines, so the same again changes nothing and is answered as before, also when
//! the goods are out of the shelves by then.

use axum::http::StatusCode;
use serde::Deserialize;

use super::{Books, NewLine, Release, ReleaseLine, Step, Stock, full, give, named, read, release_lines};
use crate::standins::amount::Amount;
use crate::standins::wms::Refusal;

/// A change that can be understood.
pub(in crate::standins::wms) struct AskedChange {
    order_id: String,
    lines: Vec<ReleaseLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewChange {
    order_id: String,
    lines: Vec<NewLine>,
}

impl AskedChange {
    pub(in crate::standins::wms) fn read(body: &[u8], order_id: &str) -> Result<Self, Refusal> {
        let asked: NewChange = read(body, "change")?;
        named("orderId", &asked.order_id)?;
        if asked.order_id != order_id {
            return Err(Refusal::invalid("orderId is another one than the address has".to_owned()));
        }
        if asked.lines.is_empty() {
            return Err(Refusal::invalid("lines must be filled in; nothing of it is a stop".to_owned()));
        }
        Ok(Self { order_id: asked.order_id, lines: release_lines(asked.lines)? })
    }
}

impl Books {
    /// Has the order's last release be of these lines, if nobody took any of it out of the shelves.
    pub(in crate::standins::wms) fn change(&mut self, asked: AskedChange) -> Result<&Release, Refusal> {
        let place = self.releases.iter().rposition(|release| release.order_id == asked.order_id);
        let place = place.ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "no-such-order", "this order was never released".to_owned())
        })?;
        self.room(0, asked.lines.len())?;
        let Self { releases, stock, shorts, .. } = self;
        let release = releases.get_mut(place).ok_or_else(full)?;
        if !release.is_of(&asked.lines) {
            if ![Step::Open, Step::Allocated].contains(&release.step) {
                let code = if release.step == Step::Stopped { "stopped" } else { "already-picked" };
                let message = format!("the release is {}; it can be changed until it is picked", release.step.state());
                return Err(Refusal::new(StatusCode::CONFLICT, code, message));
            }
            release.put_back(stock);
            release.lines = asked.lines;
            if release.step == Step::Allocated {
                release.allocate(stock, shorts);
            }
        }
        self.levels.look(&self.stock, &self.releases);
        self.releases.get(place).ok_or_else(full)
    }
}

impl Release {
    /// Whether it is of just these lines.
    fn is_of(&self, lines: &[ReleaseLine]) -> bool {
        let is_there = |line: &ReleaseLine| {
            self.lines.iter().any(|known| {
                (&known.line_number, &known.sku, &known.unit) == (&line.line_number, &line.sku, &line.unit)
                    && Amount::of(&known.quantity) == Amount::of(&line.quantity)
                    && !known.stopped
            })
        };
        self.lines.len() == lines.len() && lines.iter().all(is_there)
    }

    /// What is set aside for it goes back.
    fn put_back(&mut self, stock: &mut Stock) {
        for line in &mut self.lines {
            give(stock, &self.node, &line.sku, std::mem::take(&mut line.set_aside));
        }
    }
}
