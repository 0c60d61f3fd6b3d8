//! Orders that their customer wants otherwise by an 860, on their whole road: what people accepted is
//! what they are counted by from then on, and what they cannot have carried out they cannot accept.

use portreeve::standins::partner::{Purpose, interchange};
use portreeve_model::{ExceptionAction, ExceptionKind, OrderId, ProcessState};
use portreeve_pipeline::rederive::Rederived;
use portreeve_record::LeafBody;
use portreeve_record::leaf::DecidedState;
use portreeve_store::contract::{EventOutcome, OrderEventKind, OrderState};
use serde_json::Value;

use crate::process::{accepted, confirmed, invoice, paid, released, shipment, ten, told, with_systems};
use crate::support::{PurchaseOrder, Setup, TestHost, exceptions, x12};

const BOX_MINOR: i64 = 1_840;

/// A host that takes changes from its EDI customers.
pub(crate) fn with_changes(setup: Setup) -> Setup {
    let read = "documents = { \"x12/850\" = \"x12-orders\", \"x12/860\" = \"x12-orders\" }";
    let settings = "settings = { currency = \"USD\"";
    setup.replace("portreeve.toml", "documents = { \"x12/850\" = \"x12-orders\" }", read).replace(
        "portreeve.toml",
        settings,
        &format!("{settings}, sets = \"850,860\""),
    )
}

fn setup() -> Setup {
    with_systems(with_changes(Setup::demo()))
}

async fn host() -> TestHost {
    setup().start().await
}

fn boxes(number: &str, count: u32) -> PurchaseOrder {
    ten(number).with_lines(&[("FST-1007", count, "BX", "18.40")])
}

/// The customer asks for so many boxes instead.
async fn ask(host: &TestHost, sequence: u32, number: &str, count: u32) {
    ask_for(host, sequence, boxes(number, count)).await;
}

/// The customer asks for this instead.
pub(crate) async fn ask_for(host: &TestHost, sequence: u32, wanted: PurchaseOrder) {
    let change = interchange(100 + sequence, Purpose::Change(sequence), &[wanted]);
    assert_eq!(host.send_edi(&change).await.unwrap().reply.status, 200);
    host.decide_all().await;
}

pub(crate) async fn answer(host: &TestHost, order: OrderId, action: ExceptionAction) -> Result<(), String> {
    let Some(exception) = exceptions::about(host, order, ExceptionKind::Change).await else {
        let events = outcomes(host, order).await;
        panic!("no change to decide on: {events:?}, {:?}", host.codes().await)
    };
    let decided = exceptions::decide(host, &host.ops().await, exception, action).await;
    decided.map(drop).map_err(|error| error.to_string())
}

/// The customer asks, and people carry it out.
async fn agree(host: &TestHost, order: OrderId, sequence: u32, number: &str, count: u32) {
    ask(host, sequence, number, count).await;
    answer(host, order, ExceptionAction::AcceptChange).await.unwrap();
}

async fn state(host: &TestHost, order: OrderId) -> Option<ProcessState> {
    host.process_state(order).await
}

async fn say(host: &TestHost, events: &[Value], expected: ProcessState, order: OrderId) {
    told(host, events).await;
    assert_eq!((state(host, order).await, host.codes().await), (Some(expected), vec![]), "after {events:?}");
}

/// What came about an order, and what became of it.
async fn outcomes(host: &TestHost, order: OrderId) -> Vec<(OrderEventKind, EventOutcome)> {
    let events = host.store.order_trail(order).await.unwrap().unwrap().events;
    events.into_iter().map(|event| (event.kind, event.outcome)).collect()
}

