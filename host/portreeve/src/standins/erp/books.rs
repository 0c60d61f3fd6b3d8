//! The ERP's books: open sales orders, what was posted of them, and what is in stock.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::Instant;
use portreeve_model::value::Decimal;

use super::answer::Refusal;
use super::asked::{Change, Checked, Line, LineType, charged};
use super::posting::{Document, money};
use super::subscribing::Subscriptions;
use super::{SalesOrder, SalesOrderLine};
use crate::standins::amount::Amount;

/// Documents that are kept, doubles included, and things whose attempts are counted. A
/// sender in a loop meets a refusal before the process runs out of memory. A benchmark has a million
/// orders, each of two lines.
pub(super) const DOCUMENTS_MAX: usize = 4_000_000;

/// Lines that are kept over all documents: less than 1 GB.
pub(super) const LINES_TOTAL_MAX: usize = 4_000_000;

/// The first number that is given to a sales order.
const NUMBER_FIRST: usize = 101_001;

/// Everything that the ERP knows.
#[derive(Debug)]
pub(super) struct Books {
    /// By the figure in their numbers, which is in their ids and those of their lines.
    pub(super) orders: BTreeMap<usize, Order>,
    /// Those that it lost without a word.
    pub(super) lost: BTreeMap<usize, Order>,
    /// How many there ever were: a number is given once.
    pub(super) made: usize,
    pub(super) invoices: Vec<Document>,
    /// Orders and invoices by the external number that they have, so that whoever asks for those of
    /// one order does not wait for all others to be looked at. An order that is gone stays in it.
    pub(super) named: Named,
    /// Drafts as well.
    pub(super) memos: Vec<Document>,
    /// How many of them were posted.
    pub(super) memos_posted: usize,
    pub(super) stock: BTreeMap<String, Amount>,
    /// In which unit items are counted, where it is another one than `EA`.
    pub(super) units: BTreeMap<String, String>,
    pub(super) lines_total: usize,
    attempts: BTreeMap<(&'static str, String), u32>,
    /// What mischief follows from beside what is tried.
    pub(super) seed: Option<u64>,
    /// What the clock says.
    pub(super) now: Instant,
    /// Whether that is a clock that it was given.
    pub(super) has_clock: bool,
    /// The time of the last posting.
    posted_at: Option<Instant>,
    /// What was posted, as notifications name it, with the time.
    pub(super) changes: Vec<(String, Instant)>,
    /// Rows of a page of sales orders at most; as many as are asked for, where nothing is said.
    pub(super) rows_max: Option<usize>,
    /// Orders by their external numbers, whose documents are in no list yet of what changed.
    pub(super) late: BTreeSet<String>,
    pub(super) subscriptions: Subscriptions,
}

/// Which orders and invoices have an external number; it is nobody's alone, as in the original.
#[derive(Debug, Default)]
pub(super) struct Named {
    orders: BTreeMap<String, Vec<usize>>,
    invoices: BTreeMap<String, Vec<usize>>,
}

/// A sales order that is not posted whole yet.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) company: &'static str,
    pub(super) external_document_number: String,
    pub(super) number: String,
    pub(super) customer_number: String,
    pub(super) currency_code: String,
    pub(super) lines: Vec<OrderLine>,
    /// Hundredths, of which so many are on invoices.
    pub(super) discount: i128,
    pub(super) discount_taken: i128,
    pub(super) total: Decimal,
    version: u32,
    /// When it was changed last, by the ERP's clock.
    pub(super) modified: Instant,
}

/// A line of it.
#[derive(Debug)]
pub(super) struct OrderLine {
    pub(super) line: Line,
    /// What the next posting ships and invoices.
    pub(super) ship: Amount,
    /// What was shipped and invoiced.
    pub(super) shipped: Amount,
    version: u32,
}

/// 2026-03-02T08:00:00Z, when the stories of the tests begin.
const MORNING: Instant = Instant(1_772_438_400_000);

impl Default for Books {
    fn default() -> Self {
        Self {
            orders: BTreeMap::new(),
            lost: BTreeMap::new(),
            made: 0,
            invoices: Vec::new(),
            named: Named::default(),
            memos: Vec::new(),
            memos_posted: 0,
            stock: BTreeMap::new(),
            units: BTreeMap::new(),
            lines_total: 0,
            attempts: BTreeMap::new(),
            seed: None,
            now: MORNING,
            has_clock: false,
            posted_at: None,
            changes: Vec::new(),
            late: BTreeSet::new(),
            subscriptions: Subscriptions::default(),
            rows_max: None,
        }
    }
}

