//! How models and people get on: the host's figures beside those that the audit log alone
//! gives, after whatever people did.

use std::collections::{BTreeMap, BTreeSet};

use portreeve::clock::SystemClock;
use portreeve_model::{ExceptionAction, Instant};
use portreeve_pipeline::exception::{Decision, Work};
use portreeve_pipeline::{Clock, SignedIn};
use portreeve_record::LeafBody;
use portreeve_record::leaf::{DecideLeaf, ExceptionLeaf, HoldRecord, LeafRecord, ProposalOutcome};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::authority::{GRANT, POLICY};
use crate::front::commands;
use crate::support::exceptions::{decide, waiting};
use crate::support::{PurchaseOrder, Setup, TestHost, x12, x12_of};

use ExceptionAction::{Abandon, ConfirmHolds, Reject, ReleaseHolds, Reroute, Retry};

/// A model that asks for what the sender says, and may hold a lot.
fn asking() -> Setup {
    Setup::demo()
        .scorers(&["obeys-the-sender"])
        .plugin("obeys-the-sender", "{}")
        .append(
            "grants.toml",
            &GRANT.replace("value_held_per_day_max_minor = 30000", "value_held_per_day_max_minor = 9000000"),
        )
        .append("policies.cedar", POLICY)
        .with_tiers()
}

fn order(number: &str, boxes: u32) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", boxes, "BX", "18.40")])
}

// --- the log alone -------------------------------------------------------------------------------

/// What was proposed, what became of it, and for want of what.
type Kind = (String, String, String);

/// What is counted again.
#[derive(Debug, Default)]
struct Recount {
    opened: BTreeMap<String, Instant>,
    weighed: BTreeMap<(String, String), BTreeMap<Kind, u64>>,
    judged: BTreeMap<u64, Judged>,
    queues: BTreeMap<String, Worked>,
    had: BTreeSet<u64>,
    looked: BTreeMap<(String, String), Vec<i64>>,
    last: BTreeMap<String, Instant>,
    holds: Vec<Instant>,
}

#[derive(Debug)]
struct Judged {
    plugin: String,
    component: String,
    how: &'static str,
    after_ms: i64,
}

#[derive(Debug, Default)]
struct Worked {
    claim: Vec<i64>,
    decide: Vec<i64>,
    decisions: BTreeMap<String, u64>,
    due: u64,
    expired: u64,
}

impl Recount {
    fn of(leaves: &[LeafRecord]) -> Self {
        let mut recount = Self::default();
        for leaf in leaves {
            match &leaf.body {
                LeafBody::Decide(decided) => recount.decided(decided, leaf.at),
                LeafBody::Exception(said) => recount.said(said, leaf.at),
                LeafBody::Review(review) if review.who.is_some() => {
                    let order = review.order.to_string();
                    review.closed.shown().iter().for_each(|hold| recount.judged(hold, &order, "overridden", leaf.at));
                }
                LeafBody::Escalation(told) => {
                    recount.queues.entry(told.from.as_ref().unwrap().to_string()).or_default().due += 1
                }
                _ => {}
            }
        }
        recount
    }

    fn decided(&mut self, decided: &DecideLeaf, at: Instant) {
        let Some(order) = decided.order else { return };
        self.opened.insert(order.to_string(), at);
        let mut holds = false;
        for proposal in decided.proposals.shown() {
            let scored = decided.crossings.shown().iter().find(|crossing| crossing.plugin == proposal.scorer).unwrap();
            let outcome = match proposal.outcome {
                ProposalOutcome::Granted => "granted",
                ProposalOutcome::Narrowed => "narrowed",
                ProposalOutcome::Refused => "refused",
            };
            let clause = proposal.clause.as_ref().map(ToString::to_string).unwrap_or_default();
            let of = (proposal.scorer.to_string(), scored.component.to_string());
            let kind = (proposal.proposal.to_string(), outcome.to_owned(), clause);
            *self.weighed.entry(of).or_default().entry(kind).or_default() += 1;
            holds |= proposal.effect.as_str() == "hold" && outcome != "refused";
        }
        if holds {
            self.holds.push(at);
        }
    }

