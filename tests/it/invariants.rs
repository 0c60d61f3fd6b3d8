//! The invariants of the design, one file each: what must hold whatever plugins,
//! senders and targets do. A test here breaks something on purpose and looks at
//! what is on record afterwards.
//!
//! ```text
//! 1 audited        no audit, no action
//! 2 vocabulary     unrepresentable before forbidden
//! 3 bounded        the guest is an adversary
//! 4 once           nothing lost, nothing twice
//! 5 in_order       per key, in order; a stuck order blocks no other
//! 6 visible        a failure is visible
//! 7 rederived      the same assessment, bit for bit
//! ```

mod audited;

mod vocabulary;

mod bounded;

mod once;

mod in_order;

mod visible;

mod rederived;

use portreeve_model::{Currency, Digest, Instant, Money, OrderId};
use portreeve_record::leaf::{Code, ExceptionLeaf};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::contract::{
    Content, CustomerEvent, Decided, DecisionCommit, Lease, NewOrder, NewOutbox, NewPayload, OrderState,
};
use portreeve_store::{Committed, Journaled, StoreError};

use crate::support::{MORNING, TestHost};

/// Some leaf, for writes whose leaf's content does not matter. The same number
/// makes the same leaf.
pub(crate) fn leaf(number: u64) -> Leaf {
    let code = Code::of("test");
    let body = ExceptionLeaf::of(number, code.clone(), code);
    Leaf::new("test", MORNING, LeafBody::Exception(body)).unwrap()
}

/// The lease of an attempt that may be asked about as soon as it ends.
pub(crate) fn lease(until: Instant) -> Lease {
    Lease { until, ask_at: until }
}

fn sealed(bytes: &[u8]) -> NewPayload {
    let (sealed, key) = portreeve_record::seal(bytes).unwrap();
    NewPayload { sealed, key, subject: None }
}

/// A released order with an effect per kind, decided by nobody.
fn decision_by_hand(document: Journaled, kinds: &[&str], leaf: Leaf) -> DecisionCommit {
    let usd = Currency::parse("USD").unwrap();
    let number = document.key().to_owned();
    let (event, decision) = (sealed(b"event"), sealed(b"decision"));
    let outbox =
        |kind: &&str| NewOutbox { target: "erp".to_owned(), kind: (*kind).to_owned(), content: Content::Order };
    let order = NewOrder {
        id: OrderId::derive(document.channel(), document.sender(), "partner", &number, None),
        number,
        state: OrderState::Released,
        queue: None,
        value: Money { minor: 100, currency: usd },
        recommended: false,
        why: "by hand".to_owned(),
        event: event.sealed.commitment(),
        decision: decision.sealed.commitment(),
        fingerprint: Digest::of(b"fingerprint"),
        weighed: Vec::new(),
        holds: Vec::new(),
        outbox: kinds.iter().map(outbox).collect(),
        credit: None,
        customer_event: CustomerEvent {
            customer: Digest::of(b"customer"),
            received_at: MORNING,
            value: Money { minor: 100, currency: usd },
            ship_to: None,
        },
        exception: None,
    };
    DecisionCommit {
        document,
        decided: Decided::Order(Box::new(order)),
        payloads: vec![event, decision],
        configuration: 1,
        at: MORNING,
        leaf,
    }
}

async fn commit(host: &TestHost, decision: DecisionCommit) -> Result<Committed, StoreError> {
    host.store.commit_decisions(vec![decision]).await.unwrap().pop().unwrap()
}
