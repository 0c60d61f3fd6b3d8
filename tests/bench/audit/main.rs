//! What one entry of the audit log costs, step by step: making the leaf (canonical
//! JSON and its hash), committing it, and giving it its index (hash again, append,
//! sign and commit per batch). An order without retries has four entries.
//!
//! Times are of the wall clock on one thread, the median of some rounds; the store
//! is on the disk, with its fsyncs.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints and fails loudly")]

use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

use portreeve_audit::{OutsideCheckpoint, Sequencer};
use portreeve_model::{ChannelId, Digest, Instant, OrderId, PluginName};
use portreeve_record::leaf::{
    AcceptLeaf, AcceptOutcome, AttemptLeaf, Code, CrossingRecord, DecideLeaf, DecidedState, DocumentPosition,
    DocumentRecord, Label, Listed, NumberRecord, ProposalOutcome, ProposalRecord, ReceiptLeaf, ReceiptOutcome,
};
use portreeve_record::merkle::leaf_hash;
use portreeve_record::{Edge, Leaf, LeafBody, LogKey};
use portreeve_store::{SqliteStore, Store};

const ROUNDS: usize = 9;

/// Entries of a round.
const ENTRIES: u32 = 8192;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let made: Vec<Leaf> = (0..ENTRIES).map(leaf).collect();
    let bytes: usize = made.iter().map(|leaf| leaf.bytes().len()).sum();
    let per_entry = |time: Duration| time.as_nanos() / u128::from(ENTRIES);

    let mut rows =
        vec![("make a leaf: canonical JSON and hash", median(|| drop((0..ENTRIES).map(leaf).collect::<Vec<_>>())))];
    rows.push((
        "hash and append to the edge",
        median(|| {
            let mut edge = Edge::new();
            made.iter().for_each(|leaf| edge.append(leaf_hash(leaf.bytes())).unwrap());
        }),
    ));
    let (mut committed, mut sequenced) = (Vec::new(), Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("data")).unwrap());
    let outside = OutsideCheckpoint::in_folder(&folder.path().join("state"), "example.com/bench");
    let key = LogKey::from_bytes("example.com/bench", &[7; 32]).unwrap();
    let (sequencer, _) = runtime.block_on(Sequencer::recover(Arc::clone(&store), key, outside)).unwrap();
    for round in 0..u32::try_from(ROUNDS).unwrap() {
        let leaves: Vec<Leaf> = (0..ENTRIES).map(|entry| leaf(round * ENTRIES + entry)).collect();
        let started = Wall::now();
        runtime.block_on(async {
            let mut writes = tokio::task::JoinSet::new();
            for leaf in leaves {
                let store = Arc::clone(&store);
                writes.spawn(async move { store.refuse(leaf).await });
                if writes.len() >= 64 {
                    writes.join_next().await.unwrap().unwrap().unwrap();
                }
            }
            writes.join_all().await
        });
        committed.push(started.elapsed());
        let started = Wall::now();
        let done = runtime.block_on(sequencer.sequence_all()).unwrap();
        sequenced.push(started.elapsed());
        assert_eq!(done.appended, u64::from(ENTRIES));
    }
    rows.push(("commit it alone, 64 side by side", middle(committed)));
    rows.push(("give it an index: read, hash, append, sign, commit", middle(sequenced)));
    println!("{} bytes an entry, {ENTRIES} entries a round, {ROUNDS} rounds", bytes / made.len());
    for (what, time) in &rows {
        println!("{:>8} ns  {what}", per_entry(*time));
    }
    let nanoseconds: serde_json::Map<_, _> =
        rows.iter().map(|(what, time)| ((*what).to_owned(), u64::try_from(per_entry(*time)).unwrap().into())).collect();
    println!("{}", serde_json::json!({ "entry_bytes": bytes / made.len(), "nanoseconds": nanoseconds }));
}

fn median(mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let started = Wall::now();
        work();
        started.elapsed()
    };
    middle((0..ROUNDS).map(time).collect())
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.into_iter().nth(ROUNDS / 2).unwrap()
}

/// The entries of an order in turn, as the demo's are.
fn leaf(number: u32) -> Leaf {
    let digest = |what: &str| Digest::of_parts(&[what.as_bytes(), &number.to_be_bytes()]);
    let crossing = |plugin: &str, call: &str| CrossingRecord {
        plugin: PluginName::parse(plugin).unwrap(),
        component: digest("component"),
        call: Code::of(call),
        input: digest("input"),
        output: Some(digest("output")),
        transcript: digest("transcript"),
        host_calls: 12,
        fuel_used: Some(1_234_567),
        failure: None,
        requests: Listed::none(),
    };
    let order = OrderId::parse("3f0c1b0a-5d7c-4c3e-9a52-6d1f0c7be2a4").unwrap();
    let body = match number % 4 {
        0 => LeafBody::Accept(AcceptLeaf {
            input: digest("content"),
            channel: ChannelId::parse("edi").unwrap(),
            sender: Label::of("edi-gateway"),
            content: digest("content"),
            crossing: Some(crossing("x12", "receive")),
            documents: Listed::of(vec![DocumentRecord {
                index: 0,
                key_digest: digest("key"),
                kind: Code::of("x12/850"),
                commitment: digest("document"),
            }])
            .unwrap(),
            problems: Listed::none(),
            numbers: Listed::of(vec![NumberRecord { range: Code::of("x12-interchange"), number: 7 }]).unwrap(),
            envelopes: Listed::none(),
            outcome: AcceptOutcome::Documents,
        }),
        1 => LeafBody::Decide(DecideLeaf {
            order: Some(order),
            about: None,
            item: None,
            document: DocumentPosition { input: digest("content"), index: 0 },
            event: Some(digest("event")),
            configuration: 1,
            crossings: Listed::of(
                [("x12-to-order", "to-canonical"), ("fraud", "score"), ("margin", "score"), ("fulfilment", "score")]
                    .map(|(plugin, call)| crossing(plugin, call))
                    .to_vec(),
            )
            .unwrap(),
            proposals: Listed::of(vec![ProposalRecord {
                scorer: PluginName::parse("margin").unwrap(),
                proposal: Code::of("recommend"),
                outcome: ProposalOutcome::Granted,
                policy: Code::of("margin:recommend"),
                effect: Code::of("recommend"),
                clause: None,
            }])
            .unwrap(),
            policy_holds: Listed::none(),
            state: DecidedState::Released,
            told: false,
            decision: Some(digest("decision")),
            clock: Instant(1_767_225_600_000),
        }),
        2 => LeafBody::Attempt(AttemptLeaf {
            outbox: digest("outbox"),
            event: None,
            order: Some(order),
            item: None,
            target: Code::of("erp"),
            attempt: 1,
            message: Some(digest("message")),
            looked_up: None,
            crossing: Some(crossing("order-to-erp", "from-canonical")),
            corrected: None,
            numbers: Listed::none(),
        }),
        _ => LeafBody::Receipt(ReceiptLeaf {
            outbox: digest("outbox"),
            event: None,
            order: Some(order),
            item: None,
            attempt: 1,
            outcome: ReceiptOutcome::Applied,
            external_id: Some(digest("external")),
            crossing: Some(crossing("erp-rest", "deliver")),
        }),
    };
    Leaf::new("host-1", Instant(1_767_225_600_000), body).unwrap()
}
