//! What was agreed with a customer, and what is there: places, item numbers, stock.

use portreeve_model::OrderLine;
use portreeve_model::value::Decimal;

use super::amounts::amount;
use super::{Finding, Looked, ReferenceFacts, Rule, Rules};
use crate::verdict::shown;

impl Rules {
    /// Check: the customer may have goods sent to the place that the order names. A
    /// place that is named by its address only has no agreement to look up, nor has a
    /// customer who is not known.
    pub(super) fn check_ship_to(&self, reference: &ReferenceFacts, findings: &mut Vec<Finding>) {
        let (Some(unknown), Some(place)) = (self.unknown_ship_to, &reference.ship_to) else {
            return;
        };
        if reference.customer.found().is_none() {
            return;
        }
        let queue = &self.queues.customer;
        match place {
            Looked::Found(()) => {}
            Looked::Unknown => findings.push(Finding {
                rule: Rule::UnknownShipTo,
                code: "ship-to-unknown",
                line: None,
                found: "no such place of this customer".to_owned(),
                expected: "a place of the reference table".to_owned(),
                consequence: self.unknown(unknown, queue),
            }),
            Looked::Incomplete | Looked::NotLoaded => {
                findings.push(self.of_reference(
                    "ship-to-table-not-loaded",
                    None,
                    "a reference table `ship-to`",
                    queue,
                ));
            }
        }
    }

    /// Check: where a line has the customer's item number and ours, both mean the
    /// same item. One of them is a mistake, and goods nobody wanted would be sent.
    pub(super) fn check_cross_reference(
        &self,
        line: &OrderLine,
        reference: &ReferenceFacts,
        findings: &mut Vec<Finding>,
    ) {
        let ours = line.buyer_sku.as_ref().and_then(|theirs| reference.cross_references.get(theirs));
        if let Some(Looked::Found(ours)) = ours
            && self.cross_reference
            && *ours != line.sku
        {
            findings.push(Finding {
                rule: Rule::CrossReference,
                code: "cross-reference-differs",
                line: Some(line.number.clone()),
                found: shown(&line.sku),
                expected: format!("{}, which the customer's item number stands for", shown(ours)),
                consequence: self.hold(&self.queues.item),
            });
        }
    }

    /// Check: there is as much as is ordered. An item without a row of stock is made
    /// or bought to order; that nothing is known about it is no shortage.
    pub(super) fn check_available(
        &self,
        line: &OrderLine,
        factor: Decimal,
        converted: &str,
        reference: &ReferenceFacts,
        findings: &mut Vec<Finding>,
    ) {
        let Some(Looked::Found(available)) = reference.available.get(&line.sku) else {
            return;
        };
        // Two 64-bit numbers multiply within 128 bits.
        let ordered = i128::from(line.quantity.value).saturating_mul(i128::from(factor.units));
        let places = u32::from(line.quantity.scale).saturating_add(u32::from(factor.scale));
        let enough = i128::from(*available).checked_mul(10_i128.saturating_pow(places));
        // What is available is more than any order can ask for when this overflows.
        if self.short_stock && enough.is_some_and(|enough| ordered > enough) {
            findings.push(Finding {
                rule: Rule::Availability,
                code: "not-available",
                line: Some(line.number.clone()),
                found: format!("{} ordered", amount(line.quantity.value, line.quantity.scale)),
                expected: format!("{available} or less{converted}"),
                consequence: self.hold(&self.queues.item),
            });
        }
    }
}
