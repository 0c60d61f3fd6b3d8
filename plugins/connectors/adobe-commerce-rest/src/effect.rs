//! What the shop can be made to do: how it is asked, and by what that is found again.

use std::collections::BTreeMap;

use portreeve_sdk::connector::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::order::{Id, Order};
use crate::shop::Shop;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Held,
    Released,
    Accepted,
    Rejected,
    Cancel,
    Shipment,
    Invoice,
    Refund,
}

/// The host's natural key, and the mark that an effect has in the shop.
pub(crate) struct Key {
    pub(crate) order: String,
    pub(crate) mark: String,
}

/// What the transformer makes.
#[derive(Deserialize)]
pub(crate) struct Message {
    pub(crate) order: Option<Named>,
    /// The request's members, each as it was written: a quantity that passes through a float
    /// is another one.
    request: Members,
    total: Option<Total>,
}

type Members = BTreeMap<String, Box<RawValue>>;

/// What the shop calls an order.
#[derive(Deserialize)]
pub(crate) struct Named {
    pub(crate) increment_id: String,
    pub(crate) store_id: Option<String>,
}

/// What an invoice or a refund comes to.
#[derive(Deserialize)]
pub(crate) struct Total {
    pub(crate) amount: Box<RawValue>,
    pub(crate) currency: String,
}

/// An item, and how much of it.
#[derive(Deserialize)]
pub(crate) struct Item {
    pub(crate) order_item_id: Id,
    pub(crate) qty: Box<RawValue>,
}

impl Key {
    /// Reads `ORDER`, or `ORDER/NUMBER` of what an order can have several of.
    pub(crate) fn parse(effect: Effect, natural_key: &str) -> Result<Self, Failure> {
        let (order, number) = natural_key.split_once('/').unwrap_or((natural_key, ""));
        if order.is_empty() || (effect.list().is_some() && number.is_empty()) {
            return Err(Failure::permanent(format!(
                "key-without-number: found a natural key that does not say which; expected `ORDER/NUMBER` of {}, since \
                 an order can have several",
                effect.name()
            )));
        }
        // Whatever stands in a number, no page of the shop's makes something else of it.
        let parts: Vec<String> = natural_key.split('/').map(http::escaped).collect();
        Ok(Self { order: order.to_owned(), mark: format!("[{} {}]", effect.word(), parts.join("/")) })
    }
}

impl Message {
    /// # Errors
    /// When it is none of `adobe-documents`.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(body)
            .map_err(|_| Failure::permanent("the message is none of `adobe-documents`; see the target's transformer"))
    }

    fn items(&self) -> Result<Vec<Item>, Failure> {
        let items = self.request.get("items").and_then(|items| serde_json::from_str(items.get()).ok());
        items.filter(|items: &Vec<Item>| !items.is_empty()).ok_or_else(|| {
            Failure::permanent("the message has no items; expected one at least, the shop would take everything")
        })
    }

    fn total(&self) -> Result<&Total, Failure> {
        self.total.as_ref().ok_or_else(|| Failure::permanent("the message says not what it comes to; nothing was sent"))
    }
}

impl Effect {
    pub(crate) fn of(kind: &str) -> Result<Self, Failure> {
        match kind {
            "adobe/held" => Ok(Self::Held),
            "adobe/released" => Ok(Self::Released),
            "adobe/accepted" => Ok(Self::Accepted),
            "adobe/rejected" => Ok(Self::Rejected),
            "adobe/cancel" => Ok(Self::Cancel),
            "adobe/shipment" => Ok(Self::Shipment),
            "adobe/invoice" => Ok(Self::Invoice),
            "adobe/refund" => Ok(Self::Refund),
            other => Err(Failure::permanent(format!("this connector delivers no messages of kind `{other}`"))),
        }
    }

