//! 997 and TA1 in: what partners say of what they were sent, what becomes of it when they reject
//! it or say nothing, and whose word counts.

use portreeve::standins::Mischief;
use portreeve::standins::partner::{Answers, Partner};
use portreeve_model::{Digest, ExceptionAction, ExceptionKind, Failure};
use portreeve_pipeline::replay::ReplayWanted;
use portreeve_pipeline::{Clock, Credential};
use portreeve_record::LeafBody;
use portreeve_record::leaf::DecidedState;
use portreeve_store::contract::{DeliveryView, InterchangeAnswer};

use crate::at_the_plugin::Plugins;
use crate::front::commands::{refused, run};
use crate::interchanges::{accepted, agreed, shipped_and_invoiced, to_customers};
use crate::support::{EDI_TOKEN, Setup, TestHost};

const MINUTE_MS: i64 = 60_000;

/// The demo's EDI channel takes acknowledgements as well, and customers have an hour for them.
fn acknowledged(setup: Setup) -> Setup {
    setup
        .blindfolded("x12-acknowledgements")
        .replace(
            "portreeve.toml",
            "documents = { \"x12/850\" = \"x12-orders\" }",
            "documents = { \"x12/850\" = \"x12-orders\", \"x12/997\" = \"x12-acknowledgements\", \"x12/ta1\" = \"x12-acknowledgements\" }",
        )
        .replace("portreeve.toml", "{ currency = \"USD\" }", "{ currency = \"USD\", sets = \"850,997\" }")
        .replace(
            "portreeve.toml",
            "partner_parts = 2",
            "partner_parts = 2\nacknowledged_on = \"edi\"\nacknowledge_within_minutes = 60",
        )
}

async fn partners(mischief: Mischief) -> (Partner, TestHost) {
    let partner = Partner::start(mischief).await.unwrap();
    let agreed = format!("{}\nsystems_owner = \"partner-desk\"", agreed(&partner.origin(), ""));
    let setup = acknowledged(to_customers(Setup::demo(), &partner.origin(), &agreed));
    (partner, setup.start().await)
}

/// What the partners have to say is sent, and decided.
async fn heard(host: &TestHost, partner: &Partner) -> usize {
    let said = partner.acknowledgements();
    for interchange in &said {
        let sent = host.send_edi(interchange).await.unwrap();
        assert!(sent.reply.body.is_empty(), "an acknowledgement is never acknowledged");
    }
    host.decide_all().await;
    said.len()
}

async fn to_the_customer(host: &TestHost, number: &str) -> Vec<DeliveryView> {
    let deliveries = host.order(number).await.deliveries.into_iter();
    deliveries.filter(|delivery| delivery.target == "customers").collect()
}

/// What was said of each message to the customer.
async fn answers(host: &TestHost, number: &str) -> Vec<Option<InterchangeAnswer>> {
    let deliveries = to_the_customer(host, number).await.into_iter();
    deliveries.map(|delivery| delivery.interchange.and_then(|known| known.answer)).collect()
}

async fn waiting(host: &TestHost) -> (u64, u64) {
    let summary = host.summary().await;
    (summary.unacknowledged, summary.acknowledgements_overdue)
}

async fn overdue(host: &TestHost) -> u64 {
    host.host.pipeline.tell_overdue(|| false).await.unwrap()
}

#[tokio::test]
async fn an_order_goes_the_whole_road_and_each_message_to_its_customer_is_acknowledged() {
    let (partner, host) = partners(Mischief::default()).await;
    let order = accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    shipped_and_invoiced(&host, order, 1).await;
    host.come_to_rest().await;
    assert_eq!((answers(&host, "PO-1").await, waiting(&host).await), (vec![None; 3], (3, 0)));
    let host = host.restart().await;
    assert_eq!(heard(&host, &partner).await, 3);
    assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Accepted); 3]);
    assert_eq!((waiting(&host).await, host.codes().await), ((0, 0), vec![]));
    host.clock.advance_to(host.clock.now().plus_ms(60 * MINUTE_MS));
    assert_eq!(overdue(&host).await, 0, "nothing is waited for");
    let acknowledged = host.leaves().await.into_iter().filter(|leaf| match &leaf.body {
        LeafBody::Decide(decide) => decide.state == DecidedState::Acknowledged && decide.about == Some(order),
        _ => false,
    });
    assert_eq!(acknowledged.count(), 3, "each is on record with its order");
    host.verify().await.unwrap();
    host.rederive(order).await.unwrap();
}

