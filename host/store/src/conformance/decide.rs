//! Decide: orders with what they cause, one key at a time, history and budgets.

use std::sync::Arc;

use portreeve_model::{Currency, Digest, ExceptionKind, Instant, PluginName, ShareCeiling};

use super::fixture::{
    ALL, NOW, about_order, claim, commit, decision_of, exception, input, input_id, keep, leaf, leaves, next, observe,
    order_id, order_in, release, released, sealed, usd, waits,
};
use super::{Harm, Maker};
use crate::contract::{
    Content, Decided, DecisionCommit, DocumentPosition, HistoryQuery, HoldOwner, NewHold, NewOutbox, OpenHolds,
    OrderEventKind, OrderStanding, OrderState, PayloadRef, SUM_MINOR_MAX, Spends, Store, StoreError,
};
use crate::proof::Journaled;

const HOUR_MS: i64 = 3_600_000;

/// A budget of a plugin.
fn spends(plugin: &str, per_hour_max: u32, value_held_per_day_max_minor: Option<i64>) -> Spends {
    Spends { plugin: PluginName::parse(plugin).unwrap(), per_hour_max, held_share: None, value_held_per_day_max_minor }
}

fn hold_of(owner: HoldOwner) -> NewHold {
    let (reason, queue) = ("reason".to_owned(), "fraud".to_owned());
    NewHold { owner, reason, queue, lines: Vec::new(), expires_at: NOW.plus_ms(HOUR_MS), component: None }
}

pub(crate) async fn a_decision_is_there_after_a_reopening_with_everything_that_it_causes(maker: impl Maker) {
    let store = maker.open().await;
    let mut entry = input(1, &["PO-1"]);
    entry.exceptions = vec![exception("of-the-input")];
    keep(&store, entry).await;
    let document = next(&store).await;
    let content = Content::Said(document.position());
    let mut decision = released(document, &[], leaf(2));
    let order = order_in(&mut decision);
    (order.state, order.queue) = (OrderState::Held, Some("credit".to_owned()));
    order.outbox = vec![NewOutbox { target: "erp".to_owned(), kind: "told".to_owned(), content }];
    order.holds = vec![NewHold {
        owner: HoldOwner::Advice(spends("fraud", 1, None)),
        reason: "new-customer".to_owned(),
        queue: "credit".to_owned(),
        lines: vec!["1".to_owned(), "3".to_owned()],
        expires_at: NOW.plus_ms(HOUR_MS),
        component: Some(Digest::of(b"component")),
    }];
    order.exception = Some(exception("of-the-order"));
    let (event, fingerprint) = (order.event, order.fingerprint);
    let committed = commit(&store, decision).await.unwrap();
    assert_eq!(committed.order(), Some(order_id("PO-1")));
    drop(store);

    let store = maker.open().await;
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    assert_eq!((order.number.as_str(), order.state, order.position), ("PO-1", OrderState::Held, committed.position()));
    assert_eq!((order.queue.as_deref(), order.value, order.leaf), (Some("credit"), usd(100), leaf(2).id()));
    assert_eq!(order.deliveries[0].state, "pending");
    assert_eq!((order.event.commitment, order.leaf_index), (event, None));
    assert_eq!(store.payload(order.event).await.unwrap(), b"event");
    assert_eq!(store.payload(order.decision).await.unwrap(), b"decision");
    let trail = store.order_trail(order.id).await.unwrap().unwrap();
    assert_eq!((trail.holds[0].reason.as_str(), trail.holds[0].lines.len()), ("new-customer", 2));
    let codes: Vec<_> = trail.exceptions.iter().map(|exception| exception.code.as_str()).collect();
    assert_eq!(codes, ["of-the-input", "of-the-order"]);
    assert_eq!(trail.leaves.iter().map(|leaf| leaf.id).collect::<Vec<_>>(), [leaf(1).id(), leaf(2).id()]);
    let fingerprints = store.decision_fingerprints(DocumentPosition(0), ALL).await.unwrap();
    assert_eq!(fingerprints, [(committed.position(), fingerprint)]);
    assert!(store.undecided(ALL, &[]).await.unwrap().is_empty());
    assert!(store.order(order_id("PO-9")).await.unwrap().is_none());
    assert!(store.order_trail(order_id("PO-9")).await.unwrap().is_none());
}