    /// In a mark.
    fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Released => "released",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Cancel => "cancel",
            Self::Shipment => "shipment",
            Self::Invoice => "invoice",
            Self::Refund => "refund",
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Held | Self::Released | Self::Accepted | Self::Rejected => "the comment",
            Self::Cancel => "the cancellation",
            Self::Shipment => "the shipment",
            Self::Invoice => "the invoice",
            Self::Refund => "the refund",
        }
    }

    /// Where documents of this kind are listed.
    fn list(self) -> Option<&'static str> {
        match self {
            Self::Held | Self::Released | Self::Accepted | Self::Rejected | Self::Cancel => None,
            Self::Shipment => Some("shipments"),
            Self::Invoice => Some("invoices"),
            Self::Refund => Some("creditmemos"),
        }
    }

    /// Where it is posted.
    pub(crate) fn path(self, order: &Order) -> String {
        let id = order.entity_id.text();
        match self {
            Self::Held | Self::Released | Self::Accepted | Self::Rejected => format!("orders/{id}/comments"),
            Self::Cancel => format!("orders/{id}/cancel"),
            Self::Shipment => format!("order/{id}/ship"),
            Self::Invoice => format!("order/{id}/invoice"),
            Self::Refund => format!("order/{id}/refund"),
        }
    }

    /// The request, with what only the shop knows and the mark.
    ///
    /// # Errors
    /// When the order is not what the message takes it for.
    pub(crate) fn request(self, order: &Order, key: &Key, mut message: Message) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Held | Self::Released | Self::Accepted | Self::Rejected => return history(order, key, &message),
            Self::Cancel => return Ok(b"{}".to_vec()),
            Self::Shipment => order.has(&message.items()?)?,
            Self::Invoice => {
                let (items, total) = (message.items()?, message.total()?);
                order.has(&items)?;
                order.counts_in(total)?;
                let captures = message.request.get("capture").is_some_and(|capture| capture.get() != "false");
                order.amounts_to(&items, total, captures)?;
            }
            Self::Refund => {
                order.counts_in(message.total()?)?;
                // Without any item the shop takes back all of them.
                let items = json!([{"order_item_id": order.refundable()?, "qty": 0}]);
                message.request.insert("items".to_owned(), raw(&items)?);
            }
        }
        let comment = json!({"comment": key.mark, "is_visible_on_front": 0});
        message.request.insert("comment".to_owned(), raw(&comment)?);
        written(&message.request)
    }

    /// The receipt of something that was done; none where the shop says that it did nothing.
    ///
    /// # Errors
    /// When the answer is none: it happened all the same, and `find` tells.
    pub(crate) fn done(self, answer: &[u8], order: &Order) -> Result<Option<Receipt>, Failure> {
        let answer = std::str::from_utf8(answer).unwrap_or_default().trim();
        let unnamed = || Failure::unknown(format!("the shop took {}, but its answer does not name it", self.name()));
        match (self.list(), answer) {
            (None, "true") => Ok(Some(receipt(&order.increment_id))),
            (None, "false") => Ok(None),
            (None, _) => Err(unnamed()),
            (Some(_), id) => Id::read(id).map(|id| Some(receipt(id.text()))).ok_or_else(unnamed),
        }
    }

    /// What the shop has of it, of an order that was read just now.
    ///
    /// # Errors
    /// When it has it twice, or does not tell.
    pub(crate) fn done_before(self, shop: &Shop<'_>, order: &Order, key: &Key) -> Result<Option<Receipt>, Failure> {
        let of_order = |is_so: bool| is_so.then(|| receipt(&order.increment_id));
        match self.list() {
            Some(list) => Ok(shop.document(list, order, key)?.map(|found| receipt(found.entity_id.text()))),
            None if self == Self::Cancel => Ok(of_order(order.is_canceled())),
            None => Ok(of_order(shop.is_commented(order, key)?)),
        }
    }

    /// What it has by now, where it answered that it did nothing.
    ///
    /// # Errors
    /// As [`Effect::done_before`].
    pub(crate) fn done_since(self, shop: &Shop<'_>, order: &Order, key: &Key) -> Result<Option<Receipt>, Failure> {
        if self != Self::Cancel {
            return self.done_before(shop, order, key);
        }
        shop.order_with(key)?.map_or(Ok(None), |now| self.done_before(shop, &now, key))
    }

    /// Why the shop did nothing.
    pub(crate) fn declined(self) -> Failure {
        let name = self.name();
        Failure::permanent(format!(
            "declined: the shop answers that it did not do {name}, and not why; of an order that is invoiced or on hold \
             nothing can be cancelled: look at it there"
        ))
    }
}

/// A comment of the order's history. Whatever is left out is cleared in some versions.
fn history(order: &Order, key: &Key, message: &Message) -> Result<Vec<u8>, Failure> {
    let none = || Failure::permanent("the message has no comment; see the target's transformer");
    let found = message.request.get("statusHistory").ok_or_else(none)?;
    let mut history: Members = serde_json::from_str(found.get()).map_err(|_| none())?;
    let comment = history.get("comment").and_then(|comment| serde_json::from_str::<String>(comment.get()).ok());
    let comment = comment.ok_or_else(none)?;
    history.insert("comment".to_owned(), raw(&format!("{comment} {}", key.mark))?);
    history.insert("parent_id".to_owned(), raw(&order.entity_id)?);
    if let Some(status) = order.status.as_ref().filter(|_| !history.contains_key("status")) {
        history.insert("status".to_owned(), raw(status)?);
    }
    written(&BTreeMap::from([("statusHistory", history)]))
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Failure> {
    serde_json::value::to_raw_value(value).map_err(|error| Failure::permanent(error.to_string()))
}

fn written(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::permanent(error.to_string()))
}

fn receipt(id: &str) -> Receipt {
    Receipt { external_id: id.to_owned(), detail: None }
}
