//! Envelopes that come again: an interchange alone or beside others, with the same
//! bytes or with other ones. Every order once, every interchange answered for itself,
//! and a repeated one by the same bytes as the first time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use portreeve_model::Reply;
use portreeve_pipeline::accept::Input;
use portreeve_pipeline::{AcceptError, Accepted, Credential};
use portreeve_record::LeafBody;
use portreeve_record::leaf::{AcceptOutcome, EnvelopeOutcome};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::faults::{Fault, FaultyStore};
use crate::support::{EDI_TOKEN, MORNING, PurchaseOrder, TestHost, sample, shop_signature, x12};

fn interchange(control: u32, number: &str) -> Vec<u8> {
    x12(control, &PurchaseOrder::clean(number))
}

/// The interchanges of a reply, one by one.
fn answers(reply: &Reply) -> Vec<String> {
    let text = String::from_utf8(reply.body.clone()).unwrap();
    let mut starts: Vec<usize> = text.match_indices("ISA*").map(|(at, _)| at).collect();
    starts.push(text.len());
    starts.windows(2).map(|pair| text.get(pair[0]..pair[1]).unwrap().to_owned()).collect()
}

async fn numbers(host: &TestHost) -> Vec<String> {
    host.orders().await.into_iter().map(|order| order.number).collect()
}

#[tokio::test]
async fn each_interchange_of_a_mixed_file_gets_its_own_answer() {
    let host = TestHost::demo().await;
    let first = host.send_edi(&interchange(1, "PO-1")).await.unwrap();
    host.send_edi(&interchange(2, "PO-2")).await.unwrap();
    host.decide_all().await;
    host.clock.advance_to(MORNING.plus_ms(3_600_000));
    let host = host.restart().await;

    // One that came before, a new one, and one whose number came with another order.
    let mixed = [interchange(1, "PO-1"), interchange(3, "PO-3"), interchange(2, "PO-4")].concat();
    let sent = host.send_edi(&mixed).await.unwrap();
    let answers = answers(&sent.reply);
    assert_eq!((sent.reply.status, sent.duplicate, answers.len()), (200, false, 3));
    assert_eq!(answers[0].as_bytes(), first.reply.body, "byte for byte the first answer, whose time and number it has");
    let head = |number: &str| {
        format!(
            "ISA*00*          *00*          *ZZ*PORTREEVE      *ZZ*C1201          *260302*0900*U*00401*{number}*0*P*>~\n"
        )
    };
    let isa = |answer: &str| answer.get(90..99).unwrap().to_owned();
    let (new, refused) = (isa(&answers[1]), isa(&answers[2]));
    let group = answers[1].split("*X*").next().unwrap().rsplit('*').next().unwrap();
    let expected = [
        head(&new),
        format!("GS*FA*PORTREEVE*C1201*20260302*0900*{group}*X*004010~\n"),
        "ST*997*0001~\nAK1*PO*3~\nAK2*850*0001~\nAK5*A~\nAK9*A*1*1*1~\nSE*6*0001~\n".to_owned(),
        format!("GE*1*{group}~\nIEA*1*{new}~\n"),
    ];
    assert_eq!(answers[1], expected.concat());
    let expected = [head(&refused), format!("TA1*000000002*260302*0800*R*025~\nIEA*0*{refused}~\n")];
    assert_eq!(answers[2], expected.concat());

    let problems = sent.finding.unwrap().problems;
    let third = u64::try_from(interchange(1, "PO-1").len() + interchange(3, "PO-3").len()).unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].code.as_str(), problems[0].position.offset_bytes), ("envelope-changed", Some(third)));
    assert_eq!(problems[0].position.path, "ISA[3]");
    let exceptions = host.exceptions().await;
    assert_eq!((exceptions.len(), exceptions[0].code.as_str()), (1, "envelope-changed"));
    assert!(exceptions[0].detail.contains("in 1 of 3 envelope(s)"), "{}", exceptions[0].detail);

    host.decide_all().await;
    host.deliver_all().await;
    assert_eq!(numbers(&host).await, ["PO-1", "PO-2", "PO-3"]);
    assert_eq!(host.erp.sales_orders().len(), 3);
    let on_record = |body: &LeafBody| match body {
        LeafBody::Accept(accept) if accept.envelopes.count() > 0 => {
            Some(accept.envelopes.shown().iter().map(|envelope| envelope.outcome).collect::<Vec<_>>())
        }
        _ => None,
    };
    let outcomes: Vec<_> = host.leaves().await.iter().filter_map(|leaf| on_record(&leaf.body)).collect();
    assert_eq!(outcomes, [[EnvelopeOutcome::Repeated, EnvelopeOutcome::Changed]]);
    assert_eq!(host.summary().await.duplicates, 0, "what came before was left out, not decided again");
    let door = host.front_door().await;
    assert!(door.ask("/metrics").await.contains("portreeve_refused_total{reason=\"conflict\"} 1"));
    door.close().await;

    // The same file again is the same input; the answers of its parts are kept as they were given.
    let again = host.send_edi(&mixed).await.unwrap();
    assert_eq!((again.duplicate, again.reply.body), (true, sent.reply.body));
    let part = host.send_edi(&[interchange(3, "PO-3"), b"\n".to_vec()].concat()).await.unwrap();
    assert_eq!((part.duplicate, String::from_utf8(part.reply.body).unwrap()), (true, answers[1].clone()));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn one_file_may_repeat_its_interchange_or_change_it() {
    let host = TestHost::demo().await;
    let sent = host.send_edi(&[interchange(1, "PO-1"), interchange(1, "PO-1")].concat()).await.unwrap();
    let answered = answers(&sent.reply);
    assert_eq!((answered.len(), &answered[0]), (2, &answered[1]));
    let sent = host.send_edi(&[interchange(2, "PO-2"), interchange(2, "PO-3")].concat()).await.unwrap();
    let answered = answers(&sent.reply);
    assert!(answered[0].contains("AK5*A~") && answered[1].contains("*R*025~"), "{answered:?}");
    host.decide_all().await;
    assert_eq!(numbers(&host).await, ["PO-1", "PO-2"]);
}

