//! Effects of what was said of orders: each once, each to its own target, undone and answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::ChannelId;
use portreeve_model::ProcessState::{Accepted, Cancelling};

use super::fixture::{
    ASK_MS, NOW, about_order, applied, ask_to_cancel, channel, claim, commit, event_in, input, keep, leaf, lease,
    moving, next, order_id, order_in, release, released, retry,
};
use super::{Fault, Maker};
use crate::contract::{
    Content, DecisionCommit, DocumentPosition, EventOutcome, NewOutbox, NewProgress, OrderEventKind, OrderName,
    OrderState, OutboxId, Settlement, Stop, Store, StoreError,
};
use crate::proof::Permit;

/// An event about PO-1, decided as an input of its own; what follows from it, by what is said here.
pub(crate) async fn said(
    store: &Arc<dyn Store>,
    number: u64,
    follows: impl FnOnce(DocumentPosition) -> Vec<(&'static str, &'static str, Content)>,
) -> (DecisionCommit, DocumentPosition) {
    keep(store, input(number, &[&format!("SAID-{number}")])).await;
    let document = next(store).await;
    let position = document.position();
    let after = store.order_standings(vec![order_id("PO-1")]).await.unwrap().remove(0).progress;
    let after = after.map_or(0, |progress| progress.version);
    let progress = NewProgress { after, state: Accepted };
    let mut decision = moving(document, "PO-1", EventOutcome::Applied, Some(progress), leaf(number + 1));
    let outbox = follows(position).into_iter().map(|(target, kind, content)| NewOutbox {
        target: target.to_owned(),
        kind: kind.to_owned(),
        content,
    });
    event_in(&mut decision).outbox = outbox.collect();
    (decision, position)
}

/// What is claimed: target, kind and content of each.
fn of(permits: &[Permit]) -> Vec<(&str, &str, Content)> {
    permits.iter().map(|permit| (permit.target(), permit.kind(), permit.content())).collect()
}

async fn states(store: &Arc<dyn Store>) -> Vec<(String, String)> {
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    order.deliveries.into_iter().map(|delivery| (delivery.kind, delivery.state)).collect()
}

pub(crate) async fn what_follows_from_an_event_is_delivered_of_the_order_once_and_of_each_event_once(
    maker: impl Maker,
) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    let follows = |here| vec![("wms", "release", Content::Order), ("wms", "note", Content::Said(here))];
    let (decision, first) = said(&store, 11, follows).await;
    commit(&store, decision).await.unwrap();
    let (decision, second) = said(&store, 21, follows).await;
    commit(&store, decision).await.unwrap();
    drop(store);

    let store = maker.open().await;
    let mut seen = Vec::new();
    while let Some(permit) = claim(&store, 0).await.pop() {
        seen.push((permit.kind().to_owned(), permit.content(), permit.outbox().clone()));
        let expected: &[u8] = b"event";
        assert_eq!(store.payload(permit.event()).await.unwrap(), expected);
        let attempt = store.begin_attempt(permit, lease(0), leaf(30 + seen.len() as u64)).await.unwrap();
        store.settle(attempt, applied(), NOW, leaf(40 + seen.len() as u64)).await.unwrap();
    }
    let id = |kind, content| OutboxId::derive(order_id("PO-1"), "wms", kind, content);
    let expected = [("release", Content::Order), ("note", Content::Said(first)), ("note", Content::Said(second))];
    let expected = expected.map(|(kind, content)| (kind.to_owned(), content, id(kind, content)));
    assert_eq!(seen, expected, "in their order, one after the other");
}

pub(crate) async fn where_an_order_came_from_is_what_its_document_said(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    drop(store);
    let store = maker.open().await;
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    let origin = store.order_origin(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!((origin.number, origin.partner.as_str(), origin.event), (order.number, "C-1201", order.event));
    assert_eq!(store.order_origin(order_id("PO-2")).await.unwrap(), None);
}

pub(crate) async fn what_nobody_said_of_the_order_is_not_delivered_and_its_event_is_not_there_either(
    maker: impl Maker,
) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    let (mut decision, _) = said(&store, 11, |_| vec![("wms", "note", Content::Said(DocumentPosition(99)))]).await;
    event_in(&mut decision).stops = Some(Stop::GivenUp);
    let refused = commit(&store, decision).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    let standing = store.order_standings(vec![order_id("PO-1")]).await.unwrap().remove(0);
    assert_eq!((standing.progress, claim(&store, 0).await.len()), (None, 0));
}

