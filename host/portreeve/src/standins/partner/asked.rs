//! What customers ask to have otherwise, as they have it in their own books: the whole order as
//! it was and as it is to be, in an 860 with every line (BCH01 05, POC02 RZ).
//!
//! ```text
//! BCH*05*CP*PO-1**1*20260302~
//! POC*1*RZ*7**BX*18.40*PE*VP*SKU-1~
//! ```

use super::super::serving::entry;
use super::{Partner, PurchaseOrder, Purpose, interchange};

/// A change that a customer asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its place among the entries of all ledgers.
    pub entry: u64,
    /// The customer's number of the order.
    pub number: String,
    /// The customer's number of the change (BCH05).
    pub sequence: u32,
    /// What he had ordered.
    pub before: Vec<AskedLine>,
    /// What he wants instead.
    pub wanted: Vec<AskedLine>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedLine {
    /// Its number.
    pub number: String,
    /// The item.
    pub sku: String,
    /// How much, in `unit`.
    pub quantity: u32,
    /// The unit of it.
    pub unit: String,
}

impl Partner {
    /// A customer asks for other lines of orders that he sent before: the interchange of it, for
    /// whoever plays him to post. Each is as it was and as it is to be.
    #[must_use]
    pub fn asks(&self, control: u32, sequence: u32, changes: &[(PurchaseOrder, PurchaseOrder)]) -> Vec<u8> {
        let mut kept = self.books.kept();
        kept.asked.extend(changes.iter().map(|(before, wanted)| Asked {
            entry: entry(),
            number: wanted.number.clone(),
            sequence,
            before: lines_of(before),
            wanted: lines_of(wanted),
        }));
        let wanted: Vec<PurchaseOrder> = changes.iter().map(|(_, wanted)| wanted.clone()).collect();
        interchange(control, Purpose::Change(sequence), &wanted)
    }

    /// What customers asked for, in this order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.books.kept().asked.clone()
    }
}

fn lines_of(order: &PurchaseOrder) -> Vec<AskedLine> {
    let line = |(number, &(sku, quantity, unit, _)): (u32, &(&'static str, u32, &'static str, &'static str))| {
        AskedLine { number: number.to_string(), sku: sku.to_owned(), quantity, unit: unit.to_owned() }
    };
    (1_u32..).zip(&order.lines).map(line).collect()
}