pub(crate) async fn of_a_business_key_the_next_document_waits_for_the_first(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    keep(&store, input(2, &["PO-1", "PO-2"])).await;
    let handed = store.undecided(ALL, &[]).await.unwrap();
    assert_eq!(handed.iter().map(|document| document.key()).collect::<Vec<_>>(), ["PO-1", "PO-2"]);
    assert!(handed[0].position() < handed[1].position() && handed[0].first().is_none());

    // One that became no order is no first one.
    let unmapped = Decided::Unmapped(waits(ExceptionKind::Document, "unmapped"));
    let first = handed.into_iter().next().unwrap();
    let first_position = first.position();
    let committed = commit(&store, decision_of(first, unmapped, Vec::new(), leaf(3))).await.unwrap();
    assert_eq!(committed.order(), None);
    let second = next(&store).await;
    assert_eq!((second.key(), second.first()), ("PO-1", None));
    commit(&store, released(second, &[], leaf(4))).await.unwrap();

    // One that did is the first of all later ones.
    keep(&store, input(5, &["PO-1"])).await;
    let third = store.undecided(ALL, &[]).await.unwrap().into_iter().find(|document| document.key() == "PO-1").unwrap();
    let first = third.first().unwrap();
    assert!(first.position > first_position && !first.same_content);
    let duplicate = Decided::Duplicate { of: first.position };
    commit(&store, decision_of(third, duplicate, Vec::new(), leaf(6))).await.unwrap();
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.duplicates, summary.unmapped, summary.undecided), (1, 1, 1));
}

pub(crate) async fn documents_are_left_out_and_stand_before_those_of_their_key_all_the_same(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1", "PO-2", "PO-3"])).await;
    keep(&store, input(2, &["PO-1", "PO-4"])).await;
    let all = store.undecided(ALL, &[]).await.unwrap();
    let without = [all[0].position(), all[2].position(), DocumentPosition(u64::from(u32::MAX))];
    let handed = store.undecided(2, &without).await.unwrap();
    assert_eq!(handed.iter().map(|document| document.key()).collect::<Vec<_>>(), ["PO-2", "PO-4"], "as many as asked");
}

pub(crate) async fn a_second_decision_about_a_document_hears_of_the_first(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    keep(&one, input(1, &["PO-1"])).await;
    let (first, second) = (next(&one).await, next(&other).await);
    commit(&one, released(first, &[("erp", "order")], leaf(2))).await.unwrap();
    let before = observe(&one).await;
    let differently = Decided::Unmapped(waits(ExceptionKind::Document, "unmapped"));
    let committed = commit(&other, decision_of(second, differently, Vec::new(), leaf(3))).await.unwrap();
    assert_eq!(committed.order(), Some(order_id("PO-1")), "what the first decision made of it");
    assert_eq!(observe(&one).await, before);
}

pub(crate) async fn a_decision_that_fails_leaves_its_neighbours(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1", "PO-2", "PO-3"])).await;
    let mut decisions = Vec::new();
    for (document, number) in store.undecided(ALL, &[]).await.unwrap().into_iter().zip(2..) {
        decisions.push(released(document, &[("erp", "order")], leaf(number)));
    }
    // Two orders cannot have one id.
    order_in(&mut decisions[1]).id = order_id("PO-1");
    let results = store.commit_decisions(decisions).await.unwrap();
    let orders: Vec<_> = results.iter().map(|result| result.as_ref().ok().and_then(|done| done.order())).collect();
    assert_eq!(orders, [Some(order_id("PO-1")), None, Some(order_id("PO-3"))], "as many results, in order");
    assert!(matches!(results[1], Err(StoreError::Failed(_))));
    assert_eq!(next(&store).await.key(), "PO-2");
    assert_eq!(leaves(&store).await, [1, 2, 4].map(|number| leaf(number).id().short()), "none of the failed one");
    assert_eq!(claim(&store, 0).await.len(), 2);
}

