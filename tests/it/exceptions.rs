//! What waits for a person: who may decide, who has to agree, what a decision is about, and
//! what happens when nobody decides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portreeve::standins::Mischief;
use portreeve_api::exception::ExceptionStory;
use portreeve_model::{ExceptionAction, ExceptionKind};
use portreeve_pipeline::exception::{Decision, ExceptionError, Outcome, Work};
use portreeve_pipeline::{Clock, SignedIn};
use portreeve_record::LeafBody;
use portreeve_record::leaf::ExceptionLeaf;
use portreeve_store::contract::{ExceptionTrail, OrderState};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::authority::obedient;
use crate::faults::{About, Fault, FaultyStore};
use crate::later::with_purpose;
use crate::support::exceptions::{about, decide, decision, waiting};
use crate::support::{PurchaseOrder, Setup, TestHost, x12};

use ExceptionAction::{Abandon, ConfirmHolds, Correct, Reject, ReleaseHolds, Reroute, Resubmit, Retry};

/// Lines priced too high: the host's own rule holds, in `pricing`. About 200 USD for each box.
fn dear(number: &str, boxes: u32) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", boxes, "BX", "20.00")])
}

async fn held(host: &TestHost, number: &str) -> u64 {
    about(host, host.order(number).await.id, ExceptionKind::Held).await.unwrap()
}

async fn story(host: &TestHost, exception: u64) -> ExceptionTrail {
    host.store.exception(exception).await.unwrap().unwrap()
}

async fn steps(host: &TestHost, exception: u64) -> Vec<String> {
    story(host, exception).await.steps.into_iter().map(|step| step.step).collect()
}

/// All holds of the order, released by somebody.
async fn release(host: &TestHost, who: &SignedIn, exception: u64) -> Result<Outcome, ExceptionError> {
    let shown = host.host.pipeline.show_exception(exception).await.unwrap();
    let holds: Vec<u64> = shown.kept.unwrap().open_holds().map(|hold| hold.number).collect();
    let decision = Decision { holds: &holds, ..decision(host, exception, ReleaseHolds).await };
    host.host.pipeline.decide_exception(who, decision).await
}