pub(crate) async fn word_of_an_order_is_told_though_nobody_wants_the_order_any_more(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let document = next(&store).await;
    let own = document.position();
    let mut decision = released(document, &[("erp", "order")], leaf(2));
    let word =
        |position| NewOutbox { target: "feed".to_owned(), kind: "word".to_owned(), content: Content::Said(position) };
    order_in(&mut decision).outbox.extend([word(own), word(own)]);
    commit(&store, decision).await.unwrap();
    ask_to_cancel(&store, 11, "PO-1").await;
    drop(store);

    let store = maker.open().await;
    let permits = claim(&store, 0).await;
    assert_eq!(of(&permits), [("feed", "word", Content::Said(own))], "once, and no order");
    assert_eq!(store.payload(permits[0].event()).await.unwrap(), b"event");
    assert_eq!(store.document_received(own).await.unwrap(), Some((channel(), NOW.plus_ms(1))));
    assert_eq!(store.document_received(DocumentPosition(99)).await.unwrap(), None);
}

pub(crate) async fn what_the_host_says_of_an_order_is_an_input_that_commits_with_its_event_once(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    let own = || Some(Box::new(input(90, &["OWN"])));
    // With an event that cannot be kept nothing is said.
    let (mut decision, _) = said(&store, 11, |_| vec![("wms", "note", Content::Said(DocumentPosition(99)))]).await;
    event_in(&mut decision).says = own();
    assert!(commit(&store, decision).await.is_err());
    assert_eq!(store.summary().await.unwrap().inputs, 2);
    // Two events have it say the same.
    for number in [21, 31] {
        let (mut decision, _) = said(&store, number, |_| vec![]).await;
        event_in(&mut decision).says = own();
        commit(&store, decision).await.unwrap();
    }
    drop(store);

    let store = maker.open().await;
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.inputs, summary.undecided), (5, 2), "four that came, and one that the host said twice");
}

pub(crate) async fn a_target_that_keeps_its_deliveries_waiting_keeps_no_other_target_waiting(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "a"), ("shop", "b"), ("erp", "c")]).await;
    let mut permits = claim(&store, 0).await;
    assert_eq!(of(&permits), [("erp", "a", Content::Order), ("shop", "b", Content::Order)]);
    let attempt = store.begin_attempt(permits.remove(0), lease(0), leaf(11)).await.unwrap();
    store.settle(attempt, retry(50), NOW, leaf(12)).await.unwrap();
    let attempt = store.begin_attempt(permits.remove(0), lease(0), leaf(13)).await.unwrap();
    store.settle(attempt, applied(), NOW, leaf(14)).await.unwrap();
    assert!(claim(&store, 49).await.is_empty(), "the second waits for the first of its target");
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.plus_ms(50)));
    assert_eq!(of(&claim(&store, 50).await), [("erp", "a", Content::Order)]);
}

/// An order that is on its way to the ERP with an unknown outcome, and waits for the
/// warehouse; then it is to be undone. What undoes it at the ERP.
async fn undone_in_doubt(store: &Arc<dyn Store>) -> Content {
    release(store, 1, "PO-1", &[("erp", "order"), ("wms", "release")]).await;
    let permit = claim(store, 0).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(0), leaf(11)).await.unwrap();
    let unknown = Settlement::Unknown { due_at: NOW.plus_ms(ASK_MS), code: "unknown-outcome".to_owned() };
    store.settle(attempt, unknown, NOW, leaf(12)).await.unwrap();
    // What was said of it before goes on, whatever becomes of the order.
    let (decision, _) = said(store, 15, |here| vec![("shop", "note", Content::Said(here))]).await;
    commit(store, decision).await.unwrap();
    let (mut decision, here) = said(store, 21, |here| vec![("erp", "cancel", Content::Said(here))]).await;
    let event = event_in(&mut decision);
    event.stops = Some(Stop::GivenUp);
    event.progress = event.progress.map(|progress| NewProgress { state: Cancelling, ..progress });
    commit(store, decision).await.unwrap();
    Content::Said(here)
}