pub(crate) async fn an_erased_or_damaged_document_comes_without_its_bytes(maker: impl Maker) {
    let store = maker.open().await;
    let entry = input(1, &["PO-1", "PO-2", "PO-3"]);
    let [erased, damaged] = [0, 1].map(|index: usize| entry.documents[index].payload.sealed.commitment());
    keep(&store, entry).await;
    maker.harm(Harm::Erase(erased));
    maker.harm(Harm::Damage(damaged));
    let documents = store.undecided(ALL, &[]).await.unwrap();
    assert_eq!(documents.len(), 3, "each has to be decided, or it stands in the way of all others");
    assert!(documents[0].body().unwrap_err().contains("was erased"));
    assert!(documents[1].body().unwrap_err().contains("damaged"));
    assert_eq!(documents[2].body(), Ok(b"body of PO-3".as_slice()));
    let view = store.input_documents(super::fixture::input_id(1), ALL).await;
    assert!(matches!(view, Err(StoreError::Erased(found)) if found == erased));
}

pub(crate) async fn what_comes_about_an_order_stands_beside_it_in_journal_order(maker: impl Maker) {
    let store = maker.open().await;
    let nothing = OrderStanding::default();
    assert_eq!(store.order_standings(vec![order_id("PO-1")]).await.unwrap(), [OrderStanding::default()]);
    release(&store, 1, "PO-1", &[]).await;
    for (number, kind) in
        [(11, OrderEventKind::Changed), (21, OrderEventKind::Changed), (31, OrderEventKind::CancelRequested)]
    {
        keep(&store, input(number, &[&format!("LATER-{number}")])).await;
        let committed = commit(&store, about_order(next(&store).await, "PO-1", kind, leaf(number + 1))).await.unwrap();
        assert_eq!(committed.order(), None, "it became no order of its own");
    }
    drop(store);
    let store = maker.open().await;
    let order = store.order(order_id("PO-1")).await.unwrap().unwrap();
    let decided = Some((OrderState::Released, order.event));
    let channel = Some(order.channel);
    let cancelled =
        OrderStanding { exists: true, cancel_requested: true, decided, channel, ..OrderStanding::default() };
    let standings = store.order_standings(vec![order_id("PO-2"), order_id("PO-1")]).await.unwrap();
    assert_eq!(standings, [nothing, cancelled], "in the order of the questions");
    let trail = store.order_trail(order_id("PO-1")).await.unwrap().unwrap();
    let kinds: Vec<_> = trail.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [OrderEventKind::Changed, OrderEventKind::Changed, OrderEventKind::CancelRequested]);
    assert!(trail.events.is_sorted_by(|a, b| a.position < b.position));
    assert_eq!(store.payload(trail.events[0].event).await.unwrap(), b"event");
    assert_eq!(trail.leaves.last().unwrap().id, leaf(32).id(), "its leaf is in the order's story");
    assert_eq!((trail.exceptions.len(), store.summary().await.unwrap().order_events), (3, 3));
    // An order may come after its own cancellation.
    keep(&store, input(41, &["LATER-41"])).await;
    let early = about_order(next(&store).await, "PO-9", OrderEventKind::CancelRequested, leaf(42));
    commit(&store, early).await.unwrap();
    let standings = store.order_standings(vec![order_id("PO-9")]).await.unwrap();
    assert_eq!(standings, [OrderStanding { cancel_requested: true, ..OrderStanding::default() }]);
}

pub(crate) async fn orders_are_paged_in_journal_order(maker: impl Maker) {
    let store = maker.open().await;
    for (number, key) in (1..).step_by(10).zip(["PO-5", "PO-4", "PO-3", "PO-2", "PO-1"]) {
        keep(&store, input(number, &[key])).await;
        let mut decision = released(next(&store).await, &[], leaf(number + 1));
        if key == "PO-3" {
            order_in(&mut decision).state = OrderState::Refused;
        }
        commit(&store, decision).await.unwrap();
    }
    let mut seen: Vec<(DocumentPosition, String)> = Vec::new();
    loop {
        let after = seen.last().map_or(DocumentPosition(0), |(position, _)| *position);
        let page = store.orders(after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|order| (order.position, order.number)));
    }
    let numbers: Vec<_> = seen.iter().map(|(_, number)| number.as_str()).collect();
    assert_eq!(numbers, ["PO-5", "PO-4", "PO-3", "PO-2", "PO-1"]);
    let numbered = store.orders_numbered("PO-4", ALL).await.unwrap();
    assert_eq!(numbered.iter().map(|order| order.id).collect::<Vec<_>>(), [order_id("PO-4")]);
    assert!(store.orders_numbered("PO-9", ALL).await.unwrap().is_empty());
    let refused = store.orders_in(OrderState::Refused, DocumentPosition(0), ALL).await.unwrap();
    assert_eq!(refused.iter().map(|order| order.number.as_str()).collect::<Vec<_>>(), ["PO-3"]);
    let after = store.orders_in(OrderState::Released, seen[2].0, ALL).await.unwrap();
    assert_eq!(after.iter().map(|order| order.number.as_str()).collect::<Vec<_>>(), ["PO-2", "PO-1"]);
    let fingerprints = store.decision_fingerprints(seen[3].0, ALL).await.unwrap();
    assert_eq!(fingerprints, [(seen[4].0, Digest::of(b"released PO-1"))]);
}

