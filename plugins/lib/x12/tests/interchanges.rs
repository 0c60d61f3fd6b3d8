//! The reader and the acknowledgements against hand-made inputs, arbitrary
//! bytes, and the public samples where they are present.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

use std::path::{Path, PathBuf};

use portreeve_guest_x12::acknowledge;
use portreeve_guest_x12::clock::{Stamp, midnight_ms};
use portreeve_guest_x12::{
    Addressed, Agreement, FaultCode, GroupOutcome, Interchange, Kind, Reading, SetOutcome, Status, check, read,
};
use proptest::prelude::*;

/// ISA13 of the reply; its groups count from 7.
const NUMBER: u64 = 41;

/// An interchange with one 850, written with `terminator` between its segments.
fn order(terminator: &str) -> String {
    let segments = [
        "ISA*00*          *00*          *ZZ*BUYER          *ZZ*PORTREEVE      *260302*0915*U*00401*000000905*0*P*>",
        "GS*PO*BUYERGS*PORTREEVE*20260302*0915*77*X*004010",
        "ST*850*0001",
        "BEG*00*SA*PO-1**20260302",
        "N1*BY*VISA*92*C-1",
        "PO1*1*5*EA*12.50*PE*VP*SKU-1",
        "CTT*1",
        "SE*6*0001",
        "GE*1*77",
        "IEA*1*000000905",
    ];
    segments.map(|segment| format!("{segment}{terminator}")).concat()
}

fn codes(interchange: &Interchange) -> Vec<FaultCode> {
    let groups = interchange
        .groups
        .iter()
        .flat_map(|group| group.faults.iter().chain(group.sets.iter().flat_map(|set| &set.faults)));
    interchange.faults.iter().chain(groups).map(|fault| fault.code).collect()
}

fn answer(interchange: &Interchange) -> String {
    answer_under(interchange, Agreement::default())
}

fn answer_under(interchange: &Interchange, agreement: Agreement) -> String {
    let groups: Vec<GroupOutcome> = interchange
        .groups
        .iter()
        .filter(|group| group.functional() != "FA")
        .map(|group| {
            let sets = group.sets.iter().map(|set| {
                let (segments, faults) = check::set(Kind::PurchaseOrder, set);
                SetOutcome::of(set, segments, &faults, agreement)
            });
            GroupOutcome::of(group, sets.collect(), agreement)
        })
        .collect();
    let stamp = Stamp::at(midnight_ms(2026, 3, 2));
    let groups: Vec<(u64, Addressed)> = (7..).zip(Addressed::all(groups)).collect();
    String::from_utf8(acknowledge::reply(interchange, &groups, agreement, NUMBER, stamp).unwrap()).unwrap()
}

fn first(input: &str) -> Interchange {
    read(input.as_bytes()).interchanges.remove(0)
}

#[test]
fn reads_every_terminator_that_occurs_in_the_wild() {
    for terminator in ["~", "~\n", "~\r\n", "\n", "\r\n", "'", "|", "}", "}\n\t\t", "\u{1c}", "§", "🚀\n"] {
        let interchange = first(&order(terminator));
        assert_eq!(codes(&interchange), vec![], "{terminator:?}");
        let set = &interchange.groups[0].sets[0];
        assert_eq!(set.segments[0].elements, ["00", "SA", "PO-1", "", "20260302"], "{terminator:?}");
        assert_eq!(set.segments[2].element(7), "SKU-1", "{terminator:?}");
    }
}

#[test]
fn a_latin_1_terminator_is_one_byte() {
    let bytes: Vec<u8> = order("§").chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
    let interchange = read(&bytes).interchanges.remove(0);
    assert_eq!(interchange.delimiters.terminator, [0xA7]);
    assert_eq!(codes(&interchange), vec![]);
}

#[test]
fn an_isa_inside_data_starts_no_interchange() {
    let input = order("~")
        .replace("N1*BY*VISA*92", "N1*BY*ISA*92")
        .replace("CTT*1", "MSG*SEE ISA*ISA~CTT*1")
        .replace("SE*6", "SE*7");
    let reading = read(input.as_bytes());
    assert_eq!(reading.interchanges.len(), 1);
    assert_eq!(codes(&reading.interchanges[0]), vec![]);
}

