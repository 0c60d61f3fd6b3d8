//! Order to cash: a day of orders from customers and a shop to their money, through an ERP, a
//! warehouse, a tax service and a payment processor that answer badly, and what must not be in
//! their ledgers afterwards.
//!
//! The story is [`run`], told by `Play::whole`: orders come in, some are paid at once, some are
//! not wanted any more in each state that they can be in, finance is down while goods leave, some
//! are short, some come back. Everything is said over the front door, out of turn and twice. The
//! host's three stories are told step by step here instead of by its workers, so that it is known
//! where each order is when its customer changes his mind; nothing else of them differs.

pub mod ledgers;

mod report;

mod systems;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use portreeve_audit::LogReader;
use portreeve_model::value::Decimal;
use portreeve_model::{ExceptionAction, Instant, OrderId};
use portreeve_pipeline::Clock;
use portreeve_pipeline::decide::CANCEL_REQUESTED;
use portreeve_pipeline::exception::Decision;
use portreeve_pipeline::process::Process;
use portreeve_store::Store;
use portreeve_store::contract::{DocumentPosition, ExceptionsWanted, OrderView};
use tokio::sync::watch;

pub use self::report::{CaseRow, CashReport, Outage};
use self::systems::{Door, Secrets, Systems};
use super::{DemoOptions, Folder, Opened, build_plugins, people, write_config};
use crate::clock::SetClock;
use crate::host::{self, Host};
use crate::output::Output;
use crate::source_tree::SourceTree;
use crate::standins::partner::{PurchaseOrder, Purpose, interchange};
use crate::standins::shop::Basket;
use crate::standins::wms::{Reason, Short};

/// What most orders are of: ten boxes for 184.00.
const SKU: &str = "FST-1007";
const BOXES: u32 = 10;
const PRICE: &str = "18.40";
const PRICE_MINOR: u32 = 1_840;
const VALUE_MINOR: i64 = 18_400;

/// What the warehouse has less of than it believes.
const SHORT_SKU: &str = "FST-1021";
const SHORT_PRICE: &str = "34.80";
const SHORT_VALUE_MINOR: i64 = 34_800;

/// Boxes that come back of an order.
const RETURNED: i64 = 2;

/// Orders of a case.
const PER_CASE: usize = 4;

/// Sample orders that the shop sends, beside those of a case.
const SHOP_ORDERS: usize = 12;

/// Documents or deliveries of one step.
const AT_ONCE: u32 = 64;

/// Steps until the host has to have nothing to do. It takes some tens; a bug must not make the
/// demo hang.
const STEPS_MAX: usize = 20_000;

/// How long the host tries before something is said next, while finance is down and when it is not.
const WHILE_DOWN_MS: i64 = 20_000;
const A_DAY_MS: i64 = Instant::DAY_MS;

/// What is to become of some orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// Nothing happens to it.
    Plain,
    /// It is paid when it is ordered.
    Prepaid,
    /// It is prepaid, and three boxes of it are not there.
    Short,
    /// Its customer does not want it any more before any system has it.
    CancelledReleased,
    /// When the ERP has it; it is prepaid.
    CancelledAccepted,
    /// When stock is set aside for it.
    CancelledAllocated,
    /// When it is out of the shelves; it is prepaid.
    CancelledPicked,
    /// When it is in its boxes.
    CancelledPacked,
    /// When it has left, while finance is down; it is prepaid.
    CancelledShipped,
    /// When it is invoiced.
    CancelledInvoiced,
    /// It is paid, and two boxes come back.
    Returned,
    /// Its customer pays five dollars too much.
    PaidOtherwise,
    /// It was bought in the shop and prepaid, and its customer cancels it there when the ERP has it.
    CancelledInShop,
    /// It was bought in the shop and paid, and two boxes come back.
    ReturnedToShop,
}