#[tokio::test]
async fn a_file_of_which_nothing_remains_is_refused_with_all_its_answers() {
    let host = TestHost::demo().await;
    let first = host.send_edi(&interchange(1, "PO-1")).await.unwrap();
    host.send_edi(&interchange(2, "PO-2")).await.unwrap();
    let file = [interchange(1, "PO-1"), interchange(2, "PO-3")].concat();
    let Err(AcceptError::Conflict { envelope, reply: Some(reply) }) = host.send_edi(&file).await else {
        panic!("it was taken");
    };
    assert_eq!((envelope.as_str(), reply.status), ("ZZ:C1201>ZZ:PORTREEVE/000000002", 422));
    let answers = answers(&reply);
    assert_eq!(answers[0].as_bytes(), first.reply.body);
    assert!(answers[1].contains("TA1*000000002*260302*0800*R*025~"), "{}", answers[1]);
    let summary = host.summary().await;
    assert_eq!(
        (summary.inputs, summary.refused_inputs, host.exceptions().await.len()),
        (2, 1, 0),
        "its sender was told"
    );
    // The answer's number is not given to anybody else.
    let next = host.send_edi(&interchange(4, "PO-4")).await.unwrap();
    assert!(!String::from_utf8(next.reply.body).unwrap().contains(answers[1].get(90..99).unwrap()));
    let leaves = host.leaves().await;
    let refused = leaves.iter().filter(
        |leaf| matches!(&leaf.body, LeafBody::Accept(accept) if accept.outcome == AcceptOutcome::DuplicateRefused),
    );
    assert_eq!(refused.count(), 1);
}

/// What the sender of a refused interchange heard.
fn refusal(sent: Result<Accepted, AcceptError>) -> String {
    match sent {
        Err(AcceptError::Conflict { reply: Some(reply), .. }) => String::from_utf8(reply.body).unwrap(),
        sent => panic!("{sent:?}"),
    }
}