#[test]
fn a_byte_order_mark_and_lost_padding_are_read_and_reported() {
    let input = format!("\u{FEFF}{}", order("~\n\t").replace("          ", "").replace("BUYER          ", "BUYER"));
    let interchange = first(&input);
    assert_eq!(codes(&interchange), vec![FaultCode::IsaElementLength]);
    assert_eq!(interchange.isa.sender().unwrap(), "ZZ:BUYER");
}

#[test]
fn a_clean_order_is_accepted() {
    let reply = answer(&first(&order("~")));
    assert_eq!(
        reply,
        "ISA*00*          *00*          *ZZ*PORTREEVE      *ZZ*BUYER          *260302*0000*U*00401*000000041*0*P*>~\n\
         GS*FA*PORTREEVE*BUYERGS*20260302*0000*7*X*004010~\n\
         ST*997*0001~\nAK1*PO*77~\nAK2*850*0001~\nAK5*A~\nAK9*A*1*1*1~\nSE*6*0001~\nGE*1*7~\nIEA*1*000000041~\n"
    );
    assert_eq!(reply.lines().next().unwrap().len(), 106);
}

#[test]
fn wrong_counts_and_numbers_are_accepted_with_errors() {
    let input = order("~")
        .replace("SE*6*0001", "SE*9*0002")
        .replace("GE*1*77", "GE*2*78")
        .replace("IEA*1*000000905", "IEA*1*000000906");
    let interchange = first(&input);
    assert_eq!(
        codes(&interchange),
        vec![
            FaultCode::InterchangeControlMismatch,
            FaultCode::GroupCountMismatch,
            FaultCode::GroupControlMismatch,
            FaultCode::SetCountMismatch,
            FaultCode::SetControlMismatch,
        ]
    );
    let reply = answer(&interchange);
    assert!(reply.contains("TA1*000000905*260302*0915*E*001~"), "{reply}");
    assert!(reply.contains("AK5*E*3*4~\nAK9*E*2*1*1*4*5~"), "{reply}");
}

#[test]
fn faulty_elements_are_rejected_where_they_stand() {
    let input = order("~").replace("BEG*00*SA*PO-1", "BEG*00*SA*").replace("12.50", "12,50");
    let reply = answer(&first(&input));
    assert!(
        reply.contains("AK3*BEG*2**8~\nAK4*3*324*1~\nAK3*PO1*4**8~\nAK4*4*212*6~\nAK5*R*5~\nAK9*R*1*1*0~"),
        "{reply}"
    );
}

#[test]
fn what_cannot_be_part_of_a_key_costs_the_part_that_it_names() {
    let long = "P".repeat(245);
    for (from, to, ak4) in [
        ("PO-1", "PO\t1", "AK4*3*324*6~"),
        ("PO-1", long.as_str(), "AK4*3*324*5~"),
        ("BEG*00", "BEG*0\u{7}0", "AK4*1*353*6~"),
        ("PO-1*", "PO-1*RELEASE\u{85}1", "AK4*4*328*6~"),
    ] {
        let reply = answer(&first(&order("~").replace(from, to)));
        assert!(reply.contains(&format!("AK3*BEG*2**8~\n{ak4}\nAK5*R*5~\nAK9*R*1*1*0~")), "{reply}");
    }
    let group = answer(&first(&order("~").replace("BUYERGS", "BUYER\u{7}")));
    assert!(group.contains("AK5*R~\nAK9*R*1*1*0~"), "{group}");
    for (from, to, note) in [
        ("BUYER  ", "BUY\u{7}ER ", "006"),
        ("ZZ*PORTREEVE", "Z\u{7}*PORTREEVE", "008"),
        ("000000905*0", "00000\u{7}905*0", "018"),
    ] {
        let interchange = first(&order("~").replace(from, to));
        assert_eq!(Agreement::default().refuses(&interchange.faults), Some(note), "{to:?}");
    }
}

#[test]
fn a_set_without_its_trailer_is_rejected_and_the_next_interchange_still_read() {
    let cut = order("~").replace("SE*6*0001~GE*1*77~IEA*1*000000905~", "");
    let reading = read(format!("{cut}{}", order("~")).as_bytes());
    assert_eq!(reading.interchanges.len(), 2);
    assert!(answer(&reading.interchanges[0]).contains("AK5*R*2~\nAK9*R*0*1*0*3~"));
    assert_eq!(codes(&reading.interchanges[1]), vec![]);
}