impl Case {
    /// Those that are bought over X12, each with the customer who orders so.
    const BY_EDI: [(Self, &'static str); 12] = [
        (Self::Plain, "C1001"),
        (Self::Prepaid, "C1002"),
        (Self::Short, "C1003"),
        (Self::CancelledReleased, "C1004"),
        (Self::CancelledAccepted, "C1005"),
        (Self::CancelledAllocated, "C1006"),
        (Self::CancelledPicked, "C1101"),
        (Self::CancelledPacked, "C1102"),
        (Self::CancelledShipped, "C1103"),
        (Self::CancelledInvoiced, "C1104"),
        (Self::Returned, "C1201"),
        (Self::PaidOtherwise, "C1202"),
    ];

    /// Those that are bought in the shop, each with the shop's id of the order before its first.
    const IN_SHOP: [(Self, u64); 2] = [(Self::CancelledInShop, 1_000), (Self::ReturnedToShop, 2_000)];

    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "nothing special",
            Self::Prepaid => "prepaid",
            Self::Short => "short shipment, prepaid",
            Self::CancelledReleased => "cancelled when released",
            Self::CancelledAccepted => "cancelled when accepted, prepaid",
            Self::CancelledAllocated => "cancelled when allocated",
            Self::CancelledPicked => "cancelled when picked, prepaid",
            Self::CancelledPacked => "cancelled when packed",
            Self::CancelledShipped => "cancelled when shipped, prepaid",
            Self::CancelledInvoiced => "cancelled when invoiced",
            Self::Returned => "two boxes come back",
            Self::PaidOtherwise => "paid too much",
            Self::CancelledInShop => "cancelled in the shop, prepaid",
            Self::ReturnedToShop => "bought in the shop, two boxes back",
        }
    }

    fn is_prepaid(self) -> bool {
        matches!(
            self,
            Self::Prepaid
                | Self::Short
                | Self::CancelledAccepted
                | Self::CancelledPicked
                | Self::CancelledShipped
                | Self::CancelledInShop
        )
    }

    /// Whether somebody pays the invoice.
    fn is_paid_later(self) -> bool {
        matches!(self, Self::Plain | Self::Returned | Self::PaidOtherwise | Self::ReturnedToShop)
    }

    fn value_minor(self) -> i64 {
        if self == Self::Short { SHORT_VALUE_MINOR } else { VALUE_MINOR }
    }

    /// The customers' orders of this case.
    fn orders(self, customer: &'static str) -> Vec<PurchaseOrder> {
        let (sku, price) = if self == Self::Short { (SHORT_SKU, SHORT_PRICE) } else { (SKU, PRICE) };
        let order = |number| {
            let order = PurchaseOrder::clean(&format!("{customer}-{number:03}")).of_customer(customer);
            order.with_lines(&[(sku, BOXES, "BX", price)])
        };
        (1..=PER_CASE).map(order).collect()
    }

    /// The shop's orders of this case.
    fn baskets(self) -> Vec<Basket> {
        let first = Self::IN_SHOP.into_iter().find(|(case, _)| *case == self).map(|(_, first)| first);
        let basket =
            |(first, place)| Basket { entity_id: first + place, sku: SKU, quantity: BOXES, price_minor: PRICE_MINOR };
        first
            .into_iter()
            .flat_map(|first| (1_u64..).take(PER_CASE).map(move |place| (first, place)))
            .map(basket)
            .collect()
    }
}

/// Plays it.
///
/// # Errors
/// When anything on the way fails, the log does not verify, or there is a violation.
pub async fn run(options: &DemoOptions, output: &mut Output) -> anyhow::Result<CashReport> {
    let started = std::time::Instant::now();
    let tree = SourceTree::find()?;
    let plugins = build_plugins(&tree, output)?;

    let folder = Folder::new(options.data_dir.as_deref())?;
    let secrets = Secrets::new(&folder.path)?;
    let systems = Systems::start(&tree, &secrets).await?;
    let filled_in = systems.filled_in(&secrets);
    let config = write_config(&tree, &folder.path, &plugins, "order-to-cash.toml", &filled_in)?;

    // The standard process, but for what is invoiced without a shipment.
    let items = format!("unshipped = [\"{}\", \"{}\"]", systems::FREIGHT, systems::DISCOUNT);
    let process = Process::standard_file().replace("unshipped = []", &items);
    std::fs::write(config.join("process.toml"), process).context("process.toml cannot be written")?;

    let Opened { locations, store, version, clock, host } =
        Opened::on(&tree, &folder.path, &config, options.workers).await?;
    output.step(&format!("host is up: configuration {version}, {} plugins, five systems beside it", plugins.len()))?;

    let (stop, stopping) = watch::channel(false);
    let listener = portreeve_api::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.context("no port is free")?;
    let address = listener.local_addr().context("the listener has no address")?;
    let serving = tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(stopping)));

    let door = Door { address, secrets, said: 0, again: 0 };
    let mut play = Play { systems, door, host: Arc::clone(&host), store: Arc::clone(&store), clock, output };
    let outage = play.whole(&tree, &folder.path).await?;
    let Play { systems, door, .. } = play;

    stop.send(true).context("the host stopped by itself")?;
    serving.await.context("the front door panicked")?.context("the front door failed")?;
    let ledgers = systems.ledgers();
    systems.stop().await?;
    host.sequencer.sequence_all().await?;

    let outside = locations.outside(&host.settings.origin).read()?;
    let verified = LogReader::new(Arc::clone(&store)).verify(&host.verifier, outside.as_ref()).await;
    let report = report::make(&store, &door, outage, ledgers, verified, started.elapsed()).await?;
    if options.json {
        output.json(&report)?;
    } else {
        report::print(&report, output)?;
        output.line(&folder.farewell())?;
    }
    if let Some(violation) = report.violations.first() {
        bail!(
            "{} violations, the first: {} of {}, {}; this must not happen, please report it with the folder of this run (`--data-dir`)",
            report.violations.len(),
            violation.kind,
            violation.about,
            violation.found
        );
    }
    if let Some(fault) = &report.audit.fault {
        bail!("the audit log does not verify: {fault}");
    }
    Ok(report)
}

