//! Small inputs, decisions and leaves, and what can be seen of a store.

use std::sync::Arc;

use portreeve_model::document::Span;
use portreeve_model::{
    ChannelId, Currency, Digest, ExceptionAction, ExceptionKind, Instant, Money, OrderId, Reply, SenderId,
};
use portreeve_record::Leaf;
use portreeve_record::leaf::{Code, ExceptionLeaf, LeafBody};

use crate::contract::{
    CLEARED, Content, CreditQuery, CustomerEvent, Decided, DecisionCommit, DeliveryView, Disposition, DocumentPosition,
    EARLY_EVENT, Effect, EventOutcome, ExceptionChange, ExceptionView, HoldOwner, HoldView, InputId, JournalEntry,
    JournalOutcome, KeptBack, Lease, NewDocument, NewEnvelope, NewException, NewHold, NewOrder, NewOrderEvent,
    NewOutbox, NewPayload, NewProgress, NewReview, NewStep, OrderEventKind, OrderState, Resolution, Room, Settlement,
    Stop, Store, StoreError,
};
use crate::proof::{Committed, Journaled, Permit};

/// When the stories begin.
pub(crate) const NOW: Instant = Instant(1_772_438_400_000);

/// How long a claim lasts here.
pub(crate) const LEASE_MS: i64 = 60_000;

/// How long after its beginning an attempt may be asked about.
pub(crate) const ASK_MS: i64 = LEASE_MS / 4;

/// How long after the beginning a hold is due.
pub(crate) const HOLD_MS: i64 = 1_000;

/// More rows than any case has.
pub(crate) const ALL: u32 = 1_000;

/// Some leaf; the same number makes the same one.
pub(crate) fn leaf(number: u64) -> Leaf {
    let code = Code::of("test");
    let body = ExceptionLeaf::of(number, code.clone(), code);
    Leaf::new("host-1", NOW, LeafBody::Exception(body)).unwrap()
}

pub(crate) fn channel() -> ChannelId {
    ChannelId::parse("edi").unwrap()
}

pub(crate) fn sender() -> SenderId {
    SenderId::authenticated("gateway")
}

pub(crate) fn sealed(bytes: &[u8], subject: Option<Digest>) -> NewPayload {
    NewPayload::seal(bytes, subject).unwrap()
}

/// Something about an order, of which nobody said when.
pub(crate) fn exception(code: &str) -> NewException {
    waits(ExceptionKind::Order, code)
}

/// Something for a person, of which nobody said when.
pub(crate) fn waits(kind: ExceptionKind, code: &str) -> NewException {
    NewException {
        kind,
        stage: "decide",
        code: code.to_owned(),
        detail: format!("found {code}"),
        queue: "integration".to_owned(),
        due_at: None,
    }
}

pub(crate) fn reply(text: &str) -> Reply {
    Reply { status: 200, headers: Vec::new(), body: text.as_bytes().to_vec() }
}

/// An input with an order per key. Its number makes its bytes, envelope and leaf.
pub(crate) fn input(number: u64, keys: &[&str]) -> JournalEntry {
    let document = |key: &&str| NewDocument {
        key: (*key).to_owned(),
        partner: "C-1201".to_owned(),
        kind: "x12/850".to_owned(),
        content: Digest::of(format!("{key} in {number}").as_bytes()),
        payload: sealed(format!("body of {key}").as_bytes(), None),
    };
    JournalEntry {
        channel: channel(),
        sender: sender(),
        received_at: NOW.plus_ms(i64::try_from(number).unwrap()),
        content: content(number),
        envelopes: vec![envelope(&format!("interchange {number}"))],
        disposition: Disposition::Documents,
        payload: sealed(b"an input", None),
        reply: reply(&format!("reply to {number}")),
        documents: keys.iter().map(document).collect(),
        exceptions: Vec::new(),
        mended_by: None,
        wakes: None,
        leaf: leaf(number),
    }
}

/// An envelope that takes the reply's first word for its answer.
pub(crate) fn envelope(key: &str) -> NewEnvelope {
    let answer = Some(Span { offset_bytes: 0, length_bytes: 5 });
    NewEnvelope { key: key.to_owned(), content: Digest::of(key.as_bytes()), answer }
}