#[tokio::test]
async fn what_is_accepted_with_errors_is_accepted() {
    let (partner, host) = partners(Mischief::default()).await;
    partner.answer(Answers::WithErrors);
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    heard(&host, &partner).await;
    assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::AcceptedWithErrors)]);
    assert_eq!(host.codes().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_target_of_one_receiver_is_acknowledged_by_whoever_the_interchange_names() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let agreed = agreed(&partner.origin(), "");
    let setup = acknowledged(to_customers(Setup::demo(), &partner.origin(), &agreed));
    let one = "partner_parts = 2\npartner = \"ZZ:WAREHOUSE:DOCK\"\nacknowledged_by = \"edi-gateway\"";
    let host = setup.replace("portreeve.toml", "partner_parts = 2", one).start().await;
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    assert_eq!(partner.ledger()[0].receiver, "ZZ:WAREHOUSE");
    heard(&host, &partner).await;
    assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Accepted)]);
}

#[tokio::test]
async fn what_its_receiver_rejects_is_a_persons_with_what_was_wrong_and_is_not_sent_again() {
    for (answers_with, told) in
        [(Answers::Rejected, "AK3 BAK 2 8, AK4 2 373 8, AK5 5"), (Answers::Unreadable, "TA1 024")]
    {
        let (partner, host) = partners(Mischief::default()).await;
        partner.answer(answers_with);
        accepted(&host, "PO-1", "C1201").await;
        host.come_to_rest().await;
        heard(&host, &partner).await;
        assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Rejected)]);
        let waits = host.exceptions().await.remove(0);
        assert_eq!((waits.code.as_str(), waits.kind), ("interchange-rejected", ExceptionKind::Order));
        assert_eq!(waits.order, Some(host.order("PO-1").await.id));
        let sentence = format!("found interchange 1 (`x12/855`) rejected by `ZZ:C1201` ({told})");
        assert!(waits.detail.starts_with(&sentence), "{}", waits.detail);
        for barred in [ExceptionAction::Retry, ExceptionAction::Resubmit] {
            assert!(!waits.kind.actions().contains(&barred), "{barred:?}");
        }
        host.come_to_rest().await;
        assert_eq!(partner.ledger().iter().map(|entry| entry.times).collect::<Vec<_>>(), [1], "nothing is sent again");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_in_time_is_told_once_and_is_over_when_the_answer_comes_late() {
    let (partner, host) = partners(Mischief::default()).await;
    partner.answer(Answers::Never);
    let order = accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    let sent_at = host.clock.now();
    host.clock.advance_to(sent_at.plus_ms(60 * MINUTE_MS - 1));
    assert_eq!((overdue(&host).await, waiting(&host).await), (0, (1, 0)));
    host.clock.advance_to(sent_at.plus_ms(60 * MINUTE_MS));
    assert_eq!((overdue(&host).await, overdue(&host).await), (1, 0), "once");
    let host = host.restart().await;
    assert_eq!((overdue(&host).await, waiting(&host).await), (0, (0, 1)));
    let waits = host.exceptions().await.remove(0);
    assert_eq!((waits.code.as_str(), waits.order), ("acknowledgement-overdue", Some(order)));
    assert_eq!(waits.queue, "integration");
    let owner = host.host.pipeline.routes.owner_of(&waits).unwrap();
    assert_eq!((owner.part.as_str(), owner.name), ("systems", "partner-desk"));
    assert!(waits.detail.contains("interchange 1 (`x12/855`) from `ZZ:C1201`"), "{}", waits.detail);

    // It has it after all, and says so.
    let entry = partner.ledger().remove(0);
    let late = acknowledgement(7, "C1201", "PR", entry.control, "855", "A");
    host.send_edi(late.as_bytes()).await.unwrap();
    host.decide_all().await;
    assert_eq!((host.codes().await, waiting(&host).await), (Vec::<String>::new(), (0, 0)));
    assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Accepted)]);
    let told = host.leaves().await.into_iter().filter(|leaf| matches!(leaf.body, LeafBody::Overdue(_)));
    assert_eq!(told.count(), 1);
    host.verify().await.unwrap();
}

