//! X12 beyond purchase orders: which sets a channel takes, how each is known and answered,
//! and what changes, shipping advice and remittances become, the public files among them.
//!
//! Those files are not part of the project; where they are absent the test says so.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portreeve_model::event::{Remittance, Shipment};
use portreeve_model::{Event, Failure, Money, Problem, Quantity, Received};
use serde::Deserialize;

use crate::at_the_plugin::{Plugins, Settings};
use crate::support::{Setup, say, tree};

/// What the channel of `tests/x12-sets-expected.toml` takes.
const ALL: Settings<'_> = &[("sets", "850,860,945,820,997")];

/// What is agreed with partners who name no currency.
const AGREED: Settings<'_> = &[("currency", "USD")];

/// Folders of public files that are not purchase orders.
const FOLDERS: [&str; 7] = ["810", "820", "855", "856", "940", "945", "997"];

async fn plugins() -> Plugins {
    Plugins::of(Setup::demo().blindfolded("x12-warehouse").blindfolded("x12-remittance")).await
}

/// An interchange with one set of these segments.
fn interchange(functional: &str, code: &str, segments: &[&str]) -> String {
    let count = segments.len() + 2;
    let set: String = segments.iter().map(|segment| format!("{segment}~\n")).collect();
    format!(
        "ISA*00*          *00*          *ZZ*PARTNER        *ZZ*PORTREEVE      *260302*0800*U*00401*000000007*0*P*>~\n\
         GS*{functional}*PARTNER*PORTREEVE*20260302*0800*7*X*004010~\nST*{code}*0001~\n{set}SE*{count}*0001~\n\
         GE*1*7~\nIEA*1*000000007~\n"
    )
}

fn answers(received: &Received) -> Vec<String> {
    let text = String::from_utf8(received.reply.body.clone()).unwrap();
    let judging = |segment: &&str| ["TA1*", "AK5*", "AK9*"].iter().any(|tag| segment.starts_with(tag));
    text.split("~\n").filter(judging).map(str::to_owned).collect()
}

fn codes(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.code.as_str()).collect()
}

/// The transformer of a document's kind.
fn transformer(kind: &str) -> &'static str {
    match kind {
        "x12/850" | "x12/860" => "x12-orders",
        "x12/945" => "x12-warehouse",
        "x12/820" => "x12-remittance",
        other => panic!("{other} has no transformer"),
    }
}

/// The event of the only document of an input, or the problems of it; in dollars where it names
/// no currency.
async fn event(plugins: &Plugins, input: &str, settings: Settings<'_>) -> Result<Event, Vec<Problem>> {
    mapped(plugins, input, &[AGREED, settings].concat()).await
}

/// The same with these settings alone.
async fn mapped(plugins: &Plugins, input: &str, settings: Settings<'_>) -> Result<Event, Vec<Problem>> {
    let received = plugins.receive("x12", input.as_bytes(), ALL).await;
    assert_eq!((codes(&received.problems), received.documents.len()), (vec![], 1), "{input}");
    let document = &received.documents[0];
    match plugins.map(transformer(&document.kind), document, settings).await {
        Ok(mut events) if events.len() == 1 => Ok(events.remove(0)),
        Ok(events) => panic!("{} events", events.len()),
        Err(Failure::Invalid(problems)) => Err(problems),
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Code and path of what is wrong with the only document of an input.
async fn wrong(plugins: &Plugins, input: &str) -> Vec<(String, String)> {
    let problems = event(plugins, input, &[]).await.expect_err(input);
    problems.into_iter().map(|problem| (problem.code, problem.position.path)).collect()
}

fn one(code: &str, path: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), path.to_owned())]
}

