//! What the host itself knows, as rows.
//!
//! Of orders it is what it gave to a target and is not over; of those that the other list has beside
//! them, it is whatever became of them, so that an order that is over here and open there is told as
//! what it is. Of what happens (invoices, shipments, payments) it is what was said of orders in the time
//! that is looked at, and whether the rest of the other list was ever said.
//!
//! An order is what people agreed to since: a change that they accepted is what the systems have by then.
//!
//! An order of which people were told is looked at whatever its age: that it is older than what is
//! looked at mends nothing. So while they hear that there are more differences than one run files, orders are
//! looked at as far back as when they heard that first.
//!
//! Two dangers. What is on its way looks like a difference: whatever waits in the outbox for that
//! target is marked as changing now, and whatever was said of an order or arrived there as changed
//! then. And content that people had removed says nothing any more: its orders are left out, on both
//! sides.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{Event, Instant, Money, Order, OrderId, ProcessState};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    BlockKinds, Finding, OrderAt, OrderEventKind, OrdersAt, OrdersAtPage, OrdersAtWanted, PayloadRef, SaidAt, SaidPage,
    SaidWanted,
};

use super::agreed::{NOT_COUNTED, agreed};
use super::configured::MARGIN_MS;
use super::reading::{self, amount, line_numbers};
use super::row::{Measure, ON_ITS_WAY, Of, Part, Rows, Stage, Unusable};
use super::{KEY, MORE, Reconciliation};
use crate::Pipeline;
use crate::decision::DecisionRecord;
use crate::process::{LineProgress, Progress};

/// Orders that are looked at together.
const PAGE: u32 = 256;

/// Longer than any run takes: it files what it found when it ends, and looked back from when it began.
const RUN_MS_MAX: i64 = Instant::DAY_MS;

/// What the host knows.
pub(super) struct Own {
    pub(super) rows: Result<Rows, Unusable>,
    /// Orders of which it does not know any more what it had.
    pub(super) left_out: BTreeSet<OrderId>,
    /// Keys of the other list that it heard of before the time that is looked at.
    pub(super) known: BTreeSet<String>,
}

/// The events that rows of a subject are.
pub(super) fn kinds(of: Of) -> Vec<OrderEventKind> {
    match of {
        Of::Stock | Of::StockByNode | Of::Orders => Vec::new(),
        Of::Invoices => vec![OrderEventKind::InvoicePosted],
        Of::Shipments => vec![OrderEventKind::ShipmentConfirmed],
        Of::Payments => vec![OrderEventKind::PaymentSettled, OrderEventKind::RefundIssued],
    }
}

impl Pipeline {
    /// What the host knows of what the other side lists.
    pub(super) async fn own(
        &self,
        reconciliation: &Reconciliation,
        theirs: &Rows,
        since: Option<Instant>,
    ) -> Result<Own, StoreError> {
        let mut own = Own { rows: Ok(Rows::new(reconciliation.of)), left_out: BTreeSet::new(), known: BTreeSet::new() };
        match reconciliation.of {
            Of::Orders => self.own_orders(reconciliation, theirs, since, &mut own).await?,
            Of::Invoices | Of::Shipments | Of::Payments => {
                self.own_events(reconciliation, since, &mut own).await?;
                self.what_is_known_of(reconciliation.of, theirs, &mut own).await?;
            }
            // Checked with the configuration: the host keeps none.
            Of::Stock | Of::StockByNode => {}
        }
        Ok(own)
    }

