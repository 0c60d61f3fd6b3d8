//! Rows: what one system says of each key, as exact numbers with their units.
//!
//! Whatever is compared, a row is the same: a key, numbers by what they are of (on hand, ordered of
//! a line, the total), each with its unit or currency, how far it is, and when it changed. Which
//! event says what of it is `reading`'s.
//!
//! Nothing is guessed. A number keeps its unit or currency, two units are never added up, and
//! what a system says twice in different words is no answer, and neither is what nobody can read: each
//! is a row without numbers, which differs from whatever the other one says. Whatever the order of a list and
//! wherever its pages are cut, the rows of it are the same.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portreeve_model::value::{Decimal, Instant, Quantity};
use portreeve_model::{Currency, Digest, Event, Money, OrderId};
use serde::{Deserialize, Serialize};

use super::aside::{Aside, Stranger, Strangers};
use super::difference::Terms;
use super::reading;
use super::whose::{ByOrder, OrderNamed, Otherwise};

/// Rows of one list. The attack is a list that never ends: it takes the host's memory.
pub const ROWS_MAX: usize = 100_000;

/// Numbers of one list. The attack is a list of few rows with a million lines each.
pub const NUMBERS_MAX: usize = 400_000;

/// The extension of a row that says when it changed last, in milliseconds since 1970. It is not
/// the time that a level is as of: a system may say of everything that it is as of now.
pub(super) const CHANGED_AT: &str = "changed-at";

/// When something changed that is on its way: later than whatever is at rest.
pub(super) const ON_ITS_WAY: Instant = Instant(i64::MAX);

/// What a reconciliation is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// What is on hand of each item, over all places where a system keeps it.
    Stock,
    /// The same for each place by itself: both systems call places alike.
    StockByNode,
    /// Orders that are not over, by their number: how much of each line is ordered and has left, what
    /// they come to without tax, and how far they are. One that is over and in one list only is no
    /// difference, since lists of open orders leave it out.
    Orders,
    /// Posted invoices and credit memos of a time, by their number: what each comes to, and its tax.
    Invoices,
    /// What left in a time, by order and shipment: how much of each line.
    Shipments,
    /// Money that moved in a time: payments by their reference, refunds by order and number.
    Payments,
}

impl Of {
    /// The word in the configuration and in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::StockByNode => "stock-by-node",
            Self::Orders => "orders",
            Self::Invoices => "invoices",
            Self::Shipments => "shipments",
            Self::Payments => "payments",
        }
    }

    /// What one key is.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Stock | Self::StockByNode => "item",
            Self::Orders => "order",
            Self::Invoices => "invoice",
            Self::Shipments => "shipment",
            // Their keys begin with what they are.
            Self::Payments => "",
        }
    }

    /// Whether what is not listed is what there is nothing of.
    #[must_use]
    pub fn is_stock(self) -> bool {
        matches!(self, Self::Stock | Self::StockByNode)
    }

    /// Whether it happens, and lists of it grow: only a time of it can be compared.
    #[must_use]
    pub fn happens(self) -> bool {
        matches!(self, Self::Invoices | Self::Shipments | Self::Payments)
    }

    /// Whether a key of it may be known without the order that it is about.
    pub(super) fn is_known_without_order(self) -> bool {
        matches!(self, Self::Invoices | Self::Payments)
    }

    /// The event that lists of it consist of.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Stock | Self::StockByNode => "inventory.level",
            Self::Orders => "order.created",
            Self::Invoices => "invoice.posted",
            Self::Shipments => "shipment.confirmed",
            Self::Payments => "payment.settled` or `refund.issued",
        }
    }
}

/// What a number is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// All that there is of the key.
    All,
    /// How much of a line is to leave, with what has left.
    Ordered(Line),
    /// How much of a line has left.
    Left(Line),
    /// What it comes to, without tax.
    Net,
    /// What it comes to.
    Total,
    /// The tax in it.
    Tax,
    /// How much money moved.
    Moved,
}

/// A line: of two lists whose lines have other numbers the item alone is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Its number; none where the item alone counts.
    pub number: Option<String>,
    /// Its item.
    pub sku: String,
}