/// A 997 of a customer: its own control number, and what it says of a group of ours.
fn acknowledgement(control: u32, customer: &str, functional: &str, group: u64, set: &str, status: &str) -> String {
    let counts = if status == "R" { "R*1*1*0" } else { "A*1*1*1" };
    format!(
        "ISA*00*          *00*          *ZZ*{customer:<15}*ZZ*PORTREEVE      *260302*0800*U*00401*{control:09}*0*P*>~\n\
         GS*FA*{customer}*PORTREEVE*20260302*0800*{control}*X*004010~\nST*997*0001~\nAK1*{functional}*{group}~\n\
         AK2*{set}*0001~\nAK5*{status}~\nAK9*{counts}~\nSE*6*0001~\nGE*1*{control}~\nIEA*1*{control:09}~\n"
    )
}

#[tokio::test]
async fn the_same_word_again_is_a_repetition_and_another_one_is_a_persons() {
    let (partner, host) = partners(Mischief::default()).await;
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    heard(&host, &partner).await;
    let duplicates = host.summary().await.duplicates;
    for (control, status) in [(71, "A"), (72, "A"), (73, "E")] {
        let again = acknowledgement(control, "C1201", "PR", 1, "855", status);
        host.send_edi(again.as_bytes()).await.unwrap();
        host.decide_all().await;
    }
    assert_eq!(host.summary().await.duplicates, duplicates + 2);
    assert_eq!(host.codes().await, ["acknowledged-otherwise"]);
    assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Accepted)], "the first one counts");
}

#[tokio::test]
async fn nobody_acknowledges_what_another_one_was_sent_or_what_was_never_sent() {
    let (_partner, host) = partners(Mischief::default()).await;
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    for (control, customer, group) in [(71, "C1202", 1), (72, "C1201", 2), (73, "C1201", 999_999_999)] {
        let stray = acknowledgement(control, customer, "PR", group, "855", "A");
        host.send_edi(stray.as_bytes()).await.unwrap();
    }
    host.decide_all().await;
    assert_eq!(host.codes().await, ["unknown-interchange"; 3]);
    assert_eq!((answers(&host, "PO-1").await, waiting(&host).await), (vec![None], (1, 0)));
}

const STRANGER: &str = "token-of-another-gateway";

/// The same host with a second sender on its channel, and this in the target's agreement.
fn with_another_sender(setup: Setup, agreement: &str) -> Setup {
    let token = Digest::of(STRANGER.as_bytes());
    let sender = format!("\n[[sender]]\nchannel = \"edi\"\nid = \"other-gateway\"\ntoken_sha256 = \"{token}\"\n");
    setup.append("portreeve.toml", &sender).replace(
        "portreeve.toml",
        "acknowledged_on = \"edi\"",
        &format!("acknowledged_on = \"edi\"{agreement}"),
    )
}

