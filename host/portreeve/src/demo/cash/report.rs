//! What became of the day: orders by case and state, what the systems' ledgers come to, and what
//! must not be in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portreeve_audit::AuditError;
use portreeve_record::VerifyReport;
use portreeve_store::Store;
use portreeve_store::contract::{EARLY_EVENT, OrderState, OrderTrail, OrderView};
use serde::Serialize;

use super::door::Door;
use super::ledgers::{Ledgers, Violation};
use super::systems::hundredths;
use super::{Case, all_orders};
use crate::demo::report::Audit;
use crate::output::Output;

/// Exceptions that are read at once.
const PAGE: u32 = 256;

/// The result of the scenario.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CashReport {
    /// Orders.
    pub orders: u64,
    /// Orders by where they are in the end.
    pub by_state: BTreeMap<String, u64>,
    /// What was to become of orders, and what did.
    pub cases: Vec<CaseRow>,
    /// What the systems' ledgers come to.
    pub systems: SystemsRow,
    /// While finance was down.
    pub outage: Outage,
    /// Messages to the host.
    pub said: u64,
    /// Of these, what was said before: each once more.
    pub said_again: u64,
    /// Events that came before their turn, and waited for it.
    pub waited: u64,
    /// Deliveries that are done.
    pub delivered: u64,
    /// Attempts beyond the first.
    pub retried: u64,
    /// What waits for a person, by code.
    pub exceptions: BTreeMap<String, u64>,
    /// What must not be; nothing.
    pub violations: Vec<Violation>,
    /// The audit log.
    pub audit: Audit,
    /// Wall clock of the whole run.
    pub seconds: f64,
    /// The ledgers themselves.
    #[serde(skip)]
    pub ledgers: Ledgers,
    /// Of which orders, by the host's ids, what was said first, in this order.
    #[serde(skip)]
    pub spoken: Vec<(String, String)>,
}

/// Orders of a case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseRow {
    /// Which.
    pub case: String,
    /// How many orders.
    pub orders: u64,
    /// Where they are in the end.
    pub ends: BTreeMap<String, u64>,
    /// How many of them wait for a person as well.
    pub for_a_person: u64,
}

/// What the systems' ledgers come to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemsRow {
    /// Sales orders that the ERP has still open.
    pub open_sales_orders: usize,
    /// Releases in the warehouse.
    pub releases: usize,
    /// Releases of which something was stopped.
    pub stopped: usize,
    /// Shipments that left.
    pub shipments: usize,
    /// Returns that are here.
    pub returns: usize,
    /// Posted invoices.
    pub invoices: usize,
    /// Posted credit memos.
    pub credit_memos: usize,
    /// Transactions of the tax service.
    pub tax_transactions: usize,
    /// Invoices less credit memos, in cents.
    pub invoiced_minor: i64,
    /// Payments, in cents.
    pub paid_minor: i64,
    /// Refunds, in cents.
    pub refunded_minor: i64,
    /// The shop.
    pub shop: ShopRow,
}

/// What the shop knows of what was bought in it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShopRow {
    /// Its orders, by its own states.
    pub orders: BTreeMap<String, usize>,
    /// Orders that it was told of.
    pub told: usize,
    /// Shipments.
    pub shipments: usize,
    /// Invoices.
    pub invoices: usize,
    /// Refunds.
    pub refunds: usize,
}

/// What waited while finance was down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    /// Deliveries to it.
    pub waiting: u64,
    /// Deliveries to other systems: none has to wait for it.
    pub waiting_elsewhere: u64,
}

/// Reads the store, and counts.
pub(super) async fn make(
    store: &Arc<dyn Store>,
    door: Door,
    outage: Outage,
    ledgers: Ledgers,
    verified: Result<VerifyReport, AuditError>,
    elapsed: Duration,
) -> anyhow::Result<CashReport> {
    let (exceptions, waiting) = exceptions(store).await?;
    let mut cases: BTreeMap<Option<Case>, CaseRow> = BTreeMap::new();
    let mut by_state: BTreeMap<String, u64> = BTreeMap::new();
    let (all, mut waited) = (all_orders(store).await?, 0_u64);
    for (order, case) in &all {
        let trail = store.order_trail(order.id).await?;
        let early = trail.iter().flat_map(|trail| &trail.exceptions).filter(|told| told.code == EARLY_EVENT);
        waited = waited.saturating_add(u64::try_from(early.count()).unwrap_or(u64::MAX));
        let state = state(order, trail.as_ref());
        let row = cases.entry(*case).or_insert_with(|| CaseRow {
            case: case.map_or("from the shop", Case::as_str).to_owned(),
            orders: 0,
            ends: BTreeMap::new(),
            for_a_person: 0,
        });
        row.orders += 1;
        row.for_a_person += u64::from(waiting.contains(&order.id));
        *row.ends.entry(state.clone()).or_default() += 1;
        *by_state.entry(state).or_default() += 1;
    }
    let summary = store.summary().await?;
    Ok(CashReport {
        orders: u64::try_from(all.len()).unwrap_or(u64::MAX),
        by_state,
        cases: cases.into_values().collect(),
        systems: SystemsRow::of(&ledgers)?,
        outage,
        said: door.said,
        said_again: door.again,
        waited,
        delivered: summary.delivered,
        retried: summary.retried,
        exceptions,
        violations: ledgers.violations(),
        audit: Audit::of(verified),
        seconds: (elapsed.as_secs_f64() * 10.0).round() / 10.0,
        ledgers,
        spoken: door.spoken,
    })
}

