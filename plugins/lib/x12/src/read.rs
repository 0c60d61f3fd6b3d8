//! Reads an input into interchanges, groups and sets.
//!
//! Segments are cut at the terminator of their own interchange; blanks and
//! newlines before a segment are skipped, because partners indent. A tag counts
//! only at the start of a segment, so the letters `ISA` in a company's name
//! start nothing. Trailers that are missing or count wrongly are faults of
//! their level; whether that makes a set unacceptable is [`crate::acknowledge`]'s
//! question.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use crate::acknowledge::{Address, FUNCTIONAL_ACKNOWLEDGEMENT};
use crate::fault::{Fault, FaultCode, Faults};
use crate::isa::{self, Delimiters, Isa, Unread};
use crate::key::{self, PARTY_BYTES_MAX, unfit};
use crate::{ADDRESSES_MAX, ELEMENT_BYTES_MAX, ELEMENTS_MAX, FAULTS_MAX, INTERCHANGES_MAX, SEGMENTS_MAX};

/// The UTF-8 byte order mark, which a third of public samples start with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Everything that was found in an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Readable interchanges in their order.
    pub interchanges: Vec<Interchange>,
    /// Interchanges that cannot be delimited, or that are beyond what is read.
    pub unread: Vec<Unread>,
    /// What is wrong outside of interchanges.
    pub faults: Faults,
}

/// One ISA … IEA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interchange {
    /// Its header.
    pub isa: Isa,
    /// How it is delimited.
    pub delimiters: Delimiters,
    /// Its groups in their order.
    pub groups: Vec<Group>,
    /// TA1 segments about interchanges that were sent to this sender.
    pub acknowledgements: Vec<Segment>,
    /// What is wrong with the envelope.
    pub faults: Faults,
    /// The bytes of the input that it takes, from `ISA` to the end of its last
    /// segment without the terminator: how it is parted from the next one is not its own.
    pub bytes: Range<usize>,
}

impl Interchange {
    /// What no other interchange of its sender has; none when a part of it is missing.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        key::of_interchange(self)
    }
}

/// One GS … GE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The GS segment.
    pub header: Segment,
    /// Its sets in their order.
    pub sets: Vec<Set>,
    /// The number of sets that GE01 states.
    pub declared: Option<u64>,
    /// What is wrong with the group.
    pub faults: Faults,
}

impl Group {
    /// GS01, the functional identifier: `PO` for purchase orders, `FA` for acknowledgements.
    #[must_use]
    pub fn functional(&self) -> &str {
        self.header.trimmed(1)
    }

    /// GS02, the application sender.
    #[must_use]
    pub fn sender(&self) -> &str {
        self.header.trimmed(2)
    }

    /// GS03, the application receiver.
    #[must_use]
    pub fn receiver(&self) -> &str {
        self.header.trimmed(3)
    }

    /// GS06, the control number.
    #[must_use]
    pub fn control(&self) -> &str {
        self.header.trimmed(6)
    }

    /// GS08, the version that the group's sets follow.
    #[must_use]
    pub fn version(&self) -> &str {
        self.header.trimmed(8)
    }
}

/// One ST … SE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The ST segment.
    pub header: Segment,
    /// The segments between ST and SE.
    pub segments: Vec<Segment>,
    /// Where it is: `ISA[1]/GS[1]/ST[2]`.
    pub path: String,
    /// What is wrong with the set.
    pub faults: Faults,
}

impl Set {
    /// ST01, for example `850`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.header.trimmed(1)
    }

    /// ST02, the control number.
    #[must_use]
    pub fn control(&self) -> &str {
        self.header.trimmed(2)
    }
}

/// A tag and its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The tag, for example `BEG`.
    pub tag: String,
    /// The elements after the tag, as they were sent.
    pub elements: Vec<String>,
    /// Byte offset of the tag.
    pub offset: usize,
    /// One-based number in the input.
    pub number: u32,
}

impl Segment {
    /// Element `number`, from 1; empty when it is not there.
    #[must_use]
    pub fn element(&self, number: usize) -> &str {
        number.checked_sub(1).and_then(|index| self.elements.get(index)).map_or("", String::as_str)
    }

    /// The same without blanks around it.
    #[must_use]
    pub fn trimmed(&self, number: usize) -> &str {
        self.element(number).trim()
    }
}

