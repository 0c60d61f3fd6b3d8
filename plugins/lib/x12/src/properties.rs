//! What holds for every input, tried with thousands of them, and a planted bug
//! that shows that a reader with a slip would not get through.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::io::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestError, TestRng, TestRunner};

use crate::read::{Cut, Reading, Segment, cut, read_with};

/// Inputs per property: a second or two.
const CASES: u32 = 4_000;

/// Terminators as they occur, the multi-byte ones included.
const TERMINATORS: [&str; 9] = ["~", "~\n", "~\r\n", "\n", "\r\n", "'", "}\n\t", "§", "🚀\n"];

type Row = Vec<String>;

/// An interchange that nothing is wrong with, as rows.
#[derive(Debug, Clone)]
struct Written {
    terminator: &'static str,
    sets: Vec<Vec<Row>>,
}

impl Written {
    /// Its rows, trailers counted.
    fn rows(&self) -> Vec<Row> {
        let row = |text: String| text.split('*').map(str::to_owned).collect::<Row>();
        let mut rows = vec![row("GS*PO*BUYER*SELLER*20260302*0915*77*X*004010".to_owned())];
        for (index, set) in self.sets.iter().enumerate() {
            rows.push(row(format!("ST*850*{:04}", index + 1)));
            rows.extend(set.iter().cloned());
            rows.push(row(format!("SE*{}*{:04}", set.len() + 2, index + 1)));
        }
        rows.push(row(format!("GE*{}*77", self.sets.len())));
        rows.push(row("IEA*1*000000905".to_owned()));
        rows
    }

    fn bytes(&self) -> Vec<u8> {
        let isa =
            "ISA*00*          *00*          *ZZ*BUYER          *ZZ*SELLER         *260302*0915*U*00401*000000905*0*P*>";
        let rows = self.rows().into_iter().map(|row| row.join("*"));
        let text: String = std::iter::once(isa.to_owned()).chain(rows).map(|row| row + self.terminator).collect();
        text.into_bytes()
    }
}

fn written() -> impl Strategy<Value = Written> {
    // The last element has a letter: blanks at the end of a segment are nobody's.
    let row = ("[B-F][A-Z][0-9A-Z]", prop::collection::vec("[ -)+-<?-Za-z|]{0,12}", 0..6), "[A-Z]{1,4}");
    let row = row.prop_map(|(tag, elements, last)| {
        std::iter::once(tag).chain(elements).chain([last]).map(|text| text.replace(['\'', '}', '|'], "")).collect()
    });
    let set = prop::collection::vec(row, 0..8);
    (prop::sample::select(&TERMINATORS[..]), prop::collection::vec(set, 1..4))
        .prop_map(|(terminator, sets)| Written { terminator, sets })
}

