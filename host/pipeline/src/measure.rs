//! The measures that leaders ask for: how long orders take, how often people have to touch them,
//! what goes wrong and where, and what targets make of deliveries.
//!
//! All of them are about one cohort: the orders that were decided in a window, with what became
//! of them until now. So an order counts in one window, and every share has orders of the same
//! kind above and below its line. What it costs: of orders that were decided an hour ago few are
//! paid, and those are the quick ones. A look at a window that ended long enough ago says how
//! long orders take; a look at the last day says what goes wrong now. How many orders a duration
//! was measured on stands beside it, and a share of nothing is absent.
//!
//! Danger: a cohort may be a million orders. They are read page by page and added up at once;
//! durations are kept as counts of values that are rounded up to six binary digits, which is at
//! most a thirty-second too long and never too short, whatever their number. Codes come from
//! plugins as well, so that only [`CAUSES_MAX`] of them are told apart.
//!
//! Beside the cohort stands how the host itself was run in the same window, [`operations`]: changes
//! and rollbacks, how well systems agree and what that takes, the time to onboard something. None
//! of that is about an order.
//!
//! Left out, since nothing on record says it: touches per supplier transaction (nothing is bought
//! through this host: no order goes to a supplier, and none of its answers comes). What never became
//! an order, such as an input that nobody could read, is in no cohort. How long a message waited
//! before it was taken up for the first time is not kept, and in no latency.

pub mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portreeve_model::{Event, Instant, ProcessState};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    After, EARLY_EVENT, EventOutcome, ExceptionsOfOrder, MeasuredOrder, OrderEventKind, PayloadRef, Period, Store,
};
use tokio::sync::Mutex;

use crate::Pipeline;
use crate::decision::DecisionRecord;
use crate::oversight::{self, Times, share_bp};
use crate::process::Progress;
use operations::Operations;

/// Orders that are read together.
const PAGE: u32 = 256;

/// Causes that are told apart; all others are one, [`OTHER`].
pub const CAUSES_MAX: usize = 256;

/// Nodes that are told apart: systems name them, and they are labels of metrics. All others are one,
/// [`OTHER`].
pub const NODES_MAX: usize = 64;

/// The stage and the code of exceptions, and the node, that are not told apart.
pub const OTHER: &str = "other";

/// The stage of exceptions about deliveries.
const DELIVER: &str = "deliver";

/// Hours that metrics go back.
const RECENT_HOURS: u16 = 24;

/// How long one look is good enough for metrics. It reads a day's orders.
const RECENT_KEPT_MS: i64 = 300_000;

/// How long whoever reads metrics waits for a look, before what the last one saw has to do. A
/// monitor gives up after ten seconds, and then has none of the metrics.
const RECENT_WAIT: Duration = Duration::from_secs(5);

/// The measures of a window: of the orders that were decided in it, as of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measures {
    /// The window. It begins with an hour.
    pub period: Period,
    /// Orders that were decided in the window: the cohort.
    pub orders: u64,
    /// Cycle times, by channel.
    pub channels: BTreeMap<String, ChannelMeasures>,
    /// Cycle times, by the node that the order left first: that of the first `shipment.confirmed`
    /// that counted.
    pub nodes: BTreeMap<String, NodeMeasures>,
    /// Those of the shipped whose first shipment names no node, or whose content retention removed:
    /// they are of no node.
    pub shipped_without_node: u64,
    /// From receipt of the first `shipment.confirmed` that counted to receipt of the first
    /// `invoice.posted` that did, of orders of the cohort that have both; milliseconds. One that
    /// was invoiced first has 0.
    pub invoice_latency: Times,
    /// From receipt of the first `invoice.posted` that counted to receipt of the last event that
    /// settled the order (`payment.settled` or, where it was prepaid, `invoice.posted`), of orders
    /// of the cohort that are settled now; milliseconds.
    pub close_cycle: Times,
    /// Steps that people took about exceptions of the cohort's orders: the numerator of touches
    /// per order, whose denominator is the cohort.
    pub touches: u64,
    /// Orders of the cohort with at least one such step.
    pub touched_orders: u64,
    /// `return.requested` events of the cohort's orders that counted.
    pub returns: u64,
    /// Those of the touches that are about what was said of a return (requested or received) or a
    /// delivery made of it: the numerator of touches per return.
    pub return_touches: u64,
    /// Exceptions about the cohort's orders, by stage and code, in that order.
    pub causes: BTreeMap<(String, String), CauseMeasures>,
    /// Orders of the cohort with a `shipment.confirmed` that counted: what shipment exceptions are
    /// shared among.
    pub shipped: u64,
    /// Those of the shipped of which a `shipment.delayed` counted, or about a shipment event of
    /// which people had to know something else than that it came too early.
    pub shipment_exceptions: u64,
    /// Those of the shipped of which all that is to leave has left, that their sender did not ask
    /// to cancel, and whose quantities are still kept: what accuracy is a share of. Retention
    /// removes quantities.
    pub fulfilled: u64,
    /// Those of the fulfilled of which every line left in the ordered quantity, without a shipment
    /// exception. A substitute counts as what it takes the place of.
    pub fulfilled_accurately: u64,
    /// What targets made of deliveries, by target.
    pub targets: BTreeMap<String, TargetMeasures>,
    /// How the host itself was run in the window.
    pub operations: Operations,
}

