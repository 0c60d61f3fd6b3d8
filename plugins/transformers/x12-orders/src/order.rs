//! The order around its lines: header, parties, dates, terms, totals.
//!
//! Segments before the first PO1 (in a change, POC) belong to the header, those up to CTT to a
//! line, and the rest to the end. An N1 opens a party that the N2, N3, N4 and
//! PER after it complete.

use portreeve_guest_x12::clock;
use portreeve_guest_x12_document::{Place, Segment, keep, listed, no_address};
use portreeve_sdk::transformer::*;

use crate::form::PurchaseOrder;
use crate::item;

/// Extensions of one order or line. An order of unknown segments only would
/// otherwise become an event several times its size.
pub(crate) const EXTENSIONS_MAX: usize = 64;

/// Reads a whole order.
///
/// # Errors
/// `invalid` with every problem that was found.
pub(crate) fn read(document: &PurchaseOrder, currency: Option<&str>) -> Result<Order, Failure> {
    let number = document.order_number()?;
    let mut reader = Reader::new(document, number, document.set.currency(document.form.line.tag, currency)?);
    let segments = &document.set.segments;
    let first_line = segments.iter().position(|segment| segment.tag() == document.form.line.tag);
    let header_end = first_line.unwrap_or(segments.len());
    let end = segments.iter().position(|segment| segment.tag() == "CTT").unwrap_or(segments.len());
    reader.header(segments.get(..header_end.min(end)).unwrap_or_default());
    reader.lines(segments.get(header_end..end).unwrap_or_default());
    reader.end(segments.get(end..).unwrap_or_default());
    reader.finish()
}

/// Which party the segments after an N1 complete.
#[derive(Clone, Copy, PartialEq)]
enum Party {
    None,
    Buyer,
    BillTo,
    ShipTo,
    Other,
}

