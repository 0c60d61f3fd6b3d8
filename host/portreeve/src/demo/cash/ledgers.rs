//! What the systems' own ledgers say of order to cash, and what must not be in them.
//!
//! The host is not asked: what it believes is what has to be checked. Each entry of a ledger has
//! its place among those of all stand-ins, so that what came after what can be told. A line is
//! known by its order, its number, its item and its unit: what one system says of another item or
//! in another unit is not the same line.

mod changed;

mod finance;

mod goods;

mod money;

mod shop;

mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portreeve_model::value::Decimal;
use serde::Serialize;

use crate::standins::amount::Amount;
use crate::standins::erp::{CreditMemo, PostedInvoice, SalesOrder};
use crate::standins::partner::{Asked, Entry};
use crate::standins::payment::{Payment, Refund};
use crate::standins::shop::{ShopDocument, ShopOrder};
use crate::standins::stream::Streamed;
use crate::standins::subscriber::Heard;
use crate::standins::tax::TaxTransaction;
use crate::standins::wms::{Release, Return, Shipment};

/// Everything that the systems wrote down.
#[derive(Debug, Clone, Default)]
pub struct Ledgers {
    /// The ERP's open sales orders; what is posted whole is not there any more.
    pub sales_orders: Vec<SalesOrder>,
    /// The ERP's posted invoices.
    pub invoices: Vec<PostedInvoice>,
    /// The ERP's posted credit memos.
    pub credit_memos: Vec<CreditMemo>,
    /// What the warehouse was asked to ship.
    pub releases: Vec<Release>,
    /// What left the warehouse.
    pub shipments: Vec<Shipment>,
    /// What came back to it, or is to.
    pub returns: Vec<Return>,
    /// What customers paid.
    pub payments: Vec<Payment>,
    /// What they got back.
    pub refunds: Vec<Refund>,
    /// What the tax service was told.
    pub taxes: Vec<TaxTransaction>,
    /// The shop's orders.
    pub shop_orders: Vec<ShopOrder>,
    /// What the shop was told that left.
    pub shop_shipments: Vec<ShopDocument>,
    /// What it was told that was invoiced.
    pub shop_invoices: Vec<ShopDocument>,
    /// What it was told that went back.
    pub shop_refunds: Vec<ShopDocument>,
    /// What customers were sent over X12.
    pub customers: Vec<Entry>,
    /// What they asked to have otherwise.
    pub changes: Vec<Asked>,
    /// What was wrong with what they were sent.
    pub customer_faults: Vec<String>,
    /// What whoever subscribes heard.
    pub heard: Vec<Heard>,
    /// What lies in the stream of events.
    pub stream: Vec<Streamed>,
    /// What is in stock of each item.
    pub stock: Vec<Stock>,
}

/// An item's stock, as each system counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The item.
    pub sku: String,
    /// What the ERP's books have: what was there, less what was posted as shipped, and what was
    /// credited as returned.
    pub erp: Decimal,
    /// What lies in the warehouse, with what is set aside for orders.
    pub on_hand: Decimal,
    /// Of that, what is set aside for nobody.
    pub available: Decimal,
    /// What the shop may sell.
    pub shop: Decimal,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Which rule it breaks.
    pub kind: &'static str,
    /// The order, the invoice or the item.
    pub about: String,
    /// What the ledgers say.
    pub found: String,
}

/// A rule gives what breaks it.
type Rule = fn(&Ledgers) -> Vec<Broken>;

/// About what, and what was found.
type Broken = (String, String);