/// How long orders take that left a node first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeMeasures {
    /// From receipt of an order to receipt of the first `shipment.confirmed` that counted, of the
    /// orders of the cohort that it was from there; milliseconds.
    pub to_shipment: Times,
    /// From receipt of an order to receipt of the last event that settled it, of those of them that
    /// are settled now; milliseconds.
    pub to_settlement: Times,
}

/// How long orders of a channel take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelMeasures {
    /// Orders of the cohort that came by it.
    pub orders: u64,
    /// From receipt of an order to receipt of the first `shipment.confirmed` that counted, of
    /// those orders that have one; milliseconds.
    pub to_shipment: Times,
    /// From receipt of an order to receipt of the last event that settled it, of those orders that
    /// are settled now; milliseconds.
    pub to_settlement: Times,
}

/// What went wrong for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CauseMeasures {
    /// Exceptions, open and closed.
    pub exceptions: u64,
    /// Orders that had one: the numerator of the rate, whose denominator is the cohort.
    pub orders: u64,
}

/// What a target made of the deliveries of the cohort's orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetMeasures {
    /// Deliveries that were made for it.
    pub deliveries: u64,
    /// Those that it has.
    pub delivered: u64,
    /// Attempts that began: the denominator of the failure rate.
    pub attempts: u64,
    /// Attempts after which it did not have the delivery, with one that is under way or in doubt
    /// now: the numerator of the failure rate. One that it turned out to have all the same did not
    /// fail.
    pub failed_attempts: u64,
    /// Attempts after the first of a delivery.
    pub retries: u64,
    /// Deliveries with more than one attempt.
    pub retried: u64,
    /// Deliveries that the host gave up and asked a person about, whatever became of them.
    pub given_up: u64,
    /// From when a delivery was taken up first until the host knew that the target has it, of
    /// those that it has and that no person had tried again; milliseconds.
    pub latency: Times,
}

impl Measures {
    /// Touches of a hundred orders, rounded down; none where there is no order.
    #[must_use]
    pub fn touches_per_hundred_orders(&self) -> Option<u64> {
        per_hundred(self.touches, self.orders)
    }

    /// Touches of a hundred returns, rounded down; none where there is no return.
    #[must_use]
    pub fn touches_per_hundred_returns(&self) -> Option<u64> {
        per_hundred(self.return_touches, self.returns)
    }

    /// Orders that had an exception of a cause among the cohort, basis points; none where there is
    /// no order.
    #[must_use]
    pub fn cause_bp(&self, cause: &CauseMeasures) -> Option<u64> {
        share_bp(cause.orders, self.orders)
    }

    /// Orders with a shipment exception among those that shipped, basis points; none where none
    /// did.
    #[must_use]
    pub fn shipment_exception_bp(&self) -> Option<u64> {
        share_bp(self.shipment_exceptions, self.shipped)
    }

    /// Orders that left as they were ordered among those that left, basis points; none where none
    /// did.
    #[must_use]
    pub fn accuracy_bp(&self) -> Option<u64> {
        share_bp(self.fulfilled_accurately, self.fulfilled)
    }
}