impl Figure {
    /// Whether a list that does not say it says that there is nothing of it. Of the others it does
    /// not say anything, and there is nothing to compare.
    fn is_counted(&self) -> bool {
        !matches!(self, Self::Net | Self::Tax)
    }

    /// Whether it is an amount, whose unit is a currency.
    fn is_money(&self) -> bool {
        matches!(self, Self::Net | Self::Total | Self::Tax | Self::Moved)
    }

    /// The same of the item, whatever the line's number.
    fn of_the_item(&self) -> Self {
        let of = |line: &Line| Line { number: None, sku: line.sku.clone() };
        match self {
            Self::Ordered(line) => Self::Ordered(of(line)),
            Self::Left(line) => Self::Left(of(line)),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("on hand"),
            Self::Ordered(line) => write!(f, "ordered of {line}"),
            Self::Left(line) => write!(f, "left of {line}"),
            Self::Net => f.write_str("in total without tax"),
            Self::Total => f.write_str("in total"),
            Self::Tax => f.write_str("of tax"),
            Self::Moved => f.write_str("moved"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.sku.escape_debug())?;
        match &self.number {
            Some(number) => write!(f, " on line {}", number.escape_debug()),
            None => Ok(()),
        }
    }
}

/// How far something is, where a list says so. What has several parts is where the first of these is
/// that one of them is at: it is open while any is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Some of it is still to leave.
    Open,
    /// All of it has left that is to.
    Shipped,
    /// Nothing of it has left, and nothing will.
    Cancelled,
    /// The host never gave it to that system.
    NotSent,
}

impl Stage {
    /// The word in lists and sentences.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
            Self::NotSent => "not sent",
        }
    }

    /// That of a word in a list.
    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Open, Self::Shipped, Self::Cancelled].into_iter().find(|stage| stage.as_str() == word)
    }
}

/// A number of something, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Without zeros at the end of its fraction.
    units: i128,
    scale: u8,
}

impl Measure {
    /// Nothing.
    pub(super) const NOTHING: Self = Self { units: 0, scale: 0 };

    /// That of a quantity, without its unit.
    #[must_use]
    pub fn of(quantity: &Quantity) -> Self {
        Self { units: i128::from(quantity.value), scale: quantity.scale }.shortest()
    }

    /// That of an amount, without its currency.
    #[must_use]
    pub fn of_money(money: &Money) -> Self {
        Self { units: i128::from(money.minor), scale: money.currency.minor_digits() }.shortest()
    }

    /// That of a number in digits.
    pub(super) fn of_decimal(decimal: &Decimal) -> Self {
        Self { units: i128::from(decimal.units), scale: decimal.scale }.shortest()
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.units == 0
    }

    /// The sum; none where it has too many digits.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let widened = |measure: &Self| {
            let places = u32::from(scale.saturating_sub(measure.scale));
            measure.units.checked_mul(10_i128.checked_pow(places)?)
        };
        let units = widened(self)?.checked_add(widened(other)?)?;
        Some(Self { units, scale }.shortest())
    }

    /// The same number, written with so many places at least.
    fn with_places(&self, places: u8) -> Self {
        let factor = 10_i128.checked_pow(u32::from(places.saturating_sub(self.scale)));
        let units = factor.and_then(|factor| self.units.checked_mul(factor));
        // One that has no room for zeros is written as it is.
        units.map_or_else(|| self.clone(), |units| Self { units, scale: self.scale.max(places) })
    }

    /// So that equal numbers are equal values.
    fn shortest(mut self) -> Self {
        while self.scale > 0 && self.units % 10 == 0 {
            self = Self { units: self.units / 10, scale: self.scale - 1 };
        }
        self
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.scale);
        let digits = format!("{:0width$}", self.units.unsigned_abs(), width = places.saturating_add(1));
        let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(places)).unwrap_or((&digits, ""));
        let sign = if self.units < 0 { "-" } else { "" };
        let point = if places > 0 { "." } else { "" };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

/// Numbers by unit, those of nothing left out.
pub(super) type Measures = BTreeMap<String, Measure>;

