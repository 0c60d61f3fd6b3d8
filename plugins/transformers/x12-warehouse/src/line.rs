//! The lines of a shipment: each W12 with what follows it, under the LX before it.
//!
//! ```text
//! LX*1~ W12*BP*5*3*2*EA**VN*PUMP-40*L-77~ N9*LI*1~ N9*SE*S-1~
//!           │  │ │ │ │     │  │       └ lot        └ our line   └ a serial number
//!           │  │ │ │ │     └──┴ qualifier and item number (others in W1217 and W1218)
//!           │  │ │ │ └ unit
//!           │  │ │ └ what is missing of what was ordered
//!           │  │ └ shipped
//!           │  └ ordered
//!           └ status
//! ```
//!
//! A line that left in two lots is two W12 with one number; its status is about both together.
//!
//! Whose number LX01 is, X12 does not say: it counts what the warehouse reports, and our line 2
//! is its line 1 where it reports nothing else. The host takes such a line where its item is the
//! order's ([`lines_named`] says when that does not tell).

use std::collections::BTreeMap;

use portreeve_guest_x12_document::Segment;
use portreeve_sdk::transformer::*;

use crate::status;

/// Item numbers of the seller, best first, as in purchase orders.
const SELLER_NUMBERS: [&str; 9] = ["VP", "VN", "VC", "SK", "MG", "UP", "UA", "UK", "EN"];

/// Where W12 has pairs of qualifier and item number.
const ITEM_PAIRS: [(usize, usize); 2] = [(7, 8), (17, 18)];

/// Decimal places that all quantities are compared with: the contract's most.
const SCALE: u8 = money::SCALE_MAX;

/// A W12 and what follows it.
pub(crate) struct Part<'a> {
    /// `W12[2]`, counted over the set.
    pub(crate) at: String,
    pub(crate) first: &'a Segment,
    pub(crate) rest: &'a [Segment],
    /// LX01 above it.
    pub(crate) assigned: Option<&'a Segment>,
    /// Its place among the W12, from 1.
    pub(crate) index: usize,
}

impl Part<'_> {
    /// Whether the line is named by the number that it was given to the warehouse with.
    fn names_our_line(&self) -> bool {
        references(self, "LI").next().is_some()
    }
}

/// A line that was read, with what it is checked by.
pub(crate) struct Read<'a> {
    pub(crate) line: ShipmentLine,
    pub(crate) shipped: i128,
    ordered: Option<i128>,
    part: Part<'a>,
}

/// Reads one line; none when it cannot be, of which `problems` say why.
pub(crate) fn read<'a>(part: Part<'a>, problems: &mut Vec<Problem>) -> Option<Read<'a>> {
    let before = problems.len();
    let (first, at) = (part.first, part.at.as_str());
    let short = short_reason(first, at, problems);
    let unit = unit(first, at, problems);
    let shipped = quantity(first, 3, &unit, at, problems);
    if shipped.is_none() && first.element(3).is_empty() {
        problem(problems, "shipped-missing", "W1203 is empty; expected how much was shipped, 0 for nothing", at, 3);
    }
    let ordered = quantity(first, 2, &unit, at, problems);
    if first.element(2).is_empty() && status::is_short(first.element(1)) {
        let message =
            "W1202 is empty and the line is short; expected how much was ordered, or nobody can say of how much";
        problem(problems, "ordered-missing", message, at, 2);
    }
    let sku = item(first, at, problems);
    let number = number(&part, problems);
    let lot = lot(&part, problems);
    let serials = serials(&part, problems);
    let (Some(short), Some(shipped), Some(sku)) = (short, shipped, sku) else { return None };
    if problems.len() > before {
        return None;
    }
    let (exact, of_ordered) = (scaled(&shipped), ordered.as_ref().map(scaled));
    let line = ShipmentLine { line_number: number, sku, ordered, shipped, short, lot, serials };
    Some(Read { line, shipped: exact, ordered: of_ordered, part })
}

