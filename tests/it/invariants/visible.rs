//! Invariant 6: a failure is visible. Each kind has a typed outcome, a leaf in the
//! log, a row for a person where one is needed, and a number that a monitor sees.

use portreeve::standins::Mischief;
use portreeve_pipeline::Clock;
use portreeve_record::leaf::{AcceptOutcome, DecidedState, EnvelopeOutcome, ReceiptOutcome};
use portreeve_record::{LeafBody, LeafRecord};
use portreeve_store::contract::OrderState;

use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, sample, x12, x12_of};

#[tokio::test]
async fn invariant_6_a_failure_is_visible_a_rejected_input() {
    let host = TestHost::demo().await;
    let accepted = host.send_edi(&sample("x12", "0087")).await.unwrap();
    assert_eq!(accepted.reply.status, 422, "the sender is told");
    let leaves = host.leaves().await;
    assert_eq!(
        count(
            &leaves,
            |body| matches!(body, LeafBody::Accept(accept) if accept.outcome == AcceptOutcome::Rejected && accept.problems.count() > 0)
        ),
        1
    );
    assert_eq!(metric(&host, "rejected-inputs").await, 1);
}

#[tokio::test]
async fn invariant_6_a_failure_is_visible_an_input_that_the_connector_fails_on() {
    let host = Setup::demo()
        .grant("x12", "{ numbers = [\"x12-interchange\", \"x12-group\"], limits = { output_bytes = 2000 } }")
        .start()
        .await;
    let long = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 1, "BX", "18.40"); 200]);
    let accepted = host.send_edi(&x12(1, &long)).await.unwrap();
    assert!(portreeve_pipeline::reply::is_hosts(&accepted.reply), "the sender hears from the host");

    let leaves = host.leaves().await;
    let failed = |body: &LeafBody| match body {
        LeafBody::Accept(accept) if accept.outcome == AcceptOutcome::Unparsed => {
            accept.crossing.as_ref().unwrap().failure.as_ref().unwrap().as_str() == "too-large"
        }
        _ => false,
    };
    assert_eq!(count(&leaves, failed), 1);
    let exceptions = host.exceptions().await;
    assert_eq!(
        (exceptions[0].stage.as_str(), exceptions[0].code.as_str(), exceptions[0].queue.as_str()),
        ("accept", "too-large", "integration")
    );
    assert!(exceptions[0].detail.contains("2000"), "{}", exceptions[0].detail);
    assert_eq!(metric(&host, "unparsed-inputs").await, 1);
    // Sent again it is the same input, not a second exception.
    assert!(host.send_edi(&x12(1, &long)).await.unwrap().duplicate);
    assert_eq!(host.exceptions().await.len(), 1);
}

#[tokio::test]
async fn invariant_6_a_failure_is_visible_an_input_that_is_refused() {
    let host = TestHost::demo().await;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    let door = host.front_door().await;
    let bearer = format!("Bearer {EDI_TOKEN}");
    // The same envelope with other content; twice, for each time somebody was refused.
    let other = x12(1, &PurchaseOrder::clean("PO-2"));
    for _ in 0..2 {
        let answer = door.post("edi", &[("authorization", &bearer)], &other).await;
        assert_eq!(answer.status, 422);
        assert!(String::from_utf8_lossy(&answer.body).contains("TA1*000000001*260302*0800*R*025~"));
    }
    assert_eq!(door.post("edi", &[("authorization", "Bearer wrong")], &other).await.status, 401);
    door.close().await;
    let refused = |body: &LeafBody| {
        matches!(body, LeafBody::Accept(accept) if accept.outcome == AcceptOutcome::DuplicateRefused
            && accept.crossing.is_some() && accept.documents.count() == 0
            // The record says for which envelope.
            && accept.envelopes.shown()[0].outcome == EnvelopeOutcome::Changed)
    };
    let leaves = host.leaves().await;
    assert_eq!(count(&leaves, refused), 2);
    // The answer has a control number of its own, and the second time it is the same answer.
    let numbered =
        |body: &LeafBody| refused(body) && matches!(body, LeafBody::Accept(accept) if accept.numbers.count() > 0);
    assert_eq!(count(&leaves, numbered), 1);
    assert_eq!(number(&host, "portreeve_refused_total{reason=\"conflict\"}").await, 2);
    // Its bytes are kept, once, and a stranger's are not.
    assert_eq!((metric(&host, "inputs").await, metric(&host, "refused-inputs").await), (1, 1));
    let mut kept = Vec::new();
    for input in host.store.kept_inputs(host.clock.now().plus_ms(1), None, 10).await.unwrap() {
        kept.push(host.store.payload(input.content).await.unwrap());
    }
    assert_eq!(kept.iter().filter(|bytes| **bytes == other).count(), 1);
    assert_eq!(kept.len(), 2);
    host.verify().await.unwrap();
    assert_eq!(number(&host, "portreeve_refused_total{reason=\"unauthenticated\"}").await, 1);
}

