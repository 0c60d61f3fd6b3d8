//! What the systems' own ledgers say of order to cash, and what must not be in them.
//!
//! The host is not asked: what it believes is what has to be checked. Each entry of a ledger has
//! its place among those of all stand-ins, so that what came after what can be told.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::value::Decimal;
use serde::Serialize;

use crate::standins::amount::Amount;
use crate::standins::erp::{CreditMemo, PostedInvoice, SalesOrder};
use crate::standins::payment::{Payment, Refund};
use crate::standins::shop::{ShopDocument, ShopOrder};
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
    /// What is in stock of an item, in the ERP and in the warehouse.
    pub stock: Vec<Stock>,
}

/// An item's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The item.
    pub sku: String,
    /// By the ERP.
    pub erp: Decimal,
    /// By the warehouse.
    pub warehouse: Decimal,
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

/// The rules, by the names of what breaks them.
pub const KINDS: [&str; 10] = [
    "shipped-without-release",
    "released-twice",
    "booked-twice",
    "shipped-more-than-released",
    "invoiced-without-shipment",
    "shipped-and-not-invoiced",
    "refunded-before-receipt",
    "refunded-more-than-paid",
    "taxed-otherwise-than-once",
    "stock-differs",
];

impl Ledgers {
    /// What must not be, in the order of [`KINDS`].
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let rules = [
            Self::unreleased,
            Self::released_twice,
            Self::booked_twice,
            Self::overshipped,
            Self::unshipped,
            Self::not_invoiced,
            Self::before_receipt,
            Self::overpaid,
            Self::taxed,
            Self::differs,
        ];
        KINDS
            .into_iter()
            .zip(rules)
            .flat_map(|(kind, rule)| rule(self).into_iter().map(move |(about, found)| Violation { kind, about, found }))
            .collect()
    }

    fn unreleased(&self) -> Vec<Broken> {
        let released_before = |shipment: &Shipment| {
            self.releases.iter().any(|release| release.order_id == shipment.order_id && release.at < shipment.at)
        };
        let broken = self.shipments.iter().filter(|shipment| !released_before(shipment));
        broken.map(|shipment| (shipment.order_id.clone(), format!("shipment {} of it", shipment.number))).collect()
    }

    fn released_twice(&self) -> Vec<Broken> {
        twice(self.releases.iter().map(|release| release.order_id.clone()), "releases")
    }

    /// Of an order that is open, and of one that was posted, there is one number.
    fn booked_twice(&self) -> Vec<Broken> {
        twice(self.sales_orders.iter().map(|order| order.external_document_number.clone()), "open sales orders")
    }

    fn overshipped(&self) -> Vec<Broken> {
        let released = sums(self.releases.iter().flat_map(|release| {
            release.lines.iter().map(|line| (key(&release.order_id, &line.line_number), &line.quantity))
        }));
        above(&self.shipped(), &released, "shipped", "released")
    }

    /// By the ERP's numbers of the orders, which have no hyphens.
    fn unshipped(&self) -> Vec<Broken> {
        above(&self.invoiced(), &self.shipped(), "invoiced", "shipped")
    }

    fn not_invoiced(&self) -> Vec<Broken> {
        above(&self.shipped(), &self.invoiced(), "shipped", "invoiced")
    }

    fn before_receipt(&self) -> Vec<Broken> {
        let is_here = |refund: &Refund| {
            let number = refund.metadata.get("return_number");
            let received = self.returns.iter().filter(|back| Some(&back.number) == number);
            received.filter_map(|back| back.received_at).any(|received_at| received_at < refund.at)
        };
        let for_goods = |refund: &&Refund| refund.metadata.get("cause").is_some_and(|cause| cause == "goods-return");
        let broken = self.refunds.iter().filter(for_goods).filter(|refund| !is_here(refund));
        broken.map(|refund| (order_of(refund), format!("refund {} of goods that were not here", refund.id))).collect()
    }

    fn overpaid(&self) -> Vec<Broken> {
        let mut kept: BTreeMap<String, i64> = BTreeMap::new();
        for payment in &self.payments {
            let kept = kept.entry(payment.order_id.clone()).or_default();
            *kept = kept.saturating_add(payment.amount);
        }
        for refund in &self.refunds {
            let kept = kept.entry(order_of(refund)).or_default();
            *kept = kept.saturating_sub(refund.amount);
        }
        let broken = kept.into_iter().filter(|(_, kept)| *kept < 0);
        broken
            .map(|(order, kept)| (order, format!("refunds that are {} above what was paid", kept.saturating_neg())))
            .collect()
    }

    /// Of each invoice and credit memo the tax service has one transaction, and of nothing else.
    fn taxed(&self) -> Vec<Broken> {
        let mut told: BTreeMap<&str, i64> = BTreeMap::new();
        for transaction in &self.taxes {
            *told.entry(&transaction.code).or_default() += 1;
        }
        let invoices = self.invoices.iter().map(|invoice| invoice.number.as_str());
        for number in invoices.chain(self.credit_memos.iter().map(|memo| memo.number.as_str())) {
            *told.entry(number).or_default() -= 1;
        }
        let broken = told.into_iter().filter(|(_, difference)| *difference != 0);
        broken.map(|(number, by)| (number.to_owned(), format!("{by:+} tax transactions"))).collect()
    }

    fn differs(&self) -> Vec<Broken> {
        let broken = self.stock.iter().filter(|stock| Amount::of(&stock.erp) != Amount::of(&stock.warehouse));
        let told = |stock: &Stock| format!("{} in the ERP, {} in the warehouse", stock.erp, stock.warehouse);
        broken.map(|stock| (stock.sku.clone(), told(stock))).collect()
    }

    fn shipped(&self) -> Sums {
        sums(self.shipments.iter().flat_map(|shipment| {
            shipment.lines.iter().map(|line| (key(&shipment.order_id, &line.line_number), &line.shipped))
        }))
    }

    fn invoiced(&self) -> Sums {
        sums(self.invoices.iter().flat_map(|invoice| {
            invoice.lines.iter().map(|line| (key(&invoice.external_document_number, &line.line_number), &line.quantity))
        }))
    }
}

/// About what, and what was found.
type Broken = (String, String);

/// An order's line, however a system writes the order's id.
type Line = (String, String);

/// How much, by line.
type Sums = BTreeMap<Line, Amount>;

fn key(order: &str, line: &str) -> Line {
    (order.replace('-', ""), line.to_owned())
}

fn order_of(refund: &Refund) -> String {
    refund.metadata.get("order_id").cloned().unwrap_or_default()
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
    let told = |((order, line), more, less): (&Line, Amount, Amount)| {
        (order.clone(), format!("line {line}: {} {did}, {} {was}", more.decimal(), less.decimal()))
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
