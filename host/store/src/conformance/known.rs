//! What the host knows, for whoever compares it with what others list: what is open, what is over, and
//! what is on its way.

use std::sync::Arc;

use portreeve_model::{ChannelId, ExceptionAction, ProcessState};

use super::Maker;
use super::exception::{take, wanted_otherwise};
use super::fixture::{
    ALL, NOW, about_order, applied, ask_to_cancel, channel, claim, commit, event_in, held, hold_back, input, keep,
    leaf, lease, next, order_id, order_in, release, resolved,
};
use crate::contract::{
    BlockKinds, Content, Effect, EventOutcome, NewOutbox, NewProgress, OrderAt, OrderEventKind, OrdersAt, OrdersAtPage,
    OrdersAtWanted, SaidPage, SaidWanted, Store,
};

fn wanted(which: OrdersAt) -> OrdersAtWanted {
    let (target, kind) = ("erp".to_owned(), "order".to_owned());
    OrdersAtWanted { target, kind, blocked: None, which, since: None, limit: ALL }
}

async fn open(store: &Arc<dyn Store>) -> Vec<OrderAt> {
    store.orders_at(wanted(OrdersAt::Open(0))).await.unwrap().orders
}

/// Whose they are, whether something of them is on its way, and whether the target has them.
fn told(orders: &[OrderAt]) -> Vec<(&str, bool, bool)> {
    orders.iter().map(|order| (order.number.as_str(), order.is_under_way, order.is_there)).collect()
}

/// A system says something of an order, which goes to this state by it.
async fn moves(store: &Arc<dyn Store>, number: u64, key: &str, kind: OrderEventKind, state: ProcessState) {
    keep(store, input(number, &[&format!("SAID-{number}")])).await;
    let mut decision = about_order(next(store).await, key, kind, leaf(number + 1));
    let before = store.order_standings(vec![order_id(key)]).await.unwrap().remove(0).progress;
    let event = event_in(&mut decision);
    event.outcome = EventOutcome::Applied;
    event.progress = Some(NewProgress { after: before.map_or(0, |progress| progress.version), state });
    commit(store, decision).await.unwrap();
}

pub(crate) async fn orders_that_are_not_over_are_told_with_what_is_on_its_way_to_their_target(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order"), ("wms", "release")]).await;
    release(&store, 11, "PO-2", &[("erp", "order")]).await;
    release(&store, 21, "PO-3", &[("wms", "release")]).await;
    hold_back(&store, 31, "PO-4", &["large"]).await;
    assert_eq!(told(&open(&store).await), [("PO-1", true, false), ("PO-2", true, false)]);
    for (number, permit) in (41..).step_by(2).zip(claim(&store, 5).await) {
        let attempt = store.begin_attempt(permit, lease(5), leaf(number)).await.unwrap();
        store.settle(attempt, applied(), NOW.plus_ms(7), leaf(number + 1)).await.unwrap();
    }
    drop(store);
    let store = maker.open().await;
    let found = open(&store).await;
    assert_eq!(told(&found), [("PO-1", false, true), ("PO-2", false, true)]);
    assert_eq!((found[0].id, found[0].changed_at, found[0].progress), (order_id("PO-1"), NOW.plus_ms(7), None));
    assert_eq!(store.payload(found[0].event).await.unwrap(), b"event");

    // What a system says moves an order, and may end it; what it says is the change.
    moves(&store, 51, "PO-1", OrderEventKind::Accepted, ProcessState::Accepted).await;
    moves(&store, 61, "PO-2", OrderEventKind::ShipmentConfirmed, ProcessState::Shipped).await;
    let found = open(&store).await;
    assert_eq!(told(&found), [("PO-1", false, true)]);
    assert_eq!(found[0].progress.unwrap().state, ProcessState::Accepted);
    ask_to_cancel(&store, 71, "PO-1").await;
    assert_eq!(open(&store).await.len(), 1, "it is wanted no more, and is not over");

    // By their ids all are found that are here, whatever became of them.
    let ids = vec![order_id("PO-2"), order_id("PO-9"), order_id("PO-4")];
    let these = store.orders_at(wanted(OrdersAt::These(ids))).await.unwrap();
    assert_eq!(told(&these.orders), [("PO-2", false, true), ("PO-4", false, false)]);
    assert_eq!(these.next, None);

    // A change that people accepted is what was agreed on last; one that waits, or is refused, is not.
    let before = open(&store).await;
    assert_eq!(before[0].agreed, None);
    let mut changes = Vec::new();
    for (number, key) in [(91, "CH-1"), (101, "CH-2"), (111, "CH-3")] {
        changes.push(wanted_otherwise(&store, number, key).await.0);
    }
    assert_eq!(open(&store).await[0].agreed, None);
    let answer = || Effect::AnswerChange { outbox: vec![] };
    let (accepts, refuses) = (ExceptionAction::AcceptChange, ExceptionAction::RefuseChange);
    let mut agreed = Vec::new();
    for (change, action, number) in [(changes[1], accepts, 121), (changes[0], accepts, 122), (changes[2], refuses, 123)]
    {
        take(&store, change, "ada", resolved(action, answer()), number).await.unwrap();
        agreed.push(open(&store).await[0].agreed.unwrap());
    }
    let events = store.order_events(order_id("PO-1"), 0, ALL).await.unwrap();
    let said = |nth: usize| {
        let changed = events.iter().filter(|event| event.kind == OrderEventKind::Changed);
        changed.map(|event| event.event).collect::<Vec<_>>()[nth]
    };
    assert_eq!(agreed, [said(1), said(0), said(0)], "by when they were accepted");
    assert_eq!(store.payload(agreed[0]).await.unwrap(), b"event");

    // Page by page, and by when they were decided.
    release(&store, 81, "PO-5", &[("erp", "order")]).await;
    let one = OrdersAtWanted { limit: 1, ..wanted(OrdersAt::Open(0)) };
    let OrdersAtPage { orders, next } = store.orders_at(one.clone()).await.unwrap();
    assert_eq!(told(&orders), [("PO-1", false, true)]);
    let rest = OrdersAtWanted { which: OrdersAt::Open(next.unwrap()), ..one };
    assert_eq!(told(&store.orders_at(rest).await.unwrap().orders), [("PO-5", true, false)]);
    let later = OrdersAtWanted { since: Some(NOW.plus_ms(1)), ..wanted(OrdersAt::Open(0)) };
    assert!(store.orders_at(later).await.unwrap().orders.is_empty());
}