pub(crate) async fn history_is_of_lower_positions_and_of_one_customer(maker: impl Maker) {
    let store = maker.open().await;
    for (number, key, customer) in [(1, "PO-1", "a"), (11, "PO-2", "a"), (21, "PO-3", "b"), (31, "PO-4", "a")] {
        keep(&store, input(number, &[key])).await;
        let mut decision = released(next(&store).await, &[], leaf(number + 1));
        order_in(&mut decision).customer_event.customer = Digest::of(customer.as_bytes());
        commit(&store, decision).await.unwrap();
    }
    let fourth = store.order(order_id("PO-4")).await.unwrap().unwrap();
    let query = HistoryQuery {
        customer: Digest::of(b"a"),
        below: fourth.position,
        at: NOW.plus_ms(100),
        currency: "USD".to_owned(),
        ship_to: Some(Digest::of(b"place")),
    };
    let elsewhere = HistoryQuery { currency: "EUR".to_owned(), ship_to: Some(Digest::of(b"new")), ..query.clone() };
    let histories = store.customer_histories(vec![query, elsewhere]).await.unwrap();
    let [known, elsewhere] = &histories[..] else { panic!("as many answers as questions: {histories:?}") };
    assert_eq!((known.orders_1h, known.orders_30d, known.value_24h_minor), (2, 2, 200));
    assert_eq!((known.first_order_at, known.ship_to_known), (Some(NOW.plus_ms(1)), true));
    assert_eq!((elsewhere.orders_1h, elsewhere.value_24h_minor, elsewhere.ship_to_known), (2, 0, false));
}

pub(crate) async fn usage_counts_each_order_once_and_each_budget_apart(maker: impl Maker) {
    let store = maker.open().await;
    let fraud = PluginName::parse("fraud").unwrap();
    let owners = [
        vec![HoldOwner::Advice(spends("fraud", 2, None)), HoldOwner::Advice(spends("fraud", 2, None))],
        vec![HoldOwner::Route(spends("fraud", 1, None))],
        vec![HoldOwner::SpentBudget(fraud.clone()), HoldOwner::Policy],
    ];
    for (number, owners) in (1..).step_by(10).zip(owners) {
        keep(&store, input(number, &[&format!("PO-{number}")])).await;
        let mut decision = released(next(&store).await, &[], leaf(number + 1));
        order_in(&mut decision).value = usd(if number == 1 { i64::MAX } else { 100 });
        order_in(&mut decision).holds = owners.into_iter().map(hold_of).collect();
        commit(&store, decision).await.unwrap();
    }
    let usd = Currency::parse("USD").unwrap();
    let usage = store.plugin_usage(&fraud, usd, NOW).await.unwrap();
    assert_eq!((usage.holds, usage.routes, usage.orders), (2, 1, 3));
    assert_eq!(usage.value_held_minor, SUM_MINOR_MAX, "one order's value, as far as sums go");
    let euro = store.plugin_usage(&fraud, Currency::parse("EUR").unwrap(), NOW).await.unwrap();
    assert_eq!((euro.holds, euro.value_held_minor), (2, 0), "amounts in several currencies have no sum");
    // The window ends with a minute, a share is of the orders of an hour, a day ends at midnight.
    let minute = NOW.0.div_euclid(Instant::MINUTE_MS) + 61;
    let day = NOW.0.div_euclid(Instant::DAY_MS) + 1;
    for (at, holds, orders, valued) in [
        (NOW.plus_ms(HOUR_MS), 2, 3, true),
        (NOW.plus_ms(HOUR_MS + 1), 2, 0, true),
        (Instant(minute * Instant::MINUTE_MS - 1), 2, 0, true),
        (Instant(minute * Instant::MINUTE_MS), 0, 0, true),
        (Instant(day * Instant::DAY_MS - 1), 0, 0, true),
        (Instant(day * Instant::DAY_MS), 0, 0, false),
        (NOW.plus_ms(-30 * Instant::DAY_MS), 2, 0, true),
    ] {
        let usage = store.plugin_usage(&fraud, usd, at).await.unwrap();
        assert_eq!((usage.holds, usage.orders, usage.value_held_minor > 0), (holds, orders, valued), "{at}");
    }
}

