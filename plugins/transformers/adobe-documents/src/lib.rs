//! What Adobe Commerce is told of its orders, and of its stock: the messages of the connector
//! `adobe-commerce-rest`.
//!
//! ```text
//! adobe/held       order.created             it waits here: a comment in its history
//! adobe/released   order.created             it waits no more: the same
//! adobe/accepted   order.created             the order as it came: the same
//! adobe/rejected   order.created             the same
//!                  order.rejected
//! adobe/cancel     order.created             it is cancelled in the shop
//!                  order.rejected
//!                  order.cancel-requested    of all of it
//! adobe/shipment   shipment.confirmed        goods have left
//! adobe/invoice    invoice.posted            they were invoiced
//! adobe/refund     refund.issued             money went back, by whom ever
//! adobe/stock      inventory.level           how much there is of an item
//! ```
//!
//! A message is `{"order":…,"request":…}`. `request` is the body that Adobe's REST reference has
//! for it, without what only the shop knows (`parent_id` of a comment, an item to hang a refund
//! on) and without the mark by which it is found again: the connector adds both. `order` says
//! what the shop calls the order; only the order itself knows that, so the first message about
//! an order is one that an effect with `sends = "order"` makes, or one of `order.held`, and the
//! connector writes the host's id into the shop's order then. An order that people rejected before any system had it
//! goes nowhere: of that one the target's `with_order = true` tells the number.
//!
//! That the host keeps an order back is a comment, and no hold of Commerce's own
//! (`POST V1/orders/ID/hold`): that takes the order out of the shop's hands, so that nothing of it
//! can be invoiced, shipped or cancelled there, and a second one is refused.
//!
//! A line of an order of the shop has the shop's `item_id` as its number (see `adobe-orders`),
//! and whoever says something of a line says that number. One that is no item's number is
//! refused: Commerce takes a request without items for one of everything that is left.
//!
//! The shop has its stock by item and source, in a quantity without a unit. An item is called there
//! as in the level, and its unit is that of the table `item`, by which `adobe-orders` reads orders;
//! of an item that the table does not have, the setting `unit`. A level in another unit is refused,
//! and so is one of which nobody knows the shop's unit: nothing is converted. The source is called
//! as the node, unless `sources` names others (`DC-EAST=east DC-WEST=west`); then a node that it
//! leaves out is refused.
//!
//! The quantity is what is set aside for nobody, unless the setting `stock` is `on-hand`. A shop
//! that reserves stock for its own orders until they are shipped there counts those of them that
//! are set aside in the warehouse twice: it sells less than there is for so long, and never more.
//! With `on-hand` it sells what is set aside for orders of other channels a second time.
//! An item of which nothing is left is out of stock (`status` 0), any other in stock.
//!
//! Pages of what it has are `inventory.level`, see `listing`.
//!
//! Settings: `notify` has the shop write to the customer, `visible` shows comments to him,
//! `capture` has an invoice captured, `source-is-node` has the shop take goods from the source that
//! is called as the node they left (each `true` or `false`, which they are unless set); `beside`
//! names, apart by blanks, what finance invoices beside the order's items, such as freight;
//! `held-status`, `released-status`, `accepted-status` and `rejected-status` are the order's status
//! from then on, unless set the one that it has.

mod listing;

mod message;

mod stock;

use portreeve_sdk::transformer::*;

struct AdobeDocuments;

impl Transformer for AdobeDocuments {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind != listing::SOURCE_ITEMS {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        listing::levels(&request.body, &request.settings)
    }

    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        let settings = &request.settings;
        let body = match (request.kind.as_str(), &request.event) {
            ("adobe/held", Event::OrderCreated(order)) => message::held(order, settings)?,
            ("adobe/released", Event::OrderCreated(order)) => message::released(order, settings)?,
            ("adobe/accepted", Event::OrderCreated(order)) => message::accepted(order, settings)?,
            ("adobe/rejected", Event::OrderCreated(order)) => message::rejected(Some(order), settings)?,
            ("adobe/rejected", Event::OrderRejected(_)) => message::rejected_later(settings)?,
            ("adobe/cancel", Event::OrderCreated(order)) => message::cancel(Some(order))?,
            ("adobe/cancel", Event::OrderRejected(_)) => message::cancel(None)?,
            ("adobe/cancel", Event::OrderCancelRequested(wish)) => message::cancel_wanted(wish)?,
            ("adobe/shipment", Event::ShipmentConfirmed(shipment)) => message::shipment(shipment, settings)?,
            ("adobe/invoice", Event::InvoicePosted(invoice)) => message::invoice(invoice, settings)?,
            ("adobe/refund", Event::RefundIssued(refund)) => message::refund(refund, settings)?,
            ("adobe/stock", Event::InventoryLevel(level)) => {
                let row = lookup("item", &level.sku)?;
                stock::level(level, row.as_ref().and_then(|row| row.text("unit")), settings)?
            }
            (kind, _) => {
                let found = format!("found an event of which no message of kind `{kind}` is made");
                return Err(Failure::permanent(format!("{found}; see the page of `adobe-documents`")));
            }
        };
        Ok(Message { kind: request.kind, content_type: "application/json".to_owned(), body })
    }
}

portreeve_sdk::transformer!(AdobeDocuments);