    fn judged(&mut self, hold: &HoldRecord, order: &str, how: &'static str, at: Instant) {
        let (Some(plugin), Some(component)) = (&hold.plugin, hold.component) else { return };
        let (plugin, component) = (plugin.to_string(), component.to_string());
        let after_ms = at.0 - self.opened[order].0;
        self.judged.insert(hold.hold, Judged { plugin, component, how, after_ms });
    }

    fn said(&mut self, said: &ExceptionLeaf, at: Instant) {
        let queue = said.queue.as_ref().unwrap().to_string();
        let waited = at.0 - said.opened_at.unwrap().0;
        // Two words of the log say what becomes of an order.
        let code = match said.code.as_str() {
            "rejected" => "reject",
            "replayed" => "retry",
            code => code,
        };
        let how = if code == "reject" { "rejected" } else { "confirmed" };
        for hold in said.agreed_with.shown() {
            self.judged(hold, &said.order.unwrap().to_string(), how, at);
        }
        let worked = self.queues.entry(queue.clone()).or_default();
        let decides = ["confirmed", "release-holds", "reject", "resubmit", "retry", "abandon"].contains(&code);
        match code {
            "claimed" | "assigned" if self.had.insert(said.exception) => worked.claim.push(waited),
            "expired" => worked.expired += 1,
            _ => {}
        }
        if decides {
            worked.decide.push(waited);
            *worked.decisions.entry(code.to_owned()).or_default() += 1;
        }
        if decides || ["proposed", "approved"].contains(&code) {
            let who = said.who.as_ref().unwrap().to_string();
            let before = self.last.insert(who.clone(), at);
            if before == Some(at) {
                return;
            }
            let since = before.map_or(0, |before| before.0).max(said.since.unwrap().0);
            self.looked.entry((queue, who)).or_default().push(at.0 - since);
        }
    }

    /// As the host tells it.
    fn told(&self) -> Value {
        let mut models: BTreeSet<(String, String)> = self.weighed.keys().cloned().collect();
        models.extend(self.judged.values().map(|judged| (judged.plugin.clone(), judged.component.clone())));
        let models = models.into_iter().map(|(plugin, component)| {
            let of = |judged: &&Judged| judged.plugin == plugin && judged.component == component;
            let count = |how: &str| self.judged.values().filter(of).filter(|judged| judged.how == how).count() as u64;
            let (rejected, overridden) = (count("rejected"), count("overridden"));
            let accepted = rejected + count("confirmed");
            let share = |part: u64| (accepted + overridden > 0).then(|| part * 10_000 / (accepted + overridden));
            let weighed = self.weighed.get(&(plugin.clone(), component.clone())).into_iter().flatten();
            let proposals: Vec<Value> = weighed
                .map(|((proposed, outcome, clause), count)| {
                    let clause = (!clause.is_empty()).then_some(clause);
                    json!({ "proposed": proposed, "outcome": outcome, "clause": clause, "count": count })
                })
                .collect();
            json!({
                "plugin": plugin, "component": component, "proposals": proposals, "accepted": accepted,
                "rejected": rejected, "overridden": overridden, "acceptanceBp": share(accepted),
                "overrideBp": share(overridden),
                "timeToDecide": times(self.judged.values().filter(of).map(|judged| judged.after_ms).collect()),
            })
        });
        let queues = self.queues.iter().map(|(queue, worked)| {
            json!({
                "queue": queue, "timeToClaim": times(worked.claim.clone()),
                "timeToDecide": times(worked.decide.clone()), "decisions": worked.decisions,
                "undecidedWhenDue": worked.due, "proposalsExpired": worked.expired,
            })
        });
        let people = self.looked.iter().map(|((queue, who), looked)| {
            let peers = self.looked.iter().filter(|((of, other), _)| of == queue && other != who);
            let peers: Vec<i64> = peers.flat_map(|(_, looked)| looked.clone()).collect();
            let (own, others) = (times(looked.clone()), times(peers.clone()));
            let enough = looked.len() >= 10 && peers.len() >= 10;
            let stamp = enough && own["medianMs"].as_i64().unwrap() * 4 < others["medianMs"].as_i64().unwrap();
            json!({ "who": who, "queue": queue, "looked": own, "peers": others, "rubberStamp": stamp })
        });
        json!({
            "models": models.collect::<Vec<_>>(), "queues": queues.collect::<Vec<_>>(),
            "people": people.collect::<Vec<_>>(),
        })
    }
}

