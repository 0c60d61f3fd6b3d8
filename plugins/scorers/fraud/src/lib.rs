//! How likely an order is fraudulent: velocity and value against the customer's
//! own history, and addresses and payment that don't fit together.
//!
//! A distributor's fraud is a taken-over account or a new one that buys what
//! resells well: many orders at once, far larger than ever before, to a place
//! nobody knows. Each signal has its own reason code; the weights are a
//! starting point that a team tunes in shadow, and add up to a score in basis
//! points. What the score may cause is the host's to decide.

use portreeve_sdk::scorer::*;

/// From here on the order is kept for a day and a person asked.
const HOLD_FROM_BP: u16 = 7_000;
/// From here on it is kept for two days: hardly a false alarm.
const LONG_HOLD_FROM_BP: u16 = 9_000;
/// From here on somebody should look before it is released.
const ROUTE_FROM_BP: u16 = 5_000;
const HOLD_MINUTES: u32 = 1_440;
const LONG_HOLD_MINUTES: u32 = 2_880;

/// A first order above this many major units is unusual.
const FIRST_ORDER_MAJOR_MAX: i64 = 2_500;
/// A customer of more than a year has something to lose.
const ESTABLISHED_DAYS: i64 = 365;

struct Fraud;

impl Scorer for Fraud {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let order = &request.order;
        let customer = lookup("customer", &order.customer.id)?;
        let class = customer.as_ref().and_then(|row| row.text("class"));

        let mut card = Scorecard::new();
        velocity(&mut card, &request.history);
        value(&mut card, order.value()?.minor, class, &request);
        places(&mut card, order, &request.history);
        payment(&mut card, order);
        standing(&mut card, class, &request);

        propose(&mut card);
        Ok(card.into_assessment())
    }
}

/// More orders than this customer places: in the last hour, and in the last
/// day against a day's share of the last 30.
fn velocity(card: &mut Scorecard, history: &CustomerHistory) {
    match history.orders_1h {
        0..=2 => {}
        3..=5 => card.add("velocity-hour", 1_500),
        _ => card.add("velocity-hour", 3_000),
    }
    let usual_in_four_days = u64::from(history.orders_30d) * 4 / 30;
    let burst = history.orders_24h >= 5 && u64::from(history.orders_24h) > usual_in_four_days;
    card.add_if(burst, "velocity-day", 1_500);
}

/// Far more than this customer ever ordered, or a lot for a first order.
fn value(card: &mut Scorecard, minor: i64, class: Option<&str>, request: &ScoringRequest) {
    let largest = request.history.largest_30d_minor;
    if largest > 0 {
        match minor / largest {
            0..=2 => {}
            3..=9 => card.add("value-above-history", 1_500),
            _ => card.add("value-above-history", 3_000),
        }
    }
    let digits = u32::from(money::minor_digits(&request.order.currency));
    let first = request.history.first_order_at.is_none() || class == Some("new");
    let high = minor > FIRST_ORDER_MAJOR_MAX * 10_i64.pow(digits);
    card.add_if(first && high, "new-customer-high-value", 2_500);
}

/// Goods that go where this customer never had any sent, or to another country
/// than the invoice.
fn places(card: &mut Scorecard, order: &Order, history: &CustomerHistory) {
    let known_customer = history.orders_30d > 0;
    card.add_if(known_customer && !history.ship_to_known, "ship-to-unknown", 1_000);
    card.add_if(history.ship_to_places_30d >= 5, "ship-to-many", 1_000);
    let elsewhere = differ(country(&order.ship_to), country(&order.bill_to));
    card.add_if(elsewhere, "ship-country-differs", 2_000);
}

/// A card from another country than the goods go to, or an address that the
/// card's issuer doesn't know.
fn payment(card: &mut Scorecard, order: &Order) {
    let Some(payment) = &order.payment else {
        return;
    };
    let foreign = differ(payment.issuer_country.as_deref(), country(&order.ship_to));
    card.add_if(foreign, "issuer-country-differs", 2_000);
    let failed = payment.address_check.as_deref().is_some_and(|result| {
        ["n", "no", "fail", "failed", "no-match", "mismatch"].contains(&result.to_ascii_lowercase().as_str())
    });
    card.add_if(failed, "address-check-failed", 2_000);
}

/// What speaks for the customer.
fn standing(card: &mut Scorecard, class: Option<&str>, request: &ScoringRequest) {
    let valued = matches!(class, Some("priority" | "key-account"));
    card.add_if(valued, "valued-customer", -1_500);
    let established = request
        .history
        .first_order_at
        .is_some_and(|first| request.received_at - first > ESTABLISHED_DAYS * date::DAY_MS);
    card.add_if(established, "established-customer", -500);
}

fn propose(card: &mut Scorecard) {
    let score = card.score_bp();
    let reason = card.main_reason().unwrap_or_default().to_owned();
    if score >= HOLD_FROM_BP {
        let long = score >= LONG_HOLD_FROM_BP;
        let minutes = if long { LONG_HOLD_MINUTES } else { HOLD_MINUTES };
        card.hold_order(minutes, &reason);
        card.recommend(Recommendation::Review("fraud-review".to_owned()));
    } else if score >= ROUTE_FROM_BP {
        card.route("fraud-review");
    }
}

fn country(address: &Option<Address>) -> Option<&str> {
    address.as_ref()?.country.as_deref()
}

/// Whether both are known and not the same country; what is unknown proves nothing.
fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_some_and(|(one, other)| !one.eq_ignore_ascii_case(other))
}

portreeve_sdk::scorer!(Fraud);
