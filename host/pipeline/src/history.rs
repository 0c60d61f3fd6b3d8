//! A customer's history as scorers see it: events at lower journal positions
//! only, so that it is the same with one worker and with eight.
//!
//! The store knows what was decided in earlier batches; the orders of this batch
//! that stand lower are added here, in the same windows.

use portreeve_model::advice::CustomerHistory;
use portreeve_model::{Digest, Order};
use portreeve_store::contract::{
    CustomerAggregate, CustomerEvent, DocumentPosition, HistoryQuery, SHIP_TO_PLACES_MAX, SUM_MINOR_MAX,
};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What later decisions may know about an order's customer.
pub(crate) fn customer_event(
    order: &Order,
    received_at: portreeve_model::Instant,
    value: portreeve_model::Money,
) -> CustomerEvent {
    // An order below nothing would hide the worth of the others in every later sum.
    let value = portreeve_model::Money { minor: value.minor.max(0), ..value };
    CustomerEvent { customer: customer_digest(order), received_at, value, ship_to: ship_to_digest(order) }
}

/// A customer, without its name.
pub(crate) fn customer_digest(order: &Order) -> Digest {
    Digest::of_parts(&[b"customer", order.customer.id.as_bytes()])
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
    let age_ms = of.received_at.0.saturating_sub(event.received_at.0);
    let value_minor = if event.value.currency == of.value.currency { event.value.minor } else { 0 };
    if age_ms <= HOUR_MS {
        known.orders_1h = known.orders_1h.saturating_add(1);
    }
    if age_ms <= DAY_MS {
        known.orders_24h = known.orders_24h.saturating_add(1);
        known.value_24h_minor = known.value_24h_minor.saturating_add(value_minor).clamp(-SUM_MINOR_MAX, SUM_MINOR_MAX);
    }
    if age_ms <= 30 * DAY_MS {
        known.orders_30d = known.orders_30d.saturating_add(1);
        known.value_30d_minor = known.value_30d_minor.saturating_add(value_minor).clamp(-SUM_MINOR_MAX, SUM_MINOR_MAX);
        known.largest_30d_minor = known.largest_30d_minor.max(value_minor);
        if let Some(place) = event.ship_to
            && known.ship_to_places.len() < SHIP_TO_PLACES_MAX
            && !known.ship_to_places.contains(&place)
        {
            known.ship_to_places.push(place);
        }
    }
    known.first_order_at = Some(known.first_order_at.map_or(event.received_at, |first| first.min(event.received_at)));
    known.ship_to_known |= event.ship_to.is_some() && event.ship_to == of.ship_to;
}
