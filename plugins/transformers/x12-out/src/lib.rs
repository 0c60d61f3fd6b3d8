//! Canonical events as X12 004010 transaction sets, ST to SE, for warehouses and customers.
//!
//! ```text
//! x12/940  order created → W05 N      order cancel requested → W05 F     to the warehouse
//! x12/855  order accepted, order rejected                                to the customer
//!          order created, as x12/855-held: it waits, and is not answered yet
//! x12/865  order changed, as x12/865-accepted or x12/865-refused         to the customer
//! x12/856  shipment confirmed                                            to the customer
//! x12/810  invoice posted, which may be a credit memo                     to the customer
//! ```
//!
//! What people made of a change stands in no event, so a target asks for one of two kinds of
//! message, and both are sent as `x12/865`; nor does it that an order is held, and `x12/855-held`
//! is sent as `x12/855`.
//!
//! The envelope with its control numbers is made by `x12-send`, one set to an interchange.
//!
//! **Which order.** X12's places for an order number (W0502, BAK03, PRF01, BIG04) hold 22
//! characters, and the customer knows the order by its own number. So that number stands
//! there, and the host's identifier beside it, as `N9*ZZ*PORTREEVE-ORDER*id` (940) or
//! `REF*ZZ*PORTREEVE-ORDER*id`; x12-warehouse finds it in the 945 that a warehouse answers
//! with. What systems say of an order names it by that identifier alone: the host tells the
//! customer's number as setting `order-number`, and for an 855 the order's date as
//! `order-date` (BAK04 is mandatory), where the target has `with_order = true`. Without them
//! the event is `invalid`.
//!
//! **Settings** of the target are what was agreed with customers; one with a partner behind an
//! `@` (`credit-memo@ZZ:ACME`, ISA05:ISA06 of the order, which `with_order = true` tells) is of
//! that partner alone and goes before the one of all. `credit-memo` and `credit-memo-amounts`
//! say how a credit memo is written, see `invoice.rs`.
//!
//! **What does not fit is refused**, with the path in the event: a value that is too long, or
//! has a delimiter in it (see `portreeve_guest_x12::set`); an event without something that
//! X12 makes mandatory; an invoice whose lines do not make up its total. Cut are only a
//! line's description (G69) and a reason for people; notes are split.

mod answer;
mod change_answer;
mod invoice;
mod sheet;
mod ship_notice;
mod shipping_order;

use portreeve_sdk::transformer::*;

use crate::change_answer::Verdict;
use crate::sheet::About;

struct X12Out;

impl Transformer for X12Out {
    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        let kind = request.kind.as_str();
        let about = About { order_id: &request.order_id, settings: &request.settings };
        let sheet = match (kind, &request.event) {
            ("x12/940", Event::OrderCreated(order)) => shipping_order::of_order(order, &about),
            ("x12/940", Event::OrderCancelRequested(cancel)) => shipping_order::of_cancellation(cancel, &about),
            ("x12/855-held", Event::OrderCreated(order)) => answer::held(order, &about),
            ("x12/855", Event::OrderAccepted(answer)) => answer::accepted(answer, &about),
            ("x12/855", Event::OrderRejected(answer)) => answer::rejected(answer, &about),
            ("x12/856", Event::ShipmentConfirmed(shipment)) => ship_notice::of(shipment, &about),
            ("x12/810", Event::InvoicePosted(invoice)) => invoice::of(invoice, &about),
            ("x12/865-accepted", Event::OrderChanged(change)) => change_answer::of(change, Verdict::Accepted, &about),
            ("x12/865-refused", Event::OrderChanged(change)) => change_answer::of(change, Verdict::Refused, &about),
            (
                "x12/940" | "x12/855" | "x12/855-held" | "x12/856" | "x12/810" | "x12/865-accepted" | "x12/865-refused",
                _,
            ) => {
                return Err(Failure::permanent(format!("`{kind}` is not made of such an event")));
            }
            _ => return Err(Failure::permanent(format!("this transformer does not render messages of kind `{kind}`"))),
        };
        let kind = match kind {
            "x12/855-held" => "x12/855".to_owned(),
            "x12/865-accepted" | "x12/865-refused" => "x12/865".to_owned(),
            _ => request.kind,
        };
        Ok(Message { kind, content_type: "application/edi-x12".to_owned(), body: sheet.finish()? })
    }
}

portreeve_sdk::transformer!(X12Out);
