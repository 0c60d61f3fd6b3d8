//! What is kept back ends by a person's word or when the host's own cause is gone, escalates
//! when nobody looks, and is never released by time.

use portreeve_model::reference::{Field, FieldValue, Row};
use portreeve_model::value::Decimal;
use portreeve_model::{Currency, Digest, ExceptionAction, ExceptionKind, Instant};
use portreeve_pipeline::Clock;
use portreeve_pipeline::exception::{Decision, ExceptionError};
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::review::{ReviewRecord, Reviewed};
use portreeve_record::leaf::{Code, DecidedState, ReferenceLeaf, ReviewLeaf};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::StoreError;
use portreeve_store::contract::{HoldView, OrderState, OrderTrail};

use crate::authority::obedient;
use crate::faults::{Fault, FaultyStore};
use crate::later::with_purpose;
use crate::support::{MORNING, PurchaseOrder, Setup, TestHost, exceptions, x12};

const WHO: &str = "ops";

/// Replaces a reference table.
pub(crate) async fn load(host: &TestHost, table: &str, rows: Vec<(String, Row)>) {
    let version = host.store.reference(table).await.unwrap().map_or(1, |(version, _)| version + 1);
    let digest = Digest::of(format!("{table} {version}").as_bytes());
    let body = ReferenceLeaf { table: Code::of(table), version, digest, rows: rows.len() as u64, who: None };
    let leaf = Leaf::new("quay-1", host.clock.now(), LeafBody::Reference(body)).unwrap();
    host.store.load_reference(table, rows, leaf).await.unwrap();
}

/// The rows of a table, with one of them changed.
pub(crate) async fn change(host: &TestHost, table: &str, key: &str, column: &str, value: FieldValue) {
    let (_, mut rows) = host.store.reference(table).await.unwrap().unwrap();
    let (_, row) = rows.iter_mut().find(|(of, _)| of == key).unwrap();
    row.0.retain(|field| field.name != column);
    row.0.push(Field { name: column.to_owned(), value });
    load(host, table, rows).await;
}

/// One line, priced too high by more than the tolerance.
pub(crate) fn dear(number: &str) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", 10, "BX", "20.00")])
}

async fn trail(host: &TestHost, number: &str) -> OrderTrail {
    host.store.order_trail(host.order(number).await.id).await.unwrap().unwrap()
}

async fn open(host: &TestHost, number: &str) -> Vec<HoldView> {
    trail(host, number).await.holds.into_iter().filter(|hold| hold.closed.is_none()).collect()
}

async fn reasons(host: &TestHost, number: &str) -> Vec<String> {
    open(host, number).await.into_iter().map(|hold| hold.reason).collect()
}

async fn release(host: &TestHost, number: &str, holds: &[u64]) -> Result<Reviewed, ExceptionError> {
    let order = host.order(number).await.id;
    exceptions::release(host, &host.ops().await, order, holds).await
}

/// Releases the open holds with these reasons.
async fn release_those(host: &TestHost, number: &str, reasons: &[&str]) -> Reviewed {
    let open = open(host, number).await;
    let named = open.iter().filter(|hold| reasons.contains(&hold.reason.as_str())).map(|hold| hold.number);
    release(host, number, &named.collect::<Vec<_>>()).await.unwrap()
}

async fn clear(host: &TestHost) -> (u64, u64) {
    let cleared = host.host.pipeline.clear_holds(|| false).await.unwrap();
    (cleared.orders, cleared.released)
}

async fn escalate(host: &TestHost) -> u64 {
    host.host.pipeline.escalate_due(|| false).await.unwrap().escalated
}