/// Refuses parts of one line in several units: three boxes and two pieces are five of nothing.
/// Says whether each line has one.
pub(crate) fn in_one_unit(lines: &[Read<'_>], problems: &mut Vec<Problem>) -> bool {
    let before = problems.len();
    let mut units: BTreeMap<&str, &str> = BTreeMap::new();
    for read in lines {
        let unit = read.line.shipped.unit.as_str();
        let first = *units.entry(read.line.line_number.as_str()).or_insert(unit);
        if first != unit {
            let message = format!("the line is in {unit} here and in {first} before; expected one unit for all of it");
            problem(problems, "units-differ", &message, &read.part.at, 5);
        }
    }
    problems.len() == before
}

/// Compares status and difference with the quantities of each line, all of its lots together.
pub(crate) fn compare(lines: &[Read<'_>], problems: &mut Vec<Problem>) {
    let mut together: BTreeMap<&str, i128> = BTreeMap::new();
    for read in lines {
        let sum = together.entry(read.line.line_number.as_str()).or_default();
        *sum = sum.saturating_add(read.shipped);
    }
    for read in lines {
        let Some(ordered) = read.ordered else { continue };
        let all = together.get(read.line.line_number.as_str()).copied().unwrap_or(read.shipped);
        let (first, at) = (read.part.first, read.part.at.as_str());
        if !status::is_true(first.element(1), ordered, all) {
            let message = format!(
                "status {} does not fit {} shipped of {}; ask the warehouse which of them is right",
                first.element(1),
                first.element(3),
                first.element(2)
            );
            problem(problems, "status-contradicts-quantity", &message, at, 1);
        }
        let stated = money::decimal(first.element(4)).ok().map(|read| scaled_of(read.units, read.scale));
        let missing = [ordered.saturating_sub(all), ordered.saturating_sub(read.shipped)];
        if stated.is_some_and(|stated| missing.iter().all(|missing| missing.abs() != stated.abs())) {
            let message = "W1204 is not the difference of W1202 and W1203; ask the warehouse which of them is right";
            problem(problems, "difference-mismatch", message, at, 4);
        }
    }
}

/// Each line has to be named where its number could be another line's: beside lines that are, the
/// warehouse's own count may be the number of one of them, and with an item that took another's
/// place nobody can tell whose place that was. Says whether all are.
pub(crate) fn lines_named(lines: &[Read<'_>], problems: &mut Vec<Problem>) -> bool {
    let before = problems.len();
    let some_are = lines.iter().any(|read| read.part.names_our_line());
    for read in lines.iter().filter(|read| !read.part.names_our_line()) {
        let message = match (some_are, read.line.short) {
            (_, ShortReason::Substitution) => {
                "another item was sent, and of which line is not said; expected N9*LI with the order's line"
            }
            (true, _) => "other lines have N9*LI and this one has not; expected it with the order's line on each",
            (false, _) => continue,
        };
        problems.push(Problem::new("line-number-missing", message, read.part.at.as_str()));
    }
    problems.len() == before
}

fn short_reason(first: &Segment, at: &str, problems: &mut Vec<Problem>) -> Option<ShortReason> {
    let reason = status::reason(first.element(1));
    if reason.is_none() {
        let message = format!(
            "the status does not say what becomes of what was not shipped; expected one of {}",
            status::known()
        );
        problem(problems, "unknown-status", &message, at, 1);
    }
    reason
}

fn unit(first: &Segment, at: &str, problems: &mut Vec<Problem>) -> String {
    let unit = first.element(5);
    if !(2..=3).contains(&unit.len()) || !unit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        problem(problems, "unit-missing", "W1205 is no unit; expected a unit of measure such as `EA`", at, 5);
    }
    unit.to_owned()
}

fn quantity(first: &Segment, element: usize, unit: &str, at: &str, problems: &mut Vec<Problem>) -> Option<Quantity> {
    let text = Some(first.element(element)).filter(|text| !text.is_empty())?;
    match money::quantity(text, unit) {
        Ok(quantity) if quantity.value >= 0 => Some(quantity),
        Ok(_) => {
            problem(problems, "bad-quantity", "found a quantity below zero; expected zero or more", at, element);
            None
        }
        Err(error) => {
            problem(problems, "bad-quantity", &error.to_string(), at, element);
            None
        }
    }
}

/// The seller's item number of W12, else its U.P.C. case code.
fn item(first: &Segment, at: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let named = |wanted: &&str| ITEM_PAIRS.into_iter().find(|(qualifier, _)| first.element(*qualifier) == *wanted);
    let place = SELLER_NUMBERS.iter().find_map(named).map_or(6, |(_, number)| number);
    if first.element(place).is_empty() {
        let message = "W12 names no item of ours; expected a qualifier such as `VN` and a number";
        problem(problems, "item-missing", message, at, 7);
    }
    first.identifier(place, at, problems)
}

/// N9*LI, else LX01, else the line's place.
fn number(part: &Part<'_>, problems: &mut Vec<Problem>) -> String {
    let own = references(part, "LI").next().and_then(|segment| segment.identifier(2, &part.at, problems));
    let assigned = part.assigned.filter(|_| own.is_none());
    own.or_else(|| assigned?.identifier(1, "LX", problems)).unwrap_or_else(|| part.index.to_string())
}

/// N9*LT or W1209. Two lots of one W12 would leave open how much was of which.
fn lot(part: &Part<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    let stated = part.first.identifier(9, &part.at, problems);
    let mut lots: Vec<String> = stated.into_iter().collect();
    for reference in references(part, "LT") {
        lots.extend(reference.identifier(2, &part.at, problems));
    }
    lots.dedup();
    if lots.len() > 1 {
        let message = "the line names several lots; expected one, send a W12 for each";
        problem(problems, "several-lots", message, &part.at, 9);
    }
    lots.pop()
}

fn serials(part: &Part<'_>, problems: &mut Vec<Problem>) -> Vec<String> {
    references(part, "SE").filter_map(|segment| segment.identifier(2, &part.at, problems)).collect()
}

fn references<'a>(part: &Part<'a>, qualifier: &'static str) -> impl Iterator<Item = &'a Segment> + use<'a> {
    part.rest.iter().filter(move |segment| segment.tag() == "N9" && segment.element(1) == qualifier)
}

/// Whether a segment of a line has a field, or says only what the item is called.
pub(crate) fn has_field(segment: &Segment) -> bool {
    match segment.tag() {
        "N9" => matches!(segment.element(1), "LI" | "LT" | "SE"),
        tag => tag == "G69",
    }
}

fn scaled(quantity: &Quantity) -> i128 {
    scaled_of(quantity.value, quantity.scale)
}

/// A number with the most places that there are; 2^63 × 10^9 fits.
pub(crate) fn scaled_of(units: i64, scale: u8) -> i128 {
    i128::from(units).saturating_mul(10_i128.saturating_pow(u32::from(SCALE.saturating_sub(scale))))
}

fn problem(problems: &mut Vec<Problem>, code: &str, message: &str, at: &str, element: usize) {
    problems.push(Problem::new(code, message, format!("{at}/{element:02}")));
}

/// The number without zeros behind the point.
pub(crate) fn plain(scaled: i128) -> String {
    let places = 10_i128.saturating_pow(u32::from(SCALE));
    let (whole, part) = (scaled / places, (scaled % places).abs());
    let text = format!("{whole}.{part:0>9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