/// Where an order is: along its process, or kept back before it.
fn state(order: &OrderView, trail: Option<&OrderTrail>) -> String {
    let progress = trail.and_then(|trail| trail.progress.as_ref());
    // What people rejected before any system had it, no event moves any more.
    let progress = progress.filter(|_| order.state != OrderState::Refused);
    progress.map_or(order.state.as_str(), |progress| progress.state.as_str()).to_owned()
}

/// What waits for a person, by code, and which orders do.
async fn exceptions(
    store: &Arc<dyn Store>,
) -> anyhow::Result<(BTreeMap<String, u64>, BTreeSet<portreeve_model::OrderId>)> {
    let (mut codes, mut orders, mut after) = (BTreeMap::<String, u64>::new(), BTreeSet::new(), 0);
    loop {
        let page = store.exceptions_after(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok((codes, orders)) };
        after = last.id;
        for exception in page {
            *codes.entry(exception.code).or_default() += 1;
            orders.extend(exception.order);
        }
    }
}

impl SystemsRow {
    fn of(ledgers: &Ledgers) -> anyhow::Result<Self> {
        let mut invoiced_minor = 0_i64;
        for invoice in &ledgers.invoices {
            invoiced_minor = invoiced_minor.saturating_add(hundredths(&invoice.total)?);
        }
        for memo in &ledgers.credit_memos {
            invoiced_minor = invoiced_minor.saturating_sub(hundredths(&memo.total)?.saturating_abs());
        }
        let stopped = ledgers.releases.iter().filter(|release| release.lines.iter().any(|line| line.stopped));
        Ok(Self {
            open_sales_orders: ledgers.sales_orders.len(),
            releases: ledgers.releases.len(),
            stopped: stopped.count(),
            shipments: ledgers.shipments.len(),
            returns: ledgers.returns.iter().filter(|back| back.received).count(),
            invoices: ledgers.invoices.len(),
            credit_memos: ledgers.credit_memos.len(),
            tax_transactions: ledgers.taxes.len(),
            invoiced_minor,
            paid_minor: ledgers.payments.iter().fold(0, |sum, payment| sum.saturating_add(payment.amount)),
            refunded_minor: ledgers.refunds.iter().fold(0, |sum, refund| sum.saturating_add(refund.amount)),
            shop: ShopRow::of(ledgers),
        })
    }
}

impl ShopRow {
    fn of(ledgers: &Ledgers) -> Self {
        let mut orders: BTreeMap<String, usize> = BTreeMap::new();
        for order in &ledgers.shop_orders {
            *orders.entry(order.state.to_owned()).or_default() += 1;
        }
        Self {
            orders,
            told: ledgers.shop_orders.iter().filter(|order| order.ext_order_id.is_some()).count(),
            shipments: ledgers.shop_shipments.len(),
            invoices: ledgers.shop_invoices.len(),
            refunds: ledgers.shop_refunds.len(),
        }
    }
}

/// Prints the tables.
pub(super) fn print(report: &CashReport, output: &mut Output) -> anyhow::Result<()> {
    output.line("")?;
    let rows: Vec<[String; 4]> = report
        .cases
        .iter()
        .map(|row| {
            let person = if row.for_a_person == 0 { "-".to_owned() } else { row.for_a_person.to_string() };
            [row.case.clone(), row.orders.to_string(), shown(&row.ends), person]
        })
        .collect();
    output.table(&["orders", "count", "where they are", "wait for a person"], &rows, &[37, 5, 40, 17])?;
    output.line("")?;
    output.line(&format!("{} orders: {}", report.orders, shown(&report.by_state)))?;
    let SystemsRow { releases, stopped, shipments, returns, invoices, credit_memos, .. } = &report.systems;
    output.line(&format!(
        "warehouse: {releases} releases, {stopped} of them stopped, {shipments} shipments, {returns} returns"
    ))?;
    output.line(&format!(
        "finance: {invoices} invoices, {credit_memos} credit memos, {} tax transactions; invoiced {}, paid {}, refunded {}",
        report.systems.tax_transactions,
        dollars(report.systems.invoiced_minor),
        dollars(report.systems.paid_minor),
        dollars(report.systems.refunded_minor)
    ))?;
    let ShopRow { orders, told, shipments, invoices, refunds } = &report.systems.shop;
    output.line(&format!(
        "shop: {}; told of {told} orders, {shipments} shipments, {invoices} invoices, {refunds} refunds",
        shown(orders)
    ))?;
    output.line(&format!(
        "while finance was down {} deliveries waited for it, and {} to other systems",
        report.outage.waiting, report.outage.waiting_elsewhere
    ))?;
    output.line(&format!(
        "{} messages to the host, {} of them once more, {} events waited for their turn; {} deliveries, {} further attempts",
        report.said, report.said_again, report.waited, report.delivered, report.retried
    ))?;
    let waits = shown(&report.exceptions);
    output.line(&format!("for people: {}", if waits.is_empty() { "nothing" } else { &waits }))?;
    output.line(&format!(
        "audit log: {} entries, {}",
        report.audit.entries,
        if report.audit.verified { "verified against the checkpoint kept outside" } else { "NOT verified" }
    ))?;
    for Violation { kind, about, found } in &report.violations {
        output.line(&format!("VIOLATION {kind}: {about}, {found}"))?;
    }
    output.line(&format!("violations: {}; {} s", report.violations.len(), report.seconds))
}

fn shown(counts: &BTreeMap<String, impl std::fmt::Display>) -> String {
    counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

fn dollars(minor: i64) -> String {
    portreeve_model::value::Decimal { units: minor, scale: 2 }.to_string()
}