/// The control number of an answer.
fn control_number(answer: &str) -> String {
    answer.get(90..99).unwrap().to_owned()
}

/// Whether the numbers of the answer are in the record, each time that an interchange was refused.
async fn has_numbers(host: &TestHost) -> Vec<bool> {
    let refused = |body: &LeafBody| match body {
        LeafBody::Accept(accept) if accept.outcome == AcceptOutcome::DuplicateRefused => {
            Some(accept.numbers.count() > 0)
        }
        _ => None,
    };
    host.leaves().await.iter().filter_map(|leaf| refused(&leaf.body)).collect()
}

#[tokio::test]
async fn what_is_refused_again_hears_the_same_under_the_same_number_whenever_it_comes() {
    let host = TestHost::demo().await;
    host.send_edi(&interchange(1, "PO-1")).await.unwrap();
    let other = interchange(1, "PO-2");
    let first = refusal(host.send_edi(&other).await);
    host.clock.advance_to(MORNING.plus_ms(3_600_000));
    let host = host.restart().await;
    for _ in 0..2 {
        assert_eq!(refusal(host.send_edi(&other).await), first);
    }
    // Each time is on record, and only the first has the numbers of the answer.
    assert_eq!(has_numbers(&host).await, [true, false, false]);
    let next = host.send_edi(&interchange(2, "PO-3")).await.unwrap();
    assert_ne!(control_number(&String::from_utf8(next.reply.body).unwrap()), control_number(&first));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_twice_at_once_hears_one_answer_under_one_number() {
    let host = TestHost::demo().await;
    for round in 1..=6 {
        host.send_edi(&interchange(round, &format!("PO-{round}"))).await.unwrap();
        let other = interchange(round, &format!("OTHER-{round}"));
        let (a, b) = tokio::join!(host.send_edi(&other), host.send_edi(&other));
        assert_eq!(refusal(a), refusal(b));
    }
    assert_eq!(has_numbers(&host).await, [true, false].repeat(6));
    let summary = host.summary().await;
    assert_eq!((summary.inputs, summary.refused_inputs), (6, 6));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_came_under_a_wrong_media_type_before_hears_one_answer_under_the_right_one() {
    let host = TestHost::demo().await;
    host.send_edi(&interchange(1, "PO-1")).await.unwrap();
    let other = interchange(1, "PO-2");
    let pipeline = &host.host.pipeline;
    let sender = pipeline.senders.authenticate("edi", Credential::Bearer(EDI_TOKEN)).unwrap();
    pipeline.refuse_media_type(&sender, &Input::of_file(other.clone(), Some("text/xml"))).await.unwrap();
    let first = refusal(host.send_edi(&other).await);
    assert!(first.contains("TA1*000000001*"), "{first}");
    assert_eq!(refusal(host.send_edi(&other).await), first);
    assert_eq!(has_numbers(&host).await, [true, false]);
    assert_eq!(host.summary().await.refused_inputs, 2, "each reason keeps it once");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_is_kept_once_whatever_becomes_of_the_write() {
    for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
        let host = TestHost::demo().await;
        host.send_edi(&interchange(1, "PO-1")).await.unwrap();
        let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "journal", fault, 0)).await;
        let other = interchange(1, "PO-2");
        let failed = host.send_edi(&other).await;
        assert!(matches!(failed, Err(AcceptError::Store(_))), "{fault:?}: {failed:?}");
        for _ in 0..2 {
            let refused = host.send_edi(&other).await;
            assert!(matches!(refused, Err(AcceptError::Conflict { reply: Some(_), .. })), "{fault:?}: {refused:?}");
        }
        let summary = host.summary().await;
        assert_eq!((summary.inputs, summary.refused_inputs), (1, 1), "{fault:?}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn the_number_of_an_answer_is_given_to_nobody_else_when_its_sender_hangs_up() {
    let host = TestHost::demo().await;
    let (host, _) = host.restart_behind(|store| FaultyStore::new(store, "journal", Fault::PersistedAndSilent, 0)).await;
    let (first, next) = (interchange(1, "PO-1"), interchange(2, "PO-2"));
    let mut sending = Box::pin(host.send_edi(&first));
    loop {
        tokio::select! {
            biased;
            answered = &mut sending => panic!("the sender was to hang up before: {answered:?}"),
            summary = host.summary() => if summary.inputs == 1 { break },
        }
    }
    drop(sending);
    let next = host.send_edi(&next).await.unwrap();
    let first = host.send_edi(&first).await.unwrap();
    let isa = |answer: Reply| String::from_utf8(answer.body).unwrap().get(90..99).unwrap().to_owned();
    assert!(first.duplicate && !next.duplicate);
    assert_ne!(isa(first.reply), isa(next.reply));
}

#[tokio::test]
async fn what_is_wrong_with_a_repeated_interchange_is_said_once() {
    let host = TestHost::demo().await;
    let miscounted = |control, number: &str| {
        String::from_utf8(interchange(control, number)).unwrap().replace("GE*1*", "GE*5*").into_bytes()
    };
    host.send_edi(&miscounted(1, "PO-1")).await.unwrap();
    assert_eq!(host.exceptions().await.len(), 1);
    let sent = host.send_edi(&[miscounted(1, "PO-1"), interchange(2, "PO-2")].concat()).await.unwrap();
    assert_eq!((sent.finding.unwrap().problems.len(), host.exceptions().await.len()), (0, 1));
}

#[tokio::test]
async fn a_webhook_that_is_called_again_gets_its_first_answer() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let (order, other) = (sample("adobe-commerce", "0001"), sample("adobe-commerce", "0002"));
    let post = async |path: &str, body: &[u8]| {
        let (signature, id) = (shop_signature(body), "x-adobe-commerce-webhook-id");
        door.post(path, &[("x-portreeve-signature", signature.as_str()), (id, "call-7")], body).await
    };
    let first = post("shop", &order).await;
    // Another request, and yet the same call; then one that the shop gave the same id.
    let again = post("shop/orders", &order).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let changed = post("shop", &other).await;
    let problem: serde_json::Value = serde_json::from_slice(&changed.body).unwrap();
    assert_eq!((changed.status, problem["type"].as_str()), (422, Some("urn:portreeve:problem:conflict")));
    host.decide_all().await;
    assert_eq!((host.summary().await.inputs, host.orders().await.len()), (1, 1));
    door.close().await;
}

#[tokio::test]
async fn a_webhook_of_which_nothing_was_taken_may_be_called_again_mended() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let order = sample("adobe-commerce", "0001");
    let cut = order.get(..order.len() / 2).unwrap();
    let mut answers = Vec::new();
    for body in [cut, &order, cut] {
        let (signature, id) = (shop_signature(body), "x-adobe-commerce-webhook-id");
        let headers = [("x-portreeve-signature", signature.as_str()), (id, "call-7")];
        let answer = door.post("shop", &headers, body).await;
        answers.push((answer.status, String::from_utf8(answer.body.to_vec()).unwrap().contains("success")));
    }
    assert_eq!(answers, [(200, false), (200, true), (200, false)]);
    host.decide_all().await;
    assert_eq!(host.orders().await.len(), 1);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_share_an_interchange_are_taken_side_by_side_and_never_in_half() {
    let host = TestHost::demo().await;
    for round in 0..6 {
        let part = |index: u32| interchange(round * 10 + index, &format!("R{round}-{index}"));
        let files = [[part(1), part(2)].concat(), [part(2), part(3)].concat(), [part(3), part(1)].concat()];
        let (a, b, c) = tokio::join!(host.send_edi(&files[0]), host.send_edi(&files[1]), host.send_edi(&files[2]));
        let [a, b, c] = [a, b, c].map(|sent| answers(&sent.unwrap().reply));
        assert_eq!((&a[1], &b[1], &c[1]), (&b[0], &c[0], &a[0]), "an interchange has one answer, whoever brings it");
    }
    host.decide_all().await;
    let mut found = numbers(&host).await;
    found.sort();
    let expected: Vec<String> = (0..6).flat_map(|round| (1..4).map(move |index| format!("R{round}-{index}"))).collect();
    assert_eq!((found, host.summary().await.duplicates), (expected, 0));
    host.verify().await.unwrap();
}

/// What a sender may do: a file of interchanges, each a control number and one of the
/// orders that it may hold; or nothing, while the host decides.
type File = Vec<(u8, u8)>;

#[test]
fn whatever_is_sent_in_whatever_groups_every_interchange_is_answered_and_every_order_is_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let host = runtime.block_on(TestHost::demo());
    let cases = AtomicU32::new(1);
    let config = Config { cases: 24, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let files = proptest::collection::vec(proptest::collection::vec((0..4_u8, 0..2_u8), 0..4), 1..10);
    TestRunner::new(config)
        .run(&files, |files| runtime.block_on(walk(&host, cases.fetch_add(1, Ordering::Relaxed), &files)))
        .unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(host.verify()).unwrap();
}

/// What the sender should see: what each control number came with first, and its answer.
#[derive(Default)]
struct Model {
    first: BTreeMap<u8, (u8, String)>,
    /// What each file that was taken was answered: the same bytes again are the same input.
    taken: BTreeMap<File, Reply>,
}

async fn walk(host: &TestHost, case: u32, files: &[File]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for file in files {
        if file.is_empty() {
            host.decide_all().await;
            continue;
        }
        let part = |(control, order): &(u8, u8)| {
            interchange(case * 10 + u32::from(*control), &format!("CASE{case}-{control}-{order}"))
        };
        let body: Vec<u8> = file.iter().flat_map(part).collect();
        model.check(file, host.send_edi(&body).await)?;
    }
    host.decide_all().await;
    let prefix = format!("CASE{case}-");
    let mut found: Vec<_> = numbers(host).await.into_iter().filter(|number| number.starts_with(&prefix)).collect();
    found.sort();
    let expected: Vec<_> =
        model.first.iter().map(|(control, (order, _))| format!("{prefix}{control}-{order}")).collect();
    prop_assert_eq!(found, expected);
    Ok(())
}

impl Model {
    fn check(&mut self, file: &File, sent: Result<Accepted, AcceptError>) -> Result<(), TestCaseError> {
        let new = file.iter().any(|(control, _)| !self.first.contains_key(control));
        let (reply, refused) = match sent {
            Ok(accepted) if self.taken.contains_key(file) => {
                prop_assert!(accepted.duplicate);
                prop_assert_eq!(Some(&accepted.reply), self.taken.get(file));
                return Ok(());
            }
            Ok(accepted) => {
                self.taken.insert(file.clone(), accepted.reply.clone());
                let all_repeated = file
                    .iter()
                    .all(|(control, order)| self.first.get(control).is_some_and(|(first, _)| first == order));
                prop_assert!(new || all_repeated, "nothing of it is new, and something is wrong");
                prop_assert_eq!(accepted.duplicate, all_repeated);
                (accepted.reply, false)
            }
            Err(AcceptError::Conflict { reply: Some(reply), .. }) => (reply, true),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert!(!(refused && new), "a new interchange was refused");
        let answers = answers(&reply);
        prop_assert_eq!(answers.len(), file.len());
        for ((control, order), answer) in file.iter().zip(answers) {
            match self.first.get(control) {
                None => {
                    prop_assert!(answer.contains("AK5*A~"), "{}", answer);
                    self.first.insert(*control, (*order, answer));
                }
                Some((first, known)) if first == order => prop_assert_eq!(&answer, known),
                Some(_) => prop_assert!(answer.contains("*R*025~") && !answer.contains("AK5"), "{}", answer),
            }
        }
        Ok(())
    }
}