/// Anything: bytes, pieces of X12, and right interchanges with wounds.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let wound = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..4);
    let wounded = (written(), prop::collection::vec(wound, 0..10)).prop_map(|(written, wounds)| {
        let mut bytes = written.bytes();
        for (at, byte, act) in wounds {
            let at = at.index(bytes.len().max(1));
            match act {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        bytes
    });
    let pieces = prop::sample::select(vec![
        "ISA*", "ISA", "GS*PO", "ST*850*1", "SE", "GE*1*1", "IEA", "*", "~", "\n", "\u{FEFF}", "§",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat().into_bytes()),
        wounded,
    ]
}

fn segments(reading: &Reading) -> Vec<&Segment> {
    let groups = reading.interchanges.iter().flat_map(|interchange| &interchange.groups);
    let in_group = |group| -> Vec<&Segment> {
        let group: &crate::Group = group;
        let sets = group.sets.iter().flat_map(|set| std::iter::once(&set.header).chain(&set.segments));
        std::iter::once(&group.header).chain(sets).collect()
    };
    groups.flat_map(in_group).collect()
}

fn row_of(segment: &Segment) -> Row {
    std::iter::once(segment.tag.clone()).chain(segment.elements.iter().cloned()).collect()
}

/// Every place that is named lies within the input, and what is said to stand there does.
fn places_are_real(input: &[u8], reading: &Reading) -> TestCaseResult {
    for interchange in &reading.interchanges {
        prop_assert!(interchange.bytes.start < interchange.bytes.end && interchange.bytes.end <= input.len());
        prop_assert_eq!(input.get(interchange.bytes.start..interchange.bytes.start + 3), Some(&b"ISA"[..]));
        for fault in &interchange.faults {
            prop_assert!(fault.offset <= input.len());
        }
    }
    for pair in reading.interchanges.windows(2) {
        prop_assert!(pair[0].bytes.end <= pair[1].bytes.start);
    }
    for segment in segments(reading) {
        let tail = input.get(segment.offset..).unwrap_or_default();
        let ascii = segment.tag.is_ascii();
        prop_assert!(!ascii || tail.starts_with(segment.tag.as_bytes()), "{segment:?}");
    }
    for fault in &reading.faults {
        prop_assert!(fault.offset <= input.len());
    }
    Ok(())
}

/// What was written is read: the same segments, in order, and without a fault.
fn what_was_written_is_read(written: &Written, cut: Cut) -> TestCaseResult {
    let input = written.bytes();
    let reading = read_with(&input, cut);
    places_are_real(&input, &reading)?;
    let found: Vec<Row> = segments(&reading).into_iter().map(row_of).collect();
    let trailer = |row: &Row| matches!(row.first().map(String::as_str), Some("SE" | "GE" | "IEA"));
    let wanted: Vec<Row> = written.rows().into_iter().filter(|row| !trailer(row)).collect();
    prop_assert_eq!(found, wanted);
    prop_assert!(reading.interchanges.iter().all(|interchange| interchange.faults.is_empty()));
    Ok(())
}

/// Says from what the inputs are drawn. `.ci/run` sets a new one each time.
const SEED: &str = "PORTREEVE_FUZZ_SEED";

/// What they are drawn from where nobody says.
const SEED_UNSET: u64 = 7;

fn seed() -> u64 {
    std::env::var(SEED).map_or(SEED_UNSET, |seed| seed.parse().unwrap())
}

/// Runs a property and says how many inputs it saw.
fn tried<S: Strategy>(
    name: &str,
    inputs: &S,
    property: impl Fn(S::Value) -> TestCaseResult,
) -> Result<(), TestError<S::Value>> {
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed().to_le_bytes().repeat(4));
    let seen = Cell::new(0_u32);
    let result = TestRunner::new_with_rng(config, rng).run(inputs, |input| {
        seen.set(seen.get() + 1);
        property(input)
    });
    // Not by a macro: whoever runs the tests sees it also when they pass.
    let said = format!("{name}: {} inputs, {SEED}={}\n", seen.get(), seed());
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    result
}

/// A failure with what repeats it.
fn held<V: std::fmt::Debug>(result: Result<(), TestError<V>>) {
    result.unwrap_or_else(|error| panic!("with {SEED}={}: {error}", seed()));
}

#[test]
fn no_input_makes_the_reader_panic_or_name_a_place_that_is_not_there() {
    held(tried("X12 reader, anything", &anything(), |input| places_are_real(&input, &read_with(&input, cut))));
}

#[test]
fn a_reading_written_again_reads_the_same() {
    held(tried("X12 reader, what was written", &written(), |written| what_was_written_is_read(&written, cut)));
}

#[test]
fn a_planted_slip_is_found() {
    // One byte for every terminator: right for `~`, and for nobody who tests with `~` only.
    fn one_byte(rest: &[u8], terminator: &[u8]) -> (usize, usize) {
        let (length, next) = cut(rest, terminator);
        (length, if next > length { length + 1 } else { next })
    }
    let found = tried("X12 reader, planted slip", &written(), |written| what_was_written_is_read(&written, one_byte));
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}
