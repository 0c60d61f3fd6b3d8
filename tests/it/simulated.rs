//! A simulation of order to cash, to the money and back: a seed draws what partners send, who pays
//! when, what is lost, late, doubled and out of turn, and when the host ends; the systems' own
//! ledgers judge what came of it.
//!
//! `PORTREEVE_SIM_ORDERS` says how many orders, `PORTREEVE_SIM_SEED` which run: the same seed
//! draws the same run, and each failure says how to see it again. `PORTREEVE_SIM_PACE` says how patient
//! it is: `usual`, where nobody says otherwise, or `timeless`, which no machine is too slow for. The host
//! ends in the middle of whatever it does, by a write that fails in one of two ways, and is opened again
//! on what is there.
//!
//! So that a run can be repeated though deliveries are under way side by side, what goes wrong
//! follows from what it is about ([`plan`]), and a run goes in steps that the machine's speed does
//! not reach into. The clock stands still within a step and moves by whole [`TICK_MS`]. A step takes
//! up all that is due or nothing of it, never as much as there was time for; a host that ends in it is
//! followed by another one that goes on with the same. What stays free is who is first, and with it
//! the numbers that systems and the journal give, and which documents are on which page of a list that
//! has several. Where a machine is slower than systems may be ([`Pace`]), more answers are lost than
//! were drawn.

mod configured;

mod judged;

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use portreeve::standins::wms::NODE;
use portreeve_model::value::Decimal;
use portreeve_model::{Digest, Instant};
use portreeve_pipeline::{Clock, Credential, Deliveries};

use self::configured::{PROCESSOR, Pace, Systems, TOKEN, WAREHOUSE};
use self::plan::{Draw, Plan, Record, differences};
use crate::faults::{About, FaultyStore};
use crate::support::{MORNING, PurchaseOrder, TestHost, say, x12_of};

/// Orders of each of the two runs, unless somebody asks for others; `.ci/run` does.
const ORDERS: u32 = 300;

/// Orders of a run that is made twice: two rounds.
const REPLAYED: u32 = 150;

/// Of those that are ordered once there is as much in stock. A host that forgets has each a few times
/// over, and none of them is to miss what another one had first.
const STOCK_OF_FORGOTTEN: i64 = 16;

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

/// Steps of a round.
const STEPS: u32 = 3;

/// The clock moves by so much or a multiple: after each move all is due whose back-off ends in it, and
/// how that is spread depends on a place in the journal.
const TICK_MS: i64 = 11_000;

/// Rounds of polls within which all that is there is fetched.
const POLLED_MAX: u32 = 100;

/// After so long nothing that a host had claimed is another one's any more; whole ticks.
const LEASES_END_MS: i64 = 60 * TICK_MS;

/// Of a hundred things that are said so many are said again later on, and so many are late.
const AGAIN_PERCENT: u64 = 12;
const LATE_PERCENT: u64 = 25;

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
    /// What of which order it says.
    about: String,
    /// Whether it was said before.
    is_again: bool,
}

/// Everything outside the host: what partners and systems have sent and have still to.
struct World {
    seed: u64,
    plan: Arc<Plan>,
    systems: Systems,
    lacks: Lacks,
    /// How many steps there were.
    step: u32,
    /// How many inputs a host has forgotten.
    forgotten: Arc<AtomicU32>,
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
    /// What is to be said again, and in which step.
    again: Vec<(u32, Said)>,
    ends: u32,
    repeated: u32,
}

impl World {
    fn new(seed: u64, systems: Systems, lacks: Lacks) -> Self {
        let (pays, unanswered, answered, unheard, again) = Default::default();
        Self {
            seed,
            plan: Arc::new(Plan::new(seed)),
            systems,
            lacks,
            step: 0,
            forgotten: Arc::default(),
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
            again,
            ends: 0,
            repeated: 0,
        }
    }

    fn number(number: u32) -> String {
        format!("PO-{number:06}")
    }

    /// What is drawn in this step.
    fn draw(&self, kind: &str, of: &str) -> Draw {
        Draw::of(self.seed, kind, &[&self.step.to_string(), of])
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
        for number in numbers {
            let way = Draw::of(self.seed, "pays", &[&Self::number(number)]).below(5);
            self.pays.push([Pays::AtOnce, Pays::AtOnce, Pays::Later, Pays::Later, Pays::Never][way]);
        }
    }

