//! The ISA segment: sixteen elements that declare how the rest is delimited.
//!
//! The standard fixes it at 106 bytes and readers therefore look at bytes 104
//! to 106. Here the element separators are counted instead, because padding is
//! lost or widened on the way (no-break spaces, collapsed blanks). What stands
//! between the sixteenth separator and the next segment is then read as
//! component separator and terminator:
//!
//! ```text
//! *P*>~GS*…      two characters: component separator, terminator
//! *P*>⏎GS*…      one and a newline: the newline terminates …
//! *P*~⏎GS*…~⏎    … unless the next line ends in something else: ISA16 is missing
//! *P*⏎GS*…~⏎     nothing: the terminator is what the next line ends in
//! ```
//!
//! Every such repair is reported; an ISA that leaves two readings is refused.

use crate::ISA_ELEMENT_BYTES_MAX;
use crate::fault::{Fault, FaultCode};
use crate::key::{CONTROL_BYTES_MAX, PARTY_BYTES_MAX, QUALIFIER_BYTES_MAX, unfit};

/// Elements before the component separator.
const HEAD_ELEMENTS: usize = 15;

/// The widths that the standard gives them, in characters.
const WIDTHS: [usize; HEAD_ELEMENTS] = [2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1];

/// Bytes that may stand between the last separator and the next segment. More
/// means that no known segment follows.
const TAIL_BYTES_MAX: usize = 64;

/// Tags that may follow an ISA.
const FOLLOWERS: [&[u8]; 5] = [b"GS", b"TA1", b"IEA", b"ISA", b"ST"];

/// How an interchange separates its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimiters {
    /// Between elements; one ASCII byte.
    pub element: u8,
    /// Between components of an element, where ISA16 states it.
    pub component: Option<char>,
    /// After a segment: one character, up to four bytes.
    pub terminator: Vec<u8>,
}

/// The header of an interchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Isa {
    /// ISA01 to ISA15 as they were sent, padding included; fewer when the
    /// segment is broken.
    elements: Vec<String>,
    /// Byte offset of the `I`.
    pub offset: usize,
}

impl Isa {
    /// Element 1 to 15 without its padding; empty when it is not there.
    #[must_use]
    pub fn element(&self, number: usize) -> &str {
        number.checked_sub(1).and_then(|index| self.elements.get(index)).map_or("", |text| text.trim())
    }

    /// `ISA05:ISA06`, where both are known.
    #[must_use]
    pub fn sender(&self) -> Option<String> {
        party(self.element(5), self.element(6))
    }

    /// `ISA07:ISA08`, where both are known.
    #[must_use]
    pub fn receiver(&self) -> Option<String> {
        party(self.element(7), self.element(8))
    }

    /// ISA13.
    #[must_use]
    pub fn control(&self) -> &str {
        self.element(13)
    }

    /// Whether the sender asks for a TA1 (ISA14).
    #[must_use]
    pub fn asks_for_ta1(&self) -> bool {
        self.element(14) == "1"
    }

    /// ISA15: `P` production, `T` test, `I` information.
    #[must_use]
    pub fn usage(&self) -> &str {
        self.element(15)
    }
}

fn party(qualifier: &str, id: &str) -> Option<String> {
    // Punctuation alone names nobody; an answer to it would have a blank address. The
    // answer has as much of a name as fits into an ISA.
    let says = |text: &str, width| text.chars().take(width).any(|character| character.is_ascii_alphanumeric());
    (says(qualifier, 2) && says(id, 15)).then(|| format!("{qualifier}:{id}"))
}

/// An interchange of which nothing is kept: its segments cannot be told apart, or its
/// end is beyond what is read. With what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The elements that could be read, for a TA1.
    pub isa: Isa,
    /// Why not.
    pub fault: Fault,
}

/// A readable ISA.
pub(crate) struct Opened {
    pub(crate) isa: Isa,
    pub(crate) delimiters: Delimiters,
    /// What is wrong with it all the same: code and sentence.
    pub(crate) repairs: Vec<(FaultCode, String)>,
    /// Where the next segment starts.
    pub(crate) next: usize,
}

/// Why an ISA cannot be read: code, sentence, byte offset.
type Refusal = (FaultCode, String, usize);

/// Reads the ISA at `start`; `ordinal` is its one-based number in the input.
pub(crate) fn open(input: &[u8], start: usize, ordinal: usize) -> Result<Opened, Unread> {
    let mut isa = Isa { elements: Vec::new(), offset: start };
    match delimit(input, start, &mut isa) {
        Ok((delimiters, mut repairs, next)) => {
            repairs.extend(wrong_widths(&isa));
            repairs.extend(unknown_usage(&isa));
            repairs.extend(nobody(&isa));
            repairs.extend(unfit_parts(&isa));
            Ok(Opened { isa, delimiters, repairs, next })
        }
        Err((code, message, offset)) => {
            let fault = Fault { code, message, offset, segment: 0, path: format!("ISA[{ordinal}]") };
            Err(Unread { isa, fault })
        }
    }
}