/// Reads an input; never fails, says in faults what it could not use.
#[must_use]
pub fn read(input: &[u8]) -> Reading {
    read_with(input, cut)
}

/// How a segment is cut off: its length, and where the next one starts.
pub(crate) type Cut = fn(&[u8], &[u8]) -> (usize, usize);

/// Cuts at the first terminator; the rest of the input where there is none.
pub(crate) fn cut(rest: &[u8], terminator: &[u8]) -> (usize, usize) {
    let found = rest.windows(terminator.len().max(1)).position(|window| window == terminator);
    found.map_or((rest.len(), rest.len()), |length| (length, length + terminator.len()))
}

/// [`read`] with the step that is easiest to get wrong as an argument, so that the
/// tests can show that they notice when it is.
pub(crate) fn read_with(input: &[u8], cut: Cut) -> Reading {
    let mut reader = Reader { input, cut, at: 0, segments: 0, faults_left: FAULTS_MAX };
    let mut reading = Reading::default();
    let mut ordinal = 0;
    while reader.skip_blanks() {
        if !reader.at_isa() {
            reader.skip_junk(&mut reading);
        } else if ordinal == INTERCHANGES_MAX {
            let message = format!("more than {INTERCHANGES_MAX} interchanges; send the rest in another input");
            reader.outside(&mut reading.faults, FaultCode::TooManyInterchanges, message);
            break;
        } else {
            ordinal += 1;
            reader.segments = reader.segments.saturating_add(1);
            match reader.interchange(ordinal) {
                Ok(interchange) => reading.interchanges.push(interchange),
                Err(unread) => reading.unread.push(unread),
            }
        }
    }
    if ordinal == 0 {
        let message = "no interchange was found; expected the input to start with `ISA`".to_owned();
        reader.at = 0;
        reader.outside(&mut reading.faults, FaultCode::NoInterchange, message);
    }
    reading
}

struct Reader<'a> {
    input: &'a [u8],
    cut: Cut,
    at: usize,
    segments: u32,
    faults_left: usize,
}