    /// A tenth of a round's orders is cancelled, at any time after it was ordered.
    fn write_cancellations(&mut self, count: u32) {
        let (mut draw, orders) = (self.draw("cancelled", ""), usize::try_from(self.orders).unwrap());
        let numbers: BTreeSet<u32> = (0..count).map(|_| 1 + u32::try_from(draw.below(orders)).unwrap()).collect();
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
            self.plan.sends(format!("file {}", Digest::of(&file)));
            match host.send_edi(&file).await {
                Ok(_) => self.answered.push(file),
                Err(_) => self.unanswered.push(file),
            }
        }
        for turn in 0..again {
            let again = self.draw("file again", &turn.to_string()).below(self.answered.len());
            if let Some(file) = self.answered.get(again) {
                self.repeated += 1;
                self.plan.sends(format!("file again {} {turn}", self.step));
                drop(host.send_edi(file).await);
            }
        }
    }

    /// The warehouse works, customers pay and are paid back, and whoever did something will say so.
    fn goes_on(&mut self, host: &TestHost) {
        let done = self.systems.wms.work().unwrap();
        self.unheard.extend(done.into_iter().map(Said::of_warehouse));
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
        let said = |what: &str, order: &str, body: String| Said {
            channel: PROCESSOR,
            body,
            about: format!("{what} {order}"),
            is_again: false,
        };
        for payment in &paid {
            self.unheard.push(said("paid", &payment.order_id, payments.paid(payment, second).body));
        }
        let refunds = payments.refunds();
        let orders: BTreeMap<String, String> = match refunds.len() > self.refunds {
            true => payments.payments().into_iter().map(|payment| (payment.charge, payment.order_id)).collect(),
            false => BTreeMap::new(),
        };
        for refund in refunds.iter().skip(self.refunds) {
            self.refunds += 1;
            self.unheard.push(said("refunded", &orders[&refund.charge], payments.refunded(refund, second).body));
        }
    }

    /// Systems say what they have to in any order, some of it twice, under its name or another one,
    /// and some of it later.
    async fn tell(&mut self, host: &TestHost, all: bool) {
        let mut said = std::mem::take(&mut self.unheard);
        if !all {
            let is_late = |said: &Said| self.draw("late", &said.about).percent(LATE_PERCENT);
            let (late, now): (Vec<Said>, Vec<Said>) = said.into_iter().partition(is_late);
            let (again, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.again).into_iter().partition(|(step, _)| *step <= self.step);
            self.repeated += u32::try_from(again.len()).unwrap();
            (said, self.unheard, self.again) = (now, late, later);
            said.extend(again.into_iter().map(|(_, said)| said));
        }
        said.sort_by_cached_key(|said| (self.draw("turn", &said.about).next(), said.about.clone(), said.is_again));
        let (warehouse, processor): (Vec<Said>, Vec<Said>) = said.into_iter().partition(|it| it.channel == WAREHOUSE);
        for (part, said) in warehouse.chunks(32).enumerate() {
            let bodies: Vec<&str> = said.iter().map(|said| said.body.as_str()).collect();
            self.plan.sends(format!("part {part} of the warehouse's in step {}", self.step));
            self.say(host, WAREHOUSE, &format!("[{}]", bodies.join(",")), said).await;
        }
        // The processor says one thing at a time.
        for said in processor {
            self.plan.sends(format!("{}{}", said.about, if said.is_again { " again" } else { "" }));
            self.say(host, PROCESSOR, &said.body, std::slice::from_ref(&said)).await;
        }
    }

    async fn say(&mut self, host: &TestHost, channel: &str, body: &str, said: &[Said]) {
        match host.send(channel, Credential::Bearer(TOKEN), body.as_bytes()).await {
            Ok(accepted) => {
                let status = accepted.reply.status;
                assert!([200, 202].contains(&status), "{status}: {}", String::from_utf8_lossy(&accepted.reply.body));
                for said in said.iter().filter(|said| !said.is_again) {
                    let mut draw = Draw::of(self.seed, "again", &[&said.about]);
                    if draw.percent(AGAIN_PERCENT) {
                        let step = self.step + 1 + u32::try_from(draw.below(4)).unwrap();
                        self.again.push((step, said.again(draw.percent(50))));
                    }
                }
            }
            Err(_) => self.unheard.extend(said.iter().cloned()),
        }
    }

    /// A round: the host before it ends where it is, and others work, each until one of its writes fails.
    async fn round(&mut self, host: TestHost) -> TestHost {
        let mut host = self.followed(host).await;
        // Some come back soon, others when nobody has what the one before had claimed.
        if self.draw("long away", "").percent(30) {
            moves(&host, host.clock.now().plus_ms(LEASES_END_MS));
        }
        for _ in 0..STEPS {
            host = self.step(host).await;
        }
        self.plan.rest();
        host
    }

    /// A step: everybody does once what there is to do, and some do nothing. A host whose write fails
    /// is followed by another one, which goes on with the same.
    async fn step(&mut self, host: TestHost) -> TestHost {
        self.step += 1;
        self.plan.step(self.step);
        self.send(&host, 2).await;
        let host = self.followed_if_ended(host).await;
        self.tell(&host, false).await;
        let mut host = self.followed_if_ended(host).await;
        loop {
            drop(host.host.pipeline.poll_due().await);
            if !self.plan.took_effect() {
                break;
            }
            host = self.followed_again(host).await;
        }
        let mut draw = self.draw("pace", "");
        let (batch, at_once) = (16 + draw.below(48), 8 + draw.below(56));
        if draw.percent(80) {
            host = self.decide(host, u32::try_from(batch).unwrap()).await;
        }
        if draw.percent(80) {
            host = self.deliver(host, u32::try_from(at_once).unwrap()).await;
        }
        loop {
            let sequenced = host.host.sequencer.sequence_all().await;
            if !self.plan.took_effect() {
                sequenced.unwrap();
                break;
            }
            host = self.followed_again(host).await;
        }
        self.goes_on(&host);
        moves(&host, host.clock.now().plus_ms(TICK_MS * i64::try_from(draw.below(3)).unwrap()));
        host
    }

    async fn decide(&mut self, mut host: TestHost, batch: u32) -> TestHost {
        loop {
            let decided = host.host.pipeline.decide(batch).await;
            if self.plan.took_effect() {
                host = self.followed_again(host).await;
            } else if decided.unwrap().is_empty() {
                return host;
            }
        }
    }

    async fn deliver(&mut self, mut host: TestHost, at_once: u32) -> TestHost {
        loop {
            let delivered = host.host.pipeline.deliver_due(at_once).await;
            if self.plan.took_effect() {
                host = self.followed_again(host).await;
            } else if delivered.unwrap().is_empty() {
                return host;
            }
        }
    }

    async fn followed_if_ended(&mut self, host: TestHost) -> TestHost {
        if self.plan.took_effect() { self.followed_again(host).await } else { host }
    }

    async fn followed_again(&mut self, host: TestHost) -> TestHost {
        self.ends += 1;
        // Whoever opens a folder has it in the end: nothing fails meanwhile.
        self.plan.pauses(true);
        let host = self.followed(host).await;
        self.plan.pauses(false);
        host
    }

    /// The host ends where it is, and another one opens what is there.
    async fn followed(&mut self, host: TestHost) -> TestHost {
        let plan = Arc::clone(&self.plan);
        let fails = move |write: &str, about: &[About]| plan.fails(write, about);
        let (host, store) = host.crash_behind(|store| FaultyStore::planned(store, fails)).await;
        if self.lacks == Lacks::Memory {
            store.forget_as(&self.seed.to_string(), Arc::clone(&self.forgotten));
        }
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
                moves(host, due);
            }
        }
        Err(format!("deliveries never come to rest: {:?}", host.summary().await))
    }

    /// Everybody does what is still to be done, and nothing goes wrong any more but at the systems.
    async fn comes_to_rest(&mut self, host: TestHost) -> Result<TestHost, String> {
        let host = self.followed(host).await;
        let mut waited_for = None;
        for step in 0..64 {
            self.step += 1;
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

/// Moves the clock to a time, or to the first tick after it.
fn moves(host: &TestHost, to: Instant) {
    let ticks = (to.0 - MORNING.0 + TICK_MS - 1).div_euclid(TICK_MS);
    host.clock.advance_to(MORNING.plus_ms(ticks * TICK_MS));
}

/// Makes all polls until each was made and brought nothing; false where they came to no such end. Each
/// page that is read for the first time may go wrong.
async fn fetched(host: &TestHost) -> bool {
    let pipeline = &host.host.pipeline;
    for _ in 0..POLLED_MAX {
        // One that failed is due when it says so.
        let due = pipeline.polls().await.unwrap().into_iter().filter_map(|(_, at)| Some(at?.due_at));
        let no_lease = host.clock.now().plus_ms(LEASES_END_MS);
        moves(host, due.fold(no_lease, std::cmp::Ord::max));
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
    fn of_warehouse(body: String) -> Self {
        let event: serde_json::Value = serde_json::from_str(&body).unwrap();
        let about = ["type", "orderId"].map(|member| event[member].as_str().unwrap()).join(" ");
        Self { channel: WAREHOUSE, body, about, is_again: false }
    }

    /// The same once more, in a message of its name or of another one.
    fn again(&self, has_other_name: bool) -> Self {
        let body = match (has_other_name, self.channel) {
            (false, _) => self.body.clone(),
            (true, PROCESSOR) => self.body.replacen("\"id\":\"evt_", "\"id\":\"evt_again_", 1),
            (true, _) => self.body.replacen("\"id\":\"", "\"id\":\"again-", 1),
        };
        Self { body, is_again: true, ..self.clone() }
    }
}

/// How a run ended.
struct Ended {
    /// What it came to, or the first violations.
    said: Result<String, String>,
    /// Whatever was found of orders that are not as they have to be, by their numbers.
    wrong: BTreeSet<String>,
    /// What was drawn, and for what.
    record: Record,
}

/// What a run came to, or the first violations.
async fn simulate(seed: u64, orders: u32, lacks: Lacks) -> Result<String, String> {
    run(seed, orders, Pace::USUAL, lacks).await.said
}

async fn run(seed: u64, orders: u32, pace: Pace, lacks: Lacks) -> Ended {
    let systems = Systems::start(seed, pace).await;
    let times = if lacks == Lacks::Memory { STOCK_OF_FORGOTTEN } else { 1 };
    let all = Decimal { units: i64::from(orders) * BOXES * times, scale: 0 };
    systems.wms.put(NODE, SKU, all);
    let setup = configured::setup(&systems, pace, lacks);
    let mut world = World::new(seed, systems, lacks);
    let mut host = setup.start().await;
    host.erp.put(SKU, all);
    host.erp.know_the_time(host.clock.clone());
    host.erp.draw_by(Draw::of(seed, "erp", &[]).next());
    while world.orders < orders {
        world.write_orders(ORDERS_PER_ROUND.min(orders - world.orders));
        world.write_cancellations(ORDERS_PER_ROUND / 10);
        host = world.round(host).await;
    }
    let host = match world.comes_to_rest(host).await {
        Ok(host) => host,
        Err(wrong) => return Ended { said: Err(wrong), wrong: BTreeSet::new(), record: world.plan.record() },
    };
    let mut record = world.plan.record();
    record.extend(world.systems.drawn(&host.erp));
    let (counts, violations) = judged::judge(&host, &world).await;
    if let Err(error) = host.verify().await {
        return Ended { said: Err(error.to_string()), wrong: BTreeSet::new(), record };
    }
    let wrong = judged::about_orders(&violations);
    if !violations.is_empty() {
        let shown = violations.values().flat_map(|found| found.iter().take(SHOWN_OF_A_KIND));
        let shown: Vec<&str> = shown.map(String::as_str).collect();
        let all: usize = violations.values().map(Vec::len).sum();
        return Ended { said: Err(format!("{all} violations, {}", shown.join("; "))), wrong, record };
    }
    let (ends, repeated, tried) = (world.ends, world.repeated, host.summary().await.retried);
    let said = format!(
        "{counts:?}; {}; {ends} hosts met their faults, {repeated} things were said again, {tried} deliveries were tried again, {} draws",
        judged::money(&host, &world),
        record.len()
    );
    Ended { said: Ok(said), wrong, record }
}

/// A number of the environment, where somebody set it.
fn asked<T: std::str::FromStr>(name: &str, unless: T) -> T {
    std::env::var(name).ok().map_or(unless, |text| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`")))
}

async fn a_run(seed: u64) {
    let (seed, orders) = (asked("PORTREEVE_SIM_SEED", seed), asked("PORTREEVE_SIM_ORDERS", ORDERS));
    let pace = asked("PORTREEVE_SIM_PACE", Pace::USUAL);
    match run(seed, orders, pace, Lacks::Nothing).await.said {
        Ok(said) => say(&format!("seed {seed}, {orders} orders: {said}")),
        Err(wrong) => {
            let again = replaying(seed, orders, pace);
            let wrong = format!("seed {seed}, {orders} orders: {wrong}; see it again with `{again}`");
            // Whoever sees no more than what was printed on the way sees this.
            say(&wrong);
            panic!("{wrong}");
        }
    }
}

/// The command that makes a run again, in the pace that it had: in another one it would be another run.
fn replaying(seed: u64, orders: u32, pace: Pace) -> String {
    format!(
        "PORTREEVE_SIM_SEED={seed} PORTREEVE_SIM_ORDERS={orders} PORTREEVE_SIM_PACE={pace} cargo test -p portreeve-tests --test it -- --exact \
         simulated::whatever_is_lost_late_doubled_or_out_of_turn_each_order_comes_to_its_money_once_or_is_undone"
    )
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
async fn a_seed_draws_the_same_for_the_same_again_and_another_one_draws_otherwise() {
    let first = run(11, REPLAYED, Pace::TIMELESS, Lacks::Nothing).await;
    let second = run(11, REPLAYED, Pace::TIMELESS, Lacks::Nothing).await;
    // The same orders have the same names in any run.
    let other = run(12, ORDERS_PER_FILE, Pace::TIMELESS, Lacks::Nothing).await;
    for ended in [&first, &second, &other] {
        assert!(ended.said.is_ok(), "{:?}", ended.said);
    }
    let differences = differences(&first.record, &second.record);
    if !differences.is_empty() {
        // Whoever sees no more than what was printed on the way sees this.
        say(&format!("seed 11 drew {} of {} otherwise: {differences:#?}", differences.len(), first.record.len()));
    }
    assert_eq!(differences, Vec::<String>::new());
    let otherwise = first.record.iter().filter(|(key, drawn)| other.record.get(*key).is_some_and(|it| it != *drawn));
    let otherwise = otherwise.count();
    assert!(otherwise > usize::try_from(ORDERS_PER_FILE).unwrap(), "{otherwise} of {}", other.record.len());
    say(&format!("{REPLAYED} orders drew the same twice: {} things", first.record.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_with_a_host_that_forgets_goes_wrong_again_with_the_same_orders() {
    let first = run(7, ORDERS_PER_ROUND, Pace::TIMELESS, Lacks::Memory).await;
    let second = run(7, ORDERS_PER_ROUND, Pace::TIMELESS, Lacks::Memory).await;
    assert!(!first.wrong.is_empty(), "{:?}", first.said);
    assert_eq!(first.wrong, second.wrong);
    assert_eq!(differences(&first.record, &second.record), Vec::<String>::new());
}

#[test]
fn the_command_that_makes_a_run_again_names_a_test_that_is_there() {
    let command = replaying(2026, 300, Pace::USUAL);
    let test = command.rsplit("::").next().unwrap();
    assert!(include_str!("simulated.rs").contains(&format!("async fn {test}() {{")), "{command}");
}

#[test]
fn the_command_that_makes_a_run_again_says_in_which_pace_it_was() {
    for pace in [Pace::USUAL, Pace::TIMELESS] {
        let command = replaying(2026, 300, pace);
        let said: BTreeMap<&str, &str> = command.split(' ').map_while(|word| word.split_once('=')).collect();
        let (seed, orders) = (said["PORTREEVE_SIM_SEED"], said["PORTREEVE_SIM_ORDERS"]);
        assert_eq!((seed.parse::<u64>(), orders.parse::<u32>()), (Ok(2026), Ok(300)), "{command}");
        assert_eq!(said["PORTREEVE_SIM_PACE"].parse::<Pace>(), Ok(pace), "{command}");
    }
    assert_ne!(Pace::USUAL, Pace::TIMELESS);
    assert_eq!("hurried".parse::<Pace>(), Err(()), "a misspelt one is no run at all");
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