/// An order that a plugin holds or routes, within these ceilings.
async fn kept_back(store: &Arc<dyn Store>, number: u64, owners: Vec<HoldOwner>) -> DecisionCommit {
    keep(store, input(number, &[&format!("PO-{number}")])).await;
    let document = store.undecided(ALL, &[]).await.unwrap().pop().unwrap();
    let mut decision = released(document, &[], leaf(number + 1));
    order_in(&mut decision).holds = owners.into_iter().map(hold_of).collect();
    decision
}

pub(crate) async fn no_decision_passes_a_ceiling_whoever_decided_meanwhile(maker: impl Maker) {
    let store = maker.open().await;
    let (hold, route) = (|spends| vec![HoldOwner::Advice(spends)], |spends| vec![HoldOwner::Route(spends)]);
    // Weighed at the same time, with the same counters: each has the last place for itself.
    let decisions = vec![
        kept_back(&store, 1, hold(spends("fraud", 1, None))).await,
        kept_back(&store, 11, hold(spends("fraud", 1, None))).await,
        kept_back(&store, 21, route(spends("fraud", 1, None))).await,
        kept_back(&store, 31, route(spends("fraud", 1, None))).await,
        kept_back(&store, 41, hold(spends("margin", 9, Some(250)))).await,
        kept_back(&store, 51, hold(spends("margin", 9, Some(250)))).await,
        kept_back(&store, 61, hold(spends("margin", 9, Some(250)))).await,
        // Two holds of one order: the second goes beyond, and takes the first along.
        kept_back(&store, 71, [hold(spends("line", 1, None)), hold(spends("line", 1, None))].concat()).await,
        kept_back(&store, 81, vec![HoldOwner::Policy, HoldOwner::SpentBudget(PluginName::parse("fraud").unwrap())])
            .await,
    ];
    let committed = store.commit_decisions(decisions).await.unwrap();
    let spent: Vec<Option<String>> = committed
        .iter()
        .map(|result| match result {
            Ok(_) => None,
            Err(StoreError::BudgetSpent { plugin }) => Some(plugin.to_string()),
            Err(other) => unreachable!("{other}"),
        })
        .collect();
    let spent: Vec<Option<&str>> = spent.iter().map(Option::as_deref).collect();
    let (none, fraud, margin, line) = (None, Some("fraud"), Some("margin"), Some("line"));
    assert_eq!(spent, [none, fraud, none, fraud, none, none, margin, line, none]);

    // A tenth of the hour's orders, of which there are nine with this one; at least one.
    let tenth = |floor| Spends { held_share: Some(ShareCeiling { max_bp: 1_000, floor }), ..spends("share", 9, None) };
    for (number, floor, fits) in [(101, 0, false), (111, 1, true), (121, 1, false)] {
        let decision = kept_back(&store, number, hold(tenth(floor))).await;
        let result = commit(&store, decision).await;
        assert_eq!(result.is_ok(), fits, "{number}: {result:?}");
    }

    let usd = Currency::parse("USD").unwrap();
    let usage = async |plugin: &str| {
        let usage = store.plugin_usage(&PluginName::parse(plugin).unwrap(), usd, NOW).await.unwrap();
        (usage.holds, usage.routes, usage.value_held_minor)
    };
    assert_eq!(usage("fraud").await, (1, 1, 100), "what was not committed used up nothing");
    assert_eq!((usage("margin").await, usage("line").await), ((2, 0, 200), (0, 0, 0)));
    let left: Vec<_> = store.undecided(ALL, &[]).await.unwrap();
    assert_eq!(
        left.iter().map(Journaled::key).collect::<Vec<_>>(),
        ["PO-11", "PO-31", "PO-61", "PO-71", "PO-101", "PO-121"]
    );

    // The same decision once more is none, and takes nothing.
    let again = store.undecided(ALL, &[]).await.unwrap();
    let mut decisions: Vec<_> = again.into_iter().map(|document| released(document, &[], leaf(99))).collect();
    decisions.iter_mut().for_each(|decision| order_in(decision).holds.clear());
    assert!(store.commit_decisions(decisions).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(usage("fraud").await, (1, 1, 100));
}

pub(crate) async fn what_a_window_reaches_is_counted_whatever_was_forgotten(maker: impl Maker) {
    let store = maker.open().await;
    let decision = kept_back(&store, 1, vec![HoldOwner::Advice(spends("fraud", 1, None))]).await;
    commit(&store, decision).await.unwrap();
    release(&store, 11, "PO-11", &[]).await;
    let (fraud, usd) = (PluginName::parse("fraud").unwrap(), Currency::parse("USD").unwrap());
    let hour_later = NOW.plus_ms(HOUR_MS);
    for (before, reached) in [(hour_later, true), (NOW.plus_ms(2 * Instant::DAY_MS), false)] {
        let (now, finished) = (before.plus_ms(1), if reached { vec![input_id(11)] } else { Vec::new() });
        store.forget(finished, before, now, leaf(if reached { 50 } else { 51 })).await.unwrap().unwrap();
        let usage = store.plugin_usage(&fraud, usd, hour_later).await.unwrap();
        assert_eq!((usage.holds > 0, usage.value_held_minor > 0), (reached, reached), "before {before}");
    }
}

pub(crate) async fn open_holds_are_counted_by_who_holds_and_why(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.open_holds(NOW).await.unwrap(), []);
    let fraud = || HoldOwner::Advice(spends("fraud", 9, None));
    for (number, owners) in [(1, vec![HoldOwner::Policy, fraud(), fraud()]), (11, vec![fraud()])] {
        let mut decision = kept_back(&store, number, owners).await;
        decision.at = NOW.plus_ms(i64::try_from(number).unwrap());
        let order = order_in(&mut decision);
        (order.state, order.queue) = (OrderState::Held, Some("fraud".to_owned()));
        commit(&store, decision).await.unwrap();
    }
    // What was released is kept back no more, whatever held it once.
    let released = kept_back(&store, 21, vec![HoldOwner::Policy]).await;
    commit(&store, released).await.unwrap();

    let row = |owner: &str, plugin: Option<&str>, count, overdue| OpenHolds {
        owner: owner.to_owned(),
        plugin: plugin.map(str::to_owned),
        reason: if owner == "policy" { "reason" } else { owner }.to_owned(),
        queue: "fraud".to_owned(),
        count,
        oldest_at: NOW.plus_ms(1),
        overdue,
    };
    for (at, overdue) in [(NOW.plus_ms(HOUR_MS - 1), 0), (NOW.plus_ms(HOUR_MS), 1)] {
        let open = store.open_holds(at).await.unwrap();
        let expected = [row("advice", Some("fraud"), 3, 3 * overdue), row("policy", None, 1, overdue)];
        assert_eq!(open, expected, "{at}");
    }
}

