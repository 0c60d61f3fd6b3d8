//! What a decision costs without the commit's wait for the disk: the host's rules, the
//! grants with Cedar, and the budget that the decision takes in its transaction.
//!
//! ```text
//! cargo bench -p portreeve-bench --bench decide
//! ```
//!
//! Rules and authority are timed order by order, on the demo's files and an order of ten lines
//! about which one scorer has proposed a hold, or three have proposed the most that they may: a
//! hold, a hold of two lines, ranked nodes. No two orders have the same value and score, so
//! that policies which read these are evaluated each time, and others answer what they
//! answered before. What the budget costs is the difference between
//! batches of decisions that hold by a plugin's grant and batches that hold by a rule, which uses
//! up nothing; what credit costs, between batches that release on an account and such that do
//! without: at each percentile that of the ones less that of the others, since all of them meet
//! the same checkpoints. An order takes one of the two. The store lies in memory where the
//! machine has a folder for that.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and fails loudly"
)]

#[path = "../score/payload.rs"]
#[expect(dead_code, reason = "the row is for scorers, and none is called here")]
mod payload;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

// For the allocator of the program that ships.
use portreeve as _;
use portreeve_authority::rules::{Account, CreditFacts, CustomerFacts, ItemFacts, Looked, ReferenceFacts, Rules};
use portreeve_authority::{Advice, Authority, Counters, Effect, Known, SourceFile, Subject};
use portreeve_model::advice::{Hold, HoldScope, RankedNode};
use portreeve_model::value::Decimal;
use portreeve_model::{
    ChannelId, Currency, Digest, Instant, Money, Order, OrderId, PluginName, Proposal, Recommendation, Reply, SenderId,
    ShareCeiling,
};
use portreeve_record::leaf::{Code, ExceptionLeaf};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::contract::{
    CreditReservation, CustomerEvent, Decided, DecisionCommit, Disposition, HoldOwner, JournalEntry, NewDocument,
    NewHold, NewOrder, NewPayload, OrderState, Spends,
};
use portreeve_store::{Journaled, SqliteStore, Store};

/// Orders that are decided, and some before them that do not count.
const ORDERS: usize = 20_000;
const WARM_UP: usize = 2_000;

/// Decisions of a batch, as `serve` commits them, and batches of each kind.
const BATCH: u64 = 256;
const BATCHES: u64 = 200;

const GRANTS: &str = include_str!("../../../host/portreeve/demo/grants.toml");
const POLICIES: &str = include_str!("../../../host/portreeve/demo/policies.cedar");
const RULES: &str = include_str!("../../../host/portreeve/demo/rules.toml");

fn main() {
    let (none, one, three) = (decided(0), decided(1), decided(3));
    let [by_grant, by_rule, on_credit, released] = committed();
    let both = |of: &dyn Fn(usize) -> f64| [of(50), of(99)];
    let reserved = both(&|percent| at(&by_grant, percent) - at(&by_rule, percent));
    let credit = both(&|percent| at(&on_credit, percent) - at(&released, percent));
    let dearer = [0, 1].map(|nth| reserved[nth].max(credit[nth]).max(0.0));
    let decided = [none, one, three].map(|times| both(&|percent| at(&times, percent)));
    let whole = |times: [f64; 2]| [0, 1].map(|nth| times[nth] + dearer[nth]);
    let [none, one, three] = decided;
    println!("a decision about an order of ten lines, without the wait for the disk");
    println!("                                               p50 µs   p99 µs");
    let row = |what: &str, times: [f64; 2]| println!("{what:<44} {:>8.1} {:>8.1}", times[0], times[1]);
    row("rules and credit, no proposal", none);
    row("the same, grants and Cedar, one proposal", one);
    row("the same, three proposals", three);
    row("a hold's budget (means of batches)", reserved);
    row("a release's credit (the same)", credit);
    row("one proposal and the dearer of both", whole(one));
    row("three proposals and the dearer of both", whole(three));
    let told = |times: [f64; 2]| serde_json::json!({ "p50": times[0], "p99": times[1] });
    println!(
        "{}",
        serde_json::json!({
            "orders": ORDERS,
            "decided_us": { "none": told(none), "one": told(one), "three": told(three) },
            "reserved_us": told(reserved),
            "credit_us": told(credit),
            "whole_us": { "one": told(whole(one)), "three": told(whole(three)) },
        })
    );
}

// --- rules and authority ---

