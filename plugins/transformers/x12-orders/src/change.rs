//! A change of an order (860): what it can say by itself.
//!
//! An `order.changed` is the whole order as it is to be. A change that says "three fewer of
//! line 2" is only half of that; the other half is the order before, which a transformer does
//! not have and must not guess. So:
//!
//! ```text
//! BCH01  01 cancellation            → cancel requested
//!        05 replace, lines AI RZ NC → changed: these lines are the whole order
//!           … and lines DI          → left out of it
//!        05 with other POC02        → needs-the-order-before, a person's
//!        04 change, and the rest    → needs-the-order-before, a person's
//! ```
//!
//! POC02 is X12 004010 element 670: AI additional item, RZ replace all values, NC concurrent
//! item without a change, DI delete. Of QD, QI, RQ, PC and the like partners disagree whether
//! POC03 is the new quantity or the difference.

use portreeve_sdk::transformer::*;

use crate::form::PurchaseOrder;

/// POC02 of lines that state all that there is of them.
const WHOLE: [&str; 3] = ["AI", "RZ", "NC"];

/// POC02 of a line that is not in the order any more.
const DELETED: &str = "DI";

/// Takes a replacement's lines that are gone out of it, so that what is left is the order.
///
/// # Errors
/// `needs-the-order-before` with the place of each line that states only a difference.
pub(crate) fn whole(document: &mut PurchaseOrder) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let (mut index, mut left_out) = (0_usize, 0_usize);
    let mut within_deleted = false;
    document.set.segments.retain(|segment| {
        match segment.tag() {
            "POC" => {
                index += 1;
                let code = segment.element(2);
                within_deleted = code == DELETED;
                left_out += usize::from(within_deleted);
                if !within_deleted && !WHOLE.contains(&code) {
                    problems.push(difference(&format!("POC[{index}]/02"), "the line states only what is to change"));
                }
            }
            "CTT" => within_deleted = false,
            _ => {}
        }
        !within_deleted
    });
    document.left_out = left_out;
    if problems.is_empty() { Ok(()) } else { Err(Failure::Invalid(portreeve_guest_x12_document::listed(problems))) }
}

/// The failure of a change that needs the order before it.
pub(crate) fn needs_the_order_before() -> Failure {
    Failure::invalid(difference("BCH/01", "the change states only what is to be different"))
}

fn difference(path: &str, found: &str) -> Problem {
    let message = format!(
        "{found}; expected BCH01 05 with every line whole (POC02 AI, RZ or NC): \
         change the order by hand, or ask for a replacement"
    );
    Problem::new("needs-the-order-before", message, path)
}
