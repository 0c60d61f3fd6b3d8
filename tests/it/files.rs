//! Files of many interchanges over the whole road. What is wrong with one of them, or
//! too much, costs that one: the others are taken, and its sender hears which it was.

use portreeve_model::Reply;

use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, x12, x12_of};

fn interchange(control: u32, number: &str) -> String {
    String::from_utf8(x12(control, &PurchaseOrder::clean(number))).unwrap()
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

async fn numbers(host: &TestHost) -> Vec<String> {
    host.decide_all().await;
    host.orders().await.into_iter().map(|order| order.number).collect()
}

#[tokio::test]
async fn an_order_number_or_sender_that_is_none_costs_its_own_interchange() {
    let host = TestHost::demo().await;
    let file = [
        interchange(1, "GOOD1"),
        interchange(2, "PO\t1"),
        interchange(3, &"P".repeat(245)),
        interchange(4, "PO-4").replace("*C1201          *", "*C\u{7}1201         *"),
        interchange(5, "PO-5").replace("GS*PO*C1201", "GS*PO*C1201\u{7}"),
        interchange(6, "GOOD6"),
    ];
    let sent = host.send_edi(file.concat().as_bytes()).await.unwrap();
    let reply = text(&sent.reply);
    assert!(reply.contains("AK4*3*324*6~\nAK5*R*5~") && reply.contains("AK4*3*324*5~\nAK5*R*5~"), "{reply}");
    assert!(reply.contains("TA1*000000004*260302*0800*R*006~"), "{reply}");
    assert_eq!((reply.matches("AK5*A~").count(), reply.matches("AK5*R~").count()), (2, 1), "{reply}");
    assert_eq!(numbers(&host).await, ["GOOD1", "GOOD6"]);
}

/// As many as an input may have, each with an order.
async fn file_of(host: &TestHost, interchanges: u32) -> (Vec<String>, String, Vec<String>) {
    let file: String = (1..=interchanges).map(|control| interchange(control, &format!("PO-{control}"))).collect();
    let sent = host.send_edi(file.as_bytes()).await.unwrap();
    let problems = sent.finding.unwrap().problems.into_iter().map(|problem| problem.code).collect();
    (numbers(host).await, text(&sent.reply), problems)
}

#[tokio::test]
async fn a_file_may_have_as_many_interchanges_as_the_connector_reads() {
    let host = TestHost::demo().await;
    let (orders, reply, problems) = file_of(&host, 64).await;
    assert_eq!((orders.len(), reply.matches("AK5*A~").count()), (64, 64));
    assert_eq!((problems, host.exceptions().await.len()), (vec![], 0));
}

#[tokio::test]
async fn of_a_file_with_too_many_interchanges_the_first_ones_count_and_a_person_hears_of_the_rest() {
    let host = TestHost::demo().await;
    let (orders, reply, problems) = file_of(&host, 65).await;
    assert_eq!((orders.len(), reply.matches("AK5*A~").count()), (64, 64));
    assert_eq!((problems, host.exceptions().await.len()), (vec!["too-many-interchanges".to_owned()], 1));
}

#[tokio::test]
async fn a_file_of_nearly_as_many_segments_and_bytes_as_an_input_may_have_is_taken() {
    let host = TestHost::demo().await;
    let note = "MSG*".to_owned() + &"n".repeat(360) + "~";
    let set = |number: u32| {
        format!(
            "ST*850*{number:04}~BEG*00*SA*L{number}**20260302~PO1*1*1*CA*28.80*PE*VP*WRH-1210~{note}SE*5*{number:04}~"
        )
    };
    let sets: String = (1..=9_000).map(set).collect();
    let file = format!(
        "{}GS*PO*C1201*PORTREEVE*20260302*0800*1*X*004010~{sets}GE*9000*1~IEA*1*000000001~",
        "ISA*00*          *00*          *ZZ*C1201          *ZZ*PORTREEVE      *260302*0800*U*00401*000000001*0*P*>~"
    );
    assert!(file.len() > 3_900_000 && file.len() < 4 * 1024 * 1024, "{} bytes", file.len());
    let sent = host.send_edi(file.as_bytes()).await.unwrap();
    assert_eq!((host.summary().await.undecided, host.exceptions().await.len()), (9_000, 0));
    assert!(text(&sent.reply).contains("AK9*A*9000*9000*9000~"), "{}", text(&sent.reply));
}

#[tokio::test]
async fn an_interchange_that_is_beyond_the_limits_is_refused_and_never_forgotten() {
    let host = TestHost::demo().await;
    let long = interchange(2, "PO-2").replace("CTT*2~", &"MSG*A~".repeat(50_000));
    let file = [interchange(1, "PO-1"), long.clone(), interchange(3, "PO-3")].concat();
    let sent = host.send_edi(file.as_bytes()).await.unwrap();
    let reply = text(&sent.reply);
    for control in ["000000002", "000000003"] {
        assert!(reply.contains(&format!("TA1*{control}*260302*0800*R*023~")), "{reply}");
    }
    assert_eq!(numbers(&host).await, ["PO-1"]);
    assert_eq!(host.exceptions().await[0].code, "accepted-with-problems");

    // Nothing of it is taken, and yet a person hears of it.
    host.send_edi(long.as_bytes()).await.unwrap();
    let exceptions = host.exceptions().await;
    assert_eq!((exceptions.len(), exceptions[1].code.as_str()), (2, "too-many-segments"), "{exceptions:?}");
    assert!(exceptions[1].detail.contains("from byte 0 on"), "{}", exceptions[1].detail);

    // What was refused may come again under its number.
    host.send_edi(interchange(3, "PO-3").as_bytes()).await.unwrap();
    assert_eq!(numbers(&host).await, ["PO-1", "PO-3"]);
}

#[tokio::test]
async fn what_is_beyond_known_interchanges_is_told_to_a_person() {
    let host = TestHost::demo().await;
    file_of(&host, 64).await;
    let (orders, _, problems) = file_of(&host, 65).await;
    assert_eq!((orders.len(), problems), (64, vec!["too-many-interchanges".to_owned()]));
    assert_eq!(host.exceptions().await[0].code, "too-many-interchanges");
}

/// An interchange with two orders, and what a broken connection left of it: the first
/// order whole, and the second one up to its lines.
fn cut_and_whole() -> (String, String) {
    let orders = ["PO-1", "PO-2"].map(PurchaseOrder::clean);
    let whole = String::from_utf8(x12_of(7, &orders)).unwrap();
    let (cut, _) = whole.split_once("ST*850*0002").unwrap();
    (cut.to_owned(), whole)
}

#[tokio::test]
async fn nothing_is_stranded_when_the_whole_interchange_follows_a_cut_one() {
    let host = TestHost::demo().await;
    let (cut, whole) = cut_and_whole();
    let sent = host.send_edi(cut.as_bytes()).await.unwrap();
    assert!(text(&sent.reply).contains("TA1*000000007*260302*0800*E*023~"), "{}", text(&sent.reply));
    assert_eq!(numbers(&host).await, ["PO-1"]);

    let sent = host.send_edi(whole.as_bytes()).await.unwrap();
    let reply = text(&sent.reply);
    assert_eq!((reply.matches("AK5*A~").count(), reply.contains("TA1")), (2, false), "{reply}");
    assert_eq!(numbers(&host).await, ["PO-1", "PO-2"]);
    assert_eq!(host.summary().await.duplicates, 1, "the first order was known by its own key");

    // From now on the number is used up.
    assert_eq!(text(&host.send_edi(format!("{whole}\n").as_bytes()).await.unwrap().reply), reply);
    let other = host.send_edi(whole.replace("PO-2", "PO-3").as_bytes()).await;
    assert!(matches!(other, Err(portreeve_pipeline::AcceptError::Conflict { .. })));
}

#[tokio::test]
async fn a_partner_that_is_held_to_right_counts_may_send_a_cut_interchange_again() {
    let agreed = "settings = { currency = \"USD\", count-mismatch = \"reject\" }";
    let host = Setup::demo().replace("portreeve.toml", "settings = { currency = \"USD\" }", agreed).start().await;
    let (cut, whole) = cut_and_whole();
    let sent = host.send_edi(cut.as_bytes()).await.unwrap();
    assert!(text(&sent.reply).contains("TA1*000000007*260302*0800*R*023~"), "{}", text(&sent.reply));
    assert_eq!(numbers(&host).await, [""; 0]);
    host.send_edi(whole.as_bytes()).await.unwrap();
    assert_eq!(numbers(&host).await, ["PO-1", "PO-2"]);
    assert_eq!(host.summary().await.duplicates, 0);
}

#[tokio::test]
async fn garbage_is_refused_with_its_place_in_bytes() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let token = format!("Bearer {EDI_TOKEN}");
    for (garbage, code, offset) in [
        (&b"\n\nno interchange"[..], "data-outside-interchange", "2"),
        (b"ISA*00*          *00*          *ZZ*BUY", "isa-truncated", "35"),
        (b" ", "no-interchange", "0"),
    ] {
        let answer = door.post("edi", &[("authorization", token.as_str())], garbage).await;
        assert_eq!((answer.status, answer.header("content-type")), (422, Some("application/problem+json")));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let problem = &body["problems"][0];
        assert_eq!((&problem["code"], &problem["position"]["offsetBytes"]), (&code.into(), &offset.into()), "{body}");
        assert_ne!(problem["position"]["segment"], 0, "segments count from 1");
    }
    door.close().await;
}

#[tokio::test]
async fn what_stands_between_two_interchanges_is_named_by_its_byte() {
    let host = TestHost::demo().await;
    let file = format!("{}#!?\n{}", interchange(1, "PO-1"), interchange(2, "PO-2"));
    let sent = host.send_edi(file.as_bytes()).await.unwrap();
    let problem = &sent.finding.unwrap().problems[0];
    let offset = u64::try_from(interchange(1, "PO-1").len()).unwrap();
    assert_eq!((problem.position.offset_bytes, problem.position.segment), (Some(offset), None));
    assert!(text(&sent.reply).matches("AK5*A~").count() == 2, "both are taken");
}