async fn note_is_taken(store: &Arc<dyn Store>, note: Permit) {
    let attempt = store.begin_attempt(note, lease(0), leaf(51)).await.unwrap();
    store.settle(attempt, applied(), NOW, leaf(52)).await.unwrap();
}

fn named(states: &[(&str, &str)]) -> Vec<(String, String)> {
    states.iter().map(|(kind, state)| ((*kind).to_owned(), (*state).to_owned())).collect()
}

pub(crate) async fn what_is_to_be_undone_is_given_up_where_it_has_not_begun(maker: impl Maker) {
    let store = maker.open().await;
    let cancel = undone_in_doubt(&store).await;
    assert_eq!(
        states(&store).await,
        named(&[("order", "in-doubt"), ("release", "abandoned"), ("note", "pending"), ("cancel", "pending")])
    );
    let mut note = claim(&store, ASK_MS - 1).await;
    assert_eq!((note.len(), note[0].kind()), (1, "note"), "nothing is undone that may not be there yet");
    note_is_taken(&store, note.remove(0)).await;

    let mut permits = claim(&store, ASK_MS + 1).await;
    assert_eq!((permits.len(), permits[0].withheld(), permits[0].unresolved()), (1, true, true), "the ERP is asked");
    store.settle_unattempted(permits.remove(0), Settlement::Absent, NOW, leaf(31)).await.unwrap();
    assert_eq!(
        states(&store).await,
        named(&[("order", "abandoned"), ("release", "abandoned"), ("note", "delivered"), ("cancel", "pending")])
    );
    assert_eq!(of(&claim(&store, ASK_MS + 2).await), [("erp", "cancel", cancel)]);
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!(order.state, OrderState::Released, "nothing holds it: it is undone");
}

pub(crate) async fn what_arrived_all_the_same_is_undone_after_it(maker: impl Maker) {
    let store = maker.open().await;
    let cancel = undone_in_doubt(&store).await;
    note_is_taken(&store, claim(&store, 0).await.remove(0)).await;
    let permit = claim(&store, ASK_MS + 1).await.remove(0);
    store.settle_unattempted(permit, applied(), NOW, leaf(31)).await.unwrap();
    assert_eq!(
        states(&store).await,
        named(&[("order", "delivered"), ("release", "abandoned"), ("note", "delivered"), ("cancel", "pending")])
    );
    assert_eq!(of(&claim(&store, ASK_MS + 2).await), [("erp", "cancel", cancel)]);
}

pub(crate) async fn an_order_that_a_system_has_is_held_by_no_wish_to_cancel_and_gets_no_further(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order"), ("wms", "release")]).await;
    let permit = claim(&store, 0).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(0), leaf(11)).await.unwrap();
    store.settle(attempt, applied(), NOW, leaf(12)).await.unwrap();
    ask_to_cancel(&store, 21, "PO-1").await;
    assert_eq!(states(&store).await, named(&[("order", "delivered"), ("release", "abandoned")]));
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!(order.state, OrderState::Released, "nobody could release or reject it");
}

pub(crate) async fn an_order_is_known_by_its_number_and_by_what_targets_call_it(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order"), ("wms", "order")]).await;
    release(&store, 51, "PO-2", &[("erp", "order")]).await;
    for (permit, number) in claim(&store, 0).await.into_iter().zip(11..) {
        let external_id = format!("{}-{}", permit.target(), permit.order() == Some(order_id("PO-1")));
        let attempt = store.begin_attempt(permit, lease(0), leaf(number)).await.unwrap();
        store.settle(attempt, Settlement::Applied { external_id }, NOW, leaf(10 + number)).await.unwrap();
    }
    // What it calls something that was said of the order is no name of the order.
    let (decision, _) = said(&store, 41, |here| vec![("erp", "note", Content::Said(here))]).await;
    commit(&store, decision).await.unwrap();
    let attempt = store.begin_attempt(claim(&store, 0).await.remove(0), lease(0), leaf(43)).await.unwrap();
    store.settle(attempt, applied(), NOW, leaf(44)).await.unwrap();

    let receipt = |target: &str, external_id: &str| OrderName::Receipt {
        target: target.to_owned(),
        external_id: external_id.to_owned(),
    };
    let number = |channel: &str, number: &str| OrderName::Number {
        channel: ChannelId::parse(channel).unwrap(),
        number: number.to_owned(),
    };
    let names = vec![
        receipt("erp", "erp-true"),
        receipt("erp", "erp-false"),
        receipt("wms", "erp-true"),
        receipt("erp", "S-1"),
        number("edi", "PO-2"),
        number("shop", "PO-2"),
        number("edi", "PO-3"),
    ];
    let (first, second) = (vec![order_id("PO-1")], vec![order_id("PO-2")]);
    let nobody = Vec::new();
    let expected = [&first, &second, &nobody, &nobody, &second, &nobody, &nobody].map(Clone::clone);
    assert_eq!(store.orders_named(names).await.unwrap(), expected);
}