impl TargetMeasures {
    /// Failed attempts among all, basis points; none where there is no attempt.
    #[must_use]
    pub fn failure_bp(&self) -> Option<u64> {
        share_bp(self.failed_attempts, self.attempts)
    }
}

fn per_hundred(part: u64, whole: u64) -> Option<u64> {
    part.saturating_mul(100).checked_div(whole)
}

// --- adding up -----------------------------------------------------------------------------------

/// Durations, however many, as counts of rounded ones.
#[derive(Debug, Default)]
struct Durations(BTreeMap<i64, u64>);

/// Binary digits that are kept of a duration.
const DIGITS: u32 = 6;

impl Durations {
    fn add(&mut self, from: Instant, to: Instant) {
        let ms = u64::try_from(to.0.saturating_sub(from.0)).unwrap_or_default();
        let beyond = u64::BITS.saturating_sub(ms.leading_zeros()).saturating_sub(DIGITS);
        let step = 1_u64.checked_shl(beyond).unwrap_or(1);
        let rounded = ms.checked_next_multiple_of(step).unwrap_or(ms);
        add(self.0.entry(i64::try_from(rounded).unwrap_or(i64::MAX)).or_default(), 1);
    }

    fn times(&self) -> Times {
        let count = self.0.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let reached = |tenths: u64| {
            let rank = count.saturating_mul(tenths).div_ceil(10);
            let mut seen = 0;
            let reached = self.0.iter().find(|(_, count)| {
                add(&mut seen, **count);
                seen >= rank
            });
            reached.map(|(ms, _)| *ms).unwrap_or_default()
        };
        Times { count, median_ms: reached(5), p90_ms: reached(9) }
    }
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

/// What was read so far.
#[derive(Debug, Default)]
struct Tally {
    orders: u64,
    channels: BTreeMap<String, ChannelTally>,
    nodes: BTreeMap<String, NodeTally>,
    shipped_without_node: u64,
    invoice_latency: Durations,
    close_cycle: Durations,
    touches: u64,
    touched_orders: u64,
    returns: u64,
    return_touches: u64,
    causes: BTreeMap<(String, String), CauseMeasures>,
    shipped: u64,
    shipment_exceptions: u64,
    fulfilled: u64,
    fulfilled_accurately: u64,
    targets: BTreeMap<String, TargetTally>,
}

#[derive(Debug, Default)]
struct NodeTally {
    to_shipment: Durations,
    to_settlement: Durations,
}

/// What the records of an order say beyond its rows; nothing where they are gone.
#[derive(Debug, Default)]
struct Opened {
    /// How far its lines are, where it has left.
    progress: Option<Progress>,
    /// The node that it left first.
    node: Option<String>,
}

#[derive(Debug, Default)]
struct ChannelTally {
    orders: u64,
    to_shipment: Durations,
    to_settlement: Durations,
}

#[derive(Debug, Default)]
struct TargetTally {
    /// But for the latency.
    measures: TargetMeasures,
    latency: Durations,
}

impl Tally {
    /// Counts an order, with what is known of it beyond its rows.
    fn order(&mut self, order: &MeasuredOrder, opened: &Opened) {
        add(&mut self.orders, 1);
        let course = Course::of(order);
        let channel = self.channels.entry(order.channel.as_str().to_owned()).or_default();
        add(&mut channel.orders, 1);
        if let Some(shipped_at) = course.shipped_at {
            channel.to_shipment.add(order.received_at, shipped_at);
        }
        if let Some(settled_at) = course.settled_at {
            channel.to_settlement.add(order.received_at, settled_at);
        }
        self.left(order, &course, opened.node.as_deref());
        if let (Some(shipped_at), Some(invoiced_at)) = (course.shipped_at, course.invoiced_at) {
            self.invoice_latency.add(shipped_at, invoiced_at);
        }
        if let (Some(invoiced_at), Some(settled_at)) = (course.invoiced_at, course.settled_at) {
            self.close_cycle.add(invoiced_at, settled_at);
        }
        add(&mut self.returns, course.returns);
        self.exceptions(&order.exceptions);
        self.shipment(order, &course, opened.progress.as_ref());
        self.deliveries(order);
    }

