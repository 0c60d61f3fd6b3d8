//! Acknowledgements: a 997 for what was read, a TA1 for an envelope that was not.
//!
//! They confirm syntax and transport, never business. A set with a wrong count
//! or control number is accepted with errors (`E`) where the [`Agreement`] takes
//! such orders; a set without its trailer, or with content that X12 itself
//! forbids, is rejected (`R`) and the partner sends it again. An interchange whose
//! envelope is rejected gets a TA1 and no 997. A 997 is never acknowledged.

use crate::agreement::Agreement;
use crate::check::SegmentFault;
use crate::clock::Stamp;
use crate::fault::{Fault, FaultCode};
use crate::isa::{Isa, Unread};
use crate::read::{Group, Interchange, Set};
use crate::write::{CONTROL_NUMBER_MAX, Envelope, NumberTooLarge, Writer};

/// GS01 of acknowledgements.
pub const FUNCTIONAL_ACKNOWLEDGEMENT: &str = "FA";

/// Syntax error codes that fit AK5 and AK9.
const CODES_MAX: usize = 5;

/// AK3 segments of one set. A set of ten thousand wrong lines would otherwise
/// be answered with twenty thousand segments.
const SEGMENT_FAULTS_MAX: usize = 50;

/// The version of a reply when the sender states none that can be mirrored.
const VERSION_DEFAULT: (&str, &str) = ("00401", "004010");

/// The first version whose AK1 has an element for the version: six digits, so that texts
/// compare as numbers do.
const VERSION_NAMED_MIN: &str = "005010";

/// What is said of a set or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `A`.
    Accepted,
    /// `E`: accepted, but errors were noted.
    AcceptedWithErrors,
    /// `P`: at least one set of the group was rejected. Groups only.
    PartlyAccepted,
    /// `R`.
    Rejected,
}

impl Status {
    fn code(self) -> &'static str {
        match self {
            Self::Accepted => "A",
            Self::AcceptedWithErrors => "E",
            Self::PartlyAccepted => "P",
            Self::Rejected => "R",
        }
    }
}

/// The answer to one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOutcome {
    kind: String,
    control: String,
    segments: Vec<SegmentFault>,
    codes: Vec<u8>,
    /// Whether the set is taken.
    pub status: Status,
}

/// Who an answer goes to within an interchange, and in which words: what the GS of a
/// functional acknowledgement says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    sender: String,
    receiver: String,
    version: String,
}

impl Address {
    pub(crate) fn of(group: &Group) -> Self {
        let version = group.version().get(..6).filter(|version| is_digits(version, 6)).unwrap_or(VERSION_DEFAULT.1);
        Self { sender: group.sender().to_owned(), receiver: group.receiver().to_owned(), version: version.to_owned() }
    }
}

/// The answer to one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOutcome {
    address: Address,
    functional: String,
    control: String,
    version: String,
    declared: u64,
    codes: Vec<u8>,
    refused: bool,
    /// Per set, in order.
    pub sets: Vec<SetOutcome>,
}

impl SetOutcome {
    /// Judges a set by its own faults, those of a content check, and whether
    /// anything handles it.
    #[must_use]
    pub fn of(set: &Set, segments: Vec<SegmentFault>, content: &[Fault], agreement: Agreement) -> Self {
        let found = || set.faults.codes().chain(content.iter().map(|fault| fault.code));
        let codes = distinct(found().filter_map(FaultCode::set_syntax));
        let status = if found().any(|code| agreement.rejects(code)) {
            Status::Rejected
        } else if codes.is_empty() {
            Status::Accepted
        } else {
            Status::AcceptedWithErrors
        };
        Self { kind: set.kind().to_owned(), control: set.control().to_owned(), segments, codes, status }
    }
}

impl GroupOutcome {
    /// Judges a group from the answers to its sets. A group that the agreement
    /// rejects takes its sets with it.
    #[must_use]
    pub fn of(group: &Group, mut sets: Vec<SetOutcome>, agreement: Agreement) -> Self {
        let refused = Self::is_refused(group, agreement);
        for set in sets.iter_mut().filter(|_| refused) {
            set.status = Status::Rejected;
        }
        Self {
            address: Address::of(group),
            functional: group.functional().to_owned(),
            control: group.control().to_owned(),
            version: group.version().to_owned(),
            declared: group.declared.unwrap_or_default(),
            codes: distinct(group.faults.codes().filter_map(FaultCode::group_syntax)),
            refused,
            sets,
        }
    }

    /// Whether the agreement rejects a group whatever its sets are.
    #[must_use]
    pub fn is_refused(group: &Group, agreement: Agreement) -> bool {
        group.faults.codes().any(|code| agreement.rejects(code))
    }