/// Microseconds of each decision of so many proposals.
fn decided(proposed: usize) -> Vec<f64> {
    let plugins = ["fraud", "margin", "fulfilment"].map(|name| PluginName::parse(name).unwrap());
    let queues = ["fraud-review", "pricing", "credit", "customer-service", "order-desk", "fulfilment", "integration"];
    let known = Known { queues: queues.map(str::to_owned).into(), plugins: plugins.clone().into() };
    let file = |name, text| SourceFile { name, text };
    let authority =
        Authority::load(&[file("grants.toml", GRANTS)], &[file("policies.cedar", POLICIES)], &known).unwrap();
    let rules = Rules::load(&file("rules.toml", RULES), &known).unwrap();
    let mut order = payload::request().unwrap().order;
    let reference = reference(&order);
    let account = account(order.currency);
    let nodes = ["north", "south"].map(|node| RankedNode {
        node: node.to_owned(),
        suitability_bp: 8_000,
        freight_delta: Money { minor: 1_200, currency: order.currency },
        country: "US".to_owned(),
        splits: 1,
    });
    let proposals = [
        hold(HoldScope::Order, 2_880),
        hold(HoldScope::Lines(vec!["1".to_owned(), "2".to_owned()]), 480),
        Proposal::Recommend(Recommendation::AlternateShipNode(nodes.to_vec())),
    ];
    let mut times = Vec::with_capacity(ORDERS);
    for number in 0..ORDERS + WARM_UP {
        let id = OrderId::derive(&channel(), &sender(), "C-1042", &number.to_string(), None);
        // No two have the same value and score; the sender states no totals.
        order.lines[0].quantity.value = 1 + i64::try_from(number % 97).unwrap();
        order.lines[0].extended = None;
        order.totals.grand = None;
        order.totals.lines = None;
        let score_bp = 9_000 + u16::try_from(number % 1_000).unwrap();
        let started = Wall::now();
        let findings = rules.check(&order, &reference);
        let credit = rules.check_credit(order.value().unwrap(), &account, 0, payload::RECEIVED_AT);
        let subject = Subject {
            order: id,
            channel: channel(),
            customer_class: Some("standard".to_owned()),
            value: order.value().unwrap(),
            line_numbers: order.lines.iter().map(|line| line.number.clone()).collect(),
            ship_country: Some("US".to_owned()),
        };
        let verdicts = plugins.iter().zip(&proposals).take(proposed).map(|(plugin, proposal)| {
            let digest = Digest::of(b"component");
            let advice = Advice { plugin, publisher: "portreeve", digest, score_bp, proposal };
            authority.decide(&advice, &subject, &Counters::default(), payload::RECEIVED_AT)
        });
        let verdicts: Vec<_> = verdicts.collect();
        let elapsed = started.elapsed();
        std::hint::black_box((&findings, &credit, &verdicts));
        if number == 0 {
            assert!(findings.is_empty() && credit.findings.is_empty(), "{findings:?}, {credit:?}");
            assert!(
                verdicts.iter().all(|verdict| !verdict.policies().is_empty()),
                "a verdict that Cedar had no say in"
            );
        }
        let held = verdicts.first().is_none_or(|verdict| matches!(verdict.effect(), Effect::Hold { .. }));
        assert!(held, "the first proposal is to be held: {:?}", verdicts.first());
        if number >= WARM_UP {
            times.push(micros(elapsed));
        }
    }
    times
}

fn hold(scope: HoldScope, minutes: u32) -> Proposal {
    Proposal::Hold(Hold { scope, minutes, reason: "reason".to_owned() })
}

/// What the tables say about the order: everything is there, and the prices are those of the list.
fn reference(order: &Order) -> ReferenceFacts {
    let customer = CustomerFacts {
        class: "standard".to_owned(),
        blocked: false,
        currency: Some(order.currency),
        country: Some("US".to_owned()),
        credit_account: None,
    };
    let skus = || order.lines.iter().map(|line| line.sku.clone());
    let items = order.lines.iter().map(|line| {
        let list_price = Decimal { units: line.unit_price.amount, scale: line.unit_price.scale };
        let item = ItemFacts { list_price, unit: line.quantity.unit.clone(), currency: line.unit_price.currency };
        (line.sku.clone(), Looked::Found(item))
    });
    ReferenceFacts {
        received_at: payload::RECEIVED_AT,
        test_channel: false,
        customer: Looked::Found(customer),
        items: items.collect(),
        ship_to: Some(Looked::Found(())),
        cross_references: BTreeMap::new(),
        conversions: BTreeMap::new(),
        available: skus().map(|sku| (sku, Looked::Found(1_000_000))).collect(),
    }
}

/// An account that bears all of it.
fn account(currency: Currency) -> Account {
    let facts = CreditFacts {
        currency,
        limit_minor: i64::MAX / 20_000,
        receivables_minor: 1_000_000,
        shipped_minor: 100_000,
        released_minor: 100_000,
        unapplied_cash_minor: 5_000,
        overdue_days: 0,
        as_of: payload::RECEIVED_AT,
    };
    Account { name: "C-1042".to_owned(), is_named: false, facts: Looked::Found(facts) }
}

// --- the transaction ---

/// What a batch does with its orders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    HoldByGrant,
    HoldByRule,
    ReleaseOnCredit,
    Release,
}

const KINDS: [Kind; 4] = [Kind::HoldByGrant, Kind::HoldByRule, Kind::ReleaseOnCredit, Kind::Release];

