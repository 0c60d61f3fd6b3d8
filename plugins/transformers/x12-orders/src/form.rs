//! The two forms that an order comes in: a purchase order (850), and a change that states
//! the whole order anew (860).
//!
//! ```text
//! 850  BEG*05*NE*PO-1**20260302        PO1*1*5*EA*12.50*PE*VP*SKU-1
//! 860  BCH*05*CP*PO-1**3*20260302      POC*1*RZ*5**EA*12.50*PE*VP*SKU-1
//! ```
//!
//! They say the same in other places; one reader takes both, so that a line of a change is
//! read and refused exactly as a line of an order is.

use portreeve_guest_x12_document::{Segment, TransactionSet};
use portreeve_sdk::transformer::*;

/// Where a line has what: numbers of elements.
pub(crate) struct LineForm {
    pub(crate) tag: &'static str,
    pub(crate) quantity: usize,
    pub(crate) unit: usize,
    pub(crate) price: usize,
    pub(crate) basis: usize,
    /// Where the pairs of qualifier and item number start.
    pub(crate) items_from: usize,
}

/// Where an order has what.
pub(crate) struct Form {
    pub(crate) begin: &'static str,
    /// The date of the order.
    placed: usize,
    /// The sender's sequence of changes, where the segment has one.
    sequence: Option<usize>,
    pub(crate) line: LineForm,
}

/// The form of an 850.
pub(crate) const ORDER: Form = Form {
    begin: "BEG",
    placed: 5,
    sequence: None,
    line: LineForm { tag: "PO1", quantity: 2, unit: 3, price: 4, basis: 5, items_from: 6 },
};

/// The form of an 860.
pub(crate) const CHANGE: Form = Form {
    begin: "BCH",
    placed: 6,
    sequence: Some(5),
    line: LineForm { tag: "POC", quantity: 3, unit: 5, price: 6, basis: 7, items_from: 8 },
};

/// An order as it was sent.
pub(crate) struct PurchaseOrder {
    pub(crate) set: TransactionSet,
    pub(crate) form: &'static Form,
    /// Lines that were stated, and are not in the order any more.
    pub(crate) left_out: usize,
}

impl PurchaseOrder {
    pub(crate) fn read(body: &[u8], form: &'static Form) -> Result<Self, Failure> {
        Ok(Self { set: TransactionSet::read(body)?, form, left_out: 0 })
    }

    pub(crate) fn begin(&self) -> Option<&Segment> {
        self.set.first(self.form.begin)
    }

    pub(crate) fn purpose(&self) -> &str {
        self.begin().map_or("", |begin| begin.element(1))
    }

    pub(crate) fn placed(&self) -> &str {
        self.begin().map_or("", |begin| begin.element(self.form.placed))
    }

    pub(crate) fn order_number(&self) -> Result<String, Failure> {
        let begin = self.form.begin;
        self.begin().and_then(|begin| begin.filled(3)).ok_or_else(|| {
            let message = format!("{begin}03 is empty; expected the order number");
            Failure::invalid(Problem::new("order-number-missing", message, format!("{begin}/03")))
        })
    }

    /// The sender's revision: its change order sequence (BCH05 or REF*CO), else the date.
    pub(crate) fn revision(&self) -> Option<String> {
        let begin = self.begin();
        let stated = self.form.sequence.and_then(|at| begin?.filled(at));
        let reference = || self.set.segments.iter().find(|part| part.tag() == "REF" && part.element(1) == "CO");
        stated.or_else(|| reference()?.filled(2)).or_else(|| begin?.filled(self.form.placed))
    }
}