pub(crate) fn content(number: u64) -> Digest {
    Digest::of(format!("input {number}").as_bytes())
}

pub(crate) fn input_id(number: u64) -> InputId {
    InputId::derive(&channel(), &sender(), content(number))
}

pub(crate) async fn keep(store: &Arc<dyn Store>, entry: JournalEntry) {
    assert!(matches!(store.journal(entry).await.unwrap(), JournalOutcome::Committed { .. }));
}

pub(crate) fn order_id(key: &str) -> OrderId {
    OrderId::derive(&channel(), &sender(), "C-1201", key, None)
}

pub(crate) fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("USD").unwrap() }
}

/// A released order with these effects, each (target, kind).
pub(crate) fn released(document: Journaled, effects: &[(&str, &str)], leaf: Leaf) -> DecisionCommit {
    let subject = Some(Digest::of(b"customer"));
    let (event, decision) = (sealed(b"event", subject), sealed(b"decision", subject));
    let outbox = |(target, kind): &(&str, &str)| NewOutbox {
        target: (*target).to_owned(),
        kind: (*kind).to_owned(),
        content: Content::Order,
    };
    let order = NewOrder {
        id: order_id(document.key()),
        number: document.key().to_owned(),
        state: OrderState::Released,
        queue: None,
        value: usd(100),
        recommended: false,
        why: "nothing keeps it".to_owned(),
        event: event.sealed.commitment(),
        decision: decision.sealed.commitment(),
        fingerprint: Digest::of(format!("released {}", document.key()).as_bytes()),
        weighed: Vec::new(),
        holds: Vec::new(),
        outbox: effects.iter().map(outbox).collect(),
        credit: None,
        customer_event: CustomerEvent {
            customer: Digest::of(b"customer"),
            received_at: document.received_at(),
            value: usd(100),
            ship_to: Some(Digest::of(b"place")),
        },
        exception: None,
    };
    decision_of(document, Decided::Order(Box::new(order)), vec![event, decision], leaf)
}

/// A hold of the host's own.
pub(crate) fn hold(reason: &str) -> NewHold {
    NewHold {
        owner: HoldOwner::Policy,
        reason: reason.to_owned(),
        queue: "order-desk".to_owned(),
        lines: Vec::new(),
        expires_at: NOW.plus_ms(HOLD_MS),
        component: None,
    }
}

/// An order that is held for these reasons, and waits for a person by when its first hold is due.
pub(crate) fn held(document: Journaled, reasons: &[&str], leaf: Leaf) -> DecisionCommit {
    let mut decision = released(document, &[], leaf);
    let order = order_in(&mut decision);
    (order.state, order.queue) = (OrderState::Held, Some("order-desk".to_owned()));
    order.holds = reasons.iter().map(|reason| hold(reason)).collect();
    order.exception = reasons.first().map(|reason| NewException {
        queue: "order-desk".to_owned(),
        due_at: Some(NOW.plus_ms(HOLD_MS)),
        ..waits(ExceptionKind::Held, reason)
    });
    decision
}

/// The number of the open exception about what keeps an order back.
pub(crate) async fn waiting(store: &Arc<dyn Store>, key: &str) -> u64 {
    let trail = store.order_trail(order_id(key)).await.unwrap().unwrap();
    let open = |exception: &&crate::contract::ExceptionView| {
        exception.kind == ExceptionKind::Held && exception.closed.is_none()
    };
    trail.exceptions.iter().find(open).unwrap().id
}

/// A step of an account, on the exception as it is now.
pub(crate) async fn step(
    store: &Arc<dyn Store>,
    exception: u64,
    who: &str,
    change: ExceptionChange,
    leaf: Leaf,
) -> NewStep {
    let revision = store.exception(exception).await.unwrap().map_or(0, |found| found.exception.revision);
    let who = Some(who.to_owned());
    NewStep {
        exception,
        revision,
        at: NOW,
        who,
        since: NOW,
        change,
        record: Some(sealed(b"words", None)),
        says: None,
        leaf,
    }
}

/// What a person decides alone.
pub(crate) fn resolved(action: ExceptionAction, effect: Effect) -> ExceptionChange {
    ExceptionChange::Resolved(Resolution { action, proposal: None, effect })
}

