//! All orders of one customer that are kept back, released together under one approval: what
//! counts is the sum, each of them is asked about, and a crash among them is finished.

use portreeve_model::{Digest, ExceptionAction, ExceptionKind};
use portreeve_pipeline::SignedIn;
use portreeve_pipeline::exception::{Decision, ExceptionError, Outcome, TOGETHER_MAX, Together, Work};
use portreeve_record::LeafBody;
use portreeve_store::contract::{ExceptionTrail, OrderState};

use crate::authority::obedient;
use crate::faults::{Fault, FaultyStore};
use crate::later::with_purpose;
use crate::support::exceptions::{about, decide, decision, waiting};
use crate::support::{PurchaseOrder, Setup, TestHost, people, x12};

/// Lines priced too high: the host's own rule holds, in `pricing`. 20.00 USD for each box.
fn dear(number: &str, boxes: u32) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", boxes, "BX", "20.00")])
}

async fn held(host: &TestHost, number: &str) -> u64 {
    about(host, host.order(number).await.id, ExceptionKind::Held).await.unwrap()
}

async fn all_held(host: &TestHost, numbers: &[&str]) -> Vec<u64> {
    let mut found = Vec::new();
    for number in numbers {
        found.push(held(host, number).await);
    }
    found
}

async fn story(host: &TestHost, exception: u64) -> ExceptionTrail {
    host.store.exception(exception).await.unwrap().unwrap()
}

async fn states(host: &TestHost, numbers: &[&str]) -> Vec<OrderState> {
    let mut found = Vec::new();
    for number in numbers {
        found.push(host.order(number).await.state);
    }
    found
}

async fn shown(host: &TestHost, who: &SignedIn, exception: u64) -> Together {
    host.host.pipeline.show_together(Some(who), exception).await.unwrap()
}

fn members(group: &Together) -> Vec<u64> {
    group.members.iter().map(|member| member.trail.exception.id).collect()
}

async fn release(host: &TestHost, who: &SignedIn, exception: u64) -> Result<Outcome, ExceptionError> {
    let shown = shown(host, who, exception).await.digest;
    host.host.pipeline.decide_together(who, exception, shown, "the buyer called").await
}

fn proposed(outcome: &Outcome) -> Digest {
    match outcome {
        Outcome::Waits { proposal, .. } => *proposal,
        other => panic!("nobody else had to agree: {other:?}"),
    }
}

fn released(outcome: Outcome) -> Vec<String> {
    match outcome {
        Outcome::Together { reviewed } => reviewed.into_iter().map(|order| order.number).collect(),
        other => panic!("they were not released together: {other:?}"),
    }
}