/// What a system has of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Whether it is listed at all.
    pub is_listed: bool,
    figures: BTreeMap<Figure, Measures>,
    /// How far it is, where the system says so.
    pub stage: Option<Stage>,
    /// When it changed last, where the system says so.
    pub changed_at: Option<Instant>,
    /// When it happened, where the system says so.
    pub at: Option<Instant>,
    /// The host's ids of the orders that it is or is about, as far as it names some.
    pub orders: BTreeSet<OrderId>,
    /// What people call it, where that is not the key.
    pub called: Option<String>,
    /// Why nobody can say what the system has of it, in a sentence.
    pub unreadable: Option<String>,
    by_item: bool,
    /// For which orders its money is.
    by_order: ByOrder,
}

impl Cell {
    /// Whether it is what a system that does not list it has of it.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        if self.unreadable.is_some() {
            return false;
        }
        match self.stage {
            Some(stage) => matches!(stage, Stage::Shipped | Stage::Cancelled | Stage::NotSent),
            None => self.figures.is_empty(),
        }
    }

    /// Whether both say how far it is, and not the same.
    #[must_use]
    pub fn is_at_another_stage(&self, other: &Self) -> bool {
        self.stage.zip(other.stage).is_some_and(|(one, other)| one != other)
    }

    /// What both say numbers of, and not the same ones: here and there.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<(Figure, Measures, Measures)> {
        let by_item = self.by_item || other.by_item;
        let (here, there) = (self.compared(by_item), other.compared(by_item));
        let mut differing = Vec::new();
        let figures: BTreeSet<&Figure> = here.keys().chain(there.keys()).collect();
        for figure in figures {
            let (one, two) = (here.get(figure), there.get(figure));
            let both_say = figure.is_counted() || (one.is_some() && two.is_some());
            let (one, two) = (one.cloned().unwrap_or_default(), two.cloned().unwrap_or_default());
            if both_say && one != two {
                differing.push((figure.clone(), one, two));
            }
        }
        differing
    }

    /// Its numbers as they are compared.
    fn compared(&self, by_item: bool) -> Cow<'_, BTreeMap<Figure, Measures>> {
        if !by_item {
            return Cow::Borrowed(&self.figures);
        }
        let mut folded = BTreeMap::<Figure, Measures>::new();
        for (figure, measures) in &self.figures {
            let of_item = folded.entry(figure.of_the_item()).or_default();
            for (unit, measure) in measures {
                // A sum with too many digits is as good as the first of its parts: both sides have it.
                let sum = of_item.get(unit).map_or(Some(measure.clone()), |before| before.plus(measure));
                of_item.insert(unit.clone(), sum.unwrap_or_else(|| measure.clone()));
            }
        }
        Cow::Owned(folded)
    }

    /// What it comes to, where it is money.
    pub(super) fn money(&self) -> Option<&Measures> {
        self.figures.get(&Figure::Moved).or_else(|| self.figures.get(&Figure::Total))
    }

    /// Where both say for which orders the money is, and contradict each other.
    pub(super) fn otherwise<'a>(&'a self, other: &'a Self) -> Option<Otherwise<'a>> {
        self.by_order.otherwise(&other.by_order)
    }

    fn add(&mut self, part: &Part) -> Result<(), Unusable> {
        self.is_listed = true;
        for Number { figure, measure, unit } in &part.numbers {
            let measures = self.figures.entry(figure.clone()).or_default();
            let of_unit = measures.entry(unit.clone()).or_insert(Measure::NOTHING);
            *of_unit = of_unit.plus(measure).ok_or(Unusable::TooLarge)?;
        }
        self.stage = self.stage.into_iter().chain(part.stage).min();
        self.changed_at = self.changed_at.max(part.changed_at);
        self.at = self.at.max(part.at);
        self.orders.extend(part.order);
        self.called = self.called.take().or_else(|| part.called.clone());
        self.unreadable = self.unreadable.take().or_else(|| part.unreadable.clone());
        self.by_item |= part.by_item;
        if let Some(of_part) = part.by_order() {
            // Of nothing yet, anything can be added up.
            let before = std::mem::take(&mut self.by_order);
            self.by_order = before.and(of_part).ok_or(Unusable::TooLarge)?;
        }
        Ok(())
    }

    /// Names for which orders its money is.
    pub(super) fn orders_digest(&self) -> Digest {
        self.by_order.digest()
    }

    /// Names all that it says, what no sentence has room for as well.
    pub(super) fn digest(&self) -> Digest {
        let stage = self.stage.map_or("", Stage::as_str).to_owned();
        let numbers = self.figures.iter().map(|(figure, measures)| format!("{} {figure}", InWords::Counted(measures)));
        let unreadable = self.unreadable.iter().cloned();
        let said: Vec<String> =
            [stage, self.is_listed.to_string()].into_iter().chain(numbers).chain(unreadable).collect();
        Digest::of_parts(&said.iter().map(String::as_bytes).collect::<Vec<_>>())
    }

    /// Numbers of nothing are none; that a list says of an amount that it is nothing, it says.
    fn settle(&mut self) {
        for (figure, measures) in &mut self.figures {
            if figure.is_counted() {
                measures.retain(|_, measure| !measure.is_zero());
            }
        }
        self.figures.retain(|_, measures| !measures.is_empty());
    }
}

