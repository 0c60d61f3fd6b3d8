//! What must not have come of a run, by the ledgers of the systems: the rules of the demo's story,
//! and beside them that each order is where its money and its goods say, or waits for somebody.

use std::collections::{BTreeMap, BTreeSet};

use portreeve::demo::cash::ledgers::{Ledgers, Stock};
use portreeve::standins::wms::NODE;
use portreeve_model::value::Decimal;
use portreeve_model::{OrderId, ProcessState};
use portreeve_store::contract::{ExceptionView, OrderView};

use super::configured::Systems;
use super::{BOXES, SKU, VALUE_MINOR, World};
use crate::support::TestHost;

/// Rules about whom nobody tells anything here: a shop, customers, subscribers and their stream.
const OF_OTHERS: [&str; 4] = ["shop-", "customer-", "subscriber-", "stream-"];

/// What people are told of a word that was said again under another name: it counts for nothing, so it
/// says nothing of how the order went.
const SAID_AGAIN: &str = "counts for nothing: ";

/// What the ledgers have of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Has {
    open: usize,
    releases: usize,
    shipments: usize,
    boxes: i64,
    back: i64,
    invoices: usize,
    invoiced: i64,
    memos: usize,
    credited: i64,
    paid: i64,
    refunds: usize,
    refunded: i64,
}

impl Has {
    /// What is kept of the customer's money above what he owes.
    fn kept_above(&self) -> i64 {
        self.paid - self.refunded - (self.invoiced - self.credited)
    }

    /// Whether it is as an order of this state has to be that nobody has to do anything about.
    fn is_right(&self, state: Option<ProcessState>) -> bool {
        let once = self.open == 0 && (self.releases, self.shipments, self.boxes) == (1, 1, BOXES);
        let invoiced = once && (self.invoices, self.invoiced) == (1, VALUE_MINOR);
        let kept = invoiced && (self.back, self.memos) == (0, 0);
        match state {
            Some(ProcessState::Settled) => kept && self.kept_above() == 0 && self.refunds == 0,
            Some(ProcessState::Invoiced) => kept && self.paid == 0 && self.refunds == 0,
            Some(ProcessState::Credited) => {
                let back = invoiced && self.back == BOXES && (self.memos, self.credited) == (1, VALUE_MINOR);
                back && self.kept_above() == 0 && self.refunds == usize::from(self.paid > 0)
            }
            Some(ProcessState::Cancelled) => {
                let nothing = (self.open, self.shipments, self.invoices, self.memos) == (0, 0, 0, 0);
                nothing && self.releases <= 1 && self.kept_above() == 0 && self.refunds == usize::from(self.paid > 0)
            }
            _ => false,
        }
    }
}

/// What must not be, by kind.
pub(super) type Violations = BTreeMap<&'static str, Vec<String>>;