impl Books {
    /// How often something was tried before.
    pub(super) fn attempt(&mut self, company: &'static str, about: &str) -> Result<u32, Refusal> {
        let key = (company, about.to_owned());
        if self.attempts.len() >= DOCUMENTS_MAX && !self.attempts.contains_key(&key) {
            return Err(Refusal::full());
        }
        let count = self.attempts.entry(key).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        Ok(before)
    }

    /// What was tried, and how often.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (&str, u32)> {
        self.attempts.iter().map(|((_, about), count)| (about.as_str(), *count))
    }

    /// How an attempt is called. In the run of a seed by the sender's number of the document, with
    /// the part of the id that tells lines apart: ids follow from who came first.
    pub(super) fn called(&self, (about, id): (&str, Option<&str>)) -> String {
        let named = id.filter(|_| self.seed.is_some()).and_then(|id| Some((id, self.document(id)?)));
        let Some((id, document)) = named else { return about.to_owned() };
        about.replace(id, &format!("{} of {document}", id.split('-').next().unwrap_or_default()))
    }

    /// The sender's number of the document that an id is of, or the id of a line of it.
    fn document(&self, id: &str) -> Option<&str> {
        let figure = figure(id)?;
        let memo = || self.memos.get(figure).filter(|memo| memo.id() == id);
        let of_memo = || memo().map(|memo| memo.external_document_number.as_str());
        self.orders.get(&figure).map(|order| order.external_document_number.as_str()).or_else(of_memo)
    }

    /// The time of a posting. By a clock that it was given, each has a millisecond of its own, as
    /// where documents are posted one after the other: such a clock may stand still while thousands
    /// are. Where somebody set the time, it is that.
    pub(super) fn posting_time(&mut self) -> Instant {
        if self.has_clock {
            self.now = self.posted_at.map_or(self.now, |last| self.now.max(last.plus_ms(1)));
            self.posted_at = Some(self.now);
        }
        self.now
    }

    pub(super) fn put(&mut self, item: &str, quantity: Amount) {
        let stock = self.stock.entry(item.to_owned()).or_default();
        *stock = stock.plus(quantity);
    }

    pub(super) fn take(&mut self, item: &str, quantity: Amount) {
        let stock = self.stock.entry(item.to_owned()).or_default();
        *stock = stock.less(quantity);
    }

    pub(super) fn stock(&self, item: &str) -> Amount {
        self.stock.get(item).copied().unwrap_or_default()
    }

    /// Counts new lines, where there is room for one more document with them.
    pub(super) fn room(&mut self, documents: usize, lines: usize) -> Result<(), Refusal> {
        let lines_total = self.lines_total.saturating_add(lines);
        if documents >= DOCUMENTS_MAX || lines_total > LINES_TOTAL_MAX {
            return Err(Refusal::full());
        }
        self.lines_total = lines_total;
        Ok(())
    }

    pub(super) fn take_order(&mut self, company: &'static str, asked: Checked) -> Result<&Order, Refusal> {
        self.room(self.orders.len(), asked.lines.len())?;
        let number = NUMBER_FIRST.saturating_add(self.made);
        self.made = self.made.saturating_add(1);
        self.named.orders.entry(asked.external_document_number.clone()).or_default().push(number);
        let order = Order {
            company,
            external_document_number: asked.external_document_number,
            number: format!("S-ORD{number}"),
            customer_number: asked.customer_number,
            currency_code: asked.currency_code,
            lines: asked.lines.into_iter().map(OrderLine::of).collect(),
            discount: asked.discount,
            discount_taken: 0,
            total: asked.total,
            version: 0,
            modified: self.now,
        };
        Ok(self.orders.entry(number).or_insert(order))
    }

    /// The sales orders of an external number that are not posted whole, in the order in which they
    /// were made.
    pub(super) fn orders_of(&self, company: &str, document: &str) -> impl Iterator<Item = &Order> {
        let places = self.named.orders.get(document).into_iter().flatten();
        places.filter_map(move |place| self.orders.get(place)).filter(move |order| order.company == company)
    }

    /// The posted invoices of an external number, in their order.
    pub(super) fn invoices_of(&self, company: &str, document: &str) -> impl Iterator<Item = &Document> {
        let places = self.named.invoices.get(document).into_iter().flatten();
        places.filter_map(move |place| self.invoices.get(*place)).filter(move |invoice| invoice.company == company)
    }

    /// Keeps an invoice that was posted.
    pub(super) fn keep_invoice(&mut self, invoice: Document) {
        let place = self.invoices.len();
        self.named.invoices.entry(invoice.external_document_number.clone()).or_default().push(place);
        self.invoices.push(invoice);
    }

    /// Loses a posted invoice; false where there is none. Those behind it move up.
    pub(super) fn lose_invoice(&mut self, number: &str) -> bool {
        let before = std::mem::take(&mut self.invoices);
        let count = before.len();
        self.named.invoices.clear();
        before.into_iter().filter(|invoice| invoice.number != number).for_each(|invoice| self.keep_invoice(invoice));
        self.invoices.len() < count
    }

    pub(super) fn order_place(&self, company: &str, id: &str) -> Result<usize, Refusal> {
        let is_it =
            |place: &usize| self.orders.get(place).is_some_and(|order| order.company == company && order.id() == id);
        let place = figure(id).filter(is_it);
        place.ok_or_else(|| Refusal::not_found("there is no sales order with this id"))
    }

    fn order(&mut self, company: &str, id: &str) -> Result<&mut Order, Refusal> {
        let place = self.order_place(company, id)?;
        self.orders.get_mut(&place).ok_or_else(Refusal::full)
    }

    /// Lets an order go: it is not wanted, or posted whole.
    pub(super) fn remove(&mut self, place: usize) {
        let lines = self.orders.remove(&place).map_or(0, |order| order.lines.len());
        self.lines_total = self.lines_total.saturating_sub(lines);
    }

    pub(super) fn delete(&mut self, company: &str, id: &str, expected: &str) -> Result<(), Refusal> {
        let place = self.order_place(company, id)?;
        if self.orders.get(&place).is_some_and(|order| ![order.etag().as_str(), "*"].contains(&expected)) {
            return Err(Refusal::changed());
        }
        self.remove(place);
        Ok(())
    }

    /// Takes a line off an order, of which nothing was shipped.
    pub(super) fn delete_line(&mut self, company: &str, id: &str, expected: &str) -> Result<(), Refusal> {
        let now = self.now;
        let unknown = || Refusal::not_found("there is no sales order line with this id");
        let order = figure(id).and_then(|figure| self.orders.get_mut(&figure));
        let order = order.filter(|order| order.company == company).ok_or_else(unknown)?;
        let place = order.lines.iter().position(|line| order.line_id(line) == id).ok_or_else(unknown)?;
        let line = order.lines.get(place).ok_or_else(unknown)?;
        if ![line.etag().as_str(), "*"].contains(&expected) {
            return Err(Refusal::changed());
        }
        if line.shipped != Amount::ZERO {
            let shipped = line.shipped.decimal();
            return Err(Refusal::dialog(format!("You cannot delete a line of which {shipped} was shipped.")));
        }
        order.lines.remove(place);
        order.changed(now);
        self.lines_total = self.lines_total.saturating_sub(1);
        Ok(())
    }

    /// A line more, behind the others.
    pub(super) fn add_line(&mut self, company: &str, id: &str, body: &[u8]) -> Result<(&Order, &OrderLine), Refusal> {
        let last = self.order(company, id)?.lines.iter().map(|line| line.line.sequence).max().unwrap_or_default();
        let line = Line::read(body, last)?;
        if self.order(company, id)?.lines.iter().any(|known| known.line.sequence == line.sequence) {
            return Err(Refusal::invalid(format!("sequence {} is there already", line.sequence)));
        }
        self.room(0, 1)?;
        let now = self.now;
        let order = self.order(company, id)?;
        order.lines.push(OrderLine::of(line));
        order.changed(now);
        let order = &*order;
        Ok((order, order.lines.last().ok_or_else(Refusal::full)?))
    }

    /// Changes a line of any order, or of the one that is named.
    pub(super) fn change_line(
        &mut self,
        company: &str,
        (order_id, line_id): (Option<&str>, &str),
        expected: &str,
        change: Change,
    ) -> Result<(&Order, &OrderLine), Refusal> {
        let now = self.now;
        let unknown = || Refusal::not_found("there is no sales order line with this id");
        let is_it = |order: &&mut Order| order.company == company && order_id.is_none_or(|id| order.id() == id);
        let order = figure(line_id).and_then(|figure| self.orders.get_mut(&figure));
        let order = order.filter(is_it).ok_or_else(unknown)?;
        let place = order.lines.iter().position(|line| order.line_id(line) == line_id).ok_or_else(unknown)?;
        order.lines.get_mut(place).ok_or_else(unknown)?.change(expected, change)?;
        order.changed(now);
        let order = &*order;
        Ok((order, order.lines.get(place).ok_or_else(unknown)?))
    }
}