/// Numbers by unit, in words.
pub(super) enum InWords<'a> {
    /// Each with its own digits, by which it is named.
    Counted(&'a Measures),
    /// Amounts, each with the places of its currency at least.
    Money(&'a Measures),
}

impl<'a> InWords<'a> {
    /// What is said of this.
    pub(super) fn of(figure: &Figure, measures: &'a Measures) -> Self {
        if figure.is_money() { Self::Money(measures) } else { Self::Counted(measures) }
    }
}

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Counted(measures) | Self::Money(measures)) = self;
        if measures.is_empty() {
            return f.write_str("none");
        }
        for (index, (unit, measure)) in measures.iter().enumerate() {
            let and = if index > 0 { " and " } else { "" };
            let places = match self {
                Self::Counted(_) => 0,
                Self::Money(_) => Currency::parse(unit).map_or(0, |currency| currency.minor_digits()),
            };
            write!(f, "{and}{} {}", measure.with_places(places), unit.escape_debug())?;
        }
        Ok(())
    }
}

/// Numbers that a sentence tells of one key: an order may have a thousand lines.
pub(super) const TOLD_MAX: usize = 6;

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(all) = self.figures.get(&Figure::All) {
            return write!(f, "{}", InWords::Counted(all));
        }
        let mut told = Vec::new();
        told.extend(self.stage.map(|stage| stage.as_str().to_owned()));
        let numbers =
            self.figures.iter().map(|(figure, measures)| format!("{} {figure}", InWords::of(figure, measures)));
        told.extend(numbers.take(TOLD_MAX));
        if self.figures.len() > TOLD_MAX {
            told.push("…".to_owned());
        }
        told.extend(self.unreadable.iter().map(|_| "unreadable".to_owned()));
        f.write_str(if told.is_empty() { "none".to_owned() } else { told.join(", ") }.as_str())
    }
}

/// Why a list cannot be compared. Nothing of it is judged then: a list of which a row is missing
/// says of no key what the system has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is too long.
    #[error("found more than {ROWS_MAX} rows, expected {ROWS_MAX} at most; have its connector list a part of them")]
    TooMany,
    /// It has too many numbers.
    #[error(
        "found more than {NUMBERS_MAX} numbers, expected {NUMBERS_MAX} at most; have its connector list a part of them"
    )]
    TooManyNumbers,
    /// It says that it cannot read a row, and nobody can read which.
    #[error("{0}; mend its transformer")]
    Untold(String),
    /// Nobody can read a word of a row.
    #[error("found another `{name}` of `{row}` than {expected}, expected that or none; mend its transformer")]
    Word {
        /// The extension.
        name: &'static str,
        /// Of what.
        row: String,
        /// What it may be.
        expected: &'static str,
    },
    /// It says something else.
    #[error("found `{found}` in a list of {of}, expected `{expected}` alone; name the transformer that makes those", of = .of.as_str(), expected = .of.event())]
    OtherEvent {
        /// The event.
        found: String,
        /// What the list is of.
        of: Of,
    },
    /// Its numbers cannot be added up.
    #[error(
        "found numbers of one key whose sum has more digits than the host counts with, expected real ones; look at the list"
    )]
    TooLarge,
}