/// Orders by where they are in the end, and what must not be.
pub(super) async fn judge(host: &TestHost, world: &World) -> (BTreeMap<String, usize>, Violations) {
    let mut violations = Violations::new();
    let mut wrong = |kind: &'static str, what: String| violations.entry(kind).or_default().push(what);
    let ledgers = ledgers(host, &world.systems);
    let broken = ledgers.violations().into_iter();
    for found in broken.filter(|found| !OF_OTHERS.iter().any(|others| found.kind.starts_with(others))) {
        wrong(found.kind, format!("{}: {}, {}", found.kind, found.about, found.found));
    }
    let mut by_id = by_id(&ledgers);
    let mut numbers: BTreeMap<String, Vec<OrderView>> = BTreeMap::new();
    for order in host.orders().await {
        numbers.entry(order.number.clone()).or_default().push(order);
    }
    let exceptions = exceptions(host).await;
    let mut waiting: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for (order, exception) in exceptions.iter().filter_map(|it| Some((it.order?, it))) {
        waiting.entry(order).or_default().push(&exception.detail);
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for number in 1..=world.orders {
        let name = World::number(number);
        let found = numbers.remove(&name).unwrap_or_default();
        let [order] = &found[..] else {
            wrong("numbers", format!("{name}: {} orders of this number are there", found.len()));
            continue;
        };
        let state = host.store.order_trail(order.id).await.unwrap().unwrap().progress.map(|progress| progress.state);
        let has = by_id.remove(&order.id.to_string().replace('-', "")).unwrap_or_default();
        let waits = waiting.contains_key(&order.id);
        let why = waiting.get(&order.id).map_or(&[][..], Vec::as_slice);
        let stands = matches!(state, Some(ProcessState::Settled | ProcessState::Invoiced));
        let is_right = has.is_right(state);
        let is_as_wanted = match world.cancelled.contains(&number) {
            false => is_right && stands && why.iter().all(|why| why.contains(SAID_AGAIN)),
            // Kept back before any system had it, or being undone too late: somebody decides.
            true => is_right && !stands || waits && has.releases <= 1 && has.shipments <= 1,
        };
        if !is_as_wanted {
            let why = if waits { format!(" ({})", why.join("; ")) } else { String::new() };
            wrong("orders", format!("{name}: {state:?}, {has:?}, waits for somebody: {waits}{why}"));
        }
        let state = state.map_or("kept back", ProcessState::as_str);
        *counts.entry(format!("{state}{}", if waits { " and somebody's" } else { "" })).or_default() += 1;
    }
    for exception in exceptions.iter().filter(|it| it.order.is_none() || it.code == "unknown-outcome") {
        wrong("exceptions", format!("an exception `{}`: {}", exception.code, exception.detail));
    }
    for number in numbers.into_keys() {
        wrong("strangers", format!("{number}: nobody sent it"));
    }
    for id in by_id.into_keys() {
        wrong("strangers", format!("{id}: a system has it, and the host does not"));
    }
    (counts, violations)
}

/// What was found of orders by their numbers, without what systems call them and what of them is there:
/// the numbers of systems follow from who came first.
pub(super) fn about_orders(violations: &Violations) -> BTreeSet<String> {
    let found = violations.iter().filter(|(kind, _)| ["numbers", "orders"].contains(kind));
    let about = |(kind, found): (&&str, &Vec<String>)| {
        let name = |what: &String| format!("{kind} {}", what.split(':').next().unwrap_or_default());
        found.iter().map(name).collect::<Vec<_>>()
    };
    found.flat_map(about).collect()
}

/// How much of what the money took its way, for whoever reads the run's line.
pub(super) fn money(host: &TestHost, world: &World) -> String {
    let Systems { payments, taxes, .. } = &world.systems;
    format!(
        "{} invoices, {} credit memos, {} tax transactions, {} payments, {} refunds",
        host.erp.invoices().len(),
        host.erp.credit_memos().len(),
        taxes.transactions().len(),
        payments.payments().len(),
        payments.refunds().len()
    )
}

fn ledgers(host: &TestHost, systems: &Systems) -> Ledgers {
    let Systems { wms, payments, taxes } = systems;
    let available = wms.stock(NODE, SKU);
    // There is no shop here that could sell something else.
    let stock = Stock {
        sku: SKU.to_owned(),
        erp: host.erp.stock(SKU),
        on_hand: wms.on_hand(NODE, SKU),
        available,
        shop: available,
    };
    Ledgers {
        sales_orders: host.erp.sales_orders(),
        invoices: host.erp.invoices(),
        credit_memos: host.erp.credit_memos(),
        releases: wms.releases(),
        shipments: wms.shipments(),
        returns: wms.returns(),
        payments: payments.payments(),
        refunds: payments.refunds(),
        taxes: taxes.transactions(),
        stock: vec![stock],
        ..Ledgers::default()
    }
}

/// What each order has, by the host's id without hyphens.
fn by_id(ledgers: &Ledgers) -> BTreeMap<String, Has> {
    let mut all: BTreeMap<String, Has> = BTreeMap::new();
    let mut of = |order: &str, count: &dyn Fn(&mut Has)| count(all.entry(order.replace('-', "")).or_default());
    for order in &ledgers.sales_orders {
        of(&order.external_document_number, &|has| has.open += 1);
    }
    for release in &ledgers.releases {
        of(&release.order_id, &|has| has.releases += 1);
    }
    for shipment in &ledgers.shipments {
        let boxes: i64 = shipment.lines.iter().map(|line| whole(&line.shipped)).sum();
        of(&shipment.order_id, &|has| (has.shipments, has.boxes) = (has.shipments + 1, has.boxes + boxes));
    }
    for back in ledgers.returns.iter().filter(|back| back.received) {
        let boxes: i64 = back.lines.iter().map(|line| whole(&line.quantity)).sum();
        of(&back.order_id, &|has| has.back += boxes);
    }
    for invoice in &ledgers.invoices {
        let total = cents(&invoice.total);
        of(&invoice.external_document_number, &|has| {
            (has.invoices, has.invoiced) = (has.invoices + 1, has.invoiced + total)
        });
    }
    for memo in &ledgers.credit_memos {
        let total = cents(&memo.total);
        of(&memo.external_document_number, &|has| (has.memos, has.credited) = (has.memos + 1, has.credited + total));
    }
    let mut charges: BTreeMap<&str, &str> = BTreeMap::new();
    for payment in &ledgers.payments {
        charges.insert(&payment.charge, &payment.order_id);
        of(&payment.order_id, &|has| has.paid += payment.amount);
    }
    for refund in &ledgers.refunds {
        of(charges[refund.charge.as_str()], &|has| {
            (has.refunds, has.refunded) = (has.refunds + 1, has.refunded + refund.amount);
        });
    }
    all
}

/// What waits for people, all of it.
async fn exceptions(host: &TestHost) -> Vec<ExceptionView> {
    let mut all: Vec<ExceptionView> = Vec::new();
    loop {
        let after = all.last().map_or(0, |exception| exception.id);
        let page = host.store.exceptions_after(after, 500).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn whole(quantity: &Decimal) -> i64 {
    quantity.units / 10_i64.pow(u32::from(quantity.scale))
}

/// An amount of the ERP, which has none finer than a cent.
pub(super) fn cents(amount: &Decimal) -> i64 {
    match amount.scale {
        0..=2 => amount.units * 10_i64.pow(u32::from(2 - amount.scale)),
        scale => amount.units / 10_i64.pow(u32::from(scale - 2)),
    }
}

/// The host's id of an order, of which the ERP leaves the hyphens out.
pub(super) fn hyphened(order: &str) -> String {
    OrderId::parse(order).unwrap().to_string()
}