/// The smallest that half, and nine of ten, do not exceed.
fn times(mut durations: Vec<i64>) -> Value {
    durations.sort_unstable();
    let reached =
        |share: f64| durations.iter().enumerate().find(|(nth, _)| (nth + 1) as f64 >= share * durations.len() as f64);
    let (half, most) = (reached(0.5).map(|(_, ms)| ms), reached(0.9).map(|(_, ms)| ms));
    json!({ "count": durations.len(), "medianMs": half, "p90Ms": most })
}

/// What the front door tells, without the times of the look and without budgets.
async fn told(host: &TestHost, hours: u32) -> Value {
    let door = host.front_door().await;
    let mut told: Value = serde_json::from_str(&door.ask(&format!("/v1/oversight?hours={hours}")).await).unwrap();
    door.close().await;
    let told = told.as_object_mut().unwrap();
    json!({ "models": told["models"], "queues": told["queues"], "people": told["people"] })
}

// --- whatever people do --------------------------------------------------------------------------

#[derive(Debug, Clone)]
enum Try {
    Order { model: &'static str, boxes: u32 },
    Decide { who: usize, nth: usize, action: ExceptionAction },
    Together { who: usize, nth: usize },
    Approve { who: usize, nth: usize },
    Refuse { who: usize, nth: usize },
    Work { who: usize, nth: usize, claim: bool },
    Assign { who: usize, nth: usize, to: usize },
    Wait { seconds: i64 },
}

fn a_try() -> impl Strategy<Value = Try> {
    let (who, nth) = (0..3_usize, 0..6_usize);
    let action = prop::sample::select(vec![ReleaseHolds, ReleaseHolds, ConfirmHolds, Reject, Reroute, Retry, Abandon]);
    prop_oneof![
        2 => (prop::sample::select(vec!["HOLD", "ROUTE", "WISH", "PLAIN"]), prop::sample::select(vec![1, 400, 2_000]))
            .prop_map(|(model, boxes)| Try::Order { model, boxes }),
        5 => (who.clone(), nth.clone(), action).prop_map(|(who, nth, action)| Try::Decide { who, nth, action }),
        2 => (who.clone(), nth.clone()).prop_map(|(who, nth)| Try::Together { who, nth }),
        3 => (who.clone(), nth.clone()).prop_map(|(who, nth)| Try::Approve { who, nth }),
        1 => (who.clone(), nth.clone()).prop_map(|(who, nth)| Try::Refuse { who, nth }),
        2 => (who.clone(), nth.clone(), any::<bool>()).prop_map(|(who, nth, claim)| Try::Work { who, nth, claim }),
        1 => (who.clone(), nth, who).prop_map(|(who, nth, to)| Try::Assign { who, nth, to }),
        3 => (1..20_000_i64).prop_map(|seconds| Try::Wait { seconds }),
    ]
}

async fn start() -> (TestHost, [SignedIn; 3]) {
    let host = asking().start().await;
    let roles = ["pricing-resolver", "order-desk", "integration", "senior-approver"];
    let people =
        [host.acts_as("anna", &roles).await, host.acts_as("ben", &roles).await, host.acts_as("cleo", &roles).await];
    // What a connector could not read, and what a model held.
    host.host.pipeline.plugins.halt();
    host.send_edi(&x12(1, &order("PO-UNREAD", 1))).await.unwrap();
    host.host.pipeline.plugins.resume();
    host.send_edi(&x12_of(2, &[order("HOLD-A", 1), order("HOLD-B", 400), order("ROUTE-C", 1)])).await.unwrap();
    host.decide_all().await;
    (host, people)
}

async fn send(host: &TestHost, control: u32, number: &str) {
    host.send_edi(&x12(control, &order(number, 1))).await.unwrap();
    host.decide_all().await;
}

/// Takes it, if it can be taken.
async fn attempt(host: &TestHost, people: &[SignedIn; 3], act: &Try, control: u32) {
    let pipeline = &host.host.pipeline;
    let open = waiting(host).await;
    let nth = |nth: usize| open.get(nth % open.len().max(1)).map(|open| open.id);
    match *act {
        Try::Order { model, boxes } => {
            host.send_edi(&x12(control, &order(&format!("{model}-{control}"), boxes))).await.unwrap();
            host.decide_all().await;
        }
        Try::Decide { who, nth: at, action } => {
            let Some(exception) = nth(at) else { return };
            let shown = pipeline.show_exception(exception).await.unwrap();
            let holds = if action == ReleaseHolds { shown.open_holds() } else { vec![] };
            let queue = (action == Reroute)
                .then(|| if shown.trail.exception.queue == "pricing" { "order-desk" } else { "pricing" });
            let decision = Decision {
                exception,
                shown: shown.digest,
                action,
                reason: "looked",
                holds: &holds,
                queue,
                payload: None,
            };
            drop(pipeline.decide_exception(&people[who], decision).await);
            host.decide_all().await;
        }
        Try::Together { who, nth: at } => {
            let Some(exception) = nth(at) else { return };
            let Ok(group) = pipeline.show_together(Some(&people[who]), exception).await else { return };
            drop(pipeline.decide_together(&people[who], exception, group.digest, "all of them").await);
        }
        Try::Approve { who, nth: at } | Try::Refuse { who, nth: at } => {
            let Some(exception) = nth(at) else { return };
            let Some(open) = pipeline.show_exception(exception).await.unwrap().trail.proposal else { return };
            if matches!(act, Try::Approve { .. }) {
                drop(pipeline.approve(&people[who], exception, open.digest).await);
            } else {
                drop(pipeline.refuse(&people[who], exception, open.digest).await);
            }
        }
        Try::Work { who, nth: at, claim } => {
            let Some(exception) = nth(at) else { return };
            let work = if claim { Work::Claim } else { Work::GiveBack };
            drop(pipeline.work_on_exception(&people[who], exception, work).await);
        }
        Try::Assign { who, nth: at, to } => {
            let Some(exception) = nth(at) else { return };
            let work = Work::Assign(people[to].name().as_str());
            drop(pipeline.work_on_exception(&people[who], exception, work).await);
        }
        Try::Wait { seconds } => {
            host.clock.advance_to(host.clock.now().plus_ms(seconds * 1_000));
            pipeline.escalate_due(|| false).await.unwrap();
        }
    }
}

#[test]
fn whatever_people_do_the_log_alone_gives_the_same_figures() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 10, failure_persistence: None, ..Config::default() });
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let done = runner.run(&prop::collection::vec(a_try(), 20..60), |tries| {
        runtime.block_on(async {
            let (host, people) = start().await;
            for (control, act) in (10..).zip(&tries) {
                attempt(&host, &people, act, control).await;
            }
            // And something that nobody agrees to in time.
            let large = Try::Order { model: "HOLD", boxes: 400 };
            attempt(&host, &people, &large, 900).await;
            for nth in 0..waiting(&host).await.len() {
                attempt(&host, &people, &Try::Decide { who: 0, nth, action: ReleaseHolds }, 901).await;
            }
            attempt(&host, &people, &Try::Wait { seconds: 40_000 }, 902).await;
            let recount = Recount::of(&host.leaves().await).told();
            prop_assert_eq!(told(&host, 744).await, recount.clone());
            seen.borrow_mut().extend(said(&recount));
            host.verify().await.unwrap();
            Ok(())
        })
    });
    done.unwrap();
    for said in ["accepted", "overridden", "rejected", "narrowed or refused", "claimed", "expired", "due", "looked"] {
        assert!(seen.borrow().contains(said), "nothing was ever {said}: {:?}", seen.borrow());
    }
}