    async fn own_orders(
        &self,
        reconciliation: &Reconciliation,
        theirs: &Rows,
        since: Option<Instant>,
        own: &mut Own,
    ) -> Result<(), StoreError> {
        let target = reconciliation.target.clone().unwrap_or_default();
        let gets = self.routes.target(&target);
        let kind = gets.map(|target| target.kind.clone()).unwrap_or_default();
        let blocked = gets.and_then(|target| target.blocked.as_ref()).map(|blocked| BlockKinds {
            create: blocked.create.clone(),
            clear: blocked.clear.clone(),
            cancel: blocked.cancel.clone(),
        });
        let findings = if since.is_some() { self.findings(&reconciliation.id).await? } else { BTreeMap::new() };
        let since = self.since_with_the_rest(reconciliation, since, findings.get(MORE)).await?;
        let wanted = |which| {
            let (target, kind, blocked) = (target.clone(), kind.clone(), blocked.clone());
            OrdersAtWanted { target, kind, blocked, which, since, limit: PAGE }
        };
        let (mut after, mut seen) = (Some(0), BTreeSet::new());
        while let Some(number) = after {
            let OrdersAtPage { orders, next } = self.store.orders_at(wanted(OrdersAt::Open(number))).await?;
            seen.extend(orders.iter().map(|order| order.id));
            self.take_orders(orders, own).await?;
            after = next.filter(|_| own.rows.is_ok());
        }
        let beside: BTreeSet<OrderId> =
            theirs.orders().chain(orders_told(&findings)).filter(|order| !seen.contains(order)).collect();
        let beside: Vec<OrderId> = beside.into_iter().collect();
        for ids in beside.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            let OrdersAtPage { orders, .. } = self.store.orders_at(wanted(OrdersAt::These(ids.to_vec()))).await?;
            self.take_orders(orders, own).await?;
        }
        Ok(())
    }

    /// From when on open orders are looked at where people hear of `more` differences than were filed: those
    /// that were not are none of whose orders anybody knows, and they would leave the time that is looked at
    /// unseen.
    async fn since_with_the_rest(
        &self,
        reconciliation: &Reconciliation,
        since: Option<Instant>,
        more: Option<&Finding>,
    ) -> Result<Option<Instant>, StoreError> {
        let (Some(since), Some(more)) = (since, more.filter(|more| more.is_open)) else { return Ok(since) };
        let heard_at = self.store.exception(more.exception).await?.map(|trail| trail.exception.opened_at);
        let back = heard_at.and_then(|at| reconciliation.since(at));
        Ok(Some(back.map_or(since, |back| since.min(back.plus_ms(RUN_MS_MAX.saturating_neg())))))
    }

    /// What was said of orders in a time, as far as it counts or waits for its turn.
    async fn own_events(
        &self,
        reconciliation: &Reconciliation,
        since: Option<Instant>,
        own: &mut Own,
    ) -> Result<(), StoreError> {
        let since = since.unwrap_or(Instant(0)).plus_ms(MARGIN_MS.saturating_neg());
        let (kinds, target) = (kinds(reconciliation.of), reconciliation.target.clone());
        let channels = reconciliation.channels.iter().cloned().collect();
        let mut wanted = SaidWanted { kinds, channels, target, since, before: None, limit: PAGE };
        loop {
            let SaidPage { said, before } = self.store.said_at(wanted.clone()).await?;
            self.take_events(&said, own).await?;
            if before.is_none() || own.rows.is_err() {
                return Ok(());
            }
            wanted.before = before;
        }
    }

    async fn take_events(&self, said: &[SaidAt], own: &mut Own) -> Result<(), StoreError> {
        let Ok(rows) = &mut own.rows else { return Ok(()) };
        let events = self.readable_of(said.iter().map(|said| said.event).collect()).await?;
        for (said, event) in said.iter().zip(events) {
            let Some(event) = event else {
                own.left_out.insert(said.order);
                continue;
            };
            let event = Event::from_json(&event).map_err(|error| unreadable("event", &error))?;
            let changed_at = if said.is_under_way { ON_ITS_WAY } else { said.changed_at };
            if let Err(unusable) = rows.add_own(&event, said.order, said.received_at, changed_at) {
                own.rows = Err(unusable);
                return Ok(());
            }
        }
        Ok(())
    }

    /// What the other list has beside that, and the host heard of all the same: a clock that stands
    /// back, or a day that is set otherwise there, puts it out of the time that is looked at.
    async fn what_is_known_of(&self, of: Of, theirs: &Rows, own: &mut Own) -> Result<(), StoreError> {
        let Ok(rows) = &own.rows else { return Ok(()) };
        let (mut beside, mut unheard) = (BTreeMap::<OrderId, Vec<String>>::new(), BTreeSet::<String>::new());
        let mut heard = BTreeSet::<(OrderId, String)>::new();
        for (key, order) in theirs.beside(rows) {
            match order {
                Some(order) => beside.entry(order).or_default().push(key.to_owned()),
                None => {
                    unheard.insert(key.to_owned());
                }
            }
        }
        let ids: Vec<OrderId> = beside.keys().copied().collect();
        for ids in ids.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            let standings = self.store.order_standings(ids.to_vec()).await?;
            let moved: Vec<(OrderId, PayloadRef)> =
                ids.iter().zip(standings).filter_map(|(id, standing)| Some((*id, standing.progress?.record))).collect();
            let records = self.readable_of(moved.iter().map(|(_, record)| *record).collect()).await?;
            for ((order, _), record) in moved.iter().zip(records) {
                let Some(record) = record else {
                    own.left_out.insert(*order);
                    continue;
                };
                let progress = DecisionRecord::progress_in(&record).map_err(|error| unreadable("progress", &error))?;
                let said = progress.map(|progress| progress.said).unwrap_or_default();
                let is_known =
                    |key: &String| reading::remembered_as(of, key).is_some_and(|name| said.contains_key(&name));
                let known = beside.get(order).into_iter().flatten().filter(|key| is_known(key));
                heard.extend(known.map(|key| (*order, key.clone())));
            }
        }
        own.known = heard_of_all(beside, &heard, unheard);
        Ok(())
    }

    async fn take_orders(&self, orders: Vec<OrderAt>, own: &mut Own) -> Result<(), StoreError> {
        let Ok(rows) = &mut own.rows else { return Ok(()) };
        let events = self.readable_of(orders.iter().map(|order| order.event).collect()).await?;
        let moved = || orders.iter().filter_map(|order| Some((order.id, order.progress?.record)));
        let records = self.readable_of(moved().map(|(_, record)| record).collect()).await?;
        let records: BTreeMap<OrderId, Option<Vec<u8>>> = moved().map(|(id, _)| id).zip(records).collect();
        let changed = || orders.iter().filter_map(|order| Some((order.id, order.agreed?)));
        let changes = self.readable_of(changed().map(|(_, change)| change).collect()).await?;
        let changes: BTreeMap<OrderId, Option<Vec<u8>>> = changed().map(|(id, _)| id).zip(changes).collect();
        for (order, event) in orders.iter().zip(events) {
            let (progress, change) = (records.get(&order.id), changes.get(&order.id));
            let is_forgotten = [progress, change].into_iter().flatten().any(Option::is_none);
            let (Some(event), false) = (event, is_forgotten) else {
                own.left_out.insert(order.id);
                continue;
            };
            let Event::OrderCreated(of) = Event::from_json(&event).map_err(|error| unreadable("event", &error))? else {
                continue;
            };
            let progress = progress.and_then(Option::as_deref).map(DecisionRecord::progress_in).transpose();
            let progress = progress.map_err(|error| unreadable("progress", &error))?.flatten();
            let part = match self.as_agreed(of, change.and_then(Option::as_deref), progress)? {
                AsAgreed::Counted(agreed) => {
                    let (of, progress) = *agreed;
                    part(order, &of, progress.as_ref())
                }
                AsAgreed::NotCounted => Part { unreadable: Some(NOT_COUNTED.to_owned()), ..named(order) },
                AsAgreed::NotSaid => {
                    own.left_out.insert(order.id);
                    continue;
                }
            };
            let name = (order.id.to_string(), String::new());
            if let Err(unusable) = rows.put(name, part) {
                own.rows = Err(unusable);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The order and how far it is by the change that people accepted, where there is one.
    fn as_agreed(
        &self,
        order: Order,
        change: Option<&[u8]>,
        progress: Option<Progress>,
    ) -> Result<AsAgreed, StoreError> {
        let Some(change) = change else { return Ok(AsAgreed::Counted(Box::new((order, progress)))) };
        Ok(match Event::from_json(change).map_err(|error| unreadable("accepted change", &error))? {
            Event::OrderChanged(change) => {
                let agreed = agreed(&self.process, &order, change.order, progress);
                agreed.map_or(AsAgreed::NotCounted, |agreed| AsAgreed::Counted(Box::new(agreed)))
            }
            // People accept wishes of which only some say what the order is to be.
            _ => AsAgreed::NotSaid,
        })
    }

    /// The bytes of payloads; none of one whose content was removed.
    async fn readable_of(&self, kept: Vec<PayloadRef>) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let opened = self.store.payloads(kept).await?.into_iter();
        let opened = opened.map(|opened| match opened {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(StoreError::Erased(_)) => Ok(None),
            Err(error) => Err(error),
        });
        opened.collect()
    }
}

/// The orders of differences that earlier runs found and that wait for somebody still: one that somebody
/// abandoned waits for nobody.
fn orders_told(findings: &BTreeMap<String, Finding>) -> impl Iterator<Item = OrderId> {
    let open = findings.iter().filter(|(_, finding)| finding.is_open);
    open.filter_map(|(subject, _)| OrderId::parse(subject.strip_prefix(KEY)?).ok())
}

/// What an order is by what people agreed to.
enum AsAgreed {
    /// This, and so far it is.
    Counted(Box<(Order, Option<Progress>)>),
    /// Nobody can say what the systems made of the change.
    NotCounted,
    /// They agreed to what does not say what the order is to be.
    NotSaid,
}

/// Keys of which everything was heard that they are about: of a transfer that pays two orders, and that was
/// heard of one of them, the other one's part is missing here. `unheard` are those that somebody says more of.
pub(super) fn heard_of_all(
    keys: BTreeMap<OrderId, Vec<String>>,
    heard: &BTreeSet<(OrderId, String)>,
    mut unheard: BTreeSet<String>,
) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for pair in keys.into_iter().flat_map(|(order, keys)| keys.into_iter().map(move |key| (order, key))) {
        let into = if heard.contains(&pair) { &mut known } else { &mut unheard };
        into.insert(pair.1);
    }
    known.retain(|key| !unheard.contains(key));
    known
}