struct Reader<'a> {
    document: &'a PurchaseOrder,
    order: Order,
    buyer: Address,
    party: Party,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a PurchaseOrder, number: String, currency: String) -> Self {
        let placed = clock::date(document.placed());
        let id = document.set.sender_id().to_owned();
        let mut extensions = Vec::new();
        let mut problems = Vec::new();
        problems.extend(keep(&mut extensions, EXTENSIONS_MAX, "x12:version", &document.set.version, "GS/08"));
        if document.set.usage != "P" {
            problems.extend(keep(&mut extensions, EXTENSIONS_MAX, "x12:usage", &document.set.usage, "ISA/15"));
        }
        let order = Order {
            number,
            release: document.begin().and_then(|begin| begin.filled(4)),
            customer: Customer { id, name: None, email: None, phone: None },
            bill_to: None,
            ship_to: None,
            placed_at: placed.map(|(year, month, day)| clock::midnight_ms(year, month, day)),
            requested_delivery: None,
            cancel_after: None,
            currency,
            lines: vec![],
            totals: OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand: None },
            payment: Some(on_account()),
            sender_state: None,
            notes: vec![],
            extensions,
        };
        Self { document, order, buyer: no_address(), party: Party::None, problems }
    }

    fn header(&mut self, segments: &[Segment]) {
        for segment in segments {
            match segment.tag() {
                "BEG" | "BCH" | "CUR" => {}
                "DTM" => self.date(segment),
                "ITD" => self.terms(segment),
                "MSG" => self.order.notes.extend(segment.filled(1)),
                "AMT" => self.amount(segment),
                "PER" => self.contact(segment),
                "N1" => self.party(segment),
                "N2" | "N3" | "N4" => self.place(segment),
                "SAC" if segment.is_money() => self.charge(),
                _ => self.keep(segment),
            }
        }
    }

    fn lines(&mut self, segments: &[Segment]) {
        let form = &self.document.form.line;
        let mut index = 0;
        let mut rest = segments;
        while let Some((first, after)) = rest.split_first() {
            let length = after.iter().position(|segment| segment.tag() == form.tag).unwrap_or(after.len());
            let (line, next) = after.split_at(length);
            index += 1;
            match item::read(form, first, line, index, &self.order.currency) {
                Ok(line) => self.order.lines.push(line),
                Err(problems) => self.problems.extend(problems),
            }
            rest = next;
        }
    }

    fn end(&mut self, segments: &[Segment]) {
        for segment in segments {
            match segment.tag() {
                "CTT" => self.count(segment),
                "AMT" => self.amount(segment),
                "SAC" if segment.is_money() => self.charge(),
                _ => self.keep(segment),
            }
        }
    }

    /// An allowance or charge changes what is to be paid, and has no field.
    fn charge(&mut self) {
        let message = "the order has an allowance or charge; expected prices that are net of it";
        self.problem("allowance-or-charge", message, "SAC");
    }

    fn keep(&mut self, segment: &Segment) {
        self.problems.extend(segment.keep(&mut self.order.extensions, EXTENSIONS_MAX, segment.tag()));
    }

    /// DTM: the first date of a kind counts, partners repeat them.
    fn date(&mut self, segment: &Segment) {
        let Some(read) = clock::date(segment.element(2)) else {
            return self.problem("bad-date", "DTM02 is not a date of the calendar", "DTM/02");
        };
        let day = Date { year: read.0, month: read.1, day: read.2 };
        match segment.element(1) {
            "002" => self.order.requested_delivery = self.order.requested_delivery.or(Some(day)),
            "001" | "177" => self.order.cancel_after = self.order.cancel_after.or(Some(day)),
            _ => self.keep(segment),
        }
    }

    /// ITD: the terms' own words, else the net days.
    fn terms(&mut self, segment: &Segment) {
        let terms = segment.filled(12).or_else(|| segment.filled(7).map(|days| format!("NET{days}")));
        if let Some(payment) = self.order.payment.as_mut().filter(|payment| payment.terms.is_none()) {
            payment.terms = terms;
        }
        self.keep(segment);
    }

    fn amount(&mut self, segment: &Segment) {
        let currency = self.order.currency.clone();
        let amount = match money::from_major(segment.element(2), &currency, money::minor_digits(&currency)) {
            Ok(amount) => Some(amount),
            Err(error) => return self.problem("bad-amount", &error.to_string(), "AMT/02"),
        };
        match segment.element(1) {
            "1" => self.order.totals.lines = amount,
            "TT" => self.order.totals.grand = amount,
            _ => self.keep(segment),
        }
    }

    /// CTT: a line that was lost on the way would otherwise go unnoticed.
    fn count(&mut self, segment: &Segment) {
        let found = self.order.lines.len() + self.document.left_out;
        let stated = segment.element(1).parse::<usize>();
        if self.problems.is_empty() && stated.is_ok_and(|stated| stated != found) {
            let message = format!("CTT01 is not the number of lines; counted {found}");
            self.problem("line-count-mismatch", &message, "CTT/01");
        }
    }

    fn party(&mut self, segment: &Segment) {
        if segment.element(1) == "ST" && self.order.ship_to.is_some() {
            let message = "the order names a second ship-to; expected one, send an order per place";
            self.problem("ship-to-twice", message, "N1/01");
        }
        self.party = match segment.element(1) {
            "BY" => Party::Buyer,
            "BT" => Party::BillTo,
            "ST" => Party::ShipTo,
            _ => Party::Other,
        };
        if let Some(address) = self.address() {
            address.add(segment);
        } else {
            self.keep(segment);
        }
    }

    fn place(&mut self, segment: &Segment) {
        match self.address() {
            Some(address) => address.add(segment),
            None => self.keep(segment),
        }
    }

    /// PER of the header or the buyer; a ship-to's contact is no customer.
    fn contact(&mut self, segment: &Segment) {
        if !matches!(self.party, Party::None | Party::Buyer) {
            return self.keep(segment);
        }
        for at in (3..segment.len()).step_by(2) {
            let value = segment.filled(at + 1);
            match segment.element(at) {
                "TE" => self.order.customer.phone = value,
                "EM" => self.order.customer.email = value,
                _ => {}
            }
        }
    }

    /// The address that N2, N3 and N4 complete now.
    fn address(&mut self) -> Option<&mut Address> {
        match self.party {
            Party::Buyer => Some(&mut self.buyer),
            Party::BillTo => Some(self.order.bill_to.get_or_insert_with(no_address)),
            Party::ShipTo => Some(self.order.ship_to.get_or_insert_with(no_address)),
            Party::None | Party::Other => None,
        }
    }

    fn problem(&mut self, code: &str, message: &str, path: &str) {
        self.problems.push(Problem::new(code, message, path));
    }

    fn finish(mut self) -> Result<Order, Failure> {
        if self.order.lines.is_empty() && self.problems.is_empty() {
            let tag = self.document.form.line.tag;
            let message = format!("the order has no lines; expected at least one {tag}");
            self.problem("lines-missing", &message, tag);
        }
        item::check_numbers(self.document.form.line.tag, &self.order.lines, &mut self.problems);
        if !self.problems.is_empty() {
            return Err(Failure::Invalid(listed(self.problems)));
        }
        if let Some(id) = self.buyer.id.take() {
            self.order.customer.id = id;
        }
        self.order.customer.name = self.buyer.name.take();
        Ok(self.order)
    }
}

/// EDI orders are paid by invoice; their terms are in ITD.
fn on_account() -> Payment {
    Payment {
        method: "invoice".to_owned(),
        state: None,
        authorised: None,
        authorisation_expires_at: None,
        issuer_country: None,
        address_check: None,
        terms: None,
    }
}