/// Has a delivery tried again that was given up.
pub(crate) async fn replay(store: &Arc<dyn Store>, dead: u64, at: Instant, leaf: Leaf) -> Result<(), StoreError> {
    let again = resolved(ExceptionAction::Retry, Effect::ReplayDelivery);
    let step = step(store, dead, "ada", again, leaf).await;
    store.step_exception(NewStep { at, record: None, ..step }).await
}

/// Gives a delivery up for good.
pub(crate) async fn abandon(store: &Arc<dyn Store>, dead: u64, at: Instant, leaf: Leaf) -> Result<(), StoreError> {
    let never = resolved(ExceptionAction::Abandon, Effect::AbandonDelivery);
    let step = step(store, dead, "ada", never, leaf).await;
    store.step_exception(NewStep { at, record: None, ..step }).await
}

/// A review that clears all holds of an order and releases it with one delivery.
pub(crate) fn cleared(found: &KeptBack, leaf: Leaf) -> NewReview {
    let open: Vec<u64> = found.open_holds().map(|hold| hold.number).collect();
    let (target, kind) = ("erp".to_owned(), "order".to_owned());
    NewReview {
        order: found.id,
        open: open.clone(),
        closed: open,
        who: None,
        opened: Vec::new(),
        state: OrderState::Released,
        queue: None,
        why: "nothing keeps it any more".to_owned(),
        outbox: vec![NewOutbox { target, kind, content: Content::Order }],
        credit: None,
        due_at: None,
        step: None,
        record: sealed(b"review", Some(Digest::of(b"customer"))),
        configuration: 1,
        at: NOW,
        leaf,
    }
}

/// The account whose credit the stories use up.
pub(crate) fn account() -> Digest {
    Digest::of(b"account")
}

/// What a document says about an order that has come, or is still to come.
pub(crate) fn about_order(document: Journaled, key: &str, kind: OrderEventKind, leaf: Leaf) -> DecisionCommit {
    let (event, decision) = (sealed(b"event", None), sealed(b"decision", None));
    let about = NewOrderEvent {
        order: order_id(key),
        kind,
        outcome: EventOutcome::Noted,
        event: event.sealed.commitment(),
        decision: decision.sealed.commitment(),
        fingerprint: Digest::of(kind.as_str().as_bytes()),
        stops: (kind == OrderEventKind::CancelRequested).then(|| Stop::Held(hold("cancel-requested"))),
        progress: None,
        caught_up: Vec::new(),
        settled: Vec::new(),
        invoice: None,
        outbox: Vec::new(),
        exceptions: vec![exception(kind.as_str())],
        says: None,
    };
    decision_of(document, Decided::Event(Box::new(about)), vec![event, decision], leaf)
}

/// A system's word about an order, which moves it from a version on.
pub(crate) fn moving(
    document: Journaled,
    key: &str,
    outcome: EventOutcome,
    progress: Option<NewProgress>,
    leaf: Leaf,
) -> DecisionCommit {
    let mut decision = about_order(document, key, OrderEventKind::Picked, leaf);
    let event = event_in(&mut decision);
    (event.outcome, event.progress) = (outcome, progress);
    event.exceptions = match outcome {
        EventOutcome::Early => vec![NewException { kind: ExceptionKind::Order, ..exception(EARLY_EVENT) }],
        _ => Vec::new(),
    };
    decision
}

/// Whether the host closed it by itself at this time; none of its people did.
pub(crate) fn cleared_by_host(exception: &ExceptionView, at: Instant) -> bool {
    let closed = exception.closed.as_ref();
    closed.is_some_and(|closed| closed.at == at && closed.who.is_none() && closed.how == CLEARED)
}

/// The event about an order that a decision is about, to be changed.
pub(crate) fn event_in(decision: &mut DecisionCommit) -> &mut NewOrderEvent {
    match &mut decision.decided {
        Decided::Event(event) => event,
        other => panic!("no event: {other:?}"),
    }
}

pub(crate) fn decision_of(
    document: Journaled,
    decided: Decided,
    payloads: Vec<NewPayload>,
    leaf: Leaf,
) -> DecisionCommit {
    DecisionCommit { document, decided, payloads, configuration: 1, at: NOW, leaf }
}