fn unreadable(what: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("the {what} of an order cannot be read: {error}"))
}

/// What is known of an order whatever it is.
fn named(at: &OrderAt) -> Part {
    Part {
        key: at.id.to_string(),
        changed_at: Some(if at.is_under_way { ON_ITS_WAY } else { at.changed_at }),
        order: Some(at.id),
        called: Some(at.number.clone()),
        ..Part::default()
    }
}

fn part(at: &OrderAt, order: &Order, progress: Option<&Progress>) -> Part {
    let mut numbers = Vec::new();
    for line in &order.lines {
        let known = progress.and_then(|progress| progress.lines.get(&line.number));
        let shown = |count| known.map(|known: &LineProgress| Measure::of(&known.shown(count)));
        // What never leaves is not ordered any more.
        let ordered = known.and_then(|known| shown(known.ordered.saturating_sub(known.cancelled())));
        let left = known.map_or(Some(Measure::NOTHING), |known| shown(known.shipped));
        numbers.extend(line_numbers(line, ordered.unwrap_or_else(|| Measure::of(&line.quantity)), left));
    }
    numbers.extend(net(order, progress).as_ref().map(amount));
    Part {
        numbers,
        stage: Some(if at.is_there || at.is_under_way { stage(progress) } else { Stage::NotSent }),
        ..named(at)
    }
}