async fn follows_again(host: &TestHost, order: OrderId, events: usize) {
    let again = host.rederive(order).await.unwrap();
    assert!(matches!(&again, Rederived::Same(compared) if compared.events == events), "{again:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_whose_line_was_raised_ships_in_full_and_nobody_has_to_look() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    say(&host, &[accepted(order), confirmed(order, "S-1", 6)], ProcessState::PartShipped, order).await;
    agree(&host, order, 1, "PO-1", 15).await;
    // What is said after they agreed is decided after it, also where both are decided together.
    say(&host, &[confirmed(order, "S-2", 9)], ProcessState::Shipped, order).await;
    say(&host, &[invoice(order, "I-1", 15)], ProcessState::Invoiced, order).await;
    say(&host, &[paid(order, "P-1", "I-1", 15 * BOX_MINOR)], ProcessState::Settled, order).await;
    use EventOutcome::{Applied, Noted};
    let said = outcomes(&host, order).await;
    let of_changes = said.iter().filter(|(kind, _)| *kind == OrderEventKind::Changed);
    let of_changes: Vec<EventOutcome> = of_changes.map(|(_, outcome)| *outcome).collect();
    assert_eq!((of_changes, said.len()), (vec![Noted, Applied], 7));
    // On record as any step of the order is.
    let leaves = host.leaves().await.into_iter().filter(|leaf| {
        matches!(&leaf.body, LeafBody::Decide(decide) if decide.about == Some(order) && decide.state == DecidedState::Applied)
    });
    assert_eq!(leaves.count(), 6);
    follows_again(&host, order, 6).await;
    told(&host, &[confirmed(order, "S-3", 1)]).await;
    assert_eq!(host.codes().await, ["more-than-left"]);
}

#[tokio::test]
async fn an_order_whose_line_was_lowered_is_shipped_when_that_has_left() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    say(&host, &[accepted(order), confirmed(order, "S-1", 4)], ProcessState::PartShipped, order).await;
    agree(&host, order, 1, "PO-1", 7).await;
    let host = host.restart().await;
    say(&host, &[confirmed(order, "S-2", 3)], ProcessState::Shipped, order).await;
    say(&host, &[invoice(order, "I-1", 7)], ProcessState::Invoiced, order).await;
    say(&host, &[paid(order, "P-1", "I-1", 7 * BOX_MINOR)], ProcessState::Settled, order).await;
    follows_again(&host, order, 6).await;

    // What was refused changes nothing; and of two that were accepted the last one counts.
    let order = released(&host, "PO-2").await;
    say(&host, &[accepted(order)], ProcessState::Accepted, order).await;
    agree(&host, order, 2, "PO-2", 12).await;
    agree(&host, order, 3, "PO-2", 8).await;
    ask(&host, 4, "PO-2", 20).await;
    answer(&host, order, ExceptionAction::RefuseChange).await.unwrap();
    say(&host, &[confirmed(order, "S-1", 8)], ProcessState::Shipped, order).await;
    // All of it had left: the change alone ends it.
    let order = released(&host, "PO-3").await;
    say(&host, &[accepted(order), confirmed(order, "S-1", 9)], ProcessState::PartShipped, order).await;
    agree(&host, order, 5, "PO-3", 9).await;
    host.decide_all().await;
    assert_eq!((state(&host, order).await, host.codes().await), (Some(ProcessState::Shipped), vec![]));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_would_have_followed_where_a_change_leads_an_order_on_is_a_persons() {
    let effect = |to: &str| {
        format!(
            "\n[[effect]]\non = \"shipment.confirmed\"\nto = [\"{to}\"]\ntarget = \"erp\"\n\
             kind = \"business-central/cancel\"\n"
        )
    };
    let effects = effect("part-shipped") + &effect("shipped");
    let host = setup().append("portreeve.toml", &effects).start().await;
    // A confirmation leads no order from shipped to part-shipped: nothing would have followed.
    let order = released(&host, "PO-1").await;
    say(&host, &[accepted(order), confirmed(order, "S-1", 10)], ProcessState::Shipped, order).await;
    agree(&host, order, 1, "PO-1", 11).await;
    host.decide_all().await;
    assert_eq!((state(&host, order).await, host.codes().await), (Some(ProcessState::PartShipped), vec![]));

    let order = released(&host, "PO-2").await;
    say(&host, &[accepted(order), confirmed(order, "S-1", 9)], ProcessState::PartShipped, order).await;
    agree(&host, order, 2, "PO-2", 9).await;
    host.decide_all().await;
    let codes = vec!["effect-passed-over".to_owned()];
    assert_eq!((state(&host, order).await, host.codes().await), (Some(ProcessState::Shipped), codes));
    let detail = host.exceptions().await.remove(0).detail;
    let sentence = "found an accepted change by which the order went from part-shipped to shipped, expected `shipment.confirmed`, by which target `erp` gets `business-central/cancel`: nothing is sent of that";
    assert!(detail.starts_with(sentence) && detail.contains("`order.changed` counts all the same"), "{detail}");
    follows_again(&host, order, 3).await;
}

#[tokio::test]
async fn less_than_has_left_is_accepted_by_nobody_and_what_left_meanwhile_is_told() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    say(&host, &[accepted(order), confirmed(order, "S-1", 6)], ProcessState::PartShipped, order).await;
    ask(&host, 1, "PO-1", 5).await;
    let refused = answer(&host, order, ExceptionAction::AcceptChange).await.unwrap_err();
    let sentence = "`accept-change` is not possible here: found a change to 5 BX of line 1, expected 6 BX at least, which left; refuse it";
    assert!(refused.starts_with(sentence), "{refused}");
    assert_eq!(host.codes().await, ["changed-order"], "nothing changed");
    answer(&host, order, ExceptionAction::RefuseChange).await.unwrap();

    // More had left by then, and nobody had heard of it.
    ask(&host, 2, "PO-1", 7).await;
    crate::process::tell(&host, &confirmed(order, "S-2", 2)).await;
    answer(&host, order, ExceptionAction::AcceptChange).await.unwrap();
    host.decide_all().await;
    assert_eq!(
        (state(&host, order).await, host.codes().await),
        (Some(ProcessState::PartShipped), vec!["less-than-left".to_owned()])
    );
    let detail = host.exceptions().await.remove(0).detail;
    assert!(detail.contains("the accepted change counts for nothing, and the order is counted as before"), "{detail}");
    told(&host, &[confirmed(order, "S-3", 2)]).await;
    assert_eq!(state(&host, order).await, Some(ProcessState::Shipped));
    follows_again(&host, order, 5).await;
}