pub(crate) async fn what_is_about_an_order_waits_for_a_decision_that_was_not_committed(maker: impl Maker) {
    let store = maker.open().await;
    let beyond = kept_back(&store, 1, vec![HoldOwner::Advice(spends("fraud", 0, None))]).await;
    keep(&store, input(11, &["PO-1-cancelled"])).await;
    let cancelled = store.undecided(ALL, &[]).await.unwrap().pop().unwrap();
    let cancelled = about_order(cancelled, "PO-1", OrderEventKind::CancelRequested, leaf(12));
    let other = kept_back(&store, 21, Vec::new()).await;
    let committed = store.commit_decisions(vec![beyond, cancelled, other]).await.unwrap();
    assert!(matches!(committed[0], Err(StoreError::BudgetSpent { .. })), "{:?}", committed[0]);
    assert!(matches!(committed[1], Err(StoreError::OrderWaits { order }) if order == order_id("PO-1")));
    assert!(committed[2].is_ok());
    assert_eq!(leaves(&store).await.len(), 4, "three inputs and one decision");
}

pub(crate) async fn what_is_wrong_with_one_payload_is_in_its_place(maker: impl Maker) {
    let store = maker.open().await;
    let mut events = Vec::new();
    for (number, key) in [(1, "PO-1"), (11, "PO-2"), (21, "PO-3")] {
        release(&store, number, key, &[]).await;
        events.push(store.order(order_id(key)).await.unwrap().unwrap().event);
    }
    let [erased, damaged, fine] = events[..] else { unreachable!("three orders") };
    maker.harm(Harm::Erase(erased.commitment));
    maker.harm(Harm::Damage(damaged.commitment));
    let gone = store.payload(erased).await;
    assert!(matches!(gone, Err(StoreError::Erased(found)) if found == erased.commitment), "{gone:?}");
    // Another one lies in its place than the log knows it by.
    let exchanged = PayloadRef { commitment: erased.commitment, ..fine };
    let opened = store.payloads(vec![erased, fine, damaged, exchanged]).await.unwrap();
    let [Err(StoreError::Erased(_)), Ok((bytes, _)), Err(StoreError::Damaged(_)), Err(StoreError::Damaged(_))] =
        &opened[..]
    else {
        unreachable!("{opened:?}")
    };
    assert_eq!(bytes, b"event");
}

