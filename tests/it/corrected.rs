//! Dead letters edited: words of a message that a target would not take are corrected by two people
//! together, and nothing else of it is.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Method;
use portreeve_api::exception::ExceptionStory;
use portreeve_authority::people::Denied;
use portreeve_model::{Digest, ExceptionAction, ExceptionKind};
use portreeve_pipeline::exception::{Correction, Decision, ExceptionError, Outcome, edited};
use portreeve_pipeline::replay::ReplayWanted;
use portreeve_pipeline::{Clock, SignedIn};
use portreeve_record::LeafBody;
use serde_json::{Value, json};

use crate::front::commands;
use crate::interchanges::{accepted, to_a_warehouse};
use crate::support::exceptions::{decide, decision, waiting};
use crate::support::{PurchaseOrder, ScriptedTarget, Setup, TestHost, people};

/// A host whose ERP refuses the first order that it gets, and the bodies of what it got.
struct Refused {
    host: TestHost,
    got: Arc<Mutex<Vec<String>>>,
    /// Whether the ERP says that it has the order, whatever it answered when it got it.
    has_it: Arc<AtomicBool>,
    /// Whether its answer to the next order is lost, after which it cannot be asked.
    loses: Arc<AtomicBool>,
    /// Whether it cannot be asked.
    is_deaf: Arc<AtomicBool>,
    /// Whether it has no time for the next order, and is done with an earlier one meanwhile.
    is_slow: Arc<AtomicBool>,
    _target: ScriptedTarget,
}

impl Refused {
    async fn start() -> Self {
        Self::start_where(false).await
    }

