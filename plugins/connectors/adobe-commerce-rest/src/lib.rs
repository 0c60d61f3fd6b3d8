//! What became of an order, told to Adobe Commerce over its REST API (reference of 2.4.8;
//! tutorial "Order processing", steps 8 to 10).
//!
//! ```text
//! adobe/held, adobe/released,
//! adobe/accepted, adobe/rejected   POST V1/orders/ID/comments   true
//! adobe/cancel                     POST V1/orders/ID/cancel     true; false: it cannot be any more
//! adobe/shipment                   POST V1/order/ID/ship        the id of the shipment
//! adobe/invoice                    POST V1/order/ID/invoice     of the invoice
//! adobe/refund                     POST V1/order/ID/refund      of the credit memo: offline, no money moves
//! adobe/stock                      POST V1/inventory/source-items: each as it is from now on
//! which order                      GET  V1/orders?searchCriteria…
//! what became of an attempt        GET  V1/orders/ID/comments, V1/shipments, V1/invoices, V1/creditmemos
//! any refusal                      {"message":"… %1","parameters":["…"]}
//! ```
//!
//! There is no idempotency key, and none of these has a place for a number of the sender's: a
//! second POST is a second shipment, and a second e-mail to the customer. So each carries the
//! host's natural key at the end of a comment, `[shipment ORDER/NUMBER]`, and that is what `find`
//! looks for, and `deliver` before it posts anything: a `retry` is another delivery, and whatever
//! had the shop say 429 may have let it work. A document's only the shop's people see, one in the
//! order's history is shown to whom `visible` and `notify` of the transformer say. Of a cancelled
//! order the state says it.
//!
//! The shop does not know the host's order either, and whoever confirms a shipment knows no number
//! of the shop. So the first message about an order, which is made of the order itself, finds it by
//! `increment_id` and store and writes the host's id into its `ext_order_id`; all others, and
//! `find`, search by that. Another system's id in it is left alone, and a person asked. Of the
//! order nothing but that is written, with `entity_id` and `increment_id` beside it: without the
//! second some versions count a new one (magento/magento2#17828, #32397). The shop says that as
//! any other change of an order: a webhook of every save, instead of one of placed orders, comes
//! back to the host as a changed order.
//!
//! Nothing is sent that the shop would complete by itself. An item has to be one of the order,
//! since a request without items takes everything that is left. A comment repeats the order's
//! status, which older versions would clear; a status of another state the shop refuses. What a
//! part of an order costs, the shop computes alone: an invoice that leaves nothing open has to
//! come to what the order still amounts to there, and one of a part is not captured. A refund is
//! an adjustment, in the one currency that order, shop and refund have; before 2.4.1 the shop
//! refused one without goods.
//!
//! Orders, cancellations and returns whose webhook was lost are fetched (`pulled`), and what it has in
//! stock is listed (`listing`).
//!
//! How much there is of an item is set and not added to, so saying it twice is as saying it once:
//! the host sends it again without asking, and `find` is refused.
//!
//! What an answer means is what it means of any such target, see `plugins/lib/rest`.
//!
//! Settings: `base-url`, in front of `/V1` (`https://shop.example/rest/all`), and
//! `answer-timeout-ms`. Credentials are the host's: OAuth 1.0a on one's own machines, a
//! bearer's token in Adobe's cloud.

mod effect;
mod listing;
mod order;
mod pulled;
mod returns;
mod shop;
mod stock;

use portreeve_sdk::connector::*;

use crate::effect::{Effect, Key, Message};
use crate::shop::Shop;

struct AdobeCommerceRest;

impl Connector for AdobeCommerceRest {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("this connector receives nothing; the shop's orders come by `adobe-commerce`"))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        if delivery.message.kind == stock::KIND {
            return stock::set(&Shop::of(&delivery.settings)?, &delivery.message.body);
        }
        let effect = Effect::of(&delivery.message.kind)?;
        let key = Key::parse(effect, &delivery.natural_key)?;
        let message = Message::read(&delivery.message.body)?;
        let shop = Shop::of(&delivery.settings)?;

        let order = shop.order_of(&key, message.order.as_ref())?;
        if let Some(receipt) = effect.done_before(&shop, &order, &key)? {
            return Ok(receipt);
        }
        let request = effect.request(&order, &key, message)?;
        let answer = shop.post(&effect.path(&order), request, effect.name())?;
        match effect.done(&answer, &order)? {
            Some(receipt) => Ok(receipt),
            // It says that it did nothing: perhaps since it was so already.
            None => match effect.done_since(&shop, &order, &key)? {
                Some(receipt) => Ok(receipt),
                None => Err(effect.declined()),
            },
        }
    }

    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        let effect = Effect::of(&query.kind)?;
        let key = Key::parse(effect, &query.natural_key)?;
        let shop = Shop::of(&query.settings)?;
        // Nothing is sent of an order that does not have the host's id yet.
        match shop.order_with(&key)? {
            Some(order) => effect.done_before(&shop, &order, &key),
            None => Ok(None),
        }
    }

    fn poll(request: PollRequest) -> Result<Polled, Failure> {
        match setting(&request.settings, "list") {
            Some(list) => listing::page(&request, list),
            None => pulled::poll(&request),
        }
    }

    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        Shop::of(&request.settings)?.check()
    }
}

portreeve_sdk::connector!(AdobeCommerceRest);
