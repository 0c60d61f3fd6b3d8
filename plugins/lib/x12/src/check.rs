//! X12's own syntax of a purchase order (850): the segments and elements that
//! are mandatory, and the types of those that a price is made of.
//!
//! What is rejected here the partner has to send again, so only faults are
//! listed that make the set unusable. Prices, items and dates are business:
//! they become exceptions or answers later, never an AK5.

use crate::fault::{Fault, FaultCode};
use crate::key::{ORDER_NUMBER_BYTES_MAX, PURPOSE_BYTES_MAX, RELEASE_BYTES_MAX, unfit};
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

/// Checks a purchase order and returns its faults in both forms.
#[must_use]
pub fn purchase_order(set: &Set) -> (Vec<SegmentFault>, Vec<Fault>) {
    let mut checked = Checked { set, segments: vec![], faults: vec![] };
    match set.segments.iter().position(|segment| segment.tag == "BEG") {
        Some(index) => checked.beg(index),
        None => checked.missing("BEG", 2),
    }
    // A cancellation names the order; partners leave its lines out.
    let cancels = set.segments.iter().any(|segment| segment.tag == "BEG" && segment.trimmed(1) == "01");
    let lines: Vec<usize> =
        set.segments.iter().enumerate().filter(|(_, segment)| segment.tag == "PO1").map(|(index, _)| index).collect();
    if lines.is_empty() && !cancels {
        checked.missing("PO1", set.segments.len() + 2);
    }
    for index in lines {
        checked.line(index);
    }
    (checked.segments, checked.faults)
}

struct Checked<'a> {
    set: &'a Set,
    segments: Vec<SegmentFault>,
    faults: Vec<Fault>,
}

impl Checked<'_> {
    /// BEG01, BEG03 and BEG04 are the order's key: what they leave empty or what does
    /// not fit there makes the order nobody's.
    fn beg(&mut self, index: usize) {
        let Some(segment) = self.set.segments.get(index) else { return };
        let parts = [
            (1, 353, PURPOSE_BYTES_MAX, Some("purpose")),
            (3, 324, ORDER_NUMBER_BYTES_MAX, Some("purchase order number")),
            (4, 328, RELEASE_BYTES_MAX, None),
        ];
        let mut elements = Vec::new();
        for (position, reference, bytes_max, required) in parts {
            let (text, name) = (segment.trimmed(position), format!("BEG{position:02}"));
            let found = match (required, unfit(text, bytes_max)) {
                (Some(what), _) if text.is_empty() => {
                    Some((1, FaultCode::ElementMissing, format!("{name} is empty; expected the {what}")))
                }
                (_, Some(unfit)) => {
                    Some((unfit.element_syntax(), FaultCode::ElementInvalid, unfit.sentence(&name, bytes_max)))
                }
                (_, None) => None,
            };
            if let Some((code, fault, message)) = found {
                elements.push(ElementFault { position, reference, code });
                self.fault(fault, message, segment, &name);
            }
        }
        self.element_faults("BEG", index, elements);
    }

    fn line(&mut self, index: usize) {
        let Some(segment) = self.set.segments.get(index) else { return };
        let mut elements = Vec::new();
        for (position, reference) in [(2, 330), (4, 212)] {
            let text = segment.trimmed(position);
            if !text.is_empty() && !is_decimal(text) {
                elements.push(ElementFault { position, reference, code: 6 });
                let message = format!("PO1{position:02} is not a number; expected digits with an optional point");
                self.fault(FaultCode::ElementInvalid, message, segment, &format!("PO1{position:02}"));
            }
        }
        self.element_faults("PO1", index, elements);
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