/// An invoice of an order, which is known by this number from then on.
async fn posted(store: &Arc<dyn Store>, number: u64, key: &str, invoice: Option<&str>) -> DecisionCommit {
    keep(store, input(number, &[&format!("POSTED-{number}")])).await;
    let mut decision = about_order(next(store).await, key, OrderEventKind::InvoicePosted, leaf(number + 1));
    event_in(&mut decision).invoice = invoice.map(str::to_owned);
    decision
}

pub(crate) async fn an_order_is_known_by_its_invoices_where_they_are_said_to_be_names_of_it(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[]).await;
    release(&store, 5, "PO-2", &[]).await;
    // Two finance systems may count alike.
    for (number, key, invoice) in [
        (11, "PO-1", Some("I-1")),
        (21, "PO-1", Some("I-2")),
        (31, "PO-1", None),
        (41, "PO-2", Some("I/2 '")),
        (51, "PO-2", Some("I-2")),
        (61, "PO-2", Some("I-2")),
    ] {
        commit(&store, posted(&store, number, key, invoice).await).await.unwrap();
    }
    let lost = posted(&store, 71, "PO-2", Some("I-9")).await;
    maker.fail_next_commit(Some(Fault::NotPersisted));
    commit(&store, lost).await.unwrap_err();
    drop(store);

    let store = maker.open().await;
    let name = |number: &str| OrderName::Invoice { number: number.to_owned() };
    let names = ["I-1", "I/2 '", "I-9", "I-", "", "invoice.posted"].map(name).to_vec();
    let (first, second, nobody) = (vec![order_id("PO-1")], vec![order_id("PO-2")], Vec::new());
    let expected = [&first, &second, &nobody, &nobody, &nobody, &nobody].map(Clone::clone);
    assert_eq!(store.orders_named(names).await.unwrap(), expected);
    let both = store.orders_named(vec![name("I-2")]).await.unwrap().remove(0);
    assert_eq!(both.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([order_id("PO-1"), order_id("PO-2")]));
}

pub(crate) async fn what_a_target_says_by_taking_a_message_is_there_with_the_receipt_or_not_at_all(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    let says = |number| Some(input(number, &["RECEIPT"]));
    let keys = async |store: &Arc<dyn Store>| {
        let documents = store.undecided(100, &[]).await.unwrap();
        documents.iter().map(|document| document.key().to_owned()).collect::<Vec<_>>()
    };
    // What did not happen says nothing.
    let attempt = store.begin_attempt(claim(&store, 0).await.remove(0), lease(0), leaf(11)).await.unwrap();
    store.settle(attempt.saying(says(21)), retry(5), NOW, leaf(12)).await.unwrap();
    assert!(keys(&store).await.is_empty());

    let attempt = store.begin_attempt(claim(&store, 5).await.remove(0), lease(5), leaf(13)).await.unwrap();
    maker.fail_next_commit(Some(Fault::NotPersisted));
    store.settle(attempt.saying(says(31)), applied(), NOW, leaf(14)).await.unwrap_err();
    assert!(keys(&store).await.is_empty());
    drop(store);

    // Found by the next process; its word is heard then, also where nobody hears of the commit.
    let store = maker.open().await;
    let permit = claim(&store, ASK_MS + 6).await.remove(0).saying(says(41));
    maker.fail_next_commit(Some(Fault::Persisted));
    store.settle_unattempted(permit, applied(), NOW, leaf(15)).await.unwrap_err();
    assert_eq!(keys(&store).await, ["RECEIPT"]);
    drop(store);
    assert_eq!(keys(&maker.open().await).await, ["RECEIPT"]);
}
