//! What must not be in the ledgers of finance and of the tax service.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::value::Decimal;

use super::goods::shipment_lines;
use super::{Broken, Ledgers, Line, Sums, above, bare, key, sums};
use crate::standins::TaxStatus;
use crate::standins::amount::Amount;
use crate::standins::erp::{PostedInvoice, PostedLine};
use crate::standins::tax::TaxTransaction;

/// AvaTax's types of what is invoiced and of what is credited.
const SALE: &str = "SalesInvoice";
const RETURN: &str = "ReturnInvoice";

impl Ledgers {
    /// Of an order there is one sales order, also where all of it is posted and the order gone.
    pub(super) fn booked_twice(&self) -> Vec<Broken> {
        let mut booked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let open = self.sales_orders.iter().map(|order| (&order.external_document_number, &order.number));
        let posted = self.invoices.iter().map(|invoice| (&invoice.external_document_number, &invoice.order_number));
        for (order, number) in open.chain(posted) {
            booked.entry(order.as_str()).or_default().insert(number.as_str());
        }
        let broken = booked.into_iter().filter(|(_, numbers)| numbers.len() > 1);
        broken.map(|(order, numbers)| (order.to_owned(), format!("sales orders {}", listed(numbers)))).collect()
    }

    /// What the warehouse was told to ship no more the ERP does not have to come any more either.
    pub(super) fn open_though_stopped(&self) -> Vec<Broken> {
        let lines = self.releases.iter().flat_map(|release| {
            let stopped = release.lines.iter().filter(|line| line.stopped);
            stopped.map(|line| key(&release.order_id, &line.line_number, &line.sku, &line.unit))
        });
        let stopped: BTreeSet<Line> = lines.collect();
        let mut broken = Vec::new();
        for order in &self.sales_orders {
            for line in &order.lines {
                let of = key(&order.external_document_number, &line.line_number, &line.item_number, &line.unit);
                let (ordered, shipped) = (Amount::of(&line.quantity), Amount::of(&line.shipped));
                if ordered > shipped && stopped.contains(&of) {
                    broken.push((
                        of.order.clone(),
                        format!("{of}: {} to come in the ERP", ordered.less(shipped).decimal()),
                    ));
                }
            }
        }
        broken
    }

    /// By the ERP's numbers of the orders, which have no hyphens.
    pub(super) fn unshipped(&self) -> Vec<Broken> {
        above(&self.invoiced(), &self.shipped(), "invoiced", "shipped")
    }

    /// Of what is invoiced and shipped alike, the invoice came first.
    pub(super) fn invoiced_first(&self) -> Vec<Broken> {
        let shipments = self.shipments.iter().flat_map(|shipment| {
            shipment_lines(shipment).map(|(line, shipped)| (shipment.at, line, Amount::of(shipped), Amount::ZERO))
        });
        let invoices = self.invoices.iter().flat_map(|invoice| {
            invoice_lines(invoice).map(|(line, invoiced)| (invoice.at, line, Amount::ZERO, Amount::of(invoiced)))
        });
        let mut entries: Vec<(u64, Line, Amount, Amount)> = shipments.chain(invoices).collect();
        entries.sort();
        let (all_shipped, all_invoiced) = (self.shipped(), self.invoiced());
        let is_in_balance = |line: &Line| all_invoiced.get(line) <= all_shipped.get(line);
        let (mut standing, mut broken) = (BTreeMap::<Line, (Amount, Amount)>::new(), BTreeMap::new());
        for (_, line, shipped, invoiced) in entries {
            let (so_far, posted) = standing.entry(line.clone()).or_default();
            (*so_far, *posted) = (so_far.plus(shipped), posted.plus(invoiced));
            if *posted > *so_far && is_in_balance(&line) {
                broken.insert(line, format!("{} invoiced when {} had left", posted.decimal(), so_far.decimal()));
            }
        }
        broken.into_iter().map(|(line, found)| (line.order.clone(), format!("{line}: {found}"))).collect()
    }

    /// Each shipment has an invoice of its own: two that are of one leave another one out.
    pub(super) fn shipments_invoiced(&self) -> Vec<Broken> {
        let mut named: BTreeMap<(String, &str), i64> = BTreeMap::new();
        for shipment in &self.shipments {
            if shipment.lines.iter().any(|line| line.shipped.units > 0) {
                named.insert((bare(&shipment.order_id), shipment.number.as_str()), 0);
            }
        }
        let of_goods = |invoice: &&PostedInvoice| invoice.shipment.is_some() || !invoice.lines.is_empty();
        for invoice in self.invoices.iter().filter(of_goods) {
            let shipment = invoice.shipment.as_deref().unwrap_or("without a number");
            // One of a shipment that there is not has to be found as well.
            let count = named.entry((bare(&invoice.external_document_number), shipment)).or_insert(1);
            *count = count.saturating_add(1);
        }
        let broken = named.into_iter().filter(|(_, count)| *count != 1);
        broken
            .map(|((order, shipment), count)| match count {
                0 => (order, format!("shipment {shipment} without an invoice")),
                _ => (order, format!("an invoice more than shipment {shipment} has")),
            })
            .collect()
    }