#[tokio::test]
async fn a_partner_is_acknowledged_for_by_the_sender_who_speaks_for_it_alone() {
    for (agreement, stranger_counts) in [
        ("", false),
        ("\nacknowledged_by = \"edi-gateway\"", false),
        ("\nacknowledged_by = \"other-gateway\"", true),
        ("\npartner = \"ZZ:C1201\"\nacknowledged_by = \"other-gateway\"", true),
    ] {
        let partner = Partner::start(Mischief::default()).await.unwrap();
        let setup = acknowledged(to_customers(Setup::demo(), &partner.origin(), &agreed(&partner.origin(), "")));
        let host = with_another_sender(setup, agreement).start().await;
        accepted(&host, "PO-1", "C1201").await;
        host.come_to_rest().await;
        for (control, token, status) in [(71, STRANGER, "R"), (72, EDI_TOKEN, "A")] {
            let said = acknowledgement(control, "C1201", "PR", 1, "855", status);
            host.send("edi", Credential::Bearer(token), said.as_bytes()).await.unwrap();
            host.decide_all().await;
        }
        let mut codes = host.codes().await;
        codes.sort();
        if stranger_counts {
            assert_eq!(codes, ["interchange-rejected", "may-not-acknowledge"], "{agreement}");
            assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Rejected)]);
        } else {
            assert_eq!(codes, ["may-not-acknowledge"], "{agreement}");
            assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Accepted)], "it moved nothing");
            let detail = host.exceptions().await.remove(0).detail;
            assert!(detail.contains("by sender `other-gateway`"), "{detail}");
        }
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn an_agreement_that_names_nobody_who_could_speak_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setup = acknowledged(to_customers(Setup::demo(), "http://127.0.0.1:9", &agreed("http://127.0.0.1:9", "")));
    for (agreement, sentence) in [
        ("acknowledged_on = \"edi\"\npartner = \"ZZ:ACME\"", "nothing says who speaks for it"),
        ("acknowledged_on = \"edi\"\nacknowledged_by = \"nobody\"", "who is none of channel `edi`"),
        ("acknowledged_by = \"edi-gateway\"", "and on no channel"),
    ] {
        let changed = setup.clone().replace("portreeve.toml", "acknowledged_on = \"edi\"", agreement);
        let config = changed.configuration(folder.path());
        refused(&["route", "check", "--config", config.to_str().unwrap()], &[sentence]).await;
    }
}

#[tokio::test]
async fn a_channel_of_which_nobody_reads_a_document_acknowledges_nothing_and_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let setup = acknowledged(to_customers(Setup::demo(), "http://127.0.0.1:9", &agreed("http://127.0.0.1:9", "")));
    let bell = "\n[[channel]]\nid = \"bell\"\nconnector = \"x12\"\ndocuments = {}\ntarget = \"erp\"\n\
                exception_queue = \"integration\"\n";
    let setup = setup.append("portreeve.toml", bell);
    let on_bell = setup.clone().replace("portreeve.toml", "acknowledged_on = \"edi\"", "acknowledged_on = \"bell\"");
    let config = on_bell.configuration(folder.path());
    let sentence = "target `customers` is acknowledged on channel `bell`, whose `documents` are none, so that nothing that comes there is read; name the channel on which its receivers answer";
    refused(&["route", "check", "--config", config.to_str().unwrap()], &[sentence]).await;
    let config = setup.configuration(folder.path());
    run(&["route", "check", "--config", config.to_str().unwrap()]).await.unwrap();
}

#[tokio::test]
async fn a_number_under_which_nothing_was_sent_is_acknowledged_by_nobody() {
    // The partner takes nothing, and says so.
    let (partner, host) = partners(Mischief { throttle_per_mille: 1_000, ..Mischief::default() }).await;
    accepted(&host, "PO-1", "C1201").await;
    host.deliver_all().await;
    host.decide_all().await;
    host.deliver_due().await;
    assert_eq!(partner.ledger(), []);
    let early = acknowledgement(71, "C1201", "PR", 1, "855", "A");
    host.send_edi(early.as_bytes()).await.unwrap();
    host.decide_all().await;
    assert_eq!(
        (host.codes().await, answers(&host, "PO-1").await),
        (vec!["unknown-interchange".to_owned()], vec![None])
    );
    host.come_to_rest().await;
    assert_eq!(partner.ledger().iter().map(|entry| (entry.control, entry.times)).collect::<Vec<_>>(), [(1, 1)]);
    heard(&host, &partner).await;
    assert_eq!(answers(&host, "PO-1").await, [Some(InterchangeAnswer::Accepted)]);
}