/// Microseconds of a decision in batches of each kind, in turn.
fn committed() -> [Vec<f64>; 4] {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut times = [const { Vec::new() }; 4];
    for (round, kind) in (0..BATCHES * 4 + 4).zip((0..KINDS.len()).cycle()) {
        runtime.block_on(store.journal(input(round))).unwrap();
        let documents = runtime.block_on(store.undecided(u32::MAX, &[])).unwrap();
        let decisions: Vec<_> =
            (0..).zip(documents).map(|(n, document)| decision(round, n, document, KINDS[kind])).collect();
        let count = decisions.len();
        let started = Wall::now();
        let committed = runtime.block_on(store.commit_decisions(decisions)).unwrap();
        let elapsed = started.elapsed();
        assert!(committed.len() == count && committed.iter().all(Result::is_ok));
        if round >= 4 {
            let each = micros(elapsed) / f64::from(u32::try_from(count).unwrap());
            times[kind].push(each);
        }
    }
    times
}

fn input(round: u64) -> JournalEntry {
    let document = |n: u64| NewDocument {
        key: format!("PO-{round}-{n}"),
        partner: "C-1042".to_owned(),
        kind: "x12/850".to_owned(),
        content: Digest::of(format!("{n} in {round}").as_bytes()),
        payload: sealed(b"a document"),
    };
    JournalEntry {
        channel: channel(),
        sender: sender(),
        received_at: payload::RECEIVED_AT,
        content: Digest::of(&round.to_be_bytes()),
        envelopes: Vec::new(),
        disposition: Disposition::Documents,
        payload: sealed(b"an input"),
        reply: Reply { status: 200, headers: Vec::new(), body: Vec::new() },
        documents: (0..BATCH).map(document).collect(),
        exceptions: Vec::new(),
        mended_by: None,
        wakes: None,
        leaf: leaf(round),
    }
}

fn decision(round: u64, number: u64, document: Journaled, kind: Kind) -> DecisionCommit {
    let (event, decision) = (sealed(b"event"), sealed(b"decision"));
    // A minute for each batch: every second minute of the window has a row.
    let at = payload::RECEIVED_AT.plus_ms(i64::try_from(round).unwrap() * Instant::MINUTE_MS);
    let value = payload::request().unwrap().order.value().unwrap();
    let most = Spends {
        plugin: PluginName::parse("fraud").unwrap(),
        per_hour_max: u32::MAX,
        held_share: Some(ShareCeiling { max_bp: 10_000, floor: 1 }),
        value_held_per_day_max_minor: Some(i64::MAX),
    };
    let hold = NewHold {
        owner: if kind == Kind::HoldByGrant { HoldOwner::Advice(most) } else { HoldOwner::Policy },
        reason: "reason".to_owned(),
        queue: "fraud-review".to_owned(),
        lines: Vec::new(),
        expires_at: at.plus_ms(Instant::HOUR_MS),
        component: None,
    };
    let released = matches!(kind, Kind::ReleaseOnCredit | Kind::Release);
    // One of some hundred accounts, with a delivery in every fourth minute at most.
    let account = Digest::of(&[u8::try_from(number % 128).unwrap()]);
    let credit = CreditReservation { account, amount: value, most_minor: Some(i64::MAX), since: payload::RECEIVED_AT };
    let order = NewOrder {
        id: OrderId::derive(&channel(), &sender(), "C-1042", document.key(), None),
        number: document.key().to_owned(),
        state: if released { OrderState::Released } else { OrderState::Held },
        queue: Some("fraud-review".to_owned()),
        value,
        recommended: false,
        why: "held".to_owned(),
        event: event.sealed.commitment(),
        decision: decision.sealed.commitment(),
        fingerprint: Digest::of(b"fingerprint"),
        weighed: Vec::new(),
        holds: if released { Vec::new() } else { vec![hold] },
        outbox: Vec::new(),
        credit: (kind == Kind::ReleaseOnCredit).then_some(credit),
        customer_event: CustomerEvent {
            customer: Digest::of(b"customer"),
            received_at: payload::RECEIVED_AT,
            value,
            ship_to: None,
        },
        exception: None,
    };
    DecisionCommit {
        document,
        decided: Decided::Order(Box::new(order)),
        payloads: vec![event, decision],
        configuration: 1,
        at,
        leaf: leaf((round + 1) * 1_000_000 + number),
    }
}

fn leaf(number: u64) -> Leaf {
    let code = Code::of("bench");
    let body = ExceptionLeaf::of(number, code.clone(), code);
    Leaf::new("bench", payload::RECEIVED_AT, LeafBody::Exception(body)).unwrap()
}

fn sealed(bytes: &[u8]) -> NewPayload {
    let (sealed, key) = portreeve_record::seal(bytes).unwrap();
    NewPayload { sealed, key, subject: None }
}

fn channel() -> ChannelId {
    ChannelId::parse("edi").unwrap()
}

fn sender() -> SenderId {
    SenderId::authenticated("edi-gateway")
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The value below which so many percent are.
fn at(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let index = sorted.len().saturating_sub(1).saturating_mul(percent) / 100;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
