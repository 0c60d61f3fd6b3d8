//! The warehouse's books: what is in stock, what is to leave, what left, what comes back.
//!
//! Goods are counted in billionths of their unit, so that nothing is rounded. What is set
//! aside for a release is out of the stock; it leaves when the release is confirmed, or goes
//! back when it is stopped before. What was backordered leaves in a shipment of its own, once
//! somebody says that its item is there again.

mod change;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use portreeve_model::Instant;
use portreeve_model::value::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(super) use self::change::AskedChange;
use super::Refusal;
use super::level::{self, Levels, Standing};
use super::stock::Listed;
use crate::standins::amount::Amount;
use crate::standins::serving;

/// The node that a release goes to when no node has anything of it.
pub const NODE: &str = "DC-EAST";

/// When the first event happens: 2026-03-02T09:00:00Z. Each one takes a second.
pub const OPENS_AT: Instant = Instant(1_772_442_000_000);

/// Releases, stops, returns and things that were tried, of each. A sender in a loop meets a
/// refusal before the process runs out of memory. A benchmark has a million orders.
const RECORDS_MAX: usize = 4_000_000;

/// Lines of one release or return, and those that are kept over all.
const LINES_MAX: usize = 1_000;
const LINES_TOTAL_MAX: usize = 4_000_000;

/// Characters of what names something.
const NAME_CHARS_MAX: usize = 64;

/// How far a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nobody began.
    Open,
    /// Its stock is set aside.
    Allocated,
    /// It is out of the shelves.
    Picked,
    /// It is in its boxes.
    Packed,
    /// It is on the truck, which stands at the dock.
    Dispatched,
    /// It has left, but for what was backordered.
    Confirmed,
    /// It does not leave, or no more of it.
    Stopped,
}

impl Step {
    pub(super) fn state(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allocated => "allocated",
            Self::Picked => "picked",
            Self::Packed => "packed",
            Self::Dispatched => "dispatched",
            Self::Confirmed => "confirmed",
            Self::Stopped => "stopped",
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Open => Some(Self::Allocated),
            Self::Allocated => Some(Self::Picked),
            Self::Picked => Some(Self::Packed),
            Self::Packed => Some(Self::Dispatched),
            Self::Dispatched => Some(Self::Confirmed),
            Self::Confirmed | Self::Stopped => None,
        }
    }
}

/// Why less leaves than was asked for, in the WMS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The rest comes later.
    Backordered,
    /// The rest does not come.
    Cancelled,
    /// Another item came in its place.
    Substituted,
    /// The rest was no good.
    Damaged,
}

/// What each line of an item misses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    /// The item.
    pub sku: String,
    /// How much of a line is missing; all of it where it has less.
    pub missing: Decimal,
    /// Why.
    pub reason: Reason,
}

/// A release as the warehouse keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The warehouse's own number.
    pub id: String,
    /// The host's identifier of the order; not unique.
    pub order_id: String,
    /// The sender's number of it.
    pub order_number: String,
    /// Where it leaves from.
    pub node: String,
    /// How far it is.
    pub step: Step,
    /// Its lines, with those that were stopped.
    pub lines: Vec<ReleaseLine>,
    /// Its place among all entries of all stand-ins' ledgers.
    pub at: u64,
    shipment: Option<String>,
}

/// A line of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseLine {
    /// The sender's number of the line.
    pub line_number: String,
    /// The item.
    pub sku: String,
    /// How much is to leave.
    pub quantity: Decimal,
    /// The unit of it.
    pub unit: String,
    /// Whether it, or the rest of it, was stopped.
    pub stopped: bool,
    /// The place of that among all entries of all stand-ins' ledgers.
    pub stopped_at: Option<u64>,
    pub(super) set_aside: Amount,
    /// What left before.
    left: Amount,
    /// What people here took off it, before it was picked.
    taken_off: Amount,
    /// Whether what has not left never will.
    is_over: bool,
    reason: Option<Reason>,
}

/// Goods that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// The warehouse's number of it.
    pub number: String,
    /// The host's identifier of the order.
    pub order_id: String,
    /// Where it left from.
    pub node: String,
    /// Its lines.
    pub lines: Vec<ShippedLine>,
    /// When it left, as the warehouse says.
    pub left_at: Instant,
    /// Its place among all entries of all stand-ins' ledgers.
    pub at: u64,
}

/// A line of a shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedLine {
    /// The sender's number of the line.
    pub line_number: String,
    /// The item.
    pub sku: String,
    /// How much was to leave.
    pub ordered: Decimal,
    /// How much left.
    pub shipped: Decimal,
    /// The unit of both.
    pub unit: String,
    /// Why less, where it was.
    pub reason: Option<Reason>,
}

/// A stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The warehouse's number of it.
    pub id: String,
    /// The order.
    pub order_id: String,
    /// The lines; none for the whole order.
    pub lines: Vec<String>,
}

