//! Orders that are kept back, on their whole road: who asked for one hears once that it is, and what
//! becomes of it.

use portreeve::standins::Mischief;
use portreeve::standins::partner::Partner;
use portreeve_model::reference::FieldValue;
use portreeve_model::{ExceptionAction, ExceptionKind, OrderId, ProcessState};
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::review::Reviewed;
use portreeve_record::LeafBody;
use portreeve_store::contract::OrderState;

use crate::interchanges::{agreed, to_customers};
use crate::kept_back::{change, dear};
use crate::later::with_purpose;
use crate::support::{PurchaseOrder, Setup, TestHost, exceptions, x12};

async fn sent(host: &TestHost, control: u32, order: &PurchaseOrder) -> OrderId {
    host.send_edi(&x12(control, order)).await.unwrap();
    host.decide_all().await;
    host.order(&order.number).await.id
}

/// An order that a rule of the host keeps back.
async fn held(host: &TestHost, control: u32, number: &str) -> OrderId {
    let order = sent(host, control, &dear(number)).await;
    assert_eq!(host.order(number).await.state, OrderState::Held);
    order
}

/// A person releases all that keeps it back.
async fn release(host: &TestHost, order: OrderId) -> Reviewed {
    let holds = host.store.order_trail(order).await.unwrap().unwrap().holds;
    let open: Vec<u64> = holds.iter().filter(|hold| hold.closed.is_none()).map(|hold| hold.number).collect();
    exceptions::release(host, &host.ops().await, order, &open).await.unwrap()
}

async fn reject(host: &TestHost, order: OrderId, kind: ExceptionKind) {
    let exception = exceptions::about(host, order, kind).await.unwrap();
    exceptions::decide(host, &host.ops().await, exception, ExceptionAction::Reject).await.unwrap();
}

/// What goes to a target of an order, whether it is the order itself, and where it stands.
async fn goes(host: &TestHost, number: &str, target: &str) -> Vec<(String, bool, String)> {
    let deliveries = host.order(number).await.deliveries.into_iter().filter(|delivery| delivery.target == target);
    deliveries.map(|delivery| (delivery.kind, delivery.said.is_none(), delivery.state)).collect()
}

fn row(kind: &str, is_order: bool, state: &str) -> (String, bool, String) {
    (kind.to_owned(), is_order, state.to_owned())
}

// --- who hears of it ---

const TELLS: &str = "
[[effect]]
on = \"order.held\"
channels = [\"edi\"]
target = \"customers\"
kind = \"x12/855-held\"

[[effect]]
on = \"order.rejected\"
channels = [\"edi\"]
target = \"customers\"
kind = \"x12/855\"
";

/// What a customer hears of an order: BAK02 of each 855.
fn answers(partner: &Partner, number: &str) -> Vec<String> {
    let ledger = partner.ledger();
    let own = ledger.iter().filter(|entry| entry.set == "855" && entry.element("BAK", 3) == number);
    own.map(|entry| entry.element("BAK", 2).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_hears_once_that_an_order_is_held_and_then_what_becomes_of_it() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let setup = to_customers(Setup::demo().scorers(&[]), &partner.origin(), &agreed(&partner.origin(), ""));
    let host = setup.append("portreeve.toml", TELLS).start().await;
    let order = held(&host, 1, "PO-1").await;
    assert_eq!(goes(&host, "PO-1", "customers").await, [row("x12/855-held", false, "pending")]);
    let host = host.restart().await;
    host.come_to_rest().await;
    assert_eq!(answers(&partner, "PO-1"), ["AH"]);
    assert_eq!(host.process_state(order).await, None, "nobody has it");

    // Another rule takes the place of the first: it waits as before, and nobody hears of that.
    change(&host, "customer", "C-1201", "blocked", FieldValue::Flag(true)).await;
    let reviewed = release(&host, order).await;
    assert_eq!((reviewed.state, reviewed.opened), (OrderState::Held, vec!["customer-blocked".to_owned()]));
    host.come_to_rest().await;
    assert_eq!(answers(&partner, "PO-1"), ["AH"]);
    change(&host, "customer", "C-1201", "blocked", FieldValue::Flag(false)).await;
    assert_eq!(host.host.pipeline.clear_holds(|| false).await.unwrap().released, 1);
    host.come_to_rest().await;
    assert_eq!(answers(&partner, "PO-1"), ["AH", "AK"]);
    assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted));
    let again = host.rederive(order).await.unwrap();
    assert!(matches!(again, Rederived::Same(_)), "{again:?}");

    // One that people reject before anything left hears both, in that order; one that goes at once
    // hears of no hold.
    let rejected = held(&host, 2, "PO-2").await;
    reject(&host, rejected, ExceptionKind::Held).await;
    let clean = PurchaseOrder::clean("PO-3").with_lines(&[("FST-1007", 10, "BX", "18.40")]);
    sent(&host, 3, &clean).await;
    host.come_to_rest().await;
    assert_eq!(
        (answers(&partner, "PO-2"), answers(&partner, "PO-3")),
        (vec!["AH".into(), "RJ".into()], vec!["AK".into()])
    );
    assert_eq!((host.order("PO-2").await.state, host.codes().await), (OrderState::Refused, vec![]));
    assert_eq!(partner.faults(), Vec::<String>::new());
    host.verify().await.unwrap();

    // The log says of which held orders somebody hears.
    let leaves = host.leaves().await;
    let told: Vec<bool> = leaves
        .iter()
        .filter_map(|leaf| match &leaf.body {
            LeafBody::Decide(decide) if decide.order.is_some() => Some(decide.told),
            _ => None,
        })
        .collect();
    assert_eq!(told, [true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_sender_does_not_want_it_any_more_is_told_of_no_hold() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let setup = to_customers(Setup::demo().scorers(&[]), &partner.origin(), &agreed(&partner.origin(), ""));
    let host = setup.append("portreeve.toml", TELLS).start().await;
    host.send_edi(&with_purpose(1, &dear("PO-1"), "01")).await.unwrap();
    host.decide_all().await;
    held(&host, 2, "PO-1").await;
    host.come_to_rest().await;
    let told = goes(&host, "PO-1", "customers").await;
    assert!(told.is_empty(), "{told:?}");
    host.verify().await.unwrap();
}