impl Unusable {
    /// A stable word.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooMany => "too-many-rows",
            Self::OtherEvent { .. } => "other-event",
            Self::TooManyNumbers => "too-many-numbers",
            Self::Untold(_) => "unreadable-row",
            Self::Word { name, .. } => name,
            Self::TooLarge => "sum-too-large",
        }
    }
}

/// One number of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) figure: Figure,
    pub(super) measure: Measure,
    /// A unit or a currency.
    pub(super) unit: String,
}

/// One row of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) key: String,
    pub(super) numbers: Vec<Number>,
    pub(super) stage: Option<Stage>,
    pub(super) changed_at: Option<Instant>,
    pub(super) at: Option<Instant>,
    pub(super) order: Option<OrderId>,
    /// An order that this host does not have, as the row names it.
    pub(super) stranger: Option<String>,
    pub(super) called: Option<String>,
    /// Why nobody can say more of it than that it is there.
    pub(super) unreadable: Option<String>,
    /// Whether its lines have numbers of their own, which say nothing to anybody else.
    pub(super) by_item: bool,
    /// Whether it is what the host counted, and so for this order and no other.
    pub(super) is_counted: bool,
}

impl Part {
    /// Whether both say the same, whenever that was.
    fn says_as(&self, other: &Self) -> bool {
        self.numbers == other.numbers
            && self.stage == other.stage
            && self.unreadable == other.unreadable
            && self.by_item == other.by_item
    }

    /// Takes the row as a list has it once more. The result is the same whichever came first.
    pub(super) fn again(&mut self, part: Self) {
        if self.says_as(&part) {
            self.changed_at = self.changed_at.max(part.changed_at);
            self.at = self.at.max(part.at);
            self.order = self.order.or(part.order);
            self.called = self.called.take().max(part.called);
            return;
        }
        *self = Self {
            key: part.key,
            changed_at: self.changed_at.max(part.changed_at),
            at: self.at.max(part.at),
            order: self.order.or(part.order),
            unreadable: Some(LISTED_TWICE.to_owned()),
            ..Self::default()
        };
    }

    /// For which order its money is; none of what is no money.
    fn by_order(&self) -> Option<ByOrder> {
        let money = self.numbers.iter().filter(|number| matches!(number.figure, Figure::Moved | Figure::Total));
        let money: Measures = money.map(|number| (number.unit.clone(), number.measure.clone())).collect();
        let named = self.order.map(OrderNamed::Ours).or_else(|| self.stranger.clone().map(OrderNamed::Strange));
        (!money.is_empty()).then(|| ByOrder::of(named, money, self.is_counted))
    }
}

/// Why a row cannot be read that is there twice.
const LISTED_TWICE: &str = "found it twice with different numbers, expected it once: it changed while it was listed, or the list has two of it";

/// What names a row within its list.
pub(super) type RowName = (String, String);

/// The rows of one list while it is read.
#[derive(Debug)]
pub struct Rows {
    of: Of,
    /// Whether only what names an order of this host counts.
    of_this_host: bool,
    parts: BTreeMap<RowName, Part>,
    strangers: Strangers,
    numbers: usize,
}

impl Rows {
    /// None yet.
    #[must_use]
    pub fn new(of: Of) -> Self {
        Self { of, of_this_host: false, parts: BTreeMap::new(), strangers: Strangers::default(), numbers: 0 }
    }

    /// None yet, of what names an order of this host: what others enter beside them is theirs.
    #[must_use]
    pub fn of_this_host(of: Of) -> Self {
        Self { of_this_host: true, ..Self::new(of) }
    }

    /// Whether only what names an order of this host counts.
    pub(super) fn is_of_this_host(&self) -> bool {
        self.of_this_host
    }