#[test]
fn an_undelimited_isa_gets_a_ta1_and_does_not_hide_the_next() {
    let broken = order("~").replace("*P*>~", "~");
    let reading = read(format!("{broken}\n{}", order("~")).as_bytes());
    assert_eq!((reading.interchanges.len(), reading.unread.len()), (1, 1));
    let unread = &reading.unread[0];
    assert!(acknowledge::can_refuse(unread));
    let stamp = Stamp::at(midnight_ms(2026, 3, 2));
    let reply = String::from_utf8(acknowledge::refusal(unread, 42, stamp).unwrap()).unwrap();
    assert!(reply.contains("TA1*000000905*260302*0915*R*022~\nIEA*0*000000042~"), "{reply}");
}

#[test]
fn an_acknowledgement_is_never_acknowledged() {
    let input = order("~").replace("GS*PO", "GS*FA").replace("ST*850", "ST*997");
    assert!(!acknowledge::needs_reply(&first(&input)));
    assert!(acknowledge::needs_reply(&first(&order("~"))));
}

#[test]
fn groups_of_others_and_of_other_versions_are_answered_apart() {
    let group = |sender: &str, number: &str, version: &str| {
        format!(
            "GS*PO*{sender}*PORTREEVE*20260302*0915*{number}*X*{version}~\
             ST*850*0001~BEG*00*SA*PO-{number}~PO1*1*1*EA*1**VP*A~SE*4*0001~GE*1*{number}~"
        )
    };
    let others =
        [group("OTHER", "78", "004010"), group("BUYERGS", "79", "005010X220A1"), group("BUYERGS", "80", "VICS")];
    let input = order("~").replace("IEA*1*", &format!("{}IEA*4*", others.concat()));
    let reply = answer(&first(&input));
    let (_, groups) = reply.split_once("GS*").unwrap();
    let answered =
        |control: &str, version: &str| format!("AK1*PO*{control}{version}~\nAK2*850*0001~\nAK5*A~\nAK9*A*1*1*1~\n");
    let expected = [
        "FA*PORTREEVE*BUYERGS*20260302*0000*7*X*004010~\nST*997*0001~\n",
        &answered("77", ""),
        "SE*6*0001~\nST*997*0002~\n",
        // A version that is none is answered as 004010, and not named.
        &answered("80", ""),
        "SE*6*0002~\nGE*2*7~\n",
        "GS*FA*PORTREEVE*OTHER*20260302*0000*8*X*004010~\nST*997*0001~\n",
        &answered("78", ""),
        "SE*6*0001~\nGE*1*8~\n",
        "GS*FA*PORTREEVE*BUYERGS*20260302*0000*9*X*005010~\nST*997*0001~\n",
        &answered("79", "*005010X220A1"),
        "SE*6*0001~\nGE*1*9~\nIEA*3*000000041~\n",
    ];
    assert_eq!(groups, expected.concat());
    assert_eq!(codes(&first(&reply)), vec![]);

    let many: String = (100..115).map(|number| group(&format!("B{number}"), &number.to_string(), "004010")).collect();
    let crowded = first(&order("~").replace("IEA*1*", &format!("{many}IEA*16*")));
    assert_eq!(Agreement::default().refuses(&crowded.faults), Some("024"));
}

#[test]
fn delimiters_in_echoed_data_forge_nothing() {
    let input = order("\n").replace('*', "|").replace("|77", "|7~IEA*9");
    let reply = answer(&first(&input));
    assert_eq!(reply.matches('~').count(), reply.lines().count(), "{reply}");
    assert!(reply.contains("AK1*PO*7 IEA 9~"), "{reply}");
}

#[test]
fn a_fault_that_is_no_longer_listed_still_decides() {
    let noise = "XX*1~".repeat(portreeve_guest_x12::FAULTS_MAX + 1);
    let cut = order("~").replace("ST*850", &format!("{noise}ST*850")).replace("SE*6*0001~", "");
    let interchange = first(&cut);
    let set = &interchange.groups[0].sets[0];
    assert_eq!((set.faults.iter().count(), set.faults.has(FaultCode::SetTrailerMissing)), (0, true));
    let reply = answer(&interchange);
    assert!(reply.contains("AK5*R*2~\nAK9*R*1*1*0~"), "{reply}");
}