#[tokio::test]
async fn invariant_6_a_failure_is_visible_a_document_that_becomes_no_order() {
    let host = TestHost::demo().await;
    let text = String::from_utf8(x12(1, &PurchaseOrder::clean("PO-1"))).unwrap();
    host.send_edi(text.replace("BEG*00*", "BEG*22*").as_bytes()).await.unwrap();
    host.decide_all().await;
    let leaves = host.leaves().await;
    assert_eq!(
        count(
            &leaves,
            |body| matches!(body, LeafBody::Decide(decide) if decide.order.is_none() && decide.state == DecidedState::Exception)
        ),
        1
    );
    let exceptions = host.exceptions().await;
    assert_eq!(
        (exceptions.len(), exceptions[0].stage.as_str(), exceptions[0].code.as_str()),
        (1, "decide", "unsupported-purpose")
    );
    assert_eq!(metric(&host, "unmapped").await, 1);
}

#[tokio::test]
async fn invariant_6_a_failure_is_visible_a_scorer_that_fails() {
    for open in [false, true] {
        let setup = Setup::demo().scorers(&["obeys-the-sender", "fraud"]).plugin("obeys-the-sender", "{}");
        let host = if open { setup.fail_open() } else { setup }.start().await;
        let orders = host.decide_orders(&[PurchaseOrder::clean("TRAP-1")]).await;
        let failed = |body: &LeafBody| match body {
            LeafBody::Decide(decide) => decide.crossings.shown().iter().any(|crossing| {
                crossing.plugin.as_str() == "obeys-the-sender"
                    && crossing.failure.as_ref().is_some_and(|code| code.as_str() == "trap")
            }),
            _ => false,
        };
        assert_eq!(count(&host.leaves().await, failed), 1);
        let record = host.decision(&orders[0]).await;
        assert_eq!(record.scorings[0].failure.as_deref(), Some("trap"));
        let calls = "portreeve_calls_total{plugin=\"obeys-the-sender\",call=\"score\",result=\"trap\"}";
        assert_eq!(number(&host, calls).await, 1);
        if open {
            assert_eq!(orders[0].state, OrderState::Released, "{}", orders[0].why);
        } else {
            assert_eq!(orders[0].state, OrderState::Exception);
            assert_eq!(host.exceptions().await[0].code, "scorer-trap");
            assert_eq!(metric(&host, "exception").await, 1);
        }
    }
}

#[tokio::test]
async fn invariant_6_a_failure_is_visible_a_delivery_that_is_given_up() {
    let mischief = Mischief { reject_per_mille: 1_000, ..Mischief::default() };
    let host = Setup::demo().mischief(mischief).start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    let leaves = host.leaves().await;
    assert_eq!(
        count(
            &leaves,
            |body| matches!(body, LeafBody::Receipt(receipt) if receipt.outcome == ReceiptOutcome::Rejected)
        ),
        1
    );
    let exceptions = host.exceptions().await;
    assert_eq!(
        (exceptions.len(), exceptions[0].stage.as_str(), exceptions[0].code.as_str()),
        (1, "deliver", "refused-by-erp")
    );
    assert_eq!(exceptions[0].order, Some(host.order("PO-1").await.id));
    assert_eq!(metric(&host, "dead").await, 1);
}

#[tokio::test]
async fn invariant_6_a_failure_is_visible_what_was_taken_with_problems() {
    let host = TestHost::demo().await;
    let text = String::from_utf8(x12_of(1, &[PurchaseOrder::clean("PO-1")])).unwrap();
    let miscounted = text.replace("GE*1*1~", "GE*5*1~");
    assert_ne!(text, miscounted);
    host.send_edi(miscounted.as_bytes()).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.orders().await.len(), 1, "the order goes on");
    let exceptions = host.exceptions().await;
    assert_eq!((exceptions.len(), exceptions[0].code.as_str()), (1, "accepted-with-problems"));
}

fn count(leaves: &[LeafRecord], such: impl Fn(&LeafBody) -> bool) -> usize {
    leaves.iter().filter(|leaf| such(&leaf.body)).count()
}

/// Rows in the store as a monitor reads them.
async fn metric(host: &TestHost, what: &str) -> u64 {
    number(host, &format!("portreeve_count{{what=\"{what}\"}}")).await
}

/// A number as a monitor reads it.
async fn number(host: &TestHost, series: &str) -> u64 {
    let door = host.front_door().await;
    let text = door.ask("/metrics").await;
    door.close().await;
    let value = text.lines().find_map(|line| line.strip_prefix(series));
    value.unwrap_or_else(|| panic!("no `{series}` in:\n{text}")).trim().parse().unwrap()
}