fn proposed(outcome: &Outcome) -> portreeve_model::Digest {
    match outcome {
        Outcome::Waits { proposal, .. } => *proposal,
        other => panic!("nobody else had to agree: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_claim_at_once_one_works_on_it_and_the_other_decides_nothing() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1", 1)]).await;
    let (anna, ben) =
        (host.acts_as("anna", &["pricing-resolver"]).await, host.acts_as("ben", &["pricing-resolver"]).await);
    let exception = held(&host, "PO-1").await;
    let pipeline = &host.host.pipeline;
    let claims = tokio::join!(
        pipeline.work_on_exception(&anna, exception, Work::Claim),
        pipeline.work_on_exception(&ben, exception, Work::Claim)
    );
    assert!(claims.0.is_ok() != claims.1.is_ok(), "{claims:?}");
    let (first, second) = if claims.0.is_ok() { (&anna, &ben) } else { (&ben, &anna) };
    let refused = release(&host, second, exception).await.unwrap_err();
    assert!(matches!(&refused, ExceptionError::Claimed { by, .. } if by == first.name().as_str()), "{refused}");
    assert!(matches!(
        pipeline.work_on_exception(second, exception, Work::GiveBack).await,
        Err(ExceptionError::NotYours { .. })
    ));
    pipeline.work_on_exception(first, exception, Work::Comment("the buyer is asked")).await.unwrap();
    pipeline.work_on_exception(first, exception, Work::Assign(second.name().as_str())).await.unwrap();
    for nobody in ["vera", "no such", "olga"] {
        host.acts_as("olga", &["order-desk"]).await;
        assert!(pipeline.work_on_exception(second, exception, Work::Assign(nobody)).await.is_err(), "{nobody}");
    }
    release(&host, second, exception).await.unwrap();
    assert_eq!(steps(&host, exception).await, ["claimed", "commented", "assigned", "release-holds"]);
    assert_eq!(host.order("PO-1").await.state, OrderState::Released);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_worth_more_takes_others_to_agree_and_each_of_them_another_person() {
    let host = Setup::demo().with_tiers().start().await;
    // Above 5,000.00 one has to agree, above 25,000.00 two.
    host.decide_orders(&[dear("PO-SMALL", 10), dear("PO-LARGE", 400), dear("PO-HUGE", 2000)]).await;
    let anna = host.acts_as("anna", &["pricing-resolver", "approver", "senior-approver"]).await;
    let ben = host.acts_as("ben", &["approver"]).await;
    let cleo = host.acts_as("cleo", &["senior-approver"]).await;
    let dora = host.acts_as("dora", &["senior-approver"]).await;
    let vera = host.acts_as("vera", &["viewer"]).await;
    let pipeline = &host.host.pipeline;

    assert!(matches!(release(&host, &anna, held(&host, "PO-SMALL").await).await, Ok(Outcome::Done { .. })));

    let large = held(&host, "PO-LARGE").await;
    let proposal = proposed(&release(&host, &anna, large).await.unwrap());
    assert_eq!(host.order("PO-LARGE").await.state, OrderState::Held, "a proposal causes nothing");
    for (who, why) in [(&anna, "nobody judges work of their own"), (&vera, "no role of `vera` approves in")] {
        let refused = pipeline.approve(who, large, proposal).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let pending = release(&host, &anna, large).await.unwrap_err();
    assert!(matches!(pending, ExceptionError::Pending { .. }), "{pending}");
    assert!(matches!(pipeline.approve(&ben, large, proposal).await, Ok(Outcome::Done { .. })));
    let order = host.order("PO-LARGE").await;
    assert_eq!((order.state, order.why.as_str()), (OrderState::Released, "released by anna, agreed to by ben"));

    let huge = held(&host, "PO-HUGE").await;
    let proposal = proposed(&release(&host, &anna, huge).await.unwrap());
    let above = pipeline.approve(&ben, huge, proposal).await.unwrap_err().to_string();
    assert!(above.contains("expected at most 25000.00 USD") && above.contains("`senior-approver`"), "{above}");
    let once = pipeline.approve(&cleo, huge, proposal).await.unwrap();
    assert!(matches!(once, Outcome::Waits { approvals_missing: 1, .. }), "{once:?}");
    let twice = pipeline.approve(&cleo, huge, proposal).await.unwrap_err().to_string();
    assert!(twice.contains("approved this already"), "{twice}");
    assert!(matches!(pipeline.approve(&dora, huge, proposal).await, Ok(Outcome::Done { .. })));
    assert_eq!(host.order("PO-HUGE").await.state, OrderState::Released);

    // The log names who proposed and who agreed.
    let agreed: Vec<Vec<String>> = host
        .leaves()
        .await
        .into_iter()
        .filter_map(|leaf| match leaf.body {
            LeafBody::Exception(said) => said.agreed,
            _ => None,
        })
        .map(|agreed| agreed.shown().iter().map(ToString::to_string).collect())
        .collect();
    assert_eq!(agreed, [vec!["anna", "ben"], vec!["anna", "cleo", "dora"]]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_about_what_was_shown_and_a_proposal_about_what_its_proposer_saw() {
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&[dear("PO-1", 10), dear("PO-2", 400)]).await;
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let ben = host.acts_as("ben", &["approver"]).await;
    let pipeline = &host.host.pipeline;
    let (first, second) = (held(&host, "PO-1").await, held(&host, "PO-2").await);
    let seen = decision(&host, first, ConfirmHolds).await;
    let proposal = proposed(&release(&host, &anna, second).await.unwrap());
    // Meanwhile both senders want their order cancelled.
    for (control, number, boxes) in [(7, "PO-1", 10), (8, "PO-2", 400)] {
        host.send_edi(&with_purpose(control, &dear(number, boxes), "01")).await.unwrap();
    }
    host.decide_all().await;
    let stale = pipeline.decide_exception(&anna, seen).await.unwrap_err();
    assert!(matches!(stale, ExceptionError::Stale { .. }), "{stale}");
    assert!(stale.to_string().contains("its sender wants it cancelled"), "what changed: {stale}");
    let refused = pipeline.approve(&ben, second, proposal).await.unwrap_err().to_string();
    assert!(refused.contains("no open proposal") || refused.contains("wants it cancelled"), "{refused}");
    assert!(story(&host, second).await.proposal.is_none());
    assert_eq!(host.order("PO-2").await.state, OrderState::Held);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecided_proposal_expires_and_an_undecided_exception_escalates() {
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&[dear("PO-1", 400)]).await;
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let (ben, carl) = (host.acts_as("ben", &["approver"]).await, host.acts_as("carl", &["pricing-resolver"]).await);
    let exception = held(&host, "PO-1").await;
    let pipeline = &host.host.pipeline;
    let proposal = proposed(&release(&host, &anna, exception).await.unwrap());
    let refused = pipeline.refuse(&carl, exception, proposal).await.unwrap_err();
    assert!(matches!(refused, ExceptionError::Denied(_)), "{refused}");
    pipeline.refuse(&anna, exception, proposal).await.unwrap();
    let proposal = proposed(&release(&host, &anna, exception).await.unwrap());
    let until = story(&host, exception).await.proposal.unwrap().expires_at;
    let due = story(&host, exception).await.exception.due_at.unwrap();
    host.clock.advance_to(until.min(due).plus_ms(-1));
    assert_eq!(pipeline.escalate_due(|| false).await.unwrap(), Default::default());
    host.clock.advance_to(until.max(due));
    let late = pipeline.approve(&ben, exception, proposal).await.unwrap_err();
    assert!(matches!(late, ExceptionError::NoProposal { .. }), "{late}");
    let overdue = pipeline.escalate_due(|| false).await.unwrap();
    assert_eq!(overdue.escalated, 1, "{overdue:?}");
    assert_eq!(pipeline.escalate_due(|| false).await.unwrap(), Default::default(), "once");
    let found = story(&host, exception).await;
    assert_eq!((found.exception.queue.as_str(), found.proposal), ("order-desk", None));
    assert_eq!(host.order("PO-1").await.state, OrderState::Held, "time releases nothing");
    // It is another queue's now, whose people have another look at it.
    assert!(matches!(decide(&host, &anna, exception, ConfirmHolds).await, Err(ExceptionError::Denied(_))));
    let olga = host.acts_as("olga", &["order-desk"]).await;
    decide(&host, &olga, exception, ConfirmHolds).await.unwrap();
    let found = story(&host, exception).await.exception;
    assert!(found.due_at.unwrap() > host.clock.now() && found.escalated_at.is_none(), "{found:?}");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_goes_nowhere_and_a_rerouted_one_is_another_queues() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1", 1), dear("PO-2", 1), PurchaseOrder::clean("PO-3")]).await;
    let ops = host.ops().await;
    let first = held(&host, "PO-1").await;
    decide(&host, &ops, first, Reject).await.unwrap();
    assert_eq!(host.order("PO-1").await.state, OrderState::Refused);
    let again = decide(&host, &ops, first, Reject).await.unwrap_err().to_string();
    assert_eq!(again, format!("exception {first} is closed already: reject by `ops`"));

    let second = held(&host, "PO-2").await;
    let rerouted = Decision { queue: Some("credit"), ..decision(&host, second, Reroute).await };
    for (queue, why) in
        [(None, "needs the queue"), (Some("nobodys"), "a queue that there is"), (Some("pricing"), "already")]
    {
        let asked = Decision { queue, ..rerouted };
        let refused = host.host.pipeline.decide_exception(&ops, asked).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    host.host.pipeline.decide_exception(&ops, rerouted).await.unwrap();
    let order = host.order("PO-2").await;
    assert_eq!((order.state, order.queue.as_deref()), (OrderState::Held, Some("credit")));
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    assert!(matches!(release(&host, &anna, second).await, Err(ExceptionError::Denied(_))));
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 1, "the one that nothing was wrong with");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_models_grant_decides_nothing_that_the_model_asked_for() {
    let host = obedient().start().await;
    host.decide_orders(&[PurchaseOrder::clean("HOLD-2")]).await;
    let exception = held(&host, "HOLD-2").await;
    let shown = host.host.pipeline.show_exception(exception).await.unwrap();
    assert!(!shown.owners.is_empty(), "its grant has an owner");
    let root = crate::support::people::root(&host.host.pipeline).await;
    let account = portreeve_pipeline::people::NewAccount {
        email: Some(shown.owners[0].to_uppercase()),
        ..crate::support::people::account("mia", crate::support::EVERY_ROLE)
    };
    host.host.pipeline.add_person(&root, account).await.unwrap();
    let mia = crate::support::people::signed_in(&host.host.pipeline, "mia").await;
    let refused = release(&host, &mia, exception).await.unwrap_err().to_string();
    assert!(refused.contains("owns the grant"), "{refused}");
    let refused = decide(&host, &mia, exception, ConfirmHolds).await.unwrap_err().to_string();
    assert!(refused.contains("owns the grant"), "nor that the own model was right: {refused}");
    release(&host, &host.ops().await, exception).await.unwrap();
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_mends_an_input_does_not_release_what_comes_of_it() {
    let host = TestHost::demo().await;
    let good = crate::support::x12(1, &dear("PO-1", 1));
    // A connector that cannot be called keeps the bytes for a person.
    host.host.pipeline.plugins.halt();
    host.send_edi(&good).await.unwrap();
    host.host.pipeline.plugins.resume();
    let input = waiting(&host).await.remove(0);
    assert_eq!(input.kind, ExceptionKind::Input);
    let ivan = host.acts_as("ivan", &["integration", "pricing-resolver"]).await;
    let missing = decide(&host, &ivan, input.id, Resubmit).await.unwrap_err().to_string();
    assert!(missing.contains("needs the payload"), "{missing}");
    decide(&host, &ivan, input.id, Retry).await.unwrap();
    host.decide_all().await;
    let exception = held(&host, "PO-1").await;
    assert_eq!(story(&host, exception).await.about.makers, ["ivan"]);
    let refused = release(&host, &ivan, exception).await.unwrap_err().to_string();
    assert!(refused.contains("mended the input"), "{refused}");
    release(&host, &host.ops().await, exception).await.unwrap();
    let closed = story(&host, input.id).await.exception.closed.unwrap();
    assert_eq!((closed.how.as_str(), closed.who.as_deref()), ("retry", Some("ivan")));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_became_no_order_is_decided_on_again() {
    let setup = Setup::demo();
    let host =
        setup.replace("portreeve.toml", "\"x12/850\" = \"x12-orders\"", "\"x12/860\" = \"x12-orders\"").start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    let document = waiting(&host).await.remove(0);
    assert_eq!((document.kind, document.code.as_str()), (ExceptionKind::Document, "no-transformer"));
    let ops = host.ops().await;
    decide(&host, &ops, document.id, Retry).await.unwrap();
    host.decide_all().await;
    let again = waiting(&host).await;
    assert_eq!(again.len(), 1, "nothing is better yet: {again:?}");
    assert_ne!(again[0].id, document.id);
    decide(&host, &ops, again[0].id, Abandon).await.unwrap();
    assert!(waiting(&host).await.is_empty());
    host.verify().await.unwrap();
}

/// An exception of which not all that its kind has is possible, and one of the same kind of which it is.
#[derive(Debug, Clone, Copy)]
enum Case {
    /// The ERP has the order, and its sender wants it cancelled.
    Left,
    /// Nothing but its sender's wish to cancel keeps the order back.
    ToBeCancelled,
    /// No connector could look at the input.
    Unread,
    /// One interchange of two was taken, and the sender heard why the other one was not.
    ReadInPart,
    Unmapped,
    GivenUp,
    /// The same, of an order whose sender wants it cancelled.
    GivenUpForGood,
}

impl Case {
    fn kind(self) -> ExceptionKind {
        match self {
            Self::Left => ExceptionKind::Order,
            Self::ToBeCancelled => ExceptionKind::Held,
            Self::Unread | Self::ReadInPart => ExceptionKind::Input,
            Self::Unmapped => ExceptionKind::Document,
            Self::GivenUp | Self::GivenUpForGood => ExceptionKind::Delivery,
        }
    }

    async fn open(self) -> (TestHost, u64) {
        let setup = match self {
            Self::Unmapped => {
                Setup::demo().replace("portreeve.toml", "\"x12/850\" = \"x12-orders\"", "\"x12/860\" = \"x12-orders\"")
            }
            Self::GivenUp | Self::GivenUpForGood => {
                Setup::demo().mischief(Mischief { reject_per_mille: 1_000, ..Mischief::default() })
            }
            Self::Left | Self::ToBeCancelled | Self::Unread | Self::ReadInPart => Setup::demo(),
        };
        let host = setup.start().await;
        let (clean, dear) = (PurchaseOrder::clean("PO-1"), dear("PO-1", 1));
        match self {
            Self::Left | Self::GivenUp | Self::GivenUpForGood => {
                host.decide_orders(std::slice::from_ref(&clean)).await;
                host.deliver_all().await;
            }
            Self::ToBeCancelled => drop(host.decide_orders(std::slice::from_ref(&dear)).await),
            Self::Unmapped => drop(host.decide_orders(std::slice::from_ref(&clean)).await),
            Self::Unread => {
                host.host.pipeline.plugins.halt();
                host.send_edi(&x12(1, &clean)).await.unwrap();
                host.host.pipeline.plugins.resume();
            }
            Self::ReadInPart => {
                host.send_edi(&x12(1, &clean)).await.unwrap();
                let (other, new) = (PurchaseOrder::clean("PO-2"), PurchaseOrder::clean("PO-3"));
                host.send_edi(&[x12(1, &other), x12(2, &new)].concat()).await.unwrap();
            }
        }
        let cancelled = match self {
            Self::Left | Self::GivenUpForGood => Some(&clean),
            Self::ToBeCancelled => Some(&dear),
            _ => None,
        };
        if let Some(order) = cancelled {
            host.send_edi(&with_purpose(7, order, "01")).await.unwrap();
            host.decide_all().await;
        }
        let exception = waiting(&host).await.into_iter().find(|open| open.kind == self.kind()).unwrap().id;
        if matches!(self, Self::ToBeCancelled) {
            let mut others = open_holds(&host, exception).await;
            others.pop();
            let decision = Decision { holds: &others, ..decision(&host, exception, ReleaseHolds).await };
            host.host.pipeline.decide_exception(&host.ops().await, decision).await.unwrap();
        }
        (host, exception)
    }
}

async fn open_holds(host: &TestHost, exception: u64) -> Vec<u64> {
    host.host.pipeline.show_exception(exception).await.unwrap().open_holds()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_of_an_exception_is_what_is_taken_and_nothing_else() {
    for (case, listed) in [
        (Case::Left, vec![Reroute, Abandon]),
        (Case::ToBeCancelled, vec![ConfirmHolds, Reject, Reroute]),
        (Case::Unread, vec![Resubmit, Retry, Reroute, Abandon]),
        (Case::ReadInPart, vec![Reroute, Abandon]),
        (Case::Unmapped, vec![Retry, Reroute, Abandon]),
        (Case::GivenUp, vec![Retry, Reroute, Abandon]),
        (Case::GivenUpForGood, vec![Reroute, Abandon]),
    ] {
        let (host, exception) = case.open().await;
        let told = ExceptionStory::read(&host.host.pipeline, exception).await.unwrap().actions;
        assert_eq!(told, listed.iter().map(|action| action.as_str()).collect::<Vec<_>>(), "{case:?}");
        let (ops, holds) = (host.ops().await, open_holds(&host, exception).await);
        let mended = x12(3, &PurchaseOrder::clean("PO-1"));
        let corrected = br#"[{"at": "/shipToName", "was": "Dock 4, left", "is": "Dock 4"}]"#;
        let mut refused_first = case.kind().actions().to_vec();
        refused_first.sort_by_key(|action| listed.contains(action));
        for action in refused_first {
            let decision = Decision {
                holds: if action == ReleaseHolds { &holds } else { &[] },
                queue: Some("credit").filter(|_| action == Reroute),
                payload: match action {
                    Resubmit => Some(&mended[..]),
                    Correct => Some(&corrected[..]),
                    _ => None,
                },
                ..decision(&host, exception, action).await
            };
            let taken = host.host.pipeline.decide_exception(&ops, decision).await;
            assert_eq!(taken.is_ok(), listed.contains(&action), "{case:?} {action:?}: {taken:?}");
            if taken.is_ok() {
                break;
            }
        }
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_an_input_are_opened_once_to_list_what_can_be_done_with_them() {
    let (host, exception) = Case::Unread.open().await;
    let opened = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&opened);
    let count = move |method: &str, _: &[About]| {
        counted.fetch_add(u32::from(method == "payload"), Ordering::SeqCst);
        None
    };
    let (host, _) = host.restart_behind(|store| FaultyStore::planned(store, count)).await;
    let before = opened.load(Ordering::SeqCst);
    let told = ExceptionStory::read(&host.host.pipeline, exception).await.unwrap().actions;
    assert_eq!(told, ["resubmit", "retry", "reroute", "abandon"]);
    assert_eq!(opened.load(Ordering::SeqCst) - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_listed_of_what_is_closed() {
    let (host, exception) = Case::Unmapped.open().await;
    decide(&host, &host.ops().await, exception, Abandon).await.unwrap();
    assert!(ExceptionStory::read(&host.host.pipeline, exception).await.unwrap().actions.is_empty());
}

/// Boxes of 20.00 USD. The first three are one customer's: one that one person decides, two that
/// take one more, and all together two more; so does the last one, another customer's, by itself.
const ORDERS: [(&str, u32); 4] = [("PO-SMALL", 200), ("PO-LARGE", 400), ("PO-MORE", 1000), ("PO-HUGE", 2000)];

/// One of them, as it is sent.
fn sent((number, boxes): (&str, u32)) -> PurchaseOrder {
    dear(number, boxes).of_customer(if number == "PO-HUGE" { "C1202" } else { "C1201" })
}

/// How many have to agree to so many boxes.
fn takes(boxes: u32) -> usize {
    match boxes {
        ..=250 => 0,
        251..=1250 => 1,
        _ => 2,
    }
}

/// What somebody tries.
#[derive(Debug, Clone)]
enum Try {
    Decide { who: usize, order: usize, action: ExceptionAction, stale: bool },
    Together { who: usize, order: usize, stale: bool },
    Approve { who: usize, order: usize, stale: bool },
    Refuse { who: usize, order: usize },
    Claim { who: usize, order: usize },
    Cancel { order: usize },
    Wait { minutes: i64 },
}

fn a_try() -> impl Strategy<Value = Try> {
    let (who, order) = (0..4_usize, 0..ORDERS.len());
    let action = prop::sample::select(vec![ReleaseHolds, ReleaseHolds, Reject, ConfirmHolds]);
    prop_oneof![
        4 => (who.clone(), order.clone(), action, prop::bool::weighted(0.2))
            .prop_map(|(who, order, action, stale)| Try::Decide { who, order, action, stale }),
        6 => (who.clone(), order.clone(), prop::bool::weighted(0.2))
            .prop_map(|(who, order, stale)| Try::Together { who, order, stale }),
        4 => (who.clone(), order.clone(), prop::bool::weighted(0.2))
            .prop_map(|(who, order, stale)| Try::Approve { who, order, stale }),
        1 => (who.clone(), order.clone()).prop_map(|(who, order)| Try::Refuse { who, order }),
        1 => (who, order.clone()).prop_map(|(who, order)| Try::Claim { who, order }),
        1 => order.prop_map(|order| Try::Cancel { order }),
        1 => (1..600_i64).prop_map(|minutes| Try::Wait { minutes }),
    ]
}

/// No sequence of acts lets one person be maker and checker, agree above the tier, or act on
/// what was not shown: as the log tells it, and not as the host thinks.
#[test]
fn no_sequence_of_acts_lets_one_person_decide_what_takes_two() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 20, failure_persistence: None, ..Config::default() });
    let done = runner.run(&prop::collection::vec(a_try(), 1..25), |tries| {
        runtime.block_on(walk(&tries)).map_err(TestCaseError::fail)
    });
    done.unwrap();
}

async fn walk(tries: &[Try]) -> Result<(), String> {
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&ORDERS.map(sent)).await;
    let both = ["pricing-resolver", "order-desk", "senior-approver"];
    let people = [
        host.acts_as("anna", &both).await,
        host.acts_as("ben", &["approver"]).await,
        host.acts_as("cleo", &both).await,
        host.acts_as("dora", &["senior-approver"]).await,
    ];
    let mut exceptions = Vec::new();
    for (number, _) in ORDERS {
        exceptions.push(held(&host, number).await);
    }
    let pipeline = &host.host.pipeline;
    let old: Vec<_> = {
        let mut old = Vec::new();
        for exception in &exceptions {
            old.push(pipeline.show_exception(*exception).await.unwrap().digest);
        }
        old
    };
    let mut control = 50;
    for act in tries {
        match act {
            Try::Decide { who, order, action, stale } => {
                let shown = pipeline.show_exception(exceptions[*order]).await.unwrap();
                let holds: Vec<u64> =
                    shown.kept.iter().flat_map(|kept| kept.open_holds().map(|hold| hold.number)).collect();
                let digest = if *stale { old[*order] } else { shown.digest };
                let decision = Decision {
                    exception: exceptions[*order],
                    shown: digest,
                    action: *action,
                    reason: "looked at",
                    holds: if *action == ReleaseHolds { &holds } else { &[] },
                    queue: None,
                    payload: None,
                };
                if pipeline.decide_exception(&people[*who], decision).await.is_ok() && digest != shown.digest {
                    return Err(format!("{act:?} was about what was not shown"));
                }
            }
            Try::Together { who, order, stale } => {
                let who = &people[*who];
                let Ok(group) = pipeline.show_together(Some(who), exceptions[*order]).await else { continue };
                let digest = if *stale { old[*order] } else { group.digest };
                let members: Vec<u64> = group.members.iter().map(|member| member.trail.exception.id).collect();
                match pipeline.decide_together(who, exceptions[*order], digest, "looked at").await {
                    Ok(_) if *stale => return Err(format!("{act:?} was about what was not shown")),
                    Ok(Outcome::Together { .. }) if takes(boxes_of(&exceptions, &members)) > 0 => {
                        return Err(format!("{act:?} released {members:?} at once"));
                    }
                    _ => {}
                }
            }
            Try::Approve { who, order, stale } => {
                let open = story(&host, exceptions[*order]).await.proposal;
                let Some(open) = open else { continue };
                let digest = if *stale { old[*order] } else { open.digest };
                if pipeline.approve(&people[*who], exceptions[*order], digest).await.is_ok() && *stale {
                    return Err(format!("{act:?} agreed to what was not proposed"));
                }
            }
            Try::Refuse { who, order } => {
                if let Some(open) = story(&host, exceptions[*order]).await.proposal {
                    drop(pipeline.refuse(&people[*who], exceptions[*order], open.digest).await);
                }
            }
            Try::Claim { who, order } => {
                drop(pipeline.work_on_exception(&people[*who], exceptions[*order], Work::Claim).await);
            }
            Try::Cancel { order } => {
                control += 1;
                host.send_edi(&with_purpose(control, &sent(ORDERS[*order]), "01")).await.unwrap();
                host.decide_all().await;
            }
            Try::Wait { minutes } => {
                host.clock.advance_to(host.clock.now().plus_ms(minutes * 60_000));
                pipeline.escalate_due(|| false).await.unwrap();
            }
        }
    }
    as_the_log_tells_it(&host, &exceptions).await?;
    host.verify().await.map(drop).map_err(|error| error.to_string())
}

fn boxes_of(exceptions: &[u64], members: &[u64]) -> u32 {
    exceptions.iter().zip(ORDERS).filter(|(id, _)| members.contains(id)).map(|(_, (_, boxes))| boxes).sum()
}

async fn as_the_log_tells_it(host: &TestHost, exceptions: &[u64]) -> Result<(), String> {
    let leaves = host.leaves().await.into_iter();
    let said: Vec<ExceptionLeaf> = leaves
        .filter_map(|leaf| match leaf.body {
            LeafBody::Exception(said) => Some(said),
            _ => None,
        })
        .collect();
    for done in said.iter().filter(|said| ["release-holds", "rejected"].contains(&said.code.as_str())) {
        // What was proposed with it, and so what it is worth.
        let with = |said: &&ExceptionLeaf| done.proposal.is_some() && said.proposal == done.proposal;
        let numbers = |code: &'static str| {
            let of_it = said.iter().filter(with).filter(move |said| said.code.as_str() == code);
            of_it.map(|said| said.exception).collect::<BTreeSet<u64>>()
        };
        let mut members: Vec<u64> = numbers("proposed").into_iter().collect();
        if members.is_empty() {
            members.push(done.exception);
        } else if done.code.as_str() == "release-holds" && numbers("release-holds") != numbers("proposed") {
            return Err(format!("of {members:?}, which were proposed together, only some were released"));
        }
        let boxes = boxes_of(exceptions, &members);
        let names: Vec<String> =
            done.agreed.iter().flat_map(|agreed| agreed.shown()).map(ToString::to_string).collect();
        let others: BTreeSet<&String> = names.iter().collect();
        if others.len() != names.len() || names.len().saturating_sub(1) != takes(boxes) {
            return Err(format!("{members:?} were decided by {names:?}, and take {} more than one", takes(boxes)));
        }
        if takes(boxes) > 1 && names.iter().skip(1).any(|name| name == "ben") {
            return Err(format!("{names:?} agreed to {members:?} above the tier"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_whose_commit_fails_is_whole_or_was_not() {
    for (fault, persisted) in [(Fault::NotPersisted, false), (Fault::PersistedButFailed, true)] {
        let host = TestHost::demo().await;
        host.decide_orders(&[dear("PO-1", 1)]).await;
        let exception = held(&host, "PO-1").await;
        host.ops().await;
        let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "step_exception", fault, 0)).await;
        let ops = host.ops().await;
        assert!(decide(&host, &ops, exception, Reject).await.is_err());
        let host = host.restart().await;
        assert_eq!(host.order("PO-1").await.state == OrderState::Refused, persisted);
        let again = decide(&host, &host.ops().await, exception, Reject).await;
        assert_eq!(again.is_ok(), !persisted, "whoever is unsure looks again: {again:?}");
        assert_eq!(steps(&host, exception).await, ["reject"]);
        host.verify().await.unwrap();
    }
}
