//! A simulation of order to cash, to the money and back: a seed draws what partners send, who pays
//! when, what is lost, late, doubled and out of turn, and when the host ends; the systems' own
//! ledgers judge what came of it.
//!
//! `PORTREEVE_SIM_ORDERS` says how many orders, `PORTREEVE_SIM_SEED` which run: the same seed
//! draws the same run, and each failure names it. The host ends in the middle of whatever it
//! does, by a write that fails in one of two ways, and is opened again on what is there.

mod configured;

mod judged;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portreeve::standins::wms::NODE;
use portreeve_model::value::Decimal;
use portreeve_pipeline::{Clock, Credential, Deliveries};

use self::configured::{PROCESSOR, Systems, TOKEN, WAREHOUSE};
use crate::faults::{Fault, FaultyStore, WRITES};
use crate::support::{PurchaseOrder, TestHost, say, x12_of};

/// Orders of each of the two runs, unless somebody asks for others; `.ci/run` does.
const ORDERS: u32 = 300;

/// Orders that a round begins with.
const ORDERS_PER_ROUND: u32 = 100;

/// Orders of one interchange.
const ORDERS_PER_FILE: u32 = 25;

const SKU: &str = "FST-1007";
const BOXES: i64 = 10;
const VALUE_MINOR: i64 = 18_400;

/// Violations of a kind that are told.
const SHOWN_OF_A_KIND: usize = 4;

/// How often customers change their minds while everything comes to rest, and how many do: one in
/// so many orders.
const CHANGES_OF_MIND: usize = 10;
const MINDS: u32 = 100;

/// Deliveries under way at once, when everything comes to rest.
const AT_ONCE: u32 = 64;

/// More than any run needs: a delivery is tried some ten times, and an order has a handful.
const DELIVERY_ROUNDS_MAX: u32 = 1_000_000;

/// Writes of a poll, beside those of the road.
const POLLS: [&str; 3] = ["claim_poll", "journal_polled", "end_poll"];

/// Rounds of polls within which all that is there is fetched.
const POLLED_MAX: u32 = 100;

/// After so long nothing that a host had claimed is another one's any more.
const LEASES_END_MS: i64 = 11 * 60_000;

/// A stream of numbers that a seed gives: SplitMix64 (Steele, Lea and Flood, 2014).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// True so often of a hundred times.
    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// What the host lacks in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacks {
    Nothing,
    /// It does not know what it has seen.
    Memory,
    /// It does not ask targets what became of an attempt.
    Find,
    /// It does not ask this one.
    FindOf(&'static str),
}

/// When a customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pays {
    /// When he hears that his order was accepted.
    AtOnce,
    /// What is invoiced, unless he wants the order no more.
    Later,
    Never,
}

/// Something that a system says.
#[derive(Debug, Clone)]
struct Said {
    channel: &'static str,
    body: String,
}

/// Everything outside the host: what partners and systems have sent and have still to.
struct World {
    draw: Draw,
    systems: Systems,
    lacks: Lacks,
    control: u32,
    orders: u32,
    /// How each order is paid, the first one's first.
    pays: Vec<Pays>,
    /// Files that got no answer yet.
    unanswered: Vec<Vec<u8>>,
    /// Files that got one. A partner may send them again all the same.
    answered: Vec<Vec<u8>>,
    /// Orders that their sender wants no more.
    cancelled: BTreeSet<u32>,
    /// The number of each order that the warehouse has, by the host's id.
    released: BTreeMap<String, u32>,
    /// Invoices and refunds that somebody has seen.
    invoices: usize,
    refunds: usize,
    /// What systems say and nobody has heard yet.
    unheard: Vec<Said>,
    heard: Vec<Said>,
    ends: u32,
    repeated: u32,
}

impl World {
    fn new(seed: u64, systems: Systems, lacks: Lacks) -> Self {
        let (pays, unanswered, answered, unheard, heard) = Default::default();
        Self {
            draw: Draw(seed),
            systems,
            lacks,
            control: 0,
            orders: 0,
            pays,
            unanswered,
            answered,
            cancelled: BTreeSet::new(),
            released: BTreeMap::new(),
            invoices: 0,
            refunds: 0,
            unheard,
            heard,
            ends: 0,
            repeated: 0,
        }
    }

    fn number(number: u32) -> String {
        format!("PO-{number:06}")
    }

    fn file(&mut self, numbers: &[u32]) -> Vec<u8> {
        self.control += 1;
        let order = |number: &u32| PurchaseOrder::clean(&Self::number(*number)).with_lines(&[(SKU, 10, "BX", "18.40")]);
        x12_of(self.control, &numbers.iter().map(order).collect::<Vec<_>>())
    }