#[tokio::test]
async fn an_acknowledgement_counts_on_the_channel_that_its_target_names_alone() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let agreed = agreed(&partner.origin(), "");
    let setup = acknowledged(to_customers(Setup::demo(), &partner.origin(), &agreed));
    let host =
        setup.replace("portreeve.toml", "acknowledged_on = \"edi\"", "acknowledged_on = \"systems\"").start().await;
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    heard(&host, &partner).await;
    assert_eq!(
        (host.codes().await, answers(&host, "PO-1").await),
        (vec!["may-not-acknowledge".to_owned()], vec![None])
    );
}

#[tokio::test]
async fn whoever_acknowledges_a_message_of_unknown_outcome_has_it_and_is_sent_it_no_more() {
    // The partner takes it, and its answer is lost.
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    for (says, state, codes) in
        [(Answers::Accepted, "delivered", vec![]), (Answers::Rejected, "dead", vec!["interchange-rejected"; 2])]
    {
        let (partner, host) = partners(lost).await;
        partner.answer(says);
        accepted(&host, "PO-1", "C1201").await;
        host.deliver_all().await;
        host.decide_all().await;
        host.deliver_due().await;
        assert_eq!(to_the_customer(&host, "PO-1").await[0].state, "pending");
        heard(&host, &partner).await;
        host.come_to_rest().await;
        assert_eq!(to_the_customer(&host, "PO-1").await[0].state, state);
        assert_eq!(partner.ledger()[0].times, 1, "it is sent no more");
        assert_eq!(host.codes().await, codes);
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_given_up_is_delivered_when_its_receiver_acknowledges_it_and_stays_so_when_it_rejects() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let rejected = ["interchange-rejected", "unknown-outcome"].map(str::to_owned);
    for (says, state, codes) in
        [(Answers::Accepted, "delivered", vec![]), (Answers::Rejected, "dead", rejected.to_vec())]
    {
        let partner = Partner::start(lost).await.unwrap();
        partner.answer(says);
        let setup = acknowledged(to_customers(Setup::demo(), &partner.origin(), &agreed(&partner.origin(), "")));
        let setup = setup.replace("portreeve.toml", "knows_repeats = true", "knows_repeats = false");
        let host = setup.start().await;
        let order = accepted(&host, "PO-1", "C1201").await;
        host.come_to_rest().await;
        assert_eq!(
            (host.codes().await, to_the_customer(&host, "PO-1").await[0].state.as_str()),
            (vec!["unknown-outcome".to_owned()], "dead")
        );
        heard(&host, &partner).await;
        host.deliver_due().await;
        let mut found = host.codes().await;
        found.sort();
        assert_eq!((found, to_the_customer(&host, "PO-1").await[0].state.as_str()), (codes, state));
        assert_eq!(partner.ledger()[0].times, 1, "it is sent no more");
        host.verify().await.unwrap();
        host.rederive(order).await.unwrap();
    }
}

#[tokio::test]
async fn a_997_that_comes_late_for_what_was_lost_is_no_word_of_what_is_sent_again() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let agreed = agreed(&partner.origin(), "");
    let host = acknowledged(to_customers(Setup::demo(), &partner.origin(), &agreed)).start().await;
    let since = host.clock.now();
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    host.clock.advance_to(host.clock.now().plus_ms(1));
    let until = host.clock.now();
    let wanted = ReplayWanted { target: "customers", channel: None, kind: None, since, until, shipped: false, most: 5 };
    let plan = host.host.pipeline.show_replay(wanted).await.unwrap();
    assert_eq!(plan.deliveries.len(), 1);
    host.host.pipeline.replay(&host.ops().await, wanted, plan.digest, "it lost a day").await.unwrap();
    assert_eq!(heard(&host, &partner).await, 1, "it says now that it got the first one");
    assert_eq!(partner.ledger()[0].times, 1);
    host.come_to_rest().await;
    assert_eq!(partner.ledger()[0].times, 2, "what it lost was sent all the same, under its number");
    assert_eq!(to_the_customer(&host, "PO-1").await[0].state, "delivered");
    assert_eq!((partner.faults(), host.codes().await), (vec![], vec![]));
    host.verify().await.unwrap();
}

