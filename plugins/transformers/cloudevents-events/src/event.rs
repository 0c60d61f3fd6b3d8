//! The types that are supported, and which shape the data of each has.

use portreeve_guest_json::value::Canonical;
use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::shape;

/// The member of the event that all of this is about.
const DATA: &str = "data";

/// Makes a canonical event of data.
type Read = fn(&RawValue) -> Result<Event, Box<Problem>>;

/// The supported types by their names.
pub(crate) const TYPES: [(&str, Read); 14] = [
    ("order.accepted", |data| read::<shape::OrderAnswer>(data).map(Event::OrderAccepted)),
    ("order.rejected", |data| read::<shape::OrderAnswer>(data).map(Event::OrderRejected)),
    ("inventory.level", |data| read::<shape::InventoryLevel>(data).map(Event::InventoryLevel)),
    ("inventory.allocated", |data| read::<shape::Allocation>(data).map(Event::InventoryAllocated)),
    ("shipment.picked", |data| read::<shape::Shipment>(data).map(Event::ShipmentPicked)),
    ("shipment.packed", |data| read::<shape::Shipment>(data).map(Event::ShipmentPacked)),
    ("shipment.dispatched", |data| read::<shape::Shipment>(data).map(Event::ShipmentDispatched)),
    ("shipment.confirmed", |data| read::<shape::Shipment>(data).map(Event::ShipmentConfirmed)),
    ("shipment.delayed", |data| read::<shape::ShipmentDelay>(data).map(Event::ShipmentDelayed)),
    ("invoice.posted", |data| read::<shape::Invoice>(data).map(Event::InvoicePosted)),
    ("payment.settled", |data| read::<shape::Settlement>(data).map(Event::PaymentSettled)),
    ("return.requested", |data| read::<shape::GoodsReturn>(data).map(Event::ReturnRequested)),
    ("return.received", |data| read::<shape::GoodsReturn>(data).map(Event::ReturnReceived)),
    ("refund.issued", |data| read::<shape::Refund>(data).map(Event::RefundIssued)),
];

fn read<'a, S: Deserialize<'a> + Canonical>(data: &'a RawValue) -> Result<S::Of, Box<Problem>> {
    portreeve_guest_json::read::<S>(data.get(), DATA).map(Canonical::canonical)
}