/// The order that a decision is about, to be changed.
pub(crate) fn order_in(decision: &mut DecisionCommit) -> &mut NewOrder {
    match &mut decision.decided {
        Decided::Order(order) => order,
        other => panic!("no order: {other:?}"),
    }
}

pub(crate) async fn commit(store: &Arc<dyn Store>, decision: DecisionCommit) -> Result<Committed, StoreError> {
    store.commit_decisions(vec![decision]).await?.pop().unwrap()
}

/// The next document.
pub(crate) async fn next(store: &Arc<dyn Store>) -> Journaled {
    store.undecided(1, &[]).await.unwrap().pop().unwrap()
}

/// Takes in one order and releases it with these effects; two leaves, from a number on.
pub(crate) async fn release(store: &Arc<dyn Store>, number: u64, key: &str, effects: &[(&str, &str)]) {
    keep(store, input(number, &[key])).await;
    let document = next(store).await;
    commit(store, released(document, effects, leaf(number + 1))).await.unwrap();
}

/// Takes in one order that is held for these reasons; two leaves, from a number on.
pub(crate) async fn hold_back(store: &Arc<dyn Store>, number: u64, key: &str, reasons: &[&str]) -> KeptBack {
    keep(store, input(number, &[key])).await;
    let document = next(store).await;
    commit(store, held(document, reasons, leaf(number + 1))).await.unwrap();
    kept_back(store, key).await
}

/// An order that is kept back, as it is now.
pub(crate) async fn kept_back(store: &Arc<dyn Store>, key: &str) -> KeptBack {
    store.kept_back_order(order_id(key)).await.unwrap().unwrap()
}

/// Takes in a request to cancel an order, and commits it; two leaves, from a number on.
pub(crate) async fn ask_to_cancel(store: &Arc<dyn Store>, number: u64, key: &str) {
    keep(store, input(number, &[&format!("CANCEL-{number}")])).await;
    let request = about_order(next(store).await, key, OrderEventKind::CancelRequested, leaf(number + 1));
    commit(store, request).await.unwrap();
}

/// Claims whatever is due at some time after the beginning.
pub(crate) async fn claim(store: &Arc<dyn Store>, after_ms: i64) -> Vec<Permit> {
    let now = NOW.plus_ms(after_ms);
    store.claim(now, now.plus_ms(LEASE_MS), ALL, Room::default()).await.unwrap()
}

/// The lease of an attempt that begins at some time after the beginning.
pub(crate) fn lease(after_ms: i64) -> Lease {
    let now = NOW.plus_ms(after_ms);
    Lease { until: now.plus_ms(LEASE_MS), ask_at: now.plus_ms(ASK_MS) }
}

pub(crate) fn applied() -> Settlement {
    Settlement::Applied { external_id: "S-1".to_owned() }
}

pub(crate) fn retry(after_ms: i64) -> Settlement {
    Settlement::Retry { due_at: NOW.plus_ms(after_ms), code: "retry".to_owned() }
}

pub(crate) fn dead(blocks: bool) -> Settlement {
    Settlement::Dead { exception: waits(ExceptionKind::Delivery, "refused"), blocks }
}

