//! A simulation of order to cash as far as the warehouse: a seed draws what partners send, what
//! is lost, late, doubled and out of turn, and when the host ends; the systems' own ledgers
//! judge what came of it.
//!
//! `PORTREEVE_SIM_ORDERS` says how many orders, `PORTREEVE_SIM_SEED` which run: the same seed
//! draws the same run, and each failure names it. The host ends in the middle of whatever it
//! does, by a write that fails in one of two ways, and is opened again on what is there.

use std::collections::{BTreeMap, BTreeSet};

use portreeve::standins::wms::NODE;
use portreeve::standins::{Mischief, Wms};
use portreeve_model::value::Decimal;
use portreeve_model::{Digest, ProcessState};
use portreeve_pipeline::{Clock, Credential};
use portreeve_store::contract::OrderView;

use crate::faults::{Fault, FaultyStore, WRITES};
use crate::support::{PurchaseOrder, Setup, TestHost, say, x12_of};

/// Orders of each of the two runs, unless somebody asks for others; `.ci/run` does.
const ORDERS: u32 = 300;

/// Orders that a round begins with.
const ORDERS_PER_ROUND: u32 = 100;

/// Orders of one interchange.
const ORDERS_PER_FILE: u32 = 25;

const SKU: &str = "FST-1007";
const BOXES: i64 = 10;

const TOKEN: &str = "token-of-the-warehouse";

/// More than any run needs: a delivery is tried some ten times, and there are many at once.
const DELIVERY_ROUNDS_MAX: u32 = 100_000;

/// Half of what is tried goes wrong once, somehow.
const MOODY: Mischief = Mischief {
    throttle_per_mille: 150,
    fail_before_per_mille: 150,
    drop_after_per_mille: 200,
    reject_per_mille: 0,
    slow_per_mille: 1,
};

/// How long a system may take to answer: none of these takes longer but the slow ones, however
/// slow the machine is.
const ANSWER_MS: u32 = 5_000;

/// How long a plugin may take: a machine that stands still for a while is no fault of it.
const PATIENT: &str = "limits = { wall_ms = 120000 }";

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
}