/// How far an order is; one that nothing moved is open.
fn stage(progress: Option<&Progress>) -> Stage {
    let Some(progress) = progress else { return Stage::Open };
    let lines = || progress.lines.values().filter(|line| !line.unshipped);
    match (lines().any(|line| line.open() > 0), lines().any(|line| line.shipped > 0)) {
        _ if progress.state == ProcessState::Cancelled => Stage::Cancelled,
        (true, _) => Stage::Open,
        (false, true) => Stage::Shipped,
        (false, false) => Stage::Cancelled,
    }
}

/// What an order comes to without tax, as its targets are told: its lines and its freight less its
/// discount. Nobody knows it where a line has no amount, or where there is a discount and some of the
/// order never leaves.
fn net(order: &Order, progress: Option<&Progress>) -> Option<Money> {
    let is_smaller = progress.is_some_and(|progress| progress.lines.values().any(|line| line.cancelled() > 0));
    let stated = |amount: Option<Money>| match amount {
        None => Some(0),
        Some(amount) => (amount.currency == order.currency).then_some(amount.minor),
    };
    let (freight, discount) = (stated(order.totals.shipping)?, stated(order.totals.discount)?);
    if discount != 0 && is_smaller {
        return None;
    }
    let mut minor = freight.checked_sub(discount)?;
    for line in &order.lines {
        let known = progress.and_then(|progress| progress.lines.get(&line.number));
        let quantity = known.map_or_else(
            || line.quantity.clone(),
            |known| known.shown(known.ordered.saturating_sub(known.cancelled())),
        );
        let extended = line.unit_price.extended(&quantity).ok().filter(|of| of.currency == order.currency)?;
        minor = minor.checked_add(extended.minor)?;
    }
    Some(Money { minor, currency: order.currency })
}
