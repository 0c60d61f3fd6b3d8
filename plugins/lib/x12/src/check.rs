//! X12's own syntax of a set: the segments and elements that are mandatory, and the
//! types of those that quantities, prices and amounts are made of, as [`Kind::form`] lists them.
//!
//! What is rejected here the partner has to send again, so only faults are
//! listed that make the set unusable. Prices, items and dates are business:
//! they become exceptions or answers later, never an AK5.

use crate::fault::{Fault, FaultCode};
use crate::key::unfit;
use crate::kind::{Form, Kind, Numbers};
use crate::read::{Segment, Set};

/// A fault for AK3, with its elements for AK4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFault {
    /// The tag of the segment.
    pub tag: &'static str,
    /// Its place in the set, ST being 1.
    pub position: usize,
    /// Segment syntax error code (720): 3 missing, 8 has element faults.
    pub code: u8,
    /// Its faulty elements.
    pub elements: Vec<ElementFault>,
}

/// A fault for AK4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementFault {
    /// The element's place in its segment, from 1.
    pub position: usize,
    /// Data element reference number.
    pub reference: u16,
    /// Data element syntax error code (723): 1 missing, 5 too long, 6 wrong character.
    pub code: u8,
}

/// Checks a set and returns its faults in both forms.
#[must_use]
pub fn set(kind: Kind, set: &Set) -> (Vec<SegmentFault>, Vec<Fault>) {
    let form = kind.form();
    let mut checked = Checked { set, segments: vec![], faults: vec![] };
    match set.segments.iter().position(|segment| segment.tag == form.begin) {
        Some(index) => checked.begin(index, &form),
        None => checked.missing(form.begin, 2),
    }
    let is_there = |tag: &str| set.segments.iter().any(|segment| segment.tag == tag);
    if let Some(tag) = form.also.filter(|tag| !is_there(tag) && !kind.cancels(set)) {
        checked.missing(tag, set.segments.len() + 2);
    }
    for (index, segment) in set.segments.iter().enumerate() {
        if let Some(numbers) = form.numbers.iter().find(|numbers| numbers.tag == segment.tag) {
            checked.numbers(index, segment, numbers);
        }
    }
    (checked.segments, checked.faults)
}

struct Checked<'a> {
    set: &'a Set,
    segments: Vec<SegmentFault>,
    faults: Vec<Fault>,
}

impl Checked<'_> {
    /// What the key's elements leave empty, or what does not fit there, makes the set nobody's.
    fn begin(&mut self, index: usize, form: &Form) {
        let Some(segment) = self.set.segments.get(index) else { return };
        let mut elements = Vec::new();
        for part in form.key {
            let (text, name) = (segment.trimmed(part.position), format!("{}{:02}", form.begin, part.position));
            let found = match (part.required, unfit(text, part.bytes_max)) {
                (Some(what), _) if text.is_empty() => {
                    Some((1, FaultCode::ElementMissing, format!("{name} is empty; expected the {what}")))
                }
                (_, Some(unfit)) => {
                    Some((unfit.element_syntax(), FaultCode::ElementInvalid, unfit.sentence(&name, part.bytes_max)))
                }
                (_, None) => None,
            };
            if let Some((code, fault, message)) = found {
                elements.push(ElementFault { position: part.position, reference: part.reference, code });
                self.fault(fault, message, segment, &name);
            }
        }
        self.element_faults(form.begin, index, elements);
    }

    fn numbers(&mut self, index: usize, segment: &Segment, numbers: &Numbers) {
        let mut elements = Vec::new();
        for (position, reference) in numbers.elements.iter().copied() {
            let text = segment.trimmed(position);
            if !text.is_empty() && !is_decimal(text) {
                elements.push(ElementFault { position, reference, code: 6 });
                let name = format!("{}{position:02}", numbers.tag);
                let message = format!("{name} is not a number; expected digits with an optional point");
                self.fault(FaultCode::ElementInvalid, message, segment, &name);
            }
        }
        self.element_faults(numbers.tag, index, elements);
    }

    fn missing(&mut self, tag: &'static str, position: usize) {
        self.segments.push(SegmentFault { tag, position, code: 3, elements: vec![] });
        let message = format!("the set has no {tag} segment; expected at least one");
        self.fault(FaultCode::SegmentMissing, message, &self.set.header, tag);
    }

    fn element_faults(&mut self, tag: &'static str, index: usize, elements: Vec<ElementFault>) {
        if !elements.is_empty() {
            self.segments.push(SegmentFault { tag, position: index + 2, code: 8, elements });
        }
    }

    fn fault(&mut self, code: FaultCode, message: String, at: &Segment, what: &str) {
        // A set of faulty lines only would otherwise list each of them.
        if self.faults.len() < crate::FAULTS_MAX {
            let path = format!("{}/{what}", self.set.path);
            self.faults.push(Fault { code, message, offset: at.offset, segment: at.number, path });
        }
    }
}

/// X12 type R: an optional minus, digits, at most one point, no exponent.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let points = digits.bytes().filter(|byte| *byte == b'.').count();
    points <= 1
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