/// The host's configuration: an ERP that accepts an order by taking it, and a warehouse that
/// gets it then. A cancelled order is stopped there first, and then taken out of the ERP.
fn setup(wms: &Wms, lacks: Lacks) -> Setup {
    let channel = format!(
        "\n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"wms\"\n\
         connector = \"wms-rest\"\ndocuments = {{ \"wms-rest/event\" = \"wms-documents\" }}\ntarget = \"erp\"\n\
         exception_queue = \"integration\"\nsays = [\"inventory.allocated\", \"shipment.picked\", \"shipment.packed\", \
         \"shipment.dispatched\", \"shipment.confirmed\"]\n",
        Digest::of(TOKEN.as_bytes())
    );
    let target = format!(
        "\n[[target]]\nid = \"warehouse\"\nconnector = \"wms-rest\"\ntransformer = \"wms-documents\"\n\
         kind = \"wms-rest/release\"\norigin = \"{}\"\nexception_queue = \"integration\"\nfind = true\nfind_after_ms = 1000\n\
         settings = {{ base-url = \"{}\", answer-timeout-ms = \"{ANSWER_MS}\" }}\n",
        wms.origin(),
        wms.base_url()
    );
    let effects = "
[[effect]]
on = \"order.accepted\"
to = [\"accepted\"]
target = \"warehouse\"
sends = \"order\"

[[effect]]
on = \"order.accepted\"
to = [\"cancelling\"]
target = \"warehouse\"
kind = \"wms-rest/stop\"
receipt = \"order.rejected\"

[[effect]]
on = \"order.cancel-requested\"
to = [\"cancelling\"]
target = \"warehouse\"
kind = \"wms-rest/stop\"
receipt = \"order.rejected\"

[[effect]]
on = \"order.rejected\"
from = [\"cancelling\"]
target = \"erp\"
kind = \"business-central/cancel\"
";
    let egress = format!("[[plugin.egress]]\norigin = \"{}\"\nrequests_per_second = 20000\n", wms.origin());
    let setup = Setup::demo()
        .mischief(MOODY)
        .scorers(&[])
        .answered_within_ms(ANSWER_MS)
        .plugin("wms-rest", &format!("{{ http = [\"GET\", \"POST\"], {PATIENT} }}"))
        .grant("x12-orders", &format!("{{ {PATIENT} }}"))
        .grant("business-central", &format!("{{ {PATIENT} }}"))
        .append("portreeve.toml", &egress)
        .replace("portreeve.toml", "name = \"wms-rest\"", "name = \"wms-rest\"\nrequests_per_second = 20000")
        .plugin("wms-documents", &format!("{{ {PATIENT} }}"))
        .replace(
            "portreeve.toml",
            "kind = \"business-central/sales-order\"",
            "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"",
        )
        .append("portreeve.toml", &channel)
        .append("portreeve.toml", &target)
        .append("portreeve.toml", effects);
    match lacks {
        Lacks::Find => setup.replace("portreeve.toml", "find = true", "find = false"),
        Lacks::Nothing | Lacks::Memory => setup,
    }
}

/// Everything outside the host: what partners and the warehouse have sent and have still to.
struct World {
    draw: Draw,
    wms: Wms,
    lacks: Lacks,
    control: u32,
    orders: u32,
    /// Files that got no answer yet.
    unanswered: Vec<Vec<u8>>,
    /// Files that got one. A partner may send them again all the same.
    answered: Vec<Vec<u8>>,
    /// Orders that their sender wants no more.
    cancelled: BTreeSet<u32>,
    /// What the warehouse says and nobody has heard yet.
    unheard: Vec<String>,
    heard: Vec<String>,
    ends: u32,
    repeated: u32,
}

impl World {
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

    /// The warehouse says what it has to in any order, some of it twice, under its name or another one,
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
            if let Some(body) = self.heard.get(again) {
                self.repeated += 1;
                let other_name = self.draw.percent(50);
                said.push(if other_name { body.replacen("\"id\":\"", "\"id\":\"again-", 1) } else { body.clone() });
            }
        }
        for bodies in said.chunks(32) {
            let list = format!("[{}]", bodies.join(","));
            match host.send("wms", Credential::Bearer(TOKEN), list.as_bytes()).await {
                Ok(accepted) => {
                    assert_eq!(accepted.reply.status, 202, "{}", String::from_utf8_lossy(&accepted.reply.body));
                    self.heard.extend(bodies.iter().cloned());
                }
                Err(_) => self.unheard.extend(bodies.iter().cloned()),
            }
        }
    }

    /// A round: the host works until one of its writes fails, or until it has done all there is,
    /// and ends.
    async fn round(&mut self, host: TestHost) -> TestHost {
        let write = WRITES[self.draw.below(WRITES.len())];
        let fault = if self.draw.percent(50) { Fault::NotPersisted } else { Fault::PersistedButFailed };
        let good = u32::try_from(self.draw.below(16)).unwrap();
        let (host, store) = host.restart_behind(|store| FaultyStore::new(store, write, fault, good)).await;
        if self.lacks == Lacks::Memory {
            store.forget();
        }
        let pipeline = &host.host.pipeline;
        for _ in 0..3 {
            self.send(&host, 2).await;
            self.tell(&host, false).await;
            let batch = u32::try_from(16 + self.draw.below(48)).unwrap();
            while pipeline.decide(batch).await.is_ok_and(|decided| !decided.is_empty()) {}
            let at_once = u32::try_from(8 + self.draw.below(56)).unwrap();
            drop(pipeline.deliver_due(at_once).await);
            drop(host.host.sequencer.sequence_all().await);
            self.unheard.extend(self.wms.work().unwrap());
            let ms = i64::try_from(self.draw.below(4_000)).unwrap();
            host.clock.advance_to(host.clock.now().plus_ms(ms));
            if store.has_failed() {
                break;
            }
        }
        self.ends += u32::from(store.has_failed());
        // Whoever has the store has its folder.
        drop(store);
        host.restart().await
    }

    /// Delivers until nothing is due any more, however far the clock has to go for that.
    async fn deliver_all(&self, host: &TestHost) -> Result<(), String> {
        for _ in 0..DELIVERY_ROUNDS_MAX {
            if host.deliver_due().await == 0 {
                let Some(due) = host.store.next_due().await.unwrap() else { return Ok(()) };
                host.clock.advance_to(due);
            }
        }
        Err(format!("deliveries never come to rest: {:?}", host.summary().await))
    }

    /// Everybody does what is still to be done, and nothing goes wrong any more but at the systems.
    async fn comes_to_rest(&mut self, host: TestHost) -> Result<TestHost, String> {
        let (host, store) = host.restart_behind(FaultyStore::sound).await;
        if self.lacks == Lacks::Memory {
            store.forget();
        }
        for _ in 0..64 {
            self.send(&host, 0).await;
            self.tell(&host, true).await;
            let decided = host.decide_all().await.len();
            self.deliver_all(&host).await?;
            self.unheard = self.wms.work().unwrap();
            let done = self.unanswered.is_empty() && self.unheard.is_empty() && decided == 0;
            if done && host.summary().await.pending == 0 {
                return Ok(host);
            }
        }
        Err(format!("it never comes to rest: {:?}", host.summary().await))
    }
}

/// What a run came to, or the first violations.
async fn simulate(seed: u64, orders: u32, lacks: Lacks) -> Result<String, String> {
    let wms = Wms::start(MOODY).await.unwrap();
    let all = Decimal { units: i64::from(orders) * BOXES, scale: 0 };
    wms.put(NODE, SKU, all);
    let setup = setup(&wms, lacks);
    let (unanswered, answered, unheard, heard) = Default::default();
    let mut world = World {
        draw: Draw(seed),
        wms,
        lacks,
        control: 0,
        orders: 0,
        unanswered,
        answered,
        cancelled: BTreeSet::new(),
        unheard,
        heard,
        ends: 0,
        repeated: 0,
    };
    let mut host = setup.start().await;
    while world.orders < orders {
        world.write_orders(ORDERS_PER_ROUND.min(orders - world.orders));
        world.write_cancellations(ORDERS_PER_ROUND / 10);
        host = world.round(host).await;
    }
    let host = world.comes_to_rest(host).await?;
    let (counts, violations) = judge(&host, &world, i64::from(orders) * BOXES).await;
    host.verify().await.map_err(|error| error.to_string())?;
    if !violations.is_empty() {
        let shown: Vec<&str> = violations.iter().take(10).map(String::as_str).collect();
        return Err(format!("{} violations, {}", violations.len(), shown.join("; ")));
    }
    let (ends, repeated, tried) = (world.ends, world.repeated, host.summary().await.retried);
    Ok(format!(
        "{counts:?}; the host met {ends} faults, {repeated} things were said again, {tried} deliveries were tried again"
    ))
}

/// Orders by where they are in the end, and what must not be.
async fn judge(host: &TestHost, world: &World, stock: i64) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut violations = Vec::new();
    let mut by_id: BTreeMap<String, (usize, usize, usize, i64)> = BTreeMap::new();
    for order in host.erp.sales_orders() {
        by_id.entry(order.external_document_number).or_default().0 += 1;
    }
    let key = |order: &str| order.replace('-', "");
    for release in world.wms.releases() {
        by_id.entry(key(&release.order_id)).or_default().1 += 1;
    }
    let mut shipped = 0;
    for shipment in world.wms.shipments() {
        let boxes: i64 =
            shipment.lines.iter().map(|line| line.shipped.units / 10_i64.pow(u32::from(line.shipped.scale))).sum();
        let entry = by_id.entry(key(&shipment.order_id)).or_default();
        (entry.2, entry.3) = (entry.2 + 1, entry.3 + boxes);
        shipped += boxes;
    }
    let left = world.wms.stock(NODE, SKU);
    if left.units / 10_i64.pow(u32::from(left.scale)) != stock - shipped {
        violations.push(format!("stock: {left} is left of {stock}, and {shipped} were shipped"));
    }

    let mut numbers: BTreeMap<String, Vec<OrderView>> = BTreeMap::new();
    for order in host.orders().await {
        numbers.entry(order.number.clone()).or_default().push(order);
    }
    let exceptions = host.exceptions().await;
    let waiting: BTreeSet<_> = exceptions.iter().filter_map(|exception| exception.order).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for number in 1..=world.orders {
        let name = World::number(number);
        let found = numbers.remove(&name).unwrap_or_default();
        let [order] = &found[..] else {
            violations.push(format!("{name}: {} orders of this number are there", found.len()));
            continue;
        };
        let state = host.store.order_trail(order.id).await.unwrap().unwrap().progress.map(|progress| progress.state);
        let (sales, releases, shipments, boxes) = by_id.remove(&key(&order.id.to_string())).unwrap_or_default();
        let has = (sales, releases, shipments, boxes);
        let waits = waiting.contains(&order.id);
        let right = match state {
            Some(ProcessState::Shipped) => has == (1, 1, 1, BOXES),
            Some(ProcessState::Cancelled) => sales == 0 && releases <= 1 && (shipments, boxes) == (0, 0),
            // Kept back before any system had it, or being undone too late: somebody decides.
            _ => waits && sales <= 1 && releases <= 1 && shipments <= 1,
        };
        let wanted = world.cancelled.contains(&number) || state == Some(ProcessState::Shipped);
        if !right || !wanted {
            violations.push(format!(
                "{name}: {state:?}, sales orders, releases, shipments and boxes {has:?}, waits for somebody: {waits}"
            ));
        }
        let state = state.map_or("kept back", ProcessState::as_str);
        *counts.entry(format!("{state}{}", if waits { " and somebody's" } else { "" })).or_default() += 1;
    }
    violations.extend(
        exceptions
            .iter()
            .filter(|exception| exception.order.is_none() || exception.code == "unknown-outcome")
            .map(|exception| format!("an exception `{}`: {}", exception.code, exception.detail)),
    );
    violations.extend(numbers.into_keys().map(|number| format!("{number}: nobody sent it")));
    violations.extend(by_id.into_keys().map(|id| format!("{id}: a system has it, and the host does not")));
    (counts, violations)
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
async fn whatever_is_lost_late_doubled_or_out_of_turn_each_order_ships_once_or_is_undone() {
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