type Delimited = (Delimiters, Vec<(FaultCode, String)>, usize);

fn delimit(input: &[u8], start: usize, isa: &mut Isa) -> Result<Delimited, Refusal> {
    let separator_at = start + 3;
    let Some(&separator) = input.get(separator_at) else {
        return Err((
            FaultCode::IsaTruncated,
            "the input ends after `ISA`; send the whole interchange".to_owned(),
            start,
        ));
    };
    if !separates(separator) {
        let message = "the byte after `ISA` cannot separate elements; expected a character such as `*`".to_owned();
        return Err((FaultCode::IsaSeparator, message, separator_at));
    }
    let tail_at = head_elements(input, separator_at + 1, separator, isa)?;
    let next = next_segment(input, tail_at, separator).ok_or_else(|| {
        let message = "no segment follows the ISA where one is expected; check ISA16 and the terminator".to_owned();
        (FaultCode::IsaTerminator, message, tail_at)
    })?;
    let tail = characters(input.get(tail_at..next).unwrap_or_default());
    if tail.contains(&char::from(separator)) {
        let message = "the ISA has more than 16 elements, and which is too many cannot be told";
        return Err((FaultCode::IsaElementCount, message.to_owned(), tail_at));
    }
    let (component, terminator, repairs) = read_tail(&tail, input.get(next..).unwrap_or_default(), separator)
        .ok_or_else(|| {
            let message = "the terminator cannot be told from ISA16 and the segment after it".to_owned();
            (FaultCode::IsaTerminator, message, tail_at)
        })?;
    let terminator = bytes_of(terminator, input.get(tail_at..).unwrap_or_default());
    // The ISA may declare what nothing after it ends in: the rest would be one
    // segment, and its orders would be acknowledged as an empty group.
    let rest = input.get(next..).unwrap_or_default();
    if rest.starts_with(b"GS") && !rest.windows(terminator.len()).any(|window| window == terminator) {
        let message = "no segment after the ISA ends in the terminator that the ISA ends in";
        return Err((FaultCode::IsaTerminator, message.to_owned(), tail_at));
    }
    Ok((Delimiters { element: separator, component, terminator }, repairs, next))
}

/// A terminator as it stands in the input: its UTF-8 bytes, or one Latin-1 byte.
fn bytes_of(terminator: char, input: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 4];
    let encoded = terminator.encode_utf8(&mut buffer).as_bytes().to_vec();
    match u8::try_from(u32::from(terminator)) {
        Ok(byte) if !input.windows(encoded.len()).any(|window| window == encoded) => vec![byte],
        _ => encoded,
    }
}

/// Whether a byte may separate elements: ASCII, no letter, digit, blank or newline.
fn separates(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b' ' | b'\r' | b'\n')
}

/// Reads ISA01 to ISA15 and returns where ISA16 starts.
fn head_elements(input: &[u8], from: usize, separator: u8, isa: &mut Isa) -> Result<usize, Refusal> {
    let mut at = from;
    for number in 1..=HEAD_ELEMENTS {
        let rest = input.get(at..).unwrap_or_default();
        let window = rest.get(..rest.len().min(ISA_ELEMENT_BYTES_MAX)).unwrap_or_default();
        let end = window.iter().position(|byte| *byte == separator || matches!(byte, b'\r' | b'\n'));
        let Some(length) = end.filter(|end| window.get(*end) == Some(&separator)) else {
            let code = if window.len() == rest.len() && end.is_none() {
                FaultCode::IsaTruncated
            } else {
                FaultCode::IsaElementCount
            };
            return Err((code, format!("the ISA ends in element {number}; expected 16 elements"), at));
        };
        isa.elements.push(text(window.get(..length).unwrap_or_default()));
        at += length + 1;
    }
    // ISA15 is one character. More means that a separator before it is missing or another one.
    if isa.element(15).chars().count() > 1 {
        return Err((
            FaultCode::IsaElementCount,
            "ISA15 has more than one character; an element separator before it is missing or differs".to_owned(),
            at,
        ));
    }
    Ok(at)
}

/// Where the segment after the ISA starts; the end of the input when it ends within the tail.
fn next_segment(input: &[u8], tail_at: usize, separator: u8) -> Option<usize> {
    let rest = input.get(tail_at..)?;
    let starts = |at: &usize| {
        FOLLOWERS.iter().any(|tag| {
            rest.get(*at..).is_some_and(|text| text.starts_with(tag) && text.get(tag.len()) == Some(&separator))
        })
    };
    let found = (0..rest.len().min(TAIL_BYTES_MAX)).find(starts);
    found
        .or_else(|| (rest.len() <= TAIL_BYTES_MAX && !rest.contains(&separator)).then_some(rest.len()))
        .map(|length| tail_at + length)
}

type Tail = (Option<char>, char, Vec<(FaultCode, String)>);