impl Reader<'_> {
    /// Notes a fault outside of interchanges, at the current position: a byte, since
    /// nothing there is a segment.
    fn outside(&mut self, faults: &mut Faults, code: FaultCode, message: String) {
        let fault = Fault { code, message, offset: self.at, segment: 0, path: String::new() };
        faults.note(fault, &mut self.faults_left);
    }

    /// Moves past blanks, newlines and byte order marks; false at the end.
    fn skip_blanks(&mut self) -> bool {
        loop {
            let rest = self.rest();
            if rest.starts_with(BYTE_ORDER_MARK) {
                self.at += BYTE_ORDER_MARK.len();
            } else if rest.first().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0)) {
                self.at += 1;
            } else {
                return !rest.is_empty();
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn at_isa(&self) -> bool {
        is_isa(self.rest())
    }

    fn skip_junk(&mut self, reading: &mut Reading) {
        let message = "data outside of an interchange was skipped; expected `ISA`".to_owned();
        self.outside(&mut reading.faults, FaultCode::DataOutsideInterchange, message);
        self.seek_isa();
    }

    /// Moves to the next `ISA` that can start an interchange: after a newline or
    /// after a character that can be a terminator and is not its separator.
    fn seek_isa(&mut self) {
        let starts = |at: &usize| {
            let before = at.checked_sub(1).and_then(|index| self.input.get(index)).copied();
            let separator = self.input.get(at + 3).copied();
            is_isa(self.input.get(*at..).unwrap_or_default())
                && before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b' ' && Some(byte) != separator)
        };
        self.at = (self.at..self.input.len()).find(starts).unwrap_or(self.input.len());
    }

    /// Reads from the ISA up to its IEA, the next ISA or the end.
    fn interchange(&mut self, ordinal: usize) -> Result<Interchange, Unread> {
        let opened = isa::open(self.input, self.at, ordinal).map_err(|mut unread| {
            unread.fault.segment = self.segments;
            self.at += 3;
            self.seek_isa();
            unread
        })?;
        let isa::Opened { isa, delimiters, repairs, next } = opened;
        let mut builder = Builder::new(isa, delimiters, ordinal);
        for (code, message) in repairs {
            let fault = Fault { code, message, offset: self.at, segment: self.segments, path: builder.path() };
            builder.interchange.faults.note(fault, &mut self.faults_left);
        }
        self.at = next;
        builder.interchange.bytes.end = next;
        // Not `skip_blanks` after IEA: what follows is not this interchange's.
        while !builder.closed && self.skip_blanks() && !self.at_isa() {
            if self.segments >= SEGMENTS_MAX {
                self.skip_segments(&builder.interchange.delimiters.terminator);
                return Err(beyond(builder.interchange.isa, ordinal));
            }
            if let Some(segment) = self.segment(&mut builder) {
                builder.take(self, segment);
            }
        }
        Ok(builder.finish(self))
    }

    /// Moves to the next ISA that starts a segment.
    fn skip_segments(&mut self, terminator: &[u8]) {
        while self.skip_blanks() && !self.at_isa() {
            self.at += (self.cut)(self.rest(), terminator).1;
        }
    }

    /// Cuts the next segment; none when it is empty.
    fn segment(&mut self, builder: &mut Builder) -> Option<Segment> {
        let offset = self.at;
        let terminator = &builder.interchange.delimiters.terminator;
        let rest = self.rest();
        let (length, next) = (self.cut)(rest, terminator);
        let unterminated = next == length;
        let bytes = rest.get(..length).unwrap_or_default().trim_ascii_end();
        let length_trimmed = bytes.len();
        let separator = builder.interchange.delimiters.element;
        let mut parts = bytes.split(|byte| *byte == separator);
        let first = parts.next().unwrap_or_default();
        let tag = isa::text(within(first)).trim().to_owned();
        let indent = indent(first);
        let mut longest = first.len();
        let elements = parts.by_ref().take(ELEMENTS_MAX).map(|element| {
            longest = longest.max(element.len());
            isa::text(within(element))
        });
        let elements: Vec<String> = elements.collect();
        let more = parts.next().is_some();
        self.at = offset + next;
        if tag.is_empty() && elements.is_empty() {
            return None;
        }
        builder.interchange.bytes.end = offset + length_trimmed;
        self.segments += 1;
        let segment = Segment { tag, elements, offset: offset + indent, number: self.segments };
        if unterminated && segment.tag != "IEA" {
            let message = "the input ends within a segment; send the whole interchange".to_owned();
            builder.fault(self, FaultCode::SegmentUnterminated, message, &segment);
        }
        if longest > ELEMENT_BYTES_MAX {
            let message = format!("an element has more than {ELEMENT_BYTES_MAX} bytes; the rest was not read");
            builder.fault(self, FaultCode::ElementTooLong, message, &segment);
        }
        if more {
            let message = format!("a segment has more than {ELEMENTS_MAX} elements; the rest was not read");
            builder.fault(self, FaultCode::TooManyElements, message, &segment);
        }
        Some(segment)
    }
}

/// An interchange whose end is beyond what is read. Nothing of it is kept: of one
/// that was taken in part, its sender could not send the rest under its number.
fn beyond(isa: Isa, ordinal: usize) -> Unread {
    let message = format!("found more than {SEGMENTS_MAX} segments in the input; send this interchange in another one");
    let path = format!("ISA[{ordinal}]");
    let fault = Fault { code: FaultCode::TooManySegments, message, offset: isa.offset, segment: 0, path };
    Unread { isa, fault }
}

/// As much of an element as is kept.
fn within(element: &[u8]) -> &[u8] {
    element.get(..ELEMENT_BYTES_MAX).unwrap_or(element)
}

/// Bytes of the blanks before a tag, of whatever script, that are not its own.
fn indent(tag: &[u8]) -> usize {
    match std::str::from_utf8(tag) {
        Ok(text) => text.len() - text.trim_start().len(),
        Err(_) => tag.iter().take_while(|byte| char::from(**byte).is_whitespace()).count(),
    }
}

fn is_isa(bytes: &[u8]) -> bool {
    bytes.starts_with(b"ISA") && bytes.get(3).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b' ')
}

/// An interchange while its segments arrive.
struct Builder {
    interchange: Interchange,
    ordinal: usize,
    group: Option<Group>,
    set: Option<Set>,
    closed: bool,
    /// GS06 of its groups, and ST02 of the open group's sets.
    group_controls: HashSet<String>,
    set_controls: HashSet<String>,
}

impl Builder {
    fn new(isa: Isa, delimiters: Delimiters, ordinal: usize) -> Self {
        let interchange = Interchange {
            bytes: isa.offset..isa.offset,
            isa,
            delimiters,
            groups: vec![],
            acknowledgements: vec![],
            faults: Faults::default(),
        };
        Self {
            interchange,
            ordinal,
            group: None,
            set: None,
            closed: false,
            group_controls: HashSet::new(),
            set_controls: HashSet::new(),
        }
    }