/// What a recount has something of.
fn said(recount: &Value) -> Vec<&'static str> {
    let mut said = Vec::new();
    for model in recount["models"].as_array().unwrap() {
        for what in ["accepted", "overridden", "rejected"] {
            said.extend((model[what] != 0).then_some(what));
        }
        let refused = model["proposals"].as_array().unwrap().iter().any(|proposals| !proposals["clause"].is_null());
        said.extend(refused.then_some("narrowed or refused"));
    }
    for queue in recount["queues"].as_array().unwrap() {
        said.extend((queue["timeToClaim"]["count"] != 0).then_some("claimed"));
        said.extend((queue["proposalsExpired"] != 0).then_some("expired"));
        said.extend((queue["undecidedWhenDue"] != 0).then_some("due"));
    }
    said.extend((recount["people"] != json!([])).then_some("looked"));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_is_no_override_and_what_the_host_ends_is_neither() {
    let (host, [anna, ..]) = start().await;
    send(&host, 90, "HOLD-D").await;
    let exception = async |number: &str| {
        let order = host.order(number).await.id;
        waiting(&host).await.into_iter().find(|open| open.order == Some(order)).unwrap().id
    };
    decide(&host, &anna, exception("HOLD-A").await, ConfirmHolds).await.unwrap();
    decide(&host, &anna, exception("HOLD-A").await, ConfirmHolds).await.unwrap();
    decide(&host, &anna, exception("ROUTE-C").await, Reject).await.unwrap();
    let fraud = |told: &Value| {
        let model = &told["models"][0];
        ["accepted", "rejected", "overridden", "acceptanceBp", "overrideBp"].map(|what| model[what].clone())
    };
    let told_so = told(&host, 24).await;
    assert_eq!(fraud(&told_so), [json!(2), json!(1), json!(0), json!(10_000), json!(0)], "twice confirmed is one");
    // What its sender cancels is nobody's judgement of the model.
    host.send_edi(&crate::later::with_purpose(77, &order("HOLD-D", 1), "01")).await.unwrap();
    host.decide_all().await;
    assert_eq!(fraud(&told(&host, 24).await), fraud(&told_so));
    decide(&host, &anna, exception("HOLD-D").await, Reject).await.unwrap();
    assert_eq!(fraud(&told(&host, 24).await), fraud(&told_so), "nor is it a person's who rejects it for that");
    let released = exception("HOLD-A").await;
    let holds = host.host.pipeline.show_exception(released).await.unwrap().open_holds();
    let decision =
        Decision { holds: &holds, ..crate::support::exceptions::decision(&host, released, ReleaseHolds).await };
    host.host.pipeline.decide_exception(&anna, decision).await.unwrap();
    let after = told(&host, 24).await;
    assert_eq!(fraud(&after), [json!(1), json!(1), json!(1), json!(5_000), json!(5_000)], "the last word counts");
    assert_eq!(after, Recount::of(&host.leaves().await).told());
    // Nothing of it is of the next day, and budgets are those of the grant.
    host.clock.advance_to(host.clock.now().plus_ms(25 * Instant::HOUR_MS));
    assert_eq!(told(&host, 24).await, json!({ "models": [], "queues": [], "people": [] }));
    assert_eq!(told(&host, 48).await, after);
    let door = host.front_door().await;
    let then = host.clock.now().plus_ms(-25 * Instant::HOUR_MS);
    let then: Value = serde_json::from_str(&door.ask(&format!("/v1/oversight?until={then}")).await).unwrap();
    assert_eq!(then["queues"], after["queues"], "as it was told then");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_used_by_as_many_holds_as_the_log_has_of_the_hour() {
    let (host, _) = start().await;
    send(&host, 90, "HOLD-D").await;
    let door = host.front_door().await;
    let told: Value = serde_json::from_str(&door.ask("/v1/oversight").await).unwrap();
    door.close().await;
    let grants = told["grants"].as_array().unwrap();
    let grant = grants.iter().find(|grant| grant["id"] == "obeys-within-bounds").unwrap();
    let used = |name: &str| {
        let budgets = grant["budgets"].as_array().unwrap();
        budgets.iter().find(|budget| budget["name"] == name).unwrap()["used"].as_str().unwrap().parse::<i64>().unwrap()
    };
    let recount = Recount::of(&host.leaves().await);
    assert_eq!(used("holds_per_hour_max"), i64::try_from(recount.holds.len()).unwrap());
    assert_eq!(recount.holds.len(), 3);
    let mut value = 0;
    for number in ["HOLD-A", "HOLD-B", "HOLD-D"] {
        value += host.order(number).await.value.minor;
    }
    assert_eq!(used("value_held_per_day_max_minor"), value);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_machines_are_told_the_same_and_bad_questions_are_refused() {
    let (host, [anna, ..]) = start().await;
    // A folder is asked about the hours before now.
    host.clock.advance_to(SystemClock.now());
    send(&host, 90, "HOLD-D").await;
    let order = host.order("HOLD-A").await.id;
    let exception = waiting(&host).await.into_iter().find(|open| open.order == Some(order)).unwrap().id;
    decide(&host, &anna, exception, ConfirmHolds).await.unwrap();
    let door = host.front_door().await;
    for (query, why) in [
        ("hours=0", "found 0 hours, expected 1 to 744"),
        ("hours=745", "found 745 hours"),
        ("days=1", "days"),
        ("until=noon", "found `noon`, expected a time"),
    ] {
        let ops = door.ops().await;
        let answer = door.get(&format!("/v1/oversight?{query}"), &[("authorization", &ops)]).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(answer.status == 400 && text.contains(why), "{} {text}", answer.status);
    }
    let metrics = door.ask("/metrics").await;
    for line in [
        "portreeve_holds_judged{plugin=\"obeys-the-sender\",component=\"sha256:",
        "portreeve_decisions{queue=\"order-desk\",decision=\"confirmed\"} 1",
    ] {
        assert!(metrics.contains(line), "expected `{line}` in:\n{metrics}");
    }
    assert!(!metrics.contains("anna"), "no label names a person");
    // However often they are asked for, the store is asked twice a minute.
    let order = host.order("HOLD-D").await.id;
    let exception = waiting(&host).await.into_iter().find(|open| open.order == Some(order)).unwrap().id;
    decide(&host, &anna, exception, ConfirmHolds).await.unwrap();
    for (after_ms, count) in [(0, 1), (29_999, 1), (1, 2)] {
        host.clock.advance_to(host.clock.now().plus_ms(after_ms));
        let line = format!("portreeve_decisions{{queue=\"order-desk\",decision=\"confirmed\"}} {count}\n");
        assert!(door.ask("/metrics").await.contains(&line), "expected `{line}` {after_ms} ms later");
    }
    door.close().await;
    let by_api = told(&host, 24).await;
    let stopped = host.stop().await;
    let data = stopped.folder().to_str().unwrap();
    let by_folder = commands::json(&["oversight", "--data-dir", data, "--hours", "744"]).await.remove(0);
    assert_eq!((&by_folder["models"], &by_folder["people"]), (&by_api["models"], &by_api["people"]));
    let said = commands::run(&["oversight", "--data-dir", data, "--hours", "744"]).await.unwrap();
    for part in [
        "model obeys-the-sender sha256:",
        "to hold: granted",
        "of its holds people accepted 2 (100.00 %) and overrode 0 (0.00 %)",
        "grant obeys-within-bounds: holds_per_hour_max",
        "anna in order-desk: looked 1 time(s)",
    ] {
        assert!(said.contains(part), "expected `{part}` in:\n{said}");
    }
    commands::refused(&["oversight", "--data-dir", data, "--hours", "745"], &["745"]).await;
}
