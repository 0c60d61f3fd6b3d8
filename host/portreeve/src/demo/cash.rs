//! Order to cash: a day of orders from customers and a shop to their money, through an ERP, a
//! warehouse, a tax service, a payment processor and the shop again, all of which answer badly, and
//! what must not be in their ledgers afterwards.
//!
//! The story is [`run`], told by `Play::whole`: orders come in, some are paid at once, some are
//! not wanted any more in each state that they can be in, finance is down while goods leave, some
//! are short, some come back. Everything is said over the front door and later once more, some of
//! it out of turn: what of one order should have come first comes last, or waits. The host's three
//! stories are told step by step here instead of by its workers, so that it is known where each
//! order is when its customer changes his mind; nothing else of them differs.

mod case;

mod door;

pub mod ledgers;

mod report;

mod systems;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use portreeve_audit::LogReader;
use portreeve_model::value::Decimal;
use portreeve_model::{ExceptionAction, Instant};
use portreeve_pipeline::Clock;
use portreeve_pipeline::decide::{CANCEL_REQUESTED, CHANGED_ORDER};
use portreeve_pipeline::exception::Decision;
use portreeve_pipeline::process::Process;
use portreeve_store::Store;
use portreeve_store::contract::{DocumentPosition, ExceptionsWanted, OrderView};
use tokio::sync::watch;

pub use self::case::Case;
use self::case::{LATE, Paid, SHORT};
use self::door::Door;
pub use self::report::{CaseRow, CashReport, Outage, ShopRow, SystemsRow};
use self::systems::{Secrets, Systems};
use super::{DemoOptions, Folder, Opened, build_plugins, people, write_config};
use crate::clock::SetClock;
use crate::host::{self, Host};
use crate::output::Output;
use crate::source_tree::SourceTree;
use crate::standins::partner::{PurchaseOrder, Purpose, interchange};
use crate::standins::wms::{OPENS_AT, Reason, Short};

/// The host's, among the demo's files.
const CONFIGURATION: &str = "order-to-cash.toml";

/// Boxes that come back of an order.
const RETURNED: u32 = 2;

/// The poll that asks the shop for returns.
const RETURNS: &str = "shop-returns";

/// Boxes that the warehouse misses of an order.
const MISSING: Decimal = Decimal { units: 3, scale: 0 };

/// Sample orders that the shop sends, beside those of a case.
const SHOP_ORDERS: usize = 12;

/// Of what the warehouse says that it left before it says what it did with it.
const LEFT_FIRST: [Case; 2] = [Case::Prepaid, Case::ReturnedToShop];

/// Between the numbers of an interchange and of the same that is sent once more.
const ONCE_MORE: u32 = 1_000;

/// The number that customers give their changes: each asks for one.
const FIRST_CHANGE: u32 = 1;

/// How often the warehouse works until what was missing has left and all is back.
const ROUNDS: usize = 6;

/// Polls until the ERP tells what it posted. It answers badly twice at most, to each question.
const POLLS_MAX: usize = 64;

/// Documents or deliveries of one step.
const AT_ONCE: u32 = 64;

/// Steps until the host has to have nothing to do. It takes some tens; a bug must not make the
/// demo hang.
const STEPS_MAX: usize = 20_000;

/// How long the host tries before something is said next, while finance is down and when it is not.
const WHILE_DOWN_MS: i64 = 60_000;
const A_DAY_MS: i64 = Instant::DAY_MS;

/// Plays it.
///
/// # Errors
/// When anything on the way fails, the log does not verify, or there is a violation.
pub async fn run(options: &DemoOptions, output: &mut Output) -> anyhow::Result<CashReport> {
    run_changed(options, output, &[]).await
}