impl Order {
    /// The original's ids are random; one that follows from the number can be repeated.
    pub(super) fn id(&self) -> String {
        format!("00000000-0000-4000-8000-{:0>12}", self.digits())
    }

    pub(super) fn line_id(&self, line: &OrderLine) -> String {
        format!("{:08x}-0000-4000-9000-{:0>12}", line.line.sequence, self.digits())
    }

    fn digits(&self) -> &str {
        self.number.trim_start_matches(|c: char| !c.is_ascii_digit())
    }

    pub(super) fn etag(&self) -> String {
        format!("W/\"{}.{}\"", self.number, self.version)
    }

    pub(super) fn changed(&mut self, now: Instant) {
        self.version = self.version.saturating_add(1);
        self.modified = now;
    }

    /// What it charges without tax by its lines as they are now.
    pub(super) fn charges(&self) -> Decimal {
        let lines =
            self.lines.iter().map(|line| charged(&line.line.quantity, &line.line.unit_price).unwrap_or_default());
        money(lines.sum::<i128>().saturating_sub(self.discount))
    }

    /// The order as others see it.
    pub(super) fn shown(&self) -> SalesOrder {
        let items = self.lines.iter().filter(|line| line.line.line_type == LineType::Item);
        SalesOrder {
            company: self.company,
            external_document_number: self.external_document_number.clone(),
            number: self.number.clone(),
            customer_number: self.customer_number.clone(),
            lines: items.map(OrderLine::shown).collect(),
            total: self.total,
        }
    }
}