#[test]
fn an_agreement_is_of_all_partners_or_of_one() {
    let settings = [("count-mismatch", "reject"), ("count-mismatch@ZZ:BUYER", "accept"), ("isa-repair", "maybe")];
    let of = |partner: &str, known: usize| {
        let known = &settings[..known];
        Agreement::with(partner, |name| known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    };
    assert!(of("ZZ:OTHER", 2).unwrap().rejects(FaultCode::SetCountMismatch));
    assert!(!of("ZZ:OTHER", 2).unwrap().rejects(FaultCode::SetControlMismatch));
    assert_eq!(of("ZZ:BUYER", 2).unwrap(), Agreement::default());
    assert_eq!(
        of("ZZ:BUYER", 3).unwrap_err().to_string(),
        "setting `isa-repair` is neither `accept` nor `reject`; write one of them"
    );
}

#[test]
fn an_agreement_on_right_counts_rejects_the_level_that_counts_wrongly() {
    let strict = Agreement::with("", |name| (name == "count-mismatch").then_some("reject")).unwrap();
    let set = answer_under(&first(&order("~").replace("SE*6", "SE*9")), strict);
    assert!(set.contains("AK5*R*4~\nAK9*R*1*1*0~"), "{set}");
    let group = answer_under(&first(&order("~").replace("GE*1", "GE*2")), strict);
    assert!(group.contains("AK5*R~\nAK9*R*2*1*0*5~"), "{group}");
    let interchange = answer_under(&first(&order("~").replace("IEA*1", "IEA*2")), strict);
    assert!(interchange.contains("TA1*000000905*260302*0915*R*021~"), "{interchange}");
}

#[test]
fn a_control_number_that_comes_twice_is_an_error_of_the_second_one() {
    let group = "GS*PO*BUYERGS*PORTREEVE*20260302*0915*0077*X*004010~\
                 ST*850*0001~BEG*00*SA*PO-2~PO1*1*1*EA*1**VP*A~SE*4*0001~\
                 ST*850*0001~BEG*00*SA*PO-3~PO1*1*1*EA*1**VP*A~SE*4*0001~GE*2*0077~";
    let interchange = first(&order("~").replace("IEA*1", &format!("{group}IEA*2")));
    assert_eq!(codes(&interchange), vec![FaultCode::GroupControlRepeated, FaultCode::SetControlRepeated]);
    let reply = answer(&interchange);
    // A number may come again in another group.
    let second = "AK1*PO*0077~\nAK2*850*0001~\nAK5*A~\nAK2*850*0001~\nAK5*E*23~\nAK9*E*2*2*2*19~";
    assert!(reply.contains("AK5*A~\nAK9*A*1*1*1~") && reply.contains(second), "{reply}");
    let strict = Agreement::with("", |name| (name == "control-mismatch").then_some("reject")).unwrap();
    let reply = answer_under(&interchange, strict);
    assert!(reply.contains("AK5*A~\nAK9*A*1*1*1~") && reply.contains("AK5*R*23~\nAK9*R*2*2*0*19~"), "{reply}");
}

#[test]
fn an_agreement_on_right_counts_does_not_take_a_cut_interchange() {
    let strict = Agreement::with("", |name| (name == "count-mismatch").then_some("reject")).unwrap();
    let cut = first(&order("~").replace("GE*1*77~IEA*1*000000905~", ""));
    assert_eq!((strict.refuses(&cut.faults), Agreement::default().refuses(&cut.faults)), (Some("023"), None));
    let ungrouped = answer_under(&first(&order("~").replace("GE*1*77~", "")), strict);
    assert!(ungrouped.contains("AK5*R~\nAK9*R*0*1*0*3~"), "{ungrouped}");
}

#[test]
fn an_interchange_is_known_by_both_parties_and_its_number_or_not_at_all() {
    assert_eq!(first(&order("~")).key().unwrap(), "ZZ:BUYER>ZZ:PORTREEVE/000000905");
    let nameless = first(&order("~").replace("000000905", "         "));
    assert_eq!(nameless.key(), None);
    assert_eq!(Agreement::default().refuses(&nameless.faults), Some("018"));
}

#[test]
fn the_bytes_of_an_interchange_are_its_own() {
    let (one, other) = (order("~\n"), order("~\n").replace("PO-1", "PO-2"));
    let input = format!("\u{FEFF}{one}  \n{other}\r\n{one}");
    let reading = read(input.as_bytes());
    let parts: Vec<&str> = reading.interchanges.iter().map(|part| input.get(part.bytes.clone()).unwrap()).collect();
    assert_eq!(parts, [one.trim_end_matches("~\n"), other.trim_end_matches("~\n"), one.trim_end_matches("~\n")]);
}

#[test]
fn a_terminator_that_ends_nothing_is_no_terminator() {
    let reading = read(order("~\n").replacen(">~", "##", 1).as_bytes());
    assert_eq!((reading.interchanges.len(), reading.unread[0].fault.code), (0, FaultCode::IsaTerminator));
}

#[test]
fn a_set_outside_of_a_group_is_not_acknowledged_as_if_nothing_was_there() {
    let stray = "ST*850*0002~BEG*00*SA*PO-9~PO1*1*1*EA*1**VP*A~SE*4*0002~";
    let interchange = first(&order("~").replace("IEA", &format!("{stray}IEA")));
    assert!(answer(&interchange).contains("TA1*000000905*260302*0915*E*024~"));
}

#[test]
fn every_interchange_beyond_the_limit_of_segments_is_refused_by_its_own_ta1() {
    let numbered = |control: &str| order("~").replace("000000905", control);
    let many = numbered("000000002").replace("CTT*1~", &"MSG*ISA*ISA~A~".repeat(30_000));
    let broken = numbered("000000003").replace("*P*>~", "~");
    let file = [numbered("000000001"), many, broken, numbered("000000004")].concat();
    let reading = read(file.as_bytes());
    assert_eq!(reading.interchanges.len(), 1);
    let refusal = |unread| {
        assert!(acknowledge::can_refuse(unread));
        String::from_utf8(acknowledge::refusal(unread, 42, Stamp::at(midnight_ms(2026, 3, 2))).unwrap()).unwrap()
    };
    let expected = [
        (FaultCode::TooManySegments, "TA1*000000002*260302*0915*R*023~"),
        (FaultCode::IsaElementCount, "TA1*000000003*260302*0915*R*022~"),
        (FaultCode::TooManySegments, "TA1*000000004*260302*0915*R*023~"),
    ];
    assert_eq!(reading.unread.len(), expected.len());
    for (unread, (code, ta1)) in reading.unread.iter().zip(expected) {
        let refusal = refusal(unread);
        assert_eq!(unread.fault.code, code);
        assert!(refusal.contains(ta1), "{refusal}");
    }
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
}

#[test]
fn limits_hold() {
    let wide = order("~").replace("CTT*1", &format!("CTT{}", "*".repeat(100_000)));
    assert!(codes(&first(&wide)).contains(&FaultCode::TooManyElements));
    let long = order("~").replace("VISA", &"V".repeat(100_000));
    assert!(codes(&first(&long)).contains(&FaultCode::ElementTooLong));
    assert!(answer(&first(&long)).contains("AK5*R*5~"));
    let interchanges = read(order("~").repeat(100).as_bytes());
    assert_eq!(interchanges.interchanges.len(), portreeve_guest_x12::INTERCHANGES_MAX);
    assert!(interchanges.faults.has(FaultCode::TooManyInterchanges));
}

fn every_fault(reading: &Reading) -> usize {
    let inner: usize = reading.interchanges.iter().map(|interchange| codes(interchange).len()).sum();
    inner + reading.faults.iter().count() + reading.unread.len()
}

proptest! {
    // A failure is shown with its input; no file of seeds is kept.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let reading = read(&bytes);
        prop_assert!(reading.interchanges.is_empty() || every_fault(&reading) < 1000);
    }

    #[test]
    fn damaged_interchanges_never_panic_and_are_answered(
        cuts in proptest::collection::vec((0usize..700, any::<u8>(), 0usize..3), 0..12),
        terminator in prop::sample::select(vec!["~", "\n", "~\r\n", "§"]),
    ) {
        let mut bytes = order(terminator).repeat(2).into_bytes();
        for (at, byte, act) in cuts {
            let at = at % bytes.len().max(1);
            match act {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let reading = read(&bytes);
        prop_assert!(!reading.interchanges.is_empty() || !reading.unread.is_empty() || !reading.faults.is_empty());
        for interchange in reading.interchanges.iter().filter(|interchange| acknowledge::needs_reply(interchange)) {
            let reply = read(answer(interchange).as_bytes());
            prop_assert_eq!(reply.unread.len(), 0);
            prop_assert_eq!(codes(&reply.interchanges[0]), vec![]);
        }
    }
}

// --- public samples, where they are present beside the workspace ---

fn samples() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/fixtures/x12");
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push((entry.file_name().into_string().unwrap(), std::fs::read(&path).unwrap())),
            }
        }
    }
    files
}