/// The same where these passages of the configuration are other ones: what is to be found then is
/// found by the rules alone.
///
/// # Errors
/// As [`run`], and when the configuration has no such passage.
pub async fn run_changed(
    options: &DemoOptions,
    output: &mut Output,
    changes: &[(&'static str, &str)],
) -> anyhow::Result<CashReport> {
    let started = std::time::Instant::now();
    let tree = SourceTree::find()?;
    let plugins = build_plugins(&tree, output)?;

    let folder = Folder::new(options.data_dir.as_deref())?;
    let secrets = Secrets::new(&folder.path)?;
    let systems = Systems::start(&tree, &secrets).await?;
    let mut filled_in = systems.filled_in(&secrets);
    let written = std::fs::read_to_string(tree.demo().join(CONFIGURATION))?;
    for &(passage, other) in changes {
        if !written.contains(passage) {
            bail!("the configuration has no `{passage}`, which is to be another one");
        }
        filled_in.push((passage, other.to_owned()));
    }
    let config = write_config(&tree, &folder.path, &plugins, CONFIGURATION, &filled_in)?;

    // The standard process, but for what is invoiced without a shipment.
    let items = [systems::FREIGHT_ACCOUNT, systems::DISCOUNT];
    let items = format!("unshipped = [\"{}\"]", items.join("\", \""));
    let process = Process::standard_file().replace("unshipped = []", &items);
    std::fs::write(config.join("process.toml"), process).context("process.toml cannot be written")?;

    let Opened { locations, store, version, clock, host } =
        Opened::on(&tree, &folder.path, &config, options.workers).await?;
    output.step(&format!("host is up: configuration {version}, {} plugins, eight systems beside it", plugins.len()))?;

    systems.know_the_time(&clock);
    let (stop, stopping) = watch::channel(false);
    let listener = portreeve_api::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.context("no port is free")?;
    let address = listener.local_addr().context("the listener has no address")?;
    let serving = tokio::spawn(portreeve_api::serve(listener, host.front(), host::stopped(stopping)));

    let door = Door::new(address, secrets);
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
    let report = report::make(&store, door, outage, ledgers, verified, started.elapsed()).await?;
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
        for (goods, reason) in [(SHORT, Reason::Cancelled), (LATE, Reason::Backordered)] {
            let sku = goods.sku.to_owned();
            self.systems.warehouse.run_short(Short { sku, missing: MISSING, reason });
        }
        for (place, case) in (1_u32..).zip(Case::all()).filter(|(_, case)| !case.orders().is_empty()) {
            self.edi(place, Purpose::Original, case).await?;
        }
        self.cancel(Case::CancelledReceived).await?;
        self.shop(tree).await?;
        self.decide().await?;
        self.pay_at_once().await?;
        for case in [Case::CancelledHeld, Case::CancelledReleased] {
            self.cancel(case).await?;
        }
        self.change(Case::ChangedReleased).await?;
        let kept_back = [Case::CancelledReceived, Case::CancelledHeld, Case::CancelledReleased];
        self.reject_what_is_held(folder, &kept_back).await?;
        self.settle(A_DAY_MS).await?;
        self.answer_changes(folder, Case::ChangedReleased, ExceptionAction::AcceptChange).await?;
        self.say_again(A_DAY_MS).await?;
        self.step("orders are accepted, and released to the warehouse")?;

        // The warehouse works, and customers change their minds at each step.
        self.cancel(Case::CancelledAccepted).await?;
        self.cancel_in_shop().await?;
        self.settle(A_DAY_MS).await?;
        for case in [Case::CancelledAllocated, Case::CancelledPicked, Case::CancelledPacked] {
            self.warehouse_works().await?;
            self.settle(A_DAY_MS).await?;
            self.cancel(case).await?;
            match case {
                Case::CancelledAllocated => {
                    self.change(Case::ChangedAllocated).await?;
                    self.answer_changes(folder, Case::ChangedAllocated, ExceptionAction::AcceptChange).await?;
                }
                Case::CancelledPacked => {
                    self.change(Case::ChangedPacked).await?;
                    self.answer_changes(folder, Case::ChangedPacked, ExceptionAction::RefuseChange).await?;
                }
                _ => {}
            }
            self.settle(A_DAY_MS).await?;
        }
        self.say_again(A_DAY_MS).await?;

        // Goods leave while finance is down: the warehouse and the customers do not wait for it.
        self.systems.erp.down(true);
        self.warehouse_works().await?;
        self.warehouse_works().await?;
        self.announce_returns(&[Case::ReturnedEarly]).await?;
        let memo_first = self.orders_of(&[Case::ReturnedEarly]).await?;
        self.systems.erp.tells_late(memo_first.iter().map(|order| order.replace('-', "")));
        self.door.memo_first(memo_first);
        self.settle(WHILE_DOWN_MS).await?;
        for case in [Case::CancelledPartShipped, Case::CancelledShipped] {
            self.cancel(case).await?;
        }
        self.settle(WHILE_DOWN_MS).await?;
        self.say_again(WHILE_DOWN_MS).await?;
        let outage = self.outage().await?;
        self.step(&format!("{} shipments wait for finance, which is down", outage.waiting))?;
        self.systems.erp.down(false);
        self.settle(A_DAY_MS).await?;

        // Finance is back: what left is invoiced, and paid.
        self.finance().await?;
        self.settle(A_DAY_MS).await?;
        self.cancel(Case::CancelledInvoiced).await?;
        self.pay_invoices().await?;
        self.settle(A_DAY_MS).await?;
        self.cancel(Case::CancelledSettled).await?;
        self.say_again(A_DAY_MS).await?;
        self.step("what left is invoiced, taxed and paid")?;

        // What was missing is there. Some of what left comes back, is credited, and paid back; and
        // some customers send all of it back then.
        self.systems.warehouse.restock(LATE.sku);
        self.door.warehouse_recalls().await?;
        let some_back = [
            Case::Returned,
            Case::ReturnedToShop,
            Case::CancelledReturning,
            Case::CancelledReturned,
            Case::CancelledCredited,
        ];
        self.announce_returns(&some_back).await?;
        self.cancel(Case::CancelledReturning).await?;
        self.settle(A_DAY_MS).await?;
        for round in 1..=ROUNDS {
            self.warehouse_works().await?;
            if round == ROUNDS {
                self.levels(true).await?;
            }
            self.settle(A_DAY_MS).await?;
            if round == 1 {
                self.cancel(Case::CancelledReturned).await?;
                self.settle(A_DAY_MS).await?;
            }
            self.finance().await?;
            self.settle(A_DAY_MS).await?;
            self.door.refunded(&mut self.systems, self.clock.now()).await?;
            if round == 1 {
                self.cancel(Case::CancelledCredited).await?;
            }
            if [1, ROUNDS].contains(&round) {
                self.say_again(A_DAY_MS).await?;
            }
        }
        Ok(outage)
    }

    fn step(&mut self, text: &str) -> anyhow::Result<()> {
        self.output.step(text)
    }

    /// Customers acknowledge what they were sent, and whatever was said since the last time is said
    /// once more, at another time.
    async fn say_again(&mut self, within_ms: i64) -> anyhow::Result<()> {
        self.minute();
        for acknowledgement in self.systems.customers.acknowledgements() {
            self.door.edi(&acknowledgement, &acknowledgement).await?;
        }
        self.door.say_again(self.clock.now()).await?;
        self.settle(within_ms).await
    }

    fn minute(&self) {
        self.clock.advance_to(self.clock.now().plus_ms(Instant::MINUTE_MS));
    }

    // --- what the systems do ---

    async fn warehouse_works(&mut self) -> anyhow::Result<()> {
        let events = self.systems.warehouse.work().context("the warehouse cannot say what it did")?;
        self.minute();
        let left_first = self.orders_of(&LEFT_FIRST).await?;
        let unsaid = self.orders_of(&[Case::ReturnedEarly]).await?;
        self.door.warehouse(events, &left_first, &unsaid).await?;
        self.levels(false).await
    }

    /// The warehouse tells how much there is of what it moved since the last time.
    async fn levels(&mut self, all_get_through: bool) -> anyhow::Result<()> {
        // It counts from when it opens on.
        self.clock.advance_to(OPENS_AT.plus_ms(Instant::MINUTE_MS));
        let levels = self.systems.warehouse.levels().context("the warehouse cannot say how much there is")?;
        self.door.levels(levels, all_get_through).await
    }

    /// The ERP tells that it posted something since, which the host fetches. Of some orders the
    /// credit memo comes before the invoice.
    async fn finance(&mut self) -> anyhow::Result<()> {
        let late = self.door.posted(&mut self.systems).await?;
        self.fetch().await?;
        if late.is_empty() {
            return Ok(());
        }
        for order in late {
            self.systems.erp.tell(&order);
        }
        self.door.posted(&mut self.systems).await?;
        self.fetch().await
    }

    /// The host polls the ERP, until it got through: now and then that answers badly, too.
    async fn fetch(&mut self) -> anyhow::Result<()> {
        for _ in 0..POLLS_MAX {
            self.minute();
            let mut is_done = true;
            for (_, run) in self.host.pipeline.poll_due().await {
                is_done &= run?.failed.is_none();
            }
            if is_done {
                return self.decide().await;
            }
        }
        bail!("the ERP tells nothing of what it posted, in {POLLS_MAX} polls")
    }

    /// A customer's interchange, which he sends under another number once more.
    async fn edi(&mut self, number: u32, purpose: Purpose, case: Case) -> anyhow::Result<()> {
        let file = |number| interchange(number, purpose, &case.orders());
        self.minute();
        self.door.edi(&file(number), &file(number.saturating_add(ONCE_MORE))).await
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
        for basket in Case::all().flat_map(Case::baskets) {
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

    /// Customer service tells what is to come back; of what was bought in the shop the shop does.
    async fn announce_returns(&mut self, some_back: &[Case]) -> anyhow::Result<()> {
        let cases = Case::of_numbers();
        let of_cases = |order: &OrderView| cases.get(&order.number).filter(|(case, _)| some_back.contains(case));
        let mut is_lost = false;
        for (order, number) in self.all_orders().await?.iter().map(|(order, _)| order).zip(1..) {
            let Some((case, line)) = of_cases(order) else { continue };
            let (id, baskets) = (order.id.to_string(), case.baskets());
            let Some(basket) = baskets.iter().find(|basket| basket.increment_id() == order.number) else {
                self.door.service(&id, line, &format!("RMA-{number}"), i64::from(RETURNED)).await?;
                continue;
            };
            let asked = self.systems.shop.ask_back(basket.entity_id, basket.item_id(), RETURNED);
            let asked = asked.map_err(|fault| anyhow!("the shop takes no return: {fault}"))?;
            // What it says of the last one is lost.
            match baskets.last() == Some(basket) {
                true => is_lost = true,
                false => self.door.asked_back(&id, &asked.webhook()).await?,
            }
        }
        if is_lost {
            self.fetch_returns().await?;
        }
        self.decide().await
    }

    /// The host asks the shop for returns, of which it may not have heard.
    async fn fetch_returns(&self) -> anyhow::Result<()> {
        self.minute();
        let poll = self.host.pipeline.routes.poll(RETURNS).context("no poll asks the shop for returns")?;
        let run = self.host.pipeline.poll(poll).await?;
        match (run.failed, run.documents) {
            (None, 1) => Ok(()),
            (failed, documents) => {
                bail!("the shop was asked for the one return that is missing, and told {documents} ({failed:?})")
            }
        }
    }

    async fn pay_at_once(&mut self) -> anyhow::Result<()> {
        for (order, case) in self.all_orders().await? {
            if let Some(case) = case.filter(|case| case.paid() == Paid::AtOnce) {
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
            if owed > 0 && case.is_none_or(|case| case.paid() == Paid::Later) {
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
        let place = (101_u32..).zip(Case::all()).find(|(_, found)| *found == case).map(|(place, _)| place);
        let place = place.context("a case that there is not")?;
        self.edi(place, Purpose::Cancellation, case).await?;
        self.decide().await
    }

    /// Customers of a case want fewer boxes than they ordered.
    async fn change(&mut self, case: Case) -> anyhow::Result<()> {
        let place = (201_u32..).zip(Case::all()).find(|(_, found)| *found == case).map(|(place, _)| place);
        let place = place.context("a case that there is not")?;
        self.minute();
        let file = self.systems.customers.asks(place, FIRST_CHANGE, &case.changes());
        let wanted: Vec<PurchaseOrder> = case.changes().into_iter().map(|(_, wanted)| wanted).collect();
        let again = interchange(place.saturating_add(ONCE_MORE), Purpose::Change(FIRST_CHANGE), &wanted);
        self.door.edi(&file, &again).await?;
        self.decide().await
    }

    /// People of the order desk answer the changes of a case. What they accept reaches the ERP and the
    /// warehouse by itself.
    async fn answer_changes(&mut self, folder: &Path, case: Case, answer: ExceptionAction) -> anyhow::Result<()> {
        self.answer(folder, &[case], CHANGED_ORDER, answer, "its customer asked for it").await
    }

    /// A person of the order desk rejects what is kept back since its customer does not want it.
    async fn reject_what_is_held(&mut self, folder: &Path, cases: &[Case]) -> anyhow::Result<()> {
        let reason = "its customer does not want it";
        self.answer(folder, cases, CANCEL_REQUESTED, ExceptionAction::Reject, reason).await
    }

    /// A person of the order desk decides so about what waits with this code of orders of some cases.
    async fn answer(
        &mut self,
        folder: &Path,
        cases: &[Case],
        code: &str,
        action: ExceptionAction,
        reason: &str,
    ) -> anyhow::Result<()> {
        let key = std::fs::read_to_string(people::folder(folder).join("anna.key")).context("anna has no key")?;
        let anna = self.host.pipeline.authenticate(key.trim()).await?;
        let orders = self.orders_of(cases).await?;
        let wanted = ExceptionsWanted { limit: 500, ..ExceptionsWanted::default() };
        for waiting in self.store.exceptions_wanted(wanted).await? {
            if waiting.code != code || !waiting.order.is_some_and(|order| orders.contains(&order.to_string())) {
                continue;
            }
            let shown = self.host.pipeline.show_exception(waiting.id).await?.digest;
            let exception = waiting.id;
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
            // What is due and was not taken up waits for people, whose target takes nothing now.
            let now = self.clock.now();
            match self.host.pipeline.next_due().await? {
                Some(due) if due > now && due <= until => self.clock.advance_to(due),
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

    /// The ids of all orders of some cases.
    async fn orders_of(&self, cases: &[Case]) -> anyhow::Result<BTreeSet<String>> {
        let all = self.all_orders().await?.into_iter();
        let of_cases = all.filter(|(_, case)| case.is_some_and(|case| cases.contains(&case)));
        Ok(of_cases.map(|(order, _)| order.id.to_string()).collect())
    }

    async fn all_orders(&self) -> anyhow::Result<Vec<(OrderView, Option<Case>)>> {
        all_orders(&self.store).await
    }
}

/// All orders, with the case that each is of; the shop's samples are of none.
async fn all_orders(store: &Arc<dyn Store>) -> anyhow::Result<Vec<(OrderView, Option<Case>)>> {
    let cases = Case::of_numbers();
    let (mut orders, mut after) = (Vec::new(), DocumentPosition(0));
    loop {
        let page = store.orders(after, 256).await?;
        let Some(last) = page.last() else { return Ok(orders) };
        after = last.position;
        orders.extend(page.into_iter().map(|order| {
            let case = cases.get(&order.number).map(|(case, _)| *case);
            (order, case)
        }));
    }
}
