//! A customer's history as scorers see it: events at lower journal positions
//! only, so that it is the same with one worker and with eight.
//!
//! The store knows what was decided in earlier batches; the orders of this batch
//! that stand lower are added here, in the same windows.

use portreeve_model::advice::CustomerHistory;
use portreeve_model::{ChannelId, Digest, Instant, Money, Order, OrderId, SenderId};
use portreeve_store::contract::{
    CustomerAggregate, CustomerEvent, DocumentPosition, HistoryQuery, SHIP_TO_PLACES_MAX, SUM_MINOR_MAX,
};

/// Who sends: one customer's id means nothing outside of it.
pub(crate) struct Origin<'a> {
    pub(crate) channel: &'a ChannelId,
    pub(crate) sender: &'a SenderId,
    pub(crate) partner: &'a str,
    /// The order's own id, for a customer who has none.
    pub(crate) order: OrderId,
}

/// What later decisions may know about an order's customer.
pub(crate) fn customer_event(order: &Order, origin: &Origin<'_>, received_at: Instant, value: Money) -> CustomerEvent {
    // An order below nothing would hide the worth of the others in every later sum.
    let value = Money { minor: value.minor.max(0), ..value };
    CustomerEvent { customer: customer_digest(order, origin), received_at, value, ship_to: ship_to_digest(order) }
}

/// A customer, without its name. Ids are the sender's, so they are kept apart by
/// channel, sender and party: nobody can borrow or spoil the history of another
/// one's `C-1001`. Guests are no one customer: a guest is whoever the e-mail address
/// says, or nobody but this order.
pub(crate) fn customer_digest(order: &Order, origin: &Origin<'_>) -> Digest {
    let customer = &order.customer;
    let email = customer.email.as_deref().map(|email| email.trim().to_lowercase()).filter(|email| !email.is_empty());
    let (kind, id) = match email {
        _ if !customer.is_guest() => ("id", customer.id.clone()),
        Some(email) => ("guest", email),
        None => ("order", origin.order.to_string()),
    };
    Digest::of_parts(&[
        b"customer",
        origin.channel.as_str().as_bytes(),
        origin.sender.as_str().as_bytes(),
        origin.partner.as_bytes(),
        kind.as_bytes(),
        id.as_bytes(),
    ])
}

/// A place, without its address: its id where it has one, else what is written on the parcel.
fn ship_to_digest(order: &Order) -> Option<Digest> {
    let place = order.ship_to.as_ref()?;
    let text = |value: &Option<String>| value.as_deref().unwrap_or_default().trim().to_lowercase();
    if let Some(id) = &place.id {
        return Some(Digest::of_parts(&[b"place-id", id.as_bytes()]));
    }
    let lines = place.lines.join("\n").to_lowercase();
    Some(Digest::of_parts(&[
        b"place",
        lines.as_bytes(),
        text(&place.city).as_bytes(),
        text(&place.postal_code).as_bytes(),
        text(&place.country).as_bytes(),
    ]))
}

/// The question that the store is asked about an order.
pub(crate) fn query(event: &CustomerEvent, below: DocumentPosition) -> HistoryQuery {
    HistoryQuery {
        customer: event.customer,
        below,
        at: event.received_at,
        currency: event.value.currency.code().to_owned(),
        ship_to: event.ship_to,
    }
}

/// What the store knows plus the lower orders of the batch, as scorers get it.
pub(crate) fn history<'a>(
    mut known: CustomerAggregate,
    of: &CustomerEvent,
    lower: impl Iterator<Item = &'a CustomerEvent>,
) -> CustomerHistory {
    for event in lower.filter(|event| event.customer == of.customer) {
        add(&mut known, of, event);
    }
    let others = known.ship_to_places.iter().filter(|place| Some(**place) != of.ship_to).count();
    CustomerHistory {
        orders_1h: known.orders_1h,
        orders_24h: known.orders_24h,
        orders_30d: known.orders_30d,
        value_24h_minor: known.value_24h_minor,
        value_30d_minor: known.value_30d_minor,
        largest_30d_minor: known.largest_30d_minor,
        first_order_at: known.first_order_at,
        ship_to_places_30d: u32::try_from(others).unwrap_or(u32::MAX),
        ship_to_known: known.ship_to_known,
    }
}