impl OrderLine {
    /// As with the original's default, the next posting ships all of it.
    fn of(line: Line) -> Self {
        Self { ship: Amount::of(&line.quantity), shipped: Amount::ZERO, line, version: 0 }
    }

    pub(super) fn etag(&self) -> String {
        format!("W/\"{}.{}\"", self.line.sequence, self.version)
    }

    pub(super) fn outstanding(&self) -> Amount {
        Amount::of(&self.line.quantity).minus(self.shipped)
    }

    fn shown(&self) -> SalesOrderLine {
        SalesOrderLine {
            line_number: line_number(self.line.sequence),
            item_number: self.line.object.clone(),
            quantity: self.line.quantity,
            shipped: self.shipped.decimal(),
            unit_price: self.line.unit_price,
            unit: self.line.unit.clone(),
        }
    }

    fn change(&mut self, expected: &str, change: Change) -> Result<(), Refusal> {
        if ![self.etag().as_str(), "*"].contains(&expected) {
            return Err(Refusal::changed());
        }
        let has_numbers = [change.quantity, change.price, change.ship].iter().any(Option::is_some);
        if self.line.line_type == LineType::Comment && has_numbers {
            return Err(Refusal::invalid("a comment has no quantity and no price".to_owned()));
        }
        if change.object.as_ref().is_some_and(|object| *object != self.line.object) && self.shipped != Amount::ZERO {
            let shipped = self.shipped.decimal();
            return Err(Refusal::dialog(format!(
                "You cannot change the item of a line of which {shipped} was shipped."
            )));
        }
        if let Some(price) = change.price.filter(|price| price.units < 0) {
            return Err(Refusal::invalid(format!("unitPrice is {price}; it must be 0 or more")));
        }
        if let Some(quantity) = change.quantity {
            if quantity.units <= 0 || Amount::of(&quantity) < self.shipped {
                let shipped = self.shipped.decimal();
                return Err(Refusal::dialog(format!("quantity must not be less than {shipped}, which was shipped")));
            }
            self.line.quantity = quantity;
            self.ship = self.outstanding();
        }
        if let Some(ship) = change.ship {
            // The original's words: "You cannot ship more than %1 units."
            if ship.units < 0 || Amount::of(&ship) > self.outstanding() {
                let most = self.outstanding().decimal();
                return Err(Refusal::dialog(format!("You cannot ship more than {most} units.")));
            }
            self.ship = Amount::of(&ship);
        }
        if let Some(object) = change.object {
            // The original takes the item's own price with it; here items have none.
            self.line.object = object;
            self.line.unit_price = Decimal { units: 0, scale: 0 };
        }
        if let Some(unit) = change.unit {
            self.line.unit = unit;
        }
        if let Some(price) = change.price {
            self.line.unit_price = price;
        }
        if let Some(description) = change.description.filter(|_| self.line.line_type == LineType::Comment) {
            self.line.description = description;
        }
        self.posted();
        Ok(())
    }

    /// It is another one than before.
    pub(super) fn posted(&mut self) {
        self.version = self.version.saturating_add(1);
    }
}

/// The figure at the end of an id: that of an order also in the ids of its lines.
pub(super) fn figure(id: &str) -> Option<usize> {
    id.rsplit('-').next()?.parse().ok()
}

/// The order's own number of a line: the transformer `business-central` makes the ERP's out
/// of it, ten times as high.
pub(super) fn line_number(sequence: u32) -> String {
    (sequence / 10).to_string()
}