// --- which sets are taken ---

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_takes_the_sets_that_it_names_and_orders_alone_where_it_names_none() {
    let plugins = plugins().await;
    let advice = interchange("SW", "945", &["W06*F*PO-1**SH-1"]);
    for settings in [&[] as Settings<'_>, &[("sets", "850,860,820,997")]] {
        let received = plugins.receive("x12", advice.as_bytes(), settings).await;
        assert_eq!(answers(&received), ["AK5*R*1", "AK9*R*1*1*0"]);
        assert_eq!((codes(&received.problems), received.documents.len()), (vec!["unsupported-transaction"], 0));
    }
    let received = plugins.receive("x12", advice.as_bytes(), &[("sets", "945")]).await;
    assert_eq!(answers(&received), ["AK5*A", "AK9*A*1*1*1"]);
    let document = &received.documents[0];
    assert_eq!((document.kind.as_str(), document.key.as_str()), ("x12/945", "ZZ:PARTNER:PARTNER//945/F/PO-1/SH-1"));

    let slip = plugins.answer("x12", "POST", "/", &[], advice.as_bytes(), &[("sets", "850,856")]).await;
    let Err(Failure::Permanent(why)) = slip else { panic!("{slip:?}") };
    assert_eq!(why, "setting `sets` names `856`; expected some of 850, 860, 820, 945 and 997");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_leave_a_set_without_a_key_or_a_number_is_sent_again_by_its_partner() {
    let plugins = plugins().await;
    let cases = [
        ("SW", "945", vec!["LX*1"], "AK5*R*5", "segment-missing"),
        ("SW", "945", vec!["W06*F**20260302*SH-1"], "AK5*R*5", "element-missing"),
        ("SW", "945", vec!["W06*F*PO-1**SH-1", "W12*CC*ten*10*0*EA**VN*A"], "AK5*R*5", "element-invalid"),
        ("RA", "820", vec!["BPR*I*10*C*CHK"], "AK5*R*5", "segment-missing"),
        ("RA", "820", vec!["BPR*I*10.0.0*C*CHK", "TRN*1*R-1"], "AK5*R*5", "element-invalid"),
        ("RA", "820", vec!["TRN*1*R-1"], "AK5*R*5", "segment-missing"),
        ("PC", "860", vec!["BCH*04*CP***3*20260302"], "AK5*R*5", "element-missing"),
    ];
    for (functional, code, segments, answer, problem) in cases {
        let input = interchange(functional, code, &segments);
        let received = plugins.receive("x12", input.as_bytes(), ALL).await;
        assert_eq!((answers(&received)[0].as_str(), codes(&received.problems)), (answer, vec![problem]), "{input}");
        assert_eq!(received.documents.len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_is_a_document_where_it_is_taken_and_acknowledged_nowhere() {
    let plugins = plugins().await;
    let segments = ["AK1*IN*17", "AK2*810*0001", "AK5*R*5", "AK9*R*1*1*0"];
    let acknowledgement = interchange("FA", "997", &segments);
    for (settings, documents) in [(&[] as Settings<'_>, 0), (ALL, 1)] {
        let received = plugins.receive("x12", acknowledgement.as_bytes(), settings).await;
        assert_eq!((received.reply.body.len(), received.documents.len(), received.problems.len()), (0, documents, 0));
        if let Some(document) = received.documents.first() {
            assert_eq!((document.kind.as_str(), document.key.as_str()), ("x12/997", "ZZ:PARTNER:PARTNER//997/IN/17"));
            assert_eq!(received.envelopes[0].answer, None);
        }
    }
    // An order among acknowledgements would never be answered, and a 997 among orders would be.
    let stowaway = interchange("FA", "850", &["BEG*00*SA*PO-1**20260302", "PO1*1*5*EA*1*PE*VP*A"]);
    let received = plugins.receive("x12", stowaway.as_bytes(), ALL).await;
    assert_eq!((received.documents.len(), codes(&received.problems)), (0, vec!["unsupported-transaction"]));
    let received = plugins.receive("x12", interchange("PO", "997", &segments).as_bytes(), ALL).await;
    assert_eq!((received.documents.len(), answers(&received)[0].as_str()), (0, "AK5*R*1"));
}

// --- 860 ---

fn change(purpose: &str, lines: &[&str]) -> String {
    let begin = format!("BCH*{purpose}*CP*PO-1*R-1*3*20260301");
    let count = format!("CTT*{}", lines.iter().filter(|line| line.starts_with("POC")).count());
    let segments: Vec<&str> =
        std::iter::once(begin.as_str()).chain(lines.iter().copied()).chain([count.as_str()]).collect();
    interchange("PC", "860", &segments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_states_the_whole_order_is_what_it_is_to_be_afterwards() {
    let plugins = plugins().await;
    let lines = [
        "POC*1*NC*5**EA*12.50*PE*VP*PUMP-40*BP*B-77",
        "POC*2*DI*3**EA*4*PE*VP*HOSE-M",
        "PID*F****Hose",
        "POC*3*RZ*200**EA*1.2*HP*VP*BOLT-8",
        "POC*4*AI*1**EA*9*PE*VP*LAMP-1",
    ];
    let Event::OrderChanged(changed) = event(&plugins, &change("05", &lines), &[]).await.unwrap() else { panic!() };
    assert_eq!(changed.revision.as_deref(), Some("3"));
    let order = &changed.order;
    assert_eq!((order.number.as_str(), order.release.as_deref()), ("PO-1", Some("R-1")));
    assert_eq!(order.placed_at.and_then(|at| at.date()).map(|day| day.to_string()).as_deref(), Some("2026-03-01"));
    let found: Vec<String> = (order.lines.iter())
        .map(|line| format!("{} {} {} {}", line.number, line.sku, line.quantity, line.unit_price))
        .collect();
    assert_eq!(found, ["1 PUMP-40 5 EA 12.5 USD", "3 BOLT-8 200 EA 1.2 USD per 100", "4 LAMP-1 1 EA 9 USD"]);
    assert_eq!(order.lines[0].buyer_sku.as_deref(), Some("B-77"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_differences_needs_the_order_before_and_is_a_persons() {
    let plugins = plugins().await;
    let whole = "POC*1*NC*5**EA*12.50*PE*VP*PUMP-40";
    for code in ["QD", "QI", "RQ", "PC", "CT", "", "RS"] {
        let line = format!("POC*2*{code}*3**EA*4*PE*VP*HOSE-M");
        let found = wrong(&plugins, &change("05", &[whole, &line])).await;
        assert_eq!(found, one("needs-the-order-before", "POC[2]/02"), "{code}");
    }
    for purpose in ["04", "00", "22"] {
        assert_eq!(wrong(&plugins, &change(purpose, &[whole])).await, one("needs-the-order-before", "BCH/01"));
    }
    // What is wrong with a line is told as in an order, by the line's own segment.
    let broken = "POC*1*RZ*5****PE*VP*PUMP-40";
    let found = wrong(&plugins, &change("05", &[broken])).await;
    assert_eq!(found, [one("unit-missing", "POC[1]/05"), one("price-missing", "POC[1]/06")].concat());
    let count = change("05", &[whole]).replace("CTT*1", "CTT*2");
    assert_eq!(wrong(&plugins, &count).await, one("line-count-mismatch", "CTT/01"));
    let nothing_left = change("05", &["POC*1*DI*5**EA*12.50*PE*VP*PUMP-40"]);
    assert_eq!(wrong(&plugins, &nothing_left).await, one("lines-missing", "POC"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cancels_asks_for_the_whole_order_to_be_cancelled() {
    let plugins = plugins().await;
    let Event::OrderCancelRequested(cancel) = event(&plugins, &change("01", &[]), &[]).await.unwrap() else { panic!() };
    assert_eq!((cancel.order_number.as_str(), cancel.release(), cancel.line_numbers.len()), ("PO-1", Some("R-1"), 0));
    assert_eq!(cancel.reason.as_deref(), Some("BCH01 is 01 (cancellation)"));
}

// --- 945 ---

fn advice(lines: &[&str]) -> String {
    let segments: Vec<&str> = std::iter::once("W06*F*PO-1*20260303*SH-1").chain(lines.iter().copied()).collect();
    interchange("SW", "945", &segments)
}

async fn shipment(plugins: &Plugins, lines: &[&str]) -> Shipment {
    match event(plugins, &advice(lines), &[]).await {
        Ok(Event::ShipmentConfirmed(shipment)) => shipment,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipping_advice_is_a_confirmed_shipment_with_its_lots_serials_and_places() {
    let plugins = plugins().await;
    let lines = [
        "N1*ST*Harbour Supply*92*ST-2",
        "N3*1 Quay Road*Dock 4",
        "N4*Portland*ME*04101*USA",
        "N1*SF*East*92*DC-EAST",
        "N9*ZZ*PORTREEVE-ORDER*6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10",
        "N9*2I*1Z999",
        "N9*BM*BOL-5",
        "G62*11*20260302",
        "W27*M*UPSN*UPS",
        "LX*1",
        "W12*CP*5*3*2*EA**VN*PUMP-40*L-7",
        "G69*Pump",
        "N9*LI*10",
        "N9*SE*S-1",
        "N9*SE*S-2",
        "N9*LV*PALLET-9",
        "LX*2",
        "W12*BP*2.5*1.25*1.25*MR**VN*HOSE-M",
        "N9*LT*L-8",
        "N9*LI*20",
        "W03*4.25*80*LB",
    ];
    let found = shipment(&plugins, &lines).await;
    assert_eq!(found.order_number, "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10", "as the warehouse was given it");
    assert_eq!((found.shipment_number.as_str(), found.node.as_deref()), ("SH-1", Some("DC-EAST")));
    assert_eq!((found.carrier.as_deref(), found.tracking.as_slice()), (Some("UPSN"), &["1Z999".to_owned()][..]));
    assert_eq!(found.at.and_then(|at| at.date()).map(|day| day.to_string()).as_deref(), Some("2026-03-02"));
    let place = found.ship_to.as_ref().unwrap();
    assert_eq!((place.country.as_deref(), place.lines.len()), (Some("US"), 2));
    assert_eq!(
        lines_of(&found),
        ["10 | PUMP-40 | 5 EA | 3 EA | no-backorder | L-7", "20 | HOSE-M | 2.5 MR | 1.25 MR | backorder | L-8"]
    );
    assert_eq!(found.lines[0].serials, ["S-1", "S-2"]);
    let kept = |name: &str| found.extensions.iter().find(|kept| kept.name == name).map(|kept| kept.value.as_str());
    assert_eq!((kept("x12:N9"), kept("x12:N9:10")), (Some("BM*BOL-5"), Some("LV*PALLET-9")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_read_by_a_table_and_only_where_it_is_true() {
    let plugins = plugins().await;
    for (status, shipped, reason) in [
        ("CC", 5, "none"),
        ("CL", 5, "none"),
        ("CM", 6, "none"),
        ("CE", 5, "none"),
        ("CP", 4, "no-backorder"),
        ("CU", 0, "no-backorder"),
        ("IC", 0, "no-backorder"),
        ("BP", 4, "backorder"),
        ("BO", 0, "backorder"),
        ("BM", 0, "backorder"),
        ("CS", 7, "substitution"),
        ("IS", 7, "substitution"),
    ] {
        let line = format!("W12*{status}*5*{shipped}**EA**VN*PUMP-40");
        let found = shipment(&plugins, &[&line, "N9*LI*1"]).await;
        assert_eq!(lines_of(&found), [format!("1 | PUMP-40 | 5 EA | {shipped} EA | {reason} | ")]);
    }
    for status in ["DS", "IN", "OR", "ZZ", "", "cc", "BK"] {
        let line = format!("W12*{status}*5*5**EA**VN*PUMP-40");
        assert_eq!(wrong(&plugins, &advice(&[&line])).await, one("unknown-status", "W12[1]/01"), "{status}");
    }
    for (status, shipped) in [("CC", 4), ("CC", 6), ("CL", 0), ("CM", 4), ("CP", 5), ("BP", 5), ("BO", 6), ("CU", 1)] {
        let line = format!("W12*{status}*5*{shipped}**EA**VN*PUMP-40");
        let found = wrong(&plugins, &advice(&[&line])).await;
        assert_eq!(found, one("status-contradicts-quantity", "W12[1]/01"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_left_in_two_lots_is_judged_by_both_together() {
    let plugins = plugins().await;
    let lines = ["LX*1", "W12*CC*5*3**EA**VN*A*L-1", "W12*CC*5*2*3*EA**VN*A*L-2", "W03*5"];
    let found = shipment(&plugins, &lines).await;
    assert_eq!(lines_of(&found), ["1 | A | 5 EA | 3 EA | none | L-1", "1 | A | 5 EA | 2 EA | none | L-2"]);
    let short = ["LX*1", "W12*CC*5*3**EA**VN*A*L-1", "W12*CC*5*1**EA**VN*A*L-2"];
    assert_eq!(wrong(&plugins, &advice(&short)).await[0].0, "status-contradicts-quantity");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_advice_says_twice_has_to_be_the_same() {
    let plugins = plugins().await;
    let good = "W12*CC*5*5*0*EA**VN*PUMP-40";
    let cases: [(&[&str], &str, &str); 12] = [
        (&[good, "W03*6"], "total-mismatch", "W03/01"),
        (&["W12*CP*5*3*3*EA**VN*PUMP-40"], "difference-mismatch", "W12[1]/04"),
        (&["W12*CC*5*5*0*EA**VN*PUMP-40*L-1", "N9*LT*L-2"], "several-lots", "W12[1]/09"),
        (&["W12*CC*5*5*0***VN*PUMP-40"], "unit-missing", "W12[1]/05"),
        (&["W12*CC*5*5*0*EA"], "item-missing", "W12[1]/07"),
        (&["W12*CC*5**0*EA**VN*PUMP-40"], "shipped-missing", "W12[1]/03"),
        (&["W12*CP*5*-1**EA**VN*PUMP-40"], "bad-quantity", "W12[1]/03"),
        (&["N1*ST*A*92*1", "N1*ST*B*92*2", good], "ship-to-twice", "N1/01"),
        (&["G62*11*20260230", good], "bad-date", "G62/02"),
        (&["W12*CC*5*5*0*EA**VN*PUMP-40", "W12*CC*5*5.0000000001*0*EA**VN*B"], "bad-quantity", "W12[2]/03"),
        (&[], "lines-missing", "W12"),
        (&["LX*1", "N9*LV*PALLET-1"], "lines-missing", "W12"),
    ];
    for (lines, code, path) in cases {
        assert_eq!(wrong(&plugins, &advice(lines)).await, one(code, path), "{lines:?}");
    }
    let total = event(&plugins, &advice(&[good, "W03*6"]), &[]).await.unwrap_err().remove(0).message;
    assert_eq!(total, "W0301 says that 6 units were shipped, the lines sum to 5; send the whole advice");
    for report in ["N", "X", "C", "A", "K", "f"] {
        let input = advice(&[good]).replace("W06*F*", &format!("W06*{report}*"));
        assert_eq!(wrong(&plugins, &input).await, one("reporting-code", "W06/01"), "{report}");
    }
    assert_eq!(wrong(&plugins, &advice(&[good]).replace("*SH-1", "")).await, one("shipment-number-missing", "W06/04"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_line_says_of_how_much() {
    let plugins = plugins().await;
    // Of what is cancelled or still to come nobody could say whether that is true.
    for (status, shipped) in [("IC", 0), ("CU", 0), ("CU", 4), ("CP", 4), ("BP", 4), ("BO", 0), ("BM", 0)] {
        let line = format!("W12*{status}**{shipped}**EA**VN*PUMP-40");
        assert_eq!(wrong(&plugins, &advice(&[&line])).await, one("ordered-missing", "W12[1]/02"), "{line}");
    }
    let found = shipment(&plugins, &["W12*CC**5**EA**VN*PUMP-40"]).await;
    assert_eq!(lines_of(&found), ["1 | PUMP-40 |  | 5 EA | none | "], "what left is said, and nothing is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_line_in_several_units_are_not_added_up() {
    let plugins = plugins().await;
    let parts = ["LX*1", "W12*CC*5*3**BX**VN*A*L-1", "W12*CC*5*2**EA**VN*A*L-2", "W03*5"];
    assert_eq!(wrong(&plugins, &advice(&parts)).await, one("units-differ", "W12[2]/05"));
    let named = ["W12*CC*5*3**BX**VN*A", "N9*LI*7", "W12*CC*5*2**EA**VN*A", "N9*LI*7"];
    assert_eq!(wrong(&plugins, &advice(&named)).await, one("units-differ", "W12[2]/05"));
    let lines = ["LX*1", "W12*CC*3*3**BX**VN*A", "LX*2", "W12*CC*2*2**EA**VN*B"];
    assert_eq!(shipment(&plugins, &lines).await.lines.len(), 2, "two lines are each in their own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_could_be_another_one_of_the_order_has_to_be_named() {
    let plugins = plugins().await;
    let (pump, hose) = ("W12*CC*5*5*0*EA**VN*PUMP-40", "W12*CC*2*2*0*EA**VN*HOSE-M");
    // The warehouse's own count, which the host compares with the order by the item.
    let found = shipment(&plugins, &["LX*1", pump, "LX*2", hose]).await;
    assert_eq!(lines_of(&found)[1], "2 | HOSE-M | 2 EA | 2 EA | none | ");
    let mixed = ["LX*1", pump, "N9*LI*2", "LX*2", hose];
    assert_eq!(wrong(&plugins, &advice(&mixed)).await, one("line-number-missing", "W12[2]"));
    for status in ["CS", "IS"] {
        let other = format!("W12*{status}*5*5*0*EA**VN*PUMP-41");
        assert_eq!(wrong(&plugins, &advice(&["LX*1", &other])).await, one("line-number-missing", "W12[1]"));
        assert_eq!(shipment(&plugins, &["LX*1", &other, "N9*LI*3"]).await.lines[0].line_number, "3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_contract_would_not_take_is_the_senders_fault_and_not_the_plugins() {
    let plugins = plugins().await;
    let long = "A".repeat(300);
    let good = "W12*CC*5*5*0*EA**VN*PUMP-40";
    let item = format!("W12*CC*5*5*0*EA**VN*{long}");
    assert_eq!(wrong(&plugins, &advice(&[&item])).await, one("identifier-unusable", "W12[1]/08"));
    let serial = format!("N9*SE*{long}");
    assert_eq!(wrong(&plugins, &advice(&[good, &serial])).await, one("identifier-unusable", "W12[1]/02"));
    let kept = format!("N9*LV*{}", "A".repeat(4_200));
    assert_eq!(wrong(&plugins, &advice(&[good, &kept])).await, one("too-much-to-keep", "N9"));
    let many: Vec<&str> = std::iter::once(good).chain(std::iter::repeat_n("N9*LV*PALLET", 1_001)).collect();
    assert_eq!(wrong(&plugins, &advice(&many)).await, one("too-much-to-keep", "N9"));
    let lines = vec![good; 4_001];
    let found = wrong(&plugins, &advice(&lines)).await;
    assert!(found.iter().any(|(code, _)| code == "too-many-lines"), "{found:?}");
    assert_eq!(shipment(&plugins, &["W12*CC*5*5*0*EA**VN*A"; 10]).await.lines.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tests_advice_moves_no_order_unless_the_channel_takes_tests() {
    let plugins = plugins().await;
    let input = advice(&["W12*CC*5*5*0*EA**VN*PUMP-40"]).replace("*0*P*>", "*0*T*>");
    assert_eq!(wrong(&plugins, &input).await, one("test-interchange", "ISA/15"));
    let Event::ShipmentConfirmed(found) = event(&plugins, &input, &[("tests", "accept")]).await.unwrap() else {
        panic!()
    };
    assert!(found.extensions.iter().any(|kept| kept.name == "x12:usage" && kept.value == "T"));
}

// --- 820 ---

fn remittance_of(amount: &str, lines: &[&str]) -> String {
    let begin = format!("BPR*I*{amount}*C*ACH************20260401");
    let head = [begin.as_str(), "TRN*1*R-1", "N1*PR*Mart Inc*92*C-1201"];
    interchange("RA", "820", &head.into_iter().chain(lines.iter().copied()).collect::<Vec<_>>())
}

async fn remittance(plugins: &Plugins, amount: &str, lines: &[&str]) -> Remittance {
    match event(plugins, &remittance_of(amount, lines), &[]).await {
        Ok(Event::RemittanceReceived(remittance)) => remittance,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adjustments_are_within_what_is_paid_or_after_it_as_the_payment_says() {
    let plugins = plugins().await;
    let lines = ["RMR*IV*I-1*PI*90.00*100.00", "ADX*-10*59", "RMR*IV*I-2**20", "ADX*-3*01", "ADX*1.5*59*CM*M-7"];
    // As X12 has it: 90.00 + 20.00 are what is paid.
    let within = remittance(&plugins, "110", &lines).await;
    assert_eq!(paid(&within), ["I-1 | 90.00 | -10.00 | 59", "I-2 | 20.00 | -1.50 | 01,59"]);
    // And as some payers write it: 80.00 + 18.50.
    let after = remittance(&plugins, "98.50", &lines).await;
    assert_eq!(paid(&after), ["I-1 | 80.00 | -10.00 | 59", "I-2 | 18.50 | -1.50 | 01,59"]);
    for found in [&within, &after] {
        let sum: i64 = found.lines.iter().map(|line| line.paid.minor).sum();
        assert_eq!(sum, found.total.minor);
        let memo = found.extensions.iter().find(|kept| kept.name == "x12:ADX:I-2").unwrap();
        assert_eq!(memo.value, "1.5*59*CM*M-7");
    }
    let other = event(&plugins, &remittance_of("100", &lines), &[]).await.unwrap_err().remove(0);
    assert_eq!((other.code.as_str(), other.position.path.as_str()), ("sum-mismatch", "BPR/02"));
    assert_eq!(
        other.message,
        "BPR02 says 100.00; the lines sum to 110.00, and with their adjustments taken off to 98.50: ask the payer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn adjustments_that_undo_each_other_leave_open_what_is_paid_of_each_invoice() {
    let plugins = plugins().await;
    // 100 and 50, or 90 and 60: both are 150.
    let lines = ["RMR*IV*I-1**100", "ADX*-10*59", "RMR*IV*I-2**50", "ADX*10*01"];
    let unclear = event(&plugins, &remittance_of("150", &lines), &[]).await.unwrap_err().remove(0);
    assert_eq!((unclear.code.as_str(), unclear.position.path.as_str()), ("adjustments-unclear", "BPR/02"));
    assert_eq!(
        unclear.message,
        "BPR02 says 150.00, which is the sum of the lines as they are and with their adjustments taken off: \
         ask the payer whether RMR04 is what is paid or what was invoiced"
    );
    // Within one line they come to nothing either way, and so does an adjustment of nothing.
    let one_line = ["RMR*IV*I-1**100", "ADX*-10*59", "ADX*10*01", "RMR*IV*I-2**50", "ADX*0*01"];
    let found = remittance(&plugins, "150", &one_line).await;
    assert_eq!(paid(&found), ["I-1 | 100.00 | 0.00 | 59,01", "I-2 | 50.00 | 0.00 | 01"]);
    // An adjustment of no invoice counts either way.
    let alone = ["ADX*-10*L5*CM*M-9", "RMR*IV*I-1**100", "ADX*10*01"];
    assert_eq!(paid(&remittance(&plugins, "90", &alone).await)[1], "I-1 | 100.00 | 10.00 | 01");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_under_no_invoice_is_a_line_of_its_own() {
    let plugins = plugins().await;
    let lines = ["ENT*1", "ADX*-25*L5*CM*M-9", "RMR*IV*I-1**125.00*130*5", "ENT*2", "ADX*-1*L5*DM*M-10"];
    let found = remittance(&plugins, "99.00", &lines).await;
    assert_eq!(paid(&found), ["M-9 | -25.00 | -25.00 | L5", "I-1 | 125.00 |  | ", "M-10 | -1.00 | -1.00 | L5"]);
    assert_eq!((found.reference.as_str(), found.payer.id.as_str()), ("R-1", "C-1201"));
    assert_eq!(found.pays_on.map(|day| day.to_string()).as_deref(), Some("2026-04-01"));
    assert_eq!(discounts(&found), ["I-1 5.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_or_a_change_without_a_currency_is_in_the_agreed_one_or_a_persons() {
    let plugins = plugins().await;
    let advice = remittance_of("10", &["RMR*IV*I-1**10"]);
    let changed = change("05", &["POC*1*NC*5**EA*12.50*PE*VP*PUMP-40"]);
    for input in [&advice, &changed] {
        let refused = mapped(&plugins, input, &[]).await.unwrap_err();
        let found: Vec<(&str, &str)> =
            refused.iter().map(|problem| (problem.code.as_str(), problem.position.path.as_str())).collect();
        assert_eq!(found, [("currency-missing", "CUR/02")], "{input}");
        assert!(refused[0].message.contains("setting `currency`"), "{}", refused[0].message);
    }
    for (input, settings, code) in [
        (advice.clone(), &[("currency", "CAD")][..], "CAD"),
        (advice.replace("N1*PR*", "CUR*PR*EUR~\nN1*PR*").replace("SE*6*", "SE*7*"), &[][..], "EUR"),
    ] {
        let Event::RemittanceReceived(found) = mapped(&plugins, &input, settings).await.unwrap() else { panic!() };
        let codes = (found.total.currency.code(), found.lines[0].paid.currency.code());
        assert_eq!(codes, (code, code));
    }
    let Event::OrderChanged(found) = mapped(&plugins, &changed, &[("currency", "CAD")]).await.unwrap() else {
        panic!()
    };
    assert_eq!((found.order.currency.code(), found.order.lines[0].unit_price.currency.code()), ("CAD", "CAD"));
    // What only cancels has no amounts.
    assert!(matches!(mapped(&plugins, &change("01", &[]), &[]).await, Ok(Event::OrderCancelRequested(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_say_which_invoice_or_how_much_is_a_persons() {
    let plugins = plugins().await;
    let cases: [(&[&str], &str, &str); 11] = [
        (&["RMR*PO*4711**10"], "invoice-missing", "RMR[1]/01"),
        (&["RMR*IV***10"], "invoice-missing", "RMR[1]/02"),
        (&["RMR*IV*I-1"], "amount-missing", "RMR[1]/04"),
        (&["RMR*IV*I-1**10.005"], "bad-amount", "RMR[1]/04"),
        (&["RMR*IV*I-1**10***LI*3"], "interest", "RMR[1]/08"),
        (&["RMR*IV*I-1**10", "ADX**59"], "amount-missing", "ADX[1]/01"),
        (&["ADX*-10*59"], "invoice-missing", "ADX[1]/03"),
        (&["CUR*PR*dollars", "RMR*IV*I-1**10"], "unknown-currency", "CUR/02"),
        (&["CUR*PR*ZZZ", "RMR*IV*I-1**10"], "unknown-currency", "CUR/02"),
        (&["CUR*PR*USD", "CUR*PE*CAD", "RMR*IV*I-1**10"], "currency-twice", "CUR/02"),
        (&[], "sum-mismatch", "BPR/02"),
    ];
    for (lines, code, path) in cases {
        assert_eq!(wrong(&plugins, &remittance_of("10", lines)).await, one(code, path), "{lines:?}");
    }
    let good = remittance_of("10", &["RMR*IV*I-1**10"]);
    let replaced = [
        ("BPR*I*", "BPR*P*", "payment-handling", "BPR/01"),
        ("*10*C*ACH", "*10*D*ACH", "not-a-credit", "BPR/03"),
        ("20260401", "20260431", "bad-date", "BPR/16"),
        ("*0*P*>", "*0*T*>", "test-interchange", "ISA/15"),
    ];
    for (from, to, code, path) in replaced {
        assert_eq!(wrong(&plugins, &good.replace(from, to)).await, one(code, path), "{to}");
    }
    let many = vec!["RMR*IV*I-1**0"; 4_001];
    assert_eq!(wrong(&plugins, &remittance_of("0", &many)).await, one("too-many-lines", "RMR"));
}

// --- the public files ---

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    file: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    path: String,
    documents: Vec<String>,
    problems: Vec<String>,
    answers: Vec<String>,
    #[serde(default)]
    shipment: Vec<ExpectedShipment>,
    #[serde(default)]
    remittance: Vec<ExpectedRemittance>,
    #[serde(default)]
    person: Vec<ExpectedProblems>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedShipment {
    order: String,
    shipment: String,
    node: String,
    carrier: String,
    at: String,
    postal_code: String,
    lines: Vec<String>,
    shipped: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRemittance {
    reference: String,
    payer: String,
    pays_on: String,
    lines: Vec<String>,
    paid: String,
    total: String,
    discounts: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedProblems {
    problems: Vec<String>,
}

/// Everything that was found in a file.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    documents: Vec<String>,
    problems: BTreeSet<String>,
    answers: Vec<String>,
    shipments: Vec<ExpectedShipment>,
    remittances: Vec<ExpectedRemittance>,
    persons: Vec<ExpectedProblems>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_file_becomes_what_was_written_down_from_reading_it() {
    let text = std::fs::read_to_string(tree().root().join("tests/x12-sets-expected.toml")).unwrap();
    let expectations: Expectations = toml::from_str(&text).unwrap();
    let Some(folder) = tree().root().parent().map(|parent| parent.join("shared/fixtures")).filter(|it| it.is_dir())
    else {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    };
    let known: BTreeSet<PathBuf> = expectations.file.iter().map(|expected| folder.join(&expected.path)).collect();
    let present: BTreeSet<PathBuf> =
        FOLDERS.iter().flat_map(|name| crate::fixtures::fixtures(&format!("x12/{name}"))).collect();
    assert_eq!(known, present, "each file has its expectation");

    let plugins = plugins().await;
    let (mut wrong, mut events) = (Vec::new(), 0);
    for expected in expectations.file {
        let found = read(&plugins, &std::fs::read(folder.join(&expected.path)).unwrap()).await;
        events += found.shipments.len() + found.remittances.len();
        let path = expected.path;
        let wanted = Found {
            documents: expected.documents,
            problems: expected.problems.into_iter().collect(),
            answers: expected.answers,
            shipments: expected.shipment,
            remittances: expected.remittance,
            persons: expected.person,
        };
        if found != wanted {
            wrong.push(format!("{path}\n  found    {found:?}\n  expected {wanted:?}"));
        }
    }
    say(&format!("read {} public files of X12 beside orders: {events} events", present.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn read(plugins: &Plugins, bytes: &[u8]) -> Found {
    let mut found = Found {
        documents: vec![],
        problems: BTreeSet::new(),
        answers: vec![],
        shipments: vec![],
        remittances: vec![],
        persons: vec![],
    };
    let received = match plugins.answer("x12", "POST", "/inputs", &[], bytes, ALL).await {
        Ok(received) => received,
        Err(Failure::Invalid(problems)) => {
            found.problems = problems.into_iter().map(|problem| problem.code).collect();
            return found;
        }
        Err(failure) => panic!("{failure:?}"),
    };
    found.answers = answers(&received);
    found.problems = received.problems.into_iter().map(|problem| problem.code).collect();
    for document in received.documents {
        found.documents.push(document.kind.clone());
        if document.kind == "x12/997" {
            continue;
        }
        match plugins.map(transformer(&document.kind), &document, AGREED).await {
            Ok(events) => events.iter().for_each(|event| match event {
                Event::ShipmentConfirmed(shipment) => found.shipments.push(summary(shipment)),
                Event::RemittanceReceived(remittance) => found.remittances.push(advised(remittance)),
                other => panic!("{other:?}"),
            }),
            Err(Failure::Invalid(problems)) => {
                let mut problems: Vec<String> = problems.into_iter().map(|problem| problem.code).collect();
                problems.sort();
                found.persons.push(ExpectedProblems { problems });
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
    found
}

fn summary(shipment: &Shipment) -> ExpectedShipment {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let shipped: i64 = shipment.lines.iter().map(|line| line.shipped.value).sum();
    assert!(shipment.lines.iter().all(|line| line.shipped.scale == 0));
    ExpectedShipment {
        order: shipment.order_number.clone(),
        shipment: shipment.shipment_number.clone(),
        node: text(&shipment.node),
        carrier: text(&shipment.carrier),
        at: shipment.at.and_then(|at| at.date()).map(|day| day.to_string()).unwrap_or_default(),
        postal_code: shipment.ship_to.as_ref().and_then(|place| place.postal_code.clone()).unwrap_or_default(),
        lines: lines_of(shipment),
        shipped: shipped.to_string(),
    }
}

/// number | sku | ordered | shipped | why it is short | lot
fn lines_of(shipment: &Shipment) -> Vec<String> {
    let quantity = |quantity: &Option<Quantity>| quantity.as_ref().map(ToString::to_string).unwrap_or_default();
    let line = |line: &portreeve_model::event::ShipmentLine| {
        let short = serde_json::to_value(line.short).unwrap();
        let lot = line.lot.as_deref().unwrap_or_default();
        let (ordered, short) = (quantity(&line.ordered), short.as_str().unwrap());
        format!("{} | {} | {ordered} | {} | {short} | {lot}", line.line_number, line.sku, line.shipped)
    };
    shipment.lines.iter().map(line).collect()
}

fn amount(amount: Money) -> String {
    amount.to_string().replace(" USD", "")
}

/// invoice | paid | adjustment | its reason
fn paid(remittance: &Remittance) -> Vec<String> {
    let line = |line: &portreeve_model::event::RemittanceLine| {
        let adjustment = line.adjustment.map(amount).unwrap_or_default();
        let reason = line.adjustment_reason.as_deref().unwrap_or_default();
        format!("{} | {} | {adjustment} | {reason}", line.invoice_number, amount(line.paid))
    };
    remittance.lines.iter().map(line).collect()
}

fn discounts(remittance: &Remittance) -> Vec<String> {
    let of_invoice = |kept: &portreeve_model::value::Extension| {
        kept.name.strip_prefix("x12:RMR06:").map(|invoice| format!("{invoice} {}", kept.value))
    };
    remittance.extensions.iter().filter_map(of_invoice).collect()
}

fn advised(remittance: &Remittance) -> ExpectedRemittance {
    let minor = remittance.lines.iter().map(|line| line.paid.minor).sum();
    ExpectedRemittance {
        reference: remittance.reference.clone(),
        payer: remittance.payer.id.clone(),
        pays_on: remittance.pays_on.map(|day| day.to_string()).unwrap_or_default(),
        lines: paid(remittance),
        paid: amount(Money { minor, currency: remittance.total.currency }),
        total: amount(remittance.total),
        discounts: discounts(remittance),
    }
}