pub(crate) async fn what_a_target_has_with_a_block_is_there_until_it_is_undone(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    release(&store, 11, "PO-2", &[("erp", "clear")]).await;
    keep(&store, input(21, &["PO-3"])).await;
    let document = next(&store).await;
    let own = Content::Said(document.position());
    let word = |kind: &str| vec![NewOutbox { target: "erp".to_owned(), kind: kind.to_owned(), content: own }];
    let mut blocked = held(document, &["large"], leaf(22));
    order_in(&mut blocked).outbox = word("create");
    commit(&store, blocked).await.unwrap();
    let [create, clear, cancel] = ["create", "clear", "cancel"].map(str::to_owned);
    let kinds = Some(BlockKinds { create, clear, cancel });
    let open_at = async |store: &Arc<dyn Store>| {
        let wanted = OrdersAtWanted { blocked: kinds.clone(), ..wanted(OrdersAt::Open(0)) };
        store.orders_at(wanted).await.unwrap().orders
    };
    let deliver = async |store: &Arc<dyn Store>, first: u64| {
        for (number, permit) in (first..).step_by(2).zip(claim(store, 5).await) {
            let attempt = store.begin_attempt(permit, lease(5), leaf(number)).await.unwrap();
            store.settle(attempt, applied(), NOW.plus_ms(7), leaf(number + 1)).await.unwrap();
        }
    };
    assert_eq!(told(&open_at(&store).await), [("PO-1", true, false), ("PO-2", true, false), ("PO-3", true, false)]);
    deliver(&store, 31).await;
    drop(store);
    let store = maker.open().await;
    assert_eq!(told(&open_at(&store).await), [("PO-1", false, true), ("PO-2", false, true), ("PO-3", false, true)]);
    assert_eq!(told(&open(&store).await), [("PO-1", false, true)], "of a target that has none with a block");

    let number = store.exceptions(ALL).await.unwrap().pop().unwrap().id;
    let rejected = Effect::RejectOrder { why: "no".to_owned(), outbox: word("cancel") };
    take(&store, number, "ada", resolved(ExceptionAction::Reject, rejected), 41).await.unwrap();
    let this = async |store: &Arc<dyn Store>| {
        let which = OrdersAt::These(vec![order_id("PO-3")]);
        let wanted = OrdersAtWanted { blocked: kinds.clone(), ..wanted(which) };
        let found = store.orders_at(wanted).await.unwrap().orders;
        (found[0].is_under_way, found[0].is_there)
    };
    assert_eq!(this(&store).await, (true, true), "until the target undoes it");
    deliver(&store, 51).await;
    assert_eq!(this(&store).await, (false, false));
    assert_eq!(told(&open_at(&store).await), [("PO-1", false, true), ("PO-2", false, true)]);
}

pub(crate) async fn what_was_said_of_orders_is_told_from_the_newest_on(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    moves(&store, 11, "PO-1", OrderEventKind::ShipmentConfirmed, ProcessState::PartShipped).await;
    moves(&store, 21, "PO-1", OrderEventKind::InvoicePosted, ProcessState::PartShipped).await;
    moves(&store, 31, "PO-1", OrderEventKind::ShipmentConfirmed, ProcessState::Shipped).await;
    let kinds = vec![OrderEventKind::ShipmentConfirmed];
    let target = Some("erp".to_owned());
    let wanted = SaidWanted { kinds, channels: Vec::new(), target, since: NOW, before: None, limit: 1 };
    let SaidPage { said, before } = store.said_at(wanted.clone()).await.unwrap();
    let told = (said[0].order, said[0].kind, said[0].received_at, said[0].changed_at, said[0].is_under_way);
    let expected = (order_id("PO-1"), OrderEventKind::ShipmentConfirmed, NOW.plus_ms(31), NOW, false);
    assert_eq!((told, said.len(), before.is_some()), (expected, 1, true));
    assert_eq!(store.payload(said[0].event).await.unwrap(), b"event");
    let rest = store.said_at(SaidWanted { before, limit: ALL, ..wanted.clone() }).await.unwrap();
    assert_eq!((rest.said.len(), rest.said[0].received_at, rest.before), (1, NOW.plus_ms(11), None));
    let late = store.said_at(SaidWanted { since: NOW.plus_ms(12), limit: ALL, ..wanted.clone() }).await.unwrap();
    assert_eq!((late.said.len(), late.before), (1, None));
    for (channels, count) in [(vec![channel()], 2), (vec![ChannelId::parse("another").unwrap()], 0)] {
        let said = store.said_at(SaidWanted { channels, limit: ALL, ..wanted.clone() }).await.unwrap().said;
        assert_eq!(said.len(), count);
    }
}
