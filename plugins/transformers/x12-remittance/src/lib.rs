//! X12 820 remittance advice as remittances received.
//!
//! ```text
//! header  BPR amount, credit, day of payment; TRN reference; CUR; N1*PR payer
//! lines   ENT, then RMR: an invoice with what is paid of it; ADX: an adjustment
//! ```
//!
//! An 820 advises of a payment; the money itself is the bank's word. What is read of it is
//! which invoices the payer means to pay and what it deducts, so the danger is a sum that does
//! not hold: the lines are added up and compared with BPR02, and a difference is a person's,
//! with both sums.
//!
//! RMR04 is what is paid (X12 004010, semantic note to RMR04), so an ADX below it is within it
//! already. Some payers state the invoice there and deduct after it. BPR02 tells which: the
//! lines sum to it as they are, or with their adjustments, or not at all. Either way
//! the `paid` of all lines together is the payment. Where adjustments of several lines undo each
//! other it tells nothing: what is paid of each invoice is then the payer's to say.
//!
//! An ADX that stands under no RMR is a line of its own, by the number in ADX04: what it pays
//! is what it adjusts. Discounts (RMR06) are kept as extensions, `x12:RMR06:INVOICE`, and so is
//! the number of an adjustment's own memo. References of a line (its REF, DTM and IT1) stay in
//! the document: they say where the payer keeps the invoice, not what is paid of it.
//!
//! Settings: `currency`, the one that is agreed with the partners of the channel: what an advice
//! without CUR is in, and without which it is refused; `tests = "accept"` on channels that take
//! tests (ISA15).

mod advice;
mod open_item;

use portreeve_guest_x12_document::TransactionSet;
use portreeve_sdk::transformer::*;

const KIND: &str = "x12/820";
/// The first segment of what follows the header.
const DETAIL: &str = "ENT";

struct X12Remittance;

impl Transformer for X12Remittance {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind != KIND {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        let set = TransactionSet::read(&request.body)?;
        set.check_production(setting(&request.settings, "tests"))?;
        let currency = set.currency(DETAIL, setting(&request.settings, "currency"))?;
        Ok(vec![Event::RemittanceReceived(advice::read(&set, currency)?)])
    }
}

portreeve_sdk::transformer!(X12Remittance);
