//! The shipment around its lines: what it is of, where it went, who carried it, and the total.
//!
//! Segments before the first LX or W12 belong to the header, those up to W03 to the lines.

use portreeve_guest_x12::clock;
use portreeve_guest_x12_document::{Place, Segment, TransactionSet, keep, listed, no_address};
use portreeve_sdk::transformer::*;

use crate::line::{self, Part, Read};

/// Extensions of one shipment: a pallet of a line is one, and lorries have a hundred.
const EXTENSIONS_MAX: usize = 1_000;

/// Lines of one shipment. The host takes no event of more than 20,000 elements in its lists
/// and counts it as this plugin's failure: a sender of endless lines would have it stopped.
const LINES_MAX: usize = 4_000;

/// Serial numbers of one shipment, for the same reason.
const SERIALS_MAX: usize = 10_000;

/// N902 beside which N903 is the identifier that the host gave the order to the warehouse with.
const OUR_ORDER: &str = "PORTREEVE-ORDER";

/// Reporting codes (element 514) of a whole shipment: full detail, original transaction.
const REPORTS: [&str; 2] = ["F", "J"];

/// Reads a whole shipment.
///
/// # Errors
/// `invalid` with every problem that was found.
pub(crate) fn read(set: &TransactionSet) -> Result<Shipment, Failure> {
    let begins_lines = |segment: &Segment| matches!(segment.tag(), "LX" | "W12");
    let segments = &set.segments;
    let header_end = segments.iter().position(begins_lines).unwrap_or(segments.len());
    let end = segments.iter().position(|segment| segment.tag() == "W03").unwrap_or(segments.len());
    let mut reader = Reader::new(set);
    reader.header(segments.get(..header_end.min(end)).unwrap_or_default());
    let lines = reader.lines(segments.get(header_end..end).unwrap_or_default());
    reader.end(&lines, segments.get(end..).unwrap_or_default());
    reader.finish(lines)
}

/// Which party the segments after an N1 complete.
#[derive(Clone, Copy, PartialEq)]
enum Party {
    ShipTo,
    Other,
}

struct Reader {
    order_number: Option<String>,
    shipment_number: Option<String>,
    node: Option<String>,
    carrier: Option<String>,
    tracking: Vec<String>,
    /// W0603, which G62*11 outweighs.
    reported: Option<InstantMs>,
    shipped: Option<InstantMs>,
    ship_to: Option<Address>,
    party: Party,
    extensions: Vec<Extension>,
    problems: Vec<Problem>,
}

impl Reader {
    fn new(set: &TransactionSet) -> Self {
        let mut extensions = Vec::new();
        let mut problems = Vec::new();
        problems.extend(keep(&mut extensions, EXTENSIONS_MAX, "x12:version", &set.version, "GS/08"));
        if set.usage != "P" {
            problems.extend(keep(&mut extensions, EXTENSIONS_MAX, "x12:usage", &set.usage, "ISA/15"));
        }
        Self {
            order_number: None,
            shipment_number: None,
            node: None,
            carrier: None,
            tracking: vec![],
            reported: None,
            shipped: None,
            ship_to: None,
            party: Party::Other,
            extensions,
            problems,
        }
    }

    fn header(&mut self, segments: &[Segment]) {
        for segment in segments {
            match segment.tag() {
                "W06" => self.begin(segment),
                "N1" => self.party(segment),
                "N2" | "N3" | "N4" => self.place(segment),
                "N9" => self.reference(segment),
                "G62" => self.date(segment),
                "W27" => self.carrier(segment),
                _ => self.keep(segment),
            }
        }
    }

    fn begin(&mut self, segment: &Segment) {
        if !REPORTS.contains(&segment.element(1)) {
            let message = "W0601 is no report of a whole shipment; expected F (full detail) or J (original)";
            self.problem("reporting-code", message, "W06/01");
        }
        let stated = segment.identifier(2, "W06", &mut self.problems);
        self.order_number = self.order_number.take().or(stated);
        self.reported = self.instant(segment.element(3), "W06/03");
        let number = segment.identifier(4, "W06", &mut self.problems);
        self.shipment_number = number.or_else(|| segment.identifier(5, "W06", &mut self.problems));
        if segment.filled(6).is_some() {
            let kept = keep(&mut self.extensions, EXTENSIONS_MAX, "x12:W0606", segment.element(6), "W06/06");
            self.problems.extend(kept);
        }
    }

    /// The order as we named it is the host's identifier, which outweighs W0602: that has
    /// room for the customer's number only, and two customers have the same one.
    fn reference(&mut self, segment: &Segment) {
        match segment.element(1) {
            "ZZ" if segment.element(2) == OUR_ORDER => {
                let ours = segment.identifier(3, "N9", &mut self.problems);
                self.order_number = ours.or_else(|| self.order_number.take());
            }
            // The carrier's own numbers: tracking, and PRO.
            "2I" | "CN" => self.tracking.extend(segment.identifier(2, "N9", &mut self.problems)),
            _ => self.keep(segment),
        }
    }

    fn party(&mut self, segment: &Segment) {
        self.party = Party::Other;
        match segment.element(1) {
            "ST" if self.ship_to.is_some() => {
                let message = "the shipment names a second ship-to; expected one, send an advice per place";
                self.problem("ship-to-twice", message, "N1/01");
            }
            "ST" => {
                self.party = Party::ShipTo;
                let usable = segment.filled(4).is_none() || segment.identifier(4, "N1", &mut self.problems).is_some();
                if usable {
                    self.place(segment);
                }
            }
            "SF" if segment.filled(4).is_some() => self.node = segment.identifier(4, "N1", &mut self.problems),
            _ => self.keep(segment),
        }
    }