/// Goods that come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The warehouse's number of it.
    pub id: String,
    /// The order.
    pub order_id: String,
    /// The sender's number of the return.
    pub number: String,
    /// What comes back; nothing means all that left and that no other return is of, until it is
    /// here.
    pub lines: Vec<ReturnedLine>,
    /// Whether it is here.
    pub received: bool,
    /// The place of its arrival among all entries of all stand-ins' ledgers.
    pub received_at: Option<u64>,
}

/// A line of a return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnedLine {
    /// The line of the order, where it was named.
    pub line_number: Option<String>,
    /// The item.
    pub sku: String,
    /// How much.
    pub quantity: Decimal,
    /// The unit of it.
    pub unit: String,
}

/// What is in stock, by node and item.
type Stock = BTreeMap<String, BTreeMap<String, Amount>>;

/// Everything that the warehouse knows.
#[derive(Debug, Default)]
pub(super) struct Books {
    stock: Stock,
    shorts: Vec<Short>,
    restocked: BTreeSet<String>,
    pub(super) releases: Vec<Release>,
    pub(super) shipments: Vec<Shipment>,
    pub(super) stops: Vec<Stop>,
    pub(super) returns: Vec<Return>,
    lines_total: usize,
    attempts: BTreeMap<String, u32>,
    /// What mischief follows from beside what is tried.
    pub(super) seed: Option<u64>,
    said: Said,
    pub(super) levels: Levels,
    /// What lists say beside the numbers.
    pub(super) listed: Listed,
}

impl Books {
    pub(super) fn put(&mut self, node: &str, sku: &str, quantity: Decimal) {
        give(&mut self.stock, node, sku, Amount::of(&quantity));
    }

    /// Puts so much of an item into stock of which it says from now on how much there is.
    pub(super) fn put_told(&mut self, node: &str, sku: &str, quantity: Decimal, unit: &str) {
        self.put(node, sku, quantity);
        let standing =
            Standing { on_hand: Amount::of(&self.on_hand(node, sku)), available: Amount::of(&self.stock(node, sku)) };
        self.levels.begin(node, sku, unit, standing);
    }

    /// What lies at a node of an item, with what is set aside.
    pub(super) fn on_hand(&self, node: &str, sku: &str) -> Decimal {
        Amount::of(&self.stock(node, sku)).plus(level::set_aside(&self.releases, node, sku)).decimal()
    }

    pub(super) fn run_short(&mut self, short: Short) {
        self.shorts.push(short);
    }

    pub(super) fn restock(&mut self, sku: &str) {
        self.shorts.retain(|short| short.sku != sku);
        self.restocked.insert(sku.to_owned());
    }

    pub(super) fn stock(&self, node: &str, sku: &str) -> Decimal {
        self.stock.get(node).map_or(Amount::ZERO, |items| has(items, sku)).decimal()
    }

    /// What lies at each node, by node and item: available, and on hand with what is set aside.
    pub(super) fn levels(&self) -> BTreeMap<(String, String), (Amount, Amount)> {
        let mut levels = BTreeMap::new();
        for (node, items) in &self.stock {
            for (sku, amount) in items {
                levels.insert((sku.clone(), node.clone()), (*amount, *amount));
            }
        }
        for release in &self.releases {
            for line in &release.lines {
                let (_, on_hand) = levels.entry((line.sku.clone(), release.node.clone())).or_default();
                *on_hand = on_hand.plus(line.set_aside);
            }
        }
        levels
    }

    /// How often something was tried before.
    pub(super) fn attempt(&mut self, about: &str) -> Result<u32, Refusal> {
        if self.attempts.len() >= RECORDS_MAX && !self.attempts.contains_key(about) {
            return Err(full());
        }
        let count = self.attempts.entry(about.to_owned()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        Ok(before)
    }

    /// What was tried, and how often.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (&str, u32)> {
        self.attempts.iter().map(|(about, count)| (about.as_str(), *count))
    }

    pub(super) fn release(&mut self, asked: AskedRelease) -> Result<&Release, Refusal> {
        self.room(self.releases.len(), asked.lines.len())?;
        self.releases.push(Release {
            id: format!("RL-{}", 1 + self.releases.len()),
            order_id: asked.order_id,
            order_number: asked.order_number,
            node: NODE.to_owned(),
            step: Step::Open,
            lines: asked.lines,
            at: serving::entry(),
            shipment: None,
        });
        self.releases.last().ok_or_else(full)
    }

    /// Stops lines of all releases of an order, if of none all goods have left.
    pub(super) fn stop(&mut self, asked: AskedStop) -> Result<Stop, Refusal> {
        self.check_known(&asked)?;
        if let Some(before) = self.stopped_before(&asked) {
            return Ok(before.clone());
        }
        if self.releases_of(&asked.order_id).any(Release::has_left) {
            let message = "goods of the order have left".to_owned();
            return Err(Refusal::new(StatusCode::CONFLICT, "already-left", message));
        }
        self.room(self.stops.len(), asked.lines.len())?;
        for release in self.releases.iter_mut().filter(|release| release.order_id == asked.order_id) {
            release.stop(&asked, &mut self.stock);
        }
        let id = format!("ST-{}", 1 + self.stops.len());
        let stop = Stop { id, order_id: asked.order_id, lines: asked.lines };
        self.stops.push(stop.clone());
        self.levels.look(&self.stock, &self.releases);
        Ok(stop)
    }