/// Everything that can be seen of a store, without positions (only their order is
/// promised), times, and the commitments that salts make.
pub(crate) async fn observe(store: &Arc<dyn Store>) -> Vec<String> {
    let mut seen = vec![format!("{:?}", store.summary().await.unwrap())];
    for document in store.undecided(ALL, &[]).await.unwrap() {
        seen.push(format!("undecided {} {:?}", document.key(), document.first().map(|first| first.same_content)));
    }
    for order in store.orders(DocumentPosition(0), ALL).await.unwrap() {
        let trail = store.order_trail(order.id).await.unwrap().unwrap();
        let delivery = |delivery: DeliveryView| {
            (delivery.target, delivery.state, delivery.attempts, delivery.external_id, delivery.problem)
        };
        let deliveries: Vec<_> = order.deliveries.into_iter().map(delivery).collect();
        seen.push(format!("{} {:?} {} {deliveries:?}", order.number, order.state, order.why));
        let hold = |hold: &HoldView| (hold.number, hold.closed.is_some());
        let holds: Vec<_> = trail.holds.iter().map(hold).collect();
        let leaves = ids(trail.leaves.iter().map(|leaf| leaf.id));
        seen.push(format!("holds {holds:?}, reviews {}, leaves {leaves:?}", trail.reviews.len()));
    }
    for (_, fingerprint) in store.decision_fingerprints(DocumentPosition(0), ALL).await.unwrap() {
        seen.push(format!("decided {fingerprint}"));
    }
    for input in store.kept_inputs(Instant(i64::MAX), None, ALL).await.unwrap() {
        seen.push(format!("kept {:?}", input.id));
    }
    seen.extend(observe_exceptions(store).await);
    for dead in store.dead_letters(0, ALL).await.unwrap() {
        seen.push(format!("dead {:?} {} {}", dead.outbox, dead.attempts, dead.replays));
    }
    for replay in store.replays(0, ALL).await.unwrap() {
        seen.push(format!("replay {} of {} by {}, {} done", replay.digest, replay.deliveries, replay.who, replay.done));
    }
    for late in store.late_messages(Instant(i64::MAX), ALL).await.unwrap() {
        seen.push(format!("late {} of {} by {:?}, sent {}", late.kind, late.order_number, late.due_at, late.sent));
    }
    let credit = CreditQuery { account: account(), currency: usd(0).currency, since: Instant(0) };
    seen.push(format!("credit {:?}", store.credit_reserved(vec![credit]).await.unwrap()));
    seen.push(format!("leaves {:?}", leaves(store).await));
    seen.push(format!("head {:?}", store.tree_head().await.unwrap()));
    let configuration = store.active_configuration().await.unwrap();
    seen.push(format!("configuration {:?}", configuration.map(|active| active.version)));
    seen.push(format!("packages {:?}", store.packages().await.unwrap()));
    seen.push(format!("people {:?}", store.people(None, ALL).await.unwrap()));
    seen.push(format!("told {:?}", store.notice_place("desk").await.unwrap()));
    let poll = store.poll("erp").await.unwrap();
    seen.push(format!("poll {:?}", poll.map(|poll| (poll.cursor, poll.failures, poll.code))));
    let subscription = store.subscription("erp").await.unwrap();
    seen.push(format!("subscribed {:?}", subscription.map(|found| (found.held, found.failures, found.code))));
    let findings = store.findings(super::reconcile::STOCK, None, ALL).await.unwrap();
    let findings: Vec<_> = findings.into_iter().map(|(subject, found)| (subject, found.is_open)).collect();
    let figures = store.reconciliation(super::reconcile::STOCK).await.unwrap().figures;
    seen.push(format!("found {findings:?}, {:?}", figures.map(|figures| figures.differences)));
    seen.push(format!("stock {:?}", store.reference("stock").await.unwrap()));
    seen
}

/// What can be seen of exceptions, open and closed.
async fn observe_exceptions(store: &Arc<dyn Store>) -> Vec<String> {
    let mut seen = Vec::new();
    for number in 1.. {
        let Some(found) = store.exception(number).await.unwrap() else { break };
        let (exception, about) = (found.exception, found.about);
        seen.push(format!(
            "exception {} {:?} {:?} in {}, due {:?}, escalated {:?}, claimed {:?}, revision {}, closed {:?}",
            exception.code,
            exception.kind,
            exception.order,
            exception.queue,
            exception.due_at,
            exception.escalated_at,
            exception.claimed,
            exception.revision,
            exception.closed,
        ));
        seen.push(format!("about {:?} {:?} {:?}", about.delivery, about.makers, about.plugin));
        for step in found.steps {
            seen.push(format!("step {} {:?} {:?} {}", step.step, step.who, step.to, step.record.is_some()));
        }
        let proposal =
            found.proposal.map(|open| (open.digest, open.action, open.by, open.expires_at, open.approved_by));
        seen.push(format!("proposal {proposal:?}"));
    }
    seen
}

/// All leaves, those with an index first.
pub(crate) async fn leaves(store: &Arc<dyn Store>) -> Vec<String> {
    let with_index = store.sequenced(0, ALL).await.unwrap();
    let without = store.unsequenced(ALL).await.unwrap();
    ids(with_index.iter().map(|(_, id, _)| *id).chain(without.iter().map(|leaf| leaf.id)))
}

fn ids(leaves: impl Iterator<Item = Digest>) -> Vec<String> {
    leaves.map(|leaf| leaf.short()).collect()
}