    pub(super) fn not_invoiced(&self) -> Vec<Broken> {
        above(&self.shipped(), &self.invoiced(), "shipped", "invoiced")
    }

    pub(super) fn credited_and_not_returned(&self) -> Vec<Broken> {
        above(&self.credited(), &self.returned(), "credited", "came back")
    }

    pub(super) fn returned_and_not_credited(&self) -> Vec<Broken> {
        above(&self.returned(), &self.credited(), "came back", "credited")
    }

    /// Of each invoice and credit memo the tax service has one transaction of its type, written
    /// once, and of nothing else.
    pub(super) fn taxed_once(&self) -> Vec<Broken> {
        let mut told: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for transaction in &self.taxes {
            *told.entry((transaction.document_type, transaction.code.as_str())).or_default() +=
                i64::from(transaction.written);
        }
        for document in self.taxable() {
            *told.entry((document.kind, document.number)).or_default() -= 1;
        }
        let broken = told.into_iter().filter(|(_, difference)| *difference != 0);
        broken.map(|((kind, number), by)| (number.to_owned(), format!("{by:+} transactions of type {kind}"))).collect()
    }

    /// A transaction is of its document's order and amount, and final.
    pub(super) fn taxed_alike(&self) -> Vec<Broken> {
        let differs = |document: &Taxable<'_>, transaction: &TaxTransaction| {
            let is_of = transaction.description.as_deref().is_some_and(|said| bare(said).contains(document.order));
            let amount = Amount::of(&transaction.total_amount) == document.amount;
            !(is_of && amount && transaction.status == TaxStatus::Committed)
        };
        let mut broken = Vec::new();
        for document in self.taxable() {
            let of_document = self.taxes.iter().filter(|transaction| document.is_told_by(transaction));
            broken.extend(of_document.filter(|transaction| differs(&document, transaction)).map(|transaction| {
                let found = format!(
                    "{:?}, {} of `{}`; expected it committed, {} of order {}",
                    transaction.status,
                    transaction.total_amount,
                    transaction.description.as_deref().unwrap_or_default(),
                    document.amount.decimal(),
                    document.order
                );
                (document.number.to_owned(), found)
            }));
        }
        broken
    }

    fn taxable(&self) -> Vec<Taxable<'_>> {
        let sold = self.invoices.iter().map(|invoice| Taxable {
            kind: SALE,
            number: &invoice.number,
            order: &invoice.external_document_number,
            amount: Amount::of(&invoice.total),
        });
        let credited = self.credit_memos.iter().map(|memo| Taxable {
            kind: RETURN,
            number: &memo.number,
            order: &memo.external_document_number,
            amount: Amount::ZERO.less(Amount::of(&memo.total)),
        });
        sold.chain(credited).collect()
    }

    pub(super) fn invoiced(&self) -> Sums {
        sums(self.invoices.iter().flat_map(invoice_lines))
    }

    fn credited(&self) -> Sums {
        sums(self.credit_memos.iter().flat_map(|memo| posted_lines(&memo.external_document_number, &memo.lines)))
    }
}

/// A document that the tax service has to know.
struct Taxable<'a> {
    kind: &'static str,
    number: &'a str,
    order: &'a str,
    amount: Amount,
}

impl Taxable<'_> {
    fn is_told_by(&self, transaction: &TaxTransaction) -> bool {
        transaction.document_type == self.kind && transaction.code == self.number
    }
}

fn invoice_lines(invoice: &PostedInvoice) -> impl Iterator<Item = (Line, &Decimal)> {
    posted_lines(&invoice.external_document_number, &invoice.lines)
}

fn posted_lines<'a>(order: &'a str, lines: &'a [PostedLine]) -> impl Iterator<Item = (Line, &'a Decimal)> {
    lines.iter().map(move |line| (key(order, &line.line_number, &line.item_number, &line.unit), &line.quantity))
}

fn listed(numbers: BTreeSet<&str>) -> String {
    numbers.into_iter().collect::<Vec<_>>().join(" and ")
}
