//! What W1201 says of a line: X12 004010 element 368, of whose codes only these say what
//! becomes of the rest of the line.
//!
//! The others say where an order stands (`IN` in process), or that something is short without
//! saying whether it still comes (`DS` out of stock). Reading one of them as the nearest of
//! these would promise goods to a customer, or cancel them.

use core::cmp::Ordering;

use portreeve_sdk::transformer::*;

/// What the quantities have to be for a status to be true.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// All that was ordered was shipped.
    Whole,
    /// All that was ordered or more.
    WholeOrMore,
    /// Less.
    Less,
    /// Nothing was shipped.
    Nothing,
    /// Another item was; its quantity is its own.
    Whatever,
}

/// Code, why the line is short, and when that is true.
const STATUSES: [(&str, ShortReason, Holds); 12] = [
    // Shipment complete; complete; complete with additional quantity, or with extra items.
    ("CC", ShortReason::None, Holds::Whole),
    ("CL", ShortReason::None, Holds::Whole),
    ("CM", ShortReason::None, Holds::WholeOrMore),
    ("CE", ShortReason::None, Holds::WholeOrMore),
    // Partial shipment, back order to ship; back ordered; back ordered at the manufacturer.
    ("BP", ShortReason::Backorder, Holds::Less),
    ("BO", ShortReason::Backorder, Holds::Less),
    ("BM", ShortReason::Backorder, Holds::Less),
    // Partial shipment, considered no back order; item cancelled; line cancelled.
    ("CP", ShortReason::NoBackorder, Holds::Less),
    ("IC", ShortReason::NoBackorder, Holds::Nothing),
    ("CU", ShortReason::NoBackorder, Holds::Nothing),
    // Complete with substitution; the item is a substitution of another one.
    ("CS", ShortReason::Substitution, Holds::Whatever),
    ("IS", ShortReason::Substitution, Holds::Whatever),
];

/// Why a line with this status is short; none for a code that does not say it.
pub(crate) fn reason(code: &str) -> Option<ShortReason> {
    STATUSES.iter().find(|(known, ..)| *known == code).map(|(_, reason, _)| *reason)
}

/// Whether the status says that less was shipped than was ordered, so that the rest of the line
/// waits, or is cancelled.
pub(crate) fn is_short(code: &str) -> bool {
    let short = |holds: &Holds| matches!(holds, Holds::Less | Holds::Nothing);
    STATUSES.iter().any(|(known, _, holds)| *known == code && short(holds))
}

/// Whether the status is true of quantities of one scale.
pub(crate) fn is_true(code: &str, ordered: i128, shipped: i128) -> bool {
    let Some((_, _, holds)) = STATUSES.iter().find(|(known, ..)| *known == code) else { return false };
    match holds {
        Holds::Whole => shipped == ordered,
        Holds::WholeOrMore => shipped.cmp(&ordered) != Ordering::Less,
        Holds::Less => shipped < ordered,
        Holds::Nothing => shipped == 0,
        Holds::Whatever => true,
    }
}

/// The codes that are known, for a person.
pub(crate) fn known() -> String {
    STATUSES.map(|(code, ..)| code).join(", ")
}