#[test]
fn public_samples_are_read_as_their_notes_say() {
    let files = samples();
    eprintln!("read {} public X12 samples", files.len());
    for (name, bytes) in &files {
        let reading = read(bytes);
        let found: Vec<FaultCode> = reading.interchanges.iter().flat_map(codes).collect();
        let sets = reading
            .interchanges
            .iter()
            .flat_map(|interchange| &interchange.groups)
            .map(|group| group.sets.len())
            .sum::<usize>();
        match expected(name) {
            Some(Expected { sets: wanted, faults }) => {
                assert_eq!(sets, wanted, "{name}: {reading:?}");
                for fault in faults {
                    assert!(found.contains(fault), "{name}: {fault} is not in {found:?}");
                }
                assert_eq!(faults.is_empty(), found.is_empty(), "{name}: {found:?}");
            }
            None => assert!(every_fault(&reading) > 0, "{name} has a defect that was not noticed"),
        }
    }
}

struct Expected {
    sets: usize,
    faults: &'static [FaultCode],
}

/// What a sample must give; none: at least one fault.
fn expected(name: &str) -> Option<Expected> {
    let clean = |sets| Some(Expected { sets, faults: &[] });
    match name {
        "node-x12-850.edi" | "node-x12-850_2.edi" | "node-x12-850_3.edi" | "x12types-004010_850.edi" => clean(1),
        "node-x12-850_fat.edi" | "staedi-simple810.edi" => clean(2),
        "staedi-invoice810_po850_dual.edi" => clean(3),
        "staedi-simple997.edi" | "staedi-invalid997.edi" | "staedi-extraDelimiter997.edi" | "node-x12-855.edi" => {
            clean(1)
        }
        "staedi-simple997-multiple-interchanges.edi" => clean(3),
        "edinet-x12.850a.edi" => {
            Some(Expected { sets: 1, faults: &[FaultCode::IsaElementLength, FaultCode::InterchangeControlMismatch] })
        }
        "x12types-940-1.edi" => Some(Expected { sets: 1, faults: &[FaultCode::GroupControlMismatch] }),
        "x12types-940-4.edi" | "x12types-940-5.edi" => {
            Some(Expected { sets: 1, faults: &[FaultCode::IsaComponentSeparator] })
        }
        "x12types-945-parse-1.edi" | "x12types-945-parse-2.edi" => {
            Some(Expected { sets: 1, faults: &[FaultCode::IsaElementLength, FaultCode::SetCountMismatch] })
        }
        "x12types-940-newline-as-segment-terminator.edi" => {
            Some(Expected { sets: 1, faults: &[FaultCode::MixedFraming, FaultCode::SetCountMismatch] })
        }
        "edinet-x12.820.issue140.edi" | "x12types-940-2.edi" | "x12types-940-3.edi" => clean(1),
        _ => None,
    }
}