async fn reviews(host: &TestHost) -> Vec<ReviewLeaf> {
    let bodies = host.leaves().await.into_iter().map(|leaf| leaf.body);
    bodies.filter_map(|body| if let LeafBody::Review(review) = body { Some(review) } else { None }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_releases_is_delivered_and_on_record_with_who_and_why() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1")]).await;
    let hold = open(&host, "PO-1").await.remove(0);
    assert_eq!((hold.reason.as_str(), hold.lines.as_slice()), ("price-out-of-tolerance", ["1".to_owned()].as_slice()));

    let reviewed = release(&host, "PO-1", &[hold.number]).await.unwrap();
    assert_eq!((reviewed.state, reviewed.closed, reviewed.opened.len()), (OrderState::Released, vec![hold.number], 0));
    host.deliver_all().await;
    let order = host.order("PO-1").await;
    assert_eq!((order.state, order.deliveries[0].state.as_str()), (OrderState::Released, "delivered"));
    assert_eq!(order.why, format!("released by {WHO}"));

    let trail = trail(&host, "PO-1").await;
    assert_eq!(trail.holds[0].closed.as_ref().unwrap().who.as_deref(), Some(WHO));
    let record = ReviewRecord::parse(&host.store.payload(trail.reviews[0].record).await.unwrap()).unwrap();
    assert_eq!((record.who.as_deref(), record.reason.as_deref()), (Some(WHO), Some("the buyer called")));
    assert!(record.findings[0].quiet, "what was released is found again, and let pass: {record:?}");
    let leaf = reviews(&host).await.remove(0);
    assert_eq!((leaf.order, leaf.state, leaf.who.unwrap().as_str()), (order.id, DecidedState::Released, WHO));
    assert_eq!(leaf.closed.shown()[0].reason.as_str(), "price-out-of-tolerance");
    assert_eq!(leaf.review, trail.reviews[0].record.commitment);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_by_now_keeps_an_order_back_that_a_person_releases() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1")]).await;
    change(&host, "customer", "C-1201", "blocked", FieldValue::Flag(true)).await;
    let reviewed = release_those(&host, "PO-1", &["price-out-of-tolerance"]).await;
    assert_eq!((reviewed.state, reviewed.opened), (OrderState::Held, vec!["customer-blocked".to_owned()]));
    let order = host.order("PO-1").await;
    assert_eq!((order.queue.as_deref(), order.deliveries.len()), (Some("credit"), 0), "{}", order.why);
    // The price was released a moment ago, and stays quiet: the second word is the last.
    let reviewed = release_those(&host, "PO-1", &["customer-blocked"]).await;
    assert_eq!((reviewed.state, reviewed.opened.len()), (OrderState::Released, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_speaks_again_when_its_grace_is_over() {
    for (minutes, expected) in [(1_439, vec![]), (1_440, vec!["price-out-of-tolerance".to_owned()])] {
        let setup = obedient().replace("rules.toml", "hold_minutes = 1440", "hold_minutes = 9000");
        let host = setup.start().await;
        let both = PurchaseOrder { number: "HOLD-1".to_owned(), ..dear("") };
        host.decide_orders(&[both]).await;
        assert_eq!(open(&host, "HOLD-1").await.len(), 2, "a rule and a model hold it");
        let reviewed = release_those(&host, "HOLD-1", &["price-out-of-tolerance"]).await;
        assert_eq!(reviewed.state, OrderState::Held, "the model's hold is left: {}", reviewed.why);
        host.clock.advance_to(host.clock.now().plus_ms(minutes * Instant::MINUTE_MS));
        let left = open(&host, "HOLD-1").await.remove(0);
        let reviewed = release(&host, "HOLD-1", &[left.number]).await.unwrap();
        assert_eq!(reviewed.opened, expected, "after {minutes} minutes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_clears_its_own_hold_when_the_cause_is_gone_and_never_a_models() {
    let host = obedient().start().await;
    let blocked = PurchaseOrder::clean("PO-1").of_customer("C1290");
    let by_model = PurchaseOrder { number: "HOLD-2".to_owned(), ..PurchaseOrder::clean("").of_customer("C1290") };
    host.decide_orders(&[blocked, by_model, PurchaseOrder::clean("ROUTE-3")]).await;
    assert_eq!(clear(&host).await, (0, 0), "its cause is there");
    change(&host, "customer", "C-1290", "blocked", FieldValue::Flag(false)).await;
    assert_eq!(clear(&host).await, (2, 1));
    assert_eq!(clear(&host).await, (0, 0), "nothing is left to clear");
    host.deliver_all().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
    let order = host.order("HOLD-2").await;
    assert_eq!((order.state, open(&host, "HOLD-2").await[0].owner.as_str()), (OrderState::Held, "advice"));
    assert_eq!(host.order("ROUTE-3").await.state, OrderState::Routed);
    assert!(reviews(&host).await.iter().all(|review| review.who.is_none()));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_looked_at_escalates_once_and_still_holds() {
    let host = obedient().start().await;
    host.decide_orders(&[dear("PO-1"), PurchaseOrder::clean("HOLD-2"), PurchaseOrder::clean("PO-3")]).await;
    let mut due: Vec<Instant> =
        exceptions::waiting(&host).await.into_iter().map(|waits| waits.due_at.unwrap()).collect();
    due.sort_unstable();
    assert!(due[1] <= open(&host, "PO-1").await[0].expires_at, "no later than the hold says");
    for due in due {
        host.clock.advance_to(due.plus_ms(-1));
        assert_eq!(escalate(&host).await, 0, "not before it is due");
        host.clock.advance_to(due);
        assert_eq!((escalate(&host).await, escalate(&host).await), (1, 0));
    }
    let host = host.restart().await;
    assert_eq!(escalate(&host).await, 0, "it is on record");
    for number in ["PO-1", "HOLD-2"] {
        let order = host.order(number).await;
        assert_eq!((order.state, order.deliveries.len()), (OrderState::Held, 0), "time releases nothing");
        let exception = exceptions::about(&host, order.id, ExceptionKind::Held).await.unwrap();
        let found = host.store.exception(exception).await.unwrap().unwrap().exception;
        assert!(found.escalated_at.is_some());
        assert_eq!((found.queue.as_str(), order.queue.as_deref()), ("order-desk", Some("order-desk")));
        assert!(found.detail.len() > 20, "with what was found: {}", found.detail);
    }
    release_those(&host, "PO-1", &["price-out-of-tolerance"]).await;
    assert_eq!(exceptions::waiting(&host).await.len(), 1, "the one whose order went is closed");
    let escalations = host.leaves().await.into_iter().filter(|leaf| matches!(leaf.body, LeafBody::Escalation(_)));
    assert_eq!(escalations.count(), 2);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_due_and_whose_cause_is_gone_ends_and_nobody_is_called() {
    let host = TestHost::demo().await;
    let blocked = |number: &str| PurchaseOrder::clean(number).of_customer("C1290");
    host.decide_orders(&[blocked("PO-1"), PurchaseOrder { number: "PO-2".to_owned(), ..dear("") }]).await;
    change(&host, "customer", "C-1290", "blocked", FieldValue::Flag(false)).await;
    host.clock.advance_to(open(&host, "PO-2").await[0].expires_at);
    assert_eq!(escalate(&host).await, 1, "the one that still has its cause");
    assert_eq!(host.order("PO-1").await.state, OrderState::Released);
    let told = exceptions::waiting(&host).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].code == "price-out-of-tolerance" && told[0].escalated_at.is_some(), "{told:?}");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_cannot_be_says_why_and_changes_nothing() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1"), PurchaseOrder::clean("PO-2"), dear("PO-3")]).await;
    host.send_edi(&with_purpose(7, &dear("PO-3"), "01")).await.unwrap();
    host.decide_all().await;
    let cancelled = open(&host, "PO-3").await.into_iter().find(|hold| hold.reason == "cancel-requested").unwrap();
    let [mine, others] = [open(&host, "PO-1").await[0].number, open(&host, "PO-3").await[0].number];
    for (number, holds, why) in [
        ("PO-1", vec![], "no hold was named"),
        ("PO-1", vec![mine, others], "does not keep order PO-1 back; these do: 1. "),
        ("PO-3", vec![cancelled.number], "cancel order PO-3, which no release overrides"),
    ] {
        let refused = release(&host, number, &holds).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{number}: {refused}");
    }
    let who = host.ops().await;
    let exception = exceptions::about(&host, host.order("PO-1").await.id, ExceptionKind::Held).await.unwrap();
    for reason in ["", " \n", &"x".repeat(1_001)] {
        let decision = exceptions::decision(&host, exception, ExceptionAction::ReleaseHolds).await;
        let decision = Decision { holds: &[mine], reason, ..decision };
        let refused = host.host.pipeline.decide_exception(&who, decision).await.unwrap_err();
        assert!(matches!(refused, ExceptionError::Words { .. }), "{refused}");
    }
    // The other hold of a cancelled order may end; the order goes nowhere.
    let reviewed = release_those(&host, "PO-3", &["price-out-of-tolerance"]).await;
    let again = release(&host, "PO-3", &[others]).await.unwrap_err().to_string();
    let ended = format!("hold {others} does not keep order PO-3 back: {WHO} released it {}; ", host.clock.now());
    assert!(again.starts_with(&ended), "{again}");
    assert_eq!((reviewed.state, reasons(&host, "PO-3").await), (OrderState::Held, vec!["cancel-requested".to_owned()]));
    assert_eq!(clear(&host).await, (0, 0), "what the sender wants cancelled is no cause that goes");
    release(&host, "PO-1", &[mine]).await.unwrap();
    let again = exceptions::decide(&host, &who, exception, ExceptionAction::ReleaseHolds).await.unwrap_err();
    assert_eq!(again.to_string(), format!("exception {exception} is closed already: release-holds by `{WHO}`"));
    assert_eq!(reviews(&host).await.len(), 2);
    host.deliver_all().await;
    assert_eq!(host.order("PO-3").await.deliveries.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_release_one_hold_at_once_one_does() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1")]).await;
    let hold = [open(&host, "PO-1").await[0].number];
    host.ops().await;
    let exception = exceptions::about(&host, host.order("PO-1").await.id, ExceptionKind::Held).await.unwrap();
    let who = host.ops().await;
    let decision = exceptions::decision(&host, exception, ExceptionAction::ReleaseHolds).await;
    let decision = Decision { holds: &hold, ..decision };
    let pipeline = &host.host.pipeline;
    let (one, other) =
        tokio::join!(pipeline.decide_exception(&who, decision), pipeline.decide_exception(&who, decision));
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|done| **done).count(), 1, "{one:?} {other:?}");
    host.deliver_all().await;
    assert_eq!((reviews(&host).await.len(), host.order("PO-1").await.deliveries[0].attempts), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_commit_fails_is_whole_or_was_not() {
    for (fault, persisted) in [(Fault::NotPersisted, false), (Fault::PersistedButFailed, true)] {
        let host = TestHost::demo().await;
        host.decide_orders(&[dear("PO-1")]).await;
        let hold = [open(&host, "PO-1").await[0].number];
        let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "commit_review", fault, 0)).await;
        assert!(matches!(
            release(&host, "PO-1", &hold).await,
            Err(ExceptionError::Review(_) | ExceptionError::Store(_))
        ));
        let host = host.restart().await;
        assert_eq!(host.order("PO-1").await.state == OrderState::Released, persisted);
        assert_eq!(release(&host, "PO-1", &hold).await.is_ok(), !persisted, "whoever is unsure looks again");
        host.deliver_all().await;
        assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
        assert_eq!(reviews(&host).await.len(), 1);
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_failed_goes_when_a_person_answers_for_all_of_it() {
    let host = Setup::demo().plugin("trap", "{}").scorers(&["trap"]).start().await;
    let two =
        PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "20.00"), ("FST-1007", 1, "BX", "21.00")]);
    host.decide_orders(&[two]).await;
    assert_eq!(host.order("PO-1").await.state, OrderState::Exception);
    let holds: Vec<u64> = open(&host, "PO-1").await.into_iter().map(|hold| hold.number).collect();
    assert_eq!(holds.len(), 2);
    let reviewed = release(&host, "PO-1", &holds[..1]).await.unwrap();
    assert_eq!((reviewed.state, open(&host, "PO-1").await.len()), (OrderState::Exception, 1));
    assert_eq!(clear(&host).await, (0, 0), "the host answers for no failure");
    let reviewed = release(&host, "PO-1", &holds[1..]).await.unwrap();
    assert_eq!(reviewed.state, OrderState::Released);
    host.deliver_all().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
    host.verify().await.unwrap();
}

// --- credit ------------------------------------------------------------------------------------

pub(crate) fn with_credit() -> Setup {
    Setup::demo().with_credit().replace("rules.toml", "data_age_minutes_max = 525600", "data_age_minutes_max = 120")
}

/// 184.00 USD each.
fn orders(count: u32) -> Vec<PurchaseOrder> {
    (1..=count)
        .map(|n| PurchaseOrder::clean(&format!("PO-{n}")).with_lines(&[("FST-1007", 10, "BX", "18.40")]))
        .collect()
}

/// What finance says of an account as of now: the limit and what is owed.
async fn figures(host: &TestHost, account: &str, limit: &str, owed: &str) {
    let minor = |major: &str| portreeve_model::Money::from_major(major, usd()).unwrap().minor;
    load(host, "credit", vec![credit_row(account, minor(limit), minor(owed), host.clock.now())]).await;
}

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// The row of an account in US dollars.
pub(crate) fn credit_row(account: &str, limit_minor: i64, owed_minor: i64, as_of: Instant) -> (String, Row) {
    let text = |name: &str, value: &str| Field { name: name.to_owned(), value: FieldValue::Text(value.to_owned()) };
    let amount = |name: &str, minor: i64| Field {
        name: name.to_owned(),
        value: FieldValue::Number(Decimal { units: minor, scale: 2 }),
    };
    let row = Row(vec![
        text("currency", "USD"),
        amount("limit", limit_minor),
        amount("receivables", owed_minor),
        amount("shipped-not-invoiced", 0),
        amount("released-not-shipped", 0),
        amount("unapplied-cash", 0),
        Field { name: "overdue-days".to_owned(), value: FieldValue::Whole(0) },
        text("as-of", &as_of.to_string()),
    ]);
    (account.to_owned(), row)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_orders_at_once_do_not_all_pass_the_limit_and_a_payment_lets_others_go() {
    let host = with_credit().start().await;
    // Room for three of them, and a cent less than for a fourth.
    figures(&host, "C-1201", "1000.00", "264.01").await;
    for (control, order) in (1..).zip(&orders(10)) {
        host.send_edi(&x12(control, order)).await.unwrap();
    }
    host.decide_all().await;
    assert_eq!((host.count(OrderState::Released).await, host.count(OrderState::Held).await), (3, 7));
    assert_eq!(reasons(&host, "PO-4").await, ["credit-limit"]);
    let why = host.order("PO-4").await.why;
    let as_of = host.clock.now();
    let parts = format!(
        "an exposure of 1000.01 USD on account `C-1201` (invoiced and not paid 264.01 USD, shipped and not invoiced 0.00 USD, \
         released and not shipped 0.00 USD, released here since 552.00 USD, this order 184.00 USD, less unapplied cash 0.00 USD; \
         figures of {as_of}), expected 1000.00 USD or less, its limit"
    );
    assert!(why.contains(&parts), "{why}");
    assert_eq!(clear(&host).await, (0, 0), "nothing was paid");
    host.deliver_all().await;
    assert_eq!(clear(&host).await, (0, 0), "what the ERP has is still owed");

    // Everything is paid, and the three that were delivered are in the figures by now.
    host.clock.advance_to(host.clock.now().plus_ms(10 * Instant::MINUTE_MS));
    figures(&host, "C-1201", "1000.00", "552.00").await;
    assert_eq!(clear(&host).await, (2, 2), "448.00 are left, and two of them fit");
    host.deliver_all().await;
    assert_eq!(host.count(OrderState::Released).await, 5);
    let order = host.order("PO-4").await;
    assert_eq!(order.why, "released, since what held it is gone");
    host.verify().await.unwrap();
    for order in host.orders().await {
        assert!(matches!(host.rederive(order.id).await.unwrap(), Rederived::Same(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_of_one_account_share_its_limit() {
    let host = with_credit().start().await;
    figures(&host, "GROUP", "300.00", "0").await;
    for customer in ["C-1201", "C-1202"] {
        change(&host, "customer", customer, "credit-account", FieldValue::Text("GROUP".to_owned())).await;
    }
    let [one, other] = [orders(2).remove(0), orders(2).remove(1).of_customer("C1202")];
    host.decide_orders(&[one, other]).await;
    assert_eq!(
        (host.order("PO-1").await.state, reasons(&host, "PO-2").await.as_slice()),
        (OrderState::Released, ["credit-limit".to_owned()].as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_figures_hold_until_new_ones_come() {
    let host = with_credit().start().await;
    figures(&host, "C-1201", "1000.00", "0").await;
    host.clock.advance_to(host.clock.now().plus_ms(121 * Instant::MINUTE_MS));
    host.decide_orders(&orders(1)).await;
    assert_eq!(reasons(&host, "PO-1").await, ["credit-data-not-current"]);
    figures(&host, "C-1201", "1000.00", "0").await;
    assert_eq!(clear(&host).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_pass_the_limit_and_everybody_after_pays_for_it() {
    let host = with_credit().start().await;
    figures(&host, "C-1201", "200.00", "100.00").await;
    host.decide_orders(&orders(2)).await;
    assert_eq!(host.count(OrderState::Held).await, 2);
    let reviewed = release_those(&host, "PO-1", &["credit-limit"]).await;
    assert_eq!(reviewed.state, OrderState::Released);
    // With 284.00 of 400.00 used up, of which figures know 100.00, there is no room for a second.
    figures(&host, "C-1201", "400.00", "100.00").await;
    assert_eq!(clear(&host).await, (0, 0));
    figures(&host, "C-1201", "468.00", "100.00").await;
    assert_eq!(clear(&host).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_row_is_gone_releases_nothing_that_its_limit_held() {
    let host = with_credit().start().await;
    figures(&host, "C-1201", "1.00", "0").await;
    host.decide_orders(&orders(2)).await;
    assert_eq!(host.count(OrderState::Held).await, 2);
    // Finance's file was cut off, and who has no account pays at once.
    figures(&host, "C-9999", "1.00", "0").await;
    assert_eq!(clear(&host).await, (0, 0));
    // What a person lets go counts all the same, for when the row is there again.
    assert_eq!(release_those(&host, "PO-1", &["credit-limit"]).await.state, OrderState::Released);
    figures(&host, "C-1201", "300.00", "0").await;
    assert_eq!(clear(&host).await, (0, 0), "184.00 are out, and 184.00 more do not fit");
    figures(&host, "C-1201", "368.00", "0").await;
    assert_eq!(clear(&host).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_does_not_pass_a_limit_that_a_person_let_pass_a_little_while_ago() {
    let host = with_credit().start().await;
    figures(&host, "C-1201", "1.00", "0").await;
    host.decide_orders(&[dear("PO-1")]).await;
    let reviewed = release_those(&host, "PO-1", &["credit-limit"]).await;
    assert_eq!(
        (reviewed.state, reasons(&host, "PO-1").await),
        (OrderState::Held, vec!["price-out-of-tolerance".to_owned()])
    );
    change(&host, "item", "FST-1007", "list-price", FieldValue::Number(Decimal::parse("20.00").unwrap())).await;
    assert_eq!(clear(&host).await, (1, 0));
    assert_eq!(reasons(&host, "PO-1").await, ["credit-limit"], "a person's word was about that release");
    let hold = &open(&host, "PO-1").await[0];
    let before = trail(&host, "PO-1").await.holds.iter().map(|hold| hold.expires_at).min().unwrap();
    assert_eq!(hold.expires_at, before, "nobody has looked at it since it came");
    assert_eq!(release_those(&host, "PO-1", &["credit-limit"]).await.state, OrderState::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_sender_changed_is_not_released_as_it_came_first_but_by_a_person() {
    let host = TestHost::demo().await;
    let blocked =
        |boxes| PurchaseOrder::clean("PO-1").of_customer("C1290").with_lines(&[("FST-1007", boxes, "BX", "18.40")]);
    host.decide_orders(&[blocked(10)]).await;
    host.send_edi(&with_purpose(7, &blocked(8), "05")).await.unwrap();
    host.decide_all().await;
    change(&host, "customer", "C-1290", "blocked", FieldValue::Flag(false)).await;
    assert_eq!(clear(&host).await, (0, 0));
    assert_eq!(release_those(&host, "PO-1", &["customer-blocked"]).await.state, OrderState::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_somebody_changed_behind_the_hosts_back_is_found() {
    for change in [
        "UPDATE order_review SET who = 'alice'; UPDATE hold SET closed_by = 'alice'",
        "DELETE FROM order_review",
        "UPDATE order_review SET record = (SELECT decision FROM orders)",
    ] {
        let host = TestHost::demo().await;
        host.decide_orders(&[dear("PO-1")]).await;
        release_those(&host, "PO-1", &["price-out-of-tolerance"]).await;
        let order = host.order("PO-1").await.id;
        assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(compared) if compared.reviews == 1));
        let stopped = host.stop().await;
        let store = rusqlite::Connection::open(stopped.folder().join("data/store/portreeve.db")).unwrap();
        store.execute_batch(change).unwrap();
        drop(store);
        let host = stopped.start_at(MORNING).await;
        let found = host.rederive(order).await.unwrap();
        assert!(matches!(found, Rederived::Different(_)), "{change}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_or_given_up_gives_its_credit_back() {
    let host = with_credit().start().await;
    figures(&host, "C-1201", "200.00", "0").await;
    host.decide_orders(&orders(2)).await;
    assert_eq!(reasons(&host, "PO-2").await, ["credit-limit"]);
    host.send_edi(&with_purpose(7, &orders(1)[0], "01")).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.order("PO-1").await.state, OrderState::Held, "it had not left yet");
    assert_eq!(clear(&host).await, (1, 1));
    assert_eq!(host.order("PO-2").await.state, OrderState::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_at_once_share_what_is_left_of_the_credit() {
    let host = with_credit().start().await;
    figures(&host, "C-1201", "1.00", "0").await;
    host.decide_orders(&orders(2)).await;
    figures(&host, "C-1201", "200.00", "0").await;
    let pipeline = &host.host.pipeline;
    let (one, other) = tokio::join!(pipeline.clear_holds(|| false), pipeline.clear_holds(|| false));
    assert_eq!(one.unwrap().released + other.unwrap().released, 1);
    assert_eq!(host.count(OrderState::Held).await, 1);
    let taken = StoreError::CreditSpent.to_string();
    assert!(taken.contains("decided again"), "{taken}");
}