/// The rules, by the names of what breaks them.
const RULES: [(&str, Rule); 33] = [
    ("shipped-without-release", Ledgers::unreleased),
    ("released-twice", Ledgers::released_twice),
    ("shipped-more-than-released", Ledgers::overshipped),
    ("shipped-though-stopped", Ledgers::stopped_and_shipped),
    ("shipped-otherwise-than-agreed", Ledgers::shipped_as_agreed),
    ("return-expected-twice", Ledgers::expected_twice),
    ("returned-more-than-shipped", Ledgers::overreturned),
    ("stock-differs", Ledgers::stock_differs),
    ("booked-twice", Ledgers::booked_twice),
    ("open-though-stopped", Ledgers::open_though_stopped),
    ("invoiced-without-shipment", Ledgers::unshipped),
    ("invoiced-before-shipment", Ledgers::invoiced_first),
    ("shipment-invoiced-otherwise-than-once", Ledgers::shipments_invoiced),
    ("shipped-and-not-invoiced", Ledgers::not_invoiced),
    ("credited-without-return", Ledgers::credited_and_not_returned),
    ("returned-and-not-credited", Ledgers::returned_and_not_credited),
    ("taxed-otherwise-than-once", Ledgers::taxed_once),
    ("taxed-otherwise-than-invoiced", Ledgers::taxed_alike),
    ("refunded-before-receipt", Ledgers::before_receipt),
    ("refunded-twice", Ledgers::refunded_twice),
    ("refunded-more-than-paid", Ledgers::overpaid),
    ("refunded-and-owed", Ledgers::refunded_and_owed),
    ("shop-not-told", Ledgers::shop_not_told),
    ("shop-told-twice", Ledgers::shop_told_twice),
    ("shop-told-otherwise", Ledgers::shop_told_otherwise),
    ("customer-not-told", Ledgers::customers_not_told),
    ("customer-told-more", Ledgers::customers_told_more),
    ("customer-refused-it", Ledgers::customers_refused),
    ("change-answered-otherwise-than-once", Ledgers::changes_answered),
    ("subscriber-not-told", Ledgers::subscribers_not_told),
    ("subscriber-told-more", Ledgers::subscribers_told_more),
    ("stream-not-told", Ledgers::stream_not_told),
    ("stream-told-more", Ledgers::stream_told_more),
];

/// The names of the rules.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    RULES.into_iter().map(|(kind, _)| kind)
}

impl Ledgers {
    /// What must not be, by rule.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let broken = |(kind, rule): (&'static str, Rule)| {
            rule(self).into_iter().map(move |(about, found)| Violation { kind, about, found })
        };
        RULES.into_iter().flat_map(broken).collect()
    }
}

/// A line of an order, however a system writes the order's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    order: String,
    number: String,
    sku: String,
    unit: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {} in {}", self.number, self.sku, self.unit)
    }
}

/// How much, by line.
type Sums = BTreeMap<Line, Amount>;

fn key(order: &str, number: &str, sku: &str, unit: &str) -> Line {
    Line { order: bare(order), number: number.to_owned(), sku: sku.to_owned(), unit: unit.to_owned() }
}

/// Without the hyphens, which the ERP leaves out of an order's id.
fn bare(order: &str) -> String {
    order.replace('-', "")
}

fn sums<'a>(counted: impl Iterator<Item = (Line, &'a Decimal)>) -> Sums {
    let mut sums = Sums::new();
    for (line, quantity) in counted {
        let sum = sums.entry(line).or_default();
        *sum = sum.plus(Amount::of(quantity));
    }
    sums
}

/// Lines of which there is more on one side than on the other.
fn above(more: &Sums, less: &Sums, did: &str, was: &str) -> Vec<Broken> {
    let lines = more.iter().map(|(line, more)| (line, *more, less.get(line).copied().unwrap_or_default()));
    let broken = lines.filter(|(_, more, less)| more > less);
    let told = |(line, more, less): (&Line, Amount, Amount)| {
        (line.order.clone(), format!("{line}: {} {did}, {} {was}", more.decimal(), less.decimal()))
    };
    broken.map(told).collect()
}

fn twice(names: impl Iterator<Item = String>, what: &str) -> Vec<Broken> {
    let (mut seen, mut doubled) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for name in names {
        if !seen.insert(name.clone()) {
            *doubled.entry(name).or_insert(1) += 1;
        }
    }
    doubled.into_iter().map(|(name, count)| (name, format!("{count} {what} of it"))).collect()
}