/// Tells component separator and terminator from what follows the sixteenth separator.
fn read_tail(tail: &[char], after: &[u8], separator: u8) -> Option<Tail> {
    let visible: Vec<char> = tail.iter().copied().filter(|character| !is_space(*character)).collect();
    let newline = tail.iter().any(|character| matches!(character, '\n' | '\r'));
    let line_end = line_end(after, separator);
    let (component, terminator, repairs) = match (visible.as_slice(), newline) {
        ([component, terminator], _) if component != terminator => (Some(*component), *terminator, vec![]),
        ([_, .., terminator], _) => (None, *terminator, vec![component_repair()]),
        ([only], true) => match line_end {
            Some(end) if end == *only => (None, end, vec![component_repair()]),
            Some(end) => (Some(*only), end, vec![framing_repair()]),
            None => (Some(*only), newline_of(tail), vec![]),
        },
        ([only], false) => (None, *only, vec![component_repair()]),
        ([], true) => {
            let end = line_end.unwrap_or_else(|| newline_of(tail));
            (None, end, vec![component_repair(), framing_repair()])
        }
        ([], false) => return None,
    };
    let usable = !terminator.is_alphanumeric() && terminator != char::from(separator);
    usable.then_some((component, terminator, repairs))
}

fn component_repair() -> (FaultCode, String) {
    let message =
        "ISA16 is not one character apart from the terminator; the interchange was read without a component separator";
    (FaultCode::IsaComponentSeparator, message.to_owned())
}

fn framing_repair() -> (FaultCode, String) {
    let message = "the ISA ends otherwise than the segments after it; their terminator was used";
    (FaultCode::MixedFraming, message.to_owned())
}

/// What the first line of `after` ends in, when that can be a terminator.
fn line_end(after: &[u8], separator: u8) -> Option<char> {
    let line = after.split(|byte| *byte == b'\n').next()?;
    // The last four bytes hold the last character whole, or a Latin-1 byte.
    let visible = line.trim_ascii_end();
    let tail = visible.get(visible.len().saturating_sub(4)..)?;
    let start = (0..tail.len()).find(|at| tail.get(*at).is_some_and(|byte| byte & 0xC0 != 0x80))?;
    let last = *characters(tail.get(start..)?).last()?;
    let complete = visible.len() < after.len();
    (complete && !last.is_alphanumeric() && last != char::from(separator) && !is_space(last)).then_some(last)
}

/// A bare carriage return terminates only where no line feed does.
fn newline_of(tail: &[char]) -> char {
    if tail.contains(&'\n') { '\n' } else { '\r' }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '\u{FEFF}')
}

/// The characters of some bytes: UTF-8, else Latin-1.
fn characters(bytes: &[u8]) -> Vec<char> {
    text(bytes).chars().collect()
}

/// The text of some bytes. X12 says nothing about encodings; partners send
/// UTF-8 and Latin-1, and every byte sequence is valid in the latter.
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

fn wrong_widths(isa: &Isa) -> Option<(FaultCode, String)> {
    let wrong = isa.elements.iter().zip(WIDTHS).position(|(element, width)| element.chars().count() != width)?;
    let message = format!("ISA{:02} has not its fixed width; pad the elements of the ISA to 106 bytes", wrong + 1);
    Some((FaultCode::IsaElementLength, message))
}

/// ISA15: an order of another usage is neither surely meant nor surely a test.
fn unknown_usage(isa: &Isa) -> Option<(FaultCode, String)> {
    let message = "ISA15 is none of `P` (production), `T` (test) and `I` (information)";
    (!matches!(isa.usage(), "P" | "T" | "I")).then(|| (FaultCode::IsaUsage, message.to_owned()))
}

/// Without parties and a number nobody can be answered and no repetition be known.
fn nobody(isa: &Isa) -> Option<(FaultCode, String)> {
    let named = isa.sender().is_some() && isa.receiver().is_some() && !isa.control().is_empty();
    let message = "the ISA leaves the sender, the receiver or the control number empty; expected all three";
    (!named).then(|| (FaultCode::IsaIdentity, message.to_owned()))
}

/// What the interchange is known by has to fit into its key.
fn unfit_parts(isa: &Isa) -> impl Iterator<Item = (FaultCode, String)> {
    let parts = [
        (5, QUALIFIER_BYTES_MAX, FaultCode::IsaSender),
        (6, PARTY_BYTES_MAX, FaultCode::IsaSender),
        (7, QUALIFIER_BYTES_MAX, FaultCode::IsaReceiver),
        (8, PARTY_BYTES_MAX, FaultCode::IsaReceiver),
        (13, CONTROL_BYTES_MAX, FaultCode::IsaIdentity),
    ];
    parts.into_iter().filter_map(|(number, bytes_max, code)| {
        let unfit = unfit(isa.element(number), bytes_max)?;
        Some((code, unfit.sentence(&format!("ISA{number:02}"), bytes_max)))
    })
}