    /// The path of the innermost open part.
    fn path(&self) -> String {
        let mut path = format!("ISA[{}]", self.ordinal);
        if let Some(group) = &self.group {
            path.push_str(&format!("/GS[{}]", self.interchange.groups.len() + 1));
            if self.set.is_some() {
                path.push_str(&format!("/ST[{}]", group.sets.len() + 1));
            }
        }
        path
    }

    /// Notes a fault of the innermost open part.
    fn fault(&mut self, reader: &mut Reader<'_>, code: FaultCode, message: String, at: &Segment) {
        let path = self.path();
        let faults = match (&mut self.set, &mut self.group) {
            (Some(set), _) => &mut set.faults,
            (None, Some(group)) => &mut group.faults,
            (None, None) => &mut self.interchange.faults,
        };
        let fault = Fault { code, message, offset: at.offset, segment: at.number, path };
        faults.note(fault, &mut reader.faults_left);
    }

    fn take(&mut self, reader: &mut Reader<'_>, segment: Segment) {
        match segment.tag.as_str() {
            "GS" => self.open_group(reader, segment),
            "GE" => self.close_group(reader, &segment),
            "ST" => self.open_set(reader, segment),
            "SE" => self.close_set(reader, &segment),
            "IEA" => self.close_interchange(reader, &segment),
            "TA1" if self.group.is_none() => self.interchange.acknowledgements.push(segment),
            _ => match &mut self.set {
                Some(set) => set.segments.push(segment),
                None => {
                    let message = "a segment stands outside of a transaction set and was skipped".to_owned();
                    self.fault(reader, FaultCode::SegmentOutsideSet, message, &segment);
                }
            },
        }
    }

    fn open_group(&mut self, reader: &mut Reader<'_>, header: Segment) {
        self.end_group(reader, &header);
        let group = Group { header: header.clone(), sets: vec![], declared: None, faults: Faults::default() };
        let unfit = unfit(group.sender(), PARTY_BYTES_MAX);
        self.set_controls.clear();
        // `0001` is `1` here, see `same_number`.
        let repeated = !self.group_controls.insert(group.control().trim_start_matches('0').to_owned());
        self.group = Some(group);
        if repeated {
            let message = "GS06 is the control number of an earlier group; expected another one".to_owned();
            self.fault(reader, FaultCode::GroupControlRepeated, message, &header);
        }
        if let Some(unfit) = unfit {
            self.fault(reader, FaultCode::GroupIdentity, unfit.sentence("GS02", PARTY_BYTES_MAX), &header);
        }
    }

    fn open_set(&mut self, reader: &mut Reader<'_>, header: Segment) {
        self.end_set(reader, &header);
        if self.group.is_none() {
            let message =
                "a transaction set stands outside of a group and was skipped; expected `GS` before it".to_owned();
            return self.fault(reader, FaultCode::SetOutsideGroup, message, &header);
        }
        let set = Set { header, segments: vec![], path: String::new(), faults: Faults::default() };
        let header = set.header.clone();
        let fault = match header.trimmed(2) {
            "" => Some((FaultCode::SetControlMissing, "ST02 is empty; expected a control number")),
            control if !self.set_controls.insert(control.to_owned()) => {
                let message = "ST02 is the control number of an earlier set of the group; expected another one";
                Some((FaultCode::SetControlRepeated, message))
            }
            _ => None,
        };
        self.set = Some(set);
        let path = self.path();
        if let Some(set) = &mut self.set {
            set.path = path;
        }
        if let Some((code, message)) = fault {
            self.fault(reader, code, message.to_owned(), &header);
        }
    }

    fn close_set(&mut self, reader: &mut Reader<'_>, trailer: &Segment) {
        let Some(set) = &self.set else {
            let message = "`SE` without `ST` was skipped".to_owned();
            return self.fault(reader, FaultCode::SegmentOutsideSet, message, trailer);
        };
        let actual = count(set.segments.len()) + 2;
        let same = set.control() == trailer.trimmed(2);
        if number(trailer.trimmed(1)) != Some(actual) {
            let message = format!("SE01 is not the number of segments; counted {actual}");
            self.fault(reader, FaultCode::SetCountMismatch, message, trailer);
        }
        if !same {
            let message = "SE02 is not the control number of ST02".to_owned();
            self.fault(reader, FaultCode::SetControlMismatch, message, trailer);
        }
        self.store_set();
    }

