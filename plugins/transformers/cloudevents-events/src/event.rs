//! The types that are supported, and which shape the data of each has.

use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::value::Canonical;
use crate::{place, shape};

/// Values of one event's data. The host refuses a result of more than 20,000 elements in
/// its lists, and counts it as this plugin's failure: a sender of endless serial numbers
/// would have the plugin stopped for everybody. A line of a shipment is some ten values.
const VALUES_MAX: usize = 19_000;

/// Makes a canonical event of data.
type Read = fn(&RawValue) -> Result<Event, Box<Problem>>;

/// The supported types by their names.
pub(crate) const TYPES: [(&str, Read); 13] = [
    ("order.accepted", |data| read::<shape::OrderAnswer>(data).map(Event::OrderAccepted)),
    ("order.rejected", |data| read::<shape::OrderAnswer>(data).map(Event::OrderRejected)),
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
    let values = values(data);
    if values > VALUES_MAX {
        let message = format!("found data of some {values} values; expected {VALUES_MAX} at most");
        return Err(Box::new(Problem::new("event-too-large", message, "data")));
    }
    let mut json = serde_json::Deserializer::from_str(data.get());
    let shape: Result<S, _> = serde_path_to_error::deserialize(&mut json);
    shape.map(Canonical::canonical).map_err(|error| Box::new(place::problem(&error)))
}

/// No fewer than there are: each but the last of a list or an object ends with a comma,
/// and those in texts count along.
fn values(data: &RawValue) -> usize {
    data.get().bytes().filter(|byte| *byte == b',').count()
}