    /// AK901.
    #[must_use]
    pub fn status(&self) -> Status {
        let accepted = self.accepted();
        if self.refused || (accepted == 0 && !self.sets.is_empty()) {
            Status::Rejected
        } else if accepted < self.sets.len() {
            Status::PartlyAccepted
        } else if self.codes.is_empty() && self.sets.iter().all(|set| set.status == Status::Accepted) {
            Status::Accepted
        } else {
            Status::AcceptedWithErrors
        }
    }

    fn accepted(&self) -> usize {
        self.sets.iter().filter(|set| set.status != Status::Rejected).count()
    }
}

/// The answers to the groups of one sender, receiver and version (GS02, GS03, GS08):
/// one functional group of the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    address: Address,
    groups: Vec<GroupOutcome>,
}

impl Addressed {
    /// Sorts the answers to an interchange by whom they go to, in the order of its groups.
    #[must_use]
    pub fn all(groups: Vec<GroupOutcome>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for group in groups {
            match all.iter_mut().find(|addressed| addressed.address == group.address) {
                Some(addressed) => addressed.groups.push(group),
                None => all.push(Self { address: group.address.clone(), groups: vec![group] }),
            }
        }
        all
    }
}

/// The answer to an interchange: a TA1 where its envelope has faults or asks
/// for one, and a 997 per group that is no acknowledgement itself, in groups with
/// their control numbers. Empty when there is nothing to answer; [`needs_reply`]
/// tells before numbers are drawn.
///
/// # Errors
/// [`NumberTooLarge`] when a number does not fit its envelope.
pub fn reply(
    interchange: &Interchange,
    groups: &[(u64, Addressed)],
    agreement: Agreement,
    number: u64,
    stamp: Stamp,
) -> Result<Vec<u8>, NumberTooLarge> {
    let mut writer = Writer::default();
    open(&mut writer, &interchange.isa, number, stamp)?;
    if let Some((status, note)) = ta1_of(interchange, agreement) {
        ta1(&mut writer, &interchange.isa, status, note);
    }
    for (number, addressed) in groups {
        if *number > CONTROL_NUMBER_MAX {
            return Err(NumberTooLarge { found: *number });
        }
        functional_group(&mut writer, addressed, *number, stamp);
    }
    writer.segment("IEA", &[&groups.len().to_string(), &format!("{number:09}")]);
    Ok(writer.finish())
}

/// Whether an interchange is answered at all: not when all that it carries are
/// acknowledgements, and not when it does not say whom to answer.
#[must_use]
pub fn needs_reply(interchange: &Interchange) -> bool {
    let only_acknowledges = (!interchange.groups.is_empty() || !interchange.acknowledgements.is_empty())
        && interchange.groups.iter().all(|group| group.functional() == FUNCTIONAL_ACKNOWLEDGEMENT);
    !only_acknowledges && interchange.isa.sender().is_some() && interchange.isa.receiver().is_some()
}

/// The answer to an interchange that was not read: a TA1 that rejects it. For those of
/// which [`can_refuse`] says that it can be addressed.
///
/// # Errors
/// [`NumberTooLarge`] when the number does not fit the envelope.
pub fn refusal(unread: &Unread, number: u64, stamp: Stamp) -> Result<Vec<u8>, NumberTooLarge> {
    let mut writer = Writer::default();
    open(&mut writer, &unread.isa, number, stamp)?;
    ta1(&mut writer, &unread.isa, Status::Rejected, unread.fault.code.ta1_note().unwrap_or("022"));
    writer.segment("IEA", &["0", &format!("{number:09}")]);
    Ok(writer.finish())
}

/// The answer to an interchange whose number came before with other content: a
/// TA1 that rejects it as a duplicate. `number` is that of the answer it replaces.
///
/// # Errors
/// [`NumberTooLarge`] when the number does not fit the envelope.
pub fn repeated(interchange: &Interchange, number: u64, stamp: Stamp) -> Result<Vec<u8>, NumberTooLarge> {
    let mut writer = Writer::default();
    open(&mut writer, &interchange.isa, number, stamp)?;
    ta1(&mut writer, &interchange.isa, Status::Rejected, "025");
    writer.segment("IEA", &["0", &format!("{number:09}")]);
    Ok(writer.finish())
}

/// Whether a TA1 can be addressed to the sender: where an element separator of the
/// ISA is missing, an id stands in the place of a qualifier, and the answer would go
/// to somebody else.
#[must_use]
pub fn can_refuse(unread: &Unread) -> bool {
    let isa = &unread.isa;
    let in_place =
        unread.fault.code == FaultCode::TooManySegments || (isa.element(5).len() == 2 && isa.element(7).len() == 2);
    in_place && isa.sender().is_some() && isa.receiver().is_some()
}