    /// People take so much off a line, which is not to leave. Says whether it is not too late: what
    /// is out of the shelves stays as it is.
    pub(super) fn take_off(&mut self, order_id: &str, line_number: &str, quantity: Decimal) -> bool {
        let early = [Step::Open, Step::Allocated];
        let Self { releases, stock, .. } = self;
        let release = releases.iter_mut().find(|release| release.order_id == order_id && early.contains(&release.step));
        let Some(release) = release else { return false };
        let line = release.lines.iter_mut().find(|line| line.line_number == line_number);
        let Some(line) = line.filter(|line| Amount::of(&quantity) < line.rest()) else { return false };
        line.taken_off = line.taken_off.plus(Amount::of(&quantity));
        let (sku, back) = (line.sku.clone(), line.set_aside_less());
        give(stock, &release.node, &sku, back);
        self.levels.look(&self.stock, &self.releases);
        true
    }

    fn releases_of(&self, order_id: &str) -> impl Iterator<Item = &Release> {
        self.releases.iter().filter(move |release| release.order_id == order_id)
    }

    fn check_known(&self, asked: &AskedStop) -> Result<(), Refusal> {
        if self.releases_of(&asked.order_id).next().is_none() {
            let message = "this order was never released".to_owned();
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no-such-order", message));
        }
        let lines = self.releases_of(&asked.order_id).flat_map(|release| &release.lines);
        let known: BTreeSet<&str> = lines.map(|line| line.line_number.as_str()).collect();
        if !asked.lines.iter().all(|number| known.contains(number.as_str())) {
            return Err(Refusal::invalid("lines names a line that the order does not have".to_owned()));
        }
        Ok(())
    }

    /// The last stop, where all that is asked for is stopped already: it is answered as before.
    fn stopped_before(&self, asked: &AskedStop) -> Option<&Stop> {
        let lines = self.releases_of(&asked.order_id).flat_map(|release| &release.lines);
        let done = lines.filter(|line| asked.names(line)).all(|line| line.stopped)
            || (asked.lines.is_empty() && self.standing(&asked.order_id).0 == "stopped");
        self.stops.iter().rfind(|stop| stop.order_id == asked.order_id).filter(|_| done)
    }

    /// Whether all of an order is stopped, and which of its lines.
    pub(super) fn standing(&self, order_id: &str) -> (&'static str, BTreeSet<&str>) {
        let stopped = self.releases_of(order_id).flat_map(|release| &release.lines).filter(|line| line.stopped);
        let all = self.releases_of(order_id).all(|release| release.step == Step::Stopped);
        (if all { "stopped" } else { "part-stopped" }, stopped.map(|line| line.line_number.as_str()).collect())
    }

    pub(super) fn expect(&mut self, asked: AskedReturn) -> Result<&Return, Refusal> {
        self.room(self.returns.len(), asked.lines.len())?;
        self.returns.push(Return {
            id: format!("RT-{}", 1 + self.returns.len()),
            order_id: asked.order_id,
            number: asked.return_number,
            lines: asked.lines,
            received: false,
            received_at: None,
        });
        self.returns.last().ok_or_else(full)
    }

    /// Counts new lines, where there is room for one more record with them.
    fn room(&mut self, records: usize, lines: usize) -> Result<(), Refusal> {
        let lines_total = self.lines_total.saturating_add(lines);
        if records >= RECORDS_MAX || lines_total > LINES_TOTAL_MAX {
            return Err(full());
        }
        self.lines_total = lines_total;
        Ok(())
    }

    /// Takes everything that is open one step on.
    pub(super) fn work(&mut self) -> Result<Vec<String>, serde_json::Error> {
        let Self { stock, shorts, restocked, releases, shipments, returns, said, .. } = self;
        let mut bodies = vec![];
        for release in releases.iter_mut() {
            let Some(next) = release.next(restocked) else { continue };
            release.step = next;
            match next {
                Step::Allocated => release.allocate(stock, shorts),
                Step::Picked => release.shipment = Some(said.shipment_number()),
                Step::Confirmed => shipments.push(release.leave()),
                Step::Open | Step::Packed | Step::Dispatched | Step::Stopped => {}
            }
            bodies.push(said.of_release(release)?);
            if next == Step::Confirmed {
                release.count_what_left();
                if let Some(shipment) = shipments.last_mut() {
                    shipment.left_at = said.now();
                }
            }
        }
        let announced = announced(returns);
        for back in returns.iter_mut().filter(|back| !back.received) {
            if back.arrive(shipments, &announced, stock) {
                bodies.push(said.of_return(back)?);
            }
        }
        self.levels.look(&self.stock, &self.releases);
        Ok(bodies)
    }
}

