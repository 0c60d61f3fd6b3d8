//! A host whose sandboxes are all taken: what waits for one is tried again, and no
//! person is asked about a machine that was busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use portreeve_model::advice::{CustomerHistory, ScoringRequest};
use portreeve_model::reference::Row;
use portreeve_model::{Event, PluginName};
use portreeve_pipeline::Clock;
use portreeve_sandbox::{CallContext, Lookup, LookupError};
use portreeve_store::contract::OrderState;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::later::with_purpose;
use crate::support::{MORNING, PurchaseOrder, TestHost, x12};

/// A look-up that answers nobody until it is opened: whoever asks keeps its sandbox.
pub(crate) struct Gate {
    pub(crate) asked: AtomicUsize,
    pub(crate) open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn shut() -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), open: watch::Sender::new(false) })
    }
}

#[async_trait]
impl Lookup for Gate {
    async fn get(&self, _table: &str, _key: &str) -> Result<Option<Arc<Row>>, LookupError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        Ok(None)
    }
}

/// What a scorer is asked about an order that was decided.
async fn question(host: &TestHost, number: &str) -> ScoringRequest {
    let event = host.order(number).await.event;
    let Event::OrderCreated(order) = Event::from_json(&host.store.payload(event).await.unwrap()).unwrap() else {
        panic!("not an order")
    };
    let history = CustomerHistory {
        orders_1h: 0,
        orders_24h: 0,
        orders_30d: 0,
        value_24h_minor: 0,
        value_30d_minor: 0,
        largest_30d_minor: 0,
        first_order_at: None,
        ship_to_known: false,
        ship_to_places_30d: 0,
    };
    ScoringRequest { order, received_at: MORNING, history, seed: 0, extensions: Vec::new() }
}

/// A host with one order decided and all of its sandboxes taken, two plugins' calls in
/// them, for one gets no more than half. They end when the gate is opened.
async fn crowded() -> (TestHost, Arc<Gate>, JoinSet<()>) {
    let host = TestHost::demo().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let request = question(&host, "PO-1").await;
    let gate = Gate::shut();
    let mut calls = JoinSet::new();
    for name in ["fraud", "margin"] {
        for _ in 0..32 {
            let (pipeline, request) = (Arc::clone(&host.host.pipeline), request.clone());
            let mut context = CallContext::with_nothing(MORNING);
            context.lookup = Arc::clone(&gate) as _;
            calls.spawn(async move {
                let plugin =
                    pipeline.plugins.now().installed(&PluginName::parse(name).unwrap()).unwrap().plugin.clone();
                plugin.score(&context, &request).await.outcome.unwrap().unwrap();
            });
        }
    }
    while gate.asked.load(Ordering::SeqCst) < 64 {
        tokio::task::yield_now().await;
    }
    (host, gate, calls)
}

async fn opened(gate: &Gate, mut calls: JoinSet<()>) {
    gate.open.send_replace(true);
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_finds_no_sandbox_is_decided_later_and_is_no_exception() {
    let (host, gate, calls) = crowded().await;
    assert_eq!(host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap().reply.status, 200);
    assert!(host.decide_all().await.is_empty());
    let busy = "portreeve_calls_total{plugin=\"x12-orders\",call=\"to-canonical\",result=\"busy\"} 1";
    assert!(host.host.pipeline.metrics.text(&[]).contains(busy), "{}", host.host.pipeline.metrics.text(&[]));
    assert_eq!((host.summary().await.undecided, host.exceptions().await.len()), (1, 0));

    opened(&gate, calls).await;
    assert!(host.decide_all().await.is_empty(), "its time has not come");
    host.clock.advance_to(host.clock.now().plus_ms(1_000));
    host.decide_all().await;
    assert_eq!(host.order("PO-2").await.state, OrderState::Released);
    assert!(host.exceptions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_an_order_that_nobody_could_read_yet() {
    let (host, gate, calls) = crowded().await;
    let order = PurchaseOrder::clean("PO-2");
    host.send_edi(&x12(2, &order)).await.unwrap();
    assert!(host.decide_all().await.is_empty());
    opened(&gate, calls).await;

    // Of the same partner: a change of the one, a new order, and a change of one that is here.
    host.send_edi(&with_purpose(3, &order, "05")).await.unwrap();
    host.send_edi(&x12(4, &PurchaseOrder::clean("PO-4"))).await.unwrap();
    host.send_edi(&with_purpose(5, &PurchaseOrder::clean("PO-1"), "05")).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.order("PO-4").await.state, OrderState::Released, "a stuck order blocks no other");
    assert_eq!((host.summary().await.undecided, host.exceptions().await.len()), (2, 1));

    host.clock.advance_to(host.clock.now().plus_ms(1_000));
    host.decide_all().await;
    let order = host.order("PO-2").await;
    let exceptions = host.exceptions().await;
    let about = exceptions.iter().find(|exception| exception.order == Some(order.id)).unwrap();
    assert!(about.detail.contains("found other content for the order"), "{}", about.detail);
    assert_eq!((order.state, exceptions.len(), host.summary().await.undecided), (OrderState::Released, 2, 0));
}
