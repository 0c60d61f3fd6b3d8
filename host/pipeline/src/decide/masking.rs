//! What a scorer sees of an order, and a subscriber of an event: as much as somebody wrote down that
//! it needs, the rest masked.
//!
//! | what | is masked as |
//! | --- | --- |
//! | an identifier | `masked-` and 16 hexadecimal digits: the same for this plugin or subscriber whenever it comes again, another one for every other and field |
//! | an address | its country and region, with its identifier masked |
//! | a text | nothing |
//!
//! An identifier's pseudonym is a digest with a secret of this host before it, so that nobody
//! finds out by trying who it is, and two readers cannot compare notes; the seed of a scorer is
//! made with it, too. It stays the same over
//! restarts, or a model could count nobody's orders.

mod said;

use portreeve_authority::{Field, Fields};
use portreeve_model::event::{OrderLine, Payment};
use portreeve_model::value::{Address, Customer};
use portreeve_model::{Digest, Event, Order, OrderId, PluginName};
use portreeve_record::PayloadKey;

/// Hexadecimal digits of a pseudonym: 64 bits tell a billion of them apart.
const DIGITS: usize = 16;

/// What comes before them.
const MASKED: &str = "masked-";

/// The secret of a host's pseudonyms.
#[derive(Debug, Clone)]
pub struct Pseudonyms {
    key: PayloadKey,
    /// Says in a record which secret it was, and not what it is.
    name: Digest,
}

impl Pseudonyms {
    /// With this secret.
    #[must_use]
    pub fn with(key: PayloadKey) -> Self {
        Self { name: key.blind("the secret of pseudonyms"), key }
    }

    /// Which secret it is.
    pub(super) fn name(&self) -> Digest {
        self.name
    }

    /// Repeatable randomness that says nothing about the event: a digest without a secret would
    /// let a plugin's author find out by trying what the order was.
    pub(super) fn seed(&self, component: Digest, event: Digest) -> Digest {
        self.key.blind(&format!("seed {component} {event}"))
    }

    fn of(&self, reader: &str, kind: &str, id: &str) -> String {
        // A reader's name has no slash, and a kind neither.
        let digest = self.key.blind(&format!("{reader}/{kind}/{id}"));
        let digits = hex::encode(digest.as_bytes());
        format!("{MASKED}{}", digits.get(..DIGITS).unwrap_or(&digits))
    }
}

/// One reader's view of orders.
struct View<'a> {
    sees: &'a Fields,
    reader: &'a str,
    pseudonyms: &'a Pseudonyms,
}

/// An order as a plugin sees it.
pub(super) fn masked(order: &Order, sees: &Fields, plugin: &PluginName, pseudonyms: &Pseudonyms) -> Order {
    if sees.show_all() {
        return order.clone();
    }
    View { sees, reader: plugin.as_str(), pseudonyms }.order(order)
}

/// An event of an order as a subscriber sees it. No plugin's name has a colon, so none has its
/// pseudonyms.
pub(crate) fn masked_event(
    event: Event,
    order: OrderId,
    sees: &Fields,
    subscriber: &str,
    pseudonyms: &Pseudonyms,
) -> Event {
    if sees.show_all() {
        return event;
    }
    View { sees, reader: &format!("feed:{subscriber}"), pseudonyms }.said(event, order)
}

