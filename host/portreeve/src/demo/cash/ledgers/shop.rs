//! What must not be in the ledger of the shop: that it knows less, more or something else of its
//! orders than the warehouse, finance and the payment processor.
//!
//! Which message a document of the shop is of, a comment of it says, `[shipment ORDER/NUMBER]`.
//! How much it is of is compared with the ledger of whoever made the thing.

use std::collections::BTreeMap;

use portreeve_model::value::Decimal;

use super::{Broken, Ledgers, bare};
use crate::standins::amount::Amount;
use crate::standins::shop::{ShopDocument, ShopOrder};
use crate::standins::wms::Release;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Missing,
    Doubled,
    Otherwise,
}

/// Something that the shop is to know.
struct Thing {
    /// In the comment of what it has of it.
    mark: String,
    /// By line; of money that goes back, nothing.
    items: Option<BTreeMap<String, Amount>>,
    /// What it comes to; of goods nothing.
    total: Option<Amount>,
}

impl Ledgers {
    pub(super) fn shop_not_told(&self) -> Vec<Broken> {
        self.told_of_shop(Fault::Missing)
    }

    pub(super) fn shop_told_twice(&self) -> Vec<Broken> {
        self.told_of_shop(Fault::Doubled)
    }

    pub(super) fn shop_told_otherwise(&self) -> Vec<Broken> {
        self.told_of_shop(Fault::Otherwise)
    }

    fn told_of_shop(&self, wanted: Fault) -> Vec<Broken> {
        let all = self.shop_orders.iter().flat_map(|order| {
            let release = self.releases.iter().find(|release| release.order_number == order.increment_id);
            let faults = match release {
                Some(release) => self.faults_of(order, release),
                None if order.ext_order_id.is_some() => {
                    vec![(Fault::Otherwise, "accepted, and not released".to_owned())]
                }
                None => Vec::new(),
            };
            faults.into_iter().map(|(fault, found)| (fault, order.increment_id.clone(), found))
        });
        all.filter(|(fault, ..)| *fault == wanted).map(|(_, order, found)| (order, found)).collect()
    }

    /// What is wrong with an order of the shop that the warehouse was given.
    fn faults_of(&self, order: &ShopOrder, release: &Release) -> Vec<(Fault, String)> {
        let id = release.order_id.as_str();
        if order.ext_order_id.as_deref() != Some(id) {
            return vec![(Fault::Missing, "its acceptance".to_owned())];
        }
        let accepted = format!("[accepted {id}]");
        let comments = order.history.iter().filter(|comment| comment.comment.contains(&accepted)).count();
        let mut faults = Vec::new();
        faults.extend(counted(comments).map(|fault| (fault, "its acceptance".to_owned())));
        let (is_stopped, is_cancelled) = (release.lines.iter().all(|line| line.stopped), order.state == "canceled");
        match (is_stopped, is_cancelled) {
            (true, false) => faults.push((Fault::Missing, "its cancellation".to_owned())),
            (false, true) => faults.push((Fault::Otherwise, "cancelled, and not stopped".to_owned())),
            (true, true) | (false, false) => {}
        }
        for (things, told) in [
            (self.left(id), &self.shop_shipments),
            (self.posted(id), &self.shop_invoices),
            (self.back(id), &self.shop_refunds),
        ] {
            faults.extend(compared(&things, told, order));
        }
        faults
    }

    fn left(&self, id: &str) -> Vec<Thing> {
        let left = self.shipments.iter().filter(|shipment| shipment.order_id == id);
        let thing = |number: &str, items: BTreeMap<String, Amount>| Thing {
            mark: format!("[shipment {id}/{number}]"),
            items: Some(items),
            total: None,
        };
        let lines = left.map(|shipment| {
            let lines = shipment.lines.iter().map(|line| (line.line_number.clone(), &line.shipped));
            thing(&shipment.number, items(lines))
        });
        lines.filter(|thing| thing.items.as_ref().is_some_and(|items| !items.is_empty())).collect()
    }

    fn posted(&self, id: &str) -> Vec<Thing> {
        let posted = self.invoices.iter().filter(|invoice| invoice.external_document_number == bare(id));
        let thing = posted.map(|invoice| Thing {
            mark: format!("[invoice {id}/{}]", invoice.number),
            items: Some(items(invoice.lines.iter().map(|line| (line.line_number.clone(), &line.quantity)))),
            total: Some(Amount::of(&invoice.total)),
        });
        thing.collect()
    }

    /// What went back of an order that the shop invoiced; of no other is there money in its books.
    fn back(&self, id: &str) -> Vec<Thing> {
        if self.posted(id).is_empty() {
            return Vec::new();
        }
        let back = self.refunds_of_orders().into_iter().filter(|(order, _)| *order == id);
        let thing = back.map(|(_, refund)| {
            let number = refund.metadata.get("refund_number").map_or("", String::as_str);
            let total = Some(Amount::of(&Decimal { units: refund.amount, scale: 2 }));
            Thing { mark: format!("[refund {id}/{number}]"), items: None, total }
        });
        thing.collect()
    }
}

/// Whether it is there once.
fn counted(count: usize) -> Option<Fault> {
    match count {
        0 => Some(Fault::Missing),
        1 => None,
        _ => Some(Fault::Doubled),
    }
}

/// What the shop has of an order beside what it is to have.
fn compared(things: &[Thing], told: &[ShopDocument], order: &ShopOrder) -> Vec<(Fault, String)> {
    let own: Vec<&ShopDocument> = told.iter().filter(|document| document.order_id == order.entity_id).collect();
    let mut faults = Vec::new();
    for thing in things {
        let of_thing: Vec<&&ShopDocument> = own.iter().filter(|document| thing.is_told_by(document)).collect();
        match (counted(of_thing.len()), of_thing.first()) {
            (Some(fault), _) => faults.push((fault, thing.mark.clone())),
            (None, Some(document)) if !thing.is(document) => faults.push((Fault::Otherwise, thing.mark.clone())),
            (None, _) => {}
        }
    }
    let others = own.iter().filter(|document| !things.iter().any(|thing| thing.is_told_by(document)));
    faults.extend(others.map(|document| (Fault::Otherwise, format!("{:?} {}", document.kind, document.entity_id))));
    faults
}

impl Thing {
    fn is_told_by(&self, document: &ShopDocument) -> bool {
        document.comments.iter().any(|comment| comment.contains(&self.mark))
    }

    fn is(&self, document: &ShopDocument) -> bool {
        let told: Vec<(String, Decimal)> =
            document.items.iter().map(|(item, quantity)| (item.to_string(), quantity.decimal())).collect();
        let told = items(told.iter().map(|(item, quantity)| (item.clone(), quantity)));
        let total = Amount::of(&document.grand_total.decimal());
        self.items.as_ref().is_none_or(|items| *items == told) && self.total.is_none_or(|expected| expected == total)
    }
}

/// How much of which line, without what is nothing.
fn items<'a>(lines: impl Iterator<Item = (String, &'a Decimal)>) -> BTreeMap<String, Amount> {
    let mut items: BTreeMap<String, Amount> = BTreeMap::new();
    for (line, quantity) in lines.filter(|(_, quantity)| quantity.units != 0) {
        let sum = items.entry(line).or_default();
        *sum = sum.plus(Amount::of(quantity));
    }
    items
}