/// A play that is under way.
struct Play<'a> {
    systems: Systems,
    door: Door,
    host: Arc<Host>,
    store: Arc<dyn Store>,
    clock: Arc<SetClock>,
    output: &'a mut Output,
}

impl Play<'_> {
    /// The whole day; what became of the outage.
    async fn whole(&mut self, tree: &SourceTree, folder: &Path) -> anyhow::Result<Outage> {
        // Orders come in, each file twice; who wants one no more before anybody has it is heard at once.
        let short =
            Short { sku: SHORT_SKU.to_owned(), missing: Decimal { units: 3, scale: 0 }, reason: Reason::Cancelled };
        self.systems.warehouse.run_short(short);
        for (place, (case, customer)) in (1_u32..).zip(Case::BY_EDI) {
            self.door.edi(&interchange(place, Purpose::Original, &case.orders(customer))).await?;
            self.minute();
        }
        self.shop(tree).await?;
        self.decide().await?;
        self.pay_at_once().await?;
        self.cancel(Case::CancelledReleased).await?;
        self.reject_what_is_held(folder, Case::CancelledReleased).await?;
        self.settle(A_DAY_MS).await?;
        self.step("orders are accepted, and released to the warehouse")?;

        // The warehouse works, and customers change their minds at each step.
        self.cancel(Case::CancelledAccepted).await?;
        self.cancel_in_shop().await?;
        self.settle(A_DAY_MS).await?;
        for case in [Case::CancelledAllocated, Case::CancelledPicked, Case::CancelledPacked] {
            self.warehouse_works().await?;
            self.settle(A_DAY_MS).await?;
            self.cancel(case).await?;
            self.settle(A_DAY_MS).await?;
        }

        // Goods leave while finance is down: the warehouse and the customers do not wait for it.
        self.systems.erp.down(true);
        self.warehouse_works().await?;
        self.warehouse_works().await?;
        self.settle(WHILE_DOWN_MS).await?;
        self.cancel(Case::CancelledShipped).await?;
        self.settle(WHILE_DOWN_MS).await?;
        let outage = self.outage().await?;
        self.step(&format!("{} shipments wait for finance, which is down", outage.waiting))?;
        self.systems.erp.down(false);
        self.settle(A_DAY_MS).await?;

        // Finance is back: what left is invoiced, and paid.
        self.door.finance(&mut self.systems).await?;
        self.settle(A_DAY_MS).await?;
        self.cancel(Case::CancelledInvoiced).await?;
        self.pay_invoices().await?;
        self.settle(A_DAY_MS).await?;
        self.step("what left is invoiced, taxed and paid")?;

        // Some of it comes back, is credited, and paid back.
        self.announce_returns().await?;
        for _ in 0..3 {
            self.settle(A_DAY_MS).await?;
            self.warehouse_works().await?;
            self.settle(A_DAY_MS).await?;
            self.door.finance(&mut self.systems).await?;
            self.settle(A_DAY_MS).await?;
            self.door.refunded(&mut self.systems, self.clock.now()).await?;
        }
        self.settle(A_DAY_MS).await?;
        Ok(outage)
    }

    fn step(&mut self, text: &str) -> anyhow::Result<()> {
        self.output.step(text)
    }

    fn minute(&self) {
        self.clock.advance_to(self.clock.now().plus_ms(Instant::MINUTE_MS));
    }

    // --- what the systems do ---

    async fn warehouse_works(&mut self) -> anyhow::Result<()> {
        let events = self.systems.warehouse.work().context("the warehouse cannot say what it did")?;
        self.minute();
        self.door.warehouse(events).await
    }

    async fn shop(&mut self, tree: &SourceTree) -> anyhow::Result<()> {
        let folder = tree.root().join("plugins/connectors/adobe-commerce/samples");
        let entries = std::fs::read_dir(&folder).with_context(|| format!("`{}` cannot be read", folder.display()))?;
        let mut samples: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        samples.sort();
        for path in samples.iter().take(SHOP_ORDERS) {
            let order = std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
            self.bought(&order).await?;
        }
        for basket in Case::IN_SHOP.into_iter().flat_map(|(case, _)| case.baskets()) {
            self.bought(&basket.placed()).await?;
        }
        Ok(())
    }

    /// Somebody buys in the shop, which says so.
    async fn bought(&mut self, order: &[u8]) -> anyhow::Result<()> {
        self.systems.shop.place(order).map_err(|fault| anyhow!("the shop does not take an order: {fault}"))?;
        self.door.shop(order).await?;
        self.minute();
        Ok(())
    }

    /// Customers cancel in the shop, which says so.
    async fn cancel_in_shop(&mut self) -> anyhow::Result<()> {
        for basket in Case::CancelledInShop.baskets() {
            if !self.systems.shop.cancel(basket.entity_id) {
                bail!("the shop does not let order {} be cancelled", basket.increment_id());
            }
            self.door.shop(&basket.canceled()).await?;
            self.minute();
        }
        self.decide().await
    }

    /// Customer service tells what is to come back: of a customer's order line 1, of the shop's the
    /// line that has its item's id.
    async fn announce_returns(&mut self) -> anyhow::Result<()> {
        let mut announced = Vec::new();
        for order in self.orders_of(Case::Returned).await? {
            announced.push((order.id, "1".to_owned()));
        }
        let baskets = Case::ReturnedToShop.baskets();
        for order in self.orders_of(Case::ReturnedToShop).await? {
            let basket = baskets.iter().find(|basket| basket.increment_id() == order.number);
            let basket = basket.with_context(|| format!("nobody bought order {} in the shop", order.number))?;
            announced.push((order.id, basket.item_id().to_string()));
        }
        for ((order, line), number) in announced.iter().zip(1..) {
            self.door.service(&order.to_string(), line, &format!("RMA-{number}"), RETURNED).await?;
        }
        Ok(())
    }

    async fn pay_at_once(&mut self) -> anyhow::Result<()> {
        for (order, case) in self.all_orders().await? {
            if let Some(case) = case.filter(|case| case.is_prepaid()) {
                self.pay(&order, case.value_minor()).await?;
            }
        }
        Ok(())
    }

    /// Whoever did not pay before pays what is invoiced; one customer pays something else.
    async fn pay_invoices(&mut self) -> anyhow::Result<()> {
        let invoices = self.systems.erp.invoices();
        for (order, case) in self.all_orders().await? {
            let number = order.id.to_string().replace('-', "");
            let of_order = invoices.iter().filter(|invoice| invoice.external_document_number == number);
            let mut owed = 0_i64;
            for invoice in of_order {
                owed = owed.saturating_add(systems::hundredths(&invoice.total)?);
            }
            if owed > 0 && case.is_none_or(Case::is_paid_later) {
                let more = if case == Some(Case::PaidOtherwise) { 500 } else { 0 };
                self.pay(&order, owed.saturating_add(more)).await?;
            }
        }
        Ok(())
    }

    async fn pay(&mut self, order: &OrderView, minor: i64) -> anyhow::Result<()> {
        let payment = self.systems.payments.pay(&order.id.to_string(), minor, "usd");
        self.door.paid(&self.systems, &payment, self.clock.now()).await
    }

    /// Customers of a case do not want their orders any more.
    async fn cancel(&mut self, case: Case) -> anyhow::Result<()> {
        let Some((place, (_, customer))) = (101_u32..).zip(Case::BY_EDI).find(|(_, (found, _))| *found == case) else {
            return Ok(());
        };
        self.minute();
        self.door.edi(&interchange(place, Purpose::Cancellation, &case.orders(customer))).await?;
        self.decide().await
    }

    /// A person of the order desk rejects what is kept back since its customer does not want it.
    async fn reject_what_is_held(&mut self, folder: &Path, case: Case) -> anyhow::Result<()> {
        let key = std::fs::read_to_string(people::folder(folder).join("anna.key")).context("anna has no key")?;
        let anna = self.host.pipeline.authenticate(key.trim()).await?;
        let orders: Vec<OrderId> = self.orders_of(case).await?.iter().map(|order| order.id).collect();
        let wanted = ExceptionsWanted { limit: 500, ..ExceptionsWanted::default() };
        for waiting in self.store.exceptions_wanted(wanted).await? {
            if waiting.code != CANCEL_REQUESTED || !waiting.order.is_some_and(|order| orders.contains(&order)) {
                continue;
            }
            let shown = self.host.pipeline.show_exception(waiting.id).await?.digest;
            let (exception, action, reason) = (waiting.id, ExceptionAction::Reject, "its customer does not want it");
            let decision = Decision { exception, shown, action, reason, holds: &[], queue: None, payload: None };
            self.host.pipeline.decide_exception(&anna, decision).await?;
        }
        Ok(())
    }

    // --- what the host does ---

    async fn decide(&self) -> anyhow::Result<()> {
        loop {
            let decided = self.host.pipeline.decide(AT_ONCE).await?;
            if decided.is_empty() {
                return Ok(());
            }
            decided.into_iter().try_for_each(|decided| decided.map(drop))?;
        }
    }

    /// Decides and delivers until nothing more is due within so long.
    async fn settle(&mut self, within_ms: i64) -> anyhow::Result<()> {
        let until = self.clock.now().plus_ms(within_ms);
        for _ in 0..STEPS_MAX {
            self.decide().await?;
            let delivered = self.host.pipeline.deliver_due(AT_ONCE).await?;
            let is_idle = delivered.is_empty();
            delivered.into_iter().try_for_each(|delivered| delivered.map(drop))?;
            if !is_idle {
                continue;
            }
            match self.store.next_due().await? {
                Some(due) if due <= until => self.clock.advance_to(due),
                Some(_) | None => {
                    self.host.sequencer.sequence_all().await?;
                    return Ok(());
                }
            }
        }
        bail!("the host does not come to rest within {STEPS_MAX} steps")
    }

    async fn outage(&self) -> anyhow::Result<Outage> {
        let mut outage = Outage::default();
        for (order, _) in self.all_orders().await? {
            for delivery in &order.deliveries {
                let is_open = ["pending", "in-doubt"].contains(&delivery.state.as_str());
                match (delivery.target == "erp", is_open) {
                    (true, true) => outage.waiting += 1,
                    (false, true) => outage.waiting_elsewhere += 1,
                    (_, false) => {}
                }
            }
        }
        Ok(outage)
    }

    // --- which orders there are ---

    async fn orders_of(&self, case: Case) -> anyhow::Result<Vec<OrderView>> {
        let all = self.all_orders().await?;
        Ok(all.into_iter().filter(|(_, found)| *found == Some(case)).map(|(order, _)| order).collect())
    }

    async fn all_orders(&self) -> anyhow::Result<Vec<(OrderView, Option<Case>)>> {
        all_orders(&self.store).await
    }
}

/// All orders, with the case that each is of; the shop's samples are of none.
async fn all_orders(store: &Arc<dyn Store>) -> anyhow::Result<Vec<(OrderView, Option<Case>)>> {
    let by_edi = Case::BY_EDI
        .into_iter()
        .flat_map(|(case, customer)| case.orders(customer).into_iter().map(move |order| (order.number, case)));
    let in_shop = Case::IN_SHOP
        .into_iter()
        .flat_map(|(case, _)| case.baskets().into_iter().map(move |basket| (basket.increment_id(), case)));
    let cases: BTreeMap<String, Case> = by_edi.chain(in_shop).collect();
    let (mut orders, mut after) = (Vec::new(), DocumentPosition(0));
    loop {
        let page = store.orders(after, 256).await?;
        let Some(last) = page.last() else { return Ok(orders) };
        after = last.position;
        orders.extend(page.into_iter().map(|order| {
            let case = cases.get(&order.number).copied();
            (order, case)
        }));
    }
}