    /// Whether the orders that rows are about are compared beside their keys.
    pub(super) fn compares_orders(&self) -> bool {
        self.of.is_known_without_order()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many rows there are, and what is wrong with the first one, where none of more than so many can be
    /// read, whomever they are about.
    pub(super) fn nothing_readable(&self, rows_max: usize) -> Option<(usize, &str)> {
        let count = self.parts.len().saturating_add(self.strangers.len());
        let mut whys = self.parts.values().map(|part| part.unreadable.as_deref()).chain(self.strangers.whys());
        let first = whys.next()??;
        (count > rows_max && whys.all(|why| why.is_some())).then_some((count, first))
    }

    /// The orders that rows name.
    pub(super) fn orders(&self) -> impl Iterator<Item = OrderId> {
        self.parts.values().filter_map(|part| part.order)
    }

    /// Keys that this list has and another one does not, with their orders where rows name one.
    pub(super) fn beside<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, Option<OrderId>)> {
        let keys: BTreeSet<&str> = other.parts.values().map(|part| part.key.as_str()).collect();
        self.parts
            .values()
            .filter(move |part| !keys.contains(part.key.as_str()))
            .map(|part| (part.key.as_str(), part.order))
    }

    /// Takes a row. The same once more changes nothing: pages overlap.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn add(&mut self, event: &Event) -> Result<(), Unusable> {
        self.add_about(event, None)
    }

    /// Takes a row of which the host knows which order it is about.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(super) fn add_about(&mut self, event: &Event, order: Option<OrderId>) -> Result<(), Unusable> {
        let (name, part) = reading::row(self.of, event, order)?;
        // What nobody can read and names no order may be of this host.
        let is_unclear = part.unreadable.is_some() && self.of != Of::Orders && reading::order_named(event).is_none();
        if self.of_this_host && !self.of.is_stock() && part.order.is_none() && !is_unclear {
            let number = match self.of {
                Of::Orders => Some(part.key.clone()),
                _ => reading::order_named(event).map(|(_, number)| number).filter(|number| !number.is_empty()),
            };
            return self.strangers.put(self.of, name, number.map_or(Stranger::Nobody, Stranger::Others), part);
        }
        self.put(name, part)
    }

    /// Takes a row that is about no order of this host, as far as anybody can tell: what it names may look like
    /// the id of one all the same.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(super) fn add_stranger(&mut self, event: &Event, stranger: Stranger) -> Result<(), Unusable> {
        let (name, part) = reading::row(self.of, event, None)?;
        self.strangers.put(self.of, name, stranger, Part { order: None, ..part })
    }

    /// Has what was left aside count where the host knows it by its key: what it says of the order is then
    /// told, or says nothing. Where the list has rows of that key for orders of this host, the others are for
    /// the orders of others.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn take_known(&mut self, own: &Self) -> Result<(), Unusable> {
        let here: BTreeSet<&str> = self.parts.values().map(|part| part.key.as_str()).collect();
        let known = own.parts.values().map(|part| part.key.as_str()).filter(|key| !here.contains(key)).collect();
        for (name, stranger, part) in self.strangers.take(&known) {
            let stranger = match stranger {
                Stranger::Others(number) => Some(number),
                Stranger::Nobody | Stranger::Unresolved(_) => None,
            };
            self.put(name, Part { stranger, ..part })?;
        }
        Ok(())
    }

    /// What is left aside of it, where it is the list of this system.
    pub(super) fn left_aside(&self, system: &str, terms: Terms<'_>) -> Aside {
        self.strangers.left_aside(system, terms)
    }

    /// Takes a row of which nobody knows which of several orders of this host it is about.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(super) fn add_unclear(&mut self, event: &Event, why: String) -> Result<(), Unusable> {
        let (name, part) = reading::row(self.of, event, None)?;
        self.put(name, Part { unreadable: Some(why), order: None, ..part })
    }

    /// Takes a row that names its order by what looks like the host's id and is none: a system's own number.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(super) fn add_nobodys(&mut self, event: &Event) -> Result<(), Unusable> {
        let (name, part) = reading::row(self.of, event, None)?;
        self.put(name, Part { order: None, ..part })
    }

    /// Takes what the host heard of an order at a time. Whatever else is said of when it changed is what
    /// the system said of itself.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(super) fn add_own(
        &mut self,
        event: &Event,
        order: OrderId,
        heard_at: Instant,
        changed_at: Instant,
    ) -> Result<(), Unusable> {
        let (name, part) = reading::row(self.of, event, Some(order))?;
        let part = Part { changed_at: Some(changed_at), at: part.at.or(Some(heard_at)), is_counted: true, ..part };
        // What waits for its turn may have been said more than once by then: it is one and the same.
        if let Some(known) = self.parts.get_mut(&name)
            && known.numbers == part.numbers
        {
            known.changed_at = known.changed_at.max(part.changed_at);
            return Ok(());
        }
        self.put(name, part)
    }

    /// Takes a row that is read already. The same at another time is the same, as of the later one: a charge
    /// may be in a list of movements twice. What a list says twice in different words is no answer: it is a
    /// row that nobody can read, and the others are what they are.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(super) fn put(&mut self, name: RowName, part: Part) -> Result<(), Unusable> {
        let full = self.parts.len() >= ROWS_MAX;
        let numbers = self.numbers.saturating_add(part.numbers.len());
        match self.parts.entry(name) {
            Entry::Occupied(mut known) => {
                known.get_mut().again(part);
                Ok(())
            }
            Entry::Vacant(_) if full => Err(Unusable::TooMany),
            Entry::Vacant(_) if numbers > NUMBERS_MAX => Err(Unusable::TooManyNumbers),
            Entry::Vacant(place) => {
                place.insert(part);
                self.numbers = numbers;
                Ok(())
            }
        }
    }

    /// What the system has of each key.
    ///
    /// # Errors
    /// When it cannot be added up.
    pub fn cells(&self) -> Result<BTreeMap<String, Cell>, Unusable> {
        let mut cells = BTreeMap::<String, Cell>::new();
        for part in self.parts.values() {
            cells.entry(part.key.clone()).or_default().add(part)?;
        }
        cells.values_mut().for_each(Cell::settle);
        Ok(cells)
    }

    /// Names what the list said: the same rows have the same one, however they came.
    ///
    /// ```text
    /// digest of parts   SHA-256 over each part behind its length in 8 bytes, the highest first
    /// row               of: both texts of its name, when it changed last (RFC 3339) and its stage, each empty where
    ///                   it says none, why it cannot be read where it cannot; then of each number what it is of, its
    ///                   digits and its unit
    /// list              of the digests of its rows, in the order of their names
    /// ```
    ///
    /// The names of rows: of stock item and place; of orders the order and the system's document; of invoices
    /// the number and the order; of shipments `ORDER/NUMBER` and the system's document; of payments
    /// `payment REFERENCE` and the order; of refunds the order and the number. Of one that its transformer
    /// cannot read they are the key and `CODE: WHY`. What a run records of it is blinded with its run's key.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let rows = self.parts.iter().map(|((one, other), part)| {
            let changed_at = part.changed_at.map_or_else(String::new, |at| at.to_string());
            let stage = part.stage.map_or("", Stage::as_str);
            let mut texts = vec![one.clone(), other.clone(), changed_at, stage.to_owned()];
            texts.extend(part.unreadable.clone());
            for Number { figure, measure, unit } in &part.numbers {
                texts.extend([figure.to_string(), measure.to_string(), unit.clone()]);
            }
            Digest::of_parts(&texts.iter().map(String::as_bytes).collect::<Vec<_>>())
        });
        let rows: Vec<Digest> = rows.collect();
        Digest::of_parts(&rows.iter().map(|row| row.as_bytes().as_slice()).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As the host tells every amount.
        #[test]
        fn an_amount_is_told_with_the_digits_of_its_currency(
            minor in any::<i64>(),
            code in prop::sample::select(vec!["USD", "JPY", "KWD", "CLF"]),
        ) {
            let money = Money { minor, currency: Currency::parse(code).unwrap() };
            let amount = Measures::from([(code.to_owned(), Measure::of_money(&money))]);
            prop_assert_eq!(InWords::of(&Figure::Total, &amount).to_string(), money.to_string());
        }
    }

    #[test]
    fn what_is_finer_than_its_currency_and_what_is_no_amount_keeps_its_digits() {
        let told = |figure: &Figure, units: i64, scale: u8| {
            let measure = Measure::of_decimal(&Decimal { units, scale });
            InWords::of(figure, &Measures::from([("USD".to_owned(), measure)])).to_string()
        };
        assert_eq!(told(&Figure::Net, 13_776, 1), "1377.60 USD");
        assert_eq!(told(&Figure::Net, 1_179, 3), "1.179 USD");
        assert_eq!(told(&Figure::All, 50, 1), "5 USD");
    }
}