/// What the transformer makes of a 997 or TA1: its JSON, or code and place of what is wrong.
async fn mapped(plugins: &Plugins, interchange: &str) -> Result<serde_json::Value, (String, String)> {
    let received = plugins.receive("x12", interchange.as_bytes(), &[("sets", "997")]).await;
    assert!(received.reply.body.is_empty(), "an acknowledgement is never acknowledged");
    let [document] = received.documents.as_slice() else { panic!("{:?}", received.problems) };
    match plugins.map("x12-acknowledgements", document, &[]).await {
        Ok(events) => {
            let [portreeve_model::Event::Other(other)] = events.as_slice() else { panic!("{events:?}") };
            Ok(serde_json::from_slice(&other.body).unwrap())
        }
        Err(Failure::Invalid(problems)) => Err((problems[0].code.clone(), problems[0].position.path.clone())),
        Err(failure) => panic!("{failure:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_997_is_read_as_what_its_letters_say_and_no_value_of_it_goes_on() {
    let plugins = Plugins::of(Setup::demo().blindfolded("x12-acknowledgements")).await;
    let base = acknowledgement(1, "ACME", "IN", 17, "810", "A");
    for (ak5, ak9, said) in [
        ("A", "A*1*1*1", "accepted"),
        ("E", "E*1*1*1", "accepted-with-errors"),
        ("A", "E*1*1*1", "accepted-with-errors"),
        ("R", "R*1*1*0", "rejected"),
        ("M", "R*1*1*0", "rejected"),
        ("A", "R*1*1*0", "rejected"),
        ("R", "P*1*1*0", "rejected"),
    ] {
        let text = base.replace("AK5*A~", &format!("AK5*{ak5}~")).replace("AK9*A*1*1*1", &format!("AK9*{ak9}"));
        let found = mapped(&plugins, &text).await.unwrap();
        assert_eq!((found["said"].as_str(), found["number"].as_str()), (Some(said), Some("17")), "{ak5} {ak9}");
        assert_eq!(found["partner"], "ZZ:ACME");
    }
    let detailed = base
        .replace("AK5*A~\n", "AK3*BIG*2**8~\nAK4*2*373*8*Ada Lovelace~\nAK5*R*5~\n")
        .replace("AK9*A*1*1*1", "AK9*R*1*1*0*5")
        .replace("SE*6", "SE*8");
    let found = mapped(&plugins, &detailed).await.unwrap();
    assert_eq!(found["faults"], serde_json::json!(["AK3 BIG 2 8", "AK4 2 373 8", "AK5 5", "AK9 5"]));
    for (from, to, code, path) in [
        ("AK5*A~", "AK5*Z~", "unknown-status", "AK5/01"),
        ("AK9*A", "AK9*Z", "unknown-status", "AK9/01"),
        ("AK2*810*0001", "AK2*810*0002", "other-set", "AK2/02"),
        ("AK5*A~", "AK5*A~\nAK2*810*0002~\nAK5*A~", "several-sets", "AK2"),
        ("AK1*IN*17", "AK1*IN*X7", "control-number", "AK1/02"),
        ("AK1*IN*17", "AK1*IN*0", "control-number", "AK1/02"),
        ("AK5*A~\n", "", "segment-missing", "AK5"),
    ] {
        let found = mapped(&plugins, &base.replace(from, to)).await.unwrap_err();
        assert_eq!(found, (code.to_owned(), path.to_owned()), "{to}");
    }
    let ta1 = |status: &str, note: &str| {
        format!(
            "ISA*00*          *00*          *ZZ*ACME           *ZZ*PORTREEVE      *260302*0800*U*00401*000000009*0*P*>~\n\
             TA1*000000017*260302*0915*{status}*{note}~\nIEA*0*000000009~\n"
        )
    };
    for (status, note, said) in [("A", "000", "received"), ("E", "006", "received"), ("R", "024", "rejected")] {
        let found = mapped(&plugins, &ta1(status, note)).await.unwrap();
        assert_eq!((found["said"].as_str(), found["number"].as_str()), (Some(said), Some("17")));
    }
    assert_eq!(mapped(&plugins, &ta1("Z", "000")).await.unwrap_err().0, "unknown-status");
}
