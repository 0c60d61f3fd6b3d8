//! The main job, as its first reader runs it: sums that add up, a leaf for every
//! verdict, one sales order per delivery, and the same decisions every time.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve::config::Files;
use portreeve::demo::{self, DemoOptions, Report};
use portreeve::host::{self, Locations};
use portreeve::output::Output;
use portreeve_authority::people::Actor;
use portreeve_model::OrderId;
use portreeve_record::leaf::DecideLeaf;
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::Store;
use portreeve_store::contract::DocumentPosition;

async fn run(folder: &std::path::Path, workers: usize) -> Report {
    let options = DemoOptions { data_dir: Some(folder.to_owned()), workers: Some(workers), json: false };
    demo::run(&options, &mut Output::silent()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_adds_up_is_on_record_and_decides_alike_with_one_worker_and_four() {
    let folder = tempfile::tempdir().unwrap();
    let (one, four) = (folder.path().join("one"), folder.path().join("four"));
    let report = run(&one, 1).await;
    let again = run(&four, 4).await;

    assert!(report.orders >= 200, "{}", report.orders);
    the_parts_are_the_whole(&report);
    for (what, count) in [
        ("released", report.released),
        ("held", report.held),
        ("routed", report.routed),
        ("refused", report.refused),
        ("recommended", report.recommended),
        ("changes and cancellations", report.order_events),
        ("rejected inputs", report.rejected_inputs),
        ("duplicates", report.duplicates),
        ("granted", report.proposals.granted),
        ("narrowed", report.proposals.narrowed),
        ("refused proposals", report.proposals.refused),
        ("further attempts", report.deliveries.retried),
    ] {
        assert!(count > 0, "the samples show no {what}");
    }
    assert!(report.recommended <= report.orders);
    assert_eq!(report.deliveries.delivered + report.deliveries.dead, report.released);
    assert_eq!(report.deliveries.booked, report.deliveries.delivered, "something was sent twice or not at all");
    assert_eq!(report.inputs.fed, report.inputs.kept + report.inputs.refused + report.inputs.repeated);
    assert!(report.inputs.repeated > 0 && report.duplicates >= report.inputs.repeated);
    assert_eq!(report.contradiction(), None);
    for change in [
        |report: &mut Report| report.inputs.kept -= 1,
        |report: &mut Report| report.inputs.repeated += 1,
        |report: &mut Report| report.exceptions += 1,
        |report: &mut Report| report.deliveries.booked += 1,
        |report: &mut Report| report.deliveries.booked -= 1,
    ] {
        let mut wrong = report.clone();
        change(&mut wrong);
        assert!(wrong.contradiction().is_some(), "a lost input or a doubled sales order shows in the sums");
    }
    assert!(report.audit.verified);
    assert_eq!(report.decisions_digest, again.decisions_digest);
    let locations = Locations::below(&one, &one.join("unused"));
    let store: Arc<dyn Store> = locations.store().unwrap();
    every_verdict_has_its_leaf(&store, &report).await;
    somebody_works_on_every_queue_and_somebody_else_approves_in_it(&store).await;
}

/// In what programs read, too: every order is in one state, and what is no order in none of them.
fn the_parts_are_the_whole(report: &Report) {
    assert_eq!(usize::try_from(report.orders).unwrap(), report.rows.len(), "the table has a row for each");
    let read = serde_json::to_value(report).unwrap();
    let states = ["released", "held", "routed", "refused", "exceptions"];
    let sum: u64 = states.iter().map(|state| read[state].as_u64().unwrap()).sum();
    assert_eq!(read["orders"].as_u64(), Some(sum));
    for state in states {
        let rows = report.rows.iter().filter(|row| row.verdict == state.trim_end_matches("s"));
        assert_eq!(read[state].as_u64(), u64::try_from(rows.count()).ok(), "{state}");
    }
}

/// Whatever waits after the demo can be tried out on.
async fn somebody_works_on_every_queue_and_somebody_else_approves_in_it(store: &Arc<dyn Store>) {
    let active = host::active(store).await.unwrap();
    let configuration = Files::from_bytes(&active.bytes).unwrap().check().unwrap();
    let (people, queues) = (&configuration.people, &configuration.host.queues);
    let accounts = store.people(None, 10).await.unwrap();
    assert!(!queues.is_empty() && accounts.len() < 10, "{queues:?}, {accounts:?}");
    for queue in queues {
        let (mut work, mut approve) = (Vec::new(), Vec::new());
        for person in accounts.iter().map(|account| &account.person) {
            let actor = Actor { name: person.name.as_str(), email: person.email.as_deref(), roles: &person.roles };
            if people.may_work_on(actor, queue).is_ok() {
                work.push(person.name.as_str());
            } else if people.queues_of(actor).contains(&queue.as_str()) {
                approve.push(person.name.as_str());
            }
        }
        assert!(!work.is_empty() && !approve.is_empty(), "queue `{queue}`: {work:?} work on it, {approve:?} approve");
    }
}

async fn every_verdict_has_its_leaf(store: &Arc<dyn Store>, report: &Report) {
    let mut leaves: BTreeMap<OrderId, DecideLeaf> = BTreeMap::new();
    let mut from = 0;
    loop {
        let page = store.sequenced(from, 256).await.unwrap();
        let Some((last, _, _)) = page.last() else { break };
        from = last + 1;
        for (_, _, bytes) in &page {
            if let LeafBody::Decide(leaf) = Leaf::parse(bytes).unwrap().body
                && let Some(order) = leaf.order
            {
                assert!(leaves.insert(order, leaf).is_none(), "order {order} was decided twice");
            }
        }
    }
    assert_eq!(from, report.audit.entries);
    let (mut orders, mut proposals) = (0, 0);
    let mut after = DocumentPosition(0);
    loop {
        let page = store.orders(after, 256).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        for order in page {
            let leaf = &leaves[&order.id];
            assert_eq!(leaf.decision, Some(order.decision.commitment));
            assert_eq!(leaf.configuration, order.configuration);
            orders += 1;
            proposals += u64::from(leaf.proposals.count());
        }
    }
    assert_eq!(orders, leaves.len());
    assert_eq!(proposals, report.proposals.granted + report.proposals.narrowed + report.proposals.refused);
}