    /// Counts an order at the node that it left first.
    fn left(&mut self, order: &MeasuredOrder, course: &Course, node: Option<&str>) {
        let Some(shipped_at) = course.shipped_at else { return };
        let Some(node) = node else {
            add(&mut self.shipped_without_node, 1);
            return;
        };
        let is_known = self.nodes.len() < NODES_MAX || self.nodes.contains_key(node);
        let tally = self.nodes.entry(if is_known { node } else { OTHER }.to_owned()).or_default();
        tally.to_shipment.add(order.received_at, shipped_at);
        if let Some(settled_at) = course.settled_at {
            tally.to_settlement.add(order.received_at, settled_at);
        }
    }

    fn exceptions(&mut self, exceptions: &[ExceptionsOfOrder]) {
        let touches = |of: &dyn Fn(&ExceptionsOfOrder) -> bool| {
            exceptions.iter().filter(|alike| of(alike)).fold(0_u64, |sum, alike| sum.saturating_add(alike.touches))
        };
        let touched = touches(&|_| true);
        add(&mut self.touches, touched);
        add(&mut self.touched_orders, u64::from(touched > 0));
        add(&mut self.return_touches, touches(&|alike| alike.about.is_some_and(is_of_return)));
        let mut of_this_order = BTreeSet::new();
        for alike in exceptions {
            let cause = self.cause(alike);
            let counted = self.causes.entry(cause.clone()).or_default();
            add(&mut counted.exceptions, alike.count);
            if of_this_order.insert(cause) {
                add(&mut counted.orders, 1);
            }
        }
    }

    /// What an exception is counted as.
    fn cause(&self, alike: &ExceptionsOfOrder) -> (String, String) {
        let cause = (alike.stage.clone(), alike.code.clone());
        let is_known = self.causes.len() < CAUSES_MAX || self.causes.contains_key(&cause);
        if is_known { cause } else { (OTHER.to_owned(), OTHER.to_owned()) }
    }

    fn shipment(&mut self, order: &MeasuredOrder, course: &Course, progress: Option<&Progress>) {
        if course.shipped_at.is_none() {
            return;
        }
        let went_wrong = course.delayed || order.exceptions.iter().any(is_of_shipment);
        add(&mut self.shipped, 1);
        add(&mut self.shipment_exceptions, u64::from(went_wrong));
        let Some(progress) = progress.filter(|_| course.is_fulfilled()) else { return };
        let is_whole = progress.lines.values().all(|line| line.unshipped || line.shipped == line.ordered);
        add(&mut self.fulfilled, 1);
        add(&mut self.fulfilled_accurately, u64::from(is_whole && !went_wrong));
    }

    fn deliveries(&mut self, order: &MeasuredOrder) {
        for delivery in &order.deliveries {
            let TargetTally { measures, latency } = self.targets.entry(delivery.target.clone()).or_default();
            let attempts = u64::from(delivery.attempts);
            let has_it = u64::from(delivery.delivered_at.is_some());
            add(&mut measures.deliveries, 1);
            add(&mut measures.delivered, has_it);
            add(&mut measures.attempts, attempts);
            add(&mut measures.failed_attempts, attempts.saturating_sub(has_it));
            add(&mut measures.retries, attempts.saturating_sub(1));
            add(&mut measures.retried, u64::from(attempts > 1));
            add(&mut measures.given_up, u64::from(delivery.given_up));
            if let Some(delivered_at) = delivery.delivered_at.filter(|_| !delivery.replayed) {
                latency.add(delivery.taken_up_at, delivered_at);
            }
        }
    }