fn add(known: &mut CustomerAggregate, of: &CustomerEvent, event: &CustomerEvent) {
    let latest = known.latest_at.entry(event.value.currency.code().to_owned()).or_insert(event.received_at);
    *latest = (*latest).max(event.received_at);
    let at = *latest;
    let age_ms = of.received_at.0.saturating_sub(at.0);
    let value_minor = if event.value.currency == of.value.currency { event.value.minor } else { 0 };
    if age_ms <= Instant::HOUR_MS {
        known.orders_1h = known.orders_1h.saturating_add(1);
    }
    if age_ms <= Instant::DAY_MS {
        known.orders_24h = known.orders_24h.saturating_add(1);
        known.value_24h_minor = known.value_24h_minor.saturating_add(value_minor).clamp(-SUM_MINOR_MAX, SUM_MINOR_MAX);
    }
    if age_ms <= 30 * Instant::DAY_MS {
        known.orders_30d = known.orders_30d.saturating_add(1);
        known.value_30d_minor = known.value_30d_minor.saturating_add(value_minor).clamp(-SUM_MINOR_MAX, SUM_MINOR_MAX);
    }
    // What is no count or sum goes by whole days, as the store does.
    if at.day() >= of.received_at.plus_ms(-30 * Instant::DAY_MS).day() {
        known.largest_30d_minor = known.largest_30d_minor.max(value_minor);
        if let Some(place) = event.ship_to
            && known.ship_to_places.len() < SHIP_TO_PLACES_MAX
            && !known.ship_to_places.contains(&place)
        {
            known.ship_to_places.push(place);
        }
    }
    known.first_order_at = Some(known.first_order_at.map_or(at, |first| first.min(at)));
    known.ship_to_known |= event.ship_to.is_some() && event.ship_to == of.ship_to;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::Currency;
    use portreeve_model::event::OrderTotals;
    use portreeve_model::value::Customer;

    use super::*;

    fn order(id: &str, email: Option<&str>) -> Order {
        Order {
            number: "PO-1".to_owned(),
            release: None,
            customer: Customer { id: id.to_owned(), name: None, email: email.map(str::to_owned), phone: None },
            bill_to: None,
            ship_to: None,
            placed_at: None,
            requested_delivery: None,
            cancel_after: None,
            currency: Currency::parse("USD").unwrap(),
            lines: Vec::new(),
            totals: OrderTotals { lines: None, shipping: None, tax: None, discount: None, grand: None },
            payment: None,
            sender_state: None,
            notes: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// The customer of an order with this number, by this sender.
    fn digest(order: &Order, channel: &str, sender: &str, partner: &str, number: &str) -> Digest {
        let (channel, sender) = (ChannelId::parse(channel).unwrap(), SenderId::authenticated(sender));
        let id = OrderId::derive(&channel, &sender, partner, number, None);
        customer_digest(order, &Origin { channel: &channel, sender: &sender, partner, order: id })
    }

    #[test]
    fn a_customers_id_means_the_same_within_its_sender_only() {
        let order = order("C-1", Some("a@example.org"));
        let usual = digest(&order, "edi", "gateway", "ACME", "1");
        assert_eq!(digest(&order, "edi", "gateway", "ACME", "2"), usual);
        for other in [("shop", "gateway", "ACME"), ("edi", "other", "ACME"), ("edi", "gateway", "EVIL")] {
            assert_ne!(digest(&order, other.0, other.1, other.2, "1"), usual);
        }
    }

    #[test]
    fn guests_share_no_history_but_that_of_their_address() {
        let guest = |email, number| digest(&order("guest", email), "shop", "store", "", number);
        assert_ne!(guest(None, "1"), guest(None, "2"));
        assert_eq!(guest(Some("Jane@example.org "), "1"), guest(Some("jane@example.org"), "2"));
        assert_ne!(guest(Some("jane@example.org"), "1"), guest(Some("joe@example.org"), "1"));
        assert_eq!(guest(Some(" "), "1"), guest(None, "1"));
        // Nor can a customer call itself like somebody's address.
        let named = digest(&order("jane@example.org", None), "shop", "store", "", "1");
        assert_ne!(named, guest(Some("jane@example.org"), "1"));
    }
}