    fn write_orders(&mut self, count: u32) {
        let numbers: Vec<u32> = (self.orders + 1..=self.orders + count).collect();
        self.orders += count;
        for numbers in numbers.chunks(usize::try_from(ORDERS_PER_FILE).unwrap()) {
            let file = self.file(numbers);
            self.unanswered.push(file);
        }
        for _ in numbers {
            let way = [Pays::AtOnce, Pays::AtOnce, Pays::Later, Pays::Later, Pays::Never][self.draw.below(5)];
            self.pays.push(way);
        }
    }

    /// A tenth of a round's orders is cancelled, at any time after it was ordered.
    fn write_cancellations(&mut self, count: u32) {
        let numbers: BTreeSet<u32> = (0..count)
            .map(|_| 1 + u32::try_from(self.draw.below(usize::try_from(self.orders).unwrap())).unwrap())
            .collect();
        let numbers: Vec<u32> = numbers.difference(&self.cancelled).copied().collect();
        if numbers.is_empty() {
            return;
        }
        let file = String::from_utf8(self.file(&numbers)).unwrap().replace("BEG*00*", "BEG*01*");
        self.cancelled.extend(numbers);
        self.unanswered.push(file.into_bytes());
    }

    /// Whoever hears nothing sends again, and some do so who heard well.
    async fn send(&mut self, host: &TestHost, again: u32) {
        for file in std::mem::take(&mut self.unanswered) {
            match host.send_edi(&file).await {
                Ok(_) => self.answered.push(file),
                Err(_) => self.unanswered.push(file),
            }
        }
        for _ in 0..again {
            let again = self.draw.below(self.answered.len());
            if let Some(file) = self.answered.get(again) {
                self.repeated += 1;
                drop(host.send_edi(file).await);
            }
        }
    }

    /// The warehouse works, customers pay and are paid back, and whoever did something will say so.
    fn goes_on(&mut self, host: &TestHost) {
        let done = self.systems.wms.work().unwrap();
        self.unheard.extend(done.into_iter().map(|body| Said { channel: WAREHOUSE, body }));
        let (erp, second) = (&host.erp, host.clock.now().0 / 1_000);
        let Systems { wms, payments, .. } = &self.systems;
        let mut paid = Vec::new();
        for release in wms.releases().into_iter().skip(self.released.len()) {
            let number: u32 = release.order_number.trim_start_matches("PO-").parse().unwrap();
            if self.pays[usize::try_from(number).unwrap() - 1] == Pays::AtOnce {
                paid.push(payments.pay(&release.order_id, VALUE_MINOR, "usd"));
            }
            self.released.insert(release.order_id.replace('-', ""), number);
        }
        for invoice in erp.invoices().into_iter().skip(self.invoices) {
            self.invoices += 1;
            let number = self.released[&invoice.external_document_number];
            let is_wanted = !self.cancelled.contains(&number);
            if is_wanted && self.pays[usize::try_from(number).unwrap() - 1] == Pays::Later {
                let order = judged::hyphened(&invoice.external_document_number);
                paid.push(payments.pay(&order, judged::cents(&invoice.total), "usd"));
            }
        }
        let mut told: Vec<_> = paid.iter().map(|payment| payments.paid(payment, second)).collect();
        for refund in payments.refunds().iter().skip(self.refunds) {
            self.refunds += 1;
            told.push(payments.refunded(refund, second));
        }
        self.unheard.extend(told.into_iter().map(|webhook| Said { channel: PROCESSOR, body: webhook.body }));
    }

    /// Systems say what they have to in any order, some of it twice, under its name or another one,
    /// and some of it later.
    async fn tell(&mut self, host: &TestHost, all: bool) {
        let mut said = std::mem::take(&mut self.unheard);
        self.draw.shuffle(&mut said);
        if !all {
            let later = said.len() / 4;
            self.unheard = said.split_off(said.len() - later);
        }
        for _ in 0..if all { 0 } else { said.len() / 8 } {
            let again = self.draw.below(self.heard.len());
            if let Some(again) = self.heard.get(again) {
                self.repeated += 1;
                let other_name = self.draw.percent(50);
                said.push(if other_name { again.renamed() } else { again.clone() });
            }
        }
        let (warehouse, processor): (Vec<Said>, Vec<Said>) = said.into_iter().partition(|it| it.channel == WAREHOUSE);
        for said in warehouse.chunks(32) {
            let bodies: Vec<&str> = said.iter().map(|said| said.body.as_str()).collect();
            self.say(host, WAREHOUSE, &format!("[{}]", bodies.join(",")), said).await;
        }
        // The processor says one thing at a time.
        for said in processor {
            self.say(host, PROCESSOR, &said.body, std::slice::from_ref(&said)).await;
        }
    }

