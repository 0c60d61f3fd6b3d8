//! X12 945 warehouse shipping advice as confirmed shipments.
//!
//! ```text
//! header  W06 order and shipment, N1 loops (ST ship-to, SF warehouse), N9, G62, W27 carrier
//! lines   LX, then W12: status, ordered, shipped, difference, unit, item; N9: LI LT SE
//! end     W03: the units of all lines
//! ```
//!
//! The danger: a shipment that is read wrongly bills a customer for goods that never left, or
//! leaves an order open that was shipped. So everything that the set says twice is compared
//! (the status with the quantities, the difference, the total), what a status means comes from
//! a table, and what is in neither is a person's. Reports that are no shipment (returns,
//! adjustments, exceptions only) are not read as one.
//!
//! Which order it is: the one of `N9*ZZ*PORTREEVE-ORDER*id`, as our own 940 states it and a
//! warehouse returns it, else W0602. The shipment is W0604, else W0605. A line is N9*LI; where
//! no line of an advice has one it is the LX above it, and the host counts it only where its item
//! is that of the order's line. What has no field is kept as an extension: a header's `x12:G62`,
//! a line's `x12:N9:10` for line 10.
//!
//! Setting: `tests = "accept"` on channels that take tests (ISA15).

mod line;
mod shipment;
mod status;

use portreeve_guest_x12_document::TransactionSet;
use portreeve_sdk::transformer::*;

const KIND: &str = "x12/945";

struct X12Warehouse;

impl Transformer for X12Warehouse {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind != KIND {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        let set = TransactionSet::read(&request.body)?;
        set.check_production(setting(&request.settings, "tests"))?;
        Ok(vec![Event::ShipmentConfirmed(shipment::read(&set)?)])
    }
}

portreeve_sdk::transformer!(X12Warehouse);