#[tokio::test]
async fn a_change_whose_content_was_erased_is_accepted_by_nobody() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    ask(&host, 1, "PO-1", 7).await;
    let change = host.store.order_trail(order).await.unwrap().unwrap().events[0].event.place;
    let erased = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db"))
        .unwrap()
        .execute("DELETE FROM payload_key WHERE payload = ?1", [change]);
    assert_eq!(erased, Ok(1));
    let refused = answer(&host, order, ExceptionAction::AcceptChange).await.unwrap_err();
    let sentence = "`accept-change` is not possible here: found a change whose content was erased";
    assert!(refused.starts_with(sentence), "{refused}");
    assert_eq!(host.codes().await, ["changed-order"], "nothing changed");
    answer(&host, order, ExceptionAction::RefuseChange).await.unwrap();
    assert_eq!((host.codes().await, outcomes(&host, order).await.len()), (vec![], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_agreed_on_before_an_order_is_released_counts_from_its_release_on() {
    let host = host().await;
    let dear = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "99.00")]);
    host.send_edi(&x12(1, &dear)).await.unwrap();
    host.decide_all().await;
    let order = host.order("PO-1").await.id;
    agree(&host, order, 1, "PO-1", 7).await;
    host.decide_all().await;
    use EventOutcome::{Applied, Early, Noted};
    let changed = OrderEventKind::Changed;
    assert_eq!(outcomes(&host, order).await, [(changed, Noted), (changed, Early)]);
    let codes = host.codes().await;
    assert!(!codes.iter().any(|code| code == "early-event"), "nobody has anything to do about it: {codes:?}");
    let holds = host.store.order_trail(order).await.unwrap().unwrap().holds;
    let holds: Vec<u64> = holds.iter().map(|hold| hold.number).collect();
    exceptions::release(&host, &host.ops().await, order, &holds).await.unwrap();
    assert_eq!(host.order("PO-1").await.state, OrderState::Released);
    say(&host, &[accepted(order)], ProcessState::Accepted, order).await;
    assert_eq!(outcomes(&host, order).await[1], (changed, Applied));
    say(&host, &[confirmed(order, "S-1", 7)], ProcessState::Shipped, order).await;
    follows_again(&host, order, 3).await;
}

#[tokio::test]
async fn what_waits_takes_its_turn_with_what_was_agreed_on() {
    let host = host().await;
    let order = released(&host, "PO-1").await;
    // The rest is announced to come back before anybody heard that there is no rest.
    let all = shipment("shipment.confirmed", order, "S-1", 8, "backorder");
    say(&host, &[accepted(order), all], ProcessState::PartShipped, order).await;
    told(&host, &[invoice(order, "I-1", 9)]).await;
    assert_eq!(host.codes().await, ["early-event"]);
    agree(&host, order, 1, "PO-1", 8).await;
    host.decide_all().await;
    // It is more than will ever leave, which nobody could know before.
    assert_eq!(
        (state(&host, order).await, host.codes().await),
        (Some(ProcessState::Shipped), vec!["more-than-left".to_owned()])
    );
    follows_again(&host, order, 4).await;
}