fn has(items: &BTreeMap<String, Amount>, sku: &str) -> Amount {
    items.get(sku).copied().unwrap_or_default()
}

fn give(stock: &mut Stock, node: &str, sku: &str, amount: Amount) {
    if amount == Amount::ZERO {
        return;
    }
    let item = stock.entry(node.to_owned()).or_default().entry(sku.to_owned()).or_default();
    *item = item.plus(amount);
}

/// How much of an order's line is announced to come back.
type Announced = BTreeMap<(String, String), Amount>;

fn announced(returns: &[Return]) -> Announced {
    let mut announced = Announced::new();
    for back in returns {
        for line in &back.lines {
            let of = (back.order_id.clone(), line.line_number.clone().unwrap_or_default());
            let sum = announced.entry(of).or_default();
            *sum = sum.plus(Amount::of(&line.quantity));
        }
    }
    announced
}

impl Release {
    /// Stops what has not left of lines; what was set aside for it goes back.
    fn stop(&mut self, asked: &AskedStop, stock: &mut Stock) {
        for line in self.lines.iter_mut().filter(|line| line.rest() > Amount::ZERO && asked.names(line)) {
            give(stock, &self.node, &line.sku, std::mem::take(&mut line.set_aside));
            line.stopped = true;
            line.stopped_at = Some(serving::entry());
        }
        if self.going().next().is_none() {
            self.step = Step::Stopped;
        }
    }

    /// The step after the one that it is on. What was backordered begins again when it is there.
    fn next(&self, restocked: &BTreeSet<String>) -> Option<Step> {
        match self.step {
            Step::Confirmed => self.going().any(|line| restocked.contains(&line.sku)).then_some(Step::Allocated),
            step => step.next(),
        }
    }

    /// Whether it has left, and nothing is to follow.
    fn has_left(&self) -> bool {
        self.step == Step::Confirmed && self.going().next().is_none()
    }

    /// Sets stock aside at the first node, by name, that has all of it; else at the first
    /// that has something, and is short of the rest.
    fn allocate(&mut self, stock: &mut Stock, shorts: &[Short]) {
        for line in self.lines.iter_mut().filter(|line| line.rest() > Amount::ZERO) {
            let short = shorts.iter().rfind(|short| short.sku == line.sku);
            line.reason = short.map(|short| short.reason);
            line.set_aside = line.rest().minus(short.map_or(Amount::ZERO, |s| Amount::of(&s.missing)));
            line.set_aside_less();
        }
        let whole = stock.iter().find(|(_, items)| self.missing(items).is_empty());
        let some = || stock.iter().find(|(_, items)| self.going().any(|line| has(items, &line.sku) > Amount::ZERO));
        self.node = whole.or_else(some).map_or(NODE, |(node, _)| node).to_owned();

        let items = stock.entry(self.node.clone()).or_default();
        for line in &mut self.lines {
            let has = items.entry(line.sku.clone()).or_default();
            if *has < line.set_aside {
                line.set_aside = *has;
                line.reason = line.reason.or(Some(Reason::Backordered));
            }
            *has = has.minus(line.set_aside);
        }
    }

    /// Items of which a node has less than is to be set aside.
    fn missing(&self, items: &BTreeMap<String, Amount>) -> BTreeSet<&str> {
        let mut wanted: BTreeMap<&str, Amount> = BTreeMap::new();
        for line in &self.lines {
            let sum = wanted.entry(&line.sku).or_default();
            *sum = sum.plus(line.set_aside);
        }
        wanted.into_iter().filter(|(sku, wanted)| has(items, sku) < *wanted).map(|(sku, _)| sku).collect()
    }

    /// Lines that are still to leave.
    fn going(&self) -> impl Iterator<Item = &ReleaseLine> {
        self.lines.iter().filter(|line| line.rest() > Amount::ZERO)
    }

    fn leave(&self) -> Shipment {
        let lines = self.going().map(|line| ShippedLine {
            line_number: line.line_number.clone(),
            sku: line.sku.clone(),
            ordered: line.rest().decimal(),
            shipped: line.set_aside.decimal(),
            unit: line.unit.clone(),
            reason: line.why(),
        });
        let number = self.shipment.clone().unwrap_or_default();
        let (order_id, node, lines) = (self.order_id.clone(), self.node.clone(), lines.collect());
        Shipment { number, order_id, node, lines, left_at: OPENS_AT, at: serving::entry() }
    }

    /// What was set aside is gone; the rest of it follows, where it was backordered.
    fn count_what_left(&mut self) {
        self.shipment = None;
        for line in &mut self.lines {
            line.is_over |= line.why().is_some_and(|reason| reason != Reason::Backordered);
            line.left = line.left.plus(std::mem::take(&mut line.set_aside));
        }
    }
}