    fn close_group(&mut self, reader: &mut Reader<'_>, trailer: &Segment) {
        self.end_set(reader, trailer);
        let Some(group) = &mut self.group else {
            let message = "`GE` without `GS` was skipped".to_owned();
            return self.fault(reader, FaultCode::SegmentOutsideSet, message, trailer);
        };
        let actual = count(group.sets.len());
        group.declared = number(trailer.trimmed(1));
        let (declared, same) = (group.declared, same_number(group.control(), trailer.trimmed(2)));
        if declared != Some(actual) {
            let message = format!("GE01 is not the number of sets; counted {actual}");
            self.fault(reader, FaultCode::GroupCountMismatch, message, trailer);
        }
        if !same {
            let message = "GE02 is not the control number of GS06".to_owned();
            self.fault(reader, FaultCode::GroupControlMismatch, message, trailer);
        }
        self.store_group();
    }

    fn close_interchange(&mut self, reader: &mut Reader<'_>, trailer: &Segment) {
        self.end_group(reader, trailer);
        let actual = count(self.interchange.groups.len());
        if number(trailer.trimmed(1)) != Some(actual) {
            let message = format!("IEA01 is not the number of groups; counted {actual}");
            self.fault(reader, FaultCode::InterchangeCountMismatch, message, trailer);
        }
        if !same_number(self.interchange.isa.control(), trailer.trimmed(2)) {
            let message = "IEA02 is not the control number of ISA13".to_owned();
            self.fault(reader, FaultCode::InterchangeControlMismatch, message, trailer);
        }
        self.closed = true;
    }

    /// Ends an open set whose SE never came.
    fn end_set(&mut self, reader: &mut Reader<'_>, at: &Segment) {
        if self.set.is_some() {
            let message = format!("the transaction set ends without `SE`; found `{}`", shown(&at.tag));
            self.fault(reader, FaultCode::SetTrailerMissing, message, at);
            self.store_set();
        }
    }

    /// Ends an open group whose GE never came.
    fn end_group(&mut self, reader: &mut Reader<'_>, at: &Segment) {
        self.end_set(reader, at);
        if self.group.is_some() {
            let message = format!("the group ends without `GE`; found `{}`", shown(&at.tag));
            self.fault(reader, FaultCode::GroupTrailerMissing, message, at);
            self.store_group();
        }
    }

    fn store_set(&mut self) {
        if let (Some(group), Some(set)) = (&mut self.group, self.set.take()) {
            group.sets.push(set);
        }
    }

    fn store_group(&mut self) {
        self.interchange.groups.extend(self.group.take());
    }

    fn finish(mut self, reader: &mut Reader<'_>) -> Interchange {
        let end = Segment { tag: "the end".to_owned(), elements: vec![], offset: reader.at, number: reader.segments };
        self.end_group(reader, &end);
        if !self.closed {
            let message = "the interchange ends without `IEA`".to_owned();
            self.fault(reader, FaultCode::InterchangeTrailerMissing, message, &end);
        }
        let answered = self.interchange.groups.iter().filter(|group| group.functional() != FUNCTIONAL_ACKNOWLEDGEMENT);
        let addresses: BTreeSet<Address> = answered.map(Address::of).collect();
        if addresses.len() > ADDRESSES_MAX {
            let message = format!(
                "found more than {ADDRESSES_MAX} different GS02, GS03 and GS08; send the groups in several interchanges"
            );
            self.fault(reader, FaultCode::TooManyAddresses, message, &end);
        }
        if self.interchange.groups.is_empty() && self.interchange.acknowledgements.is_empty() {
            let message = "the interchange has no groups".to_owned();
            self.fault(reader, FaultCode::InterchangeEmpty, message, &end);
        }
        self.interchange
    }
}

/// A tag for a message: tags have two or three characters, anything longer is data.
fn shown(tag: &str) -> &str {
    if tag.len() <= 3 || tag == "the end" { tag } else { "data" }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A count of a trailer; leading zeros are allowed.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Interchange and group control numbers are numbers: `0001` is `1`.
fn same_number(left: &str, right: &str) -> bool {
    left == right || matches!((number(left), number(right)), (Some(left), Some(right)) if left == right)
}
