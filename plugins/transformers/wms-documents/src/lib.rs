//! What a warehouse is to do, and what it says: the documents of the connector `wms-rest`.
//!
//! Out of events of the host:
//!
//! ```text
//! wms-rest/release         order.created           goods may leave
//! wms-rest/change          order.changed           what is to leave is this
//! wms-rest/stop            order.cancel-requested  no more of them are to leave
//!                          order.accepted          of an order that was cancelled before: all of it
//! wms-rest/expect-return   return.requested        they come back
//!                          order.cancel-requested  all of them come back, number `cancel-ORDERID`
//! ```
//!
//! And out of the WMS's events, by their `type`:
//!
//! ```text
//! allocated        inventory.allocated      picked      shipment.picked
//! confirmed        shipment.confirmed       packed      shipment.packed
//! return-received  return.received          dispatched  shipment.dispatched
//! level            inventory.level, of an item and no order, as of its `at`
//! ```
//!
//! Pages of its stock are `inventory.level`, and of what left `shipment.confirmed`, see `listing`.
//!
//! Orders go by the host's id (`orderId`) both ways; the sender's number is for people at the
//! warehouse. Quantities are decimal numbers, written and read digit by digit, and their
//! units are kept. Whatever the warehouse would have to guess, and whatever the host would
//! have to, is refused with its place.

mod event;
mod listing;
mod message;

use portreeve_sdk::transformer::*;

use crate::message::{CHANGE, EXPECT_RETURN, RELEASE, STOP};

const EVENT: &str = "wms-rest/event";

struct WmsDocuments;

impl Transformer for WmsDocuments {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        match request.kind.as_str() {
            EVENT => event::read(&request.body).map(|event| vec![event]),
            listing::STOCK => listing::levels(&request.body),
            listing::SHIPMENTS => listing::shipments(&request.body),
            other => Err(Failure::permanent(format!("this transformer does not map documents of kind `{other}`"))),
        }
    }

    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        let order_id = request.order_id.as_str();
        let body = match (request.kind.as_str(), &request.event) {
            (RELEASE, Event::OrderCreated(order)) => message::release(order, order_id)?,
            (CHANGE, Event::OrderChanged(change)) => message::change(&change.order, order_id)?,
            (STOP, Event::OrderCancelRequested(cancel)) => message::stop(cancel, order_id)?,
            (STOP, Event::OrderAccepted(_)) => message::stop_all(order_id)?,
            (EXPECT_RETURN, Event::ReturnRequested(goods)) => message::expect_return(goods, order_id)?,
            (EXPECT_RETURN, Event::OrderCancelRequested(cancel)) => message::expect_all(cancel, order_id)?,
            (RELEASE | CHANGE | STOP | EXPECT_RETURN, _) => {
                let message = format!("found an event of which no message of kind `{}` is made", request.kind);
                return Err(Failure::permanent(message));
            }
            (other, _) => {
                return Err(Failure::permanent(format!("this transformer does not render messages of kind `{other}`")));
            }
        };
        Ok(Message { kind: request.kind, content_type: "application/json".to_owned(), body })
    }
}

portreeve_sdk::transformer!(WmsDocuments);