impl ReleaseLine {
    /// What is still to leave.
    fn rest(&self) -> Amount {
        if self.stopped || self.is_over { Amount::ZERO } else { Amount::of(&self.quantity).minus(self.left) }
    }

    /// Of what people took off nothing is set aside. Returns what was.
    fn set_aside_less(&mut self) -> Amount {
        let most = self.rest().minus(self.taken_off);
        if self.taken_off == Amount::ZERO || self.set_aside <= most {
            return Amount::ZERO;
        }
        self.reason = Some(Reason::Cancelled);
        let before = std::mem::replace(&mut self.set_aside, most);
        before.minus(most)
    }

    /// Why it is short, if it is.
    fn why(&self) -> Option<Reason> {
        self.reason.filter(|_| self.set_aside < self.rest())
    }
}

impl Return {
    /// Takes the goods in, once some of their order have left. Says whether they are here.
    fn arrive(&mut self, shipments: &[Shipment], announced: &Announced, stock: &mut Stock) -> bool {
        let of_order = || shipments.iter().filter(|shipment| shipment.order_id == self.order_id);
        let Some(node) = of_order().next().map(|shipment| shipment.node.as_str()) else { return false };
        if self.lines.is_empty() {
            self.lines = all_that_left(of_order().flat_map(|shipment| &shipment.lines));
            for line in &mut self.lines {
                let of = (self.order_id.clone(), line.line_number.clone().unwrap_or_default());
                let elsewhere = announced.get(&of).copied().unwrap_or_default();
                line.quantity = Amount::of(&line.quantity).minus(elsewhere).decimal();
            }
            self.lines.retain(|line| line.quantity.units > 0);
        }
        for line in &self.lines {
            give(stock, node, &line.sku, Amount::of(&line.quantity));
        }
        // Of nothing that left nothing comes back.
        self.received = !self.lines.is_empty();
        self.received_at = self.received.then(serving::entry);
        self.received
    }
}

/// Each line once, with all of it that left.
fn all_that_left<'a>(shipped: impl Iterator<Item = &'a ShippedLine>) -> Vec<ReturnedLine> {
    let mut lines: Vec<ReturnedLine> = vec![];
    for shipped in shipped {
        let number = Some(shipped.line_number.clone());
        match lines.iter_mut().find(|line| line.line_number == number) {
            Some(line) => line.quantity = Amount::of(&line.quantity).plus(Amount::of(&shipped.shipped)).decimal(),
            None => lines.push(ReturnedLine {
                line_number: number,
                sku: shipped.sku.clone(),
                quantity: shipped.shipped,
                unit: shipped.unit.clone(),
            }),
        }
    }
    lines
}

/// What was said so far: numbers and times count on from it.
#[derive(Debug, Default)]
struct Said {
    events: u32,
    shipments: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipment_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    lines: Vec<EventLine<'a>>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct EventLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line_number: Option<&'a str>,
    sku: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordered: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipped: Option<Amount>,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

impl Said {
    fn shipment_number(&mut self) -> String {
        self.shipments = self.shipments.saturating_add(1);
        format!("SH-{}", self.shipments)
    }

    /// The id and the time of the next event.
    fn stamp(&mut self) -> (String, String) {
        self.events = self.events.saturating_add(1);
        (format!("EV-{}", self.events), self.now().to_string())
    }

    /// The time of the last event.
    fn now(&self) -> Instant {
        OPENS_AT.plus_ms(i64::from(self.events) * 1_000)
    }

    fn of_release(&mut self, release: &Release) -> Result<String, serde_json::Error> {
        let (step, (id, at)) = (release.step, self.stamp());
        let lines = release.going().map(|of| {
            let (set_aside, ordered) = (of.set_aside, of.rest());
            let (line_number, sku, unit) = (Some(of.line_number.as_str()), of.sku.as_str(), of.unit.as_str());
            let named = EventLine { line_number, sku, unit, ..EventLine::default() };
            match step {
                Step::Allocated => EventLine { node: Some(&release.node), quantity: Some(set_aside), ..named },
                Step::Confirmed => {
                    EventLine { ordered: Some(ordered), shipped: Some(set_aside), reason: of.why(), ..named }
                }
                _ => EventLine { quantity: Some(set_aside), ..named },
            }
        });
        let (lines, shipment_number) = (lines.collect(), release.shipment.as_deref());
        let node = Some(release.node.as_str()).filter(|_| step != Step::Allocated);
        let (kind, order_id) = (step.state(), release.order_id.as_str());
        serde_json::to_string(&Event { id, kind, at, order_id, shipment_number, return_number: None, node, lines })
    }