    fn finish(self, period: Period, operations: Operations) -> Measures {
        let nodes = self.nodes.into_iter().map(|(node, NodeTally { to_shipment, to_settlement })| {
            let (to_shipment, to_settlement) = (to_shipment.times(), to_settlement.times());
            (node, NodeMeasures { to_shipment, to_settlement })
        });
        let channels = self.channels.into_iter().map(|(channel, tally)| {
            let ChannelTally { orders, to_shipment, to_settlement } = tally;
            let (to_shipment, to_settlement) = (to_shipment.times(), to_settlement.times());
            (channel, ChannelMeasures { orders, to_shipment, to_settlement })
        });
        let targets = self.targets.into_iter().map(|(target, TargetTally { measures, latency })| {
            (target, TargetMeasures { latency: latency.times(), ..measures })
        });
        Measures {
            period,
            orders: self.orders,
            channels: channels.collect(),
            nodes: nodes.collect(),
            shipped_without_node: self.shipped_without_node,
            invoice_latency: self.invoice_latency.times(),
            close_cycle: self.close_cycle.times(),
            touches: self.touches,
            touched_orders: self.touched_orders,
            returns: self.returns,
            return_touches: self.return_touches,
            causes: self.causes,
            shipped: self.shipped,
            shipment_exceptions: self.shipment_exceptions,
            fulfilled: self.fulfilled,
            fulfilled_accurately: self.fulfilled_accurately,
            targets: targets.collect(),
            operations,
        }
    }
}

/// How an order went, by what counted of what was said of it.
struct Course {
    state: Option<ProcessState>,
    shipped_at: Option<Instant>,
    invoiced_at: Option<Instant>,
    settled_at: Option<Instant>,
    returns: u64,
    delayed: bool,
    cancel_requested: bool,
}

impl Course {
    fn of(order: &MeasuredOrder) -> Self {
        let counted = |kind: OrderEventKind| {
            order.said.iter().find(|said| said.kind == kind && said.outcome == EventOutcome::Applied)
        };
        let state = order.progress.map(|progress| progress.state);
        let invoiced = counted(OrderEventKind::InvoicePosted);
        let last = [invoiced, counted(OrderEventKind::PaymentSettled)].into_iter().flatten().map(|said| said.last_at);
        Self {
            state,
            shipped_at: counted(OrderEventKind::ShipmentConfirmed).map(|said| said.first_at),
            invoiced_at: invoiced.map(|said| said.first_at),
            settled_at: last.max().filter(|_| state == Some(ProcessState::Settled)),
            returns: counted(OrderEventKind::ReturnRequested).map_or(0, |said| said.count),
            delayed: counted(OrderEventKind::Delayed).is_some(),
            // Whatever became of the wish: what was not sent may be what was not wanted.
            cancel_requested: order.said.iter().any(|said| said.kind == OrderEventKind::CancelRequested),
        }
    }

    /// Whether all of it has left that is to leave, as its sender wanted it.
    fn is_fulfilled(&self) -> bool {
        use ProcessState::{Credited, Invoiced, Returned, Returning, Settled, Shipped};
        let has_left = matches!(self.state, Some(Shipped | Invoiced | Settled | Returning | Returned | Credited));
        has_left && self.shipped_at.is_some() && !self.cancel_requested
    }
}

fn is_of_return(kind: OrderEventKind) -> bool {
    matches!(kind, OrderEventKind::ReturnRequested | OrderEventKind::ReturnReceived)
}

/// Whether people had to know something of a shipment. That a target does not take the news of one
/// is nothing about the shipment.
fn is_of_shipment(alike: &ExceptionsOfOrder) -> bool {
    use OrderEventKind::{Delayed, Dispatched, Packed, Picked, ShipmentConfirmed};
    let is_its = matches!(alike.about, Some(Picked | Packed | Dispatched | Delayed | ShipmentConfirmed));
    is_its && alike.stage != DELIVER && alike.code != EARLY_EVENT
}

// --- reading -------------------------------------------------------------------------------------

/// The last look of metrics.
#[derive(Debug, Default)]
pub struct RecentMeasures {
    seen: Arc<std::sync::Mutex<Seen>>,
    /// Held by whoever looks.
    looking: Arc<Mutex<()>>,
}

/// What was seen last, and when.
type Seen = Option<(Instant, Arc<Measures>)>;

impl Pipeline {
    /// The measures of the last 24 hours, as seen five minutes ago or later. Where a look takes
    /// long it goes on by itself, and this is what the one before saw, if there was one: a large
    /// day must not keep the other metrics from whoever reads them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recent_measures(&self) -> Result<Option<Arc<Measures>>, StoreError> {
        let now = self.clock.now();
        let RecentMeasures { seen, looking } = &self.recent_measures;
        let last = locked(seen).clone();
        let is_recent = |at: Instant| (0..RECENT_KEPT_MS).contains(&now.0.saturating_sub(at.0));
        let (is_recent, last) = (last.as_ref().is_some_and(|(at, _)| is_recent(*at)), last.map(|(_, last)| last));
        if is_recent {
            return Ok(last);
        }
        let Ok(turn) = Arc::clone(looking).try_lock_owned() else { return Ok(last) };
        let (store, seen) = (Arc::clone(&self.store), Arc::clone(seen));
        let look = tokio::spawn(async move {
            let found = Arc::new(measures(store.as_ref(), RECENT_HOURS, now).await?);
            *locked(&seen) = Some((now, Arc::clone(&found)));
            drop(turn);
            Ok::<_, StoreError>(found)
        });
        match tokio::time::timeout(RECENT_WAIT, look).await {
            Ok(Ok(found)) => found.map(Some),
            Ok(Err(error)) => Err(StoreError::Failed(format!("a look at measures was cut short: {error}"))),
            Err(_) => Ok(last),
        }
    }

