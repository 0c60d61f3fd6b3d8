//! One line of a purchase order: PO1 and what follows it up to the next PO1.
//!
//! ```text
//! PO1*1*5*EA*12.50*PE*VP*SKU-1*BP*4711*UP*012345678905
//!     │ │ │  │     │  └ pairs of qualifier and item number
//!     │ │ │  │     └ basis of the price: each, per ten, hundred, thousand; others are refused
//!     │ │ │  └ unit price     └ … in PO106 and after
//!     │ │ └ unit of measure
//!     │ └ quantity
//!     └ line number
//! ```
//!
//! A POC of a change has the same elements in other places, see [`crate::form`].

use portreeve_guest_x12::clock;
use portreeve_guest_x12_document::{Segment, keep};
use portreeve_sdk::transformer::*;

use crate::form::LineForm;
use crate::order::EXTENSIONS_MAX;

/// Codes of PO105 that price one unit of PO103: by each or by the unit of measure,
/// or only naming where the price comes from (contract, catalogue, quotation).
const PER_UNIT: [&str; 13] = ["", "PE", "UM", "TE", "CT", "CA", "LE", "NT", "QE", "QT", "ST", "WE", "WH"];

/// Item numbers of the seller, best first: vendor's number, its catalogue
/// number, stock keeping unit, then the codes that both sides know.
const SELLER_NUMBERS: [&str; 9] = ["VP", "VN", "VC", "SK", "MG", "UP", "UA", "UK", "EN"];

/// Item numbers of the buyer.
const BUYER_NUMBERS: [&str; 4] = ["BP", "IN", "CB", "PI"];

/// Reads the line that `first` (a PO1 or POC) starts; `index` counts lines from 1.
pub(crate) fn read(
    form: &'static LineForm,
    first: &Segment,
    rest: &[Segment],
    index: usize,
    currency: &str,
) -> Result<OrderLine, Vec<Problem>> {
    let mut problems = Problems { form, index, found: vec![] };
    let quantity = quantity(first, &mut problems);
    let unit_price = unit_price(first, currency, &mut problems);
    let (sku, buyer_sku) = item_numbers(first, &mut problems);
    let (Some(quantity), Some(unit_price), Some(sku)) = (quantity, unit_price, sku) else {
        return Err(problems.found);
    };
    let mut line = OrderLine {
        number: first.filled(1).unwrap_or_else(|| index.to_string()),
        sku,
        buyer_sku,
        description: None,
        quantity,
        unit_price,
        extended: None,
        requested_delivery: None,
        extensions: other_numbers(first, &mut problems),
    };
    for segment in rest {
        detail(&mut line, segment, &mut problems);
    }
    if problems.found.is_empty() { Ok(line) } else { Err(problems.found) }
}

/// Line numbers name lines in answers and holds, so they occur once.
pub(crate) fn check_numbers(tag: &str, lines: &[OrderLine], problems: &mut Vec<Problem>) {
    let mut numbers: Vec<&str> = lines.iter().map(|line| line.number.as_str()).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| pair.first() == pair.last()) {
        let message = "a line number occurs twice; expected each once in an order";
        problems.push(Problem::new("line-number-twice", message, format!("{tag}/01")));
    }
}

struct Problems {
    form: &'static LineForm,
    index: usize,
    found: Vec<Problem>,
}

impl Problems {
    fn add(&mut self, code: &str, message: &str, element: usize) {
        let line = self.line();
        let path = if element == 0 { line } else { format!("{line}/{element:02}") };
        self.found.push(Problem::new(code, message, path));
    }

    /// A problem of an element that is empty.
    fn missing(&mut self, code: &str, expected: &str, element: usize) {
        let message = format!("{}{element:02} is empty; expected {expected}", self.form.tag);
        self.add(code, &message, element);
    }

    fn line(&self) -> String {
        format!("{}[{}]", self.form.tag, self.index)
    }
}

fn quantity(first: &Segment, problems: &mut Problems) -> Option<Quantity> {
    let unit = first.element(problems.form.unit);
    if unit.is_empty() {
        problems.missing("unit-missing", "a unit of measure such as `EA`", problems.form.unit);
    }
    match money::quantity(first.element(problems.form.quantity), unit) {
        Ok(quantity) => Some(quantity),
        Err(error) => {
            problems.add("bad-quantity", &error.to_string(), problems.form.quantity);
            None
        }
    }
}