#[test]
fn statuses_of_a_group_follow_its_sets() {
    let two = order("~").replace("GE*1*77", "ST*850*0002~BEG*00*SA*~PO1*1*1*EA*1**VP*A~SE*4*0002~GE*2*77");
    let interchange = first(&two);
    let group = &interchange.groups[0];
    let outcomes = group.sets.iter().map(|set| {
        let (segments, faults) = check::set(Kind::PurchaseOrder, set);
        SetOutcome::of(set, segments, &faults, Agreement::default())
    });
    assert_eq!(GroupOutcome::of(group, outcomes.collect(), Agreement::default()).status(), Status::PartlyAccepted);
}

#[test]
fn the_connectors_own_samples_are_mostly_orders_that_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors/x12/samples");
    let (mut accepted, mut odd) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let reading = read(&std::fs::read(&path).unwrap());
        for interchange in &reading.interchanges {
            let reply = answer(interchange);
            assert!(read(reply.as_bytes()).faults.is_empty());
            accepted += reply.matches("AK5*A~").count() + reply.matches("AK5*E").count();
        }
        if every_fault(&reading) > 0 {
            odd.push(path.file_name().unwrap().to_owned());
        }
    }
    eprintln!("{accepted} orders accepted; samples with faults: {odd:?}");
    assert!(accepted > 100, "{accepted}");
    assert!((5..15).contains(&odd.len()), "{odd:?}");
}