    fn place(&mut self, segment: &Segment) {
        match self.party {
            Party::ShipTo => self.ship_to.get_or_insert_with(no_address).add(segment),
            Party::Other => self.keep(segment),
        }
    }

    fn date(&mut self, segment: &Segment) {
        match segment.element(1) {
            "11" => self.shipped = self.instant(segment.element(2), "G62/02"),
            _ => self.keep(segment),
        }
    }

    fn instant(&mut self, text: &str, path: &str) -> Option<InstantMs> {
        let day = clock::date(text);
        if day.is_none() && !text.is_empty() {
            self.problem("bad-date", "found a date that is none of the calendar; expected CCYYMMDD", path);
        }
        day.map(|(year, month, day)| clock::midnight_ms(year, month, day))
    }

    fn carrier(&mut self, segment: &Segment) {
        self.carrier = segment.identifier(2, "W27", &mut self.problems);
        self.keep(segment);
    }

    fn lines<'a>(&mut self, segments: &'a [Segment]) -> Vec<Read<'a>> {
        let (mut lines, mut assigned, mut index) = (Vec::new(), None, 0_usize);
        let mut rest = segments;
        while let Some((first, after)) = rest.split_first() {
            if first.tag() != "W12" {
                match first.tag() {
                    "LX" => assigned = Some(first),
                    _ => self.keep(first),
                }
                rest = after;
                continue;
            }
            let ends = |segment: &Segment| matches!(segment.tag(), "W12" | "LX");
            let (own, next) = after.split_at(after.iter().position(ends).unwrap_or(after.len()));
            index += 1;
            let part = Part { at: format!("W12[{index}]"), first, rest: own, assigned, index };
            if let Some(read) = line::read(part, &mut self.problems) {
                self.keep_of_line(&read.line.line_number, own);
                lines.push(read);
            }
            rest = next;
        }
        lines
    }

    fn keep_of_line(&mut self, number: &str, segments: &[Segment]) {
        for segment in segments.iter().filter(|segment| !line::has_field(segment)) {
            let name = format!("x12:{}:{number}", segment.tag());
            let kept = keep(&mut self.extensions, EXTENSIONS_MAX, &name, &segment.elements(), segment.tag());
            self.problems.extend(kept);
        }
    }

    /// W03: a line that was lost on the way would otherwise be short for ever.
    fn end(&mut self, lines: &[Read<'_>], segments: &[Segment]) {
        for segment in segments {
            self.keep(segment);
        }
        let stated = segments.first().and_then(|total| money::decimal(total.element(1)).ok());
        let Some(stated) = stated.filter(|_| self.problems.is_empty()) else { return };
        let sum = lines.iter().fold(0_i128, |sum, read| sum.saturating_add(read.shipped));
        if line::scaled_of(stated.units, stated.scale) != sum {
            let message = format!(
                "W0301 says that {} units were shipped, the lines sum to {}; send the whole advice",
                money::to_text(stated.units, stated.scale),
                line::plain(sum)
            );
            self.problem("total-mismatch", &message, "W03/01");
        }
    }

    fn keep(&mut self, segment: &Segment) {
        self.problems.extend(segment.keep(&mut self.extensions, EXTENSIONS_MAX, segment.tag()));
    }

    fn problem(&mut self, code: &str, message: &str, path: &str) {
        self.problems.push(Problem::new(code, message, path));
    }

    fn finish(mut self, lines: Vec<Read<'_>>) -> Result<Shipment, Failure> {
        // What would be added up as one line need not be one.
        if line::lines_named(&lines, &mut self.problems) && line::in_one_unit(&lines, &mut self.problems) {
            line::compare(&lines, &mut self.problems);
        }
        if lines.is_empty() && self.problems.is_empty() {
            self.problem("lines-missing", "the advice has no lines; expected at least one W12", "W12");
        }
        let serials: usize = lines.iter().map(|read| read.line.serials.len()).sum();
        if lines.len() > LINES_MAX || serials > SERIALS_MAX {
            let message = format!(
                "found {} lines and {serials} serial numbers; expected at most {LINES_MAX} and {SERIALS_MAX}, \
                 send several advices",
                lines.len()
            );
            self.problem("too-many-lines", &message, "W12");
        }
        if self.order_number.is_none() && self.problems.is_empty() {
            self.problem("order-number-missing", "W0602 is empty; expected the number of the order", "W06/02");
        }
        let shipment_number = self.shipment_number.take();
        if shipment_number.is_none() {
            let message = "W0604 and W0605 are empty; expected the number of the shipment";
            self.problem("shipment-number-missing", message, "W06/04");
        }
        let (Some(order_number), Some(shipment_number), true) =
            (self.order_number, shipment_number, self.problems.is_empty())
        else {
            return Err(Failure::Invalid(listed(self.problems)));
        };
        Ok(Shipment {
            order_number,
            shipment_number,
            node: self.node,
            carrier: self.carrier,
            tracking: self.tracking,
            at: self.shipped.or(self.reported),
            lines: lines.into_iter().map(|read| read.line).collect(),
            ship_to: self.ship_to,
            extensions: self.extensions,
        })
    }
}