impl View<'_> {
    // Each part is taken apart in full: a new field cannot be forgotten here.
    fn order(&self, order: &Order) -> Order {
        let Order {
            number,
            release,
            customer,
            bill_to,
            ship_to,
            placed_at,
            requested_delivery,
            cancel_after,
            currency,
            lines,
            totals,
            payment,
            sender_state,
            notes,
            extensions,
        } = order;
        Order {
            number: self.id(Field::OrderNumber, "order", number),
            release: release.as_ref().map(|release| self.id(Field::OrderNumber, "release", release)),
            customer: self.customer(customer),
            bill_to: bill_to.as_ref().map(|place| self.address(Field::BillTo, place)),
            ship_to: ship_to.as_ref().map(|place| self.address(Field::ShipTo, place)),
            placed_at: *placed_at,
            requested_delivery: *requested_delivery,
            cancel_after: *cancel_after,
            currency: *currency,
            lines: lines.iter().map(|line| self.line(line)).collect(),
            totals: totals.clone(),
            payment: payment.as_ref().map(|payment| self.payment(payment)),
            sender_state: self.text(Field::SenderState, sender_state),
            notes: self.list(Field::Notes, notes),
            extensions: self.list(Field::Extensions, extensions),
        }
    }

    fn customer(&self, customer: &Customer) -> Customer {
        let Customer { id, name, email, phone } = customer;
        Customer {
            // Who has no account is nobody in particular.
            id: if customer.is_guest() { id.clone() } else { self.id(Field::CustomerId, "customer", id) },
            name: self.text(Field::CustomerName, name),
            email: self.text(Field::CustomerEmail, email),
            phone: self.text(Field::CustomerPhone, phone),
        }
    }

    fn address(&self, field: Field, place: &Address) -> Address {
        if self.sees.show(field) {
            return place.clone();
        }
        let Address { id, name: _, lines: _, city: _, region, postal_code: _, country } = place;
        Address {
            // The same for both addresses: whether the goods go to who pays may be known.
            id: id.as_ref().map(|id| self.pseudonyms.of(self.reader, "place", id)),
            name: None,
            lines: Vec::new(),
            city: None,
            region: region.clone(),
            postal_code: None,
            // A code and no text that a sender chose.
            country: country.clone().filter(|code| code.len() == 2),
        }
    }

    fn line(&self, line: &OrderLine) -> OrderLine {
        let OrderLine {
            number,
            sku,
            buyer_sku,
            description,
            quantity,
            unit_price,
            extended,
            requested_delivery,
            extensions,
        } = line;
        OrderLine {
            number: number.clone(),
            sku: self.id(Field::LineSku, "sku", sku),
            buyer_sku: buyer_sku.as_ref().map(|sku| self.id(Field::LineSku, "buyer-sku", sku)),
            description: self.text(Field::LineDescription, description),
            quantity: quantity.clone(),
            unit_price: unit_price.clone(),
            extended: *extended,
            requested_delivery: *requested_delivery,
            extensions: self.list(Field::Extensions, extensions),
        }
    }

    fn payment(&self, payment: &Payment) -> Payment {
        if self.sees.show(Field::Payment) {
            return payment.clone();
        }
        let Payment {
            method: _,
            state: _,
            authorised,
            authorisation_expires_at,
            issuer_country: _,
            address_check: _,
            terms: _,
        } = payment;
        Payment {
            method: String::new(),
            state: None,
            authorised: *authorised,
            authorisation_expires_at: *authorisation_expires_at,
            issuer_country: None,
            address_check: None,
            terms: None,
        }
    }

    fn id(&self, field: Field, kind: &str, id: &str) -> String {
        if self.sees.show(field) || id.is_empty() { id.to_owned() } else { self.pseudonyms.of(self.reader, kind, id) }
    }

    fn text(&self, field: Field, text: &Option<String>) -> Option<String> {
        text.clone().filter(|_| self.sees.show(field))
    }

    fn list<T: Clone>(&self, field: Field, items: &[T]) -> Vec<T> {
        if self.sees.show(field) { items.to_vec() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_pseudonym_says_nothing_to_another_plugin_field_or_host() {
        let (one, other) = ("one", "other");
        let here = Pseudonyms::with(PayloadKey::from_bytes(&[7; 64]).unwrap());
        let elsewhere = Pseudonyms::with(PayloadKey::from_bytes(&[8; 64]).unwrap());
        let all = [
            here.of(one, "customer", "C-1"),
            here.of(other, "customer", "C-1"),
            here.of(one, "sku", "C-1"),
            here.of(one, "customer", "C-2"),
            elsewhere.of(one, "customer", "C-1"),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
        assert!(all.iter().all(|pseudonym| pseudonym.len() == MASKED.len() + DIGITS), "{all:?}");
        assert_eq!(here.of(one, "customer", "C-1"), all[0]);
        assert_ne!(here.name(), elsewhere.name());
    }
}