/// A basis that is not known is never read as one unit: a price per hundred feet
/// would be charged a hundredfold.
fn unit_price(first: &Segment, currency: &str, problems: &mut Problems) -> Option<UnitPrice> {
    let LineForm { price, basis, .. } = *problems.form;
    let per_quantity = match first.element(basis) {
        "PN" => 10,
        "HP" => 100,
        "TP" => 1_000,
        code if PER_UNIT.contains(&code) => 1,
        _ => {
            let message = "the basis of the price is none that is handled; expected a price per unit (PE, UM, TE, CT, \
                           CA, LE, NT, QE, QT, ST, WE, WH), per ten (PN), hundred (HP) or thousand (TP)";
            problems.add("price-basis", message, basis);
            return None;
        }
    };
    if first.element(price).is_empty() {
        problems.missing("price-missing", "the price", price);
        return None;
    }
    match money::unit_price(first.element(price), currency, per_quantity) {
        Ok(price) => Some(price),
        Err(error) => {
            problems.add("bad-price", &error.to_string(), price);
            None
        }
    }
}

/// Qualifier and number of each pair.
fn pairs(first: &Segment, from: usize) -> impl Iterator<Item = (&str, &str)> {
    (from..=first.len())
        .step_by(2)
        .map(|at| (first.element(at), first.element(at + 1)))
        .filter(|(qualifier, number)| !qualifier.is_empty() && !number.is_empty())
}

fn number_of<'a>(first: &'a Segment, from: usize, qualifiers: &[&str]) -> Option<&'a str> {
    qualifiers.iter().find_map(|wanted| pairs(first, from).find(|(found, _)| found == wanted)).map(|(_, number)| number)
}

fn item_numbers(first: &Segment, problems: &mut Problems) -> (Option<String>, Option<String>) {
    let LineForm { tag, items_from, .. } = *problems.form;
    let seller = number_of(first, items_from, &SELLER_NUMBERS).map(str::to_owned);
    let buyer = number_of(first, items_from, &BUYER_NUMBERS).map(str::to_owned);
    match (seller, buyer) {
        (Some(sku), buyer) => (Some(sku), buyer),
        // Only the buyer's own number: the host's validation says whether it is known.
        (None, Some(own)) => (Some(own), None),
        (None, None) => {
            let message = format!("{tag} names no item; expected a qualifier such as `VP` and a number");
            problems.add("item-missing", &message, items_from);
            (None, None)
        }
    }
}

/// The item numbers that became neither the line's nor the buyer's.
fn other_numbers(first: &Segment, problems: &mut Problems) -> Vec<Extension> {
    let (from, line) = (problems.form.items_from, problems.line());
    let used = [number_of(first, from, &SELLER_NUMBERS), number_of(first, from, &BUYER_NUMBERS)];
    let mut extensions = Vec::new();
    for (qualifier, number) in pairs(first, from).filter(|(_, number)| !used.contains(&Some(*number))) {
        let name = format!("x12:PO1:{qualifier}");
        problems.found.extend(keep(&mut extensions, EXTENSIONS_MAX, &name, number, &line));
    }
    extensions
}

fn detail(line: &mut OrderLine, segment: &Segment, problems: &mut Problems) {
    match segment.tag() {
        "PID" if line.description.is_none() => line.description = segment.filled(5),
        "DTM" if segment.element(1) == "002" => match clock::date(segment.element(2)) {
            Some((year, month, day)) => line.requested_delivery = Some(Date { year, month, day }),
            None => problems.add("bad-date", "the line's DTM02 is not a date of the calendar", 0),
        },
        "CUR" if !["", line.unit_price.currency.as_str()].contains(&segment.element(2)) => {
            let message = "the line is in another currency than the order; expected one for all, send an order of each";
            problems.add("line-currency", message, 0);
        }
        "AMT" if segment.element(1) == "1" => {
            let currency = &line.unit_price.currency;
            match money::from_major(segment.element(2), currency, money::minor_digits(currency)) {
                Ok(amount) => line.extended = Some(amount),
                Err(error) => problems.add("bad-amount", &error.to_string(), 0),
            }
        }
        // The goods of the line would go to the header's ship-to.
        "N1" if segment.element(1) == "ST" => {
            let message = "the line has a ship-to of its own; expected one for the order, send an order per place";
            problems.add("line-ship-to", message, 0);
        }
        "SDQ" => {
            let message = "the line is shared out over several places; expected one, send an order per place";
            problems.add("line-destinations", message, 0);
        }
        "SAC" if segment.is_money() => {
            let message = "the line has an allowance or charge; expected its price to be net of it";
            problems.add("allowance-or-charge", message, 0);
        }
        _ => {
            let at = problems.line();
            problems.found.extend(segment.keep(&mut line.extensions, EXTENSIONS_MAX, &at));
        }
    }
}