pub(crate) async fn what_is_lost_of_one_stops_no_other(maker: impl Maker) {
    let store = maker.open().await;
    release(&store, 1, "PO-1", &[("erp", "order")]).await;
    release(&store, 11, "PO-2", &[("erp", "order")]).await;
    let lost = store.order(order_id("PO-1")).await.unwrap().unwrap().event;
    let entry = input(21, &["PO-3", "PO-4"]);
    let (whole, first) = (entry.payload.sealed.commitment(), entry.documents[0].payload.sealed.commitment());
    keep(&store, entry).await;
    for commitment in [lost.commitment, whole, first] {
        maker.harm(Harm::Lose(commitment));
    }
    let documents = store.undecided(ALL, &[]).await.unwrap();
    assert!(documents[0].body().unwrap_err().contains("is missing"), "{:?}", documents[0].body());
    assert_eq!(documents[1].body(), Ok(b"body of PO-4".as_slice()));
    let permits = claim(&store, 0).await;
    let events = store.payloads(permits.iter().map(|permit| permit.event()).collect()).await.unwrap();
    assert!(matches!(&events[..], [Err(StoreError::Damaged(_)), Ok(_)]), "{events:?}");
    assert_eq!(store.kept_inputs(NOW.plus_ms(1_000), None, ALL).await.unwrap().len(), 3);
    // Whoever asks for the order itself hears of it.
    assert!(matches!(store.order(order_id("PO-1")).await, Err(StoreError::Damaged(_))));
}

pub(crate) async fn a_decision_keeps_what_its_rows_name(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let before = observe(&store).await;
    let mut decision = released(next(&store).await, &[("erp", "order")], leaf(2));
    decision.payloads.remove(0);
    let refused = commit(&store, decision).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "its event is nowhere: {refused:?}");
    assert_eq!(observe(&store).await, before);
}

pub(crate) async fn a_subject_is_found_in_everything_that_is_about_it(maker: impl Maker) {
    let store = maker.open().await;
    let entry = input(1, &["PO-1"]);
    let mut expected = vec![entry.payload.sealed.commitment(), entry.documents[0].payload.sealed.commitment()];
    keep(&store, entry).await;
    let mut decision = released(next(&store).await, &[], leaf(2));
    let order = order_in(&mut decision);
    expected.extend([order.event, order.decision]);
    commit(&store, decision).await.unwrap();
    let mut other = input(3, &["PO-2"]);
    other.payload = sealed(b"somebody else's", Some(Digest::of(b"somebody else")));
    keep(&store, other).await;
    let found = store.payloads_about(Digest::of(b"customer")).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|kept| kept.commitment).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(store.payloads_about(Digest::of(b"nobody")).await.unwrap().is_empty());
    release(&store, 5, "PO-3", &[]).await;
}