    async fn say(&mut self, host: &TestHost, channel: &str, body: &str, said: &[Said]) {
        match host.send(channel, Credential::Bearer(TOKEN), body.as_bytes()).await {
            Ok(accepted) => {
                let status = accepted.reply.status;
                assert!([200, 202].contains(&status), "{status}: {}", String::from_utf8_lossy(&accepted.reply.body));
                self.heard.extend(said.iter().cloned());
            }
            Err(_) => self.unheard.extend(said.iter().cloned()),
        }
    }

    /// A round: the host before it ends where it is, and another one works until one of its writes
    /// fails, or until it has done all there is.
    async fn round(&mut self, host: TestHost) -> TestHost {
        let writes = [&WRITES[..], &POLLS[..]].concat();
        let write = writes[self.draw.below(writes.len())];
        let fault = if self.draw.percent(50) { Fault::NotPersisted } else { Fault::PersistedButFailed };
        // Some end at once, others have a long day.
        let most = if self.draw.percent(50) { 16 } else { 400 };
        let good = u32::try_from(self.draw.below(most)).unwrap();
        let (host, store) = host.crash_behind(|store| FaultyStore::new(store, write, fault, good)).await;
        if self.lacks == Lacks::Memory {
            store.forget();
        }
        // Some come back soon, others when nobody has what the one before had claimed.
        if self.draw.percent(30) {
            host.clock.advance_to(host.clock.now().plus_ms(LEASES_END_MS));
        }
        let pipeline = &host.host.pipeline;
        for _ in 0..3 {
            self.send(&host, 2).await;
            self.tell(&host, false).await;
            drop(pipeline.poll_due().await);
            let batch = u32::try_from(16 + self.draw.below(48)).unwrap();
            while pipeline.decide(batch).await.is_ok_and(|decided| !decided.is_empty()) {}
            let at_once = u32::try_from(8 + self.draw.below(56)).unwrap();
            for _ in 0..=self.draw.below(4) {
                drop(pipeline.deliver_due(at_once).await);
            }
            drop(host.host.sequencer.sequence_all().await);
            self.goes_on(&host);
            let ms = i64::try_from(self.draw.below(8_000)).unwrap();
            host.clock.advance_to(host.clock.now().plus_ms(ms));
            if store.has_failed() {
                break;
            }
        }
        self.ends += u32::from(store.has_failed());
        host
    }

    /// Delivers until nothing is due any more, however far the clock has to go for that. While one
    /// waits for an answer that does not come, the others go on.
    async fn deliver_all(&self, host: &TestHost) -> Result<(), String> {
        let mut deliveries = Deliveries::new(Arc::clone(&host.host.pipeline), AT_ONCE);
        let mut under_way = 0;
        for _ in 0..DELIVERY_ROUNDS_MAX {
            if under_way <= AT_ONCE / 2 {
                under_way += u32::try_from(deliveries.start_due().await.unwrap()).unwrap();
            }
            if let Some(settled) = deliveries.ended().await {
                under_way -= u32::try_from(settled.len()).unwrap();
                settled.into_iter().for_each(|settled| drop(settled.unwrap()));
            } else {
                let Some(due) = host.store.next_due().await.unwrap() else { return Ok(()) };
                host.clock.advance_to(due);
            }
        }
        Err(format!("deliveries never come to rest: {:?}", host.summary().await))
    }

    /// Everybody does what is still to be done, and nothing goes wrong any more but at the systems.
    async fn comes_to_rest(&mut self, host: TestHost) -> Result<TestHost, String> {
        let (host, store) = host.crash_behind(FaultyStore::sound).await;
        if self.lacks == Lacks::Memory {
            store.forget();
        }
        let mut waited_for = None;
        for step in 0..64 {
            // Now each step of an order has some that are not wanted any more.
            if (1..=CHANGES_OF_MIND).contains(&step) {
                self.write_cancellations(self.orders / MINDS);
            }
            self.send(&host, 0).await;
            self.tell(&host, true).await;
            let is_fetched = fetched(&host).await;
            let decided = host.decide_all().await.len();
            self.deliver_all(&host).await?;
            self.goes_on(&host);
            let done = self.unanswered.is_empty() && self.unheard.is_empty() && decided == 0 && is_fetched;
            // What stands behind a dead letter is not delivered, however often it is waited for.
            let pending = host.summary().await.pending;
            let is_all = pending == 0 || (self.lacks != Lacks::Nothing && waited_for == Some(pending));
            if done && step >= CHANGES_OF_MIND && is_all {
                return Ok(host);
            }
            waited_for = Some(pending);
        }
        let (unanswered, unheard) = (self.unanswered.len(), self.unheard.len());
        let polls = host.host.pipeline.polls().await.unwrap();
        let failing: Vec<_> = polls.iter().map(|(poll, at)| (&poll.id, at.as_ref().map(|at| at.failures))).collect();
        Err(format!(
            "it never comes to rest: {unanswered} unanswered, {unheard} unheard, polls failing {failing:?}, {:?}",
            host.summary().await
        ))
    }
}