/// Who proposed and agreed to each release, as the log tells it.
async fn agreed(host: &TestHost) -> Vec<Vec<String>> {
    let leaves = host.leaves().await.into_iter();
    let releases = leaves.filter_map(|leaf| match leaf.body {
        LeafBody::Exception(said) if said.code.as_str() == "release-holds" => Some(said.agreed),
        _ => None,
    });
    releases.map(|agreed| agreed.iter().flat_map(|agreed| agreed.shown()).map(ToString::to_string).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orders_of_one_customer_go_together_and_nobody_elses_nor_anothers_work() {
    let host = Setup::demo().with_tiers().start().await;
    let other = dear("PO-OTHER", 10).of_customer("C1202");
    host.decide_orders(&[dear("PO-1", 10), other, dear("PO-2", 20), dear("PO-3", 10), PurchaseOrder::clean("PO-4")])
        .await;
    let exceptions = all_held(&host, &["PO-1", "PO-2", "PO-3"]).await;
    let rerouted = Decision { queue: Some("credit"), ..decision(&host, exceptions[2], ExceptionAction::Reroute).await };
    host.host.pipeline.decide_exception(&host.ops().await, rerouted).await.unwrap();
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;

    let group = shown(&host, &anna, exceptions[0]).await;
    assert_eq!(members(&group), exceptions[..2]);
    assert_eq!(group.apart.iter().map(|open| open.id).collect::<Vec<_>>(), exceptions[2..]);
    assert_eq!((group.more, group.worth.as_ref().unwrap()[0].to_string()), (0, "600.00 USD".to_owned()));
    // Whichever of them is asked about.
    assert_eq!(shown(&host, &anna, exceptions[1]).await.digest, group.digest);
    let pipeline = &host.host.pipeline;
    assert_eq!(members(&pipeline.show_together(None, exceptions[2]).await.unwrap()), exceptions);
    let denied = release(&host, &anna, exceptions[2]).await.unwrap_err();
    assert!(matches!(denied, ExceptionError::Denied(_)), "it is another queue's: {denied}");

    assert_eq!(released(release(&host, &anna, exceptions[1]).await.unwrap()), ["PO-1", "PO-2"]);
    use OrderState::{Held, Released};
    assert_eq!(states(&host, &["PO-1", "PO-2", "PO-3", "PO-OTHER"]).await, [Released, Released, Held, Held]);
    let again = release(&host, &anna, exceptions[2]).await.unwrap_err();
    assert!(matches!(again, ExceptionError::Denied(_)), "{again}");
    // What it says of one that is not kept back, or no order at all.
    let closed = pipeline.show_together(Some(&anna), exceptions[0]).await.unwrap_err().to_string();
    assert!(closed.contains("is closed already: release-holds by `anna`"), "{closed}");
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 3);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_than_a_hundred_the_one_that_was_asked_about_goes_and_the_rest_is_counted() {
    let host = TestHost::demo().await;
    let orders: Vec<PurchaseOrder> = (1..=TOGETHER_MAX + 3).map(|number| dear(&format!("PO-{number}"), 1)).collect();
    host.decide_orders(&orders).await;
    let ops = host.ops().await;
    let numbers: Vec<u64> = waiting(&host).await.into_iter().map(|open| open.id).collect();
    let last = *numbers.last().unwrap();
    let group = shown(&host, &ops, last).await;
    let expected = [&numbers[..TOGETHER_MAX - 1], &[last]].concat();
    assert_eq!((members(&group), group.more), (expected, 3));
    assert_eq!(released(release(&host, &ops, last).await.unwrap()).len(), TOGETHER_MAX);
    assert_eq!(released(release(&host, &ops, numbers[TOGETHER_MAX]).await.unwrap()).len(), 3);
    assert!(waiting(&host).await.is_empty());
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_of_them_are_worth_decides_who_has_to_agree() {
    let host = Setup::demo().with_tiers().start().await;
    // Each is one person's, all of them are not; and what is below nothing takes nothing off.
    let below = PurchaseOrder::clean("PO-BELOW").with_lines(&[("FST-1007", 500, "BX", "-20.00")]);
    let numbers = ["PO-1", "PO-2", "PO-BELOW"];
    host.decide_orders(&[dear("PO-1", 200), dear("PO-2", 200), below]).await;
    let exceptions = all_held(&host, &numbers).await;
    let anna = host.acts_as("anna", &["pricing-resolver", "approver"]).await;
    let ben = host.acts_as("ben", &["approver"]).await;
    let vera = host.acts_as("vera", &["viewer"]).await;
    let pipeline = &host.host.pipeline;
    assert_eq!(shown(&host, &anna, exceptions[0]).await.worth.unwrap()[0].to_string(), "8000.00 USD");

    let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
    assert_eq!(states(&host, &numbers).await, [OrderState::Held; 3], "a proposal causes nothing");
    for exception in &exceptions {
        assert_eq!(story(&host, *exception).await.proposal.unwrap().digest, proposal);
        for (who, why) in [(&anna, "nobody judges work of their own"), (&vera, "no role of `vera` approves in")] {
            let refused = pipeline.approve(who, *exception, proposal).await.unwrap_err().to_string();
            assert!(refused.contains(why) && refused.contains("nothing was done"), "{refused}");
        }
    }
    let pending = release(&host, &anna, exceptions[1]).await.unwrap_err();
    assert!(matches!(pending, ExceptionError::Pending { .. }), "{pending}");
    let carl = host.acts_as("carl", &["pricing-resolver"]).await;
    let pending = release(&host, &carl, exceptions[1]).await.unwrap_err();
    assert!(matches!(&pending, ExceptionError::Apart { exception, .. } if *exception == exceptions[0]), "{pending}");
    // The approver sees what is proposed, with a role for none of it.
    let seen = shown(&host, &ben, exceptions[2]).await;
    assert_eq!((members(&seen), seen.proposal.unwrap().digest), (exceptions.clone(), proposal));
    assert_eq!(released(pipeline.approve(&ben, exceptions[2], proposal).await.unwrap()), numbers);
    assert_eq!(states(&host, &numbers).await, [OrderState::Released; 3]);
    assert_eq!(agreed(&host).await, vec![["anna", "ben"]; 3]);
    let again = pipeline.approve(&ben, exceptions[0], proposal).await.unwrap_err().to_string();
    assert!(again.contains("is closed already"), "{again}");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_highest_tier_two_agree_to_all_of_them_or_one_ends_it_for_all() {
    let host = Setup::demo().with_tiers().start().await;
    let numbers = ["PO-1", "PO-2"];
    host.decide_orders(&numbers.map(|number| dear(number, 1000))).await;
    let exceptions = all_held(&host, &numbers).await;
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let ben = host.acts_as("ben", &["approver"]).await;
    let (cleo, dora) =
        (host.acts_as("cleo", &["senior-approver"]).await, host.acts_as("dora", &["senior-approver"]).await);
    let pipeline = &host.host.pipeline;
    let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
    // Each of them is within what ben may approve.
    for refused in [
        pipeline.approve(&ben, exceptions[0], proposal).await.unwrap_err(),
        pipeline.refuse(&ben, exceptions[0], proposal).await.unwrap_err(),
    ] {
        let refused = refused.to_string();
        assert!(refused.contains("found 40000.00 USD") && refused.contains("`senior-approver`"), "{refused}");
    }
    pipeline.refuse(&cleo, exceptions[1], proposal).await.unwrap();
    for exception in &exceptions {
        assert_eq!(story(&host, *exception).await.proposal, None);
    }
    let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
    pipeline.refuse(&anna, exceptions[1], proposal).await.unwrap();
    let gone = pipeline.approve(&cleo, exceptions[0], proposal).await.unwrap_err();
    assert!(matches!(gone, ExceptionError::NoProposal { .. }), "{gone}");

    let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
    let once = pipeline.approve(&cleo, exceptions[0], proposal).await.unwrap();
    assert!(matches!(once, Outcome::Waits { approvals_missing: 1, .. }), "{once:?}");
    let twice = pipeline.approve(&cleo, exceptions[1], proposal).await.unwrap_err().to_string();
    assert!(twice.contains("approved this already"), "{twice}");
    assert_eq!(states(&host, &numbers).await, [OrderState::Held; 2]);
    assert_eq!(released(pipeline.approve(&dora, exceptions[1], proposal).await.unwrap()), numbers);
    assert_eq!(agreed(&host).await, vec![["anna", "cleo", "dora"]; 2]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecided_proposal_about_several_expires_on_all_of_them() {
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&[dear("PO-1", 200), dear("PO-2", 200)]).await;
    let exceptions = all_held(&host, &["PO-1", "PO-2"]).await;
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let ben = host.acts_as("ben", &["approver"]).await;
    let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
    host.clock.advance_to(story(&host, exceptions[0]).await.proposal.unwrap().expires_at);
    let late = host.host.pipeline.approve(&ben, exceptions[0], proposal).await.unwrap_err();
    assert!(matches!(late, ExceptionError::NoProposal { .. }), "{late}");
    host.host.pipeline.escalate_due(|| false).await.unwrap();
    for exception in &exceptions {
        assert_eq!(story(&host, *exception).await.proposal, None);
    }
    assert_eq!(states(&host, &["PO-1", "PO-2"]).await, [OrderState::Held; 2]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_go_keeps_all_of_them_back_and_is_named() {
    let host = obedient().start().await;
    let numbers = ["HOLD-1", "PO-2", "PO-3"];
    host.decide_orders(&[PurchaseOrder::clean("HOLD-1"), dear("PO-2", 1), dear("PO-3", 1)]).await;
    let exceptions = all_held(&host, &numbers).await;
    let pipeline = &host.host.pipeline;
    let ops = host.ops().await;
    let refused = async |who: &SignedIn| match release(&host, who, exceptions[1]).await.unwrap_err() {
        ExceptionError::Apart { exception, cause } => (exception, cause.to_string()),
        other => panic!("{other}"),
    };
    // The model's owner, among whose orders is one that the model held.
    let owner = pipeline.show_exception(exceptions[0]).await.unwrap().owners.remove(0);
    let account = portreeve_pipeline::people::NewAccount {
        email: Some(owner),
        ..people::account("mia", crate::support::EVERY_ROLE)
    };
    pipeline.add_person(&people::root(pipeline).await, account).await.unwrap();
    let mia = people::signed_in(pipeline, "mia").await;
    let (exception, why) = refused(&mia).await;
    assert!(exception == exceptions[0] && why.contains("owns the grant"), "{exception}: {why}");
    // Somebody works on one of them.
    let ben = host.acts_as("ben", &["pricing-resolver"]).await;
    pipeline.work_on_exception(&ben, exceptions[2], Work::Claim).await.unwrap();
    let (exception, why) = refused(&ops).await;
    assert!(exception == exceptions[2] && why.contains("is `ben`'s since"), "{exception}: {why}");
    pipeline.work_on_exception(&ben, exceptions[2], Work::GiveBack).await.unwrap();
    // Its sender wants one of them cancelled, which no release overrides.
    host.send_edi(&with_purpose(9, &dear("PO-2", 1), "01")).await.unwrap();
    host.decide_all().await;
    let (exception, why) = refused(&ops).await;
    assert!(exception == exceptions[1] && why.contains("wish to cancel"), "{exception}: {why}");
    assert_eq!(states(&host, &numbers).await, [OrderState::Held; 3], "nothing was done");
    decide(&host, &ops, exceptions[1], ExceptionAction::Reject).await.unwrap();
    assert_eq!(released(release(&host, &ops, exceptions[0]).await.unwrap()), ["HOLD-1", "PO-3"]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_mended_one_of_them_releases_none_of_them() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1", 1)]).await;
    // A connector that cannot be called keeps the bytes for a person.
    host.host.pipeline.plugins.halt();
    host.send_edi(&x12(7, &dear("PO-2", 1))).await.unwrap();
    host.host.pipeline.plugins.resume();
    let input = waiting(&host).await.into_iter().find(|open| open.kind == ExceptionKind::Input).unwrap();
    let ivan = host.acts_as("ivan", &["integration", "pricing-resolver"]).await;
    decide(&host, &ivan, input.id, ExceptionAction::Retry).await.unwrap();
    host.decide_all().await;
    let exceptions = all_held(&host, &["PO-1", "PO-2"]).await;
    let refused = release(&host, &ivan, exceptions[0]).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("exception {} cannot", exceptions[1])), "{refused}");
    assert!(refused.contains("mended the input"), "{refused}");
    assert_eq!(states(&host, &["PO-1", "PO-2"]).await, [OrderState::Held; 2]);
    release(&host, &host.ops().await, exceptions[0]).await.unwrap();
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_about_one_of_them_makes_all_of_them_stale() {
    let host = Setup::demo().with_tiers().start().await;
    let numbers = ["PO-1", "PO-2"];
    host.decide_orders(&numbers.map(|number| dear(number, 200))).await;
    let exceptions = all_held(&host, &numbers).await;
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let ben = host.acts_as("ben", &["approver"]).await;
    let pipeline = &host.host.pipeline;
    let seen = shown(&host, &anna, exceptions[0]).await.digest;
    let send = async |body: &[u8]| {
        host.send_edi(body).await.unwrap();
        host.decide_all().await;
    };
    // One more, and it is named.
    send(&x12(10, &dear("PO-3", 1))).await;
    let third = held(&host, "PO-3").await;
    let stale = pipeline.decide_together(&anna, exceptions[0], seen, "looked at").await.unwrap_err().to_string();
    assert!(stale.contains(&format!("there came exception {third}: ")) && stale.contains("order PO-3"), "{stale}");
    // A hold more, after it was proposed; it is gone from all, and the approver hears why.
    let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
    let seen = shown(&host, &anna, exceptions[0]).await.digest;
    send(&with_purpose(11, &dear("PO-2", 200), "01")).await;
    let stale = pipeline.approve(&ben, third, proposal).await.unwrap_err();
    assert!(matches!(stale, ExceptionError::StaleTogether { .. }), "{stale}");
    let stale = stale.to_string();
    assert!(stale.contains(&format!("exception {}: ", exceptions[1])), "{stale}");
    assert!(stale.contains("its sender wants it cancelled") && !stale.contains("PO-1"), "{stale}");
    for exception in [exceptions[0], exceptions[1], third] {
        assert_eq!(story(&host, exception).await.proposal, None);
    }
    let stale = pipeline.decide_together(&anna, exceptions[0], seen, "looked at").await.unwrap_err().to_string();
    assert!(stale.contains("now 3 go together") && stale.contains("its sender wants it cancelled"), "{stale}");
    assert_eq!(states(&host, &["PO-1", "PO-2", "PO-3"]).await, [OrderState::Held; 3]);
    host.verify().await.unwrap();
}

/// Both faults of the write that comes after so many good ones.
fn faults(good: u32) -> [(Fault, u32); 2] {
    [(Fault::NotPersisted, good), (Fault::PersistedButFailed, good)]
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_two_orders_the_rest_is_released_when_the_approver_asks_again() {
    let numbers = ["PO-1", "PO-2", "PO-3"];
    for (fault, good) in [faults(0), faults(1), faults(2)].concat() {
        let host = Setup::demo().with_tiers().start().await;
        host.decide_orders(&numbers.map(|number| dear(number, 100))).await;
        let exceptions = all_held(&host, &numbers).await;
        let anna = host.acts_as("anna", &["pricing-resolver"]).await;
        let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
        host.acts_as("ben", &["approver"]).await;
        let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "commit_review", fault, good)).await;
        let ben = people::signed_in(&host.host.pipeline, "ben").await;
        let failed = host.host.pipeline.approve(&ben, exceptions[0], proposal).await.unwrap_err();
        let partly = matches!(&failed, ExceptionError::Partly { done, all: 3, .. } if *done == good as usize);
        assert_eq!(partly, good > 0, "{failed}");
        let host = host.restart().await;
        let done = states(&host, &numbers).await.into_iter().filter(|state| *state == OrderState::Released).count();
        assert_eq!(done, good as usize + usize::from(fault == Fault::PersistedButFailed));
        // The same person, the same exception, the same digest.
        let ben = people::signed_in(&host.host.pipeline, "ben").await;
        let again = host.host.pipeline.approve(&ben, exceptions[0], proposal).await;
        assert_eq!(again.is_ok(), done < 3, "where all of it was done it says so: {again:?}");
        assert_eq!(states(&host, &numbers).await, [OrderState::Released; 3]);
        assert_eq!(agreed(&host).await, vec![["anna", "ben"]; 3]);
        host.deliver_all().await;
        assert_eq!(host.erp.sales_orders().len(), 3, "each of them once");
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_go_when_one_person_released_all_is_found_by_the_one_that_went() {
    let numbers = ["PO-1", "PO-2", "PO-3"];
    let host = TestHost::demo().await;
    host.decide_orders(&numbers.map(|number| dear(number, 1))).await;
    let exceptions = all_held(&host, &numbers).await;
    host.acts_as("anna", &["pricing-resolver"]).await;
    let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "commit_review", Fault::NotPersisted, 1)).await;
    let anna = people::signed_in(&host.host.pipeline, "anna").await;
    let seen = shown(&host, &anna, exceptions[0]).await.digest;
    let pipeline = &host.host.pipeline;
    let again = async || pipeline.decide_together(&anna, exceptions[0], seen, "the buyer called").await.unwrap_err();
    let failed = again().await;
    assert!(matches!(failed, ExceptionError::Partly { done: 1, all: 3, .. }), "{failed}");
    // Nobody releases the rest by what was said of all: it says which are left, and they are shown.
    let stale = again().await.to_string();
    assert!(stale.contains(&format!("now 2 go together, exception {}: ", exceptions[1])), "{stale}");
    let left = shown(&host, &anna, exceptions[0]).await;
    assert_eq!((left.lead, members(&left)), (exceptions[1], exceptions[1..].to_vec()));
    // The first of them becomes others' work: the other one is decided about, and by its number.
    let reroute = decision(&host, exceptions[1], ExceptionAction::Reroute).await;
    pipeline.decide_exception(&anna, Decision { queue: Some("order-desk"), ..reroute }).await.unwrap();
    let left = shown(&host, &anna, exceptions[0]).await;
    assert_eq!((left.lead, members(&left)), (exceptions[2], exceptions[2..].to_vec()));
    assert_eq!(released(release(&host, &anna, exceptions[0]).await.unwrap()), ["PO-3"]);
    assert_eq!(states(&host, &numbers).await, [OrderState::Released, OrderState::Held, OrderState::Released]);
    release(&host, &host.ops().await, exceptions[1]).await.unwrap();
    let over = pipeline.show_together(Some(&anna), exceptions[0]).await.unwrap_err().to_string();
    assert!(over.contains("is closed already"), "{over}");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_is_proposed_or_agreed_to_the_rest_follows_when_the_same_person_asks_again() {
    let numbers = ["PO-1", "PO-2", "PO-3"];
    for (fault, good) in [faults(0), faults(1), faults(2)].concat() {
        let host = Setup::demo().with_tiers().start().await;
        host.decide_orders(&numbers.map(|number| dear(number, 1000))).await;
        let exceptions = all_held(&host, &numbers).await;
        host.acts_as("anna", &["pricing-resolver"]).await;
        host.acts_as("cleo", &["senior-approver"]).await;
        host.acts_as("dora", &["senior-approver"]).await;
        let faulty = async |host: TestHost| {
            host.restart_behind(|store| FaultyStore::new(store, "step_exception", fault, good)).await.0
        };
        let host = faulty(host).await;
        let anna = people::signed_in(&host.host.pipeline, "anna").await;
        let seen = shown(&host, &anna, exceptions[0]).await.digest;
        let propose = async |host: &TestHost| {
            let anna = people::signed_in(&host.host.pipeline, "anna").await;
            host.host.pipeline.decide_together(&anna, exceptions[0], seen, "looked at").await
        };
        assert!(propose(&host).await.is_err());
        let host = host.restart().await;
        let all_there = good == 2 && fault == Fault::PersistedButFailed;
        let again = propose(&host).await;
        assert_eq!(again.is_err(), all_there, "where all of it was proposed it waits: {again:?}");
        let proposal = story(&host, exceptions[2]).await.proposal.unwrap().digest;

        // Half of it has one approval more than the other half.
        let host = faulty(host).await;
        let cleo = people::signed_in(&host.host.pipeline, "cleo").await;
        assert!(host.host.pipeline.approve(&cleo, exceptions[0], proposal).await.is_err());
        let host = host.restart().await;
        let pipeline = &host.host.pipeline;
        let (cleo, dora) = (people::signed_in(pipeline, "cleo").await, people::signed_in(pipeline, "dora").await);
        let again = pipeline.approve(&cleo, exceptions[0], proposal).await;
        assert_eq!(again.is_err(), all_there, "nobody agrees twice: {again:?}");
        assert_eq!(states(&host, &numbers).await, [OrderState::Held; 3]);
        pipeline.approve(&dora, exceptions[0], proposal).await.unwrap();
        assert_eq!(states(&host, &numbers).await, [OrderState::Released; 3]);
        assert_eq!(agreed(&host).await, vec![["anna", "cleo", "dora"]; 3]);
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agreed_to_in_halves_by_two_each_order_has_the_approvals_that_it_takes() {
    let numbers = ["PO-1", "PO-2"];
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&numbers.map(|number| dear(number, 1000))).await;
    let exceptions = all_held(&host, &numbers).await;
    let anna = host.acts_as("anna", &["pricing-resolver"]).await;
    let proposal = proposed(&release(&host, &anna, exceptions[0]).await.unwrap());
    host.acts_as("cleo", &["senior-approver"]).await;
    host.acts_as("dora", &["senior-approver"]).await;
    let (host, _) =
        host.restart_behind(|store| FaultyStore::new(store, "step_exception", Fault::NotPersisted, 1)).await;
    let cleo = people::signed_in(&host.host.pipeline, "cleo").await;
    host.host.pipeline.approve(&cleo, exceptions[0], proposal).await.unwrap_err();
    let host = host.restart().await;
    let pipeline = &host.host.pipeline;
    let (cleo, dora) = (people::signed_in(pipeline, "cleo").await, people::signed_in(pipeline, "dora").await);
    // Dora is the second at one of them, and the first at the other.
    let waits = pipeline.approve(&dora, exceptions[1], proposal).await.unwrap();
    assert!(matches!(waits, Outcome::Waits { approvals_missing: 1, .. }), "{waits:?}");
    assert_eq!(states(&host, &numbers).await, [OrderState::Released, OrderState::Held]);
    let twice = pipeline.approve(&dora, exceptions[1], proposal).await.unwrap_err().to_string();
    assert!(twice.contains("approved this already"), "{twice}");
    // By the one that is released already.
    assert_eq!(released(pipeline.approve(&cleo, exceptions[0], proposal).await.unwrap()), ["PO-2"]);
    assert_eq!(agreed(&host).await, [["anna", "cleo", "dora"], ["anna", "dora", "cleo"]]);
    host.verify().await.unwrap();
}