/// Opens an interchange back to the sender of `inbound`.
fn open(writer: &mut Writer, inbound: &Isa, number: u64, stamp: Stamp) -> Result<(), NumberTooLarge> {
    let version = Some(inbound.element(12)).filter(|version| is_digits(version, 5)).unwrap_or(VERSION_DEFAULT.0);
    let usage = Some(inbound.usage()).filter(|usage| matches!(*usage, "P" | "T")).unwrap_or("P");
    writer.isa(&Envelope {
        sender: (inbound.element(7), inbound.element(8)),
        receiver: (inbound.element(5), inbound.element(6)),
        version,
        usage,
        number,
        stamp,
    })
}

/// Status and note of the TA1 that an interchange gets, if it gets one.
fn ta1_of(interchange: &Interchange, agreement: Agreement) -> Option<(Status, &'static str)> {
    if let Some(note) = agreement.refuses(&interchange.faults) {
        return Some((Status::Rejected, note));
    }
    match interchange.faults.codes().find_map(FaultCode::ta1_note) {
        Some(note) => Some((Status::AcceptedWithErrors, note)),
        None => interchange.isa.asks_for_ta1().then_some((Status::Accepted, "000")),
    }
}

/// Names the interchange by its number, date and time. Each has a fixed width in
/// a TA1, so what was sent otherwise is mirrored as a number, or as zeros.
fn ta1(writer: &mut Writer, inbound: &Isa, status: Status, note: &str) {
    let number = Some(inbound.control()).filter(|control| control.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse::<u64>().ok()).filter(|number| *number <= CONTROL_NUMBER_MAX);
    let control = format!("{:09}", number.unwrap_or_default());
    let date = Some(inbound.element(9)).filter(|date| is_digits(date, 6)).unwrap_or("000000");
    let time = Some(inbound.element(10)).filter(|time| is_digits(time, 4)).unwrap_or("0000");
    writer.segment("TA1", &[&control, date, time, status.code(), note]);
}

fn functional_group(writer: &mut Writer, addressed: &Addressed, number: u64, stamp: Stamp) {
    let Addressed { address: Address { sender, receiver, version }, groups } = addressed;
    let number = number.to_string();
    let header = [FUNCTIONAL_ACKNOWLEDGEMENT, receiver, sender, &stamp.date(), &stamp.time(), &number, "X", version];
    writer.segment("GS", &header);
    for (index, group) in groups.iter().enumerate() {
        functional_set(writer, group, &format!("{:04}", index + 1));
    }
    writer.segment("GE", &[&groups.len().to_string(), &number]);
}

fn functional_set(writer: &mut Writer, group: &GroupOutcome, control: &str) {
    let mut segments = Counted { writer, count: 0 };
    segments.put("ST", &["997", control]);
    // AK103 names the version since 5010; older readers refuse it.
    let number = group.version.get(..6).filter(|version| is_digits(version, 6));
    let version = if number.is_some_and(|number| number >= VERSION_NAMED_MIN) { &group.version } else { "" };
    segments.put("AK1", &[&group.functional, &group.control, version]);
    for set in &group.sets {
        segments.set(set);
    }
    let (received, accepted) = (group.sets.len().to_string(), group.accepted().to_string());
    let declared = group.declared.to_string();
    let mut elements = vec![group.status().code(), &declared, &received, &accepted];
    let codes = texts(&group.codes);
    elements.extend(codes.iter().map(String::as_str));
    segments.put("AK9", &elements);
    let total = (segments.count + 1).to_string();
    writer.segment("SE", &[&total, control]);
}

/// Counts the segments of a set as they are written.
struct Counted<'a> {
    writer: &'a mut Writer,
    count: usize,
}

impl Counted<'_> {
    fn put(&mut self, tag: &str, elements: &[&str]) {
        self.writer.segment(tag, elements);
        self.count += 1;
    }

    fn set(&mut self, set: &SetOutcome) {
        self.put("AK2", &[&set.kind, &set.control]);
        for segment in set.segments.iter().take(SEGMENT_FAULTS_MAX) {
            self.put("AK3", &[segment.tag, &segment.position.to_string(), "", &segment.code.to_string()]);
            for element in &segment.elements {
                let (position, reference) = (element.position.to_string(), element.reference.to_string());
                self.put("AK4", &[&position, &reference, &element.code.to_string()]);
            }
        }
        let codes = texts(&set.codes);
        let mut elements = vec![set.status.code()];
        elements.extend(codes.iter().map(String::as_str));
        self.put("AK5", &elements);
    }
}

fn texts(codes: &[u8]) -> Vec<String> {
    codes.iter().map(ToString::to_string).collect()
}

fn distinct(codes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut codes: Vec<u8> = codes.collect();
    codes.sort_unstable();
    codes.dedup();
    codes.truncate(CODES_MAX);
    codes
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}