    /// The measures of so many hours until a time, or until now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn measures(&self, hours: u16, until: Option<Instant>) -> Result<Measures, StoreError> {
        measures(self.store.as_ref(), hours, until.unwrap_or_else(|| self.clock.now())).await
    }
}

/// Whoever panicked with it left a whole look behind.
fn locked(seen: &std::sync::Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The same without a host that runs. Hours are those of [`oversight::oversight`].
///
/// # Errors
/// When the store fails.
pub async fn measures(store: &dyn Store, hours: u16, last: Instant) -> Result<Measures, StoreError> {
    let period = oversight::period(hours, last);
    let mut tally = Tally::default();
    let mut after = After::from(period.from);
    loop {
        let page = store.measured_orders(after, period.until, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = After { at: last.decided_at, number: last.number };
        let mut progress = progress_of(store, &page).await?;
        let mut nodes = nodes_of(store, &page).await?;
        for order in &page {
            let opened = Opened { progress: progress.remove(&order.number), node: nodes.remove(&order.number) };
            tally.order(order, &opened);
        }
    }
    Ok(tally.finish(period, operations::operations(store, period).await?))
}

/// The nodes that orders left first, by the orders' numbers; without those of which nothing is kept
/// any more, and those that name none.
async fn nodes_of(store: &dyn Store, page: &[MeasuredOrder]) -> Result<BTreeMap<u64, String>, StoreError> {
    let wanted = page.iter().filter_map(|order| Some((order.number, order.shipped_as?)));
    let mut nodes = BTreeMap::new();
    for (number, bytes) in opened(store, wanted).await? {
        let event = Event::from_json(&bytes)
            .map_err(|error| StoreError::Damaged(format!("the event of a shipment cannot be read: {error}")))?;
        if let Event::ShipmentConfirmed(shipment) = event {
            nodes.extend(shipment.node.map(|node| (number, node)));
        }
    }
    Ok(nodes)
}

/// Records by their orders' numbers, without those that are gone.
async fn opened(
    store: &dyn Store,
    wanted: impl Iterator<Item = (u64, PayloadRef)>,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let (numbers, records): (Vec<u64>, Vec<PayloadRef>) = wanted.unzip();
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::with_capacity(numbers.len());
    for (number, opened) in numbers.into_iter().zip(store.payloads(records).await?) {
        match opened {
            Ok((bytes, _)) => found.push((number, bytes)),
            Err(StoreError::Erased(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// How far the lines of those orders are that have left, by the orders' numbers; without those of
/// which nothing is kept any more.
async fn progress_of(store: &dyn Store, page: &[MeasuredOrder]) -> Result<BTreeMap<u64, Progress>, StoreError> {
    let has_left = |order: &&MeasuredOrder| Course::of(order).is_fulfilled();
    let wanted = page.iter().filter(has_left).filter_map(|order| Some((order.number, order.progress?.record)));
    let mut found = BTreeMap::new();
    for (number, bytes) in opened(store, wanted).await? {
        let progress = DecisionRecord::progress_in(&bytes).map_err(|error| {
            StoreError::Damaged(format!("the record of an order's progress cannot be read: {error}"))
        })?;
        found.extend(progress.map(|progress| (number, progress)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::ChannelId;
    use portreeve_store::contract::SaidOfOrder;

    use super::*;

    fn durations(all: impl IntoIterator<Item = i64>) -> Times {
        let mut durations = Durations::default();
        all.into_iter().for_each(|ms| durations.add(Instant(1_000), Instant(1_000 + ms)));
        durations.times()
    }

    /// An order of which nothing is known yet.
    fn order(number: u64) -> MeasuredOrder {
        MeasuredOrder {
            number,
            channel: ChannelId::parse("edi").unwrap(),
            received_at: Instant(0),
            decided_at: Instant(0),
            progress: None,
            shipped_as: None,
            said: vec![],
            exceptions: vec![],
            deliveries: vec![],
        }
    }

    #[test]
    fn durations_are_never_told_too_short_and_hardly_too_long() {
        assert_eq!(durations([]), Times::default());
        assert_eq!(durations((1..=10).rev()), Times { count: 10, median_ms: 5, p90_ms: 9 }, "short ones are exact");
        assert_eq!(durations([-5]), Times { count: 1, median_ms: 0, p90_ms: 0 }, "what was heard the other way round");
        for ms in [63, 64, 65, 1_001, 86_400_000, 2_678_400_001, i64::MAX / 2] {
            let told = durations([ms]).median_ms;
            assert!(told >= ms && told - ms <= ms / 32, "{ms} became {told}");
        }
    }

    #[test]
    fn however_many_durations_there_are_few_of_them_are_kept() {
        let mut durations = Durations::default();
        (0..100_000).for_each(|nth| durations.add(Instant(0), Instant(nth * 997)));
        assert!(durations.0.len() < 32 * 64, "{}", durations.0.len());
        let times = durations.times();
        let exact = 49_999 * 997;
        assert!(times.count == 100_000 && times.median_ms >= exact && times.median_ms <= exact + exact / 32);
    }

    #[test]
    fn however_many_nodes_systems_name_so_many_are_told_apart() {
        let mut tally = Tally::default();
        for nth in 0..u64::try_from(NODES_MAX).unwrap() + 10 {
            let shipped = SaidOfOrder {
                kind: OrderEventKind::ShipmentConfirmed,
                outcome: EventOutcome::Applied,
                count: 1,
                first_at: Instant(7),
                last_at: Instant(7),
            };
            let order = MeasuredOrder { said: vec![shipped], ..order(nth) };
            let node = Some(format!("node-{nth}"));
            tally.order(&order, &Opened { progress: None, node });
            tally.order(&order, &Opened::default());
        }
        let found = tally.finish(Period { from: Instant(0), until: Instant(1) }, Operations::default());
        assert_eq!((found.nodes.len(), found.shipped_without_node), (NODES_MAX + 1, 74));
        let times = |node: &str| found.nodes.get(node).map(|measured| measured.to_shipment);
        assert_eq!(times("node-0"), Some(Times { count: 1, median_ms: 7, p90_ms: 7 }));
        assert_eq!(times(OTHER).map(|times| times.count), Some(10));
    }

    #[test]
    fn whatever_plugins_call_their_troubles_so_many_causes_are_told_apart() {
        let mut tally = Tally::default();
        for nth in 0..u64::try_from(CAUSES_MAX).unwrap() + 10 {
            let exception = ExceptionsOfOrder {
                stage: DELIVER.to_owned(),
                code: format!("code-{nth}"),
                about: None,
                count: 2,
                touches: 0,
            };
            // One order in which the same happened about two things is one order.
            let order = MeasuredOrder { exceptions: vec![exception.clone(), exception], ..order(nth) };
            tally.order(&order, &Opened::default());
        }
        let found = tally.finish(Period { from: Instant(0), until: Instant(1) }, Operations::default());
        assert_eq!(found.causes.len(), CAUSES_MAX + 1);
        let others = found.causes.get(&(OTHER.to_owned(), OTHER.to_owned())).copied().unwrap();
        assert_eq!(others, CauseMeasures { exceptions: 40, orders: 10 });
        assert_eq!(found.cause_bp(&others), Some(10 * 10_000 / 266));
    }
}