    /// The same, or its answer to the first order is lost.
    async fn start_where(first_is_lost: bool) -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let [has_it, loses, is_deaf, is_slow] = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
        loses.store(first_is_lost, Ordering::Relaxed);
        let target = ScriptedTarget::start({
            let got = Arc::clone(&got);
            let (has_it, loses) = (Arc::clone(&has_it), Arc::clone(&loses));
            let (is_deaf, is_slow) = (Arc::clone(&is_deaf), Arc::clone(&is_slow));
            move |method, body| {
                let answer = if method == Method::POST {
                    let mut got = got.lock().unwrap();
                    got.push(String::from_utf8(body.to_vec()).unwrap());
                    is_deaf.fetch_or(loses.load(Ordering::Relaxed), Ordering::Relaxed);
                    let status = if got.len() == 1 { 422 } else { 201 };
                    let status = if is_deaf.load(Ordering::Relaxed) { 502 } else { status };
                    let status = if is_slow.load(Ordering::Relaxed) { 429 } else { status };
                    has_it.fetch_or(is_slow.load(Ordering::Relaxed), Ordering::Relaxed);
                    (status, r#"{"id":"1","number":"S-1"}"#.to_owned())
                } else if is_deaf.load(Ordering::Relaxed) {
                    (502, String::new())
                } else if has_it.load(Ordering::Relaxed) {
                    (200, r#"{"value":[{"id":"1","number":"S-1"}]}"#.to_owned())
                } else {
                    (200, r#"{"value":[]}"#.to_owned())
                };
                async { answer }
            }
        })
        .await;
        let places = "find = true\ncorrectable = [\"/shipToName\", \"/externalDocumentNumber\"]\n\
                      systems_owner = \"erp-desk\"\n";
        let setup = Setup::demo().replace("portreeve.toml", "find = true\n", places).erp_origin(target.origin());
        let host = setup.start().await;
        host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
        host.deliver_all().await;
        assert_eq!(host.order("PO-1").await.deliveries[0].state, "dead");
        Self { host, got, has_it, loses, is_deaf, is_slow, _target: target }
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }

    /// A text of the first message.
    fn text(&self, name: &str) -> String {
        let message: Value = serde_json::from_str(&self.got()[0]).unwrap();
        message[name].as_str().unwrap().to_owned()
    }

    async fn letter(&self) -> u64 {
        self.host.store.dead_letters(0, 10).await.unwrap().remove(0).exception
    }

    async fn propose(&self, who: &SignedIn, corrections: &Value) -> Result<Outcome, ExceptionError> {
        let payload = corrections.to_string();
        let decision = decision(&self.host, self.letter().await, ExceptionAction::Correct).await;
        let decision = Decision { payload: Some(payload.as_bytes()), ..decision };
        self.host.host.pipeline.decide_exception(who, decision).await
    }

    async fn proposed(&self, who: &SignedIn, corrections: &Value) -> Digest {
        match self.propose(who, corrections).await.unwrap() {
            Outcome::Waits { proposal, approvals_missing: 1, .. } => proposal,
            other => panic!("nobody corrects alone: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_people_correct_a_word_and_no_other_byte_of_the_message_changes() {
    let refused = Refused::start().await;
    let host = &refused.host;
    let (anna, ben) =
        (host.acts_as("anna", &["integration", "approver"]).await, host.acts_as("ben", &["approver"]).await);
    let (was, letter) = (refused.text("shipToName"), refused.letter().await);
    let made = host.host.pipeline.message_of(&anna, letter).await.unwrap();
    assert_eq!((String::from_utf8(made.message.body).unwrap(), made.correctable.len()), (refused.got()[0].clone(), 2));
    let viewer = host.acts_as("viktor", &["viewer"]).await;
    assert!(matches!(host.host.pipeline.message_of(&viewer, letter).await, Err(ExceptionError::Denied(_))));
    let corrections = json!([{"at": "/shipToName", "was": was, "is": "Dock 4"}]);
    let proposal = refused.proposed(&anna, &corrections).await;

    // What is to become of it is shown to whoever agrees, who is another one.
    let story = ExceptionStory::read(&host.host.pipeline, letter).await.unwrap();
    let shown: Vec<_> = story.proposal.unwrap().corrections;
    assert_eq!(
        shown.iter().map(|one| (&*one.at, &*one.was, &*one.is)).collect::<Vec<_>>(),
        [("/shipToName", &*was, "Dock 4")]
    );
    let own = host.host.pipeline.approve(&anna, letter, proposal).await.unwrap_err();
    assert!(matches!(own, ExceptionError::Denied(Denied::Maker { .. })), "{own}");
    assert_eq!((host.deliver_due().await, refused.got().len()), (0, 1), "nothing goes before that");
    host.host.pipeline.approve(&ben, letter, proposal).await.unwrap();
    host.deliver_all().await;

    let got = refused.got();
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    assert_eq!((got.len(), &got[1]), (2, &got[0].replacen(&quoted(&was), &quoted("Dock 4"), 1)));
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 2));

    // The record has what the transformer made, what left, and whose words are between.
    let leaves = host.leaves().await;
    let attempts: Vec<_> = leaves
        .iter()
        .filter_map(|leaf| if let LeafBody::Attempt(attempt) = &leaf.body { Some(attempt) } else { None })
        .collect();
    let made = |nth: usize| attempts[nth].crossing.as_ref().unwrap().output;
    assert_eq!((attempts[0].message, attempts[0].corrected), (made(0), None));
    assert_eq!(made(1), made(0), "the transformer made the same");
    assert_ne!(attempts[1].message, made(1));
    let carried_out = leaves.iter().find_map(|leaf| match &leaf.body {
        LeafBody::Exception(step) if step.code.as_str() == "replayed" => Some(step),
        _ => None,
    });
    let carried_out = carried_out.unwrap();
    assert_eq!((carried_out.record, carried_out.proposal), (attempts[1].corrected, Some(proposal)));
    let names: Vec<_> = carried_out.agreed.as_ref().unwrap().shown().iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["anna", "ben"]);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_edited_in_a_file_and_exactly_what_was_changed_is_proposed() {
    let refused = Refused::start().await;
    let host = &refused.host;
    let door = host.front_door().await;
    let key = host.ops_key_file().await;
    let (server, letter) = (format!("http://{}", door.address()), refused.letter().await.to_string());
    let at = ["--server", &server, "--token-file", key.to_str().unwrap()];
    let file = host.folder().join("message.json");
    let file = file.to_str().unwrap();
    let message = ["exception", "message", &letter, "--out", file];
    commands::run(&[&message[..], &at].concat()).await.unwrap();
    let message = std::fs::read_to_string(file).unwrap();
    assert_eq!(message, refused.got()[0], "just as its target would be sent it");

    let show = ["exception", "show", &letter];
    let shown = commands::json(&[&show[..], &at].concat()).await.remove(0)["shown"].as_str().unwrap().to_owned();
    let why = ["--shown", &shown, "--reason", "it takes 20 letters", "--from", file];
    let decide = |action: &'static str| [&["exception", "decide", &letter, action][..], &why, &at].concat();
    // Editors write JSON as they like it.
    let edit = |name: &str, is: Value| {
        let mut edited: Value = serde_json::from_str(&message).unwrap();
        edited[name] = is;
        std::fs::write(file, serde_json::to_string_pretty(&edited).unwrap()).unwrap();
    };
    for (name, is, told) in [
        ("shipToName", json!(4), "something else than words changed at `/shipToName`"),
        ("more", json!("x"), "something else than words changed at `/`"),
        ("externalDocumentNumber", json!("other"), "has the order's identifier"),
        ("shipToName", json!(refused.text("shipToName")), "found nothing changed"),
    ] {
        edit(name, is);
        commands::refused(&decide("correct"), &[told]).await;
    }
    edit("shipToName", json!("Dock 4"));
    commands::refused(&decide("retry"), &["expected it with `correct`"]).await;
    assert_eq!(commands::json(&decide("correct")).await[0]["done"], false, "another person is to agree");
    let story = ExceptionStory::read(&host.host.pipeline, refused.letter().await).await.unwrap();
    let corrections = story.proposal.unwrap().corrections;
    let told: Vec<_> = corrections.iter().map(|one| (&*one.at, &*one.was, &*one.is)).collect();
    assert_eq!(told, [("/shipToName", refused.text("shipToName").as_str(), "Dock 4")]);

    // Who agrees hears what comes of it.
    let show = commands::run(&[&show[..], &at].concat()).await.unwrap();
    let agrees = format!("  portreeve exception approve {letter} --proposal ");
    let agrees = show.lines().find_map(|line| line.strip_prefix(&agrees)).unwrap();
    let (proposal, place) = agrees.split_once(' ').unwrap();
    assert_eq!(place, at.join(" "), "as it was shown, so it is typed");
    let ben = host.folder().join("ben.key");
    std::fs::write(&ben, people::key_of(&host.host.pipeline, "ben", &["approver"]).await).unwrap();
    let approve = ["exception", "approve", &letter, "--proposal", proposal];
    let told = commands::run(&[&approve[..], &at[..3], &[ben.to_str().unwrap()]].concat()).await.unwrap();
    let follows = "the delivery is tried again by the running host, and a new exception is opened where that fails\n";
    assert_eq!(told, format!("exception {letter} is decided\n{follows}"));
    door.close().await;
}

#[tokio::test]
async fn what_the_owner_did_not_list_the_orders_name_and_half_a_correction_are_refused() {
    let refused = Refused::start().await;
    let anna = refused.host.acts_as("anna", &["integration"]).await;
    let number = refused.text("externalDocumentNumber");
    for (corrections, told) in [
        (json!([{"at": "/customerNumber", "was": "C1201", "is": "C1202"}]), "`/customerNumber` is not `correctable`"),
        (json!([{"at": "/externalDocumentNumber", "was": number, "is": "other"}]), "has the order's identifier"),
        (json!([]), "needs 1 to 16 corrections"),
        (json!([{"at": "/shipToName", "is": "Dock 4"}]), "missing field `was`"),
    ] {
        let error = refused.propose(&anna, &corrections).await.unwrap_err();
        assert!(error.to_string().contains(told), "`{told}` in {error}");
    }
    let pipeline = &refused.host.host.pipeline;
    let letter = refused.letter().await;
    let without = decision(&refused.host, letter, ExceptionAction::Correct).await;
    let error = pipeline.decide_exception(&anna, without).await.unwrap_err();
    assert!(matches!(error, ExceptionError::Incomplete { .. }), "{error}");
    let retry = Decision { payload: Some(b"[]"), ..decision(&refused.host, letter, ExceptionAction::Retry).await };
    let error = pipeline.decide_exception(&anna, retry).await.unwrap_err();
    assert!(error.to_string().contains("takes no payload"), "{error}");
    let viewer = refused.host.acts_as("viktor", &["viewer"]).await;
    let corrections = json!([{"at": "/shipToName", "was": "a", "is": "b"}]);
    assert!(matches!(refused.propose(&viewer, &corrections).await, Err(ExceptionError::Denied(_))));
    assert_eq!(refused.got().len(), 1);
    let money =
        Setup::demo().replace("portreeve.toml", "find = true\n", "find = true\ncorrectable = [\"/discountAmount\"]\n");
    let error = format!("{:#}", money.try_start().await.err().unwrap());
    assert!(error.contains("speaks of money"), "{error}");
}

#[tokio::test]
async fn a_message_that_is_another_one_by_now_is_not_sent() {
    let refused = Refused::start().await;
    let host = &refused.host;
    let (anna, ben) = (host.acts_as("anna", &["integration"]).await, host.acts_as("ben", &["approver"]).await);
    let letter = refused.letter().await;
    let proposal =
        refused.proposed(&anna, &json!([{"at": "/shipToName", "was": "what never stood there", "is": "Dock 4"}])).await;
    host.host.pipeline.approve(&ben, letter, proposal).await.unwrap();
    host.deliver_all().await;
    assert_eq!((refused.got().len(), host.codes().await), (1, vec!["correction-unfit".to_owned()]));
    // Others put it right.
    let was = refused.text("shipToName");
    let proposal = refused.proposed(&anna, &json!([{"at": "/shipToName", "was": was, "is": "Dock 5"}])).await;
    host.host.pipeline.approve(&ben, refused.letter().await, proposal).await.unwrap();
    host.deliver_all().await;
    assert!(refused.got()[1].contains("Dock 5"));
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test]
async fn of_a_message_that_had_arrived_before_it_was_corrected_people_hear() {
    let refused = Refused::start().await;
    let host = &refused.host;
    let (anna, ben) = (host.acts_as("anna", &["integration"]).await, host.acts_as("ben", &["approver"]).await);
    let was = refused.text("shipToName");
    let proposal = refused.proposed(&anna, &json!([{"at": "/shipToName", "was": was, "is": "Dock 4"}])).await;
    refused.has_it.store(true, Ordering::Relaxed);
    host.host.pipeline.approve(&ben, refused.letter().await, proposal).await.unwrap();
    host.deliver_all().await;
    assert_eq!((refused.got().len(), host.order("PO-1").await.deliveries[0].state.as_str()), (1, "delivered"));
    assert_eq!(host.codes().await, ["arrived-uncorrected"], "the ERP has the words that were to be corrected");
    let told = waiting(host).await.remove(0);
    assert_eq!((told.order, told.kind), (Some(host.order("PO-1").await.id), ExceptionKind::Order));
    let owner = host.host.pipeline.routes.owner_of(&told).unwrap();
    assert_eq!((owner.part.as_str(), owner.name), ("systems", "erp-desk"));
    decide(host, &anna, told.id, ExceptionAction::Abandon).await.unwrap();
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test]
async fn of_a_corrected_message_whose_answer_was_lost_people_hear_only_what_is_true() {
    for was_sent in [true, false] {
        let refused = Refused::start().await;
        let host = &refused.host;
        let (anna, ben) = (host.acts_as("anna", &["integration"]).await, host.acts_as("ben", &["approver"]).await);
        let was = refused.text("shipToName");
        let proposal = refused.proposed(&anna, &json!([{"at": "/shipToName", "was": was, "is": "Dock 4"}])).await;
        // Either the answer to the corrected words is lost, or the ERP cannot be asked before they go.
        let fault = if was_sent { &refused.loses } else { &refused.is_deaf };
        fault.store(true, Ordering::Relaxed);
        host.host.pipeline.approve(&ben, refused.letter().await, proposal).await.unwrap();
        host.deliver_all().await;
        let got = refused.got();
        assert_eq!((got.len(), got.last().unwrap().contains("Dock 4")), (1 + usize::from(was_sent), was_sent));
        assert_eq!(host.codes().await, ["unknown-outcome"]);

        // It is only tried again, when the ERP can be asked once more.
        refused.is_deaf.store(false, Ordering::Relaxed);
        refused.has_it.store(true, Ordering::Relaxed);
        decide(host, &anna, refused.letter().await, ExceptionAction::Retry).await.unwrap();
        host.deliver_all().await;
        assert_eq!((refused.got(), host.order("PO-1").await.deliveries[0].state.as_str()), (got, "delivered"));
        let expected: &[&str] = if was_sent { &[] } else { &["arrived-uncorrected"] };
        assert_eq!(host.codes().await, expected, "whether it was sent corrected: {was_sent}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn of_a_message_that_a_slow_target_took_before_it_was_corrected_people_hear_though_it_was_tried_again_since() {
    for is_slow in [true, false] {
        let refused = Refused::start_where(true).await;
        let host = &refused.host;
        let (anna, ben) = (host.acts_as("anna", &["integration"]).await, host.acts_as("ben", &["approver"]).await);
        let was = refused.text("shipToName");
        let proposal = refused.proposed(&anna, &json!([{"at": "/shipToName", "was": was, "is": "Dock 4"}])).await;
        // It says that it has nothing yet. Of the corrected words it takes none, or its answer is lost too.
        refused.is_deaf.store(false, Ordering::Relaxed);
        refused.loses.store(!is_slow, Ordering::Relaxed);
        refused.is_slow.store(is_slow, Ordering::Relaxed);
        host.host.pipeline.approve(&ben, refused.letter().await, proposal).await.unwrap();
        host.deliver_all().await;
        if !is_slow {
            refused.is_deaf.store(false, Ordering::Relaxed);
            refused.has_it.store(true, Ordering::Relaxed);
            decide(host, &anna, refused.letter().await, ExceptionAction::Retry).await.unwrap();
            host.deliver_all().await;
        }
        let got = refused.got();
        assert_eq!((got.len(), got[1].contains("Dock 4")), (2, true));
        assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
        assert_eq!(host.codes().await, ["arrived-uncorrected"], "whether the second surely did nothing: {is_slow}");
        let told = host.exceptions().await.remove(0).detail;
        let expected = if is_slow { "what was sent before it was corrected" } else { "nobody knows whether" };
        assert!(told.contains(expected), "{told}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn of_a_message_that_was_taken_corrected_and_is_replayed_nobody_hears_that_it_was_not() {
    let refused = Refused::start().await;
    let host = &refused.host;
    let (anna, ben) = (host.acts_as("anna", &["integration"]).await, host.acts_as("ben", &["approver"]).await);
    let since = host.clock.now();
    let was = refused.text("shipToName");
    let proposal = refused.proposed(&anna, &json!([{"at": "/shipToName", "was": was, "is": "Dock 4"}])).await;
    host.host.pipeline.approve(&ben, refused.letter().await, proposal).await.unwrap();
    host.deliver_all().await;
    assert!(refused.got()[1].contains("Dock 4"));

    refused.has_it.store(true, Ordering::Relaxed);
    host.clock.advance_to(host.clock.now().plus_ms(1));
    let until = host.clock.now();
    let wanted = ReplayWanted { target: "erp", channel: None, kind: None, since, until, shipped: false, most: 100 };
    let plan = host.host.pipeline.show_replay(wanted).await.unwrap();
    assert_eq!(plan.deliveries.len(), 1);
    host.host.pipeline.replay(&host.ops().await, wanted, plan.digest, "the ERP lost a day").await.unwrap();
    host.deliver_all().await;
    let delivery = host.order("PO-1").await.deliveries.remove(0);
    assert_eq!((refused.got().len(), delivery.state.as_str()), (2, "delivered"));
    assert_eq!(host.codes().await, Vec::<String>::new(), "the ERP has the words that two people agreed on");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn whoever_corrects_once_more_sees_what_was_corrected_before() {
    let refused = Refused::start().await;
    let host = &refused.host;
    let (anna, ben) = (host.acts_as("anna", &["integration"]).await, host.acts_as("ben", &["approver"]).await);
    let story = async || ExceptionStory::read(&host.host.pipeline, refused.letter().await).await.unwrap();
    assert!(story().await.corrected.is_empty());
    let first = json!([{"at": "/shipToName", "was": "what never stood there", "is": "Dock 4"}]);
    let proposal = refused.proposed(&anna, &first).await;
    host.host.pipeline.approve(&ben, refused.letter().await, proposal).await.unwrap();
    host.deliver_all().await;
    // Before somebody proposes another one, and when others are to agree to that.
    let second = json!([{"at": "/shipToName", "was": refused.text("shipToName"), "is": "Dock 5"}]);
    for proposed in [false, true] {
        if proposed {
            refused.proposed(&anna, &second).await;
        }
        let story = story().await;
        let words: Vec<_> = story.corrected.iter().map(|one| (&*one.at, &*one.was, &*one.is)).collect();
        assert_eq!(words, [("/shipToName", "what never stood there", "Dock 4")]);
        assert_eq!(story.proposal.is_some(), proposed);
    }
    let door = host.front_door().await;
    let letter = refused.letter().await;
    let told: Value = serde_json::from_str(&door.ask(&format!("/v1/exceptions/{letter}")).await).unwrap();
    assert_eq!(told["corrected"], first);
    door.close().await;
}

/// A host whose warehouse gets an order as a 940, answers it with this status and so has it given up.
struct Warehouse {
    host: TestHost,
    got: Arc<Mutex<Vec<String>>>,
    answers: Arc<AtomicU16>,
    _target: ScriptedTarget,
}

impl Warehouse {
    async fn start(status: u16) -> Self {
        let (got, answers) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(status)));
        let (seen, answered) = (Arc::clone(&got), Arc::clone(&answers));
        let target = ScriptedTarget::start(move |_, interchange| {
            seen.lock().unwrap().push(String::from_utf8(interchange.to_vec()).unwrap());
            let status = answered.load(Ordering::Relaxed);
            async move { (status, String::new()) }
        })
        .await;
        let kind = "kind = \"x12/940\"\n";
        let correctable = format!("{kind}correctable = [\"N1*\"]\n");
        let host = to_a_warehouse(target.origin()).replace("portreeve.toml", kind, &correctable).start().await;
        accepted(&host, "PO-1", "C1201").await;
        host.deliver_all().await;
        assert_eq!(host.order("PO-1").await.deliveries[0].state, "dead");
        Self { host, got, answers, _target: target }
    }

    async fn letter(&self) -> u64 {
        self.host.store.dead_letters(0, 10).await.unwrap().remove(0).exception
    }

    /// The set that it would be sent.
    async fn message(&self, who: &SignedIn) -> String {
        let made = self.host.host.pipeline.message_of(who, self.letter().await).await.unwrap();
        String::from_utf8(made.message.body).unwrap()
    }

    async fn propose(&self, who: &SignedIn, corrections: &[Correction]) -> Result<Outcome, ExceptionError> {
        let payload = serde_json::to_vec(corrections).unwrap();
        let decision = decision(&self.host, self.letter().await, ExceptionAction::Correct).await;
        let decision = Decision { payload: Some(&payload), ..decision };
        self.host.host.pipeline.decide_exception(who, decision).await
    }

    /// Two people have another name of who gets the goods sent; what that was.
    async fn renamed(&self) -> String {
        let anna = self.host.acts_as("anna", &["integration"]).await;
        let ben = self.host.acts_as("ben", &["approver"]).await;
        let message = self.message(&anna).await;
        let line = message.lines().find(|line| line.starts_with("N1*ST*")).unwrap();
        let name = line.split(['*', '~']).nth(2).unwrap().to_owned();
        let corrections = edited(&message, &message.replacen(&name, "DOCK 4", 1)).unwrap();
        let Outcome::Waits { proposal, .. } = self.propose(&anna, &corrections).await.unwrap() else {
            panic!("nobody corrects alone");
        };
        self.answers.store(202, Ordering::Relaxed);
        self.host.host.pipeline.approve(&ben, self.letter().await, proposal).await.unwrap();
        self.host.deliver_all().await;
        name
    }
}

#[tokio::test]
async fn a_word_of_an_x12_set_is_corrected_in_its_line_and_no_other_byte_of_the_interchange_changes() {
    let warehouse = Warehouse::start(422).await;
    let anna = warehouse.host.acts_as("anna", &["integration"]).await;
    let message = warehouse.message(&anna).await;
    let total = message.lines().find(|line| line.starts_with("W76*")).unwrap();
    let more = edited(&message, &message.replacen(total, "W76*999~", 1)).unwrap();
    let error = warehouse.propose(&anna, &more).await.unwrap_err().to_string();
    assert!(error.contains("is not `correctable` at target `warehouse`"), "{error}");

    let name = warehouse.renamed().await;
    let got = warehouse.got.lock().unwrap().clone();
    assert_eq!((got.len(), &got[1]), (2, &got[0].replacen(&name, "DOCK 4", 1)), "under its number, as before");
    assert_eq!(warehouse.host.order("PO-1").await.deliveries[0].state, "delivered");
    assert_eq!(warehouse.host.codes().await, Vec::<String>::new());
    warehouse.host.verify().await.unwrap();
}

#[tokio::test]
async fn other_words_are_never_sent_under_a_number_with_which_the_first_may_have_arrived() {
    let warehouse = Warehouse::start(500).await;
    let sent = warehouse.got.lock().unwrap().len();
    warehouse.renamed().await;
    assert_eq!(warehouse.got.lock().unwrap().len(), sent);
    assert_eq!(warehouse.host.codes().await, ["correction-unfit"]);
    let told = waiting(&warehouse.host).await.remove(0).detail;
    assert!(told.contains("may have arrived as interchange 1") && told.contains("`ZZ:WAREHOUSE`"), "{told}");
    warehouse.host.verify().await.unwrap();
}