/// Makes all polls until each was made and brought nothing; false where they came to no such end. Each
/// page that is read for the first time may go wrong.
async fn fetched(host: &TestHost) -> bool {
    let pipeline = &host.host.pipeline;
    for _ in 0..POLLED_MAX {
        // One that failed is due when it says so.
        let due = pipeline.polls().await.unwrap().into_iter().filter_map(|(_, at)| Some(at?.due_at));
        let no_lease = host.clock.now().plus_ms(LEASES_END_MS);
        host.clock.advance_to(due.fold(no_lease, std::cmp::Ord::max));
        let runs = pipeline.poll_due().await;
        let is_over =
            |run: &portreeve_pipeline::poll::PollRun| run.asked > 0 && run.documents == 0 && run.failed.is_none();
        if runs.into_iter().map(|(_, run)| run.unwrap()).fold(true, |all, run| all & is_over(&run)) {
            return true;
        }
    }
    false
}

impl Said {
    /// In a message of another name.
    fn renamed(&self) -> Self {
        let body = match self.channel {
            PROCESSOR => self.body.replacen("\"id\":\"evt_", "\"id\":\"evt_again_", 1),
            _ => self.body.replacen("\"id\":\"", "\"id\":\"again-", 1),
        };
        Self { channel: self.channel, body }
    }
}

/// What a run came to, or the first violations.
async fn simulate(seed: u64, orders: u32, lacks: Lacks) -> Result<String, String> {
    let systems = Systems::start().await;
    let all = Decimal { units: i64::from(orders) * BOXES, scale: 0 };
    systems.wms.put(NODE, SKU, all);
    let setup = configured::setup(&systems, lacks);
    let mut world = World::new(seed, systems, lacks);
    let mut host = setup.start().await;
    host.erp.put(SKU, all);
    host.erp.know_the_time(host.clock.clone());
    while world.orders < orders {
        world.write_orders(ORDERS_PER_ROUND.min(orders - world.orders));
        world.write_cancellations(ORDERS_PER_ROUND / 10);
        host = world.round(host).await;
    }
    let host = world.comes_to_rest(host).await?;
    let (counts, violations) = judged::judge(&host, &world).await;
    host.verify().await.map_err(|error| error.to_string())?;
    if !violations.is_empty() {
        let shown = violations.values().flat_map(|found| found.iter().take(SHOWN_OF_A_KIND));
        let shown: Vec<&str> = shown.map(String::as_str).collect();
        let all: usize = violations.values().map(Vec::len).sum();
        return Err(format!("{all} violations, {}", shown.join("; ")));
    }
    let (ends, repeated, tried) = (world.ends, world.repeated, host.summary().await.retried);
    Ok(format!(
        "{counts:?}; {}; the host met {ends} faults, {repeated} things were said again, {tried} deliveries were tried again",
        judged::money(&host, &world)
    ))
}

/// A number of the environment, where somebody set it.
fn asked<T: std::str::FromStr>(name: &str, unless: T) -> T {
    std::env::var(name).ok().map_or(unless, |text| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`")))
}

async fn a_run(seed: u64) {
    let (seed, orders) = (asked("PORTREEVE_SIM_SEED", seed), asked("PORTREEVE_SIM_ORDERS", ORDERS));
    match simulate(seed, orders, Lacks::Nothing).await {
        Ok(said) => say(&format!("seed {seed}, {orders} orders: {said}")),
        Err(wrong) => {
            let wrong = format!("PORTREEVE_SIM_SEED={seed} PORTREEVE_SIM_ORDERS={orders}: {wrong}");
            // Whoever sees no more than what was printed on the way sees this.
            say(&wrong);
            panic!("{wrong}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_lost_late_doubled_or_out_of_turn_each_order_comes_to_its_money_once_or_is_undone() {
    a_run(2026).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_so_it_is_in_a_run_that_another_seed_draws() {
    a_run(2027).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_know_what_it_has_seen_is_found_out() {
    let wrong = simulate(7, 100, Lacks::Memory).await.unwrap_err();
    assert!(wrong.contains("orders of this number are there"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_asks_no_target_what_became_of_an_attempt_is_found_out() {
    let wrong = simulate(7, 100, Lacks::Find).await.unwrap_err();
    assert!(wrong.contains("waits for somebody: true"), "what nobody wanted cancelled is somebody's: {wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_one_that_asks_no_tax_service_or_no_payment_processor() {
    for target in ["tax", "payments"] {
        let wrong = simulate(7, 200, Lacks::FindOf(target)).await.unwrap_err();
        assert!(wrong.contains("an exception `unknown-outcome`"), "{target}: {wrong}");
    }
}