    fn of_return(&mut self, back: &Return) -> Result<String, serde_json::Error> {
        let (id, at) = self.stamp();
        let lines = back.lines.iter().map(|line| EventLine {
            line_number: line.line_number.as_deref(),
            sku: &line.sku,
            quantity: Some(Amount::of(&line.quantity)),
            unit: &line.unit,
            ..EventLine::default()
        });
        let (kind, order_id, lines) = ("return-received", back.order_id.as_str(), lines.collect());
        let return_number = Some(back.number.as_str());
        serde_json::to_string(&Event {
            id,
            kind,
            at,
            order_id,
            shipment_number: None,
            return_number,
            node: None,
            lines,
        })
    }
}

fn full() -> Refusal {
    let message = "the stand-in keeps no more; start a new one".to_owned();
    Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "full", message)
}

/// A release that the warehouse could take.
pub(super) struct AskedRelease {
    pub(super) order_id: String,
    order_number: String,
    lines: Vec<ReleaseLine>,
}

/// A stop that can be understood.
pub(super) struct AskedStop {
    order_id: String,
    lines: Vec<String>,
}

/// A return that the warehouse could wait for.
pub(super) struct AskedReturn {
    pub(super) order_id: String,
    pub(super) return_number: String,
    lines: Vec<ReturnedLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewRelease {
    order_id: String,
    order_number: String,
    ship_to: serde_json::Map<String, serde_json::Value>,
    lines: Vec<NewLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewStop {
    order_id: String,
    lines: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewReturn {
    order_id: String,
    return_number: String,
    lines: Vec<NewLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewLine {
    line_number: Option<String>,
    sku: String,
    quantity: Box<RawValue>,
    unit: String,
}

impl AskedRelease {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let asked: NewRelease = read(body, "release")?;
        named("orderId", &asked.order_id)?;
        named("orderNumber", &asked.order_number)?;
        if asked.ship_to.is_empty() || asked.lines.is_empty() {
            return Err(Refusal::invalid("shipTo and lines must be filled in".to_owned()));
        }
        let lines = release_lines(asked.lines)?;
        Ok(Self { order_id: asked.order_id, order_number: asked.order_number, lines })
    }
}

/// Lines that are to leave, each with a number of its own.
fn release_lines(asked: Vec<NewLine>) -> Result<Vec<ReleaseLine>, Refusal> {
    let lines: Vec<ReleaseLine> = lines(asked, |line, quantity| {
        let line_number = line.line_number.unwrap_or_default();
        named("lineNumber", &line_number)?;
        Ok(ReleaseLine {
            line_number,
            sku: line.sku,
            quantity,
            unit: line.unit,
            stopped: false,
            stopped_at: None,
            set_aside: Amount::ZERO,
            left: Amount::ZERO,
            taken_off: Amount::ZERO,
            is_over: false,
            reason: None,
        })
    })?;
    let numbers: BTreeSet<&str> = lines.iter().map(|line| line.line_number.as_str()).collect();
    if numbers.len() < lines.len() {
        return Err(Refusal::invalid("lines has a lineNumber twice".to_owned()));
    }
    Ok(lines)
}

impl AskedStop {
    fn names(&self, line: &ReleaseLine) -> bool {
        self.lines.is_empty() || self.lines.contains(&line.line_number)
    }

    pub(super) fn read(body: &[u8], order_id: &str) -> Result<Self, Refusal> {
        let asked: NewStop = read(body, "stop")?;
        if asked.order_id != order_id {
            return Err(Refusal::invalid("orderId is another one than the address has".to_owned()));
        }
        some(asked.lines.len())?;
        Ok(Self { order_id: asked.order_id, lines: asked.lines })
    }
}

impl AskedReturn {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let asked: NewReturn = read(body, "return")?;
        named("orderId", &asked.order_id)?;
        if asked.return_number.is_empty() {
            return Err(Refusal::invalid("returnNumber must be filled in".to_owned()));
        }
        let lines = lines(asked.lines, |line, quantity| {
            Ok(ReturnedLine { line_number: line.line_number, sku: line.sku, quantity, unit: line.unit })
        })?;
        Ok(Self { order_id: asked.order_id, return_number: asked.return_number, lines })
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is no {what}: {error}")))
}

fn lines<T>(asked: Vec<NewLine>, make: impl Fn(NewLine, Decimal) -> Result<T, Refusal>) -> Result<Vec<T>, Refusal> {
    some(asked.len())?;
    let made = asked.into_iter().map(|line| {
        named("sku", &line.sku)?;
        named("unit", &line.unit)?;
        // The digits that were sent; a float would be another quantity.
        let quantity = Decimal::parse(line.quantity.get());
        let quantity = quantity.map_err(|error| Refusal::invalid(format!("quantity: {error}")))?;
        if quantity.units <= 0 {
            return Err(Refusal::invalid(format!("quantity is {quantity}; it must be more than 0")));
        }
        make(line, quantity)
    });
    made.collect()
}

fn some(lines: usize) -> Result<(), Refusal> {
    if lines > LINES_MAX {
        return Err(Refusal::invalid(format!("lines has {lines}; at most {LINES_MAX} are allowed")));
    }
    Ok(())
}

fn named(field: &str, value: &str) -> Result<(), Refusal> {
    match value.chars().count() {
        1..=NAME_CHARS_MAX => Ok(()),
        found => Err(Refusal::invalid(format!("{field} has {found} characters; 1 to {NAME_CHARS_MAX} are allowed"))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;

    fn asked(order: &str, lines: &[(&str, &str)]) -> AskedRelease {
        let line = |(sku, quantity): &(&str, &str)| {
            format!(r#"{{"lineNumber":"{sku}","sku":"{sku}","quantity":{quantity},"unit":"EA"}}"#)
        };
        let lines: Vec<String> = lines.iter().map(line).collect();
        let lines = lines.join(",");
        let body =
            format!(r#"{{"orderId":"{order}","orderNumber":"1","shipTo":{{"city":"Portland"}},"lines":[{lines}]}}"#);
        AskedRelease::read(body.as_bytes()).unwrap()
    }

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    fn worked(books: &mut Books, steps: usize) -> Vec<Value> {
        (0..steps).flat_map(|_| books.work().unwrap()).map(|body| serde_json::from_str(&body).unwrap()).collect()
    }

    #[test]
    fn a_release_takes_its_five_steps_and_its_goods_out_of_the_stock() {
        let mut books = Books::default();
        books.put("B", "X", decimal("10"));
        books.release(asked("O", &[("X", "2.50")])).unwrap();
        let said = worked(&mut books, 7);
        let kinds: Vec<_> = said.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["allocated", "picked", "packed", "dispatched", "confirmed"]);
        assert_eq!(
            said[0]["lines"],
            json!([{"lineNumber": "X", "sku": "X", "node": "B", "quantity": 2.5, "unit": "EA"}])
        );
        let confirmed = json!([{"lineNumber": "X", "sku": "X", "ordered": 2.5, "shipped": 2.5, "unit": "EA"}]);
        assert_eq!((&said[4]["lines"], &said[4]["shipmentNumber"]), (&confirmed, &said[1]["shipmentNumber"]));
        assert_eq!((books.stock("B", "X"), books.shipments.len()), (decimal("7.5"), 1));
    }

    #[test]
    fn goods_leave_from_the_first_node_that_has_them_all_and_what_nobody_has_is_short() {
        let mut books = Books::default();
        for (node, sku, quantity) in [("A", "X", "1"), ("B", "X", "5"), ("B", "Y", "1"), ("C", "X", "9")] {
            books.put(node, sku, decimal(quantity));
        }
        books.release(asked("O", &[("X", "3"), ("Y", "1")])).unwrap();
        books.release(asked("P", &[("X", "7"), ("Y", "1")])).unwrap();
        worked(&mut books, 5);
        let left = |shipment: &Shipment| -> Vec<(String, Option<Reason>)> {
            shipment.lines.iter().map(|line| (line.shipped.to_string(), line.reason)).collect()
        };
        assert_eq!(books.shipments[0].node, "B");
        assert_eq!(left(&books.shipments[0]), [("3".to_owned(), None), ("1".to_owned(), None)]);
        assert_eq!(books.shipments[1].node, "A");
        let short = Some(Reason::Backordered);
        assert_eq!(left(&books.shipments[1]), [("1".to_owned(), short), ("0".to_owned(), short)]);
    }

    #[test]
    fn what_was_backordered_leaves_in_a_shipment_of_its_own_once_it_is_there() {
        let mut books = Books::default();
        books.put(NODE, "X", decimal("10"));
        books.run_short(Short { sku: "X".to_owned(), missing: decimal("3"), reason: Reason::Backordered });
        books.release(asked("O", &[("X", "5"), ("Y", "1")])).unwrap();
        books.put(NODE, "Y", decimal("1"));
        assert_eq!(worked(&mut books, 9).len(), 5, "nothing happens until it is there");
        books.restock("X");
        let said = worked(&mut books, 9);
        let kinds: Vec<_> = said.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["allocated", "picked", "packed", "dispatched", "confirmed"]);
        let rest = json!([{"lineNumber": "X", "sku": "X", "ordered": 3, "shipped": 3, "unit": "EA"}]);
        assert_eq!(said[4]["lines"], rest);
        assert_eq!(said[0].get("shipmentNumber"), None);
        let numbers: Vec<&str> = books.shipments.iter().map(|shipment| shipment.number.as_str()).collect();
        assert_eq!((numbers, books.stock(NODE, "X")), (vec!["SH-1", "SH-2"], decimal("5")));
        let all = br#"{"orderId":"O","returnNumber":"cancel-O","lines":[]}"#;
        books.expect(AskedReturn::read(all).unwrap()).unwrap();
        worked(&mut books, 1);
        assert_eq!(books.returns[0].lines[0].quantity, decimal("5"), "one line of both shipments");
    }

    #[test]
    fn the_rest_of_what_was_backordered_can_be_stopped_and_what_left_cannot() {
        let mut books = Books::default();
        books.put(NODE, "X", decimal("10"));
        books.run_short(Short { sku: "X".to_owned(), missing: decimal("3"), reason: Reason::Backordered });
        books.release(asked("O", &[("X", "5")])).unwrap();
        worked(&mut books, 5);
        books.restock("X");
        worked(&mut books, 2);
        assert_eq!(books.stock(NODE, "X"), decimal("5"), "the rest is set aside");
        let stop = || AskedStop::read(br#"{"orderId":"O","lines":[]}"#, "O").unwrap();
        let first = books.stop(stop()).unwrap();
        assert_eq!((books.standing("O").0, books.stop(stop()).unwrap()), ("stopped", first));
        assert_eq!((worked(&mut books, 5).len(), books.stock(NODE, "X")), (0, decimal("8")));
        let (line, shipment) = (&books.releases[0].lines[0], &books.shipments[0]);
        assert!(line.stopped && line.stopped_at > Some(shipment.at), "{line:?}");
    }

    #[test]
    fn of_what_comes_back_otherwise_a_return_of_everything_is_not() {
        let mut books = Books::default();
        books.put(NODE, "X", decimal("10"));
        books.release(asked("O", &[("X", "10")])).unwrap();
        for (number, lines) in [("R", r#"{"lineNumber":"X","sku":"X","quantity":2,"unit":"EA"}"#), ("cancel-O", "")] {
            let body = format!(r#"{{"orderId":"O","returnNumber":"{number}","lines":[{lines}]}}"#);
            books.expect(AskedReturn::read(body.as_bytes()).unwrap()).unwrap();
        }
        worked(&mut books, 5);
        let back: Vec<_> = books.returns.iter().map(|back| back.lines[0].quantity.to_string()).collect();
        assert_eq!((back, books.stock(NODE, "X")), (vec!["2".to_owned(), "8".to_owned()], decimal("10")));
    }

    #[test]
    fn what_comes_back_of_a_whole_order_is_what_had_left() {
        let mut books = Books::default();
        books.put(NODE, "X", decimal("4"));
        books.run_short(Short { sku: "X".to_owned(), missing: decimal("1"), reason: Reason::Damaged });
        books.release(asked("O", &[("X", "3")])).unwrap();
        let body = br#"{"orderId":"O","returnNumber":"cancel-O","lines":[]}"#;
        books.expect(AskedReturn::read(body).unwrap()).unwrap();
        let said = worked(&mut books, 6);
        let back = said.iter().find(|event| event["type"] == "return-received").unwrap();
        assert_eq!((&back["returnNumber"], &back["lines"][0]["quantity"]), (&json!("cancel-O"), &json!(2)));
        assert_eq!((books.stock(NODE, "X"), books.returns[0].received), (decimal("4"), true));
        let (release, shipment) = (books.releases[0].at, books.shipments[0].at);
        assert!(release < shipment && Some(shipment) < books.returns[0].received_at, "one after the other");
        assert!(said.iter().all(|event| event.get("receivedAt").is_none() && event["at"].is_string()), "{said:?}");
    }

    #[test]
    fn refuses_nonsense_with_the_field_that_is_wrong() {
        let good = r#"{"orderId":"O","orderNumber":"1","shipTo":{"city":"P"},"lines":[{"lineNumber":"1","sku":"X","quantity":5,"unit":"EA"}]}"#;
        assert!(AskedRelease::read(good.as_bytes()).is_ok());
        for (from, to, named) in [
            (r#""orderId":"O""#, r#""orderId":"""#, "orderId"),
            (r#"{"city":"P"}"#, "{}", "shipTo"),
            (r#""quantity":5"#, r#""quantity":0"#, "quantity"),
            (r#""quantity":5"#, r#""quantity":"5""#, "quantity"),
            (r#""unit":"EA""#, r#""unit":"""#, "unit"),
            (r#""lineNumber":"1","#, "", "lineNumber"),
            ("{", "[", "no release"),
        ] {
            let refused = AskedRelease::read(good.replacen(from, to, 1).as_bytes()).err().unwrap();
            assert!(refused.message.contains(named), "{}", refused.message);
        }
        let twice = good.replacen("]", r#",{"lineNumber":"1","sku":"Y","quantity":1,"unit":"EA"}]"#, 1);
        assert!(AskedRelease::read(twice.as_bytes()).err().unwrap().message.contains("twice"));
        assert!(AskedStop::read(br#"{"orderId":"O","lines":[]}"#, "P").err().unwrap().message.contains("orderId"));
        let many = format!(r#"{{"orderId":"O","lines":[{}"1"]}}"#, r#""1","#.repeat(LINES_MAX));
        assert!(AskedStop::read(many.as_bytes(), "O").err().unwrap().message.contains("at most"));
    }

    #[test]
    fn keeps_no_more_lines_than_it_has_memory_for() {
        let mut books = Books { lines_total: LINES_TOTAL_MAX - 1, ..Books::default() };
        assert!(books.release(asked("O", &[("X", "1")])).is_ok());
        let refused = books.release(asked("O", &[("X", "1")])).err().unwrap();
        assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    }
}
