//! Components that other people's tools made run as scorers beside our own: one of
//! Python, one of JavaScript, one of Rust for `wasm32-wasip2`.
//!
//! They import an environment, clocks, files and sockets, and find nothing there: each
//! says in its answer what it looked for (`tests/foreign`). What they say depends on
//! the order and the seed alone, so it is the same in another process's place, but for what
//! is drawn from the seed, and is derived again like everybody's.

mod tools;

use std::path::PathBuf;

use portreeve_model::advice::Assessment;
use portreeve_pipeline::rederive::Rederived;
use portreeve_store::contract::OrderState;

use crate::support::{PurchaseOrder, Setup, TestHost};

/// A component from elsewhere, and what is expected of it.
struct Guest {
    name: &'static str,
    component: PathBuf,
    grant: &'static str,
    /// What it finds to be as it should.
    finds: &'static [&'static str],
}

/// An interpreter's memory, and the modules that it is linked of.
const PYTHON_GRANT: &str = "{ limits = { memory_bytes = 268435456, instances = 32 } }";

/// Those that can be made here; the others were said to be skipped.
fn guests() -> Vec<Guest> {
    let made = [
        (
            "foreign-python",
            tools::python(),
            PYTHON_GRANT,
            &["no-environment", "no-files", "no-network", "no-time-passes", "the-time-of-receipt", "waiting-is-free"][..],
        ),
        ("foreign-js", tools::javascript(), "{}", &["no-network", "no-time-passes", "the-time-of-receipt"][..]),
        (
            "foreign-wasip2",
            tools::wasip2(),
            "{}",
            &["no-environment", "no-files", "no-network", "no-time-passes", "the-time-of-receipt", "waiting-is-free"][..],
        ),
    ];
    made.into_iter()
        .filter_map(|(name, component, grant, finds)| Some(Guest { name, component: component?, grant, finds }))
        .collect()
}

/// A host whose channels ask these guests and one scorer of ours.
fn asking(guests: &[Guest]) -> Setup {
    let names: Vec<&str> = guests.iter().map(|guest| guest.name).chain(["margin"]).collect();
    let host = Setup::demo().scorers(&names);
    guests.iter().fold(host, |host, guest| host.plugin_at(guest.name, &guest.component, guest.grant))
}

fn orders() -> Vec<PurchaseOrder> {
    vec![PurchaseOrder::clean("PO-1"), PurchaseOrder::clean("PO-2").with_lines(&[("FST-1007", 10, "BX", "18.40")])]
}

/// What each scorer said about each order.
async fn assessments(host: &TestHost) -> Vec<(String, String, Assessment)> {
    let mut said = Vec::new();
    for order in host.orders().await {
        for scoring in host.decision(&order).await.scorings {
            let failure = scoring.failure;
            let assessment = scoring.assessment.unwrap_or_else(|| panic!("{}: {failure:?}", scoring.plugin));
            said.push((order.number.clone(), scoring.plugin.to_string(), assessment));
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_of_other_tools_score_find_nothing_around_them_and_are_derived_again() {
    let guests = guests();
    let host = asking(&guests).start().await;
    let decided = host.decide_orders(&orders()).await;
    assert!(decided.iter().all(|order| order.state == OrderState::Released), "{:?}", host.exceptions().await);

    let said = assessments(&host).await;
    assert_eq!(said.len(), orders().len() * (guests.len() + 1));
    for (number, plugin, assessment) in &said {
        let Some(guest) = guests.iter().find(|guest| guest.name == plugin) else { continue };
        let codes: Vec<&str> = assessment.reasons.iter().map(|reason| reason.code.as_str()).collect();
        for expected in guest.finds {
            assert!(codes.contains(expected), "{plugin} about {number}: no `{expected}` in {codes:?}");
        }
        let lines = if number == "PO-1" { 2 } else { 1 };
        assert_eq!(usize::from(assessment.score_bp), lines * 100);
        assert_eq!(codes.iter().filter(|code| **code == "line").count(), lines);
    }

    // The same host later, and another one that never saw these orders.
    let host = host.restart().await;
    for order in &decided {
        match host.rederive(order.id).await.unwrap() {
            Rederived::Same(compared) if compared.left_out.is_empty() => {
                assert_eq!(compared.scorers, guests.len() + 1);
            }
            other => panic!("{}: {other:?}", order.number),
        }
    }
    host.verify().await.unwrap();
    let other = asking(&guests).workers(1).start().await;
    other.decide_orders(&orders()).await;
    // Another host's seeds are its own, or a seed would tell what the order was: what was drawn
    // differs, and nothing else.
    let here = without_draws(said);
    assert_eq!(here, without_draws(assessments(&other).await));
}

fn without_draws(mut said: Vec<(String, String, Assessment)>) -> Vec<(String, String, Assessment)> {
    for (_, _, assessment) in &mut said {
        assessment.reasons.retain(|reason| reason.code != "drawn");
    }
    said
}
